//! One engine thread: its loop, and everything it owns.
//!
//! ```text
//! wait ─► listen ─► cut the second ─► expire ─► pace ─► events ─► serve ─► is it over?
//! clock,  mailbox,  pages to merge    timeouts  due:    answers,  open
//! sockets lease                                 send    next one  connections
//! or the clock alone, then sockets here ─────────────►
//! ```
//!
//! Times: `turn_ns` is the clock just after news was taken from the kernel; `heard_ns` is when the piece of news arrived
//! that is being handled, and with it `done`: what the kernel says where it says it, else `turn_ns`; `now_ns` is the clock's
//! last reading, taken anew at least every [`SENDS_PER_READING`] sends, and with it `sent`.
//!
//! Invariant: nothing here blocks except the wait, and nothing in a turn takes more than a bounded number of steps.
//! Deliberately absent: the wire format of requests (`protocol`), when iterations start (`source`), and what becomes of
//! windows (`merge`).

mod time;
mod departure;
mod waiting;
mod pacing;
mod requests;
mod journeys;
mod sequels;
mod connecting;
mod lookups;
mod readers;
mod seconds;
mod ending;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use clock::RunDelay;
use crossbeam_channel::{Receiver, Sender};
use metrics::{ErrorKind, Pages, Recorder};
use plan::Limiter;
use protocol::Heard;

use crate::connection::Connection;
use crate::flight::{Belongings, Flight};
use crate::io::{Io, Loop, Pin};
use crate::mailbox::Mailbox;
use crate::merge::Report;
use crate::names::Question;
use crate::pauses::Pauses;
use crate::peer::stamper;
use crate::pool::Pool;
use crate::program::Program;
use crate::reading::Task;
use crate::sequel::Walks;
use crate::source::Source;
use crate::template::Room;
use crate::wheel::Wheel;

use departure::Departure;
use ending::Phase;
use lookups::Lookups;
use readers::Readers;
use time::{Lateness, Meter, OfThread, Patience};

pub(crate) use journeys::failure_of;
pub(crate) use sequels::{CONTINUE_NS, unix_seconds};
pub(crate) use time::{RunClock, boot_ns};

/// Sends that share a reading of the clock, and a submit where sends are submitted: `sent` is early by what as many of
/// them take at most.
const SENDS_PER_READING: u32 = 8;

/// Bytes of a request that an idle socket always has room for.
const SENT_AT_ONCE_BYTES: usize = 4096;

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

/// How long connections are kept, and for whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keeping {
    pub(crate) per: plan::Per,
    /// Requests on one connection.
    pub(crate) requests: u64,
    pub(crate) lifetime_ns: u64,
}

/// What a worker is made of.
pub(crate) struct Parts<S> {
    pub(crate) plan: Arc<plan::Plan>,
    pub(crate) workload: Arc<plan::Workload>,
    pub(crate) program: Arc<Program>,
    pub(crate) source: S,
    pub(crate) limiter: Option<Limiter>,
    pub(crate) limits: Limits,
    pub(crate) keeping: Keeping,
    pub(crate) pools: Vec<Pool>,
    pub(crate) io: Io,
    pub(crate) wake: Arc<OwnedFd>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) recorder: Recorder,
    /// Pages that were drained.
    pub(crate) spare: Receiver<Box<Pages>>,
    pub(crate) reports: Sender<Report>,
    /// Where names are looked up, if they are. The threads that do so end with the last of these.
    pub(crate) asker: Option<Sender<Question>>,
    /// Who reads long answers, if there are any.
    pub(crate) readers: Option<Sender<Task>>,
    pub(crate) thread: usize,
    /// The thread's rows of each source.
    pub(crate) rows: Vec<Option<data::Rows>>,
    pub(crate) seed: u64,
}

pub(crate) struct Worker<S: Source> {
    plan: Arc<plan::Plan>,
    workload: Arc<plan::Workload>,
    program: Arc<Program>,
    source: S,
    limiter: Option<Limiter>,
    limits: Limits,
    keeping: Keeping,
    has_phases: bool,
    thread: usize,

    io: Loop,
    /// The requests of each step, one per target.
    pins: Vec<Vec<Pin>>,
    connections: Vec<Connection>,
    pools: Vec<Pool>,
    /// What users keep from one iteration to the next, where they keep anything.
    belongings: HashMap<u32, Belongings>,
    keeps_belongings: bool,
    wheel: Wheel,
    /// Connections with several requests to send in one go.
    unsaid: Vec<u32>,
    /// What a session heard; kept for its memory.
    heard: Vec<Heard>,
    /// What iterations carry from one request to the next.
    walks: Walks,
    /// The thread's rows of each source that the plan has.
    rows: Vec<Option<data::Rows>>,
    /// Whether some of them go by the place of an iteration in the fleet.
    counts_places: bool,
    /// Rows of the iteration that begins; kept for its memory, as is what follows.
    taken: Vec<(u16, Option<u64>)>,
    buffer: data::Buffer,
    room: Room,
    /// Iterations that cannot go on, and why.
    unable: Vec<(Flight, ErrorKind)>,
    /// Whether an iteration has found no row of data.
    is_out_of_rows: bool,
    /// What their random numbers are made from.
    seed: u64,
    /// Bytes of a request of an iteration's own; kept for its memory.
    own_bytes: Vec<u8>,
    /// Connections that the wheel brought up; kept for its memory.
    expired: Vec<u32>,
    /// Connections whose target is to close them.
    ending: u32,
    lookups: Lookups,
    readers: Readers,

