//! Registration, plan, start and sign of life: the fields of the protocol's basis, and what ours adds to each.

use serde::{Deserialize, Serialize, de, ser};

use super::files::{FileFields, check_files};
use super::fixture::{ReportFields, check_values};
use super::form::{Count, Delay, Id, Moment, Name, Number, Offset, Text, Timestamp, Yes};
use super::{Labels, MAX_LABELS, MAX_PLAN_BYTES, Malformed, Mark, PROTOCOL, Shares, Source, Whole, sha256};
use crate::message::{
    Heartbeat, HeartbeatOurs, NodeState, Register, RegisterOurs, Role, TestConfig, TestConfigOurs, TestType,
    Trigger, TriggerOurs,
};

#[derive(Serialize, Deserialize)]
struct RegisterBasis {
    node_id: Name,
    #[serde(rename = "node_IP", default)]
    node_ip: Text,
    message_type: RegisterType,
}

#[derive(Serialize, Deserialize)]
enum RegisterType {
    #[serde(rename = "DRIVER_NODE_REGISTER")]
    Register,
    #[serde(rename = "DRIVER_NODE_LEAVE")]
    Leave,
}

#[derive(Serialize, Deserialize)]
struct RegisterAdded {
    incarnation: Id,
    protocol: Protocol,
    #[serde(default)]
    version: Text,
    #[serde(default)]
    cores: Count<u32>,
    #[serde(default)]
    memory_bytes: Count<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<Text>,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    labels: Labels,
}

/// The version of the protocol; reading takes only the one that is known.
#[derive(Clone, Copy, Serialize)]
#[serde(transparent)]
struct Protocol(u32);

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Count(version) = Count::<u32>::deserialize(deserializer)?;
        if version == PROTOCOL {
            return Ok(Self(version));
        }
        let problem = format_args!(
            "expected protocol version {PROTOCOL}, found {version}; use the same version of swell everywhere"
        );
        Err(de::Error::custom(problem))
    }
}

pub fn write_register(register: &Register) -> serde_json::Result<Vec<u8>> {
    let basis = RegisterBasis {
        node_id: Name(register.node_id.clone()),
        node_ip: Text(register.node_ip.clone()),
        message_type: if register.leaving { RegisterType::Leave } else { RegisterType::Register },
    };
    let added = register.ours.as_ref().map(|ours| RegisterAdded {
        incarnation: Id(ours.incarnation),
        protocol: Protocol(ours.protocol),
        version: Text(ours.version.clone()),
        cores: Count(ours.cores),
        memory_bytes: Count(ours.memory_bytes),
        zone: ours.zone.clone().map(Text),
        labels: ours.labels.iter().map(|(name, value)| (name.clone(), Text(value.clone()))).collect(),
    });
    Whole::write(basis, added)
}

pub fn read_register(source: &Source) -> Result<Register, Malformed> {
    let basis: RegisterBasis = source.fields()?;
    let added: Option<RegisterAdded> = source.added(Mark::Incarnation)?;
    if added.as_ref().is_some_and(|added| added.labels.len() > MAX_LABELS) {
        return Err(source.malformed("labels", format!("expected at most {MAX_LABELS} labels")));
    }
    Ok(Register {
        node_id: basis.node_id.0,
        node_ip: basis.node_ip.0,
        leaving: matches!(basis.message_type, RegisterType::Leave),
        ours: added.map(|added| RegisterOurs {
            incarnation: added.incarnation.0,
            protocol: added.protocol.0,
            version: added.version.0,
            cores: added.cores.0,
            memory_bytes: added.memory_bytes.0,
            zone: added.zone.map(|zone| zone.0),
            labels: added.labels.into_iter().map(|(name, value)| (name, value.0)).collect(),
        }),
    })
}

#[derive(Serialize, Deserialize)]
struct TestConfigBasis {
    test_id: Name,
    test_type: TestTypeName,
    test_message_delay: Delay,
    message_count_per_driver: Count<u64>,
}

/// The names of the load models.
struct TestTypeName(TestType);

impl Serialize for TestTypeName {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self.0 {
            TestType::Avalanche => "AVALANCHE",
            TestType::Tsunami => "TSUNAMI",
            TestType::Open => "OPEN",
        })
    }
}

