//! Text to a tree in which every value knows its place. No types yet: that is [`crate::read`].
//!
//! Faults that do not depend on what a value means are found here: syntax, duplicate keys, anchors, tags.
//! A value with such a fault becomes [`Kind::Faulty`], so that nothing is said of it twice.
//!
//! Invariant: memory and time are linear in the text; nesting is bounded by [`limits::DEPTH`]. Deliberately absent:
//! aliases, which are refused and never expanded.

use std::collections::BTreeSet;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::diagnostic::{Faults, Place, Wrong};
use crate::limits;
use crate::surrogates::joined;

/// A value and where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub place: Place,
    pub kind: Kind,
}

/// What a value is, as written.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Scalar {
        text: String,
        /// Written without quotes: it may be a number, a boolean or null.
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Reported already.
    Faulty,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub place: Place,
    pub key: String,
    pub value: Node,
}

impl Node {
    /// The text that a diagnostic shows.
    pub(crate) fn text(&self) -> &str {
        match &self.kind {
            Kind::Scalar { text, .. } => text,
            Kind::List(_) => "[…]",
            Kind::Map(_) => "{…}",
            Kind::Faulty => "",
        }
    }

    /// The entry of `key`, if this is a map that has one.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The entries of a map; none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Whether nothing is written, or null (YAML 1.2 core schema).
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// The tree of `text`, the plan's file of that number, or `None` after a fault behind which nothing can be read.
pub(crate) fn tree(text: &str, file: usize, faults: &mut Faults<'_>) -> Option<Node> {
    let start = Place { file, line: 1, column: 1 };
    if text.len() > limits::PLAN_BYTES {
        let message = format!("the plan has more than {} KiB", limits::PLAN_BYTES / 1024);
        faults.add(start, "", Wrong::new("too_large", message).help("make several plans of it"));
        return None;
    }
    let mut builder = Builder { faults, file, frames: Vec::new(), root: None, text };
    for event in Parser::new_from_str(&joined(text)) {
        match event {
            Ok((event, span)) => builder.on(event, span.start)?,
            Err(error) => {
                builder.syntax(error.marker(), error.info());
                return None;
            }
        }
    }
    let root = builder.root;
    if root.as_ref().is_none_or(Node::is_null) {
        faults.add(start, "", Wrong::new("empty", "there is no plan in it"));
        return None;
    }
    root
}

/// A map or list whose end has not come.
struct Frame {
    place: Place,
    holds: Holds,
}

enum Holds {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        keys: BTreeSet<String>,
        /// The key that waits for its value; `None` inside for one that is no scalar.
        key: Option<(Place, Option<String>)>,
        /// An entry of it has a fault that takes the whole map with it.
        faulty: bool,
    },
}

struct Builder<'a, 'b> {
    faults: &'a mut Faults<'b>,
    file: usize,
    frames: Vec<Frame>,
    root: Option<Node>,
    text: &'a str,
}

