//! `swell plan show`: a plan as it is run, with the origin of each value.

use super::plan_file::PlanFile;
use crate::arguments::Show;
use crate::exit::{Ended, Exit};
use crate::output::{self, Terminal};

pub fn run(arguments: &Show, terminal: Terminal) -> anyhow::Result<Exit> {
    let given = &arguments.given;
    let file = PlanFile::read(&given.plan)?;
    let shown = file
        .shown_plan(&given.variables, given.target.as_deref())
        .map_err(|faults| Ended::because(Exit::Invalid, file.shown(&faults, terminal.color_err)))?;
    output::print(if arguments.json { &shown.json } else { &shown.yaml })?;
    Ok(Exit::Success)
}
