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

/// How often the collector is killed in the following test; 100 take four minutes.
fn kills() -> u32 {
    std::env::var("SWELL_TEST_KILLS").map_or(20, |kills| kills.parse().unwrap())
}

/// Each time at a random moment; each tenth time the database is, too, while the collector goes on.
#[test]
fn collectors_and_a_database_that_are_killed_lose_nothing_and_double_nothing() {
    let folder = tempdir().unwrap();
    let (kafka, target) = (Kafka::start().unwrap(), Target::start(folder.path()));
    let mut postgres = Postgres::start().unwrap();
    let database = postgres.new_database().unwrap();
    let store = postgres.url(&database);
    let made = run(&["db", "init", "--store", &store], folder.path());
    assert!(made.status.success(), "{}", err(&made));
    let (_orchestrator, api) = orchestrator(&kafka, folder.path(), &["--no-collector"]);
    let _driver = driver(&kafka, folder.path(), "d0", &[]);
    api.drivers_ready(1);
    let collector = || {
        let mut command = with(&["collector", "--kafka", &kafka.address(), "--store", &store]);
        let mut process = Process::start("collector", &mut command, folder.path());
        process.line_after("collecting events from ");
        process
    };
    let run_id = api.start_run(&plan(&target, 500, kills()));
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for kill in 1..=kills() {
        let killed = collector();
        thread::sleep(Duration::from_millis(random.u64(50..900)));
        if kill % 10 == 0 {
            postgres.kill().unwrap();
            postgres.restart().unwrap();
            thread::sleep(Duration::from_millis(random.u64(0..1_500)));
        }
        killed.kill();
    }
    let summary = api.finished(&run_id);
    let accounting = &summary["accounting"];
    let count = |of: &str| accounting[of].as_u64().unwrap();
    let expected = count("events_produced") - count("events_dropped");
    // A busy machine may have missed a few.
    assert_eq!(accounting["events_produced"], summary["requests"]["sent"], "{summary:#}");
    assert!(expected > u64::from(kills()) * 500, "{summary:#}");
    let last = collector();
    let rows = || postgres.sql(&database, include_str!("collectors/stored.sql")).unwrap().replace('\n', "|");
    let all = format!("{expected}|{expected}|0");
    let mut found = String::new();
    wait_for(&format!("{all}, seed {seed}"), || {
        let before = std::mem::replace(&mut found, rows());
        if before != found {
            eprintln!("{found}");
        }
        (found == all).then_some(())
    });
    // Nothing comes after them.
    end(last);
    assert_eq!(rows(), all, "seed {seed}");
    let exported = run(&["export", &run_id, "--format", "csv", "--store", &store], folder.path());
    assert_eq!(out(&exported).lines().count() as u64, expected + 1, "{}", err(&exported));
}

/// In the tests of `cluster` memory is full as well, and batches wait in the folder.
#[test]
fn a_broker_away_for_twenty_seconds_costs_no_event() {
    let folder = tempdir().unwrap();
    let (mut kafka, target) = (Kafka::start().unwrap(), Target::start(folder.path()));
    let (_orchestrator, api) = orchestrator(&kafka, folder.path(), &[]);
    let _driver = driver(&kafka, folder.path(), "d0", &["--spill", "spill"]);
    api.drivers_ready(1);
    let run_id = api.start_run(&plan(&target, 200, 32));
    thread::sleep(Duration::from_secs(7));
    kafka.kill().unwrap();
    // After a kill it takes some seconds to answer again, which are among the twenty.
    thread::sleep(Duration::from_secs(13));
    kafka.restart().unwrap();
    let summary = api.finished(&run_id);
    let accounting = &summary["accounting"];
    let sent = &summary["requests"]["sent"];
    assert_eq!(&accounting["events_produced"], sent, "{summary:#}");
    assert_eq!(accounting["events_dropped"], 0, "{accounting:#}");
    assert_eq!(&accounting["events_stored"], sent, "{accounting:#}");
    assert_eq!(accounting["balanced"], true, "{accounting:#}");
    assert_eq!(Some(rows(folder.path(), "swell-data", &run_id).0 as u64), sent.as_u64());
    send_lags(&run_id, folder.path());
}

/// Says how late the requests of each second left.
fn send_lags(run_id: &str, folder: &Path) {
    let exported = run(&["export", run_id, "--format", "ndjson", "--what", "drivers"], folder);
    let lags = out(&exported)
        .lines()
        .filter_map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            Some((row["second"].as_u64()?, row["send_lag_p99_us"].as_f64()?))
        })
        .collect::<Vec<_>>();
    eprintln!("send lag of each second, p99 in us: {lags:.0?}");
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
