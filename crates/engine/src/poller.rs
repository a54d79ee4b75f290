//! Waiting: for sockets, for the clock, and for a word from outside, in one call.
//!
//! Intended times have a timer of their own, with nanoseconds and without slack: `epoll_wait` has milliseconds, and
//! `epoll_pwait2` needs Linux 5.11, which too many clusters do not have yet. It costs a call per time, not per wait.
//!
//! Sockets are registered once and edge-triggered: a request costs no `epoll_ctl`, and an event that was returned is not
//! looked at again by the kernel, as it is with level triggers.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

/// Events taken at once. More would let the first ones' successors wait for the last ones.
const BATCH: usize = 64;

/// What a wait brought. Made on the thread that uses it: it cannot be sent to another.
pub(crate) struct Batch(Vec<Event>);

impl Batch {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(BATCH))
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether nothing ended the wait but its time.
    pub(crate) fn is_quiet(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether no socket had anything to say.
    pub(crate) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Tokens and flags of the sockets' events.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, EventFlags)> {
        // Edge-triggered, the counts in eventfd and timer need not be read.
        self.0.iter().map(|event| (event.data.u64(), event.flags)).filter(|(token, _)| *token < TIMER)
    }
}

/// What stands for the wake-up and for the timer in an event's data; sockets have their number there.
const WAKE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// An epoll instance, its timer, and the eventfd that ends its wait.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    timer: OwnedFd,
    /// What the timer was last set to.
    timer_boot_ns: u64,
    wake: Arc<OwnedFd>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let edge = EventFlags::IN | EventFlags::ET;
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), edge)?;
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), edge)?;
        Ok(Self { epoll, timer, timer_boot_ns: 0, wake })
    }

    /// What [`wake`] ends this poller's wait with.
    pub(crate) fn waker(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.wake)
    }

    /// Has events of `socket` carry `token` until it is closed.
    pub(crate) fn add(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(token), flags)?)
    }

    /// Ends the wait at that moment of the boot clock, whatever its timeout. A moment that was set before is forgotten.
    pub(crate) fn set_timer(&mut self, boot_ns: u64) -> io::Result<()> {
        if self.timer_boot_ns != boot_ns {
            self.timer_boot_ns = boot_ns;
            let once = Itimerspec { it_interval: timespec(0), it_value: timespec(boot_ns) };
            timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
        }
        Ok(())
    }

    /// Waits at most that long, rounded up to milliseconds, for events.
    pub(crate) fn wait(&mut self, batch: &mut Batch, timeout_ns: u64) -> io::Result<()> {
        batch.0.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut batch.0), Some(&timespec(timeout_ns))) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn timespec(ns: u64) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: (ns % 1_000_000_000).cast_signed(),
    }
}

/// Ends the wait of the poller that `waker` came from.
pub(crate) fn wake(waker: &OwnedFd) {
    // Full only after 2^64 calls, and then its poller has been woken often enough.
    if let Err(error) = rustix::io::write(waker, &1u64.to_ne_bytes()) {
        tracing::debug!(%error, "cannot wake an engine thread");
    }
}
