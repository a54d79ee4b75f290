//! Could the generators do what the plan asked? `valid`, `suspect` or `invalid`, with reasons.
//!
//! Judged in two steps. A driver judges each of its seconds while it has all of it ([`bad_causes`]); what travels is the
//! set of [`Causes`], so that seconds can be counted in any order. [`judge`] weighs the counts of the whole run, warm-up
//! included: a generator that was too slow then is too slow.
//!
//! What the target could not do is never held against the generators: it is `target_saturated`, beside the value.
//! Deliberately absent: thresholds of the plan, which judge the target.

use std::fmt;

use crate::accounting::{self, LostDriver, sum};
use crate::{DriverTotals, DriverWindow, ErrorKind, Histogram, Merged, Outcome, Timing};

/// Send lag p99 that is never bad, in ns.
const SEND_LAG_ALWAYS_FINE_NS: u64 = 1_000_000;

/// Send lag p99 is bad above this part of the median service time: 5 %.
const SEND_LAG_PART_OF_SERVICE: u64 = 20;

/// A thread busier than this, in thousandths, makes its second bad.
const BUSY_PERMILLE: u16 = 900;

/// Up to this share of bad seconds a run is valid, in hundredths.
const VALID_BAD_PERCENT: u64 = 1;

/// Up to this share of bad seconds a run is suspect, in hundredths.
const SUSPECT_BAD_PERCENT: u64 = 10;

/// Up to this share of due iterations not started by our fault a run is suspect, in hundredths.
const SUSPECT_UNSTARTED_PERCENT: u64 = 5;

/// More than this share of due iterations missed by the target's fault says that it was saturated, in hundredths.
const SATURATED_MISSED_PERCENT: u64 = 1;

/// Waits for a connection below this median are no queue, in ns.
const QUEUE_WAIT_NS: u64 = 1_000_000;

/// Why a second of a driver is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Send lag p99 above max(1 ms, 5 % of that second's median service time).
    SendLag,
    /// An engine thread was busy more than 90 %. Not held against a saturated closed loop.
    EngineBusy,
    /// The cgroup held the process back.
    Throttled,
    /// Iterations could not be started by our fault.
    MissedOurs,
    /// Requests failed for want of a descriptor or port.
    LocalLimit,
    /// An engine thread never waited: the target had room. Held against saturated closed loops only, since others have
    /// a rate to keep and say [`Cause::EngineBusy`].
    GeneratorBound,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::SendLag,
        Self::EngineBusy,
        Self::Throttled,
        Self::MissedOurs,
        Self::LocalLimit,
        Self::GeneratorBound,
    ];

    /// The code of a reason, such as `send_lag`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendLag => "send_lag",
            Self::EngineBusy => "engine_busy",
            Self::Throttled => "throttled",
            Self::MissedOurs => "missed_ours",
            Self::LocalLimit => "local_limit",
            Self::GeneratorBound => "generator_bound",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of causes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Causes(u8);

impl Causes {
    /// The empty set: a good second.
    pub const NONE: Self = Self(0);

    /// The set of those causes.
    pub fn of(causes: &[Cause]) -> Self {
        Self(causes.iter().fold(0, |bits, cause| bits | cause.bit()))
    }

    /// Adds one.
    pub const fn insert(&mut self, cause: Cause) {
        self.0 |= cause.bit();
    }

    /// Whether the cause is in the set.
    pub const fn contains(self, cause: Cause) -> bool {
        self.0 & cause.bit() != 0
    }

    /// The causes in either set.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The causes of this set without one.
    pub const fn without(self, cause: Cause) -> Self {
        Self(self.0 & !cause.bit())
    }

    /// Whether the second is good.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The causes, in the order of [`Cause::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Cause> {
        Cause::ALL.into_iter().filter(move |cause| self.contains(*cause))
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    /// The set of those bits, unless one is unknown.
    pub(crate) const fn from_bits(bits: u8) -> Option<Self> {
        if bits >> Cause::ALL.len() == 0 { Some(Self(bits)) } else { None }
    }
}

impl fmt::Debug for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Cause::as_str)).finish()
    }
}

