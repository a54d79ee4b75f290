//! The plan, compiled for the loops: steps in one row, requests rendered, times in nanoseconds.

use std::sync::Arc;

use data::Files;
use protocol::decode::ACCEPT_ENCODING;
use protocol::{Parts, Protocol, Request, Want};

use crate::PrepareError;
use crate::mask::Mask;
use crate::reading::Reading;
use crate::sequel::{Line, Sequel};
use crate::tables::Tables;
use crate::template::{Payload, Place, Varying};

/// All steps of all scenarios, one scenario after the other.
#[derive(Debug)]
pub(crate) struct Program {
    steps: Vec<Step>,
    courses: Vec<Course>,
    /// The targets.
    pub(crate) places: Vec<Place>,
    pub(crate) user_agent: String,
    /// The plan's data.
    pub(crate) tables: Tables,
}

/// The way through a scenario.
#[derive(Debug)]
pub(crate) struct Course {
    /// The number of its first step.
    pub(crate) first: u32,
    /// How an iteration finds its way; `None` where it goes from step to step and nothing in it varies.
    pub(crate) flow: Option<Vec<plan::Op>>,
    /// Values that it saves.
    pub(crate) slots: usize,
    /// Data that it uses.
    pub(crate) sources: Vec<u16>,
}

/// One request of a scenario.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) id: plan::StepId,
    /// One per target; none where it varies.
    pub(crate) requests: Vec<Request>,
    /// How it is made where it varies.
    pub(crate) varying: Option<Box<Varying>>,
    pub(crate) timeout_ns: u64,
    /// How long it may wait for a connection.
    pub(crate) max_wait_ns: u64,
    /// After the step before, in a scenario without a flow.
    pub(crate) pause_ns: u64,
    /// In a scenario without a flow.
    pub(crate) is_last: bool,
    /// Whether its scenario has a flow.
    pub(crate) has_flow: bool,
    pub(crate) expect: plan::Expect,
    /// What else is looked at in its answer.
    pub(crate) reading: Option<Box<Reading>>,
    /// What is needed of a response.
    pub(crate) want: Want,
    /// What it needs beyond one of `requests`.
    pub(crate) sequel: Option<Box<Sequel>>,
}

/// What a program is compiled from.
#[derive(Clone, Copy)]
pub(crate) struct Given<'g> {
    pub(crate) plan: &'g plan::Plan,
    /// One per target.
    pub(crate) protocols: &'g [Arc<dyn Protocol>],
    pub(crate) user_agent: &'g str,
    /// In the order of the plan.
    pub(crate) secrets: &'g [String],
    pub(crate) files: &'g Files,
    /// Whether all of each answer is looked at, and every scenario walked by its flow: to show what happens, not to load.
    pub(crate) closely: bool,
}

/// Bytes of an answer's body that are kept to be shown.
const SHOWN_BYTES: usize = 256 * 1024;

impl Program {
    /// # Errors
    /// A step is no valid request, or a file of the plan cannot be used.
    pub(crate) fn compile(given: Given<'_>) -> Result<Self, PrepareError> {
        let plan = given.plan;
        let place = |target: &plan::Target| Place {
            scheme: target.scheme.as_str(),
            host: target.host.clone(),
            authority: target.authority(),
            base_path: target.base_path.clone(),
        };
        let mut program = Self {
            steps: Vec::new(),
            courses: Vec::new(),
            places: plan.targets.iter().map(place).collect(),
            user_agent: given.user_agent.to_owned(),
            tables: Tables::open(plan, given.files)?,
        };
        for (number, scenario) in plan.scenarios.iter().enumerate() {
            program.add(given, &plan.workloads[plan.workload_with(number)], scenario)?;
        }
        Ok(program)
    }

    fn add(
        &mut self,
        given: Given<'_>,
        workload: &plan::Workload,
        scenario: &plan::Scenario,
    ) -> Result<(), PrepareError> {
        let first = self.steps.len();
        for position in 0..scenario.steps.len() {
            let step = self.step_of(given, workload, scenario, position)?;
            self.steps.push(step);
        }
        let steps = &mut self.steps[first..];
        let varies = given.closely
            || !scenario.is_straight()
            || !scenario.sources.is_empty()
            || steps.iter().any(|step| step.varying.is_some() || step.reading.is_some());
        let flow = varies.then(|| {
            let mut flow = scenario.flow.clone();
            flow.iter_mut().for_each(|op| op.settle(given.secrets));
            flow
        });
        steps.iter_mut().for_each(|step| step.has_flow = varies);
        let mut pause_ns = 0;
        for op in scenario.flow.iter().filter(|_| !varies) {
            match op {
                plan::Op::Pause(pause) => pause_ns += clock::nanos(pause.draw(0, 0)),
                plan::Op::Request(number) => {
                    if let Some(step) = steps.get_mut(*number as usize) {
                        step.pause_ns = std::mem::take(&mut pause_ns);
                    }
                }
                _ => {}
            }
        }
        self.courses.push(Course {
            first: u32::try_from(first).unwrap_or(u32::MAX),
            flow,
            slots: scenario.saved.len(),
            sources: scenario.sources.clone(),
        });
        Ok(())
    }

