//! Values that a response gave and a later request sent: they become `save` and `{{ }}`.
//!
//! Only whole values count: a segment of a path, a value of a query, form or JSON body, a header or what follows its
//! scheme. A value that the client had sent before it was given is the client's own, and stays.

use std::collections::{HashMap, HashSet};

use super::found::{Found, values};
use super::recording::Recorded;
use crate::draft::{Body, Part, Request};
use crate::node::Node;
use crate::notes::Notes;
use crate::{names, url};

/// Characters of a value that is looked for within texts, too.
const LONG: usize = 16;

/// A value that was given, by which entry, and whether it is saved already.
struct Given {
    entry: usize,
    found: Found,
    variable: Option<String>,
}

/// Replaces, in each entry, what an earlier response gave.
pub(super) fn correlate(recorded: &mut [Recorded], notes: &mut Notes) {
    let mut given: HashMap<String, Given> = HashMap::new();
    let mut own: HashSet<String> = HashSet::new();
    let mut names: HashSet<String> = HashSet::new();
    for index in 0..recorded.len() {
        let mut all = sent(&recorded[index].request);
        all.extend(within_text(&recorded[index].request, &given));
        for value in all {
            if let Some(variable) = variable(&value, &mut given, &mut names, recorded, notes) {
                let saved_at = given[&value].entry;
                let is_path = given[&value].found.is_path;
                replace(&mut recorded[index].request, &value, &variable, is_path);
                let shown = recorded[saved_at].request.shown();
                let comment = format!("{variable}: saved by `{shown}`");
                let request = &mut recorded[index].request;
                if !request.comments.contains(&comment) {
                    request.comments.push(comment);
                }
            } else if !given.contains_key(&value) {
                own.insert(value);
            }
        }
        for (value, found) in values(&recorded[index]) {
            if !own.contains(&value) {
                given.entry(value).or_insert(Given { entry: index, found, variable: None });
            }
        }
    }
}

/// The variable that holds `value`, saved at the first use of it.
fn variable(
    value: &str,
    given: &mut HashMap<String, Given>,
    names: &mut HashSet<String>,
    recorded: &mut [Recorded],
    notes: &mut Notes,
) -> Option<String> {
    let given = given.get_mut(value)?;
    if let Some(variable) = &given.variable {
        return Some(variable.clone());
    }
    let request = &mut recorded[given.entry].request;
    if given.found.ambiguous {
        notes.add(format!(
            "{}: its answer has a value under several names that a later request uses; save it yourself",
            request.shown()
        ));
        return None;
    }
    let variable = names::free(&given.found.name, |name| names.contains(name));
    names.insert(variable.clone());
    request.save.push((variable.clone(), given.found.from.clone(), Some("used by a later step".to_owned())));
    given.variable = Some(variable.clone());
    Some(variable)
}

/// Every whole value of a request, longest first, so that a path counts before its segments.
fn sent(request: &Request) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    let segments: Vec<&str> = request.path.split('/').collect();
    for count in 2..=segments.len() {
        values.push(segments[..count].join("/"));
    }
    values.extend(segments.iter().map(|segment| url::decoded(segment)));
    let mut copy = request.clone();
    copy.each_text(&mut |_, text| {
        values.push(text.clone());
        values.extend(text.split_once(' ').map(|(_, rest)| rest.to_owned()));
    });
    if let Body::Json(node) = &request.body {
        node.each_scalar("$", "", &mut |_, _, scalar| {
            if let Node::Number(number) = scalar {
                values.push(number.clone());
            }
        });
    }
    values.retain(|value| value.len() >= 5 && !value.contains("{{"));
    values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    values.dedup();
    values
}

/// Values that stand within a body of text: long ones, which are there by no chance.
fn within_text(request: &Request, given: &HashMap<String, Given>) -> Vec<String> {
    let Body::Text(body) = &request.body else {
        return Vec::new();
    };
    let mut found: Vec<String> =
        given.keys().filter(|value| value.len() >= LONG && body.contains(value.as_str())).cloned().collect();
    found.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    found
}

fn replace(request: &mut Request, value: &str, variable: &str, is_path: bool) {
    let expression = format!("{{{{ {variable} }}}}");
    if is_path {
        if let Some(rest) =
            request.path.strip_prefix(value).filter(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            // It is a path already: encoding it would hide its slashes.
            request.path = format!("{{{{ {variable} | raw }}}}{rest}");
        }
        return;
    }
    let segment =
        |segment: &str| if url::decoded(segment) == value { expression.clone() } else { segment.to_owned() };
    if !request.path.contains('?') {
        let path = request.path.split('/').map(segment).collect::<Vec<_>>().join("/");
        if path != request.path {
            let named = path.replace("{{ ", "{").replace(" }}", "}");
            request.name = Some(format!("{} {}", request.method.to_uppercase(), names::stable(&named)));
            request.path = path;
        }
    }
    request.each_text(&mut |_, text| {
        if text == value {
            text.clone_from(&expression);
        } else if let Some((scheme, rest)) = text.split_once(' ')
            && rest == value
        {
            *text = format!("{scheme} {expression}");
        }
    });
    match &mut request.body {
        Body::Text(text) if value.len() >= LONG => *text = text.replace(value, &expression),
        Body::Json(node) => numbers(node, value, &expression),
        Body::Multipart(parts) => parts.iter_mut().for_each(|(_, part)| {
            if let Part::Text(text) = part
                && text == value
            {
                text.clone_from(&expression);
            }
        }),
        _ => {}
    }
}

/// A number becomes an expression, which keeps its type.
fn numbers(node: &mut Node, value: &str, expression: &str) {
    match node {
        Node::Number(number) if number == value => *node = Node::Text(expression.to_owned()),
        Node::List(nodes) => nodes.iter_mut().for_each(|node| numbers(node, value, expression)),
        Node::Map(entries) => entries.iter_mut().for_each(|(_, node)| numbers(node, value, expression)),
        _ => {}
    }
}
