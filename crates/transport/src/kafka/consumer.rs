//! The thread that reads records, and the positions it reads from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use clock::BrokerTime;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _, Timestamp};
use rdkafka::{Offset, TopicPartitionList};

use super::context::{Health, Watch};
use super::producer::read_headers;
use super::{ANSWER_TIMEOUT, Error, Settings};
use crate::wire;
use crate::{Event, Record, Start, Topic};

/// How long the thread waits in librdkafka's queue before it looks whether it should end. It wakes at once for a record.
const POLL: Duration = Duration::from_millis(250);
/// How often, and for how long, an unreachable broker is asked whether it is back.
const PROBE: Duration = Duration::from_secs(1);

type Positions = BTreeMap<(Topic, i32), i64>;

/// Reads the subscribed topics until it is dropped.
pub struct Consumer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Consumer {
    /// Settles the positions and starts the thread.
    pub fn new(
        settings: &Settings,
        client_id: &str,
        subscriptions: &[(Topic, Start)],
        health: &Arc<Health>,
    ) -> Result<Self, Error> {
        let reads_events = subscriptions.iter().any(|(topic, _)| *topic == Topic::Events);
        let config =
            if reads_events { settings.events_consumer(client_id) } else { settings.consumer(client_id) };
        let watch = Watch { health: Arc::clone(health), events: settings.topic_name(Topic::Events) };
        let client: BaseConsumer<Watch> =
            config.create_with_context(watch).map_err(Error::client("make a Kafka consumer"))?;
        let names = Topic::ALL.map(|topic| settings.topic_name(topic));
        let mut positions = Positions::new();
        for (topic, start) in subscriptions {
            settle(&client, *topic, &names[topic.index()], start, &mut positions)?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let reader = Reader { client, names, positions, health: Arc::clone(health), stop: Arc::clone(&stop) };
        reader.assign().map_err(Error::client("assign partitions"))?;
        let spawned = std::thread::Builder::new().name("kafka-read".to_owned()).spawn(move || reader.run());
        let thread = spawned.map_err(|error| Error::Settings {
            setting: "threads".to_owned(),
            problem: format!("cannot start one: {error}"),
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Tells the thread to end, without waiting for it.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of a kafka consumer had panicked");
        }
    }
}

/// Finds the offset at which reading each partition of `topic` begins.
fn settle(
    client: &BaseConsumer<Watch>,
    topic: Topic,
    name: &str,
    start: &Start,
    positions: &mut Positions,
) -> Result<(), Error> {
    let metadata = client
        .fetch_metadata(Some(name), ANSWER_TIMEOUT)
        .map_err(Error::client(format!("ask for the partitions of {name}")))?;
    let partitions: Vec<i32> = metadata
        .topics()
        .iter()
        .filter(|found| found.name() == name && found.error().is_none())
        .flat_map(|found| found.partitions().iter().map(|partition| partition.id()))
        .collect();
    if partitions.is_empty() {
        return Err(Error::MissingTopic { topic: name.to_owned() });
    }
    for partition in partitions.into_iter().filter(|partition| start.names(*partition)) {
        let (low, high) = client
            .fetch_watermarks(name, partition, ANSWER_TIMEOUT)
            .map_err(Error::client(format!("ask for the offsets of {name}")))?;
        let offset = match start {
            Start::End => high,
            Start::Beginning => low,
            Start::Ago(age) => first_since(client, name, partition, *age)?.unwrap_or(high),
            // A position below the oldest record is kept: the gap is found, and counted, when it is read.
            Start::At(offsets) => offsets
                .iter()
                .find(|(named, number, _)| (*named, *number) == (topic, partition))
                .map_or(low, |(_, _, offset)| *offset),
            Start::Partitions(wanted) => {
                wanted.iter().find(|(wanted, _)| *wanted == partition).and_then(|(_, at)| *at).unwrap_or(low)
            }
        };
        positions.insert((topic, partition), offset);
    }
    Ok(())
}

/// Offset of the first record that is at most `age` old by this machine's wall clock, if there is one.
fn first_since(
    client: &BaseConsumer<Watch>,
    name: &str,
    partition: i32,
    age: Duration,
) -> Result<Option<i64>, Error> {
    let doing = || format!("find the records of {name} since a time");
    let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let since_ms = clock::unix_ms().saturating_sub(age_ms).max(0);
    let mut times = TopicPartitionList::new();
    times.add_partition_offset(name, partition, Offset::Offset(since_ms)).map_err(Error::client(doing()))?;
    let found = client.offsets_for_times(times, ANSWER_TIMEOUT).map_err(Error::client(doing()))?;
    Ok(found.elements().first().and_then(|element| match element.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }))
}

struct Reader {
    client: BaseConsumer<Watch>,
    names: [String; Topic::ALL.len()],
    /// The next offset of each partition.
    positions: Positions,
    health: Arc<Health>,
    stop: Arc<AtomicBool>,
}

impl Reader {
    fn run(mut self) {
        let mut probed = clock::now();
        while !self.stop.load(Ordering::Relaxed) {
            let event = match self.client.poll(POLL) {
                Some(Ok(message)) => record(&message, &self.names),
                Some(Err(error)) => {
                    self.recover(&error);
                    continue;
                }
                None => {
                    if self.health.is_unreachable() && clock::now().since(probed) >= PROBE {
                        probed = clock::now();
                        self.probe();
                    }
                    continue;
                }
            };
            let Some(record) = event else { continue };
            self.health.up();
            self.positions.insert((record.topic, record.partition), record.offset + 1);
            if !self.health.tell(Event::Record(record)) {
                return;
            }
        }
    }

