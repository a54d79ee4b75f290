//! The two loops under a worker: io_uring, and epoll where that is missing or forbidden. Chosen once, at the start.
//!
//! Both look like completions: a wait brings a batch of news, each piece of it becomes [`Event`]s, and what is sent is
//! the loop's until the kernel has taken it.
//!
//! Invariant: a connection's id is not given to another one while anything of it is under way. Deliberately absent:
//! what is said (`protocol`), and when (`worker`).

mod epoll;
mod ring;
mod uring;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::thread::{ClockId, clock_nanosleep_absolute};

pub(crate) use epoll::wake;
use epoll::{Epoll, timespec};
pub(crate) use ring::Pin;
use uring::Uring;

/// Which loop drives the sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Io {
    /// io_uring where the system has what it needs, else epoll.
    #[default]
    Auto,
    /// io_uring, or not at all.
    Uring,
    /// epoll.
    Epoll,
}

impl std::str::FromStr for Io {
    type Err = InvalidIo;

    fn from_str(text: &str) -> Result<Self, InvalidIo> {
        match text {
            "auto" => Ok(Self::Auto),
            "uring" => Ok(Self::Uring),
            "epoll" => Ok(Self::Epoll),
            _ => Err(InvalidIo(text.to_owned())),
        }
    }
}

/// What is none of the loops' names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of auto, uring and epoll")]
pub struct InvalidIo(pub String);

/// Whether io_uring works here with all that the engine needs of it.
///
/// # Errors
/// What the system said: `ENOSYS` or `EINVAL` before Linux 6.1, `EPERM` where it is forbidden, as in many containers.
pub fn uring_support() -> io::Result<()> {
    ring::Ring::new(false).map(drop)
}

/// What a piece of news says.
#[derive(Debug)]
pub(crate) enum Event {
    /// The connection is there.
    Connected,
    /// It could not be made, and is to be closed.
    ConnectFailed(Errno),
    /// Bytes came.
    Received(Chunk),
    /// The target will send no more.
    Ended,
    /// The connection broke.
    Broken,
    /// What the kernel could not take at once is with it now.
    Sent,
    /// Bytes could not be sent. What the target sent before may still come.
    SendFailed(Errno),
}

/// Received bytes, until they are given back.
#[derive(Debug)]
pub(crate) struct Chunk {
    at: At,
    /// When the last of them arrived at this machine, by the wall clock; `None` when nobody asked or the kernel did not say.
    pub(crate) arrived_wall_ns: Option<u64>,
    /// Whether the target is known to send nothing after them.
    pub(crate) is_last: bool,
    /// Whether there may be more behind them already.
    pub(crate) has_more: bool,
}

#[derive(Debug)]
enum At {
    /// So many bytes at the start of epoll's buffer.
    Buffer(usize),
    Ring(ring::Chunk),
}

/// One thread's loop.
#[derive(Debug)]
pub(crate) enum Loop {
    Epoll(Epoll),
    Uring(Box<Uring>),
}

