//! What a plan asks for, before anything is sent: its curve, its totals, and whether its data suffice.
//!
//! Invariant: nothing here is measured, and what only a run can tell (answers, iterations of users, redirects) is said to
//! be unknown. Deliberately absent: IO. Rows, sizes of files and connections are arguments.

use std::time::Duration;

use plan::{DataKind, DataSource, Load, Pick, Plan, Process, WhenExhausted};

use crate::curve::curve;
use crate::expected::{self, Between, VALUE_BYTES};
use crate::number::{self, NOTHING, as_given, clock, count};
use crate::page::{Line, Tone, wrapped};
use crate::table::{Align, Table, cell};

/// Rows of a table at most; the plan itself has the others.
const ROWS: usize = 50;

/// What is known beside the plan.
#[derive(Clone, Copy)]
pub struct PreviewFacts<'f> {
    /// The plan.
    pub plan: &'f Plan,
    /// Drivers among which it is divided; at least 1.
    pub drivers: usize,
    /// Connections of one driver: open from the start, and at most.
    pub connections: (u64, u64),
    /// Rows of each source of data, in the plan's order.
    pub rows: &'f [u64],
    /// Bytes of a file of the plan.
    pub file_bytes: &'f dyn Fn(&str) -> u64,
}

/// The preview in lines of at most `width` columns, with ANSI colours if asked.
pub fn preview(facts: &PreviewFacts<'_>, color: bool, width: usize) -> String {
    let plan = facts.plan;
    let drivers =
        if facts.drivers == 1 { "1 driver".to_owned() } else { format!("{} drivers", facts.drivers) };
    let title = Line::new().toned(Tone::Strong, &plan.name).text(format!("   {}, {drivers}", model(plan)));
    let sections = [
        vec![title, targets(plan)],
        curve(&plan.stages(), width),
        stages(plan, width),
        totals(facts, width),
        requests(facts, width),
        data(facts, width),
        notes(plan, width),
    ];
    let mut page = String::new();
    for (number, section) in sections.iter().filter(|section| !section.is_empty()).enumerate() {
        page.push_str(if number > 0 { "\n" } else { "" });
        section.iter().for_each(|line| page.extend([&line.print(width, color), "\n"]));
    }
    page
}

fn model(plan: &Plan) -> &'static str {
    match plan.load {
        Load::Avalanche { .. } => "avalanche",
        Load::Tsunami { .. } => "tsunami",
        Load::Open { arrivals: Process::Uniform, .. } => "open, uniform arrivals",
        Load::Open { arrivals: Process::Poisson, .. } => "open, Poisson arrivals",
        Load::Closed { .. } => "closed",
    }
}

fn targets(plan: &Plan) -> Line {
    let first = plan.targets.first().map(ToString::to_string).unwrap_or_default();
    let more = plan.targets.len().saturating_sub(1);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Line::new().toned(Tone::Faint, format!("to {first}{more}"))
}

fn stages(plan: &Plan, width: usize) -> Vec<Line> {
    let stages = plan.stages();
    let has_rate = stages.iter().all(|stage| stage.rate_per_s.is_some());
    if !matches!(plan.load, Load::Open { .. } | Load::Closed { iterations: None, .. }) {
        return Vec::new();
    }
    let level = if has_rate { "per second" } else { "users" };
    let mut columns = vec![("Stage", Align::Left), (level, Align::Right), ("takes", Align::Right)];
    columns.extend(has_rate.then_some(("iterations", Align::Right)));
    columns.push(("", Align::Left));
    let mut table = Table::new(&columns);
    for stage in stages.iter().take(ROWS) {
        let users = stage.users.map(|(from, to)| (f64::from(from), f64::from(to)));
        let (from, to) = stage.rate_per_s.or(users).unwrap_or_default();
        let seconds = stage.duration.unwrap_or_default().as_secs_f64();
        let level = match from == to {
            true => as_given(from),
            false => format!("{} → {}", as_given(from), as_given(to)),
        };
        let mut row = vec![cell(&stage.name), cell(level), cell(clock(seconds))];
        row.extend(has_rate.then(|| cell(whole((from + to) / 2.0 * seconds))));
        row.push(cell(if stage.warmup { "warm-up" } else { "" }));
        table.row(row);
    }
    let mut lines = table.lines(width);
    lines.extend(left_out(stages.len()));
    lines
}

fn left_out(rows: usize) -> Option<Line> {
    let more = rows.checked_sub(ROWS).filter(|more| *more > 0)?;
    Some(Line::new().toned(Tone::Faint, format!("and {more} more")))
}

/// A number that is of the fleet, or where `is_per_driver` of each driver, for both columns.
struct Shares {
    drivers: f64,
    is_per_driver: bool,
}

impl Shares {
    fn of(&self, of_plan: Between, say: impl Fn(f64) -> String) -> [String; 2] {
        let (fleet, each) = match self.is_per_driver {
            true => (of_plan * self.drivers, of_plan),
            false => (of_plan, of_plan * (1.0 / self.drivers)),
        };
        [between(fleet, &say), between(each, &say)]
    }
}

