//! What the orchestrator's machine knows, as views.

use clock::BrokerTime;
use plan::Schedules;
use transport::NodeState;

use crate::orchestrator::{Liveness, Member, Node, Orchestrator, Run, Standing};
use crate::run::Now;
use crate::view::{DriverView, RunDriver, RunState};

/// What the board shows of the run under way.
pub(super) struct Status {
    pub(super) run_id: String,
    pub(super) state: RunState,
    pub(super) reason: Option<String>,
    pub(super) started_ms: Option<i64>,
    pub(super) drivers: Vec<RunDriver>,
    pub(super) schedule: Option<Schedules>,
    /// Run time at which somebody or something ended the load.
    pub(super) stopped_ns: Option<u64>,
}

pub(super) fn status(machine: &Orchestrator, now: Now) -> Option<Status> {
    let run = machine.current()?;
    // Triggered, and the common start not reached: every driver is ready and none sends.
    let waits = run.state == RunState::Running && machine.second(now).is_none();
    Some(Status {
        run_id: run.run_id.clone(),
        state: if waits { RunState::Armed } else { run.state },
        reason: run.reason.clone(),
        started_ms: run.start_at.map(BrokerTime::unix_ms),
        drivers: drivers(run, machine),
        schedule: run.schedule().cloned(),
        stopped_ns: run.stopped_ns(),
    })
}

/// One row per driver; of several lives of one, the last.
fn drivers(run: &Run, machine: &Orchestrator) -> Vec<RunDriver> {
    let mut drivers: Vec<RunDriver> = Vec::new();
    for member in &run.members {
        let node = machine.nodes().find(|node| node.node_id == member.node_id);
        let shown = RunDriver {
            node_id: member.node_id.clone(),
            state: member_state(run, member, node),
            requests_sent: member.collected.as_ref().map_or(0, |collected| collected.stored.requests_sent),
            foreign: member.is_foreign(),
            summary_only: member.summary,
        };
        match drivers.iter_mut().find(|driver| driver.node_id == shown.node_id) {
            Some(driver) => *driver = shown,
            None => drivers.push(shown),
        }
    }
    drivers
}

fn member_state(run: &Run, member: &Member, node: Option<&Node>) -> &'static str {
    match member.standing {
        Standing::Active if node.is_some_and(|node| node.liveness == Liveness::Suspect) => "suspect",
        Standing::Active => match run.state {
            RunState::Created | RunState::Arming | RunState::Armed => "armed",
            RunState::Draining => "draining",
            _ => "running",
        },
        standing => standing.as_str(),
    }
}

pub(super) fn fleet(machine: &Orchestrator) -> Vec<DriverView> {
    let present = machine.nodes().filter(|node| node.liveness != Liveness::Left);
    present.map(|node| driver(node, machine)).collect()
}

fn driver(node: &Node, machine: &Orchestrator) -> DriverView {
    let (facts, beat) = (node.facts.as_ref(), node.heartbeat.as_ref());
    DriverView {
        node_id: node.node_id.clone(),
        address: node.address.clone(),
        state: node_state(node),
        heartbeat_age_ms: machine
            .silence(node)
            .map(|silence| u64::try_from(silence.as_millis()).unwrap_or(u64::MAX)),
        cores: facts.map(|facts| facts.cores),
        cpu_percent: beat.map(|beat| beat.cpu_percent),
        memory_bytes: beat.map(|beat| beat.memory_bytes),
        version: facts.map(|facts| facts.version.clone()),
        clock_offset_ms: beat.and_then(|beat| beat.clock_offset_ms),
        clock_error_ms: beat.and_then(|beat| beat.clock_error_ms),
        requests_sent: beat.map(|beat| beat.requests_sent),
        send_lag_p99_us: beat.map(|beat| beat.send_lag_p99_us),
        open_sockets: beat.map(|beat| beat.open_sockets),
        zone: facts.and_then(|facts| facts.zone.clone()),
        labels: facts.map(|facts| facts.labels.clone()).unwrap_or_default(),
        reason: beat.and_then(|beat| beat.reason.clone()),
    }
}

fn node_state(node: &Node) -> &'static str {
    match (node.liveness, &node.facts, &node.heartbeat) {
        (Liveness::Lost, ..) => "lost",
        (Liveness::Left, ..) => "left",
        (Liveness::Suspect, ..) => "suspect",
        (Liveness::Registered, Some(_), _) | (Liveness::Alive, Some(_), None) => "joining",
        (_, None, _) => "foreign",
        (Liveness::Alive, Some(_), Some(beat)) => match beat.state {
            NodeState::Idle => "idle",
            NodeState::Arming => "arming",
            NodeState::Armed => "armed",
            NodeState::Failed => "failed",
            NodeState::Running => "running",
            NodeState::Draining => "draining",
            NodeState::Unsynchronised => "unsynchronised",
            NodeState::Leaving => "leaving",
            NodeState::Other => "other",
        },
    }
}
