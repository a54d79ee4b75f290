//! The program in one process, run as a user would: results, exit codes, and what it says of bad input.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]

mod support;

use std::net::TcpListener;

use serde_json::{Value, json};
use support::{Process, Target, err, out, run, swell};
use tempfile::tempdir;

fn json_of(path: &std::path::Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_quick_avalanche_sends_exactly_what_was_asked() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    let url = format!("{}/ping", target.url);
    let output =
        run(&["run", &url, "--requests", "3000", "--drivers", "2", "-o", "json=result.json"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let summary = json_of(&folder.path().join("result.json"));
    assert_eq!(summary["requests"]["sent"], 6000);
    assert_eq!(summary["requests"]["succeeded"], 6000);
    assert_eq!(summary["accounting"]["balanced"], true);
    assert_eq!(summary["loop"], "closed");
    assert_eq!(target.requests(), 6000);
    assert!(out(&output).lines().all(|line| line.chars().count() <= 80), "{}", out(&output));
}

#[test]
fn an_open_run_keeps_its_schedule_and_its_history() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    let url = format!("{}/ping", target.url);
    let arguments =
        ["run", &url, "--rate", "400/s", "--for", "3s", "--drivers", "3", "-o", "json=result.json"];
    let output = run(&arguments, folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let summary = json_of(&folder.path().join("result.json"));
    assert_eq!(summary["loop"], "open");
    assert_eq!(summary["iterations"]["due"], 1200);
    let started = summary["iterations"]["started"].as_u64().unwrap();
    let missed = summary["iterations"]["missed"].as_u64().unwrap();
    assert_eq!(started + missed, 1200);
    assert_eq!(target.requests(), started);

    let listed = run(&["runs", "--json"], folder.path());
    let runs: Value = serde_json::from_str(&out(&listed)).unwrap();
    assert_eq!(runs["runs"][0]["run_id"], summary["run_id"]);
    let again = run(&["report", "last", "--format", "json"], folder.path());
    let stored: Value = serde_json::from_str(&out(&again)).unwrap();
    assert_eq!(stored, summary, "a report can be made again from what was stored");
}

#[test]
fn a_run_without_one_success_fails() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    let url = format!("{}/status/503", target.url);
    let output = run(&["run", &url, "--requests", "50", "-o", "json=result.json"], folder.path());
    assert_eq!(output.status.code(), Some(99), "{}", err(&output));
    let summary = json_of(&folder.path().join("result.json"));
    assert_eq!(summary["errors"], json!([{"kind": "status", "detail": "503", "count": 50}]));
}

#[test]
fn a_target_out_of_reach_ends_before_anything_is_sent() {
    let folder = tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = run(&["run", &format!("http://127.0.0.1:{port}/"), "--requests", "5"], folder.path());
    assert_eq!(output.status.code(), Some(110), "{}", err(&output));
    assert!(err(&output).contains(&port.to_string()), "{}", err(&output));
}

#[test]
fn a_name_that_does_not_resolve_is_named() {
    let folder = tempdir().unwrap();
    let output = run(&["run", "http://no-such-host.invalid/", "--requests", "5"], folder.path());
    assert_eq!(output.status.code(), Some(110), "{}", err(&output));
    assert!(err(&output).contains("no-such-host.invalid"), "{}", err(&output));
}

#[test]
fn pairs_of_quick_options_that_do_not_go_together_are_a_usage_error() {
    let folder = tempdir().unwrap();
    for arguments in [
        vec!["run", "http://127.0.0.1:1/", "--rate", "5/s"],
        vec!["run", "http://127.0.0.1:1/", "--rate", "5/s", "--requests", "5"],
        vec!["run", "http://127.0.0.1:1/"],
    ] {
        let output = run(&arguments, folder.path());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", err(&output));
        assert!(!err(&output).is_empty());
    }
}

#[test]
fn all_faults_of_a_plan_are_told_at_once() {
    let folder = tempdir().unwrap();
    let text = "version: 1\nname: x\ntarget: ftp://nowhere\nload: { model: opne }\nscenarios: {}\nextra: 1\n";
    std::fs::write(folder.path().join("bad.plan.yaml"), text).unwrap();
    for command in ["check", "run"] {
        let output = run(&[command, "bad.plan.yaml"], folder.path());
        assert_eq!(output.status.code(), Some(104), "{}", err(&output));
        let told = err(&output);
        for part in ["bad.plan.yaml:3:", "bad.plan.yaml:4:", "bad.plan.yaml:6:", "did you mean"] {
            assert!(told.contains(part), "{part} is missing in:\n{told}");
        }
    }
}

#[test]
fn a_port_in_use_is_its_own_exit_code() {
    let folder = tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["target", "--listen", &address], folder.path());
    assert_eq!(output.status.code(), Some(106), "{}", err(&output));
    assert!(err(&output).contains(&address), "{}", err(&output));
}

#[test]
fn a_first_interrupt_stops_gracefully_with_a_full_report() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    let url = format!("{}/ping", target.url);
    let arguments = ["run", &url, "--rate", "200/s", "--for", "60s", "-o", "json=result.json"];
    let mut process = Process::start("run", swell().args(arguments), folder.path());
    support::wait_for("requests at the target", || (target.requests() > 200).then_some(()));
    process.signal("INT");
    assert_eq!(process.wait().code(), Some(105), "{}", process.log());
    let summary = json_of(&folder.path().join("result.json"));
    assert_eq!(summary["accounting"]["balanced"], true);
    assert_eq!(summary["requests"]["sent"], target.requests());
    assert_eq!(summary["requests"]["cancelled"], 0);
}

/// `swell` under a limit on open files of its own.
fn with_descriptors(count: u32) -> std::process::Command {
    let mut command = std::process::Command::new("prlimit");
    command.arg(format!("--nofile={count}:{count}")).arg(env!("CARGO_BIN_EXE_swell")).env("CI", "true");
    command
}

#[test]
fn what_this_machine_cannot_begin_is_said_before_anything_is_sent() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    let url = format!("{}/ping", target.url);
    let arguments = ["run", &url, "--requests", "500", "--connections", "300"];
    let output = with_descriptors(200).args(arguments).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(110), "{}", err(&output));
    for part in ["nothing was sent", "300 connections", "limit on open files", "ulimit -Hn 368"] {
        assert!(err(&output).contains(part), "{part} is missing in {}", err(&output));
    }
    assert_eq!(target.requests(), 0);
}

#[test]
fn what_this_machine_may_not_do_is_a_warning_and_no_more() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    let url = format!("{}/ping", target.url);
    let arguments = ["run", &url, "--rate", "100/s", "--for", "1s", "--threads", "16"];
    let output = with_descriptors(200).args(arguments).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    for part in ["warning: up to 3000 connections", "warning: 16 engine threads"] {
        assert!(err(&output).contains(part), "{part} is missing in {}", err(&output));
    }
    assert!(target.requests() > 0);
    let quiet = with_descriptors(200).args(arguments).arg("-q").current_dir(folder.path()).output().unwrap();
    assert!(!err(&quiet).contains("warning"), "{}", err(&quiet));
}

#[test]
fn kafka_out_of_reach_is_said_with_its_address() {
    let folder = tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let broker = format!("127.0.0.1:{port}");
    for command in ["driver", "orchestrator", "doctor"] {
        let output = run(&[command, "--kafka", &broker], folder.path());
        assert_eq!(output.status.code(), Some(110), "{command}: {}", err(&output));
        let told = format!("{}{}", err(&output), out(&output));
        assert!(told.contains(&broker), "{command}: {told}");
    }
}
