//! Text to [`Node`], and what a file is when it is not what was asked for.
//!
//! Invariant: nesting and what aliases expand to are bounded, whatever the text.

use std::collections::HashMap;
use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

use crate::Error;
use crate::node::Node;

/// Levels of nesting in what is read; `serde_json` would stop at 128.
pub(crate) const DEPTH: usize = 100;
/// Values that aliases of a YAML file may expand to: a file of them doubles with each line.
const EXPANDED: usize = 1_000_000;

/// What files may be found to be, and the format that imports them.
pub(crate) const FOUND: &[(&str, Option<&str>)] = &[
    ("a HAR recording", Some("har")),
    ("an OpenAPI document", Some("openapi")),
    ("a Swagger 2.0 document (convert it to OpenAPI 3 first)", None),
    ("a Postman collection", Some("postman")),
    ("a Postman environment (import the collection)", None),
    ("the options of k6", Some("k6-options")),
    ("a plan already", None),
    ("XML", None),
];

/// What `root` is, by the keys that only one format has.
fn recognise(root: &Node) -> Option<&'static str> {
    let has = |keys: &[&str]| root.at(keys).is_some();
    let kinds = [
        has(&["log", "entries"]),
        has(&["openapi"]),
        has(&["swagger"]),
        has(&["info"]) && has(&["item"]),
        has(&["_postman_variable_scope"]),
        has(&["vus"])
            || has(&["stages"])
            || (has(&["scenarios"]) || has(&["thresholds"])) && !has(&["version"]),
        has(&["version"]) && has(&["load"]),
    ];
    kinds.iter().zip(FOUND).find(|(is, _)| **is).map(|(_, (name, _))| *name)
}

/// Fails unless `root` is `expected`, which is one of [`FOUND`].
pub(crate) fn must_be(root: &Node, expected: &'static str) -> Result<(), Error> {
    match recognise(root) {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(Error::WrongFormat { expected, found }),
        None => Err(Error::Syntax { expected, message: "it has none of the keys of one".to_owned() }),
    }
}

/// JSON, or what else begins like it.
pub(crate) fn json(text: &str, expected: &'static str) -> Result<Node, Error> {
    let start = text.trim_start();
    if start.is_empty() {
        return Err(Error::Nothing("the text is empty".to_owned()));
    }
    if start.starts_with('<') {
        return Err(Error::WrongFormat { expected, found: "XML" });
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let node = Seed(0).deserialize(&mut reader).and_then(|node| reader.end().map(|()| node));
    node.or_else(|error| {
        // A description in YAML that was taken for JSON: say what it is.
        let other = if start.starts_with(['{', '[']) { None } else { yaml(text, expected).ok() };
        other
            .filter(|node| recognise(node).is_some())
            .ok_or_else(|| Error::Syntax { expected, message: error.to_string() })
    })
}

/// JSON with comments, names without quotes, and what else JavaScript allows.
pub(crate) fn json5(text: &str, expected: &'static str) -> Result<Node, Error> {
    let syntax = |message: String| Error::Syntax { expected, message };
    let mut reader = json5::Deserializer::from_str(text);
    Seed(0).deserialize(&mut reader).map_err(|error| syntax(error.to_string()))
}

/// JSON or YAML.
pub(crate) fn json_or_yaml(text: &str, expected: &'static str) -> Result<Node, Error> {
    if text.trim_start().starts_with(['{', '[', '<']) || text.trim().is_empty() {
        return json(text, expected);
    }
    yaml(text, expected)
}

/// One value, so many levels down.
struct Seed(usize);

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Node;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Node, D::Error> {
        if self.0 > DEPTH {
            return Err(D::Error::custom(format!("nested deeper than {DEPTH} levels")));
        }
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Node, D::Error> {
        self.deserialize(reader)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Node::Null, |number| Node::Number(number.to_string())))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Node::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = access.next_element_seed(Seed(self.0 + 1))? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut map = Members::default();
        while let Some(key) = access.next_key::<String>()? {
            map.put(key, access.next_value_seed(Seed(self.0 + 1))?);
        }
        Ok(Node::Map(map.entries))
    }
}

