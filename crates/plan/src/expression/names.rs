//! What expressions may name, and what the plan uses of it.

use std::collections::{BTreeMap, BTreeSet};

use super::Expression;
use super::grammar::{Node, Slip};
use super::value::Value;
use crate::answer::Pattern;
use crate::diagnostic::Place;
use crate::file::FileUse;
use crate::limits;

/// Words that mean something in every expression; nothing of a plan may be called so.
pub(crate) const RESERVED: [&str; 16] = [
    "env",
    "secret",
    "rand",
    "loop",
    "now",
    "uuid",
    "iteration",
    "row",
    "true",
    "false",
    "null",
    "and",
    "or",
    "not",
    "if",
    "user",
];

/// What is known where an expression stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// The plan's variables.
    pub variables: BTreeMap<String, Expression>,
    /// What was found in the environment where the plan was submitted.
    pub env: BTreeMap<String, String>,
    /// Secrets that the plan uses.
    pub secrets: Vec<String>,
    /// Where each is used first.
    pub secret_places: Vec<Place>,
    /// Data sources.
    pub sources: Vec<SourceUse>,
    /// Values of the present scenario, by their slots.
    pub saved: Vec<String>,
    /// Those of them that something before may have saved.
    pub saved_before: BTreeSet<String>,
    /// Regular expressions of the plan: many steps have the same, and compiling one takes a tenth of a millisecond.
    pub patterns: BTreeMap<String, Pattern>,
    /// Files that the plan needs beside its data.
    pub files: Vec<FileUse>,
    /// Sources that the present scenario uses.
    pub used: BTreeSet<u16>,
    /// Loops around the present step.
    pub loops: usize,
    /// Whether this is a column of generated data.
    pub in_row: bool,
    /// Values that setup saves, which all iterations have.
    pub given: Vec<String>,
    /// Whether nothing here has a row of data: setup and teardown are no iterations.
    pub is_rowless: bool,
}

/// A data source, and what the plan uses of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct SourceUse {
    pub name: String,
    /// All there are, where the plan itself says so.
    pub known: Option<Vec<String>>,
    /// Those that are used.
    pub columns: Vec<String>,
}

impl Names {
    pub(super) fn is_source(&self, name: &str) -> bool {
        self.sources.iter().any(|source| source.name == name)
    }

    pub(super) fn is_saved(&self, name: &str) -> bool {
        self.saved.iter().chain(&self.given).any(|saved| saved == name)
    }

    /// A regular expression, compiled once.
    ///
    /// # Errors
    /// What is wrong with `text`.
    pub(crate) fn pattern(&mut self, text: &str) -> Result<Pattern, String> {
        if let Some(known) = self.patterns.get(text) {
            return Ok(known.clone());
        }
        let pattern = Pattern::parse(text)?;
        self.patterns.insert(text.to_owned(), pattern.clone());
        Ok(pattern)
    }

    /// The slot of a value of the present scenario.
    pub(crate) fn slot(&mut self, name: &str) -> u16 {
        let at = self.saved.iter().position(|saved| saved == name).unwrap_or_else(|| {
            self.saved.push(name.to_owned());
            self.saved.len() - 1
        });
        u16::try_from(at).unwrap_or(u16::MAX)
    }

    /// A name that is neither a function nor a source.
    pub(super) fn value(&self, name: &str) -> Result<Node, Slip> {
        if let Some(slot) = self.saved.iter().position(|saved| saved == name) {
            if self.loops == 0 && !self.saved_before.contains(name) {
                let slip =
                    Slip::coded("used_before_saved", format!("\"{name}\" is saved only after it is used"));
                return Err(slip.help("move the step that saves it before this one"));
            }
            return Ok(Node::Saved(u16::try_from(slot).unwrap_or(u16::MAX)));
        }
        if let Some(at) = self.given.iter().position(|given| given == name) {
            return Ok(Node::Given(u16::try_from(at).unwrap_or(u16::MAX)));
        }
        if let Some(value) = self.variables.get(name) {
            return Ok(value.node.clone());
        }
        if name == "row" && self.in_row {
            return Ok(Node::Row);
        }
        let mut known: Vec<&str> = self.saved.iter().map(String::as_str).collect();
        known.extend(self.given.iter().filter(|given| !self.saved.contains(given)).map(String::as_str));
        known.extend(self.variables.keys().map(String::as_str));
        known.extend(self.sources.iter().map(|source| source.name.as_str()));
        known.extend(["env", "iteration", "loop", "now", "rand", "secret", "uuid"]);
        Err(Slip::coded("unknown_name", format!("nothing is called \"{name}\"")).suggest(name, &known))
    }

    pub(super) fn cell(&mut self, source: &str, column: String) -> Result<Node, Slip> {
        if self.in_row {
            return Err(Slip::new("generated data cannot use other data"));
        }
        if self.is_rowless {
            let slip =
                Slip::coded("no_row_here", "setup and teardown are no iterations and have no row of data");
            return Err(slip.help("write the value itself, or name it in `variables`"));
        }
        let Some(at) = self.sources.iter().position(|known| known.name == source) else {
            return Err(Slip::new(format!("there is no data \"{source}\"")));
        };
        let uses = &mut self.sources[at];
        if let Some(known) = &uses.known
            && !known.contains(&column)
        {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let slip = Slip::coded("unknown_column", format!("{source} has no column \"{column}\""));
            return Err(slip.suggest(&column, &known));
        }
        let number = uses.columns.iter().position(|known| *known == column).unwrap_or_else(|| {
            uses.columns.push(column);
            uses.columns.len() - 1
        });
        let number = u16::try_from(number).ok().filter(|number| usize::from(*number) < limits::DATA_COLUMNS);
        let number =
            number.ok_or_else(|| Slip::new(format!("more than {} columns", limits::DATA_COLUMNS)))?;
        let at = u16::try_from(at).unwrap_or(u16::MAX);
        self.used.insert(at);
        Ok(Node::Cell(at, number))
    }

    pub(super) fn env(&self, name: &str) -> Result<Node, Slip> {
        match self.env.get(name) {
            Some(value) => Ok(Node::Constant(Value::Text(value.clone().into()))),
            None => {
                let slip = Slip::coded("env_not_set", format!("the environment has no {name}"));
                Err(slip.help(format!("set it where the plan is submitted: {name}=… swell run …")))
            }
        }
    }

    /// What has been named in the value at `place`: secrets that are new were found there.
    pub(crate) fn found_at(&mut self, place: Place) {
        self.secret_places.resize(self.secrets.len(), place);
    }

    pub(super) fn secret(&mut self, name: String) -> Result<u16, Slip> {
        let at = self.secrets.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.secrets.push(name);
            self.secrets.len() - 1
        });
        let number = u16::try_from(at).ok().filter(|number| usize::from(*number) < limits::SECRETS);
        number.ok_or_else(|| Slip::new(format!("more than {} secrets", limits::SECRETS)))
    }
}
