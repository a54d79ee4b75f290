//! Frames and settings as bytes (RFC 9113, 4.1, 6 and 11).

use super::Error;
use super::error::Code;

/// Bytes before each payload.
pub(super) const HEADER_BYTES: usize = 9;

/// What a client says first (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const HAS_PRIORITY: u8 = 0x20;

pub(super) const HEADER_TABLE_SIZE: u16 = 1;
pub(super) const ENABLE_PUSH: u16 = 2;
pub(super) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(super) const MAX_FRAME_SIZE: u16 = 5;
pub(super) const MAX_HEADER_LIST_SIZE: u16 = 6;

/// The first 9 bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bytes of the payload.
    pub length: u32,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl Frame {
    #[inline]
    pub(super) fn read(bytes: &[u8; HEADER_BYTES]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = *bytes;
        let length = u32::from_be_bytes([0, a, b, c]);
        // The highest bit of the stream is reserved, and ignored.
        Self { length, kind, flags, stream: u32::from_be_bytes(stream) & 0x7fff_ffff }
    }

    #[inline]
    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn name(self) -> &'static str {
        const NAMES: [&str; 10] = [
            "DATA",
            "HEADERS",
            "PRIORITY",
            "RST_STREAM",
            "SETTINGS",
            "PUSH_PROMISE",
            "PING",
            "GOAWAY",
            "WINDOW_UPDATE",
            "CONTINUATION",
        ];
        NAMES.get(usize::from(self.kind)).copied().unwrap_or("unknown")
    }

    /// Appends the frame without its payload.
    pub(super) fn write(self, bytes: &mut Vec<u8>) {
        let [_, a, b, c] = self.length.to_be_bytes();
        let [d, e, f, g] = self.stream.to_be_bytes();
        bytes.extend_from_slice(&[a, b, c, self.kind, self.flags, d, e, f, g]);
    }
}

/// A whole frame of four bytes: `RST_STREAM` or `WINDOW_UPDATE`.
pub(super) fn write_u32(bytes: &mut Vec<u8>, kind: u8, stream: u32, value: u32) {
    Frame { length: 4, kind, flags: 0, stream }.write(bytes);
    bytes.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn write_settings(bytes: &mut Vec<u8>, settings: &[(u16, u32)]) {
    let payload: Vec<u8> = settings
        .iter()
        .flat_map(|(id, value)| id.to_be_bytes().into_iter().chain(value.to_be_bytes()))
        .collect();
    let length = u32::try_from(payload.len()).expect("settings are few");
    Frame { length, kind: SETTINGS, flags: 0, stream: 0 }.write(bytes);
    bytes.extend_from_slice(&payload);
}

/// No stream of the target's was taken: it was allowed to open none.
pub(super) fn write_goaway(bytes: &mut Vec<u8>, code: Code) {
    Frame { length: 8, kind: GOAWAY, flags: 0, stream: 0 }.write(bytes);
    bytes.extend_from_slice(&0_u32.to_be_bytes());
    bytes.extend_from_slice(&code.0.to_be_bytes());
}

/// The number at the start of `payload`, whose length has been checked.
pub(super) fn read_u32(payload: &[u8], frame: Frame) -> Result<u32, Error> {
    let bytes = payload.first_chunk().ok_or(Error::FrameLength(frame.name()))?;
    Ok(u32::from_be_bytes(*bytes))
}
