//! Commented YAML: a tree of what stands where, and its text.
//!
//! Invariant: what is written is read back as the same values, by `plan::parse` and by any reader of YAML 1.2: text that
//! could be taken for anything else stands in quotes. Deliberately absent: anchors, tags, folding.

use crate::node::Node;

/// Columns of a line up to which small maps and lists stand on one.
const LINE: usize = 100;

/// What stands behind a key or a dash.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Yaml {
    /// Written as it is: a number, a word, a quantity with its unit.
    Plain(String),
    /// Quoted where YAML needs it.
    Text(String),
    List(Vec<Item>),
    Map(Vec<Entry>),
    /// A map on one line.
    Flow(Vec<Entry>),
    /// A list on one line.
    FlowList(Vec<Yaml>),
}

/// One value of a list, and the comments above it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub comments: Vec<String>,
    pub value: Yaml,
}

/// A key with its value, the comments above it and the one behind it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub comments: Vec<String>,
    pub key: String,
    pub value: Yaml,
    pub remark: Option<String>,
}

/// A word, number or quantity.
pub(crate) fn plain(text: impl ToString) -> Yaml {
    Yaml::Plain(text.to_string())
}

/// Text.
pub(crate) fn text(text: impl Into<String>) -> Yaml {
    Yaml::Text(text.into())
}

/// A key and its value, without comments.
pub(crate) fn entry(key: impl Into<String>, value: Yaml) -> Entry {
    Entry { comments: Vec::new(), key: key.into(), value, remark: None }
}

impl Entry {
    pub(crate) fn remark(mut self, remark: impl Into<String>) -> Self {
        self.remark = Some(remark.into());
        self
    }
}

impl From<Yaml> for Item {
    fn from(value: Yaml) -> Self {
        Self { comments: Vec::new(), value }
    }
}

impl From<&Node> for Yaml {
    fn from(node: &Node) -> Self {
        let block = match node {
            Node::Text(text) => return Yaml::Text(text.clone()),
            Node::List(nodes) => Yaml::List(nodes.iter().map(|node| Yaml::from(node).into()).collect()),
            Node::Map(entries) => {
                Yaml::Map(entries.iter().map(|(key, node)| entry(key, Yaml::from(node))).collect())
            }
            scalar => return Yaml::Plain(scalar.json()),
        };
        block.compact()
    }
}

impl Yaml {
    /// On one line where that is short and nothing in it is nested or has comments.
    pub(crate) fn compact(self) -> Self {
        let flow = match &self {
            Yaml::List(items)
                if items.iter().all(|item| item.value.is_scalar() && item.comments.is_empty()) =>
            {
                Yaml::FlowList(items.iter().map(|item| item.value.clone()).collect())
            }
            Yaml::Map(entries)
                if entries.iter().all(|entry| {
                    entry.value.is_scalar() && entry.comments.is_empty() && entry.remark.is_none()
                }) =>
            {
                Yaml::Flow(entries.clone())
            }
            _ => return self,
        };
        if inline(&flow).chars().count() <= LINE * 2 / 3 { flow } else { self }
    }

    fn is_scalar(&self) -> bool {
        matches!(self, Yaml::Plain(_) | Yaml::Text(_))
    }
}

/// The lines of a map that is a file.
pub(crate) fn file(entries: &[Entry]) -> String {
    let mut out = String::new();
    map(&mut out, entries, 0, "");
    out
}

fn map(out: &mut String, entries: &[Entry], indent: usize, first: &str) {
    let mut lead = if first.is_empty() { " ".repeat(indent) } else { first.to_owned() };
    for entry in entries {
        comments(out, &entry.comments, indent);
        out.push_str(&lead);
        out.push_str(&scalar(&entry.key, true));
        out.push(':');
        let remark = entry.remark.as_ref().map_or(String::new(), |remark| format!(" # {}", one_line(remark)));
        value(out, &entry.value, indent, &remark);
        lead = " ".repeat(indent);
    }
}

