//! Setup or teardown of a plan, walked once: as an iteration is, with an end that is sure to come.
//!
//! Invariant: setup ends at its first failure, since the load would begin from nobody knows what; teardown goes on where it
//! can, since the more is cleared away the better.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clock::Instant;
use metrics::ErrorKind;
use plan::{Fixture, Scope, Values};

use super::event::{Event, Exchange, Failure};
use super::{Stage, staged};
use crate::mask::Mask;
use crate::sequel::Walk;
use crate::{Job, PrepareError};

/// How often a pause looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// How a plan's setup or teardown is walked.
#[derive(Debug, Clone, Copy)]
pub struct Once<'o> {
    /// Which of them.
    pub fixture: Fixture,
    /// Nothing is waited for any longer.
    pub until: Instant,
    /// Set when nobody wants it any more.
    pub unwanted: &'o AtomicBool,
    /// Whether pauses are waited for.
    pub keeps_pauses: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Walked {
    /// Requests that were sent, redirects included.
    pub requests: u64,
    /// How long it took.
    pub took: Duration,
    /// What failed, as `STEP: why`; the first of several.
    pub failure: Option<String>,
    /// How many failed.
    pub failures: u64,
    /// What it saved; null where a value was not come by.
    pub values: Values,
}

/// Walks setup or teardown of the job's plan, and tells of it. Nothing is done for a plan without.
///
/// # Errors
/// As [`rehearse`](super::rehearse): then nothing was sent.
pub fn walk_once(
    job: &Job,
    once: Once<'_>,
    tell: &mut dyn FnMut(Event, &Mask),
) -> Result<Walked, PrepareError> {
    let mut walked = Walked::default();
    let Some(plan) = job.plan.only(once.fixture) else { return Ok(walked) };
    let since = clock::now();
    let given = plan.given().to_vec();
    let job = Job { plan: Arc::new(plan), ..job.clone() };
    let mut tell = |event: Event, mask: &Mask| {
        if let Event::Exchange(exchange) = &event {
            walked.requests += u64::from(exchange.request.is_some());
            if let Some(failure) = &exchange.failure {
                walked.failures += 1;
                walked.failure.get_or_insert_with(|| said(exchange, failure));
            }
        }
        tell(event, mask);
    };
    let mut stage = staged(&job, Some(once), &mut tell)?;
    let mut walk = Walk::default();
    stage.iterate(0, 0, 0, &mut walk, once.keeps_pauses);
    drop(stage);
    if let (Some(journey), Some(scenario)) = (&walk.journey, job.plan.scenarios.first()) {
        let slot = |name: &String| {
            let at = scenario.saved.iter().position(|saved| saved == name)?;
            Some((name.clone(), journey.saved(u16::try_from(at).ok()?).to_json()))
        };
        walked.values = given.iter().filter(|_| once.fixture == Fixture::Setup).filter_map(slot).collect();
    }
    walked.took = clock::now().since(since);
    Ok(walked)
}

/// What failed, without what was found instead: that may be what setup is to save, and this goes into logs and reports.
fn said(exchange: &Exchange, failure: &Failure) -> String {
    let failed = exchange.checks.iter().filter(|check| !check.holds).map(|check| check.text.as_str());
    let failed: Vec<&str> = failed.collect();
    let text =
        if failed.is_empty() { failure.text.clone() } else { format!("{} does not hold", failed.join("; ")) };
    match exchange.step.as_str() {
        "" => text,
        step => format!("step {step:?}: {text}"),
    }
}

impl Stage<'_> {
    /// Ends a walk that is no longer waited for.
    pub(super) fn cut_short(&mut self, walk: &mut Walk) {
        let Some(once) = self.once else { return };
        let Some(journey) = walk.journey.as_mut().filter(|journey| !journey.is_broken) else { return };
        let (kind, text) = match once.left() {
            None => (ErrorKind::Cancelled, "it was not wanted any more".to_owned()),
            Some(Duration::ZERO) => {
                (ErrorKind::RequestTimeout, format!("{} took too long as a whole", once.fixture.as_str()))
            }
            Some(_) => return,
        };
        journey.is_broken = true;
        let failure = Some(Failure { kind: kind.as_str(), text });
        self.say(Event::Exchange(Box::new(Exchange { failure, ..Exchange::default() })));
    }

    /// How long a request may take whose step says `timeout`.
    pub(super) fn within(&self, timeout: Duration) -> Duration {
        let left = self.once.and_then(Once::left);
        // One that has none left is told of before the next step.
        left.map_or(timeout, |left| timeout.min(left.max(Duration::from_millis(1))))
    }

    /// Whether nothing follows a step that failed.
    pub(super) fn is_strict(&self) -> bool {
        self.once.is_some_and(|once| once.fixture == Fixture::Setup)
    }

    /// Waits.
    pub(super) fn rest(&self, span: Duration) {
        let until = clock::now() + span;
        loop {
            let left = until.since(clock::now());
            let may_wait = self.once.map_or(Some(left), Once::left);
            let Some(may_wait) = may_wait.filter(|may_wait| !left.min(*may_wait).is_zero()) else { return };
            thread::sleep(left.min(may_wait).min(LOOK));
        }
    }
}

impl Once<'_> {
    /// Time that is left; `None` when nobody wants it any more.
    fn left(self) -> Option<Duration> {
        let is_wanted = !self.unwanted.load(Ordering::Relaxed);
        is_wanted.then(|| self.until.since(clock::now()))
    }
}
