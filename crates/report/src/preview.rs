//! What a plan asks for, before anything is sent: its curve, its totals, and whether its data suffice.
//!
//! Invariant: nothing here is measured, and what only a run can tell (answers, iterations of users, redirects) is said to
//! be unknown. Deliberately absent: IO. Rows, sizes of files and connections are arguments.

use std::ops::Add;
use std::time::Duration;

use plan::{DataKind, DataSource, Fixture, Load, Pick, Plan, Process, StageInfo, WhenExhausted, Workload};

use crate::curve::curve;
use crate::expected::{self, Between, VALUE_BYTES};
use crate::number::{self, NOTHING, as_given, clock, count};
use crate::page::{Line, Tone, wrapped};
use crate::table::{Align, Table, cell};

/// Rows of a table at most; the plan itself has the others.
const ROWS: usize = 50;

/// Curves at most.
const CURVES: usize = 4;

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
    let mut sections = vec![vec![title, targets(plan)]];
    let length = plan.duration().unwrap_or_default();
    let drawn = plan.workloads.iter().take(CURVES);
    sections.extend(drawn.map(|workload| curve(&workload.stages(), length, width)));
    sections.extend([
        stages(plan, width),
        totals(facts, width),
        requests(facts, width),
        data(facts, width),
        notes(plan, width),
    ]);
    let mut page = String::new();
    for (number, section) in sections.iter().filter(|section| !section.is_empty()).enumerate() {
        page.push_str(if number > 0 { "\n" } else { "" });
        section.iter().for_each(|line| page.extend([&line.print(width, color), "\n"]));
    }
    page
}

fn model(plan: &Plan) -> String {
    match plan.workloads.as_slice() {
        [workload] => model_of(&workload.load).to_owned(),
        workloads => format!("{} loads side by side", workloads.len()),
    }
}

