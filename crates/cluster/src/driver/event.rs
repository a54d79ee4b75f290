//! All that can happen to a driver, and all that it can ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use clock::{BrokerTime, Instant};
use metrics::{DriverWindow, EventCounts, Totals};
use plan::{LaneSet, Plan};
use transport::{FileInfo, FixtureOutcome, Message, Record};
use uuid::Uuid;

use super::fixture::Errand;
use crate::run::{Acknowledged, Level};

/// Who a driver is and what it was told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name, unique in the fleet.
    pub node_id: String,
    /// Where it runs; for display.
    pub address: String,
    /// Version of the program.
    pub version: String,
    /// Cores it may use.
    pub cores: u32,
    /// Memory it may use.
    pub memory_bytes: u64,
    /// Where it stands, when it was told.
    pub zone: Option<String>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// `--target`: what to load when a foreign orchestrator commands and sends no plan.
    pub target: Option<String>,
}

/// What the runtime measured of the process; comes with every tick and goes out with heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Vitals {
    /// CPU of the process, 100 per core.
    pub cpu_percent: f64,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Open connections to targets.
    pub open_sockets: u32,
    /// Send lag of the last second.
    pub send_lag_p99_us: u64,
    /// Requests sent in the current run.
    pub requests_sent: u64,
    /// Raw events of the current run that were given up.
    pub events_dropped: u64,
}

/// All that can happen to a driver.
#[derive(Debug, Clone)]
pub enum Event {
    /// The log is connected and every subscription stands at the end that was asked for.
    Started,
    /// A record of `test_config`, `trigger` or `control`.
    Record(Record),
    /// The log has a message that was sent.
    Acknowledged(Acknowledged),
    /// Time passed; at least four times a second.
    Tick(Vitals),
    /// What [`Action::Prepare`] asked for stands.
    Prepared {
        /// The run it was for.
        test_id: String,
    },
    /// What [`Action::Prepare`] asked for cannot be had.
    PrepareFailed {
        /// The run it was for.
        test_id: String,
        /// A sentence for the operator.
        reason: String,
    },
    /// What came of [`Action::Walk`].
    Walked {
        /// The run it was for.
        test_id: String,
        /// Which of them.
        fixture: plan::Fixture,
        /// How it went.
        outcome: Box<FixtureOutcome>,
    },
    /// The engine closed a second.
    Window(Box<DriverWindow>),
    /// The engine has sent its last window and ended; comes exactly once per [`Action::Start`].
    EngineFinished(Box<Totals>),
    /// The pacer did not run for a while and holds until [`Action::Release`], one second at most.
    EnginePaused {
        /// How long it did not run.
        for_ms: u64,
    },
    /// The engine found its lease expired and starts nothing more.
    LeaseEnded,
    /// The engine ended without its totals; no other event of it follows.
    EngineDied {
        /// What it said.
        reason: String,
        /// Its raw events, where they are known.
        events: Option<EventCounts>,
    },
    /// `control` was read up to the end it had when [`Action::ReadControlToEnd`] asked.
    CaughtUp,
    /// The process was asked to end.
    Shutdown,
}

/// What the engine is to prepare.
#[derive(Debug, Clone)]
pub struct Preparation {
    /// The run.
    pub test_id: String,
    /// Its plan.
    pub plan: Arc<Plan>,
    /// The files of the plan, to be fetched and checked first.
    pub files: Vec<FileInfo>,
    /// The lanes it begins with; none for a driver that joins a run later.
    pub lanes: LaneSet,
}

/// All that a driver can ask for.
#[derive(Debug, Clone)]
pub enum Action {
    /// Hand a message over. A report that does not fit the queue is kept and tried again; a heartbeat is let go.
    Send(Message),
    /// Prepare an engine, off the control thread; answered by `Prepared` or `PrepareFailed`.
    Prepare(Box<Preparation>),
    /// Start the prepared engine. `at` may lie in the past: what was due since is missed.
    Start {
        /// Second 0 of the run.
        at: Instant,
        /// The same as the broker's time; as the wall clock's, where that is not known.
        began: BrokerTime,
        /// What the run is reported under.
        incarnation: Uuid,
        /// Epoch of the command that started it.
        epoch: i64,
        /// Nothing is sent after this.
        lease_until: Instant,
    },
    /// The lease ends then, earlier or later than before.
    SetLease(Instant),
    /// Own these lanes from a run time on.
    ChangeLanes {
        /// Version of the table.
        version: u32,
        /// Run time.
        from_ns: u64,
        /// All lanes owned from then on.
        lanes: LaneSet,
    },
    /// Multiply the remaining rate.
    ChangeRate {
        /// Run time from which it holds.
        from_ns: u64,
        /// Finite, above 0.
        factor: f64,
    },
    /// Start nothing more, let finish what is in flight, then `EngineFinished`.
    Stop,
    /// Cancel what is in flight, then `EngineFinished`.
    Abort,
    /// Let go of what was prepared, or is being prepared, and was not started.
    Discard,
    /// Walk setup or teardown, off the control thread; answered by `Walked`.
    Walk(Box<Errand>),
    /// What is being walked is not wanted any more.
    LeaveWalk,
    /// Say `CaughtUp` once `control` has been read to its current end.
    ReadControlToEnd,
    /// Let a paused engine go on.
    Release,
    /// For the process's own log.
    Notice(Level, String),
    /// The driver has nothing left to do.
    Exit(Exit),
}

/// How a driver ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to, and everything it measured is in the log.
    Done,
    /// Another driver is alive under the same name.
    NameTaken(String),
}
