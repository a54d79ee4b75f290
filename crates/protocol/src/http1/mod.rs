//! The client side of HTTP/1.1 (RFC 9110 and 9112), one exchange at a time.
//!
//! A request is validated and rendered once ([`render`]). An [`Exchange`] belongs to a connection and is used again for each
//! request on it: it is fed what arrives in slices of any size, and ends in a response or an [`Error`]. [`Http1`] is the
//! same for the loops.
//!
//! Invariant: how the bytes were cut into slices never changes the result. Memory per exchange is bounded by
//! [`MAX_HEAD_BYTES`] plus what the caller asks to keep of the body. In steady state nothing is allocated, and a response
//! that arrives in one slice is not copied, except that a short head is remembered when it differs from the one before.
//! A familiar head takes about 20 ns, another one 150 ns (`examples/response_cost.rs`).

mod render;
mod session;
mod exchange;
mod head;
mod chunked;

pub use exchange::{Exchange, Progress};
pub(crate) use head::Partial;
pub use render::render;
pub(crate) use render::render_for_proxy;
pub use session::Http1;

/// Bytes of a response head, and of the trailers of a chunked body. As much as browsers take; more is an attack.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Headers of a response, and lines of its trailers.
pub const MAX_HEADERS: usize = 128;

/// Bytes of chunk extensions in one response. Nobody uses them; without a limit they could be endless.
pub const MAX_EXTENSION_BYTES: usize = 16 * 1024;

/// Why what came from the target is not a response.
///
/// [`Unanswered`](Error::Unanswered) and [`Truncated`](Error::Truncated) come from [`Exchange::eof`] alone and mean that
/// the connection ended early; everything else means that the target does not speak HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The connection ended before the first byte of the response.
    #[error("connection closed before the response")]
    Unanswered,
    /// The connection ended in the middle of the response.
    #[error("connection closed in the middle of the response")]
    Truncated,
    /// The status line or a header is malformed.
    #[error("malformed response head: {0}")]
    Head(httparse::Error),
    /// The head is longer than [`MAX_HEAD_BYTES`].
    #[error("response head longer than {MAX_HEAD_BYTES} bytes")]
    HeadTooLarge,
    /// There are more than [`MAX_HEADERS`] headers.
    #[error("more than {MAX_HEADERS} response headers")]
    TooManyHeaders,
    /// The status is below 100.
    #[error("invalid status {0}")]
    Status(u16),
    /// `Content-Length` is not a number, does not fit 64 bits, or contradicts another one.
    #[error("invalid or contradicting Content-Length")]
    ContentLength,
    /// `Transfer-Encoding` names `chunked` more than once.
    #[error("invalid Transfer-Encoding")]
    TransferEncoding,
    /// A chunk's size, extension or end is malformed.
    #[error("malformed chunk")]
    Chunk,
    /// The chunk extensions are longer than [`MAX_EXTENSION_BYTES`].
    #[error("chunk extensions longer than {MAX_EXTENSION_BYTES} bytes")]
    ExtensionTooLarge,
    /// The trailers are malformed, longer than [`MAX_HEAD_BYTES`], or more than [`MAX_HEADERS`].
    #[error("malformed or oversized trailers")]
    Trailers,
    /// Bytes came that no request asked for.
    #[error("bytes that no request asked for")]
    Unsolicited,
}