fn model_of(load: &Load) -> &'static str {
    match load {
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
    let stages: Vec<StageInfo> = plan
        .workloads
        .iter()
        .filter(|workload| matches!(workload.load, Load::Open { .. } | Load::Closed { iterations: None, .. }))
        .flat_map(|workload| workload.stages())
        .collect();
    if stages.is_empty() {
        return Vec::new();
    }
    let has_rates = stages.iter().any(|stage| stage.rate_per_s.is_some());
    let has_users = stages.iter().any(|stage| stage.users.is_some());
    let mut columns = vec![("Stage", Align::Left)];
    columns.extend(has_rates.then_some(("per second", Align::Right)));
    columns.extend(has_users.then_some(("users", Align::Right)));
    columns.push(("takes", Align::Right));
    columns.extend(has_rates.then_some(("iterations", Align::Right)));
    columns.push(("", Align::Left));
    let mut table = Table::new(&columns);
    let level = |levels: Option<(f64, f64)>| match levels {
        Some((from, to)) if from == to => as_given(from),
        Some((from, to)) => format!("{} → {}", as_given(from), as_given(to)),
        None => String::new(),
    };
    for stage in stages.iter().take(ROWS) {
        let users = stage.users.map(|(from, to)| (f64::from(from), f64::from(to)));
        let seconds = stage.duration.unwrap_or_default().as_secs_f64();
        let iterations = stage.rate_per_s.map(|(from, to)| whole((from + to) / 2.0 * seconds));
        let mut row = vec![cell(&stage.name)];
        row.extend(has_rates.then(|| cell(level(stage.rate_per_s))));
        row.extend(has_users.then(|| cell(level(users))));
        row.push(cell(clock(seconds)));
        row.extend(has_rates.then(|| cell(iterations.unwrap_or_default())));
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

/// The sum over all iterations that the plan asks for, of what one of each workload has: of the fleet, or of each driver
/// where the load is per driver.
fn in_all(plan: &Plan, of_one: impl Fn(&Workload) -> Between) -> Option<Between> {
    let each = plan.workloads.iter().map(|workload| {
        let iterations = workload.planned_iterations(1)?;
        Some(of_one(workload) * iterations as f64)
    });
    each.collect::<Option<Vec<_>>>().map(|each| each.into_iter().fold(Between::NONE, Add::add))
}

/// The same per second, at the moment at which it is most.
fn at_the_peak(plan: &Plan, of_one: impl Fn(&Workload) -> Between) -> Option<Between> {
    let each = plan.workloads.iter().map(|workload| Some((of_one(workload), rates(&workload.stages())?)));
    let each: Vec<_> = each.collect::<Option<_>>()?;
    // Rates are straight lines between these moments, so the sum is most at one of them.
    let moments =
        each.iter().flat_map(|(_, rates)| rates).flat_map(|rate| [(rate.start, true), (rate.end, false)]);
    let sums = moments.map(|(at, is_start)| {
        let rate = |rates: &[Slope]| rates.iter().find_map(|rate| rate.at(at, is_start)).unwrap_or(0.0);
        each.iter().map(|(of_one, rates)| *of_one * rate(rates)).fold(Between::NONE, Add::add)
    });
    Some(sums.fold(Between::NONE, |peak, sum| Between {
        least: peak.least.max(sum.least),
        most: peak.most.max(sum.most),
    }))
}

/// A rate that goes straight from one level to another, in iterations per second.
struct Slope {
    start: f64,
    end: f64,
    from: f64,
    to: f64,
}

impl Slope {
    /// The rate at a moment within it: just after, or just before.
    fn at(&self, moment: f64, after: bool) -> Option<f64> {
        let is_within = match after {
            true => self.start <= moment && moment < self.end,
            false => self.start < moment && moment <= self.end,
        };
        let share = if self.from == self.to { 0.0 } else { (moment - self.start) / (self.end - self.start) };
        is_within.then_some(self.from + (self.to - self.from) * share)
    }
}

/// The rates of stages; `None` where the responses decide.
fn rates(stages: &[StageInfo]) -> Option<Vec<Slope>> {
    let slope = |stage: &StageInfo| {
        let (from, to) = stage.rate_per_s?;
        let start = stage.begins.as_secs_f64();
        let end = stage.duration.map_or(f64::INFINITY, |duration| start + duration.as_secs_f64());
        Some(Slope { start, end, from, to })
    };
    stages.iter().map(slope).collect()
}

/// Iterations per second that find room for their requests, where the plan limits a driver: it is requests that count, and
/// there is one load then.
fn paced(plan: &Plan) -> Option<Between> {
    let limit = plan.limit()?.per_second();
    let peak = at_the_peak(plan, |_| Between::exactly(1.0))?.most;
    let requests = expected::requests(plan, plan.workloads.first()?);
    let within = |requests: f64| if requests > 0.0 { peak.min(limit / requests) } else { peak };
    Some(Between { least: within(requests.most), most: within(requests.least) })
}

fn totals(facts: &PreviewFacts<'_>, width: usize) -> Vec<Line> {
    let plan = facts.plan;
    let shares = Shares { drivers: facts.drivers as f64, is_per_driver: plan.is_per_driver() };
    let exactly = Between::exactly;
    let one = |_: &Workload| exactly(1.0);
    let sent = |workload: &Workload| expected::requests(plan, workload);
    let size = |workload: &Workload| expected::bytes(plan, workload, facts.file_bytes);
    let per_s = |number: f64| format!("{}/s", as_given(number));
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
    let users: Vec<u32> = plan.workloads.iter().filter_map(|workload| most_users(&workload.load)).collect();
    if !users.is_empty() {
        let most = users.iter().map(|users| f64::from(*users)).sum();
        row("users at most", shares.of(exactly(most), |users| whole(users.ceil())));
    }
    let mut known = |name: &str, number: Option<Between>, say: &dyn Fn(f64) -> String| {
        row(name, number.map_or_else(unknown, |number| shares.of(number, say)));
    };
    let rate = |number: f64| format!("{}/s", bytes(number));
    known("iterations", in_all(plan, one), &whole);
    known("requests", in_all(plan, sent), &whole);
    known("bytes out", in_all(plan, size), &bytes);
    let peak = at_the_peak(plan, one);
    match (paced(plan), peak) {
        (Some(paced), Some(peak)) => {
            let workload = &plan.workloads[0];
            // A tsunami begins its iterations by the clock, and their requests wait for each other.
            let begun = if matches!(workload.load, Load::Avalanche { .. }) { paced } else { peak };
            let most = plan.limit().map_or(f64::INFINITY, |limit| limit.per_second());
            let requests = sent(workload) * peak.most;
            let requests = Between { least: requests.least.min(most), most: requests.most.min(most) };
            known("iterations at the peak", Some(begun), &per_s);
            known("requests at the peak", Some(requests), &per_s);
            known("bandwidth out at the peak", Some(size(workload) * paced), &rate);
        }
        _ => {
            known("iterations at the peak", peak, &per_s);
            known("requests at the peak", at_the_peak(plan, sent), &per_s);
            known("bandwidth out at the peak", at_the_peak(plan, size), &rate);
        }
    }
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
    let rows: Vec<Vec<Between>> =
        plan.workloads.iter().map(|workload| expected::requests_by_row(plan, workload)).collect();
    for (number, name) in plan.rows().iter().enumerate().take(ROWS) {
        let visits = || rows.iter().map(|rows| rows[number]).zip(&plan.workloads);
        // What several loads send is no number per iteration.
        let mut senders = visits().filter(|(often, _)| often.most > 0.0);
        let often = match (senders.next(), senders.next()) {
            (first, None) => between(first.map_or(Between::NONE, |(often, _)| often), each),
            _ => NOTHING.to_owned(),
        };
        let all = visits()
            .filter(|(often, _)| often.most > 0.0)
            .map(|(often, workload)| Some(often * workload.planned_iterations(1)? as f64));
        let all = all.collect::<Option<Vec<_>>>().map(|all| all.into_iter().fold(Between::NONE, Add::add));
        let mut row = vec![cell(name), cell(often)];
        let all = all.map(|all| shares.of(all, whole));
        row.extend(all.unwrap_or([NOTHING.to_owned(), NOTHING.to_owned()]).map(cell));
        table.row(row);
    }
    let mut lines = table.lines(width);
    lines.extend(left_out(plan.rows().len()));
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
        let (tone, said) = enough(source, *rows as f64, wanted(facts, number, source));
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

/// How many rows of a source are needed; `None` where the answers decide.
fn wanted(facts: &PreviewFacts<'_>, number: usize, source: &DataSource) -> Option<f64> {
    let needs = facts.plan.workloads.iter().map(|workload| {
        let share = expected::share_with_source(facts.plan, workload, number);
        match (source.pick, most_users(&workload.load)) {
            _ if share == 0.0 => Some(0.0),
            (Pick::PerUser, Some(users)) => Some(f64::from(users)),
            _ => workload.planned_iterations(facts.drivers).map(|all| (all as f64 * share).ceil()),
        }
    });
    needs.sum()
}

/// Users at most, in a load that has some.
fn most_users(load: &Load) -> Option<u32> {
    let Load::Closed { stages, .. } = load else { return None };
    stages.iter().map(|stage| stage.from.max(stage.to)).max()
}

/// Whether `rows` are enough for iterations that need `wanted` of them, and what happens if not.
fn enough(source: &DataSource, rows: f64, wanted: Option<f64>) -> (Tone, String) {
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
    let one = |_: &Workload| Between::exactly(1.0);
    let mut notes = vec![
        "Nothing was sent. What answers weigh and how long they take is not known before they come."
            .to_owned(),
    ];
    if in_all(plan, one).is_none() || at_the_peak(plan, one).is_none() {
        notes.push("How much is sent, and how fast, depends on how fast the target answers.".to_owned());
    }
    let is_tsunami = plan.workloads.iter().any(|workload| matches!(workload.load, Load::Tsunami { .. }));
    let waits = paced(plan).zip(at_the_peak(plan, one)).is_some_and(|(paced, peak)| paced.least < peak.most);
    if is_tsunami && waits {
        let wait = "The target throughput is of requests: with several in an iteration they wait for each other, and \
                    the run takes longer than its schedule. A longer `delay` keeps them apart.";
        notes.push(wait.to_owned());
    }
    let once = [Fixture::Setup, Fixture::Teardown].into_iter().filter_map(|fixture| {
        let steps = plan.fixture(fixture)?.steps.len();
        Some(format!("{} of {steps} step{}", fixture.as_str(), if steps == 1 { "" } else { "s" }))
    });
    let once: Vec<String> = once.collect();
    if !once.is_empty() {
        notes.push(format!(
            "One driver also walks {}, once, which is in none of these numbers.",
            once.join(" and ")
        ));
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
