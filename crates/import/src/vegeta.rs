//! A command line of `vegeta attack`, and its targets: HTTP format, JSON format, or what is piped into it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::curl::{get, known_method, put, set_socket};
use crate::draft::{Body, Draft, Request, Scenario, Step, closed, literal, open, source_address};
use crate::flags::{self, Flag, Given, Style};
use crate::node::Node;
use crate::notes::Notes;
use crate::origins::Origins;
use crate::url::Url;
use crate::yaml::{Yaml, entry, plain, text};
use crate::{Error, Options, names, payload, read, shell, span};

const TABLE: &[Flag] = &[
    (&["rate"], true),
    (&["duration"], true),
    (&["targets"], true),
    (&["format"], true),
    (&["body"], true),
    (&["header"], true),
    (&["timeout"], true),
    (&["insecure"], false),
    (&["http2"], false),
    (&["h2c"], false),
    (&["keepalive"], false),
    (&["redirects"], true),
    (&["workers"], true),
    (&["max-workers"], true),
    (&["connections"], true),
    (&["max-connections"], true),
    (&["max-body"], true),
    (&["laddr"], true),
    (&["root-certs"], true),
    (&["cert"], true),
    (&["key"], true),
    (&["unix-socket"], true),
    (&["name"], true),
    (&["lazy"], false),
    (&["output"], true),
    (&["resolvers"], true),
    (&["chunked"], false),
    (&["dns-ttl"], true),
    (&["proxy-header"], true),
    (&["connect-to"], true),
    (&["session-tickets"], false),
    (&["prometheus-addr"], true),
];
const QUIET: [&str; 5] = ["output", "lazy", "max-body", "prometheus-addr", "session-tickets"];

