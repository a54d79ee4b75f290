//! Load models: what the plan says about when to send.

use std::time::Duration;

use crate::connections::{Connections, Of, connections};
use crate::diagnostic::{Faults, Wrong};
use crate::limits;
use crate::quantity::{Rate, parse_span, show_span};
use crate::read::{self, Fields};
use crate::schedule::Schedule;
use crate::shapes;
use crate::stages::{Stage, stages};
use crate::tree::{Entry, Node};

/// The load of a run: exactly one model.
#[derive(Debug, Clone, PartialEq)]
pub enum Load {
    /// Every request as soon as a connection is free. Per driver.
    Avalanche {
        /// Requests of each driver.
        requests_per_driver: u64,
        /// Connections of each driver, and so its users.
        connections: Connections,
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
        /// How they lie in time.
        arrivals: Process,
        /// One after the other; at least one. Levels are iterations per second.
        stages: Vec<Stage<Rate>>,
        /// Connections of each driver.
        connections: Connections,
        /// Iterations of each driver under way or waiting for a connection, at most.
        max_in_flight: Option<u32>,
        /// How long an iteration may wait for a connection; default: its first step's timeout.
        max_wait: Option<Duration>,
    },
    /// Users, each of which walks one scenario after the other. For the whole fleet.
    Closed {
        /// One after the other; at least one. Levels are users. With `iterations` there is one, of a level that stays,
        /// and as long as a run can be.
        stages: Vec<Stage<u32>>,
        /// Waited by a user between two iterations.
        think_time: Option<ThinkTime>,
        /// An iteration of a user is intended this long after the one before was, at the earliest.
        pacing: Option<Duration>,
        /// The run is over after so many, of all users together.
        iterations: Option<u64>,
        /// Connections of each driver.
        connections: Connections,
        /// How long a request may wait for a connection; default: its step's timeout.
        max_wait: Option<Duration>,
    },
}

/// How arrivals lie in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// Equally spaced: arrival *k* is where the integral of the rate reaches *k*.
    Uniform,
    /// A Poisson process: independent of each other, as those of many users who do not know each other are.
    Poisson,
}

/// How long a user waits between two iterations: uniformly distributed, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThinkTime {
    /// At least; may be zero.
    pub least: Duration,
    /// At most; more than zero.
    pub most: Duration,
}

