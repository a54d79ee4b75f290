//! Avalanche: as many users as connections, each starting again as soon as it is free, until the count is used up.

use std::collections::VecDeque;

use plan::{Arrival, LaneSet, Late, StageId};

use super::{Source, Timetable};

/// One thread's users and its part of the count.
pub(crate) struct Avalanche {
    /// Since when each free user is free, ascending.
    free: VecDeque<u64>,
    /// Until when users rest that found no connection, ascending: each rests equally long.
    resting: VecDeque<u64>,
    remaining: u64,
    /// The number of the next iteration among all threads', which take turns.
    index: u64,
    threads: u64,
}

impl Avalanche {
    /// `users` that are free from the start on, for thread `thread`'s part of `requests`.
    pub(crate) fn new(requests: u64, users: usize, thread: usize, threads: usize) -> Self {
        let (thread, threads) = (thread as u64, threads as u64);
        Self {
            free: std::iter::repeat_n(0, users).collect(),
            resting: VecDeque::with_capacity(users),
            remaining: requests / threads + u64::from(thread < requests % threads),
            index: thread,
            threads,
        }
    }
}

impl Source for Avalanche {
    const CLOSED: bool = true;

    #[inline]
    fn next_at(&mut self) -> u64 {
        if self.remaining == 0 {
            return u64::MAX;
        }
        let first = |users: &VecDeque<u64>| users.front().copied().unwrap_or(u64::MAX);
        first(&self.free).min(first(&self.resting))
    }

    #[inline]
    fn pull(&mut self, now_ns: u64) -> Option<Arrival> {
        let at_ns = self.next_at();
        if at_ns > now_ns {
            return None;
        }
        let users = if self.free.front() == Some(&at_ns) { &mut self.free } else { &mut self.resting };
        users.pop_front();
        self.remaining -= 1;
        let index = self.index;
        self.index += self.threads;
        Some(Arrival { at_ns, index, stage: StageId(0), user: 0 })
    }

    #[inline]
    fn again(&mut self, _user: u32, at_ns: u64) {
        self.free.push_back(at_ns);
    }

    fn rest(&mut self, _user: u32, until_ns: u64) {
        self.resting.push_back(until_ns);
    }

    fn is_exhausted(&mut self, _now_ns: u64) -> bool {
        self.remaining == 0
    }

    fn open_until(&self) -> u64 {
        0
    }

    fn stop(&mut self) {
        self.remaining = 0;
    }

    fn change_lanes(&mut self, _from_ns: u64, _now_ns: u64, _lanes: LaneSet) -> Late {
        Late::default()
    }

    fn change_timetable(&mut self, _from_ns: u64, _now_ns: u64, _timetable: Timetable) -> Late {
        Late::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_divide_the_count() {
        let mut seen = Vec::new();
        for thread in 0..3 {
            let mut source = Avalanche::new(10, 2, thread, 3);
            while let Some(arrival) = source.pull(0) {
                seen.push(arrival.index);
                source.again(0, 0);
            }
            assert!(source.is_exhausted(0));
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_user_that_rests_holds_up_nobody() {
        let mut source = Avalanche::new(10, 0, 0, 1);
        source.rest(0, 1000);
        source.again(0, 5);
        source.again(0, 6);
        assert_eq!(source.next_at(), 5);
        assert_eq!(source.pull(10).map(|arrival| arrival.at_ns), Some(5));
        assert_eq!(source.pull(10).map(|arrival| arrival.at_ns), Some(6));
        assert_eq!(source.pull(10), None);
        assert_eq!(source.next_at(), 1000);
    }
}
