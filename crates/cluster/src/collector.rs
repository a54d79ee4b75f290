//! Merging: reports of drivers become the totals of a run and one tick per second.
//!
//! Invariant: a report counts once, whatever is delivered twice, late or out of order. Seconds are shown when every
//! driver has told them, or when one is three seconds ahead; what comes later is in the totals all the same.
//! Deliberately absent: the store and the log. The runtime hands over what is taken here, and reads again from the log
//! what a restart forgot.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use metrics::threshold::{Breach, Judged, Standing, Tracker};
use metrics::{DriverTotals, DriverWindow, Merged, Outcome, Pair, Stats, Timing, Totals};
use plan::{Plan, Schedules, StageId};
use transport::{Metrics, MetricsOurs, Uuid};

use crate::orchestrator::Collected;
use crate::view::{ErrorCount, Tick};

/// A second is shown without the drivers that have not told it once another is this far ahead.
const PATIENCE_S: u32 = 3;
/// A report further ahead of the run's own time than this belongs to no honest driver: it counts, and is not shown.
const AHEAD_S: u32 = 5;
/// Seconds that may be open at once while the run's time is not known.
const MAX_OPEN_SECONDS: u32 = 600;
/// Ticks kept for viewers that come late: an hour. Older seconds are in the store.
pub const MAX_TICKS: usize = 3_600;

/// What became of a report.
#[derive(Debug, Clone, PartialEq)]
pub enum Taken {
    /// It counts, and is to be stored.
    New,
    /// It was taken before.
    Duplicate,
    /// It is about another run.
    OtherRun,
    /// A driver that knows only the basic messages sent it; there is nothing to merge.
    SummaryOnly,
}

/// Everything gathered of one run.
#[derive(Debug)]
pub struct Gathering {
    run_id: String,
    plan: Arc<Plan>,
    schedule: Option<Schedules>,
    merged: Merged,
    sources: BTreeMap<(String, Uuid), Source>,
    open: BTreeMap<u32, Second>,
    next_second: u32,
    /// The run's own time, as the orchestrator knows it.
    now_s: Option<u32>,
    ticks: VecDeque<Arc<Tick>>,
    measured: Pair,
    thresholds: Tracker,
    /// First breaches that nobody was told of.
    breaches: Vec<String>,
}

/// One incarnation of a driver.
#[derive(Debug, Default)]
struct Source {
    totals: DriverTotals,
    fin: Option<Totals>,
    /// Reports taken, by number; those below `next_seq` are forgotten, they are all there.
    seen: BTreeMap<u64, Report>,
    next_seq: u64,
    reported_s: u32,
    changed: bool,
}

#[derive(Debug, Default)]
struct Report {
    parts_seen: BTreeSet<u32>,
    parts: u32,
    to_s: u32,
}

/// One second that is not shown yet.
#[derive(Debug, Default)]
struct Second {
    window: DriverWindow,
    drivers: BTreeSet<String>,
}

impl Gathering {
    /// Nothing gathered of a run yet.
    pub fn new(run_id: String, plan: Arc<Plan>) -> Self {
        let schedule = if plan.is_per_driver() { None } else { Schedules::of(&plan) };
        Self {
            run_id,
            thresholds: Tracker::new(&plan),
            breaches: Vec::new(),
            plan,
            schedule,
            merged: Merged::new(),
            sources: BTreeMap::new(),
            open: BTreeMap::new(),
            next_second: 0,
            now_s: None,
            ticks: VecDeque::new(),
            measured: Pair::default(),
        }
    }

    /// All that was merged.
    pub fn merged(&self) -> &Merged {
        &self.merged
    }

    /// The seconds shown so far, oldest first, at most [`MAX_TICKS`].
    pub fn ticks(&self) -> &VecDeque<Arc<Tick>> {
        &self.ticks
    }

    /// The intended times of the fleet, with all changes of rate so far.
    pub fn set_schedule(&mut self, schedule: Schedules) {
        if self.schedule.is_some() {
            self.schedule = Some(schedule);
        }
    }

