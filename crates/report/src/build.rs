//! From measurements to the summary.
//!
//! Invariants: percentiles come from merged histograms; warm-up stages are left out here and nowhere else; a number that
//! nobody measured stays absent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use metrics::threshold::{Judged, Standing};
use metrics::verdict::Reason;
use metrics::{
    Accounting, Merged, Outcome, Pair, Phase, PhaseTimings, StageWindow, StepWindow, Timing, Verdict,
};
use plan::{Plan, StageId, StepId, Threshold, Workload};

use crate::summary::{
    AccountingSummary, Bytes, DriverSummary, ErrorSummary, GroupSummary, IterationCounts, PhaseSummary,
    Rates, ReasonSummary, RequestCounts, SCHEMA, StepSummary, Summary, ThresholdSummary, Times,
    VerdictSummary,
};
use crate::time::rfc3339;

/// What is known of a run beside its plan and its measurements.
#[derive(Debug, Clone, Default)]
pub struct RunFacts {
    /// Identity of the run.
    pub run_id: String,
    /// Where it stands, such as `finished`.
    pub state: String,
    /// Unix milliseconds.
    pub started_ms: Option<i64>,
    /// Seconds from the start to the end, or to now.
    pub duration_s: Option<f64>,
    /// Seconds from the start until somebody or something ended the load, before its plan did.
    pub stopped_s: Option<f64>,
    /// Seconds of those outside of warm-up and drain; derived from the plan when it is not said.
    pub measured_s: Option<f64>,
    /// Iterations per second asked for, over all drivers; the plan's own rate when it is not said. To be said when the
    /// rate was changed during the run.
    pub planned_per_s: Option<f64>,
    /// The drivers of the run; those that only the measurements know are added.
    pub drivers: Vec<DriverFacts>,
    /// What no window tells about the measured part; what is not said is taken from the accounts of the whole run where
    /// that is the same.
    pub unmeasured: Unmeasured,
    /// How the thresholds of the plan stand, in its order; those that are not said have no data.
    pub thresholds: Vec<Judged>,
    /// Why teardown did not do what it should.
    pub teardown_fault: Option<String>,
}

/// What windows cannot tell, of the measured part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unmeasured {
    /// Iterations due on lost drivers after their last report.
    pub lost: Option<u64>,
    /// Iterations sent by two drivers while a share moved.
    pub overlap: Option<u64>,
    /// Requests of lost drivers of which nobody knows what became.
    pub unknown: Option<u64>,
}

/// What is known of a driver beside its measurements.
#[derive(Debug, Clone, Default)]
pub struct DriverFacts {
    /// The driver.
    pub node_id: String,
    /// Its state in the run.
    pub state: String,
    /// Requests it says it sent, for a driver that reports no windows.
    pub requests_sent: Option<u64>,
}

impl Summary {
    /// The summary of a run as far as it is measured.
    pub fn build(
        facts: &RunFacts,
        plan: &Plan,
        merged: &Merged,
        verdict: &Verdict,
        accounting: &Accounting,
    ) -> Self {
        let measured = Measured::new(facts, plan, merged, accounting);
        let (all, stages) = (&measured.all, &measured.stages);
        let absent =
            (0..plan.rows().len()).fold(0, |sum: u64, row| sum.saturating_add(measured.absent(plan, row)));
        Self {
            schema: SCHEMA.to_owned(),
            run_id: facts.run_id.clone(),
            plan: plan.name.clone(),
            state: facts.state.clone(),
            loop_kind: plan.loop_kind().as_str().to_owned(),
            started_at: facts.started_ms.map(rfc3339),
            duration_s: facts.duration_s,
            measured_s: measured.seconds,
            verdict: verdict_summary(verdict),
            iterations: measured.iterations(),
            requests: measured.requests(all),
            rate: measured.rates(facts, plan),
            bytes: Bytes {
                received: measured.known.then_some(all.bytes_in),
                sent: measured.known.then_some(all.bytes_out),
            },
            response_time_ms: times(&response(all), absent),
            service_time_ms: times(&service(all), absent),
            send_lag_ms: times(&stages.send_lag, 0),
            connection_wait_ms: times(&stages.connection_wait, stages.missed.target),
            iteration_time_ms: times(
                &stages.iteration_time,
                stages.missed.total().saturating_add(all.cancelled),
            ),
            steps: (0..plan.rows().len()).map(|row| measured.step(plan, row)).collect(),
            groups: (0..).zip(plan.groups()).map(|(number, name)| measured.group(number, name)).collect(),
            errors: errors(all),
            drivers: drivers(facts, merged),
            thresholds: thresholds(&plan.thresholds, &facts.thresholds),
            accounting: accounting_summary(merged, accounting),
            teardown_fault: facts.teardown_fault.clone(),
        }
    }
}

