//! `swell demo`: the whole system in one process, on a short plan.

use std::net::SocketAddr;

use cluster::Wanted;
use cluster::files::Shelf;
use data::Files;
use engine::{Allow, Io, Secrets};
use store::Location;
use target::Settings;
use transport::memory;

use super::local::{self, Drivers};
use super::{orchestrator, run, serving, target as sample};
use crate::arguments::{Demo, location};
use crate::exit::{Ended, Exit};
use crate::output::{self, Terminal};
use crate::signals::{Asked, Interrupts};

/// Drivers of the demo.
const DRIVERS: usize = 3;

pub fn run(arguments: &Demo, terminal: Terminal) -> anyhow::Result<Exit> {
    let interrupts = Interrupts::listen()?;
    let temporary = tempfile::Builder::new().prefix("swell-demo-").tempdir()?;
    let location = match &arguments.store {
        Some(text) => location(text)?,
        None => Location::from(temporary.path()),
    };
    let server =
        sample::start(Settings { listen: SocketAddr::from(([127, 0, 0, 1], 0)), threads: 1, shop: false })?;
    let target = format!("http://{}", server.local_addr());
    const FILE: &str = "demo.plan.yaml";
    let text = include_str!("demo.plan.yaml").replace("TARGET", &target);
    let plan = plan::parse(FILE, &text).map_err(|diagnostics| {
        Ended::because(
            Exit::Internal,
            super::faults::shown(&diagnostics, |_| Some(&text), terminal.color_err),
        )
    })?;

    let store = serving::open_store(&location)?;
    let shelf = Shelf::default();
    let broker = memory::Broker::new();
    let orchestrator = serving::orchestrate(
        store,
        serving::IN_PROCESS,
        None,
        Some(shelf.clone()),
        Some(serving::events_here(&broker)),
        &|connect| Ok(broker.node(connect)),
    )?;
    let drivers = Drivers::start(
        &broker,
        &shelf,
        DRIVERS,
        local::default_threads(),
        &Allow::default(),
        Io::Auto,
        &Secrets::default(),
    )?;
    let page = serving::serve(arguments.listen, &orchestrator.handle(), &location)?;
    output::tell(&format!("dashboard on http://{}", page.local_addr()));
    output::tell(&format!("target on {target}, {DRIVERS} drivers in this process"));

    let wanted = Wanted { min_drivers: DRIVERS, max_drivers: DRIVERS };
    let result = run::one_run(&orchestrator, (plan, Files::default()), wanted, &interrupts, terminal);
    if let Ok(result) = &result {
        output::print(&report::text(&api::summary(result), terminal.color_out, output::WIDTH))?;
    }
    if arguments.linger && result.is_ok() && interrupts.asked() == Asked::Nothing {
        run::linger(&interrupts);
    }
    orchestrator::end(orchestrator, &interrupts)?;
    page.stop();
    server.stop();
    server.join();
    if !drivers.end() {
        return Err(Ended::because(Exit::Internal, "a driver died; see the log"));
    }
    Ok(run::exit_of(&result?, false))
}
