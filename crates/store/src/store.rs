//! The two kinds of store behind one name, and where a store is.
//!
//! Invariant: what a call means does not depend on the kind. Deliberately absent: what only one kind can do.

use std::fmt;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use metrics::{DriverWindow, Merged};
use plan::StepId;

use crate::postgres::{Address, Environment};
use crate::{
    Batch, DriverSecond, Error, EventRow, EventRows, EventStore, Ingested, Point, Position, Resolution,
    RunLine, RunRow, folder, postgres,
};

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A data folder of this machine.
    Folder(PathBuf),
    /// A PostgreSQL database.
    Postgres(Box<Address>),
}

impl Location {
    /// `postgres://…` and `postgresql://…` are addresses of databases, all else is a folder.
    ///
    /// # Errors
    /// When an address cannot be understood.
    pub fn parse(text: &str, environment: Environment<'_>) -> Result<Self, Error> {
        if !Address::is_address(text) {
            return Ok(Self::Folder(text.into()));
        }
        Ok(Self::Postgres(Box::new(Address::parse(text, environment)?)))
    }
}

/// Without a password.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(dir) => dir.display().fmt(f),
            Self::Postgres(address) => address.fmt(f),
        }
    }
}

impl From<&Path> for Location {
    fn from(dir: &Path) -> Self {
        Self::Folder(dir.to_owned())
    }
}

impl From<&PathBuf> for Location {
    fn from(dir: &PathBuf) -> Self {
        Self::Folder(dir.clone())
    }
}

impl From<&Location> for Location {
    fn from(location: &Location) -> Self {
        location.clone()
    }
}

impl From<&Address> for Location {
    fn from(address: &Address) -> Self {
        Self::Postgres(Box::new(address.clone()))
    }
}

/// A store opened for writing.
#[derive(Debug)]
pub enum Store {
    /// A data folder.
    Folder(folder::Store),
    /// A PostgreSQL database.
    Postgres(postgres::Store),
}

/// Calls the method of whichever kind it is.
macro_rules! either {
    ($store:expr, $kind:ident, $one:ident => $call:expr) => {
        match $store {
            $kind::Folder($one) => $call,
            $kind::Postgres($one) => $call,
        }
    };
}

impl Store {
    /// Opens a store. A data folder is made where it is missing, the tables of a database are not.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] when another process, or another `Store` of this one, has the folder open.
    pub fn open(location: impl Into<Location>) -> Result<Self, Error> {
        Ok(match location.into() {
            Location::Folder(dir) => Self::Folder(folder::Store::open(&dir)?),
            Location::Postgres(address) => Self::Postgres(postgres::Store::open(&address)?),
        })
    }

    /// Names this store among all others (a UUID); the same each time it is opened.
    pub fn store_id(&self) -> &str {
        either!(self, Self, store => store.store_id())
    }

    /// Where raw events of the same store go, to be written beside this or by another thread. `name` is what other
    /// collectors know this one by.
    pub fn events(&self, name: &str) -> Result<Box<dyn EventStore>, Error> {
        Ok(match self {
            Self::Folder(store) => Box::new(store.events()?),
            Self::Postgres(store) => Box::new(store.events(name)?),
        })
    }

    /// A new reading connection, to be used beside this writer or sent to another thread.
    pub fn reader(&self) -> Result<Reader, Error> {
        Ok(match self {
            Self::Folder(store) => Reader::Folder(store.reader()?),
            Self::Postgres(store) => Reader::Postgres(store.reader()?),
        })
    }

    /// Whether a run that is there is this process's to write, and makes it so: in a database that several processes
    /// share, each run has one that writes it. Of a data folder all are.
    pub fn take_run(&mut self, run_id: &str) -> Result<bool, Error> {
        match self {
            Self::Folder(_) => Ok(true),
            Self::Postgres(store) => store.take_run(run_id),
        }
    }

    /// Adds a run; on the disk when it returns.
    ///
    /// # Errors
    ///
    /// [`Error::RunExists`] when there is one of that name.
    pub fn create_run(&mut self, run: &RunRow) -> Result<(), Error> {
        either!(self, Self, store => store.create_run(run))
    }

    /// Replaces everything said of the run `run.run_id`; on the disk when it returns, with all windows stored before.
    /// A run that ends by it (`ended_ms`) is checkpointed, so that opening it later reads few rows.
    pub fn update_run(&mut self, run: &RunRow) -> Result<(), Error> {
        either!(self, Self, store => store.update_run(run))
    }

    /// Adds an event to the end of the timeline of a run.
    pub fn add_event(&mut self, run_id: &str, event: &EventRow) -> Result<(), Error> {
        either!(self, Self, store => store.add_event(run_id, event))
    }

    /// Stores a batch in one transaction: the reports that are new, and the read positions.
    ///
    /// When it fails the caller keeps the batch and calls again: whatever of it is stored is found to be known.
    pub fn ingest(&mut self, batch: &Batch) -> Result<Ingested, Error> {
        either!(self, Self, store => store.ingest(batch))
    }

