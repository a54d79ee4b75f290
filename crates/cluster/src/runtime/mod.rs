//! The two halves as threads: they feed the machines and do what the machines say. Nothing here decides.

use std::sync::{Mutex, MutexGuard, PoisonError};

use store::Store;

use crate::run::Level;

pub mod driver;
pub mod orchestrator;
pub mod files;
pub mod events;
mod fixture;
mod collector;
mod ending;
pub mod ingest;
mod sending;
mod resuming;
mod shown;

/// Logs what a machine noticed.
fn notice(level: Level, node: &str, text: &str) {
    match level {
        Level::Info => tracing::info!(node, "{text}"),
        Level::Warn => tracing::warn!(node, "{text}"),
        Level::Error => tracing::error!(node, "{text}"),
    }
}

/// The store, shared by control (runs) and collector (windows). SQLite's transactions keep it whole if a holder panics.
fn locked(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}
