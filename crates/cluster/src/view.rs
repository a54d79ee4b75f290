//! What the control plane lets others see: snapshots of the fleet and of runs, as plain values.
//!
//! Invariant: a view is a copy. Whoever holds one holds nothing up, and nobody waits for a viewer.
//! Deliberately absent: JSON, which belongs to `api`, and terminal text, which belongs to `report`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::{Stats, threshold::Judged, verdict::Verdict};
use plan::Plan;

mod storage;

pub use storage::{Fault, Ingest, PartitionLag, Storage, Trouble};

/// Where a run stands (`wire.md`, "Life of a run").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Accepted and stored; nothing was said to any driver.
    Created,
    /// The chosen drivers prepare their data and connections.
    Arming,
    /// Every driver is ready.
    Armed,
    /// The start instant is set or passed.
    Running,
    /// No new iterations; requests in flight may finish.
    Draining,
    /// Ended as planned or by a stop; totals are in.
    Finished,
    /// Ended at once by an operator, a threshold, a lost lease or the plan's rule for lost drivers.
    Aborted,
    /// Never started, or could not go on.
    Failed,
}

impl RunState {
    /// The name used in the API, the store and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Arming => "arming",
            Self::Armed => "armed",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Finished => "finished",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::Created,
            Self::Arming,
            Self::Armed,
            Self::Running,
            Self::Draining,
            Self::Finished,
            Self::Aborted,
            Self::Failed,
        ]
        .into_iter()
        .find(|state| state.as_str() == name)
    }

    /// Whether nothing more will happen in the run.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Aborted | Self::Failed)
    }
}

/// One run as seen now.
#[derive(Debug, Clone)]
pub struct RunView {
    /// Identity; `test_id` on the wire.
    pub run_id: String,
    /// What is run.
    pub plan: Arc<Plan>,
    /// Where it stands.
    pub state: RunState,
    /// Why it stands there, when that needs saying.
    pub state_reason: Option<String>,
    /// Unix milliseconds.
    pub created_ms: i64,
    /// The common start instant, Unix milliseconds of broker time.
    pub started_ms: Option<i64>,
    /// Run time at which somebody or something ended the load, before its plan did.
    pub stopped_ns: Option<u64>,
    /// Unix milliseconds.
    pub ended_ms: Option<i64>,
    /// Iterations per second asked of the drivers that report windows, over the measured stages and with all changes of
    /// rate; `None` where the load has no rate.
    pub planned_per_s: Option<f64>,
    /// The drivers that take or took part.
    pub drivers: Vec<RunDriver>,
    /// Could the generators do what the plan asked, as far as is known now.
    pub verdict: Verdict,
    /// How the plan's thresholds stand, in its order; empty before the first second.
    pub thresholds: Vec<Judged>,
    /// The last complete second.
    pub latest: Option<Arc<Tick>>,
    /// What happened, oldest first.
    pub events: Vec<TimelineEvent>,
}

/// What the reason of a run begins with that somebody ended before its plan did.
pub(crate) const STOPPED: &str = "stopped";
/// What the reason of a run begins with that a threshold ended; so does what [`metrics::threshold::Breach`] says of itself.
pub(crate) const BREACHED: &str = "threshold";

impl RunView {
    /// Whether somebody ended the run before its load did.
    pub fn was_stopped(&self) -> bool {
        self.state_reason.as_deref().is_some_and(|reason| reason.starts_with(STOPPED))
    }

    /// From its start to its end, 0 before either.
    pub(crate) fn length_ns(&self) -> u64 {
        let length_ms = self.started_ms.zip(self.ended_ms).map_or(0, |(from, to)| to - from);
        u64::try_from(length_ms).unwrap_or(0).saturating_mul(1_000_000)
    }

    /// Whether a threshold of its plan ended the run.
    pub fn was_ended_by_threshold(&self) -> bool {
        self.state_reason.as_deref().is_some_and(|reason| reason.starts_with(BREACHED))
    }
}

/// A driver's part in one run.
#[derive(Debug, Clone)]
pub struct RunDriver {
    /// The driver.
    pub node_id: String,
    /// `arming`, `armed`, `running`, `draining`, `finished`, `suspect`, `lost`, `fenced`.
    pub state: &'static str,
    /// Requests sent, as merged so far.
    pub requests_sent: u64,
    /// It knows only the basic messages, so it reports no windows.
    pub foreign: bool,
    /// What such a driver says of its latencies, once it did; it stays outside the merged result.
    pub summary_only: Option<transport::Summary>,
}

