//! Which arrivals leave together, so that they share a wake.
//!
//! Invariant: an arrival waits for others [`PAIRED_NS`] at most, and below [`SHARING_FROM_PER_S`] for none. Deliberately
//! absent: the wait itself (`waiting`).

use super::SECOND_NS;
use crate::source::Source;

/// How long an arrival may wait for the one that follows it, and for more of them. Half of all are then late by 16 µs at
/// most, where a thread is not busy: of two that leave together, one is not late at all.
const PAIRED_NS: u64 = 100_000;
const SHARED_NS: u64 = 32_000;

/// What a busy thread waits longer at most, and by what that grows and shrinks: its precision is not to cost the CPU that
/// it needs for its load. All of it is far below the millisecond from which a send lag counts as ours.
const BUSY_MAX_NS: u64 = 64_000;
const BUSY_STEP_NS: u64 = 16_000;

/// A thread that is busier than this waits longer, one that is less busy than the other not so long again. Between them
/// lies what waiting longer spares.
const BUSY_PERMILLE: u16 = 680;
const IDLE_PERMILLE: u16 = 600;

/// From so many requests a second of a thread on, the wakes for each would take a fifth of a core and more.
const SHARING_FROM_PER_S: u64 = 10_000;

/// How often rate and use are looked at.
const PERIOD_NS: u64 = 50_000_000;

/// Which arrivals leave together.
#[derive(Debug, Default)]
pub(super) struct Departure {
    is_shared: bool,
    busy_ns: u64,
    /// At the end of the last period.
    sent: u64,
    ends_ns: u64,
}

impl Departure {
    /// How long an arrival may wait for others at most.
    pub(super) fn window_ns(&self) -> u64 {
        if self.is_shared { PAIRED_NS } else { 0 }
    }

    /// When the arrival of `first_ns` leaves: with the last of those that come soon after it.
    #[inline]
    pub(super) fn after(&self, first_ns: u64, source: &mut impl Source) -> u64 {
        if !self.is_shared {
            return first_ns;
        }
        // What comes first may be the end of a pause.
        let pair = 1 + usize::from(source.next_at() == first_ns);
        let next_ns = source.last_by(first_ns.saturating_add(PAIRED_NS), pair);
        let last_ns = source.last_by(first_ns.saturating_add(SHARED_NS + self.busy_ns), usize::MAX);
        first_ns.max(next_ns).max(last_ns)
    }

    /// Whether a period is over.
    #[inline]
    pub(super) fn is_period_over(&self, now_ns: u64) -> bool {
        now_ns >= self.ends_ns
    }

    /// At the end of a period: how many requests were sent so far, and how busy the thread was.
    #[cold]
    pub(super) fn adjust(&mut self, now_ns: u64, sent: u64, busy_permille: u16) {
        self.is_shared = (sent - self.sent) * (SECOND_NS / PERIOD_NS) >= SHARING_FROM_PER_S;
        if busy_permille > BUSY_PERMILLE {
            self.busy_ns = (self.busy_ns + BUSY_STEP_NS).min(BUSY_MAX_NS);
        } else if busy_permille < IDLE_PERMILLE {
            self.busy_ns = self.busy_ns.saturating_sub(BUSY_STEP_NS);
        }
        (self.sent, self.ends_ns) = (sent, now_ns + PERIOD_NS);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::Scheduled;

    /// When requests leave that come in equal intervals, and how many with each, after some periods at that rate and use.
    fn leaving(interval_us: u64, busy_permille: u16) -> Vec<(u64, usize)> {
        let text = format!(
            "{{ version: 1, name: x, target: \"http://h\", scenarios: {{ x: {{ steps: [{{ get: / }}] }} }}, \
             load: {{ model: tsunami, requests_per_driver: 100, delay: {interval_us}us }} }}"
        );
        let schedule = plan::parse("x", &text).unwrap().workloads[0].schedule().unwrap();
        let mut source = Scheduled::tsunami(Arc::new(schedule), plan::LaneSet::all());
        let mut departure = Departure::default();
        let per_period = PERIOD_NS / 1000 / interval_us;
        (1..20).for_each(|period| departure.adjust(period * PERIOD_NS, period * per_period, busy_permille));
        let mut leaving = Vec::new();
        for _ in 0..3 {
            let leave_ns = departure.after(source.next_at(), &mut source);
            let count = std::iter::from_fn(|| source.pull(leave_ns)).count();
            leaving.push((leave_ns / 1000, count));
        }
        leaving
    }

    #[test]
    fn arrivals_that_are_far_apart_leave_on_time() {
        assert_eq!(leaving(1000, 100), [(0, 1), (1000, 1), (2000, 1)]);
        assert_eq!(leaving(101, 900), [(0, 1), (101, 1), (202, 1)]);
    }

    #[test]
    fn arrivals_in_quick_succession_share_a_wake() {
        assert_eq!(leaving(90, 400), [(90, 2), (270, 2), (450, 2)]);
        assert_eq!(leaving(50, 400), [(50, 2), (150, 2), (250, 2)]);
        assert_eq!(leaving(22, 400), [(22, 2), (66, 2), (110, 2)]);
        assert_eq!(leaving(10, 400), [(30, 4), (70, 4), (110, 4)]);
    }

    #[test]
    fn a_busy_thread_has_more_of_them_share_one() {
        assert_eq!(leaving(10, 800), [(90, 10), (190, 10), (290, 10)]);
    }
}
