//! What is said again: leases every second, and commands that a heartbeat does not echo.
//!
//! Invariant: repeating changes nothing for whoever has heard. At most a few messages per driver and period.

use std::time::Duration;

use transport::{Command, NodeState};

use super::claim::{Claim, LEASE};
use super::run::{Run, Standing};
use super::{Node, Orchestrator};
use crate::run::{Bug, Now};
use crate::view::RunState;

const LEASE_EVERY: Duration = Duration::from_secs(1);
const REPEAT_EVERY: Duration = Duration::from_secs(2);

impl Orchestrator {
    /// Renews the lease of everybody, unless the run is being aborted.
    pub(super) fn lease_tick(&mut self, now: Now) {
        let Some(run) = &self.run else { return };
        let leads = matches!(run.claim, Claim::Held { .. });
        if !leads || run.ending == Some(RunState::Aborted) || now.instant < self.next_lease {
            return;
        }
        let Some(broker_now) = self.broker_now(now) else { return };
        self.next_lease = now.instant + LEASE_EVERY;
        self.control(Command::Lease { expires_at: broker_now.after(LEASE) });
    }

    pub(super) fn repeat_tick(&mut self, now: Now) {
        self.lease_tick(now);
        if now.instant < self.next_repeat && !self.bugs.has(Bug::RepeatCommands) {
            return;
        }
        self.next_repeat = now.instant + REPEAT_EVERY;
        self.repeat_order();
        let Some(run) = &self.run else { return };
        let behind = Behind::of(run, |member| self.fleet.life(&member.node_id, member.incarnation));
        if behind.trigger || self.bugs.has(Bug::RepeatCommands) {
            self.send_trigger();
        }
        if let Some(version) = behind.version {
            self.repeat_tables(version);
        }
        for (node_id, incarnation) in behind.fenced {
            self.control(Command::Fence { node_id, incarnation });
        }
        if behind.end {
            self.send_end();
        }
    }

    fn repeat_tables(&mut self, after_version: u32) {
        let Some(run) = &self.run else { return };
        let later = run.tables.iter().filter(|table| table.shares.version > after_version);
        let later: Vec<_> = later.cloned().collect();
        for table in later {
            self.control(Command::SetShares { from_ns: table.from_ns, shares: table.shares });
        }
    }

    /// Says how the run ends.
    pub(super) fn send_end(&mut self) {
        let Some(run) = &self.run else { return };
        let reason = run.reason.clone().unwrap_or_default();
        match run.ending {
            Some(RunState::Finished) => self.control(Command::Stop),
            Some(_) => self.control(Command::Abort { reason }),
            None => {}
        }
    }
}

/// What some driver's heartbeat shows it has not heard.
#[derive(Default)]
struct Behind {
    trigger: bool,
    /// The lowest version of the tables that a driver at work has.
    version: Option<u32>,
    fenced: Vec<(String, transport::Uuid)>,
    end: bool,
}

impl Behind {
    fn of<'a>(run: &'a Run, node_of: impl Fn(&super::Member) -> Option<&'a Node>) -> Self {
        let mut behind = Self::default();
        for member in &run.members {
            let heartbeat = node_of(member).and_then(|node| node.at_work_on(&run.run_id));
            let Some(heartbeat) = heartbeat else { continue };
            let works = matches!(heartbeat.state, NodeState::Arming | NodeState::Armed | NodeState::Running);
            if !works {
                continue;
            }
            behind.end |= run.ending.is_some();
            if let (Standing::Fenced, Some(incarnation)) = (member.standing, member.incarnation) {
                behind.fenced.push((member.node_id.clone(), incarnation));
                continue;
            }
            let active = member.standing == Standing::Active || run.state == RunState::Arming;
            behind.trigger |= active && run.start_at.is_some() && heartbeat.state == NodeState::Armed;
            if active && heartbeat.shares_version < run.version() {
                let lowest = behind.version.unwrap_or(u32::MAX).min(heartbeat.shares_version);
                behind.version = Some(lowest);
            }
        }
        behind
    }
}
