//! `swell check`: all faults of plans, without sending anything.

use std::io::Read;

use super::faults::shown;
use crate::arguments::Check;
use crate::exit::{Ended, Exit};
use crate::output::{self, Terminal};

pub fn run(arguments: &Check, terminal: Terminal) -> anyhow::Result<Exit> {
    let mut faulty = 0;
    for file in &arguments.plans {
        let text = read(file)?;
        match plan::parse(file, &text) {
            Ok(plan) => output::print(&format!("{file}: ok, {}\n", describe(&plan)))?,
            Err(diagnostics) => {
                faulty += 1;
                output::tell(&shown(&diagnostics, file, &text, terminal.color_err));
            }
        }
    }
    Ok(if faulty == 0 { Exit::Success } else { Exit::Invalid })
}

/// The text of a plan: of a file, or of standard input for `-`.
pub fn read(file: &str) -> anyhow::Result<String> {
    let text = if file == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    text.map_err(|error| Ended::because(Exit::Invalid, format!("cannot read the plan {file}: {error}")))
}

fn describe(plan: &plan::Plan) -> String {
    let steps = plan.rows().len();
    let scenarios = plan.scenarios.len();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    format!("{}: {}, {}", plan.name, plural(scenarios, "scenario"), plural(steps, "step"))
}
