//! The live stream: a snapshot, then one delta a second, as server-sent events.
//!
//! One thread turns changes into bytes, once, and every viewer gets the same bytes through a short queue of its own.
//! A viewer whose queue is full loses deltas and gets a new snapshot once it has caught up; the run never waits for it.
//!
//! Invariant: a viewer that applies what it receives, in order, holds the same picture as one that arrives now.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use cluster::view::{RunView, Tick};
use futures_core::Stream;
use tokio::sync::mpsc;

use crate::control::Control;
use crate::problem::Problem;
use crate::state::Shelf;

mod message;

use message::Delta;

/// Viewers in all; each costs a socket and a queue of shared bytes.
const MAX_VIEWERS: usize = 1_000;
/// Messages that may wait for one viewer: some seconds of a slow network.
const QUEUE: usize = 8;
/// Deltas kept for a viewer that comes back with the last id it saw.
const RECENT: usize = 60;
/// Changes are gathered for so long, so that a burst of them is one message.
const GATHER: Duration = Duration::from_millis(100);
/// A message goes out at least so often: it carries the ages of heartbeats, and shows that the stream lives.
const BEAT: Duration = Duration::from_secs(1);
/// After a run is over, its last second may still come.
const LINGER: Duration = Duration::from_millis(500);
/// A run without viewers is forgotten after this; its deltas can then no longer be resumed.
const FORGET: Duration = Duration::from_secs(60);

/// All runs that are looked at.
#[derive(Debug)]
pub(crate) struct Hub {
    feeds: Mutex<HashMap<String, Feed>>,
    closing: AtomicBool,
    /// Tells the ids of this process from those of one before.
    epoch: i64,
}

/// One run as its viewers have it.
#[derive(Debug)]
struct Feed {
    view: RunView,
    /// The last complete second that was sent.
    second: Option<u32>,
    latest: Option<std::sync::Arc<Tick>>,
    sequence: u64,
    /// Encoded when the first viewer asks, and shared until the next message.
    snapshot: Option<Bytes>,
    recent: VecDeque<(u64, Bytes)>,
    viewers: Vec<Viewer>,
    sent_at: clock::Instant,
    over_at: Option<clock::Instant>,
    used_at: clock::Instant,
}

#[derive(Debug)]
struct Viewer {
    queue: mpsc::Sender<Bytes>,
    lagging: bool,
}

/// What a viewer receives.
#[derive(Debug)]
pub(crate) struct Events(mpsc::Receiver<Bytes>);

