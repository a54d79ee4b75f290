//! A series as points, whatever kind of store its seconds come from.

use std::collections::BTreeMap;

use metrics::{StageWindow, StepWindow};
use plan::{StageId, StepId};

/// Points of a series at most: an hour of seconds, some tens of MB of histograms.
pub const MAX_POINTS: u32 = 3_600;

/// One point of a series: all that the drivers measured in it, merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// The first run second of it.
    pub second: u32,
    /// Requests of the step asked for, or of all steps; their step and stage mean nothing.
    pub requests: StepWindow,
    /// Iterations of all stages; their stage means nothing.
    pub iterations: StageWindow,
    /// Drivers that reported.
    pub drivers: u32,
    /// Requests in flight, summed over drivers; the greatest of the point's seconds, as the following.
    pub in_flight: u64,
    /// Arrivals that wait for a connection.
    pub queued: u64,
    /// Open connections.
    pub connections: u64,
}

impl Point {
    fn new(second: u32) -> Self {
        Self {
            second,
            requests: StepWindow::new(StepId(0), StageId(0)),
            iterations: StageWindow::new(StageId(0)),
            drivers: 0,
            in_flight: 0,
            queued: 0,
            connections: 0,
        }
    }
}

/// The drivers' states at the end of one second, summed.
pub(crate) struct DriverStates {
    pub(crate) second: u32,
    pub(crate) drivers: u32,
    pub(crate) in_flight: u64,
    pub(crate) queued: u64,
    pub(crate) connections: u64,
}

/// The points of a series while its seconds are read.
pub(crate) struct Points {
    found: BTreeMap<u32, Point>,
    seconds: u32,
}

impl Points {
    /// Points of so many seconds each.
    pub(crate) fn of(seconds: u32) -> Self {
        Self { found: BTreeMap::new(), seconds }
    }

    /// The point that the run second belongs to.
    pub(crate) fn at(&mut self, second: u32) -> &mut Point {
        let first = second - second % self.seconds;
        self.found.entry(first).or_insert_with(|| Point::new(first))
    }

    pub(crate) fn add_states(&mut self, state: &DriverStates) {
        let point = self.at(state.second);
        point.drivers = point.drivers.max(state.drivers);
        point.in_flight = point.in_flight.max(state.in_flight);
        point.queued = point.queued.max(state.queued);
        point.connections = point.connections.max(state.connections);
    }

    /// By second; points in which nobody reported are not there.
    pub(crate) fn into_points(self) -> Vec<Point> {
        self.found.into_values().collect()
    }
}
