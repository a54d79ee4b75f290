//! The loop by epoll, for systems without io_uring.
//!
//! Sockets are registered once and edge-triggered: a request costs no `epoll_ctl`, and an event that was returned is not
//! looked at again by the kernel, as it is with level triggers. Each request is one `send` and one `recv`.
//!
//! Intended times have a timer of their own, with nanoseconds and without slack: `epoll_wait` has milliseconds, and
//! `epoll_pwait2` needs Linux 5.11, which too many clusters do not have yet. It costs a call per time, not per wait.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::time::TimeSpec;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, sockopt};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use super::ring::Pin;
use super::{At, Chunk, Event};

/// Events taken at once. More would let the first ones' successors wait for the last ones.
const BATCH: usize = 64;

/// Bytes read at once, into one buffer per thread. A socket rarely holds more than this when it is read promptly.
const BUFFER_BYTES: usize = 64 * 1024;

/// Reads of one connection in a turn, so that a large body does not hold up the others.
const READS_PER_TURN: u8 = 8;

/// What stands for the wake-up and for the timer in an event's data; sockets have their number there.
const WAKE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

const ENDED: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);
const READABLE: EventFlags = EventFlags::IN.union(ENDED);

#[derive(Debug)]
pub(crate) struct Epoll {
    epoll: OwnedFd,
    timer: OwnedFd,
    /// What the timer was last set to.
    timer_boot_ns: u64,
    events: Events,
    news: Vec<Piece>,
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    buffer: Box<[u8]>,
    /// Connections that had more to read than one turn takes.
    unread: Vec<(u64, EventFlags)>,
    pins: Vec<Arc<[u8]>>,
    /// Room for one time, if receives are to tell when bytes arrived.
    control: Option<Vec<u8>>,
}

/// What the kernel writes to.
struct Events(Vec<epoll::Event>);

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} events", self.0.len())
    }
}

/// News of one socket, and how far it was heard.
#[derive(Debug, Clone, Copy)]
struct Piece {
    token: u64,
    flags: EventFlags,
    reads: u8,
}

/// A place for a connection, used again for others.
#[derive(Debug, Default)]
struct Slot {
    socket: Option<OwnedFd>,
    is_connected: bool,
    /// Distinguishes the connections that had this place; part of an event's token.
    generation: u32,
    /// What the socket had no room for: the rest of pinned bytes, then others.
    rest: Option<(Pin, usize)>,
    queued: Vec<u8>,
}

