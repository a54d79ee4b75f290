//! The rows of runs: tables made of what a data folder keeps, written in the forms of other tools.
//!
//! Tables have the names and columns that they have in PostgreSQL. Raw events come from their Parquet files, everything
//! else from the database.
//!
//! Invariant: what is held does not grow with the rows that are read and written. Deliberately absent: which runs there are
//! and how they are named on a command line.

mod fault;
mod tables;
mod sink;

pub use fault::Fault;
pub use sink::{Form, Sink, sink};
pub use tables::{Table, rows};
