//! What librdkafka tells besides messages: its log, and whether brokers can be reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Sender;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;

use crate::Event;

/// Whether brokers answer, as all clients of a node find it. Reports each change once.
pub struct Health {
    unreachable: AtomicBool,
    events: Sender<Event>,
}

impl Health {
    pub fn new(events: Sender<Event>) -> Arc<Self> {
        Arc::new(Self { unreachable: AtomicBool::new(false), events })
    }

    pub fn is_unreachable(&self) -> bool {
        self.unreachable.load(Ordering::Relaxed)
    }

    pub fn down(&self, reason: &str) {
        if !self.unreachable.swap(true, Ordering::Relaxed) {
            tracing::warn!(reason, "kafka cannot be reached");
            self.tell(Event::Unreachable { reason: reason.to_owned() });
        }
    }

    pub fn up(&self) {
        // The plain load first: this is called for every message.
        if self.is_unreachable() && self.unreachable.swap(false, Ordering::Relaxed) {
            tracing::info!("kafka answers again");
            self.tell(Event::Reachable);
        }
    }

    /// Hands an event over if the queue has room.
    pub fn tell_if_room(&self, event: Event) {
        self.events.try_send(event).ok();
    }

    /// Hands an event over, waiting while the queue is full. Says whether the node is still there.
    pub fn tell(&self, event: Event) -> bool {
        self.events.send(event).is_ok()
    }
}

/// The context of a consumer: its errors tell of the brokers' health, its statistics how far events go.
pub struct Watch {
    pub health: Arc<Health>,
    /// Full name of the topic of events.
    pub events: String,
}

impl ClientContext for Watch {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // A single lost connection is no news: there are other brokers, and idle connections are closed by them.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.health.down(reason);
        } else {
            tracing::debug!(%error, reason, "kafka client");
        }
    }

    fn stats(&self, statistics: Statistics) {
        let Some(events) = statistics.topics.get(&self.events) else { return };
        // Not known, or not read by this client: -1.
        let known = events.partitions.values().filter(|partition| partition.partition >= 0);
        for partition in known.filter(|partition| partition.hi_offset >= 0 && partition.lo_offset >= 0) {
            // Looking must not hold up reading: what does not fit is told a second later.
            self.health.tell_if_room(Event::Extent {
                partition: partition.partition,
                oldest: partition.lo_offset,
                end: partition.hi_offset,
            });
        }
    }
}

impl ConsumerContext for Watch {}

/// Passes a line of librdkafka's log on. Its errors are recovered by librdkafka itself, hence never above WARN.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        // CONFWARN: a property of the user's file that belongs to the other kind of client.
        _ if facility == "CONFWARN" => tracing::debug!(facility, message, "librdkafka"),
        // Whether brokers answer is reported once, by `Health`, instead of once per attempt.
        _ if facility == "FAIL" => tracing::debug!(facility, message, "librdkafka"),
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning => tracing::warn!(facility, message, "librdkafka"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(facility, message, "librdkafka");
        }
    }
}
