//! CSV and TSV (RFC 4180): where rows begin, and what a cell says.
//!
//! The grammar is `csv_core`'s, which takes what programs write: lines ended by LF, CRLF or CR, and quotes where there
//! need be none. Blank lines are no rows.

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};
use plan::limits;

use crate::fault::{Found, TableFault, line_of};
use crate::table::{Outline, without_mark};

/// What one step reads of a value at most; a longer one takes several.
const PIECE: usize = 8 * 1024;
/// Room for a value at first; more is kept once it was needed.
const ROOM: usize = 256;

/// A reader of values that are separated by `delimiter`.
pub(crate) fn reader(delimiter: u8) -> Reader {
    ReaderBuilder::new().delimiter(delimiter).build()
}

/// The columns and rows of a file. Reports rows that have not as many values as the header has columns, and so on.
pub(crate) fn outline(bytes: &[u8], reader: &mut Reader, found: &mut Found) -> Outline {
    let mut outline = Outline::default();
    let text = without_mark(bytes);
    let mut fields = Fields { reader, rest: text };
    if fields.skip_line_ends() {
        let start = bytes.len() - fields.rest.len();
        match header(&mut fields) {
            Some(columns) => {
                check_header(&columns, line_of(bytes, start), found).then(|| outline.columns = columns)
            }
            None => return unclosed(bytes, start, found, outline),
        };
    }
    let columns = outline.columns.len();
    let mut piece = vec![0; PIECE];
    while fields.skip_line_ends() && !found.is_full() {
        let start = bytes.len() - fields.rest.len();
        // The file's length was checked to fit.
        outline.starts.extend(u32::try_from(start));
        let Some(Row { cells, largest }) = fields.row(&mut piece) else {
            return unclosed(bytes, start, found, outline);
        };
        if cells != columns && columns > 0 {
            ragged(bytes, start, cells, columns, found);
        }
        if largest > limits::DATA_CELL_BYTES {
            found.add(too_large(line_of(bytes, start), largest));
        }
    }
    outline.starts.shrink_to_fit();
    outline
}

/// The text of a cell of a row in which [`outline`] found no fault.
pub(crate) fn cell<'a>(
    row: &[u8],
    reader: &mut Reader,
    column: usize,
    buffer: &'a mut Vec<u8>,
) -> Option<&'a str> {
    // As at the beginning of a file.
    reader.reset();
    let mut fields = Fields { reader, rest: row };
    if buffer.len() < ROOM {
        buffer.resize(ROOM, 0);
    }
    for _ in 0..column {
        while let Step::Part(_) = fields.step(buffer) {}
    }
    let mut length = 0;
    loop {
        match fields.step(buffer.get_mut(length..)?) {
            Step::Part(bytes) => {
                length += bytes;
                if length == buffer.len() {
                    buffer.resize(2 * length, 0);
                }
            }
            Step::Cell(bytes) | Step::Last(bytes) => {
                return std::str::from_utf8(buffer.get(..length + bytes)?).ok();
            }
            Step::Unclosed => return None,
        }
    }
}

/// What was found of a value.
enum Step {
    /// So many bytes, and there are more.
    Part(usize),
    /// Its last bytes.
    Cell(usize),
    /// Its last bytes; it is the last of its row.
    Last(usize),
    /// The file ended within quotes.
    Unclosed,
}

struct Row {
    cells: usize,
    /// Bytes of the largest value.
    largest: usize,
}

/// Values one after the other.
struct Fields<'a> {
    reader: &'a mut Reader,
    rest: &'a [u8],
}

