//! How long history takes to answer: a run of an hour with 500 steps, and the list of 10,000 runs.
//!
//! The store is filled by its own ingest and served by a real orchestrator. Each question is asked several times; the
//! first answer of all finds nothing in the caches of the program, and everything in those of the system.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use xtask::services::Kafka;

use super::fleet::{Fleet, line_after};
use crate::run::{built, command, run as run_loudly};

/// Runs in the list, beside the long one.
const RUNS: &str = "10000";
/// How often each question is asked.
const ASKED: usize = 11;
/// The identity of the long run, as the example of the store names it.
const HOUR: &str = "hour";

/// What is asked of the API, and the goal in ms.
const CALLS: &[(&str, u32)] = &[
    ("/runs", 50),
    ("/runs?limit=10000", 50),
    ("/runs/hour/series", 100),
    ("/runs/hour/series?resolution=1", 100),
    ("/runs/hour/series?resolution=10", 100),
    ("/runs/hour/series?resolution=60", 100),
    ("/runs/hour/series?step=GET%20/items/250", 100),
    ("/runs/hour/series?step=GET%20/items/250&resolution=1", 100),
    ("/runs/hour/series?step=GET%20/items/250&resolution=10", 100),
    ("/runs/hour/series?step=GET%20/items/250&resolution=60", 100),
    ("/runs/hour/summary", 100),
    ("/runs/hour", 100),
];

/// What is asked of the command line, which opens the store each time; the goal in ms.
const COMMANDS: &[(&[&str], u32)] = &[
    (&["runs", "--limit", RUNS], 50),
    (&["report", HOUR], 100),
    (&["report", HOUR, "--format", "json"], 100),
];

/// Builds, fills a store, measures, and prints the times.
pub fn run() -> Result<()> {
    run_loudly(&mut command("cargo build --release --locked --package swell"))?;
    let folder = std::env::temp_dir().join(format!("groundswell-bench-history-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let measured = measure(&folder);
    fs::remove_dir_all(&folder).ok();
    measured
}

fn measure(folder: &Path) -> Result<()> {
    let data = folder.join("swell-data");
    let mut fill = command("cargo run --release --locked --quiet --package store --example history --");
    run_loudly(fill.arg(&data).arg(RUNS))?;
    for (arguments, goal_ms) in COMMANDS {
        let times = asked(|| {
            let mut swell = Command::new(built("swell"));
            let output =
                swell.args(*arguments).arg("--store").arg(&data).stderr(Stdio::inherit()).output()?;
            ensure!(output.status.success(), "swell {} ended with {}", arguments.join(" "), output.status);
            Ok(output.stdout.len())
        })?;
        report(&format!("swell {}", arguments.join(" ")), *goal_ms, &times);
    }
    let mut kafka = Kafka::start()?;
    let fleet = Fleet::start(&kafka, folder, None)?;
    let api = line_after(folder, "orchestrator", "dashboard on ")? + "/api/v1";
    let agent = ureq::agent();
    for (path, goal_ms) in CALLS {
        let times = asked(|| {
            let mut answer = agent.get(format!("{api}{path}")).call().with_context(|| (*path).to_owned())?;
            Ok(answer.body_mut().with_config().limit(64 << 20).read_to_vec()?.len())
        })?;
        report(&format!("GET {path}"), *goal_ms, &times);
    }
    drop(fleet);
    kafka.stop()
}

/// What one question cost, each time it was asked, and the bytes of the answer.
struct Times {
    took: Vec<Duration>,
    bytes: usize,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a task of the project; the clock crate is for what runs in a test"
)]
fn asked(mut ask: impl FnMut() -> Result<usize>) -> Result<Times> {
    let mut times = Times { took: Vec::with_capacity(ASKED), bytes: 0 };
    for _ in 0..ASKED {
        let started = Instant::now();
        times.bytes = ask()?;
        times.took.push(started.elapsed());
    }
    Ok(times)
}

fn report(question: &str, goal_ms: u32, times: &Times) {
    let ms = |took: Duration| took.as_secs_f64() * 1e3;
    let mut sorted = times.took.clone();
    sorted.sort_unstable();
    let (middle, slowest) = (ms(sorted[ASKED / 2]), ms(sorted[ASKED - 1]));
    let over = if middle >= f64::from(goal_ms) { "  OVER" } else { "" };
    println!(
        "{question:<62} first {:>7.1} ms, middle {middle:>7.1}, slowest {slowest:>7.1}, goal {goal_ms:>3}; {:>9} bytes{over}",
        ms(times.took[0]),
        times.bytes
    );
}
