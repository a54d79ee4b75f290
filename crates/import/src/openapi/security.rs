//! Security schemes as `auth` and headers, always with secrets.

use super::document::Document;
use crate::draft::{Auth, Request};
use crate::names::variable;
use crate::node::Node;
use crate::notes::Notes;

/// Adds what the first way in that the operation allows needs; of several that hold together all.
pub(super) fn apply<'a>(
    document: &Document<'a>,
    operation: &'a Node,
    request: &mut Request,
    notes: &mut Notes,
) {
    let Some(ways) = operation.get("security").or_else(|| document.root.get("security")) else {
        return;
    };
    let Some(way) = ways.list().first() else {
        return;
    };
    if ways.list().len() > 1 && !way.entries().is_empty() {
        notes.add("security: of several ways in the first is taken");
    }
    for (name, _) in way.entries() {
        let scheme = document.root.at(&["components", "securitySchemes", name]);
        match scheme.map(|scheme| document.resolved(scheme, notes)) {
            Some(scheme) => one(scheme, name, request, notes),
            None => notes.add(format!("security: the scheme {name} is not described")),
        }
    }
}

fn one(scheme: &Node, name: &str, request: &mut Request, notes: &mut Notes) {
    let base = variable(name).to_uppercase();
    let mut secret = |name: &str| {
        notes.gather("secrets to give to the drivers", name);
        format!("{{{{ secret.{name} }}}}")
    };
    let scheme_of = scheme.text_of("scheme").unwrap_or_default().to_ascii_lowercase();
    match scheme.text_of("type").unwrap_or_default() {
        "http" if scheme_of == "basic" => {
            request.auth = Some(Auth::Basic {
                user: secret(&format!("{base}_USER")),
                password: secret(&format!("{base}_PASSWORD")),
            });
        }
        "http" if scheme_of == "bearer" => request.auth = Some(Auth::Bearer(secret(&base))),
        "oauth2" | "openIdConnect" => {
            request.auth = Some(Auth::Bearer(secret(&base)));
            notes.add(format!(
                "security: {name} wants a token by OAuth; get one before the run, or as a step with `save`"
            ));
        }
        "apiKey" => {
            let key = scheme.text_of("name").unwrap_or("api_key").to_owned();
            match scheme.text_of("in") {
                Some("query") => request.query.push((key, secret(&base))),
                Some("cookie") => {
                    request.headers.push(("cookie".to_owned(), format!("{key}={}", secret(&base))))
                }
                _ => request.headers.push((key, secret(&base))),
            }
        }
        other => notes.add(format!("security: {name} ({other}) is not translated")),
    }
}
