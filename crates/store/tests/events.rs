//! Raw events in a data folder: each once, in files that anybody reads.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod raw;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use expect_test::expect;
use parquet::file::reader::{FileReader, SerializedFileReader};
use raw::{batch, folder, loose, number_of, rows_of, span};
use store::{Claimed, Error, EventRows, EventStore, Events, Poison, Reader, Store, Stored, event_files};

const RUN: &str = "run-1";

fn stored(rows: u64, duplicates: u64) -> Stored {
    Stored { rows, duplicates }
}

#[test]
fn what_is_stored_is_there_each_once_and_after_a_restart() {
    let (dir, mut events) = folder();
    assert_eq!(
        events.claim("c/t", 2).unwrap(),
        [0, 1].map(|partition| Claimed { partition, next_offset: None })
    );
    let batches = [batch(RUN, "d1", 0, 100), batch(RUN, "d2", 0, 50), batch("other", "d1", 0, 7)];
    assert_eq!(events.store(&[span(0, None, 3)], &batches).unwrap(), stored(157, 0));
    // The same come again, in part twice in one call, from another partition.
    let again = [batch(RUN, "d1", 0, 100), batch(RUN, "d1", 1, 10), batch(RUN, "d1", 1, 10)];
    assert_eq!(events.store(&[span(1, None, 9)], &again).unwrap(), stored(10, 110));
    drop(events);

    let mut events = Events::open(dir.path()).unwrap();
    assert_eq!(events.store(&[span(0, Some(3), 4)], &batches).unwrap(), stored(0, 157));
    let claimed = events.claim("c/t", 3).unwrap();
    assert_eq!(
        claimed.iter().map(|claimed| claimed.next_offset).collect::<Vec<_>>(),
        [Some(4), Some(9), None]
    );
    assert_eq!(events.claim("c/t made anew", 1).unwrap()[0].next_offset, None);
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!([RUN, "other", "none"].map(|run| reader.events_stored(run).unwrap()), [160, 7, 0]);
    assert_eq!(rows_of(dir.path(), RUN), 160);
    assert_eq!(rows_of(dir.path(), "other"), 7);
    assert_eq!(event_files(dir.path(), RUN).unwrap().len(), 2, "what was there before makes no file");
}

#[test]
fn a_batch_of_another_life_of_the_worker_is_another_batch() {
    let (dir, mut events) = folder();
    let first = batch(RUN, "d1", 0, 10);
    let mut second = first.clone();
    second.identity.as_mut().unwrap().incarnation = uuid::Uuid::from_u128(9);
    assert_eq!(events.store(&[span(0, None, 1)], &[first, second]).unwrap(), stored(20, 0));
    assert_eq!(rows_of(dir.path(), RUN), 20);
}

#[test]
fn rows_without_an_identity_are_stored_as_often_as_they_come() {
    let (dir, mut events) = folder();
    for _ in 0..2 {
        assert_eq!(events.store_loose(&[loose(RUN, "w", 5), loose(RUN, "w", 5)]).unwrap(), stored(10, 0));
    }
    assert_eq!(events.store_loose(&[loose(RUN, "w", 0)]).unwrap(), stored(0, 0));
    assert_eq!(rows_of(dir.path(), RUN), 20);
    assert_eq!(Reader::open(dir.path()).unwrap().events_stored(RUN).unwrap(), 0);
}

#[test]
fn a_span_from_elsewhere_is_refused_and_stores_nothing() {
    let (dir, mut events) = folder();
    events.store(&[span(0, None, 3)], &[batch(RUN, "d1", 0, 10)]).unwrap();
    for from in [None, Some(2), Some(4)] {
        let refused = events.store(&[span(0, from, 9)], &[batch(RUN, "d1", 1, 10)]).unwrap_err();
        assert!(matches!(refused, Error::Moved { found: Some(3), .. }), "{refused}");
    }
    let poison = Poison { offset: 5, reason: "no batch".to_owned(), value: vec![1, 2] };
    assert!(matches!(events.set_aside(&span(0, Some(7), 9), &poison).unwrap_err(), Error::Moved { .. }));
    assert_eq!(rows_of(dir.path(), RUN), 10);
    assert_eq!(std::fs::read_dir(dir.path().join("incoming")).unwrap().count(), 0);
}

