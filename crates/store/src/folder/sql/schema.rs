//! The tables, and how an older database becomes a current one.
//!
//! Invariant: `PRAGMA user_version` counts the applied entries of [`MIGRATIONS`]; an entry that was released is never
//! edited. Rows of windows are only ever added: data that comes late adds another row for its second, and readers merge
//! the rows of a second. So a checkpoint of a run's totals stays true for ever, up to the row it names.

use rusqlite::{Connection, OptionalExtension, Transaction};

/// Marks the file as ours in its header (`swel`).
const APPLICATION_ID: i64 = 0x7377_656c;

/// Each makes the schema version of its place, counted from 1.
const MIGRATIONS: [&str; 4] = [FIRST, RAW_EVENTS, HISTORY, MEMORY];

/// What the write-ahead log is cut back to once its content is in the database.
const JOURNAL_LIMIT_BYTES: i64 = 64 << 20;

/// The schema version this program writes and reads.
pub(crate) const VERSION: i64 = 4;

const FIRST: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- `drivers` is a JSON array of node ids; `extras` belongs to the caller.
CREATE TABLE run (
  id INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL UNIQUE,
  plan_name TEXT NOT NULL,
  plan_source TEXT NOT NULL,
  state TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  started_ms INTEGER,
  ended_ms INTEGER,
  loop_kind TEXT NOT NULL,
  drivers TEXT NOT NULL,
  extras TEXT,
  verdict TEXT) STRICT;
CREATE INDEX run_by_age ON run (created_ms, run_id);

CREATE TABLE event (
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL,
  second INTEGER,
  unix_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  text TEXT NOT NULL,
  driver TEXT) STRICT;
CREATE INDEX event_by_run ON event (run);

-- One incarnation of one driver in one run, and which of its reports are in.
CREATE TABLE source (
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL,
  node_id TEXT NOT NULL,
  incarnation BLOB NOT NULL,
  UNIQUE (run, node_id, incarnation)) STRICT;
CREATE TABLE ledger (
  source INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  part INTEGER NOT NULL,
  PRIMARY KEY (source, seq, part)) STRICT, WITHOUT ROWID;

-- Merged over drivers. `step` is the row of a step, -1 all steps together, -2 the iterations of the stage.
CREATE TABLE window (
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL,
  step INTEGER NOT NULL,
  stage INTEGER NOT NULL,
  second INTEGER NOT NULL,
  measured BLOB NOT NULL) STRICT;
CREATE INDEX window_by_run ON window (run);
CREATE INDEX window_by_second ON window (run, step, second);

-- One driver's part of one second; without a second: what it said at its end.
CREATE TABLE driver_second (
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL,
  node_id TEXT NOT NULL,
  second INTEGER,
  in_flight INTEGER NOT NULL,
  queued INTEGER NOT NULL,
  connections INTEGER NOT NULL,
  measured BLOB NOT NULL) STRICT;
CREATE INDEX driver_second_by_run ON driver_second (run);
CREATE INDEX driver_second_by_second ON driver_second (run, second);

-- Everything that the rows of a run say up to and with these two, merged.
CREATE TABLE checkpoint (
  run INTEGER PRIMARY KEY,
  windows_through INTEGER NOT NULL,
  drivers_through INTEGER NOT NULL,
  merged BLOB NOT NULL) STRICT;

CREATE TABLE position (
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  next_offset INTEGER NOT NULL,
  PRIMARY KEY (topic, partition)) STRICT, WITHOUT ROWID;
";

const RAW_EVENTS: &str = "
-- How far each partition of events has been read, by ids that a topic made anew does not share.
CREATE TABLE ingest_offset (
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  next_offset INTEGER NOT NULL,
  PRIMARY KEY (topic, partition)) STRICT, WITHOUT ROWID;

-- One life of one worker in one run, and which of its batches are stored.
CREATE TABLE ingest_source (
  id INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL,
  worker_id TEXT NOT NULL,
  incarnation BLOB NOT NULL,
  UNIQUE (run_id, worker_id, incarnation)) STRICT;
CREATE TABLE ingest_batch (
  source INTEGER NOT NULL,
  number INTEGER NOT NULL,
  rows INTEGER NOT NULL,
  PRIMARY KEY (source, number)) STRICT, WITHOUT ROWID;

-- A file counts from the moment it has a row here; its name is made of both.
CREATE TABLE event_file (
  id INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL,
  rows INTEGER NOT NULL) STRICT;
