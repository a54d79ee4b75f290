//! The same run in both kinds of store gives the same files.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod run;

use arrow_array::RecordBatch;
use query::{Form, Table};
use run::{RUN, fill, folder, recorded};
use store::postgres::{self, Address, Setup};
use store::{Location, Reader, Store, event_rows};
use xtask::services::Postgres;

/// More rows than are held at once, of a name that must be quoted.
const LONG: &str = "it's a \\ long run";

/// Bytes of what a sink makes of rows.
fn written(form: Form, schema: &arrow_schema::SchemaRef, rows: &[RecordBatch]) -> Vec<u8> {
    let mut to = Vec::new();
    let mut sink = query::sink(form, schema, RUN, &mut to).unwrap();
    rows.iter().for_each(|rows| sink.write(rows).unwrap());
    sink.finish().unwrap();
    drop(sink);
    to
}

fn events(location: &Location, run_id: &str) -> Vec<RecordBatch> {
    event_rows(location, run_id).unwrap().map(Result::unwrap).collect()
}

/// Stores thousands of rows at once.
fn record(store: &Location, run_id: &str, thousands: u64) {
    let batches: Vec<_> = (0..thousands).map(|number| recorded(run_id, number, 1_000)).collect();
    store::open_events(store, "test").unwrap().store_loose(&batches).unwrap();
}

#[test]
fn a_folder_and_a_database_give_the_same_rows() {
    let server = Postgres::start().unwrap();
    let database = server.new_database().unwrap();
    let address = Address::parse(&server.url(&database), &|_| None).unwrap();
    postgres::init(&address, &Setup::default()).unwrap();
    let dir = folder();
    let stores = [Location::from(dir.path()), Location::from(&address)];
    fill(&mut Store::open(&stores[1]).unwrap());
    for store in &stores {
        record(store, LONG, 20);
    }

    for (run_id, count) in [(RUN, 400), (LONG, 20_000), ("unknown", 0)] {
        let [ours, theirs] = stores.each_ref().map(|store| events(store, run_id));
        assert_eq!(theirs.iter().map(RecordBatch::num_rows).sum::<usize>(), count);
        for form in [Form::Csv, Form::Jtl, Form::Json, Form::Ndjson, Form::Parquet] {
            let bytes = [&ours, &theirs].map(|rows| written(form, &store::perf_results(), rows));
            assert!(bytes[0] == bytes[1], "{run_id} as {form:?} differs");
        }
    }
    let readers = stores.each_ref().map(|store| Reader::open(store).unwrap());
    for table in
        [Table::Runs, Table::Events, Table::Windows, Table::Iterations, Table::Errors, Table::Drivers]
    {
        let [ours, theirs] = readers.each_ref().map(|reader| {
            let mut rows = Vec::new();
            let each = |batch| {
                rows.push(batch);
                true
            };
            query::rows(reader, RUN, table, each).unwrap();
            String::from_utf8(written(Form::Ndjson, &table.schema(), &rows)).unwrap()
        });
        assert!(!ours.is_empty());
        assert_eq!(ours, theirs, "{table:?}");
    }

    others_wrote_less(&server, &database, &stores[1]);
    a_server_that_ends_is_no_end_of_rows(server, &database, &stores[1]);
}

/// Rows of other programs may have the six columns of old and nothing else.
fn others_wrote_less(server: &Postgres, database: &str, store: &Location) {
    let theirs = "CREATE TABLE theirs PARTITION OF perf_results FOR VALUES IN ('theirs'); \
                  INSERT INTO perf_results (timestamp, test_run_id, latency_ms) VALUES ('2026-03-01T12:10:22Z', 'theirs', 118)";
    server.sql(database, theirs).unwrap();
    let text = written(Form::Csv, &store::perf_results(), &events(store, "theirs"));
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().nth(1).unwrap(), "2026-03-01T12:10:22Z,theirs,,,118,,118000,,,,,,,");
}

fn a_server_that_ends_is_no_end_of_rows(mut server: Postgres, database: &str, store: &Location) {
    // More than the buffers between the two hold: Linux lets them grow to some 40 MB.
    record(store, "longer", 600);
    let mut rows = event_rows(store, "longer").unwrap();
    let first = rows.next().unwrap().unwrap();
    // Its process for this connection notices that the server has ended when it has to wait.
    let waits_for = "VALUES ((SELECT wait_event FROM pg_stat_activity WHERE query LIKE 'COPY%'))";
    while server.sql(database, waits_for).unwrap() != "ClientWrite" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    server.kill().unwrap();
    let mut found = first.num_rows();
    let fault = rows.find_map(|rows| rows.map(|rows| found += rows.num_rows()).err());
    assert!(found < 600_000, "all rows were on their way");
    assert!(fault.unwrap().to_string().contains("was lost"));
    assert!(rows.next().is_none());
}
