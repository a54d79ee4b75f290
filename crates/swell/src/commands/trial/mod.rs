//! `swell try`: each scenario once, with all that is sent and answered, for whoever writes a plan.

mod body;
mod json;
mod text;

use engine::Mask;
use engine::rehearsal::{self, Event, Options};
use plan::Fixture;

use super::plan_file::PlanFile;
use super::rehearsing;
use crate::arguments::Try;
use crate::exit::{Ended, Exit};
use crate::output::{self, Terminal};

pub fn run(arguments: &Try, terminal: Terminal) -> anyhow::Result<Exit> {
    let file = PlanFile::read(&arguments.plan)?;
    let read = rehearsing::read(&file, &arguments.variables, arguments.reach.target.as_deref());
    let (mut plan, files, _) =
        read.map_err(|faults| Ended::because(Exit::Invalid, file.shown(&faults, terminal.color_err)))?;
    let scenario = arguments.scenario.as_deref().map(|name| number_of(&plan, name)).transpose()?;
    plan.seed = arguments.seed.unwrap_or(plan.seed);
    let mut job = rehearsing::job((plan, files), &file, &arguments.reach, terminal)?;
    let options = Options { scenario, iterations: arguments.iterations, keeps_pauses: arguments.with_pauses };
    let mut tally = Tally::default();
    let text = text::Writer::new(terminal.color_out);
    let mut json = json::Writer::default();
    let mut printed = Ok(());
    let mut tell = |event: Event, mask: &Mask| {
        tally.count(&event);
        let said = if arguments.json { json.event(&event) } else { text.event(&event) };
        // What was put together anew may show what stood apart.
        if !said.is_empty() && printed.is_ok() {
            printed = output::print(&mask.text(&said));
        }
    };
    if rehearsing::walk_once(&mut job, Fixture::Setup, arguments.with_pauses, &mut tell)? {
        rehearsal::rehearse(&job, &options, &mut tell).map_err(rehearsing::nothing_sent)?;
        rehearsing::walk_once(&mut job, Fixture::Teardown, arguments.with_pauses, &mut tell)?;
    }
    printed?;
    if !arguments.json {
        output::print(&tally.said())?;
    }
    Ok(if tally.has_failed() { Exit::Failed } else { Exit::Success })
}

fn number_of(plan: &plan::Plan, name: &str) -> anyhow::Result<usize> {
    plan.scenarios.iter().position(|scenario| scenario.name == name).ok_or_else(|| {
        let known: Vec<&str> = plan.scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
        let message = format!("there is no scenario {name:?}; the plan has {}", known.join(", "));
        Ended::because(Exit::Usage, message)
    })
}

/// What came of all steps.
#[derive(Debug, Default)]
struct Tally {
    requests: usize,
    failed: Vec<String>,
    is_empty: bool,
    iterations: usize,
}

impl Tally {
    fn count(&mut self, event: &Event) {
        match event {
            Event::Begins { .. } => self.iterations += 1,
            Event::NoRow { .. } if self.iterations == 0 => self.is_empty = true,
            Event::Exchange(exchange) => {
                self.requests += usize::from(exchange.request.is_some());
                if exchange.failure.is_some() && !self.failed.contains(&exchange.step) {
                    self.failed.push(exchange.step.clone());
                }
            }
            _ => {}
        }
    }

    fn has_failed(&self) -> bool {
        self.is_empty || !self.failed.is_empty()
    }

    fn said(&self) -> String {
        let plural = if self.requests == 1 { "request" } else { "requests" };
        match self.failed.as_slice() {
            [] => format!("{} {plural}, nothing failed\n", self.requests),
            failed => format!("{} {plural}, failed: {}\n", self.requests, failed.join(", ")),
        }
    }
}
