//! What is counted, per thread, and the sums of it.
//!
//! Invariant: each number has one writer, its thread, so that counting takes no lock and no atomic read-modify-write;
//! whoever asks adds the threads up. A reset is a new generation: a thread starts again at zero before its next event,
//! and until then its numbers are of an old generation and not read.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::request::Familiar;
use crate::route::Route;

/// The kinds of requests that are counted apart.
pub(crate) const KINDS: [&str; 7] = ["ping", "delay", "status", "bytes", "echo", "stall", "other"];

/// Upper bounds of the latency buckets, in microseconds; one more bucket is without bound.
pub(crate) const BOUNDS_US: [u64; 24] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000,
    500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000, 60_000_000,
];
pub(crate) const BUCKETS: usize = BOUNDS_US.len() + 1;

/// User agents that a thread counts apart. Beyond, the one seen least recently joins [`OTHERS`].
const MAX_CLIENTS: usize = 256;

/// Bytes of a user agent that are kept.
const MAX_USER_AGENT_BYTES: usize = 200;

/// What the clients that are not counted apart are called.
const OTHERS: &str = "(others)";

/// A number that one thread writes and all may read.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    #[inline]
    fn add(&self, count: u64) {
        self.set(self.get().wrapping_add(count));
    }

    #[inline]
    fn sub(&self, count: u64) {
        self.set(self.get().wrapping_sub(count));
    }

    #[inline]
    fn set(&self, value: u64) {
        // Release, so that who has seen an answer also sees its request counted.
        self.0.store(value, Ordering::Release);
    }

    #[inline]
    fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// What all threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    threads: Box<[PerThread]>,
    generation: AtomicU64,
    stalled_until_ns: AtomicU64,
    stopping: AtomicBool,
    /// Unix time minus monotonic time, fixed at the start so that a step of the wall clock moves nothing.
    unix_offset_ns: u64,
}

/// One thread's numbers, in cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct PerThread {
    generation: AtomicU64,
    sums: Sums<Count>,
    in_flight: Count,
    connections: Count,
    clients: Mutex<Vec<Arc<Client>>>,
}

/// The numbers that a reset sets to zero.
#[derive(Debug, Default)]
pub(crate) struct Sums<N> {
    pub by_kind: [N; KINDS.len()],
    pub answered: N,
    pub abandoned: N,
    pub malformed: N,
    pub accepted: N,
    pub refused: N,
    pub bytes_in: N,
    pub bytes_out: N,
    pub latency: [N; BUCKETS],
    pub latency_sum_ns: N,
}

impl<N> Sums<N> {
    fn all(&self) -> impl Iterator<Item = &N> {
        let single = [
            &self.answered,
            &self.abandoned,
            &self.malformed,
            &self.accepted,
            &self.refused,
            &self.bytes_in,
            &self.bytes_out,
            &self.latency_sum_ns,
        ];
        self.by_kind.iter().chain(&self.latency).chain(single)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut N> {
        let single = [
            &mut self.answered,
            &mut self.abandoned,
            &mut self.malformed,
            &mut self.accepted,
            &mut self.refused,
            &mut self.bytes_in,
            &mut self.bytes_out,
            &mut self.latency_sum_ns,
        ];
        self.by_kind.iter_mut().chain(&mut self.latency).chain(single)
    }
}

/// The requests of one user agent over one thread.
#[derive(Debug)]
pub(crate) struct Client {
    user_agent: Box<str>,
    requests: Count,
    /// Monotonic; 0 before the first.
    first_ns: Count,
    last_ns: Count,
}

impl Client {
    fn new(user_agent: Box<str>) -> Self {
        Self { user_agent, requests: Count::default(), first_ns: Count::default(), last_ns: Count::default() }
    }

    #[inline]
    fn saw(&self, now_ns: u64) {
        if self.requests.get() == 0 {
            self.first_ns.set(now_ns);
        }
        self.last_ns.set(now_ns);
        self.requests.add(1);
    }
}

/// The sums over all threads at one moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub sums: Sums<u64>,
    pub in_flight: u64,
    pub connections: u64,
    /// By user agent.
    pub clients: BTreeMap<Box<str>, Seen>,
}

/// How many requests there were, and when the first and the last was received, in Unix nanoseconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub requests: u64,
    pub first_unix_ns: u64,
    pub last_unix_ns: u64,
}

impl Seen {
    pub(crate) fn merge(&mut self, other: &Seen) {
        if other.requests == 0 {
            return;
        }
        let first = if self.requests == 0 { u64::MAX } else { self.first_unix_ns };
        self.first_unix_ns = first.min(other.first_unix_ns);
        self.last_unix_ns = self.last_unix_ns.max(other.last_unix_ns);
        self.requests += other.requests;
    }
}

