//! A plan as it is run, with the origin of each value: what it includes and leaves out is there, expressions that are known
//! before the run are replaced by what they are.
//!
//! Invariant: read as a plan, it is the same plan. Deliberately absent: values of secrets, which are not known here, and
//! sections that the plan leaves out as a whole.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Faults};
use crate::json::quote;
use crate::parse::{self, plan};
use crate::plan::Plan;
use crate::shape::{Form, Shape};
use crate::shapes::{ITEMS, PLAN};
use crate::step::METHODS;
use crate::submit::{self, Given};
use crate::tree::{Entry, Kind, Node, tree};
use crate::workload::Workload;
use crate::{data, json, vocabulary};

/// Columns before a comment.
const COMMENT_AT: usize = 56;

/// A plan as it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// YAML, each value with its origin as a comment.
    pub yaml: String,
    /// JSON: the `plan`, and `origins` by JSON Pointers (RFC 6901).
    pub json: String,
}

/// Shows what [`submit`](crate::submit) makes of a plan.
///
/// # Errors
/// All faults, as there.
pub fn show(file: &str, text: &str, given: &Given<'_>) -> Result<Shown, Vec<Diagnostic>> {
    let mut faults = Faults::new(file, text);
    let shown = tree(text, 0, &mut faults).and_then(|mut root| {
        submit::add(&mut faults, &mut root, given);
        let plan = plan(&mut faults, root.clone(), text)?;
        if !faults.is_empty() {
            return None;
        }
        let mut resolved = root.clone();
        vocabulary::names(&mut faults, &mut resolved);
        let writer = Writer { faults: &faults, given, plan: &plan };
        let value = writer.map(&root, &resolved, &PLAN, &[]);
        let mut yaml = String::new();
        value.write_yaml(&mut yaml, 0);
        Some((yaml, value))
    });
    match shown {
        Some((yaml, value)) if faults.is_empty() => {
            let (mut json, mut origins) = (String::new(), Vec::new());
            value.write_json(
                &mut faults,
                &mut json,
                &Pointer { text: String::new(), depth: 1 },
                &mut origins,
            );
            let origins = origins.join(",\n");
            let json = format!("{{\n  \"plan\": {json},\n  \"origins\": {{\n{origins}\n  }}\n}}\n");
            Ok(Shown { yaml, json })
        }
        _ => Err(faults.into_diagnostics()),
    }
}

/// A value, and where it comes from.
struct Value {
    origin: String,
    kind: What,
}

enum What {
    Scalar(Kind),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    fn default(text: &str) -> Self {
        Self::scalar(text, true, "default".to_owned())
    }

    fn scalar(text: &str, plain: bool, origin: String) -> Self {
        Self { origin, kind: What::Scalar(Kind::Scalar { text: text.to_owned(), plain }) }
    }

    /// Writes what stands behind a key or a dash, to the end of its last line.
    fn write_yaml(&self, out: &mut String, indent: usize) {
        match &self.kind {
            What::Scalar(kind) => {
                out.push_str(&written(kind));
                comment(out, &self.origin);
            }
            What::List(values) if values.is_empty() => out.push_str("[]\n"),
            What::Map(entries) if entries.is_empty() => out.push_str("{}\n"),
            What::List(values) => {
                for (number, value) in values.iter().enumerate() {
                    start(out, indent, number);
                    out.push_str("- ");
                    value.write_yaml(out, indent + 2);
                }
            }
            What::Map(entries) => {
                for (number, (key, value)) in entries.iter().enumerate() {
                    start(out, indent, number);
                    let key = Kind::Scalar { text: key.clone(), plain: true };
                    out.push_str(&format!("{}:", written(&key)));
                    let is_block = match &value.kind {
                        What::Scalar(_) => false,
                        What::List(values) => !values.is_empty(),
                        What::Map(entries) => !entries.is_empty(),
                    };
                    let deeper =
                        if is_block { format!("\n{}", " ".repeat(indent + 2)) } else { " ".to_owned() };
                    out.push_str(&deeper);
                    value.write_yaml(out, indent + 2);
                }
            }
        }
    }

