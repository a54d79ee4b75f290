//! The spill folder: batches that memory has no room for while nobody takes them.
//!
//! A batch is a file named by its identity: a line of JSON that says what it is, then its bytes. It appears whole, under
//! its name, and goes when the batch has arrived; what is there when a driver starts is from before, and is sent.
//!
//! Invariant: the files take no more than the bound, and a disk that refuses costs a batch, never the run. Deliberately
//! absent: waiting for the disk. The folder outlives the process, not a machine that loses its power.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use events::Identity;
use serde::{Deserialize, Serialize};
use transport::EventBatch;
use uuid::Uuid;

use super::outlet::identity;

/// More than the first line of any file has.
const HEAD_MAX: u64 = 64 << 10;

const ENDING: &str = "events";
/// What is being written.
const TEMPORARY: &str = "part";
/// Held by the driver that uses the folder.
const LOCK: &str = "lock";

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpillError {
    /// It cannot be made, read or written.
    #[error("the spill folder {} cannot be used", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another driver uses it.
    #[error("another driver uses the spill folder {}: each needs its own", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

/// What a file says of its batch, in its first line.
#[derive(Serialize, Deserialize)]
struct Head {
    test_id: String,
    node_id: String,
    epoch: i64,
    rows: u32,
    bytes: usize,
}

/// A spill folder in use.
#[derive(Debug)]
pub struct Spill {
    folder: PathBuf,
    max_bytes: u64,
    used: u64,
    /// Sizes of the files.
    files: BTreeMap<Identity, u64>,
    /// What was there before, oldest first, with its rows.
    leftovers: Vec<(Identity, u32)>,
    /// Whether the last write failed, so that a full disk is told of once.
    is_failing: bool,
    _lock: File,
}

impl Spill {
    /// Opens the folder, which is made if it is not there, for batches of `max_bytes` in all.
    ///
    /// # Errors
    /// It cannot be used, or another driver uses it.
    pub fn open(folder: &Path, max_bytes: u64) -> Result<Self, SpillError> {
        let path = || folder.to_owned();
        let failed = |source| SpillError::Io { path: path(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::create(folder.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(SpillError::InUse { path: path() }),
            Err(fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut spill = Self {
            folder: path(),
            max_bytes,
            used: 0,
            files: BTreeMap::new(),
            leftovers: Vec::new(),
            is_failing: false,
            _lock: lock,
        };
        for entry in fs::read_dir(folder).map_err(failed)? {
            spill.find(&entry.map_err(failed)?.path());
        }
        // An incarnation begins with its time.
        spill.leftovers.sort_unstable();
        Ok(spill)
    }

    /// Takes a file in that is there from before.
    fn find(&mut self, path: &Path) {
        if path.extension().is_some_and(|ending| ending == TEMPORARY) {
            // Its writer has gone.
            return delete(path);
        }
        let Some(identity) = identity_of(path) else { return };
        match head(path) {
            Ok((head, size)) => {
                self.files.insert(identity, size);
                self.used += size;
                self.leftovers.push((identity, head.rows));
            }
            Err(error) if is_damage(&error) => {
                tracing::warn!(file = %path.display(), %error, "a file of raw events is damaged, and is let go");
                delete(path);
            }
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "a file of raw events waits for the next start");
            }
        }
    }

    /// The batches from before, oldest first, with their rows. Once.
    pub fn take_leftovers(&mut self) -> Vec<(Identity, u32)> {
        std::mem::take(&mut self.leftovers)
    }

    /// Keeps a batch. False when there is no room, or the disk refuses it.
    pub fn put(&mut self, batch: &EventBatch) -> bool {
        let head = Head {
            test_id: batch.test_id.clone(),
            node_id: batch.node_id.clone(),
            epoch: batch.epoch,
            rows: batch.rows,
            bytes: batch.bytes.len(),
        };
        let mut head = serde_json::to_vec(&head).unwrap_or_default();
        head.push(b'\n');
        let size = (head.len() + batch.bytes.len()) as u64;
        if self.used.saturating_add(size) > self.max_bytes {
            return false;
        }
        let path = self.path(identity(batch));
        let temporary = path.with_extension(TEMPORARY);
        let written = write(&temporary, &[&head, &batch.bytes]).and_then(|()| fs::rename(&temporary, &path));
        let was_failing = std::mem::replace(&mut self.is_failing, written.is_err());
        match written {
            Ok(()) => {
                self.used += size;
                self.files.insert(identity(batch), size);
                true
            }
            Err(error) => {
                if !was_failing {
                    tracing::warn!(folder = %self.folder.display(), %error, "the spill folder takes nothing");
                }
                delete(&temporary);
                false
            }
        }
    }

    /// Reads a batch.
    ///
    /// # Errors
    /// It cannot be read, now or ever, which the log says.
    pub fn get(&mut self, identity: Identity) -> Result<EventBatch, Unread> {
        let path = self.path(identity);
        match read(&path) {
            Ok((bytes, head)) => {
                let Head { test_id, node_id, epoch, rows, .. } = head;
                let Identity { incarnation, number } = identity;
                Ok(EventBatch { test_id, node_id, incarnation, epoch, number, rows, bytes })
            }
            Err(error) if is_damage(&error) || error.kind() == io::ErrorKind::NotFound => {
                tracing::error!(file = %path.display(), %error, "raw events in the spill folder are lost");
                Err(Unread::Lost)
            }
            Err(error) => {
                tracing::debug!(file = %path.display(), %error, "raw events in the spill folder wait");
                Err(Unread::Later)
            }
        }
    }

    /// Lets a batch go.
    pub fn remove(&mut self, identity: Identity) {
        if let Some(size) = self.files.remove(&identity) {
            self.used -= size;
            delete(&self.path(identity));
        }
    }

    fn path(&self, identity: Identity) -> PathBuf {
        self.folder.join(format!("{}-{:020}.{ENDING}", identity.incarnation, identity.number))
    }
}

/// Why a batch was not read from the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// For now: the system has no descriptor, or the disk an error.
    Later,
    /// For good.
    Lost,
}

/// Whether a file is not what was written, as opposed to one that cannot be read just now.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

fn identity_of(path: &Path) -> Option<Identity> {
    let is_ours = path.extension().is_some_and(|ending| ending == ENDING);
    let (incarnation, number) = path.file_stem()?.to_str().filter(|_| is_ours)?.rsplit_once('-')?;
    Some(Identity { incarnation: Uuid::try_parse(incarnation).ok()?, number: number.parse().ok()? })
}

fn write(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = File::create(path)?;
    parts.iter().try_for_each(|part| file.write_all(part))
}

/// What is said of a batch, and the size of its file, which is whole.
fn head(path: &Path) -> io::Result<(Head, u64)> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut line = Vec::new();
    BufReader::new(file.take(HEAD_MAX)).read_until(b'\n', &mut line)?;
    let head: Head = serde_json::from_slice(&line)?;
    if size == (line.len() + head.bytes) as u64 { Ok((head, size)) } else { Err(damaged()) }
}

/// The bytes of a batch, and what is said of it.
fn read(path: &Path) -> io::Result<(Vec<u8>, Head)> {
    let mut bytes = fs::read(path)?;
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(damaged)?;
    let head: Head = serde_json::from_slice(&bytes[..end])?;
    bytes.drain(..=end);
    if bytes.len() == head.bytes { Ok((bytes, head)) } else { Err(damaged()) }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is not whole")
}

fn delete(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(file = %path.display(), %error, "cannot delete a file");
    }
}
