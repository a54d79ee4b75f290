//! What a worker is told while it runs.
//!
//! A worker looks at two words per turn of its loop, the lease and the version, and takes the lock only when the version
//! has changed. Nothing else leads into a running worker.

use std::mem;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use plan::{LaneSet, Rate};

use crate::io;
use crate::peer::Peer;
use crate::source::Timetable;

/// Commands that were not read yet, at most: they come a few per minute and are read within a second. A worker that is
/// so far behind does not run, and is stopped by its lease.
const COMMANDS_MAX: usize = 1024;

/// Something that changes what a worker does. Times are run times.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    Lanes {
        from_ns: u64,
        lanes: LaneSet,
    },
    Timetable {
        from_ns: u64,
        timetable: Timetable,
    },
    Limit {
        from_ns: u64,
        rate: Rate,
    },
    Stop,
    Abort,
    Release,
    /// The peers of a pool from now on; `None` when a look-up failed. With the ticket of whoever asked.
    Peers {
        pool: u16,
        ticket: Option<u32>,
        peers: Option<Arc<[Peer]>>,
    },
}

/// One worker's mailbox. On cache lines of its own, since the worker writes `sent` with every turn.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Mailbox {
    /// By the boot clock, so that it ends in time on a machine that slept.
    lease_boot_ns: AtomicU64,
    version: AtomicU32,
    commands: Mutex<Vec<Command>>,
    waker: Arc<OwnedFd>,
    sent: AtomicU64,
}

impl Mailbox {
    pub(crate) fn new(waker: Arc<OwnedFd>) -> Self {
        Self {
            lease_boot_ns: AtomicU64::new(0),
            version: AtomicU32::new(0),
            commands: Mutex::new(Vec::new()),
            waker,
            sent: AtomicU64::new(0),
        }
    }

    pub(crate) fn send(&self, command: Command) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        if commands.len() < COMMANDS_MAX {
            commands.push(command);
        } else {
            tracing::error!(?command, "engine thread does not read its commands, dropped");
        }
        drop(commands);
        self.version.fetch_add(1, Ordering::Release);
        io::wake(&self.waker);
    }

    pub(crate) fn version(&self) -> u32 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn take(&self) -> Vec<Command> {
        mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A shorter lease wakes the worker; of a longer one it learns when the old one would have ended.
    pub(crate) fn set_lease(&self, until_boot_ns: u64) {
        let before = self.lease_boot_ns.swap(until_boot_ns, Ordering::Relaxed);
        if until_boot_ns < before {
            io::wake(&self.waker);
        }
    }

    pub(crate) fn lease_boot_ns(&self) -> u64 {
        self.lease_boot_ns.load(Ordering::Relaxed)
    }

    /// Only the worker calls this, so that a plain store is enough.
    pub(crate) fn publish_sent(&self, sent: u64) {
        self.sent.store(sent, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}
