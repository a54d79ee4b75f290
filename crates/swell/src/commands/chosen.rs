//! The run that a command line names: `last` (or `latest`), an identity, or the beginning of one.

use store::Reader;

use super::report;
use crate::exit::{Ended, Exit};

/// The one run that `wanted` names.
///
/// # Errors
/// There is none, or more than one begins so.
pub fn one(reader: &Reader, wanted: &str) -> anyhow::Result<String> {
    let found = report::find(reader, if wanted == "latest" { "last" } else { wanted });
    let Err(unknown) = found else { return found };
    // Runs of foreign clients are known by their raw events alone.
    let mut known = reader.runs_with_events().map_err(invalid)?;
    if !known.iter().any(|run| run == wanted) {
        known.retain(|run| !wanted.is_empty() && run.starts_with(wanted));
    } else {
        known = vec![wanted.to_owned()];
    }
    match known.as_slice() {
        [run] => Ok(run.clone()),
        _ => Err(unknown),
    }
}

fn invalid(error: store::Error) -> anyhow::Error {
    Ended::because(Exit::Invalid, format!("{:#}", anyhow::Error::new(error)))
}
