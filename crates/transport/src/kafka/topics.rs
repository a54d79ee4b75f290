//! The topics: made when they are missing, checked when they exist.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication, TopicResult};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::{ANSWER_TIMEOUT, Error, Settings, context};
use crate::Topic;

/// Copies of a topic on a cluster that does not take "the default" for an answer.
const USUAL_REPLICATION: usize = 3;
/// How long a new topic may take until every broker knows it.
const CREATION_TIMEOUT: Duration = Duration::from_secs(10);

/// A topic that exists with another setting than it should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The topic.
    pub topic: Topic,
    /// What is wrong, and what follows from it.
    pub text: String,
    /// The command that repairs it; empty when there is nothing to repair.
    pub command: String,
    /// Whether no run can be armed until it is repaired: heartbeats without the broker's stamps tell no time.
    pub prevents_arming: bool,
}

/// How a topic should be.
struct Specification {
    partitions: i32,
    /// Whether more partitions than that would lose an order that is relied on.
    ordered: bool,
    retention_ms: i64,
    /// Per partition.
    retention_bytes: Option<i64>,
    segment_ms: Option<i64>,
}

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

const fn specification(topic: Topic) -> Specification {
    match topic {
        Topic::Register | Topic::Trigger | Topic::Control => ordered_for(DAY_MS),
        Topic::TestConfig | Topic::Files => ordered_for(7 * DAY_MS),
        Topic::Metrics => Specification {
            partitions: 4,
            ordered: false,
            retention_ms: DAY_MS,
            // 64 GiB over the four partitions.
            retention_bytes: Some(16 << 30),
            segment_ms: None,
        },
        Topic::Events => Specification {
            partitions: 16,
            ordered: false,
            retention_ms: DAY_MS,
            // 64 GiB over the sixteen partitions.
            retention_bytes: Some(4 << 30),
            segment_ms: None,
        },
        Topic::Heartbeat => Specification { segment_ms: Some(5 * MINUTE_MS), ..ordered_for(10 * MINUTE_MS) },
    }
}

const fn ordered_for(retention_ms: i64) -> Specification {
    Specification { partitions: 1, ordered: true, retention_ms, retention_bytes: None, segment_ms: None }
}

impl Specification {
    /// Kafka's names and values of the settings that a new topic gets.
    fn properties(&self) -> Vec<(&'static str, String)> {
        let mut properties = vec![
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", self.retention_ms.to_string()),
        ];
        properties.extend(self.retention_bytes.map(|bytes| ("retention.bytes", bytes.to_string())));
        properties.extend(self.segment_ms.map(|ms| ("segment.ms", ms.to_string())));
        properties
    }
}

type Admin = AdminClient<Quiet>;

struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka admin client");
    }
}

/// Makes what is missing and says what is wrong with the rest. `brokers` is how many the cluster has.
pub fn prepare(settings: &Settings, brokers: usize) -> Result<Vec<Warning>, Error> {
    let admin: Admin = settings
        .client("swell-topics")
        .create_with_context(Quiet)
        .map_err(Error::client("make a Kafka admin client"))?;
    let mut warnings = Vec::new();
    let mut existing = Vec::new();
    let mut replication = settings.replication;
    for topic in Topic::ALL {
        match partitions(&admin, &settings.topic_name(topic))? {
            Some(count) => existing.push((topic, count)),
            None => create(&admin, settings, topic, brokers, &mut replication, &mut warnings)?,
        }
    }
    check(&admin, settings, &existing, &mut warnings)?;
    Ok(warnings)
}

/// The partitions of a topic, and how long it keeps a record.
pub fn extent(settings: &Settings, topic: Topic) -> Result<(i32, Option<Duration>), Error> {
    let admin: Admin = settings
        .client("swell-topics")
        .create_with_context(Quiet)
        .map_err(Error::client("make a Kafka admin client"))?;
    let name = settings.topic_name(topic);
    let count = partitions(&admin, &name)?.ok_or_else(|| Error::MissingTopic { topic: name.clone() })?;
    let answers = block_on(admin.describe_configs(&[ResourceSpecifier::Topic(&name)], &options()));
    // Who may not ask learns nothing, and goes on without.
    let resource = answers.ok().and_then(|answers| answers.into_iter().next()?.ok());
    let kept = resource.and_then(|resource| {
        let entry = resource.entries.into_iter().find(|entry| entry.name == "retention.ms")?;
        entry.value?.parse::<i64>().ok()
    });
    let kept = kept.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
    Ok((i32::try_from(count).unwrap_or(i32::MAX), kept))
}

