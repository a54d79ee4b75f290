//! Reading a data folder, beside its writer or without one.
//!
//! Invariant: a reader changes nothing and sees only whole transactions. Each call sees one moment of the database.

use std::path::{Path, PathBuf};

use metrics::{DriverWindow, Gauges, Merged, codec};
use plan::StepId;
use rusqlite::{Connection, OpenFlags};

use super::lock;
use super::series::Series;
use super::sql::windows::{self, DRIVER, ITERATIONS, Through};
use super::sql::{events as ledger, runs, schema};
use super::writer::{BUSY_TIMEOUT, check_version, run_key};
use crate::seconds::DriverSecond;
use crate::{
    Error, EventRow, MAX_EVENTS, MAX_PAGE, MAX_POINTS, Point, Position, Resolution, RunLine, RunRow,
};

/// A reading connection to a data folder.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl Reader {
    /// Opens the data folder `dir` for reading, whether or not a [`super::Store`] has it open.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] where there is no database.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let path = lock::database(dir);
        if !path.exists() {
            return Err(Error::Missing { path });
        }
        let failed = |source| Error::of(&path, source);
        let connection = open_for_reading(&path).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        check_version(&connection, &path)?;
        let found = schema::version(&connection).map_err(failed)?;
        if found < schema::VERSION {
            return Err(Error::Older { path, found, known: schema::VERSION });
        }
        Ok(Self { connection, path })
    }

    /// The run of that name.
    pub fn run(&self, run_id: &str) -> Result<Option<RunRow>, Error> {
        runs::one(&self.connection, run_id).map_err(|source| self.failed(source))
    }

    /// A page of at most `limit` (and one more than [`MAX_PAGE`]) runs, newest first; `before` is the last run of the page
    /// before.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRun`] when there is no run `before`.
    pub fn runs(&self, before: Option<&str>, limit: u32) -> Result<Vec<RunLine>, Error> {
        if let Some(before) = before {
            run_key(&self.connection, before, &self.path)?;
        }
        runs::page(&self.connection, before, limit.min(MAX_PAGE + 1)).map_err(|source| self.failed(source))
    }

    /// The timeline of a run in the order in which it was added, at most [`MAX_EVENTS`].
    pub fn events(&self, run_id: &str) -> Result<Vec<EventRow>, Error> {
        let run = run_key(&self.connection, run_id, &self.path)?;
        runs::events(&self.connection, run, MAX_EVENTS).map_err(|source| self.failed(source))
    }

    /// How far each partition has been read.
    pub fn positions(&self) -> Result<Vec<Position>, Error> {
        windows::positions(&self.connection).map_err(|source| self.failed(source))
    }

    /// Everything measured of a run: bit for bit what adding each of its reports once, in any order, gives.
    pub fn load(&self, run_id: &str) -> Result<Merged, Error> {
        self.at_one_moment(|| {
            let run = run_key(&self.connection, run_id, &self.path)?;
            merged(&self.connection, run, &self.path)
        })
    }

    /// The run seconds `from_s..to_s` of one step, or of all, at a resolution whose points begin at its multiples.
    /// Points in which nobody reported are left out.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyPoints`] beyond [`MAX_POINTS`].
    pub fn series(
        &self,
        run_id: &str,
        step: Option<StepId>,
        (from_s, to_s): (u32, u32),
        resolution: Resolution,
    ) -> Result<Vec<Point>, Error> {
        self.at_one_moment(|| {
            let run = run_key(&self.connection, run_id, &self.path)?;
            let last = windows::last_second(&self.connection, run).map_err(|source| self.failed(source))?;
            let end_s = last.map_or(0, |last| last.saturating_add(1));
            let (to_s, cut) = (to_s.min(end_s), to_s < end_s);
            let points = to_s.saturating_sub(from_s).div_ceil(resolution.seconds());
            if points > MAX_POINTS {
                return Err(Error::TooManyPoints { points });
            }
            let series = Series { connection: &self.connection, run, path: &self.path };
            series.points(step, (from_s, to_s), resolution, cut)
        })
    }

    /// Hands over all that was measured of a run second by second, merged over its drivers; without the drivers' states.
    pub fn seconds(&self, run_id: &str, mut each: impl FnMut(u32, &DriverWindow)) -> Result<(), Error> {
        self.at_one_moment(|| {
            let run = run_key(&self.connection, run_id, &self.path)?;
            let mut open: Option<DriverWindow> = None;
            let row = |second: u32, step: i64, measured: &[u8]| {
                if let Some(whole) = open.take_if(|open| open.from_s != second) {
                    each(whole.from_s, &whole);
                }
                let mut part = DriverWindow { from_s: second, to_s: second + 1, ..DriverWindow::default() };
                let fault = |fault| damaged(&self.path, &fault);
                match step {
                    ITERATIONS => part.stages.push(codec::decode_stage(measured).map_err(fault)?),
                    _ => part.steps.push(codec::decode_step(measured).map_err(fault)?),
                }
                match &mut open {
                    Some(open) => open.merge(part),
                    None => open = Some(part),
                }
                Ok(())
            };
            windows::by_second(&self.connection, run, row, |source| self.failed(source))?;
            if let Some(last) = open {
                each(last.from_s, &last);
            }
            Ok(())
        })
    }

    /// Hands over what each driver did and how it stood in each second, by second and driver.
    pub fn driver_seconds(&self, run_id: &str, mut each: impl FnMut(&DriverSecond)) -> Result<(), Error> {
        self.at_one_moment(|| {
            let run = run_key(&self.connection, run_id, &self.path)?;
            let mut open: Option<DriverSecond> = None;
            let row = |second: u32, node_id: &str, state: &Gauges, measured: &[u8]| {
                if let Some(whole) = open.take_if(|open| open.second != second || open.node_id != node_id) {
                    each(&whole);
                }
                let whole = open.get_or_insert_with(|| DriverSecond::new(second, node_id));
                whole
                    .totals
                    .merge(&codec::decode_driver(measured).map_err(|fault| damaged(&self.path, &fault))?);
                whole.raise(state);
                Ok(())
            };
            windows::driver_rows(&self.connection, run, row, |source| self.failed(source))?;
            if let Some(last) = open {
                each(&last);
            }
            Ok(())
        })
    }

    /// How many raw events of a run are stored; those of clients that do not number their batches are not counted.
    pub fn events_stored(&self, run_id: &str) -> Result<u64, Error> {
        ledger::stored(&self.connection, run_id).map_err(|source| self.failed(source))
    }

    /// The runs of which raw events are stored, by name. Those of foreign clients may have no other trace.
    pub fn runs_with_events(&self) -> Result<Vec<String>, Error> {
        ledger::runs(&self.connection).map_err(|source| self.failed(source))
    }

    /// Runs `read` within one transaction, so that rows that are written meanwhile are in all of it or in nothing.
    fn at_one_moment<T>(&self, read: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let moment = self.connection.unchecked_transaction().map_err(|source| self.failed(source))?;
        let result = read();
        drop(moment);
        result
    }

    fn failed(&self, source: rusqlite::Error) -> Error {
        Error::of(&self.path, source)
    }
}