    /// Iterations per second asked of so many drivers, over the measured stages and with all changes of rate.
    pub fn planned_per_s(&self, drivers: usize) -> Option<f64> {
        let Some(schedule) = &self.schedule else {
            return self.plan.planned_per_s(drivers);
        };
        let mut planned = 0.0;
        for (id, stage) in (0..=u16::MAX).map(StageId).zip(self.plan.stages()) {
            let (from_ns, to_ns) = stage.span_ns();
            if !stage.warmup {
                planned += schedule.expected_in(id, from_ns, to_ns);
            }
        }
        let measured_ns: u64 = self.plan.measured().iter().map(|(from_ns, to_ns)| to_ns - from_ns).sum();
        (measured_ns > 0).then(|| planned * 1e9 / measured_ns as f64)
    }

    /// The run second that it is now.
    pub fn set_now(&mut self, second: u32) {
        self.now_s = Some(second);
    }

    /// Arrivals ended at this run time, before their time.
    pub fn set_stopped(&mut self, stopped_ns: u64) {
        self.thresholds.set_stopped(stopped_ns);
    }

    /// How the thresholds stand after the seconds shown; `is_ended_by` whether one of them ended the run.
    pub fn thresholds_so_far(&self, is_ended_by: bool) -> Vec<Judged> {
        self.ended_by(self.thresholds.so_far(self.schedule.as_ref()), is_ended_by)
    }

    /// How the thresholds stand in the end, with what came too late for its second.
    pub fn judge_thresholds(&self, ended_ns: u64, is_ended_by: bool) -> Vec<Judged> {
        self.ended_by(self.thresholds.judge(&self.merged, ended_ns, self.schedule.as_ref()), is_ended_by)
    }

    /// The one that ended a run failed, whatever what was still in flight made of it.
    fn ended_by(&self, mut judged: Vec<Judged>, is_ended_by: bool) -> Vec<Judged> {
        let number = self.thresholds.crossed().filter(|_| is_ended_by).map(|breach| breach.number);
        if let Some(ended_by) = number.and_then(|number| judged.get_mut(number)) {
            (ended_by.standing, ended_by.aborted) = (Standing::Fail, true);
        }
        judged
    }

    /// What is said of the threshold that is to end the run.
    pub fn crossed(&self) -> Option<String> {
        self.thresholds.crossed().as_ref().map(Breach::to_string)
    }

    /// What is said of thresholds that were first breached since the last call.
    pub fn take_breaches(&mut self) -> Vec<String> {
        std::mem::take(&mut self.breaches)
    }

    /// Takes one report.
    pub fn take(&mut self, report: &Metrics) -> Taken {
        if report.test_id != self.run_id {
            return Taken::OtherRun;
        }
        let Some(ours) = &report.ours else {
            return Taken::SummaryOnly;
        };
        let source = self.sources.entry((report.node_id.clone(), ours.incarnation)).or_default();
        if !source.note(ours) {
            return Taken::Duplicate;
        }
        if let Some(fin) = &ours.fin {
            source.fin = Some(*fin);
            self.merged.driver(&report.node_id).finish(fin);
        }
        if let Some(window) = &ours.window {
            source.totals.add(window);
            self.merged.add(&report.node_id, window);
            self.measure(window);
            self.add_to_second(&report.node_id, window);
        }
        Taken::New
    }

    fn measure(&mut self, window: &DriverWindow) {
        for step in window.of_requests().filter(|step| !self.plan.is_warmup(step.stage)) {
            self.measured.merge(&step.ok);
            self.measured.merge(&step.failed);
        }
    }

    fn add_to_second(&mut self, node_id: &str, window: &DriverWindow) {
        // A window that spans several seconds is shown in its last one.
        let second = window.to_s.saturating_sub(1).max(window.from_s);
        let latest = match self.now_s {
            Some(now_s) => now_s.saturating_add(AHEAD_S),
            None => self.next_second.saturating_add(MAX_OPEN_SECONDS),
        };
        if second < self.next_second {
            self.thresholds.add_late(window);
            return;
        }
        if second > latest {
            return;
        }
        let open = self.open.entry(second).or_insert_with(|| Second {
            window: DriverWindow { from_s: second, to_s: second + 1, ..DriverWindow::default() },
            drivers: BTreeSet::new(),
        });
        open.window.merge(DriverWindow { from_s: second, to_s: second + 1, ..window.clone() });
        open.drivers.insert(node_id.to_owned());
    }

