//! The verdict, as tables: what was measured, and what is said of it.

mod seconds;

use expect_test::{Expect, expect};
use metrics::verdict::{Context, Value, judge};
use metrics::{DriverWindow, ErrorKind, LostDriver, Merged, Missed, StepWindow, Totals};
use plan::{StageId, StepId};
use seconds::{ended, fails, finish, gauges, good, late, queue, run, stopped};

fn check(merged: &Merged, context: &Context, expected: Expect) {
    let verdict = judge(merged, context);
    let mut text = format!("{}, target saturated: {}\n", verdict.value.as_str(), verdict.target_saturated);
    for reason in &verdict.reasons {
        let driver = reason.driver.as_deref().unwrap_or("all");
        text += &format!("{} {driver} {} s: {}\n", reason.code, reason.seconds, reason.text);
    }
    for finding in &verdict.findings {
        let driver = finding.driver.as_deref().unwrap_or("all");
        text += &format!("finding {} {driver} {} s: {}\n", finding.code, finding.seconds, finding.text);
    }
    expected.assert_eq(&text);
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
            send_lag d1 1 s: d1 sent late in 1 of 100 s: send lag p99 above 1 ms and above 5 % of the median service time. Give it more CPU or threads, or add drivers.
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
            send_lag d1 2 s: d1 sent late in 2 of 100 s: send lag p99 above 1 ms and above 5 % of the median service time. Give it more CPU or threads, or add drivers.
        "#]],
    );
    check(
        &run(100, 10, late),
        &ended(),
        expect![[r#"
            suspect, target saturated: false
            send_lag d1 10 s: d1 sent late in 10 of 100 s: send lag p99 above 1 ms and above 5 % of the median service time. Give it more CPU or threads, or add drivers.
        "#]],
    );
    check(
        &run(100, 11, late),
        &ended(),
        expect![[r#"
            invalid, target saturated: false
            send_lag d1 11 s: d1 sent late in 11 of 100 s: send lag p99 above 1 ms and above 5 % of the median service time. Give it more CPU or threads, or add drivers.
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
            send_lag d1 1 s: d1 sent late in 1 of 10 s: send lag p99 above 1 ms and above 5 % of the median service time. Give it more CPU or threads, or add drivers.
            throttled d1 1 s: d1 was held back by its CPU quota in 1 of 10 s. Raise the limit of its cgroup, or add drivers.
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
            send_lag d1 3 s: d1 sent late in 3 of 12 s: send lag p99 above 1 ms and above 5 % of the median service time. Give it more CPU or threads, or add drivers.
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
    let starved = gauges(1000, 400, 0, 0);
    check(
        &run(10, 10, starved),
        &saturated,
        expect![[r#"
        valid, target saturated: false
    "#]],
    );
    let bound = |window: &mut DriverWindow| {
        window.gauges.busiest_thread_permille = 1000;
        window.gauges.never_waited = true;
    };
    let bound_and_starved = |window: &mut DriverWindow| {
        bound(window);
        window.gauges.starved_permille = 400;
    };
    check(
        &run(10, 9, bound_and_starved),
        &saturated,
        expect![[r#"
        suspect, target saturated: false
        generator_bound d1 9 s: An engine thread of d1 never waited in 9 of 10 s: the target had room, so the rate is the generator's. Give it more threads, or add drivers.
        engine_starved d1 9 s: An engine thread of d1 was ready to run but had no CPU in 9 of 10 s. Stop what else runs on its cores, or give it cores of its own.
    "#]],
    );
    let late_and_starved = |window: &mut DriverWindow| {
        late(window);
        window.gauges.starved_permille = 400;
    };
    check(
        &run(10, 9, late_and_starved),
        &saturated,
        expect![[r#"
        invalid, target saturated: false
        send_lag d1 9 s: d1 sent late in 9 of 10 s: send lag p99 above 1 ms and above 5 % of the median service time. Give it more CPU or threads, or add drivers.
        engine_starved d1 9 s: An engine thread of d1 was ready to run but had no CPU in 9 of 10 s. Stop what else runs on its cores, or give it cores of its own.
    "#]],
    );
    check(
        &run(10, 9, bound),
        &saturated,
        expect![[r#"
            suspect, target saturated: false
            generator_bound d1 9 s: An engine thread of d1 never waited in 9 of 10 s: the target had room, so the rate is the generator's. Give it more threads, or add drivers.
        "#]],
    );
    check(
        &run(10, 9, bound),
        &ended(),
        expect![[r#"
            invalid, target saturated: false
            engine_busy d1 9 s: An engine thread of d1 was busy more than 90 % in 9 of 10 s. Give it more threads, or add drivers.
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
            missed_ours d1 5 s: d1 could not start 500 due iterations, in 5 of 100 s: it was late, paused or learned of its share too late. Look at its other reasons first.
        "#]],
    );
    check(
        &run(100, 6, missed),
        &ended(),
        expect![[r#"
            invalid, target saturated: false
            missed_ours d1 6 s: d1 could not start 600 due iterations, in 6 of 100 s: it was late, paused or learned of its share too late. Look at its other reasons first.
            not_started all 0 s: 600 of 10000 due iterations were not started, by our fault or on lost drivers: the load was below the plan. Remove the other reasons and run again.
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
            driver_lost d2 0 s: d2 was lost; its share was taken over. Look at its log and its machine for why.
            overlap all 0 s: 12 iterations were sent by two drivers while a share moved: the load was above the plan then.
        "#]],
    );
    check(
        &merged,
        &Context { lost: vec![lost(false)], ..ended() },
        expect![[r#"
            invalid, target saturated: false
            not_started all 0 s: 600 of 10700 due iterations were not started, by our fault or on lost drivers: the load was below the plan. Remove the other reasons and run again.
            driver_lost d2 0 s: d2 was lost; nobody took its share over, so the load was below the plan. Look at its log and its machine for why.
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
            finding target_saturated d1 10 s: The target could not keep up with d1 in 10 of 10 s: iterations were missed, or waited longer for a connection than they then took. Its limit is reached, or connections.max is too low.
        "#]],
    );
    check(
        &run(10, 10, queue),
        &ended(),
        expect![[r#"
            valid, target saturated: true
            finding target_saturated d1 10 s: The target could not keep up with d1 in 10 of 10 s: iterations were missed, or waited longer for a connection than they then took. Its limit is reached, or connections.max is too low.
        "#]],
    );
}

/// A thread without CPU sees connections that are free long after they are, and so lets iterations wait or miss them.
#[test]
fn what_a_starved_thread_waits_for_is_no_finding_on_the_target() {
    let (starved, throttled) = (gauges(950, 700, 0, 0), gauges(950, 0, 0, 700_000));
    let waits: [&dyn Fn(&mut DriverWindow); 2] = [&queue, &|window| window.stages[0].missed.target = 50];
    for wait in waits {
        for withheld in [&starved as &dyn Fn(&mut DriverWindow), &throttled] {
            let merged = run(10, 10, |window| {
                wait(window);
                withheld(window);
            });
            let verdict = judge(&merged, &ended());
            assert!(!verdict.target_saturated && verdict.findings.is_empty(), "{verdict:?}");
            assert_eq!(verdict.value, Value::Invalid);
        }
        // A little of it, as on any machine, hides nothing.
        let merged = run(10, 10, |window| {
            wait(window);
            gauges(500, 100, 0, 0)(window);
        });
        assert!(judge(&merged, &ended()).target_saturated);
    }
}

#[test]
fn a_target_that_refuses_or_stops_is_a_finding() {
    let refuse = |window: &mut DriverWindow| fails(window, ErrorKind::ConnectRefused, 50);
    check(
        &run(10, 3, refuse),
        &ended(),
        expect![[r#"
        valid, target saturated: false
        finding target_refusing d1 3 s: The target refused or reset connections of d1 in 3 of 10 s. Look at its listen queue and its limits.
    "#]],
    );
    // Two seconds of silence, after which all is answered.
    let mut merged = run(10, 2, stopped);
    let mut caught_up = good(10);
    (0..200).for_each(|_| caught_up.steps[0].ok.service.record(2_000_000_000));
    caught_up.judge();
    merged.add("d1", &caught_up);
    finish(&mut merged);
    check(
        &merged,
        &Context::default(),
        expect![[r#"
        valid, target saturated: false
        finding target_stopped d1 2 s: The target answered nothing to d1 in 2 of 11 s, though requests were out. Look at what it did then.
    "#]],
    );
    let plan_limit = |window: &mut DriverWindow| {
        (window.stages[0].started, window.stages[0].missed.limit) = (90, 10);
    };
    check(
        &run(10, 4, plan_limit),
        &ended(),
        expect![[r#"
            valid, target saturated: false
            finding plan_limit d1 4 s: The plan itself kept 40 iterations of d1 from starting, in 4 of 10 s. If they were wanted, raise max_in_flight or the target throughput, or give it more rows of data.
        "#]],
    );
}

#[test]
fn silence_says_nothing_where_answers_are_slow_or_requests_rare() {
    let stopped_seconds = |merged: &Merged| judge(merged, &Context::default()).findings.len();
    // All answers came within milliseconds: what was out at the end of a second had just left.
    assert_eq!(stopped_seconds(&run(10, 3, stopped)), 0);
    // Answers take seconds.
    let mut slow = run(10, 3, stopped);
    let mut window = good(10);
    window.steps[0].ok.service = Default::default();
    (0..2000).for_each(|_| window.steps[0].ok.service.record(3_000_000_000));
    slow.add("d1", &window);
    assert_eq!(stopped_seconds(&slow), 0);
    // Nothing was ever answered.
    assert_eq!(stopped_seconds(&run(3, 3, stopped)), 1);
}

/// Whatever a target does, the generators are not to blame for it.
#[test]
fn no_fault_of_the_target_makes_a_run_less_than_valid() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let rng = &mut fastrand::Rng::with_seed(seed);
        let mut merged = Merged::new();
        for second in 0..20 {
            let mut window = good(second);
            fault_of_the_target(&mut window, rng);
            window.judge();
            merged.add("d1", &window);
        }
        finish(&mut merged);
        for saturated in [false, true] {
            let verdict = judge(&merged, &Context { saturated, ..ended() });
            assert_eq!(
                (verdict.value.as_str(), verdict.reasons.len()),
                ("valid", 0),
                "seed {seed}: {verdict:?}"
            );
            seen.extend(verdict.findings.iter().map(|finding| finding.code));
        }
    }
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        ["plan_limit", "target_refusing", "target_saturated", "target_stopped"]
    );
}

/// Anything that a target, or the plan's limit, can do to a second.
fn fault_of_the_target(window: &mut DriverWindow, rng: &mut fastrand::Rng) {
    if rng.u8(..4) == 0 {
        stopped(window);
    }
    if rng.u8(..4) == 0 {
        queue(window);
    }
    let kinds = ErrorKind::ALL.into_iter().filter(|kind| !kind.is_ours());
    for kind in kinds {
        if rng.u8(..8) != 0 {
            continue;
        }
        fails(window, kind, rng.u64(1..200));
        window.steps[0].failed.response.record(rng.u64(1..40_000_000_000));
        window.steps[0].failed.service.record(rng.u64(1..40_000_000_000));
    }
    let (target, limit) = (rng.u64(..40), rng.u64(..40));
    window.stages[0].started -= target + limit;
    window.stages[0].missed = Missed { ours: 0, target, limit };
    window.stages[0].connection_wait.record(rng.u64(..30_000_000_000));
    window.steps[0].ok.service.record(rng.u64(..30_000_000_000));
    window.steps[0].cancelled = rng.u64(..3);
    window.gauges.queued = rng.u32(..1000);
    // Its own machine may be busy, too, as long as nothing comes of it.
    window.gauges.starved_permille = rng.u16(..500);
    window.gauges.stolen_permille = rng.u16(..500);
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
            nothing_measured all 0 s: No second of any driver was measured. Look at the timeline for what ended the run.
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
