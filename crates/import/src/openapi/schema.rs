//! A value by a schema: the example that it has, else one that is generated.
//!
//! Invariant: cycles and depth are bounded; what is left out of an object is never one of its required members, unless
//! there is no end to them.

use super::document::Document;
use crate::draft::literal;
use crate::node::Node;
use crate::notes::Notes;
use crate::payload::literals;

/// Levels of objects in objects: examples of documents have four.
const DEPTH: usize = 8;
/// Values of one body: schemas that refer to each other grow with each level.
const VALUES: usize = 2_000;

/// Makes values by the schemas of a document.
pub(super) struct Maker<'a, 'n> {
    document: Document<'a>,
    notes: &'n mut Notes,
    /// The references that lead here.
    within: Vec<&'a str>,
    made: usize,
}

impl<'a, 'n> Maker<'a, 'n> {
    pub(super) fn new(document: Document<'a>, notes: &'n mut Notes) -> Self {
        Self { document, notes, within: Vec::new(), made: 0 }
    }

    /// A template for a value of `schema`; `None` where a circle of references has no value here.
    pub(super) fn value(&mut self, schema: &'a Node, key: &str) -> Option<Node> {
        self.made += 1;
        if self.made > VALUES || self.within.len() > DEPTH * 4 {
            return None;
        }
        if let Some(reference) = schema.text_of("$ref") {
            if self.within.contains(&reference) {
                return None;
            }
            self.within.push(reference);
            let resolved = self.document.resolved(schema, self.notes);
            let value = self.value(resolved, key);
            self.within.pop();
            return value;
        }
        if *schema == Node::Null {
            return None;
        }
        if let Some(given) = example(schema) {
            return Some(literals(given.clone()));
        }
        if let Some(choice) = choice(schema) {
            return Some(choice);
        }
        for combined in ["oneOf", "anyOf"] {
            let mut choices = schema.list_of(combined).iter().filter(|choice| !is_null(choice));
            if let Some(first) = choices.next() {
                let (base, first) = (self.object(schema, key), self.value(first, key));
                return merged(base.filter(|_| schema.get("properties").is_some()), first);
            }
        }
        if !schema.list_of("allOf").is_empty() {
            let mut all = if schema.get("properties").is_some() { self.object(schema, key) } else { None };
            for part in schema.list_of("allOf") {
                let part = self.value(part, key);
                all = merged(all, part);
            }
            return all;
        }
        match kind(schema) {
            "object" => self.object(schema, key),
            "array" => self.array(schema, key),
            "integer" | "number" | "boolean" | "null" => Some(number(schema)),
            _ => Some(Node::Text(self.text(schema, key))),
        }
    }

    fn object(&mut self, schema: &'a Node, _key: &str) -> Option<Node> {
        let required: Vec<&str> = schema.list_of("required").iter().filter_map(Node::text).collect();
        let mut entries = Vec::new();
        self.within.push("{}");
        let too_deep = self.within.iter().filter(|part| **part == "{}").count() > DEPTH;
        for (key, property) in schema.get("properties").map_or(&[][..], Node::entries) {
            let resolved = self.document.resolved(property, self.notes);
            let is_required = required.contains(&key.as_str());
            if resolved.get("readOnly").is_some_and(Node::is_true) || too_deep && !is_required {
                continue;
            }
            entries.extend(self.value(property, key).map(|value| (key.clone(), value)));
        }
        self.within.pop();
        let missing = |name: &&&str| !entries.iter().any(|(key, _)| key == **name);
        if let Some(name) = required.iter().find(missing)
            && schema
                .get("properties")
                .and_then(|properties| properties.get(name))
                .is_some_and(|property| !property.get("readOnly").is_some_and(Node::is_true))
        {
            self.notes.add(format!("schema: \"{name}\" is required without end, left out"));
        }
        Some(Node::Map(entries))
    }

    fn array(&mut self, schema: &'a Node, key: &str) -> Option<Node> {
        let Some(items) = schema.get("items") else {
            return Some(Node::List(Vec::new()));
        };
        let least = schema.get("minItems").and_then(Node::count).unwrap_or(1).clamp(1, 3);
        let mut nodes = Vec::new();
        for _ in 0..least {
            nodes.extend(self.value(items, key));
        }
        Some(Node::List(nodes))
    }

