//! However windows are spread over threads, parts, drivers and time, and in whatever order they come: the same result.

mod common;

use fastrand::Rng;
use metrics::{DriverWindow, Merged};

/// Checks on seeded input; the seed is in the message of what fails.
fn for_seeds(count: u64, check: impl Fn(&mut Rng, u64)) {
    for seed in 0..count {
        check(&mut Rng::with_seed(seed), seed);
    }
}

fn joined(mut a: DriverWindow, b: &DriverWindow) -> DriverWindow {
    a.merge(b.clone());
    a
}

#[test]
fn windows_merge_in_any_order_and_grouping() {
    for_seeds(100, |rng, seed| {
        let [a, b, c] = std::array::from_fn(|_| common::window(rng));
        assert_eq!(joined(a.clone(), &b), joined(b.clone(), &a), "seed {seed}");
        assert_eq!(joined(joined(a.clone(), &b), &c), joined(a, &joined(b, &c)), "seed {seed}");
    });
}

#[test]
fn runs_merge_in_any_order_and_grouping() {
    for_seeds(60, |rng, seed| {
        let [a, b, c] = std::array::from_fn(|_| common::merged(rng));
        let joined = |x: &Merged, y: &Merged| {
            let mut joined = x.clone();
            joined.merge(y);
            joined
        };
        assert_eq!(joined(&a, &b), joined(&b, &a), "seed {seed}");
        assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)), "seed {seed}");
        assert_eq!(joined(&a, &Merged::new()), a, "seed {seed}");
    });
}

#[test]
fn a_run_does_not_depend_on_the_order_of_its_windows() {
    for_seeds(100, |rng, seed| {
        let mut windows: Vec<_> =
            (0..12).map(|_| (format!("d{}", rng.u8(..3)), common::window(rng))).collect();
        let add_all = |windows: &[(String, DriverWindow)]| {
            let mut merged = Merged::new();
            windows.iter().for_each(|(driver, window)| merged.add(driver, window));
            merged
        };
        let ordered = add_all(&windows);
        rng.shuffle(&mut windows);
        assert_eq!(add_all(&windows), ordered, "seed {seed}");
        let (some, rest) = windows.split_at(rng.usize(..=windows.len()));
        let mut halves = add_all(rest);
        halves.merge(&add_all(some));
        assert_eq!(halves, ordered, "seed {seed}");
    });
}

#[test]
fn parts_of_a_window_add_up_to_it() {
    for_seeds(60, |rng, seed| {
        let mut whole = common::window(rng);
        whole.judge();
        let split = rng.usize(..=whole.steps.len());
        let mut first = whole.clone();
        let further = DriverWindow {
            steps: first.steps.split_off(split),
            stages: Vec::new(),
            gauges: metrics::Gauges::default(),
            ..whole
        };
        let mut merged = Merged::new();
        merged.add("d1", &whole);
        for parts in [[&first, &further], [&further, &first]] {
            let mut from_parts = Merged::new();
            parts.iter().for_each(|part| from_parts.add("d1", part));
            assert_eq!(from_parts, merged, "seed {seed}");
            assert_eq!(joined(parts[0].clone(), parts[1]), whole, "seed {seed}");
        }
    });
}

#[test]
fn a_whole_fleet_counts_what_its_drivers_count() {
    for_seeds(100, |rng, seed| {
        let merged = common::merged(rng);
        let (totals, steps, stages) =
            (merged.totals(), merged.all_steps(|_| true), merged.all_stages(|_| true));
        assert_eq!(totals.requests_sent, steps.sent, "seed {seed}");
        assert_eq!((totals.succeeded, totals.failed), (steps.succeeded(), steps.failures()), "seed {seed}");
        assert_eq!((totals.due, totals.started, totals.missed), (stages.due, stages.started, stages.missed));
        assert_eq!(merged.outcomes(|_| true).into_iter().collect::<Vec<_>>(), steps.outcomes, "seed {seed}");
    });
}
