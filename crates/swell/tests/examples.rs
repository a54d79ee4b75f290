//! Every plan in `examples/` does what it says, as a user would run it: a real process against a real shop.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::Value;
use support::{Target, err, out, swell};
use tempfile::tempdir;

/// Each plan, and the variables that make it short.
const EXAMPLES: [(&str, &[&str]); 10] = [
    ("api-mix", &["rate=40/s", "duration=2s", "warmup=1s"]),
    ("breakpoint", &["peak=100/s", "duration=2s"]),
    ("file-upload", &["rate=20/s", "duration=1s"]),
    ("graphql", &["rate=20/s", "duration=1s"]),
    ("login-journey", &["rate=200/s", "duration=1s"]),
    ("pagination", &["rate=10/s", "duration=1s", "size=100"]),
    ("replicated-store", &["rate=40/s", "duration=1s"]),
    ("soak", &["users=4", "ramp=1s", "duration=5s"]),
    ("spike", &["base=20/s", "peak=100/s", "calm=1s", "rise=1s", "spike=1s"]),
    ("stress", &["low=20/s", "middle=30/s", "high=40/s", "hold=2s", "warmup=1s"]),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("examples")
}

/// The plans that are there.
fn names() -> Vec<String> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> =
        files.filter_map(|name| name.to_str()?.strip_suffix(".plan.yaml").map(str::to_owned)).collect();
    names.sort();
    names
}

/// The rows that the plan `name` says it has.
fn steps_of(name: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(folder().join(format!("{name}.plan.yaml"))).unwrap();
    plan::parse(name, &text).unwrap().rows().iter().cloned().collect()
}

/// Runs the plan `name`; its summary. Every step must have been sent, and nothing failed.
fn succeeds(name: &str, target: &Target, work: &Path) -> Value {
    let (_, variables) = EXAMPLES.iter().find(|(known, _)| *known == name).unwrap();
    let result = format!("json={name}.json");
    let mut command = swell();
    command.arg("run").arg(folder().join(format!("{name}.plan.yaml"))).current_dir(work);
    command.args(["--target", &target.url, "--threads", "1", "--store", name, "-o", &result]);
    for variable in *variables {
        command.args(["--var", variable]);
    }
    let output = command.env("SWELL_SECRET_SHOP_PASSWORD", "secret").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{name}:\n{}\n{}", out(&output), err(&output));
    let summary: Value =
        serde_json::from_slice(&fs::read(work.join(format!("{name}.json"))).unwrap()).unwrap();
    let sent: BTreeSet<String> =
        summary["steps"].as_array().unwrap().iter().map(|step| step_name(step).to_owned()).collect();
    assert_eq!(sent, steps_of(name), "{name}");
    for step in summary["steps"].as_array().unwrap() {
        let requests = &step["requests"];
        assert!(requests["sent"].as_u64() > Some(0), "{name}: {step:#}");
        assert_eq!(requests["succeeded"], requests["sent"], "{name}: {step:#}");
    }
    assert_eq!(summary["accounting"]["balanced"], true, "{name}: {summary:#}");
    let thresholds = summary["thresholds"].as_array().unwrap();
    assert!(
        !thresholds.is_empty() && thresholds.iter().all(|one| one["result"] == "pass"),
        "{name}: {summary:#}"
    );
    summary
}

fn step_name(step: &Value) -> &str {
    step["name"].as_str().unwrap()
}

#[test]
fn every_example_is_run() {
    let known: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
    assert_eq!(names(), known);
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    for name in known {
        assert!(readme.contains(&format!("({name}.plan.yaml)")), "{name} is not in the README");
        assert!(
            readme.contains(&format!("swell run examples/{name}.plan.yaml")),
            "no command for {name} in the README"
        );
    }
}

#[test]
fn examples_succeed() {
    let work = tempdir().unwrap();
    let target = Target::shop(work.path());
    let names: Vec<&str> =
        EXAMPLES.iter().map(|(name, _)| *name).filter(|name| *name != "login-journey").collect();
    // Most of a short run is waiting for its start and its end.
    thread::scope(|scope| {
        for names in names.chunks(3) {
            scope.spawn(|| names.iter().for_each(|name| drop(succeeds(name, &target, work.path()))));
        }
    });
}

#[test]
fn the_login_journey_uses_each_row_once() {
    let work = tempdir().unwrap();
    let target = Target::shop(work.path());
    let summary = succeeds("login-journey", &target, work.path());
    assert_eq!(summary["iterations"]["started"], 200);
    let rows = fs::read_to_string(folder().join("users.csv")).unwrap();
    let users = rows.lines().skip(1).map(|row| (row.split(',').next().unwrap().to_owned(), 1)).collect();
    assert_eq!(target.logins(), users);
}
