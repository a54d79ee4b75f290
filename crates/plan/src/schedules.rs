//! The intended times of all workloads of a plan together: what is asked of the fleet when.

use crate::plan::Plan;
use crate::schedule::{Schedule, StageId};
use crate::share::LaneSet;

/// The schedules of loads side by side, with all changes of rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedules {
    /// Each with the number behind that of its last stage.
    each: Vec<(u16, Schedule)>,
}

impl Schedules {
    /// Those of `plan`; `None` where responses decide, be it in one of its loads.
    pub fn of(plan: &Plan) -> Option<Self> {
        let each = plan.workloads.iter().map(|workload| {
            let stages = u16::try_from(workload.stages().len()).unwrap_or(u16::MAX);
            Some((workload.first_stage.0.saturating_add(stages), workload.schedule()?))
        });
        each.collect::<Option<_>>().map(|each| Self { each })
    }

    /// With `factor` on the plan's rates from `from_ns` on, as [`Schedule::scaled_from`].
    pub fn scaled_from(&self, from_ns: u64, factor: f64) -> Self {
        let scaled =
            self.each.iter().map(|(stages, schedule)| (*stages, schedule.scaled_from(from_ns, factor)));
        Self { each: scaled.collect() }
    }

    /// When the last of them ends.
    pub fn end_ns(&self) -> u64 {
        self.each.iter().map(|(_, schedule)| schedule.end_ns()).max().unwrap_or(0)
    }

    /// How many arrivals of `lanes` lie in `from_ns..to_ns`. Those of a Poisson process are walked for it.
    pub fn count_in(&self, lanes: &LaneSet, from_ns: u64, to_ns: u64) -> u64 {
        self.each.iter().map(|(_, schedule)| schedule.count_in(lanes, from_ns, to_ns)).sum()
    }

    /// Arrivals per second at `ns`.
    pub fn rate_at(&self, ns: u64) -> f64 {
        self.each.iter().map(|(_, schedule)| schedule.rate_at(ns)).sum()
    }

    /// How many arrivals of a stage the rates ask for in `from_ns..to_ns`, which lies within it.
    pub fn expected_in(&self, stage: StageId, from_ns: u64, to_ns: u64) -> f64 {
        let schedule = self.each.iter().find(|(end, _)| stage.0 < *end);
        schedule.map_or(0.0, |(_, schedule)| schedule.expected_in(from_ns, to_ns))
    }
}
