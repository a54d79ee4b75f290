//! Answers as bytes.

use crate::request::Ask;
use crate::shop::Reply;

/// What large answers are made of.
pub(crate) static FILLER: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// The answer to `/ping` over a connection that stays open: the bytes that are sent most.
const PONG: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\npong";

/// Appends `pong`.
#[inline]
pub(crate) fn pong(output: &mut Vec<u8>, ask: &Ask) {
    if ask.is_head || ask.is_http_1_0 || !ask.keep_alive {
        with_body(output, ask, 200, "text/plain", b"pong");
    } else {
        output.extend_from_slice(PONG);
    }
}

/// Appends a whole answer, without its body when the request does not want one.
pub(crate) fn with_body(output: &mut Vec<u8>, ask: &Ask, status: u16, content_type: &str, body: &[u8]) {
    head(output, ask, status, content_type, body.len() as u64);
    if !ask.is_head {
        output.extend_from_slice(body);
    }
}

/// Appends an answer with a status and a short text.
pub(crate) fn with_status(output: &mut Vec<u8>, ask: &Ask, status: u16) {
    if matches!(status, 204 | 304) {
        start(output, status);
        connection(output, ask);
        output.extend_from_slice(b"\r\n");
    } else {
        with_body(output, ask, status, "text/plain", reason(status).as_bytes());
    }
}

/// Appends an answer of the shop.
pub(crate) fn reply(output: &mut Vec<u8>, ask: &Ask, reply: &Reply) {
    start(output, reply.status);
    for (name, value) in &reply.headers {
        output.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    let has_body = !matches!(reply.status, 204 | 304);
    if has_body {
        content(output, &reply.content_type, reply.body.len() as u64);
    }
    connection(output, ask);
    output.extend_from_slice(b"\r\n");
    if has_body && !ask.is_head {
        output.extend_from_slice(&reply.body);
    }
}

/// Appends the head of an answer whose body has `length` bytes.
pub(crate) fn head(output: &mut Vec<u8>, ask: &Ask, status: u16, content_type: &str, length: u64) {
    start(output, status);
    content(output, content_type, length);
    connection(output, ask);
    output.extend_from_slice(b"\r\n");
}

/// Appends the answer to a request that cannot be understood; the connection ends with it.
pub(crate) fn refusal(output: &mut Vec<u8>, status: u16) {
    start(output, status);
    let reason = reason(status);
    let rest = format!("Content-Length: {}\r\nConnection: close\r\n\r\n{reason}", reason.len());
    output.extend_from_slice(rest.as_bytes());
}

fn start(output: &mut Vec<u8>, status: u16) {
    output.extend_from_slice(format!("HTTP/1.1 {status} {}\r\n", reason(status)).as_bytes());
}

fn content(output: &mut Vec<u8>, content_type: &str, length: u64) {
    output.extend_from_slice(
        format!("Content-Type: {content_type}\r\nContent-Length: {length}\r\n").as_bytes(),
    );
}

fn connection(output: &mut Vec<u8>, ask: &Ask) {
    if !ask.keep_alive {
        output.extend_from_slice(b"Connection: close\r\n");
    } else if ask.is_http_1_0 {
        output.extend_from_slice(b"Connection: keep-alive\r\n");
    }
}

/// The words that go with a status.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
