//! One request and its response, on a connection that is there.
//!
//! Invariant: every request that is counted as sent is counted as done once, with one outcome. Deliberately absent:
//! repeating a request. One that fails on a used connection before a byte of its response is `read_reset`, as wrk, JMeter
//! and k6 (for what is not idempotent) have it: repeating it would hide what a user's client sees, and send more than
//! the plan says. Only a request of which nothing was accepted by our own kernel takes another connection.

use metrics::{ErrorKind, Outcome};
use protocol::http1::{self, Progress};
use protocol::{Response, Want};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::Worker;
use crate::connection::{NEVER, State};
use crate::flight::Flight;
use crate::source::Source;

/// Reads of one connection in a turn, so that a large body does not hold up the others.
const READS_PER_TURN: usize = 8;

/// Flags with which the target says that nothing more will come.
pub(super) const ENDED: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);

/// Flags with which a read will not be in vain.
pub(super) const READABLE: EventFlags = EventFlags::IN.union(ENDED);

/// What a read led to.
enum Read {
    /// All there was has been read, the response is not complete.
    Waiting,
    /// There may be more to read.
    More,
    /// The response is complete; whether the target has closed as well.
    Done(Response, bool),
    Failed(ErrorKind),
}

impl<S: Source> Worker<S> {
    /// Sends `flight`'s request on connection `id`. False when the target had closed it before.
    #[inline]
    pub(super) fn launch(&mut self, id: u32, mut flight: Flight, allowed_ns: u64) -> bool {
        let sent_ns = self.stamp();
        let step = self.program.step(flight.step);
        let request = &step.requests[usize::from(flight.target)];
        let connection = &mut self.connections[id as usize];
        let Some(socket) = &connection.socket else { return false };
        if S::CLOSED && allowed_ns > flight.intended_ns {
            flight.intended_ns = allowed_ns;
            if flight.is_fresh {
                flight.arrival_ns = allowed_ns;
            }
        }
        flight.usable_ns = flight.intended_ns.max(connection.since_ns).max(allowed_ns);
        flight.sent_ns = sent_ns;
        connection.exchange.begin(request, Want::default());
        connection.unsent = request.bytes().len();
        let failure = match rustix::net::send(socket, request.bytes(), SendFlags::NOSIGNAL) {
            Ok(count) => {
                connection.unsent -= count;
                None
            }
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(Errno::PIPE | Errno::CONNRESET) if connection.is_used => return false,
            Err(errno) => Some(send_failure(errno)),
        };
        connection.is_sending = connection.unsent > 0;
        let is_sending = connection.is_sending;
        connection.state = State::Busy;
        connection.flight = Some(flight);
        connection.bytes_in = 0;
        connection.deadline_ns = sent_ns.saturating_add(step.timeout_ns);
        self.wheel.arm(id, connection.deadline_ns);
        self.in_flight += 1;
        self.recorder.sent(step.id, flight.stage, &flight.times(sent_ns));
        self.count_start(&flight);
        match failure {
            Some(kind) => self.failed.push((id, kind)),
            None if is_sending => self.send_rest(id),
            None => {}
        }
        true
    }

    /// Sends what is left of a request until the socket is full: then an event tells when it is not.
    fn send_rest(&mut self, id: u32) {
        let connection = &mut self.connections[id as usize];
        let (Some(socket), Some(flight)) = (&connection.socket, &connection.flight) else { return };
        let request = &self.program.step(flight.step).requests[usize::from(flight.target)];
        loop {
            let unsent = &request.bytes()[request.bytes().len() - connection.unsent..];
            if unsent.is_empty() {
                connection.is_sending = false;
                return;
            }
            match rustix::net::send(socket, unsent, SendFlags::NOSIGNAL) {
                Ok(count) => connection.unsent -= count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(errno) => {
                    self.failed.push((id, send_failure(errno)));
                    return;
                }
            }
        }
    }

    /// The connection that a token is of, if it is still that one.
    #[inline]
    pub(super) fn connection_of(&self, token: u64) -> Option<(u32, State)> {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of a token")]
        let (id, generation) = (token as u32, (token >> 32) as u32);
        let connection = self.connections.get(id as usize)?;
        (connection.generation == generation).then_some((id, connection.state))
    }

    /// Handles what a socket has to say.
    #[inline]
    pub(super) fn handle(&mut self, token: u64, flags: EventFlags) {
        let Some((id, state)) = self.connection_of(token) else { return };
        match state {
            State::Busy => {
                if flags.contains(EventFlags::OUT) && self.connections[id as usize].is_sending {
                    self.send_rest(id);
                }
                if flags.intersects(READABLE) {
                    self.receive(id, flags.intersects(ENDED));
                }
            }
            State::Connecting => self.look_at_connecting(id, flags),
            State::Ending if flags.intersects(ENDED) => self.close(id),
            // What idle ones have to say was heard before anything was sent.
            State::Idle | State::Ending | State::Vacant => {}
        }
    }

