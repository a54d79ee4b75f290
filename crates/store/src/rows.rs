//! What goes in and comes out: plain rows. What a state, a verdict or a summary means is not known here.

use metrics::{DriverWindow, Totals};
use uuid::Uuid;

/// Runs of one page at most: some MB. One more is given to who asks for it, to learn whether there is a next page.
pub const MAX_PAGE: u32 = 10_000;

/// Events of a run that are read: more than a person reads, little enough to hold.
pub const MAX_EVENTS: u32 = 10_000;

/// A run as it is kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunRow {
    /// Identity; unique in a store.
    pub run_id: String,
    /// Name of the plan, for lists.
    pub plan_name: String,
    /// The whole text of the plan, to be parsed again.
    pub plan_source: String,
    /// Where the run stands, in the words of `cluster`.
    pub state: String,
    /// Unix milliseconds; lists are ordered by it.
    pub created_ms: i64,
    /// Unix milliseconds.
    pub started_ms: Option<i64>,
    /// Unix milliseconds.
    pub ended_ms: Option<i64>,
    /// `open` or `closed`.
    pub loop_kind: String,
    /// Node ids of the drivers that take or took part.
    pub drivers: Vec<String>,
    /// JSON of the caller's: shares, epoch and whatever else it needs after a restart.
    pub extras: Option<String>,
    /// `valid`, `suspect` or `invalid`, once judged.
    pub verdict: Option<String>,
    /// What lists show of its result, once it ended.
    pub figures: Figures,
}

/// What a list shows of the result of a run, without reading it; `None` where it is not known or was not measured.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Figures {
    /// Requests that left in the measured part.
    pub requests_sent: Option<u64>,
    /// Of those that were complete, the part that failed, 0 to 1.
    pub error_ratio: Option<f64>,
    /// Iterations a second.
    pub achieved_per_s: Option<f64>,
    /// Response time that 99 % did not exceed, in ms.
    pub p99_ms: Option<f64>,
}

/// A run as a list shows it: what is short of its [`RunRow`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunLine {
    pub run_id: String,
    pub plan_name: String,
    pub state: String,
    pub created_ms: i64,
    pub started_ms: Option<i64>,
    pub ended_ms: Option<i64>,
    pub loop_kind: String,
    pub drivers: Vec<String>,
    pub verdict: Option<String>,
    pub figures: Figures,
}

/// One thing that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventRow {
    /// Whole seconds since the start of the run, once it has started.
    pub second: Option<u32>,
    /// Unix milliseconds.
    pub unix_ms: i64,
    /// A stable code such as `driver_lost`.
    pub kind: String,
    /// One sentence.
    pub text: String,
    /// The driver it is about.
    pub driver: Option<String>,
}

/// What makes one report of a driver in one run unlike every other; the same identity is stored once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The driver's process; another one after each of its starts.
    pub incarnation: Uuid,
    /// Number of the report.
    pub seq: u64,
    /// Part of the report.
    pub part: u32,
}

/// One report, or one part of one.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The driver.
    pub node_id: String,
    /// Which of its reports.
    pub identity: Identity,
    /// What it measured; `None` in a report that only carries totals.
    pub window: Option<DriverWindow>,
    /// What the driver counted over the whole run; comes with its last report.
    pub totals: Option<Totals>,
}

/// How far a partition has been read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The topic, by ids that a topic made anew does not share: cluster id and topic id.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset to read next.
    pub next_offset: i64,
}

/// What one transaction takes in.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The run it belongs to.
    pub run_id: String,
    /// Reports, in any order, new or seen before.
    pub deliveries: Vec<Delivery>,
    /// The positions after them.
    pub positions: Vec<Position>,
}

/// What became of a [`Batch`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ingested {
    /// For each delivery of the batch, whether it was new.
    pub fresh: Vec<bool>,
}

impl Ingested {
    /// Deliveries that were new.
    pub fn fresh_count(&self) -> usize {
        self.fresh.iter().filter(|fresh| **fresh).count()
    }

    /// Deliveries that had been stored before.
    pub fn duplicate_count(&self) -> usize {
        self.fresh.len() - self.fresh_count()
    }
}

/// Seconds that one point of a series covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resolution {
    /// 1 s.
    #[default]
    Second,
    /// 10 s.
    TenSeconds,
    /// 60 s.
    Minute,
}

impl Resolution {
    /// From the finest to the coarsest.
    pub const ALL: [Self; 3] = [Self::Second, Self::TenSeconds, Self::Minute];

    /// Seconds.
    pub const fn seconds(self) -> u32 {
        match self {
            Self::Second => 1,
            Self::TenSeconds => 10,
            Self::Minute => 60,
        }
    }

    /// The finest resolution at which `seconds` are at most `points` points; the coarsest when none is.
    pub fn for_points(seconds: u32, points: u32) -> Self {
        [Self::Second, Self::TenSeconds]
            .into_iter()
            .find(|resolution| seconds.div_ceil(resolution.seconds()) <= points)
            .unwrap_or(Self::Minute)
    }
}
