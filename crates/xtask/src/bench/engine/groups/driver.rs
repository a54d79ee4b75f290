//! What a driver costs in a fleet, and the memory it needs: `swell driver` over a real broker.
//!
//! Broker, orchestrator and target share the server's core, the driver has the generator's; only its CPU counts, from the
//! start of the run to its end as the API tells it.

use std::cell::Cell;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use xtask::services::Kafka;

use crate::bench::engine::Bench;
use crate::bench::engine::measure::{Contestant, Round, Spread, alternate};
use crate::bench::engine::ours::{closed, open};
use crate::bench::engine::table::{Goal, Table, grouped};
use crate::bench::engine::tools::{Shape, Tool};
use crate::bench::fleet::Fleet;
use crate::process::{Beside, GENERATOR_CORE, SERVER_CORE, cpu_of, pin, resident_mb};

const CONNECTIONS: u32 = 64;
/// Kept connections of the group `memory`.
const MANY: u32 = 10_000;
/// Requests per second of the group `long`.
const LONG_PER_S: f64 = 50_000.0;

/// One driver with all that it needs.
struct System {
    // Ends before the orchestrator, and that before the broker.
    driver: Beside,
    fleet: Fleet,
    _kafka: Kafka,
}

impl System {
    fn start(bench: &Bench) -> Result<Self> {
        let kafka = Kafka::start()?;
        pin(kafka.pid().context("the broker has ended")?, SERVER_CORE)?;
        let fleet = Fleet::start(&kafka, &bench.folder, Some(SERVER_CORE))?;
        let driver = fleet.driver("measured", Some(GENERATOR_CORE))?;
        fleet.wait_idle(1)?;
        Ok(Self { driver, fleet, _kafka: kafka })
    }
}

/// Closed load over 64 kept connections, against wrk: as many requests as wrk made in the same turn.
pub fn cost(bench: &Bench) -> Result<Table> {
    let system = System::start(bench)?;
    let (url, shape) = (bench.nginx.url(), Shape::Kept(CONNECTIONS));
    let plan = closed(&url, shape);
    let round = |wrk: &Round| {
        let mut plan = plan.clone();
        plan["load"]["requests_per_driver"] = (wrk.requests as u64).into();
        system.fleet.wait_idle(1)?;
        let (before, cpu_before) = (bench.nginx.requests()?, cpu_of(system.driver.pid())?);
        let run_id = system.fleet.start_run(&plan)?;
        system.fleet.wait_over(&run_id)?;
        let cpu = cpu_of(system.driver.pid())?.saturating_sub(cpu_before);
        let requests = (bench.nginx.requests()? - before - 1) as f64;
        let summary = system.fleet.summary(&run_id)?;
        let own = summary["requests"]["succeeded"].as_f64();
        ensure!(own == Some(requests), "the server counted {requests} requests, the run {own:?}");
        let seconds = summary["duration_s"].as_f64().context("no duration_s in the summary")?;
        Ok(Round { requests, wall: Duration::from_secs_f64(seconds), cpu })
    };
    let mut contestants = [
        Tool::Wrk.contestant(bench, url.clone(), shape),
        Contestant { name: "swell driver over Kafka".to_owned(), round: Box::new(round) },
    ];
    let rounds = alternate(&mut contestants, bench.turns)?;
    let mut table = Table::of_costs("A driver in a fleet over Kafka, closed, 64 kept connections: wrk = 1");
    table.add_contestants(&contestants, &rounds, &[None, Some(Goal::at_most(0.87))]);
    Ok(table)
}

/// Memory with 10,000 kept connections.
pub fn memory(bench: &Bench) -> Result<Table> {
    let system = System::start(bench)?;
    let mut table = Table::of_figures("Memory of a driver over Kafka");
    let (idle, _) = resident_mb(system.driver.pid())?;
    let run_id = system.fleet.start_run(&closed(&bench.nginx.url(), Shape::Kept(MANY)))?;
    system.fleet.wait_sent(&run_id, 10 * u64::from(MANY))?;
    let open = Cell::new(0_u32);
    for _ in 0..bench.seconds {
        sleep(Duration::from_secs(1));
        open.set(open.get().max(bench.nginx.connections()?));
    }
    let (now, peak) = resident_mb(system.driver.pid())?;
    system.fleet.stop_run(&run_id)?;
    system.fleet.wait_over(&run_id)?;
    ensure!(open.get() >= MANY, "the target had {} connections at most, not {MANY}", open.get());
    table.add_figure("idle", Spread::of([idle]), "MB", None);
    table.add_figure("10,000 kept connections, closed", Spread::of([now]), "MB", None);
    table.add_figure("the same, at most", Spread::of([peak]), "MB", Some(Goal::at_most(150.0)));
    table.note(format!("The target had {} connections at most.", open.get()));
    Ok(table)
}

/// Memory over a long run.
pub fn long(bench: &Bench) -> Result<Table> {
    let system = System::start(bench)?;
    let seconds = bench.minutes * 60;
    let plan = open(&bench.nginx.url(), LONG_PER_S, seconds + 10, CONNECTIONS);
    let run_id = system.fleet.start_run(&plan)?;
    system.fleet.wait_sent(&run_id, 1)?;
    let mut table =
        Table::of_figures(format!("Memory of a driver over {} min at 50,000 requests/s", bench.minutes));
    let mut after = Vec::new();
    for minute in 1..=bench.minutes {
        sleep(Duration::from_secs(60));
        let (now, _) = resident_mb(system.driver.pid())?;
        eprintln!("  minute {minute}: {now:.2} MB");
        after.push(now);
    }
    system.fleet.stop_run(&run_id)?;
    system.fleet.wait_over(&run_id)?;
    let summary = system.fleet.summary(&run_id)?;
    let (first, last) = (after.first().copied(), after.last().copied());
    let (first, last) = first.zip(last).context("a run has a minute at least")?;
    table.add_figure("after 1 minute", Spread::of([first]), "MB", None);
    table.add_figure("at the end", Spread::of([last]), "MB", None);
    table.add_figure("growth", Spread::of([last / first]), "times", Some(Goal::at_most(1.02)));
    let per_s = summary["rate"]["requests_per_s"].as_f64().context("no rate in the summary")?;
    table.note(format!("{} requests/s were reached.", grouped(per_s)));
    Ok(table)
}
