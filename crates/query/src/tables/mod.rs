//! The tables of a run beside its raw events, made of what the database says.
//!
//! Invariant: columns have the names, types and meaning of the tables in PostgreSQL; what a table there has and a data
//! folder does not keep is left out. Rows are made one after the other and handed over in batches, so a table of any length
//! takes little memory.

mod rows;
mod windows;
mod runs;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use plan::{Plan, StageId, StepId};
use store::{Reader, RunRow};

use crate::Fault;
use rows::{Column, Rows};

/// One of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Per endpoint, stage and second: counts, bytes and histograms.
    Windows,
    /// Per stage and second: iterations.
    Iterations,
    /// Per endpoint, stage and second: what requests failed with.
    Errors,
    /// Per driver and second.
    Drivers,
    /// The run itself.
    Runs,
    /// What happened in the run.
    Events,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Windows, Self::Iterations, Self::Errors, Self::Drivers, Self::Runs, Self::Events];

    /// Its name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Windows => "run_windows",
            Self::Iterations => "run_iterations",
            Self::Errors => "run_errors",
            Self::Drivers => "run_drivers",
            Self::Runs => "runs",
            Self::Events => "run_events",
        }
    }

    /// Its columns.
    pub fn schema(self) -> SchemaRef {
        rows::schema(self.columns())
    }

    const fn columns(self) -> &'static [Column] {
        match self {
            Self::Windows => windows::WINDOWS,
            Self::Iterations => windows::ITERATIONS,
            Self::Errors => windows::ERRORS,
            Self::Drivers => windows::DRIVERS,
            Self::Runs => runs::RUNS,
            Self::Events => runs::EVENTS,
        }
    }
}

/// Hands over the rows of a table that are of one run, until `each` says that it is enough.
///
/// # Errors
/// The database cannot be read, or the plan of the run.
pub fn rows(
    reader: &Reader,
    run_id: &str,
    table: Table,
    mut each: impl FnMut(RecordBatch) -> bool,
) -> Result<(), Fault> {
    let mut rows = Rows::new(table.columns(), &mut each);
    // Of a run that is known by its raw events alone nothing else is kept.
    if let Some(run) = reader.run(run_id)? {
        match table {
            Table::Runs => runs::run(&run, &mut rows),
            Table::Events => runs::events(reader, &run, &mut rows)?,
            Table::Windows => windows::windows(reader, &Named::new(run)?, &mut rows)?,
            Table::Iterations => windows::iterations(reader, &Named::new(run)?, &mut rows)?,
            Table::Errors => windows::errors(reader, &Named::new(run)?, &mut rows)?,
            Table::Drivers => windows::drivers(reader, &Named::new(run)?, &mut rows)?,
        }
    }
    rows.finish();
    Ok(())
}

/// A run, and what its numbers are called.
struct Named {
    run: RunRow,
    plan: Plan,
    stages: Vec<String>,
}

impl Named {
    fn new(run: RunRow) -> Result<Self, Fault> {
        let plan = plan::parse("stored plan", &run.plan_source).map_err(|faults| Fault::Plan {
            run_id: run.run_id.clone(),
            detail: faults.first().map_or_else(String::new, |fault| fault.message.clone()),
        })?;
        let stages = plan.stages().into_iter().map(|stage| stage.name).collect();
        Ok(Self { run, plan, stages })
    }

    /// Unix milliseconds of the beginning of a second of the run.
    fn at_ms(&self, second: u32) -> i64 {
        self.run.started_ms.unwrap_or(self.run.created_ms) + i64::from(second) * 1_000
    }

    fn endpoint(&self, row: StepId) -> &str {
        self.plan.row_name(row).unwrap_or("?")
    }

    fn stage(&self, stage: StageId) -> &str {
        self.stages.get(usize::from(stage.0)).map_or("?", String::as_str)
    }
}