    /// Reads what has come for a request that is out.
    #[inline]
    pub(super) fn receive(&mut self, id: u32, has_ended: bool) {
        for _ in 0..READS_PER_TURN {
            match self.read(id, has_ended) {
                Read::Waiting => return,
                Read::More => {}
                Read::Done(response, is_closed) => return self.finish(id, response, is_closed || has_ended),
                Read::Failed(kind) => return self.fail(id, kind),
            }
        }
        self.unread.push(id);
    }

    #[inline]
    fn read(&mut self, id: u32, has_ended: bool) -> Read {
        let connection = &mut self.connections[id as usize];
        let Some(socket) = &connection.socket else { return Read::Waiting };
        let count = match rustix::net::recv(socket, &mut *self.buffer, RecvFlags::empty()) {
            Ok((count, _)) => count,
            Err(Errno::AGAIN) => return Read::Waiting,
            Err(Errno::INTR) => return Read::More,
            Err(_) => return Read::Failed(ErrorKind::ReadReset),
        };
        if count == 0 {
            return match connection.exchange.eof() {
                Ok(response) => Read::Done(response, true),
                Err(error) => Read::Failed(kind_of(error)),
            };
        }
        connection.bytes_in += count as u64;
        match connection.exchange.feed(&self.buffer[..count]) {
            Ok(Progress::Done(mut response)) => {
                // A full buffer may have cut off what follows the response.
                response.keep_alive &= count < self.buffer.len() && connection.unsent == 0;
                Read::Done(response, false)
            }
            // Less than was asked for: the socket is empty, and what comes later makes an event.
            Ok(Progress::NeedMore) if count < self.buffer.len() && !has_ended => Read::Waiting,
            Ok(Progress::NeedMore) => Read::More,
            Err(error) => Read::Failed(kind_of(error)),
        }
    }

    #[inline]
    fn finish(&mut self, id: u32, response: Response, is_closed: bool) {
        let connection = &self.connections[id as usize];
        let Some(flight) = &connection.flight else { return };
        let outcome = if self.program.step(flight.step).expect.accepts(response.status) {
            Outcome::Success(response.status)
        } else {
            Outcome::Failed(ErrorKind::Status, response.status)
        };
        let Some(flight) = self.record(id, outcome) else { return };
        let done_ns = self.turn_ns.max(flight.sent_ns);
        if response.keep_alive && !is_closed {
            self.connections[id as usize].is_used = true;
            self.make_idle(id, done_ns);
        } else {
            self.end(id, is_closed);
        }
        self.advance(flight, done_ns, true);
        self.dispatch(usize::from(flight.target));
    }

    /// The request that is out on connection `id` failed, and with it the connection.
    pub(super) fn fail(&mut self, id: u32, kind: ErrorKind) {
        let Some(flight) = self.record(id, Outcome::Failed(kind, 0)) else { return };
        self.close(id);
        self.advance(flight, self.turn_ns.max(flight.sent_ns), true);
    }

    /// Counts the request that is out on connection `id` as done; afterwards none is.
    #[inline]
    pub(super) fn record(&mut self, id: u32, outcome: Outcome) -> Option<Flight> {
        let connection = &mut self.connections[id as usize];
        let flight = connection.flight.take()?;
        let step = self.program.step(flight.step);
        let request = &step.requests[usize::from(flight.target)];
        let bytes_out = request.bytes().len() - connection.unsent;
        let times = flight.times(self.turn_ns.max(flight.sent_ns));
        self.recorder.done(step.id, flight.stage, &times, outcome, connection.bytes_in, bytes_out as u64);
        connection.deadline_ns = NEVER;
        self.in_flight -= 1;
        Some(flight)
    }

    /// The step's timeout passed. Silence and an answer that came too slowly are two findings.
    pub(super) fn time_out(&mut self, id: u32) {
        let has_answer = self.connections[id as usize].exchange.started();
        self.fail(id, if has_answer { ErrorKind::RequestTimeout } else { ErrorKind::ReadTimeout });
    }

    /// Settles requests that could not be sent. A target that refuses a large request answers before it closes: then
    /// the answer counts.
    pub(super) fn settle_failed(&mut self) {
        while let Some((id, kind)) = self.failed.pop() {
            if self.connections[id as usize].state != State::Busy {
                continue;
            }
            loop {
                match self.read(id, true) {
                    Read::More => {}
                    Read::Done(response, _) => break self.finish(id, response, true),
                    Read::Waiting | Read::Failed(_) => break self.fail(id, kind),
                }
            }
        }
    }
}

fn send_failure(errno: Errno) -> ErrorKind {
    match errno {
        Errno::NOBUFS | Errno::NOMEM => ErrorKind::LocalLimit,
        _ => ErrorKind::Send,
    }
}

fn kind_of(error: http1::Error) -> ErrorKind {
    match error {
        http1::Error::Unanswered | http1::Error::Truncated => ErrorKind::ReadReset,
        _ => ErrorKind::Protocol,
    }
}
