//! One request of a scenario.

use std::time::Duration;

use crate::StepId;
use crate::answer::{self, Check};
use crate::auth::{self, Auth};
use crate::body::{self, Body};
use crate::diagnostic::{Faults, Wrong};
use crate::expression::{Encoding, Names, Template};
use crate::limits;
use crate::read::{self, Fields, Unsupported};
use crate::scenario::{Expect, Step};
use crate::shapes;
use crate::target::{check_path, encode_part};
use crate::tree::{Kind, Node};

/// The methods, as keys of a step.
pub(crate) const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];

pub(crate) const NOT_YET: [Unsupported; 1] = [("think_time", "unsupported_think_time", "think time")];

/// Headers that say how a message is sent; the engine writes them.
const RESERVED_HEADERS: [&str; 9] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "expect",
    "upgrade",
    "te",
    "trailer",
];

/// Time a request may take when the plan does not say.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Redirects that `follow_redirects: true` stands for, as in Gatling's and k6's defaults.
const REDIRECTS: u32 = 10;

/// A step without its row, which depends on the others. `when` is looked at by whoever knows where the step stands.
pub(crate) fn request(
    faults: &mut Faults<'_>,
    names: &mut Names,
    node: &Node,
    around: &Around,
) -> Option<Step> {
    let fields = Fields::of(faults, node, &shapes::REQUEST, &NOT_YET)?;
    let key = METHODS.into_iter().find(|method| fields.has(method))?;
    let method = key.to_uppercase();
    let path = fields.required(faults, key).and_then(|node| path(faults, names, node));
    let query = match fields.get(faults, "query") {
        Some(node) => pairs(faults, names, node, "the query"),
        None => Some(Vec::new()),
    };
    let name = match fields.get(faults, "name") {
        Some(node) => read::name(faults, node, "the step's name"),
        None => {
            let entry = fields.entry(key)?;
            path.as_ref().and_then(|_| default_name(faults, &method, &entry.value))
        }
    };
    let headers = match fields.get(faults, "headers") {
        Some(node) => headers(faults, names, node),
        None => Some(Vec::new()),
    };
    let auth = match fields.get(faults, "auth") {
        Some(node) => auth::auth(faults, names, node).map(Some),
        // Steps before the token is there go without it: one of them gets it.
        None => {
            let auth = around.auth.clone().filter(|auth| auth.is_known(names));
            names.used.extend(auth.iter().flat_map(Auth::sources));
            Some(auth)
        }
    };
    let body = body::body(faults, names, &fields);
    let timeout = match fields.get(faults, "timeout") {
        Some(node) => read::span(faults, node, "the timeout", limits::WAIT),
        None => Some(TIMEOUT),
    };
    let tags = match fields.get(faults, "tags") {
        Some(node) => tags(faults, node),
        None => Some(Vec::new()),
    };
    let follow_redirects = follow_redirects(faults, &fields);
    let decompress = read::flag(faults, &fields, "decompress");
    let expect_continue = expect_continue(faults, &fields, body.as_ref().map(|(body, _)| body));
    let max_body = match fields.get(faults, "max_body") {
        Some(node) => read::size(faults, node, "max_body", limits::SEARCHED_BODY_BYTES_MOST),
        None => Some(limits::SEARCHED_BODY_BYTES),
    };
    let expect = match fields.get(faults, "expect") {
        Some(node) => answer::expect(faults, names, node),
        None => Some(Expect::default()),
    };
    // Values are saved only of an answer that is as expected, so what is expected cannot name them.
    let saves = match fields.get(faults, "save") {
        Some(node) => answer::save(faults, names, node),
        None => Some(Vec::new()),
    };
    let (path, mut headers, (body, content_type)) = (with_query(path?, query?), headers?, body?);
    if let Some(text) = path.as_text()
        && let Err(wrong) = check_path(text)
    {
        faults.add_here(fields.place(), wrong);
        return None;
    }
    let has = |headers: &[(String, Template)], wanted: &str| {
        headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted))
    };
    if let Some(content_type) = content_type.filter(|_| !has(&headers, "content-type")) {
        headers.push(("content-type".to_owned(), Template::from(content_type.to_owned())));
    }
    // What the step itself says goes first.
    let auth = auth?.filter(|_| !has(&headers, "authorization"));
    let signing = match auth {
        Some(Auth::Header(value)) => {
            headers.push(("authorization".to_owned(), value));
            None
        }
        Some(Auth::Aws(signing)) => Some(signing),
        None => None,
    };
    if let (Some(_), Some(1..), Some(entry)) = (&signing, follow_redirects, fields.entry("follow_redirects"))
    {
        let wrong =
            Wrong::new("not_together", "a signature is of one request, and a redirect asks for another");
        faults.add(
            entry.place,
            &entry.key,
            wrong.help("leave follow_redirects out of a step that is signed"),
        );
    }
    if let Some((name, _)) = headers.iter().find(|(name, _)| signing.is_some() && auth::is_signers(name)) {
        let wrong = Wrong::new("reserved_header", format!("the header \"{name}\" is written by the signing"));
        faults.add_here(fields.place(), wrong.help("leave it out"));
    }
    let mut tags = tags?;
    tags.extend(around.tags.iter().filter(|tag| !tags.contains(tag)).cloned().collect::<Vec<_>>());
    let (expect, saves) = (expect?, saves?);
    let reads_body =
        expect.checks.iter().any(Check::needs_body) || saves.iter().any(|taking| taking.source.needs_body());
    if let Some(max_body) = max_body {
        answer::check_sizes(faults, &fields, &expect, max_body);
    }
    if let (false, Some(entry)) = (reads_body, fields.entry("max_body")) {
        let wrong = Wrong::new("without_effect", "nothing of the body is looked at");
        faults.add(entry.place, &entry.key, wrong.help("leave it out, or save or expect something"));
    }
    Some(Step {
        id: StepId(0),
        name: name?,
        method,
        path,
        headers,
        body,
        timeout: timeout?,
        expect,
        saves,
        signing,
        max_body: usize::try_from(max_body?).unwrap_or(usize::MAX),
        follow_redirects: follow_redirects?,
        decompress: decompress?,
        expect_continue: expect_continue?,
        tags,
    })
}

