//! The runs that a command line names: `last` (or `latest`), an identity, the beginning of one, or `all`.

use store::Reader;

use super::report;
use crate::exit::{Ended, Exit};

/// The runs that `wanted` names, at least one.
///
/// # Errors
/// There is none, or more than one begins so.
pub fn runs(reader: &Reader, wanted: &str) -> anyhow::Result<Vec<String>> {
    if wanted == "all" {
        return all(reader);
    }
    one(reader, wanted).map(|run| vec![run])
}

/// The one run that `wanted` names.
///
/// # Errors
/// There is none, or more than one begins so.
pub fn one(reader: &Reader, wanted: &str) -> anyhow::Result<String> {
    let wanted = if wanted == "latest" { "last" } else { wanted };
    let mut matching = report::matching(reader, wanted)?;
    if matching.is_empty() {
        // Runs of foreign clients are known by their raw events alone.
        matching = reader.runs_with_events().map_err(invalid)?;
        match matching.iter().any(|run| run == wanted) {
            true => matching = vec![wanted.to_owned()],
            false => matching.retain(|run| !wanted.is_empty() && run.starts_with(wanted)),
        }
    }
    report::only(matching, wanted)
}

fn all(reader: &Reader) -> anyhow::Result<Vec<String>> {
    let mut runs = reader.runs_with_events().map_err(invalid)?;
    let mut before: Option<String> = None;
    loop {
        let page = reader.runs(before.as_deref(), store::MAX_PAGE).map_err(invalid)?;
        let Some(last) = page.last() else { break };
        before = Some(last.run_id.clone());
        runs.extend(page.into_iter().map(|run| run.run_id));
    }
    runs.sort_unstable();
    runs.dedup();
    match runs.is_empty() {
        true => Err(Ended::because(Exit::Invalid, "no run is stored there yet")),
        false => Ok(runs),
    }
}

fn invalid(error: store::Error) -> anyhow::Error {
    Ended::because(Exit::Invalid, format!("{:#}", anyhow::Error::new(error)))
}
