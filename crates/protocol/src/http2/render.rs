//! How HTTP/2 writes a request (RFC 9113, 8.3).
//!
//! Invariant: what is rendered are whole frames for stream 0, in which only the stream has to be put, and the body behind
//! them. They mean the same on every connection.

use super::frame::{CONTINUATION, END_HEADERS, END_STREAM, Frame, HEADER_BYTES, HEADERS};
use super::{MAX_FRAME_BYTES, hpack};
use crate::request::{Given, MAX_HEAD_BYTES, Parts, Request, RequestError};

/// Renders a request.
///
/// # Errors
/// The first fault found, naming the offending text.
pub fn render(parts: &Parts<'_>) -> Result<Request, RequestError> {
    let mut given = Given::check(parts)?;
    let host = parts.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let mut block = hpack::Encoder::default();
    block.push(":method", parts.method);
    block.push(":scheme", parts.scheme);
    block.push(":authority", host.map_or(parts.authority, |(_, value)| trim(value)));
    block.push(":path", parts.path);
    if !given.user_agent && !parts.user_agent.is_empty() {
        block.push("user-agent", parts.user_agent);
    }
    for (name, value) in parts.headers {
        let (name, value) = (name.to_ascii_lowercase(), trim(value));
        if is_sent(&name, value)? {
            block.push(&name, value);
        }
    }
    let has_length = !parts.body.is_empty() || matches!(parts.method, "POST" | "PUT" | "PATCH");
    if !given.content_length && has_length {
        block.push("content-length", &parts.body.len().to_string());
    }
    if parts.expects_continue && !parts.body.is_empty() && !given.expect {
        block.push("expect", "100-continue");
    }
    let block = block.finish();
    if block.len() > MAX_HEAD_BYTES {
        return Err(RequestError::TooLarge(block.len()));
    }
    let mut bytes = frames(&block, parts.body.is_empty());
    let body_at = bytes.len();
    bytes.extend_from_slice(parts.body);
    // No request closes a connection that it shares with others.
    given.closes = false;
    Ok(Request::new(parts, &given, &bytes, body_at))
}

/// Whether a header of the plan is sent. Those that ask HTTP/1.1 for what HTTP/2 does anyway are left out (RFC 9113, 8.2.2).
fn is_sent(name: &str, value: &str) -> Result<bool, RequestError> {
    match name {
        "host" | "keep-alive" | "proxy-connection" => Ok(false),
        "connection" if value.eq_ignore_ascii_case("keep-alive") => Ok(false),
        "te" if value.eq_ignore_ascii_case("trailers") => Ok(true),
        "connection" | "te" | "upgrade" | "http2-settings" => {
            Err(RequestError::ConnectionHeader { name: name.to_owned(), value: value.to_owned() })
        }
        _ => Ok(true),
    }
}

fn frames(block: &[u8], ends_stream: bool) -> Vec<u8> {
    let count = block.len().div_ceil(MAX_FRAME_BYTES);
    let mut bytes = Vec::with_capacity(block.len() + count * HEADER_BYTES);
    for (at, fragment) in block.chunks(MAX_FRAME_BYTES).enumerate() {
        let kind = if at == 0 { HEADERS } else { CONTINUATION };
        let end_headers = if at + 1 == count { END_HEADERS } else { 0 };
        let end_stream = if at == 0 && ends_stream { END_STREAM } else { 0 };
        let length = u32::try_from(fragment.len()).expect("a fragment fits a frame");
        Frame { length, kind, flags: end_headers | end_stream, stream: 0 }.write(&mut bytes);
        bytes.extend_from_slice(fragment);
    }
    bytes
}

fn trim(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}
