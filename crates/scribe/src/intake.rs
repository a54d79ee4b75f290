//! The entries of a call as what is to be stored.
//!
//! Invariant: every entry becomes rows, or is ignored, or is set aside with its reason; one that means nothing holds up no
//! other. Order is kept within a run and worker.

use std::net::SocketAddr;

use events::{Batch, Builder, MAX_ROWS};

use crate::batch;
use crate::event::{self, Event};
use crate::group::{Group, SetAside};
use crate::message::{Entries, Entry};

/// Workers of a call at most: each costs a batch of its own, some kilobytes.
const WORKERS: usize = 1024;

/// Of a call, how many entries that mean nothing are kept; the others are only counted.
const KEPT_ASIDE: usize = 100;

/// What is kept of an entry that means nothing, in bytes.
const KEPT_BYTES: usize = 4096;

/// Which categories are taken, besides that of drivers' batches, [`batch::CATEGORY`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Categories {
    /// All of them: what a message means is in the message.
    #[default]
    All,
    /// Only these.
    Named(Vec<String>),
}

impl Categories {
    fn has(&self, category: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|name| name.as_bytes() == category),
        }
    }
}

/// A call, read.
#[derive(Debug, Default)]
pub struct Taken {
    pub group: Group,
    /// JSON events.
    pub events: u64,
    /// Batches of drivers.
    pub batches: u64,
    pub ignored: u64,
    /// More than are in the group when they are many.
    pub set_aside: u64,
}

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    pub peer: SocketAddr,
    /// Which call of the connection, from 1.
    pub call: u64,
}

/// Reads the entries of a call. `builder` is empty before and after.
pub fn take(entries: Entries<'_>, caller: Caller, categories: &Categories, builder: &mut Builder) -> Taken {
    let mut taken = Taken::default();
    let mut events = Vec::new();
    for (at, entry) in entries.enumerate() {
        if entry.category == batch::CATEGORY.as_bytes() {
            match batch::read(entry.message) {
                Ok(batch) => {
                    taken.batches += 1;
                    taken.group.batches.push(batch);
                }
                Err(fault) => taken.set_aside(caller, at, entry, &fault),
            }
        } else if !categories.has(entry.category) {
            taken.ignored += 1;
        } else {
            match event::read(entry.message) {
                Ok(event) => events.push((at, entry, event)),
                Err(fault) => taken.set_aside(caller, at, entry, &fault),
            }
        }
    }
    // Mostly all are of one worker, and this is a single pass.
    events.sort_by(|(.., one), (.., other)| worker(one).cmp(&worker(other)));
    for (nth, events) in events.chunk_by(|(.., one), (.., next)| worker(one) == worker(next)).enumerate() {
        if nth < WORKERS {
            taken.events += events.len() as u64;
            events.chunks(MAX_ROWS).for_each(|events| taken.group.batches.extend(columns(events, builder)));
        } else {
            let reason = format!("more than {WORKERS} workers in one call");
            events.iter().for_each(|(at, entry, _)| taken.set_aside(caller, *at, *entry, &reason));
        }
    }
    taken
}

type Found<'a> = (usize, Entry<'a>, Event<'a>);

fn worker<'e>(event: &'e Event<'_>) -> (&'e str, &'e str) {
    (&event.run_id, &event.worker_id)
}

/// A batch of at most [`MAX_ROWS`] events of one worker.
fn columns(events: &[Found<'_>], builder: &mut Builder) -> Option<Batch> {
    let (.., first) = events.first()?;
    for (.., event) in events {
        builder.push(&event.row()).ok()?;
    }
    let (run_id, worker_id) = (first.run_id.clone().into_owned(), first.worker_id.clone().into_owned());
    Some(Batch { run_id, worker_id, identity: None, rows: builder.finish() })
}

impl Taken {
    fn set_aside(&mut self, caller: Caller, at: usize, entry: Entry<'_>, reason: &impl ToString) {
        self.set_aside += 1;
        if self.group.set_aside.len() < KEPT_ASIDE {
            self.group.set_aside.push(SetAside {
                peer: caller.peer,
                call: caller.call,
                entry: at,
                category: String::from_utf8_lossy(beginning(entry.category)).into_owned(),
                reason: reason.to_string(),
                message: beginning(entry.message).to_vec(),
            });
        }
    }
}

fn beginning(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(KEPT_BYTES)]
}
