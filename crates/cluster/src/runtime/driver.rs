//! The driver's process: feeds the machine with messages, ticks and what the engine says, and does what it asks.
//!
//! Invariant: nothing here decides. What takes long (names, connecting, compiling a plan) happens on a thread of its
//! own, so that heartbeats go on; the engine is told things and never asked to wait.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use std::{iter, mem};

use clock::Instant;
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use engine::{Allow, Io, Job, Prepared, Running, Secrets};
use metrics::{Samples, Totals};
use plan::{Fixture, LaneSet, Plan};
use transport::{Connect, FixtureOutcome, SendError, Start, Ticket, Topic, Transport};
use uuid::Uuid;

use super::events::{Begin, Events, Log, Outlet, Spill};
use super::files::{Connector, FileSource};
use crate::driver::{Action, Driver, Errand, Event, Exit, Preparation, Settings, Vitals};
use crate::run::{Acknowledged, Now, Sent};

/// How long a turn waits for a message: short enough for four ticks a second and for the engine's events.
const TURN: Duration = Duration::from_millis(20);
/// The same while no engine runs.
const IDLE_TURN: Duration = Duration::from_millis(100);
/// Between two ticks of the machine.
const TICK: Duration = Duration::from_millis(200);
/// Between two readings of the process's vital signs.
const VITALS: Duration = Duration::from_secs(1);
/// Reports that wait because the queue to the broker is full; at one a second this is two hours of a missing broker.
const MAX_BACKLOG: usize = 7_200;

/// What a driver needs beside its settings.
pub struct Load {
    /// Engine threads.
    pub threads: usize,
    /// What it may load.
    pub allow: Allow,
    /// Program and version, for the `User-Agent` of requests.
    pub product: String,
    /// The loop of the engine threads.
    pub io: Io,
    /// Where it gets the files of a plan from.
    pub files: FileSource,
    /// Whether to look before each run if this machine can do it. Whoever puts several drivers into one process looks
    /// for all of them at once.
    pub looks_ahead: bool,
    /// What it knows of the secrets that plans use.
    pub secrets: Secrets,
    /// Where raw events go, and where they wait if nobody takes them.
    pub events: Keeping,
}

/// Where a driver's raw events go.
#[derive(Default)]
pub struct Keeping {
    /// Who takes them; the log, if nobody is named.
    pub outlet: Option<Box<dyn Outlet>>,
    /// Where they wait while nobody takes them and memory is full.
    pub spill: Option<Spill>,
}

/// What a driver reads, and from where: only what is said after it came.
pub fn subscriptions() -> Vec<(Topic, Start)> {
    [Topic::TestConfig, Topic::Trigger, Topic::Control].map(|topic| (topic, Start::End)).to_vec()
}

/// Runs a driver until it exits: asked to by `shutdown`, or on its own.
pub fn run(settings: Settings, load: Load, transport: Box<dyn Transport>, shutdown: &AtomicBool) -> Exit {
    Host::new(settings, load, transport).run(shutdown)
}

/// What came of setup or teardown, and of which run.
type Walking = (String, Fixture, FixtureOutcome);
/// What became of a preparation, and of which run.
type Preparing = (String, Result<Prepared, String>);

/// How an engine ended.
enum Last {
    Finished(Box<Totals>),
    Died(String),
}

