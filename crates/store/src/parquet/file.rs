//! One file of events while it is written.
//!
//! Sizes: a row group is at most [`ROWS_PER_GROUP`] rows, which a query reads in one piece per thread, and a file as many
//! as one commit brings. Encodings were chosen by measuring (`cargo run --release -p store --example events`): numbers that
//! vary are differences in as few bits as they need, which is faster than a dictionary and smaller; what repeats is a
//! dictionary.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use events::Batch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::columns;

/// Rows of a row group: some 8 MiB of a file, and as much memory while it is written.
const ROWS_PER_GROUP: usize = 1 << 20;

/// Version of the columns; said in each file's footer as `groundswell.schema_version`.
const SCHEMA_VERSION: u32 = 1;

/// Columns whose values are anything: no dictionary, but differences.
const VARYING: [&str; 6] =
    ["timestamp", "latency_ms", "response_time_us", "service_time_us", "send_lag_us", "connection_wait_us"];

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The rows are none of events.
    #[error("{0}")]
    Rows(String),
}

impl From<ParquetError> for WriteError {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(source) => match source.downcast::<io::Error>() {
                Ok(io) => Self::Io(*io),
                Err(other) => Self::Rows(other.to_string()),
            },
            other => Self::Rows(other.to_string()),
        }
    }
}

/// A Parquet file on its way to wherever bytes go, made as the files of a data folder are.
pub struct ParquetFile<W: Write + Send>(ArrowWriter<W>);

impl<W: Write + Send> ParquetFile<W> {
    /// Begins a file with those columns. `run_id` is said in its footer.
    ///
    /// # Errors
    /// The columns have no form in Parquet, or the beginning cannot be written.
    pub fn new(to: W, schema: SchemaRef, run_id: &str) -> io::Result<Self> {
        Self::begin(to, schema, run_id).map_err(io::Error::from)
    }

    fn begin(to: W, schema: SchemaRef, run_id: &str) -> Result<Self, WriteError> {
        let options =
            ArrowWriterOptions::new().with_properties(properties(run_id)).with_skip_arrow_metadata(true);
        Ok(Self(ArrowWriter::try_new_with_options(to, schema, options)?))
    }

    /// Adds rows.
    pub fn write(&mut self, rows: &RecordBatch) -> io::Result<()> {
        self.0.write(rows).map_err(|error| WriteError::from(error).into())
    }

    /// Writes the rest and the footer.
    pub fn finish(&mut self) -> io::Result<()> {
        self.0.finish().map(drop).map_err(|error| WriteError::from(error).into())
    }
}

impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Io(source) => source,
            WriteError::Rows(said) => Self::new(io::ErrorKind::InvalidData, said),
        }
    }
}

/// A file of one run's events that is being written; it is nothing until [`EventFile::finish`] returned.
pub(crate) struct EventFile {
    file: ParquetFile<File>,
    rows: u64,
}

impl EventFile {
    /// Begins a new file of one run at `path`.
    pub(crate) fn create(path: &Path, run_id: &str) -> Result<Self, WriteError> {
        let file = File::options().write(true).create_new(true).open(path)?;
        Ok(Self { file: ParquetFile::begin(file, columns::written(), run_id)?, rows: 0 })
    }

    /// Adds the rows of a batch.
    pub(crate) fn write(&mut self, batch: &Batch) -> Result<(), WriteError> {
        let rows = columns::rows(batch).map_err(|error| WriteError::Rows(error.to_string()))?;
        self.file.0.write(&rows)?;
        self.rows += u64::try_from(rows.num_rows()).unwrap_or(0);
        Ok(())
    }

    /// Writes the rest and the footer; all of it is on the disk when it returns. Says how many rows there are.
    pub(crate) fn finish(mut self) -> Result<u64, WriteError> {
        self.file.0.finish()?;
        self.file.0.inner().sync_all()?;
        Ok(self.rows)
    }
}

fn properties(run_id: &str) -> WriterProperties {
    let said = |key: &str, value: String| KeyValue::new(format!("groundswell.{key}"), value);
    let metadata = vec![
        said("run", run_id.to_owned()),
        said("version", env!("CARGO_PKG_VERSION").to_owned()),
        said("schema_version", SCHEMA_VERSION.to_string()),
    ];
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("groundswell version {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(metadata))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
        // A query skips row groups by time; an index of pages would be read for each file and skip little more.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    for column in VARYING {
        let path = ColumnPath::from(column);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    properties.build()
}
