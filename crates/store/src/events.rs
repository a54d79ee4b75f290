//! Where raw events go, each once: what a store of events does, whichever kind it is.
//!
//! A collector claims partitions, stores what it reads from them, and with every transaction moves the partition's
//! position. Invariant: the rows of a batch, the note of its identity and the position after it are stored together or
//! not at all, so that whoever goes on from the position leaves nothing out and has nothing twice. Deliberately absent:
//! the log, which `cluster` reads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use events::Batch;

use crate::Error;

/// A store of raw events, to be used by one thread.
///
/// Two implementations: a data folder and PostgreSQL.
pub trait EventStore: Send {
    /// Takes and renews the leases on partitions of `topic`, which has `partitions` of them, and says which of them are
    /// this collector's now: its fair share among the collectors that are alive. To be called about once a second. A
    /// data folder has one collector, which owns them all.
    ///
    /// `topic` names the topic among all that are or were: the cluster's id, a slash, its name.
    fn claim(&mut self, topic: &str, partitions: i32) -> Result<Vec<Claimed>, Error>;

    /// Tells the other collectors of `topic` how this one stands, and says how they do: those whose lease has not ended,
    /// by name. To be called after [`EventStore::claim`]. A data folder has no others.
    fn meet(&mut self, topic: &str, own: &Peer) -> Result<Vec<Peer>, Error>;

    /// How much this store likes to take at once.
    fn portion(&self) -> Portion;

    /// Stores in one transaction the batches that are new, their identities, and the positions after them. The spans are
    /// of different partitions.
    ///
    /// # Errors
    /// [`Error::Moved`] when a partition is not this collector's any more or stands elsewhere than its `from`: claim, and
    /// read again from there. Whatever the error, nothing is stored, but for a connection that broke during the commit:
    /// then nobody knows, and `Moved` will tell.
    fn store(&mut self, spans: &[Span], batches: &[Batch]) -> Result<Stored, Error>;

    /// Stores batches that did not come from the log; they are there when it returns.
    fn store_loose(&mut self, batches: &[Batch]) -> Result<Stored, Error>;

    /// Sets aside a record that cannot be understood, and moves the position past it, in one transaction.
    ///
    /// # Errors
    /// As [`EventStore::store`].
    fn set_aside(&mut self, span: &Span, poison: &Poison) -> Result<(), Error>;

    /// Sets aside an event that cannot be understood and did not come from the log; `origin` says who sent it.
    fn set_aside_loose(&mut self, origin: &str, poison: &Poison) -> Result<(), Error>;

    /// Gives the leases back, so that others need not wait for their end.
    fn release(&mut self);
}

/// A store of events that several threads use, one at a time.
#[derive(Clone)]
pub struct SharedEvents(Arc<Mutex<Box<dyn EventStore>>>);

impl SharedEvents {
    /// Shares `store`.
    pub fn new(store: Box<dyn EventStore>) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }

    /// A transaction that a panic ended has left nothing half done.
    fn locked(&self) -> MutexGuard<'_, Box<dyn EventStore>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventStore for SharedEvents {
    fn claim(&mut self, topic: &str, partitions: i32) -> Result<Vec<Claimed>, Error> {
        self.locked().claim(topic, partitions)
    }

    fn meet(&mut self, topic: &str, own: &Peer) -> Result<Vec<Peer>, Error> {
        self.locked().meet(topic, own)
    }

    fn portion(&self) -> Portion {
        self.locked().portion()
    }

    fn store(&mut self, spans: &[Span], batches: &[Batch]) -> Result<Stored, Error> {
        self.locked().store(spans, batches)
    }

    fn store_loose(&mut self, batches: &[Batch]) -> Result<Stored, Error> {
        self.locked().store_loose(batches)
    }

    fn set_aside(&mut self, span: &Span, poison: &Poison) -> Result<(), Error> {
        self.locked().set_aside(span, poison)
    }

    fn set_aside_loose(&mut self, origin: &str, poison: &Poison) -> Result<(), Error> {
        self.locked().set_aside_loose(origin, poison)
    }

    fn release(&mut self) {
        self.locked().release();
    }
}

/// What is stored together: so many rows, or those that came within that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portion {
    /// Rows.
    pub rows: usize,
    /// Time since the first of them was read.
    pub wait: Duration,
}

/// A partition that this collector may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// Its number.
    pub partition: i32,
    /// The offset to read next; `None` when it has never been read.
    pub next_offset: Option<i64>,
}

/// How a collector stands, as it tells the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Partitions that it reads.
    pub partitions: u32,
    /// Rows that it stored since it began.
    pub rows: u64,
    /// Records of its partitions that are not stored.
    pub lag_batches: i64,
    /// Age of the oldest of them, in milliseconds.
    pub lag_ms: i64,
    /// What an operator should know of.
    pub trouble: Option<String>,
}

/// The part of a partition that a transaction takes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// As in [`EventStore::claim`].
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The position before it, as it was claimed or last stored.
    pub from: Option<i64>,
    /// The position after it.
    pub next_offset: i64,
}

/// A record that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    /// Its offset.
    pub offset: i64,
    /// What is wrong with it.
    pub reason: String,
    /// Its value, or the beginning of it.
    pub value: Vec<u8>,
}

/// What became of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stored {
    /// Rows that were new.
    pub rows: u64,
    /// Rows of batches that had been stored before.
    pub duplicates: u64,
}

/// A position in words.
pub(crate) fn shown(position: Option<i64>) -> String {
    position.map_or_else(|| "its beginning".to_owned(), |offset| format!("offset {offset}"))
}
