//! The cluster in virtual time: a queue of what is due, the log, and processes that are killed, paused and cut off.
//!
//! Everything happens at a true time that no process can see. Each process has its own clocks. Random choices come from
//! the script's seed alone, so a seed is a replay.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use clock::{BrokerTime, Instant};
use fastrand::Rng;
use transport::log::{Log, Read};
use transport::{Malformed, Message, Record, Start, Topic, Uuid, wire};

use super::checks::Facts;
use super::driver_host::DriverHost;
use super::ledger::Ledger;
use super::orchestrator_host::OrchestratorHost;
use super::port::{Lane, Port};
use super::script::{MS, SECOND, Script};
use crate::run::{Acknowledged, Bugs, Now, Sent};

/// Unix milliseconds of true time 0, by the broker.
pub(super) const EPOCH_MS: i64 = 1_700_000_000_000;
/// How long a heartbeat may wait for the broker.
const HEARTBEAT_TIMEOUT: u64 = 3 * SECOND;

/// What happens next to whom.
#[derive(Debug)]
pub(super) enum Due {
    Tick(usize),
    Poll(usize, Topic),
    Flush(usize, Lane),
    Acknowledged(usize, Sent, Instant, BrokerTime),
    Prepared(usize, String, bool),
    Walked(usize, String, plan::Fixture),
    Collect(usize),
    Fault(usize),
    StartRun {
        process: usize,
        run_id: String,
    },
    Restart(Restart),
    /// Looks whether all is over.
    Watch,
}

/// A process that is to come back.
#[derive(Debug)]
pub(super) enum Restart {
    Driver(usize),
    Orchestrator(usize),
}

#[derive(Debug)]
struct Entry(u64, u64, Due);

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

#[derive(Debug)]
pub(super) enum Body {
    Driver(Box<DriverHost>),
    Orchestrator(Box<OrchestratorHost>),
}

#[derive(Debug)]
pub(super) struct Process {
    /// The script's number of the driver, or of the store.
    pub number: usize,
    pub alive: bool,
    pub paused_until: u64,
    offset_ns: u64,
    drift_ppm: i64,
    wall_skew_ms: i64,
    pub port: Port,
    pub body: Body,
}

impl Process {
    /// Its monotonic clock at a true time.
    pub fn clock(&self, now: u64) -> u64 {
        let drift = i128::from(now) * i128::from(self.drift_ppm) / 1_000_000;
        u64::try_from(i128::from(now) + i128::from(self.offset_ns) + drift).unwrap()
    }

    /// The true time at which its clock shows `at`, within a microsecond.
    pub fn true_time(&self, at: u64) -> i64 {
        let shown = i128::from(at) - i128::from(self.offset_ns);
        i64::try_from(shown - shown * i128::from(self.drift_ppm) / 1_000_000).unwrap()
    }

    pub fn now(&self, now: u64) -> Now {
        let unix_ms = EPOCH_MS + i64::try_from(now / MS).unwrap() + self.wall_skew_ms;
        Now { instant: Instant::from_nanos(self.clock(now)), unix_ms }
    }
}

#[derive(Debug)]
pub(super) struct World {
    pub script: Script,
    pub bugs: Bugs,
    pub rng: Rng,
    pub now: u64,
    queue: BinaryHeap<Reverse<Entry>>,
    order: u64,
    pub log: Log,
    pub decoded: HashMap<(Topic, i64), Result<Message, Malformed>>,
    broker_away_until: u64,
    /// The broker's clock less true time.
    pub broker_offset_ms: i64,
    pub processes: Vec<Process>,
    /// One per store; a store survives its orchestrator.
    pub ledgers: Vec<Ledger>,
    /// What each store persisted.
    pub records: Vec<Option<String>>,
    pub due_of_window: HashMap<(String, Uuid, u64), Vec<u64>>,
    pub facts: Facts,
    pub orchestrator_starts: u64,
    /// What is still to come back, or to ask for something.
    pub restarts: u64,
}

impl World {
    pub fn new(script: Script, bugs: Bugs) -> Self {
        let rng = Rng::with_seed(script.seed ^ 0x5EED);
        Self {
            script,
            bugs,
            rng,
            now: 0,
            queue: BinaryHeap::new(),
            order: 0,
            log: Log::new(),
            decoded: HashMap::new(),
            broker_away_until: 0,
            broker_offset_ms: 0,
            processes: Vec::new(),
            ledgers: Vec::new(),
            records: Vec::new(),
            due_of_window: HashMap::new(),
            facts: Facts::default(),
            orchestrator_starts: 0,
            restarts: 0,
        }
    }

    pub fn at(&mut self, at: u64, due: Due) {
        self.order += 1;
        self.queue.push(Reverse(Entry(at.max(self.now), self.order, due)));
    }

    pub fn next(&mut self) -> Option<Due> {
        let Reverse(Entry(at, _, due)) = self.queue.pop()?;
        self.now = at;
        Some(due)
    }

    pub fn broker_time(&self) -> BrokerTime {
        BrokerTime::from_unix_ms(EPOCH_MS + self.broker_offset_ms + i64::try_from(self.now / MS).unwrap())
    }

