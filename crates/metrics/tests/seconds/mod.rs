//! Good seconds of a driver, and ways to spoil them.

#![allow(dead_code, reason = "each test uses its part")]

use metrics::verdict::Context;
use metrics::{DriverWindow, ErrorKind, Gauges, Merged, Outcome, StageWindow, StepWindow};
use plan::{StageId, StepId};

/// A good second: 100 iterations of one request of 2 ms, sent 50 µs late.
pub fn good(second: u32) -> DriverWindow {
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
pub fn run(seconds: u32, bad: u32, spoil: impl Fn(&mut DriverWindow)) -> Merged {
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

pub fn finish(merged: &mut Merged) {
    for driver in merged.drivers.values_mut() {
        driver.finish(&driver.totals().clone());
    }
}

pub fn ended() -> Context {
    Context { ended: true, ..Context::default() }
}
pub fn late(window: &mut DriverWindow) {
    (0..2).for_each(|_| window.stages[0].send_lag.record(1_100_000));
}
/// Waits of 3 ms for a connection, where a request takes 2 ms.
pub fn queue(window: &mut DriverWindow) {
    (0..300).for_each(|_| window.stages[0].connection_wait.record(3_000_000));
}

pub fn outcome(window: &mut DriverWindow, outcome: Outcome, count: u64) {
    window.steps[0].outcomes.push((outcome, count));
}

pub fn fails(window: &mut DriverWindow, kind: ErrorKind, count: u64) {
    outcome(window, Outcome::Failed(kind, 0), count);
}

/// Requests are out, and none comes to an end.
pub fn stopped(window: &mut DriverWindow) {
    window.steps[0] = StepWindow { sent: 100, ..StepWindow::new(StepId(0), StageId(0)) };
    window.gauges.in_flight = 100;
}

pub fn gauges(busy: u16, starved: u16, stolen: u16, throttled_us: u64) -> impl Fn(&mut DriverWindow) {
    move |window| {
        window.gauges.busiest_thread_permille = busy;
        window.gauges.starved_permille = starved;
        window.gauges.stolen_permille = stolen;
        window.gauges.throttled_us = throttled_us;
    }
}
