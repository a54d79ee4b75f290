//! What was lost, doubled and never heard of: exact numbers from the schedule, the tables and the ledger.
//!
//! Over a member's lanes in the spans in which they were its own, what was due less what it reported is lost; what it
//! reported beyond that is overlap. Where a member ended by its own stop, not by the schedule or a table, its report is
//! all that was due on it. Invariant: planned due = Σ reported due + lost − overlap.

use metrics::Totals;
use plan::LaneSet;

use super::event::MemberOutcome;
use super::run::{Member, Run, Standing};
use crate::run::{Bug, Bugs};

/// The account of each member, in order.
pub(super) fn of(run: &Run, bugs: Bugs) -> Vec<MemberOutcome> {
    run.members.iter().map(|member| of_member(run, member, bugs)).collect()
}

fn of_member(run: &Run, member: &Member, bugs: Bugs) -> MemberOutcome {
    let stored = member.collected.as_ref().map_or_else(Totals::default, |collected| collected.stored);
    let fin = member.collected.as_ref().and_then(|collected| collected.fin);
    let due = if member.is_foreign() { stored.due } else { due_on(run, member).unwrap_or(stored.due) };
    let known = stored.succeeded.saturating_add(stored.failed).saturating_add(stored.cancelled);
    let lost = due.saturating_sub(stored.due);
    MemberOutcome {
        node_id: member.node_id.clone(),
        incarnation: member.incarnation,
        state: match member.standing {
            Standing::Arming | Standing::Active if fin.is_some() => Standing::Finished.as_str(),
            standing => standing.as_str(),
        },
        replaced: member.end_version.is_some(),
        stored,
        fin,
        lost: if bugs.has(Bug::ForgetLost) { 0 } else { lost },
        overlap: stored.due.saturating_sub(due),
        unknown: stored.requests_sent.saturating_sub(known),
    }
}

/// What was due on a member; `None` when only it can say.
fn due_on(run: &Run, member: &Member) -> Option<u64> {
    let said_all = member.has_said_totals();
    let stopped_ns = run.ending.and(run.stopped_ns);
    run.start_at?;
    if !run.is_shared() {
        // Its rest is lost when it is; a stop of the run loses nothing.
        let stopped_itself = said_all && run.ending.is_some() && !member.standing.is_gone();
        let until_ns = stopped_ns.unwrap_or(u64::MAX);
        // One that was never given a part owes nothing.
        return match &run.schedule {
            _ if stopped_itself || member.first_version.is_none() => None,
            Some(schedule) => Some(schedule.count_in(&LaneSet::all(), 0, until_ns)),
            None => run.plan.planned_iterations(1),
        };
    }
    let taken_away_ns = run.taken_away_ns(member);
    if said_all && taken_away_ns.is_none() && run.ending.is_some() {
        return None;
    }
    let Some(schedule) = &run.schedule else {
        // Users have no schedule. A number of iterations is divided among them, and no lane moves once they have begun.
        let lanes = run.tables.last()?.shares.lanes_of(&member.node_id);
        return run.plan.iterations_in(&lanes).filter(|_| member.first_version.is_some());
    };
    let until_ns = stopped_ns.unwrap_or(u64::MAX);
    let spans = run.spans(member, until_ns);
    Some(spans.iter().map(|(lanes, from_ns, to_ns)| schedule.count_in(lanes, *from_ns, *to_ns)).sum())
}
