//! JSONPath (RFC 9535).
//!
//! Most paths name one place (`$.user.id`): those are walked while the text is parsed, and what lies beside them is
//! skipped. All others are asked of the whole tree.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;
use serde_json_path::JsonPath as Query;

use crate::expression::Value;

/// A path.
#[derive(Debug, Clone)]
pub struct JsonPath {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// To one place.
    Single(Vec<Part>),
    /// To any number of places.
    Any(Box<Query>),
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Member(String),
    Element(usize),
}

impl PartialEq for JsonPath {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl JsonPath {
    /// # Errors
    /// What is wrong with `text`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let query = Query::parse(text).map_err(|error| error.to_string())?;
        let kind = single(text).map_or_else(|| Kind::Any(Box::new(query)), Kind::Single);
        Ok(Self { text: text.to_owned(), kind })
    }

    /// Whether it can lead to several places; then it gives a list.
    pub fn gives_list(&self) -> bool {
        match &self.kind {
            Kind::Single(_) => false,
            // Names in quotes and negative indices lead to one place as well.
            Kind::Any(_) => !is_singular(&self.text),
        }
    }

    /// What is there in the JSON text `body`: a value, or a list of all there are. `None` where nothing is, or `body` is no
    /// JSON.
    pub fn find(&self, body: &[u8]) -> Option<Value<'static>> {
        match &self.kind {
            Kind::Single(parts) => {
                let mut deserializer = serde_json::Deserializer::from_slice(body);
                let found = Walk(parts).deserialize(&mut deserializer).ok()?;
                // What is not JSON to its end is none.
                deserializer.end().ok()?;
                found.map(Value::from_json)
            }
            Kind::Any(query) => {
                let json: Json = serde_json::from_slice(body).ok()?;
                let nodes = query.query(&json);
                if self.gives_list() {
                    let all: Vec<Json> = nodes.all().into_iter().cloned().collect();
                    return if all.is_empty() { None } else { Some(Value::from_json(Json::Array(all))) };
                }
                nodes.first().map(|json| Value::from_json(json.clone()))
            }
        }
    }
}

/// Whether a valid path is a singular query (RFC 9535, 2.3.5.1): no wildcard, slice, filter, list or descent in it.
fn is_singular(path: &str) -> bool {
    let mut quote = None;
    let mut is_escaped = false;
    let mut before = ' ';
    for c in path.chars() {
        match (c, quote) {
            _ if is_escaped => is_escaped = false,
            ('\\', Some(_)) => is_escaped = true,
            (_, Some(open)) if c == open => quote = None,
            (_, Some(_)) => {}
            ('"' | '\'', None) => quote = Some(c),
            ('*' | '?' | ':' | ',', None) => return false,
            ('.', None) if before == '.' => return false,
            _ => {}
        }
        before = c;
    }
    true
}

/// The parts of a path of plain names and indices; `None` of any other.
fn single(text: &str) -> Option<Vec<Part>> {
    let mut rest = text.strip_prefix('$')?;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        if let Some(named) = rest.strip_prefix('.') {
            let length = named.find(['.', '[']).unwrap_or(named.len());
            let name = &named[..length];
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty()
                || !name.chars().all(is_plain)
                || name.starts_with(|c: char| c.is_ascii_digit())
            {
                return None;
            }
            parts.push(Part::Member(name.to_owned()));
            rest = &named[length..];
        } else {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            if index.is_empty() || !index.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            parts.push(Part::Element(index.parse().ok()?));
            rest = after;
        }
    }
    Some(parts)
}

/// Walks to one place while the text is read.
#[derive(Clone, Copy)]
struct Walk<'p>(&'p [Part]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<Json>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            [] => serde::Deserialize::deserialize(deserializer).map(Some),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Option<Json>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let Some((Part::Member(name), rest)) = self.0.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(None);
        };
        while let Some(is_it) = map.next_key_seed(IsName(name))? {
            if is_it {
                // The last of several counts, as everywhere.
                found = map.next_value_seed(Walk(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        if let Some((Part::Element(index), rest)) = self.0.split_first() {
            for _ in 0..*index {
                if list.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(None);
                }
            }
            found = list.next_element_seed(Walk(rest))?.flatten();
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Compares a key without keeping it.
struct IsName<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_they_say() {
        let body = br#"{"a": {"b": [1, {"c": "x"}, 3], "d e": null}, "l": [{"id": 1}, {"id": 2}], "a2": 5}"#;
        let found = |path: &str| {
            let mut out = String::new();
            match JsonPath::parse(path).unwrap().find(body) {
                Some(value) => value.write_json(&mut out),
                None => out.push('-'),
            }
            out
        };
        let cases = [
            ("$.a.b[1].c", "\"x\""),
            ("$.a2", "5"),
            ("$.a.b", "[1,{\"c\":\"x\"},3]"),
            ("$.a.b[7]", "-"),
            ("$.a.b.c", "-"),
            ("$.a2.b", "-"),
            ("$['a']['d e']", "null"),
            ("$.a.b[-1]", "3"),
            ("$.l[*].id", "[1,2]"),
            ("$.l[?@.id > 1].id", "[2]"),
            ("$..c", "[\"x\"]"),
            ("$.l[*].gone", "-"),
        ];
        for (path, expected) in cases {
            assert_eq!(found(path), expected, "{path}");
        }
        assert!(JsonPath::parse("$.a[").is_err());
        assert!(JsonPath::parse("a.b").is_err());
        for body in [&b""[..], b"{", b"nope", b"{\"a\": 1} x"] {
            assert_eq!(JsonPath::parse("$.a").unwrap().find(body), None, "{}", String::from_utf8_lossy(body));
        }
    }
}
