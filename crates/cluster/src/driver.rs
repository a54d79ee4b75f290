//! A driver: joins the fleet, arms what it is told, paces by its own clock, and hands over what it measured.
//!
//! Invariant: what an engine sends depends on the plan, the start, the lease and the commands that were read, and on
//! nothing else; a driver that is cut off goes on until its lease ends. Deliberately absent: threads, the log and the
//! engine, which the runtime keeps, and every measurement, which passes through unread but for its sums.

mod event;
mod task;
mod command;
mod fixture;
mod work;
mod presence;

use std::collections::VecDeque;
use std::time::Duration;

use clock::{BrokerClock, Instant, Sample};
use transport::{FixtureReport, Message, TestConfig, Trigger};
use uuid::Uuid;

use crate::run::{Acknowledged, Bug, Bugs, Ids, Level, Now, Sent};
use task::Task;

pub use event::{Action, Event, Exit, Preparation, Settings, Vitals};
pub use fixture::Errand;

/// Runs that are remembered as over, so that nothing read later starts one again.
const REMEMBERED_RUNS: usize = 64;

/// The synchronous half of a driver: events in, actions out.
#[derive(Debug)]
pub struct Driver {
    settings: Settings,
    bugs: Bugs,
    ids: Ids,
    clock: BrokerClock,
    /// Nil before the first registration.
    incarnation: Uuid,
    /// The highest epoch seen in a command.
    epoch: i64,
    over: VecDeque<String>,
    task: Option<Task>,
    /// A run to take up once the clock is known and the current one is done.
    pending: Option<TestConfig>,
    /// A trigger that was read before its plan: topics have no order among them.
    early_trigger: Option<Trigger>,
    /// The run that could not be prepared, and why.
    failure: Option<(String, String)>,
    /// The setup or teardown that it walks or has walked last.
    fixture: Option<FixtureReport>,
    /// Those that it has begun with, by their runs.
    begun: VecDeque<(String, plan::Fixture)>,
    leaving: Option<Instant>,
    exited: bool,
    /// Reports that the log does not have yet.
    unacknowledged: usize,
    vitals: Vitals,
    presence: presence::Presence,
    read_at: Instant,
    actions: Vec<Action>,
}

impl Driver {
    /// A driver that has not joined yet. Its ids are made of `seed`, which no other process may share.
    pub fn new(settings: Settings, seed: Uuid) -> Self {
        Self {
            settings,
            bugs: Bugs::default(),
            ids: Ids::new(seed),
            clock: BrokerClock::new(),
            incarnation: Uuid::nil(),
            epoch: -1,
            over: VecDeque::new(),
            task: None,
            pending: None,
            early_trigger: None,
            failure: None,
            fixture: None,
            begun: VecDeque::new(),
            leaving: None,
            exited: false,
            unacknowledged: 0,
            vitals: Vitals::default(),
            presence: presence::Presence::default(),
            read_at: Instant::default(),
            actions: Vec::new(),
        }
    }

    #[cfg(test)]
    pub(crate) fn with_bugs(mut self, bugs: Bugs) -> Self {
        self.bugs = bugs;
        self
    }

    /// What is to be done about `event`, in order.
    pub fn on(&mut self, event: Event, now: Now) -> Vec<Action> {
        if self.exited {
            return Vec::new();
        }
        match event {
            Event::Started => self.join(now),
            Event::Record(record) => self.read(record, now),
            Event::Acknowledged(acknowledged) => self.acknowledged(&acknowledged, now),
            Event::Tick(vitals) => self.tick(vitals, now),
            Event::Prepared { test_id } => self.prepared(&test_id, now),
            Event::PrepareFailed { test_id, reason } => self.prepare_failed(&test_id, reason, now),
            Event::Walked { test_id, fixture, outcome } => self.walked(&test_id, fixture, *outcome),
            Event::Window(window) => self.report(*window),
            Event::EngineFinished(totals) => self.finished(*totals, now),
            Event::EnginePaused { for_ms } => self.paused(for_ms, now),
            Event::LeaseEnded => self.lease_ended(),
            Event::EngineDied { reason, events } => self.died(&reason, events, now),
            Event::CaughtUp => self.caught_up(now),
            Event::Shutdown => self.shut_down(now),
        }
        self.announce(now);
        std::mem::take(&mut self.actions)
    }

    fn acknowledged(&mut self, acknowledged: &Acknowledged, now: Now) {
        match (&acknowledged.sent, acknowledged.stamp) {
            (Sent::Heartbeat, Some(stamped)) => {
                let sample = Sample {
                    sent: acknowledged.handed_over,
                    stamped,
                    acknowledged: acknowledged.acknowledged,
                };
                if self.clock.observe(&sample) {
                    self.notice(Level::Warn, "broker time jumped against this machine's clock".to_owned());
                }
                self.take_pending(now);
            }
            (Sent::Metrics, _) => self.unacknowledged = self.unacknowledged.saturating_sub(1),
            _ => {}
        }
    }

    fn tick(&mut self, vitals: Vitals, now: Now) {
        self.vitals = vitals;
        self.presence_tick(now);
        self.work_tick(now);
        self.leaving_tick(now);
        if self.bugs.has(Bug::StopWhenCutOff) && now.instant.since(self.read_at) > Duration::from_secs(4) {
            self.stop_engine("cut off");
        }
    }

    /// Whether the broker's time is known.
    fn is_synchronised(&self) -> bool {
        self.clock.offset().is_some() || self.bugs.has(Bug::ArmUnsynchronised)
    }

    fn is_over(&self, test_id: &str) -> bool {
        self.over.iter().any(|over| over == test_id)
    }

    fn remember_over(&mut self, test_id: &str) {
        if self.is_over(test_id) {
            return;
        }
        if self.over.len() == REMEMBERED_RUNS {
            self.over.pop_front();
        }
        self.over.push_back(test_id.to_owned());
    }

    fn send(&mut self, message: Message) {
        if matches!(message, Message::Metrics(_)) {
            self.unacknowledged += 1;
        }
        self.actions.push(Action::Send(message));
    }

    fn notice(&mut self, level: Level, text: String) {
        self.actions.push(Action::Notice(level, text));
    }
}
