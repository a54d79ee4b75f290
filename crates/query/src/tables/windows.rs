//! What was measured, by second: `run_windows`, `run_iterations`, `run_errors`, `run_drivers`.

use metrics::{Histogram, Missed, Outcome, StepWindow, Timing};
use store::Reader;

use super::Named;
use super::rows::{Column, Kind, Rows, Value};
use crate::Fault;

pub(super) const WINDOWS: &[Column] = &[
    ("test_run_id", Kind::Text),
    ("timestamp", Kind::Time),
    ("second", Kind::Int),
    ("endpoint", Kind::Text),
    ("kind", Kind::Text),
    ("stage", Kind::Text),
    ("is_warmup", Kind::Flag),
    ("requests", Kind::Long),
    ("succeeded", Kind::Long),
    ("failed", Kind::Long),
    ("cancelled", Kind::Long),
    ("sent", Kind::Long),
    ("bytes_in", Kind::Long),
    ("bytes_out", Kind::Long),
    ("response_time_bins", Kind::Bins),
    ("response_time_counts", Kind::Counts),
    ("response_time_sum_us", Kind::Real),
    ("response_time_min_us", Kind::Real),
    ("response_time_max_us", Kind::Real),
    ("service_time_bins", Kind::Bins),
    ("service_time_counts", Kind::Counts),
    ("service_time_sum_us", Kind::Real),
    ("service_time_min_us", Kind::Real),
    ("service_time_max_us", Kind::Real),
    ("step_number", Kind::Int),
    ("stage_number", Kind::Int),
];

pub(super) const ITERATIONS: &[Column] = &[
    ("test_run_id", Kind::Text),
    ("timestamp", Kind::Time),
    ("second", Kind::Int),
    ("stage", Kind::Text),
    ("is_warmup", Kind::Flag),
    ("due", Kind::Long),
    ("started", Kind::Long),
    ("completed", Kind::Long),
    ("missed", Kind::Long),
    ("missed_ours", Kind::Long),
    ("missed_target", Kind::Long),
    ("missed_limit", Kind::Long),
    ("iteration_time_bins", Kind::Bins),
    ("iteration_time_counts", Kind::Counts),
    ("send_lag_bins", Kind::Bins),
    ("send_lag_counts", Kind::Counts),
    ("connection_wait_bins", Kind::Bins),
    ("connection_wait_counts", Kind::Counts),
    ("stage_number", Kind::Int),
];

pub(super) const ERRORS: &[Column] = &[
    ("test_run_id", Kind::Text),
    ("timestamp", Kind::Time),
    ("second", Kind::Int),
    ("endpoint", Kind::Text),
    ("kind", Kind::Text),
    ("stage", Kind::Text),
    ("is_warmup", Kind::Flag),
    ("error", Kind::Text),
    ("count", Kind::Long),
];

pub(super) const DRIVERS: &[Column] = &[
    ("test_run_id", Kind::Text),
    ("timestamp", Kind::Time),
    ("second", Kind::Int),
    ("worker_id", Kind::Text),
    ("requests_sent", Kind::Long),
    ("succeeded", Kind::Long),
    ("failed", Kind::Long),
    ("cancelled", Kind::Long),
    ("due", Kind::Long),
    ("started", Kind::Long),
    ("missed", Kind::Long),
    ("bytes_in", Kind::Long),
    ("bytes_out", Kind::Long),
    ("in_flight", Kind::Long),
    ("queued", Kind::Long),
    ("connections", Kind::Long),
    ("cpu_percent", Kind::Real),
    ("memory_bytes", Kind::Long),
    ("send_lag_p50_us", Kind::Real),
    ("send_lag_p99_us", Kind::Real),
];

pub(super) fn windows(reader: &Reader, named: &Named, rows: &mut Rows<'_>) -> Result<(), Fault> {
    reader.seconds(&named.run.run_id, |second, window| {
        for step in &window.steps {
            let (response, service) = (all(step, |pair| &pair.response), all(step, |pair| &pair.service));
            rows.push(&[
                Value::Text(&named.run.run_id),
                Value::Time(named.at_ms(second)),
                Value::Int(second),
                Value::Text(named.endpoint(step.step)),
                Value::Text(kind(step)),
                Value::Text(named.stage(step.stage)),
                Value::Flag(named.plan.is_warmup(step.stage)),
                Value::Long(response.count()),
                Value::Long(step.succeeded()),
                Value::Long(step.failures()),
                Value::Long(step.cancelled),
                Value::Long(step.sent),
                Value::Long(step.bytes_in),
                Value::Long(step.bytes_out),
                Value::Bins(response.histogram()),
                Value::Counts(response.histogram()),
                sum_us(&response),
                Value::maybe(response.min_ns(), us),
                Value::maybe(response.max_ns(), us),
                Value::Bins(service.histogram()),
                Value::Counts(service.histogram()),
                sum_us(&service),
                Value::maybe(service.min_ns(), us),
                Value::maybe(service.max_ns(), us),
                Value::Int(u32::from(step.step.0)),
                Value::Int(u32::from(step.stage.0)),
            ]);
        }
    })?;
    Ok(())
}