impl Snapshot {
    /// All requests that were received.
    pub(crate) fn requests(&self) -> u64 {
        self.sums.by_kind.iter().sum()
    }

    /// The requests of all clients.
    pub(crate) fn seen(&self) -> Seen {
        let mut all = Seen::default();
        self.clients.values().for_each(|seen| all.merge(seen));
        all
    }
}

impl Shared {
    pub(crate) fn new(threads: usize) -> Self {
        let unix_ns = u64::try_from(clock::unix_ms()).unwrap_or(0).saturating_mul(1_000_000);
        Self {
            threads: std::iter::repeat_with(PerThread::default).take(threads).collect(),
            generation: AtomicU64::new(0),
            stalled_until_ns: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            unix_offset_ns: unix_ns.saturating_sub(clock::now().as_nanos()),
        }
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads.len()
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Until when no answer is given.
    #[inline]
    pub(crate) fn stalled_until_ns(&self) -> u64 {
        self.stalled_until_ns.load(Ordering::Acquire)
    }

    pub(crate) fn stall_until(&self, ns: u64) {
        self.stalled_until_ns.store(ns, Ordering::Release);
    }

    /// Starts all counters again at zero.
    pub(crate) fn reset(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let generation = self.generation.load(Ordering::Acquire);
        let mut snapshot = Snapshot::default();
        for thread in &self.threads {
            snapshot.in_flight += thread.in_flight.get();
            snapshot.connections += thread.connections.get();
            if thread.generation.load(Ordering::Acquire) != generation {
                continue;
            }
            for (sum, count) in snapshot.sums.all_mut().zip(thread.sums.all()) {
                *sum += count.get();
            }
            for client in lock(&thread.clients).iter() {
                let seen = Seen {
                    requests: client.requests.get(),
                    first_unix_ns: client.first_ns.get().saturating_add(self.unix_offset_ns),
                    last_unix_ns: client.last_ns.get().saturating_add(self.unix_offset_ns),
                };
                if seen.requests > 0 {
                    snapshot.clients.entry(client.user_agent.clone()).or_default().merge(&seen);
                }
            }
        }
        snapshot
    }
}

/// A lock is only held to copy; a thread that panicked within leaves nothing half-done.
fn lock(clients: &Mutex<Vec<Arc<Client>>>) -> MutexGuard<'_, Vec<Arc<Client>>> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The writing end of one thread's numbers.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) shared: Arc<Shared>,
    index: usize,
    clients: HashMap<Box<[u8]>, Arc<Client>>,
}

impl Recorder {
    /// The recorder of thread `index`, which must be below the threads of `shared` and have no other recorder.
    pub(crate) fn new(shared: Arc<Shared>, index: usize) -> Self {
        Self { shared, index, clients: HashMap::new() }
    }

    #[inline]
    fn own(&self) -> &PerThread {
        &self.shared.threads[self.index]
    }

    /// Follows a reset; called before anything else is recorded for an event.
    #[inline]
    pub(crate) fn catch_up(&mut self, familiar: &mut Familiar) {
        let generation = self.shared.generation.load(Ordering::Acquire);
        if self.own().generation.load(Ordering::Relaxed) != generation {
            self.own().sums.all().for_each(|count| count.set(0));
            self.clients.clear();
            familiar.clear();
            lock(&self.own().clients).clear();
            self.own().generation.store(generation, Ordering::Release);
        }
    }

    /// A request was received in full.
    #[inline]
    pub(crate) fn received(&self, route: Route, client: &Client, now_ns: u64) {
        let kind = match route {
            Route::Ping => 0,
            Route::Delay(_) => 1,
            Route::Status(_) => 2,
            Route::Bytes(_) => 3,
            Route::Echo => 4,
            Route::Stall => 5,
            _ => 6,
        };
        let own = self.own();
        own.in_flight.add(1);
        own.sums.by_kind[kind].add(1);
        client.saw(now_ns);
    }

    /// The answers to `count` requests were handed to the system, `latency_ns` after the first of them was received.
    #[inline]
    pub(crate) fn answered(&self, count: u64, latency_ns: u64) {
        let own = self.own();
        own.in_flight.sub(count);
        own.sums.answered.add(count);
        own.sums.latency[BOUNDS_US.partition_point(|bound_us| bound_us * 1000 < latency_ns)].add(count);
        own.sums.latency_sum_ns.add(count.wrapping_mul(latency_ns));
    }

    /// `count` requests will not be answered: their connection is gone.
    pub(crate) fn abandoned(&self, count: u64) {
        self.own().in_flight.sub(count);
        self.own().sums.abandoned.add(count);
    }

    pub(crate) fn malformed(&self) {
        self.own().sums.malformed.add(1);
    }

