//! The JSON event: one request, as workers of any make report it.
//!
//! Invariant: an event is read in whole or set aside with its reason; texts are borrowed from the message unless they are
//! escaped. Keys that are not known are passed over. Deliberately absent: several events in one message.

use std::borrow::Cow;
use std::fmt;

use events::Row;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::moment;

/// Longest name of a run, a worker or a stage, in bytes.
const NAME_BYTES: usize = 200;

/// Longest name of an endpoint, in bytes.
const ENDPOINT_BYTES: usize = 1024;

/// What is kept of an error's text, in bytes.
const ERROR_BYTES: usize = 1024;

/// Longest time of an event, about 24 days: `latency_ms` is stored as a 32-bit number.
const LONGEST_US: f64 = i32::MAX as f64 * 1000.0;

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Event<'a> {
    pub run_id: Cow<'a, str>,
    pub worker_id: Cow<'a, str>,
    pub endpoint: Cow<'a, str>,
    pub stage: Option<Cow<'a, str>>,
    /// Why it failed; `None` for success.
    pub error: Option<Cow<'a, str>>,
    /// When its answer was complete, in microseconds since 1970.
    pub timestamp_us: i64,
    pub status_code: Option<u16>,
    pub response_time_us: i64,
    pub service_time_us: Option<i64>,
    pub send_lag_us: Option<i64>,
    pub connection_wait_us: Option<i64>,
    pub bytes_in: Option<u64>,
    pub bytes_out: Option<u64>,
}

impl Event<'_> {
    /// The event without its run and worker.
    pub fn row(&self) -> Row<'_> {
        Row {
            timestamp_us: self.timestamp_us,
            endpoint: &self.endpoint,
            stage: self.stage.as_deref(),
            status_code: self.status_code,
            response_time_us: self.response_time_us,
            service_time_us: self.service_time_us,
            send_lag_us: self.send_lag_us,
            connection_wait_us: self.connection_wait_us,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            error: self.error.as_deref(),
        }
    }
}

