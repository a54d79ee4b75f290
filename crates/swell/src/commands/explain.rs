//! `swell explain`: what the code of a fault means.

use crate::arguments::Explain;
use crate::exit::{Ended, Exit};
use crate::output;

pub fn run(arguments: &Explain) -> anyhow::Result<Exit> {
    let Some(code) = &arguments.code else {
        let codes: Vec<&str> = plan::codes().collect();
        output::print(&format!("{}\n", codes.join("\n")))?;
        return Ok(Exit::Success);
    };
    let Some(text) = plan::explain(code) else {
        let message = format!("there is no fault with the code \"{code}\"; `swell explain` lists all");
        return Err(Ended::because(Exit::Usage, message));
    };
    output::print(&format!("{code}\n\n{text}\n"))?;
    Ok(Exit::Success)
}
