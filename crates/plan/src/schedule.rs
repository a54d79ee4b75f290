//! Intended times: a sequence with no clock in it.
//!
//! A [`Schedule`] knows all arrivals of a load; [`Arrivals`] walks those of some lanes. Times do not depend on the number
//! of drivers or threads: arrival *k* has one time, whoever sends it.
//!
//! Invariant: times are whole nanoseconds since the start of the run, ascending with the index, computed in integers.
//! Deliberately absent: waiting, and knowledge of who sends what.

use std::time::Duration;

use crate::arrivals::Arrivals;
use crate::limiter::kept_rate;
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
    /// Its number in the schedule; its lane is this modulo [`crate::LANES`].
    pub index: u64,
    /// The stage it belongs to.
    pub stage: StageId,
    /// The user that walks it; 0 in a load without users.
    pub user: u32,
}

/// Equal steps of time, as an exact fraction of nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    numerator: u64,
    denominator: u64,
}

impl Pace {
    pub(crate) fn of(rate: Rate) -> Self {
        let (numerator, denominator) = rate.interval_ns();
        Self { numerator, denominator }
    }

    /// The slower of a delay and a limit, as far as the limit can be kept.
    fn slower(delay: Duration, limit: Option<Rate>) -> Self {
        let delay = Self { numerator: nanos(delay).max(1), denominator: 1 };
        match limit.map(kept_rate).map(Self::of) {
            Some(limit) if limit.interval_ns() > delay.interval_ns() => limit,
            _ => delay,
        }
    }

    fn interval_ns(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }

    fn per_second(self) -> f64 {
        1e9 / self.interval_ns()
    }

    /// ⌊step × interval⌋.
    pub(crate) fn time_of(self, step: u64) -> u64 {
        // A wide division costs ten times a narrow one, and is hardly ever needed.
        match step.checked_mul(self.numerator) {
            Some(product) => product / self.denominator,
            None => narrow(u128::from(step) * u128::from(self.numerator) / u128::from(self.denominator)),
        }
    }

    /// The first step whose time is at least `ns`. With ⌊x⌋ ≥ ns ⇔ x ≥ ns this is ⌈ns / interval⌉.
    pub(crate) fn first_at_or_after(self, ns: u64) -> u64 {
        narrow((u128::from(ns) * u128::from(self.denominator)).div_ceil(u128::from(self.numerator)))
    }
}

fn narrow(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

fn nanos(span: Duration) -> u64 {
    narrow(span.as_nanos())
}

/// A span with one pace.
#[derive(Debug, Clone, PartialEq)]
struct Segment {
    stage: StageId,
    start_ns: u64,
    end_ns: u64,
    /// Arrivals come at `first_ns` + *j* paces.
    first_ns: u64,
    first_index: u64,
    count: u64,
    /// `None`: no arrivals at all.
    pace: Option<Pace>,
}

impl Segment {
    fn end_index(&self) -> u64 {
        self.first_index + self.count
    }

    fn time_of(&self, index: u64) -> u64 {
        match self.pace {
            Some(pace) => self.first_ns.saturating_add(pace.time_of(index - self.first_index)),
            None => self.end_ns,
        }
    }

    fn first_at_or_after(&self, ns: u64) -> u64 {
        match self.pace {
            Some(pace) => {
                let step = pace.first_at_or_after(ns.saturating_sub(self.first_ns));
                self.first_index + step.min(self.count)
            }
            None => self.first_index,
        }
    }
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
    Open(Rate),
    Tsunami { delay: Duration, limit: Option<Rate> },
}

impl Part {
    fn pace(&self) -> Option<Pace> {
        match self.base {
            Base::Open(rate) => rate.scaled(self.factor).map(Pace::of),
            Base::Tsunami { delay, limit: None } => Some(Pace::slower(delay, None)),
            Base::Tsunami { delay, limit: Some(limit) } => {
                limit.scaled(self.factor).map(|limit| Pace::slower(delay, Some(limit)))
            }
        }
    }
}

/// All intended times of a load: of the fleet for an open one, of one driver for a tsunami.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    parts: Vec<Part>,
    segments: Vec<Segment>,
    /// Arrivals at most; the parts of an open load end by time instead.
    most: u64,
}

impl Schedule {
    /// Uniform arrivals at the rates of `stages`, one stage after the other.
    pub fn open(stages: &[Stage<Rate>]) -> Self {
        let mut start_ns = 0;
        let parts = stages
            .iter()
            .zip(0..)
            .map(|(stage, number)| {
                let end_ns = nanos(stage.duration).saturating_add(start_ns);
                let part = Part {
                    stage: StageId(number),
                    start_ns,
                    end_ns,
                    base: Base::Open(stage.from),
                    factor: 1.0,
                };
                start_ns = end_ns;
                part
            })
            .collect();
        Self::lay_out(parts, u64::MAX)
    }

