//! A model of the engine: exact arrivals of the plan, answers after a random time, real windows, no thread and no socket.
//!
//! It is stepped: all that happened since the last step is worked off in order, so a command that is given between two
//! steps finds everything before it done. Times are the driver's own monotonic clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use fastrand::Rng;
use metrics::{
    DriverWindow, ErrorKind, EventCounts, Exchange, Gauges, Outcome, Pages, Recorder, Times, Totals,
    Unstarted,
};
use plan::{Arrivals, LaneSet, Load, Plan, Schedule, StageId, StepId};

use super::users::Closed;

const SECOND: u64 = 1_000_000_000;
const STEP: StepId = StepId(0);

/// What a step brought.
#[derive(Debug)]
pub(super) enum Said {
    /// A closed window, and the indices of the arrivals that were due in it.
    Window(Box<DriverWindow>, Vec<u64>),
    Paused(u64),
    LeaseEnded,
    Finished(Totals),
}

/// One request as the target sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    /// Monotonic time of the driver, ns.
    pub at: u64,
    pub index: u64,
}

#[derive(Debug)]
pub(super) struct Engine {
    rng: Rng,
    /// Monotonic time of second 0.
    at: u64,
    lease: u64,
    arrivals: Option<Arrivals>,
    /// Avalanche: requests that were not begun, and the next index.
    rest: Option<(u64, u64)>,
    connections: u64,
    closed: Option<Closed>,
    lanes: LaneSet,
    /// When each is done and was sent, its stage, and its user.
    in_flight: BinaryHeap<Reverse<(u64, u64, u64, u32)>>,
    recorder: Recorder,
    windows: u64,
    due: Vec<u64>,
    /// Run time up to which all is worked off.
    done_ns: u64,
    begun: bool,
    /// Sends nothing until then, unless released.
    hold_ns: u64,
    stopped_ns: Option<u64>,
    drain_ns: u64,
    aborted: bool,
    finished: bool,
    pub hits: Vec<Hit>,
    said: Vec<Said>,
}

impl Engine {
    pub fn start(plan: &Arc<Plan>, lanes: LaneSet, at: u64, lease: u64, rng: Rng) -> Self {
        let schedule = plan.workloads[0].schedule().map(Arc::new);
        let lanes = if plan.is_per_driver() { LaneSet::all() } else { lanes };
        let (rest, connections) = match &plan.workloads[0].load {
            Load::Avalanche { requests_per_driver, connections, .. } => {
                (Some((*requests_per_driver, 0)), u64::from(connections.max))
            }
            _ => (None, 0),
        };
        Self {
            rng,
            at,
            lease,
            arrivals: schedule.map(|schedule| Arrivals::new(schedule, lanes)),
            rest,
            connections,
            closed: Closed::new(plan, lanes),
            lanes,
            in_flight: BinaryHeap::new(),
            recorder: Recorder::new(1, 1, 0),
            windows: 0,
            due: Vec::new(),
            done_ns: 0,
            begun: false,
            hold_ns: 0,
            stopped_ns: None,
            drain_ns: u64::try_from(plan.drain.as_nanos()).unwrap_or(u64::MAX),
            aborted: false,
            finished: false,
            hits: Vec::new(),
            said: Vec::new(),
        }
    }

    pub fn set_lease(&mut self, until: u64) {
        self.lease = until;
    }

    pub fn change_lanes(&mut self, from_ns: u64, lanes: LaneSet, now: u64) {
        self.step(now);
        let now_ns = now.saturating_sub(self.at);
        let gained = lanes.minus(&self.lanes);
        if let Some(closed) = &mut self.closed {
            closed.change_lanes(from_ns, now_ns, lanes);
        }
        let Some(arrivals) = &mut self.arrivals else { return };
        let schedule = Arc::clone(arrivals.schedule());
        arrivals.change_lanes(from_ns, now_ns, lanes);
        self.lanes = lanes;
        // Counted here and not by what `change_lanes` says, since each index is followed to the books.
        let end_ns = now_ns.max(self.done_ns);
        let gained = Arrivals::starting_at(Arc::clone(&schedule), gained, from_ns);
        let missed: Vec<u64> =
            gained.take_while(|arrival| arrival.at_ns < end_ns).map(|arrival| arrival.index).collect();
        self.recorder.due_and_missed(schedule.stage_at(from_ns), Unstarted::Ours, missed.len() as u64);
        self.due.extend(missed);
    }

