//! Whether what was measured is what the plan accepts.
//!
//! Without `for`, a threshold is judged on all that was measured: at the end on everything, and during the run on the
//! measured part so far, as soon as that is enough to say anything ([`LIVE_AFTER_S`], [`LIVE_SAMPLES`]). With `for D` it
//! is judged on each second by itself, and is breached once it did not hold in D seconds in a row; a second without data
//! neither breaks nor ends such a row.
//!
//! Invariant: all numbers come from merged windows, so a threshold sees what the result prints. Deliberately absent: what
//! follows from a breach.

use std::collections::BTreeSet;
use std::fmt;

use plan::threshold::{Measure, Metric, Scope, Statistic};
use plan::{Plan, Schedules, StageId, StepId, Threshold};

use crate::{DriverWindow, Merged, Phase, StageWindow, StepWindow, Timing};

/// Measured seconds before anything is judged during a run: the first ones are of cold caches and first connections.
pub const LIVE_AFTER_S: f64 = 5.0;
/// Samples before a time or an error rate is judged during a run: of fewer, one slow request would be the answer.
pub const LIVE_SAMPLES: u64 = 20;

const SECOND_NS: u64 = 1_000_000_000;

/// How a threshold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// There was nothing to compare.
    NoData,
}

impl Standing {
    /// `pass`, `fail` or `no_data`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NoData => "no_data",
        }
    }

    /// The standing of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Pass, Self::Fail, Self::NoData].into_iter().find(|standing| standing.as_str() == name)
    }
}

/// One threshold of a plan, judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// How it stands.
    pub standing: Standing,
    /// What was compared, in the unit of its measure. With `for`: the value of the second that completed the first
    /// breach, or else of the last second.
    pub observed: Option<f64>,
    /// Whole seconds from the start of the run until it was first seen breached; `None` when it was not during the run.
    pub first_breach_s: Option<u32>,
    /// Whether it ended the run.
    pub aborted: bool,
}

impl Judged {
    /// Whether the run fails by it.
    pub fn fails(&self, threshold: &Threshold) -> bool {
        match self.standing {
            Standing::Pass => false,
            Standing::Fail => true,
            Standing::NoData => !threshold.allow_no_data,
        }
    }
}

/// The first breach of a threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breach<'a> {
    /// Which, in the order of the plan.
    pub number: usize,
    /// The threshold.
    pub threshold: &'a Threshold,
    /// Whole seconds from the start of the run.
    pub after_s: u32,
    /// The value that does not hold.
    pub observed: f64,
}

impl fmt::Display for Breach<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { threshold, after_s, observed, .. } = self;
        let unit = match threshold.measure.unit() {
            Some("ms") => " ms",
            Some(unit) => unit,
            None => "",
        };
        // A count is whole; of all else four digits say how far off it is.
        let is_whole = observed.fract() == 0.0;
        let places = if is_whole || *observed >= 1000.0 {
            0
        } else if *observed >= 10.0 {
            1
        } else {
            3
        };
        write!(f, "threshold {} breached after {after_s} s: {observed:.places$}{unit}", threshold.expression)
    }
}

/// The thresholds of one run, second by second.
#[derive(Debug, Clone)]
pub struct Tracker {
    warmup: BTreeSet<StageId>,
    tracked: Vec<Tracked>,
    /// Run time behind the last second taken.
    until_ns: u64,
    /// Run time at which arrivals were stopped before their end.
    stopped_ns: Option<u64>,
    /// The first that ends the run.
    crossed: Option<usize>,
}

/// One threshold and what was seen of it.
#[derive(Debug, Clone)]
struct Tracked {
    threshold: Threshold,
    /// The stages of its scope that are measured, and when they are, in ns of run time.
    stages: Vec<(StageId, (u64, u64))>,
    /// When any of them is: ascending, and apart from each other.
    spans: Vec<(u64, u64)>,
    so_far: Tally,
    /// Seconds in a row in which it did not hold.
    broken_s: u32,
    /// The value of the last second that had one.
    last: Option<f64>,
    first_breach: Option<(u32, f64)>,
}

