//! From a job to threads that wait for their start: all that may block or fail happens here.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use clock::Instant;
use crossbeam_channel::{Receiver, Sender, bounded};
use metrics::{Pages, Recorder};
use plan::{Limiter, Load, Schedule};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::mailbox::Mailbox;
use crate::merge::{Lane, Merger, Report};
use crate::poller::Poller;
use crate::pool::Pool;
use crate::program::Program;
use crate::running::{Event, Running};
use crate::source::{Avalanche, Scheduled, Source};
use crate::worker::{Limits, Parts, RunClock, Worker, boot_ns};
use crate::{Job, PrepareError, target, unwired};

/// New connections to one address at a time, so that a listen queue is not overrun: the kernel's default length is
/// 4,096, but many servers ask for 511.
const CONNECTING_MAX: u32 = 500;

/// How long connections are opened before the run. What is not there by then is opened when it is needed.
const CONNECT_AHEAD: Duration = Duration::from_secs(5);

/// Sets of pages per thread: one that is written, one on its way, one to spare.
const SPARE_PAGES: usize = 2;

/// Events that may wait for their reader; beyond, windows are merged.
const EVENTS_MAX: usize = 64;

/// A job that is ready to start.
#[derive(Debug)]
pub struct Prepared {
    workers: Workers,
    lanes: Vec<Lane>,
    reports: (Sender<Report>, Receiver<Report>),
    run_id: String,
    limit: Option<plan::Rate>,
    schedule: Option<Arc<Schedule>>,
    is_open: bool,
}

enum Workers {
    Avalanche(Vec<Worker<Avalanche>>),
    Scheduled(Vec<Worker<Scheduled>>),
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, count) = match self {
            Self::Avalanche(workers) => ("Avalanche", workers.len()),
            Self::Scheduled(workers) => ("Scheduled", workers.len()),
        };
        write!(f, "{name}({count} workers)")
    }
}

/// Resolves and checks the targets, tries to reach them, compiles the requests, and opens the connections that the plan
/// wants from the start. Blocks for seconds when a target does not answer.
///
/// # Errors
/// The target is unknown, refused or unreachable, a step is no valid request, or this machine lacks descriptors.
pub fn prepare(job: Job) -> Result<Prepared, PrepareError> {
    let plan = &job.plan;
    unwired::check(plan)?;
    let program = Arc::new(Program::compile(plan, &job.user_agent)?);
    let addresses: Vec<Vec<SocketAddr>> =
        plan.targets.iter().map(|target| target::reach(target, &job.allow)).collect::<Result<_, _>>()?;
    raise_descriptor_limit();
    let threads = threads_of(&job);
    let mut bench =
        Bench { job: &job, program, addresses, threads, lanes: Vec::new(), reports: bounded(threads * 8) };
    let schedule = plan.schedule().map(Arc::new);
    let is_open = !plan.is_per_driver();
    let start_connections = |connections: plan::Connections| connections.start.min(connections.max);
    let workers = match (&plan.load, &schedule) {
        (Load::Avalanche { requests_per_driver, connections, .. }, _) => {
            let users = |thread| part(connections.max, thread, threads);
            Workers::Avalanche(bench.workers(connections.start, connections.max, None, |thread| {
                Avalanche::new(*requests_per_driver, users(thread) as usize, thread, threads)
            })?)
        }
        (Load::Tsunami { connections, .. }, Some(schedule)) => Workers::Scheduled(bench.workers(
            start_connections(*connections),
            connections.max,
            None,
            |thread| {
                Scheduled::tsunami(Arc::clone(schedule), plan::LaneSet::all().of_thread(thread, threads))
            },
        )?),
        (Load::Open { connections, max_in_flight, .. }, Some(schedule)) => {
            let start = start_connections(*connections);
            Workers::Scheduled(bench.workers(start, connections.max, *max_in_flight, |thread| {
                Scheduled::open(Arc::clone(schedule), job.share.of_thread(thread, threads))
            })?)
        }
        // Every model but avalanche has a schedule.
        (Load::Tsunami { .. } | Load::Open { .. } | Load::Closed { .. }, _) => Workers::Scheduled(Vec::new()),
    };
    let Bench { lanes, reports, .. } = bench;
    tracing::info!(run_id = job.run_id, threads, "prepared");
    Ok(Prepared { workers, lanes, reports, run_id: job.run_id, limit: job.plan.limit(), schedule, is_open })
}

impl Prepared {
    /// Starts the run at `at`. Nothing is sent before, and nothing when `lease_until` has passed.
    pub fn start(self, at: Instant, lease_until: Instant) -> Running {
        let clock = RunClock::starting_at(at);
        let mailboxes: Vec<Arc<Mailbox>> = self.lanes.iter().map(|lane| Arc::clone(&lane.mailbox)).collect();
        let lease_boot_ns = boot_ns(lease_until);
        mailboxes.iter().for_each(|mailbox| mailbox.set_lease(lease_boot_ns));
        let (events, receiver) = bounded(EVENTS_MAX);
        let (reporter, reports) = self.reports;
        let mut threads = match self.workers {
            Workers::Avalanche(workers) => spawn_workers(workers, clock, &reporter),
            Workers::Scheduled(workers) => spawn_workers(workers, clock, &reporter),
        };
        drop(reporter);
        let merger = Merger::new(self.lanes, reports, events.clone());
        match thread::Builder::new().name("engine-merge".to_owned()).spawn(move || merger.run()) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                mailboxes.iter().for_each(|mailbox| mailbox.send(crate::mailbox::Command::Abort));
                let died = Event::Died(format!("cannot start engine-merge: {error}"));
                if events.try_send(died).and(events.try_send(Event::Finished(Box::default()))).is_err() {
                    tracing::error!("no room in an empty channel");
                }
            }
        }
        tracing::info!(run_id = self.run_id, "started");
        Running {
            mailboxes,
            events: receiver,
            threads,
            is_open: self.is_open,
            limit: self.limit,
            schedule: Mutex::new(self.schedule),
            version: AtomicU32::new(0),
        }
    }

    /// Engine threads it will use.
    pub fn threads(&self) -> usize {
        self.lanes.len()
    }
}