/// Both bounds as one text.
fn between(number: Between, say: impl Fn(f64) -> String) -> String {
    let (least, most) = (say(number.least), say(number.most));
    match (number.least > 0.0, number.most.is_finite()) {
        _ if least == most => least,
        (true, true) => format!("{least} to {most}"),
        (false, true) => format!("up to {most}"),
        (true, false) => format!("{least} or more"),
        (false, false) => "unknown".to_owned(),
    }
}

fn whole(number: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative; saturates")]
    let whole = number.round() as u64;
    count(whole)
}

fn bytes(number: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative; saturates")]
    let whole = number.round() as u64;
    number::bytes(whole)
}

/// Iterations that the plan asks for: of the fleet, or of each driver where the load is per driver.
fn iterations(plan: &Plan) -> Option<f64> {
    plan.planned_iterations(1).map(|iterations| iterations as f64)
}

/// Iterations per second where there are most, in the same sense.
fn peak_per_s(plan: &Plan) -> Option<f64> {
    let rates = plan.stages().into_iter().map(|stage| stage.rate_per_s.map(|(from, to)| from.max(to)));
    rates.collect::<Option<Vec<f64>>>().map(|rates| rates.into_iter().fold(0.0, f64::max))
}

/// Requests of one iteration.
fn requests_of_iteration(plan: &Plan) -> Between {
    let none = Between { least: 0.0, most: 0.0 };
    expected::requests_by_row(plan).into_iter().fold(none, |sum, row| sum + row)
}

/// Iterations per second that find room for their requests: where the plan limits a driver, it is requests that count.
fn paced(plan: &Plan, requests: Between, peak: f64) -> Between {
    let within = |requests: f64| match plan.limit() {
        Some(limit) if requests > 0.0 => peak.min(limit.per_second() / requests),
        _ => peak,
    };
    Between { least: within(requests.most), most: within(requests.least) }
}

fn totals(facts: &PreviewFacts<'_>, width: usize) -> Vec<Line> {
    let plan = facts.plan;
    let shares = Shares { drivers: facts.drivers as f64, is_per_driver: plan.is_per_driver() };
    let exactly = |number: f64| Between { least: number, most: number };
    let per_s = |number: f64| format!("{}/s", as_given(number));
    let requests = requests_of_iteration(plan);
    let size = expected::bytes(plan, facts.file_bytes);
    let mut table =
        Table::new(&[("In all", Align::Left), ("fleet", Align::Right), ("per driver", Align::Right)]);
    let mut row =
        |name: &str, [fleet, each]: [String; 2]| table.row(vec![cell(name), cell(fleet), cell(each)]);
    let unknown = || [NOTHING.to_owned(), NOTHING.to_owned()];
    let length = match plan.duration() {
        Some(length) => clock(length.as_secs_f64()),
        None => "until all is done".to_owned(),
    };
    row("duration", [length, String::new()]);
    if plan.warmup() > Duration::ZERO {
        row("  of it warm-up", [clock(plan.warmup().as_secs_f64()), String::new()]);
    }
    if let Load::Closed { stages, .. } = &plan.load {
        let most = stages.iter().map(|stage| stage.from.max(stage.to)).max().unwrap_or(0);
        row("users at most", shares.of(exactly(f64::from(most)), |users| whole(users.ceil())));
    }
    let (iterations, peak) = (iterations(plan), peak_per_s(plan));
    row("iterations", iterations.map_or_else(unknown, |all| shares.of(exactly(all), whole)));
    row("requests", iterations.map_or_else(unknown, |all| shares.of(requests * all, whole)));
    row("bytes out", iterations.map_or_else(unknown, |all| shares.of(size * all, bytes)));
    let paced = peak.map(|peak| paced(plan, requests, peak));
    // A tsunami begins its iterations by the clock, and their requests wait for each other.
    let begun = match plan.load {
        Load::Avalanche { .. } => paced,
        _ => peak.map(exactly),
    };
    let most = plan.limit().map_or(f64::INFINITY, |limit| limit.per_second());
    let within = |rate: Between| Between { least: rate.least.min(most), most: rate.most.min(most) };
    row("iterations at the peak", begun.map_or_else(unknown, |begun| shares.of(begun, per_s)));
    row("requests at the peak", peak.map_or_else(unknown, |peak| shares.of(within(requests * peak), per_s)));
    let rate = |number: f64| format!("{}/s", bytes(number));
    row("bandwidth out at the peak", paced.map_or_else(unknown, |paced| shares.of(size * paced, rate)));
    let (start, most) = facts.connections;
    let sockets = Shares { is_per_driver: true, ..shares };
    row("connections from the start", sockets.of(exactly(start as f64), whole));
    row("connections at most", sockets.of(exactly(most as f64), whole));
    table.lines(width)
}

