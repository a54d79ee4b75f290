//! Raw events of a driver: from the rings of the engine's threads to whoever keeps them.
//!
//! ```text
//! engine-N ─► ring ─┐            8,192 rows,          memory, then     the log,
//! engine-N ─► ring ─┴─ Batcher ─ 250 ms or 512 KiB ─► Outbox, Spill ─► Outlet, or Scribe
//! ```
//!
//! All of it is one thread, `events`, below the engine's in priority. Invariant: nobody who measures waits for it; what is
//! given up on the way is the newest, and is counted. Deliberately absent: how batches travel, which the outlet knows.

mod batcher;
mod outlet;
mod outbox;
mod scribe;
mod spill;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use clock::{BrokerTime, Instant};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use metrics::{EventCounts, Samples};
use plan::Plan;
use transport::EventBatch;
use uuid::Uuid;

use batcher::Batcher;
use outbox::Outbox;

pub use self::scribe::Scribe;
pub use outlet::{Fate, Log, Outlet, Refused};
pub use spill::{Spill, SpillError};

/// Between two looks at the rings and at the outlet.
const TURN: Duration = Duration::from_millis(20);
/// The least urgent of the driver's threads, with `engine-merge`.
const NICENESS: i32 = 5;
/// How long a driver that exits waits for batches to be taken.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// Runs that may be begun or ended before the thread hears of it: it hears in milliseconds.
const ORDERS_MAX: usize = 16;

/// A run whose raw events are to be kept.
pub struct Begin {
    /// The run.
    pub test_id: String,
    /// Its plan, for the names of rows and stages.
    pub plan: Arc<Plan>,
    /// What makes its batches unlike those of other drivers, and of this one in another life.
    pub incarnation: Uuid,
    /// Of the command that started it.
    pub epoch: i64,
    /// Second 0 of the run.
    pub began: BrokerTime,
    /// Of each engine thread.
    pub samples: Vec<Samples>,
}

enum Order {
    Begin(Box<Begin>),
    /// The engine's threads have ended: nothing more comes. Answered with the counts.
    End,
    /// The driver exits.
    Close,
}

/// The thread `events`, as the rest of the driver sees it.
pub struct Events {
    orders: Sender<Order>,
    counts: Receiver<EventCounts>,
    /// Of the current run.
    dropped: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Events {
    /// Starts the thread of the driver `node_id`. What `spill` still holds is sent first.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        node_id: String,
        outlet: Box<dyn Outlet>,
        spill: Option<Spill>,
    ) -> Result<Self, std::io::Error> {
        let (orders, receiver) = bounded(ORDERS_MAX);
        let (counts, counted) = bounded(ORDERS_MAX);
        let dropped: Arc<AtomicU64> = Arc::default();
        let keeper = Keeper {
            node_id,
            outlet,
            outbox: Outbox::new(spill),
            number: 0,
            run: None,
            dropped: Arc::clone(&dropped),
            counts,
        };
        let thread =
            std::thread::Builder::new().name("events".to_owned()).spawn(move || keeper.run(&receiver))?;
        Ok(Self { orders, counts: counted, dropped, thread: Some(thread) })
    }

    /// Takes the raw events of a run from now on.
    pub fn begin(&self, begin: Begin) {
        self.tell(Order::Begin(Box::new(begin)));
    }

    /// The engine of the run has ended; [`Events::counts`] gives its counts soon.
    pub fn end(&self) {
        self.tell(Order::End);
    }

    /// The counts of a run that ended; `None` until they are known. What waits to be sent then is in no danger but that of
    /// this process.
    pub fn counts(&self) -> Option<Option<EventCounts>> {
        match self.counts.try_recv() {
            Ok(counts) => Some(Some(counts)),
            Err(crossbeam_channel::TryRecvError::Empty) => None,
            // The thread is gone, and with it what it knew.
            Err(crossbeam_channel::TryRecvError::Disconnected) => Some(None),
        }
    }

    /// Raw events of the current run that were given up so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn tell(&self, order: Order) {
        if self.orders.send(order).is_err() {
            tracing::error!("the thread for raw events is gone");
        }
    }
}

impl Drop for Events {
    /// Waits a while for what was not taken yet.
    fn drop(&mut self) {
        self.tell(Order::Close);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread for raw events panicked");
        }
    }
}

