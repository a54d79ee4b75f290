//! Demands on an answer.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value as Json;

use super::json::JsonPath;
use super::take::Pattern;
use crate::expression::{Known, Scope, Template, Value};

/// An answer, its body as it was before it was coded.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// The first header of a name, in whatever case.
    pub header: &'a dyn Fn(&str) -> Option<&'a [u8]>,
    /// The body, as far as it was kept.
    pub body: &'a [u8],
    /// From intended to done.
    pub response_time: Duration,
}

/// One demand.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// As the plan says it.
    pub text: String,
    /// What it is about.
    pub demand: Demand,
}

/// What is demanded.
#[derive(Debug, Clone, PartialEq)]
pub enum Demand {
    /// A header is there and such.
    Header(String, TextDemand),
    /// The body is such.
    Body(TextDemand),
    /// A place in a JSON body.
    Json(JsonPath, JsonDemand),
    /// Bytes of the body.
    Size(RangeInclusive<u64>),
    /// The response time.
    Under(Duration),
}

/// What is demanded of text.
#[derive(Debug, Clone, PartialEq)]
pub enum TextDemand {
    /// It is this.
    Is(Template),
    /// It has this in it.
    Contains(Template),
    /// It matches.
    Matches(Pattern),
    /// It is there, or it is not.
    Exists(bool),
}

/// What is demanded of a value in JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonDemand {
    /// It is this: JSON text.
    Is(Template),
    /// It is text with this in it, or a list with this among its elements: JSON text.
    Contains(Template),
    /// Its text matches.
    Matches(Pattern),
    /// It is there, or it is not.
    Exists(bool),
}

/// What a failed check was about: the detail of the outcome `check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckKind {
    /// A header.
    Header,
    /// The body's text.
    Body,
    /// A value in a JSON body.
    Json,
    /// The body's size.
    Size,
    /// The response time.
    Time,
}

impl CheckKind {
    /// In words, as they stand beside `check`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Body => "body",
            Self::Json => "json",
            Self::Size => "size",
            Self::Time => "time",
        }
    }
}

impl Check {
    /// What it is about.
    pub fn kind(&self) -> CheckKind {
        match self.demand {
            Demand::Header(..) => CheckKind::Header,
            Demand::Body(_) => CheckKind::Body,
            Demand::Json(..) => CheckKind::Json,
            Demand::Size(_) => CheckKind::Size,
            Demand::Under(_) => CheckKind::Time,
        }
    }

    /// Puts what is known in its places.
    pub fn settle<'k>(&mut self, known: impl Into<Known<'k>>) {
        match &mut self.demand {
            Demand::Header(_, TextDemand::Is(text) | TextDemand::Contains(text))
            | Demand::Body(TextDemand::Is(text) | TextDemand::Contains(text))
            | Demand::Json(_, JsonDemand::Is(text) | JsonDemand::Contains(text)) => {
                *text = text.settle(known)
            }
            _ => {}
        }
    }

    /// Whether it reads the body.
    pub fn needs_body(&self) -> bool {
        matches!(self.demand, Demand::Body(_) | Demand::Json(..) | Demand::Size(_))
    }

    /// Whether it reads headers.
    pub fn needs_headers(&self) -> bool {
        matches!(self.demand, Demand::Header(..))
    }

    /// Whether the answer is as demanded. What the demand itself needs and is not there is not as demanded.
    pub fn holds(&self, answer: &Answer<'_>, scope: &dyn Scope) -> bool {
        match &self.demand {
            Demand::Header(name, demand) => demand.holds((answer.header)(name), scope),
            Demand::Body(demand) => demand.holds(Some(answer.body), scope),
            Demand::Json(path, demand) => demand.holds(path.find(answer.body).as_ref(), scope),
            Demand::Size(range) => range.contains(&(answer.body.len() as u64)),
            Demand::Under(limit) => answer.response_time < *limit,
        }
    }
}

/// Characters of what was expected or found that are told.
const TOLD_CHARS: usize = 200;

impl Check {
    /// What is demanded, in words, with its values in place.
    pub fn expected(&self, scope: &dyn Scope) -> String {
        match &self.demand {
            Demand::Header(_, demand) | Demand::Body(demand) => demand.expected(scope),
            Demand::Json(_, demand) => demand.expected(scope),
            Demand::Size(range) if range.start() == range.end() => format!("{} bytes", range.start()),
            Demand::Size(range) if *range.end() == u64::MAX => format!("at least {} bytes", range.start()),
            Demand::Size(range) => format!("{} to {} bytes", range.start(), range.end()),
            Demand::Under(limit) => format!("less than {limit:?}"),
        }
    }

