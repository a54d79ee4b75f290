//! Waiting: for sockets, for the clock, and for a word from outside, in one call.
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

/// Events taken at once. More would let the first ones' successors wait for the last ones.
const BATCH: usize = 64;

/// What a wait brought. Made on the thread that uses it: it cannot be sent to another.
pub(crate) struct Batch(Vec<Event>);

impl Batch {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(BATCH))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Tokens and flags of the sockets' events.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, EventFlags)> {
        // Edge-triggered, the count in the eventfd need not be read.
        self.0.iter().map(|event| (event.data.u64(), event.flags)).filter(|(token, _)| *token != WAKE)
    }
}

/// What stands for the wake-up in an event's data; sockets have their number there.
const WAKE: u64 = u64::MAX;

/// An epoll instance, and the eventfd that ends its wait.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    /// Whether the kernel takes nanoseconds (`epoll_pwait2`, Linux 5.11); some sandboxes do not.
    is_precise: bool,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN | EventFlags::ET)?;
        Ok(Self { epoll, wake, is_precise: true })
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

    /// Waits at most that long for events.
    pub(crate) fn wait(&mut self, batch: &mut Batch, timeout_ns: u64) -> io::Result<()> {
        batch.0.clear();
        // Without nanoseconds: a wait that is too short, and the loop looks at the clock again.
        let timeout_ns = if self.is_precise { timeout_ns } else { timeout_ns / 1_000_000 * 1_000_000 };
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout_ns / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: (timeout_ns % 1_000_000_000).cast_signed(),
        };
        match epoll::wait(&self.epoll, spare_capacity(&mut batch.0), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(Errno::NOSYS) if self.is_precise => {
                self.is_precise = false;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Ends the wait of the poller that `waker` came from.
pub(crate) fn wake(waker: &OwnedFd) {
    // Full only after 2^64 calls, and then its poller has been woken often enough.
    if let Err(error) = rustix::io::write(waker, &1u64.to_ne_bytes()) {
        tracing::debug!(%error, "cannot wake an engine thread");
    }
}
