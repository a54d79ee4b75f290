//! The columns, how rows become columns, and how columns are read.
//!
//! Names and meaning are those of the table `perf_results`. Texts that repeat are dictionaries of their batch.

use std::sync::{Arc, LazyLock};

use arrow_array::builder::{
    Int32Builder, Int64Builder, StringDictionaryBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType, UInt16Type};
use arrow_array::{
    Array, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// Rows of a batch at most: twice what a driver puts into one, and fewer than the words that a dictionary can name.
pub const MAX_ROWS: usize = 16_384;

/// The first microsecond after the year 9999.
const END_US: i64 = 253_402_300_800_000_000;

/// Whether so many Unix microseconds lie in the years 1970 to 9999, which every store has.
pub(crate) fn is_in_range(us: i64) -> bool {
    (0..END_US).contains(&us)
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Row<'a> {
    /// When it was done, in Unix microseconds of the broker's time.
    pub timestamp_us: i64,
    /// Name of its step.
    pub endpoint: &'a str,
    /// Name of the load's stage.
    pub stage: Option<&'a str>,
    /// HTTP status, where there was an answer.
    pub status_code: Option<u16>,
    /// Microseconds from the intended time until it was done.
    pub response_time_us: i64,
    /// Microseconds from sending until it was done.
    pub service_time_us: Option<i64>,
    /// Microseconds that the generator was late.
    pub send_lag_us: Option<i64>,
    /// Microseconds until a connection was there for it.
    pub connection_wait_us: Option<i64>,
    /// Bytes of the answer; more than an `INT` holds is the most that it holds.
    pub bytes_in: Option<u64>,
    /// Bytes of the request, likewise.
    pub bytes_out: Option<u64>,
    /// Why it failed: the kind and, after a colon, its detail, such as `status: 503`; `None` for a success.
    pub error: Option<&'a str>,
}

/// The columns of a batch, in order.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let words = || DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        Arc::new(Schema::new(vec![
            Field::new("timestamp", time, false),
            Field::new("endpoint", words(), false),
            Field::new("stage", words(), true),
            Field::new("status_code", DataType::Int32, true),
            Field::new("response_time_us", DataType::Int64, false),
            Field::new("service_time_us", DataType::Int64, true),
            Field::new("send_lag_us", DataType::Int64, true),
            Field::new("connection_wait_us", DataType::Int64, true),
            Field::new("bytes_in", DataType::Int32, true),
            Field::new("bytes_out", DataType::Int32, true),
            Field::new("error", words(), true),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// A batch that has [`MAX_ROWS`]: finish it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a batch holds at most {MAX_ROWS} rows")]
pub struct Full;

/// Makes batches of rows, one after the other.
pub struct Builder {
    len: usize,
    timestamp: TimestampMicrosecondBuilder,
    endpoint: StringDictionaryBuilder<UInt16Type>,
    stage: StringDictionaryBuilder<UInt16Type>,
    status_code: Int32Builder,
    response_time_us: Int64Builder,
    service_time_us: Int64Builder,
    send_lag_us: Int64Builder,
    connection_wait_us: Int64Builder,
    bytes_in: Int32Builder,
    bytes_out: Int32Builder,
    error: StringDictionaryBuilder<UInt16Type>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// An empty batch.
    pub fn new() -> Self {
        Self {
            len: 0,
            timestamp: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            endpoint: StringDictionaryBuilder::new(),
            stage: StringDictionaryBuilder::new(),
            status_code: Int32Builder::new(),
            response_time_us: Int64Builder::new(),
            service_time_us: Int64Builder::new(),
            send_lag_us: Int64Builder::new(),
            connection_wait_us: Int64Builder::new(),
            bytes_in: Int32Builder::new(),
            bytes_out: Int32Builder::new(),
            error: StringDictionaryBuilder::new(),
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`Full`], and then the row is not in the batch.
    pub fn push(&mut self, row: &Row<'_>) -> Result<(), Full> {
        if self.len == MAX_ROWS {
            return Err(Full);
        }
        self.len += 1;
        self.timestamp.append_value(row.timestamp_us);
        self.endpoint.append_value(row.endpoint);
        self.stage.append_option(row.stage);
        self.status_code.append_option(row.status_code.map(i32::from));
        self.response_time_us.append_value(row.response_time_us);
        self.service_time_us.append_option(row.service_time_us);
        self.send_lag_us.append_option(row.send_lag_us);
        self.connection_wait_us.append_option(row.connection_wait_us);
        self.bytes_in.append_option(row.bytes_in.map(int));
        self.bytes_out.append_option(row.bytes_out.map(int));
        self.error.append_option(row.error);
        Ok(())
    }

    /// Rows since the last batch.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no row since the last batch.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The rows since the last batch, as a batch of [`schema`].
    pub fn finish(&mut self) -> RecordBatch {
        self.len = 0;
        let columns: Vec<Arc<dyn Array>> = vec![
            Arc::new(self.timestamp.finish()),
            Arc::new(self.endpoint.finish()),
            Arc::new(self.stage.finish()),
            Arc::new(self.status_code.finish()),
            Arc::new(self.response_time_us.finish()),
            Arc::new(self.service_time_us.finish()),
            Arc::new(self.send_lag_us.finish()),
            Arc::new(self.connection_wait_us.finish()),
            Arc::new(self.bytes_in.finish()),
            Arc::new(self.bytes_out.finish()),
            Arc::new(self.error.finish()),
        ];
        // The columns are those of the schema, and each has a value per row.
        RecordBatch::try_new(schema(), columns).unwrap_or_else(|_| RecordBatch::new_empty(schema()))
    }
}

fn int(bytes: u64) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

/// A column of texts that repeat.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// For each row the number of its word, or null.
    pub keys: &'a arrow_array::PrimitiveArray<UInt16Type>,
    /// The words.
    pub words: &'a StringArray,
}

impl<'a> Words<'a> {
    fn of(column: &'a dyn Array) -> Option<Self> {
        let column: &DictionaryArray<UInt16Type> = column.as_dictionary_opt()?;
        Some(Self { keys: column.keys(), words: column.values().as_string_opt()? })
    }

    /// The word of a row.
    pub fn get(&self, row: usize) -> Option<&'a str> {
        self.keys.is_valid(row).then(|| self.words.value(usize::from(self.keys.value(row))))
    }
}

