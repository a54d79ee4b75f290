//! What is said to a target, as state machines without IO: no socket, no clock, no thread.
//!
//! A protocol is one module behind the two traits of [`session`]: [`http1`] and [`http2`], with proxies in between,
//! and [`tls`] around any other.
//!
//! Beside them stands what follows from responses ([`redirect`], [`cookies`], [`decode`]), and what signs requests ([`aws`]).
//!
//! Deliberately absent: connections, retries and timeouts, which belong to the engine.

mod request;
mod session;
mod headers;
pub mod http1;
pub mod http2;
pub mod tls;
pub mod proxy;
pub mod redirect;
pub mod cookies;
pub mod decode;
pub mod aws;

pub use headers::{Headers, header_values, headers};
pub use request::{MAX_HEAD_BYTES, Parts, Request, RequestError};
pub use session::{Begun, Heard, Kept, Protocol, Response, Session, Tag, Want};

/// Why a request has no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The connection ended before the first byte of the response.
    #[error("connection closed before the response")]
    Unanswered,
    /// The connection ended in the middle of the response.
    #[error("connection closed in the middle of the response")]
    Truncated,
    /// The proxy does not lead on; its status.
    #[error("the proxy refused the tunnel with status {0}")]
    Tunnel(u16),
    /// What came is not HTTP/1.1.
    #[error("not HTTP/1.1: {0}")]
    Http1(http1::Error),
    /// What came is not HTTP/2, or says that the request failed.
    #[error("HTTP/2: {0}")]
    Http2(#[from] http2::Error),
    /// No connection could be agreed upon, or what protects it was violated.
    #[error("TLS: {0}")]
    Tls(#[from] tls::Error),
}

impl From<http1::Error> for Error {
    fn from(error: http1::Error) -> Self {
        match error {
            http1::Error::Unanswered => Self::Unanswered,
            http1::Error::Truncated => Self::Truncated,
            other => Self::Http1(other),
        }
    }
}
