//! Moves messages between processes: Kafka, or in memory.
//!
//! Sole owner of the wire format, and the only crate that knows Kafka. A process sends [`Message`]s and receives
//! [`Event`]s through a [`Transport`]; both implementations pass the same bytes through [`wire`], so a run in one process
//! tests the format too.
//!
//! Invariant: nothing here is dropped uncounted. What could not be sent is an [`Event::Undelivered`], what retention
//! deleted before it was read is an [`Event::Gap`], what could not be understood is a [`Record`] with a [`Malformed`].
//! Deliberately absent: deciding anything. Who is lost, whose command counts and what is a duplicate is settled by
//! `cluster` and `store`.

mod message;
pub mod wire;
mod link;
pub mod log;
pub mod memory;
pub mod kafka;

pub use link::{Connect, Event, Record, SendError, Start, Ticket, Topic, Transport};
pub use message::{
    Command, Control, EventBatch, FileChunk, FileInfo, FixtureOrder, FixtureOutcome, FixtureReport,
    Heartbeat, HeartbeatOurs, Message, Metrics, MetricsOurs, NodeState, Register, RegisterOurs, Role,
    Summary, TestConfig, TestConfigOurs, TestType, Trigger, TriggerOurs,
};
pub use uuid::Uuid;
pub use wire::Malformed;
