//! Values in a response that a later request may use: where they are, and what to call them.

use std::collections::HashMap;

use super::recording::Recorded;
use crate::node::Node;
use crate::{names, payload, read};

/// Characters of a value that is followed: shorter ones are the same by chance.
const LEAST: usize = 8;
/// Digits of a number that is followed.
const LEAST_DIGITS: usize = 5;
/// Characters of a value that is followed at most.
const MOST: usize = 4096;
/// Bytes of a response that is searched; `max_body` of a plan is by default a quarter of it.
const RESPONSE_BYTES: usize = 1 << 20;
/// Bytes from which on a plan has to ask for so long a body.
const BODY_BYTES: usize = 256 * 1024;

/// A value of a response.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// The variable's name, before it is made unique.
    pub name: String,
    /// As a plan writes it: `$.token`, `header:x-token`, `regex:…`.
    pub from: String,
    /// It is a path that others begin with, rather than a value.
    pub is_path: bool,
    /// The same value is there under another name, too.
    pub ambiguous: bool,
}

/// The values of a response, by what they are.
pub(super) fn values(entry: &Recorded) -> HashMap<String, Found> {
    let mut found: HashMap<String, Found> = HashMap::new();
    let mut add = |value: String, name: &str, from: String, is_path: bool| {
        let name = names::variable(name);
        match found.get_mut(&value) {
            Some(known) => known.ambiguous |= known.name != name,
            None => {
                found.insert(value, Found { name, from, is_path, ambiguous: false });
            }
        }
    };
    for (name, value) in &entry.response_headers {
        let named = ["token", "csrf", "xsrf"].iter().any(|word| name.contains(word));
        if named && is_followed(value) {
            add(value.clone(), name, format!("header:{name}"), false);
        } else if name == "location" && value.starts_with('/') && names::stable(value).contains('{') {
            add(value.clone(), "location", "header:location".to_owned(), true);
        }
    }
    let text = entry.response.as_str();
    if text.is_empty() || text.len() > RESPONSE_BYTES.min(BODY_BYTES) {
        return found;
    }
    let start = text.trim_start();
    if start.starts_with(['{', '['])
        && let Ok(node) = read::json(text, "JSON")
    {
        let parent = parent(&entry.url.path);
        node.each_scalar("$", "", &mut |path, key, scalar| {
            let value = scalar.scalar().unwrap_or_default();
            let number = matches!(scalar, Node::Number(_)) && is_number(&value);
            if number || matches!(scalar, Node::Text(_)) && (is_followed(&value) || is_number(&value)) {
                let name = if key == "id" { of_parent(path, &parent) } else { key.to_owned() };
                add(value, &name, path.to_owned(), false);
            }
        });
    } else if payload::essence(content_type(entry)).contains("html") || start.starts_with('<') {
        for (name, value, from) in inputs(text) {
            if is_followed(&value) {
                add(value, &name, from, false);
            }
        }
    }
    found
}

fn content_type(entry: &Recorded) -> &str {
    let header = entry.response_headers.iter().find(|(name, _)| name == "content-type");
    header.map_or("", |(_, value)| value.as_str())
}

/// Long, one word, and not a word of a language: with digits, or in both cases.
fn is_followed(value: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"._~+/=-".contains(&byte);
    let digits = value.bytes().any(|byte| byte.is_ascii_digit());
    let cases = value.bytes().any(|byte| byte.is_ascii_lowercase())
        && value.bytes().any(|byte| byte.is_ascii_uppercase());
    let is_date = value.len() >= 10
        && value.as_bytes()[4] == b'-'
        && value[..4].bytes().all(|byte| byte.is_ascii_digit());
    (LEAST..=MOST).contains(&value.len())
        && value.bytes().all(inside)
        && (digits || cases && value.len() >= 2 * LEAST)
        && !value.starts_with('/')
        && !is_date
}

fn is_number(value: &str) -> bool {
    value.len() >= LEAST_DIGITS && value.bytes().all(|byte| byte.is_ascii_digit())
}

/// The last word of a path, as one of what it lists: `/api/orders` gives `order`.
fn parent(path: &str) -> String {
    let word = path.rsplit('/').find(|segment| !segment.is_empty() && !names::stable(segment).contains('{'));
    singular(word.unwrap_or("item"))
}

fn singular(word: &str) -> String {
    match word.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => word.strip_suffix('s').filter(|stem| !stem.ends_with('s')).unwrap_or(word).to_owned(),
    }
}

/// `$.order.id` is the order's; `$.id` is that of what the path is of.
fn of_parent(path: &str, parent: &str) -> String {
    let keys: Vec<&str> = path
        .split(['.', '[', ']'])
        .filter(|key| key.starts_with(|c: char| c.is_ascii_alphabetic()))
        .collect();
    let owner = keys.len().checked_sub(2).map(|at| singular(keys[at]));
    format!("{}_id", owner.as_deref().unwrap_or(parent))
}

/// Name, value and where from of each `<input type=hidden>` and `<meta name=csrf…>`.
fn inputs(text: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for piece in text.split('<').skip(1) {
        let tag = piece.split('>').next().unwrap_or_default();
        let is_input = tag.starts_with("input") && tag.contains("hidden");
        let is_meta = tag.starts_with("meta") && (tag.contains("csrf") || tag.contains("xsrf"));
        let value_key = if is_meta { "content" } else { "value" };
        if !is_input && !is_meta {
            continue;
        }
        let (Some((name_at, name)), Some((value_at, value))) =
            (attribute(tag, "name"), attribute(tag, value_key))
        else {
            continue;
        };
        let quote =
            if tag[value_at..].contains('\'') && !tag[value_at..].starts_with(&format!("{value_key}=\"")) {
                '\''
            } else {
                '"'
            };
        let named = format!("name={quote}{}{quote}", escaped(name));
        let taken = format!("{value_key}={quote}([^{quote}]+){quote}");
        let from = if name_at < value_at {
            format!("regex:{named}[^>]*{taken}")
        } else {
            format!("regex:{taken}[^>]*{named}")
        };
        found.push((name.to_owned(), value.to_owned(), from));
    }
    found
}

/// Where an attribute begins, and its value.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<(usize, &'a str)> {
    let start = [format!(" {name}=\""), format!(" {name}='")];
    let (at, start) = start.iter().find_map(|start| Some((tag.find(start.as_str())?, start)))?;
    let rest = &tag[at + start.len()..];
    let end = rest.find(start.chars().last()?)?;
    Some((at + 1, &rest[..end]))
}

/// Text as a regular expression that matches it alone.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if "\\.+*?()|[]{}^$#&-~".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
