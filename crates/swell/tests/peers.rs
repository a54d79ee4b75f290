//! Peers of other make, in Python, that know only the five basic messages: each completes a run with ours.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use support::{Api, Process, Target, swell, wait_for};
use tempfile::tempdir;
use xtask::services::Kafka;

/// The Python of a virtual environment with the Kafka client of `tests/peers/requirements.txt`.
fn python() -> &'static str {
    static PYTHON: OnceLock<String> = OnceLock::new();
    PYTHON.get_or_init(|| xtask::python::interpreter().unwrap().display().to_string())
}

fn peer(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers").join(name).display().to_string()
}

fn orchestrator(kafka: &Kafka, folder: &Path) -> (Process, Api) {
    let mut command = swell();
    command.args(["orchestrator", "--kafka", &kafka.address(), "--listen", "127.0.0.1:0", "--log", "info"]);
    let mut process = Process::start("orchestrator", &mut command, folder);
    let url = process.line_after("dashboard on ");
    (process, Api { url })
}

fn driver(kafka: &Kafka, folder: &Path, name: &str, target: &str) -> Process {
    let mut command = swell();
    command.args([
        "driver",
        "--kafka",
        &kafka.address(),
        "--node-id",
        name,
        "--threads",
        "1",
        "--log",
        "info",
    ]);
    Process::start(name, command.args(["--target", target]), folder)
}

#[test]
fn a_foreign_driver_takes_part_beside_ours() {
    let folder = tempdir().unwrap();
    let kafka = Kafka::start().unwrap();
    let target = Target::start(folder.path());
    let url = format!("{}/ping", target.url);
    let (_orchestrator, api) = orchestrator(&kafka, folder.path());
    let _ours = driver(&kafka, folder.path(), "ours", &url);
    let mut command = Command::new(python());
    command.args([&peer("driver.py"), "--kafka", &kafka.address(), "--node-id", "foreign", "--target", &url]);
    let mut foreign = Process::start("foreign", &mut command, folder.path());
    wait_for("both drivers", || {
        let drivers = api.get("/drivers");
        let drivers = drivers["drivers"].as_array()?;
        let ready =
            |name: &str, state: &str| drivers.iter().any(|d| d["node_id"] == name && d["state"] == state);
        (ready("ours", "idle") && ready("foreign", "foreign")).then_some(())
    });
    let run = api.start_run(&json!({
        "test_type": "TSUNAMI", "test_message_delay": 10, "message_count_per_driver": 300, "target": url,
    }));
    let summary = api.finished(&run);
    assert!(foreign.wait().success(), "{}", foreign.log());
    assert_eq!(summary["state"], "finished", "{summary}");
    assert_eq!(summary["requests"]["sent"], 300, "what a foreign driver says is not in the merged counts");
    assert_eq!(target.requests(), 600);
    let view = api.get(&format!("/runs/{run}"));
    let drivers = view["drivers"].as_array().unwrap();
    let seen = drivers.iter().find(|driver| driver["node_id"] == "foreign").unwrap();
    assert!(seen["summary_only"]["median_ms"].as_f64().unwrap() > 0.0, "{view}");
}

#[test]
fn a_foreign_orchestrator_commands_our_driver() {
    let folder = tempdir().unwrap();
    let kafka = Kafka::start().unwrap();
    let target = Target::start(folder.path());
    let url = format!("{}/ping", target.url);
    let mut ours = driver(&kafka, folder.path(), "ours", &url);
    ours.line_after("driver ours");
    let output = Command::new(python())
        .args([&peer("orchestrator.py"), "--kafka", &kafka.address(), "--count", "500", "--drivers", "1"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), ours.log());
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let report = &said["reports"]["ours"];
    let latency = |name: &str| report[name].as_f64().unwrap();
    assert!(latency("min_latency") <= latency("median_latency"), "{said}");
    assert!(latency("median_latency") <= latency("max_latency"), "{said}");
    assert_eq!(target.requests(), 500);
}