    fn text(&mut self, schema: &'a Node, key: &str) -> String {
        let secret = format!("{{{{ secret.{} }}}}", crate::names::variable(key).to_uppercase());
        let fixed = match schema.text_of("format").unwrap_or_default() {
            "uuid" => "{{ uuid }}",
            "date-time" => "{{ now.iso }}",
            "date" => "2026-01-31",
            "time" => "12:00:00Z",
            "duration" => "PT1H",
            "email" | "idn-email" => "user{{ rand.int(1, 100000) }}@example.com",
            "uri" | "url" | "iri" | "uri-reference" => "https://example.com/{{ rand.hex(8) }}",
            "hostname" => "host{{ rand.int(1, 1000) }}.example.com",
            "ipv4" => "192.0.2.{{ rand.int(1, 254) }}",
            "ipv6" => "2001:db8::{{ rand.hex(4) }}",
            "byte" => "{{ rand.string(12) | base64 }}",
            "password" => secret.as_str(),
            _ if crate::secrets::is_secret(key) => secret.as_str(),
            _ => "",
        };
        if !fixed.is_empty() {
            if fixed.contains("secret.") {
                self.notes
                    .gather("secrets to give to the drivers", &crate::names::variable(key).to_uppercase());
            }
            return fixed.to_owned();
        }
        if let Some(pattern) = schema.text_of("pattern") {
            self.notes
                .add(format!("\"{key}\": the pattern {pattern} is not followed, put in values that match"));
        }
        let least = schema.get("minLength").and_then(Node::count).unwrap_or(0);
        let most = schema.get("maxLength").and_then(Node::count).unwrap_or(u64::MAX).max(1);
        format!("{{{{ rand.string({}) }}}}", 8.max(least).min(most).min(1_000))
    }
}

/// What the document says itself: an example, a default, the only value.
fn example(schema: &Node) -> Option<&Node> {
    let examples = || schema.list_of("examples").first();
    let only = || if let [one] = schema.list_of("enum") { Some(one) } else { None };
    schema
        .get("example")
        .or_else(examples)
        .or_else(|| schema.get("default"))
        .or_else(|| schema.get("const"))
        .or_else(only)
        .filter(|node| **node != Node::Null)
}

/// One of several values, drawn for each request.
fn choice(schema: &Node) -> Option<Node> {
    let values: Vec<&Node> = schema.list_of("enum").iter().filter(|value| **value != Node::Null).collect();
    if values.is_empty() {
        return None;
    }
    let drawn = |value: &&Node| match value {
        Node::Text(text) if !text.contains(['\'', '\\', '{', '}']) && !text.contains(char::is_control) => {
            Some(format!("'{text}'"))
        }
        Node::Number(number) => Some(number.clone()),
        _ => None,
    };
    match values.iter().map(drawn).collect::<Option<Vec<_>>>() {
        Some(drawn) if drawn.len() <= 50 => {
            Some(Node::Text(format!("{{{{ rand.choice({}) }}}}", drawn.join(", "))))
        }
        _ => values.first().map(|value| literals((*value).clone())),
    }
}

fn is_null(schema: &Node) -> bool {
    schema.text_of("type") == Some("null")
}

/// The type; 3.1 may list several.
fn kind(schema: &Node) -> &str {
    let listed = schema.list_of("type").iter().filter_map(Node::text).find(|kind| *kind != "null");
    let implied = || match schema {
        schema if schema.get("properties").is_some() || schema.get("additionalProperties").is_some() => {
            "object"
        }
        schema if schema.get("items").is_some() => "array",
        _ => "string",
    };
    schema.text_of("type").or(listed).unwrap_or_else(implied)
}

fn number(schema: &Node) -> Node {
    let bound = |key: &str| schema.get(key).and_then(Node::number);
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|least| least + 1.0));
    let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|most| most - 1.0));
    let (least, most) = match (least, most) {
        (Some(least), Some(most)) if least <= most => (least, most),
        (Some(least), _) => (least, least.max(1.0) * 100.0),
        (None, Some(most)) => (most.min(1.0), most),
        (None, None) => (1.0, 100.0),
    };
    match kind(schema) {
        "integer" => {
            Node::Text(format!("{{{{ rand.int({}, {}) }}}}", whole(least.ceil()), whole(most.floor())))
        }
        "number" => Node::Text(format!("{{{{ rand.float({least}, {most}) }}}}")),
        "boolean" => Node::Text("{{ rand.choice(true, false) }}".to_owned()),
        _ => Node::Null,
    }
}

/// A bound as an expression may have it.
#[expect(clippy::cast_possible_truncation, reason = "bounded")]
fn whole(bound: f64) -> i64 {
    bound.clamp(-9e15, 9e15) as i64
}

/// Both objects' members; of two values that are no objects the later.
fn merged(a: Option<Node>, b: Option<Node>) -> Option<Node> {
    match (a, b) {
        (Some(Node::Map(mut all)), Some(Node::Map(more))) => {
            for (key, value) in more {
                match all.iter_mut().find(|(known, _)| *known == key) {
                    Some(known) => known.1 = value,
                    None => all.push((key, value)),
                }
            }
            Some(Node::Map(all))
        }
        (a, None) => a,
        (_, b) => b,
    }
}

/// A value as text in a path or query.
pub(super) fn as_text(value: &Node) -> String {
    match value {
        Node::Text(text) => text.clone(),
        Node::List(nodes) => nodes.iter().map(as_text).collect::<Vec<_>>().join(","),
        Node::Map(_) => literal(&value.json()),
        scalar => scalar.json(),
    }
}
