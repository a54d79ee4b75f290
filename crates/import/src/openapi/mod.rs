//! OpenAPI 3.0 and 3.1: each tag becomes a scenario, each operation a step.

mod document;
mod operation;
mod schema;
mod security;

use crate::curl::plural;
use crate::draft::{Draft, NO_TARGET, Scenario, Step, try_out};
use crate::node::Node;
use crate::notes::Notes;
use crate::{Error, Options, read};
use document::Document;

/// Scenario of operations without a tag.
const UNTAGGED: &str = "operations";
/// Keys of a path item that are operations.
const METHODS: [&str; 8] = ["get", "post", "put", "patch", "delete", "head", "options", "trace"];

pub(crate) fn draft(text: &str, options: &Options, notes: &mut Notes) -> Result<Draft, Error> {
    let expected = read::FOUND[1].0;
    let root = read::json_or_yaml(text, expected)?;
    read::must_be(&root, expected)?;
    let version = root.get("openapi").and_then(Node::scalar).unwrap_or_default();
    if !version.starts_with("3.") {
        let message = format!("its version is {version}, 3.0 and 3.1 are known");
        return Err(Error::Syntax { expected, message });
    }
    let document = Document::new(&root);
    let mut scenarios: Vec<Scenario> = Vec::new();
    let mut count = 0;
    let mut left_out = 0;
    for (path, item) in root.get("paths").map_or(&[][..], Node::entries) {
        let item = document.resolved(item, notes);
        for (method, operation) in item.entries().iter().filter(|(key, _)| METHODS.contains(&key.as_str())) {
            if !wanted(method, path, operation, options) {
                left_out += 1;
                continue;
            }
            let Some(request) = operation::request(&document, method, path, item, operation, notes) else {
                continue;
            };
            count += 1;
            let tag = operation.list_of("tags").first().and_then(Node::text).unwrap_or(UNTAGGED);
            let step = Step::Request(Box::new(request));
            match scenarios.iter_mut().find(|scenario| scenario.name == tag) {
                Some(scenario) => scenario.steps.push(step),
                None => scenarios.push(Scenario {
                    name: tag.to_owned(),
                    weight: Some(1),
                    steps: vec![step],
                    ..Scenario::default()
                }),
            }
        }
    }
    if count == 0 {
        return Err(Error::Nothing(format!(
            "no operation of the document is chosen, {left_out} are left out"
        )));
    }
    if left_out > 0 {
        notes.add(format!(
            "left out by --tag and --operation: {}",
            plural(left_out, "operation", "operations")
        ));
    }
    for unused in ["webhooks", "x-webhooks"] {
        if root.get(unused).is_some() {
            notes.add("webhooks: requests that the API sends, not translated");
        }
    }
    let (load, load_comments) = try_out();
    let (target, target_comment) = server(&root, notes);
    let title = root.at(&["info", "title"]).and_then(Node::text).unwrap_or("OpenAPI").to_owned();
    let comments = vec![
        format!("Made from {} of the OpenAPI document \"{title}\".", plural(count, "operation", "operations")),
        "Each scenario is a tag, in the document's order. Values come from examples, else from schemas: ids that".to_owned(),
        "do not exist will answer 404 until you put in ones that do.".to_owned(),
    ];
    Ok(Draft {
        name: title,
        comments,
        target,
        target_comment,
        load,
        load_comments,
        scenarios,
        ..Draft::default()
    })
}

fn wanted(method: &str, path: &str, operation: &Node, options: &Options) -> bool {
    let mut tags = operation.list_of("tags").iter().filter_map(Node::text);
    let tagged = options.tags.is_empty() || tags.any(|tag| options.tags.iter().any(|wanted| wanted == tag));
    let id = operation.text_of("operationId").unwrap_or_default();
    let place = format!("{} {path}", method.to_uppercase());
    let named = options.operations.is_empty()
        || options.operations.iter().any(|wanted| wanted == id || *wanted == place);
    tagged && named
}

/// The first server, its variables by their defaults.
fn server(root: &Node, notes: &mut Notes) -> (String, Option<String>) {
    let servers = root.list_of("servers");
    let Some(server) = servers.first() else {
        notes.add(format!("the document names no server: give one with --target instead of {NO_TARGET}"));
        return (NO_TARGET.to_owned(), None);
    };
    let mut url = server.text_of("url").unwrap_or("/").to_owned();
    for (name, variable) in server.get("variables").map_or(&[][..], Node::entries) {
        let default = variable.get("default").and_then(Node::scalar).unwrap_or_default();
        url = url.replace(&format!("{{{name}}}"), &default);
    }
    if servers.len() > 1 {
        let others = servers[1..].iter().filter_map(|server| server.text_of("url")).collect::<Vec<_>>();
        notes.add(format!("other servers of the document: {}", others.join(", ")));
    }
    if url.starts_with('/') {
        notes.add(format!("the document's server is {url}, without a host: give it with --target"));
        let base = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        return (format!("{NO_TARGET}{}", crate::url::encoded(base)), None);
    }
    match crate::url::Url::parse(&url).filter(|parsed| url.contains("://") && parsed.query.is_none()) {
        Some(parsed) => {
            if parsed.user.is_some() {
                notes.add("the user in the server's URL is left out: write `auth`");
            }
            let base = parsed.path.trim_end_matches('/');
            (
                format!("{}{base}", parsed.origin),
                Some("the document's server; give a system that you may load".to_owned()),
            )
        }
        None => {
            notes.add(format!("the server {url} cannot be a target: give one with --target"));
            (NO_TARGET.to_owned(), None)
        }
    }
}
