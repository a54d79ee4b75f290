//! Poisson arrivals: that they are a Poisson process of the rates, and that who sends them changes nothing.
//!
//! Seeds are fixed, so each test passes always or never; bounds are some four standard deviations wide.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use plan::{Arrival, Arrivals, LANES, LaneSet, Late, Rate, Schedule, Shares, Stage};

const S: u64 = 1_000_000_000;

/// A stage of each `(from, to, seconds)`.
fn poisson(of: &[(f64, f64, f64)], seed: u64) -> Arc<Schedule> {
    let rate = |per_second| Rate::new(per_second).unwrap_or(Rate::ZERO);
    let stages: Vec<Stage<Rate>> = of
        .iter()
        .map(|(from, to, seconds)| Stage {
            name: String::new(),
            from: rate(*from),
            to: rate(*to),
            duration: Duration::from_secs_f64(*seconds),
            warmup: false,
        })
        .collect();
    Arc::new(Schedule::poisson(&stages, seed))
}

fn all(schedule: &Arc<Schedule>) -> Vec<Arrival> {
    Arrivals::new(Arc::clone(schedule), LaneSet::all()).collect()
}

fn lane(arrival: &Arrival) -> usize {
    usize::try_from(arrival.index % LANES as u64).expect("below LANES")
}

/// Mean and variance.
fn moments(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, squares / (values.len() - 1) as f64)
}

/// The greatest distance of the values' distribution from one that is uniform in 0..1 (Kolmogorov and Smirnov), times
/// √n: above 1.63 with a probability of 1 %.
fn distance_from_uniform(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let greatest = values.iter().enumerate().map(|(i, value)| {
        let (below, upto) = (i as f64 / n, (i + 1) as f64 / n);
        (value - below).abs().max((value - upto).abs())
    });
    greatest.fold(0.0, f64::max) * n.sqrt()
}

#[test]
fn counts_have_the_mean_and_the_variance_of_a_poisson_process() {
    let schedule = poisson(&[(200.0, 200.0, 1000.0)], 1);
    let mut counts = vec![0.0; 1000];
    all(&schedule).iter().for_each(|arrival| counts[usize::try_from(arrival.at_ns / S).unwrap()] += 1.0);
    let (mean, variance) = moments(&counts);
    assert!((mean - 200.0).abs() < 4.0 * (200.0f64 / 1000.0).sqrt(), "{mean}");
    // Of 1,000 counts the variance scatters by a share of √(2 / 1,000).
    assert!((variance / 200.0 - 1.0).abs() < 4.0 * (2.0f64 / 1000.0).sqrt(), "{variance}");
    let neighbours: f64 = counts.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    assert!((neighbours / 999.0 / variance).abs() < 4.0 / 1000f64.sqrt(), "{neighbours}");
}

#[test]
fn gaps_are_exponential() {
    let schedule = poisson(&[(5_000.0, 5_000.0, 20.0)], 2);
    let times: Vec<u64> = all(&schedule).iter().map(|arrival| arrival.at_ns).collect();
    let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e9).collect();
    let (mean, variance) = moments(&gaps);
    assert!((mean * 5_000.0 - 1.0).abs() < 0.013, "{mean}");
    assert!((variance.sqrt() / mean - 1.0).abs() < 0.013, "{variance}");
    let distance = distance_from_uniform(gaps.iter().map(|gap| 1.0 - (-gap * 5_000.0).exp()).collect());
    assert!(distance < 1.63, "{distance}");
}

#[test]
fn each_lane_is_a_process_of_its_own() {
    let schedule = poisson(&[(2_048.0, 2_048.0, 2_000.0)], 3);
    for lane in [0, 1, 1023] {
        let only = LaneSet::from_iter([lane]);
        let times: Vec<f64> =
            Arrivals::new(Arc::clone(&schedule), only).map(|arrival| arrival.at_ns as f64 / 1e9).collect();
        assert!((times.len() as f64 - 4_000.0).abs() < 4.0 * 4_000f64.sqrt(), "{}", times.len());
        let gaps: Vec<f64> = times.windows(2).map(|pair| 1.0 - (-(pair[1] - pair[0]) * 2.0).exp()).collect();
        let distance = distance_from_uniform(gaps);
        assert!(distance < 1.63, "lane {lane}: {distance}");
    }
}

