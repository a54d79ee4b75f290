//! Killed processes, full disks and left-over files: raw events are stored each once, or not and then said so.
//!
//! Tests that need to mount a file system say so and pass where they may not.

#![allow(clippy::unwrap_used, reason = "fails where it fails")]

mod disk;
mod raw;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use disk::SmallDisk;
use raw::{batch, folder, number_of, rows_of, span};
use store::{Error, EventRows, EventStore, Events, Reader, event_files};

const RUNS: [&str; 2] = ["run-1", "../run 2"];

/// What span `number` of the victim brings: some batches of two runs, of a size that takes a while to write.
fn brought(number: i64) -> Vec<events::Batch> {
    let first = u64::try_from(number).unwrap() * 3;
    (first..first + 3).map(|number| batch(RUNS[usize::from(number % 3 == 1)], "d1", number, 4_000)).collect()
}

/// Names the data folder to the process that [`killed_at_any_time`] kills.
const VICTIM: &str = "EVENTS_TEST_VICTIM";

/// Not a test of its own: the process that is killed.
#[test]
fn victim() {
    let Some(dir) = std::env::var_os(VICTIM) else { return };
    let mut events = Events::open(Path::new(&dir)).unwrap();
    let mut from = events.claim("c/t", 1).unwrap()[0].next_offset;
    for number in from.unwrap_or(0).. {
        events.store(&[span(0, from, number + 1)], &brought(number)).unwrap();
        from = Some(number + 1);
    }
}

/// Every batch before the position is in the files, each once, and nothing else is.
fn assert_each_once(dir: &Path) -> i64 {
    let mut events = Events::open(dir).unwrap();
    let position = events.claim("c/t", 1).unwrap()[0].next_offset.unwrap_or(0);
    for (at, run) in RUNS.iter().enumerate() {
        let mut found = Vec::new();
        for rows in EventRows::of(event_files(dir, run).unwrap()) {
            let rows = rows.unwrap();
            found.extend(number_of(&rows).into_iter().map(|number| (number, rows.num_rows())));
        }
        let numbers: BTreeSet<i32> = found.iter().map(|(number, _)| *number).collect();
        let expected: BTreeSet<i32> = (0..i32::try_from(position).unwrap() * 3)
            .filter(|number| usize::from(number % 3 == 1) == at)
            .collect();
        assert_eq!(numbers, expected, "of {run} up to {position}");
        let rows = rows_of(dir, run);
        assert_eq!(rows, expected.len() * 4_000, "of {run} up to {position}");
        let counted = Reader::open(dir).unwrap().events_stored(run).unwrap();
        assert_eq!(counted, u64::try_from(rows).unwrap(), "of {run}");
    }
    assert_eq!(fs::read_dir(dir.join("incoming")).unwrap().count(), 0, "nothing is left over");
    position
}

/// A process killed at a random time leaves whole spans: those up to the position.
#[test]
fn killed_at_any_time() {
    let (dir, events) = folder();
    drop(events);
    let seed = 5;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut stored = 0;
    for _ in 0..40 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "victim"])
            .env(VICTIM, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_micros(random.u64(20_000..90_000)));
        victim.kill().unwrap();
        victim.wait().unwrap();
        stored = assert_each_once(dir.path());
    }
    assert!(stored > 0, "the victim was always killed before it wrote; seed {seed}");
    let connection = rusqlite::Connection::open(dir.path().join("swell.db")).unwrap();
    let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

/// The state after each step of a commit, made by hand: a crash there is mended by the next start.
#[test]
fn a_crash_after_any_step_of_a_commit_is_mended() {
    let (dir, mut events) = folder();
    events.store(&[span(0, None, 1)], &brought(0)).unwrap();
    drop(events);
    let incoming = dir.path().join("incoming");

    // While a file is written, and once it is: it has no row.
    fs::write(incoming.join("events-00000003.parquet.tmp"), b"PAR1 torn").unwrap();
    let whole = event_files(dir.path(), RUNS[0]).unwrap().remove(0);
    fs::copy(&whole, incoming.join("events-00000004.parquet.tmp")).unwrap();
    assert_eq!(assert_each_once(dir.path()), 1);

    // Committed, and not renamed; the run's folder was lost with the power.
    let name = whole.file_name().unwrap().to_str().unwrap();
    fs::rename(&whole, incoming.join(format!("{name}.tmp"))).unwrap();
    fs::remove_dir(whole.parent().unwrap()).unwrap();
    assert_eq!(rows_of(dir.path(), RUNS[0]), 0, "what is not renamed is seen by nobody");
    assert_eq!(assert_each_once(dir.path()), 1);

    // What is none of ours stays.
    fs::write(incoming.join("notes.txt"), b"mine").unwrap();
    drop(Events::open(dir.path()).unwrap());
    assert!(incoming.join("notes.txt").exists());
}

#[test]
fn a_number_is_never_used_twice() {
    let (dir, events) = folder();
    drop(events);
    fs::write(dir.path().join("incoming/events-00000007.parquet.tmp"), b"torn").unwrap();
    let mut events = Events::open(dir.path()).unwrap();
    events.store(&[span(0, None, 1)], &[batch(RUNS[0], "d1", 0, 5)]).unwrap();
    assert!(event_files(dir.path(), RUNS[0]).unwrap()[0].ends_with("events-00000008.parquet"));
}

/// The span that met the full disk is taken whole when there is room again.
#[test]
fn a_full_disk_loses_nothing_and_leaves_no_half_file() {
    let Some(disk) = SmallDisk::new("3m") else { return };
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let data = disk.path().join("data");
    let mut events = Events::open(&data).unwrap();
    let mut from = None;
    let mut refused = 0;
    for number in 0..10_000 {
        let stored = events.store(&[span(0, from, number + 1)], &brought(number));
        if let Err(error) = stored {
            assert!(matches!(error, Error::Full { .. }) && error.is_temporary(), "{error}");
            assert_eq!(fs::read_dir(data.join("incoming")).unwrap().count(), 0);
            assert_eq!(events.claim("c/t", 1).unwrap()[0].next_offset, from);
            refused += 1;
            if refused > 1 {
                break;
            }
            fs::remove_file(&ballast).unwrap();
            assert_eq!(events.store(&[span(0, from, number + 1)], &brought(number)).unwrap().rows, 12_000);
        }
        from = Some(number + 1);
    }
    assert_eq!(refused, 2, "the disk was never full");
    drop(events);
    fs::remove_file(ballast).unwrap_or_default();
    assert_eq!(Some(assert_each_once(&data)), from);
}
