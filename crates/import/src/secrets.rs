//! Passwords, tokens and cookies of the source: each becomes `{{ secret.NAME }}`.
//!
//! Invariant: the value of a key that names a secret is never written. Values that hold an expression already are left.

use crate::draft::{Auth, Body, Draft, Request, literal};
use crate::node::Node;
use crate::notes::Notes;

/// Words before the credentials in an `authorization` header (IANA's registry, those that are in use).
const SCHEMES: [&str; 6] = ["Bearer", "Basic", "Token", "ApiKey", "Digest", "Negotiate"];
/// Characters from which on a secret is looked for in other places, too.
const LONG: usize = 8;

/// Name and value of each secret that was found.
#[derive(Debug, Default)]
struct Secrets {
    found: Vec<(String, String)>,
}

impl Secrets {
    /// The expression for `value`, which stood at `key`.
    fn expression(&mut self, key: &str, value: &str, place: &str, notes: &mut Notes) -> String {
        let known = self
            .found
            .iter()
            .find(|(_, found)| found == value && !value.is_empty())
            .map(|(name, _)| name.clone());
        let name = known.unwrap_or_else(|| {
            let base = crate::names::variable(key).to_uppercase();
            let name = crate::names::free(&base, |name| self.found.iter().any(|(known, _)| known == name));
            self.found.push((name.clone(), value.to_owned()));
            notes.add(format!("secret {name}: give its value to the drivers; it was \"{key}\" of {place}"));
            name
        });
        format!("{{{{ secret.{name} }}}}")
    }
}

/// Takes all secrets out of `draft`.
pub(crate) fn hide(draft: &mut Draft, notes: &mut Notes) {
    let mut secrets = Secrets::default();
    let mut kept = Vec::new();
    for (name, value, remark) in std::mem::take(&mut draft.variables) {
        if !is_secret(&name) {
            kept.push((name, value, remark));
            continue;
        }
        let expression = secrets.expression(&name, value.text().unwrap_or_default(), "the variables", notes);
        let variable = format!("{{{{ {name} }}}}");
        draft.each_request(&mut |request| {
            request.each_template(&mut |text| *text = text.replace(&variable, &expression))
        });
    }
    draft.variables = kept;
    draft.each_request(&mut |request| hide_in(request, &mut secrets, notes));
    // What is secret in one place is so in all: a token in a header, and in a query of another name.
    draft.each_request(&mut |request| everywhere(request, &secrets));
}

fn hide_in(request: &mut Request, secrets: &mut Secrets, notes: &mut Notes) {
    let place = request.shown();
    if let Some(auth) = &mut request.auth {
        let mut hide = |key: &str, value: &mut String| {
            if !value.is_empty() && !value.contains("{{") {
                *value = secrets.expression(key, value, &place, notes);
            }
        };
        match auth {
            Auth::Bearer(token) => hide("token", token),
            Auth::Basic { password, .. } => hide("password", password),
            Auth::Aws(pairs) => {
                let keys = pairs.iter_mut().filter(|(key, _)| key.contains("key") || key.contains("token"));
                keys.for_each(|(key, value)| hide(key, value));
            }
        }
    }
    if let Body::Text(text) = &request.body
        && ["password", "passwd", "secret"].iter().any(|word| text.to_ascii_lowercase().contains(word))
        && !text.contains("{{")
    {
        notes.add(format!("{place}: its body may hold a secret; look at it before you share the plan"));
    }
    if request.path.split_once('?').is_some_and(|(_, query)| query.split(['&', '=']).any(is_secret)) {
        notes.add(format!("{place}: a secret in its query was left out"));
        request.path = request.path.split('?').next().unwrap_or_default().to_owned();
    }
    if let Body::Json(node) = &mut request.body {
        hide_numbers(node, "", &mut |key, value| secrets.expression(key, value, &place, notes));
    }
    request.each_text(&mut |key, value| {
        if value.is_empty() || value.contains("{{") || !is_secret(key) {
            return;
        }
        let scheme = SCHEMES.iter().find_map(|scheme| {
            let (first, rest) = value.split_once(' ')?;
            first.eq_ignore_ascii_case(scheme).then(|| (first.to_owned(), rest.to_owned()))
        });
        *value = match scheme {
            Some((scheme, rest)) => format!("{scheme} {}", secrets.expression(key, &rest, &place, notes)),
            None => secrets.expression(key, value, &place, notes),
        };
    });
}

/// Numbers that are secret: they stay numbers.
fn hide_numbers(node: &mut Node, key: &str, hide: &mut dyn FnMut(&str, &str) -> String) {
    match node {
        Node::Number(number) if is_secret(key) => {
            let expression = hide(key, number);
            *node = Node::Text(expression.replace(" }}", " | number }}"));
        }
        Node::List(nodes) => nodes.iter_mut().for_each(|node| hide_numbers(node, key, hide)),
        Node::Map(entries) => entries.iter_mut().for_each(|(key, node)| hide_numbers(node, key, hide)),
        _ => {}
    }
}

fn everywhere(request: &mut Request, secrets: &Secrets) {
    for (name, value) in secrets.found.iter().filter(|(_, value)| value.len() >= LONG) {
        let expression = format!("{{{{ secret.{name} }}}}");
        let value = literal(value);
        request.each_text(&mut |_, text| {
            if text.contains(&value) {
                *text = text.replace(&value, &expression);
            }
        });
        if request.path.contains(&value) {
            request.name.get_or_insert_with(|| {
                format!("{} {}", request.method.to_uppercase(), request.path.replace(&value, "{secret}"))
            });
            request.path = request.path.replace(&value, &expression);
        }
    }
}

/// Whether the value of `key` is one that only its owner may know.
pub(crate) fn is_secret(key: &str) -> bool {
    let letters: String =
        key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let forged = letters.contains("csrf") || letters.contains("xsrf");
    let whole =
        ["authorization", "proxyauthorization", "cookie", "pwd", "pass", "token", "jwt", "otp", "pin", "sid"];
    let parts = ["password", "passwd", "passphrase", "apikey", "accesskey", "privatekey", "credential"];
    let ends = ["secret", "accesstoken", "refreshtoken", "authtoken", "sessiontoken", "idtoken", "sessionid"];
    !forged
        && (whole.contains(&letters.as_str())
            || parts.iter().any(|part| letters.contains(part))
            || ends.iter().any(|end| letters.ends_with(end)))
}
