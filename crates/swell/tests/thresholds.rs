//! Thresholds of plans, in the program as a user runs it: exit codes, results, and runs that end early.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]

mod support;

use std::fs;
use std::process::Output;

use serde_json::{Value, json};
use support::{Process, Target, err, out, run, swell, wait_for};
use tempfile::{TempDir, tempdir};

/// Runs a plan with these thresholds: fifty iterations a second for `seconds` of two steps, of which one takes 20 ms.
fn judged(seconds: u32, thresholds: &[&str]) -> (Output, Value, u64, TempDir) {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    let plan = json!({
        "version": 1, "name": "judged", "target": target.url, "drain": "5s",
        "load": {"model": "open", "stages": [{"name": "hold", "at": "50/s", "for": format!("{seconds}s")}]},
        "scenarios": {"main": {"steps": [{"get": "/delay/20ms", "name": "slow"}, {"get": "/ping"}]}},
        "thresholds": thresholds,
    });
    fs::write(folder.path().join("judged.plan.yaml"), plan.to_string()).unwrap();
    let output = run(&["run", "judged.plan.yaml", "--drivers", "2", "-o", "json=result.json"], folder.path());
    let summary = fs::read_to_string(folder.path().join("result.json")).unwrap_or_else(|_| err(&output));
    (output, serde_json::from_str(&summary).unwrap(), target.requests(), folder)
}

/// How each threshold stands.
fn results(summary: &Value) -> Vec<&str> {
    let thresholds = summary["thresholds"].as_array().unwrap();
    thresholds.iter().map(|threshold| threshold["result"].as_str().unwrap()).collect()
}

#[test]
fn what_holds_passes() {
    let (output, summary, ..) = judged(
        2,
        &[
            "p99 of \"slow\" > 10ms",
            "min of \"slow\" >= 20ms",
            "error_rate <= 0%",
            "count of \"GET /ping\" <= 100",
            "rate of stage \"hold\" > 10/s",
            "max < 30s for 1s, abort",
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(results(&summary), ["pass"; 6], "{summary:#}");
    assert_eq!(summary["thresholds"][1]["scope"], "step slow");
    assert_eq!(summary["thresholds"][4]["unit"], "/s");
    assert!(!out(&output).contains("Failed"), "{}", out(&output));
}

#[test]
fn what_does_not_hold_fails_the_run_and_is_told_last() {
    let (output, summary, _, folder) = judged(2, &["p50 of \"slow\" < 1ms", "p50 of \"slow\" > 1ms"]);
    assert_eq!(output.status.code(), Some(99), "{}", err(&output));
    assert_eq!(results(&summary), ["fail", "pass"]);
    assert_eq!(summary["state"], "finished");
    let told = out(&output);
    let (_, last) = told.rsplit_once("Failed").unwrap();
    assert!(last.contains("1 of 2 thresholds") && last.contains("p50 of \"slow\" < 1ms: 2"), "{last}");
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");

    let again = run(&["report", "last", "--format", "json"], folder.path());
    let stored: Value = serde_json::from_str(&out(&again)).unwrap();
    assert_eq!(stored, summary, "thresholds are part of what is stored");
}

#[test]
fn what_has_no_data_fails_unless_that_is_allowed() {
    // Nothing is looked up where the target is a number.
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    let plan = |threshold: &str| {
        let plan = json!({
            "version": 1, "name": "judged", "target": target.url, "phases": true,
            "load": {"model": "avalanche", "requests_per_driver": 50, "connections": 2},
            "scenarios": {"main": {"steps": [{"get": "/ping"}]}}, "thresholds": [threshold],
        });
        fs::write(folder.path().join("p.plan.yaml"), plan.to_string()).unwrap();
        run(&["run", "p.plan.yaml"], folder.path())
    };
    let output = plan("tls.p99 < 1s");
    assert_eq!(output.status.code(), Some(99), "{}", err(&output));
    assert!(out(&output).contains("tls.p99 < 1s: no data"), "{}", out(&output));
    let output = plan("tls.p99 < 1s, allow_no_data");
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
}

#[test]
fn a_threshold_that_aborts_ends_the_run_early() {
    let aborts = "p50 of \"slow\" < 10ms for 2s, abort";
    let (output, summary, served, _folder) = judged(60, &["p99 < 20s", aborts]);
    assert_eq!(output.status.code(), Some(99), "{}", err(&output));
    assert_eq!(summary["state"], "aborted");
    assert_eq!(results(&summary), ["pass", "fail"]);
    let threshold = &summary["thresholds"][1];
    assert_eq!((&threshold["aborted"], &threshold["failed"]), (&json!(true), &json!(true)), "{threshold}");
    let after_s = threshold["first_breach_s"].as_f64().unwrap();
    assert!((2.0..=4.0).contains(&after_s), "{after_s}");
    // A hundred requests are sent each second, by both drivers: two seconds later none is.
    assert!(served as f64 <= (after_s + 2.0) * 110.0, "{served} requests, breached after {after_s} s");
    assert_eq!(summary["accounting"]["balanced"], true, "{summary:#}");
    let sent = summary["requests"]["sent"].as_u64().unwrap();
    let ended = ["succeeded", "failed", "cancelled"].map(|kind| summary["requests"][kind].as_u64().unwrap());
    assert_eq!(sent, ended.iter().sum::<u64>(), "{summary:#}");
    let told = out(&output);
    assert!(told.contains("it ended the run after"), "{told}");
}

#[test]
fn the_thresholds_of_a_run_that_was_killed_are_judged_from_what_was_stored() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    let plan = json!({
        "version": 1, "name": "killed", "target": target.url,
        "load": {"model": "open", "stages": [{"name": "hold", "at": "50/s", "for": "60s"}]},
        "scenarios": {"main": {"steps": [{"get": "/delay/20ms", "name": "slow"}]}},
        "thresholds": ["p50 of \"slow\" < 10ms for 2s", "error_rate < 1%", "count < 10"],
    });
    fs::write(folder.path().join("killed.plan.yaml"), plan.to_string()).unwrap();
    let mut command = swell();
    let process = Process::start("run", command.args(["run", "killed.plan.yaml"]), folder.path());
    wait_for("some seconds", || (target.requests() > 250).then_some(()));
    process.kill();
    let output = run(&["report", "last", "--format", "json"], folder.path());
    let summary: Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(results(&summary), ["fail", "pass", "fail"], "{summary:#}");
    assert_eq!(summary["thresholds"][0]["first_breach_s"], 2);
    assert_eq!(summary["thresholds"][2]["first_breach_s"], 1);
}
