//! Scenarios: a user's path, and the requests in it.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::StepId;
use crate::diagnostic::{Faults, Wrong};
use crate::limits;
use crate::read::{self, Fields};
use crate::step::{self, Item};
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
    pub path: String,
    /// In the plan's order, `content-type` included where the body's kind implies one; never `host`, `content-length`,
    /// `transfer-encoding` or `connection`.
    pub headers: Vec<(String, String)>,
    /// Empty when the plan has none.
    pub body: Vec<u8>,
    /// From sent to done.
    pub timeout: Duration,
    /// What makes a response a success.
    pub expect: Expect,
    /// Redirects (301, 302, 303, 307, 308) that are followed, at most; 0: a redirect is the response. 307 and 308 keep
    /// method and body.
    pub follow_redirects: u32,
    /// Whether compressed bodies are asked for and unpacked.
    pub decompress: bool,
    /// Whether the body waits for `100 Continue` (RFC 9110, 10.1.1); there is one then.
    pub expect_continue: bool,
    /// Waited before this step: it is intended that long after the step before is done. Never on a first step.
    pub pause: Option<Duration>,
}

/// What makes a response a success.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expect {
    /// Status codes that do; `None`: 200 to 399.
    pub status: Option<Vec<RangeInclusive<u16>>>,
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

/// The rows of the tables: a step's name is the row's, so equal names share one.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub names: Vec<String>,
    ids: HashMap<String, StepId>,
}

impl Rows {
    /// The row of `name`; `None` when there is no room for another.
    fn id(&mut self, name: &str) -> Option<StepId> {
        if let Some(id) = self.ids.get(name) {
            return Some(*id);
        }
        if self.names.len() == limits::STEP_NAMES {
            return None;
        }
        let id = StepId(u16::try_from(self.names.len()).ok()?);
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        Some(id)
    }
}

/// The scenarios that `node` describes, and their rows.
pub(crate) fn scenarios(faults: &mut Faults<'_>, node: &Node) -> Option<(Vec<Scenario>, Vec<String>)> {
    let entries = read::map(faults, node, "scenarios")?;
    let steps: usize = entries.iter().map(count_steps).sum();
    if entries.is_empty() {
        return read::fault(faults, node, Wrong::new("missing", "a plan has at least one scenario"));
    }
    if entries.len() > limits::SCENARIOS || steps > limits::STEPS {
        let message =
            format!("a plan has at most {} scenarios and {} steps", limits::SCENARIOS, limits::STEPS);
        return read::fault(faults, node, Wrong::new("absurd", message));
    }
    let mut rows = Rows::default();
    let read: Vec<Option<Scenario>> =
        entries.iter().map(|entry| scenario(faults, entry, &mut rows)).collect();
    Some((read.into_iter().collect::<Option<_>>()?, rows.names))
}

fn count_steps(entry: &Entry) -> usize {
    match &entry.value.kind {
        Kind::Map(entries) => entries
            .iter()
            .map(|entry| if let Kind::List(steps) = &entry.value.kind { steps.len() } else { 0 })
            .sum(),
        _ => 0,
    }
}

fn scenario(faults: &mut Faults<'_>, entry: &Entry, rows: &mut Rows) -> Option<Scenario> {
    if let Err(wrong) = read::check_name(&entry.key, "the scenario's name") {
        faults.add(entry.place, &entry.key, wrong);
    }
    let fields = Fields::of(faults, &entry.value, "a scenario", &["weight", "cookies", "steps"], &[])?;
    let weight = match fields.get(faults, "weight") {
        Some(node) => read::count_u32(faults, node, "the weight", limits::WEIGHT),
        None => Some(1),
    };
    let cookies = read::flag(faults, &fields, "cookies");
    let steps = fields.required(faults, "steps").and_then(|node| steps(faults, node, rows));
    Some(Scenario { name: entry.key.clone(), weight: weight?, cookies: cookies?, steps: steps? })
}

fn steps(faults: &mut Faults<'_>, node: &Node, rows: &mut Rows) -> Option<Vec<Step>> {
    let nodes = read::list(faults, node, "steps")?;
    let mut steps = Vec::with_capacity(nodes.len());
    let mut complete = true;
    let mut pause: Option<(&Node, Duration)> = None;
    for node in nodes {
        match step::item(faults, node) {
            Some(Item::Pause(span)) => {
                let before = pause.map_or(Duration::ZERO, |(_, before)| before);
                pause = Some((node, before.saturating_add(span)));
            }
            Some(Item::Request(request)) => {
                if let (true, Some((node, _))) = (steps.is_empty() && complete, pause) {
                    let wrong = Wrong::new("pause_without_effect", "a pause stands between two requests");
                    faults.add_here(node.place, wrong.help("the first request's time is the schedule's"));
                }
                let Some(id) = rows.id(&request.name) else {
                    let message = format!("more than {} step names in one run", limits::STEP_NAMES);
                    let wrong = Wrong::new("too_many_step_names", message);
                    return read::fault(faults, node, wrong.help("give steps a common name"));
                };
                steps.push(Step { id, pause: pause.take().map(|(_, span)| span), ..request });
            }
            None => complete = false,
        }
    }
    if let Some((node, _)) = pause {
        let wrong = Wrong::new("pause_without_effect", "a pause stands between two requests");
        faults.add_here(node.place, wrong.help("nothing follows this one"));
    }
    if steps.is_empty() && complete {
        return read::fault(faults, node, Wrong::new("missing", "a scenario has at least one request"));
    }
    complete.then_some(steps)
}
