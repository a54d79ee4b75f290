//! What was measured, as rows that people and dashboards read, and back.
//!
//! Beside the columns for SQL stands `measured`, the exact form: reading back begins there and nowhere else.

use std::collections::BTreeMap;

use metrics::{DriverTotals, Gauges, Histogram, Outcome, StageWindow, StepWindow, Timing, codec};
use plan::{Plan, StageId, StepId};

use super::copy::{Encoder, send};
use super::error::Failure;
use super::session::Db;

/// A run, as far as its rows name it.
pub(super) struct Named<'a> {
    pub(super) run_id: &'a str,
    /// Its plan; without one rows have numbers for names.
    pub(super) plan: Option<&'a Plan>,
    /// Unix microseconds of its first second.
    pub(super) start_us: i64,
}

impl Named<'_> {
    fn second_us(&self, second: u32) -> i64 {
        self.start_us.saturating_add(i64::from(second) * 1_000_000)
    }

    fn endpoint(&self, step: StepId) -> String {
        let name = self.plan.and_then(|plan| plan.row_name(step)).map(str::to_owned);
        name.unwrap_or_else(|| format!("step {}", step.0))
    }

    fn kind(step: StepId) -> &'static str {
        if step.group().is_some() { "group" } else { "step" }
    }

    /// Name and warm-up of a stage.
    fn stage(&self, stage: StageId) -> (String, bool) {
        let stages = self.plan.map(Plan::stages).unwrap_or_default();
        match stages.into_iter().nth(usize::from(stage.0)) {
            Some(known) => (known.name, known.warmup),
            None => (format!("stage {}", stage.0), false),
        }
    }
}

/// Which of the columns of [`Windows`] a table has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Windows,
    Seconds,
    Minutes,
    Totals,
}

impl Table {
    const fn name(self) -> &'static str {
        match self {
            Self::Windows => "run_windows",
            Self::Seconds => "run_seconds",
            Self::Minutes => "run_minutes",
            Self::Totals => "run_totals",
        }
    }

    const fn has_second(self) -> bool {
        !matches!(self, Self::Totals)
    }

    const fn has_step(self) -> bool {
        !matches!(self, Self::Seconds)
    }

    fn statement(self) -> String {
        let second = if self.has_second() { "second, measured, " } else { "" };
        let step = if self.has_step() { "endpoint, kind, step_number, " } else { "" };
        format!(
            "COPY {} (test_run_id, timestamp, {second}{step}stage, is_warmup, stage_number, requests, succeeded, failed, \
             cancelled, sent, bytes_in, bytes_out, response_time_bins, response_time_counts, response_time_sum_us, \
             response_time_min_us, response_time_max_us, service_time_bins, service_time_counts, service_time_sum_us, \
             service_time_min_us, service_time_max_us) FROM STDIN (FORMAT binary)",
            self.name()
        )
    }
}

/// Rows of one of the tables about requests.
pub(super) struct Windows<'a> {
    table: Table,
    named: &'a Named<'a>,
    rows: Encoder,
    /// Names of stages are looked up once.
    stages: BTreeMap<StageId, (String, bool)>,
    pub(super) len: u64,
}

impl<'a> Windows<'a> {
    pub(super) fn new(table: Table, named: &'a Named<'a>) -> Self {
        Self { table, named, rows: Encoder::new(), stages: BTreeMap::new(), len: 0 }
    }

    /// `second` is the first of the row's span.
    pub(super) fn push(&mut self, second: u32, window: &StepWindow) {
        let (table, named, rows) = (self.table, self.named, &mut self.rows);
        let (stage, is_warmup) = self.stages.entry(window.stage).or_insert_with(|| named.stage(window.stage));
        let columns = 19 + if table.has_second() { 2 } else { 0 } + if table.has_step() { 3 } else { 0 };
        rows.row(columns + 3);
        rows.text(named.run_id);
        rows.timestamp(named.second_us(second));
        if table.has_second() {
            rows.int(i32::try_from(second).unwrap_or(i32::MAX));
            rows.blob(&codec::encode_step(window));
        }
        if table.has_step() {
            rows.text(&named.endpoint(window.step));
            rows.text(Named::kind(window.step));
            rows.int(i32::from(window.step.0));
        }
        rows.text(stage);
        rows.flag(*is_warmup);
        rows.int(i32::from(window.stage.0));
        let (succeeded, failed) = (window.succeeded(), window.failures());
        let counts = [
            succeeded + failed,
            succeeded,
            failed,
            window.cancelled,
            window.sent,
            window.bytes_in,
            window.bytes_out,
        ];
        counts.into_iter().for_each(|count| rows.count(count));
        times(rows, &window.ok.response, &window.failed.response);
        times(rows, &window.ok.service, &window.failed.service);
        self.len += 1;
    }

