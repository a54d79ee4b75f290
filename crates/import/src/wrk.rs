//! A command line of wrk (a closed load) or wrk2 (with `-R`: an open one).

use crate::curl::get;
use crate::draft::{Draft, Scenario, Step, at_most, closed, open};
use crate::flags::{self, Flag, Given, Style};
use crate::notes::Notes;
use crate::url::Url;
use crate::yaml::{Yaml, entry, plain};
use crate::{Error, span};

const TABLE: &[Flag] = &[
    (&["c", "connections"], true),
    (&["d", "duration"], true),
    (&["t", "threads"], true),
    (&["s", "script"], true),
    (&["H", "header"], true),
    (&["L", "latency"], false),
    (&["U", "u_latency"], false),
    (&["timeout", "T"], true),
    (&["R", "rate"], true),
    (&["B", "batch_latency"], false),
    (&["v", "version"], false),
];

pub(crate) fn draft(source: &str, words: &[String], notes: &mut Notes) -> Result<Draft, Error> {
    let words = flags::command(source, words, &["wrk", "wrk2"])?;
    let mut url = None;
    let (mut connections, mut duration_ms, mut rate, mut timeout) = (10, 10_000, None, None);
    let mut headers = Vec::new();
    for given in flags::given(&words, TABLE, Style::Getopt) {
        match given {
            Given::Option("c", value) => connections = si(&value).ok_or_else(|| bad("-c", &value))?,
            Given::Option("d", value) => {
                duration_ms = span::parse_ms(&value, 1000.0).ok_or_else(|| bad("-d", &value))?
            }
            Given::Option("R", value) => rate = Some(si(&value).ok_or_else(|| bad("-R", &value))?),
            Given::Option("timeout", value) => timeout = span::parse_ms(&value, 1000.0),
            Given::Option("t", value) => {
                notes.add(format!("-t {value}: threads have no meaning here, see `swell run --threads`"))
            }
            Given::Option("s", value) => {
                notes.add(format!("-s {value}: a script, not translated; write its requests as steps"))
            }
            Given::Option("H", value) => match flags::header(&value) {
                Some(header) => headers.push(header),
                None => notes.add("-H: text without a colon is no header, left out"),
            },
            Given::Option(..) => notes.add("options for wrk's own output have no meaning here"),
            Given::Word(word) if word.contains("://") => url = Url::parse(&word).or(url),
            Given::Word(word) => notes.add(format!("{word}: not understood, left out")),
            Given::Unknown(word) => notes.add(format!("{word}: wrk has no such option, left out")),
            Given::Lacking(name) => return Err(Error::Usage(format!("-{name} needs a value"))),
        }
    }
    let url = url.ok_or_else(|| Error::Nothing("the command line has no http URL".to_owned()))?;
    let mut draft = Draft { target: url.origin.clone(), ..Draft::default() };
    match rate {
        Some(rate) => {
            draft.name = format!("wrk2 {}", url.host);
            draft.comments = vec!["Made from a command line of wrk2.".to_owned()];
            draft.load = open(rate as f64, 1000, duration_ms, notes);
            draft.load_comments = vec![
                "-R: requests by schedule, whose times count from when they were due, as in wrk2.".to_owned(),
            ];
            let connections = at_most("connections", connections, plan::limits::CONNECTIONS.into(), notes);
            draft.load.push(
                entry("connections", Yaml::Flow(vec![entry("max", plain(connections))]))
                    .remark("-c; of each driver"),
            );
        }
        None => {
            draft.name = format!("wrk {}", url.host);
            draft.comments = vec!["Made from a command line of wrk.".to_owned()];
            draft.load = closed(connections, duration_ms, notes);
            draft.load_comments = vec![
                "wrk is a closed loop: each of its -c connections sends when its last answer is there, so a slow".to_owned(),
                "target slows the load down. To learn what users wait, use `model: open`.".to_owned(),
            ];
            draft.load.push(entry("connections", Yaml::Flow(vec![entry("per", plain("user"))])));
        }
    }
    let mut request = get(&url);
    request.headers = headers;
    // wrk's timeout of 2 s is only counted; the answer is still taken.
    request.timeout = timeout.filter(|ms| (1..=3_600_000).contains(ms)).map(span::show_ms);
    draft.scenarios = vec![Scenario {
        name: "wrk".to_owned(),
        steps: vec![Step::Request(Box::new(request))],
        ..Scenario::default()
    }];
    Ok(draft)
}

fn bad(option: &str, value: &str) -> Error {
    Error::Usage(format!("{option} {value}: wrk would not take this"))
}

/// `1k`, `2M`.
fn si(text: &str) -> Option<u64> {
    let (digits, factor) = match text.trim_end_matches(|c: char| c.is_ascii_alphabetic()) {
        digits if digits.len() == text.len() => (digits, 1),
        digits => (
            digits,
            match &text[digits.len()..] {
                "k" | "K" => 1_000,
                "m" | "M" => 1_000_000,
                "g" | "G" => 1_000_000_000,
                _ => return None,
            },
        ),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor).filter(|count| *count > 0)
}
