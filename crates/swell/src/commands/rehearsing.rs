//! What `swell try` and `swell check --connect` have in common: from a plan to a job that is walked by one thread.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use data::Files;
use engine::rehearsal::{self, Event, Once};
use engine::{Allow, Job, Mask, PrepareError};
use plan::{Diagnostic, Fixture, LaneSet, Plan};

use super::files::Source;
use super::plan_file::PlanFile;
use super::{files, run, secrets};
use crate::arguments::Reach;
use crate::exit::{Ended, Exit};
use crate::output::Terminal;

/// The plan with its files, which were looked through.
///
/// # Errors
/// All faults.
pub fn read(
    file: &PlanFile,
    variables: &[(String, String)],
    target: Option<&str>,
) -> Result<(Plan, Files, Vec<Source>), Vec<Diagnostic>> {
    let plan = file.plan(variables, target)?;
    let files = files::read(&plan, &file.name)?;
    let data = files::look_through(&plan, &file.name, &files)?;
    Ok((plan, files, data))
}

/// Has `plan` sent as `reach` says: whoever is at the keyboard may send to the plan's own targets.
///
/// # Errors
/// A secret is not set, or a rule is none.
pub fn job(
    (mut plan, files): (Plan, Files),
    file: &PlanFile,
    reach: &Reach,
    terminal: Terminal,
) -> anyhow::Result<Job> {
    let secrets = secrets::known(&reach.secrets, terminal)?;
    let unset = plan.unset_secrets(|name| secrets.0.contains_key(name));
    if !unset.is_empty() {
        return Err(Ended::because(Exit::Invalid, file.shown(&unset, terminal.color_err)));
    }
    let allow = Allow::new(reach.allow.iter().map(String::as_str))
        .map_err(|error| Ended::because(Exit::Invalid, format!("--allow: {error}")))?;
    let allow = run::allow_plan(allow, &plan)?;
    plan.tls.insecure |= reach.insecure;
    Ok(Job {
        plan: Arc::new(plan),
        files,
        run_id: String::new(),
        threads: 1,
        share: LaneSet::all(),
        allow,
        user_agent: format!("groundswell/{} (try)", env!("CARGO_PKG_VERSION")),
        io: engine::Io::default(),
        secrets,
    })
}

/// Walks setup or teardown of the job's plan, where it has any; after a setup the plan has what it saved in it. False when
/// something failed.
///
/// # Errors
/// Nothing could be sent.
pub fn walk_once(
    job: &mut Job,
    fixture: Fixture,
    keeps_pauses: bool,
    tell: &mut dyn FnMut(Event, &Mask),
) -> anyhow::Result<bool> {
    if job.plan.fixture(fixture).is_none() {
        return Ok(true);
    }
    let (until, unwanted) = (clock::now() + job.plan.fixture_timeout(fixture), AtomicBool::new(false));
    let once = Once { fixture, until, unwanted: &unwanted, keeps_pauses };
    let walked = rehearsal::walk_once(job, once, tell).map_err(nothing_sent)?;
    if walked.failure.is_none() && fixture == Fixture::Setup {
        let plan = job.plan.with_values(&walked.values);
        job.plan = Arc::new(plan.map_err(|why| Ended::because(Exit::Internal, why))?);
    }
    Ok(walked.failure.is_none())
}

/// How the program ends when nothing could be sent.
pub fn nothing_sent(error: PrepareError) -> anyhow::Error {
    let exit = match error {
        PrepareError::Dns { .. }
        | PrepareError::Refused(_)
        | PrepareError::Unreachable { .. }
        | PrepareError::Source { .. }
        | PrepareError::Uring { .. }
        | PrepareError::Local { .. } => Exit::Preflight,
        _ => Exit::Invalid,
    };
    Ended::because(exit, format!("nothing was sent: {:#}", anyhow::Error::new(error)))
}