    pub fn change_rate(&mut self, from_ns: u64, factor: f64, now: u64) {
        self.step(now);
        let now_ns = now.saturating_sub(self.at);
        if let Some(closed) = &mut self.closed {
            closed.change_rate(from_ns, now_ns, factor);
        }
        let Some(arrivals) = &mut self.arrivals else { return };
        let schedule = Arc::new(arrivals.schedule().scaled_from(from_ns, factor));
        let late = arrivals.change_schedule(from_ns, now_ns, Arc::clone(&schedule));
        self.recorder.due_and_missed(schedule.stage_at(from_ns), Unstarted::Ours, late.missed);
    }

    pub fn stop(&mut self, now: u64) {
        self.step(now);
        self.stopped_ns.get_or_insert(now.saturating_sub(self.at));
    }

    pub fn abort(&mut self, now: u64) {
        self.stop(now);
        self.aborted = true;
    }

    pub fn release(&mut self) {
        self.hold_ns = 0;
    }

    /// Takes what the last steps brought.
    pub fn take(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }

    /// Works off everything up to `now`.
    pub fn step(&mut self, now: u64) {
        if self.finished || now < self.at {
            return;
        }
        let now_ns = now - self.at;
        let gap_ns = now_ns.saturating_sub(self.done_ns);
        if !self.begun {
            // What was due before a late start is missed.
            self.begun = true;
            if now_ns > SECOND / 5 {
                self.miss_until(now_ns);
            }
        } else if gap_ns > SECOND {
            self.said.push(Said::Paused(gap_ns / 1_000_000));
            self.miss_until(now_ns);
            self.hold_ns = now_ns + SECOND;
        }
        while self.done_ns / SECOND < now_ns / SECOND {
            let boundary = (self.done_ns / SECOND + 1) * SECOND;
            self.work_until(boundary);
            self.cut(boundary / SECOND);
            self.done_ns = boundary;
        }
        self.work_until(now_ns);
        self.done_ns = now_ns;
        self.finish_if_done(now_ns);
    }

    /// The pacer was not running: what was due is missed, what was answered is read now.
    fn miss_until(&mut self, now_ns: u64) {
        let until_ns = now_ns.min(self.lease.saturating_sub(self.at));
        while self.stopped_ns.is_none()
            && let Some(arrival) = self.arrivals.as_mut().and_then(Arrivals::peek)
            && arrival.at_ns <= until_ns
        {
            self.arrivals.as_mut().and_then(Iterator::next);
            self.due.push(arrival.index);
            self.recorder.due_and_missed(arrival.stage, Unstarted::Ours, 1);
        }
        self.complete(now_ns, now_ns);
        if now_ns / SECOND > u64::from(self.recorder.from_s()) {
            self.cut(now_ns / SECOND);
        }
        self.done_ns = now_ns;
    }

    fn work_until(&mut self, to_ns: u64) {
        let lease_ns = self.lease.saturating_sub(self.at);
        if self.stopped_ns.is_none() {
            self.send_until(to_ns.min(lease_ns));
            self.walk_until(to_ns.min(lease_ns));
        }
        self.complete(to_ns, 0);
        if lease_ns < to_ns && self.stopped_ns.is_none() {
            self.stopped_ns = Some(lease_ns);
            self.said.push(Said::LeaseEnded);
        }
    }

    fn send_until(&mut self, to_ns: u64) {
        while let Some(arrival) = self.arrivals.as_mut().and_then(Arrivals::peek) {
            if arrival.at_ns > to_ns {
                break;
            }
            self.arrivals.as_mut().and_then(Iterator::next);
            self.due.push(arrival.index);
            if arrival.at_ns < self.hold_ns {
                self.recorder.due_and_missed(arrival.stage, Unstarted::Ours, 1);
            } else {
                self.recorder.due(arrival.stage);
                self.send(arrival.at_ns, arrival.index, arrival.stage, 0);
            }
        }
        let mut from_ns = self.done_ns.max(self.hold_ns);
        while let Some((left, index)) = self.rest
            && left > 0
        {
            if self.in_flight.len() as u64 >= self.connections {
                let Some(Reverse((done_ns, ..))) = self.in_flight.peek().copied() else { break };
                if done_ns > to_ns {
                    break;
                }
                from_ns = from_ns.max(done_ns);
                self.complete(done_ns, 0);
            }
            if from_ns > to_ns {
                break;
            }
            self.rest = Some((left - 1, index + 1));
            self.due.push(index);
            self.recorder.due(StageId(0));
            self.send(from_ns, index, StageId(0), 0);
        }
    }

