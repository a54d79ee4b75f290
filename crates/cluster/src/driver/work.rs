//! One run from armed to handed over: the start, pauses, reports and the end.
//!
//! Invariant: whoever took up a run says its totals exactly once, also when it never started.

use std::time::Duration;

use clock::{BrokerTime, Instant};
use metrics::{DriverWindow, EventCounts, Timing, Totals};
use transport::{Message, Metrics, MetricsOurs, Summary, wire};

use super::task::{Phase, Task};
use super::{Action, Driver};
use crate::run::{Bug, Level, Now};

/// How long a driver that is late reads `control` at most before it goes on.
const CATCH_UP: Duration = Duration::from_secs(1);
/// A start this late is still on time: what was due since is within any send lag that would be judged.
const LATE_START: Duration = Duration::from_millis(20);
/// A driver that knows the broker's time less well waits for a better sample before it starts: in common is the start
/// of all only as far as they agree on the time.
const START_ERROR_MS: f64 = 500.0;
/// How long a run may stay armed without a lease before it is let go.
const ARMED_WITHOUT_LEASE: Duration = Duration::from_secs(60);

impl Driver {
    pub(super) fn prepared(&mut self, test_id: &str, now: Now) {
        let Some(task) = self.task.as_mut().filter(|task| task.test_id == test_id) else { return };
        if task.phase == Phase::Preparing {
            task.phase = Phase::Armed;
            self.start_if_due(now);
        }
    }

    pub(super) fn prepare_failed(&mut self, test_id: &str, reason: String, now: Now) {
        let preparing = |task: &mut Task| task.test_id == test_id && task.phase == Phase::Preparing;
        if self.task.take_if(preparing).is_some() {
            self.fail(test_id, reason);
            self.take_pending(now);
        }
    }

    /// Starts the engine once it is armed, triggered and allowed to send.
    pub(super) fn start_if_due(&mut self, now: Now) {
        let Some(task) = &mut self.task else { return };
        let Some(start_at) = task.start_at.filter(|_| task.phase == Phase::Armed) else { return };
        if task.foreign {
            self.start(now.instant, now);
            return;
        }
        let Some(offset) = self.clock.offset() else { return };
        let Some(broker_now) = self.clock.broker_time(now.instant) else { return };
        if offset.error_ms > START_ERROR_MS {
            return;
        }
        if task.lease.is_none_or(|lease| lease.expires_at <= broker_now) {
            return;
        }
        let at = self.clock.instant(start_at).unwrap_or(now.instant);
        if at + LATE_START < now.instant {
            task.phase = Phase::CatchingUp { until: now.instant + CATCH_UP };
            self.actions.push(Action::ReadControlToEnd);
        } else {
            self.start(if self.bugs.has(Bug::StartOnReading) { now.instant } else { at }, now);
        }
    }

    fn start(&mut self, at: Instant, now: Now) {
        let lease_until = self.lease_instant();
        let wall = || BrokerTime::from_unix_ms(now.unix_ms);
        let (began, epoch) = (self.clock.broker_time(at), self.epoch);
        let Some(task) = &mut self.task else { return };
        task.phase = Phase::Running { paused_until: None };
        task.started = Some(at);
        // The time that was agreed on, rather than what this machine's clock makes of it.
        let began = task.start_at.filter(|_| !task.foreign).or(began).unwrap_or_else(wall);
        self.actions.push(Action::Start { at, began, incarnation: task.incarnation, epoch, lease_until });
        for &(from_ns, factor) in &task.rates {
            self.actions.push(Action::ChangeRate { from_ns, factor });
        }
        for share in task.shares.iter().skip(1) {
            let (version, from_ns, lanes) = (share.version, share.from_ns, share.lanes);
            self.actions.push(Action::ChangeLanes { version, from_ns, lanes });
        }
        let text = format!("run {} starts", task.test_id);
        self.notice(Level::Info, text);
    }

    pub(super) fn paused(&mut self, for_ms: u64, now: Now) {
        self.notice(Level::Warn, format!("the pacer did not run for {for_ms} ms"));
        let Some(task) = self.task.as_mut().filter(|task| task.is_running()) else { return };
        task.phase = Phase::Running { paused_until: Some(now.instant + CATCH_UP) };
        if self.bugs.has(Bug::ReleaseAtOnce) {
            self.go_on(now);
        } else {
            self.actions.push(Action::ReadControlToEnd);
        }
    }

    pub(super) fn caught_up(&mut self, now: Now) {
        self.go_on(now);
    }

    /// Ends the waiting for `control`.
    fn go_on(&mut self, now: Now) {
        let Some(task) = &mut self.task else { return };
        match task.phase {
            Phase::CatchingUp { .. } => {
                let at = task.start_at.and_then(|start_at| self.clock.instant(start_at));
                self.start(at.unwrap_or(now.instant), now);
            }
            Phase::Running { paused_until: Some(_) } => {
                task.phase = Phase::Running { paused_until: None };
                self.actions.push(Action::Release);
            }
            _ => {}
        }
    }

    pub(super) fn work_tick(&mut self, now: Now) {
        let Some(task) = &self.task else { return };
        match task.phase {
            Phase::CatchingUp { until } | Phase::Running { paused_until: Some(until) }
                if now.instant >= until =>
            {
                self.go_on(now);
            }
            Phase::Preparing | Phase::Armed if !task.foreign => self.let_go_if_forgotten(now),
            Phase::Armed => self.start_if_due(now),
            _ => {}
        }
    }

