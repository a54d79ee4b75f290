//! How long a large fleet's second takes, by the clock and in CPU time of the thread: `cargo run --release -p store --example speed`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "prints a measurement, and fails where it fails"
)]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use fixture::{RUN, batch, delivery, run, store, window};
use metrics::codec;
use store::{Batch, Resolution};

const DRIVERS: u32 = 64;
const STEPS: u16 = 500;

fn main() {
    a_second_of_64_drivers_and_500_steps();
    an_hour_of_3_drivers_and_10_steps();
}

/// As it comes from the drivers: decoded.
fn second_of_a_fleet(random: &mut fastrand::Rng, second: u32) -> Batch {
    let window = |random: &mut fastrand::Rng| {
        let measured = window(random, second, STEPS, 20);
        codec::decode_window(&codec::encode_window(&measured)).unwrap()
    };
    let deliveries =
        (0..DRIVERS).map(|driver| delivery(&format!("d{driver}"), u64::from(second), 0, window(random)));
    batch(deliveries.collect())
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (start, cpu) = (clock::now(), clock::thread_cpu());
    let result = work();
    let (took, cpu) = (clock::now().since(start), clock::thread_cpu() - cpu);
    println!("{what}: {:.1} ms, {:.1} ms CPU", took.as_secs_f64() * 1e3, cpu.as_secs_f64() * 1e3);
    result
}

fn a_second_of_64_drivers_and_500_steps() {
    let (dir, mut store) = store();
    let mut random = fastrand::Rng::with_seed(1);
    for second in 0..5 {
        let batch = second_of_a_fleet(&mut random, second);
        timed("ingest of one second, 64 drivers × 500 steps × 20 requests", || {
            store.ingest(&batch).unwrap()
        });
        timed("the same again, all of it known", || store.ingest(&batch).unwrap());
    }
    timed("load of 5 s without a checkpoint", || store.reader().unwrap().load(RUN).unwrap());
    timed("checkpoint", || store.checkpoint(RUN).unwrap());
    timed("load with it", || store.reader().unwrap().load(RUN).unwrap());
    println!("database and log: {} bytes", size(dir.path()));
}

fn an_hour_of_3_drivers_and_10_steps() {
    let (dir, mut store) = store();
    let mut random = fastrand::Rng::with_seed(1);
    let mut slowest = std::time::Duration::ZERO;
    let mut all = std::time::Duration::ZERO;
    for second in 0..3600 {
        let deliveries: Vec<_> = (0..3)
            .map(|driver| {
                delivery(&format!("d{driver}"), u64::from(second), 0, window(&mut random, second, 10, 100))
            })
            .collect();
        let start = clock::now();
        store.ingest(&batch(deliveries)).unwrap();
        let took = clock::now().since(start);
        slowest = slowest.max(took);
        all += took;
    }
    println!("ingest per second: mean {:?}, slowest {slowest:?}", all / 3600);
    timed("load in the middle of the run", || store.reader().unwrap().load(RUN).unwrap());
    let mut ended = run(RUN, 1);
    ended.ended_ms = Some(2);
    timed("end of the run", || store.update_run(&ended).unwrap());
    let reader = store.reader().unwrap();
    timed("load of the ended run", || reader.load(RUN).unwrap());
    for resolution in [Resolution::Second, Resolution::TenSeconds, Resolution::Minute] {
        let points = timed(&format!("series of the hour at {} s", resolution.seconds()), || {
            reader.series(RUN, None, (0, 3600), resolution).unwrap()
        });
        println!("  {} points", points.len());
    }
    println!("database and log: {} bytes", size(dir.path()));
}

fn size(dir: &std::path::Path) -> u64 {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}