    pub(crate) fn opened(&self) {
        self.own().connections.add(1);
        self.own().sums.accepted.add(1);
    }

    pub(crate) fn closed(&self) {
        self.own().connections.sub(1);
    }

    /// A connection was closed because a limit was reached.
    pub(crate) fn refused(&self) {
        self.own().sums.refused.add(1);
    }

    #[inline]
    pub(crate) fn came(&self, bytes: usize) {
        self.own().sums.bytes_in.add(bytes as u64);
    }

    #[inline]
    pub(crate) fn went(&self, bytes: usize) {
        self.own().sums.bytes_out.add(bytes as u64);
    }

    /// Where the requests of `user_agent` are counted. Clears `familiar` when that moves another client.
    pub(crate) fn client(&mut self, user_agent: &[u8], familiar: &mut Familiar) -> Arc<Client> {
        let user_agent = user_agent.get(..MAX_USER_AGENT_BYTES).unwrap_or(user_agent);
        if let Some(client) = self.clients.get(user_agent) {
            return client.clone();
        }
        if self.clients.len() == MAX_CLIENTS {
            self.forget_one();
            familiar.clear();
        }
        let client = Arc::new(Client::new(printable(user_agent)));
        self.clients.insert(user_agent.into(), client.clone());
        lock(&self.own().clients).push(client.clone());
        client
    }

    /// Adds the client that was seen least recently to the others.
    fn forget_one(&mut self) {
        let oldest = self.clients.iter().min_by_key(|(_, client)| client.last_ns.get());
        let Some(user_agent) = oldest.map(|(user_agent, _)| user_agent.clone()) else { return };
        let Some(client) = self.clients.remove(&user_agent) else { return };
        let mut clients = lock(&self.own().clients);
        clients.retain(|other| !Arc::ptr_eq(other, &client));
        let is_others = |client: &&Arc<Client>| &*client.user_agent == OTHERS;
        let others = clients.iter().find(is_others).cloned().unwrap_or_else(|| {
            let others = Arc::new(Client::new(OTHERS.into()));
            clients.push(others.clone());
            others
        });
        let firsts = [&others, &client].map(|client| client.first_ns.get());
        others.first_ns.set(firsts.into_iter().filter(|first_ns| *first_ns > 0).min().unwrap_or(0));
        others.last_ns.set(others.last_ns.get().max(client.last_ns.get()));
        others.requests.add(client.requests.get());
    }
}

/// The text with everything replaced that JSON or Prometheus would have to escape.
fn printable(text: &[u8]) -> Box<str> {
    let is_plain = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && byte != b'"' && byte != b'\\';
    text.iter().map(|byte| if is_plain(*byte) { char::from(*byte) } else { '?' }).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder() -> Recorder {
        Recorder::new(Arc::new(Shared::new(2)), 1)
    }

    #[test]
    fn a_reset_starts_again_at_zero() {
        let (mut recorder, mut familiar) = (recorder(), Familiar::default());
        let client = recorder.client(b"a", &mut familiar);
        recorder.received(Route::Ping, &client, 7);
        recorder.received(Route::Stall, &client, 9);
        recorder.answered(1, 1500);
        let snapshot = recorder.shared.snapshot();
        assert_eq!((snapshot.requests(), snapshot.in_flight, snapshot.sums.latency[1]), (2, 1, 1));
        assert_eq!(snapshot.seen().last_unix_ns - snapshot.seen().first_unix_ns, 2);

        recorder.shared.reset();
        let snapshot = recorder.shared.snapshot();
        assert_eq!((snapshot.requests(), snapshot.in_flight, snapshot.clients.len()), (0, 1, 0));
        recorder.catch_up(&mut familiar);
        let client = recorder.client(b"a", &mut familiar);
        recorder.received(Route::Ping, &client, 11);
        let snapshot = recorder.shared.snapshot();
        assert_eq!((snapshot.requests(), snapshot.in_flight, snapshot.seen().requests), (1, 2, 1));
    }

    #[test]
    fn the_table_of_clients_is_bounded_and_loses_no_request() {
        let (mut recorder, mut familiar) = (recorder(), Familiar::default());
        for number in 0..1000_u64 {
            let client = recorder.client(format!("client \"{number}\"").as_bytes(), &mut familiar);
            recorder.received(Route::Ping, &client, number + 1);
        }
        let snapshot = recorder.shared.snapshot();
        assert_eq!(snapshot.clients.len(), MAX_CLIENTS + 1);
        assert_eq!(snapshot.clients[OTHERS].requests, 1000 - MAX_CLIENTS as u64);
        assert_eq!(snapshot.clients["client ?999?"].requests, 1);
        let seen = snapshot.seen();
        assert_eq!((seen.requests, seen.last_unix_ns - seen.first_unix_ns), (1000, 999));
    }
}
