//! The orchestrator: claims the lead, arms drivers, starts them together, keeps them leased, moves the share of those
//! that are lost, and says when a run is complete.
//!
//! Invariant: what must survive a restart is persisted before it is said, and everything said can be said again: a
//! command that a driver's heartbeat does not echo is repeated. Deliberately absent: measurements, which the collector
//! merges, and their verdict. One run at a time.

mod event;
mod fleet;
mod claim;
mod run;
mod lead;
mod arming;
mod fixture;
mod shares;
mod repeat;
mod ending;
mod accounts;

use std::time::Duration;

use clock::{BrokerClock, BrokerTime, Instant, Sample};
use transport::{Control, Heartbeat, HeartbeatOurs, Message, NodeState, Record, Role, Uuid};

use crate::run::{Acknowledged, Bug, Bugs, Ids, Level, Now, RunRecord, Sent};
use crate::view::{RunState, STOPPED, TimelineEvent};
use claim::Holds;
use fleet::{Change, Fleet};

pub use event::{Action, Collected, Command, Event, MemberOutcome, Outcome, Refused, Settings, Start};
pub use fleet::{Liveness, Node};
pub use run::{Member, Run, Standing};

const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);
/// How long a shutdown waits for the drivers' totals.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(9);

/// The synchronous half of an orchestrator: events in, actions out.
#[derive(Debug)]
pub struct Orchestrator {
    settings: Settings,
    bugs: Bugs,
    ids: Ids,
    clock: BrokerClock,
    incarnation: Uuid,
    fleet: Fleet,
    holds: Holds,
    run: Option<Run>,
    /// Counts the commands of this process.
    seq: u64,
    started: Option<Instant>,
    next_heartbeat: Instant,
    next_lease: Instant,
    next_repeat: Instant,
    shutting_down: Option<Instant>,
    exited: bool,
    actions: Vec<Action>,
}

impl Orchestrator {
    /// An orchestrator that has not begun. Its ids are made of `seed`, which no other process may share.
    pub fn new(settings: Settings, seed: Uuid) -> Self {
        Self {
            settings,
            bugs: Bugs::default(),
            ids: Ids::new(seed),
            clock: BrokerClock::new(),
            incarnation: Uuid::nil(),
            fleet: Fleet::default(),
            holds: Holds::default(),
            run: None,
            seq: 0,
            started: None,
            next_heartbeat: Instant::default(),
            next_lease: Instant::default(),
            next_repeat: Instant::default(),
            shutting_down: None,
            exited: false,
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
            Event::Started(record) => self.begin(record, now),
            Event::Record(record) => self.read(record, now),
            Event::Acknowledged(acknowledged) => self.acknowledged(&acknowledged, now),
            Event::Tick => self.tick(now),
            Event::Command { token, command } => self.command(token, command, now),
            Event::Collected(collected) => self.collected(collected, now),
            Event::Summarised { node_id, test_id, summary } => {
                self.summarised(&node_id, &test_id, summary, now)
            }
            Event::Crossed { run_id, reason } => self.crossed(&run_id, &reason, now),
            Event::Shutdown => self.shut_down(now),
        }
        std::mem::take(&mut self.actions)
    }

