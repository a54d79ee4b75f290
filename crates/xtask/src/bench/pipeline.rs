//! How many raw events a second go all the way: drivers, Kafka, collector, PostgreSQL or Parquet, all on this machine.
//!
//! Drivers and collector are those of `cluster`, in processes of their own, without the requests (its example `pipeline`);
//! broker and database are real, the latter as it comes: it syncs to the disk. A figure is rows by the time from the first
//! request to the last commit. Beside it stands a loop of bare COPYs of the same rows, encoded before, into the same
//! partition of another database: what the server takes from anybody. They take turns, so that what else the machine does
//! meets both.
//!
//! Then the two ways to ask for a percentile: over all rows, the first time that anybody reads them, and from histograms
//! that are merged already.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;
use xtask::services::{KAFKA_VERSION, Kafka, Postgres};

use super::engine::measure::Spread;
use super::engine::page;
use super::engine::table::{Goal, Table, grouped};
use crate::process::{Beside, cpu_of};
use crate::run::{built, command, run as run_loudly};

/// The name of the section of `docs/performance.md`.
pub const SECTION: &str = "pipeline";
/// The run, as the example names it.
const RUN: &str = "benchmark_42";
/// How often a percentile is asked for from histograms.
const ASKED: usize = 11;
/// Seconds, steps and drivers of the run whose histograms are asked.
const HISTORY: (u32, u32, u32) = (100, 10, 3);

/// How much, and how often.
#[derive(Debug, Args)]
pub struct Options {
    /// Turns that are counted
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pairs: u16,

    /// Rows of each round
    #[arg(long, default_value_t = 4_000_000, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(100_000..))]
    rows: u64,

    /// Rows of the run that is asked for percentiles; 100,000,000 of them take 18 GB and a quarter of an hour
    #[arg(long, default_value_t = 10_000_000, value_name = "ROWS")]
    big: u64,

    /// Also write the tables into docs/performance.md
    #[arg(long)]
    write: bool,
}

/// What one turn came to.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// Rows a second.
    postgres: f64,
    copy: f64,
    parquet: f64,
    /// Bytes a row.
    in_kafka: f64,
    in_postgres: f64,
    in_parquet: f64,
}

