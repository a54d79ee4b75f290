//! Group commit: what many connections wait for is stored by one call of the sink.
//!
//! While a group is being committed, the next one fills up; whoever put something into a group waits for its outcome.
//! Invariant: everybody who waits is told, even when the sink panics; a group that is full takes nothing more.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use events::{Batch, Identity};

/// What is stored together.
#[derive(Debug, Default)]
pub struct Group {
    /// Events, of one run and worker each batch. Those of drivers have an identity: what was stored before under it is
    /// not to be stored again. No two of a group have the same.
    pub batches: Vec<Batch>,
    /// Entries that mean nothing, for whoever looks for them later. Of a call with many of them only the first 100.
    pub set_aside: Vec<SetAside>,
}

/// An entry that means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Who sent it.
    pub peer: SocketAddr,
    /// Which call of the connection, from 1.
    pub call: u64,
    /// Which entry of the call, from 0.
    pub entry: usize,
    /// Its category.
    pub category: String,
    /// What is wrong with it.
    pub reason: String,
    /// Its message, or the first 4 KiB of it.
    pub message: Vec<u8>,
}

/// Collects groups, for one thread that commits them.
pub struct Groups {
    open: Mutex<Open>,
    changed: Condvar,
    limit: usize,
}

#[derive(Default)]
struct Open {
    group: Group,
    /// The batches in the group that have an identity.
    identities: HashSet<(String, String, Identity)>,
    bytes: usize,
    outcome: Arc<Outcome>,
    closed: bool,
}

impl Groups {
    /// Groups that take nothing more once they have `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { open: Mutex::default(), changed: Condvar::new(), limit }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to the open group; `None` when it is full, or nobody commits any more.
    pub fn put(&self, group: Group) -> Option<Arc<Outcome>> {
        let batches = group.batches.iter().map(|batch| batch.rows.get_array_memory_size());
        let bytes =
            batches.sum::<usize>() + group.set_aside.iter().map(|aside| aside.message.len()).sum::<usize>();
        let mut open = self.lock();
        if open.closed || open.bytes >= self.limit {
            return None;
        }
        open.bytes += bytes;
        for batch in group.batches {
            // A driver that gave up waiting for the answer sends the batch again while it is still on its way.
            let identity =
                batch.identity.map(|identity| (batch.run_id.clone(), batch.worker_id.clone(), identity));
            if identity.is_none_or(|identity| open.identities.insert(identity)) {
                open.group.batches.push(batch);
            }
        }
        open.group.set_aside.extend(group.set_aside);
        self.changed.notify_one();
        Some(open.outcome.clone())
    }

    /// Waits for a group with something in it, and opens another. `None` when closed and all groups were taken.
    pub fn take(&self) -> Option<(Group, Pending)> {
        let mut open = self.lock();
        loop {
            if !(open.group.batches.is_empty() && open.group.set_aside.is_empty()) {
                let next = Open { closed: open.closed, ..Open::default() };
                let Open { group, outcome, .. } = std::mem::replace(&mut *open, next);
                return Some((group, Pending(outcome)));
            }
            if open.closed {
                return None;
            }
            open = self.changed.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes nothing more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// What became of a group.
#[derive(Debug, Default)]
pub struct Outcome {
    stored: Mutex<Option<bool>>,
    changed: Condvar,
}

impl Outcome {
    /// Waits until it is known whether the group is stored.
    pub fn wait(&self) -> bool {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(stored) = *stored {
                return stored;
            }
            stored = self.changed.wait(stored).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn set(&self, stored: bool) {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(stored);
        self.changed.notify_all();
    }
}

/// A group that is being committed; not stored unless that is said.
#[derive(Debug)]
pub struct Pending(Arc<Outcome>);

impl Pending {
    /// Tells those who wait that the group is stored.
    pub fn stored(self) {
        self.0.set(true);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use events::Builder;
    use uuid::Uuid;

    use super::*;

    fn group(number: Option<u64>) -> Group {
        let identity = number.map(|number| Identity { incarnation: Uuid::from_u128(1), number });
        let (run_id, worker_id) = ("run".to_owned(), "worker".to_owned());
        let rows = Builder::new().finish();
        Group { batches: vec![Batch { run_id, worker_id, identity, rows }], set_aside: Vec::new() }
    }

    #[test]
    fn what_comes_between_two_commits_is_one_group() {
        let groups = Groups::new(64 << 20);
        let outcomes: Vec<_> = (0..20).map(|_| groups.put(group(None)).unwrap()).collect();
        let (taken, pending) = groups.take().unwrap();
        assert_eq!(taken.batches.len(), 20);
        let later = groups.put(group(None)).unwrap();
        pending.stored();
        assert!(outcomes.iter().all(|outcome| outcome.wait()));
        let (taken, pending) = groups.take().unwrap();
        assert_eq!(taken.batches.len(), 1);
        drop(pending);
        assert!(!later.wait(), "not said to be stored");
    }

    #[test]
    fn a_batch_that_comes_twice_is_in_its_group_once_and_both_senders_are_told() {
        let groups = Groups::new(64 << 20);
        let outcomes = [3, 4, 3].map(|number| groups.put(group(Some(number))).unwrap());
        let (taken, pending) = groups.take().unwrap();
        assert_eq!(taken.batches.len(), 2);
        pending.stored();
        assert!(outcomes.iter().all(|outcome| outcome.wait()));
    }

    #[test]
    fn a_full_group_takes_nothing_and_a_closed_one_is_still_given_out() {
        let groups = Groups::new(1);
        assert!(groups.put(group(None)).is_some());
        assert!(groups.put(group(None)).is_none(), "full");
        groups.close();
        assert!(groups.take().is_some());
        assert!(groups.take().is_none());
        assert!(groups.put(group(None)).is_none(), "closed");
    }

    #[test]
    fn taking_waits_until_something_is_there() {
        let groups = Groups::new(64 << 20);
        thread::scope(|scope| {
            let taken = scope.spawn(|| groups.take().map(|(group, _)| group.batches.len()));
            assert!(!groups.put(group(None)).unwrap().wait());
            assert_eq!(taken.join().unwrap(), Some(1));
        });
    }
}
