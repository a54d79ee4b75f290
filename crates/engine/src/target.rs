//! Where to connect: names become addresses, checked and tried, before the run starts.
//!
//! Blocking on purpose: it runs on the thread that prepares, never in a loop.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use plan::{HttpVersion, Scheme};
use protocol::Protocol;
use protocol::proxy::{Forward, Tunnel};
use rustix::net::SocketAddrUnix;

use crate::names::Directory;
use crate::peer::{self, Peer};
use crate::{Allow, PrepareError};

/// How long the attempt to reach one address may take: a lost packet is sent again after 1 s and 3 s.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The peers to connect to for `target` that accept connections: its own, or those of the proxy. None of them, and of
/// the target's own, is one that `directory` refuses.
pub(crate) fn reach(target: &plan::Target, directory: &Directory) -> Result<Vec<Peer>, PrepareError> {
    let Directory { network, allow, .. } = directory;
    let (peers, name) = match (&target.socket, &network.proxy) {
        (Some(path), _) => (socket(path, target, allow)?, target.to_string()),
        (None, None) => (directory.look_up(&target.host, target.port)?, target.to_string()),
        (None, Some(proxy)) => {
            match directory.addresses(&target.host, target.port, |_| true) {
                // Where names are looked up by the proxy alone, a rule has to name the target.
                Err(PrepareError::Dns { .. }) if allow.names(&target.host) => {}
                result => drop(result?),
            }
            let name = format!("proxy {}:{}", proxy.host, proxy.port);
            (directory.look_up(&proxy.host, proxy.port)?, name)
        }
    };
    let mut reachable = Vec::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for peer in peers {
        let source = network.source_addresses.iter().find(|source| peer.is_reached_from(**source));
        match peer::probe(&peer, source.copied(), PROBE_TIMEOUT) {
            Ok(()) => reachable.push(peer),
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
    if plan.network.proxy.is_none() || target.socket.is_some() {
        return Ok(inner);
    }
    // A proxy that fetches speaks HTTP/1.1 for us; whatever else is spoken goes through it as it is.
    if target.scheme == Scheme::Http && plan.http == HttpVersion::Http1 {
        return Ok(Arc::new(Forward::new(None)));
    }
    let fault = |source| PrepareError::Request { step: format!("tunnel to {target}"), source };
    Ok(Arc::new(Tunnel::new(inner, &target.host, target.port, None).map_err(fault)?))
}

/// The socket at `path`. What links lead to is judged, and connected to.
fn socket(path: &Path, target: &plan::Target, allow: &Allow) -> Result<Vec<Peer>, PrepareError> {
    let unreachable = |source| PrepareError::Unreachable { target: target.to_string(), source };
    let real = path.canonicalize().map_err(unreachable)?;
    allow.check_socket(&real)?;
    let address = SocketAddrUnix::new(&real).map_err(|errno| unreachable(errno.into()))?;
    Ok(vec![Peer::Unix(address)])
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
