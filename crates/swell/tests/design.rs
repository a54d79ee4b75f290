//! The plan that the design prints does what it says: in one process and on three drivers, with the same requests.

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

/// As printed.
const PLAN: &str = include_str!("design/checkout-peak.plan.yaml");

/// More than there are iterations.
const ROWS: usize = 5_000;

/// The plan with shorter stages, and its users.
fn write_plan(folder: &Path) {
    let text = PLAN.replace("over: 30s", "over: 2s").replace("for: 5m", "for: 4s");
    assert_ne!(text, PLAN);
    fs::write(folder.join("checkout-peak.plan.yaml"), text).unwrap();
    let rows: String = (0..ROWS).map(|row| format!("user-{row}\n")).collect();
    fs::write(folder.join("users.csv"), format!("name\n{rows}")).unwrap();
}

/// What must be the same wherever the plan is run with this seed.
#[derive(Debug, PartialEq)]
struct Sent {
    iterations: u64,
    /// In the whole run.
    requests: u64,
    /// In the measured part.
    steps: BTreeMap<String, u64>,
}

/// Runs the plan, which must be as good as it demands, and holds it against the target's record.
fn sent(command: &mut Command, target: &Target, folder: &Path, drivers: usize) -> Sent {
    target.control("reset");
    write_plan(folder);
    command.args(["checkout-peak.plan.yaml", "--target", &target.url, "-o", "json=result.json"]);
    let output = command.env("SWELL_SECRET_SHOP_PASSWORD", "secret").current_dir(folder).output().unwrap();
    // What the plan demands of times a busy machine may break.
    assert!(matches!(output.status.code(), Some(0 | 99)), "{}\n{}", out(&output), err(&output));
    let summary: Value = serde_json::from_slice(&fs::read(folder.join("result.json")).unwrap()).unwrap();
    for threshold in summary["thresholds"].as_array().unwrap() {
        let is_of_times = threshold["expression"].as_str().unwrap().starts_with("p99");
        assert!(is_of_times || threshold["result"] == "pass", "{threshold:#}");
    }
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value} in {summary:#}"));
    let accounting = &summary["accounting"];
    assert_eq!(accounting["balanced"], true, "{summary:#}");
    assert_eq!(accounting["iterations_started"], accounting["iterations_due"], "{summary:#}");
    assert_eq!(summary["drivers"].as_array().unwrap().len(), drivers);
    let requests = number(&accounting["requests_sent"]);
    assert_eq!(requests, target.requests(), "{summary:#}");
    let mut steps = BTreeMap::new();
    for step in summary["steps"].as_array().unwrap() {
        assert_eq!(step["requests"]["succeeded"], step["requests"]["sent"], "{step:#}");
        steps.insert(step["name"].as_str().unwrap().to_owned(), number(&step["requests"]["sent"]));
    }
    assert_eq!(steps.keys().collect::<Vec<_>>(), ["GET /api/products", "POST /api/cart", "POST /api/login"]);
    assert_eq!(steps["POST /api/cart"], steps["POST /api/login"]);

    // Each who bought is another one; the others need no row.
    let iterations = number(&accounting["iterations_due"]);
    let logins = target.logins();
    assert!(logins.values().all(|count| *count == 1), "{logins:?}");
    assert_eq!(iterations + logins.len() as u64, requests);
    assert!(
        logins.keys().all(|user| user.strip_prefix("user-").is_some_and(|row| row.parse::<usize>().is_ok()))
    );
    Sent { iterations, requests, steps }
}

#[test]
fn the_printed_plan_sends_the_same_from_one_process_and_from_three_drivers() {
    let folder = tempdir().unwrap();
    let target = Target::shop(folder.path());
    let alone = sent(swell().args(["run", "--threads", "1"]), &target, folder.path(), 1);

    let kafka = Kafka::start().unwrap();
    let _drivers = drivers(&kafka, folder.path(), 3, &[("SWELL_SECRET_SHOP_PASSWORD", "secret")]);
    let mut command = swell();
    command.args(["run", "--kafka", &kafka.address(), "--min-drivers", "3"]);
    let fleet = sent(&mut command, &target, folder.path(), 3);
    assert_eq!(fleet, alone);
}
