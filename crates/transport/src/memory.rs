//! The transport inside one process: nodes share a [`Log`].
//!
//! The same bytes as with Kafka go through the same encoding and decoding. Invariants: a send is acknowledged at once;
//! measurements and raw events are let go when every subscriber has read them, so memory does not grow with the run; a
//! reader that falls behind the bound of a topic gets a counted gap, but events are refused instead. Deliberately absent: loss, delay and reordering, which the
//! simulation adds around the log itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clock::{BrokerTime, Instant};

use crate::log::{Log, PARTITION, Read};
use crate::wire;
use crate::{Connect, Event, Message, Record, SendError, Ticket, Topic, Transport};

/// Acknowledgements that wait for a node that does not read its events; beyond it, it cannot send.
const MAX_WAITING_ACKNOWLEDGEMENTS: usize = 16_384;

/// The log of one process. Clones share it.
#[derive(Clone)]
pub struct Broker {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    appended: Condvar,
    /// What the wall clock showed when the monotonic clock showed `origin`: broker time that no clock step moves.
    epoch_unix_ms: i64,
    origin: Instant,
}

struct State {
    log: Log,
    /// Positions of the nodes that read a topic which is let go of.
    readers: BTreeMap<(Topic, u64), i64>,
    next_node: u64,
}

impl Default for Broker {
    fn default() -> Self {
        Self::new()
    }
}

impl Broker {
    /// An empty log.
    pub fn new() -> Self {
        Self::with_log(Log::new())
    }

    /// Shares `log`.
    pub fn with_log(log: Log) -> Self {
        let state = State { log, readers: BTreeMap::new(), next_node: 0 };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                appended: Condvar::new(),
                epoch_unix_ms: clock::unix_ms(),
                origin: clock::now(),
            }),
        }
    }

    /// A new node.
    pub fn node(&self, connect: Connect) -> Box<dyn Transport> {
        let now = self.shared.broker_time(clock::now());
        let mut state = self.shared.lock();
        let id = state.next_node;
        state.next_node += 1;
        let mut positions = Vec::new();
        for (topic, start) in connect.subscriptions.iter().filter(|(_, start)| start.names(PARTITION)) {
            let position = state.log.start(*topic, start, now);
            positions.push((*topic, position));
            if is_let_go(*topic) {
                state.readers.insert((*topic, id), position);
            }
        }
        drop(state);
        let events = VecDeque::new();
        Box::new(Node { shared: Arc::clone(&self.shared), id, positions, events, next_ticket: 0 })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between lock and release can leave the log half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broker_time(&self, now: Instant) -> BrokerTime {
        BrokerTime::from_unix_ms(self.epoch_unix_ms).after(now.since(self.origin))
    }
}

impl State {
    /// The oldest unread record of the topics at `positions`, by the order of the log; moves the position behind it.
    fn take(&mut self, node: u64, positions: &mut [(Topic, i64)]) -> Option<Taken> {
        let mut oldest: Option<(usize, crate::log::Stored)> = None;
        for (at, (topic, position)) in positions.iter_mut().enumerate() {
            match self.log.read(*topic, *position) {
                Read::End => {}
                Read::Gap { next, missing } => {
                    *position = next;
                    return Some(Taken::Gap { topic: *topic, missing });
                }
                Read::Record(stored) => {
                    if oldest.as_ref().is_none_or(|(_, kept)| stored.sequence < kept.sequence) {
                        oldest = Some((at, stored));
                    }
                }
            }
        }
        let (at, stored) = oldest?;
        let (topic, position) = &mut positions[at];
        *position = stored.offset + 1;
        if is_let_go(*topic) {
            self.readers.insert((*topic, node), *position);
            self.let_go(*topic);
        }
        Some(Taken::Record { topic: *topic, stored })
    }

    fn let_go(&mut self, topic: Topic) {
        let readers = self.readers.iter().filter(|((read, _), _)| *read == topic);
        if let Some(slowest) = readers.map(|(_, position)| *position).min() {
            self.log.delete_below(topic, slowest);
        }
    }
}

/// Whether what all have read of a topic is deleted.
fn is_let_go(topic: Topic) -> bool {
    matches!(topic, Topic::Metrics | Topic::Events)
}

enum Taken {
    Record { topic: Topic, stored: crate::log::Stored },
    Gap { topic: Topic, missing: u64 },
}

impl Taken {
    fn into_event(self) -> Event {
        match self {
            Taken::Gap { topic, missing } => Event::Gap { topic, partition: PARTITION, missing },
            Taken::Record { topic, stored } => Event::Record(Record {
                topic,
                partition: PARTITION,
                offset: stored.offset,
                stamp: Some(stored.stamp),
                received: clock::now(),
                message: wire::decode_record(topic, &stored.headers, &stored.value),
            }),
        }
    }
}

/// One node on a [`Broker`].
pub struct Node {
    shared: Arc<Shared>,
    id: u64,
    positions: Vec<(Topic, i64)>,
    /// Acknowledgements that were not read yet.
    events: VecDeque<Event>,
    next_ticket: u64,
}

impl Transport for Node {
    fn send(&mut self, message: &Message) -> Result<Ticket, SendError> {
        if self.events.len() >= MAX_WAITING_ACKNOWLEDGEMENTS {
            return Err(SendError::Full);
        }
        let encoded = wire::encode(message)?;
        let sent = clock::now();
        let mut state = self.shared.lock();
        if encoded.topic == Topic::Events && state.log.is_full(Topic::Events) {
            return Err(SendError::Full);
        }
        let acknowledged = clock::now();
        let stamp = self.shared.broker_time(acknowledged);
        let offset = state.log.append(stamp, encoded);
        drop(state);
        self.shared.appended.notify_all();
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.events.push_back(Event::Acknowledged {
            ticket,
            stamp: Some(stamp),
            sent,
            acknowledged,
            partition: PARTITION,
            offset,
        });
        Ok(ticket)
    }

    fn next(&mut self, wait: Duration) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        let deadline = clock::now() + wait;
        let mut state = self.shared.lock();
        let taken = loop {
            if let Some(taken) = state.take(self.id, &mut self.positions) {
                break taken;
            }
            let left = deadline.since(clock::now());
            if left.is_zero() {
                return None;
            }
            (state, _) =
                self.shared.appended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        };
        // Decoding is outside the lock: a large measurement must not hold up a heartbeat.
        drop(state);
        Some(taken.into_event())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        for topic in [Topic::Metrics, Topic::Events] {
            state.readers.remove(&(topic, self.id));
            state.let_go(topic);
        }
    }
}
