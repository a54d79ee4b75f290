//! What happened: outcomes of requests, mergeable windows, accounts that must balance, and the verdict.
//!
//! Every number here merges without loss: merging is associative and commutative, so results do not depend on how a
//! run was spread over threads, drivers and seconds, nor on the order in which windows arrive. Percentiles come only
//! from merged histograms.
//!
//! Deliberately absent: IO, clocks, async, and rounding before the last step. Times come in as nanoseconds since the
//! start of the run; milliseconds as floating point exist only in [`Stats`], which is for reading.

mod outcome;
mod histogram;
mod timing;
mod phases;
mod window;
mod sample;
mod recorder;
mod merged;
mod accounting;
pub mod threshold;
pub mod verdict;
pub mod codec;

pub use accounting::{Accounting, Iterations, LostDriver, RawEvents, Requests};
pub use histogram::{BINS, Histogram, LONGEST_NS, bin_bounds, bin_of};
pub use merged::{DriverTotals, Merged};
pub use outcome::{ErrorKind, LocalLimit, Outcome, Unstarted};
pub use phases::{Phase, PhaseTimings, Phases};
pub use recorder::{Pages, Recorder};
pub use sample::{EventCounts, Exchange, Sample, Samples, Tap, tap};
pub use timing::{PERCENTILES, Percentile, Stats, Timing, lower_bound_from};
pub use verdict::{Cause, Causes, Verdict, Whose};
pub use window::{DriverWindow, Gauges, Missed, Pair, StageWindow, StepWindow, Times, Totals};