/// Why a message is no event.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("it is no JSON object: {0}")]
    Json(serde_json::Error),
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{0}` {1}")]
    Wrong(&'static str, &'static str),
}

/// Reads a message.
///
/// # Errors
/// It is not JSON, or lacks what an event needs, or a value of it means nothing.
pub fn read(message: &[u8]) -> Result<Event<'_>, Fault> {
    serde_json::from_slice::<Raw<'_>>(message).map_err(Fault::Json)?.validated()
}

/// The values as they came; the last of several of one name.
#[derive(Debug, Default)]
struct Raw<'a> {
    values: [Value<'a>; KEYS.len()],
}

const KEYS: [&str; 14] = [
    "timestamp",
    "test_run_id",
    "worker_id",
    "endpoint",
    "latency_ms",
    "status_code",
    "response_time_us",
    "service_time_us",
    "send_lag_us",
    "connection_wait_us",
    "bytes_in",
    "bytes_out",
    "error",
    "stage",
];
const TIMESTAMP: usize = 0;
const RUN: usize = 1;
const WORKER: usize = 2;
const ENDPOINT: usize = 3;
const LATENCY: usize = 4;
const STATUS: usize = 5;
const RESPONSE_TIME: usize = 6;
const SERVICE_TIME: usize = 7;
const SEND_LAG: usize = 8;
const CONNECTION_WAIT: usize = 9;
const BYTES_IN: usize = 10;
const BYTES_OUT: usize = 11;
const ERROR: usize = 12;
const STAGE: usize = 13;

#[derive(Debug, Default)]
enum Value<'a> {
    /// Not there, or `null`.
    #[default]
    None,
    Text(Cow<'a, str>),
    Number(f64),
    Other,
}

impl<'a> Raw<'a> {
    fn validated(mut self) -> Result<Event<'a>, Fault> {
        let timestamp_us = self.timestamp()?;
        let run_id = self.name(RUN)?;
        let worker_id = self.name(WORKER)?;
        let endpoint = self.text(ENDPOINT, ENDPOINT_BYTES)?.ok_or(Fault::Missing(KEYS[ENDPOINT]))?;
        let latency_us = self.us(LATENCY, 1000.0)?;
        let response_time_us = self.us(RESPONSE_TIME, 1.0)?.or(latency_us);
        let status_code = self.status()?;
        let error = match (self.error()?, status_code) {
            (None, None) => return Err(Fault::Missing(KEYS[STATUS])),
            // As a plan that says nothing about statuses judges it, and as reports name it.
            (None, Some(status)) if status >= 400 => Some(Cow::Owned(format!("status: {status}"))),
            (error, _) => error,
        };
        Ok(Event {
            timestamp_us,
            run_id,
            worker_id,
            endpoint,
            stage: self.text(STAGE, NAME_BYTES)?,
            error,
            status_code,
            response_time_us: response_time_us.ok_or(Fault::Missing(KEYS[LATENCY]))?,
            service_time_us: self.us(SERVICE_TIME, 1.0)?,
            send_lag_us: self.us(SEND_LAG, 1.0)?,
            connection_wait_us: self.us(CONNECTION_WAIT, 1.0)?,
            bytes_in: self.bytes(BYTES_IN)?,
            bytes_out: self.bytes(BYTES_OUT)?,
        })
    }

    fn take(&mut self, key: usize) -> Value<'a> {
        std::mem::take(&mut self.values[key])
    }

    fn timestamp(&mut self) -> Result<i64, Fault> {
        let time = match self.take(TIMESTAMP) {
            Value::None => return Err(Fault::Missing(KEYS[TIMESTAMP])),
            Value::Text(text) => moment::of_text(&text),
            Value::Number(number) => moment::of_number(number),
            Value::Other => None,
        };
        time.ok_or(Fault::Wrong(
            KEYS[TIMESTAMP],
            "must be RFC 3339, Unix seconds or Unix milliseconds, of the years 1970 to 9999",
        ))
    }

    /// A text that is there and not empty.
    fn text(&mut self, key: usize, limit: usize) -> Result<Option<Cow<'a, str>>, Fault> {
        match self.take(key) {
            Value::None => Ok(None),
            Value::Text(text) if text.is_empty() => Ok(None),
            Value::Text(text) if text.len() > limit => Err(Fault::Wrong(KEYS[key], "is too long")),
            // No text of PostgreSQL may hold it.
            Value::Text(text) if text.contains('\0') => {
                Err(Fault::Wrong(KEYS[key], "has a zero character in it"))
            }
            Value::Text(text) => Ok(Some(text)),
            Value::Number(_) | Value::Other => Err(Fault::Wrong(KEYS[key], "must be a text")),
        }
    }

    fn name(&mut self, key: usize) -> Result<Cow<'a, str>, Fault> {
        let name = self.text(key, NAME_BYTES)?.ok_or(Fault::Missing(KEYS[key]))?;
        if is_name(&name) { Ok(name) } else { Err(Fault::Wrong(KEYS[key], NO_NAME)) }
    }

    /// A time in microseconds, of a number of which one is `unit_us`.
    fn us(&mut self, key: usize, unit_us: f64) -> Result<Option<i64>, Fault> {
        match self.take(key) {
            Value::None => Ok(None),
            #[expect(clippy::cast_possible_truncation, reason = "within the range")]
            Value::Number(number) if (0.0..=LONGEST_US).contains(&(number * unit_us)) => {
                Ok(Some((number * unit_us).round() as i64))
            }
            _ => Err(Fault::Wrong(KEYS[key], "must be a number from 0 to 24 days")),
        }
    }

    /// A status; 0 is how other tools write that there was none.
    fn status(&mut self) -> Result<Option<u16>, Fault> {
        match self.take(STATUS) {
            Value::None | Value::Number(0.0) => Ok(None),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range")]
            Value::Number(number) if (100.0..=999.0).contains(&number) && number.fract() == 0.0 => {
                Ok(Some(number as u16))
            }
            _ => Err(Fault::Wrong(
                KEYS[STATUS],
                "must be a whole number from 100 to 999, or 0 or null for none",
            )),
        }
    }

    fn bytes(&mut self, key: usize) -> Result<Option<u64>, Fault> {
        match self.take(key) {
            Value::None => Ok(None),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "not negative; cut at 2^64"
            )]
            Value::Number(number) if number >= 0.0 => Ok(Some(number as u64)),
            _ => Err(Fault::Wrong(KEYS[key], "must be a number of bytes")),
        }
    }

    /// The text of an error, cut where it is endless: the event counts more than the end of its message.
    fn error(&mut self) -> Result<Option<Cow<'a, str>>, Fault> {
        let error = self.text(ERROR, usize::MAX)?;
        Ok(error.map(|error| match error {
            error if error.len() <= ERROR_BYTES => error,
            error => Cow::Owned(error[..error.floor_char_boundary(ERROR_BYTES)].to_owned()),
        }))
    }
}

/// What is said of a name that [`is_name`] refuses.
pub const NO_NAME: &str = "must be 1 to 200 bytes without control characters";

/// Whether a run or worker may be called so.
pub fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control)
}

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw<'de>, A::Error> {
        let mut raw = Raw::default();
        while let Some(Key(key)) = map.next_key()? {
            match key {
                Some(key) => raw.values[key] = map.next_value()?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(raw)
    }
}

/// The place of a key among [`KEYS`], or `None` for one that is not known.
struct Key(Option<usize>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, text: &str) -> Result<Key, E> {
        Ok(Key(KEYS.iter().position(|key| *key == text)))
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::None)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}
