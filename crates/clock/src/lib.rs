//! The only door to time.
//!
//! Everything that paces or measures uses [`Instant`], nanoseconds of the machine's monotonic clock; what processes
//! must agree on uses [`BrokerTime`], the clock of the message log. [`BrokerClock`] leads from one to the other.
//!
//! Invariant: a step of the wall clock changes nothing but what is displayed, and for a millisecond the arrivals that the
//! kernel stamps with it. Deliberately absent: sleeping, timers and a trait to fake time. Deciding code takes `now` as an
//! argument; only loops ask for it.

use std::fs::File;
use std::ops::{Add, Sub};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

mod broker;

pub use broker::{BrokerClock, BrokerTime, Offset, Sample};

/// A moment of this machine's monotonic clock (`CLOCK_MONOTONIC`), in nanoseconds since an arbitrary origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The moment `nanos` nanoseconds after the clock's origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long `earlier` lies before this moment; zero when it does not.
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, span: Duration) -> Instant {
        Instant(self.0.saturating_add(nanos(span)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, span: Duration) -> Instant {
        Instant(self.0.saturating_sub(nanos(span)))
    }
}

/// The nanoseconds of `span`, at most `u64::MAX` (584 years).
pub fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Now, by the monotonic clock.
pub fn now() -> Instant {
    Instant(read(ClockId::Monotonic))
}

/// Nanoseconds since boot, suspension included (`CLOCK_BOOTTIME`): tells a machine that slept from one that worked.
pub fn boot_nanos() -> u64 {
    read(ClockId::Boottime)
}

/// The wall clock as Unix milliseconds. For display and names only: it may step.
pub fn unix_ms() -> i64 {
    i64::try_from(read(ClockId::Realtime) / 1_000_000).unwrap_or(i64::MAX)
}

/// What the wall clock is ahead of the boot clock, in nanoseconds: leads from the kernel's times of arrival, which only the
/// wall clock is asked for, to ours. Good until the wall clock steps.
pub fn wall_ahead_of_boot_ns() -> u64 {
    read(ClockId::Realtime).saturating_sub(boot_nanos())
}

/// CPU time that the calling thread has used, user and system.
pub fn thread_cpu() -> Duration {
    Duration::from_nanos(read(ClockId::ThreadCPUTime))
}

/// How long a thread has been ready to run without a CPU: the second field of `/proc/thread-self/schedstat` (Linux
/// `Documentation/scheduler/sched-stats.rst`).
///
/// The file stays open, so that a process that has no descriptors left can still read it.
#[derive(Debug)]
pub struct RunDelay(File);

impl RunDelay {
    /// That of the calling thread; `None` where the system does not tell.
    pub fn of_this_thread() -> Option<Self> {
        let delay = Self(File::open("/proc/thread-self/schedstat").ok()?);
        delay.read().map(|_| delay)
    }

    /// The sum since the thread's start. Costs one system call, a few microseconds: for once a second.
    pub fn read(&self) -> Option<Duration> {
        // Three numbers of at most 20 digits.
        let mut text = [0; 64];
        let length = self.0.read_at(&mut text, 0).ok()?;
        let delay = str::from_utf8(&text[..length]).ok()?.split_ascii_whitespace().nth(1)?;
        delay.parse().ok().map(Duration::from_nanos)
    }
}

/// CPU time that this process has used, user and system, all threads.
pub fn process_cpu() -> Duration {
    Duration::from_nanos(read(ClockId::ProcessCPUTime))
}

fn read(id: ClockId) -> u64 {
    let time = clock_gettime(id);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Uses a CPU for so long, or waits for one.
    fn burn(span: Duration) -> Option<(Duration, Duration)> {
        let delay = RunDelay::of_this_thread()?;
        let (before, start) = (delay.read()?, now());
        while now().since(start) < span {}
        Some((delay.read()?.saturating_sub(before), now().since(start)))
    }

    #[test]
    fn threads_that_share_a_core_wait_for_it() {
        let threads = 1 + 2 * thread::available_parallelism().unwrap().get();
        let delays: Vec<_> = thread::scope(|scope| {
            let burning: Vec<_> =
                (0..threads).map(|_| scope.spawn(|| burn(Duration::from_millis(100)))).collect();
            burning.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let Some(delays) = delays.into_iter().collect::<Option<Vec<_>>>() else {
            return eprintln!("this kernel does not count how long threads wait for a CPU");
        };
        let longest = delays.iter().map(|(delay, _)| *delay).max().unwrap();
        assert!(longest > Duration::from_millis(10), "{delays:?}");
        // The two are read one after the other.
        let fits = |(delay, span): &(Duration, Duration)| *delay < *span + Duration::from_millis(100);
        assert!(delays.iter().all(fits), "{delays:?}");
    }
}
