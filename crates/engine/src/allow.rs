//! Which targets a driver may load.
//!
//! Loopback and private networks need no permission, other hosts need a rule, and cloud metadata services and the
//! system's own services are refused whatever the rules say: their answers are credentials, or the test's own control.
//! Unix sockets need a rule, though they are on this machine: what listens there trusts whoever can open it, as container
//! runtimes and databases do, and plans come from elsewhere.
//!
//! Invariant: what is judged is an address after name resolution, or a path without links, so that no name can lead past
//! the rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The metadata services of AWS, Azure, Google Cloud, Oracle, Alibaba and Tencent.
const METADATA_V4: [Ipv4Addr; 8] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(169, 254, 0, 23),
    Ipv4Addr::new(169, 254, 10, 10),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(100, 100, 100, 200),
];
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// The first 96 bits of IPv6 addresses that stand for an IPv4 address behind a translator (RFC 6052).
const NAT64_PREFIX: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// The targets a driver may load. The default allows loopback and private networks.
#[derive(Debug, Clone, Default)]
pub struct Allow {
    rules: Vec<Rule>,
    refused: Vec<SocketAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    /// A host name or address as the plan writes it, in lower case.
    Host(String),
    Network {
        base: IpAddr,
        bits: u8,
    },
    /// A Unix socket, or a folder of them.
    Socket(PathBuf),
}

/// A rule that is neither a host name, an address, a network nor a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither a host name, an address, a network like 192.0.2.0/24, nor a socket like unix:/run/app.sock"
)]
pub struct InvalidRule(pub String);

/// Why a target may not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A cloud metadata service; no rule allows it.
    #[error("{host} ({ip}) is a cloud metadata service, which is never loaded")]
    Metadata { host: String, ip: IpAddr },
    /// A service this system itself depends on; no rule allows it.
    #[error("{host} ({address}) is a service this system itself depends on, which is never loaded")]
    Own { host: String, address: SocketAddr },
    /// Outside loopback and private networks, and no rule allows it.
    #[error(
        "{host} ({ip}) is outside loopback and private networks; allow it on the driver with --allow {host}"
    )]
    NotAllowed { host: String, ip: IpAddr },
    /// A Unix socket that no rule allows.
    #[error("Unix sockets need permission; allow it on the driver with --allow unix:{}", path.display())]
    Socket { path: PathBuf },
}

impl Allow {
    /// Loopback and private networks, and what `rules` name: host names, addresses, networks such as `192.0.2.0/24`, Unix
    /// sockets such as `unix:/run/app.sock`, or folders of them such as `unix:/run/app`.
    ///
    /// # Errors
    /// The first rule that is none of these.
    pub fn new<'r>(rules: impl IntoIterator<Item = &'r str>) -> Result<Self, InvalidRule> {
        let mut allow = Self::default();
        for rule in rules {
            allow.add(rule)?;
        }
        Ok(allow)
    }

    /// Adds one rule.
    ///
    /// # Errors
    /// The rule is neither a host name, an address, a network nor a Unix socket.
    pub fn add(&mut self, rule: &str) -> Result<(), InvalidRule> {
        let invalid = || InvalidRule(rule.to_owned());
        let text = rule.trim().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let parsed = if let Some(path) = rule.trim().strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err(invalid());
            }
            // Where it is not there yet, it is allowed as it is written.
            Rule::Socket(Path::new(path).canonicalize().unwrap_or_else(|_| PathBuf::from(path)))
        } else if let Some((base, bits)) = text.split_once('/') {
            let base: IpAddr = base.parse().map_err(|_| invalid())?;
            let bits: u8 = bits.parse().map_err(|_| invalid())?;
            if bits > if base.is_ipv4() { 32 } else { 128 } {
                return Err(invalid());
            }
            Rule::Network { base, bits }
        } else if let Ok(ip) = text.parse::<IpAddr>() {
            Rule::Network { base: ip, bits: if ip.is_ipv4() { 32 } else { 128 } }
        } else {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
            if text.is_empty() || text.len() > 253 || !text.chars().all(is_name) {
                return Err(invalid());
            }
            Rule::Host(text)
        };
        if !self.rules.contains(&parsed) {
            self.rules.push(parsed);
        }
        Ok(())
    }

    /// Names a service that is never loaded, whatever the rules say: the system's own Kafka and database.
    pub fn refuse(&mut self, address: SocketAddr) {
        self.refused.push(address);
    }

    /// Whether `address`, which `host` resolved to, may be loaded.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, host: &str, address: SocketAddr) -> Result<(), Refused> {
        let ip = effective(address.ip());
        if is_metadata(ip) {
            return Err(Refused::Metadata { host: host.to_owned(), ip });
        }
        let own = |other: &SocketAddr| effective(other.ip()) == ip && other.port() == address.port();
        if self.refused.iter().any(own) {
            return Err(Refused::Own { host: host.to_owned(), address });
        }
        if is_near(ip) || self.rules.iter().any(|rule| rule.allows(host, ip)) {
            return Ok(());
        }
        Err(Refused::NotAllowed { host: host.to_owned(), ip })
    }

    /// Whether a rule names `host` itself.
    pub(crate) fn names(&self, host: &str) -> bool {
        self.rules.iter().any(|rule| matches!(rule, Rule::Host(name) if name.eq_ignore_ascii_case(host)))
    }

    /// Whether the Unix socket at `path`, which has no links in it, may be loaded.
    ///
    /// # Errors
    /// Why not.
    pub fn check_socket(&self, path: &Path) -> Result<(), Refused> {
        if self.rules.iter().any(|rule| rule.allows_socket(path)) {
            return Ok(());
        }
        Err(Refused::Socket { path: path.to_owned() })
    }
}

