//! Setup and teardown in virtual time: a driver walks them for a while, and what must hold of them is checked.

use std::collections::{BTreeMap, HashMap};

use plan::Fixture;
use transport::FixtureOutcome;

use super::checks::Facts;
use super::script::{MS, TOKEN};
use super::world::{Due, World};
use crate::driver::{Errand, Event};
use crate::orchestrator::Outcome;

/// What is known of the setups and teardowns of all runs.
#[derive(Debug, Default)]
pub(super) struct Walks {
    /// How often each was begun.
    begun: HashMap<(String, Fixture), u64>,
    /// Runs whose setup went well.
    set_up: BTreeMap<String, ()>,
    /// When a teardown began, true time.
    torn_down: HashMap<String, u64>,
}

impl World {
    pub fn walk(&mut self, id: usize, errand: &Errand) {
        let Some(fixtures) = self.script.fixtures else { return };
        self.facts.walk_begins(&errand.test_id, errand.fixture, self.now);
        let text = errand.plan.fixture(Fixture::Teardown).and_then(|walk| walk.steps.first()?.path.as_text());
        if errand.fixture == Fixture::Teardown && text != Some(&format!("/session/{TOKEN}")) {
            self.facts.violate(format!("teardown does not know what setup saved: {text:?}"));
        }
        let took = self.rng.u64(20 * MS..fixtures.took_ms * MS + 21 * MS);
        if let Some(host) = self.driver(id) {
            host.walking = Some((errand.test_id.clone(), errand.fixture));
        }
        self.at(self.now + took, Due::Walked(id, errand.test_id.clone(), errand.fixture));
    }

    pub fn walked(&mut self, id: usize, test_id: &str, fixture: Fixture) {
        let fails = fixture == Fixture::Setup && self.script.fixtures.is_some_and(|walks| walks.setup_fails);
        let Some(host) = self.driver(id) else { return };
        let is_it = |walking: &mut (String, Fixture)| walking.0 == test_id && walking.1 == fixture;
        if host.walking.take_if(is_it).is_none() {
            return;
        }
        let mut outcome = FixtureOutcome { requests: 1, ..FixtureOutcome::default() };
        if fails {
            outcome.failure = Some("the target refused".to_owned());
        } else if fixture == Fixture::Setup {
            outcome.values = [("token".to_owned(), TOKEN.into())].into();
            self.facts.walks.set_up.insert(test_id.to_owned(), ());
        }
        let outcome = Box::new(outcome);
        self.tell_driver(id, Event::Walked { test_id: test_id.to_owned(), fixture, outcome });
    }

    /// An engine starts; its plan must have what setup saved.
    pub fn check_values(&mut self, test_id: &str, plan: &plan::Plan) {
        if self.script.fixtures.is_none() {
            return;
        }
        if !self.facts.walks.set_up.contains_key(test_id) {
            self.facts.violate(format!("{test_id} starts before its setup is done"));
        }
        let header = plan.scenarios.first().and_then(|scenario| scenario.steps.first()?.headers.first());
        let text = header.and_then(|(_, value)| value.as_text());
        if text != Some(TOKEN) {
            self.facts.violate(format!("a driver starts without what setup saved: {text:?}"));
        }
    }

    pub fn check_walks(&mut self, outcome: &Outcome) {
        let Some(fixtures) = self.script.fixtures else { return };
        let torn_down = self.facts.walks.torn_down.contains_key(&outcome.run_id);
        if fixtures.setup_fails && outcome.started.is_some() {
            self.facts.violate("a run starts after its setup failed");
        }
        let well = (torn_down, outcome.teardown_fault.is_none());
        if self.script.is_calm() && outcome.started.is_some() && well != (true, true) {
            self.facts.violate(format!("nothing went wrong, and yet (torn down, well) is {well:?}"));
        }
        let set_up = self.facts.walks.set_up.contains_key(&outcome.run_id);
        if torn_down && !set_up {
            self.facts.violate("teardown without a setup that went well");
        }
        if outcome.started.is_some() && !torn_down && outcome.teardown_fault.is_none() {
            self.facts.violate("silence: no teardown, and the result does not say so");
        }
    }
}

impl Facts {
    fn walk_begins(&mut self, test_id: &str, fixture: Fixture, now: u64) {
        let times = self.walks.begun.entry((test_id.to_owned(), fixture)).or_default();
        *times += 1;
        if *times > 1 {
            let text = format!("{} of {test_id} is walked again at {} ms", fixture.as_str(), now / MS);
            self.violate(text);
        }
        if fixture == Fixture::Teardown {
            self.walks.torn_down.entry(test_id.to_owned()).or_insert(now);
        }
    }

    /// The target saw a request of the load.
    pub fn check_hit(&mut self, test_id: &str, at: i64) {
        let Some(torn_down) = self.walks.torn_down.get(test_id) else { return };
        if at > torn_down.cast_signed() + self.steps_ns() {
            let text = format!("load after teardown: at {} ms, after {} ms", at / 1_000_000, torn_down / MS);
            self.violate(text);
        }
    }
}