    /// Every driver that registered.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.fleet.nodes()
    }

    /// How long a driver has been silent, in the time of the heartbeat log.
    pub fn silence(&self, node: &Node) -> Option<Duration> {
        Some(self.fleet.log_now()?.since(node.heard?))
    }

    /// The run that is under way.
    pub fn current(&self) -> Option<&Run> {
        self.run.as_ref()
    }

    /// Now in broker time; `None` while unsynchronised.
    pub fn broker_now(&self, now: Now) -> Option<BrokerTime> {
        self.clock.broker_time(now.instant)
    }

    /// Run time of the current run: negative before its start, `None` before its trigger.
    pub fn elapsed_ms(&self, now: Now) -> Option<i64> {
        self.run.as_ref()?.elapsed_ms(now.instant)
    }

    /// Whole seconds since the start of the current run.
    pub fn second(&self, now: Now) -> Option<u32> {
        self.elapsed_ms(now).and_then(|elapsed_ms| u32::try_from(elapsed_ms.div_euclid(1000)).ok())
    }

    /// Takes the start of the current run to this machine's clock.
    fn convert_start(&mut self) {
        if let Some(run) = self.run.as_mut().filter(|run| run.started.is_none()) {
            run.started = run.start_at.and_then(|start_at| self.clock.instant(start_at));
        }
    }

    fn begin(&mut self, record: Option<Box<RunRecord>>, now: Now) {
        self.incarnation = self.ids.uuid(now);
        self.started = Some(now.instant);
        self.next_heartbeat = now.instant;
        self.heartbeat(now);
        if let Some(record) = record.filter(|record| !record.state.is_over()) {
            self.resume(&record, now);
        }
    }

    fn read(&mut self, record: Record, now: Now) {
        match record.message {
            Ok(Message::Register(register)) => {
                let changes = self.fleet.register(register, record.stamp);
                self.fleet_changed(changes, now);
            }
            Ok(Message::Heartbeat(heartbeat)) => {
                self.fence_stranger(&heartbeat);
                let changes = self.fleet.heartbeat(heartbeat, record.stamp);
                self.fleet_changed(changes, now);
                self.progress(now);
            }
            Ok(Message::Control(control)) => self.on_control(&control, record.offset, record.stamp, now),
            Ok(Message::TestConfig(config)) => self.read_values(config, now),
            Ok(_) => {}
            Err(malformed) => self.notice(Level::Warn, format!("ignored a malformed message: {malformed}")),
        }
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
                    let text = "broker time jumped against this machine's clock".to_owned();
                    self.timeline("clock_jump", text, None, now);
                }
                self.convert_start();
            }
            (Sent::Config { test_id }, _) => self.configured(test_id, now),
            _ => {}
        }
    }

    fn tick(&mut self, now: Now) {
        if self.started.is_none() {
            return;
        }
        self.heartbeat(now);
        if self.bugs.has(Bug::LossByOwnClock) {
            self.judge_by_own_clock(now);
        }
        self.lead_tick(now);
        self.progress(now);
        // Here only, so that what the collector says together is looked at together.
        self.check_end(now);
        self.repeat_tick(now);
        self.shutdown_tick(now);
    }

    /// Moves the current run on as far as what is known allows.
    fn progress(&mut self, now: Now) {
        let Some(run) = &self.run else { return };
        if run.epoch().is_none() {
            return;
        }
        match run.state {
            RunState::Created => self.gather(now),
            RunState::Arming if run.awaits_values() => self.watch_setup(now),
            RunState::Arming => self.check_armed(now),
            RunState::Armed | RunState::Running => {
                self.invite(now);
                self.watch_members(now);
            }
            _ => {}
        }
    }

    fn heartbeat(&mut self, now: Now) {
        if now.instant < self.next_heartbeat {
            return;
        }
        let behind = now.instant.since(self.next_heartbeat) > HEARTBEAT_EVERY;
        self.next_heartbeat = if behind { now.instant } else { self.next_heartbeat } + HEARTBEAT_EVERY;
        let offset = self.clock.offset();
        let wall_ms = now.unix_ms as f64 - now.instant.as_nanos() as f64 / 1e6;
        let run = self.run.as_ref();
        let heartbeat = Heartbeat {
            node_id: self.settings.node_id.clone(),
            timestamp_unix_ms: now.unix_ms,
            ours: Some(HeartbeatOurs {
                incarnation: self.incarnation,
                role: Role::Orchestrator,
                state: if run.is_some() { NodeState::Running } else { NodeState::Idle },
                test_id: run.map(|run| run.run_id.clone()),
                epoch: run.and_then(Run::epoch).unwrap_or(-1),
                shares_version: run.map_or(0, Run::version),
                cpu_percent: 0.0,
                memory_bytes: 0,
                open_sockets: 0,
                send_lag_p99_us: 0,
                events_dropped: 0,
                clock_offset_ms: offset.map(|offset| offset.ms - wall_ms),
                clock_error_ms: offset.map(|offset| offset.error_ms),
                requests_sent: 0,
                reason: None,
                fixture: None,
            }),
        };
        self.send(Message::Heartbeat(heartbeat));
    }

    fn fleet_changed(&mut self, changes: Vec<Change>, now: Now) {
        for change in changes {
            match change {
                Change::Joined { node_id } => self.joined(&node_id, now),
                Change::Suspect { node_id } => self.suspected(&node_id, now),
                Change::Lost { node_id, incarnation } => self.lost(&node_id, incarnation, now),
                Change::Back { node_id } => self.came_back(&node_id, now),
                Change::Left { node_id, incarnation } => self.left(&node_id, incarnation, now),
                Change::NameTaken { node_id, incarnation } => self.refuse_name(node_id, incarnation, now),
                Change::LogGap { for_ms } => {
                    let text =
                        format!("the heartbeat log was silent for {for_ms} ms; nobody is lost for that");
                    self.timeline("log_gap", text, None, now);
                }
                Change::Full { node_id } => {
                    self.notice(Level::Warn, format!("no room to remember another driver: {node_id:?}"));
                }
            }
        }
    }

    fn shut_down(&mut self, now: Now) {
        self.shutting_down.get_or_insert(now.instant);
        let stops = self.run.as_ref().is_some_and(|run| run.ending.is_none());
        if stops {
            self.end_run(RunState::Finished, &format!("{STOPPED}: the orchestrator was asked to end"), now);
        }
        self.progress(now);
        self.shutdown_tick(now);
    }

    fn shutdown_tick(&mut self, now: Now) {
        let Some(since) = self.shutting_down else { return };
        if self.run.is_some() && now.instant.since(since) >= SHUTDOWN_WAIT {
            self.conclude(now);
        }
        if self.run.is_none() {
            self.exited = true;
            self.actions.push(Action::Exit);
        }
    }

    #[cfg(test)]
    fn judge_by_own_clock(&mut self, now: Now) {
        if let Some(broker_now) = self.broker_now(now) {
            let changes = self.fleet.judge_by(broker_now);
            self.fleet_changed(changes, now);
        }
    }

    #[cfg(not(test))]
    fn judge_by_own_clock(&mut self, _: Now) {}

    fn send(&mut self, message: Message) {
        self.actions.push(Action::Send(message));
    }

    /// Gives a command, if this orchestrator leads.
    fn control(&mut self, command: transport::Command) {
        let Some(run) = &self.run else { return };
        let (Some(epoch), test_id) = (run.epoch(), Some(run.run_id.clone())) else { return };
        self.control_as(test_id, epoch, command);
    }

    fn control_as(&mut self, test_id: Option<String>, epoch: i64, command: transport::Command) {
        self.seq += 1;
        let (seq, store) = (self.seq, self.settings.store);
        self.send(Message::Control(Control { test_id, epoch, seq, store, command }));
    }

    /// Stores the current run before anything that is said after.
    fn persist(&mut self) {
        if let Some(run) = &self.run {
            let record = run.record();
            self.actions.push(Action::Persist(Box::new(record)));
        }
    }

    fn notice(&mut self, level: Level, text: String) {
        self.actions.push(Action::Notice(level, text));
    }

    /// Tells the current run's timeline, or the process's log when there is none.
    fn timeline(&mut self, kind: &'static str, text: String, driver: Option<&str>, now: Now) {
        if self.run.is_none() {
            self.notice(Level::Info, text);
            return;
        }
        let second = self.second(now);
        let driver = driver.map(str::to_owned);
        let event = TimelineEvent { second, unix_ms: now.unix_ms, kind: kind.into(), text, driver };
        self.actions.push(Action::Timeline(event));
    }
}