/// Everything measured of the run: its checkpoint, and the rows after it. To be called in a transaction.
pub(crate) fn merged(connection: &Connection, run: i64, path: &Path) -> Result<Merged, Error> {
    let failed = |source| Error::of(path, source);
    let fault = |fault| damaged(path, &fault);
    let checkpoint = windows::checkpoint(connection, run).map_err(failed)?;
    let (mut merged, through) = match checkpoint {
        Some(checkpoint) => (codec::decode_merged(&checkpoint.merged).map_err(fault)?, checkpoint.through),
        None => (Merged::new(), Through::default()),
    };
    let add = |step: i64, node_id: &str, measured: &[u8]| {
        match step {
            ITERATIONS => merged.add_stage(&codec::decode_stage(measured).map_err(fault)?),
            DRIVER => merged.driver(node_id).merge(&codec::decode_driver(measured).map_err(fault)?),
            _ => merged.add_step(&codec::decode_step(measured).map_err(fault)?),
        }
        Ok(())
    };
    windows::after(connection, run, through, add, failed)?;
    Ok(merged)
}

/// Opens the file for reading. In a folder that cannot be written, the database is read as a file that nobody changes,
/// since sharing a write-ahead log needs a file beside it. That would miss what a log holds, so there must be none.
fn open_for_reading(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let shared = Connection::open_with_flags(path, flags)?;
    match schema::version(&shared) {
        Err(error) if is_unwritable(&error) && !has_log(path) => {
            let uri = format!("file:{}?immutable=1", escaped(path));
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)
        }
        _ => Ok(shared),
    }
}

fn is_unwritable(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, ReadOnly};
    matches!(error.sqlite_error_code(), Some(CannotOpen | ReadOnly))
}

fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

/// The path as part of a `file:` URI (<https://www.sqlite.org/uri.html>).
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

pub(crate) fn damaged(path: &Path, fault: &codec::DecodeError) -> Error {
    Error::Corrupt { path: path.to_owned(), detail: fault.to_string() }
}