impl Fields<'_> {
    fn step(&mut self, out: &mut [u8]) -> Step {
        // What ends without a line end gets one, which tells an open quote from a last row.
        let is_over = self.rest.is_empty();
        let input = if is_over { b"\n" } else { self.rest };
        let (result, read, written) = self.reader.read_field(input, out);
        if !is_over {
            self.rest = self.rest.get(read..).unwrap_or_default();
        }
        match result {
            ReadFieldResult::Field { record_end: false } => Step::Cell(written),
            ReadFieldResult::Field { record_end: true } => Step::Last(written),
            ReadFieldResult::OutputFull => Step::Part(written),
            ReadFieldResult::InputEmpty if !is_over => Step::Part(written),
            ReadFieldResult::InputEmpty | ReadFieldResult::End => Step::Unclosed,
        }
    }

    /// Whether another row follows.
    fn skip_line_ends(&mut self) -> bool {
        while let [b'\r' | b'\n', rest @ ..] = self.rest {
            self.rest = rest;
        }
        !self.rest.is_empty()
    }

    fn row(&mut self, piece: &mut [u8]) -> Option<Row> {
        let (mut row, mut length) = (Row { cells: 0, largest: 0 }, 0);
        loop {
            let (bytes, is_done, is_last) = match self.step(piece) {
                Step::Part(bytes) => (bytes, false, false),
                Step::Cell(bytes) => (bytes, true, false),
                Step::Last(bytes) => (bytes, true, true),
                Step::Unclosed => return None,
            };
            length += bytes;
            if is_done {
                row.cells += 1;
                row.largest = row.largest.max(length);
                length = 0;
            }
            if is_last {
                return Some(row);
            }
        }
    }
}

/// Names of the columns, or `None` when a quote is not closed.
fn header(fields: &mut Fields<'_>) -> Option<Vec<String>> {
    let mut columns = Vec::new();
    let (mut name, mut piece) = (Vec::new(), [0; 1024]);
    loop {
        let (bytes, is_done, is_last) = match fields.step(&mut piece) {
            Step::Part(bytes) => (bytes, false, false),
            Step::Cell(bytes) => (bytes, true, false),
            Step::Last(bytes) => (bytes, true, true),
            Step::Unclosed => return None,
        };
        name.extend_from_slice(&piece[..bytes]);
        if is_done {
            columns.push(String::from_utf8_lossy(&name).trim().to_owned());
            name.clear();
        }
        if is_last {
            return Some(columns);
        }
    }
}

/// Whether rows can be held against this header.
fn check_header(columns: &[String], line: usize, found: &mut Found) -> bool {
    if columns.len() > limits::DATA_COLUMNS {
        let message = format!("the header has {} columns, more than {}", columns.len(), limits::DATA_COLUMNS);
        found.add(TableFault::new("too_many_columns", line, message, "leave out what the plan does not use"));
        return false;
    }
    for (number, column) in columns.iter().enumerate() {
        if column.is_empty() {
            let message = format!("column {} has no name", number + 1);
            found.add(TableFault::new("nameless_column", line, message, "the first line names every column"));
        } else if columns.iter().take(number).any(|before| before == column) {
            found.add(duplicate(line, column));
        }
    }
    true
}

fn unclosed(bytes: &[u8], start: usize, found: &mut Found, outline: Outline) -> Outline {
    let help = "close it; within quotes write \"\" for a quote";
    let fault =
        TableFault::new("unclosed_quote", line_of(bytes, start), "a quote in this row is never closed", help);
    found.add(fault.of(&line_at(bytes, start)));
    outline
}

fn ragged(bytes: &[u8], start: usize, cells: usize, columns: usize, found: &mut Found) {
    let plural = if cells == 1 { "" } else { "s" };
    let message = format!("this row has {cells} value{plural}, and the header {columns}");
    let help = "each row has a value for each column; one that has the separator in it stands in quotes";
    let fault = TableFault::new("ragged_row", line_of(bytes, start), message, help);
    found.add(fault.of(&line_at(bytes, start)));
}

pub(crate) fn too_large(line: usize, bytes: usize) -> TableFault {
    let most = limits::DATA_CELL_BYTES >> 20;
    let message = format!("a value of this row has {bytes} bytes, more than {most} MiB");
    TableFault::new("large_value", line, message, "look for a quote that is closed too late")
}

pub(crate) fn duplicate(line: usize, column: &str) -> TableFault {
    let message = format!("the column \"{column}\" is there twice");
    TableFault::new("duplicate_column", line, message, "give each column its own name").of(column)
}

/// The beginning of the line at `start`, as far as a fault shows it.
pub(crate) fn line_at(bytes: &[u8], start: usize) -> String {
    /// Four bytes for each of the characters that are shown, and one more.
    const MOST: usize = 4 * 81;
    let rest = bytes.get(start..).unwrap_or_default();
    let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len()).min(MOST);
    String::from_utf8_lossy(&rest[..end]).into_owned()
}
