//! The plan: what a file says, checked and typed.
//!
//! Invariant: only [`crate::parse`] makes a plan. Deliberately absent: serialisation. What travels is the source.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::StepId;
use crate::data::DataSource;
use crate::diagnostic::Diagnostic;
use crate::events::Events;
use crate::expression::{Named, SourceUse};
use crate::file::FileUse;
use crate::fixture::Once;
use crate::load::Load;
use crate::network::{HttpVersion, Network, Tls};
use crate::quantity::Rate;
use crate::scenario::Scenario;
use crate::schedule::StageId;
use crate::share::LaneSet;
use crate::target::Target;
use crate::threshold::{Scope, Threshold};
use crate::workload::{LoopKind, StageInfo, Workload};

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
    /// Of which requests a raw event is kept.
    pub events: Events,
    /// The source of all choices: the same plan and seed give the same times and scenarios.
    pub seed: u64,
    /// When to send, and which of the scenarios; at least one, side by side.
    pub workloads: Vec<Arc<Workload>>,
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
}

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

    /// The stages by `StageId`, those of one workload after those of the one before.
    pub fn stages(&self) -> Vec<StageInfo> {
        self.workloads.iter().flat_map(|workload| workload.stages()).collect()
    }

    /// The workload that has a stage.
    pub fn workload_of(&self, stage: StageId) -> Option<&Arc<Workload>> {
        self.workloads.iter().rev().find(|workload| workload.first_stage <= stage)
    }

    /// The number of the workload that walks a scenario.
    pub fn workload_with(&self, scenario: usize) -> usize {
        self.workloads.iter().position(|workload| workload.scenarios.contains(&scenario)).unwrap_or(0)
    }

    /// Whether requests follow a schedule; closed where those of one workload follow the responses.
    pub fn loop_kind(&self) -> LoopKind {
        let is_open = self.workloads.iter().all(|workload| workload.loop_kind() == LoopKind::Open);
        if is_open { LoopKind::Open } else { LoopKind::Closed }
    }

    /// Whether each driver carries the whole load of the plan (avalanche, tsunami), rather than its share of the lanes.
    /// There is one workload then.
    pub fn is_per_driver(&self) -> bool {
        self.workloads.iter().any(|workload| workload.is_per_driver())
    }

    /// The limit of each driver, where the model has one; there is one workload then.
    pub fn limit(&self) -> Option<Rate> {
        self.workloads.iter().find_map(|workload| workload.limit())
    }

    /// The files beside the plan that the run needs, each once and with the first place that names it.
    pub fn files(&self) -> Vec<&FileUse> {
        let mut seen = BTreeSet::new();
        self.files.iter().filter(|file| seen.insert(file.path.as_str())).collect()
    }

    /// Iterations per second that the plan asks of `drivers` drivers, as the mean over the measured stages; `None` where
    /// the responses decide.
    pub fn planned_per_s(&self, drivers: usize) -> Option<f64> {
        if self.is_per_driver() {
            // The limit of an avalanche is of requests: of iterations with several of them it says nothing.
            let is_avalanche =
                self.workloads.iter().any(|workload| matches!(workload.load, Load::Avalanche { .. }));
            if is_avalanche && !self.scenarios.iter().all(Scenario::is_one_request) {
                return None;
            }
            let each = self.stages().first()?.rate_per_s?.0;
            return Some(each * drivers as f64);
        }
        let mut iterations = 0.0;
        for stage in self.stages().into_iter().filter(|stage| !stage.warmup) {
            let (from, to) = stage.rate_per_s?;
            iterations += (from + to) / 2.0 * stage.duration?.as_secs_f64();
        }
        let seconds =
            self.measured().iter().map(|(from_ns, to_ns)| to_ns - from_ns).sum::<u64>() as f64 / 1e9;
        (seconds > 0.0).then(|| iterations / seconds)
    }

    /// Iterations that the plan asks of `drivers` drivers in all; `None` where the responses decide.
    pub fn planned_iterations(&self, drivers: usize) -> Option<u64> {
        self.workloads.iter().map(|workload| workload.planned_iterations(drivers)).sum()
    }

    /// How many iterations the users of some lanes walk in all, where the plan says how many all users do.
    pub fn iterations_in(&self, lanes: &LaneSet) -> Option<u64> {
        self.workloads.iter().map(|workload| workload.iterations_in(lanes)).sum()
    }

    /// How long arrivals come, without the drain; `None` for a load that ends when it is done.
    pub fn duration(&self) -> Option<Duration> {
        let durations = self.workloads.iter().map(|workload| workload.duration());
        durations.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// When something is measured, in nanoseconds since the start: ascending spans that do not touch. `u64::MAX` ends what
    /// goes on until all is done.
    pub fn measured(&self) -> Vec<(u64, u64)> {
        let stages = self.stages().into_iter().filter(|stage| !stage.warmup);
        let mut spans: Vec<(u64, u64)> = stages.map(|stage| stage.span_ns()).collect();
        join(&mut spans);
        spans
    }

    /// How long nothing but warm-ups was under way, which is left out of the summary.
    pub fn warmup(&self) -> Duration {
        let mut warmups: Vec<(u64, u64)> =
            self.stages().iter().filter(|stage| stage.warmup).map(StageInfo::span_ns).collect();
        join(&mut warmups);
        let measured = self.measured();
        let alone = warmups.iter().map(|(from_ns, to_ns)| {
            let within = |span: &(u64, u64)| span.1.min(*to_ns).saturating_sub(span.0.max(*from_ns));
            to_ns - from_ns - measured.iter().map(within).sum::<u64>()
        });
        Duration::from_nanos(alone.sum())
    }

    /// What of it has no effect though nothing is wrong with it, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let stages = self.stages();
        let longest_s = |threshold: &Threshold| {
            let spans = match threshold.scope {
                Scope::Stage(StageId(id)) => {
                    stages.get(usize::from(id)).map(StageInfo::span_ns).into_iter().collect()
                }
                Scope::Run | Scope::Rows(_) => self.measured(),
            };
            spans.iter().map(|(from_ns, to_ns)| to_ns.saturating_sub(*from_ns)).sum::<u64>() / 1_000_000_000
        };
        let is_idle = |threshold: &&Threshold| {
            threshold.hold_s.is_some_and(|hold_s| u64::from(hold_s) > longest_s(threshold))
        };
        let said = |threshold: &Threshold| {
            let expression = &threshold.expression;
            format!("the threshold {expression} can never be broken: fewer seconds are measured")
        };
        self.thresholds.iter().filter(is_idle).map(said).collect()
    }

    /// Whether a stage is left out of the summary.
    pub fn is_warmup(&self, stage: StageId) -> bool {
        self.workload_of(stage).is_some_and(|workload| {
            let number = usize::from(stage.0 - workload.first_stage.0);
            match &workload.load {
                Load::Open { stages, .. } => stages.get(number).is_some_and(|stage| stage.warmup),
                Load::Closed { stages, .. } => stages.get(number).is_some_and(|stage| stage.warmup),
                Load::Avalanche { .. } | Load::Tsunami { .. } => false,
            }
        })
    }

    /// What a driver of another implementation can be told of this plan; `None` for a load it does not know.
    pub fn basic_fields(&self) -> Option<BasicFields> {
        if self.setup.is_some() || self.teardown.is_some() {
            return None;
        }
        let [workload] = self.workloads.as_slice() else { return None };
        match workload.load {
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

/// Sorts spans, and joins those that touch.
fn join(spans: &mut Vec<(u64, u64)>) {
    spans.sort_unstable();
    spans.dedup_by(|next, span| {
        let touches = next.0 <= span.1;
        if touches {
            span.1 = span.1.max(next.1);
        }
        touches
    });
}