/// How many partitions a topic has; `None` when it does not exist.
fn partitions(admin: &Admin, name: &str) -> Result<Option<usize>, Error> {
    let metadata = admin
        .inner()
        .fetch_metadata(Some(name), ANSWER_TIMEOUT)
        .map_err(Error::client(format!("ask for the topic {name}")))?;
    let found = metadata.topics().iter().find(|found| found.name() == name && found.error().is_none());
    Ok(found.map(|found| found.partitions().len()).filter(|count| *count > 0))
}

/// Makes a topic. Where the cluster refuses its own default number of copies, `replication` becomes one that it can take.
fn create(
    admin: &Admin,
    settings: &Settings,
    topic: Topic,
    brokers: usize,
    replication: &mut i32,
    warnings: &mut Vec<Warning>,
) -> Result<(), Error> {
    let name = settings.topic_name(topic);
    let mut result = request(admin, topic, &name, *replication);
    if *replication == -1 && matches!(result, Err(Refusal::Replication)) {
        *replication = i32::try_from(brokers.clamp(1, USUAL_REPLICATION)).unwrap_or(1);
        let text = format!(
            "the cluster refuses its own default replication factor: topics get {replication} instead"
        );
        warnings.push(Warning { topic, text, command: String::new(), prevents_arming: false });
        result = request(admin, topic, &name, *replication);
    }
    result.map_err(|refusal| Error::Create {
        topic: name.clone(),
        reason: match refusal {
            Refusal::Replication => format!("the cluster refuses the replication factor {replication}"),
            Refusal::Other(reason) => reason,
        },
        command: creation_command(settings, topic, &name, *replication),
    })?;
    let deadline = clock::now() + CREATION_TIMEOUT;
    while partitions(admin, &name)?.is_none() && clock::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    tracing::info!(topic = name, "created a topic");
    Ok(())
}

enum Refusal {
    /// This number of copies, or "the default", is not accepted.
    Replication,
    Other(String),
}

fn request(admin: &Admin, topic: Topic, name: &str, replication: i32) -> Result<(), Refusal> {
    let specification = specification(topic);
    let properties = specification.properties();
    let new = NewTopic::new(name, specification.partitions, TopicReplication::Fixed(replication));
    let new = properties.iter().fold(new, |new, (property, value)| new.set(property, value));
    let answer: KafkaResult<Vec<TopicResult>> = block_on(admin.create_topics([&new], &options()));
    let code = match answer {
        Ok(results) => match results.into_iter().next() {
            Some(Err((_, code))) => code,
            Some(Ok(_)) | None => return Ok(()),
        },
        Err(error) => error.rdkafka_error_code().ok_or_else(|| Refusal::Other(error.to_string()))?,
    };
    match code {
        // Another node was faster.
        RDKafkaErrorCode::TopicAlreadyExists => Ok(()),
        RDKafkaErrorCode::InvalidReplicationFactor
        | RDKafkaErrorCode::UnsupportedFeature
        | RDKafkaErrorCode::UnsupportedVersion => Err(Refusal::Replication),
        other => Err(Refusal::Other(other.to_string())),
    }
}

