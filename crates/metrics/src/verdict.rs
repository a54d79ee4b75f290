//! Could the generators do what the plan asked? `valid`, `suspect` or `invalid`, with reasons.
//!
//! Judged in two steps. A driver notes what each of its seconds suffered from while it has all of it ([`causes_of`]);
//! what travels is the set of [`Causes`], so that seconds can be counted in any order. [`judge`] weighs the counts of
//! the whole run, warm-up included: a generator that was too slow then is too slow.
//!
//! Invariant: only what is ours changes the value. What the target could not do, and what the plan's own limit
//! prevented, are findings beside it. Deliberately absent: thresholds of the plan, which judge the target.

mod cause;
mod second;

pub use cause::{Cause, Causes, Whose};
pub use second::causes_of;

use crate::accounting::{self, LostDriver, sum};
use crate::{DriverTotals, Merged};

/// Up to this share of bad seconds a run is valid, in hundredths.
const VALID_BAD_PERCENT: u64 = 1;

/// Up to this share of bad seconds a run is suspect, in hundredths.
const SUSPECT_BAD_PERCENT: u64 = 10;

/// Up to this share of due iterations not started by our fault a run is suspect, in hundredths.
const SUSPECT_UNSTARTED_PERCENT: u64 = 5;

/// Answers that take longer than this are not expected every second, in ns.
const SECOND_NS: u64 = 1_000_000_000;

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

/// One reason of a verdict, or one finding beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// That of a [`Cause`], or `not_started`, `driver_lost`, `overlap`, `incomplete`, `summary_only`,
    /// `nothing_measured`. Stable: others act on it.
    pub code: &'static str,
    /// The driver it is about, unless it is about all.
    pub driver: Option<String>,
    /// How many seconds it concerns, 0 where seconds are not what counts.
    pub seconds: u64,
    /// What happened, and what to do about it.
    pub text: String,
}

/// The verdict of a run. A valid run has reasons, too, when some of its seconds were bad.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// The value.
    pub value: Value,
    /// Why, the same value having several.
    pub reasons: Vec<Reason>,
    /// What is not the generators' doing: the target's faults, and the plan's own limit. They change no value.
    pub findings: Vec<Reason>,
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
    /// A closed loop that nothing in the plan slows down, such as an avalanche without a limit: full threads are its
    /// purpose.
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
    let mut verdict = Verdict {
        target_saturated: target_saturated(merged, context),
        findings: findings(merged, context),
        ..Verdict::default()
    };
    judge_seconds(&mut verdict, merged, context);
    judge_unstarted(&mut verdict, merged, context);
    for driver in &context.lost {
        let fate = match driver.replaced {
            true => "its share was taken over",
            false => "nobody took its share over, so the load was below the plan",
        };
        let text = format!("{} was lost; {fate}. Look at its log and its machine for why.", driver.node_id);
        verdict.add(Value::Suspect, "driver_lost", Some(&driver.node_id), 0, text);
    }
    if context.overlap > 0 {
        let text = format!(
            "{} iterations were sent by two drivers while a share moved: the load was above the plan then.",
            context.overlap
        );
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

/// Of what a second was noted for, what counts against the generators of a run of this kind.
///
/// A saturated loop fills its threads on purpose. What else wants their CPU matters to it only where requests were late
/// for it, or where the rate is the generator's own.
fn against_us(causes: Causes, saturated: bool) -> Causes {
    let ours = causes.of_whom(Whose::Ours);
    let withheld = Causes::of(&[Cause::EngineStarved, Cause::CpuStolen]);
    match saturated {
        false => ours.without(Causes::of(&[Cause::GeneratorBound])),
        true if ours.contains(Cause::SendLag) || ours.contains(Cause::GeneratorBound) => {
            ours.without(Causes::of(&[Cause::EngineBusy]))
        }
        true => ours.without(withheld).without(Causes::of(&[Cause::EngineBusy])),
    }
}

/// Whether it makes the second bad. The times of a saturated loop stay true when the rate is the generator's own, so
/// that alone does not.
fn is_bad(causes: Causes, saturated: bool) -> bool {
    let bound = Causes::of(&[Cause::GeneratorBound, Cause::EngineStarved, Cause::CpuStolen]);
    let against_us = against_us(causes, saturated);
    !if saturated { against_us.without(bound) } else { against_us }.is_empty()
}

fn judge_seconds(verdict: &mut Verdict, merged: &Merged, context: &Context) {
    let seconds = sum(merged.drivers.values().map(|driver| driver.seconds));
    if seconds == 0 {
        if context.ended {
            let text = "No second of any driver was measured. Look at the timeline for what ended the run."
                .to_owned();
            verdict.add(Value::Invalid, "nothing_measured", None, 0, text);
        }
        return;
    }
    let counted = |counts: &dyn Fn(Causes) -> bool| {
        sum(merged.drivers.values().map(|driver| driver.seconds_noted(counts)))
    };
    let bad = counted(&|causes| is_bad(causes, context.saturated));
    let any = counted(&|causes| !against_us(causes, context.saturated).is_empty());
    let value = if exceeds(bad, SUSPECT_BAD_PERCENT, seconds) {
        Value::Invalid
    } else if exceeds(any, VALID_BAD_PERCENT, seconds) {
        Value::Suspect
    } else {
        Value::Valid
    };
    for (node_id, driver) in &merged.drivers {
        for cause in Cause::ALL {
            let seconds =
                driver.seconds_noted(|causes| against_us(causes, context.saturated).contains(cause));
            if seconds > 0 {
                let text = cause.sentence(node_id, seconds, driver);
                verdict.add(value, cause.as_str(), Some(node_id), seconds, text);
            }
        }
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
            "{unstarted} of {} due iterations were not started, by our fault or on lost drivers: the load was below \
             the plan. Remove the other reasons and run again.",
            iterations.due
        );
        verdict.add(Value::Invalid, "not_started", None, 0, text);
    }
}

