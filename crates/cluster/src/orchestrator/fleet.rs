//! Who is there: registrations and heartbeats, judged in the time of the heartbeat log.
//!
//! Invariant: only later records of the heartbeat log make a driver suspect or lost, never the passing of this machine's
//! own time, so a broker that was away and an orchestrator that slept make nobody lost. Deliberately absent: what a
//! loss means for a run.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use clock::BrokerTime;
use transport::{FixtureReport, Heartbeat, HeartbeatOurs, NodeState, Register, RegisterOurs, Role, Uuid};

const SUSPECT_AFTER: Duration = Duration::from_secs(3);
const LOST_AFTER: Duration = Duration::from_secs(5);
/// A silence of the whole log that is longer says nothing about anybody.
const LOG_GAP: Duration = Duration::from_secs(2);
/// How long after a registration under a known name the known driver must still speak for both to be alive. Covers
/// what was under way when it died.
const BOTH_ALIVE_AFTER: Duration = Duration::from_secs(2);
/// Drivers that are remembered: as many as there are lanes, and as many that have gone.
const MAX_NODES: usize = 2 * plan::LANES;
/// Newcomers that were refused and are refused again when they repeat themselves.
const MAX_REFUSED: usize = 64;

/// Whether a driver is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It registered and has not been heard since.
    Registered,
    /// It speaks.
    Alive,
    /// Silent for more than 3 s.
    Suspect,
    /// Silent for more than 5 s.
    Lost,
    /// It said goodbye.
    Left,
}

/// A driver as its messages tell.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name.
    pub node_id: String,
    /// Where it says it is.
    pub address: String,
    /// What it says of itself; `None` for one that knows only the basic messages.
    pub facts: Option<RegisterOurs>,
    /// Whether it is there.
    pub liveness: Liveness,
    /// Its last heartbeat.
    pub heartbeat: Option<HeartbeatOurs>,
    /// Stamp of that.
    pub heard: Option<BrokerTime>,
    /// It was taken for lost and told so: this life of it does not come back.
    pub fenced: bool,
    /// Another process that registered under this name.
    rival: Option<Rival>,
}

#[derive(Debug, Clone)]
struct Rival {
    register: Register,
    since: BrokerTime,
    /// Stamp of its last heartbeat, or of its registration.
    heard: BrokerTime,
}

impl Rival {
    fn incarnation(&self) -> Option<Uuid> {
        self.register.ours.as_ref().map(|ours| ours.incarnation)
    }
}

impl Node {
    /// Which life of it; `None` for one that knows only the basic messages.
    pub fn incarnation(&self) -> Option<Uuid> {
        self.facts.as_ref().map(|facts| facts.incarnation)
    }

    /// Whether it counts as there.
    pub fn is_present(&self) -> bool {
        matches!(self.liveness, Liveness::Alive | Liveness::Suspect)
    }

    /// Its last heartbeat, if that is about `run_id`.
    pub(super) fn at_work_on(&self, run_id: &str) -> Option<&HeartbeatOurs> {
        self.heartbeat.as_ref().filter(|heartbeat| heartbeat.test_id.as_deref() == Some(run_id))
    }

    /// What its last heartbeat says of the setup or teardown of a run.
    pub(super) fn fixture_of(&self, run_id: &str, fixture: plan::Fixture) -> Option<&FixtureReport> {
        let report = self.heartbeat.as_ref()?.fixture.as_ref()?;
        (report.test_id == run_id && report.fixture == fixture).then_some(report)
    }

    /// Whether it could take up a run.
    pub(super) fn is_free(&self) -> bool {
        let state = self.heartbeat.as_ref().map(|heartbeat| heartbeat.state);
        let idle = [NodeState::Idle, NodeState::Failed, NodeState::Unsynchronised];
        match (&self.facts, self.liveness) {
            (Some(_), Liveness::Alive) => state.is_some_and(|state| idle.contains(&state)),
            (None, Liveness::Alive | Liveness::Registered) => true,
            _ => false,
        }
    }
}

/// What a message told about the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Joined {
        node_id: String,
    },
    Suspect {
        node_id: String,
    },
    /// Silent for too long; `incarnation` is the one that was lost.
    Lost {
        node_id: String,
        incarnation: Option<Uuid>,
    },
    /// It was lost, and speaks again.
    Back {
        node_id: String,
    },
    Left {
        node_id: String,
        incarnation: Option<Uuid>,
    },
    /// A second driver under a name whose owner is alive.
    NameTaken {
        node_id: String,
        incarnation: Uuid,
    },
    /// The whole log was silent; all timers begin anew.
    LogGap {
        for_ms: u64,
    },
    /// There are too many drivers to remember this one.
    Full {
        node_id: String,
    },
}

