//! `swell driver`: joins the fleet, waits for work, survives runs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;

use cluster::driver::{self, Settings};
use cluster::files::Shelf;
use cluster::runtime::driver::{Keeping, Load, run as run_driver, subscriptions};
use cluster::runtime::events::{Outlet, Scribe, Spill};
use cluster::runtime::files::{Connector, FileSource};
use engine::{Allow, Io, Secrets};
use transport::{Connect, Uuid};

use super::{kafka, secrets};
use crate::arguments::{Driver, Generator};
use crate::exit::{Ended, Exit};
use crate::output::{self, Terminal};
use crate::signals::Interrupts;

/// Characters of the random part of a default name.
const RANDOM_PART: usize = 4;

pub fn run(arguments: &Driver, terminal: Terminal) -> anyhow::Result<Exit> {
    let interrupts = Interrupts::listen()?;
    let labels = labels(&arguments.labels)?;
    let mut allow = allow(&arguments.generator)?;
    let secrets = secrets::known(&arguments.generator.secrets, terminal)?;
    let cores = cores();
    let threads = arguments.generator.threads.map_or(cores, usize::from);
    let node_id = arguments.node_id.clone().unwrap_or_else(default_name);
    let cluster = kafka::require(&arguments.kafka, "driver")?;
    kafka::addresses(&arguments.kafka).into_iter().for_each(|address| allow.refuse(address));
    let transport = cluster
        .node(Connect { node: node_id.clone(), subscriptions: subscriptions() })
        .map_err(|error| Ended::because(Exit::Preflight, format!("{:#}", anyhow::Error::new(error))))?;
    if !terminal.quiet {
        output::tell(&format!(
            "driver {node_id} on {}",
            arguments.kafka.kafka.as_deref().unwrap_or_default()
        ));
    }
    let settings = Settings {
        zone: arguments.zone.clone(),
        labels,
        target: arguments.target.clone(),
        ..settings(node_id)
    };
    let spill = arguments.spill.as_deref().map(|folder| Spill::open(folder, arguments.spill_max)).transpose();
    let spill = spill.map_err(|error| {
        Ended::because(Exit::Invalid, format!("--spill: {:#}", anyhow::Error::new(error)))
    })?;
    let connect: Connector = Arc::new(move |connect| Ok(cluster.node(connect)?));
    let files = FileSource { shelf: Shelf::default(), connect };
    let outlet = arguments.events.clone().map(Scribe::start).transpose()?;
    let outlet = outlet.map(|outlet| Box::new(outlet) as Box<dyn Outlet>);
    let events = Keeping { outlet, spill };
    let load =
        Load { looks_ahead: true, events, ..load(threads, allow, arguments.generator.io, files, secrets) };
    match run_driver(settings, load, transport, interrupts.flag()) {
        driver::Exit::Done => Ok(Exit::Success),
        driver::Exit::NameTaken(text) => {
            Err(Ended::because(Exit::Invalid, format!("{text}; choose another name with --node-id")))
        }
    }
}

/// What a driver says of itself and its machine.
pub fn settings(node_id: String) -> Settings {
    Settings {
        node_id,
        address: address().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cores: u32::try_from(cores()).unwrap_or(u32::MAX),
        memory_bytes: memory_bytes(),
        zone: None,
        labels: BTreeMap::new(),
        target: None,
    }
}

/// How a driver of this program loads.
pub fn load(threads: usize, allow: Allow, io: Io, files: FileSource, secrets: Secrets) -> Load {
    let product = format!("groundswell/{}", env!("CARGO_PKG_VERSION"));
    Load { threads, allow, product, io, files, looks_ahead: false, secrets, events: Keeping::default() }
}

/// The rules of `--allow`.
pub fn allow(generator: &Generator) -> anyhow::Result<Allow> {
    Allow::new(generator.allow.iter().map(String::as_str))
        .map_err(|error| Ended::because(Exit::Invalid, format!("--allow: {error}")))
}

/// Cores this process may use.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn labels(labels: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let split = |label: &String| match label.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Ended::because(Exit::Invalid, format!("--label {label}: write it as key=value"))),
    };
    labels.iter().map(split).collect()
}

fn default_name() -> String {
    let uname = rustix::system::uname();
    let random = Uuid::now_v7().simple().to_string();
    format!("{}-{}", uname.nodename().to_string_lossy(), &random[random.len() - RANDOM_PART..])
}

/// The address by which this machine reaches others, for display; loopback when it reaches none.
fn address() -> IpAddr {
    // Connecting a datagram socket sends nothing; it makes the system choose the source address (RFC 5737 destination).
    let socket = std::net::UdpSocket::bind("0.0.0.0:0");
    let address = socket.and_then(|socket| socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()));
    address.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())
}

fn memory_bytes() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
