//! The summary as a page of text: what is printed when a run ends.
//!
//! Reads from the question to the answer: which run, how much was asked and done, how long it took, where, what failed,
//! who sent it, whether it adds up; and last, where the eye rests, whether to believe it, and which thresholds failed. Invariant: every number comes
//! from the [`Summary`], so the page says what the JSON says.

use crate::number::{self, NOTHING, clock, count, percent, share, three_digits};
use crate::page::{Line, Tone, columns, shortened, wrapped};
use crate::summary::{
    AccountingSummary, DriverSummary, ErrorSummary, ReasonSummary, Summary, ThresholdSummary, Times,
};
use crate::table::{Align, Cell, Table, cell};

/// Rows of a table; a terminal shows no more, and the JSON has all.
const MAX_ROWS: usize = 40;

/// Columns of the name of a section that is one line.
const LABEL: usize = 10;

/// Columns of the left half of the page, where two short tables stand beside each other.
const HALF: usize = 41;

/// The summary in lines of at most `width` columns (80 is what it is laid out for), with ANSI colours if asked.
pub fn text(summary: &Summary, color: bool, width: usize) -> String {
    let mut lines = title(summary, width);
    let sections = [
        rate(summary),
        counts(summary),
        latency(summary, width),
        steps(summary, width),
        groups(summary, width),
        phases(summary, width),
        errors(summary, width),
        thresholds(summary, width),
        drivers(summary, width),
        accounting(summary),
        verdict(summary, width),
        failed_thresholds(summary, width),
        teardown(summary, width),
    ];
    for section in sections.into_iter().filter(|section| !section.is_empty()) {
        lines.push(Line::new());
        lines.extend(section);
    }
    let mut page = String::new();
    for line in lines {
        page.push_str(&line.print(width, color));
        page.push('\n');
    }
    page
}

/// The beginning and the end of a long identity, enough to tell runs apart; UUIDs of one minute begin alike.
pub(crate) fn short_id(run_id: &str) -> String {
    let letters: Vec<char> = run_id.chars().collect();
    match letters.as_slice() {
        [start @ .., a, b, c, d] if letters.len() > 16 => {
            let start: String = start.iter().take(8).collect();
            format!("{start}…{}", String::from_iter([a, b, c, d]))
        }
        _ => run_id.to_owned(),
    }
}

pub(crate) fn state_tone(state: &str) -> Tone {
    match state {
        "finished" | "running" | "armed" => Tone::Good,
        "aborted" | "failed" | "lost" | "fenced" => Tone::Bad,
        "suspect" => Tone::Warning,
        _ => Tone::Plain,
    }
}

pub(crate) fn verdict_tone(value: &str) -> Tone {
    match value {
        "valid" => Tone::Good,
        "suspect" => Tone::Warning,
        _ => Tone::Bad,
    }
}

fn title(summary: &Summary, width: usize) -> Vec<Line> {
    let run = format!("   run {}   ", short_id(&summary.run_id));
    let verdict = match is_measured(summary) {
        true => format!("   verdict {}", summary.verdict.value),
        false => String::new(),
    };
    let room = width.saturating_sub(columns(&run) + columns(&summary.state) + columns(&verdict));
    let first = Line::new()
        .toned(Tone::Strong, shortened(&summary.plan, room))
        .text(run)
        .toned(state_tone(&summary.state), &summary.state)
        .toned(verdict_tone(&summary.verdict.value), verdict);
    let mut second = Line::new();
    if let Some(started) = &summary.started_at {
        let moment: String = started.chars().take("2026-03-01T12:10:22".len()).collect();
        second = second.text(format!("{} UTC, ", moment.replace('T', " ")));
    }
    let second = match (summary.measured_s, summary.duration_s) {
        (Some(measured), Some(duration)) => {
            second.text(format!("measured {} of {}", clock(measured), clock(duration)))
        }
        (_, Some(duration)) => second.text(format!("{} long", clock(duration))),
        _ => second.text("not started"),
    };
    let second = second.text(format!(", {} loop", summary.loop_kind));
    let mut lines = vec![first, second];
    if summary.loop_kind == "closed" {
        lines.push(
            Line::new().text("stalls of the target are under-represented in the times of a closed loop"),
        );
    }
    lines
}

