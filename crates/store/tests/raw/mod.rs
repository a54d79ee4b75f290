//! Batches of raw events made of numbers, and a folder to put them into.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part of it, and fails where it fails")]

use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use events::{Batch, Builder, Identity, Row};
use store::{EventRows, Events, Span, event_files};
use tempfile::TempDir;
use uuid::Uuid;

/// A new folder.
pub fn folder() -> (TempDir, Events) {
    let dir = tempfile::tempdir().unwrap();
    let events = Events::open(dir.path()).unwrap();
    (dir, events)
}

pub fn span(partition: i32, from: Option<i64>, next_offset: i64) -> Span {
    Span { topic: "c/t".to_owned(), partition, from, next_offset }
}

/// Batch `number` of a worker; each of its rows carries the number as `bytes_out`.
pub fn batch(run_id: &str, worker_id: &str, number: u64, rows: i64) -> Batch {
    let mut builder = Builder::new();
    for at in 0..rows {
        let odd = at % 2 == 1;
        let row = Row {
            timestamp_us: 1_772_367_022_000_000 + at * 1_000,
            endpoint: if odd { "POST /cart" } else { "GET /" },
            stage: (!odd).then_some("hold"),
            status_code: Some(if odd { 503 } else { 200 }),
            response_time_us: [499, 1_499, 2_500, 5_000_000_000_000][usize::try_from(at % 4).unwrap()],
            service_time_us: Some(400),
            send_lag_us: (!odd).then_some(9),
            connection_wait_us: Some(0),
            bytes_in: Some(1_000),
            bytes_out: Some(number),
            error: odd.then_some("status: 503"),
        };
        builder.push(&row).unwrap();
    }
    let identity = Identity { incarnation: Uuid::from_u128(8), number };
    Batch {
        run_id: run_id.to_owned(),
        worker_id: worker_id.to_owned(),
        identity: Some(identity),
        rows: builder.finish(),
    }
}

/// A batch of a foreign client.
pub fn loose(run_id: &str, worker_id: &str, rows: i64) -> Batch {
    Batch { identity: None, ..batch(run_id, worker_id, 0, rows) }
}

/// The numbers of the batches that rows are of, each as often as it changes.
pub fn number_of(rows: &RecordBatch) -> Vec<i32> {
    let mut numbers = rows["bytes_out"].as_primitive::<Int32Type>().values().to_vec();
    numbers.dedup();
    numbers
}

pub fn rows_of(dir: &Path, run_id: &str) -> usize {
    EventRows::of(event_files(dir, run_id).unwrap()).map(|rows| rows.unwrap().num_rows()).sum()
}
