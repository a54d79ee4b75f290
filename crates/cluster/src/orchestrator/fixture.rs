//! Setup before the load and teardown after it: one driver is asked, waited for, and believed.
//!
//! ```text
//! drivers are chosen ─► setup ─► all arm, with its values ─► … ─► all is handed over ─► teardown ─► the run ends
//! ```
//!
//! Invariant: whom it asks is stored before it asks, and is never another one, so each is walked at most once whatever
//! dies. What setup saved is in the log alone: in the driver's heartbeats, then in the plan's message.

use std::time::Duration;

use clock::Instant;
use plan::{Fixture, Values};
use transport::{Command, FixtureOrder, FixtureOutcome, TestConfig, Uuid};

use super::claim::{Claim, LEASE};
use super::run::{Member, Run, Standing};
use super::{Liveness, Orchestrator};
use crate::run::{Bug, FixtureRecord, Now};
use crate::view::RunState;

/// How long order and answer may take beyond the walk itself.
const SLACK: Duration = Duration::from_secs(15);
/// How long a restarted orchestrator looks for the values of a run in the log.
const VALUES_WAIT: Duration = Duration::from_secs(15);
/// After a lease, for clocks that differ.
const GRACE: Duration = Duration::from_secs(1);

/// Who was asked to walk setup or teardown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub node_id: String,
    pub incarnation: Uuid,
    /// Until when it is waited for; set anew by a restart.
    pub by: Option<Instant>,
    /// Whether nothing more is expected. Of setup: it went well.
    pub is_over: bool,
}

impl Asked {
    pub fn record(&self) -> FixtureRecord {
        let incarnation = self.incarnation.to_string();
        FixtureRecord { node_id: self.node_id.clone(), incarnation, is_over: self.is_over }
    }

    pub fn of(record: &FixtureRecord) -> Result<Self, String> {
        let incarnation = Uuid::parse_str(&record.incarnation);
        let incarnation = incarnation.map_err(|error| format!("driver {}: {error}", record.node_id))?;
        Ok(Self { node_id: record.node_id.clone(), incarnation, by: None, is_over: record.is_over })
    }
}

impl Run {
    fn asked(&self, fixture: Fixture) -> Option<&Asked> {
        match fixture {
            Fixture::Setup => self.setup.as_ref(),
            Fixture::Teardown => self.teardown.as_ref(),
        }
    }

    fn asked_mut(&mut self, fixture: Fixture) -> Option<&mut Asked> {
        match fixture {
            Fixture::Setup => self.setup.as_mut(),
            Fixture::Teardown => self.teardown.as_mut(),
        }
    }

    /// Whether drivers cannot be told the plan yet, since it is not known what setup saved.
    pub(super) fn awaits_values(&self) -> bool {
        self.plan.fixture(Fixture::Setup).is_some() && self.values.is_none()
    }

    /// Whether there is something to clear away: after a setup that went well, else after a load.
    fn wants_teardown(&self) -> bool {
        let has_begun = match self.plan.fixture(Fixture::Setup) {
            Some(_) => self.setup.as_ref().is_some_and(|asked| asked.is_over),
            None => self.start_at.is_some(),
        };
        has_begun
            && self.plan.fixture(Fixture::Teardown).is_some()
            && self.teardown_fault.is_none()
            && self.teardown.as_ref().is_none_or(|asked| !asked.is_over)
    }

    /// Whether nobody sends any more, as far as can be known: who cannot say so has no lease left.
    fn is_quiet(&self, now: Instant) -> bool {
        let is_silent = |member: &Member| {
            let gone_at = member.gone_at.or(self.resumed_at).filter(|_| member.standing.is_gone());
            gone_at.is_some_and(|gone_at| now.since(gone_at) > LEASE + GRACE)
        };
        let has_part = |member: &&Member| member.standing != Standing::Arming;
        self.start_at.is_none()
            || self
                .members
                .iter()
                .filter(has_part)
                .all(|member| member.has_said_totals() || is_silent(member))
    }
}

impl Orchestrator {
    /// Has setup walked, or lets all arm at once where the plan has none.
    pub(super) fn prepare(&mut self, now: Now) {
        let Some(run) = &self.run else { return };
        let first = run.members.first().map(|member| (member.node_id.clone(), member.incarnation));
        match first {
            Some((node_id, Some(incarnation))) if run.awaits_values() => {
                self.ask(Fixture::Setup, (node_id, incarnation), now);
            }
            _ => self.arm(now),
        }
    }

