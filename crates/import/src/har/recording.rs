//! The entries of a recording: a request as a plan has it, and what is known of its response.

use crate::curl::{known_method, of_url};
use crate::draft::{Body, Part, Request, literal};
use crate::names;
use crate::node::Node;
use crate::notes::Notes;
use crate::payload;
use crate::span::epoch_ms;
use crate::url::Url;

/// One entry.
#[derive(Debug)]
pub(super) struct Recorded {
    pub started_ms: i64,
    pub time_ms: i64,
    /// Between the end of everything before it and its start.
    pub gap_ms: i64,
    pub url: Url,
    pub request: Request,
    pub has_cookies: bool,
    media_type: String,
    kind: String,
    /// Name in small letters, and value.
    pub response_headers: Vec<(String, String)>,
    /// Empty where the recording has none, or none as text.
    pub response: String,
}

impl Recorded {
    /// Whether it is one of those that a page brings along.
    pub(super) fn is_asset(&self) -> bool {
        let kinds = ["image", "stylesheet", "script", "font", "media", "manifest", "texttrack"];
        let types = [
            "image/",
            "font/",
            "audio/",
            "video/",
            "text/css",
            "text/javascript",
            "application/javascript",
            "application/x-javascript",
            "application/font",
        ];
        let endings = [
            ".js", ".css", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".ico", ".woff", ".woff2", ".ttf",
            ".map", ".webp", ".mjs", ".avif", ".mp4",
        ];
        let path = self.url.path.to_ascii_lowercase();
        kinds.contains(&self.kind.as_str())
            || types.iter().any(|start| self.media_type.starts_with(start))
            || self.request.method == "get" && endings.iter().any(|end| path.ends_with(end))
    }
}

/// The entries that are HTTP; the others are told.
pub(super) fn entries(root: &Node, notes: &mut Notes) -> Vec<Recorded> {
    let nodes = root.at(&["log", "entries"]).map_or(&[][..], Node::list);
    let mut entries = Vec::new();
    for (node, number) in nodes.iter().zip(0..) {
        let url = node.at(&["request", "url"]).and_then(Node::text).unwrap_or_default();
        let websocket = node.get("_webSocketMessages").is_some() || url.starts_with("ws");
        match Url::parse(url).filter(|_| url.contains("://") && !websocket) {
            Some(url) => entries.extend(entry(node, url, number, notes)),
            None => {
                let scheme = url.split(':').next().unwrap_or_default();
                notes.add(format!("left out: a request that is not HTTP ({scheme})"));
            }
        }
    }
    entries
}

