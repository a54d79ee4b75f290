//! `swell import`: a plan of what another tool recorded, describes or was told; notes go to standard error.

use std::io::Read;

use import::{Format, Input, Options};

use crate::arguments::{Import, Source};
use crate::exit::{Ended, Exit};
use crate::output::{self, Terminal};

pub fn run(arguments: &Import, terminal: Terminal) -> anyhow::Result<Exit> {
    let text = match &arguments.file {
        Some(file) => Some(read(file)?),
        None if arguments.words.is_empty() => {
            let message = "give a file, `-` for standard input, or a command line behind `--`";
            return Err(Ended::because(Exit::Usage, message));
        }
        None => None,
    };
    let input = Input { text: text.as_deref(), words: &arguments.words };
    let options = Options {
        target: arguments.target.clone(),
        name: arguments.name.clone(),
        hosts: arguments.hosts.clone(),
        include_assets: arguments.include_assets,
        tags: arguments.tags.clone(),
        operations: arguments.operations.clone(),
    };
    let imported = import::import(format(arguments.format), input, &options)
        .map_err(|error| Ended::because(Exit::Invalid, error.to_string()))?;
    match &arguments.output {
        Some(file) => output::write(file, &imported.plan, arguments.force)?,
        None => output::print(&imported.plan)?,
    }
    if !terminal.quiet {
        imported.notes.iter().for_each(|note| output::tell(&format!("note: {note}")));
    }
    Ok(Exit::Success)
}

fn format(source: Source) -> Format {
    match source {
        Source::Har => Format::Har,
        Source::Curl => Format::Curl,
        Source::Openapi => Format::Openapi,
        Source::Postman => Format::Postman,
        Source::K6Options => Format::K6Options,
        Source::Ab => Format::Ab,
        Source::Wrk => Format::Wrk,
        Source::Vegeta => Format::Vegeta,
    }
}

/// The text of a file or of standard input, at most one byte more than is imported: so much tells that it is too much.
fn read(file: &str) -> anyhow::Result<String> {
    let cannot =
        |error: std::io::Error| Ended::because(Exit::Invalid, format!("cannot read {file}: {error}"));
    let reader: Box<dyn Read> = match file {
        "-" => Box::new(std::io::stdin()),
        file => Box::new(std::fs::File::open(file).map_err(cannot)?),
    };
    let mut bytes = Vec::new();
    reader.take(import::INPUT_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        // Of a text that was cut the last character may be half.
        Err(error) if error.as_bytes().len() > import::INPUT_BYTES => {
            Ok(String::from_utf8_lossy(error.as_bytes()).into_owned())
        }
        Err(_) => Err(Ended::because(Exit::Invalid, format!("cannot read {file}: it is not UTF-8 text"))),
    }
}
