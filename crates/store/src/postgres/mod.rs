//! The store that several machines share: PostgreSQL, with TimescaleDB where the extension is there.
//!
//! The same rows as in a data folder, in tables that people and dashboards read, and each raw event in `perf_results`.
//! Invariant: what belongs together is in one transaction, and no call waits for ever. Deliberately absent: making or
//! changing tables by the way, which only `swell db` does.

mod address;
mod passfile;
mod error;
mod tls;
mod lock;
mod session;
mod schema;
mod admin;
mod copy;
mod windows;
mod series;
mod writer;
mod reader;
mod rows;
mod events;
mod event_rows;

pub use address::{Address, Environment};
pub use admin::{Done, Prune, READER_ROLE, Reading, Relation, Setup, Status, init, migrate, prune, status};
pub use error::Fault;
pub use event_rows::EventRows;
pub use events::Events;
pub use reader::Reader;
pub use writer::Store;

/// The oldest PostgreSQL that has all that is used here (`date_bin`).
pub const MIN_VERSION: i32 = 14;
