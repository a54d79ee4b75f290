//! A table for people: a line of names, a line under it, numbers to the right.
//!
//! Columns are as wide as the first rows need; a longer value after them is out of line and never cut.

use std::io::Write;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::SchemaRef;

use super::{Sink, TIME, by_offset, fault};
use crate::Fault;

/// Rows by which the widths are chosen, at least one batch.
pub(super) struct Aligned<W: Write> {
    to: W,
    schema: SchemaRef,
    widths: Vec<usize>,
}

impl<W: Write> Aligned<W> {
    pub(super) const fn new(schema: SchemaRef, to: W) -> Self {
        Self { to, schema, widths: Vec::new() }
    }

    fn head(&mut self, rows: &RecordBatch, texts: &[Vec<String>]) -> Result<(), Fault> {
        let names: Vec<&str> = rows.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        let width = |name: &&str, column: &Vec<String>| {
            column.iter().map(|text| text.chars().count()).chain([name.chars().count()]).max().unwrap_or(0)
        };
        self.widths = names.iter().zip(texts).map(|(name, column)| width(name, column)).collect();
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.line(rows, names)?;
        let rules = self.widths.iter().map(|width| "─".repeat(*width)).collect();
        self.line(rows, rules)
    }

    /// Writes one line; numbers, and their names, stand to the right.
    fn line(&mut self, rows: &RecordBatch, texts: Vec<String>) -> Result<(), Fault> {
        let mut line = String::new();
        for (at, (text, width)) in texts.iter().zip(&self.widths).enumerate() {
            let fill = " ".repeat(width.saturating_sub(text.chars().count()));
            let gap = if at == 0 { "" } else { "  " };
            match rows.column(at).data_type().is_numeric() {
                true => line.extend([gap, &fill, text]),
                false => line.extend([gap, text, &fill]),
            }
        }
        writeln!(self.to, "{}", line.trim_end())?;
        Ok(())
    }
}

impl<W: Write> Sink for Aligned<W> {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), Fault> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let options = FormatOptions::new().with_timestamp_tz_format(Some(TIME)).with_null("–");
        let rows = &by_offset(rows).map_err(fault)?;
        let mut texts = Vec::with_capacity(rows.num_columns());
        for column in rows.columns() {
            let column = ArrayFormatter::try_new(column, &options).map_err(fault)?;
            let shown = (0..rows.num_rows()).map(|row| Ok(one_line(column.value(row).try_to_string()?)));
            texts.push(shown.collect::<Result<Vec<_>, _>>().map_err(fault)?);
        }
        if self.widths.is_empty() {
            self.head(rows, &texts)?;
        }
        for row in 0..rows.num_rows() {
            let line = texts.iter_mut().map(|column| std::mem::take(&mut column[row])).collect();
            self.line(rows, line)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Fault> {
        if self.widths.is_empty() {
            let nothing = RecordBatch::new_empty(Arc::clone(&self.schema));
            self.head(&nothing, &vec![Vec::new(); nothing.num_columns()])?;
        }
        Ok(self.to.flush()?)
    }
}

/// A text without line ends and what else moves a terminal's cursor.
fn one_line(text: String) -> String {
    if text.chars().any(char::is_control) {
        text.chars().flat_map(char::escape_debug).collect()
    } else {
        text
    }
}
