//! What is particular to a store that several processes share: what SQL finds in it, whose a run is, connections that end.

#![allow(clippy::unwrap_used, reason = "fails where it fails")]

mod fixture;
mod server;

use fixture::{RUN, batch, delivery, merged, reports, run, window};
use server::{database, server};
use store::postgres::{self, Prune, Setup};
use store::{Error, Location, RunRow, Store};

const PLAN: &str = "version: 1
name: checkout
target: http://127.0.0.1:1
load: { model: open, stages: [{ name: warm, at: 10/s, for: 5s, warmup: true }, { name: hold, at: 10/s, for: 5s }] }
scenarios: { s: { steps: [{ group: buy, steps: [{ get: /a }, { get: /b }] }] } }
";

fn started(run_id: &str) -> RunRow {
    RunRow { plan_source: PLAN.to_owned(), started_ms: Some(60_000), ..run(run_id, 1_000) }
}

/// A store with the run [`RUN`]: the name of its database, where it is, and itself.
fn shared() -> (String, Location, Store) {
    let (name, address) = database();
    postgres::init(&address, &Setup::default()).unwrap();
    let location = Location::from(&address);
    let mut store = Store::open(&location).unwrap();
    store.create_run(&started(RUN)).unwrap();
    (name, location, store)
}

#[test]
fn sql_finds_what_was_measured() {
    plan::parse("p", PLAN).unwrap();
    let (name, _, mut store) = shared();
    let reports = reports(&mut fastrand::Rng::with_seed(3), 2, 130, 2);
    for part in reports.chunks(60) {
        store.ingest(&batch(part.to_vec())).unwrap();
    }
    let ended = RunRow { ended_ms: Some(200_000), ..started(RUN) };
    store.update_run(&ended).unwrap();
    let all = merged(&reports);
    let step = &all.steps[&(plan::StageId(1), plan::StepId(0))];
    let sql = |text: &str| server().sql(&name, &format!("SET TimeZone = 'UTC'; {text}")).unwrap();

    let sums = format!("{}|{}|{}", step.succeeded() + step.failures(), step.failures(), step.bytes_in);
    for table in ["run_windows", "run_minutes", "run_totals"] {
        let text = format!(
            "SELECT sum(requests), sum(failed), sum(bytes_in) FROM {table} WHERE endpoint = 'GET /a' AND stage = 'hold'"
        );
        assert_eq!(sql(&text), sums, "{table}");
        let mut times = step.ok.response.clone();
        times.merge(&step.failed.response);
        let p95 = times.histogram().quantile(0.95).unwrap() as f64 / 1e6;
        let text = format!(
            "SELECT swell.percentile(swell.merge(swell.histogram(response_time_bins, response_time_counts)), 0.95) \
             FROM {table} WHERE endpoint = 'GET /a' AND stage = 'hold'"
        );
        assert_eq!(sql(&text).parse::<f64>().unwrap(), p95, "{table}");
    }
    assert_eq!(sql("SELECT count(*) FROM run_totals"), all.steps.len().to_string());
    assert_eq!(
        sql("SELECT DISTINCT second, timestamp FROM run_minutes ORDER BY 1"),
        "0|1970-01-01 00:01:00+00\n60|1970-01-01 00:02:00+00\n120|1970-01-01 00:03:00+00"
    );
    assert_eq!(sql("SELECT DISTINCT is_warmup FROM run_windows WHERE stage = 'warm'"), "t");
    let requests: u64 = all.steps.values().map(|step| step.succeeded() + step.failures()).sum();
    assert_eq!(sql("SELECT sum(requests) FROM run_seconds"), requests.to_string());
    let failed: u64 = all.steps.values().map(|step| step.failures()).sum();
    assert_eq!(sql("SELECT error, sum(count) FROM run_errors GROUP BY 1"), format!("status: 503|{failed}"));
    let started: u64 = all.stages.values().map(|stage| stage.started).sum();
    assert_eq!(sql("SELECT sum(started), sum(missed_ours) > 0 FROM run_iterations"), format!("{started}|t"));
    let sent: u64 = all.drivers.values().map(|driver| driver.requests_sent).sum();
    assert_eq!(sql("SELECT sum(requests_sent), max(cpu_percent) > 0 FROM run_drivers"), format!("{sent}|t"));
    // Who reports no window tells no memory.
    let told = "SELECT count(*) > 0, min(memory_bytes) >= 10000000 FROM run_drivers WHERE second IS NOT NULL";
    assert_eq!(sql(told), "t|t");
    assert_eq!(sql("SELECT count(memory_bytes) FROM run_drivers WHERE second IS NULL"), "0");
    let mut least = u64::MAX;
    let each = |driver: &store::DriverSecond| least = least.min(driver.memory_bytes);
    store.reader().unwrap().driver_seconds(RUN, each).unwrap();
    assert!(least >= 10_000_000, "{least}");
    assert_eq!(sql("SELECT started_at FROM runs"), "1970-01-01 00:01:00+00");
    assert_eq!(store.reader().unwrap().run(RUN).unwrap(), Some(ended));
}

