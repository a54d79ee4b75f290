//! The summary as JSON, and as a page of text.

mod fixture;

use expect_test::expect;
use fixture::{plan, summary};
use metrics::threshold::{Judged, Standing};
use metrics::{Accounting, LocalLimit, Merged, Outcome, Phases, RawEvents, StepWindow, Verdict};
use plan::{StageId, StepId};
use report::{RunFacts, Summary, text, thresholds};

#[test]
fn json() {
    expect![[r#"
        {
          "schema": "groundswell/summary/v1",
          "run_id": "019c9a52-7c1e-7d30-8f5a-2b6c1f0e9d4a",
          "plan": "checkout-peak",
          "state": "finished",
          "loop": "open",
          "started_at": "2026-03-01T12:10:22.000Z",
          "duration_s": 330.0,
          "measured_s": 300.0,
          "verdict": {
            "value": "valid",
            "reasons": [],
            "findings": [],
            "target_saturated": false
          },
          "iterations": {
            "due": 100000,
            "started": 100000,
            "missed": 0,
            "lost": 0,
            "overlap": 0
          },
          "requests": {
            "sent": 180000,
            "succeeded": 179976,
            "failed": 24,
            "cancelled": 0,
            "unknown": 0
          },
          "rate": {
            "planned_per_s": 500.0,
            "achieved_per_s": 333.333333,
            "requests_per_s": 600.0
          },
          "bytes": {
            "in": 270000000,
            "out": 21600000
          },
          "response_time_ms": {
            "mean": 2.05374,
            "median": 1.950207,
            "min": 0.940004,
            "max": 11.901479,
            "stddev": 0.972202,
            "p50": 1.950207,
            "p75": 2.565119,
            "p90": 3.312639,
            "p95": 3.847167,
            "p99": 5.146623,
            "p99_9": 7.133183,
            "p99_99": 9.195519,
            "lower_bound_from": null
          },
          "service_time_ms": {
            "mean": 2.000407,
            "median": 1.905151,
            "min": 0.900004,
            "max": 11.842995,
            "stddev": 0.965231,
            "p50": 1.905151,
            "p75": 2.507775,
            "p90": 3.251199,
            "p95": 3.779583,
            "p99": 5.064703,
            "p99_9": 7.026687,
            "p99_99": 9.064447,
            "lower_bound_from": null
          },
          "send_lag_ms": {
            "mean": 0.04,
            "median": 0.036943,
            "min": 0.03,
            "max": 0.145129,
            "stddev": 0.009999,
            "p50": 0.036943,
            "p75": 0.043855,
            "p90": 0.053039,
            "p95": 0.059951,
            "p99": 0.076063,
            "p99_9": 0.098975,
            "p99_99": 0.121119,
            "lower_bound_from": null
          },
          "connection_wait_ms": {
            "mean": 0.002667,
            "median": 0.002462,
            "min": 0.002,
            "max": 0.009675,
            "stddev": 0.000667,
            "p50": 0.002462,
            "p75": 0.002924,
            "p90": 0.003534,
            "p95": 0.003996,
            "p99": 0.005069,
            "p99_9": 0.006597,
            "p99_99": 0.008077,
            "lower_bound_from": null
          },
          "iteration_time_ms": {
            "mean": 2.666662,
            "median": 2.462719,
            "min": 2.000007,
            "max": 9.675284,
            "stddev": 0.666611,
            "p50": 2.462719,
            "p75": 2.923519,
            "p90": 3.535871,
            "p95": 3.996671,
            "p99": 5.068799,
            "p99_9": 6.596607,
            "p99_99": 8.075263,
            "lower_bound_from": null
          },
          "steps": [
            {
              "name": "GET /api/products",
              "requests": {
                "sent": 80000,
                "succeeded": 79980,
                "failed": 20,
                "cancelled": 0,
                "unknown": 0
              },
              "response_time_ms": {
                "mean": 1.253923,
                "median": 1.157631,
                "min": 0.940004,
                "max": 5.476102,
                "stddev": 0.315742,
                "p50": 1.157631,
                "p75": 1.374719,
                "p90": 1.662463,
                "p95": 1.880575,
                "p99": 2.391039,
                "p99_9": 3.150847,
                "p99_99": 4.006911,
                "lower_bound_from": null
              },
              "service_time_ms": {
                "mean": 1.20059,
                "median": 1.108479,
                "min": 0.900004,
                "max": 5.396159,
                "stddev": 0.302515,
                "p50": 1.108479,
                "p75": 1.316351,
                "p90": 1.591807,
                "p95": 1.799679,
                "p99": 2.288639,
                "p99_9": 3.025919,
                "p99_99": 3.947519,
                "lower_bound_from": null
              },
              "phases": null,
              "errors": [
                {
                  "kind": "status",
                  "detail": "503",
                  "count": 18
                },
                {
                  "kind": "read_reset",
                  "detail": null,
                  "count": 2
                }
              ]
            },
            {
              "name": "GET /api/products/{id}",
              "requests": {
                "sent": 80000,
                "succeeded": 80000,
                "failed": 0,
                "cancelled": 0,
                "unknown": 0
              },
              "response_time_ms": {
                "mean": 2.453328,
                "median": 2.266111,
                "min": 1.840008,
                "max": 8.7644,
                "stddev": 0.613271,
                "p50": 2.266111,
                "p75": 2.690047,
                "p90": 3.251199,
                "p95": 3.677183,
                "p99": 4.663295,
                "p99_9": 6.068223,
                "p99_99": 7.415807,
                "lower_bound_from": null
              },
              "service_time_ms": {
                "mean": 2.399995,
                "median": 2.214911,
                "min": 1.800008,
                "max": 8.573869,
                "stddev": 0.599939,
                "p50": 2.214911,
                "p75": 2.632703,
                "p90": 3.181567,
                "p95": 3.597311,
                "p99": 4.560895,
                "p99_9": 5.937151,
                "p99_99": 7.256063,
                "lower_bound_from": null
              },
              "phases": null,
              "errors": []
            },
            {
              "name": "POST /api/cart",
              "requests": {
                "sent": 20000,
                "succeeded": 19996,
                "failed": 4,
                "cancelled": 0,
                "unknown": 0
              },
              "response_time_ms": {
                "mean": 3.654653,
                "median": 3.374079,
                "min": 2.740046,
                "max": 11.901479,
                "stddev": 0.918143,
                "p50": 3.374079,
                "p75": 4.006911,
                "p90": 4.843519,
                "p95": 5.478399,
                "p99": 6.961151,
                "p99_9": 9.097215,
                "p99_99": 11.784191,
                "lower_bound_from": null
              },
              "service_time_ms": {
                "mean": 3.601321,
                "median": 3.324927,
                "min": 2.700045,
                "max": 11.842995,
                "stddev": 0.904893,
                "p50": 3.324927,
                "p75": 3.947519,
                "p90": 4.773887,
                "p95": 5.400575,
                "p99": 6.858751,
                "p99_9": 8.966143,
                "p99_99": 11.612159,
                "lower_bound_from": null
              },
              "phases": null,
              "errors": [
                {
                  "kind": "read_reset",
                  "detail": null,
                  "count": 2
                },
                {
                  "kind": "status",
                  "detail": "503",
                  "count": 2
                }
              ]
            }
          ],
          "errors": [
            {
              "kind": "status",
              "detail": "503",
              "count": 20
            },
            {
              "kind": "read_reset",
              "detail": null,
              "count": 4
            }
          ],
          "drivers": [
            {
              "node_id": "d1",
              "state": "finished",
              "requests_sent": 94000,
              "send_lag_p99_us": 76.063,
              "cpu_percent": 41.0
            },
            {
              "node_id": "d2",
              "state": "finished",
              "requests_sent": 94000,
              "send_lag_p99_us": 76.063,
              "cpu_percent": 41.0
            }
          ],
          "thresholds": [],
          "accounting": {
            "iterations_due": 105000,
            "iterations_started": 105000,
            "requests_sent": 188000,
            "requests_recorded": 188000,
            "events_produced": null,
            "events_stored": null,
            "events_dropped": null,
            "balanced": true
          }
        }
    "#]]
    .assert_eq(&summary(0, false).to_json());
}

#[test]
fn json_leads_back() {
    let summary = summary(3, true);
    let json: Summary = serde_json::from_str(&summary.to_json()).unwrap();
    assert_eq!(json, summary);
}

#[test]
fn page() {
    expect![[r#"
        checkout-peak   run 019c9a52…9d4a   finished   verdict valid
        2026-03-01 12:10:22 UTC, measured 05:00 of 05:30, open loop

        Rate      333 iterations/s of 500 planned, 66.7 %; 600 requests/s
        Bytes     257 MiB in, 20.6 MiB out

        Iterations                               Requests
          due              100,000                 sent             180,000
          started          100,000  100 %          succeeded        179,976  99.9867 %
          missed                 0                 failed                24  0.0133 %
          lost                   0                 cancelled              0
          overlap                0                 unknown                0

        Latency      response ms   service ms   connection wait µs   send lag µs
          p50              1.95         1.91                 2.46           36.9
          p75              2.57         2.51                 2.92           43.9
          p90              3.31         3.25                 3.53           53.0
          p95              3.85         3.78                 4.00           60.0
          p99              5.15         5.06                 5.07           76.1
          p99.9            7.13         7.03                 6.60           99.0
          max             11.9         11.8                  9.67          145
          mean             2.05         2.00                 2.67           40.0
          ± stddev         0.972        0.965                0.667          10.0
          180,000 samples: all requests, succeeded and failed
          response = done - intended start, service = done - sent

        Steps, response ms         requests   failed    p50    p95    p99     max
          GET /api/products          80,000       20   1.16   1.88   2.39    5.48
          GET /api/products/{id}     80,000        0   2.27   3.68   4.66    8.76
          POST /api/cart             20,000        4   3.37   5.48   6.96   11.9

        Errors         count   share of requests
          status 503      20            0.0111 %
          read_reset       4           0.00222 %

        Drivers   requests sent   send lag p99      cpu   state
          d1             94,000        76.1 µs   41.0 %   finished
          d2             94,000        76.1 µs   41.0 %   finished

        Accounting   balanced, of the whole run
          105,000 iterations due = 105,000 started + 0 missed or lost
          188,000 requests sent = 188,000 recorded + 0 unknown

        Verdict   valid: the drivers did what the plan asked
    "#]]
    .assert_eq(&text(&summary(0, false), false, 80));
}

#[test]
fn page_of_a_run_that_went_wrong() {
    expect![[r#"
        checkout-peak   run 019c9a52…9d4a   finished   verdict suspect
        2026-03-01 12:10:22 UTC, measured 05:00 of 05:30, open loop

        Rate      333 iterations/s of 500 planned, 66.7 %; 600 requests/s
        Bytes     257 MiB in, 20.6 MiB out

        Iterations                               Requests
          due              101,800                 sent             180,000
          started          100,000  98.2 %         succeeded        179,976  99.9867 %
          missed             1,800  1.77 %         failed                24  0.0133 %
          lost                   –                 cancelled              0
          overlap                0                 unknown                –

        Latency      response ms   service ms   connection wait µs   send lag µs
          p50              1.95         1.91                 2.46           36.9
          p75              2.57         2.51                 2.92           43.9
          p90              3.31         3.25                 3.53           53.0
          p95              3.85         3.78                 4.00           60.0
          p99            ≥ 5.15       ≥ 5.06               ≥ 5.07           76.1
          p99.9          ≥ 7.13       ≥ 7.03               ≥ 6.60           99.0
          max           ≥ 11.9       ≥ 11.8                ≥ 9.67          145
          mean             2.05         2.00                 2.67           40.0
          ± stddev         0.972        0.965                0.667          10.0
          180,000 samples: all requests, succeeded and failed
          response = done - intended start, service = done - sent
          ≥: what was missed or cancelled is not in it and would lie higher

        Steps, response ms         requests   failed    p50    p95      p99       max
          GET /api/products          80,000       20   1.16   1.88   ≥ 2.39    ≥ 5.48
          GET /api/products/{id}     80,000        0   2.27   3.68   ≥ 4.66    ≥ 8.76
          POST /api/cart             20,000        4   3.37   5.48   ≥ 6.96   ≥ 11.9

        Errors         count   share of requests
          status 503      20            0.0111 %
          read_reset       4           0.00222 %

        Drivers   requests sent   send lag p99      cpu   state
          d1             94,000        76.1 µs   41.0 %   finished
          d2             94,000        76.1 µs   41.0 %   finished
          d3                120              –        –   lost

        Accounting   balanced, of the whole run
          107,000 iterations due = 105,000 started + 2,000 missed or lost
          188,120 requests sent = 188,000 recorded + 120 unknown

        Verdict   suspect: read the numbers with care
                  - d3 was lost; nobody took its share over, so the load was below the
                    plan. Look at its log and its machine for why.
        Findings  not the drivers' doing
                  - The target could not keep up with d1 in 1 of 2 s: iterations were
                    missed, or waited longer for a connection than they then took. Its
                    limit is reached, or connections.max is too low.
                  - The target could not keep up with d2 in 1 of 2 s: iterations were
                    missed, or waited longer for a connection than they then took. Its
                    limit is reached, or connections.max is too low.
    "#]]
    .assert_eq(&text(&summary(900, true), false, 80));
}

/// A step of which a connection was opened for few requests, and one without a request.
fn with_phases() -> Summary {
    let mut window = StepWindow::new(StepId(1), StageId(1));
    let phases = window.phases.get_or_insert_default();
    for request in 0..100 {
        let opens = (request % 50 == 0).then_some(210_000 + request * 1_000);
        phases.record(&Phases {
            connect_ns: opens,
            sending_ns: Some(4_000 + request),
            waiting_ns: Some(1_900_000 + request * 20_000),
            receiving_ns: Some(11_000),
            ..Phases::default()
        });
    }
    window.ok.service = fixture::timing(2_000_000, 100);
    let mut merged = Merged::new();
    merged.add_step(&window);
    let facts = RunFacts { run_id: "r1".to_owned(), state: "finished".to_owned(), ..RunFacts::default() };
    Summary::build(&facts, &plan(), &merged, &Verdict::default(), &Accounting::default())
}

#[test]
fn phases_where_asked() {
    let summary = with_phases();
    let page = text(&summary, false, 80);
    let table: Vec<&str> = page
        .lines()
        .skip_while(|line| !line.starts_with("Phases"))
        .take_while(|line| !line.is_empty())
        .collect();
    expect![[r#"
        Phases, ms                     lookup   connect   tls      send   wait   receive
          GET /api/products/{…   p50        –     0.210     –   0.00405   2.88    0.0110
                                 p99        –     0.260     –   0.00410   3.86    0.0110"#]]
    .assert_eq(&table.join("\n"));
    assert_eq!(summary.steps[0].phases, None);
    let phases = summary.steps[1].phases.as_ref().unwrap();
    assert_eq!((phases.connect_ms.min, phases.connect_ms.max), (Some(0.21), Some(0.26)));
    assert_eq!(phases.tls_ms, report::Times::default());
    assert_eq!(phases.receiving_ms.mean, Some(0.011));
    let json: Summary = serde_json::from_str(&summary.to_json()).unwrap();
    assert_eq!(json, summary);
}

#[test]
fn a_summary_of_an_earlier_version_is_read() {
    let mut json: serde_json::Value = serde_json::from_str(&summary(0, false).to_json()).unwrap();
    json["verdict"].as_object_mut().unwrap().remove("findings");
    for step in json["steps"].as_array_mut().unwrap() {
        assert!(step.as_object_mut().unwrap().remove("phases").is_some());
    }
    let read: Summary = serde_json::from_value(json).unwrap();
    assert_eq!(read, summary(0, false));
}

#[test]
fn a_local_limit_says_of_what() {
    let mut window = StepWindow::new(StepId(0), StageId(1));
    for (limit, count) in [(LocalLimit::Descriptors, 3), (LocalLimit::Ports, 2), (LocalLimit::Other, 1)] {
        window.outcomes.push((Outcome::local_limit(limit), count));
    }
    window.outcomes.sort_unstable();
    let mut merged = Merged::new();
    merged.add_step(&window);
    let summary =
        Summary::build(&RunFacts::default(), &plan(), &merged, &Verdict::default(), &Accounting::default());
    let page = text(&summary, false, 80);
    let names: Vec<&str> =
        page.lines().map(str::trim).filter(|line| line.starts_with("local_limit")).collect();
    expect![[r#"
          local_limit (no file descriptor)       3                   –
          local_limit (no local port)            2                   –
          local_limit                            1                   –"#]]
    .assert_eq(&names.join("\n"));
}

#[test]
fn raw_events_stand_beside_what_became_of_them() {
    let line = |events: RawEvents| {
        let accounting = Accounting { events, ..Accounting::default() };
        let mut merged = Merged::new();
        merged.add_step(&StepWindow::new(StepId(0), StageId(1)));
        merged.driver("d1");
        let summary =
            Summary::build(&RunFacts::default(), &plan(), &merged, &Verdict::default(), &accounting);
        let page = text(&summary, false, 80);
        page.lines().filter(|line| line.contains("raw events")).map(str::trim).collect::<String>()
    };
    let of = |produced, stored, dropped| line(RawEvents { produced, stored, dropped });
    assert_eq!(of(Some(12_000), Some(11_990), Some(10)), "12,000 raw events = 11,990 stored + 10 dropped");
    assert_eq!(of(Some(7), None, Some(0)), "7 raw events = – stored + 0 dropped");
    assert_eq!(of(Some(0), Some(0), Some(0)), "");
    assert_eq!(of(None, Some(5), None), "");
}

#[test]
fn page_of_a_run_that_did_not_start() {
    let facts = RunFacts { run_id: "r1".to_owned(), state: "created".to_owned(), ..RunFacts::default() };
    let summary =
        Summary::build(&facts, &plan(), &Merged::new(), &Verdict::default(), &Accounting::default());
    assert_eq!(summary.requests.sent, None);
    expect![[r#"
        checkout-peak   run r1   created
        not started, open loop

        Rate      – iterations/s of 500 planned; – requests/s
        Bytes     – in, – out

        Iterations                               Requests
          due                    –                 sent                   –
          started                –                 succeeded              –
          missed                 –                 failed                 –
          lost                   –                 cancelled              –
          overlap                –                 unknown                –

        Latency   no request was completed

        Steps, response ms         requests   failed   p50   p95   p99   max
          GET /api/products               –        –     –     –     –     –
          GET /api/products/{id}          –        –     –     –     –     –
          POST /api/cart                  –        –     –     –     –     –

        Accounting   balanced, of the whole run
          – iterations due
          – requests sent

        Verdict   nothing was measured
    "#]]
    .assert_eq(&text(&summary, false, 80));
}

#[test]
fn color_changes_no_letter() {
    let summary = summary(900, true);
    let colored = text(&summary, true, 80);
    let mut plain = String::new();
    let mut in_code = false;
    for letter in colored.chars() {
        match letter {
            '\x1b' => in_code = true,
            'm' if in_code => in_code = false,
            letter if !in_code => plain.push(letter),
            _ => {}
        }
    }
    assert!(colored.contains("\x1b["));
    assert_eq!(plain, text(&summary, false, 80));
}

/// A plan with these thresholds.
fn plan_with(thresholds: &str) -> plan::Plan {
    let source = plan().source + "thresholds:\n" + thresholds;
    plan::parse("p", &source).unwrap_or_else(|faults| panic!("{faults:?}"))
}

#[test]
fn thresholds_are_a_table_and_those_that_failed_come_last() {
    let plan = plan_with(
        "  - p99 < 250ms\n  - p99.9 of \"GET /api/products\" < 5ms for 10s, abort\n  - error_rate of stage \"hold\" < 0.01%\n  \
         - count of scenario \"buy\" >= 100000\n  - iteration_time.mean < 1s\n  - connection_wait.p99 < 1ms, allow_no_data\n",
    );
    let judged =
        |standing, observed, first_breach_s, aborted| Judged { standing, observed, first_breach_s, aborted };
    let lines = thresholds(
        &plan.thresholds,
        &[
            judged(Standing::Pass, Some(12.345_678_912), None, false),
            judged(Standing::Fail, Some(7.5), Some(42), true),
            judged(Standing::Fail, Some(0.013), Some(35), false),
            judged(Standing::Fail, Some(20_000.0), None, false),
            judged(Standing::NoData, None, None, false),
            judged(Standing::NoData, None, None, false),
        ],
    );
    expect![[r#"
        {
          "expression": "p99.9 of \"GET /api/products\" < 5ms for 10s, abort",
          "scope": "step GET /api/products",
          "result": "fail",
          "observed": 7.5,
          "limit": 5.0,
          "unit": "ms",
          "first_breach_s": 42,
          "failed": true,
          "aborted": true
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&lines[1]).unwrap());
    let page = text(&Summary { thresholds: lines, ..summary(0, false) }, false, 80);
    let from = page.find("Thresholds").unwrap();
    expect![[r#"
        Thresholds                                            observed   result
          p99 < 250ms                                          12.3 ms   pass
          p99.9 of "GET /api/products" < 5ms for 10s, abort    7.50 ms   FAIL
          error_rate of stage "hold" < 0.01%                  0.0130 %   FAIL
          count of scenario "buy" >= 100000                     20,000   FAIL
          iteration_time.mean < 1s                                   –   no data
          connection_wait.p99 < 1ms, allow_no_data                   –   no data

        Drivers   requests sent   send lag p99      cpu   state
          d1             94,000        76.1 µs   41.0 %   finished
          d2             94,000        76.1 µs   41.0 %   finished

        Accounting   balanced, of the whole run
          105,000 iterations due = 105,000 started + 0 missed or lost
          188,000 requests sent = 188,000 recorded + 0 unknown

        Verdict   valid: the drivers did what the plan asked

        Failed    4 of 6 thresholds
                  - p99.9 of "GET /api/products" < 5ms for 10s, abort: 7.50 ms, it ended
                    the run after 42 s
                  - error_rate of stage "hold" < 0.01%: 0.0130 %, first breached after
                    35 s
                  - count of scenario "buy" >= 100000: 20,000
                  - iteration_time.mean < 1s: no data
    "#]]
    .assert_eq(&page[from..]);
}
