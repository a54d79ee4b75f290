//! What is wrong with a file of rows, said so that it can be found and mended.
//!
//! Codes are explained where those of plans are, in `docs/faults.md`.

use plan::Diagnostic;

/// Faults that are reported of one file: a slip of the program that wrote it is in every row.
pub const FAULTS: usize = 20;

/// One fault of a file, with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFault {
    /// Stable name of the kind of fault.
    pub code: &'static str,
    /// Line from 1.
    pub line: usize,
    /// The offending text, shortened; may be empty.
    pub text: String,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// How to mend it.
    pub help: String,
}

impl TableFault {
    pub(crate) fn new(
        code: &'static str,
        line: usize,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { code, line, text: String::new(), message: message.into(), help: help.into() }
    }

    /// With the offending text.
    pub(crate) fn of(mut self, text: &str) -> Self {
        /// Characters that are shown.
        const SHOWN: usize = 80;
        let line = text.lines().next().unwrap_or("");
        self.text = match line.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line.to_owned(),
        };
        self
    }

    /// The fault as one of the file named `file`.
    pub fn in_file(self, file: &str) -> Diagnostic {
        Diagnostic {
            code: self.code,
            file: file.to_owned(),
            line: self.line,
            column: 1,
            field: None,
            text: self.text,
            message: self.message,
            help: Some(self.help),
        }
    }
}

/// Faults as they are found, up to [`FAULTS`].
#[derive(Debug, Default)]
pub(crate) struct Found(Vec<TableFault>);

impl Found {
    pub(crate) fn add(&mut self, fault: TableFault) {
        if !self.is_full() {
            self.0.push(fault);
        }
    }

    /// Whether another fault would not be kept, so that nobody need look for it.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= FAULTS
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order of the file.
    pub(crate) fn into_faults(mut self) -> Vec<TableFault> {
        self.0.sort_by_key(|fault| fault.line);
        self.0
    }
}

/// The line, from 1, of the byte at `at`. Counts them all, so only for a fault.
pub(crate) fn line_of(bytes: &[u8], at: usize) -> usize {
    let before = bytes.get(..at).unwrap_or(bytes);
    1 + memchr::memchr_iter(b'\n', before).count()
}
