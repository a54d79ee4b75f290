//! Command lines of curl: each becomes a request of one scenario, in their order.

mod request;

pub(crate) use request::{basic, get, known_method, of_url};

use crate::draft::{Draft, Scenario, Step, literal, try_out};
use crate::flags::{self, Flag, Given, Style};
use crate::notes::Notes;
use crate::origins::Origins;
use crate::yaml::{Entry, Yaml, entry, plain, text};
use crate::{Error, Options, shell};
use request::Command;

/// Options that matter here. (curl's manual; those that are not here are said to be unknown.)
const TABLE: &[Flag] = &[
    (&["url"], true),
    (&["X", "request"], true),
    (&["H", "header"], true),
    (&["d", "data", "data-ascii"], true),
    (&["data-raw"], true),
    (&["data-binary"], true),
    (&["data-urlencode"], true),
    (&["json"], true),
    (&["url-query"], true),
    (&["F", "form"], true),
    (&["form-string"], true),
    (&["T", "upload-file"], true),
    (&["G", "get"], false),
    (&["I", "head"], false),
    (&["u", "user"], true),
    (&["oauth2-bearer"], true),
    (&["A", "user-agent"], true),
    (&["e", "referer"], true),
    (&["b", "cookie"], true),
    (&["c", "cookie-jar"], true),
    (&["compressed"], false),
    (&["L", "location", "location-trusted"], false),
    (&["k", "insecure"], false),
    (&["http2"], false),
    (&["http2-prior-knowledge"], false),
    (&["0", "http1.0"], false),
    (&["http1.1"], false),
    (&["m", "max-time"], true),
    (&["x", "proxy"], true),
    (&["cacert"], true),
    (&["E", "cert"], true),
    (&["key"], true),
    (&["unix-socket"], true),
    (&["4", "ipv4"], false),
    (&["6", "ipv6"], false),
];

/// Options that say how curl prints and waits: no load. The second list takes values.
const QUIET: [&[&str]; 2] = [
    &[
        "s",
        "silent",
        "S",
        "show-error",
        "v",
        "verbose",
        "i",
        "include",
        "f",
        "fail",
        "fail-with-body",
        "#",
        "progress-bar",
        "N",
        "no-buffer",
        "g",
        "globoff",
        "no-progress-meter",
        "basic",
        "O",
        "remote-name",
        "q",
        "disable",
    ],
    &["o", "output", "w", "write-out", "D", "dump-header", "stderr", "trace", "trace-ascii"],
];
/// Options with a value that have no counterpart.
const OTHER: &[Flag] = &[
    (&["resolve"], true),
    (&["connect-to"], true),
    (&["connect-timeout"], true),
    (&["max-redirs"], true),
    (&["retry"], true),
    (&["retry-delay"], true),
    (&["retry-max-time"], true),
    (&["limit-rate"], true),
    (&["interface"], true),
    (&["Y"], true),
    (&["y"], true),
    (&["z"], true),
    (&["r"], true),
    (&["range"], true),
    (&["aws-sigv4"], true),
    (&["U"], true),
    (&["proxy-user"], true),
    (&["ciphers"], true),
    (&["tls-max"], true),
    (&["noproxy"], true),
    (&["K"], true),
    (&["config"], true),
    (&["C"], true),
    (&["dns-servers"], true),
];

pub(crate) fn draft(
    text: &str,
    words: &[String],
    options: &Options,
    notes: &mut Notes,
) -> Result<Draft, Error> {
    let lines = match words.is_empty() {
        true => {
            if text.contains("^\"") && text.trim_start().starts_with("curl") {
                let message = "it is quoted for cmd.exe; copy it for bash instead".to_owned();
                return Err(Error::Syntax { expected: "a command line of curl", message });
            }
            shell::commands(text).map_err(Error::Usage)?
        }
        false => vec![words.to_vec()],
    };
    let mut commands = Vec::new();
    for line in lines {
        match line.iter().position(|word| word.rsplit('/').next() == Some("curl")) {
            Some(at) => commands.extend(
                line[at + 1..].split(|word| word == "--next" || word == "-:").map(<[String]>::to_vec),
            ),
            None if !words.is_empty() => {
                commands.extend(line.split(|word| word == "--next").map(<[String]>::to_vec))
            }
            None => notes.add(format!("not a command of curl: {}", line.first().map_or("", String::as_str))),
        }
    }
    let commands: Vec<Command> =
        commands.iter().filter(|words| !words.is_empty()).map(|words| read(words, notes)).collect();
    made(commands, options, notes)
}

