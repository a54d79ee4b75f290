//! What the expressions of a plan may name: variables, the environment, data; and the parts of a plan in which these stand
//! for the text that they are.

use crate::answer::check_identifier;
use crate::diagnostic::{Faults, Wrong};
use crate::expression::{Encoding, Expression, Names, SourceUse, Template};
use crate::json;
use crate::read::{self, Fields};
use crate::tree::{Entry, Kind, Node};

/// Keys whose expressions are evaluated in each iteration, or are part of what names mean.
const LATER: [&str; 9] =
    ["scenarios", "fragments", "setup", "teardown", "data", "variables", "env", "auth", "include"];

/// The names of a plan. Where a value must be known before the run, such as in `load`, expressions are replaced by it.
pub(crate) fn names(faults: &mut Faults<'_>, root: &mut Node) -> Names {
    let mut names = Names::default();
    let Kind::Map(entries) = &mut root.kind else { return names };
    for entry in entries.iter() {
        if let ("env", Kind::Map(values)) = (entry.key.as_str(), &entry.value.kind) {
            let value = |entry: &Entry| (entry.key.clone(), entry.value.text().to_owned());
            names.env = values.iter().map(value).collect();
        }
    }
    for entry in entries.iter() {
        if let ("data", Kind::Map(sources)) = (entry.key.as_str(), &entry.value.kind) {
            names.sources = sources.iter().map(source).collect();
        }
    }
    if let Some(entry) = entries.iter().find(|entry| entry.key == "variables") {
        variables(faults, &mut names, &entry.value);
    }
    for entry in entries.iter_mut() {
        if !LATER.contains(&entry.key.as_str()) {
            put_in(faults, &mut names, &mut entry.value);
        }
        if let ("scenarios" | "fragments", Kind::Map(parts)) = (entry.key.as_str(), &mut entry.value.kind) {
            parts.iter_mut().for_each(|part| put_in_settings(faults, &mut names, &mut part.value));
        }
        if let "setup" | "teardown" = entry.key.as_str() {
            put_in_settings(faults, &mut names, &mut entry.value);
        }
        if let ("data", Kind::Map(sources)) = (entry.key.as_str(), &mut entry.value.kind) {
            for source in sources {
                let Kind::Map(entries) = &mut source.value.kind else { continue };
                for entry in entries.iter_mut().filter(|entry| entry.key != "columns") {
                    put_in(faults, &mut names, &mut entry.value);
                }
            }
        }
    }
    names
}

fn source(entry: &Entry) -> SourceUse {
    let known = entry.value.entry("columns").and_then(|columns| match &columns.value.kind {
        Kind::Map(entries) => Some(entries.iter().map(|entry| entry.key.clone()).collect()),
        _ => None,
    });
    SourceUse { name: entry.key.clone(), known, columns: Vec::new() }
}

fn variables(faults: &mut Faults<'_>, names: &mut Names, node: &Node) {
    let Some(entries) = read::map(faults, node, "variables") else { return };
    for entry in entries {
        if let Err(wrong) = check_identifier(&entry.key, names) {
            faults.add(entry.place, &entry.key, wrong);
            continue;
        }
        // One that is faulty keeps its name, so that nothing more is said where it is used.
        let variable = variable(faults, names, entry).unwrap_or_else(|| Expression::whole(0));
        names.variables.insert(entry.key.clone(), variable);
    }
}

fn variable(faults: &mut Faults<'_>, names: &mut Names, entry: &Entry) -> Option<Expression> {
    let value = json::template(faults, names, &entry.value)?;
    if let Some(expression) = Expression::of_json(value) {
        return Some(expression);
    }
    if !matches!(entry.value.kind, Kind::Scalar { .. }) {
        let wrong = Wrong::new("bad_expression", "a list or map of a variable has no expressions in it");
        faults.add(entry.place, &entry.key, wrong);
        return None;
    }
    // Text with expressions in it, which is in the quotes of JSON above.
    let text = read::template(faults, names, &entry.value, "the variable", Encoding::Plain)?;
    Some(Expression::of_text(text))
}

/// Keys of scenarios, steps and loops whose values must be known before the run.
const SETTINGS: [&str; 6] = ["weight", "pause", "timeout", "max_body", "at_most", "follow_redirects"];

/// Replaces expressions in the settings of scenarios and their steps.
fn put_in_settings(faults: &mut Faults<'_>, names: &mut Names, node: &mut Node) {
    match &mut node.kind {
        Kind::List(nodes) => nodes.iter_mut().for_each(|node| put_in_settings(faults, names, node)),
        Kind::Map(entries) => {
            for entry in entries {
                match (entry.key.as_str(), &mut entry.value.kind) {
                    (key, _) if SETTINGS.contains(&key) => put_in(faults, names, &mut entry.value),
                    ("steps", _) => put_in_settings(faults, names, &mut entry.value),
                    ("expect", Kind::Map(demands)) => {
                        let settings = demands
                            .iter_mut()
                            .filter(|demand| matches!(demand.key.as_str(), "under" | "size"));
                        settings.for_each(|demand| put_in(faults, names, &mut demand.value));
                    }
                    _ => {}
                }
            }
        }
        Kind::Scalar { .. } | Kind::Faulty => {}
    }
}

/// Replaces expressions by what they are.
fn put_in(faults: &mut Faults<'_>, names: &mut Names, node: &mut Node) {
    let place = node.place;
    match &mut node.kind {
        Kind::List(nodes) => nodes.iter_mut().for_each(|node| put_in(faults, names, node)),
        Kind::Map(entries) => entries.iter_mut().for_each(|entry| put_in(faults, names, &mut entry.value)),
        Kind::Scalar { text, plain } if text.contains("{{") => {
            let is_one = Template::is_one_expression(text);
            let made = Template::parse(text, Encoding::Plain, names).map(|made| {
                let text = made.as_text().map(str::to_owned);
                text.ok_or_else(|| {
                    let wrong = Wrong::new("expression_not_here", "this must be known before the run");
                    wrong.help("only variables and env.NAME can stand here")
                })
            });
            match made {
                Ok(Ok(made)) => {
                    *plain |= is_one;
                    *text = made;
                }
                Ok(Err(wrong)) => {
                    faults.add(place, text, wrong);
                    node.kind = Kind::Faulty;
                }
                Err((part, wrong)) => {
                    faults.add_within(place, part, wrong);
                    node.kind = Kind::Faulty;
                }
            }
        }
        Kind::Scalar { .. } | Kind::Faulty => {}
    }
}

/// The plan's fragments, whose steps are looked at where they are used.
pub(crate) fn fragments<'n>(faults: &mut Faults<'_>, fields: &Fields<'n>) -> &'n [Entry] {
    let Some(node) = fields.get(faults, "fragments") else { return &[] };
    let entries = read::map(faults, node, "fragments").unwrap_or_default();
    for entry in entries {
        if read::list(faults, &entry.value, "a fragment").is_some_and(<[Node]>::is_empty) {
            faults.add(entry.place, &entry.key, Wrong::new("missing", "there are no steps in it"));
        }
    }
    entries
}
