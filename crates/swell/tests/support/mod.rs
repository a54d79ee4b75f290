//! Real processes for the tests: each is started as a user would, logs to a file of its own, and is killed when dropped.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use xtask::services::Kafka;

/// How long anything may take that a test waits for, on a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test.
pub fn swell() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swell"));
    for name in
        ["SWELL_KAFKA", "SWELL_STORE", "SWELL_LISTEN", "SWELL_TOPIC_PREFIX", "SWELL_TARGET", "SWELL_SECRETS"]
    {
        command.env_remove(name);
    }
    command.env("CI", "true").stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str], folder: &Path) -> Output {
    swell().args(arguments).current_dir(folder).output().unwrap()
}

/// Standard output of a process that ended.
pub fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error of a process that ended.
pub fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A process in the background.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; its output goes to a file of its own in `folder`.
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Self {
        let logs = (1..).map(|life| folder.join(format!("{name}-{life}.log")));
        let log = logs.into_iter().find(|log| !log.exists()).unwrap();
        let file = File::create(&log).unwrap();
        let child =
            command.stdout(file.try_clone().unwrap()).stderr(file).current_dir(folder).spawn().unwrap();
        Self { name: name.to_owned(), child, log }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All it has printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal by its name, such as `KILL`.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status().unwrap();
        assert!(status.success(), "kill -{name} {}", self.name);
    }

    /// The rest of the first line that begins with `start`.
    pub fn line_after(&mut self, start: &str) -> String {
        wait_for(&format!("`{start}` from {}", self.name), || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{} ended with {status}:\n{}", self.name, self.log());
            }
            let reader = BufReader::new(File::open(&self.log).unwrap());
            reader.lines().map_while(Result::ok).find_map(|line| line.strip_prefix(start).map(str::to_owned))
        })
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let name = format!("the end of {}", self.name);
        wait_for(&name, || self.child.try_wait().unwrap())
    }

    /// Kills it at once, as a failing machine would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            eprintln!("---- {} ----\n{}", self.name, self.log());
        }
    }
}

/// Tries until there is an answer; panics when patience ends.
pub fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let pause = Duration::from_millis(50);
    for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
        if let Some(found) = attempt() {
            return found;
        }
        thread::sleep(pause);
    }
    panic!("waited {PATIENCE:?} in vain for {what}");
}

/// A sample target in a process of its own.
pub struct Target {
    pub process: Process,
    pub url: String,
}

impl Target {
    pub fn start(folder: &Path) -> Self {
        Self::with(folder, &[])
    }

    /// One that serves the shop, too.
    pub fn shop(folder: &Path) -> Self {
        Self::with(folder, &["--shop"])
    }

    fn with(folder: &Path, options: &[&str]) -> Self {
        let mut command = swell();
        command.args(["target", "--listen", "127.0.0.1:0"]).args(options);
        let mut process = Process::start("target", &mut command, folder);
        let url = process.line_after("target on ");
        Self { process, url }
    }

    /// What the target itself has counted.
    pub fn metrics(&self) -> Value {
        let request = ureq::get(format!("{}/metrics", self.url)).header("accept", "application/json");
        request.call().unwrap().body_mut().read_json().unwrap()
    }

    /// How often each user signed in, by the shop's own record.
    pub fn logins(&self) -> BTreeMap<String, u64> {
        let mut response = ureq::get(format!("{}/api/record", self.url)).call().unwrap();
        let record: Value = response.body_mut().read_json().unwrap();
        assert_eq!(record["others"]["logins"], 0, "users that were not counted apart");
        let logins = record["logins"].as_object().unwrap().iter();
        logins.map(|(user, count)| (user.clone(), count.as_u64().unwrap())).collect()
    }

    pub fn requests(&self) -> u64 {
        self.metrics()["requests"].as_u64().unwrap()
    }

    /// How far apart the first requests of the clients came, by their user agents.
    pub fn first_request_spread_ms(&self) -> f64 {
        let metrics = self.metrics();
        let first = metrics["clients"].as_array().unwrap().iter();
        let first: Vec<f64> = first.map(|client| client["first_request_unix_ns"].as_f64().unwrap()).collect();
        let (least, most) =
            first.iter().fold((f64::MAX, 0.0), |(least, most), ns| (ns.min(least), ns.max(most)));
        (most - least) / 1e6
    }

    pub fn control(&self, what: &str) {
        ureq::post(format!("{}/control/{what}", self.url)).send_empty().unwrap();
    }
}

/// The REST interface of a running orchestrator.
pub struct Api {
    pub url: String,
}

impl Api {
    pub fn get(&self, path: &str) -> Value {
        let mut response = ureq::get(format!("{}/api/v1{path}", self.url)).call().unwrap();
        response.body_mut().read_json().unwrap()
    }

    /// Posts JSON; gives the status and the answer, whatever the status.
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let agent =
            ureq::Agent::new_with_config(ureq::config::Config::builder().http_status_as_error(false).build());
        let mut response = agent.post(format!("{}/api/v1{path}", self.url)).send_json(body).unwrap();
        (response.status().as_u16(), response.body_mut().read_json().unwrap_or(Value::Null))
    }

    /// Creates and starts a run; its identity.
    pub fn start_run(&self, body: &Value) -> String {
        let (status, answer) = self.post("/runs?start=true", body);
        assert_eq!(status, 201, "{answer}");
        answer["run_id"].as_str().unwrap().to_owned()
    }

    pub fn state(&self, run: &str) -> String {
        self.get(&format!("/runs/{run}"))["state"].as_str().unwrap().to_owned()
    }

    /// Waits until the run has ended; its summary.
    pub fn finished(&self, run: &str) -> Value {
        wait_for(&format!("the end of run {run}"), || {
            matches!(self.state(run).as_str(), "finished" | "aborted" | "failed").then_some(())
        });
        self.get(&format!("/runs/{run}/summary"))
    }

    /// Waits until `count` drivers are there and idle.
    pub fn drivers_ready(&self, count: usize) {
        wait_for(&format!("{count} idle drivers"), || {
            let drivers = self.get("/drivers");
            let idle =
                drivers["drivers"].as_array()?.iter().filter(|driver| driver["state"] == "idle").count();
            (idle >= count).then_some(())
        });
    }
}

/// Drivers of one thread each, which are ready.
pub fn drivers(kafka: &Kafka, folder: &Path, count: usize, environment: &[(&str, &str)]) -> Vec<Process> {
    let start = |number: usize| {
        let name = format!("d{number}");
        let mut command = swell();
        command.args(["driver", "--kafka", &kafka.address(), "--node-id", &name, "--threads", "1"]);
        command.envs(environment.iter().copied());
        Process::start(&name, &mut command, folder)
    };
    let mut drivers: Vec<Process> = (0..count).map(start).collect();
    drivers.iter_mut().for_each(|driver| drop(driver.line_after("driver ")));
    drivers
}