fn made(commands: Vec<Command>, options: &Options, notes: &mut Notes) -> Result<Draft, Error> {
    let urls: Vec<_> = commands.iter().flat_map(|command| &command.urls).collect();
    if urls.is_empty() {
        return Err(Error::Nothing("no command of curl with an http URL in it".to_owned()));
    }
    let origins = Origins::choose(urls.into_iter(), &options.hosts);
    let (load, load_comments) = try_out();
    let mut draft = Draft { target: origins.target.clone(), load, load_comments, ..Draft::default() };
    let mut scenario = Scenario { name: "curl".to_owned(), ..Scenario::default() };
    for command in &commands {
        settings(command, &mut draft, notes);
        scenario.cookies |= command.cookies;
        for url in &command.urls {
            if origins.takes(url, notes) {
                let request = command.request(url, notes);
                scenario.steps.extend(request.map(|request| Step::Request(Box::new(request))));
            }
        }
    }
    let count = scenario.steps.len();
    if count == 0 {
        return Err(Error::Nothing(
            "no command is for the chosen host and of a method that a plan has".to_owned(),
        ));
    }
    if commands.len() > 1 && !draft.settings.is_empty() {
        notes.add("options for TLS, the proxy and the version of HTTP hold for the whole plan, whichever command had them");
    }
    let host = draft.target.split("://").nth(1).unwrap_or_default().to_owned();
    draft.name = host;
    draft.comments = vec![format!("Made from {}.", plural(count, "request of curl", "requests of curl"))];
    draft.scenarios = vec![scenario];
    Ok(draft)
}

pub(crate) fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// What holds for the whole plan.
fn settings(command: &Command, draft: &mut Draft, notes: &mut Notes) {
    let https = draft.target.starts_with("https:");
    if let Some(http) = command.http {
        put(draft, entry("http", plain(if http == "auto" && !https { "2" } else { http })));
    }
    let mut tls = Vec::new();
    if let Some(certificate) = &command.certificate {
        tls.push(entry("certificate", text(certificate)));
        tls.push(entry("key", text(command.key.as_deref().unwrap_or(certificate))));
    }
    tls.extend(command.ca.iter().map(|ca| entry("ca", text(ca))));
    if command.insecure {
        tls.push(entry("insecure", plain(true)).remark("-k"));
    }
    if !tls.is_empty() && https {
        put(draft, entry("tls", Yaml::Map(tls)));
    } else if !tls.is_empty() {
        notes.add("options for TLS have no effect on an http target");
    }
    let mut network = Vec::new();
    if let Some(proxy) = &command.proxy {
        match crate::url::proxy(proxy) {
            Some(proxy) => network.push(entry("proxy", text(proxy))),
            None => notes.add("-x: only http proxies without credentials can be used, left out"),
        }
    }
    network.extend(command.family.map(|family| entry("addresses", plain(family))));
    if !network.is_empty() {
        put(draft, entry("network", Yaml::Map(network)));
    }
    if let Some(socket) = &command.socket {
        set_socket(draft, socket, notes);
    }
}

/// Makes a Unix socket the target.
pub(crate) fn set_socket(draft: &mut Draft, socket: &str, notes: &mut Notes) {
    let most = plan::limits::SOCKET_PATH_BYTES;
    let sound = socket.starts_with('/') && !socket.ends_with('/') && !socket.contains([':', '?', '#']);
    if sound
        && socket.len() <= most
        && !socket.contains(char::is_control)
        && draft.target.starts_with("http:")
    {
        draft.target = format!("unix:{socket}");
    } else {
        notes.add(format!(
            "the socket {socket} cannot be a target: it is named by its whole path, and has no TLS"
        ));
    }
}

/// Adds a setting; the first one of its key counts.
pub(crate) fn put(draft: &mut Draft, setting: Entry) {
    if !draft.settings.iter().any(|known| known.key == setting.key) {
        draft.settings.push(setting);
    }
}

fn read(words: &[String], notes: &mut Notes) -> Command {
    let mut table: Vec<Flag> = TABLE.to_vec();
    table.extend([(QUIET[0], false), (QUIET[1], true)]);
    table.extend_from_slice(OTHER);
    let mut command = Command::default();
    for given in flags::given(words, &table, Style::Getopt) {
        match given {
            Given::Option(name, _) if QUIET.iter().any(|names| names.contains(&name)) => {
                notes.add("options for curl's own output have no meaning here");
            }
            Given::Option(name, _) if OTHER.iter().any(|(names, _)| names[0] == name) => {
                let dashes = if name.len() == 1 { "-" } else { "--" };
                notes.add(format!("{dashes}{name}: not translated"));
            }
            Given::Option(name, value) => command.option(name, &value, notes),
            Given::Word(word) => command.url(&word, notes),
            Given::Unknown(word) => notes.add(format!("{}: not known, left out", literal(&word))),
            Given::Lacking(name) => notes.add(format!("{name}: its value is missing")),
        }
    }
    command
}
