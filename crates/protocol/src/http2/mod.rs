//! The client side of HTTP/2 (RFC 9113), many requests at once on a connection.
//!
//! A request is validated and rendered once, as frames in which only the stream is missing ([`render`]). [`Http2`] makes a
//! session per connection. Streams are found by their number modulo the size of a table, so that a request costs a copy of
//! its bytes, two frames read, and, in steady state, the comparison of the response's headers with those that came before.
//!
//! Invariant: how the bytes were cut into slices never changes the result. A connection holds at most [`MAX_HEAD_BYTES`] of a
//! block of headers, one frame of [`MAX_FRAME_BYTES`], 16 KiB of answers, as much of its requests' bodies as the target's
//! windows let go, and what the caller asks to keep of the responses. In steady state nothing is allocated, and no body that came is copied. One faulty
//! response fails alone; what breaks a connection is told to the target by `GOAWAY`, which stays in the output.
//!
//! Deliberately absent: pushes, which are ruled out, priorities, which are deprecated, and a table of the request's headers
//! on the target's side (`docs/decisions/0004-http2.md`).

mod error;
mod render;
mod session;
mod receive;
mod streams;
mod kept;
mod outbox;
mod head;
mod frame;
mod hpack;

pub use crate::MAX_HEAD_BYTES;
pub use error::{Code, Error};
pub use hpack::Error as HpackError;
pub use render::render;
pub use session::Http2;

/// Bytes of a frame's payload: what is allowed unless it is said otherwise (RFC 9113, 4.2), which nobody here does.
pub const MAX_FRAME_BYTES: usize = 16_384;

/// Streams at once on a connection; more would be a table of megabytes for each.
pub const MAX_STREAMS: u32 = 16_384;

/// Bytes that a target may send ahead on a stream unless the plan has it otherwise: far more than is on its way on any
/// network, so that the target alone decides the speed.
pub const DEFAULT_WINDOW_BYTES: u32 = 16 << 20;

/// Frames in a row that bring nothing: empty `DATA`, `PRIORITY`, unknown ones, those of streams that are over.
pub const MAX_IDLE_FRAMES: u32 = 10_000;

/// The largest window (RFC 9113, 6.9.1), and the highest stream (5.1.1).
const MAX_31_BITS: u32 = 0x7fff_ffff;

/// A buffer above this is given back after use, so that ten thousand connections do not each keep the largest.
const KEPT_CAPACITY: usize = 4096;
