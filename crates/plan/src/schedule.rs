//! Intended times: a sequence with no clock in it.
//!
//! A [`Schedule`] knows all arrivals of a load; [`Arrivals`] walks those of some lanes. Times do not depend on the number
//! of drivers or threads: arrival *k* has one time, whoever sends it.
//!
//! Invariant: times are whole nanoseconds since the start of the run, and the same on every machine. Deliberately absent: waiting, and knowledge of who sends what.

use std::time::Duration;

use crate::arrivals::Arrivals;
use crate::pace::{Ramp, Steps, nanos, whole};
use crate::poisson::{self, Lanes};
use crate::quantity::Rate;
use crate::share::LaneSet;
use crate::stages::Stage;

/// The number of a stage in the plan, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub u16);

/// One intended start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Nanoseconds since the start of the run.
    pub at_ns: u64,
    /// Its number; its lane is this modulo [`crate::LANES`].
    pub index: u64,
    /// The stage it belongs to.
    pub stage: StageId,
    /// The user that walks it; 0 in a load without users.
    pub user: u32,
}

/// What the plan asks for between two moments.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    stage: StageId,
    start_ns: u64,
    end_ns: u64,
    base: Base,
    /// On the plan's rate.
    factor: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Base {
    Even(Rate),
    /// A ramp that began at this time, perhaps before the part.
    Ramp(Ramp, u64),
    Tsunami {
        delay: Duration,
        limit: Option<Rate>,
    },
}

impl Part {
    /// How arrivals follow each other in it; `None` when there are none.
    fn pace(&self) -> Option<Pace> {
        match self.base {
            Base::Even(rate) => rate.scaled(self.factor).map(Steps::of).map(Pace::Even),
            Base::Ramp(ramp, began_ns) => {
                let factor = ramp.kept_factor(self.factor);
                let before = ramp.arrivals_in(self.start_ns - began_ns);
                (factor > 0.0).then_some(Pace::Ramp { ramp, began_ns, before, factor })
            }
            Base::Tsunami { delay, limit: None } => Some(Pace::Even(Steps::slower(delay, None))),
            Base::Tsunami { delay, limit: Some(limit) } => {
                limit.scaled(self.factor).map(|limit| Pace::Even(Steps::slower(delay, Some(limit))))
            }
        }
    }
}

/// How arrivals follow each other in a segment.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pace {
    Even(Steps),
    Ramp {
        ramp: Ramp,
        began_ns: u64,
        /// Of the ramp's arrivals, without the factor, so many came before the segment.
        before: f64,
        factor: f64,
    },
}

/// A span with one pace.
#[derive(Debug, Clone, PartialEq)]
struct Segment {
    stage: StageId,
    start_ns: u64,
    end_ns: u64,
    /// `None`: no arrivals at all.
    pace: Option<Pace>,
    /// At the start, this part of an arrival is still to pass until the next one.
    missing: f64,
    /// Of equal steps the first arrival.
    first_ns: u64,
    first_index: u64,
    count: u64,
    /// The integral of the rate up to the start, and up to the end.
    expected: (f64, f64),
}

impl Segment {
    fn end_index(&self) -> u64 {
        self.first_index + self.count
    }

    fn time_of(&self, index: u64) -> u64 {
        let step = index - self.first_index;
        match self.pace {
            Some(Pace::Even(steps)) => self.first_ns.saturating_add(steps.time_of(step)),
            Some(Pace::Ramp { .. }) => self.time_after(self.missing + step as f64),
            None => self.end_ns,
        }
    }

    /// When the integral of the rate since the start reaches `arrivals`; within the segment.
    fn time_after(&self, arrivals: f64) -> u64 {
        let ns = match self.pace {
            Some(Pace::Even(steps)) => self.start_ns + whole(arrivals * steps.interval_ns()),
            Some(Pace::Ramp { ramp, began_ns, before, factor }) => {
                began_ns + whole(ramp.time_of(before + arrivals / factor).round())
            }
            None => self.end_ns,
        };
        ns.min(self.end_ns.saturating_sub(1)).max(self.start_ns)
    }

    /// The integral of the rate from the start to `ns`.
    fn arrivals_until(&self, ns: u64) -> f64 {
        match self.pace {
            Some(Pace::Even(steps)) => ns.saturating_sub(self.start_ns) as f64 / steps.interval_ns(),
            Some(Pace::Ramp { ramp, began_ns, before, factor }) => {
                (ramp.arrivals_in(ns.saturating_sub(began_ns)) - before) * factor
            }
            None => 0.0,
        }
    }