CREATE INDEX event_file_by_run ON event_file (run_id);

-- Records that nobody understood.
CREATE TABLE ingest_poison (
  id INTEGER PRIMARY KEY,
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  record_offset INTEGER NOT NULL,
  reason TEXT NOT NULL,
  bytes BLOB NOT NULL) STRICT;
";

/// Lists of runs without their texts, and series without their histograms.
const HISTORY: &str = "
ALTER TABLE run ADD COLUMN requests_sent INTEGER;
ALTER TABLE run ADD COLUMN error_ratio REAL;
ALTER TABLE run ADD COLUMN achieved_per_s REAL;
ALTER TABLE run ADD COLUMN p99_ms REAL;
DROP INDEX run_by_age;
-- Holds all that a list shows: the rows themselves, with plans of many pages, are not touched for it.
CREATE INDEX run_in_lists ON run (created_ms, run_id, plan_name, state, started_ms, ended_ms, loop_kind, verdict,
  requests_sent, error_ratio, achieved_per_s, p99_ms, drivers);

-- A point of the series of all steps, as figures, so far as `kept` says.
CREATE TABLE point (
  run INTEGER NOT NULL,
  resolution INTEGER NOT NULL,
  second INTEGER NOT NULL,
  figures BLOB NOT NULL,
  PRIMARY KEY (run, resolution, second)) STRICT, WITHOUT ROWID;
-- The last rows that are in the points of a run.
CREATE TABLE kept (
  run INTEGER PRIMARY KEY,
  windows_through INTEGER NOT NULL,
  drivers_through INTEGER NOT NULL) STRICT;
";

/// Null where a driver did not tell.
const MEMORY: &str = "ALTER TABLE driver_second ADD COLUMN memory_bytes INTEGER;";

/// Prepares a writing connection and brings the database up to date. The caller has checked [`version`].
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let applied = usize::try_from(version(connection)?).unwrap_or(0);
    for (version, migration) in (1i64..).zip(MIGRATIONS).skip(applied) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// The schema version of the database; 0 when it is empty.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Whether the database is ours, or empty and thus free to become ours.
pub(crate) fn is_ours(connection: &Connection) -> rusqlite::Result<bool> {
    let id: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(id == APPLICATION_ID || tables == 0)
}

/// Turns write-ahead logging on; false where the file system cannot do it.
pub(crate) fn enable_write_ahead_log(connection: &Connection) -> rusqlite::Result<bool> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_LIMIT_BYTES)?;
    Ok(mode.eq_ignore_ascii_case("wal"))
}

/// How much of a commit survives a loss of power.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Durability {
    /// The commit is on the disk when it returns (`synchronous=FULL`).
    Synced,
    /// The last commits may be gone after a loss of power, never after a crash of the process, and never in part
    /// (`synchronous=NORMAL` under write-ahead logging).
    Ordered,
}

/// Sets what the following transactions promise.
pub(crate) fn set_durability(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    let value = match durability {
        Durability::Synced => "FULL",
        Durability::Ordered => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", value)
}

/// A value of the table `meta`, stored by the first who asks for it.
pub(crate) fn meta(transaction: &Transaction<'_>, key: &str, fresh: &str) -> rusqlite::Result<String> {
    let stored =
        transaction.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()?;
    match stored {
        Some(value) => Ok(value),
        None => {
            transaction.execute("INSERT INTO meta (key, value) VALUES (?1, ?2)", [key, fresh])?;
            Ok(fresh.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::sql::runs;

    #[test]
    fn runs_of_the_first_schema_are_listed() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(FIRST).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        let insert = "INSERT INTO run (run_id, plan_name, plan_source, state, created_ms, loop_kind, drivers) \
                      VALUES ('r', 'checkout', 'name: checkout', 'finished', 5, 'open', '[\"d1\"]')";
        connection.execute(insert, []).unwrap();
        migrate(&mut connection).unwrap();
        assert_eq!(version(&connection).unwrap(), VERSION);
        let [line] = &runs::page(&connection, None, 9).unwrap()[..] else { panic!("one run") };
        assert_eq!(
            (line.run_id.as_str(), line.created_ms, &line.drivers[..]),
            ("r", 5, &["d1".to_owned()][..])
        );
    }

    #[test]
    fn a_list_reads_its_index_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        for before in [None, Some("r")] {
            let plan = runs::page_plan(&connection, before).unwrap();
            assert!(plan.contains("USING COVERING INDEX run_in_lists"), "{plan}");
        }
    }
}
