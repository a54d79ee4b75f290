//! The server: a thread that accepts, one that commits, and one per connection.
//!
//! Invariant: threads, connections and memory are bounded; stopping answers what was taken in and waits for all threads.
//! Threads and not a loop over sockets: a load test has some hundreds of workers at most, each call waits for a commit,
//! and reading their JSON is work for all cores.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Scope};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::connection::{Connection, End};
use crate::counts::{Counters, Counts};
use crate::group::{Group, Groups};
use crate::intake::Categories;
use crate::memory::Memory;

/// How long a thread waits for bytes before it looks at the time.
const LOOK: Duration = Duration::from_secs(1);

/// How long a client may take to read an answer of some bytes.
const WRITE_TIME: Duration = Duration::from_secs(10);

/// How long accepting rests when the system is out of descriptors or threads.
const REST: Duration = Duration::from_millis(100);

/// Stack of a connection's thread: reading is flat, and [`crate::thrift`] bounds depth.
const STACK_BYTES: usize = 512 * 1024;

/// How a server is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Whose entries are taken; others are answered `OK` and dropped, as Scribe does, so that their sender does not
    /// hold them for ever.
    pub categories: Categories,
    /// Connections at most; more are closed at once.
    pub connections: usize,
    /// Longest frame, in bytes. Above it the connection is closed.
    pub frame_bytes: usize,
    /// Memory for frames of all connections, in bytes; a call for which there is none is answered `TRY_LATER`. A call
    /// takes five times its frame while it is read.
    pub memory_bytes: usize,
    /// Bytes of columns that may wait for the commit that is under way; beyond it calls are answered `TRY_LATER`.
    pub group_bytes: usize,
    /// A connection on which nothing comes for so long is closed.
    pub idle_time: Duration,
    /// A frame that is not complete so long after its first byte closes its connection.
    pub frame_time: Duration,
}

impl Settings {
    /// The usual limits.
    pub const fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            categories: Categories::All,
            connections: 1024,
            frame_bytes: 16 << 20,
            memory_bytes: 256 << 20,
            group_bytes: 64 << 20,
            idle_time: Duration::from_secs(600),
            frame_time: Duration::from_secs(60),
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, or not ours.
    #[error("cannot listen for Scribe on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    /// The system gave no thread or descriptor.
    #[error("cannot start the Scribe server")]
    Start(#[from] std::io::Error),
}

/// Why a sink did not store a group; it goes into the log and to clients that ask for the status.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// A server that listens until it is stopped or dropped.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    waker: OwnedFd,
    accepting: Option<JoinHandle<()>>,
    committing: Option<JoinHandle<()>>,
}

/// What its threads share.
pub struct Shared {
    pub settings: Settings,
    pub memory: Memory,
    pub groups: Groups,
    pub counters: Counters,
    /// Unix seconds.
    pub alive_since_s: i64,
    /// Why the last commit failed; empty when it did not.
    trouble: Mutex<String>,
    /// The connections that are open, by a number of their own.
    open: Mutex<HashMap<u64, Arc<TcpStream>>>,
    stops: AtomicBool,
}

impl Server {
    /// Listens. `sink` stores a group and returns once it is committed; it is called by one thread, and may take its time:
    /// meanwhile the next group fills up, and then clients are told to come back later. After an error nothing of the
    /// group counts as stored, and its senders will send it again.
    ///
    /// # Errors
    /// The address cannot be listened on, or the system is out of threads or descriptors.
    pub fn start(
        settings: Settings,
        sink: impl FnMut(&Group) -> Result<(), SinkError> + Send + 'static,
    ) -> Result<Self, Error> {
        let address = settings.listen;
        let failed = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let waker = eventfd(0, EventfdFlags::CLOEXEC).map_err(std::io::Error::from)?;
        let woken = waker.try_clone()?;
        let shared = Arc::new(Shared {
            memory: Memory::new(settings.memory_bytes),
            groups: Groups::new(settings.group_bytes),
            counters: Counters::default(),
            alive_since_s: clock::unix_ms() / 1000,
            trouble: Mutex::default(),
            open: Mutex::default(),
            stops: AtomicBool::new(false),
            settings,
        });
        // Owns the threads from the first on, so that a failure below stops what runs.
        let mut server = Self { address, shared: shared.clone(), waker, accepting: None, committing: None };
        let commits = shared.clone();
        server.committing = Some(named("scribe-commit").spawn(move || commits.commit(sink))?);
        server.accepting = Some(named("scribe-accept").spawn(move || shared.accept(&listener, &woken))?);
        Ok(server)
    }

    /// The address listened on, with the port that was chosen.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was counted since the start.
    pub fn counts(&self) -> Counts {
        self.shared.counters.counts()
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.shared.connections().len()
    }

