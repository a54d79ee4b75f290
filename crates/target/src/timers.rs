//! When waiting answers are due.
//!
//! Invariant: at most twice as many entries as there are waiting connections, plus a constant, however many clients
//! went away while they waited.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Entries below which stale ones are not worth a thought.
const SMALL: usize = 1024;

/// A heap of (time, token); times are nanoseconds of the monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(u64, u64)>>,
    limit: usize,
}

impl Timers {
    /// Adds a timer.
    pub(crate) fn add(&mut self, at_ns: u64, token: u64) {
        self.heap.push(Reverse((at_ns, token)));
    }

    /// Removes stale timers, those for which `is_live` is false, once they may be half of all.
    pub(crate) fn tidy(&mut self, is_live: impl Fn(u64, u64) -> bool) {
        if self.heap.len() > self.limit.max(SMALL) {
            self.heap.retain(|Reverse((at_ns, token))| is_live(*at_ns, *token));
            self.limit = 2 * self.heap.len();
        }
    }

    /// When the first is due.
    pub(crate) fn first_ns(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at_ns, _))| *at_ns)
    }

    /// Takes the token of the first that is due at `now_ns`.
    pub(crate) fn pop(&mut self, now_ns: u64) -> Option<u64> {
        self.first_ns().filter(|at_ns| *at_ns <= now_ns)?;
        self.heap.pop().map(|Reverse((_, token))| token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_in_order_of_time() {
        let mut timers = Timers::default();
        for (at_ns, token) in [(30, 3), (10, 1), (20, 2)] {
            timers.add(at_ns, token);
        }
        assert_eq!(timers.first_ns(), Some(10));
        assert_eq!([timers.pop(20), timers.pop(20), timers.pop(20)], [Some(1), Some(2), None]);
    }

    #[test]
    fn stale_timers_do_not_pile_up() {
        let mut timers = Timers::default();
        for token in 0..100_000 {
            timers.add(token, token);
            timers.tidy(|_, live| live > token.saturating_sub(10));
            assert!(timers.heap.len() <= SMALL + 1);
        }
    }
}
