//! What every handler shares.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use tokio::sync::Semaphore;

use crate::access::Access;
use crate::control::Control;
use crate::live::Hub;
use crate::problem::Problem;

/// Calls that may wait for the store at a time; the next ones are told to come again.
const STORE_CALLS: usize = 32;

/// Commands that may wait for the control plane at a time, of the threads that may block.
pub(crate) const COMMANDS: usize = 8;

pub(crate) type App = Arc<Shared>;

pub(crate) struct Shared {
    pub control: Arc<dyn Control>,
    pub reader: Shelf,
    pub hub: Arc<Hub>,
    pub access: Access,
    /// Commands that wait for the control plane.
    pub commands: Semaphore,
}

/// The reading connection of the store, used by one call at a time and never on a thread that serves others.
#[derive(Clone)]
pub(crate) struct Shelf {
    reader: Arc<Mutex<store::Reader>>,
    room: Arc<Semaphore>,
}

impl Shelf {
    pub(crate) fn new(reader: store::Reader) -> Self {
        Self { reader: Arc::new(Mutex::new(reader)), room: Arc::new(Semaphore::new(STORE_CALLS)) }
    }

    /// Reads on the calling thread, which may block.
    pub(crate) fn read_here<T>(&self, read: impl FnOnce(&store::Reader) -> T) -> T {
        // A panic while reading leaves a connection without a transaction, which reads as well as before.
        read(&self.reader.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads away from the threads that serve.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&store::Reader) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The store is busy");
        let Ok(_room) = self.room.try_acquire() else { return Err(busy()) };
        let shelf = self.clone();
        tokio::task::spawn_blocking(move || shelf.read_here(read)).await.unwrap_or_else(|_| {
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Reading the store failed"))
        })
    }
}
