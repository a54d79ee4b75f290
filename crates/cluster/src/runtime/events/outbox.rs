//! Batches that are not where they are to go yet: oldest first, in memory and then in the spill folder.
//!
//! Invariant: both have a bound. A batch that finds no place is the newest, and the caller counts its rows; one that found
//! a place is kept until it has arrived. The order stays: once a batch had to go into the folder, those after it go there,
//! too, until all before them are on their way.

use std::collections::VecDeque;
use std::time::Duration;

use events::Identity;
use transport::EventBatch;
use uuid::Uuid;

use super::outlet::{Fate, Outlet, Refused, identity};
use super::spill::{Spill, Unread};

/// Bytes of batches that memory holds: half a million rows, several seconds of the fastest drivers.
pub const MEMORY_MAX: usize = 64 << 20;

/// A batch that has not arrived.
struct Entry {
    identity: Identity,
    rows: u32,
    /// Where it is in memory.
    batch: Option<EventBatch>,
    /// Whether the folder has it.
    is_spilled: bool,
    /// Whether the outlet has it.
    is_out: bool,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.batch.as_ref().map_or(0, |batch| batch.bytes.len())
    }
}

/// All that is on its way.
pub struct Outbox {
    entries: VecDeque<Entry>,
    /// Of the batches in memory.
    memory: usize,
    memory_max: usize,
    spill: Option<Spill>,
    /// Entries that the outlet does not have.
    waiting: usize,
    /// Rows that had found a place and were lost, of the life that lost the last ones.
    lost: Option<(Uuid, u64)>,
    /// Whether the last batch that came was given up, so that a drought is told of once.
    is_full: bool,
}

impl Outbox {
    /// With what `spill` has from before.
    pub fn new(spill: Option<Spill>) -> Self {
        Self::with_memory(spill, MEMORY_MAX)
    }

    pub(super) fn with_memory(mut spill: Option<Spill>, memory_max: usize) -> Self {
        let leftovers = spill.as_mut().map(Spill::take_leftovers).unwrap_or_default();
        if !leftovers.is_empty() {
            tracing::info!(batches = leftovers.len(), "raw events of an earlier start are sent now");
        }
        let entries: VecDeque<Entry> = leftovers
            .into_iter()
            .map(|(identity, rows)| Entry { identity, rows, batch: None, is_spilled: true, is_out: false })
            .collect();
        Self { waiting: entries.len(), entries, memory: 0, memory_max, spill, lost: None, is_full: false }
    }

    /// Whether all has arrived.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes a batch in. How many rows were given up: all of them, or none.
    pub fn offer(&mut self, batch: EventBatch) -> u32 {
        let rows = batch.rows;
        let entry = Entry { identity: identity(&batch), rows, batch: None, is_spilled: false, is_out: false };
        let queues_in_folder = self.entries.iter().any(|entry| entry.is_spilled && !entry.is_out);
        let entry = if !queues_in_folder && self.memory + batch.bytes.len() <= self.memory_max {
            self.memory += batch.bytes.len();
            Some(Entry { batch: Some(batch), ..entry })
        } else {
            let is_kept = self.spill.as_mut().is_some_and(|spill| spill.put(&batch));
            is_kept.then_some(Entry { is_spilled: true, ..entry })
        };
        let was_full = std::mem::replace(&mut self.is_full, entry.is_none());
        if self.is_full && !was_full {
            tracing::warn!("no room for raw events: new ones are dropped until older ones are taken");
        }
        match entry {
            Some(entry) => {
                self.entries.push_back(entry);
                self.waiting += 1;
                0
            }
            None => rows,
        }
    }

    /// Hears what became of batches, and hands over as many as the outlet takes.
    pub fn pump(&mut self, outlet: &mut dyn Outlet) {
        while let Some(fate) = outlet.next(Duration::ZERO) {
            self.hear(Some(fate));
        }
        let mut at = 0;
        while self.waiting > 0 && at < self.entries.len() {
            if self.entries[at].is_out {
                at += 1;
                continue;
            }
            match self.load(at) {
                Ok(()) => {}
                Err(Unread::Later) => return,
                Err(Unread::Lost) => {
                    self.lose(at);
                    continue;
                }
            }
            let Some(batch) = &self.entries[at].batch else { return };
            match outlet.send(batch) {
                Ok(()) => self.sent(at),
                Err(Refused::Full) => return,
                Err(Refused::Never(reason)) => {
                    tracing::error!(reason, rows = self.entries[at].rows, "raw events are lost");
                    self.lose(at);
                }
            }
        }
    }

    /// Takes note of what became of a batch.
    pub fn hear(&mut self, fate: Option<Fate>) {
        let Some(fate) = fate else { return };
        let (Fate::Arrived(identity) | Fate::Unknown(identity)) = fate;
        let Some(at) = self.entries.iter().position(|entry| entry.identity == identity) else { return };
        match fate {
            Fate::Arrived(_) => self.remove(at),
            Fate::Unknown(_) => {
                self.waiting += usize::from(self.entries[at].is_out);
                self.entries[at].is_out = false;
            }
        }
    }

    /// Puts what is in memory into the folder, for the next start. How many rows found no place.
    pub fn close(&mut self) -> u64 {
        let mut lost = 0;
        for entry in self.entries.drain(..).filter(|entry| !entry.is_spilled) {
            let kept = entry.batch.zip(self.spill.as_mut()).is_some_and(|(batch, spill)| spill.put(&batch));
            lost += if kept { 0 } else { u64::from(entry.rows) };
        }
        (self.memory, self.waiting) = (0, 0);
        lost
    }

    /// Reads a batch from the folder, unless it is in memory.
    fn load(&mut self, at: usize) -> Result<(), Unread> {
        let entry = &mut self.entries[at];
        if entry.batch.is_none() {
            let spill = self.spill.as_mut().ok_or(Unread::Lost)?;
            entry.batch = Some(spill.get(entry.identity)?);
            self.memory += entry.bytes();
        }
        Ok(())
    }

    /// A batch that found a place, and will not arrive all the same.
    fn lose(&mut self, at: usize) {
        let Entry { identity, rows, .. } = self.entries[at];
        if self.lost.as_ref().is_none_or(|(incarnation, _)| *incarnation != identity.incarnation) {
            self.lost = Some((identity.incarnation, 0));
        }
        if let Some((_, lost)) = &mut self.lost {
            *lost += u64::from(rows);
        }
        self.remove(at);
    }

    /// Rows of batches of that life that had found a place and were lost since the last call.
    pub fn take_lost(&mut self, incarnation: Uuid) -> u64 {
        self.lost.take_if(|(of, _)| *of == incarnation).map_or(0, |(_, lost)| lost)
    }

    /// The outlet has it. What the folder has, too, need not stay in memory.
    fn sent(&mut self, at: usize) {
        let entry = &mut self.entries[at];
        entry.is_out = true;
        self.waiting -= 1;
        if entry.is_spilled {
            self.memory -= entry.bytes();
            entry.batch = None;
        }
    }

    fn remove(&mut self, at: usize) {
        let Some(entry) = self.entries.remove(at) else { return };
        self.memory -= entry.bytes();
        self.waiting -= usize::from(!entry.is_out);
        if let Some(spill) = self.spill.as_mut().filter(|_| entry.is_spilled) {
            spill.remove(entry.identity);
        }
    }
}
