//! Requests and their responses, on connections that are there.
//!
//! Invariant: every request that is counted as sent is counted as done once, with one outcome. Deliberately absent:
//! repeating a request. One that fails on a used connection before a byte of its response is `read_reset`, as wrk, JMeter
//! and k6 (for what is not idempotent) have it: repeating it would hide what a user's client sees, and send more than
//! the plan says. Only a request of which nothing was accepted by our own kernel takes another connection.

use metrics::{ErrorKind, Exchange, LocalLimit, Outcome, Times};
use protocol::{Begun, Error, Heard, Response, Tag, http2};
use rustix::io::Errno;
use smallvec::SmallVec;

use super::Worker;
use super::sequels::CONTINUE_NS;
use crate::connection::{NEVER, State};
use crate::flight::{Bond, Flight};
use crate::io::{Chunk, Event};
use crate::source::Source;

impl<S: Source> Worker<S> {
    /// Sends `flight`'s request on connection `id`. False when the target had closed it before.
    #[inline]
    pub(super) fn launch(&mut self, id: u32, mut flight: Flight, allowed_ns: u64) -> bool {
        let own = self.own_request(&flight);
        let sent_ns = self.stamp();
        let step = self.program.step(flight.step);
        let target = usize::from(flight.target);
        let connection = &mut self.connections[id as usize];
        if S::CLOSED && allowed_ns > flight.intended_ns {
            flight.intended_ns = allowed_ns;
            if flight.is_fresh {
                flight.arrival_ns = allowed_ns;
            }
        }
        flight.usable_ns = flight.intended_ns.max(connection.since_ns).max(allowed_ns);
        flight.sent_ns = sent_ns;
        flight.deadline_ns = sent_ns.saturating_add(step.timeout_ns);
        connection.requests += 1;
        let tag = connection.free_tag();
        let Some(session) = &mut connection.session else { return false };
        let Some(request) = own.as_ref().or(step.requests.get(target)) else { return false };
        let sent = match session.begin(tag, request, step.want) {
            Begun::AsRendered if own.is_none() => {
                self.io.send_pinned(id, self.pins[flight.step as usize][target])
            }
            Begun::AsRendered => {
                self.own_bytes.clear();
                self.own_bytes.extend_from_slice(request.bytes());
                self.io.send(id, &mut self.own_bytes)
            }
            Begun::Queued if self.pools[target].is_multiplexed => {
                // Others may follow on the same connection in this turn.
                if !std::mem::replace(&mut connection.is_unsaid, true) {
                    self.unsaid.push(id);
                }
                Ok(())
            }
            Begun::Queued => self.io.send(id, session.output()),
        };
        match sent {
            Ok(()) => {}
            Err(Errno::PIPE | Errno::CONNRESET) if connection.is_used && connection.in_flight == 0 => {
                return false;
            }
            Err(errno) => connection.failure = Some(send_failure(errno)),
        }
        connection.deadline_ns = connection.deadline_ns.min(flight.deadline_ns);
        if request.expects_continue() {
            connection.deadline_ns = connection.deadline_ns.min(sent_ns.saturating_add(CONTINUE_NS));
        }
        self.wheel.arm(id, connection.deadline_ns);
        if self.has_phases && self.io.unsent(id) == 0 {
            flight.gone_ns = sent_ns;
        }
        self.in_flight += 1;
        if !std::mem::replace(&mut flight.is_sent, true) {
            self.recorder.sent(step.id, flight.stage, &flight.times(sent_ns));
            self.count_start(&flight);
            flight.is_fresh = false;
        }
        self.connections[id as usize].put(tag, flight);
        true
    }

    /// Handles a piece of news.
    #[inline]
    pub(super) fn handle(&mut self, piece: usize) {
        let Some(id) = self.io.subject(piece) else { return };
        while let Some(event) = self.io.hear(piece) {
            (self.heard_ns, self.has_stamp) = (self.turn_ns, false);
            match event {
                Event::Received(chunk) => self.receive(id, chunk),
                Event::Ended => self.hear_end(id),
                Event::Broken => self.break_off(id, ErrorKind::ReadReset),
                Event::Sent => self.sent(id),
                Event::SendFailed(errno) => self.send_failed(id, errno),
                Event::Connected => self.connected(id),
                Event::ConnectFailed(errno) => self.fail_connecting(id, super::connecting::failure(errno)),
            }
        }
    }

