//! What the runtime does for a driver, in virtual time: the machine, its model engine, and what it asks for.

use clock::Instant;
use data::Files;
use plan::LaneSet;
use transport::{Message, Start, Topic, Uuid};

use super::engine::{Engine, Said};
use super::script::{FILE, File, MS};
use super::world::{Body, Due, World};
use crate::driver::{Action, Driver, Event, Exit, Preparation, Settings, Vitals};

const TICK: u64 = 250 * MS;
const ENGINE_TICK: u64 = 100 * MS;

#[derive(Debug)]
pub(super) struct DriverHost {
    pub name: String,
    pub machine: Driver,
    pub engine: Option<Engine>,
    pub exited: Option<Exit>,
    started: bool,
    preparation: Option<Preparation>,
    /// What became of the files of the preparation.
    files: Result<Files, String>,
    prepared: bool,
    /// The setup or teardown that it walks.
    pub walking: Option<(String, plan::Fixture)>,
    /// `control` is to be read up to here.
    catch_up_to: Option<i64>,
    due: Vec<u64>,
    requests_sent: u64,
    /// Identity of the life that has the engine.
    life: Uuid,
}

pub(super) const READS: [(Topic, Start); 3] =
    [(Topic::TestConfig, Start::End), (Topic::Trigger, Start::End), (Topic::Control, Start::End)];

impl World {
    pub fn spawn_driver(&mut self, number: usize, name: String) -> usize {
        let settings = Settings {
            node_id: name.clone(),
            address: "10.0.0.1".to_owned(),
            version: "0".to_owned(),
            cores: 2,
            memory_bytes: 1 << 30,
            zone: None,
            labels: Default::default(),
            target: None,
        };
        let seed = self.uuid();
        let host = DriverHost {
            name,
            machine: Driver::new(settings, seed).with_bugs(self.bugs),
            engine: None,
            exited: None,
            started: false,
            preparation: None,
            files: Ok(Files::default()),
            prepared: false,
            walking: None,
            catch_up_to: None,
            due: Vec::new(),
            requests_sent: 0,
            life: Uuid::nil(),
        };
        let id = self.spawn(number, Body::Driver(Box::new(host)), &READS);
        self.processes[id].port.deaf = self.script.deaf == Some(number);
        id
    }

    pub fn driver(&mut self, id: usize) -> Option<&mut DriverHost> {
        match &mut self.processes[id].body {
            Body::Driver(host) => Some(host),
            Body::Orchestrator(_) => None,
        }
    }

    /// Works off the engine up to now, then passes time to the machine.
    pub fn driver_tick(&mut self, id: usize) {
        let Some(host) = self.driver(id) else { return };
        if !std::mem::replace(&mut host.started, true) {
            self.tell_driver(id, Event::Started);
        }
        self.step_engine(id);
        let Some(host) = self.driver(id) else { return };
        let requests_sent = host.requests_sent;
        let next = if host.engine.is_some() { ENGINE_TICK } else { TICK };
        self.tell_driver(id, Event::Tick(Vitals { requests_sent, ..Vitals::default() }));
        self.at(self.now + next, Due::Tick(id));
    }

    fn step_engine(&mut self, id: usize) {
        let now = self.processes[id].clock(self.now);
        let Some(engine) = self.driver(id).and_then(|host| host.engine.as_mut()) else { return };
        engine.step(now);
        self.hear_engine(id);
    }

    /// Passes on what the engine said, and shows the target what it sent.
    fn hear_engine(&mut self, id: usize) {
        let Some(host) = self.driver(id) else { return };
        let Some(engine) = &mut host.engine else { return };
        let hits = std::mem::take(&mut engine.hits);
        let said = engine.take();
        let life = host.life;
        for hit in hits {
            let at = self.processes[id].true_time(hit.at);
            self.facts.hit(id, life, at, hit.index);
        }
        for said in said {
            let event = match said {
                Said::Window(window, due) => {
                    if let Some(host) = self.driver(id) {
                        host.requests_sent += window.steps.iter().map(|step| step.sent).sum::<u64>();
                        host.due = due;
                    }
                    Event::Window(window)
                }
                Said::Paused(for_ms) => {
                    self.facts.engine_paused(id, self.now, self.log.range(Topic::Control).1);
                    Event::EnginePaused { for_ms }
                }
                Said::LeaseEnded => {
                    self.facts.may_stop(id);
                    Event::LeaseEnded
                }
                Said::Finished(totals) => {
                    if let Some(host) = self.driver(id) {
                        host.engine = None;
                    }
                    Event::EngineFinished(Box::new(totals))
                }
            };
            self.tell_driver(id, event);
        }
    }

    pub fn tell_driver(&mut self, id: usize, event: Event) {
        let now = self.processes[id].now(self.now);
        let Some(host) = self.driver(id) else { return };
        let actions = host.machine.on(event, now);
        self.facts.acted(id, actions.len());
        for action in actions {
            self.act_for_driver(id, action);
        }
    }

