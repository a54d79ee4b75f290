//! `swell collector`: stores raw events that come over Kafka and by the Scribe protocol.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use cluster::runtime::ingest::{Hurry, Ingester};
use cluster::view::Ingest;
use scribe::{Categories, Group, Server, Settings, SinkError};
use store::{EventStore, Location, Peer, Poison, SharedEvents};

use super::{kafka, serving};
use crate::arguments::Collector;
use crate::exit::{Ended, Exit};
use crate::output::{self, Terminal};
use crate::signals::{Asked, Interrupts};

/// Between two lines that say how it goes.
const TOLD: Duration = Duration::from_secs(10);
/// Between two looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

pub fn run(arguments: &Collector, terminal: Terminal) -> anyhow::Result<Exit> {
    if arguments.kafka.kafka.is_none() && arguments.scribe.is_none() {
        let message = "`swell collector` needs --kafka HOST:PORT, --scribe ADDR, or both";
        return Err(Ended::because(Exit::Usage, message));
    }
    let interrupts = Interrupts::listen()?;
    let location = arguments.storage.location()?;
    let store = store::open_events(&location, &name())
        .map_err(|error| Ended::because(Exit::Invalid, error.to_string()))?;
    let store = SharedEvents::new(store);
    let cluster = kafka::connect(&arguments.kafka)?;
    let categories = &arguments.scribe_categories;
    let server = arguments.scribe.map(|address| listen(address, categories, &store));
    let server = server.transpose()?.map(Arc::new);
    let shown = Arc::new(Mutex::new(Ingest::default()));
    let scraped = arguments.listen.map(|address| serve(address, &shown, cluster.is_some(), server.as_ref()));
    let scraped = scraped.transpose()?;
    let ingest = match &cluster {
        Some(cluster) => {
            let source = serving::events_over(cluster, true, false)?;
            let told = Arc::clone(&shown);
            let show = move |ingest: &Ingest, _: &[Peer]| {
                told.lock().unwrap_or_else(PoisonError::into_inner).clone_from(ingest);
            };
            let events = Box::new(store.clone());
            let ingester = Ingester::new(name(), events, source, Hurry::default(), Box::new(show));
            let flag = interrupts.shared();
            Some(thread::Builder::new().name("ingest".to_owned()).spawn(move || ingester.run(&flag))?)
        }
        None => None,
    };
    if !terminal.quiet {
        begin(arguments, &location, server.as_deref());
        if let Some(scraped) = &scraped {
            output::tell(&format!("metrics on http://{}/metrics", scraped.local_addr()));
        }
    }
    let mut told = clock::now();
    let has_died = || {
        ingest.as_ref().is_some_and(|thread| thread.is_finished())
            || server.as_deref().is_some_and(Server::has_died)
    };
    while interrupts.asked() == Asked::Nothing && !has_died() {
        thread::sleep(LOOK);
        if clock::now().since(told) >= TOLD {
            told = clock::now();
            tell(&shown, server.as_deref(), terminal.quiet);
        }
    }
    let died = interrupts.asked() == Asked::Nothing;
    drop(scraped);
    // Nobody else has it any more.
    let counts = server.and_then(Arc::into_inner).map(Server::stop);
    let well = ingest.is_none_or(|thread| thread.join().is_ok());
    if died || !well {
        return Err(Ended::because(Exit::Internal, "the collector ended by itself; see the log"));
    }
    if !terminal.quiet {
        output::tell(&line(&shown.lock().unwrap_or_else(PoisonError::into_inner), counts));
    }
    Ok(Exit::Success)
}

/// Its name towards the log and the database.
fn name() -> String {
    let host = rustix::system::uname();
    format!("collector-{}-{}", host.nodename().to_string_lossy(), std::process::id())
}

fn begin(arguments: &Collector, location: &Location, server: Option<&Server>) {
    let kafka = arguments.kafka.kafka.as_deref().map(|brokers| format!("Kafka at {brokers}"));
    let scribe = server.map(|server| format!("Scribe on {}", server.address()));
    let from: Vec<String> = kafka.into_iter().chain(scribe).collect();
    output::tell(&format!("collecting events from {} into {location}", from.join(" and ")));
}

/// Says to Prometheus how it goes.
fn serve(
    address: SocketAddr,
    shown: &Arc<Mutex<Ingest>>,
    has_kafka: bool,
    scribe: Option<&Arc<Server>>,
) -> anyhow::Result<api::Scraped> {
    let (shown, scribe) = (Arc::clone(shown), scribe.map(Arc::clone));
    let look = move || api::Collected {
        ingest: has_kafka.then(|| shown.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        scribe: scribe.as_ref().map_or_else(Vec::new, |server| server.counts().named()),
    };
    api::serve_metrics(address, look).map_err(|error| {
        let advice = "choose another address with --listen, or port 0 for a free one";
        Ended::because(Exit::CannotListen, format!("{:#}; {advice}", anyhow::Error::new(error)))
    })
}

/// Takes events by the Scribe protocol.
fn listen(address: SocketAddr, categories: &[String], store: &SharedEvents) -> anyhow::Result<Server> {
    let mut store = store.clone();
    let sink = move |group: &Group| -> Result<(), SinkError> {
        // The rows last: when anything fails, all of the group comes again, and events have no identity.
        for aside in &group.set_aside {
            let origin = format!("scribe/{} {}", aside.peer, aside.category);
            let reason = format!("call {}, entry {}: {}", aside.call, aside.entry, aside.reason);
            let offset = i64::try_from(aside.call).unwrap_or(i64::MAX);
            tracing::warn!(origin, reason, "an event is set aside");
            store.set_aside_loose(&origin, &Poison { offset, reason, value: aside.message.clone() })?;
        }
        store.store_loose(&group.batches)?;
        Ok(())
    };
    let categories = match categories {
        [] => Categories::All,
        named => Categories::Named(named.to_vec()),
    };
    let settings = Settings { categories, ..Settings::new(address) };
    Server::start(settings, sink).map_err(|error| {
        let advice = "choose another address with --scribe";
        Ended::because(Exit::CannotListen, format!("{:#}; {advice}", anyhow::Error::new(error)))
    })
}

fn tell(shown: &Mutex<Ingest>, server: Option<&Server>, is_quiet: bool) {
    let ingest = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if !is_quiet {
        output::tell(&line(&ingest, server.map(Server::counts)));
    }
    for trouble in ingest.troubles(clock::unix_ms()) {
        output::tell(&format!("warning: {}", trouble.text));
    }
}

/// How it goes, in a line.
fn line(ingest: &Ingest, scribe: Option<scribe::Counts>) -> String {
    let mut line = format!("{} events stored", ingest.rows);
    let mut add = |count: u64, what: &str| {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    };
    add(ingest.duplicates, "came again");
    add(ingest.set_aside, "batches set aside");
    add(ingest.missing, "batches deleted before they were read");
    if let Some(counts) = scribe {
        for (what, count) in counts.named() {
            add(count, &format!("by Scribe: {what}"));
        }
    }
    let (messages, ms) = (ingest.lag_messages(), ingest.lag_ms(clock::unix_ms()));
    if messages > 0 {
        line.push_str(&format!("; {messages} batches behind, {:.1} s", ms as f64 / 1e3));
    }
    line
}
