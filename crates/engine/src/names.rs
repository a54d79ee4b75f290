//! Names and their addresses.
//!
//! Looking up blocks, for as long as a silent name server likes: that is done by the thread that prepares, and in a run by
//! threads named `engine-names`. Workers ask through a bounded queue without waiting for room in it, and hear the answer
//! through their mailbox, so that such a server costs them neither time nor memory.
//!
//! Invariant: an address is judged by the rules each time that it comes from a look-up. Deliberately absent: a cache, and
//! an end that is waited for; a look-up that hangs must not hold up the end of a run.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use plan::{Dns, Family, Network};

use crate::mailbox::{Command, Mailbox};
use crate::peer::Peer;
use crate::{Allow, PrepareError};

/// Finds the addresses of a host with a port. May block.
pub type Resolve = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Addresses of a name that are used. More is a mistake in the name server.
const ADDRESSES_MAX: usize = 64;

/// Look-ups of one worker that are not answered, at most. An answer has room in its mailbox beside all commands.
pub(crate) const LOOKUPS_MAX: usize = 512;

/// Look-ups at the same time for all workers. The system's resolver blocks a thread for each.
const LOOKUPS_AT_ONCE: usize = 4;

/// The system's resolver: `/etc/hosts`, name servers, and whatever else it is set up for.
pub(crate) fn system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

/// A name that can be looked up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Name {
    /// Of the host that connections to `target` go to; `None` where that is an address or a socket.
    pub(crate) fn of(target: &plan::Target, network: &Network) -> Option<Self> {
        let (host, port) = match &network.proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&target.host, target.port),
        };
        let is_name = target.socket.is_none() && host.parse::<IpAddr>().is_err();
        is_name.then(|| Self { host: host.clone(), port })
    }
}

/// Names become the peers that a plan wants and a driver allows.
#[derive(Clone)]
pub(crate) struct Directory {
    pub(crate) network: Network,
    pub(crate) allow: Allow,
    pub(crate) resolve: Arc<Resolve>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("network", &self.network).finish_non_exhaustive()
    }
}

impl Directory {
    /// The peers at `host`, at least one. Blocks.
    ///
    /// # Errors
    /// There is none that the plan wants, or one that may not be loaded.
    pub(crate) fn look_up(&self, host: &str, port: u16) -> Result<Vec<Peer>, PrepareError> {
        let addresses = self.addresses(host, port, |address| self.wants(address))?;
        Ok(addresses.into_iter().map(Peer::Tcp).collect())
    }

    /// The addresses of `host` that are wanted, none of them refused.
    pub(crate) fn addresses(
        &self,
        host: &str,
        port: u16,
        is_wanted: impl Fn(SocketAddr) -> bool,
    ) -> Result<Vec<SocketAddr>, PrepareError> {
        let dns = |source| PrepareError::Dns { host: host.to_owned(), source };
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in (self.resolve)(host, port).map_err(dns)? {
            if !is_wanted(address) {
                continue;
            }
            self.allow.check(host, address)?;
            if !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(dns(io::Error::new(io::ErrorKind::NotFound, self.what_is_missing())));
        }
        Ok(addresses)
    }

    /// Whether `address` is of the family that was asked for, and one of our sources can reach it.
    fn wants(&self, address: SocketAddr) -> bool {
        let is_of_family = match self.network.addresses {
            Family::Any => true,
            Family::Ipv4 => address.is_ipv4(),
            Family::Ipv6 => address.is_ipv6(),
        };
        let sources = &self.network.source_addresses;
        let is_reached =
            sources.is_empty() || sources.iter().any(|source| source.is_ipv4() == address.is_ipv4());
        is_of_family && is_reached
    }

    fn what_is_missing(&self) -> &'static str {
        match self.network.addresses {
            Family::Ipv4 => "it has no IPv4 address",
            Family::Ipv6 => "it has no IPv6 address",
            Family::Any if self.network.source_addresses.is_empty() => "it has no address",
            Family::Any => "it has no address that the source addresses can reach",
        }
    }
}

