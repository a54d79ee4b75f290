//! Our client against our server, and against servers that behave badly.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use common::{batch, server, settings};
use scribe::wire::{self, Answer, Exception, ResultCode};
use scribe::{Address, Client, SendError, Sent, Server};

const PATIENCE: Duration = Duration::from_secs(60);

fn client(server: &Server) -> Client {
    Client::new(format!("scribe://{}", server.address()).parse().unwrap())
}

#[test]
fn batches_land_with_their_identity() {
    let (server, sink) = server(settings());
    let mut client = client(&server);
    let batches: Vec<_> = (0..3).map(|number| batch(number, 500)).collect();
    assert_eq!(client.send(&batches, PATIENCE).unwrap(), Sent { later: 0, broken: 0 });
    assert_eq!(client.send(&[batch(3, 8192)], PATIENCE).unwrap(), Sent { later: 0, broken: 0 });
    let stored = sink.batches();
    assert_eq!(stored[..3], batches);
    assert_eq!(stored[3], batch(3, 8192));
    let counts = server.counts();
    assert_eq!((counts.connections, counts.calls, counts.batches, counts.events), (1, 2, 4, 0));
}

#[test]
fn try_later_is_tried_again() {
    let (server, sink) = server(settings());
    let mut client = client(&server);
    sink.fail(true);
    let error = client.send(&[batch(0, 10)], Duration::from_millis(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("scribe://{} did not take the events: it says TRY_LATER", server.address())
    );
    let sending = thread::spawn(move || client.send(&[batch(0, 10)], PATIENCE).unwrap());
    while server.counts().calls_later < 3 {
        thread::yield_now();
    }
    sink.fail(false);
    let sent = sending.join().unwrap();
    assert!(sent.later >= 2 && sent.broken == 0, "{sent:?}");
    assert_eq!(sink.batches(), [batch(0, 10)]);
}

#[test]
fn a_server_that_went_away_is_found_again() {
    let (server, _) = server(settings());
    let mut client = client(&server);
    client.send(&[batch(0, 10)], PATIENCE).unwrap();
    let address = server.address();
    server.stop();
    let error = client.send(&[batch(1, 10)], Duration::from_millis(1)).unwrap_err();
    assert!(matches!(error, SendError::NotYet { .. }), "{error}");
    let (server, sink) = common::server(scribe::Settings { listen: address, ..settings() });
    client.send(&[batch(1, 10)], PATIENCE).unwrap();
    assert_eq!(sink.batches(), [batch(1, 10)]);
    drop(server);
}

/// A server that takes one connection after the other, reads a call of each and does as it is told.
fn bad(answers: Vec<fn(&mut TcpStream, &[u8])>) -> (Address, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("scribe://{}", listener.local_addr().unwrap()).parse().unwrap();
    let thread = thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
            stream.read_exact(&mut frame).unwrap();
            answer(&mut stream, &frame);
        }
    });
    (address, thread)
}

fn answer(stream: &mut TcpStream, frame: &[u8], answer: &Answer) {
    stream.write_all(&wire::read(frame).unwrap().answer(answer)).unwrap();
}

#[test]
fn servers_that_hang_up_or_talk_rubbish_are_asked_again() {
    let (address, thread) = bad(vec![
        |_, _| (),
        |stream, _| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap(),
        |stream, _| stream.write_all(&[0, 0, 0, 4, 1, 2, 3, 4]).unwrap(),
        |stream, _| stream.write_all(&[0, 0, 0, 9, 1]).unwrap(),
        |stream, frame| answer(stream, frame, &Answer::Logged(ResultCode::Ok)),
    ]);
    let sent = Client::new(address).send(&[batch(0, 1)], PATIENCE).unwrap();
    assert_eq!(sent, Sent { later: 0, broken: 4 });
    thread.join().unwrap();
}

#[test]
fn a_refusal_is_told_at_once() {
    let (address, thread) = bad(vec![|stream, frame| {
        answer(stream, frame, &Answer::Exception(Exception::UnknownMethod, "no method `Log`".to_owned()));
    }]);
    let error = Client::new(address.clone()).send(&[batch(0, 1)], PATIENCE).unwrap_err();
    assert_eq!(error.to_string(), format!("{address} refuses the events: no method `Log`"));
    thread.join().unwrap();
}

#[test]
fn what_no_frame_can_hold_is_not_sent() {
    let (server, sink) = server(settings());
    let batches = vec![batch(0, 16_384); 40];
    let error = client(&server).send(&batches, PATIENCE).unwrap_err();
    assert!(matches!(error, SendError::TooLong { .. }), "{error}");
    assert_eq!(sink.groups(), 0);
}

#[test]
fn bent_entries_are_set_aside_with_what_is_wrong() {
    let message = String::from_utf8(wire::write_batch(&batch(7, 100)).unwrap()).unwrap();
    assert_eq!(wire::read_batch(message.as_bytes()).unwrap(), batch(7, 100));
    for (from, to, reason) in [
        ("\"rows\":100", "\"rows\":99", "it has 100 rows and not 99"),
        ("\"crc32\":", "\"crc32\":1", "bytes were changed on the way"),
        ("\"number\":7", "\"number\":null", "`incarnation` is no UUID, or has no `number` beside it"),
        ("\"incarnation\":\"0", "\"incarnation\":\"x", "`incarnation` is no UUID"),
        ("\"test_run_id\":\"run\"", "\"test_run_id\":\"r\\u0007n\"", "`test_run_id` must be"),
        ("\"worker_id\":\"d1\"", "\"worker_id\":\"\"", "`worker_id` must be"),
        ("\"arrow\":\"", "\"arrow\":\"*", "`arrow` is no Base64"),
        ("\"rows\"", "\"lines\"", "missing field `rows`"),
    ] {
        let bent = message.replacen(from, to, 1);
        let found = wire::read_batch(bent.as_bytes()).map(drop).unwrap_err().to_string();
        assert!(found.contains(reason) || found.contains("it is no batch"), "{to}: {found}");
        assert_ne!(bent, message);
    }
    let mut zero = batch(8, 0);
    let mut builder = events::Builder::new();
    builder.push(&events::Row { endpoint: "a\0b", ..events::Row::default() }).unwrap();
    zero.rows = builder.finish();
    let found = wire::read_batch(&wire::write_batch(&zero).unwrap()).map(drop).unwrap_err().to_string();
    assert!(found.contains("zero character"), "{found}");
}

#[test]
fn no_bytes_of_a_batch_make_it_another_one() {
    let message = wire::write_batch(&batch(7, 20)).unwrap();
    let mut seed = fastrand::Rng::with_seed(3);
    let text = String::from_utf8(message.clone()).unwrap();
    let payload = text.find("\"rows\"").unwrap()..text.len();
    for _ in 0..20_000 {
        let mut bent = message.clone();
        let at = seed.usize(payload.clone());
        bent[at] = seed.u8(0x20..0x7f);
        if let Ok(read) = wire::read_batch(&bent) {
            assert_eq!(read, batch(7, 20));
        }
    }
}
