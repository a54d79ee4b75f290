//! What nodes say to each other, as the rest of the program sees it.
//!
//! Five messages are the protocol's basis, which other implementations speak too; what only ours adds is grouped as
//! `ours`, and is `None` in a message of a foreign peer. Deliberately absent: field names, units and limits of the wire,
//! which are settled in [`crate::wire`].

use std::collections::BTreeMap;
use std::time::Duration;

use clock::BrokerTime;
use uuid::Uuid;

use crate::Topic;

/// One message; its kind settles its topic.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A driver joins, repeats that it is there, or leaves.
    Register(Register),
    /// What to run, and whose share is what.
    TestConfig(TestConfig),
    /// Start of a run.
    Trigger(Trigger),
    /// Every other command of an orchestrator.
    Control(Control),
    /// What a driver measured in one second.
    Metrics(Metrics),
    /// A node lives.
    Heartbeat(Heartbeat),
    /// A piece of a file.
    FileChunk(FileChunk),
    /// Raw events of a driver.
    Events(EventBatch),
}

impl Message {
    /// The topic it travels on.
    pub fn topic(&self) -> Topic {
        match self {
            Message::Register(_) => Topic::Register,
            Message::TestConfig(_) => Topic::TestConfig,
            Message::Trigger(_) => Topic::Trigger,
            Message::Control(_) => Topic::Control,
            Message::Metrics(_) => Topic::Metrics,
            Message::Heartbeat(_) => Topic::Heartbeat,
            Message::FileChunk(_) => Topic::Files,
            Message::Events(_) => Topic::Events,
        }
    }
}

/// A driver joins, repeats that it is there, or leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// Name of the driver, unique in the fleet.
    pub node_id: String,
    /// Where it runs; shown, never connected to.
    pub node_ip: String,
    /// Whether it says goodbye.
    pub leaving: bool,
    /// What a foreign driver does not say.
    pub ours: Option<RegisterOurs>,
}

/// What our drivers add to a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterOurs {
    /// New with every registration of a process, kept by its repetitions.
    pub incarnation: Uuid,
    /// Version of the protocol; a driver of ours says [`crate::wire::PROTOCOL`].
    pub protocol: u32,
    /// Version of the program.
    pub version: String,
    /// Cores it may use.
    pub cores: u32,
    /// Memory it may use.
    pub memory_bytes: u64,
    /// Where it stands, when it was told.
    pub zone: Option<String>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
}

/// The load model, as far as readers of the basic fields must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestType {
    /// As fast as the connections allow.
    Avalanche,
    /// One request per delay, whatever the target does.
    Tsunami,
    /// Staged rates of the fleet; ours only, described by the plan alone.
    Open,
}

/// What to run.
#[derive(Debug, Clone, PartialEq)]
pub struct TestConfig {
    /// The run.
    pub test_id: String,
    /// Its load model.
    pub test_type: TestType,
    /// Tsunami: time between two requests of one driver.
    pub message_delay: Duration,
    /// Avalanche and tsunami: requests of each driver; 0 where the plan says it otherwise.
    pub message_count_per_driver: u64,
    /// What a foreign orchestrator does not say.
    pub ours: Option<TestConfigOurs>,
}

/// The plan and the shares of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct TestConfigOurs {
    /// Source text of the plan.
    pub plan: String,
    /// SHA-256 of that text, lower-case hexadecimal.
    pub plan_sha256: String,
    /// Requests per second that each driver must not exceed.
    pub target_throughput_per_driver: Option<f64>,
    /// Offset of the claim that this belongs to.
    pub epoch: i64,
    /// Who owns which lane.
    pub shares: plan::Shares,
    /// The files that the plan names; none from a version that did not know any.
    pub files: Vec<FileInfo>,
    /// What the plan's setup saved; nothing where it has none.
    pub values: plan::Values,
}

/// A file of a run, and where its pieces are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// As the plan names it. Nobody but who submitted the plan opens a file of this name.
    pub path: String,
    /// SHA-256 of its content, lower-case hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// Offset of its first piece in the topic of files.
    pub first_offset: i64,
    /// Offset of its last piece; below the first when the log has none of it.
    pub last_offset: i64,
}

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChunk {
    /// SHA-256 of the whole file, lower-case hexadecimal.
    pub sha256: String,
    /// Which piece, from 0.
    pub chunk: u32,
    /// Pieces of the file, at least 1.
    pub chunks: u32,
    /// All but the last have [`crate::wire::MAX_CHUNK_BYTES`].
    pub bytes: Vec<u8>,
}

/// Start of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The run.
    pub test_id: String,
    /// What a foreign orchestrator does not say; without it the start is now.
    pub ours: Option<TriggerOurs>,
}

/// When a run starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TriggerOurs {
    /// Offset of the claim that this belongs to.
    pub epoch: i64,
    /// The start, a whole second.
    pub start_at: BrokerTime,
}

/// A command of an orchestrator of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Control {
    /// The run it is about; a claim may be about none yet.
    pub test_id: Option<String>,
    /// Offset of the claim that it belongs to; of a claim itself: the epoch it claims from, or -1.
    pub epoch: i64,
    /// Counts the commands of one orchestrator process.
    pub seq: u64,
    /// The store in whose name it is given.
    pub store: Uuid,
    /// What to do.
    pub command: Command,
}