    /// Shows the seconds that are complete, given the drivers that are expected to report.
    pub fn close_seconds(&mut self, expected: &BTreeSet<String>) -> Vec<Arc<Tick>> {
        // A life that said its totals has told all its seconds; of a driver that came back, the present one counts.
        let reported = |node: &String| {
            let lives = self.sources.iter().filter(|((name, _), _)| name == node);
            let present = lives.clone().filter(|(_, source)| source.fin.is_none());
            match present.map(|(_, source)| source.reported_s).max() {
                None if lives.count() > 0 => Some(u32::MAX),
                present => present,
            }
        };
        let slowest = expected.iter().map(|node| reported(node).unwrap_or(0)).min().unwrap_or(0);
        let newest = self.open.keys().next_back().copied().unwrap_or(0);
        let until = slowest.max(newest.saturating_sub(PATIENCE_S)).min(newest.saturating_add(1));
        self.close_until(until, slowest)
    }

    /// Shows everything that is left: the run is over.
    pub fn close_all(&mut self) -> Vec<Arc<Tick>> {
        self.close_until(self.open.keys().next_back().map_or(0, |newest| newest + 1), u32::MAX)
    }

    /// Shows the seconds before `until`; those before `told_until` are told by every driver.
    fn close_until(&mut self, until: u32, told_until: u32) -> Vec<Arc<Tick>> {
        let mut shown = Vec::new();
        while self.next_second < until {
            // A second that nobody told is a gap, not a zero.
            if let Some(second) = self.open.remove(&self.next_second) {
                let is_complete = self.next_second < told_until;
                self.thresholds.take(self.next_second, &second.window, is_complete, self.schedule.as_ref());
                self.breaches.extend(self.thresholds.breaches().map(|breach| breach.to_string()));
                let tick = Arc::new(self.tick(self.next_second, &second));
                if self.ticks.len() == MAX_TICKS {
                    self.ticks.pop_front();
                }
                self.ticks.push_back(Arc::clone(&tick));
                shown.push(tick);
            }
            self.next_second += 1;
        }
        shown
    }

    fn tick(&self, second: u32, open: &Second) -> Tick {
        let (mut response, mut service) = (Timing::new(), Timing::new());
        let (mut sent, mut completed, mut failed, mut bytes_in, mut bytes_out) = (0, 0, 0, 0, 0);
        for step in open.window.of_requests() {
            for pair in [&step.ok, &step.failed] {
                response.merge(&pair.response);
                service.merge(&pair.service);
            }
            sent += step.sent;
            completed += step.succeeded() + step.failures();
            failed += step.failures();
            bytes_in += step.bytes_in;
            bytes_out += step.bytes_out;
        }
        let mut send_lag = Timing::new();
        let (mut due, mut started, mut missed) = (0, 0, 0);
        for stage in &open.window.stages {
            send_lag.merge(&stage.send_lag);
            due += stage.due;
            started += stage.started;
            missed += stage.missed.total();
        }
        let totals = self.merged.totals();
        Tick {
            second,
            planned: self.planned(second),
            due,
            started,
            missed,
            sent,
            completed,
            failed,
            bytes_in,
            bytes_out,
            in_flight: u64::from(open.window.gauges.in_flight),
            connections: u64::from(open.window.gauges.connections),
            response: response.stats(),
            service: service.stats(),
            total_response: self.measured.response.stats(),
            total_service: self.measured.service.stats(),
            sent_total: totals.requests_sent,
            succeeded_total: totals.succeeded,
            failed_total: totals.failed,
            missed_total: totals.missed.total(),
            per_driver: self
                .merged
                .drivers
                .iter()
                .map(|(node, totals)| (node.clone(), totals.requests_sent))
                .collect(),
            errors: errors(&self.merged, |_| true),
            send_lag_p99_ms: send_lag.stats().map(|stats: Stats| stats.p99),
            drivers_reporting: u32::try_from(open.drivers.len()).unwrap_or(u32::MAX),
        }
    }

    /// Iterations that the plan wants of all drivers in this second.
    fn planned(&self, second: u32) -> Option<f64> {
        let drivers = self.merged.drivers.len();
        let middle_ns = u64::from(second) * 1_000_000_000 + 500_000_000;
        match &self.schedule {
            Some(schedule) => (middle_ns < schedule.end_ns()).then(|| schedule.rate_at(middle_ns)),
            None => self.plan.planned_per_s(drivers),
        }
    }

    /// Makes the next [`Gathering::take_changes`] tell of every driver.
    pub fn tell_all_again(&mut self) {
        self.sources.values_mut().for_each(|source| source.changed = true);
    }

