//! Says results: the summary of a run as data, as JSON and as a page of text, and a run while it runs.
//!
//! ```text
//! RunFacts, Plan, Merged, Verdict, Accounting ─► Summary ─► JSON, text
//!                                               Progress ─► a line, a block of lines
//!           Plan ─► expected numbers ─────────► preview
//! ```
//!
//! Invariant: all that is said of a run is said from its [`Summary`], so the same number reads the same everywhere.
//! Deliberately absent: IO, clocks, and deciding anything: thresholds and verdict come from `metrics`.

mod summary;
mod build;
mod text;
mod progress;
mod expected;
mod curve;
mod preview;
mod table;
mod page;
mod number;
mod time;

pub use build::{DriverFacts, RunFacts, Unmeasured, thresholds};
pub use preview::{PreviewFacts, preview};
pub use progress::{Progress, StageProgress, live_block, progress_line};
pub use summary::{
    AccountingSummary, Bytes, DriverSummary, ErrorSummary, GroupSummary, IterationCounts, PhaseSummary,
    Rates, ReasonSummary, RequestCounts, SCHEMA, StepSummary, Summary, ThresholdSummary, Times,
    VerdictSummary,
};
pub use text::text;
pub use time::rfc3339;
