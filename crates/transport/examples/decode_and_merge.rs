//! What a second of a big fleet costs its collector: `cargo run --release -p transport --example decode_and_merge`.
//!
//! Messages of 100 drivers with 500 steps are decoded from the bytes of the wire and merged; CPU time of one core, the
//! least of seven goes, since machines are shared.

#![expect(clippy::print_stdout, reason = "an example that prints figures")]

use std::hint::black_box;
use std::time::Duration;

use fastrand::Rng;
use metrics::{DriverWindow, Exchange, Gauges, Merged, Outcome, Pages, Recorder, Times};
use plan::{StageId, StepId};
use transport::{Message, Metrics, MetricsOurs, Summary, Topic, Uuid, wire};

const DRIVERS: u64 = 100;
const STEPS: u16 = 500;

fn main() {
    for requests in [10, 100] {
        let messages: Vec<Vec<u8>> = (0..DRIVERS).flat_map(|driver| messages(driver, requests)).collect();
        let bytes: usize = messages.iter().map(Vec::len).sum();
        let goes = (0..7).map(|_| {
            let start = clock::thread_cpu();
            let mut merged = Merged::new();
            for message in &messages {
                take(&mut merged, message);
            }
            black_box(&merged);
            clock::thread_cpu() - start
        });
        let least = goes.min().unwrap_or(Duration::ZERO);
        println!(
            "decode and merge {DRIVERS} drivers × {STEPS} steps × {requests} requests, {} messages of {} kB: {} ms",
            messages.len(),
            bytes / messages.len() / 1000,
            least.as_millis()
        );
    }
}

fn take(merged: &mut Merged, message: &[u8]) {
    if let Ok(Message::Metrics(report)) = wire::decode(Topic::Metrics, message)
        && let Some(window) = report.ours.and_then(|ours| ours.window)
    {
        merged.add(&report.node_id, &window);
    }
}

/// The messages of one driver about one second.
fn messages(driver: u64, requests: u64) -> Vec<Vec<u8>> {
    let parts = wire::split(window(&mut Rng::with_seed(driver), requests));
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let encoded = parts.into_iter().zip(0..).map(|(window, part)| {
        let ours = MetricsOurs {
            incarnation: Uuid::from_u64_pair(1, driver),
            seq: 0,
            part,
            parts: count,
            second: 0,
            requests_sent: requests * u64::from(STEPS),
            window: Some(window),
            fin: None,
        };
        let report = Metrics {
            node_id: format!("d{driver}"),
            test_id: "bench".to_owned(),
            report_id: format!("{driver}-{part}"),
            summary: Summary::default(),
            ours: Some(ours),
        };
        wire::encode(&Message::Metrics(report)).expect("a part fits a message").value
    });
    encoded.collect()
}

/// A second in which each step had so many requests, around 800 µs with a long tail.
fn window(rng: &mut Rng, requests: u64) -> DriverWindow {
    let mut recorder = Recorder::new(usize::from(STEPS), 1, 0);
    for step in (0..STEPS).flat_map(|step| (0..requests).map(move |_| step)) {
        let intended = rng.u64(0..900_000_000);
        let sent = intended + rng.u64(5_000..60_000);
        let tail = if rng.u8(0..100) == 0 { 20 } else { 1 };
        let done = sent + rng.u64(400_000..1_200_000) * tail;
        let times = Times { intended, usable: intended, sent, done };
        recorder.due(StageId(0));
        recorder.started(StageId(0));
        recorder.sent(StepId(step), StageId(0), &times);
        let exchange = Exchange { status: 200, bytes_in: 160, bytes_out: 120 };
        recorder.done(StepId(step), StageId(0), &times, Outcome::Success(200), exchange);
    }
    let mut pages = recorder.cut(1, Gauges::default(), Pages::new(usize::from(STEPS), 1));
    pages.drain()
}