    /// What changed of each driver since the last call, for the orchestrator's machine.
    pub fn take_changes(&mut self) -> Vec<Collected> {
        let run_id = &self.run_id;
        let changed = self.sources.iter_mut().filter(|(_, source)| source.changed);
        changed
            .map(|((node_id, incarnation), source)| {
                source.changed = false;
                Collected {
                    run_id: run_id.clone(),
                    node_id: node_id.clone(),
                    incarnation: *incarnation,
                    reported_s: source.reported_s,
                    stored: source.totals.totals(),
                    fin: source.fin,
                }
            })
            .collect()
    }
}

impl Source {
    /// Notes a report; false when it was noted before.
    fn note(&mut self, ours: &MetricsOurs) -> bool {
        if ours.seq < self.next_seq {
            return false;
        }
        let report = self.seen.entry(ours.seq).or_default();
        if !report.parts_seen.insert(ours.part) {
            return false;
        }
        report.parts = ours.parts.max(1);
        report.to_s = ours.window.as_ref().map_or(report.to_s, |window| window.to_s.max(report.to_s));
        self.changed = true;
        while let Some(report) = self.seen.get(&self.next_seq).filter(|report| report.is_complete()) {
            self.reported_s = self.reported_s.max(report.to_s);
            self.seen.remove(&self.next_seq);
            self.next_seq += 1;
        }
        true
    }
}

impl Report {
    fn is_complete(&self) -> bool {
        u32::try_from(self.parts_seen.len()).is_ok_and(|seen| seen >= self.parts)
    }
}

/// Failed requests by kind and detail, most frequent first, of the stages that `measured` accepts.
pub fn errors(merged: &Merged, measured: impl Fn(StageId) -> bool) -> Vec<ErrorCount> {
    let outcomes = merged.outcomes(measured);
    let mut errors: Vec<ErrorCount> = outcomes
        .into_iter()
        .filter_map(|(outcome, count)| match outcome {
            Outcome::Success(_) => None,
            Outcome::Failed(kind, _) => {
                Some(ErrorCount { kind: kind.as_str(), detail: outcome.detail().unwrap_or_default(), count })
            }
        })
        .collect();
    errors.sort_by(|a, b| b.count.cmp(&a.count).then(a.kind.cmp(b.kind)).then(a.detail.cmp(&b.detail)));
    errors
}

#[cfg(test)]
mod tests {
    use metrics::StepWindow;
    use plan::StepId;
    use transport::Summary;

    use super::*;

    const PLAN: &str = "{version: 1, name: p, target: 'http://127.0.0.1:1', \
        load: {model: open, stages: [{at: 10/s, for: 60s}]}, scenarios: {s: {steps: [{get: /}]}}}";

