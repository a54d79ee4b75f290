//! The plan: what a file says, checked and typed.
//!
//! Invariant: only [`crate::parse`] makes a plan. Deliberately absent: serialisation. What travels is the source.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::StepId;
use crate::choice::{Choice, between};
use crate::connections::Connections;
use crate::data::DataSource;
use crate::diagnostic::Diagnostic;
use crate::expression::{Named, SourceUse};
use crate::file::FileUse;
use crate::fixture::Once;
use crate::limiter::Limiter;
use crate::limits;
use crate::load::{Load, Process};
use crate::network::{HttpVersion, Network, Tls};
use crate::population::Population;
use crate::quantity::Rate;
use crate::scenario::Scenario;
use crate::schedule::{Schedule, StageId};
use crate::share::{LANES, LaneSet};
use crate::stages::Stage;
use crate::target::Target;
use crate::threshold::Threshold;

/// What to send, when, and what is acceptable.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The text it was parsed from.
    pub source: String,
    /// Its name.
    pub name: String,
    /// Base URLs, chosen by their weights; at least one.
    pub targets: Vec<Target>,
    /// The version of HTTP that is spoken to them.
    pub http: HttpVersion,
    /// What TLS needs beyond their URLs.
    pub tls: Tls,
    /// How connections to them are made.
    pub network: Network,
    /// Whether the phases of a request are recorded: name lookup, connect, TLS, sending, waiting, receiving.
    pub phases: bool,
    /// The source of all choices: the same plan and seed give the same times and scenarios.
    pub seed: u64,
    /// When to send.
    pub load: Load,
    /// Rows that iterations use.
    pub data: Vec<DataSource>,
    /// What to send; at least one.
    pub scenarios: Vec<Scenario>,
    /// What must have been measured for the run to pass.
    pub thresholds: Vec<Threshold>,
    /// What happens when a driver is lost during the run.
    pub on_driver_loss: OnDriverLoss,
    /// What happens when a driver cannot arm in time.
    pub on_unready_driver: OnUnreadyDriver,
    /// How long requests in flight may take at the end.
    pub drain: Duration,
    pub(crate) setup: Option<Box<Once>>,
    pub(crate) teardown: Option<Box<Once>>,
    /// Names of the values that setup saves.
    pub(crate) given: Vec<String>,
    /// Step names by `StepId`.
    pub(crate) rows: Vec<String>,
    /// Their tags.
    pub(crate) tags: Vec<Vec<String>>,
    /// Names of groups.
    pub(crate) groups: Vec<String>,
    /// Names of the secrets that it uses.
    pub(crate) secrets: Vec<String>,
    /// What is said of each of them where it is not set.
    pub(crate) unset_secrets: Vec<Diagnostic>,
    /// What it uses of its data.
    pub(crate) sources: Vec<SourceUse>,
    /// In the order of the plan; a path may be there more than once.
    pub(crate) files: Vec<FileUse>,
    pub(crate) scenario_choice: Choice,
    pub(crate) target_choice: Choice,
}

/// Binary places of a user in the index of an iteration; more than those of a lane, so that both agree.
const USER_PLACES: u32 = 20;
/// Binary places of the iterations that a user walks in one second, in such an index.
const SECOND_PLACES: u32 = 22;
/// Keeps think times apart from the choice of a scenario.
const THINK_SALT: u64 = 0x0074_6869_6e6b;

const _: () = assert!(limits::USERS <= 1 << USER_PLACES && (1usize << USER_PLACES).is_multiple_of(LANES));

/// What happens when a driver is lost during the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDriverLoss {
    /// Its lanes move to the others. Default of the models for the fleet; refused by those
    /// per driver, and by a number of iterations, of which nobody knows how many a lost driver had left.
    Redistribute,
    /// The run goes on, the missing load is recorded. Default where the lanes stay.
    Continue,
    /// The run is aborted.
    Abort,
}

/// What happens when a driver cannot arm in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnreadyDriver {
    /// The run does not start. The default.
    Fail,
    /// The run starts without it.
    StartWithout,
}

/// Whether requests follow a schedule or the responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopKind {
    /// By schedule, whatever the target does.
    Open,
    /// A response makes room for the next request; stalls are under-represented.
    Closed,
}