    /// Writes the value, whose members keep their order, and notes the origins of its scalars.
    fn write_json(
        &self,
        faults: &mut Faults<'_>,
        out: &mut String,
        place: &Pointer,
        origins: &mut Vec<String>,
    ) {
        let line = |out: &mut String, number: usize, depth: usize| {
            out.push_str(if number > 0 { ",\n" } else { "\n" });
            out.push_str(&"  ".repeat(depth));
        };
        let end = format!("\n{}", "  ".repeat(place.depth));
        match &self.kind {
            What::Scalar(kind) => {
                origins.push(format!("    {}: {}", quote(&place.text), quote(&self.origin)));
                let place = crate::diagnostic::Place { file: 0, line: 1, column: 1 };
                let text = json::render(faults, &Node { place, kind: kind.clone() });
                out.push_str(text.as_deref().unwrap_or("null"));
            }
            What::List(values) => {
                out.push('[');
                for (number, value) in values.iter().enumerate() {
                    line(out, number, place.depth + 1);
                    value.write_json(faults, out, &place.to(&number.to_string()), origins);
                }
                out.push_str(if values.is_empty() { "" } else { &end });
                out.push(']');
            }
            What::Map(entries) => {
                out.push('{');
                for (number, (key, value)) in entries.iter().enumerate() {
                    line(out, number, place.depth + 1);
                    out.push_str(&format!("{}: ", quote(key)));
                    value.write_json(faults, out, &place.to(key), origins);
                }
                out.push_str(if entries.is_empty() { "" } else { &end });
                out.push('}');
            }
        }
    }
}

/// A JSON Pointer, and how deep it leads in the text.
struct Pointer {
    text: String,
    depth: usize,
}

impl Pointer {
    fn to(&self, key: &str) -> Self {
        let key = key.replace('~', "~0").replace('/', "~1");
        Self { text: format!("{}/{key}", self.text), depth: self.depth + 1 }
    }
}

/// The first entry stands where its parent has begun a line.
fn start(out: &mut String, indent: usize, number: usize) {
    if number > 0 {
        out.push_str(&" ".repeat(indent));
    }
}

fn comment(out: &mut String, origin: &str) {
    let line = out.rsplit('\n').next().unwrap_or("");
    let gap = COMMENT_AT.saturating_sub(line.chars().count()).max(2);
    out.push_str(&format!("{}# {origin}\n", " ".repeat(gap)));
}

/// A scalar as YAML, in quotes where it could be taken for anything else.
fn written(kind: &Kind) -> String {
    let Kind::Scalar { text, plain } = kind else { return "null".to_owned() };
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || "_./+-%~:".contains(c);
    let begins_well = text
        .starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '~' | '+'))
        || text.len() > 1 && text.starts_with('-') && text[1..].starts_with(|c: char| c.is_ascii_digit());
    match text.as_str() {
        "" if *plain => "null".to_owned(),
        _ if *plain && begins_well && text.chars().all(is_harmless) && !text.ends_with(':') => text.clone(),
        _ => quote(text),
    }
}

struct Writer<'w> {
    faults: &'w Faults<'w>,
    given: &'w Given<'w>,
    plan: &'w Plan,
}

