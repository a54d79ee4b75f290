//! Fills a store with history, as it takes it in: an hour of 500 steps, and as many further runs as asked for; then asks it
//! what a page would. `cargo xtask bench history` starts it: `cargo run --release -p store --example history -- STORE RUNS [SECONDS]`.
//! STORE is a folder or the address of a database that has our tables, SECONDS the length of the hour.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "says how long it took, and fails where it fails"
)]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use fixture::delivery;
use metrics::{DriverWindow, ErrorKind, Gauges, Merged, Outcome, StageWindow, StepWindow, Timing};
use plan::{StageId, StepId};
use store::{Batch, Delivery, Identity, Location, Reader, Resolution, RunRow, Store};
use uuid::Uuid;

const STEPS: u16 = 500;
const HOUR_S: u32 = 3_600;
const DRIVERS: u32 = 3;
/// How often each question is asked.
const ASKED: usize = 11;
/// Requests of a step in a second of a driver, on average.
const REQUESTS: u64 = 10;
/// The long run's identity; the bench asks for it.
const HOUR: &str = "hour";
/// How long the first stage takes.
const WARMUP_S: u32 = 5;
/// Some moment in 2026, in Unix milliseconds.
const EPOCH_MS: i64 = 1_770_000_000_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().expect("a store");
    let location = Location::parse(&place, &|name| std::env::var(name).ok()).unwrap();
    let runs: u32 = arguments.next().and_then(|runs| runs.parse().ok()).expect("a number of runs");
    let seconds = arguments.next().map_or(HOUR_S, |seconds| seconds.parse().unwrap());
    let mut store = Store::open(&location).unwrap();
    let started = clock::now();
    for number in 0..runs {
        short_run(&mut store, number);
    }
    println!("{runs} runs in {:.1} s", clock::now().since(started).as_secs_f64());
    let started = clock::now();
    let slowest_ms = hour(&mut store, runs, seconds);
    println!(
        "an hour of {DRIVERS} drivers and {STEPS} steps in {:.1} s, slowest second {slowest_ms:.0} ms",
        clock::now().since(started).as_secs_f64()
    );
    if let Location::Folder(dir) = &location {
        println!("{:.0} MB", size(dir) as f64 / 1e6);
    }
    ask(&location);
}

/// How long the store takes for what is asked of it most.
fn ask(location: &Location) {
    let took = |what: &str, ask: &dyn Fn(&Reader) -> usize| {
        let reader = Reader::open(location).unwrap();
        let mut times_ms: Vec<f64> = Vec::new();
        let mut found = 0;
        for _ in 0..ASKED {
            let started = clock::now();
            found = ask(&reader);
            times_ms.push(clock::now().since(started).as_secs_f64() * 1e3);
        }
        let first = times_ms[0];
        times_ms.sort_unstable_by(f64::total_cmp);
        println!("{what:<40} {found:>6} found, first {first:>7.1} ms, middle {:>7.1}", times_ms[ASKED / 2]);
    };
    took("a list of 10,000 runs", &|reader| reader.runs(None, 10_000).unwrap().len());
    took("the merged totals of the hour", &|reader| reader.load(HOUR).unwrap().steps.len());
    for resolution in Resolution::ALL {
        for step in [None, Some(StepId(STEPS / 2))] {
            let what = format!(
                "the series of {} at {} s",
                if step.is_some() { "a step" } else { "all steps" },
                resolution.seconds()
            );
            took(&what, &|reader| reader.series(HOUR, step, (0, u32::MAX), resolution).unwrap().len());
        }
    }
}

/// A plan whose stages the fixture's windows are of: `ramp` for 5 s, then `hold`.
fn plan(steps: u16, seconds: u32) -> String {
    let mut text = format!(
        "version: 1\nname: history\ntarget: http://127.0.0.1:7701\n\
         load: {{ model: open, stages: [{{ name: ramp, over: {WARMUP_S}s, from: 0/s, to: 100/s, warmup: true }}, {{ name: hold, at: 100/s, for: {}s }}] }}\n\
         thresholds: [\"p99 < 250ms\", \"error_rate < 1%\"]\nscenarios:\n  shop:\n    steps:\n",
        seconds - WARMUP_S
    );
    for step in 0..steps {
        writeln!(text, "      - {{ get: \"/items/{step}\", name: \"GET /items/{step}\" }}").unwrap();
    }
    text
}

fn row(run_id: &str, number: u32, steps: u16, seconds: u32) -> RunRow {
    let created_ms = EPOCH_MS + i64::from(number) * 600_000;
    RunRow {
        run_id: run_id.to_owned(),
        plan_name: "history".to_owned(),
        plan_source: plan(steps, seconds),
        state: "running".to_owned(),
        created_ms,
        started_ms: Some(created_ms + 3_000),
        loop_kind: "open".to_owned(),
        drivers: (0..DRIVERS).map(|driver| format!("d{driver}")).collect(),
        ..RunRow::default()
    }
}

/// The end of the run as the orchestrator says it.
fn end(store: &mut Store, mut row: RunRow, seconds: u32) {
    row.state = "finished".to_owned();
    row.ended_ms = row.started_ms.map(|started| started + i64::from(seconds) * 1_000);
    row.verdict = Some("valid".to_owned());
    row.extras = Some(ENDING.to_owned());
    store.update_run(&row).unwrap();
}