/// What a worker wants to know: the present peers of one of its pools.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) pool: u16,
    pub(crate) ticket: u32,
    /// After that moment of the boot clock nobody waits for the answer.
    pub(crate) until_boot_ns: u64,
    pub(crate) mailbox: Arc<Mailbox>,
}

/// Threads that look names up in a run, before they are started.
#[derive(Debug)]
pub(crate) struct Lookups {
    directory: Directory,
    /// Of each target.
    names: Vec<Option<Name>>,
    questions: Receiver<Question>,
}

impl Lookups {
    /// For a plan with `targets` and so many engine threads, and where workers ask; `None` when nothing is looked up in a
    /// run. The threads end when nobody can ask any more.
    pub(crate) fn of(
        directory: &Directory,
        targets: &[plan::Target],
        threads: usize,
    ) -> Option<(Self, Sender<Question>)> {
        let names: Vec<Option<Name>> =
            targets.iter().map(|target| Name::of(target, &directory.network)).collect();
        if directory.network.dns == Dns::Start || names.iter().all(Option::is_none) {
            return None;
        }
        let (asker, questions) = bounded(LOOKUPS_MAX * threads);
        Some((Self { directory: directory.clone(), names, questions }, asker))
    }

    /// Starts them. `known` are the peers of each target, and `mailboxes` all workers'.
    pub(crate) fn start(self, known: Vec<Vec<Peer>>, mailboxes: Vec<Arc<Mailbox>>) -> io::Result<()> {
        let name = || thread::Builder::new().name("engine-names".to_owned());
        let Self { directory, names, questions } = self;
        if let Dns::Every(period) = directory.network.dns {
            name().spawn(move || refresh(&directory, &names, period, known, &mailboxes, &questions))?;
            return Ok(());
        }
        let (directory, names) = (Arc::new(directory), Arc::new(names));
        for _ in 0..LOOKUPS_AT_ONCE {
            let (directory, names, questions) =
                (Arc::clone(&directory), Arc::clone(&names), questions.clone());
            name().spawn(move || answer(&directory, &names, &questions))?;
        }
        Ok(())
    }
}

/// Answers one question after the other.
fn answer(directory: &Directory, names: &[Option<Name>], questions: &Receiver<Question>) {
    for Question { pool, ticket, until_boot_ns, mailbox } in questions {
        let Some(Some(name)) = names.get(usize::from(pool)) else { continue };
        if clock::boot_nanos() >= until_boot_ns {
            continue;
        }
        let peers = directory.look_up(&name.host, name.port);
        if let Err(error) = &peers {
            tracing::debug!(host = name.host, %error, "cannot look up a name");
        }
        let peers = peers.ok().map(Arc::from);
        mailbox.send(Command::Peers { pool, ticket: Some(ticket), peers });
    }
}

/// Looks all names up again and again, and tells of changes. What was known stays while a name server fails.
fn refresh(
    directory: &Directory,
    names: &[Option<Name>],
    period: Duration,
    mut known: Vec<Vec<Peer>>,
    mailboxes: &[Arc<Mailbox>],
    end: &Receiver<Question>,
) {
    let mut is_told = vec![false; names.len()];
    while !matches!(end.recv_timeout(period), Err(RecvTimeoutError::Disconnected)) {
        for (index, name) in names.iter().enumerate() {
            let Some(name) = name else { continue };
            match directory.look_up(&name.host, name.port) {
                Ok(peers) => {
                    is_told[index] = false;
                    let is_known = |peer| known[index].contains(peer);
                    if peers.len() == known[index].len() && peers.iter().all(is_known) {
                        continue;
                    }
                    tracing::info!(host = name.host, ?peers, "name has other addresses");
                    known[index].clone_from(&peers);
                    let (pool, peers) = (u16::try_from(index).unwrap_or(0), Arc::<[Peer]>::from(peers));
                    for mailbox in mailboxes {
                        let peers = Some(Arc::clone(&peers));
                        mailbox.send(Command::Peers { pool, ticket: None, peers });
                    }
                }
                Err(error) if !is_told[index] => {
                    is_told[index] = true;
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(host = name.host, %error, cause, "name keeps its old addresses");
                }
                Err(_) => {}
            }
        }
    }
}
