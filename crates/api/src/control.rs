//! What the API needs of the control plane.
//!
//! Two implement it: the runtime around `cluster`, and the scripted one of this crate's tests, which plays a run
//! without drivers. What only looks answers at once from memory; commands may wait for the log and the disk.

use std::sync::Arc;
use std::time::Duration;

use cluster::orchestrator;
use cluster::view::{DriverView, RunState, RunView, Storage, Tick};
use cluster::{Failure, Handle, RunResult, Wanted};
use plan::Plan;

/// The control plane as the API sees it.
pub trait Control: Send + Sync + 'static {
    /// The drivers, by node id.
    fn fleet(&self) -> Vec<DriverView>;

    /// How storing goes.
    fn storage(&self) -> Storage;

    /// The run under way, else the last one of this process.
    fn current(&self) -> Option<RunView>;

    /// A run, if this process still holds it; others are in the store.
    fn run(&self, run_id: &str) -> Option<RunView>;

    /// The complete seconds of such a run, oldest first; the implementation bounds how many it keeps.
    fn ticks(&self, run_id: &str) -> Vec<Arc<Tick>>;

    /// The result so far of such a run.
    fn result(&self, run_id: &str) -> Option<RunResult>;

    /// Waits until the version is not `seen`, at most `patience`; the version then.
    fn wait_change(&self, seen: u64, patience: Duration) -> u64;

    /// Accepts a plan as a run that can be started; its id. May block until it is on the disk.
    fn create(&self, plan: Plan) -> Result<String, Refused>;

    /// Arms and starts a run. May block until the control plane has the lead.
    fn start(&self, run_id: &str) -> Result<RunState, Refused>;

    /// Ends a run gracefully: no new iterations, requests in flight may finish.
    fn stop(&self, run_id: &str) -> Result<RunState, Refused>;

    /// Ends a run at once.
    fn abort(&self, run_id: &str, reason: &str) -> Result<RunState, Refused>;

    /// Multiplies the remaining rate of a run by `factor`, which is finite and more than zero.
    fn set_rate(&self, run_id: &str, factor: f64) -> Result<RunState, Refused>;
}

/// Why a command was not carried out. Its sentence is shown to people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No run has that id.
    #[error("there is no such run")]
    Unknown,
    /// The run's state, or the kind of its load, does not allow it.
    #[error("{why}")]
    NotNow {
        /// Where the run stands.
        state: RunState,
        /// One sentence without a full stop.
        why: String,
    },
    /// Something else is in the way, such as another run that goes on.
    #[error("{why}")]
    Conflict {
        /// One sentence without a full stop.
        why: String,
    },
    /// It cannot be done at the moment: no store, no broker, queue full.
    #[error("{why}")]
    Unavailable {
        /// One sentence without a full stop.
        why: String,
    },
}

impl Control for Handle {
    fn fleet(&self) -> Vec<DriverView> {
        self.fleet()
    }

    fn storage(&self) -> Storage {
        self.storage()
    }

    fn current(&self) -> Option<RunView> {
        self.current()
    }

    fn run(&self, run_id: &str) -> Option<RunView> {
        self.run(run_id)
    }

    fn ticks(&self, run_id: &str) -> Vec<Arc<Tick>> {
        self.ticks(run_id)
    }

    fn result(&self, run_id: &str) -> Option<RunResult> {
        self.result(run_id)
    }

    fn wait_change(&self, seen: u64, patience: Duration) -> u64 {
        self.wait_change(seen, patience)
    }

    fn create(&self, plan: Plan) -> Result<String, Refused> {
        Ok(self.create(plan)?)
    }

    fn start(&self, run_id: &str) -> Result<RunState, Refused> {
        Ok(self.start(run_id, Wanted::default())?)
    }

    fn stop(&self, run_id: &str) -> Result<RunState, Refused> {
        Ok(self.stop(run_id)?)
    }

    fn abort(&self, run_id: &str, reason: &str) -> Result<RunState, Refused> {
        Ok(self.abort(run_id, reason)?)
    }

    fn set_rate(&self, run_id: &str, factor: f64) -> Result<RunState, Refused> {
        Ok(self.set_rate(run_id, factor)?)
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        let why = failure.to_string();
        match failure {
            Failure::UnknownRun(_) => Self::Unknown,
            Failure::Refused(orchestrator::Refused::State { state, .. }) => Self::NotNow { state, why },
            Failure::Refused(
                orchestrator::Refused::Busy { .. }
                | orchestrator::Refused::NotCurrent(_)
                | orchestrator::Refused::Led { .. }
                | orchestrator::Refused::Unsupported(_),
            )
            | Failure::Files(_) => Self::Conflict { why },
            Failure::Refused(orchestrator::Refused::NoLog(_) | orchestrator::Refused::ShuttingDown)
            | Failure::Store(_)
            | Failure::Unsaved(_)
            | Failure::Unstamped(_)
            | Failure::Plan(_)
            | Failure::NoAnswer => Self::Unavailable { why },
        }
    }
}
