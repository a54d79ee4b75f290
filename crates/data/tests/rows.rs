//! Whatever the lanes and threads: of rows that are used once, each is used by one iteration, and none is left out.

#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "numbers are small here, and a test that fails says where"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use data::{Hand, NoRow, Order, Pile, Rows, row_at_random, row_of_user};
use plan::{Arrival, Arrivals, LaneSet, Plan, Shares, StageId};

fn plan(load: &str, pick: &str) -> Plan {
    let text = format!(
        "version: 1\nname: p\ntarget: http://h\nload: {load}\n\
         data: {{ users: {{ file: users.csv, {pick} }} }}\n\
         scenarios:\n  a: {{ weight: 3, steps: [ get: / ] }}\n  b: {{ weight: 2, steps: [ get: / ] }}\n"
    );
    plan::parse("p.yaml", &text).unwrap_or_else(|faults| panic!("{faults:?}"))
}

const OPEN: &str = "{ model: open, stages: [ { at: 100/s, for: 1m } ] }";
const POISSON: &str = "{ model: open, arrivals: poisson, stages: [ { at: 100/s, for: 1m } ] }";
const CLOSED: &str = "{ model: closed, stages: [ { users: 100, for: 1m } ] }";

/// The lanes of each thread of a fleet of random size.
fn threads(rng: &mut fastrand::Rng) -> Vec<LaneSet> {
    let drivers = (0..rng.usize(1..9)).map(|driver| format!("d{driver}")).collect::<Vec<_>>();
    let mut shares = Shares::even(drivers.clone()).unwrap();
    for joiner in 0..rng.usize(0..3) {
        shares = shares.with(&format!("j{joiner}"));
    }
    let threads = rng.usize(1..5);
    let lanes = shares.drivers.iter().map(|driver| shares.lanes_of(driver));
    lanes.flat_map(|lanes| (0..threads).map(move |thread| lanes.of_thread(thread, threads))).collect()
}

/// The rows that the threads of a fleet use of a source, in the order of time, by the iterations that use them.
fn used(plan: &Plan, rows: u64, uses: &[bool], threads: Vec<LaneSet>) -> BTreeMap<u64, Vec<u64>> {
    let schedule = Arc::new(plan.workloads[0].schedule().unwrap());
    let mut used: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for lanes in threads {
        let mut source = Rows::new(plan, 0, 0, rows, uses, lanes, Some(&schedule)).unwrap();
        let mine = Arrivals::new(Arc::clone(&schedule), lanes);
        for arrival in mine.filter(|arrival| uses[plan.workloads[0].scenario_of(arrival.index)]) {
            if let Ok(row) = source.row(&plan.workloads[0], &arrival) {
                used.entry(row).or_default().push(arrival.at_ns);
            }
        }
    }
    used
}

#[test]
fn an_open_fleet_uses_each_row_once_and_all_of_them() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    for load in [OPEN, POISSON] {
        let plan = plan(load, "pick: once");
        let schedule = Arc::new(plan.workloads[0].schedule().unwrap());
        for uses in [[true, false], [true, true]] {
            let all = Arrivals::new(Arc::clone(&schedule), LaneSet::all());
            let wanted =
                all.filter(|arrival| uses[plan.workloads[0].scenario_of(arrival.index)]).count() as u64;
            for rows in [wanted / 2, wanted, wanted * 2] {
                let used = used(&plan, rows, &uses, threads(&mut rng));
                assert!(used.values().all(|times| times.len() == 1), "no row is used twice");
                assert!(used.keys().copied().eq(0..wanted.min(rows)), "no row is left out");
                assert!(used.values().is_sorted(), "earlier iterations have earlier rows");
            }
        }
    }
}

#[test]
fn an_open_fleet_takes_rows_in_turn() {
    let plan = plan(OPEN, "pick: in_turn");
    let used = used(&plan, 7, &[true, true], vec![LaneSet::all()]);
    let times: Vec<usize> = used.values().map(Vec::len).collect();
    assert_eq!(times, [858, 857, 857, 857, 857, 857, 857], "6,000 in all");
}

