//! A thread's event loop: readiness in, turns of connections out.
//!
//! Invariant: it blocks in one place, and every connection it owns is there woken by the socket, by a timer or by the
//! list of those that want another turn. Readiness is edge-triggered and registered once, so that a request costs one
//! receive, one send and its part of one wait; level-triggered it took 1.09 times the CPU (median of 11 pairs).

use std::mem::MaybeUninit;
use std::sync::Arc;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::connection::{Connection, Next};
use crate::counters::{Recorder, Shared};
use crate::request::Familiar;
use crate::shop::Shop;
use crate::timers::Timers;

/// Connections that one thread holds; one more is closed at once.
const MAX_CONNECTIONS: usize = 32 * 1024;

/// Bytes that the clients of one thread make it hold; who goes beyond is closed.
const MAX_HELD_BYTES: usize = 64 << 20;

/// Bytes received at once.
const RECEIVE_BYTES: usize = 64 * 1024;

/// Events taken at once.
const EVENTS: usize = 256;

/// Connections accepted at once, so that the other threads get theirs.
const ACCEPTS: usize = 16;

/// How long to leave the listener alone after the system had no descriptor for a connection, in nanoseconds.
const ACCEPT_PAUSE_NS: u64 = 100_000_000;

/// Tokens that are no connection; a connection's lower half is below [`MAX_CONNECTIONS`].
const LISTENER: u64 = u64::MAX;
const WAKER: u64 = u64::MAX - 1;
const TIMER: u64 = u64::MAX - 2;

/// A thread's loop and all it owns.
#[derive(Debug)]
pub(crate) struct Worker {
    epoll: OwnedFd,
    listener: Arc<OwnedFd>,
    /// Held so that it stays open as long as it is registered.
    _waker: Arc<OwnedFd>,
    timer: OwnedFd,
    /// What the timer is set to; 0 when to nothing.
    armed_ns: u64,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Tokens of the connections that want another turn.
    again: Vec<u64>,
    held_bytes: usize,
    core: Core,
}

/// A place for a connection. Its generation tells an event of the connection that was there before.
#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    connection: Option<Box<Connection>>,
}

/// What a connection may use of its thread during its turn.
#[derive(Debug)]
pub(crate) struct Core {
    pub recorder: Recorder,
    pub familiar: Familiar,
    pub timers: Timers,
    pub shop: Option<Arc<Shop>>,
    /// Where bytes are received.
    pub buffer: Vec<u8>,
    /// Where answers are made; empty between turns.
    pub output: Vec<u8>,
    /// The monotonic time, as of the last wait or send.
    pub now_ns: u64,
}

