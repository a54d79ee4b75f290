//! What comes in, in whatever order and however often, comes out as if it had come once and in order.

#![allow(clippy::unwrap_used, reason = "fails where it fails")]

mod both;
mod fixture;
mod server;

use std::collections::BTreeMap;

use both::{Place, both};
use fixture::{RUN, batch, delivery, merged, position, reports, window};
use metrics::{DriverWindow, Gauges, Merged, StepWindow};
use plan::{StageId, StepId};
use store::postgres::Fault;
use store::{Batch, Error, Point, Reader, Resolution, Store};

/// The invariant of the store: shuffled, doubled, late, in batches of any size, with checkpoints anywhere.
#[test]
fn a_run_is_rebuilt_bit_for_bit() {
    for seed in 0..6 {
        both(|place, store| rebuild(seed, place, store));
    }
}

fn rebuild(seed: u64, place: &Place, mut store: Store) {
    let mut random = fastrand::Rng::with_seed(seed);
    let reports = reports(&mut random, 3, 8, 5);
    let expected = merged(&reports);

    let mut deliveries: Vec<_> = reports.iter().chain(&reports).cloned().collect();
    random.shuffle(&mut deliveries);
    let mut rest = deliveries.as_slice();
    let mut in_memory = Merged::new();
    let mut fresh = 0;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(random.usize(1..=rest.len().min(40)));
        rest = later;
        let ingested = store.ingest(&batch(now.to_vec())).unwrap();
        fresh += ingested.fresh_count();
        let new = now.iter().zip(&ingested.fresh).filter_map(|(delivery, fresh)| fresh.then_some(delivery));
        in_memory.merge(&merged(new));
        if random.u8(..4) == 0 {
            store.checkpoint(RUN).unwrap();
        }
        assert_eq!(store.reader().unwrap().load(RUN).unwrap(), in_memory, "seed {seed}");
    }
    assert_eq!(in_memory, expected, "seed {seed}");
    assert_eq!(fresh, reports.len(), "seed {seed}");

    drop(store);
    let mut store = Store::open(&place.location).unwrap();
    assert_eq!(store.ingest(&batch(deliveries)).unwrap().fresh_count(), 0, "seed {seed}");
    assert_eq!(store.reader().unwrap().load(RUN).unwrap(), expected, "seed {seed}");
}

#[test]
fn the_same_number_of_another_incarnation_is_another_report() {
    both(|_, mut store| {
        let mut random = fastrand::Rng::with_seed(1);
        let first = delivery("d1", 0, 0, window(&mut random, 0, 1, 10));
        let mut second = first.clone();
        second.identity.incarnation = uuid::Uuid::from_u128(8);
        let ingested = store.ingest(&batch(vec![first.clone(), second.clone(), first.clone()])).unwrap();
        assert_eq!(ingested.fresh, [true, true, false]);
        assert_eq!((ingested.fresh_count(), ingested.duplicate_count()), (2, 1));
        assert_eq!(store.reader().unwrap().load(RUN).unwrap(), merged([&first, &second]));
    });
}

#[test]
fn positions_move_with_what_was_read() {
    both(|place, mut store| {
        store
            .ingest(&Batch { positions: vec![position(0, 10), position(1, 5)], ..batch(Vec::new()) })
            .unwrap();
        store.ingest(&Batch { positions: vec![position(0, 12)], ..batch(Vec::new()) }).unwrap();
        drop(store);
        assert_eq!(
            Reader::open(&place.location).unwrap().positions().unwrap(),
            [position(0, 12), position(1, 5)]
        );
    });
}

#[test]
fn a_series_merges_what_came_late() {
    both(|_, mut store| {
        let mut random = fastrand::Rng::with_seed(3);
        let windows: Vec<_> = (0..25).map(|second| window(&mut random, second, 3, 20)).collect();
        let of = |driver: &str| -> Vec<_> {
            let numbered = (0..).zip(&windows);
            numbered.map(|(seq, window)| delivery(driver, seq, 0, window.clone())).collect()
        };
        store.ingest(&batch(of("d1"))).unwrap();
        store.ingest(&batch(of("d2").split_off(10))).unwrap();
        let reader = store.reader().unwrap();

        let mut expected = StepWindow::new(StepId(0), StageId(0));
        for window in &windows[10..20] {
            expected.merge(&window.steps[1]);
            expected.merge(&window.steps[1]);
        }
        let points = reader.series(RUN, Some(StepId(1)), (10, 20), Resolution::TenSeconds).unwrap();
        assert_eq!(points.len(), 1);
        let response = |window: &StepWindow| {
            let mut all = window.ok.response.clone();
            all.merge(&window.failed.response);
            all.stats()
        };
        assert_eq!(points[0].requests.response, response(&expected));
        assert_eq!(points[0].requests.failed, expected.failed.response.count());
        assert_eq!((points[0].second, points[0].states.drivers), (10, 2));

        let points = reader.series(RUN, None, (0, u32::MAX), Resolution::Second).unwrap();
        assert_eq!(points.len(), 25);
        assert_eq!((points[3].states.drivers, points[13].states.drivers), (1, 2));
        assert_eq!(points[13].requests.sent, 2 * 3 * 20);
        assert_eq!(points[13].iterations.started, 2 * 20);
        assert_eq!(points[13].states.in_flight, 2 * u64::from(windows[13].gauges.in_flight));

        let minute = reader.series(RUN, None, (0, u32::MAX), Resolution::Minute).unwrap();
        assert_eq!(minute[0].requests.sent, points.iter().map(|point| point.requests.sent).sum::<u64>());
        assert_eq!(minute[0].requests.failed, points.iter().map(|point| point.requests.failed).sum::<u64>());
    });
}

