//! What goes to the target, and the bodies that wait for its windows.
//!
//! Invariant: no more of the bodies is in the output than the target's windows let go; what the target makes us answer is at
//! most [`MAX_ANSWER_BYTES`] ahead of what goes.

use super::error::{Code, Error};
use super::frame::{self, DATA, END_STREAM, Frame};
use super::streams::{Stream, Streams};
use super::{KEPT_CAPACITY, MAX_31_BITS, MAX_FRAME_BYTES};
use crate::Request;

/// Acknowledgements, resets and window updates that wait: a thousand.
const MAX_ANSWER_BYTES: usize = 16 * 1024;

/// The window of a connection until it is opened further (RFC 9113, 6.9.2).
pub(super) const FIRST_WINDOW: u32 = 65_535;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) bytes: Vec<u8>,
    /// How many of them at most are answers.
    answers: usize,
    /// Bytes of bodies that may still be sent on the connection.
    left: i64,
    bodies: Vec<Body>,
    /// Whose turn it is.
    turn: usize,
    held_back: usize,
}

/// A body that has not gone in full.
#[derive(Debug)]
struct Body {
    stream: u32,
    request: Request,
    /// Where in the request's bytes the rest begins.
    at: usize,
    /// Whether it waits for the target's permission.
    is_held_back: bool,
}

impl Outbox {
    pub(super) fn reset(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_CAPACITY);
        self.bodies.clear();
        (self.answers, self.held_back, self.left) = (0, 0, i64::from(FIRST_WINDOW));
    }

    /// Adds a frame that the target makes us send.
    pub(super) fn answer(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
        let before = self.bytes.len();
        write(&mut self.bytes);
        // No more answers can wait than there were bytes.
        self.answers = self.answers.min(before) + self.bytes.len() - before;
        if self.answers > MAX_ANSWER_BYTES { Err(Error::Flood) } else { Ok(()) }
    }

    pub(super) fn rst_stream(&mut self, stream: u32, code: Code) -> Result<(), Error> {
        self.answer(|bytes| frame::write_u32(bytes, frame::RST_STREAM, stream, code.0))
    }

    /// The body of a request that has begun: at once where the windows have room for it.
    pub(super) fn begin_body(&mut self, stream: &mut Stream, request: &Request) {
        let body = &request.bytes()[request.body_at()..];
        let fits = body.len() <= MAX_FRAME_BYTES && body.len() <= self.window_of(stream);
        let is_held_back = request.expects_continue();
        if fits && !is_held_back && self.bodies.is_empty() {
            self.write_data(stream, body, true);
            return;
        }
        stream.is_sending = true;
        self.held_back += usize::from(is_held_back);
        let (stream, at) = (stream.id, request.body_at());
        self.bodies.push(Body { stream, request: request.clone(), at, is_held_back });
    }

    /// Bytes that may be sent now.
    fn window_of(&self, stream: &Stream) -> usize {
        usize::try_from(self.left.min(stream.send_left)).unwrap_or(0)
    }

    #[inline]
    fn write_data(&mut self, stream: &mut Stream, data: &[u8], is_last: bool) {
        let flags = if is_last { END_STREAM } else { 0 };
        let length = u32::try_from(data.len()).expect("data fit a frame");
        Frame { length, kind: DATA, flags, stream: stream.id }.write(&mut self.bytes);
        self.bytes.extend_from_slice(data);
        self.left -= i64::from(length);
        stream.send_left -= i64::from(length);
        stream.is_sending = !is_last;
    }

    /// Adds frames of the bodies that wait, one of each in turn, as far as the windows have room.
    pub(super) fn fill(&mut self, streams: &mut Streams) {
        let mut blocked = 0;
        while blocked < self.bodies.len() && self.left > 0 {
            self.turn = if self.turn < self.bodies.len() { self.turn } else { 0 };
            let body = &self.bodies[self.turn];
            let Some(stream) = streams.get(body.stream) else {
                self.bodies.swap_remove(self.turn);
                continue;
            };
            let rest = body.request.bytes().len() - body.at;
            let length = rest.min(self.window_of(stream)).min(MAX_FRAME_BYTES);
            if length == 0 || body.is_held_back {
                (blocked, self.turn) = (blocked + 1, self.turn + 1);
                continue;
            }
            blocked = 0;
            if length == rest {
                let body = self.bodies.swap_remove(self.turn);
                self.write_data(stream, &body.request.bytes()[body.at..], true);
            } else {
                let bytes = body.request.bytes().clone();
                let from = body.at;
                self.bodies[self.turn].at += length;
                self.write_data(stream, &bytes[from..from + length], false);
                self.turn += 1;
            }
        }
    }

    #[inline]
    pub(super) fn has_bodies(&self) -> bool {
        !self.bodies.is_empty()
    }

    /// Gives up the body of a stream.
    pub(super) fn drop_body(&mut self, stream: u32) {
        if let Some(at) = self.bodies.iter().position(|body| body.stream == stream) {
            let body = self.bodies.swap_remove(at);
            self.held_back -= usize::from(body.is_held_back);
        }
    }

    /// Whether a body waits for the target's permission.
    #[inline]
    pub(super) fn is_held_back(&self) -> bool {
        self.held_back > 0
    }

    /// Lets the body of `stream` go, or all.
    pub(super) fn permit(&mut self, stream: Option<u32>) {
        for body in &mut self.bodies {
            if body.is_held_back && stream.is_none_or(|stream| stream == body.stream) {
                body.is_held_back = false;
                self.held_back -= 1;
            }
        }
    }

    /// The target opens the connection's window (RFC 9113, 6.9.1).
    pub(super) fn open_window(&mut self, bytes: u32) -> Result<(), Error> {
        self.left += i64::from(bytes);
        if bytes == 0 || self.left > i64::from(MAX_31_BITS) { Err(Error::Window) } else { Ok(()) }
    }
}
