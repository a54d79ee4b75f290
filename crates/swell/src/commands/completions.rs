//! `swell completions`: the completion script of a shell.

use clap::CommandFactory;

use crate::arguments::{Arguments, Completions};
use crate::exit::Exit;

pub fn run(arguments: &Completions) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "swell", &mut script);
    crate::output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