/// What a step has from its scenario and plan.
#[derive(Debug, Default, Clone)]
pub(crate) struct Around {
    pub auth: Option<Auth>,
    pub tags: Vec<String>,
}

/// Tags of a step or scenario.
pub(crate) fn tags(faults: &mut Faults<'_>, node: &Node) -> Option<Vec<String>> {
    let nodes = read::list(faults, node, "tags")?;
    if nodes.len() > limits::TAGS {
        let message = format!("a step has at most {} tags", limits::TAGS);
        return read::fault(faults, node, Wrong::new("absurd", message));
    }
    let tags: Vec<Option<String>> = nodes.iter().map(|node| read::name(faults, node, "a tag")).collect();
    tags.into_iter().collect()
}

/// `true`, `false`, or how many.
fn follow_redirects(faults: &mut Faults<'_>, fields: &Fields<'_>) -> Option<u32> {
    let Some(node) = fields.get(faults, "follow_redirects") else {
        return Some(0);
    };
    if node.text().starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return read::count_u32(faults, node, "the number of redirects", limits::REDIRECTS);
    }
    read::boolean(faults, node, "follow_redirects").map(|follows| if follows { REDIRECTS } else { 0 })
}

fn expect_continue(faults: &mut Faults<'_>, fields: &Fields<'_>, body: Option<&Body>) -> Option<bool> {
    let waits = read::flag(faults, fields, "expect_continue")?;
    if let (true, Some(body), Some(entry)) = (waits, body, fields.entry("expect_continue"))
        && body.is_empty()
    {
        let wrong = Wrong::new("without_effect", "there is no body that could wait");
        faults.add(entry.place, &entry.key, wrong.help("leave it out, or give the step a body"));
    }
    Some(waits)
}

fn path(faults: &mut Faults<'_>, names: &mut Names, node: &Node) -> Option<Template> {
    let text = read::raw_text(faults, node, "the path")?;
    if text.contains("://") && !text.starts_with('/') {
        let wrong = Wrong::unsupported("unsupported_absolute_url", "a step with a URL of its own");
        return read::fault(faults, node, wrong.help("a path is appended to the plan's target"));
    }
    if !text.starts_with('/') && !text.starts_with("{{") {
        let wrong = Wrong::new("bad_path", "a path starts with \"/\"").help(format!("write /{text}"));
        return read::fault(faults, node, wrong);
    }
    let path = read::template(faults, names, node, "the path", Encoding::Url)?;
    read::checked(faults, node, path.map_texts(check_path))
}