    fn ask(&mut self, fixture: Fixture, (node_id, incarnation): (String, Uuid), now: Now) {
        let Some(run) = &mut self.run else { return };
        let text = format!("{} is walked by driver {node_id}", fixture.as_str());
        let driver = node_id.clone();
        let asked = Some(Asked { node_id, incarnation, by: None, is_over: false });
        match fixture {
            Fixture::Setup => run.setup = asked,
            Fixture::Teardown => run.teardown = asked,
        }
        self.persist();
        self.order(fixture);
        self.timeline(fixture.as_str(), text, Some(&driver), now);
    }

    fn order(&mut self, fixture: Fixture) {
        let Some(run) = &self.run else { return };
        let Some(asked) = run.asked(fixture) else { return };
        let order = FixtureOrder {
            fixture,
            node_id: asked.node_id.clone(),
            incarnation: asked.incarnation,
            plan: run.plan.source.clone(),
            files: run.files.clone(),
            values: match fixture {
                Fixture::Setup => Values::new(),
                Fixture::Teardown => run.values.clone().unwrap_or_default(),
            },
        };
        self.control(Command::Fixture(Box::new(order)));
    }

    /// Says again what the driver's heartbeat does not echo.
    pub(super) fn repeat_order(&mut self) {
        let Some(run) = &self.run else { return };
        let unheard = [Fixture::Setup, Fixture::Teardown].into_iter().find(|fixture| {
            let asked = run.asked(*fixture).filter(|asked| !asked.is_over);
            let node = asked.and_then(|asked| self.fleet.life(&asked.node_id, Some(asked.incarnation)));
            let is_meant = match fixture {
                Fixture::Setup => run.awaits_values() && run.ending.is_none(),
                Fixture::Teardown => run.wants_teardown() && !(run.values.is_none() && run.setup.is_some()),
            };
            is_meant && node.is_some_and(|node| node.fixture_of(&run.run_id, *fixture).is_none())
        });
        if let Some(fixture) = unheard {
            self.order(fixture);
        }
    }

    /// What became of the driver that was asked; `None` while it is waited for.
    fn answer(&mut self, fixture: Fixture, now: Now) -> Option<Result<FixtureOutcome, String>> {
        let run = self.run.as_mut()?;
        let (run_id, what) = (run.run_id.clone(), fixture.as_str());
        let wait = run.plan.fixture_timeout(fixture) + run.fetching() + SLACK;
        let asked = run.asked_mut(fixture)?;
        let by = *asked.by.get_or_insert(now.instant + wait);
        let node_id = asked.node_id.clone();
        let node = self.fleet.life(&node_id, Some(asked.incarnation));
        if let Some(report) = node.and_then(|node| node.fixture_of(&run_id, fixture))
            && let Some(outcome) = &report.outcome
        {
            return Some(Ok(outcome.clone()));
        }
        let is_gone =
            node.is_none_or(|node| matches!(node.liveness, Liveness::Lost | Liveness::Left) || node.fenced);
        if is_gone {
            return Some(Err(format!("driver {node_id} was lost while it walked {what}")));
        }
        let is_late = now.instant >= by;
        is_late.then(|| Err(format!("driver {node_id} did not end {what} within {} s", wait.as_secs())))
    }

    /// Goes on once setup has ended, one way or the other.
    pub(super) fn watch_setup(&mut self, now: Now) {
        if self.run.as_ref().is_none_or(|run| run.ending.is_some()) {
            return;
        }
        match self.answer(Fixture::Setup, now) {
            None => {}
            Some(Ok(FixtureOutcome { failure: None, values, requests, took_ms, .. })) => {
                let text = walked(Fixture::Setup, requests, took_ms);
                self.timeline("setup_done", text, None, now);
                self.take_values(values, now);
            }
            Some(Ok(FixtureOutcome { failure: Some(why), .. })) | Some(Err(why)) => {
                self.end_run(RunState::Failed, &format!("setup failed: {why}"), now);
            }
        }
    }

    fn take_values(&mut self, values: Values, now: Now) {
        let Some(run) = &mut self.run else { return };
        run.values = Some(values);
        run.setup.iter_mut().for_each(|asked| asked.is_over = true);
        self.arm(now);
    }

