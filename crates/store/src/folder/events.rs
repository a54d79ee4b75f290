//! Raw events of a data folder: Parquet files, and a ledger in the database.
//!
//! Files appear so: each is written under a name of its own in `incoming` and synced; one transaction
//! (`synchronous=FULL`) notes it, the identities of its batches and the read positions; it is renamed into its run's
//! folder; that folder is synced. The transaction is what decides: a file without a row is nothing and is removed at the
//! next start, a rename whose row is there is finished then. So whoever reads `runs/*/*.parquet` sees each event once.
//!
//! Invariant: a call stores all that it was given or nothing, and after an error it may be repeated as it was.
//! Deliberately absent: merging small files into large ones, which would let readers see events twice or not at all for a
//! moment; `swell export --format parquet` writes one file of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use events::Batch;
use rusqlite::{Connection, TransactionBehavior};

use super::lock::Folder;
use super::sql::events as ledger;
use super::{place, writer};
use crate::Error;
use crate::events::{Claimed, EventStore, Peer, Poison, Portion, Span, Stored};
use crate::parquet::{EventFile, WriteError};

/// A file of a busy run is one full row group, and one of a quiet run what came in this time: an hour of it is 720 files.
const PORTION: Portion = Portion { rows: 1 << 20, wait: Duration::from_secs(5) };

/// The raw events of a data folder, opened for writing.
#[derive(Debug)]
pub struct Events {
    connection: Connection,
    folder: Folder,
    /// Locked, so that a second one in this process is refused: it would take files being written for left over.
    _incoming: File,
    next_file: i64,
    /// Committed files whose rename failed, with their runs; tried again by each call.
    unnamed: Vec<(i64, String)>,
}

/// A file that is on the disk under its first name.
struct Written<'a> {
    file: i64,
    run_id: &'a str,
    rows: u64,
}