fn is_measured(summary: &Summary) -> bool {
    summary.requests.sent.is_some() || summary.iterations.due.is_some()
}

fn counts(summary: &Summary) -> Vec<Line> {
    let (iterations, requests) = (&summary.iterations, &summary.requests);
    let left = [
        ("due", iterations.due, None),
        ("started", iterations.started, iterations.due),
        ("missed", iterations.missed, iterations.due),
        ("lost", iterations.lost, iterations.due),
        ("overlap", iterations.overlap, None),
    ];
    let right = [
        ("sent", requests.sent, None),
        ("succeeded", requests.succeeded, requests.sent),
        ("failed", requests.failed, requests.sent),
        ("cancelled", requests.cancelled, requests.sent),
        ("unknown", requests.unknown, requests.sent),
    ];
    let mut lines =
        vec![Line::new().toned(Tone::Strong, "Iterations").to(HALF).toned(Tone::Strong, "Requests")];
    for (left, right) in left.into_iter().zip(right) {
        lines.push(count_row(count_row(Line::new(), 0, left).to(HALF), HALF, right));
    }
    lines
}

fn rate(summary: &Summary) -> Vec<Line> {
    let per_second = |value: Option<f64>| value.map_or(NOTHING.to_owned(), three_digits);
    let (rate, bytes) = (&summary.rate, &summary.bytes);
    let mut line = label("Rate").text(format!("{} iterations/s", per_second(rate.achieved_per_s)));
    if let Some(planned) = rate.planned_per_s {
        line = line.text(format!(" of {} planned", per_second(Some(planned))));
        if let Some(achieved) = rate.achieved_per_s.filter(|_| planned > 0.0) {
            line = line.text(format!(", {}", percent(achieved / planned)));
        }
    }
    let size = |bytes: Option<u64>| bytes.map_or(NOTHING.to_owned(), number::bytes);
    vec![
        line.text(format!("; {} requests/s", per_second(rate.requests_per_s))),
        label("Bytes").text(format!("{} in, {} out", size(bytes.received), size(bytes.sent))),
    ]
}

/// The beginning of a line that is a section of its own.
fn label(name: &str) -> Line {
    Line::new().toned(Tone::Strong, name).to(LABEL)
}

/// `  failed                10   0.00556 %`, in [`HALF`] columns from `start`.
fn count_row(line: Line, start: usize, (name, value, whole): (&str, Option<u64>, Option<u64>)) -> Line {
    let text = value.map_or(NOTHING.to_owned(), count);
    let gap = (number::WIDEST - 1).saturating_sub(columns(&text));
    let tone = if name == "failed" && value > Some(0) { Tone::Bad } else { Tone::Plain };
    let line = line.text(format!("  {name}")).to(start + 12).text(" ".repeat(gap)).toned(tone, &text);
    match (value, whole) {
        (Some(value), Some(whole)) if value > 0 => {
            line.toned(Tone::Faint, format!("  {}", share(value, whole)))
        }
        _ => line,
    }
}

/// A unit for a table of times, so that its middle has few zeros: name, and units in a millisecond.
fn unit_for(typical_ms: Option<f64>) -> (&'static str, f64) {
    match typical_ms {
        Some(ms) if ms < 0.1 => ("µs", 1e3),
        Some(ms) if ms >= 10_000.0 => ("s", 1e-3),
        _ => ("ms", 1.0),
    }
}

