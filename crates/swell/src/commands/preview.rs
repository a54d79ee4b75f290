//! `swell plan preview`: what a plan asks for, drawn and counted, without sending anything.

use engine::Part;
use report::PreviewFacts;

use super::files;
use super::plan_file::PlanFile;
use crate::arguments::Preview;
use crate::exit::{Ended, Exit};
use crate::output::{self, Terminal};

pub fn run(arguments: &Preview, terminal: Terminal) -> anyhow::Result<Exit> {
    let given = &arguments.given;
    let file = PlanFile::read(&given.plan)?;
    let looked = file.plan(&given.variables, given.target.as_deref()).and_then(|plan| {
        let files = files::read(&plan, &file.name)?;
        let sources = files::look_through(&plan, &file.name, &files)?;
        Ok((plan, files, sources))
    });
    let (plan, files, sources) =
        looked.map_err(|faults| Ended::because(Exit::Invalid, file.shown(&faults, terminal.color_err)))?;
    let drivers = usize::from(arguments.drivers);
    // Of the driver with most lanes.
    let part = Part { plan: &plan, drivers: 1, threads: 1, lanes: plan::LANES.div_ceil(drivers) };
    let rows: Vec<u64> = sources.iter().map(|source| source.rows).collect();
    let facts = PreviewFacts {
        plan: &plan,
        drivers,
        connections: engine::connections(&part),
        rows: &rows,
        file_bytes: &|path| files.get(path).map_or(0, |content| content.len() as u64),
    };
    output::print(&report::preview(&facts, terminal.color_out, output::WIDTH))?;
    Ok(Exit::Success)
}