fn check(
    admin: &Admin,
    settings: &Settings,
    existing: &[(Topic, usize)],
    warnings: &mut Vec<Warning>,
) -> Result<(), Error> {
    if existing.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = existing.iter().map(|(topic, _)| settings.topic_name(*topic)).collect();
    let resources: Vec<ResourceSpecifier<'_>> =
        names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let answers = block_on(admin.describe_configs(&resources, &options()))
        .map_err(Error::client("ask for the settings of the topics"))?;
    for (((topic, partitions), name), answer) in existing.iter().zip(&names).zip(answers) {
        warnings.extend(check_partitions(settings, *topic, name, *partitions));
        match answer {
            Ok(resource) => {
                let found: HashMap<&str, &str> = resource
                    .entries
                    .iter()
                    .filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)))
                    .collect();
                warnings.extend(check_properties(settings, *topic, name, &found));
            }
            Err(code) => warnings.push(Warning {
                topic: *topic,
                text: format!("the settings of {name} could not be checked: {code}"),
                command: format!(
                    "{} --describe --entity-type topics --entity-name {name}",
                    configs(settings)
                ),
                prevents_arming: false,
            }),
        }
    }
    Ok(())
}

fn check_partitions(settings: &Settings, topic: Topic, name: &str, found: usize) -> Option<Warning> {
    let specification = specification(topic);
    let wanted = usize::try_from(specification.partitions).unwrap_or(1);
    let topics = format!("kafka-topics.sh --bootstrap-server {}", settings.brokers);
    let (text, command) = if found > wanted && specification.ordered {
        (
            format!("{name} has {found} partitions instead of {wanted}: its messages have no order"),
            format!("{topics} --delete --topic {name}  (swell creates it anew)"),
        )
    } else if found < wanted {
        (
            format!(
                "{name} has {found} partitions instead of {wanted}: measurements are read by fewer collectors"
            ),
            format!("{topics} --alter --topic {name} --partitions {wanted}"),
        )
    } else {
        return None;
    };
    Some(Warning { topic, text, command, prevents_arming: false })
}

fn check_properties(
    settings: &Settings,
    topic: Topic,
    name: &str,
    found: &HashMap<&str, &str>,
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (property, wanted) in specification(topic).properties() {
        let Some(&value) = found.get(property) else { continue };
        let consequence = match property {
            "message.timestamp.type" if value != wanted && topic == Topic::Heartbeat => {
                "drivers learn no broker time and cannot arm"
            }
            "message.timestamp.type" if value != wanted => "records are stamped by the sender's clock",
            "cleanup.policy" if value != wanted => {
                "messages are deleted by key, and those without a key refused"
            }
            "retention.ms" if is_less(value, &wanted) => "records are deleted too early",
            "retention.bytes" if is_less(value, &wanted) => "measurements are deleted too early",
            // Other values cost disk, or nothing.
            _ => continue,
        };
        warnings.push(Warning {
            topic,
            text: format!("{name} has {property}={value} instead of {wanted}: {consequence}"),
            command: alteration(settings, name, property, &wanted),
            prevents_arming: property == "message.timestamp.type" && topic == Topic::Heartbeat,
        });
    }
    warnings
}

fn alteration(settings: &Settings, name: &str, property: &str, value: &str) -> String {
    let configs = configs(settings);
    format!("{configs} --alter --entity-type topics --entity-name {name} --add-config {property}={value}")
}

/// The command that gives heartbeats the broker's stamps.
pub fn stamp_command(settings: &Settings) -> String {
    alteration(settings, &settings.topic_name(Topic::Heartbeat), "message.timestamp.type", "LogAppendTime")
}

/// Whether a bound is below the wanted one; -1 stands for none.
fn is_less(value: &str, wanted: &str) -> bool {
    match (value.parse::<i64>(), wanted.parse::<i64>()) {
        (Ok(value), Ok(wanted)) => (0..wanted).contains(&value),
        _ => false,
    }
}

fn configs(settings: &Settings) -> String {
    format!("kafka-configs.sh --bootstrap-server {}", settings.brokers)
}

fn creation_command(settings: &Settings, topic: Topic, name: &str, replication: i32) -> String {
    let specification = specification(topic);
    let mut command = format!(
        "kafka-topics.sh --bootstrap-server {} --create --topic {name} --partitions {}",
        settings.brokers, specification.partitions
    );
    if replication > 0 {
        command.push_str(&format!(" --replication-factor {replication}"));
    }
    for (property, value) in specification.properties() {
        command.push_str(&format!(" --config {property}={value}"));
    }
    command
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT)).operation_timeout(Some(ANSWER_TIMEOUT))
}

/// Waits for one answer of the admin client. A whole runtime for six questions would be too much.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
