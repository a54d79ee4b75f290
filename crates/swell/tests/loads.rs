//! Several loads in one plan, on one process and on a fleet: each sends what it would alone, and no row is used twice.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Target, drivers, err, out, swell};
use tempfile::tempdir;
use xtask::services::Kafka;

const PLAN: &str = "version: 1
name: side-by-side
target: http://127.0.0.1:1
seed: 7
load:
  model: open
  stages: [ { name: steady, at: 60/s, for: 4s } ]
data: { users: { rows: 5000, columns: { name: \"user-{{ row }}\" }, pick: once } }
scenarios:
  browse: { weight: 2, steps: [ get: /api/products ] }
  login:
    weight: 1
    steps: [ { post: /api/login, json: { user: \"{{ users.name }}\", password: secret } } ]
  storm:
    load: { model: open, arrivals: poisson, stages: [ { name: wait, at: 1/s, for: 1s, warmup: true }, { name: burst, at: 100/s, for: 2s } ] }
    steps: [ { post: /api/login, name: storm, json: { user: \"{{ users.name }}\", password: secret } } ]
thresholds:
  - achieved_rate of stage \"steady\" > 95%
  - achieved_rate of stage \"storm/burst\" > 70% # Its arrivals are random.
  - rate of stage \"steady\" > 50/s
  - rate of stage \"storm/burst\" > 50/s
  - error_rate < 1%
";

/// Requests of each step in the measured part, and of the whole run; as the target's record has it, too.
fn sent(command: &mut Command, target: &Target, folder: &Path) -> (BTreeMap<String, u64>, u64) {
    target.control("reset");
    command.args(["loads.plan.yaml", "--target", &target.url, "-o", "json=result.json"]);
    let output = command.current_dir(folder).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}\n{}", out(&output), err(&output));
    let summary: Value = serde_json::from_slice(&fs::read(folder.join("result.json")).unwrap()).unwrap();
    assert_eq!(summary["accounting"]["balanced"], true, "{summary:#}");
    let all = summary["accounting"]["requests_sent"].as_u64().unwrap();
    assert_eq!(all, target.requests());
    let logins = target.logins();
    assert!(logins.values().all(|count| *count == 1), "{logins:?}");
    let steps = summary["steps"].as_array().unwrap().iter();
    let steps = steps
        .map(|step| (step["name"].as_str().unwrap().to_owned(), step["requests"]["sent"].as_u64().unwrap()));
    (steps.collect(), all)
}

#[test]
fn loads_side_by_side_send_the_same_from_one_process_and_from_three_drivers() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("loads.plan.yaml"), PLAN).unwrap();
    let target = Target::shop(folder.path());
    let alone = sent(swell().args(["run", "--threads", "1"]), &target, folder.path());
    assert_eq!(alone.0["GET /api/products"] + alone.0["POST /api/login"], 240);
    let kafka = Kafka::start().unwrap();
    let _drivers = drivers(&kafka, folder.path(), 3, &[]);
    let mut command = swell();
    command.args(["run", "--kafka", &kafka.address(), "--min-drivers", "3"]);
    assert_eq!(sent(&mut command, &target, folder.path()), alone);
}
