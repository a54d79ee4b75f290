//! Runs, drivers and totals as JSON. The names are part of the interface; `openapi.json` describes them.

use cluster::view::{DriverView, RunView, Tick, TimelineEvent};
use metrics::verdict::Reason;
use metrics::{Merged, Outcome, Pair, Stats, Timing, Verdict};
use plan::Plan;
use report::{ErrorSummary, ThresholdSummary};
use serde::Serialize;
use store::{Figures, RunLine};

use crate::figures;
use crate::time::rfc3339;

/// One run: what it is, where it stands, who takes part.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub run_id: String,
    pub plan: String,
    pub state: &'static str,
    pub state_reason: Option<String>,
    #[serde(rename = "loop")]
    pub loop_kind: &'static str,
    pub targets: Vec<String>,
    pub created_at: String,
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    pub planned_s: Option<f64>,
    pub stages: Vec<Stage>,
    pub drivers: Vec<RunDriver>,
    pub verdict: VerdictJson,
    pub thresholds: Vec<ThresholdSummary>,
    pub events: Vec<Event>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_source: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Stage {
    name: String,
    from_s: f64,
    to_s: f64,
    /// Its mean.
    rate_per_s: Option<f64>,
    /// At its beginning and its end; only in the closed model.
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<[u32; 2]>,
    warmup: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RunDriver {
    node_id: String,
    state: String,
    requests_sent: u64,
    summary_only: Option<OwnWord>,
}

/// What a driver that only knows the basic messages says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct OwnWord {
    mean_ms: f64,
    median_ms: f64,
    min_ms: f64,
    max_ms: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct VerdictJson {
    pub value: String,
    reasons: Vec<ReasonJson>,
    findings: Vec<ReasonJson>,
    target_saturated: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ReasonJson {
    code: String,
    driver: Option<String>,
    seconds: u64,
    text: String,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Event {
    second: Option<u32>,
    at: String,
    kind: String,
    text: String,
    driver: Option<String>,
}

/// The stages of a plan with their places in time, as far as their lengths are known.
fn stages(plan: &Plan, drivers: usize) -> Vec<Stage> {
    let times = if plan.is_per_driver() { drivers.max(1) as f64 } else { 1.0 };
    let placed = plan.stages().into_iter().filter_map(|stage| {
        let from_s = stage.begins.as_secs_f64();
        Some(Stage {
            name: stage.name,
            from_s,
            to_s: from_s + stage.duration?.as_secs_f64(),
            rate_per_s: stage.rate_per_s.map(|(from, to)| (from + to) / 2.0 * times),
            users: stage.users.map(|(from, to)| [from, to]),
            warmup: stage.warmup,
        })
    });
    placed.collect()
}

impl Run {
    pub(crate) fn of_view(view: &RunView) -> Self {
        let plan = &view.plan;
        Self {
            run_id: view.run_id.clone(),
            plan: plan.name.clone(),
            state: view.state.as_str(),
            state_reason: view.state_reason.clone(),
            loop_kind: plan.loop_kind().as_str(),
            targets: plan.targets.iter().map(ToString::to_string).collect(),
            created_at: rfc3339(view.created_ms),
            started_at: view.started_ms.map(rfc3339),
            ended_at: view.ended_ms.map(rfc3339),
            planned_s: plan.duration().map(|length| length.as_secs_f64()),
            stages: stages(plan, view.drivers.len()),
            drivers: drivers(view),
            verdict: verdict(&view.verdict),
            thresholds: thresholds(view),
            events: view.events.iter().map(event).collect(),
            plan_source: None,
        }
    }

    /// With the text of the plan, which the live stream leaves out.
    pub(crate) fn with_source(mut self, plan: &Plan) -> Self {
        self.plan_source = Some(plan.source.clone());
        self
    }
}

pub(crate) fn drivers(view: &RunView) -> Vec<RunDriver> {
    let of = |driver: &cluster::view::RunDriver| RunDriver {
        node_id: driver.node_id.clone(),
        state: driver.state.to_owned(),
        requests_sent: driver.requests_sent,
        summary_only: driver.summary_only.map(|own| OwnWord {
            mean_ms: own.mean_ms,
            median_ms: own.median_ms,
            min_ms: own.min_ms,
            max_ms: own.max_ms,
        }),
    };
    view.drivers.iter().map(of).collect()
}

pub(crate) fn verdict(verdict: &Verdict) -> VerdictJson {
    let json = |reason: &Reason| ReasonJson {
        code: reason.code.to_owned(),
        driver: reason.driver.clone(),
        seconds: reason.seconds,
        text: reason.text.clone(),
    };
    VerdictJson {
        value: verdict.value.as_str().to_owned(),
        reasons: verdict.reasons.iter().map(json).collect(),
        findings: verdict.findings.iter().map(json).collect(),
        target_saturated: verdict.target_saturated,
    }
}

/// How the thresholds stand, in the form of the summary.
pub(crate) fn thresholds(view: &RunView) -> Vec<ThresholdSummary> {
    report::thresholds(&view.plan.thresholds, &view.thresholds)
}

pub(crate) fn event(event: &TimelineEvent) -> Event {
    Event {
        second: event.second,
        at: rfc3339(event.unix_ms),
        kind: event.kind.to_string(),
        text: event.text.clone(),
        driver: event.driver.clone(),
    }
}

/// The run so far.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Totals {
    sent: u64,
    succeeded: u64,
    failed: u64,
    response_ms: Option<AllTimes>,
    service_ms: Option<AllTimes>,
    send_lag_p99_ms: Option<f64>,
    errors: Vec<ErrorSummary>,
}

/// Kinds of error sent to viewers; the rest are one row, since a hostile target can answer 500 status codes.
const ERROR_ROWS: usize = 20;

impl Totals {
    pub(crate) fn of_tick(tick: &Tick) -> Self {
        let errors = tick.errors.iter().map(|error| ErrorSummary {
            kind: error.kind.to_owned(),
            detail: (!error.detail.is_empty()).then(|| error.detail.clone()),
            count: error.count,
        });
        Self {
            sent: tick.sent_total,
            succeeded: tick.succeeded_total,
            failed: tick.failed_total,
            response_ms: tick.total_response.map(AllTimes::from),
            service_ms: tick.total_service.map(AllTimes::from),
            send_lag_p99_ms: tick.send_lag_p99_ms,
            errors: most_frequent(errors.collect()),
        }
    }

    /// Of everything measured: counts with, times without warm-up, as in [`Totals::of_tick`].
    pub(crate) fn of_merged(plan: &Plan, merged: &Merged) -> Self {
        let counts = merged.totals();
        let measured = |stage| !plan.is_warmup(stage);
        let requests = merged.all_steps(measured);
        let all = |pair: fn(&Pair) -> &Timing| {
            let mut timing = pair(&requests.ok).clone();
            timing.merge(pair(&requests.failed));
            timing.stats().map(AllTimes::from)
        };
        let errors = merged.outcomes(|_| true).into_iter().filter_map(|(outcome, count)| match outcome {
            Outcome::Success(_) => None,
            Outcome::Failed(kind, _) => {
                Some(ErrorSummary { kind: kind.as_str().to_owned(), detail: outcome.detail(), count })
            }
        });
        Self {
            sent: counts.requests_sent,
            succeeded: counts.succeeded,
            failed: counts.failed,
            response_ms: all(|pair| &pair.response),
            service_ms: all(|pair| &pair.service),
            send_lag_p99_ms: merged.all_stages(measured).send_lag.stats().map(|lag| lag.p99),
            errors: most_frequent(errors.collect()),
        }
    }
}

fn most_frequent(mut errors: Vec<ErrorSummary>) -> Vec<ErrorSummary> {
    errors
        .sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (&a.kind, &a.detail).cmp(&(&b.kind, &b.detail))));
    if errors.len() > ERROR_ROWS {
        let rest = errors.split_off(ERROR_ROWS - 1);
        let count = rest.iter().map(|error| error.count).sum();
        errors.push(ErrorSummary { kind: "other".to_owned(), detail: None, count });
    }
    errors
}

