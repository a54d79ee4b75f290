//! `swell report`: the result of a past run, made again from what was stored.

use cluster::RunResult;
use store::Reader;

use crate::arguments::{Format, Report};
use crate::exit::{Ended, Exit};
use crate::output::{self, Terminal};

pub fn run(arguments: &Report, terminal: Terminal) -> anyhow::Result<Exit> {
    let invalid =
        |error: store::Error| Ended::because(Exit::Invalid, format!("{:#}", anyhow::Error::new(error)));
    let reader = Reader::open(arguments.storage.location()?).map_err(invalid)?;
    let run_id = find(&reader, &arguments.run)?;
    let result = RunResult::load(&reader, &run_id)
        .map_err(|failure| Ended::because(Exit::Invalid, failure.to_string()))?;
    let result = result.ok_or_else(|| Ended::because(Exit::Invalid, format!("there is no run {run_id}")))?;
    let summary = api::summary(&result);
    match arguments.format {
        Format::Text => output::print(&report::text(&summary, terminal.color_out, output::WIDTH))?,
        Format::Json => output::print(&summary.to_json())?,
    }
    Ok(Exit::Success)
}

/// The one run that `wanted` names: `last`, an identity, or the beginning of one.
pub(super) fn find(reader: &Reader, wanted: &str) -> anyhow::Result<String> {
    only(matching(reader, wanted)?, wanted)
}

/// The runs that `wanted` may mean: the one of that name, else those whose name begins so.
///
/// # Errors
/// The store cannot be read.
pub(super) fn matching(reader: &Reader, wanted: &str) -> anyhow::Result<Vec<String>> {
    let invalid =
        |error: store::Error| Ended::because(Exit::Invalid, format!("{:#}", anyhow::Error::new(error)));
    if wanted != "last" && reader.run(wanted).map_err(invalid)?.is_some() {
        return Ok(vec![wanted.to_owned()]);
    }
    let rows = reader.runs(None, store::MAX_PAGE).map_err(invalid)?;
    let names = rows.into_iter().map(|row| row.run_id);
    Ok(match wanted {
        "last" => names.take(1).collect(),
        wanted => names.filter(|name| name.starts_with(wanted)).collect(),
    })
}

/// The one run among those that `wanted` may mean.
///
/// # Errors
/// There is none, or more than one.
pub(super) fn only(matching: Vec<String>, wanted: &str) -> anyhow::Result<String> {
    match <[String; 1]>::try_from(matching) {
        Ok([found]) => Ok(found),
        Err(several) => Err(Ended::because(
            Exit::Invalid,
            match several.as_slice() {
                [a, b, ..] => format!("several runs begin with {wanted}: {a}, {b}; give more of it"),
                _ => format!("there is no run {wanted}; `swell runs` lists them"),
            },
        )),
    }
}
