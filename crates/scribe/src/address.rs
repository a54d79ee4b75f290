//! Where a Scribe server is: `scribe://HOST:PORT`.

use std::fmt;
use std::str::FromStr;

/// The port that Scribe servers listen on.
pub const PORT: u16 = 1463;

/// A server's name or IP address, and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

/// A text that is no address of a Scribe server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no address of a Scribe server: expected scribe://HOST or scribe://HOST:PORT (without a port, {PORT})"
)]
pub struct NoAddress(String);

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        parse(text).ok_or_else(|| NoAddress(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Address> {
    let place = text.strip_prefix("scribe://")?;
    let place = place.strip_suffix('/').unwrap_or(place);
    let (host, port) = match place.strip_prefix('[') {
        Some(place) => {
            let (host, port) = place.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let named =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_' | ':');
    if host.is_empty() || !host.chars().all(named) {
        return None;
    }
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None => PORT,
    };
    Some(Address { host: host.to_owned(), port })
}

impl Address {
    /// Name or IP address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(formatter, "scribe://{open}{}{close}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_said() {
        for (text, shown) in [
            ("scribe://collector.example:1463", "scribe://collector.example:1463"),
            ("scribe://10.0.0.1", "scribe://10.0.0.1:1463"),
            ("scribe://localhost:99/", "scribe://localhost:99"),
            ("scribe://[::1]:5000", "scribe://[::1]:5000"),
            ("scribe://[::1]", "scribe://[::1]:1463"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn others_are_refused_with_what_is_expected() {
        for text in [
            "",
            "localhost:1463",
            "http://x:1",
            "scribe://",
            "scribe://:1463",
            "scribe://h:0",
            "scribe://h:65536",
            "scribe://h:x",
            "scribe://u@h",
            "scribe://h:1/path",
            "scribe://[::1",
            "scribe://[x]:1",
            "scribe://::1",
            "scribe://a b",
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains("expected scribe://HOST"), "{error}");
        }
    }
}
