//! Users over time, by printing events; and that they are those of the definition, whatever moves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use plan::{LANES, LaneSet, Population, Stage, StageId, Users};

const S: u64 = 1_000_000_000;

/// A stage of each `(from, to, seconds)`.
fn population(of: &[(u32, u32, f64)]) -> Arc<Population> {
    let stages: Vec<Stage<u32>> = of
        .iter()
        .map(|(from, to, seconds)| Stage {
            name: String::new(),
            from: *from,
            to: *to,
            duration: Duration::from_secs_f64(*seconds),
            warmup: false,
        })
        .collect();
    Arc::new(Population::new(&stages))
}

fn check(population: &Arc<Population>, lanes: LaneSet, expect: Expect) {
    let events = Users::new(Arc::clone(population), lanes).map(|event| {
        let sign = if event.comes { '+' } else { '-' };
        format!("{} {sign}{}\n", event.at_ns, event.user)
    });
    expect.assert_eq(&events.collect::<String>());
}

#[test]
fn users_come_and_go() {
    check(
        &population(&[(2, 2, 1.0), (0, 4, 2.0), (4, 0, 2.0), (1, 1, 1.0)]),
        LaneSet::all(),
        expect![[r#"
            0 +0
            0 +1
            1000000000 -0
            1000000000 -1
            1250000000 +0
            1750000000 +1
            2250000000 +2
            2750000000 +3
            3250000001 -3
            3750000001 -2
            4250000001 -1
            4750000001 -0
            5000000000 +0
            6000000000 -0
        "#]],
    );
}

#[test]
fn only_those_of_the_lanes() {
    let lanes = LaneSet::from_iter([1, 3]);
    check(
        &population(&[(0, 1030, 1030.0), (1027, 1027, 1.0)]),
        lanes,
        expect![[r#"
        1500000000 +1
        3500000000 +3
        1025500000000 +1025
        1027500000000 +1027
        1030000000000 -1027
        1031000000000 -1
        1031000000000 -3
        1031000000000 -1025
    "#]],
    );
    check(&population(&[(5, 5, 1.0)]), LaneSet::empty(), expect![[""]]);
}

#[test]
fn places_in_time() {
    let population = population(&[(0, 100, 10.0), (50, 50, 5.0)]);
    let counts = |at: &[u64]| -> Vec<u32> { at.iter().map(|at| population.count_at(*at)).collect() };
    assert_eq!(
        counts(&[0, S / 20 - 1, S / 20, 5 * S, 10 * S - 1, 10 * S, 15 * S]),
        [0, 0, 1, 50, 100, 50, 0]
    );
    assert_eq!((population.end_ns(), population.most()), (15 * S, 100));
    assert_eq!((population.stage_at(0), population.stage_at(10 * S)), (StageId(0), StageId(1)));
    let doubled = population.scaled_from(5 * S, 2.0);
    assert_eq!(
        (doubled.count_at(5 * S - 1), doubled.count_at(5 * S), doubled.count_at(12 * S)),
        (50, 100, 100)
    );
    assert_eq!(doubled.scaled_from(12 * S, 0.0).count_at(12 * S), 0);
    assert_eq!(doubled.scaled_from(0, 1.0).count_at(7 * S), population.count_at(7 * S));
    assert_eq!(doubled.scaled_from(0, 1e9).most(), plan::limits::USERS);
}

/// Who is there by the definition.
fn wanted(population: &Population, lanes: &LaneSet, at_ns: u64) -> BTreeSet<u32> {
    (0..population.count_at(at_ns))
        .filter(|user| lanes.contains(usize::try_from(*user).expect("a user")))
        .collect()
}

fn random_population(rng: &mut fastrand::Rng) -> Arc<Population> {
    let stages: Vec<(u32, u32, f64)> = (0..rng.usize(1..5))
        .map(|_| {
            let most = 10u32.pow(rng.u32(0..4));
            let from = rng.u32(0..=most);
            let to = if rng.bool() { from } else { rng.u32(0..=most) };
            (from, to, rng.f64() * 3.0 + 0.001)
        })
        .collect();
    population(&stages)
}

#[test]
fn events_lead_to_those_who_are_there_by_definition() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let population = random_population(&mut rng);
        let lanes: LaneSet = (0..LANES).filter(|_| rng.bool()).collect();
        let mut there = BTreeSet::new();
        let mut events = Users::new(Arc::clone(&population), lanes).peekable();
        let mut at_ns = 0;
        while let Some(event) = events.next() {
            assert!(event.at_ns >= at_ns, "seed {seed}: events ascend");
            at_ns = event.at_ns;
            let is_new = if event.comes { there.insert(event.user) } else { there.remove(&event.user) };
            assert!(is_new, "seed {seed}: user {} comes or goes twice", event.user);
            match events.peek() {
                Some(next) if next.at_ns == at_ns => {}
                next => {
                    assert_eq!(there, wanted(&population, &lanes, at_ns), "seed {seed} at {at_ns}");
                    let last_ns = next.map_or(at_ns, |next| next.at_ns - 1);
                    assert_eq!(there, wanted(&population, &lanes, last_ns), "seed {seed} at {last_ns}");
                }
            }
        }
        assert!(there.is_empty(), "seed {seed}: all go at the end");
    }
}

#[test]
fn threads_and_drivers_have_each_user_once() {
    let population = population(&[(0, 3000, 2.0), (3000, 10, 2.0)]);
    let whole: BTreeSet<(u64, u32, bool)> =
        Users::new(Arc::clone(&population), LaneSet::all()).map(|e| (e.at_ns, e.user, e.comes)).collect();
    let parts: Vec<(u64, u32, bool)> = (0..3)
        .flat_map(|thread| Users::new(Arc::clone(&population), LaneSet::all().of_thread(thread, 3)))
        .map(|event| (event.at_ns, event.user, event.comes))
        .collect();
    assert_eq!(parts.len(), whole.len());
    assert_eq!(parts.into_iter().collect::<BTreeSet<_>>(), whole);
}

#[test]
fn changes_on_the_way() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut population = random_population(&mut rng);
        let mut lanes: LaneSet = (0..LANES).filter(|_| rng.bool()).collect();
        let mut users = Users::new(Arc::clone(&population), lanes);
        let mut there = BTreeSet::new();
        let mut now_ns = 0;
        for _ in 0..6 {
            // Some changes are known ahead, and some too late; and each may be looked at before it is in force.
            let from_ns = (now_ns + rng.u64(0..2 * S)).saturating_sub(S / 2);
            let in_force_ns = from_ns.max(now_ns);
            let (lanes_before, population_before) = (lanes, Arc::clone(&population));
            if rng.bool() {
                lanes = (0..LANES).filter(|_| rng.bool()).collect();
                users.change_lanes(from_ns, now_ns, lanes);
            } else {
                population = Arc::new(population.scaled_from(in_force_ns, rng.f64() * 3.0));
                users.change_population(from_ns, now_ns, &population);
            }
            if in_force_ns > now_ns {
                let last_ns = in_force_ns - 1;
                run(&mut users, &mut there, last_ns);
                assert_eq!(there, wanted(&population_before, &lanes_before, last_ns), "seed {seed}");
            }
            now_ns = in_force_ns + rng.u64(1..S);
            run(&mut users, &mut there, now_ns);
            assert_eq!(there, wanted(&population, &lanes, now_ns), "seed {seed} at {now_ns}");
        }
    }
}