/// The columns of a batch, each as what it is.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "as in `Row`")]
pub struct Columns<'a> {
    pub timestamp: &'a TimestampMicrosecondArray,
    pub endpoint: Words<'a>,
    pub stage: Words<'a>,
    pub status_code: &'a Int32Array,
    pub response_time_us: &'a Int64Array,
    pub service_time_us: &'a Int64Array,
    pub send_lag_us: &'a Int64Array,
    pub connection_wait_us: &'a Int64Array,
    pub bytes_in: &'a Int32Array,
    pub bytes_out: &'a Int32Array,
    pub error: Words<'a>,
}

impl<'a> Columns<'a> {
    /// The columns of `rows`; `None` when they are not of [`schema`].
    pub fn of(rows: &'a RecordBatch) -> Option<Self> {
        if rows.schema_ref().fields() != schema().fields() {
            return None;
        }
        let long = |at: usize| rows.column(at).as_primitive_opt::<Int64Type>();
        let int = |at: usize| rows.column(at).as_primitive_opt::<Int32Type>();
        Some(Self {
            timestamp: rows.column(0).as_primitive_opt::<TimestampMicrosecondType>()?,
            endpoint: Words::of(rows.column(1))?,
            stage: Words::of(rows.column(2))?,
            status_code: int(3)?,
            response_time_us: long(4)?,
            service_time_us: long(5)?,
            send_lag_us: long(6)?,
            connection_wait_us: long(7)?,
            bytes_in: int(8)?,
            bytes_out: int(9)?,
            error: Words::of(rows.column(10))?,
        })
    }

    /// One row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, at: usize) -> Row<'a> {
        let long = |column: &Int64Array| column.is_valid(at).then(|| column.value(at));
        let bytes =
            |column: &Int32Array| column.is_valid(at).then(|| u64::try_from(column.value(at)).unwrap_or(0));
        Row {
            timestamp_us: self.timestamp.value(at),
            endpoint: self.endpoint.get(at).unwrap_or(""),
            stage: self.stage.get(at),
            status_code: self
                .status_code
                .is_valid(at)
                .then(|| u16::try_from(self.status_code.value(at)).unwrap_or(0)),
            response_time_us: self.response_time_us.value(at),
            service_time_us: long(self.service_time_us),
            send_lag_us: long(self.send_lag_us),
            connection_wait_us: long(self.connection_wait_us),
            bytes_in: bytes(self.bytes_in),
            bytes_out: bytes(self.bytes_out),
            error: self.error.get(at),
        }
    }
}
