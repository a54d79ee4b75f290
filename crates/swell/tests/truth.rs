//! What a run reports, against a target that keeps its own record of each request.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::fs;
use std::io::pipe;
use std::net::TcpListener;
use std::thread;

use serde_json::Value;
use xtask::truth::{Delay, Settings, compare, serve};

const RATE_PER_S: f64 = 400.0;
const SECONDS: f64 = 3.0;
/// A histogram's bin is at most so wide, in shares of its value.
const BIN: f64 = 0.001;
/// What a busy machine may add between the two programs; half of all requests are never that late.
const MOST_BETWEEN_MS: f64 = 500.0;

#[test]
fn counts_and_bytes_are_those_of_the_target_and_times_are_no_shorter() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (end, running) = pipe().unwrap();
    let settings = Settings { spin: false, room: 10_000, seed: 3 };
    let target = thread::spawn(move || serve(&listener, end, settings).unwrap());

    let scenarios: String = Delay::ALL
        .iter()
        .map(|delay| format!("  {0}: {{ steps: [{{ get: /{0}, name: {0} }}] }}\n", delay.name()))
        .collect();
    let plan = format!(
        "version: 1\nname: truth\ntarget: http://{address}\n\
         load: {{ model: open, stages: [{{ at: {RATE_PER_S}/s, for: {SECONDS}s }}] }}\nscenarios:\n{scenarios}"
    );
    fs::write(folder.path().join("plan.yaml"), plan).unwrap();
    let output = support::run(&["run", "plan.yaml", "-o", "json=result.json"], folder.path());
    assert!(output.status.success(), "{}", support::err(&output));
    drop(running);
    let record = target.join().unwrap();
    let summary = fs::read_to_string(folder.path().join("result.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();

    let report = compare(&record, RATE_PER_S, &summary);
    assert!(record.requests.len() > 100, "{:#?}", report.counts);
    assert_eq!(report.counts.len(), 5 + Delay::ALL.len());
    assert!(report.counts_hold(), "{:#?}", report.counts);
    // Each request was with the target for a part of the time that we say, so no percentile of ours can be less.
    assert_eq!(report.times.len(), (1 + Delay::ALL.len()) * 2 * 4);
    for time in report.times.iter().filter(|time| time.what.contains("service time")) {
        let said = time.said.unwrap();
        assert!(said >= time.truth * (1.0 - BIN), "{time:?}");
        assert!(!time.what.ends_with("p50") || said <= time.truth + MOST_BETWEEN_MS, "{time:?}");
    }
}
