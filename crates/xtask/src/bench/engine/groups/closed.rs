//! Closed load over 64 kept connections: the cheapest way in which each generator can work, against wrk.

use anyhow::Result;

use crate::bench::engine::Bench;
use crate::bench::engine::measure::alternate;
use crate::bench::engine::ours::{Io, Ours, closed};
use crate::bench::engine::table::{Goal, Table};
use crate::bench::engine::tools::{Shape, Tool};

const CONNECTIONS: u32 = 64;

/// wrk, and ours with both loops.
pub fn run(bench: &Bench) -> Result<Table> {
    let (url, shape) = (bench.nginx.url(), Shape::Kept(CONNECTIONS));
    let plan = closed(&url, shape);
    let mut contestants = vec![Tool::Wrk.contestant(bench, url, shape)];
    contestants.extend(Io::ALL.map(|io| Ours::on_one_core(io).contestant(bench, plan.clone(), CONNECTIONS)));
    let rounds = alternate(&mut contestants, bench.turns)?;
    let mut table = Table::of_costs("Closed, 64 kept connections: wrk = 1");
    table.add_contestants(
        &contestants,
        &rounds,
        &[None, Some(Goal::with_aim(0.85, 0.8)), Some(Goal::at_most(1.0))],
    );
    Ok(table)
}