fn latency(summary: &Summary, width: usize) -> Vec<Line> {
    let (response, service) = (&summary.response_time_ms, &summary.service_time_ms);
    let (wait, lag) = (&summary.connection_wait_ms, &summary.send_lag_ms);
    let ended = ended(summary.requests.succeeded, summary.requests.failed);
    if [response, service, wait, lag].iter().all(|times| times.p50.is_none()) {
        return vec![Line::new().toned(Tone::Strong, "Latency").text("   no request was completed")];
    }
    let main = unit_for(response.p50);
    let side = unit_for(lag.p99);
    let heads = [
        format!("response {}", main.0),
        format!("service {}", main.0),
        format!("connection wait {}", side.0),
        format!("send lag {}", side.0),
    ];
    let mut table = Table::new(&[
        ("Latency", Align::Left),
        (&heads[0], Align::Point),
        (&heads[1], Align::Point),
        (&heads[2], Align::Point),
        (&heads[3], Align::Point),
    ]);
    let columns = [(response, main.1), (service, main.1), (wait, side.1), (lag, side.1)];
    for (label, pick) in FIGURES {
        let mut row = vec![cell(format!("  {}", label.replace('_', ".")))];
        row.extend(columns.map(|(times, factor)| cell(bound(times, label) + &time(pick(times), factor))));
        table.row(row);
    }
    let mut lines = table.lines(width);
    let samples = ended.map_or(NOTHING.to_owned(), count);
    lines.push(
        Line::new().toned(Tone::Faint, format!("  {samples} samples: all requests, succeeded and failed")),
    );
    lines.push(Line::new().toned(Tone::Faint, "  response = done - intended start, service = done - sent"));
    if response.lower_bound_from.is_some() {
        lines.push(
            Line::new()
                .toned(Tone::Faint, "  ≥: what was missed or cancelled is not in it and would lie higher"),
        );
    }
    lines
}

type Figure = fn(&Times) -> Option<f64>;

/// Percentiles first, mean last.
const FIGURES: [(&str, Figure); 9] = [
    ("p50", |times| times.p50),
    ("p75", |times| times.p75),
    ("p90", |times| times.p90),
    ("p95", |times| times.p95),
    ("p99", |times| times.p99),
    ("p99_9", |times| times.p99_9),
    ("max", |times| times.max),
    ("mean", |times| times.mean),
    ("± stddev", |times| times.stddev),
];

/// `≥ ` where the percentile `name` is only a lower bound.
fn bound(times: &Times, name: &str) -> String {
    const ORDER: [&str; 8] = ["p50", "p75", "p90", "p95", "p99", "p99_9", "p99_99", "max"];
    let place = |name: &str| ORDER.iter().position(|known| *known == name);
    let first = times.lower_bound_from.as_deref().and_then(place);
    match (first, place(name)) {
        (Some(first), Some(place)) if place >= first => "≥ ".to_owned(),
        _ => String::new(),
    }
}

fn time(ms: Option<f64>, factor: f64) -> String {
    ms.map_or(NOTHING.to_owned(), |ms| three_digits(ms * factor))
}

fn ended(succeeded: Option<u64>, failed: Option<u64>) -> Option<u64> {
    Some(succeeded?.saturating_add(failed?))
}

fn steps(summary: &Summary, width: usize) -> Vec<Line> {
    let (unit, factor) = unit_for(summary.response_time_ms.p50);
    let mut table = Table::new(&[
        (&format!("Steps, response {unit}"), Align::Left),
        ("requests", Align::Right),
        ("failed", Align::Right),
        ("p50", Align::Point),
        ("p95", Align::Point),
        ("p99", Align::Point),
        ("max", Align::Point),
    ]);
    for step in summary.steps.iter().take(MAX_ROWS) {
        let times = &step.response_time_ms;
        let figure = |name: &str, value: Option<f64>| cell(bound(times, name) + &time(value, factor));
        table.row(vec![
            cell(format!("  {}", step.name)),
            cell(step.requests.sent.map_or(NOTHING.to_owned(), count)),
            failures(step.requests.failed),
            figure("p50", times.p50),
            figure("p95", times.p95),
            figure("p99", times.p99),
            figure("max", times.max),
        ]);
    }
    let mut lines = if summary.steps.is_empty() { Vec::new() } else { table.lines(width) };
    lines.extend(more(summary.steps.len(), "steps"));
    lines
}

