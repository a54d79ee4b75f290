//! What a new orchestrator finds in its store: a run that was under way.
//!
//! Invariant: a run is continued only where its log outlives the process that ran it; else it is ended here, once.

use store::{RunRow, Store};

use super::orchestrator::StartError;
use crate::result::{Ending, Extras, RunResult, Summarise};
use crate::run::RunRecord;
use crate::view::RunState;

/// The newest runs of a store; one that is under way is among them.
const LOOKED_AT: u32 = 50;

/// A run that the store knows as under way, and what the orchestrator knew of it.
pub(super) type Resumed = (RunRow, Box<RunRecord>);

/// The run that the store knows as under way, unless another process has it. Runs that were created and never started are not.
pub(super) fn resumed(store: &mut Store) -> Result<Option<Resumed>, StartError> {
    let reader = store.reader()?;
    let lines = reader.runs(None, LOOKED_AT)?;
    for line in lines.iter().filter(|line| !RunState::parse(&line.state).is_none_or(RunState::is_over)) {
        let Some(row) = reader.run(&line.run_id)? else { continue };
        let extras = row.extras.as_deref().and_then(|text| serde_json::from_str(text).ok());
        if let Some(Extras::Record(text)) = extras
            && store.take_run(&row.run_id)?
        {
            let record = RunRecord::from_json(&text);
            let record =
                record.map_err(|source| StartError::Record { run_id: row.run_id.clone(), source })?;
            return Ok(Some((row, Box::new(record))));
        }
    }
    Ok(None)
}

/// Ends a run in the store whose process was killed, and whose log died with it.
pub(super) fn abandon(store: &mut Store, mut row: RunRow, figures: Summarise) -> Result<(), store::Error> {
    tracing::warn!(run_id = row.run_id, "the process of this run was killed; what it stored is kept");
    row.state = RunState::Aborted.as_str().to_owned();
    row.ended_ms = Some(clock::unix_ms());
    row.extras = serde_json::to_string(&Extras::Ending(Ending::abandoned(&row.drivers))).ok();
    store.update_run(&row)?;
    match RunResult::load(&store.reader()?, &row.run_id) {
        Ok(Some(result)) => {
            row.verdict = Some(result.verdict.value.as_str().to_owned());
            row.figures = figures(&result);
            store.update_run(&row)?;
        }
        Ok(None) => {}
        Err(failure) => tracing::warn!(run_id = row.run_id, %failure, "the run cannot be judged"),
    }
    Ok(())
}
