//! What measuring costs: `cargo run --release -p metrics --example cost`.
//!
//! Prints ns per event of the recorder, and the time in which one core decodes and merges a second of a big fleet. All
//! of it is CPU time, since these machines are shared.

#![expect(clippy::print_stdout, reason = "an example that prints figures")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;

use fastrand::Rng;
use metrics::codec::{decode_window, encode_window};
use metrics::{Exchange, Gauges, Histogram, Merged, Outcome, Pages, Recorder, Times, Timing, tap};
use plan::{Events, StageId, StepId};
use rustix::time::{ClockId, clock_gettime};

/// CPU time of this thread in ns.
fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// The least of seven goes, in ns: what the code takes when others leave the caches alone.
fn least_ns(mut work: impl FnMut()) -> f64 {
    let goes = (0..7).map(|_| {
        let start = cpu_ns();
        work();
        cpu_ns() - start
    });
    goes.fold(f64::INFINITY, f64::min)
}

fn main() {
    recording();
    for requests in [10, 100] {
        fleet(requests);
    }
}

fn recording() {
    const EVENTS: usize = 1 << 20;
    let mut rng = Rng::with_seed(1);
    let durations: Vec<u64> = (0..EVENTS).map(|_| common::latency_ns(&mut rng, 800_000)).collect();

    let mut histogram = Histogram::new();
    let ns = least_ns(|| durations.iter().for_each(|&ns| histogram.record(ns)));
    println!("histogram, per value                {:6.1} ns", ns / EVENTS as f64);
    black_box(&histogram);

    let mut timing = Timing::new();
    let ns = least_ns(|| durations.iter().for_each(|&ns| timing.record(ns)));
    println!("timing, per value                   {:6.1} ns", ns / EVENTS as f64);
    black_box(&timing);

    for (steps, events) in [(1u16, Events::None), (500, Events::None), (1, Events::Errors), (1, Events::All)]
    {
        let (tap, mut samples) = tap(events, 1, 1 << 10).unzip();
        let mut recorder = Recorder::new(usize::from(steps), 1, 0).with_tap(tap);
        let mut step = 0;
        let ns = least_ns(|| {
            let mut at = 0;
            for &duration in &durations {
                step = if step + 1 == steps { 0 } else { step + 1 };
                let (row, stage) = (StepId(step), StageId(0));
                at += 1_000;
                let times =
                    Times { intended: at, usable: at, sent: at + duration % 9_000, done: at + duration };
                recorder.due(stage);
                recorder.started(stage);
                recorder.sent(row, stage, &times);
                let exchange = Exchange { status: 200, bytes_in: 250, bytes_out: 60 };
                recorder.done(row, stage, &times, Outcome::Success(200), exchange);
                if at % (1_000 << 10) == 0
                    && let Some(samples) = &mut samples
                {
                    samples.take(usize::MAX, |sample| _ = black_box(sample.outcome));
                }
                recorder.completed(stage, times.intended, times.done);
            }
        });
        let ns = ns / EVENTS as f64;
        println!("recorder, {steps:3} steps, per request      {ns:6.1} ns (5 durations; events: {events:?})");
        let spare = Pages::new(usize::from(steps), 1);
        let mut closed = recorder.cut(1, Gauges::default(), spare);
        let mut window = None;
        let start = cpu_ns();
        window.replace(closed.drain());
        let drained = cpu_ns() - start;
        let encoded = encode_window(&window.expect("drained above"));
        println!("  drain {:.2} ms, encoded {} kB", drained / 1e6, encoded.len() / 1000);
    }
}

fn fleet(requests: usize) {
    const DRIVERS: u64 = 100;
    let windows: Vec<Vec<u8>> = (0..DRIVERS)
        .map(|driver| encode_window(&common::busy_window(&mut Rng::with_seed(driver), 500, requests)))
        .collect();
    let bytes: usize = windows.iter().map(Vec::len).sum();
    println!("{DRIVERS} drivers × 500 steps × {requests} requests: {} kB each", bytes / windows.len() / 1000);

    let decode = least_ns(|| windows.iter().for_each(|bytes| drop(black_box(decode_window(bytes)))));
    println!("  decode                            {:6.0} ms", decode / 1e6);
    let mut merged = Merged::new();
    let both = |merged: &mut Merged| {
        for (driver, bytes) in windows.iter().enumerate() {
            let window = decode_window(bytes).expect("was encoded above");
            merged.add(&format!("d{driver}"), &window);
        }
    };
    let fresh = least_ns(|| both(&mut Merged::new()));
    println!("  decode and merge, into nothing    {:6.0} ms", fresh / 1e6);
    let ns = least_ns(|| both(&mut merged));
    println!("  decode and merge, into a run      {:6.0} ms", ns / 1e6);
    let window = decode_window(&windows[0]).expect("was encoded above");
    let ns = least_ns(|| drop(black_box(encode_window(&window))));
    println!("  encode one                        {:6.1} ms", ns / 1e6);
    let ns = least_ns(|| black_box(window.clone()).judge());
    println!("  judge one                         {:6.1} ms", ns / 1e6);
}
