//! TLS against a server in memory (`rustls`), certificates made on the spot (`rcgen`).

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod peer;
mod records;
mod trust;
mod handshakes;
mod faults;
mod cost;
