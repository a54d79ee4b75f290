//! All that one driver measured in a span of whole run seconds, usually one.
//!
//! Latencies belong to the second of `done`, arrivals to that of `intended`, sends to that of `sent`, and a closed
//! window never opens again: an arrival that is found missed only later counts as missed in the second that finds it.
//! So the identities of [`crate::Accounting`] hold over a run, not within one window.
//!
//! Deliberately absent: the identity (run, driver, incarnation, number), which belongs to the message that carries a
//! window, and with it any defence against counting a window twice.

use plan::{StageId, StepId};

use crate::verdict::{Causes, causes_of};
use crate::{EventCounts, Outcome, PhaseTimings, Timing, Unstarted};

/// The times of one request, in ns since the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// When it should have left.
    pub intended: u64,
    /// When a connection was there for it.
    pub usable: u64,
    /// When it left.
    pub sent: u64,
    /// When its answer, or its failure, was complete.
    pub done: u64,
}

impl Times {
    /// What a user would have felt, in ns: done − intended.
    pub const fn response_ns(&self) -> u64 {
        self.done.saturating_sub(self.intended)
    }

    /// What the target took, in ns: done − sent.
    pub const fn service_ns(&self) -> u64 {
        self.done.saturating_sub(self.sent)
    }

    /// How late we were, in ns: sent − max(intended, usable).
    pub const fn send_lag_ns(&self) -> u64 {
        let ready = if self.usable > self.intended { self.usable } else { self.intended };
        self.sent.saturating_sub(ready)
    }

    /// How long it waited for a connection, in ns: usable − intended.
    pub const fn connection_wait_ns(&self) -> u64 {
        self.usable.saturating_sub(self.intended)
    }
}

/// Response and service time of the same requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pair {
    /// done − intended.
    pub response: Timing,
    /// done − sent; shorter in count where a request failed before it could be sent.
    pub service: Timing,
}

impl Pair {
    /// Adds all that `other` measured.
    pub fn merge(&mut self, other: &Self) {
        self.response.merge(&other.response);
        self.service.merge(&other.service);
    }
}

/// One step, for arrivals of one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepWindow {
    /// The step.
    pub step: StepId,
    /// The stage of the arrival, so that warm-up can be left out.
    pub stage: StageId,
    /// Requests that left, with those that failed before they could leave.
    pub sent: u64,
    /// Times of requests that succeeded; their count is the number of successes.
    pub ok: Pair,
    /// Times of requests that failed; the count of the response times is the number of failures.
    pub failed: Pair,
    /// How often each outcome occurred, ascending; without cancelled requests.
    pub outcomes: Vec<(Outcome, u64)>,
    /// Requests still in flight when the drain ended.
    pub cancelled: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Where the time of its requests went; `None` in a run that does not ask.
    pub phases: Option<Box<PhaseTimings>>,
}

impl StepWindow {
    /// Nothing measured yet.
    pub const fn new(step: StepId, stage: StageId) -> Self {
        Self {
            step,
            stage,
            sent: 0,
            ok: Pair { response: Timing::new(), service: Timing::new() },
            failed: Pair { response: Timing::new(), service: Timing::new() },
            outcomes: Vec::new(),
            cancelled: 0,
            bytes_in: 0,
            bytes_out: 0,
            phases: None,
        }
    }

    /// Requests that succeeded.
    pub const fn succeeded(&self) -> u64 {
        self.ok.response.count()
    }

    /// Requests that failed, cancelled ones not among them.
    pub const fn failures(&self) -> u64 {
        self.failed.response.count()
    }

    /// Adds all that `other` measured; the row stays this one's.
    pub fn merge(&mut self, other: &Self) {
        self.sent = self.sent.saturating_add(other.sent);
        self.ok.merge(&other.ok);
        self.failed.merge(&other.failed);
        for &(outcome, count) in &other.outcomes {
            match self.outcomes.binary_search_by_key(&outcome, |&(held, _)| held) {
                Ok(at) => self.outcomes[at].1 = self.outcomes[at].1.saturating_add(count),
                Err(at) => self.outcomes.insert(at, (outcome, count)),
            }
        }
        self.cancelled = self.cancelled.saturating_add(other.cancelled);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        if let Some(theirs) = &other.phases {
            self.phases.get_or_insert_default().merge(theirs);
        }
    }
}

/// Iterations that were due and not started, by who kept them from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Missed {
    /// The generator.
    pub ours: u64,
    /// The target.
    pub target: u64,
    /// The plan's own limit.
    pub limit: u64,
}