    /// What a former life of this orchestrator told the drivers.
    pub(super) fn read_values(&mut self, config: TestConfig, now: Now) {
        let is_it = |run: &&mut Run| run.run_id == config.test_id && run.awaits_values();
        let (Some(run), Some(ours)) = (self.run.as_mut().filter(is_it), config.ours) else { return };
        run.values = Some(ours.values);
        run.setup.iter_mut().for_each(|asked| asked.is_over = true);
        if run.epoch().is_some() {
            self.persist();
            self.rearm(now);
        }
        self.progress(now);
    }

    /// Ends the run, after teardown where there is one.
    pub(super) fn wind_up(&mut self, has_waited: bool, now: Now) {
        let Some(run) = self.run.as_mut() else { return };
        if !run.wants_teardown() || !matches!(run.claim, Claim::Held { .. }) {
            self.conclude(now);
            return;
        }
        if run.teardown.is_some() {
            self.watch_teardown(now);
            return;
        }
        let has_values = run.setup.is_none() || run.values.is_some();
        let values_by = *run.values_by.get_or_insert(now.instant + VALUES_WAIT);
        if !has_values {
            if now.instant >= values_by {
                self.torn_down("what setup saved is not in the message log any more".to_owned(), now);
            }
            return;
        }
        let is_quiet = has_waited || run.is_quiet(now.instant) || self.bugs.has(Bug::TearDownEarly);
        if is_quiet {
            match self.for_teardown() {
                Some(life) => self.ask(Fixture::Teardown, life, now),
                None => self.torn_down("no driver is there".to_owned(), now),
            }
        }
    }

    /// The driver that walked setup, if it is there; else one that took part; else any.
    fn for_teardown(&self) -> Option<(String, Uuid)> {
        let run = self.run.as_ref()?;
        let is_there = |node: &&super::Node| node.liveness == Liveness::Alive && !node.fenced;
        let life = |node: &super::Node| Some((node.node_id.clone(), node.incarnation()?));
        let of = |node_id: &str, incarnation: Uuid| self.fleet.life(node_id, Some(incarnation));
        let first = run.setup.as_ref().and_then(|asked| of(&asked.node_id, asked.incarnation));
        let members = run.members.iter().filter_map(|member| of(&member.node_id, member.incarnation?));
        first.into_iter().chain(members).chain(self.fleet.nodes()).filter(is_there).find_map(life)
    }

    fn watch_teardown(&mut self, now: Now) {
        match self.answer(Fixture::Teardown, now) {
            None => {}
            Some(Ok(FixtureOutcome { failure: None, requests, took_ms, .. })) => {
                self.timeline("teardown_done", walked(Fixture::Teardown, requests, took_ms), None, now);
                if let Some(run) = &mut self.run {
                    run.teardown.iter_mut().for_each(|asked| asked.is_over = true);
                }
                self.conclude(now);
            }
            Some(Ok(FixtureOutcome { failure: Some(why), failures: 0 | 1, .. })) | Some(Err(why)) => {
                self.torn_down(why, now);
            }
            Some(Ok(FixtureOutcome { failure: Some(why), failures, .. })) => {
                self.torn_down(format!("{why} (and {} more)", failures - 1), now);
            }
        }
    }

    fn torn_down(&mut self, why: String, now: Now) {
        self.note_teardown_fault(why, now);
        self.conclude(now);
    }

    pub(super) fn note_teardown_fault(&mut self, why: String, now: Now) {
        self.timeline("teardown_failed", format!("teardown failed: {why}"), None, now);
        if let Some(run) = &mut self.run {
            run.teardown_fault = Some(why);
        }
    }

    /// A run that ends before its teardown did, since nobody waits for it any longer.
    pub(super) fn note_teardown_missing(&mut self, now: Now) {
        if self.run.as_ref().is_some_and(Run::wants_teardown) {
            self.note_teardown_fault("the orchestrator could not wait for it".to_owned(), now);
        }
    }
}

fn walked(fixture: Fixture, requests: u64, took_ms: u64) -> String {
    let plural = if requests == 1 { "request" } else { "requests" };
    format!("{} is done: {requests} {plural} in {:.1} s", fixture.as_str(), took_ms as f64 / 1e3)
}
