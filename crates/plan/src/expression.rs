//! What stands between `{{` and `}}`: a small pure language of names, functions, operators and filters.
//!
//! ```text
//! text ─► Template: text, Expression, text …     compiled once, with the plan
//!                        │ evaluate, in a Scope  ─► Value ─► written as its place needs it
//! ```
//!
//! Invariant: an expression depends on its [`Scope`] alone, and takes time that the plan bounds. A value that is not there
//! is an error and never the word "null" in a request. Deliberately absent: statements, functions of the plan's own, IO.

mod value;
mod lexer;
mod names;
mod grammar;
mod evaluate;
mod missing;

use std::fmt;

use thiserror::Error;

pub use missing::{Missing, Named};
pub use value::Value;

pub(crate) use evaluate::unit;
pub(crate) use names::{Names, RESERVED, SourceUse};
pub(crate) use value::write_escaped;

use crate::diagnostic::Wrong;
use grammar::Node;

/// Where an expression is evaluated.
pub trait Scope {
    /// The value in a slot of the iteration; null before it is saved.
    fn saved(&self, slot: u16) -> &Value<'static>;

    /// The iteration's row of a source at one of the columns that the plan uses of it.
    ///
    /// # Errors
    /// There is no row.
    fn cell(&self, source: u16, column: u16) -> Result<Value<'_>, EvaluateError>;

    /// The next random number of the iteration, from the plan's seed.
    fn draw(&self) -> u64;

    /// How often the innermost loop has been walked.
    fn loop_index(&self) -> u64 {
        0
    }

    /// The number of the iteration.
    fn iteration(&self) -> u64 {
        0
    }

    /// The number of the user.
    fn user(&self) -> u64 {
        0
    }

    /// The number of the row, in generated data.
    fn row(&self) -> u64 {
        0
    }

    /// Milliseconds since 1970, of the system's clock.
    fn unix_ms(&self) -> i64 {
        0
    }
}

/// Values that are the same in the whole run, and not known when the plan is read.
#[derive(Clone, Copy)]
pub enum Known<'k> {
    /// Those of the plan's secrets, by the order of [`Plan::secrets`](crate::Plan::secrets).
    Secrets(&'k [String]),
    /// Those that setup saved, by the order of [`Plan::given`](crate::Plan::given).
    Given(&'k [Value<'static>]),
}

impl<'k> From<&'k [String]> for Known<'k> {
    fn from(secrets: &'k [String]) -> Self {
        Self::Secrets(secrets)
    }
}

/// Why an expression has no value here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EvaluateError {
    /// A name stands for nothing: the value was not saved, or the member is not there.
    #[error("a value is not there")]
    Absent,
    /// No row of data is left for the iteration.
    #[error("no row of data is left")]
    Exhausted,
    /// A number is needed.
    #[error("not a number")]
    NoNumber,
    /// A list, an object or text is needed.
    #[error("not a list")]
    NoList,
    /// Two values of different kinds are compared.
    #[error("no order between the two values")]
    NoOrder,
    /// The lesser end is above the greater one, or a length is none.
    #[error("no such range")]
    NoRange,
    /// Division by zero.
    #[error("division by zero")]
    ByZero,
    /// The number is larger than numbers are here.
    #[error("the number is too large")]
    TooLarge,
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    node: Node,
    /// As it was written; empty for what nobody wrote.
    text: Box<str>,
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.node.constant(), &*self.text) {
            (Some(value), "") => {
                let mut text = String::new();
                value.write_text(&mut text);
                f.write_str(&text)
            }
            (_, text) => f.write_str(text),
        }
    }
}

impl Expression {
    /// # Errors
    /// What is wrong with `text`.
    pub(crate) fn parse(text: &str, names: &mut Names) -> Result<Self, Wrong> {
        Ok(Self { node: grammar::parse(text, names)?, text: text.trim().into() })
    }

    fn made(node: Node) -> Self {
        Self { node, text: Box::default() }
    }

    /// Its value.
    ///
    /// # Errors
    /// It has none here.
    #[inline]
    pub fn evaluate<'a>(&'a self, scope: &'a dyn Scope) -> Result<Value<'a>, EvaluateError> {
        self.node.evaluate(scope)
    }

