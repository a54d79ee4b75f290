//! One engine thread: its loop, and everything it owns.
//!
//! ```text
//! wait ─► listen ─► cut the second ─► expire ─► pace ─► events ─► serve ─► is it over?
//! clock,  mailbox,  pages to merge    timeouts  due:    answers,  open
//! sockets lease                                 send    next one  connections
//! ```
//!
//! Times: `turn_ns` is the clock just after the wait, and with it `done` of all that the wait brought; `now_ns` is the
//! clock's last reading, taken anew at least every [`SENDS_PER_READING`] sends, and with it `sent`.
//!
//! Invariant: nothing here blocks except the wait, and nothing in a turn takes more than a bounded number of steps.
//! Deliberately absent: the wire format of requests (`protocol`), when iterations start (`source`), and what becomes of
//! windows (`merge`).

mod time;
mod pacing;
mod requests;
mod connecting;
mod seconds;
mod ending;

use std::io;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use metrics::{ErrorKind, Pages, Recorder};
use plan::Limiter;

use crate::connection::Connection;
use crate::mailbox::Mailbox;
use crate::merge::Report;
use crate::pauses::Pauses;
use crate::poller::{Batch, Poller};
use crate::pool::Pool;
use crate::program::Program;
use crate::source::Source;
use crate::wheel::Wheel;

use ending::Phase;
use time::{GRAIN_PERIOD_NS, Grain, Lateness, Meter, Patience};

pub(crate) use time::{RunClock, boot_ns};

/// Sends that share a reading of the clock: each takes some microseconds, so `sent` is early by tens of them at most.
const SENDS_PER_READING: u32 = 8;

/// How long the clock is watched before an intended time at most. Longer would cost more CPU than it gains precision.
const SPIN_MAX_NS: u64 = 20_000;

/// Bytes read at once, into one buffer per thread. A socket rarely holds more than this when it is read promptly.
const BUFFER_BYTES: usize = 64 * 1024;

pub(crate) const SECOND_NS: u64 = 1_000_000_000;

/// One thread's part of what the plan allows a driver.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Iterations under way or waiting; none when the plan has no such limit.
    pub(crate) in_flight: Option<u64>,
    /// Connections being opened to one address.
    pub(crate) connecting: u32,
    pub(crate) drain_ns: u64,
}

/// What a worker is made of.
pub(crate) struct Parts<S> {
    pub(crate) plan: Arc<plan::Plan>,
    pub(crate) program: Arc<Program>,
    pub(crate) source: S,
    pub(crate) limiter: Option<Limiter>,
    pub(crate) limits: Limits,
    pub(crate) pools: Vec<Pool>,
    pub(crate) poller: Poller,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) recorder: Recorder,
    /// Pages that were drained.
    pub(crate) spare: Receiver<Box<Pages>>,
    pub(crate) reports: Sender<Report>,
    pub(crate) thread: usize,
}

pub(crate) struct Worker<S: Source> {
    plan: Arc<plan::Plan>,
    program: Arc<Program>,
    source: S,
    limiter: Option<Limiter>,
    limits: Limits,
    thread: usize,

    poller: Poller,
    connections: Vec<Connection>,
    vacant: Vec<u32>,
    pools: Vec<Pool>,
    wheel: Wheel,
    buffer: Box<[u8]>,
    /// Connections that had more to read than one turn takes.
    unread: Vec<u32>,
    /// Requests that failed while they were being sent.
    failed: Vec<(u32, ErrorKind)>,
    /// Connections that the wheel brought up; kept for its memory.
    expired: Vec<u32>,
    /// Connections whose target is to close them.
    ending: u32,

    pauses: Pauses,
    /// Iterations that are due and not over: waiting, under way, or in a pause.
    active: u64,
    /// Requests that are out.
    in_flight: u32,

    clock: RunClock,
    turn_ns: u64,
    now_ns: u64,
    /// Sends since the clock was read.
    sends: u32,
    lateness: Lateness,
    grain: Grain,
    patience: Patience,
    /// For the grain; the other is for the gauges of a second.
    grain_meter: Meter,
    grain_at_ns: u64,
    /// When the loop last woke for an intended time.
    paced_at_ns: u64,
    meter: Meter,

