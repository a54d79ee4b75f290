//! What must hold whatever happens: each check is an invariant of the design, and has a planted bug that breaks it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use clock::BrokerTime;
use plan::{Arrivals, LaneSet};
use transport::{Command, Control, Message, NodeState, Role, Uuid};

use super::fixtures::Walks;
use super::script::{MS, SECOND};
use super::world::{EPOCH_MS, World};
use crate::driver::Exit;
use crate::orchestrator::{MemberOutcome, Outcome};
use crate::view::{RunState, TimelineEvent};

const MAX_RECORD_BYTES: usize = 512 * 1024;
/// How long after an order the target may still see something.
const GRACE: u64 = SECOND;

/// What is known of one process of a driver.
#[derive(Debug, Default)]
struct Life {
    incarnation: Uuid,
    /// All it had.
    incarnations: Vec<Uuid>,
    /// Highest epoch of a command it has read.
    epoch: i64,
    leaves: bool,
    engine: Option<EngineFacts>,
}

#[derive(Debug)]
struct EngineFacts {
    test_id: String,
    life: Uuid,
    may_stop: bool,
    /// When it read the order to stop.
    ordered_at: Option<u64>,
    paused_at: Option<u64>,
}

#[derive(Debug, Default)]
struct Silence {
    /// When it was heard last, true time.
    last: u64,
    too_long: bool,
}

/// Everything that was observed, and what was wrong with it.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub violations: Vec<String>,
    lives: HashMap<usize, Life>,
    /// Heartbeats in the log, by incarnation.
    silences: HashMap<Uuid, Silence>,
    nodes: HashMap<String, HashSet<Uuid>>,
    log_last: Option<u64>,
    /// The latest end of any lease, by run, true time.
    leases: HashMap<String, i64>,
    starts: HashMap<String, i64>,
    /// Changes of rate, by run.
    rates: HashMap<String, Vec<(u64, f64)>>,
    /// The latest claim that commands were given under.
    pub epoch: i64,
    /// Requests that the target saw, by run and life.
    hits: HashMap<(String, Uuid), u64>,
    pub delay_ms: u64,
    pub broker_offset_ms: i64,
    /// How far the broker's clock jumped in all: what its time says is known only to within this.
    steps_ms: u64,
    /// Prints what happens.
    pub trace: bool,
    triggers: u64,
    timeline: Vec<(String, Option<String>)>,
    asked: BTreeMap<u64, u64>,
    active: BTreeMap<String, ()>,
    pub replies: Vec<(u64, Result<RunState, String>)>,
    pub outcomes: Vec<Outcome>,
    pub walks: Walks,
    pub kinds: BTreeMap<String, u64>,
}

impl Facts {
    pub fn violate(&mut self, text: impl Into<String>) {
        if self.violations.len() < 20 {
            self.violations.push(text.into());
        }
    }

    pub fn sent(&mut self, id: usize, message: &Message, _: u64) {
        match message {
            Message::Register(register) => {
                let incarnation = register.ours.as_ref().map(|ours| ours.incarnation).unwrap_or_default();
                let life = self.lives.entry(id).or_insert_with(|| Life { epoch: -1, ..Life::default() });
                life.incarnation = incarnation;
                life.incarnations.push(incarnation);
                self.nodes.entry(register.node_id.clone()).or_default().insert(incarnation);
            }
            Message::Trigger(_) => self.triggers += 1,
            Message::Control(control) => self.ordered(control),
            _ => {}
        }
    }

    fn ordered(&mut self, control: &Control) {
        let (Command::SetRate { from_ns, factor }, Some(test_id)) = (&control.command, &control.test_id)
        else {
            return;
        };
        let rates = self.rates.entry(test_id.clone()).or_default();
        if rates.iter().all(|rate| rate.0 != *from_ns) {
            rates.push((*from_ns, *factor));
        }
    }

