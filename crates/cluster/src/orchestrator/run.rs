//! The current run: its plan, who takes part, who owned which lane when, and how it is to end.
//!
//! Invariant: everything that a restarted orchestrator needs is in [`Run::record`]; the rest is learnt anew.

use std::sync::Arc;
use std::time::Duration;

use clock::{BrokerTime, Instant};
use plan::{LaneSet, Plan, Schedules, Shares, Values};
use transport::{FileInfo, Summary, Uuid};

use super::claim::Claim;
use super::event::Collected;
use super::fixture::Asked;
use crate::run::{Bug, Bugs, FileRecord, MemberRecord, RunRecord, SharesRecord};
use crate::view::RunState;

/// Where a driver stands in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was told the plan.
    Arming,
    /// It has a part in the load.
    Active,
    /// Its totals are in, and equal what was stored.
    Finished,
    /// It fell silent and nobody took its part.
    Lost,
    /// It fell silent, others have its lanes, and it was told to stop.
    Fenced,
    /// It said goodbye.
    Left,
    /// It could not go on, or could not arm.
    Failed,
}

impl Standing {
    const ALL: [Self; 7] =
        [Self::Arming, Self::Active, Self::Finished, Self::Lost, Self::Fenced, Self::Left, Self::Failed];

    /// The name used in records and results.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arming => "arming",
            Self::Active => "active",
            Self::Finished => "finished",
            Self::Lost => "lost",
            Self::Fenced => "fenced",
            Self::Left => "left",
            Self::Failed => "failed",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.as_str() == name)
    }

    /// Whether nothing more is expected of it but a report.
    pub const fn is_gone(self) -> bool {
        matches!(self, Self::Lost | Self::Fenced | Self::Left | Self::Failed)
    }
}

/// One life of a driver in a run.
#[derive(Debug, Clone)]
pub struct Member {
    /// The driver.
    pub node_id: String,
    /// Which life of it; `None` for one that knows only the basic messages.
    pub incarnation: Option<Uuid>,
    /// Where it stands.
    pub standing: Standing,
    /// Version of the first table in which its lanes are its own; `None` while it arms in a run that is on.
    pub first_version: Option<u32>,
    /// Version of the first table that takes them away.
    pub end_version: Option<u32>,
    /// What is merged and stored of it.
    pub collected: Option<Box<Collected>>,
    /// What a driver that knows only the basic messages said last.
    pub summary: Option<Summary>,
    /// When it was taken for gone.
    pub(super) gone_at: Option<Instant>,
    /// A foreign driver: the log has its plan.
    pub(super) configured: bool,
    /// A foreign driver: when it last reported.
    pub(super) reported_at: Option<Instant>,
}

impl Member {
    pub(super) fn new(node_id: String, incarnation: Option<Uuid>, first_version: Option<u32>) -> Self {
        Self {
            node_id,
            incarnation,
            standing: Standing::Arming,
            first_version,
            end_version: None,
            collected: None,
            summary: None,
            gone_at: None,
            configured: false,
            reported_at: None,
        }
    }

    /// Whether it knows only the basic messages.
    pub fn is_foreign(&self) -> bool {
        self.incarnation.is_none()
    }

    /// Whether it said its totals.
    pub(super) fn has_said_totals(&self) -> bool {
        self.collected.as_ref().is_some_and(|collected| collected.fin.is_some())
    }

    /// Whether all that it counted is stored.
    pub(super) fn is_complete(&self) -> bool {
        let told = |collected: &Collected| collected.fin.map(|fin| fin.of_windows());
        self.collected.as_ref().is_some_and(|collected| told(collected) == Some(collected.stored))
    }

    pub(super) fn is_life(&self, node_id: &str, incarnation: Option<Uuid>) -> bool {
        self.node_id == node_id && self.incarnation == incarnation
    }
}

/// A table of lanes, and the run time from which it holds.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub from_ns: u64,
    pub shares: Shares,
}