    pub(super) async fn send(self, db: &Db) -> Result<u64, Failure> {
        if self.len == 0 {
            return Ok(0);
        }
        send(db, &self.table.statement(), self.rows).await
    }
}

/// The five columns of the times of all requests.
fn times(rows: &mut Encoder, ok: &Timing, failed: &Timing) {
    let merged;
    let all = if failed.is_empty() {
        ok
    } else {
        let mut both = ok.clone();
        both.merge(failed);
        merged = both;
        &merged
    };
    histogram(rows, all.histogram());
    rows.double(all.sum_ns() as f64 / 1e3);
    rows.double_or_null(all.min_ns().map(|ns| ns as f64 / 1e3));
    rows.double_or_null(all.max_ns().map(|ns| ns as f64 / 1e3));
}

fn histogram(rows: &mut Encoder, histogram: &Histogram) {
    let (bins, counts): (Vec<i32>, Vec<i64>) = histogram
        .bins()
        .map(|(bin, count)| {
            (i32::try_from(bin).unwrap_or(i32::MAX), i64::try_from(count).unwrap_or(i64::MAX))
        })
        .unzip();
    rows.ints(bins.into_iter());
    rows.longs(counts.into_iter());
}

/// Rows about iterations.
pub(super) struct Iterations<'a> {
    named: &'a Named<'a>,
    rows: Encoder,
    pub(super) len: u64,
}

impl<'a> Iterations<'a> {
    pub(super) fn new(named: &'a Named<'a>) -> Self {
        Self { named, rows: Encoder::new(), len: 0 }
    }

    pub(super) fn push(&mut self, second: u32, window: &StageWindow) {
        let (named, rows) = (self.named, &mut self.rows);
        let (stage, is_warmup) = named.stage(window.stage);
        rows.row(20);
        rows.text(named.run_id);
        rows.timestamp(named.second_us(second));
        rows.int(i32::try_from(second).unwrap_or(i32::MAX));
        rows.text(&stage);
        rows.flag(is_warmup);
        let missed = &window.missed;
        let counts = [
            window.due,
            window.started,
            window.completed,
            missed.total(),
            missed.ours,
            missed.target,
            missed.limit,
        ];
        counts.into_iter().for_each(|count| rows.count(count));
        histogram(rows, window.iteration_time.histogram());
        histogram(rows, window.send_lag.histogram());
        histogram(rows, window.connection_wait.histogram());
        rows.int(i32::from(window.stage.0));
        rows.blob(&codec::encode_stage(window));
        self.len += 1;
    }

    pub(super) async fn send(self, db: &Db) -> Result<u64, Failure> {
        if self.len == 0 {
            return Ok(0);
        }
        let statement = "COPY run_iterations (test_run_id, timestamp, second, stage, is_warmup, due, started, completed, \
                         missed, missed_ours, missed_target, missed_limit, iteration_time_bins, iteration_time_counts, \
                         send_lag_bins, send_lag_counts, connection_wait_bins, connection_wait_counts, stage_number, \
                         measured) FROM STDIN (FORMAT binary)";
        send(db, statement, self.rows).await
    }
}

/// Rows about failures.
pub(super) struct Errors<'a> {
    named: &'a Named<'a>,
    rows: Encoder,
    len: u64,
}

impl<'a> Errors<'a> {
    pub(super) fn new(named: &'a Named<'a>) -> Self {
        Self { named, rows: Encoder::new(), len: 0 }
    }