#[test]
fn places_are_kept_over_a_change_of_rate() {
    for load in [OPEN, POISSON] {
        let plan = plan(load, "pick: once");
        let schedule = Arc::new(plan.workloads[0].schedule().unwrap());
        let (from_ns, now_ns) = (20_000_000_000, 18_000_000_000);
        let faster = Arc::new(schedule.scaled_from(from_ns, 2.0));
        let mut places = Vec::new();
        for thread in 0..3 {
            let lanes = LaneSet::all().of_thread(thread, 3);
            let mut order = Order::new(&schedule, &[true, false]);
            let mut mine = Arrivals::new(Arc::clone(&schedule), lanes);
            let mut is_told = false;
            while let Some(arrival) = mine.peek() {
                if !is_told && arrival.at_ns >= now_ns {
                    is_told = true;
                    mine.change_schedule(from_ns, now_ns, Arc::clone(&faster));
                    order.change_schedule(from_ns, now_ns, Arc::clone(&faster));
                    continue;
                }
                mine.next();
                if plan.workloads[0].scenario_of(arrival.index) == 0 {
                    places.push(order.place(&plan.workloads[0], arrival.index, arrival.at_ns).unwrap());
                }
            }
        }
        places.sort_unstable();
        assert!(places.iter().copied().eq(0..places.len() as u64), "{load}");
    }
}

#[test]
fn a_long_way_is_counted_bit_by_bit() {
    for load in [OPEN, POISSON] {
        let plan = plan(load, "pick: once");
        let schedule = Arc::new(plan.workloads[0].schedule().unwrap());
        for uses in [[true, false], [true, true]] {
            let (mut at_once, mut by_bits) = (Order::new(&schedule, &uses), Order::new(&schedule, &uses));
            let mine = Arrivals::new(Arc::clone(&schedule), [7].into_iter().collect());
            for arrival in mine.filter(|arrival| uses[plan.workloads[0].scenario_of(arrival.index)]) {
                let mut turns = 0;
                loop {
                    let mut left = 100;
                    if by_bits.follow(&plan.workloads[0], arrival.at_ns, &mut left) {
                        break;
                    }
                    turns += 1;
                    assert_eq!(left, 0);
                }
                let place = by_bits.place(&plan.workloads[0], arrival.index, arrival.at_ns);
                assert_eq!(place, at_once.place(&plan.workloads[0], arrival.index, arrival.at_ns), "{load}");
                assert!(place.is_some());
                let counts = schedule.is_poisson() || uses != [true, true];
                assert!(turns <= 60 && (turns > 0) == (counts && place > Some(100)), "{load}: {turns}");
            }
        }
    }
}

/// The rows that one driver's thread uses that learns of a rate `factor` times the plan's at `now_ns` that counts from 20 s
/// on, with their times.
fn used_with_change(plan: &Plan, thread: usize, factor: f64, now_ns: u64) -> Vec<(u64, u64)> {
    let schedule = Arc::new(plan.workloads[0].schedule().unwrap());
    let from_ns = 20_000_000_000;
    let changed = Arc::new(schedule.scaled_from(from_ns, factor));
    let lanes = LaneSet::all().of_thread(thread, 3);
    let uses = [true, false];
    let mut rows = Rows::new(plan, 0, 0, u64::MAX, &uses, lanes, Some(&schedule)).unwrap();
    let mut mine = Arrivals::new(Arc::clone(&schedule), lanes);
    let (mut used, mut is_told) = (Vec::new(), false);
    while let Some(arrival) = mine.peek() {
        if !is_told && arrival.at_ns >= now_ns {
            is_told = true;
            mine.change_schedule(from_ns, now_ns, Arc::clone(&changed));
            rows.change_schedule(from_ns, now_ns, &changed);
            continue;
        }
        mine.next();
        if plan.workloads[0].scenario_of(arrival.index) == 0
            && let Ok(row) = rows.row(&plan.workloads[0], &arrival)
        {
            used.push((arrival.at_ns, row));
        }
    }
    used
}

#[test]
fn who_learns_late_of_another_rate_counts_as_the_others_do() {
    for load in [OPEN, POISSON] {
        for (factor, late_ns) in
            [(2.0, 300_000_000), (0.5, 300_000_000), (0.5, 15_000_000_000), (2.0, 30_000_000_000)]
        {
            let known_ns = 20_000_000_000 + late_ns;
            // Both threads of the late driver learn of it within a second.
            let late = [
                used_with_change(&plan(load, "pick: once"), 0, factor, known_ns),
                used_with_change(&plan(load, "pick: once"), 1, factor, known_ns + 500_000_000),
            ];
            let mut seen = BTreeMap::new();
            for (at_ns, row) in late.iter().flatten() {
                let before = seen.insert(*row, *at_ns);
                assert_eq!(before, None, "{load}, {factor}: row {row} twice by one driver");
            }
            let known = used_with_change(&plan(load, "pick: once"), 2, factor, 18_000_000_000);
            for (at_ns, row) in known {
                // What was given out by the old count cannot be called back.
                let other_ns = seen.insert(row, at_ns);
                assert!(
                    other_ns.is_none_or(|other_ns| other_ns < known_ns + 500_000_000),
                    "{load}, {factor}: row {row} at {at_ns} and {other_ns:?}"
                );
            }
            assert!(late.iter().all(|used| used.last().is_some_and(|(at_ns, _)| *at_ns > 58_000_000_000)));
        }
        // Rows that are used again are given on.
        let again = plan(load, "pick: in_turn");
        assert!(used_with_change(&again, 0, 0.5, 35_000_000_000).len() > 700);
    }
}

