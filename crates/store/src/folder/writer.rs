//! The one writer of a data folder.
//!
//! Two promises about a loss of power. What is said of runs (created, started, ended with which result) is synced
//! before the call returns. Windows are not: they share their transaction with the read positions, so a machine that
//! loses the last of them reads the same reports from the log again, and the sync of a later run row covers all
//! commits before it, since the write-ahead log is one sequence. A killed process loses nothing in either case.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use uuid::Uuid;

use super::lock::Folder;
use super::series::Series;
use super::sql::{runs, schema};
use super::{Events, Reader, ingest};
use crate::{Batch, Error, EventRow, Ingested, RunRow};

/// How long a statement waits for somebody else's lock on the database: longer than a reader's checkpoint takes, short
/// enough that the caller still renews its leases.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Rows added to a run after which its totals are checkpointed, so that opening a long run reads few rows: a second of
/// 500 steps is 500 rows, and 30,000 of them are read back in well under a second.
const ROWS_PER_CHECKPOINT: u64 = 30_000;

/// Seconds added to a run after which its points are kept: seldom enough that a minute is made little more than once.
const SECONDS_PER_KEEPING: u64 = 60;

/// A data folder opened for writing.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    folder: Folder,
    store_id: String,
    rows_since_checkpoint: u64,
    seconds_since_keeping: u64,
}

impl Store {
    /// Opens the data folder `dir`, and makes it where it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] when another process, or another `Store` of this one, has it open.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let folder = Folder::lock(dir)?;
        let mut connection = connect(&folder)?;
        let failed = |source| Error::of(&folder.database(), source);
        let store_id = store_id(&mut connection).map_err(failed)?;
        Ok(Self { connection, folder, store_id, rows_since_checkpoint: 0, seconds_since_keeping: 0 })
    }

    /// Names this store among all others (a UUID); the same each time the folder is opened.
    pub fn store_id(&self) -> &str {
        &self.store_id
    }

    /// The data folder.
    pub fn dir(&self) -> &Path {
        self.folder.dir()
    }

    /// The raw events of the same folder, to be written beside this or by another thread.
    pub fn events(&self) -> Result<Events, Error> {
        Events::of(self.folder.clone())
    }

    /// A new reading connection, to be used beside this writer or sent to another thread.
    pub fn reader(&self) -> Result<Reader, Error> {
        Reader::open(self.dir())
    }

    /// Adds a run; on the disk when it returns.
    ///
    /// # Errors
    ///
    /// [`Error::RunExists`] when there is one of that name.
    pub fn create_run(&mut self, run: &RunRow) -> Result<(), Error> {
        self.synced(|connection| runs::insert(connection, run)).map_err(|error| match error {
            Error::Database { source, path } if is_unique_violation(&source) => {
                Error::RunExists { run_id: run.run_id.clone(), path }
            }
            other => other,
        })
    }

    /// Replaces everything said of the run `run.run_id`; on the disk when it returns, with all windows stored before.
    /// A run that ends by it (`ended_ms`) is checkpointed and its points are kept, so that opening it later reads few rows.
    pub fn update_run(&mut self, run: &RunRow) -> Result<(), Error> {
        if !self.synced(|connection| runs::update(connection, run))? {
            return Err(Error::UnknownRun { run_id: run.run_id.clone(), path: self.folder.database() });
        }
        if run.ended_ms.is_some() {
            self.try_checkpoint(&run.run_id);
            self.try_keep_points(&run.run_id);
        }
        Ok(())
    }

    /// Adds an event to the end of the timeline of a run.
    pub fn add_event(&mut self, run_id: &str, event: &EventRow) -> Result<(), Error> {
        let path = self.folder.database();
        let run = run_key(&self.connection, run_id, &path)?;
        self.synced(|connection| runs::insert_event(connection, run, event))
    }

    /// Stores a batch in one transaction: the reports that are new, and the read positions.
    ///
    /// When it fails nothing of it is stored; the caller keeps the batch and calls again.
    pub fn ingest(&mut self, batch: &Batch) -> Result<Ingested, Error> {
        let path = self.folder.database();
        let failed = |source| Error::of(&path, source);
        let run = run_key(&self.connection, &batch.run_id, &path)?;
        schema::set_durability(&self.connection, schema::Durability::Ordered).map_err(failed)?;
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let written = ingest::write(&transaction, run, batch).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        self.rows_since_checkpoint += written.rows;
        self.seconds_since_keeping += written.seconds;
        if self.rows_since_checkpoint >= ROWS_PER_CHECKPOINT {
            self.try_checkpoint(&batch.run_id);
        }
        if self.seconds_since_keeping >= SECONDS_PER_KEEPING {
            self.try_keep_points(&batch.run_id);
        }
        Ok(written.ingested)
    }

    /// Stores the merged totals of the run as far as it is in, so that [`Reader::load`] begins from there.
    pub fn checkpoint(&mut self, run_id: &str) -> Result<(), Error> {
        self.derived(run_id, ingest::checkpoint)?;
        self.rows_since_checkpoint = 0;
        Ok(())
    }

    /// Keeps the points of the run as far as it is in, so that [`Reader::series`] finds them ready.
    pub fn keep_points(&mut self, run_id: &str) -> Result<(), Error> {
        self.derived(run_id, |connection, run, path| Series { connection, run, path }.keep())?;
        self.seconds_since_keeping = 0;
        Ok(())
    }

    /// What was written before is in, whatever becomes of the checkpoint: without one, opening the run reads more rows.
    fn try_checkpoint(&mut self, run_id: &str) {
        if let Err(error) = self.checkpoint(run_id) {
            tracing::warn!(run_id, %error, "totals not checkpointed");
        }
    }

    /// As [`Self::try_checkpoint`]: without kept points, a series is made from rows.
    fn try_keep_points(&mut self, run_id: &str) {
        if let Err(error) = self.keep_points(run_id) {
            tracing::warn!(run_id, %error, "points of the series not kept");
        }
    }

    /// Writes, in a transaction, what only repeats rows of the run.
    fn derived(
        &mut self,
        run_id: &str,
        write: impl FnOnce(&Connection, i64, &Path) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let path = self.folder.database();
        let failed = |source| Error::of(&path, source);
        let run = run_key(&self.connection, run_id, &path)?;
        schema::set_durability(&self.connection, schema::Durability::Ordered).map_err(failed)?;
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        write(&transaction, run, &path)?;
        transaction.commit().map_err(failed)
    }

    fn synced<T>(&mut self, write: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        schema::set_durability(&self.connection, schema::Durability::Synced)
            .and_then(|()| write(&self.connection))
            .map_err(|source| Error::of(&self.folder.database(), source))
    }
}

