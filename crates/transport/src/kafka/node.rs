//! One node on Kafka: a producer for each kind of message that it sends, one consumer, one queue of events.
//!
//! Heartbeats, events and the rest have producers of their own, so that none delays the others. Each is made with the
//! first message of its kind, or at once where `control` is read: a node that only sends events, or only reads, costs no
//! more than that.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use super::consumer::Consumer;
use super::context::Health;
use super::producer::{Outgoing, Policy, Producer};
use super::settings::STALE_HEARTBEAT_MS;
use super::{Error, Settings};
use crate::wire;
use crate::{Connect, Event, Message, SendError, Ticket, Topic, Transport};

/// Events that wait for the node. Small, since each may hold a measurement; librdkafka holds back what does not fit.
const MAX_WAITING_EVENTS: usize = 64;
/// How long the last messages of a node that goes may take: its goodbye, mostly.
const GOODBYE: Duration = Duration::from_secs(1);

/// A node on Kafka.
pub struct Node {
    events: Option<Receiver<Event>>,
    health: Arc<Health>,
    settings: Settings,
    client_id: String,
    /// By [`Lane`].
    producers: [Option<Producer>; 3],
    consumer: Option<Consumer>,
    names: [Arc<str>; Topic::ALL.len()],
    next_ticket: u64,
}

impl Node {
    pub(super) fn new(settings: &Settings, connect: &Connect) -> Result<Self, Error> {
        let (sender, events) = bounded(MAX_WAITING_EVENTS);
        let health = Health::new(sender);
        let client_id = format!("swell-{}", connect.node);
        // The consumer first: what the node's own messages lead to must not be missed.
        let consumer = if connect.subscriptions.is_empty() {
            None
        } else {
            Some(Consumer::new(settings, &client_id, &connect.subscriptions, &health)?)
        };
        let mut node = Self {
            events: Some(events),
            health,
            settings: settings.clone(),
            client_id,
            producers: [const { None }; 3],
            consumer,
            names: Topic::ALL.map(|topic| settings.topic_name(topic).into()),
            next_ticket: 0,
        };
        // Who takes part in runs learns by its first heartbeat whether the broker stamps them: it must not wait for a
        // client to start.
        if connect.subscriptions.iter().any(|(topic, _)| *topic == Topic::Control) {
            node.producer(Lane::Heartbeats)?;
            node.producer(Lane::Rest)?;
        }
        Ok(node)
    }

    fn producer(&mut self, lane: Lane) -> Result<&Producer, Error> {
        let slot = &mut self.producers[lane as usize];
        match slot {
            Some(producer) => Ok(producer),
            None => {
                let made = lane.producer(&self.settings, &self.client_id, &self.health)?;
                Ok(slot.insert(made))
            }
        }
    }
}

/// Which producer a message goes by.
#[derive(Debug, Clone, Copy)]
enum Lane {
    Heartbeats,
    Rest,
    Events,
}

impl Lane {
    fn of(topic: Topic) -> Self {
        match topic {
            Topic::Heartbeat => Self::Heartbeats,
            Topic::Events => Self::Events,
            _ => Self::Rest,
        }
    }

    fn producer(self, settings: &Settings, client_id: &str, health: &Arc<Health>) -> Result<Producer, Error> {
        match self {
            Self::Heartbeats => {
                let config = settings.producer(client_id, STALE_HEARTBEAT_MS);
                Producer::new(config, Policy::Stale, health, "kafka-heartbeat")
            }
            Self::Rest => {
                Producer::new(settings.producer(client_id, 0), Policy::Reliable, health, "kafka-send")
            }
            Self::Events => {
                let config = settings.events_producer(client_id);
                Producer::new(config, Policy::Reliable, health, "kafka-events")
            }
        }
    }
}

impl Transport for Node {
    fn send(&mut self, message: &Message) -> Result<Ticket, SendError> {
        let encoded = wire::encode(message)?;
        let topic = encoded.topic;
        let outgoing = Outgoing {
            ticket: Ticket(self.next_ticket),
            topic,
            name: Arc::clone(&self.names[topic.index()]),
            key: encoded.key.into_bytes(),
            headers: encoded.headers,
            value: encoded.value,
            sent: clock::now(),
        };
        let ticket = outgoing.ticket;
        let producer = self.producer(Lane::of(topic));
        producer.map_err(|error| SendError::Refused { topic, reason: error.to_string() })?.send(outgoing)?;
        self.next_ticket += 1;
        Ok(ticket)
    }

    fn next(&mut self, wait: Duration) -> Option<Event> {
        self.events.as_ref()?.recv_timeout(wait).ok()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Nobody reads events any more, so that no thread may wait for one who does.
        drop(self.events.take());
        let deadline = clock::now() + GOODBYE;
        let lasting = [Lane::Rest, Lane::Events].map(|lane| self.producers[lane as usize].as_ref());
        let is_busy = || lasting.iter().flatten().any(|producer| producer.in_flight() > 0);
        while is_busy() && clock::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        // All at once, then each is joined as it is dropped.
        self.producers.iter().flatten().for_each(Producer::stop);
        if let Some(consumer) = &self.consumer {
            consumer.stop();
        }
    }
}
