//! The fleet changes while a run is on: drivers fall silent, come back, leave, fail and join, and lanes move.
//!
//! Invariant: a lane has one owner at every run time, by one sequence of tables; a driver that may still be sending on
//! lanes it lost is fenced. Every change is in the timeline.

use clock::Instant;
use transport::{Command, Heartbeat, NodeState, Role, Uuid};

use super::run::{Member, Standing, Table};
use super::{Liveness, Orchestrator};
use crate::run::{Bug, Now};
use crate::view::RunState;

/// A driver that was lost this often in one run is not asked again.
const FLAPS: usize = 3;

impl Orchestrator {
    pub(super) fn joined(&mut self, node_id: &str, now: Now) {
        self.notice(crate::run::Level::Info, format!("driver {node_id} registered"));
        let incarnation = self.fleet.node(node_id).and_then(super::Node::incarnation);
        let Some(run) = &mut self.run else { return };
        // Before the start a driver that came again takes its own place.
        let arming = run.state == RunState::Arming && run.ending.is_none();
        let place =
            run.members.iter_mut().find(|member| member.node_id == node_id && member.first_version.is_some());
        if let Some(member) = place.filter(|member| arming && member.incarnation != incarnation) {
            let before = member.incarnation;
            *member = Member::new(node_id.to_owned(), incarnation, Some(1));
            self.persist();
            self.fence(node_id, before);
            self.rearm(now);
        }
    }

    pub(super) fn suspected(&mut self, node_id: &str, now: Now) {
        if self.takes_part(node_id) {
            let text = format!("driver {node_id} has been silent for 3 s");
            self.timeline("driver_suspect", text, Some(node_id), now);
        }
    }

    fn takes_part(&self, node_id: &str) -> bool {
        self.run.as_ref().is_some_and(|run| run.present().any(|member| member.node_id == node_id))
    }

    /// A driver fell silent for good, as far as the log knows.
    pub(super) fn lost(&mut self, node_id: &str, incarnation: Option<Uuid>, now: Now) {
        if self.bugs.has(Bug::SilentLoss) {
            self.gone_silently(node_id, incarnation, now.instant);
            return;
        }
        let text = format!("driver {node_id} is lost: silent for 5 s");
        self.gone(node_id, incarnation, Standing::Lost, ("driver_lost", &text), now);
    }

    pub(super) fn left(&mut self, node_id: &str, incarnation: Option<Uuid>, now: Now) {
        let text = format!("driver {node_id} leaves");
        self.gone(node_id, incarnation, Standing::Left, ("driver_left", &text), now);
    }

