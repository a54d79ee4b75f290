//! Writes what was measured and reads it back: a data folder with one SQLite database, `swell.db`, and Parquet files of
//! raw events; or a PostgreSQL database that several machines share.
//!
//! [`Store`] writes, [`Reader`] reads, [`Location`] says where; [`EventStore`] takes raw events. What a driver reports is kept
//! merged over drivers by second, with each driver's totals beside it, so that a run can be rebuilt bit for bit after a
//! restart.
//!
//! Invariants: a [`Batch`] is stored whole or not at all, each of its reports once however often it comes, and the read
//! positions move in the same transaction. Deliberately absent: judging, percentiles and everything else that
//! interprets numbers, which `metrics` does; the meaning of states, which belongs to `cluster`.

mod error;
mod rows;
mod seconds;
mod points;
mod kept;
mod events;
mod parquet;
mod folder;
pub mod postgres;
mod store;

pub use error::Error;
pub use events::{Claimed, EventStore, Peer, Poison, Portion, SharedEvents, Span, Stored};
pub use folder::{BUSY_TIMEOUT, Events, event_files};
pub use parquet::{EventRows, ParquetFile, perf_results};
pub use points::{MAX_POINTS, Point, PointIterations, PointRequests, PointStates};
pub use rows::{
    Batch, Delivery, EventRow, Figures, Identity, Ingested, MAX_EVENTS, MAX_PAGE, Position, Resolution,
    RunLine, RunRow,
};
pub use seconds::DriverSecond;
pub use store::{Location, Reader, RecordBatches, Store, event_rows, open_events};
