//! Waiting: for the clock, to the microsecond, and for sockets.
//!
//! A wake costs as much as several requests: some microseconds on bare metal, more than ten on many virtual machines. So
//! where requests leave in quick succession, a few of them share one ([`Departure`]), and where the next departure is near,
//! answers are not waited for: they are taken along with it, and the kernel says when they came.

use std::io;
use std::num::NonZeroU64;

use super::time::OfThread;
use super::{SECOND_NS, Worker};
use crate::io::sleep_until;
use crate::source::Source;

/// How long the clock is watched before an intended time at most. Longer would cost more CPU than it gains precision.
const SPIN_MAX_NS: u64 = 20_000;

/// How long a thread is deaf at most where nothing follows from an answer: it learns late that a target closed an idle
/// connection.
const DEAF_MAX_NS: u64 = 1_000_000;

/// Answers that a wait of a closed loop is for, as far as they come within 20 µs: more than that many spare little more, and
/// let the first of their successors wait.
const ANSWERS_PER_WAIT: usize = 12;

/// How long the difference of the two clocks is taken as good: a step of the wall clock makes the answers of so long wrong.
const WALL_GOOD_NS: u64 = 1_000_000;

impl<S: Source> Worker<S> {
    /// Waits until something is due or a socket has something to say.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        let last_ns = self.now_ns;
        self.read_clock();
        self.notice_pause(last_ns);
        let before_ns = self.now_ns;
        let send_ns = self.next_send_at();
        let look_ns = self.next_look_at();
        if self.is_unfinished || send_ns.min(look_ns) <= before_ns {
            self.is_unfinished = false;
            self.io.poll()?;
            self.read_clock();
            self.notice_pause(before_ns);
        } else if look_ns < send_ns {
            if !self.ask()? {
                self.io.wait(look_ns.saturating_sub(self.now_ns), self.batch())?;
                self.read_clock();
            }
            self.notice_pause(look_ns);
            self.waited_since(before_ns);
        } else {
            let leave_ns = self.departure.after(send_ns, &mut self.source).min(look_ns);
            self.wait_to_send(leave_ns)?;
            self.notice_pause(leave_ns);
            self.waited_since(before_ns);
        }
        self.turn_ns = self.now_ns;
        self.heard_ns = self.now_ns;
        if !S::CLOSED && self.departure.is_over(self.now_ns) {
            let used = self.departure_meter.cut(self.now_ns, OfThread::cpu());
            self.departure.adjust(self.now_ns, self.recorder.totals().requests_sent, used.busy_permille);
        }
        Ok(())
    }

    /// Takes the news that a deaf wait left, once what was due is on its way.
    #[inline]
    pub(super) fn take_news(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.is_deaf) {
            self.say_all();
            self.io.poll()?;
            self.read_clock();
            self.turn_ns = self.now_ns;
            self.heard_ns = self.now_ns;
        }
        Ok(())
    }

    /// How many answers a wait is for. One at a time costs most of what a request costs; where so many are out that
    /// they come thick and fast, a few at a time come no later.
    #[inline]
    fn batch(&self) -> usize {
        if S::CLOSED { (self.in_flight as usize / 4).clamp(1, ANSWERS_PER_WAIT) } else { 1 }
    }

    #[inline]
    fn waited_since(&mut self, before_ns: u64) {
        let waited_ns = self.now_ns - before_ns;
        self.meter.waited(waited_ns);
        self.departure_meter.waited(waited_ns);
    }

    #[inline]
    fn spun_since(&mut self, from_ns: u64) {
        self.meter.spun(self.now_ns - from_ns);
        self.departure_meter.spun(self.now_ns - from_ns);
    }

    /// Asks for answers for some microseconds, where they are likely to come so soon: that is cheaper than to sleep.
    /// Whether something came.
    fn ask(&mut self) -> io::Result<bool> {
        if self.io.is_uring() || self.in_flight == 0 || !self.patience.is_asking() {
            return Ok(false);
        }
        let from_ns = self.now_ns;
        loop {
            self.io.poll()?;
            self.read_clock();
            if !self.io.is_quiet() || self.now_ns >= from_ns + SPIN_MAX_NS {
                break;
            }
        }
        self.patience.learn(!self.io.is_empty());
        self.spun_since(from_ns);
        Ok(!self.io.is_quiet())
    }

    /// Waits until an intended time, to the microsecond, unless a socket that is listened to has something to say before.
    fn wait_to_send(&mut self, send_ns: u64) -> io::Result<()> {
        let timer_ns = send_ns.saturating_sub(self.lateness.ns());
        let has_news = if timer_ns <= self.now_ns {
            self.io.poll()?;
            self.read_clock();
            !self.io.is_empty()
        } else {
            self.is_deaf = self.may_be_deaf(send_ns);
            if self.is_deaf {
                self.io.flush()?;
                sleep_until(self.clock.boot_time(timer_ns))?;
            } else {
                self.io.wait_until(self.clock.boot_time(timer_ns), timer_ns - self.now_ns)?;
            }
            self.read_clock();
            let has_news = !self.is_deaf && !self.io.is_empty();
            if !has_news && self.now_ns >= timer_ns {
                self.lateness.observe(self.now_ns - timer_ns, SPIN_MAX_NS);
            }
            has_news
        };
        if !has_news && send_ns.saturating_sub(self.now_ns) <= SPIN_MAX_NS {
            let from_ns = self.now_ns;
            while self.now_ns < send_ns {
                std::hint::spin_loop();
                self.read_clock();
            }
            self.spun_since(from_ns);
        }
        Ok(())
    }

    /// Whether nothing is missed by who listens to the clock alone until `send_ns`: no answer's time, since the kernel tells
    /// it, and nobody who waits for a connection or for an answer.
    fn may_be_deaf(&self, send_ns: u64) -> bool {
        let most_ns = if self.leads_on { self.departure.window_ns() } else { DEAF_MAX_NS };
        !S::CLOSED
            && self.is_stamped
            && send_ns - self.now_ns <= most_ns
            && self.limits.in_flight.is_none()
            && self.pools.iter().all(|pool| pool.queue.is_empty() && pool.connecting == 0)
    }

    /// When the next request may be due to leave: what the loop wakes for with all its precision.
    fn next_send_at(&mut self) -> u64 {
        if self.hold_until_ns.is_some() {
            return u64::MAX;
        }
        let due_ns = self.source.next_at().min(self.pauses.next_at());
        due_ns.min(self.next_allowed_at())
    }

    /// When the loop must look again if nothing else happens; within the second, so that a pause is noticed.
    fn next_look_at(&mut self) -> u64 {
        let lease_ns = self.clock.run_time(self.mailbox.lease_boot_ns());
        let mut at_ns = self.cut_at_ns.min(lease_ns).min(self.phase.until_ns()).min(self.next_expiry_at());
        at_ns = at_ns.min(self.hold_until_ns.unwrap_or(u64::MAX)).min(self.lookups.next_expiry_at());
        if self.source.open_until() > self.now_ns {
            at_ns = at_ns.min(self.source.open_until());
        }
        self.wheel.next_ns(at_ns)
    }

    /// Notes when bytes came that the kernel stamped with the wall clock. A stamp that cannot be, because the wall clock was
    /// set meanwhile, becomes one that can.
    #[inline]
    pub(super) fn note_arrival(&mut self, arrived_wall_ns: Option<u64>) {
        self.is_stamped = arrived_wall_ns.is_some();
        let Some(wall_ns) = arrived_wall_ns else { return };
        if self.turn_ns >= self.wall_until_ns {
            self.wall_ahead_ns = clock::wall_ahead_of_boot_ns();
            self.wall_until_ns = self.turn_ns + WALL_GOOD_NS;
        }
        self.heard_ns = self.clock.run_time(wall_ns.saturating_sub(self.wall_ahead_ns)).min(self.turn_ns);
    }
}

