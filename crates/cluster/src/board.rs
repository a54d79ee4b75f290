//! The board: what control and collector write, and viewers read.
//!
//! Invariant: the lock is held for the time of a copy or of one merge, never while waiting for anybody, so viewers
//! cannot hold up a run. Deliberately absent: runs that are over, but the last one; they are in the store.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::collector::Gathering;
use crate::result::{Ending, RunResult};
use crate::view::{DriverView, RunView, Storage, Tick, TimelineEvent};

/// Events kept of one run; a run with more has a problem that the first ones tell.
const MAX_EVENTS: usize = 2_000;

/// What viewers see.
#[derive(Debug, Default)]
pub(crate) struct Board {
    content: Mutex<Content>,
    changed: Condvar,
}

/// Everything on the board.
#[derive(Debug, Default)]
pub(crate) struct Content {
    version: u64,
    pub(crate) fleet: Vec<DriverView>,
    pub(crate) current: Option<Current>,
    pub(crate) storage: Storage,
}

/// The run under way, or the last one.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) view: RunView,
    pub(crate) gathering: Gathering,
    pub(crate) ending: Option<Ending>,
}

impl Current {
    pub(crate) fn note(&mut self, event: TimelineEvent) {
        if self.view.events.len() < MAX_EVENTS {
            self.view.events.push(event);
        }
    }

    /// Drivers whose report of a second is waited for before the second is shown.
    pub(crate) fn expected(&self) -> BTreeSet<String> {
        let drivers = self.view.drivers.iter().filter(|driver| {
            !driver.foreign && matches!(driver.state, "running" | "draining" | "suspect" | "finished")
        });
        drivers.map(|driver| driver.node_id.clone()).collect()
    }
}

impl Board {
    /// Reads or writes the content without telling anybody.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Content) -> T) -> T {
        look(&mut self.lock())
    }

    /// Changes the content and wakes those who wait for a change.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Content) -> T) -> T {
        let mut content = self.lock();
        let result = change(&mut content);
        content.version += 1;
        self.changed.notify_all();
        result
    }

    /// Waits until the version is not `seen`, at most `patience`; the version then.
    pub(crate) fn wait_change(&self, seen: u64, patience: Duration) -> u64 {
        let content = self.lock();
        let waited = self.changed.wait_timeout_while(content, patience, |content| content.version == seen);
        waited.unwrap_or_else(PoisonError::into_inner).0.version
    }

    /// Why results cannot be stored at the moment.
    pub(crate) fn results_fault(&self) -> Option<String> {
        self.look(|content| content.storage.results_fault.as_ref().map(|fault| fault.why.clone()))
    }

    pub(crate) fn ticks(&self, run_id: &str) -> Vec<Arc<Tick>> {
        self.look(|content| match content.current_of(run_id) {
            Some(current) => current.gathering.ticks().iter().cloned().collect(),
            None => Vec::new(),
        })
    }

    /// The result so far of a run, if it is the one under way or the last one.
    pub(crate) fn result(&self, run_id: &str) -> Option<RunResult> {
        let (view, merged, ending) = self.look(|content| {
            content.current_of(run_id).map(|current| {
                (current.view.clone(), current.gathering.merged().clone(), current.ending.clone())
            })
        })?;
        Some(RunResult::new(view, merged, ending.as_ref()))
    }

    // A thread that panicked with the lock held has left whole values behind: every change is an assignment or a push.
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    pub(crate) fn current_of(&mut self, run_id: &str) -> Option<&mut Current> {
        self.current.as_mut().filter(|current| current.view.run_id == run_id)
    }
}
