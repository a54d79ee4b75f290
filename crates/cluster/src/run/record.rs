//! What an orchestrator must not forget: the state of the current run, as plain data for the store.
//!
//! Invariant: an orchestrator that starts again with the last record and the collector's ledger continues the run as if
//! it had been away. What can be learnt anew is therefore absent: heartbeats, the clock, what was collected.

use serde::{Deserialize, Serialize};

use crate::view::RunState;

/// Bumped when the form changes in a way that an older program cannot read.
const FORMAT: u32 = 1;

/// The state of a run that is under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    format: u32,
    /// The run.
    pub run_id: String,
    /// Source text of its plan.
    pub plan_source: String,
    /// Where it stands.
    #[serde(with = "state_name")]
    pub state: RunState,
    /// Why, when that needs saying.
    pub reason: Option<String>,
    /// How it shall end, once somebody asked: the state to end in.
    #[serde(with = "optional_state_name")]
    pub ending: Option<RunState>,
    /// Offset of the claim it is commanded under; `None` while claiming.
    pub epoch: Option<i64>,
    /// The files of its plan, and where they are in the log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileRecord>,
    /// Drivers it needs.
    pub min_drivers: usize,
    /// Drivers it takes at most.
    pub max_drivers: usize,
    /// The common start instant, Unix milliseconds of broker time, once it was triggered.
    pub start_at_ms: Option<i64>,
    /// When sending stopped or will stop, as run time, once that was decided.
    pub stopped_ns: Option<u64>,
    /// Tables of lanes, by version.
    pub tables: Vec<SharesRecord>,
    /// Rate changes: run time from which each holds, and its factor.
    pub rates: Vec<(u64, f64)>,
    /// Who takes or took part, in the order in which they came.
    pub members: Vec<MemberRecord>,
    /// Who was asked to walk setup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<FixtureRecord>,
    /// Who was asked to walk teardown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teardown: Option<FixtureRecord>,
}

/// Who was asked to walk setup or teardown. What setup saved is not here: it may be a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FixtureRecord {
    /// The driver.
    pub node_id: String,
    /// Which of its lives.
    pub incarnation: String,
    /// Whether nothing more is expected; of setup, that it went well.
    pub is_over: bool,
}

/// A file of a run, as [`transport::FileInfo`] says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileRecord {
    /// As the plan names it.
    pub path: String,
    /// SHA-256 of its content.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// Offset of its first piece.
    pub first_offset: i64,
    /// Offset of its last piece.
    pub last_offset: i64,
}

/// A table of lanes and the run time from which it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SharesRecord {
    /// Counts the tables of a run, from 1.
    pub version: u32,
    /// Run time from which it holds.
    pub from_ns: u64,
    /// Node ids.
    pub drivers: Vec<String>,
    /// For each lane its driver, as an index.
    pub owners: Vec<u16>,
}

/// One incarnation of a driver in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// The driver.
    pub node_id: String,
    /// `None`: it knows only the basic messages.
    pub incarnation: Option<String>,
    /// `arming`, `active`, `finished`, `lost`, `fenced`, `left` or `failed`.
    pub standing: String,
    /// Version of the first table in which its lanes are its own; `None` while it arms in a run that is on.
    pub first_version: Option<u32>,
    /// Version of the first table that takes them away.
    pub end_version: Option<u32>,
}

/// Why a stored record cannot be continued.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is not what [`RunRecord::to_json`] writes.
    #[error("the stored state of the run cannot be read")]
    Malformed(#[from] serde_json::Error),
    /// A newer program wrote it.
    #[error("the stored state of the run has format {0}, this program knows {FORMAT}")]
    Format(u32),
}

impl RunRecord {
    /// A record of a run that is about to claim the lead.
    pub fn new(run_id: String, plan_source: String, min_drivers: usize, max_drivers: usize) -> Self {
        Self {
            format: FORMAT,
            run_id,
            plan_source,
            state: RunState::Created,
            reason: None,
            ending: None,
            epoch: None,
            files: Vec::new(),
            min_drivers,
            max_drivers,
            start_at_ms: None,
            stopped_ns: None,
            tables: Vec::new(),
            rates: Vec::new(),
            members: Vec::new(),
            setup: None,
            teardown: None,
        }
    }

    /// As text for the store.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain data with string keys is always JSON")
    }

    /// From the text that [`RunRecord::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<Self, RecordError> {
        let record: Self = serde_json::from_str(text)?;
        if record.format > FORMAT { Err(RecordError::Format(record.format)) } else { Ok(record) }
    }
}

mod state_name {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::view::RunState;

    pub fn serialize<S: Serializer>(state: &RunState, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(state.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RunState, D::Error> {
        let name = String::deserialize(deserializer)?;
        RunState::parse(&name).ok_or_else(|| D::Error::custom(format!("unknown run state {name:?}")))
    }
}

mod optional_state_name {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::view::RunState;

    pub fn serialize<S: Serializer>(state: &Option<RunState>, serializer: S) -> Result<S::Ok, S::Error> {
        state.map(RunState::as_str).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RunState>, D::Error> {
        match Option::<String>::deserialize(deserializer)? {
            None => Ok(None),
            Some(name) => RunState::parse(&name)
                .map(Some)
                .ok_or_else(|| D::Error::custom(format!("unknown run state {name:?}"))),
        }
    }
}