/// Builds, measures, and prints a table.
pub fn run(options: &Options) -> Result<()> {
    run_loudly(&mut command("cargo build --release --locked --package cluster --example pipeline"))?;
    run_loudly(&mut command(
        "cargo build --release --locked --package store --example copy --example history",
    ))?;
    let folder = std::env::temp_dir().join(format!("groundswell-bench-pipeline-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let measured = measure(options, &folder);
    fs::remove_dir_all(&folder).ok();
    measured
}

fn measure(options: &Options, folder: &Path) -> Result<()> {
    let mut bench = Bench {
        kafka: Kafka::start()?,
        postgres: Postgres::start_with(&[])?,
        folder: folder.to_owned(),
        rows: options.rows,
    };
    let mut turns = Vec::new();
    for number in 0..=options.pairs {
        let turn = bench.turn(number)?;
        let [postgres, copy, parquet] = [turn.postgres, turn.copy, turn.parquet].map(grouped);
        eprintln!("  turn {number}: rows/s: PostgreSQL {postgres}, bare COPY {copy}, Parquet {parquet}");
        // The first is for the caches.
        if number > 0 {
            turns.push(turn);
        }
    }
    let mut table = rates(&turns);
    if options.big > 0 {
        bench.percentiles(options.big, &mut table)?;
    }
    let version = bench.postgres.sql("postgres", "SHOW server_version")?;
    let version = version.split(' ').next().unwrap_or_default();
    bench.kafka.stop()?;
    bench.postgres.stop()?;
    let how = format!("{} turns of {} rows", options.pairs, options.rows);
    let peers = format!("PostgreSQL {version}, Kafka {KAFKA_VERSION}");
    let text = format!("{}\n{}\n", table.text(), page::circumstances(&how, &peers));
    println!("\n{text}");
    if options.write {
        page::write(SECTION, &text)?;
    }
    Ok(())
}

fn rates(turns: &[Turn]) -> Table {
    let mut table =
        Table::of_figures("Raw events from drivers through Kafka into a store, everything on this machine");
    let mut add = |name: &str, of: fn(&Turn) -> f64, unit: &str, goal: Option<Goal>| {
        table.add_figure(name, Spread::of(turns.iter().map(of)), unit, goal);
    };
    let thousands = "thousand rows/s";
    add("PostgreSQL", |turn| turn.postgres / 1e3, thousands, Some(Goal::at_least(400.0)));
    add("a bare COPY loop of the same rows", |turn| turn.copy / 1e3, thousands, None);
    add("PostgreSQL, bare COPY = 1", |turn| turn.postgres / turn.copy, "", Some(Goal::at_least(0.6)));
    add("Parquet", |turn| turn.parquet / 1e3, thousands, Some(Goal::at_least(1000.0)));
    add("a row in Kafka", |turn| turn.in_kafka, "bytes", Some(Goal::at_most(24.0)));
    add("a row in Parquet", |turn| turn.in_parquet, "bytes", Some(Goal::at_most(16.0)));
    add("a row in PostgreSQL", |turn| turn.in_postgres, "bytes", None);
    table
}

/// What all rounds use.
struct Bench {
    kafka: Kafka,
    postgres: Postgres,
    folder: PathBuf,
    rows: u64,
}

impl Bench {
    fn turn(&self, number: u16) -> Result<Turn> {
        let (ours, bare) = (self.postgres.new_database()?, self.postgres.new_database()?);
        let prefix = format!("postgres{number}.");
        self.settle()?;
        let postgres = self.through(&prefix, &self.postgres.url(&ours))?;
        let in_kafka = self.in_kafka(&prefix)?;
        let (found, in_postgres) = self.found(&ours)?;
        ensure!(found == self.rows, "{found} rows are in the database, {} were sent", self.rows);
        self.settle()?;
        let copy = self.copy(&ours, &bare)?;
        for database in [ours, bare] {
            self.postgres.sql("postgres", &format!("DROP DATABASE {database} WITH (FORCE)"))?;
        }
        self.settle()?;
        let data = self.folder.join("swell-data");
        let parquet = self.through(&format!("parquet{number}."), &data.display().to_string())?;
        let in_parquet = bytes(&data.join("runs").join(RUN), "parquet")? as f64 / self.rows as f64;
        fs::remove_dir_all(&data)?;
        Ok(Turn { postgres, copy, parquet, in_kafka, in_postgres, in_parquet })
    }

    /// Lets the database write what it has, so that no round pays for the one before.
    fn settle(&self) -> Result<()> {
        self.postgres.sql("postgres", "CHECKPOINT")?;
        rustix::fs::sync();
        Ok(())
    }

    /// Sends rows through topics of their own into a store; rows a second.
    fn through(&self, prefix: &str, store: &str) -> Result<f64> {
        let (brokers, rows) = (self.kafka.address(), self.rows.to_string());
        let example = built("examples/pipeline");
        let mut collector = Command::new(&example);
        collector.args(["collect", &brokers, prefix, store, &rows]);
        collector.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut collector = Beside(collector.spawn().context("cannot start the example of cluster")?);
        let said = collector.0.stdout.take().context("the collector's output is a pipe")?;
        let mut said = BufReader::new(said).lines();
        let first = said.next().context("the collector ended")??;
        ensure!(first == "ready", "the collector said {first}");
        let before = self.broker_cpu()?;
        let driven = Command::new(&example)
            .args(["drive", &brokers, prefix, &rows])
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start the example of cluster")?;
        ensure!(driven.status.success(), "the drivers ended with {}", driven.status);
        // Nothing more comes.
        drop(collector.0.stdin.take());
        let driven: Value = serde_json::from_slice(&driven.stdout)?;
        let last = said.next().context("the collector failed")??;
        let collected: Value = serde_json::from_str(&last)?;
        let began_ms = driven["began_ms"].as_i64().context("no began_ms")?;
        let ended_ms = collected["ended_ms"].as_i64().context("no ended_ms")?;
        let seconds = (ended_ms - began_ms) as f64 / 1e3;
        let us = |cpu_s: &Value| cpu_s.as_f64().unwrap_or(0.0) * 1e6 / self.rows as f64;
        eprintln!(
            "    {seconds:.2} s, {} commits; CPU per row: drivers {:.2} µs, broker {:.2} µs, collector {:.2} µs",
            collected["commits"],
            us(&driven["cpu_s"]),
            (self.broker_cpu()? - before).as_secs_f64() * 1e6 / self.rows as f64,
            us(&collected["cpu_s"]),
        );
        Ok(self.rows as f64 / seconds)
    }

    fn broker_cpu(&self) -> Result<Duration> {
        cpu_of(self.kafka.pid().context("the broker runs")?)
    }

    /// Says the rows of `from` to `to` by COPY alone; rows a second.
    fn copy(&self, from: &str, to: &str) -> Result<f64> {
        let mut copy = Command::new(built("examples/copy"));
        copy.args([self.postgres.url(from), self.postgres.url(to), RUN.to_owned(), self.rows.to_string()]);
        let output = copy.stderr(Stdio::inherit()).output().context("cannot start the example of store")?;
        ensure!(output.status.success(), "the bare COPY ended with {}", output.status);
        let said: Value = serde_json::from_slice(&output.stdout)?;
        let number = |name: &str| said[name].as_f64().with_context(|| format!("no {name} in {said}"));
        eprintln!("    bare: CPU of the client per row {:.2} µs", number("cpu_s")? * 1e6 / number("rows")?);
        Ok(number("rows")? / number("seconds")?)
    }

    /// Bytes of a row in the broker's files.
    fn in_kafka(&self, prefix: &str) -> Result<f64> {
        let mut all = 0;
        for entry in fs::read_dir(self.kafka.data_folder())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&format!("{prefix}events-")) {
                all += bytes(&entry.path(), "log")?;
            }
        }
        Ok(all as f64 / self.rows as f64)
    }

    /// Rows of a database, and bytes of each with all that belongs to it.
    fn found(&self, database: &str) -> Result<(u64, f64)> {
        let found = self.postgres.sql(database, include_str!("pipeline/found.sql"))?;
        let (count, bytes) = found.split_once('|').context("two columns")?;
        let (count, bytes): (u64, f64) = (count.parse()?, bytes.parse()?);
        Ok((count, bytes / count as f64))
    }

    /// Adds the times that percentiles of a run of `rows` take.
    fn percentiles(&self, rows: u64, table: &mut Table) -> Result<()> {
        let database = self.postgres.new_database()?;
        let prefix = "percentiles.";
        self.through(prefix, &self.postgres.url(&database))?;
        let times = (rows / self.rows).saturating_sub(1);
        let more = include_str!("pipeline/more.sql");
        self.postgres.sql(&database, &format!("\\set times {times}\n{more}"))?;
        let rows = (times + 1) * self.rows;
        let over_rows = self.asked(&database, include_str!("pipeline/p95_of_rows.sql"))?;
        self.postgres.sql("postgres", &format!("DROP DATABASE {database} WITH (FORCE)"))?;
        let database = self.postgres.new_database()?;
        let (seconds, steps, drivers) = HISTORY;
        let requests = rows / u64::from(seconds * steps * drivers);
        let numbers = [0, u64::from(seconds), u64::from(steps), requests].map(|number| number.to_string());
        let mut fill = Command::new(built("examples/history"));
        run_loudly(fill.arg(self.postgres.url(&database)).args(numbers).stdout(Stdio::null()))?;
        let merged = include_str!("pipeline/p95_of_histograms.sql");
        let merged: Result<Vec<f64>> = (0..ASKED).map(|_| self.asked(&database, merged)).collect();
        let millions = rows / 1_000_000;
        let name = format!("p95 of {millions} million rows");
        table.add_figure(
            &format!("{name}, by the query over perf_results"),
            Spread::of([over_rows / 1e3]),
            "s",
            None,
        );
        let goal = Some(Goal::at_most(50.0));
        table.add_figure(&format!("{name}, by merged histograms"), Spread::of(merged?), "ms", goal);
        Ok(())
    }

    /// How long the server takes to answer, in ms, by psql's own clock.
    fn asked(&self, database: &str, query: &str) -> Result<f64> {
        let said = self.postgres.sql(database, query)?;
        let time = said.lines().find_map(|line| line.strip_prefix("Time: ")?.split(' ').next()?.parse().ok());
        time.with_context(|| format!("psql told no time: {said}"))
    }
}

/// Bytes of the files of a folder whose names end so.
fn bytes(folder: &Path, extension: &str) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|found| found == extension) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}
