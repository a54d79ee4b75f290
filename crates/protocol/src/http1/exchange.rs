//! One request and its response on a connection.
//!
//! Invariant: after [`Progress::Done`] or an error the exchange is idle; what it then reports is final. An exchange
//! knows no connection: the caller closes it when `keep_alive` is false or an error came.

use super::Error;
use super::chunked::{Chunked, Step};
use super::head::{self, Body, Familiar, Head, Partial};
use crate::{Request, Response, Want};

/// A buffer above this is given back after use, so that ten thousand connections do not each keep the largest head.
const KEPT_CAPACITY: usize = 4096;

/// The state of the exchange on one connection, used again for each request on it.
#[derive(Debug, Default)]
pub struct Exchange {
    state: State,
    answers_head: bool,
    /// False once anything rules out another request on this connection.
    keep_alive: bool,
    started: bool,
    status: u16,
    body_bytes: u64,
    want: Want,
    /// Whether the target has sent `100 Continue`.
    may_continue: bool,
    /// A head that did not come in one slice; empty otherwise.
    partial: Partial,
    kept: Vec<u8>,
    headers: Vec<u8>,
    familiar: Familiar,
}

#[derive(Debug, Default)]
enum State {
    /// No request is out.
    #[default]
    Idle,
    Head,
    /// Bytes of the body that are still to come.
    Sized(u64),
    Chunked(Chunked),
    UntilClose,
}

/// What a slice led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All of the slice was used, the response is not complete.
    NeedMore,
    /// The response is complete.
    Done(Response),
}

impl Exchange {
    /// An idle exchange, for a new connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a request. What `want` names of its response is kept for [`headers`](Self::headers) and
    /// [`body`](Self::body).
    #[inline]
    pub fn begin(&mut self, request: &Request, want: Want) {
        self.state = State::Head;
        self.answers_head = request.is_head();
        self.keep_alive = !request.closes();
        self.started = false;
        self.status = 0;
        self.body_bytes = 0;
        self.want = want;
        self.may_continue = false;
        clear(&mut self.partial.bytes);
        clear(&mut self.kept);
        clear(&mut self.headers);
    }

    /// Takes bytes that came from the target; an empty slice changes nothing (for the end of the stream see
    /// [`eof`](Self::eof)).
    ///
    /// # Errors
    /// What came is not a response to the request. The connection is of no more use.
    #[inline]
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Progress, Error> {
        let progress = self.advance(bytes);
        if progress.is_err() {
            self.state = State::Idle;
        }
        progress
    }

    /// Says that the target has sent its last byte.
    ///
    /// # Errors
    /// [`Error::Unanswered`] when nothing had come, [`Error::Truncated`] when the response is incomplete, another error
    /// when what had come is none.
    pub fn eof(&mut self) -> Result<Response, Error> {
        match std::mem::take(&mut self.state) {
            State::UntilClose => Ok(self.response(0)),
            State::Idle => Err(Error::Unanswered),
            State::Head if !self.started => Err(Error::Unanswered),
            // Long heads are only read at the ends of lines: the last line may hold a fault.
            State::Head => {
                Err(head::parse(&self.partial.bytes, self.answers_head).err().unwrap_or(Error::Truncated))
            }
            State::Sized(_) | State::Chunked(_) => Err(Error::Truncated),
        }
    }

    /// Gives the request up: whatever comes now was not asked for.
    pub fn abandon(&mut self) {
        self.state = State::Idle;
    }

    /// Whether a byte of the response has come, be it of an informational one. A request that failed on a used connection before it has may be
    /// repeated on a new one when it is idempotent.
    pub fn started(&self) -> bool {
        self.started
    }

    /// The status, once the head is complete.
    pub fn status(&self) -> Option<u16> {
        (self.status != 0).then_some(self.status)
    }

    /// Bytes of the body so far.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Whether the target has said that the body may be sent.
    pub fn may_continue(&self) -> bool {
        self.may_continue
    }

