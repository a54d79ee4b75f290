//! A value of a file: what JSON, JSON5 and YAML have in common, in the order of the file.
//!
//! Invariant: nested at most [`crate::read::DEPTH`] deep, no key twice in a map; the number of a file keeps its digits
//! as far as JSON does.

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    /// As JSON writes it.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The value of `key`, if this is a map that has one.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The value at the end of a path of keys.
    pub(crate) fn at(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The text of `key`.
    pub(crate) fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Node::text)
    }

    /// The values of the list `key`; none when there is no such list.
    pub(crate) fn list_of(&self, key: &str) -> &[Node] {
        self.get(key).map_or(&[], Node::list)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Node::Text(text) = self { Some(text) } else { None }
    }

    /// Text, or how a number or a boolean is written.
    pub(crate) fn scalar(&self) -> Option<String> {
        match self {
            Node::Text(text) | Node::Number(text) => Some(text.clone()),
            Node::Bool(value) => Some(value.to_string()),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        if let Node::Number(text) = self { text.parse().ok() } else { None }
    }

    /// A whole number from zero on.
    pub(crate) fn count(&self) -> Option<u64> {
        if let Node::Number(text) = self { text.parse().ok() } else { None }
    }

    pub(crate) fn is_true(&self) -> bool {
        *self == Node::Bool(true)
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self, Node::Map(_))
    }

    pub(crate) fn list(&self) -> &[Node] {
        if let Node::List(nodes) = self { nodes } else { &[] }
    }

    pub(crate) fn entries(&self) -> &[(String, Node)] {
        if let Node::Map(entries) = self { entries } else { &[] }
    }

    /// Levels of nesting: a scalar has none.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Node::List(nodes) => 1 + nodes.iter().map(Node::depth).max().unwrap_or(0),
            Node::Map(entries) => 1 + entries.iter().map(|(_, node)| node.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// Shows every text in it to `see`, which may change it.
    pub(crate) fn each_text(&mut self, see: &mut dyn FnMut(&mut String)) {
        match self {
            Node::Text(text) => see(text),
            Node::List(nodes) => nodes.iter_mut().for_each(|node| node.each_text(see)),
            Node::Map(entries) => entries.iter_mut().for_each(|(_, node)| node.each_text(see)),
            _ => {}
        }
    }

    /// Shows every scalar in it to `see`, with its JSONPath and its key.
    pub(crate) fn each_scalar<'a>(
        &'a self,
        path: &str,
        key: &'a str,
        see: &mut dyn FnMut(&str, &'a str, &'a Node),
    ) {
        match self {
            Node::List(nodes) => {
                for (index, node) in nodes.iter().enumerate() {
                    node.each_scalar(&format!("{path}[{index}]"), key, see);
                }
            }
            Node::Map(entries) => {
                for (key, node) in entries {
                    node.each_scalar(&format!("{path}{}", member(key)), key, see);
                }
            }
            scalar => see(path, key, scalar),
        }
    }

    /// Shows every key to `see`.
    pub(crate) fn each_key(&mut self, see: &mut dyn FnMut(&mut String)) {
        match self {
            Node::List(nodes) => nodes.iter_mut().for_each(|node| node.each_key(see)),
            Node::Map(entries) => entries.iter_mut().for_each(|(key, node)| {
                see(key);
                node.each_key(see);
            }),
            _ => {}
        }
    }

    /// As JSON text on one line.
    pub(crate) fn json(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        match self {
            Node::Null => "null".to_owned(),
            Node::Bool(value) => value.to_string(),
            Node::Number(text) => text.clone(),
            Node::Text(text) => quoted(text),
            Node::List(nodes) => {
                format!("[{}]", nodes.iter().map(Node::json).collect::<Vec<_>>().join(","))
            }
            Node::Map(entries) => {
                let member = |(key, node): &(String, Node)| format!("{}:{}", quoted(key), node.json());
                format!("{{{}}}", entries.iter().map(member).collect::<Vec<_>>().join(","))
            }
        }
    }
}

/// A member of a JSONPath (RFC 9535).
fn member(key: &str) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { format!(".{key}") } else { format!("['{}']", key.replace('\\', "\\\\").replace('\'', "\\'")) }
}
