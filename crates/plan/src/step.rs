//! One item of a scenario: a request, or a pause between two.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::StepId;
use crate::diagnostic::{Faults, Wrong};
use crate::json;
use crate::limits;
use crate::read::{self, Fields, Unsupported};
use crate::scenario::{Expect, Step};
use crate::target::{check_path, encode_pair};
use crate::tree::{Kind, Node};

/// The methods, as keys of a step.
pub(crate) const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];

const KEYS: [&str; 18] = [
    "get",
    "post",
    "put",
    "patch",
    "delete",
    "head",
    "options",
    "name",
    "headers",
    "query",
    "body",
    "json",
    "form",
    "timeout",
    "expect",
    "follow_redirects",
    "decompress",
    "expect_continue",
];

const NOT_YET: [Unsupported; 6] = [
    ("multipart", "unsupported_multipart", "a multipart body"),
    ("file", "unsupported_file", "a body from a file"),
    ("save", "unsupported_save", "saving values"),
    ("when", "unsupported_when", "a condition"),
    ("max_body", "unsupported_max_body", "max_body"),
    ("think_time", "unsupported_think_time", "think time"),
];

const EXPECT_NOT_YET: [Unsupported; 5] = [
    ("body_contains", "unsupported_expectation", "body_contains"),
    ("under", "unsupported_expectation", "under"),
    ("header", "unsupported_expectation", "expecting a header"),
    ("headers", "unsupported_expectation", "expecting headers"),
    ("json", "unsupported_expectation", "expecting JSON"),
];

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

/// What stands in a list of steps.
#[derive(Debug)]
pub(crate) enum Item {
    /// A step without its row and pause, which depend on the others.
    Request(Step),
    Pause(Duration),
}

pub(crate) fn item(faults: &mut Faults<'_>, node: &Node) -> Option<Item> {
    let entries = read::map(faults, node, "a step")?;
    let methods = entries.iter().filter(|entry| METHODS.contains(&entry.key.as_str())).count();
    let pause = entries.iter().find(|entry| entry.key == "pause");
    match (methods, pause) {
        (0, Some(_)) => self::pause(faults, node),
        (0, None) => {
            // Its keys are checked all the same, since a slip in one may be why there is no method.
            Fields::of(faults, node, "a step", &KEYS, &NOT_YET)?;
            let wrong = Wrong::new("missing", "a step needs a method with its path");
            read::fault(faults, node, wrong.help("write it like: get: /path"))
        }
        (_, Some(pause)) => {
            let wrong = Wrong::new("pause_in_request", "a pause is an item of its own");
            faults.add(pause.place, "pause", wrong.help("write `- pause: 1s` before the step"));
            None
        }
        (1, None) => request(faults, node).map(Item::Request),
        _ => {
            let wrong = Wrong::new("several_requests", "a step has one method");
            read::fault(faults, node, wrong.help("make several steps of it"))
        }
    }
}

fn pause(faults: &mut Faults<'_>, node: &Node) -> Option<Item> {
    let fields = Fields::of(faults, node, "a pause", &["pause"], &[])?;
    let node = fields.required(faults, "pause")?;
    let text = read::text(faults, node, "the pause")?;
    if text.contains("..") {
        return read::fault(
            faults,
            node,
            Wrong::unsupported("unsupported_pause_range", "a pause of random length"),
        );
    }
    read::span(faults, node, "the pause", limits::WAIT).map(Item::Pause)
}

fn request(faults: &mut Faults<'_>, node: &Node) -> Option<Step> {
    let fields = Fields::of(faults, node, "a step", &KEYS, &NOT_YET)?;
    let key = METHODS.into_iter().find(|method| fields.has(method))?;
    let method = key.to_uppercase();
    let path = fields.required(faults, key).and_then(|node| path(faults, node));
    let query = match fields.get(faults, "query") {
        Some(node) => pairs(faults, node, "the query"),
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
        Some(node) => headers(faults, node),
        None => Some(Vec::new()),
    };
    let body = body(faults, &fields);
    let timeout = match fields.get(faults, "timeout") {
        Some(node) => read::span(faults, node, "the timeout", limits::WAIT),
        None => Some(TIMEOUT),
    };
    let expect = match fields.get(faults, "expect") {
        Some(node) => expect(faults, node),
        None => Some(Expect::default()),
    };
    let follow_redirects = follow_redirects(faults, &fields);
    let decompress = read::flag(faults, &fields, "decompress");
    let expect_continue = expect_continue(faults, &fields, body.as_ref());
    let (path, mut headers, (body, content_type)) = (with_query(path?, &query?), headers?, body?);
    if let Err(wrong) = check_path(&path) {
        faults.add_here(fields.place(), wrong);
        return None;
    }
    let has_type = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if let Some(content_type) = content_type.filter(|_| !has_type) {
        headers.push(("content-type".to_owned(), content_type.to_owned()));
    }
    Some(Step {
        id: StepId(0),
        name: name?,
        method,
        path,
        headers,
        body,
        timeout: timeout?,
        expect: expect?,
        follow_redirects: follow_redirects?,
        decompress: decompress?,
        expect_continue: expect_continue?,
        pause: None,
    })
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
    if let (true, Some((bytes, _)), Some(entry)) = (waits, body, fields.entry("expect_continue"))
        && bytes.is_empty()
    {
        let wrong = Wrong::new("without_effect", "there is no body that could wait");
        faults.add(entry.place, &entry.key, wrong.help("leave it out, or give the step a body"));
    }
    Some(waits)
}