struct Host {
    machine: Driver,
    load: Load,
    node_id: String,
    transport: Box<dyn Transport>,
    sent: HashMap<Ticket, Sent>,
    /// Reports that did not fit the queue, oldest first.
    backlog: VecDeque<transport::Message>,
    /// The run that is being prepared; answers for others are let go.
    preparing: Option<String>,
    /// Tells the thread that prepares it when nobody wants it any more.
    unwanted: Arc<AtomicBool>,
    prepared: Option<(String, Prepared)>,
    preparations: (Sender<Preparing>, Receiver<Preparing>),
    /// Tells the thread that walks setup or teardown when nobody wants it any more.
    walk_unwanted: Arc<AtomicBool>,
    walks: (Sender<Walking>, Receiver<Walking>),
    engine: Option<Running>,
    /// Where raw events go.
    events: Option<Events>,
    /// How the engine ended, until its raw events are counted.
    last: Option<Last>,
    vitals: Vitals,
    vitals_read: Option<(Instant, Duration)>,
    /// The machine waits for the end of `control`.
    catching_up: bool,
    /// What the engine said when a thread of it died.
    died: Option<String>,
    shutdown_told: bool,
    exit: Option<Exit>,
}

impl Host {
    fn new(settings: Settings, mut load: Load, transport: Box<dyn Transport>) -> Self {
        let node_id = settings.node_id.clone();
        let events = events(&node_id, mem::take(&mut load.events), &load.files.connect);
        Self {
            machine: Driver::new(settings, Uuid::now_v7()),
            load,
            node_id,
            transport,
            sent: HashMap::new(),
            backlog: VecDeque::new(),
            preparing: None,
            unwanted: Arc::default(),
            prepared: None,
            preparations: bounded(4),
            walk_unwanted: Arc::default(),
            walks: bounded(4),
            engine: None,
            events,
            last: None,
            vitals: Vitals::default(),
            vitals_read: None,
            catching_up: false,
            died: None,
            shutdown_told: false,
            exit: None,
        }
    }

    fn run(mut self, shutdown: &AtomicBool) -> Exit {
        self.tell(Event::Started);
        let mut ticked = clock::now();
        loop {
            let is_busy = self.engine.is_some() || self.last.is_some();
            let turn = if is_busy { TURN } else { IDLE_TURN };
            match self.transport.next(turn) {
                Some(event) => self.received(event),
                // A turn without a record: what was in the log has been read.
                None if mem::take(&mut self.catching_up) => self.tell(Event::CaughtUp),
                None => {}
            }
            self.take_preparations();
            self.take_walks();
            self.take_engine_events();
            self.take_counts();
            if shutdown.load(Ordering::Relaxed) && !self.shutdown_told {
                self.shutdown_told = true;
                self.tell(Event::Shutdown);
            }
            let now = clock::now();
            if now.since(ticked) >= TICK {
                ticked = now;
                self.send_backlog();
                self.read_vitals(now);
                self.tell(Event::Tick(self.vitals));
            }
            if let Some(exit) = self.exit.take() {
                return exit;
            }
        }
    }

    /// Lets the machine decide, and does what it says.
    fn tell(&mut self, event: Event) {
        let now = Now { instant: clock::now(), unix_ms: clock::unix_ms() };
        for action in self.machine.on(event, now) {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send(message) => self.send(message),
            Action::Prepare(preparation) => self.prepare(*preparation),
            Action::Start { at, began, incarnation, epoch, lease_until } => {
                self.start(at, lease_until, |test_id, plan, samples| Begin {
                    test_id,
                    plan,
                    incarnation,
                    epoch,
                    began,
                    samples,
                });
            }
            Action::SetLease(until) => self.with_engine(|engine| engine.set_lease(until)),
            Action::ChangeLanes { version, from_ns, lanes } => {
                self.with_engine(|engine| engine.change_lanes(version, from_ns, lanes));
            }
            Action::ChangeRate { from_ns, factor } => {
                self.with_engine(|engine| engine.change_rate(from_ns, factor))
            }
            Action::Stop => self.with_engine(Running::stop),
            Action::Abort => self.with_engine(Running::abort),
            Action::Discard => self.discard(),
            Action::Walk(errand) => self.walk(*errand),
            Action::LeaveWalk => self.leave_walk(),
            Action::ReadControlToEnd => self.catching_up = true,
            Action::Release => self.with_engine(Running::release),
            Action::Notice(level, text) => super::notice(level, &self.node_id, &text),
            Action::Exit(exit) => self.exit = Some(exit),
        }
    }

