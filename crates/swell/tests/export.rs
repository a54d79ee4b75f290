//! A run's rows in files of other tools, as a user asks for them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]

mod support;

use std::fs;
use std::process::Output;

use serde_json::Value;
use support::{Target, err, out, run};
use tempfile::tempdir;

#[test]
fn the_seconds_of_a_run_come_in_every_form() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    let url = format!("{}/ping", target.url);
    let swell = |arguments: &[&str]| -> Output { run(arguments, folder.path()) };
    let ran = swell(&["run", &url, "--requests", "200"]);
    assert_eq!(ran.status.code(), Some(0), "{}", err(&ran));

    let lines = swell(&["export", "latest", "--format", "ndjson", "--what", "windows"]);
    assert_eq!(lines.status.code(), Some(0), "{}", err(&lines));
    let rows: Vec<Value> = out(&lines).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.iter().map(|row| row["requests"].as_u64().unwrap()).sum::<u64>(), 200);
    let counted = |row: &Value| {
        row["response_time_counts"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(rows.iter().map(counted).sum::<u64>(), 200, "a bin for each request");
    let run_id = rows[0]["test_run_id"].as_str().unwrap();

    for (what, column, sum) in [("iterations", "started", 200), ("drivers", "requests_sent", 200)] {
        let lines = swell(&["export", "last", "--format", "ndjson", "--what", what]);
        let rows = out(&lines);
        let rows = rows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        assert_eq!(rows.map(|row| row[column].as_u64().unwrap()).sum::<u64>(), sum, "{}", err(&lines));
    }
    let lines = swell(&["export", "last", "--format", "ndjson", "--what", "drivers"]);
    let drivers = out(&lines);
    let told = |line: &str| serde_json::from_str::<Value>(line).unwrap()["memory_bytes"].as_u64();
    assert!(drivers.lines().map(told).min().unwrap() > Some(1_000_000), "{drivers}");
    for (what, count) in [("run", 1..2), ("timeline", 1..100), ("errors", 0..1)] {
        let lines = swell(&["export", "last", "--format", "ndjson", "--what", what]);
        assert!(count.contains(&out(&lines).lines().count()), "{what}: {}{}", out(&lines), err(&lines));
    }

    let csv = swell(&["export", &run_id[..run_id.len() - 2], "--format", "csv", "--what", "windows"]);
    assert_eq!(out(&csv).lines().count(), rows.len() + 1, "{}", err(&csv));
    let refused = swell(&["export", "last", "--format", "jtl", "--what", "windows"]);
    assert_eq!(refused.status.code(), Some(2), "{}", err(&refused));

    let to_file: [&str; 8] =
        ["export", "last", "--format", "parquet", "--what", "windows", "-o", "windows.parquet"];
    assert_eq!(swell(&to_file).status.code(), Some(0));
    let bytes = fs::read(folder.path().join("windows.parquet")).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    let again = swell(&to_file);
    assert_eq!(again.status.code(), Some(104));
    assert!(err(&again).contains("--force"), "{}", err(&again));
    assert_eq!(swell(&[&to_file[..], &["--force"]].concat()).status.code(), Some(0));
    let parts = fs::read_dir(folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "part"));
    assert_eq!(parts.count(), 0);
}

#[test]
fn what_is_not_there_is_said() {
    let folder = tempdir().unwrap();
    let missing = run(&["export", "last", "--format", "csv"], folder.path());
    assert_eq!(missing.status.code(), Some(104));
    assert!(err(&missing).contains("there is no database"), "{}", err(&missing));
    let unknown = run(&["export", "last", "--format", "xml"], folder.path());
    assert_eq!(unknown.status.code(), Some(2), "{}", err(&unknown));
}
