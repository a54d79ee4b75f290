//! A limit on requests per second, kept where they leave us.
//!
//! Time is a grid of slots, one request each. Thread *t* of *T* owns every *T*-th slot from the *t*-th on, so the threads
//! need not speak to each other and their sum is the grid. A slot may be used late, but only by [`CATCH_UP_NS`]; older
//! ones are forfeited.
//!
//! Invariant: over any 10 s at most rate × 10 s + max(1, rate × 10 ms) requests leave, over all threads. Within a window
//! only slots of the window, and of the catch-up before it, are used. Deliberately absent: a clock.

use crate::quantity::Rate;
use crate::schedule::Pace;

/// How late a slot may be used, in nanoseconds.
pub const CATCH_UP_NS: u64 = 10_000_000;

/// The window in which a limit is kept, in seconds.
const WINDOW_S: f64 = 10.0;

/// What a grid gives up of its rate where full catch-up would otherwise break the limit: catch-up / window.
const SLOWER: f64 = 0.999;

/// One thread's part of a limit. Times are nanoseconds since the start of the run.
#[derive(Debug, Clone)]
pub struct Limiter {
    thread: u64,
    threads: u64,
    grid: Grid,
    /// The own slot that is used next.
    slot: u64,
    /// The grid that follows, from its origin on.
    pending: Option<Grid>,
}

#[derive(Debug, Clone, Copy)]
struct Grid {
    origin_ns: u64,
    pace: Pace,
    late_ns: u64,
}

impl Grid {
    /// The fastest grid whose slots keep the limit even when each is used as late as it may be: a window of `W` and the
    /// catch-up `C` before it hold at most ⌈rate × (W + C)⌉ slots.
    fn new(origin_ns: u64, rate: Rate) -> Self {
        let per_s = rate.per_second();
        let catch_up_s = CATCH_UP_NS as f64 / 1e9;
        let allowed = (per_s * WINDOW_S + (per_s * catch_up_s).max(1.0)).floor();
        let room_s = (allowed - per_s * WINDOW_S) / per_s;
        if room_s < catch_up_s / 2.0 {
            let slower = Rate::new(per_s * SLOWER).unwrap_or(rate);
            return Self { origin_ns, pace: Pace::of(slower), late_ns: CATCH_UP_NS };
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 5 ms and 10 ms")]
        let late_ns = (room_s.min(catch_up_s) * 1e9) as u64;
        Self { origin_ns, pace: Pace::of(rate), late_ns }
    }

    fn time_of(&self, slot: u64) -> u64 {
        self.origin_ns.saturating_add(self.pace.time_of(slot))
    }
}

impl Limiter {
    /// The part of thread `thread` of `threads` of a limit of `rate` for all of them, with slots from time 0 on.
    pub fn new(rate: Rate, thread: usize, threads: usize) -> Self {
        let thread = u64::try_from(thread).unwrap_or(0);
        let threads = u64::try_from(threads).unwrap_or(1).max(1);
        Self { thread, threads, grid: Grid::new(0, rate), slot: thread, pending: None }
    }

    /// When the next request may leave: at or before `now_ns` means now. Forfeits slots that are too old.
    pub fn next_allowed(&mut self, now_ns: u64) -> u64 {
        loop {
            let oldest = now_ns.saturating_sub(self.grid.late_ns);
            if self.grid.time_of(self.slot) < oldest {
                let first = self.grid.pace.first_at_or_after(oldest.saturating_sub(self.grid.origin_ns));
                let behind = first.saturating_sub(self.slot).div_ceil(self.threads);
                self.slot += behind * self.threads;
            }
            let at_ns = self.grid.time_of(self.slot);
            match self.pending {
                Some(grid) if at_ns >= grid.origin_ns => {
                    (self.grid, self.slot, self.pending) = (grid, self.thread, None);
                }
                _ => return at_ns,
            }
        }
    }

    /// Uses the next slot for a request that leaves at `now_ns`; false when none may leave yet.
    pub fn take(&mut self, now_ns: u64) -> bool {
        let free = self.next_allowed(now_ns) <= now_ns;
        if free {
            self.slot += self.threads;
        }
        free
    }

    /// Another limit for all threads from `from_ns` on; it replaces a change that did not come into force.
    pub fn change_rate(&mut self, from_ns: u64, rate: Rate) {
        self.pending = Some(Grid::new(from_ns, rate));
    }
}
