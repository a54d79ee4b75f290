//! A run while it runs: one line for a log, or a block of lines that a terminal draws over and over.
//!
//! Invariant: pure text of a [`Progress`]; who clears and redraws, and how often, is the binary's business.

use crate::number::{NOTHING, clock, count, percent, share, three_digits};
use crate::page::{Line, Tone, columns, shortened};
use crate::text::{short_id, state_tone, verdict_tone};

/// What is said of a run while it runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    /// Name of the plan.
    pub plan: String,
    /// Identity of the run.
    pub run_id: String,
    /// Where the run stands.
    pub state: String,
    /// Seconds since the start.
    pub elapsed_s: f64,
    /// Seconds that arrivals come for, where the plan knows.
    pub planned_s: Option<f64>,
    /// Share of the run that is done, 0 to 1, for loads that end after a count; else time tells.
    pub done_share: Option<f64>,
    /// The stage under way.
    pub stage: Option<StageProgress>,
    /// Iterations per second that the plan asks for now.
    pub planned_per_s: Option<f64>,
    /// Iterations started in the last whole second.
    pub achieved_per_s: Option<f64>,
    /// Requests so far.
    pub sent: u64,
    /// Requests that ended, well or not.
    pub done: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Iterations that were not started in time.
    pub missed: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// Open connections.
    pub connections: u64,
    /// Response time of the run so far, in milliseconds.
    pub p50_ms: Option<f64>,
    /// The same.
    pub p99_ms: Option<f64>,
    /// The same.
    pub max_ms: Option<f64>,
    /// Drivers whose last report is recent.
    pub drivers_reporting: u32,
    /// Drivers of the run.
    pub drivers: u32,
    /// Send lag of the last second, in milliseconds.
    pub send_lag_p99_ms: Option<f64>,
    /// `valid`, `suspect` or `invalid`, as far as is known.
    pub verdict: Option<String>,
    /// What storing suffers from at the moment.
    pub storage_trouble: Option<String>,
    /// The last event of the timeline, with its time.
    pub last_event: Option<String>,
}

/// A stage under way, or one of each of several loads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StageProgress {
    /// Its number from 1, and how many there are, of a single load.
    pub place: Option<(usize, usize)>,
    /// Its name.
    pub name: String,
    /// Whether it is left out of the summary.
    pub warmup: bool,
}

impl StageProgress {
    fn say(&self) -> String {
        let warmup = if self.warmup { " (warm-up)" } else { "" };
        let place = self.place.map_or_else(String::new, |(number, count)| format!("{number}/{count} "));
        format!("stage {place}{}{warmup}", self.name)
    }
}

/// Columns of labels in the block.
const LABEL: usize = 11;

/// One line for a log or a pipe, without colour; at most 160 columns.
pub fn progress_line(progress: &Progress) -> String {
    let Progress { sent, failed, in_flight, .. } = progress;
    let of = progress.planned_s.map_or(String::new(), |planned| format!("/{}", clock(planned)));
    let mut line = Line::new()
        .text(format!("{}{of} ", clock(progress.elapsed_s)))
        .text(shortened(&progress.state, 12))
        .text(format!("  {} of {}/s", rate(progress.achieved_per_s), rate(progress.planned_per_s)))
        .text(format!("  sent {}  failed {}", count(*sent), count(*failed)))
        .text(format!(
            "  p50 {}  p99 {}  max {}",
            time(progress.p50_ms),
            time(progress.p99_ms),
            time(progress.max_ms)
        ))
        .text(format!("  in flight {}", count(*in_flight)))
        .text(format!("  drivers {}/{}", progress.drivers_reporting, progress.drivers));
    if let Some(verdict) = progress.verdict.as_ref().filter(|verdict| *verdict != "valid") {
        line = line.text(format!("  {verdict}"));
    }
    line.print(160, false)
}

/// Nine lines of at most `width` columns, with ANSI colours if asked; ten while storing suffers from something.
pub fn live_block(progress: &Progress, color: bool, width: usize) -> Vec<String> {
    let trouble = progress.storage_trouble.as_ref();
    let trouble = trouble.map(|text| label("storage").toned(Tone::Warning, text));
    let lines = [
        head(progress, width),
        bar(progress, width),
        rates(progress),
        requests(progress),
        errors(progress),
        response(progress),
        drivers(progress),
        verdict(progress),
        label("event").text(progress.last_event.as_deref().unwrap_or(NOTHING)),
    ];
    lines.iter().chain(&trouble).map(|line| line.print(width, color)).collect()
}

