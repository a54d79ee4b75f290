//! The raw events of a run, read back.
//!
//! Nothing is sorted, and what is held does not grow with the rows: they come as the table has them, without TimescaleDB in
//! the order in which they were stored. Rows that somebody else wrote may lack what ours always have; what stands for it is
//! nothing, or 0.

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field};
use tokio_postgres::binary_copy::BinaryCopyOutRow;
use tokio_postgres::types::Type;

use super::copy::EPOCH_US;
use super::session::{CopyOut, Link};
use super::{Address, Fault, schema};
use crate::Error;
use crate::parquet::{ROWS, perf_results};

/// The rows of a run, in batches of [`crate::perf_results`] of some thousand rows.
#[derive(Debug)]
pub struct EventRows {
    run_id: String,
    /// `None` after the last row, or a fault.
    rows: Option<CopyOut>,
}

impl EventRows {
    /// Opens a database that has our tables, over a connection of its own.
    pub fn open(address: &Address, run_id: &str) -> Result<Self, Error> {
        let statement = format!(
            "COPY (SELECT timestamp, test_run_id, coalesce(worker_id, ''), coalesce(endpoint, ''), coalesce(latency_ms, 0), \
             status_code, coalesce(response_time_us, latency_ms::BIGINT * 1000, 0), service_time_us, send_lag_us, bytes_in, \
             bytes_out, error, connection_wait_us, stage FROM perf_results WHERE test_run_id = {}) TO STDOUT (FORMAT binary)",
            schema::literal(run_id)
        );
        let types: Vec<Type> = columns().iter().map(Column::sent_as).collect();
        let rows = Link::open(address)?.copy_out(&statement, &types)?;
        Ok(Self { run_id: run_id.to_owned(), rows: Some(rows) })
    }

    fn step(&mut self) -> Result<Option<RecordBatch>, Error> {
        let Some(rows) = &mut self.rows else { return Ok(None) };
        let mut columns = columns();
        let count = rows.take(ROWS, |row| {
            columns.iter_mut().enumerate().try_for_each(|(at, column)| Ok(column.push(row, at)?))
        })?;
        let place = rows.address().to_string();
        if count < ROWS {
            self.rows = None;
        }
        if count == 0 {
            return Ok(None);
        }
        let columns = columns.into_iter().map(Column::finish).collect();
        let damaged =
            |error| Fault::Damaged { place, detail: format!("raw events of {}: {error}", self.run_id) };
        Ok(Some(RecordBatch::try_new(perf_results(), columns).map_err(damaged)?))
    }
}

impl Iterator for EventRows {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.step().transpose();
        if matches!(next, Some(Err(_))) {
            // What comes after a fault would look like all there is.
            self.rows = None;
        }
        next
    }
}

/// A column of a batch while its rows come.
enum Column {
    Time(TimestampMicrosecondBuilder),
    Text(StringBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
}

fn columns() -> Vec<Column> {
    perf_results().fields().iter().map(|field| Column::of(field)).collect()
}

impl Column {
    fn of(field: &Field) -> Self {
        match field.data_type() {
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Int32 => Self::Int(Int32Builder::with_capacity(ROWS)),
            DataType::Int64 => Self::Long(Int64Builder::with_capacity(ROWS)),
            other => {
                Self::Time(TimestampMicrosecondBuilder::with_capacity(ROWS).with_data_type(other.clone()))
            }
        }
    }

    /// A time is read as the number of microseconds that it is sent as.
    fn sent_as(&self) -> Type {
        match self {
            Self::Text(_) => Type::TEXT,
            Self::Int(_) => Type::INT4,
            Self::Time(_) | Self::Long(_) => Type::INT8,
        }
    }

    fn push(&mut self, row: &BinaryCopyOutRow, at: usize) -> Result<(), tokio_postgres::Error> {
        match self {
            Self::Time(times) => times.append_value(row.try_get::<i64>(at)?.saturating_add(EPOCH_US)),
            Self::Text(texts) => texts.append_option(row.try_get::<Option<&str>>(at)?),
            Self::Int(ints) => ints.append_option(row.try_get(at)?),
            Self::Long(longs) => longs.append_option(row.try_get(at)?),
        }
        Ok(())
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Time(mut times) => Arc::new(times.finish()),
            Self::Text(mut texts) => Arc::new(texts.finish()),
            Self::Int(mut ints) => Arc::new(ints.finish()),
            Self::Long(mut longs) => Arc::new(longs.finish()),
        }
    }
}
