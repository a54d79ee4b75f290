//! A command line of ApacheBench (`ab`): a closed load of one request.

use crate::curl::{basic, get, known_method, put};
use crate::draft::{Auth, Body, Draft, Scenario, Step, closed, closed_iterations, literal, source_address};
use crate::flags::{self, Flag, Given, Style};
use crate::notes::Notes;
use crate::url::Url;
use crate::yaml::{Yaml, entry, plain, text};
use crate::{Error, span};

/// Options of `ab` 2.4.
const TABLE: &[Flag] = &[
    (&["n"], true),
    (&["c"], true),
    (&["t"], true),
    (&["s"], true),
    (&["k"], false),
    (&["H"], true),
    (&["C"], true),
    (&["A"], true),
    (&["X"], true),
    (&["T"], true),
    (&["p"], true),
    (&["u"], true),
    (&["m"], true),
    (&["i"], false),
    (&["l"], false),
    (&["r"], false),
    (&["E"], true),
    (&["B"], true),
    (&["P"], true),
    (&["b"], true),
    (&["f"], true),
    (&["Z"], true),
    (&["I"], false),
    (&["v"], true),
    (&["g"], true),
    (&["e"], true),
    (&["x"], true),
    (&["y"], true),
    (&["z"], true),
    (&["w"], false),
    (&["q"], false),
    (&["d"], false),
    (&["S"], false),
    (&["V"], false),
];
/// How it prints.
const QUIET: [&str; 12] = ["v", "g", "e", "x", "y", "z", "w", "q", "d", "S", "V", "r"];
/// What has no counterpart.
const OTHER: [&str; 5] = ["P", "b", "f", "Z", "I"];

pub(crate) fn draft(source: &str, words: &[String], notes: &mut Notes) -> Result<Draft, Error> {
    let words = flags::command(source, words, &["ab", "abs"])?;
    let mut url = None;
    let mut options = Vec::new();
    for given in flags::given(&words, TABLE, Style::Getopt) {
        match given {
            Given::Option(name, _) if QUIET.contains(&name) => {
                notes.add("options for ab's own output have no meaning here")
            }
            Given::Option(name, _) if OTHER.contains(&name) => notes.add(format!("-{name}: not translated")),
            Given::Option(name, value) => options.push((name, value)),
            Given::Word(word) => url = Url::parse(&word).or(url),
            Given::Unknown(word) => notes.add(format!("{word}: ab has no such option, left out")),
            Given::Lacking(name) => return Err(Error::Usage(format!("-{name} needs a value"))),
        }
    }
    let url = url.ok_or_else(|| Error::Nothing("the command line has no http URL".to_owned()))?;
    let last = |wanted: &str| {
        options.iter().rev().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str())
    };
    let count =
        |name: &str| last(name).and_then(|value| value.parse::<u64>().ok()).filter(|count| *count > 0);
    let users = count("c").unwrap_or(1);
    let mut draft =
        Draft { name: format!("ab {}", url.host), target: url.origin.clone(), ..Draft::default() };
    draft.comments = vec!["Made from a command line of ab.".to_owned()];
    draft.load = match (count("t"), count("n")) {
        (Some(seconds), requests) => {
            if requests.is_some() {
                notes.add("-t with -n: ab ends with the first of both, the plan with the time");
            }
            closed(users, seconds.saturating_mul(1000), notes)
        }
        (None, requests) => closed_iterations(users, requests.unwrap_or(1), notes),
    };
    draft.load_comments = vec![
        "ab is a closed loop: each of its -c workers sends when its last answer is there. To learn what"
            .to_owned(),
        "users wait who do not wait for each other, use `model: open`.".to_owned(),
    ];
    let per = if last("k").is_some() { "user" } else { "iteration" };
    let remark = if per == "user" { "-k" } else { "without -k, ab closes each connection" };
    draft.load.push(entry("connections", Yaml::Flow(vec![entry("per", plain(per))])).remark(remark));
    settings(&options, &mut draft, notes);
    let request = request(&url, &options, notes);
    if known_method(&request.method, notes).is_none() {
        return Err(Error::Nothing(format!("a plan cannot send the method {}", request.method)));
    }
    let scenario = Scenario {
        name: "ab".to_owned(),
        steps: vec![Step::Request(Box::new(request))],
        ..Scenario::default()
    };
    draft.scenarios = vec![scenario];
    Ok(draft)
}

fn settings(options: &[(&'static str, String)], draft: &mut Draft, notes: &mut Notes) {
    for (name, value) in options {
        match *name {
            "X" => match crate::url::proxy(value) {
                Some(proxy) => put(draft, entry("network", Yaml::Map(vec![entry("proxy", text(proxy))]))),
                None => notes.add(format!("-X {value}: only http proxies can be used, left out")),
            },
            "B" => {
                if let Some(setting) = source_address(value, notes) {
                    put(draft, setting);
                }
            }
            "E" if draft.target.starts_with("https:") => {
                let files = vec![entry("certificate", text(value)), entry("key", text(value))];
                put(draft, entry("tls", Yaml::Map(files)));
            }
            "E" => notes.add("-E: a certificate has no effect on an http target"),
            "l" => notes.add("-l: answers may differ in length here anyway"),
            _ => {}
        }
    }
    if draft.target.starts_with("https:") {
        notes.add("ab believes any certificate; the plan does not, unless it says `tls: { insecure: true }`");
    }
}

fn request(url: &Url, options: &[(&'static str, String)], notes: &mut Notes) -> crate::draft::Request {
    let mut request = get(url);
    let mut media_type = None;
    for (name, value) in options {
        match *name {
            "H" => match flags::header(value) {
                Some(header) => request.headers.push(header),
                None => notes.add("-H: text without a colon is no header, left out"),
            },
            "C" => request.headers.push(("cookie".to_owned(), literal(value))),
            "A" => request.auth = Some(basic(value)),
            "T" => media_type = Some(value.clone()),
            "i" => request.method = "head".to_owned(),
            "m" => request.method = value.to_ascii_lowercase(),
            "p" | "u" => {
                request.method = if *name == "p" { "post" } else { "put" }.to_owned();
                request.body = Body::File(value.clone());
                notes.add(format!("body from the file {value}: put it beside the plan"));
            }
            "s" => {
                request.timeout = value
                    .parse()
                    .ok()
                    .filter(|s| (1..=3600).contains(s))
                    .map(|s: u64| span::show_ms(s * 1000))
            }
            _ => {}
        }
    }
    if matches!(request.body, Body::File(_)) {
        let media_type = media_type.unwrap_or_else(|| "text/plain".to_owned());
        request.headers.push(("content-type".to_owned(), literal(&media_type)));
    }
    if let Some(Auth::Basic { .. }) = &request.auth {
        request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
    }
    request.name = Some(format!("{} {}", request.method.to_uppercase(), crate::names::stable(&url.path)));
    request
}
