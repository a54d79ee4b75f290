//! Text with expressions in it, each written as its place needs it.
//!
//! Invariant: what is the same in the whole run is text, written once, with the plan. Deliberately absent: what stands
//! between the braces; that is [`grammar`](super::grammar).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use super::grammar::Node;
use super::value::{Value, write_escaped};
use super::{EvaluateError, Expression, Known, Names, Scope};
use crate::diagnostic::Wrong;

/// How a value is written where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As it is.
    Plain,
    /// Percent-encoded, as part of a path, query or form (RFC 3986, 2.1).
    Url,
    /// Inside a JSON string.
    JsonText,
    /// As a JSON value.
    Json,
}

/// Text with expressions in it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Template {
    pub(super) pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Value(Expression, Encoding),
}

/// As it was written, but for what is the same in the whole run.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Value(expression, _) => write!(f, "{{{{ {expression} }}}}"),
        })
    }
}

impl From<String> for Template {
    fn from(text: String) -> Self {
        Self { pieces: if text.is_empty() { Vec::new() } else { vec![Piece::Text(text)] } }
    }
}

impl Template {
    /// # Errors
    /// The first expression that is wrong, and what is wrong with it.
    pub(crate) fn parse<'t>(
        text: &'t str,
        encoding: Encoding,
        names: &mut Names,
    ) -> Result<Self, (&'t str, Wrong)> {
        Self::parse_between(text, encoding, names, &str::to_owned)
    }

    /// The same with the text between the expressions as `between` writes it. Values that are the same in the whole run are
    /// text, too, and are written by `encoding`: so this cannot be done afterwards.
    ///
    /// # Errors
    /// The first expression that is wrong, and what is wrong with it.
    pub(crate) fn parse_between<'t>(
        text: &'t str,
        encoding: Encoding,
        names: &mut Names,
        between: &dyn Fn(&str) -> String,
    ) -> Result<Self, (&'t str, Wrong)> {
        let mut template = Self::default();
        let mut rest = text;
        while let Some(at) = rest.find("{{") {
            template.push_text(&between(&rest[..at]));
            let length = end_of(&rest[at + 2..]).ok_or_else(|| {
                let wrong = Wrong::new("bad_expression", "an expression has no end");
                (&rest[at..], wrong.help("close it with }}"))
            })?;
            let whole = &rest[at..at + length + 4];
            let inner = &rest[at + 2..at + 2 + length];
            let expression = Expression::parse(inner, names).map_err(|wrong| (whole, wrong))?;
            template.push_value(expression, encoding);
            rest = &rest[at + length + 4..];
        }
        template.push_text(&between(rest));
        Ok(template)
    }

    /// What stands between the braces of the expressions in `text`.
    pub(crate) fn inner_texts(text: &str) -> impl Iterator<Item = &str> {
        let mut rest = text;
        std::iter::from_fn(move || {
            let inner = &rest[rest.find("{{")? + 2..];
            let length = end_of(inner)?;
            rest = &inner[length + 2..];
            Some(&inner[..length])
        })
    }

    /// Whether `text` is one expression and nothing else; then it keeps its type.
    pub(crate) fn is_one_expression(text: &str) -> bool {
        let inner = text.trim().strip_prefix("{{").and_then(|rest| {
            let length = end_of(rest)?;
            Some(rest.len() == length + 2)
        });
        inner == Some(true)
    }

    /// Appends text as it is.
    pub(crate) fn push_text(&mut self, text: &str) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }

    pub(crate) fn push_value(&mut self, expression: Expression, encoding: Encoding) {
        let encoding = if expression.node.is_raw() { Encoding::Plain } else { encoding };
        let mut text = String::new();
        match expression.node.constant() {
            Some(value) if write(&value, encoding, &mut text).is_ok() => self.push_text(&text),
            _ => self.pieces.push(Piece::Value(expression, encoding)),
        }
    }

    /// The same with other text between the expressions.
    pub(crate) fn map_texts<E>(self, map: impl Fn(&str) -> Result<String, E>) -> Result<Self, E> {
        let mut mapped = Self::default();
        for piece in self.pieces {
            match piece {
                Piece::Text(text) => mapped.push_text(&map(&text)?),
                value @ Piece::Value(..) => mapped.pieces.push(value),
            }
        }
        Ok(mapped)
    }

    /// Appends another.
    pub(crate) fn push(&mut self, other: Self) {
        for piece in other.pieces {
            match piece {
                Piece::Text(text) => self.push_text(&text),
                value @ Piece::Value(..) => self.pieces.push(value),
            }
        }
    }

    /// The text of it, when it is always the same.
    pub fn as_text(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The expressions in it.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(expression, _) => Some(expression),
            Piece::Text(_) => None,
        })
    }

    /// Whether all values of the iteration that it uses are among those that were saved before, and rows are there if it uses
    /// any.
    pub(crate) fn is_known(&self, names: &Names) -> bool {
        let is_missing = |node: &Node| match node {
            Node::Cell(..) => names.is_rowless,
            Node::Saved(slot) => {
                names.saved.get(usize::from(*slot)).is_none_or(|name| !names.saved_before.contains(name))
            }
            _ => false,
        };
        !self.expressions().any(|expression| expression.node.any(&is_missing))
    }

    /// The sources of data that it uses, as indices into the plan's.
    pub(crate) fn sources(&self) -> BTreeSet<u16> {
        let found = RefCell::new(BTreeSet::new());
        for expression in self.expressions() {
            expression.node.any(&|node| {
                if let Node::Cell(source, _) = node {
                    found.borrow_mut().insert(*source);
                }
                false
            });
        }
        found.into_inner()
    }

    /// The parts that are always the same.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Value(..) => None,
        })
    }

    /// Bytes of it without its values.
    #[expect(clippy::len_without_is_empty, reason = "a template may be empty and give text")]
    pub fn len(&self) -> usize {
        self.texts().map(str::len).sum()
    }

    /// With what is known in its places.
    pub fn settle<'k>(&self, known: impl Into<Known<'k>>) -> Self {
        let known = known.into();
        let mut settled = Self::default();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => settled.push_text(text),
                Piece::Value(expression, encoding) => {
                    let mut expression = expression.clone();
                    expression.settle(known);
                    settled.push_value(expression, *encoding);
                }
            }
        }
        settled
    }

    /// Appends its text.
    ///
    /// # Errors
    /// An expression has no value here; what was written until then stays.
    #[inline]
    pub fn write(&self, scope: &dyn Scope, out: &mut String) -> Result<(), EvaluateError> {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value(expression, encoding) => write(&expression.evaluate(scope)?, *encoding, out)?,
            }
        }
        Ok(())
    }
}

