//! Full disks, killed processes and folders that cannot be written: nothing is lost, doubled or damaged.
//!
//! Tests that need to mount a file system say so and pass where they may not.

#![allow(clippy::unwrap_used, reason = "fails where it fails")]

mod disk;
mod fixture;

use std::path::Path;
use std::process::{Command, Stdio};

use disk::{SmallDisk, mount};
use fixture::{RUN, batch, delivery, merged, position, reports, run, store, window};
use metrics::Merged;
use store::{Batch, Error, Reader, Store};

/// F13: the batch that met the full disk is taken whole when there is room again.
#[test]
fn a_full_disk_loses_nothing() {
    let Some(disk) = SmallDisk::new("2m") else { return };
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 512 << 10]).unwrap();
    let data = disk.path().join("data");
    let mut store = Store::open(&data).unwrap();
    store.create_run(&run(RUN, 1)).unwrap();

    let mut random = fastrand::Rng::with_seed(7);
    let mut expected = Merged::new();
    let mut refused = 0;
    for second in 0..2_000 {
        let reports = vec![delivery("d1", u64::from(second), 0, window(&mut random, second, 4, 30))];
        let next = Batch { positions: vec![position(0, i64::from(second) + 1)], ..batch(reports) };
        let before = store.reader().unwrap().load(RUN).unwrap();
        assert_eq!(before, expected);
        if let Err(error) = store.ingest(&next) {
            assert!(matches!(error, Error::Full { .. }), "{error}");
            assert!(error.is_temporary());
            assert_eq!(store.reader().unwrap().load(RUN).unwrap(), before);
            assert_eq!(store.reader().unwrap().positions().unwrap(), [position(0, i64::from(second))]);
            refused += 1;
            if refused > 1 {
                break;
            }
            std::fs::remove_file(&ballast).unwrap();
            assert_eq!(store.ingest(&next).unwrap().fresh_count(), 1);
        }
        expected.merge(&merged(&next.deliveries));
    }
    assert_eq!(refused, 2, "the disk was never full");
    drop(store);
    assert_eq!(Reader::open(&data).unwrap().load(RUN).unwrap(), expected);
}

#[test]
fn a_folder_that_cannot_be_written_can_be_read() {
    let Some(disk) = SmallDisk::new("4m") else { return };
    let mut store = Store::open(disk.path()).unwrap();
    store.create_run(&run(RUN, 1)).unwrap();
    let reports = reports(&mut fastrand::Rng::with_seed(1), 2, 3, 2);
    store.ingest(&batch(reports.clone())).unwrap();
    drop(store);
    assert!(mount(&["-o", "remount,ro"], disk.path()));
    assert_eq!(Reader::open(disk.path()).unwrap().load(RUN).unwrap(), merged(&reports));
    let refused = Store::open(disk.path()).unwrap_err();
    assert!(matches!(refused, Error::ReadOnly { .. }), "{refused}");
    assert!(refused.to_string().contains("cannot be written; make it writable"), "{refused}");
}

/// Names the data folder to the process that [`killed_at_any_time`] kills.
const VICTIM: &str = "STORE_TEST_VICTIM";

/// What the victim writes: second *n* comes as report *n*, with the position after it.
fn second_of_victim(second: u32) -> Batch {
    let mut random = fastrand::Rng::with_seed(u64::from(second));
    let reports = vec![delivery("d1", u64::from(second), 0, window(&mut random, second, 20, 50))];
    Batch { positions: vec![position(0, i64::from(second) + 1)], ..batch(reports) }
}

/// Not a test of its own: the process that is killed.
#[test]
fn victim() {
    let Some(dir) = std::env::var_os(VICTIM) else { return };
    let mut store = Store::open(Path::new(&dir)).unwrap();
    let next =
        store.reader().unwrap().positions().unwrap().first().map_or(0, |position| position.next_offset);
    for second in u32::try_from(next).unwrap().. {
        store.ingest(&second_of_victim(second)).unwrap();
        if second.is_multiple_of(16) {
            store.checkpoint(RUN).unwrap();
        }
    }
}

/// A process killed at a random time leaves whole batches: those up to the position that is stored with them.
#[test]
fn killed_at_any_time() {
    let (dir, store) = store();
    drop(store);
    let mut random = fastrand::Rng::with_seed(5);
    let mut stored = 0;
    for _ in 0..15 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "victim"])
            .env(VICTIM, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(random.u64(30..120)));
        victim.kill().unwrap();
        victim.wait().unwrap();

        let store = Store::open(dir.path()).unwrap();
        let reader = store.reader().unwrap();
        let next = reader.positions().unwrap().first().map_or(0, |position| position.next_offset);
        let mut expected = Merged::new();
        for second in 0..u32::try_from(next).unwrap() {
            expected.merge(&merged(&second_of_victim(second).deliveries));
        }
        assert_eq!(reader.load(RUN).unwrap(), expected);
        stored = next;
    }
    assert!(stored > 0, "the victim was always killed before it wrote");
    let connection = rusqlite::Connection::open(dir.path().join("swell.db")).unwrap();
    let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn a_damaged_row_is_said_and_not_fatal() {
    let (dir, mut store) = store();
    store.ingest(&batch(reports(&mut fastrand::Rng::with_seed(2), 1, 2, 2))).unwrap();
    let connection = rusqlite::Connection::open(dir.path().join("swell.db")).unwrap();
    connection.execute("UPDATE window SET measured = x'0102'", []).unwrap();
    let error = store.reader().unwrap().load(RUN).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}
