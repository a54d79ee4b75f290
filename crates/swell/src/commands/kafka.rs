//! The Kafka options as settings of the transport, and its faults in words a user can act on.

use std::net::{SocketAddr, ToSocketAddrs};

use transport::kafka::{Cluster, Error, Settings};

use crate::arguments::Kafka;
use crate::exit::{Ended, Exit};

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

/// What `doctor` says of the brokers: a sentence when they answer. `None` when none was named.
pub fn examine(arguments: &Kafka) -> Option<anyhow::Result<String>> {
    let brokers = arguments.kafka.clone()?;
    Some(reach(arguments).map(|_| format!("{brokers} answers")))
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
