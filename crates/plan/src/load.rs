//! Load models: what the plan says about when to send.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::diagnostic::{Faults, Wrong};
use crate::limits;
use crate::quantity::{Rate, show_span};
use crate::read::{self, Fields, Unsupported};
use crate::schedule::Schedule;
use crate::tree::{Kind, Node};

/// Connections of an avalanche that names none.
pub const AVALANCHE_CONNECTIONS: u32 = 64;
/// Connections that the open models hold ready, so that the first arrivals need not pay for a handshake each.
const START_CONNECTIONS: u32 = 16;
/// Connections that the open models open at most: about what one address and the usual descriptor limits allow.
const MAX_CONNECTIONS: u32 = 10_000;

/// Keys of the closed model and of ramps, which come later.
const NOT_YET: [Unsupported; 3] = [
    ("think_time", "unsupported_think_time", "think time"),
    ("pacing", "unsupported_pacing", "pacing"),
    ("users", "unsupported_closed", "a number of users"),
];
const RAMPS: [Unsupported; 4] = [
    ("from", "unsupported_ramp", "a ramp with \"from\""),
    ("to", "unsupported_ramp", "a ramp with \"to\""),
    ("over", "unsupported_ramp", "a ramp with \"over\""),
    ("users", "unsupported_closed", "a number of users"),
];

/// The load of a run: exactly one model.
#[derive(Debug, Clone, PartialEq)]
pub enum Load {
    /// Every request as soon as a connection is free. Per driver.
    Avalanche {
        /// Requests of each driver.
        requests_per_driver: u64,
        /// Connections of each driver.
        connections: u32,
        /// At most so many requests leave each driver per second.
        limit: Option<Rate>,
    },
    /// Request *i* of a driver is intended at *i* × delay, whatever the target does. Per driver.
    Tsunami {
        /// Requests of each driver.
        requests_per_driver: u64,
        /// Time between two requests of a driver; more than zero.
        delay: Duration,
        /// Intended times are at least 1/limit apart.
        limit: Option<Rate>,
        /// Connections of each driver.
        connections: Connections,
        /// How long a request may wait for a connection; default: its step's timeout.
        max_wait: Option<Duration>,
    },
    /// Iterations by schedule, whatever the target does. For the whole fleet.
    Open {
        /// One after the other; at least one.
        stages: Vec<Stage>,
        /// Connections of each driver.
        connections: Connections,
        /// Iterations of each driver under way or waiting for a connection, at most.
        max_in_flight: Option<u32>,
        /// How long an iteration may wait for a connection; default: its first step's timeout.
        max_wait: Option<Duration>,
    },
}

/// Connections of one driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// Opened before the run starts; at most `max`.
    pub start: u32,
    /// Opened at most; at least 1.
    pub max: u32,
}

/// A part of an open load with a constant rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// As the plan says, or `stage N` from 1; unique in the plan.
    pub name: String,
    /// Iterations per second of the whole fleet.
    pub rate: Rate,
    /// How long; more than zero.
    pub duration: Duration,
    /// Shown, but left out of the summary.
    pub warmup: bool,
}

#[derive(Clone, Copy)]
enum Model {
    Avalanche,
    Tsunami,
    Open,
    Closed,
}

const MODELS: [(&str, Model); 4] = [
    ("avalanche", Model::Avalanche),
    ("tsunami", Model::Tsunami),
    ("open", Model::Open),
    ("closed", Model::Closed),
];

/// Whether `node` names a model per driver, whatever else is wrong with it.
pub(crate) fn is_per_driver(node: &Node) -> bool {
    let Kind::Map(entries) = &node.kind else { return false };
    let model = entries.iter().find(|entry| entry.key == "model");
    model.is_some_and(|entry| matches!(entry.value.text(), "avalanche" | "tsunami"))
}

