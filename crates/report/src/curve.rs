//! The level of a load over time, drawn with blocks.
//!
//! Invariant: what tells stages and warm-up apart is the form of the letters, never their colour.

use std::time::Duration;

use plan::StageInfo;

use crate::number::{as_given, clock};
use crate::page::{Line, Tone, columns, shortened};

/// Lines of the drawing.
const HEIGHT: usize = 8;

/// Parts of a letter that can be told apart.
const PARTS: usize = 8;

const BLOCKS: [char; PARTS + 1] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

const WARMUP: char = '░';

/// Columns below which a stage's name says nothing.
const SHORTEST_NAME: usize = 3;

/// A stage with its place in time.
struct Span<'a> {
    name: &'a str,
    is_warmup: bool,
    start: f64,
    end: f64,
    from: f64,
    to: f64,
}

impl Span<'_> {
    fn level_at(&self, seconds: f64) -> f64 {
        self.from + (self.to - self.from) * (seconds - self.start) / (self.end - self.start)
    }
}

/// The stages as a picture of at most `width` columns, which stand for `length` where that is longer; none where length or
/// level of a stage is not known.
pub(crate) fn curve(stages: &[StageInfo], length: Duration, width: usize) -> Vec<Line> {
    let Some(spans) = spans(stages) else { return Vec::new() };
    let (end, most) = spans.iter().fold((length.as_secs_f64(), 0.0), |(end, most): (f64, f64), span| {
        (end.max(span.end), most.max(span.from).max(span.to))
    });
    let unit = if stages.iter().any(|stage| stage.users.is_some()) { "" } else { "/s" };
    let labels =
        [(0, most), (HEIGHT / 2, most / 2.0)].map(|(row, level)| (row, format!("{}{unit}", as_given(level))));
    let margin = labels.iter().map(|(_, label)| columns(label)).max().unwrap_or(0) + 2;
    let count = width.saturating_sub(margin + 1).max(1);
    let cells: Vec<(f64, bool)> = (0..count).map(|column| level_of(&spans, column, count, end)).collect();
    let mut lines: Vec<Line> = (0..HEIGHT)
        .map(|row| {
            let label = labels.iter().find(|(at, _)| *at == row).map_or("", |(_, label)| label);
            let joint = if label.is_empty() { "│" } else { "┤" };
            let drawn: String =
                cells.iter().map(|(level, warms)| letter(level / most, row, *warms)).collect();
            Line::new().text(format!("{label:>0$} {joint}", margin - 2)).text(drawn)
        })
        .collect();
    let starts: Vec<usize> = spans.iter().map(|span| place(span.start, end, count)).collect();
    let axis: String = (0..count).map(|column| if starts.contains(&column) { '┬' } else { '─' }).collect();
    lines.push(Line::new().text(format!("{:>1$} └{axis}", "0", margin - 2)));
    lines.push(names(&spans, &starts, margin, count));
    lines.push(times(&spans, &starts, margin, count, end));
    if spans.iter().any(|span| span.is_warmup) {
        let said = format!("{WARMUP} warm-up: shown, but left out of the summary");
        lines.push(Line::new().to(margin).toned(Tone::Faint, said));
    }
    lines
}

fn spans(stages: &[StageInfo]) -> Option<Vec<Span<'_>>> {
    let spans = stages.iter().map(|stage| {
        let users = stage.users.map(|(from, to)| (f64::from(from), f64::from(to)));
        let (from, to) = stage.rate_per_s.or(users)?;
        let start = stage.begins.as_secs_f64();
        let end = start + stage.duration?.as_secs_f64();
        Some(Span { name: &stage.name, is_warmup: stage.warmup, start, end, from, to })
    });
    spans.collect()
}

/// The level in the middle of a column, and whether it is of a warm-up. A stage within one column is shown by its peak.
fn level_of(spans: &[Span<'_>], column: usize, count: usize, end: f64) -> (f64, bool) {
    let time = |column: f64| column / count as f64 * end;
    let (from, middle, to) = (time(column as f64), time(column as f64 + 0.5), time(column as f64 + 1.0));
    let here = spans.iter().find(|span| middle < span.end);
    let (level, warms) = here.map_or((0.0, false), |span| (span.level_at(middle), span.is_warmup));
    let within = spans.iter().filter(|span| span.start >= from && span.end <= to);
    within.fold((level, warms), |(level, warms), span| {
        let peak = span.from.max(span.to);
        if peak > level { (peak, span.is_warmup) } else { (level, warms) }
    })
}

/// The letter of a column in line `row` from above, for a level as a share of the highest.
fn letter(share: f64, row: usize, is_warmup: bool) -> char {
    let parts = (HEIGHT * PARTS) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let filled = (share * parts).round().clamp(f64::from(u8::from(share > 0.0)), parts) as usize;
    let here = filled.saturating_sub((HEIGHT - 1 - row) * PARTS).min(PARTS);
    match is_warmup {
        // Of what is shaded there are no parts.
        true if here >= PARTS / 2 || (here > 0 && row == HEIGHT - 1) => WARMUP,
        true => ' ',
        false => BLOCKS[here],
    }
}

fn place(seconds: f64, end: f64, count: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and count")]
    let column = (seconds / end * count as f64).round() as usize;
    column.min(count - 1)
}

/// Names of stages below their beginnings, as far as there is room; the table has them all.
fn names(spans: &[Span<'_>], starts: &[usize], margin: usize, count: usize) -> Line {
    let mut line = Line::new();
    for (number, span) in spans.iter().enumerate() {
        let next = starts.get(number + 1).copied().unwrap_or(count);
        let room = next.saturating_sub(starts[number] + usize::from(next < count));
        let at = margin + starts[number];
        if room >= SHORTEST_NAME.min(columns(span.name)) && line.width() <= at {
            line = line.to(at).text(shortened(span.name, room));
        }
    }
    line
}

/// The time at the beginning of stages as far as there is room, and at the end.
fn times(spans: &[Span<'_>], starts: &[usize], margin: usize, count: usize, end: f64) -> Line {
    let last = clock(end);
    let last_at = margin + count - columns(&last).min(count);
    let mut line = Line::new();
    for (span, start) in spans.iter().zip(starts) {
        let (said, at) = (clock(span.start), margin + start);
        let is_free = line.width() == 0 || line.width() < at;
        if is_free && at + columns(&said) < last_at {
            line = line.to(at).text(said);
        }
    }
    line.to(last_at).text(last)
}
