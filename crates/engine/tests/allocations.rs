//! In steady state a request allocates nothing: ten times the requests take hardly more allocations.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::alloc::System;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{job, prepare, start, watch};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Answers without allocating: one request per read, since each client waits for its answer.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut bytes = [0; 1024];
                while stream.read(&mut bytes).is_ok_and(|count| count > 0) {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong").unwrap();
                }
            });
        }
    });
    port
}

#[test]
fn a_request_allocates_nothing() {
    let port = server();
    let allocations = |load: &str| {
        let text = format!(
            "version: 1\nname: a\ntarget: http://127.0.0.1:{port}\nload: {{ {load} }}\nscenarios: {{ s: {{ steps: [{{ get: / }}] }} }}\n"
        );
        let plan = plan::parse("a", &text).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let prepared = prepare(job(plan));
        let region = Region::new(ALLOCATOR);
        let told = watch(start(prepared));
        let change = region.change();
        (change.allocations + change.reallocations, told.totals.succeeded)
    };
    // A raw event of each among them: `support::job` asks for them, and `watch` takes them.
    for model in ["avalanche", "closed"] {
        let load = |requests: u64| match model {
            "avalanche" => format!("model: avalanche, requests_per_driver: {requests}, connections: 8"),
            _ => format!("model: closed, users: 8, iterations: {requests}, connections: 8"),
        };
        let (few, sent_few) = allocations(&load(2_000));
        let (many, sent_many) = allocations(&load(20_000));
        assert_eq!((sent_few, sent_many), (2_000, 20_000));
        // Each second ends with a window, and a time that none before had may touch a new page of a histogram.
        assert!(many < few + 1_000, "{model}: {few} allocations for 2,000 requests, {many} for 20,000");
    }
}
