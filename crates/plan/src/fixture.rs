//! Setup and teardown: steps that one driver walks once, before and after the load.
//!
//! ```text
//! Plan ─► only(Setup): a plan of these steps ─► Values ─► with_values: the plan in which their names are constants
//! ```
//!
//! Invariant: they are no load, so none of their steps or groups has a row in any table. Deliberately absent: rows of
//! data, since whose they were nobody could say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::auth::{self, Auth};
use crate::diagnostic::{Faults, Wrong};
use crate::expression::{Known, Names, Value};
use crate::flow::saved_in;
use crate::limits;
use crate::plan::Plan;
use crate::read::{self, Fields};
use crate::scenario::{self, Rows, Scenario};
use crate::step::Around;
use crate::tree::{Entry, Node};

/// Keeps what setup and teardown draw apart from what iterations do.
const SALTS: [u64; 2] = [0x0073_6574_7570, 0x7465_6172_646f_776e];

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fixture {
    /// Before the load.
    Setup,
    /// After it.
    Teardown,
}

impl Fixture {
    /// The key in a plan.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Teardown => "teardown",
        }
    }
}

/// The values that setup saved, by their names.
pub type Values = BTreeMap<String, serde_json::Value>;

/// Steps that are walked once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Once {
    scenario: Scenario,
    /// Names of its groups.
    groups: Vec<String>,
    /// All of it together.
    timeout: Duration,
}

impl Plan {
    /// The steps of setup or teardown, if the plan has any.
    pub fn fixture(&self, fixture: Fixture) -> Option<&Scenario> {
        self.once(fixture).map(|once| &once.scenario)
    }

    /// How long its steps may take together.
    pub fn fixture_timeout(&self, fixture: Fixture) -> Duration {
        self.once(fixture).map_or(limits::FIXTURE, |once| once.timeout)
    }

    fn once(&self, fixture: Fixture) -> Option<&Once> {
        match fixture {
            Fixture::Setup => self.setup.as_deref(),
            Fixture::Teardown => self.teardown.as_deref(),
        }
    }

    /// Names of the values that setup saves.
    pub fn given(&self) -> &[String] {
        &self.given
    }

    /// The plan with setup or teardown as its only scenario, to be walked once.
    pub fn only(&self, fixture: Fixture) -> Option<Self> {
        let once = self.once(fixture)?;
        let seed = self.seed ^ SALTS[fixture as usize];
        let workload = self.workloads.first()?.of_one(seed);
        Some(Self {
            seed,
            workloads: vec![Arc::new(workload)],
            scenarios: vec![once.scenario.clone()],
            groups: once.groups.clone(),
            data: Vec::new(),
            ..self.clone()
        })
    }

    /// The same with what setup saved in the place of its names.
    ///
    /// # Errors
    /// The name that has no value.
    pub fn with_values(&self, values: &Values) -> Result<Self, String> {
        let given = self.given.iter().map(|name| match values.get(name) {
            Some(value) => Ok(Value::from_json(value.clone())),
            None => Err(format!("the run has no value {name}, which setup should have saved")),
        });
        let given = given.collect::<Result<Vec<_>, _>>()?;
        let mut plan = self.clone();
        let known = Known::Given(&given);
        plan.scenarios.iter_mut().for_each(|scenario| scenario.settle(known));
        plan.teardown.iter_mut().for_each(|once| once.scenario.settle(known));
        Ok(plan)
    }
}

/// What a plan says of setup and teardown, and of its auth, which may name what setup saves.
pub(crate) struct Fixtures {
    /// Of the scenarios.
    pub auth: Option<Auth>,
    pub setup: Option<Box<Once>>,
    pub teardown: Option<Box<Once>>,
}

