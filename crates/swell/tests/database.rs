//! The program with a real PostgreSQL as its store, as a user would run it.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]

mod support;

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use support::{Target, err, out, run};
use tempfile::tempdir;
use xtask::services::Postgres;

#[test]
fn runs_are_kept_in_a_database_that_several_share() {
    let postgres = Postgres::start().unwrap();
    let database = postgres.new_database().unwrap();
    let store = postgres.url(&database);
    let folder = tempdir().unwrap();
    let swell = |arguments: &[&str]| run(&[arguments, &["--store", &store]].concat(), folder.path());

    let target = Target::start(folder.path());
    let url = format!("{}/ping", target.url);
    let early = swell(&["run", &url, "--requests", "10"]);
    assert_eq!(early.status.code(), Some(104), "{}", err(&early));
    assert!(
        err(&early).contains("has no tables of Groundswell; make them with `swell db init"),
        "{}",
        err(&early)
    );
    assert!(!err(&early).contains("secret"), "{}", err(&early));

    let made = swell(&["db", "init", "--rate", "1000/s"]);
    assert_eq!(made.status.code(), Some(0), "{}", err(&made));
    assert!(out(&made).contains("is ready, with schema 4\n  plain PostgreSQL:"), "{}", out(&made));

    // Two at once, each its own.
    let quick = ["run", &url, "--rate", "300/s", "--for", "2s", "-o"];
    let ended = std::thread::scope(|scope| {
        let both = ["json=a.json", "json=b.json"].map(|file| {
            let swell = &swell;
            scope.spawn(move || swell(&[&quick[..], &[file]].concat()))
        });
        both.map(|one| one.join().unwrap())
    });
    for output in &ended {
        assert_eq!(output.status.code(), Some(0), "{}", err(output));
    }
    for file in ["a.json", "b.json"] {
        let summary: Value =
            serde_json::from_str(&std::fs::read_to_string(folder.path().join(file)).unwrap()).unwrap();
        let again = swell(&["report", summary["run_id"].as_str().unwrap(), "--format", "json"]);
        let stored: Value = serde_json::from_str(&out(&again)).unwrap();
        assert_eq!(stored, summary, "a report can be made again from what was stored");
    }
    let runs: Value = serde_json::from_str(&out(&swell(&["runs", "--json"]))).unwrap();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2);

    every_request_is_a_row(&postgres, &database, &target, folder.path(), &swell);

    let status: Value = serde_json::from_str(&out(&swell(&["db", "status", "--json"]))).unwrap();
    assert_eq!((&status["runs"], &status["schema_version"]), (&Value::from(3), &Value::from(4)));
    let text = out(&swell(&["db", "status"]));
    assert!(text.contains("schema       4 (up to date)") && text.contains("run_windows"), "{text}");
    let pruned = swell(&["db", "prune", "--keep", "1"]);
    assert_eq!(out(&pruned), "2 runs dropped\n", "{}", err(&pruned));
    let folder_named = run(&["db", "status", "--store", "here"], folder.path());
    assert_eq!(folder_named.status.code(), Some(2));
    assert!(err(&folder_named).contains("here is a data folder"), "{}", err(&folder_named));
}

/// A run with raw events, asked in SQL what its report says.
fn every_request_is_a_row(
    postgres: &Postgres,
    database: &str,
    target: &Target,
    folder: &Path,
    swell: &dyn Fn(&[&str]) -> Output,
) {
    let plan = json!({
        "version": 1, "name": "rows", "target": target.url, "events": "all",
        "load": {"model": "open", "stages": [{"name": "hold", "at": "200/s", "for": "2s"}]},
        "scenarios": {"main": {"steps": [{"get": "/ping"}, {"get": "/status/503", "name": "bad"}]}},
    });
    std::fs::write(folder.join("rows.json"), plan.to_string()).unwrap();
    let ended = swell(&["run", "rows.json", "-o", "json=rows-summary.json"]);
    let summary: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("rows-summary.json")).unwrap()).unwrap();
    let run_id = summary["run_id"].as_str().unwrap();
    assert_eq!(summary["accounting"]["events_stored"], 800, "{}", err(&ended));
    // With the three queries of everybody's dashboards.
    let queries = include_str!("support/rows.sql").replace("RUN", run_id);
    let answers = postgres.sql(database, &queries).unwrap();
    let answers: Vec<&str> = answers.lines().collect();
    assert_eq!(answers[..2], ["800|400", "800|400"]);
    let number = |answer: &str| answer.parse::<f64>().unwrap();
    assert_eq!((number(answers[2]), number(answers[3]) >= 0.0), (0.5, true), "{answers:?}");
    let of_minute = |line: &&str| number(line.rsplit('|').next().unwrap());
    assert_eq!(answers[4..].iter().map(of_minute).sum::<f64>(), 800.0);

    let lines = swell(&["export", "last", "--format", "ndjson"]);
    assert_eq!(lines.status.code(), Some(0), "{}", err(&lines));
    let rows: Vec<Value> = out(&lines).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 800);
    assert_eq!(rows.iter().filter(|row| row["error"] == "status: 503").count(), 400);
    let jtl = swell(&["export", run_id, "--format", "jtl", "-o", "rows.jtl"]);
    assert_eq!(jtl.status.code(), Some(0), "{}", err(&jtl));
    assert_eq!(std::fs::read_to_string(folder.join("rows.jtl")).unwrap().lines().count(), 801);
    let windows = swell(&["export", run_id, "--format", "csv", "--what", "windows"]);
    assert_eq!(windows.status.code(), Some(0), "{}", err(&windows));
    assert!(out(&windows).lines().count() >= 5, "{}", out(&windows));
}