const ENDING: &str = r#"{"ending":{"reason":null,"complete":true,"planned_per_s":100.0,"overlap":0,"members":[
{"node_id":"d0","state":"finished","silent":false,"replaced":false,"foreign":false,"summary_only":null,"requests_sent":1,"lost":0},
{"node_id":"d1","state":"finished","silent":false,"replaced":false,"foreign":false,"summary_only":null,"requests_sent":1,"lost":0},
{"node_id":"d2","state":"finished","silent":false,"replaced":false,"foreign":false,"summary_only":null,"requests_sent":1,"lost":0}],
"thresholds":[{"standing":"pass","observed":12.0,"first_breach_s":null,"aborted":false},
{"standing":"pass","observed":0.0,"first_breach_s":null,"aborted":false}]}}"#;

fn second(random: &mut fastrand::Rng, at: u32, steps: u16) -> Vec<Delivery> {
    (0..DRIVERS)
        .map(|driver| delivery(&format!("d{driver}"), u64::from(at), 0, window(random, at, steps)))
        .collect()
}

/// What a driver measured in one second; each step has a latency of its own, with the tail that services have.
fn window(random: &mut fastrand::Rng, at: u32, steps: u16) -> DriverWindow {
    let stage = StageId(u16::from(at >= WARMUP_S));
    let mut iterations = StageWindow::new(stage);
    let rows: Vec<_> = (0..steps).map(|step| step_window(random, StepId(step), stage)).collect();
    iterations.due = rows.iter().map(|row| row.sent).sum();
    iterations.started = iterations.due;
    iterations.completed = iterations.due;
    for row in &rows {
        iterations.iteration_time.merge(&row.ok.response);
        iterations.iteration_time.merge(&row.failed.response);
    }
    for _ in 0..iterations.started {
        iterations.send_lag.record(random.u64(8_000..60_000));
        iterations.connection_wait.record(0);
    }
    let gauges = Gauges { in_flight: 40, connections: 100, cpu_permille: 400, ..Gauges::default() };
    let mut window = DriverWindow { from_s: at, to_s: at + 1, steps: rows, stages: vec![iterations], gauges };
    window.judge();
    window
}

fn step_window(random: &mut fastrand::Rng, step: StepId, stage: StageId) -> StepWindow {
    let samples = random.u64(REQUESTS / 2..REQUESTS * 3 / 2);
    let mut window = StepWindow::new(step, stage);
    let (mut ok, mut failed) = (Pairs::default(), Pairs::default());
    let typical_ms = 2.0 + f64::from(step.0 % 50) * 1.5;
    for _ in 0..samples {
        // The sum of twelve is close to normal, its exponential to how services answer.
        let normal = (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        let service = Duration::from_secs_f64(typical_ms / 1e3 * (normal * 0.4).exp());
        let pairs = if random.u8(..100) == 0 { &mut failed } else { &mut ok };
        pairs.record(clock::nanos(service), random.u64(..50_000));
    }
    window.sent = samples;
    (window.ok.response, window.ok.service) = (ok.response, ok.service);
    (window.failed.response, window.failed.service) = (failed.response, failed.service);
    let failures = window.failed.response.count();
    window.outcomes.push((Outcome::Success(200), samples - failures));
    if failures > 0 {
        window.outcomes.push((Outcome::Failed(ErrorKind::Status, 503), failures));
    }
    window.bytes_in = samples * 500;
    window.bytes_out = samples * 100;
    window
}

/// The two times of requests that became the same.
struct Pairs {
    response: Timing,
    service: Timing,
}

impl Default for Pairs {
    fn default() -> Self {
        Self { response: Timing::new(), service: Timing::new() }
    }
}

impl Pairs {
    fn record(&mut self, service_ns: u64, waited_ns: u64) {
        self.service.record(service_ns);
        self.response.record(service_ns + waited_ns);
    }
}

/// A run of some seconds and steps, as most are that somebody keeps a list of.
fn short_run(store: &mut Store, number: u32) {
    const SHORT_STEPS: u16 = 5;
    const SHORT_S: u32 = 10;
    let run_id = Uuid::from_u128(u128::from(number)).to_string();
    let row = row(&run_id, number, SHORT_STEPS, SHORT_S);
    store.create_run(&row).unwrap();
    let mut random = fastrand::Rng::with_seed(u64::from(number));
    let deliveries = (0..SHORT_S).flat_map(|at| second(&mut random, at, SHORT_STEPS)).collect();
    store.ingest(&Batch { run_id, deliveries, positions: Vec::new() }).unwrap();
    end(store, row, SHORT_S);
}

/// The longest that a second of it took to go in, in ms.
fn hour(store: &mut Store, number: u32, seconds: u32) -> f64 {
    let row = row(HOUR, number, STEPS, seconds);
    store.create_run(&row).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let mut totals = Merged::new();
    let mut slowest_ms: f64 = 0.0;
    for at in 0..seconds {
        let deliveries = second(&mut random, at, STEPS);
        for delivery in &deliveries {
            if let Some(window) = &delivery.window {
                totals.driver(&delivery.node_id).add(window);
            }
        }
        let started = clock::now();
        store.ingest(&Batch { run_id: HOUR.to_owned(), deliveries, positions: Vec::new() }).unwrap();
        slowest_ms = slowest_ms.max(clock::now().since(started).as_secs_f64() * 1e3);
    }
    let last = totals.drivers.iter().map(|(node_id, totals)| Delivery {
        node_id: node_id.clone(),
        identity: Identity { incarnation: Uuid::from_u128(7), seq: u64::from(seconds), part: 0 },
        window: None,
        totals: Some(totals.totals()),
    });
    let deliveries = last.collect();
    store.ingest(&Batch { run_id: HOUR.to_owned(), deliveries, positions: Vec::new() }).unwrap();
    let started = clock::now();
    end(store, row, seconds);
    println!("the end of the hour in {:.2} s", clock::now().since(started).as_secs_f64());
    slowest_ms
}

fn size(dir: &Path) -> u64 {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}
