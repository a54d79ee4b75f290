//! One step of time as JSON, and many of them column by column.
//!
//! A row comes from a live second or from a stored point; both are merged histograms, so a number is the same wherever
//! it is read. Invariant: rates are per second whatever the resolution, and what nobody reported is `null`.

use cluster::view::Tick;
use metrics::Stats;
use plan::{Plan, Schedules};
use serde::Serialize;
use store::{Point, Resolution};

/// Times of one step, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Times {
    pub count: u64,
    pub mean: f64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
}

impl From<Stats> for Times {
    fn from(stats: Stats) -> Self {
        let Stats { count, mean, p50, p95, p99, p99_9, max, .. } = stats;
        let round = |ms: f64| (ms * 1e4).round() / 1e4;
        Self {
            count,
            mean: round(mean),
            p50: round(p50),
            p95: round(p95),
            p99: round(p99),
            p99_9: round(p99_9),
            max: round(max),
        }
    }
}

/// One step of time, beginning at `second` of the run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub second: u32,
    pub drivers: u32,
    pub planned_per_s: Option<f64>,
    pub due_per_s: Option<f64>,
    pub started_per_s: Option<f64>,
    pub missed_per_s: Option<f64>,
    pub sent_per_s: Option<f64>,
    pub completed_per_s: Option<f64>,
    pub failed_per_s: Option<f64>,
    pub bytes_in_per_s: Option<f64>,
    pub bytes_out_per_s: Option<f64>,
    pub in_flight: Option<u64>,
    pub connections: Option<u64>,
    pub response_ms: Option<Times>,
    pub service_ms: Option<Times>,
}

impl Row {
    pub(crate) fn of_tick(tick: &Tick) -> Self {
        let reported = tick.drivers_reporting > 0;
        let rate = |count: u64| reported.then_some(count as f64);
        Self {
            second: tick.second,
            drivers: tick.drivers_reporting,
            planned_per_s: tick.planned,
            due_per_s: rate(tick.due),
            started_per_s: rate(tick.started),
            missed_per_s: rate(tick.missed),
            sent_per_s: rate(tick.sent),
            completed_per_s: rate(tick.completed),
            failed_per_s: rate(tick.failed),
            bytes_in_per_s: rate(tick.bytes_in),
            bytes_out_per_s: rate(tick.bytes_out),
            in_flight: reported.then_some(tick.in_flight),
            connections: reported.then_some(tick.connections),
            response_ms: tick.response.map(Times::from),
            service_ms: tick.service.map(Times::from),
        }
    }

    /// A stored point; it covers `resolution`, or less at the end of the run.
    fn of_point(point: &Point, planned: Planned<'_>, seconds: u32) -> Self {
        let Point { second, requests, iterations, states } = point;
        let over = f64::from(seconds.max(1));
        let rate = |count: u64| Some(count as f64 / over);
        Self {
            second: *second,
            drivers: states.drivers,
            planned_per_s: planned.over(*second, seconds.max(1)),
            due_per_s: rate(iterations.due),
            started_per_s: rate(iterations.started),
            missed_per_s: rate(iterations.missed),
            sent_per_s: rate(requests.sent),
            completed_per_s: rate(requests.response.map_or(0, |times| times.count)),
            failed_per_s: rate(requests.failed),
            bytes_in_per_s: rate(requests.bytes_in),
            bytes_out_per_s: rate(requests.bytes_out),
            in_flight: Some(states.in_flight),
            connections: Some(states.connections),
            response_ms: requests.response.map(Times::from),
            service_ms: requests.service.map(Times::from),
        }
    }
}

/// What the plan asks of the fleet at a moment.
#[derive(Clone, Copy)]
struct Planned<'a> {
    schedule: Option<&'a Schedules>,
    times: f64,
}

impl Planned<'_> {
    /// The mean over `seconds` from `second` on; `None` once the schedule has ended, as in a live second.
    fn over(self, second: u32, seconds: u32) -> Option<f64> {
        let schedule = self.schedule?;
        // The middle of each second: a stage that begins within it does not show early.
        let middles =
            (second..second.saturating_add(seconds)).map(|at| u64::from(at) * 1_000_000_000 + 500_000_000);
        let rates: Vec<f64> =
            middles.take_while(|at| *at < schedule.end_ns()).map(|at| schedule.rate_at(at)).collect();
        let sum: f64 = rates.iter().sum();
        (!rates.is_empty()).then(|| sum / rates.len() as f64 * self.times)
    }
}

