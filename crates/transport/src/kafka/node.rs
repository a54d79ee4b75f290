//! One node on Kafka: two producers, one consumer, one queue of events.

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
    heartbeats: Producer,
    rest: Producer,
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
        let heartbeats = settings.producer(&client_id, STALE_HEARTBEAT_MS);
        let rest = settings.producer(&client_id, 0);
        Ok(Self {
            events: Some(events),
            heartbeats: Producer::new(heartbeats, Policy::Stale, &health, "kafka-heartbeat")?,
            rest: Producer::new(rest, Policy::Reliable, &health, "kafka-send")?,
            consumer,
            names: Topic::ALL.map(|topic| settings.topic_name(topic).into()),
            next_ticket: 0,
        })
    }
}

impl Transport for Node {
    fn send(&mut self, message: &Message) -> Result<Ticket, SendError> {
        let encoded = wire::encode(message)?;
        let ticket = Ticket(self.next_ticket);
        let producer = if encoded.topic == Topic::Heartbeat { &self.heartbeats } else { &self.rest };
        producer.send(Outgoing {
            ticket,
            topic: encoded.topic,
            name: Arc::clone(&self.names[encoded.topic.index()]),
            key: encoded.key.into_bytes(),
            value: encoded.value,
            sent: clock::now(),
        })?;
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
        while self.rest.in_flight() > 0 && clock::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        // All at once, then each is joined as it is dropped.
        self.heartbeats.stop();
        self.rest.stop();
        if let Some(consumer) = &self.consumer {
            consumer.stop();
        }
    }
}
