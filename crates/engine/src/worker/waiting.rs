//! Waiting: for the clock, to the microsecond, and for sockets.
//!
//! A wake costs as much as several requests: some microseconds on bare metal, more than ten on many virtual machines. So
//! where the next departure is near, the thread is deaf until then: answers are taken along with it, and the kernel says
//! when they came.
//!
//! Invariant: a wait ends in time for whatever [`Worker::next_look_at`] and the next departure ask for, and a thread is deaf
//! only while nobody waits for what it would hear. Failures have no stamp: those of a deaf thread are late by a millisecond
//! at most. Deliberately absent: which arrivals leave together (`departure`), and what is done after a wait.

use std::io;
use std::num::NonZeroU64;

use super::Worker;
use super::time::OfThread;
use crate::io::sleep_until;
use crate::source::Source;

/// How long the clock is watched before an intended time at most. Longer would cost more CPU than it gains precision.
const SPIN_MAX_NS: u64 = 20_000;

/// How long a thread is deaf at most where nothing follows from an answer.
const DEAF_MAX_NS: u64 = 1_000_000;

/// A wait that is not to the microsecond may last so much too long, by the milliseconds of `epoll_wait`.
const ROUGH_NS: u64 = 2_000_000;

/// Answers that a wait of a closed loop is for, as far as they come within 20 µs: more than that many spare little more, and
/// let the first of their successors wait.
const ANSWERS_PER_WAIT: usize = 12;

/// A target that ended no connection unannounced for so long is taken to keep those that were used just before.
const SETTLED_NS: u64 = 500_000_000;

/// How long the difference of the two clocks is taken as good: a step of the wall clock makes the answers of so long wrong.
const WALL_GOOD_NS: u64 = 1_000_000;

impl<S: Source> Worker<S> {
    /// Waits until something is due or a socket has something to say.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        let last_ns = self.now_ns;
        self.had_more = self.io.has_more();
        self.read_clock();
        self.notice_pause(last_ns);
        let before_ns = self.now_ns;
        let mut asked_ns = before_ns;
        let send_ns = self.next_send_at();
        let look_ns = self.next_look_at();
        if self.is_unfinished || send_ns.min(look_ns) <= before_ns {
            self.is_unfinished = false;
            self.io.poll()?;
            self.read_clock();
            self.notice_pause(before_ns);
        } else if look_ns < send_ns {
            if send_ns - look_ns < ROUGH_NS {
                self.io.wait_until(self.clock.boot_time(look_ns), look_ns - self.now_ns)?;
                self.read_clock();
            } else if !self.ask()? {
                self.io.wait(look_ns.saturating_sub(self.now_ns), self.batch())?;
                self.read_clock();
            }
            self.notice_pause(look_ns);
            self.waited_since(before_ns);
            asked_ns = self.now_ns;
        } else {
            let leave_ns = self.departure.after(send_ns, &mut self.source).min(look_ns);
            asked_ns = self.wait_to_send(leave_ns, look_ns)?;
            self.notice_pause(leave_ns);
            self.waited_since(before_ns);
        }
        if self.is_deaf {
            self.heard_ns = self.now_ns;
        } else {
            self.note_taking(asked_ns);
        }
        if !S::CLOSED && self.departure.is_period_over(self.now_ns) {
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
            let asked_ns = self.now_ns;
            self.io.poll()?;
            self.read_clock();
            self.note_taking(asked_ns);
            self.hear_idle();
        }
        Ok(())
    }

    /// News was taken just now; all was there that the kernel had at `asked_ns`.
    #[inline]
    fn note_taking(&mut self, asked_ns: u64) {
        if !self.had_more {
            self.taken_ns = self.asked_ns;
        }
        self.asked_ns = asked_ns;
        self.turn_ns = self.now_ns;
        self.heard_ns = self.now_ns;
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
    /// Since when the kernel may have further news.
    fn wait_to_send(&mut self, send_ns: u64, look_ns: u64) -> io::Result<u64> {
        let timer_ns = send_ns.saturating_sub(self.lateness.ns());
        let mut asked_ns = self.now_ns;
        if timer_ns <= self.now_ns {
            self.io.poll()?;
            self.read_clock();
        } else if send_ns < look_ns && self.may_be_deaf(send_ns) {
            self.io.flush()?;
            sleep_until(self.clock.boot_time(timer_ns))?;
            self.read_clock();
            self.lateness.observe(self.now_ns.saturating_sub(timer_ns), SPIN_MAX_NS);
            self.spin_until(send_ns);
            // What is due goes first, unless the target may have closed what it would go on.
            self.is_deaf = self.now_ns >= self.idle_ended_ns.saturating_add(SETTLED_NS);
            asked_ns = self.now_ns;
            if !self.is_deaf {
                self.io.poll()?;
                self.read_clock();
            }
            return Ok(asked_ns);
        } else {
            self.io.wait_until(self.clock.boot_time(timer_ns), timer_ns - self.now_ns)?;
            self.read_clock();
            asked_ns = self.now_ns;
            if self.io.is_empty() && self.now_ns >= timer_ns {
                self.lateness.observe(self.now_ns - timer_ns, SPIN_MAX_NS);
            }
        }
        if self.io.is_empty() {
            self.spin_until(send_ns);
        }
        Ok(asked_ns)
    }

    /// Watches the clock until `at_ns`, if that is soon.
    fn spin_until(&mut self, at_ns: u64) {
        if at_ns.saturating_sub(self.now_ns) > SPIN_MAX_NS {
            return;
        }
        let from_ns = self.now_ns;
        while self.now_ns < at_ns {
            std::hint::spin_loop();
            self.read_clock();
        }
        self.spun_since(from_ns);
    }

    /// Whether nothing is missed by who listens to the clock alone until `send_ns`: the kernel tells when answers come, none
    /// of them is half here, and nobody waits for a connection.
    fn may_be_deaf(&self, send_ns: u64) -> bool {
        let most_ns = if self.leads_on { self.departure.window_ns() } else { DEAF_MAX_NS };
        self.can_be_deaf
            && self.is_stamped
            && !self.had_more
            && self.half_answered == 0
            && send_ns - self.now_ns <= most_ns
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

    /// Notes when bytes came that the kernel stamped with the wall clock: not before news was last taken, since they were not
    /// there then. So neither a packet that came out of order, whose stamp is that of the one behind it, nor a wall clock that
    /// was set makes an answer earlier than by one wait.
    #[inline]
    pub(super) fn note_arrival(&mut self, arrived_wall_ns: Option<u64>) {
        self.has_stamp = arrived_wall_ns.is_some();
        let Some(wall_ns) = arrived_wall_ns else { return };
        if self.turn_ns >= self.wall_until_ns {
            self.wall_ahead_ns = clock::wall_ahead_of_boot_ns();
            self.wall_until_ns = self.turn_ns + WALL_GOOD_NS;
        }
        let arrived_ns = self.clock.run_time(wall_ns.saturating_sub(self.wall_ahead_ns)).max(self.taken_ns);
        if arrived_ns > self.turn_ns && !self.io.is_uring() {
            // It came after the wait, and was read all the same.
            self.now_ns = self.clock.now();
            self.heard_ns = arrived_ns.min(self.now_ns);
        } else {
            self.heard_ns = arrived_ns.min(self.turn_ns);
        }
    }
}

/// Sleeps of this thread end when they are to, and not some microseconds later together with others.
pub(super) fn be_precise() {
    if let Err(error) = rustix::thread::set_current_timer_slack(Some(NonZeroU64::MIN)) {
        tracing::debug!(%error, "timer slack stays as it is");
    }
}