    #[inline]
    fn receive(&mut self, id: u32, chunk: Chunk) {
        self.note_arrival(chunk.arrived_wall_ns);
        let connection = &mut self.connections[id as usize];
        let mut heard = std::mem::take(&mut self.heard);
        let bytes = self.io.bytes(&chunk);
        connection.bytes_in += bytes.len() as u64;
        let result = match &mut connection.session {
            Some(session) if matches!(connection.state, State::Open | State::Greeting) => {
                session.hear(bytes, &mut heard)
            }
            _ => Ok(()),
        };
        // Behind a complete response nothing may follow, but others that are under way and words of TLS.
        let pool = &self.pools[usize::from(connection.pool)];
        let may_follow = pool.is_multiplexed || pool.has_tls;
        let is_final = chunk.is_last || (chunk.has_more && !may_follow);
        self.io.give_back(chunk);
        self.act_on(id, &mut heard, is_final);
        self.heard = heard;
        match result {
            Ok(()) => {
                self.say(id);
                let connection = &self.connections[id as usize];
                if connection.is_idle() && connection.room() == 0 {
                    self.idle_ended_ns = self.now_ns;
                    self.close(id);
                }
            }
            Err(error) => {
                self.note(id, &error);
                // A last word, such as why the connection ends.
                self.say(id);
                self.break_off(id, kind_of(&error));
            }
        }
    }

    /// Why a handshake fails is worth a line; each second one, since it is mostly the same for all.
    #[cold]
    fn note(&mut self, id: u32, error: &Error) {
        if matches!(error, Error::Tls(_)) && self.noted_at_ns <= self.now_ns {
            self.noted_at_ns = self.now_ns + super::SECOND_NS;
            let target = &self.plan.targets[usize::from(self.connections[id as usize].pool)];
            tracing::warn!(%target, %error, "TLS failed");
        }
    }

    /// Acts on what was heard. After a response that `is_final` the connection is of no more use.
    #[inline]
    pub(super) fn act_on(&mut self, id: u32, heard: &mut Vec<Heard>, is_final: bool) {
        for heard in heard.drain(..) {
            match heard {
                Heard::Done(tag, response) => self.finish(id, tag, response, is_final),
                Heard::Started(tag) => {
                    if let Some(flight) = self.connections[id as usize].flight(tag) {
                        self.half_answered += u32::from(flight.answered_ns == 0);
                        flight.answered_ns = self.heard_ns.max(1);
                    }
                }
                Heard::Ready => self.ready(id),
                Heard::Failed(tag, error) => self.fail(id, tag, kind_of(&error)),
            }
        }
    }

    /// Sends what waits to be sent with other requests.
    #[inline]
    pub(super) fn say_all(&mut self) {
        while let Some(id) = self.unsaid.pop() {
            self.say(id);
        }
    }

    /// Sends what the session has to say.
    #[inline]
    pub(super) fn say(&mut self, id: u32) {
        let connection = &mut self.connections[id as usize];
        connection.is_unsaid = false;
        let Some(session) = &mut connection.session else { return };
        let output = session.output();
        if !output.is_empty()
            && connection.state != State::Vacant
            && let Err(errno) = self.io.send(id, output)
        {
            connection.failure = Some(send_failure(errno));
        }
    }

    #[inline]
    fn finish(&mut self, id: u32, tag: Tag, response: Response, is_final: bool) {
        let Some(flight) = self.connections[id as usize].flight(tag) else { return };
        if self.program.step(flight.step).sequel.is_some() {
            return self.finish_with_sequel(id, tag, response, is_final);
        }
        self.finish_as_judged(id, tag, response, is_final);
    }

    /// The answer to a step is there.
    #[inline]
    pub(super) fn finish_as_judged(&mut self, id: u32, tag: Tag, response: Response, is_final: bool) {
        if self.is_read_elsewhere(id, tag, &response, is_final) {
            return;
        }
        if let Some(outcome) = self.judge(id, tag, response.status) {
            self.finish_as(id, tag, response, is_final, outcome);
        }
    }

    /// Whether the plan accepts a response.
    #[inline]
    fn judge(&mut self, id: u32, tag: Tag, status: u16) -> Option<Outcome> {
        let flight = self.connections[id as usize].flight(tag)?;
        let step = self.program.step(flight.step);
        if !step.expect.accepts(status) {
            return Some(Outcome::Failed(ErrorKind::Status, status));
        }
        if step.reading.is_some() {
            self.read_answer(id, tag, status)
        } else {
            Some(Outcome::Success(status))
        }
    }

    /// The answer to a step is there, and what it is.
    #[inline]
    pub(super) fn finish_as(
        &mut self,
        id: u32,
        tag: Tag,
        response: Response,
        is_final: bool,
        outcome: Outcome,
    ) {
        let Some(mut flight) = self.record(id, tag, outcome, response.status) else { return };
        let done_ns = self.heard_ns.max(flight.sent_ns);
        let goes_on = self.settle(id, response.keep_alive && !is_final, is_final, done_ns);
        self.bind(id, &mut flight, goes_on);
        self.advance(flight, done_ns, true);
        self.dispatch(usize::from(flight.target));
    }

