//! What the client makes of an HTTP/2 server: tables of what a server says, each fed whole, split at every byte, byte by
//! byte and cut off at every byte; both directions of flow control; floods; garbage, which must never panic; and a server of
//! other make.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod wire;
mod responses;
mod requests;
mod connection;
mod garbage;
mod peer;