/// What the thread owns.
struct Keeper {
    node_id: String,
    outlet: Box<dyn Outlet>,
    outbox: Outbox,
    /// Of the next batch. Counts on from run to run.
    number: u64,
    run: Option<Run>,
    dropped: Arc<AtomicU64>,
    counts: Sender<EventCounts>,
}

/// A run under way.
struct Run {
    batcher: Batcher,
    test_id: String,
    incarnation: Uuid,
    epoch: i64,
    samples: Vec<Samples>,
    /// Rows of batches that found no place.
    given_up: u64,
}

impl Run {
    fn counts(&self) -> EventCounts {
        let sum = |of: fn(&Samples) -> u64| self.samples.iter().map(of).sum::<u64>();
        EventCounts { produced: sum(Samples::produced), dropped: sum(Samples::dropped) + self.given_up }
    }
}

impl Keeper {
    fn run(mut self, orders: &Receiver<Order>) {
        // The engine comes first where cores are few.
        if let Err(error) = rustix::process::nice(NICENESS) {
            tracing::debug!(%error, "cannot lower the priority of raw events");
        }
        loop {
            let is_idle = self.run.is_none() && self.outbox.is_empty();
            let order = match is_idle {
                true => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => orders.recv_timeout(TURN),
            };
            match order {
                Ok(Order::Begin(begin)) => self.begin(*begin),
                Ok(Order::End) => self.end(),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::Close) | Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
            self.turn(false);
        }
    }

    fn begin(&mut self, begin: Begin) {
        let Begin { test_id, plan, incarnation, epoch, began, samples } = begin;
        self.dropped.store(0, Ordering::Relaxed);
        let batcher = Batcher::new(&plan, began);
        self.run = Some(Run { batcher, test_id, incarnation, epoch, samples, given_up: 0 });
    }

    fn end(&mut self) {
        self.turn(true);
        let counts = self.run.take().map_or_else(EventCounts::default, |run| run.counts());
        if counts.dropped > 0 {
            tracing::warn!(dropped = counts.dropped, produced = counts.produced, "raw events were dropped");
        }
        // The driver that asked is there until it exits.
        self.counts.send(counts).ok();
    }

    /// Takes what is in the rings, and hands over what can be. `is_last` closes the open batch.
    fn turn(&mut self, is_last: bool) {
        if let Some(mut run) = self.run.take() {
            let now = clock::now();
            for place in 0..run.samples.len() {
                self.empty(&mut run, place, now);
            }
            if is_last || run.batcher.is_due(now) {
                self.pack(&mut run);
            }
            self.run = Some(run);
        }
        self.outbox.pump(self.outlet.as_mut());
        if let Some(run) = &mut self.run {
            run.given_up += self.outbox.take_lost(run.incarnation);
            self.dropped.store(run.counts().dropped, Ordering::Relaxed);
        }
    }

    /// Takes what is in one ring. Handing over goes on meanwhile: it may be much.
    fn empty(&mut self, run: &mut Run, place: usize, now: Instant) {
        loop {
            let Run { batcher, samples, .. } = &mut *run;
            if samples[place].take(batcher.room(), |sample| batcher.push(sample, now)) == 0 {
                return;
            }
            if batcher.is_full() {
                self.pack(run);
                self.outbox.pump(self.outlet.as_mut());
            }
        }
    }

    /// Makes a batch of the rows so far.
    fn pack(&mut self, run: &mut Run) {
        let Some((rows, bytes)) = run.batcher.finish() else { return };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(%error, rows, "raw events could not be written down");
                run.given_up += u64::from(rows);
                return;
            }
        };
        let batch = EventBatch {
            test_id: run.test_id.clone(),
            node_id: self.node_id.clone(),
            incarnation: run.incarnation,
            epoch: run.epoch,
            number: self.number,
            rows,
            bytes,
        };
        self.number += 1;
        run.given_up += u64::from(self.outbox.offer(batch));
    }

    /// Waits a while for what is under way, and leaves the rest for the next start.
    fn close(mut self) {
        // Of a run that is not over, what is there.
        self.turn(true);
        let deadline = clock::now() + CLOSE_WAIT;
        while !self.outbox.is_empty() && clock::now() < deadline {
            self.outbox.pump(self.outlet.as_mut());
            self.outbox.hear(self.outlet.next(TURN));
        }
        let lost = self.outbox.close();
        if lost > 0 {
            tracing::error!(rows = lost, "nobody took the last raw events: they are lost");
        }
    }
}

#[cfg(test)]
mod tests;