/// Sleeps until a moment of the boot clock, deaf to all sockets: what they have to say waits. Where it is for the clock
/// alone to wake a thread, that spares a wake for each answer.
///
/// # Errors
/// The system refuses to wait.
pub(crate) fn sleep_until(boot_ns: u64) -> io::Result<()> {
    match clock_nanosleep_absolute(ClockId::Boottime, &timespec(boot_ns)) {
        Ok(()) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Calls the same method of either loop.
macro_rules! either {
    ($self:expr, $io:ident => $call:expr) => {
        match $self {
            Loop::Epoll($io) => $call,
            Loop::Uring($io) => $call,
        }
    };
}

impl Loop {
    /// To be called on the thread that uses it. `wake` ends its waits. With `stamps` it tells when bytes arrived.
    pub(crate) fn new(io: Io, wake: &Arc<OwnedFd>, stamps: bool) -> io::Result<Self> {
        match io {
            Io::Epoll => Epoll::new(wake, stamps).map(Self::Epoll),
            Io::Uring => Uring::new(wake, stamps).map(|uring| Self::Uring(Box::new(uring))),
            Io::Auto => match Uring::new(wake, stamps) {
                Ok(uring) => Ok(Self::Uring(Box::new(uring))),
                Err(error) => {
                    tracing::debug!(%error, "no io_uring, using epoll");
                    Epoll::new(wake, stamps).map(Self::Epoll)
                }
            },
        }
    }

    pub(crate) fn is_uring(&self) -> bool {
        matches!(self, Self::Uring(_))
    }

    /// Keeps `bytes` to be sent any number of times.
    pub(crate) fn pin(&mut self, bytes: Arc<[u8]>) -> Pin {
        either!(self, io => io.pin(bytes))
    }

    /// Takes a socket that is connected, or about to be; then [`Event::Connected`] or [`Event::ConnectFailed`] follows.
    ///
    /// # Errors
    /// A limit of this machine.
    pub(crate) fn add(&mut self, socket: OwnedFd, is_connected: bool) -> Result<u32, Errno> {
        either!(self, io => io.add(socket, is_connected))
    }

    /// Sends pinned bytes in full, behind what is being sent.
    ///
    /// # Errors
    /// The socket refused them, and took nothing. Not all refusals are known at once; the others are told.
    #[inline]
    pub(crate) fn send_pinned(&mut self, id: u32, pin: Pin) -> Result<(), Errno> {
        either!(self, io => io.send_pinned(id, pin))
    }

    /// Sends `bytes` in full, behind what is being sent, and leaves it empty.
    ///
    /// # Errors
    /// As [`send_pinned`](Self::send_pinned).
    pub(crate) fn send(&mut self, id: u32, bytes: &mut Vec<u8>) -> Result<(), Errno> {
        either!(self, io => io.send(id, bytes))
    }

    /// Bytes that the kernel has not taken yet, as far as is known.
    #[inline]
    pub(crate) fn unsent(&self, id: u32) -> usize {
        either!(self, io => io.unsent(id))
    }

    /// Closes the connection. No event of it follows.
    pub(crate) fn close(&mut self, id: u32) {
        either!(self, io => io.close(id))
    }

    /// Hands over what was begun to the kernel.
    ///
    /// # Errors
    /// As the waits.
    #[inline]
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Epoll(_) => Ok(()),
            Self::Uring(uring) => uring.flush(),
        }
    }

    /// Takes what news there are.
    ///
    /// # Errors
    /// The system refuses to wait, which ends the worker.
    #[inline]
    pub(crate) fn poll(&mut self) -> io::Result<()> {
        either!(self, io => io.poll())
    }

    /// Waits for news, at most that long; some milliseconds longer do not matter. Where waking up costs much, for `want`
    /// pieces, as far as they come within 20 µs.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    #[inline]
    pub(crate) fn wait(&mut self, timeout_ns: u64, want: usize) -> io::Result<()> {
        match self {
            Self::Epoll(epoll) => epoll.wait(timeout_ns),
            Self::Uring(uring) => uring.wait(timeout_ns, want),
        }
    }

    /// Waits for news, to the microsecond until `boot_ns` of the boot clock, which is `left_ns` from now.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    #[inline]
    pub(crate) fn wait_until(&mut self, boot_ns: u64, left_ns: u64) -> io::Result<()> {
        match self {
            Self::Epoll(epoll) => epoll.wait_until(boot_ns, left_ns),
            Self::Uring(uring) => uring.wait_until(left_ns),
        }
    }

    /// Whether the last wait may have left news behind.
    #[inline]
    pub(crate) fn has_more(&self) -> bool {
        either!(self, io => io.has_more())
    }

    /// Pieces of news of the last wait.
    #[inline]
    pub(crate) fn news(&self) -> usize {
        either!(self, io => io.news())
    }

    /// Whether the last wait brought nothing of a connection.
    pub(crate) fn is_empty(&self) -> bool {
        (0..self.news()).all(|piece| self.subject(piece).is_none())
    }

    /// Whether nothing ended the last wait but its time.
    pub(crate) fn is_quiet(&self) -> bool {
        self.news() == 0
    }

    /// The connection that a piece of news is of; `None` when it is of none, or was heard in full.
    #[inline]
    pub(crate) fn subject(&self, piece: usize) -> Option<u32> {
        either!(self, io => io.subject(piece))
    }

    /// The next event of a piece of news. To be asked until there is none.
    #[inline]
    pub(crate) fn hear(&mut self, piece: usize) -> Option<Event> {
        either!(self, io => io.hear(piece))
    }

    /// Received bytes, which may be overwritten.
    #[inline]
    pub(crate) fn bytes(&mut self, chunk: &Chunk) -> &mut [u8] {
        either!(self, io => io.bytes(chunk))
    }

    /// Gives received bytes back.
    #[inline]
    pub(crate) fn give_back(&mut self, chunk: Chunk) {
        if let (Self::Uring(uring), At::Ring(chunk)) = (self, chunk.at) {
            uring.give_back(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::peer::stamp_arrivals;

    const LOOPS: [Io; 2] = [Io::Uring, Io::Epoll];

    /// A loop that tells when bytes arrived, and how to make connections that it has one end of. `None` where the loop is
    /// not to be had.
    fn stamping(io: Io) -> Option<(Loop, impl Fn(&mut Loop) -> TcpStream)> {
        let wake = rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK).unwrap();
        let io = Loop::new(io, &Arc::new(wake), true).map_err(|error| eprintln!("skipped: {error}")).ok()?;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = move |io: &mut Loop| {
            let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            near.set_nonblocking(true).unwrap();
            let near = OwnedFd::from(near);
            stamp_arrivals(&near);
            io.add(near, true).unwrap();
            io.poll().unwrap();
            listener.accept().unwrap().0
        };
        Some((io, connect))
    }

    /// What the connections have to say, once they say something.
    fn heard(io: &mut Loop) -> Vec<Event> {
        let mut events = Vec::new();
        io.wait(1_000_000_000, 1).unwrap();
        for piece in 0..io.news() {
            events.extend(std::iter::from_fn(|| io.hear(piece)));
        }
        events
    }

    #[test]
    fn bytes_tell_when_they_arrived_and_not_when_they_were_read() {
        for (mut io, connect) in LOOPS.into_iter().filter_map(stamping) {
            let mut far = connect(&mut io);
            // The kernel begins to stamp some time after it was asked to.
            let arrived_ns = std::iter::repeat_with(|| {
                far.write_all(b"pong").unwrap();
                let sent_ns = clock::boot_nanos();
                thread::sleep(Duration::from_millis(20));
                let read_ns = clock::boot_nanos();
                let mut events = heard(&mut io);
                let Some(Event::Received(chunk)) = events.pop() else { return None };
                assert_eq!(&*io.bytes(&chunk), b"pong");
                let wall_ns = chunk.arrived_wall_ns;
                io.give_back(chunk);
                Some((sent_ns, wall_ns?.saturating_sub(clock::wall_ahead_of_boot_ns()), read_ns))
            });
            let (sent_ns, arrived_ns, read_ns) = arrived_ns.take(100).flatten().next().unwrap();
            // The two clocks are read one after the other.
            assert!(arrived_ns < sent_ns + 1_000_000, "{arrived_ns} {sent_ns}");
            assert!(arrived_ns + 10_000_000 < read_ns, "{arrived_ns} {read_ns}");
        }
    }

    #[test]
    fn ends_take_no_room_for_bytes() {
        for (mut io, connect) in LOOPS.into_iter().filter_map(stamping) {
            for _ in 0..600 {
                let mut far = connect(&mut io);
                far.write_all(b"last").unwrap();
                drop(far);
                let (mut bytes, mut ends) = (0, 0);
                for _ in 0..100 {
                    if ends > 0 {
                        break;
                    }
                    for event in heard(&mut io) {
                        match event {
                            Event::Received(chunk) => {
                                bytes += io.bytes(&chunk).len();
                                io.give_back(chunk);
                            }
                            Event::Ended => ends += 1,
                            _ => {}
                        }
                    }
                }
                assert_eq!((bytes, ends), (4, 1));
            }
        }
    }
}
