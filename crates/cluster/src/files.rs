//! Files on their way: cut into pieces where a run is submitted, put together and checked where it is prepared.
//!
//! Invariant: a file is given out only if its content has the hash that the run says; so who fetches it need not trust the
//! log, nor whoever else writes to it. Deliberately absent: IO. The runtime carries the pieces.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::iter;
use std::sync::{Arc, Mutex, PoisonError};

use data::Files;
use plan::limits;
use transport::wire::{self, MAX_CHUNK_BYTES};
use transport::{FileChunk, FileInfo};

/// Pieces that are on their way to the log at a time: enough to keep a broker busy, in six megabytes.
const IN_FLIGHT: usize = 8;

/// The files of a run on their way to the log.
#[derive(Debug)]
pub struct Upload {
    files: Vec<(FileInfo, Arc<[u8]>)>,
    /// The next piece to be sent: of which file, and which.
    next: (usize, u32),
    /// What was sent and is not in the log yet.
    waiting: BTreeMap<u64, usize>,
}

impl Upload {
    /// Nothing of `files` is sent yet.
    pub fn new(files: &Files) -> Self {
        let files = files.iter().map(|(path, content)| (info(path, content), Arc::clone(content)));
        Self { files: files.collect(), next: (0, 0), waiting: BTreeMap::new() }
    }

    /// The piece to send next; `None` while enough are on their way, and when all are.
    pub fn next_chunk(&self) -> Option<FileChunk> {
        let (number, chunk) = self.next;
        let (info, content) = self.files.get(number).filter(|_| self.waiting.len() < IN_FLIGHT)?;
        let start = chunk as usize * MAX_CHUNK_BYTES;
        let bytes = content.get(start..content.len().min(start + MAX_CHUNK_BYTES))?.to_vec();
        Some(FileChunk { sha256: info.sha256.clone(), chunk, chunks: chunks(info.size), bytes })
    }

    /// That piece was handed over under a number.
    pub fn sent(&mut self, ticket: u64) {
        let (number, chunk) = self.next;
        self.waiting.insert(ticket, number);
        let is_last = self.files.get(number).is_none_or(|(info, _)| chunk + 1 >= chunks(info.size));
        self.next = if is_last { (number + 1, 0) } else { (number, chunk + 1) };
    }

    /// The log has a piece at that offset. Whether it was one of these.
    pub fn acknowledged(&mut self, ticket: u64, offset: i64) -> bool {
        let Some(number) = self.waiting.remove(&ticket) else { return false };
        if let Some((info, _)) = self.files.get_mut(number) {
            let is_first = info.last_offset < info.first_offset;
            info.first_offset = if is_first { offset } else { info.first_offset.min(offset) };
            info.last_offset = if is_first { offset } else { info.last_offset.max(offset) };
        }
        true
    }

    /// Whether a number is of a piece that is on its way.
    pub fn waits_for(&self, ticket: u64) -> bool {
        self.waiting.contains_key(&ticket)
    }

    /// What drivers must know, once the log has everything.
    pub fn finished(&self) -> Option<Vec<FileInfo>> {
        let is_done = self.next.0 >= self.files.len() && self.waiting.is_empty();
        is_done.then(|| self.files.iter().map(|(info, _)| info.clone()).collect())
    }
}

/// What is known of a file of which the log has nothing.
fn info(path: &str, content: &[u8]) -> FileInfo {
    let size = content.len() as u64;
    FileInfo { path: path.to_owned(), sha256: wire::sha256(content), size, first_offset: 0, last_offset: -1 }
}

/// Pieces of a file; an empty one has one, too, so that there is something to say where it is.
fn chunks(size: u64) -> u32 {
    u32::try_from(size.div_ceil(MAX_CHUNK_BYTES as u64)).unwrap_or(u32::MAX).max(1)
}

/// Files that are put together from their pieces.
#[derive(Debug)]
pub struct Assembly {
    open: HashMap<String, Open>,
    done: HashMap<String, Arc<[u8]>>,
}

