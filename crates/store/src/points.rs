//! A series as points, whatever kind of store its seconds come from.
//!
//! Invariant: the times of a point are read from the histogram of all that belongs to it, never from other points.

use std::collections::BTreeMap;

use metrics::{Pair, StageWindow, Stats, StepWindow, Timing};
use plan::{StageId, StepId};

/// Points of a series at most: an hour of seconds.
pub const MAX_POINTS: u32 = 3_600;

/// One point of a series: all that the drivers measured in it, as figures.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Point {
    /// The first run second of it.
    pub second: u32,
    /// Requests of the step asked for, or of all steps.
    pub requests: PointRequests,
    /// Iterations, whatever step was asked for.
    pub iterations: PointIterations,
    /// What the drivers said of themselves, whatever step was asked for.
    pub states: PointStates,
}

/// Requests of a point.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PointRequests {
    /// That left.
    pub sent: u64,
    /// Of those that were complete, the ones that failed; [`Self::response`] counts all that were complete.
    pub failed: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Response times of all that were complete.
    pub response: Option<Stats>,
    /// Service times of the same, as far as they left.
    pub service: Option<Stats>,
}

/// Iterations of a point, over all stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PointIterations {
    /// Whose intended time came.
    pub due: u64,
    /// That began.
    pub started: u64,
    /// That were never started, whoever kept them from it.
    pub missed: u64,
}

/// The states of the drivers in a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PointStates {
    /// Drivers that reported; the greatest of the point's seconds, as the following.
    pub drivers: u32,
    /// Requests in flight, summed over drivers.
    pub in_flight: u64,
    /// Arrivals that wait for a connection.
    pub queued: u64,
    /// Open connections.
    pub connections: u64,
}

impl PointIterations {
    /// Adds the iterations of a stage in another second of the point.
    pub(crate) fn merge(&mut self, window: &StageWindow) {
        let add = |a: &mut u64, b: u64| *a = a.saturating_add(b);
        add(&mut self.due, window.due);
        add(&mut self.started, window.started);
        add(&mut self.missed, window.missed.total());
    }
}

impl PointStates {
    /// Adds another second to the point.
    fn join(&mut self, other: Self) {
        self.drivers = self.drivers.max(other.drivers);
        self.in_flight = self.in_flight.max(other.in_flight);
        self.queued = self.queued.max(other.queued);
        self.connections = self.connections.max(other.connections);
    }
}

/// The drivers' states at the end of one second, summed.
pub(crate) struct DriverStates {
    pub(crate) second: u32,
    pub(crate) states: PointStates,
}

/// A point while its seconds are read.
pub(crate) struct OpenPoint {
    pub(crate) requests: StepWindow,
    pub(crate) iterations: PointIterations,
    states: PointStates,
}

impl OpenPoint {
    fn new() -> Self {
        Self {
            requests: StepWindow::new(StepId(0), StageId(0)),
            iterations: PointIterations::default(),
            states: PointStates::default(),
        }
    }

    fn close(&self, second: u32) -> Point {
        let Self { requests, iterations, states } = self;
        let all = |pair: fn(&Pair) -> &Timing| {
            let mut timing = pair(&requests.ok).clone();
            timing.merge(pair(&requests.failed));
            timing.stats()
        };
        Point {
            second,
            requests: PointRequests {
                sent: requests.sent,
                failed: requests.failed.response.count(),
                bytes_in: requests.bytes_in,
                bytes_out: requests.bytes_out,
                response: all(|pair| &pair.response),
                service: all(|pair| &pair.service),
            },
            iterations: *iterations,
            states: *states,
        }
    }
}

/// The points of a series while its seconds are read.
pub(crate) struct Points {
    found: BTreeMap<u32, OpenPoint>,
    seconds: u32,
}

impl Points {
    /// Points of so many seconds each.
    pub(crate) fn of(seconds: u32) -> Self {
        Self { found: BTreeMap::new(), seconds }
    }

    /// The point that the run second belongs to.
    pub(crate) fn at(&mut self, second: u32) -> &mut OpenPoint {
        self.found.entry(second - second % self.seconds).or_insert_with(OpenPoint::new)
    }

    pub(crate) fn add_states(&mut self, state: &DriverStates) {
        self.at(state.second).states.join(state.states);
    }

    /// By second; points in which nobody reported are not there.
    pub(crate) fn into_points(self) -> Vec<Point> {
        self.found.iter().map(|(&second, point)| point.close(second)).collect()
    }
}
