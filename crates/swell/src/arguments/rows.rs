//! The command lines of `sql` and `export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Storage;

#[derive(Debug, Args)]
pub struct Sql {
    /// The run: its identity, the beginning of it, `last`, or `all`
    #[arg(value_name = "RUN")]
    pub run: String,

    /// The query, or `-` for standard input
    #[arg(value_name = "QUERY")]
    pub query: String,

    /// Form of the answer; by default a table on a terminal, else CSV
    #[arg(short, long, value_enum)]
    pub format: Option<RowFormat>,

    /// Memory that the query may take, in MiB
    #[arg(long, default_value_t = 1024, value_name = "MIB", value_parser = clap::value_parser!(u64).range(16..=1_048_576))]
    pub memory: u64,

    #[command(flatten)]
    pub storage: Storage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// Columns for people
    Table,
    /// Comma-separated values
    Csv,
    /// An array of objects
    Json,
    /// One JSON object a line
    Ndjson,
}

#[derive(Debug, Args)]
pub struct Export {
    /// The run: its identity, the beginning of it, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,

    /// Form of the file
    #[arg(short, long, value_enum)]
    pub format: ExportFormat,

    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Overwrite the file that is there
    #[arg(long, requires = "output")]
    pub force: bool,

    /// Which rows
    #[arg(long, value_enum, default_value_t = What::Events)]
    pub what: What,

    #[command(flatten)]
    pub storage: Storage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Comma-separated values
    Csv,
    /// Result file of JMeter
    Jtl,
    /// Parquet, compressed by zstd
    Parquet,
    /// An array of objects
    Json,
    /// One JSON object a line
    Ndjson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// One row per recorded request
    Events,
    /// One row per step, stage and second, with histograms
    Windows,
    /// One row per stage and second: iterations due, started and missed
    Iterations,
    /// One row per step, stage, second and kind of failure
    Errors,
    /// One row per driver and second
    Drivers,
    /// One row per line of the run's timeline
    Timeline,
    /// The run itself, one row
    Run,
}