/// Sleeps of this thread end when they are to, and not some microseconds later together with others.
pub(super) fn be_precise() {
    if let Err(error) = rustix::thread::set_current_timer_slack(Some(NonZeroU64::MIN)) {
        tracing::debug!(%error, "timer slack stays as it is");
    }
}

/// How long an arrival may wait for the one that follows it, and for more of them. Half of all are then late by 16 µs at
/// most: of two that leave together, one is not late at all.
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
    fn window_ns(&self) -> u64 {
        if self.is_shared { PAIRED_NS } else { 0 }
    }

    /// When the arrival of `first_ns` leaves: with the last of those that come soon after it.
    #[inline]
    fn after(&self, first_ns: u64, source: &mut impl Source) -> u64 {
        if !self.is_shared {
            return first_ns;
        }
        let next_ns = source.last_by(first_ns.saturating_add(PAIRED_NS), 2);
        let last_ns = source.last_by(first_ns.saturating_add(SHARED_NS + self.busy_ns), usize::MAX);
        first_ns.max(next_ns).max(last_ns)
    }

    /// Whether a period is over.
    #[inline]
    fn is_over(&self, now_ns: u64) -> bool {
        now_ns >= self.ends_ns
    }

    /// At the end of a period: how many requests were sent so far, and how busy the thread was.
    #[cold]
    fn adjust(&mut self, now_ns: u64, sent: u64, busy_permille: u16) {
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
        let schedule = plan::parse("x", &text).unwrap().schedule().unwrap();
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