fn groups(summary: &Summary, width: usize) -> Vec<Line> {
    if summary.groups.is_empty() {
        return Vec::new();
    }
    let (unit, factor) = unit_for(summary.groups.iter().find_map(|group| group.group_time_ms.p50));
    let mut table = Table::new(&[
        (&format!("Groups, {unit}"), Align::Left),
        ("times", Align::Right),
        ("failed", Align::Right),
        ("p50", Align::Point),
        ("p95", Align::Point),
        ("p99", Align::Point),
        ("max", Align::Point),
    ]);
    for group in summary.groups.iter().take(MAX_ROWS) {
        let times = &group.group_time_ms;
        let walked = group.succeeded.zip(group.failed).map(|(succeeded, failed)| succeeded + failed);
        let figure = |name: &str, value: Option<f64>| cell(bound(times, name) + &time(value, factor));
        table.row(vec![
            cell(format!("  {}", group.name)),
            cell(walked.map_or(NOTHING.to_owned(), count)),
            failures(group.failed),
            figure("p50", times.p50),
            figure("p95", times.p95),
            figure("p99", times.p99),
            figure("max", times.max),
        ]);
    }
    let mut lines = table.lines(width);
    lines.extend(more(summary.groups.len(), "groups"));
    lines
}

/// Two rows for each step: the usual request, and the slow one.
fn phases(summary: &Summary, width: usize) -> Vec<Line> {
    let measured: Vec<_> =
        summary.steps.iter().filter_map(|step| Some((&step.name, step.phases.as_ref()?))).collect();
    if measured.is_empty() {
        return Vec::new();
    }
    let (unit, factor) = unit_for(summary.service_time_ms.p50);
    // Heads are short so that names have room.
    let mut table = Table::new(&[
        (&format!("Phases, {unit}"), Align::Left),
        ("", Align::Left),
        ("lookup", Align::Point),
        ("connect", Align::Point),
        ("tls", Align::Point),
        ("send", Align::Point),
        ("wait", Align::Point),
        ("receive", Align::Point),
    ]);
    for (name, phases) in measured.iter().take(MAX_ROWS) {
        let times = [
            &phases.lookup_ms,
            &phases.connect_ms,
            &phases.tls_ms,
            &phases.sending_ms,
            &phases.waiting_ms,
            &phases.receiving_ms,
        ];
        let row = |name: &str, label: &str, figure: Figure| {
            let mut row = vec![cell(format!("  {name}")), cell(label)];
            row.extend(times.map(|times| cell(time(figure(times), factor))));
            row
        };
        table.row(row(name, "p50", |times| times.p50));
        table.row(row("", "p99", |times| times.p99));
    }
    let mut lines = table.lines(width);
    lines.extend(more(measured.len(), "steps"));
    lines
}

fn failures(failed: Option<u64>) -> Cell {
    let tone = if failed > Some(0) { Tone::Bad } else { Tone::Plain };
    (tone, failed.map_or(NOTHING.to_owned(), count))
}

/// A line about the rows that are not shown.
fn more(rows: usize, what: &str) -> Option<Line> {
    let hidden = rows.saturating_sub(MAX_ROWS);
    (hidden > 0)
        .then(|| Line::new().toned(Tone::Faint, format!("  and {hidden} more {what}, see the JSON summary")))
}

fn errors(summary: &Summary, width: usize) -> Vec<Line> {
    if summary.errors.is_empty() {
        return Vec::new();
    }
    let mut table =
        Table::new(&[("Errors", Align::Left), ("count", Align::Right), ("share of requests", Align::Right)]);
    for error in summary.errors.iter().take(MAX_ROWS) {
        let share = summary.requests.sent.map_or(NOTHING.to_owned(), |sent| share(error.count, sent));
        table.row(vec![cell(format!("  {}", error_name(error))), cell(count(error.count)), cell(share)]);
    }
    let mut lines = table.lines(width);
    lines.extend(more(summary.errors.len(), "kinds of errors"));
    lines
}

