//! The plan, compiled for the loops: steps in one row, requests rendered, times in nanoseconds.

use std::sync::Arc;

use protocol::decode::ACCEPT_ENCODING;
use protocol::{Parts, Protocol, Request, Want};

use crate::PrepareError;
use crate::sequel::Sequel;

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
    /// What it needs beyond one of `requests`.
    pub(crate) sequel: Option<Box<Sequel>>,
}

impl Program {
    /// With `protocols`, one per target.
    pub(crate) fn compile(
        plan: &plan::Plan,
        protocols: &[Arc<dyn Protocol>],
        user_agent: &str,
    ) -> Result<Self, PrepareError> {
        let max_wait = plan.max_wait();
        // A target that is asked to close its side first spares us the port that whoever closes first holds for a minute.
        let closes = plan.connections().per == plan::Per::Iteration && plan.http == plan::HttpVersion::Http1;
        let mut program = Self { steps: Vec::new(), first: Vec::new() };
        for scenario in &plan.scenarios {
            program.first.push(u32::try_from(program.steps.len()).unwrap_or(u32::MAX));
            for (position, step) in scenario.steps.iter().enumerate() {
                let is_last = position + 1 == scenario.steps.len();
                let headers = headers_of(step, closes && is_last);
                let path_at = |target: &plan::Target| format!("{}{}", target.base_path, step.path);
                let paths: Vec<String> = plan.targets.iter().map(path_at).collect();
                let requests = plan.targets.iter().zip(&paths).zip(protocols);
                let requests = requests
                    .map(|((target, path), protocol)| {
                        let authority = target.authority();
                        let parts = Parts {
                            method: &step.method,
                            scheme: target.scheme.as_str(),
                            authority: &authority,
                            path,
                            headers: &headers,
                            body: &step.body,
                            user_agent,
                            expects_continue: step.expect_continue,
                        };
                        let fault = |source| PrepareError::Request { step: step.name.clone(), source };
                        protocol.render(&parts).map_err(fault)
                    })
                    .collect::<Result<_, _>>()?;
                let sequel = Sequel::of(step, &headers, plan, &paths, scenario.cookies, user_agent);
                let needs_headers = scenario.cookies || step.follow_redirects > 0;
                program.steps.push(Step {
                    id: step.id,
                    requests,
                    timeout_ns: clock::nanos(step.timeout),
                    max_wait_ns: clock::nanos(max_wait.unwrap_or(step.timeout)),
                    pause_ns: clock::nanos(step.pause.unwrap_or_default()),
                    is_last: position + 1 == scenario.steps.len(),
                    expect: step.expect.clone(),
                    want: Want { headers: needs_headers, ..Want::default() },
                    sequel,
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

/// The plan's; and what asks for coded bodies unless the plan does so itself, and what asks the target to close.
fn headers_of(step: &plan::Step, closes: bool) -> Vec<(String, String)> {
    const CODINGS: &str = "accept-encoding";
    let mut headers = step.headers.clone();
    if step.decompress && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(CODINGS)) {
        headers.push((CODINGS.to_owned(), ACCEPT_ENCODING.to_owned()));
    }
    if closes {
        headers.push(("connection".to_owned(), "close".to_owned()));
    }
    headers
}
