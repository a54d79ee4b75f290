//! What a second is noted for: each cause told from the others, alone and together.

mod seconds;

use metrics::{Cause, DriverWindow, ErrorKind, LocalLimit, Missed, Outcome};
use seconds::{fails, gauges, good, late, outcome, queue, stopped};

/// What a good second is noted for once it was spoilt.
fn noted(spoil: impl Fn(&mut DriverWindow)) -> Vec<&'static str> {
    let mut window = good(0);
    spoil(&mut window);
    window.judge();
    window.gauges.causes.unwrap_or_default().iter().map(Cause::as_str).collect()
}

#[test]
fn a_second_is_noted_for_what_we_did() {
    let is = |spoil: &dyn Fn(&mut DriverWindow), expected: &[&str]| assert_eq!(noted(spoil), expected);
    is(&|_| {}, &[]);
    is(&late, &["send_lag"]);
    is(&gauges(900, 0, 0, 0), &[]);
    is(&gauges(901, 0, 0, 0), &["engine_busy"]);
    is(&gauges(300, 0, 0, 1), &["throttled"]);
    is(&|window| window.stages[0].missed.ours = 1, &["missed_ours"]);
    is(&|window| window.gauges.never_waited = true, &["generator_bound"]);
    let limits = [
        (LocalLimit::Other, "local_limit"),
        (LocalLimit::Descriptors, "no_descriptor"),
        (LocalLimit::Ports, "no_port"),
        (LocalLimit::Memory, "no_memory"),
    ];
    for (limit, code) in limits {
        is(&|window| outcome(window, Outcome::local_limit(limit), 1), &[code]);
    }
}

#[test]
fn a_busy_thread_is_told_from_one_that_had_no_cpu() {
    let is = |spoil: &dyn Fn(&mut DriverWindow), expected: &[&str]| assert_eq!(noted(spoil), expected);
    // Neither late nor full: what else the machine does is no harm.
    is(&gauges(300, 400, 0, 0), &[]);
    is(&gauges(300, 0, 400, 0), &[]);
    // Full, because it had no CPU; by itself, with the usual noise; and both.
    is(&gauges(1000, 400, 0, 0), &["engine_starved"]);
    is(&gauges(1000, 10, 0, 0), &["engine_busy"]);
    is(&gauges(1000, 60, 0, 0), &["engine_busy", "engine_starved"]);
    is(&gauges(1000, 0, 300, 0), &["cpu_stolen"]);
    is(&gauges(1000, 60, 60, 0), &["engine_starved", "cpu_stolen"]);
    // Late, because it was not woken in time.
    let late_and = |starved, stolen| {
        move |window: &mut DriverWindow| {
            gauges(300, starved, stolen, 0)(window);
            late(window);
        }
    };
    is(&late_and(100, 0), &["send_lag", "engine_starved"]);
    is(&late_and(0, 100), &["send_lag", "cpu_stolen"]);
    is(&late_and(10, 20), &["send_lag"]);
    // A quota holds threads back that are ready to run; that is no other process's fault.
    is(&gauges(1000, 400, 0, 400_000), &["throttled"]);
    is(&gauges(1000, 400, 0, 100_000), &["throttled", "engine_starved"]);
    is(&gauges(1000, 0, 0, 50_000), &["engine_busy", "throttled"]);
}

#[test]
fn a_second_is_noted_for_what_the_target_or_the_plan_did() {
    let is = |spoil: &dyn Fn(&mut DriverWindow), expected: &[&str]| assert_eq!(noted(spoil), expected);
    is(&|window| window.stages[0].missed.target = 1, &[]);
    is(&|window| window.stages[0].missed.target = 2, &["target_saturated"]);
    is(&queue, &["target_saturated"]);
    is(&|window| window.stages[0].missed.limit = 1, &["plan_limit"]);
    is(&|window| fails(window, ErrorKind::ConnectRefused, 1), &[]);
    is(&|window| fails(window, ErrorKind::ConnectRefused, 2), &["target_refusing"]);
    is(&|window| fails(window, ErrorKind::ConnectReset, 200), &["target_refusing"]);
    is(&|window| fails(window, ErrorKind::Status, 200), &[]);
    is(&stopped, &["target_stopped"]);
    let timed_out = |window: &mut DriverWindow| {
        stopped(window);
        fails(window, ErrorKind::ReadTimeout, 5);
    };
    is(&timed_out, &["target_stopped"]);
    let idle = |window: &mut DriverWindow| {
        stopped(window);
        window.gauges.in_flight = 0;
    };
    is(&idle, &[]);
    let all = |window: &mut DriverWindow| {
        late(window);
        fails(window, ErrorKind::ConnectRefused, 9);
        window.stages[0].missed = Missed { ours: 1, target: 9, limit: 9 };
    };
    is(&all, &["send_lag", "missed_ours", "target_saturated", "target_refusing", "plan_limit"]);
}
