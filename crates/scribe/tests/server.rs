//! The server over real connections: what is stored, when it says so, and what hostile clients get.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod common;

use std::thread;
use std::time::Duration;

use common::{Peer, batch, event, log, server, settings};
use scribe::wire::{self, Reply, ResultCode};
use scribe::{CATEGORY, Categories, Counts, Server, Settings};

fn events(worker: &str, count: usize) -> Vec<String> {
    (0..count).map(|at| event("run", worker, at)).collect()
}

fn key(worker: &str) -> (String, String) {
    ("run".to_owned(), worker.to_owned())
}

#[test]
fn events_of_many_calls_and_workers_are_stored() {
    let (server, sink) = server(settings());
    let mut peer = Peer::connect(&server);
    let mixed: Vec<String> = (0..300).map(|at| event("run", ["a", "b", "c"][at % 3], at)).collect();
    assert_eq!(peer.log(1, "perf_results", &mixed), ResultCode::Ok);
    assert_eq!(peer.log(2, "anything", &events("a", 40_000)), ResultCode::Ok);
    assert_eq!(peer.log(3, "perf_results", &[]), ResultCode::Ok);
    let rows = sink.rows();
    assert_eq!((rows[&key("a")], rows[&key("b")], rows[&key("c")]), (40_100, 100, 100));
    let batches = sink.batches();
    assert_eq!(batches.len(), 3 + 3, "by worker, and cut at what a batch may hold");
    let second = batches[1].columns().unwrap();
    let times: Vec<i64> = (0..3).map(|at| second.row(at).response_time_us).collect();
    assert_eq!(times, [1000, 4000, 7000], "in the order they came");
    let expected = Counts { connections: 1, calls: 3, events: 40_300, ..Counts::default() };
    assert_eq!(server.counts(), expected);
}

#[test]
fn what_means_nothing_is_set_aside_and_the_rest_goes_on() {
    let (server, sink) = server(settings());
    let mut peer = Peer::connect(&server);
    let mut messages = events("a", 10);
    messages[3] = "GET / 200 12ms".to_owned();
    messages[7] = messages[7].replace("latency_ms", "latency");
    assert_eq!(peer.log(1, "c", &events("a", 1)), ResultCode::Ok);
    assert_eq!(peer.log(2, "c", &messages), ResultCode::Ok);
    assert_eq!(sink.rows()[&key("a")], 9);
    let aside = sink.set_aside();
    let places: Vec<_> =
        aside.iter().map(|aside| (aside.call, aside.entry, aside.category.as_str())).collect();
    assert_eq!(places, [(2, 3, "c"), (2, 7, "c")]);
    assert_eq!(aside[0].message, b"GET / 200 12ms");
    assert_eq!(aside[0].peer, peer.0.local_addr().unwrap());
    assert_eq!(aside[1].reason, "`latency_ms` is missing");
    let rubbish = vec!["x".repeat(10_000); 1000];
    assert_eq!(peer.log(3, "c", &rubbish), ResultCode::Ok);
    assert_eq!(sink.set_aside().len(), 102, "not all are kept");
    assert_eq!(sink.set_aside()[50].message.len(), 4096);
    assert_eq!(server.counts().set_aside, 1002, "but all are counted");
}

#[test]
fn more_workers_than_a_call_may_have_are_set_aside() {
    let (server, sink) = server(settings());
    let messages: Vec<String> = (0..1030).map(|at| event("run", &format!("w{at:04}"), at)).collect();
    assert_eq!(Peer::connect(&server).log(1, "c", &messages), ResultCode::Ok);
    assert_eq!((sink.rows().len(), sink.set_aside().len()), (1024, 6));
    assert_eq!(sink.set_aside()[0].reason, "more than 1024 workers in one call");
}

#[test]
fn other_categories_are_ignored_where_some_are_named() {
    let categories = Categories::Named(vec!["perf_results".to_owned()]);
    let (server, sink) = server(Settings { categories, ..settings() });
    let mut peer = Peer::connect(&server);
    assert_eq!(peer.log(1, "access_log", &["GET /".to_owned()]), ResultCode::Ok);
    assert_eq!(peer.log(2, "perf_results", &events("a", 1)), ResultCode::Ok);
    let ours = String::from_utf8(wire::write_batch(&batch(0, 5)).unwrap()).unwrap();
    assert_eq!(peer.log(3, CATEGORY, &[ours]), ResultCode::Ok);
    assert_eq!((sink.rows()[&key("a")], sink.rows()[&key("d1")]), (1, 5));
    assert_eq!(sink.set_aside(), []);
    assert_eq!(server.counts().ignored, 1);
}

