//! From a job to threads that wait for their start: all that may block or fail happens here.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use clock::Instant;
use crossbeam_channel::{Receiver, Sender, bounded};
use metrics::{Pages, Recorder, Samples};
use plan::{Connections, Dns, HttpVersion, LaneSet, Limiter, Load, Workload};
use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::mailbox::Mailbox;
use crate::merge::{Lane, Merger, Report};
use crate::names::{self, Directory, Lookups, Name, Question, Resolve};
use crate::peer::{self, Peer};
use crate::pool::Pool;
use crate::program::{Given, Program};
use crate::reading::{self, Task};
use crate::running::{Crew, Event, Running};
use crate::source::{Avalanche, Closed, Scheduled, Source, Timetable};
use crate::speech::Speech;
use crate::worker::{Keeping, Limits, Parts, RunClock, Worker, boot_ns};
use crate::{Io, Job, PrepareError, target};

/// New connections to one address at a time, so that a listen queue is not overrun: the kernel's default length is
/// 4,096, but many servers ask for 511.
const CONNECTING_MAX: u32 = 500;

/// How long connections are opened before the run. What is not there by then is opened when it is needed.
const CONNECT_AHEAD: Duration = Duration::from_secs(5);

/// Sets of pages per thread: one that is written, one on its way, one to spare.
const SPARE_PAGES: usize = 2;

/// Raw events of one thread that may wait for their reader: half a second at a rate that few threads reach. The memory is
/// touched as it is used.
const SAMPLES_MAX: usize = 1 << 16;

/// Events that may wait for their reader; beyond, windows are merged.
const EVENTS_MAX: usize = 64;

/// A job that is ready to start: its threads have their connections and wait. Dropping it ends them.
#[derive(Debug)]
pub struct Prepared {
    threads: Vec<Thread>,
    lanes: Vec<Lane>,
    samples: Vec<Samples>,
    reports: (Sender<Report>, Receiver<Report>),
    run_id: String,
    plan: Arc<plan::Plan>,
    limit: Option<plan::Rate>,
    crews: Vec<Crew>,
    is_open: bool,
}

/// An engine thread that waits for its start.
#[derive(Debug)]
struct Thread {
    start: Sender<RunClock>,
    handle: JoinHandle<()>,
}

/// Resolves names, asks the rules, opens connections.
///
/// # Errors
/// A target has no address, may not be loaded or accepts no connection; a step is no valid request, or this machine
/// lacks descriptors or io_uring.
pub fn prepare(job: Job) -> Result<Prepared, PrepareError> {
    prepare_with(job, Arc::new(names::system))
}

/// As [`prepare`], with another resolver than the system's.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_with(job: Job, resolve: Arc<Resolve>) -> Result<Prepared, PrepareError> {
    let plan = &job.plan;
    let Ground { directory, peers, speech, secrets } = survey(&job, resolve)?;
    let program = Arc::new(Program::compile(Given {
        plan,
        protocols: &speech.protocols(plan, &plan.workloads[0])?,
        user_agent: &job.user_agent,
        secrets: &secrets,
        files: &job.files,
        closely: false,
    })?);
    raise_descriptor_limit();
    let crews: Vec<Crew> = plan
        .workloads
        .iter()
        .map(|workload| Crew { threads: threads_of(&job, workload), timetable: Timetable::of(workload) })
        .collect();
    let threads = crews.iter().map(|crew| crew.threads).sum();
    let (lookups, asker) = Lookups::of(&directory, &plan.targets, threads).unzip();
    let readers =
        reading::readers(&program, job.threads).map_err(local("start a thread that reads answers"))?;
    let mut bench = Bench {
        job: &job,
        readers,
        program,
        peers,
        speech,
        lanes: Vec::new(),
        samples: Vec::new(),
        waiting: Vec::new(),
        reports: bounded(threads * 8),
        asker,
    };
    for (number, crew) in crews.iter().enumerate() {
        bench.man(number, crew)?;
    }
    let Bench { lanes, samples, waiting, reports, peers, .. } = bench;
    if let Some(lookups) = lookups {
        let mailboxes = lanes.iter().map(|lane| Arc::clone(&lane.mailbox)).collect();
        lookups.start(peers, mailboxes).map_err(local("start a thread that looks names up"))?;
    }
    tracing::info!(run_id = job.run_id, threads, "prepared");
    let (limit, is_open) = (job.plan.limit(), !job.plan.is_per_driver());
    let Job { plan, run_id, .. } = job;
    Ok(Prepared { threads: waiting, lanes, samples, reports, run_id, plan, limit, crews, is_open })
}

