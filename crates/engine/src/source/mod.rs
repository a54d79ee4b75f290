//! Where iterations come from: a schedule, or users that start again as soon as they are done.

mod avalanche;
mod closed;
mod scheduled;

use std::sync::Arc;

use plan::{Arrival, LaneSet, Late, Population, Schedule};

pub(crate) use avalanche::Avalanche;
pub(crate) use closed::Closed;
pub(crate) use scheduled::Scheduled;

/// What a changed rate changes.
#[derive(Debug, Clone)]
pub(crate) enum Timetable {
    Schedule(Arc<Schedule>),
    Population(Arc<Population>),
}

impl Timetable {
    /// A workload's; `None` for an avalanche, which has none.
    pub(crate) fn of(workload: &plan::Workload) -> Option<Self> {
        let schedule = workload.schedule().map(|schedule| Self::Schedule(Arc::new(schedule)));
        schedule.or_else(|| workload.population().map(|population| Self::Population(Arc::new(population))))
    }

    /// With `factor` on the plan's rate or users from `from_ns` on.
    pub(crate) fn scaled_from(&self, from_ns: u64, factor: f64) -> Self {
        match self {
            Self::Schedule(schedule) => Self::Schedule(Arc::new(schedule.scaled_from(from_ns, factor))),
            Self::Population(users) => Self::Population(Arc::new(users.scaled_from(from_ns, factor))),
        }
    }
}

/// One thread's share of the iterations of a run. Times are nanoseconds since its start.
pub(crate) trait Source: Send + 'static {
    /// Whether iterations wait for responses. Then one is due when it starts, and a limit delays its intended time;
    /// otherwise it is due at its intended time, whatever happens.
    const CLOSED: bool;

    /// Whether users have names of their own, and are not just as many as there are connections. Only then a request of a
    /// closed loop can wait too long for a connection; otherwise it waits for the limit alone.
    const HAS_USERS: bool = false;

    /// When the next iteration starts, by what is known now; `u64::MAX` when only [`again`](Self::again) can tell.
    fn next_at(&mut self) -> u64;

    /// When the last of the next iterations starts, `most` at most, that are known to start by `until_ns`; 0 when none is.
    /// Whoever asks begins them soon: what is learned afterwards of other lanes or times may come too late for them.
    fn last_by(&mut self, _until_ns: u64, _most: usize) -> u64 {
        0
    }

    /// An iteration whose time has come.
    fn pull(&mut self, now_ns: u64) -> Option<Arrival>;

    /// An iteration ended; `user`, who walked it, may start again at `at_ns`.
    fn again(&mut self, user: u32, at_ns: u64);

    /// Like [`again`](Self::again) for one that found no connection: not at once, so that a target that refuses is not
    /// hammered. To be called with ascending times.
    fn rest(&mut self, user: u32, until_ns: u64);

    /// The iteration that was given last does not begin, and `user` walks no other one.
    fn leave(&mut self, _user: u32) {}

    /// A user that has gone since the last call, and will walk nothing more.
    fn gone(&mut self) -> Option<u32> {
        None
    }

    /// Whether there will be no further iteration.
    fn is_exhausted(&mut self, now_ns: u64) -> bool;

    /// Until when iterations may still be added from outside; 0 when they cannot.
    fn open_until(&self) -> u64;

    /// There shall be no further iteration.
    fn stop(&mut self);

    /// Other lanes from `from_ns` on.
    fn change_lanes(&mut self, from_ns: u64, now_ns: u64, lanes: LaneSet) -> Late;

    /// Another timetable, of the same kind, from `from_ns` on.
    fn change_timetable(&mut self, from_ns: u64, now_ns: u64, timetable: Timetable) -> Late;
}