/// The measured part of a run: what its windows say without warm-up.
struct Measured<'a> {
    merged: &'a Merged,
    warmup: BTreeSet<StageId>,
    all: StepWindow,
    /// One for each row of the plan: they are looked at several times, and made from histograms once.
    rows: Vec<StepWindow>,
    stages: StageWindow,
    /// Missed iterations of each workload.
    missed: Vec<u64>,
    /// Whether any window belongs to it.
    known: bool,
    seconds: Option<f64>,
    unmeasured: Unmeasured,
}

impl<'a> Measured<'a> {
    fn new(facts: &RunFacts, plan: &Plan, merged: &'a Merged, accounting: &Accounting) -> Self {
        let warmup: BTreeSet<StageId> = (0..=u16::MAX)
            .zip(plan.stages())
            .filter_map(|(id, stage)| stage.warmup.then_some(StageId(id)))
            .collect();
        let is_measured = |stage| !warmup.contains(&stage);
        // Without warm-up the measured part is the whole; and where the whole has none, no part has any.
        let whole = |count: u64| (count == 0 || warmup.is_empty()).then_some(count);
        let said = &facts.unmeasured;
        let unmeasured = Unmeasured {
            lost: said.lost.or(whole(accounting.iterations.lost)),
            overlap: said.overlap.or(whole(accounting.iterations.overlap)),
            unknown: said.unknown.or(whole(accounting.requests.unknown)),
        };
        let mut missed = vec![0; plan.workloads.len()];
        for (stage, window) in merged.stages.iter().filter(|(stage, _)| is_measured(**stage)) {
            let after = plan.workloads.partition_point(|workload| workload.first_stage <= *stage);
            if let Some(missed) = after.checked_sub(1).and_then(|number| missed.get_mut(number)) {
                *missed += window.missed.total();
            }
        }
        Self {
            merged,
            missed,
            all: merged.all_steps(is_measured),
            rows: rows(merged, plan, is_measured),
            stages: merged.all_stages(is_measured),
            known: merged.stages.keys().copied().any(is_measured)
                || merged.steps.keys().any(|(stage, _)| is_measured(*stage)),
            seconds: facts.measured_s.or_else(|| measured_s(facts, plan)),
            unmeasured,
            warmup,
        }
    }

    fn iterations(&self) -> IterationCounts {
        if !self.known {
            return IterationCounts::default();
        }
        let StageWindow { due, started, missed, .. } = &self.stages;
        let lost = self.unmeasured.lost;
        // What was due on a lost driver after its last report is in no window.
        let unreported =
            lost.map_or(0, |lost| lost.saturating_sub(due.saturating_sub(*started + missed.total())));
        IterationCounts {
            due: Some(due.saturating_add(unreported)),
            started: Some(*started),
            missed: Some(missed.total()),
            lost,
            overlap: self.unmeasured.overlap,
        }
    }

    fn requests(&self, window: &StepWindow) -> RequestCounts {
        if !self.known {
            return RequestCounts::default();
        }
        let recorded = window.succeeded().saturating_add(window.failures()).saturating_add(window.cancelled);
        let unknown = self.unmeasured.unknown;
        let unreported =
            unknown.map_or(0, |unknown| unknown.saturating_sub(window.sent.saturating_sub(recorded)));
        RequestCounts {
            sent: Some(window.sent.saturating_add(unreported)),
            succeeded: Some(window.succeeded()),
            failed: Some(window.failures()),
            cancelled: Some(window.cancelled),
            unknown,
        }
    }

    fn rates(&self, facts: &RunFacts, plan: &Plan) -> Rates {
        let per_second = |count: u64| {
            self.seconds
                .filter(|seconds| self.known && *seconds > 0.0)
                .map(|seconds| rounded(count as f64 / seconds, 1e6))
        };
        Rates {
            planned_per_s: facts.planned_per_s.or_else(|| plan.planned_per_s(facts.drivers.len())),
            achieved_per_s: per_second(self.stages.started),
            requests_per_s: per_second(self.all.sent),
        }
    }

