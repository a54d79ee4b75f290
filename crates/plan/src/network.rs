//! How targets are reached: the version of HTTP, TLS, and what lies below.
//!
//! Files are named here and read by the driver when it prepares. Deliberately absent: their contents, and IO.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use crate::diagnostic::{Faults, Wrong};
use crate::limits;
use crate::quantity::parse_span;
use crate::read::{self, Fields};
use crate::shapes;
use crate::target::authority;
use crate::tree::{Kind, Node};

/// The version of HTTP that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpVersion {
    /// HTTP/1.1. The default.
    #[default]
    Http1,
    /// HTTP/2: offered alone by ALPN to `https` targets, and begun with prior knowledge on others (RFC 9113, 3.3).
    Http2,
    /// What the target chooses of both by ALPN (RFC 7301). Only for `https` targets.
    Auto,
}

/// What TLS needs beyond the target's URL. Files are PEM, and read by the driver when it prepares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of authorities that are trusted instead of the system's.
    pub ca: Option<PathBuf>,
    /// The chain that we show to a target that asks for one. There with `key`, or not at all.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// The name that is sent (SNI) and that the target's certificate must be for; default: the target's host.
    pub server_name: Option<String>,
    /// Takes any certificate of the target for good.
    pub insecure: bool,
    /// Whether a new connection may take up the session of an earlier one (RFC 8446, 2.2). Default: true.
    pub resumption: bool,
}

impl Default for Tls {
    fn default() -> Self {
        let (ca, certificate, key, server_name) = (None, None, None, None);
        Self { ca, certificate, key, server_name, insecure: false, resumption: true }
    }
}

/// How connections are made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// Addresses of this machine to connect from, in turn; empty: the system chooses.
    pub source_addresses: Vec<IpAddr>,
    /// Which addresses of a name are used.
    pub addresses: Family,
    /// When names are looked up.
    pub dns: Dns,
    /// The HTTP proxy that all connections go through.
    pub proxy: Option<Proxy>,
}

/// Which addresses of a name are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// All of them, in turn. The default.
    #[default]
    Any,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

/// When names are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dns {
    /// Once, before the run. The default.
    #[default]
    Start,
    /// For each new connection.
    Connection,
    /// Again when so much time has passed since the last time.
    Every(Duration),
}

/// An HTTP proxy: asked for whole URLs of `http` targets, and for a tunnel (`CONNECT`, RFC 9110, 9.3.6) to `https` ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// A name or an address; an IPv6 address stands without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

pub(crate) static VERSIONS: [(&str, HttpVersion); 3] =
    [("1.1", HttpVersion::Http1), ("2", HttpVersion::Http2), ("auto", HttpVersion::Auto)];

pub(crate) static FAMILIES: [(&str, Family); 3] =
    [("any", Family::Any), ("ipv4", Family::Ipv4), ("ipv6", Family::Ipv6)];

/// The value of `http`.
pub(crate) fn http(faults: &mut Faults<'_>, fields: &Fields<'_>) -> Option<HttpVersion> {
    match fields.get(faults, "http") {
        Some(node) => read::choice(faults, node, "http", &VERSIONS),
        None => Some(HttpVersion::default()),
    }
}

/// The value of `tls`.
pub(crate) fn tls(faults: &mut Faults<'_>, fields: &Fields<'_>) -> Option<Tls> {
    let Some(node) = fields.get(faults, "tls") else {
        return Some(Tls::default());
    };
    let fields = Fields::of(faults, node, &shapes::TLS, &[])?;
    let ca = file(faults, &fields, "ca");
    let certificate = file(faults, &fields, "certificate");
    let key = file(faults, &fields, "key");
    let server_name = fields.get(faults, "server_name").map(|node| server_name(faults, node));
    let insecure = read::flag(faults, &fields, "insecure");
    let resumption = match fields.get(faults, "resumption") {
        Some(node) => read::boolean(faults, node, "resumption"),
        None => Some(true),
    };
    for (one, other) in [("certificate", "key"), ("key", "certificate")] {
        if let (Some(entry), false) = (fields.entry(one), fields.has(other)) {
            let wrong = Wrong::new("missing", format!("\"{one}\" needs \"{other}\""));
            faults.add(entry.place, &entry.key, wrong);
        }
    }
    if let (Some(true), Some(entry)) = (insecure, fields.entry("ca")) {
        let wrong = Wrong::new("not_together", "who takes any certificate needs no authority");
        faults.add(entry.place, &entry.key, wrong.help("leave out ca or insecure"));
    }
    Some(Tls {
        ca: ca?,
        certificate: certificate?,
        key: key?,
        server_name: server_name.map_or(Some(None), |name| name.map(Some))?,
        insecure: insecure?,
        resumption: resumption?,
    })
}

/// The file that `key` names, if it is there; the outer `None` is a fault, as everywhere.
#[expect(
    clippy::option_option,
    reason = "the outer one is None where a fault was reported, as everywhere here"
)]
fn file(faults: &mut Faults<'_>, fields: &Fields<'_>, key: &str) -> Option<Option<PathBuf>> {
    let Some(node) = fields.get(faults, key) else {
        return Some(None);
    };
    let text = read::text(faults, node, key)?;
    read::checked(faults, node, check_file(text, key)).map(|text| Some(PathBuf::from(text)))
}

