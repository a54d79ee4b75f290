//! What it costs to take one small response: `cargo run --release -p protocol --example response_cost`.
//!
//! Prints the median over rounds of nanoseconds per response, for a whole response in one slice and for one in two.

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::hint::black_box;

use protocol::http1::{Exchange, Progress, Request};

const NGINX: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 02:05:06 GMT\r\n\
    Content-Type: application/octet-stream\r\nContent-Length: 18\r\nConnection: keep-alive\r\n\r\nhello, groundswell";
const SMALL: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npong\r\n0\r\n\r\n";

const ROUNDS: usize = 31;
const RESPONSES_PER_ROUND: u32 = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let request = Request::new("GET", "127.0.0.1:7701", "/ping", &[], b"", "groundswell/0.1.0")?;
    let whole = usize::MAX;
    for (name, bytes, split_at) in [
        ("nginx", NGINX, whole),
        ("small", SMALL, whole),
        ("chunked", CHUNKED, whole),
        ("nginx, in two", NGINX, 100),
    ] {
        let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round(&request, bytes, split_at)).collect();
        rounds.sort_by(f64::total_cmp);
        println!("{name:15} {:4} bytes  {:6.1} ns (least {:.1})", bytes.len(), rounds[ROUNDS / 2], rounds[0]);
    }
    Ok(())
}

fn round(request: &Request, bytes: &[u8], split_at: usize) -> f64 {
    let mut exchange = Exchange::new();
    let (first, second) = bytes.split_at(split_at.min(bytes.len()));
    let before = clock::thread_cpu();
    for _ in 0..RESPONSES_PER_ROUND {
        exchange.begin(black_box(request), 0);
        exchange.sent(request.bytes().len());
        let mut progress = exchange.feed(black_box(first));
        if !second.is_empty() {
            progress = exchange.feed(black_box(second));
        }
        assert!(matches!(black_box(progress), Ok(Progress::Done(response)) if response.keep_alive));
    }
    (clock::thread_cpu() - before).as_nanos() as f64 / f64::from(RESPONSES_PER_ROUND)
}
