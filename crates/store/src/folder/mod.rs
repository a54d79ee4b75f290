//! The store of one machine: a data folder with one SQLite database, `swell.db`.
//!
//! Invariant: a folder has one writer, [`Store`], and any number of readers, beside it or without it.

mod lock;
mod writer;
mod ingest;
mod reader;
mod series;
mod sql;

pub use reader::Reader;
pub use writer::{BUSY_TIMEOUT, Store};