    /// What is there instead, in words.
    pub fn found(&self, answer: &Answer<'_>) -> String {
        match &self.demand {
            Demand::Header(name, _) => match (answer.header)(name) {
                Some(value) => told(&String::from_utf8_lossy(value)),
                None => format!("no header {name}"),
            },
            Demand::Body(_) if answer.body.is_empty() => "an empty body".to_owned(),
            Demand::Body(_) => format!("a body of {} bytes without it", answer.body.len()),
            Demand::Json(path, _) => match path.find(answer.body) {
                Some(value) => {
                    let mut text = String::new();
                    value.write_json(&mut text);
                    told(&text)
                }
                None if serde_json::from_slice::<serde::de::IgnoredAny>(answer.body).is_err() => {
                    "a body that is no JSON".to_owned()
                }
                None => format!("nothing at {path}"),
            },
            Demand::Size(_) => format!("{} bytes", answer.body.len()),
            Demand::Under(_) => format!("{:.3?}", answer.response_time),
        }
    }
}

/// On one line, and not too long.
fn told(text: &str) -> String {
    match text.char_indices().nth(TOLD_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The text of a template, or how it is written where it has none.
fn text_of(template: &Template, scope: &dyn Scope) -> String {
    let mut text = String::new();
    match template.write(scope, &mut text) {
        Ok(()) => told(&text),
        Err(error) => format!("{template} ({error})"),
    }
}

impl TextDemand {
    fn expected(&self, scope: &dyn Scope) -> String {
        match self {
            Self::Is(template) => text_of(template, scope),
            Self::Contains(template) => format!("{:?} in it", text_of(template, scope)),
            Self::Matches(pattern) => format!("a match of {}", pattern.0.as_str()),
            Self::Exists(true) => "that it is there".to_owned(),
            Self::Exists(false) => "that it is not there".to_owned(),
        }
    }
}

impl JsonDemand {
    fn expected(&self, scope: &dyn Scope) -> String {
        match self {
            Self::Is(template) => text_of(template, scope),
            Self::Contains(template) => format!("{} in it", text_of(template, scope)),
            Self::Matches(pattern) => format!("a match of {}", pattern.0.as_str()),
            Self::Exists(true) => "that it is there".to_owned(),
            Self::Exists(false) => "that it is not there".to_owned(),
        }
    }
}

impl TextDemand {
    fn holds(&self, text: Option<&[u8]>, scope: &dyn Scope) -> bool {
        let Some(text) = text else { return *self == Self::Exists(false) };
        let with = |template: &Template, is: &dyn Fn(&[u8]) -> bool| match template.as_text() {
            Some(wanted) => is(wanted.as_bytes()),
            None => {
                let mut wanted = String::new();
                template.write(scope, &mut wanted).is_ok() && is(wanted.as_bytes())
            }
        };
        match self {
            Self::Is(template) => with(template, &|wanted| text == wanted),
            Self::Contains(template) => with(template, &|wanted| contains(text, wanted)),
            Self::Matches(pattern) => pattern.0.is_match(text),
            Self::Exists(exists) => *exists,
        }
    }
}

impl JsonDemand {
    fn holds(&self, value: Option<&Value<'_>>, scope: &dyn Scope) -> bool {
        let Some(value) = value else { return *self == Self::Exists(false) };
        match self {
            Self::Exists(exists) => *exists,
            Self::Matches(pattern) => {
                let mut text = String::new();
                value.write_text(&mut text) && pattern.0.is_match(text.as_bytes())
            }
            Self::Is(template) => json_of(template, scope).is_some_and(|wanted| value.equals(&wanted)),
            Self::Contains(template) => match (value, json_of(template, scope)) {
                (Value::Text(text), Some(Value::Text(wanted))) => text.contains(&*wanted),
                (Value::Json(json), Some(wanted)) => {
                    let is_it = |element: &Json| Value::of_json(element).equals(&wanted);
                    json.as_array().is_some_and(|list| list.iter().any(is_it))
                }
                _ => false,
            },
        }
    }
}

/// The value whose JSON text a template writes.
fn json_of(template: &Template, scope: &dyn Scope) -> Option<Value<'static>> {
    let mut text = String::new();
    template.write(scope, &mut text).ok()?;
    serde_json::from_str::<Json>(&text).ok().map(Value::from_json)
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    memchr::memmem::find(text, wanted).is_some()
}