/// What follows a key: on its line, or on the lines below.
fn value(out: &mut String, value: &Yaml, indent: usize, remark: &str) {
    match value {
        Yaml::Map(entries) if !entries.is_empty() => {
            out.push_str(remark);
            out.push('\n');
            map(out, entries, indent + 2, "");
        }
        Yaml::List(items) if !items.is_empty() => {
            out.push_str(remark);
            out.push('\n');
            list(out, items, indent + 2);
        }
        Yaml::Text(text) if is_block(text) => block(out, text, indent + 2, remark),
        other => {
            out.push(' ');
            out.push_str(&inline_top(other));
            out.push_str(remark);
            out.push('\n');
        }
    }
}

fn list(out: &mut String, items: &[Item], indent: usize) {
    for item in items {
        comments(out, &item.comments, indent);
        let dash = format!("{}- ", " ".repeat(indent));
        match &item.value {
            Yaml::Map(entries) if !entries.is_empty() => map(out, entries, indent + 2, &dash),
            Yaml::List(inner) if !inner.is_empty() => {
                out.push_str(dash.trim_end());
                out.push('\n');
                list(out, inner, indent + 2);
            }
            other => {
                out.push_str(&dash);
                out.push_str(&inline_top(other));
                out.push('\n');
            }
        }
    }
}

fn comments(out: &mut String, comments: &[String], indent: usize) {
    for comment in comments {
        out.push_str(&format!("{}# {}\n", " ".repeat(indent), one_line(comment)));
    }
}

/// Text of a comment: one line, and nothing in it that a terminal would obey.
pub(crate) fn one_line(text: &str) -> String {
    let shown = text.chars().map(|c| if c.is_control() || is_break(c) { ' ' } else { c });
    shown.take(400).collect()
}

fn inline_top(value: &Yaml) -> String {
    match value {
        Yaml::Text(text) => scalar(text, false),
        other => inline(other),
    }
}

fn inline(value: &Yaml) -> String {
    let members = |entries: &[Entry]| {
        let member = |entry: &Entry| format!("{}: {}", scalar(&entry.key, true), inline(&entry.value));
        entries.iter().map(member).collect::<Vec<_>>().join(", ")
    };
    match value {
        Yaml::Plain(text) => text.clone(),
        Yaml::Text(text) => scalar(text, true),
        Yaml::Map(entries) | Yaml::Flow(entries) if entries.is_empty() => "{}".to_owned(),
        Yaml::Map(entries) | Yaml::Flow(entries) => format!("{{ {} }}", members(entries)),
        Yaml::List(items) => {
            format!("[{}]", items.iter().map(|item| inline(&item.value)).collect::<Vec<_>>().join(", "))
        }
        Yaml::FlowList(values) => format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", ")),
    }
}

/// Whether text of several lines can stand as it is below its key.
fn is_block(text: &str) -> bool {
    let fit = |line: &str| line.trim_end() == line && !line.contains(|c: char| c.is_control() || is_break(c));
    text.contains('\n')
        && !text.starts_with([' ', '\n'])
        && !text.ends_with("\n\n")
        && text.len() > 1
        && text.split('\n').all(fit)
}

fn block(out: &mut String, text: &str, indent: usize, remark: &str) {
    let (style, body) = text.strip_suffix('\n').map_or(("|-", text), |body| ("|", body));
    out.push_str(&format!(" {style}{remark}\n"));
    for line in body.split('\n') {
        let line = if line.is_empty() { String::new() } else { format!("{}{line}", " ".repeat(indent)) };
        out.push_str(&line);
        out.push('\n');
    }
}

/// Characters that YAML 1.1 or 1.2 takes for the end of a line, or refuses to read.
fn is_break(c: char) -> bool {
    matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// A scalar on one line. `flow`: it stands between brackets, or is a key.
fn scalar(text: &str, flow: bool) -> String {
    if is_plain(text, flow) {
        return text.to_owned();
    }
    let quiet = !text.contains(|c: char| c.is_control() || is_break(c));
    if quiet && text.contains(['"', '\\']) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || is_break(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether text without quotes is read as that text: careful rather than exact.
fn is_plain(text: &str, flow: bool) -> bool {
    let word = |c: char| c.is_alphanumeric() || "_/.-+@%~".contains(c);
    let inside = |c: char| word(c) || c == ' ' || (!flow && ",;=&?:()<>$'*".contains(c));
    let keyword = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    text.starts_with(|c: char| c.is_alphabetic() || c == '/' || c == '_')
        && text.chars().all(inside)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !keyword.contains(&text.to_ascii_lowercase().as_str())
}
