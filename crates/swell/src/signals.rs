//! Ctrl-C and SIGTERM as a count: the first asks for a graceful stop, the second for an abort, the third ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What the operator has asked for so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    Nothing,
    Stop,
    Abort,
}

/// Counts signals from now on, for the life of the process.
#[derive(Debug, Clone, Default)]
pub struct Interrupts {
    count: Arc<AtomicU32>,
    any: Arc<AtomicBool>,
}

impl Interrupts {
    /// Takes over SIGINT and SIGTERM.
    pub fn listen() -> anyhow::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let interrupts = Self::default();
        let Self { count, any } = interrupts.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                any.store(true, Ordering::Relaxed);
                if count.fetch_add(1, Ordering::Relaxed) >= 2 {
                    std::process::exit(128 + signal);
                }
            }
        })?;
        Ok(interrupts)
    }

    /// What has been asked for so far.
    pub fn asked(&self) -> Asked {
        match self.count.load(Ordering::Relaxed) {
            0 => Asked::Nothing,
            1 => Asked::Stop,
            _ => Asked::Abort,
        }
    }

    /// Set once anything was asked for.
    pub fn flag(&self) -> &AtomicBool {
        &self.any
    }

    /// The same, for another thread.
    pub fn shared(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.any)
    }
}
