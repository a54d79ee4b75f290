//! Connections of one driver: how many, whose, and for how long.

use std::time::Duration;

use crate::diagnostic::{Faults, Wrong};
use crate::limits;
use crate::read::{self, Fields};
use crate::shapes;
use crate::tree::{Kind, Node};

/// Connections of an avalanche that names none.
const AVALANCHE: u32 = 64;
/// Connections that the other models hold ready, so that the first arrivals need not pay for a handshake each.
const START: u32 = 16;
/// Connections that the other models open at most: about what one address and the usual descriptor limits allow.
const MAX: u32 = 10_000;

/// Connections of one driver to all targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// Opened before the run starts; at most `max`, and 0 unless they are `per` pool.
    pub start: u32,
    /// Open at once, at most; at least 1. For an avalanche also how many there are.
    pub max: u32,
    /// Who has one.
    pub per: Per,
    /// Requests on one connection, at most; then it is closed, and another opened when it is needed.
    pub requests: Option<u64>,
    /// How long one is used, at most. What is in flight on it then still ends on it.
    pub lifetime: Option<Duration>,
    /// HTTP/2: streams at once on one connection, at most. `None`: what the target allows, up to 100; an avalanche then
    /// has one request at a time on each connection, else so many.
    pub streams: Option<u32>,
}

/// Who has a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// Everybody takes one that is free, and gives it back after each request. The default.
    Pool,
    /// Each user has one of its own, from its first request on. Closed and avalanche only.
    User,
    /// Each iteration opens one of its own, and closes it at its end.
    Iteration,
}

/// What the model of the load says about its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// As many users as connections.
    Avalanche,
    /// Users of their own number.
    Users,
    /// Arrivals, without users.
    Arrivals,
}

/// The value of `connections`: one number for both, or a map.
pub(crate) fn connections(faults: &mut Faults<'_>, fields: &Fields<'_>, of: Of) -> Option<Connections> {
    let pool = |start, max| Connections {
        start,
        max,
        per: Per::Pool,
        requests: None,
        lifetime: None,
        streams: None,
    };
    let Some(node) = fields.get(faults, "connections") else {
        return Some(if of == Of::Avalanche { pool(AVALANCHE, AVALANCHE) } else { pool(START, MAX) });
    };
    if !matches!(node.kind, Kind::Map(_)) {
        return number(faults, node).map(|both| pool(both, both));
    }
    let fields = Fields::of(faults, node, &shapes::CONNECTIONS, &[])?;
    let per = per(faults, &fields, of);
    let start = fields.get(faults, "start").map(|node| number(faults, node));
    let max = fields.get(faults, "max").map(|node| number(faults, node));
    let requests = fields
        .get(faults, "requests")
        .map(|node| read::count(faults, node, "the requests of a connection", limits::REQUESTS_PER_DRIVER));
    let lifetime = fields
        .get(faults, "lifetime")
        .map(|node| read::span(faults, node, "the lifetime of a connection", limits::RUN));
    let streams = fields
        .get(faults, "streams")
        .map(|node| read::count_u32(faults, node, "the streams of a connection", limits::STREAMS));
    let max = max.unwrap_or(Some(if of == Of::Avalanche { AVALANCHE } else { MAX }))?;
    let per = per?;
    let ready = match (per, of) {
        (Per::Pool, Of::Avalanche) => max,
        (Per::Pool, Of::Users | Of::Arrivals) => START.min(max),
        (Per::User | Per::Iteration, _) => 0,
    };
    let start = start.unwrap_or(Some(ready))?;
    if start > max {
        let message = format!("{start} connections at the start are more than {max} at most");
        faults.add_here(node.place, Wrong::new("out_of_order", message));
    }
    let optional = |count: Option<Option<u64>>| count.map_or(Some(None), |count| count.map(Some));
    Some(Connections {
        start,
        max,
        per,
        requests: optional(requests)?,
        lifetime: lifetime.map_or(Some(None), |lifetime| lifetime.map(Some))?,
        streams: streams.map_or(Some(None), |streams| streams.map(Some))?,
    })
}

fn number(faults: &mut Faults<'_>, node: &Node) -> Option<u32> {
    read::count_u32(faults, node, "the number of connections", limits::CONNECTIONS)
}

pub(crate) static KNOWN: [(&str, Per); 3] =
    [("pool", Per::Pool), ("user", Per::User), ("iteration", Per::Iteration)];

fn per(faults: &mut Faults<'_>, fields: &Fields<'_>, of: Of) -> Option<Per> {
    let Some(node) = fields.get(faults, "per") else {
        return Some(Per::Pool);
    };
    let per = read::choice(faults, node, "per", &KNOWN)?;
    if per == Per::User && of == Of::Arrivals {
        let wrong = Wrong::new("not_for_this_model", "arrivals have no users that could have connections");
        return read::fault(faults, node, wrong.help("open and tsunami know pool and iteration"));
    }
    if let (Per::User | Per::Iteration, Some(entry)) = (per, fields.entry("start")) {
        let wrong = Wrong::new("not_together", "only a pool has connections before somebody needs them");
        faults.add(entry.place, &entry.key, wrong.help("leave it out"));
    }
    Some(per)
}