/// Method and path as written. The query tells requests of one kind apart, which a row must not.
fn default_name(faults: &mut Faults<'_>, method: &str, path: &Node) -> Option<String> {
    let text = path.text();
    // An expression may have a question mark of its own.
    let end = text.find('?').filter(|at| !text[..*at].contains("{{")).unwrap_or(text.len());
    if text[..end].contains("{{") {
        let wrong = Wrong::new("missing", "a step whose path has an expression needs a name");
        return read::fault(
            faults,
            path,
            wrong.help("the name is the row in every table: name: GET /items/{id}"),
        );
    }
    let name = format!("{method} {}", &text[..end]);
    let checked =
        read::check_name(&name, "the step's name").map_err(|wrong| wrong.help("give the step a name"));
    read::checked(faults, path, checked).map(str::to_owned)
}

fn with_query(mut path: Template, pairs: Vec<Template>) -> Template {
    let mut joint = if path.texts().any(|text| text.contains('?')) { "&" } else { "?" };
    for pair in pairs {
        path.push_text(joint);
        path.push(pair);
        joint = "&";
    }
    path
}

/// The encoded pairs of a map of scalars and of lists of scalars.
pub(crate) fn pairs(
    faults: &mut Faults<'_>,
    names: &mut Names,
    node: &Node,
    what: &str,
) -> Option<Vec<Template>> {
    let mut pairs = Vec::new();
    let mut complete = true;
    for entry in read::map(faults, node, what)? {
        let values = match &entry.value.kind {
            Kind::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        let key = read::key(faults, names, entry);
        complete &= key.is_some();
        let key = encode_part(&key.unwrap_or_default());
        for value in values {
            let how = (Encoding::Url, &encode_part as &dyn Fn(&str) -> String);
            match read::template_between(faults, names, value, &format!("\"{}\"", entry.key), how) {
                Some(text) => {
                    let mut pair = Template::from(format!("{key}="));
                    pair.push(text);
                    pairs.push(pair);
                }
                None => complete = false,
            }
        }
    }
    complete.then_some(pairs)
}

fn headers(faults: &mut Faults<'_>, names: &mut Names, node: &Node) -> Option<Vec<(String, Template)>> {
    let entries = read::map(faults, node, "headers")?;
    if entries.len() > limits::HEADERS {
        let message = format!("a request has at most {} headers", limits::HEADERS);
        return read::fault(faults, node, Wrong::new("absurd", message));
    }
    let mut headers: Vec<(String, Template)> = Vec::new();
    let mut complete = true;
    for entry in entries {
        let name = read::key(faults, names, entry).and_then(|name| {
            let again = headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name));
            let checked = check_header_name(&name).and_then(|()| match again {
                true => Err(Wrong::new("duplicate_key", format!("the header \"{name}\" is there twice"))),
                false => Ok(()),
            });
            checked.map_err(|wrong| faults.add(entry.place, &entry.key, wrong)).ok().map(|()| name)
        });
        let value = read::template(faults, names, &entry.value, "a header's value", Encoding::Plain);
        let value = value.and_then(|value| {
            let checked = value.texts().try_for_each(check_header_value);
            read::checked(faults, &entry.value, checked.map(|()| value))
        });
        match name.zip(value) {
            Some(header) => headers.push(header),
            None => complete = false,
        }
    }
    complete.then_some(headers)
}

/// A name of a header (RFC 9110, 5.6.2 token).
pub(crate) fn check_header_token(name: &str) -> Result<(), Wrong> {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(in_token) {
        return Err(Wrong::new("bad_header", format!("\"{name}\" is no name of a header")));
    }
    Ok(())
}

/// A name of a header that a plan may set.
pub(crate) fn check_header_name(name: &str) -> Result<(), Wrong> {
    check_header_token(name)?;
    if RESERVED_HEADERS.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
        let wrong = Wrong::new("reserved_header", format!("the header \"{name}\" is written by the engine"));
        return Err(wrong.help("leave it out"));
    }
    Ok(())
}

/// A value of a header: visible characters, spaces and tabs (RFC 9110, 5.5).
pub(crate) fn check_header_value(value: &str) -> Result<(), Wrong> {
    match value.chars().all(|c| c == '\t' || !c.is_control()) {
        true => Ok(()),
        false => Err(Wrong::new("bad_header", "a header's value stands on one line")),
    }
}
