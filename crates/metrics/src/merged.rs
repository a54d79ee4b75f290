//! Everything measured of one run, whatever order its windows came in.
//!
//! A window is added once; that it is, by its identity, is the duty of whoever calls. Steps and stages are totals over
//! all drivers, drivers are totals over all steps. Deliberately absent: seconds. A series over time is made from
//! windows, not from this.

use std::collections::BTreeMap;

use plan::{StageId, StepId};

use crate::accounting::sum;
use crate::verdict::{Causes, causes_of};
use crate::{DriverWindow, Missed, Outcome, StageWindow, StepWindow, Timing, Totals};

/// What one driver did in a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DriverTotals {
    /// Requests that left.
    pub requests_sent: u64,
    /// Requests that succeeded.
    pub succeeded: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests in flight when the drain ended.
    pub cancelled: u64,
    /// Iterations started.
    pub started: u64,
    /// Iterations whose intended time came.
    pub due: u64,
    /// Iterations that were never started.
    pub missed: Missed,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// How late requests left.
    pub send_lag: Timing,
    /// Seconds measured.
    pub seconds: u64,
    /// How many seconds were noted for exactly this set of causes; seconds without any are not in it.
    pub noted: BTreeMap<Causes, u64>,
    /// The sum over the measured seconds of the CPU used, in thousandths of a core.
    pub cpu_permille_sum: u64,
    /// The first run second after the last window.
    pub last_second: u32,
    /// Windows added.
    pub windows: u64,
    /// What the driver said at its end.
    pub final_totals: Option<Totals>,
}

impl DriverTotals {
    /// Adds one window, or one part of it.
    pub fn add(&mut self, window: &DriverWindow) {
        let add = |a: &mut u64, b: u64| *a = a.saturating_add(b);
        for step in window.of_requests() {
            add(&mut self.requests_sent, step.sent);
            add(&mut self.succeeded, step.succeeded());
            add(&mut self.failed, step.failures());
            add(&mut self.cancelled, step.cancelled);
            add(&mut self.bytes_in, step.bytes_in);
            add(&mut self.bytes_out, step.bytes_out);
        }
        for stage in &window.stages {
            add(&mut self.due, stage.due);
            add(&mut self.started, stage.started);
            self.missed.merge(&stage.missed);
            self.send_lag.merge(&stage.send_lag);
        }
        self.last_second = self.last_second.max(window.to_s);
        // A window that nobody judged is judged by what it holds, unless it is a further part of one.
        let causes = window.gauges.causes.or_else(|| (!window.stages.is_empty()).then(|| causes_of(window)));
        if let Some(causes) = causes {
            let seconds = u64::from(window.seconds());
            add(&mut self.windows, 1);
            add(&mut self.seconds, seconds);
            add(&mut self.cpu_permille_sum, u64::from(window.gauges.cpu_permille).saturating_mul(seconds));
            if !causes.is_empty() {
                add(self.noted.entry(causes).or_default(), seconds);
            }
        }
    }

    /// Adds all that `other` did.
    pub fn merge(&mut self, other: &Self) {
        let add = |a: &mut u64, b: u64| *a = a.saturating_add(b);
        add(&mut self.requests_sent, other.requests_sent);
        add(&mut self.succeeded, other.succeeded);
        add(&mut self.failed, other.failed);
        add(&mut self.cancelled, other.cancelled);
        add(&mut self.started, other.started);
        add(&mut self.due, other.due);
        self.missed.merge(&other.missed);
        add(&mut self.bytes_in, other.bytes_in);
        add(&mut self.bytes_out, other.bytes_out);
        self.send_lag.merge(&other.send_lag);
        add(&mut self.seconds, other.seconds);
        for (&causes, &seconds) in &other.noted {
            add(self.noted.entry(causes).or_default(), seconds);
        }
        add(&mut self.cpu_permille_sum, other.cpu_permille_sum);
        self.last_second = self.last_second.max(other.last_second);
        add(&mut self.windows, other.windows);
        if let Some(totals) = &other.final_totals {
            self.finish(totals);
        }
    }

    /// Notes what the driver said at its end; a further incarnation's totals are added.
    pub fn finish(&mut self, totals: &Totals) {
        self.final_totals.get_or_insert_default().merge(totals);
    }

    /// Seconds that were noted for causes of which `counts` holds.
    pub fn seconds_noted(&self, counts: impl Fn(Causes) -> bool) -> u64 {
        sum(self.noted.iter().filter(|(causes, _)| counts(**causes)).map(|(_, &seconds)| seconds))
    }