type Attack = Vec<(&'static str, String)>;

pub(crate) fn draft(
    source: &str,
    words: &[String],
    options: &Options,
    notes: &mut Notes,
) -> Result<Draft, Error> {
    let (command, piped) = command(source, words)?;
    let attack = attack(&command, notes)?;
    // With a command line behind `--` the text is the file of targets.
    let targets = if words.is_empty() { piped.as_str() } else { source };
    if targets.trim().is_empty() {
        let last =
            attack.iter().rev().find(|(name, _)| *name == "targets").map_or("", |(_, file)| file.as_str());
        return Err(Error::Nothing(format!(
            "no targets: give their file, `swell import vegeta {} -- attack …`",
            if last.is_empty() { "FILE" } else { last }
        )));
    }
    let requests = match targets.trim_start().starts_with('{') {
        true => json_targets(targets, notes)?,
        false => http_targets(targets, notes),
    };
    let origins = Origins::choose(requests.iter().map(|(url, _)| url), &options.hosts);
    let mut requests: Vec<Request> = requests
        .into_iter()
        .filter(|(url, _)| origins.takes(url, notes))
        .map(|(_, request)| request)
        .collect();
    if requests.is_empty() {
        return Err(Error::Nothing("none of the targets is an http URL that can be taken".to_owned()));
    }
    let host = origins.target.split("://").nth(1).unwrap_or_default().to_owned();
    let mut draft =
        Draft { name: format!("vegeta {host}"), target: origins.target.clone(), ..Draft::default() };
    draft.comments = vec!["Made from vegeta's targets and command line.".to_owned()];
    load(&attack, &mut draft, notes)?;
    settings(&attack, &mut draft, &mut requests, notes);
    if requests.len() > 1 {
        notes.add("vegeta takes its targets in turn; the plan draws one for each arrival, each as often in the long run");
    }
    for request in requests {
        let name =
            names::free(&request.shown(), |name| draft.scenarios.iter().any(|known| known.name == name));
        draft.scenarios.push(Scenario {
            name,
            steps: vec![Step::Request(Box::new(request))],
            ..Scenario::default()
        });
    }
    Ok(draft)
}

/// The words of `attack`, and what `echo` pipes into it. A text without a command line is all targets.
fn command(source: &str, words: &[String]) -> Result<(Vec<String>, String), Error> {
    let after =
        |line: &[String]| line.iter().position(|word| word == "attack").map(|at| line[at + 1..].to_vec());
    if !words.is_empty() {
        return Ok((after(words).unwrap_or_else(|| words.to_vec()), String::new()));
    }
    if !source.lines().any(|line| line.contains("vegeta ") && line.contains("attack")) {
        return Ok((Vec::new(), source.to_owned()));
    }
    let lines = shell::commands(source).map_err(Error::Usage)?;
    let command = lines.iter().find_map(|line| after(line)).unwrap_or_default();
    let echo = lines.iter().find(|line| line.first().is_some_and(|word| word == "echo" || word == "printf"));
    let piped = echo.map_or(String::new(), |line| {
        line[1..].iter().filter(|word| !word.starts_with('-')).cloned().collect::<Vec<_>>().join(" ")
    });
    Ok((command, piped.replace("\\n", "\n")))
}

fn attack(words: &[String], notes: &mut Notes) -> Result<Attack, Error> {
    let mut attack = Vec::new();
    for given in flags::given(words, TABLE, Style::Go) {
        match given {
            Given::Option(name, _) if QUIET.contains(&name) => {
                notes.add("options for vegeta's own output and memory have no meaning here")
            }
            Given::Option(name, value) => attack.push((name, value)),
            Given::Word(word) => notes.add(format!("{word}: not understood, left out")),
            Given::Unknown(word) => notes.add(format!("{word}: vegeta has no such option, left out")),
            Given::Lacking(name) => return Err(Error::Usage(format!("-{name} needs a value"))),
        }
    }
    Ok(attack)
}

/// `50`, `50/1s`, `100/1m`, `infinity`.
fn load(attack: &Attack, draft: &mut Draft, notes: &mut Notes) -> Result<(), Error> {
    let last =
        |wanted: &str| attack.iter().rev().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str());
    let duration_ms = match last("duration").map(|text| (text, span::parse_ms(text, 1000.0))) {
        Some((text, None)) => return Err(Error::Usage(format!("-duration {text}: no time"))),
        Some((_, Some(ms))) if ms > 0 => ms,
        _ => {
            notes.add("no -duration: vegeta goes on for ever, the plan for a minute");
            60_000
        }
    };
    let rate = last("rate").unwrap_or("50/1s");
    let (count, per) = rate.split_once('/').unwrap_or((rate, "1s"));
    if count == "0" || count == "infinity" {
        let workers = last("max-workers").and_then(|count| count.parse::<u64>().ok()).unwrap_or(10);
        draft.load = closed(workers, duration_ms, notes);
        draft.load_comments = vec![
            "-rate 0: as fast as -max-workers users can, each when its last answer is there.".to_owned(),
        ];
        return Ok(());
    }
    let per_ms = if per.starts_with(|c: char| c.is_ascii_digit()) {
        span::parse_ms(per, 1000.0)
    } else {
        span::parse_ms(&format!("1{per}"), 1.0)
    };
    let (Ok(count), Some(per_ms @ 1..)) = (count.parse::<u64>(), per_ms) else {
        return Err(Error::Usage(format!("-rate {rate}: no rate")));
    };
    draft.load = open(count as f64, per_ms, duration_ms, notes);
    draft.load_comments = vec![
        "vegeta sends by schedule, whatever the target does. Its latencies count from when a request was sent;".to_owned(),
        "here response times count from when it was due, and service times stand beside them.".to_owned(),
    ];
    Ok(())
}

