//! How late a request leaves: send lag at a third of the target's capacity.
//!
//! Only seconds count in which the hypervisor took no CPU time from this machine (`steal` of `/proc/stat`): a generator
//! that was not running cannot have been on time.

use anyhow::Result;
use serde_json::Value;

use crate::bench::engine::Bench;
use crate::bench::engine::measure::Spread;
use crate::bench::engine::ours::{Io, Ours, open};
use crate::bench::engine::table::{Goal, Table};
use crate::bench::engine::tools::{Shape, Tool};

const CONNECTIONS: u32 = 64;

/// Ours with both loops, after wrk has measured what the target answers.
pub fn run(bench: &Bench) -> Result<Table> {
    let mut table = Table::of_figures(
        "Send lag at a third of the target's capacity, 64 connections, in seconds without steal",
    );
    let url = bench.nginx.url();
    for io in Io::ALL {
        let mut said = Vec::new();
        for turn in 1..=bench.turns {
            let capacity_per_s = Tool::Wrk.round(bench, &url, Shape::Kept(CONNECTIONS))?.per_s();
            let plan = open(&url, capacity_per_s / 3.0, bench.seconds, CONNECTIONS);
            let (round, lag) = Ours::on_one_core(io).round(bench, &plan, CONNECTIONS)?;
            eprintln!(
                "  turn {turn}: {} at {:.0}/s of {capacity_per_s:.0}/s: {}",
                io.name(),
                round.per_s(),
                lag["quiet_send_lag_us"]
            );
            said.push(lag);
        }
        add(&mut table, io, &said);
    }
    Ok(table)
}

fn add(table: &mut Table, io: Io, said: &[Value]) {
    let sum = |field: &str| said.iter().filter_map(|said| said[field].as_u64()).sum::<u64>();
    let (quiet, all) = (sum("quiet_seconds"), sum("seconds"));
    if all == 0 {
        return;
    }
    let rounds = said.iter().filter(|said| said["quiet_seconds"] != 0);
    for (percentile, goal) in [("p50", Some(20.0)), ("p99", Some(100.0)), ("p99_9", None)] {
        let lag = rounds.clone().filter_map(|said| said["quiet_send_lag_us"][percentile].as_f64());
        let name = format!("{}, {}", io.name(), percentile.replace('_', "."));
        table.add_figure(&name, Spread::of(lag), "µs", goal.map(Goal::at_most));
    }
    table.note(format!("{}: {quiet} of {all} seconds were without steal.", io.name()));
}
