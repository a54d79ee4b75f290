//! Runs and their timelines as rows.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::{EventRow, RunRow};

const COLUMNS: &str = "run_id, plan_name, plan_source, state, created_ms, started_ms, ended_ms, loop_kind, drivers, \
                       extras, verdict, summary_json";

/// Adds a run.
pub(crate) fn insert(connection: &Connection, run: &RunRow) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO run (run_id, plan_name, plan_source, state, created_ms, started_ms, ended_ms, loop_kind, \
         drivers, extras, verdict, summary_json) VALUES (:run_id, :plan_name, :plan_source, :state, :created_ms, \
         :started_ms, :ended_ms, :loop_kind, :drivers, :extras, :verdict, :summary_json)",
    )?;
    write(&mut insert, run).map(drop)
}

/// Replaces what is said of a run; false when there is none of that name.
pub(crate) fn update(connection: &Connection, run: &RunRow) -> rusqlite::Result<bool> {
    let mut update = connection.prepare_cached(
        "UPDATE run SET plan_name = :plan_name, plan_source = :plan_source, state = :state, \
         created_ms = :created_ms, started_ms = :started_ms, ended_ms = :ended_ms, loop_kind = :loop_kind, \
         drivers = :drivers, extras = :extras, verdict = :verdict, summary_json = :summary_json \
         WHERE run_id = :run_id",
    )?;
    Ok(write(&mut update, run)? > 0)
}

fn write(statement: &mut rusqlite::CachedStatement<'_>, run: &RunRow) -> rusqlite::Result<usize> {
    let drivers = serde_json::Value::from(run.drivers.clone()).to_string();
    statement.execute(named_params! {
        ":run_id": run.run_id, ":plan_name": run.plan_name, ":plan_source": run.plan_source, ":state": run.state,
        ":created_ms": run.created_ms, ":started_ms": run.started_ms, ":ended_ms": run.ended_ms,
        ":loop_kind": run.loop_kind, ":drivers": drivers, ":extras": run.extras, ":verdict": run.verdict,
        ":summary_json": run.summary_json,
    })
}

/// The run of that name.
pub(crate) fn one(connection: &Connection, run_id: &str) -> rusqlite::Result<Option<RunRow>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM run WHERE run_id = ?1"))?
        .query_row([run_id], read)
        .optional()
}

/// The key that other tables know the run by.
pub(crate) fn key(connection: &Connection, run_id: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM run WHERE run_id = ?1")?
        .query_row([run_id], |row| row.get(0))
        .optional()
}

/// At most `limit` runs, newest first, beginning after the run `before`.
pub(crate) fn page(
    connection: &Connection,
    before: Option<&str>,
    limit: u32,
) -> rusqlite::Result<Vec<RunRow>> {
    let mut page = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM run WHERE ?1 IS NULL \
         OR (created_ms, run_id) < (SELECT created_ms, run_id FROM run WHERE run_id = ?1) \
         ORDER BY created_ms DESC, run_id DESC LIMIT ?2"
    ))?;
    page.query_map((before, limit), read)?.collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let drivers: String = row.get("drivers")?;
    let drivers = serde_json::from_str(&drivers).map_err(|fault| {
        rusqlite::Error::FromSqlConversionFailure(8, rusqlite::types::Type::Text, Box::new(fault))
    })?;
    Ok(RunRow {
        run_id: row.get("run_id")?,
        plan_name: row.get("plan_name")?,
        plan_source: row.get("plan_source")?,
        state: row.get("state")?,
        created_ms: row.get("created_ms")?,
        started_ms: row.get("started_ms")?,
        ended_ms: row.get("ended_ms")?,
        loop_kind: row.get("loop_kind")?,
        drivers,
        extras: row.get("extras")?,
        verdict: row.get("verdict")?,
        summary_json: row.get("summary_json")?,
    })
}

/// Adds an event to the timeline of the run `run`.
pub(crate) fn insert_event(connection: &Connection, run: i64, event: &EventRow) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO event (run, second, unix_ms, kind, text, driver) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((run, event.second, event.unix_ms, &event.kind, &event.text, &event.driver))
        .map(drop)
}

/// The first `limit` events of the run `run`, in the order in which they were added.
pub(crate) fn events(connection: &Connection, run: i64, limit: u32) -> rusqlite::Result<Vec<EventRow>> {
    let mut events = connection.prepare_cached(
        "SELECT second, unix_ms, kind, text, driver FROM event WHERE run = ?1 ORDER BY id LIMIT ?2",
    )?;
    let read = |row: &Row<'_>| {
        Ok(EventRow {
            second: row.get(0)?,
            unix_ms: row.get(1)?,
            kind: row.get(2)?,
            text: row.get(3)?,
            driver: row.get(4)?,
        })
    };
    events.query_map((run, limit), read)?.collect()
}