/// What is known of the targets before anything is sent to them.
pub(crate) struct Ground {
    pub(crate) directory: Directory,
    /// Of each target, at least one.
    pub(crate) peers: Vec<Vec<Peer>>,
    pub(crate) speech: Speech,
    /// In the order of the plan.
    pub(crate) secrets: Vec<String>,
}

/// Resolves names, asks the rules, tries each target.
pub(crate) fn survey(job: &Job, resolve: Arc<Resolve>) -> Result<Ground, PrepareError> {
    let plan = &job.plan;
    let secrets = job.secrets.of(plan).map_err(|names| PrepareError::Secrets { names })?;
    for address in plan.network.source_addresses.iter().copied() {
        peer::check_source(address).map_err(|source| PrepareError::Source { address, source })?;
    }
    let directory = Directory { network: plan.network.clone(), allow: job.allow.clone(), resolve };
    let peers: Vec<Vec<Peer>> =
        plan.targets.iter().map(|target| target::reach(target, &directory)).collect::<Result<_, _>>()?;
    let speech = Speech::settle(plan, &peers)?;
    Ok(Ground { directory, peers, speech, secrets })
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
        let mut threads = Vec::with_capacity(self.threads.len() + 1);
        for (thread, waiting) in self.threads.into_iter().enumerate() {
            if waiting.start.send(clock).is_err() {
                tracing::error!(thread, "engine thread is gone");
            }
            threads.push(waiting.handle);
        }
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
            samples: self.samples,
            is_open: self.is_open,
            limit: self.limit,
            crews: Mutex::new(self.crews),
            version: AtomicU32::new(0),
        }
    }

    /// What it will do.
    pub fn plan(&self) -> &Arc<plan::Plan> {
        &self.plan
    }

    /// Engine threads it will use.
    pub fn threads(&self) -> usize {
        self.lanes.len()
    }
}

/// An engine thread: makes its worker, opens `connections`, says so, and runs when it is told to.
fn body<S: Source>(
    parts: Parts<S>,
    (connections, until): (u32, Instant),
    ready: Sender<io::Result<()>>,
    start: &Receiver<RunClock>,
) {
    let will = Will { thread: parts.thread, reporter: parts.reports.clone(), what: None };
    let worker = Worker::new(parts).and_then(|mut worker| {
        worker.connect_ahead(connections, until)?;
        Ok(worker)
    });
    let (worker, result) = match worker {
        Ok(worker) => (Some(worker), Ok(())),
        Err(error) => (None, Err(error)),
    };
    if ready.send(result).is_err() {
        return;
    }
    drop(ready);
    if let (Some(worker), Ok(clock)) = (worker, start.recv()) {
        will.settle(|| worker.run(clock));
    }
}

/// Tells of a worker that ended without a last word, by panicking or because the system refused it something.
struct Will {
    thread: usize,
    reporter: Sender<Report>,
    what: Option<String>,
}

