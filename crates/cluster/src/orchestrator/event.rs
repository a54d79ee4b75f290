//! All that can happen to an orchestrator, and all that it can ask for.

use std::sync::Arc;
use std::time::Duration;

use clock::BrokerTime;
use metrics::Totals;
use plan::Plan;
use transport::{FileInfo, Message, Record, Summary};
use uuid::Uuid;

use crate::run::{Acknowledged, Level, RunRecord};
use crate::view::{RunState, TimelineEvent};

/// Who an orchestrator is and how patient.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name in its heartbeats.
    pub node_id: String,
    /// The store in whose name it commands; survives its restarts.
    pub store: Uuid,
    /// Least time between the trigger and the start of a run; 3 s where drivers are other machines.
    pub start_lead: Duration,
    /// How long drivers may take to be there and to arm.
    pub arm_timeout: Duration,
}

/// All that can happen to an orchestrator.
#[derive(Debug, Clone)]
pub enum Event {
    /// The log is connected; with what [`Action::Persist`] last stored, if that run is not over.
    Started(Option<Box<RunRecord>>),
    /// A record of `register`, `heartbeat` or `control`.
    Record(Record),
    /// The log has a message that was sent.
    Acknowledged(Acknowledged),
    /// Time passed; at least four times a second.
    Tick,
    /// Somebody wants something; answered once by [`Action::Reply`] with the same token.
    Command {
        /// Names the question.
        token: u64,
        /// What is wanted.
        command: Command,
    },
    /// What is merged and stored of one incarnation of a driver in the current run. After [`Action::Collect`] once for
    /// everything that is there already, then whenever it changed.
    Collected(Box<Collected>),
    /// A driver that knows only the basic messages reported.
    Summarised {
        /// The driver.
        node_id: String,
        /// The run it names.
        test_id: String,
        /// What it says.
        summary: Summary,
    },
    /// A threshold of the plan says that the run is to end. May be told again until it does.
    Crossed {
        /// The run.
        run_id: String,
        /// Which and when, for the timeline and the result.
        reason: String,
    },
    /// The process was asked to end: the current run is stopped first.
    Shutdown,
}

/// What an operator wants.
#[derive(Debug, Clone)]
pub enum Command {
    /// Run a plan. Answered once the control topic says that this orchestrator may.
    Start(Box<Start>),
    /// Start nothing more, let finish what is in flight.
    Stop {
        /// The run.
        run_id: String,
    },
    /// Stop at once.
    Abort {
        /// The run.
        run_id: String,
        /// Why, for the timeline.
        reason: String,
    },
    /// Multiply the remaining rate.
    SetRate {
        /// The run.
        run_id: String,
        /// Finite, above 0.
        factor: f64,
    },
}

/// A run to start.
#[derive(Debug, Clone)]
pub struct Start {
    /// The run.
    pub run_id: String,
    /// Its plan.
    pub plan: Arc<Plan>,
    /// The files of the plan, and where they are in the log.
    pub files: Vec<FileInfo>,
    /// Drivers it needs; waited for until the arming deadline.
    pub min_drivers: usize,
    /// Drivers it takes at most.
    pub max_drivers: usize,
}

/// What is merged and stored of one incarnation of a driver.
#[derive(Debug, Clone, PartialEq)]
pub struct Collected {
    /// The run.
    pub run_id: String,
    /// The driver.
    pub node_id: String,
    /// Which of its lives.
    pub incarnation: Uuid,
    /// The run second behind the last one stored, 0 before the first: everything before it is reported.
    pub reported_s: u32,
    /// Sums over all stored windows, `windows` included.
    pub stored: Totals,
    /// What the driver itself counted, once it said so.
    pub fin: Option<Totals>,
}

/// All that an orchestrator can ask for, to be done in order.
#[derive(Debug, Clone)]
pub enum Action {
    /// Hand a message over.
    Send(Message),
    /// Store this, durably, before doing what follows.
    Persist(Box<RunRecord>),
    /// Answer a command.
    Reply {
        /// The question.
        token: u64,
        /// The state of the run after it, or why not.
        result: Result<RunState, Refused>,
    },
    /// Begin merging the reports of this run, and say what is there already.
    Collect {
        /// The run.
        run_id: String,
    },
    /// Something happened in the current run.
    Timeline(TimelineEvent),
    /// The current run is over: its last state and its accounting. Merging ends.
    Ended(Box<Outcome>),
    /// For the process's own log.
    Notice(Level, String),
    /// Nothing is left to do after [`Event::Shutdown`].
    Exit,
}

/// Why a command was not obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// One run at a time.
    #[error("run {run_id} is {}", .state.as_str())]
    Busy {
        /// The run in the way.
        run_id: String,
        /// Its state.
        state: RunState,
    },
    /// The run is not the current one.
    #[error("run {0} is not under way")]
    NotCurrent(String),
    /// The state of the run does not allow it.
    #[error("the run is {}: {why}", .state.as_str())]
    State {
        /// Its state.
        state: RunState,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Another orchestrator leads on these topics.
    #[error(
        "another orchestrator (store {store}) has the lead on these topics; try again when its run is over, or give this \
         one and its drivers topics of their own with --topic-prefix"
    )]
    Led {
        /// Its store.
        store: Uuid,
        /// When its claim or lease expires unless renewed.
        until: BrokerTime,
    },
    /// The load model has no rate to change.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The claim was not read back in time.
    #[error("the control topic did not answer within {} s", .0.as_secs())]
    NoLog(Duration),
    /// The process ends.
    #[error("the orchestrator is shutting down")]
    ShuttingDown,
}

/// How a run ended, with what was counted outside the windows.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The run.
    pub run_id: String,
    /// `Finished`, `Aborted` or `Failed`.
    pub state: RunState,
    /// Why, when it did not simply come to its end.
    pub reason: Option<String>,
    /// Why teardown did not do what it should.
    pub teardown_fault: Option<String>,
    /// The common start instant.
    pub started: Option<BrokerTime>,
    /// When the last driver was done, or the waiting ended.
    pub ended: Option<BrokerTime>,
    /// Whether the totals of every driver equal what was merged and stored.
    pub complete: bool,
    /// Whether every lane of a lost driver was given to another one.
    pub replaced: bool,
    /// Iterations due on lost drivers after their last report.
    pub lost: u64,
    /// Iterations sent by two drivers while a share moved.
    pub overlap: u64,
    /// Requests sent by drivers that died before they reported what became of them.
    pub unknown: u64,
    /// The drivers, in the order in which they came.
    pub members: Vec<MemberOutcome>,
}

/// One incarnation of a driver in a run that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberOutcome {
    /// The driver.
    pub node_id: String,
    /// `None`: it knows only the basic messages.
    pub incarnation: Option<Uuid>,
    /// `finished`, `lost`, `fenced`, `left` or `failed`.
    pub state: &'static str,
    /// Whether its lanes were given to another driver.
    pub replaced: bool,
    /// What was merged and stored.
    pub stored: Totals,
    /// What it counted itself, if it said so.
    pub fin: Option<Totals>,
    /// Its part of [`Outcome::lost`].
    pub lost: u64,
    /// Its part of [`Outcome::overlap`].
    pub overlap: u64,
    /// Its part of [`Outcome::unknown`].
    pub unknown: u64,
}
