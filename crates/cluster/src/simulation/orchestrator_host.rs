//! What the runtime does for an orchestrator, in virtual time: the machine, its store and its collector.

use std::time::Duration;

use transport::{Message, Start, Topic, Uuid};

use super::script::MS;
use super::world::{Body, Due, World};
use crate::orchestrator::{Action, Command, Event, Orchestrator, Settings, Start as StartRun};
use crate::run::RunRecord;

const TICK: u64 = 200 * MS;

#[derive(Debug)]
pub(super) struct OrchestratorHost {
    pub machine: Orchestrator,
    pub started: bool,
    collecting: Option<String>,
    next_token: u64,
}

fn reads(is_back: bool) -> Vec<(Topic, Start)> {
    let mut reads = vec![
        (Topic::Register, Start::Ago(Duration::from_secs(120))),
        (Topic::Heartbeat, Start::End),
        (Topic::Control, Start::Ago(Duration::from_secs(60))),
    ];
    if is_back {
        reads.push((Topic::TestConfig, Start::Ago(Duration::from_secs(300))));
    }
    reads
}

impl World {
    /// Starts an orchestrator with the store of that number, new or known.
    pub fn spawn_orchestrator(&mut self, store: usize) -> usize {
        while self.ledgers.len() <= store {
            self.ledgers.push(Default::default());
            self.records.push(None);
        }
        let settings = Settings {
            node_id: format!("orchestrator-{store}"),
            store: Uuid::from_u128(store as u128 + 1),
            start_lead: Duration::from_secs(3),
            arm_timeout: Duration::from_secs(10),
        };
        self.orchestrator_starts += 1;
        let seed = self.uuid();
        let host = OrchestratorHost {
            machine: Orchestrator::new(settings, seed).with_bugs(self.bugs),
            started: false,
            collecting: None,
            next_token: 1000 * self.processes.len() as u64,
        };
        let id = self.spawn(store, Body::Orchestrator(Box::new(host)), &reads(self.records[store].is_some()));
        self.at(self.now + 100 * MS, Due::Collect(id));
        id
    }

    pub fn orchestrator(&mut self, id: usize) -> Option<&mut OrchestratorHost> {
        match &mut self.processes[id].body {
            Body::Orchestrator(host) => Some(host),
            Body::Driver(_) => None,
        }
    }

    pub fn orchestrator_tick(&mut self, id: usize) {
        let store = self.processes[id].number;
        let Some(host) = self.orchestrator(id) else { return };
        if !std::mem::replace(&mut host.started, true) {
            let record = self.records[store].as_deref().map(|text| RunRecord::from_json(text).unwrap());
            self.tell_orchestrator(id, Event::Started(record.map(Box::new)));
        }
        self.tell_orchestrator(id, Event::Tick);
        self.at(self.now + TICK, Due::Tick(id));
    }

    pub fn tell_orchestrator(&mut self, id: usize, event: Event) {
        let now = self.processes[id].now(self.now);
        let Some(host) = self.orchestrator(id) else { return };
        let actions = host.machine.on(event, now);
        self.facts.acted(id, actions.len());
        for action in actions {
            self.act_for_orchestrator(id, action);
        }
    }

    fn act_for_orchestrator(&mut self, id: usize, action: Action) {
        let store = self.processes[id].number;
        match action {
            Action::Send(message) => self.send(id, &message),
            Action::Persist(record) => {
                let text = record.to_json();
                self.facts.persisted(text.len());
                self.records[store] = Some(text);
            }
            Action::Reply { token, result } => {
                let run_id = self
                    .orchestrator(id)
                    .and_then(|host| host.machine.current())
                    .map(|run| run.run_id.clone());
                self.facts.replied(token, run_id, result.map_err(|error| error.to_string()), self.now);
            }
            Action::Collect { run_id } => {
                if let Some(host) = self.orchestrator(id) {
                    host.collecting = Some(run_id);
                }
                self.collect(id, true);
            }
            Action::Timeline(event) => self.facts.timeline(event, self.now),
            Action::Ended(outcome) => {
                self.records[store] = None;
                if let Some(host) = self.orchestrator(id) {
                    host.collecting = None;
                }
                self.check_outcome(store, *outcome);
            }
            Action::Notice(_, text) => self.facts.noticed(id, &text, self.now),
            Action::Exit => {
                self.processes[id].alive = false;
                self.facts.violate("an orchestrator exits and nobody asked it to");
            }
        }
    }

    /// The collector's turn: reads what there is, stores it, and tells the machine.
    pub fn collector_turn(&mut self, id: usize) {
        self.collect(id, false);
        let pause = self.script.collect_ms * MS;
        self.at(self.now + pause, Due::Collect(id));
    }

    fn collect(&mut self, id: usize, all: bool) {
        let store = self.processes[id].number;
        let Some(run_id) = self.orchestrator(id).and_then(|host| host.collecting.clone()) else { return };
        // The ledger keeps its own position; a port only carries it through the log.
        self.processes[id].port.cursors[Topic::Metrics.index()] = Some(self.ledgers[store].cursor);
        while let Some(record) = self.take_record(id, Topic::Metrics) {
            if let Ok(Message::Metrics(metrics)) = &record.message {
                self.ledgers[store].ingest(metrics, &self.due_of_window);
            }
        }
        self.ledgers[store].cursor =
            self.processes[id].port.cursors[Topic::Metrics.index()].take().unwrap_or(0);
        for collected in self.ledgers[store].collected(&run_id, all) {
            self.tell_orchestrator(id, Event::Collected(Box::new(collected)));
        }
    }

    pub fn orchestrator_poll(&mut self, id: usize, topic: Topic) {
        // The runtime reads nothing before the machine has begun; for other topics that makes no difference.
        let has_begun = self.orchestrator(id).is_some_and(|host| host.started);
        if topic == Topic::TestConfig && !has_begun {
            self.poll(id, topic);
            return;
        }
        while let Some(record) = self.take_record(id, topic) {
            self.tell_orchestrator(id, Event::Record(record));
        }
    }

    /// An operator gives a command; whoever is there takes it.
    pub fn operate(&mut self, id: usize, command: Command) {
        let Some(host) = self.orchestrator(id) else { return };
        host.next_token += 1;
        let token = host.next_token;
        if matches!(command, Command::Start(_)) {
            self.facts.asked_to_start(token, self.now);
        }
        self.tell_orchestrator(id, Event::Command { token, command });
    }

    pub fn start_run(&mut self, id: usize, run_id: String) {
        let plan = self.plan();
        let files = self.send_files();
        let min_drivers = self.script.min_drivers;
        let start = StartRun { run_id, plan, files, min_drivers, max_drivers: 64 };
        self.restarts -= u64::from(start.run_id != "run-0");
        self.operate(id, Command::Start(Box::new(start)));
    }
}
