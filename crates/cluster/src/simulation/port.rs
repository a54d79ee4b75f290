//! A process's way to the log: what it reads and how far, what waits to be sent, and what stands in the way.

use std::collections::VecDeque;

use clock::Instant;
use transport::wire::Encoded;
use transport::{Message, Topic, wire};

use crate::run::Sent;

/// A message that waits for the broker.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub encoded: Encoded,
    pub sent: Sent,
    /// True time, and the process's own clock.
    pub since: u64,
    pub handed_over: Instant,
}

/// Heartbeats go their own way: a stale one is worse than none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Heartbeats,
    Rest,
}

#[derive(Debug, Default)]
pub(super) struct Port {
    /// Next offset of each topic that is read.
    pub cursors: [Option<i64>; Topic::ALL.len()],
    /// Whether a poll of the topic is under way.
    pub polling: [bool; Topic::ALL.len()],
    heartbeats: VecDeque<Outgoing>,
    rest: VecDeque<Outgoing>,
    /// True time until which nothing passes.
    pub cut_until: u64,
    /// Nothing that is sent is ever acknowledged.
    pub deaf: bool,
}

impl Port {
    pub fn queue(&mut self, lane: Lane) -> &mut VecDeque<Outgoing> {
        match lane {
            Lane::Heartbeats => &mut self.heartbeats,
            Lane::Rest => &mut self.rest,
        }
    }

    /// Puts a message into its queue; true when the queue was empty, so that somebody must empty it.
    pub fn put(&mut self, message: &Message, since: u64, handed_over: Instant) -> (Lane, bool) {
        let lane = if matches!(message, Message::Heartbeat(_)) { Lane::Heartbeats } else { Lane::Rest };
        let encoded = wire::encode(message).unwrap();
        let queue = self.queue(lane);
        let was_empty = queue.is_empty();
        queue.push_back(Outgoing { encoded, sent: Sent::of(message), since, handed_over });
        (lane, was_empty)
    }
}