    /// A driver has no part in the run any more; what that means is the plan's.
    fn gone(
        &mut self,
        node_id: &str,
        incarnation: Option<Uuid>,
        standing: Standing,
        (kind, text): (&'static str, &str),
        now: Now,
    ) {
        let Some(run) = &mut self.run else { return };
        let arming = run.state == RunState::Arming;
        let Some(member) = run.member_mut(node_id, incarnation) else { return };
        if !matches!(member.standing, Standing::Arming | Standing::Active) {
            return;
        }
        if arming {
            // It may come again until the deadline.
            self.timeline(kind, text.to_owned(), Some(node_id), now);
            return;
        }
        let was_active = member.standing == Standing::Active && member.first_version.is_some();
        member.standing = standing;
        member.gone_at = Some(now.instant);
        self.timeline(kind, text.to_owned(), Some(node_id), now);
        self.persist();
        if was_active {
            self.replace(node_id, incarnation, text, now);
        }
    }

    fn gone_silently(&mut self, node_id: &str, incarnation: Option<Uuid>, now: Instant) {
        let Some(run) = &mut self.run else { return };
        if let Some(member) = run.member_mut(node_id, incarnation) {
            member.standing = Standing::Lost;
            member.gone_at = Some(now);
        }
    }

    /// Does what the plan says about a driver that is gone.
    fn replace(&mut self, node_id: &str, incarnation: Option<Uuid>, why: &str, now: Now) {
        let Some(run) = self.run.as_ref().filter(|run| run.ending.is_none()) else { return };
        match run.plan.on_driver_loss {
            plan::OnDriverLoss::Abort => self.end_run(RunState::Aborted, why, now),
            plan::OnDriverLoss::Redistribute if run.is_shared() => self.take_lanes(node_id, incarnation, now),
            plan::OnDriverLoss::Redistribute | plan::OnDriverLoss::Continue => {}
        }
    }

    /// Moves the lanes of a driver to the others, from a time that they can read before it comes.
    fn take_lanes(&mut self, node_id: &str, incarnation: Option<Uuid>, now: Now) {
        let Some(from_ns) = self.next_table_ns(now) else { return };
        let Some(run) = &mut self.run else { return };
        if run.end_ns().is_some_and(|end_ns| from_ns >= end_ns) {
            return;
        }
        let Some(shares) = run.tables.last().and_then(|table| table.shares.without(node_id)) else {
            self.end_run(RunState::Failed, "no driver is left", now);
            return;
        };
        let version = shares.version;
        run.tables.push(Table { from_ns, shares: shares.clone() });
        if let Some(member) = run.member_mut(node_id, incarnation) {
            member.end_version = Some(version);
            if member.standing == Standing::Lost {
                member.standing = Standing::Fenced;
            }
        }
        self.persist();
        self.control(Command::SetShares { from_ns, shares });
        // One that leaves keeps its lanes until then, and stops by itself.
        let leaves =
            self.fleet.life(node_id, incarnation).is_some_and(|node| node.liveness == Liveness::Left);
        if !leaves {
            self.fence(node_id, incarnation);
        }
        let text =
            format!("the lanes of {node_id} move to the others from second {}", from_ns / 1_000_000_000);
        self.timeline("shares_moved", text, Some(node_id), now);
    }

    /// Tells a driver that this life of it does not count any more.
    pub(super) fn fence(&mut self, node_id: &str, incarnation: Option<Uuid>) {
        let Some(incarnation) = incarnation else { return };
        if self.fleet.life(node_id, Some(incarnation)).is_some() {
            self.fleet.fence(node_id);
        }
        self.control(Command::Fence { node_id: node_id.to_owned(), incarnation });
    }

    /// A life that works on the run and has no part in it took up what was meant for another life of its name.
    pub(super) fn fence_stranger(&mut self, heartbeat: &Heartbeat) {
        let Some(run) = self.run.as_ref().filter(|run| !run.members.is_empty()) else { return };
        let Some(ours) = heartbeat.ours.as_ref().filter(|ours| ours.role == Role::Driver) else { return };
        let at_work = matches!(ours.state, NodeState::Arming | NodeState::Armed | NodeState::Running);
        let mut members = run.members.iter();
        let is_member = members.any(|member| member.is_life(&heartbeat.node_id, Some(ours.incarnation)));
        if at_work && ours.test_id.as_deref() == Some(run.run_id.as_str()) && !is_member {
            self.fence(&heartbeat.node_id, Some(ours.incarnation));
        }
    }

    /// The run time for the next table: never before that of the last one.
    fn next_table_ns(&self, now: Now) -> Option<u64> {
        let last_ns = self.run.as_ref()?.tables.last().map_or(0, |table| table.from_ns);
        Some(self.change_ns(now)?.max(last_ns))
    }

    /// A driver that was taken for lost and keeps its part.
    pub(super) fn came_back(&mut self, node_id: &str, now: Now) {
        let incarnation = self.fleet.node(node_id).and_then(super::Node::incarnation);
        let Some(run) = &mut self.run else { return };
        let Some(member) = run.member_mut(node_id, incarnation) else { return };
        if member.standing == Standing::Lost {
            member.standing = Standing::Active;
            member.gone_at = None;
            self.persist();
            self.timeline("driver_back", format!("driver {node_id} is back"), Some(node_id), now);
        }
    }

    /// Two drivers under one name are alive: the second one is told to go. It was never asked to do anything.
    pub(super) fn refuse_name(&mut self, node_id: String, incarnation: Uuid, now: Now) {
        let text = format!("a second driver named {node_id} was refused: the first one is alive");
        self.timeline("name_taken", text.clone(), Some(&node_id), now);
        self.notice(crate::run::Level::Warn, text);
        let epoch = self.run.as_ref().and_then(super::Run::epoch).unwrap_or(-1);
        self.control_as(None, epoch, Command::Fence { node_id, incarnation });
    }

    /// Asks free drivers to join a run that is on.
    pub(super) fn invite(&mut self, now: Now) {
        let Some(from_ns) = self.next_table_ns(now) else { return };
        let Some(run) = self.run.as_ref().filter(|run| run.ending.is_none()) else { return };
        let joinable = run.is_shared()
            && !run.awaits_values()
            && run.plan.on_driver_loss == plan::OnDriverLoss::Redistribute;
        let over = run.end_ns().is_none_or(|end_ns| from_ns >= end_ns);
        let wanted = run.max_drivers.saturating_sub(run.present().count());
        if !joinable || over || wanted == 0 {
            return;
        }
        let free = self.fleet.nodes().filter(|node| node.is_free() && node.facts.is_some());
        let failed = |node: &&super::Node| node.at_work_on(&run.run_id).is_none();
        let lives = |node_id: &str| run.members.iter().filter(|member| member.node_id == node_id).count();
        let guests: Vec<(String, Option<Uuid>, usize)> = free
            .filter(failed)
            .filter(|node| {
                !run.members.iter().any(|member| member.is_life(&node.node_id, node.incarnation()))
            })
            .map(|node| (node.node_id.clone(), node.incarnation(), lives(&node.node_id)))
            .take(wanted)
            .collect();
        for (node_id, incarnation, lives) in guests {
            if lives >= FLAPS {
                self.set_aside(&node_id, now);
            } else {
                self.ask_to_join(&node_id, incarnation, now);
            }
        }
    }

    fn set_aside(&mut self, node_id: &str, now: Now) {
        let Some(run) = &mut self.run else { return };
        if !run.set_aside.iter().any(|aside| aside == node_id) {
            run.set_aside.push(node_id.to_owned());
            let text = format!("driver {node_id} was lost {FLAPS} times and is set aside for this run");
            self.timeline("driver_set_aside", text, Some(node_id), now);
        }
    }

    /// The table it is told names it alone, and gives it nothing: it arms first. The lanes are put down to the run
    /// itself, so that no other life of a driver can take the table for its own.
    fn ask_to_join(&mut self, node_id: &str, incarnation: Option<Uuid>, now: Now) {
        let Some(run) = &mut self.run else { return };
        let owned =
            run.tables.last().is_none_or(|table| table.shares.drivers.iter().any(|name| name == node_id));
        let Some(nothing) = plan::Shares::even(vec![format!("run {}", run.run_id)]).filter(|_| !owned) else {
            return;
        };
        let drivers = [nothing.drivers, vec![node_id.to_owned()]].concat();
        let shares = plan::Shares { version: run.version(), drivers, owners: nothing.owners };
        run.members.push(Member::new(node_id.to_owned(), incarnation, None));
        self.persist();
        self.send_config(shares);
        self.timeline("driver_joins", format!("driver {node_id} arms to join"), Some(node_id), now);
    }

    /// Gives joiners that are armed their lanes, and notices drivers that ended before the run did.
    pub(super) fn watch_members(&mut self, now: Now) {
        let Some(run) = self.run.as_ref().filter(|run| run.ending.is_none()) else { return };
        let mut joiners = Vec::new();
        let mut ended = Vec::new();
        for member in run.present().filter(|member| !member.is_foreign()) {
            let Some(node) = self.fleet.life(&member.node_id, member.incarnation) else { continue };
            let state = node.at_work_on(&run.run_id).map(|heartbeat| heartbeat.state);
            let life = (member.node_id.clone(), member.incarnation);
            match (member.standing, state) {
                // One that has read the trigger runs already, without a lane.
                (Standing::Arming, Some(NodeState::Armed | NodeState::Running)) => joiners.push(life),
                (Standing::Arming, Some(NodeState::Failed)) => ended.push(life),
                (Standing::Active, _) if member.has_said_totals() => ended.push(life),
                _ => {}
            }
        }
        for (node_id, incarnation) in ended {
            self.ended_early(&node_id, incarnation, now);
        }
        for (node_id, incarnation) in joiners {
            self.give_lanes(&node_id, incarnation, now);
        }
    }

    fn give_lanes(&mut self, node_id: &str, incarnation: Option<Uuid>, now: Now) {
        let Some(from_ns) = self.next_table_ns(now) else { return };
        let Some(run) = &mut self.run else { return };
        let Some(table) = run.tables.last() else { return };
        if run.end_ns().is_none_or(|end_ns| from_ns >= end_ns) || run.ending.is_some() {
            return;
        }
        let shares = table.shares.with(node_id);
        let version = shares.version;
        if version == table.shares.version {
            return;
        }
        run.tables.push(Table { from_ns, shares: shares.clone() });
        if let Some(member) = run.member_mut(node_id, incarnation) {
            member.standing = Standing::Active;
            member.first_version = Some(version);
        }
        self.persist();
        self.send_trigger();
        self.send_rates();
        self.control(Command::SetShares { from_ns, shares });
        let text = format!("driver {node_id} has lanes from second {}", from_ns / 1_000_000_000);
        self.timeline("driver_joined", text, Some(node_id), now);
    }

    /// A driver handed over before the schedule ended: nobody told it to, so it could not go on.
    fn ended_early(&mut self, node_id: &str, incarnation: Option<Uuid>, now: Now) {
        let over = self.next_table_ns(now).zip(self.run.as_ref().and_then(super::Run::end_ns));
        let per_driver = self.run.as_ref().is_some_and(|run| !run.is_shared());
        if per_driver || over.is_none_or(|(from_ns, end_ns)| from_ns >= end_ns) {
            return;
        }
        let node = self.fleet.life(node_id, incarnation);
        let reason = node.and_then(|node| node.heartbeat.as_ref()?.reason.clone());
        let text =
            format!("driver {node_id} ended early: {}", reason.as_deref().unwrap_or("it does not say why"));
        self.gone(node_id, incarnation, Standing::Failed, ("driver_failed", &text), now);
    }
}