impl Worker {
    pub(crate) fn new(
        index: usize,
        shared: Arc<Shared>,
        listener: Arc<OwnedFd>,
        waker: Arc<OwnedFd>,
        shop: Option<Arc<Shop>>,
    ) -> rustix::io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        register(&epoll, &*waker, WAKER, EventFlags::IN)?;
        register(&epoll, &timer, TIMER, EventFlags::IN | EventFlags::ET)?;
        register(&epoll, &*listener, LISTENER, EventFlags::IN | EventFlags::EXCLUSIVE)?;
        Ok(Self {
            epoll,
            listener,
            _waker: waker,
            timer,
            armed_ns: 0,
            slots: Vec::new(),
            free: Vec::new(),
            again: Vec::new(),
            held_bytes: 0,
            core: Core {
                recorder: Recorder::new(shared, index),
                familiar: Familiar::default(),
                timers: Timers::default(),
                shop,
                buffer: vec![0; RECEIVE_BYTES],
                output: Vec::with_capacity(RECEIVE_BYTES),
                now_ns: 0,
            },
        })
    }

    /// Runs until the server stops. An error of the system that nothing can be done about ends the thread.
    pub(crate) fn run(&mut self) {
        let mut events = [const { MaybeUninit::uninit() }; EVENTS];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        while !self.core.recorder.shared.is_stopping() {
            self.arm_timer();
            let timeout = if self.again.is_empty() { None } else { Some(&at_once) };
            let (ready, _) = match epoll::wait(&self.epoll, &mut events[..], timeout) {
                Ok(ready) => ready,
                Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            self.core.now_ns = clock::now().as_nanos();
            for event in ready {
                match event.data.u64() {
                    LISTENER => self.accept(),
                    // The timer is edge-triggered and the waker means the end: neither needs to be read.
                    WAKER | TIMER => {}
                    token => self.on_event(token, event.flags),
                }
            }
            for token in std::mem::take(&mut self.again) {
                if let Some(connection) = self.connection(token) {
                    connection.is_queued = false;
                    self.turn(token);
                }
            }
            while let Some(token) = self.core.timers.pop(self.core.now_ns) {
                if token == LISTENER { self.resume_accepting() } else { self.turn(token) }
            }
        }
    }

    fn arm_timer(&mut self) {
        let first_ns = self.core.timers.first_ns().unwrap_or(0);
        if first_ns == self.armed_ns {
            return;
        }
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let at = Timespec {
            tv_sec: i64::try_from(first_ns / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(first_ns % 1_000_000_000).unwrap_or(0),
        };
        let setting = Itimerspec { it_interval: zero, it_value: at };
        if timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &setting).is_ok() {
            self.armed_ns = first_ns;
        }
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS {
            match accept_with(&*self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(socket) => self.open(socket),
                Err(Errno::AGAIN) => return,
                // The client of a connection that was waiting has gone.
                Err(Errno::INTR | Errno::CONNABORTED | Errno::PROTO) => {}
                Err(_) => return self.pause_accepting(),
            }
        }
    }

    fn open(&mut self, socket: OwnedFd) {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() < MAX_CONNECTIONS => {
                self.slots.push(Slot::default());
                self.slots.len() - 1
            }
            None => return self.core.recorder.refused(),
        };
        let slot = &mut self.slots[index];
        let token = u64::from(slot.generation) << 32 | index as u64;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        if register(&self.epoll, &socket, token, flags).is_err() {
            self.free.push(index);
            return self.core.recorder.refused();
        }
        slot.connection = Some(Box::new(Connection::new(socket, token)));
        self.core.recorder.catch_up(&mut self.core.familiar);
        self.core.recorder.opened();
    }

    /// Without a descriptor left, a level-triggered listener would wake the loop for ever.
    fn pause_accepting(&mut self) {
        if epoll::delete(&self.epoll, &*self.listener).is_ok() {
            self.core.timers.add(self.core.now_ns + ACCEPT_PAUSE_NS, LISTENER);
        }
    }

    fn resume_accepting(&mut self) {
        let flags = EventFlags::IN | EventFlags::EXCLUSIVE;
        if register(&self.epoll, &*self.listener, LISTENER, flags).is_err() {
            self.core.timers.add(self.core.now_ns + ACCEPT_PAUSE_NS, LISTENER);
        }
    }

    #[inline]
    fn connection(&mut self, token: u64) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(index(token))?;
        slot.connection.as_deref_mut().filter(|connection| connection.token == token)
    }

    #[inline]
    fn on_event(&mut self, token: u64, flags: EventFlags) {
        let Some(connection) = self.connection(token) else { return };
        if flags.intersects(EventFlags::ERR | EventFlags::HUP) {
            return self.close(token);
        }
        connection.hung_up |= flags.contains(EventFlags::RDHUP);
        connection.readable |= flags.intersects(EventFlags::IN | EventFlags::RDHUP);
        self.turn(token);
    }

    /// Gives a connection its turn.
    #[inline]
    fn turn(&mut self, token: u64) {
        let Some(slot) = self.slots.get_mut(index(token)) else { return };
        let Some(connection) = slot.connection.as_deref_mut() else { return };
        if connection.token != token {
            return;
        }
        self.core.recorder.catch_up(&mut self.core.familiar);
        let held_before = connection.held_bytes();
        let next = connection.turn(&mut self.core);
        // Only a connection that is to be closed leaves answers behind.
        self.core.output.clear();
        self.held_bytes = self.held_bytes + connection.held_bytes() - held_before;
        match next {
            Next::Wait => {}
            Next::Again => {
                if !std::mem::replace(&mut connection.is_queued, true) {
                    self.again.push(token);
                }
            }
            Next::Close => return self.close(token),
        }
        if self.held_bytes > MAX_HELD_BYTES && connection.held_bytes() > 0 {
            self.core.recorder.refused();
            return self.close(token);
        }
        self.tidy_timers();
    }

    #[inline]
    fn tidy_timers(&mut self) {
        let slots = &self.slots;
        self.core.timers.tidy(|at_ns, token| {
            let connection = slots.get(index(token)).and_then(|slot| slot.connection.as_deref());
            token == LISTENER || connection.is_some_and(|it| it.token == token && it.waits_for(at_ns))
        });
    }

    fn close(&mut self, token: u64) {
        let index = index(token);
        let Some(connection) = self.slots[index].connection.take() else { return };
        self.held_bytes -= connection.held_bytes();
        self.core.recorder.abandoned(connection.unanswered());
        self.core.recorder.closed();
        self.slots[index].generation = self.slots[index].generation.wrapping_add(1);
        self.free.push(index);
    }
}

/// The slot that a token means. The two tokens that are no connection lead beyond the last one.
#[inline]
fn index(token: u64) -> usize {
    usize::try_from(token & 0xffff_ffff).unwrap_or(usize::MAX)
}

fn register(epoll: &OwnedFd, source: impl AsFd, token: u64, flags: EventFlags) -> rustix::io::Result<()> {
    epoll::add(epoll, source, EventData::new_u64(token), flags)
}
