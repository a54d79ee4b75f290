//! Single values as they stand in JSON: strict in what is written, lenient in what is read.
//!
//! Counts and delays are written as numbers, latencies as decimal strings; every one is read in either form. Each type
//! says in its error what it expected, so that a foreign peer's author sees what to change.

use std::fmt;
use std::time::Duration;

use clock::BrokerTime;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::rfc3339;

/// Longest identifier of a node, run or report.
pub const MAX_NAME_BYTES: usize = 256;
/// Longest free text: a reason, a version, a label.
pub const MAX_TEXT_BYTES: usize = 4096;
/// Longest delay between two messages.
const MAX_DELAY: Duration = Duration::from_secs(7 * 24 * 3600);

/// A JSON value that is neither a list nor an object.
enum Scalar {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    Bool(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Unsigned(number) => write!(formatter, "{number}"),
            Scalar::Signed(number) => write!(formatter, "{number}"),
            Scalar::Float(number) => write!(formatter, "{number}"),
            Scalar::Bool(value) => write!(formatter, "{value}"),
            Scalar::Text(text) => {
                let shown: String = text.chars().take(40).collect();
                write!(formatter, "{shown:?}{}", if shown.len() < text.len() { "…" } else { "" })
            }
        }
    }
}

struct ScalarVisitor(&'static str);

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Unsigned(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Signed(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar::Float(number))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }
}

impl Scalar {
    fn float(&self) -> Option<f64> {
        match self {
            Scalar::Unsigned(number) => Some(*number as f64),
            Scalar::Signed(number) => Some(*number as f64),
            Scalar::Float(number) => Some(*number),
            Scalar::Text(text) => text.trim().parse().ok(),
            Scalar::Bool(_) => None,
        }
        .filter(|number: &f64| number.is_finite())
    }

    /// A whole number in any form, also `1000.0`.
    fn whole(&self) -> Option<i128> {
        match self {
            Scalar::Unsigned(number) => return Some(i128::from(*number)),
            Scalar::Signed(number) => return Some(i128::from(*number)),
            Scalar::Text(text) => {
                if let Ok(number) = text.trim().parse() {
                    return Some(number);
                }
            }
            Scalar::Float(_) | Scalar::Bool(_) => {}
        }
        // Beyond 2^53 a float no longer says which whole number it means.
        let number = self.float().filter(|number| number.fract() == 0.0 && number.abs() <= 9e15)?;
        #[expect(clippy::cast_possible_truncation, reason = "whole and at most 9e15")]
        Some(number as i128)
    }
}

/// Reads a scalar and converts it, naming what was expected when that fails.
fn read<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    convert: impl FnOnce(&Scalar) -> Option<T>,
) -> Result<T, D::Error> {
    let scalar = deserializer.deserialize_any(ScalarVisitor(expected))?;
    convert(&scalar).ok_or_else(|| de::Error::custom(format_args!("expected {expected}, found {scalar}")))
}

/// A whole number, not negative, that fits `T`.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(transparent)]
pub struct Count<T>(pub T);

impl<'de, T: TryFrom<i128>> Deserialize<'de> for Count<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "a whole number of at least 0", |scalar| {
            scalar.whole().filter(|number| *number >= 0).and_then(|number| T::try_from(number).ok())
        })
        .map(Self)
    }
}

/// A whole number of either sign: an offset or an epoch.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "a whole number", |scalar| {
            scalar.whole().and_then(|number| i64::try_from(number).ok())
        })
        .map(Self)
    }
}

/// A finite number.
#[derive(Debug, Clone, Copy, Default)]
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(if self.0.is_finite() { self.0 } else { 0.0 })
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "a number", Scalar::float).map(Self)
    }
}

/// A latency in milliseconds, written as a decimal string with nanosecond resolution.
#[derive(Debug, Clone, Copy)]
pub struct Latency(pub f64);

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ms = if self.0.is_finite() { (self.0.max(0.0) * 1e6).round() / 1e6 } else { 0.0 };
        serializer.collect_str(&ms)
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "a latency in milliseconds of at least 0", |scalar| {
            scalar.float().filter(|ms| *ms >= 0.0)
        })
        .map(Self)
    }
}

