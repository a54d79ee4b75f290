//! The transport over a real Kafka broker. Tests that leave it whole share one; each has its own prefix of topics.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed test says where, and what was measured"
)]

mod samples;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use transport::kafka::{Cluster, Settings};
use transport::wire;
use transport::{Command, Connect, Event, FileChunk, Message, Record, SendError, Start, Topic, Transport};
use xtask::services::Kafka;

const SOON: Duration = Duration::from_secs(20);

fn broker() -> &'static str {
    static BROKER: OnceLock<(Kafka, String)> = OnceLock::new();
    let (_, address) = BROKER.get_or_init(|| {
        let kafka = Kafka::start().unwrap();
        let address = kafka.address();
        (kafka, address)
    });
    address
}

fn cluster(address: &str, prefix: &str) -> Cluster {
    let mut settings = Settings::new(address);
    settings.prefix = format!("{prefix}.");
    Cluster::connect(&settings).unwrap()
}

fn prepared(prefix: &str) -> Cluster {
    let cluster = cluster(broker(), prefix);
    assert_eq!(cluster.prepare_topics().unwrap(), []);
    cluster
}

fn node(cluster: &Cluster, name: &str, subscriptions: &[(Topic, Start)]) -> Box<dyn Transport> {
    let connect = Connect { node: name.to_owned(), subscriptions: subscriptions.to_vec() };
    cluster.node(connect).unwrap()
}

fn everything(start: &Start) -> Vec<(Topic, Start)> {
    Topic::ALL.map(|topic| (topic, start.clone())).to_vec()
}

fn next_record(node: &mut dyn Transport) -> Record {
    loop {
        match node.next(SOON) {
            Some(Event::Record(record)) => return record,
            Some(_) => {}
            None => panic!("no record within {SOON:?}"),
        }
    }
}

/// Sends, and waits until the broker has it.
fn append(node: &mut dyn Transport, message: &Message) -> i64 {
    let sent = node.send(message).unwrap();
    loop {
        match node.next(SOON) {
            Some(Event::Acknowledged { ticket, offset, .. }) if ticket == sent => return offset,
            Some(_) => {}
            None => panic!("not acknowledged within {SOON:?}"),
        }
    }
}

fn raw_producer() -> BaseProducer {
    ClientConfig::new().set("bootstrap.servers", broker()).create().unwrap()
}

