//! `swell init`: plans to start from, which run at once against `swell target --shop`.

use std::path::{Path, PathBuf};

use crate::arguments::Init;
use crate::exit::{Ended, Exit};
use crate::output;

/// A plan to start from.
struct Template {
    name: &'static str,
    about: &'static str,
    text: &'static str,
}

const TEMPLATES: [Template; 6] = [
    Template {
        name: "api",
        about: "an API by a fixed rate: sign-in with a token, reading, writing, thresholds",
        text: include_str!("init/api.plan.yaml"),
    },
    Template {
        name: "journey",
        about: "users who browse, fill a cart and order, with pauses to think",
        text: include_str!("init/journey.plan.yaml"),
    },
    Template {
        name: "spike",
        about: "a sudden crowd: how the target takes it, and how it recovers",
        text: include_str!("init/spike.plan.yaml"),
    },
    Template {
        name: "soak",
        about: "the usual load for hours: leaks, and what slowly gets worse",
        text: include_str!("init/soak.plan.yaml"),
    },
    Template {
        name: "breakpoint",
        about: "more and more until a threshold breaks and ends the run: where the limit is",
        text: include_str!("init/breakpoint.plan.yaml"),
    },
    Template {
        name: "stress",
        about: "beyond the usual load, step by step: what happens to times and errors",
        text: include_str!("init/stress.plan.yaml"),
    },
];

pub fn run(arguments: &Init) -> anyhow::Result<Exit> {
    let Some(name) = &arguments.template else {
        output::print(&list())?;
        return Ok(Exit::Success);
    };
    let Some(template) = TEMPLATES.iter().find(|template| template.name == name) else {
        let names: Vec<&str> = TEMPLATES.iter().map(|template| template.name).collect();
        let message = format!("there is no template \"{name}\"; known are {}", names.join(", "));
        return Err(Ended::because(Exit::Usage, message));
    };
    let file = arguments.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.plan.yaml")));
    if file == Path::new("-") {
        output::print(template.text)?;
        return Ok(Exit::Success);
    }
    output::write(&file, template.text, arguments.force)?;
    let file = file.display();
    output::print(&format!(
        "{file} is written; run it against the sample shop:\n\n  swell target --shop &\n  swell run {file}\n"
    ))?;
    Ok(Exit::Success)
}

fn list() -> String {
    let lines = TEMPLATES.iter().map(|template| format!("  {:<12}{}\n", template.name, template.about));
    format!(
        "Plans to start from; `swell init NAME` writes NAME.plan.yaml:\n\n{}\nAll run at once against `swell target --shop`.\n",
        lines.collect::<String>()
    )
}
