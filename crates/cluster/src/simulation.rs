//! A whole cluster in virtual time: real machines, real bytes, a model engine and target, and whatever can go wrong.
//!
//! `GROUNDSWELL_SEED=17 cargo test -p cluster simulation -- --nocapture` replays one seed;
//! `GROUNDSWELL_SEEDS=100000` runs more of them, from that one or from 0 on. A failing seed is printed with what it broke.

mod script;
mod port;
mod users;
mod engine;
mod ledger;
mod world;
mod files;
mod fixtures;
mod driver_host;
mod orchestrator_host;
mod checks;
mod bugs;
mod cases;
mod foreign;

use transport::{Command as Order, Control, Message, Uuid};

use crate::driver::Event as DriverEvent;
use crate::orchestrator::{Command, Event as OrchestratorEvent, Outcome};
use crate::run::{Bug, Bugs};
use script::{Fault, MS, SECOND, START_AT, Script};
use world::{Body, Due, Restart, World};

/// A run that is not over by then never ends.
const LIMIT: u64 = 600 * SECOND;
/// What the collector says of a threshold that is to end the run.
const CROSSED: &str = "threshold p99 < 1ms breached after 8 s: 2.000 ms";
/// Seeds that the ordinary tests run.
const SEEDS: u64 = 2000;

/// What a simulation saw.
#[derive(Debug)]
struct Report {
    violations: Vec<String>,
    outcomes: Vec<Outcome>,
    kinds: std::collections::BTreeMap<String, u64>,
    replies: Vec<(u64, Result<crate::view::RunState, String>)>,
}

fn simulate(script: Script, bug: Option<Bug>, trace: bool) -> Report {
    let faults: Vec<u64> = script.faults.iter().map(|(at, _)| *at).collect();
    let drivers = script.drivers;
    let mut world = World::new(script, Bugs::plant(bug));
    world.facts.delay_ms = world.script.delay_ms;
    world.facts.epoch = -1;
    world.facts.trace = trace;
    let first = world.spawn_orchestrator(0);
    for number in 0..drivers {
        world.spawn_driver(number, format!("driver-{number}"));
    }
    world.at(START_AT, Due::StartRun { process: first, run_id: "run-0".to_owned() });
    for (number, at) in faults.into_iter().enumerate() {
        world.at(at, Due::Fault(number));
    }
    world.at(START_AT + SECOND, Due::Watch);
    while let Some(due) = world.next() {
        if world.now > LIMIT {
            world.facts.violate("the run never ended");
            break;
        }
        if matches!(due, Due::Watch) && world.is_over() {
            break;
        }
        world.turn(due);
    }
    let facts = world.facts;
    Report {
        violations: facts.violations,
        outcomes: facts.outcomes,
        kinds: facts.kinds,
        replies: facts.replies,
    }
}

impl World {
    fn turn(&mut self, due: Due) {
        match due {
            Due::Watch => self.at(self.now + SECOND / 2, Due::Watch),
            Due::Fault(number) => self.strike(self.script.faults[number].1.clone()),
            Due::Restart(restart) => self.restart(restart),
            Due::Flush(id, lane) => self.flush(id, lane),
            Due::Tick(id)
            | Due::Poll(id, _)
            | Due::Acknowledged(id, ..)
            | Due::Prepared(id, ..)
            | Due::Walked(id, ..)
            | Due::Collect(id) => {
                if let Some(due) = self.put_off(id, due) {
                    self.process_turn(due);
                }
            }
            Due::StartRun { process, run_id } => {
                let due = Due::StartRun { process, run_id };
                if let Some(Due::StartRun { process, run_id }) = self.put_off(process, due) {
                    self.start_run(process, run_id);
                }
            }
        }
    }

    fn process_turn(&mut self, due: Due) {
        match due {
            Due::Tick(id) if self.driver(id).is_some() => self.driver_tick(id),
            Due::Tick(id) => self.orchestrator_tick(id),
            Due::Poll(id, topic) => {
                self.processes[id].port.polling[topic.index()] = false;
                match self.processes[id].body {
                    Body::Driver(_) => self.driver_poll(id, topic),
                    Body::Orchestrator(_) => self.orchestrator_poll(id, topic),
                }
            }
            Due::Acknowledged(id, sent, handed_over, stamp) => {
                let acknowledged = self.acknowledgement(id, sent, handed_over, stamp);
                match self.processes[id].body {
                    Body::Driver(_) => self.tell_driver(id, DriverEvent::Acknowledged(acknowledged)),
                    Body::Orchestrator(_) => {
                        self.tell_orchestrator(id, OrchestratorEvent::Acknowledged(acknowledged))
                    }
                }
            }
            Due::Prepared(id, test_id, well) => self.prepared(id, test_id, well),
            Due::Walked(id, test_id, fixture) => self.walked(id, &test_id, fixture),
            Due::Collect(id) => self.collector_turn(id),
            _ => {}
        }
    }

    /// The latest process of a driver of the script.
    fn process_of(&self, number: usize) -> Option<usize> {
        let is_it = |id: &usize| {
            let process = &self.processes[*id];
            matches!(process.body, Body::Driver(_)) && process.number == number && process.alive
        };
        (0..self.processes.len()).rev().find(is_it)
    }

    fn leader(&self) -> Option<usize> {
        let is_it = |id: &usize| {
            let process = &self.processes[*id];
            matches!(process.body, Body::Orchestrator(_)) && process.number == 0 && process.alive
        };
        (0..self.processes.len()).rev().find(is_it)
    }