/// All drivers that registered.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    nodes: BTreeMap<String, Node>,
    refused: VecDeque<Uuid>,
    log_now: Option<BrokerTime>,
}

impl Fleet {
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    pub fn node(&self, node_id: &str) -> Option<&Node> {
        self.nodes.get(node_id)
    }

    /// The node of that name, if it is in that life.
    pub fn life(&self, node_id: &str, incarnation: Option<Uuid>) -> Option<&Node> {
        self.node(node_id).filter(|node| node.incarnation() == incarnation)
    }

    /// The newest stamp of the heartbeat log.
    pub fn log_now(&self) -> Option<BrokerTime> {
        self.log_now
    }

    pub fn fence(&mut self, node_id: &str) {
        if let Some(node) = self.nodes.get_mut(node_id) {
            node.fenced = true;
        }
    }

    /// A driver that a former life of this orchestrator knew. Its silence is measured from the first record on.
    pub fn expect(&mut self, node_id: &str, incarnation: Option<Uuid>) {
        let facts = incarnation.map(|incarnation| RegisterOurs {
            incarnation,
            protocol: transport::wire::PROTOCOL,
            version: String::new(),
            cores: 0,
            memory_bytes: 0,
            zone: None,
            labels: BTreeMap::new(),
        });
        let register =
            Register { node_id: node_id.to_owned(), node_ip: String::new(), leaving: false, ours: facts };
        let node = Node { liveness: Liveness::Alive, ..Node::of(register) };
        self.nodes.insert(node_id.to_owned(), node);
    }

    pub fn register(&mut self, register: Register, stamp: Option<BrokerTime>) -> Vec<Change> {
        let node_id = register.node_id.clone();
        let incarnation = register.ours.as_ref().map(|ours| ours.incarnation);
        let refused = incarnation.filter(|incarnation| self.refused.contains(incarnation));
        if let Some(incarnation) = refused {
            return if register.leaving { vec![] } else { vec![Change::NameTaken { node_id, incarnation }] };
        }
        let room = self.make_room();
        let Some(node) = self.nodes.get_mut(&node_id) else {
            return match (register.leaving, room) {
                (true, _) => vec![],
                (false, false) => vec![Change::Full { node_id }],
                (false, true) => {
                    self.nodes.insert(node_id.clone(), Node::of(register));
                    vec![Change::Joined { node_id }]
                }
            };
        };
        if node.incarnation() == incarnation {
            return node.repeat(register);
        }
        if register.leaving {
            node.rival.take_if(|rival| rival.incarnation() == incarnation);
            return vec![];
        }
        // One that was fenced comes again under a new incarnation: nobody else has the name.
        if node.is_present() && !node.fenced {
            let since = stamp.or(self.log_now).unwrap_or_default();
            // Of several that wait for a name the first one has it, as long as it speaks.
            let waits = |rival: &Rival| since.since(rival.heard) <= LOST_AFTER;
            if incarnation.is_some() && !node.rival.as_ref().is_some_and(waits) {
                node.rival = Some(Rival { register, since, heard: since });
            }
            return vec![];
        }
        *node = Node::of(register);
        vec![Change::Joined { node_id }]
    }

    pub fn heartbeat(&mut self, heartbeat: Heartbeat, stamp: Option<BrokerTime>) -> Vec<Change> {
        let mut changes = Vec::new();
        let Some(stamp) = stamp else { return changes };
        self.advance(stamp, &mut changes);
        let is_driver = heartbeat.ours.as_ref().is_none_or(|ours| ours.role == Role::Driver);
        let incarnation = heartbeat.ours.as_ref().map(|ours| ours.incarnation);
        let node = self.nodes.get_mut(&heartbeat.node_id);
        if let Some(node) = node.filter(|_| is_driver) {
            if node.incarnation() == incarnation {
                node.hear(heartbeat, stamp, &mut changes);
            } else if let Some(rival) = node.rival.as_mut().filter(|rival| rival.incarnation() == incarnation)
            {
                rival.heard = stamp;
            }
        }
        for change in &changes {
            if let Change::NameTaken { incarnation, .. } = change {
                if self.refused.len() == MAX_REFUSED {
                    self.refused.pop_front();
                }
                self.refused.push_back(*incarnation);
            }
        }
        self.judge(&mut changes);
        changes
    }

