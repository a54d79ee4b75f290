//! Raw events in PostgreSQL: each once, whoever stores them and whatever breaks on the way.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod raw;
mod server;

use std::time::Duration;

use raw::{batch, loose, span};
use server::{database, server};
use store::postgres::{self, Address, Events, Prune, Setup};
use store::{Claimed, Error, EventStore, Peer, Poison, Stored};

const RUN: &str = "run's 1";

/// A database with our tables and a collector: the name of the database, its address, the collector.
fn shared() -> (String, Address, Events) {
    let (name, address) = database();
    postgres::init(&address, &Setup::default()).unwrap();
    let events = Events::open(&address, "first").unwrap();
    (name, address, events)
}

fn stored(rows: u64, duplicates: u64) -> Stored {
    Stored { rows, duplicates }
}

fn owned(claimed: &[Claimed]) -> Vec<i32> {
    claimed.iter().map(|claimed| claimed.partition).collect()
}

/// Rows and different batches of a run, as SQL counts them.
fn rows_of(name: &str, run: &str) -> String {
    let run = run.replace('\'', "''");
    let text = format!(
        "SELECT count(*), count(DISTINCT (worker_id, bytes_out)) FROM perf_results WHERE test_run_id = '{run}'"
    );
    server().sql(name, &text).unwrap()
}

#[test]
fn what_is_stored_is_there_each_once_and_after_a_restart() {
    let (name, address, mut events) = shared();
    let claimed = events.claim("c/t", 2).unwrap();
    assert_eq!(claimed, [0, 1].map(|partition| Claimed { partition, next_offset: None }));
    let batches = [batch(RUN, "d1", 0, 100), batch(RUN, "d2", 0, 50), batch("other", "d1", 0, 7)];
    assert_eq!(events.store(&[span(0, None, 3)], &batches).unwrap(), stored(157, 0));
    // The same come again, in part twice in one call, from another partition.
    let again = [batch(RUN, "d1", 0, 100), batch(RUN, "d1", 1, 10), batch(RUN, "d1", 1, 10)];
    assert_eq!(events.store(&[span(1, None, 9)], &again).unwrap(), stored(10, 110));
    events.release();
    drop(events);

    let mut events = Events::open(&address, "second").unwrap();
    let claimed = events.claim("c/t", 3).unwrap();
    assert_eq!(
        claimed.iter().map(|claimed| claimed.next_offset).collect::<Vec<_>>(),
        [Some(3), Some(9), None]
    );
    assert_eq!(events.store(&[span(0, Some(3), 4)], &batches).unwrap(), stored(0, 157));
    assert_eq!(events.claim("c/t made anew", 1).unwrap()[0].next_offset, None);
    let reader = store::Reader::open(&address).unwrap();
    assert_eq!([RUN, "other", "none"].map(|run| reader.events_stored(run).unwrap()), [160, 7, 0]);
    assert_eq!(rows_of(&name, RUN), "160|3");
    assert_eq!(rows_of(&name, "other"), "7|1");
    let tables = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'perf_results'::REGCLASS";
    assert_eq!(server().sql(&name, tables).unwrap(), "2", "a partition per run");
}

#[test]
fn rows_are_as_they_were() {
    let (name, _, mut events) = shared();
    assert_eq!(events.store_loose(&[loose(RUN, "d7", 4), loose(RUN, "d7", 0)]).unwrap(), stored(4, 0));
    let text = "SET TimeZone = 'UTC'; SELECT * FROM perf_results ORDER BY timestamp";
    let expected = "\
2026-03-01 12:10:22+00|run's 1|d7|GET /|0|200|499|400|9|1000|0||0|hold
2026-03-01 12:10:22.001+00|run's 1|d7|POST /cart|1|503|1499|400||1000|0|status: 503|0|
2026-03-01 12:10:22.002+00|run's 1|d7|GET /|3|200|2500|400|9|1000|0||0|hold
2026-03-01 12:10:22.003+00|run's 1|d7|POST /cart|2147483647|503|5000000000000|400||1000|0|status: 503|0|";
    assert_eq!(server().sql(&name, text).unwrap(), expected);
    // Without an identity rows come as often as they are sent.
    events.store_loose(&[loose(RUN, "d7", 4)]).unwrap();
    assert_eq!(rows_of(&name, RUN), "8|1");
}