    pub fn appended(&mut self, message: &Message, now: u64) {
        match message {
            Message::Heartbeat(heartbeat) => {
                let driver = heartbeat.ours.as_ref().filter(|ours| ours.role == Role::Driver);
                self.heard(driver.map(|ours| ours.incarnation), now);
            }
            Message::Control(control) => self.commanded(control, now),
            Message::Trigger(trigger) => {
                if let Some(ours) = trigger.ours {
                    self.starts.insert(trigger.test_id.clone(), self.true_time(ours.start_at));
                }
            }
            _ => {}
        }
    }

    /// The true time at which the broker's clock, as it goes now, shows `time`.
    fn true_time(&self, time: BrokerTime) -> i64 {
        (time.unix_ms() - EPOCH_MS - self.broker_offset_ms) * MS.cast_signed()
    }

    /// The broker's clock jumped by that much.
    pub fn stepped(&mut self, by_ms: i64) {
        self.steps_ms += by_ms.unsigned_abs();
    }

    /// How far the broker's clock jumped in all.
    pub fn steps_ns(&self) -> i64 {
        (self.steps_ms * MS).cast_signed()
    }

    fn heard(&mut self, incarnation: Option<Uuid>, now: u64) {
        let steps = self.steps_ms * MS;
        if self.log_last.is_some_and(|last| now - last > 2 * SECOND + steps) {
            self.silences.values_mut().for_each(|silence| silence.last = now);
        }
        self.log_last = Some(now);
        for silence in self.silences.values_mut() {
            // A stamp has whole milliseconds.
            silence.too_long |= now - silence.last + steps + 2 * MS > 5 * SECOND;
        }
        if let Some(incarnation) = incarnation {
            self.silences.entry(incarnation).or_default().last = now;
        }
    }

    fn commanded(&mut self, control: &Control, now: u64) {
        self.epoch = self.epoch.max(control.epoch);
        let (Command::Lease { expires_at }, Some(test_id)) = (&control.command, &control.test_id) else {
            return;
        };
        let until = self.true_time(*expires_at);
        let known = self.leases.entry(test_id.clone()).or_insert(until);
        *known = (*known).max(until);
        let ahead_ms = (until - now.cast_signed()) / MS.cast_signed();
        if ahead_ms > 32_000 + self.steps_ms.cast_signed() {
            self.violate(format!("a lease lies {ahead_ms} ms ahead"));
        }
    }

    pub fn delivered(&mut self, id: usize, message: &Message, now: u64) {
        let Message::Control(control) = message else { return };
        let Some(life) = self.lives.get_mut(&id) else { return };
        if control.epoch < life.epoch || control.command == Command::Claim {
            return;
        }
        life.epoch = control.epoch;
        let Some(engine) = &mut life.engine else { return };
        let is_mine = control.test_id.as_deref() == Some(engine.test_id.as_str());
        let ordered = match &control.command {
            Command::Stop | Command::Abort { .. } => is_mine,
            Command::Fence { incarnation, .. } => *incarnation == engine.life,
            _ => false,
        };
        if ordered {
            engine.may_stop = true;
            engine.ordered_at.get_or_insert(now);
        }
    }

    pub fn may_stop(&mut self, id: usize) {
        if let Some(engine) = self.lives.get_mut(&id).and_then(|life| life.engine.as_mut()) {
            engine.may_stop = true;
        }
    }

    /// A process was asked to end; from now on it may stop whenever it starts.
    pub fn leaves(&mut self, id: usize) {
        self.lives.entry(id).or_insert_with(|| Life { epoch: -1, ..Life::default() }).leaves = true;
    }

    /// A driver ends its engine. It must have a reason; being cut off is none.
    pub fn engine_stopped(&mut self, id: usize, now: u64) {
        let engine = self.lives.get(&id).and_then(|life| life.engine.as_ref());
        if engine.is_some_and(|engine| !engine.may_stop) {
            self.violate(format!("driver process {id} stopped its engine at {} ms for no reason", now / MS));
        }
    }

    pub fn life_of(&self, id: usize) -> Uuid {
        self.lives.get(&id).map_or_else(Uuid::nil, |life| life.incarnation)
    }

