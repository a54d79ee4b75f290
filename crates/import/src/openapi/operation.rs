//! One operation as a request: path, parameters, body, expected statuses.

use super::document::Document;
use super::schema::{Maker, as_text};
use super::security;
use crate::draft::{Body, Part, Request, literal};
use crate::node::Node;
use crate::notes::Notes;
use crate::payload::{self, literals};
use crate::url::encoded_template;

/// The request of an operation; `None` for a method that a plan does not have.
pub(super) fn request<'a>(
    document: &Document<'a>,
    method: &str,
    path: &str,
    item: &'a Node,
    operation: &'a Node,
    notes: &mut Notes,
) -> Option<Request> {
    let place = format!("{} {path}", method.to_uppercase());
    if method == "trace" {
        notes.add(format!("{place}: a plan has no TRACE, left out"));
        return None;
    }
    let mut request = Request { method: method.to_owned(), name: Some(place.clone()), ..Request::default() };
    let id = operation.text_of("operationId").map(|id| format!("{id}: "));
    if let Some(said) = operation.text_of("summary").or_else(|| operation.text_of("description")) {
        request.comments.push(format!(
            "{}{}",
            id.unwrap_or_default(),
            said.lines().next().unwrap_or_default()
        ));
    }
    if operation.get("deprecated").is_some_and(Node::is_true) {
        request.comments.push("deprecated".to_owned());
    }
    if operation.get("servers").or_else(|| item.get("servers")).is_some() {
        notes.add(format!("{place}: it has servers of its own, and goes to the plan's target"));
    }
    request.path = literal_path(path);
    parameters(document, item, operation, &mut request, notes);
    if let Some(body) = operation.get("requestBody") {
        self::body(document, document.resolved(body, notes), &mut request, &place, notes);
    }
    security::apply(document, operation, &mut request, notes);
    request.status = statuses(operation);
    Some(request)
}

/// A path whose braces are parameters yet to be put in.
fn literal_path(path: &str) -> String {
    let mut path = path.split(['?', '#']).next().unwrap_or_default().to_owned();
    // Of several braces the last one begins a parameter.
    while path.contains("{{") {
        path = path.replace("{{", "%7B{");
    }
    if path.starts_with('/') { path } else { format!("/{path}") }
}

fn parameters<'a>(
    document: &Document<'a>,
    item: &'a Node,
    operation: &'a Node,
    request: &mut Request,
    notes: &mut Notes,
) {
    let mut all: Vec<&'a Node> = Vec::new();
    for node in operation.list_of("parameters").iter().chain(item.list_of("parameters")) {
        let parameter = document.resolved(node, notes);
        let same = |known: &&Node| {
            known.text_of("name") == parameter.text_of("name")
                && known.text_of("in") == parameter.text_of("in")
        };
        // Those of the operation stand before those of the path, and count.
        if !all.iter().any(same) {
            all.push(parameter);
        }
    }
    let mut optional = Vec::new();
    for parameter in all {
        let (Some(name), Some(place)) = (parameter.text_of("name"), parameter.text_of("in")) else {
            continue;
        };
        let required = parameter.get("required").is_some_and(Node::is_true);
        let told = told(document, parameter, notes);
        if place != "path" && !required && told.is_none() {
            optional.push(name);
            continue;
        }
        let value = told.unwrap_or_else(|| generated(document, parameter, name, notes));
        put(request, parameter, name, place, &value);
    }
    if !optional.is_empty() {
        request.comments.push(format!("optional, left out: {}", optional.join(", ")));
    }
    fill(request, notes);
}

fn put(request: &mut Request, parameter: &Node, name: &str, place: &str, value: &Node) {
    match place {
        "path" => request.path = request.path.replace(&format!("{{{name}}}"), &in_path(value)),
        "query" => match value {
            Node::List(nodes) if parameter.get("explode") != Some(&Node::Bool(false)) => {
                request.query.extend(nodes.iter().map(|node| (name.to_owned(), as_text(node))));
            }
            value => request.query.push((name.to_owned(), as_text(value))),
        },
        "header"
            if ["accept", "content-type", "authorization"].contains(&name.to_ascii_lowercase().as_str()) => {}
        "header" => request.headers.push((name.to_owned(), as_text(value))),
        _ => request.headers.push(("cookie".to_owned(), format!("{name}={}", as_text(value)))),
    }
}

/// A value between slashes: an expression is encoded when it is sent, other text here.
fn in_path(value: &Node) -> String {
    let text = as_text(value);
    if text.contains("{{") {
        return text;
    }
    text.bytes()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~,:@$".contains(&byte) => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// Parameters of the path that the document does not describe.
fn fill(request: &mut Request, notes: &mut Notes) {
    let mut rest = request.path.as_str();
    let mut path = String::new();
    while let Some(at) = rest.find('{') {
        path.push_str(&rest[..at]);
        rest = &rest[at..];
        let expression = rest.strip_prefix("{{").and_then(|after| after.find("}}")).map(|end| end + 4);
        match expression.or_else(|| rest.find('}').map(|end| end + 1)) {
            Some(end) if rest.starts_with("{{") => {
                path.push_str(&rest[..end]);
                rest = &rest[end..];
            }
            Some(end) => {
                notes.add(format!("{}: {} of its path is not described", request.shown(), &rest[..end]));
                path.push_str("{{ rand.int(1, 100) }}");
                rest = &rest[end..];
            }
            None => {
                path.push_str("%7B");
                rest = &rest[1..];
            }
        }
    }
    path.push_str(rest);
    request.path = encoded_template(&path);
}

/// The value that the document gives as an example or a default.
fn told<'a>(document: &Document<'a>, parameter: &'a Node, notes: &mut Notes) -> Option<Node> {
    let schema = parameter.get("schema").map(|schema| document.resolved(schema, notes));
    let of_schema = schema.and_then(|schema| {
        schema.get("example").or_else(|| schema.list_of("examples").first()).or_else(|| schema.get("default"))
    });
    example(document, parameter, notes)
        .or(of_schema.filter(|node| **node != Node::Null))
        .map(|node| literals(node.clone()))
}

