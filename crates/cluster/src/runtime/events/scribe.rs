//! A Scribe server as the place where batches go: a thread calls it, and waits for it.
//!
//! Invariant: what was taken is sent until the server says that it is stored; order stays.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use events::{Batch, Identity};
use scribe::{Address, Client, SendError};
use transport::EventBatch;

use super::outlet::{Fate, Outlet, Refused, identity};

/// Batches that wait for the thread: 32 MiB of the largest.
const MAX_WAITING: usize = 64;
/// Batches of one call: 4 MiB of the largest, in base64 well below what a server reads.
const MAX_IN_CALL: usize = 8;
/// How long one call is tried before the thread looks whether anybody waits for it.
const PATIENCE: Duration = Duration::from_secs(2);
/// After a refusal that is not for want of time.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends batches to a Scribe server.
pub struct Scribe {
    /// Gone when it is dropped, so that the thread ends.
    batches: Option<Sender<EventBatch>>,
    arrived: Receiver<Identity>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Scribe {
    /// Sends to the server at `address`, which need not be there yet.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(address: Address) -> Result<Self, io::Error> {
        let (batches, to_send) = bounded(MAX_WAITING);
        let (told, arrived) = bounded(MAX_WAITING + MAX_IN_CALL);
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let run = move || run(&mut Client::new(address), &to_send, &told, &over);
        let thread = thread::Builder::new().name("scribe".to_owned()).spawn(run)?;
        Ok(Self { batches: Some(batches), arrived, is_over, thread: Some(thread) })
    }
}

impl Outlet for Scribe {
    fn send(&mut self, batch: &EventBatch) -> Result<(), Refused> {
        let Some(batches) = &self.batches else { return Err(Refused::Full) };
        batches.try_send(batch.clone()).map_err(|error| match error {
            TrySendError::Full(_) => Refused::Full,
            TrySendError::Disconnected(_) => Refused::Never("the thread for Scribe is gone".to_owned()),
        })
    }

    fn next(&mut self, wait: Duration) -> Option<Fate> {
        self.arrived.recv_timeout(wait).ok().map(Fate::Arrived)
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        drop(self.batches.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread for Scribe panicked");
        }
    }
}

/// `is_over` once the driver waits for nothing more.
fn run(
    client: &mut Client,
    to_send: &Receiver<EventBatch>,
    arrived: &Sender<Identity>,
    is_over: &AtomicBool,
) {
    while let Ok(first) = to_send.recv() {
        let mut waiting = vec![first];
        waiting.extend(to_send.try_iter().take(MAX_IN_CALL - 1));
        let (identities, batches): (Vec<_>, Vec<_>) = waiting.into_iter().filter_map(decoded).unzip();
        let mut was_told = false;
        while let Err(error) = client.send(&batches, PATIENCE) {
            if !std::mem::replace(&mut was_told, true) {
                tracing::warn!(%error, "raw events wait");
            }
            if is_over.load(Ordering::Relaxed) {
                return tracing::error!("the last raw events were not taken");
            }
            if !matches!(error, SendError::NotYet { .. }) {
                thread::sleep(PAUSE);
            }
        }
        if identities.into_iter().any(|identity| arrived.send(identity).is_err()) {
            return;
        }
    }
}

/// A batch as its rows. One of our own making is always understood.
fn decoded(batch: EventBatch) -> Option<(Identity, Batch)> {
    let identity = identity(&batch);
    match events::decode(batch.bytes) {
        Ok(rows) => {
            let (run_id, worker_id) = (batch.test_id, batch.node_id);
            Some((identity, Batch { run_id, worker_id, identity: Some(identity), rows }))
        }
        Err(error) => {
            tracing::error!(%error, rows = batch.rows, "a batch of raw events is lost");
            None
        }
    }
}
