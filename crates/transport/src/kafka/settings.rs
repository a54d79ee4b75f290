//! What is set about Kafka, and the librdkafka configurations that follow from it.

use std::path::Path;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::Error;
use crate::Topic;

/// Bytes of messages that may wait for a broker: 20 s without one, at 1.5 MiB of measurements a second.
const QUEUE_KBYTES: usize = 32 * 1024;
/// Bytes fetched ahead of the reader. Small, since a driver reads a few messages a second and must stay small itself.
const FETCH_AHEAD_KBYTES: usize = 4 * 1024;
/// The same for a reader of events, which takes them by the ten thousand.
const FETCH_EVENTS_AHEAD_KBYTES: usize = 64 * 1024;
/// How long events wait for company: a second of a busy driver is some dozen batches.
const EVENTS_LINGER_MS: &str = "20";
/// How often librdkafka tells how far the partitions go.
const EXTENT_MS: &str = "1000";
/// A heartbeat that is older says nothing.
pub const STALE_HEARTBEAT_MS: u64 = 3000;

/// Properties that the program's promises rest on, so that no file may change them.
const RESERVED: [&str; 12] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "acks",
    "request.required.acks",
    "auto.offset.reset",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "group.id",
    "log.queue",
    "message.timeout.ms",
    "delivery.timeout.ms",
];

/// How to reach Kafka.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `HOST:PORT,…`
    pub brokers: String,
    /// Prefix of every topic; may be empty.
    pub prefix: String,
    /// Copies of each topic that is created; -1 for the cluster's default.
    pub replication: i32,
    /// Further librdkafka properties, in order.
    pub properties: Vec<(String, String)>,
}

impl Settings {
    /// The defaults, for the brokers at `brokers`.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self { brokers: brokers.into(), prefix: "swell.".to_owned(), replication: -1, properties: Vec::new() }
    }

    /// Adds the properties of a file: `name=value` lines in librdkafka's own names, `#` starts a comment line.
    pub fn load_properties(&mut self, path: &Path) -> Result<(), Error> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::Settings {
            setting: path.display().to_string(),
            problem: format!("cannot be read: {error}"),
        })?;
        self.add_properties(&path.display().to_string(), &text)
    }

    /// As [`Self::load_properties`], from `text`; `file` is the name that errors say.
    pub fn add_properties(&mut self, file: &str, text: &str) -> Result<(), Error> {
        for (number, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let fault =
                |problem: String| Error::Settings { setting: format!("{file}:{}", number + 1), problem };
            let (name, value) =
                line.split_once('=').ok_or_else(|| fault("expected `name=value`".to_owned()))?;
            let (name, value) = (name.trim(), value.trim());
            if RESERVED.contains(&name) {
                return Err(fault(format!("`{name}` is settled by swell and cannot be changed")));
            }
            self.properties.push((name.to_owned(), value.to_owned()));
        }
        Ok(())
    }

    /// The full name of a topic.
    pub fn topic_name(&self, topic: Topic) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// The addresses to try first, as host and port.
    pub(super) fn addresses(&self) -> Result<Vec<(String, u16)>, Error> {
        let fault = |address: &str| Error::Settings {
            setting: "--kafka".to_owned(),
            problem: format!("expected HOST:PORT,…, found {address:?}"),
        };
        self.brokers
            .split(',')
            .map(|address| {
                let (host, port) = address.trim().rsplit_once(':').ok_or_else(|| fault(address))?;
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let port = port.parse().map_err(|_| fault(address))?;
                if host.is_empty() { Err(fault(address)) } else { Ok((host.to_owned(), port)) }
            })
            .collect()
    }

    /// What all clients have in common.
    pub(super) fn client(&self, client_id: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", client_id)
            // Back within a second of the broker's return; 20 s without it fit into a lease of 30 s.
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.timeout.ms", "6000")
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            // A question about a missing topic must not make it with the broker's settings instead of ours.
            .set("allow.auto.create.topics", "false")
            .set("statistics.interval.ms", "0")
            .set("log.connection.close", "false")
            .set_log_level(RDKafkaLogLevel::Notice);
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    pub(super) fn producer(&self, client_id: &str, message_timeout_ms: u64) -> ClientConfig {
        let mut config = self.client(client_id);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", message_timeout_ms.to_string())
            .set("queue.buffering.max.kbytes", QUEUE_KBYTES.to_string())
            // A few messages a second: waiting for company would only delay them, and blur the clock samples.
            .set("linger.ms", "0");
        config
    }

    /// A producer of raw events.
    pub(super) fn events_producer(&self, client_id: &str) -> ClientConfig {
        let mut config = self.producer(client_id, 0);
        config
            .set("linger.ms", EVENTS_LINGER_MS)
            .set("compression.codec", "zstd")
            .set("compression.level", "1");
        config
    }

    /// A consumer of raw events, which tells how far the partitions go.
    pub(super) fn events_consumer(&self, client_id: &str) -> ClientConfig {
        let mut config = self.consumer(client_id);
        config
            .set("queued.max.messages.kbytes", FETCH_EVENTS_AHEAD_KBYTES.to_string())
            .set("fetch.max.bytes", "33554432")
            .set("statistics.interval.ms", EXTENT_MS);
        config
    }

    pub(super) fn consumer(&self, client_id: &str) -> ClientConfig {
        let mut config = self.client(client_id);
        config
            // Needed to assign partitions at all. No group is joined and nothing is committed under it.
            .set("group.id", format!("{}unused", self.prefix))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            // The broker answers as soon as there is one byte; until then one question a second is outstanding.
            .set("fetch.min.bytes", "1")
            .set("fetch.wait.max.ms", "1000")
            .set("fetch.error.backoff.ms", "200")
            .set("fetch.message.max.bytes", "1048576")
            .set("fetch.max.bytes", "8388608")
            .set("queued.max.messages.kbytes", FETCH_AHEAD_KBYTES.to_string())
            // Reached at every turn of a long catch-up, with so little fetched ahead; the default of 1 s would stall it.
            .set("fetch.queue.backoff.ms", "10");
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let of = |brokers: &str| Settings::new(brokers).addresses();
        assert_eq!(
            of("a:1, [::1]:9092,b.example:65535").unwrap(),
            [("a".to_owned(), 1), ("::1".to_owned(), 9092), ("b.example".to_owned(), 65535)]
        );
        for wrong in ["", "a", "a:", ":9092", "a:70000", "a:1,,b:2"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_of_properties() {
        let mut settings = Settings::new("a:1");
        let text = "# TLS\nsecurity.protocol = ssl\n\nssl.ca.location=/etc/ca.pem\n";
        settings.add_properties("kafka.conf", text).unwrap();
        assert_eq!(settings.client("x").get("security.protocol"), Some("ssl"));
        let error = settings.add_properties("kafka.conf", "a=b\nacks=0").unwrap_err().to_string();
        assert_eq!(error, "kafka.conf:2: `acks` is settled by swell and cannot be changed");
        let error = settings.add_properties("kafka.conf", "nonsense").unwrap_err().to_string();
        assert_eq!(error, "kafka.conf:1: expected `name=value`");
    }
}