#[test]
fn a_span_from_elsewhere_is_refused_and_stores_nothing() {
    let (name, _, mut events) = shared();
    let unclaimed = events.store(&[span(0, None, 3)], &[batch(RUN, "d1", 0, 10)]).unwrap_err();
    assert!(matches!(unclaimed, Error::Moved { .. }), "{unclaimed}");
    events.claim("c/t", 1).unwrap();
    events.store(&[span(0, None, 3)], &[batch(RUN, "d1", 0, 10)]).unwrap();
    let poison = Poison { offset: 5, reason: "no batch".to_owned(), value: b"junk".to_vec() };
    for from in [None, Some(2), Some(4)] {
        let refused = events.store(&[span(0, from, 9)], &[batch(RUN, "d1", 1, 10)]).unwrap_err();
        assert!(matches!(refused, Error::Moved { found: Some(3), .. }), "{refused}");
        assert!(matches!(events.set_aside(&span(0, from, 6), &poison).unwrap_err(), Error::Moved { .. }));
    }
    assert_eq!(rows_of(&name, RUN), "10|1");
    events.set_aside(&span(0, Some(3), 6), &poison).unwrap();
    let aside = "SELECT record_offset, reason, convert_from(value, 'UTF8') FROM ingest_poison";
    assert_eq!(server().sql(&name, aside).unwrap(), "5|no batch|junk");
    assert_eq!(events.claim("c/t", 1).unwrap()[0].next_offset, Some(6));

    let stranger = Poison { offset: 7, reason: "no JSON".to_owned(), value: b"{".to_vec() };
    // One call may carry several, and what one connection numbers another numbers, too.
    events.set_aside_loose("scribe/here perf", &stranger).unwrap();
    events.set_aside_loose("scribe/here perf", &stranger).unwrap();
    let aside = "SELECT topic, partition, record_offset, reason FROM ingest_poison WHERE record_offset = 7";
    assert_eq!(
        server().sql(&name, aside).unwrap(),
        "scribe/here perf|0|7|no JSON\nscribe/here perf|0|7|no JSON"
    );
}

#[test]
fn collectors_hear_of_each_other() {
    let (name, address, mut first) = shared();
    let mut second = Events::open(&address, "second").unwrap();
    let mut watcher = Events::open(&address, "watcher").unwrap();
    first.claim("c/t", 5).unwrap();
    second.claim("c/t", 5).unwrap();
    let standing = |name: &str, lag_ms| Peer {
        name: name.to_owned(),
        partitions: 3,
        rows: 1 << 40,
        lag_batches: 12,
        lag_ms,
        trouble: Some("it is slow".to_owned()),
    };
    let told = first.meet("c/t", &standing("first", 700)).unwrap();
    assert_eq!(told, [Peer { name: "second".to_owned(), ..Peer::default() }]);
    let told = second.meet("c/t", &standing("second", 900)).unwrap();
    let first_told = standing(&told[0].name, 700);
    assert_eq!(told, [first_told]);
    // Who has claimed nothing hears, and is not heard of.
    assert_eq!(watcher.meet("c/t", &Peer::default()).unwrap().len(), 2);
    assert_eq!(second.meet("c/t", &standing("second", 900)).unwrap().len(), 1);
    assert_eq!(watcher.meet("c/another", &Peer::default()).unwrap(), []);
    let later = "UPDATE ingest_collector SET alive_until = now() - INTERVAL '1 second' WHERE name = 'second'";
    server().sql(&name, later).unwrap();
    assert_eq!(first.meet("c/t", &standing("first", 700)).unwrap(), []);
}

