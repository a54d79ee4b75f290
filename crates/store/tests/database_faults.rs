//! Killed collectors, killed servers, full disks and old versions: raw events are stored each once, or not and then said so.
//!
//! Tests that need to mount a file system say so and pass where they may not.

#![allow(clippy::unwrap_used, reason = "fails where it fails")]

mod disk;
mod raw;
mod server;

use std::os::unix::fs::{MetadataExt as _, chown};
use std::process::{Command, Stdio};
use std::time::Duration;

use disk::SmallDisk;
use raw::{batch, span};
use server::address;
use store::postgres::{self, Events, Fault, Setup};
use store::{Error, EventStore};
use xtask::services::Postgres;

const RUNS: [&str; 2] = ["run-1", "../run 2"];
const ROWS: i64 = 2_000;

/// What span `number` brings: some batches of two runs, of a size that takes a while to store.
fn brought(number: i64) -> Vec<events::Batch> {
    let first = u64::try_from(number).unwrap() * 3;
    (first..first + 3).map(|number| batch(RUNS[usize::from(number % 3 == 1)], "d1", number, ROWS)).collect()
}

/// Names the database to the process that [`killed_at_any_time`] kills.
const VICTIM: &str = "DATABASE_TEST_VICTIM";

/// Not a test of its own: the process that is killed. It outlives its database, as a collector does.
#[test]
fn victim() {
    let Ok(url) = std::env::var(VICTIM) else { return };
    let wait = || std::thread::sleep(Duration::from_millis(10));
    let mut events = loop {
        match Events::open(&address(&url), "victim") {
            Ok(events) => break events,
            Err(_) => wait(),
        }
    };
    loop {
        let claimed = events.claim("c/t", 1).unwrap_or_default();
        let mut position = claimed.first().map(|claimed| claimed.next_offset);
        while let Some(from) = position {
            let number = from.unwrap_or(0);
            let stored = events.store(&[span(0, from, number + 1)], &brought(number));
            position = stored.is_ok().then_some(Some(number + 1));
        }
        wait();
    }
}

/// Every batch before the position is there, each once, and nothing else is. Says the position.
fn each_once(server: &Postgres, database: &str) -> i64 {
    let position = server.sql(database, "SELECT coalesce(max(next_offset), 0) FROM ingest_offset").unwrap();
    let position: i64 = position.parse().unwrap();
    let batches = position * 3;
    // The number of its batch is in each row.
    let rows = "SELECT count(*), count(DISTINCT bytes_out), min(rows), max(rows), coalesce(max(bytes_out) + 1, 0) FROM \
                (SELECT bytes_out, count(*) AS rows FROM perf_results GROUP BY bytes_out, test_run_id) AS batches";
    let ledger = "SELECT count(*), coalesce(max(number) + 1, 0) FROM ingest_batch";
    let expected = match batches {
        0 => "0|0|||0".to_owned(),
        _ => format!("{batches}|{batches}|{ROWS}|{ROWS}|{batches}"),
    };
    assert_eq!(server.sql(database, rows).unwrap(), expected);
    assert_eq!(server.sql(database, ledger).unwrap(), format!("{batches}|{batches}"));
    position
}

/// A collector killed at a random time, and each fifth time its server: whole spans are left, those up to the position.
#[test]
fn killed_at_any_time() {
    let mut server = Postgres::start().unwrap();
    let database = server.new_database().unwrap();
    let url = server.url(&database);
    postgres::init(&address(&url), &Setup::default()).unwrap();
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut stored = 0;
    for kill in 1..=40 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "victim"])
            .env(VICTIM, &url)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(random.u64(40_000..200_000)));
        if kill % 5 == 0 {
            server.kill().unwrap();
            server.restart().unwrap();
            std::thread::sleep(Duration::from_micros(random.u64(0..200_000)));
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
        // Of what it said last the server may not have heard the end yet; then its lease is ended as time would.
        let gone = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'groundswell'";
        while server.sql(&database, gone).unwrap() != "0" {
            std::thread::sleep(Duration::from_millis(5));
        }
        server.sql(&database, "DELETE FROM ingest_collector; UPDATE ingest_offset SET owner = NULL").unwrap();
        let now = each_once(&server, &database);
        assert!(now >= stored || kill % 5 == 0, "only a killed server forgets; seed {seed}");
        stored = now;
    }
    assert!(stored > 0, "the victim was always killed before it stored; seed {seed}");
}

/// The span that met the full disk is taken whole when there is room again.
#[test]
fn a_full_disk_loses_nothing() {
    let Some(disk) = SmallDisk::new("32m") else { return };
    let server = Postgres::start().unwrap();
    let owner = server.data_folder().metadata().unwrap();
    chown(disk.path(), Some(owner.uid()), Some(owner.gid())).unwrap();
    let place = disk.path().display();
    server.sql("postgres", &format!("CREATE TABLESPACE small LOCATION '{place}'")).unwrap();
    server.sql("postgres", "CREATE DATABASE small TABLESPACE small").unwrap();
    let address = address(&server.url("small"));
    postgres::init(&address, &Setup::default()).unwrap();
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 10 << 20]).unwrap();

    let mut events = Events::open(&address, "test").unwrap();
    let mut from = events.claim("c/t", 1).unwrap()[0].next_offset;
    let mut refused = 0;
    for number in 0..1_000 {
        if let Err(error) = events.store(&[span(0, from, number + 1)], &brought(number)) {
            assert!(matches!(error, Error::Postgres(Fault::Full { .. })) && error.is_temporary(), "{error}");
            assert!(error.to_string().contains("has no space left: could not extend file"), "{error}");
            assert_eq!(events.claim("c/t", 1).unwrap()[0].next_offset, from);
            assert_eq!(Some(each_once(&server, "small")), from);
            refused += 1;
            if refused > 1 {
                break;
            }
            std::fs::remove_file(&ballast).unwrap();
            let stored = events.store(&[span(0, from, number + 1)], &brought(number)).unwrap();
            assert_eq!(stored.rows, 3 * ROWS.cast_unsigned());
        }
        from = Some(number + 1);
    }
    assert_eq!(refused, 2, "the disk was never full");
    assert_eq!(Some(each_once(&server, "small")), from);
}

/// What the server says of itself is asked by functions, of which others are found first here.
#[test]
fn an_old_server_is_refused() {
    let (name, address) = server::database();
    let old = format!(
        "CREATE SCHEMA old; \
         CREATE FUNCTION old.current_setting(TEXT) RETURNS TEXT LANGUAGE SQL AS $$ SELECT '130011' $$; \
         CREATE FUNCTION old.version() RETURNS TEXT LANGUAGE SQL AS $$ SELECT 'PostgreSQL 13.11 on nothing' $$; \
         ALTER DATABASE {name} SET search_path = old, pg_catalog"
    );
    server::server().sql(&name, &old).unwrap();
    let refused = postgres::init(&address, &Setup::default()).unwrap_err();
    assert!(matches!(refused, Error::Postgres(Fault::TooOld { .. })), "{refused}");
    let said = refused.to_string();
    assert!(said.ends_with("is PostgreSQL 13.11; this program needs 14 or later"), "{said}");
    assert!(!refused.is_temporary());
}
