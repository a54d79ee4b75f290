//! `swell check --connect`: how the target answers each step of a plan, a line each.

use std::collections::BTreeSet;
use std::sync::Arc;

use data::Files;
use engine::Mask;
use engine::rehearsal::{self, Event, Exchange, Options};
use plan::{Fixture, Plan};

use super::plan_file::PlanFile;
use super::rehearsing;
use crate::arguments::Reach;
use crate::exit::Exit;
use crate::output::{self, Terminal};

/// Columns of a step's name.
const NAME_COLUMNS: usize = 40;

/// Walks each scenario once.
pub fn run(
    plan: Plan,
    files: Files,
    file: &PlanFile,
    reach: &Reach,
    terminal: Terminal,
) -> anyhow::Result<Exit> {
    let mut job = rehearsing::job((plan, files), file, reach, terminal)?;
    let options = Options { scenario: None, iterations: 1, keeps_pauses: false };
    let plan = Arc::clone(&job.plan);
    let mut lines = Lines::new(&plan, terminal.color_out);
    let mut printed = Ok(());
    let mut tell = |event: Event, mask: &Mask| {
        let said = lines.event(&event);
        if !said.is_empty() && printed.is_ok() {
            printed = output::print(&mask.text(&said));
        }
    };
    if rehearsing::walk_once(&mut job, Fixture::Setup, false, &mut tell)? {
        rehearsal::rehearse(&job, &options, &mut tell).map_err(rehearsing::nothing_sent)?;
        rehearsing::walk_once(&mut job, Fixture::Teardown, false, &mut tell)?;
    }
    printed?;
    Ok(if lines.has_failed { Exit::Failed } else { Exit::Success })
}

struct Lines<'p> {
    plan: &'p Plan,
    color: bool,
    scenario: String,
    /// Setup or teardown, if it is that.
    fixture: Option<Fixture>,
    /// Steps of the scenario that have a line.
    told: BTreeSet<String>,
    has_failed: bool,
}

impl<'p> Lines<'p> {
    fn new(plan: &'p Plan, color: bool) -> Self {
        Self { plan, color, scenario: String::new(), fixture: None, told: BTreeSet::new(), has_failed: false }
    }

    fn event(&mut self, event: &Event) -> String {
        match event {
            Event::Begins { scenario, target, .. } => {
                self.told.clear();
                self.fixture = None;
                self.scenario.clone_from(scenario);
                format!("{scenario}, {target}\n")
            }
            Event::Once { fixture, target } => {
                self.told.clear();
                (self.scenario, self.fixture) = (String::new(), Some(*fixture));
                format!("{}, {target}\n", fixture.as_str())
            }
            Event::NoRow { scenario, source } => {
                self.has_failed = true;
                format!("{scenario}\n  no row of {source} is left, so no iteration begins\n")
            }
            Event::Exchange(exchange) => self.exchange(exchange),
            Event::Ends { .. } => self.unreached(),
            _ => String::new(),
        }
    }

    /// A step's line: once, unless it fails later on.
    fn exchange(&mut self, exchange: &Exchange) -> String {
        if exchange.is_followed {
            return String::new();
        }
        let is_new = self.told.insert(exchange.step.clone());
        if !is_new && exchange.failure.is_none() {
            return String::new();
        }
        let (status, time) = match &exchange.answer {
            Some(answer) => {
                (answer.status.to_string(), format!("{:.1} ms", answer.total.as_secs_f64() * 1e3))
            }
            None => ("-".to_owned(), "-".to_owned()),
        };
        let outcome = match &exchange.failure {
            None => self.paint("32", "ok"),
            Some(failure) => {
                self.has_failed = true;
                format!("{}: {}", self.paint("1;31", failure.kind), harmless(&failure.text))
            }
        };
        line(&exchange.step, &status, &time, &outcome)
    }

    /// What no condition led to, or what stands behind a step that failed.
    fn unreached(&self) -> String {
        let scenario = match self.fixture {
            Some(fixture) => self.plan.fixture(fixture),
            None => self.plan.scenarios.iter().find(|known| known.name == self.scenario),
        };
        let Some(scenario) = scenario else { return String::new() };
        let mut said = BTreeSet::new();
        let unreached = scenario.steps.iter().map(|step| step.name.as_str());
        let unreached = unreached.filter(|name| !self.told.contains(*name) && said.insert(*name));
        unreached.map(|name| line(name, "-", "-", "not reached")).collect()
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Text in which nothing is that a terminal would obey.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn line(step: &str, status: &str, time: &str, outcome: &str) -> String {
    format!("  {step:NAME_COLUMNS$} {status:>3} {time:>10}  {outcome}\n")
}
