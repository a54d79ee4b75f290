//! Measurements made up from a seed.

#![allow(dead_code, reason = "each test uses its part")]

use fastrand::Rng;
use metrics::{
    Cause, Causes, DriverTotals, DriverWindow, ErrorKind, EventCounts, Gauges, Merged, Missed, Outcome, Pair,
    Phase, PhaseTimings, StageWindow, StepWindow, Timing, Totals,
};
use plan::{StageId, StepId};

pub fn pick<T: Copy>(rng: &mut Rng, options: &[T]) -> T {
    options[rng.usize(..options.len())]
}

/// A duration in ns of any magnitude, now and then beyond the last bin.
pub fn duration_ns(rng: &mut Rng) -> u64 {
    match rng.u8(..) {
        0 => 0,
        1 => u64::MAX,
        _ => rng.u64(..) >> rng.u32(21..64),
    }
}

/// A latency in ns around `typical_ns`, skewed to the right as latencies are.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and far below 2^64")]
pub fn latency_ns(rng: &mut Rng, typical_ns: u64) -> u64 {
    let spread = (rng.f64() + rng.f64() + rng.f64() - 1.5) * 1.2;
    (typical_ns as f64 * spread.exp()) as u64
}

/// `count` latencies around `typical_ns`.
pub fn latencies(rng: &mut Rng, typical_ns: u64, count: usize) -> Timing {
    let mut timing = Timing::new();
    for _ in 0..count {
        timing.record(latency_ns(rng, typical_ns));
    }
    timing
}

pub fn timing(rng: &mut Rng) -> Timing {
    let mut timing = Timing::new();
    for _ in 0..pick(rng, &[0, 1, 3, 40, 400]) {
        timing.record(duration_ns(rng));
    }
    timing
}

fn pair(rng: &mut Rng) -> Pair {
    Pair { response: timing(rng), service: timing(rng) }
}

pub fn phases(rng: &mut Rng) -> PhaseTimings {
    PhaseTimings::new(Phase::ALL.map(|_| timing(rng)))
}

fn outcome(rng: &mut Rng) -> Outcome {
    match rng.u8(0..3) {
        0 => Outcome::Success(rng.u16(200..204)),
        1 => Outcome::Failed(pick(rng, &[ErrorKind::Status, ErrorKind::LocalLimit]), rng.u16(..)),
        _ => Outcome::Failed(pick(rng, &ErrorKind::ALL), 0),
    }
}

fn count(rng: &mut Rng) -> u64 {
    rng.u64(..) >> rng.u32(10..64)
}

pub fn step(rng: &mut Rng, step: u16, stage: u16) -> StepWindow {
    let mut window = StepWindow::new(StepId(step), StageId(stage));
    window.sent = count(rng);
    window.ok = pair(rng);
    window.failed = pair(rng);
    let mut outcomes: Vec<_> = (0..rng.usize(..6)).map(|_| (outcome(rng), 1 + count(rng))).collect();
    outcomes.sort_unstable();
    outcomes.dedup_by_key(|(outcome, _)| *outcome);
    window.outcomes = outcomes;
    window.cancelled = count(rng);
    window.bytes_in = count(rng);
    window.bytes_out = count(rng);
    window.phases = if rng.bool() { Some(Box::new(phases(rng))) } else { None };
    window
}

fn missed(rng: &mut Rng) -> Missed {
    Missed { ours: count(rng), target: count(rng), limit: count(rng) }
}

pub fn stage(rng: &mut Rng, stage: u16) -> StageWindow {
    StageWindow {
        stage: StageId(stage),
        due: count(rng),
        started: count(rng),
        missed: missed(rng),
        completed: count(rng),
        iteration_time: timing(rng),
        send_lag: timing(rng),
        connection_wait: timing(rng),
    }
}

pub fn causes(rng: &mut Rng) -> Causes {
    let chosen: Vec<Cause> = Cause::ALL.into_iter().filter(|_| rng.bool()).collect();
    Causes::of(&chosen)
}

pub fn gauges(rng: &mut Rng) -> Gauges {
    Gauges {
        in_flight: rng.u32(..1000),
        queued: rng.u32(..1000),
        connections: rng.u32(..1000),
        busiest_thread_permille: rng.u16(..=1000),
        never_waited: rng.bool(),
        throttled_us: count(rng),
        cpu_permille: rng.u32(..64_000),
        memory_bytes: count(rng),
        starved_permille: rng.u16(..=1000),
        stolen_permille: rng.u16(..=1000),
        causes: if rng.bool() { Some(causes(rng)) } else { None },
    }
}

/// A window of a few steps and stages.
pub fn window(rng: &mut Rng) -> DriverWindow {
    let from_s = rng.u32(..100);
    let rows = (0..3u16).flat_map(|stage| (0..4u16).map(move |step| (stage, step)));
    let rows: Vec<_> = rows.filter(|_| rng.u8(..3) == 0).collect();
    let stages: Vec<_> = (0..3u16).filter(|_| rng.bool()).collect();
    DriverWindow {
        from_s,
        to_s: from_s + rng.u32(1..4),
        steps: rows.into_iter().map(|(stage, number)| step(rng, number, stage)).collect(),
        stages: stages.into_iter().map(|number| stage(rng, number)).collect(),
        gauges: gauges(rng),
    }
}

pub fn totals(rng: &mut Rng) -> Totals {
    Totals {
        due: count(rng),
        started: count(rng),
        missed: missed(rng),
        requests_sent: count(rng),
        succeeded: count(rng),
        failed: count(rng),
        cancelled: count(rng),
        bytes_in: count(rng),
        bytes_out: count(rng),
        windows: count(rng),
        events: rng.bool().then(|| EventCounts { produced: count(rng), dropped: count(rng) }),
    }
}

/// A run of a few windows of a few drivers.
pub fn merged(rng: &mut Rng) -> Merged {
    let mut merged = Merged::new();
    for _ in 0..rng.usize(..4) {
        let node_id = format!("d{}", rng.u8(..3));
        merged.add(&node_id, &window(rng));
        if rng.bool() {
            merged.driver(&node_id).finish(&totals(rng));
        }
    }
    merged
}

pub fn driver(rng: &mut Rng) -> DriverTotals {
    merged(rng).drivers.into_values().next().unwrap_or_default()
}

/// One second of a driver with `steps` rows of `requests` each, as a recorder leaves it.
pub fn busy_window(rng: &mut Rng, steps: u16, requests: usize) -> DriverWindow {
    let mut window = DriverWindow { from_s: 7, to_s: 8, ..DriverWindow::default() };
    for number in 0..steps {
        let typical_ns = 2_000_000 + u64::from(number) * 50_000;
        let mut step = StepWindow::new(StepId(number), StageId(0));
        step.sent = requests as u64;
        step.ok = Pair {
            response: latencies(rng, typical_ns, requests),
            service: latencies(rng, typical_ns, requests),
        };
        step.outcomes = vec![(Outcome::Success(200), requests as u64)];
        window.steps.push(step);
    }
    let mut stage = StageWindow::new(StageId(0));
    let all = usize::from(steps) * requests;
    (stage.due, stage.started) = (all as u64, all as u64);
    stage.send_lag = latencies(rng, 20_000, all);
    stage.connection_wait.record(0);
    window.stages.push(stage);
    window.judge();
    window
}