fn settings(attack: &Attack, draft: &mut Draft, requests: &mut [Request], notes: &mut Notes) {
    let mut tls = Vec::new();
    for (name, value) in attack {
        let off = value == "false";
        match *name {
            "rate" | "duration" | "targets" | "format" | "max-workers" => {}
            "header" => match flags::header(value) {
                Some(header) => requests.iter_mut().for_each(|request| request.headers.push(header.clone())),
                None => notes.add("-header: text without a colon is no header, left out"),
            },
            "body" => {
                notes.add(format!("body from the file {value}: put it beside the plan"));
                let empty = requests.iter_mut().filter(|request| matches!(request.body, Body::None));
                empty.for_each(|request| request.body = Body::File(value.clone()));
            }
            "timeout" => {
                let timeout = span::parse_ms(value, 1000.0)
                    .filter(|ms| (1..=3_600_000).contains(ms))
                    .map(span::show_ms);
                requests.iter_mut().for_each(|request| request.timeout.clone_from(&timeout));
            }
            "redirects" => {
                let follows = value != "-1" && value != "0";
                requests.iter_mut().for_each(|request| request.follow_redirects = follows);
            }
            "insecure" if !off => tls.push(entry("insecure", plain(true))),
            "root-certs" => tls.push(entry("ca", text(value))),
            "cert" => tls.push(entry("certificate", text(value))),
            "key" => tls.push(entry("key", text(value))),
            "h2c" if !off => put(draft, entry("http", plain(2))),
            "http2" if !off && draft.target.starts_with("https:") => put(draft, entry("http", plain("auto"))),
            "keepalive" if off => draft.load.push(
                entry("connections", Yaml::Flow(vec![entry("requests", plain(1))]))
                    .remark("-keepalive=false"),
            ),
            "laddr" => {
                if let Some(setting) = source_address(value, notes) {
                    put(draft, setting);
                }
            }
            "unix-socket" => set_socket(draft, value, notes),
            "name" => draft.name.clone_from(value),
            "insecure" | "h2c" | "http2" | "keepalive" => {}
            other => notes.add(format!("-{other}: not translated")),
        }
    }
    // As vegeta does by itself.
    if !attack.iter().any(|(name, _)| *name == "redirects") {
        requests.iter_mut().for_each(|request| request.follow_redirects = true);
    }
    if !tls.is_empty() && draft.target.starts_with("https:") {
        put(draft, entry("tls", Yaml::Map(tls)));
    }
}

/// `METHOD URL`, then headers, then `@file`; an empty line or the next method begins another.
fn http_targets(text: &str, notes: &mut Notes) -> Vec<(Url, Request)> {
    let mut targets: Vec<(Url, Request)> = Vec::new();
    let mut left_out = false;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let first =
            line.split_once(' ').filter(|(method, _)| method.bytes().all(|byte| byte.is_ascii_uppercase()));
        if let Some((method, url)) = first {
            match Url::parse(url).filter(|_| url.contains("://")) {
                Some(url) => {
                    let request = with_method(&url, method, notes);
                    left_out = request.is_none();
                    targets.extend(request.map(|request| (url, request)));
                }
                None => {
                    left_out = true;
                    notes.add(format!("left out: {url} is no http URL"));
                }
            }
        } else if left_out {
            // It belongs to a target that is not there.
        } else if let (Some(file), Some((_, request))) = (line.strip_prefix('@'), targets.last_mut()) {
            notes.add(format!("body from the file {file}: put it beside the plan"));
            request.body = Body::File(file.to_owned());
        } else if let (Some(header), Some((_, request))) =
            (flags::header(line).filter(|_| !line.contains("://") || line.contains(": ")), targets.last_mut())
        {
            request.headers.push(header);
        } else {
            notes.add(format!("left out: a line of the targets: {line}"));
        }
    }
    targets
}

fn with_method(url: &Url, method: &str, notes: &mut Notes) -> Option<Request> {
    let mut request = get(url);
    request.method = known_method(method, notes)?;
    request.name = Some(format!("{} {}", request.method.to_uppercase(), names::stable(&url.path)));
    Some(request)
}

/// One JSON object a line, its body in base64.
fn json_targets(text: &str, notes: &mut Notes) -> Result<Vec<(Url, Request)>, Error> {
    let mut targets = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let node = read::json(line, "targets of vegeta, one JSON object a line")?;
        let Some(url) = node.text_of("url").and_then(Url::parse) else {
            notes.add("left out: a target without an http URL");
            continue;
        };
        let Some(mut request) = with_method(&url, node.text_of("method").unwrap_or("GET"), notes) else {
            continue;
        };
        for (name, values) in node.get("header").map_or(&[][..], Node::entries) {
            let values = values.list().iter().filter_map(Node::text);
            request.headers.extend(values.map(|value| (name.clone(), literal(value))));
        }
        if let Some(body) = node.text_of("body") {
            let bytes = STANDARD.decode(body).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let media_type = request.header("content-type").unwrap_or_default().to_owned();
            let place = request.shown();
            match bytes {
                Some(text) => {
                    request.body = payload::body(&text, &media_type, &mut request.headers, &place, notes)
                }
                None => notes.add(format!("{place}: its body is no text, left out")),
            }
        }
        targets.push((url, request));
    }
    Ok(targets)
}
