//! Shares: who owns which lanes, and what moves when the fleet changes.

use expect_test::expect;
use plan::{InvalidShares, LANES, LaneSet, Shares};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|driver| format!("d{driver}")).collect()
}

fn sizes(shares: &Shares) -> Vec<usize> {
    shares.drivers.iter().map(|driver| shares.lanes_of(driver).len()).collect()
}

fn spread(shares: &Shares) -> usize {
    let sizes = sizes(shares);
    sizes.iter().max().unwrap_or(&0) - sizes.iter().min().unwrap_or(&0)
}

/// Lanes whose owner is another one.
fn moves(before: &Shares, after: &Shares) -> usize {
    let owner = |shares: &Shares, lane: usize| shares.drivers[usize::from(shares.owners[lane])].clone();
    (0..LANES).filter(|lane| owner(before, *lane) != owner(after, *lane)).count()
}

#[test]
fn a_fleet_of_three_grows_and_shrinks() {
    let mut shares = Shares::even(names(3)).unwrap();
    let mut said = format!("{:?}\n", sizes(&shares));
    let steps: [&dyn Fn(&Shares) -> Shares; 4] = [
        &|shares| shares.without("d1").unwrap(),
        &|shares| shares.with("d3"),
        &|shares| shares.with("d4"),
        &|shares| shares.without("d0").unwrap(),
    ];
    for step in steps {
        let next = step(&shares);
        let (version, moved) = (next.version, moves(&shares, &next));
        said += &format!("version {version}: {:?} {:?}, {moved} moved\n", next.drivers, sizes(&next));
        shares = next;
    }
    expect![[r#"
        [342, 341, 341]
        version 2: ["d0", "d2"] [512, 512], 341 moved
        version 3: ["d0", "d2", "d3"] [342, 341, 341], 341 moved
        version 4: ["d0", "d2", "d3", "d4"] [256, 256, 256, 256], 256 moved
        version 5: ["d2", "d3", "d4"] [342, 341, 341], 256 moved
    "#]]
    .assert_eq(&said);
}

#[test]
fn random_fleets_stay_balanced_with_minimal_moves() {
    for seed in 0..30 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut shares = Shares::even(names(rng.usize(1..20))).unwrap();
        for round in 0..40 {
            let before = shares.clone();
            if shares.drivers.len() > 1 && rng.bool() {
                let lost = shares.drivers[rng.usize(0..shares.drivers.len())].clone();
                shares = shares.without(&lost).unwrap();
                assert_eq!(moves(&before, &shares), before.lanes_of(&lost).len(), "seed {seed}");
            } else {
                let joined = format!("j{round}");
                shares = shares.with(&joined);
                assert_eq!(moves(&before, &shares), LANES / shares.drivers.len(), "seed {seed}");
                assert_eq!(shares.lanes_of(&joined).len(), LANES / shares.drivers.len(), "seed {seed}");
            }
            assert!(spread(&shares) <= 1, "seed {seed}: {:?}", sizes(&shares));
            assert_eq!(shares.version, before.version + 1);
            assert_eq!(shares.validate(), Ok(()));
        }
    }
}

#[test]
fn lanes_that_move_are_spread_over_time() {
    let joined = Shares::even(names(2)).unwrap().with("d2").lanes_of("d2");
    let lanes: Vec<usize> = joined.iter().collect();
    let longest = lanes.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest <= 6, "{longest} lanes without one of the joined driver's");
}

#[test]
fn the_ends_of_fleets() {
    assert_eq!(Shares::even(Vec::new()), None);
    assert_eq!(Shares::even(names(LANES + 1)), None);
    let full = Shares::even(names(LANES)).unwrap();
    assert_eq!(full.with("another"), full);
    let one = Shares::even(names(1)).unwrap();
    assert_eq!(one.lanes_of("d0"), LaneSet::all());
    assert_eq!(one.lanes_of("other"), LaneSet::empty());
    assert_eq!(one.without("d0"), None);
    assert_eq!(one.without("other"), Some(one.clone()));
    assert_eq!(one.with("d0"), one);
}

#[test]
fn a_table_from_elsewhere_is_checked() {
    let good = Shares::even(names(2)).unwrap();
    let check = |change: &dyn Fn(&mut Shares)| {
        let mut shares = good.clone();
        change(&mut shares);
        shares.validate()
    };
    assert_eq!(check(&|_| ()), Ok(()));
    assert_eq!(check(&|shares| shares.drivers.clear()), Err(InvalidShares::Drivers(0)));
    assert_eq!(check(&|shares| shares.drivers[1] = "d0".into()), Err(InvalidShares::Name("d0".into())));
    assert_eq!(check(&|shares| shares.drivers[1].clear()), Err(InvalidShares::Name(String::new())));
    assert_eq!(check(&|shares| shares.owners.truncate(5)), Err(InvalidShares::Lanes(5)));
    assert_eq!(check(&|shares| shares.owners[7] = 2), Err(InvalidShares::Owner { lane: 7, owner: 2 }));
    // What was not checked must still not panic.
    let mut wild = good.clone();
    wild.owners[7] = 9;
    assert_eq!(wild.with("d2").drivers.len(), 3);
    assert_eq!(wild.without("d1").unwrap().drivers.len(), 1);
}

#[test]
fn threads_divide_a_set() {
    for seed in 0..30 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let lanes: LaneSet = (0..LANES).filter(|_| rng.bool()).collect();
        let threads = rng.usize(1..9);
        let parts: Vec<LaneSet> = (0..threads).map(|thread| lanes.of_thread(thread, threads)).collect();
        let mut all: Vec<usize> = parts.iter().flat_map(LaneSet::iter).collect();
        all.sort_unstable();
        assert_eq!(all, lanes.iter().collect::<Vec<_>>(), "seed {seed}");
        let sizes = parts.iter().map(LaneSet::len);
        assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1, "seed {seed}");
    }
}