    /// Puts what is known in its places.
    pub fn settle<'k>(&mut self, known: impl Into<Known<'k>>) {
        self.node.settle(known.into());
    }

    /// A number.
    pub(crate) fn whole(number: u64) -> Self {
        Self::made(Node::Constant(Value::Int(i64::try_from(number).unwrap_or(i64::MAX))))
    }

    /// The same as text in base64.
    pub(crate) fn base64(template: Template) -> Self {
        Self::made(Node::Filter(grammar::Filter::Base64, Box::new(Node::Text(template))))
    }

    /// The value that is written as the JSON text `json`; `None` of a list or map with expressions in it.
    pub(crate) fn of_json(json: Template) -> Option<Self> {
        if let Some(text) = json.as_text() {
            let value = serde_json::from_str(text).ok().map(Value::from_json)?;
            return Some(Self::made(Node::Constant(value)));
        }
        match <[Piece; 1]>::try_from(json.pieces) {
            Ok([Piece::Value(expression, _)]) => Some(expression),
            _ => None,
        }
    }

    /// The text of a template, or its value where it is one expression.
    pub(crate) fn of_text(template: Template) -> Self {
        match <[Piece; 1]>::try_from(template.pieces) {
            Ok([Piece::Value(expression, _)]) => expression,
            Ok([Piece::Text(text)]) => Self::made(Node::Constant(Value::Text(text.into()))),
            Err(pieces) => Self::made(Node::Text(Template { pieces })),
        }
    }

    /// What it always gives, if that is so.
    pub fn constant(&self) -> Option<Value<'static>> {
        self.node.constant()
    }
}

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
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
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
    fn expressions(&self) -> impl Iterator<Item = &Expression> {
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

fn write(value: &Value<'_>, encoding: Encoding, out: &mut String) -> Result<(), EvaluateError> {
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeSet;

    use expect_test::{Expect, expect};

    use super::*;

    struct Here {
        saved: Vec<Value<'static>>,
        draws: Cell<u64>,
    }

    impl Scope for Here {
        fn saved(&self, slot: u16) -> &Value<'static> {
            &self.saved[usize::from(slot)]
        }

        fn cell(&self, source: u16, column: u16) -> Result<Value<'_>, EvaluateError> {
            match (source, column) {
                (0, _) => Ok(Value::Text("a b&c".into())),
                _ => Err(EvaluateError::Exhausted),
            }
        }

        fn draw(&self) -> u64 {
            self.draws.set(self.draws.get() + 1);
            crate::choice::mix(self.draws.get())
        }

        fn loop_index(&self) -> u64 {
            3
        }

        fn unix_ms(&self) -> i64 {
            1_700_000_000_123
        }
    }

    fn names() -> Names {
        let saved = ["token", "user", "ids", "nothing"].map(str::to_owned);
        let source = |name: &str| SourceUse { name: name.to_owned(), ..SourceUse::default() };
        Names {
            saved_before: BTreeSet::from(saved.clone()),
            saved: saved.into(),
            variables: [("size".to_owned(), Expression::whole(20))].into(),
            sources: vec![source("users"), source("empty")],
            loops: 1,
            ..Names::default()
        }
    }

    fn give(text: &str, encoding: Encoding) -> String {
        let template = match Template::parse(text, encoding, &mut names()) {
            Ok(template) => template,
            Err((place, wrong)) => {
                let help = wrong.help.map(|help| format!(" ({help})")).unwrap_or_default();
                return format!("{} at {place}: {}{help}", wrong.code, wrong.message);
            }
        };
        let json = serde_json::json!({"id": 7, "name": "O'Neill \"x\"", "tags": ["a", "b"]});
        let ids = serde_json::json!([1, 2, 30]);
        let saved =
            vec![Value::Text("t0k".into()), Value::from_json(json), Value::from_json(ids), Value::Null];
        let mut out = String::new();
        match template.write(&Here { saved, draws: Cell::new(0) }, &mut out) {
            Ok(()) => out,
            Err(error) => format!("error: {error}"),
        }
    }

    fn check(lines: &[&str], encoding: Encoding, expected: &Expect) {
        let given: Vec<String> =
            lines.iter().map(|line| format!("{line} => {}\n", give(line, encoding))).collect();
        expected.assert_eq(&given.concat());
    }

    #[test]
    fn values_are_written_as_text() {
        check(
            &[
                "plain",
                "Bearer {{ token }}",
                "{{ user.id }}/{{ user['name'] }}/{{ user.tags[-1] }}/{{ ids[1] }}",
                "{{ size + 1 }} {{ size / 3 }} {{ size / 4 }} {{ -size % 7 }} {{ 2 * (size - 1) }}",
                "{{ ids | length > 2 and not (size == 21) }}",
                "{{ users.name | number }}",
                "{{ user }}",
                "{{ nothing }}",
                "{{ nothing | default('none') }} {{ user.gone | default(size) }}",
                "{{ 'a' | upper }}{{ \"}}\" }}{{ 'x' | base64 }} {{ 'ä b' | url }}",
                "{{ loop.index }} {{ now }} {{ now.s }} {{ now.iso }}",
                "{{ rand.int(1, 6) }} {{ rand.hex(8) }} {{ rand.string(5) }} {{ rand.choice('a', 'b') }}",
                "{{ uuid }} {{ rand.float(0, 1) }}",
                "{{ empty.name }}",
                "{{ 1 / 0 }}",
                "{{ 9223372036854775807 + 1 }}",
                "{{ token < 5 }}",
            ],
            Encoding::Plain,
            &expect![[r#"
                plain => plain
                Bearer {{ token }} => Bearer t0k
                {{ user.id }}/{{ user['name'] }}/{{ user.tags[-1] }}/{{ ids[1] }} => 7/O'Neill "x"/b/2
                {{ size + 1 }} {{ size / 3 }} {{ size / 4 }} {{ -size % 7 }} {{ 2 * (size - 1) }} => 21 6.666666666666667 5 1 38
                {{ ids | length > 2 and not (size == 21) }} => true
                {{ users.name | number }} => error: not a number
                {{ user }} => {"id":7,"name":"O'Neill \"x\"","tags":["a","b"]}
                {{ nothing }} => error: a value is not there
                {{ nothing | default('none') }} {{ user.gone | default(size) }} => none 20
                {{ 'a' | upper }}{{ "}}" }}{{ 'x' | base64 }} {{ 'ä b' | url }} => A}}eA== %C3%A4%20b
                {{ loop.index }} {{ now }} {{ now.s }} {{ now.iso }} => 3 1700000000123 1700000000 2023-11-14T22:13:20.123Z
                {{ rand.int(1, 6) }} {{ rand.hex(8) }} {{ rand.string(5) }} {{ rand.choice('a', 'b') }} => 4 61979f01 tUzsZ a
                {{ uuid }} {{ rand.float(0, 1) }} => 910a2dec-8902-4cc1-9758-35de1c9756ce 0.11345034205715454
                {{ empty.name }} => error: no row of data is left
                {{ 1 / 0 }} => error: division by zero
                {{ 9223372036854775807 + 1 }} => error: the number is too large
                {{ token < 5 }} => error: no order between the two values
            "#]],
        );
    }

    #[test]
    fn values_are_encoded_as_their_place_needs() {
        check(
            &["/a?b={{ users.name }}", "{{ users.name | raw }}"],
            Encoding::Url,
            &expect![[r#"
            /a?b={{ users.name }} => /a?b=a%20b%26c
            {{ users.name | raw }} => a b&c
        "#]],
        );
        check(
            &["\"{{ user.name }}\"", "\"{{ user.tags }}\""],
            Encoding::JsonText,
            &expect![[r#"
            "{{ user.name }}" => "O'Neill \"x\""
            "{{ user.tags }}" => "[\"a\",\"b\"]"
        "#]],
        );
        check(
            &["{{ user.id }}", "{{ user.name }}", "{{ nothing }}", "{{ ids }}"],
            Encoding::Json,
            &expect![[r#"
            {{ user.id }} => 7
            {{ user.name }} => "O'Neill \"x\""
            {{ nothing }} => null
            {{ ids }} => [1,2,30]
        "#]],
        );
    }

    #[test]
    fn slips_are_told() {
        check(
            &[
                "{{ tokn }}",
                "{{ }}",
                "{{ token",
                "{{ token | uper }}",
                "{{ rand.int(5, 1) }}",
                "{{ rand.int(5) }}",
                "{{ rand.dice(5) }}",
                "{{ size = 5 }}",
                "{{ size == 'a }}",
                "{{ users }}",
                "{{ (size }}",
                "{{ size size }}",
                "{{ a ? b }}",
                "{{ now.year }}",
            ],
            Encoding::Plain,
            &expect![[r#"
                {{ tokn }} => unknown_name at {{ tokn }}: nothing is called "tokn" (did you mean "token"?)
                {{ }} => bad_expression at {{ }}: there is no expression (write a name, as in {{ token }})
                {{ token => bad_expression at {{ token: an expression has no end (close it with }})
                {{ token | uper }} => unknown_filter at {{ token | uper }}: there is no filter "uper" (did you mean "upper"?)
                {{ rand.int(5, 1) }} => bad_expression at {{ rand.int(5, 1) }}: nothing lies between 5 and 1 (the lesser one comes first)
                {{ rand.int(5) }} => bad_expression at {{ rand.int(5) }}: rand.int does not take 1 arguments (write rand.int(1, 6))
                {{ rand.dice(5) }} => unknown_name at {{ rand.dice(5) }}: there is no rand.dice (known here: int, float, string, hex, choice)
                {{ size = 5 }} => bad_expression at {{ size = 5 }}: "=" has no meaning here (compare with ==)
                {{ size == 'a }} => bad_expression at {{ size == 'a }}: an expression has no end (close it with }})
                {{ users }} => bad_expression at {{ users }}: "users" is no value (write users.NAME)
                {{ (size }} => bad_expression at {{ (size }}: ")" is missing before the end
                {{ size size }} => bad_expression at {{ size size }}: "size" is one too many
                {{ a ? b }} => bad_expression at {{ a ? b }}: "?" has no meaning here (text stands in quotes)
                {{ now.year }} => unknown_name at {{ now.year }}: there is no now.year (known here: ms, s, iso)
            "#]],
        );
        let deep = format!("{{{{ {}1{} }}}}", "(".repeat(100), ")".repeat(100));
        assert!(give(&deep, Encoding::Plain).contains("nested deeper"), "{}", give(&deep, Encoding::Plain));
    }
}
