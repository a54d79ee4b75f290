//! `swell orchestrator`: the service that coordinates runs over the drivers and serves the page.

use std::thread;
use std::time::Duration;

use cluster::runtime::orchestrator as runtime;

use super::{kafka, serving};
use crate::arguments::Orchestrator;
use crate::exit::{Ended, Exit};
use crate::output::{self, Terminal};
use crate::signals::{Asked, Interrupts};

pub fn run(arguments: &Orchestrator, terminal: Terminal) -> anyhow::Result<Exit> {
    let interrupts = Interrupts::listen()?;
    serving::check_listen(arguments.listen)?;
    let location = arguments.storage.location()?;
    let store = serving::open_store(&location)?;
    let cluster = kafka::require(&arguments.kafka, "orchestrator")?;
    let events = serving::events_over(&cluster, !arguments.no_collector, false)?;
    let connect = |connect| Ok(cluster.node(connect)?);
    let orchestrator =
        serving::orchestrate(store, serving::OVER_KAFKA, Some(&cluster), None, Some(events), &connect)?;
    let server = serving::serve(arguments.listen, &orchestrator.handle(), &location)?;
    if !terminal.quiet {
        output::tell(&format!("dashboard on http://{}", server.local_addr()));
    }
    while interrupts.asked() == Asked::Nothing && !orchestrator.has_ended() {
        thread::sleep(Duration::from_millis(50));
    }
    let unasked = interrupts.asked() == Asked::Nothing;
    end(orchestrator, &interrupts)?;
    server.stop();
    if unasked {
        return Err(Ended::because(Exit::Internal, "the orchestrator ended by itself; see the log"));
    }
    Ok(Exit::Success)
}

/// Ends an orchestrator: the current run is stopped first, and aborted by a second signal.
pub fn end(orchestrator: runtime::Running, interrupts: &Interrupts) -> anyhow::Result<()> {
    orchestrator.shut_down();
    let handle = orchestrator.handle();
    let mut aborted = false;
    while !orchestrator.has_ended() {
        if interrupts.asked() == Asked::Abort && !aborted {
            aborted = true;
            if let Some(run) = handle.current().filter(|run| !run.state.is_over())
                && let Err(failure) = handle.abort(&run.run_id, "interrupted")
            {
                output::tell(&failure.to_string());
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
    if orchestrator.join() {
        Ok(())
    } else {
        Err(Ended::because(Exit::Internal, "the orchestrator died; see the log"))
    }
}