/// Reads them; `names` knows afterwards what setup saves. `None` when there is a fault in them.
pub(crate) fn fixtures(
    faults: &mut Faults<'_>,
    names: &mut Names,
    fields: &Fields<'_>,
    fragments: &[Entry],
) -> Option<Fixtures> {
    let list = fields.get(faults, "setup");
    begin(names, list, fragments);
    // Steps before a value is there go without an auth that needs it, as in scenarios.
    names.saved_before.extend(names.saved.clone());
    let credentials = fields.get(faults, "auth");
    let auth = credentials.map(|node| auth::auth(faults, names, node));
    names.saved_before.clear();
    let is_faulty = matches!(auth, Some(None));
    let around = Around { auth: auth.flatten(), tags: Vec::new() };
    let setup = list.map(|list| once(faults, names, (Fixture::Setup, list), fragments, &around));
    names.given = match &setup {
        Some(Some(once)) => saved(&once.scenario),
        // Nothing more is said of names of steps that are faulty.
        _ => std::mem::take(&mut names.saved),
    };
    begin(names, None, fragments);
    // What was a value of setup's own walk is now one of the whole run.
    let auth = credentials.filter(|_| !is_faulty).map(|node| auth::auth(faults, names, node));
    let around = Around { auth: auth.clone().flatten(), tags: Vec::new() };
    let teardown = fields.get(faults, "teardown").map(|list| {
        begin(names, Some(list), fragments);
        once(faults, names, (Fixture::Teardown, list), fragments, &around)
    });
    let setup = with_timeout(faults, fields, (Fixture::Setup, "setup_timeout"), setup);
    let teardown = with_timeout(faults, fields, (Fixture::Teardown, "teardown_timeout"), teardown);
    let (setup, teardown) = (setup?, teardown?);
    (!is_faulty).then_some(Fixtures { auth: auth.flatten(), setup, teardown })
}

/// Names as a list of steps begins with.
fn begin(names: &mut Names, list: Option<&Node>, fragments: &[Entry]) {
    names.saved.clear();
    names.saved_before.clear();
    names.used.clear();
    list.into_iter().for_each(|list| saved_in(list, fragments, (0, &mut BTreeSet::new()), names));
}

fn once(
    faults: &mut Faults<'_>,
    names: &mut Names,
    (fixture, list): (Fixture, &Node),
    fragments: &[Entry],
    around: &Around,
) -> Option<Box<Once>> {
    if names.saved.len() > limits::SAVED {
        let message = format!("{} saves at most {} values", fixture.as_str(), limits::SAVED);
        return read::fault(faults, list, Wrong::new("absurd", message));
    }
    let mut rows = Rows::default();
    names.is_rowless = true;
    let walked = scenario::walk(faults, names, list, fragments, around.clone(), (&mut rows, true));
    names.is_rowless = false;
    let (steps, flow) = walked?;
    if steps.len() > limits::STEPS {
        let message = format!("{} has at most {} steps", fixture.as_str(), limits::STEPS);
        return read::fault(faults, list, Wrong::new("absurd", message));
    }
    let scenario = Scenario {
        name: fixture.as_str().to_owned(),
        weight: 1,
        cookies: true,
        steps,
        flow,
        saved: std::mem::take(&mut names.saved),
        sources: Vec::new(),
    };
    Some(Box::new(Once { scenario, groups: rows.groups, timeout: limits::FIXTURE }))
}

/// What steps save, without the elements of loops.
fn saved(scenario: &Scenario) -> Vec<String> {
    let saves = scenario.steps.iter().flat_map(|step| &step.saves);
    let slots: BTreeSet<u16> = saves.map(|taking| taking.slot).collect();
    slots.into_iter().filter_map(|slot| scenario.saved.get(usize::from(slot)).cloned()).collect()
}

/// The outer `None` is a fault, the inner one a plan without.
fn with_timeout(
    faults: &mut Faults<'_>,
    fields: &Fields<'_>,
    (fixture, key): (Fixture, &str),
    once: Option<Option<Box<Once>>>,
) -> Option<Option<Box<Once>>> {
    let timeout = match fields.get(faults, key) {
        Some(node) => Some(read::span(faults, node, key, limits::WAIT)?),
        None => None,
    };
    match (once, timeout, fields.entry(key)) {
        (None, Some(_), Some(entry)) => {
            let wrong = Wrong::new("without_effect", format!("the plan has no {}", fixture.as_str()));
            faults.add(entry.place, &entry.key, wrong.help("leave it out"));
            None
        }
        (None, ..) => Some(None),
        (Some(once), ..) => {
            let mut once = once?;
            once.timeout = timeout.unwrap_or(limits::FIXTURE);
            Some(Some(once))
        }
    }
}
