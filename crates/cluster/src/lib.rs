//! The control plane: what orchestrator and drivers say to each other, and what each decides.
//!
//! ```text
//!               ┌─ runtime: threads, transport, store, engine ─┐
//! Event ──────► │  orchestrator::Orchestrator   driver::Driver │ ──────► Vec<Action>
//!               └──────────── synchronous, pure ───────────────┘
//! ```
//!
//! Invariant: the two machines do no IO, read no clock and draw no random number, so that one test can run a whole
//! cluster of them in virtual time. Deliberately absent: pacing and measuring (`engine`), merging and storing
//! (`metrics`, `store`), and every byte of the wire format (`transport`).

pub mod view;
pub mod run;
pub mod driver;
pub mod orchestrator;
pub mod files;
mod collector;
mod board;
mod handle;
mod result;
pub mod runtime;
#[cfg(test)]
mod simulation;

pub use handle::{Failure, Handle, Wanted};
pub use result::{RunResult, Summarise};

/// Drivers in one run at most.
pub const MAX_DRIVERS: usize = 64;
