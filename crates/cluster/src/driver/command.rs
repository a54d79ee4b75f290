//! Commands: which of them count, and what they change.
//!
//! Invariant: a command of a superseded orchestrator changes nothing, and a run that was stopped, aborted or handed over
//! is never taken up again, whatever is read later and in whichever order the topics come.

use std::sync::Arc;

use clock::{BrokerTime, Instant};
use plan::{LaneSet, Plan};
use serde_json::{Map, Value, json};
use transport::{Command, Control, FileInfo, Message, Record, TestConfig, TestType, Trigger};

use super::task::{Lease, Phase, Share, Task};
use super::{Action, Driver, Exit, Preparation};
use crate::run::{Bug, Level, Now};

impl Driver {
    pub(super) fn read(&mut self, record: Record, now: Now) {
        self.read_at = now.instant;
        match record.message {
            Ok(Message::TestConfig(config)) => self.on_config(config, now),
            Ok(Message::Trigger(trigger)) => self.on_trigger(trigger, now),
            Ok(Message::Control(control)) => self.on_control(control, now),
            Ok(_) => {}
            Err(malformed) => self.notice(Level::Warn, format!("ignored a malformed message: {malformed}")),
        }
    }

    /// Follows the highest epoch; false for a command of an orchestrator that was superseded.
    fn obeys(&mut self, epoch: i64) -> bool {
        if epoch < self.epoch && !self.bugs.has(Bug::ObeyOldEpoch) {
            return false;
        }
        self.epoch = self.epoch.max(epoch);
        true
    }

    fn on_config(&mut self, config: TestConfig, now: Now) {
        if self.leaving.is_some() || self.is_over(&config.test_id) {
            return;
        }
        if let Some(ours) = &config.ours {
            let node_id = &self.settings.node_id;
            if !ours.shares.drivers.iter().any(|driver| driver == node_id) || !self.obeys(ours.epoch) {
                return;
            }
        }
        let failed_before = self.failure.as_ref().is_some_and(|(test_id, _)| *test_id == config.test_id);
        let is_current = self.task.as_ref().is_some_and(|task| task.test_id == config.test_id);
        self.leave_setup(&config.test_id);
        if failed_before || is_current {
            return;
        }
        self.pending = Some(config);
        // Whoever leads now does not wait for a run that was never started.
        let replaceable = self.task.as_ref().is_some_and(|task| !task.foreign && !task.has_engine());
        if replaceable && self.pending.as_ref().is_some_and(|config| config.ours.is_some()) {
            self.actions.push(Action::Discard);
            self.task = None;
        }
        self.take_pending(now);
    }

    /// Takes up the run that waits, once nothing is in its way.
    pub(super) fn take_pending(&mut self, now: Now) {
        if self.task.is_some() || self.leaving.is_some() {
            return;
        }
        let Some(config) = self.pending.take() else { return };
        if config.ours.is_some() && !self.is_synchronised() {
            self.pending = Some(config);
            return;
        }
        let test_id = config.test_id.clone();
        match self.task_of(config, now) {
            Ok(task) => self.take_up(task),
            Err(reason) => self.fail(&test_id, reason),
        }
    }

    fn task_of(&self, config: TestConfig, now: Now) -> Result<Task, String> {
        let node_id = &self.settings.node_id;
        let (foreign, plan, share, files) = match config.ours {
            Some(ours) => {
                let plan = plan::parse("plan", &ours.plan).map_err(|faults| first_fault(&faults))?;
                let plan = plan.with_values(&ours.values)?;
                let lanes = ours.shares.lanes_of(node_id);
                check_files(&plan, &ours.files)?;
                (false, plan, Share { version: ours.shares.version, from_ns: 0, lanes }, ours.files)
            }
            None => {
                let plan = self.foreign_plan(&config)?;
                (true, plan, Share { version: 0, from_ns: 0, lanes: LaneSet::all() }, Vec::new())
            }
        };
        Ok(Task {
            test_id: config.test_id,
            incarnation: self.incarnation,
            foreign,
            plan: Arc::new(plan),
            files,
            phase: Phase::Preparing,
            shares: vec![share],
            rates: Vec::new(),
            lease: None,
            start_at: None,
            started: None,
            taken_up: now.instant,
            reason: None,
            fenced: false,
            seq: 0,
            sums: metrics::Totals::default(),
        })
    }