    /// An armed driver whose orchestrator has gone is free again. The orchestrator may arm it anew when it is back.
    fn let_go_if_forgotten(&mut self, now: Now) {
        let Some(task) = &self.task else { return };
        let forgotten = match (task.lease, self.clock.broker_time(now.instant)) {
            (Some(lease), Some(broker_now)) => lease.expires_at < broker_now,
            _ => now.instant.since(task.taken_up) > ARMED_WITHOUT_LEASE,
        };
        if forgotten {
            self.notice(Level::Warn, format!("run {} let go: its orchestrator is silent", task.test_id));
            self.task = None;
            self.actions.push(Action::Discard);
            self.take_pending(now);
        } else {
            self.start_if_due(now);
        }
    }

    pub(super) fn lease_ended(&mut self) {
        self.stop_engine("lease ended");
    }

    /// No new iterations. What is in flight may finish.
    pub(super) fn stop_engine(&mut self, reason: &str) {
        let Some(task) = self.task.as_mut().filter(|task| task.is_running()) else { return };
        task.phase = Phase::Draining { aborting: false };
        task.reason.get_or_insert_with(|| reason.to_owned());
        self.actions.push(Action::Stop);
    }

    /// Nothing more at all.
    pub(super) fn abort_engine(&mut self, reason: &str) {
        let Some(task) = self.task.as_mut().filter(|task| task.has_engine()) else { return };
        if task.phase != (Phase::Draining { aborting: true }) {
            task.phase = Phase::Draining { aborting: true };
            task.reason.get_or_insert_with(|| reason.to_owned());
            self.actions.push(Action::Abort);
        }
    }

    /// Ends the current run, wherever it stands.
    pub(super) fn end_task(&mut self, reason: &str, now: Now) {
        match &self.task {
            Some(task) if task.has_engine() => self.stop_engine(reason),
            Some(_) => {
                self.actions.push(Action::Discard);
                // It sent nothing, so there is no raw event either.
                let events = Some(EventCounts::default());
                self.hand_over(Totals { events, ..Totals::default() }, now);
            }
            None => {}
        }
    }

    /// Sends what the engine measured in a second, in as many parts as it takes.
    pub(super) fn report(&mut self, window: DriverWindow) {
        let Some(task) = &mut self.task else { return };
        task.sums.add(&window);
        task.sums.windows += 1;
        let seq = task.seq;
        task.seq += 1;
        if self.bugs.has(Bug::DropWindow) && seq == 2 {
            return;
        }
        let summary = summary(&window);
        let second = window.from_s;
        let parts = wire::split(window);
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let messages: Vec<Metrics> = (0..)
            .zip(parts)
            .map(|(part, window)| {
                let ours = MetricsOurs {
                    incarnation: task.incarnation,
                    seq,
                    part,
                    parts: count,
                    second,
                    requests_sent: task.sums.requests_sent,
                    window: Some(window),
                    fin: None,
                };
                message(&self.settings.node_id, task, summary, ours)
            })
            .collect();
        if self.bugs.has(Bug::ReportTwice) {
            task.seq += 1;
            for mut again in messages.clone() {
                again.ours.iter_mut().for_each(|ours| ours.seq += 1);
                self.send(Message::Metrics(again));
            }
        }
        messages.into_iter().for_each(|message| self.send(Message::Metrics(message)));
    }

    pub(super) fn finished(&mut self, totals: Totals, now: Now) {
        self.hand_over(totals, now);
    }

    pub(super) fn died(&mut self, reason: &str, events: Option<EventCounts>, now: Now) {
        let Some(task) = &mut self.task else { return };
        let text = format!("the engine died: {reason}");
        task.reason = Some(text.clone());
        let (test_id, sums) = (task.test_id.clone(), task.sums);
        self.notice(Level::Error, text.clone());
        self.hand_over(Totals { events, ..sums }, now);
        self.failure = Some((test_id, text));
    }

    /// Says the totals: the last message of a run. A fenced driver then joins anew, others wait for the next run.
    fn hand_over(&mut self, totals: Totals, now: Now) {
        let Some(task) = self.task.take() else { return };
        let ours = MetricsOurs {
            incarnation: task.incarnation,
            seq: task.seq,
            part: 0,
            parts: 1,
            second: task.sums.windows.try_into().unwrap_or(u32::MAX),
            requests_sent: totals.requests_sent,
            window: None,
            fin: Some(totals),
        };
        let last = message(&self.settings.node_id, &task, Summary::default(), ours);
        self.send(Message::Metrics(last));
        self.notice(Level::Info, format!("run {} is handed over", task.test_id));
        if task.fenced {
            self.join(now);
        } else {
            self.remember_over(&task.test_id);
        }
        self.take_pending(now);
    }
}

fn message(node_id: &str, task: &Task, summary: Summary, ours: MetricsOurs) -> Metrics {
    let report_id = format!("{}-{}-{}", task.incarnation, ours.seq, ours.part);
    Metrics {
        node_id: node_id.to_owned(),
        test_id: task.test_id.clone(),
        report_id,
        summary,
        ours: Some(ours),
    }
}

/// The four basic latencies of one window, over all its requests.
fn summary(window: &DriverWindow) -> Summary {
    let mut response = Timing::default();
    for step in window.of_requests() {
        response.merge(&step.ok.response);
        response.merge(&step.failed.response);
    }
    response.stats().map_or_else(Summary::default, |stats| Summary {
        mean_ms: stats.mean,
        median_ms: stats.median,
        min_ms: stats.min,
        max_ms: stats.max,
    })
}
