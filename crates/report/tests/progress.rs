//! A run while it runs.

use expect_test::expect;
use report::{Progress, StageProgress, live_block, progress_line};

fn progress() -> Progress {
    Progress {
        plan: "checkout-peak".to_owned(),
        run_id: "019c9a52-7c1e-7d30-8f5a-2b6c1f0e9d4a".to_owned(),
        state: "running".to_owned(),
        elapsed_s: 192.0,
        planned_s: Some(470.0),
        done_share: None,
        stage: Some(StageProgress { place: Some((3, 4)), name: "spike".to_owned(), warmup: false }),
        planned_per_s: Some(500.0),
        achieved_per_s: Some(499.0),
        sent: 96_000,
        done: 95_988,
        failed: 10,
        missed: 0,
        in_flight: 12,
        connections: 64,
        p50_ms: Some(1.234),
        p99_ms: Some(4.5),
        max_ms: Some(31.7),
        drivers_reporting: 3,
        drivers: 3,
        send_lag_p99_ms: Some(0.08),
        verdict: Some("valid".to_owned()),
        storage_trouble: None,
        last_event: Some("03:05 stage spike begins".to_owned()),
    }
}

#[test]
fn line() {
    expect!["03:12/07:50 running  499 of 500/s  sent 96,000  failed 10  p50 1.23 ms  p99 4.50 ms  max 31.7 ms  in flight 12  drivers 3/3"].assert_eq(&progress_line(&progress()));
    expect!["00:00 arming  – of –/s  sent 0  failed 0  p50 –  p99 –  max –  in flight 0  drivers 0/3"]
        .assert_eq(&progress_line(&Progress {
            state: "arming".to_owned(),
            drivers: 3,
            ..Progress::default()
        }));
}

#[test]
fn block() {
    expect![[r#"
        checkout-peak   run 019c9a52…9d4a   running                       03:12 of 07:50
        ━━━━━━━━━━━━━━━━━━━━━━━──────────────────────────────────  40 %  stage 3/4 spike
        rate       499/s of 500/s planned, 99.8 %
        requests   96,000 sent   95,988 done   12 in flight   64 connections
        errors     10, 0.0104 %
        response   p50 1.23 ms   p99 4.50 ms   max 31.7 ms   (95,988 samples)
        drivers    3 of 3 reporting   send lag p99 80.0 µs
        verdict    valid
        event      03:05 stage spike begins"#]]
    .assert_eq(&live_block(&progress(), false, 80).join("\n"));
}

#[test]
fn block_of_a_run_in_trouble() {
    let troubled = Progress {
        planned_s: None,
        done_share: Some(0.42),
        stage: None,
        failed: 9_000,
        missed: 77,
        drivers_reporting: 2,
        verdict: Some("suspect".to_owned()),
        storage_trouble: Some(
            "raw events have not been stored for 12 s, and wait in Kafka: /data has no space left".to_owned(),
        ),
        last_event: Some(
            "03:05 driver d2 lost: no heartbeat for 5 s, its share moved to d1 and d3, and more".to_owned(),
        ),
        ..progress()
    };
    expect![[r#"
        checkout-peak   run 019c9a52…9d4a   running                                03:12
        ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━───────────────────────────────────────────  42 %
        rate       499/s of 500/s planned, 99.8 %
        requests   96,000 sent   95,988 done   12 in flight   64 connections
        errors     9,000, 9.38 %   77 iterations missed
        response   p50 1.23 ms   p99 4.50 ms   max 31.7 ms   (95,988 samples)
        drivers    2 of 3 reporting   send lag p99 80.0 µs
        verdict    suspect
        event      03:05 driver d2 lost: no heartbeat for 5 s, its share moved to d1 an…
        storage    raw events have not been stored for 12 s, and wait in Kafka: /data h…"#]]
    .assert_eq(&live_block(&troubled, false, 80).join("\n"));
}

#[test]
fn block_before_the_start() {
    let arming =
        Progress { plan: "p".to_owned(), state: "arming".to_owned(), drivers: 3, ..Progress::default() };
    expect![[r#"
        p   run    arming                                                          00:00

        rate       –/s
        requests   0 sent   0 done   0 in flight   0 connections
        errors     none
        response   p50 –   p99 –   max –   (0 samples)
        drivers    0 of 3 reporting   send lag p99 –
        verdict    –
        event      –"#]]
    .assert_eq(&live_block(&arming, false, 80).join("\n"));
}