impl Will {
    fn settle(mut self, run: impl FnOnce() -> io::Result<()>) {
        self.what = Some("panicked".to_owned());
        self.what = run().err().map(|error| format!("cannot wait: {error}"));
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

/// Fewer threads than asked for where each could not have a connection, an iteration, or a part of the limit of its own.
fn threads_of(job: &Job, workload: &Workload) -> usize {
    let most = match workload.load {
        Load::Open { max_in_flight: Some(most), .. } => workload.connections().max.min(most),
        _ => workload.connections().max,
    };
    let threads = job.threads.min(usize::try_from(most).unwrap_or(usize::MAX));
    workload.useful_threads(threads).clamp(1, plan::LANES)
}

/// Thread `thread`'s part of `whole`; all parts add up to it.
fn part(whole: u32, thread: usize, threads: usize) -> u32 {
    let (thread, threads) = (u32::try_from(thread).unwrap_or(0), u32::try_from(threads).unwrap_or(1).max(1));
    whole / threads + u32::from(thread < whole % threads)
}

/// The connections of each target: `whole` in proportion to their weights, but one at least.
fn divided(whole: u32, targets: &[plan::Target]) -> Vec<u32> {
    let sum: u64 = targets.iter().map(|target| u64::from(target.weight)).sum();
    let mut before = 0;
    let mut until = |weight: u32| {
        before += u64::from(weight);
        u32::try_from(u64::from(whole) * before / sum.max(1)).unwrap_or(u32::MAX)
    };
    let mut from = 0;
    let mut parts: Vec<u32> = Vec::with_capacity(targets.len());
    for target in targets {
        let to = until(target.weight);
        parts.push(to - from);
        from = to;
    }
    for index in 0..parts.len() {
        if parts[index] == 0 {
            parts.iter_mut().max().filter(|most| **most > 1).into_iter().for_each(|most| *most -= 1);
            parts[index] = 1;
        }
    }
    parts
}

/// What workers are built from.
struct Bench<'j> {
    job: &'j Job,
    program: Arc<Program>,
    /// One list per target.
    peers: Vec<Vec<Peer>>,
    speech: Speech,
    lanes: Vec<Lane>,
    samples: Vec<Samples>,
    waiting: Vec<Thread>,
    reports: (Sender<Report>, Receiver<Report>),
    /// Where names are looked up in the run, if they are.
    asker: Option<Sender<Question>>,
    /// Where long answers are read, if bodies are looked at.
    readers: Option<Sender<Task>>,
}

/// The threads of one workload while they are made.
#[derive(Clone, Copy)]
struct Team<'j> {
    /// The number of the workload.
    number: usize,
    workload: &'j Arc<Workload>,
    threads: usize,
    /// The times of an open load or a tsunami.
    schedule: Option<&'j Arc<plan::Schedule>>,
}

