//! One producer and the thread that reads its acknowledgements.
//!
//! Invariant: of every message that was taken, the node hears once: acknowledged or undelivered. A reliable producer that
//! reports a fatal error is made anew and sends again what was not acknowledged.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use clock::{BrokerTime, Instant};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders, Timestamp};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::{ClientContext, Message as _};

use super::Error;
use super::context::{self, Health};
use crate::wire::Headers;
use crate::{Event, SendError, Ticket, Topic};

/// How long the thread waits in librdkafka's queue before it looks whether it should end. It wakes at once for a report.
///
/// A little more than whole milliseconds: `BaseProducer::poll` waits the whole ones and then asks again without waiting
/// until its deadline, which with 250 ms took 3 ms of CPU a second in each thread.
const POLL: Duration = Duration::from_micros(250_020);
/// Bytes that wait for a producer which is being made anew; as many as its own queue takes.
const MAX_UNSENT_BYTES: usize = 32 * 1024 * 1024;
/// How long reports of a failed producer are waited for.
const FAILED_TIMEOUT: Duration = Duration::from_secs(2);

/// What happens to a message that cannot be delivered now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Given up after a while, and evidence that no broker answers.
    Stale,
    /// Kept until it is delivered.
    Reliable,
}

/// A message on its way.
pub struct Outgoing {
    pub ticket: Ticket,
    pub topic: Topic,
    pub name: Arc<str>,
    pub key: Vec<u8>,
    pub headers: Headers,
    pub value: Vec<u8>,
    pub sent: Instant,
}

/// What the reports of a message need to know of it.
pub struct Sending {
    ticket: Ticket,
    topic: Topic,
    name: Arc<str>,
    sent: Instant,
}

/// Messages that wait for a new producer.
#[derive(Default)]
struct Unsent {
    queue: VecDeque<Outgoing>,
    bytes: usize,
}

impl Unsent {
    fn push(&mut self, outgoing: Outgoing) {
        self.bytes += outgoing.value.len();
        self.queue.push_back(outgoing);
    }

    fn pop(&mut self) -> Option<Outgoing> {
        let outgoing = self.queue.pop_front()?;
        self.bytes -= outgoing.value.len();
        Some(outgoing)
    }
}

struct Context {
    policy: Policy,
    health: Arc<Health>,
    unsent: Arc<Mutex<Unsent>>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Only a producer that sends all the time knows whether brokers answer: brokers close idle connections.
        let all_down = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        if all_down && self.policy == Policy::Stale {
            self.health.down(reason);
        } else {
            tracing::debug!(%error, reason, "kafka producer");
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Sending>;

    fn delivery(&self, result: &DeliveryResult<'_>, sending: Box<Sending>) {
        let acknowledged = clock::now();
        let heard = match result {
            Ok(message) => {
                self.health.up();
                let stamp = match message.timestamp() {
                    Timestamp::LogAppendTime(ms) if ms >= 0 => Some(BrokerTime::from_unix_ms(ms)),
                    _ => None,
                };
                self.health.tell(Event::Acknowledged {
                    ticket: sending.ticket,
                    stamp,
                    sent: sending.sent,
                    acknowledged,
                    partition: message.partition(),
                    offset: message.offset(),
                })
            }
            Err((error, message)) if self.policy == Policy::Reliable && is_of_the_producer(error) => {
                let outgoing = Outgoing {
                    ticket: sending.ticket,
                    topic: sending.topic,
                    name: sending.name,
                    key: message.key().unwrap_or_default().to_vec(),
                    headers: read_headers(message.headers()),
                    value: message.payload().unwrap_or_default().to_vec(),
                    sent: sending.sent,
                };
                lock(&self.unsent).push(outgoing);
                true
            }
            Err((error, _)) => {
                let late = error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageTimedOut);
                if late && self.policy == Policy::Stale {
                    self.health.down("a heartbeat was not acknowledged in time");
                }
                self.health.tell(Event::Undelivered { ticket: sending.ticket, reason: error.to_string() })
            }
        };
        if !heard {
            tracing::trace!("a report came after the node was gone");
        }
    }
}

/// Whether an error is the producer's and not the message's, so that the message may still arrive by another producer.
fn is_of_the_producer(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::Fatal
                | RDKafkaErrorCode::PurgeQueue
                | RDKafkaErrorCode::PurgeInflight
                | RDKafkaErrorCode::OutOfOrderSequenceNumber
                | RDKafkaErrorCode::UnknownProducerId
                | RDKafkaErrorCode::InvalidProducerEpoch
                | RDKafkaErrorCode::Fenced
        )
    )
}

/// A producer that outlives fatal errors.
pub struct Producer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    config: ClientConfig,
    policy: Policy,
    health: Arc<Health>,
    /// Replaced after a fatal error. The lock is held only to hand a message over, which never blocks.
    current: Mutex<Arc<BaseProducer<Context>>>,
    unsent: Arc<Mutex<Unsent>>,
    stop: AtomicBool,
}