    pauses: Pauses,
    /// Iterations that have gone a long way without a request, in the order of their turns.
    walkers: VecDeque<Flight>,
    /// Iterations that are due and not over: waiting, under way, or in a pause.
    active: u64,
    /// Requests that are out.
    in_flight: u32,

    clock: RunClock,
    turn_ns: u64,
    now_ns: u64,
    /// Sends since the clock was read.
    sends: u32,
    /// When what is being handled came.
    heard_ns: u64,
    lateness: Lateness,
    patience: Patience,
    departure: Departure,
    /// Whether answers lead on to further requests, so that they are not put off for long.
    leads_on: bool,
    /// Whether answers may be put off at all, by what the plan says.
    can_be_deaf: bool,
    /// Whether the last answer, and what is being handled, came with the time of its arrival.
    is_stamped: bool,
    has_stamp: bool,
    /// Answers that have come in part.
    half_answered: u32,
    /// Whether the last turn left news behind.
    had_more: bool,
    /// When the kernel was last asked for news, and when it had been asked for all that there was before.
    asked_ns: u64,
    taken_ns: u64,
    /// What the wall clock was ahead of the boot clock, and until when that is taken as good.
    wall_ahead_ns: u64,
    wall_until_ns: u64,
    /// Whether the last wait was deaf and took no news yet.
    is_deaf: bool,
    /// When a connection last ended that the target had not said it would close; the start of the run counts as one.
    idle_ended_ns: u64,
    /// Has the kernel stamp what arrives from the start on: it begins some time after the first socket asked for it.
    _stamper: Option<OwnedFd>,
    /// For the departure; the other is for the gauges of a second.
    departure_meter: Meter,
    meter: Meter,
    /// Of this thread, once it runs.
    run_delay: Option<RunDelay>,

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
    /// Before then no further fault of TLS is logged.
    noted_at_ns: u64,
    /// What the system refused in the midst of a turn.
    io_error: Option<io::Error>,
}

impl<S: Source> Worker<S> {
    /// To be called on the thread that runs it.
    ///
    /// # Errors
    /// The system refuses a loop.
    pub(crate) fn new(parts: Parts<S>) -> io::Result<Self> {
        let mut io = Loop::new(parts.io, &parts.wake, !S::CLOSED)?;
        let pins =
            parts.program.steps().iter().map(|step| {
                step.requests.iter().map(|request| io.pin(Arc::clone(request.bytes()))).collect()
            });
        let pins = pins.collect();
        let has_cookies = parts.plan.scenarios.iter().any(|scenario| scenario.cookies);
        let keeps_belongings = S::HAS_USERS && (has_cookies || parts.keeping.per == plan::Per::User);
        let leads_on = parts.keeping.per != plan::Per::Pool
            || parts
                .program
                .steps()
                .iter()
                .any(|step| !step.is_last || step.has_flow || step.sequel.is_some());
        let is_whole = |step: &crate::program::Step| {
            let is_sent_at_once = |request: &protocol::Request| {
                request.bytes().len() <= SENT_AT_ONCE_BYTES && !request.expects_continue()
            };
            step.requests.iter().all(is_sent_at_once)
                && step.varying.as_ref().is_none_or(|varying| varying.is_small())
        };
        // One stamp is for all that is read at once: it is no time of several answers, nor of their first bytes. What is
        // sent in several parts needs a thread that looks after it.
        let can_be_deaf = !S::CLOSED
            && !parts.plan.phases
            && parts.limits.in_flight.is_none()
            && parts.pools.iter().all(|pool| pool.is_stamped() && !pool.is_multiplexed)
            && parts.program.steps().iter().all(is_whole);
        Ok(Self {
            has_phases: parts.plan.phases,
            plan: parts.plan,
            workload: parts.workload,
            program: parts.program,
            source: parts.source,
            limiter: parts.limiter,
            limits: parts.limits,
            keeping: parts.keeping,
            thread: parts.thread,
            io,
            pins,
            connections: Vec::new(),
            pools: parts.pools,
            belongings: HashMap::new(),
            keeps_belongings,
            wheel: Wheel::new(),
            unsaid: Vec::new(),
            heard: Vec::new(),
            walks: Walks::default(),
            counts_places: parts.rows.iter().flatten().any(data::Rows::counts),
            rows: parts.rows,
            taken: Vec::new(),
            buffer: data::Buffer::default(),
            room: Room::default(),
            unable: Vec::new(),
            is_out_of_rows: false,
            seed: parts.seed,
            own_bytes: Vec::new(),
            expired: Vec::new(),
            ending: 0,
            lookups: Lookups::new(parts.asker),
            readers: Readers::new(parts.readers, parts.wake),
            pauses: Pauses::default(),
            walkers: VecDeque::new(),
            active: 0,
            in_flight: 0,
            clock: RunClock::starting_at(clock::now()),
            turn_ns: 0,
            now_ns: 0,
            sends: 0,
            heard_ns: 0,
            lateness: Lateness::default(),
            patience: Patience::default(),
            departure: Departure::default(),
            leads_on,
            can_be_deaf,
            is_stamped: false,
            has_stamp: false,
            half_answered: 0,
            had_more: false,
            asked_ns: 0,
            taken_ns: 0,
            wall_ahead_ns: 0,
            wall_until_ns: 0,
            is_deaf: false,
            idle_ended_ns: 0,
            _stamper: if S::CLOSED { None } else { stamper() },
            departure_meter: Meter::default(),
            meter: Meter::default(),
            run_delay: None,
            recorder: parts.recorder,
            spare: parts.spare,
            reports: parts.reports,
            cut_at_ns: SECOND_NS,
            mailbox: parts.mailbox,
            version: 0,
            phase: Phase::Running,
            hold_until_ns: None,
            is_unfinished: false,
            noted_at_ns: 0,
            io_error: None,
        })
    }