#[test]
fn a_ramp_has_arrivals_where_its_rate_is() {
    let schedule = poisson(&[(0.0, 1_000.0, 30.0), (1_000.0, 100.0, 30.0)], 4);
    let times: Vec<f64> = all(&schedule).iter().map(|arrival| arrival.at_ns as f64 / 1e9).collect();
    // On the clock that runs at the rate they are a process of rate 1, so they are uniform on it.
    let passed = |t: f64| {
        let (up, down) = (t.min(30.0), (t - 30.0).max(0.0));
        1_000.0 / 60.0 * up * up + 1_000.0 * down - 15.0 * down * down
    };
    let total = passed(60.0);
    assert_eq!(schedule.expected(), total);
    assert!((times.len() as f64 - total).abs() < 4.0 * total.sqrt(), "{}", times.len());
    let distance = distance_from_uniform(times.iter().map(|t| passed(*t) / total).collect());
    assert!(distance < 1.63, "{distance}");
}

#[test]
fn the_arrivals_do_not_depend_on_who_sends() {
    let schedule = poisson(&[(300.0, 3_000.0, 2.0), (0.5, 0.5, 100.0), (3_000.0, 0.0, 1.0)], 5);
    let whole = all(&schedule);
    assert!(whole.is_sorted_by(|a, b| a.at_ns <= b.at_ns));
    assert_eq!(schedule.total(), whole.len() as u64);
    let indices: BTreeSet<u64> = whole.iter().map(|arrival| arrival.index).collect();
    assert_eq!(indices.len(), whole.len(), "an index is there twice");
    for drivers in [1, 3, 7] {
        let names: Vec<String> = (0..drivers).map(|driver| format!("d{driver}")).collect();
        let shares = Shares::even(names.clone()).unwrap();
        let lanes = names.iter().flat_map(|name| {
            let own = shares.lanes_of(name);
            (0..3).map(move |thread| own.of_thread(thread, 3))
        });
        let mut parts: Vec<Arrival> = lanes
            .flat_map(|lanes| {
                let own: Vec<Arrival> = Arrivals::new(Arc::clone(&schedule), lanes).collect();
                assert!(own.iter().all(|arrival| lanes.contains(lane(arrival))));
                own
            })
            .collect();
        parts.sort_by_key(|arrival| (arrival.at_ns, lane(arrival)));
        assert_eq!(parts, whole, "{drivers} drivers");
    }
}

#[test]
fn the_same_seed_gives_the_same_times_and_another_gives_others() {
    let of = [(100.0, 100.0, 10.0)];
    let (one, again, other) = (all(&poisson(&of, 6)), all(&poisson(&of, 6)), all(&poisson(&of, 7)));
    assert_eq!(one, again);
    let times: BTreeSet<u64> = one.iter().map(|arrival| arrival.at_ns).collect();
    assert!(other.iter().all(|arrival| !times.contains(&arrival.at_ns)));
    // Guards the generator: a plan that was run once can be run again in a later version.
    let first: Vec<(u64, u64)> = one.iter().take(3).map(|arrival| (arrival.index, arrival.at_ns)).collect();
    expect_test::expect!["[(652, 14311762), (363, 22587781), (987, 31931646)]"]
        .assert_eq(&format!("{first:?}"));
}

