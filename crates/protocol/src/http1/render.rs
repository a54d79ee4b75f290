//! How HTTP/1.1 writes a request (RFC 9112).
//!
//! Invariant: the bytes are exactly one request.

use crate::request::{Given, MAX_HEAD_BYTES, Parts, Request, RequestError, is_value};

/// Renders a request.
///
/// # Errors
/// The first fault found, naming the offending text.
pub fn render(parts: &Parts<'_>) -> Result<Request, RequestError> {
    let given = Given::check(parts)?;
    let mut bytes = Vec::with_capacity(256 + parts.body.len());
    push(&mut bytes, &[parts.method, " ", parts.path, " HTTP/1.1\r\n"]);
    finish(parts, &given, bytes)
}

/// As [`render`], for a proxy that fetches what the URL names (RFC 9112, 3.2.2).
pub(crate) fn render_for_proxy(
    parts: &Parts<'_>,
    authorization: Option<&str>,
) -> Result<Request, RequestError> {
    let given = Given::check(parts)?;
    let mut bytes = Vec::with_capacity(256 + parts.body.len());
    // A URL without a path stands for the server as a whole (RFC 9112, 3.2.4).
    let path = if parts.path == "*" { "" } else { parts.path };
    push(&mut bytes, &[parts.method, " ", parts.scheme, "://", parts.authority, path, " HTTP/1.1\r\n"]);
    if let Some(value) = authorization {
        if !is_value(value) {
            let (name, value) = ("Proxy-Authorization".to_owned(), value.to_owned());
            return Err(RequestError::HeaderValue { name, value });
        }
        push(&mut bytes, &["Proxy-Authorization: ", value, "\r\n"]);
    }
    finish(parts, &given, bytes)
}

/// Headers and body after the request line.
fn finish(parts: &Parts<'_>, given: &Given, mut bytes: Vec<u8>) -> Result<Request, RequestError> {
    if !given.host {
        push(&mut bytes, &["Host: ", parts.authority, "\r\n"]);
    }
    if !given.user_agent && !parts.user_agent.is_empty() {
        push(&mut bytes, &["User-Agent: ", parts.user_agent, "\r\n"]);
    }
    for (name, value) in parts.headers {
        push(&mut bytes, &[name, ": ", value.trim_matches([' ', '\t']), "\r\n"]);
    }
    // A method that usually has a body says so when it is empty (RFC 9110, 8.6).
    let has_length = !parts.body.is_empty() || matches!(parts.method, "POST" | "PUT" | "PATCH");
    if !given.content_length && has_length {
        push(&mut bytes, &["Content-Length: ", &parts.body.len().to_string(), "\r\n"]);
    }
    if parts.expects_continue && !parts.body.is_empty() && !given.expect {
        push(&mut bytes, &["Expect: 100-continue\r\n"]);
    }
    push(&mut bytes, &["\r\n"]);
    if bytes.len() > MAX_HEAD_BYTES {
        return Err(RequestError::TooLarge(bytes.len()));
    }
    let body_at = bytes.len();
    bytes.extend_from_slice(parts.body);
    Ok(Request::new(parts, given, &bytes, body_at))
}

fn push(bytes: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        bytes.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'a>(
        authority: &'a str,
        method: &'a str,
        path: &'a str,
        headers: &'a [(String, String)],
        body: &'a [u8],
        user_agent: &'a str,
    ) -> Parts<'a> {
        let (scheme, expects_continue) = ("http", false);
        Parts { method, scheme, authority, path, headers, body, user_agent, expects_continue }
    }

    fn render(
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<String, RequestError> {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        super::render(&parts("example.test:8080", method, path, &headers, body, "groundswell/1"))
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
        let request = super::render(&parts("h", "HEAD", "/", &closing, b"", "")).unwrap();
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
                matches!(super::render(&parts(host, "GET", "/", &[], b"", "")), Err(RequestError::Host(_))),
                "{host:?}"
            );
        }
        assert!(matches!(
            super::render(&parts("h", "GET", "/", &[], b"", "a\nb")),
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
