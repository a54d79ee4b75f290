//! JSON lines: an object per line, all with the same keys.
//!
//! `serde_json` says whether a line is JSON; what lies where in such a line is found by [`Members`], since no reader of
//! JSON gives a value's place without allocating. Blank lines are no rows.

use plan::limits;
use serde::de::IgnoredAny;

use crate::fault::{Found, TableFault};
use crate::separated::{duplicate, line_at, too_large};
use crate::table::{Cell, Outline, without_mark};

/// The columns and rows of a file. Reports lines that are no objects with the keys of the first.
pub(crate) fn outline(bytes: &[u8], found: &mut Found) -> Outline {
    let mut outline = Outline::default();
    let mut seen: Vec<usize> = Vec::new();
    let mut rest = without_mark(bytes);
    let mut line = 0;
    while !rest.is_empty() && !found.is_full() {
        let start = bytes.len() - rest.len();
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let text = rest.get(..end).unwrap_or_default().trim_ascii();
        rest = rest.get(end + 1..).unwrap_or_default();
        line += 1;
        if text.is_empty() {
            continue;
        }
        if let Err(message) = check_json(text) {
            let fault = TableFault::new("bad_json_line", line, message, "each line is one JSON object");
            found.add(fault.of(&line_at(bytes, start)));
            continue;
        }
        // The file's length was checked to fit.
        outline.starts.extend(u32::try_from(start));
        if outline.columns.is_empty() {
            outline.columns = names(text, line, found);
            seen = vec![0; outline.columns.len()];
        }
        check_members(text, line, &outline.columns, &mut seen, found);
    }
    outline.starts.shrink_to_fit();
    outline
}

/// The value of `name` in a line in which [`outline`] found no fault.
pub(crate) fn cell<'a>(row: &'a [u8], name: &str, buffer: &'a mut Vec<u8>) -> Option<Cell<'a>> {
    let line = row.get(..memchr::memchr(b'\n', row).unwrap_or(row.len()))?;
    let (_, value) = Members::of(line).find(|(key, _)| is_name(key, name, buffer))?;
    match inner(value) {
        None => std::str::from_utf8(value).ok().map(Cell::Json),
        Some(text) if !has_escapes(text) => std::str::from_utf8(text).ok().map(Cell::Text),
        Some(text) => {
            buffer.clear();
            unescape(text, buffer)?;
            std::str::from_utf8(buffer).ok().map(Cell::Text)
        }
    }
}

fn check_json(text: &[u8]) -> Result<(), String> {
    match serde_json::from_slice::<IgnoredAny>(text) {
        Err(error) => {
            let message = error.to_string();
            let what = message.split(" at line ").next().unwrap_or_default();
            Err(format!("this line is not JSON: {what} in column {}", error.column()))
        }
        Ok(_) if !text.starts_with(b"{") => Err("this line is JSON, but no object".to_owned()),
        Ok(_) => Ok(()),
    }
}

/// The keys of the first line.
fn names(text: &[u8], line: usize, found: &mut Found) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (key, _) in Members::of(text) {
        let mut name = Vec::new();
        // What cannot be unescaped, or is there twice, is reported with the members.
        if unescape(key, &mut name).is_none() {
            continue;
        }
        let name = String::from_utf8_lossy(&name).into_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        let help = "the first line has the keys that all others have";
        found.add(TableFault::new("nameless_column", line, "the first line has no keys", help));
    }
    if names.len() > limits::DATA_COLUMNS {
        let message = format!("the first line has {} keys, more than {}", names.len(), limits::DATA_COLUMNS);
        found.add(TableFault::new("too_many_columns", line, message, "leave out what the plan does not use"));
        names.truncate(limits::DATA_COLUMNS);
    }
    names
}