impl Builder<'_, '_> {
    /// `None` where it makes no sense to go on.
    fn on(&mut self, event: Event<'_>, mark: Marker) -> Option<()> {
        let place = self.place(&mark);
        match event {
            Event::Alias(_) => {
                let wrong = Wrong::new("alias", "aliases are not part of a plan").help("write the value out");
                self.faults.add_here(place, wrong);
                self.complete(Node { place, kind: Kind::Faulty });
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.no_decoration(place, anchor, tag.is_some());
                let plain = style == ScalarStyle::Plain;
                self.complete(Node { place, kind: Kind::Scalar { text: text.into_owned(), plain } });
            }
            Event::SequenceStart(anchor, tag) => {
                self.no_decoration(place, anchor, tag.is_some());
                self.open(place, Holds::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.no_decoration(place, anchor, tag.is_some());
                let (entries, keys) = (Vec::new(), BTreeSet::new());
                self.open(place, Holds::Map { entries, keys, key: None, faulty: false })?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(frame) = self.frames.pop() {
                    let kind = match frame.holds {
                        Holds::List(nodes) => Kind::List(nodes),
                        Holds::Map { faulty: true, .. } => Kind::Faulty,
                        Holds::Map { entries, .. } => Kind::Map(entries),
                    };
                    self.complete(Node { place: frame.place, kind });
                }
            }
            Event::DocumentStart(_) if self.root.is_some() => {
                let wrong =
                    Wrong::new("several_documents", "a file holds one plan").help("make several files of it");
                self.faults.add_here(place, wrong);
                return None;
            }
            Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::StreamStart
            | Event::StreamEnd
            | Event::Nothing => {}
        }
        Some(())
    }

    fn open(&mut self, place: Place, holds: Holds) -> Option<()> {
        if self.frames.len() >= limits::DEPTH {
            let message = format!("nested deeper than {} levels", limits::DEPTH);
            self.faults.add_here(place, Wrong::new("too_deep", message));
            return None;
        }
        self.frames.push(Frame { place, holds });
        Some(())
    }

    fn no_decoration(&mut self, place: Place, anchor: usize, tagged: bool) {
        if anchor != 0 {
            let wrong = Wrong::new("anchor", "anchors are not part of a plan")
                .help("write the value out where it is used");
            self.faults.add_here(place, wrong);
        }
        if tagged {
            let wrong = Wrong::new("tag", "tags are not part of a plan").help("quote what is meant as text");
            self.faults.add_here(place, wrong);
        }
    }

    /// Hands a finished value to what it stands in.
    fn complete(&mut self, node: Node) {
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut frame.holds {
            Holds::List(nodes) => nodes.push(node),
            Holds::Map { key: key @ None, faulty, .. } => match node.kind {
                Kind::Scalar { text, .. } => *key = Some((node.place, Some(text))),
                Kind::Faulty => {
                    *key = Some((node.place, None));
                    *faulty = true;
                }
                kind if is_expression(&kind) => {
                    *key = Some((node.place, None));
                    *faulty = true;
                    let wrong = Wrong::new("unquoted_expression", "{{ }} without quotes is a map to YAML");
                    self.faults.add_here(frame.place, wrong.help("quote it: \"{{ … }}\""));
                }
                _ => {
                    *key = Some((node.place, None));
                    self.faults.add_here(node.place, Wrong::new("key_not_text", "a key is text"));
                }
            },
            Holds::Map { entries, keys, key, .. } => {
                if let Some((place, Some(key))) = key.take() {
                    if keys.insert(key.clone()) {
                        entries.push(Entry { place, key, value: node });
                    } else {
                        let message = format!("the key \"{key}\" is there twice");
                        self.faults.add(place, &key, Wrong::new("duplicate_key", message));
                    }
                }
            }
        }
    }

    fn place(&self, mark: &Marker) -> Place {
        Place { file: self.file, line: mark.line(), column: mark.col() + 1 }
    }

    fn syntax(&mut self, mark: &Marker, info: &str) {
        let place = self.place(mark);
        let mut wrong = Wrong::new("syntax", format!("not YAML: {info}"));
        let line = self.text.lines().nth(place.line.saturating_sub(1)).unwrap_or("");
        if line.contains("{{") {
            wrong = wrong.help("a value with {{ }} must be quoted");
        } else if line.contains("$.") && line.contains('[') {
            wrong = wrong.help("between { and } a JSONPath with brackets must be quoted: \"$.items[0].id\"");
        } else if info.split_whitespace().any(|word| word.starts_with("tab")) {
            wrong = wrong.help("YAML is indented with spaces, not with tabs");
        }
        self.faults.add(place, line.trim(), wrong);
    }
}

/// Whether a map that stands as a key is what YAML makes of `{{ x }}`: keys without values.
fn is_expression(kind: &Kind) -> bool {
    matches!(kind, Kind::Map(entries) if entries.iter().all(|entry| entry.value.is_null()))
}
