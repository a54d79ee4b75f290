//! Workloads: loads side by side, each with the scenarios that it walks.
//!
//! The plan's own load walks the scenarios that have none of their own, by their weights. Every other workload is that
//! of one scenario.
//!
//! Invariant: whatever is drawn for an iteration is a pure function of the workload and the iteration's index.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::choice::{Choice, between, mix};
use crate::connections::Connections;
use crate::diagnostic::{Faults, Wrong};
use crate::limiter::Limiter;
use crate::limits;
use crate::load::{self, Load, Process};
use crate::pace::nanos;
use crate::population::Population;
use crate::quantity::Rate;
use crate::read::{self, Fields};
use crate::scenario::Scenario;
use crate::schedule::{Schedule, StageId};
use crate::share::{LANES, LaneSet};
use crate::stages::Stage;
use crate::tree::Node;

/// Binary places of a user in the index of an iteration; more than those of a lane, so that both agree.
const USER_PLACES: u32 = 20;
/// Binary places of the iterations that a user walks in one second, in such an index.
const SECOND_PLACES: u32 = 22;
/// Keeps think times apart from the choice of a scenario.
const THINK_SALT: u64 = 0x0074_6869_6e6b;

const _: () = assert!(limits::USERS <= 1 << USER_PLACES && (1usize << USER_PLACES).is_multiple_of(LANES));

/// A load and what it walks.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// The scenario whose own load it is; `None`: the plan's.
    pub name: Option<String>,
    /// When to send.
    pub load: Load,
    /// The scenarios that it walks, as indices into the plan's; at least one.
    pub scenarios: Vec<usize>,
    /// The number of its first stage among those of the plan.
    pub first_stage: StageId,
    /// What its choices and times are drawn from.
    pub seed: u64,
    scenario_choice: Choice,
    target_choice: Choice,
}

/// What results say about a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct StageInfo {
    /// Its name, behind that of a scenario with a load of its own; the model's name where the model has no stages.
    pub name: String,
    /// Shown, but left out of the summary.
    pub warmup: bool,
    /// When it begins, since the start of the run.
    pub begins: Duration,
    /// How long; `None`: until all is done.
    pub duration: Option<Duration>,
    /// Iterations per second at its beginning and its end: of the fleet, or of each driver where the load is per
    /// driver. `None` where the responses decide.
    pub rate_per_s: Option<(f64, f64)>,
    /// Users of the fleet at its beginning and its end, in the closed model.
    pub users: Option<(u32, u32)>,
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

/// A load of a plan that is being read, and whose it is.
pub(crate) struct Strand<'a> {
    /// Its scenario's key; `None`: the plan's own.
    scenario: Option<&'a str>,
    load: Load,
}

impl Strand<'_> {
    /// Its stages.
    pub(crate) fn stages(&self) -> Vec<StageInfo> {
        StageInfo::of(&self.load, self.scenario)
    }

    /// Whether thresholds can name its stages: they are none where the plan names none.
    pub(crate) fn has_stages(&self) -> bool {
        matches!(self.load, Load::Open { .. } | Load::Closed { iterations: None, .. })
    }

    /// Whether a rate is planned for the fleet.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.load, Load::Open { .. })
    }
}

/// The loads of a plan: its own, unless all scenarios have theirs, and those of scenarios.
pub(crate) fn strands<'a>(faults: &mut Faults<'_>, fields: &Fields<'a>) -> Option<Vec<Strand<'a>>> {
    let scenarios = fields.entry("scenarios").map_or(&[][..], |entry| entry.value.entries());
    let own = || scenarios.iter().filter_map(|entry| Some((entry, entry.value.entry("load")?)));
    let all_have = !scenarios.is_empty() && own().count() == scenarios.len();
    let mut nodes: Vec<(Option<&str>, &Node)> = Vec::new();
    match (all_have, fields.entry("load")) {
        (true, None) => {}
        (true, Some(entry)) => {
            let wrong = Wrong::new("without_effect", "every scenario has a load of its own");
            faults.add(entry.place, &entry.key, wrong.help("leave this one out, or one of theirs"));
        }
        (false, None) if own().next().is_some() => {
            let without = scenarios.iter().filter(|entry| entry.value.entry("load").is_none());
            for entry in without {
                let message = format!("scenario \"{}\" has no load, and the plan has none", entry.key);
                let wrong = Wrong::new("missing", message);
                faults.add(entry.place, &entry.key, wrong.help("give it a load of its own, or the plan one"));
            }
        }
        (false, _) => nodes.extend(fields.required(faults, "load").map(|node| (None, node))),
    }
    let has_plan_load = !nodes.is_empty();
    nodes.extend(own().map(|(entry, load)| (Some(entry.key.as_str()), &load.value)));
    if nodes.len() > limits::LOADS {
        let message = format!("a plan has at most {} loads", limits::LOADS);
        faults.add_here(fields.place(), Wrong::new("absurd", message));
        return None;
    }
    for (entry, _) in own() {
        if let Some(weight) = entry.value.entry("weight") {
            let wrong =
                Wrong::new("without_effect", "a scenario with a load of its own is not chosen by weight");
            faults.add(weight.place, &weight.key, wrong.help("leave it out, or leave out the load"));
        }
    }
    let count = nodes.len();
    let strands: Vec<Option<Strand<'_>>> =
        nodes.iter().map(|(scenario, node)| strand(faults, *scenario, node, count)).collect();
    let strands = strands.into_iter().collect::<Option<Vec<_>>>()?;
    let mut names = BTreeSet::new();
    for strand in &strands {
        // Twins within one load were told where they stand.
        let own: BTreeSet<_> = strand.stages().iter().map(|stage| stage.name.clone()).collect();
        for twin in own.intersection(&names) {
            let wrong = Wrong::new("duplicate_name", format!("two stages are named \"{twin}\""));
            faults
                .add_here(fields.place(), wrong.help("those of a scenario's load are named SCENARIO/STAGE"));
        }
        names.extend(own);
    }
    if strands.iter().map(|strand| strand.stages().len()).sum::<usize>() > limits::STAGES {
        let message = format!("the loads of a plan have at most {} stages in all", limits::STAGES);
        faults.add_here(fields.place(), Wrong::new("absurd", message));
    }
    (all_have || has_plan_load).then_some(strands)
}

