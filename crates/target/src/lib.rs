//! The sample target: an HTTP/1.1 server for demos, tests and measurements, cheap enough that it is not what is measured.
//!
//! | request | answer |
//! | --- | --- |
//! | `/ping` | `pong` |
//! | `/delay/20ms` | `pong`, so much later (`ns`, `us`, `ms`, `s`, `m`; at most 10 min) |
//! | `/status/503` | that status, 200 to 599 |
//! | `/bytes/1MiB` | so many bytes (`B`, `kB`, `KiB`, …; at most 1 GiB) |
//! | `/echo` | the body of the request, at most 1 MiB |
//! | `/stall` | nothing, until the client closes |
//! | `/metrics` | counts and latency in Prometheus text, or JSON with `Accept: application/json` |
//! | `POST /control/stall/2s` | `ok`; all other answers wait until that time is over |
//! | `POST /control/reset` | `ok`; the counters start again at zero, and the shop is as it was at the start |
//! | all others | with [`Settings::shop`] a small shop, see `docs/shop.md` |
//!
//! Invariant: every request is counted once, when its last byte has come and before a byte of its answer leaves;
//! requests for `/metrics`, `/api/record` and `/control` are not counted. What a client sends never makes the server panic or hold
//! more memory than its limits. Deliberately absent: TLS, HTTP/2, chunked request bodies, a `Date` header, and
//! timeouts for idle clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

mod request;
mod route;
mod answer;
mod shop;
mod connection;
mod timers;
mod worker;
mod counters;
mod exposition;

use counters::Shared;
use shop::Shop;
use worker::Worker;

/// Connections that wait to be accepted; the kernel lowers it to its own limit.
const LISTEN_QUEUE: i32 = 4096;

/// How the server is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen; port 0 lets the kernel choose (see [`Server::local_addr`]).
    pub listen: SocketAddr,
    /// Threads that answer, each with its own loop; 0 is taken as 1.
    pub threads: usize,
    /// Whether to serve the shop, at the paths that are no others.
    pub shop: bool,
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: rustix::io::Errno },
    /// The system refused a descriptor.
    #[error("cannot set up the event loop")]
    Loop(#[source] rustix::io::Errno),
    /// The system refused a thread.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// A server that answers until it is stopped or dropped.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    wakers: Vec<Arc<OwnedFd>>,
    threads: Vec<JoinHandle<()>>,
}

/// Starts the server and returns once it listens.
///
/// # Errors
/// The address cannot be listened on, or the system is out of descriptors or threads.
pub fn serve(settings: Settings) -> Result<Server, Error> {
    let address = settings.listen;
    let (listener, local_addr) = listen(address).map_err(|source| Error::Listen { address, source })?;
    let listener = Arc::new(listener);
    let shared = Arc::new(Shared::new(settings.threads.max(1)));
    let shop = settings.shop.then(|| Arc::new(Shop::new()));
    // Owns the threads from the first on, so that a failure below stops those that run.
    let mut server = Server { local_addr, shared: shared.clone(), wakers: Vec::new(), threads: Vec::new() };
    for index in 0..shared.threads() {
        let waker =
            Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(Error::Loop)?);
        let mut worker = Worker::new(index, shared.clone(), listener.clone(), waker.clone(), shop.clone())
            .map_err(Error::Loop)?;
        let thread = std::thread::Builder::new().name(format!("target-{index}")).spawn(move || worker.run());
        server.wakers.push(waker);
        server.threads.push(thread.map_err(Error::Thread)?);
    }
    Ok(server)
}

impl Server {
    /// The address listened on, with the port that was chosen.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Requests that were received since the start or the last reset. Includes every request whose answer has been
    /// seen by its client.
    pub fn requests(&self) -> u64 {
        self.shared.snapshot().requests()
    }

    /// Closes the listener and all connections, without waiting for it.
    pub fn stop(&self) {
        self.shared.stop();
        for waker in &self.wakers {
            // Fails only when the counter is full, and then the thread is woken already.
            let woken = rustix::io::write(waker, &1_u64.to_ne_bytes());
            debug_assert!(woken.is_ok() || woken == Err(rustix::io::Errno::AGAIN));
        }
    }

    /// Waits until the server has stopped, which only [`stop`](Self::stop) makes it do.
    pub fn join(mut self) {
        self.join_threads();
    }

    fn join_threads(&mut self) {
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so on stderr; nothing is left to do about it here.
            drop(thread.join());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        self.join_threads();
    }
}

/// One listener for all threads. Not one per thread with `SO_REUSEPORT`: that would let a second server take the same
/// port without an error.
fn listen(address: SocketAddr) -> rustix::io::Result<(OwnedFd, SocketAddr)> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let listener = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    // Accepted sockets inherit it.
    sockopt::set_tcp_nodelay(&listener, true)?;
    rustix::net::bind(&listener, &address)?;
    rustix::net::listen(&listener, LISTEN_QUEUE)?;
    let local_addr = SocketAddr::try_from(rustix::net::getsockname(&listener)?)?;
    Ok((listener, local_addr))
}
