//! `swell check`: all faults of plans, without sending anything unless `--connect` asks for it.

use super::plan_file::PlanFile;
use super::{connect, rehearsing};
use crate::arguments::Check;
use crate::exit::Exit;
use crate::output::{self, Terminal};

pub fn run(arguments: &Check, terminal: Terminal) -> anyhow::Result<Exit> {
    let (mut faulty, mut exits) = (0, Vec::new());
    for file in &arguments.plans {
        let file = PlanFile::read(file)?;
        let target = arguments.reach.target.as_deref();
        match rehearsing::read(&file, &arguments.variables, target) {
            Ok((plan, files, data)) => {
                let data: String = data.iter().map(|source| format!("  {}\n", source.said)).collect();
                output::print(&format!("{}: ok, {}\n{data}", file.name, describe(&plan)))?;
                let warnings = plan.warnings();
                warnings.iter().for_each(|text| output::tell(&format!("warning: {}: {text}", file.name)));
                if arguments.connect {
                    exits.push(connect::run(plan, files, &file, &arguments.reach, terminal)?);
                }
            }
            Err(faults) => {
                faulty += 1;
                output::tell(&file.shown(&faults, terminal.color_err));
            }
        }
    }
    Ok(if faulty == 0 { Exit::of_run(&exits) } else { Exit::Invalid })
}

fn describe(plan: &plan::Plan) -> String {
    let steps = plan.rows().len();
    let scenarios = plan.scenarios.len();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let once = [plan::Fixture::Setup, plan::Fixture::Teardown].into_iter().filter_map(|fixture| {
        let steps = plan.fixture(fixture)?.steps.len();
        Some(format!(", {} of {}", fixture.as_str(), plural(steps, "request")))
    });
    let once: String = once.collect();
    format!("{}: {}, {}{once}", plan.name, plural(scenarios, "scenario"), plural(steps, "step"))
}
