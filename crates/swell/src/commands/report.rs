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
    let invalid =
        |error: store::Error| Ended::because(Exit::Invalid, format!("{:#}", anyhow::Error::new(error)));
    if wanted != "last" && reader.run(wanted).map_err(invalid)?.is_some() {
        return Ok(wanted.to_owned());
    }
    let rows = reader.runs(None, store::MAX_PAGE).map_err(invalid)?;
    let mut matching =
        rows.into_iter().map(|row| row.run_id).filter(|id| wanted == "last" || id.starts_with(wanted));
    match (matching.next(), matching.next()) {
        (Some(found), None) => Ok(found),
        (Some(found), Some(_)) if wanted == "last" => Ok(found),
        (Some(a), Some(b)) => Err(Ended::because(
            Exit::Invalid,
            format!("several runs begin with {wanted}: {a}, {b}; give more of it"),
        )),
        (None, _) => {
            Err(Ended::because(Exit::Invalid, format!("there is no run {wanted}; `swell runs` lists them")))
        }
    }
}
