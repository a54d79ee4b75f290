//! The columns of `perf_results`, and how a batch gets them.

use std::sync::{Arc, LazyLock};

use arrow_array::types::UInt16Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray, UInt16Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use events::Batch;

/// The columns of `perf_results`, with texts as plain strings.
pub fn perf_results() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| schema(&DataType::Utf8));
    Arc::clone(&SCHEMA)
}

/// The same columns with texts as dictionaries, as they are written.
pub(crate) fn written() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> =
        LazyLock::new(|| schema(&DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8))));
    Arc::clone(&SCHEMA)
}

fn schema(text: &DataType) -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("timestamp", time, false),
        Field::new("test_run_id", text.clone(), false),
        Field::new("worker_id", text.clone(), false),
        Field::new("endpoint", text.clone(), false),
        Field::new("latency_ms", DataType::Int32, false),
        Field::new("status_code", DataType::Int32, true),
        Field::new("response_time_us", DataType::Int64, false),
        Field::new("service_time_us", DataType::Int64, true),
        Field::new("send_lag_us", DataType::Int64, true),
        Field::new("bytes_in", DataType::Int32, true),
        Field::new("bytes_out", DataType::Int32, true),
        Field::new("error", text.clone(), true),
        Field::new("connection_wait_us", DataType::Int64, true),
        Field::new("stage", text.clone(), true),
    ]))
}

/// The rows of a batch as rows of [`written`].
///
/// # Errors
/// When the rows are not of [`events::schema`].
pub(crate) fn rows(batch: &Batch) -> Result<RecordBatch, ArrowError> {
    let Some(columns) = batch.columns() else {
        return Err(ArrowError::SchemaError("these are no rows of events".to_owned()));
    };
    let rows = &batch.rows;
    let column = |at: usize| Arc::clone(rows.column(at));
    let columns: Vec<ArrayRef> = vec![
        column(0),
        one_word(&batch.run_id, rows.num_rows())?,
        one_word(&batch.worker_id, rows.num_rows())?,
        column(1),
        Arc::new(latency_ms(columns.response_time_us)),
        column(3),
        column(4),
        column(5),
        column(6),
        column(8),
        column(9),
        column(10),
        column(7),
        column(2),
    ];
    RecordBatch::try_new(written(), columns)
}

/// A column in which each row says the same.
fn one_word(word: &str, rows: usize) -> Result<ArrayRef, ArrowError> {
    let words = StringArray::from_iter_values([word]);
    let keys = UInt16Array::from_value(0, rows);
    Ok(Arc::new(DictionaryArray::<UInt16Type>::try_new(keys, Arc::new(words))?))
}

/// Whole milliseconds, rounded half up; what an `INT` does not hold is the most that it holds.
pub(crate) fn latency_ms(response_time_us: &Int64Array) -> Int32Array {
    let rounded = |us: i64| {
        let ms = us.div_euclid(1_000) + i64::from(us.rem_euclid(1_000) >= 500);
        i32::try_from(ms).unwrap_or(if ms < 0 { i32::MIN } else { i32::MAX })
    };
    debug_assert_eq!(response_time_us.null_count(), 0, "the column may not be null");
    response_time_us.unary(rounded)
}
