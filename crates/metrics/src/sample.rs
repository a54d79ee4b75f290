//! One request, noted down for whoever keeps raw events: a record of fixed size, through a bounded ring.
//!
//! ```text
//! engine thread   Recorder ── Tap ──► ring ──► Samples   another thread, which takes them when it can
//! ```
//!
//! Invariant: the thread that writes neither waits nor allocates. What finds no room is dropped and counted, so that
//! `produced = taken + dropped` whatever the reader does. Deliberately absent: names, which the reader knows, and the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use plan::{Events, StageId, StepId};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::{Outcome, Times};

/// What went over a connection for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exchange {
    /// Status of the answer, whether the plan accepted it or not; 0 where there was none.
    pub status: u16,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

/// One request that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Its times.
    pub times: Times,
    /// Bytes received; those beyond 4 GiB are left out.
    pub bytes_in: u32,
    /// Bytes sent, likewise.
    pub bytes_out: u32,
    /// Its row.
    pub step: StepId,
    /// The stage of its arrival.
    pub stage: StageId,
    /// What became of it.
    pub outcome: Outcome,
    /// Status of the answer; 0 where there was none.
    pub status: u16,
    /// Whether it left. One that did not has no time but its response time.
    pub was_sent: bool,
}

/// How many raw events a run made, and how many of them were given up on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventCounts {
    /// Requests that the plan asks a raw event of.
    pub produced: u64,
    /// Those among them that no store will have.
    pub dropped: u64,
}

impl EventCounts {
    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        self.produced = self.produced.saturating_add(other.produced);
        self.dropped = self.dropped.saturating_add(other.dropped);
    }
}

/// Which requests are noted down.
#[derive(Debug)]
enum Choice {
    All,
    Errors,
    /// Those whose random number is not above the threshold.
    Sample {
        state: u64,
        threshold: u64,
    },
}

/// The writing end. One engine thread has it.
#[derive(Debug)]
pub struct Tap {
    choice: Choice,
    ring: Producer<Sample>,
    dropped: Arc<AtomicU64>,
}

/// The reading end.
#[derive(Debug)]
pub struct Samples {
    ring: Consumer<Sample>,
    dropped: Arc<AtomicU64>,
    taken: u64,
}

/// A ring for `room` samples of the requests that `events` asks for; `None` where it asks for none. The random numbers of a
/// sample are made of `seed`, which no other thread of the run should have.
pub fn tap(events: Events, seed: u64, room: usize) -> Option<(Tap, Samples)> {
    let choice = match events {
        Events::All => Choice::All,
        Events::Errors => Choice::Errors,
        Events::Sample(chance) => Choice::Sample { state: plan::mix(seed), threshold: chance.threshold() },
        Events::None => return None,
    };
    let (writer, reader) = RingBuffer::new(room);
    let dropped: Arc<AtomicU64> = Arc::default();
    let tap = Tap { choice, ring: writer, dropped: Arc::clone(&dropped) };
    Some((tap, Samples { ring: reader, dropped, taken: 0 }))
}

impl Tap {
    /// Notes a request down if it is asked for.
    #[inline]
    pub(crate) fn note(
        &mut self,
        (step, stage): (StepId, StageId),
        times: &Times,
        outcome: Outcome,
        exchange: Exchange,
        was_sent: bool,
    ) {
        if !self.chooses(outcome) {
            return;
        }
        let bytes = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let sample = Sample {
            times: *times,
            bytes_in: bytes(exchange.bytes_in),
            bytes_out: bytes(exchange.bytes_out),
            step,
            stage,
            outcome,
            status: exchange.status,
            was_sent,
        };
        if self.ring.push(sample).is_err() {
            self.drop_one();
        }
    }

    #[inline]
    fn chooses(&mut self, outcome: Outcome) -> bool {
        match &mut self.choice {
            Choice::All => true,
            Choice::Errors => !outcome.is_success(),
            Choice::Sample { state, threshold } => {
                *state = state.wrapping_add(1);
                plan::mix(*state) <= *threshold
            }
        }
    }

    /// Only this thread writes the count, so it needs no locked instruction.
    #[cold]
    fn drop_one(&mut self) {
        let dropped = self.dropped.load(Ordering::Relaxed);
        self.dropped.store(dropped + 1, Ordering::Relaxed);
    }
}

impl Samples {
    /// Hands over what is there, oldest first, `most` at most. How many that were.
    pub fn take(&mut self, most: usize, mut with: impl FnMut(&Sample)) -> usize {
        let there = self.ring.slots().min(most);
        let Ok(chunk) = self.ring.read_chunk(there) else { return 0 };
        let (first, second) = chunk.as_slices();
        first.iter().chain(second).for_each(&mut with);
        chunk.commit_all();
        self.taken += there as u64;
        there
    }

    /// What was dropped because the ring was full. Exact once the engine thread has ended.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// What was asked for, as far as it was taken or dropped: all of it once the engine thread has ended and nothing is
    /// left to take.
    pub fn produced(&self) -> u64 {
        self.taken.saturating_add(self.dropped())
    }
}