/// A file of which pieces are missing.
#[derive(Debug)]
struct Open {
    path: String,
    content: Arc<[u8]>,
    missing: BTreeSet<u32>,
    last_offset: i64,
}

impl Assembly {
    /// Nothing is there of `wanted` but what `known` has, by its hash.
    pub fn new(wanted: &[FileInfo], known: &Shelf) -> Self {
        let (mut open, mut done) = (HashMap::new(), HashMap::new());
        for info in wanted {
            if let Some(content) = known.get(&info.sha256) {
                done.insert(info.sha256.clone(), content);
                continue;
            }
            open.entry(info.sha256.clone()).or_insert_with(|| Open {
                path: info.path.clone(),
                // Filled in place, so that a large file is never in memory twice.
                content: iter::repeat_n(0, usize::try_from(info.size).unwrap_or(0)).collect(),
                missing: (0..chunks(info.size)).collect(),
                last_offset: info.last_offset,
            });
        }
        Self { open, done }
    }

    /// Whether nothing is missing.
    pub fn is_complete(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes a piece from the log. Those of other files, and those that are there already, change nothing.
    ///
    /// # Errors
    /// Why a file cannot be had, as a sentence for the operator.
    pub fn take(&mut self, chunk: &FileChunk) -> Result<(), String> {
        let Some(open) = self.open.get_mut(&chunk.sha256).filter(|open| open.missing.contains(&chunk.chunk))
        else {
            return Ok(());
        };
        let start = chunk.chunk as usize * MAX_CHUNK_BYTES;
        let end = open.content.len().min(start + MAX_CHUNK_BYTES);
        let place = Arc::get_mut(&mut open.content).and_then(|content| content.get_mut(start..end));
        match place {
            Some(place) if place.len() == chunk.bytes.len() => place.copy_from_slice(&chunk.bytes),
            _ => return Err(format!("the file {} came in pieces of a wrong size", open.path)),
        }
        open.missing.remove(&chunk.chunk);
        if open.missing.is_empty()
            && let Some((sha256, open)) = self.open.remove_entry(&chunk.sha256)
        {
            if wire::sha256(&open.content) != sha256 {
                return Err(format!("the file {} came with another content than was sent", open.path));
            }
            self.done.insert(sha256, open.content);
        }
        Ok(())
    }

    /// Everything up to this offset was read: whether a file still lacks pieces that should have been there.
    ///
    /// # Errors
    /// Why a file cannot be had, as a sentence for the operator.
    pub fn read_up_to(&self, offset: i64) -> Result<(), String> {
        match self.open.values().find(|open| open.last_offset <= offset) {
            Some(open) => {
                Err(format!("the file {} is not in the message log any more; start the run anew", open.path))
            }
            None => Ok(()),
        }
    }

    /// A file that is missing, for saying so.
    pub fn missing(&self) -> Option<&str> {
        self.open.values().map(|open| open.path.as_str()).min()
    }

    /// The files, once nothing is missing.
    pub fn files(&self, wanted: &[FileInfo]) -> Option<Files> {
        let mut files = Files::default();
        for info in wanted {
            files.insert(info.path.clone(), Arc::clone(self.done.get(&info.sha256)?));
        }
        Some(files)
    }
}

/// Contents that a process has, by their hash: drivers keep those of the last run, and where all is in one process the
/// drivers find there what was submitted.
#[derive(Debug, Clone, Default)]
pub struct Shelf(Arc<Mutex<HashMap<String, Arc<[u8]>>>>);

impl Shelf {
    /// The content with that hash.
    pub fn get(&self, sha256: &str) -> Option<Arc<[u8]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(sha256).cloned()
    }

