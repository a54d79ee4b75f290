//! The end of a run: who has said its totals, whether all of it is stored, and what is missing.
//!
//! Invariant: a run ends once, and only when every driver's totals equal what is stored, or a stated time has passed;
//! what is missing then is said in exact numbers.

use std::time::Duration;

use clock::BrokerTime;
use transport::{Command, Summary};

use super::claim::Claim;
use super::event::{Collected, Outcome};
use super::run::{Member, Run, Standing};
use super::{Action, Liveness, Orchestrator, accounts};
use crate::run::{Bug, Bugs, Now};
use crate::view::RunState;

/// How long the end waits for stored totals to equal what the drivers said.
const CLOSING_WAIT: Duration = Duration::from_secs(60);
/// How long after its loss a driver may still come and hand over what it measured.
const HANDOVER_WAIT: Duration = Duration::from_secs(15);
/// A foreign driver is done when it has not reported for this long.
const FOREIGN_SILENCE: Duration = Duration::from_secs(10);
/// How long an avalanche of a foreign driver may take before its first report.
const FOREIGN_FIRST_REPORT: Duration = Duration::from_secs(60);

impl Orchestrator {
    /// Orders the end of the run. The first order counts, unless a later one is harsher.
    pub(super) fn end_run(&mut self, state: RunState, reason: &str, now: Now) {
        let elapsed_ms = self.elapsed_ms(now);
        let Some(run) = &mut self.run else { return };
        if run.ending.is_some_and(|ending| ending != RunState::Finished || state == RunState::Finished) {
            return;
        }
        run.ending = Some(state);
        run.reason = Some(reason.to_owned());
        let stopped_ms = elapsed_ms.and_then(|elapsed_ms| u64::try_from(elapsed_ms.max(0)).ok());
        run.stopped_ns = run.stopped_ns.or(stopped_ms.map(|ms| ms * 1_000_000));
        run.ending_since = Some(now.instant);
        if run.state != RunState::Created {
            run.state = RunState::Draining;
        }
        self.persist();
        self.send_end();
        self.timeline("ending", reason.to_owned(), None, now);
    }

    /// Ends the run at once, as a threshold asks. Who is ending it already goes before.
    pub(super) fn crossed(&mut self, run_id: &str, reason: &str, now: Now) {
        let run = self.run.as_ref().filter(|run| run.run_id == run_id);
        if run.is_some_and(|run| run.epoch().is_some() && run.ending.is_none()) {
            self.end_run(RunState::Aborted, reason, now);
        }
    }

    pub(super) fn collected(&mut self, collected: Box<Collected>, now: Now) {
        let Some(run) = self.run.as_mut().filter(|run| run.run_id == collected.run_id) else { return };
        let (node_id, incarnation) = (collected.node_id.clone(), Some(collected.incarnation));
        if run.member_mut(&node_id, incarnation).is_none() {
            if collected.stored.requests_sent == 0 {
                return;
            }
            // A life that this orchestrator never asked; what it measured counts all the same.
            let mut member = Member::new(node_id.clone(), incarnation, None);
            member.standing = Standing::Failed;
            member.gone_at = Some(now.instant);
            run.members.push(member);
        }
        if let Some(member) = run.member_mut(&node_id, incarnation) {
            member.collected = Some(collected);
        }
        self.progress(now);
    }

    pub(super) fn summarised(&mut self, node_id: &str, test_id: &str, summary: Summary, now: Now) {
        let Some(run) = self.run.as_mut().filter(|run| run.run_id == test_id) else { return };
        if let Some(member) = run.member_mut(node_id, None) {
            member.summary = Some(summary);
            member.reported_at = Some(now.instant);
        }
    }

    /// Ends the run once nothing more can come.
    pub(super) fn check_end(&mut self, now: Now) {
        let Some(run) = self.run.as_ref().filter(|run| !matches!(run.claim, Claim::Waiting { .. })) else {
            return;
        };
        let over_by_schedule = run.is_shared() && schedule_is_over(run, now);
        let all_said = run.members.iter().all(|member| self.has_said_all(run, member, now));
        let all_done = run.start_at.is_some() || run.ending.is_some();
        if !(all_done && (run.ending.is_some() || over_by_schedule || (all_said && !run.members.is_empty())))
        {
            return;
        }
        let drained = match run.ending_since {
            Some(since) => now.instant.since(since) > run.plan.drain,
            None => run.drained_by().is_some_and(|drained_by| now.instant > drained_by),
        };
        let incomplete =
            |member: &Member| !member.is_complete() && !member.standing.is_gone() && !member.is_foreign();
        let all_stored = self.bugs.has(Bug::CompleteUnseen)
            || !run.members.iter().any(|member| member.has_said_totals() && incomplete(member));
        let Some(run) = &mut self.run else { return };
        if run.state == RunState::Running {
            run.state = RunState::Draining;
            self.persist();
        }
        let Some(run) = &mut self.run else { return };
        if all_said || drained {
            let since = *run.closing_since.get_or_insert(now.instant);
            let waited = now.instant.since(since) > CLOSING_WAIT;
            if (all_said && all_stored) || waited {
                self.wind_up(waited, now);
            }
        }
    }