    pub fn engine_started(&mut self, id: usize, test_id: &str, true_start: i64, _: bool, now: u64) {
        let tolerance = i64::try_from((self.delay_ms + self.steps_ms + 60) * MS).unwrap();
        match self.starts.get(test_id) {
            Some(start_at) if (true_start - start_at).abs() > tolerance => {
                let off_ms = (true_start - start_at) / MS.cast_signed();
                self.violate(format!("driver process {id} starts {off_ms} ms off the common start"));
            }
            Some(_) => {}
            None => self.violate(format!("driver process {id} starts without a trigger at {} ms", now / MS)),
        }
        let Some(life) = self.lives.get_mut(&id) else { return };
        life.engine = Some(EngineFacts {
            test_id: test_id.to_owned(),
            life: life.incarnation,
            may_stop: life.leaves,
            ordered_at: None,
            paused_at: None,
        });
    }

    /// The target saw a request.
    pub fn hit(&mut self, id: usize, life: Uuid, at: i64, _: u64) {
        let Some(engine) = self.lives.get(&id).and_then(|life| life.engine.as_ref()) else { return };
        *self.hits.entry((engine.test_id.clone(), life)).or_default() += 1;
        let test_id = engine.test_id.clone();
        self.check_hit(&test_id, at);
        let Some(engine) = self.lives.get(&id).and_then(|life| life.engine.as_ref()) else { return };
        let grace = GRACE.cast_signed();
        let leased = self.leases.get(&engine.test_id).copied().unwrap_or(i64::MIN / 2);
        let late = if at > leased + grace + (self.steps_ms * MS).cast_signed() {
            Some("its last lease ended".to_owned())
        } else if engine.ordered_at.is_some_and(|ordered_at| at > ordered_at.cast_signed() + grace) {
            Some("it was told to stop".to_owned())
        } else {
            None
        };
        if let Some(what) = late {
            self.violate(format!(
                "forgotten load: driver process {id} sends at {} ms, after {what}",
                at / MS.cast_signed()
            ));
        }
    }

    pub fn engine_paused(&mut self, id: usize, now: u64, _: i64) {
        if let Some(engine) = self.lives.get_mut(&id).and_then(|life| life.engine.as_mut()) {
            engine.paused_at = Some(now);
        }
    }

    pub fn caught_up(&mut self, id: usize) {
        if let Some(engine) = self.lives.get_mut(&id).and_then(|life| life.engine.as_mut()) {
            engine.paused_at = None;
        }
    }

    /// A paused engine goes on: only after `control` was read, or a second later.
    pub fn released(&mut self, id: usize, now: u64) {
        let engine = self.lives.get(&id).and_then(|life| life.engine.as_ref());
        if engine.and_then(|engine| engine.paused_at).is_some_and(|paused_at| now < paused_at + SECOND) {
            self.violate(format!(
                "driver process {id} goes on after a pause without having read what happened"
            ));
        }
    }

    pub fn acted(&mut self, id: usize, actions: usize) {
        if actions > 400 {
            self.violate(format!("process {id} asks for {actions} things at once"));
        }
    }

    pub fn persisted(&mut self, bytes: usize) {
        if bytes > MAX_RECORD_BYTES {
            self.violate(format!("a record of {bytes} bytes"));
        }
    }

    pub fn asked_to_start(&mut self, token: u64, now: u64) {
        self.asked.insert(token, now);
    }

    pub fn replied(
        &mut self,
        token: u64,
        run_id: Option<String>,
        result: Result<RunState, String>,
        now: u64,
    ) {
        if let (true, Some(run_id), true) = (self.asked.contains_key(&token), run_id, result.is_ok()) {
            let leases = &self.leases;
            let led = |other: &&String| {
                **other != run_id && leases.get(*other).is_some_and(|until| *until > now.cast_signed())
            };
            if let Some(other) = self.active.keys().find(led).cloned() {
                self.violate(format!("two orchestrators lead: {run_id} and {other}"));
            }
            self.active.insert(run_id, ());
        }
        self.replies.push((token, result));
    }