    /// Moves the time of the log on.
    fn advance(&mut self, stamp: BrokerTime, changes: &mut Vec<Change>) {
        let silent = self.log_now.map(|log_now| stamp.since(log_now));
        let is_first = self.log_now.is_none();
        if is_first || silent.is_some_and(|silent| silent > LOG_GAP) {
            self.nodes
                .values_mut()
                .filter(|node| node.is_present())
                .for_each(|node| node.heard = Some(stamp));
        }
        if let Some(silent) = silent.filter(|silent| *silent > LOG_GAP) {
            changes.push(Change::LogGap { for_ms: u64::try_from(silent.as_millis()).unwrap_or(u64::MAX) });
        }
        self.log_now = self.log_now.max(Some(stamp));
    }

    /// Finds out who has been silent for too long.
    fn judge(&mut self, changes: &mut Vec<Change>) {
        let Some(log_now) = self.log_now else { return };
        for node in self.nodes.values_mut().filter(|node| node.is_present()) {
            let silent = log_now.since(*node.heard.get_or_insert(log_now));
            let node_id = node.node_id.clone();
            if silent > LOST_AFTER {
                node.liveness = Liveness::Lost;
                changes.push(Change::Lost { node_id, incarnation: node.incarnation() });
                node.yield_to_rival(changes);
            } else if silent > SUSPECT_AFTER && node.liveness == Liveness::Alive {
                node.liveness = Liveness::Suspect;
                changes.push(Change::Suspect { node_id });
            }
        }
    }

    /// Whether another driver can be remembered, if need be by forgetting one that has gone.
    fn make_room(&mut self) -> bool {
        if self.nodes.len() < MAX_NODES {
            return true;
        }
        let gone = self.nodes.values().find(|node| matches!(node.liveness, Liveness::Lost | Liveness::Left));
        let gone = gone.map(|node| node.node_id.clone());
        gone.is_some_and(|node_id| self.nodes.remove(&node_id).is_some())
    }

    /// As if the log's time were `now`: what a machine that trusts its own clock would do.
    #[cfg(test)]
    pub fn judge_by(&mut self, now: BrokerTime) -> Vec<Change> {
        let mut changes = Vec::new();
        self.log_now = self.log_now.max(Some(now));
        self.judge(&mut changes);
        changes
    }
}

impl Node {
    fn of(register: Register) -> Self {
        Self {
            node_id: register.node_id,
            address: register.node_ip,
            facts: register.ours,
            liveness: Liveness::Registered,
            heartbeat: None,
            heard: None,
            fenced: false,
            rival: None,
        }
    }

    /// A registration of the same life.
    fn repeat(&mut self, register: Register) -> Vec<Change> {
        if register.leaving {
            let gone = self.liveness == Liveness::Left;
            self.liveness = Liveness::Left;
            let mut changes = vec![];
            if !gone {
                changes.push(Change::Left { node_id: self.node_id.clone(), incarnation: self.incarnation() });
                self.yield_to_rival(&mut changes);
            }
            return changes;
        }
        let joins = self.facts.is_none() && !self.is_present();
        self.address = register.node_ip;
        self.facts = register.ours;
        if joins && self.liveness != Liveness::Registered {
            self.liveness = Liveness::Registered;
            return vec![Change::Joined { node_id: self.node_id.clone() }];
        }
        vec![]
    }

    fn hear(&mut self, heartbeat: Heartbeat, stamp: BrokerTime, changes: &mut Vec<Change>) {
        self.heard = self.heard.max(Some(stamp));
        self.heartbeat = heartbeat.ours;
        match self.liveness {
            Liveness::Left => return,
            Liveness::Lost if self.fenced => return,
            Liveness::Lost => changes.push(Change::Back { node_id: self.node_id.clone() }),
            Liveness::Registered | Liveness::Alive | Liveness::Suspect => {}
        }
        self.liveness = Liveness::Alive;
        let both_alive = |rival: &mut Rival| stamp.since(rival.since) > BOTH_ALIVE_AFTER;
        let rival = self.rival.take_if(both_alive).and_then(|rival| rival.register.ours);
        if let Some(rival) = rival {
            let node_id = self.node_id.clone();
            changes.push(Change::NameTaken { node_id, incarnation: rival.incarnation });
        }
    }

    /// The name is free: who waited for it has it.
    fn yield_to_rival(&mut self, changes: &mut Vec<Change>) {
        if let Some(rival) = self.rival.take() {
            *self = Node::of(rival.register);
            changes.push(Change::Joined { node_id: self.node_id.clone() });
        }
    }
}