fn entry(node: &Node, url: Url, number: i64, notes: &mut Notes) -> Option<Recorded> {
    let asked = node.get("request")?;
    let answered = node.get("response").unwrap_or(&Node::Null);
    let method = asked.text_of("method").unwrap_or("GET");
    if method == "OPTIONS" && header(asked, "access-control-request-method").is_some() {
        notes.add("left out: a preflight (OPTIONS) that browsers send before requests to other origins");
        return None;
    }
    let (path, query) = url.path_and_pairs();
    let mut request = Request {
        method: known_method(method, notes)?,
        path: literal(&path),
        auth: of_url(&url),
        query: query.into_iter().map(|(key, value)| (key, literal(&value))).collect(),
        ..Request::default()
    };
    request.name = Some(format!("{} {}", request.method.to_uppercase(), names::stable(&path)));
    for pair in asked.list_of("headers") {
        if let (Some(name), Some(value)) = (pair.text_of("name"), pair.text_of("value")) {
            request.headers.push((name.to_ascii_lowercase(), literal(value)));
        }
    }
    let has_cookies = request.header("cookie").is_some()
        || !asked.list_of("cookies").is_empty()
        || header(answered, "set-cookie").is_some();
    if let Some(data) = asked.get("postData") {
        body(data, &mut request, notes);
    }
    let status = answered.get("status").and_then(Node::count).filter(|status| (100..=599).contains(status));
    // A page from the browser's cache, and one that stayed as it was, is sent whole to a load test.
    match status {
        Some(304) => request.status = vec!["200".to_owned(), "304".to_owned()],
        Some(status) => request.status = vec![status.to_string()],
        None => notes.add(format!("{}: no answer was recorded", request.shown())),
    }
    let content = answered.get("content").unwrap_or(&Node::Null);
    let is_text = content.text_of("encoding").is_none();
    let response_headers = answered.list_of("headers").iter().filter_map(|pair| {
        Some((pair.text_of("name")?.to_ascii_lowercase(), pair.text_of("value")?.to_owned()))
    });
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of one request, bounded")]
    let time_ms = node.get("time").and_then(Node::number).unwrap_or(0.0).clamp(0.0, 3.6e6) as i64;
    Some(Recorded {
        // Recordings without times keep their order.
        started_ms: node.text_of("startedDateTime").and_then(epoch_ms).unwrap_or(number),
        time_ms,
        gap_ms: 0,
        has_cookies,
        media_type: payload::essence(content.text_of("mimeType").unwrap_or_default()),
        kind: node.text_of("_resourceType").unwrap_or_default().to_owned(),
        // A plan cannot name a header of another kind.
        response_headers: response_headers
            .filter(|(name, _)| {
                name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            })
            .collect(),
        response: if is_text {
            content.text_of("text").unwrap_or_default().to_owned()
        } else {
            String::new()
        },
        url,
        request,
    })
}

/// The value of a header of a request or response.
fn header<'a>(message: &'a Node, name: &str) -> Option<&'a str> {
    let pairs = message.list_of("headers").iter();
    let found = pairs.filter(|pair| pair.text_of("name").is_some_and(|key| key.eq_ignore_ascii_case(name)));
    found.map(|pair| pair.text_of("value").unwrap_or_default()).next()
}

fn body(data: &Node, request: &mut Request, notes: &mut Notes) {
    let media_type = data.text_of("mimeType").unwrap_or_default().to_owned();
    let place = request.shown();
    let text = data.text_of("text").unwrap_or_default();
    let params = data.list_of("params");
    if text.is_empty() && !params.is_empty() {
        request.headers.retain(|(name, _)| name != "content-type");
        request.body = match payload::essence(&media_type) == "multipart/form-data" {
            true => Body::Multipart(parts(params, &place, notes)),
            false => Body::Form(params.iter().filter_map(pair).collect()),
        };
        return;
    }
    request.body = payload::body(text, &media_type, &mut request.headers, &place, notes);
    if matches!(request.body, Body::Text(_))
        && request.header("content-type").is_none()
        && !media_type.is_empty()
    {
        request.headers.push(("content-type".to_owned(), literal(&media_type)));
    }
}

/// Fields of a form; browsers write them decoded, proxies as they were sent.
fn pair(param: &Node) -> Option<(String, String)> {
    let name = param.text_of("name")?;
    let value = param.text_of("value").unwrap_or_default();
    let value = if value.contains('%') { crate::url::decoded(value) } else { value.to_owned() };
    Some((crate::url::decoded(name), literal(&value)))
}

fn parts(params: &[Node], place: &str, notes: &mut Notes) -> Vec<(String, Part)> {
    let mut parts = Vec::new();
    for param in params {
        let Some(name) = param.text_of("name") else { continue };
        let part = match param.text_of("fileName") {
            Some(file) => {
                notes
                    .add(format!("{place}: put the file {file} beside the plan; its bytes are not imported"));
                let media_type = param.text_of("contentType").map(str::to_owned);
                Part::File { file: file.to_owned(), media_type, filename: None }
            }
            None => Part::Text(literal(param.text_of("value").unwrap_or_default())),
        };
        payload::add_part(&mut parts, name.to_owned(), part, place, notes);
    }
    parts
}
