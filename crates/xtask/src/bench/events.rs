//! What raw events cost a driver, beside a run without them.
//!
//! One engine thread, 64 connections, as fast as nginx answers: without raw events, with those of failures (there are none),
//! with a sample of a hundredth, and with all of them, in turn. CPU time per request of the engine's thread, which raw events
//! may not burden, and of the whole process, which makes batches of them beside it. What Kafka's client costs is not in it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::engine::measure::Spread;
use super::engine::servers::Nginx;
use crate::process::{GENERATOR_CORE, measure, pinned};
use crate::run::{built, command, run as run_loudly};

/// What plans ask for; the first is what the others are compared with.
const ASKED: [&str; 4] = ["none", "errors", "sample 1%", "all"];

/// What is asked of `events: all`: ratios of the engine's thread and of the process.
const GOALS: (f64, f64) = (1.05, 1.25);

/// How long, and how often.
#[derive(Debug, Args)]
pub struct Options {
    /// Turns that are counted
    #[arg(long, default_value_t = 7, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pairs: u16,

    /// Seconds of each round
    #[arg(long, default_value_t = 5, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

/// One round.
#[derive(Debug, Clone, Copy)]
struct Round {
    engine_us: f64,
    process_us: f64,
}

/// Builds, measures, and prints a table.
pub fn run(options: &Options) -> Result<()> {
    run_loudly(&mut command("cargo build --release --locked --package cluster --example events"))?;
    let folder = std::env::temp_dir().join(format!("groundswell-bench-events-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let measured = take_turns(options, &folder);
    fs::remove_dir_all(&folder).ok();
    measured
}

fn take_turns(options: &Options, folder: &Path) -> Result<()> {
    let nginx = Nginx::start(folder)?;
    let mut rounds: [Vec<Round>; ASKED.len()] = Default::default();
    for turn in 0..=options.pairs {
        for (asked, rounds) in ASKED.into_iter().zip(&mut rounds) {
            let round = round(folder, &nginx.url(), asked, options.seconds)?;
            eprintln!(
                "  turn {turn}: {asked:<10} engine {:6.3} µs, process {:6.3} µs",
                round.engine_us, round.process_us
            );
            // The first is for the caches.
            if turn > 0 {
                rounds.push(round);
            }
        }
    }
    println!(
        "\nCPU time per request, against `events: none` (median, least to greatest of {} turns)",
        options.pairs
    );
    println!("| events | engine thread | ratio | process | ratio |\n| --- | --- | --- | --- | --- |");
    for (asked, own) in ASKED.into_iter().zip(&rounds) {
        let figure = |of: fn(&Round) -> f64| -> Result<String> {
            let us = Spread::of(own.iter().map(of)).context("no turn")?.median;
            let ratios = own.iter().zip(&rounds[0]).map(|(round, none)| of(round) / of(none));
            let Spread { median, least, most } = Spread::of(ratios).context("no turn")?;
            Ok(format!("{us:.3} µs | {median:.3} ({least:.3} to {most:.3})"))
        };
        println!(
            "| {asked} | {} | {} |",
            figure(|round| round.engine_us)?,
            figure(|round| round.process_us)?
        );
    }
    println!("asked of `all`: at most {} and {}", GOALS.0, GOALS.1);
    Ok(())
}

fn round(folder: &Path, url: &str, asked: &str, seconds: u64) -> Result<Round> {
    let file = folder.join("plan.json");
    let plan = json!({
        "version": 1, "name": "bench", "target": url.trim_end_matches('/'), "events": asked,
        "load": {"model": "avalanche", "requests_per_driver": 1_000_000_000_u64, "connections": 64},
        "scenarios": {"bench": {"steps": [{"get": "/"}]}},
    });
    fs::write(&file, plan.to_string())?;
    let arguments = [file.display().to_string(), seconds.to_string()];
    let arguments = arguments.each_ref().map(String::as_str);
    let finished = measure(&mut pinned(GENERATOR_CORE, built("examples/events"), &arguments))?;
    let said: Value = serde_json::from_str(finished.text().trim())
        .with_context(|| format!("the example said: {}", finished.said()))?;
    let number = |name: &str| said[name].as_f64().with_context(|| format!("no {name} in {said}"));
    ensure!(number("requests")? > 0.0, "nothing was sent: {said}");
    ensure!(number("dropped")? == 0.0, "raw events were dropped: {said}");
    ensure!(
        asked != "all" || number("produced")? >= number("requests")?,
        "not all of them were made: {said}"
    );
    Ok(Round { engine_us: number("engine_us")?, process_us: number("process_us")? })
}
