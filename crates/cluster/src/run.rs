//! What both machines of a run share: the moment an event happens at, names for what was sent, and ids.
//!
//! Invariant: nothing here reads a clock or draws a random number. A machine that is given the same seed, events and
//! moments does the same, which is what the simulation rests on.

mod bugs;
mod record;

use clock::{BrokerTime, Instant};
use transport::Message;
use uuid::Uuid;

pub(crate) use bugs::{Bug, Bugs};
pub use record::{FileRecord, FixtureRecord, MemberRecord, RecordError, RunRecord, SharesRecord};

/// The moment at which an event happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// By the monotonic clock; everything is decided by it.
    pub instant: Instant,
    /// By the wall clock, Unix milliseconds; only shown.
    pub unix_ms: i64,
}

/// What an acknowledged message was, as far as a machine needs to know. The runtime keeps it beside the ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// A heartbeat: its acknowledgement says what time it is.
    Heartbeat,
    /// The plan of this run.
    Config {
        /// The run.
        test_id: String,
    },
    /// A driver's report.
    Metrics,
    /// Anything else.
    Other,
}

impl Sent {
    /// What `message` is.
    pub fn of(message: &Message) -> Self {
        match message {
            Message::Heartbeat(_) => Self::Heartbeat,
            Message::TestConfig(config) => Self::Config { test_id: config.test_id.clone() },
            Message::Metrics(_) => Self::Metrics,
            Message::Register(_)
            | Message::Trigger(_)
            | Message::Control(_)
            | Message::FileChunk(_)
            | Message::Events(_) => Self::Other,
        }
    }
}

/// The log has a message that a machine sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// What it was.
    pub sent: Sent,
    /// When it was handed over.
    pub handed_over: Instant,
    /// When the acknowledgement was read.
    pub acknowledged: Instant,
    /// When the broker appended it; `None` when the topic does not have the broker's timestamps.
    pub stamp: Option<BrokerTime>,
}

/// How much a line of the log matters (`style.md`, habit 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A node or a run changed state.
    Info,
    /// Recovered, but look.
    Warn,
    /// A result is wrong or lost.
    Error,
}

/// Makes ids of a seed: UUIDs of version 7 whose random part is SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Ids(u64);

impl Ids {
    pub(crate) fn new(seed: Uuid) -> Self {
        let (high, low) = seed.as_u64_pair();
        Self(high.rotate_left(32) ^ low)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn uuid(&mut self, now: Now) -> Uuid {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.number().to_le_bytes());
        random[8..].copy_from_slice(&self.number().to_le_bytes()[..2]);
        let unix_ms = u64::try_from(now.unix_ms).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid()
    }
}
