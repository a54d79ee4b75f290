//! The wire format: [`Message`]s to bytes and back.
//!
//! Every message but a batch of events is one JSON object. The five basic messages keep the exact names of the protocol and are understood
//! with nothing more; what ours adds is read when its mark is there (`incarnation`, or `epoch`), so that a foreign
//! peer's own additions can never be mistaken for it. Unknown fields are ignored.
//!
//! Invariants: whatever the bytes, decoding returns, and takes no more memory than a small multiple of them; what it
//! accepts, it has checked. Deliberately absent: anything that depends on the time or on earlier messages.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Message, SendError, Topic};

mod basic;
mod control;
mod fixture;
mod files;
mod events;
mod metrics_report;
mod windows;
mod form;
mod rfc3339;

pub use files::{MAX_CHUNK_BYTES, MAX_FILES};
pub use fixture::{MAX_VALUES_BYTES, fit_values};
pub use form::{MAX_NAME_BYTES, MAX_TEXT_BYTES};
pub use windows::{MAX_PART_BYTES, split};

/// Version of the protocol that this program speaks; a registration says it.
pub const PROTOCOL: u32 = 1;

/// Longest plan that travels inside `test_config`.
pub const MAX_PLAN_BYTES: usize = 256 * 1024;
/// Most drivers that a table of shares names: one per lane.
pub const MAX_SHARE_DRIVERS: usize = plan::LANES;
/// Most labels of a driver.
pub const MAX_LABELS: usize = 64;

/// Largest message of a topic, in bytes of its value. A broker takes 1 MiB by default, including its own framing.
pub const fn max_bytes(topic: Topic) -> usize {
    match topic {
        // A foreign peer may add what it likes, within reason.
        Topic::Register | Topic::Trigger | Topic::Heartbeat => 512 * 1024,
        // The plan, escaped, and the shares; a table of shares is at most 270 KiB.
        Topic::TestConfig | Topic::Control => 960 * 1024,
        // A piece of 512 KiB in base64, and its frame.
        Topic::Files => 720 * 1024,
        // One part of 512 KiB and its frame.
        Topic::Metrics => 640 * 1024,
        // Twice what a driver puts into a batch.
        Topic::Events => 960 * 1024,
    }
}

/// A record that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{topic} message, field `{field}`: {problem}")]
pub struct Malformed {
    /// Topic it was read from.
    pub topic: Topic,
    /// Path of the field, `.` for the whole message.
    pub field: String,
    /// What was expected there, and what was found.
    pub problem: String,
    /// The value, or the beginning of it; empty where it is not that of a record.
    pub value: Vec<u8>,
}

/// As much of a value that cannot be understood as is worth keeping.
const MAX_SHOWN_BYTES: usize = 4096;

impl Malformed {
    fn new(topic: Topic, field: &str, problem: impl Into<String>) -> Self {
        Self { topic, field: field.to_owned(), problem: problem.into(), value: Vec::new() }
    }
}

/// Names and values that stand beside a record's value.
pub type Headers = Vec<(String, String)>;

/// A message as it goes to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Where it goes.
    pub topic: Topic,
    /// Chooses the partition: the node for what nodes report, the run for commands.
    pub key: String,
    /// Of a batch of events: whose it is.
    pub headers: Headers,
    /// The JSON text, or the rows of a batch.
    pub value: Vec<u8>,
}

/// The bytes of `message`.
pub fn encode(message: &Message) -> Result<Encoded, SendError> {
    let (key, value) = match message {
        Message::Register(register) => (register.node_id.clone(), basic::write_register(register)),
        Message::TestConfig(config) => (config.test_id.clone(), basic::write_test_config(config)),
        Message::Trigger(trigger) => (trigger.test_id.clone(), basic::write_trigger(trigger)),
        Message::Control(control) => (control.test_id.clone().unwrap_or_default(), control::write(control)),
        Message::Metrics(metrics) => (metrics.node_id.clone(), metrics_report::write(metrics)),
        Message::Heartbeat(heartbeat) => (heartbeat.node_id.clone(), basic::write_heartbeat(heartbeat)),
        Message::FileChunk(chunk) => (chunk.sha256.clone(), files::write_chunk(chunk)),
        Message::Events(batch) => (events::key(batch), Ok(batch.bytes.clone())),
    };
    let topic = message.topic();
    let value = value.map_err(|error| SendError::Refused { topic, reason: error.to_string() })?;
    let limit = max_bytes(topic);
    if value.len() > limit {
        return Err(SendError::TooLarge { topic, bytes: value.len(), limit });
    }
    let headers = if let Message::Events(batch) = message { events::headers(batch) } else { Headers::new() };
    Ok(Encoded { topic, key, headers, value })
}

/// Understands the value of a record of `topic` that has no headers.
pub fn decode(topic: Topic, value: &[u8]) -> Result<Message, Malformed> {
    decode_record(topic, &Headers::new(), value)
}

/// Understands a record of `topic`.
pub fn decode_record(topic: Topic, headers: &Headers, value: &[u8]) -> Result<Message, Malformed> {
    read(topic, headers, value).map_err(|malformed| Malformed {
        value: value[..value.len().min(MAX_SHOWN_BYTES)].to_vec(),
        ..malformed
    })
}

