//! A rehearsal as text, one paragraph for each thing that happens; readable without colour.

use std::time::Duration;

use engine::rehearsal::{Answer, Event, Exchange, Row, Sent};

use super::body;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "1;31";
const GREEN: &str = "32";

/// Writes events.
pub struct Writer {
    color: bool,
}

impl Writer {
    pub fn new(color: bool) -> Self {
        Self { color }
    }

    pub fn event(&self, event: &Event) -> String {
        match event {
            Event::Begins { scenario, number, target, rows } => {
                let head = format!("scenario {scenario}, iteration {number}, to {target}");
                let rows: String = rows.iter().map(|row| format!("  {}\n", row_of(row))).collect();
                format!("{}\n{rows}\n", self.paint(BOLD, &format!("== {head}")))
            }
            Event::Once { fixture, target } => {
                let head = format!("== {}, to {target}", fixture.as_str());
                format!("{}\n\n", self.paint(BOLD, &head))
            }
            Event::NoRow { scenario, source } => {
                format!("scenario {scenario}: no row of {source} is left, so no iteration begins\n\n")
            }
            Event::Pause { drawn, waited } if waited == drawn => self.note(&format!("paused {drawn:.1?}")),
            Event::Pause { drawn, .. } => {
                self.note(&format!("pause of {drawn:.1?} skipped (--with-pauses keeps it)"))
            }
            Event::Group(name) => self.note(&format!("group {name} begins")),
            Event::Left(name) => self.note(&format!("group {name} is over")),
            Event::Condition { text, holds: true } => self.note(&format!("when {text}: yes")),
            Event::Condition { text, holds: false } => self.note(&format!("when {text}: no, skipped")),
            Event::Round { number, most, condition, item } => {
                let condition = condition.as_ref().map(|text| format!(", since {text}")).unwrap_or_default();
                let item = item.as_ref().map(|(name, value)| format!(", {name} = {}", line(value)));
                self.note(&format!("round {number} of {most}{condition}{}", item.unwrap_or_default()))
            }
            Event::Rounds(1) => self.note("the loop is over after 1 round"),
            Event::Rounds(rounds) => self.note(&format!("the loop is over after {rounds} rounds")),
            Event::Exchange(exchange) => self.exchange(exchange),
            Event::Ends { is_broken: true } => {
                self.note("the iteration ends here: later steps may need what this one should have given")
            }
            Event::Ends { is_broken: false } => String::new(),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn note(&self, text: &str) -> String {
        format!("{}\n\n", self.paint(DIM, &format!("-- {text}")))
    }

    fn exchange(&self, exchange: &Exchange) -> String {
        let mut out = String::new();
        let name = match exchange.redirects {
            0 => line(&exchange.step),
            count => format!("{}, redirect {count}", line(&exchange.step)),
        };
        out.push_str(&format!("{}\n", self.paint(BOLD, &format!("# {name}"))));
        if let Some(sent) = &exchange.request {
            out.push_str(&self.request(sent));
        }
        if let Some(answer) = &exchange.answer {
            out.push_str(&self.answer(answer, exchange));
        }
        for cookie in &exchange.cookies {
            out.push_str(&format!("  cookie  {}\n", line(cookie)));
        }
        for check in &exchange.checks {
            let text = line(&check.text);
            if check.holds {
                out.push_str(&format!("  {}      {text}\n", self.paint(GREEN, "ok")));
            } else {
                let (expected, found) = (line(&check.expected), line(&check.found));
                let failed = self.paint(RED, "FAILED");
                out.push_str(&format!("  {failed}  {text}: expected {expected}, found {found}\n"));
            }
        }
        for (name, value) in &exchange.saved {
            out.push_str(&format!("  saved   {name} = {}\n", line(value)));
        }
        // A check that does not hold has said so already.
        let failure = exchange.failure.as_ref().filter(|_| exchange.checks.iter().all(|check| check.holds));
        if let Some(failure) = failure {
            let failed = self.paint(RED, &format!("FAILED ({})", failure.kind));
            out.push_str(&format!("  {failed}: {}\n", line(&failure.text)));
        }
        out.push('\n');
        out
    }

    fn request(&self, sent: &Sent) -> String {
        let mut out = format!("> {} {} {}\n", sent.method, line(&sent.url), sent.version);
        out.push_str(&self.headers('>', &sent.headers));
        out.push_str(&indented('>', &body::shown(&sent.body, sent.body.len() as u64, false)));
        out
    }

    fn answer(&self, answer: &Answer, exchange: &Exchange) -> String {
        let status = self.paint(if answer.is_accepted { GREEN } else { RED }, &answer.status.to_string());
        let connect = match exchange.connect {
            Some((connect, greeting)) if greeting >= Duration::from_micros(50) => {
                format!("connect {}, agree {}, ", ms(connect), ms(greeting))
            }
            Some((connect, _)) => format!("connect {}, ", ms(connect)),
            None => String::new(),
        };
        let (first, total) = (ms(answer.first_byte), ms(answer.total));
        let mut out = format!("< {status}   {connect}first byte {first}, total {total}\n");
        out.push_str(&self.headers('<', &answer.headers));
        out.push_str(&indented('<', &body::shown(&answer.body, answer.body_bytes, answer.is_cut)));
        if exchange.is_followed {
            out.push_str("  the redirect is followed\n");
        }
        out
    }

    fn headers(&self, mark: char, headers: &[(String, String)]) -> String {
        let header = |(name, value): &(String, String)| {
            format!("{mark} {}\n", self.paint(DIM, &format!("{}: {}", line(name), line(value))))
        };
        headers.iter().map(header).collect()
    }
}

fn row_of(row: &Row) -> String {
    let Some(number) = row.number else { return format!("no row of {} is left", row.source) };
    let values: Vec<String> =
        row.values.iter().map(|(name, value)| format!("{name} = {}", line(value))).collect();
    format!("row {number} of {} of {}: {}", row.rows, row.source, values.join(", "))
}

/// A body below headers.
fn indented(mark: char, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let lines: String = text.lines().map(|line| format!("{mark} {line}\n")).collect();
    format!("{mark}\n{lines}")
}

/// Text on one line, and nothing in it that a terminal would obey.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn ms(span: Duration) -> String {
    let ms = span.as_secs_f64() * 1e3;
    if ms < 100.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}
