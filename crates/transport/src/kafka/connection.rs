//! Finding the brokers, and saying in the user's words why they cannot be found.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;

use super::context;
use super::{ANSWER_TIMEOUT, Error, Settings};
use crate::Topic;

/// One attempt to get an answer; between attempts the addresses are looked at.
const ATTEMPT: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 5;
/// After that many attempts at addresses where nobody listens, nobody will.
const REFUSED_ATTEMPTS: u32 = 2;
/// How long a TCP connection may take.
const TCP_TIMEOUT: Duration = Duration::from_secs(1);

/// The letters `HTTP`, read as the length of an answer.
const HTTP_AS_LENGTH: &str = "1213486160";

/// What was found.
pub struct Found {
    pub cluster_id: String,
    pub brokers: usize,
}

/// Keeps what the client last complained about.
#[derive(Default)]
struct Complaint(Mutex<Option<String>>);

impl Complaint {
    fn keep(&self, text: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
    }

    fn last(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default();
        if kept.contains(HTTP_AS_LENGTH) {
            return "it answers as a web server does".to_owned();
        }
        // What stands before names threads of the client.
        let said = kept.rsplit_once("]: ").map_or(kept.as_str(), |(_, said)| said);
        if said.is_empty() { "it says nothing".to_owned() } else { said.to_owned() }
    }
}

impl ClientContext for Complaint {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            self.keep(message);
        }
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
    }
}

impl ConsumerContext for Complaint {}

/// Asks the brokers of `settings` who they are.
pub fn find(settings: &Settings) -> Result<Found, Error> {
    let addresses = settings.addresses()?;
    let doing = "make a Kafka client";
    let client: BaseConsumer<Complaint> = settings
        .client("swell-connect")
        .create_with_context(Complaint::default())
        .map_err(Error::client(doing))?;
    let metadata = ask(settings, &client, &addresses)?;
    check_advertised(&metadata, &addresses)?;
    let cluster_id = client.client().fetch_cluster_id(ANSWER_TIMEOUT).unwrap_or_default();
    Ok(Found { cluster_id, brokers: metadata.brokers().len() })
}

fn ask(
    settings: &Settings,
    client: &BaseConsumer<Complaint>,
    addresses: &[(String, u16)],
) -> Result<Metadata, Error> {
    // One topic, not all: a shared cluster may have very many.
    let topic = settings.topic_name(Topic::Control);
    let mut unreachable = None;
    for attempt in 1..=ATTEMPTS {
        match client.fetch_metadata(Some(&topic), ATTEMPT) {
            Ok(metadata) if !metadata.brokers().is_empty() => return Ok(metadata),
            Ok(_) | Err(_) => {}
        }
        // Serves the client's log, which says why.
        while client.poll(Duration::ZERO).is_some() {}
        unreachable = unreachable_of(addresses);
        if unreachable.is_some() && attempt >= REFUSED_ATTEMPTS {
            break;
        }
    }
    let brokers = settings.brokers.clone();
    Err(match unreachable {
        Some(reason) => Error::Unreachable {
            brokers,
            reason,
            help: "check that Kafka runs there, that the address is right (--kafka HOST:PORT,…) and that no firewall \
                   is between"
                .to_owned(),
        },
        None => Error::NotKafka {
            brokers,
            reason: client.context().last(),
            help: "check that this is Kafka's own port, and whether it wants TLS or SASL (--kafka-config FILE)".to_owned(),
        },
    })
}

/// What became of a TCP connection to each address, when none could be made.
fn unreachable_of(addresses: &[(String, u16)]) -> Option<String> {
    let mut reasons = Vec::new();
    for (host, port) in addresses {
        match reach(host, *port) {
            Ok(()) => return None,
            Err(reason) => reasons.push(format!("{host}:{port}: {reason}")),
        }
    }
    Some(reasons.join("; "))
}

fn reach(host: &str, port: u16) -> Result<(), String> {
    let resolved =
        (host, port).to_socket_addrs().map_err(|error| format!("cannot resolve the name: {error}"))?;
    let mut last = "the name has no address".to_owned();
    for address in resolved {
        match TcpStream::connect_timeout(&address, TCP_TIMEOUT) {
            Ok(_) => return Ok(()),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

/// Clients go on with the addresses that the brokers advertise, whatever address was asked. A wrong one would show only
/// as silence.
fn check_advertised(metadata: &Metadata, asked: &[(String, u16)]) -> Result<(), Error> {
    let advertised: Vec<(String, u16)> = metadata
        .brokers()
        .iter()
        .filter_map(|broker| Some((broker.host().to_owned(), u16::try_from(broker.port()).ok()?)))
        .collect();
    if advertised.iter().any(|address| asked.contains(address)) {
        return Ok(());
    }
    let Some(reason) = unreachable_of(&advertised) else { return Ok(()) };
    let names: Vec<String> = advertised.iter().map(|(host, port)| format!("{host}:{port}")).collect();
    Err(Error::Advertised {
        advertised: names.join(","),
        reason,
        help: "set advertised.listeners of the brokers to addresses that every driver can reach".to_owned(),
    })
}
