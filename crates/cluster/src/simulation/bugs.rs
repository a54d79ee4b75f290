//! A checker that cannot fail is worth nothing: each planted bug is found, by the check that is meant for it, on a script
//! that is clean without it.

use super::script::{Fault, Fixtures, SECOND, Script};
use super::simulate;
use crate::run::Bug;

/// The script finds the bug, and says so in these words; without the bug it finds nothing.
fn finds(bug: Bug, script: Script, words: &str) {
    let clean = simulate(script.clone(), None, false);
    assert!(clean.violations.is_empty(), "without {bug:?}: {:?}", clean.violations);
    let violations = simulate(script, Some(bug), false).violations;
    assert!(violations.iter().any(|violation| violation.contains(words)), "{bug:?}: {violations:?}");
}

/// Three drivers, 60 iterations a second for 12 s, from about second 8 on.
fn calm(faults: Vec<(u64, Fault)>) -> Script {
    Script::calm(7, 3, faults)
}

fn one(at_s: u64, fault: Fault) -> Script {
    calm(vec![(at_s * SECOND, fault)])
}

const KILL: Fault = Fault::KillDriver { driver: 1, restart_after_ms: None };

#[test]
fn accounting() {
    finds(Bug::ForgetLost, one(12, KILL), "accounting");
    let restart = (18 * SECOND, Fault::KillOrchestrator { restart_after_ms: Some(1000) });
    finds(Bug::ForgetShares, calm(vec![(9 * SECOND, KILL), restart]), "accounting");
}

#[test]
fn truth() {
    finds(Bug::ReportTwice, calm(vec![]), "truth");
    finds(Bug::DropWindow, calm(vec![]), "nothing went wrong");
    finds(Bug::CompleteUnseen, one(12, KILL), "truth: complete without the totals");
}

#[test]
fn no_perturbation() {
    let unshared = Script { plan: super::script::open_plan("continue", "fail", 20, 60), ..calm(vec![]) };
    let cut = (10 * SECOND, Fault::CutDriver { driver: 2, for_ms: 12_000 });
    finds(Bug::StopWhenCutOff, Script { faults: vec![cut], ..unshared }, "for no reason");
    finds(Bug::StartOnReading, calm(vec![]), "off the common start");
}

#[test]
fn no_silence() {
    finds(Bug::SilentLoss, one(12, KILL), "silence");
}

#[test]
fn no_forgotten_load() {
    let long = super::script::open_plan("redistribute", "fail", 60, 20);
    let gone = (10 * SECOND, Fault::KillOrchestrator { restart_after_ms: None });
    finds(Bug::EndlessLease, Script { plan: long, ..calm(vec![gone]) }, "its last lease ended");
    finds(Bug::IgnoreStop, one(12, Fault::Stop), "it was told to stop");
    finds(Bug::IgnoreFence, one(9, Fault::CutDriver { driver: 0, for_ms: 6000 }), "it was told to stop");
    finds(Bug::ReleaseAtOnce, one(9, Fault::PauseDriver { driver: 0, for_ms: 7000 }), "without having read");
}

#[test]
fn one_leads() {
    finds(Bug::IgnoreRival, one(10, Fault::Rival), "two orchestrators lead");
    finds(Bug::ObeyOldEpoch, one(12, Fault::Ghost), "for no reason");
}

#[test]
fn one_driver_of_a_name() {
    finds(Bug::FenceByName, one(10, Fault::Twin { driver: 1 }), "for no reason");
}

#[test]
fn loss_in_the_time_of_the_log() {
    let away = (10 * SECOND, Fault::BrokerAway { for_ms: 9000 });
    finds(Bug::LossByOwnClock, calm(vec![away]), "was not silent");
}

#[test]
fn nobody_arms_without_the_time() {
    let deaf = Script { deaf: Some(0), ..calm(vec![]) };
    finds(Bug::ArmUnsynchronised, deaf, "cannot know the time");
}

#[test]
fn bounded() {
    finds(Bug::RepeatCommands, calm(vec![]), "unbounded");
}

#[test]
fn setup_and_teardown() {
    let walks = |script: Script| script.with_fixtures(Some(Fixtures { setup_fails: false, took_ms: 2000 }));
    finds(Bug::SetUpAgain, walks(Script { repeats: 255, ..calm(vec![]) }), "is walked again");
    let long = super::script::open_plan("redistribute", "fail", 60, 60);
    let faults =
        vec![(14 * SECOND, Fault::CutDriver { driver: 1, for_ms: 60_000 }), (15 * SECOND, Fault::Abort)];
    let script = Script { plan: long, faults, ..calm(vec![]) };
    finds(Bug::TearDownEarly, walks(script), "load after teardown");
}
