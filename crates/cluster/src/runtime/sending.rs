//! Files of runs on their way from an orchestrator to the log: a run is created once all its files are there.
//!
//! Deliberately absent: waiting. The control thread hands over what the upload allows, and hears of it as of any message.

use std::collections::VecDeque;

use crossbeam_channel::Sender;
use data::Files;
use plan::Plan;
use transport::{FileInfo, Message, SendError, Ticket, Transport};

use crate::files::{Shelf, Upload};
use crate::handle::Failure;

/// Runs that were created with files and are remembered until they are started.
const MAX_CREATED: usize = 64;

/// A run that waits for its files to be in the log.
struct Waiting {
    upload: Upload,
    plan: Box<Plan>,
    answer: Sender<Result<String, Failure>>,
}

/// What becomes of the files of runs.
#[derive(Default)]
pub(super) struct Sending {
    /// Where drivers of this process find files; then none are sent.
    shelf: Option<Shelf>,
    waiting: Option<Waiting>,
    created: VecDeque<(String, Vec<FileInfo>)>,
}

/// A run whose files are where drivers find them, and whoever waits for it.
pub(super) struct Ready {
    pub plan: Box<Plan>,
    pub files: Vec<FileInfo>,
    pub answer: Sender<Result<String, Failure>>,
}

impl Sending {
    pub(super) fn new(shelf: Option<Shelf>) -> Self {
        Self { shelf, ..Self::default() }
    }

    /// Takes a run's files; at once ready when nothing is to be sent.
    pub(super) fn take(
        &mut self,
        plan: Box<Plan>,
        files: &Files,
        answer: Sender<Result<String, Failure>>,
    ) -> Option<Ready> {
        let refusal = match files.missing(&plan) {
            Some(path) => Some(format!("the plan needs the file {path}, which was not sent with it")),
            None if self.waiting.is_some() => Some("the files of another run are being sent".to_owned()),
            None => None,
        };
        if let Some(refusal) = refusal {
            // Whoever asked has stopped waiting when an answer cannot be given.
            answer.send(Err(Failure::Files(refusal))).ok();
            return None;
        }
        match &self.shelf {
            _ if files.is_empty() => Some(Ready { plan, files: Vec::new(), answer }),
            Some(shelf) => Some(Ready { plan, files: shelf.put(files), answer }),
            None => {
                self.waiting = Some(Waiting { upload: Upload::new(files), plan, answer });
                None
            }
        }
    }

    /// Hands over as many pieces as may be on their way.
    pub(super) fn send(&mut self, transport: &mut dyn Transport) {
        while let Some(waiting) = &mut self.waiting
            && let Some(chunk) = waiting.upload.next_chunk()
        {
            match transport.send(&Message::FileChunk(chunk)) {
                Ok(ticket) => waiting.upload.sent(ticket.0),
                Err(SendError::Full) => return,
                Err(error) => self.give_up(&error.to_string()),
            }
        }
    }

    /// The log has a message. Whether it was a piece of a file.
    pub(super) fn acknowledged(&mut self, ticket: Ticket, partition: i32, offset: i64) -> bool {
        let is_piece =
            self.waiting.as_mut().is_some_and(|waiting| waiting.upload.acknowledged(ticket.0, offset));
        if is_piece && partition != 0 {
            self.give_up("the topic of files has more than one partition");
        }
        is_piece
    }

    /// A message will not arrive. Whether it was a piece of a file.
    pub(super) fn undelivered(&mut self, ticket: Ticket, reason: &str) -> bool {
        let is_piece = self.waiting.as_ref().is_some_and(|waiting| waiting.upload.waits_for(ticket.0));
        if is_piece {
            self.give_up(reason);
        }
        is_piece
    }

    fn give_up(&mut self, reason: &str) {
        if let Some(waiting) = self.waiting.take() {
            let failure = Failure::Files(format!("the files of the run cannot be sent: {reason}"));
            waiting.answer.send(Err(failure)).ok();
        }
    }

    /// A run all of whose files are in the log by now.
    pub(super) fn ready(&mut self) -> Option<Ready> {
        let files = self.waiting.as_ref()?.upload.finished()?;
        let Waiting { plan, answer, .. } = self.waiting.take()?;
        Some(Ready { plan, files, answer })
    }

    /// Remembers where the files of a run are.
    pub(super) fn created(&mut self, run_id: String, files: Vec<FileInfo>) {
        if self.created.len() == MAX_CREATED {
            self.created.pop_front();
        }
        self.created.push_back((run_id, files));
    }

    /// Where the files of a run are that is to be started.
    pub(super) fn files_of(&self, run_id: &str, plan: &Plan) -> Result<Vec<FileInfo>, Failure> {
        let files =
            self.created.iter().find(|(created, _)| created == run_id).map(|(_, files)| files.clone());
        match files {
            Some(files) => Ok(files),
            None if plan.files().is_empty() => Ok(Vec::new()),
            None => {
                let text = "this orchestrator does not have the files of the run; create it anew";
                Err(Failure::Files(text.to_owned()))
            }
        }
    }
}
