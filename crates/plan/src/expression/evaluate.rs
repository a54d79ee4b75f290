//! Expressions and what they give.

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::grammar::{Clock, Filter, Node, Operator, Random, random_length};
use super::value::Value;
use super::{EvaluateError, Known, Scope, write_encoded};
use crate::choice::mix;

type Result<'a> = std::result::Result<Value<'a>, EvaluateError>;

impl Node {
    pub(super) fn evaluate<'a>(&'a self, scope: &'a dyn Scope) -> Result<'a> {
        match self {
            Self::Constant(value) => Ok(value.borrowed()),
            Self::Saved(slot) => Ok(scope.saved(*slot).borrowed()),
            Self::Cell(source, column) => scope.cell(*source, *column),
            Self::Secret(_) | Self::Given(_) => Err(EvaluateError::Absent),
            Self::Text(template) => {
                let mut text = String::new();
                template.write(scope, &mut text)?;
                Ok(Value::Text(Cow::Owned(text)))
            }
            Self::LoopIndex => Ok(whole(scope.loop_index())),
            Self::Iteration => Ok(whole(scope.iteration())),
            Self::User => Ok(whole(scope.user())),
            Self::Row => Ok(whole(scope.row())),
            Self::Uuid => Ok(Value::Text(Cow::Owned(uuid(scope)))),
            Self::Now(clock) => now(*clock, scope.unix_ms()),
            Self::Random(random, arguments) => draw(*random, arguments, scope),
            Self::Member(node, name) => Ok(match node.evaluate(scope)? {
                Value::Json(Cow::Borrowed(json)) => json.get(name).map_or(Value::Null, Value::of_json),
                other => other.member(name).into_owned(),
            }),
            Self::Element(node, at) => element(node.evaluate(scope)?, &at.evaluate(scope)?),
            Self::Not(node) => Ok(Value::Bool(!node.evaluate(scope)?.is_true())),
            Self::Negative(node) => match node.evaluate(scope)?.number() {
                Some(Value::Int(number)) => {
                    number.checked_neg().map(Value::Int).ok_or(EvaluateError::TooLarge)
                }
                Some(Value::Float(number)) => Ok(Value::Float(-number)),
                _ => Err(EvaluateError::NoNumber),
            },
            Self::Binary(operator, a, b) => binary(*operator, a, b, scope),
            Self::Filter(filter, node) => apply(*filter, node.evaluate(scope)?),
            Self::Default(node, other) => match node.evaluate(scope) {
                Ok(Value::Null) | Err(EvaluateError::Absent) => other.evaluate(scope),
                value => value,
            },
        }
    }

    /// The nodes below this one.
    pub(super) fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Member(node, _) | Self::Not(node) | Self::Negative(node) | Self::Filter(_, node) => {
                vec![node]
            }
            Self::Element(a, b) | Self::Binary(_, a, b) | Self::Default(a, b) => vec![a, b],
            Self::Random(_, arguments) => arguments.iter().collect(),
            Self::Text(template) => template.expressions().map(|expression| &expression.node).collect(),
            Self::Constant(_)
            | Self::Saved(_)
            | Self::Cell(..)
            | Self::Secret(_)
            | Self::Given(_)
            | Self::LoopIndex
            | Self::Iteration
            | Self::User
            | Self::Row
            | Self::Uuid
            | Self::Now(_) => Vec::new(),
        }
    }

    /// Puts constants in place of what is the same in the whole run.
    pub(super) fn settle(&mut self, known: Known<'_>) {
        match self {
            Self::Secret(at) => {
                if let Known::Secrets(secrets) = known
                    && let Some(secret) = secrets.get(usize::from(*at))
                {
                    *self = Self::Constant(Value::Text(Cow::Owned(secret.clone())));
                }
            }
            Self::Given(at) => {
                if let Known::Given(values) = known
                    && let Some(value) = values.get(usize::from(*at))
                {
                    *self = Self::Constant(value.clone());
                }
            }
            Self::Text(template) => *template = template.settle(known),
            Self::Member(node, _) | Self::Not(node) | Self::Negative(node) | Self::Filter(_, node) => {
                node.settle(known);
            }
            Self::Element(a, b) | Self::Binary(_, a, b) | Self::Default(a, b) => {
                a.settle(known);
                b.settle(known);
            }
            Self::Random(_, arguments) => {
                arguments.iter_mut().for_each(|argument| argument.settle(known));
            }
            _ => {}
        }
    }

    /// Whether `is` holds for this or one below it.
    pub(super) fn any(&self, is: &dyn Fn(&Self) -> bool) -> bool {
        is(self) || self.parts().into_iter().any(|part| part.any(is))
    }

    /// Whether it gives the same wherever it stands; what it then is.
    pub(super) fn constant(&self) -> Option<Value<'static>> {
        if !self.is_constant() {
            return None;
        }
        self.evaluate(&Nowhere).ok().map(Value::into_owned)
    }

    /// Why it has no value wherever it stands.
    pub(super) fn fault(&self) -> Option<EvaluateError> {
        if self.is_constant() { self.evaluate(&Nowhere).err() } else { None }
    }

    fn is_constant(&self) -> bool {
        !self.any(&|node| {
            matches!(
                node,
                Self::Saved(_)
                    | Self::Cell(..)
                    | Self::Secret(_)
                    | Self::Given(_)
                    | Self::LoopIndex
                    | Self::Iteration
                    | Self::User
                    | Self::Row
                    | Self::Uuid
                    | Self::Now(_)
                    | Self::Random(..)
            )
        })
    }

    /// Whether its value is to stand as it is where others are encoded.
    pub(super) fn is_raw(&self) -> bool {
        matches!(self, Self::Filter(Filter::Raw, _))
    }
}

