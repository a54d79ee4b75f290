//! `swell`: reads arguments and environment, wires the crates, takes signals, prints, exits. No logic of its own.

mod arguments;
mod commands;
mod exit;
mod output;
mod signals;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use arguments::{Arguments, Command, PlanCommand};
use exit::{Ended, Exit};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = log_to_stderr(&arguments) {
        output::tell(&format!("error: {error:#}"));
        return Exit::Usage.into();
    }
    match run(&arguments) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::tell(&format!("error: {error:#}"));
            error.downcast_ref::<Ended>().map_or(Exit::Internal, |ended| ended.exit).into()
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let terminal = output::Terminal::detect(arguments.color, arguments.quiet);
    match &arguments.command {
        Command::Demo(demo) => commands::demo::run(demo, terminal),
        Command::Run(run) => commands::run::run(run, terminal),
        Command::Orchestrator(orchestrator) => commands::orchestrator::run(orchestrator, terminal),
        Command::Collector(collector) => commands::collector::run(collector, terminal),
        Command::Driver(driver) => commands::driver::run(driver, terminal),
        Command::Target(target) => commands::target::run(target, terminal),
        Command::Check(check) => commands::check::run(check, terminal),
        Command::Try(arguments) => commands::trial::run(arguments, terminal),
        Command::Plan { command: PlanCommand::Preview(preview) } => commands::preview::run(preview, terminal),
        Command::Plan { command: PlanCommand::Show(show) } => commands::show::run(show, terminal),
        Command::Init(init) => commands::init::run(init),
        Command::Schema(schema) => commands::schema::run(schema),
        Command::Import(import) => commands::import::run(import, terminal),
        Command::Explain(explain) => commands::explain::run(explain),
        Command::Runs(runs) => commands::runs::run(runs),
        Command::Report(report) => commands::report::run(report, terminal),
        Command::Sql(sql) => commands::sql::run(sql),
        Command::Export(export) => commands::export::run(export, terminal),
        Command::Db { command } => commands::db::run(command),
        Command::Doctor(doctor) => commands::doctor::run(doctor),
        Command::Completions(completions) => commands::completions::run(completions),
    }
}

fn log_to_stderr(arguments: &Arguments) -> anyhow::Result<()> {
    let filter = if arguments.quiet { "error" } else { arguments.log.as_str() };
    let filter = EnvFilter::try_new(filter).map_err(|error| anyhow::anyhow!("--log {filter}: {error}"))?;
    let color = output::Terminal::detect(arguments.color, arguments.quiet).color_err;
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(color).with_writer(std::io::stderr).init();
    Ok(())
}
