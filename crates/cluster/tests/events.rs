//! Raw events of a whole driver, over the log in memory: what is in the log, and what the driver says of it.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use cluster::driver::{Exit, Settings};
use cluster::files::Shelf;
use cluster::runtime::driver::{Keeping, Load, run, subscriptions};
use cluster::runtime::files::{Connector, FileSource};
use engine::{Allow, Io, Secrets};
use transport::{
    Connect, Event, EventBatch, Message, Metrics, NodeState, Start, TestConfig, TestType, Topic, Transport,
    Trigger, memory,
};

const REQUESTS: u64 = 300;

/// Answers one of three with a 503. Each client waits for its answer.
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut bytes = [0; 1024];
                let mut answered = 0;
                while stream.read(&mut bytes).is_ok_and(|count| count > 0) {
                    answered += 1;
                    let status = if answered % 3 == 0 { "503 Busy" } else { "200 OK" };
                    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\npong").unwrap();
                }
            });
        }
    });
    format!("http://{address}/ping")
}

fn settings(target: String) -> Settings {
    Settings {
        node_id: "d1".to_owned(),
        address: "127.0.0.1".to_owned(),
        version: "0".to_owned(),
        cores: 1,
        memory_bytes: 0,
        zone: None,
        labels: BTreeMap::new(),
        target: Some(target),
    }
}

fn load(broker: memory::Broker) -> Load {
    let connect: Connector = Arc::new(move |connect| Ok(broker.node(connect)));
    Load {
        threads: 1,
        allow: Allow::default(),
        product: "test/0".to_owned(),
        io: Io::Auto,
        files: FileSource { shelf: Shelf::default(), connect },
        looks_ahead: false,
        secrets: Secrets::default(),
        events: Keeping::default(),
    }
}

/// Reads on until a message is what was waited for.
fn wait_for<T>(node: &mut dyn Transport, mut is_it: impl FnMut(Message) -> Option<T>) -> T {
    let mut silent = 0;
    loop {
        match node.next(Duration::from_secs(1)) {
            Some(Event::Record(record)) => {
                if let Some(found) = is_it(record.message.unwrap()) {
                    return found;
                }
            }
            Some(_) => {}
            None => silent += 1,
        }
        assert!(silent < 60, "a minute of silence");
    }
}

fn state_is(wanted: NodeState) -> impl FnMut(Message) -> Option<()> {
    move |message| match message {
        Message::Heartbeat(heartbeat) => heartbeat.ours.filter(|ours| ours.state == wanted).map(|_| ()),
        _ => None,
    }
}

#[test]
fn a_driver_sends_a_row_for_each_failure_and_says_how_many() {
    let broker = memory::Broker::new();
    let topics = [Topic::Heartbeat, Topic::Metrics].map(|topic| (topic, Start::Beginning));
    let mut node = broker.node(Connect { node: "test".to_owned(), subscriptions: topics.to_vec() });
    let events = vec![(Topic::Events, Start::Beginning)];
    let mut collector = broker.node(Connect { node: "collector".to_owned(), subscriptions: events });
    let transport = broker.node(Connect { node: "d1".to_owned(), subscriptions: subscriptions() });
    let shutdown: Arc<AtomicBool> = Arc::default();
    let driver = thread::spawn({
        let (settings, load, shutdown) = (settings(server()), load(broker.clone()), Arc::clone(&shutdown));
        move || run(settings, load, transport, &shutdown)
    });

    wait_for(node.as_mut(), state_is(NodeState::Idle));
    let test_id = "basic".to_owned();
    node.send(&Message::TestConfig(TestConfig {
        test_id: test_id.clone(),
        test_type: TestType::Avalanche,
        message_delay: Duration::ZERO,
        message_count_per_driver: REQUESTS,
        ours: None,
    }))
    .unwrap();
    wait_for(node.as_mut(), state_is(NodeState::Armed));
    let started = clock::unix_ms() * 1000;
    node.send(&Message::Trigger(Trigger { test_id, ours: None })).unwrap();
    let totals = wait_for(node.as_mut(), |message| match message {
        Message::Metrics(Metrics { ours: Some(ours), .. }) => ours.fin,
        _ => None,
    });
    let counts = totals.events.unwrap();
    assert!(totals.failed > 0 && totals.succeeded > totals.failed, "{totals:?}");
    assert_eq!((counts.produced, counts.dropped), (totals.failed, 0), "the basic form asks for errors");

    let mut rows = 0;
    let mut numbers = Vec::new();
    while rows < counts.produced {
        let batch: EventBatch = wait_for(collector.as_mut(), |message| match message {
            Message::Events(batch) => Some(batch),
            _ => None,
        });
        assert_eq!((batch.test_id.as_str(), batch.node_id.as_str()), ("basic", "d1"));
        let decoded = events::decode(batch.bytes).unwrap();
        assert_eq!(decoded.num_rows(), batch.rows as usize);
        let columns = events::Columns::of(&decoded).unwrap();
        for row in (0..decoded.num_rows()).map(|at| columns.row(at)) {
            assert_eq!(
                (row.endpoint, row.status_code, row.error),
                ("GET /ping", Some(503), Some("status: 503"))
            );
            // The start is the driver's own, some time after it was told; both clocks are the same.
            assert!(row.timestamp_us > started - 1_000_000, "{} against {started}", row.timestamp_us);
            assert!(row.service_time_us.is_some_and(|us| us > 0 && us <= row.response_time_us));
        }
        rows += u64::from(batch.rows);
        numbers.push(batch.number);
    }
    assert_eq!(rows, counts.produced);
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    shutdown.store(true, Ordering::SeqCst);
    assert_eq!(driver.join().unwrap(), Exit::Done);
}
