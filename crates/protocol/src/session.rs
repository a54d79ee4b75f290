//! What a loop knows of a protocol: requests go in with a tag, bytes go out and come in, and what was heard names the tag.
//!
//! A [`Protocol`] is chosen before the loop starts. It renders each request once, and makes a [`Session`] per connection.
//! Another protocol is one more module with these two traits; the loops stay as they are.
//!
//! Invariant: a request that was begun is told of exactly once, by [`Heard::Done`] or [`Heard::Failed`], or by the error
//! that ends its whole connection. Deliberately absent: sockets, clocks, and retries.

use std::fmt;

use crate::{Error, Parts, Request, RequestError};

/// Which of a connection's requests: the caller's own number, used again once the request is over.
pub type Tag = u32;

/// A protocol with its settings.
pub trait Protocol: Send + Sync + fmt::Debug {
    /// Validates a request and renders it, once for all the times it is sent.
    ///
    /// # Errors
    /// The first fault found, naming the offending text.
    fn render(&self, parts: &Parts<'_>) -> Result<Request, RequestError>;

    /// The client's side of a connection that is not there yet.
    fn session(&self) -> Box<dyn Session>;
}

/// The client's side of one connection.
///
/// After an error the session is of no more use but for [`reset`](Session::reset), and all requests that are out have
/// failed with it.
pub trait Session: Send + fmt::Debug {
    /// For another connection, as if new; buffers are kept.
    fn reset(&mut self);

    /// The connection is there. Pushes [`Heard::Ready`] if nothing has to be agreed upon first.
    fn start(&mut self, heard: &mut Vec<Heard>);

    /// Requests that can be begun now; 0 until [`Heard::Ready`], and for ever once the target wants no more.
    fn room(&self) -> u32;

    /// Begins a request; only with [`room`](Session::room).
    fn begin(&mut self, tag: Tag, request: &Request, want: Want) -> Begun;

    /// What is to be sent next, in order. The caller takes the bytes out, and looks again after each other call.
    fn output(&mut self) -> &mut Vec<u8>;

    /// Takes bytes that came, which it may overwrite. All of them are used.
    ///
    /// # Errors
    /// The connection is broken.
    fn hear(&mut self, bytes: &mut [u8], heard: &mut Vec<Heard>) -> Result<(), Error>;

    /// The target has sent its last byte.
    ///
    /// # Errors
    /// [`Error::Unanswered`] or [`Error::Truncated`] when requests are out that are not answered in full.
    fn end(&mut self, heard: &mut Vec<Heard>) -> Result<(), Error>;

    /// Gives up the request, which is told of no more. False when the connection must be closed for it.
    fn cancel(&mut self, tag: Tag) -> bool;

    /// What [`Want`] asked for of the response that was done last with this tag; until the tag is used again, or another
    /// request is begun where they go one after the other.
    fn kept(&self, tag: Tag) -> Kept<'_>;

    /// Whether a request waits for the target's permission to send its body (`Expect: 100-continue`), or was answered
    /// without it, until the next is begun.
    fn is_held_back(&self) -> bool {
        false
    }

    /// Sends what was held back: the target had long enough.
    fn proceed(&mut self) {}
}

/// What the caller needs of a response beside its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Want {
    /// Bytes of the body to keep, as they came (not decompressed); 0 to count them only.
    pub body: usize,
    /// Whether to keep the headers.
    pub headers: bool,
}

/// How a request's bytes go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// [`Request::bytes`] as they are, and at once; nothing of them is in [`Session::output`].
    AsRendered,
    /// By [`Session::output`].
    Queued,
}

/// What came of bytes that were heard.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Requests can be begun.
    Ready,
    /// The first byte of a response has come, be it of an informational one, but not all of it. Told once.
    Started(Tag),
    /// The response is complete.
    Done(Tag, Response),
    /// This request failed, and the connection goes on.
    Failed(Tag, Error),
}

/// A complete response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    /// 100 to 999; of the informational ones only 101.
    pub status: u16,
    /// Whether the connection can carry another request: the target keeps it open, and nothing came that was not asked
    /// for. The caller knows whether the request was sent in full.
    pub keep_alive: bool,
    /// Bytes of the body, without framing.
    pub body_bytes: u64,
}

/// What was kept of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept<'s> {
    /// Lines `name: value` as HTTP/1.1 has them, without the status line, for [`headers`](crate::headers); empty when
    /// not wanted.
    pub headers: &'s [u8],
    /// The start of the body.
    pub body: &'s [u8],
}