impl Rule {
    fn allows_socket(&self, path: &Path) -> bool {
        matches!(self, Rule::Socket(allowed) if path.starts_with(allowed))
    }

    fn allows(&self, host: &str, ip: IpAddr) -> bool {
        match self {
            Rule::Host(name) => name.eq_ignore_ascii_case(host),
            Rule::Network { base, bits } => shares_prefix(*base, ip, *bits),
            Rule::Socket(_) => false,
        }
    }
}

/// The address that is really reached: IPv4 inside IPv6 is unwrapped.
fn effective(ip: IpAddr) -> IpAddr {
    let ip = ip.to_canonical();
    if let IpAddr::V6(v6) = ip
        && v6.segments()[..6] == NAT64_PREFIX
    {
        let [.., a, b, c, d] = v6.octets();
        return IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    }
    ip
}

fn is_metadata(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => METADATA_V6.contains(&v6),
    }
}

/// Loopback or private. The unspecified address is loopback to `connect`.
fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unspecified(),
    }
}

fn shares_prefix(base: IpAddr, ip: IpAddr, bits: u8) -> bool {
    match (base, ip) {
        (IpAddr::V4(base), IpAddr::V4(ip)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            u32::from(base) & mask == u32::from(ip) & mask
        }
        (IpAddr::V6(base), IpAddr::V6(ip)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            u128::from(base) & mask == u128::from(ip) & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(rules: &[&str], host: &str, address: &str) -> &'static str {
        let mut allow = Allow::new(rules.iter().copied()).unwrap();
        allow.refuse("10.0.0.9:9092".parse().unwrap());
        match allow.check(host, address.parse().unwrap()) {
            Ok(()) => "allowed",
            Err(Refused::Metadata { .. }) => "metadata",
            Err(Refused::Own { .. }) => "own",
            Err(Refused::NotAllowed { .. } | Refused::Socket { .. }) => "not allowed",
        }
    }

    #[test]
    fn addresses_are_judged_after_resolution() {
        for (rules, host, address, expected) in [
            (&[][..], "localhost", "127.0.0.1:80", "allowed"),
            (&[], "localhost", "[::1]:80", "allowed"),
            (&[], "db", "10.1.2.3:80", "allowed"),
            (&[], "db", "172.31.0.1:80", "allowed"),
            (&[], "db", "172.32.0.1:80", "not allowed"),
            (&[], "db", "[fd12::1]:80", "allowed"),
            (&[], "example.com", "93.184.216.34:80", "not allowed"),
            (&[], "example.com", "[::ffff:93.184.216.34]:80", "not allowed"),
            (&["Example.com"], "example.COM", "93.184.216.34:80", "allowed"),
            (&["example.com"], "other.com", "93.184.216.34:80", "not allowed"),
            (&["93.184.216.0/24"], "x", "93.184.216.34:80", "allowed"),
            (&["93.184.216.0/24"], "x", "93.184.217.34:80", "not allowed"),
            (&["93.184.216.34"], "x", "[::ffff:93.184.216.34]:80", "allowed"),
            (&["0.0.0.0/0"], "x", "8.8.8.8:80", "allowed"),
            (&["0.0.0.0/0"], "x", "[2001:db8::1]:80", "not allowed"),
            (&["::/0"], "x", "[2001:db8::1]:80", "allowed"),
            (&["0.0.0.0/0", "::/0", "x"], "x", "169.254.169.254:80", "metadata"),
            (&["::/0"], "x", "[::ffff:169.254.169.254]:80", "metadata"),
            (&["::/0"], "x", "[64:ff9b::a9fe:a9fe]:80", "metadata"),
            (&["::/0"], "x", "[fd00:ec2::254]:80", "metadata"),
            (&["x"], "x", "100.100.100.200:80", "metadata"),
            (&["x"], "x", "10.0.0.9:9092", "own"),
            (&[], "x", "10.0.0.9:80", "allowed"),
        ] {
            assert_eq!(verdict(rules, host, address), expected, "{rules:?} {host} {address}");
        }
    }

    #[test]
    fn sockets_need_a_rule() {
        for (rules, path, is_allowed) in [
            (&[][..], "/none/app.sock", false),
            (&["localhost", "0.0.0.0/0"], "/none/app.sock", false),
            (&["unix:/none/app.sock"], "/none/app.sock", true),
            (&["unix:/none/app.sock"], "/none/app.sock2", false),
            (&["unix:/none"], "/none/app.sock", true),
            (&["unix:/non"], "/none/app.sock", false),
        ] {
            let allow = Allow::new(rules.iter().copied()).unwrap();
            assert_eq!(allow.check_socket(Path::new(path)).is_ok(), is_allowed, "{rules:?} {path}");
        }
    }

    #[test]
    fn rules_are_validated() {
        for rule in
            ["", "unix:", "unix:app.sock", "a b", "10.0.0.0/33", "::/129", "10.0.0/8", "http://x", "x/y"]
        {
            assert_eq!(Allow::new([rule]).unwrap_err(), InvalidRule(rule.to_owned()));
        }
    }
}
