//! The result of a run, under way or over: what was measured, what became of it, and whether it can be trusted.
//!
//! Invariant: a run just ended and the same run read from the store a year later give the same result. Deliberately
//! absent: the form in which it is told, which is the business of `report`.

use std::sync::Arc;

use metrics::threshold::{Judged, Standing, Tracker};
use metrics::verdict::{self, Context, Verdict};
use metrics::{Accounting, LostDriver, Merged};
use plan::{Load, Plan, Schedules};
use serde::{Deserialize, Serialize};
use store::{Reader, RunRow};

use crate::handle::Failure;
use crate::orchestrator::Outcome;
use crate::view::{RunDriver, RunState, RunView, TimelineEvent};

/// Everything there is to say of one run.
#[derive(Debug, Clone)]
pub struct RunResult {
    /// State, times, drivers, timeline.
    pub view: RunView,
    /// What was measured, merged over all drivers.
    pub merged: Merged,
    /// The identities and their terms.
    pub accounting: Accounting,
    /// Could the generators do what the plan asked?
    pub verdict: Verdict,
    /// Whether the totals of every driver equal what was merged and stored; `None` until the run is over.
    pub complete: Option<bool>,
    /// Drivers that were lost.
    pub lost_drivers: Vec<LostDriver>,
    /// Why teardown did not do what it should.
    pub teardown_fault: Option<String>,
}

/// Says what lists show of a result; whoever tells results in words knows how.
pub type Summarise = fn(&RunResult) -> store::Figures;

impl RunResult {
    pub(crate) fn new(mut view: RunView, merged: Merged, ending: Option<&Ending>) -> Self {
        let context = context(&view, ending);
        let verdict = verdict::judge(&merged, &context);
        view.verdict = verdict.clone();
        let mut accounting = Accounting::of(&merged, &context.lost, context.overlap);
        accounting.events.stored = ending.and_then(|ending| ending.events_stored);
        let complete = ending.map(|ending| ending.complete);
        let teardown_fault = ending.and_then(|ending| ending.teardown_fault.clone());
        Self { view, merged, accounting, verdict, complete, lost_drivers: context.lost, teardown_fault }
    }

    /// The result of a run that is in the store; `None` when there is no such run.
    pub fn load(reader: &Reader, run_id: &str) -> Result<Option<Self>, Failure> {
        let Some((row, plan, ending)) = read(reader, run_id)? else { return Ok(None) };
        let merged = reader.load(run_id)?;
        let events = reader.events(run_id)?.into_iter().map(event).collect();
        let mut view = view_of(&row, plan, ending.as_ref(), &merged, events);
        let judged = ending.as_ref().and_then(|ending| ending.thresholds(&view.plan));
        view.thresholds = match judged {
            Some(judged) => judged,
            None => judge_again(reader, &view, &merged)?,
        };
        let mut result = Self::new(view, merged, ending.as_ref());
        // By now, it may have more than at the end of the run.
        let stored = reader.events_stored(run_id)?;
        let is_here = stored > 0 || result.accounting.events.stored.is_some();
        result.accounting.events.stored = is_here.then_some(stored);
        Ok(Some(result))
    }
}

impl RunView {
    /// A run that is in the store, without anything that is measured: what was sent, the verdict, how thresholds stand.
    /// Its timeline is left out, too.
    pub fn load(reader: &Reader, run_id: &str) -> Result<Option<Self>, Failure> {
        let read = read(reader, run_id)?;
        Ok(read.map(|(row, plan, ending)| view_of(&row, plan, ending.as_ref(), &Merged::new(), Vec::new())))
    }
}

/// A run's row, with what is in it.
type Stored = (RunRow, Arc<Plan>, Option<Ending>);

fn read(reader: &Reader, run_id: &str) -> Result<Option<Stored>, Failure> {
    let Some(row) = reader.run(run_id)? else { return Ok(None) };
    let plan = plan::parse("stored plan", &row.plan_source).map_err(|_| Failure::Plan(run_id.to_owned()))?;
    let extras = row.extras.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let ending = match extras {
        Some(Extras::Ending(ending)) => Some(ending),
        Some(Extras::Record(_)) | None => None,
    };
    Ok(Some((row, Arc::new(plan), ending)))
}