fn path(faults: &mut Faults<'_>, node: &Node) -> Option<String> {
    let text = read::text(faults, node, "the path")?;
    if text.contains("://") && !text.starts_with('/') {
        let wrong = Wrong::unsupported("unsupported_absolute_url", "a step with a URL of its own");
        return read::fault(faults, node, wrong.help("a path is appended to the plan's target"));
    }
    if !text.starts_with('/') {
        let wrong = Wrong::new("bad_path", "a path starts with \"/\"").help(format!("write /{text}"));
        return read::fault(faults, node, wrong);
    }
    read::checked(faults, node, check_path(text))
}

/// Method and path as written. The query tells requests of one kind apart, which a row must not.
fn default_name(faults: &mut Faults<'_>, method: &str, path: &Node) -> Option<String> {
    let name = format!("{method} {}", path.text().split('?').next().unwrap_or_default());
    let checked =
        read::check_name(&name, "the step's name").map_err(|wrong| wrong.help("give the step a name"));
    read::checked(faults, path, checked).map(str::to_owned)
}

fn with_query(path: String, pairs: &[String]) -> String {
    if pairs.is_empty() {
        return path;
    }
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}{}", pairs.join("&"))
}

/// The encoded pairs of a map of scalars and of lists of scalars.
fn pairs(faults: &mut Faults<'_>, node: &Node, what: &str) -> Option<Vec<String>> {
    let mut pairs = Vec::new();
    let mut complete = true;
    for entry in read::map(faults, node, what)? {
        let values = match &entry.value.kind {
            Kind::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        for value in values {
            match read::text(faults, value, &format!("\"{}\"", entry.key)) {
                Some(text) => pairs.push(encode_pair(&entry.key, text)),
                None => complete = false,
            }
        }
    }
    complete.then_some(pairs)
}

fn headers(faults: &mut Faults<'_>, node: &Node) -> Option<Vec<(String, String)>> {
    let entries = read::map(faults, node, "headers")?;
    if entries.len() > limits::HEADERS {
        let message = format!("a request has at most {} headers", limits::HEADERS);
        return read::fault(faults, node, Wrong::new("absurd", message));
    }
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut complete = true;
    for entry in entries {
        let again = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(&entry.key));
        let name = check_header_name(&entry.key).and_then(|()| match again {
            true => Err(Wrong::new("duplicate_key", format!("the header \"{}\" is there twice", entry.key))),
            false => Ok(()),
        });
        if let Err(wrong) = name {
            faults.add(entry.place, &entry.key, wrong);
            complete = false;
        }
        let value = read::text(faults, &entry.value, "a header's value")
            .and_then(|text| read::checked(faults, &entry.value, check_header_value(text).map(|()| text)));
        match value {
            Some(value) => headers.push((entry.key.clone(), value.to_owned())),
            None => complete = false,
        }
    }
    complete.then_some(headers)
}

/// A name of a header that a plan may set (RFC 9110, 5.6.2 token).
pub(crate) fn check_header_name(name: &str) -> Result<(), Wrong> {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(in_token) {
        return Err(Wrong::new("bad_header", format!("\"{name}\" is no name of a header")));
    }
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

type Body = (Vec<u8>, Option<&'static str>);

/// The body, and the content type that its kind implies.
fn body(faults: &mut Faults<'_>, fields: &Fields<'_>) -> Option<Body> {
    let kinds = ["body", "json", "form"];
    let mut present = kinds.into_iter().filter(|kind| fields.has(kind));
    let Some(kind) = present.next() else {
        return Some((Vec::new(), None));
    };
    if let Some(entry) = present.next().and_then(|kind| fields.entry(kind)) {
        let wrong = Wrong::new("several_bodies", "a request has one body: body, json or form");
        faults.add(entry.place, &entry.key, wrong);
        return None;
    }
    if kind == "json" {
        // Here alone null is a value.
        let entry = fields.entry(kind)?;
        return json::render(faults, &entry.value).map(|text| (text.into_bytes(), Some("application/json")));
    }
    let node = fields.required(faults, kind)?;
    match kind {
        "body" => read::text(faults, node, "the body").map(|text| (text.as_bytes().to_vec(), None)),
        _ => pairs(faults, node, "the form")
            .map(|pairs| (pairs.join("&").into_bytes(), Some("application/x-www-form-urlencoded"))),
    }
}

fn expect(faults: &mut Faults<'_>, node: &Node) -> Option<Expect> {
    let fields = Fields::of(faults, node, "expect", &["status"], &EXPECT_NOT_YET)?;
    let Some(node) = fields.get(faults, "status") else {
        return Some(Expect::default());
    };
    let nodes = match &node.kind {
        Kind::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if nodes.is_empty() {
        return read::fault(faults, node, Wrong::new("missing", "no status is expected"));
    }
    let ranges: Vec<Option<RangeInclusive<u16>>> = nodes
        .iter()
        .map(|node| {
            let text = read::text(faults, node, "a status")?;
            read::checked(faults, node, status(text))
        })
        .collect();
    Some(Expect { status: Some(ranges.into_iter().collect::<Option<_>>()?) })
}

/// `200`, `2xx` or `200..299`, both ends included.
fn status(text: &str) -> Result<RangeInclusive<u16>, Wrong> {
    let code =
        |text: &str| text.parse::<u16>().ok().filter(|code| text.len() == 3 && (100..=599).contains(code));
    let range = match (text.strip_suffix("xx"), text.split_once("..")) {
        (Some(class), _) => code(&format!("{class}00")).map(|from| from..=from + 99),
        (None, Some((from, to))) => {
            code(from).zip(code(to)).filter(|(from, to)| from <= to).map(|(from, to)| from..=to)
        }
        (None, None) => code(text).map(|code| code..=code),
    };
    range.ok_or_else(|| Wrong::new("bad_status", "a status is 100 to 599").help("write 200, 2xx or 200..299"))
}
