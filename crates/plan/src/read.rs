//! Types for the values of a tree: each function gives the value, or reports what is wrong with it and gives `None`.
//!
//! Invariant: `None` means that a fault was reported. Deliberately absent: conversions that a reader of the file would
//! not expect. `"5"` is text, not a number, and `5` is no duration.

use std::time::Duration;

use crate::diagnostic::{Faults, Place, Wrong};
use crate::expression::{Encoding, Expression, Names, Template};
use crate::limits;
use crate::quantity::{self, Rate, parse_rate, parse_span};
use crate::shape::Shape;
use crate::tree::{Entry, Kind, Node};

/// The entries of a map whose keys were checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    place: Place,
    what: &'static str,
    entries: &'a [Entry],
}

/// A key that plans have, but not yet here: its name, its diagnostic's code, what it stands for.
pub(crate) type Unsupported = (&'static str, &'static str, &'static str);

impl<'a> Fields<'a> {
    /// The entries of `node`, which has this shape. Reports every key that is not of it.
    pub(crate) fn of(
        faults: &mut Faults<'_>,
        node: &'a Node,
        shape: &'static Shape,
        unsupported: &[Unsupported],
    ) -> Option<Self> {
        Self::of_any(faults, node, &[shape], unsupported)
    }

    /// The entries of `node`, which has one of these shapes and is called as the first one is.
    pub(crate) fn of_any(
        faults: &mut Faults<'_>,
        node: &'a Node,
        shapes: &[&'static Shape],
        unsupported: &[Unsupported],
    ) -> Option<Self> {
        let what = shapes.first()?.what;
        let known: Vec<&str> = shapes.iter().flat_map(|shape| shape.names()).collect();
        let entries = map(faults, node, what)?;
        let later: Vec<&str> = unsupported.iter().map(|(key, ..)| *key).collect();
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let wrong = match unsupported.iter().find(|(key, ..)| *key == entry.key) {
                Some((_, code, what)) => Wrong::unsupported(code, what),
                None => Wrong::new("unknown_key", format!("{what} has no key \"{}\"", entry.key))
                    .suggest(&entry.key, &known, &later),
            };
            faults.add(entry.place, &entry.key, wrong);
        }
        Some(Self { place: node.place, what, entries })
    }

    /// The value of `key`; reports one without a value.
    pub(crate) fn get(&self, faults: &mut Faults<'_>, key: &str) -> Option<&'a Node> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        if entry.value.is_null() {
            faults.add(entry.place, key, Wrong::new("missing", format!("\"{key}\" has no value")));
            return None;
        }
        Some(&entry.value)
    }

    /// The value of `key`; reports when it is not there.
    pub(crate) fn required(&self, faults: &mut Faults<'_>, key: &str) -> Option<&'a Node> {
        if !self.has(key) {
            faults.add_here(self.place, Wrong::new("missing", format!("{} needs \"{key}\"", self.what)));
            return None;
        }
        self.get(faults, key)
    }

    /// Whether `key` is there, with or without a value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// The entry of `key`.
    pub(crate) fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Where the map begins.
    pub(crate) fn place(&self) -> Place {
        self.place
    }
}

/// Reports `wrong` at `node`.
pub(crate) fn fault<T>(faults: &mut Faults<'_>, node: &Node, wrong: Wrong) -> Option<T> {
    match node.kind {
        Kind::Scalar { .. } => faults.add(node.place, node.text(), wrong),
        Kind::List(_) | Kind::Map(_) => faults.add_here(node.place, wrong),
        Kind::Faulty => {}
    }
    None
}

/// Gives the value, or reports `wrong` at `node`.
pub(crate) fn checked<T>(faults: &mut Faults<'_>, node: &Node, value: Result<T, Wrong>) -> Option<T> {
    value.map_or_else(|wrong| fault(faults, node, wrong), Some)
}

fn wrong_kind<T>(faults: &mut Faults<'_>, node: &Node, what: &str, wanted: &str) -> Option<T> {
    fault(faults, node, Wrong::new("wrong_kind", format!("{what} must be {wanted}")))
}

/// The entries of a map, in the order of the file.
pub(crate) fn map<'a>(faults: &mut Faults<'_>, node: &'a Node, what: &str) -> Option<&'a [Entry]> {
    match &node.kind {
        Kind::Map(entries) => Some(entries),
        _ => wrong_kind(faults, node, what, "a map"),
    }
}

/// The values of a list.
pub(crate) fn list<'a>(faults: &mut Faults<'_>, node: &'a Node, what: &str) -> Option<&'a [Node]> {
    match &node.kind {
        Kind::List(nodes) => Some(nodes),
        _ => wrong_kind(faults, node, what, "a list"),
    }
}

/// Text, as written; numbers and booleans are text here, too.
pub(crate) fn text<'a>(faults: &mut Faults<'_>, node: &'a Node, what: &str) -> Option<&'a str> {
    let text = raw_text(faults, node, what)?;
    if text.contains("{{") {
        let wrong = Wrong::new("expression_not_here", format!("{what} cannot be an expression"));
        return fault(faults, node, wrong.help("write the value itself"));
    }
    Some(text)
}

/// Text in which expressions may be.
pub(crate) fn raw_text<'a>(faults: &mut Faults<'_>, node: &'a Node, what: &str) -> Option<&'a str> {
    match &node.kind {
        Kind::Scalar { text, .. } if !node.is_null() => Some(text),
        _ => wrong_kind(faults, node, what, "text"),
    }
}

/// Text with expressions, whose values are written by `encoding`.
pub(crate) fn template(
    faults: &mut Faults<'_>,
    names: &mut Names,
    node: &Node,
    what: &str,
    encoding: Encoding,
) -> Option<Template> {
    template_between(faults, names, node, what, (encoding, &str::to_owned))
}

/// The same with the text between the expressions as the function writes it.
pub(crate) fn template_between(
    faults: &mut Faults<'_>,
    names: &mut Names,
    node: &Node,
    what: &str,
    (encoding, between): (Encoding, &dyn Fn(&str) -> String),
) -> Option<Template> {
    let text = raw_text(faults, node, what)?;
    let template = Template::parse_between(text, encoding, names, between);
    names.found_at(node.place);
    match template {
        Ok(template) => Some(template),
        Err((part, wrong)) => {
            faults.add_within(node.place, part, wrong);
            None
        }
    }
}

/// A key of the plan's own in what is sent. Unlike a value it is the same in the whole run.
pub(crate) fn key(faults: &mut Faults<'_>, names: &mut Names, entry: &Entry) -> Option<String> {
    if !entry.key.contains("{{") {
        return Some(entry.key.clone());
    }
    let template = Template::parse(&entry.key, Encoding::Plain, names);
    names.found_at(entry.place);
    match template {
        Ok(template) => template.as_text().map(str::to_owned).or_else(|| {
            let wrong = Wrong::new("expression_not_here", "a key must be known before the run");
            faults.add(entry.place, &entry.key, wrong.help("only variables and env.NAME can stand in it"));
            None
        }),
        Err((part, wrong)) => {
            faults.add_within(entry.place, part, wrong);
            None
        }
    }
}

/// One expression, with or without its braces.
pub(crate) fn expression(
    faults: &mut Faults<'_>,
    names: &mut Names,
    node: &Node,
    what: &str,
) -> Option<Expression> {
    let text = raw_text(faults, node, what)?;
    if text.contains("{{") && !Template::is_one_expression(text) {
        let wrong = Wrong::new("bad_expression", format!("{what} is one expression"));
        return fault(faults, node, wrong.help("write it without {{ }}"));
    }
    let inner = text.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(text);
    let expression = Expression::parse(inner, names);
    names.found_at(node.place);
    checked(faults, node, expression)
}

/// A name: not empty, on one line, not longer than a column heading may be.
pub(crate) fn name(faults: &mut Faults<'_>, node: &Node, what: &str) -> Option<String> {
    let text = text(faults, node, what)?;
    checked(faults, node, check_name(text, what)).map(str::to_owned)
}

/// See [`name`].
pub(crate) fn check_name<'a>(text: &'a str, what: &str) -> Result<&'a str, Wrong> {
    if text.trim().is_empty() {
        return Err(Wrong::new("missing", format!("{what} is empty")));
    }
    if text.chars().any(char::is_control) {
        return Err(Wrong::new(
            "bad_name",
            format!("{what} must stand on one line, without control characters"),
        ));
    }
    let chars = text.chars().count();
    if chars > limits::NAME_CHARS {
        let message = format!("{what} has {chars} characters, more than {}", limits::NAME_CHARS);
        return Err(Wrong::new("absurd", message));
    }
    Ok(text)
}

