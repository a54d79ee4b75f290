//! Open and tsunami: iterations at times that were set before the run.

use std::collections::VecDeque;
use std::sync::Arc;

use plan::{Arrival, Arrivals, LaneSet, Late, Schedule};

use super::{Source, Timetable};

/// Arrivals that are looked ahead for at most. Beyond, whoever asked would rather not wait for more.
const AHEAD: usize = 64;

/// The arrivals of one thread's lanes.
pub(crate) struct Scheduled {
    arrivals: Arrivals,
    /// Those that were looked ahead for.
    ahead: VecDeque<Arrival>,
    /// The time of the next one; `None` when it must be looked up.
    next_at: Option<u64>,
    /// The end of a schedule whose lanes may still come to this thread.
    open_until_ns: u64,
    is_stopped: bool,
}

impl Scheduled {
    /// The fleet's schedule, of which lanes may be given to this thread and taken from it.
    pub(crate) fn open(schedule: Arc<Schedule>, lanes: LaneSet) -> Self {
        let open_until_ns = schedule.end_ns();
        let (arrivals, ahead) = (Arrivals::new(schedule, lanes), VecDeque::with_capacity(AHEAD));
        Self { arrivals, ahead, next_at: None, open_until_ns, is_stopped: false }
    }

    /// One driver's own schedule: it is over with its last arrival.
    pub(crate) fn tsunami(schedule: Arc<Schedule>, lanes: LaneSet) -> Self {
        Self { open_until_ns: 0, ..Self::open(schedule, lanes) }
    }

    #[inline]
    fn peek(&mut self) -> u64 {
        if self.is_stopped {
            return u64::MAX;
        }
        if let Some(next) = self.ahead.front() {
            return next.at_ns;
        }
        let arrivals = &mut self.arrivals;
        *self.next_at.get_or_insert_with(|| arrivals.peek().map_or(u64::MAX, |arrival| arrival.at_ns))
    }
}

impl Source for Scheduled {
    const CLOSED: bool = false;

    #[inline]
    fn next_at(&mut self) -> u64 {
        self.peek()
    }

    #[inline]
    fn last_by(&mut self, until_ns: u64, most: usize) -> u64 {
        while self.ahead.len() < most.min(AHEAD)
            && !self.is_stopped
            && let Some(arrival) = self.arrivals.peek()
            && arrival.at_ns <= until_ns
        {
            self.ahead.extend(self.arrivals.next());
            self.next_at = None;
        }
        let times = self.ahead.iter().take(most).map(|arrival| arrival.at_ns);
        times.take_while(|at_ns| *at_ns <= until_ns).last().unwrap_or(0)
    }

    #[inline]
    fn pull(&mut self, now_ns: u64) -> Option<Arrival> {
        if self.peek() > now_ns {
            return None;
        }
        if let Some(arrival) = self.ahead.pop_front() {
            return Some(arrival);
        }
        self.next_at = None;
        self.arrivals.next()
    }

    #[inline]
    fn again(&mut self, _user: u32, _at_ns: u64) {}

    fn rest(&mut self, _user: u32, _until_ns: u64) {}

    fn is_exhausted(&mut self, now_ns: u64) -> bool {
        self.peek() == u64::MAX && now_ns >= self.open_until()
    }

    fn open_until(&self) -> u64 {
        if self.is_stopped { 0 } else { self.open_until_ns }
    }

    fn stop(&mut self) {
        self.is_stopped = true;
    }

    fn change_lanes(&mut self, from_ns: u64, now_ns: u64, lanes: LaneSet) -> Late {
        self.next_at = None;
        self.arrivals.change_lanes(from_ns, now_ns, lanes)
    }

    fn change_timetable(&mut self, from_ns: u64, now_ns: u64, timetable: Timetable) -> Late {
        self.next_at = None;
        match timetable {
            Timetable::Schedule(schedule) => self.arrivals.change_schedule(from_ns, now_ns, schedule),
            Timetable::Population(_) => Late::default(),
        }
    }
}
