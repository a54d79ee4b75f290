//! The plan's data, opened: rows by their number, with the columns that the plan uses.
//!
//! Invariant: made before the run, and read by all threads. Deliberately absent: which row an iteration gets (`data`).

use std::borrow::Cow;
use std::cell::Cell;

use data::{Buffer, Files, Table};
use plan::{DataKind, EvaluateError, Scope, Template, Value, mix};

use crate::PrepareError;

/// Keeps what is drawn for a row apart from what an iteration draws.
const ROW_SALT: u64 = 0x726f_7773;

/// All sources, in the order of the plan.
#[derive(Debug)]
pub(crate) struct Tables(Vec<Rows>);

#[derive(Debug)]
enum Rows {
    File {
        table: Table,
        /// Where the columns are that the plan uses.
        columns: Vec<usize>,
    },
    Generated {
        rows: u64,
        columns: Vec<Template>,
        seed: u64,
    },
}

impl Tables {
    /// # Errors
    /// A file is not there, is no table, or has not the columns that the plan uses.
    pub(crate) fn open(plan: &plan::Plan, files: &Files) -> Result<Self, PrepareError> {
        let open = |(number, source): (usize, &plan::DataSource)| {
            let used = plan.columns_of(number);
            match &source.kind {
                DataKind::File { path, format } => {
                    let bytes = files.get(path).ok_or_else(|| PrepareError::NoFile { path: path.clone() })?;
                    let table = Table::open(bytes.clone(), *format).map_err(|faults| {
                        let first =
                            faults.first().map(|fault| format!("line {}: {}", fault.line, fault.message));
                        PrepareError::Table { path: path.clone(), fault: first.unwrap_or_default() }
                    })?;
                    let column = |name: &String| {
                        table.column(name).ok_or_else(|| PrepareError::Column {
                            source_name: source.name.clone(),
                            column: name.clone(),
                            known: table.columns().join(", "),
                        })
                    };
                    let columns = used.iter().map(column).collect::<Result<_, _>>()?;
                    Ok(Rows::File { table, columns })
                }
                DataKind::Generated { rows, columns } => {
                    let column = |name: &String| {
                        columns.iter().find(|(known, _)| known == name).map(|(_, template)| template.clone())
                    };
                    let seed = plan.seed ^ mix(number as u64 ^ ROW_SALT);
                    Ok(Rows::Generated {
                        rows: *rows,
                        columns: used.iter().filter_map(column).collect(),
                        seed,
                    })
                }
            }
        };
        plan.data.iter().enumerate().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// How many rows a source has.
    pub(crate) fn rows(&self, source: usize) -> u64 {
        match self.0.get(source) {
            Some(Rows::File { table, .. }) => table.len() as u64,
            Some(Rows::Generated { rows, .. }) => *rows,
            None => 0,
        }
    }

    /// The columns that the plan uses of a row.
    pub(crate) fn read(
        &self,
        source: usize,
        row: u64,
        buffer: &mut Buffer,
        values: &mut Vec<Value<'static>>,
    ) {
        values.clear();
        match self.0.get(source) {
            Some(Rows::File { table, columns }) => {
                let row = usize::try_from(row).unwrap_or(usize::MAX);
                for column in columns {
                    values.push(match table.cell(row, *column, buffer) {
                        Some(data::Cell::Text(text)) => Value::Text(Cow::Owned(text.to_owned())),
                        Some(data::Cell::Json(json)) => {
                            serde_json::from_str(json).map_or(Value::Null, Value::from_json)
                        }
                        None => Value::Null,
                    });
                }
            }
            Some(Rows::Generated { columns, seed, .. }) => {
                let scope = RowScope { row, state: Cell::new(seed ^ mix(row)) };
                for column in columns {
                    let mut text = String::new();
                    let is_there = column.write(&scope, &mut text).is_ok();
                    values.push(if is_there { Value::Text(Cow::Owned(text)) } else { Value::Null });
                }
            }
            None => {}
        }
    }
}

/// Where the columns of a generated row are evaluated.
struct RowScope {
    row: u64,
    state: Cell<u64>,
}

impl Scope for RowScope {
    fn saved(&self, _slot: u16) -> &Value<'static> {
        &Value::Null
    }

    fn cell(&self, _source: u16, _column: u16) -> Result<Value<'_>, EvaluateError> {
        Err(EvaluateError::Absent)
    }

    fn draw(&self) -> u64 {
        self.state.set(mix(self.state.get()));
        self.state.get()
    }

    fn row(&self) -> u64 {
        self.row
    }
}