/// The run that is under way.
#[derive(Debug)]
pub struct Run {
    /// Its identity.
    pub run_id: String,
    /// What is run.
    pub plan: Arc<Plan>,
    /// The files of the plan, and where they are in the log.
    pub files: Vec<FileInfo>,
    /// Where it stands.
    pub state: RunState,
    /// Why, when that needs saying.
    pub reason: Option<String>,
    /// The state it is to end in, once that is decided.
    pub ending: Option<RunState>,
    /// The common start instant, once it was triggered.
    pub start_at: Option<BrokerTime>,
    /// Who takes or took part, in the order in which they came.
    pub members: Vec<Member>,
    pub(super) claim: Claim,
    pub(super) min_drivers: usize,
    pub(super) max_drivers: usize,
    /// Run time at which the end was ordered.
    pub(super) stopped_ns: Option<u64>,
    /// All tables, by version; none before the drivers are chosen.
    pub(super) tables: Vec<Table>,
    pub(super) rates: Vec<(u64, f64)>,
    /// The intended times with all changes of rate; `None` where the target sets the pace, be it in one of several loads.
    pub(super) schedule: Option<Schedules>,
    /// The moment by which everybody must be there or be armed.
    pub(super) arm_by: Option<Instant>,
    /// Second 0 by the machine's own clock, once both are known.
    pub(super) started: Option<Instant>,
    pub(super) ending_since: Option<Instant>,
    /// Since when only stored totals are missing.
    pub(super) closing_since: Option<Instant>,
    /// Who walks setup, once it was asked for.
    pub(super) setup: Option<Asked>,
    /// Who walks teardown.
    pub(super) teardown: Option<Asked>,
    /// What setup saved. It is in no record.
    pub(super) values: Option<Values>,
    /// Until when a restarted orchestrator looks for it.
    pub(super) values_by: Option<Instant>,
    /// Why teardown did not do what it should.
    pub(super) teardown_fault: Option<String>,
    /// When a restarted orchestrator took it up.
    pub(super) resumed_at: Option<Instant>,
    /// Drivers that flapped too often and were told of in the timeline.
    pub(super) set_aside: Vec<String>,
}

impl Run {
    pub(super) fn new(run_id: String, plan: Arc<Plan>, claim: Claim, drivers: (usize, usize)) -> Self {
        Self {
            run_id,
            schedule: Schedules::of(&plan),
            plan,
            files: Vec::new(),
            state: RunState::Created,
            reason: None,
            ending: None,
            start_at: None,
            members: Vec::new(),
            claim,
            min_drivers: drivers.0,
            max_drivers: drivers.1,
            stopped_ns: None,
            tables: Vec::new(),
            rates: Vec::new(),
            arm_by: None,
            started: None,
            ending_since: None,
            closing_since: None,
            setup: None,
            teardown: None,
            values: None,
            values_by: None,
            teardown_fault: None,
            resumed_at: None,
            set_aside: Vec::new(),
        }
    }

    /// The run that a former life of the orchestrator left behind, to be claimed again.
    pub(super) fn resume(record: &RunRecord, claim: Claim, bugs: Bugs) -> Result<Self, String> {
        let plan =
            plan::parse("plan", &record.plan_source).map_err(|_| "its plan cannot be read".to_owned())?;
        let drivers = (record.min_drivers, record.max_drivers);
        let mut run = Self::new(record.run_id.clone(), Arc::new(plan), claim, drivers);
        run.files = record.files.iter().map(file).collect();
        run.state = record.state;
        run.reason.clone_from(&record.reason);
        run.ending = record.ending;
        run.start_at = record.start_at_ms.map(BrokerTime::from_unix_ms);
        run.stopped_ns = record.stopped_ns;
        run.setup = record.setup.as_ref().map(Asked::of).transpose()?;
        run.teardown = record.teardown.as_ref().map(Asked::of).transpose()?;
        run.members = record.members.iter().map(member).collect::<Result<_, _>>()?;
        run.tables = record.tables.iter().map(table).collect::<Result<_, _>>()?;
        if bugs.has(Bug::ForgetShares) {
            run.tables.truncate(1);
        }
        record.rates.iter().for_each(|(from_ns, factor)| run.add_rate(*from_ns, *factor));
        Ok(run)
    }

    /// What a restart needs to know.
    pub(super) fn record(&self) -> RunRecord {
        let mut record =
            RunRecord::new(self.run_id.clone(), self.plan.source.clone(), self.min_drivers, self.max_drivers);
        record.files = self.files.iter().map(file_record).collect();
        record.state = self.state;
        record.reason.clone_from(&self.reason);
        record.ending = self.ending;
        record.epoch = self.epoch();
        record.start_at_ms = self.start_at.map(BrokerTime::unix_ms);
        record.stopped_ns = self.stopped_ns;
        record.rates.clone_from(&self.rates);
        record.setup = self.setup.as_ref().map(Asked::record);
        record.teardown = self.teardown.as_ref().map(Asked::record);
        record.tables = self.tables.iter().map(table_record).collect();
        record.members = self.members.iter().map(member_record).collect();
        record
    }

    /// How long drivers may take to fetch the files, beyond what arming takes.
    pub(super) fn fetching(&self) -> Duration {
        /// Bytes in a second, of a slow network and a broker that has other things to do.
        const SLOW: u64 = 4 << 20;
        Duration::from_secs(self.files.iter().map(|file| file.size).sum::<u64>() / SLOW)
    }

    /// The epoch it is commanded under.
    pub fn epoch(&self) -> Option<i64> {
        match self.claim {
            Claim::Held { epoch, .. } => Some(epoch),
            Claim::Waiting { .. } | Claim::Superseded => None,
        }
    }

    /// Whether the load is the fleet's, so that one driver can take over from another.
    pub fn is_shared(&self) -> bool {
        !self.plan.is_per_driver()
    }

