//! One connection: bytes in, answers out, in order.
//!
//! Invariant: at most one request is being answered, and while it is, or while the client does not read, nothing more
//! is read from the socket; so a connection holds at most one receive buffer, one partial request and one batch of
//! answers. Deliberately absent: time and readiness come from [`Core`] and the loop.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use crate::answer::{self, FILLER};
use crate::exposition;
use crate::request::{self, Ask, Fault};
use crate::route::Route;
use crate::worker::Core;

/// Answers to pipelined requests are sent once they are this many bytes.
const BATCH_BYTES: usize = 64 * 1024;

/// Sends and receives in one turn, so that one busy client does not keep the others waiting.
const MAX_CALLS_PER_TURN: u32 = 16;

/// How long a refused client may take to read the refusal, in nanoseconds.
const LINGER_NS: u64 = 1_000_000_000;

/// A connection and what is under way on it.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    /// How the event loop calls it.
    pub(crate) token: u64,
    phase: Phase,
    /// The socket may have bytes; with edge-triggered readiness this is for us to remember.
    pub(crate) readable: bool,
    /// The client has sent its last byte.
    pub(crate) hung_up: bool,
    /// It is in the loop's list for another turn.
    pub(crate) is_queued: bool,
    familiar_hint: usize,
    /// Received and not used yet.
    input: Vec<u8>,
    /// `input` is the start of a request, of no use without more.
    starved: bool,
    /// Answers that the socket did not take yet, `sent` bytes of which it has.
    output: Vec<u8>,
    sent: usize,
    /// Bytes of [`FILLER`] that follow `output`.
    filler: u64,
    /// When the request that is being answered was received.
    received_ns: u64,
    /// Counted requests whose answers are made but not handed over in full, and when the first of them was received.
    answers: u64,
    answers_since_ns: u64,
    /// Nothing more is answered once the output is sent.
    closing: Option<Closing>,
}

#[derive(Debug)]
enum Phase {
    /// Between requests or in a head.
    Head,
    /// In a body, of which `left` bytes are to come. `kept` is what the answer is made of: the body, for the shop with
    /// the head before it.
    Body { ask: Ask, user_agent: Box<[u8]>, left: u64, kept: Vec<u8> },
    /// The answer is due later.
    Waiting { ask: Ask, due_ns: u64, kept: Vec<u8> },
    /// No answer will come.
    Stalled,
    /// A refusal was sent; what still comes is thrown away, since closing now could destroy the refusal.
    Lingering { until_ns: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    AtOnce,
    Lingering,
}

/// What the loop is to do with a connection after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait for an event.
    Wait,
    /// Give it another turn.
    Again,
    Close,
}

