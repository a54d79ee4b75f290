//! The peers: how each is asked for a load, and how many requests it says it completed.

use std::process::Command;

use anyhow::{Context, Result};

use super::Bench;
use super::measure::{Contestant, Round};
use crate::process::{GENERATOR_CORE, pinned};

/// More requests than any of them makes in a second: ab takes no time limit without a count, and makes room for it.
const MOST_PER_S: u64 = 200_000;

/// What is asked for: as often as it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Over so many kept connections.
    Kept(u32),
    /// Each request over a connection of its own, so many at a time.
    PerRequest(u32),
    /// HTTP/2 with prior knowledge, over so many connections of so many streams each.
    Http2 { connections: u32, streams: u32 },
}

impl Shape {
    /// Requests that may be in flight when a generator ends.
    pub fn in_flight(self) -> u32 {
        match self {
            Self::Kept(connections) | Self::PerRequest(connections) => connections,
            Self::Http2 { connections, streams } => connections * streams,
        }
    }
}

/// A load generator of other make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Wrk,
    Ab,
    H2load,
    Hey,
    Oha,
    K6,
}

impl Tool {
    /// The program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Wrk => "wrk",
            Self::Ab => "ab",
            Self::H2load => "h2load",
            Self::Hey => "hey",
            Self::Oha => "oha",
            Self::K6 => "k6",
        }
    }

    /// Whether it can be started.
    pub fn is_installed(self) -> bool {
        is_installed(self.program())
    }

    /// Its name with its version.
    pub fn version(self) -> String {
        let flag = match self {
            Self::Wrk => "-v",
            Self::Ab => "-V",
            Self::H2load | Self::Oha => "--version",
            Self::K6 => "version",
            // It has no way to ask.
            Self::Hey => return self.program().to_owned(),
        };
        let output = Command::new(self.program()).arg(flag).output();
        let text =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        format!("{} {}", self.program(), version_in(&text).unwrap_or("of unknown version"))
    }

    /// Asks `url` in that way for the seconds of the measurement, in turn with others.
    pub fn contestant<'a>(self, bench: &'a Bench, url: String, shape: Shape) -> Contestant<'a> {
        Contestant::new(self.version(), move || self.round(bench, &url, shape))
    }

    /// Asks `url` in that way for the seconds of the measurement.
    pub fn round(self, bench: &Bench, url: &str, shape: Shape) -> Result<Round> {
        let mut command = self.command(bench, url, shape)?;
        let count = |text: &str| self.completed(text);
        let (round, _) = bench.round(&mut command, shape.in_flight(), count)?;
        Ok(round)
    }

    fn command(self, bench: &Bench, url: &str, shape: Shape) -> Result<Command> {
        let (seconds, most) = (bench.seconds.to_string(), (bench.seconds * MOST_PER_S).to_string());
        let with_unit = format!("{seconds}s");
        let (connections, streams) = match shape {
            Shape::Kept(connections) | Shape::PerRequest(connections) => (connections, 1),
            Shape::Http2 { connections, streams } => (connections, streams),
        };
        let (c, m) = (connections.to_string(), streams.to_string());
        let script;
        let arguments: Vec<&str> = match self {
            Self::Wrk => vec!["-t1", "-c", &c, "-d", &with_unit, url],
            // -t sets a count of its own, which -n behind it changes again.
            Self::Ab if matches!(shape, Shape::Kept(_)) => {
                vec!["-q", "-k", "-t", &seconds, "-n", &most, "-c", &c, url]
            }
            Self::Ab => vec!["-q", "-t", &seconds, "-n", &most, "-c", &c, url],
            Self::H2load if matches!(shape, Shape::Kept(_)) => {
                vec!["--h1", "-t1", "-c", &c, "-D", &seconds, url]
            }
            Self::H2load => vec!["-t1", "-c", &c, "-m", &m, "-D", &seconds, url],
            Self::Hey => vec!["-cpus", "1", "-z", &with_unit, "-c", &c, url],
            Self::Oha => vec!["--no-tui", "-z", &with_unit, "-c", &c, url],
            Self::K6 => {
                let file = bench.folder.join("k6.js");
                let text = format!(
                    "import http from 'k6/http';\nexport const options = {{ discardResponseBodies: true }};\n\
                     export default function () {{ http.get('{url}'); }}\n"
                );
                std::fs::write(&file, text).context("cannot write the script of k6")?;
                script = file.display().to_string();
                vec!["run", "--no-color", "--vus", &c, "--duration", &with_unit, &script]
            }
        };
        Ok(pinned(GENERATOR_CORE, self.program(), &arguments))
    }

    /// How many requests it says were completed, all of them well; `None` when it says something else.
    fn completed(self, text: &str) -> Option<f64> {
        let after = |start: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(start))?;
            line.split_whitespace().next()?.parse().ok()
        };
        match self {
            Self::Wrk if text.contains("Socket errors") || text.contains("Non-2xx") => None,
            Self::Wrk => {
                text.lines().find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok())
            }
            Self::Ab if after("Failed requests:") != Some(0.0) => None,
            Self::Ab => after("Complete requests:"),
            // requests: 4321 total, 4385 started, 4321 done, …
            Self::H2load => {
                let line = text.lines().find(|line| line.starts_with("requests: "))?;
                let done = line.split(", ").find_map(|part| part.strip_suffix(" done"))?;
                done.parse().ok()
            }
            Self::Hey | Self::Oha => after("[200]"),
            // http_reqs......................: 12345  1234.5/s
            Self::K6 => {
                let line = text.lines().find(|line| line.trim().starts_with("http_reqs"))?;
                line.split_once(':')?.1.split_whitespace().next()?.parse().ok()
            }
        }
    }
}