    /// Runs from `clock`'s start until the share is done or ended, and hands over all that was measured.
    ///
    /// # Errors
    /// The system refused to wait; nothing else ends a worker early.
    pub(crate) fn run(mut self, clock: RunClock) -> io::Result<()> {
        self.begin(clock)?;
        while self.phase != Phase::Over {
            self.turn()?;
        }
        self.hand_over();
        Ok(())
    }

    /// Waits for the start. Connections that the target closes meanwhile are dropped.
    fn begin(&mut self, clock: RunClock) -> io::Result<()> {
        self.clock = clock;
        // Times until here were of the preparation.
        self.wheel.restart();
        (self.now_ns, self.turn_ns) = (0, 0);
        for connection in &mut self.connections {
            (connection.since_ns, connection.expires_ns) = (0, self.keeping.lifetime_ns);
        }
        loop {
            let left_ns = self.clock.until_start();
            if left_ns == 0 || self.phase == Phase::Over {
                break;
            }
            self.io.wait(left_ns.min(SECOND_NS), 1)?;
            self.listen();
            self.hear();
        }
        self.io.poll()?;
        self.hear();
        self.read_clock();
        self.notice_pause(0);
        self.run_delay = RunDelay::of_this_thread();
        self.meter = Meter::starting(self.now_ns, OfThread::read(self.run_delay.as_ref()));
        self.turn_ns = self.now_ns;
        (self.idle_ended_ns, self.wall_until_ns) = (0, 0);
        self.departure_meter = Meter::starting(self.now_ns, OfThread::cpu());
        waiting::be_precise();
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        self.wait()?;
        self.listen();
        self.hear_readers();
        self.cut_seconds();
        self.expire();
        if !self.is_deaf {
            self.hear_idle();
        }
        self.pace();
        self.take_news()?;
        for piece in 0..self.io.news() {
            self.handle(piece);
            if piece % SENDS_PER_READING as usize == SENDS_PER_READING as usize - 1 {
                self.hand_over_sends();
            }
            if self.source.next_at() <= self.now_ns {
                self.pace();
            }
        }
        if S::HAS_USERS {
            self.see_off();
        }
        self.serve();
        self.say_all();
        self.mailbox.publish_sent(self.recorder.totals().requests_sent);
        self.look_for_the_end();
        match self.io_error.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Hears all the news, where nothing is paced.
    fn hear(&mut self) {
        for piece in 0..self.io.news() {
            self.handle(piece);
        }
    }

    #[inline]
    fn read_clock(&mut self) {
        self.now_ns = self.clock.now();
        self.sends = 0;
    }

    /// Submits what was sent since the clock was read, and reads it anew.
    fn hand_over_sends(&mut self) {
        if self.sends > 0 {
            self.say_all();
            if let Err(error) = self.io.flush() {
                self.io_error = Some(error);
            }
        }
        self.read_clock();
    }

    /// The clock for one send.
    #[inline]
    fn stamp(&mut self) -> u64 {
        if self.sends >= SENDS_PER_READING {
            self.hand_over_sends();
        }
        self.sends += 1;
        self.now_ns
    }
}