impl Bench<'_> {
    /// Makes the threads of workload `number`.
    fn man(&mut self, number: usize, crew: &Crew) -> Result<(), PrepareError> {
        let job = self.job;
        let workload = &job.plan.workloads[number];
        let threads = crew.threads;
        let schedule = match &crew.timetable {
            Some(Timetable::Schedule(schedule)) => Some(schedule),
            _ => None,
        };
        let team = Team { number, workload, threads, schedule };
        let lanes_of = |thread| job.share.of_thread(thread, threads);
        match (&workload.load, &crew.timetable) {
            (Load::Avalanche { requests_per_driver, .. }, _) => {
                let Connections { max, streams, .. } = *workload.connections();
                // One request at a time on each connection, unless the plan says otherwise.
                let at_once = if job.plan.http == HttpVersion::Http1 { 1 } else { streams.unwrap_or(1) };
                let users = |thread| part(max, thread, threads).saturating_mul(at_once);
                self.engage(team, None, |thread| {
                    Avalanche::new(*requests_per_driver, users(thread) as usize, thread, threads)
                })
            }
            (Load::Tsunami { .. }, Some(Timetable::Schedule(schedule))) => {
                self.engage(team, None, |thread| {
                    Scheduled::tsunami(Arc::clone(schedule), LaneSet::all().of_thread(thread, threads))
                })
            }
            (Load::Open { max_in_flight, .. }, Some(Timetable::Schedule(schedule))) => {
                self.engage(team, *max_in_flight, |thread| {
                    Scheduled::open(Arc::clone(schedule), lanes_of(thread))
                })
            }
            (Load::Closed { .. }, Some(Timetable::Population(population))) => {
                self.engage(team, None, |thread| {
                    Closed::new(Arc::clone(workload), Arc::clone(population), lanes_of(thread))
                })
            }
            // The others have their timetable.
            (Load::Tsunami { .. } | Load::Open { .. } | Load::Closed { .. }, _) => Ok(()),
        }
    }

    /// Starts the threads, and waits until their connections are opened.
    fn engage<S: Source>(
        &mut self,
        team: Team<'_>,
        max_in_flight: Option<u32>,
        source: impl Fn(usize) -> S,
    ) -> Result<(), PrepareError> {
        let until = clock::now() + CONNECT_AHEAD;
        let threads = team.threads;
        let Connections { start, max, .. } = *team.workload.connections();
        let (ready, readiness) = bounded(threads);
        let first = self.waiting.len();
        for (thread, rows) in self.rows(team).into_iter().enumerate() {
            let own = |whole| part(whole, thread, threads);
            let limits = Limits {
                in_flight: max_in_flight.map(|whole| u64::from(own(whole))),
                connecting: own(CONNECTING_MAX).max(1),
                drain_ns: clock::nanos(self.job.plan.drain),
            };
            let parts = self.parts(team, thread, source(thread), (limits, own(max)), rows)?;
            let (starter, started) = bounded(1);
            let (ready, ahead) = (ready.clone(), (own(start), until));
            let handle = thread::Builder::new()
                .name(format!("engine-{}", first + thread))
                .spawn(move || body(parts, ahead, ready, &started))
                .map_err(local("start an engine thread"))?;
            self.waiting.push(Thread { start: starter, handle });
        }
        drop(ready);
        // A thread that panics says nothing, and its end of the channel goes.
        for _ in 0..threads {
            let ready = readiness.recv().unwrap_or_else(|_| Err(io::Error::other("it panicked")));
            ready.map_err(match self.job.io {
                Io::Uring => |source| PrepareError::Uring { source },
                Io::Auto | Io::Epoll => {
                    |source| PrepareError::Local { what: "start an engine thread", source }
                }
            })?;
        }
        Ok(())
    }

    /// Each thread's rows of each source.
    fn rows(&self, team: Team<'_>) -> Vec<Vec<Option<data::Rows>>> {
        let plan = &self.job.plan;
        let threads = 0..team.threads;
        let lanes: Vec<LaneSet> =
            threads.clone().map(|thread| self.job.share.of_thread(thread, team.threads)).collect();
        // Of a load per driver each has its own iterations, so places among them mean nothing to others.
        let schedule = team.schedule.filter(|_| !plan.is_per_driver());
        let of_source = |source: usize| {
            let number = u16::try_from(source).unwrap_or(u16::MAX);
            let uses: Vec<bool> =
                plan.scenarios.iter().map(|scenario| scenario.sources.contains(&number)).collect();
            let rows = self.program.tables.rows(source);
            data::Rows::of_threads(plan, team.number, source, rows, &uses, &lanes, schedule).into_iter()
        };
        let mut sources: Vec<_> = (0..plan.data.len()).map(of_source).collect();
        threads.map(|_| sources.iter_mut().map(Iterator::next).collect()).collect()
    }

    /// What the choice of a thread's raw events begins with: its own in the whole fleet, since each of its lanes is.
    fn draws(&self, team: Team<'_>, thread: usize) -> u64 {
        let first = self.job.share.of_thread(thread, team.threads).iter().next();
        let place = first.unwrap_or(plan::LANES + thread) * (team.number + 1);
        self.job.plan.seed ^ plan::mix(place as u64)
    }

    fn parts<S: Source>(
        &mut self,
        team: Team<'_>,
        thread: usize,
        source: S,
        (limits, max): (Limits, u32),
        rows: Vec<Option<data::Rows>>,
    ) -> Result<Parts<S>, PrepareError> {
        let plan = &self.job.plan;
        let connections = team.workload.connections();
        let (steps, groups, stages) = (plan.rows().len(), plan.groups().len(), plan.stages().len());
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(io::Error::from);
        let wake: Arc<OwnedFd> = Arc::new(wake.map_err(local("make an eventfd"))?);
        let mailbox = Arc::new(Mailbox::new(Arc::clone(&wake)));
        let (spare, spares) = bounded(SPARE_PAGES);
        for _ in 0..SPARE_PAGES {
            if spare.try_send(Pages::with_groups(steps, groups, stages)).is_err() {
                tracing::error!("no room for pages in an empty channel");
            }
        }
        self.lanes.push(Lane { mailbox: Arc::clone(&mailbox), spare });
        let (tap, samples) = metrics::tap(plan.events, self.draws(team, thread), SAMPLES_MAX).unzip();
        self.samples.extend(samples);
        let sources: Arc<[IpAddr]> = plan.network.source_addresses.clone().into();
        let protocols = self.speech.protocols(plan, team.workload)?;
        let pools = self.peers.iter().zip(divided(max, &plan.targets)).zip(protocols).zip(&plan.targets);
        let pools = pools.enumerate().map(|(number, (((peers, max), protocol), target))| {
            let is_multiplexed = self.speech.is_multiplexed(number);
            let has_tls = target.scheme == plan::Scheme::Https;
            let mut pool = Pool::new(peers, Arc::clone(&sources), max, protocol, is_multiplexed, has_tls);
            pool.looks_up = plan.network.dns == Dns::Connection && Name::of(target, &plan.network).is_some();
            pool
        });
        Ok(Parts {
            plan: Arc::clone(plan),
            workload: Arc::clone(team.workload),
            program: Arc::clone(&self.program),
            source,
            limiter: plan.limit().map(|rate| Limiter::new(rate, thread, team.threads)),
            limits,
            keeping: Keeping {
                per: match team.workload.load {
                    // As many users as connections: each has one.
                    Load::Avalanche { .. } if connections.per == plan::Per::User => plan::Per::Pool,
                    _ => connections.per,
                },
                requests: connections.requests.unwrap_or(u64::MAX),
                lifetime_ns: connections.lifetime.map_or(u64::MAX, clock::nanos),
            },
            pools: pools.collect(),
            io: self.job.io,
            wake,
            mailbox,
            recorder: Recorder::with_groups(steps, groups, stages, 0).with_tap(tap),
            spare: spares,
            reports: self.reports.0.clone(),
            asker: self.asker.clone(),
            readers: self.readers.clone(),
            // Counted over all workloads.
            thread: self.waiting.len(),
            rows,
            seed: match plan.is_per_driver() {
                // Each driver walks the same iterations, and draws its own numbers.
                true => team.workload.seed ^ self.job.share.iter().next().unwrap_or(0) as u64,
                false => team.workload.seed,
            },
        })
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

#[cfg(test)]
mod tests {
    #[test]
    fn connections_are_divided_by_weight() {
        let divided = |whole, weights: &[u32]| {
            let list: Vec<String> =
                weights.iter().map(|weight| format!("{{ url: \"http://h\", weight: {weight} }}")).collect();
            let text = format!(
                "{{ version: 1, name: x, target: [{}], load: {{ model: avalanche, requests_per_driver: 1 }}, \
                 scenarios: {{ x: {{ steps: [{{ get: / }}] }} }} }}",
                list.join(", ")
            );
            super::divided(whole, &plan::parse("x", &text).unwrap().targets)
        };
        assert_eq!(divided(64, &[1]), [64]);
        assert_eq!(divided(10, &[1, 1, 1]), [3, 3, 4]);
        assert_eq!(divided(100, &[3, 1]), [75, 25]);
        assert_eq!(divided(100, &[1, 9999]), [1, 99], "one at least, and no more in all");
        assert_eq!(divided(2, &[1, 1, 1]), [1, 1, 1], "though it is more in all");
    }
}