enum Flush {
    Done,
    Blocked,
    /// The turn is over.
    Unfair,
    Failed,
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd, token: u64) -> Self {
        Self {
            socket,
            token,
            phase: Phase::Head,
            readable: false,
            hung_up: false,
            is_queued: false,
            familiar_hint: 0,
            input: Vec::new(),
            starved: true,
            output: Vec::new(),
            sent: 0,
            filler: 0,
            received_ns: 0,
            answers: 0,
            answers_since_ns: 0,
            closing: None,
        }
    }

    /// Bytes of memory that its client makes it hold.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        let kept = match &self.phase {
            Phase::Body { kept, .. } | Phase::Waiting { kept, .. } => kept.capacity(),
            _ => 0,
        };
        self.input.capacity() + self.output.capacity() + kept
    }

    /// Requests that it leaves unanswered when it is closed now.
    pub(crate) fn unanswered(&self) -> u64 {
        self.answers + u64::from(matches!(self.phase, Phase::Waiting { .. } | Phase::Stalled))
    }

    /// Whether a timer at `at_ns` is still of use.
    pub(crate) fn waits_for(&self, at_ns: u64) -> bool {
        match self.phase {
            Phase::Waiting { due_ns, .. } => due_ns == at_ns,
            Phase::Lingering { until_ns } => until_ns == at_ns,
            _ => false,
        }
    }

    /// Does what can be done without waiting.
    pub(crate) fn turn(&mut self, core: &mut Core) -> Next {
        if matches!(self.phase, Phase::Waiting { .. }) {
            self.end_waiting(core);
        }
        for _ in 0..MAX_CALLS_PER_TURN {
            match self.flush(core) {
                Flush::Done => {}
                Flush::Blocked => return Next::Wait,
                Flush::Unfair => return Next::Again,
                Flush::Failed => return Next::Close,
            }
            if let Some(closing) = self.closing.take() {
                if closing == Closing::AtOnce || shutdown(&self.socket, Shutdown::Write).is_err() {
                    return Next::Close;
                }
                self.input = Vec::new();
                let until_ns = core.now_ns + LINGER_NS;
                self.phase = Phase::Lingering { until_ns };
                core.timers.add(until_ns, self.token);
            }
            match self.phase {
                Phase::Waiting { .. } => return Next::Wait,
                Phase::Stalled if self.hung_up => return Next::Close,
                Phase::Stalled => return Next::Wait,
                Phase::Lingering { until_ns } if core.now_ns >= until_ns => return Next::Close,
                _ => {}
            }
            if !self.input.is_empty() && !self.starved {
                self.use_input(core);
            } else if !self.readable {
                return Next::Wait;
            } else if !self.receive(core) {
                return Next::Close;
            }
        }
        match self.flush(core) {
            Flush::Done | Flush::Unfair => Next::Again,
            Flush::Blocked => Next::Wait,
            Flush::Failed => Next::Close,
        }
    }

    /// Receives once; false when the connection is over.
    #[inline]
    fn receive(&mut self, core: &mut Core) -> bool {
        let mut buffer = std::mem::take(&mut core.buffer);
        let received = recv(&self.socket, &mut buffer[..], RecvFlags::empty()).map(|(length, _)| length);
        let is_open = match received {
            Ok(0) => false,
            Ok(length) => {
                core.recorder.came(length);
                // A short read means that the socket is empty, and the next bytes bring a new event.
                self.readable = length == buffer.len() || self.hung_up;
                self.take(core, &buffer[..length]);
                true
            }
            Err(Errno::AGAIN) => {
                self.readable = false;
                true
            }
            Err(Errno::INTR) => true,
            Err(_) => false,
        };
        core.buffer = buffer;
        is_open
    }

    #[inline]
    fn take(&mut self, core: &mut Core, bytes: &[u8]) {
        if let Phase::Lingering { .. } = self.phase {
            return;
        }
        if self.input.is_empty() {
            let used = self.process(core, bytes);
            if used < bytes.len() {
                self.input.extend_from_slice(&bytes[used..]);
            }
            return;
        }
        self.input.extend_from_slice(bytes);
        // Only the end of a line can complete a head: without this, a head that trickles in would be read again and
        // again.
        let is_hopeless = matches!(self.phase, Phase::Head)
            && !bytes.contains(&b'\n')
            && self.input.len() < request::MAX_HEAD_BYTES;
        if !is_hopeless {
            self.use_input(core);
        }
    }

    fn use_input(&mut self, core: &mut Core) {
        let mut input = std::mem::take(&mut self.input);
        let used = self.process(core, &input);
        if used < input.len() {
            input.drain(..used);
            self.input = input;
        }
    }

    /// Reads and answers requests until the bytes are used up or an answer has to wait; how many bytes were used.
    #[inline]
    fn process(&mut self, core: &mut Core, bytes: &[u8]) -> usize {
        let mut used = 0;
        self.starved = false;
        while self.closing.is_none() && self.filler == 0 && core.output.len() < BATCH_BYTES {
            let rest = &bytes[used..];
            match &mut self.phase {
                Phase::Head if rest.is_empty() => self.starved = true,
                Phase::Head => match self.read_head(core, rest) {
                    Some(length) => {
                        used += length;
                        continue;
                    }
                    None => self.starved = self.closing.is_none(),
                },
                Phase::Body { ask, left, kept, .. } if *left > 0 => {
                    let length = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    if ask.route.keeps_body() {
                        kept.extend_from_slice(&rest[..length]);
                    }
                    *left -= length as u64;
                    used += length;
                    if length > 0 {
                        continue;
                    }
                    self.starved = true;
                }
                Phase::Body { .. } => {
                    self.end_body(core);
                    continue;
                }
                Phase::Waiting { .. } | Phase::Stalled | Phase::Lingering { .. } => {}
            }
            break;
        }
        used
    }

    /// Reads a head from the start of `bytes`, and answers unless a body follows; `None` when it is not complete or not
    /// understood.
    #[inline]
    fn read_head(&mut self, core: &mut Core, bytes: &[u8]) -> Option<usize> {
        if let Some((length, ask, client)) = core.familiar.find(&mut self.familiar_hint, bytes) {
            if !ask.route.is_control() {
                core.recorder.received(ask.route, client, core.now_ns);
            }
            self.answer(core, ask, Vec::new());
            return Some(length);
        }
        self.read_new_head(core, bytes)
    }

    #[cold]
    fn read_new_head(&mut self, core: &mut Core, bytes: &[u8]) -> Option<usize> {
        let head = match request::parse(bytes, core.shop.is_some()) {
            Ok(head) => head?,
            Err(fault) => {
                self.refuse(core, fault);
                return None;
            }
        };
        let (length, ask) = (head.length, head.ask);
        let kept = if ask.route.is_shop() { bytes[..length].to_vec() } else { Vec::new() };
        if ask.content_length == 0 {
            let client = core.recorder.client(head.user_agent, &mut core.familiar);
            core.familiar.learn(&bytes[..length], ask, client.clone());
            if !ask.route.is_control() {
                core.recorder.received(ask.route, &client, core.now_ns);
            }
            self.answer(core, ask, kept);
        } else {
            if ask.expects_continue && bytes.len() == length {
                core.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            let user_agent = head.user_agent.into();
            self.phase = Phase::Body { ask, user_agent, left: ask.content_length, kept };
        }
        Some(length)
    }

    fn end_body(&mut self, core: &mut Core) {
        let phase = std::mem::replace(&mut self.phase, Phase::Head);
        let Phase::Body { ask, user_agent, kept, .. } = phase else { return };
        if !ask.route.is_control() {
            let client = core.recorder.client(&user_agent, &mut core.familiar);
            core.recorder.received(ask.route, &client, core.now_ns);
        }
        self.answer(core, ask, kept);
    }

    fn refuse(&mut self, core: &mut Core, fault: Fault) {
        core.recorder.malformed();
        answer::refusal(&mut core.output, fault.status());
        self.closing = Some(Closing::Lingering);
    }

    /// Answers a request that was received in full, or sees to it that it is answered when it is due.
    #[inline]
    fn answer(&mut self, core: &mut Core, ask: Ask, kept: Vec<u8>) {
        self.received_ns = core.now_ns;
        if ask.route == Route::Stall {
            self.phase = Phase::Stalled;
            return;
        }
        let stalled_until_ns =
            if ask.route.is_control() { 0 } else { core.recorder.shared.stalled_until_ns() };
        let delay_ns = if let Route::Delay(delay_ns) = ask.route { delay_ns } else { 0 };
        let due_ns = (core.now_ns + delay_ns).max(stalled_until_ns);
        if due_ns > core.now_ns {
            core.timers.add(due_ns, self.token);
            self.phase = Phase::Waiting { ask, due_ns, kept };
        } else {
            self.respond(core, &ask, &kept);
        }
    }

    /// Answers the request that waited, if it is due and no stall has begun meanwhile.
    fn end_waiting(&mut self, core: &mut Core) {
        let Phase::Waiting { due_ns, .. } = &mut self.phase else { return };
        if core.now_ns < *due_ns {
            return;
        }
        let stalled_until_ns = core.recorder.shared.stalled_until_ns();
        if core.now_ns < stalled_until_ns {
            *due_ns = stalled_until_ns;
            core.timers.add(stalled_until_ns, self.token);
            return;
        }
        if let Phase::Waiting { ask, kept, .. } = std::mem::replace(&mut self.phase, Phase::Head) {
            self.respond(core, &ask, &kept);
        }
    }

    #[inline]
    fn respond(&mut self, core: &mut Core, ask: &Ask, kept: &[u8]) {
        if !ask.route.is_control() {
            if self.answers == 0 {
                self.answers_since_ns = self.received_ns;
            }
            self.answers += 1;
        }
        let output = &mut core.output;
        match ask.route {
            Route::Ping | Route::Delay(_) => answer::pong(output, ask),
            _ => self.respond_other(core, ask, kept),
        }
        if !ask.keep_alive {
            self.closing = Some(Closing::AtOnce);
        }
    }

    fn respond_other(&mut self, core: &mut Core, ask: &Ask, kept: &[u8]) {
        let output = &mut core.output;
        let shared = &core.recorder.shared;
        match ask.route {
            Route::Ping | Route::Delay(_) | Route::Stall => {}
            Route::Status(status) => answer::with_status(output, ask, status),
            Route::Bytes(length) => {
                answer::head(output, ask, 200, "application/octet-stream", length);
                self.filler = if ask.is_head { 0 } else { length };
            }
            Route::Echo => answer::with_body(output, ask, 200, "application/octet-stream", kept),
            Route::Shop | Route::ShopRecord => match &core.shop {
                Some(shop) => answer::reply(output, ask, &shop.answer(kept)),
                None => answer::with_status(output, ask, 404),
            },
            Route::NotFound => answer::with_status(output, ask, 404),
            Route::BadArgument => answer::with_status(output, ask, 400),
            Route::ControlWrongMethod => answer::with_status(output, ask, 405),
            Route::Metrics if ask.wants_json => {
                let text = exposition::json(&shared.snapshot());
                answer::with_body(output, ask, 200, "application/json", text.as_bytes());
            }
            Route::Metrics => {
                let text = exposition::prometheus(&shared.snapshot());
                answer::with_body(output, ask, 200, "text/plain; version=0.0.4", text.as_bytes());
            }
            Route::ControlStall(stall_ns) => {
                shared.stall_until(core.now_ns + stall_ns);
                answer::with_body(output, ask, 200, "text/plain", b"ok");
            }
            Route::ControlReset => {
                shared.reset();
                core.shop.iter().for_each(|shop| shop.reset());
                core.recorder.catch_up(&mut core.familiar);
                answer::with_body(output, ask, 200, "text/plain", b"ok");
            }
        }
    }

    /// Sends what there is to send: what was left over, the answers just made, and the filler.
    #[inline]
    fn flush(&mut self, core: &mut Core) -> Flush {
        if self.output.is_empty() {
            if core.output.is_empty() && self.filler == 0 {
                return Flush::Done;
            }
            let sent = if core.output.is_empty() { Ok(0) } else { self.send(core, &core.output) };
            match sent {
                Ok(sent) if sent < core.output.len() => {
                    self.output.extend_from_slice(&core.output[sent..]);
                    self.sent = 0;
                }
                Ok(_) => {}
                Err(_) => return Flush::Failed,
            }
            core.output.clear();
        } else if !core.output.is_empty() {
            // Cannot happen while what is left over keeps more from being answered; losing it would be worse.
            self.output.append(&mut core.output);
        }
        if !self.output.is_empty() || self.filler > 0 {
            match self.flush_rest(core) {
                Flush::Done => {}
                other => return other,
            }
        }
        core.now_ns = clock::now().as_nanos();
        if self.answers > 0 {
            core.recorder.answered(self.answers, core.now_ns.saturating_sub(self.answers_since_ns));
            self.answers = 0;
        }
        Flush::Done
    }

    #[cold]
    fn flush_rest(&mut self, core: &Core) -> Flush {
        if self.sent < self.output.len() {
            match self.send(core, &self.output[self.sent..]) {
                Ok(sent) => self.sent += sent,
                Err(_) => return Flush::Failed,
            }
            if self.sent < self.output.len() {
                return Flush::Blocked;
            }
        }
        self.output = Vec::new();
        self.sent = 0;
        for _ in 0..MAX_CALLS_PER_TURN {
            let length = usize::try_from(self.filler).map_or(FILLER.len(), |left| left.min(FILLER.len()));
            if length == 0 {
                return Flush::Done;
            }
            match self.send(core, &FILLER[..length]) {
                Ok(sent) => {
                    self.filler -= sent as u64;
                    if sent < length {
                        return Flush::Blocked;
                    }
                }
                Err(_) => return Flush::Failed,
            }
        }
        if self.filler == 0 { Flush::Done } else { Flush::Unfair }
    }

    /// Sends; 0 when the socket takes nothing now.
    #[inline]
    fn send(&self, core: &Core, bytes: &[u8]) -> Result<usize, Errno> {
        match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => {
                core.recorder.went(sent);
                Ok(sent)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(error) => Err(error),
        }
    }
}