    /// The header lines of the final head, if they were to be kept. Valid until the next [`begin`](Self::begin).
    pub fn headers(&self) -> &[u8] {
        &self.headers
    }

    /// The start of the body, as far as it was to be kept. Valid until the next [`begin`](Self::begin).
    pub fn body(&self) -> &[u8] {
        &self.kept
    }

    #[inline]
    fn advance(&mut self, bytes: &[u8]) -> Result<Progress, Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match &mut self.state {
                State::Idle => return Err(Error::Unsolicited),
                State::Head => {
                    self.started = true;
                    let Some(head) = self.read_head(&mut rest)? else { return Ok(Progress::NeedMore) };
                    if let Some(response) = self.begin_body(&head, rest) {
                        return Ok(Progress::Done(response));
                    }
                }
                State::Sized(left) => {
                    let taken = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    *left -= taken as u64;
                    let over = *left == 0;
                    self.take_body(&rest[..taken]);
                    rest = &rest[taken..];
                    if over {
                        return Ok(Progress::Done(self.response(rest.len())));
                    }
                }
                State::Chunked(chunked) => match chunked.step(rest)? {
                    Step::Framing(length) => rest = &rest[length..],
                    Step::Data(length) => {
                        self.take_body(&rest[..length]);
                        rest = &rest[length..];
                    }
                    Step::End(length) => return Ok(Progress::Done(self.response(rest.len() - length))),
                },
                State::UntilClose => {
                    self.take_body(rest);
                    rest = &[];
                }
            }
        }
        Ok(Progress::NeedMore)
    }

    /// Reads a head from what was left over and `rest`, which then starts behind it.
    #[inline]
    fn read_head(&mut self, rest: &mut &[u8]) -> Result<Option<Head>, Error> {
        if !self.partial.bytes.is_empty() {
            return self.read_partial_head(rest);
        }
        let head = self.familiar.parse(rest, self.answers_head)?;
        match &head {
            Some(head) => {
                let (bytes, after) = rest.split_at(head.length);
                *rest = after;
                self.keep_headers(head, bytes);
            }
            None => self.partial.bytes.extend_from_slice(rest),
        }
        Ok(head)
    }

    #[cold]
    fn read_partial_head(&mut self, rest: &mut &[u8]) -> Result<Option<Head>, Error> {
        let Some((head, taken)) = self.partial.feed(rest, self.answers_head)? else { return Ok(None) };
        *rest = &rest[taken..];
        let mut partial = std::mem::take(&mut self.partial);
        self.keep_headers(&head, &partial.bytes[..head.length]);
        clear(&mut partial.bytes);
        self.partial = partial;
        Ok(Some(head))
    }

    #[inline]
    fn keep_headers(&mut self, head: &Head, bytes: &[u8]) {
        if self.want.headers && head.is_final() {
            self.headers.extend_from_slice(head::header_lines(bytes));
        }
    }

    /// Acts on a head; the response when it has no body. `rest` is what follows the head.
    #[inline]
    fn begin_body(&mut self, head: &Head, rest: &[u8]) -> Option<Response> {
        if !head.is_final() {
            self.may_continue |= head.status == 100;
            return None;
        }
        self.status = head.status;
        self.keep_alive &= head.keep_alive;
        self.state = match head.body {
            Body::Sized(0) => return Some(self.response(rest.len())),
            Body::Sized(length) => State::Sized(length),
            Body::Chunked => State::Chunked(Chunked::new()),
            Body::UntilClose => State::UntilClose,
        };
        None
    }

    #[inline]
    fn take_body(&mut self, bytes: &[u8]) {
        self.body_bytes += bytes.len() as u64;
        let room = self.want.body - self.kept.len();
        if room > 0 {
            self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// Ends the exchange; `surplus` bytes came after the response.
    #[inline]
    fn response(&mut self, surplus: usize) -> Response {
        self.state = State::Idle;
        Response {
            status: self.status,
            keep_alive: self.keep_alive && surplus == 0,
            body_bytes: self.body_bytes,
        }
    }
}

fn clear(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_CAPACITY {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}
