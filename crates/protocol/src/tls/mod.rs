//! TLS 1.2 and 1.3 around any protocol (RFC 5246, RFC 8446), by `rustls` without its buffers and without IO.
//!
//! A [`Client`] is made once of what the plan says, a [`Tls`] per thread and server, which is a [`crate::Protocol`] around
//! another one. A [`Probe`] asks a target what it speaks.
//!
//! Invariant: what the target sends, in slices of whatever size, ends in what the inner protocol makes of the plaintext
//! or in an [`Error`]; the end of a connection completes no response unless the target said, encrypted, that it is the
//! end. Deliberately absent: early data, which repeats requests; lists of revoked certificates; words of farewell to the
//! target, for which the closed socket stands; renegotiation, which is refused.
//!
//! A request with a small response allocates twice, both times inside `rustls`: the sealed record, which is copied into
//! the output, and the plaintext of the record that came. All other buffers are used again, and given back when they
//! are above 4 KiB. A kept connection with HTTP/1.1 inside takes 3.3 KiB by TLS 1.2 and 3.7 KiB by TLS 1.3 (`tests/tls`),
//! so that 10,000 take 37 MB; certificates, authorities and remembered sessions are shared.

mod error;
mod verify;
mod client;
mod channel;
mod session;
mod probe;

pub use client::{Client, Settings, SettingsError, Trust, Version};
pub use error::Error;
pub use probe::Probe;
pub use session::Tls;