impl Tracker {
    /// Nothing seen yet.
    pub fn new(plan: &Plan) -> Self {
        let mut warmup = BTreeSet::new();
        let mut stages = Vec::new();
        for (id, stage) in (0..=u16::MAX).map(StageId).zip(plan.stages()) {
            if stage.warmup {
                warmup.insert(id);
            } else {
                stages.push((id, stage.span_ns()));
            }
        }
        let measured = plan.measured();
        let tracked = plan.thresholds.iter().map(|threshold| {
            let is_of_it = |id: &StageId| !matches!(threshold.scope, Scope::Stage(wanted) if wanted != *id);
            let stages: Vec<_> = stages.iter().filter(|(id, _)| is_of_it(id)).copied().collect();
            Tracked {
                spans: match threshold.scope {
                    Scope::Stage(_) => stages.iter().map(|(_, span)| *span).collect(),
                    Scope::Run | Scope::Rows(_) => measured.clone(),
                },
                stages,
                threshold: threshold.clone(),
                so_far: Tally::default(),
                broken_s: 0,
                last: None,
                first_breach: None,
            }
        });
        let tracked = tracked.collect();
        Self { warmup, tracked, until_ns: 0, stopped_ns: None, crossed: None }
    }

    /// Whether there is nothing to judge.
    pub fn is_empty(&self) -> bool {
        self.tracked.is_empty()
    }

    /// Arrivals ended at this run time: rates are of no later second.
    pub fn set_stopped(&mut self, stopped_ns: u64) {
        self.stopped_ns.get_or_insert(stopped_ns);
    }

    /// Takes one whole second of the fleet, after those before it; `schedule` has the fleet's, with all changes of
    /// rate. A second that is not `complete`, since a driver has not told it, counts, and is not judged: what is missing
    /// would be half a rate.
    pub fn take(&mut self, second: u32, window: &DriverWindow, complete: bool, schedule: Option<&Schedules>) {
        let from_ns = u64::from(second) * SECOND_NS;
        self.until_ns = from_ns + SECOND_NS;
        let until_ns = self.stopped_ns.map_or(self.until_ns, |stopped_ns| stopped_ns.min(self.until_ns));
        for (number, tracked) in self.tracked.iter_mut().enumerate() {
            let tally = Tally::of(&tracked.threshold, &self.warmup, &window.steps, &window.stages);
            let breach = match tracked.threshold.hold_s {
                Some(_) if !complete => None,
                Some(hold_s) => tracked.hold(hold_s, tally, (from_ns, until_ns), schedule),
                None => {
                    tracked.so_far.merge(&tally);
                    tracked.breach_so_far(until_ns, schedule)
                }
            };
            let Some(observed) = breach.filter(|_| complete && tracked.first_breach.is_none()) else {
                continue;
            };
            tracked.first_breach = Some((second + 1, observed));
            if tracked.threshold.abort {
                self.crossed.get_or_insert(number);
            }
        }
    }

    /// Adds what a driver told of a second after it was taken.
    pub fn add_late(&mut self, window: &DriverWindow) {
        for tracked in &mut self.tracked {
            let tally = Tally::of(&tracked.threshold, &self.warmup, &window.steps, &window.stages);
            tracked.so_far.merge(&tally);
        }
    }