/// A span of time: milliseconds when bare, or with a unit (`20ms`, `1s`).
#[derive(Debug, Clone, Copy)]
pub struct Delay(pub Duration);

impl Delay {
    fn parse(scalar: &Scalar) -> Option<Self> {
        let ms = match (scalar.float(), scalar) {
            (Some(ms), _) => ms,
            (None, Scalar::Text(text)) => {
                let text = text.trim();
                let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
                let (number, unit) = text.split_at(digits);
                let factor = match unit.trim() {
                    "ns" => 1e-6,
                    "us" | "µs" => 1e-3,
                    "ms" => 1.0,
                    "s" => 1e3,
                    "m" | "min" => 6e4,
                    "h" => 3.6e6,
                    _ => return None,
                };
                number.parse::<f64>().ok()? * factor
            }
            _ => return None,
        };
        let span = Duration::try_from_secs_f64(ms / 1e3).ok()?;
        (span <= MAX_DELAY).then_some(Self(span))
    }
}

impl Serialize for Delay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.subsec_nanos().is_multiple_of(1_000_000) {
            serializer.serialize_u64(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX))
        } else {
            serializer.serialize_f64(self.0.as_secs_f64() * 1e3)
        }
    }
}

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(
            deserializer,
            "a delay of 0 to 7 days, in milliseconds or with a unit such as 20ms or 1s",
            Self::parse,
        )
    }
}

/// Broker time as Unix milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Moment(pub BrokerTime);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0.unix_ms())
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "a time in Unix milliseconds", |scalar| {
            scalar.whole().and_then(|number| i64::try_from(number).ok())
        })
        .map(|ms| Self(BrokerTime::from_unix_ms(ms)))
    }
}

/// A wall-clock time in Unix milliseconds, written as RFC 3339, read also as Unix seconds or milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Below it a bare number is seconds: as milliseconds it would lie before March 1973.
    const FIRST_MS: f64 = 1e11;

    fn parse(scalar: &Scalar) -> Option<i64> {
        let Some(number) = scalar.float() else {
            let Scalar::Text(text) = scalar else { return None };
            return rfc3339::parse(text.trim());
        };
        let ms = if number.abs() < Self::FIRST_MS { number * 1e3 } else { number };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "casts of floats saturate, and the range is checked"
        )]
        let whole = ms.round() as i64;
        (rfc3339::FIRST_MS..=rfc3339::LAST_MS).contains(&whole).then_some(whole)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339::format(self.0))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "a time as RFC 3339, Unix seconds or Unix milliseconds", Self::parse).map(Self)
    }
}

/// The word `YES`.
#[derive(Debug, Clone, Copy)]
pub struct Yes;

impl Serialize for Yes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("YES")
    }
}

impl<'de> Deserialize<'de> for Yes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "\"YES\"", |scalar| match scalar {
            Scalar::Text(text) if text.eq_ignore_ascii_case("yes") => Some(Self),
            Scalar::Bool(true) => Some(Self),
            _ => None,
        })
    }
}

/// A UUID in its usual form.
#[derive(Debug, Clone, Copy)]
pub struct Id(pub Uuid);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "a UUID", |scalar| match scalar {
            Scalar::Text(text) => Uuid::try_parse(text).ok(),
            _ => None,
        })
        .map(Self)
    }
}

/// An identifier: 1 to [`MAX_NAME_BYTES`] bytes. A number is taken as its digits.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Name(pub String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "an identifier of 1 to 256 bytes", |scalar| match scalar {
            Scalar::Text(text) => (1..=MAX_NAME_BYTES).contains(&text.len()).then(|| text.clone()),
            Scalar::Unsigned(number) => Some(number.to_string()),
            Scalar::Signed(_) | Scalar::Float(_) | Scalar::Bool(_) => None,
        })
        .map(Self)
    }
}

/// Free text of at most [`MAX_TEXT_BYTES`], cut there when written.
#[derive(Debug, Clone, Default)]
pub struct Text(pub String);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0[..self.0.floor_char_boundary(MAX_TEXT_BYTES)])
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "a text of at most 4096 bytes", |scalar| match scalar {
            Scalar::Text(text) => (text.len() <= MAX_TEXT_BYTES).then(|| text.clone()),
            other => Some(other.to_string()),
        })
        .map(Self)
    }
}