fn error_name(error: &ErrorSummary) -> String {
    match &error.detail {
        Some(detail) if detail.starts_with(|first: char| first.is_ascii_digit()) => {
            format!("{} {detail}", error.kind)
        }
        Some(detail) => format!("{} ({detail})", error.kind),
        None => error.kind.clone(),
    }
}

fn thresholds(summary: &Summary, width: usize) -> Vec<Line> {
    if summary.thresholds.is_empty() {
        return Vec::new();
    }
    // Of what each is says its expression.
    let mut table =
        Table::new(&[("Thresholds", Align::Left), ("observed", Align::Right), ("result", Align::Left)]);
    for threshold in summary.thresholds.iter().take(MAX_ROWS) {
        let result = match threshold.result.as_str() {
            "fail" => (Tone::Bad, "FAIL".to_owned()),
            "pass" => (Tone::Good, "pass".to_owned()),
            "no_data" => (if threshold.failed { Tone::Bad } else { Tone::Warning }, "no data".to_owned()),
            other => (Tone::Warning, other.to_owned()),
        };
        table.row(vec![cell(format!("  {}", threshold.expression)), cell(observed(threshold)), result]);
    }
    let mut lines = table.lines(width);
    lines.extend(more(summary.thresholds.len(), "thresholds"));
    lines
}

fn observed(threshold: &ThresholdSummary) -> String {
    let unit = match threshold.unit.as_deref() {
        Some("/s") => "/s".to_owned(),
        Some(unit) => format!(" {unit}"),
        None => String::new(),
    };
    threshold.observed.map_or(NOTHING.to_owned(), |value| format!("{}{unit}", three_digits(value)))
}

/// A sentence for each threshold by which the run fails.
fn failed_thresholds(summary: &Summary, width: usize) -> Vec<Line> {
    let failed: Vec<_> = summary.thresholds.iter().filter(|threshold| threshold.failed).collect();
    if failed.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![label("Failed").toned(
        Tone::Bad,
        format!("{} of {} thresholds", count(failed.len() as u64), count(summary.thresholds.len() as u64)),
    )];
    for threshold in failed.iter().take(MAX_ROWS) {
        let mut text = match threshold.observed {
            Some(_) => format!("{}: {}", threshold.expression, observed(threshold)),
            None => format!("{}: no data", threshold.expression),
        };
        if let Some(after_s) = threshold.first_breach_s {
            let what = if threshold.aborted { "it ended the run" } else { "first breached" };
            text += &format!(", {what} after {after_s} s");
        }
        lines.extend(sentence(&text, width));
    }
    lines.extend(more(failed.len(), "thresholds"));
    lines
}

fn drivers(summary: &Summary, width: usize) -> Vec<Line> {
    if summary.drivers.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(&[
        ("Drivers", Align::Left),
        ("requests sent", Align::Right),
        ("send lag p99", Align::Right),
        ("cpu", Align::Right),
        ("state", Align::Left),
    ]);
    for driver in summary.drivers.iter().take(MAX_ROWS) {
        table.row(driver_row(driver));
    }
    let mut lines = table.lines(width);
    lines.extend(more(summary.drivers.len(), "drivers"));
    lines
}

fn driver_row(driver: &DriverSummary) -> Vec<Cell> {
    let lag = driver.send_lag_p99_us.map_or(NOTHING.to_owned(), |us| {
        if us < 1000.0 {
            format!("{} µs", three_digits(us))
        } else {
            format!("{} ms", three_digits(us / 1e3))
        }
    });
    let cpu = driver.cpu_percent.map_or(NOTHING.to_owned(), |percent| format!("{} %", three_digits(percent)));
    vec![
        cell(format!("  {}", driver.node_id)),
        cell(driver.requests_sent.map_or(NOTHING.to_owned(), count)),
        cell(lag),
        cell(cpu),
        (state_tone(&driver.state), shortened(&driver.state, 16)),
    ]
}

