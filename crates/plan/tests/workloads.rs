//! Loads side by side: which scenario is walked by which, and what is said of loads that do not go together.

use expect_test::{Expect, expect};
use plan::{LaneSet, LoopKind, Plan, Schedules, StageId};

const TWO: &str = "version: 1
name: p
target: http://127.0.0.1
seed: 7
load:
  model: open
  stages:
    - { name: up, from: 0/s, to: 100/s, over: 10s, warmup: true }
    - { name: hold, at: 100/s, for: 20s }
scenarios:
  browse: { weight: 3, steps: [ get: /a ] }
  batch:
    load: { model: open, arrivals: poisson, stages: [ { at: 10/s, for: 1m } ] }
    steps: [ get: /b ]
  search: { weight: 1, steps: [ get: /c ] }
";

fn plan(text: &str) -> Plan {
    plan::parse("p.yaml", text).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn refused(text: &str, expect: Expect) {
    let said = match plan::parse("p.yaml", text) {
        Ok(_) => "a plan\n".to_owned(),
        Err(faults) => faults
            .iter()
            .map(|fault| {
                let (line, column) = (fault.line, fault.column);
                format!(
                    "{line}:{column}: {} [{}]\n  {}\n",
                    fault.message,
                    fault.code,
                    fault.help.as_deref().unwrap_or("-")
                )
            })
            .collect(),
    };
    expect.assert_eq(&said);
}

#[test]
fn a_scenario_with_a_load_of_its_own_is_walked_by_it_alone() {
    let plan = plan(TWO);
    let [shared, own] = plan.workloads.as_slice() else { panic!("{:?}", plan.workloads) };
    assert_eq!((shared.name.as_deref(), own.name.as_deref()), (None, Some("batch")));
    let browses = (0..10_000).filter(|index| shared.scenario_of(*index) == 0).count();
    assert!((7_300..7_700).contains(&browses), "three in four: {browses}");
    assert!((0..10_000).all(|index| shared.scenario_of(index) != 1 && own.scenario_of(index) == 1));
    assert_eq!([0, 1, 2].map(|scenario| plan.workload_with(scenario)), [0, 1, 0]);
}

#[test]
fn stages_are_numbered_through_and_lie_beside_each_other() {
    let plan = plan(TWO);
    let stages: Vec<_> = plan
        .stages()
        .into_iter()
        .map(|stage| (stage.name, stage.begins.as_secs(), stage.duration.unwrap().as_secs()))
        .collect();
    assert_eq!(
        stages,
        [("up".to_owned(), 0, 10), ("hold".to_owned(), 10, 20), ("batch/stage 1".to_owned(), 0, 60)]
    );
    let own = plan.workloads[1].schedule().unwrap();
    assert_eq!((own.stage_at(0), own.stage_at(u64::MAX)), (StageId(2), StageId(2)));
    let names = [0, 1, 2].map(|stage| plan.workload_of(StageId(stage)).unwrap().name.clone());
    assert_eq!(names, [None, None, Some("batch".to_owned())]);
    assert_eq!([0, 1, 2].map(|stage| plan.is_warmup(StageId(stage))), [true, false, false]);
}

#[test]
fn what_is_planned_is_the_sum() {
    let plan = plan(TWO);
    assert_eq!(plan.planned_iterations(1), Some(500 + 2000 + 600));
    assert_eq!(plan.duration().unwrap().as_secs(), 60);
    // The batch is measured while the others warm up.
    assert_eq!((plan.measured(), plan.warmup().as_secs()), (vec![(0, 60_000_000_000)], 0));
    let per_s = plan.planned_per_s(3).unwrap();
    assert!((per_s - 2600.0 / 60.0).abs() < 1e-9, "{per_s}");
    assert_eq!(plan.loop_kind(), LoopKind::Open);
    let schedules = Schedules::of(&plan).unwrap();
    assert_eq!(schedules.end_ns(), 60_000_000_000);
    assert!((schedules.rate_at(5_000_000_000) - 60.0).abs() < 1e-6);
    assert!((schedules.rate_at(40_000_000_000) - 10.0).abs() < 1e-6);
    assert!((schedules.expected_in(StageId(2), 0, 10_000_000_000) - 100.0).abs() < 1e-6);
    let all = schedules.count_in(&LaneSet::all(), 0, u64::MAX);
    assert_eq!(all, plan.workloads.iter().map(|workload| workload.schedule().unwrap().total()).sum::<u64>());
    let doubled = schedules.scaled_from(30_000_000_000, 2.0);
    assert!((doubled.rate_at(40_000_000_000) - 20.0).abs() < 1e-6);
}

#[test]
fn a_plan_may_have_loads_of_scenarios_only_and_of_both_kinds() {
    let text = "version: 1
name: p
target: http://127.0.0.1
scenarios:
  users: { load: { model: closed, stages: [ { users: 5, for: 10s } ] }, steps: [ get: /a ] }
  arrivals: { load: { model: open, stages: [ { at: 5/s, for: 20s } ] }, steps: [ get: /b ] }
thresholds: [ 'p99 of stage \"users/stage 1\" < 1s' ]
";
    let plan = plan(text);
    assert_eq!((plan.workloads.len(), plan.loop_kind()), (2, LoopKind::Closed));
    assert_eq!((plan.planned_per_s(1), plan.planned_iterations(1)), (None, None));
    assert!(Schedules::of(&plan).is_none());
    assert_eq!(plan.duration().unwrap().as_secs(), 20);
}

#[test]
fn loads_draw_differently() {
    let plan = plan(TWO);
    assert_eq!(plan.workloads[0].seed, 7, "as if there were no others");
    assert_ne!(plan.workloads[1].seed, 7);
}

#[test]
fn what_does_not_go_together() {
    let head = "version: 1\nname: p\ntarget: http://127.0.0.1\n";
    let open = "{ model: open, stages: [ { at: 5/s, for: 20s } ] }";
    refused(
        &format!("{head}load: {open}\nscenarios: {{ a: {{ load: {open}, steps: [ get: / ] }} }}\n"),
        expect![[r#"
            4:1: every scenario has a load of its own [without_effect]
              leave this one out, or one of theirs
        "#]],
    );
    refused(
        &format!(
            "{head}scenarios:\n  a: {{ load: {open}, steps: [ get: / ] }}\n  b: {{ steps: [ get: / ] }}\n"
        ),
        expect![[r#"
            6:3: scenario "b" has no load, and the plan has none [missing]
              give it a load of its own, or the plan one
        "#]],
    );
    refused(
        &format!(
            "{head}load: {open}\nscenarios:\n  a: {{ weight: 3, load: {open}, steps: [ get: / ] }}\n  b: {{ steps: [ get: / ] }}\n"
        ),
        expect![[r#"
            6:8: a scenario with a load of its own is not chosen by weight [without_effect]
              leave it out, or leave out the load
        "#]],
    );
    refused(
        &format!(
            "{head}load: {open}\nscenarios:\n  a: {{ load: {{ model: avalanche, requests_per_driver: 5 }}, steps: [ get: / ] }}\n  b: {{ steps: [ get: / ] }}\n"
        ),
        expect![[r#"
            6:23: a load per driver is the only one of a plan [not_together]
              beside others, use open or closed
        "#]],
    );
    refused(
        &format!(
            "{head}load: {{ model: closed, stages: [ {{ users: 5, for: 1s }} ] }}\ndata: {{ rows: {{ file: a.csv, pick: per_user }} }}\nscenarios:\n  a: {{ load: {open}, steps: [ {{ get: \"/{{{{ rows.x }}}}\", name: x }} ] }}\n  b: {{ steps: [ get: / ] }}\nthresholds: [ achieved_rate > 99%, 'p99 of stage \"a/hold\" < 1s' ]\n"
        ),
        expect![[r#"
            5:36: the load of scenario "a" has no users [not_for_this_model]
              in_turn gives each iteration the next row
            9:15: only open loads have a planned rate to achieve [not_for_this_model]
              write `rate` with requests per second
            9:51: the plan has no stage "a/hold" [unknown_stage]
              known here: stage 1, a/stage 1
        "#]],
    );
}

#[test]
fn a_stage_has_a_name_of_its_own() {
    let text = TWO.replace("name: hold", "name: batch/stage 1");
    refused(
        &text,
        expect![[r#"
        1:1: two stages are named "batch/stage 1" [duplicate_name]
          those of a scenario's load are named SCENARIO/STAGE
    "#]],
    );
}
