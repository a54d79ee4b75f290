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
mod shape;
mod shapes;
mod read;
mod quantity;
mod choice;
mod expression;
mod json;
mod answer;
mod stages;
mod connections;
mod load;
mod workload;
mod file;
mod data;
mod scenario;
mod fixture;
mod flow;
mod auth;
mod step;
mod body;
mod thresholds;
mod target;
mod network;
mod events;
mod plan;
mod vocabulary;
mod parse;
mod submit;
mod schema;
mod show;
mod pace;
mod poisson;
mod schedule;
mod schedules;
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

pub use answer::{
    Answer, Check, CheckKind, Css, Demand, JsonDemand, JsonPath, Pattern, Source, Taking, TextDemand,
};
pub use arrivals::{Arrivals, Late};
pub use auth::Signing;
pub use basic::basic;
pub use body::{Body, Content, Multipart, Part};
pub use choice::mix;
pub use connections::{Connections, Per};
pub use data::{DataFormat, DataKind, DataSource, Pick, WhenExhausted};
pub use diagnostic::Diagnostic;
pub use events::{Chance, Events};
pub use explain::{codes, explain};
pub use expression::{EvaluateError, Expression, Known, Missing, Named, Scope, Template, Value};
pub use file::{FileTrouble, FileUse};
pub use fixture::{Fixture, Values};
pub use flow::{Bound, Op, Pause};
pub use limiter::Limiter;
pub use load::{Load, Process, ThinkTime};
pub use network::{Dns, Family, HttpVersion, Network, Proxy, Tls};
pub use parse::parse;
pub use plan::{BasicFields, BasicType, OnDriverLoss, OnUnreadyDriver, Plan};
pub use population::Population;
pub use quantity::{Rate, size};
pub use quick::{Quick, quick};
pub use scenario::{Expect, Scenario, Step};
pub use schedule::{Arrival, Schedule, StageId, tsunami};
pub use schedules::Schedules;
pub use schema::{schema, schema_value};
pub use share::{InvalidShares, LANES, LaneSet, Shares};
pub use show::{Shown, show};
pub use stages::Stage;
pub use submit::{Given, submit};
pub use target::{Scheme, Target};
pub use threshold::Threshold;
pub use users::{UserEvent, Users};
pub use workload::{LoopKind, StageInfo, Workload};

/// The row of a step in every table of results: an index into [`Plan::rows`].
///
/// Steps of the same name share a row, so this does not number the steps. Groups have rows, too, which no sum over requests
/// counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub u16);

impl StepId {
    /// Above all rows of steps.
    const GROUPS: u16 = 1 << 15;

    /// The row of the group `number` of [`Plan::groups`].
    pub const fn of_group(number: u16) -> Self {
        Self(Self::GROUPS | number)
    }

    /// The number of the group whose row this is.
    pub const fn group(self) -> Option<u16> {
        if self.0 >= Self::GROUPS { Some(self.0 & !Self::GROUPS) } else { None }
    }
}
