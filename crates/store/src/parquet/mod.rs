//! Raw events as Parquet files: which columns they have, how they are written and read.
//!
//! Invariant: the columns are those of the table `perf_results`, under the same names and in plain types, so that any
//! reader of Parquet opens a file as it is. Deliberately absent: where files lie and when they count, which is the
//! business of the folder.

mod columns;
mod file;
mod reading;

pub use columns::perf_results;
pub use file::ParquetFile;
pub(crate) use file::{EventFile, WriteError};
pub use reading::EventRows;
pub(crate) use reading::ROWS;