    fn first_at_or_after(&self, ns: u64) -> u64 {
        let step = match self.pace {
            Some(Pace::Even(steps)) => steps.first_at_or_after(ns.saturating_sub(self.first_ns)),
            Some(Pace::Ramp { .. }) if ns > self.start_ns => {
                // The integral says it but for rounding; the times themselves decide.
                let mut step = whole((self.arrivals_until(ns) - self.missing).ceil()).min(self.count);
                while step > 0 && self.time_of(self.first_index + step - 1) >= ns {
                    step -= 1;
                }
                while step < self.count && self.time_of(self.first_index + step) < ns {
                    step += 1;
                }
                step
            }
            Some(Pace::Ramp { .. }) | None => 0,
        };
        self.first_index + step.min(self.count)
    }

    fn rate_at(&self, ns: u64) -> f64 {
        match self.pace {
            Some(Pace::Even(steps)) => 1e9 / steps.interval_ns(),
            Some(Pace::Ramp { ramp, began_ns, factor, .. }) => {
                ramp.rate_at(ns.saturating_sub(began_ns)) * factor * 1e9
            }
            None => 0.0,
        }
    }
}

/// All intended times of a load: of the fleet for an open one, of one driver for a tsunami.
///
/// The numbers of uniform arrivals have no gaps and ascend with time. Those of a Poisson process only tell them apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    parts: Vec<Part>,
    segments: Vec<Segment>,
    /// Arrivals at most; the parts of an open load end by time instead.
    most: u64,
    /// The seed of a Poisson process; `None` for uniform arrivals.
    seed: Option<u64>,
}

impl Schedule {
    /// Uniform arrivals at the rates of `stages`, one stage after the other.
    pub fn open(stages: &[Stage<Rate>]) -> Self {
        let mut start_ns = 0;
        let parts = stages.iter().zip(0..).map(|(stage, number)| {
            let length_ns = nanos(stage.duration);
            let (began_ns, end_ns) = (start_ns, length_ns.saturating_add(start_ns));
            start_ns = end_ns;
            let base = match stage.from == stage.to {
                true => Base::Even(stage.from),
                false => Base::Ramp(Ramp::new(stage.from, stage.to, length_ns), began_ns),
            };
            Part { stage: StageId(number), start_ns: began_ns, end_ns, base, factor: 1.0 }
        });
        Self::lay_out(parts.collect(), u64::MAX, None)
    }

    /// A Poisson process of the rates of `stages`.
    pub fn poisson(stages: &[Stage<Rate>], seed: u64) -> Self {
        Self { seed: Some(seed), ..Self::open(stages) }
    }

    /// The same, whose stages are numbered from `first` on.
    pub(crate) fn numbered_from(mut self, first: StageId) -> Self {
        self.parts.iter_mut().for_each(|part| part.stage.0 += first.0);
        self.segments.iter_mut().for_each(|segment| segment.stage.0 += first.0);
        self
    }

    /// `requests` arrivals, each max(`delay`, 1/`limit`) after the one before.
    pub fn tsunami(requests: u64, delay: Duration, limit: Option<Rate>) -> Self {
        let base = Base::Tsunami { delay, limit };
        let part = Part { stage: StageId(0), start_ns: 0, end_ns: u64::MAX, base, factor: 1.0 };
        Self::lay_out(vec![part], requests, None)
    }

    /// Joins the parts so that no fraction of an arrival is lost or gained where the pace changes: what was still
    /// missing for the next arrival passes at the new pace.
    fn lay_out(parts: Vec<Part>, most: u64, seed: Option<u64>) -> Self {
        let mut segments: Vec<Segment> = Vec::with_capacity(parts.len());
        let (mut missing, mut expected) = (0.0, 0.0);
        for part in &parts {
            let mut segment = Segment {
                stage: part.stage,
                start_ns: part.start_ns,
                end_ns: part.end_ns,
                pace: part.pace(),
                missing,
                first_ns: part.end_ns,
                first_index: segments.last().map_or(0, Segment::end_index),
                count: 0,
                expected: (expected, expected),
            };
            match segment.pace {
                Some(Pace::Even(steps)) => missing = segment.fill(steps, part, most),
                Some(Pace::Ramp { .. }) => {
                    let arrivals = segment.arrivals_until(part.end_ns);
                    segment.count = whole((arrivals - missing).ceil());
                    missing = (missing + segment.count as f64 - arrivals).max(0.0);
                }
                None => {}
            }
            expected += segment.arrivals_until(segment.end_ns);
            segment.expected.1 = expected;
            segments.push(segment);
        }
        Self { parts, segments, most, seed }
    }