    fn act_for_driver(&mut self, id: usize, action: Action) {
        let now = self.processes[id].clock(self.now);
        match action {
            Action::Send(message) => self.send_for_driver(id, &message),
            Action::Prepare(preparation) => self.prepare(id, *preparation),
            Action::Start { at, lease_until, .. } => self.start_engine(id, at, lease_until),
            Action::SetLease(until) => self.with_engine(id, |engine| {
                engine.step(now);
                engine.set_lease(until.as_nanos());
            }),
            Action::ChangeLanes { from_ns, lanes, .. } => {
                self.with_engine(id, |engine| engine.change_lanes(from_ns, lanes, now));
            }
            Action::ChangeRate { from_ns, factor } => {
                self.with_engine(id, |engine| engine.change_rate(from_ns, factor, now));
            }
            Action::Stop => {
                self.facts.engine_stopped(id, self.now);
                self.with_engine(id, |engine| engine.stop(now));
            }
            Action::Abort => {
                self.facts.engine_stopped(id, self.now);
                self.with_engine(id, |engine| engine.abort(now));
            }
            Action::Discard => {
                if let Some(host) = self.driver(id) {
                    host.preparation = None;
                }
            }
            Action::Walk(errand) => self.walk(id, &errand),
            Action::LeaveWalk => {
                if let Some(host) = self.driver(id) {
                    host.walking = None;
                }
            }
            Action::ReadControlToEnd => {
                let end = self.log.range(Topic::Control).1;
                if let Some(host) = self.driver(id) {
                    host.catch_up_to = Some(end);
                }
                self.poll(id, Topic::Control);
            }
            Action::Release => {
                self.facts.released(id, self.now);
                self.with_engine(id, Engine::release);
            }
            Action::Notice(_, text) => self.facts.noticed(id, &text, self.now),
            Action::Exit(exit) => {
                self.check_exit(id, &exit);
                self.processes[id].alive = false;
                if let Some(host) = self.driver(id) {
                    host.exited = Some(exit);
                    host.engine = None;
                }
            }
        }
    }

    fn with_engine(&mut self, id: usize, order: impl FnOnce(&mut Engine)) {
        if let Some(engine) = self.driver(id).and_then(|host| host.engine.as_mut()) {
            order(engine);
        }
    }

    fn send_for_driver(&mut self, id: usize, message: &Message) {
        if let Message::Metrics(metrics) = message
            && let Some(ours) = metrics.ours.as_ref().filter(|ours| ours.window.is_some())
            && let Some(host) = self.driver(id)
        {
            let due = std::mem::take(&mut host.due);
            let known =
                self.due_of_window.entry((metrics.test_id.clone(), ours.incarnation, ours.seq)).or_default();
            known.extend(due);
        }
        self.send(id, message);
    }

    fn prepare(&mut self, id: usize, preparation: Preparation) {
        let test_id = preparation.test_id.clone();
        let fails = self.rng.u8(..16) < self.script.unprepared;
        let took = self.rng.u64(20 * MS..800 * MS);
        let files = self.fetch_files(&preparation.files);
        if let Some(host) = self.driver(id) {
            host.files = files;
            host.preparation = Some(preparation);
            host.prepared = false;
        }
        self.at(self.now + took, Due::Prepared(id, test_id, !fails));
    }

    pub fn prepared(&mut self, id: usize, test_id: String, well: bool) {
        let Some(host) = self.driver(id) else { return };
        if host.preparation.as_ref().is_none_or(|preparation| preparation.test_id != test_id) {
            return;
        }
        let refused = || "the target refused".to_owned();
        let outcome = host.files.clone().and_then(|_| if well { Ok(()) } else { Err(refused()) });
        host.prepared = outcome.is_ok();
        let event = match outcome {
            Ok(()) => Event::Prepared { test_id },
            Err(reason) => Event::PrepareFailed { test_id, reason },
        };
        self.tell_driver(id, event);
    }

    fn start_engine(&mut self, id: usize, at: Instant, lease_until: Instant) {
        let rng = self.rng.fork();
        let true_start = self.processes[id].true_time(at.as_nanos());
        let life = self.facts.life_of(id);
        let Some(host) = self.driver(id) else { return };
        let prepared = host.prepared;
        let Some(preparation) = host.preparation.take().filter(|_| prepared) else {
            self.facts.violate("a driver started what was not prepared");
            return;
        };
        let content =
            host.files.as_ref().ok().and_then(|files| files.get(FILE)).map(|content| content.to_vec());
        if content != self.script.file.map(File::content) {
            self.facts.violate("a driver started without the file of its plan");
        }
        self.check_values(&preparation.test_id, &preparation.plan);
        let Some(host) = self.driver(id) else { return };
        let lanes: LaneSet = preparation.lanes;
        host.requests_sent = 0;
        let engine = Engine::start(&preparation.plan, lanes, at.as_nanos(), lease_until.as_nanos(), rng);
        host.engine = Some(engine);
        host.life = life;
        let shared = !preparation.plan.is_per_driver();
        self.facts.engine_started(id, &preparation.test_id, true_start, shared, self.now);
    }

    pub fn driver_poll(&mut self, id: usize, topic: Topic) {
        self.step_engine(id);
        while let Some(record) = self.take_record(id, topic) {
            if let Ok(message) = &record.message {
                self.facts.delivered(id, message, self.now);
            }
            self.tell_driver(id, Event::Record(record));
        }
        let read = self.processes[id].port.cursors[Topic::Control.index()].unwrap_or(0);
        let Some(host) = self.driver(id) else { return };
        if host.catch_up_to.take_if(|end| read >= *end).is_some() {
            self.facts.caught_up(id);
            self.tell_driver(id, Event::CaughtUp);
        }
    }
}
