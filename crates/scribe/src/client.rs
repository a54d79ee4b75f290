//! The client: drivers' batches to a Scribe server.
//!
//! Invariant: a batch is said to be sent after the server has said `OK`; whatever else happens, the caller still has it, and
//! may send it again, for it lands once by its identity. Deliberately absent: a queue, a thread, sleeping beyond the
//! patience that is given.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::thread;
use std::time::Duration;

use clock::Instant;
use events::Batch;

use crate::address::Address;
use crate::batch::{self, CATEGORY};
use crate::frame::{Frame, Frames};
use crate::message::{self, Entry, Reply, ResultCode};

/// Longest frame that is sent, in bytes: as our server takes them.
const FRAME_BYTES: usize = 16 << 20;

/// Longest answer that is read, in bytes. An `OK` has 32.
const ANSWER_BYTES: usize = 64 << 10;

/// The first pause before another try; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause.
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// What a server is given to take a connection or to answer, however little patience is left.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// The same, however much is left: behind a router that forgot the connection there is no answer ever.
const MOST_TIME: Duration = Duration::from_secs(30);

/// A connection to a Scribe server, made when it is needed.
#[derive(Debug)]
pub struct Client {
    address: Address,
    stream: Option<TcpStream>,
    /// Of the last call.
    number: i32,
    pause: Duration,
    draw: u32,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// How often the server said `TRY_LATER` before.
    pub later: u32,
    /// How often the connection broke, or was not made, before.
    pub broken: u32,
}

/// Why batches were not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Not within the patience: to be sent again.
    #[error("{address} did not take the events: {reason}")]
    NotYet { address: Address, reason: String },
    /// The server cannot read the call, and will not be able to.
    #[error("{address} refuses the events: {reason}")]
    Refused { address: Address, reason: String },
    /// Fewer batches must be sent at once.
    #[error("{bytes} bytes in one call, more than {FRAME_BYTES}: send fewer batches at once")]
    TooLong { bytes: usize },
    /// The rows are not of `events::schema`.
    #[error(transparent)]
    Batch(#[from] batch::Fault),
}

/// Why a try failed.
enum Failure {
    Later,
    Broken(io::Error),
    Refused(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl Client {
    /// A client that has not connected yet.
    pub const fn new(address: Address) -> Self {
        Self { address, stream: None, number: 0, pause: FIRST_PAUSE, draw: 0 }
    }

    /// The server's address.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Sends batches in one call and waits until they are stored. Tries again after `TRY_LATER` and over a new connection
    /// after one that broke, with pauses of 50 ms to 5 s, until `patience` is over; at least once. A server that takes
    /// connections and does not answer holds it up for a second more.
    ///
    /// # Errors
    /// None of the batches is known to be stored. After [`SendError::NotYet`] call again with the same ones.
    pub fn send(&mut self, batches: &[Batch], patience: Duration) -> Result<Sent, SendError> {
        let messages: Vec<Vec<u8>> = batches.iter().map(batch::write).collect::<Result<_, _>>()?;
        let bytes: usize = messages.iter().map(Vec::len).sum();
        if bytes + messages.len() * 64 + 64 > FRAME_BYTES {
            return Err(SendError::TooLong { bytes });
        }
        let until = clock::now() + patience;
        let mut sent = Sent { later: 0, broken: 0 };
        loop {
            let reason = match self.attempt(&messages, until) {
                Ok(()) => {
                    self.pause = FIRST_PAUSE;
                    return Ok(sent);
                }
                Err(Failure::Later) => {
                    sent.later += 1;
                    "it says TRY_LATER".to_owned()
                }
                Err(Failure::Broken(error)) => {
                    self.stream = None;
                    sent.broken += 1;
                    error.to_string()
                }
                Err(Failure::Refused(reason)) => {
                    self.stream = None;
                    return Err(SendError::Refused { address: self.address.clone(), reason });
                }
            };
            let left = until.since(clock::now());
            thread::sleep(self.next_pause().min(left));
            if clock::now() >= until {
                return Err(SendError::NotYet { address: self.address.clone(), reason });
            }
        }
    }

    /// Half to all of a pause that doubles, so that drivers which were turned away together do not come back together.
    fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LAST_PAUSE);
        self.draw = self.draw.wrapping_mul(1_664_525).wrapping_add(std::process::id() | 1);
        pause.mul_f64(0.5 + f64::from(self.draw >> 16) / f64::from(1 << 17))
    }

    fn attempt(&mut self, messages: &[Vec<u8>], until: Instant) -> Result<(), Failure> {
        let time = until.since(clock::now()).clamp(LEAST_TIME, MOST_TIME);
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(&self.address, time)?,
        };
        stream.set_read_timeout(Some(time))?;
        stream.set_write_timeout(Some(time))?;
        self.number = self.number.wrapping_add(1);
        let entries = messages.iter().map(|message| Entry { category: CATEGORY.as_bytes(), message });
        (&stream).write_all(&message::log(self.number, entries))?;
        let reply = read_reply(&stream, self.number, clock::now() + time)?;
        self.stream = Some(stream);
        match reply {
            Reply::Logged(ResultCode::Ok) => Ok(()),
            Reply::Logged(ResultCode::TryLater) => Err(Failure::Later),
            Reply::Exception(reason) => Err(Failure::Refused(reason)),
            Reply::Other(code) => Err(Failure::Refused(format!("result code {code}"))),
        }
    }
}

fn connect(address: &Address, time: Duration) -> io::Result<TcpStream> {
    let mut failure = io::Error::other("its name has no address");
    for place in (address.host(), address.port()).to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, time) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn read_reply(mut stream: &TcpStream, number: i32, until: Instant) -> io::Result<Reply> {
    let invalid = |error: String| {
        io::Error::new(io::ErrorKind::InvalidData, format!("it does not speak Scribe: {error}"))
    };
    let mut frames = Frames::new(ANSWER_BYTES);
    let mut piece = [0; 4096];
    loop {
        let length = match stream.read(&mut piece) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection")),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(late()),
            Err(error) => return Err(error),
        };
        let mut input = &piece[..length];
        if let Some(frame) = frames.next(&mut input, |_| true).map_err(|error| invalid(error.to_string()))? {
            let (Frame::Whole(frame) | Frame::Passed(frame)) = frame;
            return message::read_reply(frame, number).map_err(|error| invalid(error.to_string()));
        }
        if clock::now() >= until {
            return Err(late());
        }
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it did not answer in time")
}
