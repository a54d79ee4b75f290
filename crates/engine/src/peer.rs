//! What a connection is made to, and how it is begun.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{IpBindAddressNoPort, ReceiveTimestampns};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, ipproto, sockopt};

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Peer {
    Tcp(SocketAddr),
    Unix(SocketAddrUnix),
}

impl Peer {
    /// Whether a connection to it can be made from `source`.
    pub(crate) fn is_reached_from(&self, source: IpAddr) -> bool {
        matches!(self, Self::Tcp(address) if address.is_ipv4() == source.is_ipv4())
    }
}

/// Begins a connection to `peer`, from `source` if there is one; whether it is there already, as it can be on the same
/// machine.
///
/// A port is chosen when the peer is known, so that a port serves as many connections as there are peers.
///
/// With a `request` waiting for it, the handshake's last packet is not sent on its own but with the request, which saves a
/// tenth of what a new connection costs (HAProxy calls it `tcp-smart-connect`). Not otherwise: the peer would not have the
/// connection before 200 ms, and our count of those that are being made would not be its own.
///
/// # Errors
/// A limit of this machine, or the network's first answer.
pub(crate) fn dial(peer: &Peer, source: Option<IpAddr>, request: bool) -> Result<(OwnedFd, bool), Errno> {
    let begun = match peer {
        Peer::Tcp(address) => {
            let socket = tcp_socket(address.ip())?;
            sockopt::set_tcp_nodelay(&socket, true)?;
            if request {
                sockopt::set_tcp_quickack(&socket, false)?;
            }
            if let Some(source) = source {
                bind(&socket, source)?;
            }
            (rustix::net::connect(&socket, address), socket)
        }
        Peer::Unix(path) => {
            let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
            // The only one that says so: the queue of whoever listens is full. It takes nobody in, as one that refuses.
            let connected = rustix::net::connect(&socket, path);
            (
                connected.map_err(|errno| if errno == Errno::AGAIN { Errno::CONNREFUSED } else { errno }),
                socket,
            )
        }
    };
    match begun {
        (Ok(()), socket) => Ok((socket, true)),
        (Err(Errno::INPROGRESS | Errno::INTR), socket) => Ok((socket, false)),
        (Err(errno), _) => Err(errno),
    }
}

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

fn tcp_socket(to: IpAddr) -> Result<OwnedFd, Errno> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    rustix::net::socket_with(family, SocketType::STREAM, FLAGS, Some(ipproto::TCP))
}

/// Binds to an address without a port: `connect` chooses one that is free towards its peer, not one that is free at all.
fn bind(socket: &OwnedFd, source: IpAddr) -> Result<(), Errno> {
    setsockopt(socket, IpBindAddressNoPort, &true).map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
    rustix::net::bind(socket, &SocketAddr::new(source, 0))
}

/// Has the kernel tell with what is received when it arrived. Where it does not, its reader's clock has to do.
pub(crate) fn stamp_arrivals(socket: &OwnedFd) {
    if let Err(errno) = setsockopt(socket, ReceiveTimestampns, &true) {
        tracing::debug!(%errno, "arrivals are not stamped");
    }
}

/// A socket for nothing but that the kernel stamps arrivals for as long as it is there: it begins to some time after the
/// first socket asked for it, and ends with the last.
pub(crate) fn stamper() -> Option<OwnedFd> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, FLAGS, None).ok()?;
    stamp_arrivals(&socket);
    Some(socket)
}

/// Whether connections can be made from `source`.
///
/// # Errors
/// It is no address of this machine.
pub(crate) fn check_source(source: IpAddr) -> io::Result<()> {
    let socket = tcp_socket(source)?;
    Ok(bind(&socket, source)?)
}

/// Makes a connection to `peer` and drops it. Blocks, for `timeout` at most.
///
/// # Errors
/// It could not be made.
pub(crate) fn probe(peer: &Peer, source: Option<IpAddr>, timeout: Duration) -> io::Result<()> {
    let (socket, is_connected) = dial(peer, source, false)?;
    if !is_connected {
        let timeout = Timespec::try_from(timeout).map_err(|_| io::ErrorKind::InvalidInput)?;
        if poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&timeout))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        sockopt::socket_error(&socket)??;
    }
    Ok(())
}
