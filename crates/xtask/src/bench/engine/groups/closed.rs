//! Closed load over 64 kept connections: the cheapest way in which each generator can work, against wrk.

use anyhow::Result;

use crate::bench::engine::Bench;
use crate::bench::engine::measure::alternate;
use crate::bench::engine::ours::{Io, Ours, closed, users};
use crate::bench::engine::table::{Goal, Table};
use crate::bench::engine::tools::{Shape, Tool};

const CONNECTIONS: u32 = 64;

/// wrk, and ours with both loops: as an avalanche, and as users with a connection each.
pub fn run(bench: &Bench) -> Result<Table> {
    let (url, shape) = (bench.nginx.url(), Shape::Kept(CONNECTIONS));
    let plans = [("", closed(&url, shape)), (", 64 users", users(&url, CONNECTIONS))];
    let goal = |io| match io {
        Io::Uring => Goal::with_aim(0.85, 0.8),
        Io::Epoll => Goal::at_most(1.0),
    };
    let mut contestants = vec![Tool::Wrk.contestant(bench, url, shape)];
    let mut goals = vec![None];
    for (suffix, plan) in plans {
        for io in Io::ALL {
            let mut contestant = Ours::on_one_core(io).contestant(bench, plan.clone(), CONNECTIONS);
            contestant.name.push_str(suffix);
            contestants.push(contestant);
            goals.push(Some(goal(io)));
        }
    }
    let rounds = alternate(&mut contestants, bench.turns)?;
    let mut table = Table::of_costs("Closed, 64 kept connections: wrk = 1");
    table.add_contestants(&contestants, &rounds, &goals);
    Ok(table)
}