impl Stream for Events {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|message| message.map(Ok))
    }
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self { feeds: Mutex::default(), closing: AtomicBool::new(false), epoch: clock::unix_ms() }
    }

    /// Viewers that are connected.
    pub(crate) fn viewers(&self) -> usize {
        self.lock().values().map(|feed| feed.viewers.len()).sum()
    }

    /// Ends every stream, and the thread in [`Hub::work`].
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.lock().clear();
    }

    /// Publishes what changes until [`Hub::close`].
    pub(crate) fn work(&self, control: &dyn Control, shelf: &Shelf) {
        let mut seen = 0;
        while !self.closing.load(Ordering::Relaxed) {
            seen = control.wait_change(seen, BEAT);
            self.publish(control, shelf, clock::now());
            std::thread::sleep(GATHER);
        }
        self.lock().clear();
    }

    /// A stream of the run; `last_id` is what the viewer received last, if it was here before. Reads the store.
    pub(crate) fn subscribe(
        &self,
        control: &dyn Control,
        shelf: &Shelf,
        run_id: &str,
        last_id: Option<&str>,
    ) -> Result<Events, Problem> {
        if self.closing.load(Ordering::Relaxed) || self.viewers() >= MAX_VIEWERS {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "No more viewers"));
        }
        let Some(view) = control.run(run_id) else {
            return self.stored(control, shelf, run_id);
        };
        let now = clock::now();
        let mut feeds = self.lock();
        let feed = feeds.entry(run_id.to_owned()).or_insert_with(|| Feed::new(view, control, now));
        let (queue, events) = mpsc::channel(QUEUE);
        let first = match last_id.and_then(|id| self.sequence(id)).and_then(|sequence| feed.since(sequence)) {
            Some(missed) => missed,
            None => feed.snapshot(self.epoch, control, shelf)?,
        };
        // The queue is new and empty.
        let lagging = queue.try_send(first).is_err();
        feed.viewers.push(Viewer { queue, lagging });
        feed.used_at = now;
        Ok(Events(events))
    }

    /// A run that only the store knows: one snapshot, and the end.
    fn stored(&self, control: &dyn Control, shelf: &Shelf, run_id: &str) -> Result<Events, Problem> {
        let snapshot = message::stored(control, shelf, run_id)?;
        let (queue, events) = mpsc::channel(2);
        for message in [message::event("snapshot", None, &snapshot), message::end()] {
            // A queue of two takes two.
            if queue.try_send(message).is_err() {
                break;
            }
        }
        Ok(Events(events))
    }

    fn sequence(&self, id: &str) -> Option<u64> {
        let (epoch, sequence) = id.split_once('-')?;
        (epoch.parse() == Ok(self.epoch)).then(|| sequence.parse().ok())?
    }

    fn publish(&self, control: &dyn Control, shelf: &Shelf, now: clock::Instant) {
        let mut feeds = self.lock();
        feeds.retain(|run_id, feed| {
            feed.viewers.retain(|viewer| !viewer.queue.is_closed());
            if feed.viewers.is_empty() {
                // Its deltas are made up for by a snapshot, so a viewer that returns later loses nothing.
                return feed.recent.back().is_some()
                    && now.since(feed.used_at) < FORGET
                    && control.run(run_id).is_some();
            }
            feed.used_at = now;
            feed.publish(self.epoch, control, now);
            feed.catch_up(self.epoch, control, shelf);
            !feed.is_done(control.run(run_id).is_none(), now)
        });
    }

    // Whoever panicked with the lock held left whole feeds behind: a feed is changed by assignments only.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Feed>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    fn new(view: RunView, control: &dyn Control, now: clock::Instant) -> Self {
        let latest = control.ticks(&view.run_id).last().cloned();
        Self {
            second: latest.as_ref().map(|tick| tick.second),
            latest,
            view,
            sequence: 0,
            snapshot: None,
            recent: VecDeque::new(),
            viewers: Vec::new(),
            sent_at: now,
            over_at: None,
            used_at: now,
        }
    }

    /// The deltas after `sequence`, if all of them are still here.
    fn since(&self, sequence: u64) -> Option<Bytes> {
        let oldest = self.recent.front().map_or(self.sequence, |(sequence, _)| sequence - 1);
        if sequence < oldest || sequence > self.sequence {
            return None;
        }
        let missed = self.recent.iter().filter(|(at, _)| *at > sequence);
        let bytes: Vec<u8> = missed.flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        Some(if bytes.is_empty() { message::comment() } else { Bytes::from(bytes) })
    }

    fn snapshot(&mut self, epoch: i64, control: &dyn Control, shelf: &Shelf) -> Result<Bytes, Problem> {
        if let Some(snapshot) = &self.snapshot {
            return Ok(snapshot.clone());
        }
        let snapshot = message::snapshot(control, shelf, &self.view, self.latest.as_deref())?;
        let bytes = message::event("snapshot", Some((epoch, self.sequence)), &snapshot);
        Ok(self.snapshot.insert(bytes).clone())
    }

    /// Sends what changed since the message before.
    fn publish(&mut self, epoch: i64, control: &dyn Control, now: clock::Instant) {
        let Some(view) = control.run(&self.view.run_id) else { return };
        let ticks = control.ticks(&view.run_id);
        let from = ticks.partition_point(|tick| self.second.is_some_and(|second| tick.second <= second));
        let fresh = &ticks[from..];
        let changed = message::differ(&self.view, &view);
        let beat = now.since(self.sent_at) >= BEAT;
        if fresh.is_empty() && !changed && !beat {
            return;
        }
        let (last, earlier) = match fresh.split_last() {
            Some((last, earlier)) => (Some(last), earlier),
            None => (None, fresh),
        };
        for tick in earlier {
            self.send(epoch, &Delta::of_row(&view, tick));
        }
        let delta = Delta::of_change(&self.view, &view, last.map(AsRef::as_ref), self.sequence, control);
        if let Some(tick) = last {
            self.second = Some(tick.second);
            self.latest = Some(tick.clone());
        }
        self.view = view;
        self.send(epoch, &delta);
        self.sent_at = now;
        if self.view.state.is_over() && self.over_at.is_none() {
            self.over_at = Some(now);
        }
    }

    fn send(&mut self, epoch: i64, delta: &Delta) {
        self.sequence += 1;
        self.snapshot = None;
        let bytes = message::event("delta", Some((epoch, self.sequence)), delta);
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((self.sequence, bytes.clone()));
        for viewer in &mut self.viewers {
            viewer.lagging = viewer.lagging || viewer.queue.try_send(bytes.clone()).is_err();
        }
    }

    /// Gives a new snapshot to viewers that lost deltas and have read all that they did get.
    fn catch_up(&mut self, epoch: i64, control: &dyn Control, shelf: &Shelf) {
        let ready = |viewer: &Viewer| viewer.lagging && viewer.queue.capacity() == QUEUE;
        if !self.viewers.iter().any(ready) {
            return;
        }
        match self.snapshot(epoch, control, shelf) {
            Ok(snapshot) => {
                for viewer in self.viewers.iter_mut().filter(|viewer| ready(viewer)) {
                    viewer.lagging = viewer.queue.try_send(snapshot.clone()).is_err();
                }
            }
            Err(problem) => tracing::warn!(?problem, "no snapshot for a slow viewer"),
        }
    }

    /// Whether nothing more will come; says so to the viewers.
    fn is_done(&self, gone: bool, now: clock::Instant) -> bool {
        let done = gone || self.over_at.is_some_and(|over_at| now.since(over_at) >= LINGER);
        if done {
            for viewer in &self.viewers {
                // A viewer that is too slow even for this sees the connection close, comes back and reads the store.
                if viewer.queue.try_send(message::end()).is_err() {
                    tracing::debug!("a slow viewer missed the end of the run");
                }
            }
        }
        done
    }
}
