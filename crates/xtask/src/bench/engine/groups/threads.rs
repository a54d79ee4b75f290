//! What a second thread costs: the same open load by one thread, and by two with a core each.
//!
//! On a machine of two cores the second thread shares its core with the target, so the rate is low enough that neither
//! core is busy for more than 60 % of the time; how busy they were is part of the result.

use std::cell::RefCell;
use std::fs;

use anyhow::{Context, Result};

use crate::bench::engine::Bench;
use crate::bench::engine::measure::{Contestant, Spread, alternate};
use crate::bench::engine::ours::{Io, Ours, open};
use crate::bench::engine::table::{Goal, Table, grouped};
use crate::bench::engine::tools::{Shape, Tool};
use crate::process::GENERATOR_CORE;

const CONNECTIONS: u32 = 64;
/// Of the rate that wrk reaches closed.
const SHARE: f64 = 0.2;
const BOTH_CORES: &str = "0,1";
/// How busy a core may be, in percent.
const MOST_BUSY: f64 = 60.0;

/// One thread and two, by each loop.
pub fn run(bench: &Bench) -> Result<Table> {
    let url = bench.nginx.url();
    let per_s = (Tool::Wrk.round(bench, &url, Shape::Kept(CONNECTIONS))?.per_s() * SHARE / 1e3).floor() * 1e3;
    let title = format!("Two engine threads, open, {} requests/s: one thread = 1", grouped(per_s));
    let mut table = Table::of_costs(title);
    let plan = open(&url, per_s, bench.seconds, CONNECTIONS);
    for io in Io::ALL {
        let busy = RefCell::new(Vec::new());
        let contestant = |threads: u32, cores: &'static str| {
            let (plan, busy) = (&plan, &busy);
            let round = move || {
                let before = Cores::read()?;
                let (round, _) = Ours { io, threads, cores }.round(bench, plan, CONNECTIONS)?;
                if threads > 1 {
                    busy.borrow_mut().push(Cores::read()?.busiest_since(&before));
                }
                Ok(round)
            };
            Contestant::new(format!("{}, {threads} on {cores}", io.name()), round)
        };
        let mut contestants = [contestant(1, GENERATOR_CORE), contestant(2, BOTH_CORES)];
        let rounds = alternate(&mut contestants, bench.turns)?;
        table.add_contestants(&contestants, &rounds, &[None, Some(Goal::at_most(1.1))]);
        drop(contestants);
        let busiest = Spread::of(busy.into_inner().into_iter().skip(1));
        let name = format!("{}: the busier core, target included", io.name());
        table.note_figure(&name, busiest, "%", Some(Goal::at_most(MOST_BUSY)));
    }
    Ok(table)
}

/// Busy and all ticks of each core since boot.
struct Cores(Vec<(u64, u64)>);

impl Cores {
    fn read() -> Result<Self> {
        Self::parse(&fs::read_to_string("/proc/stat")?).context("/proc/stat has no cores")
    }

    /// The lines `cpu0 user nice system idle iowait …`; the last two of ten are counted in the first two already.
    fn parse(stat: &str) -> Option<Self> {
        let is_core = |line: &&str| line.starts_with("cpu") && !line.starts_with("cpu ");
        let cores = stat.lines().filter(is_core).map(|line| {
            let ticks = line.split_whitespace().skip(1).take(8).map(str::parse::<u64>);
            let ticks = ticks.collect::<Result<Vec<_>, _>>().ok()?;
            let all: u64 = ticks.iter().sum();
            Some((all - ticks.get(3)? - ticks.get(4)?, all))
        });
        cores.collect::<Option<Vec<_>>>().filter(|cores| !cores.is_empty()).map(Self)
    }

    /// The share of time that the busiest core was busy, in percent.
    fn busiest_since(&self, before: &Self) -> f64 {
        let shares =
            self.0.iter().zip(&before.0).map(|(after, before)| {
                100.0 * (after.0 - before.0) as f64 / (after.1 - before.1).max(1) as f64
            });
        shares.fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_core_is_found() {
        let before =
            Cores::parse("cpu  9 9\ncpu0 10 0 10 80 0 0 0 0 0 0\ncpu1 0 0 0 100 0 0 0 0 0 0\nintr 5\n")
                .unwrap();
        let after =
            Cores::parse("cpu  9 9\ncpu0 20 0 20 160 0 0 0 0 0 0\ncpu1 20 0 20 150 10 0 0 0 0 0\n").unwrap();
        assert!((after.busiest_since(&before) - 40.0).abs() < 1e-9);
        assert!(Cores::parse("intr 5\n").is_none());
    }
}