    pub fn timeline(&mut self, event: TimelineEvent, now: u64) {
        *self.kinds.entry(event.kind.to_string()).or_default() += 1;
        if self.trace {
            println!("{:>7} ms  {}: {}", now / MS, event.kind, event.text);
        }
        if event.kind == "driver_lost" {
            let lives = event.driver.as_ref().and_then(|driver| self.nodes.get(driver));
            let silent =
                lives.into_iter().flatten().any(|life| self.silences.get(life).is_some_and(|s| s.too_long));
            if !silent {
                self.violate(format!("{:?} was called lost and was not silent", event.driver));
            }
        }
        self.timeline.push((event.kind.to_string(), event.driver));
    }

    pub fn noticed(&self, id: usize, text: &str, now: u64) {
        if self.trace {
            println!("{:>7} ms  process {id}: {text}", now / MS);
        }
    }

    /// Whether the log shows that a process was silent for more than 5 s.
    fn was_silent(&self, id: usize) -> bool {
        let lives = self.lives.get(&id).into_iter().flat_map(|life| &life.incarnations);
        lives.into_iter().any(|life| self.silences.get(life).is_some_and(|silence| silence.too_long))
    }

    fn told(&self, kinds: &[&str], node_id: &str) -> bool {
        self.timeline
            .iter()
            .any(|(kind, driver)| kinds.contains(&kind.as_str()) && driver.as_deref() == Some(node_id))
    }
}

impl World {
    pub fn check_heartbeat(&mut self, id: usize, message: &Message) {
        let Message::Heartbeat(heartbeat) = message else { return };
        let armed = heartbeat.ours.as_ref().is_some_and(|ours| ours.state == NodeState::Armed);
        if armed && self.processes[id].port.deaf {
            self.facts.violate(format!("driver process {id} is armed and cannot know the time"));
        }
    }

    pub fn check_exit(&mut self, id: usize, exit: &Exit) {
        let Exit::NameTaken(_) = exit else { return };
        let Some(name) = self.driver(id).map(|host| host.name.clone()) else { return };
        let ids: Vec<usize> = (0..self.processes.len()).collect();
        let of_name = |id: &usize| self.driver(*id).is_some_and(|host| host.name == name);
        let is_first = ids.into_iter().find(of_name) == Some(id);
        if is_first && !self.facts.was_silent(id) && self.orchestrator_starts == 1 {
            self.facts.violate(format!("the first driver named {name} was disturbed by the second"));
        }
    }

    /// The books of a run that has just ended.
    pub fn check_outcome(&mut self, store: usize, outcome: Outcome) {
        self.facts.active.remove(&outcome.run_id);
        self.check_walks(&outcome);
        for member in &outcome.members {
            self.check_member(&outcome, member);
        }
        let natural = outcome.state == RunState::Finished && outcome.reason.is_none();
        let plan = self.plan();
        if natural && outcome.started.is_some() && !plan.is_per_driver() {
            self.check_schedule(store, &plan, &outcome);
        }
        if natural
            && outcome.started.is_some()
            && let (plan::Load::Closed { .. }, Some(asked)) =
                (&plan.workloads[0].load, plan.planned_iterations(1))
        {
            let reported: u64 = outcome.members.iter().map(|member| member.stored.due).sum();
            if reported + outcome.lost != asked + outcome.overlap {
                let text = format!("{reported} reported and {} lost of {asked} iterations", outcome.lost);
                self.facts.violate(format!("accounting: {text}"));
            }
        }
        if natural && plan.is_per_driver() {
            let each = plan.planned_iterations(1).unwrap_or_default();
            let chosen = outcome.members.iter().filter(|member| member.state != "failed");
            for member in chosen.filter(|member| member.stored.due + member.lost != each) {
                let text =
                    format!("{}: {} + {} lost of {each}", member.node_id, member.stored.due, member.lost);
                self.facts.violate(format!("accounting: {text}"));
            }
        }
        let bare = (outcome.complete, outcome.lost, outcome.overlap);
        if self.script.is_calm() && outcome.started.is_some() && bare != (true, 0, 0) {
            self.facts.violate(format!("nothing went wrong, and yet (complete, lost, overlap) is {bare:?}"));
        }
        let triggers = self.facts.triggers;
        let bound = 15 + self.now / SECOND / 2 + 2 * self.processes.len() as u64;
        if triggers > bound {
            self.facts.violate(format!("unbounded: {triggers} triggers, {bound} are plenty"));
        }
        self.facts.outcomes.push(outcome);
    }

