//! What is said to each target, and in what: the version of HTTP, TLS, a proxy. Settled before the run.
//!
//! Blocking on purpose: `https` targets are asked for a handshake by the thread that prepares, so that a certificate
//! that is not believed is told before anything is sent.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use plan::{HttpVersion, Plan, Scheme, Target, Workload};
use protocol::Protocol;
use protocol::http1::Http1;
use protocol::http2::Http2;
use protocol::tls::Version;

use crate::peer::Peer;
use crate::tls::Tls;
use crate::{PrepareError, target};

/// How long each answer of a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Streams on one connection when the plan does not say; most targets allow as many or a few more.
const STREAMS: u32 = 100;

/// What is spoken with the targets of a plan.
#[derive(Debug)]
pub(crate) struct Speech {
    tls: Option<Tls>,
    /// Of each target.
    versions: Vec<Version>,
}

impl Speech {
    /// Settles what is spoken with the targets, which `peers` lead to.
    ///
    /// # Errors
    /// A file of the plan cannot be read, or no TLS connection to a target comes about.
    pub(crate) fn settle(plan: &Plan, peers: &[Vec<Peer>]) -> Result<Self, PrepareError> {
        let is_https = plan.targets.iter().any(|target| target.scheme == Scheme::Https);
        let tls = if is_https { Some(Tls::load(&plan.tls)?) } else { None };
        let mut versions = Vec::with_capacity(plan.targets.len());
        for (target, peers) in plan.targets.iter().zip(peers) {
            let preferred = match (&tls, peers.first()) {
                // What is behind a proxy is not asked: a tunnel is a connection of the run.
                (Some(tls), Some(Peer::Tcp(address)))
                    if target.scheme == Scheme::Https && plan.network.proxy.is_none() =>
                {
                    Some(preferred(tls, target, *address)?)
                }
                _ => None,
            };
            versions.push(match plan.http {
                HttpVersion::Http1 => Version::Http1,
                HttpVersion::Http2 => Version::Http2,
                HttpVersion::Auto => preferred.unwrap_or(Version::Http1),
            });
        }
        Ok(Self { tls, versions })
    }

    /// The protocols of the targets, for one thread of a workload: what TLS remembers is not shared.
    ///
    /// # Errors
    /// A target's name is none.
    pub(crate) fn protocols(
        &self,
        plan: &Plan,
        workload: &Workload,
    ) -> Result<Vec<Arc<dyn Protocol>>, PrepareError> {
        let streams = workload.connections().streams.unwrap_or(STREAMS);
        let protocol = |(target, version): (&Target, &Version)| {
            let plain: Arc<dyn Protocol> = match version {
                Version::Http1 => Arc::new(Http1),
                Version::Http2 => Arc::new(Http2::new(streams)),
            };
            let inner = match &self.tls {
                Some(tls) if target.scheme == Scheme::Https => tls.protocol(target, *version, plain)?,
                _ => plain,
            };
            target::protocol(inner, target, plan)
        };
        plan.targets.iter().zip(&self.versions).map(protocol).collect()
    }

    /// Whether a connection to target number `target` may carry several requests at a time.
    pub(crate) fn is_multiplexed(&self, target: usize) -> bool {
        self.versions.get(target) == Some(&Version::Http2)
    }
}

fn preferred(tls: &Tls, target: &Target, address: SocketAddr) -> Result<Version, PrepareError> {
    let unreachable = |source| PrepareError::Unreachable { target: target.to_string(), source };
    let mut socket = TcpStream::connect_timeout(&address, HANDSHAKE_TIMEOUT).map_err(unreachable)?;
    socket.set_read_timeout(Some(HANDSHAKE_TIMEOUT)).map_err(unreachable)?;
    socket.set_write_timeout(Some(HANDSHAKE_TIMEOUT)).map_err(unreachable)?;
    tls.preferred(target, &mut socket)
}
