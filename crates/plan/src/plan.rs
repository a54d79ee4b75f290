//! The plan: what a file says, checked and typed.
//!
//! Invariant: only [`crate::parse`] makes a plan. Deliberately absent: serialisation. What travels is the source.

use std::time::Duration;

use crate::limiter::Limiter;
use crate::load::Load;
use crate::quantity::Rate;
use crate::scenario::Scenario;
use crate::schedule::{Schedule, StageId};
use crate::target::Target;

/// What to send, when, and what is acceptable.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The text it was parsed from.
    pub source: String,
    /// Its name.
    pub name: String,
    /// Base URLs, used in turn; at least one.
    pub targets: Vec<Target>,
    /// The source of all choices: the same plan and seed give the same times and scenarios.
    pub seed: u64,
    /// When to send.
    pub load: Load,
    /// What to send; at least one.
    pub scenarios: Vec<Scenario>,
    /// What happens when a driver is lost during the run.
    pub on_driver_loss: OnDriverLoss,
    /// What happens when a driver cannot arm in time.
    pub on_unready_driver: OnUnreadyDriver,
    /// How long requests in flight may take at the end.
    pub drain: Duration,
    /// Step names by `StepId`.
    pub(crate) rows: Vec<String>,
    /// Sums of the scenarios' weights up to and with each.
    pub(crate) weights: Vec<u64>,
}

/// What happens when a driver is lost during the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDriverLoss {
    /// Its lanes move to the others. Default of the open model, refused by the models per driver.
    Redistribute,
    /// The run goes on, the missing load is recorded. Default of the models per driver.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageInfo {
    /// Its name; the model's name where the model has no stages.
    pub name: String,
    /// Shown, but left out of the summary.
    pub warmup: bool,
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

    /// The stages by `StageId`; one where the model has none.
    pub fn stages(&self) -> Vec<StageInfo> {
        let only = |name: &str| vec![StageInfo { name: name.to_owned(), warmup: false }];
        match &self.load {
            Load::Avalanche { .. } => only("avalanche"),
            Load::Tsunami { .. } => only("tsunami"),
            Load::Open { stages, .. } => stages
                .iter()
                .map(|stage| StageInfo { name: stage.name.clone(), warmup: stage.warmup })
                .collect(),
        }
    }

    /// Whether requests follow a schedule or the responses.
    pub fn loop_kind(&self) -> LoopKind {
        match self.load {
            Load::Avalanche { .. } => LoopKind::Closed,
            Load::Tsunami { .. } | Load::Open { .. } => LoopKind::Open,
        }
    }

    /// Whether each driver carries the whole load of the plan (avalanche, tsunami), rather than its share of the lanes.
    pub fn is_per_driver(&self) -> bool {
        !matches!(self.load, Load::Open { .. })
    }

    /// The limit of each driver, where the model has one.
    pub fn limit(&self) -> Option<Rate> {
        match self.load {
            Load::Avalanche { limit, .. } | Load::Tsunami { limit, .. } => limit,
            Load::Open { .. } => None,
        }
    }

    /// How many of `threads` threads of a driver have work to divide: fewer under a low limit, see [`Limiter::threads`].
    pub fn useful_threads(&self, threads: usize) -> usize {
        self.limit().map_or(threads, |limit| Limiter::threads(limit, threads))
    }

    /// The intended times: of the fleet (open) or of one driver (tsunami); `None` for avalanche, which has none.
    pub fn schedule(&self) -> Option<Schedule> {
        match &self.load {
            Load::Avalanche { .. } => None,
            Load::Tsunami { requests_per_driver, delay, limit, .. } => {
                Some(Schedule::tsunami(*requests_per_driver, *delay, *limit))
            }
            Load::Open { stages, .. } => Some(Schedule::open(stages)),
        }
    }

    /// The index of the scenario that iteration `index` walks: weighted, and a pure function of seed and index.
    pub fn scenario_of(&self, index: u64) -> usize {
        let total = self.weights.last().copied().unwrap_or(1);
        if self.weights.len() <= 1 {
            return 0;
        }
        let random = mix(self.seed ^ mix(index));
        let point = (u128::from(random) * u128::from(total)) >> 64;
        self.weights.partition_point(|sum| u128::from(*sum) <= point)
    }

    /// The target that iteration `index` is sent to: in turn.
    pub fn target_of(&self, index: u64) -> &Target {
        let count = u64::try_from(self.targets.len()).unwrap_or(u64::MAX);
        let turn = usize::try_from(index % count.max(1)).unwrap_or(0);
        &self.targets[turn]
    }

    /// Iterations per second that the plan asks of `drivers` drivers, as the mean over the measured stages; `None` for
    /// an avalanche without a limit.
    pub fn planned_per_s(&self, drivers: usize) -> Option<f64> {
        match &self.load {
            Load::Avalanche { limit, .. } => limit.map(|limit| limit.per_second() * drivers as f64),
            Load::Tsunami { .. } => self.schedule().map(|schedule| schedule.rate_at(0) * drivers as f64),
            Load::Open { stages, .. } => {
                let measured = || stages.iter().filter(|stage| !stage.warmup);
                let seconds: f64 = measured().map(|stage| stage.duration.as_secs_f64()).sum();
                let iterations: f64 =
                    measured().map(|stage| stage.rate.per_second() * stage.duration.as_secs_f64()).sum();
                (seconds > 0.0).then(|| iterations / seconds)
            }
        }
    }

    /// Iterations that the plan asks of `drivers` drivers in all.
    pub fn planned_iterations(&self, drivers: usize) -> u64 {
        let drivers = u64::try_from(drivers).unwrap_or(u64::MAX);
        match &self.load {
            Load::Avalanche { requests_per_driver, .. } | Load::Tsunami { requests_per_driver, .. } => {
                requests_per_driver.saturating_mul(drivers)
            }
            Load::Open { stages, .. } => Schedule::open(stages).total(),
        }
    }

    /// How long arrivals come, without the drain; `None` for avalanche, which ends when it is done.
    pub fn duration(&self) -> Option<Duration> {
        self.schedule().map(|schedule| Duration::from_nanos(schedule.end_ns()))
    }

    /// How long of that is left out of the summary.
    pub fn warmup(&self) -> Duration {
        match &self.load {
            Load::Open { stages, .. } => {
                stages.iter().filter(|stage| stage.warmup).map(|stage| stage.duration).sum()
            }
            Load::Avalanche { .. } | Load::Tsunami { .. } => Duration::ZERO,
        }
    }

    /// Whether a stage is left out of the summary.
    pub fn is_warmup(&self, stage: StageId) -> bool {
        match &self.load {
            Load::Open { stages, .. } => stages.get(usize::from(stage.0)).is_some_and(|stage| stage.warmup),
            Load::Avalanche { .. } | Load::Tsunami { .. } => false,
        }
    }

    /// What a driver of another implementation can be told of this plan; `None` for a load it does not know.
    pub fn basic_fields(&self) -> Option<BasicFields> {
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
            Load::Open { .. } => None,
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the result depends on every bit of `x`.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
