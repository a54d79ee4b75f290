//! A data folder with a run of known numbers.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part of it, and fails where it fails")]

use std::path::Path;

use events::{Builder, Identity, Row};
use metrics::{DriverWindow, ErrorKind, Gauges, Outcome, StageWindow, StepWindow};
use plan::{StageId, StepId};
use store::{Batch, Delivery, EventRow, RunRow, Store};
use tempfile::TempDir;
use uuid::Uuid;

pub const RUN: &str = "benchmark_42";

const PLAN: &str = "
version: 1
name: checkout
target: http://127.0.0.1:7701
load:
  model: open
  stages:
    - { name: warm, at: 10/s, for: 1s, warmup: true }
    - { name: hold, at: 10/s, for: 9s }
scenarios:
  shop:
    steps:
      - { get: /ping, name: \"GET /\" }
      - { get: /cart, name: \"POST /cart, all\" }
";

/// 2026-03-01T12:10:00Z
const BEGIN_MS: i64 = 1_772_367_000_000;

/// A folder with one run: two drivers, four seconds, 400 recorded requests of which each fourth failed; and rows of a
/// foreign client under a name that is no file name.
pub fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fill(&mut Store::open(dir.path()).unwrap());
    dir
}

/// Puts the same into a store.
pub fn fill(store: &mut Store) {
    let run = RunRow {
        run_id: RUN.to_owned(),
        plan_name: "checkout".to_owned(),
        plan_source: PLAN.to_owned(),
        state: "finished".to_owned(),
        created_ms: BEGIN_MS - 5_000,
        started_ms: Some(BEGIN_MS),
        ended_ms: Some(BEGIN_MS + 4_000),
        loop_kind: "open".to_owned(),
        drivers: vec!["d1".to_owned(), "d2".to_owned()],
        verdict: Some("valid".to_owned()),
        ..RunRow::default()
    };
    store.create_run(&run).unwrap();
    let happened = EventRow {
        second: Some(1),
        unix_ms: BEGIN_MS + 1_000,
        kind: "note".to_owned(),
        text: "a, \"b\"".to_owned(),
        driver: None,
    };
    store.add_event(RUN, &happened).unwrap();
    let deliveries =
        ["d1", "d2"].iter().flat_map(|driver| (0..4).map(move |second| delivery(driver, second)));
    let batch = Batch { run_id: RUN.to_owned(), deliveries: deliveries.collect(), positions: Vec::new() };
    store.ingest(&batch).unwrap();
    let mut events = store.events("test").unwrap();
    let batches: Vec<_> = (0..4).map(|number| recorded(RUN, number, 100)).collect();
    events.store_loose(&batches).unwrap();
    events.store_loose(&[recorded("scribe run/1", 0, 10)]).unwrap();
}

fn delivery(driver: &str, second: u32) -> Delivery {
    let stage = StageId(u16::from(second > 0));
    let mut step = StepWindow::new(StepId(0), stage);
    step.sent = 11;
    for ms in 1..=10 {
        step.ok.response.record(ms * 1_000_000);
        step.ok.service.record(ms * 900_000);
    }
    step.failed.response.record(100_000_000);
    step.outcomes = vec![(Outcome::Success(200), 10), (Outcome::Failed(ErrorKind::Status, 503), 1)];
    step.bytes_in = 5_000;
    let mut iterations = StageWindow::new(stage);
    (iterations.due, iterations.started, iterations.completed) = (12, 11, 11);
    iterations.missed.ours = 1;
    iterations.send_lag.record(20_000);
    let window = DriverWindow {
        from_s: second,
        to_s: second + 1,
        steps: vec![step],
        stages: vec![iterations],
        gauges: Gauges {
            in_flight: 3,
            connections: 8,
            cpu_permille: 250,
            memory_bytes: 61_400_000,
            ..Gauges::default()
        },
    };
    Delivery {
        node_id: driver.to_owned(),
        identity: store::Identity { incarnation: Uuid::from_u128(1), seq: u64::from(second), part: 0 },
        window: Some(window),
        totals: None,
    }
}

/// 100 requests a second; the latency of row n is n + 1 ms.
pub fn recorded(run_id: &str, number: u64, rows: u64) -> events::Batch {
    let mut builder = Builder::new();
    for at in 0..rows {
        let n = i64::try_from(number * rows + at).unwrap();
        let failed = n % 4 == 3;
        let row = Row {
            timestamp_us: BEGIN_MS * 1_000 + n * 10_000,
            endpoint: if n % 2 == 0 { "GET /" } else { "POST /cart, all" },
            stage: Some(if n < 100 { "warm" } else { "hold" }),
            status_code: if n % 8 == 7 { None } else { Some(if failed { 503 } else { 200 }) },
            response_time_us: (n + 1) * 1_000,
            service_time_us: (n % 8 != 7).then_some((n + 1) * 900),
            send_lag_us: Some(20),
            connection_wait_us: Some(0),
            bytes_in: Some(500),
            bytes_out: Some(180),
            error: match n % 8 {
                3 => Some("status: 503"),
                7 => Some("connect_refused"),
                _ => None,
            },
        };
        builder.push(&row).unwrap();
    }
    let identity = Identity { incarnation: Uuid::from_u128(1), number };
    events::Batch {
        run_id: run_id.to_owned(),
        worker_id: format!("d{}", number % 2 + 1),
        identity: Some(identity),
        rows: builder.finish(),
    }
}

/// What a sink of that form makes of rows.
pub fn written(
    form: query::Form,
    schema: &arrow_schema::SchemaRef,
    rows: impl Iterator<Item = arrow_array::RecordBatch>,
) -> String {
    let mut to = Vec::new();
    let mut sink = query::sink(form, schema, RUN, &mut to).unwrap();
    rows.for_each(|rows| sink.write(&rows).unwrap());
    sink.finish().unwrap();
    drop(sink);
    String::from_utf8(to).unwrap()
}

/// The answer to a query as a table, or what is wrong with it.
pub fn ask(dir: &Path, runs: &[&str], sql: &str) -> String {
    let runs: Vec<String> = runs.iter().map(|run| (*run).to_owned()).collect();
    let engine = query::Engine::open(dir, &runs, query::MEMORY_BYTES).unwrap();
    let asked = || {
        let mut answer = engine.query(sql)?;
        let mut rows = Vec::new();
        while let Some(next) = answer.next(&std::sync::atomic::AtomicBool::new(false))? {
            rows.push(next);
        }
        Ok::<_, query::Fault>(written(query::Form::Table, &answer.schema(), rows.into_iter()))
    };
    asked().unwrap_or_else(|fault| format!("error: {fault}\n"))
}
