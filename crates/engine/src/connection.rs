//! One connection and what is under way on it.

use std::os::fd::OwnedFd;

use protocol::http1::Exchange;

use crate::flight::Flight;

/// What no deadline is.
pub(crate) const NEVER: u64 = u64::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// No socket.
    Vacant,
    Connecting,
    /// Free for a request.
    Idle,
    /// A request is out.
    Busy,
    /// Its response was the last one; the target is to close first, so that the port is not held by us.
    Ending,
}

/// A place for a connection, used again for others.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) state: State,
    pub(crate) socket: Option<OwnedFd>,
    pub(crate) exchange: Exchange,
    pub(crate) flight: Option<Flight>,
    /// When it is given up, by the wheel; [`NEVER`] while idle.
    pub(crate) deadline_ns: u64,
    /// Since when it is idle, or connecting.
    pub(crate) since_ns: u64,
    /// Of the present exchange.
    pub(crate) bytes_in: u64,
    /// Bytes of the request that the socket did not take yet.
    pub(crate) unsent: usize,
    /// Whether the socket was full before the request was sent in full.
    pub(crate) is_sending: bool,
    /// Distinguishes the connections that had this place; part of an event's token.
    pub(crate) generation: u32,
    /// Its place among the idle ones of its pool.
    pub(crate) idle_place: u32,
    pub(crate) pool: u16,
    /// Which address of the pool it is to.
    pub(crate) address: u16,
    /// Whether a request was answered on it.
    pub(crate) is_used: bool,
}

impl Connection {
    pub(crate) fn vacant() -> Self {
        Self {
            state: State::Vacant,
            socket: None,
            exchange: Exchange::new(),
            flight: None,
            deadline_ns: NEVER,
            since_ns: 0,
            bytes_in: 0,
            unsent: 0,
            is_sending: false,
            generation: 0,
            idle_place: 0,
            pool: 0,
            address: 0,
            is_used: false,
        }
    }
}