    /// This schedule with `factor` on the plan's rate, or the limit of a tsunami, from `from_ns` on. It replaces an
    /// earlier factor there, changes nothing before, and no stage's length. Rates stay within
    /// [`crate::limits::RATE_PER_S`]; a factor that is not positive stops the arrivals.
    pub fn scaled_from(&self, from_ns: u64, factor: f64) -> Self {
        if from_ns >= self.end_ns() {
            return self.clone();
        }
        let mut parts = Vec::with_capacity(self.parts.len() + 1);
        for part in &self.parts {
            let changes = part.end_ns > from_ns && part.factor != factor;
            if changes && part.start_ns < from_ns {
                parts.push(Part { end_ns: from_ns, ..part.clone() });
            }
            let start_ns = if changes { part.start_ns.max(from_ns) } else { part.start_ns };
            parts.push(Part { start_ns, factor: if changes { factor } else { part.factor }, ..part.clone() });
        }
        Self::lay_out(parts, self.most, self.seed)
    }

    /// Whether arrivals are independent of each other, so that a lane's come ahead of or behind others'.
    pub fn is_poisson(&self) -> bool {
        self.seed.is_some()
    }

    /// How many arrivals there are. Those of a Poisson process are walked for it: see [`Schedule::expected`].
    pub fn total(&self) -> u64 {
        match self.seed {
            Some(seed) => poisson::count(self, seed, &LaneSet::all(), 0, u64::MAX),
            None => self.segments.last().map_or(0, Segment::end_index),
        }
    }

    /// How many arrivals the rates ask for: the integral of the rate, about which those of a Poisson process scatter.
    pub fn expected(&self) -> f64 {
        self.segments.last().map_or(0.0, |segment| segment.expected.1)
    }

    /// When the last stage ends, or one delay after a tsunami's last arrival.
    pub fn end_ns(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.end_ns)
    }

    /// The time of arrival `index`.
    pub fn time_of(&self, index: u64) -> Option<u64> {
        match self.seed {
            Some(seed) => poisson::time_of(self, seed, index),
            None => self.arrival(index, 0).map(|arrival| arrival.at_ns),
        }
    }

    /// How many arrivals of `lanes` lie in `from_ns..to_ns`. Those of a Poisson process are walked for it.
    pub fn count_in(&self, lanes: &LaneSet, from_ns: u64, to_ns: u64) -> u64 {
        if let Some(seed) = self.seed {
            return poisson::count(self, seed, lanes, from_ns, to_ns);
        }
        let (from, to) = (self.first_at_or_after(from_ns), self.first_at_or_after(to_ns));
        lanes.rank(to).saturating_sub(lanes.rank(from))
    }

    /// How many arrivals the rates ask for in `from_ns..to_ns`.
    pub fn expected_in(&self, from_ns: u64, to_ns: u64) -> f64 {
        (self.expected_until(to_ns) - self.expected_until(from_ns)).max(0.0)
    }

    /// The stage at `ns`; the last one after the end.
    pub fn stage_at(&self, ns: u64) -> StageId {
        self.segment_at(ns).or(self.segments.last()).map_or(StageId(0), |segment| segment.stage)
    }

    /// Arrivals per second at `ns`; 0 after the end.
    pub fn rate_at(&self, ns: u64) -> f64 {
        self.segment_at(ns).map_or(0.0, |segment| segment.rate_at(ns))
    }

    /// The arrivals of `lanes` at or after `from_ns`.
    pub(crate) fn walk(&self, lanes: &LaneSet, from_ns: u64) -> Walk {
        match self.seed {
            Some(seed) => Walk::Poisson(Lanes::enter(self, seed, lanes, from_ns)),
            None => Walk::Uniform { index: self.first_at_or_after(from_ns), segment: 0 },
        }
    }

    /// The index of the first uniform arrival at or after `ns`; the total when there is none.
    fn first_at_or_after(&self, ns: u64) -> u64 {
        let segment = self.segment_at(ns).or(self.segments.last());
        segment.map_or(0, |segment| segment.first_at_or_after(ns))
    }

    /// The integral of the rate up to `ns`.
    pub(crate) fn expected_until(&self, ns: u64) -> f64 {
        let until = |segment: &Segment| segment.expected.0 + segment.arrivals_until(ns);
        self.segment_at(ns).map_or(self.expected(), until)
    }

    /// When the integral of the rate reaches `expected`, and the number of the segment, which is not before `from`.
    pub(crate) fn time_of_expected(&self, expected: f64, from: usize) -> Option<(u64, usize)> {
        let number = match self.segments.get(from) {
            Some(segment) if expected < segment.expected.1 => from,
            _ => self.segments.partition_point(|segment| segment.expected.1 <= expected),
        };
        let segment = self.segments.get(number)?;
        Some((segment.time_after(expected - segment.expected.0), number))
    }

    pub(crate) fn stage_of_segment(&self, number: usize) -> StageId {
        self.segments.get(number).map_or(StageId(0), |segment| segment.stage)
    }

    fn segment_at(&self, ns: u64) -> Option<&Segment> {
        self.segments.get(self.segments.partition_point(|segment| segment.end_ns <= ns))
    }

    /// The number of the segment of uniform arrival `index`, which is not before `from`.
    #[inline]
    fn segment_of(&self, index: u64, from: usize) -> usize {
        match self.segments.get(from) {
            Some(segment) if index < segment.end_index() => from,
            _ => self.segments.partition_point(|segment| segment.end_index() <= index),
        }
    }

    /// Uniform arrival `index`, which is not before segment `from`: walking upwards with the segment that was found last
    /// costs no search.
    fn arrival(&self, index: u64, from: usize) -> Option<Arrival> {
        let segment = self.segments.get(self.segment_of(index, from))?;
        Some(Arrival { at_ns: segment.time_of(index), index, stage: segment.stage, user: 0 })
    }
}

