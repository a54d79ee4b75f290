//! The `auth` of a collection, folder or request.

use super::request::plain_key;
use super::template::Variables;
use crate::draft::{Auth, Request};
use crate::names;
use crate::node::Node;
use crate::notes::Notes;

/// What an `auth` of a collection, folder or request says; `None` also for `noauth`.
pub(super) fn of(
    node: &Node,
    request: &mut Request,
    variables: &mut Variables,
    notes: &mut Notes,
) -> Option<Auth> {
    let kind = node.text_of("type")?;
    let given = node.get(kind).unwrap_or(&Node::Null);
    // 2.1 lists the parameters, 2.0 has a map of them.
    let scalar = |key: &str| {
        let listed = given
            .list()
            .iter()
            .find(|entry| entry.text_of("key") == Some(key))
            .and_then(|entry| entry.get("value"));
        listed.or_else(|| given.get(key)).and_then(Node::scalar)
    };
    let mut value = |key: &str, notes: &mut Notes| scalar(key).map(|text| variables.template(&text, notes));
    match kind {
        "noauth" => None,
        "bearer" => Some(Auth::Bearer(value("token", notes)?)),
        "basic" => Some(Auth::Basic {
            user: value("username", notes).unwrap_or_default(),
            password: value("password", notes).unwrap_or_default(),
        }),
        "awsv4" => {
            let keys = [
                ("region", "region"),
                ("service", "service"),
                ("access_key", "accessKey"),
                ("secret_key", "secretKey"),
                ("session_token", "sessionToken"),
            ];
            let pairs = keys.iter().filter_map(|(ours, theirs)| {
                Some(((*ours).to_owned(), value(theirs, notes).filter(|value| !value.is_empty())?))
            });
            Some(Auth::Aws(pairs.collect()))
        }
        "apikey" => {
            let key = plain_key(&scalar("key").unwrap_or_default(), notes);
            let secret = value("value", notes).unwrap_or_default();
            // Whatever it is called, it is a secret.
            let secret = match secret.contains("{{") {
                true => secret,
                false => {
                    let name = names::variable(&key).to_uppercase();
                    notes.add(format!(
                        "secret {name}: give its value to the drivers; it was an API key of the collection"
                    ));
                    format!("{{{{ secret.{name} }}}}")
                }
            };
            match value("in", notes).as_deref() {
                Some("query") => request.query.push((key, secret)),
                _ => request.headers.push((key, secret)),
            }
            None
        }
        "oauth2" => {
            notes.add("auth oauth2: get a token before the run, or as a step with `save`");
            value("accessToken", notes)
                .filter(|token| !token.is_empty())
                .or_else(|| Some("{{ secret.ACCESS_TOKEN }}".to_owned()))
                .map(Auth::Bearer)
        }
        other => {
            notes.add(format!("auth {other}: not translated"));
            None
        }
    }
}
