//! How many users there are when: the stages of a closed load, without a clock.
//!
//! User *u* is active at *t* when *u* < users(*t*): the first to come is the last to go. On a ramp that is the line from
//! one level to the other, rounded to the nearest whole number. Users belong to the whole fleet; user *u* is of lane
//! *u* mod [`crate::LANES`].
//!
//! Invariant: the number at a time depends on the stages and the factors alone. Deliberately absent: what users do, and
//! who has which (that is [`crate::Users`]).

use crate::limits;
use crate::pace::{nanos, whole};
use crate::schedule::StageId;
use crate::share::LaneSet;
use crate::stages::Stage;

/// The number of users of the fleet over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    spans: Vec<Span>,
}

/// A stage, or the part of one with the same factor.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    stage: StageId,
    start_ns: u64,
    end_ns: u64,
    /// The whole stage: where it began, how long it is, and its levels at both ends.
    began_ns: u64,
    length_ns: u64,
    from: f64,
    to: f64,
    /// On the plan's users.
    factor: f64,
}

impl Span {
    fn count_at(&self, ns: u64) -> u32 {
        let share = (ns - self.began_ns) as f64 / self.length_ns as f64;
        let level = (self.from + (self.to - self.from) * share) * self.factor;
        let users = whole((level + 0.5).min(f64::from(limits::USERS)));
        u32::try_from(users).unwrap_or(limits::USERS)
    }

    /// The first time from `ns` on, within the span, at which `is_there` holds of the number of users: it does at the
    /// end, and not at `ns`. The number only rises, or only falls, so it is found by halving.
    fn first(&self, ns: u64, is_there: impl Fn(u32) -> bool) -> u64 {
        let (mut before, mut there) = (ns, self.end_ns - 1);
        while there - before > 1 {
            let middle = before + (there - before) / 2;
            let side = if is_there(self.count_at(middle)) { &mut there } else { &mut before };
            *side = middle;
        }
        there
    }
}

impl Population {
    /// The users of `stages`, one stage after the other.
    pub fn new(stages: &[Stage<u32>]) -> Self {
        let mut began_ns = 0;
        let spans = stages.iter().zip(0..).map(|(stage, number)| {
            let length_ns = nanos(stage.duration);
            let start_ns = began_ns;
            began_ns = length_ns.saturating_add(start_ns);
            Span {
                stage: StageId(number),
                start_ns,
                end_ns: began_ns,
                began_ns: start_ns,
                length_ns,
                from: f64::from(stage.from),
                to: f64::from(stage.to),
                factor: 1.0,
            }
        });
        Self { spans: spans.collect() }
    }

    /// The same, whose stages are numbered from `first` on.
    pub(crate) fn numbered_from(mut self, first: StageId) -> Self {
        self.spans.iter_mut().for_each(|span| span.stage.0 += first.0);
        self
    }

    /// This population with `factor` on the plan's users from `from_ns` on. It replaces an earlier factor there, changes
    /// nothing before, and no stage's length. There are at most [`limits::USERS`]; a factor that is not positive sends
    /// all home.
    pub fn scaled_from(&self, from_ns: u64, factor: f64) -> Self {
        let mut spans = Vec::with_capacity(self.spans.len() + 1);
        for span in &self.spans {
            if span.end_ns <= from_ns {
                spans.push(*span);
                continue;
            }
            if span.start_ns < from_ns {
                spans.push(Span { end_ns: from_ns, ..*span });
            }
            spans.push(Span { start_ns: span.start_ns.max(from_ns), factor: factor.max(0.0), ..*span });
        }
        Self { spans }
    }

    /// Users at `ns`; none after the end.
    pub fn count_at(&self, ns: u64) -> u32 {
        self.span_at(ns).map_or(0, |span| span.count_at(ns))
    }

    /// The first time after `ns` at which a user of `lanes` comes or goes.
    pub(crate) fn change_after(&self, ns: u64, lanes: &LaneSet) -> Option<u64> {
        let mut count = self.count_at(ns);
        let number = self.spans.partition_point(|span| span.end_ns <= ns);
        for span in self.spans.get(number..)? {
            let start_ns = ns.max(span.start_ns);
            let first = span.count_at(start_ns);
            if lanes.first_between(count.min(first), count.max(first)).is_some() {
                return Some(start_ns);
            }
            let last = span.count_at(span.end_ns - 1);
            // The first to come is the lowest above, the first to go the highest below.
            if let Some(user) = lanes.first_between(first, last) {
                return Some(span.first(start_ns, |count| count > user));
            }
            if let Some(user) = lanes.last_between(last, first) {
                return Some(span.first(start_ns, |count| count <= user));
            }
            count = last;
        }
        lanes.first_between(0, count).map(|_| self.end_ns())
    }

    /// Users at most, at any time.
    pub fn most(&self) -> u32 {
        let ends =
            |span: &Span| span.count_at(span.start_ns).max(span.count_at(span.end_ns.saturating_sub(1)));
        self.spans.iter().map(ends).max().unwrap_or(0)
    }

    /// When the last stage ends.
    pub fn end_ns(&self) -> u64 {
        self.spans.last().map_or(0, |span| span.end_ns)
    }

    /// The stage at `ns`; the last one after the end.
    pub fn stage_at(&self, ns: u64) -> StageId {
        self.span_at(ns).or(self.spans.last()).map_or(StageId(0), |span| span.stage)
    }

    fn span_at(&self, ns: u64) -> Option<&Span> {
        self.spans.get(self.spans.partition_point(|span| span.end_ns <= ns))
    }
}
