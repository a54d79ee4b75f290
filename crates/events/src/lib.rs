//! Raw events: one row per request, in columns, on their way from a driver to a store.
//!
//! A [`Builder`] takes rows and makes a record batch of [`schema`]; [`encode`] and [`decode`] are the bytes between. A
//! batch names its own endpoints, stages and errors, so that whoever reads it needs no plan.
//!
//! Invariant: whatever the bytes, decoding returns, and what it accepts has exactly these columns, text and times that every
//! store takes, and at most [`MAX_ROWS`] rows. Deliberately absent: run and worker as columns (a batch has one of each), and what can be computed
//! from a row.

mod rows;
mod batch;
mod ipc;

pub use batch::{Batch, Identity};
pub use ipc::{Malformed, decode, encode};
pub use rows::{Builder, Columns, Full, MAX_ROWS, Row, Words, schema};
