//! The verdict and the accounts, as tables: what was measured, and what is said of it.

use expect_test::{Expect, expect};
use metrics::verdict::{Context, judge};
use metrics::{
    Accounting, Cause, Causes, DriverWindow, ErrorKind, Gauges, LostDriver, Merged, Missed, Outcome,
    StageWindow, StepWindow, Totals,
};
use plan::{StageId, StepId};

/// A good second: 100 iterations of one request of 2 ms, sent 50 µs late.
fn good(second: u32) -> DriverWindow {
    let mut stage = StageWindow::new(StageId(0));
    let mut step = StepWindow::new(StepId(0), StageId(0));
    (stage.due, stage.started, stage.completed, step.sent) = (100, 100, 100, 100);
    for n in 0..100 {
        stage.send_lag.record(50_000);
        stage.connection_wait.record(0);
        step.ok.response.record(2_050_000 + n);
        step.ok.service.record(2_000_000 + n);
    }
    step.outcomes = vec![(Outcome::Success(200), 100)];
    let gauges = Gauges { busiest_thread_permille: 300, ..Gauges::default() };
    DriverWindow { from_s: second, to_s: second + 1, steps: vec![step], stages: vec![stage], gauges }
}

/// Seconds of driver `d1`, of which the first `bad` are spoilt.
fn run(seconds: u32, bad: u32, spoil: impl Fn(&mut DriverWindow)) -> Merged {
    let mut merged = Merged::new();
    for second in 0..seconds {
        let mut window = good(second);
        if second < bad {
            spoil(&mut window);
        }
        window.judge();
        merged.add("d1", &window);
    }
    finish(&mut merged);
    merged
}

fn finish(merged: &mut Merged) {
    for driver in merged.drivers.values_mut() {
        driver.finish(&driver.totals().clone());
    }
}

fn ended() -> Context {
    Context { ended: true, ..Context::default() }
}

fn check(merged: &Merged, context: &Context, expected: Expect) {
    let verdict = judge(merged, context);
    let mut text = format!("{}, target saturated: {}\n", verdict.value.as_str(), verdict.target_saturated);
    for reason in &verdict.reasons {
        let driver = reason.driver.as_deref().unwrap_or("all");
        text += &format!("{} {driver} {} s: {}\n", reason.code, reason.seconds, reason.text);
    }
    expected.assert_eq(&text);
}

fn late(window: &mut DriverWindow) {
    (0..2).for_each(|_| window.stages[0].send_lag.record(1_100_000));
}