/// What makes the seconds of a window bad. The window must be whole: all threads, all steps.
pub fn bad_causes(window: &DriverWindow) -> Causes {
    let mut causes = Causes::NONE;
    let mut note = |cause, bad: bool| {
        if bad {
            causes.insert(cause);
        }
    };
    note(Cause::SendLag, sends_lag(window));
    note(Cause::EngineBusy, window.gauges.busiest_thread_permille > BUSY_PERMILLE);
    note(Cause::Throttled, window.gauges.throttled_us > 0);
    note(Cause::MissedOurs, window.stages.iter().any(|stage| stage.missed.ours > 0));
    let outcomes = || window.steps.iter().flat_map(|step| &step.outcomes);
    note(
        Cause::LocalLimit,
        outcomes().any(|&(outcome, _)| matches!(outcome, Outcome::Failed(ErrorKind::LocalLimit, _))),
    );
    note(Cause::GeneratorBound, window.gauges.never_waited);
    causes
}

fn sends_lag(window: &DriverWindow) -> bool {
    let mut lag = Timing::new();
    window.stages.iter().for_each(|stage| lag.merge(&stage.send_lag));
    let Some(p99) = lag.quantile(0.99).filter(|&p99| p99 > SEND_LAG_ALWAYS_FINE_NS) else { return false };
    let mut service = Histogram::new();
    for step in &window.steps {
        service.merge(step.ok.service.histogram());
        service.merge(step.failed.service.histogram());
    }
    p99 > service.quantile(0.5).unwrap_or(0) / SEND_LAG_PART_OF_SERVICE
}

/// How far the numbers of a run can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Value {
    /// At most 1 % of the seconds bad, and no driver lost.
    #[default]
    Valid,
    /// Between the two others.
    Suspect,
    /// More than 10 % of the seconds bad, or more than 5 % of the due iterations not started by our fault.
    Invalid,
}

impl Value {
    /// `valid`, `suspect` or `invalid`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Suspect => "suspect",
            Self::Invalid => "invalid",
        }
    }
}

/// One reason of a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// A [`Cause`], or `not_started`, `driver_lost`, `overlap`, `incomplete`, `summary_only`, `nothing_measured`.
    pub code: &'static str,
    /// The driver it is about, unless it is about all.
    pub driver: Option<String>,
    /// How many seconds it concerns, 0 where seconds are not what counts.
    pub seconds: u64,
    /// A sentence.
    pub text: String,
}

/// The verdict of a run. A valid run has reasons, too, when some of its seconds were bad.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// The value.
    pub value: Value,
    /// Why, the same value having several.
    pub reasons: Vec<Reason>,
    /// A finding of its own: the target could not keep up with what was asked of it.
    pub target_saturated: bool,
}

impl Verdict {
    fn add(&mut self, at_best: Value, code: &'static str, driver: Option<&str>, seconds: u64, text: String) {
        self.value = self.value.max(at_best);
        self.reasons.push(Reason { code, driver: driver.map(str::to_owned), seconds, text });
    }
}

/// What a verdict needs to know beside the measurements.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// A closed loop that goes as fast as it can (avalanche without a limit): full threads are its purpose.
    pub saturated: bool,
    /// Drivers that were lost.
    pub lost: Vec<LostDriver>,
    /// Iterations that two drivers sent while a share moved.
    pub overlap: u64,
    /// Foreign drivers, which report no windows: nobody knows how they did.
    pub summary_only: Vec<String>,
    /// Whether the run is over: only then is what is absent missing.
    pub ended: bool,
}

/// The verdict on what was measured so far, or of the whole run.
pub fn judge(merged: &Merged, context: &Context) -> Verdict {
    let mut verdict = Verdict { target_saturated: target_saturated(merged, context), ..Verdict::default() };
    judge_seconds(&mut verdict, merged, context);
    judge_unstarted(&mut verdict, merged, context);
    for driver in &context.lost {
        let fate = if driver.replaced { "its share was taken over" } else { "nobody took its share over" };
        let text = format!("{} was lost; {fate}.", driver.node_id);
        verdict.add(Value::Suspect, "driver_lost", Some(&driver.node_id), 0, text);
    }
    if context.overlap > 0 {
        let text = format!("{} iterations were sent by two drivers while a share moved.", context.overlap);
        verdict.add(Value::Suspect, "overlap", None, 0, text);
    }
    for node_id in &context.summary_only {
        let text = format!("{node_id} reports summaries only, so nobody knows whether it kept up.");
        verdict.add(Value::Suspect, "summary_only", Some(node_id), 0, text);
    }
    if context.ended {
        for (node_id, difference) in accounting::differences(merged, &context.lost) {
            verdict.add(Value::Suspect, "incomplete", Some(&node_id), 0, format!("{difference}."));
        }
    }
    verdict
}

/// The causes that make a second of a run of this kind bad.
fn counted(causes: Causes, saturated: bool) -> Causes {
    let causes = causes.without(Cause::GeneratorBound);
    if saturated { causes.without(Cause::EngineBusy) } else { causes }
}