/// `true` or `false`.
pub(crate) fn boolean(faults: &mut Faults<'_>, node: &Node, what: &str) -> Option<bool> {
    match &node.kind {
        Kind::Scalar { text, plain: true } if matches!(text.as_str(), "true" | "True" | "TRUE") => Some(true),
        Kind::Scalar { text, plain: true } if matches!(text.as_str(), "false" | "False" | "FALSE") => {
            Some(false)
        }
        _ => wrong_kind(faults, node, what, "true or false"),
    }
}

/// One of several words.
pub(crate) fn choice<T: Copy>(
    faults: &mut Faults<'_>,
    node: &Node,
    what: &str,
    known: &[(&str, T)],
) -> Option<T> {
    let word = text(faults, node, what)?;
    match known.iter().find(|(known, _)| *known == word) {
        Some((_, value)) => Some(*value),
        None => {
            let wrong = Wrong::new("unknown_value", format!("{what} cannot be \"{word}\""));
            let known: Vec<&str> = known.iter().map(|(known, _)| *known).collect();
            fault(faults, node, wrong.suggest(word, &known, &[]))
        }
    }
}

/// A whole number from 1 to `most`.
pub(crate) fn count(faults: &mut Faults<'_>, node: &Node, what: &str, most: u64) -> Option<u64> {
    count_from(faults, node, what, 1, most)
}