    pub(super) fn push(&mut self, second: u32, window: &StepWindow) {
        let named = self.named;
        let failed = window.outcomes.iter().filter(|(outcome, _)| !outcome.is_success());
        for (outcome, count) in failed {
            let (stage, is_warmup) = named.stage(window.stage);
            let rows = &mut self.rows;
            rows.row(9);
            rows.text(named.run_id);
            rows.timestamp(named.second_us(second));
            rows.int(i32::try_from(second).unwrap_or(i32::MAX));
            rows.text(&named.endpoint(window.step));
            rows.text(Named::kind(window.step));
            rows.text(&stage);
            rows.flag(is_warmup);
            rows.text(&error_name(*outcome));
            rows.count(*count);
            self.len += 1;
        }
    }

    pub(super) async fn send(self, db: &Db) -> Result<u64, Failure> {
        if self.len == 0 {
            return Ok(0);
        }
        let statement = "COPY run_errors (test_run_id, timestamp, second, endpoint, kind, stage, is_warmup, error, count) \
                         FROM STDIN (FORMAT binary)";
        send(db, statement, self.rows).await
    }
}

fn error_name(outcome: Outcome) -> String {
    match (outcome, outcome.detail()) {
        (Outcome::Failed(kind, _), Some(detail)) => format!("{kind}: {detail}"),
        (Outcome::Failed(kind, _), None) => kind.to_string(),
        (Outcome::Success(status), _) => status.to_string(),
    }
}

/// Rows about drivers.
pub(super) struct Drivers<'a> {
    named: &'a Named<'a>,
    rows: Encoder,
    pub(super) len: u64,
}

impl<'a> Drivers<'a> {
    pub(super) fn new(named: &'a Named<'a>) -> Self {
        Self { named, rows: Encoder::new(), len: 0 }
    }

    /// Without a second: what the driver said at its end.
    pub(super) fn push(
        &mut self,
        second: Option<u32>,
        node_id: &str,
        gauges: &Gauges,
        totals: &DriverTotals,
    ) {
        let (named, rows) = (self.named, &mut self.rows);
        rows.row(25);
        rows.text(named.run_id);
        rows.timestamp(named.second_us(second.unwrap_or(totals.last_second)));
        match second {
            Some(second) => rows.int(i32::try_from(second).unwrap_or(i32::MAX)),
            None => rows.null(),
        }
        rows.text(node_id);
        let missed = totals.missed.total();
        let counts = [
            totals.requests_sent,
            totals.succeeded,
            totals.failed,
            totals.cancelled,
            totals.due,
            totals.started,
            missed,
            totals.bytes_in,
            totals.bytes_out,
            gauges.in_flight.into(),
            gauges.queued.into(),
            gauges.connections.into(),
        ];
        counts.into_iter().for_each(|count| rows.count(count));
        let permille = [
            gauges.cpu_permille,
            gauges.busiest_thread_permille.into(),
            gauges.starved_permille.into(),
            gauges.stolen_permille.into(),
        ];
        permille.into_iter().for_each(|share: u32| rows.double(f64::from(share) / 10.0));
        rows.count(gauges.throttled_us);
        match gauges.memory_bytes {
            0 => rows.null(),
            bytes => rows.count(bytes),
        }
        let lag = totals.send_lag.histogram();
        for q in [0.5, 0.99] {
            rows.double_or_null(lag.quantile(q).map(|ns| ns as f64 / 1e3));
        }
        rows.blob(&codec::encode_driver(totals));
        self.len += 1;
    }

    pub(super) async fn send(self, db: &Db) -> Result<u64, Failure> {
        if self.len == 0 {
            return Ok(0);
        }
        let statement = "COPY run_drivers (test_run_id, timestamp, second, worker_id, requests_sent, succeeded, failed, \
                         cancelled, due, started, missed, bytes_in, bytes_out, in_flight, queued, connections, cpu_percent, \
                         busiest_thread_percent, starved_percent, stolen_percent, throttled_us, memory_bytes, \
                         send_lag_p50_us, send_lag_p99_us, measured) FROM STDIN (FORMAT binary)";
        send(db, statement, self.rows).await
    }
}
