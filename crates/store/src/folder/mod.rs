//! The store of one machine: a data folder with one SQLite database, `swell.db`, and Parquet files for raw events.
//!
//! Invariant: a folder belongs to one process, whose [`Store`] writes runs and windows and whose [`Events`] write raw
//! events; it has any number of readers, beside that process or without it.

mod lock;
mod writer;
mod ingest;
mod reader;
mod place;
mod events;
mod series;
mod sql;

pub use events::{Events, event_files};
pub use reader::Reader;
pub use writer::{BUSY_TIMEOUT, Store};
