//! The data plane: paces one share of a load over its own loops, sends it, and yields what happened, second by second.
//!
//! ```text
//! Job ─► prepare ─► Prepared ─► start ─► engine-0 … engine-n ─► engine-merge ─► Event
//!        names, rules,          threads  own connections,       one window of
//!        requests, connections           recorder, arrivals     all threads
//! ```
//!
//! A thread per core, each with its own loop (`worker`), and nothing shared between them while requests flow: what a
//! thread must know of its owner it finds in its `mailbox`, what the owner must know comes through `merge`.
//!
//! Invariant: between start and end a worker waits for nobody but the clock and the target. Deliberately absent: Kafka,
//! files, async, and any knowledge of other drivers.

mod allow;
mod job;
mod peer;
mod names;
mod target;
mod tls;
mod speech;
mod mask;
mod tables;
mod template;
mod journey;
mod reading;
mod program;
mod sequel;
mod flight;
mod source;
mod wheel;
mod pauses;
mod io;
mod connection;
mod pool;
mod mailbox;
mod worker;
mod merge;
mod cgroup;
mod host;
mod machine;
mod preflight;
mod prepare;
mod running;
pub mod rehearsal;

pub use allow::{Allow, InvalidRule, Refused};
pub use host::memory_bytes;
pub use io::{InvalidIo, Io, uring_support};
pub use job::{Job, PrepareError, Secrets};
pub use machine::{Clocks, Descriptors, Machine, Memory, Ports, Processors, stolen_ticks};
pub use mask::Mask;
pub use names::Resolve;
pub use preflight::{Impossible, Part, TIME_WAIT, connections, preflight};
pub use prepare::{Prepared, prepare, prepare_with};
pub use running::{Event, Running};
