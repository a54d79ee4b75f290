//! The Kafka options as settings of the transport, and its faults in words a user can act on.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use clock::{BrokerClock, Sample};
use transport::kafka::{Cluster, Error, Settings};
use transport::{Connect, Event, Heartbeat, HeartbeatOurs, Message, NodeState, Role, Start, Topic, Uuid};

use crate::arguments::Kafka;
use crate::exit::{Ended, Exit};

/// Name under which `doctor` sends; no driver registers under it.
const DOCTOR: &str = "doctor";
/// Exchanges that the offset is measured by: the quickest counts, and the first ones find connections to be made.
const OFFSET_SAMPLES: usize = 8;
/// How long each may take.
const OFFSET_PATIENCE: Duration = Duration::from_secs(5);

/// Connects, and creates and checks the topics; `None` when no broker was named.
pub fn connect(arguments: &Kafka) -> anyhow::Result<Option<Cluster>> {
    let Some(cluster) = reach(arguments)? else {
        return Ok(None);
    };
    for warning in cluster.prepare_topics().map_err(unusable)? {
        let fix =
            if warning.command.is_empty() { String::new() } else { format!("; fix: {}", warning.command) };
        tracing::warn!("topic {}: {}{fix}", warning.topic, warning.text);
    }
    Ok(Some(cluster))
}

/// Finds the brokers and changes nothing there; `None` when none was named.
fn reach(arguments: &Kafka) -> anyhow::Result<Option<Cluster>> {
    let settings = settings(arguments)?;
    settings.map(|settings| Cluster::connect(&settings).map_err(unusable)).transpose()
}

fn unusable(error: Error) -> anyhow::Error {
    let exit = if matches!(error, Error::Settings { .. }) { Exit::Invalid } else { Exit::Preflight };
    Ended::because(exit, format!("{:#}", anyhow::Error::new(error)))
}

/// Connects; ends with a usage error when no broker was named.
pub fn require(arguments: &Kafka, command: &str) -> anyhow::Result<Cluster> {
    connect(arguments)?.ok_or_else(|| {
        let message =
            format!("`swell {command}` needs --kafka HOST:PORT (or SWELL_KAFKA); `swell run` needs none");
        Ended::because(Exit::Usage, message)
    })
}

/// What `doctor` finds behind `--kafka`.
#[derive(Debug, Clone, PartialEq)]
pub struct Broker {
    /// As they were given.
    pub brokers: String,
    /// Broker time minus this machine's wall clock, and the bound of its error, in ms; `None` while nobody has made the
    /// topic of heartbeats, or its records are not stamped by the broker.
    pub offset_ms: Option<(f64, f64)>,
}

/// Finds the brokers and the offset between their clock and this one's; changes nothing there but for some heartbeats of
/// a driver that never registers, which all let pass. `None` when no broker was named.
pub fn examine(arguments: &Kafka) -> Option<anyhow::Result<Broker>> {
    let brokers = arguments.kafka.clone()?;
    let examined = reach(arguments).transpose()?;
    Some(examined.map(|cluster| Broker { brokers, offset_ms: measure_offset(&cluster) }))
}

/// Some heartbeats, as any node sends them: the stamp on each bounds the offset.
fn measure_offset(cluster: &Cluster) -> Option<(f64, f64)> {
    // To read the topic first is to ask whether it is there: sending to one that is not might make it.
    let subscriptions = vec![(Topic::Heartbeat, Start::End)];
    let mut transport = cluster.node(Connect { node: DOCTOR.to_owned(), subscriptions }).ok()?;
    let incarnation = Uuid::now_v7();
    let mut clock = BrokerClock::new();
    for _ in 0..OFFSET_SAMPLES {
        let ticket = transport.send(&Message::Heartbeat(sign_of_life(incarnation))).ok()?;
        let sent = clock::now();
        while clock::now().since(sent) < OFFSET_PATIENCE {
            match transport.next(OFFSET_PATIENCE) {
                Some(Event::Acknowledged { ticket: of, stamp, sent, acknowledged, .. }) if of == ticket => {
                    clock.observe(&Sample { sent, stamped: stamp?, acknowledged });
                    break;
                }
                Some(_) => {}
                None => return None,
            }
        }
    }
    let offset = clock.offset()?;
    let wall_ms = clock::unix_ms() as f64 - clock::now().as_nanos() as f64 / 1e6;
    // The wall clock is read in whole milliseconds.
    Some((offset.ms - wall_ms - 0.5, offset.error_ms + 0.5))
}

fn sign_of_life(incarnation: Uuid) -> Heartbeat {
    let ours = HeartbeatOurs {
        incarnation,
        role: Role::Driver,
        state: NodeState::Unsynchronised,
        test_id: None,
        epoch: -1,
        shares_version: 0,
        cpu_percent: 0.0,
        memory_bytes: 0,
        open_sockets: 0,
        send_lag_p99_us: 0,
        events_dropped: 0,
        clock_offset_ms: None,
        clock_error_ms: None,
        requests_sent: 0,
        reason: None,
        fixture: None,
    };
    Heartbeat { node_id: DOCTOR.to_owned(), timestamp_unix_ms: clock::unix_ms(), ours: Some(ours) }
}

fn settings(arguments: &Kafka) -> anyhow::Result<Option<Settings>> {
    let Some(brokers) = &arguments.kafka else {
        return Ok(None);
    };
    let mut settings = Settings { prefix: arguments.topic_prefix.clone(), ..Settings::new(brokers.clone()) };
    if let Some(path) = &arguments.kafka_config {
        settings
            .load_properties(path)
            .map_err(|error| Ended::because(Exit::Invalid, format!("--kafka-config {error}")))?;
    }
    Ok(Some(settings))
}

/// The addresses of the brokers as far as their names can be resolved here, so that no plan loads them.
pub fn addresses(arguments: &Kafka) -> Vec<SocketAddr> {
    let brokers = arguments.kafka.as_deref().unwrap_or_default().split(',');
    brokers.filter_map(|broker| broker.trim().to_socket_addrs().ok()).flatten().collect()
}
