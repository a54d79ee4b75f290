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
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use xtask::services::Kafka;

use crate::run::{built, command, run as run_loudly};

/// Requests a second of the measured driver.
const RATE: u32 = 50_000;
/// Steps of the large plan, and drivers that run it.
const STEPS: usize = 500;
const DRIVERS: usize = 64;
/// How long CPU is counted.
const COUNTED: Duration = Duration::from_secs(15);
/// How long anything may take to be ready.
const PATIENCE: Duration = Duration::from_secs(120);

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
    let system = System::start(&kafka, folder)?;
    let driver = system.driver("d0")?;
    system.wait_idle(1)?;
    sleep(Duration::from_secs(5));
    println!("idle driver: {:.1} MiB resident", resident_mib(driver.id())?);

    let load =
        json!({"model": "open", "stages": [{"name": "hold", "at": format!("{RATE}/s"), "for": "30s"}]});
    let run_id = system.start_run(&system.plan(&load, 1))?;
    system.wait_sent(&run_id, u64::from(RATE) * 5)?;
    let before = threads(driver.id())?;
    sleep(COUNTED);
    let after = threads(driver.id())?;
    report_threads(&before, &after);
    system.wait_over(&run_id)?;

    let mut fleet = vec![driver];
    for number in 1..DRIVERS {
        fleet.push(system.driver(&format!("d{number}"))?);
    }
    system.wait_idle(DRIVERS)?;
    let load = json!({"model": "open", "stages": [{"name": "hold", "at": "6400/s", "for": "30s"}]});
    let run_id = system.start_run(&system.plan(&load, STEPS))?;
    system.wait_over(&run_id)?;
    println!(
        "orchestrator after a run of {DRIVERS} drivers and {STEPS} steps: {:.1} MiB resident, {:.1} MiB at most",
        resident_mib(system.orchestrator.id())?,
        peak_mib(system.orchestrator.id())?,
    );
    drop(fleet);
    drop(system);
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

fn resident_mib(pid: u32) -> Result<f64> {
    status_mib(pid, "VmRSS:")
}

fn peak_mib(pid: u32) -> Result<f64> {
    status_mib(pid, "VmHWM:")
}

fn status_mib(pid: u32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such field in status")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// A process that ends with this value.
pub(super) struct Process(Child);

impl Process {
    fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A broker's users: orchestrator and target, and drivers on demand.
struct System {
    kafka: String,
    folder: std::path::PathBuf,
    api: String,
    target: String,
    orchestrator: Process,
    _target: Process,
}

impl System {
    fn start(kafka: &Kafka, folder: &Path) -> Result<Self> {
        let target = spawn(folder, "target", &["target", "--listen", "127.0.0.1:0"])?;
        let broker = kafka.address();
        let arguments = ["orchestrator", "--kafka", &broker, "--listen", "127.0.0.1:0"];
        let orchestrator = spawn(folder, "orchestrator", &arguments)?;
        Ok(Self {
            api: line_after(folder, "orchestrator", "dashboard on ")? + "/api/v1",
            target: line_after(folder, "target", "target on ")?,
            kafka: broker,
            folder: folder.to_owned(),
            orchestrator,
            _target: target,
        })
    }

    fn driver(&self, name: &str) -> Result<Process> {
        spawn(&self.folder, name, &["driver", "--kafka", &self.kafka, "--node-id", name, "--threads", "1"])
    }

    fn plan(&self, load: &Value, steps: usize) -> Value {
        let scenarios = (0..steps).map(|number| {
            let step = json!({"get": "/ping", "name": format!("step {number}")});
            (format!("scenario {number}"), json!({"steps": [step]}))
        });
        let scenarios: serde_json::Map<_, _> = scenarios.collect();
        json!({"version": 1, "name": "bench", "target": self.target, "load": load, "scenarios": scenarios})
    }

    fn start_run(&self, plan: &Value) -> Result<String> {
        let answer: Value =
            ureq::post(format!("{}/runs?start=true", self.api)).send_json(plan)?.body_mut().read_json()?;
        Ok(answer["run_id"].as_str().context("no run_id in the answer")?.to_owned())
    }

    fn get(&self, path: &str) -> Result<Value> {
        Ok(ureq::get(format!("{}{path}", self.api)).call()?.body_mut().read_json()?)
    }

    fn wait_idle(&self, count: usize) -> Result<()> {
        wait("idle drivers", || {
            let drivers = self.get("/drivers")?;
            let drivers = drivers["drivers"].as_array().context("no drivers in the answer")?;
            Ok(drivers.iter().filter(|driver| driver["state"] == "idle").count() >= count)
        })
    }

    fn wait_sent(&self, run_id: &str, sent: u64) -> Result<()> {
        wait("requests", || {
            let summary = self.get(&format!("/runs/{run_id}/summary"))?;
            Ok(summary["requests"]["sent"].as_u64().unwrap_or(0) >= sent)
        })
    }

    fn wait_over(&self, run_id: &str) -> Result<()> {
        wait("the end of the run", || {
            let state =
                self.get(&format!("/runs/{run_id}"))?["state"].as_str().unwrap_or_default().to_owned();
            match state.as_str() {
                "failed" | "aborted" => bail!("the run {state}"),
                state => Ok(state == "finished"),
            }
        })
    }
}

pub(super) fn spawn(folder: &Path, name: &str, arguments: &[&str]) -> Result<Process> {
    let log = fs::File::create(folder.join(name))?;
    let binary = built("swell");
    let mut command = Command::new(binary);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(Process(command.spawn().context("cannot start swell")?))
}

pub(super) fn line_after(folder: &Path, name: &str, start: &str) -> Result<String> {
    let mut found = None;
    wait(start, || {
        let log = fs::read_to_string(folder.join(name))?;
        found = log.lines().find_map(|line| line.strip_prefix(start).map(str::to_owned));
        Ok(found.is_some())
    })?;
    found.context("was found above")
}

fn wait(what: &str, mut ready: impl FnMut() -> Result<bool>) -> Result<()> {
    let pause = Duration::from_millis(100);
    for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
        if ready()? {
            return Ok(());
        }
        sleep(pause);
    }
    bail!("waited {PATIENCE:?} in vain for {what}")
}
