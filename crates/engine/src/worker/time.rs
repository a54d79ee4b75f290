//! Run time, and how a worker's time was spent.
//!
//! The loops live by the boot clock alone: it runs on while a machine sleeps, so that what was due meanwhile is late and
//! a lease ends in time. Otherwise it equals the monotonic clock.

use clock::Instant;

/// Nanoseconds since the start of the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunClock {
    start_boot_ns: u64,
}

impl RunClock {
    /// A run that starts at `start`.
    pub(crate) fn starting_at(start: Instant) -> Self {
        Self { start_boot_ns: boot_ns(start) }
    }

    /// Now; 0 until the start.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        clock::boot_nanos().saturating_sub(self.start_boot_ns)
    }

    /// How long until the start; 0 after it.
    pub(crate) fn until_start(&self) -> u64 {
        self.start_boot_ns.saturating_sub(clock::boot_nanos())
    }

    /// The moment of the boot clock at that run time.
    #[inline]
    pub(crate) fn boot_time(&self, run_ns: u64) -> u64 {
        self.start_boot_ns.saturating_add(run_ns)
    }

    /// The run time of a moment of the boot clock; 0 for all before the start.
    #[inline]
    pub(crate) fn run_time(&self, boot_ns: u64) -> u64 {
        boot_ns.saturating_sub(self.start_boot_ns)
    }
}

/// The moment of the boot clock that is `instant` of the monotonic one, if the machine does not sleep until then.
pub(crate) fn boot_ns(instant: Instant) -> u64 {
    let (now, boot) = (clock::now(), clock::boot_nanos());
    if instant >= now {
        boot.saturating_add(clock::nanos(instant.since(now)))
    } else {
        boot.saturating_sub(clock::nanos(now.since(instant)))
    }
}

/// A wait that is over so soon only asked: there was work already.
const ASKING_NS: u64 = 5_000;

/// Share of a second below which a worker's waits are noise: then it never waited.
const NEVER_WAITED_SHARE: u64 = 100;

/// How much of its time a worker had no work.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    since_ns: u64,
    /// Waiting for the target or the clock, the spinning before an intended time with it.
    unused_ns: u64,
}

impl Meter {
    #[inline]
    pub(crate) fn waited(&mut self, ns: u64) {
        if ns > ASKING_NS {
            self.unused_ns += ns;
        }
    }

    /// The busy share in thousandths, and whether the worker never waited, since the last cut.
    pub(crate) fn cut(&mut self, now_ns: u64) -> (u16, bool) {
        let span = now_ns.saturating_sub(self.since_ns).max(1);
        let unused = self.unused_ns.min(span);
        let busy = u16::try_from((span - unused) * 1000 / span).unwrap_or(1000);
        *self = Self { since_ns: now_ns, unused_ns: 0 };
        (busy, unused < span / NEVER_WAITED_SHARE)
    }
}

/// How late timers fire on this machine: they are set so much earlier.
///
/// Tracks the quartile of the lateness, so that of four wakes one comes early and spins for the rest. A mean would spin
/// for half of them, and be moved by the one wake in a thousand that a busy machine delays by milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Lateness {
    ns: u64,
}

/// What a single wake changes the estimate by.
const LATENESS_STEP_NS: u64 = 100;

impl Lateness {
    pub(crate) fn ns(&self) -> u64 {
        self.ns
    }

    pub(crate) fn observe(&mut self, late_ns: u64, most_ns: u64) {
        if late_ns > self.ns {
            self.ns = (self.ns + LATENESS_STEP_NS).min(most_ns);
        } else {
            self.ns = self.ns.saturating_sub(3 * LATENESS_STEP_NS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_not_being_busy_and_asking_is() {
        let mut meter = Meter::default();
        meter.waited(600_000);
        meter.waited(200_000);
        assert_eq!(meter.cut(1_000_000), (200, false));
        (0..100).for_each(|_| meter.waited(1_000));
        assert_eq!(meter.cut(2_000_000), (1000, true));
    }

    #[test]
    fn the_lateness_follows_what_timers_do() {
        let mut lateness = Lateness::default();
        for _ in 0..1000 {
            lateness.observe(7_000, 20_000);
        }
        assert!((6_000..=7_100).contains(&lateness.ns()), "{lateness:?}");
        for _ in 0..1000 {
            lateness.observe(90_000, 20_000);
        }
        assert_eq!(lateness.ns(), 20_000);
    }
}