    fn step(&self, plan: &Plan, row: usize) -> StepSummary {
        let window = &self.rows[row];
        let absent = self.absent(plan, row);
        StepSummary {
            name: plan.rows()[row].clone(),
            // Nobody knows which step a lost driver's unreported requests were of.
            requests: RequestCounts {
                sent: self.known.then_some(window.sent),
                unknown: self.unmeasured.unknown.filter(|unknown| *unknown == 0),
                ..self.requests(window)
            },
            response_time_ms: times(&response(window), absent),
            service_time_ms: times(&service(window), absent),
            phases: window.phases.as_deref().map(phases),
            errors: errors(window),
        }
    }

    fn group(&self, number: u16, name: &str) -> GroupSummary {
        let window = self.merged.step(StepId::of_group(number), |stage| !self.warmup.contains(&stage));
        GroupSummary {
            name: name.to_owned(),
            succeeded: self.known.then_some(window.succeeded()),
            failed: self.known.then_some(window.failures()),
            group_time_ms: times(&response(&window), 0),
        }
    }

    /// Requests of a row that left no time: cancelled ones, and those of missed iterations, which are divided over the
    /// scenarios of their load by the weights.
    fn absent(&self, plan: &Plan, row: usize) -> u64 {
        let of_load = |(workload, missed): (&Arc<Workload>, &u64)| {
            let scenarios = || workload.scenarios.iter().filter_map(|number| plan.scenarios.get(*number));
            let all: u128 = scenarios().map(|scenario| u128::from(scenario.weight)).sum();
            let visits = scenarios().map(|scenario| {
                let steps = scenario.steps.iter().filter(|step| usize::from(step.id.0) == row).count();
                u128::from(scenario.weight) * steps as u128
            });
            (u128::from(*missed) * visits.sum::<u128>()).div_ceil(all.max(1))
        };
        let missed: u128 = plan.workloads.iter().zip(&self.missed).map(of_load).sum();
        self.rows[row].cancelled.saturating_add(u64::try_from(missed).unwrap_or(u64::MAX))
    }
}

/// What was measured of each row of the plan, over the stages that `is_measured` accepts.
fn rows(merged: &Merged, plan: &Plan, is_measured: impl Fn(StageId) -> bool) -> Vec<StepWindow> {
    let mut rows: Vec<Option<StepWindow>> = vec![None; plan.rows().len()];
    for (&(stage, step), window) in &merged.steps {
        let Some(row) = rows.get_mut(usize::from(step.0)).filter(|_| is_measured(stage)) else { continue };
        match row {
            Some(row) => row.merge(window),
            None => *row = Some(window.clone()),
        }
    }
    rows.into_iter().map(|row| row.unwrap_or_else(|| StepWindow::new(StepId(0), StageId(0)))).collect()
}

/// The seconds of the run in which arrivals came and counted.
fn measured_s(facts: &RunFacts, plan: &Plan) -> Option<f64> {
    let duration_s = facts.stopped_s.unwrap_or(f64::INFINITY).min(facts.duration_s?);
    let arrivals_s = plan.duration().map_or(duration_s, |planned| planned.as_secs_f64().min(duration_s));
    Some((arrivals_s - plan.warmup().as_secs_f64()).max(0.0))
}

fn merged_pair(window: &StepWindow, pick: impl Fn(&Pair) -> &Timing) -> Timing {
    let mut all = pick(&window.ok).clone();
    all.merge(pick(&window.failed));
    all
}

fn response(window: &StepWindow) -> Timing {
    merged_pair(window, |pair| &pair.response)
}

fn service(window: &StepWindow) -> Timing {
    merged_pair(window, |pair| &pair.service)
}

/// The figures of a timing, of which `absent` more samples should have been.
fn times(timing: &Timing, absent: u64) -> Times {
    let Some(stats) = timing.stats() else { return Times::default() };
    let ms = |value: f64| Some(rounded(value, 1e6));
    Times {
        mean: ms(stats.mean),
        median: ms(stats.median),
        min: ms(stats.min),
        max: ms(stats.max),
        stddev: ms(stats.stddev),
        p50: ms(stats.p50),
        p75: ms(stats.p75),
        p90: ms(stats.p90),
        p95: ms(stats.p95),
        p99: ms(stats.p99),
        p99_9: ms(stats.p99_9),
        p99_99: ms(stats.p99_99),
        lower_bound_from: metrics::lower_bound_from(stats.count, absent).map(|first| first.name.to_owned()),
    }
}

fn phases(timings: &PhaseTimings) -> PhaseSummary {
    let figures = |phase| times(timings.get(phase), 0);
    PhaseSummary {
        lookup_ms: figures(Phase::Lookup),
        connect_ms: figures(Phase::Connect),
        tls_ms: figures(Phase::Tls),
        sending_ms: figures(Phase::Sending),
        waiting_ms: figures(Phase::Waiting),
        receiving_ms: figures(Phase::Receiving),
    }
}