impl Events {
    /// Opens the data folder `dir` for raw events alone, and makes it where it is missing. Beside a [`crate::Store`] of
    /// the same folder, [`crate::Store::events`] is the way.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] when it is open for writing elsewhere.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        Self::of(Folder::lock(dir)?)
    }

    pub(crate) fn of(folder: Folder) -> Result<Self, Error> {
        let connection = writer::connect(&folder)?;
        let failed = |source| Error::of(&folder.database(), source);
        let next_file = ledger::last_file(&connection).map_err(failed)? + 1;
        let _incoming = lock_incoming(folder.dir())?;
        let mut events = Self { connection, folder, _incoming, next_file, unnamed: Vec::new() };
        events.recover()?;
        Ok(events)
    }

    /// Ends what a crash left: finishes renames that have a row, removes files without one.
    fn recover(&mut self) -> Result<(), Error> {
        let dir = self.folder.dir().to_owned();
        let incoming = place::incoming(&dir);
        let failed = |source| Error::folder(&incoming, source);
        for entry in fs::read_dir(&incoming).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(file) = entry.file_name().to_str().and_then(place::number) else { continue };
            match ledger::run_of_file(&self.connection, file).map_err(|source| self.failed(source))? {
                Some(run_id) => {
                    self.name(file, &run_id)?;
                    tracing::info!(file, run_id, "finished the rename of a committed file of events");
                }
                None => {
                    fs::remove_file(entry.path()).map_err(failed)?;
                    tracing::info!(file, "removed a file of events that was never committed");
                    // Its number is not used again: nothing may ever be mistaken for it.
                    self.next_file = self.next_file.max(file + 1);
                }
            }
        }
        Ok(())
    }

    /// Gives a committed file its name.
    fn name(&self, file: i64, run_id: &str) -> Result<(), Error> {
        let dir = self.folder.dir();
        let of_run = place::of_run(dir, run_id);
        place::make(dir, &of_run)
            .and_then(|()| fs::rename(place::unfinished(dir, file), place::finished(dir, run_id, file)))
            .and_then(|()| place::sync(&of_run))
            .map_err(|source| Error::folder(&of_run, source))
    }

    /// Gives all committed files their names. What fails is tried again by the next call: their rows are stored already.
    fn name_all(&mut self) {
        let files = std::mem::take(&mut self.unnamed);
        for (file, run_id) in files {
            if let Err(error) = self.name(file, &run_id) {
                tracing::warn!(file, run_id, %error, "a committed file of events waits to be renamed");
                self.unnamed.push((file, run_id));
            }
        }
    }

    /// The batches that are not stored yet, each once.
    fn fresh<'a>(&self, batches: &'a [Batch]) -> Result<Vec<&'a Batch>, Error> {
        let mut seen = BTreeSet::new();
        let mut fresh = Vec::with_capacity(batches.len());
        for batch in batches {
            if let Some(identity) = batch.identity {
                let life = (batch.run_id.as_str(), batch.worker_id.as_str(), identity.incarnation);
                let stored = ledger::is_stored(&self.connection, life, identity.number);
                if stored.map_err(|source| self.failed(source))? || !seen.insert((life, identity.number)) {
                    continue;
                }
            }
            fresh.push(batch);
        }
        Ok(fresh)
    }

    /// Stores what is new of the batches, with the positions of the spans that they are from.
    fn put(&mut self, spans: &[Span], batches: &[Batch]) -> Result<Stored, Error> {
        self.name_all();
        for span in spans {
            check_position(&self.connection, span, &self.folder)?;
        }
        let fresh = self.fresh(batches)?;
        let written = self.write(&fresh)?;
        if let Err(error) = self.commit(spans, &fresh, &written) {
            // After any other fault of the disk the log may hold the commit and only a new start can tell.
            if error.is_temporary() || matches!(error, Error::Moved { .. }) {
                self.remove(written.iter().map(|written| written.file));
            }
            return Err(error);
        }
        self.unnamed.extend(written.iter().map(|written| (written.file, written.run_id.to_owned())));
        self.name_all();
        let rows = |batches: &mut dyn Iterator<Item = &Batch>| batches.map(count).sum::<u64>();
        let new = rows(&mut fresh.iter().copied());
        Ok(Stored { rows: new, duplicates: rows(&mut batches.iter()) - new })
    }

    /// Writes a file for each run.
    fn write<'a>(&mut self, batches: &[&'a Batch]) -> Result<Vec<Written<'a>>, Error> {
        let mut of_runs: BTreeMap<&str, Vec<&Batch>> = BTreeMap::new();
        for batch in batches.iter().filter(|batch| !batch.is_empty()) {
            of_runs.entry(&batch.run_id).or_default().push(batch);
        }
        let mut written = Vec::with_capacity(of_runs.len());
        for (run_id, batches) in of_runs {
            let file = self.next_file;
            self.next_file += 1;
            match self.write_file(file, run_id, &batches) {
                Ok(rows) => written.push(Written { file, run_id, rows }),
                Err(error) => {
                    self.remove(written.iter().map(|written| written.file).chain([file]));
                    return Err(error);
                }
            }
        }
        let incoming = place::incoming(self.folder.dir());
        if !written.is_empty()
            && let Err(source) = place::sync(&incoming)
        {
            self.remove(written.iter().map(|written| written.file));
            return Err(Error::folder(&incoming, source));
        }
        Ok(written)
    }

    fn write_file(&self, file: i64, run_id: &str, batches: &[&Batch]) -> Result<u64, Error> {
        let dir = self.folder.dir();
        let of_run = place::of_run(dir, run_id);
        place::make(dir, &of_run).map_err(|source| Error::folder(&of_run, source))?;
        let path = place::unfinished(dir, file);
        let failed = |error| match error {
            WriteError::Io(source) => Error::folder(&path, source),
            WriteError::Rows(detail) => Error::Rows { run_id: run_id.to_owned(), detail },
        };
        let mut writing = EventFile::create(&path, run_id).map_err(failed)?;
        for batch in batches {
            writing.write(batch).map_err(failed)?;
        }
        writing.finish().map_err(failed)
    }

    /// Removes files that were not committed; those that stay are removed at the next start.
    fn remove(&self, files: impl Iterator<Item = i64>) {
        for file in files {
            let path = place::unfinished(self.folder.dir(), file);
            if let Err(error) = fs::remove_file(&path) {
                tracing::debug!(path = %path.display(), %error, "not removed");
            }
        }
    }

    fn commit(&mut self, spans: &[Span], fresh: &[&Batch], written: &[Written<'_>]) -> Result<(), Error> {
        let path = self.folder.database();
        let failed = |source| Error::of(&path, source);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        for span in spans {
            check_position(&transaction, span, &self.folder)?;
            ledger::set_position(&transaction, &span.topic, span.partition, span.next_offset)
                .map_err(failed)?;
        }
        for written in written {
            ledger::add_file(&transaction, written.file, written.run_id, written.rows).map_err(failed)?;
        }
        note_all(&transaction, fresh).map_err(failed)?;
        transaction.commit().map_err(failed)
    }

    fn failed(&self, source: rusqlite::Error) -> Error {
        Error::of(&self.folder.database(), source)
    }
}