    /// `requests` arrivals, each max(`delay`, 1/`limit`) after the one before.
    pub fn tsunami(requests: u64, delay: Duration, limit: Option<Rate>) -> Self {
        let base = Base::Tsunami { delay, limit };
        let part = Part { stage: StageId(0), start_ns: 0, end_ns: u64::MAX, base, factor: 1.0 };
        Self::lay_out(vec![part], requests)
    }

    /// Joins the parts so that no fraction of an arrival is lost or gained where the pace changes: what was still
    /// missing for the next arrival passes at the new pace.
    fn lay_out(parts: Vec<Part>, most: u64) -> Self {
        let mut segments = Vec::with_capacity(parts.len());
        let mut first_index = 0;
        let mut missing = 0.0;
        for part in &parts {
            let pace = part.pace();
            let mut segment = Segment {
                stage: part.stage,
                start_ns: part.start_ns,
                end_ns: part.end_ns,
                first_ns: part.end_ns,
                first_index,
                count: 0,
                pace,
            };
            if let Some(pace) = pace {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a share of one interval"
                )]
                let wait_ns = (missing * pace.interval_ns()).round() as u64;
                segment.first_ns = part.start_ns.saturating_add(wait_ns);
                let fit = pace.first_at_or_after(part.end_ns.saturating_sub(segment.first_ns));
                segment.count = fit.min(most - first_index);
                let next_ns = segment.first_ns.saturating_add(pace.time_of(segment.count));
                segment.end_ns = segment.end_ns.min(next_ns.max(part.start_ns)).max(match part.base {
                    Base::Open(_) => part.end_ns,
                    Base::Tsunami { .. } => part.start_ns,
                });
                missing = next_ns.saturating_sub(part.end_ns) as f64 / pace.interval_ns();
            }
            first_index += segment.count;
            segments.push(segment);
        }
        Self { parts, segments, most }
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
        Self::lay_out(parts, self.most)
    }

    /// How many arrivals there are.
    pub fn total(&self) -> u64 {
        self.segments.last().map_or(0, Segment::end_index)
    }

    /// When the last stage ends, or one delay after a tsunami's last arrival.
    pub fn end_ns(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.end_ns)
    }

    /// The time of arrival `index`.
    pub fn time_of(&self, index: u64) -> Option<u64> {
        self.arrival(index, 0).map(|(arrival, _)| arrival.at_ns)
    }

    /// The index of the first arrival at or after `ns`; [`Schedule::total`] when there is none.
    pub fn first_at_or_after(&self, ns: u64) -> u64 {
        let number = self.segments.partition_point(|segment| segment.end_ns <= ns);
        self.segments.get(number).map_or(self.total(), |segment| segment.first_at_or_after(ns))
    }

    /// How many arrivals of `lanes` lie in `from_ns..to_ns`.
    pub fn count_in(&self, lanes: &LaneSet, from_ns: u64, to_ns: u64) -> u64 {
        let (from, to) = (self.first_at_or_after(from_ns), self.first_at_or_after(to_ns));
        lanes.rank(to).saturating_sub(lanes.rank(from))
    }

    /// The stage at `ns`; the last one after the end.
    pub fn stage_at(&self, ns: u64) -> StageId {
        self.segment_at(ns).or(self.segments.last()).map_or(StageId(0), |segment| segment.stage)
    }

    /// Arrivals per second at `ns`; 0 after the end.
    pub fn rate_at(&self, ns: u64) -> f64 {
        self.segment_at(ns).and_then(|segment| segment.pace).map_or(0.0, Pace::per_second)
    }

    fn segment_at(&self, ns: u64) -> Option<&Segment> {
        self.segments.get(self.segments.partition_point(|segment| segment.end_ns <= ns))
    }

    /// Arrival `index` and the number of its segment, which is not before `from`. Walking upwards with the segment that
    /// was found last costs no search.
    pub(crate) fn arrival(&self, index: u64, from: usize) -> Option<(Arrival, usize)> {
        let ahead = self.segments.get(from..)?;
        let number = match ahead.first() {
            Some(segment) if index < segment.end_index() => from,
            _ => from + ahead.partition_point(|segment| segment.end_index() <= index),
        };
        let segment = self.segments.get(number)?;
        Some((Arrival { at_ns: segment.time_of(index), index, stage: segment.stage, user: 0 }, number))
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