impl LoopKind {
    /// `open` or `closed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// What results say about a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct StageInfo {
    /// Its name; the model's name where the model has no stages.
    pub name: String,
    /// Shown, but left out of the summary.
    pub warmup: bool,
    /// How long; `None`: until all is done.
    pub duration: Option<Duration>,
    /// Iterations per second at its beginning and its end: of the fleet, or of each driver where the load is per
    /// driver. `None` where the responses decide.
    pub rate_per_s: Option<(f64, f64)>,
    /// Users of the fleet at its beginning and its end, in the closed model.
    pub users: Option<(u32, u32)>,
}

/// The two loads that a driver of another implementation knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BasicType {
    /// As fast as possible.
    Avalanche,
    /// One request per delay.
    Tsunami,
}

/// The part of a plan that a driver of another implementation can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BasicFields {
    /// Which of the two loads.
    pub test_type: BasicType,
    /// Time between two requests, a limit included; zero for avalanche.
    pub delay: Duration,
    /// Requests of each driver.
    pub count: u64,
    /// The limit of each driver, which others may not know how to keep.
    pub limit: Option<Rate>,
}

impl Plan {
    /// The step names: `rows()[i]` is the row of `StepId(i)`.
    pub fn rows(&self) -> &[String] {
        &self.rows
    }

    /// The names of groups: `groups()[i]` is the row `StepId::of_group(i)`.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// The name of a row, of a step or a group.
    pub fn row_name(&self, row: StepId) -> Option<&str> {
        let name = match row.group() {
            Some(group) => self.groups.get(usize::from(group)),
            None => self.rows.get(usize::from(row.0)),
        };
        name.map(String::as_str)
    }

    /// The tags of a row.
    pub fn tags_of(&self, row: StepId) -> &[String] {
        self.tags.get(usize::from(row.0)).map_or(&[], Vec::as_slice)
    }

    /// Names of the secrets that it uses, which drivers know.
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// The faults of those secrets that are not set where `is_set` says so, each at its first place in the plan.
    pub fn unset_secrets(&self, is_set: impl Fn(&str) -> bool) -> Vec<Diagnostic> {
        let unset = self.secrets.iter().zip(&self.unset_secrets).filter(|(name, _)| !is_set(name));
        unset.map(|(_, fault)| fault.clone()).collect()
    }

    /// What the numbers in the expressions of a scenario stand for.
    pub fn named<'a>(&'a self, scenario: &'a Scenario) -> Named<'a> {
        Named { saved: &scenario.saved, sources: &self.sources }
    }

    /// The columns that it uses of a source, as expressions number them.
    pub fn columns_of(&self, source: usize) -> &[String] {
        self.sources.get(source).map_or(&[], |source| source.columns.as_slice())
    }

    /// The stages by `StageId`; one where the model has none.
    pub fn stages(&self) -> Vec<StageInfo> {
        match &self.load {
            Load::Avalanche { limit, .. } => {
                let rate_per_s = limit.map(|limit| (limit.per_second(), limit.per_second()));
                vec![StageInfo { rate_per_s, ..StageInfo::only("avalanche") }]
            }
            Load::Tsunami { .. } => {
                let rate_per_s = self.schedule().map(|schedule| (schedule.rate_at(0), schedule.rate_at(0)));
                vec![StageInfo { duration: self.duration(), rate_per_s, ..StageInfo::only("tsunami") }]
            }
            Load::Open { stages, .. } => StageInfo::all(stages, |info, stage| {
                info.rate_per_s = Some((stage.from.per_second(), stage.to.per_second()));
            }),
            Load::Closed { stages, iterations, .. } => StageInfo::all(stages, |info, stage| {
                info.users = Some((stage.from, stage.to));
                info.duration = info.duration.filter(|_| iterations.is_none());
            }),
        }
    }

    /// Whether requests follow a schedule or the responses.
    pub fn loop_kind(&self) -> LoopKind {
        match self.load {
            Load::Avalanche { .. } | Load::Closed { .. } => LoopKind::Closed,
            Load::Tsunami { .. } | Load::Open { .. } => LoopKind::Open,
        }
    }

    /// Whether each driver carries the whole load of the plan (avalanche, tsunami), rather than its share of the lanes.
    pub fn is_per_driver(&self) -> bool {
        matches!(self.load, Load::Avalanche { .. } | Load::Tsunami { .. })
    }

    /// The limit of each driver, where the model has one.
    pub fn limit(&self) -> Option<Rate> {
        match self.load {
            Load::Avalanche { limit, .. } | Load::Tsunami { limit, .. } => limit,
            Load::Open { .. } | Load::Closed { .. } => None,
        }
    }

