//! Numbers with units: rates, durations.
//!
//! Invariant: a rate is an exact fraction, so that intended times are exact to the nanosecond on every machine.
//! Deliberately absent: bare numbers. `30` is neither seconds nor requests until the plan says so.

use std::fmt;
use std::time::Duration;

use crate::diagnostic::Wrong;
use crate::limits;

/// Units of time, in nanoseconds.
pub(crate) const SPAN_UNITS: [(&str, u64); 9] = [
    ("ns", 1),
    ("µs", 1_000),
    ("μs", 1_000),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Units of rates, in seconds.
pub(crate) const RATE_UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("min", 60), ("h", 3600)];

/// A rate: finite, and positive but at the foot of a ramp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Millionths of an arrival …
    millionths: u64,
    /// … in this many seconds: 1, 60 or 3,600.
    seconds: u64,
}

impl Rate {
    /// No arrivals at all.
    pub const ZERO: Self = Self { millionths: 0, seconds: 1 };

    /// The rate of `per_second`, to the nearest millionth; `None` unless it is within
    /// [`limits::RATE_PER_S_MIN`] and [`limits::RATE_PER_S`].
    pub fn new(per_second: f64) -> Option<Self> {
        if !(limits::RATE_PER_S_MIN..=limits::RATE_PER_S).contains(&per_second) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the limits just checked"
        )]
        let millionths = (per_second * 1e6).round() as u64;
        Some(Self { millionths, seconds: 1 })
    }

    /// Arrivals per second.
    pub fn per_second(self) -> f64 {
        self.millionths as f64 / 1e6 / self.seconds as f64
    }

    /// This rate times `factor`, at most [`limits::RATE_PER_S`]; `None` when nothing is left of it.
    pub(crate) fn scaled(self, factor: f64) -> Option<Self> {
        if factor == 1.0 {
            return Some(self);
        }
        let most = limits::RATE_PER_S * 1e6 * self.seconds as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped; a NaN becomes zero"
        )]
        let millionths = (self.millionths as f64 * factor).round().clamp(0.0, most) as u64;
        (millionths > 0).then_some(Self { millionths, seconds: self.seconds })
    }

    /// As a fraction: so many millionths of an arrival in so many seconds, which are 3,600 at most.
    pub(crate) fn fraction(self) -> (u128, u128) {
        (u128::from(self.millionths), u128::from(self.seconds))
    }

    /// Nanoseconds between two arrivals, as a fraction in lowest terms: (numerator, denominator). For a rate
    /// above zero.
    pub(crate) fn interval_ns(self) -> (u64, u64) {
        let (numerator, denominator) = (self.seconds * 1_000_000_000_000_000, self.millionths);
        let divisor = gcd(numerator, denominator);
        (numerator / divisor, denominator / divisor)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.seconds {
            1 => "s",
            60 => "min",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.millionths as f64 / 1e6)
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Units of sizes, in bytes.
pub(crate) const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A size of `what` in bytes, with its unit: `64KiB`. Zero needs none.
pub(crate) fn parse_size(text: &str, what: &str, most: u64) -> Result<u64, Wrong> {
    let text = text.trim();
    if text == "0" {
        return Ok(0);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim_start());
    if number.is_empty() {
        let wrong = Wrong::new("not_a_number", format!("{what} must be a number of bytes with its unit"));
        return Err(wrong.help("write it like 64KiB"));
    }
    let known: Vec<&str> = SIZE_UNITS.iter().map(|(unit, _)| *unit).collect();
    let Some((_, bytes)) = SIZE_UNITS.iter().find(|(known, _)| *known == unit) else {
        let wrong = match unit {
            "" => Wrong::new("missing_unit", format!("{what} needs a unit")),
            _ => Wrong::new("bad_size", format!("{what} cannot be in \"{unit}\"")),
        };
        return Err(wrong.help(format!("known here: {}", known.join(", "))));
    };
    let size = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*bytes));
    size.filter(|size| *size <= most)
        .ok_or_else(|| Wrong::new("absurd", format!("{what} can be at most {most} bytes")))
}

/// A size in bytes with its unit, such as `64KiB` or `2GiB`, for who is no plan.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = |wrong: Wrong| match wrong.help {
        Some(help) => format!("{}; {help}", wrong.message),
        None => wrong.message,
    };
    parse_size(text, "a size", u64::MAX).map_err(wrong)
}

/// A whole number of `what`.
pub(crate) fn parse_count(text: &str, what: &str, least: u64, most: u64) -> Result<u64, Wrong> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Wrong::new("not_a_number", format!("{what} must be a whole number")));
    }
    let value = digits.parse().unwrap_or(u64::MAX);
    if text.starts_with('-') && value > 0 {
        return Err(Wrong::new("negative", format!("{what} cannot be negative")));
    }
    if value == 0 && least > 0 {
        return Err(Wrong::new("zero", format!("{what} must be at least {least}")));
    }
    if value > most {
        return Err(Wrong::new("absurd", format!("{what} can be at most {most}")));
    }
    Ok(value)
}

