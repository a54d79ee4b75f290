//! A request, validated and rendered once, sent many times.
//!
//! Invariant: the bytes of a [`Request`] are exactly one HTTP/1.1 request, whatever the plan contained: nothing in it
//! can end a line or the message early.

use super::MAX_HEAD_BYTES;

/// The bytes of one request, and what its response must know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    bytes: Box<[u8]>,
    is_head: bool,
    closes: bool,
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
    #[error("the headers have {0} bytes, more than {MAX_HEAD_BYTES}")]
    TooLarge(usize),
}

impl Request {
    /// Renders a request.
    ///
    /// `host` is what the `Host` header says (`name`, `name:port`, `[v6]:port`), `path` includes the query. `Host`,
    /// `User-Agent` (left out when `user_agent` is empty) and `Content-Length` are added unless `headers` has them.
    ///
    /// # Errors
    /// The first fault found, naming the offending text.
    pub fn new(
        method: &str,
        host: &str,
        path: &str,
        headers: &[(String, String)],
        body: &[u8],
        user_agent: &str,
    ) -> Result<Self, RequestError> {
        check_start(method, host, path)?;
        let given = Given::check(headers, body)?;
        if !is_value(user_agent) {
            let (name, value) = ("User-Agent".to_owned(), user_agent.to_owned());
            return Err(RequestError::HeaderValue { name, value });
        }

        let mut bytes = Vec::with_capacity(256 + body.len());
        push(&mut bytes, &[method, " ", path, " HTTP/1.1\r\n"]);
        if !given.host {
            push(&mut bytes, &["Host: ", host, "\r\n"]);
        }
        if !given.user_agent && !user_agent.is_empty() {
            push(&mut bytes, &["User-Agent: ", user_agent, "\r\n"]);
        }
        for (name, value) in headers {
            push(&mut bytes, &[name, ": ", value.trim_matches([' ', '\t']), "\r\n"]);
        }
        // A method that usually has a body says so when it is empty (RFC 9110, 8.6).
        if !given.content_length && (!body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH")) {
            push(&mut bytes, &["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        push(&mut bytes, &["\r\n"]);
        if bytes.len() > MAX_HEAD_BYTES {
            return Err(RequestError::TooLarge(bytes.len()));
        }
        bytes.extend_from_slice(body);
        Ok(Self { bytes: bytes.into_boxed_slice(), is_head: method == "HEAD", closes: given.closes })
    }

    /// What goes over the connection: head and body.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the method is `HEAD`, whose response has no body whatever its headers say.
    pub fn is_head(&self) -> bool {
        self.is_head
    }

    /// Whether the request asks the target to close the connection.
    pub fn closes(&self) -> bool {
        self.closes
    }
}

/// Which of the headers that would be added are in the plan.
#[derive(Default)]
struct Given {
    host: bool,
    user_agent: bool,
    content_length: bool,
    closes: bool,
}

impl Given {
    fn check(headers: &[(String, String)], body: &[u8]) -> Result<Self, RequestError> {
        let mut given = Self::default();
        for (name, value) in headers {
            if !is_token(name) {
                return Err(RequestError::HeaderName(name.clone()));
            }
            if !is_value(value) {
                return Err(RequestError::HeaderValue { name: name.clone(), value: value.clone() });
            }
            match name.to_ascii_lowercase().as_str() {
                "host" => once(&mut given.host, "Host")?,
                "user-agent" => once(&mut given.user_agent, "User-Agent")?,
                "content-length" => {
                    once(&mut given.content_length, "Content-Length")?;
                    if value.trim_matches([' ', '\t']) != body.len().to_string() {
                        return Err(RequestError::ContentLength { given: value.clone(), actual: body.len() });
                    }
                }
                "transfer-encoding" => return Err(RequestError::TransferEncoding),
                "connection" => {
                    given.closes |= value.split(',').any(|token| token.trim().eq_ignore_ascii_case("close"));
                }
                _ => {}
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
    if host.is_empty() || !host.bytes().all(is_host_byte) {
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

fn push(bytes: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        bytes.extend_from_slice(part.as_bytes());
    }
}

/// `token` of RFC 9110, 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// `field-value` of RFC 9110, 5.5: no control character but the tab.
fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control())
}

/// What RFC 3986 allows in a host with a port, as far as one byte can tell.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<String, RequestError> {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Request::new(method, "example.test:8080", path, &headers, body, "groundswell/1")
            .map(|request| String::from_utf8(request.bytes().to_vec()).unwrap())
    }

    #[test]
    fn adds_what_the_plan_left_out() {
        assert_eq!(
            render("GET", "/a?b=c", &[], b"").unwrap(),
            "GET /a?b=c HTTP/1.1\r\nHost: example.test:8080\r\nUser-Agent: groundswell/1\r\n\r\n"
        );
        assert_eq!(
            render("POST", "/", &[("X-Note", " a b\t")], b"hi").unwrap(),
            "POST / HTTP/1.1\r\nHost: example.test:8080\r\nUser-Agent: groundswell/1\r\nX-Note: a b\r\nContent-Length: 2\r\n\r\nhi"
        );
        assert!(render("PUT", "/", &[], b"").unwrap().contains("Content-Length: 0\r\n"));
    }

    #[test]
    fn keeps_what_the_plan_set() {
        let headers = [
            ("host", "other"),
            ("USER-AGENT", "mine"),
            ("content-length", "2"),
            ("X-Twice", "1"),
            ("X-Twice", "2"),
        ];
        assert_eq!(
            render("POST", "/", &headers, b"hi").unwrap(),
            "POST / HTTP/1.1\r\nhost: other\r\nUSER-AGENT: mine\r\ncontent-length: 2\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\nhi"
        );
        assert_eq!(render("OPTIONS", "*", &[], b"").unwrap().lines().next(), Some("OPTIONS * HTTP/1.1"));
    }

    #[test]
    fn knows_what_the_response_depends_on() {
        let closing = [("Connection".to_owned(), "TE, Close".to_owned())];
        let request = Request::new("HEAD", "h", "/", &closing, b"", "").unwrap();
        assert!(request.is_head() && request.closes());
        assert!(!String::from_utf8_lossy(request.bytes()).contains("User-Agent"));
    }

    #[test]
    fn refuses_what_would_break_out_of_its_place() {
        let refused = |result: Result<String, RequestError>| result.unwrap_err().to_string();
        for method in ["", "G T", "GET\r\n", "GÉT"] {
            assert!(matches!(render(method, "/", &[], b""), Err(RequestError::Method(_))), "{method:?}");
        }
        for path in ["", "a", "/a b", "/a\r\nX: y", "/é", "/#top", "*"] {
            assert!(matches!(render("GET", path, &[], b""), Err(RequestError::Path(_))), "{path:?}");
        }
        for name in ["", "a b", "a:", "a\n", "é"] {
            assert!(
                matches!(render("GET", "/", &[(name, "v")], b""), Err(RequestError::HeaderName(_))),
                "{name:?}"
            );
        }
        for value in ["a\r\nb: c", "a\n", "a\0", "\u{7f}"] {
            let result = render("GET", "/", &[("a", value)], b"");
            assert!(matches!(result, Err(RequestError::HeaderValue { .. })), "{value:?}");
        }
        for host in ["", "a b", "a/b", "user@host", "a\r\n"] {
            assert!(
                matches!(Request::new("GET", host, "/", &[], b"", ""), Err(RequestError::Host(_))),
                "{host:?}"
            );
        }
        assert!(matches!(
            Request::new("GET", "h", "/", &[], b"", "a\nb"),
            Err(RequestError::HeaderValue { .. })
        ));
        assert_eq!(
            refused(render("CONNECT", "/", &[], b"")),
            "method CONNECT opens a tunnel, which a load test cannot use"
        );
        assert_eq!(
            refused(render("POST", "/", &[("Content-Length", "3")], b"hi")),
            "header Content-Length is \"3\", but the body has 2 bytes (leave it out)"
        );
        assert_eq!(
            refused(render("GET", "/", &[("Host", "a"), ("host", "b")], b"")),
            "header Host is given more than once"
        );
        assert_eq!(
            render("GET", "/", &[("Transfer-Encoding", "chunked")], b""),
            Err(RequestError::TransferEncoding)
        );
        let long = "x".repeat(MAX_HEAD_BYTES);
        assert!(matches!(render("GET", "/", &[("a", &long)], b""), Err(RequestError::TooLarge(_))));
    }
}
