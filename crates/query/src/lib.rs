//! SQL over the runs of a data folder, and its rows in the files of other tools.
//!
//! Tables have the names and columns that they have in PostgreSQL, and functions the names of the schema `swell` there,
//! so that a query moves between the two. Raw events are read from their Parquet files, everything else from the
//! database, and only when a query asks for it.
//!
//! Invariants: nothing is written, and nothing read that is not of the runs asked for; what a query groups, sorts and joins
//! has a bound in memory. Its window functions have none: DataFusion holds the rows of a partition unaccounted. Deliberately absent: which runs there are and how they are named on a command line.

mod fault;
mod tables;
mod engine;
mod sink;

pub use engine::{Answer, Engine, MEMORY_BYTES};
pub use fault::Fault;
pub use sink::{Form, Sink, sink};
pub use tables::{Table, rows};
