//! Intended times, by printing numbers; and properties of them over random loads.

use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use plan::{Arrivals, LaneSet, Late, Load, Rate, Schedule, Stage, StageId};

const S: u64 = 1_000_000_000;

/// A stage of each `(rate, seconds)`.
fn stages(of: &[(f64, f64)]) -> Vec<Stage<Rate>> {
    of.iter().map(|(rate, seconds)| ramp(*rate, *rate, *seconds)).collect()
}

fn ramp(from: f64, to: f64, seconds: f64) -> Stage<Rate> {
    let rate = |per_second| match per_second {
        0.0 => Rate::ZERO,
        _ => Rate::new(per_second).expect("within the limits"),
    };
    let duration = Duration::from_secs_f64(seconds);
    Stage { name: String::new(), from: rate(from), to: rate(to), duration, warmup: false }
}

fn open(of: &[(f64, f64)]) -> Arc<Schedule> {
    Arc::new(Schedule::open(&stages(of)))
}

fn times(schedule: &Schedule) -> Vec<u64> {
    (0..schedule.total()).filter_map(|index| schedule.time_of(index)).collect()
}

/// The index of the first arrival at or after `ns`; the total when there is none.
fn first_at_or_after(schedule: &Arc<Schedule>, ns: u64) -> u64 {
    let mut arrivals = Arrivals::starting_at(Arc::clone(schedule), LaneSet::all(), ns);
    arrivals.next().map_or(schedule.total(), |arrival| arrival.index)
}

fn check(schedule: &Schedule, expect: Expect) {
    let mut text = String::new();
    for arrival in Arrivals::new(Arc::new(schedule.clone()), LaneSet::all()) {
        text += &format!("{} {} in {}\n", arrival.index, arrival.at_ns, arrival.stage.0);
    }
    text += &format!("end {}\n", schedule.end_ns());
    expect.assert_eq(&text);
}

fn seeds() -> impl Iterator<Item = (u64, fastrand::Rng)> {
    (0..40).map(|seed| (seed, fastrand::Rng::with_seed(seed)))
}

fn random_open(rng: &mut fastrand::Rng) -> Arc<Schedule> {
    let stages: Vec<_> = (0..rng.usize(1..5))
        .map(|_| {
            let from = 10f64.powf(rng.f64() * 4.0 - 1.0);
            let to = if rng.bool() { from } else { 10f64.powf(rng.f64() * 4.0 - 1.0) };
            let (from, to) = match rng.u8(0..8) {
                0 => (0.0, to),
                1 => (from, 0.0),
                _ => (from, to),
            };
            ramp(from, to, rng.f64() * 5.0 + 0.001)
        })
        .collect();
    Arc::new(Schedule::open(&stages))
}

fn random_lanes(rng: &mut fastrand::Rng) -> LaneSet {
    let share = rng.f64();
    (0..plan::LANES).filter(|_| rng.f64() < share).collect()
}