/// Whether a line has just the keys of the first, and values that can be given. `seen` has the last line of each column.
fn check_members(text: &[u8], line: usize, columns: &[String], seen: &mut [usize], found: &mut Found) {
    const HELP: &str = "every line has the keys of the first; write null where there is no value";
    let mut buffer = Vec::new();
    for (number, (key, value)) in Members::of(text).enumerate() {
        if value.len() > limits::DATA_CELL_BYTES {
            found.add(too_large(line, value.len()));
        }
        let is_readable = |text: &[u8], buffer: &mut Vec<u8>| {
            buffer.clear();
            !has_escapes(text) || unescape(text, buffer).is_some()
        };
        if !is_readable(key, &mut buffer) || !inner(value).is_none_or(|text| is_readable(text, &mut buffer)) {
            let message = "this line has half of a pair of surrogates, which is no character";
            found.add(TableFault::new(
                "bad_json_line",
                line,
                message,
                "write the character itself, in UTF-8",
            ));
            continue;
        }
        // Mostly they stand in the same order.
        let is = |column: usize, buffer: &mut Vec<u8>| is_name(key, &columns[column], buffer);
        let same = (number < columns.len() && is(number, &mut buffer)).then_some(number);
        match same.or_else(|| (0..columns.len()).find(|column| is(*column, &mut buffer))) {
            Some(column) if seen[column] == line => found.add(duplicate(line, &columns[column])),
            Some(column) => seen[column] = line,
            None => {
                let key = String::from_utf8_lossy(key).into_owned();
                let message = format!("this line has \"{key}\", which the first has not");
                found.add(TableFault::new("other_keys", line, message, HELP).of(&key));
            }
        }
    }
    for (column, _) in columns.iter().zip(seen).filter(|(_, seen)| **seen != line) {
        found.add(TableFault::new("other_keys", line, format!("this line has no \"{column}\""), HELP));
    }
}

/// What stands between the quotes of a string; `None` for other values.
fn inner(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

fn has_escapes(text: &[u8]) -> bool {
    memchr::memchr(b'\\', text).is_some()
}

fn is_name(key: &[u8], name: &str, buffer: &mut Vec<u8>) -> bool {
    if !has_escapes(key) {
        return key == name.as_bytes();
    }
    buffer.clear();
    unescape(key, buffer).is_some() && buffer == name.as_bytes()
}

/// The keys (between their quotes) and values of a line that is a JSON object.
struct Members<'a> {
    rest: &'a [u8],
}

impl<'a> Members<'a> {
    fn of(line: &'a [u8]) -> Self {
        let line = line.trim_ascii_start();
        Self { rest: line.strip_prefix(b"{").unwrap_or_default() }
    }

    /// Takes a string off, with its quotes.
    fn string(&mut self) -> Option<&'a [u8]> {
        let mut at = 1;
        loop {
            at += memchr::memchr2(b'"', b'\\', self.rest.get(at..)?)?;
            match self.rest.get(at)? {
                b'"' => return self.take(at + 1),
                _ => at += 2,
            }
        }
    }

    /// Takes a value off: a string, what stands in brackets, or up to the next comma.
    fn value(&mut self) -> Option<&'a [u8]> {
        match self.rest.first()? {
            b'"' => self.string(),
            b'{' | b'[' => {
                let whole = self.rest;
                let mut depth = 0usize;
                loop {
                    match self.rest.first()? {
                        b'"' => {
                            self.string()?;
                            continue;
                        }
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    self.take(1)?;
                    if depth == 0 {
                        return whole.get(..whole.len() - self.rest.len());
                    }
                }
            }
            _ => {
                let is_end = |byte: &u8| matches!(byte, b',' | b'}') || byte.is_ascii_whitespace();
                let end = self.rest.iter().position(is_end).unwrap_or(self.rest.len());
                self.take(end)
            }
        }
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    fn skip(&mut self, what: u8) {
        self.rest = self.rest.trim_ascii_start();
        self.rest = self.rest.strip_prefix(&[what]).unwrap_or(self.rest).trim_ascii_start();
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.skip(b',');
        if self.rest.first() != Some(&b'"') {
            return None;
        }
        let key = self.string().and_then(inner)?;
        self.skip(b':');
        Some((key, self.value()?))
    }
}

/// Appends what `text`, between the quotes of a JSON string (RFC 8259, 7), stands for. `None` for half of a pair of
/// surrogates, and for what is no such text.
fn unescape(mut text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    while let Some(at) = memchr::memchr(b'\\', text) {
        out.extend_from_slice(text.get(..at)?);
        let letter = *text.get(at + 1)?;
        text = text.get(at + 2..)?;
        let byte = match letter {
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let first = unit(&mut text)?;
                let code = if (0xD800..0xDC00).contains(&first) {
                    text = text.strip_prefix(b"\\u")?;
                    let second = unit(&mut text).filter(|unit| (0xDC00..0xE000).contains(unit))?;
                    0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
                } else {
                    first
                };
                out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            letter => letter,
        };
        out.push(byte);
    }
    out.extend_from_slice(text);
    Some(())
}

/// Takes four hexadecimal digits off.
fn unit(text: &mut &[u8]) -> Option<u32> {
    let (digits, rest) = text.split_at_checked(4)?;
    *text = rest;
    digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
}