/// wrk with a rate, and with times that count from when a request should have left. It has no other version than wrk's.
pub const WRK2: &str = "wrk2";

/// A round of wrk2 at `per_s` requests a second.
pub fn wrk2(bench: &Bench, url: &str, connections: u32, per_s: f64) -> Result<Round> {
    let (c, r, d) = (connections.to_string(), format!("{per_s:.0}"), format!("{}s", bench.seconds));
    let mut command = pinned(GENERATOR_CORE, WRK2, &["-t1", "-c", &c, "-d", &d, "-R", &r, url]);
    Ok(bench.round(&mut command, connections, |text| Tool::Wrk.completed(text))?.0)
}

/// Whether a program can be started.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The first word that begins as a version does, perhaps behind a `v`, a slash or a bracket.
fn version_in(text: &str) -> Option<&str> {
    let words = text.split(|c: char| c.is_whitespace() || "/-<>$(),".contains(c));
    let words = words.map(|word| word.trim_start_matches('v'));
    words.into_iter().find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_says_how_many_it_completed() {
        for (tool, text, count) in [
            (
                Tool::Wrk,
                "  429881 requests in 5.10s, 77.07MB read\nRequests/sec:  84290.1\n",
                Some(429_881.0),
            ),
            (
                Tool::Wrk,
                "  5 requests in 5.10s\n  Socket errors: connect 0, read 7, write 0, timeout 0\n",
                None,
            ),
            (Tool::Ab, "Complete requests:      50000\nFailed requests:        0\n", Some(50_000.0)),
            (Tool::Ab, "Complete requests:      50000\nFailed requests:        3\n", None),
            (
                Tool::H2load,
                "requests: 250000 total, 250064 started, 249999 done, 249999 succeeded, 0 failed\n",
                Some(249_999.0),
            ),
            (Tool::Hey, "Status code distribution:\n  [200]\t98765 responses\n", Some(98_765.0)),
            (Tool::Oha, "  [200] 4321 responses\n", Some(4321.0)),
            (Tool::K6, "     http_reqs......................: 61234  12246.7/s\n", Some(61_234.0)),
            (Tool::Hey, "unknown", None),
        ] {
            assert_eq!(tool.completed(text), count, "{tool:?}");
        }
    }

    #[test]
    fn versions_are_found() {
        assert_eq!(version_in("wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012"), Some("4.1.0"));
        assert_eq!(version_in("This is ApacheBench, Version 2.3 <$Revision: 1$>"), Some("2.3"));
        assert_eq!(version_in("h2load nghttp2/1.52.0"), Some("1.52.0"));
        assert_eq!(version_in("k6 v1.8.0 (go1.25, linux/amd64)"), Some("1.8.0"));
        assert_eq!(version_in("none"), None);
    }
}