    fn gathering() -> Gathering {
        Gathering::new("run".to_owned(), Arc::new(plan::parse("p", PLAN).unwrap()))
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// What a driver says of one second in which it sent ten requests.
    fn report(node_id: &str, seq: u64, second: u32) -> Metrics {
        let step = StepWindow { sent: 10, ..StepWindow::new(StepId(0), StageId(0)) };
        let window =
            DriverWindow { from_s: second, to_s: second + 1, steps: vec![step], ..DriverWindow::default() };
        Metrics {
            node_id: node_id.to_owned(),
            test_id: "run".to_owned(),
            report_id: format!("{node_id}-{seq}"),
            summary: Summary::default(),
            ours: Some(MetricsOurs {
                incarnation: Uuid::from_u64_pair(1, node_id.len() as u64),
                seq,
                part: 0,
                parts: 1,
                second,
                requests_sent: 10 * (seq + 1),
                window: Some(window),
                fin: None,
            }),
        }
    }

    fn shown(ticks: &[Arc<Tick>]) -> Vec<(u32, u64)> {
        ticks.iter().map(|tick| (tick.second, tick.sent)).collect()
    }

    #[test]
    fn a_report_counts_once_in_whatever_order() {
        let mut gathering = gathering();
        for seq in [1, 0, 1, 2, 0] {
            gathering.take(&report("a", seq, u32::try_from(seq).unwrap()));
        }
        assert_eq!(gathering.merged().totals().requests_sent, 30);
        let changes = gathering.take_changes();
        assert_eq!((changes[0].reported_s, changes[0].stored.requests_sent), (3, 30));
        assert_eq!(gathering.take_changes(), []);
        assert_eq!(
            gathering.take(&Metrics { test_id: "other".to_owned(), ..report("a", 9, 9) }),
            Taken::OtherRun
        );
    }

    #[test]
    fn a_second_is_shown_when_all_told_it_or_one_is_far_ahead() {
        let mut gathering = gathering();
        let both = names(&["a", "bb"]);
        gathering.take(&report("a", 0, 0));
        assert_eq!(shown(&gathering.close_seconds(&both)), []);
        gathering.take(&report("bb", 0, 0));
        assert_eq!(shown(&gathering.close_seconds(&both)), [(0, 20)]);
        for seq in 1..=4 {
            gathering.take(&report("a", seq, u32::try_from(seq).unwrap()));
        }
        assert_eq!(shown(&gathering.close_seconds(&both)), []);
        gathering.take(&report("a", 5, 5));
        assert_eq!(shown(&gathering.close_seconds(&both)), [(1, 10)]);
        assert_eq!(gathering.take(&report("bb", 1, 1)), Taken::New, "late, and counted all the same");
        assert_eq!(gathering.merged().totals().requests_sent, 80);
    }

    /// What two drivers say of thresholds of the plan, in seconds of which each has ten requests of `ms` a driver.
    fn judged(thresholds: &str, seconds_ms: &[u64]) -> Gathering {
        let text = PLAN.replace("version: 1", &format!("version: 1, thresholds: [{thresholds}]"));
        let plan = plan::parse("p", &text).unwrap();
        let mut gathering = Gathering::new("run".to_owned(), Arc::new(plan));
        for (second, ms) in (0..).zip(seconds_ms) {
            for node_id in ["a", "bb"] {
                let mut report = report(node_id, u64::from(second), second);
                let window = report.ours.as_mut().and_then(|ours| ours.window.as_mut()).unwrap();
                (0..10).for_each(|_| window.steps[0].ok.response.record(ms * 1_000_000));
                gathering.take(&report);
            }
            gathering.close_seconds(&names(&["a", "bb"]));
        }
        gathering
    }

    #[test]
    fn a_threshold_is_crossed_by_the_fleet_as_soon_as_the_second_is_complete() {
        let aborts = "'p99 < 50ms for 2s, abort', 'count < 75'";
        assert_eq!(judged(aborts, &[90, 10, 90]).crossed(), None);
        let mut gathering = judged(aborts, &[90, 10, 90, 90]);
        let said = "threshold p99 < 50ms for 2s, abort breached after 4 s: 90 ms";
        assert_eq!(gathering.crossed().as_deref(), Some(said));
        assert_eq!(
            gathering.take_breaches(),
            [said, "threshold count < 75 breached after 4 s: 80"],
            "of both drivers"
        );
        assert_eq!(gathering.take_breaches(), [""; 0]);
        let standing = |judged: Vec<Judged>| {
            judged.iter().map(|judged| (judged.standing.as_str(), judged.aborted)).collect::<Vec<_>>()
        };
        assert_eq!(standing(gathering.thresholds_so_far(false)), [("fail", false), ("fail", false)]);
        assert_eq!(
            standing(gathering.judge_thresholds(4_000_000_000, true)),
            [("fail", true), ("fail", false)]
        );
    }

    /// As after a restart, when the reports of one driver are read before those of another.
    #[test]
    fn seconds_that_only_some_drivers_told_end_no_run() {
        let mut gathering = judged("'rate >= 15/s for 2s, abort', 'rate >= 15/s, abort'", &[]);
        let both = names(&["a", "bb"]);
        for node_id in ["a", "bb"] {
            for second in 0..20 {
                gathering.take(&report(node_id, u64::from(second), second));
            }
            gathering.close_seconds(&both);
            assert_eq!(gathering.crossed(), None, "{node_id}");
        }
        for second in 20..23 {
            gathering.take(&report("a", u64::from(second), second));
            gathering.close_seconds(&names(&["a"]));
        }
        let said = gathering.crossed().unwrap();
        assert!(said.contains("for 2s, abort breached after 22 s: 10/s"), "{said}");
    }

    #[test]
    fn a_report_from_the_future_freezes_nothing() {
        let mut gathering = gathering();
        gathering.set_now(1);
        gathering.take(&report("liar", 0, 300));
        gathering.take(&report("a", 0, 0));
        assert_eq!(shown(&gathering.close_seconds(&names(&["a"]))), [(0, 10)]);
    }
}
