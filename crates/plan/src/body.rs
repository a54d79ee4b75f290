//! What a request carries.

use crate::diagnostic::{Faults, Wrong};
use crate::expression::{Encoding, Known, Names, Template};
use crate::file::{self, FileUse};
use crate::json;
use crate::limits;
use crate::read::{self, Fields};
use crate::shapes;
use crate::step::{check_header_value, pairs};
use crate::tree::{Kind, Node};

/// The body of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Text, JSON or a form, as it is sent; empty where there is none.
    Text(Template),
    /// The bytes of a file, by its path in the plan.
    File(String),
    /// `multipart/form-data` (RFC 7578).
    Multipart(Multipart),
}

/// A body of several parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Multipart {
    /// What stands between the parts.
    pub boundary: String,
    /// In the order of the file.
    pub parts: Vec<Part>,
}

/// A part of a body.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Its header lines, the empty one included.
    pub head: Template,
    /// What is in it.
    pub content: Content,
}

/// What is in a part.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Text.
    Text(Template),
    /// The bytes of a file, by its path in the plan.
    File(String),
}

impl Default for Body {
    fn default() -> Self {
        Self::Text(Template::default())
    }
}

impl Body {
    /// With what is known in its places.
    pub(crate) fn settle(&mut self, known: Known<'_>) {
        match self {
            Self::Text(text) => *text = text.settle(known),
            Self::File(_) => {}
            Self::Multipart(multipart) => {
                for part in &mut multipart.parts {
                    part.head = part.head.settle(known);
                    if let Content::Text(text) = &mut part.content {
                        *text = text.settle(known);
                    }
                }
            }
        }
    }

    /// Whether there is certainly nothing in it.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.as_text() == Some(""))
    }

    /// The files that it needs.
    pub fn files(&self) -> Vec<&str> {
        match self {
            Self::Text(_) => Vec::new(),
            Self::File(path) => vec![path],
            Self::Multipart(multipart) => {
                let files = multipart.parts.iter().filter_map(|part| match &part.content {
                    Content::File(path) => Some(path.as_str()),
                    Content::Text(_) => None,
                });
                files.collect()
            }
        }
    }
}

/// The content type that a kind of body implies.
type Typed = (Body, Option<String>);

/// The body, and the content type that its kind implies.
pub(crate) fn body(faults: &mut Faults<'_>, names: &mut Names, fields: &Fields<'_>) -> Option<Typed> {
    let kinds = ["body", "json", "form", "multipart", "file"];
    let mut present = kinds.into_iter().filter(|kind| fields.has(kind));
    let Some(kind) = present.next() else {
        return Some((Body::default(), None));
    };
    if let Some(entry) = present.next().and_then(|kind| fields.entry(kind)) {
        let wrong =
            Wrong::new("several_bodies", "a request has one body: body, json, form, multipart or file");
        faults.add(entry.place, &entry.key, wrong);
        return None;
    }
    if kind == "json" {
        // Here alone null is a value.
        let entry = fields.entry(kind)?;
        let json = json::template(faults, names, &entry.value)?;
        return Some((Body::Text(json), Some("application/json".to_owned())));
    }
    let node = fields.required(faults, kind)?;
    match kind {
        "body" => {
            let text = read::template(faults, names, node, "the body", Encoding::Plain)?;
            Some((Body::Text(text), None))
        }
        "form" => {
            let mut form = Template::default();
            for (number, pair) in pairs(faults, names, node, "the form")?.into_iter().enumerate() {
                form.push_text(if number > 0 { "&" } else { "" });
                form.push(pair);
            }
            Some((Body::Text(form), Some("application/x-www-form-urlencoded".to_owned())))
        }
        "multipart" => {
            let multipart = multipart(faults, names, node)?;
            let content_type = format!("multipart/form-data; boundary={}", multipart.boundary);
            Some((Body::Multipart(multipart), Some(content_type)))
        }
        _ => Some((Body::File(file(faults, names, node)?), Some("application/octet-stream".to_owned()))),
    }
}

