//! `runs` and `run_events`.

use store::{Reader, RunRow};

use super::rows::{Column, Kind, Rows, Value};
use crate::Fault;

pub(super) const RUNS: &[Column] = &[
    ("test_run_id", Kind::Text),
    ("plan_name", Kind::Text),
    ("state", Kind::Text),
    ("verdict", Kind::Text),
    ("loop_kind", Kind::Text),
    ("created_at", Kind::Time),
    ("started_at", Kind::Time),
    ("ended_at", Kind::Time),
    ("drivers", Kind::Texts),
    ("requests_sent", Kind::Long),
    ("error_ratio", Kind::Real),
    ("achieved_per_s", Kind::Real),
    ("p99_ms", Kind::Real),
    ("plan_source", Kind::Text),
];

pub(super) const EVENTS: &[Column] = &[
    ("test_run_id", Kind::Text),
    ("timestamp", Kind::Time),
    ("second", Kind::Int),
    ("kind", Kind::Text),
    ("text", Kind::Text),
    ("worker_id", Kind::Text),
];

pub(super) fn run(run: &RunRow, rows: &mut Rows<'_>) {
    rows.push(&[
        Value::Text(&run.run_id),
        Value::Text(&run.plan_name),
        Value::Text(&run.state),
        Value::maybe(run.verdict.as_deref(), Value::Text),
        Value::Text(&run.loop_kind),
        Value::Time(run.created_ms),
        Value::maybe(run.started_ms, Value::Time),
        Value::maybe(run.ended_ms, Value::Time),
        Value::Texts(&run.drivers),
        Value::maybe(run.figures.requests_sent, Value::Long),
        Value::maybe(run.figures.error_ratio, Value::Real),
        Value::maybe(run.figures.achieved_per_s, Value::Real),
        Value::maybe(run.figures.p99_ms, Value::Real),
        Value::Text(&run.plan_source),
    ]);
}

pub(super) fn events(reader: &Reader, run: &RunRow, rows: &mut Rows<'_>) -> Result<(), Fault> {
    for event in reader.events(&run.run_id)? {
        rows.push(&[
            Value::Text(&run.run_id),
            Value::Time(event.unix_ms),
            Value::maybe(event.second, Value::Int),
            Value::Text(&event.kind),
            Value::Text(&event.text),
            Value::maybe(event.driver.as_deref(), Value::Text),
        ]);
    }
    Ok(())
}
