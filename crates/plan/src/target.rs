//! Base URLs, and the paths that are appended to them.

use std::fmt;
use std::net::Ipv6Addr;

use crate::diagnostic::Wrong;
use crate::limits;

/// The scheme of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP over TCP, without TLS.
    Http,
}

/// A base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Always `http` in this version.
    pub scheme: Scheme,
    /// A name or an address; an IPv6 address stands without brackets.
    pub host: String,
    /// The port, 80 when the URL has none.
    pub port: u16,
    /// What every path is appended to: empty, or starting with `/` and not ending with it.
    pub base_path: String,
}

impl Target {
    /// Host and port as the `host` header has them: brackets around an IPv6 address, no port when it is 80.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }

    /// The base URL `text`.
    pub(crate) fn parse(text: &str) -> Result<Self, Wrong> {
        let (target, rest) = origin(text)?;
        if rest.contains('?') {
            let wrong = Wrong::new("bad_target", "a target is a base URL, without a query");
            return Err(wrong.help("put the query into the steps"));
        }
        let base_path = check_path(rest)?.trim_end_matches('/').to_owned();
        Ok(Self { base_path, ..target })
    }

    /// A whole URL as a target without base path, and the path with its query.
    pub(crate) fn split(text: &str) -> Result<(Self, String), Wrong> {
        let (target, rest) = origin(text)?;
        let path = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
        Ok((target, check_path(&path)?))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.base_path)
    }
}

/// Scheme, host and port of `text`, and what follows them.
fn origin(text: &str) -> Result<(Target, &str), Wrong> {
    let bad = |message: &str| Wrong::new("bad_target", message).help("write it like http://127.0.0.1:8080");
    let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("the target must be a URL"))?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" => {}
        "https" => return Err(Wrong::unsupported("unsupported_https", "https")),
        _ => return Err(bad("the target's scheme must be http")),
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(bad("the target cannot hold a user or a password"));
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) =
                rest.split_once(']').ok_or_else(|| bad("the target's address lacks its \"]\""))?;
            host.parse::<Ipv6Addr>().map_err(|_| bad("the target's address is not an IPv6 address"))?;
            let port = if port.is_empty() { None } else { Some(port.strip_prefix(':').unwrap_or("")) };
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    if host.is_empty() || host.len() > 253 || !host.chars().all(in_name) {
        return Err(bad("the target's host is neither a name nor an address"));
    }
    let port = match port {
        None => 80,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| bad("the target's port must be 1 to 65535"))?,
        Some(_) => return Err(bad("the target's port must be 1 to 65535")),
    };
    let host = host.to_ascii_lowercase();
    Ok((Target { scheme: Scheme::Http, host, port, base_path: String::new() }, path))
}

/// A path with its query, with all characters encoded that may not stand in a request line.
pub(crate) fn check_path(path: &str) -> Result<String, Wrong> {
    if path.contains('#') {
        return Err(
            Wrong::new("bad_path", "a fragment (#…) is never sent").help("leave it out, or write %23")
        );
    }
    if path.chars().any(char::is_control) {
        return Err(Wrong::new("bad_path", "the path has a control character"));
    }
    let encoded = encode(path, |byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
    if encoded.len() > limits::PATH_BYTES {
        let message = format!("the path has {} bytes, more than {}", encoded.len(), limits::PATH_BYTES);
        return Err(Wrong::new("absurd", message));
    }
    Ok(encoded)
}

/// A key or value of a query or form (`application/x-www-form-urlencoded`).
pub(crate) fn encode_pair(key: &str, value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte);
    format!("{}={}", encode(key, plain), encode(value, plain))
}

fn encode(text: &str, plain: impl Fn(u8) -> bool) -> String {
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
