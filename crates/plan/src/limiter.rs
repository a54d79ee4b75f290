//! A limit on requests per second, kept where they leave us: a leaky bucket (the generic cell rate algorithm of ITU-T
//! I.371) for each thread, so that threads need not speak to each other.
//!
//! Each thread has the part of the limit that its lanes are of all lanes, which is its part of a tsunami's arrivals.
//! A request may leave one interval after the one before; a thread that is late catches up a little, never more.
//!
//! Invariant: over any 10 s at most rate × 10 s + max(1, rate × 10 ms) requests leave, all threads together, if there
//! are no more of them than [`Limiter::threads`] says. Deliberately absent: a clock.

use crate::limits;
use crate::quantity::Rate;
use crate::share::{LANES, LaneSet};

/// What may be caught up at most, in seconds.
const CATCH_UP_S: f64 = 0.010;

/// What must be caught up at least for a sender that is as punctual as machines are, in seconds.
const LEAST_CATCH_UP_S: f64 = CATCH_UP_S / 2.0;

/// The window in which a limit is kept, in seconds.
const WINDOW_S: f64 = 10.0;

/// What a limit gives up of its rate where it could not be kept with full catch-up: window / (window + catch-up).
const SLOWER: f64 = WINDOW_S / (WINDOW_S + CATCH_UP_S);

/// Binary places of a nanosecond: intervals are fractions, whose error must not add up over a month.
const PLACES: u32 = 32;

/// One thread's part of a limit. Times are nanoseconds since the start of the run.
#[derive(Debug, Clone)]
pub struct Limiter {
    lanes: u64,
    threads: usize,
    pace: Pace,
    /// When the next request may leave; in 2^-[`PLACES`] ns, like all that is not named otherwise.
    next: u128,
    pending: Option<(u64, Pace)>,
}

#[derive(Debug, Clone, Copy)]
struct Pace {
    interval: u128,
    catch_up: u128,
}

impl Pace {
    /// Of `n` requests of a thread in a window `W`, catching up `C`, it holds (n − 1) × interval < W + C. Over all
    /// threads that makes fewer than rate × (W + C) + threads.
    fn new(rate: Rate, lanes: u64, threads: usize) -> Self {
        let (rate, catch_up_s) = kept(rate, threads);
        let (numerator, denominator) = rate.interval_ns();
        let interval = ((u128::from(numerator) * LANES as u128) << PLACES)
            .div_ceil(u128::from(denominator) * u128::from(lanes));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 5 ms and 10 ms")]
        let catch_up = u128::from((catch_up_s * 1e9) as u64) << PLACES;
        Self { interval, catch_up }
    }
}

/// The rate, and the seconds of catch-up, that keep a limit of `rate`.
fn kept(rate: Rate, threads: usize) -> (Rate, f64) {
    let per_s = rate.per_second();
    if threads > 1 {
        return (rate, (CATCH_UP_S - threads as f64 / per_s).max(LEAST_CATCH_UP_S));
    }
    // A single thread sends ⌈rate × (W + C)⌉ at most, and what is allowed can be rounded down.
    let planned = per_s * WINDOW_S;
    let room_s = ((planned + (per_s * CATCH_UP_S).max(1.0)).floor() - planned) / per_s;
    if room_s >= LEAST_CATCH_UP_S {
        return (rate, room_s.min(CATCH_UP_S));
    }
    (rate.scaled(SLOWER).unwrap_or(rate), CATCH_UP_S)
}

/// The rate at which a limit of `rate` can be kept by one thread: the same, but for a few odd ones (99.97/s) up to 0.1 %
/// less.
pub(crate) fn kept_rate(rate: Rate) -> Rate {
    kept(rate, 1).0
}

impl Limiter {
    /// How many of `threads` threads may divide a limit of `rate`: each needs 200 requests per second, else the first
    /// requests of all threads after a pause were too many at once.
    pub fn threads(rate: Rate, threads: usize) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is within its limits"
        )]
        let most = (rate.per_second().min(limits::RATE_PER_S) * LEAST_CATCH_UP_S) as usize;
        threads.min(most).max(1)
    }

    /// The part of thread `thread` of `threads` of a limit of `rate` for all of them; the threads' first requests are
    /// one interval of the whole limit apart.
    pub fn new(rate: Rate, thread: usize, threads: usize) -> Self {
        let lanes = LaneSet::all().of_thread(thread, threads).len().max(1) as u64;
        let pace = Pace::new(rate, lanes, threads);
        let next = pace.interval * u128::from(lanes) / LANES as u128 * thread as u128;
        Self { lanes, threads, pace, next, pending: None }
    }

    /// When the next request may leave: at or before `now_ns` means now.
    pub fn next_allowed(&mut self, now_ns: u64) -> u64 {
        if let Some((from_ns, pace)) = self.pending
            && from_ns <= now_ns.max(self.next_ns())
        {
            // What was still to be waited for at that time passes at the new pace.
            let from = u128::from(from_ns) << PLACES;
            if let Some(wait) = self.next.checked_sub(from) {
                self.next = from + scale(wait, pace.interval, self.pace.interval);
            }
            (self.pace, self.pending) = (pace, None);
        }
        self.next_ns()
    }

    /// Counts a request that leaves at `now_ns`; false when none may leave yet.
    pub fn take(&mut self, now_ns: u64) -> bool {
        let free = self.next_allowed(now_ns) <= now_ns;
        if free {
            let oldest = (u128::from(now_ns) << PLACES).saturating_sub(self.pace.catch_up);
            self.next = self.next.max(oldest) + self.pace.interval;
        }
        free
    }

    /// Another limit for all threads from `from_ns` on; it replaces a change that did not come into force.
    pub fn change_rate(&mut self, from_ns: u64, rate: Rate) {
        self.pending = Some((from_ns, Pace::new(rate, self.lanes, self.threads)));
    }

    fn next_ns(&self) -> u64 {
        u64::try_from(self.next.div_ceil(1 << PLACES)).unwrap_or(u64::MAX)
    }
}

/// `value` × `to` / `from`. The value is at most a few intervals; a thousandth of a nanosecond more or less is nothing.
fn scale(value: u128, to: u128, from: u128) -> u128 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and saturating"
    )]
    let scaled = (value as f64 * (to as f64 / from as f64)) as u128;
    scaled
}
