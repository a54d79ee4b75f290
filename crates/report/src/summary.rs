//! The summary of a run: what `swell run -o json=FILE`, the API and the store hand out (`groundswell/summary/v1`).
//!
//! Invariants: the names and their order are part of the interface and change only with the name of the schema; what was
//! not measured is `null`, never 0. `accounting` and `drivers` are about the whole run, everything else about its
//! measured part, without warm-up.

use serde::{Deserialize, Serialize};

/// The value of [`Summary::schema`].
pub const SCHEMA: &str = "groundswell/summary/v1";

/// One run in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Identity of the run.
    pub run_id: String,
    /// Name of the plan.
    pub plan: String,
    /// Where the run stands; `finished` makes the summary final.
    pub state: String,
    /// `open`, or `closed`, where stalls of the target are under-represented.
    #[serde(rename = "loop")]
    pub loop_kind: String,
    /// RFC 3339, UTC.
    pub started_at: Option<String>,
    /// Seconds from the start to the end, or to now.
    pub duration_s: Option<f64>,
    /// Seconds of those outside of warm-up.
    pub measured_s: Option<f64>,
    /// Could the generators do what the plan asked?
    pub verdict: VerdictSummary,
    /// Walks through scenarios.
    pub iterations: IterationCounts,
    /// Requests of all steps.
    pub requests: RequestCounts,
    /// Per second of the measured part.
    pub rate: Rates,
    /// On the wire, heads included.
    pub bytes: Bytes,
    /// done − intended, of all requests.
    pub response_time_ms: Times,
    /// done − sent, of all requests.
    pub service_time_ms: Times,
    /// sent − max(intended, usable): the generators' own delay.
    pub send_lag_ms: Times,
    /// usable − intended: until a connection was there.
    pub connection_wait_ms: Times,
    /// Last done − arrival, of all completed iterations.
    pub iteration_time_ms: Times,
    /// In the order of the plan.
    pub steps: Vec<StepSummary>,
    /// In the order of the plan; left out where it has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupSummary>,
    /// Of all steps, most frequent first.
    pub errors: Vec<ErrorSummary>,
    /// By node id.
    pub drivers: Vec<DriverSummary>,
    /// In the order of the plan.
    pub thresholds: Vec<ThresholdSummary>,
    /// What was asked, done and recorded must agree.
    pub accounting: AccountingSummary,
    /// Why teardown did not do what it should; left out where it did, or where the plan has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teardown_fault: Option<String>,
}

/// A group of steps, which users see as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupSummary {
    /// Its name.
    pub name: String,
    /// Walked through with every request a success; `null` when nothing was measured.
    pub succeeded: Option<u64>,
    /// Walked through otherwise, or left before its end.
    pub failed: Option<u64>,
    /// From when its first request was intended to when its last was done, pauses in between included.
    pub group_time_ms: Times,
}

/// The verdict on the numbers themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictSummary {
    /// `valid`, `suspect` or `invalid`.
    pub value: String,
    /// Why it is not, or only just, `valid`.
    pub reasons: Vec<ReasonSummary>,
    /// What was the target's doing, or that of the plan's own limit; never held against the generators.
    #[serde(default)]
    pub findings: Vec<ReasonSummary>,
    /// The target could not keep up; never held against the generators.
    pub target_saturated: bool,
}

/// One reason of a verdict, or one finding beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonSummary {
    /// A stable code.
    pub code: String,
    /// The driver it is about; `null` when it is about the run.
    pub driver: Option<String>,
    /// Seconds of that driver.
    pub seconds: u64,
    /// One sentence.
    pub text: String,
}

/// `due = started + missed + lost`; `overlap` is apart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IterationCounts {
    /// Wanted by the schedule until the run stopped.
    pub due: Option<u64>,
    /// Begun.
    pub started: Option<u64>,
    /// Not begun in time.
    pub missed: Option<u64>,
    /// Due on a driver that was lost, after its last report.
    pub lost: Option<u64>,
    /// Begun by two drivers while a share moved.
    pub overlap: Option<u64>,
}

/// `sent = succeeded + failed + cancelled + unknown`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RequestCounts {
    /// Begun, whether or not a byte left.
    pub sent: Option<u64>,
    /// Answered as the plan accepts.
    pub succeeded: Option<u64>,
    /// Ended otherwise.
    pub failed: Option<u64>,
    /// Still in flight when the drain ended.
    pub cancelled: Option<u64>,
    /// Sent by a driver that died before it said what became of them.
    pub unknown: Option<u64>,
}

/// Iterations and requests per second.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Rates {
    /// Iterations per second that the plan asks for.
    pub planned_per_s: Option<f64>,
    /// Iterations per second that were started.
    pub achieved_per_s: Option<f64>,
    /// Requests per second that were sent.
    pub requests_per_s: Option<f64>,
}

