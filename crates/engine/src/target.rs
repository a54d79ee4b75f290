//! Where to connect: names become addresses, checked and tried, before the run starts.
//!
//! Blocking on purpose: it runs on the thread that prepares, never in a loop.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use plan::{HttpVersion, Scheme};
use protocol::Protocol;
use protocol::proxy::{Forward, Tunnel};

use crate::{Allow, PrepareError};

/// How long the attempt to reach one address may take: a lost packet is sent again after 1 s and 3 s.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Addresses of a name that are used. More is a mistake in the name server.
const ADDRESSES_MAX: usize = 64;

/// The addresses to connect to for `target` that accept connections: its own, or those of the proxy. None of them, and of
/// the target's own, is one that `allow` refuses.
pub(crate) fn reach(
    target: &plan::Target,
    proxy: Option<&plan::Proxy>,
    allow: &Allow,
) -> Result<Vec<SocketAddr>, PrepareError> {
    let (addresses, name) = match proxy {
        None => (resolve(&target.host, target.port, allow)?, target.to_string()),
        Some(proxy) => {
            match resolve(&target.host, target.port, allow) {
                // Where names are looked up by the proxy alone, a rule has to name the target.
                Err(PrepareError::Dns { .. }) if allow.names(&target.host) => {}
                result => drop(result?),
            }
            (resolve(&proxy.host, proxy.port, allow)?, format!("proxy {}:{}", proxy.host, proxy.port))
        }
    };
    let mut reachable = Vec::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect_timeout(&address, PROBE_TIMEOUT) {
            Ok(_) => reachable.push(address),
            Err(error) => last = error,
        }
    }
    if reachable.is_empty() {
        return Err(PrepareError::Unreachable { target: name, source: last });
    }
    Ok(reachable)
}

/// What is said on connections to `target`, which is `inner` where there is no proxy.
pub(crate) fn protocol(
    inner: Arc<dyn Protocol>,
    target: &plan::Target,
    plan: &plan::Plan,
) -> Result<Arc<dyn Protocol>, PrepareError> {
    if plan.network.proxy.is_none() {
        return Ok(inner);
    }
    // A proxy that fetches speaks HTTP/1.1 for us; whatever else is spoken goes through it as it is.
    if target.scheme == Scheme::Http && plan.http == HttpVersion::Http1 {
        return Ok(Arc::new(Forward::new(None)));
    }
    let fault = |source| PrepareError::Request { step: format!("tunnel to {target}"), source };
    Ok(Arc::new(Tunnel::new(inner, &target.host, target.port, None).map_err(fault)?))
}

fn resolve(host: &str, port: u16, allow: &Allow) -> Result<Vec<SocketAddr>, PrepareError> {
    let dns = |source| PrepareError::Dns { host: host.to_owned(), source };
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in (host, port).to_socket_addrs().map_err(dns)? {
        allow.check(host, address)?;
        if !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(dns(io::Error::from(io::ErrorKind::NotFound)));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use protocol::http1::Http1;

    use super::*;

    /// What is said first on a connection to `target` of a plan with `rest`.
    fn first_words(target: &str, rest: &str) -> String {
        let text = format!(
            "version: 1\nname: test\ntarget: {target}\n{rest}\n\
             load: {{ model: avalanche, requests_per_driver: 1 }}\nscenarios: {{ only: {{ steps: [{{ get: / }}] }} }}\n"
        );
        let plan = plan::parse("test", &text).unwrap();
        let mut session = protocol(Arc::new(Http1), &plan.targets[0], &plan).unwrap().session();
        session.start(&mut Vec::new());
        String::from_utf8_lossy(session.output()).into_owned()
    }

    #[test]
    fn a_proxy_is_asked_for_a_tunnel_to_what_it_cannot_speak() {
        let proxy = "network: { proxy: \"http://10.0.0.1:3128\" }";
        let tunnel = "CONNECT h.test:443 HTTP/1.1\r\nHost: h.test:443\r\n\r\n";
        assert_eq!(first_words("https://h.test", proxy), tunnel);
        assert_eq!(first_words("http://h.test:443", &format!("{proxy}\nhttp: \"2\"")), tunnel);
        assert_eq!(first_words("http://h.test", proxy), "");
        assert_eq!(first_words("https://h.test", ""), "");
    }
}
