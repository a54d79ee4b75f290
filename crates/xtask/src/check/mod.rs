//! `cargo xtask truth`: what the generator reports, against what the target knows.
//!
//! The target is a process of its own that keeps a record of each request (`xtask::truth`), on a core of its own; the
//! generator is `swell run` on the other one. Counts and bytes must be the same, or the task fails. Times may differ by
//! what lies between the two programs, and are printed with how far they do.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use xtask::truth::{Delay, Difference, Record, Report, Settings, compare, quantile, serve};

use crate::process::{Beside, GENERATOR_CORE, SERVER_CORE, pinned};
use crate::run::{built, command, run as run_loudly};

pub mod stall;

/// Requests that a target has room for, for each that the schedule has.
const ROOM: u64 = 2;

/// The load that is checked.
#[derive(Debug, Args)]
pub struct Options {
    /// Requests per second
    #[arg(long, default_value_t = 5000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    rate: u32,

    /// How long
    #[arg(long, default_value_t = 30, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
}

/// The target as a process: serves until its standard input ends, then writes what it recorded.
#[derive(Debug, Args)]
pub struct TargetOptions {
    listen: SocketAddr,
    record: PathBuf,
    room: usize,
}

/// Serves as `options` say.
pub fn serve_truth(options: &TargetOptions) -> Result<()> {
    let listener = TcpListener::bind(options.listen).context("cannot listen")?;
    println!("{}", listener.local_addr()?);
    let record = serve(&listener, io::stdin(), Settings { spin: true, room: options.room, seed: 1 })?;
    fs::write(&options.record, record.to_text()).context("cannot write the record")
}

/// Builds, checks times and counts, and what a stall does to them.
pub fn run(options: &Options) -> Result<()> {
    run_loudly(&mut command("cargo build --release --locked --package swell"))?;
    run_loudly(&mut command("cargo build --release --locked --package engine --example load"))?;
    let folder = std::env::temp_dir().join(format!("groundswell-truth-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let checked = check(options, &folder).and_then(|holds| {
        stall::check(&folder).map(|stalled| println!("\n{}", stalled.text())).map(|()| holds)
    });
    fs::remove_dir_all(&folder).ok();
    ensure!(checked?, "counts or bytes differ from what the target recorded");
    Ok(())
}

fn check(options: &Options, folder: &Path) -> Result<bool> {
    let room = u64::from(options.rate) * u64::from(options.seconds) * ROOM;
    let target = Target::start(folder, room)?;
    let delays: Vec<Delay> = Delay::ALL.into_iter().filter(|delay| *delay != Delay::None).collect();
    let stage = json!({"at": format!("{}/s", options.rate), "for": format!("{}s", options.seconds)});
    let plan = plan(&target.address, &delays, &json!({"model": "open", "stages": [stage]}));
    let summary = swell_run(folder, &plan)?;
    let record = target.end()?;
    print_target(&record);
    let report = compare(&record, f64::from(options.rate), &summary);
    print(&report);
    println!("\nverdict of the run: {}", summary["verdict"]["value"].as_str().unwrap_or("?"));
    Ok(report.counts_hold())
}

/// How late the target's own answers were: what is below that cannot be told of the generator either.
fn print_target(record: &Record) {
    let late_us = record.requests.iter().map(|request| (request.answered_ns - request.due_ns) as f64 / 1e3);
    let mut late_us: Vec<f64> = late_us.collect();
    late_us.sort_by(f64::total_cmp);
    let late = |q| quantile(&late_us, q).unwrap_or(0.0);
    println!(
        "\nthe target answered {} requests, later than it wanted by p50 {:.1} µs, p99 {:.1} µs, p99.9 {:.1} µs",
        record.requests.len(),
        late(0.5),
        late(0.99),
        late(0.999)
    );
}

fn print(report: &Report) {
    println!("\n{:<36} {:>14} {:>14} {:>12}  ", "", "target", "swell", "difference");
    for difference in report.counts.iter().chain(&report.rates).chain(&report.times) {
        let Difference { what, truth, said, exact, holds } = difference;
        let decimals = if *exact { 0 } else { 3 };
        let holds = if *holds { "ok" } else { "DIFFERS" };
        match said {
            Some(said) => println!(
                "{what:<36} {truth:>14.decimals$} {said:>14.decimals$} {:>12.decimals$}  {holds}",
                said - truth
            ),
            None => println!("{what:<36} {truth:>14.decimals$} {:>14} {:>12}  {holds}", "–", "–"),
        }
    }
    println!("counts are exact; rates are within 1 %; times are in ms, within 1 % or 0.05 ms");
}

/// A run in one process, pinned to the generator's core; its summary.
fn swell_run(folder: &Path, plan: &Value) -> Result<Value> {
    let (file, result, store) = (folder.join("plan.json"), folder.join("result.json"), folder.join("store"));
    fs::write(&file, plan.to_string())?;
    let [file, output, store] =
        [file.display().to_string(), format!("json={}", result.display()), store.display().to_string()];
    let arguments = ["run", &file, "--threads", "1", "--quiet", "--output", &output, "--store", &store];
    let finished =
        pinned(GENERATOR_CORE, built("swell"), &arguments).output().context("cannot start swell")?;
    ensure!(finished.status.success(), "swell failed: {}", String::from_utf8_lossy(&finished.stderr));
    Ok(serde_json::from_str(&fs::read_to_string(result)?)?)
}

/// A scenario, and a step, for each of `delays`, all equally frequent.
fn plan(target: &str, delays: &[Delay], load: &Value) -> Value {
    let scenario = |delay: &Delay| {
        let step = json!({"get": format!("/{}", delay.name()), "name": delay.name()});
        (delay.name().to_owned(), json!({"steps": [step]}))
    };
    let scenarios: serde_json::Map<_, _> = delays.iter().map(scenario).collect();
    json!({"version": 1, "name": "truth", "target": format!("http://{target}"), "load": load, "scenarios": scenarios})
}

/// The target's process.
struct Target {
    process: Beside,
    address: String,
    record: PathBuf,
}

impl Target {
    fn start(folder: &Path, room: u64) -> Result<Self> {
        let (record, said) = (folder.join("record"), folder.join("target"));
        let (file, room) = (record.display().to_string(), room.to_string());
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = pinned(SERVER_CORE, program, &["truth-target", "127.0.0.1:0", &file, &room]);
        command.stdin(Stdio::piped()).stdout(fs::File::create(&said)?);
        let mut process = Beside(command.spawn().context("cannot start taskset")?);
        let mut address = String::new();
        process.wait_until("the target", || {
            address = fs::read_to_string(&said).unwrap_or_default();
            address.ends_with('\n')
        })?;
        Ok(Self { process, address: address.trim().to_owned(), record })
    }

    /// Lets it end, and reads its record.
    fn end(mut self) -> Result<Record> {
        drop(self.process.0.stdin.take());
        let status = self.process.0.wait()?;
        ensure!(status.success(), "the target failed: {status}");
        Record::parse(&fs::read_to_string(&self.record)?)
    }
}