/// Every load of the plan, whatever is wrong with it.
pub(crate) fn loads<'a>(fields: &Fields<'a>) -> impl Iterator<Item = &'a Node> {
    let scenarios = fields.entry("scenarios").map_or(&[][..], |entry| entry.value.entries());
    let own = scenarios.iter().filter_map(|scenario| scenario.value.entry("load"));
    fields.entry("load").into_iter().chain(own).map(|entry| &entry.value)
}

fn strand<'a>(
    faults: &mut Faults<'_>,
    scenario: Option<&'a str>,
    node: &Node,
    count: usize,
) -> Option<Strand<'a>> {
    let load = load::load(faults, node)?;
    if count > 1 && matches!(load, Load::Avalanche { .. } | Load::Tsunami { .. }) {
        let wrong = Wrong::new("not_together", "a load per driver is the only one of a plan");
        return read::fault(
            faults,
            node.entry("model").map_or(node, |entry| &entry.value),
            wrong.help("beside others, use open or closed"),
        );
    }
    Some(Strand { scenario, load })
}

/// The workloads of a plan with these scenarios.
pub(crate) fn workloads(
    strands: Vec<Strand<'_>>,
    scenarios: &[Scenario],
    seed: u64,
    target_choice: &Choice,
) -> Vec<Arc<Workload>> {
    let is_own = |scenario: &Scenario| strands.iter().any(|strand| strand.scenario == Some(&scenario.name));
    let shared: Vec<usize> = (0..scenarios.len()).filter(|number| !is_own(&scenarios[*number])).collect();
    let mut first_stage = 0;
    let workloads = strands.into_iter().zip(0_u64..).map(|(strand, number)| {
        let name = strand.scenario.map(str::to_owned);
        let walked = match &name {
            None => shared.clone(),
            Some(name) => scenarios.iter().position(|scenario| scenario.name == *name).into_iter().collect(),
        };
        let workload = Workload {
            scenario_choice: Choice::new(0, walked.iter().map(|scenario| scenarios[*scenario].weight)),
            name,
            load: strand.load,
            scenarios: walked,
            first_stage: StageId(first_stage),
            // That of the first is the plan's, as if there were no others.
            seed: if number == 0 { seed } else { mix(seed ^ mix(number)) },
            target_choice: target_choice.clone(),
        };
        first_stage += u16::try_from(workload.stages().len()).unwrap_or(u16::MAX);
        Arc::new(workload)
    });
    workloads.collect()
}

impl Workload {
    /// The same for the only scenario of a plan.
    pub(crate) fn of_one(&self, seed: u64) -> Self {
        let scenario_choice = Choice::new(0, [1]);
        Self {
            name: None,
            scenarios: vec![0],
            first_stage: StageId(0),
            seed,
            scenario_choice,
            ..self.clone()
        }
    }

    /// Its stages, of which the first has the number [`Workload::first_stage`]; one where the model has none.
    pub fn stages(&self) -> Vec<StageInfo> {
        StageInfo::of(&self.load, self.name.as_deref())
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
        let schedule = match &self.load {
            Load::Avalanche { .. } | Load::Closed { .. } => None,
            Load::Tsunami { requests_per_driver, delay, limit, .. } => {
                Some(Schedule::tsunami(*requests_per_driver, *delay, *limit))
            }
            Load::Open { arrivals: Process::Uniform, stages, .. } => Some(Schedule::open(stages)),
            Load::Open { arrivals: Process::Poisson, stages, .. } => {
                Some(Schedule::poisson(stages, self.seed))
            }
        };
        schedule.map(|schedule| schedule.numbered_from(self.first_stage))
    }

