//! URLs as tools write them: origin, path, query, and user information apart.

/// An `http` or `https` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    /// Scheme and authority, such as `https://shop.example:8443`, in small letters.
    pub origin: String,
    /// Host without port.
    pub host: String,
    /// User and password, as they stand in it.
    pub user: Option<(String, String)>,
    /// Encoded, with a leading slash.
    pub path: String,
    /// Encoded, without the question mark.
    pub query: Option<String>,
}

impl Url {
    /// `None`: not HTTP, or no host. Without a scheme it is `http`, as for curl.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['/', '?', '#']) => (scheme.to_ascii_lowercase(), rest),
            _ => ("http".to_owned(), text),
        };
        if scheme != "http" && scheme != "https" {
            return None;
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => {
                let (user, password) = user.split_once(':').unwrap_or((user, ""));
                (Some((decoded(user), decoded(password))), authority)
            }
            None => (None, authority),
        };
        let authority = authority.to_ascii_lowercase();
        let bracket = authority.find(']').map_or(0, |end| end + 1);
        let host = match authority[bracket..].find(':') {
            Some(colon) => &authority[..bracket + colon],
            None => authority.as_str(),
        };
        let sound = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let port = authority.get(host.len() + 1..);
        // Rust takes a sign, too.
        let is_port = |port: &str| !port.starts_with('+') && port.parse::<u16>().is_ok_and(|port| port > 0);
        let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(sound),
        };
        if !is_host || !port.is_none_or(is_port) {
            return None;
        }
        let port = if scheme == "https" { ":443" } else { ":80" };
        let origin = format!("{scheme}://{}", authority.strip_suffix(port).unwrap_or(&authority));
        let rest = rest.split('#').next().unwrap_or_default();
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(encoded(query)).filter(|query| !query.is_empty())),
            None => (rest, None),
        };
        let path = if path.starts_with('/') { encoded(path) } else { format!("/{}", encoded(path)) };
        Some(Self { host: host.to_owned(), origin, user, path, query })
    }

    /// The path with its query where that is no list of pairs, and the pairs where it is.
    pub(crate) fn path_and_pairs(&self) -> (String, Vec<(String, String)>) {
        let Some(query) = &self.query else {
            return (self.path.clone(), Vec::new());
        };
        match pairs(query) {
            Some(pairs) => (self.path.clone(), pairs),
            None => (format!("{}?{query}", self.path), Vec::new()),
        }
    }
}

/// A proxy as a plan has it; `None` where a plan cannot have it. Without a port it is curl's, 1080.
pub(crate) fn proxy(text: &str) -> Option<String> {
    let url = Url::parse(text).filter(|url| url.user.is_none() && url.origin.starts_with("http://"))?;
    let authority = text.trim().rsplit("://").next().unwrap_or_default();
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let port = if authority == url.host { ":1080" } else { "" };
    Some(format!("http://{authority}{port}"))
}

/// What must not stand in a request line is percent-encoded; all else stays.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_graphic() && !"\"<>\\^`{|}#".contains(c) {
            out.push(c);
        } else {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|byte| out.push_str(&format!("%{byte:02X}")));
        }
    }
    out
}

/// A template of a path: what stands outside of expressions is encoded.
pub(crate) fn encoded_template(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some(at) = rest.find("{{") {
        let end = rest[at..].find("}}").map_or(rest.len(), |end| at + end + 2);
        out.push_str(&encoded(&rest[..at]));
        out.push_str(&rest[at..end]);
        rest = &rest[end..];
    }
    out.push_str(&encoded(rest));
    out
}

/// Text without percent-encoding; as it is where that gives no UTF-8.
pub(crate) fn decoded(text: &str) -> String {
    decode(text).unwrap_or_else(|| text.to_owned())
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                bytes.push(hex(*high)? * 16 + hex(*low)?);
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// The pairs of a query or form; `None` where writing them again would not give the same.
pub(crate) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let field = |text: &str| decode(&text.replace('+', " "));
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        let is_name = |key: &String| !key.is_empty() && !key.contains(char::is_control);
        Some((field(key).filter(is_name)?, field(value)?))
    };
    text.split('&').map(pair).collect()
}