#[test]
fn uniform_arrivals() {
    check(
        &open(&[(4.0, 1.0), (2.0, 1.5)]),
        expect![[r#"
        0 0 in 0
        1 250000000 in 0
        2 500000000 in 0
        3 750000000 in 0
        4 1000000000 in 1
        5 1500000000 in 1
        6 2000000000 in 1
        end 2500000000
    "#]],
    );
}

#[test]
fn thirds_of_a_second_do_not_drift() {
    let schedule = open(&[(3.0, 1e6)]);
    assert_eq!(schedule.total(), 3_000_000);
    assert_eq!(schedule.time_of(1), Some(333_333_333));
    assert_eq!(schedule.time_of(2_999_999), Some(999_999_666_666_666));
}

#[test]
fn rates_per_minute_and_hour_are_exact() {
    let text = "version: 1\nname: p\ntarget: http://h\nscenarios: {s: {steps: [get: /]}}\n\
                load: {model: open, stages: [{at: 7/min, for: 7h}]}";
    let plan = plan::parse("p", text).unwrap();
    let schedule = plan.workloads[0].schedule().unwrap();
    assert_eq!(schedule.total(), 7 * 60 * 7);
    assert_eq!(schedule.time_of(7 * 60 * 6), Some(6 * 3600 * S));
}

#[test]
fn a_fraction_of_an_arrival_passes_on_to_the_next_stage() {
    check(
        &open(&[(1.0, 1.5), (2.0, 1.0), (0.5, 0.25), (10.0, 0.2)]),
        expect![[r#"
        0 0 in 0
        1 1000000000 in 0
        2 1750000000 in 1
        3 2250000000 in 1
        4 2787500000 in 3
        5 2887500000 in 3
        end 2950000000
    "#]],
    );
}

#[test]
fn ramps_and_what_follows_them() {
    // 0/s to 4/s over 2 s are 4 arrivals, at √k s; then 4/s; then down again, at 2 − √(4 − k) s.
    check(
        &Schedule::open(&[
            ramp(0.0, 4.0, 2.0),
            ramp(4.0, 4.0, 0.5),
            ramp(4.0, 0.0, 2.0),
            ramp(1.0, 1.0, 1.0),
        ]),
        expect![[r#"
            0 0 in 0
            1 1000000000 in 0
            2 1414213562 in 0
            3 1732050808 in 0
            4 2000000000 in 1
            5 2250000000 in 1
            6 2500000000 in 2
            7 2767949192 in 2
            8 3085786438 in 2
            9 3500000000 in 2
            10 4500000000 in 3
            end 5500000000
        "#]],
    );
}

/// Arrivals so far at `ns` of a ramp, times 2 × length × 10⁹: from × t + (to − from) × t² / 2 length, in integers.
fn exact_integral(from: u64, to: u64, length_ns: u64, ns: u64) -> i128 {
    let (from, to, length, t) = (i128::from(from), i128::from(to), i128::from(length_ns), i128::from(ns));
    2 * from * t * length + (to - from) * t * t
}

#[test]
fn ramps_are_inverted_to_within_some_nanoseconds() {
    for (seed, mut rng) in seeds() {
        // Up to the longest run: rounding grows with the time.
        let seconds = 10u64.pow(rng.u32(0..=6));
        let (from, to) = (rng.u64(0..2000), rng.u64(1..2000));
        let schedule = Schedule::open(&[ramp(from as f64, to as f64, seconds as f64)]);
        let total = schedule.total();
        assert_eq!(total, (from + to) * seconds / 2 + (from + to) * seconds % 2, "seed {seed}");
        for _ in 0..200 {
            let index = rng.u64(0..total);
            let at_ns = schedule.time_of(index).unwrap();
            let wanted = i128::from(index) * 2 * i128::from(seconds * S) * i128::from(S);
            let tolerance_ns = 1 + at_ns / (1 << 49);
            let before = exact_integral(from, to, seconds * S, at_ns.saturating_sub(tolerance_ns));
            let after = exact_integral(from, to, seconds * S, at_ns + 1 + tolerance_ns);
            assert!(
                (before..=after).contains(&wanted),
                "seed {seed}: {from} to {to}, arrival {index} at {at_ns}"
            );
        }
    }
}

#[test]
fn a_ramp_of_a_whole_number_of_arrivals_has_them() {
    for (from, to, seconds, total) in
        [(0.0, 500.0, 30.0, 7500), (500.0, 0.0, 30.0, 7500), (0.1, 0.3, 10.0, 2), (0.0, 1e7, 1.0, 5_000_000)]
    {
        let schedule = Schedule::open(&[ramp(from, to, seconds), ramp(10.0, 10.0, 1.0)]);
        assert_eq!(schedule.total(), total + 10);
        let end_ns = u64::try_from(Duration::from_secs_f64(seconds).as_nanos()).unwrap();
        assert_eq!(schedule.time_of(total), Some(end_ns), "{from} to {to}");
        assert!(schedule.time_of(total - 1).unwrap() < end_ns);
    }
}

#[test]
fn another_factor_within_a_ramp() {
    let ramps = [ramp(0.0, 1000.0, 10.0), ramp(1000.0, 0.0, 10.0)];
    let schedule = Schedule::open(&ramps);
    let cut = schedule.scaled_from(5 * S, 2.0);
    // 1,250 arrivals before, twice the remaining 8,750 afterwards.
    assert_eq!(cut.total(), 1_250 + 2 * 8_750);
    assert!((0..1_250).all(|index| schedule.time_of(index) == cut.time_of(index)));
    assert!(times(&cut).is_sorted_by(|a, b| a < b));
    assert_eq!((cut.rate_at(4 * S), cut.rate_at(5 * S), cut.rate_at(10 * S)), (400.0, 1000.0, 2000.0));
    let back = cut.scaled_from(15 * S, 1.0);
    assert_eq!(back.total(), 1_250 + 2 * 7_500 + 1_250);
    assert!((0..16_250).all(|index| back.time_of(index) == cut.time_of(index)));
    assert_eq!(schedule.scaled_from(5 * S, 0.0).total(), 1_250);
    // Nothing exceeds what the fleet may send.
    assert_eq!(schedule.scaled_from(0, 1e9).rate_at(10 * S), plan::limits::RATE_PER_S);
}

#[test]
fn tsunami_times() {
    check(
        &Schedule::tsunami(4, Duration::from_millis(20), None),
        expect![[r#"
        0 0 in 0
        1 20000000 in 0
        2 40000000 in 0
        3 60000000 in 0
        end 80000000
    "#]],
    );
    check(
        &Schedule::tsunami(4, Duration::from_millis(20), Rate::new(30.0)),
        expect![[r#"
        0 0 in 0
        1 33333333 in 0
        2 66666666 in 0
        3 100000000 in 0
        end 133333333
    "#]],
    );
    check(
        &Schedule::tsunami(4, Duration::from_millis(20), Rate::new(3000.0)),
        expect![[r#"
        0 0 in 0
        1 20000000 in 0
        2 40000000 in 0
        3 60000000 in 0
        end 80000000
    "#]],
    );
}

#[test]
fn threads_of_a_tsunami_are_its_parts() {
    let whole: Vec<u64> = times(&Schedule::tsunami(5000, Duration::from_micros(10), None));
    let mut parts: Vec<u64> = (0..3)
        .flat_map(|thread| plan::tsunami(5000, Duration::from_micros(10), None, thread, 3))
        .map(|arrival| arrival.at_ns)
        .collect();
    parts.sort_unstable();
    assert_eq!(parts, whole);
}

#[test]
fn another_rate_from_a_time_on() {
    let schedule = open(&[(2.0, 2.0), (4.0, 1.0)]);
    check(
        &schedule.scaled_from(1250 * S / 1000, 2.0),
        expect![[r#"
        0 0 in 0
        1 500000000 in 0
        2 1000000000 in 0
        3 1375000000 in 0
        4 1625000000 in 0
        5 1875000000 in 0
        6 2062500000 in 1
        7 2187500000 in 1
        8 2312500000 in 1
        9 2437500000 in 1
        10 2562500000 in 1
        11 2687500000 in 1
        12 2812500000 in 1
        13 2937500000 in 1
        end 3000000000
    "#]],
    );
    check(
        &schedule.scaled_from(S, 0.0),
        expect![[r#"
        0 0 in 0
        1 500000000 in 0
        end 3000000000
    "#]],
    );
    assert_eq!(schedule.scaled_from(S, 3.0).scaled_from(S, 1.0).total(), schedule.total());
    assert_eq!(schedule.scaled_from(5 * S, 2.0), *schedule);
    check(
        &Schedule::tsunami(6, Duration::from_millis(1), Rate::new(10.0)).scaled_from(150_000_000, 2.0),
        expect![[r#"
            0 0 in 0
            1 100000000 in 0
            2 175000000 in 0
            3 225000000 in 0
            4 275000000 in 0
            5 325000000 in 0
            end 375000000
        "#]],
    );
}

#[test]
fn places_in_time() {
    let schedule = open(&[(4.0, 1.0), (2.0, 1.0)]);
    assert_eq!(first_at_or_after(&schedule, 0), 0);
    assert_eq!(first_at_or_after(&schedule, 1), 1);
    assert_eq!(first_at_or_after(&schedule, S), 4);
    assert_eq!(first_at_or_after(&schedule, 9 * S), 6);
    assert_eq!(
        (schedule.stage_at(0), schedule.stage_at(S), schedule.stage_at(9 * S)),
        (StageId(0), StageId(1), StageId(1))
    );
    assert_eq!((schedule.rate_at(0), schedule.rate_at(S), schedule.rate_at(2 * S)), (4.0, 2.0, 0.0));
    assert_eq!(schedule.time_of(6), None);
}

#[test]
fn counts_are_those_of_counting() {
    for (seed, mut rng) in seeds() {
        let (schedule, lanes) = (random_open(&mut rng), random_lanes(&mut rng));
        let (from, to) = (rng.u64(0..12 * S), rng.u64(0..22 * S));
        let own: Vec<u64> =
            Arrivals::new(Arc::clone(&schedule), lanes).map(|arrival| arrival.at_ns).collect();
        let counted = own.iter().filter(|at| (from..to).contains(*at)).count() as u64;
        assert_eq!(schedule.count_in(&lanes, from, to), counted, "seed {seed}");
        assert_eq!(schedule.count_in(&lanes, 0, u64::MAX), own.len() as u64, "seed {seed}");
    }
}

#[test]
fn times_ascend_and_do_not_depend_on_who_sends() {
    for (seed, mut rng) in seeds() {
        let schedule = random_open(&mut rng);
        let whole = times(&schedule);
        assert!(whole.is_sorted_by(|a, b| a < b), "seed {seed}");
        for (index, at) in whole.iter().enumerate().step_by(7) {
            assert_eq!(first_at_or_after(&schedule, *at), index as u64, "seed {seed}");
            assert_eq!(first_at_or_after(&schedule, at + 1), index as u64 + 1, "seed {seed}");
        }
        let drivers: Vec<String> = (0..rng.usize(1..9)).map(|driver| format!("d{driver}")).collect();
        let threads = rng.usize(1..5);
        let shares = plan::Shares::even(drivers.clone()).unwrap();
        let mut parts: Vec<u64> = drivers
            .iter()
            .flat_map(|driver| (0..threads).map(|thread| shares.lanes_of(driver).of_thread(thread, threads)))
            .flat_map(|lanes| Arrivals::new(Arc::clone(&schedule), lanes))
            .map(|arrival| arrival.at_ns)
            .collect();
        parts.sort_unstable();
        assert_eq!(parts, whole, "seed {seed}");
    }
}

#[test]
fn totals_are_rate_times_time() {
    for (seed, mut rng) in seeds() {
        let stages: Vec<(f64, f64)> =
            (0..20).map(|_| (rng.f64() * 50.0 + 0.1, rng.f64() * 3.0 + 0.01)).collect();
        let planned: f64 = stages.iter().map(|(rate, seconds)| rate * seconds).sum();
        let total = open(&stages).total() as f64;
        assert!((total - planned).abs() <= 1.0 + 1e-4, "seed {seed}: {total} of {planned}");
    }
}

/// What two drivers give over the whole run while lanes move between them at `from`, each learning of it when it has
/// come to `learnt`.
fn moved(
    schedule: &Arc<Schedule>,
    before: LaneSet,
    after: LaneSet,
    from: u64,
    learnt: u64,
) -> (Vec<u64>, Late) {
    let mut arrivals = Arrivals::new(Arc::clone(schedule), before);
    let mut given = Vec::new();
    while arrivals.peek().is_some_and(|arrival| arrival.at_ns < learnt) {
        given.extend(arrivals.next().map(|arrival| arrival.index));
    }
    let late = arrivals.change_lanes(from, learnt, after);
    given.extend(arrivals.map(|arrival| arrival.index));
    (given, late)
}

#[test]
fn lanes_that_move_in_time_leave_no_gap_and_no_overlap() {
    for (seed, mut rng) in seeds() {
        let schedule = random_open(&mut rng);
        let (before, after) = (random_lanes(&mut rng), random_lanes(&mut rng));
        let others = |lanes| LaneSet::all().minus(lanes);
        let from = rng.u64(0..schedule.end_ns());
        let mut learnt = || rng.u64(0..=from);
        let (mut given, late) = moved(&schedule, before, after, from, learnt());
        let (rest, rest_late) = moved(&schedule, others(&before), others(&after), from, learnt());
        given.extend(rest);
        given.sort_unstable();
        assert_eq!(given, (0..schedule.total()).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!((late, rest_late), (Late::default(), Late::default()), "seed {seed}");
    }
}

#[test]
fn what_is_learnt_too_late_is_told_exactly() {
    for (seed, mut rng) in seeds() {
        let schedule = random_open(&mut rng);
        let (before, after) = (random_lanes(&mut rng), random_lanes(&mut rng));
        let from = rng.u64(0..schedule.end_ns());
        let learnt = from + rng.u64(0..2 * S);
        let (given, late) = moved(&schedule, before, after, from, learnt);
        let due = schedule.count_in(&before, 0, from) + schedule.count_in(&after, from, u64::MAX);
        assert_eq!(given.len() as u64 + late.missed - late.overlap, due, "seed {seed}");
        assert!(given.is_sorted_by(|a, b| a < b), "seed {seed}");
        let gained = after.minus(&before);
        assert_eq!(late.missed, schedule.count_in(&gained, from, learnt), "seed {seed}");
    }
}

#[test]
fn rates_change_for_all_parts_alike() {
    for (seed, mut rng) in seeds() {
        let schedule = random_open(&mut rng);
        let from = rng.u64(0..schedule.end_ns());
        let scaled = Arc::new(schedule.scaled_from(from, rng.f64() * 3.0));
        let mut given = Vec::new();
        for thread in 0..3 {
            let mut arrivals = Arrivals::new(Arc::clone(&schedule), LaneSet::all().of_thread(thread, 3));
            let learnt = rng.u64(0..=from);
            while arrivals.peek().is_some_and(|arrival| arrival.at_ns < learnt) {
                given.extend(arrivals.next().map(|arrival| arrival.at_ns));
            }
            assert_eq!(
                arrivals.change_schedule(from, learnt, Arc::clone(&scaled)),
                Late::default(),
                "seed {seed}"
            );
            given.extend(arrivals.map(|arrival| arrival.at_ns));
        }
        given.sort_unstable();
        assert_eq!(given, times(&scaled), "seed {seed}");
    }
}

#[test]
fn a_rate_that_is_learnt_too_late_is_not_made_up_for() {
    let schedule = open(&[(10.0, 10.0)]);
    let mut arrivals = Arrivals::new(Arc::clone(&schedule), LaneSet::all());
    arrivals.by_ref().take(50).for_each(drop);
    let faster = Arc::new(schedule.scaled_from(4 * S, 3.0));
    assert_eq!(arrivals.change_schedule(4 * S, 5 * S, faster), Late { missed: 20, overlap: 0 });
    assert_eq!(arrivals.count(), 150);
}

#[test]
fn changes_of_rate_and_lanes_together() {
    for (seed, mut rng) in seeds() {
        let schedule = random_open(&mut rng);
        let end = schedule.end_ns();
        let mut arrivals = Arrivals::new(Arc::clone(&schedule), LaneSet::all());
        let mut events: Vec<(u64, LaneSet, Arc<Schedule>)> = vec![(0, LaneSet::all(), Arc::clone(&schedule))];
        let mut at = 0;
        for _ in 0..5 {
            at += rng.u64(1..end / 4 + 2);
            let (_, lanes, current) = events[events.len() - 1].clone();
            if rng.bool() {
                let lanes = random_lanes(&mut rng);
                arrivals.change_lanes(at, 0, lanes);
                events.push((at, lanes, current));
            } else {
                let scaled = Arc::new(current.scaled_from(at, rng.f64() * 2.0));
                arrivals.change_schedule(at, 0, Arc::clone(&scaled));
                events.push((at, lanes, scaled));
            }
        }
        let ends = events.iter().skip(1).map(|(at, ..)| *at).chain([u64::MAX]);
        let expected: u64 = events
            .iter()
            .zip(ends)
            .map(|((from, lanes, schedule), to)| schedule.count_in(lanes, *from, to))
            .sum();
        let given: Vec<u64> = arrivals.map(|arrival| arrival.at_ns).collect();
        assert!(given.is_sorted_by(|a, b| a < b), "seed {seed}");
        assert_eq!(given.len() as u64, expected, "seed {seed}");
    }
}

#[test]
fn a_later_command_for_an_earlier_time_replaces_what_came_before() {
    let schedule = open(&[(1.0, 10.0)]);
    let mut arrivals = Arrivals::new(schedule, LaneSet::all());
    arrivals.change_lanes(5 * S, 0, LaneSet::empty());
    arrivals.change_lanes(3 * S, 0, LaneSet::all());
    assert_eq!(arrivals.count(), 10);
}

#[test]
fn of_too_many_changes_the_last_ones_hold() {
    let schedule = open(&[(1000.0, 60.0)]);
    let mut arrivals = Arrivals::new(Arc::clone(&schedule), LaneSet::empty());
    for (second, thread) in (1..50).zip([1, 0].into_iter().cycle()) {
        arrivals.change_lanes(second * S, 0, LaneSet::all().of_thread(thread, 2));
    }
    let given = arrivals.filter(|arrival| arrival.at_ns >= 49 * S).count() as u64;
    assert_eq!(given, schedule.count_in(&LaneSet::all().of_thread(1, 2), 49 * S, u64::MAX));
}

#[test]
fn planned_figures() {
    let text = "version: 1\nname: p\ntarget: http://h\nscenarios: {s: {steps: [get: /]}}\nload:\n  model: open\n  stages:\n\
                \x20   - { at: 10/s, for: 30s, warmup: true }\n    - { at: 500/s, for: 1m }\n    - { at: 200/s, for: 30s }\n";
    let plan = plan::parse("p", text).unwrap();
    assert!(matches!(plan.workloads[0].load, Load::Open { .. }));
    assert_eq!(plan.planned_per_s(3), Some(400.0));
    assert_eq!(plan.planned_iterations(3), Some(300 + 30_000 + 6_000));
    assert_eq!((plan.duration(), plan.warmup()), (Some(Duration::from_secs(120)), Duration::from_secs(30)));
    // A limit is of requests.
    let limited = |steps: &str| {
        let text = format!(
            "version: 1\nname: p\ntarget: http://h\nscenarios: {{s: {{steps: [{steps}]}}}}\n\
             load: {{model: avalanche, requests_per_driver: 9, target_throughput_per_driver: 50/s}}\n"
        );
        plan::parse("p", &text).unwrap().planned_per_s(3)
    };
    assert_eq!(limited("get: /"), Some(150.0));
    assert_eq!(limited("get: /, get: /b"), None);
    assert_eq!(limited("{get: /, follow_redirects: true}"), None);
}

#[test]
fn what_two_late_tables_bring_is_told_once() {
    let mut arrivals = Arrivals::new(open(&[(1024.0, 20.0)]), (0..100).collect());
    while arrivals.peek().is_some_and(|arrival| arrival.at_ns < 9 * S) {
        arrivals.next();
    }
    assert_eq!(arrivals.change_lanes(5 * S, 9 * S, (0..200).collect()).missed, 400);
    assert_eq!(arrivals.change_lanes(6 * S, 9 * S, (0..300).collect()).missed, 300);
}
