//! Windows, the ledger of what is in, read positions and checkpoints as rows.

use metrics::Gauges;
use rusqlite::{Connection, OptionalExtension, Row};
use uuid::Uuid;

use super::{blob, each_blob};
use crate::points::DriverStates;
use crate::{PointStates, Position};

/// The `step` of a row about all steps together.
pub(crate) const ALL_STEPS: i64 = -1;
/// The `step` of a row about the iterations of a stage.
pub(crate) const ITERATIONS: i64 = -2;
/// The `step` that stands for a driver where rows of both tables are read.
pub(crate) const DRIVER: i64 = -3;

/// The key of one incarnation of a driver in a run.
pub(crate) fn source(
    connection: &Connection,
    run: i64,
    node_id: &str,
    incarnation: Uuid,
) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO source (run, node_id, incarnation) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO UPDATE SET node_id = node_id RETURNING id",
        )?
        .query_row((run, node_id, incarnation.as_bytes()), |row| row.get(0))
}

/// Notes that a report is in; false when it was already.
pub(crate) fn note(connection: &Connection, source: i64, seq: u64, part: u32) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO ledger (source, seq, part) VALUES (?1, ?2, ?3)")?
        .execute((source, seq.cast_signed(), part))
        .map(|rows| rows > 0)
}

/// Adds what was measured in one second: `step` is a row of the plan, [`ALL_STEPS`] or [`ITERATIONS`].
pub(crate) fn insert(
    connection: &Connection,
    run: i64,
    (step, stage, second): (i64, u16, u32),
    measured: &[u8],
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO window (run, step, stage, second, measured) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((run, step, stage, second, measured))
        .map(drop)
}

/// Hands over the rows of `step` with `from <= second < to`, by second.
pub(crate) fn span<E>(
    connection: &Connection,
    (run, step): (i64, i64),
    (from, to): (u32, u32),
    each: impl FnMut(u32, &[u8]) -> Result<(), E>,
    failed: impl Fn(rusqlite::Error) -> E,
) -> Result<(), E> {
    let span = connection
        .prepare_cached(
            "SELECT second, measured FROM window WHERE run = ?1 AND step = ?2 AND second >= ?3 AND second < ?4 \
             ORDER BY second",
        )
        .map_err(&failed)?;
    each_blob(span, (run, step, from, to), each, failed)
}

/// Hands over all rows of the run but those of all steps together, by second.
pub(crate) fn by_second<E>(
    connection: &Connection,
    run: i64,
    mut each: impl FnMut(u32, i64, &[u8]) -> Result<(), E>,
    failed: impl Fn(rusqlite::Error) -> E,
) -> Result<(), E> {
    let mut table = connection
        .prepare_cached(
            "SELECT second, step, measured FROM window WHERE run = ?1 AND step <> -1 ORDER BY second",
        )
        .map_err(&failed)?;
    let mut rows = table.query([run]).map_err(&failed)?;
    while let Some(row) = rows.next().map_err(&failed)? {
        let (second, step) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
        each(second, step, blob(row, 2).map_err(&failed)?)?;
    }
    Ok(())
}

/// A sum of counts.
fn sum(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let sum: i64 = row.get(column)?;
    Ok(u64::try_from(sum).unwrap_or(0))
}

/// The last second of which the run has a row.
pub(crate) fn last_second(connection: &Connection, run: i64) -> rusqlite::Result<Option<u32>> {
    connection
        .prepare_cached("SELECT max(second) FROM driver_second WHERE run = ?1")?
        .query_row([run], |row| row.get(0))
}

/// Adds one driver's part of one second, or without a second what it said at its end.
pub(crate) fn insert_driver(
    connection: &Connection,
    run: i64,
    node_id: &str,
    state: Option<(u32, &Gauges)>,
    measured: &[u8],
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO driver_second (run, node_id, second, in_flight, queued, connections, measured, memory_bytes) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            run,
            node_id,
            state.map(|(second, _)| second),
            state.map_or(0, |(_, state)| state.in_flight),
            state.map_or(0, |(_, state)| state.queued),
            state.map_or(0, |(_, state)| state.connections),
            measured,
            state.map(|(_, state)| state.memory_bytes.cast_signed()).filter(|bytes| *bytes > 0),
        ))
        .map(drop)
}

/// Hands over each driver's part of each second, by second and driver; parts that came apart are rows apart.
pub(crate) fn driver_rows<E>(
    connection: &Connection,
    run: i64,
    mut each: impl FnMut(u32, &str, &Gauges, &[u8]) -> Result<(), E>,
    failed: impl Fn(rusqlite::Error) -> E,
) -> Result<(), E> {
    let mut table = connection
        .prepare_cached(
            "SELECT second, node_id, in_flight, queued, connections, measured, coalesce(memory_bytes, 0) FROM driver_second \
             WHERE run = ?1 AND second IS NOT NULL ORDER BY second, node_id",
        )
        .map_err(&failed)?;
    let mut rows = table.query([run]).map_err(&failed)?;
    while let Some(row) = rows.next().map_err(&failed)? {
        let read = || -> rusqlite::Result<(u32, String, Gauges)> {
            let state = Gauges {
                in_flight: row.get(2)?,
                queued: row.get(3)?,
                connections: row.get(4)?,
                memory_bytes: u64::try_from(row.get::<_, i64>(6)?).unwrap_or(0),
                ..Gauges::default()
            };
            Ok((row.get(0)?, row.get(1)?, state))
        };
        let (second, node_id, state) = read().map_err(&failed)?;
        each(second, &node_id, &state, blob(row, 5).map_err(&failed)?)?;
    }
    Ok(())
}