    fn with_engine(&self, order: impl FnOnce(&Running)) {
        if let Some(engine) = &self.engine {
            order(engine);
        }
    }

    fn received(&mut self, event: transport::Event) {
        use transport::Event as Heard;
        match event {
            Heard::Record(record) => self.tell(Event::Record(record)),
            Heard::Acknowledged { ticket, stamp, sent: handed_over, acknowledged, .. } => {
                if let Some(sent) = self.sent.remove(&ticket) {
                    self.tell(Event::Acknowledged(Acknowledged { sent, handed_over, acknowledged, stamp }));
                }
            }
            Heard::Undelivered { ticket, reason } => {
                if self.sent.remove(&ticket).is_some_and(|sent| sent != Sent::Heartbeat) {
                    tracing::warn!(node = self.node_id, reason, "a message was not delivered");
                }
            }
            Heard::Gap { topic, missing, .. } => {
                tracing::warn!(node = self.node_id, %topic, missing, "records were deleted before they were read");
            }
            Heard::Unreachable { reason } => tracing::warn!(node = self.node_id, reason, "no broker answers"),
            Heard::Extent { .. } => {}
            Heard::Reachable => tracing::info!(node = self.node_id, "a broker answers again"),
        }
    }

    fn send(&mut self, message: transport::Message) {
        if !self.backlog.is_empty() && Sent::of(&message) == Sent::Metrics {
            return self.keep(message);
        }
        match self.transport.send(&message) {
            Ok(ticket) => {
                self.sent.insert(ticket, Sent::of(&message));
            }
            Err(SendError::Full) if Sent::of(&message) == Sent::Metrics => self.keep(message),
            Err(error) => {
                if Sent::of(&message) != Sent::Heartbeat {
                    tracing::warn!(node = self.node_id, %error, "a message was not sent");
                }
            }
        }
    }

    fn keep(&mut self, message: transport::Message) {
        if self.backlog.len() >= MAX_BACKLOG {
            tracing::error!(
                node = self.node_id,
                "a report is lost: {MAX_BACKLOG} wait for the broker already"
            );
        } else {
            self.backlog.push_back(message);
        }
    }

    fn send_backlog(&mut self) {
        while let Some(message) = self.backlog.front() {
            match self.transport.send(message) {
                Ok(ticket) => {
                    self.sent.insert(ticket, Sent::Metrics);
                    self.backlog.pop_front();
                }
                Err(SendError::Full) => return,
                Err(error) => {
                    tracing::error!(node = self.node_id, %error, "a report is lost");
                    self.backlog.pop_front();
                }
            }
        }
    }

    fn prepare(&mut self, preparation: Preparation) {
        let Preparation { test_id, plan, files: wanted, lanes } = preparation;
        let mut job = self.job(&test_id, plan, lanes);
        self.discard();
        self.preparing = Some(test_id.clone());
        let (source, node_id, unwanted) =
            (self.load.files.clone(), self.node_id.clone(), Arc::clone(&self.unwanted));
        let answers = self.preparations.0.clone();
        let looks_ahead = self.load.looks_ahead;
        let spawned = thread::Builder::new().name("prepare".to_owned()).spawn({
            let test_id = test_id.clone();
            move || {
                let fetched = source.get(&node_id, &wanted, &unwanted).map(|files| job.files = files);
                let ahead = fetched.and_then(|()| if looks_ahead { look_ahead(&job) } else { Ok(()) });
                let prepared = ahead.and_then(|()| engine::prepare(job).map_err(|error| sentence(&error)));
                // Nobody waits for it any more when the driver has exited.
                answers.send((test_id, prepared)).ok();
            }
        });
        if let Err(error) = spawned {
            self.tell(Event::PrepareFailed { test_id, reason: format!("cannot start a thread: {error}") });
        }
    }

