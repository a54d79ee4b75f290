//! A plan where it is submitted: files that it includes, variables that are set anew, the environment, another target.
//!
//! All of that goes into the plan's source, which then depends on nothing but secrets and data files.

use std::collections::BTreeSet;

use crate::diagnostic::{Diagnostic, Faults, Wrong};
use crate::expression::{self, Template};
use crate::file;
use crate::json;
use crate::limits;
use crate::parse::plan;
use crate::plan::Plan;
use crate::read::{self, Fields};
use crate::shapes;
use crate::tree::{Entry, Kind, Node, tree};
use crate::vocabulary::as_written;

/// What whoever submits a plan adds to it.
#[derive(Clone, Copy)]
pub struct Given<'g> {
    /// Where the load goes, instead of the plan's own targets.
    pub target: Option<&'g str>,
    /// Values of variables, by name.
    pub variables: &'g [(String, String)],
    /// The environment.
    pub env: &'g dyn Fn(&str) -> Option<String>,
    /// The text of a file beside the plan, or why there is none.
    pub include: &'g dyn Fn(&str) -> Result<String, String>,
}

/// Files that a plan includes at most; more is a circle that no name shows.
const INCLUDES: usize = 100;

/// As [`parse`](crate::parse), with what is given. The source of the result is the text itself when nothing was added,
/// and JSON otherwise.
///
/// # Errors
/// All faults of the plan and its included files, and those of what is given.
pub fn submit(file: &str, text: &str, given: &Given<'_>) -> Result<Plan, Vec<Diagnostic>> {
    let mut faults = Faults::new(file, text);
    let plan = tree(text, 0, &mut faults).and_then(|mut root| {
        let is_changed = add(&mut faults, &mut root, given);
        if !is_changed {
            return plan(&mut faults, root, text);
        }
        let source = json::render(&mut faults, &root)?;
        if source.len() > limits::PLAN_BYTES {
            let message = format!(
                "the plan and what it includes have {} bytes, more than {}",
                source.len(),
                limits::PLAN_BYTES
            );
            return read::fault(&mut faults, &root, Wrong::new("too_large", message));
        }
        plan(&mut faults, root, &source)
    });
    match plan {
        Some(plan) if faults.is_empty() => Ok(plan),
        _ => Err(faults.into_diagnostics()),
    }
}

/// Puts into the plan what is given; whether it is another one then.
pub(crate) fn add(faults: &mut Faults<'_>, root: &mut Node, given: &Given<'_>) -> bool {
    let mut is_changed = include(faults, root, given);
    is_changed |= set_variables(faults, root, given);
    if let Some(target) = given.target {
        set(root, "target", Kind::Scalar { text: target.to_owned(), plain: false });
        is_changed = true;
    }
    is_changed | take_env(root, given)
}

/// The entry of `key`, made if need be.
fn entry<'n>(root: &'n mut Node, key: &str) -> Option<&'n mut Entry> {
    let place = root.place;
    let Kind::Map(entries) = &mut root.kind else { return None };
    let at = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
        let value = Node { place, kind: Kind::Map(Vec::new()) };
        entries.push(Entry { place, key: key.to_owned(), value });
        entries.len() - 1
    });
    entries.get_mut(at)
}

fn set(root: &mut Node, key: &str, kind: Kind) {
    if let Some(entry) = entry(root, key) {
        entry.value.kind = kind;
    }
}

/// Puts what included files have into the plan.
fn include(faults: &mut Faults<'_>, root: &mut Node, given: &Given<'_>) -> bool {
    let Kind::Map(entries) = &mut root.kind else { return false };
    let Some(at) = entries.iter().position(|entry| entry.key == "include") else { return false };
    let list = entries.remove(at).value;
    let mut pending: Vec<(Node, Vec<String>)> = vec![(list, Vec::new())];
    let mut seen: Vec<String> = Vec::new();
    while let Some((list, within)) = pending.pop() {
        let Some(nodes) = read::list(faults, &list, "include") else { continue };
        for node in nodes {
            let Some(path) = file::path(faults, node, "the included file") else { continue };
            let path = path.as_str();
            if within.iter().any(|outer| outer == path) {
                let circle = format!("{} → {path}", within.join(" → "));
                let wrong = Wrong::new("circle", format!("the files include one another: {circle}"));
                read::fault::<()>(faults, node, wrong);
                continue;
            }
            // Two files may include the same third one.
            if seen.iter().any(|known| known == path) {
                continue;
            }
            seen.push(path.to_owned());
            if seen.len() > INCLUDES {
                let message = format!("more than {INCLUDES} files are included");
                read::fault::<()>(faults, node, Wrong::new("absurd", message));
                return true;
            }
            if let Some(included) = one(faults, node, path, given) {
                let within = within.iter().cloned().chain([path.to_owned()]).collect();
                pending.extend(merge(faults, root, included).map(|list| (list, within)));
            }
        }
    }
    true
}