impl<'de> Deserialize<'de> for TestTypeName {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(name) = Text::deserialize(deserializer)?;
        match name.to_ascii_uppercase().as_str() {
            "AVALANCHE" => Ok(Self(TestType::Avalanche)),
            "TSUNAMI" => Ok(Self(TestType::Tsunami)),
            "OPEN" => Ok(Self(TestType::Open)),
            _ => Err(de::Error::custom(format_args!("expected AVALANCHE, TSUNAMI or OPEN, found {name:?}"))),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct TestConfigAdded {
    epoch: Offset,
    plan: String,
    plan_sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target_throughput_per_driver: Option<Number>,
    shares: Shares,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileFields>,
    #[serde(default, skip_serializing_if = "plan::Values::is_empty")]
    values: plan::Values,
}

pub fn write_test_config(config: &TestConfig) -> serde_json::Result<Vec<u8>> {
    let basis = TestConfigBasis {
        test_id: Name(config.test_id.clone()),
        test_type: TestTypeName(config.test_type),
        test_message_delay: Delay(config.message_delay),
        message_count_per_driver: Count(config.message_count_per_driver),
    };
    let added = config.ours.as_ref().map(|ours| TestConfigAdded {
        epoch: Offset(ours.epoch),
        plan: ours.plan.clone(),
        plan_sha256: ours.plan_sha256.clone(),
        target_throughput_per_driver: ours.target_throughput_per_driver.map(Number),
        shares: Shares::of(&ours.shares),
        files: ours.files.iter().map(FileFields::of).collect(),
        values: ours.values.clone(),
    });
    Whole::write(basis, added)
}

pub fn read_test_config(source: &Source) -> Result<TestConfig, Malformed> {
    let basis: TestConfigBasis = source.fields()?;
    let added: Option<TestConfigAdded> = source.added(Mark::Epoch)?;
    Ok(TestConfig {
        test_id: basis.test_id.0,
        test_type: basis.test_type.0,
        message_delay: basis.test_message_delay.0,
        message_count_per_driver: basis.message_count_per_driver.0,
        ours: added.map(|added| check_plan(added, source)).transpose()?,
    })
}

fn check_plan(added: TestConfigAdded, source: &Source) -> Result<TestConfigOurs, Malformed> {
    if added.plan.len() > MAX_PLAN_BYTES {
        return Err(source.malformed("plan", format!("expected at most {MAX_PLAN_BYTES} bytes")));
    }
    if !added.plan_sha256.eq_ignore_ascii_case(&sha256(&added.plan)) {
        return Err(source.malformed("plan_sha256", "expected the SHA-256 of the field `plan`"));
    }
    let limit = added.target_throughput_per_driver.map(|limit| limit.0);
    if limit.is_some_and(|limit| limit < 0.0) {
        return Err(source.malformed("target_throughput_per_driver", "expected a number of at least 0"));
    }
    Ok(TestConfigOurs {
        plan: added.plan,
        plan_sha256: added.plan_sha256.to_ascii_lowercase(),
        // As in the basic form, 0 stands for no limit.
        target_throughput_per_driver: limit.filter(|limit| *limit > 0.0),
        epoch: added.epoch.0,
        shares: added.shares.check(source)?,
        files: check_files(added.files, source)?,
        values: check_values(added.values, source)?,
    })
}

#[derive(Serialize, Deserialize)]
struct TriggerBasis {
    test_id: Name,
    trigger: Yes,
}

#[derive(Serialize, Deserialize)]
struct TriggerAdded {
    epoch: Offset,
    start_at: Moment,
}

pub fn write_trigger(trigger: &Trigger) -> serde_json::Result<Vec<u8>> {
    let basis = TriggerBasis { test_id: Name(trigger.test_id.clone()), trigger: Yes };
    let added =
        trigger.ours.map(|ours| TriggerAdded { epoch: Offset(ours.epoch), start_at: Moment(ours.start_at) });
    Whole::write(basis, added)
}

pub fn read_trigger(source: &Source) -> Result<Trigger, Malformed> {
    let basis: TriggerBasis = source.fields()?;
    let added: Option<TriggerAdded> = source.added(Mark::Epoch)?;
    Ok(Trigger {
        test_id: basis.test_id.0,
        ours: added.map(|added| TriggerOurs { epoch: added.epoch.0, start_at: added.start_at.0 }),
    })
}

#[derive(Serialize, Deserialize)]
struct HeartbeatBasis {
    node_id: Name,
    heartbeat: Yes,
    timestamp: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct HeartbeatAdded {
    incarnation: Id,
    #[serde(default = "driver")]
    role: RoleName,
    state: Text,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    test_id: Option<Name>,
    #[serde(default = "no_epoch")]
    epoch: Offset,
    #[serde(default)]
    shares_version: Count<u32>,
    #[serde(default)]
    cpu_percent: Number,
    #[serde(default)]
    memory_bytes: Count<u64>,
    #[serde(default)]
    open_sockets: Count<u32>,
    #[serde(default)]
    send_lag_p99_us: Count<u64>,
    #[serde(default)]
    events_dropped: Count<u64>,
    clock_offset_ms: Option<Number>,
    clock_error_ms: Option<Number>,
    #[serde(default)]
    requests_sent: Count<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fixture: Option<ReportFields>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RoleName {
    Driver,
    Orchestrator,
}

fn driver() -> RoleName {
    RoleName::Driver
}

fn no_epoch() -> Offset {
    Offset(-1)
}

/// The states with their names. A name that is not here is read as [`NodeState::Other`]: the sign of life counts.
const STATES: [(NodeState, &str); 9] = [
    (NodeState::Idle, "idle"),
    (NodeState::Arming, "arming"),
    (NodeState::Armed, "armed"),
    (NodeState::Failed, "failed"),
    (NodeState::Running, "running"),
    (NodeState::Draining, "draining"),
    (NodeState::Unsynchronised, "unsynchronised"),
    (NodeState::Leaving, "leaving"),
    (NodeState::Other, "other"),
];

impl NodeState {
    /// Its name, as heartbeats and the API say it.
    pub fn as_str(self) -> &'static str {
        STATES.iter().find(|(state, _)| *state == self).map_or("other", |(_, name)| name)
    }
}

pub fn write_heartbeat(heartbeat: &Heartbeat) -> serde_json::Result<Vec<u8>> {
    let basis = HeartbeatBasis {
        node_id: Name(heartbeat.node_id.clone()),
        heartbeat: Yes,
        timestamp: Timestamp(heartbeat.timestamp_unix_ms),
    };
    let added = heartbeat.ours.as_ref().map(|ours| HeartbeatAdded {
        incarnation: Id(ours.incarnation),
        role: match ours.role {
            Role::Driver => RoleName::Driver,
            Role::Orchestrator => RoleName::Orchestrator,
        },
        state: Text(ours.state.as_str().to_owned()),
        test_id: ours.test_id.clone().map(Name),
        epoch: Offset(ours.epoch),
        shares_version: Count(ours.shares_version),
        cpu_percent: Number(ours.cpu_percent),
        memory_bytes: Count(ours.memory_bytes),
        open_sockets: Count(ours.open_sockets),
        send_lag_p99_us: Count(ours.send_lag_p99_us),
        events_dropped: Count(ours.events_dropped),
        clock_offset_ms: ours.clock_offset_ms.map(Number),
        clock_error_ms: ours.clock_error_ms.map(Number),
        requests_sent: Count(ours.requests_sent),
        reason: ours.reason.clone().map(Text),
        fixture: ours.fixture.as_ref().map(ReportFields::of),
    });
    Whole::write(basis, added)
}

pub fn read_heartbeat(source: &Source) -> Result<Heartbeat, Malformed> {
    let basis: HeartbeatBasis = source.fields()?;
    let added: Option<HeartbeatAdded> = source.added(Mark::Incarnation)?;
    Ok(Heartbeat {
        node_id: basis.node_id.0,
        timestamp_unix_ms: basis.timestamp.0,
        ours: added.map(|added| heartbeat_of(added, source)).transpose()?,
    })
}

fn heartbeat_of(added: HeartbeatAdded, source: &Source) -> Result<HeartbeatOurs, Malformed> {
    Ok(HeartbeatOurs {
        incarnation: added.incarnation.0,
        role: match added.role {
            RoleName::Driver => Role::Driver,
            RoleName::Orchestrator => Role::Orchestrator,
        },
        state: STATES
            .iter()
            .find(|(_, name)| *name == added.state.0)
            .map_or(NodeState::Other, |(state, _)| *state),
        test_id: added.test_id.map(|name| name.0),
        epoch: added.epoch.0,
        shares_version: added.shares_version.0,
        cpu_percent: added.cpu_percent.0,
        memory_bytes: added.memory_bytes.0,
        open_sockets: added.open_sockets.0,
        send_lag_p99_us: added.send_lag_p99_us.0,
        events_dropped: added.events_dropped.0,
        clock_offset_ms: added.clock_offset_ms.map(|number| number.0),
        clock_error_ms: added.clock_error_ms.map(|number| number.0),
        requests_sent: added.requests_sent.0,
        reason: added.reason.map(|reason| reason.0),
        fixture: added.fixture.map(|fixture| fixture.check(source)).transpose()?,
    })
}
