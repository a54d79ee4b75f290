//! The transport inside one process.

#![allow(clippy::unwrap_used, reason = "a failed test says where")]

mod samples;

use std::time::Duration;

use transport::log::Log;
use transport::{Command, Connect, Event, FileChunk, Message, Start, Topic, Transport, memory};

fn connect(node: &str, subscriptions: Vec<(Topic, Start)>) -> Connect {
    Connect { node: node.to_owned(), subscriptions }
}

const SOON: Duration = Duration::from_secs(10);

#[test]
fn all_messages_arrive_in_order_with_stamps() {
    let broker = memory::Broker::new();
    let subscriptions = Topic::ALL.map(|topic| (topic, Start::End)).to_vec();
    let mut reader = broker.node(connect("reader", subscriptions));
    let mut writer = broker.node(connect("writer", vec![]));
    for message in samples::all() {
        let ticket = writer.send(&message).unwrap();
        let Some(Event::Acknowledged {
            ticket: acknowledged,
            stamp: Some(stamp),
            sent,
            acknowledged: at,
            offset,
            ..
        }) = writer.next(SOON)
        else {
            panic!("not acknowledged")
        };
        assert_eq!(acknowledged, ticket);
        assert!(at >= sent);
        let Some(Event::Record(record)) = reader.next(SOON) else { panic!("no record") };
        assert_eq!((record.message.unwrap(), record.stamp, record.offset), (message, Some(stamp), offset));
    }
    assert!(reader.next(Duration::from_millis(1)).is_none());
    assert!(writer.next(Duration::ZERO).is_none());
}

#[test]
fn a_waiting_reader_is_woken() {
    let broker = memory::Broker::new();
    let mut reader = broker.node(connect("reader", vec![(Topic::Heartbeat, Start::End)]));
    let writer = broker.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        writer.node(connect("writer", vec![])).send(&samples::heartbeat("d1")).unwrap();
    });
    let began = clock::now();
    assert!(matches!(reader.next(SOON), Some(Event::Record(_))));
    assert!(clock::now().since(began) < Duration::from_secs(30));
    thread.join().unwrap();
}

#[test]
fn a_joiner_reads_from_the_beginning() {
    let broker = memory::Broker::new();
    let mut writer = broker.node(connect("writer", vec![]));
    for _ in 0..3 {
        writer.send(&samples::control(Command::Stop)).unwrap();
    }
    let offsets = |start: Start| {
        let mut reader = broker.node(connect("reader", vec![(Topic::Control, start)]));
        std::iter::from_fn(|| match reader.next(Duration::ZERO) {
            Some(Event::Record(record)) => Some(record.offset),
            _ => None,
        })
        .collect::<Vec<i64>>()
    };
    assert_eq!(offsets(Start::Beginning), [0, 1, 2]);
    assert_eq!(offsets(Start::At(vec![(Topic::Control, 0, 2)])), [2]);
    assert_eq!(offsets(Start::Ago(SOON)), [0, 1, 2]);
    assert_eq!(offsets(Start::End), [0; 0]);
}

#[test]
fn measurements_are_let_go_when_all_have_read_them() {
    let broker = memory::Broker::new();
    let mut fast = broker.node(connect("fast", vec![(Topic::Metrics, Start::End)]));
    let mut slow = broker.node(connect("slow", vec![(Topic::Metrics, Start::End)]));
    let mut writer = broker.node(connect("writer", vec![]));
    for second in 0..3 {
        writer.send(&samples::metrics("d1", second, samples::window(0, 1, 1))).unwrap();
    }
    let kept = || {
        let mut reader = broker.node(connect("reader", vec![(Topic::Metrics, Start::Beginning)]));
        std::iter::from_fn(|| reader.next(Duration::ZERO)).count()
    };
    while fast.next(Duration::ZERO).is_some() {}
    assert_eq!(kept(), 3);
    assert!(slow.next(Duration::ZERO).is_some());
    assert_eq!(kept(), 2);
    drop(slow);
    assert_eq!(kept(), 0);
}

#[test]
fn a_file_is_read_again_by_whoever_comes_later() {
    let broker = memory::Broker::new();
    let mut writer = broker.node(connect("writer", vec![]));
    let chunk = |chunk: u32| {
        let bytes = vec![7; transport::wire::MAX_CHUNK_BYTES];
        Message::FileChunk(FileChunk { sha256: "0".repeat(64), chunk, chunks: 30, bytes })
    };
    for number in 0..30 {
        writer.send(&chunk(number)).unwrap();
    }
    for _ in 0..2 {
        let start = Start::At(vec![(Topic::Files, 0, 3)]);
        let mut reader = broker.node(connect("reader", vec![(Topic::Files, start)]));
        for number in 3..30 {
            let Some(Event::Record(record)) = reader.next(SOON) else { panic!("no record") };
            assert_eq!((record.offset, record.message.unwrap()), (i64::from(number), chunk(number)));
        }
    }
}

#[test]
fn who_falls_behind_hears_how_much_is_missing() {
    let broker = memory::Broker::with_log(Log::with_retention(|_| 2000));
    let mut reader = broker.node(connect("reader", vec![(Topic::Control, Start::End)]));
    let mut writer = broker.node(connect("writer", vec![]));
    for _ in 0..100 {
        writer.send(&samples::control(Command::Stop)).unwrap();
    }
    let Some(Event::Gap { topic: Topic::Control, partition: 0, missing }) = reader.next(SOON) else {
        panic!("no gap")
    };
    let mut read = 0;
    while let Some(Event::Record(record)) = reader.next(Duration::ZERO) {
        assert!(matches!(record.message, Ok(Message::Control(_))));
        read += 1;
    }
    assert_eq!(missing + read, 100);
    assert!(read > 0);
}

#[test]
fn a_node_that_never_looks_is_told_that_it_is_full() {
    let broker = memory::Broker::new();
    let mut writer = broker.node(connect("writer", vec![]));
    let sent = (0..100_000).take_while(|_| writer.send(&samples::control(Command::Stop)).is_ok()).count();
    assert!(sent < 100_000);
    assert!(writer.next(Duration::ZERO).is_some());
    assert!(writer.send(&samples::control(Command::Stop)).is_ok());
}

#[test]
fn events_that_nobody_reads_are_refused_and_none_is_lost() {
    let broker = memory::Broker::new();
    let mut reader =
        broker.node(connect("reader", vec![(Topic::Events, Start::Partitions(vec![(0, None)]))]));
    let mut other = broker.node(connect("other", vec![(Topic::Events, Start::Partitions(vec![(1, None)]))]));
    let mut writer = broker.node(connect("writer", vec![]));
    let mut sent = 0;
    let is_refused = |writer: &mut dyn Transport, sent: &mut u64| {
        let refused = writer.send(&samples::events("d1", *sent, 500_000)).is_err();
        *sent += u64::from(!refused);
        refused
    };
    while !is_refused(&mut *writer, &mut sent) {}
    assert!((100..140).contains(&sent), "{sent} of half a MiB each");
    let mut read = 0;
    while let Some(Event::Record(record)) = reader.next(Duration::ZERO) {
        let Ok(Message::Events(batch)) = record.message else { panic!("{:?}", record.message) };
        assert_eq!(batch.number, read);
        read += 1;
    }
    assert_eq!(read, sent);
    assert!(!is_refused(&mut *writer, &mut sent), "what is read makes room");
    assert!(other.next(Duration::ZERO).is_none(), "there is one partition");
}