    fn job(&self, test_id: &str, plan: Arc<Plan>, share: LaneSet) -> Job {
        Job {
            plan,
            files: data::Files::default(),
            run_id: test_id.to_owned(),
            threads: self.load.threads,
            share,
            allow: self.load.allow.clone(),
            user_agent: format!("{} (run {test_id}; driver {})", self.load.product, self.node_id),
            io: self.load.io,
            secrets: self.load.secrets.clone(),
        }
    }

    /// Has setup or teardown walked by a thread of its own.
    fn walk(&mut self, errand: Errand) {
        let Errand { test_id, fixture, plan, files: wanted } = errand;
        let mut job = self.job(&test_id, plan, LaneSet::empty());
        self.leave_walk();
        let (source, node_id, unwanted) =
            (self.load.files.clone(), self.node_id.clone(), Arc::clone(&self.walk_unwanted));
        let answers = self.walks.0.clone();
        let spawned = thread::Builder::new().name(fixture.as_str().to_owned()).spawn({
            let test_id = test_id.clone();
            move || {
                let fetched = source.get(&node_id, &wanted, &unwanted).map(|files| job.files = files);
                let outcome = match fetched {
                    Ok(()) => super::fixture::outcome(&job, fixture, &unwanted),
                    Err(reason) => super::fixture::failed(reason),
                };
                // Nobody waits for it any more when the driver has exited.
                answers.send((test_id, fixture, outcome)).ok();
            }
        });
        if let Err(error) = spawned {
            let outcome = Box::new(super::fixture::failed(format!("cannot start a thread: {error}")));
            self.tell(Event::Walked { test_id, fixture, outcome });
        }
    }

    fn take_walks(&mut self) {
        while let Ok((test_id, fixture, outcome)) = self.walks.1.try_recv() {
            self.tell(Event::Walked { test_id, fixture, outcome: Box::new(outcome) });
        }
    }

    fn leave_walk(&mut self) {
        mem::take(&mut self.walk_unwanted).store(true, Ordering::Relaxed);
    }

    fn take_preparations(&mut self) {
        while let Ok((test_id, prepared)) = self.preparations.1.try_recv() {
            if self.preparing.as_deref() != Some(test_id.as_str()) {
                continue;
            }
            self.preparing = None;
            match prepared {
                Ok(prepared) => {
                    self.prepared = Some((test_id.clone(), prepared));
                    self.tell(Event::Prepared { test_id });
                }
                Err(reason) => self.tell(Event::PrepareFailed { test_id, reason }),
            }
        }
    }

    fn discard(&mut self) {
        self.preparing = None;
        self.prepared = None;
        mem::take(&mut self.unwanted).store(true, Ordering::Relaxed);
    }

    fn start(
        &mut self,
        at: Instant,
        lease_until: Instant,
        begin: impl FnOnce(String, Arc<Plan>, Vec<Samples>) -> Begin,
    ) {
        let Some((test_id, prepared)) = self.prepared.take() else { return };
        self.vitals.requests_sent = 0;
        let plan = Arc::clone(prepared.plan());
        let mut engine = prepared.start(at, lease_until);
        if let Some(events) = &self.events {
            events.begin(begin(test_id, plan, engine.take_samples()));
        }
        self.engine = Some(engine);
    }

