//! `swell run`: one run, from a plan to a result and an exit code.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use cluster::files::Shelf;
use cluster::runtime::orchestrator::Running;
use cluster::view::RunState;
use cluster::{RunResult, Wanted};
use data::Files;
use engine::{Allow, Secrets};
use plan::{Diagnostic, Plan, Quick};
use transport::memory;

use super::local::{self, Drivers};
use super::plan_file::PlanFile;
use super::{driver, faults, files, follow, kafka, orchestrator, secrets, serving};
use crate::arguments::Run;
use crate::exit::{Ended, Exit};
use crate::output::{self, Terminal};
use crate::signals::{Asked, Interrupts};

pub fn run(arguments: &Run, terminal: Terminal) -> anyhow::Result<Exit> {
    let interrupts = Interrupts::listen()?;
    let outputs =
        arguments.output.iter().map(|text| Output::parse(text)).collect::<anyhow::Result<Vec<_>>>()?;
    let submitted = plan_of(arguments, terminal)?;
    let secrets = secrets::known(&arguments.generator.secrets, terminal)?;
    if arguments.kafka.kafka.is_none() {
        submitted.need(&secrets, terminal)?;
    }
    let Submitted { plan, files, .. } = submitted;
    warn(&plan.warnings(), terminal);
    let with_page = arguments.ui || arguments.linger;
    if with_page {
        serving::check_listen(arguments.listen)?;
    }
    let location = arguments.storage.location()?;
    let store = serving::open_store(&location)?;
    let remote = kafka::connect(&arguments.kafka)?;
    let (broker, shelf) = (memory::Broker::new(), Shelf::default());
    let (orchestrator, drivers, wanted) = match &remote {
        Some(cluster) => {
            let connect = |connect| Ok(cluster.node(connect)?);
            let events = Some(serving::events_over(cluster, true, true)?);
            let orchestrator =
                serving::orchestrate(store, serving::OVER_KAFKA, Some(cluster), None, events, &connect)?;
            let max_drivers = arguments.drivers.map_or(cluster::MAX_DRIVERS, usize::from);
            (orchestrator, None, Wanted { min_drivers: usize::from(arguments.min_drivers), max_drivers })
        }
        None => {
            let count = arguments.drivers.map_or(1, usize::from);
            let threads = arguments.generator.threads.map(|each| usize::from(each) * count);
            let threads = threads.unwrap_or_else(local::default_threads);
            let allow = allow_plan(driver::allow(&arguments.generator)?, &plan)?;
            warn(&local::look_ahead(&plan, count, threads)?, terminal);
            let orchestrator = serving::orchestrate(
                store,
                serving::IN_PROCESS,
                None,
                Some(shelf.clone()),
                Some(serving::events_here(&broker)),
                &|connect| Ok(broker.node(connect)),
            )?;
            let drivers =
                Drivers::start(&broker, &shelf, count, threads, &allow, arguments.generator.io, &secrets)?;
            (orchestrator, Some(drivers), Wanted { min_drivers: count, max_drivers: count })
        }
    };
    let handle = orchestrator.handle();
    let server = if with_page {
        let server = serving::serve(arguments.listen, &handle, &location)?;
        output::tell(&format!("dashboard on http://{}", server.local_addr()));
        Some(server)
    } else {
        None
    };
    let result = one_run(&orchestrator, (plan, files), wanted, &interrupts, terminal);
    let told = result.as_ref().map_or(Ok(()), |result| {
        let summary = api::summary(result);
        output::print(&report::text(&summary, terminal.color_out, output::WIDTH))?;
        outputs.iter().try_for_each(|output| output.write(&summary))
    });
    if arguments.linger && result.is_ok() && interrupts.asked() == Asked::Nothing {
        linger(&interrupts);
    }
    // Whatever became of the run, its drivers hear that it is over before this process goes.
    let results_fault = handle.storage().results_fault;
    orchestrator::end(orchestrator, &interrupts)?;
    drop(server);
    let (result, ()) = (result?, told?);
    if drivers.is_some_and(|drivers| !drivers.end()) {
        return Err(Ended::because(Exit::Internal, "a driver died; see the log"));
    }
    if let Some(fault) = results_fault {
        let why = fault.why;
        return Err(Ended::because(Exit::Internal, format!("the result above is not stored: {why}")));
    }
    Ok(exit_of(&result, arguments.strict))
}

/// Creates, starts and follows a run to its end.
pub fn one_run(
    orchestrator: &Running,
    (plan, files): (Plan, Files),
    wanted: Wanted,
    interrupts: &Interrupts,
    terminal: Terminal,
) -> anyhow::Result<RunResult> {
    let handle = orchestrator.handle();
    let refused = |failure: cluster::Failure| Ended::because(Exit::Preflight, failure.to_string());
    let run_id = handle.create_with(plan, files).map_err(refused)?;
    handle.start(&run_id, wanted).map_err(refused)?;
    let result = follow::to_the_end(orchestrator, &run_id, interrupts, terminal)?;
    if result.view.state == RunState::Failed && result.view.started_ms.is_none() {
        let reason = result.view.state_reason.as_deref().unwrap_or("the run could not start");
        let what = match result.view.plan.fixture(plan::Fixture::Setup) {
            Some(_) => "the run did not start",
            None => "nothing was sent",
        };
        return Err(Ended::because(Exit::Preflight, format!("{what}: {reason}")));
    }
    Ok(result)
}

/// Waits for a signal.
pub fn linger(interrupts: &Interrupts) {
    output::tell("the dashboard stays until Ctrl-C");
    while interrupts.asked() == Asked::Nothing {
        thread::sleep(Duration::from_millis(50));
    }
}