/// Where nothing is known.
struct Nowhere;

impl Scope for Nowhere {
    fn saved(&self, _slot: u16) -> &Value<'static> {
        &Value::Null
    }

    fn cell(&self, _source: u16, _column: u16) -> Result<'_> {
        Err(EvaluateError::Absent)
    }

    fn draw(&self) -> u64 {
        0
    }
}

fn whole(number: u64) -> Value<'static> {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn element<'a>(list: Value<'a>, at: &Value<'_>) -> Result<'a> {
    if let (Value::Json(json), Value::Text(name)) = (&list, at) {
        return Ok(json.get(name.as_ref()).map_or(Value::Null, Value::of_json).into_owned());
    }
    let at = at.int().ok_or(EvaluateError::NoNumber)?;
    let length = list.length().ok_or(EvaluateError::NoList)?;
    // From the end, as in Python and JSONPath.
    let at = if at < 0 { i64::try_from(length).unwrap_or(i64::MAX) + at } else { at };
    let Ok(at) = usize::try_from(at) else { return Ok(Value::Null) };
    Ok(match list {
        Value::Json(Cow::Borrowed(json)) => json.get(at).map_or(Value::Null, Value::of_json),
        other => other.element(at).into_owned(),
    })
}

fn binary<'a>(operator: Operator, a: &'a Node, b: &'a Node, scope: &'a dyn Scope) -> Result<'a> {
    let a = a.evaluate(scope)?;
    match operator {
        Operator::Or if a.is_true() => return Ok(a),
        Operator::And if !a.is_true() => return Ok(a),
        _ => {}
    }
    let b = b.evaluate(scope)?;
    let ordered = |is: fn(std::cmp::Ordering) -> bool| {
        a.order(&b).map(|order| Value::Bool(is(order))).ok_or(EvaluateError::NoOrder)
    };
    match operator {
        Operator::Or | Operator::And => Ok(b),
        Operator::Equal => Ok(Value::Bool(a.equals(&b))),
        Operator::Unequal => Ok(Value::Bool(!a.equals(&b))),
        Operator::Less => ordered(std::cmp::Ordering::is_lt),
        Operator::LessOrEqual => ordered(std::cmp::Ordering::is_le),
        Operator::Greater => ordered(std::cmp::Ordering::is_gt),
        Operator::GreaterOrEqual => ordered(std::cmp::Ordering::is_ge),
        Operator::Plus | Operator::Minus | Operator::Times | Operator::By | Operator::Modulo => {
            calculate(operator, &a, &b)
        }
    }
}

fn calculate(operator: Operator, a: &Value<'_>, b: &Value<'_>) -> Result<'static> {
    let (Some(x), Some(y)) = (a.number(), b.number()) else { return Err(EvaluateError::NoNumber) };
    if let (Value::Int(x), Value::Int(y)) = (&x, &y) {
        let (x, y) = (*x, *y);
        let exact = match operator {
            Operator::Plus => x.checked_add(y),
            Operator::Minus => x.checked_sub(y),
            Operator::Times => x.checked_mul(y),
            Operator::Modulo if y == 0 => return Err(EvaluateError::ByZero),
            Operator::Modulo => x.checked_rem_euclid(y),
            // A division that goes up stays whole.
            _ => Some(x).filter(|x| y != 0 && x % y == 0).map(|x| x / y),
        };
        match (exact, operator) {
            (Some(number), _) => return Ok(Value::Int(number)),
            (None, Operator::By) => {}
            (None, _) => return Err(EvaluateError::TooLarge),
        }
    }
    let (Some(x), Some(y)) = (x.float(), y.float()) else { return Err(EvaluateError::NoNumber) };
    let number = match operator {
        Operator::Plus => x + y,
        Operator::Minus => x - y,
        Operator::Times => x * y,
        Operator::Modulo => x.rem_euclid(y),
        _ => x / y,
    };
    match number.is_finite() {
        true => Ok(Value::Float(number)),
        false if y == 0.0 => Err(EvaluateError::ByZero),
        false => Err(EvaluateError::TooLarge),
    }
}

