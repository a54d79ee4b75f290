//! What our engine costs beside other load generators, and the figures of its timing.
//!
//! A generator is pinned to one core and nginx to the other; generators take turns (see [`measure`]). What is compared is
//! CPU time of the generator's process per completed request: how many there were is counted by the server, and has to
//! agree with what the generator says itself. Ours is the example `load` of the engine: everything on that a driver
//! records, without the orchestrator, which in a fleet runs elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use super::pipeline;
use crate::check::stall;
use crate::process::{self, Finished};
use crate::run::{command, run as run_loudly};

pub mod measure;
pub mod servers;
pub mod tools;
pub mod ours;
pub mod table;
pub mod page;
mod groups;

use measure::Round;
use servers::Nginx;
use table::Table;

/// The share by which the server's count and a generator's own may differ, beside what was in flight at its end.
const COUNT_TOLERANCE: f64 = 0.001;

/// What to measure, and how long.
#[derive(Debug, Args)]
pub struct Options {
    /// Only these groups; by default all but `long`
    #[arg(value_enum)]
    groups: Vec<Group>,

    /// Turns that are counted
    #[arg(long, default_value_t = 7, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pairs: u16,

    /// Seconds of each round
    #[arg(long, default_value_t = 5, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// Minutes of the group `long`
    #[arg(long, default_value_t = 10, value_name = "M", value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,

    /// Also write the tables into docs/performance.md
    #[arg(long)]
    write: bool,
}

/// What is measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    /// Closed load over 64 kept connections, against wrk
    Closed,
    /// The same by a driver in a fleet over Kafka
    Driver,
    /// Open load of 20,000 requests a second, against wrk's closed load
    Open,
    /// Open load of 70 % of the rate that wrk reached closed
    Share,
    /// HTTP/2 with 10 streams on each of 10 connections, against h2load
    Http2,
    /// HTTPS over 64 kept connections, against wrk
    Https,
    /// A new connection for each request, against ab
    Connections,
    /// Send lag at a third of the target's capacity
    Lag,
    /// Two engine threads, against one
    Threads,
    /// Memory of a driver with 10,000 kept connections
    Memory,
    /// Memory of a driver over many minutes; only when it is named
    Long,
    /// Percentiles under a stall of the target, against the computed ones
    Stall,
    /// Closed load by all tools that are installed
    Tools,
}

impl Options {
    fn groups(&self) -> Vec<Group> {
        let all = Group::value_variants().iter().copied();
        if self.groups.is_empty() {
            all.filter(|group| *group != Group::Long).collect()
        } else {
            self.groups.clone()
        }
    }
}

/// What all groups use.
pub struct Bench {
    pub nginx: Nginx,
    pub folder: PathBuf,
    pub turns: usize,
    pub seconds: u64,
    pub minutes: u64,
}

/// Builds, measures the groups that were named, and prints a table of each.
pub fn run(options: &Options) -> Result<()> {
    if options.groups().iter().any(|group| group.needs_swell()) {
        run_loudly(&mut command("cargo build --release --locked --package swell"))?;
    }
    run_loudly(&mut command("cargo build --release --locked --package engine --example load"))?;
    let folder = std::env::temp_dir().join(format!("groundswell-bench-engine-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let measured = measure_groups(options, &folder);
    fs::remove_dir_all(&folder).ok();
    measured
}

fn measure_groups(options: &Options, folder: &Path) -> Result<()> {
    let bench = Bench {
        nginx: Nginx::start(folder)?,
        folder: folder.to_owned(),
        turns: usize::from(options.pairs),
        seconds: options.seconds,
        minutes: options.minutes,
    };
    let turns = format!("{} turns of {} s", bench.turns, bench.seconds);
    let circumstances = page::circumstances(&turns, &page::servers());
    let mut failed = Vec::new();
    for group in options.groups() {
        // One group that fails takes nothing from the others.
        match group.measure(&bench) {
            Ok(table) => {
                let text = table.text();
                println!("\n{text}");
                if options.write {
                    page::write(&group.name(), &format!("{text}\n{circumstances}\n"))?;
                }
            }
            Err(error) => {
                eprintln!("{}: {error:#}", group.name());
                failed.push(group.name());
            }
        }
    }
    println!("\n{circumstances}\nagainst {}", page::tools());
    ensure!(failed.is_empty(), "these groups failed: {}", failed.join(", "));
    Ok(())
}

/// What has a section of its own on the page of figures, in its order.
fn sections() -> Vec<String> {
    let groups = Group::value_variants().iter().map(|group| group.name());
    groups.chain([pipeline::SECTION.to_owned()]).collect()
}

impl Group {
    /// As it is typed.
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn needs_swell(self) -> bool {
        matches!(self, Self::Driver | Self::Memory | Self::Long)
    }

    fn measure(self, bench: &Bench) -> Result<Table> {
        match self {
            Self::Closed => groups::closed::run(bench),
            Self::Driver => groups::driver::cost(bench),
            Self::Open => groups::open::fixed(bench),
            Self::Share => groups::open::share(bench),
            Self::Http2 => groups::peers::http2(bench),
            Self::Https => groups::peers::https(bench),
            Self::Connections => groups::peers::connections(bench),
            Self::Lag => groups::lag::run(bench),
            Self::Threads => groups::threads::run(bench),
            Self::Memory => groups::driver::memory(bench),
            Self::Long => groups::driver::long(bench),
            Self::Stall => stall::check(&bench.folder),
            Self::Tools => groups::tools::run(bench),
        }
    }
}

impl Bench {
    /// Runs a generator to its end. `completed` reads from what it printed how many requests it completed, and says
    /// `None` when not all went well; at most `in_flight` more may have reached the server.
    pub fn round(
        &self,
        generator: &mut Command,
        in_flight: u32,
        completed: impl Fn(&str) -> Option<f64>,
    ) -> Result<(Round, Finished)> {
        let before = self.nginx.requests()?;
        let finished = process::measure(generator)?;
        // The second question is in its own answer.
        let requests = (self.nginx.requests()? - before - 1) as f64;
        let own = completed(&finished.text()).filter(|_| finished.output.status.success());
        let tolerance = f64::from(in_flight) + requests * COUNT_TOLERANCE;
        ensure!(
            own.is_some_and(|own| own > 0.0 && (requests - own).abs() <= tolerance),
            "the server counted {requests} requests, and {generator:?} said: {}",
            finished.said()
        );
        Ok((Round { requests, wall: finished.wall, cpu: finished.cpu }, finished))
    }
}
