//! The rows of the fault table that a simulation can show, each with what makes it pass.

use std::collections::BTreeSet;

use super::script::{Fate, Fault, File, Fixtures, SECOND, START_AT, Script, open_plan};
use super::{CROSSED, Report, simulate};
use crate::orchestrator::Outcome;
use crate::view::RunState;

/// 60 iterations a second for 12 s.
const PLANNED: u64 = 720;

fn run(script: Script) -> Report {
    let report = simulate(script, None, false);
    assert!(report.violations.is_empty(), "{:?}", report.violations);
    report
}

fn with(faults: Vec<(u64, Fault)>) -> Report {
    run(Script::calm(11, 3, faults))
}

fn only(report: &Report) -> &Outcome {
    assert_eq!(report.outcomes.len(), 1, "{:?}", report.outcomes);
    &report.outcomes[0]
}

fn due(outcome: &Outcome) -> u64 {
    outcome.members.iter().map(|member| member.stored.due).sum()
}

/// Started and missed iterations of a run that came to its natural end with all its totals.
fn finished(outcome: &Outcome) -> (u64, u64) {
    assert_eq!((outcome.state, &outcome.reason), (RunState::Finished, &None));
    assert!(outcome.complete, "{outcome:?}");
    let missed = outcome.members.iter().map(|member| member.stored.missed.total()).sum();
    (outcome.members.iter().map(|member| member.stored.started).sum(), missed)
}

#[test]
fn nothing_happens() {
    let report = with(vec![]);
    let outcome = only(&report);
    assert_eq!(finished(outcome), (PLANNED, 0));
    assert_eq!((outcome.lost, outcome.overlap, outcome.unknown), (0, 0, 0));
}

#[test]
fn f1_a_driver_is_killed() {
    let report = with(vec![(11 * SECOND, Fault::KillDriver { driver: 0, restart_after_ms: None })]);
    let outcome = only(&report);
    assert!(!outcome.complete && outcome.replaced);
    // At most 1 s unreported, 5 s until it is lost and 3 s until its lanes have moved, at 20 a second.
    assert!((60..=200).contains(&outcome.lost), "{}", outcome.lost);
    assert_eq!(due(outcome) + outcome.lost, PLANNED);
    assert_eq!(report.kinds.get("driver_lost"), Some(&1));
}

#[test]
fn f2_a_driver_is_paused_and_resumed() {
    let report = with(vec![(9 * SECOND, Fault::PauseDriver { driver: 0, for_ms: 9000 })]);
    let outcome = only(&report);
    let missed = finished(outcome).1;
    assert!(missed > 100, "what was due meanwhile is missed, not sent: {missed}");
    assert_eq!(due(outcome) + outcome.lost, PLANNED + outcome.overlap);
    assert!(outcome.overlap > 0);
}

#[test]
fn f3_the_broker_is_away_for_20_s() {
    let script = Script { plan: open_plan("redistribute", "fail", 40, 60), ..Script::calm(11, 3, vec![]) };
    let report = run(Script { faults: vec![(12 * SECOND, Fault::BrokerAway { for_ms: 20_000 })], ..script });
    let outcome = only(&report);
    assert_eq!(finished(outcome), (40 * 60, 0));
    assert_eq!((outcome.lost, outcome.overlap), (0, 0));
    assert_eq!(report.kinds.get("driver_lost"), None);
    assert!(report.kinds.contains_key("log_gap"));
}

#[test]
fn f4_the_orchestrator_is_away_for_good() {
    let script = Script { plan: open_plan("redistribute", "fail", 60, 60), ..Script::calm(11, 3, vec![]) };
    let killed = (12 * SECOND, Fault::KillOrchestrator { restart_after_ms: Some(60_000) });
    let report = run(Script { faults: vec![killed], ..script });
    let outcome = only(&report);
    assert_eq!(outcome.state, RunState::Aborted);
    assert!(outcome.reason.as_deref().is_some_and(|reason| reason.starts_with("control lost")));
    assert!(outcome.complete, "what was measured is complete");
}

