//! Raw events: which requests leave one, and what is in it. That each request has exactly one, and that they add up to the
//! windows, is held by `watch` in every test of the engine.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::sync::Arc;

use engine::{Event, Job};
use metrics::{ErrorKind, Outcome, Sample};
use plan::{StageId, StepId};
use support::{Server, logging, plan, prepare, start};

/// Every other answer is a 503.
fn server() -> Server {
    let (server, _) = logging(|line| match line.contains("/bad") {
        true => "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_owned(),
        false => support::ok(),
    });
    server
}

/// The raw events of a run, those of one thread after those of the one before.
fn rows(plan: &plan::Plan, events: &str, threads: usize) -> Vec<Sample> {
    let text = format!("{}events: {events}\n", plan.source);
    let plan = plan::parse("test", &text).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let plan = Arc::new(plan);
    let job = Job { threads, plan: Arc::clone(&plan), ..support::job(plan::Plan::clone(&plan)) };
    let mut running = start(prepare(job));
    let mut samples = running.take_samples();
    assert!(running.take_samples().is_empty(), "whoever takes them has them alone");
    while !matches!(running.events().recv().unwrap(), Event::Finished(_)) {}
    running.join();
    let mut rows = Vec::new();
    for samples in &mut samples {
        samples.take(usize::MAX, |sample| rows.push(*sample));
        assert_eq!(samples.dropped(), 0);
    }
    assert_eq!(samples.iter().map(metrics::Samples::produced).sum::<u64>(), rows.len() as u64);
    rows
}

/// 2,000 requests, half of which fail.
fn two_thousand(server: &Server) -> plan::Plan {
    plan(
        server,
        "model: avalanche, requests_per_driver: 1000, connections: 8",
        "{ get: /good }, { get: /bad }",
    )
}

#[test]
fn a_plan_says_which_requests_leave_a_row() {
    let server = server();
    let plan = two_thousand(&server);
    let all = rows(&plan, "all", 2);
    assert_eq!(all.len(), 2_000);
    let errors = rows(&plan, "errors", 2);
    assert_eq!(errors.len(), 1_000);
    for row in errors {
        assert_eq!((row.step, row.stage, row.status), (StepId(1), StageId(0), 503));
        assert_eq!(row.outcome, Outcome::Failed(ErrorKind::Status, 503));
        assert!(row.times.intended <= row.times.sent && row.times.sent < row.times.done, "{row:?}");
        assert!(row.bytes_in > 0 && row.bytes_out > 0 && row.was_sent);
    }
    assert_eq!(rows(&plan, "none", 2).len(), 0);
}

#[test]
fn a_sample_is_of_successes_and_failures_alike() {
    let server = server();
    let plan = two_thousand(&server);
    let sampled = rows(&plan, "sample 20%", 1);
    // Which they are follows from the seed and the order of the requests: of as many there are as many.
    assert_eq!(sampled.len(), rows(&plan, "sample 20%", 1).len());
    let share = |count: usize, of: f64| count as f64 / of;
    assert!((0.17..0.23).contains(&share(sampled.len(), 2_000.0)), "{} rows", sampled.len());
    let failed = sampled.iter().filter(|row| !row.outcome.is_success()).count();
    assert!((0.4..0.6).contains(&share(failed, sampled.len() as f64)), "{failed} of {}", sampled.len());
    assert_eq!(rows(&plan, "sample 100%", 1).len(), 2_000);
}

#[test]
fn what_fails_for_its_body_has_its_status() {
    let server = server();
    let step = "{ get: /good, expect: { body_contains: pang } }";
    let plan = plan(&server, "model: avalanche, requests_per_driver: 3, connections: 1", step);
    let rows = rows(&plan, "errors", 1);
    let said: Vec<_> = rows.iter().map(|row| (row.status, row.outcome.detail())).collect();
    assert_eq!(said, vec![(200, Some("body".to_owned())); 3]);
}
