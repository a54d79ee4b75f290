//! From the result of a run to its summary: the one place where the two meet, so that page, API, terminal and files say
//! the same.

use cluster::RunResult;
use report::{DriverFacts, RunFacts, Summary, Unmeasured};

/// The summary of a run as its result stands; `duration_s` of a run under way counts to now.
pub fn summary(result: &RunResult) -> Summary {
    let RunResult { view, merged, accounting, verdict, .. } = result;
    let until = view.ended_ms.unwrap_or_else(clock::unix_ms);
    let duration_s = view.started_ms.map(|from| (until - from).max(0) as f64 / 1000.0);
    let drivers = view.drivers.iter().map(|driver| DriverFacts {
        node_id: driver.node_id.clone(),
        state: driver.state.to_owned(),
        requests_sent: Some(driver.requests_sent),
    });
    let facts = RunFacts {
        run_id: view.run_id.clone(),
        state: view.state.as_str().to_owned(),
        started_ms: view.started_ms,
        duration_s,
        stopped_s: view.stopped_ns.map(|ns| ns as f64 / 1e9),
        measured_s: None,
        planned_per_s: view.planned_per_s,
        drivers: drivers.collect(),
        unmeasured: Unmeasured::default(),
        thresholds: view.thresholds.clone(),
        teardown_fault: result.teardown_fault.clone(),
    };
    Summary::build(&facts, &view.plan, merged, verdict, accounting)
}