/// The thresholds of a run whose end nobody saw, from its stored seconds.
fn judge_again(reader: &Reader, view: &RunView, merged: &Merged) -> Result<Vec<Judged>, Failure> {
    let mut tracker = Tracker::new(&view.plan);
    if tracker.is_empty() {
        return Ok(Vec::new());
    }
    // Changes of rate are not known of such a run.
    let schedule = Schedules::of(&view.plan);
    let mut ended_ns = 0;
    reader.seconds(&view.run_id, |second, window| {
        ended_ns = (u64::from(second) + 1) * 1_000_000_000;
        tracker.take(second, window, true, schedule.as_ref());
    })?;
    Ok(tracker.judge(merged, ended_ns, schedule.as_ref()))
}

/// What the verdict on a run needs to know beside its measurements.
pub(crate) fn context(view: &RunView, ending: Option<&Ending>) -> Context {
    let summary_only = view.drivers.iter().filter(|driver| driver.foreign);
    Context {
        saturated: saturates(&view.plan),
        lost: ending.map_or_else(|| lost_so_far(view), Ending::lost_drivers),
        overlap: ending.map_or(0, |ending| ending.overlap),
        summary_only: summary_only.map(|driver| driver.node_id.clone()).collect(),
        ended: view.state.is_over(),
    }
}

/// Whether a load goes as fast as target and generator let it: nothing in the plan slows a user down.
fn saturates(plan: &Plan) -> bool {
    plan.workloads.iter().any(|workload| {
        let scenarios = || workload.scenarios.iter().filter_map(|number| plan.scenarios.get(*number));
        let pauses = || scenarios().any(plan::Scenario::has_pauses);
        match &workload.load {
            Load::Avalanche { limit, .. } => limit.is_none() && !pauses(),
            Load::Closed { think_time, pacing, .. } => think_time.is_none() && pacing.is_none() && !pauses(),
            Load::Tsunami { .. } | Load::Open { .. } => false,
        }
    })
}

/// Drivers that are lost in a run under way; what was lost on them is only known at its end.
fn lost_so_far(view: &RunView) -> Vec<LostDriver> {
    let lost = view.drivers.iter().filter(|driver| matches!(driver.state, "lost" | "fenced"));
    let lost = lost.map(|driver| LostDriver {
        node_id: driver.node_id.clone(),
        replaced: driver.state == "fenced",
        requests_sent: driver.requests_sent,
        ..LostDriver::default()
    });
    lost.collect()
}

fn view_of(
    row: &RunRow,
    plan: Arc<Plan>,
    ending: Option<&Ending>,
    merged: &Merged,
    events: Vec<TimelineEvent>,
) -> RunView {
    let drivers = match ending {
        Some(ending) => ending.drivers(merged),
        None => row.drivers.iter().map(|node_id| running(node_id, merged)).collect(),
    };
    let ours = drivers.iter().filter(|driver: &&RunDriver| !driver.foreign).count();
    let planned_per_s = ending.and_then(|ending| ending.planned_per_s).or_else(|| plan.planned_per_s(ours));
    RunView {
        run_id: row.run_id.clone(),
        plan,
        state: RunState::parse(&row.state).unwrap_or(RunState::Failed),
        state_reason: ending.and_then(|ending| ending.reason.clone()),
        created_ms: row.created_ms,
        started_ms: row.started_ms,
        stopped_ns: ending.and_then(|ending| ending.stopped_ns),
        ended_ms: row.ended_ms,
        planned_per_s,
        drivers,
        verdict: Verdict::default(),
        thresholds: Vec::new(),
        latest: None,
        events,
    }
}

fn running(node_id: &str, merged: &Merged) -> RunDriver {
    let requests_sent = merged.drivers.get(node_id).map_or(0, |totals| totals.requests_sent);
    RunDriver {
        node_id: node_id.to_owned(),
        state: "running",
        requests_sent,
        foreign: false,
        summary_only: None,
    }
}