/// What a [`Control`] says.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// This store takes the lead; the record's offset becomes its epoch.
    Claim,
    /// Drivers may send until then.
    Lease {
        /// End of the lease.
        expires_at: BrokerTime,
    },
    /// Start nothing more, let finish what is in flight.
    Stop,
    /// Stop at once.
    Abort {
        /// Why, for the timeline.
        reason: String,
    },
    /// Multiplies the remaining rate.
    SetRate {
        /// Run time from which it holds.
        from_ns: u64,
        /// Finite, above 0.
        factor: f64,
    },
    /// Changes who owns which lane.
    SetShares {
        /// Run time from which it holds.
        from_ns: u64,
        /// The whole table.
        shares: plan::Shares,
    },
    /// This incarnation of a driver counts no more.
    Fence {
        /// The driver.
        node_id: String,
        /// Which of its incarnations.
        incarnation: Uuid,
    },
    /// One driver is to walk setup or teardown.
    Fixture(Box<FixtureOrder>),
}

/// Who is to walk setup or teardown of which plan. Whoever has begun with it does not begin again.
#[derive(Debug, Clone, PartialEq)]
pub struct FixtureOrder {
    /// Which of them.
    pub fixture: plan::Fixture,
    /// The driver.
    pub node_id: String,
    /// Which of its incarnations.
    pub incarnation: Uuid,
    /// Source text of the plan.
    pub plan: String,
    /// The files that the plan names.
    pub files: Vec<FileInfo>,
    /// What setup saved, for teardown.
    pub values: plan::Values,
}

/// How far a driver is with setup or teardown. Said with each heartbeat until it is of no more use.
#[derive(Debug, Clone, PartialEq)]
pub struct FixtureReport {
    /// The run.
    pub test_id: String,
    /// Which of them.
    pub fixture: plan::Fixture,
    /// What came of it; `None` while it is under way.
    pub outcome: Option<FixtureOutcome>,
}

/// What came of setup or teardown.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FixtureOutcome {
    /// Requests that were sent.
    pub requests: u64,
    /// How long it took.
    pub took_ms: u64,
    /// What failed first, if anything did.
    pub failure: Option<String>,
    /// How much failed in all.
    pub failures: u64,
    /// What setup saved.
    pub values: plan::Values,
}

/// What a driver measured in one second, or one part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    /// The driver.
    pub node_id: String,
    /// The run.
    pub test_id: String,
    /// Names the report; repeated when the same report is sent again.
    pub report_id: String,
    /// The four basic latencies.
    pub summary: Summary,
    /// What a foreign driver does not say.
    pub ours: Option<MetricsOurs>,
}

/// The four basic latencies in milliseconds. They cannot be merged over drivers, hence the windows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Summary {
    /// Mean response time.
    pub mean_ms: f64,
    /// Median response time.
    pub median_ms: f64,
    /// Smallest response time.
    pub min_ms: f64,
    /// Greatest response time.
    pub max_ms: f64,
}

/// The mergeable part of a measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsOurs {
    /// Incarnation of the driver.
    pub incarnation: Uuid,
    /// Counts the seconds that this incarnation reported of this run.
    pub seq: u64,
    /// Which part of that second, from 0.
    pub part: u32,
    /// Parts of that second, at least 1.
    pub parts: u32,
    /// Run second that it is about.
    pub second: u32,
    /// Requests sent so far in this run.
    pub requests_sent: u64,
    /// What was measured; `None` in a message that only ends.
    pub window: Option<metrics::DriverWindow>,
    /// The totals of the driver, with its last message of a run.
    pub fin: Option<metrics::Totals>,
}

/// A node lives.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// The node.
    pub node_id: String,
    /// Wall clock of the node, Unix milliseconds. Only shown: the record's stamp is what counts.
    pub timestamp_unix_ms: i64,
    /// What a foreign driver does not say.
    pub ours: Option<HeartbeatOurs>,
}

/// Which half of the conversation a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Makes load.
    Driver,
    /// Coordinates.
    Orchestrator,
}

/// What a node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// Waits for work.
    Idle,
    /// Prepares a run.
    Arming,
    /// Is ready for the start of its run.
    Armed,
    /// Could not prepare its run; `reason` says why.
    Failed,
    /// Sends, or coordinates a run.
    Running,
    /// Lets finish what is in flight.
    Draining,
    /// Has no broker time yet, so that it cannot arm.
    Unsynchronised,
    /// Is about to go.
    Leaving,
    /// A state that this version does not know.
    Other,
}

/// What our nodes add to a heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub struct HeartbeatOurs {
    /// Incarnation of the node.
    pub incarnation: Uuid,
    /// Driver or orchestrator.
    pub role: Role,
    /// What it is doing.
    pub state: NodeState,
    /// The run it is doing that for.
    pub test_id: Option<String>,
    /// Highest epoch seen in a command; -1 before the first.
    pub epoch: i64,
    /// Version of the shares it applies.
    pub shares_version: u32,
    /// CPU of the process, 100 per core.
    pub cpu_percent: f64,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Open connections.
    pub open_sockets: u32,
    /// Send lag of the last second.
    pub send_lag_p99_us: u64,
    /// Raw events dropped so far.
    pub events_dropped: u64,
    /// Broker time minus the node's wall clock; `None` while unsynchronised.
    pub clock_offset_ms: Option<f64>,
    /// The offset is known to within this.
    pub clock_error_ms: Option<f64>,
    /// Requests sent so far in this run.
    pub requests_sent: u64,
    /// Why it is in its state, for example why arming failed.
    pub reason: Option<String>,
    /// The setup or teardown that it walks or has walked last.
    pub fixture: Option<FixtureReport>,
}

/// Raw events of one driver in one run. What makes it unlike every other batch is run, driver, incarnation and number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventBatch {
    /// The run.
    pub test_id: String,
    /// The driver.
    pub node_id: String,
    /// The driver's process.
    pub incarnation: Uuid,
    /// Epoch of the command that started the run there.
    pub epoch: i64,
    /// Number of the batch, from 0.
    pub number: u64,
    /// Rows in it.
    pub rows: u32,
    /// The rows, as `events::encode` makes them; not looked at here.
    pub bytes: Vec<u8>,
}
