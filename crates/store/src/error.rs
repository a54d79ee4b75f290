//! What can go wrong with the data folder, said so that whoever reads it knows what to do.
//!
//! Invariant: every message names the file or folder and, where a person can help, the way out.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the store could not do what it was asked.
///
/// After any of them the database is what it was before the call; a call that failed with [`Error::is_temporary`] may
/// be repeated with the same arguments and then does everything or nothing again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be made, listed or locked.
    #[error("the data folder {} cannot be used: {source}; choose another with --store DIR", dir.display())]
    Folder {
        /// The data folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process writes to this folder.
    #[error("the data folder {} is in use by {holder}; stop it, or choose another folder with --store DIR", dir.display())]
    InUse {
        /// The data folder.
        dir: PathBuf,
        /// Who holds it, as far as the lock file tells: `process 1234`.
        holder: String,
    },
    /// There is nothing to read.
    #[error("there is no database at {}; --store DIR names the data folder of a past run", path.display())]
    Missing {
        /// The database file.
        path: PathBuf,
    },
    /// This user may not write there, or the file system is mounted read-only.
    #[error("{} cannot be written; make it writable for this user, or choose another folder with --store DIR", path.display())]
    ReadOnly {
        /// The file or folder.
        path: PathBuf,
    },
    /// The file system has no room left.
    #[error("no space is left on the device for {}; free some and it goes on: what is stored is undamaged", path.display())]
    Full {
        /// The database file.
        path: PathBuf,
    },
    /// Somebody else holds the database's own lock for longer than [`crate::BUSY_TIMEOUT`].
    #[error("{} is locked by another program; close whatever has it open for writing", path.display())]
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// A newer version of this program made the database.
    #[error("{} has schema {found}, this version knows up to {known}; use the newer version that wrote it, or another folder with --store DIR", path.display())]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The last schema version known here.
        known: i64,
    },
    /// An older version made the database, and a reader may not change it.
    #[error("{} has schema {found}, this version reads {known}; start `swell orchestrator` on the folder once to bring it up to date", path.display())]
    Older {
        /// The database file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The schema version needed.
        known: i64,
    },
    /// The file is no database, not ours, or damaged.
    #[error("{} cannot be read: {detail}; restore it from a copy, or move it away to begin with an empty one", path.display())]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The folder's file system cannot share memory between processes.
    #[error("the file system of {} does not support write-ahead logging (a network folder?); choose a local folder with --store DIR", path.display())]
    NoWriteAheadLog {
        /// The database file.
        path: PathBuf,
    },
    /// A partition of raw events is another collector's, or stands elsewhere than where it was read from.
    #[error("partition {partition} of {topic} is at {}, not at {}: another collector has it, or the store went back",
        crate::events::shown(*found), crate::events::shown(*expected))]
    Moved {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where it stands.
        found: Option<i64>,
        /// Where it was read from.
        expected: Option<i64>,
    },
    /// No run of that name is stored.
    #[error("there is no run {run_id} in {}; `swell runs` lists those that are", path.display())]
    UnknownRun {
        /// What was asked for.
        run_id: String,
        /// The database file.
        path: PathBuf,
    },
    /// A run of that name is stored already.
    #[error("a run {run_id} exists already in {}", path.display())]
    RunExists {
        /// Its identity.
        run_id: String,
        /// The database file.
        path: PathBuf,
    },
    /// A series longer than [`crate::MAX_POINTS`] was asked for.
    #[error(
        "{points} points are too many for one answer (at most {}); ask for a shorter span or a coarser resolution",
        crate::MAX_POINTS
    )]
    TooManyPoints {
        /// How many it would be.
        points: u32,
    },
    /// Rows that are no events: a fault of the program.
    #[error("rows of {run_id} are no events: {detail}")]
    Rows {
        /// The run that they were said to be of.
        run_id: String,
        /// What is wrong.
        detail: String,
    },
    /// What a PostgreSQL database says, or does not say.
    #[error(transparent)]
    Postgres(#[from] crate::postgres::Fault),
    /// Anything else the database says.
    #[error("{}: {source}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
}

impl Error {
    /// Whether the same call may succeed later without anything being changed in it: the disk is full, or locked.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Full { .. } | Self::Locked { .. } => true,
            Self::Postgres(fault) => fault.is_temporary(),
            _ => false,
        }
    }

    pub(crate) fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::ReadOnly { path }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt { path, detail: source.to_string() }
            }
            _ => Self::Database { path, source },
        }
    }

    pub(crate) fn folder(dir: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { path: dir.to_owned() }
            }
            io::ErrorKind::StorageFull => Self::Full { path: dir.to_owned() },
            _ => Self::Folder { dir: dir.to_owned(), source },
        }
    }
}
