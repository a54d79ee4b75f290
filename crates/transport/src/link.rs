//! The boundary between the program and what carries its messages: [`Transport`] and the closed list of what it reports.

use std::fmt;
use std::time::Duration;

use clock::{BrokerTime, Instant};

use crate::Message;
use crate::wire::Malformed;

/// The topics, in the order of the design's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Drivers join and leave.
    Register,
    /// Plans and shares.
    TestConfig,
    /// Starts.
    Trigger,
    /// All other commands.
    Control,
    /// Measurements.
    Metrics,
    /// Signs of life.
    Heartbeat,
    /// Files of plans, in pieces.
    Files,
    /// Raw events, in batches.
    Events,
}

impl Topic {
    /// All topics.
    pub const ALL: [Topic; 8] = [
        Topic::Register,
        Topic::TestConfig,
        Topic::Trigger,
        Topic::Control,
        Topic::Metrics,
        Topic::Heartbeat,
        Topic::Files,
        Topic::Events,
    ];

    /// Its name without the prefix.
    pub const fn as_str(self) -> &'static str {
        match self {
            Topic::Register => "register",
            Topic::TestConfig => "test_config",
            Topic::Trigger => "trigger",
            Topic::Control => "control",
            Topic::Metrics => "metrics",
            Topic::Heartbeat => "heartbeat",
            Topic::Files => "files",
            Topic::Events => "events",
        }
    }

    /// Its place in [`Topic::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Where to begin reading a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Behind everything that is there when the node connects.
    End,
    /// At the oldest record that is kept.
    Beginning,
    /// At the first record that is at most this old, by the stamps of the log.
    Ago(Duration),
    /// Partitions of this topic at these offsets; those not named begin at the oldest record.
    At(Vec<(Topic, i32, i64)>),
    /// Only these partitions, each at its offset or at the oldest record.
    Partitions(Vec<(i32, Option<i64>)>),
}

impl Start {
    /// Whether `partition` is read at all.
    pub fn names(&self, partition: i32) -> bool {
        match self {
            Self::Partitions(partitions) => partitions.iter().any(|(named, _)| *named == partition),
            Self::End | Self::Beginning | Self::Ago(_) | Self::At(_) => true,
        }
    }
}

/// How a node takes part.
#[derive(Debug, Clone)]
pub struct Connect {
    /// Name of the node, for logs and the broker's.
    pub node: String,
    /// What it reads, and from where. A topic not named is not read.
    pub subscriptions: Vec<(Topic, Start)>,
}

/// Names one sent message within its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The queue towards the broker has reached its bound. Try again later, or let it go.
    #[error("the queue of messages to the broker is full")]
    Full,
    /// The message is longer than a broker takes.
    #[error("a {topic} message of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Its topic.
        topic: Topic,
        /// Its size when encoded.
        bytes: usize,
        /// The largest that is sent.
        limit: usize,
    },
    /// The client refused it for another reason.
    #[error("cannot send a {topic} message: {reason}")]
    Refused {
        /// Its topic.
        topic: Topic,
        /// What the client said.
        reason: String,
    },
}

/// One record of the log.
#[derive(Debug, Clone)]
pub struct Record {
    /// Where it was read.
    pub topic: Topic,
    /// Partition within the topic.
    pub partition: i32,
    /// Position within the partition.
    pub offset: i64,
    /// When the broker appended it; `None` when the topic does not have the broker's timestamps.
    pub stamp: Option<BrokerTime>,
    /// When this process received it.
    pub received: Instant,
    /// What it says.
    pub message: Result<Message, Malformed>,
}

/// All that a transport reports.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "most events are records, and few wait at a time")]
pub enum Event {
    /// A record of a subscribed topic. Within one partition in order, each once.
    Record(Record),
    /// The log has a sent message. It may have it twice after a failure; identities take care of that.
    Acknowledged {
        /// Which message.
        ticket: Ticket,
        /// When the broker appended it; `None` when the topic does not have the broker's timestamps.
        stamp: Option<BrokerTime>,
        /// When it was handed over.
        sent: Instant,
        /// When its acknowledgement was read.
        acknowledged: Instant,
        /// Partition within its topic.
        partition: i32,
        /// Its position; -1 when the broker did not say.
        offset: i64,
    },
    /// A message will not arrive: a heartbeat became stale, or the broker refused it.
    Undelivered {
        /// Which message.
        ticket: Ticket,
        /// Why.
        reason: String,
    },
    /// Records were deleted before they could be read.
    Gap {
        /// Where.
        topic: Topic,
        /// Partition within the topic.
        partition: i32,
        /// How many offsets were skipped.
        missing: u64,
    },
    /// How far a partition of [`Topic::Events`] goes that this node reads; told about once a second.
    Extent {
        /// Partition within the topic.
        partition: i32,
        /// Offset of the oldest record.
        oldest: i64,
        /// Offset that the next record gets.
        end: i64,
    },
    /// No broker answers.
    Unreachable {
        /// What the client said.
        reason: String,
    },
    /// A broker answers again.
    Reachable,
}

/// One node's way to the others.
///
/// Two implementations: [`crate::kafka::Node`] and [`crate::memory::Node`].
pub trait Transport: Send {
    /// Hands a message over. Never blocks; what became of it is an event.
    fn send(&mut self, message: &Message) -> Result<Ticket, SendError>;

    /// The next event, waiting for at most `wait`.
    fn next(&mut self, wait: Duration) -> Option<Event>;
}