    recorder: Recorder,
    spare: Receiver<Box<Pages>>,
    reports: Sender<Report>,
    /// When the open second ends.
    cut_at_ns: u64,

    mailbox: Arc<Mailbox>,
    version: u32,
    phase: Phase,
    /// Until when nothing is sent, after a pause.
    hold_until_ns: Option<u64>,
    /// Whether the turn left something undone, so that the next one must not wait.
    is_unfinished: bool,
}

impl<S: Source> Worker<S> {
    pub(crate) fn new(parts: Parts<S>) -> Self {
        Self {
            plan: parts.plan,
            program: parts.program,
            source: parts.source,
            limiter: parts.limiter,
            limits: parts.limits,
            thread: parts.thread,
            poller: parts.poller,
            connections: Vec::new(),
            vacant: Vec::new(),
            pools: parts.pools,
            wheel: Wheel::new(),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            unread: Vec::new(),
            failed: Vec::new(),
            expired: Vec::new(),
            ending: 0,
            pauses: Pauses::default(),
            active: 0,
            in_flight: 0,
            clock: RunClock::starting_at(clock::now()),
            turn_ns: 0,
            now_ns: 0,
            sends: 0,
            lateness: Lateness::default(),
            grain: Grain::default(),
            patience: Patience::default(),
            grain_meter: Meter::default(),
            grain_at_ns: 0,
            paced_at_ns: 0,
            meter: Meter::default(),
            recorder: parts.recorder,
            spare: parts.spare,
            reports: parts.reports,
            cut_at_ns: SECOND_NS,
            mailbox: parts.mailbox,
            version: 0,
            phase: Phase::Running,
            hold_until_ns: None,
            is_unfinished: false,
        }
    }

    /// Runs from `clock`'s start until the share is done or ended, and hands over all that was measured.
    ///
    /// # Errors
    /// The system refused to wait; nothing else ends a worker early.
    pub(crate) fn run(mut self, clock: RunClock) -> io::Result<()> {
        let mut batch = Batch::new();
        self.begin(clock, &mut batch)?;
        while self.phase != Phase::Over {
            self.turn(&mut batch)?;
        }
        self.hand_over();
        Ok(())
    }

    /// Waits for the start. Connections that the target closes meanwhile are dropped.
    fn begin(&mut self, clock: RunClock, batch: &mut Batch) -> io::Result<()> {
        self.clock = clock;
        // Times until here were of the preparation.
        self.wheel.restart();
        loop {
            let left_ns = self.clock.until_start();
            if left_ns == 0 || self.phase == Phase::Over {
                break;
            }
            self.poller.wait(batch, left_ns.min(SECOND_NS))?;
            self.listen();
            self.drop_unusable(batch);
            for (token, flags) in batch.iter() {
                self.handle(token, flags);
            }
        }
        self.poller.wait(batch, 0)?;
        self.drop_unusable(batch);
        self.read_clock();
        self.notice_pause(0);
        self.turn_ns = self.now_ns;
        Ok(())
    }

    fn turn(&mut self, batch: &mut Batch) -> io::Result<()> {
        self.wait(batch)?;
        self.listen();
        self.cut_seconds();
        self.expire();
        self.drop_unusable(batch);
        self.pace();
        for (number, (token, flags)) in batch.iter().enumerate() {
            self.handle(token, flags);
            if number % SENDS_PER_READING as usize == SENDS_PER_READING as usize - 1 {
                self.read_clock();
            }
            if self.source.next_at() <= self.now_ns {
                self.pace();
            }
        }
        self.serve();
        self.mailbox.publish_sent(self.recorder.totals().requests_sent);
        self.look_for_the_end();
        Ok(())
    }