/// Something that happened in a run.
#[derive(Debug, Clone)]
pub struct TimelineEvent {
    /// Whole seconds since the start of the run, once it has started.
    pub second: Option<u32>,
    /// Unix milliseconds.
    pub unix_ms: i64,
    /// A stable code such as `driver_lost`.
    pub kind: Cow<'static, str>,
    /// One sentence.
    pub text: String,
    /// The driver it is about.
    pub driver: Option<String>,
}

/// One complete second of a run, merged over the drivers that reported it.
#[derive(Debug, Clone)]
pub struct Tick {
    /// Seconds since the start of the run.
    pub second: u32,
    /// Iterations the schedule wants in this second; `None` where the load follows no schedule.
    pub planned: Option<f64>,
    /// Iterations of this second.
    pub due: u64,
    /// Iterations of this second.
    pub started: u64,
    /// Iterations of this second.
    pub missed: u64,
    /// Requests sent in this second.
    pub sent: u64,
    /// Requests that ended in this second, well or not.
    pub completed: u64,
    /// Requests that failed in this second.
    pub failed: u64,
    /// Bytes received in this second.
    pub bytes_in: u64,
    /// Bytes sent in this second.
    pub bytes_out: u64,
    /// Requests in flight at its end.
    pub in_flight: u64,
    /// Open connections at its end.
    pub connections: u64,
    /// Response times of the requests done in this second.
    pub response: Option<Stats>,
    /// Service times of the requests done in this second.
    pub service: Option<Stats>,
    /// Response times of the run so far, warm-up left out.
    pub total_response: Option<Stats>,
    /// Service times of the run so far, warm-up left out.
    pub total_service: Option<Stats>,
    /// Requests so far, warm-up included.
    pub sent_total: u64,
    /// Requests so far, warm-up included.
    pub succeeded_total: u64,
    /// Requests so far, warm-up included.
    pub failed_total: u64,
    /// Iterations that were not started so far, warm-up included.
    pub missed_total: u64,
    /// Requests sent so far by each driver.
    pub per_driver: BTreeMap<String, u64>,
    /// Failed requests so far by kind and detail (such as the status code of `status`).
    pub errors: Vec<ErrorCount>,
    /// Send lag of this second, 99th percentile over all drivers, in milliseconds.
    pub send_lag_p99_ms: Option<f64>,
    /// Drivers whose report of this second is in it.
    pub drivers_reporting: u32,
}

/// How often one kind of error occurred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorCount {
    /// A name of the closed list.
    pub kind: &'static str,
    /// The status code of `status`, what had run out of `local_limit`, else empty.
    pub detail: String,
    /// Requests.
    pub count: u64,
}

/// A driver of the fleet as its heartbeats tell.
#[derive(Debug, Clone)]
pub struct DriverView {
    /// The driver.
    pub node_id: String,
    /// Where it says it is reached from; for display.
    pub address: String,
    /// `joining`, `idle`, `arming`, `armed`, `running`, `draining`, `failed`, `suspect`, `lost`, `unsynchronised`,
    /// `leaving`, `foreign`.
    pub state: &'static str,
    /// Milliseconds since its last heartbeat, in the time of the heartbeat log.
    pub heartbeat_age_ms: Option<u64>,
    /// Cores it may use.
    pub cores: Option<u32>,
    /// CPU of its process, in percent of one core.
    pub cpu_percent: Option<f64>,
    /// Resident memory.
    pub memory_bytes: Option<u64>,
    /// Its version.
    pub version: Option<String>,
    /// Broker time minus its clock.
    pub clock_offset_ms: Option<f64>,
    /// Bound of the error of that.
    pub clock_error_ms: Option<f64>,
    /// Requests sent in the current or last run.
    pub requests_sent: Option<u64>,
    /// Send lag of the last second.
    pub send_lag_p99_us: Option<u64>,
    /// Open connections to targets.
    pub open_sockets: Option<u32>,
    /// Where it runs.
    pub zone: Option<String>,
    /// `--label` settings.
    pub labels: BTreeMap<String, String>,
    /// Why it is in its state, for example why it could not prepare a run.
    pub reason: Option<String>,
}
