//! Raw events on their way from drivers to stores, over real Kafka and by Scribe, whatever is killed.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Api, Process, Target, err, out, run, swell, wait_for};
use tempfile::tempdir;
use xtask::services::{Kafka, Postgres};

fn plan(target: &Target, rate: u32, seconds: u32) -> Value {
    json!({
        "version": 1, "name": "events", "target": target.url, "events": "all",
        "load": {"model": "open", "stages": [{"name": "hold", "at": format!("{rate}/s"), "for": format!("{seconds}s")}]},
        "scenarios": {"main": {"steps": [{"get": "/ping"}, {"get": "/status/503", "name": "bad"}]}},
    })
}

fn with(arguments: &[&str]) -> Command {
    let mut command = swell();
    command.args(arguments);
    command
}

fn orchestrator(kafka: &Kafka, folder: &Path, more: &[&str]) -> (Process, Api) {
    let mut command = with(&["orchestrator", "--kafka", &kafka.address(), "--listen", "127.0.0.1:0"]);
    let mut process = Process::start("orchestrator", command.args(more), folder);
    let url = process.line_after("dashboard on ");
    (process, Api { url })
}

fn driver(kafka: &Kafka, folder: &Path, name: &str, more: &[&str]) -> Process {
    let mut command = with(&["driver", "--kafka", &kafka.address(), "--node-id", name, "--threads", "1"]);
    Process::start(name, command.args(more), folder)
}

/// Asks it to end, which it does well.
fn end(mut process: Process) {
    process.signal("TERM");
    assert!(process.wait().success(), "{}", process.log());
}

/// The exported rows of a run: how many, how many of them failed, and by which workers.
fn rows(folder: &Path, store: &str, run_id: &str) -> (usize, usize, BTreeSet<String>) {
    let exported = run(&["export", run_id, "--format", "ndjson", "--store", store], folder);
    if !exported.status.success() {
        eprintln!("{}", err(&exported));
        return (0, 0, BTreeSet::new());
    }
    let rows: Vec<Value> = out(&exported).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let failed = rows.iter().filter(|row| row["error"] == "status: 503" && row["status_code"] == 503).count();
    let workers = rows.iter().map(|row| row["worker_id"].as_str().unwrap().to_owned()).collect();
    (rows.len(), failed, workers)
}

#[test]
fn the_orchestrator_stores_every_request_of_the_fleet() {
    let folder = tempdir().unwrap();
    let (kafka, target) = (Kafka::start().unwrap(), Target::start(folder.path()));
    let (_orchestrator, api) = orchestrator(&kafka, folder.path(), &[]);
    let _drivers = ["d0", "d1"].map(|name| driver(&kafka, folder.path(), name, &[]));
    api.drivers_ready(2);
    let run_id = api.start_run(&plan(&target, 200, 5));
    let summary = api.finished(&run_id);
    let accounting = &summary["accounting"];
    assert_eq!(summary["requests"]["sent"], 2_000, "{summary:#}");
    assert_eq!(accounting["events_produced"], 2_000, "{accounting:#}");
    assert_eq!(accounting["events_stored"], 2_000, "{accounting:#}");
    assert_eq!(accounting["events_dropped"], 0, "{accounting:#}");
    assert_eq!(accounting["balanced"], true, "{accounting:#}");
    let workers = ["d0", "d1"].map(str::to_owned).into();
    assert_eq!(rows(folder.path(), "swell-data", &run_id), (2_000, 1_000, workers));
}

#[test]
fn a_collector_that_is_killed_again_and_again_stores_each_event_once() {
    let folder = tempdir().unwrap();
    let (kafka, target) = (Kafka::start().unwrap(), Target::start(folder.path()));
    let (_orchestrator, api) = orchestrator(&kafka, folder.path(), &["--no-collector"]);
    let _driver = driver(&kafka, folder.path(), "d0", &[]);
    api.drivers_ready(1);
    let collector = || {
        let mut command = with(&["collector", "--kafka", &kafka.address(), "--store", "elsewhere"]);
        let mut process = Process::start("collector", &mut command, folder.path());
        process.line_after("collecting events from ");
        process
    };
    let run_id = api.start_run(&plan(&target, 500, 15));
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..8 {
        let killed = collector();
        thread::sleep(Duration::from_millis(random.u64(500..3_000)));
        killed.kill();
    }
    let summary = api.finished(&run_id);
    assert_eq!(summary["accounting"]["events_produced"], 15_000, "{summary:#}");
    assert_eq!(summary["accounting"]["events_stored"], Value::Null, "they are in another store");
    let last = collector();
    wait_for(&format!("15,000 rows, seed {seed}"), || {
        let (found, failed, _) = rows(folder.path(), "elsewhere", &run_id);
        assert!(found <= 15_000, "{found} rows of 15,000, seed {seed}");
        (found == 15_000 && failed == 7_500).then_some(())
    });
    end(last);
    assert_eq!(rows(folder.path(), "elsewhere", &run_id).0, 15_000, "seed {seed}");
}