/// The drivers' states in the seconds `from <= second < to`, by second; a driver's parts of a second count once.
pub(crate) fn driver_states(
    connection: &Connection,
    run: i64,
    (from, to): (u32, u32),
) -> rusqlite::Result<Vec<DriverStates>> {
    let mut states = connection.prepare_cached(
        "SELECT second, count(*), sum(in_flight), sum(queued), sum(connections) FROM \
         (SELECT second, max(in_flight) AS in_flight, max(queued) AS queued, max(connections) AS connections \
          FROM driver_second WHERE run = ?1 AND second >= ?2 AND second < ?3 GROUP BY second, node_id) \
         GROUP BY second ORDER BY second",
    )?;
    let read = |row: &Row<'_>| {
        Ok(DriverStates {
            second: row.get(0)?,
            states: PointStates {
                drivers: row.get(1)?,
                in_flight: sum(row, 2)?,
                queued: sum(row, 3)?,
                connections: sum(row, 4)?,
            },
        })
    };
    states.query_map((run, from, to), read)?.collect()
}

/// Everything measured of a run up to two of its rows, merged.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Checkpoint {
    pub(crate) through: Through,
    pub(crate) merged: Vec<u8>,
}

/// The last rows that are in something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Through {
    pub(crate) windows: i64,
    pub(crate) drivers: i64,
}

/// The checkpoint of the run.
pub(crate) fn checkpoint(connection: &Connection, run: i64) -> rusqlite::Result<Option<Checkpoint>> {
    connection
        .prepare_cached("SELECT windows_through, drivers_through, merged FROM checkpoint WHERE run = ?1")?
        .query_row([run], |row| {
            let through = Through { windows: row.get(0)?, drivers: row.get(1)? };
            Ok(Checkpoint { through, merged: row.get(2)? })
        })
        .optional()
}

/// Replaces the checkpoint of the run.
pub(crate) fn set_checkpoint(
    connection: &Connection,
    run: i64,
    Checkpoint { through, merged }: &Checkpoint,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO checkpoint (run, windows_through, drivers_through, merged) \
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((run, through.windows, through.drivers, merged))
        .map(drop)
}

/// The last rows of the run.
pub(crate) fn last(connection: &Connection, run: i64) -> rusqlite::Result<Through> {
    connection
        .prepare_cached(
            "SELECT coalesce((SELECT max(id) FROM window WHERE run = ?1), 0), \
             coalesce((SELECT max(id) FROM driver_second WHERE run = ?1), 0)",
        )?
        .query_row([run], |row| Ok(Through { windows: row.get(0)?, drivers: row.get(1)? }))
}

/// Hands over all rows of the run after those, as `step`, node id and what was measured.
pub(crate) fn after<E>(
    connection: &Connection,
    run: i64,
    through: Through,
    mut each: impl FnMut(i64, &str, &[u8]) -> Result<(), E>,
    failed: impl Fn(rusqlite::Error) -> E,
) -> Result<(), E> {
    // Rows about all steps together repeat what the steps say.
    let tables = [
        ("SELECT step, '', measured FROM window WHERE run = ?1 AND id > ?2 AND step <> -1", through.windows),
        ("SELECT -3, node_id, measured FROM driver_second WHERE run = ?1 AND id > ?2", through.drivers),
    ];
    for (statement, last) in tables {
        let mut table = connection.prepare_cached(statement).map_err(&failed)?;
        let mut rows = table.query((run, last)).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            let step = row.get(0).map_err(&failed)?;
            let node_id: String = row.get(1).map_err(&failed)?;
            each(step, &node_id, blob(row, 2).map_err(&failed)?)?;
        }
    }
    Ok(())
}

/// How far each partition has been read.
pub(crate) fn positions(connection: &Connection) -> rusqlite::Result<Vec<Position>> {
    let mut positions = connection
        .prepare_cached("SELECT topic, partition, next_offset FROM position ORDER BY topic, partition")?;
    let read =
        |row: &Row<'_>| Ok(Position { topic: row.get(0)?, partition: row.get(1)?, next_offset: row.get(2)? });
    positions.query_map([], read)?.collect()
}

/// Sets how far one partition has been read.
pub(crate) fn set_position(connection: &Connection, position: &Position) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO position (topic, partition, next_offset) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset",
        )?
        .execute((&position.topic, position.partition, position.next_offset))
        .map(drop)
}