/// Takes all events up to `until_ns`.
fn run(users: &mut Users, there: &mut BTreeSet<u32>, until_ns: u64) {
    while let Some(event) = users.peek().filter(|event| event.at_ns <= until_ns) {
        assert_eq!(users.next(), Some(event));
        let is_new = if event.comes { there.insert(event.user) } else { there.remove(&event.user) };
        assert!(is_new, "user {} comes or goes twice", event.user);
    }
}

const CLOSED: &str =
    "version: 1\nname: p\ntarget: http://h\nseed: 3\nscenarios: { s: { steps: [get: /] } }\nload: ";

#[test]
fn iterations_are_divided_among_the_users() {
    let text = format!("{CLOSED}{{ model: closed, users: 7, iterations: 100 }}\n");
    let plan = plan::parse("p", &text).unwrap();
    let each: Vec<u64> = (0..8).filter_map(|user| plan.workloads[0].iterations_of(user)).collect();
    assert_eq!(each, [15, 15, 14, 14, 14, 14, 14, 0]);
    assert_eq!((plan.planned_iterations(3), plan.duration()), (Some(100), None));
    let staged =
        plan::parse("p", &format!("{CLOSED}{{ model: closed, stages: [{{ users: 7, for: 1s }}] }}\n"));
    assert_eq!(staged.unwrap().workloads[0].iterations_of(0), None);
}

#[test]
fn an_iterations_index_is_of_the_users_lane_and_its_own() {
    let mut seen = BTreeSet::new();
    for user in [0, 1, 1023, 1024, 999_999] {
        for came_s in [0, 1, 2_591_999] {
            for number in [0, 1, 4_000_000] {
                let index = plan::Workload::iteration_of(user, came_s * S + 5, number);
                assert_eq!(index % LANES as u64, u64::from(user) % LANES as u64);
                assert!(seen.insert(index));
            }
        }
    }
}

#[test]
fn think_times_are_uniform_and_their_own() {
    let plan = |think_time: &str| {
        let load =
            format!("{{ model: closed, stages: [{{ users: 7, for: 1s }}], think_time: {think_time} }}");
        plan::parse("p", &format!("{CLOSED}{load}\n")).unwrap()
    };
    let ranged = plan("1s..3s");
    let seconds: Vec<f64> = (0..20_000)
        .map(|number| {
            ranged.workloads[0].think_time_of(plan::Workload::iteration_of(
                number % 50,
                0,
                u64::from(number / 50),
            ))
        })
        .map(|think_time| think_time.as_secs_f64())
        .collect();
    assert!(seconds.iter().all(|seconds| (1.0..=3.0).contains(seconds)));
    let mean = seconds.iter().sum::<f64>() / 20_000.0;
    assert!((mean - 2.0).abs() < 0.02, "{mean}");
    let early = seconds.iter().filter(|seconds| **seconds < 1.5).count();
    assert!((4_750..5_250).contains(&early), "{early}");
    assert_eq!(ranged.workloads[0].think_time_of(77), ranged.workloads[0].think_time_of(77));
    assert_eq!(plan("250ms").workloads[0].think_time_of(5), Duration::from_millis(250));
    assert!(plan("0s..1ms").workloads[0].think_time_of(5) <= Duration::from_millis(1));
}
