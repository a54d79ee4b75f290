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
    let store = serving::open_store(&arguments.storage.store)?;
    let cluster = kafka::require(&arguments.kafka, "orchestrator")?;
    let orchestrator =
        serving::orchestrate(store, serving::OVER_KAFKA, Some(cluster.stamp_command()), &|connect| {
            Ok(cluster.node(connect)?)
        })?;
    let server = serving::serve(arguments.listen, &orchestrator.handle(), &arguments.storage.store)?;
    if !terminal.quiet {
        output::tell(&format!("dashboard on http://{}", server.local_addr()));
    }
    while interrupts.asked() == Asked::Nothing && !orchestrator.has_ended() {
        thread::sleep(Duration::from_millis(50));
    }
    end(orchestrator, &interrupts)?;
    server.stop();
    Ok(Exit::Success)
}

/// Ends an orchestrator: the current run is stopped first; a second signal does not wait for it.
pub fn end(orchestrator: runtime::Running, interrupts: &Interrupts) -> anyhow::Result<()> {
    orchestrator.shut_down();
    while !orchestrator.has_ended() {
        if interrupts.asked() == Asked::Abort {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    if orchestrator.join() {
        Ok(())
    } else {
        Err(Ended::new(Exit::Internal, "the orchestrator died; see the log"))
    }
}
