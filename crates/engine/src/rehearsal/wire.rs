//! One connection that is waited for: the same sessions as in a run, driven by one thread that blocks.
//!
//! Deliberately absent: several requests at a time.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use clock::Instant;
use metrics::ErrorKind;
use protocol::{Begun, Error, Heard, Kept, Protocol, Request, Response, Session, Want};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt;

use crate::peer::{self, Peer};
use crate::worker::CONTINUE_NS;

/// The tag of the request that is out.
const TAG: protocol::Tag = 0;

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// A connection.
pub(super) struct Wire {
    socket: OwnedFd,
    session: Box<dyn Session>,
    unsent: Vec<u8>,
    has_ended: bool,
    cannot_send: bool,
}

/// What it took to open one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opened {
    pub(super) connect: Duration,
    /// Until the first request could be sent: TLS, a tunnel, the settings of HTTP/2.
    pub(super) greeting: Duration,
}

/// A response, and when it came after the request was sent.
pub(super) struct Got {
    pub(super) response: Response,
    pub(super) first_byte: Duration,
    pub(super) total: Duration,
}

/// Why there is none.
pub(super) struct Trouble {
    pub(super) kind: ErrorKind,
    pub(super) text: String,
}

impl Trouble {
    fn new(kind: ErrorKind, text: impl ToString) -> Self {
        Self { kind, text: text.to_string() }
    }
}

fn of_session(error: &Error) -> Trouble {
    let kind = match error {
        Error::Unanswered | Error::Truncated => ErrorKind::ReadReset,
        Error::Http1(_) | Error::Http2(_) => ErrorKind::Protocol,
        Error::Tunnel(_) => ErrorKind::ConnectRefused,
        Error::Tls(_) => ErrorKind::Tls,
    };
    Trouble::new(kind, error)
}

impl Wire {
    /// A connection to `peer` that takes requests.
    pub(super) fn open(
        peer: &Peer,
        sources: &[IpAddr],
        protocol: &dyn Protocol,
        timeout: Duration,
    ) -> Result<(Self, Opened), Trouble> {
        let refused = |errno: Errno| Trouble::new(ErrorKind::ConnectRefused, io::Error::from(errno));
        let (since, until) = (clock::now(), clock::now() + timeout);
        let source = sources.iter().find(|source| peer.is_reached_from(**source)).copied();
        let (socket, is_connected) = peer::dial(peer, source, false).map_err(refused)?;
        if !is_connected {
            if wait(&socket, PollFlags::OUT, until).map_err(refused)?.is_empty() {
                let text = format!("no connection within {timeout:?}");
                return Err(Trouble::new(ErrorKind::ConnectTimeout, text));
            }
            sockopt::socket_error(&socket).map_err(refused)?.map_err(refused)?;
        }
        let connect = clock::now().since(since);
        let (session, unsent) = (protocol.session(), Vec::new());
        let mut wire = Self { socket, session, unsent, has_ended: false, cannot_send: false };
        let mut heard = Vec::new();
        wire.session.start(&mut heard);
        while !heard.contains(&Heard::Ready) {
            if !wire.turn(&mut heard, until)? {
                let text = format!("connected, but not ready for a request within {timeout:?}");
                return Err(Trouble::new(ErrorKind::ConnectTimeout, text));
            }
            if wire.has_ended {
                return Err(Trouble::new(ErrorKind::ConnectReset, "closed before the first request"));
            }
        }
        let greeting = clock::now().since(since).saturating_sub(connect);
        Ok((wire, Opened { connect, greeting }))
    }

    /// Whether another request can be sent, with what came in the meantime taken into account.
    pub(super) fn is_usable(&mut self) -> bool {
        // News that are there at once are read; a target that closed says so by them.
        while !self.has_ended {
            match wait(&self.socket, PollFlags::IN, clock::now()) {
                Ok(flags) if flags.is_empty() => break,
                Ok(_) if self.read(&mut Vec::new()).is_ok() => {}
                _ => return false,
            }
        }
        !self.has_ended && !self.cannot_send && self.session.room() > 0
    }