mod topics {
    use super::*;
    use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
    use rdkafka::client::DefaultClientContext;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn wait<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return output;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn admin() -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", broker()).create().unwrap()
    }

    pub fn create(new: &[NewTopic<'_>]) {
        for result in wait(admin().create_topics(new, &AdminOptions::new())).unwrap() {
            result.unwrap();
        }
    }

    pub fn delete_below(name: &str, offset: i64) {
        let mut offsets = rdkafka::TopicPartitionList::new();
        offsets.add_partition_offset(name, 0, rdkafka::Offset::Offset(offset)).unwrap();
        wait(admin().delete_records(&offsets, &AdminOptions::new())).unwrap();
    }

    #[test]
    fn are_created_as_the_table_says() {
        let cluster = prepared("created");
        assert_eq!(cluster.prepare_topics().unwrap(), [], "what was created is right");
        assert!(!cluster.id().is_empty());
    }

    #[test]
    fn with_wrong_settings_are_named_with_the_command_that_repairs_them() {
        let one = || TopicReplication::Fixed(1);
        create(&[
            NewTopic::new("wrong.heartbeat", 1, one()).set("retention.ms", "1000"),
            NewTopic::new("wrong.control", 3, one()).set("message.timestamp.type", "LogAppendTime"),
            NewTopic::new("wrong.metrics", 2, one())
                .set("message.timestamp.type", "LogAppendTime")
                .set("cleanup.policy", "compact"),
        ]);
        let warnings = cluster(broker(), "wrong").prepare_topics().unwrap();
        let shown: Vec<String> = warnings
            .iter()
            .map(|warning| {
                let command = warning.command.replace(broker(), "BROKER");
                format!("{} {}\n  {command}", if warning.prevents_arming { "!" } else { "-" }, warning.text)
            })
            .collect();
        let expected = expect_test::expect![[r#"
            - wrong.control has 3 partitions instead of 1: its messages have no order
              kafka-topics.sh --bootstrap-server BROKER --delete --topic wrong.control  (swell creates it anew)
            - wrong.metrics has 2 partitions instead of 4: measurements are read by fewer collectors
              kafka-topics.sh --bootstrap-server BROKER --alter --topic wrong.metrics --partitions 4
            - wrong.metrics has cleanup.policy=compact instead of delete: messages are deleted by key, and those without a key refused
              kafka-configs.sh --bootstrap-server BROKER --alter --entity-type topics --entity-name wrong.metrics --add-config cleanup.policy=delete
            ! wrong.heartbeat has message.timestamp.type=CreateTime instead of LogAppendTime: drivers learn no broker time and cannot arm
              kafka-configs.sh --bootstrap-server BROKER --alter --entity-type topics --entity-name wrong.heartbeat --add-config message.timestamp.type=LogAppendTime
            - wrong.heartbeat has retention.ms=1000 instead of 600000: records are deleted too early
              kafka-configs.sh --bootstrap-server BROKER --alter --entity-type topics --entity-name wrong.heartbeat --add-config retention.ms=600000"#]];
        expected.assert_eq(&shown.join("\n"));
    }
}

#[test]
fn every_message_arrives_with_the_stamp_of_its_acknowledgement() {
    let cluster = prepared("roundtrip");
    let mut reader = node(&cluster, "reader", &everything(&Start::End));
    let mut writer = node(&cluster, "writer", &[]);
    for message in samples::all() {
        let ticket = writer.send(&message).unwrap();
        let (stamp, offset) = loop {
            match writer.next(SOON) {
                Some(Event::Acknowledged {
                    ticket: acknowledged,
                    stamp,
                    sent,
                    acknowledged: at,
                    offset,
                    ..
                }) => {
                    assert_eq!(acknowledged, ticket);
                    assert!(at > sent);
                    break (stamp, offset);
                }
                Some(Event::Reachable | Event::Unreachable { .. }) => {}
                other => panic!("{other:?} instead of an acknowledgement"),
            }
        };
        let record = next_record(&mut *reader);
        assert_eq!(record.topic, message.topic());
        assert_eq!(record.message.unwrap(), message);
        assert!(stamp.is_some(), "the broker's stamp comes with the acknowledgement");
        assert_eq!((record.stamp, record.offset), (stamp, offset));
    }
    let began = clock::now();
    drop((reader, writer));
    println!("two nodes ended in {:?}", clock::now().since(began));
}

#[test]
fn events_spread_over_the_partitions_and_tell_how_far_these_go() {
    let cluster = prepared("events");
    let mut writer = node(&cluster, "writer", &[]);
    for number in 0..200 {
        append(&mut *writer, &samples::events("d1", number, 1000));
    }
    let start = |partitions: &[(i32, Option<i64>)]| (Topic::Events, Start::Partitions(partitions.to_vec()));
    let mut read = std::collections::BTreeSet::new();
    let (even, odd): (Vec<_>, Vec<_>) =
        (0..16).map(|partition| (partition, None)).partition(|(partition, _)| partition % 2 == 0);
    for partitions in [even, odd] {
        let mut reader = node(&cluster, "reader", &[start(&partitions)]);
        let (mut extents, mut offsets) = (BTreeMap::new(), BTreeMap::new());
        // The ends are told once a second; what they add up to is what there is to read.
        while extents.len() < partitions.len() || offsets.values().sum::<i64>() < extents.values().sum() {
            match reader.next(SOON).expect("neither a record nor an extent") {
                Event::Record(record) => {
                    assert!(partitions.contains(&(record.partition, None)));
                    let Ok(Message::Events(batch)) = record.message else { panic!("{:?}", record.message) };
                    assert!(read.insert(batch.number), "batch {} twice", batch.number);
                    offsets.insert(record.partition, record.offset + 1);
                }
                Event::Extent { partition, oldest: 0, end } => {
                    extents.insert(partition, end);
                }
                _ => {}
            }
        }
        assert!(offsets.len() >= 6, "few partitions are used: {offsets:?}");
    }
    assert_eq!(read.len(), 200);
    assert_eq!(cluster.extent(Topic::Events).unwrap(), (16, Some(Duration::from_secs(24 * 3600))));
    let mut reader = node(&cluster, "reader", &[start(&[(3, Some(2))])]);
    let record = next_record(&mut *reader);
    assert_eq!((record.partition, record.offset), (3, 2));
}

#[test]
fn a_file_of_many_pieces_is_read_again_from_its_first() {
    let cluster = prepared("files");
    let mut writer = node(&cluster, "writer", &[]);
    let chunk = |chunk: u32| {
        let bytes = (0..wire::MAX_CHUNK_BYTES).map(|at| (at >> (chunk % 8)).to_le_bytes()[0]).collect();
        Message::FileChunk(FileChunk { sha256: "0".repeat(64), chunk, chunks: 20, bytes })
    };
    let offsets: Vec<i64> = (0..20).map(|number| append(&mut *writer, &chunk(number))).collect();
    for _ in 0..2 {
        let start = Start::At(vec![(Topic::Files, 0, offsets[2])]);
        let mut reader = node(&cluster, "reader", &[(Topic::Files, start)]);
        for number in 2..20 {
            let record = next_record(&mut *reader);
            assert_eq!(record.offset, offsets[number as usize]);
            assert!(record.message.unwrap() == chunk(number), "piece {number}");
        }
    }
}

#[test]
fn without_the_brokers_stamps_there_are_none() {
    use rdkafka::admin::{NewTopic, TopicReplication};
    topics::create(&[NewTopic::new("stampless.heartbeat", 1, TopicReplication::Fixed(1))]);
    let cluster = cluster(broker(), "stampless");
    assert!(cluster.prepare_topics().unwrap().iter().any(|warning| warning.prevents_arming));
    let mut node = node(&cluster, "d1", &[(Topic::Heartbeat, Start::End)]);
    node.send(&samples::heartbeat("d1")).unwrap();
    let (mut acknowledged, mut read) = (false, false);
    while !(acknowledged && read) {
        match node.next(SOON) {
            Some(Event::Acknowledged { stamp, .. }) => {
                assert_eq!(stamp, None);
                acknowledged = true;
            }
            Some(Event::Record(record)) => {
                assert_eq!(record.stamp, None);
                read = true;
            }
            other => assert!(other.is_some(), "nothing within {SOON:?}"),
        }
    }
}

#[test]
fn foreign_json_is_understood_and_nonsense_is_handed_over_as_such() {
    let cluster = prepared("foreign");
    let mut reader = node(&cluster, "reader", &everything(&Start::End));
    let foreign = raw_producer();
    let send = |topic: Topic, value: &[u8]| {
        let name = cluster.topic_name(topic);
        foreign.send(BaseRecord::<(), [u8]>::to(&name).payload(value)).map_err(|(error, _)| error).unwrap();
        foreign.flush(SOON).unwrap();
    };
    let seconds = r#"{"node_id":"f","heartbeat":"YES","timestamp":1795226709}"#;
    send(Topic::Heartbeat, seconds.as_bytes());
    assert!(matches!(next_record(&mut *reader).message.unwrap(), Message::Heartbeat(heartbeat)
        if heartbeat.timestamp_unix_ms == 1_795_226_709_000 && heartbeat.ours.is_none()));
    for nonsense in [&b""[..], b"\xff\xfe", b"{}", b"null", &[b'['; 100_000]] {
        send(Topic::Register, nonsense);
        let malformed = next_record(&mut *reader).message.unwrap_err();
        assert_eq!(malformed.topic, Topic::Register);
    }
    send(Topic::Register, br#"{"node_id":"f","node_IP":"1.2.3.4","message_type":"DRIVER_NODE_REGISTER"}"#);
    assert!(matches!(next_record(&mut *reader).message.unwrap(), Message::Register(_)));
}

#[test]
fn reading_begins_where_it_is_told() {
    let cluster = prepared("starts");
    let mut writer = node(&cluster, "writer", &[]);
    for _ in 0..3 {
        append(&mut *writer, &samples::control(Command::Stop));
    }
    std::thread::sleep(Duration::from_millis(1500));
    append(&mut *writer, &samples::control(Command::Stop));
    for (start, first) in [
        (Start::Beginning, 0),
        (Start::Ago(Duration::from_millis(1000)), 3),
        (Start::Ago(Duration::from_secs(3600)), 0),
        (Start::At(vec![(Topic::Control, 0, 2)]), 2),
        (Start::At(vec![(Topic::Metrics, 0, 2)]), 0),
    ] {
        let mut reader = node(&cluster, "reader", &[(Topic::Control, start.clone())]);
        assert_eq!(next_record(&mut *reader).offset, first, "{start:?}");
    }
    let mut reader = node(&cluster, "reader", &[(Topic::Control, Start::End)]);
    let after = append(&mut *writer, &samples::control(Command::Stop));
    assert_eq!(next_record(&mut *reader).offset, after);
    assert_eq!(after, 4);
}

#[test]
fn what_was_deleted_before_it_was_read_is_counted() {
    let cluster = prepared("gaps");
    let mut writer = node(&cluster, "writer", &[]);
    for _ in 0..10 {
        append(&mut *writer, &samples::control(Command::Stop));
        append(&mut *writer, &samples::heartbeat("d1"));
    }
    topics::delete_below("gaps.control", 6);
    let start = Start::At(vec![(Topic::Control, 0, 2), (Topic::Heartbeat, 0, 9)]);
    let subscriptions = [(Topic::Control, start.clone()), (Topic::Heartbeat, start)];
    let mut reader = node(&cluster, "reader", &subscriptions);
    let (mut read, mut missing) = (Vec::new(), 0);
    while read.last() != Some(&9) || !read.contains(&9) || read.len() < 4 {
        match reader.next(SOON) {
            Some(Event::Gap { topic: Topic::Control, partition: 0, missing: gone }) => missing += gone,
            Some(Event::Record(record)) if record.topic == Topic::Control => read.push(record.offset),
            Some(_) => {}
            None => panic!("read only {read:?}"),
        }
    }
    assert_eq!((missing, read), (4, vec![6, 7, 8, 9]));
}

#[test]
fn a_command_is_read_within_50_ms() {
    let cluster = prepared("latency");
    let mut reader = node(&cluster, "reader", &[(Topic::Control, Start::End), (Topic::Trigger, Start::End)]);
    let mut writer = node(&cluster, "writer", &[]);
    append(&mut *writer, &samples::control(Command::Stop));
    next_record(&mut *reader);
    let mut latencies_ms: Vec<f64> = (0..40)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(97));
            let sent = clock::now();
            writer.send(&samples::control(Command::Stop)).unwrap();
            next_record(&mut *reader).received.since(sent).as_secs_f64() * 1e3
        })
        .collect();
    latencies_ms.sort_by(f64::total_cmp);
    println!("median {:.1} ms, greatest {:.1} ms", latencies_ms[20], latencies_ms[39]);
    // The greatest is left out: the machine that tests may be busy.
    assert!(latencies_ms[20] < 50.0, "{latencies_ms:?}");
}