fn accounting(summary: &Summary) -> Vec<Line> {
    let accounting = &summary.accounting;
    let (tone, word) =
        if accounting.balanced { (Tone::Good, "balanced") } else { (Tone::Bad, "NOT BALANCED") };
    let terms =
        |whole: Option<u64>, whole_name: &str, part: Option<u64>, part_name: &str, rest_name: &str| {
            let (Some(whole), Some(part)) = (whole, part) else {
                return Line::new().text(format!("  {NOTHING} {whole_name}"));
            };
            let rest = i128::from(whole) - i128::from(part);
            let rest = match u64::try_from(rest) {
                Ok(rest) => format!("+ {} {rest_name}", count(rest)),
                Err(_) => "too many".to_owned(),
            };
            Line::new().text(format!("  {} {whole_name} = {} {part_name} {rest}", count(whole), count(part)))
        };
    let mut lines = vec![
        Line::new()
            .toned(Tone::Strong, "Accounting")
            .text("   ")
            .toned(tone, word)
            .text(", of the whole run"),
        terms(
            accounting.iterations_due,
            "iterations due",
            accounting.iterations_started,
            "started",
            "missed or lost",
        ),
        terms(accounting.requests_sent, "requests sent", accounting.requests_recorded, "recorded", "unknown"),
    ];
    lines.extend(raw_events(accounting));
    lines
}

/// Of a run that made none there is nothing to say.
fn raw_events(accounting: &AccountingSummary) -> Option<Line> {
    let produced = accounting.events_produced.filter(|produced| *produced > 0)?;
    let number = |known: Option<u64>| known.map_or(NOTHING.to_owned(), count);
    let (stored, dropped) = (number(accounting.events_stored), number(accounting.events_dropped));
    let line = Line::new().text(format!("  {} raw events = {stored} stored", count(produced)));
    let dropped = format!(" + {dropped} dropped");
    Some(match accounting.events_dropped {
        Some(1..) => line.toned(Tone::Warning, dropped),
        _ => line.text(dropped),
    })
}

/// A warning: the results stand, and something may be left behind in the target.
fn teardown(summary: &Summary, width: usize) -> Vec<Line> {
    let Some(why) = &summary.teardown_fault else { return Vec::new() };
    let mut lines =
        vec![label("Teardown").toned(Tone::Warning, "failed: what setup made may still be there")];
    lines.extend(sentence(why, width));
    lines
}

fn verdict(summary: &Summary, width: usize) -> Vec<Line> {
    let verdict = &summary.verdict;
    if !is_measured(summary) && verdict.reasons.is_empty() {
        return vec![label("Verdict").text("nothing was measured")];
    }
    let meaning = match verdict.value.as_str() {
        "valid" => "the drivers did what the plan asked",
        "suspect" => "read the numbers with care",
        "invalid" => "the numbers say more about the drivers than about the target",
        _ => "",
    };
    let mut lines =
        vec![
            label("Verdict")
                .toned(verdict_tone(&verdict.value), &verdict.value)
                .text(if meaning.is_empty() { String::new() } else { format!(": {meaning}") }),
        ];
    lines.extend(sentences(&verdict.reasons, "reasons", width));
    if !verdict.findings.is_empty() {
        lines.push(label("Findings").text("not the drivers' doing"));
        lines.extend(sentences(&verdict.findings, "findings", width));
    } else if verdict.target_saturated {
        lines.push(Line::new().to(LABEL).toned(Tone::Warning, "The target could not keep up with the load."));
    }
    lines
}

/// An item of a list, wrapped.
fn sentence(text: &str, width: usize) -> Vec<Line> {
    let parts = wrapped(text, width.saturating_sub(LABEL + 2));
    let line = |(index, part): (usize, &String)| {
        Line::new().to(LABEL).text(if index == 0 { "- " } else { "  " }).text(part)
    };
    parts.iter().enumerate().map(line).collect()
}

fn sentences(reasons: &[ReasonSummary], what: &str, width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for reason in reasons.iter().take(MAX_ROWS) {
        lines.extend(sentence(&reason.text, width));
    }
    lines.extend(more(reasons.len(), what));
    lines
}