    /// Connections of each driver.
    pub fn connections(&self) -> &Connections {
        match &self.load {
            Load::Avalanche { connections, .. }
            | Load::Tsunami { connections, .. }
            | Load::Open { connections, .. }
            | Load::Closed { connections, .. } => connections,
        }
    }

    /// The files beside the plan that the run needs, each once and with the first place that names it.
    pub fn files(&self) -> Vec<&FileUse> {
        let mut seen = BTreeSet::new();
        self.files.iter().filter(|file| seen.insert(file.path.as_str())).collect()
    }

    /// How long a request may wait for a connection, where the plan says so; else its step's timeout.
    pub fn max_wait(&self) -> Option<Duration> {
        match self.load {
            Load::Avalanche { .. } => None,
            Load::Tsunami { max_wait, .. } | Load::Open { max_wait, .. } | Load::Closed { max_wait, .. } => {
                max_wait
            }
        }
    }

    /// How many of `threads` threads of a driver have work to divide: fewer under a low limit, see [`Limiter::threads`].
    pub fn useful_threads(&self, threads: usize) -> usize {
        self.limit().map_or(threads, |limit| Limiter::threads(limit, threads))
    }

    /// The intended times: of the fleet (open) or of one driver (tsunami); `None` where the responses decide.
    pub fn schedule(&self) -> Option<Schedule> {
        match &self.load {
            Load::Avalanche { .. } | Load::Closed { .. } => None,
            Load::Tsunami { requests_per_driver, delay, limit, .. } => {
                Some(Schedule::tsunami(*requests_per_driver, *delay, *limit))
            }
            Load::Open { arrivals: Process::Uniform, stages, .. } => Some(Schedule::open(stages)),
            Load::Open { arrivals: Process::Poisson, stages, .. } => {
                Some(Schedule::poisson(stages, self.seed))
            }
        }
    }

    /// How many users there are when; `None` in the models without users.
    pub fn population(&self) -> Option<Population> {
        match &self.load {
            Load::Closed { stages, .. } => Some(Population::new(stages)),
            Load::Avalanche { .. } | Load::Tsunami { .. } | Load::Open { .. } => None,
        }
    }

    /// The index of iteration `number` of a user that came at `came_ns`. It is of the user's lane, and no iteration of
    /// the same user has it again after the user went and came back: they are numbered on from the second it came in.
    pub fn iteration_of(user: u32, came_ns: u64, number: u64) -> u64 {
        let first = (came_ns / 1_000_000_000) << SECOND_PLACES;
        first.wrapping_add(number) << USER_PLACES | u64::from(user)
    }

    /// How many iterations a user walks in all, where the plan says how many all users do: they differ by one at most.
    pub fn iterations_of(&self, user: u32) -> Option<u64> {
        let Load::Closed { stages, iterations: Some(iterations), .. } = &self.load else { return None };
        let users = stages.first().map_or(1, |stage| u64::from(stage.from)).max(1);
        let user = u64::from(user);
        Some(if user < users { iterations / users + u64::from(user < iterations % users) } else { 0 })
    }

    /// How many iterations the users of some lanes walk in all, where the plan says how many all users do.
    pub fn iterations_in(&self, lanes: &LaneSet) -> Option<u64> {
        let Load::Closed { stages, iterations: Some(iterations), .. } = &self.load else { return None };
        let users = stages.first().map_or(1, |stage| u64::from(stage.from)).max(1);
        Some(iterations / users * lanes.rank(users) + lanes.rank(iterations % users))
    }

    /// How long a user waits after iteration `index`: a pure function of seed and index. Zero without think time.
    pub fn think_time_of(&self, index: u64) -> Duration {
        match &self.load {
            Load::Closed { think_time: Some(think_time), .. } => {
                between(self.seed, index ^ THINK_SALT, think_time.least, think_time.most)
            }
            _ => Duration::ZERO,
        }
    }

    /// The index of the scenario that iteration `index` walks: weighted, and a pure function of seed and index.
    pub fn scenario_of(&self, index: u64) -> usize {
        self.scenario_choice.of(self.seed, index)
    }

    /// The index of the target that iteration `index` is sent to: weighted, and a pure function of seed and index.
    pub fn target_of(&self, index: u64) -> usize {
        self.target_choice.of(self.seed, index)
    }