    fn check_member(&mut self, outcome: &Outcome, member: &MemberOutcome) {
        let name = &member.node_id;
        let stored = &member.stored;
        if stored.due != stored.started + stored.missed.total() {
            let text = format!("due {} ≠ {} + {}", stored.due, stored.started, stored.missed.total());
            self.facts.violate(format!("accounting: {name}: {text}"));
        }
        if stored.requests_sent != stored.succeeded + stored.failed + stored.cancelled + member.unknown {
            self.facts.violate(format!("accounting: {name}: requests do not balance: {stored:?}"));
        }
        let seen = |life: Uuid| self.facts.hits.get(&(outcome.run_id.clone(), life));
        let hits = member.incarnation.and_then(seen).copied().unwrap_or(0);
        if stored.requests_sent > hits {
            self.facts
                .violate(format!("truth: {name}: {} stored, the target saw {hits}", stored.requests_sent));
        }
        let says_all = member.fin.is_some() && outcome.complete;
        if says_all && stored.requests_sent != hits {
            self.facts.violate(format!("truth: {name}: complete with {} of {hits}", stored.requests_sent));
        }
        if outcome.complete && member.fin.is_none() && hits > 0 {
            self.facts.violate(format!("truth: complete without the totals of {name}, which sent {hits}"));
        }
        let silent = matches!(member.state, "lost" | "fenced") && outcome.started.is_some();
        if silent && !self.facts.told(&["driver_lost", "driver_failed"], name) {
            self.facts
                .violate(format!("silence: {name} is {} and the timeline does not say so", member.state));
        }
    }

    /// Every planned arrival was reported, or is lost, exactly once.
    fn check_schedule(&mut self, store: usize, plan: &plan::Plan, outcome: &Outcome) {
        let Some(schedule) = plan.workloads[0].schedule() else { return };
        let mut rates = self.facts.rates.get(&outcome.run_id).cloned().unwrap_or_default();
        rates.sort_by_key(|(from_ns, _)| *from_ns);
        let changed = !rates.is_empty();
        let schedule = rates
            .iter()
            .fold(schedule, |schedule, (from_ns, factor)| schedule.scaled_from(*from_ns, *factor));
        let reported: u64 = outcome.members.iter().map(|member| member.stored.due).sum();
        let schedule = Arc::new(schedule);
        let planned = schedule.total();
        if planned + outcome.overlap != reported + outcome.lost {
            let (lost, overlap) = (outcome.lost, outcome.overlap);
            let text = format!("{planned} planned, {reported} reported, {lost} lost, {overlap} overlap");
            self.facts.violate(format!("accounting: {text}"));
        }
        if changed {
            return;
        }
        let due = self.ledgers[store].due.get(&outcome.run_id);
        let count = |index: u64| due.and_then(|due| due.get(&index)).copied().unwrap_or(0);
        let arrivals = || Arrivals::new(Arc::clone(&schedule), LaneSet::all());
        let lost = arrivals().filter(|arrival| count(arrival.index) == 0).count() as u64;
        let overlap: u64 = arrivals().map(|arrival| u64::from(count(arrival.index).saturating_sub(1))).sum();
        let said = (outcome.lost, outcome.overlap);
        // What one driver lost and sent too late elsewhere is set off in its sum; then only the difference is exact.
        let exact =
            if self.script.is_prompt() { (lost, overlap) == said } else { lost + said.1 == said.0 + overlap };
        if !exact {
            self.facts.violate(format!(
                "accounting: (lost, overlap) is {:?} and said to be {said:?}",
                (lost, overlap)
            ));
        }
    }
}