/// The rows of stored points; `last_s` is where the run ended, if it has.
pub(crate) fn of_points(
    points: &[Point],
    plan: Option<&Plan>,
    drivers: usize,
    resolution: Resolution,
    last_s: Option<f64>,
) -> Vec<Row> {
    let schedule = plan.and_then(Schedules::of);
    let times = if plan.is_some_and(Plan::is_per_driver) { drivers as f64 } else { 1.0 };
    let planned = Planned { schedule: schedule.as_ref(), times };
    points
        .iter()
        .map(|point| {
            let whole = resolution.seconds();
            let seconds = match last_s {
                Some(last) if last < f64::from(point.second + whole) => remaining(last, point.second, whole),
                _ => whole,
            };
            Row::of_point(point, planned, seconds)
        })
        .collect()
}

/// Whole seconds of a point that begins at `from` in a run of `last` seconds.
fn remaining(last: f64, from: u32, whole: u32) -> u32 {
    (1..=whole).find(|seconds| f64::from(from + seconds) >= last).unwrap_or(whole)
}

/// Many rows, column by column: a tenth of the size of rows, and what charts take.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Series {
    pub resolution_s: u32,
    second: Vec<u32>,
    drivers: Vec<u32>,
    planned_per_s: Vec<Option<f64>>,
    due_per_s: Vec<Option<f64>>,
    started_per_s: Vec<Option<f64>>,
    missed_per_s: Vec<Option<f64>>,
    sent_per_s: Vec<Option<f64>>,
    completed_per_s: Vec<Option<f64>>,
    failed_per_s: Vec<Option<f64>>,
    bytes_in_per_s: Vec<Option<f64>>,
    bytes_out_per_s: Vec<Option<f64>>,
    in_flight: Vec<Option<u64>>,
    connections: Vec<Option<u64>>,
    response_ms: TimesColumns,
    service_ms: TimesColumns,
}

#[derive(Debug, Default, Serialize)]
struct TimesColumns {
    count: Vec<Option<u64>>,
    mean: Vec<Option<f64>>,
    p50: Vec<Option<f64>>,
    p95: Vec<Option<f64>>,
    p99: Vec<Option<f64>>,
    p99_9: Vec<Option<f64>>,
    max: Vec<Option<f64>>,
}

impl TimesColumns {
    fn push(&mut self, times: Option<Times>) {
        self.count.push(times.map(|times| times.count));
        self.mean.push(times.map(|times| times.mean));
        self.p50.push(times.map(|times| times.p50));
        self.p95.push(times.map(|times| times.p95));
        self.p99.push(times.map(|times| times.p99));
        self.p99_9.push(times.map(|times| times.p99_9));
        self.max.push(times.map(|times| times.max));
    }
}

impl Series {
    pub(crate) fn of(rows: impl IntoIterator<Item = Row>, resolution_s: u32) -> Self {
        let mut series = Self { resolution_s, ..Self::default() };
        for row in rows {
            series.push(&row);
        }
        series
    }

    pub(crate) fn push(&mut self, row: &Row) {
        self.second.push(row.second);
        self.drivers.push(row.drivers);
        self.planned_per_s.push(row.planned_per_s);
        self.due_per_s.push(row.due_per_s);
        self.started_per_s.push(row.started_per_s);
        self.missed_per_s.push(row.missed_per_s);
        self.sent_per_s.push(row.sent_per_s);
        self.completed_per_s.push(row.completed_per_s);
        self.failed_per_s.push(row.failed_per_s);
        self.bytes_in_per_s.push(row.bytes_in_per_s);
        self.bytes_out_per_s.push(row.bytes_out_per_s);
        self.in_flight.push(row.in_flight);
        self.connections.push(row.connections);
        self.response_ms.push(row.response_ms);
        self.service_ms.push(row.service_ms);
    }
}