impl Missed {
    /// Counts one.
    pub fn count(&mut self, who: Unstarted) {
        self.count_n(who, 1);
    }

    /// Counts `n`.
    pub fn count_n(&mut self, who: Unstarted, n: u64) {
        let counter = match who {
            Unstarted::Ours => &mut self.ours,
            Unstarted::Target => &mut self.target,
            Unstarted::Limit => &mut self.limit,
        };
        *counter = counter.saturating_add(n);
    }

    /// All of them.
    pub const fn total(&self) -> u64 {
        self.ours.saturating_add(self.target).saturating_add(self.limit)
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.count_n(Unstarted::Ours, other.ours);
        self.count_n(Unstarted::Target, other.target);
        self.count_n(Unstarted::Limit, other.limit);
    }
}

/// The iterations of one stage, and what delayed their requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageWindow {
    /// The stage of the arrivals.
    pub stage: StageId,
    /// Iterations whose intended time came.
    pub due: u64,
    /// Iterations whose first request was sent, or failed in being sent.
    pub started: u64,
    /// Iterations that will never be started.
    pub missed: Missed,
    /// Iterations that came to their end, with whatever outcome.
    pub completed: u64,
    /// From arrival to the end of the last step.
    pub iteration_time: Timing,
    /// sent − max(intended, usable), of every request: ours.
    pub send_lag: Timing,
    /// usable − intended, of every request: the target's, or the plan's limit.
    pub connection_wait: Timing,
}

impl StageWindow {
    /// Nothing measured yet.
    pub const fn new(stage: StageId) -> Self {
        Self {
            stage,
            due: 0,
            started: 0,
            missed: Missed { ours: 0, target: 0, limit: 0 },
            completed: 0,
            iteration_time: Timing::new(),
            send_lag: Timing::new(),
            connection_wait: Timing::new(),
        }
    }

    /// Adds all that `other` measured; the stage stays this one's.
    pub fn merge(&mut self, other: &Self) {
        self.due = self.due.saturating_add(other.due);
        self.started = self.started.saturating_add(other.started);
        self.missed.merge(&other.missed);
        self.completed = self.completed.saturating_add(other.completed);
        self.iteration_time.merge(&other.iteration_time);
        self.send_lag.merge(&other.send_lag);
        self.connection_wait.merge(&other.connection_wait);
    }
}

/// The state of a driver at the end of a window. Threads' numbers are summed, the process's own are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    /// Requests in flight.
    pub in_flight: u32,
    /// Arrivals that wait for a connection.
    pub queued: u32,
    /// Open connections.
    pub connections: u32,
    /// Busy share of the busiest engine thread in thousandths, spinning left out.
    pub busiest_thread_permille: u16,
    /// Whether an engine thread found work at every look: the target answered faster than we could ask.
    pub never_waited: bool,
    /// How long the cgroup held the process back, in µs.
    pub throttled_us: u64,
    /// CPU of the process, in thousandths of one core.
    pub cpu_permille: u32,
    /// Resident memory of the process. 0 where the system does not tell.
    pub memory_bytes: u64,
    /// How long the engine thread that fared worst was ready to run and had no CPU, in thousandths of the time. 0
    /// where the system does not tell.
    pub starved_permille: u16,
    /// CPU time that the hypervisor gave to others, in thousandths of what this machine's cores have.
    pub stolen_permille: u16,
    /// What the window's seconds are noted for, once [`DriverWindow::judge`] looked at all of it. `None` in a further
    /// part of a window, whose seconds are counted with its first part.
    pub causes: Option<Causes>,
}