/// Times of a whole run, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct AllTimes {
    count: u64,
    mean: f64,
    min: f64,
    max: f64,
    stddev: f64,
    p50: f64,
    p75: f64,
    p90: f64,
    p95: f64,
    p99: f64,
    p99_9: f64,
    p99_99: f64,
}

impl From<Stats> for AllTimes {
    fn from(stats: Stats) -> Self {
        let Stats { count, mean, min, max, stddev, p50, p75, p90, p95, p99, p99_9, p99_99, median: _ } =
            stats;
        Self { count, mean, min, max, stddev, p50, p75, p90, p95, p99, p99_9, p99_99 }
    }
}

/// A driver of the fleet.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Driver {
    node_id: String,
    address: String,
    state: &'static str,
    /// Why it is in that state, when that needs saying.
    reason: Option<String>,
    heartbeat_age_ms: Option<u64>,
    cores: Option<u32>,
    cpu_percent: Option<f64>,
    memory_bytes: Option<u64>,
    version: Option<String>,
    clock_offset_ms: Option<f64>,
    clock_error_ms: Option<f64>,
    requests_sent: Option<u64>,
    send_lag_p99_us: Option<u64>,
    open_sockets: Option<u32>,
    zone: Option<String>,
    labels: std::collections::BTreeMap<String, String>,
}