    /// Keeps the connection for `flight` where it has one of its own.
    #[inline]
    pub(super) fn bind(&mut self, id: u32, flight: &mut Flight, goes_on: bool) {
        if self.keeping.per == plan::Per::Pool {
            return;
        }
        if let Some(before) = flight.bond.filter(|before| before.id != id) {
            self.let_go(before);
        }
        let serial = self.connections[id as usize].serial;
        flight.bond = goes_on.then_some(Bond { id, serial });
    }

    /// What becomes of a connection after a response; whether it can be used on.
    #[inline]
    pub(super) fn settle(&mut self, id: u32, keep_alive: bool, is_closed: bool, done_ns: u64) -> bool {
        let is_sent = self.is_multiplexed(id) || self.io.unsent(id) == 0;
        let connection = &mut self.connections[id as usize];
        connection.is_used = true;
        let is_spent = connection.requests >= self.keeping.requests || connection.expires_ns <= done_ns;
        let goes_on = keep_alive && is_sent && !is_spent && connection.failure.is_none();
        let is_idle = connection.in_flight == 0;
        if !goes_on {
            self.leave_idle(id);
        }
        if !goes_on && is_idle {
            // The target expects more on one that we have used up, so it does not close it.
            if keep_alive && is_spent { self.close(id) } else { self.end(id, is_closed) }
        } else if goes_on && self.keeping.per == plan::Per::Pool {
            self.offer(id, done_ns);
        } else {
            self.connections[id as usize].since_ns = done_ns;
        }
        goes_on
    }

    /// One request failed, and its connection goes on.
    fn fail(&mut self, id: u32, tag: Tag, kind: ErrorKind) {
        let Some(flight) = self.record(id, tag, Outcome::Failed(kind, 0), 0) else { return };
        let done_ns = self.heard_ns.max(flight.sent_ns);
        let has_room = self.connections[id as usize].room() > 0;
        self.settle(id, has_room, false, done_ns);
        self.advance(flight, done_ns, true);
    }

    /// The target has sent its last byte.
    fn hear_end(&mut self, id: u32) {
        let connection = &mut self.connections[id as usize];
        let mut heard = std::mem::take(&mut self.heard);
        let result = match (&mut connection.session, connection.state) {
            (Some(session), State::Open | State::Greeting) => session.end(&mut heard),
            _ => Ok(()),
        };
        self.act_on(id, &mut heard, true);
        self.heard = heard;
        self.break_off(id, result.as_ref().err().map_or(ErrorKind::ReadReset, kind_of));
    }

    /// The connection is of no more use: what is out on it failed, for a send that failed before if there was one.
    pub(super) fn break_off(&mut self, id: u32, kind: ErrorKind) {
        let connection = &mut self.connections[id as usize];
        let kind = connection.failure.unwrap_or(kind);
        match connection.state {
            State::Connecting | State::Greeting => {
                let kind = if kind == ErrorKind::ReadReset { ErrorKind::ConnectReset } else { kind };
                return self.fail_connecting(id, outcome_of(kind));
            }
            State::Open => self.idle_ended_ns = self.now_ns,
            State::Ending | State::Vacant => {}
        }
        let tags: SmallVec<[Tag; 8]> = connection.tags().collect();
        let flights: SmallVec<[Flight; 1]> =
            tags.into_iter().filter_map(|tag| self.record(id, tag, outcome_of(kind), 0)).collect();
        self.close(id);
        for flight in flights {
            self.advance(flight, self.heard_ns.max(flight.sent_ns), true);
        }
    }

    /// Our kernel has all that was to be sent.
    fn sent(&mut self, id: u32) {
        let connection = &mut self.connections[id as usize];
        let tags: SmallVec<[Tag; 8]> = connection.tags().collect();
        for tag in tags {
            if let Some(flight) = connection.flight(tag)
                && flight.gone_ns == 0
            {
                flight.gone_ns = self.heard_ns;
            }
        }
    }

    /// Nothing more can be sent on connection `id`. A target that refuses a large request answers before it closes: then
    /// the answer counts, and it is the end of the connection that fails the request.
    fn send_failed(&mut self, id: u32, errno: Errno) {
        let connection = &mut self.connections[id as usize];
        let is_stale = connection.is_used && matches!(errno, Errno::PIPE | Errno::CONNRESET);
        if is_stale && !self.is_multiplexed(id) && self.connections[id as usize].bytes_in == 0 {
            return self.launch_elsewhere(id);
        }
        self.connections[id as usize].failure = Some(send_failure(errno));
    }

    /// The target had closed the connection before our kernel took any of the request.
    fn launch_elsewhere(&mut self, id: u32) {
        let connection = &mut self.connections[id as usize];
        let Some(flight) = connection.take(0) else { return };
        self.in_flight -= 1;
        let pool = usize::from(flight.target);
        self.close(id);
        self.pools[pool].queue.push_front(flight);
        self.is_unfinished = true;
    }

