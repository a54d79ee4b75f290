//! A file of rows: opened once, then read cell by cell.
//!
//! Invariant: beside the file's bytes a table keeps four bytes per row, and nothing per cell. Deliberately absent: a copy
//! of any value, and an index of cells; rows are short, and one is walked again for each cell that is asked for.

use std::ops::Range;
use std::sync::Arc;

use csv_core::Reader;
use plan::{DataFormat, limits};

use crate::fault::{Found, TableFault, line_of};
use crate::{lines, separated};

/// Rows and columns of a file.
#[derive(Debug, Clone)]
pub struct Table {
    bytes: Arc<[u8]>,
    format: DataFormat,
    columns: Vec<String>,
    /// Where each row begins.
    starts: Vec<u32>,
}

/// Room for a value that the file has in another form, and what reads it: one for a thread's tables, made once.
#[derive(Debug)]
pub struct Buffer {
    text: Vec<u8>,
    // Not in the table, since they change as they read; not copied from it, since `csv_core` 0.1.13 copies half of one.
    commas: Reader,
    tabs: Reader,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { text: Vec::new(), commas: separated::reader(b','), tabs: separated::reader(b'\t') }
    }
}

/// One value of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Text: all of CSV and TSV, and strings of JSON without quotes and escapes.
    Text(&'a str),
    /// Any other value of JSON, as it is written.
    Json(&'a str),
}

impl<'a> Cell<'a> {
    /// The text, or the JSON as written.
    pub fn as_str(self) -> &'a str {
        match self {
            Self::Text(text) | Self::Json(text) => text,
        }
    }
}

/// What the reader of a format finds in a file.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// Empty when nothing says what they are.
    pub columns: Vec<String>,
    /// Where rows begin.
    pub starts: Vec<u32>,
}

impl Table {
    /// Looks at every row of a file.
    ///
    /// # Errors
    /// All faults of the file, in its order, but not more than [`crate::FAULTS`].
    pub fn open(bytes: Arc<[u8]>, format: DataFormat) -> Result<Self, Vec<TableFault>> {
        let mut found = Found::default();
        if u32::try_from(bytes.len()).is_err() || bytes.len() as u64 > limits::FILES_BYTES {
            let most = limits::FILES_BYTES >> 20;
            let message = format!("the file has {} bytes, more than {most} MiB", bytes.len());
            found.add(TableFault::new("too_large_files", 1, message, "send fewer rows"));
            return Err(found.into_faults());
        }
        if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
            found.add(TableFault::new(
                "not_utf8",
                1,
                "the file is written in UTF-16",
                "save the file as UTF-8",
            ));
            return Err(found.into_faults());
        }
        check_encoding(&bytes, &mut found);
        let mut buffer = Buffer::default();
        let outline = match format {
            DataFormat::Csv => separated::outline(&bytes, &mut buffer.commas, &mut found),
            DataFormat::Tsv => separated::outline(&bytes, &mut buffer.tabs, &mut found),
            DataFormat::JsonLines => lines::outline(&bytes, &mut found),
        };
        if found.is_empty() && outline.starts.is_empty() {
            found.add(no_rows(format, &outline));
        }
        if !found.is_empty() {
            return Err(found.into_faults());
        }
        Ok(Self { bytes, format, columns: outline.columns, starts: outline.starts })
    }

    /// How many rows; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a table has rows")]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Names of the columns, in the order of the file; at least one.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The number of the column `name`.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// What is said when the table has no column `name`, which an expression reads from `source`.
    pub fn without(&self, name: &str, source: &str) -> TableFault {
        let message = format!("{source} has no column \"{name}\", which the plan reads");
        let help = format!("its columns are {}", self.columns.join(", "));
        TableFault::new("unknown_column", 1, message, help)
    }

    /// The value of a column in a row, both from 0; `None` beyond the last of either. `buffer` loses what
    /// it had; it grows to the largest value and allocates nothing then.
    pub fn cell<'a>(&'a self, row: usize, column: usize, buffer: &'a mut Buffer) -> Option<Cell<'a>> {
        let name = self.columns.get(column)?;
        let row = self.bytes.get(self.span(row)?)?;
        let Buffer { text, commas, tabs } = buffer;
        match self.format {
            DataFormat::Csv => separated::cell(row, commas, column, text).map(Cell::Text),
            DataFormat::Tsv => separated::cell(row, tabs, column, text).map(Cell::Text),
            DataFormat::JsonLines => lines::cell(row, name, text),
        }
    }

    /// The bytes of a row, and what lies between it and the next.
    fn span(&self, row: usize) -> Option<Range<usize>> {
        let start = *self.starts.get(row)? as usize;
        Some(start..self.starts.get(row + 1).map_or(self.bytes.len(), |next| *next as usize))
    }
}

fn no_rows(format: DataFormat, outline: &Outline) -> TableFault {
    let (message, help) = match format {
        DataFormat::JsonLines => ("the file is empty", "write a JSON object on each line"),
        _ if outline.columns.is_empty() => {
            ("the file is empty", "the first line names the columns, others are rows")
        }
        _ => ("the file has no row below its header", "the first line names the columns, others are rows"),
    };
    TableFault::new("no_rows", 1, message, help)
}

/// Reports a file that is not UTF-8, once.
fn check_encoding(bytes: &[u8], found: &mut Found) {
    let Err(error) = std::str::from_utf8(bytes) else { return };
    let help = "save the file as UTF-8";
    let at = error.valid_up_to();
    let start = memchr::memrchr(b'\n', bytes.get(..at).unwrap_or(bytes)).map_or(0, |before| before + 1);
    let fault = TableFault::new("not_utf8", line_of(bytes, at), "this line is not written in UTF-8", help);
    found.add(fault.of(&separated::line_at(bytes, start)));
}

/// A file's bytes behind the mark that some programs begin one with.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}