/// What both ends of a conversation experienced.
#[derive(Default)]
struct Seen {
    /// How often each measurement was read.
    read: BTreeMap<u64, u32>,
    /// The last offset of each partition.
    positions: BTreeMap<(Topic, i32), i64>,
    stale: u32,
    unreachable: [u32; 2],
    reachable: [u32; 2],
    first_read_after: Option<clock::Instant>,
}

impl Seen {
    fn on(&mut self, side: usize, event: Event) {
        match event {
            Event::Record(record) => {
                let before = self.positions.insert((record.topic, record.partition), record.offset);
                assert!(
                    before.is_none_or(|before| before < record.offset),
                    "{before:?}, then {}",
                    record.offset
                );
                if let Message::Metrics(metrics) = record.message.unwrap() {
                    *self.read.entry(metrics.ours.unwrap().seq).or_default() += 1;
                    self.first_read_after.get_or_insert(record.received);
                }
            }
            Event::Unreachable { .. } => self.unreachable[side] += 1,
            Event::Reachable => self.reachable[side] += 1,
            Event::Undelivered { .. } => self.stale += 1,
            Event::Acknowledged { .. } | Event::Extent { .. } => {}
            Event::Gap { .. } => panic!("{event:?}"),
        }
    }

    fn listen(&mut self, reader: &mut dyn Transport, writer: &mut dyn Transport, wait: Duration) {
        let until = clock::now() + wait;
        while !until.since(clock::now()).is_zero() {
            if let Some(event) = reader.next(until.since(clock::now()) / 2) {
                self.on(0, event);
            }
            while let Some(event) = writer.next(Duration::ZERO) {
                self.on(1, event);
            }
        }
    }
}

