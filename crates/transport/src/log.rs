//! The message log without a broker: records with offsets and stamps, kept up to a bound.
//!
//! A pure value: time is an argument, nothing waits. The single-threaded simulation owns one and decides what is
//! delivered, delayed or lost; [`crate::memory`] shares one between the threads of a process.
//!
//! Invariant: offsets of a topic count up by one for ever; what retention deletes makes a gap that a later read counts.
//! Deliberately absent: partitions (every topic has the one with number 0) and decoding.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use clock::BrokerTime;

use crate::wire::{self, Encoded, Headers};
use crate::{Start, Topic};

/// The only partition of each topic.
pub const PARTITION: i32 = 0;

/// A gigabyte, by a third larger for its base64, and the frames.
const FILES_KEPT_BYTES: usize = 1_400 << 20;

/// What a record costs besides its key and value.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// One record as it is stored.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Position in its topic.
    pub offset: i64,
    /// Time of the append.
    pub stamp: BrokerTime,
    /// Position in the whole log, over all topics. A broker has no such order; a fair reader of many topics uses it.
    pub sequence: u64,
    /// What stands beside it.
    pub headers: Headers,
    /// The encoded message.
    pub value: Arc<[u8]>,
}

impl Stored {
    fn bytes(&self) -> usize {
        self.value.len() + RECORD_OVERHEAD_BYTES
    }
}

/// What is found at an offset.
#[derive(Debug, Clone)]
pub enum Read {
    /// The record.
    Record(Stored),
    /// Nothing yet.
    End,
    /// What was there has been deleted; `next` is the oldest that is left.
    Gap {
        /// Offset to go on from.
        next: i64,
        /// Records that are gone, from the asked one on.
        missing: u64,
    },
}

#[derive(Debug, Clone, Default)]
struct TopicLog {
    /// Offset of the front of `records`.
    first: i64,
    records: VecDeque<Stored>,
    bytes: usize,
}

impl TopicLog {
    fn end(&self) -> i64 {
        self.first.saturating_add(i64::try_from(self.records.len()).unwrap_or(i64::MAX))
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.records.pop_front() {
            self.bytes -= oldest.bytes();
            self.first += 1;
        }
    }
}

/// All topics.
#[derive(Debug, Clone)]
pub struct Log {
    topics: [TopicLog; Topic::ALL.len()],
    kept_bytes: [usize; Topic::ALL.len()],
    next_sequence: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self::new()
    }
}

impl Log {
    /// An empty log that keeps at most 64 MiB of measurements, 8 MiB of plans, the files of one run, and 1 MiB of every
    /// other topic.
    pub fn new() -> Self {
        Self::with_retention(|topic| match topic {
            // A minute of the largest measurements that are foreseen, an hour of usual ones.
            Topic::Metrics => 64 << 20,
            // Several plans of the largest size.
            Topic::TestConfig => 8 << 20,
            // The largest files of a run, in base64. In one process they go by another way, and nothing is here.
            Topic::Files => FILES_KEPT_BYTES,
            // A second of a million events; a node is refused more, as long as these are not read.
            Topic::Events => 64 << 20,
            // Thousands of small messages: minutes of heartbeats of a large fleet.
            Topic::Register | Topic::Trigger | Topic::Control | Topic::Heartbeat => 1 << 20,
        })
    }

    /// An empty log that keeps the bytes that `kept_bytes` says of each topic, and always the newest record.
    pub fn with_retention(kept_bytes: impl Fn(Topic) -> usize) -> Self {
        Self { topics: Default::default(), kept_bytes: Topic::ALL.map(kept_bytes), next_sequence: 0 }
    }

    /// Appends a message at the time `now`, and deletes the oldest of its topic beyond the bound. Returns its offset.
    pub fn append(&mut self, now: BrokerTime, message: Encoded) -> i64 {
        let kept_bytes = self.kept_bytes[message.topic.index()];
        let topic = &mut self.topics[message.topic.index()];
        let offset = topic.end();
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let stored =
            Stored { offset, stamp: now, sequence, headers: message.headers, value: message.value.into() };
        topic.bytes += stored.bytes();
        topic.records.push_back(stored);
        while topic.bytes > kept_bytes && topic.records.len() > 1 {
            topic.drop_oldest();
        }
        offset
    }

    /// What stands at `offset` of `topic`.
    pub fn read(&self, topic: Topic, offset: i64) -> Read {
        let log = &self.topics[topic.index()];
        let Ok(ahead) = usize::try_from(offset.saturating_sub(log.first)) else {
            return Read::Gap { next: log.first, missing: log.first.abs_diff(offset) };
        };
        log.records.get(ahead).cloned().map_or(Read::End, Read::Record)
    }

    /// Offset of the oldest record of `topic` that is kept, and the offset that the next one gets.
    pub fn range(&self, topic: Topic) -> (i64, i64) {
        let log = &self.topics[topic.index()];
        (log.first, log.end())
    }