/// A writing connection to the folder's database, which is made or brought up to date. Its commits are synced.
pub(super) fn connect(folder: &Folder) -> Result<Connection, Error> {
    let path = folder.database();
    let failed = |source| Error::of(&path, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    check_version(&connection, &path)?;
    if !schema::enable_write_ahead_log(&connection).map_err(failed)? {
        return Err(Error::NoWriteAheadLog { path });
    }
    schema::set_durability(&connection, schema::Durability::Synced).map_err(failed)?;
    schema::migrate(&mut connection).map_err(failed)?;
    Ok(connection)
}

/// Refuses a database that is not ours or not of this version or before.
pub(crate) fn check_version(connection: &Connection, path: &Path) -> Result<(), Error> {
    let failed = |source| Error::of(path, source);
    if !schema::is_ours(connection).map_err(failed)? {
        return Err(Error::Corrupt {
            path: path.to_owned(),
            detail: "it belongs to another program".to_owned(),
        });
    }
    let found = schema::version(connection).map_err(failed)?;
    if found > schema::VERSION {
        return Err(Error::Newer { path: path.to_owned(), found, known: schema::VERSION });
    }
    Ok(())
}

fn store_id(connection: &mut Connection) -> rusqlite::Result<String> {
    let transaction = connection.transaction()?;
    let store_id = schema::meta(&transaction, "store_id", &Uuid::now_v7().to_string())?;
    transaction.commit()?;
    Ok(store_id)
}

pub(crate) fn run_key(connection: &Connection, run_id: &str, path: &Path) -> Result<i64, Error> {
    runs::key(connection, run_id)
        .map_err(|source| Error::of(path, source))?
        .ok_or_else(|| Error::UnknownRun { run_id: run_id.to_owned(), path: path.to_owned() })
}

fn is_unique_violation(error: &rusqlite::Error) -> bool {
    error.sqlite_extended_error_code() == Some(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE)
}