/// Breaks the broker in the midst of traffic and repairs it. Measurements arrive all, and once; stale heartbeats are
/// given up; both ends hear of it once and go on by themselves.
fn interrupt(name: &str, break_it: fn(&mut Kafka), repair_it: fn(&mut Kafka)) {
    let mut kafka = Kafka::start().unwrap();
    let cluster = cluster(&kafka.address(), name);
    assert_eq!(cluster.prepare_topics().unwrap(), []);
    let mut reader =
        node(&cluster, "reader", &[(Topic::Metrics, Start::End), (Topic::Heartbeat, Start::End)]);
    let mut writer = node(&cluster, "writer", &[]);
    let window = samples::window(0, 3, 20);
    let mut seen = Seen::default();
    let mut repaired = None;
    let sent = 160;
    for tick in 0..sent {
        match tick {
            30 => break_it(&mut kafka),
            110 => {
                repair_it(&mut kafka);
                repaired = Some(clock::now());
                seen.first_read_after = None;
            }
            _ => {}
        }
        writer.send(&samples::metrics("d1", tick, window.clone())).unwrap();
        writer.send(&samples::heartbeat("d1")).unwrap();
        seen.listen(&mut *reader, &mut *writer, Duration::from_millis(100));
    }
    let deadline = clock::now() + SOON;
    while (seen.read.len() as u64) < sent && clock::now() < deadline {
        seen.listen(&mut *reader, &mut *writer, Duration::from_millis(100));
    }
    let took = seen.first_read_after.unwrap().since(repaired.unwrap());
    let doubles: u32 = seen.read.values().map(|times| times - 1).sum();
    println!(
        "{name}: {sent} sent, {} read, {doubles} twice, {} stale heartbeats, read again after {took:?}",
        seen.read.len(),
        seen.stale
    );
    assert_eq!(seen.read.len() as u64, sent);
    assert_eq!(doubles, 0, "the producer is idempotent");
    assert!(seen.stale > 0);
    // Without heartbeats of its own, a reader waits for its connection to time out, so it may notice nothing. A broker
    // that is starting may answer, fall silent and answer again.
    assert!(seen.unreachable[1] >= 1, "{:?}", seen.unreachable);
    assert_eq!(seen.unreachable, seen.reachable);
}