impl Writer<'_> {
    fn value(&self, node: &Node, resolved: &Node, form: Option<&'static Form>, path: &[&str]) -> Value {
        match (&node.kind, &resolved.kind) {
            (Kind::List(nodes), Kind::List(resolved)) => {
                let values = nodes.iter().zip(resolved).enumerate().map(|(number, (node, resolved))| {
                    let number = number.to_string();
                    let path: Vec<&str> = path.iter().copied().chain([number.as_str()]).collect();
                    match form.and_then(|form| shape_in_list(form, node)) {
                        Some(shape) => self.map(node, resolved, shape, &path),
                        None => self.value(node, resolved, None, &path),
                    }
                });
                Value { origin: String::new(), kind: What::List(values.collect()) }
            }
            (Kind::Map(entries), Kind::Map(others)) => match form.and_then(|form| shape_of(form, node)) {
                Some(shape) => self.map(node, resolved, shape, path),
                None => {
                    let inner = match form {
                        Some(Form::Map(form)) => Some(*form),
                        _ => None,
                    };
                    let kind = What::Map(self.entries(entries, others, |_| inner, path));
                    Value { origin: String::new(), kind }
                }
            },
            (_, Kind::Scalar { text, plain }) => Value::scalar(text, *plain, self.origin(node, text, path)),
            _ => Value::default("null"),
        }
    }

    fn entries(
        &self,
        entries: &[Entry],
        resolved: &[Entry],
        form: impl Fn(&str) -> Option<&'static Form>,
        path: &[&str],
    ) -> Vec<(String, Value)> {
        let entries = entries.iter().zip(resolved).map(|(entry, resolved)| {
            let path: Vec<&str> = path.iter().copied().chain([entry.key.as_str()]).collect();
            let value = self.value(&entry.value, &resolved.value, form(&entry.key), &path);
            (entry.key.clone(), value)
        });
        entries.collect()
    }

    /// A map of a known shape, with what it leaves out.
    fn map(&self, node: &Node, resolved: &Node, shape: &'static Shape, path: &[&str]) -> Value {
        let (Kind::Map(entries), Kind::Map(others)) = (&node.kind, &resolved.kind) else {
            return self.value(node, resolved, None, path);
        };
        let form = |name: &str| shape.keys.iter().find(|key| key.name == name).map(|key| &key.form);
        let mut values = self.entries(entries, others, form, path);
        let mut defaults: Vec<(&str, Value)> = self.implied(node, resolved, shape, path);
        let is_weighed = shape.id != "scenario" || node.entry("load").is_none();
        let known = shape.keys.iter().filter(|key| is_weighed || key.name != "weight");
        let known = known.filter_map(|key| Some((key.name, Value::default(key.default?))));
        defaults.extend(known);
        for (name, value) in defaults {
            if !values.iter().any(|(known, _)| known == name) {
                values.push((name.to_owned(), value));
            }
        }
        Value { origin: String::new(), kind: What::Map(values) }
    }

    /// What stands for keys that are left out and depends on others.
    fn implied(
        &self,
        node: &Node,
        resolved: &Node,
        shape: &Shape,
        path: &[&str],
    ) -> Vec<(&'static str, Value)> {
        let word = |known: Option<&str>| Value::default(known.unwrap_or("null"));
        match (shape.id, path) {
            ("plan", _) => {
                let loss = parse::LOSSES.iter().find(|(_, loss)| *loss == self.plan.on_driver_loss);
                vec![("on_driver_loss", word(loss.map(|(word, _)| *word)))]
            }
            ("open" | "closed" | "tsunami" | "avalanche", _) => {
                let Some(workload) = self.workload(path) else { return Vec::new() };
                let connections = workload.connections();
                let entries = [("start", connections.start), ("max", connections.max)];
                let entries =
                    entries.map(|(key, count)| (key.to_owned(), Value::default(&count.to_string())));
                vec![("connections", Value { origin: String::new(), kind: What::Map(entries.into()) })]
            }
            ("connections", _) => {
                let Some(workload) = self.workload(path) else { return Vec::new() };
                let connections = workload.connections();
                let start = (node.entry("per").is_none() || connections.start > 0)
                    .then(|| ("start", Value::default(&connections.start.to_string())));
                start.into_iter().chain([("max", Value::default(&connections.max.to_string()))]).collect()
            }
            ("rate_stage" | "user_stage", [.., number]) => {
                let name = number
                    .parse()
                    .ok()
                    .and_then(|number: usize| self.workload(path)?.load.stage_name(number));
                let name = name.unwrap_or_default();
                vec![("name", Value::scalar(&name, false, "default".to_owned()))]
            }
            ("data", [.., name]) => {
                let source = self.plan.data.iter().find(|source| source.name == *name);
                let is_random = source.is_some_and(|source| source.pick == data::Pick::Random);
                let end = source
                    .and_then(|source| data::ENDS.iter().find(|(_, end)| *end == source.when_exhausted));
                let end =
                    end.filter(|_| !is_random).map(|(word, _)| ("when_exhausted", Value::default(word)));
                end.into_iter().collect()
            }
            ("request", _) => {
                let method = METHODS.iter().find_map(|method| resolved.entry(method));
                let name = method.map(|entry| {
                    let path = entry.value.text();
                    let path = path.split_once('?').map_or(path, |(path, _)| path);
                    let name = format!("{} {path}", entry.key.to_uppercase());
                    ("name", Value::scalar(&name, false, "default".to_owned()))
                });
                let status = vec![("status".to_owned(), Value::default("200..399"))];
                let expect = Value { origin: String::new(), kind: What::Map(status) };
                name.into_iter().chain([("expect", expect)]).collect()
            }
            ("expect", _) => vec![("status", Value::default("200..399"))],
            _ => Vec::new(),
        }
    }

    /// The workload whose load is described at `path`.
    fn workload(&self, path: &[&str]) -> Option<&Workload> {
        let name = match path {
            ["scenarios", name, ..] => Some(*name),
            _ => None,
        };
        let mut workloads = self.plan.workloads.iter().map(Arc::as_ref);
        workloads.find(|workload| workload.name.as_deref() == name)
    }

    fn origin(&self, node: &Node, resolved: &str, path: &[&str]) -> String {
        let is_set = |name: &str| self.given.variables.iter().any(|(set, _)| set == name);
        match path {
            ["target"] if self.given.target.is_some() => return "--target".to_owned(),
            ["variables", name, ..] if is_set(name) => return "--var".to_owned(),
            ["env", name] if (self.given.env)(name).as_deref() == Some(resolved) => {
                return "environment".to_owned();
            }
            _ => {}
        }
        let place = match node.place.file {
            0 => format!("line {}", node.place.line),
            file => format!("{}:{}", self.faults.name(file), node.place.line),
        };
        match &node.kind {
            Kind::Scalar { text, .. } if text != resolved => format!("{place}, {}", one_line(text)),
            _ => place,
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The shape that a form has for a map.
fn shape_of(form: &'static Form, node: &Node) -> Option<&'static Shape> {
    match form {
        Form::Of(shape) => fits(shape, node).then_some(*shape),
        Form::Any(forms) => forms.iter().find_map(|form| shape_of(form, node)),
        Form::OneOrMore(form) => shape_of(form, node),
        _ => None,
    }
}

fn shape_in_list(form: &'static Form, node: &Node) -> Option<&'static Shape> {
    match form {
        Form::Steps => ITEMS.into_iter().find(|shape| fits(shape, node)),
        Form::List(form) | Form::OneOrMore(form) => shape_of(form, node),
        _ => None,
    }
}

/// Whether a map has the keys of a shape, and of several models the one that it names.
fn fits(shape: &Shape, node: &Node) -> bool {
    let Kind::Map(entries) = &node.kind else { return false };
    let known = entries.iter().all(|entry| shape.names().any(|name| name == entry.key));
    let complete = shape.keys.iter().filter(|key| key.is_required).all(|key| node.entry(key.name).is_some());
    let has_method = shape.id != "request" || METHODS.iter().any(|method| node.entry(method).is_some());
    let is_model = node.entry("model").is_none_or(|entry| entry.value.text() == shape.id);
    known && complete && has_method && is_model
}