/// The tree of an included file.
fn one(faults: &mut Faults<'_>, node: &Node, path: &str, given: &Given<'_>) -> Option<Node> {
    let text = match (given.include)(path) {
        Ok(text) => text,
        Err(why) => {
            let wrong = Wrong::new("bad_file", format!("cannot read {path}: {why}"));
            return read::fault(faults, node, wrong.help("paths are from the plan's folder"));
        }
    };
    let file = faults.file(path.to_owned(), text);
    let text = faults.source(file);
    let included = tree(&text, file, faults)?;
    Fields::of(faults, &included, &shapes::INCLUDED, &[])?;
    Some(included)
}

/// Moves the entries of an included file into the plan; what that file includes itself.
fn merge(faults: &mut Faults<'_>, root: &mut Node, included: Node) -> Option<Node> {
    let Kind::Map(entries) = included.kind else { return None };
    let mut more = None;
    for part in entries {
        if part.key == "include" {
            more = Some(part.value);
            continue;
        }
        let Kind::Map(additions) = part.value.kind else {
            read::map(faults, &part.value, "this part of an included file");
            continue;
        };
        let Some(Entry { value: Node { kind: Kind::Map(present), .. }, .. }) = entry(root, &part.key) else {
            continue;
        };
        for addition in additions {
            if present.iter().any(|known| known.key == addition.key) {
                let message = format!("\"{}\" is in {} of another file, too", addition.key, part.key);
                faults.add(addition.place, &addition.key, Wrong::new("duplicate_key", message));
            } else {
                present.push(addition);
            }
        }
    }
    more
}

/// Sets variables that the plan has.
fn set_variables(faults: &mut Faults<'_>, root: &mut Node, given: &Given<'_>) -> bool {
    for (name, value) in given.variables {
        let place = root.place;
        let Kind::Map(entries) = &mut root.kind else { return false };
        let variables = entries.iter_mut().find(|entry| entry.key == "variables");
        let known = match variables.map(|entry| &mut entry.value.kind) {
            Some(Kind::Map(known)) => known.as_mut_slice(),
            _ => &mut [],
        };
        match known.iter_mut().find(|entry| entry.key == *name) {
            Some(entry) => entry.value.kind = as_written(value),
            None => {
                let known: Vec<&str> = known.iter().map(|entry| entry.key.as_str()).collect();
                let wrong = Wrong::new("unknown_variable", format!("the plan has no variable \"{name}\""));
                let wrong = match known.is_empty() {
                    true => wrong.help(format!("add it: variables: {{ {name}: … }}")),
                    false => wrong.suggest(name, &known, &[]),
                };
                faults.add(place, name, wrong);
            }
        }
    }
    !given.variables.is_empty()
}

/// Notes what the plan uses of the environment, as far as it is there.
fn take_env(root: &mut Node, given: &Given<'_>) -> bool {
    let mut wanted = BTreeSet::new();
    env_names(root, &mut wanted);
    let values: Vec<(String, String)> =
        wanted.into_iter().filter_map(|name| (given.env)(&name).map(|value| (name, value))).collect();
    let place = root.place;
    let is_changed = !values.is_empty();
    if is_changed && let Some(Entry { value: Node { kind: Kind::Map(known), .. }, .. }) = entry(root, "env") {
        for (name, value) in values {
            let value = Node { place, kind: Kind::Scalar { text: value, plain: false } };
            known.retain(|entry| entry.key != name);
            known.push(Entry { place, key: name, value });
        }
    }
    is_changed
}

/// Keys whose values are expressions without braces, too.
const BARE: [&str; 4] = ["when", "while", "for_each", "repeat"];

/// What expressions name of the environment.
fn env_names(node: &Node, names: &mut BTreeSet<String>) {
    match &node.kind {
        Kind::List(nodes) => nodes.iter().for_each(|node| env_names(node, names)),
        Kind::Map(entries) => {
            for entry in entries {
                names.extend(Template::inner_texts(&entry.key).flat_map(expression::env_names));
                match &entry.value.kind {
                    Kind::Scalar { text, .. }
                        if BARE.contains(&entry.key.as_str()) && !text.contains("{{") =>
                    {
                        names.extend(expression::env_names(text));
                    }
                    _ => env_names(&entry.value, names),
                }
            }
        }
        Kind::Scalar { text, .. } => {
            names.extend(Template::inner_texts(text).flat_map(expression::env_names));
        }
        Kind::Faulty => {}
    }
}
