//! Files on their way through the simulated log: the pieces and their checks are the real ones, only nobody waits.

use data::Files;
use transport::log::Read;
use transport::{FileInfo, Message, Topic};

use super::script::{FILE, Fate};
use super::world::World;
use crate::files::{Assembly, Shelf, Upload};

impl World {
    /// Puts the file that the plan needs into the log; where it is.
    pub fn send_files(&mut self) -> Vec<FileInfo> {
        let Some(file) = self.script.file else { return Vec::new() };
        let mut files = Files::default();
        files.insert(FILE.to_owned(), file.content().into());
        let mut upload = Upload::new(&files);
        let mut ticket = 0;
        while let Some(mut chunk) = upload.next_chunk() {
            upload.sent(ticket);
            if let (Fate::Spoilt, Some(byte)) = (file.fate, chunk.bytes.first_mut()) {
                *byte ^= 1;
            }
            if self.script.repeats > 0 {
                self.forge(&Message::FileChunk(chunk.clone()));
            }
            let offset = self.forge(&Message::FileChunk(chunk));
            upload.acknowledged(ticket, offset);
            ticket += 1;
        }
        let infos = upload.finished().unwrap();
        if file.fate == Fate::Deleted {
            self.log.delete_below(Topic::Files, infos[0].first_offset + 1);
        }
        infos
    }

    /// What a driver finds of the files of its run.
    pub fn fetch_files(&self, wanted: &[FileInfo]) -> Result<Files, String> {
        let mut assembly = Assembly::new(wanted, &Shelf::default());
        let mut offset = wanted.iter().map(|info| info.first_offset).min().unwrap_or(0);
        while !assembly.is_complete() {
            match self.log.read(Topic::Files, offset) {
                Read::Record(_) => {
                    if let Ok(Message::FileChunk(chunk)) = &self.decoded[&(Topic::Files, offset)] {
                        assembly.take(chunk)?;
                    }
                    assembly.read_up_to(offset)?;
                    offset += 1;
                }
                Read::Gap { next, .. } => offset = next,
                Read::End => return Err("the log has not all pieces".to_owned()),
            }
        }
        assembly.files(wanted).ok_or_else(|| "a file is missing".to_owned())
    }
}