    /// Keeps `files`, and lets others go when there are more than a run may have. What drivers must know of them.
    pub fn put(&self, files: &Files) -> Vec<FileInfo> {
        let infos: Vec<FileInfo> = files.iter().map(|(path, content)| info(path, content)).collect();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (info, (_, content)) in infos.iter().zip(files.iter()) {
            kept.insert(info.sha256.clone(), Arc::clone(content));
        }
        let bytes: u64 = kept.values().map(|content| content.len() as u64).sum();
        if bytes > limits::FILES_BYTES {
            let wanted: BTreeSet<&str> = infos.iter().map(|info| info.sha256.as_str()).collect();
            kept.retain(|sha256, _| wanted.contains(sha256.as_str()));
        }
        infos
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        let mut files = Files::default();
        files.insert("large.csv".to_owned(), [1, 2, 3, 5, 7].repeat(MAX_CHUNK_BYTES / 2).into());
        files.insert("empty.bin".to_owned(), Arc::from([]));
        files.insert("small.csv".to_owned(), Arc::from(*b"a\n1\n"));
        files.insert("same.csv".to_owned(), Arc::from(*b"a\n1\n"));
        files
    }

    /// All pieces, in a log that has something at every second offset.
    fn uploaded(files: &Files) -> (Vec<FileChunk>, Vec<FileInfo>) {
        let mut upload = Upload::new(files);
        let mut log = Vec::new();
        while let Some(chunk) = upload.next_chunk() {
            upload.sent(log.len() as u64);
            log.push(chunk);
        }
        assert_eq!(upload.finished(), None);
        for (ticket, offset) in (0..log.len() as u64).zip((0..).step_by(2)) {
            assert!(upload.acknowledged(ticket, offset));
        }
        assert!(!upload.acknowledged(99, 0));
        (log, upload.finished().unwrap())
    }

    #[test]
    fn files_arrive_as_they_were() {
        let files = files();
        let (log, infos) = uploaded(&files);
        assert_eq!(log.len(), 6);
        let mut assembly = Assembly::new(&infos, &Shelf::default());
        // Twice, and backwards: a producer that is made anew sends again.
        for chunk in log.iter().chain(log.iter().rev()) {
            assembly.take(chunk).unwrap();
        }
        assert!(assembly.is_complete());
        assert_eq!(assembly.files(&infos), Some(files.clone()));
        let shelf = Shelf::default();
        shelf.put(&files);
        assert!(Assembly::new(&infos, &shelf).is_complete(), "what is there need not be fetched");
    }

    #[test]
    fn what_is_on_its_way_is_bounded() {
        let mut files = Files::default();
        files.insert("a".to_owned(), vec![1; 20 * MAX_CHUNK_BYTES].into());
        let mut upload = Upload::new(&files);
        let sent =
            (0..).take_while(|ticket| upload.next_chunk().map(|_| upload.sent(*ticket)).is_some()).count();
        assert_eq!(sent, IN_FLIGHT);
        upload.acknowledged(3, 3);
        assert!(upload.next_chunk().is_some());
    }

    #[test]
    fn what_is_spoilt_or_lost_is_not_given_out() {
        let files = files();
        let (log, infos) = uploaded(&files);
        let mut assembly = Assembly::new(&infos, &Shelf::default());
        let mut spoilt = log[1].clone();
        spoilt.bytes[3] ^= 1;
        let said: Vec<String> = [&log[0], &spoilt, &log[2], &log[3]]
            .into_iter()
            .filter_map(|chunk| assembly.take(chunk).err())
            .collect();
        assert_eq!(said, ["the file large.csv came with another content than was sent"]);
        assert_eq!(assembly.files(&infos), None);

        let mut assembly = Assembly::new(&infos, &Shelf::default());
        let mut short = log[1].clone();
        short.bytes.pop();
        assert_eq!(assembly.take(&short).unwrap_err(), "the file large.csv came in pieces of a wrong size");
        log.iter().filter(|chunk| **chunk != log[1]).for_each(|chunk| assembly.take(chunk).unwrap());
        let large = infos.iter().find(|info| info.path == "large.csv").unwrap();
        assert!(assembly.read_up_to(large.last_offset - 1).is_ok());
        let said = assembly.read_up_to(large.last_offset).unwrap_err();
        assert_eq!(said, "the file large.csv is not in the message log any more; start the run anew");
        assert_eq!(assembly.missing(), Some("large.csv"));
    }
}
