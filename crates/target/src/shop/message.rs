//! What the shop is asked and what it says: requests, replies, problem documents, and how texts are coded in them.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::answer;
use crate::request::MAX_HEADERS;

/// What a handler answers.
pub(crate) type Answer = Result<Reply, Problem>;

/// A request, with the headers that the shop looks at.
#[derive(Debug, Default)]
pub(crate) struct Request<'b> {
    /// A HEAD is shown as a GET; whoever writes the reply leaves its body away.
    pub method: &'b str,
    /// As it was sent, with its percent-encoding.
    pub path: &'b str,
    pub query: &'b str,
    pub authorization: Option<&'b str>,
    pub cookie: Option<&'b str>,
    pub content_type: Option<&'b str>,
    pub if_match: Option<&'b str>,
    pub if_none_match: Option<&'b str>,
    pub body: &'b [u8],
}

impl<'b> Request<'b> {
    /// Reads a whole request; `None` when it is none.
    pub(crate) fn read(bytes: &'b [u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = head.parse(bytes).ok()? else { return None };
        let (path, query) = head.path?.split_once('?').unwrap_or((head.path?, ""));
        let method = if head.method == Some("HEAD") { "GET" } else { head.method? };
        let mut request = Self { method, path, query, body: &bytes[length..], ..Self::default() };
        for header in head.headers.iter() {
            let place = match header.name.to_ascii_lowercase().as_str() {
                "authorization" => &mut request.authorization,
                "cookie" => &mut request.cookie,
                "content-type" => &mut request.content_type,
                "if-match" => &mut request.if_match,
                "if-none-match" => &mut request.if_none_match,
                _ => continue,
            };
            *place = std::str::from_utf8(header.value).ok();
        }
        Some(request)
    }

    /// A parameter of the query, the first of its name.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        value_of(self.query, name)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none, or says something else.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(self.body).map_err(|error| Problem::new(400, format!("the body: {error}")))
    }
}

/// Whether an `If-Match` or `If-None-Match` names `tag`, which is without its quotes.
pub(crate) fn names_tag(condition: &str, tag: &str) -> bool {
    condition.split(',').map(|part| part.trim().trim_start_matches("W/")).any(|part| {
        part == "*" || part.strip_prefix('"').and_then(|part| part.strip_suffix('"')) == Some(tag)
    })
}

/// An answer of the shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub status: u16,
    pub content_type: Cow<'static, str>,
    /// Names and values, beyond those that every answer has.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: impl Into<Cow<'static, str>>, body: Vec<u8>) -> Self {
        Self { status, content_type: content_type.into(), headers: Vec::new(), body }
    }

    /// A value as JSON; one that has no JSON, which none of ours is, becomes empty.
    pub(crate) fn json(status: u16, value: &impl Serialize) -> Self {
        Self::new(status, "application/json", serde_json::to_vec(value).unwrap_or_default())
    }

    pub(crate) fn html(status: u16, text: String) -> Self {
        Self::new(status, "text/html; charset=utf-8", text.into_bytes())
    }

    /// Leads elsewhere, with a GET.
    pub(crate) fn see_other(location: &str) -> Self {
        Self::new(303, "text/plain", Vec::new()).with("Location", location)
    }

    /// Says nothing but a status.
    pub(crate) fn empty(status: u16) -> Self {
        Self::new(status, "", Vec::new())
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Why a request is not done: a problem document of RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: u16,
    detail: Cow<'static, str>,
    header: Option<(&'static str, &'static str)>,
}

impl Problem {
    pub(crate) fn new(status: u16, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into(), header: None }
    }

    pub(crate) fn with(self, name: &'static str, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self }
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        let Problem { status, detail, header } = problem;
        let title = answer::reason(status);
        let document = json!({"type": "about:blank", "title": title, "status": status, "detail": detail});
        let mut reply = Self::json(status, &document);
        reply.content_type = "application/problem+json".into();
        match header {
            Some((name, value)) => reply.with(name, value),
            None => reply,
        }
    }
}

/// The first value of `name` in `a=1&b=2`, decoded.
pub(crate) fn value_of(text: &str, name: &str) -> Option<String> {
    let mut pairs = text.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(key, _)| decode_form(key) == name).map(|(_, value)| decode_form(value))
}

fn decode_form(text: &str) -> String {
    decode(&text.replace('+', " "))
}

/// Undoes percent-encoding; what is none stays as it is, and what is no UTF-8 is replaced.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|digits| *byte == b'%' && is_hex(digits));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn is_hex(digits: &[u8]) -> bool {
    digits.iter().all(u8::is_ascii_hexdigit)
}

/// Percent-encodes all but what never needs it.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(encoded, "%{byte:02X}").unwrap_or_default();
        }
    }
    encoded
}

/// Makes a text fit for HTML, attributes included.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_decoded_and_encoded() {
        for (coded, text) in [
            ("a%20b", "a b"),
            ("%", "%"),
            ("%4", "%4"),
            ("%+1x", "%+1x"),
            ("%ff", "\u{fffd}"),
            ("%C3%A4", "ä"),
        ] {
            assert_eq!(decode(coded), text, "{coded}");
        }
        assert_eq!(decode(&encode("ä &=+/%\"\r\n")), "ä &=+/%\"\r\n");
        assert_eq!(value_of("a=1&q=red+lamp%21&q=2&flag", "q").as_deref(), Some("red lamp!"));
        assert_eq!(value_of("a=1&flag", "flag").as_deref(), Some(""));
        assert_eq!(value_of("", "q"), None);
    }

    #[test]
    fn conditions_name_tags() {
        assert!(names_tag("\"1\", W/\"2\"", "2") && names_tag("*", "7"));
        assert!(!names_tag("2", "2") && !names_tag("\"12\"", "2") && !names_tag("", ""));
    }

    #[test]
    fn requests_are_read_whole() {
        let bytes = b"HEAD /a%20b?q=1 HTTP/1.1\r\nIF-MATCH: \"1\"\r\nCookie: \xff\r\n\r\nbody";
        let request = Request::read(bytes).unwrap();
        assert_eq!((request.method, request.path, request.query), ("GET", "/a%20b", "q=1"));
        assert_eq!((request.if_match, request.cookie, request.body), (Some("\"1\""), None, &b"body"[..]));
        assert!(Request::read(b"GET /").is_none());
    }
}
