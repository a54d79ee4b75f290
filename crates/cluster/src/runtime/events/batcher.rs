//! Samples become rows, and rows batches: by name, in microseconds, in the broker's time.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use clock::{BrokerTime, Instant};
use events::{Builder, Malformed, Row};
use metrics::{Outcome, Sample};
use plan::Plan;

/// Rows of a batch at most.
pub const ROWS_MAX: usize = 8_192;
/// How old its first row may become.
pub const AGE_MAX: Duration = Duration::from_millis(250);
/// Bytes of a batch at most: half of what a broker takes unless it is told otherwise.
const BYTES_MAX: usize = 512 << 10;
/// What a row takes: five numbers of eight bytes, three of four, three of two, and a bit for each that may be missing.
const ROW_BYTES: usize = 60;
/// What a batch takes beside its rows and its names: the schema, and the words for all errors there are.
const FRAME_BYTES: usize = 32 << 10;

/// Makes the batches of one run.
pub struct Batcher {
    builder: Builder,
    began_us: i64,
    endpoints: Names,
    stages: Names,
    /// In words, once each.
    errors: BTreeMap<Outcome, String>,
    bytes: usize,
    /// When the first row of the open batch came.
    since: Option<Instant>,
}

/// Names by their numbers, and which of them the open batch has.
struct Names(Vec<(String, bool)>);

impl Names {
    fn of(names: impl Iterator<Item = String>) -> Self {
        Self(names.map(|name| (name, false)).collect())
    }

    /// The name, and the bytes that the batch grows by with it.
    fn get(&mut self, number: u16) -> Option<(&str, usize)> {
        let (name, is_in) = self.0.get_mut(usize::from(number))?;
        let bytes = if mem::replace(is_in, true) { 0 } else { name.len() + size_of::<u32>() };
        Some((name, bytes))
    }

    fn forget(&mut self) {
        self.0.iter_mut().for_each(|(_, is_in)| *is_in = false);
    }
}

impl Batcher {
    /// For a run of `plan` whose second 0 is `began`.
    pub fn new(plan: &Plan, began: BrokerTime) -> Self {
        Self {
            builder: Builder::new(),
            began_us: began.unix_ms().saturating_mul(1000),
            endpoints: Names::of(plan.rows().iter().cloned()),
            stages: Names::of(plan.stages().into_iter().map(|stage| stage.name)),
            errors: BTreeMap::new(),
            bytes: FRAME_BYTES,
            since: None,
        }
    }

    /// Rows that can be added before [`Batcher::is_full`] is to be asked again.
    pub fn room(&self) -> usize {
        let in_bytes = BYTES_MAX.saturating_sub(self.bytes) / ROW_BYTES;
        in_bytes.min(ROWS_MAX.saturating_sub(self.builder.len())).max(1)
    }

    /// Whether the open batch is as large as one may be.
    pub fn is_full(&self) -> bool {
        self.builder.len() >= ROWS_MAX || self.bytes + ROW_BYTES > BYTES_MAX
    }

    /// Whether the open batch has waited long enough.
    pub fn is_due(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now.since(since) >= AGE_MAX)
    }

    /// Adds a row, which came now.
    pub fn push(&mut self, sample: &Sample, now: Instant) {
        let Self { builder, endpoints, stages, errors, .. } = self;
        let (endpoint, endpoint_bytes) = endpoints.get(sample.step.0).unwrap_or_default();
        let (stage, stage_bytes) = stages.get(sample.stage.0).unzip();
        let error = (!sample.outcome.is_success())
            .then(|| errors.entry(sample.outcome).or_insert_with(|| words(sample.outcome)).as_str());
        let status = Some(sample.status).filter(|status| *status > 0);
        let times = &sample.times;
        let of_sent = |ns: u64| sample.was_sent.then(|| microseconds(ns));
        let row = Row {
            timestamp_us: self.began_us.saturating_add(microseconds(times.done)),
            endpoint,
            stage,
            status_code: status.or(sample.outcome.status()),
            response_time_us: microseconds(times.response_ns()),
            service_time_us: of_sent(times.service_ns()),
            send_lag_us: of_sent(times.send_lag_ns()),
            connection_wait_us: of_sent(times.connection_wait_ns()),
            bytes_in: Some(u64::from(sample.bytes_in)),
            bytes_out: Some(u64::from(sample.bytes_out)),
            error,
        };
        if builder.push(&row).is_err() {
            debug_assert!(false, "the caller finishes a batch that is full");
        }
        self.bytes += ROW_BYTES + endpoint_bytes + stage_bytes.unwrap_or(0);
        self.since.get_or_insert(now);
    }

    /// Closes the open batch: how many rows it has, and its bytes. `None` when it has none.
    pub fn finish(&mut self) -> Option<(u32, Result<Vec<u8>, Malformed>)> {
        let rows = u32::try_from(self.builder.len()).ok().filter(|rows| *rows > 0)?;
        let batch = self.builder.finish();
        self.endpoints.forget();
        self.stages.forget();
        self.bytes = FRAME_BYTES;
        self.since = None;
        Some((rows, events::encode(&batch)))
    }
}

/// The kind of a failure, and after a colon its detail.
fn words(outcome: Outcome) -> String {
    let Outcome::Failed(kind, _) = outcome else { return String::new() };
    match outcome.detail() {
        Some(detail) => format!("{kind}: {detail}"),
        None => kind.to_string(),
    }
}

/// To the nearest.
fn microseconds(ns: u64) -> i64 {
    i64::try_from(ns.saturating_add(500) / 1000).unwrap_or(i64::MAX)
}
