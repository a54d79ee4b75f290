//! Raw events from their columns to the rows of `perf_results`.
//!
//! What repeats in a batch (run, worker, endpoints, stages, errors) is encoded once and copied into each row.

use arrow_array::{Array, Int32Array, Int64Array};
use bytes::Bytes;
use events::{Batch, Columns, Words};
use futures_util::SinkExt as _;

use super::copy::Encoder;
use super::error::Failure;
use super::session::Db;

const COLUMNS: i16 = 14;
const NULL: [u8; 4] = (-1i32).to_be_bytes();

/// The rows of batches of one run, sent to `relation`.
pub(super) async fn send(db: &Db, relation: &str, batches: &[&Batch]) -> Result<u64, Failure> {
    let statement = format!(
        "COPY {relation} (timestamp, test_run_id, worker_id, endpoint, latency_ms, status_code, response_time_us, \
         service_time_us, send_lag_us, bytes_in, bytes_out, error, connection_wait_us, stage) FROM STDIN (FORMAT binary)"
    );
    let mut sink = std::pin::pin!(db.copy_in(&statement).await?);
    let mut rows = Encoder::new();
    for batch in batches {
        // What came from a driver or a client has been checked; anything else has no rows that we know.
        let Some(columns) = batch.columns() else { continue };
        let mut encoded = Encoded::new(batch, &columns);
        let mut at = 0;
        while at < batch.len() {
            at = encoded.put(at, &mut rows);
            if let Some(chunk) = rows.chunk() {
                sink.feed(chunk).await?;
            }
        }
    }
    let rest: Bytes = rows.end();
    sink.feed(rest).await?;
    Ok(sink.finish().await?)
}

/// A batch, with what repeats in it encoded.
struct Encoded<'a> {
    columns: &'a Columns<'a>,
    rows: usize,
    /// Run and worker.
    names: Vec<u8>,
    endpoints: Vec<Vec<u8>>,
    stages: Vec<Vec<u8>>,
    errors: Vec<Vec<u8>>,
}

/// Rows that are encoded before it is looked whether a chunk is full.
const ROWS_AT_ONCE: usize = 512;

impl<'a> Encoded<'a> {
    fn new(batch: &Batch, columns: &'a Columns<'a>) -> Self {
        let names = Encoder::part(|part| {
            part.text(&batch.run_id);
            part.text(&batch.worker_id);
        });
        let words = |words: &Words<'_>| {
            let word = |at: usize| Encoder::part(|part| part.text(words.words.value(at)));
            (0..words.words.len()).map(word).collect()
        };
        let (endpoints, stages, errors) =
            (words(&columns.endpoint), words(&columns.stage), words(&columns.error));
        Self { columns, rows: batch.len(), names, endpoints, stages, errors }
    }

    /// Encodes some rows from `from` on, and says where it stopped.
    fn put(&mut self, from: usize, to: &mut Encoder) -> usize {
        let end = (from + ROWS_AT_ONCE).min(self.rows);
        let columns = self.columns;
        for at in from..end {
            to.row(COLUMNS);
            to.timestamp(columns.timestamp.value(at));
            to.raw(&self.names);
            word(to, &columns.endpoint, &self.endpoints, at);
            let response_time_us = columns.response_time_us.value(at);
            to.int(milliseconds(response_time_us));
            int(to, columns.status_code, at);
            to.long(response_time_us);
            long(to, columns.service_time_us, at);
            long(to, columns.send_lag_us, at);
            int(to, columns.bytes_in, at);
            int(to, columns.bytes_out, at);
            word(to, &columns.error, &self.errors, at);
            long(to, columns.connection_wait_us, at);
            word(to, &columns.stage, &self.stages, at);
        }
        end
    }
}

/// Whole milliseconds, rounded; more than an `INT` holds is the most that it holds.
fn milliseconds(us: i64) -> i32 {
    i32::try_from(us.saturating_add(500).div_euclid(1000)).unwrap_or(if us < 0 { i32::MIN } else { i32::MAX })
}

#[inline]
fn word(to: &mut Encoder, words: &Words<'_>, encoded: &[Vec<u8>], at: usize) {
    let known = words.keys.is_valid(at).then(|| encoded.get(usize::from(words.keys.value(at)))).flatten();
    to.raw(known.map_or(&NULL[..], Vec::as_slice));
}

#[inline]
fn int(to: &mut Encoder, column: &Int32Array, at: usize) {
    if column.is_valid(at) { to.int(column.value(at)) } else { to.null() }
}

#[inline]
fn long(to: &mut Encoder, column: &Int64Array, at: usize) {
    if column.is_valid(at) { to.long(column.value(at)) } else { to.null() }
}