    /// Whether nothing more is expected of a member.
    fn has_said_all(&self, run: &Run, member: &Member, now: Now) -> bool {
        if member.is_foreign() {
            return self.foreign_is_done(run, member, now);
        }
        // Who still arms while the run is on has nothing to say.
        let has_part = member.standing != Standing::Arming || run.start_at.is_none();
        if member.has_said_totals() || !has_part {
            return true;
        }
        if member.standing.is_gone() {
            return member.gone_at.is_none_or(|gone_at| now.instant.since(gone_at) > HANDOVER_WAIT);
        }
        let node = self.fleet.life(&member.node_id, member.incarnation);
        let at_work = node.is_some_and(|node| node.is_present() && node.at_work_on(&run.run_id).is_some());
        !at_work && run.start_at.is_none() && run.ending.is_some()
    }

    fn foreign_is_done(&self, run: &Run, member: &Member, now: Now) -> bool {
        if run.start_at.is_none() || member.standing.is_gone() {
            return run.ending.is_some() || member.standing.is_gone();
        }
        let left = self.fleet.node(&member.node_id).is_none_or(|node| node.liveness == Liveness::Left);
        if let Some(reported_at) = member.reported_at {
            return left || now.instant.since(reported_at) > FOREIGN_SILENCE;
        }
        let expected = run.plan.duration().unwrap_or(FOREIGN_FIRST_REPORT) + FOREIGN_SILENCE;
        left || run.started.is_some_and(|started| now.instant > started + expected)
    }

    /// Ends the run now, with what there is.
    pub(super) fn conclude(&mut self, now: Now) {
        self.note_teardown_missing(now);
        let ended = self.broker_now(now);
        let Some(run) = &mut self.run else { return };
        for member in
            run.members.iter_mut().filter(|member| member.is_complete() && !member.standing.is_gone())
        {
            member.standing = Standing::Finished;
        }
        let outcome = outcome(run, ended, self.bugs);
        let untold = run.members.iter().any(|member| !member.has_said_totals() && !member.is_foreign());
        run.state = outcome.state;
        let text = match &outcome.reason {
            Some(reason) => format!("{}: {reason}", outcome.state.as_str()),
            None => outcome.state.as_str().to_owned(),
        };
        self.timeline("ended", text, None, now);
        if untold && self.run.as_ref().is_some_and(|run| run.ending.is_none()) {
            self.control(Command::Stop);
        }
        if self.run.as_ref().is_some_and(|run| matches!(run.claim, Claim::Held { .. })) {
            self.release_lead(BrokerTime::default());
        }
        // Last: whoever waits for the end may leave, and the commands must be on their way by then.
        self.actions.push(Action::Ended(Box::new(outcome)));
        self.run = None;
    }

    /// Ends a run that never got the lead: nobody heard of it.
    pub(super) fn conclude_unled(&mut self, now: Now) {
        let ended = self.broker_now(now);
        if let Some(run) = self.run.take() {
            self.actions.push(Action::Ended(Box::new(outcome(&run, ended, self.bugs))));
        }
    }
}

fn schedule_is_over(run: &Run, now: Now) -> bool {
    let end = run.started.zip(run.end_ns()).map(|(started, end_ns)| started + Duration::from_nanos(end_ns));
    end.is_some_and(|end| now.instant >= end)
}

fn sent(member: &Member) -> u64 {
    member.collected.as_ref().map_or(0, |collected| collected.stored.requests_sent)
}

fn outcome(run: &Run, ended: Option<BrokerTime>, bugs: Bugs) -> Outcome {
    let members = accounts::of(run, bugs);
    let complete = run.members.iter().filter(|member| !member.is_foreign()).all(|member| {
        let never_began = run.start_at.is_none() || (member.first_version.is_none() && sent(member) == 0);
        member.is_complete() || never_began
    });
    let replaced =
        run.members.iter().all(|member| !member.standing.is_gone() || member.end_version.is_some());
    Outcome {
        run_id: run.run_id.clone(),
        state: run.ending.unwrap_or(RunState::Finished),
        reason: run.reason.clone(),
        teardown_fault: run.teardown_fault.clone(),
        started: run.start_at,
        ended,
        complete: complete || bugs.has(Bug::CompleteUnseen),
        replaced,
        lost: members.iter().map(|member| member.lost).sum(),
        overlap: members.iter().map(|member| member.overlap).sum(),
        unknown: members.iter().map(|member| member.unknown).sum(),
        members,
    }
}
