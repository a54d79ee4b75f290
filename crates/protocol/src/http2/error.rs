//! What is wrong with a target's HTTP/2, and the code by which it is told.

use std::fmt;

use super::{MAX_FRAME_BYTES, MAX_HEAD_BYTES, MAX_IDLE_FRAMES, hpack};

/// An error code (RFC 9113, 7).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    pub(super) const NO_ERROR: Self = Self(0);
    pub(super) const PROTOCOL_ERROR: Self = Self(1);
    pub(super) const FLOW_CONTROL_ERROR: Self = Self(3);
    pub(super) const STREAM_CLOSED: Self = Self(5);
    pub(super) const FRAME_SIZE_ERROR: Self = Self(6);
    pub(super) const REFUSED_STREAM: Self = Self(7);
    pub(super) const CANCEL: Self = Self(8);
    pub(super) const COMPRESSION_ERROR: Self = Self(9);
    pub(super) const ENHANCE_YOUR_CALM: Self = Self(11);
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        match NAMES.get(self.0 as usize) {
            Some(name) => formatter.write_str(name),
            None => write!(formatter, "error code {:#x}", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Why a request has no response, or a connection is of no more use. Sections are those of RFC 9113.
///
/// The variants up to [`UnexpectedBody`](Error::UnexpectedBody) concern one request, the others the whole connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The target has not looked at the request, which may be sent again on another connection: `REFUSED_STREAM`, or a
    /// `GOAWAY` that does not cover it (8.7).
    #[error("not processed by the target")]
    Refused,
    /// The target reset the stream (6.4).
    #[error("stream reset by the target: {0}")]
    Reset(Code),
    /// `:status` is missing, repeated, or not three digits from 100 on (8.3.2), or is 101, which HTTP/2 has not (8.6).
    #[error("missing or invalid :status")]
    Status,
    /// A pseudo-header other than `:status`, behind a header, or in trailers (8.3).
    #[error("misplaced pseudo-header")]
    PseudoHeader,
    /// A name with upper case or a forbidden character, or a value with a line break or NUL (8.2.1).
    #[error("malformed header")]
    Header,
    /// A header that belongs to HTTP/1.1, as `Connection` (8.2.2).
    #[error("connection-specific header")]
    ConnectionHeader,
    /// `Content-Length` is not a number, contradicts another one, or is not the length of the body (8.1.1).
    #[error("invalid or contradicting content-length")]
    ContentLength,
    /// The parts of a response come in a wrong order (8.1).
    #[error("response out of order: {0}")]
    Order(&'static str),
    /// A body where none may be (8.1.1).
    #[error("a body in a response that has none")]
    UnexpectedBody,

    /// The target does not begin with `SETTINGS` (3.4): it speaks something else.
    #[error("the target does not begin with SETTINGS")]
    Preface,
    /// The target ended the connection by `GOAWAY`, with the request unanswered (6.8).
    #[error("connection ended by the target: {0}")]
    GoneAway(Code),
    /// A frame is longer than [`MAX_FRAME_BYTES`] (4.2).
    #[error("frame of {0} bytes, more than {MAX_FRAME_BYTES}")]
    FrameTooLarge(u32),
    /// A frame has not the length of its kind (6).
    #[error("{0} frame of a wrong length")]
    FrameLength(&'static str),
    /// A frame on a stream that it must not be on, or that nobody opened (5.1.1, 6).
    #[error("{0} frame on a wrong stream")]
    Stream(&'static str),
    /// A frame on a stream that the target had ended (5.1).
    #[error("{0} frame on a stream that has ended")]
    StreamClosed(&'static str),
    /// The padding is longer than the frame (6.1, 6.2).
    #[error("padding longer than its frame")]
    Padding,
    /// Another frame within a block of headers, or `CONTINUATION` outside (6.10).
    #[error("{0} frame where it must not be")]
    Interleaved(&'static str),
    /// A push that we had ruled out (6.6, 8.4).
    #[error("push, which was ruled out")]
    Push,
    /// A setting with a value that it must not have (6.5.2).
    #[error("setting {id} with the invalid value {value}")]
    Setting { id: u16, value: u32 },
    /// A window is opened by 0 or beyond 2³¹ − 1 (6.9).
    #[error("window opened by nothing or too far")]
    Window,
    /// More data than the window allowed (6.9).
    #[error("more data than the window allowed")]
    FlowControl,
    /// A block of headers cannot be decoded (4.3).
    #[error("headers: {0}")]
    Hpack(#[from] hpack::Error),
    /// A block of headers is longer than [`MAX_HEAD_BYTES`].
    #[error("headers longer than {MAX_HEAD_BYTES} bytes")]
    HeadTooLarge,
    /// Frames that demand answers come faster than answers go (10.5).
    #[error("flood of frames that demand answers")]
    Flood,
    /// More than [`MAX_IDLE_FRAMES`] frames in a row that bring nothing (10.5).
    #[error("more than {MAX_IDLE_FRAMES} frames that bring nothing")]
    Idle,
}

impl Error {
    /// What the target is told.
    pub(super) fn code(self) -> Code {
        match self {
            Self::FrameTooLarge(_) | Self::FrameLength(_) => Code::FRAME_SIZE_ERROR,
            Self::StreamClosed(_) => Code::STREAM_CLOSED,
            Self::Window | Self::FlowControl => Code::FLOW_CONTROL_ERROR,
            Self::Setting { id: super::frame::INITIAL_WINDOW_SIZE, .. } => Code::FLOW_CONTROL_ERROR,
            Self::Hpack(hpack::Error::TooLarge) | Self::HeadTooLarge | Self::Flood | Self::Idle => {
                Code::ENHANCE_YOUR_CALM
            }
            Self::Hpack(_) => Code::COMPRESSION_ERROR,
            Self::GoneAway(_) => Code::NO_ERROR,
            _ => Code::PROTOCOL_ERROR,
        }
    }
}
