//! Requests signed for AWS: Signature Version 4
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).
//!
//! ```text
//! request ─► canonical text ─► its hash, time and scope ─► HMAC by a key of the day ─► headers
//! ```
//!
//! Invariant: what is signed is what is sent; headers that are written later (`user-agent`, cookies) or that a proxy may
//! change are not. Deliberately absent: signatures in queries, bodies in chunks, Version 4A, and where keys come from.

use std::borrow::Cow;
use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign as hmac};
use time::OffsetDateTime;

use crate::Parts;

/// Headers that are not signed.
const UNSIGNED: [&str; 6] =
    ["authorization", "user-agent", "x-amzn-trace-id", "accept-encoding", "connection", "cookie"];

/// Whose signature it is, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Signer<'a> {
    /// Such as `eu-central-1`.
    pub region: &'a str,
    /// Such as `s3` or `execute-api`.
    pub service: &'a str,
    /// Names the key.
    pub access_key: &'a str,
    /// The key.
    pub secret_key: &'a str,
    /// Goes with a key that holds for a while.
    pub session_token: Option<&'a str>,
}

/// The headers that sign the request `parts`, sent `unix_s` seconds after 1970; `authorization` is the last of them.
pub fn sign(signer: &Signer<'_>, parts: &Parts<'_>, unix_s: i64) -> Vec<(String, String)> {
    let moment = moment(unix_s);
    let day = &moment[..8];
    let payload = hex(digest(&SHA256, parts.body).as_ref());
    let mut added = vec![("x-amz-date".to_owned(), moment.clone())];
    added.extend(signer.session_token.map(|token| ("x-amz-security-token".to_owned(), token.to_owned())));
    let is_s3 = signer.service == "s3";
    if is_s3 {
        added.push(("x-amz-content-sha256".to_owned(), payload.clone()));
    }
    let (headers, names) = canonical_headers(parts, &added);
    let (path, query) = parts.path.split_once('?').unwrap_or((parts.path, ""));
    let path = canonical_path(path, is_s3);
    let query = canonical_query(query);
    let canonical = format!("{}\n{path}\n{query}\n{headers}\n{names}\n{payload}", parts.method);

    let scope = format!("{day}/{}/{}/aws4_request", signer.region, signer.service);
    let hash = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hash}");
    let mut key = Key::new(HMAC_SHA256, format!("AWS4{}", signer.secret_key).as_bytes());
    for part in [day, signer.region, signer.service, "aws4_request"] {
        key = Key::new(HMAC_SHA256, hmac(&key, part.as_bytes()).as_ref());
    }
    let signature = hex(hmac(&key, text.as_bytes()).as_ref());
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        signer.access_key
    );
    added.push(("authorization".to_owned(), authorization));
    added
}

/// Such as `20150830T123600Z`.
fn moment(unix_s: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(unix_s).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", time.hour(), time.minute(), time.second())
}

/// Lines of the headers that are signed, and their names.
fn canonical_headers(parts: &Parts<'_>, added: &[(String, String)]) -> (String, String) {
    let own = parts.headers.iter().chain(added).map(|(name, value)| (name.to_ascii_lowercase(), &**value));
    let mut headers: Vec<(String, &str)> =
        own.filter(|(name, _)| !UNSIGNED.contains(&name.as_str())).collect();
    if !headers.iter().any(|(name, _)| name == "host") {
        headers.push(("host".to_owned(), parts.authority));
    }
    // Values of one name stay in their order.
    headers.sort_by(|(a, _), (b, _)| a.cmp(b));
    let (mut lines, mut names) = (String::new(), String::new());
    for same in headers.chunk_by(|(a, _), (b, _)| a == b) {
        let values = same.iter().map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "));
        let name = &same[0].0;
        lines.push_str(&format!("{name}:{}\n", values.collect::<Vec<_>>().join(",")));
        names.push_str(if names.is_empty() { "" } else { ";" });
        names.push_str(name);
    }
    (lines, names)
}

/// S3 encodes its keys once and takes them as they are; elsewhere the path is simplified (RFC 3986, 5.2.4), and what is
/// encoded already is encoded again.
fn canonical_path(path: &str, is_s3: bool) -> String {
    if is_s3 {
        return encoded(&decoded(path, false), b"/");
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let ends_open = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    let slash = if ends_open && !segments.is_empty() { "/" } else { "" };
    format!("/{}{slash}", encoded(segments.join("/").as_bytes(), b"/"))
}

/// Pairs in the order of their encoded names and values.
fn canonical_query(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encoded(&decoded(name, true), b""), encoded(&decoded(value, true), b""))
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn encoded(bytes: &[u8], also: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || also.contains(byte) {
            text.push(char::from(*byte));
        } else {
            write!(text, "%{byte:02X}").unwrap_or_default();
        }
    }
    text
}

/// Undoes percent-encoding; in a query a plus is a space.
fn decoded(text: &str, is_query: bool) -> Cow<'_, [u8]> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Cow::Borrowed(text.as_bytes());
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut rest = text.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let [first, others @ ..] = rest {
        rest = others;
        let coded = match others {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match coded {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &others[2..];
            }
            None if *first == b'+' && is_query => bytes.push(b' '),
            None => bytes.push(*first),
        }
    }
    Cow::Owned(bytes)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    bytes.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap_or_default());
    text
}