/// A span of time such as `30s`, `1.5s` or `1h30m`: above zero, at most `most`.
pub(crate) fn parse_span(text: &str, what: &str, most: Duration) -> Result<Duration, Wrong> {
    let bad = || {
        Wrong::new("bad_duration", format!("{what} must be a time such as 30s"))
            .help("units are ns, us, ms, s, m, h and d")
    };
    let text = sign(text, what)?;
    let mut rest = text;
    let mut total_ns: u128 = 0;
    while !rest.is_empty() {
        let (number, after) = split_number(rest);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        if unit.is_empty() && after.is_empty() && rest.len() == text.len() && decimal(number, 0).is_some() {
            let wrong = Wrong::new("missing_unit", format!("{what} needs a unit"));
            return Err(wrong.help(format!("write {number}s or {number}ms")));
        }
        let (_, unit_ns) = SPAN_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?;
        // Nine decimals of a day are still whole nanoseconds after the division.
        let billionths = decimal(number, 9).ok_or_else(bad)?;
        total_ns += billionths * u128::from(*unit_ns) / 1_000_000_000;
        rest = after;
    }
    if text.is_empty() {
        return Err(bad());
    }
    if total_ns == 0 {
        return Err(Wrong::new("zero", format!("{what} must be more than zero")));
    }
    let span = u64::try_from(total_ns).map_or(Duration::MAX, Duration::from_nanos);
    if span > most {
        return Err(Wrong::new("absurd", format!("{what} can be at most {}", show_span(most))));
    }
    Ok(span)
}

/// A rate such as `500/s`, `0.5/s` or `30/min`, within the limits.
pub(crate) fn parse_rate(text: &str, what: &str) -> Result<Rate, Wrong> {
    let bad = || {
        Wrong::new("bad_rate", format!("{what} must be a rate such as 500/s"))
            .help("units are /s, /min and /h")
    };
    let text = sign(text, what)?;
    let (number, rest) = split_number(text);
    let millionths = decimal(number, 6).ok_or_else(bad)?;
    if rest.is_empty() {
        return Err(
            Wrong::new("missing_unit", format!("{what} needs a unit")).help(format!("write {number}/s"))
        );
    }
    let unit = rest.trim_start().strip_prefix('/').ok_or_else(bad)?.trim_start();
    let (_, seconds) = RATE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?;
    if millionths == 0 {
        return Err(Wrong::new("zero", format!("{what} must be more than zero")));
    }
    let absurd = |bound: &str| Wrong::new("absurd", format!("{what} {bound}"));
    let rate = Rate { millionths: u64::try_from(millionths).unwrap_or(u64::MAX), seconds: *seconds };
    if rate.per_second() > limits::RATE_PER_S {
        return Err(absurd(&format!("can be at most {}/s", limits::RATE_PER_S)));
    }
    if rate.per_second() < limits::RATE_PER_S_MIN {
        return Err(absurd("must be at least 1/h"));
    }
    Ok(rate)
}

/// A span as a plan has it, in the largest unit that divides it; where units are equal, the last one listed.
pub(crate) fn show_span(span: Duration) -> String {
    let ns = span.as_nanos();
    SPAN_UNITS
        .iter()
        .rev()
        .find(|(_, unit_ns)| ns.is_multiple_of(u128::from(*unit_ns)))
        .map_or_else(String::new, |(unit, unit_ns)| format!("{}{unit}", ns / u128::from(*unit_ns)))
}

/// A size in bytes in the largest unit in which it is whole.
pub(crate) fn show_size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("kB", 1_000), ("B", 1)];
    let unit = units.into_iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    let (unit, unit_bytes) = unit.unwrap_or(("B", 1));
    format!("{}{unit}", bytes / unit_bytes)
}

/// Takes a sign off, which only a fault can have.
fn sign<'a>(text: &'a str, what: &str) -> Result<&'a str, Wrong> {
    match text.strip_prefix('-') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => {
            Err(Wrong::new("negative", format!("{what} cannot be negative")))
        }
        _ => Ok(text),
    }
}

fn split_number(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()))
}

/// The decimal number `text` times ten to the power of `places`; `None` when it is none, or has more digits than any
/// value needs.
pub(crate) fn decimal(text: &str, places: usize) -> Option<u128> {
    /// More than any limit here, and few enough that no sum overflows.
    const DIGITS: usize = 15;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let ends = text.starts_with('.') || text.ends_with('.');
    let digits = |part: &str| part.len() <= DIGITS && part.bytes().all(|byte| byte.is_ascii_digit());
    let fine = places > 0 && fraction.len() > places;
    if ends || fine || whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let padded: String = fraction.chars().chain(std::iter::repeat('0')).take(places).collect();
    format!("{whole}{padded}").parse().ok()
}