    fn strike(&mut self, fault: Fault) {
        let until = |for_ms: u64| self.now + for_ms * MS;
        match fault {
            Fault::KillDriver { driver, restart_after_ms } => {
                let Some(id) = self.process_of(driver) else { return };
                self.processes[id].alive = false;
                if let Some(after_ms) = restart_after_ms {
                    self.at(until(after_ms), Due::Restart(Restart::Driver(driver)));
                    self.restarts += 1;
                }
            }
            Fault::PauseDriver { driver, for_ms } => {
                let until = until(for_ms);
                self.process_of(driver).map(|id| self.processes[id].paused_until = until).unwrap_or_default();
            }
            Fault::CutDriver { driver, for_ms } => {
                let until = until(for_ms);
                self.process_of(driver)
                    .map(|id| self.processes[id].port.cut_until = until)
                    .unwrap_or_default();
            }
            Fault::Leave { driver } => {
                let Some(id) = self.process_of(driver) else { return };
                self.facts.may_stop(id);
                self.facts.leaves(id);
                self.tell_driver(id, DriverEvent::Shutdown);
            }
            Fault::Join => {
                let number = 1000 + self.processes.len();
                self.spawn_driver(number, format!("driver-{number}"));
            }
            Fault::Twin { driver } => {
                let number = 2000 + self.processes.len();
                self.spawn_driver(number, format!("driver-{driver}"));
            }
            Fault::KillOrchestrator { restart_after_ms } => {
                let Some(id) = self.leader() else { return };
                self.processes[id].alive = false;
                if let Some(after_ms) = restart_after_ms {
                    self.at(until(after_ms), Due::Restart(Restart::Orchestrator(0)));
                    self.restarts += 1;
                }
            }
            Fault::PauseOrchestrator { for_ms } => {
                let until = until(for_ms);
                self.leader().map(|id| self.processes[id].paused_until = until).unwrap_or_default();
            }
            Fault::CutOrchestrator { for_ms } => {
                let until = until(for_ms);
                self.leader().map(|id| self.processes[id].port.cut_until = until).unwrap_or_default();
            }
            Fault::BrokerAway { for_ms } => self.broker_away(until(for_ms)),
            Fault::BrokerStep { by_ms } => {
                self.broker_offset_ms += by_ms;
                self.facts.stepped(by_ms);
            }
            Fault::Rival => {
                let store = self.ledgers.len();
                let rival = self.spawn_orchestrator(store);
                let due = Due::StartRun { process: rival, run_id: format!("run-{store}") };
                self.at(self.now + 2 * SECOND, due);
                self.restarts += 1;
            }
            Fault::Ghost => self.haunt(),
            Fault::Stop => self.order(Command::Stop { run_id: "run-0".to_owned() }),
            Fault::Abort => {
                self.order(Command::Abort {
                    run_id: "run-0".to_owned(),
                    reason: "by the operator".to_owned(),
                });
            }
            Fault::Cross => {
                if let Some(id) = self.leader().filter(|id| self.processes[*id].paused_until <= self.now) {
                    for _ in 0..2 {
                        let (run_id, reason) = ("run-0".to_owned(), CROSSED.to_owned());
                        self.tell_orchestrator(id, OrchestratorEvent::Crossed { run_id, reason });
                    }
                }
            }
            Fault::SetRate { percent } => {
                self.order(Command::SetRate { run_id: "run-0".to_owned(), factor: percent as f64 / 100.0 });
            }
        }
    }

    fn order(&mut self, command: Command) {
        if let Some(id) = self.leader().filter(|id| self.processes[*id].paused_until <= self.now) {
            self.operate(id, command);
        }
    }

    /// A stop by somebody who was superseded.
    fn haunt(&mut self) {
        self.forge(&Message::Control(Control {
            test_id: Some("run-0".to_owned()),
            epoch: self.facts.epoch - 1,
            seq: 1,
            store: Uuid::from_u128(99),
            command: Order::Stop,
        }));
    }

    fn restart(&mut self, restart: Restart) {
        self.restarts -= 1;
        match restart {
            Restart::Driver(number) => {
                self.spawn_driver(number, format!("driver-{number}"));
            }
            Restart::Orchestrator(store) => {
                self.spawn_orchestrator(store);
            }
        }
    }

    /// Whether nothing more can happen: no fault to come, no run, no engine.
    fn is_over(&mut self) -> bool {
        let to_come = self.script.faults.last().is_some_and(|(at, _)| *at >= self.now);
        let busy = self.processes.iter().any(|process| {
            process.alive
                && match &process.body {
                    Body::Driver(host) => host.engine.is_some(),
                    Body::Orchestrator(host) => !host.started || host.machine.current().is_some(),
                }
        });
        !to_come && !busy && self.restarts == 0
    }
}

#[test]
fn seeds() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("GROUNDSWELL_SEED");
    let count = number("GROUNDSWELL_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let first = first.unwrap_or(0);
    let mut failed = Vec::new();
    let mut states = std::collections::BTreeMap::<String, u64>::new();
    let mut kinds = std::collections::BTreeMap::<String, u64>::new();
    for seed in first..first + count {
        let script = Script::draw(seed);
        if count == 1 {
            println!("{script:#?}");
        }
        let report = simulate(script, None, count == 1);
        for outcome in &report.outcomes {
            *states.entry(outcome.state.as_str().to_owned()).or_default() += 1;
        }
        report.kinds.iter().for_each(|(kind, count)| *kinds.entry(kind.clone()).or_default() += count);
        if count == 1 {
            println!("{report:#?}");
        }
        if !report.violations.is_empty() {
            failed.push((seed, report.violations));
        }
    }
    println!("runs by their end: {states:?}\ntimeline: {kinds:?}");
    for (seed, violations) in failed.iter().take(10) {
        println!("seed {seed}: {}", violations.join("\n    "));
    }
    assert!(failed.is_empty(), "{} of {count} seeds failed, the first is {}", failed.len(), failed[0].0);
}
