//! A YAML value as JSON text, in the order of the file.
//!
//! Plain scalars take the types of the YAML 1.2 core schema; a number that is one in JSON, too, keeps its digits.

use std::num::ParseIntError;

use crate::diagnostic::{Faults, Wrong};
use crate::expression::{Encoding, Names, Template, write_escaped};
use crate::read;
use crate::tree::{Kind, Node};

/// The JSON text of `node`, without spaces.
pub(crate) fn render(faults: &mut Faults<'_>, node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Faulty => None,
        Kind::Scalar { text, plain: false } => Some(quote(text)),
        Kind::Scalar { text, plain: true } => match plain(text) {
            Some(json) => Some(json),
            None => {
                let wrong = Wrong::new("not_json", format!("{text} is no number that JSON has"));
                read::fault(faults, node, wrong.help("write it in quotes if text is meant"))
            }
        },
        Kind::List(nodes) => {
            let values: Vec<Option<String>> = nodes.iter().map(|node| render(faults, node)).collect();
            Some(format!("[{}]", values.into_iter().collect::<Option<Vec<_>>>()?.join(",")))
        }
        Kind::Map(entries) => {
            let members: Vec<Option<String>> = entries
                .iter()
                .map(|entry| Some(format!("{}:{}", quote(&entry.key), render(faults, &entry.value)?)))
                .collect();
            Some(format!("{{{}}}", members.into_iter().collect::<Option<Vec<_>>>()?.join(",")))
        }
    }
}

/// The JSON of `node` with its expressions: one that is a whole scalar is a value of its own kind.
pub(crate) fn template(faults: &mut Faults<'_>, names: &mut Names, node: &Node) -> Option<Template> {
    let mut json = Template::default();
    match &node.kind {
        Kind::Scalar { text, .. } if Template::is_one_expression(text) => {
            json.push(read::template(faults, names, node, "the value", Encoding::Json)?);
        }
        Kind::Scalar { text, .. } if text.contains("{{") => {
            let escaped = |text: &str| {
                let mut escaped = String::new();
                write_escaped(text, &mut escaped);
                escaped
            };
            let how = (Encoding::JsonText, &escaped as &dyn Fn(&str) -> String);
            json.push_text("\"");
            json.push(read::template_between(faults, names, node, "the value", how)?);
            json.push_text("\"");
        }
        Kind::Scalar { .. } | Kind::Faulty => json.push_text(&render(faults, node)?),
        Kind::List(nodes) => {
            let values: Vec<Option<Template>> =
                nodes.iter().map(|node| template(faults, names, node)).collect();
            json.push_text("[");
            for (number, value) in values.into_iter().enumerate() {
                json.push_text(if number > 0 { "," } else { "" });
                json.push(value?);
            }
            json.push_text("]");
        }
        Kind::Map(entries) => {
            let members: Vec<(Option<String>, Option<Template>)> = entries
                .iter()
                .map(|entry| (read::key(faults, names, entry), template(faults, names, &entry.value)))
                .collect();
            json.push_text("{");
            for (number, (key, value)) in members.into_iter().enumerate() {
                json.push_text(if number > 0 { "," } else { "" });
                json.push_text(&format!("{}:", quote(&key?)));
                json.push(value?);
            }
            json.push_text("}");
        }
    }
    Some(json)
}

/// `text` as a JSON string, which is a YAML string in double quotes, too.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A plain scalar by the core schema; `None` for the numbers that JSON lacks, and for those in base 8 or 16 of more than 64
/// bits, which none of its readers would take.
fn plain(text: &str) -> Option<String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some("null".to_owned()),
        "true" | "True" | "TRUE" => return Some("true".to_owned()),
        "false" | "False" | "FALSE" => return Some("false".to_owned()),
        ".nan" | ".NaN" | ".NAN" => return None,
        _ if matches!(digits, ".inf" | ".Inf" | ".INF") => return None,
        _ => {}
    }
    if let Some(number) = radix(text, "0x", 16).or_else(|| radix(text, "0o", 8)) {
        return number.ok().map(|number| number.to_string());
    }
    if !is_decimal(digits) {
        return Some(quote(text));
    }
    let (whole, rest) = digits.split_at(digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len()));
    let (fraction, exponent) = rest.split_at(rest.find(['e', 'E']).unwrap_or(rest.len()));
    // JSON wants a digit on both sides of the point, and none of YAML's leading zeros.
    let whole = Some(whole.trim_start_matches('0')).filter(|whole| !whole.is_empty()).unwrap_or("0");
    let fraction = if fraction == "." { "" } else { fraction };
    Some(format!("{}{whole}{fraction}{exponent}", if negative { "-" } else { "" }))
}

/// A whole number in another base than ten, if it is one; an error when it has more than 64 bits.
fn radix(text: &str, prefix: &str, radix: u32) -> Option<Result<u64, ParseIntError>> {
    let is_digit = |c: char| c.is_digit(radix);
    let digits =
        text.strip_prefix(prefix).filter(|digits| !digits.is_empty() && digits.chars().all(is_digit))?;
    Some(u64::from_str_radix(digits, radix))
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?` of the core schema.
fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    has_digits
        && digits(whole)
        && digits(fraction)
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}