    /// Run time at which the end was ordered.
    pub fn stopped_ns(&self) -> Option<u64> {
        self.stopped_ns
    }

    /// The intended times with all changes of rate; `None` where the target sets the pace, be it in one of several loads.
    pub fn schedule(&self) -> Option<&Schedules> {
        self.schedule.as_ref()
    }

    /// Run time now: negative before the start. Converted to the machine's own clock once, as drivers do it, so that a
    /// step of the broker's clock does not distort it.
    pub(super) fn elapsed_ms(&self, now: Instant) -> Option<i64> {
        let started = self.started?;
        let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Some(if now >= started { ms(now.since(started)) } else { -ms(started.since(now)) })
    }

    /// The run time at which the load ends by plan; `None` where it ends when it is done.
    pub(super) fn end_ns(&self) -> Option<u64> {
        let by_schedule = self.schedule.as_ref().map(Schedules::end_ns);
        by_schedule.or_else(|| self.plan.duration().map(clock::nanos))
    }

    pub(super) fn version(&self) -> u32 {
        self.tables.last().map_or(0, |table| table.shares.version)
    }

    pub(super) fn add_rate(&mut self, from_ns: u64, factor: f64) {
        self.rates.push((from_ns, factor));
        self.schedule = self.schedule.as_ref().map(|schedule| schedule.scaled_from(from_ns, factor));
    }

    /// The member that this driver is now, if it is one.
    pub(super) fn member_mut(&mut self, node_id: &str, incarnation: Option<Uuid>) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.is_life(node_id, incarnation))
    }

    /// Members that have, or are about to have, a part in the load.
    pub(super) fn present(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| matches!(member.standing, Standing::Arming | Standing::Active))
    }

    /// The spans of run time in which a member owned lanes, up to `until_ns`.
    pub(super) fn spans(&self, member: &Member, until_ns: u64) -> Vec<(LaneSet, u64, u64)> {
        let Some(first) = member.first_version else { return Vec::new() };
        let ends = self.tables.iter().skip(1).map(|table| table.from_ns).chain([u64::MAX]);
        self.tables
            .iter()
            .zip(ends)
            .filter(|(table, _)| {
                let version = table.shares.version;
                version >= first && member.end_version.is_none_or(|end| version < end)
            })
            .map(|(table, end_ns)| {
                (table.shares.lanes_of(&member.node_id), table.from_ns, end_ns.min(until_ns))
            })
            .filter(|(_, from_ns, to_ns)| from_ns < to_ns)
            .collect()
    }

    /// The run time from which the table holds that took a member's lanes away.
    pub(super) fn taken_away_ns(&self, member: &Member) -> Option<u64> {
        let end = member.end_version?;
        self.tables.iter().find(|table| table.shares.version == end).map(|table| table.from_ns)
    }

    /// When drivers that follow the plan have finished what was in flight.
    pub(super) fn drained_by(&self) -> Option<Instant> {
        Some(self.started? + Duration::from_nanos(self.end_ns()?) + self.plan.drain)
    }
}

fn member(record: &MemberRecord) -> Result<Member, String> {
    let incarnation = record.incarnation.as_deref().map(Uuid::parse_str).transpose();
    let incarnation = incarnation.map_err(|error| format!("driver {}: {error}", record.node_id))?;
    let mut member = Member::new(record.node_id.clone(), incarnation, record.first_version);
    member.standing = Standing::parse(&record.standing)
        .ok_or_else(|| format!("driver {}: standing {:?}", record.node_id, record.standing))?;
    member.end_version = record.end_version;
    member.configured = true;
    Ok(member)
}

fn member_record(member: &Member) -> MemberRecord {
    MemberRecord {
        node_id: member.node_id.clone(),
        incarnation: member.incarnation.map(|incarnation| incarnation.to_string()),
        standing: member.standing.as_str().to_owned(),
        first_version: member.first_version,
        end_version: member.end_version,
    }
}

fn file(record: &FileRecord) -> FileInfo {
    FileInfo {
        path: record.path.clone(),
        sha256: record.sha256.clone(),
        size: record.size,
        first_offset: record.first_offset,
        last_offset: record.last_offset,
    }
}

fn file_record(file: &FileInfo) -> FileRecord {
    FileRecord {
        path: file.path.clone(),
        sha256: file.sha256.clone(),
        size: file.size,
        first_offset: file.first_offset,
        last_offset: file.last_offset,
    }
}

fn table(record: &SharesRecord) -> Result<Table, String> {
    let shares =
        Shares { version: record.version, drivers: record.drivers.clone(), owners: record.owners.clone() };
    shares.validate().map_err(|error| error.to_string())?;
    Ok(Table { from_ns: record.from_ns, shares })
}

fn table_record(table: &Table) -> SharesRecord {
    SharesRecord {
        version: table.shares.version,
        from_ns: table.from_ns,
        drivers: table.shares.drivers.clone(),
        owners: table.shares.owners.clone(),
    }
}
