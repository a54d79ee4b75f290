//! Setup and teardown: walked by the one driver that the orchestrator chose, beside whatever else it does.
//!
//! Invariant: a driver that has begun with one never begins with it again, however often it is told to. What came of it is
//! said with every heartbeat until it is of no more use, so that nobody has to answer for having heard it.

use std::sync::Arc;

use plan::Fixture;
use transport::{FileInfo, FixtureOrder, FixtureOutcome, FixtureReport};

use super::command::{check_files, first_fault};
use super::{Action, Driver, REMEMBERED_RUNS};
use crate::run::{Bug, Level};

/// Setup or teardown that is to be walked.
#[derive(Debug, Clone)]
pub struct Errand {
    /// The run.
    pub test_id: String,
    /// Which of them.
    pub fixture: Fixture,
    /// Its plan, with what setup saved in it.
    pub plan: Arc<plan::Plan>,
    /// The files of the plan, to be fetched and checked first.
    pub files: Vec<FileInfo>,
}

impl Driver {
    pub(super) fn on_fixture(&mut self, order: FixtureOrder, test_id: &str) {
        let is_meant = order.node_id == self.settings.node_id && order.incarnation == self.incarnation;
        let is_too_late = order.fixture == Fixture::Setup && self.is_over(test_id);
        if !is_meant || is_too_late || self.leaving.is_some() || self.has_begun(test_id, order.fixture) {
            return;
        }
        if self.begun.len() == REMEMBERED_RUNS {
            self.begun.pop_front();
        }
        self.begun.push_back((test_id.to_owned(), order.fixture));
        let (test_id, fixture) = (test_id.to_owned(), order.fixture);
        self.notice(Level::Info, format!("{} of run {test_id}", fixture.as_str()));
        self.fixture = Some(FixtureReport { test_id: test_id.clone(), fixture, outcome: None });
        match plan_of(&order) {
            Ok(plan) => {
                let errand = Errand { test_id, fixture, plan: Arc::new(plan), files: order.files };
                self.actions.push(Action::Walk(Box::new(errand)));
            }
            Err(reason) => {
                let outcome = FixtureOutcome { failure: Some(reason), failures: 1, ..Default::default() };
                self.walked(&test_id, fixture, outcome);
            }
        }
    }

    fn has_begun(&self, test_id: &str, fixture: Fixture) -> bool {
        !self.bugs.has(Bug::SetUpAgain)
            && self.begun.iter().any(|(begun, which)| begun == test_id && *which == fixture)
    }

    pub(super) fn walked(&mut self, test_id: &str, fixture: Fixture, outcome: FixtureOutcome) {
        let is_it = |report: &&mut FixtureReport| report.test_id == test_id && report.fixture == fixture;
        let Some(report) = self.fixture.as_mut().filter(is_it) else { return };
        let failure = outcome.failure.clone();
        report.outcome = Some(outcome);
        if let Some(failure) = failure {
            self.notice(Level::Warn, format!("{} of run {test_id} failed: {failure}", fixture.as_str()));
        }
    }

    /// What setup of this run gave is known, or of no more use.
    pub(super) fn leave_setup(&mut self, test_id: &str) {
        let is_it =
            |report: &mut FixtureReport| report.test_id == test_id && report.fixture == Fixture::Setup;
        if let Some(report) = self.fixture.take_if(is_it)
            && report.outcome.is_none()
        {
            self.actions.push(Action::LeaveWalk);
        }
    }
}

fn plan_of(order: &FixtureOrder) -> Result<plan::Plan, String> {
    let plan = plan::parse("plan", &order.plan).map_err(|faults| first_fault(&faults))?;
    check_files(&plan, &order.files)?;
    match order.fixture {
        Fixture::Setup => Ok(plan),
        Fixture::Teardown => plan.with_values(&order.values),
    }
}
