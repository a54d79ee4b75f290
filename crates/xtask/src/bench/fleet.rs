//! A fleet of real processes over a real broker: an orchestrator, and drivers on demand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use xtask::services::Kafka;

use crate::process::{Beside, pinned};
use crate::run::built;

/// How long anything may take to be ready.
const PATIENCE: Duration = Duration::from_secs(120);
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// An orchestrator, and how to reach the broker.
pub struct Fleet {
    kafka: String,
    folder: PathBuf,
    api: String,
    orchestrator: Beside,
}

impl Fleet {
    /// Starts an orchestrator on `cores`, or on all of them; its logs go to `folder`.
    pub fn start(kafka: &Kafka, folder: &Path, cores: Option<&str>) -> Result<Self> {
        let kafka = kafka.address();
        let arguments = ["orchestrator", "--kafka", &kafka, "--listen", "127.0.0.1:0"];
        let orchestrator = spawn(folder, "orchestrator", &arguments, cores)?;
        let api = line_after(folder, "orchestrator", "dashboard on ")? + "/api/v1";
        Ok(Self { kafka, folder: folder.to_owned(), api, orchestrator })
    }

    /// The orchestrator's process.
    pub fn orchestrator_pid(&self) -> u32 {
        self.orchestrator.pid()
    }

    /// Starts a driver of one thread.
    pub fn driver(&self, name: &str, cores: Option<&str>) -> Result<Beside> {
        let arguments = ["driver", "--kafka", &self.kafka, "--node-id", name, "--threads", "1"];
        spawn(&self.folder, name, &arguments, cores)
    }

    /// Starts a run over all drivers; its identity.
    pub fn start_run(&self, plan: &Value) -> Result<String> {
        let answer: Value =
            ureq::post(format!("{}/runs?start=true", self.api)).send_json(plan)?.body_mut().read_json()?;
        Ok(answer["run_id"].as_str().context("no run_id in the answer")?.to_owned())
    }

    /// Lets a run end before its time.
    pub fn stop_run(&self, run_id: &str) -> Result<()> {
        ureq::post(format!("{}/runs/{run_id}/stop", self.api)).send_empty()?;
        Ok(())
    }

    /// What the API says of `path`.
    pub fn get(&self, path: &str) -> Result<Value> {
        Ok(ureq::get(format!("{}{path}", self.api)).call()?.body_mut().read_json()?)
    }

    /// The summary of a run.
    pub fn summary(&self, run_id: &str) -> Result<Value> {
        self.get(&format!("/runs/{run_id}/summary"))
    }

    /// Waits for so many drivers that have nothing to do.
    pub fn wait_idle(&self, count: usize) -> Result<()> {
        wait("idle drivers", || {
            let drivers = self.get("/drivers")?;
            let drivers = drivers["drivers"].as_array().context("no drivers in the answer")?;
            Ok(drivers.iter().filter(|driver| driver["state"] == "idle").count() >= count)
        })
    }

    /// Waits until a run has sent so many requests.
    pub fn wait_sent(&self, run_id: &str, sent: u64) -> Result<()> {
        wait("requests", || Ok(self.summary(run_id)?["requests"]["sent"].as_u64().unwrap_or(0) >= sent))
    }

    /// Waits until a run has finished.
    pub fn wait_over(&self, run_id: &str) -> Result<()> {
        wait("the end of the run", || {
            let run = self.get(&format!("/runs/{run_id}"))?;
            match run["state"].as_str().unwrap_or_default() {
                state @ ("failed" | "aborted") => bail!("the run {state}: {}", run["state_reason"]),
                state => Ok(state == "finished"),
            }
        })
    }
}

/// Starts our program on `cores`, or on all of them; what it prints goes to the file `name` in `folder`.
pub fn spawn(folder: &Path, name: &str, arguments: &[&str], cores: Option<&str>) -> Result<Beside> {
    let log = fs::File::create(folder.join(name))?;
    let mut command = match cores {
        Some(cores) => pinned(cores, built("swell"), arguments),
        None => {
            let mut command = Command::new(built("swell"));
            command.args(arguments);
            command
        }
    };
    command.current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(Beside(command.spawn().context("cannot start swell")?))
}

/// Waits for a line in the file `name`; what follows `start` there.
pub fn line_after(folder: &Path, name: &str, start: &str) -> Result<String> {
    let mut found = None;
    wait(start, || {
        let log = fs::read_to_string(folder.join(name))?;
        found = log.lines().find_map(|line| line.strip_prefix(start).map(str::to_owned));
        Ok(found.is_some())
    })?;
    found.context("was found above")
}

fn wait(what: &str, mut ready: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..PATIENCE.as_millis() / CHECK_INTERVAL.as_millis() {
        if ready()? {
            return Ok(());
        }
        sleep(CHECK_INTERVAL);
    }
    bail!("waited {PATIENCE:?} in vain for {what}")
}
