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
mod template;
mod lexer;
mod names;
mod grammar;
mod evaluate;
mod missing;

use std::fmt;

use thiserror::Error;

pub use missing::{Missing, Named};
pub use template::Template;
pub use value::Value;

pub(crate) use evaluate::unit;
pub(crate) use lexer::env_names;
pub(crate) use names::{Names, RESERVED, SourceUse};
pub(crate) use template::{Encoding, write_encoded};
pub(crate) use value::write_escaped;

use crate::diagnostic::Wrong;
use grammar::{Filter, Node};
use template::Piece;

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
    /// The name of a user has a colon.
    #[error("a user's name has no colon")]
    Colon,
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
        let node = grammar::parse(text, names)?;
        if let Some(error) = node.fault() {
            let wrong = Wrong::new("bad_expression", format!("the expression never has a value: {error}"));
            return Err(wrong.help("all that stands in it is known before the run"));
        }
        Ok(Self { node, text: text.trim().into() })
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

    /// User and password as `authorization` has them (RFC 7617, 2): in base64, with the colon behind the user that no
    /// name of a user may have.
    pub(crate) fn credentials(user: Template, password: Template) -> Self {
        let filtered = |filter, template| Node::Filter(filter, Box::new(Node::Text(template)));
        let mut both = Template::default();
        both.push_value(Self::made(filtered(Filter::UserId, user)), Encoding::Plain);
        both.push_text(":");
        both.push(password);
        Self { node: filtered(Filter::Base64, both), text: "user:password | base64".into() }
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
                {{ 1 / 0 }} => bad_expression at {{ 1 / 0 }}: the expression never has a value: division by zero (all that stands in it is known before the run)
                {{ 9223372036854775807 + 1 }} => bad_expression at {{ 9223372036854775807 + 1 }}: the expression never has a value: the number is too large (all that stands in it is known before the run)
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
