//! What the target sends: from slices to frames, from frames to responses.
//!
//! Invariant: a frame has an effect when it is complete; only `DATA` is taken as it comes, and not copied.

use super::error::{Code, Error};
use super::frame::{self, Frame, HEADER_BYTES};
use super::session::Multiplexed;
use super::streams::{Found, State};
use super::{KEPT_CAPACITY, MAX_31_BITS, MAX_FRAME_BYTES, MAX_HEAD_BYTES, MAX_IDLE_FRAMES};
use crate::{Heard, Response};

/// Where in a frame the next byte falls.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    /// In the first 9 bytes, or in a payload that is gathered in `partial`.
    Frame,
    /// On the length of the padding.
    Padding(Data),
    Data(Data),
    /// In a payload that nobody needs, of which so many bytes are left.
    Skipped(u32),
}

/// What is left of a `DATA` frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Data {
    stream: u32,
    left: u32,
    padding: u32,
    is_last: bool,
}

/// A block of headers that did not come in one frame.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// 0: there is none.
    stream: u32,
    is_last: bool,
    bytes: Vec<u8>,
}

impl Block {
    pub(super) fn reset(&mut self) {
        self.stream = 0;
        self.bytes = Vec::new();
    }
}

impl Multiplexed {
    pub(super) fn receive(&mut self, bytes: &[u8], heard: &mut Vec<Heard>) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.at {
                At::Frame if self.partial.is_empty() => self.take_frame(rest, heard)?,
                At::Frame => self.take_piece(rest, heard)?,
                At::Data(data) => self.take_data(data, rest, heard)?,
                At::Padding(data) => self.take_padding(data, rest, heard)?,
                At::Skipped(left) => {
                    let taken = rest.len().min(left as usize);
                    self.skip(left - u32::try_from(taken).unwrap_or(left));
                    &rest[taken..]
                }
            };
        }
        Ok(())
    }

    fn skip(&mut self, left: u32) {
        self.at = if left == 0 { At::Frame } else { At::Skipped(left) };
    }

    /// Takes a frame from the start of `rest`; what follows it.
    #[inline]
    fn take_frame<'b>(&mut self, rest: &'b [u8], heard: &mut Vec<Heard>) -> Result<&'b [u8], Error> {
        let Some((header, after)) = rest.split_first_chunk() else {
            self.partial.extend_from_slice(rest);
            return Ok(&[]);
        };
        let frame = Frame::read(header);
        self.check(frame)?;
        if !is_gathered(frame) {
            self.begin(frame, heard)?;
            return Ok(after);
        }
        let Some((payload, after)) = after.split_at_checked(frame.length as usize) else {
            self.partial.extend_from_slice(rest);
            return Ok(&[]);
        };
        self.act(frame, payload, heard)?;
        Ok(after)
    }

    /// Adds to a frame that has begun in an earlier slice.
    #[cold]
    fn take_piece<'b>(&mut self, rest: &'b [u8], heard: &mut Vec<Heard>) -> Result<&'b [u8], Error> {
        let length = self.partial.first_chunk().map(|header| Frame::read(header).length as usize);
        let whole = length.map_or(HEADER_BYTES, |length| HEADER_BYTES + length);
        let taken = rest.len().min(whole - self.partial.len());
        self.partial.extend_from_slice(&rest[..taken]);
        let rest = &rest[taken..];
        let Some(header) = self.partial.first_chunk() else { return Ok(rest) };
        let frame = Frame::read(header);
        if length.is_none() {
            self.check(frame)?;
            if !is_gathered(frame) {
                self.partial.clear();
                self.begin(frame, heard)?;
                return Ok(rest);
            }
        }
        if self.partial.len() == HEADER_BYTES + frame.length as usize {
            let mut partial = std::mem::take(&mut self.partial);
            self.act(frame, &partial[HEADER_BYTES..], heard)?;
            partial.clear();
            partial.shrink_to(KEPT_CAPACITY);
            self.partial = partial;
        }
        Ok(rest)
    }

    /// Whether such a frame may come now.
    #[inline]
    fn check(&self, frame: Frame) -> Result<(), Error> {
        let is_usual = matches!(frame.kind, frame::DATA | frame::HEADERS)
            && self.peer.has_said
            && self.block.stream == 0
            && frame.length as usize <= MAX_FRAME_BYTES
            && self.streams.was_opened(frame.stream);
        if is_usual { Ok(()) } else { self.check_all(frame) }
    }

    #[cold]
    fn check_all(&self, frame: Frame) -> Result<(), Error> {
        let wrong = |is_wrong: bool, error: Error| if is_wrong { Err(error) } else { Ok(()) };
        let is_settings = frame.kind == frame::SETTINGS && !frame.has(frame::ACK);
        wrong(!self.peer.has_said && !is_settings, Error::Preface)?;
        wrong(frame.length as usize > MAX_FRAME_BYTES, Error::FrameTooLarge(frame.length))?;
        let is_misplaced = match self.block.stream {
            0 => frame.kind == frame::CONTINUATION,
            stream => frame.kind != frame::CONTINUATION || frame.stream != stream,
        };
        wrong(is_misplaced, Error::Interleaved(frame.name()))?;
        let is_opened = self.streams.was_opened(frame.stream);
        let (is_placed, is_sized) = match frame.kind {
            frame::DATA | frame::HEADERS | frame::CONTINUATION => (is_opened, true),
            frame::RST_STREAM => (is_opened, frame.length == 4),
            frame::WINDOW_UPDATE => (is_opened || frame.stream == 0, frame.length == 4),
            frame::SETTINGS if frame.has(frame::ACK) => (frame.stream == 0, frame.length == 0),
            frame::SETTINGS => (frame.stream == 0, frame.length.is_multiple_of(6)),
            frame::PING => (frame.stream == 0, frame.length == 8),
            frame::GOAWAY => (frame.stream == 0, frame.length >= 8),
            frame::PUSH_PROMISE => return Err(Error::Push),
            frame::PRIORITY => (frame.stream != 0, true),
            _ => (true, true),
        };
        wrong(!is_placed, Error::Stream(frame.name()))?;
        wrong(!is_sized, Error::FrameLength(frame.name()))
    }

    /// Takes the first bytes of a frame whose payload is taken as it comes.
    #[inline]
    fn begin(&mut self, frame: Frame, heard: &mut Vec<Heard>) -> Result<(), Error> {
        if frame.kind != frame::DATA {
            self.skip(frame.length);
            return self.count_idle();
        }
        self.charge(frame, heard)?;
        let Frame { stream, length: left, .. } = frame;
        let data = Data { stream, left, padding: 0, is_last: frame.has(frame::END_STREAM) };
        if !frame.has(frame::PADDED) {
            return self.go_on(data, heard);
        }
        self.at = At::Padding(data);
        if left == 0 { Err(Error::Padding) } else { Ok(()) }
    }

    /// Takes a `DATA` frame from the windows, which are opened again once half of one is used.
    fn charge(&mut self, frame: Frame, heard: &mut Vec<Heard>) -> Result<(), Error> {
        self.receive_left = self.receive_left.checked_sub(frame.length).ok_or(Error::FlowControl)?;
        let whole = self.window();
        if self.receive_left < whole / 2 {
            let used = whole - std::mem::replace(&mut self.receive_left, whole);
            self.outbox.answer(|bytes| frame::write_u32(bytes, frame::WINDOW_UPDATE, 0, used))?;
        }
        let stream = match self.streams.find(frame.stream) {
            Found::Open(stream) => stream,
            Found::Ended => return Err(Error::StreamClosed(frame.name())),
            Found::Gone => return self.count_idle(),
        };
        stream.receive_left = stream.receive_left.checked_sub(frame.length).ok_or(Error::FlowControl)?;
        if stream.status == 0 {
            return self.reject(frame.stream, Error::Order("DATA before HEADERS"), heard);
        }
        let whole = self.settings.window;
        if stream.receive_left < whole.div_ceil(2) && !frame.has(frame::END_STREAM) {
            let used = whole - std::mem::replace(&mut stream.receive_left, whole);
            self.outbox.answer(|bytes| frame::write_u32(bytes, frame::WINDOW_UPDATE, frame.stream, used))?;
        }
        if frame.length == 0 && !frame.has(frame::END_STREAM) {
            return self.count_idle();
        }
        self.idle = 0;
        Ok(())
    }

    fn take_padding<'b>(
        &mut self,
        data: Data,
        rest: &'b [u8],
        heard: &mut Vec<Heard>,
    ) -> Result<&'b [u8], Error> {
        let Some((padding, rest)) = rest.split_first() else { return Ok(rest) };
        let padding = u32::from(*padding);
        let left = (data.left - 1).checked_sub(padding).ok_or(Error::Padding)?;
        self.go_on(Data { left, padding, ..data }, heard)?;
        Ok(rest)
    }

    #[inline]
    fn take_data<'b>(
        &mut self,
        mut data: Data,
        rest: &'b [u8],
        heard: &mut Vec<Heard>,
    ) -> Result<&'b [u8], Error> {
        let (body, rest) = rest.split_at(rest.len().min(data.left as usize));
        data.left -= u32::try_from(body.len()).unwrap_or(data.left);
        if !body.is_empty() {
            self.take_body(data.stream, body, heard)?;
        }
        let padding = rest.len().min(data.padding as usize);
        if data.left == 0 {
            data.padding -= u32::try_from(padding).unwrap_or(data.padding);
        }
        self.go_on(data, heard)?;
        Ok(if data.left == 0 { &rest[padding..] } else { rest })
    }

    /// Waits for the rest of a `DATA` frame, or ends it.
    #[inline]
    fn go_on(&mut self, data: Data, heard: &mut Vec<Heard>) -> Result<(), Error> {
        if data.left > 0 || data.padding > 0 {
            self.at = At::Data(data);
            return Ok(());
        }
        self.at = At::Frame;
        if data.is_last { self.finish(data.stream, heard) } else { Ok(()) }
    }

    #[inline]
    fn take_body(&mut self, id: u32, body: &[u8], heard: &mut Vec<Heard>) -> Result<(), Error> {
        let Some(stream) = self.streams.get(id) else { return Ok(()) };
        if stream.is_bodiless() {
            return self.reject(id, Error::UnexpectedBody, heard);
        }
        stream.body_bytes += body.len() as u64;
        if stream.content_length.is_some_and(|length| stream.body_bytes > length) {
            return self.reject(id, Error::ContentLength, heard);
        }
        if let Some(kept) = stream.kept {
            self.kept.keep_body(kept, body);
        }
        Ok(())
    }

    /// Does what a complete frame asks for.
    #[inline]
    fn act(&mut self, frame: Frame, payload: &[u8], heard: &mut Vec<Heard>) -> Result<(), Error> {
        match frame.kind {
            frame::HEADERS => self.take_headers(frame, payload, heard),
            frame::CONTINUATION => self.take_continuation(frame, payload, heard),
            frame::RST_STREAM => self.take_reset(frame, Code(frame::read_u32(payload, frame)?), heard),
            frame::SETTINGS if frame.has(frame::ACK) => Ok(()),
            frame::SETTINGS => self.take_settings(payload),
            frame::PING if frame.has(frame::ACK) => Ok(()),
            frame::PING => self.outbox.answer(|bytes| {
                Frame { flags: frame::ACK, ..frame }.write(bytes);
                bytes.extend_from_slice(payload);
            }),
            frame::GOAWAY => self.take_goaway(frame, payload, heard),
            _ => self.take_window_update(frame, frame::read_u32(payload, frame)? & MAX_31_BITS, heard),
        }
    }

    #[inline]
    fn take_headers(&mut self, frame: Frame, payload: &[u8], heard: &mut Vec<Heard>) -> Result<(), Error> {
        let is_last = frame.has(frame::END_STREAM);
        let fragment = if frame.has(frame::PADDED | frame::HAS_PRIORITY) {
            strip(frame, payload).ok_or(Error::Padding)?
        } else {
            payload
        };
        if frame.has(frame::END_HEADERS) {
            return self.take_block(frame.stream, is_last, fragment, heard);
        }
        self.block.bytes.clear();
        self.block.bytes.extend_from_slice(fragment);
        (self.block.stream, self.block.is_last) = (frame.stream, is_last);
        Ok(())
    }

    #[cold]
    fn take_continuation(
        &mut self,
        frame: Frame,
        payload: &[u8],
        heard: &mut Vec<Heard>,
    ) -> Result<(), Error> {
        if self.block.bytes.len() + payload.len() > MAX_HEAD_BYTES {
            return Err(Error::HeadTooLarge);
        }
        self.block.bytes.extend_from_slice(payload);
        if !frame.has(frame::END_HEADERS) {
            return self.count_idle();
        }
        let block = std::mem::take(&mut self.block);
        self.take_block(block.stream, block.is_last, &block.bytes, heard)
    }

    /// Takes a whole block of headers: a head, or trailers.
    #[inline]
    fn take_block(
        &mut self,
        id: u32,
        is_last: bool,
        block: &[u8],
        heard: &mut Vec<Heard>,
    ) -> Result<(), Error> {
        let stream = match self.streams.find(id) {
            Found::Open(stream) => stream,
            Found::Ended => return Err(Error::StreamClosed("HEADERS")),
            // Nobody waits for it, but the table goes on.
            Found::Gone => {
                return self
                    .heads
                    .read(block, None)
                    .map_or_else(|error| Err(error.into()), |_| self.count_idle());
            }
        };
        self.idle = 0;
        if stream.status != 0 {
            return match self.heads.read_trailers(block)? {
                Err(fault) => self.reject_block(id, fault, is_last, heard),
                Ok(()) if !is_last => self.reject(id, Error::Order("headers within the body"), heard),
                Ok(()) => self.finish(id, heard),
            };
        }
        let lines = stream.kept.and_then(|at| self.kept.headers(at));
        let head = match self.heads.read(block, lines)? {
            Err(fault) => return self.reject_block(id, fault, is_last, heard),
            Ok(head) => head,
        };
        let is_informational = head.status < 200;
        if is_informational && is_last {
            let error = Error::Order("the end behind an informational response");
            return self.reject_block(id, error, is_last, heard);
        }
        if !is_informational {
            (stream.status, stream.content_length) = (head.status, head.content_length);
            if is_last {
                return self.finish(id, heard);
            }
        } else if head.status == 100 && stream.is_sending {
            self.outbox.permit(Some(id));
        }
        if !std::mem::replace(&mut stream.has_started, true) {
            self.started.push(id);
        }
        Ok(())
    }

    /// The target has ended the stream.
    #[inline]
    fn finish(&mut self, id: u32, heard: &mut Vec<Heard>) -> Result<(), Error> {
        let keep_alive = self.keeps_alive();
        let Some(stream) = self.streams.get(id) else { return Ok(()) };
        let is_sending = stream.is_sending;
        let (tag, status, body_bytes) = (stream.tag, stream.status, stream.body_bytes);
        if stream.is_bodiless() || stream.content_length.is_none_or(|length| length == body_bytes) {
            self.forget(id, State::Ended);
            heard.push(Heard::Done(tag, Response { status, keep_alive, body_bytes }));
        } else {
            self.fail(id, Error::ContentLength.into(), heard);
        }
        // An early response: the rest of the body would be for nobody (RFC 9113, 8.1).
        if is_sending { self.outbox.rst_stream(id, Code::CANCEL) } else { Ok(()) }
    }

    /// Fails a request whose response is faulty.
    #[cold]
    fn reject(&mut self, id: u32, error: Error, heard: &mut Vec<Heard>) -> Result<(), Error> {
        self.fail(id, error.into(), heard);
        self.outbox.rst_stream(id, error.code())
    }

    /// As [`reject`](Self::reject), by a block that may have ended the stream: then both know that it is over.
    #[cold]
    fn reject_block(
        &mut self,
        id: u32,
        error: Error,
        is_last: bool,
        heard: &mut Vec<Heard>,
    ) -> Result<(), Error> {
        let is_over = is_last && self.streams.get(id).is_some_and(|stream| !stream.is_sending);
        if !is_over {
            return self.reject(id, error, heard);
        }
        self.fail(id, error.into(), heard);
        Ok(())
    }

    /// Fails a request; the target knows, or is told by the caller.
    pub(super) fn fail(&mut self, id: u32, error: crate::Error, heard: &mut Vec<Heard>) {
        if let Some(stream) = self.streams.get(id) {
            heard.push(Heard::Failed(stream.tag, error));
            self.forget(id, State::Reset);
        }
    }

    /// Closes a stream, and with it all that is held for it but what was kept of its response.
    #[inline]
    pub(super) fn forget(&mut self, id: u32, state: State) {
        let Some(stream) = self.streams.get(id) else { return };
        if stream.is_sending {
            self.outbox.drop_body(id);
        }
        if let Some(kept) = stream.kept {
            self.kept.release(kept, state == State::Ended);
        }
        self.streams.close(id, state);
    }

    fn take_reset(&mut self, frame: Frame, code: Code, heard: &mut Vec<Heard>) -> Result<(), Error> {
        if self.streams.get(frame.stream).is_none() {
            return self.count_idle();
        }
        let error = if code == Code::REFUSED_STREAM { Error::Refused } else { Error::Reset(code) };
        self.fail(frame.stream, error.into(), heard);
        Ok(())
    }

    /// RFC 9113, 6.5.
    fn take_settings(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.peer.max_streams = if self.peer.has_said { self.peer.max_streams } else { u32::MAX };
        self.peer.has_said = true;
        for setting in payload.chunks_exact(6) {
            let &[a, b, c, d, e, f] = setting else { continue };
            let (id, value) = (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]));
            match id {
                frame::HEADER_TABLE_SIZE => {
                    self.peer.has_shrunk_table |= value < super::hpack::TABLE_BYTES;
                }
                frame::MAX_CONCURRENT_STREAMS => self.peer.max_streams = value,
                frame::INITIAL_WINDOW_SIZE if value <= MAX_31_BITS => self.move_windows(value)?,
                frame::ENABLE_PUSH if value == 0 => {}
                frame::MAX_FRAME_SIZE if (1 << 14..1 << 24).contains(&value) => {}
                frame::INITIAL_WINDOW_SIZE | frame::ENABLE_PUSH | frame::MAX_FRAME_SIZE => {
                    return Err(Error::Setting { id, value });
                }
                _ => {}
            }
        }
        self.update_limit();
        let acknowledgement = Frame { length: 0, kind: frame::SETTINGS, flags: frame::ACK, stream: 0 };
        self.outbox.answer(|bytes| acknowledgement.write(bytes))
    }

    /// The first window of streams changes, and with it that of each open stream (RFC 9113, 6.9.2).
    fn move_windows(&mut self, window: u32) -> Result<(), Error> {
        let change = i64::from(window) - i64::from(self.peer.stream_window);
        self.peer.stream_window = window;
        for stream in self.streams.all_open() {
            stream.send_left += change;
            if stream.send_left > i64::from(MAX_31_BITS) {
                return Err(Error::Window);
            }
        }
        Ok(())
    }

    fn take_window_update(&mut self, frame: Frame, bytes: u32, heard: &mut Vec<Heard>) -> Result<(), Error> {
        self.count_idle()?;
        if frame.stream == 0 {
            return self.outbox.open_window(bytes);
        }
        let Some(stream) = self.streams.get(frame.stream) else { return Ok(()) };
        stream.send_left += i64::from(bytes);
        if bytes == 0 || stream.send_left > i64::from(MAX_31_BITS) {
            return self.reject(frame.stream, Error::Window, heard);
        }
        Ok(())
    }

    /// RFC 9113, 6.8. What the target did not look at fails, the rest goes on.
    fn take_goaway(&mut self, frame: Frame, payload: &[u8], heard: &mut Vec<Heard>) -> Result<(), Error> {
        let last = frame::read_u32(payload, frame)? & MAX_31_BITS;
        self.gone_away = Some(Code(frame::read_u32(&payload[4..], frame)?));
        self.close();
        let lost: Vec<u32> =
            self.streams.all_open().map(|stream| stream.id).filter(|id| *id > last).collect();
        for id in lost {
            self.fail(id, Error::Refused.into(), heard);
        }
        Ok(())
    }

    /// Counts a frame that brought nothing.
    fn count_idle(&mut self) -> Result<(), Error> {
        self.idle += 1;
        if self.idle > MAX_IDLE_FRAMES { Err(Error::Idle) } else { Ok(()) }
    }
}

/// Whether a frame is looked at as a whole.
#[inline]
fn is_gathered(frame: Frame) -> bool {
    !matches!(frame.kind, frame::DATA | frame::PRIORITY) && frame.kind <= frame::CONTINUATION
}

/// The fragment in a `HEADERS` frame without its padding and priority (RFC 9113, 6.2).
fn strip(frame: Frame, payload: &[u8]) -> Option<&[u8]> {
    let (mut padding, mut rest) = (0, payload);
    if frame.has(frame::PADDED) {
        let (length, after) = rest.split_first()?;
        (padding, rest) = (usize::from(*length), after);
    }
    if frame.has(frame::HAS_PRIORITY) {
        rest = rest.get(5..)?;
    }
    rest.get(..rest.len().checked_sub(padding)?)
}