    /// The threshold that is to end the run: of several, the one that was breached first.
    pub fn crossed(&self) -> Option<Breach<'_>> {
        self.breach(self.crossed?)
    }

    /// The first breaches that were seen in the second taken last.
    pub fn breaches(&self) -> impl Iterator<Item = Breach<'_>> {
        let last_s = self.until_ns / SECOND_NS;
        let all = (0..self.tracked.len()).filter_map(|number| self.breach(number));
        all.filter(move |breach| u64::from(breach.after_s) == last_s)
    }

    fn breach(&self, number: usize) -> Option<Breach<'_>> {
        let tracked = self.tracked.get(number)?;
        let (after_s, observed) = tracked.first_breach?;
        Some(Breach { number, threshold: &tracked.threshold, after_s, observed })
    }

    /// How the thresholds stand after the seconds taken.
    pub fn so_far(&self, schedule: Option<&Schedules>) -> Vec<Judged> {
        let judged =
            self.tracked.iter().map(|tracked| tracked.judge(&tracked.so_far, self.ended(), schedule));
        judged.collect()
    }

    /// How the thresholds stand on all that was measured of a run that ended at this run time.
    pub fn judge(&self, merged: &Merged, ended_ns: u64, schedule: Option<&Schedules>) -> Vec<Judged> {
        let ended_ns = self.stopped_ns.map_or(ended_ns, |stopped_ns| stopped_ns.min(ended_ns));
        let judged = self.tracked.iter().map(|tracked| {
            let (steps, stages) = (merged.steps.values(), merged.stages.values());
            let tally = Tally::of(&tracked.threshold, &self.warmup, steps, stages);
            tracked.judge(&tally, ended_ns, schedule)
        });
        judged.collect()
    }

    fn ended(&self) -> u64 {
        self.stopped_ns.map_or(self.until_ns, |stopped_ns| stopped_ns.min(self.until_ns))
    }
}

impl Tracked {
    /// The value of a second that completed `hold_s` seconds in a row in which it did not hold.
    fn hold(
        &mut self,
        hold_s: u32,
        mut tally: Tally,
        (from_ns, until_ns): (u64, u64),
        schedule: Option<&Schedules>,
    ) -> Option<f64> {
        // A rate is of whole seconds of the load: a half one, or one of the drain, would be half a rate, or none.
        let is_whole = until_ns == from_ns + SECOND_NS;
        let span = self.spans.iter().find(|(from, to)| is_whole && *from <= from_ns && until_ns <= *to);
        let needs_whole = matches!(self.threshold.measure, Measure::Rate | Measure::AchievedRate);
        if needs_whole && span.is_none() {
            return None;
        }
        // Nothing sent in such a second is a rate of zero, though the drivers then have no row to tell of: users of a
        // target that hangs wait. Where a count ends the load, that may as well be its end.
        let is_timed = span.is_some_and(|(_, to)| *to < u64::MAX);
        tally.is_known |= self.threshold.measure == Measure::Rate && is_timed;
        let planned = self.planned(from_ns, until_ns, schedule);
        let value = tally.value(self.threshold.measure, 1.0, planned)?;
        self.last = Some(value);
        self.broken_s = if self.holds(value) { 0 } else { self.broken_s.saturating_add(1) };
        (self.broken_s >= hold_s).then_some(value)
    }

    /// The value so far, when there is ground to judge it and it does not hold.
    fn breach_so_far(&self, until_ns: u64, schedule: Option<&Schedules>) -> Option<f64> {
        let measured_s = self.measured_s(until_ns);
        let measure = self.threshold.measure;
        let samples = match measure {
            // It only grows: above its limit it stays, and whether it gets there is known at the end.
            Measure::Count if self.threshold.operator.is_upper_bound() => None,
            Measure::Count => return None,
            Measure::Rate | Measure::AchievedRate => Some((0, 0)),
            Measure::ErrorRate => Some((self.so_far.ended(), LIVE_SAMPLES)),
            Measure::Time(_, statistic) => Some((self.so_far.timing.count(), needed(statistic))),
        };
        if samples.is_some_and(|(samples, needed)| measured_s < LIVE_AFTER_S || samples < needed) {
            return None;
        }
        let value = self.so_far.value(measure, measured_s, self.planned(0, until_ns, schedule))?;
        (!self.holds(value)).then_some(value)
    }

