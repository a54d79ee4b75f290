//! Where iterations come from: a schedule, or users that start again as soon as they are done.

mod avalanche;
mod scheduled;

use std::sync::Arc;

use plan::{Arrival, LaneSet, Late, Schedule};

pub(crate) use avalanche::Avalanche;
pub(crate) use scheduled::Scheduled;

/// One thread's share of the iterations of a run. Times are nanoseconds since its start.
pub(crate) trait Source: Send + 'static {
    /// Whether iterations wait for responses. Then one is due when it starts, and a limit delays its intended time;
    /// otherwise it is due at its intended time, whatever happens.
    const CLOSED: bool;

    /// When the next iteration starts, by what is known now; `u64::MAX` when only [`again`](Self::again) can tell.
    fn next_at(&mut self) -> u64;

    /// An iteration whose time has come.
    fn pull(&mut self, now_ns: u64) -> Option<Arrival>;

    /// An iteration ended; whoever walked it may start again at `at_ns`.
    fn again(&mut self, at_ns: u64);

    /// Like [`again`](Self::again) for one that found no connection: not at once, so that a target that refuses is not
    /// hammered. To be called with ascending times.
    fn rest(&mut self, until_ns: u64);

    /// Whether there will be no further iteration.
    fn is_exhausted(&mut self, now_ns: u64) -> bool;

    /// Until when iterations may still be added from outside; 0 when they cannot.
    fn open_until(&self) -> u64;

    /// There shall be no further iteration.
    fn stop(&mut self);

    /// Other lanes from `from_ns` on.
    fn change_lanes(&mut self, from_ns: u64, now_ns: u64, lanes: LaneSet) -> Late;

    /// Another schedule from `from_ns` on.
    fn change_schedule(&mut self, from_ns: u64, now_ns: u64, schedule: Arc<Schedule>) -> Late;
}
