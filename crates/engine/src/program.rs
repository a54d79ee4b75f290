//! The plan, compiled for the loops: steps in one row, requests rendered, times in nanoseconds.

use std::sync::Arc;

use protocol::{Parts, Protocol, Request, Want};

use crate::PrepareError;

/// All steps of all scenarios, one scenario after the other.
#[derive(Debug)]
pub(crate) struct Program {
    steps: Vec<Step>,
    /// The first step of each scenario.
    first: Vec<u32>,
}

/// One request of a scenario.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) id: plan::StepId,
    /// One per target.
    pub(crate) requests: Vec<Request>,
    pub(crate) timeout_ns: u64,
    /// How long it may wait for a connection.
    pub(crate) max_wait_ns: u64,
    /// After the step before.
    pub(crate) pause_ns: u64,
    pub(crate) is_last: bool,
    pub(crate) expect: plan::Expect,
    /// What is needed of a response.
    pub(crate) want: Want,
}

impl Program {
    /// With `protocols`, one per target.
    pub(crate) fn compile(
        plan: &plan::Plan,
        protocols: &[Arc<dyn Protocol>],
        user_agent: &str,
    ) -> Result<Self, PrepareError> {
        let max_wait = plan.max_wait();
        let mut program = Self { steps: Vec::new(), first: Vec::new() };
        for scenario in &plan.scenarios {
            program.first.push(u32::try_from(program.steps.len()).unwrap_or(u32::MAX));
            for (position, step) in scenario.steps.iter().enumerate() {
                let requests = plan
                    .targets
                    .iter()
                    .zip(protocols)
                    .map(|(target, protocol)| render(step, target, protocol.as_ref(), user_agent))
                    .collect::<Result<_, _>>()?;
                program.steps.push(Step {
                    id: step.id,
                    requests,
                    timeout_ns: clock::nanos(step.timeout),
                    max_wait_ns: clock::nanos(max_wait.unwrap_or(step.timeout)),
                    pause_ns: clock::nanos(step.pause.unwrap_or_default()),
                    is_last: position + 1 == scenario.steps.len(),
                    expect: step.expect.clone(),
                    want: Want::default(),
                });
            }
        }
        Ok(program)
    }

    #[inline]
    pub(crate) fn step(&self, number: u32) -> &Step {
        &self.steps[number as usize]
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The number of a scenario's first step.
    #[inline]
    pub(crate) fn first_of(&self, scenario: usize) -> u32 {
        self.first[scenario]
    }
}

fn render(
    step: &plan::Step,
    target: &plan::Target,
    protocol: &dyn Protocol,
    user_agent: &str,
) -> Result<Request, PrepareError> {
    let path = format!("{}{}", target.base_path, step.path);
    let parts = Parts {
        method: &step.method,
        scheme: "http",
        authority: &target.authority(),
        path: &path,
        headers: &step.headers,
        body: &step.body,
        user_agent,
        expects_continue: false,
    };
    protocol.render(&parts).map_err(|source| PrepareError::Request { step: step.name.clone(), source })
}