/// The exit code of a run that was started.
pub fn exit_of(result: &RunResult, strict: bool) -> Exit {
    let totals = result.merged.totals();
    let mut reasons = Vec::new();
    if result.view.was_stopped() {
        reasons.push(Exit::Stopped);
    }
    let meant = result.view.was_stopped() || result.view.was_ended_by_threshold();
    let broken = result.view.state != RunState::Finished && !meant;
    if !result.lost_drivers.is_empty() || result.complete == Some(false) || broken {
        reasons.push(Exit::DriversLost);
    }
    let nothing_succeeded = totals.succeeded == 0 && result.view.drivers.iter().all(|driver| !driver.foreign);
    let thresholds = result.view.plan.thresholds.iter().zip(&result.view.thresholds);
    let mut failed = thresholds.filter(|(threshold, judged)| judged.fails(threshold));
    if nothing_succeeded || failed.next().is_some() {
        reasons.push(Exit::Failed);
    }
    if strict && result.verdict.value != metrics::verdict::Value::Valid {
        reasons.push(Exit::NotTrustworthy);
    }
    Exit::of_run(&reasons)
}

/// Whoever is at the keyboard owns the drivers of this process, so the plan's own targets are allowed.
pub fn allow_plan(mut allow: Allow, plan: &Plan) -> anyhow::Result<Allow> {
    for target in &plan.targets {
        let rule = match &target.socket {
            Some(path) => format!("unix:{}", path.display()),
            None => target.host.clone(),
        };
        allow.add(&rule).map_err(|error| Ended::because(Exit::Invalid, error.to_string()))?;
    }
    Ok(allow)
}

/// The plan, and the files that it names.
fn plan_of(arguments: &Run, terminal: Terminal) -> anyhow::Result<Submitted> {
    let quick = &arguments.quick;
    let is_url = arguments.plan.contains("://") || arguments.plan.starts_with("unix:");
    if is_url && arguments.target.is_some() {
        return Err(Ended::because(Exit::Usage, "--target goes with a plan file; the URL is the target"));
    }
    let said = |faults: &[Diagnostic], shown: String| {
        let usage = faults.iter().any(|fault| fault.code == "usage");
        Ended::because(if usage { Exit::Usage } else { Exit::Invalid }, shown)
    };
    if is_url {
        if !arguments.variables.is_empty() {
            return Err(Ended::because(Exit::Usage, "--var goes with a plan file; a URL has no variables"));
        }
        let plan = plan::quick(&Quick {
            url: arguments.plan.clone(),
            rate: quick.rate.clone(),
            duration: quick.duration.clone(),
            users: quick.users,
            requests: quick.requests,
            connections: quick.connections.map(u64::from),
            method: quick.method.clone(),
            headers: quick.headers.clone(),
            body: quick.body.clone(),
            timeout: quick.timeout.clone(),
            http2: quick.http2,
            insecure: quick.insecure,
            seed: quick.seed,
        });
        let plan =
            plan.map_err(|faults| said(&faults, faults::shown(&faults, |_| None, terminal.color_err)))?;
        Ok(Submitted { plan, files: Files::default(), file: None })
    } else {
        if quick.is_given() {
            return Err(Ended::because(
                Exit::Usage,
                "the quick options go with a URL; a plan file says all that itself",
            ));
        }
        let file = PlanFile::read(&arguments.plan)?;
        let plan = file.plan(&arguments.variables, arguments.target.as_deref()).and_then(|plan| {
            let files = files::read(&plan, &file.name)?;
            files::look_through(&plan, &file.name, &files)?;
            Ok((plan, files))
        });
        let (plan, files) = plan.map_err(|faults| said(&faults, file.shown(&faults, terminal.color_err)))?;
        Ok(Submitted { plan, files, file: Some(file) })
    }
}

/// A plan that is to be run.
struct Submitted {
    plan: Plan,
    /// What it names.
    files: Files,
    /// Where it was read, if that was a file.
    file: Option<PlanFile>,
}

impl Submitted {
    /// Says so when the plan needs a secret that is not among `known`.
    fn need(&self, known: &Secrets, terminal: Terminal) -> anyhow::Result<()> {
        let faults = self.plan.unset_secrets(|name| known.0.contains_key(name));
        let Some(file) = self.file.as_ref().filter(|_| !faults.is_empty()) else { return Ok(()) };
        Err(Ended::because(Exit::Invalid, file.shown(&faults, terminal.color_err)))
    }
}

/// `-o FORMAT=FILE`.
enum Output {
    Json(PathBuf),
    Text(PathBuf),
}

impl Output {
    fn parse(text: &str) -> anyhow::Result<Self> {
        match text.split_once('=') {
            Some(("json", file)) if !file.is_empty() => Ok(Self::Json(file.into())),
            Some(("text", file)) if !file.is_empty() => Ok(Self::Text(file.into())),
            _ => Err(Ended::because(Exit::Usage, format!("-o {text}: write json=FILE or text=FILE"))),
        }
    }

    fn write(&self, summary: &report::Summary) -> anyhow::Result<()> {
        let (file, text) = match self {
            Self::Json(file) => (file, summary.to_json()),
            Self::Text(file) => (file, report::text(summary, false, output::WIDTH)),
        };
        fs::write(file, text).map_err(|error| {
            Ended::because(Exit::Internal, format!("cannot write {}: {error}", file.display()))
        })
    }
}

fn warn(warnings: &[String], terminal: Terminal) {
    let told = warnings.iter().filter(|_| !terminal.quiet);
    told.for_each(|text| output::tell(&format!("warning: {text}")));
}