pub(super) fn iterations(reader: &Reader, named: &Named, rows: &mut Rows<'_>) -> Result<(), Fault> {
    reader.seconds(&named.run.run_id, |second, window| {
        for stage in &window.stages {
            let Missed { ours, target, limit } = stage.missed;
            let histograms: [&Histogram; 3] = [
                stage.iteration_time.histogram(),
                stage.send_lag.histogram(),
                stage.connection_wait.histogram(),
            ];
            rows.push(&[
                Value::Text(&named.run.run_id),
                Value::Time(named.at_ms(second)),
                Value::Int(second),
                Value::Text(named.stage(stage.stage)),
                Value::Flag(named.plan.is_warmup(stage.stage)),
                Value::Long(stage.due),
                Value::Long(stage.started),
                Value::Long(stage.completed),
                Value::Long(stage.missed.total()),
                Value::Long(ours),
                Value::Long(target),
                Value::Long(limit),
                Value::Bins(histograms[0]),
                Value::Counts(histograms[0]),
                Value::Bins(histograms[1]),
                Value::Counts(histograms[1]),
                Value::Bins(histograms[2]),
                Value::Counts(histograms[2]),
                Value::Int(u32::from(stage.stage.0)),
            ]);
        }
    })?;
    Ok(())
}

pub(super) fn errors(reader: &Reader, named: &Named, rows: &mut Rows<'_>) -> Result<(), Fault> {
    reader.seconds(&named.run.run_id, |second, window| {
        for step in &window.steps {
            for &(outcome, count) in &step.outcomes {
                let Outcome::Failed(error, _) = outcome else { continue };
                let error = match outcome.detail() {
                    Some(detail) => format!("{error}: {detail}"),
                    None => error.to_string(),
                };
                rows.push(&[
                    Value::Text(&named.run.run_id),
                    Value::Time(named.at_ms(second)),
                    Value::Int(second),
                    Value::Text(named.endpoint(step.step)),
                    Value::Text(kind(step)),
                    Value::Text(named.stage(step.stage)),
                    Value::Flag(named.plan.is_warmup(step.stage)),
                    Value::Text(&error),
                    Value::Long(count),
                ]);
            }
        }
    })?;
    Ok(())
}

pub(super) fn drivers(reader: &Reader, named: &Named, rows: &mut Rows<'_>) -> Result<(), Fault> {
    reader.driver_seconds(&named.run.run_id, |driver| {
        let did = &driver.totals;
        let [p50, p99] = did.send_lag.histogram().quantiles([0.5, 0.99]);
        rows.push(&[
            Value::Text(&named.run.run_id),
            Value::Time(named.at_ms(driver.second)),
            Value::Int(driver.second),
            Value::Text(&driver.node_id),
            Value::Long(did.requests_sent),
            Value::Long(did.succeeded),
            Value::Long(did.failed),
            Value::Long(did.cancelled),
            Value::Long(did.due),
            Value::Long(did.started),
            Value::Long(did.missed.total()),
            Value::Long(did.bytes_in),
            Value::Long(did.bytes_out),
            Value::Long(u64::from(driver.in_flight)),
            Value::Long(u64::from(driver.queued)),
            Value::Long(u64::from(driver.connections)),
            Value::maybe(did.cpu_percent(), Value::Real),
            Value::maybe(Some(driver.memory_bytes).filter(|bytes| *bytes > 0), Value::Long),
            Value::maybe(p50, us),
            Value::maybe(p99, us),
        ]);
    })?;
    Ok(())
}

/// Times of successes and failures together.
fn all(step: &StepWindow, of: fn(&metrics::Pair) -> &Timing) -> Timing {
    let mut all = of(&step.ok).clone();
    all.merge(of(&step.failed));
    all
}

const fn kind(step: &StepWindow) -> &'static str {
    if step.step.group().is_some() { "group" } else { "step" }
}

fn us(ns: u64) -> Value<'static> {
    Value::Real(ns as f64 / 1e3)
}

fn sum_us(timing: &Timing) -> Value<'static> {
    Value::Real(timing.sum_ns() as f64 / 1e3)
}
