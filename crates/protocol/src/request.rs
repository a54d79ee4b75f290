//! A request, validated and rendered once, sent many times.
//!
//! Invariant: nothing that a plan contains can end a line or the message early, whatever the protocol.

use std::sync::Arc;

/// Bytes of a request's headers, as much as targets take. More is a mistake in the plan.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;

/// What a plan says of a request.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// `GET`, …; any token but `CONNECT`.
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// `name`, `name:port` or `[v6]:port`; what `Host` says unless `headers` has it.
    pub authority: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// `Host`, `User-Agent` and `Content-Length` are added unless they are here.
    pub headers: &'a [(String, String)],
    /// The whole body.
    pub body: &'a [u8],
    /// Left out when empty.
    pub user_agent: &'a str,
    /// Whether the body waits for the target's permission (RFC 9110, 10.1.1).
    pub expects_continue: bool,
}

/// A rendered request, and what its response must know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    bytes: Arc<[u8]>,
    body_at: usize,
    is_head: bool,
    closes: bool,
    expects_continue: bool,
}

/// Why a request cannot be sent. The text given is the offending one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("method {0:?} is not an HTTP token")]
    Method(String),
    #[error("method CONNECT opens a tunnel, which a load test cannot use")]
    Connect,
    #[error("host {0:?} is not a host name or address with an optional port")]
    Host(String),
    #[error(
        "path {0:?} must start with '/' and hold neither spaces, '#', control nor non-ASCII characters (percent-encode them)"
    )]
    Path(String),
    #[error("header name {0:?} is not an HTTP token")]
    HeaderName(String),
    #[error("header {name}: value {value:?} holds a line break or another control character")]
    HeaderValue { name: String, value: String },
    #[error("header {0} is given more than once")]
    Repeated(&'static str),
    #[error("header Content-Length is {given:?}, but the body has {actual} bytes (leave it out)")]
    ContentLength { given: String, actual: usize },
    #[error("header Transfer-Encoding cannot be set: bodies are sent whole, with their length")]
    TransferEncoding,
    #[error("header {name} with {value:?} belongs to HTTP/1.1 and has no place in HTTP/2")]
    ConnectionHeader { name: String, value: String },
    #[error("the headers have {0} bytes, more than {MAX_HEAD_BYTES}")]
    TooLarge(usize),
}

impl Request {
    /// `bytes` are what a protocol made of `parts`: head and body, which starts at `body_at`.
    pub(crate) fn new(parts: &Parts<'_>, given: &Given, bytes: &[u8], body_at: usize) -> Self {
        Self {
            bytes: bytes.into(),
            body_at,
            is_head: parts.method == "HEAD",
            closes: given.closes,
            expects_continue: parts.expects_continue && !parts.body.is_empty(),
        }
    }

    /// As its protocol sends it: head and body.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// Where the body starts in [`bytes`](Self::bytes).
    pub fn body_at(&self) -> usize {
        self.body_at
    }

    /// Whether the method is `HEAD`, whose response has no body whatever its headers say.
    pub fn is_head(&self) -> bool {
        self.is_head
    }

    /// Whether the request asks the target to close the connection.
    pub fn closes(&self) -> bool {
        self.closes
    }

    /// Whether the body waits for the target's permission.
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }
}

/// Which of the headers that would be added are in the plan.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) host: bool,
    pub(crate) user_agent: bool,
    pub(crate) content_length: bool,
    pub(crate) expect: bool,
    pub(crate) closes: bool,
}

impl Given {
    /// Checks all of `parts`.
    pub(crate) fn check(parts: &Parts<'_>) -> Result<Self, RequestError> {
        check_start(parts.method, parts.authority, parts.path)?;
        if !is_value(parts.user_agent) {
            let (name, value) = ("User-Agent".to_owned(), parts.user_agent.to_owned());
            return Err(RequestError::HeaderValue { name, value });
        }
        let mut given = Self::default();
        let body = parts.body;
        for (name, value) in parts.headers {
            if !is_token(name) {
                return Err(RequestError::HeaderName(name.clone()));
            }
            if !is_value(value) {
                return Err(RequestError::HeaderValue { name: name.clone(), value: value.clone() });
            }
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if is("host") {
                once(&mut given.host, "Host")?;
            } else if is("user-agent") {
                once(&mut given.user_agent, "User-Agent")?;
            } else if is("content-length") {
                once(&mut given.content_length, "Content-Length")?;
                if value.trim_matches([' ', '\t']) != body.len().to_string() {
                    return Err(RequestError::ContentLength { given: value.clone(), actual: body.len() });
                }
            } else if is("expect") {
                given.expect = true;
            } else if is("transfer-encoding") {
                return Err(RequestError::TransferEncoding);
            } else if is("connection") {
                given.closes |= value.split(',').any(|token| token.trim().eq_ignore_ascii_case("close"));
            }
        }
        Ok(given)
    }
}

fn check_start(method: &str, host: &str, path: &str) -> Result<(), RequestError> {
    if !is_token(method) {
        return Err(RequestError::Method(method.to_owned()));
    }
    if method == "CONNECT" {
        return Err(RequestError::Connect);
    }
    if !is_host(host) {
        return Err(RequestError::Host(host.to_owned()));
    }
    let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let asks_all = path == "*" && method == "OPTIONS";
    if !is_path && !asks_all {
        return Err(RequestError::Path(path.to_owned()));
    }
    Ok(())
}

fn once(seen: &mut bool, name: &'static str) -> Result<(), RequestError> {
    if std::mem::replace(seen, true) { Err(RequestError::Repeated(name)) } else { Ok(()) }
}

/// `token` of RFC 9110, 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// `field-value` of RFC 9110, 5.5: no control character but the tab.
pub(crate) fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control())
}

/// What RFC 3986 allows in a host with or without a port, as far as one byte can tell.
pub(crate) fn is_host(host: &str) -> bool {
    let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte);
    !host.is_empty() && host.bytes().all(is_host_byte)
}