/// Entries of a map as they come; of two with one key the later counts, as in JavaScript.
#[derive(Default)]
struct Members {
    entries: Vec<(String, Node)>,
    places: HashMap<String, usize>,
}

impl Members {
    fn put(&mut self, key: String, value: Node) {
        match self.places.get(&key) {
            Some(place) => self.entries[*place].1 = value,
            None => {
                self.places.insert(key.clone(), self.entries.len());
                self.entries.push((key, value));
            }
        }
    }
}

enum Frame {
    List(usize, Vec<Node>),
    Map(usize, Members, Option<String>),
}

/// The first document of a YAML file; anchors and aliases are expanded.
fn yaml(text: &str, expected: &'static str) -> Result<Node, Error> {
    let syntax = |message: String| Error::Syntax { expected, message };
    let mut builder = Builder { frames: Vec::new(), anchors: HashMap::new(), expanded: 0, root: None };
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| {
            let mark = error.marker();
            syntax(format!("{} at line {} column {}", error.info(), mark.line(), mark.col() + 1))
        })?;
        builder.on(event).map_err(syntax)?;
        if builder.root.is_some() {
            break;
        }
    }
    builder.root.ok_or_else(|| Error::Nothing("the text is empty".to_owned()))
}

struct Builder {
    frames: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    expanded: usize,
    root: Option<Node>,
}

impl Builder {
    fn on(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node = match style == ScalarStyle::Plain && tag.is_none() {
                    true => plain(&text),
                    false => Node::Text(text.into_owned()),
                };
                self.complete(anchor, node);
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned().ok_or("an alias of nothing")?;
                self.expanded += size(&node);
                if self.expanded > EXPANDED {
                    return Err(format!("aliases expand to more than {EXPANDED} values"));
                }
                if self.frames.len() + node.depth() > DEPTH {
                    return Err(format!("nested deeper than {DEPTH} levels"));
                }
                self.complete(0, node);
            }
            Event::SequenceStart(anchor, _) => self.open(Frame::List(anchor, Vec::new()))?,
            Event::MappingStart(anchor, _) => self.open(Frame::Map(anchor, Members::default(), None))?,
            Event::SequenceEnd | Event::MappingEnd => match self.frames.pop() {
                Some(Frame::List(anchor, nodes)) => self.complete(anchor, Node::List(nodes)),
                Some(Frame::Map(anchor, members, _)) => self.complete(anchor, Node::Map(members.entries)),
                None => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, frame: Frame) -> Result<(), String> {
        if self.frames.len() >= DEPTH {
            return Err(format!("nested deeper than {DEPTH} levels"));
        }
        self.frames.push(frame);
        Ok(())
    }

    fn complete(&mut self, anchor: usize, node: Node) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.frames.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List(_, nodes)) => nodes.push(node),
            Some(Frame::Map(_, members, key)) => match key.take() {
                None => *key = Some(node.scalar().unwrap_or_else(|| node.json())),
                Some(key) => members.put(key, node),
            },
        }
    }
}

fn size(node: &Node) -> usize {
    match node {
        Node::List(nodes) => 1 + nodes.iter().map(size).sum::<usize>(),
        Node::Map(entries) => 1 + entries.iter().map(|(_, node)| size(node)).sum::<usize>(),
        _ => 1,
    }
}

/// A plain scalar by the core schema, as far as descriptions use it.
fn plain(text: &str) -> Node {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Node::Null,
        "true" | "True" | "TRUE" => return Node::Bool(true),
        "false" | "False" | "FALSE" => return Node::Bool(false),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return Node::Number(number.to_string());
    }
    let decimal = text.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let number = text.parse::<f64>().ok().filter(|_| decimal).and_then(serde_json::Number::from_f64);
    number.map_or_else(|| Node::Text(text.to_owned()), |number| Node::Number(number.to_string()))
}
