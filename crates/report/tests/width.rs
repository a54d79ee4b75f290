//! No line is wider than the page, whatever is said.

mod fixture;

use fixture::summary;
use report::{
    DriverSummary, ErrorSummary, PhaseSummary, Progress, ReasonSummary, RequestCounts, StageProgress,
    StepSummary, Summary, ThresholdSummary, Times, live_block, progress_line, text,
};
use unicode_width::UnicodeWidthStr;

fn name(random: &mut fastrand::Rng) -> String {
    const LETTERS: [&str; 14] = [
        "a",
        "Z",
        " ",
        "/",
        "日",
        "本",
        "é",
        "e\u{301}",
        "👩‍👩‍👧",
        "\n",
        "\x1b[31m",
        "\u{202e}",
        "\u{200b}",
        "…",
    ];
    let length = [0, 3, 20, 120][random.usize(..4)];
    (0..length).map(|_| LETTERS[random.usize(..LETTERS.len())]).collect()
}

fn maybe<T>(random: &mut fastrand::Rng, value: impl FnOnce(&mut fastrand::Rng) -> T) -> Option<T> {
    if random.u8(..5) == 0 { None } else { Some(value(random)) }
}

fn number(random: &mut fastrand::Rng) -> u64 {
    random.u64(..) >> random.u32(..64)
}

fn float(random: &mut fastrand::Rng) -> f64 {
    match random.u8(..12) {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => 0.0,
        3 => -random.f64(),
        _ => random.f64() * 10f64.powi(random.i32(-12..40)),
    }
}

fn times(random: &mut fastrand::Rng) -> Times {
    let mut figure = || maybe(random, float);
    Times {
        mean: figure(),
        median: figure(),
        min: figure(),
        max: figure(),
        stddev: figure(),
        p50: figure(),
        p75: figure(),
        p90: figure(),
        p95: figure(),
        p99: figure(),
        p99_9: figure(),
        p99_99: figure(),
        lower_bound_from: [None, Some("p75"), Some("p99_9"), Some("?")][random.usize(..4)].map(str::to_owned),
    }
}

fn phases(random: &mut fastrand::Rng) -> PhaseSummary {
    PhaseSummary {
        lookup_ms: times(random),
        connect_ms: times(random),
        tls_ms: times(random),
        sending_ms: times(random),
        waiting_ms: times(random),
        receiving_ms: times(random),
    }
}

fn requests(random: &mut fastrand::Rng) -> RequestCounts {
    RequestCounts {
        sent: maybe(random, number),
        succeeded: maybe(random, number),
        failed: maybe(random, number),
        cancelled: maybe(random, number),
        unknown: maybe(random, number),
    }
}

fn any_summary(random: &mut fastrand::Rng, like: &Summary) -> Summary {
    let mut summary = like.clone();
    summary.plan = name(random);
    summary.run_id = name(random);
    summary.state = name(random);
    summary.loop_kind = name(random);
    summary.started_at = maybe(random, name);
    summary.duration_s = maybe(random, float);
    summary.measured_s = maybe(random, float);
    summary.verdict.value = name(random);
    summary.verdict.target_saturated = random.bool();
    summary.requests = requests(random);
    summary.iterations.due = maybe(random, number);
    summary.iterations.started = maybe(random, number);
    summary.rate.planned_per_s = maybe(random, float);
    summary.rate.achieved_per_s = maybe(random, float);
    summary.bytes.received = maybe(random, number);
    summary.response_time_ms = times(random);
    summary.service_time_ms = times(random);
    summary.send_lag_ms = times(random);
    summary.connection_wait_ms = times(random);
    summary.accounting.iterations_due = maybe(random, number);
    summary.accounting.iterations_started = maybe(random, number);
    summary.accounting.requests_sent = maybe(random, number);
    summary.accounting.events_produced = maybe(random, number);
    summary.accounting.events_stored = maybe(random, number);
    for _ in 0..[0, 3, 50][random.usize(..3)] {
        summary.verdict.reasons.push(ReasonSummary {
            code: name(random),
            driver: maybe(random, name),
            seconds: number(random),
            text: name(random),
        });
        summary.verdict.findings.extend(summary.verdict.reasons.last().cloned());
        summary.steps.push(StepSummary {
            name: name(random),
            requests: requests(random),
            response_time_ms: times(random),
            service_time_ms: times(random),
            phases: maybe(random, phases),
            errors: Vec::new(),
        });
        summary.errors.push(ErrorSummary {
            kind: name(random),
            detail: maybe(random, name),
            count: number(random),
        });
        summary.drivers.push(DriverSummary {
            node_id: name(random),
            state: name(random),
            requests_sent: maybe(random, number),
            send_lag_p99_us: maybe(random, float),
            cpu_percent: maybe(random, float),
        });
        summary.thresholds.push(ThresholdSummary {
            expression: name(random),
            scope: name(random),
            result: name(random),
            observed: maybe(random, float),
            limit: maybe(random, float),
            unit: maybe(random, name),
            first_breach_s: maybe(random, |random| random.u32(..)),
            failed: random.bool(),
            aborted: random.bool(),
        });
    }
    summary
}