impl Load {
    /// The name of its stage `number`, as the plan says; `None` in a model without stages.
    pub(crate) fn stage_name(&self, number: usize) -> Option<String> {
        match self {
            Self::Open { stages, .. } => stages.get(number).map(|stage| stage.name.clone()),
            Self::Closed { stages, .. } => stages.get(number).map(|stage| stage.name.clone()),
            Self::Avalanche { .. } | Self::Tsunami { .. } => None,
        }
    }
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

pub(crate) static PROCESSES: [(&str, Process); 2] =
    [("uniform", Process::Uniform), ("poisson", Process::Poisson)];

/// Whether `node` is a load that no other driver can take over, whatever else is wrong with it: one per driver, or one
/// of whose users nobody knows how many iterations are left.
pub(crate) fn stays_with_its_driver(node: &Node) -> bool {
    let is_per_driver = |entry: &Entry| matches!(entry.value.text(), "avalanche" | "tsunami");
    node.entry("model").is_some_and(is_per_driver) || node.entry("iterations").is_some()
}

/// Whether `node` is a load with users, or may be meant to be one.
pub(crate) fn may_have_users(node: &Node) -> bool {
    node.entry("model").is_none_or(|entry| !matches!(entry.value.text(), "avalanche" | "tsunami" | "open"))
}

/// The load that `node` describes.
pub(crate) fn load(faults: &mut Faults<'_>, node: &Node) -> Option<Load> {
    let entries = read::map(faults, node, "the load")?;
    let Some(entry) = entries.iter().find(|entry| entry.key == "model") else {
        let wrong = Wrong::new("missing", "the load needs \"model\"");
        faults.add_here(node.place, wrong.help("known here: avalanche, tsunami, open, closed"));
        return None;
    };
    match read::choice(faults, &entry.value, "the model", &MODELS)? {
        Model::Avalanche => avalanche(faults, node),
        Model::Tsunami => tsunami(faults, node),
        Model::Open => open(faults, node),
        Model::Closed => closed(faults, node),
    }
}

fn avalanche(faults: &mut Faults<'_>, node: &Node) -> Option<Load> {
    let fields = Fields::of(faults, node, &shapes::AVALANCHE, &[])?;
    let requests_per_driver = requests(faults, &fields);
    let limit = limit(faults, &fields);
    let connections = connections(faults, &fields, Of::Avalanche);
    Some(Load::Avalanche { requests_per_driver: requests_per_driver?, connections: connections?, limit })
}

fn tsunami(faults: &mut Faults<'_>, node: &Node) -> Option<Load> {
    let fields = Fields::of(faults, node, &shapes::TSUNAMI, &[])?;
    let requests_per_driver = requests(faults, &fields);
    let delay =
        fields.required(faults, "delay").and_then(|node| read::span(faults, node, "the delay", limits::WAIT));
    let limit = limit(faults, &fields);
    let connections = connections(faults, &fields, Of::Arrivals);
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
    let fields = Fields::of(faults, node, &shapes::OPEN, &[])?;
    let arrivals = match fields.get(faults, "arrivals") {
        Some(node) => read::choice(faults, node, "arrivals", &PROCESSES),
        None => Some(Process::Uniform),
    };
    let stages = fields.required(faults, "stages").and_then(|node| stages(faults, node));
    let connections = connections(faults, &fields, Of::Arrivals);
    let max_in_flight = fields
        .get(faults, "max_in_flight")
        .and_then(|node| read::count_u32(faults, node, "max_in_flight", limits::IN_FLIGHT));
    let max_wait = wait(faults, &fields, "max_wait");
    Some(Load::Open {
        arrivals: arrivals?,
        stages: stages?,
        connections: connections?,
        max_in_flight,
        max_wait,
    })
}

fn closed(faults: &mut Faults<'_>, node: &Node) -> Option<Load> {
    let fields = Fields::of(faults, node, &shapes::CLOSED, &[])?;
    let population = population(faults, &fields);
    let think_time = fields.get(faults, "think_time").map(|node| think_time(faults, node));
    let pacing = wait(faults, &fields, "pacing");
    let connections = connections(faults, &fields, Of::Users);
    let max_wait = wait(faults, &fields, "max_wait");
    let (stages, iterations) = population?;
    Some(Load::Closed {
        stages,
        think_time: think_time.map_or(Some(None), |think_time| think_time.map(Some))?,
        pacing,
        iterations,
        connections: connections?,
        max_wait,
    })
}

/// `stages`, or `users` and `iterations`: users that come and go cannot divide a number of iterations.
fn population(faults: &mut Faults<'_>, fields: &Fields<'_>) -> Option<(Vec<Stage<u32>>, Option<u64>)> {
    if !fields.has("users") && !fields.has("iterations") {
        let node = fields.required(faults, "stages")?;
        return stages(faults, node).map(|stages| (stages, None));
    }
    let users = fields
        .required(faults, "users")
        .and_then(|node| read::count_u32(faults, node, "the number of users", limits::USERS));
    let iterations = fields
        .required(faults, "iterations")
        .and_then(|node| read::count(faults, node, "the number of iterations", limits::REQUESTS_PER_DRIVER));
    if let Some(entry) = fields.entry("stages") {
        let wrong = Wrong::new("not_together", "a closed load has stages, or users and iterations");
        faults.add(
            entry.place,
            &entry.key,
            wrong.help("a stage says its users and how long: { users: 50, for: 30s }"),
        );
        return None;
    }
    let (from, iterations) = (users?, iterations?);
    let stage = Stage { name: "closed".to_owned(), from, to: from, duration: limits::RUN, warmup: false };
    Some((vec![stage], Some(iterations)))
}

/// One span of time, or two with `..` between them.
fn think_time(faults: &mut Faults<'_>, node: &Node) -> Option<ThinkTime> {
    let text = read::text(faults, node, "the think time")?;
    let span = |text| parse_span(text, "the think time", limits::WAIT);
    let range = match text.split_once("..") {
        None => span(text).map(|both| (both, both)),
        Some((least, most)) => {
            let least = match span(least) {
                Err(wrong) if wrong.code == "zero" => Ok(Duration::ZERO),
                least => least,
            };
            least.and_then(|least| Ok((least, span(most)?)))
        }
    };
    let (least, most) = read::checked(faults, node, range)?;
    if least > most {
        let message = "the think time begins with its longer end".to_owned();
        let help = format!("write {}..{}", show_span(most), show_span(least));
        return read::fault(faults, node, Wrong::new("out_of_order", message).help(help));
    }
    Some(ThinkTime { least, most })
}

/// The entry of `streams` in the load's connections, whatever else is wrong with them.
pub(crate) fn streams(node: &Node) -> Option<&Entry> {
    node.entry("connections")?.value.entry("streams")
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