#[test]
fn ok_is_said_after_the_commit() {
    let (server, sink) = server(settings());
    sink.hold(true);
    let mut peer = Peer::connect(&server);
    peer.write(&log(1, "c", &events("a", 1)));
    sink.wait_until_holding();
    peer.0.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(peer.0.peek(&mut [0]).is_err(), "nothing is stored yet");
    peer.0.set_read_timeout(None).unwrap();
    sink.hold(false);
    assert_eq!(peer.reply(1), Reply::Logged(ResultCode::Ok));
    assert_eq!(sink.rows()[&key("a")], 1);
}

#[test]
fn try_later_is_said_when_the_sink_fails_or_is_behind() {
    let (server, sink) = server(Settings { group_bytes: 1, ..settings() });
    let mut peer = Peer::connect(&server);
    sink.fail(true);
    assert_eq!(peer.log(1, "c", &events("a", 10)), ResultCode::TryLater);
    sink.fail(false);
    assert_eq!(peer.log(2, "c", &events("a", 10)), ResultCode::Ok);
    sink.hold(true);
    peer.write(&log(3, "c", &events("a", 10)));
    sink.wait_until_holding();
    // The next group is full with its first call, which waits; the others need not.
    let mut others: Vec<Peer> = (0..5).map(|_| Peer::connect(&server)).collect();
    for other in &mut others {
        other.write(&log(1, "c", &events("b", 10)));
    }
    while server.counts().calls_later < 1 + 4 {
        thread::yield_now();
    }
    assert_eq!(Peer::connect(&server).log(1, "c", &[]), ResultCode::Ok, "nothing to store");
    sink.hold(false);
    assert_eq!(peer.reply(3), Reply::Logged(ResultCode::Ok));
    let replies = others.iter_mut().map(|other| other.reply(1));
    assert_eq!(replies.filter(|reply| *reply == Reply::Logged(ResultCode::Ok)).count(), 1);
    let rows = sink.rows();
    assert_eq!((rows[&key("a")], rows[&key("b")]), (20, 10));
    assert_eq!(server.counts().calls_later, 5);
}

#[test]
fn a_sink_that_panics_leaves_nobody_waiting() {
    let server = Server::start(settings(), |_| panic!("as the test wants it")).unwrap();
    let mut peer = Peer::connect(&server);
    assert!(!server.has_died());
    assert_eq!(peer.log(1, "c", &events("a", 1)), ResultCode::TryLater);
    assert_eq!(peer.log(2, "c", &events("a", 1)), ResultCode::TryLater);
    let mut looks = 0..1_000;
    while !server.has_died() {
        looks.next().expect("it is told that the server takes nothing any more");
        thread::sleep(Duration::from_millis(10));
    }
    server.stop();
}

#[test]
fn memory_is_bounded_over_all_connections() {
    let (server, sink) = server(Settings { memory_bytes: 100_000, ..settings() });
    let mut peer = Peer::connect(&server);
    let long = log(1, "c", &events("a", 1000));
    assert!(long.len() > 100_000);
    peer.write(&long);
    assert_eq!(peer.reply(1), Reply::Logged(ResultCode::TryLater), "passed over");
    let middle = log(2, "c", &events("a", 300));
    peer.write(&middle);
    assert_eq!(peer.reply(2), Reply::Logged(ResultCode::TryLater), "read, but no room for its events");
    assert_eq!(peer.log(3, "c", &events("a", 50)), ResultCode::Ok);
    // Somebody holds most of it with a frame that does not end; again where a call came in between.
    let mut holder = Peer::connect(&server);
    loop {
        holder.write(&[&95_000_u32.to_be_bytes()[..], &[0; 94_999]].concat());
        thread::sleep(Duration::from_millis(20));
        if peer.log(4, "c", &events("a", 50)) == ResultCode::TryLater {
            break;
        }
        holder = Peer::connect(&server);
    }
    drop(holder);
    while peer.log(5, "c", &events("b", 50)) == ResultCode::TryLater {}
    assert_eq!(sink.rows()[&key("b")], 50);
}

#[test]
fn rubbish_closes_its_connection_and_no_other() {
    let (server, sink) = server(settings());
    let mut good = Peer::connect(&server);
    assert_eq!(good.log(1, "c", &events("a", 1)), ResultCode::Ok);
    let unframed = log(1, "c", &events("a", 1))[4..].to_vec();
    let gigabyte = (1_u32 << 30).to_be_bytes().to_vec();
    let mut noise = fastrand::Rng::with_seed(7);
    let mut rubbish: Vec<Vec<u8>> = vec![
        unframed,
        gigabyte,
        vec![0; 64],
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        [&[0, 0, 0, 8][..], &[0xff; 8]].concat(),
        [&[0, 0, 0, 3][..], b"Log"].concat(),
        vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc],
    ];
    rubbish.extend((0..20).map(|_| (0..200).map(|_| noise.u8(0x20..)).collect()));
    let count = rubbish.len() as u64;
    for bytes in rubbish {
        let mut peer = Peer::connect(&server);
        peer.write(&bytes);
        assert_eq!(peer.closed(), 0, "{bytes:?}");
    }
    assert_eq!(good.log(2, "c", &events("a", 1)), ResultCode::Ok);
    assert_eq!(sink.rows()[&key("a")], 2);
    assert_eq!(server.counts().malformed, count);
}

