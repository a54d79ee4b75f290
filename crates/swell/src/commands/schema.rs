//! `swell schema`: the JSON Schema of a format, for editors.

use crate::arguments::{Schema, SchemaOf};
use crate::exit::Exit;
use crate::output;

pub fn run(arguments: &Schema) -> anyhow::Result<Exit> {
    let text = match arguments.of {
        SchemaOf::Plan => plan::schema(),
    };
    output::print(&text)?;
    Ok(Exit::Success)
}
