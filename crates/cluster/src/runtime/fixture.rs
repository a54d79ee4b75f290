//! Setup and teardown on a driver: walked by one thread, with what came of it as a message says it.

use std::sync::atomic::AtomicBool;

use engine::Job;
use engine::rehearsal::{self, Once};
use plan::Fixture;
use transport::{FixtureOutcome, wire};

use super::driver::sentence;

/// Walks it, within the time that the plan gives it.
pub(super) fn outcome(job: &Job, fixture: Fixture, unwanted: &AtomicBool) -> FixtureOutcome {
    let until = clock::now() + job.plan.fixture_timeout(fixture);
    let once = Once { fixture, until, unwanted, keeps_pauses: true };
    let walked = match rehearsal::walk_once(job, once, &mut |_, _| {}) {
        Ok(walked) => walked,
        Err(error) => return failed(sentence(&error)),
    };
    let mut outcome = FixtureOutcome {
        requests: walked.requests,
        took_ms: u64::try_from(walked.took.as_millis()).unwrap_or(u64::MAX),
        failure: walked.failure,
        failures: walked.failures,
        values: walked.values,
    };
    if let Err(why) = wire::fit_values(&outcome.values) {
        outcome.values.clear();
        outcome.failures += 1;
        outcome.failure.get_or_insert(format!("what it saved cannot be handed to the drivers: {why}"));
    }
    outcome
}

/// It could not be walked at all.
pub(super) fn failed(reason: String) -> FixtureOutcome {
    FixtureOutcome { failure: Some(reason), failures: 1, ..FixtureOutcome::default() }
}