#[test]
fn arguments_that_cannot_be_read_are_an_exception_and_the_connection_goes_on() {
    let (server, sink) = server(settings());
    let mut peer = Peer::connect(&server);
    let mut bytes = log(1, "c", &events("a", 2));
    let cut = bytes.len() - 10;
    bytes.truncate(cut);
    bytes[..4].copy_from_slice(&u32::try_from(cut - 4).unwrap().to_be_bytes());
    peer.write(&bytes);
    let Reply::Exception(reason) = peer.reply(1) else { panic!("no exception") };
    assert_eq!(reason, "the arguments cannot be read: it ends in the middle of a value");
    assert_eq!(peer.log(2, "c", &events("a", 1)), ResultCode::Ok);
    assert_eq!(sink.rows()[&key("a")], 1);
}

#[test]
fn half_frames_and_idle_clients_have_their_time() {
    let time = Duration::from_millis(50);
    let (server, sink) = server(Settings { frame_time: time, ..settings() });
    let mut half = Peer::connect(&server);
    let call = log(1, "c", &events("a", 10));
    half.write(&call[..call.len() / 2]);
    assert_eq!(half.closed(), 0);
    assert_eq!(server.counts().malformed, 1);
    assert_eq!(sink.groups(), 0);
    let (server, _) = common::server(Settings { idle_time: time, ..settings() });
    let mut idle = Peer::connect(&server);
    assert_eq!(idle.closed(), 0);
    assert_eq!(server.counts().malformed, 0, "that is nobody's fault");
}

#[test]
fn connections_are_bounded() {
    let (server, _) = server(Settings { connections: 2, ..settings() });
    let mut kept: Vec<Peer> = (0..2).map(|_| Peer::connect(&server)).collect();
    for peer in &mut kept {
        assert_eq!(peer.log(1, "c", &[]), ResultCode::Ok);
    }
    assert_eq!(Peer::connect(&server).closed(), 0);
    assert_eq!((server.connections(), server.counts().connections_refused), (2, 1));
    kept.pop();
    while server.connections() > 1 {
        thread::yield_now();
    }
    assert_eq!(Peer::connect(&server).log(1, "c", &[]), ResultCode::Ok);
}

#[test]
fn stopping_answers_what_was_taken_in() {
    let (server, sink) = server(settings());
    sink.hold(true);
    let mut idle = Peer::connect(&server);
    let mut peer = Peer::connect(&server);
    peer.write(&log(1, "c", &events("a", 3)));
    sink.wait_until_holding();
    let stopping = thread::spawn(move || server.stop());
    assert_eq!(idle.closed(), 0);
    sink.hold(false);
    assert_eq!(peer.reply(1), Reply::Logged(ResultCode::Ok));
    assert_eq!(peer.closed(), 0);
    stopping.join().unwrap();
    assert_eq!(sink.rows()[&key("a")], 3);
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let (server, _) = server(settings());
    let error = Server::start(Settings::new(server.address()), |_| Ok(())).err().unwrap();
    assert_eq!(error.to_string(), format!("cannot listen for Scribe on {}", server.address()));
}

#[test]
fn hundreds_of_connections_are_counted_exactly() {
    const CLIENTS: usize = 300;
    let (server, sink) = server(settings());
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let server = &server;
            scope.spawn(move || {
                let mut peer = Peer::connect(server);
                for call in 0..5 {
                    assert_eq!(peer.log(call, "c", &events(&format!("w{client}"), 20)), ResultCode::Ok);
                }
                // Every third leaves without waiting for its answer, or in the middle of a call.
                if client % 3 == 0 {
                    let bytes = log(9, "c", &events("gone", 20));
                    peer.write(&bytes[..bytes.len() - client % 2]);
                }
            });
        }
    });
    let rows = sink.rows();
    assert!((0..CLIENTS).all(|client| rows[&key(&format!("w{client}"))] == 100));
    let whole = (0..CLIENTS).filter(|client| client % 6 == 0).count();
    while sink.rows().get(&key("gone")) != Some(&(whole * 20)) || server.connections() > 0 {
        thread::yield_now();
    }
    assert_eq!(server.counts().calls, 5 * CLIENTS as u64 + whole as u64);
}
