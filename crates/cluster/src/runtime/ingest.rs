//! The ingest of raw events: reads batches from the log, stores them, and moves the positions with them.
//!
//! Invariant: what is read and not stored yet has a bound, beyond which the log is not read further, so it waits there.
//! A position moves only in the transaction of the rows before it; when that fails, the same rows are tried again, and
//! when the store says that a partition stands elsewhere, what was read of it is dropped and read again. Deliberately
//! absent: drivers, which never wait for any of this.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use clock::Instant;
use events::Batch;
use store::{Error, EventStore, Peer, Poison, Portion, Span, Store};
use transport::{Connect, EventBatch, Malformed, Message, Record, Start, Topic, Transport};

use super::files::Connector;
use super::orchestrator::StartError;
use crate::board::Board;
use crate::view::{Fault, Ingest, PartitionLag};

/// How long a turn waits for a batch.
const TURN: Duration = Duration::from_millis(50);
/// Between two claims.
const CLAIM: Duration = Duration::from_secs(1);
/// After a failed transaction.
const RETRY: Duration = Duration::from_secs(1);
/// Bytes that may wait for the store: five seconds of a million events.
const MAX_WAITING_BYTES: usize = 256 << 20;
/// As much of what cannot be understood as is kept.
const MAX_SHOWN_BYTES: usize = 4096;
/// Without anything for so long, the drivers of this process have handed over their last.
const SILENCE: Duration = Duration::from_millis(100);
/// Looks at the lag, a second apart, that tell whether it grows: more than the slowest store waits between two transactions.
const LAGS: usize = 10;
/// How long the last transaction may be tried when the process ends.
const GOODBYE: Duration = Duration::from_secs(5);

/// Where events are read.
pub struct Source {
    /// Connects to the log.
    pub connect: Connector,
    /// Whether this process stores them; else collectors do, and it says how they stand.
    pub is_ours: bool,
    /// The log that outlives this process. Without it positions mean nothing, and everything is read from its beginning.
    pub lasting: Option<Lasting>,
}

/// A log whose positions are worth keeping.
#[derive(Debug, Clone)]
pub struct Lasting {
    /// Names the topic among all that are or were: the cluster's id, a slash, its name.
    pub topic: String,
    /// Its partitions.
    pub partitions: i32,
    /// Whether a store that has no position yet begins with what comes from now on, instead of with all that is kept.
    pub begins_at_end: bool,
    /// How long it keeps a record, as far as it says.
    pub retention: Option<Duration>,
}

/// Asks an ingest to store what it has at once.
#[derive(Debug, Clone, Default)]
pub struct Hurry(Arc<AtomicU64>);