    fn judge(&self, tally: &Tally, ended_ns: u64, schedule: Option<&Schedules>) -> Judged {
        let (measure, first_breach) = (self.threshold.measure, self.first_breach);
        let (observed, holds) = match (self.threshold.hold_s, first_breach) {
            (Some(_), Some((_, observed))) => (Some(observed), false),
            (Some(_), None) => (self.last, true),
            (None, _) => {
                let planned = self.planned(0, ended_ns, schedule);
                let observed = tally.value(measure, self.measured_s(ended_ns), planned);
                (observed, observed.is_some_and(|observed| self.holds(observed)))
            }
        };
        let standing = match observed {
            None => Standing::NoData,
            Some(_) if holds => Standing::Pass,
            Some(_) => Standing::Fail,
        };
        Judged {
            standing,
            observed,
            first_breach_s: first_breach.map(|(after_s, _)| after_s),
            aborted: false,
        }
    }

    fn holds(&self, value: f64) -> bool {
        self.threshold.operator.holds(value, self.threshold.limit)
    }

    /// Seconds in which arrivals were measured, up to a run time.
    fn measured_s(&self, until_ns: u64) -> f64 {
        let spans = self.spans.iter().map(|(from, to)| (*to).min(until_ns).saturating_sub(*from));
        spans.sum::<u64>() as f64 / 1e9
    }

    /// Iterations that the schedules want of its stages between two run times.
    fn planned(&self, from_ns: u64, until_ns: u64, schedules: Option<&Schedules>) -> Option<f64> {
        let schedules = schedules?;
        let stages = self.stages.iter().map(|(stage, (from, to))| {
            schedules.expected_in(*stage, (*from).max(from_ns), (*to).min(until_ns))
        });
        Some(stages.sum())
    }
}

/// Samples of which a percentile is more than the longest of them: one in a hundred lies above p99.
fn needed(statistic: Statistic) -> u64 {
    match statistic {
        Statistic::Percentile(millionths) => 1_000_000_u64
            .div_ceil(u64::from(1_000_000_u32.saturating_sub(millionths).max(1)))
            .max(LIVE_SAMPLES),
        Statistic::Mean | Statistic::Min | Statistic::Max => LIVE_SAMPLES,
    }
}

/// What one threshold needs of windows, added up.
#[derive(Debug, Clone, Default)]
struct Tally {
    /// Whether anything was measured at all, be it of other rows.
    is_known: bool,
    timing: Timing,
    sent: u64,
    succeeded: u64,
    failed: u64,
    started: u64,
}