#[test]
fn a_driver_sends_its_events_to_a_collector_by_scribe() {
    let folder = tempdir().unwrap();
    let (kafka, target) = (Kafka::start().unwrap(), Target::start(folder.path()));
    let mut command =
        with(&["collector", "--scribe", "127.0.0.1:0", "--scribe-category", "jobs", "--store", "elsewhere"]);
    let mut collector = Process::start("collector", &mut command, folder.path());
    let told = collector.line_after("collecting events from Scribe on ");
    let address = told.split_whitespace().next().unwrap().to_owned();
    let (_orchestrator, api) = orchestrator(&kafka, folder.path(), &["--no-collector"]);
    let _driver = driver(&kafka, folder.path(), "d0", &["--events", &format!("scribe://{address}")]);
    api.drivers_ready(1);
    let run_id = api.start_run(&plan(&target, 200, 5));
    let summary = api.finished(&run_id);
    assert_eq!(summary["accounting"]["events_produced"], 2_000, "{summary:#}");
    wait_for("2,000 rows", || (rows(folder.path(), "elsewhere", &run_id).0 == 2_000).then_some(()));
    end(collector);
    assert_eq!(rows(folder.path(), "elsewhere", &run_id).0, 2_000);
}

#[test]
fn a_database_that_is_away_is_told_and_collectors_are_seen() {
    let folder = tempdir().unwrap();
    let (kafka, target) = (Kafka::start().unwrap(), Target::start(folder.path()));
    let mut postgres = Postgres::start().unwrap();
    let store = postgres.url(&postgres.new_database().unwrap());
    let made = run(&["db", "init", "--store", &store], folder.path());
    assert!(made.status.success(), "{}", err(&made));
    let (_orchestrator, api) = orchestrator(&kafka, folder.path(), &["--no-collector", "--store", &store]);
    let _driver = driver(&kafka, folder.path(), "d0", &[]);
    api.drivers_ready(1);
    assert_eq!(api.get("/storage"), json!({"troubles": [], "events": null}));
    let arguments = ["collector", "--kafka", &kafka.address(), "--store", &store, "--listen", "127.0.0.1:0"];
    let mut collector = Process::start("collector", &mut with(&arguments), folder.path());
    let metrics = collector.line_after("metrics on ");
    let says = |line: &str| {
        let text = ureq::get(&metrics).call().unwrap().body_mut().read_to_string().unwrap();
        text.lines().any(|found| found == line)
    };

    let run_id = api.start_run(&plan(&target, 100, 20));
    wait_for("the collector and its rows", || {
        let storage = api.get("/storage");
        let collector = &storage["events"]["collectors"][0];
        (collector["rows"].as_u64()? > 0 && collector["name"].as_str()?.starts_with("collector-"))
            .then_some(())
    });
    assert!(says("groundswell_events_store_up 1"));
    postgres.kill().unwrap();
    let told = wait_for("the orchestrator to say so", || {
        let trouble = api.get("/storage")["troubles"][0].clone();
        (trouble["code"] == "results_refused").then_some(trouble)
    });
    let text = told["text"].as_str().unwrap();
    assert!(text.starts_with("results have not been stored for ") && text.contains("postgres://"), "{text}");
    assert_eq!(api.get("/runs?limit=1")["runs"][0]["run_id"], run_id.as_str(), "the page still opens");
    wait_for("the collector to say so", || says("groundswell_events_store_up 0").then_some(()));
    postgres.restart().unwrap();
    wait_for("all to be well", || {
        let storage = api.get("/storage");
        let is_well = storage["troubles"] == json!([]) && storage["events"]["collectors"][0]["rows"].is_u64();
        (is_well && says("groundswell_events_store_up 1")).then_some(())
    });
    api.finished(&run_id);
    wait_for("4,000 rows", || (rows(folder.path(), &store, &run_id).0 == 4_000).then_some(()));
    end(collector);
    assert_eq!(rows(folder.path(), &store, &run_id).0, 4_000);
}