    /// Nothing is read from quiet topics, so the broker's return must be asked for.
    fn probe(&self) {
        let name = self.positions.keys().next().map(|(topic, _)| self.names[topic.index()].as_str());
        if self.client.fetch_metadata(name, PROBE).is_ok() {
            self.health.up();
        }
    }

    fn recover(&mut self, error: &KafkaError) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => self.skip_gaps(),
            // Said by the context, once.
            Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure) => {}
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                self.health.down("a topic that is read has been deleted");
            }
            _ => tracing::warn!(%error, "reading from kafka"),
        }
    }

    /// Finds the partitions whose position retention has overtaken, counts what is gone, and goes on behind it.
    fn skip_gaps(&mut self) {
        let keys: Vec<(Topic, i32)> = self.positions.keys().copied().collect();
        for key in keys {
            let (topic, partition) = key;
            let (low, high) =
                match self.client.fetch_watermarks(&self.names[topic.index()], partition, ANSWER_TIMEOUT) {
                    Ok(found) => found,
                    Err(error) => {
                        // The next fetch fails in the same way, and leads here again.
                        tracing::warn!(%error, %topic, "asking for offsets after a gap");
                        continue;
                    }
                };
            let position = self.positions.get(&key).copied().unwrap_or(low);
            // Above the end: the topic was made anew, or lost its end. What is there now has not been read.
            if position < low || position > high {
                let missing = u64::try_from(low - position).unwrap_or(0);
                tracing::warn!(%topic, partition, missing, "records were deleted before they were read");
                self.positions.insert(key, low);
                self.health.tell(Event::Gap { topic, partition, missing });
            }
        }
        if let Err(error) = self.assign() {
            tracing::error!(%error, "assigning partitions after a gap");
        }
    }

    fn assign(&self) -> KafkaResult<()> {
        let mut partitions = TopicPartitionList::new();
        for ((topic, partition), offset) in &self.positions {
            let name = &self.names[topic.index()];
            partitions.add_partition_offset(name, *partition, Offset::Offset(*offset))?;
        }
        self.client.assign(&partitions)
    }
}

fn record(message: &BorrowedMessage<'_>, names: &[String; Topic::ALL.len()]) -> Option<Record> {
    let received = clock::now();
    let topic = Topic::ALL.into_iter().find(|topic| names[topic.index()] == message.topic())?;
    Some(Record {
        topic,
        partition: message.partition(),
        offset: message.offset(),
        stamp: match message.timestamp() {
            Timestamp::LogAppendTime(ms) if ms >= 0 => Some(BrokerTime::from_unix_ms(ms)),
            _ => None,
        },
        received,
        message: wire::decode_record(
            topic,
            &read_headers(message.headers()),
            message.payload().unwrap_or_default(),
        ),
    })
}