    /// Closes the listener, answers the calls that were taken in, closes the connections, and waits for all of it. Takes as
    /// long as the sink does. All that it counted.
    pub fn stop(mut self) -> Counts {
        self.end();
        self.counts()
    }

    fn end(&mut self) {
        self.shared.stops.store(true, Ordering::Release);
        // Fails only when the counter is full, and then the thread is woken already.
        let woken = rustix::io::write(&self.waker, &1_u64.to_ne_bytes());
        debug_assert!(woken.is_ok() || woken == Err(Errno::AGAIN));
        join(self.accepting.take());
        self.shared.groups.close();
        join(self.committing.take());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

fn join(thread: Option<JoinHandle<()>>) {
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("a thread of the Scribe server has died; what it had not answered is sent again");
    }
}

impl Shared {
    /// Whether the server is to end.
    pub fn stops(&self) -> bool {
        self.stops.load(Ordering::Acquire)
    }

    /// Why the last commit failed; empty when it did not.
    pub fn trouble(&self) -> String {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<u64, Arc<TcpStream>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit(&self, mut sink: impl FnMut(&Group) -> Result<(), SinkError>) {
        // However this thread ends, nobody is to wait for it.
        let ending = CommitEnds(self);
        while let Some((group, pending)) = ending.0.groups.take() {
            let trouble = match sink(&group) {
                Ok(()) => {
                    pending.stored();
                    String::new()
                }
                Err(error) => {
                    tracing::warn!(%error, "events are not stored; their senders are told to try later");
                    format!("the last commit failed: {error}")
                }
            };
            self.set_trouble(trouble);
        }
    }

    fn set_trouble(&self, trouble: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Accepts until the server stops, then waits for the connections.
    fn accept(&self, listener: &TcpListener, woken: &OwnedFd) {
        thread::scope(|scope| {
            let mut number = 0;
            while !self.stops() {
                match listener.accept() {
                    Ok((stream, peer)) => {
                        number += 1;
                        self.admit(scope, number, stream, peer);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        let mut ready =
                            [PollFd::new(listener, PollFlags::IN), PollFd::new(woken, PollFlags::IN)];
                        if poll(&mut ready, None).is_err_and(|error| error != Errno::INTR) {
                            thread::sleep(REST);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a Scribe client");
                        thread::sleep(REST);
                    }
                }
            }
            for stream in self.connections().values() {
                // Fails where the client has left already.
                drop(stream.shutdown(Shutdown::Read));
            }
        });
    }

    fn admit<'s>(&'s self, scope: &'s Scope<'s, '_>, number: u64, stream: TcpStream, peer: SocketAddr) {
        let open = self.connections().len();
        if open >= self.settings.connections {
            self.counters.connections_refused.add(1);
            tracing::warn!(%peer, open, "a Scribe client is refused: too many are connected");
            return;
        }
        let stream = Arc::new(stream);
        self.connections().insert(number, stream.clone());
        self.counters.connections.add(1);
        let serve = move || {
            let registered = Registered { shared: self, number };
            registered.shared.serve(&stream, peer);
        };
        let builder = named(&format!("scribe-{number}")).stack_size(STACK_BYTES);
        if let Err(error) = builder.spawn_scoped(scope, serve) {
            self.connections().remove(&number);
            tracing::warn!(%peer, %error, "a Scribe client is refused: no thread for it");
            thread::sleep(REST);
        }
    }

    fn serve(&self, stream: &TcpStream, peer: SocketAddr) {
        let look = LOOK.min(self.settings.idle_time).min(self.settings.frame_time);
        let set = stream.set_read_timeout(Some(look)).and(stream.set_write_timeout(Some(WRITE_TIME)));
        let served = match set.and(stream.set_nodelay(true)) {
            Ok(()) => Connection::new(self, stream, peer).serve(),
            Err(error) => Err(error.into()),
        };
        match served {
            Ok(()) | Err(End::Io(_) | End::Idle(_)) => {
                tracing::debug!(%peer, ?served, "a Scribe client has left")
            }
            Err(end) => {
                self.counters.malformed.add(1);
                tracing::warn!(%peer, "a Scribe client is cut off: {end}");
            }
        }
    }
}

/// Takes nothing more in when it goes.
struct CommitEnds<'a>(&'a Shared);

impl Drop for CommitEnds<'_> {
    fn drop(&mut self) {
        self.0.groups.close();
        // What came in since the last group was taken: its senders wait, and are told that it is not stored.
        while self.0.groups.take().is_some() {}
        if thread::panicking() {
            tracing::error!("the sink of the Scribe server has died: nothing more is stored");
            self.0.set_trouble("the sink has died".to_owned());
        }
    }
}

/// Takes a connection off the list when it goes.
struct Registered<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.shared.connections().remove(&self.number);
    }
}
