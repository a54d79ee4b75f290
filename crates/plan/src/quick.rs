//! The quick form: `swell run URL` with a few options instead of a file.

use std::fmt::Display;
use std::time::Duration;

use crate::diagnostic::{Diagnostic, Wrong};
use crate::limits;
use crate::parse::parse;
use crate::plan::Plan;
use crate::quantity::{parse_count, parse_rate, parse_span};
use crate::render::{Model, OneStep};
use crate::step::{METHODS, check_header_name, check_header_value};
use crate::target::{Scheme, Target};

/// How diagnostics name the form.
const FORM: &str = "swell run";

/// The options, as they were typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quick {
    /// What to request, with scheme and path.
    pub url: String,
    /// `--rate`, such as `500/s`.
    pub rate: Option<String>,
    /// `--for`, such as `30s`.
    pub duration: Option<String>,
    /// `--users`.
    pub users: Option<u64>,
    /// `--requests`.
    pub requests: Option<u64>,
    /// `--connections`.
    pub connections: Option<u64>,
    /// `--method`; default `GET`.
    pub method: Option<String>,
    /// `--header`, each `Name: value`.
    pub headers: Vec<String>,
    /// `--body`.
    pub body: Option<String>,
    /// `--timeout`, such as `5s`.
    pub timeout: Option<String>,
    /// `--http2`.
    pub http2: bool,
    /// `--insecure`.
    pub insecure: bool,
    /// `--seed`.
    pub seed: Option<u64>,
}

/// The plan of the quick form: `--rate` with `--for` is an open load, `--users` with `--for` or `--requests` a closed
/// one, `--requests` with or without `--connections` an avalanche.
///
/// # Errors
/// All faults. One with the code `usage` says that options do not go together, which is a fault of the command line
/// rather than of a plan.
pub fn quick(quick: &Quick) -> Result<Plan, Vec<Diagnostic>> {
    let mut reader = Reader::default();
    let split = reader.check("URL", &quick.url, Target::split(&quick.url));
    let load = reader.load(quick);
    let method = reader.method(quick.method.as_deref().unwrap_or("GET"));
    let headers = reader.headers(&quick.headers);
    let timeout = quick
        .timeout
        .as_ref()
        .and_then(|text| reader.check("--timeout", text, parse_span(text, "the timeout", limits::WAIT)));
    let (Some((target, path)), Some(load), Some(method), true) =
        (split, load, method, reader.faults.is_empty())
    else {
        return Err(reader.faults);
    };
    if quick.insecure && target.scheme == Scheme::Http {
        let wrong = Wrong::new("usage", "--insecure goes with an https URL");
        return Err(vec![wrong.in_field(FORM, "--insecure", "")]);
    }
    let name = format!("{} {}{path}", method.to_uppercase(), target.authority());
    let plan = OneStep {
        name: name.chars().take(limits::NAME_CHARS).collect(),
        target,
        http2: quick.http2,
        insecure: quick.insecure,
        seed: quick.seed,
        load,
        method,
        path,
        headers,
        body: quick.body.clone(),
        timeout,
    };
    parse(FORM, &plan.text())
}

#[derive(Default)]
struct Reader {
    faults: Vec<Diagnostic>,
}

impl Reader {
    fn check<T>(&mut self, option: &str, text: impl Display, value: Result<T, Wrong>) -> Option<T> {
        value.map_err(|wrong| self.faults.push(wrong.in_field(FORM, option, &text.to_string()))).ok()
    }

    fn load(&mut self, quick: &Quick) -> Option<Model> {
        let Quick { rate, duration, users, requests, connections, .. } = quick;
        match (rate, duration, users, requests, connections) {
            (Some(rate), Some(duration), None, None, None) => {
                let parsed = self.check("--rate", rate, parse_rate(rate, "the rate"));
                let duration = self.duration(duration);
                Some(Model::Open { rate: parsed?, duration: duration? })
            }
            (None, Some(duration), Some(users), None, None) => {
                let (users, duration) = (self.users(*users), self.duration(duration));
                Some(Model::Users { users: users?, duration: duration? })
            }
            (None, None, Some(users), Some(requests), None) => {
                let (users, iterations) = (self.users(*users), self.requests(*requests));
                Some(Model::Iterations { users: users?, iterations: iterations? })
            }
            (None, None, None, Some(requests), connections) => {
                let requests = self.requests(*requests);
                if let Some(connections) = connections {
                    let most = u64::from(limits::CONNECTIONS);
                    let count = parse_count(&connections.to_string(), "the number of connections", 1, most);
                    self.check("--connections", connections, count);
                }
                Some(Model::Avalanche { requests: requests?, connections: *connections, limit: None })
            }
            _ => {
                let wrong = Wrong::new("usage", "these options do not make a load together");
                let help = "give --rate and --for, --users and --for or --requests, or --requests and, if wanted, \
                            --connections";
                self.check("options", quick.given(), Err(wrong.help(help)))
            }
        }
    }

    fn duration(&mut self, text: &str) -> Option<Duration> {
        self.check("--for", text, parse_span(text, "the length", limits::RUN))
    }

    fn users(&mut self, users: u64) -> Option<u32> {
        let count = parse_count(&users.to_string(), "the number of users", 1, u64::from(limits::USERS));
        self.check("--users", users, count).and_then(|users| u32::try_from(users).ok())
    }

    fn requests(&mut self, requests: u64) -> Option<u64> {
        let what = "the number of requests";
        let count = parse_count(&requests.to_string(), what, 1, limits::REQUESTS_PER_DRIVER);
        self.check("--requests", requests, count)
    }

    fn method(&mut self, method: &str) -> Option<String> {
        let key = method.to_ascii_lowercase();
        let known = METHODS.contains(&key.as_str());
        let unknown = || Wrong::new("unknown_value", format!("the method cannot be \"{method}\""));
        self.check(
            "--method",
            method,
            if known { Ok(key) } else { Err(unknown().suggest(&key, &METHODS, &[])) },
        )
    }

    fn headers(&mut self, headers: &[String]) -> Vec<(String, String)> {
        headers.iter().filter_map(|text| self.check("--header", text, header(text))).collect()
    }
}

fn header(text: &str) -> Result<(String, String), Wrong> {
    let missing =
        || Wrong::new("bad_header", "a header has a colon").help("write it like \"accept: text/html\"");
    let (name, value) = text.split_once(':').ok_or_else(missing)?;
    check_header_name(name)?;
    check_header_value(value.trim())?;
    Ok((name.to_owned(), value.trim().to_owned()))
}

impl Quick {
    /// The options that say how much to send, as far as they were given.
    fn given(&self) -> String {
        let options = [
            ("--rate", self.rate.is_some()),
            ("--for", self.duration.is_some()),
            ("--users", self.users.is_some()),
            ("--requests", self.requests.is_some()),
            ("--connections", self.connections.is_some()),
        ];
        let given: Vec<&str> =
            options.iter().filter(|(_, given)| *given).map(|(option, _)| *option).collect();
        given.join(" ")
    }
}
