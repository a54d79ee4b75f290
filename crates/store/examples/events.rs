//! Rows a second and bytes a row of the Parquet store of raw events, one thread, with commits of a given size:
//! `cargo run --release -p store --example events [ROWS_PER_COMMIT]`.
//!
//! The rows are like those of a run: ten steps of different speed, log-normal times, 1 % failures, two workers.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement says what it found, and ends where it fails"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "numbers of synthetic requests"
)]

use events::{Batch, Builder, Identity, Row};
use store::{EventStore, Events, Span};
use uuid::Uuid;

/// Rows of a batch: what a driver flushes.
const BATCH: usize = 8_192;

/// Rows of the measurement.
const ROWS: usize = 8_000_000;

/// A normal number, by the sum of uniform ones.
fn normal(random: &mut fastrand::Rng) -> f64 {
    (0..12).map(|_| random.f64()).sum::<f64>() - 6.0
}

/// What one worker measured, at 100,000 requests a second.
fn batch(random: &mut fastrand::Rng, worker: u64, number: u64) -> Batch {
    const STEPS: [&str; 10] = [
        "GET /",
        "GET /api/products",
        "GET /api/products/{id}",
        "POST /cart",
        "GET /cart",
        "POST /checkout",
        "GET /orders",
        "GET /orders/{id}",
        "GET /search",
        "GET /health",
    ];
    let mut builder = Builder::new();
    let begin = 1_772_000_000_000_000 + number as i64 * BATCH as i64 * 10;
    for at in 0..BATCH {
        let step = random.usize(..STEPS.len());
        let service = (1_000.0 * (step + 1) as f64 * (0.4 * normal(random)).exp()) as i64;
        let (lag, wait) = (random.i64(20..80), if random.u8(..) == 0 { random.i64(0..2_000) } else { 0 });
        let failed = random.u8(..100) == 0;
        let row = Row {
            timestamp_us: begin + at as i64 * 10 + random.i64(0..10),
            endpoint: STEPS[step],
            stage: Some("hold"),
            status_code: Some(if failed { 503 } else { 200 }),
            response_time_us: service + lag + wait,
            service_time_us: Some(service),
            send_lag_us: Some(lag),
            connection_wait_us: Some(wait),
            bytes_in: Some(500 * (step as u64 + 1) + random.u64(..64)),
            bytes_out: Some(180),
            error: failed.then_some("status: 503"),
        };
        builder.push(&row).unwrap();
    }
    let identity = Identity { incarnation: Uuid::from_u128(u128::from(worker)), number };
    Batch {
        run_id: "0198c0de-run".to_owned(),
        worker_id: format!("d{worker}"),
        identity: Some(identity),
        rows: builder.finish(),
    }
}

fn main() {
    let per_commit: usize = std::env::args().nth(1).map_or(1_000_000, |rows| rows.parse().unwrap());
    let mut random = fastrand::Rng::with_seed(1);
    // Fewer batches than rows, each used under many numbers: making them is no part of the measurement.
    let made: Vec<Batch> = (0..32).map(|number| batch(&mut random, number % 2, number / 2)).collect();
    let folder = tempfile::tempdir_in(".").unwrap();
    let mut events = Events::open(folder.path()).unwrap();
    let (mut rows, mut number, mut commits) = (0, 0u64, 0);
    let (begin, cpu) = (clock::now(), clock::process_cpu());
    while rows < ROWS {
        let batches: Vec<Batch> = (0..per_commit.div_ceil(BATCH))
            .map(|_| {
                let batch = &made[number as usize % made.len()];
                let identity = Identity { number, ..batch.identity.unwrap() };
                number += 1;
                Batch { identity: Some(identity), ..batch.clone() }
            })
            .collect();
        let part = Span {
            topic: "t".to_owned(),
            partition: 0,
            from: (commits > 0).then_some(commits),
            next_offset: commits + 1,
        };
        rows += events.store(&[part], &batches).unwrap().rows as usize;
        commits += 1;
    }
    let seconds = clock::now().since(begin).as_secs_f64();
    let cpu = (clock::process_cpu() - cpu).as_secs_f64();
    let files = std::fs::read_dir(folder.path().join("runs/0198c0de-run")).unwrap();
    let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    println!(
        "{rows} rows in {commits} commits: {:.2} million rows/s, {:.2} million rows per CPU second, {:.2} bytes/row",
        rows as f64 / seconds / 1e6,
        rows as f64 / cpu / 1e6,
        bytes as f64 / rows as f64
    );
}
