//! Thresholds on seconds made by hand: every expected number can be worked out on paper.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use expect_test::{Expect, expect};
use metrics::threshold::Tracker;
use metrics::{DriverWindow, Merged, StageWindow, StepWindow};
use plan::{Plan, StageId, StepId};

const MS: u64 = 1_000_000;

/// 10 iterations a second, 2 s of warm-up and 10 s measured, of steps `a` and `b`.
fn plan(thresholds: &str) -> Plan {
    let text = format!(
        "version: 1\nname: p\ntarget: http://127.0.0.1\nphases: true\nload:\n  model: open\n  stages:\n    \
         - {{ name: warm, at: 10/s, for: 2s, warmup: true }}\n    - {{ name: one, at: 10/s, for: 4s }}\n    \
         - {{ name: two, at: 20/s, for: 6s }}\nscenarios:\n  s: {{ steps: [ {{ get: /a, name: a }}, \
         {{ get: /b, name: b }} ] }}\nthresholds:\n{thresholds}"
    );
    plan::parse("p", &text).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// The stage that is on in a second of that plan.
fn stage(second: u32) -> StageId {
    StageId(if second < 2 { 0 } else { u16::from(second >= 6) + 1 })
}

/// One second: how long each request of `a` took in ms, of which the last `failed` failed.
fn second(second: u32, took_ms: &[u64], failed: usize) -> DriverWindow {
    let stage = stage(second);
    let mut step = StepWindow { sent: took_ms.len() as u64, ..StepWindow::new(StepId(0), stage) };
    let ok = took_ms.len() - failed;
    took_ms[..ok].iter().for_each(|ms| step.ok.response.record(ms * MS));
    took_ms[ok..].iter().for_each(|ms| step.failed.response.record(ms * MS));
    let mut iterations = StageWindow { started: took_ms.len() as u64, ..StageWindow::new(stage) };
    iterations.send_lag.record(MS);
    iterations.iteration_time.record(7 * MS);
    DriverWindow {
        from_s: second,
        to_s: second + 1,
        steps: vec![step],
        stages: vec![iterations],
        ..DriverWindow::default()
    }
}

/// Judges `seconds`, of which each is how long its requests took and how many of them failed, beginning with second 0.
/// Each threshold is a line: how it stands, what was observed, and when it was first breached.
fn check(thresholds: &str, seconds: &[(&[u64], usize)], expect: Expect) {
    let plan = plan(thresholds);
    let schedule = plan::Schedules::of(&plan);
    let (mut tracker, mut merged) = (Tracker::new(&plan), Merged::new());
    let mut crossed = None;
    for (number, (took_ms, failed)) in (0..).zip(seconds) {
        let window = second(number, took_ms, *failed);
        merged.add("d", &window);
        tracker.take(number, &window, true, schedule.as_ref());
        crossed = crossed.or(tracker.crossed().map(|breach| (number, breach.number, breach.after_s)));
    }
    let ended_ns = seconds.len() as u64 * 1000 * MS;
    let judged = tracker.judge(&merged, ended_ns, schedule.as_ref());
    let mut said: String = plan
        .thresholds
        .iter()
        .zip(&judged)
        .map(|(threshold, judged)| {
            let breach =
                judged.first_breach_s.map_or(String::new(), |after_s| format!(", after {after_s} s"));
            let observed = judged.observed.map_or("-".to_owned(), |value| format!("{value:.3}"));
            let fails = if judged.fails(threshold) { " FAILS" } else { "" };
            format!("{}: {} {observed}{breach}{fails}\n", threshold.expression, judged.standing.as_str())
        })
        .collect();
    if let Some((second, number, after_s)) = crossed {
        said += &format!("threshold {number} ends the run in second {second}, after {after_s} s\n");
    }
    expect.assert_eq(&said);
}

/// Ten requests that took so long.
fn ten(ms: u64) -> Vec<u64> {
    vec![ms; 10]
}

#[test]
fn at_the_end_all_measured_requests_count() {
    // Warm-up: 10 s each, which would fail everything. Then 10 × 10 requests of 1 to 100 ms, one of ten failed.
    let warm = ten(10_000);
    let rows: Vec<Vec<u64>> = (0..10).map(|row| (1..=10).map(|n| row * 10 + n).collect()).collect();
    let mut seconds: Vec<(&[u64], usize)> = vec![(&warm, 10), (&warm, 10)];
    seconds.extend(rows.iter().map(|row| (row.as_slice(), 1)));
    check(
        r#"  - p99 < 99.2ms
  - p99 < 98ms
  - median < 51ms
  - mean <= 50.5ms
  - min >= 1ms
  - max <= 100ms
  - max < 100ms
  - p50 of stage "one" < 21ms
  - max of "a" <= 100ms
  - max of "b" <= 100ms
  - max of "b" <= 100ms, allow_no_data
  - max of scenario "s" <= 100ms
  - error_rate <= 10%
  - error_rate < 10%
  - error_rate of "b" < 1%, allow_no_data
  - count <= 100
  - count of "b" <= 0
  - count > 100
"#,
        &seconds,
        expect![[r#"
            p99 < 99.2ms: pass 98.992
            p99 < 98ms: fail 98.992, after 12 s FAILS
            median < 51ms: pass 49.988
            mean <= 50.5ms: pass 50.500
            min >= 1ms: pass 1.000
            max <= 100ms: pass 100.000
            max < 100ms: fail 100.000, after 12 s FAILS
            p50 of stage "one" < 21ms: pass 19.997
            max of "a" <= 100ms: pass 100.000
            max of "b" <= 100ms: no_data - FAILS
            max of "b" <= 100ms, allow_no_data: no_data -
            max of scenario "s" <= 100ms: pass 100.000
            error_rate <= 10%: pass 10.000
            error_rate < 10%: fail 10.000, after 7 s FAILS
            error_rate of "b" < 1%, allow_no_data: no_data -
            count <= 100: pass 100.000
            count of "b" <= 0: pass 0.000
            count > 100: fail 100.000 FAILS
        "#]],
    );
    check(
        r#"  - rate >= 10/s
  - rate of stage "one" > 10/s
  - achieved_rate >= 62%
  - achieved_rate of stage "one" >= 100%
  - achieved_rate of stage "two" > 50%
  - send_lag.p99 <= 1ms
  - send_lag.max of stage "two" < 1ms
  - iteration_time.mean <= 7ms
  - service_time.max < 1s
  - waiting.p99 < 1s, allow_no_data
"#,
        &seconds,
        expect![[r#"
            rate >= 10/s: pass 10.000
            rate of stage "one" > 10/s: fail 10.000 FAILS
            achieved_rate >= 62%: pass 62.500
            achieved_rate of stage "one" >= 100%: pass 100.000
            achieved_rate of stage "two" > 50%: fail 50.000, after 11 s FAILS
            send_lag.p99 <= 1ms: pass 1.000
            send_lag.max of stage "two" < 1ms: fail 1.000 FAILS
            iteration_time.mean <= 7ms: pass 7.000
            service_time.max < 1s: no_data - FAILS
            waiting.p99 < 1s, allow_no_data: no_data -
        "#]],
    );
}

#[test]
fn with_for_it_takes_so_many_seconds_in_a_row() {
    let (good, bad, none) = (ten(10), ten(90), Vec::new());
    let seconds = |pattern: &str| -> Vec<(Vec<u64>, usize)> {
        pattern
            .chars()
            .map(|c| match c {
                'g' => (good.clone(), 0),
                'b' => (bad.clone(), 0),
                _ => (none.clone(), 0),
            })
            .collect()
    };
    let run = |thresholds: &str, pattern: &str, expect: Expect| {
        let seconds = seconds(pattern);
        let seconds: Vec<(&[u64], usize)> =
            seconds.iter().map(|(took, failed)| (took.as_slice(), *failed)).collect();
        check(thresholds, &seconds, expect);
    };
    let three = "  - p99 < 50ms for 3s, abort\n";
    // The first two are warm-up.
    run(
        three,
        "bbggbbgbbg",
        expect![[r#"
        p99 < 50ms for 3s, abort: pass 10.000
    "#]],
    );
    run(
        three,
        "bbggbbbg",
        expect![[r#"
        p99 < 50ms for 3s, abort: fail 90.000, after 7 s FAILS
        threshold 0 ends the run in second 6, after 7 s
    "#]],
    );
    run(
        three,
        "bbbbggggb",
        expect![[r#"
        p99 < 50ms for 3s, abort: pass 90.000
    "#]],
    );
    // A second without data neither breaks the row nor is one of it.
    run(
        three,
        "ggb b g",
        expect![[r#"
        p99 < 50ms for 3s, abort: pass 10.000
    "#]],
    );
    run(
        three,
        "ggb b  bg",
        expect![[r#"
        p99 < 50ms for 3s, abort: fail 90.000, after 8 s FAILS
        threshold 0 ends the run in second 7, after 8 s
    "#]],
    );
    run(
        three,
        "gg   ",
        expect![[r#"
        p99 < 50ms for 3s, abort: no_data - FAILS
    "#]],
    );
    run(
        "  - p99 < 50ms for 3s, allow_no_data\n",
        "gg   ",
        expect![[r#"
        p99 < 50ms for 3s, allow_no_data: no_data -
    "#]],
    );
    run(
        "  - p99 < 50ms for 1s\n",
        "gggb",
        expect![[r#"
        p99 < 50ms for 1s: fail 90.000, after 4 s FAILS
    "#]],
    );
    // A rate of nothing is a rate: seconds 2 to 11 are of the load, those after it are not.
    run(
        "  - rate >= 10/s for 3s\n",
        "  gggg ggggg      ",
        expect![[r#"
        rate >= 10/s for 3s: pass 10.000
    "#]],
    );
    run(
        "  - rate >= 10/s for 3s\n",
        "  gg   g",
        expect![[r#"
        rate >= 10/s for 3s: fail 0.000, after 7 s FAILS
    "#]],
    );
    run(
        "  - achieved_rate >= 60% for 2s\n",
        "  gggggg",
        expect![[r#"
        achieved_rate >= 60% for 2s: fail 50.000, after 8 s FAILS
    "#]],
    );
}

#[test]
fn without_for_the_part_so_far_is_judged_once_it_is_enough() {
    let (good, bad, few) = (ten(10), ten(90), vec![90]);
    let row = |head: &[u64], tail: &[u64], n: usize| -> Vec<Vec<u64>> {
        let warm = vec![Vec::new(), Vec::new()];
        warm.into_iter().chain([head.to_vec()]).chain(vec![tail.to_vec(); n]).collect()
    };
    let run = |thresholds: &str, seconds: &[Vec<u64>], expect: Expect| {
        let seconds: Vec<(&[u64], usize)> = seconds.iter().map(|took| (took.as_slice(), 0)).collect();
        check(thresholds, &seconds, expect);
    };
    // Five seconds, and twenty samples.
    run(
        "  - mean < 50ms, abort\n",
        &row(&bad, &bad, 6),
        expect![[r#"
        mean < 50ms, abort: fail 90.000, after 7 s FAILS
        threshold 0 ends the run in second 6, after 7 s
    "#]],
    );
    // One slow request at first is not the end.
    run(
        "  - max < 500ms\n  - mean < 50ms, abort\n",
        &row(&[900], &good, 6),
        expect![[r#"
        max < 500ms: fail 900.000, after 7 s FAILS
        mean < 50ms, abort: pass 24.590
    "#]],
    );
    // p99 needs a hundred: at ten a second it is judged after ten seconds.
    run(
        "  - p99 < 50ms, abort\n",
        &row(&bad, &bad, 9),
        expect![[r#"
        p99 < 50ms, abort: fail 90.000, after 12 s FAILS
        threshold 0 ends the run in second 11, after 12 s
    "#]],
    );
    // Too few for anything during the run, and enough at its end.
    run(
        "  - p99 < 50ms, abort\n",
        &row(&few, &few, 9),
        expect![[r#"
        p99 < 50ms, abort: fail 90.000 FAILS
    "#]],
    );
    // A count that is too large stays so.
    run(
        "  - count <= 15, abort\n  - count >= 1000\n",
        &row(&good, &good, 3),
        expect![[r#"
        count <= 15, abort: fail 40.000, after 4 s FAILS
        count >= 1000: fail 40.000 FAILS
        threshold 0 ends the run in second 3, after 4 s
    "#]],
    );
    run(
        "  - rate >= 10/s, abort\n",
        &row(&few, &few, 6),
        expect![[r#"
        rate >= 10/s, abort: fail 1.000, after 7 s FAILS
        threshold 0 ends the run in second 6, after 7 s
    "#]],
    );
    // Of two that would end it, the first to be breached does.
    run(
        "  - mean < 80ms, abort\n  - count < 25, abort\n",
        &row(&bad, &bad, 6),
        expect![[r#"
        mean < 80ms, abort: fail 90.000, after 7 s FAILS
        count < 25, abort: fail 70.000, after 5 s FAILS
        threshold 1 ends the run in second 4, after 5 s
    "#]],
    );
}

#[test]
fn what_never_ran_has_no_data() {
    check(
        "  - p99 < 1s\n  - count < 5\n  - rate > 1/s\n  - error_rate < 1%, allow_no_data\n",
        &[],
        expect![[r#"
            p99 < 1s: no_data - FAILS
            count < 5: no_data - FAILS
            rate > 1/s: no_data - FAILS
            error_rate < 1%, allow_no_data: no_data -
        "#]],
    );
}

#[test]
fn after_a_stop_no_second_counts_for_a_rate() {
    let plan = plan("  - rate >= 10/s for 2s\n  - rate >= 10/s\n");
    let (mut tracker, mut merged) = (Tracker::new(&plan), Merged::new());
    let good = ten(10);
    for number in 0..10 {
        if number == 6 {
            tracker.set_stopped(6_000 * MS);
        }
        let window = second(number, if number < 6 { &good } else { &[] }, 0);
        merged.add("d", &window);
        tracker.take(number, &window, true, None);
    }
    let judged = tracker.judge(&merged, 10_000 * MS, None);
    let said: Vec<_> = judged.iter().map(|judged| (judged.standing.as_str(), judged.observed)).collect();
    assert_eq!(said, [("pass", Some(10.0)), ("pass", Some(10.0))]);
    assert_eq!(tracker.so_far(None), judged);
}

#[test]
fn a_second_in_which_the_target_hangs_is_a_rate_of_zero() {
    let text = |load: &str| {
        format!(
            "{{version: 1, name: p, target: 'http://127.0.0.1', load: {{model: closed, {load}}}, \
             scenarios: {{s: {{steps: [{{get: /a, name: a}}]}}}}, thresholds: [rate >= 1/s for 3s]}}"
        )
    };
    let breach = |load: &str| {
        let plan = plan::parse("p", &text(load)).unwrap();
        let mut tracker = Tracker::new(&plan);
        for number in 0..6 {
            // Users wait from second 2 on: the drivers tell the second, and have no row to tell of.
            let told = if number < 2 { second(number, &ten(10), 0).steps } else { Vec::new() };
            let steps = told.into_iter().map(|step| StepWindow { stage: StageId(0), ..step }).collect();
            let window = DriverWindow { from_s: number, to_s: number + 1, steps, ..DriverWindow::default() };
            tracker.take(number, &window, true, None);
        }
        tracker.so_far(None)[0].first_breach_s
    };
    assert_eq!(breach("stages: [{users: 1, for: 6s}]"), Some(5));
    assert_eq!(breach("stages: [{users: 1, for: 4s}]"), None, "the drain is no load");
    assert_eq!(breach("users: 1, iterations: 20"), None, "that may be the end");
}

#[test]
fn a_second_that_a_driver_has_not_told_counts_and_is_not_judged() {
    let plan = plan("  - rate >= 10/s for 2s, abort\n  - rate >= 10/s, abort\n");
    let mut tracker = Tracker::new(&plan);
    let (half, late) = ([10; 5], [10; 5]);
    for number in 2..10 {
        tracker.take(number, &second(number, &half, 0), false, None);
    }
    assert_eq!(tracker.crossed(), None);
    (2..10).for_each(|number| tracker.add_late(&second(number, &late, 0)));
    tracker.take(10, &second(10, &ten(10), 0), true, None);
    assert_eq!(tracker.crossed(), None, "the late half is in it");
    for number in 11..20 {
        tracker.take(number, &second(number, &half, 0), true, None);
    }
    let breach = tracker.crossed().unwrap();
    assert_eq!((breach.number, breach.after_s), (1, 12), "twelve seconds are of the load");
}
