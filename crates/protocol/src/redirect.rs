//! From a redirect to the next request (RFC 9110, 10.2.2 and 15.4), as browsers make it.
//!
//! Invariant: what belongs to one origin (`Host`, `Authorization`, `Cookie`) is never sent to another, and a target's
//! `Location` cannot become anything but one request's URL. Deliberately absent: how many to follow, which is the caller's
//! bound, and 300, which no browser follows.

use std::fmt::Write as _;

use iri_string::types::{UriAbsoluteStr, UriReferenceStr, UriStr};

use crate::Parts;

/// Bytes of a `Location` that are read, as much as browsers take of a URL in practice.
pub const MAX_LOCATION_BYTES: usize = 8 * 1024;

/// Headers of the old body, dropped with it (RFC 9110, 15.4).
const OF_THE_BODY: [&str; 8] = [
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-type",
    "digest",
    "expect",
    "last-modified",
];

/// Headers that are secrets of the old origin, or name it.
const OF_THE_ORIGIN: [&str; 6] =
    ["authorization", "cookie", "host", "origin", "proxy-authorization", "referer"];

/// The request that a redirect asks for. Its body is the old one, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// The old method, or `GET`.
    pub method: String,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Name or address in lower case, IPv6 without brackets.
    pub host: String,
    /// Given or implied by the scheme.
    pub port: u16,
    /// Path and query; the fragment, which stays with the client, is dropped.
    pub path: String,
    /// The old ones, as far as they belong to the new request.
    pub headers: Vec<(String, String)>,
    /// Whether the old body is sent again.
    pub keeps_body: bool,
    /// Whether scheme, host or port differ from those of the old request.
    pub changes_origin: bool,
    /// Whether it leads from `https` to `http`, which browsers follow and which is worth a word.
    pub is_downgrade: bool,
}

/// Why a redirect cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// It is no URL, or longer than [`MAX_LOCATION_BYTES`].
    #[error("invalid Location {0:?}")]
    Location(String),
    /// It is not of the web.
    #[error("Location {0:?} is neither http nor https")]
    Scheme(String),
}

/// Whether the status asks for another request when there is a `Location`.
#[inline]
pub fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// What to send after `parts` were answered with `status`, of which [`is_redirect`] holds, and `Location`.
///
/// # Errors
/// The location leads nowhere.
pub fn next(parts: &Parts<'_>, status: u16, location: &[u8]) -> Result<Next, RedirectError> {
    let url = Url::resolve(parts, location)?;
    let changes_method = match status {
        301 | 302 => parts.method == "POST",
        303 => !matches!(parts.method, "GET" | "HEAD"),
        _ => false,
    };
    let old_port = default_port(parts.scheme);
    let (old_host, old_port) =
        split_authority(parts.authority, old_port).unwrap_or((parts.authority, old_port));
    let changes_origin = parts.scheme != url.scheme
        || !without_brackets(old_host).eq_ignore_ascii_case(&url.host)
        || old_port != url.port;
    let is_kept = |name: &str| {
        let is_one_of = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
        !(changes_method && is_one_of(&OF_THE_BODY) || changes_origin && is_one_of(&OF_THE_ORIGIN))
    };
    Ok(Next {
        method: if changes_method { "GET" } else { parts.method }.to_owned(),
        headers: parts.headers.iter().filter(|(name, _)| is_kept(name)).cloned().collect(),
        keeps_body: !changes_method,
        changes_origin,
        is_downgrade: parts.scheme == "https" && url.scheme == "http",
        scheme: url.scheme,
        host: url.host,
        port: url.port,
        path: url.path,
    })
}

impl Next {
    /// For `Host`: without the port that the scheme implies.
    pub fn authority(&self) -> String {
        let colons = self.host.contains(':');
        let host = if colons { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == default_port(self.scheme) { host } else { format!("{host}:{}", self.port) }
    }
}

/// The parts of an absolute URL that a request needs.
struct Url {
    scheme: &'static str,
    host: String,
    port: u16,
    path: String,
}

impl Url {
    fn resolve(parts: &Parts<'_>, location: &[u8]) -> Result<Self, RedirectError> {
        let invalid = || RedirectError::Location(shown(location));
        if location.len() > MAX_LOCATION_BYTES {
            return Err(invalid());
        }
        let reference = escape(location.trim_ascii());
        let reference = UriReferenceStr::new(&reference).map_err(|_| invalid())?;
        let old_path = if parts.path == "*" { "/" } else { parts.path };
        let base = format!("{}://{}{old_path}", parts.scheme, parts.authority);
        let base = escape(base.as_bytes());
        let base = UriAbsoluteStr::new(&base).map_err(|_| invalid())?;
        let resolved = reference.resolve_against(base);
        resolved.ensure_rfc3986_normalizable().map_err(|_| invalid())?;
        let resolved = resolved.to_string();
        let uri = UriStr::new(&resolved).map_err(|_| invalid())?;
        let scheme = match uri.scheme_str() {
            scheme if scheme.eq_ignore_ascii_case("http") => "http",
            scheme if scheme.eq_ignore_ascii_case("https") => "https",
            _ => return Err(RedirectError::Scheme(shown(location))),
        };
        let authority = uri.authority_components().ok_or_else(invalid)?;
        let host = without_brackets(authority.host()).to_ascii_lowercase();
        let port = match authority.port() {
            None | Some("") => Some(default_port(scheme)),
            Some(digits) => digits.parse().ok(),
        };
        if host.is_empty() {
            return Err(invalid());
        }
        let path = if uri.path_str().is_empty() { "/" } else { uri.path_str() };
        let path = match uri.query_str() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        Ok(Self { scheme, host, port: port.ok_or_else(invalid)?, path })
    }
}

/// The URL without its fragment, with all that RFC 3986 has no place for percent-encoded, as browsers do.
fn escape(url: &[u8]) -> String {
    let url = url.split(|byte| *byte == b'#').next().unwrap_or_default();
    let authority = authority_of(url);
    let mut escaped = String::with_capacity(url.len());
    for (at, byte) in url.iter().enumerate() {
        let is_kept = match byte {
            b'[' | b']' => authority.contains(&at),
            b'%' => {
                matches!(url.get(at + 1..at + 3), Some([a, b]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
            }
            byte => byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(byte),
        };
        if is_kept {
            escaped.push(char::from(*byte));
        } else {
            // Writing into a string cannot fail.
            let _infallible = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// Where the authority of a URL is; empty when it has none.
fn authority_of(url: &[u8]) -> std::ops::Range<usize> {
    let ends_it = |byte: &u8| matches!(byte, b'/' | b'?');
    let first = url.iter().position(ends_it).unwrap_or(url.len());
    let has_one = url[first..].starts_with(b"//") && (first == 0 || url[first - 1] == b':');
    if !has_one {
        return 0..0;
    }
    let start = first + 2;
    start..url[start..].iter().position(ends_it).map_or(url.len(), |length| start + length)
}

fn split_authority(authority: &str, default: u16) -> Option<(&str, u16)> {
    let host_end = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[host_end..].split_once(':') {
        Some((host, "")) => Some((&authority[..host_end + host.len()], default)),
        Some((host, port)) => Some((&authority[..host_end + host.len()], port.parse().ok()?)),
        None => Some((authority, default)),
    }
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

/// The start of what the target sent, for an error.
fn shown(location: &[u8]) -> String {
    const SHOWN_BYTES: usize = 200;
    String::from_utf8_lossy(&location[..location.len().min(SHOWN_BYTES)]).into_owned()
}
