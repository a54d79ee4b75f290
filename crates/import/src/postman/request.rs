//! A request of a collection: URL, headers and body, each with its variables.

use super::auth;
use super::template::{UNKNOWN_HOST, Variables, replaced};
use crate::curl::{known_method, of_url};
use crate::draft::{Body, Part, Request, short_name};
use crate::node::Node;
use crate::notes::Notes;
use crate::url::{Url, encoded_template};
use crate::{payload, read};

/// Where a request goes, and the request; `None` (and a note) for what is not HTTP.
pub(super) fn request(
    node: &Node,
    name: &str,
    auth: Option<&Node>,
    variables: &mut Variables,
    notes: &mut Notes,
) -> Option<(Url, Request)> {
    let url = node.get("url").unwrap_or(node);
    let raw = raw_url(url);
    let Some((target, path)) = split(&raw, variables) else {
        notes.add(format!("left out: \"{name}\", its URL is not HTTP"));
        return None;
    };
    let mut request = Request {
        method: known_method(node.text_of("method").unwrap_or("GET"), notes)?,
        name: Some(short_name(name)),
        ..Request::default()
    };
    let (path, query) =
        path.split_once('?').map_or((path.as_str(), None), |(path, query)| (path, Some(query)));
    request.path = encoded_template(&variables.template(&with_path_variables(path, url), notes));
    self::query(url, query, &mut request, variables, notes);
    for header in pairs(node.get("header")) {
        request.headers.push((header.0, variables.template(&header.1, notes)));
    }
    crate::headers::without_browser(&mut request.headers, false, notes);
    if let Some(body) = node.get("body").filter(|body| !body.get("disabled").is_some_and(Node::is_true)) {
        request.body = self::body(body, &mut request.headers, name, variables, notes);
    }
    if let Some(node) = node.get("auth").or(auth) {
        request.auth = auth::of(node, &mut request, variables, notes);
    }
    request.auth = request.auth.take().or_else(|| of_url(&target));
    request.follow_redirects =
        node.at(&["protocolProfileBehavior", "followRedirects"]) != Some(&Node::Bool(false));
    Some((target, request))
}

/// The URL as it was typed; put together where only its parts are there.
fn raw_url(url: &Node) -> String {
    if let Some(raw) = url.text().or_else(|| url.text_of("raw")) {
        return raw.to_owned();
    }
    let joined = |key: &str, with: &str| match url.get(key) {
        Some(Node::List(parts)) => parts
            .iter()
            .filter_map(|part| part.scalar().or_else(|| part.text_of("value").map(str::to_owned)))
            .collect::<Vec<_>>()
            .join(with),
        Some(other) => other.scalar().unwrap_or_default(),
        None => String::new(),
    };
    let port = url.get("port").and_then(Node::scalar).map_or(String::new(), |port| format!(":{port}"));
    let protocol = url
        .text_of("protocol")
        .map_or(String::new(), |protocol| format!("{}://", protocol.trim_end_matches("://")));
    format!("{protocol}{}{port}/{}", joined("host", "."), joined("path", "/").trim_start_matches('/'))
}

/// The origin with all values in, and path and query as they stand behind it, with their variables.
fn split(raw: &str, variables: &Variables) -> Option<(Url, String)> {
    let raw = raw.trim().split('#').next().unwrap_or_default();
    let scheme = raw.find("://").map_or(0, |at| at + 3);
    let end = raw[scheme..].find(['/', '?']).map_or(raw.len(), |at| scheme + at);
    let (front, rest) = raw.split_at(end);
    let resolved = variables.resolved(front);
    if resolved.contains("{{") {
        let url = Url::parse(&format!("http://{UNKNOWN_HOST}"))?;
        return Some((url, slash(rest)));
    }
    let url = Url::parse(&resolved)?;
    let base = url.path.trim_end_matches('/').to_owned();
    Some((url, format!("{base}{}", slash(rest))))
}

fn slash(rest: &str) -> String {
    if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") }
}

/// `:id` of a path by the values that the URL has for it.
fn with_path_variables(path: &str, url: &Node) -> String {
    let value = |segment: &str| {
        let name = segment.strip_prefix(':').filter(|name| !name.is_empty())?;
        let found = url
            .list_of("variable")
            .iter()
            .find(|node| node.text_of("key") == Some(name) || node.text_of("id") == Some(name));
        let value =
            found.and_then(|node| node.get("value")).and_then(Node::scalar).filter(|value| !value.is_empty());
        Some(value.unwrap_or_else(|| format!("{{{{{name}}}}}")))
    };
    path.split('/')
        .map(|segment| value(segment).unwrap_or_else(|| segment.to_owned()))
        .collect::<Vec<_>>()
        .join("/")
}

fn query(url: &Node, raw: Option<&str>, request: &mut Request, variables: &mut Variables, notes: &mut Notes) {
    let listed = pairs(url.get("query"));
    let given = if listed.is_empty() {
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (crate::url::decoded(key), crate::url::decoded(value))
        };
        raw.unwrap_or_default().split('&').filter(|text| !text.is_empty()).map(pair).collect()
    } else {
        listed
    };
    for (key, value) in given.into_iter().filter(|(key, _)| !key.is_empty()) {
        request.query.push((plain_key(&key, notes), variables.template(&value, notes)));
    }
}