fn label(name: &str) -> Line {
    Line::new().toned(Tone::Faint, name).to(LABEL)
}

fn head(progress: &Progress, width: usize) -> Line {
    let of = progress.planned_s.map_or(String::new(), |planned| format!(" of {}", clock(planned)));
    let time = format!("{}{of}", clock(progress.elapsed_s));
    let run = format!("   run {}   ", short_id(&progress.run_id));
    let state = shortened(&progress.state, 16);
    let taken = columns(&run) + columns(&state) + columns(&time) + 3;
    let line = Line::new()
        .toned(Tone::Strong, shortened(&progress.plan, width.saturating_sub(taken)))
        .text(run)
        .toned(state_tone(&progress.state), state);
    let time_from = width.saturating_sub(columns(&time));
    line.to(time_from).text(time)
}

fn bar(progress: &Progress, width: usize) -> Line {
    let stage = progress.stage.as_ref().map_or(String::new(), |stage| shortened(&stage.say(), width / 2));
    let by_time =
        || progress.planned_s.filter(|planned| *planned > 0.0).map(|planned| progress.elapsed_s / planned);
    let Some(share) = progress.done_share.or_else(by_time).filter(|share| share.is_finite()) else {
        return Line::new().text(stage);
    };
    let share = share.clamp(0.0, 1.0);
    let gap = if stage.is_empty() { 0 } else { columns(&stage) + 2 };
    let room = width.saturating_sub(gap).saturating_sub(" 100 %".len());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of the width of a terminal"
    )]
    let full = (room as f64 * share).round() as usize;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
    let hundredths = (share * 100.0).floor() as u32;
    let line = Line::new()
        .toned(Tone::Good, "━".repeat(full))
        .toned(Tone::Faint, "─".repeat(room.saturating_sub(full)))
        .text(format!(" {hundredths:>3} %"));
    if stage.is_empty() { line } else { line.text("  ").text(stage) }
}

fn rates(progress: &Progress) -> Line {
    let line = label("rate").text(format!("{}/s", rate(progress.achieved_per_s)));
    match (progress.planned_per_s, progress.achieved_per_s) {
        (Some(planned), Some(achieved)) if planned > 0.0 => {
            line.text(format!(" of {}/s planned, {}", rate(Some(planned)), percent(achieved / planned)))
        }
        (Some(planned), _) => line.text(format!(" of {}/s planned", rate(Some(planned)))),
        (None, _) => line,
    }
}

fn requests(progress: &Progress) -> Line {
    label("requests").text(format!(
        "{} sent   {} done   {} in flight   {} connections",
        count(progress.sent),
        count(progress.done),
        count(progress.in_flight),
        count(progress.connections)
    ))
}

fn errors(progress: &Progress) -> Line {
    let (tone, text) = match progress.failed {
        0 => (Tone::Plain, "none".to_owned()),
        failed => (Tone::Bad, format!("{}, {}", count(failed), share(failed, progress.done))),
    };
    let line = label("errors").toned(tone, text);
    match progress.missed {
        0 => line,
        missed => line.toned(Tone::Warning, format!("   {} iterations missed", count(missed))),
    }
}

fn response(progress: &Progress) -> Line {
    label("response").text(format!(
        "p50 {}   p99 {}   max {}   ({} samples)",
        time(progress.p50_ms),
        time(progress.p99_ms),
        time(progress.max_ms),
        count(progress.done)
    ))
}

fn drivers(progress: &Progress) -> Line {
    let tone = if progress.drivers_reporting < progress.drivers { Tone::Warning } else { Tone::Plain };
    label("drivers")
        .toned(tone, format!("{} of {} reporting", progress.drivers_reporting, progress.drivers))
        .text(format!("   send lag p99 {}", time(progress.send_lag_p99_ms)))
}

fn verdict(progress: &Progress) -> Line {
    match &progress.verdict {
        Some(verdict) => label("verdict").toned(verdict_tone(verdict), verdict),
        None => label("verdict").text(NOTHING),
    }
}

fn rate(per_s: Option<f64>) -> String {
    per_s.map_or(NOTHING.to_owned(), three_digits)
}

/// A time with the unit that fits: `80.0 µs`, `1.23 ms`, `12.3 s`.
fn time(ms: Option<f64>) -> String {
    match ms {
        None => NOTHING.to_owned(),
        Some(ms) if ms < 1.0 => format!("{} µs", three_digits(ms * 1e3)),
        Some(ms) if ms < 10_000.0 => format!("{} ms", three_digits(ms)),
        Some(ms) => format!("{} s", three_digits(ms / 1e3)),
    }
}
