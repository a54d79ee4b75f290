//! From claimed to started: drivers are chosen, told the plan, waited for, and given a common start.
//!
//! Invariant: nobody is triggered before everybody who has a lane is armed under the same table.

use std::time::Duration;

use transport::{Message, NodeState, TestConfig, TestConfigOurs, TestType, Trigger, TriggerOurs, wire};

use super::Orchestrator;
use super::run::{Member, Run, Standing, Table};
use crate::run::Now;
use crate::view::RunState;

/// How long an orchestrator listens before it takes the fleet it knows for the whole fleet.
const LISTEN: Duration = Duration::from_secs(3);

impl Orchestrator {
    /// Chooses drivers once enough are there.
    pub(super) fn gather(&mut self, now: Now) {
        let listened = self.started.is_some_and(|started| now.instant.since(started) >= LISTEN);
        let Some(run) = &mut self.run else { return };
        if run.ending.is_some() {
            return;
        }
        let arm_by = *run.arm_by.get_or_insert(now.instant + self.settings.arm_timeout);
        let takes_foreign = run.plan.basic_fields().is_some();
        let mut chosen: Vec<Member> = self
            .fleet
            .nodes()
            .filter(|node| node.is_free() && (node.facts.is_some() || takes_foreign))
            .map(|node| Member::new(node.node_id.clone(), node.incarnation(), Some(1)))
            .collect();
        let (there, min) = (chosen.len(), run.min_drivers.max(1));
        let others =
            self.fleet.nodes().filter(|node| node.is_free() && node.facts.is_none() && !takes_foreign);
        let others = others.count();
        if there >= run.max_drivers || (there >= min && listened) {
            // Ours first: what they report can be merged.
            chosen.sort_by_key(Member::is_foreign);
            chosen.truncate(run.max_drivers);
            run.members = chosen;
            run.state = RunState::Arming;
            self.configure(now);
        } else if now.instant >= arm_by {
            let waited_s = self.settings.arm_timeout.as_secs();
            let foreign = match others {
                0 => String::new(),
                _ => format!(" ({others} of another implementation cannot run such a plan)"),
            };
            let text = format!(
                "too few drivers: {there} of {min} after {waited_s} s{foreign}; start more with `swell driver --kafka`, on the \
                 same broker and --topic-prefix"
            );
            self.end_run(RunState::Failed, &text, now);
        }
    }

    /// Lays out the first table.
    fn configure(&mut self, now: Now) {
        let Some(run) = &mut self.run else { return };
        let drivers: Vec<String> = run.members.iter().map(|member| member.node_id.clone()).collect();
        let Some(shares) = plan::Shares::even(drivers) else {
            self.end_run(RunState::Failed, &format!("a run takes 1 to {} drivers", plan::LANES), now);
            return;
        };
        run.tables = vec![Table { from_ns: 0, shares }];
        self.prepare(now);
    }

    /// Tells everybody the plan.
    pub(super) fn arm(&mut self, now: Now) {
        let Some(run) = &mut self.run else { return };
        run.arm_by = Some(now.instant + self.settings.arm_timeout + run.fetching());
        let count = run.present().count();
        let shares = run.tables.last().map(|table| table.shares.clone());
        self.persist();
        shares.into_iter().for_each(|shares| self.send_config(shares));
        self.timeline("arming", format!("{count} drivers arm"), None, now);
    }

    /// Says the plan with a table; who is named in it is meant.
    pub(super) fn send_config(&mut self, shares: plan::Shares) {
        let Some(run) = &self.run else { return };
        let Some(epoch) = run.epoch().filter(|_| !run.awaits_values()) else { return };
        let config = test_config(run, epoch, shares);
        self.send(Message::TestConfig(config));
    }

    /// After a restart: drivers may have let an armed run go while nobody led.
    pub(super) fn rearm(&mut self, now: Now) {
        let arm_timeout = self.settings.arm_timeout;
        let Some(run) = &mut self.run else { return };
        if run.state != RunState::Arming || run.ending.is_some() || run.awaits_values() {
            return;
        }
        run.arm_by = Some(now.instant + arm_timeout + run.fetching());
        if let Some(table) = run.tables.last() {
            let shares = table.shares.clone();
            self.send_config(shares);
        }
    }

    /// The log has the plan, so a foreign driver has it: more it does not say.
    pub(super) fn configured(&mut self, test_id: &str, now: Now) {
        let Some(run) = self.run.as_mut().filter(|run| run.run_id == test_id) else { return };
        run.members.iter_mut().for_each(|member| member.configured = true);
        self.progress(now);
    }

    /// Starts once everybody is armed, and settles what happens to those who are not in time.
    pub(super) fn check_armed(&mut self, now: Now) {
        let Some(run) = self.run.as_ref().filter(|run| run.ending.is_none()) else { return };
        let waiting: Vec<&Member> = run.present().filter(|member| !self.is_armed(run, member)).collect();
        if waiting.is_empty() {
            self.trigger(now);
            return;
        }
        let failed =
            waiting.iter().find_map(|member| Some((member.node_id.clone(), self.failure(run, member)?)));
        let late = waiting.first().map(|member| (member.node_id.clone(), self.why_not_armed(member)));
        let is_late = run.arm_by.is_some_and(|arm_by| now.instant >= arm_by);
        if let Some((node_id, reason)) = failed.or(late.filter(|_| is_late)) {
            self.unready(&node_id, &reason, now);
        }
    }

