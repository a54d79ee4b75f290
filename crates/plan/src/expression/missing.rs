//! Why an expression has no value, and what of a text comes from secrets: for whoever looks at one iteration closely.
//!
//! Invariant: nothing here is called while load is generated. Deliberately absent: the value of a secret in what is said of
//! an expression, which is shown as it was written.

use super::grammar::Node;
use super::template::{Piece, write};
use super::{EvaluateError, Expression, Scope, SourceUse, Template, Value};

/// What the numbers in the expressions of a scenario stand for.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    pub(crate) saved: &'a [String],
    pub(crate) sources: &'a [SourceUse],
}

/// An expression without a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// As it was written.
    pub expression: String,
    /// Why.
    pub error: EvaluateError,
    /// What stands for nothing, where it is that.
    pub name: Option<String>,
}

/// Where nothing is drawn, so that looking changes nothing.
struct Undrawn<'a>(&'a dyn Scope);

impl Scope for Undrawn<'_> {
    fn saved(&self, slot: u16) -> &Value<'static> {
        self.0.saved(slot)
    }

    fn cell(&self, source: u16, column: u16) -> Result<Value<'_>, EvaluateError> {
        self.0.cell(source, column)
    }

    fn draw(&self) -> u64 {
        0
    }

    fn loop_index(&self) -> u64 {
        self.0.loop_index()
    }

    fn iteration(&self) -> u64 {
        self.0.iteration()
    }

    fn user(&self) -> u64 {
        self.0.user()
    }

    fn unix_ms(&self) -> i64 {
        self.0.unix_ms()
    }
}

impl Expression {
    /// Why it has no value; `None` when it has one.
    pub fn missing(&self, scope: &dyn Scope, named: Named<'_>) -> Option<Missing> {
        let scope = Undrawn(scope);
        let error = self.evaluate(&scope).err()?;
        Some(self.missing_for(error, &scope, named))
    }

    fn missing_for(&self, error: EvaluateError, scope: &dyn Scope, named: Named<'_>) -> Missing {
        Missing { expression: self.to_string(), error, name: self.node.absent(scope, named) }
    }
}

impl Template {
    /// The first of its expressions that cannot be written here; `None` when all can.
    pub fn missing(&self, scope: &dyn Scope, named: Named<'_>) -> Option<Missing> {
        let scope = Undrawn(scope);
        self.pieces.iter().find_map(|piece| {
            let Piece::Value(expression, encoding) = piece else { return None };
            let written = expression.evaluate(&scope).and_then(|value| {
                let mut text = String::new();
                write(&value, *encoding, &mut text)
            });
            Some(expression.missing_for(written.err()?, &scope, named))
        })
    }

    /// What those of its expressions give that use a secret, as it is written; for templates that are not settled.
    pub fn secret_texts(&self, secrets: &[String], scope: &dyn Scope, out: &mut Vec<String>) {
        for piece in &self.pieces {
            let Piece::Value(expression, encoding) = piece else { continue };
            if expression.node.any(&|node| matches!(node, Node::Secret(_))) {
                let mut expression = expression.clone();
                expression.settle(secrets);
                let mut text = String::new();
                let value = expression.evaluate(&Undrawn(scope)).map(Value::into_owned);
                if value.and_then(|value| write(&value, *encoding, &mut text)).is_ok() {
                    out.push(text);
                }
            }
        }
    }
}

impl Node {
    /// The innermost name in it that stands for nothing.
    fn absent(&self, scope: &dyn Scope, named: Named<'_>) -> Option<String> {
        let parts = match self {
            // Its first part may be absent.
            Self::Default(_, other) => vec![&**other],
            _ => self.parts(),
        };
        if let Some(name) = parts.into_iter().find_map(|part| part.absent(scope, named)) {
            return Some(name);
        }
        let is_absent = matches!(
            self.evaluate(scope),
            Ok(Value::Null) | Err(EvaluateError::Absent | EvaluateError::Exhausted)
        );
        if is_absent { self.name(named) } else { None }
    }

    /// As it is written, where it is a name.
    fn name(&self, named: Named<'_>) -> Option<String> {
        match self {
            Self::Saved(slot) => named.saved.get(usize::from(*slot)).cloned(),
            Self::Cell(source, column) => {
                let source = named.sources.get(usize::from(*source))?;
                Some(format!("{}.{}", source.name, source.columns.get(usize::from(*column))?))
            }
            Self::Member(node, member) => Some(format!("{}.{member}", node.name(named)?)),
            Self::Element(node, at) => {
                let mut text = String::new();
                at.constant()?.write_json(&mut text);
                Some(format!("{}[{text}]", node.name(named)?))
            }
            _ => None,
        }
    }
}