#[test]
fn piles_give_each_row_once_and_all_of_them_whoever_asks() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..50 {
        let rows = rng.u64(0..5_000);
        let mut used = BTreeMap::new();
        let drivers = rng.usize(1..5);
        for driver in 0..drivers {
            let lanes = LaneSet::all().of_thread(driver, drivers);
            let threads = rng.usize(1..5);
            let lanes: Vec<LaneSet> = (0..threads).map(|thread| lanes.of_thread(thread, threads)).collect();
            let piles = Pile::of_threads(rows, &lanes);
            // Some threads may ask for nothing; the last one takes all that is left.
            while let Some(row) = piles[rng.usize(0..threads)].next_row() {
                assert_eq!(used.insert(row, ()), None, "row {row}");
            }
            assert!(
                piles.iter().all(|pile| pile.next_row().is_none()),
                "it is the driver that has none left"
            );
        }
        assert!(used.keys().copied().eq(0..rows), "no row is left out");
    }
}

#[test]
fn threads_at_the_same_time_take_each_row_once() {
    let lanes: Vec<LaneSet> = (0..4).map(|thread| LaneSet::all().of_thread(thread, 4)).collect();
    let piles = Pile::of_threads(20_000, &lanes);
    let threads = piles.into_iter().enumerate().map(|(number, pile)| {
        std::thread::spawn(move || {
            // One thread comes late, and finds its rows taken.
            std::thread::sleep(std::time::Duration::from_millis(if number == 0 { 20 } else { 0 }));
            std::iter::from_fn(|| pile.next_row()).collect::<Vec<u64>>()
        })
    });
    let threads: Vec<_> = threads.collect();
    let mut rows: Vec<u64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    rows.sort_unstable();
    assert!(rows.into_iter().eq(0..20_000));
}

#[test]
fn rows_used_again_never_run_out() {
    let lanes: LaneSet = [3, 5].into_iter().collect();
    let mut hand = Hand::new(6, lanes);
    assert_eq!([(); 5].map(|()| hand.next_row()), [3, 5, 3, 5, 3].map(Some));
    hand.set_lanes([4].into_iter().collect());
    assert_eq!([(); 3].map(|()| hand.next_row()), [4, 4, 4].map(Some));
    // Whoever has no row of its own takes those of all, and begins elsewhere than the others.
    let mut hand = Hand::new(3, [7].into_iter().collect());
    assert_eq!([(); 4].map(|()| hand.next_row()), [1, 2, 0, 1].map(Some));
    assert_eq!(Hand::new(0, LaneSet::all()).next_row(), None);
    assert_eq!(Pile::of_threads(5, &[LaneSet::empty()])[0].next_row(), None);
}

#[test]
fn users_and_chance() {
    assert_eq!([0, 2, 3, 7].map(|user| row_of_user(user, 3, false)), [Some(0), Some(2), None, None]);
    assert_eq!([0, 2, 3, 7].map(|user| row_of_user(user, 3, true)), [0, 2, 0, 1].map(Some));
    assert_eq!((row_of_user(0, 0, true), row_at_random(1, 0, 0, 0)), (None, None));
    let mut counts = [0u32; 10];
    (0..10_000).for_each(|index| counts[row_at_random(7, 0, index, 10).unwrap() as usize] += 1);
    assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
    let others =
        (0..1_000).filter(|index| row_at_random(7, 0, *index, 10) != row_at_random(7, 1, *index, 10));
    assert!(others.count() > 800, "sources choose apart from each other");
    let closed = plan(CLOSED, "pick: per_user");
    let mut source = Rows::new(&closed, 0, 0, 5, &[true, true], LaneSet::all(), None).unwrap();
    assert_eq!(
        [0, 4, 5].map(|user| {
            source.row(&closed.workloads[0], &Arrival { at_ns: 0, index: 99, stage: StageId(0), user })
        }),
        [Ok(0), Ok(4), Err(NoRow::UsedUp)]
    );
}
