//! The pieces of the system as the commands put them together: store, orchestrator, page.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use cluster::Handle;
use cluster::files::Shelf;
use cluster::runtime::files::Connector;
use cluster::runtime::ingest::{Lasting, Source};
use cluster::runtime::orchestrator::{ConnectError, Ground, Running, StartError, start};
use store::{Location, Store};
use transport::kafka::Cluster;
use transport::{Connect, Topic, Transport, memory};

use crate::exit::{Ended, Exit};
use crate::output;

/// How patient an orchestrator is with its drivers.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Least time between the trigger and the start of a run.
    pub start_lead: Duration,
    /// How long drivers may take to be there and to arm.
    pub arm_timeout: Duration,
}

/// Drivers on other machines.
pub const OVER_KAFKA: Patience =
    Patience { start_lead: Duration::from_secs(3), arm_timeout: Duration::from_secs(30) };

/// Drivers in this process, which read a trigger at once.
pub const IN_PROCESS: Patience =
    Patience { start_lead: Duration::from_millis(500), arm_timeout: Duration::from_secs(30) };

/// Where the hashes of tokens are kept when results are in a database.
const DATA_FOLDER: &str = "swell-data";

/// Opens the store for writing, or says who has it and what to do.
pub fn open_store(location: &Location) -> anyhow::Result<Store> {
    Store::open(location).map_err(|error| Ended::because(Exit::Invalid, error.to_string()))
}

/// Starts an orchestrator.
pub fn orchestrate(
    store: Store,
    patience: Patience,
    kafka: Option<&Cluster>,
    shelf: Option<Shelf>,
    events: Option<Source>,
    connect: &dyn Fn(Connect) -> Result<Box<dyn Transport>, ConnectError>,
) -> anyhow::Result<Running> {
    let node_id = format!("orchestrator-{}", rustix::system::uname().nodename().to_string_lossy());
    let Patience { start_lead, arm_timeout } = patience;
    let (log_survives, stamp_command) = (kafka.is_some(), kafka.map(Cluster::stamp_command));
    let ground = Ground {
        node_id,
        start_lead,
        arm_timeout,
        store,
        log_survives,
        shelf,
        events,
        unstamped: kafka.is_some_and(Cluster::prevents_arming),
        stamp_command,
        figures: api::figures,
        connect,
    };
    start(ground).map_err(|error| {
        let exit = match &error {
            StartError::Transport(_) => Exit::Preflight,
            StartError::Store(_) | StartError::Record { .. } => Exit::Invalid,
            StartError::Thread(_) => Exit::Internal,
        };
        Ended::because(exit, format!("{:#}", anyhow::Error::new(error)))
    })
}

/// Raw events as they come in one process.
pub fn events_here(broker: &memory::Broker) -> Source {
    let broker = broker.clone();
    Source { connect: Arc::new(move |connect| Ok(broker.node(connect))), is_ours: true, lasting: None }
}

/// Raw events as they come over Kafka, stored by this process where they are ours; with `begins_at_end` a new store leaves
/// out those of earlier runs.
pub fn events_over(cluster: &Cluster, is_ours: bool, begins_at_end: bool) -> anyhow::Result<Source> {
    let unusable = |error| Ended::because(Exit::Preflight, format!("{:#}", anyhow::Error::new(error)));
    let (partitions, retention) = cluster.extent(Topic::Events).map_err(unusable)?;
    let topic = format!("{}/{}", cluster.id(), cluster.topic_name(Topic::Events));
    let cluster = cluster.clone();
    let connect: Connector = Arc::new(move |connect| Ok(cluster.node(connect)?));
    let lasting = Lasting { topic, partitions, begins_at_end, retention };
    Ok(Source { connect, is_ours, lasting: Some(lasting) })
}

/// Serves REST and the page.
pub fn serve(listen: SocketAddr, handle: &Handle, store: &Location) -> anyhow::Result<api::Server> {
    let data = match store {
        Location::Folder(dir) => dir.clone(),
        Location::Postgres(_) => DATA_FOLDER.into(),
    };
    let server = api::serve(api::Settings { listen, store: store.clone(), data }, handle.clone());
    let server = server.map_err(|error| {
        let is_listen = error.is_listen();
        let text = format!("{:#}", anyhow::Error::new(error));
        if is_listen {
            let advice = "choose another address with --listen, or port 0 for a free one";
            return Ended::because(Exit::CannotListen, format!("{text}; {advice}"));
        }
        Ended::because(Exit::Invalid, text)
    })?;
    if let Some(tokens) = server.new_tokens() {
        output::tell(
            "this address is open to others, so every call needs a token; these are shown only now:",
        );
        output::tell(&format!("  to control: {}\n  to read:    {}", tokens.controlling, tokens.reading));
    }
    Ok(server)
}

/// Finds out early that an address is taken, before a run is resumed or a driver started.
pub fn check_listen(listen: SocketAddr) -> anyhow::Result<()> {
    TcpListener::bind(listen).map(drop).map_err(|error| {
        let advice = "choose another address with --listen, or port 0 for a free one";
        Ended::because(Exit::CannotListen, format!("cannot listen on {listen}: {error}; {advice}"))
    })
}
