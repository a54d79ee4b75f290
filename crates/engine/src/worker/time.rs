//! Run time, and how a worker's time was spent.
//!
//! The loops live by the boot clock alone: it runs on while a machine sleeps, so that what was due meanwhile is late and
//! a lease ends in time. Otherwise it equals the monotonic clock.

use clock::{Instant, RunDelay};

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
const ASKING_NS: u64 = 2_000;

/// The seconds of a pause are cut at once: what is shorter than this says nothing.
const LEAST_SPAN_NS: u64 = 1_000_000;

/// Share of a second below which a worker's waits are noise: then it never waited.
const NEVER_WAITED_SHARE: u64 = 100;

/// How much of its time a worker had work.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    since_ns: u64,
    waited_ns: u64,
    spun_ns: u64,
    /// At `since_ns`.
    of_thread: OfThread,
}

/// What the kernel says of the calling thread, in ns since its start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OfThread {
    /// It ran.
    pub(crate) cpu_ns: u64,
    /// It was ready to run and another one ran; 0 where the kernel does not count it.
    pub(crate) delay_ns: u64,
}

impl OfThread {
    /// Cheap: asks for the CPU time alone.
    pub(crate) fn cpu() -> Self {
        Self { cpu_ns: clock::nanos(clock::thread_cpu()), delay_ns: 0 }
    }

    /// All of it, for once a second.
    pub(crate) fn read(run_delay: Option<&RunDelay>) -> Self {
        let delay = run_delay.and_then(RunDelay::read).unwrap_or_default();
        Self { delay_ns: clock::nanos(delay), ..Self::cpu() }
    }
}

/// What a [`Meter`] shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Use {
    /// Thousandths of the time, spinning left out.
    pub(crate) busy_permille: u16,
    /// Thousandths of the time in which it was ready to run and had no CPU.
    pub(crate) starved_permille: u16,
    pub(crate) never_waited: bool,
}

impl Meter {
    /// One that has seen nothing before `now_ns`, where the thread had used `of_thread`.
    pub(crate) fn starting(now_ns: u64, of_thread: OfThread) -> Self {
        Self { since_ns: now_ns, of_thread, ..Self::default() }
    }

    /// There was nothing to do for so long.
    #[inline]
    pub(crate) fn waited(&mut self, ns: u64) {
        if ns > ASKING_NS {
            self.waited_ns += ns;
        }
    }

    /// The clock was watched for so long, as a part of a wait.
    pub(crate) fn spun(&mut self, ns: u64) {
        self.spun_ns += ns;
    }

    /// What was used since the last call, by the clock and by what the kernel says; starts anew.
    ///
    /// The greater of two shares counts as busy: not waiting tells of a thread that had work but no CPU, CPU time of what
    /// the system does inside of waits, which on virtual machines can be more than all the rest. Whether it waited is for
    /// the kernel to say alone: a call that waits also sends, and whoever is put off inside of it did not wait.
    pub(crate) fn cut(&mut self, now_ns: u64, of_thread: OfThread) -> Use {
        let span_ns = now_ns.saturating_sub(self.since_ns);
        if span_ns < LEAST_SPAN_NS {
            return Use { busy_permille: 0, starved_permille: 0, never_waited: false };
        }
        let cpu_ns = of_thread.cpu_ns.saturating_sub(self.of_thread.cpu_ns).saturating_sub(self.spun_ns);
        let delay_ns = of_thread.delay_ns.saturating_sub(self.of_thread.delay_ns).min(span_ns);
        let busy_ns = span_ns.saturating_sub(self.waited_ns).max(cpu_ns).min(span_ns);
        let slept_ns = span_ns.saturating_sub(cpu_ns).saturating_sub(delay_ns);
        *self = Self { since_ns: now_ns, waited_ns: 0, spun_ns: 0, of_thread };
        let permille = |ns: u64| u16::try_from(ns * 1000 / span_ns).unwrap_or(1000);
        Use {
            busy_permille: permille(busy_ns),
            starved_permille: permille(delay_ns),
            never_waited: slept_ns < span_ns / NEVER_WAITED_SHARE,
        }
    }
}

/// Whether it is worth to ask for answers for a while before sleeping.
///
/// A sleep costs more than the microseconds until the next of many answers, but less than asking in vain. So asking goes
/// on for as long as it succeeds, and is left out ever more often while it does not.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    failures: u32,
    /// Waits that still go to sleep at once.
    skip: u32,
}

/// Failures that still make the next attempt rarer: one in 64 waits is cheap enough to notice a change.
const FAILURES_MAX: u32 = 6;

impl Patience {
    #[inline]
    pub(crate) fn is_asking(&mut self) -> bool {
        let is_asking = self.skip == 0;
        self.skip = self.skip.saturating_sub(1);
        is_asking
    }

    #[inline]
    pub(crate) fn learn(&mut self, succeeded: bool) {
        self.failures = if succeeded { 0 } else { (self.failures + 1).min(FAILURES_MAX) };
        self.skip = (1 << self.failures) - 1;
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
        let cpu = |cpu_ns| OfThread { cpu_ns, delay_ns: 0 };
        let used = |busy_permille, never_waited| Use { busy_permille, starved_permille: 0, never_waited };
        assert_eq!(meter.cut(1_000_000, cpu(200_000)), used(200, false));
        (0..100).for_each(|_| meter.waited(1_000));
        assert_eq!(meter.cut(2_000_000, cpu(1_195_000)), used(1000, true));
    }

    #[test]
    fn being_put_off_is_not_waiting() {
        let mut meter = Meter::default();
        // All of it inside of calls that wait, as with io_uring.
        meter.waited(990_000);
        let of_thread = OfThread { cpu_ns: 300_000, delay_ns: 695_000 };
        let used = Use { busy_permille: 300, starved_permille: 695, never_waited: true };
        assert_eq!(meter.cut(1_000_000, of_thread), used);
    }

    #[test]
    fn cpu_inside_of_waits_counts_and_spinning_does_not() {
        let mut meter = Meter::default();
        meter.waited(900_000);
        meter.spun(100_000);
        let of_thread = OfThread { cpu_ns: 700_000, delay_ns: 0 };
        assert_eq!(meter.cut(1_000_000, of_thread).busy_permille, 600);
    }

    #[test]
    fn asking_in_vain_becomes_rare() {
        let mut patience = Patience::default();
        let mut asked = |answered: bool| {
            let is_asking = |_: &i32| {
                let is_asking = patience.is_asking();
                if is_asking {
                    patience.learn(answered);
                }
                is_asking
            };
            (0..1000).filter(is_asking).count()
        };
        assert_eq!(asked(true), 1000);
        assert!((15..25).contains(&asked(false)));
        assert!(asked(true) > 900);
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
