//! Whatever the lanes and threads: of rows that are used once, each is used by one iteration, and none is left out.

#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "numbers are small here, and a test that fails says where"
)]

use std::collections::BTreeMap;

use data::{Hand, Ranks, Rows, row_at_random, row_of_user};
use plan::{LaneSet, Plan, Shares};

fn plan(load: &str, pick: &str) -> Plan {
    let text = format!(
        "version: 1\nname: p\ntarget: http://h\nload: {load}\n\
         data: {{ users: {{ file: users.csv, {pick} }} }}\n\
         scenarios:\n  a: {{ weight: 3, steps: [ get: / ] }}\n  b: {{ weight: 2, steps: [ get: / ] }}\n"
    );
    plan::parse("p.yaml", &text).unwrap_or_else(|faults| panic!("{faults:?}"))
}

const OPEN: &str = "{ model: open, stages: [ { at: 100/s, for: 1m } ] }";
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

#[test]
fn ranks_are_those_of_counting() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let plan = plan(OPEN, "pick: once");
    for uses in [[true, false], [false, true], [true, true], [false, false]] {
        let mut ranks = Ranks::new(&uses);
        let mut counted = vec![0u64];
        for index in 0..200_000 {
            let uses = uses[plan.scenario_of(index)];
            counted.push(counted[counted.len() - 1] + u64::from(uses));
        }
        for base in (0..190_000).step_by(1_000) {
            let index = base + rng.u64(0..10_000);
            assert_eq!(
                ranks.rank(index, |index| plan.scenario_of(index)),
                counted[index as usize],
                "{index}"
            );
        }
        let mut late = Ranks::new(&uses);
        assert_eq!(late.rank(199_999, |index| plan.scenario_of(index)), counted[199_999]);
        assert_eq!(late.rank(0, |index| plan.scenario_of(index)), 0);
    }
}

#[test]
fn ranks_far_behind_are_counted_again() {
    // Every third iteration, so that the rank is known without counting.
    let scenario_of = |index: u64| usize::from(index.is_multiple_of(3));
    let mut ranks = Ranks::new(&[false, true]);
    for index in [0, 20_000_000, 1_000, 12_345_678, 11_000_001, 65_536, 20_000_001, 8_000_000] {
        assert_eq!(ranks.rank(index, scenario_of), index.div_ceil(3), "{index}");
    }
}

#[test]
fn an_open_fleet_uses_each_row_once_and_all_of_them() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let plan = plan(OPEN, "pick: once");
    for _ in 0..20 {
        let (rows, iterations) = (rng.u64(1..2_000), rng.u64(1..6_000));
        let uses = [[true, false], [true, true]][rng.usize(0..2)];
        let is_user = |index: &u64| uses[plan.scenario_of(*index)];
        let mut used = BTreeMap::new();
        for lanes in threads(&mut rng) {
            let mut source = Rows::new(&plan, 0, rows, &uses, lanes).unwrap();
            let mine = (0..iterations).filter(|index| lanes.contains(*index as usize));
            for index in mine.filter(is_user) {
                if let Some(row) = source.row(&plan, index, 0) {
                    assert_eq!(used.insert(row, index), None, "row {row}");
                }
            }
        }
        let wanted = (0..iterations).filter(is_user).count() as u64;
        assert_eq!(used.len() as u64, wanted.min(rows));
        assert!(used.keys().copied().eq(0..wanted.min(rows)), "no row is left out");
        assert!(used.values().is_sorted(), "earlier iterations have earlier rows");
    }
}

#[test]
fn an_open_fleet_takes_rows_in_turn() {
    let plan = plan(OPEN, "pick: in_turn");
    let mut source = Rows::new(&plan, 0, 7, &[true, true], LaneSet::all()).unwrap();
    let rows: Vec<Option<u64>> = (0..9).map(|index| source.row(&plan, index, 0)).collect();
    assert_eq!(rows, [0, 1, 2, 3, 4, 5, 6, 0, 1].map(Some));
}

#[test]
fn hands_give_each_row_once_and_all_of_them() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..50 {
        let rows = rng.u64(0..5_000);
        let mut used = BTreeMap::new();
        let threads = threads(&mut rng);
        let most = threads.iter().map(|lanes| {
            let mut hand = Hand::new(rows, *lanes, false);
            let mut given = 0u64;
            while let Some(row) = hand.next_row() {
                assert_eq!(used.insert(row, ()), None, "row {row}");
                given += 1;
            }
            assert_eq!(hand.next_row(), None);
            given
        });
        most.for_each(drop);
        assert!(used.keys().copied().eq(0..rows), "no row is left out");
    }
}

#[test]
fn lanes_that_move_take_no_row_along() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..50 {
        let mut shares = Shares::even((0..5).map(|driver| format!("d{driver}")).collect()).unwrap();
        let hand = |shares: &Shares, driver: &str| Hand::new(3_000, shares.lanes_of(driver), false);
        let mut hands: BTreeMap<String, Hand> =
            shares.drivers.iter().map(|driver| (driver.clone(), hand(&shares, driver))).collect();
        let mut used = BTreeMap::new();
        for turn in 0..4 {
            for (driver, hand) in &mut hands {
                for row in (0..rng.usize(0..200)).filter_map(|_| hand.next_row()) {
                    assert_eq!(used.insert(row, driver.clone()), None, "row {row}");
                }
            }
            if turn == 1 {
                shares = shares.with("late");
                hands.insert("late".to_owned(), Hand::new(3_000, LaneSet::empty(), false));
            } else if let Some(lost) = shares.drivers.get(rng.usize(0..shares.drivers.len())).cloned() {
                shares = shares.without(&lost).unwrap();
                hands.remove(&lost);
            }
            hands.iter_mut().for_each(|(driver, hand)| hand.set_lanes(shares.lanes_of(driver)));
        }
    }
}

#[test]
fn rows_used_again_never_run_out() {
    let lanes: LaneSet = [3, 5].into_iter().collect();
    let mut hand = Hand::new(6, lanes, true);
    assert_eq!([(); 5].map(|()| hand.next_row()), [3, 5, 3, 5, 3].map(Some));
    hand.set_lanes([4].into_iter().collect());
    assert_eq!([(); 3].map(|()| hand.next_row()), [4, 4, 4].map(Some));
    // Whoever has no row of its own takes those of all, and begins elsewhere than the others.
    let mut hand = Hand::new(3, [7].into_iter().collect(), true);
    assert_eq!([(); 4].map(|()| hand.next_row()), [1, 2, 0, 1].map(Some));
    assert_eq!(Hand::new(0, LaneSet::all(), true).next_row(), None);
    assert_eq!(Hand::new(5, LaneSet::empty(), false).next_row(), None);
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
    let mut source = Rows::new(&closed, 0, 5, &[true, true], LaneSet::all()).unwrap();
    assert_eq!([0, 4, 5].map(|user| source.row(&closed, 99, user)), [Some(0), Some(4), None]);
}