/// `example`, or the first of `examples`, of a parameter or media type.
fn example<'a>(document: &Document<'a>, node: &'a Node, notes: &mut Notes) -> Option<&'a Node> {
    let first = node.get("examples").map_or(&[][..], Node::entries).first();
    let first = first.and_then(|(_, example)| document.resolved(example, notes).get("value"));
    node.get("example").or(first)
}

fn generated<'a>(document: &Document<'a>, parameter: &'a Node, name: &str, notes: &mut Notes) -> Node {
    let of_content = || {
        parameter
            .get("content")
            .map_or(&[][..], Node::entries)
            .first()
            .and_then(|(_, media)| media.get("schema"))
    };
    let schema = parameter.get("schema").or_else(of_content);
    let value = schema.and_then(|schema| Maker::new(*document, notes).value(schema, name));
    value.unwrap_or_else(|| Node::Text("{{ rand.string(8) }}".to_owned()))
}

/// The body in the media type that says most.
fn body<'a>(document: &Document<'a>, body: &'a Node, request: &mut Request, place: &str, notes: &mut Notes) {
    let content = body.get("content").map_or(&[][..], Node::entries);
    let rank = |media_type: &str| match payload::essence(media_type).as_str() {
        "application/json" => 0,
        essence if essence.ends_with("+json") => 1,
        "application/x-www-form-urlencoded" => 2,
        "multipart/form-data" => 3,
        essence if essence.starts_with("text/") => 4,
        "*/*" | "application/*" => 1,
        _ => 5,
    };
    let Some((media_type, media)) = content.iter().min_by_key(|(media_type, _)| rank(media_type)) else {
        return;
    };
    let given = example(document, media, notes).map(|node| literals(node.clone()));
    let value = given.or_else(|| {
        let schema = media.get("schema")?;
        Maker::new(*document, notes).value(schema, "body")
    });
    let essence = payload::essence(media_type);
    match (rank(media_type), value) {
        (0 | 1, Some(value)) => {
            if essence.ends_with("+json") {
                request.headers.push(("content-type".to_owned(), literal(media_type)));
            }
            request.body = Body::Json(value);
        }
        (2, Some(Node::Map(entries))) => {
            request.body =
                Body::Form(entries.iter().map(|(key, value)| (key.clone(), as_text(value))).collect());
        }
        (3, Some(Node::Map(entries))) => {
            let schema = media.get("schema").map_or(&Node::Null, |schema| document.resolved(schema, notes));
            request.body = Body::Multipart(parts(document, schema, entries, place, notes));
        }
        (4, Some(value)) => {
            request.headers.push(("content-type".to_owned(), literal(media_type)));
            request.body = Body::Text(as_text(&value));
        }
        _ => {
            notes.add(format!("{place}: put a body of type {essence} into the file body.bin"));
            request.headers.push(("content-type".to_owned(), literal(media_type)));
            request.body = Body::File("body.bin".to_owned());
        }
    }
}

/// Parts of a form; binary ones are files.
fn parts<'a>(
    document: &Document<'a>,
    schema: &'a Node,
    entries: Vec<(String, Node)>,
    place: &str,
    notes: &mut Notes,
) -> Vec<(String, Part)> {
    let mut parts = Vec::new();
    for (name, value) in entries {
        let property =
            schema.at(&["properties", &name]).map_or(&Node::Null, |node| document.resolved(node, notes));
        let of_list = property.get("items").map_or(&Node::Null, |node| document.resolved(node, notes));
        let binary = [property, of_list]
            .iter()
            .any(|node| node.text_of("format") == Some("binary") || node.get("contentMediaType").is_some());
        let part = match binary {
            true => {
                notes.add(format!("{place}: put the file {name}.bin beside the plan"));
                Part::File { file: format!("{name}.bin"), media_type: None, filename: None }
            }
            false => Part::Text(as_text(&value)),
        };
        payload::add_part(&mut parts, name, part, place, notes);
    }
    parts
}

/// The statuses of success that the document names.
fn statuses(operation: &Node) -> Vec<String> {
    let keys = operation
        .get("responses")
        .map_or(&[][..], Node::entries)
        .iter()
        .map(|(key, _)| key.to_ascii_lowercase());
    let mut statuses: Vec<String> = keys
        .filter(|key| {
            key.len() == 3
                && key.starts_with('2')
                && (key.ends_with("xx") || key.bytes().all(|byte| byte.is_ascii_digit()))
        })
        .collect();
    statuses.sort();
    statuses
}