impl Hurry {
    /// Asks.
    pub fn ask(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Starts a thread that ingests from `source` until `shutdown`, or watches those who do, and shows on the board how it
/// stands.
pub(super) fn spawn(
    node_id: &str,
    store: &Store,
    source: Source,
    hurry: Hurry,
    board: Arc<Board>,
    shutdown: Arc<AtomicBool>,
) -> Result<JoinHandle<()>, StartError> {
    let events = store.events(node_id)?;
    let thread = std::thread::Builder::new().name("ingest".to_owned());
    if !source.is_ours {
        return Ok(thread.spawn(move || watch(events, &source, &board, &shutdown))?);
    }
    // Nobody waits for a change of it.
    let show = move |ingest: &Ingest, others: &[Peer]| {
        board.look(|content| {
            content.storage.ingest = Some(ingest.clone());
            content.storage.others = others.to_vec();
        });
    };
    let ingester = Ingester::new(node_id.to_owned(), events, source, hurry, Box::new(show));
    Ok(thread.spawn(move || ingester.run(&shutdown))?)
}

/// Shows how the collectors stand, as far as the store knows them, without being one.
fn watch(mut events: Box<dyn EventStore>, source: &Source, board: &Board, shutdown: &AtomicBool) {
    let (topic, mut asked) = (source.lasting.as_ref().map(|lasting| lasting.topic.as_str()), None::<Instant>);
    while !shutdown.load(Ordering::Relaxed) {
        let now = clock::now();
        if asked.is_none_or(|at| now.since(at) >= CLAIM) {
            asked = Some(now);
            let others = topic.map_or_else(|| Ok(Vec::new()), |topic| events.meet(topic, &Peer::default()));
            board.look(|content| content.storage.meet(others, clock::unix_ms()));
        }
        std::thread::sleep(TURN);
    }
}

/// A partition that is read.
#[derive(Debug, Default)]
struct Part {
    /// The position in the store.
    stored: Option<i64>,
    /// The position after what was read.
    read: Option<i64>,
    /// When the broker appended the first record that is not stored, and the last that was read, in Unix milliseconds.
    first_unstored_ms: Option<i64>,
    last_read_ms: Option<i64>,
    /// What the log has.
    oldest: i64,
    end: i64,
}

/// What was read and is not stored yet.
#[derive(Debug, Default)]
struct Waiting {
    batches: Vec<Batch>,
    rows: usize,
    bytes: usize,
    since: Option<Instant>,
}

/// Hears about once a second how an ingest stands, and how the other collectors do.
pub type Show = Box<dyn Fn(&Ingest, &[Peer]) + Send>;

/// Reads and stores until it is told to end.
pub struct Ingester {
    node_id: String,
    store: Box<dyn EventStore>,
    source: Source,
    transport: Option<Box<dyn Transport>>,
    parts: BTreeMap<i32, Part>,
    waiting: Waiting,
    /// A record that cannot be understood, to be set aside once what was read before it is stored.
    poison: Option<(i32, Poison)>,
    hurry: Hurry,
    hurried: u64,
    shown: Ingest,
    /// What the lag was at the last looks.
    lags: VecDeque<i64>,
    /// Whether the last claim reached the store.
    is_claimed: bool,
    others: Vec<Peer>,
    show: Show,
}

impl Ingester {
    /// An ingest into `store`, which tells about once a second how it and the others stand.
    pub fn new(
        node_id: String,
        store: Box<dyn EventStore>,
        source: Source,
        hurry: Hurry,
        show: Show,
    ) -> Self {
        let is_lasting = source.lasting.is_some();
        Self {
            shown: Ingest { name: node_id.clone(), is_lasting, ..Ingest::default() },
            node_id,
            store,
            source,
            transport: None,
            parts: BTreeMap::new(),
            waiting: Waiting::default(),
            poison: None,
            hurry,
            hurried: 0,
            lags: VecDeque::new(),
            is_claimed: false,
            others: Vec::new(),
            show,
        }
    }

    /// Until `shutdown`; then stores what it has, and gives its partitions back.
    pub fn run(mut self, shutdown: &AtomicBool) {
        let (mut claimed, mut retry_at, mut shown) =
            (None::<Instant>, Instant::default(), Instant::default());
        while !shutdown.load(Ordering::Relaxed) {
            let now = clock::now();
            if claimed.is_none_or(|at| now.since(at) >= CLAIM) {
                claimed = Some(now);
                self.claim();
            }
            let mut is_idle = false;
            if self.can_read() {
                is_idle = !self.read(TURN);
            } else {
                std::thread::sleep(TURN);
            }
            let now = clock::now();
            if self.is_due(now, is_idle) && now >= retry_at && !self.flush() {
                retry_at = now + RETRY;
            }
            if now.since(shown) >= CLAIM {
                shown = now;
                self.show();
            }
        }
        self.leave();
    }

    fn leave(mut self) {
        let deadline = clock::now() + GOODBYE;
        // What is in the log of this process is nowhere else.
        while self.source.lasting.is_none() && clock::now() < deadline && self.read(SILENCE) {
            if self.waiting.bytes >= MAX_WAITING_BYTES && !self.flush() {
                break;
            }
        }
        while !self.flush() && clock::now() < deadline {
            std::thread::sleep(TURN);
        }
        if self.waiting.rows > 0 {
            let rows = self.waiting.rows;
            tracing::error!(rows, "events are not stored; another collector reads those that are in Kafka");
        }
        self.store.release();
        self.show();
    }

    fn can_read(&self) -> bool {
        self.transport.is_some() && self.poison.is_none() && self.waiting.bytes < MAX_WAITING_BYTES
    }

    /// Whether what waits is to be stored now; `is_idle` when the log has nothing more at the moment, so that who is in a
    /// hurry gets one transaction and not many small ones.
    fn is_due(&mut self, now: Instant, is_idle: bool) -> bool {
        let Portion { rows, wait } = self.store.portion();
        let asked = self.hurry.0.load(Ordering::Relaxed);
        if is_idle && self.waiting.since.is_none() {
            self.hurried = asked;
        }
        let is_asked = is_idle && asked != self.hurried;
        let is_old = self.waiting.since.is_some_and(|since| is_asked || now.since(since) >= wait);
        let is_full = self.waiting.rows >= rows || self.waiting.bytes >= MAX_WAITING_BYTES;
        self.poison.is_some() || is_full || is_old
    }

    /// Learns which partitions to read, and connects to them when they are others than before.
    fn claim(&mut self) {
        let Some(lasting) = self.source.lasting.clone() else {
            if self.transport.is_none() {
                self.connect(Start::Beginning);
            }
            return;
        };
        let claimed = self.store.claim(&lasting.topic, lasting.partitions);
        self.is_claimed = claimed.is_ok();
        let claimed = match claimed {
            Ok(claimed) => claimed,
            Err(error) => {
                // Nobody knows.
                self.others.clear();
                return self.fault(&error);
            }
        };
        if self.waiting.batches.is_empty() && self.poison.is_none() {
            // Nothing waits that would tell whether the store takes rows again.
            self.shown.fault = None;
        }
        let is_same = claimed.len() == self.parts.len()
            && claimed.iter().all(|claimed| {
                self.parts.get(&claimed.partition).is_some_and(|part| part.stored == claimed.next_offset)
            });
        if is_same && (self.transport.is_some() || claimed.is_empty()) {
            return;
        }
        self.transport = None;
        self.drop_waiting();
        let partition = |claimed: &store::Claimed| {
            let part = Part { stored: claimed.next_offset, read: claimed.next_offset, ..Part::default() };
            (claimed.partition, part)
        };
        self.parts = claimed.iter().map(partition).collect();
        let is_new = claimed.iter().all(|claimed| claimed.next_offset.is_none());
        let has_all = i32::try_from(claimed.len()).is_ok_and(|claimed| claimed == lasting.partitions);
        if lasting.begins_at_end && is_new && has_all {
            self.connect(Start::End);
        } else if !claimed.is_empty() {
            let wanted = claimed.iter().map(|claimed| (claimed.partition, claimed.next_offset));
            self.connect(Start::Partitions(wanted.collect()));
        }
    }

    fn connect(&mut self, start: Start) {
        let node = format!("{}-events", self.node_id);
        match (self.source.connect)(Connect { node, subscriptions: vec![(Topic::Events, start)] }) {
            Ok(transport) => self.transport = Some(transport),
            Err(error) => tracing::warn!(%error, "the events cannot be read from the log yet"),
        }
    }

    /// What was read and is not stored is read again.
    fn drop_waiting(&mut self) {
        self.waiting = Waiting::default();
        self.poison = None;
        for part in self.parts.values_mut() {
            part.read = part.stored;
            part.first_unstored_ms = None;
        }
    }

    /// Takes what comes within `wait`; false when nothing did.
    fn read(&mut self, wait: Duration) -> bool {
        let Some(event) = self.transport.as_mut().and_then(|transport| transport.next(wait)) else {
            return false;
        };
        match event {
            transport::Event::Record(record) => self.take(record),
            transport::Event::Gap { partition, missing, .. } => {
                tracing::error!(partition, missing, "batches of events were deleted before they were read");
                self.shown.missing += missing;
            }
            transport::Event::Extent { partition, oldest, end } => {
                if let Some(part) = self.parts.get_mut(&partition) {
                    (part.oldest, part.end) = (oldest, end);
                }
            }
            transport::Event::Unreachable { reason } => tracing::warn!(reason, "ingest: no broker answers"),
            transport::Event::Reachable => tracing::info!("ingest: a broker answers again"),
            transport::Event::Acknowledged { .. } | transport::Event::Undelivered { .. } => {}
        }
        true
    }

    fn take(&mut self, record: Record) {
        let stamp_ms = record.stamp.map_or_else(clock::unix_ms, |stamp| stamp.unix_ms());
        let (partition, offset) = (record.partition, record.offset);
        match understood(record) {
            Ok((batch, bytes)) => {
                self.waiting.since.get_or_insert_with(clock::now);
                self.waiting.rows += batch.len();
                self.waiting.bytes += bytes;
                self.waiting.batches.push(batch);
            }
            Err(poison) => {
                tracing::error!(partition, offset, reason = poison.reason, "a batch of events is set aside");
                self.poison = Some((partition, poison));
                return;
            }
        }
        let part = self.parts.entry(partition).or_default();
        part.read = Some(offset + 1);
        part.end = part.end.max(offset + 1);
        part.first_unstored_ms.get_or_insert(stamp_ms);
        part.last_read_ms = Some(stamp_ms);
    }

    /// Stores what waits; false when the store cannot take it now.
    fn flush(&mut self) -> bool {
        let asked = self.hurry.0.load(Ordering::Relaxed);
        let stored = match &self.source.lasting {
            _ if self.waiting.batches.is_empty() => Ok(store::Stored::default()),
            None => self.store.store_loose(&self.waiting.batches),
            Some(lasting) => {
                let moved = self.parts.iter().filter(|(_, part)| part.read != part.stored);
                let spans: Vec<Span> = moved
                    .filter_map(|(partition, part)| {
                        let (topic, next_offset) = (lasting.topic.clone(), part.read?);
                        Some(Span { topic, partition: *partition, from: part.stored, next_offset })
                    })
                    .collect();
                self.store.store(&spans, &self.waiting.batches)
            }
        };
        let is_stored = match stored {
            Ok(stored) => {
                self.shown.rows += stored.rows;
                self.shown.duplicates += stored.duplicates;
                self.waiting = Waiting::default();
                for part in self.parts.values_mut() {
                    part.stored = part.read;
                    part.first_unstored_ms = None;
                }
                self.set_aside()
            }
            Err(error) => self.failed(&error),
        };
        if is_stored {
            self.hurried = asked;
            self.shown.fault = None;
        }
        is_stored
    }

    /// Puts the record aside that could not be understood, once all before it is stored.
    fn set_aside(&mut self) -> bool {
        let Some((partition, poison)) = &self.poison else { return true };
        let next_offset = poison.offset + 1;
        let result = match &self.source.lasting {
            None => Ok(()),
            Some(lasting) => {
                let from = self.parts.get(partition).and_then(|part| part.stored);
                let span = Span { topic: lasting.topic.clone(), partition: *partition, from, next_offset };
                self.store.set_aside(&span, poison)
            }
        };
        if let Err(error) = result {
            return self.failed(&error);
        }
        let part = self.parts.entry(*partition).or_default();
        (part.stored, part.read) = (Some(next_offset), Some(next_offset));
        self.poison = None;
        self.shown.set_aside += 1;
        true
    }

    fn failed(&mut self, error: &Error) -> bool {
        if matches!(error, Error::Moved { .. }) {
            tracing::warn!(%error, "what was read is read again");
            self.transport = None;
            self.drop_waiting();
            // The next claim sees what is ours and where it stands.
            self.parts.clear();
        } else {
            self.fault(error);
        }
        false
    }

    fn fault(&mut self, error: &Error) {
        if self.shown.fault.is_none() {
            tracing::error!(%error, "events cannot be stored; they wait in the log");
        }
        self.shown.fault = Some(Fault::go_on(self.shown.fault.as_ref(), error.to_string(), clock::unix_ms()));
    }

    fn show(&mut self) {
        let now_ms = clock::unix_ms();
        let lag = |(partition, part): (&i32, &Part)| PartitionLag {
            partition: *partition,
            messages: part.end.saturating_sub(part.stored.or(part.read).unwrap_or(self.first(part))).max(0),
            oldest_ms: part.oldest_unstored_ms(),
        };
        self.shown.partitions = self.parts.iter().map(lag).collect();
        self.shown.looked_ms = now_ms;
        let warning = self.warning(now_ms);
        if let Some(warning) = warning.as_ref().filter(|_| self.shown.warning.is_none()) {
            tracing::warn!("{warning}");
        }
        self.shown.warning = warning;
        if self.lags.len() == LAGS {
            self.lags.pop_front();
        }
        let lag_ms = self.shown.lag_ms(now_ms);
        self.lags.push_back(lag_ms);
        self.shown.lag_before_ms = self.lags.front().copied().unwrap_or(lag_ms);
        self.meet(now_ms);
        (self.show)(&self.shown, &self.others);
    }

    /// Hears of the other collectors, and lets them hear of this one.
    fn meet(&mut self, now_ms: i64) {
        // Whoever is away is asked once a second, not twice.
        let Some(lasting) = self.source.lasting.as_ref().filter(|_| self.is_claimed) else { return };
        let troubles = self.shown.troubles(now_ms);
        let own = Peer {
            name: self.node_id.clone(),
            partitions: u32::try_from(self.shown.partitions.len()).unwrap_or(u32::MAX),
            rows: self.shown.rows,
            lag_batches: self.shown.lag_messages(),
            lag_ms: self.shown.lag_ms(now_ms),
            trouble: troubles.into_iter().next().map(|trouble| trouble.text),
        };
        match self.store.meet(&lasting.topic, &own) {
            Ok(others) => self.others = others,
            Err(error) => tracing::debug!(%error, "the other collectors are not heard of"),
        }
    }

    /// Where reading a partition began that has no position.
    fn first(&self, part: &Part) -> i64 {
        let begins_at_end = self.source.lasting.as_ref().is_some_and(|lasting| lasting.begins_at_end);
        if begins_at_end { part.end } else { part.oldest }
    }

    /// What is said when the log will soon delete what is not stored.
    fn warning(&self, now_ms: i64) -> Option<String> {
        let retention_ms = i64::try_from(self.source.lasting.as_ref()?.retention?.as_millis()).ok()?;
        let lag_ms = self.shown.lag_ms(now_ms);
        // A tenth of the time before, and never less than two minutes.
        let left_ms = retention_ms - lag_ms;
        let is_near = lag_ms > 0 && left_ms < (retention_ms / 10).max(120_000);
        // Retention by size says nothing of itself; what is kept shows how near the oldest is.
        let is_oldest = |part: &Part| {
            let (kept, ahead) = (part.end - part.oldest, part.stored.unwrap_or(part.oldest) - part.oldest);
            part.oldest > 0 && kept > 0 && ahead * 4 < kept
        };
        let has_oldest = lag_ms > 60_000 && self.parts.values().any(is_oldest);
        (is_near || has_oldest).then(|| {
            let soon = if is_near { format!(" in {} s", left_ms.max(0) / 1000) } else { " soon".to_owned() };
            format!(
                "Kafka deletes events{soon} that are not stored yet: start more collectors, or raise retention.ms \
                 and retention.bytes of {}",
                self.source.lasting.as_ref().map_or("the topic", |lasting| &lasting.topic)
            )
        })
    }
}

impl Part {
    /// When the log took the oldest record that is not stored.
    fn oldest_unstored_ms(&self) -> Option<i64> {
        let is_behind = self.stored.is_none_or(|stored| stored < self.end) && self.end > self.oldest;
        self.first_unstored_ms.or(self.last_read_ms.filter(|_| is_behind))
    }
}

/// The batch of a record and its size in bytes, or why it is none.
fn understood(record: Record) -> Result<(Batch, usize), Poison> {
    let offset = record.offset;
    let poison = |reason: String, value: Vec<u8>| Poison { offset, reason, value };
    let batch = match record.message {
        Ok(Message::Events(batch)) => batch,
        Ok(_) => return Err(poison("not a batch of events".to_owned(), Vec::new())),
        Err(malformed) => {
            let Malformed { value, .. } = &malformed;
            return Err(poison(malformed.to_string(), value.clone()));
        }
    };
    let EventBatch { test_id, node_id, incarnation, number, rows: told, bytes, .. } = batch;
    let (size, beginning) = (bytes.len(), bytes[..bytes.len().min(MAX_SHOWN_BYTES)].to_vec());
    let rows = match events::decode(bytes) {
        Ok(rows) => rows,
        Err(malformed) => return Err(poison(malformed.to_string(), beginning)),
    };
    if [&test_id, &node_id].into_iter().any(|name| name.is_empty() || name.chars().any(char::is_control)) {
        return Err(poison("its run or its driver has no name that can be stored".to_owned(), beginning));
    }
    if usize::try_from(told).ok() != Some(rows.num_rows()) {
        let found = rows.num_rows();
        return Err(poison(format!("{told} rows are told, {found} are there"), beginning));
    }
    let identity = Some(events::Identity { incarnation, number });
    Ok((Batch { run_id: test_id, worker_id: node_id, identity, rows }, size))
}

#[cfg(test)]
mod tests;
