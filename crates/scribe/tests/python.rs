//! Clients in Python by Apache Thrift's library, with stubs that the Thrift compiler makes of the public interface.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{server, settings};
use scribe::Server;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

const CALLS: usize = 20;
const EVENTS: usize = 1000;

fn definitions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scribe")
}

/// The modules that are generated of the interface.
fn stubs() -> TempDir {
    let folder = tempdir().unwrap();
    let status = Command::new("thrift")
        .args(["--gen", "py", "-r", "-out"])
        .arg(folder.path())
        .arg(definitions().join("scribe.thrift"))
        .status()
        .expect("the Thrift compiler, package thrift-compiler");
    assert!(status.success());
    folder
}

fn start(server: &Server, stubs: &TempDir, worker: &str, options: &[&str]) -> Child {
    Command::new(xtask::python::scribe().unwrap())
        .arg(definitions().join("client.py"))
        .arg("--stubs")
        .arg(stubs.path())
        .args(["--port", &server.address().port().to_string(), "--worker", worker])
        .args(["--calls", &CALLS.to_string(), "--events", &EVENTS.to_string()])
        .args(options)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn result(client: Child) -> Value {
    let output = client.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn key(worker: &str) -> (String, String) {
    ("python".to_owned(), worker.to_owned())
}

#[test]
fn events_of_clients_in_python_are_counted_exactly() {
    let (server, sink) = server(settings());
    let stubs = stubs();
    let kinds: [(&str, &[&str]); 4] = [
        ("strict", &[]),
        ("old", &["--old"]),
        ("strict-c", &["--accelerated"]),
        ("old-c", &["--old", "--accelerated"]),
    ];
    let clients = kinds.map(|(worker, options)| start(&server, &stubs, worker, options));
    let results = clients.map(result);
    for ((worker, _), result) in kinds.iter().zip(&results) {
        assert_eq!(sink.rows()[&key(worker)], CALLS * EVENTS, "{worker}");
        assert_eq!(result["later"], 0);
        let health = &result["health"];
        assert_eq!(health["name"], "groundswell");
        assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!((&health["status"], &health["details"]), (&json!(2), &json!("")));
        assert!((clock::unix_ms() / 1000 - health["alive_since"].as_i64().unwrap()) < 3600);
        assert_eq!(health["unknown"], json!([1, "no method `getCpuProfile`"]));
        assert!(health["events"].as_u64().unwrap() >= 20_000);
        assert_eq!((&health["none"], &health["counters"]["set_aside"]), (&json!(0), &json!(0)));
    }
    let batches = sink.batches();
    let words = |batch: &events::Batch| -> Vec<(String, Option<String>)> {
        let columns = batch.columns().unwrap();
        let rows = (0..batch.len()).map(|at| columns.row(at));
        rows.map(|row| (row.endpoint.to_owned(), row.error.map(str::to_owned))).collect()
    };
    let rows: Vec<_> = batches.iter().flat_map(words).collect();
    assert_eq!(rows.iter().filter(|(endpoint, _)| endpoint == "/api/größe").count(), 40_000);
    assert_eq!(rows.iter().filter(|(_, error)| error.as_deref() == Some("status: 503")).count(), 8_000);
    assert_eq!(server.counts().events, 80_000);
}

#[test]
fn a_client_in_python_that_is_told_to_try_later_loses_nothing() {
    let (server, sink) = server(settings());
    let stubs = stubs();
    sink.fail(true);
    let client = start(&server, &stubs, "patient", &[]);
    while server.counts().calls_later < 3 {
        std::thread::yield_now();
    }
    sink.fail(false);
    let result = result(client);
    assert!(result["later"].as_u64().unwrap() >= 3, "{result}");
    assert_eq!(sink.rows()[&key("patient")], CALLS * EVENTS);
    assert_eq!(result["health"]["status"], 2, "alive again");
}
