//! Where to connect: names become addresses, checked and tried, before the run starts.
//!
//! Blocking on purpose: it runs on the thread that prepares, never in a loop.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::{Allow, PrepareError};

/// How long the attempt to reach one address may take: a lost packet is sent again after 1 s and 3 s.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Addresses of a name that are used. More is a mistake in the name server.
const ADDRESSES_MAX: usize = 64;

/// The addresses of `target` that accept connections; none of them is one that `allow` refuses.
pub(crate) fn reach(target: &plan::Target, allow: &Allow) -> Result<Vec<SocketAddr>, PrepareError> {
    let mut reachable = Vec::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in resolve(target, allow)? {
        match TcpStream::connect_timeout(&address, PROBE_TIMEOUT) {
            Ok(_) => reachable.push(address),
            Err(error) => last = error,
        }
    }
    if reachable.is_empty() {
        return Err(PrepareError::Unreachable { target: target.to_string(), source: last });
    }
    Ok(reachable)
}

fn resolve(target: &plan::Target, allow: &Allow) -> Result<Vec<SocketAddr>, PrepareError> {
    let dns = |source| PrepareError::Dns { host: target.host.clone(), source };
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in (target.host.as_str(), target.port).to_socket_addrs().map_err(dns)? {
        allow.check(&target.host, address)?;
        if !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(dns(io::Error::from(io::ErrorKind::NotFound)));
    }
    Ok(addresses)
}
