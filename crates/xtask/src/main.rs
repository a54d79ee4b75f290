//! The project's own tasks: `cargo xtask TASK`. `make demo` and `make test` are thin names for two of them.
//!
//! Deliberately absent: anything the program itself needs at run time.

use clap::{Parser, Subcommand};

mod process;
mod bench;
mod check;
mod demo;
mod packages;
mod run;
mod test;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own tasks")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what building needs, build, and run `swell demo`
    Demo,
    /// Install what the tests need and run all of them: format, lints, tests, the page
    Test {
        /// Only these parts, in the order of the full run
        #[arg(value_enum)]
        parts: Vec<test::Part>,
    },
    /// Measure against a peer, in one run, and print the ratios
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
    /// Hold what the generator reports against what a target knows; fails when counts or bytes differ
    Truth(check::Options),
    /// Serve as the target of `truth`
    #[command(hide = true)]
    TruthTarget(check::TargetOptions),
    /// Build the page of `ui/` into the files that the binary embeds
    Ui {
        /// Fail when the committed files differ from what the sources give
        #[arg(long)]
        check: bool,
    },
}

#[derive(Subcommand)]
enum Bench {
    /// What the engine costs, against other load generators
    Engine(bench::engine::Options),
    /// An answer of the sample target, against nginx
    Target,
    /// What a distributed run costs beside the load itself
    Transport,
    /// What many steps cost the pacer
    Steps,
    /// What raw events cost a driver, against a run without them
    Events(bench::events::Options),
    /// How many raw events a second go from drivers through Kafka into a store
    Pipeline(bench::pipeline::Options),
    /// What varying requests, large data and long plans cost
    Plan,
    /// How long past runs take to answer
    History,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Demo => demo::run_demo(),
        Task::Test { parts } => test::run_parts(&parts),
        Task::Bench { what } => {
            packages::for_measuring()?;
            match what {
                Bench::Engine(options) => bench::engine::run(&options),
                Bench::Target => bench::target::run(),
                Bench::Transport => bench::transport::run(),
                Bench::Steps => bench::steps::run(),
                Bench::Events(options) => bench::events::run(&options),
                Bench::Pipeline(options) => bench::pipeline::run(&options),
                Bench::Plan => bench::plan::run(),
                Bench::History => bench::history::run(),
            }
        }
        Task::Truth(options) => {
            packages::for_measuring()?;
            check::run(&options)
        }
        Task::TruthTarget(options) => check::serve_truth(&options),
        Task::Ui { check } => test::ui(check),
    }
}