/// A path to a file of the plan.
fn file(faults: &mut Faults<'_>, names: &mut Names, node: &Node) -> Option<String> {
    let path = file::path(faults, node, "the file")?;
    names.files.push(FileUse::new(path.clone(), node.place));
    Some(path)
}

/// Long and odd enough to be in no content that a plan holds; a file that has it would be cut there.
const BOUNDARY: &str = "groundswell-7d6f1c3b9a5e4f20";

fn multipart(faults: &mut Faults<'_>, names: &mut Names, node: &Node) -> Option<Multipart> {
    let entries = read::map(faults, node, "the multipart body")?;
    if entries.is_empty() {
        return read::fault(faults, node, Wrong::new("missing", "a multipart body has at least one part"));
    }
    let mut parts = Vec::new();
    let mut is_complete = true;
    for entry in entries {
        let name = read::key(faults, names, entry).and_then(|name| {
            let checked = check_header_value(&name);
            checked.map_err(|wrong| faults.add(entry.place, &entry.key, wrong)).ok().map(|()| name)
        });
        is_complete &= name.is_some();
        let name = name.unwrap_or_default();
        let nodes = match &entry.value.kind {
            Kind::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        for node in nodes {
            match part(faults, names, &name, node) {
                Some(part) => parts.push(part),
                None => is_complete = false,
            }
        }
    }
    if parts.len() > limits::PARTS {
        let message = format!("a body has at most {} parts", limits::PARTS);
        return read::fault(faults, node, Wrong::new("absurd", message));
    }
    is_complete.then(|| Multipart { boundary: BOUNDARY.to_owned(), parts })
}

fn part(faults: &mut Faults<'_>, names: &mut Names, name: &str, node: &Node) -> Option<Part> {
    let mut head = Template::from(format!("Content-Disposition: form-data; name=\"{}\"", quoted(name)));
    if !matches!(node.kind, Kind::Map(_)) {
        let text = read::template(faults, names, node, "a part", Encoding::Plain)?;
        head.push_text("\r\n\r\n");
        return Some(Part { head, content: Content::Text(text) });
    }
    let fields = Fields::of(faults, node, &shapes::PART, &[])?;
    let content = match (fields.has("file"), fields.has("text")) {
        (true, false) => {
            fields.required(faults, "file").and_then(|node| file(faults, names, node)).map(Content::File)
        }
        (false, true) => {
            let node = fields.required(faults, "text")?;
            read::template(faults, names, node, "the text", Encoding::Plain).map(Content::Text)
        }
        _ => read::fault(faults, node, Wrong::new("missing", "a part has a file or a text")),
    }?;
    let given = |faults: &mut Faults<'_>, key: &str| match fields.get(faults, key) {
        Some(node) => {
            let text = read::text(faults, node, key)?;
            read::checked(faults, node, check_header_value(text).map(|()| Some(text.to_owned())))
        }
        None => Some(None),
    };
    let (file_name, content_type) = (given(faults, "filename"), given(faults, "type"));
    let (file_name, content_type) = (file_name?, content_type?);
    let own_name = match &content {
        Content::File(path) => path.rsplit('/').next().map(str::to_owned),
        Content::Text(_) => None,
    };
    if let Some(file_name) = file_name.or(own_name) {
        head.push_text(&format!("; filename=\"{}\"", quoted(&file_name)));
    }
    let implied = matches!(content, Content::File(_)).then(|| "application/octet-stream".to_owned());
    if let Some(content_type) = content_type.or(implied) {
        head.push_text(&format!("\r\nContent-Type: {content_type}"));
    }
    head.push_text("\r\n\r\n");
    Some(Part { head, content })
}

/// As browsers write names (RFC 7578, 5.1; the URL standard's multipart encoding).
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