#[test]
fn each_run_has_one_that_writes_it() {
    let (_, location, mut first) = shared();
    let mut second = Store::open(&location).unwrap();
    assert!(first.take_run(RUN).unwrap());
    assert!(!second.take_run(RUN).unwrap());
    let refused = second.update_run(&started(RUN)).unwrap_err().to_string();
    assert!(
        refused.contains("run run-1 in") && refused.contains("groundswell on 127.0.0.1, session"),
        "{refused}"
    );
    assert!(matches!(second.ingest(&batch(Vec::new())), Err(Error::Postgres(_))));
    second.create_run(&started("own")).unwrap();
    assert!(second.take_run("own").unwrap());
    assert!(!first.take_run("own").unwrap());
    let ended = RunRow { ended_ms: Some(2), ..started(RUN) };
    first.update_run(&ended).unwrap();
    assert!(second.take_run(RUN).unwrap());
    drop(second);
    assert!(first.take_run("own").unwrap() || wait_for(|| first.take_run("own").unwrap()));
}

/// The server notices in its own time that a client has gone.
fn wait_for(mut done: impl FnMut() -> bool) -> bool {
    (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        done()
    })
}

#[test]
fn a_connection_that_ended_is_made_anew() {
    let (name, location, mut store) = shared();
    let end = format!(
        "SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    );
    let reader = store.reader().unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let report = vec![delivery("d1", 0, 0, window(&mut random, 0, 2, 10))];
    for _ in 0..3 {
        assert_eq!(server().sql(&name, &end).unwrap(), "t");
        store.ingest(&batch(report.clone())).unwrap();
        assert_eq!(reader.load(RUN).unwrap(), merged(&report));
    }
    // Its runs are still its own.
    let mut other = Store::open(&location).unwrap();
    assert!(!other.take_run(RUN).unwrap());
}

#[test]
fn old_runs_are_dropped_with_all_they_have() {
    let (name, location, mut store) = shared();
    store.ingest(&batch(reports(&mut fastrand::Rng::with_seed(3), 2, 3, 2))).unwrap();
    store.update_run(&RunRow { ended_ms: Some(2), ..started(RUN) }).unwrap();
    store.create_run(&started("running")).unwrap();
    store.update_run(&RunRow { state: "running".to_owned(), ..started("running") }).unwrap();
    let Location::Postgres(address) = &location else { panic!("{location}") };
    let mut dropped = Vec::new();
    let old = Prune::OlderThan(std::time::Duration::from_secs(3600));
    postgres::prune(address, old, |run| dropped.push(run.to_owned())).unwrap();
    assert_eq!(dropped, [RUN]);
    let sql = |text: &str| server().sql(&name, text).unwrap();
    assert_eq!(sql("SELECT test_run_id FROM runs"), "running");
    for table in ["run_windows", "run_totals", "run_minutes", "run_drivers", "report_source", "report_ledger"]
    {
        assert_eq!(sql(&format!("SELECT count(*) FROM {table}")), "0", "{table}");
    }
    dropped.clear();
    postgres::prune(address, Prune::Keep(0), |run| dropped.push(run.to_owned())).unwrap();
    assert_eq!(dropped, Vec::<String>::new(), "a run that is on stays");
}