/// Bytes of all requests and answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bytes {
    /// Received.
    #[serde(rename = "in")]
    pub received: Option<u64>,
    /// Sent.
    #[serde(rename = "out")]
    pub sent: Option<u64>,
}

/// A distribution of times, in milliseconds; all `null` when nothing was measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Times {
    /// Exact.
    pub mean: Option<f64>,
    /// The same as `p50`.
    pub median: Option<f64>,
    /// Exact.
    pub min: Option<f64>,
    /// Exact.
    pub max: Option<f64>,
    /// Exact, of the population.
    pub stddev: Option<f64>,
    /// Percentile, to three significant digits, as the following.
    pub p50: Option<f64>,
    /// Percentile.
    pub p75: Option<f64>,
    /// Percentile.
    pub p90: Option<f64>,
    /// Percentile.
    pub p95: Option<f64>,
    /// Percentile.
    pub p99: Option<f64>,
    /// Percentile.
    pub p99_9: Option<f64>,
    /// Percentile.
    pub p99_99: Option<f64>,
    /// The name of the first of these percentiles that is only a lower bound, as are those above it: what was missed or
    /// cancelled is not among the samples and would lie there.
    pub lower_bound_from: Option<String>,
}

/// One step, a row of every table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepSummary {
    /// Its name in the plan.
    pub name: String,
    /// Requests of this step.
    pub requests: RequestCounts,
    /// done − intended.
    pub response_time_ms: Times,
    /// done − sent.
    pub service_time_ms: Times,
    /// Where that time went; `null` in a run whose plan does not ask (`phases: true`).
    pub phases: Option<PhaseSummary>,
    /// Most frequent first.
    pub errors: Vec<ErrorSummary>,
}

/// Where the time of requests went, succeeded and failed. What a request did not have is not in it: lookup, connect and
/// TLS are those of requests for which a connection was opened.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PhaseSummary {
    /// Resolving the target's name.
    pub lookup_ms: Times,
    /// Opening the connection.
    pub connect_ms: Times,
    /// The TLS handshake.
    pub tls_ms: Times,
    /// From the first byte of the request to its last.
    pub sending_ms: Times,
    /// From the last byte of the request to the first of the answer.
    pub waiting_ms: Times,
    /// From the first byte of the answer to its last.
    pub receiving_ms: Times,
}

/// How often requests failed in one way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ErrorSummary {
    /// A name of the closed list.
    pub kind: String,
    /// The status code of `status`, the check of `check`, what had run out of `local_limit`.
    pub detail: Option<String>,
    /// Requests.
    pub count: u64,
}

/// One driver over the whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriverSummary {
    /// The driver.
    pub node_id: String,
    /// Its state in the run, such as `finished` or `lost`.
    pub state: String,
    /// Requests it sent.
    pub requests_sent: Option<u64>,
    /// 99th percentile of its send lag, in microseconds.
    pub send_lag_p99_us: Option<f64>,
    /// Mean CPU of its process, in percent of one core.
    pub cpu_percent: Option<f64>,
}

/// One threshold of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdSummary {
    /// As written in the plan.
    pub expression: String,
    /// `run`, or a kind and a name: `step GET /cart`, `stage hold`.
    pub scope: String,
    /// `pass`, `fail` or `no_data`.
    pub result: String,
    /// What was compared with the limit.
    pub observed: Option<f64>,
    /// The limit of the expression, in the same unit.
    #[serde(default)]
    pub limit: Option<f64>,
    /// The unit of both: `ms`, `/s`, `%`; `null` for a count.
    pub unit: Option<String>,
    /// Whole seconds from the start until it was first seen breached, even if it holds in the end.
    pub first_breach_s: Option<u32>,
    /// Whether the run fails by it: by `fail`, and by `no_data` unless it allows that.
    #[serde(default)]
    pub failed: bool,
    /// Whether it ended the run.
    #[serde(default)]
    pub aborted: bool,
}

/// The identities over the whole run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccountingSummary {
    /// Wanted by the schedule until the run stopped.
    pub iterations_due: Option<u64>,
    /// Begun.
    pub iterations_started: Option<u64>,
    /// Begun.
    pub requests_sent: Option<u64>,
    /// Whose end is known: succeeded, failed or cancelled.
    pub requests_recorded: Option<u64>,
    /// Raw events made by the drivers.
    pub events_produced: Option<u64>,
    /// Raw events in the store.
    pub events_stored: Option<u64>,
    /// Raw events given up on the way.
    pub events_dropped: Option<u64>,
    /// Whether every identity holds.
    pub balanced: bool,
}

impl Summary {
    /// As JSON, indented, with a line break at its end.
    pub fn to_json(&self) -> String {
        // Serialization fails for maps with keys that are not text, and for writers that fail: neither is here.
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        json
    }
}