#[test]
fn collectors_share_the_partitions_and_take_over() {
    let (name, address, mut first) = shared();
    assert_eq!(owned(&first.claim("c/t", 5).unwrap()), [0, 1, 2, 3, 4]);
    let mut second = Events::open(&address, "second").unwrap();
    assert_eq!(owned(&second.claim("c/t", 5).unwrap()), Vec::<i32>::new());
    let kept = owned(&first.claim("c/t", 5).unwrap());
    let taken = owned(&second.claim("c/t", 5).unwrap());
    assert_eq!([kept.len(), taken.len()], [3, 2]);
    let mut all: Vec<i32> = kept.iter().chain(&taken).copied().collect();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3, 4]);
    let refused = first.store(&[span(taken[0], None, 1)], &[batch(RUN, "d1", 0, 10)]).unwrap_err();
    assert!(matches!(refused, Error::Moved { .. }), "{refused}");
    second.store(&[span(taken[0], None, 1)], &[batch(RUN, "d1", 0, 10)]).unwrap();
    // The second vanishes: its leases end in the database's time, which is put forward here.
    let later = "UPDATE ingest_offset SET lease_until = now() - INTERVAL '1 second' WHERE owner = \
                 (SELECT collector FROM ingest_collector WHERE name = 'second'); \
                 UPDATE ingest_collector SET alive_until = now() - INTERVAL '1 second' WHERE name = 'second'";
    server().sql(&name, later).unwrap();
    let claimed = first.claim("c/t", 5).unwrap();
    assert_eq!(owned(&claimed), [0, 1, 2, 3, 4]);
    let at = claimed.iter().find(|claimed| claimed.partition == taken[0]).unwrap();
    assert_eq!(at.next_offset, Some(1));
    // It was only slow, and comes back with what it has in memory.
    let refused = second.store(&[span(taken[0], Some(1), 2)], &[batch(RUN, "d1", 1, 10)]).unwrap_err();
    assert!(matches!(refused, Error::Moved { .. }), "{refused}");
    first.store(&[span(taken[0], Some(1), 2)], &[batch(RUN, "d1", 1, 10)]).unwrap();
    assert_eq!(rows_of(&name, RUN), "20|2");
    first.release();
    assert_eq!(
        owned(&second.claim("c/t", 5).unwrap()),
        [0, 1, 2, 3, 4],
        "what was given back is taken at once"
    );
}

/// Connections that end anywhere in a transaction leave nothing twice and nothing out.
#[test]
fn connections_that_end_at_any_time() {
    let (name, _, mut events) = shared();
    let mut next = events.claim("c/t", 1).unwrap()[0].next_offset;
    let end = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = '{name}' AND application_name = 'groundswell'"
    );
    const BATCHES: u64 = 60;
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let mut ended = 0;
            let mut number = 0;
            while number < BATCHES {
                let at = i64::try_from(number).unwrap();
                // Half of each batch again, as a driver that did not hear of it would send it.
                let batches =
                    [batch(RUN, "d1", number, 4_000), batch(RUN, "d1", number.saturating_sub(1), 4_000)];
                match events.store(&[span(0, next, at + 1)], &batches) {
                    Ok(_) => {
                        next = Some(at + 1);
                        number += 1;
                    }
                    Err(_) => {
                        ended += 1;
                        // What was read is read again from where the store stands.
                        if let Ok(claimed) = events.claim("c/t", 1)
                            && let Some(claimed) = claimed.first()
                        {
                            next = claimed.next_offset;
                            number = u64::try_from(next.unwrap_or(0)).unwrap();
                        }
                    }
                }
            }
            ended
        });
        while !work.is_finished() {
            server().sql("postgres", &end).unwrap();
            std::thread::sleep(Duration::from_millis(15));
        }
        assert!(work.join().unwrap() > 0, "no connection ended in the middle");
    });
    assert_eq!(rows_of(&name, RUN), format!("{}|{BATCHES}", BATCHES * 4_000));
}

#[test]
fn a_run_that_was_dropped_gets_its_place_again() {
    let (name, address, mut events) = shared();
    events.store_loose(&[loose(RUN, "w", 5)]).unwrap();
    let run = "INSERT INTO runs (test_run_id, plan_name, state, loop_kind, created_at, drivers, plan_source) \
               VALUES ('run''s 1', '', 'finished', 'open', 'epoch', '{}', '')";
    server().sql(&name, run).unwrap();
    postgres::prune(&address, Prune::Keep(0), |_| ()).unwrap();
    assert_eq!(rows_of(&name, RUN), "0|0");
    assert!(events.store_loose(&[loose(RUN, "w", 5)]).is_err(), "its table is gone");
    events.store_loose(&[loose(RUN, "w", 5)]).unwrap();
    assert_eq!(rows_of(&name, RUN), "5|1");
}