fn check_file<'a>(text: &'a str, what: &str) -> Result<&'a str, Wrong> {
    if text.is_empty() {
        return Err(Wrong::new("missing", format!("{what} names no file")));
    }
    if text.len() > limits::FILE_NAME_BYTES || text.chars().any(char::is_control) {
        return Err(Wrong::new("bad_file", format!("{what} is no name of a file")));
    }
    Ok(text)
}

fn server_name(faults: &mut Faults<'_>, node: &Node) -> Option<String> {
    let text = read::text(faults, node, "the server's name")?;
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let fits =
        (1..=253).contains(&text.len()) && text.chars().all(in_name) || text.parse::<Ipv6Addr>().is_ok();
    let wrong = || Wrong::new("bad_name", "the server's name is neither a name nor an address");
    read::checked(faults, node, if fits { Ok(text.to_ascii_lowercase()) } else { Err(wrong()) })
}

/// The value of `network`.
pub(crate) fn network(faults: &mut Faults<'_>, fields: &Fields<'_>) -> Option<Network> {
    let Some(node) = fields.get(faults, "network") else {
        return Some(Network::default());
    };
    let fields = Fields::of(faults, node, &shapes::NETWORK, &[])?;
    let addresses = match fields.get(faults, "addresses") {
        Some(node) => read::choice(faults, node, "addresses", &FAMILIES),
        None => Some(Family::default()),
    };
    let source_addresses = match fields.get(faults, "source_addresses") {
        Some(node) => source_addresses(faults, node, addresses.unwrap_or_default()),
        None => Some(Vec::new()),
    };
    let dns = match fields.get(faults, "dns") {
        Some(node) => dns(faults, node),
        None => Some(Dns::default()),
    };
    let proxy = fields.get(faults, "proxy").map(|node| proxy(faults, node));
    Some(Network {
        source_addresses: source_addresses?,
        addresses: addresses?,
        dns: dns?,
        proxy: proxy.map_or(Some(None), |proxy| proxy.map(Some))?,
    })
}

fn source_addresses(faults: &mut Faults<'_>, node: &Node, family: Family) -> Option<Vec<IpAddr>> {
    let nodes = match &node.kind {
        Kind::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if nodes.is_empty() || nodes.len() > limits::SOURCE_ADDRESSES {
        let message = format!("there are 1 to {} addresses to connect from", limits::SOURCE_ADDRESSES);
        return read::fault(faults, node, Wrong::new("absurd", message));
    }
    let mut addresses: Vec<IpAddr> = Vec::with_capacity(nodes.len());
    let mut complete = true;
    for node in nodes {
        let address = read::text(faults, node, "an address to connect from").and_then(|text| {
            let address = source_address(text, family, &addresses);
            read::checked(faults, node, address)
        });
        complete &= address.is_some();
        addresses.extend(address);
    }
    complete.then_some(addresses)
}

fn source_address(text: &str, family: Family, before: &[IpAddr]) -> Result<IpAddr, Wrong> {
    let wrong = Wrong::new("bad_address", "an address to connect from is an IPv4 or IPv6 address");
    let address: IpAddr = text.parse().map_err(|_| wrong.help("write it like 10.0.0.1 or \"fd00::1\""))?;
    if before.contains(&address) {
        return Err(Wrong::new("duplicate_key", format!("the address {address} is there twice")));
    }
    match (family, address) {
        (Family::Ipv4, IpAddr::V6(_)) | (Family::Ipv6, IpAddr::V4(_)) => Err(Wrong::new(
            "not_together",
            "no target's address of the chosen family can be reached from here",
        )
        .help("choose `addresses: any`, or leave this address out")),
        _ => Ok(address),
    }
}

fn dns(faults: &mut Faults<'_>, node: &Node) -> Option<Dns> {
    match read::text(faults, node, "dns")? {
        "start" => Some(Dns::Start),
        "connection" => Some(Dns::Connection),
        text if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            read::checked(faults, node, parse_span(text, "dns", limits::RUN)).map(Dns::Every)
        }
        text => {
            let wrong = Wrong::new("unknown_value", format!("dns cannot be \"{text}\""));
            read::fault(faults, node, wrong.suggest(text, &["start", "connection", "30s"], &[]))
        }
    }
}

fn proxy(faults: &mut Faults<'_>, node: &Node) -> Option<Proxy> {
    let text = read::text(faults, node, "the proxy")?;
    let bad = |message| Wrong::new("bad_proxy", message).help("write it like http://10.0.0.1:3128");
    let proxy = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => authority(rest, "the proxy", None)
            .map_err(|wrong| bad(wrong.message))
            .and_then(|(host, port, rest)| match rest {
                "" | "/" => Ok(Proxy { host, port }),
                _ => Err(bad("the proxy has no path".to_owned())),
            }),
        Some(_) => Err(bad("the proxy's scheme must be http".to_owned())),
        None => Err(bad("the proxy must be a URL".to_owned())),
    };
    read::checked(faults, node, proxy)
}