    /// A foreign orchestrator sends no plan: what it says is put into the basic form, with the target of this driver.
    fn foreign_plan(&self, config: &TestConfig) -> Result<Plan, String> {
        let Some(target) = &self.settings.target else {
            return Err("the orchestrator sends no plan, and this driver was given no --target".to_owned());
        };
        let test_type = match config.test_type {
            TestType::Avalanche => "AVALANCHE",
            TestType::Tsunami => "TSUNAMI",
            TestType::Open => return Err("an open load comes with a plan, and there is none".to_owned()),
        };
        let mut form: Map<String, Value> = Map::new();
        form.insert("test_type".to_owned(), json!(test_type));
        form.insert("message_count_per_driver".to_owned(), json!(config.message_count_per_driver));
        form.insert("target".to_owned(), json!(target));
        if config.test_type == TestType::Tsunami {
            form.insert(
                "test_message_delay".to_owned(),
                json!(format!("{}us", config.message_delay.as_micros())),
            );
        }
        plan::basic(&form).map_err(|faults| first_fault(&faults))
    }

    fn take_up(&mut self, task: Task) {
        self.failure = None;
        self.notice(Level::Info, format!("arming for run {}", task.test_id));
        self.actions.push(Action::Prepare(Box::new(Preparation {
            test_id: task.test_id.clone(),
            plan: Arc::clone(&task.plan),
            files: task.files.clone(),
            lanes: task.shares.first().map_or(LaneSet::empty(), |share| share.lanes),
        })));
        let early = self.early_trigger.take_if(|trigger| trigger.test_id == task.test_id);
        self.task = Some(task);
        if let Some(trigger) = early {
            self.note_trigger(&trigger);
        }
    }

    pub(super) fn fail(&mut self, test_id: &str, reason: String) {
        self.notice(Level::Warn, format!("cannot run {test_id}: {reason}"));
        self.failure = Some((test_id.to_owned(), reason));
    }

    fn on_trigger(&mut self, trigger: Trigger, now: Now) {
        if self.is_over(&trigger.test_id) || trigger.ours.is_some_and(|ours| !self.obeys(ours.epoch)) {
            return;
        }
        match &self.task {
            Some(task) if task.test_id == trigger.test_id => {
                self.note_trigger(&trigger);
                self.start_if_due(now);
            }
            _ => self.early_trigger = Some(trigger),
        }
    }

    fn note_trigger(&mut self, trigger: &Trigger) {
        let Some(task) = &mut self.task else { return };
        match trigger.ours {
            Some(ours) if !task.foreign => task.start_at = task.start_at.or(Some(ours.start_at)),
            // Without a start to agree on, it is "now"; the time itself does not matter.
            None if task.foreign => task.start_at = Some(BrokerTime::default()),
            _ => {}
        }
    }

    fn on_control(&mut self, control: Control, now: Now) {
        // A claim is for other orchestrators; its epoch is the one it wants to supersede.
        if control.command == Command::Claim || !self.obeys(control.epoch) {
            return;
        }
        let order = (control.epoch, control.seq);
        let test_id = control.test_id.as_deref();
        let is_current = test_id.is_some() && test_id == self.task.as_ref().map(|task| task.test_id.as_str());
        match (control.command, test_id) {
            (Command::Fence { node_id, incarnation }, _) if node_id == self.settings.node_id => {
                self.on_fence(incarnation, test_id, now);
            }
            (Command::Fixture(order), Some(test_id)) => self.on_fixture(*order, test_id),
            (Command::Stop, Some(test_id)) => self.on_stop(test_id, is_current, now),
            (Command::Abort { reason }, Some(test_id)) => self.on_abort(test_id, is_current, &reason, now),
            (Command::Lease { expires_at }, _) if is_current => {
                self.on_lease(Lease { order, expires_at }, now)
            }
            (Command::SetRate { from_ns, factor }, _) if is_current => self.on_rate(from_ns, factor),
            (Command::SetShares { from_ns, shares }, _) if is_current => {
                let lanes = shares.lanes_of(&self.settings.node_id);
                self.on_share(Share { version: shares.version, from_ns, lanes });
            }
            _ => {}
        }
    }

