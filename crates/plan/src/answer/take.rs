//! Values taken from an answer.

use std::fmt;

use regex::bytes::Regex;
use scraper::{Html, Selector};

use super::check::Answer;
use super::json::JsonPath;
use crate::expression::{Expression, Known, Value};

/// One value that a step saves.
#[derive(Debug, Clone, PartialEq)]
pub struct Taking {
    /// Its name.
    pub name: String,
    /// Where it goes.
    pub slot: u16,
    /// Where it is.
    pub source: Source,
    /// What it is when it is not there; without this the step fails.
    pub default: Option<Expression>,
}

impl Taking {
    /// Puts what is known in its places.
    pub fn settle<'k>(&mut self, known: impl Into<Known<'k>>) {
        if let Some(default) = &mut self.default {
            default.settle(known);
        }
    }
}

/// Where a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// In a JSON body.
    Json(JsonPath),
    /// The first header of this name, or what the pattern finds in it.
    Header(String, Option<Pattern>),
    /// The first group of the first match in the body, or all of the match where the pattern has no group.
    Regex(Pattern),
    /// In an HTML body.
    Css(Css),
    /// The whole body.
    Body,
    /// The status.
    Status,
}

impl Source {
    /// Whether it is looked for in the body.
    pub fn needs_body(&self) -> bool {
        !matches!(self, Self::Header(..) | Self::Status)
    }

    /// The value, if it is there.
    pub fn take(&self, answer: &Answer<'_>) -> Option<Value<'static>> {
        let text = |bytes: &[u8]| Value::Text(String::from_utf8_lossy(bytes).into_owned().into());
        match self {
            Self::Json(path) => path.find(answer.body),
            Self::Header(name, None) => (answer.header)(name).map(text),
            Self::Header(name, Some(pattern)) => pattern.find((answer.header)(name)?).map(text),
            Self::Regex(pattern) => pattern.find(answer.body).map(text),
            Self::Css(css) => css.find(answer.body),
            Self::Body => Some(text(answer.body)),
            Self::Status => Some(Value::Int(i64::from(answer.status))),
        }
    }
}

/// A regular expression.
#[derive(Debug, Clone)]
pub struct Pattern(pub(super) Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Regex::new(text).map(Self).map_err(|error| match error {
            regex::Error::Syntax(text) => text.lines().last().unwrap_or_default().trim().to_owned(),
            other => other.to_string(),
        })
    }

    /// The first group of the first match, or all of the match where there is no group.
    fn find<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let captures = self.0.captures(text)?;
        captures.get(1).or_else(|| captures.get(0)).map(|found| found.as_bytes())
    }
}

/// A CSS selector, and the attribute that is wanted; else the text.
#[derive(Debug, Clone)]
pub struct Css {
    text: String,
    selector: Selector,
    attribute: Option<String>,
}

impl PartialEq for Css {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Css {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Css {
    /// `selector` or `selector@attribute`.
    ///
    /// # Errors
    /// What is wrong with `text`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        };
        let (selector, attribute) = match text.rsplit_once('@') {
            Some((selector, name)) if is_name(name) => (selector, Some(name.to_ascii_lowercase())),
            _ => (text, None),
        };
        let selector = Selector::parse(selector.trim()).map_err(|error| match error.to_string() {
            // Said of whatever the library has no words for, with its own inner names.
            text if text.starts_with("Unexpected error") => "it cannot be read".to_owned(),
            text => text,
        })?;
        Ok(Self { text: text.to_owned(), selector, attribute })
    }

    fn find(&self, body: &[u8]) -> Option<Value<'static>> {
        let page = Html::parse_document(&String::from_utf8_lossy(body));
        let element = page.select(&self.selector).next()?;
        let text = match &self.attribute {
            Some(name) => element.value().attr(name)?.to_owned(),
            None => element.text().collect::<String>().trim().to_owned(),
        };
        Some(Value::Text(text.into()))
    }
}
