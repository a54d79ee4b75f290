//! The figures beside a run in the list of runs: stored at its end, and until then those of its last second.

use cluster::RunResult;
use cluster::view::RunView;
use store::Figures;

fn ratio(failed: Option<u64>, succeeded: Option<u64>) -> Option<f64> {
    let (failed, succeeded) = failed.zip(succeeded)?;
    (failed + succeeded > 0).then(|| failed as f64 / (failed + succeeded) as f64)
}

/// What the list shows of a result, as its summary says it.
pub fn figures(result: &RunResult) -> Figures {
    let summary = crate::summary(result);
    Figures {
        requests_sent: summary.requests.sent,
        error_ratio: ratio(summary.requests.failed, summary.requests.succeeded),
        achieved_per_s: summary.rate.achieved_per_s,
        p99_ms: summary.response_time_ms.p99,
    }
}

/// Of a run under way: so far, and its last second.
pub(crate) fn so_far(view: &RunView) -> Figures {
    let tick = view.latest.as_deref();
    Figures {
        requests_sent: tick.map(|tick| tick.sent_total),
        error_ratio: tick.and_then(|tick| ratio(Some(tick.failed_total), Some(tick.succeeded_total))),
        achieved_per_s: tick.map(|tick| tick.started as f64),
        p99_ms: tick.and_then(|tick| tick.total_response).map(|stats| stats.p99),
    }
}
