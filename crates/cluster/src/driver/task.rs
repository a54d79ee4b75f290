//! The run a driver is at work on: what it was told, and how far it is.
//!
//! Commands may be read before the plan is prepared or the start is due; they are kept here in the order of their run
//! times and given to the engine once there is one.

use std::sync::Arc;

use clock::{BrokerTime, Instant};
use metrics::Totals;
use plan::{LaneSet, Plan};
use transport::FileInfo;
use uuid::Uuid;

/// Tables and rates that a run may have, each. A fleet that changes more often is broken.
const MAX_CHANGES: usize = 4096;

/// How far a driver is with its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The engine is being prepared.
    Preparing,
    /// Everything is ready for the start.
    Armed,
    /// The start has passed already: `control` is read first, until then at most.
    CatchingUp { until: Instant },
    /// The engine has its start. While it is paused, `control` is read first, until then at most.
    Running { paused_until: Option<Instant> },
    /// The engine finishes what is in flight.
    Draining { aborting: bool },
}

/// A table of lanes, as far as it concerns this driver.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub version: u32,
    pub from_ns: u64,
    pub lanes: LaneSet,
}

/// The latest lease, and the command that gave it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    pub order: (i64, u64),
    pub expires_at: BrokerTime,
}

/// The run a driver is at work on.
#[derive(Debug)]
pub(super) struct Task {
    pub test_id: String,
    /// The incarnation it is reported under; a fence may bring the driver a new one meanwhile.
    pub incarnation: Uuid,
    /// Commanded by one that knows only the basic messages.
    pub foreign: bool,
    pub plan: Arc<Plan>,
    pub files: Vec<FileInfo>,
    pub phase: Phase,
    /// The first table holds from the start.
    pub shares: Vec<Share>,
    pub rates: Vec<(u64, f64)>,
    pub lease: Option<Lease>,
    pub start_at: Option<BrokerTime>,
    /// Second 0, once the engine has it.
    pub started: Option<Instant>,
    pub taken_up: Instant,
    pub reason: Option<String>,
    /// To be taken up again under another incarnation after it is handed over.
    pub fenced: bool,
    pub seq: u64,
    /// Sums of all windows that were handed over.
    pub sums: Totals,
}

impl Task {
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// Whether an engine was started, so that its totals will come.
    pub fn has_engine(&self) -> bool {
        self.started.is_some()
    }

    /// Whether others can take over what this driver leaves.
    pub fn is_shared(&self) -> bool {
        !self.foreign && !self.plan.is_per_driver()
    }

    pub fn shares_version(&self) -> u32 {
        self.shares.last().map_or(0, |share| share.version)
    }

    /// Whether others own all its lanes by now.
    pub fn has_handed_over(&self, now: Instant) -> bool {
        let latest = self.shares.last();
        let (Some(share), Some(started)) = (latest, self.started) else { return false };
        share.lanes.is_empty() && clock::nanos(now.since(started)) >= share.from_ns
    }

    /// Keeps a table, unless it is known. Whether it is new.
    pub fn add_share(&mut self, share: Share) -> bool {
        let is_new = share.version > self.shares_version() && self.shares.len() < MAX_CHANGES;
        if is_new {
            self.shares.push(share);
        }
        is_new
    }

    /// Keeps a change of rate, unless it is known: no two hold from the same moment. Whether it is new.
    pub fn add_rate(&mut self, from_ns: u64, factor: f64) -> bool {
        let is_new = self.rates.last().is_none_or(|rate| rate.0 < from_ns) && self.rates.len() < MAX_CHANGES;
        if is_new {
            self.rates.push((from_ns, factor));
        }
        is_new
    }

    /// Keeps a lease, unless a later command gave the known one. Whether it is later.
    pub fn add_lease(&mut self, lease: Lease) -> bool {
        let is_later = self.lease.is_none_or(|known| known.order < lease.order);
        if is_later {
            self.lease = Some(lease);
        }
        is_later
    }
}
