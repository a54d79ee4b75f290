//! Open load: what it costs to send at the intended times, against wrk, which sends when it is answered.

use std::cell::RefCell;
use std::num::NonZeroU64;
use std::time::Duration;

use anyhow::Result;
use rustix::thread::{CpuSet, sched_setaffinity, set_current_timer_slack};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::bench::engine::Bench;
use crate::bench::engine::measure::{Contestant, Round, Spread, alternate};
use crate::bench::engine::ours::{Io, Ours, open};
use crate::bench::engine::table::{Goal, Table, grouped};
use crate::bench::engine::tools::{self, Shape, Tool};
use crate::process::GENERATOR_CORE;

const CONNECTIONS: u32 = 64;
/// Requests per second of the group `open`.
const RATE_PER_S: f64 = 20_000.0;
/// Of what wrk reached in the same turn, in the group `share`.
const SHARE: f64 = 0.7;

/// 20,000 requests a second.
pub fn fixed(bench: &Bench) -> Result<Table> {
    let title = format!("Open, {} requests/s over 64 connections: wrk, closed = 1", grouped(RATE_PER_S));
    let lag_goal = Some(Goal::at_most(30.0));
    against_wrk(bench, title, |_| RATE_PER_S, Goal::with_aim(1.6, 1.2), lag_goal)
}

/// 70 % of what wrk reached.
pub fn share(bench: &Bench) -> Result<Table> {
    let title = "Open, 70 % of the rate that wrk reached closed, 64 connections: wrk, closed = 1";
    against_wrk(bench, title.to_owned(), |wrk| wrk.per_s() * SHARE, Goal::at_most(1.0), None)
}

fn against_wrk(
    bench: &Bench,
    title: String,
    rate: impl Fn(&Round) -> f64,
    goal: Goal,
    lag_goal: Option<Goal>,
) -> Result<Table> {
    let (url, shape) = (bench.nginx.url(), Shape::Kept(CONNECTIONS));
    let lags = Io::ALL.map(|io| (io, RefCell::new(Vec::new())));
    let mut contestants = vec![Tool::Wrk.contestant(bench, url.clone(), shape)];
    for (io, lags) in &lags {
        let (url, rate) = (&url, &rate);
        let round = move |wrk: &Round| {
            let plan = open(url, rate(wrk), bench.seconds, CONNECTIONS);
            let (round, said) = Ours::on_one_core(*io).round(bench, &plan, CONNECTIONS)?;
            lags.borrow_mut().push(said);
            Ok(round)
        };
        contestants.push(Contestant { name: io.name().to_owned(), round: Box::new(round) });
    }
    if tools::is_installed(tools::WRK2) {
        let round = |wrk: &Round| tools::wrk2(bench, &url, CONNECTIONS, rate(wrk));
        contestants.push(Contestant { name: tools::WRK2.to_owned(), round: Box::new(round) });
    }
    let rounds = alternate(&mut contestants, bench.turns)?;
    let mut table = Table::of_costs(title);
    table.add_contestants(&contestants, &rounds, &[None, Some(goal), Some(goal), None]);
    drop(contestants);
    for (io, said) in lags {
        // The warm-up is not counted.
        let said: Vec<Value> = said.into_inner().into_iter().skip(1).collect();
        let lag = |of: &str| Spread::of(said.iter().filter_map(|said| said["send_lag_us"][of].as_f64()));
        table.note_figure(&format!("{}, send lag p50", io.name()), lag("p50"), "µs", lag_goal);
        table.note_figure(&format!("{}, send lag p99", io.name()), lag("p99"), "µs", None);
        let missed: f64 = said.iter().filter_map(|said| said["missed"].as_f64()).sum();
        if missed > 0.0 {
            table.note(format!("{}: {missed} iterations missed.", io.name()));
        }
    }
    let bare = "A bare sleep, of what a wake costs here at the least";
    table.note_figure(bare, Spread::of((0..bench.turns).map(|_| cpu_us_per_sleep())), "µs of CPU", None);
    Ok(table)
}

/// CPU time that a thread on the generator's core takes to sleep for 100 µs, among many such sleeps.
fn cpu_us_per_sleep() -> f64 {
    const SLEEPS: u32 = 5_000;
    let sleeper = std::thread::spawn(|| {
        let mut core = CpuSet::new();
        GENERATOR_CORE.parse().into_iter().for_each(|number| core.set(number));
        sched_setaffinity(None, &core).ok();
        set_current_timer_slack(Some(NonZeroU64::MIN)).ok();
        let cpu = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
        let before = cpu();
        (0..SLEEPS).for_each(|_| std::thread::sleep(Duration::from_micros(100)));
        (cpu() - before).as_secs_f64() * 1e6 / f64::from(SLEEPS)
    });
    sleeper.join().unwrap_or(f64::NAN)
}
