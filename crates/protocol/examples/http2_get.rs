//! Sends requests over HTTP/2 to a server that is known to speak it, and counts what comes back:
//! `cargo run -p protocol --example http2_get -- 127.0.0.1:8080 /path 1000 10 [bytes of body] [window]`.
//!
//! One connection that blocks: to check the protocol against servers, not to measure. A body makes it `POST`, and the
//! response's body is kept and its headers shown once.

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use protocol::http2::{DEFAULT_WINDOW_BYTES, Http2};
use protocol::{Heard, Parts, Protocol, Want};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u32| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let [address, path, ..] = &arguments[..] else {
        return Err("usage: http2_get ADDRESS PATH [REQUESTS] [STREAMS] [BODY_BYTES] [WINDOW]".into());
    };
    let (requests, streams) = (number(2, 1)?, number(3, 1)?);
    let body = vec![b'x'; number(4, 0)? as usize];
    let protocol = Http2 { streams, window: number(5, DEFAULT_WINDOW_BYTES)? };
    let request = protocol.render(&Parts {
        method: if body.is_empty() { "GET" } else { "POST" },
        scheme: "http",
        authority: address,
        path,
        headers: &[],
        body: &body,
        user_agent: "groundswell/0.1.0",
        expects_continue: false,
    })?;
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    let mut session = protocol.session();
    let (mut begun, mut over, mut bytes) = (0, 0, 0);
    let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut heard = Vec::new();
    let mut tags: Vec<u32> = (0..streams).rev().collect();
    session.start(&mut heard);
    while over < requests {
        while begun < requests
            && session.room() > 0
            && let Some(tag) = tags.pop()
        {
            let want = Want { body: usize::from(begun == 0) * 64, headers: begun == 0 };
            session.begin(tag, &request, want);
            begun += 1;
        }
        while !session.output().is_empty() {
            let output = std::mem::take(session.output());
            socket.write_all(&output)?;
        }
        let length = socket.read(&mut buffer)?;
        heard.clear();
        if length == 0 {
            session.end(&mut heard)?;
            return Err("the server ended the connection".into());
        }
        session.hear(&mut buffer[..length], &mut heard)?;
        for event in &heard {
            let (tag, outcome) = match event {
                Heard::Done(tag, response) => {
                    bytes += response.body_bytes;
                    (*tag, format!("status {}", response.status))
                }
                Heard::Failed(tag, error) => (*tag, error.to_string()),
                Heard::Ready | Heard::Started(_) => continue,
            };
            if !session.kept(tag).headers.is_empty() {
                println!("{}", session.kept(tag).headers.escape_ascii());
                println!("{}", session.kept(tag).body.escape_ascii());
            }
            over += 1;
            *outcomes.entry(outcome).or_default() += 1;
            tags.push(tag);
        }
    }
    println!("{outcomes:?}, {bytes} bytes of bodies");
    Ok(())
}