    /// Counts the request that is out on connection `id` as done; afterwards it is not. `status` is 0 where no answer came.
    #[inline]
    pub(super) fn record(&mut self, id: u32, tag: Tag, outcome: Outcome, status: u16) -> Option<Flight> {
        let (flight, times, exchange) = self.detach(id, tag, is_answer(outcome), status)?;
        let step = self.program.step(flight.step);
        self.recorder.done(step.id, flight.stage, &times, outcome, exchange);
        if step.has_flow && !outcome.is_success() {
            self.note_failure(&flight);
        }
        Some(flight)
    }

    /// Takes the request off its connection: its times, and what went over it.
    #[inline]
    pub(super) fn detach(
        &mut self,
        id: u32,
        tag: Tag,
        is_answered: bool,
        status: u16,
    ) -> Option<(Flight, Times, Exchange)> {
        let connection = &mut self.connections[id as usize];
        let flight = connection.take(tag)?;
        self.is_stamped = self.has_stamp;
        self.half_answered -= u32::from(flight.answered_ns > 0);
        let bytes_in = std::mem::take(&mut connection.bytes_in);
        let bytes_out = self.request_bytes(id, &flight).saturating_sub(self.io.unsent(id)) as u64;
        let times = self.times_of(&flight, self.heard_ns.max(flight.sent_ns));
        let connection = &mut self.connections[id as usize];
        if self.has_phases {
            let phases =
                flight.phases(std::mem::take(&mut connection.opened), is_answered.then_some(times.done));
            self.recorder.phases(self.program.step(flight.step).id, flight.stage, &phases);
        }
        if connection.in_flight == 0 {
            connection.deadline_ns = NEVER;
        }
        self.in_flight -= 1;
        Some((flight, times, Exchange { status, bytes_in, bytes_out }))
    }

    /// Gives up the requests of connection `id` whose timeout passed. Silence and an answer that came too slowly are two
    /// findings.
    pub(super) fn time_out(&mut self, id: u32) {
        let now_ns = self.now_ns;
        let connection = &mut self.connections[id as usize];
        let tags: SmallVec<[Tag; 8]> = connection.tags().collect();
        connection.deadline_ns = NEVER;
        if let Some(again_ns) = self.proceed(id) {
            self.connections[id as usize].deadline_ns = again_ns;
        }
        for tag in tags {
            let connection = &mut self.connections[id as usize];
            let Some(&mut Flight { deadline_ns, answered_ns, .. }) = connection.flight(tag) else { continue };
            if deadline_ns > now_ns {
                connection.deadline_ns = connection.deadline_ns.min(deadline_ns);
                continue;
            }
            let kind = if answered_ns > 0 { ErrorKind::RequestTimeout } else { ErrorKind::ReadTimeout };
            if connection.session.as_mut().is_some_and(|session| session.cancel(tag)) {
                self.fail(id, tag, kind);
                self.say(id);
            } else {
                return self.break_off(id, kind);
            }
        }
        let deadline_ns = self.connections[id as usize].deadline_ns;
        if deadline_ns != NEVER {
            self.wheel.arm(id, deadline_ns);
        }
    }

    #[inline]
    pub(super) fn is_multiplexed(&self, id: u32) -> bool {
        self.pools[usize::from(self.connections[id as usize].pool)].is_multiplexed
    }
}

/// Whether all of a response came.
fn is_answer(outcome: Outcome) -> bool {
    use ErrorKind::{Body, Check, Extract, Status};
    matches!(outcome, Outcome::Success(_) | Outcome::Failed(Status | Check | Body | Extract, _))
}

/// A request that was on a connection lacks nothing of this machine but memory.
const fn outcome_of(kind: ErrorKind) -> Outcome {
    match kind {
        ErrorKind::LocalLimit => Outcome::local_limit(LocalLimit::Memory),
        kind => Outcome::Failed(kind, 0),
    }
}

fn send_failure(errno: Errno) -> ErrorKind {
    match errno {
        Errno::NOBUFS | Errno::NOMEM => ErrorKind::LocalLimit,
        _ => ErrorKind::Send,
    }
}

fn kind_of(error: &Error) -> ErrorKind {
    match error {
        Error::Unanswered | Error::Truncated => ErrorKind::ReadReset,
        Error::Http2(http2::Error::Refused | http2::Error::Reset(_) | http2::Error::GoneAway(_)) => {
            ErrorKind::ReadReset
        }
        Error::Http1(_) | Error::Http2(_) => ErrorKind::Protocol,
        Error::Tunnel(_) => ErrorKind::ConnectRefused,
        Error::Tls(_) => ErrorKind::Tls,
    }
}