/// The files of a run's raw events in the data folder `dir`, in the order in which they were written; none when nothing
/// was recorded of it. Each may be read for as long as it is there: files that count never change.
pub fn event_files(dir: &Path, run_id: &str) -> Result<Vec<PathBuf>, Error> {
    place::files(dir, run_id).map_err(|source| Error::folder(&place::of_run(dir, run_id), source))
}

impl EventStore for Events {
    fn claim(&mut self, topic: &str, partitions: i32) -> Result<Vec<Claimed>, Error> {
        let claimed = (0..partitions).map(|partition| {
            let next_offset = ledger::position(&self.connection, topic, partition)?;
            Ok(Claimed { partition, next_offset })
        });
        claimed.collect::<rusqlite::Result<_>>().map_err(|source| self.failed(source))
    }

    fn meet(&mut self, _topic: &str, _own: &Peer) -> Result<Vec<Peer>, Error> {
        Ok(Vec::new())
    }

    fn portion(&self) -> Portion {
        PORTION
    }

    fn store(&mut self, spans: &[Span], batches: &[Batch]) -> Result<Stored, Error> {
        self.put(spans, batches)
    }

    fn store_loose(&mut self, batches: &[Batch]) -> Result<Stored, Error> {
        self.put(&[], batches)
    }

    fn set_aside(&mut self, span: &Span, poison: &Poison) -> Result<(), Error> {
        let path = self.folder.database();
        let failed = |source| Error::of(&path, source);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        check_position(&transaction, span, &self.folder)?;
        let from = (span.topic.as_str(), span.partition, poison.offset);
        ledger::set_aside(&transaction, from, &poison.reason, &poison.value).map_err(failed)?;
        ledger::set_position(&transaction, &span.topic, span.partition, span.next_offset).map_err(failed)?;
        transaction.commit().map_err(failed)
    }

    fn set_aside_loose(&mut self, origin: &str, poison: &Poison) -> Result<(), Error> {
        ledger::set_aside(&self.connection, (origin, 0, poison.offset), &poison.reason, &poison.value)
            .map_err(|source| self.failed(source))
    }

    fn release(&mut self) {
        self.name_all();
    }
}

fn lock_incoming(dir: &Path) -> Result<File, Error> {
    let incoming = place::incoming(dir);
    let failed = |source| Error::folder(&incoming, source);
    place::make(dir, &incoming).map_err(failed)?;
    let lock = File::open(&incoming).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            let holder = "another collector of this process".to_owned();
            Err(Error::InUse { dir: dir.to_owned(), holder })
        }
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Notes the batches that have an identity.
fn note_all(connection: &Connection, fresh: &[&Batch]) -> rusqlite::Result<()> {
    let mut sources = BTreeMap::new();
    for batch in fresh {
        let Some(identity) = batch.identity else { continue };
        let key = (batch.run_id.as_str(), batch.worker_id.as_str(), identity.incarnation);
        let source = match sources.get(&key) {
            Some(source) => *source,
            None => {
                let source = ledger::source(connection, key)?;
                sources.insert(key, source);
                source
            }
        };
        ledger::note(connection, source, identity.number, count(batch))?;
    }
    Ok(())
}

fn count(batch: &Batch) -> u64 {
    u64::try_from(batch.len()).unwrap_or(0)
}

/// # Errors
/// [`Error::Moved`] when the partition stands elsewhere than where the span begins.
fn check_position(connection: &Connection, span: &Span, folder: &Folder) -> Result<(), Error> {
    let found = ledger::position(connection, &span.topic, span.partition)
        .map_err(|source| Error::of(&folder.database(), source))?;
    if found == span.from {
        return Ok(());
    }
    let (topic, partition, expected) = (span.topic.clone(), span.partition, span.from);
    Err(Error::Moved { topic, partition, found, expected })
}