/// The load that `node` describes.
pub(crate) fn load(faults: &mut Faults<'_>, node: &Node) -> Option<Load> {
    let entries = read::map(faults, node, "the load")?;
    let Some(entry) = entries.iter().find(|entry| entry.key == "model") else {
        let wrong = Wrong::new("missing", "the load needs \"model\"");
        faults.add_here(node.place, wrong.help("known here: avalanche, tsunami, open"));
        return None;
    };
    match read::choice(faults, &entry.value, "the model", &MODELS)? {
        Model::Avalanche => avalanche(faults, node),
        Model::Tsunami => tsunami(faults, node),
        Model::Open => open(faults, node),
        Model::Closed => read::fault(
            faults,
            &entry.value,
            Wrong::unsupported("unsupported_closed", "the closed model")
                .help("known here: avalanche, tsunami, open"),
        ),
    }
}

fn avalanche(faults: &mut Faults<'_>, node: &Node) -> Option<Load> {
    const KEYS: [&str; 4] = ["model", "requests_per_driver", "connections", "target_throughput_per_driver"];
    let fields = Fields::of(faults, node, "an avalanche", &KEYS, &NOT_YET)?;
    let requests_per_driver = requests(faults, &fields);
    let limit = limit(faults, &fields);
    let connections = match fields.get(faults, "connections") {
        Some(node) => read::count_u32(faults, node, "the number of connections", limits::CONNECTIONS),
        None => Some(AVALANCHE_CONNECTIONS),
    };
    Some(Load::Avalanche { requests_per_driver: requests_per_driver?, connections: connections?, limit })
}

fn tsunami(faults: &mut Faults<'_>, node: &Node) -> Option<Load> {
    const KEYS: [&str; 6] =
        ["model", "requests_per_driver", "delay", "target_throughput_per_driver", "connections", "max_wait"];
    let fields = Fields::of(faults, node, "a tsunami", &KEYS, &NOT_YET)?;
    let requests_per_driver = requests(faults, &fields);
    let delay =
        fields.required(faults, "delay").and_then(|node| read::span(faults, node, "the delay", limits::WAIT));
    let limit = limit(faults, &fields);
    let connections = connections(faults, &fields);
    let max_wait = wait(faults, &fields, "max_wait");
    let (requests_per_driver, delay) = (requests_per_driver?, delay?);
    if let Err(wrong) = check_length(requests_per_driver, delay, limit) {
        faults.add_here(fields.place(), wrong);
    }
    Some(Load::Tsunami { requests_per_driver, delay, limit, connections: connections?, max_wait })
}

/// Whether a tsunami ends within the longest run.
pub(crate) fn check_length(requests: u64, delay: Duration, limit: Option<Rate>) -> Result<(), Wrong> {
    let length = Duration::from_nanos(Schedule::tsunami(requests, delay, limit).end_ns());
    if length > limits::RUN {
        let days = length.as_secs() / 86_400;
        let message = format!(
            "{requests} requests that far apart take {days} days, more than {}",
            show_span(limits::RUN)
        );
        return Err(Wrong::new("absurd", message));
    }
    Ok(())
}

fn open(faults: &mut Faults<'_>, node: &Node) -> Option<Load> {
    const KEYS: [&str; 6] = ["model", "arrivals", "stages", "connections", "max_in_flight", "max_wait"];
    let fields = Fields::of(faults, node, "an open load", &KEYS, &NOT_YET)?;
    if let Some(node) = fields.get(faults, "arrivals")
        && read::choice(faults, node, "arrivals", &[("uniform", true), ("poisson", false)]) == Some(false)
    {
        faults.add(node.place, node.text(), Wrong::unsupported("unsupported_poisson", "a Poisson process"));
    }
    let stages = fields.required(faults, "stages").and_then(|node| stages(faults, node));
    let connections = connections(faults, &fields);
    let max_in_flight = fields
        .get(faults, "max_in_flight")
        .and_then(|node| read::count_u32(faults, node, "max_in_flight", limits::IN_FLIGHT));
    let max_wait = wait(faults, &fields, "max_wait");
    Some(Load::Open { stages: stages?, connections: connections?, max_in_flight, max_wait })
}

