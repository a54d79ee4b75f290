//! Scenarios: a user's path, and the requests in it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::StepId;
use crate::answer::{Check, Taking};
use crate::auth::{self, Signing};
use crate::body::Body;
use crate::diagnostic::{Faults, Wrong};
use crate::expression::{Known, Names, Template};
use crate::flow::{Op, Pause, Reader, saved_in};
use crate::limits;
use crate::read::{self, Fields};
use crate::shapes;
use crate::step::{self, Around};
use crate::tree::{Entry, Kind, Node};

/// A user's path.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its key in the plan.
    pub name: String,
    /// How often it is walked, against the other scenarios' weights; at least 1.
    pub weight: u32,
    /// Whether cookies that a target sets are sent back (RFC 6265). Each iteration begins with none, but for the users of a closed
    /// load, who keep theirs.
    pub cookies: bool,
    /// At least one.
    pub steps: Vec<Step>,
    /// The way through them.
    pub flow: Vec<Op>,
    /// Names of the values that it saves, by their slots.
    pub saved: Vec<String>,
    /// Data that its expressions use, as indices into the plan's.
    pub sources: Vec<u16>,
}

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its row in the tables; steps of the same name share it, so it does not number the steps.
    pub id: StepId,
    /// The row's name.
    pub name: String,
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query, encoded, starting with `/`; to be appended to the target's base path.
    pub path: Template,
    /// In the plan's order, `content-type` included where the body's kind implies one; never `host`, `content-length`,
    /// `transfer-encoding` or `connection`.
    pub headers: Vec<(String, Template)>,
    /// Empty when the plan has none.
    pub body: Body,
    /// From sent to done.
    pub timeout: Duration,
    /// What makes a response a success.
    pub expect: Expect,
    /// What is kept of a response that is one.
    pub saves: Vec<Taking>,
    /// How it is signed.
    pub signing: Option<Box<Signing>>,
    /// Bytes of a body that is looked at; a larger one makes the step fail.
    pub max_body: usize,
    /// Redirects (301, 302, 303, 307, 308) that are followed, at most; 0: a redirect is the response. 307 and 308 keep
    /// method and body.
    pub follow_redirects: u32,
    /// Whether compressed bodies are asked for and unpacked.
    pub decompress: bool,
    /// Whether the body waits for `100 Continue` (RFC 9110, 10.1.1); there is one then.
    pub expect_continue: bool,
    /// Words by which results are put together.
    pub tags: Vec<String>,
}

/// What makes a response a success.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expect {
    /// Status codes that do; `None`: 200 to 399.
    pub status: Option<Vec<RangeInclusive<u16>>>,
    /// What else is demanded; all of it.
    pub checks: Vec<Check>,
}

impl Expect {
    /// Whether a response with this status code is a success.
    pub fn accepts(&self, status: u16) -> bool {
        match &self.status {
            Some(ranges) => ranges.iter().any(|range| range.contains(&status)),
            None => (200..=399).contains(&status),
        }
    }
}

impl Scenario {
    /// Whether its steps follow one another, with fixed pauses at most: then every iteration is the same.
    pub fn is_straight(&self) -> bool {
        self.flow.iter().all(|op| matches!(op, Op::Request(_) | Op::Pause(Pause::Fixed(_))))
    }

    /// Whether an iteration is exactly one request.
    pub fn is_one_request(&self) -> bool {
        matches!(self.flow[..], [Op::Request(_)]) && self.steps.iter().all(|step| step.follow_redirects == 0)
    }

    /// With what is known in its places.
    pub(crate) fn settle(&mut self, known: Known<'_>) {
        self.flow.iter_mut().for_each(|op| op.settle(known));
        self.steps.iter_mut().for_each(|step| step.settle(known));
    }

    /// Whether a step waits for anything but the answer before.
    pub fn has_pauses(&self) -> bool {
        self.flow.iter().any(|op| matches!(op, Op::Pause(_)))
    }
}

impl Step {
    fn settle(&mut self, known: Known<'_>) {
        self.path = self.path.settle(known);
        self.headers.iter_mut().for_each(|(_, value)| *value = value.settle(known));
        self.body.settle(known);
        self.expect.checks.iter_mut().for_each(|check| check.settle(known));
        self.saves.iter_mut().for_each(|taking| taking.settle(known));
        self.signing.iter_mut().for_each(|signing| **signing = signing.settle(known));
    }
}

/// The rows of the tables: a step's name is the row's, so equal names share one.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub names: Vec<String>,
    pub tags: Vec<Vec<String>>,
    /// Rows of a tag that a step without it has, too.
    pub shared: HashSet<(StepId, String)>,
    /// Groups have rows behind those of the steps.
    pub groups: Vec<String>,
    ids: HashMap<String, StepId>,
}

impl Rows {
    /// The row of `name`; `None` when there is no room for another.
    pub(crate) fn id(&mut self, name: &str, tags: &[String]) -> Option<StepId> {
        if let Some(id) = self.ids.get(name) {
            let known = &mut self.tags[usize::from(id.0)];
            let new: Vec<String> = tags.iter().filter(|tag| !known.contains(tag)).cloned().collect();
            let lacking = known.iter().filter(|tag| !tags.contains(tag));
            self.shared.extend(lacking.chain(&new).map(|tag| (*id, tag.clone())));
            known.extend(new);
            return Some(*id);
        }
        if self.names.len() == limits::STEP_NAMES {
            return None;
        }
        let id = StepId(u16::try_from(self.names.len()).ok()?);
        self.names.push(name.to_owned());
        self.tags.push(tags.to_vec());
        self.ids.insert(name.to_owned(), id);
        Some(id)
    }

