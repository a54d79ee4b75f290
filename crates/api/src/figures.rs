//! The figures beside a run in the list of runs.
//!
//! They come from the run's whole result, which takes some milliseconds to read, and do not change once a run is over;
//! so they are kept, and a page of runs seen for the first time fills over a few calls.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cluster::RunResult;
use cluster::view::{RunState, RunView};
use store::{Reader, RunRow};

/// Runs whose figures are kept; some hundred bytes each.
const KEPT: usize = 2_000;
/// Results that one call may read: a list answers within a second even if they are long.
const READ_PER_CALL: usize = 8;

/// What a line of the list shows of a run's result.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub verdict: Option<&'static str>,
    pub requests_sent: Option<u64>,
    pub error_ratio: Option<f64>,
    pub achieved_per_s: Option<f64>,
    pub p99_ms: Option<f64>,
}

fn ratio(failed: Option<u64>, succeeded: Option<u64>) -> Option<f64> {
    let (failed, succeeded) = failed.zip(succeeded)?;
    (failed + succeeded > 0).then(|| failed as f64 / (failed + succeeded) as f64)
}

impl Figures {
    fn of_result(result: &RunResult) -> Self {
        let summary = crate::summary(result);
        Self {
            verdict: result.view.started_ms.map(|_| result.verdict.value.as_str()),
            requests_sent: summary.requests.sent,
            error_ratio: ratio(summary.requests.failed, summary.requests.succeeded),
            achieved_per_s: summary.rate.achieved_per_s,
            p99_ms: summary.response_time_ms.p99,
        }
    }

    /// Of a run under way: so far, and its last second.
    pub(crate) fn of_view(view: &RunView) -> Self {
        let tick = view.latest.as_deref();
        Self {
            verdict: tick.map(|_| view.verdict.value.as_str()),
            requests_sent: tick.map(|tick| tick.sent_total),
            error_ratio: tick.and_then(|tick| ratio(Some(tick.failed_total), Some(tick.succeeded_total))),
            achieved_per_s: tick.map(|tick| tick.started as f64),
            p99_ms: tick.and_then(|tick| tick.total_response).map(|stats| stats.p99),
        }
    }
}

/// The figures of runs that are over, as far as they have been read.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<HashMap<String, Figures>>);

impl Kept {
    /// The figures of these rows; empty where a run is not over, cannot be read, or has to wait for the next call.
    pub(crate) fn of(&self, reader: &Reader, rows: &[RunRow]) -> Vec<Figures> {
        let mut room = READ_PER_CALL;
        rows.iter()
            .map(|row| {
                if let Some(known) = self.lock().get(&row.run_id) {
                    return known.clone();
                }
                let over = RunState::parse(&row.state).is_some_and(RunState::is_over);
                if !over || room == 0 {
                    return Figures::default();
                }
                room -= 1;
                let figures = match RunResult::load(reader, &row.run_id) {
                    Ok(result) => result.as_ref().map(Figures::of_result).unwrap_or_default(),
                    Err(error) => {
                        tracing::warn!(run = row.run_id, %error, "a stored run cannot be read");
                        Figures::default()
                    }
                };
                let mut kept = self.lock();
                if kept.len() >= KEPT {
                    kept.clear();
                }
                kept.insert(row.run_id.clone(), figures.clone());
                figures
            })
            .collect()
    }

    // Entries are inserted whole, so a panic elsewhere leaves the map usable.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Figures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