/// Points that are kept are those that the rows give, whenever they were kept and whatever came after.
#[test]
fn kept_points_are_those_of_their_rows() {
    let forget = |place: &Place| {
        place.sql(
            "SAVEPOINT s; DELETE FROM point; DELETE FROM kept; RELEASE s",
            "BEGIN; DELETE FROM run_points; DELETE FROM run_checkpoint; DELETE FROM run_minutes; COMMIT",
        );
    };
    let seed = fastrand::u64(..);
    both(|place, mut store| {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut deliveries = reports(&mut random, 2, 130, 3);
        random.shuffle(&mut deliveries);
        // The second half comes when the points of the first have been kept.
        let late = deliveries.split_off(deliveries.len() / 2);
        store.ingest(&batch(deliveries)).unwrap();
        store.keep_points(RUN).unwrap();
        for few in late.chunks(110) {
            store.ingest(&batch(few.to_vec())).unwrap();
            let kept = series_of(&store.reader().unwrap());
            forget(place);
            assert!(kept == series_of(&store.reader().unwrap()), "seed {seed}");
            store.keep_points(RUN).unwrap();
            assert!(kept == series_of(&store.reader().unwrap()), "seed {seed}");
        }
    });
}

/// All series of the run: of each row, at each resolution, whole and in parts.
#[expect(clippy::unwrap_used, reason = "fails where it fails")]
fn series_of(reader: &Reader) -> Vec<Vec<Point>> {
    let mut all = Vec::new();
    for step in [None, Some(StepId(1)), Some(StepId(77))] {
        for resolution in Resolution::ALL {
            for span in [(0, u32::MAX), (0, 90), (13, 47), (60, 120), (125, 300)] {
                all.push(reader.series(RUN, step, span, resolution).unwrap());
            }
        }
    }
    assert!(all.iter().all(|points| !points.is_empty()));
    all
}

#[test]
fn a_kept_point_is_read_without_rows() {
    both(|place, mut store| {
        store.ingest(&batch(reports(&mut fastrand::Rng::with_seed(9), 2, 70, 3))).unwrap();
        store.update_run(&store::RunRow { ended_ms: Some(2), ..fixture::run(RUN, 1_000) }).unwrap();
        let series = |store: &Store| {
            let reader = store.reader().unwrap();
            Resolution::ALL.map(|resolution| reader.series(RUN, None, (0, u32::MAX), resolution).unwrap())
        };
        let before = series(&store);
        place.sql(
            "UPDATE window SET measured = x''",
            "UPDATE run_seconds SET measured = ''; UPDATE run_iterations SET measured = ''",
        );
        assert!(before == series(&store));
        place.sql(
            "UPDATE point SET figures = x'00' WHERE resolution = 60",
            "UPDATE run_points SET figures = '\\x00' WHERE resolution = 60",
        );
        let refused =
            store.reader().unwrap().series(RUN, None, (0, u32::MAX), Resolution::Minute).unwrap_err();
        assert!(
            matches!(refused, Error::Corrupt { .. } | Error::Postgres(Fault::Damaged { .. })),
            "{refused}"
        );
    });
}

#[test]
fn the_seconds_of_a_run_are_those_of_all_its_drivers() {
    both(|_, mut store| {
        let reports = reports(&mut fastrand::Rng::with_seed(5), 3, 6, 4);
        store.ingest(&batch(reports.iter().rev().cloned().collect())).unwrap();
        store.checkpoint(RUN).unwrap();
        let mut found = Vec::new();
        store.reader().unwrap().seconds(RUN, |second, window| found.push((second, window.clone()))).unwrap();
        let mut expected: BTreeMap<u32, DriverWindow> = BTreeMap::new();
        for window in reports.iter().filter_map(|report| report.window.clone()) {
            let window = DriverWindow { gauges: Gauges::default(), ..window };
            match expected.get_mut(&window.from_s) {
                Some(second) => second.merge(window),
                None => drop(expected.insert(window.from_s, window)),
            }
        }
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    });
}

#[test]
fn a_second_nobody_reported_is_a_gap() {
    both(|_, mut store| {
        let mut random = fastrand::Rng::with_seed(4);
        let reports =
            [0, 7].map(|second| delivery("d1", u64::from(second), 0, window(&mut random, second, 1, 5)));
        store.ingest(&batch(reports.to_vec())).unwrap();
        let points = store.reader().unwrap().series(RUN, None, (0, 100), Resolution::Second).unwrap();
        assert_eq!(points.iter().map(|point| point.second).collect::<Vec<_>>(), [0, 7]);
    });
}