#[test]
fn f5_the_orchestrator_is_killed_and_back_after_10_s() {
    let report = with(vec![(10 * SECOND, Fault::KillOrchestrator { restart_after_ms: Some(10_000) })]);
    let outcome = only(&report);
    assert_eq!(finished(outcome), (PLANNED, 0));
    assert_eq!((outcome.lost, outcome.overlap), (0, 0));
}

#[test]
fn f6_two_orchestrators() {
    let report = with(vec![(9 * SECOND, Fault::Rival)]);
    let refused = report.replies.iter().filter(|(_, result)| result.is_err()).count();
    assert_eq!(refused, 1, "{:?}", report.replies);
    let states: BTreeSet<(&str, &str)> =
        report.outcomes.iter().map(|outcome| (outcome.run_id.as_str(), outcome.state.as_str())).collect();
    assert_eq!(states, BTreeSet::from([("run-0", "finished"), ("run-1", "failed")]));
}

#[test]
fn f6_one_after_the_other() {
    let report = with(vec![(25 * SECOND, Fault::Rival)]);
    assert!(report.outcomes.iter().all(|outcome| finished(outcome) == (PLANNED, 0)), "{:?}", report.outcomes);
    assert_eq!(report.outcomes.len(), 2);
}

#[test]
fn f9_a_driver_is_cut_off() {
    let report = with(vec![(9 * SECOND, Fault::CutDriver { driver: 0, for_ms: 9000 })]);
    let outcome = only(&report);
    // It never stopped, so nothing is missing; what both sent is overlap.
    assert!(finished(outcome).0 > PLANNED && outcome.lost == 0 && outcome.overlap > 0, "{outcome:?}");
    assert!(outcome.members.iter().any(|member| member.state == "fenced"));
}

#[test]
fn f11_the_clock_of_the_broker_jumps() {
    for by_ms in [-4000, -1500, 1500, 4000] {
        let report = with(vec![(12 * SECOND, Fault::BrokerStep { by_ms })]);
        let outcome = only(&report);
        assert_eq!(finished(outcome), (PLANNED, 0));
        assert_eq!(report.kinds.get("driver_lost"), None);
        assert!(report.kinds.contains_key("clock_jump"));
    }
}

#[test]
fn f15_everything_is_there_twice() {
    let script = Script { repeats: 255, ..Script::calm(11, 3, vec![]) };
    assert_eq!(finished(only(&run(script))), (PLANNED, 0));
}

#[test]
fn f17_a_driver_joins() {
    let report = with(vec![(9 * SECOND, Fault::Join)]);
    let outcome = only(&report);
    assert_eq!(finished(outcome), (PLANNED, 0));
    assert_eq!(outcome.members.len(), 4);
    assert!(outcome.members[3].stored.due > 0);
}

#[test]
fn f17_a_driver_that_flaps_is_set_aside() {
    let flap = |at_s: u64| (at_s * SECOND, Fault::KillDriver { driver: 0, restart_after_ms: Some(200) });
    let script = Script { plan: open_plan("redistribute", "fail", 60, 60), ..Script::calm(11, 3, vec![]) };
    let report = run(Script { faults: (0..5).map(|n| flap(10 + 9 * n)).collect(), ..script });
    assert_eq!(report.kinds.get("driver_set_aside"), Some(&1), "{:?}", report.kinds);
    let lives = only(&report).members.iter().filter(|member| member.node_id == "driver-0").count();
    assert_eq!(lives, 3);
}

#[test]
fn f19_a_driver_is_asked_to_leave() {
    let report = with(vec![(11 * SECOND, Fault::Leave { driver: 0 })]);
    let outcome = only(&report);
    assert_eq!(finished(outcome), (PLANNED, 0));
    assert_eq!((outcome.lost, outcome.overlap), (0, 0));
}

#[test]
fn a_second_driver_of_a_name_is_refused() {
    let report = with(vec![(9 * SECOND, Fault::Twin { driver: 1 })]);
    assert_eq!(finished(only(&report)), (PLANNED, 0));
    assert_eq!(report.kinds.get("name_taken"), Some(&1));
}

