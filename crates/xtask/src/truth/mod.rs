//! A target that knows the truth: it answers after times drawn from known distributions, and keeps its own record of
//! each request. What a load generator reports can be held against that record.
//!
//! Deliberately absent: anything of our programs. Server, record and comparison share no code with what they check.

mod delay;
mod record;
mod server;
mod compare;
mod stall;

pub use compare::{Difference, Report, compare, quantile};
pub use delay::Delay;
pub use record::{Record, Request};
pub use server::{Settings, serve};
pub use stall::{Stall, computed};

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the monotonic clock.
pub fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}
