//! The client's side of a connection, for the loops.

use super::error::{Code, Error};
use super::frame::{self, END_HEADERS, Frame, HEADER_BYTES};
use super::head::Heads;
use super::kept::Kept;
use super::outbox::{FIRST_WINDOW, Outbox};
use super::receive::{At, Block};
use super::streams::{State, Streams};
use super::{DEFAULT_WINDOW_BYTES, MAX_31_BITS, MAX_HEAD_BYTES, MAX_STREAMS, hpack, render};
use crate::{Begun, Heard, Parts, Protocol, Request, RequestError, Session, Tag, Want, session};

/// Streams at once before the target has said how many it takes: the least that RFC 9113, 6.5.2 recommends.
const FIRST_STREAMS: u32 = 100;

/// HTTP/2 with prior knowledge, or where TLS agreed on `h2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2 {
    /// Requests at once on a connection, 1 to [`MAX_STREAMS`], and as many as the target takes.
    pub streams: u32,
    /// Bytes of a response that the target may send ahead, up to 2³¹ − 1; the connection has room for all streams.
    pub window: u32,
}

impl Http2 {
    /// So many requests at once on a connection.
    pub fn new(streams: u32) -> Self {
        Self { streams, window: DEFAULT_WINDOW_BYTES }
    }
}

impl Protocol for Http2 {
    fn render(&self, parts: &Parts<'_>) -> Result<Request, RequestError> {
        render(parts)
    }

    fn session(&self) -> Box<dyn Session> {
        let streams = self.streams.clamp(1, MAX_STREAMS);
        let window = self.window.clamp(1, MAX_31_BITS);
        Box::new(Multiplexed::new(Self { streams, window }))
    }
}

/// What the target has said of itself (RFC 9113, 6.5.2).
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) has_said: bool,
    pub(super) max_streams: u32,
    pub(super) stream_window: u32,
    /// Whether it has a smaller table than all have at first, which the next block must confirm (RFC 7541, 4.2).
    pub(super) has_shrunk_table: bool,
}

impl Default for Peer {
    fn default() -> Self {
        let (max_streams, stream_window) = (FIRST_STREAMS, FIRST_WINDOW);
        Self { has_said: false, max_streams, stream_window, has_shrunk_table: false }
    }
}

#[derive(Debug)]
pub(super) struct Multiplexed {
    pub(super) settings: Http2,
    pub(super) peer: Peer,
    /// Streams that may be open at once; 0 before the start and once no more may be opened.
    limit: u32,
    /// Whether the target takes no more streams, or the numbers are used up.
    is_closing: bool,
    /// The code of the last `GOAWAY`.
    pub(super) gone_away: Option<Code>,
    pub(super) broken: Option<Error>,
    pub(super) streams: Streams,
    pub(super) outbox: Outbox,
    pub(super) kept: Kept,
    pub(super) heads: Heads,
    /// Where the bytes stand.
    pub(super) at: At,
    /// A frame that did not come in one slice; empty otherwise.
    pub(super) partial: Vec<u8>,
    pub(super) block: Block,
    /// Bytes that the target may still send on the connection.
    pub(super) receive_left: u32,
    /// Frames in a row that brought nothing.
    pub(super) idle: u32,
    /// Streams whose first byte is in this slice, and which are not over.
    pub(super) started: Vec<u32>,
}

impl Multiplexed {
    fn new(settings: Http2) -> Self {
        let mut session = Self {
            settings,
            peer: Peer::default(),
            limit: 0,
            is_closing: false,
            gone_away: None,
            broken: None,
            streams: Streams::new(settings.streams),
            outbox: Outbox::default(),
            kept: Kept::new(settings.streams),
            heads: Heads::default(),
            at: At::Frame,
            partial: Vec::new(),
            block: Block::default(),
            receive_left: 0,
            idle: 0,
            started: Vec::new(),
        };
        session.outbox.reset();
        session
    }

    /// The connection's own window: room for all streams.
    pub(super) fn window(&self) -> u32 {
        self.settings.window.saturating_mul(self.settings.streams).clamp(FIRST_WINDOW, MAX_31_BITS)
    }

    pub(super) fn update_limit(&mut self) {
        self.limit = if self.is_closing { 0 } else { self.settings.streams.min(self.peer.max_streams) };
    }

    /// No more streams on this connection.
    pub(super) fn close(&mut self) {
        self.is_closing = true;
        self.update_limit();
    }

    /// Whether the connection can carry another request.
    #[inline]
    pub(super) fn keeps_alive(&self) -> bool {
        !self.is_closing
    }

    /// The connection is of no more use, and the target is told why.
    pub(super) fn break_off(&mut self, error: Error) {
        self.broken = Some(error);
        self.close();
        frame::write_goaway(&mut self.outbox.bytes, error.code());
    }

    /// Adds the frames of a request's head to the output.
    #[inline]
    fn write_head(&mut self, id: u32, request: &Request) {
        let from = self.outbox.bytes.len();
        self.outbox.bytes.extend_from_slice(&request.bytes()[..request.body_at()]);
        let mut frames = &mut self.outbox.bytes[from..];
        while let Some((header, rest)) = frames.split_first_chunk_mut::<HEADER_BYTES>() {
            let length = Frame::read(header).length as usize;
            header[5..].copy_from_slice(&id.to_be_bytes());
            frames = rest.get_mut(length..).unwrap_or_default();
        }
        if self.peer.has_shrunk_table {
            self.confirm_table(from, id);
        }
    }

