//! What the distributed run costs beside the load itself.
//!
//! * CPU of a driver at 50,000 requests a second over Kafka, by thread: engine, and everything else.
//! * Memory of an idle driver, and of an orchestrator with 64 drivers and a plan of 500 steps.
//! * Time to decode and merge one second of 100 drivers with 500 steps.
//!
//! Processes are real and talk over a real broker; CPU comes from `/proc`, by the names of threads.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use xtask::services::Kafka;

use super::fleet::{Fleet, line_after, spawn};
use crate::process::resident_mb;
use crate::run::{command, run as run_loudly};

/// Requests a second of the measured driver.
const RATE: u32 = 50_000;
/// Steps of the large plan, and drivers that run it.
const STEPS: usize = 500;
const DRIVERS: usize = 64;
/// How long CPU is counted.
const COUNTED: Duration = Duration::from_secs(15);
/// Builds the program, measures, and prints the figures.
pub fn run() -> Result<()> {
    run_loudly(&mut command("cargo build --release --locked --package swell"))?;
    run_loudly(&mut command(
        "cargo run --release --locked --quiet --package transport --example decode_and_merge",
    ))?;
    let folder = std::env::temp_dir().join(format!("groundswell-bench-transport-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let measured = measure(&folder);
    fs::remove_dir_all(&folder).ok();
    measured
}

fn measure(folder: &Path) -> Result<()> {
    let mut kafka = Kafka::start()?;
    let server = spawn(folder, "target", &["target", "--listen", "127.0.0.1:0"], None)?;
    let target = line_after(folder, "target", "target on ")?;
    let fleet = Fleet::start(&kafka, folder, None)?;
    let driver = fleet.driver("d0", None)?;
    fleet.wait_idle(1)?;
    sleep(Duration::from_secs(5));
    println!("idle driver: {:.1} MB resident", resident_mb(driver.pid())?.0);

    let load =
        json!({"model": "open", "stages": [{"name": "hold", "at": format!("{RATE}/s"), "for": "30s"}]});
    let run_id = fleet.start_run(&plan(&target, &load, 1))?;
    fleet.wait_sent(&run_id, u64::from(RATE) * 5)?;
    let before = threads(driver.pid())?;
    sleep(COUNTED);
    let after = threads(driver.pid())?;
    report_threads(&before, &after);
    fleet.wait_over(&run_id)?;

    let mut drivers = vec![driver];
    for number in 1..DRIVERS {
        drivers.push(fleet.driver(&format!("d{number}"), None)?);
    }
    fleet.wait_idle(DRIVERS)?;
    let load = json!({"model": "open", "stages": [{"name": "hold", "at": "6400/s", "for": "30s"}]});
    let run_id = fleet.start_run(&plan(&target, &load, STEPS))?;
    fleet.wait_over(&run_id)?;
    let (now_mb, peak_mb) = resident_mb(fleet.orchestrator_pid())?;
    println!(
        "orchestrator after a run of {DRIVERS} drivers and {STEPS} steps: {now_mb:.1} MB resident, {peak_mb:.1} MB at most",
    );
    drop((drivers, fleet, server));
    kafka.stop()
}

fn report_threads(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) {
    let used = |engine: bool| {
        let counted = after.iter().filter(|(name, _)| name.starts_with("engine-") == engine);
        counted.map(|(name, ticks)| ticks - before.get(name).copied().unwrap_or(0.0)).sum::<f64>()
    };
    let (engine, beside) = (used(true), used(false));
    println!(
        "driver at {RATE} requests/s: {:.1} % of its CPU outside the engine ({:.0} ms of {:.0} ms in {} s)",
        100.0 * beside / (engine + beside),
        beside * 10.0,
        (engine + beside) * 10.0,
        COUNTED.as_secs()
    );
    for (name, ticks) in after {
        let used_ms = (ticks - before.get(name).copied().unwrap_or(0.0)) * 10.0;
        if used_ms > 0.0 {
            println!("    {name:<16} {used_ms:>7.0} ms");
        }
    }
}

/// Ticks of 10 ms that each thread used so far, by name; threads of one name are added.
fn threads(pid: u32) -> Result<BTreeMap<String, f64>> {
    let mut threads = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(entry?.path().join("stat"))?;
        let (name, fields) = text.rsplit_once(") ").context("a stat file has a name in parentheses")?;
        let name = name.split_once('(').map_or("", |(_, name)| name).to_owned();
        let ticks =
            fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
        *threads.entry(name).or_insert(0.0) += ticks;
    }
    Ok(threads)
}

fn plan(target: &str, load: &Value, steps: usize) -> Value {
    let scenarios = (0..steps).map(|number| {
        let step = json!({"get": "/ping", "name": format!("step {number}")});
        (format!("scenario {number}"), json!({"steps": [step]}))
    });
    let scenarios: serde_json::Map<_, _> = scenarios.collect();
    json!({"version": 1, "name": "bench", "target": target, "load": load, "scenarios": scenarios})
}
