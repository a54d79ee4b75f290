//! Base URLs, and the paths that are appended to them.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use crate::diagnostic::{Faults, Wrong};
use crate::limits;
use crate::read::{self, Fields};
use crate::shapes;
use crate::tree::{Kind, Node};

/// The scheme of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP without TLS.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port of a URL that names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whether there is TLS.
    pub scheme: Scheme,
    /// A name or an address; an IPv6 address stands without brackets. `localhost` behind a Unix socket.
    pub host: String,
    /// The port, that of the scheme when the URL has none.
    pub port: u16,
    /// The Unix socket to connect to, instead of host and port; always with [`Scheme::Http`].
    pub socket: Option<PathBuf>,
    /// What every path is appended to: empty, or starting with `/` and not ending with it.
    pub base_path: String,
    /// How often it is chosen, against the other targets' weights; at least 1.
    pub weight: u32,
}

impl Target {
    /// Host and port as the `host` header has them: brackets around an IPv6 address, no port when it is the scheme's.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
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
        match &self.socket {
            Some(socket) if self.base_path.is_empty() => write!(f, "unix:{}", socket.display()),
            Some(socket) => write!(f, "unix:{}:{}", socket.display(), self.base_path),
            None => write!(f, "{}://{}{}", self.scheme.as_str(), self.authority(), self.base_path),
        }
    }
}

/// The targets that `node` names: one, or a list.
pub(crate) fn targets(faults: &mut Faults<'_>, node: &Node) -> Option<Vec<Target>> {
    let nodes = match &node.kind {
        Kind::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if nodes.is_empty() {
        return read::fault(faults, node, Wrong::new("missing", "a plan has at least one target"));
    }
    if nodes.len() > limits::TARGETS {
        let message = format!("a plan has at most {} targets", limits::TARGETS);
        return read::fault(faults, node, Wrong::new("absurd", message));
    }
    let targets: Vec<Option<Target>> = nodes.iter().map(|node| target(faults, node)).collect();
    targets.into_iter().collect()
}

/// A base URL, or `{ url, weight }`.
fn target(faults: &mut Faults<'_>, node: &Node) -> Option<Target> {
    let Kind::Map(_) = node.kind else {
        let text = read::text(faults, node, "a target")?;
        return read::checked(faults, node, Target::parse(text));
    };
    let fields = Fields::of(faults, node, &shapes::TARGET, &[])?;
    let target = fields.required(faults, "url").and_then(|node| {
        let text = read::text(faults, node, "a target")?;
        read::checked(faults, node, Target::parse(text))
    });
    let weight = match fields.get(faults, "weight") {
        Some(node) => read::count_u32(faults, node, "the weight", limits::WEIGHT),
        None => Some(1),
    };
    Some(Target { weight: weight?, ..target? })
}

/// Scheme, host and port of `text`, or its socket, and what follows them.
fn origin(text: &str) -> Result<(Target, &str), Wrong> {
    if let Some(rest) = text.strip_prefix("unix:") {
        return socket(rest);
    }
    let bad = |message: String| Wrong::new("bad_target", message).help("write it like http://127.0.0.1:8080");
    let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("the target must be a URL".to_owned()))?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return Err(bad("the target's scheme must be http or https".to_owned())),
    };
    let (host, port, path) =
        authority(rest, "the target", Some(scheme.default_port())).map_err(|wrong| bad(wrong.message))?;
    Ok((Target { scheme, host, port, socket: None, base_path: String::new(), weight: 1 }, path))
}

/// `/path/of.sock`, and after a colon the path in the URL, as nginx has it.
fn socket(text: &str) -> Result<(Target, &str), Wrong> {
    let (path, rest) = text.split_once(':').unwrap_or((text, ""));
    let bad = |message: String| {
        Wrong::new("bad_target", message)
            .help("write it like unix:/run/app.sock, or unix:/run/app.sock:/base")
    };
    if !path.starts_with('/') || path.ends_with('/') || path.chars().any(char::is_control) {
        return Err(bad("a socket is named by its whole path".to_owned()));
    }
    if path.len() > limits::SOCKET_PATH_BYTES {
        return Err(bad(format!("the path of a socket has at most {} bytes", limits::SOCKET_PATH_BYTES)));
    }
    if !rest.is_empty() && !rest.starts_with('/') {
        return Err(bad("what follows a socket is a path".to_owned()));
    }
    let (scheme, host) = (Scheme::Http, "localhost".to_owned());
    let port = scheme.default_port();
    let socket = Some(PathBuf::from(path));
    Ok((Target { scheme, host, port, socket, base_path: String::new(), weight: 1 }, rest))
}

/// Host and port of `what` at the beginning of `text`, and what follows them. Without a default the port must be there.
pub(crate) fn authority<'a>(
    text: &'a str,
    what: &str,
    default_port: Option<u16>,
) -> Result<(String, u16, &'a str), Wrong> {
    let bad = |message: &str| Wrong::new("bad_target", format!("{what}{message}"));
    let (authority, path) = text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()));
    if authority.contains('@') {
        return Err(bad(" cannot hold a user or a password"));
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(|| bad("'s address lacks its \"]\""))?;
            host.parse::<Ipv6Addr>().map_err(|_| bad("'s address is not an IPv6 address"))?;
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
        return Err(bad("'s host is neither a name nor an address"));
    }
    let digits = |port: &&str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = match port {
        None => default_port.ok_or_else(|| bad(" needs a port"))?,
        Some(port) => Some(port)
            .filter(digits)
            .and_then(|port| port.parse().ok())
            .filter(|port| *port > 0)
            .ok_or_else(|| bad("'s port must be 1 to 65535"))?,
    };
    Ok((host.to_ascii_lowercase(), port, path))
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
pub(crate) fn encode_part(text: &str) -> String {
    encode(text, |byte| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte))
}

fn encode(text: &str, plain: impl Fn(u8) -> bool) -> String {
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