impl Tally {
    /// What of these is of the threshold's scope.
    fn of<'a>(
        threshold: &Threshold,
        warmup: &BTreeSet<StageId>,
        steps: impl IntoIterator<Item = &'a StepWindow>,
        stages: impl IntoIterator<Item = &'a StageWindow>,
    ) -> Self {
        let mut tally = Self::default();
        steps.into_iter().for_each(|step| tally.add_step(threshold, warmup, step));
        stages.into_iter().for_each(|stage| tally.add_stage(threshold, warmup, stage));
        tally
    }

    /// Adds a row of a stage, where it is of the threshold's scope.
    fn add_step(&mut self, threshold: &Threshold, warmup: &BTreeSet<StageId>, step: &StepWindow) {
        if !is_measured(&threshold.scope, warmup, step.stage) {
            return;
        }
        self.is_known = true;
        let is_of_it = match &threshold.scope {
            Scope::Rows(rows) => has_row(rows, step.step),
            // Groups are no requests.
            Scope::Run | Scope::Stage(_) => step.step.group().is_none(),
        };
        if !is_of_it {
            return;
        }
        let add = |a: &mut u64, b: u64| *a = a.saturating_add(b);
        add(&mut self.sent, step.sent);
        add(&mut self.succeeded, step.succeeded());
        add(&mut self.failed, step.failures());
        let Measure::Time(metric, _) = threshold.measure else { return };
        match metric {
            Metric::ResponseTime => {
                self.timing.merge(&step.ok.response);
                self.timing.merge(&step.failed.response);
            }
            Metric::ServiceTime => {
                self.timing.merge(&step.ok.service);
                self.timing.merge(&step.failed.service);
            }
            _ => {
                if let (Some(phase), Some(phases)) = (phase(metric), &step.phases) {
                    self.timing.merge(phases.get(phase));
                }
            }
        }
    }

    /// Adds the iterations of a stage, where it is of the threshold's scope.
    fn add_stage(&mut self, threshold: &Threshold, warmup: &BTreeSet<StageId>, stage: &StageWindow) {
        if !is_measured(&threshold.scope, warmup, stage.stage) {
            return;
        }
        self.is_known = true;
        self.started = self.started.saturating_add(stage.started);
        let timing = match threshold.measure {
            Measure::Time(Metric::SendLag, _) => &stage.send_lag,
            Measure::Time(Metric::ConnectionWait, _) => &stage.connection_wait,
            Measure::Time(Metric::IterationTime, _) => &stage.iteration_time,
            _ => return,
        };
        self.timing.merge(timing);
    }

    fn merge(&mut self, other: &Self) {
        let add = |a: &mut u64, b: u64| *a = a.saturating_add(b);
        self.is_known |= other.is_known;
        self.timing.merge(&other.timing);
        add(&mut self.sent, other.sent);
        add(&mut self.succeeded, other.succeeded);
        add(&mut self.failed, other.failed);
        add(&mut self.started, other.started);
    }

    /// Requests that came to an end of their own; cancelled ones were broken off by us.
    const fn ended(&self) -> u64 {
        self.succeeded.saturating_add(self.failed)
    }

    /// The value in the unit of the measure; `None` when there is none. A count of nothing is 0 once anything at all was
    /// measured.
    fn value(&self, measure: Measure, measured_s: f64, planned: Option<f64>) -> Option<f64> {
        if !self.is_known {
            return None;
        }
        match measure {
            Measure::Time(_, statistic) => {
                let timing = &self.timing;
                let ns = match statistic {
                    Statistic::Percentile(millionths) => {
                        timing.quantile(f64::from(millionths) / 1e6).map(|ns| ns as f64)
                    }
                    Statistic::Mean => timing.mean_ns(),
                    Statistic::Min => timing.min_ns().map(|ns| ns as f64),
                    Statistic::Max => timing.max_ns().map(|ns| ns as f64),
                };
                ns.map(|ns| ns / 1e6)
            }
            Measure::Count => Some(self.sent as f64),
            Measure::Rate => ratio(self.sent as f64, measured_s),
            Measure::ErrorRate => ratio(self.failed as f64 * 100.0, self.ended() as f64),
            Measure::AchievedRate => ratio(self.started as f64 * 100.0, planned?),
        }
    }
}

/// Whether arrivals of `stage` are of the scope.
fn is_measured(scope: &Scope, warmup: &BTreeSet<StageId>, stage: StageId) -> bool {
    match scope {
        Scope::Stage(wanted) => *wanted == stage,
        Scope::Run | Scope::Rows(_) => !warmup.contains(&stage),
    }
}

fn has_row(rows: &[StepId], row: StepId) -> bool {
    rows.binary_search(&row).is_ok()
}

const fn phase(metric: Metric) -> Option<Phase> {
    match metric {
        Metric::Lookup => Some(Phase::Lookup),
        Metric::Connect => Some(Phase::Connect),
        Metric::Tls => Some(Phase::Tls),
        Metric::Sending => Some(Phase::Sending),
        Metric::Waiting => Some(Phase::Waiting),
        Metric::Receiving => Some(Phase::Receiving),
        Metric::ResponseTime
        | Metric::ServiceTime
        | Metric::SendLag
        | Metric::ConnectionWait
        | Metric::IterationTime => None,
    }
}

/// To a millionth: a sum of the schedule's fractions is not exact, and 100 % should be 100 %.
fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| (part / whole * 1e6).round() / 1e6)
}