/// Without digits that are below what is measured: milliseconds to the nanosecond.
fn rounded(value: f64, per_unit: f64) -> f64 {
    (value * per_unit).round() / per_unit
}

fn errors(window: &StepWindow) -> Vec<ErrorSummary> {
    let mut errors: BTreeMap<(&str, Option<String>), u64> = BTreeMap::new();
    for &(outcome, count) in &window.outcomes {
        let Outcome::Failed(kind, _) = outcome else { continue };
        *errors.entry((kind.as_str(), outcome.detail())).or_default() += count;
    }
    let mut errors: Vec<ErrorSummary> = errors
        .into_iter()
        .map(|((kind, detail), count)| ErrorSummary { kind: kind.to_owned(), detail, count })
        .collect();
    errors.sort_by_key(|error| std::cmp::Reverse(error.count));
    errors
}

fn verdict_summary(verdict: &Verdict) -> VerdictSummary {
    let summary = |reason: &Reason| ReasonSummary {
        code: reason.code.to_owned(),
        driver: reason.driver.clone(),
        seconds: reason.seconds,
        text: reason.text.clone(),
    };
    VerdictSummary {
        value: verdict.value.as_str().to_owned(),
        reasons: verdict.reasons.iter().map(summary).collect(),
        findings: verdict.findings.iter().map(summary).collect(),
        target_saturated: verdict.target_saturated,
    }
}

/// One line per threshold of a plan; also for those who show them without a whole summary.
pub fn thresholds(thresholds: &[Threshold], judged: &[Judged]) -> Vec<ThresholdSummary> {
    const UNKNOWN: Judged =
        Judged { standing: Standing::NoData, observed: None, first_breach_s: None, aborted: false };
    let judged = judged.iter().chain(std::iter::repeat(&UNKNOWN));
    let summary = |(threshold, judged): (&Threshold, &Judged)| ThresholdSummary {
        expression: threshold.expression.clone(),
        scope: threshold.scope_name.clone(),
        result: judged.standing.as_str().to_owned(),
        observed: judged.observed.map(|observed| rounded(observed, 1e6)),
        limit: Some(threshold.limit),
        unit: threshold.measure.unit().map(str::to_owned),
        first_breach_s: judged.first_breach_s,
        failed: judged.fails(threshold),
        aborted: judged.aborted,
    };
    thresholds.iter().zip(judged).map(summary).collect()
}

fn drivers(facts: &RunFacts, merged: &Merged) -> Vec<DriverSummary> {
    let known: BTreeMap<&str, &DriverFacts> =
        facts.drivers.iter().map(|driver| (driver.node_id.as_str(), driver)).collect();
    let names: BTreeSet<&str> =
        known.keys().copied().chain(merged.drivers.keys().map(String::as_str)).collect();
    let summary = |node_id: &str| {
        let (facts, totals) = (known.get(node_id), merged.drivers.get(node_id));
        DriverSummary {
            node_id: node_id.to_owned(),
            state: facts.map_or("unknown", |facts| &facts.state).to_owned(),
            requests_sent: totals
                .map(|totals| totals.requests_sent)
                .max(facts.and_then(|facts| facts.requests_sent)),
            send_lag_p99_us: totals
                .and_then(|totals| totals.send_lag.quantile(0.99))
                .map(|ns| rounded(ns as f64 / 1e3, 1e3)),
            cpu_percent: totals
                .and_then(metrics::DriverTotals::cpu_percent)
                .map(|percent| rounded(percent, 10.0)),
        }
    };
    names.into_iter().map(summary).collect()
}

fn accounting_summary(merged: &Merged, accounting: &Accounting) -> AccountingSummary {
    if merged.drivers.is_empty() && *accounting == Accounting::default() {
        return AccountingSummary { balanced: true, ..AccountingSummary::default() };
    }
    let requests = &accounting.requests;
    let recorded = requests.succeeded.saturating_add(requests.failed).saturating_add(requests.cancelled);
    AccountingSummary {
        iterations_due: Some(accounting.iterations.due),
        iterations_started: Some(accounting.iterations.started),
        requests_sent: Some(requests.sent),
        requests_recorded: Some(recorded),
        events_produced: accounting.events.produced,
        events_stored: accounting.events.stored,
        events_dropped: accounting.events.dropped,
        balanced: accounting.balanced(),
    }
}