    pub fn hop(&mut self) -> u64 {
        self.rng.u64(MS / 2..=self.script.delay_ms * MS)
    }

    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.rng.u64(..), self.rng.u64(..))
    }

    /// Starts a process that reads the given topics.
    pub fn spawn(&mut self, number: usize, body: Body, reads: &[(Topic, Start)]) -> usize {
        let id = self.processes.len();
        let mut port = Port::default();
        for (topic, start) in reads {
            port.cursors[topic.index()] = Some(self.log.start(*topic, start, self.broker_time()));
        }
        let process = Process {
            number,
            alive: true,
            paused_until: 0,
            offset_ns: self.rng.u64(..1000 * SECOND),
            drift_ppm: self.rng.i64(-40..=40),
            wall_skew_ms: self.rng.i64(-5000..=5000),
            port,
            body,
        };
        self.processes.push(process);
        let first = self.rng.u64(..200 * MS);
        self.at(self.now + first, Due::Tick(id));
        for (topic, _) in reads {
            self.poll(id, *topic);
        }
        id
    }

    pub fn poll(&mut self, id: usize, topic: Topic) {
        let hop = self.hop();
        let process = &mut self.processes[id];
        if process.alive && !std::mem::replace(&mut process.port.polling[topic.index()], true) {
            self.at(self.now + hop, Due::Poll(id, topic));
        }
    }

    pub fn send(&mut self, id: usize, message: &Message) {
        self.facts.sent(id, message, self.now);
        self.check_heartbeat(id, message);
        let handed_over = Instant::from_nanos(self.processes[id].clock(self.now));
        let (lane, was_empty) = self.processes[id].port.put(message, self.now, handed_over);
        if was_empty {
            let hop = self.hop();
            self.at(self.now + hop, Due::Flush(id, lane));
        }
    }

    /// When the process can reach the broker again; `None` when it can now.
    fn unreachable_until(&self, id: usize) -> Option<u64> {
        let until = self.processes[id].port.cut_until.max(self.broker_away_until);
        (until > self.now).then_some(until)
    }

    pub fn flush(&mut self, id: usize, lane: Lane) {
        if !self.processes[id].alive {
            return;
        }
        let stalled = self.processes[id].paused_until.max(self.unreachable_until(id).unwrap_or(0));
        if stalled > self.now {
            let hop = self.hop();
            self.at(stalled + hop, Due::Flush(id, lane));
            return;
        }
        while let Some(outgoing) = self.processes[id].port.queue(lane).pop_front() {
            if lane == Lane::Heartbeats && self.now - outgoing.since > HEARTBEAT_TIMEOUT {
                continue;
            }
            let repeated = lane == Lane::Rest && self.rng.u8(..) < self.script.repeats;
            if repeated {
                self.append(outgoing.encoded.clone());
            }
            self.append(outgoing.encoded);
            if !self.processes[id].port.deaf {
                let (hop, stamp) = (self.hop(), self.broker_time());
                let due = Due::Acknowledged(id, outgoing.sent, outgoing.handed_over, stamp);
                self.at(self.now + hop, due);
            }
        }
    }

    fn append(&mut self, encoded: wire::Encoded) -> i64 {
        let topic = encoded.topic;
        let message = wire::decode(topic, &encoded.value);
        let stamp = self.broker_time();
        let offset = self.log.append(stamp, encoded);
        if let Ok(message) = &message {
            self.facts.broker_offset_ms = self.broker_offset_ms;
            self.facts.appended(message, self.now);
        }
        self.decoded.insert((topic, offset), message);
        for id in 0..self.processes.len() {
            if self.processes[id].port.cursors[topic.index()].is_some() {
                self.poll(id, topic);
            }
        }
        offset
    }

    /// Puts a message into the log that no process of this cluster sent.
    pub fn forge(&mut self, message: &Message) -> i64 {
        self.append(wire::encode(message).unwrap())
    }

    /// The next record for a process, if it can be read now.
    pub fn take_record(&mut self, id: usize, topic: Topic) -> Option<Record> {
        let cursor = self.processes[id].port.cursors[topic.index()]?;
        let (offset, stamp) = match self.log.read(topic, cursor) {
            Read::Record(stored) => (stored.offset, stored.stamp),
            Read::End => return None,
            Read::Gap { next, .. } => {
                self.processes[id].port.cursors[topic.index()] = Some(next);
                return self.take_record(id, topic);
            }
        };
        self.processes[id].port.cursors[topic.index()] = Some(offset + 1);
        let received = Instant::from_nanos(self.processes[id].clock(self.now));
        let message = self.decoded[&(topic, offset)].clone();
        Some(Record { topic, partition: 0, offset, stamp: Some(stamp), received, message })
    }

    /// Puts off what a process cannot do now; true when it was put off.
    pub fn put_off(&mut self, id: usize, due: Due) -> Option<Due> {
        let process = &self.processes[id];
        if !process.alive {
            return None;
        }
        let needs_broker = matches!(due, Due::Poll(..) | Due::Acknowledged(..) | Due::Collect(_));
        let away = if needs_broker { self.unreachable_until(id).unwrap_or(0) } else { 0 };
        let until = process.paused_until.max(away);
        if until > self.now {
            let hop = self.hop();
            self.at(until + hop, due);
            return None;
        }
        Some(due)
    }

    pub fn broker_away(&mut self, until: u64) {
        self.broker_away_until = self.broker_away_until.max(until);
    }

    pub fn acknowledgement(
        &self,
        id: usize,
        sent: Sent,
        handed_over: Instant,
        stamp: BrokerTime,
    ) -> Acknowledged {
        let acknowledged = Instant::from_nanos(self.processes[id].clock(self.now));
        Acknowledged { sent, handed_over, acknowledged, stamp: Some(stamp) }
    }

    pub fn plan(&self) -> Arc<plan::Plan> {
        Arc::new(plan::parse("simulated", &self.script.plan).unwrap())
    }
}
