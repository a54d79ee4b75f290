//! `{{name}}` of Postman as `{{ name }}` of a plan, and the variables behind the names.

use crate::draft::{Request, literal};
use crate::names;
use crate::node::Node;
use crate::notes::Notes;

/// Host of a URL whose variables have no value.
pub(super) const UNKNOWN_HOST: &str = "variable.invalid";

/// Variables of a collection, and which of them are used.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// Name in the collection, name in the plan, value.
    known: Vec<(String, String, Node)>,
    /// Names that are used without being of the collection: of an environment, or set by scripts.
    others: Vec<(String, String)>,
    saved: Vec<String>,
}

impl Variables {
    pub(super) fn of(root: &Node) -> Self {
        let mut variables = Self::default();
        for node in root.list_of("variable") {
            let Some(key) = node.text_of("key").or_else(|| node.text_of("id")) else { continue };
            if node.get("disabled").is_some_and(Node::is_true) {
                continue;
            }
            let value = match node.get("value") {
                Some(Node::List(_) | Node::Map(_)) | None | Some(Node::Null) => Node::Text(String::new()),
                Some(value) => value.clone(),
            };
            let name = names::free(&names::variable(key), |name| {
                variables.known.iter().any(|(_, known, _)| known == name)
            });
            variables.known.push((key.to_owned(), name, value));
        }
        variables
    }

    /// Remembers what a request saves: it is no variable of the plan.
    pub(super) fn saved(&mut self, request: &Request) {
        self.saved.extend(request.save.iter().map(|(name, ..)| name.clone()));
    }

    /// `text` with the values of the collection in place of their names, as far as it has them.
    pub(super) fn resolved(&self, text: &str) -> String {
        let mut text = text.to_owned();
        // A value may name another variable; Postman follows as well.
        for _ in 0..4 {
            let next = replaced(&text, &mut |name| {
                let value = self
                    .known
                    .iter()
                    .find(|(known, ..)| known == name)
                    .and_then(|(.., value)| value.scalar());
                value
                    .filter(|value| !value.is_empty() && value.len() < 4096)
                    .unwrap_or_else(|| format!("{{{{{name}}}}}"))
            });
            if next == text || next.len() > 1 << 16 {
                break;
            }
            text = next;
        }
        text
    }

    /// `text` as a template of a plan.
    pub(super) fn template(&mut self, text: &str, notes: &mut Notes) -> String {
        replaced(text, &mut |name| {
            let Some(dynamic) = name.strip_prefix('$') else {
                return format!("{{{{ {} }}}}", self.name(name));
            };
            dynamic_value(dynamic).unwrap_or_else(|| {
                notes.add(format!("{{{{${dynamic}}}}}: stands as a random text"));
                "{{ rand.string(8) }}".to_owned()
            })
        })
    }

    fn name(&mut self, name: &str) -> String {
        let known = self
            .known
            .iter()
            .map(|(key, name, _)| (key, name))
            .chain(self.others.iter().map(|(key, name)| (key, name)));
        if let Some((_, ours)) = known.into_iter().find(|(key, _)| *key == name) {
            return ours.clone();
        }
        let ours = names::variable(name);
        self.others.push((name.to_owned(), ours.clone()));
        ours
    }

    /// The variables of the plan: those that a request uses, and one without a value for each that nothing sets.
    pub(super) fn used<'a>(
        self,
        requests: impl Iterator<Item = &'a Request>,
        notes: &mut Notes,
    ) -> Vec<(String, Node, Option<String>)> {
        let mut all = String::new();
        for request in requests {
            request.clone().each_template(&mut |text| all.push_str(text));
        }
        let is_used = |name: &String| all.contains(&format!("{{{{ {name} }}}}"));
        let mut variables = Vec::new();
        for (_, name, mut value) in self.known {
            if is_used(&name) && !self.saved.contains(&name) {
                value.each_text(&mut |text| *text = literal(text));
                value.each_key(&mut |key| *key = literal(key));
                variables.push((name, value, None));
            }
        }
        for (key, name) in self.others {
            if is_used(&name)
                && !self.saved.contains(&name)
                && !variables.iter().any(|(known, ..)| *known == name)
            {
                if !crate::secrets::is_secret(&name) {
                    notes.add(format!("variable {key}: not of the collection; give it with --var {name}=…"));
                }
                variables.push((
                    name,
                    Node::Text(String::new()),
                    Some("of an environment, or set by a script".to_owned()),
                ));
            }
        }
        variables
    }
}

/// `text` with what `replace` gives for each `{{name}}`.
pub(super) fn replaced(text: &str, replace: &mut dyn FnMut(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        let after = &rest[at + 2..];
        let name = after.find("}}").map(|end| &after[..end]).filter(|name| is_name(name));
        match name {
            Some(name) => {
                out.push_str(&rest[..at]);
                out.push_str(&replace(name.trim()));
                rest = &after[name.len() + 2..];
            }
            None => {
                out.push_str(&rest[..at]);
                out.push_str(&literal("{{"));
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn is_name(name: &str) -> bool {
    let name = name.trim();
    !name.is_empty()
        && name.len() <= 200
        && !name.contains(['{', '}', '"', '\''])
        && !name.contains(char::is_control)
}

/// Dynamic variables that have a counterpart.
fn dynamic_value(name: &str) -> Option<String> {
    let expression = match name {
        "guid" | "randomUUID" => "uuid",
        "timestamp" => "now.s",
        "isoTimestamp" => "now.iso",
        "randomInt" => "rand.int(0, 1000)",
        "randomBoolean" => "rand.choice(true, false)",
        "randomAlphaNumeric" => "rand.string(1)",
        "randomHexadecimal" => "rand.hex(2)",
        "randomEmail" | "randomExampleEmail" => return Some("{{ rand.string(8) }}@example.com".to_owned()),
        _ => return None,
    };
    Some(format!("{{{{ {expression} }}}}"))
}