fn stages(faults: &mut Faults<'_>, node: &Node) -> Option<Vec<Stage>> {
    let nodes = read::list(faults, node, "stages")?;
    if nodes.is_empty() {
        return read::fault(faults, node, Wrong::new("missing", "an open load has at least one stage"));
    }
    if nodes.len() > limits::STAGES {
        let message = format!("an open load has at most {} stages", limits::STAGES);
        return read::fault(faults, node, Wrong::new("absurd", message));
    }
    let mut names = BTreeSet::new();
    let read: Vec<Option<Stage>> = nodes
        .iter()
        .zip(1..)
        .map(|(node, number)| {
            let stage = stage(faults, node, number)?;
            if !names.insert(stage.name.clone()) {
                let wrong = Wrong::new("duplicate_name", format!("two stages are named \"{}\"", stage.name));
                faults.add_here(node.place, wrong);
            }
            Some(stage)
        })
        .collect();
    let stages: Vec<Stage> = read.into_iter().collect::<Option<_>>()?;
    let length: Duration = stages.iter().map(|stage| stage.duration).sum();
    if length > limits::RUN {
        let message = format!("the stages take longer than {}", show_span(limits::RUN));
        faults.add_here(node.place, Wrong::new("absurd", message));
    }
    if stages.iter().all(|stage| stage.warmup) {
        let wrong = Wrong::new("only_warmup", "every stage is a warm-up, so nothing would be in the summary");
        faults.add_here(node.place, wrong);
    }
    Some(stages)
}

fn stage(faults: &mut Faults<'_>, node: &Node, number: usize) -> Option<Stage> {
    let fields = Fields::of(faults, node, "a stage", &["name", "at", "for", "warmup"], &RAMPS)?;
    let name = match fields.get(faults, "name") {
        Some(node) => read::name(faults, node, "the stage's name"),
        None => Some(format!("stage {number}")),
    };
    // A ramp was reported as such; that it has no constant rate is then no news.
    if RAMPS.iter().any(|(key, ..)| fields.has(key)) {
        return None;
    }
    let rate = fields.required(faults, "at").and_then(|node| read::rate(faults, node, "the stage's rate"));
    let duration = fields
        .required(faults, "for")
        .and_then(|node| read::span(faults, node, "the stage's length", limits::RUN));
    let warmup = match fields.get(faults, "warmup") {
        Some(node) => read::boolean(faults, node, "warmup"),
        None => Some(false),
    };
    Some(Stage { name: name?, rate: rate?, duration: duration?, warmup: warmup? })
}

fn requests(faults: &mut Faults<'_>, fields: &Fields<'_>) -> Option<u64> {
    let node = fields.required(faults, "requests_per_driver")?;
    read::count(faults, node, "the number of requests", limits::REQUESTS_PER_DRIVER)
}

fn limit(faults: &mut Faults<'_>, fields: &Fields<'_>) -> Option<Rate> {
    let node = fields.get(faults, "target_throughput_per_driver")?;
    read::rate(faults, node, "the target throughput")
}

fn wait(faults: &mut Faults<'_>, fields: &Fields<'_>, key: &str) -> Option<Duration> {
    let node = fields.get(faults, key)?;
    read::span(faults, node, key, limits::WAIT)
}

/// `{ start, max }`, or one number for both.
fn connections(faults: &mut Faults<'_>, fields: &Fields<'_>) -> Option<Connections> {
    let Some(node) = fields.get(faults, "connections") else {
        return Some(Connections { start: START_CONNECTIONS, max: MAX_CONNECTIONS });
    };
    if !matches!(node.kind, Kind::Map(_)) {
        let both = read::count_u32(faults, node, "the number of connections", limits::CONNECTIONS)?;
        return Some(Connections { start: both, max: both });
    }
    let fields = Fields::of(faults, node, "connections", &["start", "max"], &[])?;
    let mut number = |key| {
        let node = fields.get(faults, key)?;
        Some(read::count_u32(faults, node, "the number of connections", limits::CONNECTIONS))
    };
    let (start, max) = (number("start"), number("max"));
    let max = max.unwrap_or(Some(MAX_CONNECTIONS))?;
    let start = start.unwrap_or(Some(START_CONNECTIONS.min(max)))?;
    if start > max {
        let wrong = Wrong::new(
            "out_of_order",
            format!("{start} connections at the start are more than {max} at most"),
        );
        faults.add_here(node.place, wrong);
    }
    Some(Connections { start, max })
}
