//! What it costs to take one small response: `cargo run --release -p protocol --example response_cost`.
//!
//! Prints the median over rounds of nanoseconds per response, for a whole response in one slice and for one in two.

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::hint::black_box;

use protocol::http1::{self, Exchange, Progress};
use protocol::{Parts, Request, Want};

const NGINX: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 02:05:06 GMT\r\n\
    Content-Type: application/octet-stream\r\nContent-Length: 18\r\nConnection: keep-alive\r\n\r\nhello, groundswell";
const NGINX_LATER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 02:05:07 GMT\r\n\
    Content-Type: application/octet-stream\r\nContent-Length: 18\r\nConnection: keep-alive\r\n\r\nhello, groundswell";
const SMALL: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npong\r\n0\r\n\r\n";

const ROUNDS: usize = 31;
const RESPONSES_PER_ROUND: u32 = 100_000;

const CONNECTIONS: usize = 64;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let request = http1::render(&Parts {
        method: "GET",
        scheme: "http",
        authority: "127.0.0.1:7701",
        path: "/ping",
        headers: &[],
        body: b"",
        user_agent: "groundswell/0.1.0",
        expects_continue: false,
    })?;
    let cases: [(&str, &[&[u8]]); 5] = [
        ("nginx", &[NGINX]),
        ("nginx, each second anew", &[NGINX, NGINX_LATER]),
        ("nginx, in two slices", &[&NGINX[..100], &NGINX[100..]]),
        ("small", &[SMALL]),
        ("chunked", &[CHUNKED]),
    ];
    for (name, slices) in cases {
        let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round(&request, slices)).collect();
        rounds.sort_by(f64::total_cmp);
        println!("{name:25} {:6.1} ns (least {:.1})", rounds[ROUNDS / 2], rounds[0]);
    }
    Ok(())
}

/// Nanoseconds per response when `CONNECTIONS` exchanges take turns.
fn round(request: &Request, slices: &[&[u8]]) -> f64 {
    let mut exchanges: Vec<Exchange> = std::iter::repeat_with(Exchange::new).take(CONNECTIONS).collect();
    let mut responses = 0_u32;
    let before = clock::thread_cpu();
    while responses < RESPONSES_PER_ROUND {
        for exchange in &mut exchanges {
            exchange.begin(black_box(request), Want::default());
            for slice in slices {
                if let Ok(Progress::Done(response)) = black_box(exchange.feed(black_box(slice))) {
                    assert!(response.keep_alive);
                    responses += 1;
                    exchange.begin(black_box(request), Want::default());
                }
            }
        }
    }
    (clock::thread_cpu() - before).as_nanos() as f64 / f64::from(responses)
}
