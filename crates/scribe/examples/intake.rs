//! Measures the intake: clients send calls of JSON events over TCP, and each waits for its answer; the sink counts the rows
//! that it is given in columns.
//!
//!     cargo run --release -p scribe --example intake -- [CLIENTS] [EVENTS PER CALL] [SECONDS]
//!
//! Clients and server share the machine; a client writes the same bytes again and again, which costs little.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement for the terminal")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use scribe::wire::{self, Entry, Reply, ResultCode};
use scribe::{Server, Settings};

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().unwrap());
    let clients = arguments.next().unwrap_or(4);
    let events = arguments.next().unwrap_or(1000);
    let seconds = arguments.next().unwrap_or(5);
    let (rows, groups) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (stored, committed) = (rows.clone(), groups.clone());
    let server = Server::start(Settings::new(SocketAddr::from(([127, 0, 0, 1], 0))), move |group| {
        let rows: usize = group.batches.iter().map(events::Batch::len).sum();
        stored.fetch_add(rows as u64, Ordering::Relaxed);
        committed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    })
    .unwrap();
    let address = server.address();
    let began = clock::now();
    let until = began + Duration::from_secs(seconds);
    let cpu = clock::process_cpu();
    let calls: u64 = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..clients).map(|client| scope.spawn(move || send(address, client, events, until))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let took = clock::now().since(began).as_secs_f64();
    let cpu = (clock::process_cpu() - cpu).as_secs_f64();
    let rows = rows.load(Ordering::Relaxed);
    assert_eq!((rows, server.counts().events), (calls * events, calls * events), "counted exactly");
    println!(
        "{clients} clients, {events} events a call: {:.0} events/s, {:.2} µs of CPU each (clients included), {:.1} calls a group",
        rows as f64 / took,
        cpu * 1e6 / rows as f64,
        calls as f64 / groups.load(Ordering::Relaxed) as f64,
    );
}

/// Sends until the time is over; how many calls.
fn send(address: SocketAddr, client: u64, events: u64, until: clock::Instant) -> u64 {
    let endpoints = ["/api/resource", "/api/cart", "/api/checkout", "/", "/static/app.js"];
    let messages: Vec<String> = (0..events)
        .map(|at| {
            let endpoint = endpoints[usize::try_from(at).unwrap() % endpoints.len()];
            let status = if at % 50 == 0 { 503 } else { 200 };
            let (minute, second, latency) = (at / 60 % 60, at % 60, 20 + at * 7 % 400);
            format!(
                r#"{{"timestamp": "2026-03-01T12:{minute:02}:{second:02}", "test_run_id": "benchmark_test_1", "worker_id": "worker-{client:02}", "endpoint": "{endpoint}", "latency_ms": {latency}, "status_code": {status}}}"#
            )
        })
        .collect();
    let entries =
        messages.iter().map(|message| Entry { category: b"perf_results", message: message.as_bytes() });
    let call = wire::log(1, entries);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut calls = 0;
    while clock::now() < until {
        stream.write_all(&call).unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(wire::read_reply(&answer, 1).unwrap(), Reply::Logged(ResultCode::Ok));
        calls += 1;
    }
    calls
}