#[test]
fn a_broker_that_is_killed_and_comes_back_loses_nothing() {
    interrupt("killed", |kafka| kafka.kill().unwrap(), |kafka| kafka.restart().unwrap());
}

#[test]
fn a_broker_that_stands_still_for_a_while_loses_nothing() {
    interrupt("paused", |kafka| kafka.pause().unwrap(), |kafka| kafka.resume().unwrap());
}

#[test]
fn a_long_backlog_is_read_whole() {
    let cluster = prepared("backlog");
    let mut writer = node(&cluster, "writer", &[]);
    let mut bytes = 0;
    let sent = 1000;
    for seq in 0..sent {
        let message = samples::metrics(&format!("d{}", seq % 8), seq, samples::window(0, 30, 400));
        bytes += wire::encode(&message).unwrap().value.len();
        while writer.send(&message).is_err() {
            writer.next(SOON);
        }
        while writer.next(Duration::ZERO).is_some() {}
    }
    let mut reader = node(&cluster, "reader", &[(Topic::Metrics, Start::Beginning)]);
    let began = clock::now();
    for _ in 0..sent {
        assert!(next_record(&mut *reader).message.is_ok());
    }
    let rate = bytes as f64 / 1e6 / clock::now().since(began).as_secs_f64();
    println!("{sent} messages, {:.1} MB, read and decoded at {rate:.1} MB/s", bytes as f64 / 1e6);
}