    /// Sends a request and waits for its answer. Nothing more can be sent after an error.
    pub(super) fn exchange(
        &mut self,
        request: &Request,
        want: Want,
        timeout: Duration,
    ) -> Result<Got, Trouble> {
        let sent = clock::now();
        let (deadline, permitted) = (sent + timeout, sent + Duration::from_nanos(CONTINUE_NS));
        if self.session.begin(TAG, request, want) == Begun::AsRendered {
            self.unsent.extend_from_slice(request.bytes());
        }
        let (mut heard, mut first_byte) = (Vec::new(), None);
        loop {
            let until = if self.session.is_held_back() { permitted.min(deadline) } else { deadline };
            let turned = self.turn(&mut heard, until);
            let since_sent = clock::now().since(sent);
            for heard in heard.drain(..) {
                match heard {
                    Heard::Started(_) => first_byte = first_byte.or(Some(since_sent)),
                    Heard::Done(_, response) => {
                        let first_byte = first_byte.unwrap_or(since_sent);
                        // An answer that came before all of its request was sent. What the session has to say of it
                        // goes with the next.
                        self.cannot_send |= !response.keep_alive || !self.unsent.is_empty();
                        return Ok(Got { response, first_byte, total: since_sent });
                    }
                    Heard::Failed(_, error) => return Err(of_session(&error)),
                    Heard::Ready => {}
                }
            }
            match turned? {
                true if self.has_ended => return Err(of_session(&Error::Unanswered)),
                true => {}
                false if self.session.is_held_back() && until < deadline => self.session.proceed(),
                false => {
                    let (kind, what) = match first_byte {
                        Some(_) => (ErrorKind::RequestTimeout, "no complete answer"),
                        None => (ErrorKind::ReadTimeout, "no answer"),
                    };
                    return Err(Trouble::new(kind, format!("{what} within {timeout:?}")));
                }
            }
        }
    }

    /// What was kept of the answer.
    pub(super) fn kept(&self) -> Kept<'_> {
        self.session.kept(TAG)
    }

    /// Waits until something can be sent or was heard; false when nothing was until then.
    fn turn(&mut self, heard: &mut Vec<Heard>, until: Instant) -> Result<bool, Trouble> {
        self.unsent.append(self.session.output());
        let sends = !self.unsent.is_empty() && !self.cannot_send;
        let flags = if sends { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let ready = wait(&self.socket, flags, until).map_err(failure)?;
        if ready.contains(PollFlags::OUT) {
            match rustix::net::send(&self.socket, &self.unsent, rustix::net::SendFlags::NOSIGNAL) {
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                // What the target said before it closed may still come.
                Err(_) => self.cannot_send = true,
            }
        }
        if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            self.read(heard)?;
        }
        Ok(!ready.is_empty())
    }

    fn read(&mut self, heard: &mut Vec<Heard>) -> Result<(), Trouble> {
        let mut bytes = vec![0; READ_BYTES];
        match rustix::io::read(&self.socket, &mut bytes) {
            Ok(0) => {
                self.has_ended = true;
                self.session.end(heard).map_err(|error| of_session(&error))
            }
            Ok(length) => self.session.hear(&mut bytes[..length], heard).map_err(|error| of_session(&error)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(errno) => Err(failure(errno)),
        }
    }
}

fn failure(errno: Errno) -> Trouble {
    Trouble::new(ErrorKind::ReadReset, io::Error::from(errno))
}

/// What of `flags` is so before `until`.
fn wait(socket: &OwnedFd, flags: PollFlags, until: Instant) -> Result<PollFlags, Errno> {
    loop {
        let mut polled = [PollFd::new(socket, flags)];
        let left = until.since(clock::now());
        let left = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        match poll(&mut polled, Some(&left)) {
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => return Ok(polled[0].revents()),
        }
    }
}
