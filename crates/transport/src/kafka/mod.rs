//! The transport over Kafka.
//!
//! A [`Cluster`] is what was found at `--kafka`: checked to be there, to speak Kafka and to be reachable where it says
//! it is. A [`Node`] reads and writes its topics.
//!
//! A node has three threads of its own, each blocked in one librdkafka queue until something happens: one reads and
//! decodes records, two read acknowledgements. They hand events over in one bounded queue; when it is full they wait,
//! and librdkafka stops fetching at its own bound.
//!
//! Invariants: sending never blocks; consumers are assigned partitions and offsets, never members of a group, and commit
//! nothing; a record is handed over once and in order within its partition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::error::KafkaError;

use crate::{Connect, Topic, Transport};

mod settings;
mod context;
mod connection;
mod topics;
mod consumer;
mod producer;
mod node;

pub use node::Node;
pub use settings::Settings;
pub use topics::Warning;

/// Longest that one question to the broker may take while connecting or preparing.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why Kafka cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings themselves are wrong.
    #[error("{setting}: {problem}")]
    Settings {
        /// Which setting.
        setting: String,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
    /// No broker answers.
    #[error("cannot reach Kafka at {brokers}: {reason}\n  {help}")]
    Unreachable {
        /// The addresses that were tried.
        brokers: String,
        /// What became of each.
        reason: String,
        /// What to check.
        help: String,
    },
    /// Something answers, but not as Kafka does.
    #[error("what listens at {brokers} does not answer as Kafka: {reason}\n  {help}")]
    NotKafka {
        /// The addresses that were tried.
        brokers: String,
        /// What the client said.
        reason: String,
        /// What to check.
        help: String,
    },
    /// The broker answers, but names addresses for itself that cannot be reached from here.
    #[error("Kafka says that it is at {advertised}, which cannot be reached from here: {reason}\n  {help}")]
    Advertised {
        /// What the broker advertises.
        advertised: String,
        /// What became of the attempts.
        reason: String,
        /// What to check.
        help: String,
    },
    /// A topic is missing and cannot be made.
    #[error("cannot create the topic {topic}: {reason}\n  create it by hand: {command}")]
    Create {
        /// Its full name.
        topic: String,
        /// What the broker said.
        reason: String,
        /// The command that creates it.
        command: String,
    },
    /// A topic that should be read is not there.
    #[error("the topic {topic} does not exist")]
    MissingTopic {
        /// Its full name.
        topic: String,
    },
    /// The client failed otherwise.
    #[error("cannot {doing}")]
    Client {
        /// What was being done.
        doing: String,
        /// What the client said.
        #[source]
        source: KafkaError,
    },
}

impl Error {
    fn client(doing: impl Into<String>) -> impl FnOnce(KafkaError) -> Self {
        let doing = doing.into();
        move |source| match source {
            KafkaError::ClientConfig(_, problem, name, value) => {
                Self::Settings { setting: format!("{name}={value}"), problem }
            }
            source => Self::Client { doing, source },
        }
    }
}

/// A Kafka that answers.
#[derive(Clone)]
pub struct Cluster {
    settings: Settings,
    id: String,
    /// Brokers that the cluster has, which bounds how often a topic can be replicated.
    brokers: usize,
    /// Whether the last look at the topics found one by whose settings nobody can arm.
    prevents_arming: Arc<AtomicBool>,
}

impl Cluster {
    /// Finds the brokers; takes at most about fifteen seconds.
    pub fn connect(settings: &Settings) -> Result<Self, Error> {
        let found = connection::find(settings)?;
        Ok(Self {
            settings: settings.clone(),
            id: found.cluster_id,
            brokers: found.brokers,
            prevents_arming: Arc::default(),
        })
    }

    /// The cluster's own name for itself.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Creates the topics that are missing, and checks those that exist.
    pub fn prepare_topics(&self) -> Result<Vec<Warning>, Error> {
        let warnings = topics::prepare(&self.settings, self.brokers)?;
        let prevents_arming = warnings.iter().any(|warning| warning.prevents_arming);
        self.prevents_arming.store(prevents_arming, Ordering::Relaxed);
        Ok(warnings)
    }

    /// Whether a topic was set so that nobody can arm, when [`Cluster::prepare_topics`] looked.
    pub fn prevents_arming(&self) -> bool {
        self.prevents_arming.load(Ordering::Relaxed)
    }

    /// The command that makes the broker stamp heartbeats, without which nobody arms.
    pub fn stamp_command(&self) -> String {
        topics::stamp_command(&self.settings)
    }

    /// How many partitions a topic has, and how long it keeps a record; `None` where that has no end.
    pub fn extent(&self, topic: Topic) -> Result<(i32, Option<Duration>), Error> {
        topics::extent(&self.settings, topic)
    }

    /// A new node. When this returns, its positions are settled: whatever is appended from now on will be read.
    pub fn node(&self, connect: Connect) -> Result<Box<dyn Transport>, Error> {
        Ok(Box::new(Node::new(&self.settings, &connect)?))
    }

    /// The name of `topic` with the prefix of this cluster's settings.
    pub fn topic_name(&self, topic: Topic) -> String {
        self.settings.topic_name(topic)
    }
}
