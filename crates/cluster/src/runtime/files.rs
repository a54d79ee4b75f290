//! Fetches the files of a run from the log, on the thread that prepares it.
//!
//! Invariant: it ends: with the files, when they are not there, or when for a while nothing comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clock::Instant;
use data::Files;
use transport::{Connect, Event, FileInfo, Message, Start, Topic, Transport};

use super::orchestrator::ConnectError;
use crate::files::{Assembly, Shelf};

/// How long nothing may come before a file is given up. Longer than a broker is away when it restarts.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a turn waits for a piece, before it looks whether anybody still wants the files.
const TURN: Duration = Duration::from_millis(200);

/// Connects another node of a driver to the log.
pub type Connector = Arc<dyn Fn(Connect) -> Result<Box<dyn Transport>, ConnectError> + Send + Sync>;

/// Where a driver gets the files of a run from.
#[derive(Clone)]
pub struct FileSource {
    /// What this process has already.
    pub shelf: Shelf,
    /// The log, for all else.
    pub connect: Connector,
}

impl FileSource {
    /// The files that `wanted` names. They stay on the shelf for the next run.
    ///
    /// # Errors
    /// Why one cannot be had, as a sentence for the operator.
    pub(super) fn get(
        &self,
        node_id: &str,
        wanted: &[FileInfo],
        unwanted: &AtomicBool,
    ) -> Result<Files, String> {
        let mut assembly = Assembly::new(wanted, &self.shelf);
        if !assembly.is_complete() {
            self.fetch(node_id, wanted, unwanted, &mut assembly)?;
            let bytes: u64 = wanted.iter().map(|info| info.size).sum();
            tracing::info!(node = node_id, files = wanted.len(), bytes, "fetched the files of the run");
        }
        let files = assembly.files(wanted).ok_or_else(|| late(&assembly))?;
        self.shelf.put(&files);
        Ok(files)
    }

    fn fetch(
        &self,
        node_id: &str,
        wanted: &[FileInfo],
        unwanted: &AtomicBool,
        assembly: &mut Assembly,
    ) -> Result<(), String> {
        // Of a file that was never sent nothing need be waited for.
        assembly.read_up_to(-1)?;
        let lacking = wanted.iter().filter(|info| self.shelf.get(&info.sha256).is_none());
        let first = lacking.map(|info| info.first_offset).min().unwrap_or(0);
        let subscriptions = vec![(Topic::Files, Start::At(vec![(Topic::Files, 0, first)]))];
        let connect = Connect { node: format!("{node_id}-files"), subscriptions };
        let mut transport =
            (self.connect)(connect).map_err(|error| format!("the topic of files cannot be read: {error}"))?;
        let mut heard = clock::now();
        while !assembly.is_complete() {
            if unwanted.load(Ordering::Relaxed) {
                return Err("it is not wanted any more".to_owned());
            }
            match transport.next(TURN) {
                Some(Event::Record(record)) => {
                    heard = clock::now();
                    if let Ok(Message::FileChunk(chunk)) = &record.message {
                        assembly.take(chunk)?;
                    }
                    assembly.read_up_to(record.offset)?;
                }
                Some(_) => {}
                None if is_over(heard) => return Err(late(assembly)),
                None => {}
            }
        }
        Ok(())
    }
}

fn is_over(heard: Instant) -> bool {
    clock::now().since(heard) >= PATIENCE
}

fn late(assembly: &Assembly) -> String {
    let path = assembly.missing().unwrap_or("of the plan");
    format!("the file {path} did not come from the message log for {} s", PATIENCE.as_secs())
}