fn apply(filter: Filter, value: Value<'_>) -> Result<'_> {
    let text = |value: &Value<'_>| {
        let mut text = String::new();
        if value.write_text(&mut text) { Ok(text) } else { Err(EvaluateError::Absent) }
    };
    let owned = |text: String| Ok(Value::Text(Cow::Owned(text)));
    match filter {
        Filter::Raw => Ok(value),
        Filter::Number => value.number().ok_or(EvaluateError::NoNumber),
        Filter::String => owned(text(&value)?),
        Filter::Lower => owned(text(&value)?.to_lowercase()),
        Filter::Upper => owned(text(&value)?.to_uppercase()),
        Filter::Base64 => owned(STANDARD.encode(text(&value)?)),
        Filter::UserId => match text(&value)? {
            user if user.contains(':') => Err(EvaluateError::Colon),
            user => owned(user),
        },
        Filter::Json => {
            let mut json = String::new();
            value.write_json(&mut json);
            owned(json)
        }
        Filter::Url => {
            let mut encoded = String::new();
            write_encoded(&text(&value)?, &mut encoded);
            owned(encoded)
        }
        Filter::Length => value.length().map(|length| whole(length as u64)).ok_or(EvaluateError::NoList),
    }
}

fn now(clock: Clock, unix_ms: i64) -> Result<'static> {
    match clock {
        Clock::Milliseconds => Ok(Value::Int(unix_ms)),
        Clock::Seconds => Ok(Value::Int(unix_ms.div_euclid(1000))),
        Clock::Iso => {
            let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000);
            let text = time.ok().and_then(|time| time.format(&Rfc3339).ok());
            text.map(|text| Value::Text(Cow::Owned(text))).ok_or(EvaluateError::TooLarge)
        }
    }
}

fn draw<'a>(random: Random, arguments: &'a [Node], scope: &'a dyn Scope) -> Result<'a> {
    let argument = |at: usize| match arguments.get(at) {
        Some(node) => node.evaluate(scope),
        None => Err(EvaluateError::Absent),
    };
    match random {
        Random::Int => {
            let least = argument(0)?.int().ok_or(EvaluateError::NoNumber)?;
            let most = argument(1)?.int().ok_or(EvaluateError::NoNumber)?;
            let span = most.checked_sub(least).and_then(|span| u64::try_from(span).ok());
            let span = span.ok_or(EvaluateError::NoRange)?;
            let point = (u128::from(scope.draw()) * (u128::from(span) + 1)) >> 64;
            let point = u64::try_from(point).unwrap_or(span);
            Ok(Value::Int(least.wrapping_add_unsigned(point)))
        }
        Random::Float => {
            let least = argument(0)?.float().ok_or(EvaluateError::NoNumber)?;
            let most = argument(1)?.float().ok_or(EvaluateError::NoNumber)?;
            if least > most {
                return Err(EvaluateError::NoRange);
            }
            Ok(Value::Float(least + unit(scope.draw()) * (most - least)))
        }
        Random::Text | Random::Hex => {
            let length = argument(0)?.int().and_then(random_length).ok_or(EvaluateError::NoRange)?;
            let letters: &[u8] = match random {
                Random::Hex => b"0123456789abcdef",
                _ => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            };
            let mut state = scope.draw();
            let text = (0..length).map(|_| {
                state = mix(state);
                let at = (u128::from(state) * letters.len() as u128) >> 64;
                char::from(letters[usize::try_from(at).unwrap_or(0)])
            });
            Ok(Value::Text(Cow::Owned(text.collect())))
        }
        Random::Choice => {
            let at = (u128::from(scope.draw()) * arguments.len() as u128) >> 64;
            argument(usize::try_from(at).unwrap_or(0))
        }
    }
}

/// From 0 up to, but without, 1: as many bits as a float has.
pub(crate) fn unit(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

/// Of version 4 (RFC 9562, 5.4), from the plan's seed.
fn uuid(scope: &dyn Scope) -> String {
    let (high, low) = (scope.draw(), scope.draw());
    let high = high & !0xF000 | 0x4000;
    let low = low & !(0b11 << 62) | 0b10 << 62;
    let mut text = String::with_capacity(36);
    write!(
        text,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xFFFF,
        high & 0xFFFF,
        low >> 48,
        low & 0xFFFF_FFFF_FFFF
    )
    .unwrap_or_default();
    text
}