    /// Waits until something is due or a socket has something to say.
    fn wait(&mut self, batch: &mut Batch) -> io::Result<()> {
        let last_ns = self.now_ns;
        self.read_clock();
        self.notice_pause(last_ns);
        let before_ns = self.now_ns;
        let send_ns = self.next_send_at();
        let wake_ns = self.next_look_at().min(send_ns);
        if self.is_unfinished || wake_ns <= before_ns {
            self.is_unfinished = false;
            self.poller.wait(batch, 0)?;
            self.read_clock();
            self.notice_pause(before_ns);
        } else if wake_ns < send_ns {
            self.ask(batch)?;
            if batch.is_quiet() {
                self.poller.wait(batch, wake_ns.saturating_sub(self.now_ns))?;
                self.read_clock();
            }
            self.notice_pause(wake_ns);
            self.waited_since(before_ns);
        } else {
            let send_ns = send_ns.max(self.paced_at_ns + self.grain.ns());
            self.wait_to_send(batch, send_ns)?;
            self.notice_pause(send_ns);
            self.waited_since(before_ns);
            if self.now_ns >= send_ns {
                self.paced_at_ns = self.now_ns;
            }
        }
        self.turn_ns = self.now_ns;
        if self.now_ns >= self.grain_at_ns {
            self.adjust_grain();
        }
        Ok(())
    }

    #[inline]
    fn waited_since(&mut self, before_ns: u64) {
        let waited_ns = self.now_ns - before_ns;
        self.meter.waited(waited_ns);
        self.grain_meter.waited(waited_ns);
    }

    #[cold]
    fn adjust_grain(&mut self) {
        let used = self.grain_meter.cut(self.now_ns, clock::nanos(clock::thread_cpu()));
        self.grain.adjust(used.busy_permille);
        self.grain_at_ns = self.now_ns + GRAIN_PERIOD_NS;
    }

    /// Asks for answers for some microseconds, where they are likely to come so soon: that is cheaper than to sleep.
    fn ask(&mut self, batch: &mut Batch) -> io::Result<()> {
        batch.clear();
        if self.in_flight == 0 || !self.patience.is_asking() {
            return Ok(());
        }
        let from_ns = self.now_ns;
        while batch.is_quiet() && self.now_ns < from_ns + SPIN_MAX_NS {
            self.poller.wait(batch, 0)?;
            self.read_clock();
        }
        self.patience.learn(!batch.is_empty());
        self.meter.spun(self.now_ns - from_ns);
        self.grain_meter.spun(self.now_ns - from_ns);
        Ok(())
    }

    /// Waits until an intended time, to the microsecond, unless a socket has something to say before.
    fn wait_to_send(&mut self, batch: &mut Batch, send_ns: u64) -> io::Result<()> {
        let timer_ns = send_ns.saturating_sub(self.lateness.ns());
        if timer_ns <= self.now_ns {
            self.poller.wait(batch, 0)?;
            self.read_clock();
        } else {
            self.poller.set_timer(self.clock.boot_time(timer_ns))?;
            self.poller.wait(batch, send_ns - self.now_ns)?;
            self.read_clock();
            if batch.is_empty() && self.now_ns >= timer_ns {
                self.lateness.observe(self.now_ns - timer_ns, SPIN_MAX_NS);
            }
        }
        if batch.is_empty() && send_ns.saturating_sub(self.now_ns) <= SPIN_MAX_NS {
            let from_ns = self.now_ns;
            while self.now_ns < send_ns {
                std::hint::spin_loop();
                self.read_clock();
            }
            self.meter.spun(self.now_ns - from_ns);
            self.grain_meter.spun(self.now_ns - from_ns);
        }
        Ok(())
    }

    #[inline]
    fn read_clock(&mut self) {
        self.now_ns = self.clock.now();
        self.sends = 0;
    }

    /// The clock for one send.
    #[inline]
    fn stamp(&mut self) -> u64 {
        if self.sends >= SENDS_PER_READING {
            self.read_clock();
        }
        self.sends += 1;
        self.now_ns
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
        at_ns = at_ns.min(self.hold_until_ns.unwrap_or(u64::MAX));
        if self.source.open_until() > self.now_ns {
            at_ns = at_ns.min(self.source.open_until());
        }
        self.wheel.next_ns(at_ns)
    }
}