/// Where the expression that `rest` begins with ends: before `}}`, unless that is in quotes.
fn end_of(rest: &str) -> Option<usize> {
    let mut quote = None;
    let mut is_escaped = false;
    for (at, byte) in rest.bytes().enumerate() {
        match (byte, quote) {
            _ if is_escaped => is_escaped = false,
            (b'\\', Some(_)) => is_escaped = true,
            (_, Some(open)) if byte == open => quote = None,
            (b'"' | b'\'', None) => quote = Some(byte),
            (b'}', None) if rest[at..].starts_with("}}") => return Some(at),
            _ => {}
        }
    }
    None
}

pub(super) fn write(value: &Value<'_>, encoding: Encoding, out: &mut String) -> Result<(), EvaluateError> {
    let is_there = match (encoding, value) {
        (Encoding::Json, value) => {
            value.write_json(out);
            true
        }
        (Encoding::Plain, value) => value.write_text(out),
        (Encoding::Url, Value::Text(text)) => {
            write_encoded(text, out);
            true
        }
        (Encoding::JsonText, Value::Text(text)) => {
            write_escaped(text, out);
            true
        }
        (Encoding::Url | Encoding::JsonText, value) => {
            let mut text = String::new();
            let is_there = value.write_text(&mut text);
            match encoding {
                Encoding::Url => write_encoded(&text, out),
                _ => write_escaped(&text, out),
            }
            is_there
        }
    };
    if is_there { Ok(()) } else { Err(EvaluateError::Absent) }
}

/// Percent-encodes all but what RFC 3986 (2.3) calls unreserved.
pub(crate) fn write_encoded(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}
