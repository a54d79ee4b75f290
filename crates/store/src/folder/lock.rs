//! The data folder and the lock that gives it to one process.
//!
//! Invariant: whoever holds a [`Folder`] is the only writer of its database. The kernel drops the lock with the
//! process, so a killed one leaves nothing to clean up.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;

const DATABASE: &str = "swell.db";
const LOCK: &str = "swell.lock";

/// A data folder that this process may write to.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    dir: PathBuf,
    /// Shared by those in this process that write different parts of the folder.
    _lock: Arc<File>,
}

impl Folder {
    /// Makes the folder where it is missing, and takes its lock.
    pub(crate) fn lock(dir: &Path) -> Result<Self, Error> {
        let failed = |source| Error::folder(dir, source);
        fs::create_dir_all(dir).map_err(failed)?;
        let path = dir.join(LOCK);
        let mut lock =
            File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::InUse { dir: dir.to_owned(), holder: holder(&mut lock) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // The number only helps the message of whoever comes second; a full disk must not keep us from starting.
        if lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id())).is_err() {
            tracing::debug!(dir = %dir.display(), "process number not written to the lock file");
        }
        Ok(Self { dir: dir.to_owned(), _lock: Arc::new(lock) })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn database(&self) -> PathBuf {
        database(&self.dir)
    }
}

/// Where the database of the folder `dir` lies.
pub(crate) fn database(dir: &Path) -> PathBuf {
    dir.join(DATABASE)
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.rewind().and_then(|()| lock.take(20).read_to_string(&mut text));
    match (read, text.parse::<u32>()) {
        (Ok(_), Ok(process)) => format!("process {process}"),
        _ => "another process".to_owned(),
    }
}