impl Segment {
    /// Lays equal steps into the segment, at most up to `most` arrivals in all; gives what is missing at its end.
    fn fill(&mut self, steps: Steps, part: &Part, most: u64) -> f64 {
        self.first_ns = part.start_ns.saturating_add(whole((self.missing * steps.interval_ns()).round()));
        let fit = steps.first_at_or_after(part.end_ns.saturating_sub(self.first_ns));
        self.count = fit.min(most - self.first_index);
        let next_ns = self.first_ns.saturating_add(steps.time_of(self.count));
        // A tsunami ends by its count, every other part by time.
        if let Base::Tsunami { .. } = part.base {
            self.end_ns = part.end_ns.min(next_ns.max(part.start_ns));
        }
        next_ns.saturating_sub(part.end_ns) as f64 / steps.interval_ns()
    }
}

/// A way through the arrivals of some lanes.
#[derive(Debug, Clone)]
pub(crate) enum Walk {
    /// The next index to look at, and the segment that was found last.
    Uniform {
        index: u64,
        segment: usize,
    },
    Poisson(Lanes),
}

impl Walk {
    /// The next arrival.
    #[inline]
    pub(crate) fn peek(&self, schedule: &Schedule, lanes: &LaneSet) -> Option<Arrival> {
        match self {
            Self::Uniform { index, segment } => schedule.arrival(lanes.next_index(*index)?, *segment),
            Self::Poisson(points) => points.peek(schedule),
        }
    }

    /// Leaves `arrival`, the next one, behind.
    #[inline]
    pub(crate) fn advance(&mut self, schedule: &Schedule, arrival: Arrival) {
        match self {
            Self::Uniform { index, segment } => {
                *index = arrival.index + 1;
                *segment = schedule.segment_of(arrival.index, *segment);
            }
            Self::Poisson(points) => points.advance(schedule),
        }
    }
}

/// The part of thread `thread` of `threads` of one driver's tsunami.
pub fn tsunami(
    requests: u64,
    delay: Duration,
    limit: Option<Rate>,
    thread: usize,
    threads: usize,
) -> Arrivals {
    let lanes = LaneSet::all().of_thread(thread, threads);
    Arrivals::new(Schedule::tsunami(requests, delay, limit).into(), lanes)
}