fn requests(facts: &PreviewFacts<'_>, width: usize) -> Vec<Line> {
    let plan = facts.plan;
    let shares = Shares { drivers: facts.drivers as f64, is_per_driver: plan.is_per_driver() };
    let each = |number: f64| as_given(number);
    let mut table = Table::new(&[
        ("Requests", Align::Left),
        ("per iteration", Align::Right),
        ("fleet", Align::Right),
        ("per driver", Align::Right),
    ]);
    let rows = expected::requests_by_row(plan);
    for (name, often) in plan.rows().iter().zip(&rows).take(ROWS) {
        let mut row = vec![cell(name), cell(between(*often, each))];
        let all = iterations(plan).map(|all| shares.of(*often * all, whole));
        row.extend(all.unwrap_or([NOTHING.to_owned(), NOTHING.to_owned()]).map(cell));
        table.row(row);
    }
    let mut lines = table.lines(width);
    lines.extend(left_out(rows.len()));
    lines
}

fn data(facts: &PreviewFacts<'_>, width: usize) -> Vec<Line> {
    let plan = facts.plan;
    let sources: Vec<_> = plan.data.iter().zip(facts.rows).enumerate().collect();
    if sources.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::new().toned(Tone::Strong, "Data")];
    for (number, (source, rows)) in sources {
        let share = expected::share_with_source(plan, number);
        let all = plan.planned_iterations(facts.drivers).map(|all| (all as f64 * share).ceil());
        let (tone, said) = enough(plan, source, *rows as f64, all);
        let made = if matches!(source.kind, DataKind::Generated { .. }) { " generated" } else { "" };
        let rows = if *rows == 1 { "1 row".to_owned() } else { format!("{} rows", count(*rows)) };
        let text = format!("{}: {rows}{made}, {}; {said}", source.name, picked(source));
        lines.extend(wrapped(&text, width.saturating_sub(2)).into_iter().zip(0..).map(|(text, number)| {
            Line::new().text(if number == 0 { "  " } else { "    " }).toned(tone, text)
        }));
    }
    lines
}

fn picked(source: &DataSource) -> &'static str {
    match source.pick {
        Pick::Once => "each used once",
        Pick::InTurn => "in turn",
        Pick::Random => "at random",
        Pick::PerUser => "one for each user",
    }
}

/// Whether `rows` are enough for iterations that need `wanted` of them, and what happens if not.
fn enough(plan: &Plan, source: &DataSource, rows: f64, wanted: Option<f64>) -> (Tone, String) {
    let wanted = match (source.pick, &plan.load) {
        (Pick::PerUser, Load::Closed { stages, .. }) => {
            Some(f64::from(stages.iter().map(|stage| stage.from.max(stage.to)).max().unwrap_or(0)))
        }
        _ => wanted,
    };
    let Some(wanted) = wanted else {
        return (Tone::Plain, "how many are needed depends on the answers".to_owned());
    };
    if wanted == 0.0 {
        return (Tone::Plain, "no scenario uses it".to_owned());
    }
    let (needed, least) = (whole(wanted), whole(wanted - rows));
    match (source.pick, source.when_exhausted) {
        _ if wanted <= rows => (Tone::Plain, format!("{needed} needed, enough")),
        (Pick::Random, _) | (_, WhenExhausted::Recycle) => {
            let times = as_given(wanted / rows);
            (Tone::Plain, format!("{needed} needed, so each is used about {times} times"))
        }
        (_, WhenExhausted::Stop) => {
            let why = format!(
                "{needed} needed, {least} too few: iterations that need one stop when they are used up"
            );
            (Tone::Warning, why)
        }
        (_, WhenExhausted::Fail) => {
            let why = format!("{needed} needed, {least} too few: iterations without one fail");
            (Tone::Warning, why)
        }
    }
}

/// What the numbers stand for.
fn notes(plan: &Plan, width: usize) -> Vec<Line> {
    let mut notes = vec![
        "Nothing was sent. What answers weigh and how long they take is not known before they come."
            .to_owned(),
    ];
    if iterations(plan).is_none() || peak_per_s(plan).is_none() {
        notes.push("How much is sent, and how fast, depends on how fast the target answers.".to_owned());
    }
    let peak = peak_per_s(plan).filter(|_| matches!(plan.load, Load::Tsunami { .. }));
    let requests = requests_of_iteration(plan);
    if peak.is_some_and(|peak| paced(plan, requests, peak).least < peak) {
        let wait = "The target throughput is of requests: with several in an iteration they wait for each other, and \
                    the run takes longer than its schedule. A longer `delay` keeps them apart.";
        notes.push(wait.to_owned());
    }
    let mut sizes = "Bytes are of requests as HTTP/1.1 writes them, without TLS and TCP".to_owned();
    if expected::has_expressions(plan) {
        sizes.push_str(&format!("; each expression counts as {VALUE_BYTES}"));
    }
    notes.push(format!("{sizes}."));
    let mut steps = plan.scenarios.iter().flat_map(|scenario| &scenario.steps);
    if steps.any(|step| step.follow_redirects > 0) {
        notes.push("Redirects that are followed come on top.".to_owned());
    }
    let text = notes.join(" ");
    wrapped(&text, width).into_iter().map(|text| Line::new().toned(Tone::Faint, text)).collect()
}