    fn on_fence(&mut self, incarnation: uuid::Uuid, test_id: Option<&str>, now: Now) {
        let fenced = self.task.as_ref().filter(|task| task.incarnation == incarnation);
        if fenced.is_none() && incarnation != self.incarnation && !self.bugs.has(Bug::FenceByName) {
            return;
        }
        if self.bugs.has(Bug::IgnoreFence) {
            return;
        }
        if test_id.is_none() {
            let node_id = &self.settings.node_id;
            let text = format!(
                "another driver named {node_id:?} is alive; give this one another name with --node-id"
            );
            self.end_task("the name is taken", now);
            self.exit(Exit::NameTaken(text));
            return;
        }
        self.notice(Level::Warn, "fenced: the orchestrator took this driver for lost".to_owned());
        match &mut self.task {
            Some(task) => {
                task.fenced = true;
                self.end_task("fenced", now);
            }
            None => {
                // What it gives would be said by another life.
                test_id.into_iter().for_each(|test_id| self.leave_setup(test_id));
                self.join(now);
            }
        }
    }

    fn on_stop(&mut self, test_id: &str, is_current: bool, now: Now) {
        if self.bugs.has(Bug::IgnoreStop) {
            return;
        }
        self.forget(test_id);
        if is_current {
            self.end_task("stopped", now);
        }
    }

    fn on_abort(&mut self, test_id: &str, is_current: bool, reason: &str, now: Now) {
        self.forget(test_id);
        if is_current {
            self.end_task(reason, now);
            self.abort_engine(reason);
        }
    }

    /// A run that is over is not taken up any more.
    fn forget(&mut self, test_id: &str) {
        self.remember_over(test_id);
        self.pending.take_if(|config| config.test_id == test_id);
        self.early_trigger.take_if(|trigger| trigger.test_id == test_id);
        self.failure.take_if(|(failed, _)| failed == test_id);
        self.leave_setup(test_id);
    }

    fn on_lease(&mut self, lease: Lease, now: Now) {
        let Some(task) = &mut self.task else { return };
        if !task.add_lease(lease) {
            return;
        }
        if task.has_engine() {
            let until = self.lease_instant();
            self.actions.push(Action::SetLease(until));
        } else {
            self.start_if_due(now);
        }
    }

    /// When the lease ends by this machine's clock. Asked anew for each lease, so that it follows the broker's time.
    pub(super) fn lease_instant(&self) -> Instant {
        const ENDLESS: Instant = Instant::from_nanos(u64::MAX);
        match &self.task {
            Some(task) if task.foreign || self.bugs.has(Bug::EndlessLease) => ENDLESS,
            Some(task) => {
                let lease = task.lease.and_then(|lease| self.clock.instant(lease.expires_at));
                lease.unwrap_or_default()
            }
            None => Instant::default(),
        }
    }

    fn on_rate(&mut self, from_ns: u64, factor: f64) {
        let Some(task) = &mut self.task else { return };
        if task.add_rate(from_ns, factor) && task.has_engine() {
            self.actions.push(Action::ChangeRate { from_ns, factor });
        }
    }

    fn on_share(&mut self, share: Share) {
        let Some(task) = &mut self.task else { return };
        if task.add_share(share) && task.has_engine() {
            let Share { version, from_ns, lanes } = share;
            self.actions.push(Action::ChangeLanes { version, from_ns, lanes });
        }
    }
}

/// Whether the run says of each file that the plan needs where it is.
pub(super) fn check_files(plan: &Plan, files: &[FileInfo]) -> Result<(), String> {
    let is_there = |path: &str| files.iter().any(|file| file.path == path);
    match plan.files().into_iter().find(|file| !is_there(&file.path)) {
        Some(file) => {
            Err(format!("the plan needs the file {}, and the run has none of that name", file.path))
        }
        None => Ok(()),
    }
}

pub(super) fn first_fault(faults: &[plan::Diagnostic]) -> String {
    let more = faults.len().saturating_sub(1);
    let first = faults.first().map_or_else(|| "the plan is not valid".to_owned(), ToString::to_string);
    if more == 0 { first } else { format!("{first} (and {more} more)") }
}