    /// Stores the merged totals of the run as far as it is in, so that [`Reader::load`] begins from there.
    pub fn checkpoint(&mut self, run_id: &str) -> Result<(), Error> {
        either!(self, Self, store => store.checkpoint(run_id))
    }

    /// Keeps the points of the run as far as it is in, so that [`Reader::series`] finds them ready. A database keeps
    /// them with its checkpoints.
    pub fn keep_points(&mut self, run_id: &str) -> Result<(), Error> {
        match self {
            Self::Folder(store) => store.keep_points(run_id),
            Self::Postgres(store) => store.checkpoint(run_id),
        }
    }
}

/// A store opened for reading: it changes nothing and sees only whole transactions, each call one moment.
#[derive(Debug)]
pub enum Reader {
    /// A data folder.
    Folder(folder::Reader),
    /// A PostgreSQL database.
    Postgres(postgres::Reader),
}

impl Reader {
    /// Opens a store for reading, whether or not a [`Store`] has it open.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] where there is no database in a folder.
    pub fn open(location: impl Into<Location>) -> Result<Self, Error> {
        Ok(match location.into() {
            Location::Folder(dir) => Self::Folder(folder::Reader::open(&dir)?),
            Location::Postgres(address) => Self::Postgres(postgres::Reader::open(&address)?),
        })
    }

    /// The run of that name.
    pub fn run(&self, run_id: &str) -> Result<Option<RunRow>, Error> {
        either!(self, Self, reader => reader.run(run_id))
    }

    /// A page of at most `limit` (and [`crate::MAX_PAGE`] + 1) runs, newest first; `before` is the last run of the page before.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRun`] when there is no run `before`.
    pub fn runs(&self, before: Option<&str>, limit: u32) -> Result<Vec<RunLine>, Error> {
        either!(self, Self, reader => reader.runs(before, limit))
    }

    /// The timeline of a run in the order in which it was added, at most [`crate::MAX_EVENTS`].
    pub fn events(&self, run_id: &str) -> Result<Vec<EventRow>, Error> {
        either!(self, Self, reader => reader.events(run_id))
    }

    /// How far each partition has been read.
    pub fn positions(&self) -> Result<Vec<Position>, Error> {
        either!(self, Self, reader => reader.positions())
    }

    /// Everything measured of a run: bit for bit what adding each of its reports once, in any order, gives.
    pub fn load(&self, run_id: &str) -> Result<Merged, Error> {
        either!(self, Self, reader => reader.load(run_id))
    }

    /// The run seconds `from_s..to_s` of one step, or of all, at a resolution whose points begin at its multiples.
    /// Points in which nobody reported are left out.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyPoints`] beyond [`crate::MAX_POINTS`].
    pub fn series(
        &self,
        run_id: &str,
        step: Option<StepId>,
        span: (u32, u32),
        resolution: Resolution,
    ) -> Result<Vec<Point>, Error> {
        either!(self, Self, reader => reader.series(run_id, step, span, resolution))
    }

    /// Hands over all that was measured of a run second by second, merged over its drivers; without the drivers' states.
    pub fn seconds(&self, run_id: &str, each: impl FnMut(u32, &DriverWindow)) -> Result<(), Error> {
        either!(self, Self, reader => reader.seconds(run_id, each))
    }

    /// Hands over what each driver did and how it stood in each second, by second and driver.
    pub fn driver_seconds(&self, run_id: &str, each: impl FnMut(&DriverSecond)) -> Result<(), Error> {
        either!(self, Self, reader => reader.driver_seconds(run_id, each))
    }

    /// How many raw events of a run are stored; those of clients that do not number their batches are not counted.
    pub fn events_stored(&self, run_id: &str) -> Result<u64, Error> {
        either!(self, Self, reader => reader.events_stored(run_id))
    }

    /// The runs of which raw events are stored, by name. Those of foreign clients may have no other trace.
    pub fn runs_with_events(&self) -> Result<Vec<String>, Error> {
        either!(self, Self, reader => reader.runs_with_events())
    }
}

/// Rows that come batch by batch; a fault is the last of them.
pub type RecordBatches = Box<dyn Iterator<Item = Result<RecordBatch, Error>> + Send>;

/// The raw events of a run as the store has them, in batches of [`crate::perf_results`] of some thousand rows; nothing but
/// those is held.
///
/// # Errors
/// When the files of a folder cannot be listed, or the database lets nobody in.
pub fn event_rows(location: &Location, run_id: &str) -> Result<RecordBatches, Error> {
    Ok(match location {
        Location::Folder(dir) => Box::new(EventRows::of(folder::event_files(dir, run_id)?)),
        Location::Postgres(address) => Box::new(postgres::EventRows::open(address, run_id)?),
    })
}

/// Opens the raw events of a store alone, for a collector that does nothing else. `name` is what others know it by.
///
/// # Errors
///
/// [`Error::InUse`] when another process has the folder open.
pub fn open_events(location: impl Into<Location>, name: &str) -> Result<Box<dyn EventStore>, Error> {
    Ok(match location.into() {
        Location::Folder(dir) => Box::new(folder::Events::open(&dir)?),
        Location::Postgres(address) => Box::new(postgres::Events::open(&address, name)?),
    })
}