    fn step_of(
        &self,
        given: Given<'_>,
        workload: &plan::Workload,
        scenario: &plan::Scenario,
        position: usize,
    ) -> Result<Step, PrepareError> {
        let Given { plan, protocols, user_agent, secrets, files, closely } = given;
        let step = &scenario.steps[position];
        // A target that is asked to close its side first spares us the port that whoever closes first holds for a minute.
        let closes =
            workload.connections().per == plan::Per::Iteration && plan.http == plan::HttpVersion::Http1;
        let is_last = scenario.is_straight() && position + 1 == scenario.steps.len();
        let varying = Varying {
            method: step.method.clone(),
            path: step.path.settle(secrets),
            headers: Vec::new(),
            varying: Vec::new(),
            body: Payload::of(&step.body, secrets, files)?,
            expects_continue: step.expect_continue,
            signing: step.signing.as_ref().map(|signing| Box::new(signing.settle(secrets))),
        };
        let varying = with_headers(varying, step, secrets, closes && is_last);
        let fixed = varying.fixed();
        let (mut requests, mut sequel) = (Vec::new(), None);
        let needs_sequel = closely || step.follow_redirects > 0 || scenario.cookies || step.expect_continue;
        if let Some((path, body)) = &fixed {
            for (place, protocol) in self.places.iter().zip(protocols) {
                let parts = Parts {
                    method: &step.method,
                    scheme: place.scheme,
                    authority: &place.authority,
                    path: &format!("{}{path}", place.base_path),
                    headers: &varying.headers,
                    body,
                    user_agent,
                    expects_continue: step.expect_continue,
                };
                let fault = |source| PrepareError::Request {
                    step: step.name.clone(),
                    source: match plan.given() {
                        [] => Mask::of(secrets).error(source),
                        _ => Mask::whole(source),
                    },
                };
                requests.push(protocol.render(&parts).map_err(fault)?);
            }
        }
        if needs_sequel {
            let lines = fixed.as_ref().map_or_else(Vec::new, |(path, body)| {
                let line = |place: &Place| {
                    let path = format!("{}{path}", place.base_path);
                    Line::new(place, &step.method, path, varying.headers.clone(), body.clone())
                };
                self.places.iter().map(line).collect()
            });
            sequel = Some(Box::new(Sequel::new(step, scenario.cookies, lines, user_agent)));
        }
        let reading = Reading::of(step, secrets);
        let want = Want {
            headers: closely
                || scenario.cookies
                || step.follow_redirects > 0
                || reading.as_ref().is_some_and(|reading| reading.needs_headers),
            // One more than is looked at, so that a larger one is seen to be so.
            body: reading
                .as_ref()
                .map_or(0, |reading| match reading.max_body {
                    0 => 0,
                    most => most.saturating_add(1),
                })
                .max(if closely { SHOWN_BYTES } else { 0 }),
        };
        Ok(Step {
            id: step.id,
            requests,
            varying: if fixed.is_none() { Some(Box::new(varying)) } else { None },
            timeout_ns: clock::nanos(step.timeout),
            max_wait_ns: clock::nanos(workload.max_wait().unwrap_or(step.timeout)),
            pause_ns: 0,
            is_last,
            has_flow: false,
            expect: step.expect.clone(),
            reading,
            want,
            sequel,
        })
    }

    #[inline]
    pub(crate) fn step(&self, number: u32) -> &Step {
        &self.steps[number as usize]
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    #[inline]
    pub(crate) fn course(&self, scenario: usize) -> &Course {
        &self.courses[scenario]
    }
}

/// Adds the step's headers; and what asks for coded bodies unless the plan does so itself, and what asks the target to
/// close.
fn with_headers(mut varying: Varying, step: &plan::Step, secrets: &[String], closes: bool) -> Varying {
    const CODINGS: &str = "accept-encoding";
    for (name, value) in &step.headers {
        let value = value.settle(secrets);
        let text = value.as_text().map(str::to_owned);
        if text.is_none() {
            varying.varying.push((varying.headers.len(), value));
        }
        varying.headers.push((name.clone(), text.unwrap_or_default()));
    }
    if step.decompress && !step.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(CODINGS)) {
        varying.headers.push((CODINGS.to_owned(), ACCEPT_ENCODING.to_owned()));
    }
    if closes {
        varying.headers.push(("connection".to_owned(), "close".to_owned()));
    }
    varying
}