    /// Iterations per second that the plan asks of `drivers` drivers, as the mean over the measured stages; `None` where
    /// the responses decide.
    pub fn planned_per_s(&self, drivers: usize) -> Option<f64> {
        match &self.load {
            Load::Avalanche { limit, .. } => limit.map(|limit| limit.per_second() * drivers as f64),
            Load::Tsunami { .. } => self.schedule().map(|schedule| schedule.rate_at(0) * drivers as f64),
            Load::Open { stages, .. } => {
                let measured = || stages.iter().filter(|stage| !stage.warmup);
                let seconds: f64 = measured().map(|stage| stage.duration.as_secs_f64()).sum();
                let mean = |stage: &Stage<Rate>| (stage.from.per_second() + stage.to.per_second()) / 2.0;
                let iterations: f64 =
                    measured().map(|stage| mean(stage) * stage.duration.as_secs_f64()).sum();
                (seconds > 0.0).then(|| iterations / seconds)
            }
            Load::Closed { .. } => None,
        }
    }

    /// Iterations that the plan asks of `drivers` drivers in all; `None` where the responses decide.
    pub fn planned_iterations(&self, drivers: usize) -> Option<u64> {
        let drivers = u64::try_from(drivers).unwrap_or(u64::MAX);
        match &self.load {
            Load::Avalanche { requests_per_driver, .. } | Load::Tsunami { requests_per_driver, .. } => {
                Some(requests_per_driver.saturating_mul(drivers))
            }
            // Of a Poisson process the expected number: the true one takes as long to count as to walk.
            Load::Open { stages, .. } => Some(Schedule::open(stages).total()),
            Load::Closed { iterations, .. } => *iterations,
        }
    }

    /// How long arrivals come, without the drain; `None` for a load that ends when it is done.
    pub fn duration(&self) -> Option<Duration> {
        let length = |durations: &mut dyn Iterator<Item = Duration>| Some(durations.sum());
        match &self.load {
            Load::Avalanche { .. } | Load::Closed { iterations: Some(_), .. } => None,
            Load::Tsunami { .. } => self.schedule().map(|schedule| Duration::from_nanos(schedule.end_ns())),
            Load::Open { stages, .. } => length(&mut stages.iter().map(|stage| stage.duration)),
            Load::Closed { stages, .. } => length(&mut stages.iter().map(|stage| stage.duration)),
        }
    }

    /// How long of that is left out of the summary.
    pub fn warmup(&self) -> Duration {
        let warmups = self.stages().into_iter().filter(|stage| stage.warmup);
        warmups.filter_map(|stage| stage.duration).sum()
    }

    /// Whether a stage is left out of the summary.
    pub fn is_warmup(&self, stage: StageId) -> bool {
        let number = usize::from(stage.0);
        match &self.load {
            Load::Open { stages, .. } => stages.get(number).is_some_and(|stage| stage.warmup),
            Load::Closed { stages, .. } => stages.get(number).is_some_and(|stage| stage.warmup),
            Load::Avalanche { .. } | Load::Tsunami { .. } => false,
        }
    }

    /// What a driver of another implementation can be told of this plan; `None` for a load it does not know.
    pub fn basic_fields(&self) -> Option<BasicFields> {
        if self.setup.is_some() || self.teardown.is_some() {
            return None;
        }
        match self.load {
            Load::Avalanche { requests_per_driver, limit, .. } => Some(BasicFields {
                test_type: BasicType::Avalanche,
                delay: Duration::ZERO,
                count: requests_per_driver,
                limit,
            }),
            Load::Tsunami { requests_per_driver, delay, limit, .. } => {
                let apart = limit.map_or(Duration::ZERO, |limit| {
                    let (numerator, denominator) = limit.interval_ns();
                    Duration::from_nanos(numerator.div_ceil(denominator))
                });
                Some(BasicFields {
                    test_type: BasicType::Tsunami,
                    delay: delay.max(apart),
                    count: requests_per_driver,
                    limit,
                })
            }
            Load::Open { .. } | Load::Closed { .. } => None,
        }
    }
}

impl StageInfo {
    fn only(name: &str) -> Self {
        Self { name: name.to_owned(), warmup: false, duration: None, rate_per_s: None, users: None }
    }

    fn all<L>(stages: &[Stage<L>], add: impl Fn(&mut Self, &Stage<L>)) -> Vec<Self> {
        let infos = stages.iter().map(|stage| {
            let mut info =
                Self { warmup: stage.warmup, duration: Some(stage.duration), ..Self::only(&stage.name) };
            add(&mut info, stage);
            info
        });
        infos.collect()
    }
}
