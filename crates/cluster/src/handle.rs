//! The handle by which the API and the command line reach a running orchestrator.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use data::Files;
use plan::Plan;

use crate::board::Board;
use crate::orchestrator::{Command, Refused};
use crate::result::RunResult;
use crate::view::{DriverView, RunState, RunView, Storage, Tick};

/// How long an answer may take: a start waits for the claim to come back from the log.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);

/// The same where files are sent first: a gigabyte, at four megabytes a second.
const FILES_PATIENCE: Duration = Duration::from_secs(300);

/// Requests that may wait for the control thread.
pub(crate) const MAX_REQUESTS: usize = 64;

/// Reads what an orchestrator shows and tells it what to do. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) board: Arc<Board>,
    pub(crate) requests: Sender<Request>,
}

/// How many drivers a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Fewer, and it does not start.
    pub min_drivers: usize,
    /// More are not used.
    pub max_drivers: usize,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { min_drivers: 1, max_drivers: crate::MAX_DRIVERS }
    }
}

/// What is asked of the control thread.
#[derive(Debug)]
pub(crate) enum Request {
    Create { plan: Box<Plan>, files: Files, answer: Sender<Result<String, Failure>> },
    Start { run_id: String, wanted: Wanted, answer: Sender<Result<RunState, Failure>> },
    Command { command: Command, answer: Sender<Result<RunState, Failure>> },
}

/// Why a request was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no such run.
    #[error("there is no run {0}")]
    UnknownRun(String),
    /// The state of things does not allow it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The store cannot take or give it.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What the store should have of the last run is still waiting for it.
    #[error("the end of the last run is not stored yet: {0}")]
    Unsaved(String),
    /// Heartbeats come without the time of the broker, which drivers need to start together. With the command that mends it.
    #[error(
        "the broker does not stamp the heartbeat topic (message.timestamp.type is not LogAppendTime), so no driver can arm; fix: {0}"
    )]
    Unstamped(String),
    /// The stored plan is not one that this version reads.
    #[error("the stored plan of run {0} cannot be read by this version")]
    Plan(String),
    /// The files of a plan are not there, or cannot be sent.
    #[error("{0}")]
    Files(String),
    /// The orchestrator is ending, or too much is asked of it at once.
    #[error("the orchestrator does not answer: it is ending, or overloaded")]
    NoAnswer,
}

impl Handle {
    /// The drivers known now.
    pub fn fleet(&self) -> Vec<DriverView> {
        self.board.look(|content| content.fleet.clone())
    }

    /// How storing goes.
    pub fn storage(&self) -> Storage {
        self.board.look(|content| content.storage.clone())
    }

    /// The run under way, or the last one.
    pub fn current(&self) -> Option<RunView> {
        self.board.look(|content| content.current.as_ref().map(|current| current.view.clone()))
    }

    /// A run, if it is the one under way or the last one; others are in the store.
    pub fn run(&self, run_id: &str) -> Option<RunView> {
        self.board.look(|content| content.current_of(run_id).map(|current| current.view.clone()))
    }

    /// Its seconds so far, at most an hour.
    pub fn ticks(&self, run_id: &str) -> Vec<Arc<Tick>> {
        self.board.ticks(run_id)
    }

    /// Its result so far.
    pub fn result(&self, run_id: &str) -> Option<RunResult> {
        self.board.result(run_id)
    }

    /// Waits until the version is not `seen`, at most `patience`; the version then.
    pub fn wait_change(&self, seen: u64, patience: Duration) -> u64 {
        self.board.wait_change(seen, patience)
    }

    /// Stores a plan as a run that can be started; its identity. Blocks until it is on the disk.
    pub fn create(&self, plan: Plan) -> Result<String, Failure> {
        self.create_with(plan, Files::default())
    }

    /// The same with the files that the plan needs. Blocks until these are where drivers find them, too.
    pub fn create_with(&self, plan: Plan, files: Files) -> Result<String, Failure> {
        let patience = if files.is_empty() { ANSWER_PATIENCE } else { FILES_PATIENCE };
        self.ask_for(patience, |answer| Request::Create { plan: Box::new(plan), files, answer })
    }

    /// Starts a run that was created. Blocks until the orchestrator has the lead; the state then.
    pub fn start(&self, run_id: &str, wanted: Wanted) -> Result<RunState, Failure> {
        self.ask(|answer| Request::Start { run_id: run_id.to_owned(), wanted, answer })
    }

    /// Starts nothing more and lets finish what is in flight.
    pub fn stop(&self, run_id: &str) -> Result<RunState, Failure> {
        self.command(Command::Stop { run_id: run_id.to_owned() })
    }

    /// Stops at once.
    pub fn abort(&self, run_id: &str, reason: &str) -> Result<RunState, Failure> {
        self.command(Command::Abort { run_id: run_id.to_owned(), reason: reason.to_owned() })
    }

    /// Multiplies the remaining rate.
    pub fn set_rate(&self, run_id: &str, factor: f64) -> Result<RunState, Failure> {
        self.command(Command::SetRate { run_id: run_id.to_owned(), factor })
    }

    fn command(&self, command: Command) -> Result<RunState, Failure> {
        self.ask(|answer| Request::Command { command, answer })
    }

    fn ask<T>(&self, request: impl FnOnce(Sender<Result<T, Failure>>) -> Request) -> Result<T, Failure> {
        self.ask_for(ANSWER_PATIENCE, request)
    }

    fn ask_for<T>(
        &self,
        patience: Duration,
        request: impl FnOnce(Sender<Result<T, Failure>>) -> Request,
    ) -> Result<T, Failure> {
        let (answer, answers): (_, Receiver<Result<T, Failure>>) = bounded(1);
        self.requests.try_send(request(answer)).map_err(|_| Failure::NoAnswer)?;
        answers.recv_timeout(patience).map_err(|_| Failure::NoAnswer)?
    }
}