fn read(topic: Topic, headers: &Headers, value: &[u8]) -> Result<Message, Malformed> {
    if value.len() > max_bytes(topic) {
        let problem = format!("expected at most {} bytes, found {}", max_bytes(topic), value.len());
        return Err(Malformed::new(topic, ".", problem));
    }
    let source = Source { topic, value };
    if topic != Topic::Events && value.trim_ascii_start().first() != Some(&b'{') {
        return Err(Malformed::new(topic, ".", "expected a JSON object"));
    }
    match topic {
        Topic::Register => basic::read_register(&source).map(Message::Register),
        Topic::TestConfig => basic::read_test_config(&source).map(Message::TestConfig),
        Topic::Trigger => basic::read_trigger(&source).map(Message::Trigger),
        Topic::Control => control::read(&source).map(Message::Control),
        Topic::Metrics => metrics_report::read(&source).map(Message::Metrics),
        Topic::Heartbeat => basic::read_heartbeat(&source).map(Message::Heartbeat),
        Topic::Files => files::read_chunk(&source).map(Message::FileChunk),
        Topic::Events => events::read(headers, &source).map(Message::Events),
    }
}

/// SHA-256 of a plan's text or a file in lower-case hexadecimal, as `plan_sha256` says it.
pub fn sha256(content: impl AsRef<[u8]>) -> String {
    Sha256::digest(content.as_ref()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// One value that is being read.
struct Source<'a> {
    topic: Topic,
    value: &'a [u8],
}

impl Source<'_> {
    /// Reads all that `T` names.
    fn fields<T: DeserializeOwned>(&self) -> Result<T, Malformed> {
        let mut deserializer = serde_json::Deserializer::from_slice(self.value);
        let fields = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let problem = error.inner().to_string();
            // A missing field is reported at its parent; its own name is more useful.
            let missing = problem.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
            let path = error.path().to_string();
            let field = match (missing, path.as_str()) {
                (Some(name), ".") => name.to_owned(),
                (Some(name), parent) => format!("{parent}.{name}"),
                (None, path) => path.to_owned(),
            };
            self.malformed(&field, problem)
        })?;
        deserializer.end().map_err(|error| self.malformed(".", error.to_string()))?;
        Ok(fields)
    }

    /// Reads what ours adds, when its mark is there.
    fn added<T: DeserializeOwned>(&self, mark: Mark) -> Result<Option<T>, Malformed> {
        let marks: Marks = self.fields()?;
        let marked = match mark {
            Mark::Incarnation => marks.incarnation,
            Mark::Epoch => marks.epoch,
        };
        marked.map(|IgnoredAny| self.fields()).transpose()
    }

    fn malformed(&self, field: &str, problem: impl Into<String>) -> Malformed {
        Malformed::new(self.topic, field, problem)
    }

    /// A field that this kind of message must have.
    fn required<T>(&self, field: &str, value: Option<T>) -> Result<T, Malformed> {
        value.ok_or_else(|| self.malformed(field, format!("missing field `{field}`")))
    }
}

/// The field that tells a message of ours from one of a foreign peer.
#[derive(Clone, Copy)]
enum Mark {
    Incarnation,
    Epoch,
}

#[derive(Deserialize)]
struct Marks {
    incarnation: Option<IgnoredAny>,
    epoch: Option<IgnoredAny>,
}

/// Basic fields, and what ours adds to them.
#[derive(Serialize)]
struct Whole<B, A> {
    #[serde(flatten)]
    basis: B,
    #[serde(flatten)]
    added: Option<A>,
}

impl<B: Serialize, A: Serialize> Whole<B, A> {
    fn write(basis: B, added: Option<A>) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Self { basis, added })
    }
}

/// Who owns which lane.
#[derive(Serialize, Deserialize)]
struct Shares {
    version: form::Count<u32>,
    drivers: Vec<form::Name>,
    owners: Vec<form::Count<u16>>,
}

impl Shares {
    fn of(shares: &plan::Shares) -> Self {
        Self {
            version: form::Count(shares.version),
            drivers: shares.drivers.iter().cloned().map(form::Name).collect(),
            owners: shares.owners.iter().copied().map(form::Count).collect(),
        }
    }

    /// The table, once it is known that every lane has an owner. An empty table is one too: loads per driver have none.
    fn check(self, source: &Source) -> Result<plan::Shares, Malformed> {
        if self.drivers.len() > MAX_SHARE_DRIVERS {
            return Err(
                source.malformed("shares.drivers", format!("expected at most {MAX_SHARE_DRIVERS} drivers"))
            );
        }
        let lanes = if self.drivers.is_empty() { 0 } else { plan::LANES };
        if self.owners.len() != lanes {
            let problem = format!("expected {lanes} lanes, found {}", self.owners.len());
            return Err(source.malformed("shares.owners", problem));
        }
        if let Some(owner) = self.owners.iter().find(|owner| usize::from(owner.0) >= self.drivers.len()) {
            let problem = format!("expected indices into `drivers`, found {}", owner.0);
            return Err(source.malformed("shares.owners", problem));
        }
        Ok(plan::Shares {
            version: self.version.0,
            drivers: self.drivers.into_iter().map(|name| name.0).collect(),
            owners: self.owners.into_iter().map(|owner| owner.0).collect(),
        })
    }
}

type Labels = BTreeMap<String, form::Text>;