    /// The number of the group `name`; `None` when there is no room for another.
    pub(crate) fn group(&mut self, name: &str) -> Option<u16> {
        let at = self.groups.iter().position(|known| known == name).unwrap_or(self.groups.len());
        if at == limits::STEP_NAMES {
            return None;
        }
        if at == self.groups.len() {
            self.groups.push(name.to_owned());
        }
        u16::try_from(at).ok()
    }
}

/// The scenarios that `node` describes, and their rows.
pub(crate) fn scenarios(
    faults: &mut Faults<'_>,
    names: &mut Names,
    node: &Node,
    fragments: &[Entry],
    around: &Around,
) -> Option<(Vec<Scenario>, Rows)> {
    let entries = read::map(faults, node, "scenarios")?;
    if entries.is_empty() {
        return read::fault(faults, node, Wrong::new("missing", "a plan has at least one scenario"));
    }
    let too_much = || {
        let message =
            format!("a plan has at most {} scenarios and {} steps", limits::SCENARIOS, limits::STEPS);
        Wrong::new("absurd", message)
    };
    let listed: usize = entries.iter().map(|entry| count_steps(&entry.value)).sum();
    if entries.len() > limits::SCENARIOS || listed > limits::STEPS {
        return read::fault(faults, node, too_much());
    }
    let mut rows = Rows::default();
    let mut scenarios: Vec<Option<Scenario>> = Vec::new();
    let mut steps = 0;
    for entry in entries {
        let scenario = scenario(faults, names, entry, fragments, around, &mut rows);
        steps += scenario.as_ref().map_or(0, |scenario| scenario.steps.len());
        // Fragments make more of them than are written.
        if steps > limits::STEPS {
            return read::fault(faults, node, too_much());
        }
        scenarios.push(scenario);
    }
    Some((scenarios.into_iter().collect::<Option<_>>()?, rows))
}

fn count_steps(node: &Node) -> usize {
    node.entry("steps").map_or(0, |entry| match &entry.value.kind {
        Kind::List(steps) => steps.iter().map(|step| 1 + count_steps(step)).sum(),
        _ => 0,
    })
}

fn scenario(
    faults: &mut Faults<'_>,
    names: &mut Names,
    entry: &Entry,
    fragments: &[Entry],
    around: &Around,
    rows: &mut Rows,
) -> Option<Scenario> {
    if let Err(wrong) = read::check_name(&entry.key, "the scenario's name") {
        faults.add(entry.place, &entry.key, wrong);
    }
    let fields = Fields::of(faults, &entry.value, &shapes::SCENARIO, &[])?;
    let weight = match fields.get(faults, "weight") {
        Some(node) => read::count_u32(faults, node, "the weight", limits::WEIGHT),
        None => Some(1),
    };
    let cookies = read::flag(faults, &fields, "cookies");
    names.saved.clear();
    names.saved_before.clear();
    names.used.clear();
    let list = fields.required(faults, "steps");
    list.into_iter().for_each(|list| saved_in(list, fragments, (0, &mut BTreeSet::new()), names));
    if names.saved.len() > limits::SAVED {
        let message = format!("a scenario saves at most {} values", limits::SAVED);
        faults.add(entry.place, &entry.key, Wrong::new("absurd", message));
        return None;
    }
    let mut around = around.clone();
    let mut is_complete = true;
    if let Some(node) = fields.get(faults, "tags") {
        match step::tags(faults, node) {
            Some(tags) => around.tags.extend(tags),
            None => is_complete = false,
        }
    }
    if let Some(node) = fields.get(faults, "auth") {
        // What is saved in a step is there only afterwards; which steps that are the expression cannot know.
        let saved = names.saved.clone();
        names.saved_before.extend(saved);
        match auth::auth(faults, names, node) {
            Some(auth) => around.auth = Some(auth),
            None => is_complete = false,
        }
        names.saved_before.clear();
    }
    let (steps, flow) = walk(faults, names, list?, fragments, around, (rows, is_complete))?;
    Some(Scenario {
        name: entry.key.clone(),
        weight: weight?,
        cookies: cookies?,
        steps,
        flow,
        saved: names.saved.clone(),
        sources: names.used.iter().copied().collect(),
    })
}

/// The requests of a list of steps, and the way through them.
pub(crate) fn walk(
    faults: &mut Faults<'_>,
    names: &mut Names,
    list: &Node,
    fragments: &[Entry],
    around: Around,
    (rows, is_complete): (&mut Rows, bool),
) -> Option<(Vec<Step>, Vec<Op>)> {
    let mut reader = Reader {
        faults,
        names,
        rows,
        fragments,
        around,
        steps: Vec::new(),
        ops: Vec::new(),
        items: 0,
        within: Vec::new(),
        nesting: 0,
        is_complete,
        pause: None,
    };
    reader.items(list);
    let Reader { steps, ops, items, is_complete, pause, .. } = reader;
    if items > limits::ITEMS {
        let message = format!("there are more than {} items, those of fragments included", limits::ITEMS);
        return read::fault(faults, list, Wrong::new("absurd", message));
    }
    if let Some(place) = pause {
        let wrong = Wrong::new("pause_without_effect", "a pause stands between two requests");
        faults.add_here(place, wrong.help("nothing follows this one"));
    }
    if steps.is_empty() && is_complete {
        return read::fault(faults, list, Wrong::new("missing", "there is no request in it"));
    }
    is_complete.then_some((steps, ops))
}