    fn is_armed(&self, run: &Run, member: &Member) -> bool {
        if member.is_foreign() {
            return member.configured;
        }
        let node = self.fleet.life(&member.node_id, member.incarnation).filter(|node| node.is_present());
        let heartbeat = node.and_then(|node| node.at_work_on(&run.run_id));
        heartbeat.is_some_and(|heartbeat| {
            heartbeat.state == NodeState::Armed && heartbeat.shares_version == run.version()
        })
    }

    /// Why a driver says that it cannot arm.
    fn failure(&self, run: &Run, member: &Member) -> Option<String> {
        let node = self.fleet.life(&member.node_id, member.incarnation)?;
        let heartbeat = node.at_work_on(&run.run_id)?;
        let failed = heartbeat.state == NodeState::Failed;
        failed.then(|| heartbeat.reason.clone().unwrap_or_else(|| "it does not say why".to_owned()))
    }

    fn why_not_armed(&self, member: &Member) -> String {
        let node = self.fleet.life(&member.node_id, member.incarnation).filter(|node| node.is_present());
        match node.and_then(|node| node.heartbeat.as_ref()) {
            None => "it is not there any more".to_owned(),
            Some(heartbeat) if heartbeat.state == NodeState::Unsynchronised => {
                "it does not know the broker's time".to_owned()
            }
            Some(_) => format!("it was not armed after {} s", self.settings.arm_timeout.as_secs()),
        }
    }

    /// Goes on without a driver that is not ready, or not at all, as the plan says.
    fn unready(&mut self, node_id: &str, reason: &str, now: Now) {
        let text = format!("driver {node_id} is not ready: {reason}");
        self.timeline("driver_unready", text.clone(), Some(node_id), now);
        let arm_timeout = self.settings.arm_timeout;
        let Some(run) = &mut self.run else { return };
        let left = run.present().count().saturating_sub(1);
        let without = run.plan.on_unready_driver == plan::OnUnreadyDriver::StartWithout;
        if !without || left < run.min_drivers.max(1) {
            self.end_run(RunState::Failed, &text, now);
            return;
        }
        let next = run.tables.last().and_then(|table| table.shares.without(node_id));
        let Some(shares) = next else { return };
        for member in run.members.iter_mut().filter(|member| member.node_id == node_id) {
            member.standing = Standing::Failed;
            member.first_version = None;
            member.gone_at = Some(now.instant);
        }
        run.tables.push(Table { from_ns: 0, shares: shares.clone() });
        run.arm_by = Some(now.instant + arm_timeout + run.fetching());
        let incarnation =
            run.members.iter().find(|member| member.node_id == node_id).and_then(|m| m.incarnation);
        self.persist();
        self.control(transport::Command::SetShares { from_ns: 0, shares });
        self.fence(node_id, incarnation);
    }

    /// Sets the common start: far enough ahead for everybody to read it.
    fn trigger(&mut self, now: Now) {
        let Some(broker_now) = self.broker_now(now) else { return };
        let own_error_ms = self.clock.offset().map_or(0.0, |offset| offset.error_ms);
        let Some(run) = &mut self.run else { return };
        let nodes = run.present().filter_map(|member| self.fleet.node(&member.node_id));
        let errors_ms = nodes.filter_map(|node| node.heartbeat.as_ref()?.clock_error_ms);
        let worst_ms = errors_ms.fold(own_error_ms, f64::max).clamp(0.0, 60_000.0);
        let lead = self.settings.start_lead.max(Duration::from_secs_f64(2.0 * worst_ms / 1e3));
        let start_at = broker_now.after(lead).ceil_second();
        run.state = RunState::Running;
        run.start_at = Some(start_at);
        run.started = self.clock.instant(start_at);
        let present = run.members.iter_mut().filter(|member| member.standing == Standing::Arming);
        present.for_each(|member| member.standing = Standing::Active);
        let count = run.present().count();
        self.persist();
        self.send_trigger();
        // With its lease: whoever armed after the last one would otherwise start up to a second late.
        self.next_lease = now.instant;
        self.lease_tick(now);
        self.timeline("started", format!("{count} drivers start together"), None, now);
    }

    pub(super) fn send_trigger(&mut self) {
        let Some(run) = &self.run else { return };
        let (Some(epoch), Some(start_at)) = (run.epoch(), run.start_at) else { return };
        let trigger = Trigger { test_id: run.run_id.clone(), ours: Some(TriggerOurs { epoch, start_at }) };
        self.send(Message::Trigger(trigger));
    }
}

fn test_config(run: &Run, epoch: i64, shares: plan::Shares) -> TestConfig {
    let basic = run.plan.basic_fields();
    let (test_type, message_delay, count) = match &basic {
        Some(fields) if fields.test_type == plan::BasicType::Avalanche => {
            (TestType::Avalanche, fields.delay, fields.count)
        }
        Some(fields) => (TestType::Tsunami, fields.delay, fields.count),
        None => (TestType::Open, Duration::ZERO, 0),
    };
    TestConfig {
        test_id: run.run_id.clone(),
        test_type,
        message_delay,
        message_count_per_driver: count,
        ours: Some(TestConfigOurs {
            plan: run.plan.source.clone(),
            plan_sha256: wire::sha256(&run.plan.source),
            target_throughput_per_driver: run.plan.limit().map(|limit| limit.per_second()),
            epoch,
            shares,
            files: run.files.clone(),
            values: run.values.clone().unwrap_or_default(),
        }),
    }
}