    fn take_engine_events(&mut self) {
        while let Some(engine) = &self.engine {
            match engine.events().try_recv() {
                Ok(event) => self.engine_said(event),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    let reason = self.died.take().unwrap_or_else(|| "it ended without a word".to_owned());
                    self.end_engine(Last::Died(reason));
                }
            }
        }
    }

    fn engine_said(&mut self, event: engine::Event) {
        match event {
            engine::Event::Window(window) => {
                self.vitals.send_lag_p99_us = send_lag_p99_us(&window);
                self.vitals.open_sockets = window.gauges.connections;
                self.tell(Event::Window(window));
            }
            engine::Event::Paused { for_ms } => self.tell(Event::EnginePaused { for_ms }),
            engine::Event::LeaseEnded => self.tell(Event::LeaseEnded),
            engine::Event::Finished(totals) => {
                let last = self.died.take().map_or(Last::Finished(totals), Last::Died);
                self.end_engine(last);
            }
            engine::Event::Died(reason) => self.died = Some(reason),
        }
    }

    /// The machine hears of it once the raw events are counted.
    fn end_engine(&mut self, last: Last) {
        if let Some(engine) = self.engine.take() {
            self.vitals.requests_sent = engine.requests_sent();
            self.vitals.open_sockets = 0;
            engine.join();
        }
        self.events.iter().for_each(Events::end);
        self.last = Some(last);
        self.take_counts();
    }

    /// Tells of an engine that has ended, with the counts of its raw events.
    fn take_counts(&mut self) {
        if self.last.is_none() {
            return;
        }
        let counted = self.events.as_ref().map_or(Some(None), Events::counts);
        if let Some(events) = counted
            && let Some(last) = self.last.take()
        {
            self.tell(match last {
                Last::Finished(totals) => Event::EngineFinished(Box::new(Totals { events, ..*totals })),
                Last::Died(reason) => Event::EngineDied { reason, events },
            });
        }
    }

    fn read_vitals(&mut self, now: Instant) {
        if let Some(engine) = &self.engine {
            self.vitals.requests_sent = engine.requests_sent();
        }
        self.vitals.events_dropped = self.events.as_ref().map_or(0, Events::dropped);
        let cpu = clock::process_cpu();
        match self.vitals_read {
            Some((read, _)) if now.since(read) < VITALS => return,
            Some((read, before)) => {
                let share = cpu.saturating_sub(before).as_secs_f64() / now.since(read).as_secs_f64();
                self.vitals.cpu_percent = share * 100.0;
            }
            None => {}
        }
        self.vitals_read = Some((now, cpu));
        self.vitals.memory_bytes = engine::memory_bytes();
    }
}

/// The thread for raw events; without one, with a word in the log, none are kept.
fn events(node_id: &str, keeping: Keeping, connect: &Connector) -> Option<Events> {
    let Keeping { outlet, spill } = keeping;
    let log = || {
        let node = connect(Connect { node: node_id.to_owned(), subscriptions: Vec::new() });
        node.map(|node| Box::new(Log::new(node)) as Box<dyn Outlet>).map_err(|error| error.to_string())
    };
    let outlet = outlet.map_or_else(log, Ok);
    let started = outlet.and_then(|outlet| {
        Events::start(node_id.to_owned(), outlet, spill).map_err(|error| error.to_string())
    });
    started.inspect_err(|reason| tracing::error!(node_id, reason, "raw events are not kept")).ok()
}

/// Warns in the log of what this machine will probably not do; no message carries warnings to the orchestrator.
///
/// # Errors
/// Why it cannot begin at all.
fn look_ahead(job: &Job) -> Result<(), String> {
    let threads = u64::try_from(job.threads).unwrap_or(u64::MAX);
    let part = engine::Part { plan: &job.plan, drivers: 1, threads, lanes: job.share.len() };
    let warnings = engine::preflight(&part, &engine::Machine::read()).map_err(|error| error.to_string())?;
    warnings.iter().for_each(|warning| tracing::warn!(run_id = job.run_id, "{warning}"));
    Ok(())
}

/// What went wrong and why, as one line.
pub(super) fn sentence(error: &dyn Error) -> String {
    let causes = iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

fn send_lag_p99_us(window: &metrics::DriverWindow) -> u64 {
    let mut lag = metrics::Timing::new();
    window.stages.iter().for_each(|stage| lag.merge(&stage.send_lag));
    lag.quantile(0.99).unwrap_or(0) / 1000
}
