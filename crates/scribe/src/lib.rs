//! Events by the Scribe protocol: a server that takes what workers of any make report, and a client for our drivers.
//!
//! Scribe is one call of Thrift, `Log(list<LogEntry{category, message}>) → OK | TRY_LATER`, in frames over TCP. An entry is
//! a JSON event (`event`) or a driver's batch (`batch`); a call becomes a [`Group`] with those that come at the same
//! time, which the sink of the [`Server`] stores.
//!
//! Invariant: `OK` is said after the sink has committed, and whatever bytes come, memory and threads are bounded.
//! Deliberately absent: where events are stored (the sink's), and TLS and authentication, which the protocol does not
//! have.

mod thrift;
mod frame;
mod message;
mod moment;
mod event;
mod batch;
mod group;
mod intake;
mod memory;
mod counts;
mod connection;
mod server;
mod address;
mod client;

pub use address::{Address, NoAddress, PORT};
pub use batch::{CATEGORY, Fault as BatchFault};
pub use client::{Client, SendError, Sent};
pub use counts::Counts;
pub use group::{Group, SetAside};
pub use intake::Categories;
pub use server::{Error, Server, Settings, SinkError};

/// What is read from bytes and written as bytes, without IO: for tests, fuzzing and servers of other kinds.
pub mod wire {
    pub use crate::batch::{read as read_batch, write as write_batch};
    pub use crate::event::{Event, Fault, read as read_event};
    pub use crate::frame::{Frame, Frames, Unframed};
    pub use crate::message::{
        Answer, Call, Entries, Entry, Exception, Reply, Request, ResultCode, Status, Style, log, read,
        read_reply,
    };
    pub use crate::thrift::Malformed;
}