    /// How many users there are when; `None` in the models without users.
    pub fn population(&self) -> Option<Population> {
        match &self.load {
            Load::Closed { stages, .. } => Some(Population::new(stages).numbered_from(self.first_stage)),
            Load::Avalanche { .. } | Load::Tsunami { .. } | Load::Open { .. } => None,
        }
    }

    /// The index of iteration `number` of a user that came at `came_ns`. It is of the user's lane, and no iteration of
    /// the same user has it again after the user went and came back: they are numbered on from the second it came in.
    pub fn iteration_of(user: u32, came_ns: u64, number: u64) -> u64 {
        let first = (came_ns / 1_000_000_000) << SECOND_PLACES;
        first.wrapping_add(number) << USER_PLACES | u64::from(user)
    }

    /// Users and iterations, where the plan says how many all users walk in all.
    fn counted(&self) -> Option<(u64, u64)> {
        let Load::Closed { stages, iterations: Some(iterations), .. } = &self.load else { return None };
        Some((stages.first().map_or(1, |stage| u64::from(stage.from)).max(1), *iterations))
    }

    /// How many iterations a user walks in all, where the plan says how many all users do: they differ by one at most.
    pub fn iterations_of(&self, user: u32) -> Option<u64> {
        let ((users, iterations), user) = (self.counted()?, u64::from(user));
        Some(if user < users { iterations / users + u64::from(user < iterations % users) } else { 0 })
    }

    /// How many iterations the users of some lanes walk in all, where the plan says how many all users do.
    pub fn iterations_in(&self, lanes: &LaneSet) -> Option<u64> {
        let (users, iterations) = self.counted()?;
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
    #[inline]
    pub fn scenario_of(&self, index: u64) -> usize {
        let chosen = self.scenario_choice.of(self.seed, index);
        self.scenarios.get(chosen).copied().unwrap_or(0)
    }

    /// The index of the target that iteration `index` is sent to: weighted, and a pure function of seed and index.
    #[inline]
    pub fn target_of(&self, index: u64) -> usize {
        self.target_choice.of(self.seed, index)
    }

    /// Iterations that it asks of `drivers` drivers in all; `None` where the responses decide.
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
        match &self.load {
            Load::Avalanche { .. } | Load::Closed { iterations: Some(_), .. } => None,
            Load::Tsunami { .. } => self.schedule().map(|schedule| Duration::from_nanos(schedule.end_ns())),
            Load::Open { stages, .. } => Some(stages.iter().map(|stage| stage.duration).sum()),
            Load::Closed { stages, .. } => Some(stages.iter().map(|stage| stage.duration).sum()),
        }
    }
}

impl StageInfo {
    /// From when to when, in nanoseconds since the start of the run; `u64::MAX`: until all is done.
    pub fn span_ns(&self) -> (u64, u64) {
        let from_ns = nanos(self.begins);
        (from_ns, self.duration.map_or(u64::MAX, |duration| from_ns.saturating_add(nanos(duration))))
    }

    fn of(load: &Load, scenario: Option<&str>) -> Vec<Self> {
        let mut infos = match load {
            Load::Avalanche { limit, .. } => {
                let rate_per_s = limit.map(|limit| (limit.per_second(), limit.per_second()));
                vec![Self { rate_per_s, ..Self::only("avalanche") }]
            }
            Load::Tsunami { requests_per_driver, delay, limit, .. } => {
                let schedule = Schedule::tsunami(*requests_per_driver, *delay, *limit);
                let duration = Some(Duration::from_nanos(schedule.end_ns()));
                let rate_per_s = Some((schedule.rate_at(0), schedule.rate_at(0)));
                vec![Self { duration, rate_per_s, ..Self::only("tsunami") }]
            }
            Load::Open { stages, .. } => Self::all(stages, |info, stage| {
                info.rate_per_s = Some((stage.from.per_second(), stage.to.per_second()));
            }),
            Load::Closed { stages, iterations, .. } => Self::all(stages, |info, stage| {
                info.users = Some((stage.from, stage.to));
                info.duration = info.duration.filter(|_| iterations.is_none());
            }),
        };
        if let Some(scenario) = scenario {
            infos.iter_mut().for_each(|info| info.name = format!("{scenario}/{}", info.name));
        }
        infos
    }

    fn only(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            warmup: false,
            begins: Duration::ZERO,
            duration: None,
            rate_per_s: None,
            users: None,
        }
    }

    fn all<L>(stages: &[Stage<L>], add: impl Fn(&mut Self, &Stage<L>)) -> Vec<Self> {
        let mut begins = Duration::ZERO;
        let infos = stages.iter().map(|stage| {
            let mut info = Self {
                warmup: stage.warmup,
                begins,
                duration: Some(stage.duration),
                ..Self::only(&stage.name)
            };
            begins += stage.duration;
            add(&mut info, stage);
            info
        });
        infos.collect()
    }
}
