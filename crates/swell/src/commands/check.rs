//! `swell check`: all faults of plans, without sending anything.

use super::files;
use super::plan_file::PlanFile;
use crate::arguments::Check;
use crate::exit::Exit;
use crate::output::{self, Terminal};

pub fn run(arguments: &Check, terminal: Terminal) -> anyhow::Result<Exit> {
    let mut faulty = 0;
    for file in &arguments.plans {
        let file = PlanFile::read(file)?;
        let looked = file.plan(&arguments.variables, None).and_then(|plan| {
            let files = files::read(&plan, &file.name)?;
            Ok((files::look_through(&plan, &file.name, &files)?, plan))
        });
        match looked {
            Ok((data, plan)) => {
                let data: String = data.iter().map(|source| format!("  {}\n", source.said)).collect();
                output::print(&format!("{}: ok, {}\n{data}", file.name, describe(&plan)))?;
            }
            Err(faults) => {
                faulty += 1;
                output::tell(&file.shown(&faults, terminal.color_err));
            }
        }
    }
    Ok(if faulty == 0 { Exit::Success } else { Exit::Invalid })
}

fn describe(plan: &plan::Plan) -> String {
    let steps = plan.rows().len();
    let scenarios = plan.scenarios.len();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    format!("{}: {}, {}", plan.name, plural(scenarios, "scenario"), plural(steps, "step"))
}
