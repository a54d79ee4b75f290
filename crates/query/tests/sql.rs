//! Queries over a run of known numbers, and what is said of those that cannot be answered.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod run;

use std::sync::atomic::AtomicBool;

use expect_test::{Expect, expect};
use query::{Engine, Fault};
use run::{RUN, ask, folder};

fn check(sql: &str, expected: Expect) {
    expected.assert_eq(&ask(folder().path(), &[RUN], sql));
}

/// The queries that must run unchanged on every store.
#[test]
fn the_three_queries_run_as_they_are() {
    check(
        "SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) FROM perf_results WHERE test_run_id='benchmark_42';",
        expect![[r#"
            percentile_cont(Float64(0.95)) WITHIN GROUP [perf_results.latency_ms ASC NULLS LAST]
            ────────────────────────────────────────────────────────────────────────────────────
                                                                                      380.049999
        "#]],
    );
    check(
        "SELECT COUNT(*) FILTER (WHERE status_code >=500) * 1.0 / COUNT(*) FROM perf_results WHERE test_run_id='benchmark_42';",
        expect![[r#"
            count(*) FILTER (WHERE perf_results.status_code >= Int64(500)) * Float64(1) / count(*)
            ──────────────────────────────────────────────────────────────────────────────────────
                                                                                             0.125
        "#]],
    );
    check(
        "SELECT time_bucket('1 minute', timestamp) AS minute, COUNT(*) AS requests FROM perf_results GROUP BY minute ORDER BY minute;",
        expect![[r#"
            minute                requests
            ────────────────────  ────────
            2026-03-01T12:10:00Z       400
        "#]],
    );
}

#[test]
fn raw_events_by_all_their_columns() {
    check(
        "SELECT * FROM perf_results ORDER BY timestamp LIMIT 4",
        expect![[r#"
        timestamp                 test_run_id   worker_id  endpoint         latency_ms  status_code  response_time_us  service_time_us  send_lag_us  bytes_in  bytes_out  error        connection_wait_us  stage
        ────────────────────────  ────────────  ─────────  ───────────────  ──────────  ───────────  ────────────────  ───────────────  ───────────  ────────  ─────────  ───────────  ──────────────────  ─────
        2026-03-01T12:10:00Z      benchmark_42  d1         GET /                     1          200              1000              900           20       500        180  –                             0  warm
        2026-03-01T12:10:00.010Z  benchmark_42  d1         POST /cart, all           2          200              2000             1800           20       500        180  –                             0  warm
        2026-03-01T12:10:00.020Z  benchmark_42  d1         GET /                     3          200              3000             2700           20       500        180  –                             0  warm
        2026-03-01T12:10:00.030Z  benchmark_42  d1         POST /cart, all           4          503              4000             3600           20       500        180  status: 503                   0  warm
    "#]],
    );
    check(
        "SELECT endpoint, error, count(*) AS n, max(latency_ms) AS worst FROM perf_results GROUP BY endpoint, error ORDER BY 1, 2",
        expect![[r#"
            endpoint         error              n  worst
            ───────────────  ───────────────  ───  ─────
            GET /            –                200    399
            POST /cart, all  connect_refused   50    400
            POST /cart, all  status: 503       50    396
            POST /cart, all  –                100    398
        "#]],
    );
}

#[test]
fn windows_merge_as_in_postgresql() {
    check(
        "SELECT endpoint, sum(requests) AS requests, \
         swell.percentile(swell.merge(swell.histogram(response_time_bins, response_time_counts)), 0.95) AS p95_ms \
         FROM run_windows WHERE NOT is_warmup GROUP BY endpoint",
        expect![[r#"
            endpoint  requests     p95_ms
            ────────  ────────  ─────────
            GET /           66  99.975167
        "#]],
    );
    check(
        "SELECT second, swell.percentile(response_time_bins, response_time_counts, 0.5) AS p50_ms, failed, bytes_in, \
         response_time_max_us, service_time_sum_us, stage, kind FROM run_windows ORDER BY second",
        expect![[r#"
            second    p50_ms  failed  bytes_in  response_time_max_us  service_time_sum_us  stage  kind
            ──────  ────────  ──────  ────────  ────────────────────  ───────────────────  ─────  ────
                 0  5.998591       2     10000              100000.0              99000.0  warm   step
                 1  5.998591       2     10000              100000.0              99000.0  hold   step
                 2  5.998591       2     10000              100000.0              99000.0  hold   step
                 3  5.998591       2     10000              100000.0              99000.0  hold   step
        "#]],
    );
    check(
        "SELECT bin, swell.bin_ms(bin) AS ms, swell.bin_from_ms(bin) AS from_ms FROM \
         (SELECT unnest(response_time_bins) AS bin FROM run_windows WHERE second = 0) ORDER BY bin LIMIT 2",
        expect![[r#"
              bin        ms   from_ms
            ─────  ────────  ────────
            11169  1.000191  0.999936
            12193  2.000383  1.999872
        "#]],
    );
}

#[test]
fn the_other_tables_of_a_run() {
    check(
        "SELECT second, stage, is_warmup, due, started, missed_ours FROM run_iterations ORDER BY second",
        expect![[r#"
            second  stage  is_warmup  due  started  missed_ours
            ──────  ─────  ─────────  ───  ───────  ───────────
                 0  warm   true        24       22            2
                 1  hold   false       24       22            2
                 2  hold   false       24       22            2
                 3  hold   false       24       22            2
        "#]],
    );
    check(
        "SELECT second, endpoint, stage, error, count FROM run_errors ORDER BY second LIMIT 2",
        expect![[r#"
            second  endpoint  stage  error        count
            ──────  ────────  ─────  ───────────  ─────
                 0  GET /     warm   status: 503      2
                 1  GET /     hold   status: 503      2
        "#]],
    );
    check(
        "SELECT second, worker_id, requests_sent, in_flight, connections, cpu_percent, send_lag_p99_us FROM run_drivers \
         ORDER BY second, worker_id LIMIT 3",
        expect![[r#"
            second  worker_id  requests_sent  in_flight  connections  cpu_percent  send_lag_p99_us
            ──────  ─────────  ─────────────  ─────────  ───────────  ───────────  ───────────────
                 0  d1                    11          3            8         25.0           20.007
                 0  d2                    11          3            8         25.0           20.007
                 1  d1                    11          3            8         25.0           20.007
        "#]],
    );
    check(
        "SELECT test_run_id, plan_name, state, verdict, started_at, drivers FROM runs",
        expect![[r#"
        test_run_id   plan_name  state     verdict  started_at            drivers
        ────────────  ─────────  ────────  ───────  ────────────────────  ────────
        benchmark_42  checkout   finished  valid    2026-03-01T12:10:00Z  [d1, d2]
    "#]],
    );
    check(
        "SELECT timestamp, second, kind, text, worker_id FROM run_events",
        expect![[r#"
        timestamp             second  kind  text    worker_id
        ────────────────────  ──────  ────  ──────  ─────────
        2026-03-01T12:10:01Z       1  note  a, "b"  –
    "#]],
    );
}

/// The queries of `docs/sql.md`, which name this run: those that PostgreSQL alone understands say so here.
#[test]
fn the_questions_of_the_page_are_answered_here_too() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sql.md")).unwrap();
    let dir = folder();
    let answers = page.split("\n### ").skip(1).map(|section| {
        let number = section.split('.').next().unwrap();
        let query = section.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let answer = ask(dir.path(), &[RUN], query);
        let lines: Vec<&str> = answer.lines().collect();
        match answer.starts_with("error: ") {
            true => format!("{number}: {answer}"),
            false => format!(
                "{number}: {} rows of{}\n",
                lines.len() - 2,
                lines[0].split_whitespace().fold(String::new(), |line, name| line + " " + name)
            ),
        }
    });
    expect![[r#"
        1: 1 rows of test_run_id plan_name state verdict started_at lasted
        2: 1 rows of sent succeeded failed cancelled
        3: 1 rows of p95_ms
        4: 1 rows of p50_ms p75_ms p90_ms p99_ms p99_9_ms mean_ms min_ms max_ms
        5: 1 rows of share
        6: 4 rows of second requests
        7: 1 rows of second requests p95_ms
        8: 1 rows of minute p95_ms
        9: 2 rows of stage is_warmup requests error_rate p95_ms
        10: 1 rows of second kind text worker_id
        11: 1 rows of received_mb sent_mb bytes_per_answer
        12: 1 rows of endpoint requests p50_ms p95_ms p99_ms
        13: 1 rows of endpoint share_of_waiting
        14: 1 rows of endpoint response_ms service_ms share_waited
        15: 10 rows of from_ms to_ms requests
        16: 0 rows of second endpoint p95_ms
        17: 1 rows of error count first_second last_second
        18: 1 rows of endpoint error count
        19: 1 rows of first_second
        20: 1 rows of share
        21: 100 rows of timestamp worker_id endpoint status_code error latency_ms
        22: 1 rows of p95_ms
        23: 1 rows of minute requests
        24: 20 rows of timestamp endpoint worker_id response_ms service_ms status_code
        25: 2 rows of worker_id requests service_ms send_lag_ms
        26: 1 rows of due started missed_by_drivers missed_by_target missed_by_limit
        27: error: there is no column busiest_thread_percent; there are test_run_id, timestamp, second, worker_id, requests_sent, succeeded, failed, cancelled, due, started, missed, bytes_in, bytes_out, in_flight, queued, connections, cpu_percent, memory_bytes, send_lag_p50_us, send_lag_p99_us
        line 2, column 7:
            max(busiest_thread_percent) AS busiest_thread_percent, max(send_lag_p99_us) / 1000 AS worst_send_lag_p99_ms
                ^
        28: error: there is no column starved_percent; there are test_run_id, timestamp, second, worker_id, requests_sent, succeeded, failed, cancelled, due, started, missed, bytes_in, bytes_out, in_flight, queued, connections, cpu_percent, memory_bytes, send_lag_p50_us, send_lag_p99_us
        line 1, column 83:
          SELECT second, worker_id, send_lag_p99_us / 1000 AS send_lag_p99_ms, cpu_percent, starved_percent, stolen_percent, throttled_us
                                                                                            ^
        29: 1 rows of endpoint p95_ms before_ms change
        30: 1 rows of started_at test_run_id verdict requests p95_ms
    "#]].assert_eq(&answers.collect::<String>());
}

#[test]
fn buckets_begin_where_timescaledb_begins_them() {
    check(
        "SELECT time_bucket('1 week', t) AS week, swell.bucket('1 month', t) AS month, time_bucket('7 seconds', t) AS odd, \
         time_bucket(INTERVAL '1 year', t) AS year FROM (SELECT to_timestamp_micros(1772367022123456) AS t)",
        expect![[r#"
            week                  month                 odd                   year
            ────────────────────  ────────────────────  ────────────────────  ────────────────────
            2026-02-23T00:00:00Z  2026-03-01T00:00:00Z  2026-03-01T12:10:19Z  2026-01-01T00:00:00Z
        "#]],
    );
    check(
        "SELECT time_bucket('0 seconds', timestamp) FROM perf_results",
        expect![[r#"
        error: the width of time_bucket is greater than nothing, and either months or days and less
    "#]],
    );
    check(
        "SELECT time_bucket('2000000000 days', timestamp) FROM perf_results",
        expect![[r#"
        error: the width of time_bucket is too great
    "#]],
    );
    check(
        "SELECT time_bucket('soon', timestamp) FROM perf_results",
        expect![[r#"
            error: Invalid input syntax for type interval: "soon"
        "#]],
    );
    check(
        "SELECT time_bucket(timestamp) FROM perf_results",
        expect![[r#"
            error: time_bucket takes a width such as '1 minute', and a time
        "#]],
    );
}

#[test]
fn several_runs_at_once_and_names_that_are_no_file_names() {
    let dir = folder();
    expect![[r#"
        test_run_id     n
        ────────────  ───
        benchmark_42  400
        scribe run/1   10
    "#]]
    .assert_eq(&ask(
        dir.path(),
        &[RUN, "scribe run/1"],
        "SELECT test_run_id, count(*) AS n FROM perf_results GROUP BY 1 ORDER BY 1",
    ));
    expect![[r#"
        windows  events
        ───────  ──────
              0      10
    "#]]
    .assert_eq(&ask(
        dir.path(),
        &["scribe run/1"],
        "SELECT (SELECT count(*) FROM run_windows) AS windows, count(*) AS events FROM perf_results",
    ));
    expect![[r#"
        n
        ─
        0
    "#]]
    .assert_eq(&ask(dir.path(), &["nothing"], "SELECT count(*) AS n FROM perf_results"));
}

#[test]
fn faults_name_the_place_and_what_there_is() {
    for (sql, expected) in [
        (
            "SELECT latency FROM perf_results",
            expect![[r#"
            error: there is no column latency; did you mean latency_ms?
            line 1, column 8:
              SELECT latency FROM perf_results
                     ^
        "#]],
        ),
        (
            "SELECT count(*)\nFROM perf_results\nWHERE stutus_code = 200",
            expect![[r#"
            error: there is no column stutus_code; did you mean status_code?
            line 3, column 7:
              WHERE stutus_code = 200
                    ^
        "#]],
        ),
        (
            "SELECT * FROM perf_result",
            expect![[r#"
            error: there is no table perf_result; did you mean perf_results?
            line 1, column 15:
              SELECT * FROM perf_result
                            ^
        "#]],
        ),
        (
            "SELECT * FROM users",
            expect![[r#"
                error: there is no table users; there are perf_results, run_windows, run_iterations, run_errors, run_drivers, runs, run_events, run_seconds, run_minutes, run_totals
                line 1, column 15:
                  SELECT * FROM users
                                ^
            "#]],
        ),
        (
            "SELEC 1",
            expect![[r#"
                error: Expected: an SQL statement, found: SELEC
                line 1, column 1:
                  SELEC 1
                  ^
            "#]],
        ),
        (
            "SELECT (1 + FROM perf_results",
            expect![[r#"
                error: Expected: ), found: perf_results
                line 1, column 18:
                  SELECT (1 + FROM perf_results
                                   ^
            "#]],
        ),
        (
            "SELECT percentile(latency_ms) FROM perf_results",
            expect![[r#"
            error: Invalid function 'percentile'.
            Did you mean 'percentile_cont'?
            line 1, column 8:
              SELECT percentile(latency_ms) FROM perf_results
                     ^
        "#]],
        ),
        (
            "SELECT endpoint, count(*) FROM perf_results",
            expect![[r#"
            error: Column in SELECT must be in GROUP BY or an aggregate function: While expanding wildcard, column "perf_results.endpoint" must appear in the GROUP BY clause or must be part of an aggregate function, currently only "count(Int64(1))" appears in the SELECT clause satisfies this requirement
            line 1, column 8:
              SELECT endpoint, count(*) FROM perf_results
                     ^
        "#]],
        ),
        (
            "SELECT 1; SELECT 2",
            expect![[r#"
            error: The context currently only supports a single SQL statement
        "#]],
        ),
        (
            "",
            expect![[r#"
            error: No SQL statements were provided in the query string
        "#]],
        ),
        (
            "SELECT INTERVAL 'soon at Line: 1, Column: 9000000000000'",
            expect![[r#"
            error: Invalid input syntax for type interval: "soon at Line: 1, Column: 9000000000000"
        "#]],
        ),
        (
            "SELECT swell.percentile(response_time_bins, response_time_counts, 95) FROM run_windows",
            expect![[r#"
                error: a share lies between 0 and 1, and 95 does not
            "#]],
        ),
    ] {
        check(sql, expected);
    }
}

#[test]
fn a_query_only_reads_and_only_the_run() {
    let dir = folder();
    let outside = tempfile::tempdir().unwrap();
    let file = outside.path().join("other.csv");
    std::fs::write(&file, "a,b\n1,2\n").unwrap();
    let path = file.display().to_string();
    for sql in [
        format!("SELECT * FROM '{path}'"),
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{path}'"),
        format!("COPY (SELECT 1) TO '{path}.out' STORED AS CSV"),
        "INSERT INTO runs (test_run_id) VALUES ('x')".to_owned(),
        "CREATE TABLE t AS SELECT 1".to_owned(),
        "CREATE VIEW v AS SELECT 1".to_owned(),
        "DROP TABLE runs".to_owned(),
        "DELETE FROM perf_results".to_owned(),
        "UPDATE perf_results SET latency_ms = 0".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        format!("EXPLAIN ANALYZE COPY (SELECT 1) TO '{path}.out' STORED AS CSV"),
    ] {
        let said = ask(dir.path(), &[RUN], &sql);
        let refused = said.contains("not supported: ") || said.contains("there is no table");
        assert!(said.starts_with("error: ") && refused, "{sql}: {said}");
    }
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "a,b\n1,2\n");
}

#[test]
fn merged_tables_have_a_row_for_each_of_theirs() {
    check(
        "SELECT (SELECT count(*) FROM run_windows) AS windows, (SELECT count(*) FROM run_seconds) AS seconds, \
         (SELECT count(*) FROM run_minutes) AS minutes, (SELECT count(*) FROM run_totals) AS totals",
        expect![[r#"
            windows  seconds  minutes  totals
            ───────  ───────  ───────  ──────
                  4        4        2       2
        "#]],
    );
    check(
        "SELECT stage, requests, swell.percentile(response_time_bins, response_time_counts, 0.5) AS p50_ms FROM run_totals \
         ORDER BY stage",
        expect![[r#"
            stage  requests    p50_ms
            ─────  ────────  ────────
            hold         66  5.998591
            warm         22  5.998591
        "#]],
    );
    check(
        "SELECT timestamp, second, stage, requests, failed FROM run_minutes ORDER BY stage",
        expect![[r#"
            timestamp             second  stage  requests  failed
            ────────────────────  ──────  ─────  ────────  ──────
            2026-03-01T12:10:00Z       0  hold         66       6
            2026-03-01T12:10:00Z       0  warm         22       2
        "#]],
    );
}

#[test]
fn a_folder_may_have_any_name() {
    let dir = folder();
    let odd = dir.path().join("a [b]* % ?");
    std::fs::create_dir(&odd).unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        if entry.path() != odd {
            std::fs::rename(entry.path(), odd.join(entry.file_name())).unwrap();
        }
    }
    let counted = ask(&odd.join("../a [b]* % ?"), &[RUN], "SELECT count(*) AS n FROM perf_results");
    assert_eq!(counted, "  n\n───\n400\n");
}

#[test]
fn memory_has_a_bound() {
    let dir = folder();
    let engine = Engine::open(dir.path(), &[RUN.to_owned()], 1 << 20).unwrap();
    let sql = "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a.latency_ms * b.latency_ms) FROM perf_results a, perf_results b";
    let faulty = || {
        let mut answer = engine.query(sql)?;
        while answer.next(&AtomicBool::new(false))?.is_some() {}
        Ok::<(), Fault>(())
    };
    let refused = faulty().unwrap_err();
    assert!(matches!(refused, Fault::Memory(_)), "{refused}");
    assert!(refused.to_string().contains("--memory"), "{refused}");
}

#[test]
fn a_query_stops_when_it_is_asked_to() {
    let dir = folder();
    let engine = Engine::open(dir.path(), &[RUN.to_owned()], query::MEMORY_BYTES).unwrap();
    let sql = "SELECT count(*) FROM perf_results a, perf_results b, perf_results c, perf_results d WHERE a.latency_ms + b.latency_ms > c.latency_ms * d.latency_ms";
    let mut answer = engine.query(sql).unwrap();
    assert!(matches!(answer.next(&AtomicBool::new(true)).unwrap_err(), Fault::Stopped));
    let mut rows = engine.query("SELECT * FROM generate_series(1, 9000000000000)").unwrap();
    assert!(rows.next(&AtomicBool::new(false)).unwrap().is_some());
    assert!(matches!(rows.next(&AtomicBool::new(true)).unwrap_err(), Fault::Stopped));
}