fn any_progress(random: &mut fastrand::Rng) -> Progress {
    Progress {
        plan: name(random),
        run_id: name(random),
        state: name(random),
        elapsed_s: float(random),
        planned_s: maybe(random, float),
        done_share: maybe(random, float),
        stage: maybe(random, |random| StageProgress {
            place: maybe(random, |random| (random.usize(..), random.usize(..))),
            name: name(random),
            warmup: random.bool(),
        }),
        planned_per_s: maybe(random, float),
        achieved_per_s: maybe(random, float),
        sent: number(random),
        done: number(random),
        failed: number(random),
        missed: number(random),
        in_flight: number(random),
        connections: number(random),
        p50_ms: maybe(random, float),
        p99_ms: maybe(random, float),
        max_ms: maybe(random, float),
        drivers_reporting: random.u32(..),
        drivers: random.u32(..),
        send_lag_p99_ms: maybe(random, float),
        verdict: maybe(random, name),
        storage_trouble: maybe(random, name),
        last_event: maybe(random, name),
    }
}

fn fits(line: &str, width: usize, seed: u64) {
    assert!(line.width() <= width, "{} columns of {width}, seed {seed}: {line:?}", line.width());
    assert!(!line.chars().any(|letter| letter.is_control() || letter == '\u{202e}'), "seed {seed}: {line:?}");
}

#[test]
fn no_line_is_wider_than_the_page() {
    let like = summary(0, false);
    for seed in 0..400 {
        let mut random = fastrand::Rng::with_seed(seed);
        let width = if seed % 4 == 0 { random.usize(..140) } else { 80 };
        let page = text(&any_summary(&mut random, &like), false, width);
        page.lines().for_each(|line| fits(line, width, seed));
        let progress = any_progress(&mut random);
        let block = live_block(&progress, false, width);
        assert_eq!(block.len(), 9 + usize::from(progress.storage_trouble.is_some()));
        block.iter().for_each(|line| fits(line, width, seed));
        fits(&progress_line(&progress), 160, seed);
    }
}

/// Names give way, numbers do not: with long names and an hour at the highest rates nothing but names is cut.
#[test]
fn long_names_leave_the_numbers_whole() {
    let mut summary = summary(0, false);
    let long = "GET /api/a/very/long/path/that/goes/on/and/on/until/nobody/reads/it/any/more/{id}";
    summary.plan = long.to_owned();
    for step in &mut summary.steps {
        step.name = long.to_owned();
        step.requests.sent = Some(1_800_000_000);
        step.requests.failed = Some(1_799_999_999);
        step.response_time_ms.max = Some(29_999.9);
        step.response_time_ms.lower_bound_from = Some("p99".to_owned());
    }
    for driver in &mut summary.drivers {
        driver.node_id = long.to_owned();
        driver.requests_sent = Some(1_800_000_000);
    }
    let page = text(&summary, false, 80);
    for line in page.lines() {
        fits(line, 80, 0);
        assert!(!line.ends_with('…'), "cut: {line}");
    }
    assert!(page.contains("1,800,000,000"), "{page}");
}
