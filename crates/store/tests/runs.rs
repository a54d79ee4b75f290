//! Runs, their timelines, and the folder they lie in.

mod both;
mod fixture;
mod server;

use both::both;
use expect_test::{Expect, expect};
use fixture::{RUN, run};
use store::{Error, EventRow, Figures, Reader, RunRow, Store};

#[test]
fn a_run_is_kept_as_it_was_said() {
    both(|place, mut store| {
        let ended = RunRow {
            state: "finished".to_owned(),
            started_ms: Some(2_000),
            ended_ms: Some(3_000),
            extras: Some(r#"{"epoch":3}"#.to_owned()),
            verdict: Some("valid".to_owned()),
            figures: Figures {
                requests_sent: Some(7),
                error_ratio: Some(0.25),
                achieved_per_s: Some(12.5),
                p99_ms: None,
            },
            ..run(RUN, 1_000)
        };
        store.update_run(&ended).unwrap();
        let store_id = store.store_id().to_owned();
        drop(store);
        let store = Store::open(&place.location).unwrap();
        assert_eq!(store.store_id(), store_id);
        let reader = store.reader().unwrap();
        let listed = reader.runs(None, 1).unwrap().remove(0);
        assert_eq!(
            (listed.figures, listed.verdict, listed.ended_ms),
            (ended.figures, ended.verdict.clone(), ended.ended_ms)
        );
        assert_eq!((&listed.drivers, &listed.plan_name), (&ended.drivers, &ended.plan_name));
        assert_eq!(reader.run(RUN).unwrap(), Some(ended));
        assert_eq!(reader.run("other").unwrap(), None);
    });
}

#[test]
fn runs_are_listed_newest_first_in_pages() {
    both(|_, mut store| {
        for (run_id, created_ms) in [("b", 3_000), ("a", 3_000), ("c", 2_000)] {
            store.create_run(&run(run_id, created_ms)).unwrap();
        }
        let reader = store.reader().unwrap();
        let page = |before, limit| -> Vec<String> {
            reader.runs(before, limit).unwrap().into_iter().map(|run| run.run_id).collect()
        };
        assert_eq!(page(None, 3), ["b", "a", "c"]);
        assert_eq!(page(Some("c"), 3), [RUN]);
        assert_eq!(page(Some("b"), 1), ["a"]);
        assert_eq!(page(Some(RUN), 3), Vec::<String>::new());
    });
}

#[test]
fn a_timeline_keeps_its_order() {
    both(|_, mut store| {
        let event = |text: &str, second| EventRow {
            second,
            unix_ms: 5,
            kind: "driver_lost".to_owned(),
            text: text.to_owned(),
            driver: Some("d1".to_owned()),
        };
        let events = [event("second", Some(2)), event("first", None)];
        for event in &events {
            store.add_event(RUN, event).unwrap();
        }
        assert_eq!(store.reader().unwrap().events(RUN).unwrap(), events);
    });
}

#[test]
fn faults_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let fault = |error: Error, expected: Expect| {
        expected.assert_eq(&error.to_string().replace(&dir.path().display().to_string(), "DIR"));
    };
    fault(
        Reader::open(dir.path()).unwrap_err(),
        expect!["there is no database at DIR/swell.db; --store DIR names the data folder of a past run"],
    );

    let mut store = Store::open(dir.path()).unwrap();
    let process = std::process::id().to_string();
    expect![
        "the data folder DIR is in use by process 1234; stop it, or choose another folder with --store DIR"
    ]
    .assert_eq(
        &Store::open(dir.path())
            .unwrap_err()
            .to_string()
            .replace(&dir.path().display().to_string(), "DIR")
            .replace(&process, "1234"),
    );
    store.create_run(&run(RUN, 1)).unwrap();
    fault(store.create_run(&run(RUN, 1)).unwrap_err(), expect!["a run run-1 exists already in DIR/swell.db"]);
    fault(
        store.update_run(&run("other", 1)).unwrap_err(),
        expect!["there is no run other in DIR/swell.db; `swell runs` lists those that are"],
    );
    fault(
        store.reader().unwrap().load("other").unwrap_err(),
        expect!["there is no run other in DIR/swell.db; `swell runs` lists those that are"],
    );
    drop(store);

    let database = dir.path().join("swell.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    fault(
        Store::open(dir.path()).unwrap_err(),
        expect![
            "DIR/swell.db has schema 99, this version knows up to 4; use the newer version that wrote it, or another folder with --store DIR"
        ],
    );
    fault(
        Reader::open(dir.path()).unwrap_err(),
        expect![
            "DIR/swell.db has schema 99, this version knows up to 4; use the newer version that wrote it, or another folder with --store DIR"
        ],
    );
    connection.pragma_update(None, "user_version", 0).unwrap();
    fault(
        Reader::open(dir.path()).unwrap_err(),
        expect![
            "DIR/swell.db has schema 0, this version reads 4; start `swell orchestrator` on the folder once to bring it up to date"
        ],
    );
    connection.pragma_update(None, "application_id", 1).unwrap();
    fault(
        Store::open(dir.path()).unwrap_err(),
        expect![
            "DIR/swell.db cannot be read: it belongs to another program; restore it from a copy, or move it away to begin with an empty one"
        ],
    );
    drop(connection);

    std::fs::write(&database, "not a database, but long enough to be looked at as one".repeat(20)).unwrap();
    fault(
        Store::open(dir.path()).unwrap_err(),
        expect![
            "DIR/swell.db cannot be read: file is not a database; restore it from a copy, or move it away to begin with an empty one"
        ],
    );
}