impl From<DriverView> for Driver {
    fn from(view: DriverView) -> Self {
        Self {
            node_id: view.node_id,
            address: view.address,
            state: view.state,
            reason: view.reason,
            heartbeat_age_ms: view.heartbeat_age_ms,
            cores: view.cores,
            cpu_percent: view.cpu_percent,
            memory_bytes: view.memory_bytes,
            version: view.version,
            clock_offset_ms: view.clock_offset_ms,
            clock_error_ms: view.clock_error_ms,
            requests_sent: view.requests_sent,
            send_lag_p99_us: view.send_lag_p99_us,
            open_sockets: view.open_sockets,
            zone: view.zone,
            labels: view.labels,
        }
    }
}

/// A line of the list of runs.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct RunItem {
    pub run_id: String,
    plan: String,
    state: String,
    #[serde(rename = "loop")]
    loop_kind: String,
    created_at: String,
    started_at: Option<String>,
    duration_s: Option<f64>,
    verdict: Option<String>,
    requests_sent: Option<u64>,
    error_ratio: Option<f64>,
    achieved_per_s: Option<f64>,
    p99_ms: Option<f64>,
}

impl RunItem {
    /// What the store says of a run; of one that this process holds as `view`, that is newer.
    pub(crate) fn new(line: RunLine, view: Option<&RunView>) -> Self {
        let mut item = Self::stored(line);
        let Some(view) = view else { return item };
        item.state = view.state.as_str().to_owned();
        item.started_at = view.started_ms.map(rfc3339);
        if !view.state.is_over() {
            item.verdict = view.latest.as_ref().map(|_| view.verdict.value.as_str().to_owned());
            item.show(figures::so_far(view));
        }
        item
    }

    fn stored(line: RunLine) -> Self {
        let mut item = Self {
            run_id: line.run_id,
            plan: line.plan_name,
            state: line.state,
            loop_kind: line.loop_kind,
            created_at: rfc3339(line.created_ms),
            started_at: line.started_ms.map(rfc3339),
            duration_s: line.started_ms.zip(line.ended_ms).map(|(from, to)| (to - from) as f64 / 1000.0),
            // Of a run that never started there is nothing to trust or not.
            verdict: line.verdict.filter(|_| line.started_ms.is_some()),
            ..Self::default()
        };
        item.show(line.figures);
        item
    }

    fn show(&mut self, figures: Figures) {
        let Figures { requests_sent, error_ratio, achieved_per_s, p99_ms } = figures;
        self.requests_sent = requests_sent;
        self.error_ratio = error_ratio;
        self.achieved_per_s = achieved_per_s;
        self.p99_ms = p99_ms;
    }
}
