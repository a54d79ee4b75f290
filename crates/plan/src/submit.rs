//! A plan where it is submitted: files that it includes, variables that are set anew, the environment, another target.
//!
//! All of that goes into the plan's source, which then depends on nothing but secrets and data files.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Diagnostic, Faults, Place, Wrong};
use crate::expression::{self, Template};
use crate::file;
use crate::json;
use crate::limits;
use crate::parse::plan;
use crate::plan::Plan;
use crate::read::{self, Fields};
use crate::shapes;
use crate::tree::{Entry, Kind, Node, tree};

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

/// Puts what included files have into the plan, before what the plan itself has: variables may be made of those before
/// them.
fn include(faults: &mut Faults<'_>, root: &mut Node, given: &Given<'_>) -> bool {
    let Kind::Map(entries) = &mut root.kind else { return false };
    let Some(at) = entries.iter().position(|entry| entry.key == "include") else { return false };
    let list = entries.remove(at).value;
    let mut included = Included { given, files: Vec::new(), seen: Vec::new(), within: Vec::new() };
    included.list(faults, &list);
    merge(faults, root, included.files);
    true
}

/// What included files have.
struct Included<'g> {
    given: &'g Given<'g>,
    /// Each behind those that it includes itself.
    files: Vec<Vec<Entry>>,
    /// Two files may include the same third one.
    seen: Vec<String>,
    /// The files that lead to the present one.
    within: Vec<String>,
}

impl Included<'_> {
    fn list(&mut self, faults: &mut Faults<'_>, list: &Node) {
        for node in read::list(faults, list, "include").unwrap_or_default() {
            let Some(path) = file::path(faults, node, "the included file") else { continue };
            if self.within.contains(&path) {
                let circle = format!("{} → {path}", self.within.join(" → "));
                let wrong = Wrong::new("circle", format!("the files include one another: {circle}"));
                read::fault::<()>(faults, node, wrong);
            } else if self.seen.len() >= INCLUDES && !self.seen.contains(&path) {
                let message = format!("more than {INCLUDES} files are included");
                read::fault::<()>(faults, node, Wrong::new("absurd", message));
                return;
            } else if !self.seen.contains(&path) {
                self.seen.push(path.clone());
                self.file(faults, node, path);
            }
        }
    }

    fn file(&mut self, faults: &mut Faults<'_>, node: &Node, path: String) {
        let Some(Node { kind: Kind::Map(mut entries), .. }) = one(faults, node, &path, self.given) else {
            return;
        };
        if let Some(at) = entries.iter().position(|entry| entry.key == "include") {
            let list = entries.remove(at).value;
            self.within.push(path);
            self.list(faults, &list);
            self.within.pop();
        }
        self.files.push(entries);
    }
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

/// Moves the entries of included files into the plan.
fn merge(faults: &mut Faults<'_>, root: &mut Node, files: Vec<Vec<Entry>>) {
    // How many entries of each part came from files.
    let mut moved: BTreeMap<String, usize> = BTreeMap::new();
    for part in files.into_iter().flatten() {
        let Kind::Map(additions) = part.value.kind else {
            read::map(faults, &part.value, "this part of an included file");
            continue;
        };
        let Some(Entry { value: Node { kind: Kind::Map(present), .. }, .. }) = entry(root, &part.key) else {
            continue;
        };
        let at = moved.entry(part.key.clone()).or_default();
        for addition in additions {
            if present.iter().any(|known| known.key == addition.key) {
                let message = format!("\"{}\" is in {} of another file, too", addition.key, part.key);
                faults.add(addition.place, &addition.key, Wrong::new("duplicate_key", message));
            } else {
                present.insert(*at, addition);
                *at += 1;
            }
        }
    }
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
            Some(entry) => {
                if let Some(value) = as_written(faults, entry.place, name, value) {
                    entry.value = value;
                }
            }
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

/// The value that `--var` gives, as it would stand in the file: a number, a boolean, null, text in quotes, a list or a map.
/// Anything else is text as it is, with whatever YAML would make of its colons, dashes and number signs.
fn as_written(faults: &mut Faults<'_>, place: Place, name: &str, text: &str) -> Option<Node> {
    let is_yaml = text.starts_with(['[', '{', '"', '\'']) && !text.starts_with("{{");
    if !is_yaml {
        // Nothing is empty text: whoever wants null writes it.
        return Some(Node { place, kind: Kind::Scalar { text: text.to_owned(), plain: !text.is_empty() } });
    }
    let file = faults.file(format!("--var {name}"), text.to_owned());
    tree(text, file, faults)
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