    /// Puts a frame before those at `from` that makes the table empty, and makes the first of them its continuation.
    #[cold]
    fn confirm_table(&mut self, from: usize, id: u32) {
        self.peer.has_shrunk_table = false;
        let bytes = &mut self.outbox.bytes;
        let flags = bytes[from + 4];
        (bytes[from + 3], bytes[from + 4]) = (frame::CONTINUATION, flags & END_HEADERS);
        let mut first = Vec::with_capacity(HEADER_BYTES + 1);
        Frame { length: 1, kind: frame::HEADERS, flags: flags & !END_HEADERS, stream: id }.write(&mut first);
        first.push(0x20);
        bytes.splice(from..from, first);
    }
}

impl Session for Multiplexed {
    fn reset(&mut self) {
        self.peer = Peer::default();
        (self.limit, self.is_closing, self.gone_away, self.broken) = (0, false, None, None);
        self.streams.reset();
        self.outbox.reset();
        self.kept.reset();
        self.heads.reset();
        self.at = At::Frame;
        self.partial.clear();
        self.block.reset();
        self.idle = 0;
        self.started.clear();
    }

    fn start(&mut self, heard: &mut Vec<Heard>) {
        let window = self.window();
        let bytes = &mut self.outbox.bytes;
        bytes.extend_from_slice(frame::PREFACE);
        let list_bytes = u32::try_from(MAX_HEAD_BYTES).expect("a limit of 16 bits");
        let settings = [
            // As large as it is without saying so; nginx, which would fill it to no use, is brought to leave it alone.
            (frame::HEADER_TABLE_SIZE, hpack::TABLE_BYTES),
            (frame::ENABLE_PUSH, 0),
            (frame::INITIAL_WINDOW_SIZE, self.settings.window),
            (frame::MAX_HEADER_LIST_SIZE, list_bytes),
        ];
        frame::write_settings(bytes, &settings);
        if window > FIRST_WINDOW {
            frame::write_u32(bytes, frame::WINDOW_UPDATE, 0, window - FIRST_WINDOW);
        }
        self.receive_left = window;
        self.update_limit();
        heard.push(Heard::Ready);
    }

    #[inline]
    fn room(&self) -> u32 {
        self.limit.saturating_sub(self.streams.open_count())
    }

    #[inline]
    fn begin(&mut self, tag: Tag, request: &Request, want: Want) -> Begun {
        self.idle = 0;
        let stream = self.streams.open();
        let id = stream.id;
        stream.tag = tag;
        stream.is_head = request.is_head();
        stream.receive_left = self.settings.window;
        stream.send_left = i64::from(self.peer.stream_window);
        if want != Want::default() {
            stream.kept = Some(self.kept.claim(tag, want));
        } else if !self.kept.is_empty() {
            self.kept.forget(tag);
        }
        self.write_head(id, request);
        if request.body_at() < request.bytes().len()
            && let Some(stream) = self.streams.get(id)
        {
            self.outbox.begin_body(stream, request);
        }
        if self.streams.is_exhausted() {
            self.close();
        }
        Begun::Queued
    }

    #[inline]
    fn output(&mut self) -> &mut Vec<u8> {
        if self.outbox.has_bodies() && self.broken.is_none() {
            self.outbox.fill(&mut self.streams);
        }
        &mut self.outbox.bytes
    }

    fn hear(&mut self, bytes: &mut [u8], heard: &mut Vec<Heard>) -> Result<(), crate::Error> {
        if let Some(error) = self.broken {
            return Err(error.into());
        }
        if let Err(error) = self.receive(bytes, heard) {
            self.break_off(error);
            return Err(error.into());
        }
        for id in self.started.drain(..) {
            if let Some(stream) = self.streams.get(id) {
                heard.push(Heard::Started(stream.tag));
            }
        }
        Ok(())
    }

    fn end(&mut self, heard: &mut Vec<Heard>) -> Result<(), crate::Error> {
        self.close();
        if let Some(error) = self.broken {
            return Err(error.into());
        }
        let is_any_unanswered = self.streams.all_open().any(|stream| !stream.has_started);
        let error = match self.gone_away {
            _ if self.streams.open_count() == 0 => return Ok(()),
            Some(code) if code != Code::NO_ERROR => Error::GoneAway(code).into(),
            _ if is_any_unanswered => crate::Error::Unanswered,
            _ => crate::Error::Truncated,
        };
        // Those whose response had begun fail with what is true of them.
        if error == crate::Error::Unanswered {
            let ids: Vec<u32> = self.streams.all_open().filter(|s| s.has_started).map(|s| s.id).collect();
            for id in ids {
                self.fail(id, crate::Error::Truncated, heard);
            }
        }
        Err(error)
    }

    fn cancel(&mut self, tag: Tag) -> bool {
        let id = self.streams.all_open().find(|stream| stream.tag == tag).map(|stream| stream.id);
        let Some(id) = id.filter(|_| self.broken.is_none()) else { return self.broken.is_none() };
        self.forget(id, State::Reset);
        frame::write_u32(&mut self.outbox.bytes, frame::RST_STREAM, id, Code::CANCEL.0);
        true
    }

    fn kept(&self, tag: Tag) -> session::Kept<'_> {
        self.kept.of(tag)
    }

    fn is_held_back(&self) -> bool {
        self.outbox.is_held_back()
    }

    fn proceed(&mut self) {
        self.outbox.permit(None);
    }
}