    /// The sums of the windows in the form in which the driver says its own.
    pub fn totals(&self) -> Totals {
        Totals {
            due: self.due,
            started: self.started,
            missed: self.missed,
            requests_sent: self.requests_sent,
            succeeded: self.succeeded,
            failed: self.failed,
            cancelled: self.cancelled,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            windows: self.windows,
            events: None,
        }
    }

    /// Mean CPU over the measured seconds, in percent of one core.
    pub fn cpu_percent(&self) -> Option<f64> {
        (self.seconds > 0).then(|| self.cpu_permille_sum as f64 / self.seconds as f64 / 10.0)
    }
}

/// Everything measured of one run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Merged {
    /// Per stage and step.
    pub steps: BTreeMap<(StageId, StepId), StepWindow>,
    /// Per stage.
    pub stages: BTreeMap<StageId, StageWindow>,
    /// Per driver, by its node id.
    pub drivers: BTreeMap<String, DriverTotals>,
}

impl Merged {
    /// Nothing measured.
    pub const fn new() -> Self {
        Self { steps: BTreeMap::new(), stages: BTreeMap::new(), drivers: BTreeMap::new() }
    }

    /// Adds one window of a driver, or one part of it.
    pub fn add(&mut self, node_id: &str, window: &DriverWindow) {
        self.add_rows(window);
        self.driver(node_id).add(window);
    }

    /// Adds a window's steps and stages, and no driver's totals.
    pub fn add_rows(&mut self, window: &DriverWindow) {
        for step in &window.steps {
            self.add_step(step);
        }
        for stage in &window.stages {
            self.add_stage(stage);
        }
    }

    /// Adds the measurements of one step.
    pub fn add_step(&mut self, step: &StepWindow) {
        self.steps
            .entry((step.stage, step.step))
            .or_insert_with(|| StepWindow::new(step.step, step.stage))
            .merge(step);
    }

    /// Adds the measurements of one stage.
    pub fn add_stage(&mut self, stage: &StageWindow) {
        self.stages.entry(stage.stage).or_insert_with(|| StageWindow::new(stage.stage)).merge(stage);
    }

    /// The totals of a driver, empty ones when it is new.
    pub fn driver(&mut self, node_id: &str) -> &mut DriverTotals {
        // Most calls find the driver, so its name is copied only when it is new.
        if !self.drivers.contains_key(node_id) {
            self.drivers.insert(node_id.to_owned(), DriverTotals::default());
        }
        self.drivers.get_mut(node_id).expect("was inserted above when it was missing")
    }

    /// Adds all that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        other.steps.values().for_each(|step| self.add_step(step));
        other.stages.values().for_each(|stage| self.add_stage(stage));
        for (node_id, totals) in &other.drivers {
            self.driver(node_id).merge(totals);
        }
    }

    /// One row over all stages that `measured` accepts, such as those that are no warm-up.
    pub fn step(&self, step: StepId, measured: impl Fn(StageId) -> bool) -> StepWindow {
        self.steps_where(|id, stage| id == step && measured(stage))
    }

    /// All rows of steps over all stages that `measured` accepts; step and stage of the result mean nothing.
    pub fn all_steps(&self, measured: impl Fn(StageId) -> bool) -> StepWindow {
        self.steps_where(|step, stage| step.group().is_none() && measured(stage))
    }

    fn steps_where(&self, wanted: impl Fn(StepId, StageId) -> bool) -> StepWindow {
        let mut total = StepWindow::new(StepId(0), StageId(0));
        for (&(stage, step), window) in &self.steps {
            if wanted(step, stage) {
                (total.step, total.stage) = (step, stage);
                total.merge(window);
            }
        }
        total
    }

    /// All stages that `measured` accepts; the stage of the result means nothing.
    pub fn all_stages(&self, measured: impl Fn(StageId) -> bool) -> StageWindow {
        let mut total = StageWindow::new(StageId(0));
        self.stages.values().filter(|window| measured(window.stage)).for_each(|window| total.merge(window));
        total
    }

    /// How often each outcome occurred in the stages that `measured` accepts, ascending by outcome.
    pub fn outcomes(&self, measured: impl Fn(StageId) -> bool) -> BTreeMap<Outcome, u64> {
        let mut total = BTreeMap::new();
        for window in self.steps.values().filter(|window| measured(window.stage)) {
            for &(outcome, count) in &window.outcomes {
                let held: &mut u64 = total.entry(outcome).or_default();
                *held = held.saturating_add(count);
            }
        }
        total
    }

    /// The sum over all drivers, as their windows say it.
    pub fn totals(&self) -> Totals {
        let mut total = Totals::default();
        self.drivers.values().for_each(|driver| total.merge(&driver.totals()));
        total
    }
}
