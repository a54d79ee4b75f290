//! What browsers and scripts reach: the REST interface, the live stream, and the dashboard, over one listener.
//!
//! ```text
//! request ─► access ─► route ─► Control (runs now) or store::Reader (runs before) ─► json ─► answer
//!                                  │
//!                                  └► live: each second encoded once, the bytes shared by all viewers
//! ```
//!
//! Invariants: a view is a copy, so nobody waits for a viewer; every failure is an RFC 9457 problem document; every body,
//! queue and history has a bound. Deliberately absent: any decision about a run (`cluster`), any percentile that does
//! not come from `metrics`, and TLS: whoever binds beyond loopback puts a proxy in front.

mod server;
mod routes;
mod state;
mod access;
mod tokens;
mod problem;
mod intake;
mod commands;
mod runs;
mod live;
mod json;
mod figures;
mod row;
mod fleet;
mod storage;
mod health;
mod prometheus;
mod scraped;
mod assets;
mod time;
mod control;
mod summary;

pub use control::{Control, Refused};
pub use figures::figures;
pub use scraped::{Collected, Scraped, serve_metrics};
pub use server::{Error, Server, Settings, serve};
pub use summary::summary;
pub use tokens::NewTokens;
