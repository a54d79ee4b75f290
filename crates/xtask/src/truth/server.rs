//! The server: one thread that, where it may, never sleeps.
//!
//! It looks at its sockets without waiting and at the clock in between, so that an answer leaves within about a
//! microsecond of its time; that takes a core of its own. Without one it sleeps until something is due, and is later.
//! Only GET without a body is understood, one request at a time on a connection: what our generator and wrk send.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{ErrorKind, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use anyhow::{Context as _, Result};
use fastrand::Rng;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use super::{Delay, Record, Request, now_ns};

/// The longest request.
const MAX_REQUEST_BYTES: usize = 16 * 1024;
const EVENTS: usize = 64;
/// Tokens that are no connection.
const LISTENER: u64 = u64::MAX;
const END: u64 = u64::MAX - 1;
/// What an answer says; it is long enough to be told from its head.
const BODY: &str = "the truth, and nothing but the truth\n";

/// How the server is set up.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Never sleep.
    pub spin: bool,
    /// Requests that there is room for; more are faults.
    pub room: usize,
    /// Of the times that are drawn.
    pub seed: u64,
}

struct Connection {
    socket: TcpStream,
    input: Vec<u8>,
}

struct Server {
    connections: HashMap<u64, Connection>,
    next_token: u64,
    /// When, whom, and what is then recorded.
    due: BinaryHeap<Reverse<(u64, u64, Delay, u64)>>,
    rng: Rng,
    record: Record,
    room: usize,
    answer: Vec<u8>,
}

/// Serves until `end` can be read or is closed, and returns the record.
pub fn serve(listener: &TcpListener, end: impl AsFd, settings: Settings) -> Result<Record> {
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    epoll::add(&epoll, &end, EventData::new_u64(END), EventFlags::IN)?;
    let mut server = Server {
        connections: HashMap::new(),
        next_token: 0,
        due: BinaryHeap::new(),
        rng: Rng::with_seed(settings.seed),
        record: Record { requests: Vec::with_capacity(settings.room), ..Record::default() },
        room: settings.room,
        answer: format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len()).into_bytes(),
    };
    let mut events = [const { MaybeUninit::uninit() }; EVENTS];
    loop {
        let timeout = server.timeout(settings.spin);
        let ready = match epoll::wait(&epoll, &mut events[..], timeout.as_ref()) {
            Ok((ready, _)) => ready,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error).context("cannot wait for sockets"),
        };
        for event in ready {
            match event.data.u64() {
                END => return Ok(server.record),
                LISTENER => server.accept(listener, &epoll)?,
                token => server.hear(token),
            }
        }
        server.answer_due();
    }
}

impl Server {
    /// Until when to sleep; `None` is until something comes.
    fn timeout(&self, spin: bool) -> Option<Timespec> {
        let left_ns = match self.due.peek() {
            _ if spin => 0,
            Some(Reverse((due_ns, ..))) => due_ns.saturating_sub(now_ns()),
            None => return None,
        };
        let seconds = i64::try_from(left_ns / 1_000_000_000).unwrap_or(i64::MAX);
        Some(Timespec { tv_sec: seconds, tv_nsec: i64::try_from(left_ns % 1_000_000_000).unwrap_or(0) })
    }

    fn accept(&mut self, listener: &TcpListener, epoll: impl AsFd) -> Result<()> {
        match listener.accept() {
            Ok((socket, _)) => {
                socket.set_nonblocking(true)?;
                socket.set_nodelay(true)?;
                let token = self.next_token;
                self.next_token += 1;
                epoll::add(epoll, &socket, EventData::new_u64(token), EventFlags::IN)?;
                self.connections.insert(token, Connection { socket, input: Vec::new() });
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error).context("cannot accept a connection"),
        }
    }

    fn hear(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let mut buffer = [0; MAX_REQUEST_BYTES];
        let length = match connection.socket.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(_) => 0,
        };
        let arrived_ns = now_ns();
        if length == 0 {
            self.connections.remove(&token);
            return;
        }
        self.record.bytes_in += length as u64;
        connection.input.extend_from_slice(&buffer[..length]);
        if connection.input.len() > MAX_REQUEST_BYTES {
            self.give_up(token);
        } else if connection.input.ends_with(b"\r\n\r\n") {
            let asked = asked(&connection.input);
            connection.input.clear();
            match asked {
                Some(delay) => {
                    let due_ns = arrived_ns + delay.draw(&mut self.rng);
                    self.due.push(Reverse((due_ns, token, delay, arrived_ns)));
                }
                None => self.give_up(token),
            }
        }
    }

    fn answer_due(&mut self) {
        while let Some(&Reverse((due_ns, token, delay, arrived_ns))) = self.due.peek() {
            let answered_ns = now_ns();
            if due_ns > answered_ns {
                return;
            }
            self.due.pop();
            let Some(connection) = self.connections.get_mut(&token) else {
                self.record.faults += 1;
                continue;
            };
            // So small an answer goes at once, or the connection is of no use.
            if !connection.socket.write(&self.answer).is_ok_and(|length| length == self.answer.len())
                || self.record.requests.len() == self.room
            {
                self.give_up(token);
                continue;
            }
            self.record.bytes_out += self.answer.len() as u64;
            self.record.requests.push(Request { delay, arrived_ns, due_ns, answered_ns });
        }
    }

    fn give_up(&mut self, token: u64) {
        self.record.faults += 1;
        self.connections.remove(&token);
    }
}

/// The distribution that a request's first line asks for.
fn asked(request: &[u8]) -> Option<Delay> {
    let line = request.strip_prefix(b"GET /")?;
    let end = line.iter().position(|byte| *byte == b' ')?;
    Delay::parse(std::str::from_utf8(&line[..end]).ok()?)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn answers_are_no_earlier_than_they_are_due_and_all_are_recorded() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let settings = Settings { spin: false, room: 100, seed: 1 };
        let server = thread::spawn(move || serve(&listener, reader, settings).unwrap());
        let mut client = TcpStream::connect(address).unwrap();
        let mut took_ns = Vec::new();
        let mut received = 0;
        for path in ["none", "fixed", "uniform", "fixed"] {
            let sent_ns = now_ns();
            client.write_all(format!("GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
            let mut buffer = [0; 1000];
            received += client.read(&mut buffer).unwrap() as u64;
            took_ns.push(now_ns() - sent_ns);
        }
        client.write_all(b"POST /none HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(client.read(&mut [0; 10]).unwrap(), 0, "what is not understood ends the connection");
        drop(writer);
        let record = server.join().unwrap();
        assert_eq!((record.requests.len(), record.faults, record.bytes_out), (4, 1, received));
        for (request, took_ns) in record.requests.iter().zip(took_ns) {
            assert!(request.answered_ns >= request.due_ns && request.service_ns() <= took_ns, "{request:?}");
        }
    }
}