/// A fatal error is what an idempotent producer meets when the broker has lost what it knew of it.
#[test]
fn a_producer_that_fails_is_made_anew_and_sends_again() {
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
    let mock = MockCluster::new(1).unwrap();
    for topic in Topic::ALL {
        mock.create_topic(&format!("fatal.{topic}"), 1, 1).unwrap();
    }
    let cluster = cluster(&mock.bootstrap_servers(), "fatal");
    let mut reader = node(&cluster, "reader", &[(Topic::Control, Start::Beginning)]);
    let mut writer = node(&cluster, "writer", &[]);
    append(&mut *writer, &samples::control(Command::Stop));
    let lost = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    mock.request_errors(RDKafkaApiKey::Produce, &[lost]);
    let mut waiting: Vec<_> = (0..5)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(20));
            writer.send(&samples::control(Command::Claim)).unwrap()
        })
        .collect();
    while !waiting.is_empty() {
        match writer.next(SOON) {
            Some(Event::Acknowledged { ticket, .. }) => waiting.retain(|waits| *waits != ticket),
            Some(Event::Undelivered { reason, .. }) => panic!("{reason}"),
            Some(_) => {}
            None => panic!("{waiting:?} not acknowledged"),
        }
    }
    let read = (0..6).map(|_| next_record(&mut *reader)).filter(|record| record.message.is_ok()).count();
    assert_eq!(read, 6);
}

#[test]
fn a_full_queue_is_said_at_once() {
    // Besides, a cluster of one whose default are three copies.
    let mut kafka = Kafka::start_with(&["default.replication.factor=3"]).unwrap();
    let cluster = cluster(&kafka.address(), "full");
    let warnings = cluster.prepare_topics().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].text.contains("topics get 1 instead"), "{warnings:?}");
    assert_eq!(cluster.prepare_topics().unwrap(), []);
    let mut writer = node(&cluster, "writer", &[]);
    append(&mut *writer, &samples::control(Command::Stop));
    kafka.kill().unwrap();
    let message = samples::metrics("d1", 0, samples::window(0, 40, 400));
    let began = clock::now();
    let taken = (0..1000).position(|_| matches!(writer.send(&message), Err(SendError::Full)));
    let taken = taken.unwrap();
    let took = clock::now().since(began);
    println!("{taken} messages taken in {took:?}");
    assert!(taken > 10);
    let began = clock::now();
    drop(writer);
    assert!(clock::now().since(began) < Duration::from_secs(30), "a node ends although no broker answers");
}

mod connecting {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    fn refused(brokers: &str) -> String {
        let began = clock::now();
        let error = Cluster::connect(&Settings::new(brokers)).err().unwrap().to_string();
        println!("{:?}: {error}", clock::now().since(began));
        assert!(clock::now().since(began) < Duration::from_secs(60));
        error
    }

    #[test]
    fn to_where_nobody_listens() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = refused(&format!("127.0.0.1:{port}"));
        assert!(error.starts_with(&format!("cannot reach Kafka at 127.0.0.1:{port}")), "{error}");
        assert!(error.contains("Connection refused"), "{error}");
        let error = refused("no-such-host.invalid:9092");
        assert!(error.contains("no-such-host.invalid:9092: cannot resolve the name"), "{error}");
        assert!(refused("localhost").contains("expected HOST:PORT"));
    }

    #[test]
    fn to_something_else() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                let mut buffer = [0; 1024];
                if stream.read(&mut buffer).is_ok() {
                    stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").ok();
                }
            }
        });
        let error = refused(&address);
        assert!(
            error.starts_with(&format!(
                "what listens at {address} does not answer as Kafka: it answers as a web server does"
            )),
            "{error}"
        );
    }

    #[test]
    fn to_a_broker_that_advertises_another_address() {
        let kafka = Kafka::start_with(&["advertised.listeners=PLAINTEXT://127.0.0.1:1"]).unwrap();
        let error = refused(&kafka.address());
        assert!(error.contains("127.0.0.1:1, which cannot be reached from here"), "{error}");
    }

    #[test]
    fn with_a_property_that_does_not_exist() {
        let mut settings = Settings::new("127.0.0.1:9092");
        settings.add_properties("kafka.conf", "sssl.ca.location=x").unwrap();
        let error = Cluster::connect(&settings).err().unwrap().to_string();
        assert!(error.starts_with("sssl.ca.location=x: No such configuration property"), "{error}");
    }
}
