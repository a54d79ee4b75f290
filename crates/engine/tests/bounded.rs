//! What a target sends, or does not read, never fills the memory: the peak of the whole process is measured, servers
//! included, which hold a block each.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]

mod support;

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use support::{Peer, Server, counts, each_loop, plan};

/// The peak is the process's, so one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What a run may take beside what came before it: buffers, histograms, stacks of the server's threads.
const GROWTH_MAX: u64 = 48 << 20;

/// Resident bytes now, or at most since [`forget_peak`].
fn resident(line: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    found.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// Starts the peak anew (`Documentation/filesystems/proc.rst`, `clear_refs`).
fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// Runs `requests` of `step` on each loop, and looks at outcomes and memory.
fn is_bounded(server: &Server, connections: u32, requests: u64, step: &str, body: usize, outcome: &str) {
    let load = format!("model: avalanche, requests_per_driver: {requests}, connections: {connections}");
    let mut plan = plan(server, &load, step);
    plan.scenarios[0].steps[0].body = plan::Body::Text("x".repeat(body).into());
    let before = resident("VmRSS:");
    forget_peak();
    each_loop(&plan, 1, |told| assert_eq!(told.outcomes(), counts(&[(outcome, requests)])));
    let grown = resident("VmHWM:").saturating_sub(before);
    // The body is there once as plan, once as request, and in the job's copy of the plan.
    let allowed = GROWTH_MAX + 3 * body as u64;
    assert!(grown < allowed, "grew by {} MiB, allowed are {}", grown >> 20, allowed >> 20);
}

/// Sends `part` as fast as it is taken, until the client has gone.
fn floods(head: &'static str, part: String) -> Server {
    Server::start(move |mut peer: Peer| {
        peer.request();
        peer.send(head);
        while peer.sends(&part) {}
    })
}

#[test]
fn a_body_of_a_gibibyte() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let block = "x".repeat(1 << 20);
    let server = Server::start(move |mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
        (0..1024).for_each(|_| peer.send(&block));
    });
    is_bounded(&server, 1, 1, "{ get: /, timeout: 60s }", 0, "200");
}

#[test]
fn a_chunked_body_without_end() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024)).repeat(64);
    let server = floods("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk);
    is_bounded(&server, 2, 2, "{ get: /, timeout: 2s }", 0, "request_timeout");
}

#[test]
fn headers_without_end() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let server = floods("HTTP/1.1 200 OK\r\n", "X-Header: value\r\n".repeat(1024));
    is_bounded(&server, 4, 200, "{ get: /, timeout: 10s }", 0, "protocol");
    let server = floods("HTTP/1.1 200 OK\r\nX-Long: ", "x".repeat(16 * 1024));
    is_bounded(&server, 4, 200, "{ get: /, timeout: 10s }", 0, "protocol");
}

#[test]
fn interim_responses_without_end() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let server = floods("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(256));
    is_bounded(&server, 2, 2, "{ get: /, timeout: 2s }", 0, "request_timeout");
}

#[test]
fn trailers_without_end() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    let server = floods(head, "X-Trailer: value\r\n".repeat(1024));
    is_bounded(&server, 4, 200, "{ get: /, timeout: 10s }", 0, "protocol");
}

#[test]
fn requests_that_nobody_reads() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let server = Server::start(|peer| {
        thread::sleep(Duration::from_secs(20));
        drop(peer);
    });
    // All connections send the same bytes, which are there once: a copy each would be a gibibyte.
    is_bounded(&server, 64, 64, "{ post: /, timeout: 1s }", 16 << 20, "read_timeout");
}
