//! Rows written as they come, as tables for people and in files of other tools.
//!
//! Invariant: what a sink holds does not grow with the rows that went through it.

mod aligned;
mod jtl;

use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use crate::Fault;

/// Times in every text form: RFC 3339 in UTC, with as many digits as there are.
const TIME: &str = "%Y-%m-%dT%H:%M:%S%.fZ";

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Columns for people.
    Table,
    /// Comma-separated values with a line of names; lists as `[1, 2]`.
    Csv,
    /// The result file of JMeter, of raw events.
    Jtl,
    /// Parquet.
    Parquet,
    /// An array of objects.
    Json,
    /// One object a line.
    Ndjson,
}

/// Takes rows.
pub trait Sink {
    /// Writes some rows.
    fn write(&mut self, rows: &RecordBatch) -> Result<(), Fault>;

    /// Writes what must stand at the end.
    fn finish(&mut self) -> Result<(), Fault>;
}

/// A sink of that form for rows of `schema`. `run_id` is said in files that have a place for it.
///
/// # Errors
/// The form has no place for such columns, or the beginning cannot be written.
pub fn sink<'w>(
    form: Form,
    schema: &SchemaRef,
    run_id: &str,
    to: impl Write + Send + 'w,
) -> Result<Box<dyn Sink + 'w>, Fault> {
    Ok(match form {
        Form::Table => Box::new(aligned::Aligned::new(Arc::clone(schema), to)),
        Form::Csv => Box::new(Csv::new(schema, to)?),
        Form::Jtl => Box::new(jtl::Jtl::new(schema, to)?),
        Form::Parquet => Box::new(Parquet(store::ParquetFile::new(to, Arc::clone(schema), run_id)?)),
        Form::Json => {
            let writer = json().build::<_, arrow_json::writer::JsonArray>(to);
            Box::new(Json { writer, end: b"\n" })
        }
        Form::Ndjson => {
            let writer = json().build::<_, arrow_json::writer::LineDelimited>(to);
            Box::new(Json { writer, end: b"" })
        }
    })
}

/// What was wrong with the writing, or with the rows.
fn fault(error: ArrowError) -> Fault {
    match error {
        ArrowError::IoError(_, source) => Fault::Write(source),
        ArrowError::CsvError(said) | ArrowError::JsonError(said) => Fault::Rows(said),
        other => Fault::Rows(other.to_string()),
    }
}

struct Csv<W: Write>(arrow_csv::Writer<W>);

impl<W: Write> Csv<W> {
    fn new(schema: &SchemaRef, to: W) -> Result<Self, Fault> {
        let mut writer = arrow_csv::WriterBuilder::new().with_timestamp_tz_format(TIME.to_owned()).build(to);
        // The names are there even when no row is.
        writer.write(&flat(&RecordBatch::new_empty(Arc::clone(schema))).map_err(fault)?).map_err(fault)?;
        Ok(Self(writer))
    }
}

impl<W: Write> Sink for Csv<W> {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), Fault> {
        self.0.write(&flat(rows).map_err(fault)?).map_err(fault)
    }

    fn finish(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

/// The rows with times in UTC by offset, which can be written without a table of the world's time zones.
fn by_offset(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::with_capacity(rows.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(rows.num_columns());
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        let column = match field.data_type() {
            DataType::Timestamp(unit, Some(zone)) if zone.as_ref() == "UTC" => {
                arrow_cast::cast(column, &DataType::Timestamp(*unit, Some("+00:00".into())))?
            }
            _ => Arc::clone(column),
        };
        fields.push(Field::new(field.name(), column.data_type().clone(), true));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// The same with all that is made of several values as text.
fn flat(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let rows = by_offset(rows)?;
    let mut fields = Vec::with_capacity(rows.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(rows.num_columns());
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        let column: ArrayRef = match field.data_type().is_nested() {
            true => {
                let options = FormatOptions::new().with_timestamp_tz_format(Some(TIME));
                let texts = ArrayFormatter::try_new(column, &options)?;
                let text = |row| column.is_valid(row).then(|| texts.value(row).try_to_string()).transpose();
                Arc::new((0..rows.num_rows()).map(text).collect::<Result<StringArray, ArrowError>>()?)
            }
            false => Arc::clone(column),
        };
        fields.push(Field::new(field.name(), column.data_type().clone(), true));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

struct Parquet<W: Write + Send>(store::ParquetFile<W>);

impl<W: Write + Send> Sink for Parquet<W> {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), Fault> {
        Ok(self.0.write(rows)?)
    }

    fn finish(&mut self) -> Result<(), Fault> {
        Ok(self.0.finish()?)
    }
}

fn json() -> arrow_json::WriterBuilder {
    arrow_json::WriterBuilder::new().with_explicit_nulls(true).with_timestamp_tz_format(TIME.to_owned())
}

struct Json<W: Write, F: arrow_json::writer::JsonFormat> {
    writer: arrow_json::Writer<W, F>,
    /// What the form leaves to end its last line.
    end: &'static [u8],
}

impl<W: Write, F: arrow_json::writer::JsonFormat> Sink for Json<W, F> {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), Fault> {
        self.writer.write(&by_offset(rows).map_err(fault)?).map_err(fault)
    }

    fn finish(&mut self) -> Result<(), Fault> {
        self.writer.finish().map_err(fault)?;
        Ok(self.writer.get_mut().write_all(self.end)?)
    }
}
