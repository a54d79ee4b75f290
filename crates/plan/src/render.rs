//! Plan text for the forms, so that what they ask for goes through the same door as a file and is stored as one.

use std::fmt::Write as _;
use std::time::Duration;

use crate::json::quote;
use crate::quantity::{Rate, show_span};
use crate::target::Target;

/// A plan with one step.
#[derive(Debug)]
pub(crate) struct OneStep {
    pub name: String,
    pub target: Target,
    pub http2: bool,
    pub insecure: bool,
    pub seed: Option<u64>,
    pub load: Model,
    /// Lower case, as the key of a step.
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    pub timeout: Option<Duration>,
}

/// The load of such a plan.
#[derive(Debug)]
pub(crate) enum Model {
    Avalanche { requests: u64, connections: Option<u64>, limit: Option<Rate> },
    Tsunami { requests: u64, delay: Duration, limit: Option<Rate> },
    Open { rate: Rate, duration: Duration },
    Users { users: u32, duration: Duration },
    Iterations { users: u32, iterations: u64 },
}

impl OneStep {
    /// Its text. Everything that came from outside stands in quotes.
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![
            "version: 1".to_owned(),
            format!("name: {}", quote(&self.name)),
            format!("target: {}", quote(&self.target.to_string())),
        ];
        lines.extend(self.http2.then(|| "http: 2".to_owned()));
        lines.extend(self.insecure.then(|| "tls: { insecure: true }".to_owned()));
        lines.extend(self.seed.map(|seed| format!("seed: {seed}")));
        lines.push("load:".to_owned());
        lines.extend(self.load.lines().into_iter().map(|line| format!("  {line}")));
        lines.push("scenarios:".to_owned());
        lines.push("  main:".to_owned());
        lines.push("    steps:".to_owned());
        lines.push(format!("      - {}: {}", self.method, quote(&self.path)));
        if !self.headers.is_empty() {
            lines.push("        headers:".to_owned());
            let headers = self.headers.iter();
            lines.extend(headers.map(|(name, value)| format!("          {}: {}", quote(name), quote(value))));
        }
        lines.extend(self.body.iter().map(|body| format!("        body: {}", quote(body))));
        lines.extend(self.timeout.map(|timeout| format!("        timeout: {}", show_span(timeout))));
        lines.iter().fold(String::new(), |mut text, line| {
            // Writing to a string cannot fail.
            writeln!(text, "{line}").ok();
            text
        })
    }
}

impl Model {
    fn lines(&self) -> Vec<String> {
        let limit =
            |limit: &Option<Rate>| limit.map(|limit| format!("target_throughput_per_driver: {limit}"));
        match self {
            Self::Avalanche { requests, connections, limit: rate } => {
                let mut lines =
                    vec!["model: avalanche".to_owned(), format!("requests_per_driver: {requests}")];
                lines.extend(connections.map(|connections| format!("connections: {connections}")));
                lines.extend(limit(rate));
                lines
            }
            Self::Tsunami { requests, delay, limit: rate } => {
                let mut lines = vec!["model: tsunami".to_owned(), format!("requests_per_driver: {requests}")];
                lines.push(format!("delay: {}", show_span(*delay)));
                lines.extend(limit(rate));
                lines
            }
            Self::Open { rate, duration } => vec![
                "model: open".to_owned(),
                "stages:".to_owned(),
                format!("  - {{ name: hold, at: {rate}, for: {} }}", show_span(*duration)),
            ],
            Self::Users { users, duration } => vec![
                "model: closed".to_owned(),
                "stages:".to_owned(),
                format!("  - {{ name: hold, users: {users}, for: {} }}", show_span(*duration)),
            ],
            Self::Iterations { users, iterations } => vec![
                "model: closed".to_owned(),
                format!("users: {users}"),
                format!("iterations: {iterations}"),
            ],
        }
    }
}
