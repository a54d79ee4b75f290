//! What is said to a target, as state machines without IO.
//!
//! Invariant: nothing here reads a socket or a clock, waits, or trusts a byte that a target sent. The caller moves the
//! bytes and takes the times; this crate says what to send next and what came back. Deliberately absent: cookies,
//! redirects, decompression, TLS and HTTP/2.

pub mod http1;