fn judge_seconds(verdict: &mut Verdict, merged: &Merged, context: &Context) {
    let seconds = sum(merged.drivers.values().map(|driver| driver.seconds));
    if seconds == 0 {
        if context.ended {
            let text = "No second of any driver was measured.".to_owned();
            verdict.add(Value::Invalid, "nothing_measured", None, 0, text);
        }
        return;
    }
    let is_bad = |causes: Causes| !counted(causes, context.saturated).is_empty();
    let all_bad = merged.drivers.values().flat_map(|driver| &driver.bad);
    let bad = sum(all_bad.filter(|(causes, _)| is_bad(**causes)).map(|(_, &seconds)| seconds));
    let value = if exceeds(bad, SUSPECT_BAD_PERCENT, seconds) {
        Value::Invalid
    } else if exceeds(bad, VALID_BAD_PERCENT, seconds) {
        Value::Suspect
    } else {
        Value::Valid
    };
    // The times of a saturated loop stay true when the rate is the generator's own, so that alone is no more than suspect.
    let bound = sum(merged.drivers.values().map(|driver| driver.bad_by(Cause::GeneratorBound)));
    let value_of_bound =
        if exceeds(bound, VALID_BAD_PERCENT, seconds) { Value::Suspect } else { Value::Valid };
    for (node_id, driver) in &merged.drivers {
        for cause in Cause::ALL {
            let seconds = driver.bad_by(cause);
            let value = match cause {
                Cause::GeneratorBound if context.saturated => value_of_bound,
                _ if is_bad(Causes::of(&[cause])) => value,
                _ => continue,
            };
            if seconds > 0 {
                let text = sentence(cause, node_id, seconds, driver);
                verdict.add(value, cause.as_str(), Some(node_id), seconds, text);
            }
        }
    }
}

fn sentence(cause: Cause, node_id: &str, seconds: u64, driver: &DriverTotals) -> String {
    let span = format!("in {seconds} of {} s", driver.seconds);
    match cause {
        Cause::SendLag => format!(
            "{node_id} sent late {span}: send lag p99 above 1 ms and above 5 % of the median service time."
        ),
        Cause::EngineBusy => format!("An engine thread of {node_id} was busy more than 90 % {span}."),
        Cause::Throttled => format!("{node_id} was held back by its CPU quota {span}."),
        Cause::MissedOurs => {
            format!("{node_id} could not start {} due iterations, {span}.", driver.missed.ours)
        }
        Cause::LocalLimit => format!("{node_id} ran out of descriptors or ports {span}."),
        Cause::GeneratorBound => format!(
            "An engine thread of {node_id} never waited {span}: the target had room, so the rate is the generator's."
        ),
    }
}

fn judge_unstarted(verdict: &mut Verdict, merged: &Merged, context: &Context) {
    let iterations = accounting::iterations(merged, &context.lost, context.overlap);
    let unreplaced = context.lost.iter().filter(|driver| !driver.replaced);
    let lost = sum(unreplaced.map(|driver| driver.lost_iterations(merged.drivers.get(&driver.node_id))));
    let ours = sum(merged.drivers.values().map(|driver| driver.missed.ours));
    let unstarted = ours.saturating_add(lost);
    if exceeds(unstarted, SUSPECT_UNSTARTED_PERCENT, iterations.due) {
        let text = format!(
            "{unstarted} of {} due iterations were not started, by our fault or on lost drivers.",
            iterations.due
        );
        verdict.add(Value::Invalid, "not_started", None, 0, text);
    }
}

/// An open loop asks for a rate; the target is saturated when it let iterations be missed, or when requests typically
/// waited longer for a connection than they then took.
fn target_saturated(merged: &Merged, context: &Context) -> bool {
    if context.saturated {
        return false;
    }
    let stages = merged.all_stages(|_| true);
    if exceeds(stages.missed.target, SATURATED_MISSED_PERCENT, stages.due) {
        return true;
    }
    let Some(wait) = stages.connection_wait.quantile(0.5).filter(|&wait| wait > QUEUE_WAIT_NS) else {
        return false;
    };
    let steps = merged.all_steps(|_| true);
    let mut service = steps.ok.service;
    service.merge(&steps.failed.service);
    service.quantile(0.5).is_some_and(|service| wait > service)
}

/// Whether `part` is more than `percent` hundredths of `whole`.
fn exceeds(part: u64, percent: u64, whole: u64) -> bool {
    u128::from(part) * 100 > u128::from(whole) * u128::from(percent)
}