/// Whether the target was saturated over the whole run, and in some second in which we could see it. A saturated loop
/// asks for no rate that it could not keep.
fn target_saturated(merged: &Merged, context: &Context) -> bool {
    let service_ns = || {
        let steps = merged.all_steps(|_| true);
        let mut service = steps.ok.service;
        service.merge(&steps.failed.service);
        service.quantile(0.5)
    };
    let is_noted = |causes: Causes| causes.contains(Cause::TargetSaturated);
    let noted = merged.drivers.values().any(|driver| driver.seconds_noted(is_noted) > 0);
    !context.saturated && noted && second::is_saturated(&merged.all_stages(|_| true), service_ns)
}

/// What is the target's or the plan's.
fn findings(merged: &Merged, context: &Context) -> Vec<Reason> {
    let tells = |cause: Cause| match cause {
        Cause::TargetSaturated => !context.saturated,
        Cause::TargetStopped => answers_every_second(merged),
        cause => cause.whose() != Whose::Ours,
    };
    let told: Vec<Cause> = Cause::ALL.into_iter().filter(|cause| tells(*cause)).collect();
    let of_driver = |(node_id, driver): (&String, &DriverTotals)| {
        let found = told.iter().filter_map(|&cause| {
            let seconds = driver.seconds_noted(|causes| causes.contains(cause));
            let text = || cause.sentence(node_id, seconds, driver);
            (seconds > 0).then(|| Reason {
                code: cause.as_str(),
                driver: Some(node_id.clone()),
                seconds,
                text: text(),
            })
        });
        found.collect::<Vec<_>>()
    };
    merged.drivers.iter().flat_map(of_driver).collect()
}

/// Whether a second without an answer says anything: not where answers usually take longer, nor where all requests were
/// over within a second, so that the one that was out may just have left.
fn answers_every_second(merged: &Merged) -> bool {
    let steps = merged.all_steps(|_| true);
    let longest = steps.ok.service.max_ns().max(steps.failed.service.max_ns());
    steps.ok.service.quantile(0.5).unwrap_or(0) < SECOND_NS
        && (longest.is_none_or(|longest| longest >= SECOND_NS) || steps.cancelled > 0)
}

/// Whether `part` is more than `percent` hundredths of `whole`.
fn exceeds(part: u64, percent: u64, whole: u64) -> bool {
    u128::from(part) * 100 > u128::from(whole) * u128::from(percent)
}