#[test]
fn poison_is_set_aside_and_the_rest_goes_on() {
    let (dir, mut events) = folder();
    let poison = Poison { offset: 4, reason: "no batch".to_owned(), value: b"junk".to_vec() };
    events.set_aside(&span(0, None, 5), &poison).unwrap();
    events.store(&[span(0, Some(5), 6)], &[batch(RUN, "d1", 0, 10)]).unwrap();
    let connection = rusqlite::Connection::open(dir.path().join("swell.db")).unwrap();
    let kept: (i64, String, Vec<u8>) = connection
        .query_row("SELECT record_offset, reason, bytes FROM ingest_poison", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(kept, (4, "no batch".to_owned(), b"junk".to_vec()));
}

#[test]
fn a_file_says_what_it_holds_in_plain_types() {
    let (dir, mut events) = folder();
    events.store_loose(&[batch("ü/..", "d1", 0, 3)]).unwrap();
    let files = event_files(dir.path(), "ü/..").unwrap();
    let shown = files[0].strip_prefix(dir.path()).unwrap().display().to_string();
    assert_eq!(shown, "runs/%C3%BC%2F../events-00000001.parquet");
    let file = SerializedFileReader::new(std::fs::File::open(&files[0]).unwrap()).unwrap();
    let metadata = file.metadata().file_metadata();
    let mut text = Vec::new();
    parquet::schema::printer::print_schema(&mut text, metadata.schema());
    expect![[r#"
        message arrow_schema {
          REQUIRED INT64 timestamp (TIMESTAMP(MICROS,true));
          REQUIRED BYTE_ARRAY test_run_id (STRING);
          REQUIRED BYTE_ARRAY worker_id (STRING);
          REQUIRED BYTE_ARRAY endpoint (STRING);
          REQUIRED INT32 latency_ms;
          OPTIONAL INT32 status_code;
          REQUIRED INT64 response_time_us;
          OPTIONAL INT64 service_time_us;
          OPTIONAL INT64 send_lag_us;
          OPTIONAL INT32 bytes_in;
          OPTIONAL INT32 bytes_out;
          OPTIONAL BYTE_ARRAY error (STRING);
          OPTIONAL INT64 connection_wait_us;
          OPTIONAL BYTE_ARRAY stage (STRING);
        }
    "#]]
    .assert_eq(&String::from_utf8(text).unwrap());
    let said = metadata.key_value_metadata().unwrap().iter();
    let said: Vec<_> = said.map(|said| (said.key.as_str(), said.value.as_deref().unwrap())).collect();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        said,
        [("groundswell.run", "ü/.."), ("groundswell.version", version), ("groundswell.schema_version", "1")]
    );
}

#[test]
fn rows_come_back_as_they_were() {
    let (dir, mut events) = folder();
    events.store_loose(&[batch(RUN, "d7", 3, 4)]).unwrap();
    let rows = EventRows::of(event_files(dir.path(), RUN).unwrap()).next().unwrap().unwrap();
    assert_eq!(rows.schema(), store::perf_results());
    let texts = |name: &str| {
        rows[name].as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(texts("worker_id"), vec![Some("d7".to_owned()); 4]);
    assert_eq!(texts("error"), [None, Some("status: 503".to_owned()), None, Some("status: 503".to_owned())]);
    assert_eq!(texts("stage"), [Some("hold".to_owned()), None, Some("hold".to_owned()), None]);
    let response: Vec<_> = rows["response_time_us"].as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(response, [499, 1_499, 2_500, 5_000_000_000_000]);
    let latency: Vec<_> = rows["latency_ms"].as_primitive::<Int32Type>().values().to_vec();
    assert_eq!(latency, [0, 1, 3, i32::MAX], "rounded, and never wrapped");
    assert_eq!(number_of(&rows), [3]);
}

#[test]
fn one_process_writes_runs_and_events_and_has_one_collector() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(matches!(Events::open(dir.path()).unwrap_err(), Error::InUse { .. }));
    let mut events = store.events("c").unwrap();
    let Err(refused) = store.events("c") else { panic!("two write the events of a folder") };
    assert!(refused.to_string().contains("in use by another collector of this process"), "{refused}");
    drop(store);
    events.store_loose(&[loose(RUN, "w", 5)]).unwrap();
    assert!(
        matches!(Store::open(dir.path()).unwrap_err(), Error::InUse { .. }),
        "the lock lasts as long as either"
    );
    drop(events);
    Store::open(dir.path()).unwrap();
}

#[test]
fn a_damaged_file_is_named() {
    let (dir, mut events) = folder();
    events.store_loose(&[loose(RUN, "w", 5)]).unwrap();
    let files = event_files(dir.path(), RUN).unwrap();
    std::fs::write(&files[0], b"PAR1 no more").unwrap();
    let mut rows = EventRows::of(files);
    let refused = rows.next().unwrap().unwrap_err().to_string();
    assert!(refused.contains("events-00000001.parquet cannot be read"), "{refused}");
    assert!(rows.next().is_none());
}
