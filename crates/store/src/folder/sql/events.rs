//! The ledger of raw events as rows: read positions, batches, files, and what was set aside.

use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

/// How far a partition has been read; `None` when it never was.
pub(crate) fn position(
    connection: &Connection,
    topic: &str,
    partition: i32,
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT next_offset FROM ingest_offset WHERE topic = ?1 AND partition = ?2")?
        .query_row((topic, partition), |row| row.get(0))
        .optional()
}

/// Sets how far a partition has been read.
pub(crate) fn set_position(
    connection: &Connection,
    topic: &str,
    partition: i32,
    next_offset: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO ingest_offset (topic, partition, next_offset) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset",
        )?
        .execute((topic, partition, next_offset))
        .map(drop)
}

/// The key of one life of a worker in a run: of a run, a worker and an incarnation.
pub(crate) fn source(
    connection: &Connection,
    (run_id, worker_id, incarnation): (&str, &str, Uuid),
) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO ingest_source (run_id, worker_id, incarnation) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO UPDATE SET worker_id = worker_id RETURNING id",
        )?
        .query_row((run_id, worker_id, incarnation.as_bytes()), |row| row.get(0))
}

/// Whether that batch of that life of the worker is stored.
pub(crate) fn is_stored(
    connection: &Connection,
    (run_id, worker_id, incarnation): (&str, &str, Uuid),
    number: u64,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM ingest_batch WHERE number = ?4 AND source = (SELECT id FROM ingest_source \
             WHERE run_id = ?1 AND worker_id = ?2 AND incarnation = ?3)",
        )?
        .exists((run_id, worker_id, incarnation.as_bytes(), number.cast_signed()))
}

/// Notes that a batch is stored.
///
/// # Errors
/// Also when it is noted already.
pub(crate) fn note(connection: &Connection, source: i64, number: u64, rows: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO ingest_batch (source, number, rows) VALUES (?1, ?2, ?3)")?
        .execute((source, number.cast_signed(), rows.cast_signed()))
        .map(drop)
}

/// Notes a file of events.
pub(crate) fn add_file(connection: &Connection, file: i64, run_id: &str, rows: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO event_file (id, run_id, rows) VALUES (?1, ?2, ?3)")?
        .execute((file, run_id, rows.cast_signed()))
        .map(drop)
}

/// The run that a file belongs to; `None` when the file was never committed.
pub(crate) fn run_of_file(connection: &Connection, file: i64) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT run_id FROM event_file WHERE id = ?1")?
        .query_row([file], |row| row.get(0))
        .optional()
}

/// The runs that have files, by name.
pub(crate) fn runs(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached("SELECT DISTINCT run_id FROM event_file ORDER BY run_id")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// The greatest number that a file has; 0 when there is none.
pub(crate) fn last_file(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT coalesce(max(id), 0) FROM event_file", [], |row| row.get(0))
}

/// Keeps what could not be understood.
pub(crate) fn set_aside(
    connection: &Connection,
    (topic, partition, offset): (&str, i32, i64),
    reason: &str,
    bytes: &[u8],
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO ingest_poison (topic, partition, record_offset, reason, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((topic, partition, offset, reason, bytes))
        .map(drop)
}

/// Rows stored of a run, of batches that have an identity.
pub(crate) fn stored(connection: &Connection, run_id: &str) -> rusqlite::Result<u64> {
    let rows: i64 = connection
        .prepare_cached(
            "SELECT coalesce(sum(rows), 0) FROM ingest_source JOIN ingest_batch ON source = ingest_source.id \
             WHERE run_id = ?1",
        )?
        .query_row([run_id], |row| row.get(0))?;
    Ok(u64::try_from(rows).unwrap_or(0))
}
