//! The arrivals of some lanes, in order, while lanes and rates change on the way.
//!
//! Invariant: an arrival is given at most once, in the order of time; `next` and `peek` do not allocate but after a
//! change of a Poisson process, and cost O(1) amortised, or O(log lanes) for one. Deliberately absent: waiting. Whoever asks decides whether an arrival is still worth starting.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::schedule::{Arrival, Schedule, Walk};
use crate::share::LaneSet;

/// Changes that are known and not yet in force, at most. They come seconds ahead and rarely; beyond that the earliest is
/// forgotten, which is one long past when a thread without lanes takes no arrivals.
const PENDING_CHANGES: usize = 16;

/// What a change that came too late could not mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Late {
    /// Arrivals that became ours and whose time had passed: due, and missed.
    pub missed: u64,
    /// Arrivals that were given and were no longer ours, or no longer planned.
    pub overlap: u64,
}

/// A span of time with the same lanes and the same schedule.
#[derive(Debug, Clone)]
struct Era {
    from_ns: u64,
    lanes: LaneSet,
    /// Lanes that became ours too late for this span: their arrivals in it were told as missed.
    told: LaneSet,
    schedule: Arc<Schedule>,
    /// The way through its arrivals, once it was looked for.
    walk: Option<Walk>,
}

/// Iterator over the arrivals of some lanes.
#[derive(Debug, Clone)]
pub struct Arrivals {
    /// The current one and those to come; never empty.
    eras: VecDeque<Era>,
    /// Just after the last arrival that was given.
    passed_ns: u64,
    /// The next arrival and the number of its era.
    peeked: Option<Option<(Arrival, usize)>>,
}

impl Arrivals {
    /// The arrivals of `lanes` in `schedule`.
    pub fn new(schedule: Arc<Schedule>, lanes: LaneSet) -> Self {
        Self::starting_at(schedule, lanes, 0)
    }

    /// The arrivals of `lanes` in `schedule` at or after `from_ns`.
    pub fn starting_at(schedule: Arc<Schedule>, lanes: LaneSet, from_ns: u64) -> Self {
        let mut eras = VecDeque::with_capacity(PENDING_CHANGES + 1);
        eras.push_back(Era { from_ns, lanes, told: LaneSet::empty(), schedule, walk: None });
        Self { eras, passed_ns: 0, peeked: None }
    }

    /// The next arrival, without taking it.
    pub fn peek(&mut self) -> Option<Arrival> {
        self.found().map(|(arrival, _)| arrival)
    }

    /// The latest schedule, which may not be in force yet: the one to scale further.
    pub fn schedule(&self) -> &Arc<Schedule> {
        &self.eras[self.eras.len() - 1].schedule
    }

    /// Other lanes for all arrivals at or after `from_ns`; replaces what was known of lanes from there on. Of a change
    /// that is learned of too late, at `now_ns`, what was due is not made up for but told.
    pub fn change_lanes(&mut self, from_ns: u64, now_ns: u64, lanes: LaneSet) -> Late {
        let effective_ns = from_ns.max(now_ns).max(self.passed_ns);
        let mut late = Late::default();
        for (era, span) in self.spans(from_ns, effective_ns) {
            let gained = lanes.minus(&era.lanes).minus(&era.told);
            late.missed += era.schedule.count_in(&gained, span.0, span.1);
            late.overlap +=
                era.schedule.count_in(&era.lanes.minus(&lanes), span.0, span.1.min(self.passed_ns));
        }
        self.change(from_ns, |era| {
            era.told = era.told.or(&lanes.minus(&era.lanes));
            era.lanes = era.lanes.and(&lanes);
        });
        self.change(effective_ns, |era| (era.lanes, era.told) = (lanes, LaneSet::empty()));
        late
    }

    /// Another schedule for all arrivals at or after `from_ns`, equal to [`Arrivals::schedule`] before; otherwise like
    /// [`Arrivals::change_lanes`].
    pub fn change_schedule(&mut self, from_ns: u64, now_ns: u64, schedule: Arc<Schedule>) -> Late {
        let effective_ns = from_ns.max(now_ns).max(self.passed_ns);
        let (mut planned, mut given) = (0, 0);
        for (era, span) in self.spans(from_ns, effective_ns) {
            // What was told as missed was told by the schedule as it was known then.
            let lanes = era.lanes.or(&era.told);
            planned += schedule.count_in(&lanes, span.0, span.1);
            given += era.schedule.count_in(&lanes, span.0, span.1);
        }
        self.change(effective_ns, |era| era.schedule = Arc::clone(&schedule));
        Late { missed: planned.saturating_sub(given), overlap: given.saturating_sub(planned) }
    }

    /// The eras of a span of time, with the part of it that each covers. What lies before the current era counts as
    /// the current one's.
    fn spans(&self, from_ns: u64, to_ns: u64) -> impl Iterator<Item = (&Era, (u64, u64))> {
        let ends = self.eras.iter().skip(1).map(|era| era.from_ns).chain([u64::MAX]);
        self.eras.iter().zip(ends).enumerate().filter_map(move |(number, (era, end_ns))| {
            let start_ns = if number == 0 { from_ns } else { from_ns.max(era.from_ns) };
            let end_ns = end_ns.min(to_ns);
            (start_ns < end_ns).then_some((era, (start_ns, end_ns)))
        })
    }

    /// Changes all that holds from `from_ns` on.
    fn change(&mut self, from_ns: u64, change: impl Fn(&mut Era)) {
        self.peeked = None;
        let from_ns = from_ns.max(self.eras[0].from_ns);
        let number = self.eras.partition_point(|era| era.from_ns < from_ns);
        let starts_one = self.eras.get(number).is_some_and(|era| era.from_ns == from_ns);
        if !starts_one {
            let Era { lanes, told, schedule, .. } = &self.eras[number.saturating_sub(1)];
            let (lanes, told, schedule) = (*lanes, *told, Arc::clone(schedule));
            self.eras.insert(number, Era { from_ns, lanes, told, schedule, walk: None });
        }
        for era in self.eras.iter_mut().skip(number) {
            era.walk = None;
            change(era);
        }
        if self.eras.len() > PENDING_CHANGES {
            self.eras.remove(1);
        }
    }

    fn found(&mut self) -> Option<(Arrival, usize)> {
        if self.peeked.is_none() {
            self.peeked = Some(self.search());
        }
        self.peeked.flatten()
    }

    fn search(&mut self) -> Option<(Arrival, usize)> {
        let passed_ns = self.passed_ns;
        (0..self.eras.len()).find_map(|number| {
            let until_ns = self.eras.get(number + 1).map_or(u64::MAX, |next| next.from_ns);
            let Era { from_ns, lanes, schedule, walk, .. } = &mut self.eras[number];
            let walk = walk.get_or_insert_with(|| schedule.walk(lanes, passed_ns.max(*from_ns)));
            let arrival = walk.peek(schedule, lanes)?;
            (arrival.at_ns < until_ns).then_some((arrival, number))
        })
    }
}

impl Iterator for Arrivals {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let (arrival, number) = self.found()?;
        self.peeked = None;
        self.eras.drain(..number);
        let Era { schedule, walk, .. } = &mut self.eras[0];
        if let Some(walk) = walk {
            walk.advance(schedule, arrival);
        }
        // Of two Poisson arrivals in the same nanosecond, a change that comes between them is late for the second.
        self.passed_ns = arrival.at_ns + 1;
        Some(arrival)
    }
}