    /// Users begin, and are ready again after their answers.
    fn walk_until(&mut self, to_ns: u64) {
        while let Some(closed) = &mut self.closed {
            let next_ns = closed.next_ns().map(|next_ns| next_ns.max(self.done_ns).max(self.hold_ns));
            let done_ns = self.in_flight.peek().map(|Reverse((done_ns, ..))| *done_ns);
            match done_ns.filter(|done_ns| *done_ns <= to_ns) {
                Some(done_ns) if next_ns.is_none_or(|next_ns| done_ns <= next_ns) => {
                    self.complete(done_ns, 0);
                    continue;
                }
                _ => {}
            }
            let Some(at_ns) = next_ns.filter(|next_ns| *next_ns <= to_ns) else { break };
            if let Some((user, index)) = closed.take() {
                self.due.push(index);
                self.recorder.due(StageId(0));
                self.send(at_ns, index, StageId(0), user);
            }
        }
    }

    fn send(&mut self, at_ns: u64, index: u64, stage: StageId, user: u32) {
        self.recorder.started(stage);
        self.recorder.sent(STEP, stage, &Times { intended: at_ns, usable: at_ns, sent: at_ns, done: at_ns });
        self.hits.push(Hit { at: self.at + at_ns, index });
        let answer_ms = if self.rng.u8(..) == 0 { self.rng.u64(500..2500) } else { self.rng.u64(1..80) };
        self.in_flight.push(Reverse((at_ns + answer_ms * 1_000_000, at_ns, u64::from(stage.0), user)));
    }

    fn complete(&mut self, to_ns: u64, not_before_ns: u64) {
        while let Some(Reverse((done_ns, sent_ns, stage, user))) = self.in_flight.peek().copied() {
            if done_ns > to_ns {
                break;
            }
            self.in_flight.pop();
            let done = done_ns.max(not_before_ns);
            let outcome = if done_ns % 16 == 0 {
                Outcome::Failed(ErrorKind::Status, 503)
            } else {
                Outcome::Success(200)
            };
            self.done(sent_ns, done, stage, outcome);
            if let Some(closed) = &mut self.closed {
                closed.done(user, done);
            }
        }
    }

    fn done(&mut self, sent: u64, done: u64, stage: u64, outcome: Outcome) {
        let stage = StageId(u16::try_from(stage).unwrap());
        let exchange = Exchange { bytes_in: 20, bytes_out: 10, ..Exchange::default() };
        self.recorder.done(
            STEP,
            stage,
            &Times { intended: sent, usable: sent, sent, done },
            outcome,
            exchange,
        );
        self.recorder.completed(stage, sent, done);
    }

    fn finish_if_done(&mut self, now_ns: u64) {
        let is_over = match (&mut self.arrivals, self.rest) {
            (None, None) => self.closed.as_mut().is_none_or(|closed| closed.is_over(now_ns)),
            (Some(arrivals), _) => {
                arrivals.peek().is_none() && now_ns >= Schedule::end_ns(arrivals.schedule())
            }
            (None, rest) => rest.is_none_or(|(left, _)| left == 0),
        };
        if self.stopped_ns.is_none() && !is_over {
            return;
        }
        let stopped_ns = *self.stopped_ns.get_or_insert(now_ns);
        if self.aborted || now_ns.saturating_sub(stopped_ns) > self.drain_ns {
            while let Some(Reverse((_, sent_ns, stage, _))) = self.in_flight.pop() {
                self.done(sent_ns, now_ns, stage, Outcome::Failed(ErrorKind::Cancelled, 0));
            }
        }
        if self.in_flight.is_empty() {
            self.finished = true;
            self.cut(now_ns / SECOND + 1);
            let events = Some(EventCounts { produced: 3, dropped: 1 });
            let totals = Totals { windows: self.windows, events, ..*self.recorder.totals() };
            self.said.push(Said::Finished(totals));
        }
    }

    fn cut(&mut self, to_s: u64) {
        let to_s = u32::try_from(to_s).unwrap();
        let mut pages = self.recorder.cut(to_s, Gauges::default(), Pages::new(1, 1));
        let mut window = pages.drain();
        window.judge();
        self.windows += 1;
        self.said.push(Said::Window(Box::new(window), std::mem::take(&mut self.due)));
    }
}