pub(crate) fn event(row: store::EventRow) -> TimelineEvent {
    TimelineEvent {
        second: row.second,
        unix_ms: row.unix_ms,
        kind: row.kind.into(),
        text: row.text,
        driver: row.driver,
    }
}

/// What the column `extras` of a stored run holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Extras {
    /// While it is under way: what the orchestrator needs after a restart.
    Record(String),
    /// Once it is over.
    Ending(Ending),
}

/// What the store keeps of a run's end, beside its windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ending {
    reason: Option<String>,
    complete: bool,
    #[serde(default)]
    stopped_ns: Option<u64>,
    planned_per_s: Option<f64>,
    /// Raw events that were stored when the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) events_stored: Option<u64>,
    overlap: u64,
    members: Vec<EndedMember>,
    #[serde(default)]
    thresholds: Vec<JudgedRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    teardown_fault: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct JudgedRecord {
    standing: String,
    observed: Option<f64>,
    first_breach_s: Option<u32>,
    aborted: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct EndedMember {
    node_id: String,
    state: String,
    /// Whether it died, or was cut off, before it said its totals.
    silent: bool,
    /// Whether its lanes were given to another driver.
    replaced: bool,
    /// Whether it knew only the basic messages.
    foreign: bool,
    summary_only: Option<SummaryRecord>,
    requests_sent: u64,
    lost: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SummaryRecord {
    mean_ms: f64,
    median_ms: f64,
    min_ms: f64,
    max_ms: f64,
}

impl Ending {
    /// What to keep of an outcome and of what was seen of the run.
    pub(crate) fn of(outcome: &Outcome, view: &RunView) -> Self {
        let summary_only = |node_id: &str| {
            let driver = view.drivers.iter().find(|driver| driver.node_id == node_id);
            driver.and_then(|driver| driver.summary_only).map(SummaryRecord::from)
        };
        let members = outcome.members.iter().map(|member| EndedMember {
            node_id: member.node_id.clone(),
            state: member.state.to_owned(),
            silent: member.incarnation.is_some() && member.fin.is_none() && member.state != "arming",
            replaced: member.replaced,
            foreign: member.incarnation.is_none(),
            summary_only: summary_only(&member.node_id).filter(|_| member.incarnation.is_none()),
            requests_sent: member.stored.requests_sent,
            lost: member.lost,
        });
        Self {
            reason: outcome.reason.clone(),
            complete: outcome.complete,
            stopped_ns: view.stopped_ns,
            planned_per_s: view.planned_per_s,
            events_stored: None,
            overlap: outcome.overlap,
            members: members.collect(),
            thresholds: view.thresholds.iter().map(JudgedRecord::from).collect(),
            teardown_fault: outcome.teardown_fault.clone(),
        }
    }

    /// How the thresholds of its plan stood; `None` when that was not noted.
    fn thresholds(&self, plan: &Plan) -> Option<Vec<Judged>> {
        let judged: Option<Vec<Judged>> = self.thresholds.iter().map(JudgedRecord::judged).collect();
        judged.filter(|judged| judged.len() == plan.thresholds.len())
    }

    /// The end of a run whose process was killed: its drivers died with it.
    pub(crate) fn abandoned(drivers: &[String]) -> Self {
        let members = drivers.iter().map(|node_id| EndedMember {
            node_id: node_id.clone(),
            state: "lost".to_owned(),
            silent: true,
            replaced: false,
            foreign: false,
            summary_only: None,
            requests_sent: 0,
            lost: 0,
        });
        let reason = Some("the process that ran it was killed".to_owned());
        Self {
            reason,
            complete: false,
            stopped_ns: None,
            planned_per_s: None,
            events_stored: None,
            overlap: 0,
            members: members.collect(),
            thresholds: Vec::new(),
            teardown_fault: None,
        }
    }

    /// How each driver ended; of several lives of one, the last.
    pub(crate) fn drivers(&self, merged: &Merged) -> Vec<RunDriver> {
        let mut drivers: Vec<RunDriver> = Vec::new();
        for member in &self.members {
            let shown = member.view(merged);
            match drivers.iter_mut().find(|driver| driver.node_id == shown.node_id) {
                Some(driver) => *driver = shown,
                None => drivers.push(shown),
            }
        }
        drivers
    }

    /// Drivers that left something undone, whether or not they could still say so; several lives of one are one.
    fn lost_drivers(&self) -> Vec<LostDriver> {
        let mut lost: Vec<LostDriver> = Vec::new();
        for member in self.members.iter().filter(|member| member.silent || member.lost > 0) {
            match lost.iter_mut().find(|driver| driver.node_id == member.node_id) {
                Some(driver) => {
                    driver.replaced &= member.replaced;
                    driver.said_totals &= !member.silent;
                    driver.requests_sent += member.requests_sent;
                    driver.due_unreported += member.lost;
                }
                None => lost.push(LostDriver {
                    node_id: member.node_id.clone(),
                    replaced: member.replaced,
                    said_totals: !member.silent,
                    requests_sent: member.requests_sent,
                    due_unreported: member.lost,
                }),
            }
        }
        lost
    }
}

impl EndedMember {
    fn view(&self, merged: &Merged) -> RunDriver {
        let requests_sent =
            merged.drivers.get(&self.node_id).map_or(self.requests_sent, |totals| totals.requests_sent);
        RunDriver {
            node_id: self.node_id.clone(),
            state: member_state(&self.state),
            requests_sent,
            foreign: self.foreign,
            summary_only: self.summary_only.as_ref().map(transport::Summary::from),
        }
    }
}

/// The word for how a driver ended, one of those that [`crate::orchestrator::MemberOutcome::state`] lists.
fn member_state(stored: &str) -> &'static str {
    ["finished", "lost", "fenced", "left"].into_iter().find(|state| *state == stored).unwrap_or("failed")
}

impl JudgedRecord {
    fn judged(&self) -> Option<Judged> {
        let Self { observed, first_breach_s, aborted, .. } = *self;
        Some(Judged { standing: Standing::parse(&self.standing)?, observed, first_breach_s, aborted })
    }
}

impl From<&Judged> for JudgedRecord {
    fn from(judged: &Judged) -> Self {
        let Judged { standing, observed, first_breach_s, aborted } = *judged;
        Self { standing: standing.as_str().to_owned(), observed, first_breach_s, aborted }
    }
}

impl From<transport::Summary> for SummaryRecord {
    fn from(summary: transport::Summary) -> Self {
        let transport::Summary { mean_ms, median_ms, min_ms, max_ms } = summary;
        Self { mean_ms, median_ms, min_ms, max_ms }
    }
}

impl From<&SummaryRecord> for transport::Summary {
    fn from(record: &SummaryRecord) -> Self {
        let SummaryRecord { mean_ms, median_ms, min_ms, max_ms } = *record;
        Self { mean_ms, median_ms, min_ms, max_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a plan of that load and those steps goes as fast as it can.
    fn check(load: &str, steps: &str, expected: bool) {
        let text = format!(
            "version: 1\nname: n\ntarget: http://127.0.0.1:1\nload: {{ {load} }}\n\
             scenarios: {{ s: {{ steps: [{steps}] }} }}\n"
        );
        let plan = plan::parse("p.yaml", &text).unwrap_or_else(|faults| panic!("{faults:?}"));
        assert_eq!(saturates(&plan), expected, "{load}");
    }

    #[test]
    fn only_loads_that_nothing_slows_down_saturate() {
        let (one, paused) = ("{ get: / }", "{ get: / }, { pause: 1s }, { get: / }");
        check("model: avalanche, requests_per_driver: 9", one, true);
        check("model: avalanche, requests_per_driver: 9, target_throughput_per_driver: 5/s", one, false);
        check("model: avalanche, requests_per_driver: 9", paused, false);
        check("model: closed, users: 5, iterations: 9", one, true);
        check("model: closed, users: 5, iterations: 9, think_time: 1s", one, false);
        check("model: closed, users: 5, iterations: 9, pacing: 1s", one, false);
        check("model: open, stages: [{ at: 9/s, for: 1s }]", one, false);
        check("model: tsunami, requests_per_driver: 9, delay: 1s", one, false);
    }
}