impl Epoll {
    pub(super) fn new(wake: &Arc<OwnedFd>, stamps: bool) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let edge = EventFlags::IN | EventFlags::ET;
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), edge)?;
        epoll::add(&epoll, wake, EventData::new_u64(WAKE), edge)?;
        Ok(Self {
            epoll,
            timer,
            timer_boot_ns: 0,
            events: Events(Vec::with_capacity(BATCH)),
            news: Vec::with_capacity(2 * BATCH),
            slots: Vec::new(),
            vacant: Vec::new(),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            unread: Vec::new(),
            pins: Vec::new(),
            control: stamps.then(|| nix::cmsg_space!(TimeSpec)),
        })
    }

    pub(super) fn pin(&mut self, bytes: Arc<[u8]>) -> Pin {
        self.pins.push(bytes);
        Pin(u32::try_from(self.pins.len() - 1).unwrap_or(u32::MAX))
    }

    pub(super) fn add(&mut self, socket: OwnedFd, is_connected: bool) -> Result<u32, Errno> {
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let slot = &mut self.slots[id as usize];
        let token = u64::from(slot.generation) << 32 | u64::from(id);
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        if let Err(errno) = epoll::add(&self.epoll, &socket, EventData::new_u64(token), flags) {
            self.vacant.push(id);
            return Err(errno);
        }
        slot.socket = Some(socket);
        slot.is_connected = is_connected;
        Ok(id)
    }

    #[inline]
    pub(super) fn send_pinned(&mut self, id: u32, pin: Pin) -> Result<(), Errno> {
        let slot = &mut self.slots[id as usize];
        let bytes = &self.pins[pin.0 as usize];
        if slot.is_sending() {
            slot.queued.extend_from_slice(bytes);
            return Ok(());
        }
        let Some(socket) = &slot.socket else { return Err(Errno::BADF) };
        let sent = match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(errno) => return Err(self.look_at(id, errno)),
        };
        if sent < bytes.len() {
            slot.rest = Some((pin, sent));
        }
        Ok(())
    }

    pub(super) fn send(&mut self, id: u32, bytes: &mut Vec<u8>) -> Result<(), Errno> {
        let slot = &mut self.slots[id as usize];
        if slot.is_sending() {
            slot.queued.append(bytes);
            return Ok(());
        }
        let Some(socket) = &slot.socket else { return Err(Errno::BADF) };
        match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => slot.queued.extend_from_slice(&bytes[sent..]),
            Err(Errno::AGAIN | Errno::INTR) => slot.queued.append(bytes),
            Err(errno) => return Err(self.look_at(id, errno)),
        }
        bytes.clear();
        Ok(())
    }

    /// A send failed: what the target said before is read in the next turn, whether an event tells of it or not.
    #[cold]
    fn look_at(&mut self, id: u32, errno: Errno) -> Errno {
        let token = u64::from(self.slots[id as usize].generation) << 32 | u64::from(id);
        self.unread.push((token, EventFlags::IN));
        errno
    }

    pub(super) fn unsent(&self, id: u32) -> usize {
        let slot = &self.slots[id as usize];
        let rest = slot.rest.map_or(0, |(pin, sent)| self.pins[pin.0 as usize].len() - sent);
        rest + slot.queued.len()
    }

    pub(super) fn close(&mut self, id: u32) {
        let slot = &mut self.slots[id as usize];
        if slot.socket.take().is_none() {
            return;
        }
        slot.generation = slot.generation.wrapping_add(1);
        slot.rest = None;
        slot.queued = Vec::new();
        self.vacant.push(id);
    }

    /// Ends the wait at that moment of the boot clock, whatever its timeout. A moment that was set before is forgotten.
    fn set_timer(&mut self, boot_ns: u64) -> io::Result<()> {
        if self.timer_boot_ns != boot_ns {
            self.timer_boot_ns = boot_ns;
            let once = Itimerspec { it_interval: timespec(0), it_value: timespec(boot_ns) };
            timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
        }
        Ok(())
    }

    #[inline]
    pub(super) fn poll(&mut self) -> io::Result<()> {
        self.wait(0)
    }

    pub(super) fn wait_until(&mut self, boot_ns: u64, left_ns: u64) -> io::Result<()> {
        self.set_timer(boot_ns)?;
        self.wait(left_ns)
    }

    #[inline]
    pub(super) fn wait(&mut self, timeout_ns: u64) -> io::Result<()> {
        self.news.clear();
        for (token, flags) in self.unread.drain(..) {
            self.news.push(Piece { token, flags, reads: 0 });
        }
        let timeout_ns = if self.news.is_empty() { timeout_ns } else { 0 };
        self.events.0.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events.0), Some(&timespec(timeout_ns))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Edge-triggered, the counts in eventfd and timer need not be read.
        self.news.extend(self.events.0.iter().map(|event| Piece {
            token: event.data.u64(),
            flags: event.flags,
            reads: 0,
        }));
        Ok(())
    }

    /// Whether the last wait may have left news behind.
    #[inline]
    pub(super) fn has_more(&self) -> bool {
        self.events.0.len() >= BATCH || !self.unread.is_empty()
    }

    #[inline]
    pub(super) fn news(&self) -> usize {
        self.news.len()
    }

    #[inline]
    pub(super) fn subject(&self, piece: usize) -> Option<u32> {
        let Piece { token, flags, .. } = *self.news.get(piece)?;
        if flags.is_empty() || token >= TIMER {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of a token")]
        let (id, generation) = (token as u32, (token >> 32) as u32);
        let slot = self.slots.get(id as usize)?;
        (slot.generation == generation && slot.socket.is_some()).then_some(id)
    }

    pub(super) fn hear(&mut self, piece: usize) -> Option<Event> {
        let id = self.subject(piece)?;
        let flags = self.news[piece].flags;
        let slot = &mut self.slots[id as usize];
        if !slot.is_connected {
            return self.hear_connecting(piece, id);
        }
        if flags.contains(EventFlags::OUT) {
            self.news[piece].flags.remove(EventFlags::OUT);
            if slot.is_sending() {
                match self.send_rest(id) {
                    // The target may have read a part of it.
                    Err(errno) => {
                        self.look_at(id, errno);
                        return Some(Event::SendFailed(Errno::IO));
                    }
                    Ok(()) if !self.slots[id as usize].is_sending() => return Some(Event::Sent),
                    Ok(()) => {}
                }
            }
        }
        if flags.intersects(READABLE) {
            return self.receive(piece, id, flags.intersects(ENDED));
        }
        None
    }

    fn hear_connecting(&mut self, piece: usize, id: u32) -> Option<Event> {
        let flags = self.news[piece].flags;
        let slot = &mut self.slots[id as usize];
        if flags.intersects(EventFlags::ERR.union(EventFlags::HUP)) {
            self.news[piece].flags = EventFlags::empty();
            let error = slot.socket.as_ref().map(sockopt::socket_error);
            let errno = if let Some(Ok(Err(errno))) = error { errno } else { Errno::CONNRESET };
            return Some(Event::ConnectFailed(errno));
        }
        if !flags.contains(EventFlags::OUT) {
            return None;
        }
        self.news[piece].flags.remove(EventFlags::OUT);
        slot.is_connected = true;
        Some(Event::Connected)
    }

    /// Sends what is left until the socket is full: then an event tells when it is not.
    fn send_rest(&mut self, id: u32) -> Result<(), Errno> {
        let slot = &mut self.slots[id as usize];
        let Some(socket) = &slot.socket else { return Ok(()) };
        loop {
            let bytes = match slot.rest {
                Some((pin, sent)) => &self.pins[pin.0 as usize][sent..],
                None => &slot.queued[..],
            };
            let sent = match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => sent,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(errno),
            };
            let is_over = sent == bytes.len();
            match &mut slot.rest {
                Some(_) if is_over => slot.rest = None,
                Some((_, before)) => *before += sent,
                None => drop(slot.queued.drain(..sent)),
            }
            if !slot.is_sending() {
                return Ok(());
            }
        }
    }

    #[inline]
    fn receive(&mut self, piece: usize, id: u32, has_ended: bool) -> Option<Event> {
        let news = &mut self.news[piece];
        if news.reads >= READS_PER_TURN {
            self.unread.push((news.token, news.flags));
            news.flags = EventFlags::empty();
            return None;
        }
        let Some(socket) = &self.slots[id as usize].socket else { return None };
        let received = loop {
            let received = match &mut self.control {
                Some(control) => receive_stamped(socket, &mut self.buffer, control),
                None => rustix::net::recv(socket, &mut *self.buffer, RecvFlags::empty())
                    .map(|(count, _)| (count, None)),
            };
            match received {
                Err(Errno::INTR) => {}
                other => break other,
            }
        };
        let (event, is_over) = match received {
            Ok((0, _)) => (Some(Event::Ended), true),
            Ok((count, arrived_wall_ns)) => {
                // Less than was asked for: the socket is empty, and what comes later makes an event.
                let has_more = count == BUFFER_BYTES;
                let is_over = !has_more && !has_ended;
                let is_last = has_ended && !has_more;
                (
                    Some(Event::Received(Chunk {
                        at: At::Buffer(count),
                        arrived_wall_ns,
                        is_last,
                        has_more,
                    })),
                    is_over,
                )
            }
            Err(Errno::AGAIN) => (None, true),
            Err(_) => (Some(Event::Broken), true),
        };
        news.reads += 1;
        if is_over {
            news.flags = EventFlags::empty();
        }
        event
    }

    #[inline]
    pub(super) fn bytes(&mut self, chunk: &Chunk) -> &mut [u8] {
        match &chunk.at {
            At::Buffer(count) => &mut self.buffer[..*count],
            At::Ring(_) => &mut [],
        }
    }
}