#[test]
fn a_rate_is_changed() {
    let report = with(vec![(12 * SECOND, Fault::SetRate { percent: 50 })]);
    let started = finished(only(&report)).0;
    assert!((PLANNED / 2..PLANNED * 9 / 10).contains(&started), "{started}");
}

#[test]
fn the_operator_stops_and_aborts() {
    for (fault, state) in [(Fault::Stop, RunState::Finished), (Fault::Abort, RunState::Aborted)] {
        let report = with(vec![(12 * SECOND, fault)]);
        let outcome = only(&report);
        assert_eq!(outcome.state, state);
        assert!(outcome.complete && outcome.lost == 0, "{outcome:?}");
    }
}

#[test]
fn a_threshold_ends_the_run_within_two_seconds() {
    let report = with(vec![(15 * SECOND, Fault::Cross), (16 * SECOND, Fault::Cross)]);
    let outcome = only(&report);
    assert_eq!((outcome.state, outcome.reason.as_deref()), (RunState::Aborted, Some(CROSSED)));
    assert!(outcome.complete && outcome.lost == 0, "{outcome:?}");
    // 60 a second are due from second 7 or 8 of the simulation on.
    let started: u64 = outcome.members.iter().map(|member| member.stored.started).sum();
    assert!((6 * 60..10 * 60).contains(&started), "{started}");
    assert_eq!(report.kinds.get("ending"), Some(&1), "{:?}", report.kinds);
}

#[test]
fn an_operator_who_stops_first_is_not_overruled_by_a_threshold() {
    let report = with(vec![(15 * SECOND, Fault::Stop), (15 * SECOND + 1, Fault::Cross)]);
    let outcome = only(&report);
    assert_eq!(outcome.state, RunState::Finished);
    assert!(outcome.reason.as_deref().is_some_and(|reason| reason.starts_with("stopped")));
}

#[test]
fn sixty_four_drivers() {
    let report =
        run(Script { plan: open_plan("redistribute", "fail", 12, 640), ..Script::calm(11, 64, vec![]) });
    assert_eq!(finished(only(&report)), (12 * 640, 0));
}

/// A run whose plan needs a file of three pieces.
fn with_file(fate: Fate, script: Script) -> Report {
    run(script.with_file(Some(File { bytes: 1_200_000, fate })))
}

#[test]
fn a_file_arrives_at_every_driver() {
    // Also at one that joins, after an orchestrator that was killed while the drivers armed, and with everything twice.
    let faults = vec![
        (START_AT + SECOND / 2, Fault::KillOrchestrator { restart_after_ms: Some(2_000) }),
        (11 * SECOND, Fault::Join),
    ];
    let script = Script { repeats: 255, ..Script::calm(11, 3, faults) };
    let report = with_file(Fate::Whole, script);
    let outcome = only(&report);
    assert_eq!(finished(outcome), (PLANNED, 0));
    assert_eq!(outcome.members.len(), 4);
}

#[test]
fn a_file_that_is_not_what_was_sent_stops_the_run_before_it_starts() {
    let says = [
        (Fate::Spoilt, "the file users.csv came with another content than was sent"),
        (Fate::Deleted, "the file users.csv is not in the message log any more; start the run anew"),
    ];
    for (fate, says) in says {
        let report = with_file(fate, Script::calm(11, 3, vec![]));
        let outcome = only(&report);
        assert_eq!(outcome.state, RunState::Failed);
        let reason = outcome.reason.clone().unwrap_or_default();
        assert!(reason.starts_with("driver driver-") && reason.ends_with(says), "{reason}");
        assert_eq!(due(outcome), 0);
    }
}

const FIXTURES: Fixtures = Fixtures { setup_fails: false, took_ms: 3000 };

fn with_fixtures(fixtures: Fixtures, faults: Vec<(u64, Fault)>) -> Report {
    run(Script::calm(11, 3, faults).with_fixtures(Some(fixtures)))
}

