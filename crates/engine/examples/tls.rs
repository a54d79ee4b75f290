//! Cross-checks TLS against a real server, and measures what it costs, by a blocking loop over one connection at a time.
//!
//! ```text
//! tls http|https ADDRESS SERVER_NAME REQUESTS [HANDSHAKES] [CA_FILE [CERTIFICATE_FILE KEY_FILE]]
//! ```
//!
//! Asks what the server speaks, makes `HANDSHAKES` connections of one request each, once remembering sessions and once
//! not, then one connection of `REQUESTS`, and prints the CPU time of each. Without `CA_FILE`, or with `-`, every
//! certificate is believed.

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use protocol::http1::Http1;
use protocol::http2::Http2;
use protocol::tls::{Client, Settings, Trust, Version};
use protocol::{Begun, Heard, Parts, Protocol, Request, Response, Session, Want};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// As many bytes as the engine's loops read at once.
const SLICE_BYTES: usize = 64 * 1024;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize| arguments.get(at).map(String::as_str);
    let (Some(scheme), Some(address), Some(name), Some(requests)) =
        (argument(0), argument(1), argument(2), argument(3))
    else {
        return Err("see the head of this file for the arguments".into());
    };
    let requests: u32 = requests.parse()?;
    let handshakes: u32 = argument(4).unwrap_or("100").parse()?;
    let read = |at: usize| argument(at).filter(|path| *path != "-").map(std::fs::read).transpose();
    let (bundle, certificate, key) = (read(5)?, read(6)?, read(7)?);
    let settings = Settings {
        trust: bundle.as_deref().map_or(Trust::Everybody, Trust::Own),
        identity: certificate.as_deref().zip(key.as_deref()),
        resumption: true,
        unix_time: || Duration::from_millis(clock::unix_ms().unsigned_abs()),
    };
    if scheme == "http" {
        return keep_alive(&Http1, address, &get(&Http1, name)?, requests);
    }
    let client = Client::new(&settings)?;
    let version = probe(&client, address, name)?;
    println!("the server prefers {version:?}");
    let inner: Arc<dyn Protocol> = match version {
        Version::Http1 => Arc::new(Http1),
        Version::Http2 => Arc::new(Http2::new(1)),
    };
    let request = get(inner.as_ref(), name)?;
    for resumption in [true, false] {
        let client = Client::new(&Settings { resumption, ..settings })?;
        let protocol = client.protocol(name, version, Arc::clone(&inner))?;
        let before = clock::thread_cpu();
        for _ in 0..handshakes {
            Connection::open(&protocol, address)?.exchange(&request)?;
        }
        let each = (clock::thread_cpu() - before) / handshakes.max(1);
        println!("connection of one request, resumption {resumption}: {each:?} of CPU");
    }
    keep_alive(&client.protocol(name, version, Arc::clone(&inner))?, address, &request, requests)
}

fn keep_alive(protocol: &dyn Protocol, address: &str, request: &Request, requests: u32) -> Outcome<()> {
    let mut connection = Connection::open(protocol, address)?;
    let first = connection.exchange(request)?;
    let before = clock::thread_cpu();
    for _ in 0..requests {
        let response = connection.exchange(request)?;
        if response != first || !response.keep_alive {
            return Err(format!("{response:?} after {first:?}").into());
        }
    }
    println!("{first:?}, kept alive: {:?} of CPU", (clock::thread_cpu() - before) / requests.max(1));
    Ok(())
}

fn get(protocol: &dyn Protocol, name: &str) -> Outcome<Request> {
    let (scheme, body, user_agent) = ("https", b"", "groundswell-tls");
    let (authority, path, headers, expects_continue) = (name, "/", &[], false);
    let parts = Parts { method: "GET", scheme, authority, path, headers, body, user_agent, expects_continue };
    Ok(protocol.render(&parts)?)
}

fn probe(client: &Client, address: &str, name: &str) -> Outcome<Version> {
    let mut socket = TcpStream::connect(address)?;
    let mut probe = client.probe(name)?;
    let mut slice = [0; 4096];
    probe.start()?;
    loop {
        socket.write_all(probe.output())?;
        probe.output().clear();
        let length = socket.read(&mut slice)?;
        if length == 0 {
            return Err(probe.end().into());
        }
        if let Some(version) = probe.hear(&mut slice[..length])? {
            return Ok(version);
        }
    }
}

struct Connection {
    socket: TcpStream,
    session: Box<dyn Session>,
    heard: Vec<Heard>,
    slice: Vec<u8>,
}

impl Connection {
    fn open(protocol: &dyn Protocol, address: &str) -> Outcome<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let (session, slice) = (protocol.session(), vec![0; SLICE_BYTES]);
        let mut connection = Self { socket, session, heard: Vec::new(), slice };
        connection.session.start(&mut connection.heard);
        while !connection.heard.contains(&Heard::Ready) {
            connection.turn()?;
        }
        connection.heard.clear();
        Ok(connection)
    }

    fn exchange(&mut self, request: &Request) -> Outcome<Response> {
        if self.session.begin(0, request, Want::default()) == Begun::AsRendered {
            self.socket.write_all(request.bytes())?;
        }
        loop {
            self.turn()?;
            for heard in self.heard.drain(..) {
                if let Heard::Done(_, response) = heard {
                    return Ok(response);
                }
            }
        }
    }

    /// Sends what is to be sent, then waits for what comes.
    fn turn(&mut self) -> Outcome<()> {
        let output = self.session.output();
        if !output.is_empty() {
            self.socket.write_all(output)?;
            output.clear();
        }
        match self.socket.read(&mut self.slice)? {
            0 => {
                self.session.end(&mut self.heard)?;
                if self.heard.is_empty() {
                    return Err("the server closed the connection".into());
                }
            }
            length => self.session.hear(&mut self.slice[..length], &mut self.heard)?,
        }
        Ok(())
    }
}