impl Slot {
    #[inline]
    fn is_sending(&self) -> bool {
        self.rest.is_some() || !self.queued.is_empty()
    }
}

/// Receives bytes, and when the last of them arrived.
fn receive_stamped(
    socket: &OwnedFd,
    buffer: &mut [u8],
    control: &mut [u8],
) -> Result<(usize, Option<u64>), Errno> {
    let mut buffers = [IoSliceMut::new(buffer)];
    let received = recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(control), MsgFlags::empty())
        .map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
    let stamp = received.cmsgs().ok().and_then(|mut messages| messages.next());
    let arrived_wall_ns = match stamp {
        Some(ControlMessageOwned::ScmTimestampns(at)) => {
            u64::try_from(clock_ns(at.tv_sec(), at.tv_nsec())).ok()
        }
        _ => None,
    };
    Ok((received.bytes, arrived_wall_ns))
}

fn clock_ns(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

pub(super) fn timespec(ns: u64) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: (ns % 1_000_000_000).cast_signed(),
    }
}

/// Ends the wait of the loop that `waker` belongs to.
pub(crate) fn wake(waker: &OwnedFd) {
    // Full only after 2^64 calls, and then its loop has been woken often enough.
    if let Err(error) = rustix::io::write(waker, &1u64.to_ne_bytes()) {
        tracing::debug!(%error, "cannot wake an engine thread");
    }
}
