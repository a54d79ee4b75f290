//! Where batches go.

use std::collections::HashMap;
use std::time::Duration;

use events::Identity;
use transport::{Event, EventBatch, Message, SendError, Ticket, Transport};

/// Why a batch was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// For now: there is no room. It is to be offered again.
    Full,
    /// For good, and why.
    Never(String),
}

/// What became of a batch that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is where it was to go, and of no more use here.
    Arrived(Identity),
    /// Nobody knows whether it is there. It is to be sent again.
    Unknown(Identity),
}

/// Takes batches, and tells later what became of them.
///
/// Two implementations: the log, and a Scribe server.
pub trait Outlet: Send {
    /// Hands a batch over. Never blocks.
    ///
    /// # Errors
    /// It was not taken, and nothing will be told of it.
    fn send(&mut self, batch: &EventBatch) -> Result<(), Refused>;

    /// What became of one, waiting for at most `wait`.
    fn next(&mut self, wait: Duration) -> Option<Fate>;
}

/// The log, by a node of its own that reads nothing.
pub struct Log {
    transport: Box<dyn Transport>,
    /// What was handed over and not acknowledged.
    sent: HashMap<Ticket, Identity>,
    /// What was last told of a failure, so that a drought is told of once.
    told: String,
}

impl Log {
    /// Batches go by `transport`.
    pub fn new(transport: Box<dyn Transport>) -> Self {
        Self { transport, sent: HashMap::new(), told: String::new() }
    }

    fn tell(&mut self, reason: String) {
        if self.told != reason {
            tracing::warn!(reason, "a batch of raw events was not taken, and is sent again");
            self.told = reason;
        }
    }
}

impl Outlet for Log {
    fn send(&mut self, batch: &EventBatch) -> Result<(), Refused> {
        match self.transport.send(&Message::Events(batch.clone())) {
            Ok(ticket) => {
                self.sent.insert(ticket, identity(batch));
                Ok(())
            }
            Err(SendError::Full) => Err(Refused::Full),
            Err(error @ SendError::TooLarge { .. }) => Err(Refused::Never(error.to_string())),
            Err(error @ SendError::Refused { .. }) => {
                self.tell(error.to_string());
                Err(Refused::Full)
            }
        }
    }

    fn next(&mut self, wait: Duration) -> Option<Fate> {
        let mut wait = wait;
        while let Some(event) = self.transport.next(wait) {
            // One that tells nothing of a batch is let go, and what came with it is looked at.
            wait = Duration::ZERO;
            match event {
                Event::Acknowledged { ticket, .. } => {
                    if let Some(identity) = self.sent.remove(&ticket) {
                        return Some(Fate::Arrived(identity));
                    }
                }
                Event::Undelivered { ticket, reason } => {
                    if let Some(identity) = self.sent.remove(&ticket) {
                        self.tell(reason);
                        return Some(Fate::Unknown(identity));
                    }
                }
                Event::Unreachable { .. } | Event::Reachable => {}
                Event::Record(_) | Event::Gap { .. } | Event::Extent { .. } => {}
            }
        }
        None
    }
}

/// What makes a batch of a driver unlike any other.
pub(super) fn identity(batch: &EventBatch) -> Identity {
    Identity { incarnation: batch.incarnation, number: batch.number }
}
