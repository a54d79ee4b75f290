//! Being there: registration, heartbeats, and leaving.
//!
//! Invariant: a heartbeat goes out every second whatever happens, and at once when what it says has changed.

use std::time::Duration;

use clock::Instant;
use transport::{Heartbeat, HeartbeatOurs, Message, NodeState, Register, RegisterOurs, Role, wire};

use super::task::Phase;
use super::{Action, Driver, Exit};
use crate::run::{Level, Now};

const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);
const REGISTER_EVERY: Duration = Duration::from_secs(60);
/// How long a leaving driver waits for others to take its lanes before it stops.
const WAIT_FOR_TAKEOVER: Duration = Duration::from_secs(4);
/// When a leaving driver cancels what is still in flight.
const WAIT_FOR_DRAIN: Duration = Duration::from_secs(8);
/// When a leaving driver goes although the log does not have all its reports.
const WAIT_FOR_LOG: Duration = Duration::from_secs(10);

/// When a driver speaks next, and what it said last.
#[derive(Debug, Default)]
pub(super) struct Presence {
    next_heartbeat: Option<Instant>,
    next_register: Instant,
    said: Option<Saying>,
}

/// State, run, version of the shares, reason, and how far setup or teardown is.
type Saying = (NodeState, Option<String>, u32, Option<String>, Option<(plan::Fixture, bool)>);

impl Driver {
    /// Registers under a new incarnation.
    pub(super) fn join(&mut self, now: Now) {
        self.incarnation = self.ids.uuid(now);
        self.read_at = now.instant;
        self.register(now, false);
        self.presence.next_heartbeat = Some(now.instant);
    }

    fn register(&mut self, now: Now, leaving: bool) {
        self.presence.next_register = now.instant + REGISTER_EVERY;
        let settings = &self.settings;
        let register = Register {
            node_id: settings.node_id.clone(),
            node_ip: settings.address.clone(),
            leaving,
            ours: Some(RegisterOurs {
                incarnation: self.incarnation,
                protocol: wire::PROTOCOL,
                version: settings.version.clone(),
                cores: settings.cores,
                memory_bytes: settings.memory_bytes,
                zone: settings.zone.clone(),
                labels: settings.labels.clone(),
            }),
        };
        self.send(Message::Register(register));
    }

    /// Repeats the registration, for whoever came later.
    pub(super) fn presence_tick(&mut self, now: Now) {
        let joined = self.presence.next_heartbeat.is_some();
        if joined && self.leaving.is_none() && now.instant >= self.presence.next_register {
            self.register(now, false);
        }
    }

    /// Sends a heartbeat when one is due, or when something has changed.
    pub(super) fn announce(&mut self, now: Now) {
        let Some(due) = self.presence.next_heartbeat else { return };
        let walk = self.fixture.as_ref().map(|report| (report.fixture, report.outcome.is_some()));
        let saying = (self.state(), self.test_id(), self.shares_version(), self.reason(), walk);
        if now.instant < due && self.presence.said.as_ref() == Some(&saying) {
            return;
        }
        let heartbeat = self.heartbeat(now, &saying);
        self.presence.said = Some(saying);
        // The cadence is kept, so that a late tick does not add up; after a pause it begins anew.
        let next = if now.instant >= due { due + HEARTBEAT_EVERY } else { due };
        let next = if next <= now.instant { now.instant + HEARTBEAT_EVERY } else { next };
        self.presence.next_heartbeat = Some(next);
        self.send(Message::Heartbeat(heartbeat));
    }

    fn heartbeat(&self, now: Now, (state, test_id, shares_version, reason, _): &Saying) -> Heartbeat {
        let offset = self.clock.offset();
        let wall_ms = now.unix_ms as f64 - now.instant.as_nanos() as f64 / 1e6;
        Heartbeat {
            node_id: self.settings.node_id.clone(),
            timestamp_unix_ms: now.unix_ms,
            ours: Some(HeartbeatOurs {
                incarnation: self.incarnation,
                role: Role::Driver,
                state: *state,
                test_id: test_id.clone(),
                epoch: self.epoch,
                shares_version: *shares_version,
                cpu_percent: self.vitals.cpu_percent,
                memory_bytes: self.vitals.memory_bytes,
                open_sockets: self.vitals.open_sockets,
                send_lag_p99_us: self.vitals.send_lag_p99_us,
                events_dropped: self.vitals.events_dropped,
                clock_offset_ms: offset.map(|offset| offset.ms - wall_ms),
                clock_error_ms: offset.map(|offset| offset.error_ms),
                requests_sent: self.vitals.requests_sent,
                reason: reason.clone(),
                fixture: self.fixture.clone(),
            }),
        }
    }

    fn state(&self) -> NodeState {
        let task = self.task.as_ref().map(|task| &task.phase);
        match task {
            _ if self.leaving.is_some() => NodeState::Leaving,
            Some(Phase::Preparing) => NodeState::Arming,
            Some(Phase::Armed | Phase::CatchingUp { .. }) => NodeState::Armed,
            Some(Phase::Running { .. }) => NodeState::Running,
            Some(Phase::Draining { .. }) => NodeState::Draining,
            None if !self.is_synchronised() => NodeState::Unsynchronised,
            None if self.failure.is_some() => NodeState::Failed,
            None => NodeState::Idle,
        }
    }

    fn test_id(&self) -> Option<String> {
        let running = self.task.as_ref().map(|task| task.test_id.clone());
        running.or_else(|| self.failure.as_ref().map(|(test_id, _)| test_id.clone()))
    }

    fn shares_version(&self) -> u32 {
        self.task.as_ref().map_or(0, |task| task.shares_version())
    }

    fn reason(&self) -> Option<String> {
        let task = self.task.as_ref().and_then(|task| task.reason.clone());
        task.or_else(|| self.failure.as_ref().map(|(_, reason)| reason.clone()))
    }

    /// Says goodbye. A share of a fleet's load is kept until others have it, so that nothing is lost on the way.
    pub(super) fn shut_down(&mut self, now: Now) {
        if self.leaving.is_some() {
            return;
        }
        self.leaving = Some(now.instant);
        self.pending = None;
        if self.presence.next_heartbeat.is_some() {
            self.register(now, true);
        }
        let keeps_share = self.task.as_ref().is_some_and(|task| task.is_running() && task.is_shared());
        if !keeps_share {
            self.end_task("the driver leaves", now);
        }
        self.leaving_tick(now);
    }

    pub(super) fn leaving_tick(&mut self, now: Now) {
        let Some(since) = self.leaving else { return };
        let waited = now.instant.since(since);
        if let Some(task) = &self.task {
            if task.is_running() && (task.has_handed_over(now.instant) || waited >= WAIT_FOR_TAKEOVER) {
                self.stop_engine("the driver leaves");
            } else if waited >= WAIT_FOR_DRAIN {
                self.abort_engine("the driver leaves");
            }
        }
        let done = self.task.is_none() && self.unacknowledged == 0;
        if done || waited >= WAIT_FOR_LOG {
            if !done {
                let text = format!("leaving with {} reports that the log may not have", self.unacknowledged);
                self.notice(Level::Error, text);
            }
            self.exit(Exit::Done);
        }
    }

    pub(super) fn exit(&mut self, exit: Exit) {
        self.exited = true;
        self.presence.next_heartbeat = None;
        self.actions.push(Action::Exit(exit));
    }
}