fn reason(outcome: &Outcome) -> &str {
    outcome.reason.as_deref().unwrap_or_default()
}

#[test]
fn setup_comes_before_and_teardown_after_the_load() {
    let report = with_fixtures(FIXTURES, vec![]);
    let outcome = only(&report);
    assert_eq!(finished(outcome), (PLANNED, 0));
    assert_eq!(outcome.teardown_fault, None);
    for kind in ["setup", "setup_done", "teardown", "teardown_done"] {
        assert_eq!(report.kinds.get(kind), Some(&1), "{kind}: {:?}", report.kinds);
    }
}

#[test]
fn teardown_comes_however_a_run_ends() {
    for fault in [Fault::Stop, Fault::Abort, Fault::Cross] {
        let report = with_fixtures(FIXTURES, vec![(14 * SECOND, fault)]);
        assert!(only(&report).teardown_fault.is_none() && only(&report).started.is_some());
        assert_eq!(report.kinds.get("teardown_done"), Some(&1), "{:?}", report.kinds);
    }
}

#[test]
fn a_setup_that_fails_stops_the_run_before_it_starts() {
    let report = with_fixtures(Fixtures { setup_fails: true, ..FIXTURES }, vec![]);
    let outcome = only(&report);
    assert_eq!((outcome.state, reason(outcome)), (RunState::Failed, "setup failed: the target refused"));
    assert_eq!((outcome.started, report.kinds.get("teardown")), (None, None));
}

#[test]
fn setup_is_not_walked_again_by_another_driver() {
    let slow = Fixtures { took_ms: 9000, ..FIXTURES };
    for restart_after_ms in [None, Some(500)] {
        let kill = Fault::KillDriver { driver: 0, restart_after_ms };
        let report = with_fixtures(slow, vec![(START_AT + SECOND, kill)]);
        let outcome = only(&report);
        assert_eq!(outcome.state, RunState::Failed);
        assert_eq!(reason(outcome), "setup failed: driver driver-0 was lost while it walked setup");
    }
}

#[test]
fn an_orchestrator_that_is_killed_during_setup_goes_on_with_it() {
    // While the order is out, while setup is under way, and after the drivers were told.
    for after_ms in [100, 900, 1500, 2500, 4000] {
        let kill = Fault::KillOrchestrator { restart_after_ms: Some(2000) };
        let at = START_AT + after_ms * SECOND / 1000;
        let report = with_fixtures(FIXTURES, vec![(at, kill)]);
        assert_eq!(finished(only(&report)), (PLANNED, 0), "{after_ms}");
        assert_eq!(report.kinds.get("teardown_done"), Some(&1), "{after_ms}: {:?}", report.kinds);
    }
}

#[test]
fn an_orchestrator_that_is_killed_in_the_run_still_knows_what_setup_saved() {
    let kill = Fault::KillOrchestrator { restart_after_ms: Some(3000) };
    let report = with_fixtures(FIXTURES, vec![(14 * SECOND, kill), (18 * SECOND, Fault::Join)]);
    assert_eq!(finished(only(&report)), (PLANNED, 0));
    assert_eq!(only(&report).members.len(), 4);
    assert_eq!(report.kinds.get("teardown_done"), Some(&1), "{:?}", report.kinds);
}

#[test]
fn another_driver_walks_teardown_where_that_of_setup_is_gone() {
    let kill = Fault::KillDriver { driver: 0, restart_after_ms: None };
    let report = with_fixtures(FIXTURES, vec![(14 * SECOND, kill)]);
    assert_eq!(report.kinds.get("teardown_done"), Some(&1), "{:?}", report.kinds);
    assert_eq!(only(&report).teardown_fault, None);
}

#[test]
fn an_operator_who_stops_during_setup_ends_the_run() {
    let report = with_fixtures(FIXTURES, vec![(START_AT + SECOND, Fault::Stop)]);
    assert_eq!((only(&report).started, report.kinds.get("teardown")), (None, None));
    assert!(reason(only(&report)).starts_with("stopped"));
}
