//! Runs and their timelines as rows.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::{EventRow, Figures, RunLine, RunRow};

const COLUMNS: &str = "run_id, plan_name, plan_source, state, created_ms, started_ms, ended_ms, loop_kind, drivers, \
                       extras, verdict, requests_sent, error_ratio, achieved_per_s, p99_ms";

/// Adds a run.
pub(crate) fn insert(connection: &Connection, run: &RunRow) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO run (run_id, plan_name, plan_source, state, created_ms, started_ms, ended_ms, loop_kind, \
         drivers, extras, verdict, requests_sent, error_ratio, achieved_per_s, p99_ms) \
         VALUES (:run_id, :plan_name, :plan_source, :state, :created_ms, :started_ms, :ended_ms, :loop_kind, \
         :drivers, :extras, :verdict, :requests_sent, :error_ratio, :achieved_per_s, :p99_ms)",
    )?;
    write(&mut insert, run).map(drop)
}

/// Replaces what is said of a run; false when there is none of that name.
pub(crate) fn update(connection: &Connection, run: &RunRow) -> rusqlite::Result<bool> {
    let mut update = connection.prepare_cached(
        "UPDATE run SET plan_name = :plan_name, plan_source = :plan_source, state = :state, \
         created_ms = :created_ms, started_ms = :started_ms, ended_ms = :ended_ms, loop_kind = :loop_kind, \
         drivers = :drivers, extras = :extras, verdict = :verdict, \
         requests_sent = :requests_sent, error_ratio = :error_ratio, achieved_per_s = :achieved_per_s, \
         p99_ms = :p99_ms \
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
        ":requests_sent": run.figures.requests_sent.map(u64::cast_signed),
        ":error_ratio": run.figures.error_ratio, ":achieved_per_s": run.figures.achieved_per_s,
        ":p99_ms": run.figures.p99_ms,
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

/// At most `limit` runs, newest first, beginning after the run `before`. All that is asked for is in the index
/// `run_in_lists`, so that the texts of the runs are not read.
pub(crate) fn page(
    connection: &Connection,
    before: Option<&str>,
    limit: u32,
) -> rusqlite::Result<Vec<RunLine>> {
    let mut page = connection.prepare_cached(&page_statement(before))?;
    match before {
        None => page.query_map([limit], read_line)?.collect(),
        Some(before) => page.query_map((limit, before), read_line)?.collect(),
    }
}

fn page_statement(before: Option<&str>) -> String {
    // Two statements, since a condition that may be absent keeps the index from being used to find the first row.
    let after = match before {
        None => "",
        Some(_) => "WHERE (created_ms, run_id) < (SELECT created_ms, run_id FROM run WHERE run_id = ?2)",
    };
    format!(
        "SELECT run_id, plan_name, state, created_ms, started_ms, ended_ms, loop_kind, drivers, verdict, \
         requests_sent, error_ratio, achieved_per_s, p99_ms FROM run {after} \
         ORDER BY created_ms DESC, run_id DESC LIMIT ?1"
    )
}

/// How the database goes about a page, in its own words.
#[cfg(test)]
pub(crate) fn page_plan(connection: &Connection, before: Option<&str>) -> rusqlite::Result<String> {
    let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", page_statement(before)))?;
    let lines: Vec<String> = match before {
        None => plan.query_map([1], |row| row.get("detail"))?.collect::<rusqlite::Result<_>>()?,
        Some(before) => {
            plan.query_map((1, before), |row| row.get("detail"))?.collect::<rusqlite::Result<_>>()?
        }
    };
    Ok(lines.join("\n"))
}

// By place: looking up thirteen names takes longer than reading a row.
fn read_line(row: &Row<'_>) -> rusqlite::Result<RunLine> {
    Ok(RunLine {
        run_id: row.get(0)?,
        plan_name: row.get(1)?,
        state: row.get(2)?,
        created_ms: row.get(3)?,
        started_ms: row.get(4)?,
        ended_ms: row.get(5)?,
        loop_kind: row.get(6)?,
        drivers: names(row, 7)?,
        verdict: row.get(8)?,
        figures: figures(row, 9)?,
    })
}

/// A JSON array of names.
fn names(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<String>> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|fault| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(fault))
    })
}

/// The four columns from `first` on.
fn figures(row: &Row<'_>, first: usize) -> rusqlite::Result<Figures> {
    let sent: Option<i64> = row.get(first)?;
    Ok(Figures {
        requests_sent: sent.map(i64::cast_unsigned),
        error_ratio: row.get(first + 1)?,
        achieved_per_s: row.get(first + 2)?,
        p99_ms: row.get(first + 3)?,
    })
}

fn read(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        run_id: row.get("run_id")?,
        plan_name: row.get("plan_name")?,
        plan_source: row.get("plan_source")?,
        state: row.get("state")?,
        created_ms: row.get("created_ms")?,
        started_ms: row.get("started_ms")?,
        ended_ms: row.get("ended_ms")?,
        loop_kind: row.get("loop_kind")?,
        drivers: names(row, 8)?,
        extras: row.get("extras")?,
        verdict: row.get("verdict")?,
        figures: figures(row, 11)?,
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