    /// The offset at which reading `topic` begins.
    pub fn start(&self, topic: Topic, start: &Start, now: BrokerTime) -> i64 {
        let log = &self.topics[topic.index()];
        match start {
            Start::End => log.end(),
            Start::Beginning => log.first,
            Start::Ago(age) => {
                let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                let from = BrokerTime::from_unix_ms(now.unix_ms().saturating_sub(age_ms));
                let young = log.records.iter().position(|record| record.stamp >= from);
                young.map_or(log.end(), |at| log.records[at].offset)
            }
            Start::At(offsets) => offsets
                .iter()
                .find(|(named, partition, _)| *named == topic && *partition == PARTITION)
                .map_or(log.first, |(_, _, offset)| (*offset).clamp(0, log.end())),
            Start::Partitions(partitions) => partitions
                .iter()
                .find(|(partition, _)| *partition == PARTITION)
                .and_then(|(_, offset)| *offset)
                .map_or(log.first, |offset| offset.clamp(0, log.end())),
        }
    }

    /// Whether one more record of `topic` might delete an older one.
    pub fn is_full(&self, topic: Topic) -> bool {
        let bytes = self.topics[topic.index()].bytes + RECORD_OVERHEAD_BYTES + wire::max_bytes(topic);
        bytes > self.kept_bytes[topic.index()]
    }

    /// Deletes the records of `topic` below `offset`.
    pub fn delete_below(&mut self, topic: Topic, offset: i64) {
        let log = &mut self.topics[topic.index()];
        while log.first < offset && !log.records.is_empty() {
            log.drop_oldest();
        }
    }

    /// Deletes the records that are older than `age` at the time `now`.
    pub fn delete_older(&mut self, topic: Topic, age: Duration, now: BrokerTime) {
        let young = self.start(topic, &Start::Ago(age), now);
        self.delete_below(topic, young);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(value: &str) -> Encoded {
        Encoded {
            topic: Topic::Control,
            key: String::new(),
            headers: Headers::new(),
            value: value.as_bytes().to_vec(),
        }
    }

    fn at(ms: i64) -> BrokerTime {
        BrokerTime::from_unix_ms(ms)
    }

    fn values(log: &Log, mut offset: i64) -> (Vec<String>, u64) {
        let (mut values, mut gaps) = (Vec::new(), 0);
        loop {
            match log.read(Topic::Control, offset) {
                Read::Record(stored) => {
                    assert_eq!(stored.offset, offset);
                    values.push(String::from_utf8(stored.value.to_vec()).unwrap());
                    offset += 1;
                }
                Read::End => return (values, gaps),
                Read::Gap { next, missing } => {
                    gaps += missing;
                    offset = next;
                }
            }
        }
    }

    #[test]
    fn offsets_stamps_and_starts() {
        let mut log = Log::new();
        for (ms, value) in [(1000, "a"), (2000, "b"), (3000, "c")] {
            log.append(at(ms), encoded(value));
        }
        let start = |start: Start| log.start(Topic::Control, &start, at(3500));
        assert_eq!(start(Start::End), 3);
        assert_eq!(start(Start::Beginning), 0);
        assert_eq!(start(Start::Ago(Duration::from_millis(1500))), 1);
        assert_eq!(start(Start::Ago(Duration::from_millis(100))), 3);
        assert_eq!(start(Start::At(vec![(Topic::Control, 0, 2), (Topic::Metrics, 0, 1)])), 2);
        assert_eq!(start(Start::At(vec![(Topic::Metrics, 0, 1)])), 0);
        assert_eq!(start(Start::At(vec![(Topic::Control, 0, 99)])), 3);
        assert_eq!(values(&log, 1), (vec!["b".to_owned(), "c".to_owned()], 0));
        let Read::Record(stored) = log.read(Topic::Control, 1) else { panic!("no record") };
        assert_eq!((stored.stamp, stored.sequence), (at(2000), 1));
    }

    #[test]
    fn retention_counts_what_it_deletes() {
        let mut log = Log::with_retention(|_| 3 * (RECORD_OVERHEAD_BYTES + 1));
        for value in ["a", "b", "c", "d", "e"] {
            log.append(at(0), encoded(value));
        }
        assert_eq!(log.range(Topic::Control), (2, 5));
        assert_eq!(values(&log, 1), (vec!["c".to_owned(), "d".to_owned(), "e".to_owned()], 1));
        log.delete_below(Topic::Control, 4);
        assert_eq!(values(&log, 0), (vec!["e".to_owned()], 4));
        log.append(at(9000), encoded(&"x".repeat(1000)));
        assert_eq!(log.range(Topic::Control), (5, 6), "the newest is always kept");
        log.delete_older(Topic::Control, Duration::from_secs(1), at(11_000));
        assert_eq!(values(&log, 5), (Vec::new(), 1));
    }
}