fn spawn_workers<S: Source>(
    workers: Vec<Worker<S>>,
    clock: RunClock,
    reporter: &Sender<Report>,
) -> Vec<JoinHandle<()>> {
    let mut threads = Vec::with_capacity(workers.len() + 1);
    for (thread, worker) in workers.into_iter().enumerate() {
        let will = Will { thread, reporter: reporter.clone(), what: Some("panicked".to_owned()) };
        let body = move || will.settle(worker.run(clock));
        match thread::Builder::new().name(format!("engine-{thread}")).spawn(body) {
            Ok(handle) => threads.push(handle),
            Err(error) => tracing::error!(thread, %error, "cannot start engine thread"),
        }
    }
    threads
}

/// Tells of a worker that ended without a last word, by panicking or because it could not be started.
struct Will {
    thread: usize,
    reporter: Sender<Report>,
    what: Option<String>,
}

impl Will {
    fn settle(mut self, result: io::Result<()>) {
        self.what = result.err().map(|error| format!("cannot wait: {error}"));
    }
}

impl Drop for Will {
    fn drop(&mut self) {
        let Some(what) = self.what.take() else { return };
        let what = format!("engine-{} {what}", self.thread);
        if let Err(error) = self.reporter.send(Report::Died { thread: self.thread, what }) {
            tracing::error!(report = ?error.0, "nobody is left to be told");
        }
    }
}

/// Fewer threads than asked for where each could not have a connection, or an iteration, of its own.
fn threads_of(job: &Job) -> usize {
    let most = match job.plan.load {
        Load::Open { max_in_flight: Some(most), .. } => job.plan.connections().max.min(most),
        _ => job.plan.connections().max,
    };
    job.threads.min(usize::try_from(most).unwrap_or(usize::MAX)).clamp(1, plan::LANES)
}

/// Thread `thread`'s part of `whole`; all parts add up to it.
fn part(whole: u32, thread: usize, threads: usize) -> u32 {
    let (thread, threads) = (u32::try_from(thread).unwrap_or(0), u32::try_from(threads).unwrap_or(1).max(1));
    whole / threads + u32::from(thread < whole % threads)
}

/// What workers are built from.
struct Bench<'j> {
    job: &'j Job,
    program: Arc<Program>,
    addresses: Vec<Vec<SocketAddr>>,
    threads: usize,
    lanes: Vec<Lane>,
    reports: (Sender<Report>, Receiver<Report>),
}

impl Bench<'_> {
    /// The workers, with their connections opened.
    fn workers<S: Source>(
        &mut self,
        start: u32,
        max: u32,
        max_in_flight: Option<u32>,
        source: impl Fn(usize) -> S,
    ) -> Result<Vec<Worker<S>>, PrepareError> {
        let until = clock::now() + CONNECT_AHEAD;
        let mut workers = Vec::with_capacity(self.threads);
        for thread in 0..self.threads {
            let own = |whole| part(whole, thread, self.threads);
            let limits = Limits {
                in_flight: max_in_flight.map(|whole| u64::from(own(whole))),
                connecting: own(CONNECTING_MAX).max(1),
                drain_ns: clock::nanos(self.job.plan.drain),
            };
            let (start, max) = (own(start), own(max));
            let mut worker = self.worker(thread, source(thread), limits, max)?;
            worker.connect_ahead(start, until).map_err(local("wait for connections"))?;
            workers.push(worker);
        }
        Ok(workers)
    }

    fn worker<S: Source>(
        &mut self,
        thread: usize,
        source: S,
        limits: Limits,
        max: u32,
    ) -> Result<Worker<S>, PrepareError> {
        let plan = &self.job.plan;
        let (steps, stages) = (plan.rows().len(), plan.stages().len());
        let poller = Poller::new().map_err(local("make an event queue"))?;
        let mailbox = Arc::new(Mailbox::new(poller.waker()));
        let (spare, spares) = bounded(SPARE_PAGES);
        for _ in 0..SPARE_PAGES {
            if spare.try_send(Pages::new(steps, stages)).is_err() {
                tracing::error!("no room for pages in an empty channel");
            }
        }
        self.lanes.push(Lane { mailbox: Arc::clone(&mailbox), spare });
        let targets = u32::try_from(self.addresses.len()).unwrap_or(1);
        let pools =
            self.addresses.iter().map(|addresses| Pool::new(addresses, (max / targets).max(1))).collect();
        Ok(Worker::new(Parts {
            plan: Arc::clone(plan),
            program: Arc::clone(&self.program),
            source,
            limiter: plan.limit().map(|rate| Limiter::new(rate, thread, self.threads)),
            limits,
            pools,
            poller,
            mailbox,
            recorder: Recorder::new(steps, stages, 0),
            spare: spares,
            reports: self.reports.0.clone(),
            thread,
        }))
    }
}

fn local(what: &'static str) -> impl Fn(io::Error) -> PrepareError {
    move |source| PrepareError::Local { what, source }
}

/// Descriptors are limited softly for the sake of programs that use `select`; this one does not.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "cannot raise the limit on open files");
        }
    }
}
