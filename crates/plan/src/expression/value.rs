//! What an expression gives: a JSON value, or text that lies elsewhere.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write as _;

use serde_json::Value as Json;

/// A value of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Nothing: there in JSON, and no text.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text; what data files and headers give is always text.
    Text(Cow<'a, str>),
    /// A list, an object, or a number that is neither of the above.
    Json(Cow<'a, Json>),
}

impl<'a> Value<'a> {
    /// A JSON value, as it is.
    pub fn of_json(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::String(text) => Self::Text(Cow::Borrowed(text)),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Self::Int(whole),
                (None, Some(float)) if !number.is_u64() => Self::Float(float),
                _ => Self::Json(Cow::Borrowed(json)),
            },
            Json::Array(_) | Json::Object(_) => Self::Json(Cow::Borrowed(json)),
        }
    }

    /// A JSON value, taken over.
    pub fn from_json(json: Json) -> Value<'static> {
        match json {
            Json::String(text) => Value::Text(Cow::Owned(text)),
            Json::Array(_) | Json::Object(_) => Value::Json(Cow::Owned(json)),
            scalar => Value::of_json(&scalar).into_owned(),
        }
    }

    /// It as a JSON value.
    pub fn to_json(&self) -> Json {
        let mut text = String::new();
        self.write_json(&mut text);
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The same, depending on nothing.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(number) => Value::Int(number),
            Self::Float(number) => Value::Float(number),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Json(json) => Value::Json(Cow::Owned(json.into_owned())),
        }
    }

    /// The same, for as long as this lives.
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(Cow::Borrowed(text)),
            Self::Json(json) => Value::Json(Cow::Borrowed(json)),
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(number) => Value::Int(*number),
            Self::Float(number) => Value::Float(*number),
        }
    }

    /// Appends it as text; false, and nothing is written, when there is none of it.
    pub fn write_text(&self, out: &mut String) -> bool {
        match self {
            Self::Null => return false,
            Self::Text(text) => out.push_str(text),
            other => other.write_json(out),
        }
        true
    }

    /// Appends it as JSON.
    pub fn write_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(number) => write!(out, "{number}").unwrap_or_default(),
            // JSON has no infinity.
            Self::Float(number) if !number.is_finite() => out.push_str("null"),
            Self::Float(number) => write!(out, "{number}").unwrap_or_default(),
            Self::Text(text) => {
                out.push('"');
                write_escaped(text, out);
                out.push('"');
            }
            Self::Json(json) => write!(out, "{json}").unwrap_or_default(),
        }
    }

    /// Whether a condition holds: all but null, false, zero, and what is empty.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Json(json) => match json.as_ref() {
                Json::Array(list) => !list.is_empty(),
                Json::Object(map) => !map.is_empty(),
                _ => true,
            },
        }
    }

    /// The number, also of text that is one.
    pub fn number(&self) -> Option<Value<'static>> {
        match self {
            Self::Int(number) => Some(Value::Int(*number)),
            Self::Float(number) => Some(Value::Float(*number)),
            Self::Text(text) => {
                let text = text.trim();
                let float = || text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float);
                text.parse().ok().map(Value::Int).or_else(float)
            }
            Self::Json(json) => json.as_f64().map(Value::Float),
            Self::Null | Self::Bool(_) => None,
        }
    }

    /// As a floating-point number.
    pub fn float(&self) -> Option<f64> {
        match self.number()? {
            Value::Int(number) => Some(number as f64),
            Value::Float(number) => Some(number),
            _ => None,
        }
    }

    /// As a whole number, if it is one.
    pub fn int(&self) -> Option<i64> {
        match self.number()? {
            Value::Int(number) => Some(number),
            #[expect(clippy::cast_possible_truncation, reason = "whole, and within what floats are exact in")]
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(number as i64),
            _ => None,
        }
    }

    /// Elements of a list, members of an object, characters of text; `None` of anything else.
    pub fn length(&self) -> Option<usize> {
        match self {
            Self::Text(text) => Some(text.chars().count()),
            Self::Json(json) => match json.as_ref() {
                Json::Array(list) => Some(list.len()),
                Json::Object(map) => Some(map.len()),
                _ => None,
            },
            _ => None,
        }
    }

    /// The element of a list at `at`, or null.
    pub fn element(&self, at: usize) -> Value<'_> {
        match self {
            Self::Json(json) => json.get(at).map_or(Value::Null, Value::of_json),
            _ => Value::Null,
        }
    }

    /// The member of an object, or null.
    pub fn member(&self, name: &str) -> Value<'_> {
        match self {
            Self::Json(json) => json.get(name).map_or(Value::Null, Value::of_json),
            _ => Value::Null,
        }
    }

    /// Whether both are the same. A number and text that is one are, since data files know text only.
    pub fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Self::Text(a), Value::Text(b)) => a == b,
            (Self::Null, Value::Null) => true,
            (Self::Bool(a), Value::Bool(b)) => a == b,
            (Self::Json(a), Value::Json(b)) => a == b,
            _ => self.float().zip(other.float()).is_some_and(|(a, b)| a == b),
        }
    }

    /// Which is greater: of two numbers, else of two texts; `None` where there is no order.
    pub fn order(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Value::Int(b)) => Some(a.cmp(b)),
            (Self::Text(a), Value::Text(b)) => match (self.float(), other.float()) {
                (Some(a), Some(b)) => a.partial_cmp(&b),
                _ => Some(a.cmp(b)),
            },
            _ => self.float()?.partial_cmp(&other.float()?),
        }
    }
}

/// Appends `text` as it stands between the quotes of a JSON string (RFC 8259, 7).
pub(crate) fn write_escaped(text: &str, out: &mut String) {
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        match short {
            "" => write!(out, "\\u{byte:04x}").unwrap_or_default(),
            short => out.push_str(short),
        }
        from = at + 1;
    }
    out.push_str(&text[from..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_what_it_is() {
        for text in
            ["null", "true", "-7", "1.5", "18446744073709551615", "\"a\\\"\\n\\u0001é\"", "[1,{\"a\":[]}]"]
        {
            let json: Json = serde_json::from_str(text).unwrap();
            let mut out = String::new();
            Value::of_json(&json).write_json(&mut out);
            assert_eq!(out, text);
            out.clear();
            Value::from_json(json).write_json(&mut out);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn numbers_of_data_files_are_numbers_where_one_is_needed() {
        let text = |text: &'static str| Value::Text(Cow::Borrowed(text));
        assert!(text("7").equals(&Value::Int(7)));
        assert!(!text("07a").equals(&Value::Int(7)));
        assert!(!text("7").equals(&text("7.0")), "two texts are compared as texts");
        assert_eq!(text("9").order(&text("10")), Some(Ordering::Less));
        assert_eq!(text("b").order(&text("a")), Some(Ordering::Greater));
        assert_eq!(Value::Null.order(&Value::Int(1)), None);
        assert_eq!(text("1e3").int(), Some(1000));
        assert_eq!(text("1.5").int(), None);
    }
}