#[test]
fn one_percent_of_bad_seconds_is_valid_and_said() {
    check(
        &run(100, 0, late),
        &ended(),
        expect![[r#"
        valid, target saturated: false
    "#]],
    );
    check(
        &run(100, 1, late),
        &ended(),
        expect![[r#"
        valid, target saturated: false
        send_lag d1 1 s: d1 sent late in 1 of 100 s: send lag p99 above 1 ms and above 5 % of the median service time.
    "#]],
    );
}

#[test]
fn ten_percent_of_bad_seconds_is_suspect_and_more_is_invalid() {
    check(
        &run(100, 2, late),
        &ended(),
        expect![[r#"
        suspect, target saturated: false
        send_lag d1 2 s: d1 sent late in 2 of 100 s: send lag p99 above 1 ms and above 5 % of the median service time.
    "#]],
    );
    check(
        &run(100, 10, late),
        &ended(),
        expect![[r#"
        suspect, target saturated: false
        send_lag d1 10 s: d1 sent late in 10 of 100 s: send lag p99 above 1 ms and above 5 % of the median service time.
    "#]],
    );
    check(
        &run(100, 11, late),
        &ended(),
        expect![[r#"
        invalid, target saturated: false
        send_lag d1 11 s: d1 sent late in 11 of 100 s: send lag p99 above 1 ms and above 5 % of the median service time.
    "#]],
    );
}

#[test]
fn send_lag_is_measured_by_the_service_time() {
    let slow_target = |window: &mut DriverWindow| {
        late(window);
        (0..200).for_each(|_| window.steps[0].ok.service.record(40_000_000));
    };
    check(
        &run(10, 10, slow_target),
        &ended(),
        expect![[r#"
        valid, target saturated: false
    "#]],
    );
}

#[test]
fn each_cause_makes_its_second_bad() {
    let cause_of = |spoil: fn(&mut DriverWindow)| {
        let mut window = good(0);
        spoil(&mut window);
        window.judge();
        window.gauges.causes.unwrap()
    };
    let found = [
        cause_of(|_| {}),
        cause_of(late),
        cause_of(|window| window.gauges.busiest_thread_permille = 900),
        cause_of(|window| window.gauges.busiest_thread_permille = 901),
        cause_of(|window| window.gauges.throttled_us = 1),
        cause_of(|window| window.stages[0].missed.ours = 1),
        cause_of(|window| window.stages[0].missed = Missed { ours: 0, target: 9, limit: 9 }),
        cause_of(|window| window.steps[0].outcomes.push((Outcome::Failed(ErrorKind::LocalLimit, 0), 1))),
        cause_of(|window| window.steps[0].outcomes.push((Outcome::Failed(ErrorKind::ConnectRefused, 0), 1))),
        cause_of(|window| window.gauges.never_waited = true),
    ];
    let expected: [&[Cause]; 10] = [
        &[],
        &[Cause::SendLag],
        &[],
        &[Cause::EngineBusy],
        &[Cause::Throttled],
        &[Cause::MissedOurs],
        &[],
        &[Cause::LocalLimit],
        &[],
        &[Cause::GeneratorBound],
    ];
    assert_eq!(found, expected.map(Causes::of));
}

#[test]
fn a_second_with_two_causes_is_one_bad_second() {
    let both = |window: &mut DriverWindow| {
        late(window);
        window.gauges.throttled_us = 5_000;
    };
    check(
        &run(10, 1, both),
        &ended(),
        expect![[r#"
        suspect, target saturated: false
        send_lag d1 1 s: d1 sent late in 1 of 10 s: send lag p99 above 1 ms and above 5 % of the median service time.
        throttled d1 1 s: d1 was held back by its CPU quota in 1 of 10 s.
    "#]],
    );
}

#[test]
fn a_window_of_several_seconds_counts_them_all() {
    let long = |window: &mut DriverWindow| {
        late(window);
        window.to_s += 2;
    };
    check(
        &run(10, 1, long),
        &ended(),
        expect![[r#"
        invalid, target saturated: false
        send_lag d1 3 s: d1 sent late in 3 of 12 s: send lag p99 above 1 ms and above 5 % of the median service time.
    "#]],
    );
}

#[test]
fn a_saturated_loop_may_be_busy_but_not_the_bound() {
    let saturated = Context { saturated: true, ..ended() };
    let busy = |window: &mut DriverWindow| window.gauges.busiest_thread_permille = 1000;
    check(
        &run(10, 10, busy),
        &saturated,
        expect![[r#"
        valid, target saturated: false
    "#]],
    );
    let bound = |window: &mut DriverWindow| {
        window.gauges.busiest_thread_permille = 1000;
        window.gauges.never_waited = true;
    };
    check(
        &run(10, 9, bound),
        &saturated,
        expect![[r#"
        suspect, target saturated: false
        generator_bound d1 9 s: An engine thread of d1 never waited in 9 of 10 s: the target had room, so the rate is the generator's.
    "#]],
    );
    check(
        &run(10, 9, bound),
        &ended(),
        expect![[r#"
        invalid, target saturated: false
        engine_busy d1 9 s: An engine thread of d1 was busy more than 90 % in 9 of 10 s.
    "#]],
    );
}

#[test]
fn iterations_not_started_by_our_fault_are_weighed_by_their_number() {
    let missed = |window: &mut DriverWindow| {
        (window.stages[0].started, window.stages[0].missed.ours) = (0, 100);
        (window.steps[0], window.stages[0].send_lag) =
            (StepWindow::new(StepId(0), StageId(0)), Default::default());
    };
    check(
        &run(100, 5, missed),
        &ended(),
        expect![[r#"
        suspect, target saturated: false
        missed_ours d1 5 s: d1 could not start 500 due iterations, in 5 of 100 s.
    "#]],
    );
    check(
        &run(100, 6, missed),
        &ended(),
        expect![[r#"
        invalid, target saturated: false
        missed_ours d1 6 s: d1 could not start 600 due iterations, in 6 of 100 s.
        not_started all 0 s: 600 of 10000 due iterations were not started, by our fault or on lost drivers.
    "#]],
    );
}

#[test]
fn a_lost_driver_is_suspect_and_its_share_counts_when_nobody_took_it() {
    let mut merged = run(100, 0, late);
    merged.add("d2", &good(0));
    let lost = |replaced| LostDriver {
        node_id: "d2".to_owned(),
        replaced,
        said_totals: false,
        requests_sent: 140,
        due_unreported: 600,
    };
    check(
        &merged,
        &Context { lost: vec![lost(true)], overlap: 12, ..ended() },
        expect![[r#"
        suspect, target saturated: false
        driver_lost d2 0 s: d2 was lost; its share was taken over.
        overlap all 0 s: 12 iterations were sent by two drivers while a share moved.
    "#]],
    );
    check(
        &merged,
        &Context { lost: vec![lost(false)], ..ended() },
        expect![[r#"
        invalid, target saturated: false
        not_started all 0 s: 600 of 10700 due iterations were not started, by our fault or on lost drivers.
        driver_lost d2 0 s: d2 was lost; nobody took its share over.
    "#]],
    );
}

#[test]
fn a_target_that_cannot_keep_up_is_not_held_against_us() {
    let missed = |window: &mut DriverWindow| {
        (window.stages[0].started, window.stages[0].missed.target) = (95, 5);
    };
    check(
        &run(10, 10, missed),
        &ended(),
        expect![[r#"
        valid, target saturated: true
    "#]],
    );
    let queue = |window: &mut DriverWindow| {
        (0..300).for_each(|_| window.stages[0].connection_wait.record(3_000_000));
    };
    check(
        &run(10, 10, queue),
        &ended(),
        expect![[r#"
        valid, target saturated: true
    "#]],
    );
}

#[test]
fn what_nobody_measured_is_not_valid() {
    check(
        &Merged::new(),
        &Context::default(),
        expect![[r#"
        valid, target saturated: false
    "#]],
    );
    check(
        &Merged::new(),
        &ended(),
        expect![[r#"
        invalid, target saturated: false
        nothing_measured all 0 s: No second of any driver was measured.
    "#]],
    );
    let foreign = Context { summary_only: vec!["f1".to_owned()], ..ended() };
    check(
        &run(10, 0, late),
        &foreign,
        expect![[r#"
        suspect, target saturated: false
        summary_only f1 0 s: f1 reports summaries only, so nobody knows whether it kept up.
    "#]],
    );
}

#[test]
fn totals_that_differ_or_are_missing_make_a_run_incomplete() {
    let mut merged = run(10, 0, late);
    merged.add("d2", &good(0));
    merged.driver("d1").finish(&Totals { requests_sent: 3, succeeded: 2, failed: 1, ..Totals::default() });
    check(
        &merged,
        &ended(),
        expect![[r#"
            suspect, target saturated: false
            incomplete d1 0 s: d1 says 1003 requests sent, and 1000 were measured; 1002 requests succeeded, and 1000 were measured; 1 requests failed, and 0 were measured.
            incomplete d2 0 s: d2 did not say its totals.
        "#]],
    );
    check(
        &merged,
        &Context::default(),
        expect![[r#"
        valid, target saturated: false
    "#]],
    );
}

fn account(accounting: &Accounting, expected: Expect) {
    expected.assert_eq(&format!("{:?}\n{:?}\n{accounting}\n", accounting.iterations, accounting.requests));
}

#[test]
fn the_accounts_of_a_clean_run_balance() {
    account(
        &Accounting::of(&run(10, 0, late), &[], 0),
        expect![[r#"
        Iterations { due: 1000, started: 1000, missed: 0, lost: 0, overlap: 0 }
        Requests { sent: 1000, succeeded: 1000, failed: 0, cancelled: 0, unknown: 0 }
        balanced
    "#]],
    );
}

#[test]
fn what_a_lost_driver_took_with_it_is_lost_or_unknown() {
    let mut merged = run(10, 0, late);
    let mut last = good(0);
    // Three waited for a connection, and four were in flight.
    (last.stages[0].due, last.steps[0].sent) = (103, 104);
    merged.add("d2", &last);
    let lost = LostDriver {
        node_id: "d2".to_owned(),
        replaced: true,
        said_totals: false,
        requests_sent: 140,
        due_unreported: 60,
    };
    account(
        &Accounting::of(&merged, &[lost], 2),
        expect![[r#"
        Iterations { due: 1163, started: 1100, missed: 0, lost: 63, overlap: 2 }
        Requests { sent: 1140, succeeded: 1100, failed: 0, cancelled: 0, unknown: 40 }
        balanced
    "#]],
    );
    let silent = LostDriver {
        node_id: "d3".to_owned(),
        replaced: false,
        said_totals: false,
        requests_sent: 7,
        due_unreported: 9,
    };
    account(
        &Accounting::of(&run(1, 0, late), &[silent], 0),
        expect![[r#"
        Iterations { due: 109, started: 100, missed: 0, lost: 9, overlap: 0 }
        Requests { sent: 107, succeeded: 100, failed: 0, cancelled: 0, unknown: 7 }
        balanced
    "#]],
    );
}

#[test]
fn accounts_that_do_not_balance_say_where() {
    let mut merged = run(10, 1, |window| {
        window.steps[0].sent += 1;
        window.stages[0].due += 2;
    });
    merged.driver("d1").finish(&Totals { bytes_in: 5, ..Totals::default() });
    account(
        &Accounting::of(&merged, &[], 0),
        expect![[r#"
        Iterations { due: 1002, started: 1000, missed: 0, lost: 0, overlap: 0 }
        Requests { sent: 1001, succeeded: 1000, failed: 0, cancelled: 0, unknown: 0 }
        not balanced: 1002 iterations due ≠ 1000 started + 0 missed + 0 lost; 1001 requests sent ≠ 1000 succeeded + 0 failed + 0 cancelled + 0 unknown; d1 says 5 bytes in, and 0 were measured
    "#]],
    );
}