impl Gauges {
    /// Adds another thread's gauges of the same span.
    pub fn merge(&mut self, other: &Self) {
        self.in_flight = self.in_flight.saturating_add(other.in_flight);
        self.queued = self.queued.saturating_add(other.queued);
        self.connections = self.connections.saturating_add(other.connections);
        self.busiest_thread_permille = self.busiest_thread_permille.max(other.busiest_thread_permille);
        self.never_waited |= other.never_waited;
        self.throttled_us = self.throttled_us.max(other.throttled_us);
        self.cpu_permille = self.cpu_permille.max(other.cpu_permille);
        self.memory_bytes = self.memory_bytes.max(other.memory_bytes);
        self.starved_permille = self.starved_permille.max(other.starved_permille);
        self.stolen_permille = self.stolen_permille.max(other.stolen_permille);
        self.causes = match (self.causes, other.causes) {
            (Some(mine), Some(theirs)) => Some(mine.union(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
    }
}

/// All that one driver measured in the run seconds `from_s..to_s`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DriverWindow {
    /// The first run second.
    pub from_s: u32,
    /// The first run second after it.
    pub to_s: u32,
    /// Steps that were touched, ascending by (stage, step).
    pub steps: Vec<StepWindow>,
    /// Stages that were touched, ascending.
    pub stages: Vec<StageWindow>,
    /// The driver's state at the end.
    pub gauges: Gauges,
}

impl DriverWindow {
    /// The rows of steps, without those of groups, which are no requests.
    pub fn of_requests(&self) -> impl Iterator<Item = &StepWindow> {
        self.steps.iter().filter(|step| step.step.group().is_none())
    }

    /// Adds another thread's window, or another part, of the same span; where spans differ, the result spans both.
    pub fn merge(&mut self, other: Self) {
        self.from_s = self.from_s.min(other.from_s);
        self.to_s = self.to_s.max(other.to_s);
        for step in other.steps {
            match self.steps.binary_search_by_key(&(step.stage, step.step), |held| (held.stage, held.step)) {
                Ok(at) => self.steps[at].merge(&step),
                Err(at) => self.steps.insert(at, step),
            }
        }
        for stage in other.stages {
            match self.stages.binary_search_by_key(&stage.stage, |held| held.stage) {
                Ok(at) => self.stages[at].merge(&stage),
                Err(at) => self.stages.insert(at, stage),
            }
        }
        self.gauges.merge(&other.gauges);
    }

    /// Notes in the gauges what these seconds suffered from. To be called once all threads are merged and the gauges are
    /// set, and before the window is divided into parts: a part alone cannot tell.
    pub fn judge(&mut self) {
        self.gauges.causes = Some(causes_of(self));
    }

    /// How many seconds it spans.
    pub const fn seconds(&self) -> u32 {
        self.to_s.saturating_sub(self.from_s)
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.stages.is_empty()
    }
}

/// Counts that a driver says at its end, to be compared with what its windows add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Iterations whose intended time came.
    pub due: u64,
    /// Iterations started.
    pub started: u64,
    /// Iterations that were never started.
    pub missed: Missed,
    /// Requests that left, with those that failed before they could leave.
    pub requests_sent: u64,
    /// Requests that succeeded.
    pub succeeded: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests in flight when the drain ended.
    pub cancelled: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Windows handed over; parts of one window count as one.
    pub windows: u64,
    /// Raw events. They are not in windows, and known to the driver alone; `None` where it did not say.
    pub events: Option<EventCounts>,
}

impl Totals {
    /// Adds what a window, or a part of one, counted. `windows` is left to the caller, who knows the parts.
    pub fn add(&mut self, window: &DriverWindow) {
        let sum = |a: &mut u64, b: u64| *a = a.saturating_add(b);
        for stage in &window.stages {
            sum(&mut self.due, stage.due);
            sum(&mut self.started, stage.started);
            self.missed.merge(&stage.missed);
        }
        for step in window.of_requests() {
            sum(&mut self.requests_sent, step.sent);
            sum(&mut self.succeeded, step.succeeded());
            sum(&mut self.failed, step.failures());
            sum(&mut self.cancelled, step.cancelled);
            sum(&mut self.bytes_in, step.bytes_in);
            sum(&mut self.bytes_out, step.bytes_out);
        }
    }

    /// What windows can add up to: all but the raw events.
    #[must_use]
    pub fn of_windows(self) -> Self {
        Self { events: None, ..self }
    }

    /// Adds another thread's, or another incarnation's, totals.
    pub fn merge(&mut self, other: &Self) {
        let add = |a: &mut u64, b: u64| *a = a.saturating_add(b);
        add(&mut self.due, other.due);
        add(&mut self.started, other.started);
        self.missed.merge(&other.missed);
        add(&mut self.requests_sent, other.requests_sent);
        add(&mut self.succeeded, other.succeeded);
        add(&mut self.failed, other.failed);
        add(&mut self.cancelled, other.cancelled);
        add(&mut self.bytes_in, other.bytes_in);
        add(&mut self.bytes_out, other.bytes_out);
        add(&mut self.windows, other.windows);
        if let Some(events) = &other.events {
            self.events.get_or_insert_default().merge(events);
        }
    }
}