/// A whole number from `least` to `most`.
pub(crate) fn count_from(
    faults: &mut Faults<'_>,
    node: &Node,
    what: &str,
    least: u64,
    most: u64,
) -> Option<u64> {
    match &node.kind {
        Kind::Scalar { text, plain: true } => {
            checked(faults, node, quantity::parse_count(text, what, least, most))
        }
        Kind::Scalar { .. } => {
            text(faults, node, what)?;
            let wrong = Wrong::new("not_a_number", format!("{what} must be a whole number"));
            fault(faults, node, wrong.help("leave out the quotes"))
        }
        _ => wrong_kind(faults, node, what, "a whole number"),
    }
}

/// [`count`] for what is kept in 32 bits.
pub(crate) fn count_u32(faults: &mut Faults<'_>, node: &Node, what: &str, most: u32) -> Option<u32> {
    count(faults, node, what, u64::from(most)).and_then(|count| u32::try_from(count).ok())
}

/// A span of time with its unit, above zero and at most `most`.
pub(crate) fn span(faults: &mut Faults<'_>, node: &Node, what: &str, most: Duration) -> Option<Duration> {
    let text = text(faults, node, what)?;
    checked(faults, node, parse_span(text, what, most))
}

/// A size in bytes with its unit, above zero and at most `most`.
pub(crate) fn size(faults: &mut Faults<'_>, node: &Node, what: &str, most: u64) -> Option<u64> {
    let text = text(faults, node, what)?;
    match checked(faults, node, quantity::parse_size(text, what, most))? {
        0 => fault(faults, node, Wrong::new("zero", format!("{what} must be above zero"))),
        size => Some(size),
    }
}

/// A rate with its unit.
pub(crate) fn rate(faults: &mut Faults<'_>, node: &Node, what: &str) -> Option<Rate> {
    let text = text(faults, node, what)?;
    checked(faults, node, parse_rate(text, what))
}

/// A rate with its unit, or zero with a unit.
pub(crate) fn rate_or_zero(faults: &mut Faults<'_>, node: &Node, what: &str) -> Option<Rate> {
    let text = text(faults, node, what)?;
    match parse_rate(text, what) {
        Err(wrong) if wrong.code == "zero" => Some(Rate::ZERO),
        rate => checked(faults, node, rate),
    }
}

/// `true` or `false`, and false when the key is not there.
pub(crate) fn flag(faults: &mut Faults<'_>, fields: &Fields<'_>, key: &str) -> Option<bool> {
    match fields.get(faults, key) {
        Some(node) => boolean(faults, node, key),
        None => Some(false),
    }
}