/// A key in which no variable can stand.
pub(super) fn plain_key(key: &str, notes: &mut Notes) -> String {
    let key = replaced(key, &mut |name| {
        notes.add(format!("a variable ({name}) in the name of a field: not translated"));
        name.to_owned()
    });
    // Keys become templates where the plan is written.
    key.replace(&crate::draft::literal("{{"), "{{")
}

/// Headers or fields: a list of `{key, value, disabled}`, or text of lines.
fn pairs(node: Option<&Node>) -> Vec<(String, String)> {
    match node {
        Some(Node::List(nodes)) => {
            let enabled = nodes.iter().filter(|node| !node.get("disabled").is_some_and(Node::is_true));
            let pair = |node: &Node| {
                Some((
                    node.text_of("key")?.to_owned(),
                    node.get("value").and_then(Node::scalar).unwrap_or_default(),
                ))
            };
            enabled.filter_map(pair).collect()
        }
        Some(Node::Text(text)) => {
            let pair = |line: &str| {
                line.split_once(':').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
            };
            text.lines().filter_map(pair).collect()
        }
        _ => Vec::new(),
    }
}

fn body(
    body: &Node,
    headers: &mut Vec<(String, String)>,
    name: &str,
    variables: &mut Variables,
    notes: &mut Notes,
) -> Body {
    match body.text_of("mode").unwrap_or_default() {
        "raw" => raw(body, headers, variables, notes),
        "urlencoded" => {
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
            let mut field =
                |(key, value): (String, String)| (plain_key(&key, notes), variables.template(&value, notes));
            Body::Form(pairs(body.get("urlencoded")).into_iter().map(&mut field).collect())
        }
        "formdata" => {
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
            Body::Multipart(parts(body.list_of("formdata"), name, variables, notes))
        }
        "file" => {
            let file = body
                .at(&["file", "src"])
                .or_else(|| body.get("file"))
                .and_then(Node::text)
                .unwrap_or("body.bin");
            notes.add(format!("\"{name}\": put the file {file} beside the plan"));
            Body::File(file.to_owned())
        }
        "graphql" => graphql(body.get("graphql").unwrap_or(&Node::Null), variables, notes),
        "" => Body::None,
        other => {
            notes.add(format!("\"{name}\": a body of mode {other} is not translated"));
            Body::None
        }
    }
}

fn raw(
    body: &Node,
    headers: &mut Vec<(String, String)>,
    variables: &mut Variables,
    notes: &mut Notes,
) -> Body {
    let text = body.text_of("raw").unwrap_or_default();
    if text.is_empty() {
        return Body::None;
    }
    let language = body.at(&["options", "raw", "language"]).and_then(Node::text).unwrap_or_default();
    let given = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .map(|(_, value)| value.clone());
    let is_json = given.as_deref().is_some_and(payload::is_json) || given.is_none() && language == "json";
    if is_json && let Ok(mut node) = read::json(text, "JSON") {
        node.each_text(&mut |text| *text = variables.template(text, notes));
        node.each_key(&mut |key| *key = plain_key(key, notes));
        headers.retain(|(name, value)| {
            !name.eq_ignore_ascii_case("content-type") || payload::essence(value) != "application/json"
        });
        return Body::Json(node);
    }
    if given.is_none() {
        let media_type = match language {
            "json" => "application/json",
            "xml" => "application/xml",
            "html" => "text/html",
            "javascript" => "application/javascript",
            _ => "text/plain",
        };
        headers.push(("content-type".to_owned(), crate::draft::literal(media_type)));
    }
    Body::Text(variables.template(text, notes))
}

fn parts(nodes: &[Node], name: &str, variables: &mut Variables, notes: &mut Notes) -> Vec<(String, Part)> {
    let mut parts = Vec::new();
    for node in nodes.iter().filter(|node| !node.get("disabled").is_some_and(Node::is_true)) {
        let Some(key) = node.text_of("key") else { continue };
        let media_type = node.text_of("contentType").filter(|text| !text.is_empty()).map(str::to_owned);
        let part = if node.text_of("type") == Some("file") {
            let src = node.get("src");
            let file = src
                .and_then(Node::text)
                .or_else(|| src.and_then(|list| list.list().first()).and_then(Node::text))
                .unwrap_or("body.bin");
            let file = file.rsplit(['/', '\\']).next().unwrap_or(file).to_owned();
            notes.add(format!("\"{name}\": put the file {file} beside the plan"));
            Part::File { file, media_type, filename: None }
        } else {
            Part::Text(
                variables.template(&node.get("value").and_then(Node::scalar).unwrap_or_default(), notes),
            )
        };
        payload::add_part(&mut parts, plain_key(key, notes), part, name, notes);
    }
    parts
}

/// GraphQL goes as JSON; its variables are JSON in a text.
fn graphql(node: &Node, variables: &mut Variables, notes: &mut Notes) -> Body {
    let query = variables.template(node.text_of("query").unwrap_or_default(), notes);
    let mut entries = vec![("query".to_owned(), Node::Text(query))];
    let text = node.text_of("variables").unwrap_or_default();
    if !text.trim().is_empty() {
        match read::json(text, "JSON") {
            Ok(mut given) => {
                given.each_text(&mut |text| *text = variables.template(text, notes));
                entries.push(("variables".to_owned(), given));
            }
            Err(_) => notes.add("variables of a GraphQL query that are no JSON: left out"),
        }
    }
    if let Some(operation) = node.text_of("operationName").filter(|name| !name.is_empty()) {
        entries.push(("operationName".to_owned(), Node::Text(crate::draft::literal(operation))));
    }
    Body::Json(Node::Map(entries))
}
