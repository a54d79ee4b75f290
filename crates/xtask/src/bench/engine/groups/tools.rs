//! The table of all generators that are here: closed load over 64 kept connections, wrk = 1.

use anyhow::Result;

use crate::bench::engine::Bench;
use crate::bench::engine::measure::alternate;
use crate::bench::engine::ours::{Io, Ours, closed};
use crate::bench::engine::table::Table;
use crate::bench::engine::tools::{Shape, Tool};

const CONNECTIONS: u32 = 64;
const OTHERS: [Tool; 5] = [Tool::Ab, Tool::H2load, Tool::Hey, Tool::Oha, Tool::K6];

/// Each tool that is installed, and ours.
pub fn run(bench: &Bench) -> Result<Table> {
    let (url, shape) = (bench.nginx.url(), Shape::Kept(CONNECTIONS));
    let plan = closed(&url, shape);
    let (there, absent): (Vec<Tool>, Vec<Tool>) = OTHERS.into_iter().partition(|tool| tool.is_installed());
    let mut contestants = vec![Tool::Wrk.contestant(bench, url.clone(), shape)];
    contestants.extend(Io::ALL.map(|io| Ours::on_one_core(io).contestant(bench, plan.clone(), CONNECTIONS)));
    contestants.extend(there.into_iter().map(|tool| tool.contestant(bench, url.clone(), shape)));
    let rounds = alternate(&mut contestants, bench.turns)?;
    let mut table = Table::of_costs("All tools that are here, closed, 64 kept connections: wrk = 1");
    table.add_contestants(&contestants, &rounds, &[]);
    absent.iter().for_each(|tool| table.note(format!("{} is not installed here: skipped.", tool.program())));
    Ok(table)
}
