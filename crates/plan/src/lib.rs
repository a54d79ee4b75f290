//! What to send and when: a file becomes a validated plan, a plan becomes intended times, and of those each driver and
//! thread takes its share.
//!
//! ```text
//! text ─► tree ─► Plan ─► Schedule ─► Arrivals (of some lanes)
//!      positions  typed    all times    mine, in order
//! ```
//!
//! Invariant: a [`Plan`] exists only if [`parse`] made it, so nothing below checks it again, and its `source` gives the
//! same plan wherever it is parsed. Deliberately absent: IO, clocks, async, and randomness that does not come from the
//! plan's seed.

mod diagnostic;
mod explain;
mod surrogates;
mod tree;
mod read;
mod quantity;
mod choice;
mod stages;
mod connections;
mod load;
mod scenario;
mod step;
mod thresholds;
mod json;
mod target;
mod network;
mod plan;
mod parse;
mod pace;
mod poisson;
mod schedule;
mod arrivals;
mod share;
mod population;
mod users;
mod limiter;
mod basic;
mod quick;
mod render;

pub mod limits;
pub mod threshold;

pub use arrivals::{Arrivals, Late};
pub use basic::basic;
pub use connections::{Connections, Per};
pub use diagnostic::Diagnostic;
pub use explain::{codes, explain};
pub use limiter::Limiter;
pub use load::{Load, Process, ThinkTime};
pub use network::{Dns, Family, HttpVersion, Network, Proxy, Tls};
pub use parse::{parse, parse_with_target};
pub use plan::{BasicFields, BasicType, LoopKind, OnDriverLoss, OnUnreadyDriver, Plan, StageInfo};
pub use population::Population;
pub use quantity::Rate;
pub use quick::{Quick, quick};
pub use scenario::{Expect, Scenario, Step};
pub use schedule::{Arrival, Schedule, StageId, tsunami};
pub use share::{InvalidShares, LANES, LaneSet, Shares};
pub use stages::Stage;
pub use target::{Scheme, Target};
pub use threshold::Threshold;
pub use users::{UserEvent, Users};

/// The row of a step in every table of results: an index into [`Plan::rows`].
///
/// Steps of the same name share a row, so this does not number the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub u16);