impl Producer {
    /// Makes the client and starts its thread, which is named `name`.
    pub fn new(
        config: ClientConfig,
        policy: Policy,
        health: &Arc<Health>,
        name: &str,
    ) -> Result<Self, Error> {
        let unsent = Arc::new(Mutex::new(Unsent::default()));
        let client =
            make(&config, policy, health, &unsent).map_err(Error::client("make a Kafka producer"))?;
        let shared = Arc::new(Shared {
            config,
            policy,
            health: Arc::clone(health),
            current: Mutex::new(Arc::new(client)),
            unsent,
            stop: AtomicBool::new(false),
        });
        let running = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || running.run()).map_err(
            |error| Error::Settings {
                setting: "threads".to_owned(),
                problem: format!("cannot start one: {error}"),
            },
        )?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Hands a message over.
    pub fn send(&self, outgoing: Outgoing) -> Result<(), SendError> {
        let current = lock(&self.shared.current);
        match hand_over(&current, &outgoing) {
            Ok(()) => Ok(()),
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => Err(SendError::Full),
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::Fatal))
                if self.shared.policy == Policy::Reliable =>
            {
                let mut unsent = lock(&self.shared.unsent);
                if unsent.bytes + outgoing.value.len() > MAX_UNSENT_BYTES {
                    return Err(SendError::Full);
                }
                unsent.push(outgoing);
                Ok(())
            }
            Err(error) => Err(SendError::Refused { topic: outgoing.topic, reason: error.to_string() }),
        }
    }

    /// Messages that are neither acknowledged nor given up.
    pub fn in_flight(&self) -> usize {
        let queued = usize::try_from(lock(&self.shared.current).in_flight_count()).unwrap_or(0);
        queued + lock(&self.shared.unsent).queue.len()
    }

    /// Tells the thread to end, without waiting for it.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a thread of a kafka producer had panicked");
        }
    }
}

impl Shared {
    fn run(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let client = Arc::clone(&lock(&self.current));
            client.poll(POLL);
            if let Some((code, reason)) = client.client().fatal_error() {
                self.replace(&client, code, &reason);
            }
            self.send_again();
        }
    }

    fn replace(&self, failed: &Arc<BaseProducer<Context>>, code: RDKafkaErrorCode, reason: &str) {
        tracing::warn!(%code, reason, "a kafka producer failed and is made anew");
        let deadline = clock::now() + FAILED_TIMEOUT;
        // Its messages come back as reports first.
        while failed.in_flight_count() > 0 && clock::now() < deadline {
            failed.poll(Duration::from_millis(50));
        }
        match make(&self.config, self.policy, &self.health, &self.unsent) {
            Ok(client) => {
                // The failed one ends here, outside the lock, since ending takes time.
                let ended = std::mem::replace(&mut *lock(&self.current), Arc::new(client));
                drop(ended);
            }
            Err(error) => tracing::error!(%error, "cannot make a kafka producer anew"),
        }
    }

    fn send_again(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let Some(outgoing) = lock(&self.unsent).pop() else { return };
            let sent = hand_over(&lock(&self.current), &outgoing);
            match sent {
                Ok(()) => {}
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull | RDKafkaErrorCode::Fatal)) => {
                    let mut unsent = lock(&self.unsent);
                    unsent.bytes += outgoing.value.len();
                    unsent.queue.push_front(outgoing);
                    return;
                }
                Err(error) => {
                    let reason = error.to_string();
                    if !self.health.tell(Event::Undelivered { ticket: outgoing.ticket, reason }) {
                        return;
                    }
                }
            }
        }
    }
}

fn make(
    config: &ClientConfig,
    policy: Policy,
    health: &Arc<Health>,
    unsent: &Arc<Mutex<Unsent>>,
) -> Result<BaseProducer<Context>, KafkaError> {
    config.create_with_context(Context { policy, health: Arc::clone(health), unsent: Arc::clone(unsent) })
}

fn hand_over(client: &BaseProducer<Context>, outgoing: &Outgoing) -> Result<(), KafkaError> {
    let sending = Box::new(Sending {
        ticket: outgoing.ticket,
        topic: outgoing.topic,
        name: Arc::clone(&outgoing.name),
        sent: outgoing.sent,
    });
    let mut record =
        BaseRecord::with_opaque_to(&outgoing.name, sending).key(&outgoing.key).payload(&outgoing.value);
    if !outgoing.headers.is_empty() {
        let add = |headers: OwnedHeaders, (name, value): &(String, String)| {
            headers.insert(Header { key: name, value: Some(value) })
        };
        record = record.headers(
            outgoing.headers.iter().fold(OwnedHeaders::new_with_capacity(outgoing.headers.len()), add),
        );
    }
    client.send(record).map_err(|(error, _)| error)
}

/// Headers whose values are text.
pub fn read_headers(headers: Option<&impl rdkafka::message::Headers>) -> Headers {
    let headers = headers.iter().flat_map(|headers| headers.iter());
    headers
        .filter_map(|header| Some((header.key.to_owned(), str::from_utf8(header.value?).ok()?.to_owned())))
        .collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is whole at every point.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