#[test]
fn a_lane_can_be_entered_anywhere() {
    let schedule = poisson(&[(50_000.0, 100.0, 3.0), (0.01, 0.01, 100_000.0), (20_000.0, 20_000.0, 1.0)], 8);
    let whole = all(&schedule);
    let mut rng = fastrand::Rng::with_seed(8);
    for _ in 0..100 {
        let from_ns = match rng.u8(0..3) {
            0 => whole[rng.usize(0..whole.len())].at_ns,
            1 => whole[rng.usize(0..whole.len())].at_ns + 1,
            _ => rng.u64(0..100_005 * S),
        };
        let to_ns = from_ns + rng.u64(0..2 * S);
        let lanes: LaneSet = (0..LANES).filter(|_| rng.bool()).collect();
        let own = |arrival: &&Arrival| lanes.contains(lane(arrival));
        let expected: Vec<Arrival> =
            whole.iter().filter(own).filter(|arrival| arrival.at_ns >= from_ns).copied().collect();
        let entered: Vec<Arrival> = Arrivals::starting_at(Arc::clone(&schedule), lanes, from_ns).collect();
        assert_eq!(entered, expected, "from {from_ns}");
        let counted = expected.iter().filter(|arrival| arrival.at_ns < to_ns).count() as u64;
        assert_eq!(schedule.count_in(&lanes, from_ns, to_ns), counted, "{from_ns}..{to_ns}");
    }
    for arrival in whole.iter().step_by(97) {
        assert_eq!(schedule.time_of(arrival.index), Some(arrival.at_ns));
        assert_eq!(schedule.stage_at(arrival.at_ns), arrival.stage);
    }
    assert_eq!(schedule.time_of(u64::MAX), None);
}

#[test]
fn another_rate_changes_nothing_before_and_has_its_own_rate_after() {
    let schedule = poisson(&[(1_000.0, 1_000.0, 20.0)], 9);
    let faster = Arc::new(schedule.scaled_from(10 * S, 3.0));
    let (before, after) = (all(&schedule), all(&faster));
    let until = |arrivals: &[Arrival]| -> Vec<Arrival> {
        arrivals.iter().filter(|arrival| arrival.at_ns < 10 * S).copied().collect()
    };
    assert_eq!(until(&before), until(&after));
    let more = after.iter().filter(|arrival| arrival.at_ns >= 10 * S).count() as f64;
    assert!((more - 30_000.0).abs() < 4.0 * 30_000f64.sqrt(), "{more}");
    assert_eq!(faster.expected_in(5 * S, 15 * S), 5_000.0 + 15_000.0);
    let stopped = Arc::new(schedule.scaled_from(10 * S, 0.0));
    assert_eq!(all(&stopped), until(&before));
}

#[test]
fn changes_of_lanes_and_rate_keep_the_books() {
    for seed in 0..30 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let first = poisson(&[(rng.f64() * 2_000.0 + 1.0, rng.f64() * 2_000.0, 6.0)], seed);
        let before: LaneSet = (0..LANES).filter(|_| rng.bool()).collect();
        let after: LaneSet = (0..LANES).filter(|_| rng.bool()).collect();
        let (from_ns, now_ns) = (rng.u64(S..4 * S), rng.u64(S..4 * S));
        let second = Arc::new(first.scaled_from(from_ns, 2.0));
        let mut arrivals = Arrivals::new(Arc::clone(&first), before);
        let mut given: Vec<Arrival> = Vec::new();
        while arrivals.peek().is_some_and(|arrival| arrival.at_ns < now_ns) {
            given.extend(arrivals.next());
        }
        let lanes = arrivals.change_lanes(from_ns, now_ns, after);
        let rate = arrivals.change_schedule(from_ns, now_ns, Arc::clone(&second));
        given.extend(arrivals);
        let planned = first.count_in(&before, 0, from_ns) + second.count_in(&after, from_ns, u64::MAX);
        let told = given.len() as u64 + lanes.missed + rate.missed - lanes.overlap - rate.overlap;
        assert_eq!(told, planned, "seed {seed}: {from_ns} learned at {now_ns}");
        assert!(now_ns > from_ns || (lanes, rate) == (Late::default(), Late::default()), "seed {seed}");
    }
}

#[test]
fn the_longest_and_the_slowest_runs_are_as_cheap_to_enter() {
    let month = 30.0 * 86_400.0;
    let schedule = poisson(&[(1e7, 1e7, month)], 10);
    let last = Arrivals::starting_at(Arc::clone(&schedule), LaneSet::all(), 2_591_999 * S).next().unwrap();
    assert!((last.at_ns - 2_591_999 * S) < 10_000, "{last:?}");
    assert_eq!(schedule.time_of(last.index), Some(last.at_ns));
    let slow = poisson(&[(1.0 / 3600.0, 1.0 / 3600.0, month)], 10);
    let count = slow.count_in(&LaneSet::all(), 0, u64::MAX) as f64;
    assert!((count - 720.0).abs() < 4.0 * 720f64.sqrt(), "{count}");
}
