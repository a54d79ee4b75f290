//! Files of events read back.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::columns;
use crate::Error;

/// Rows that are held at once.
pub(crate) const ROWS: usize = 8_192;

/// The rows of files, one after the other, in batches of [`crate::perf_results`] of some thousand rows.
#[derive(Debug)]
pub struct EventRows {
    files: std::vec::IntoIter<PathBuf>,
    open: Option<(PathBuf, ParquetRecordBatchReader)>,
}

impl EventRows {
    /// Nothing is opened before it is asked for.
    pub fn of(files: Vec<PathBuf>) -> Self {
        Self { files: files.into_iter(), open: None }
    }

    fn step(&mut self) -> Result<Option<RecordBatch>, Error> {
        loop {
            if let Some((path, reader)) = &mut self.open {
                match reader.next() {
                    Some(Ok(rows)) => return Ok(Some(rows)),
                    Some(Err(error)) => return Err(damaged(path, &error)),
                    None => self.open = None,
                }
            }
            let Some(path) = self.files.next() else { return Ok(None) };
            let reader = open(&path)?;
            self.open = Some((path, reader));
        }
    }
}

impl Iterator for EventRows {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.step().transpose();
        if matches!(next, Some(Err(_))) {
            // What comes after a fault would look like all there is.
            *self = Self::of(Vec::new());
        }
        next
    }
}

fn open(path: &Path) -> Result<ParquetRecordBatchReader, Error> {
    let file = File::open(path).map_err(|source| Error::folder(path, source))?;
    let options = ArrowReaderOptions::new().with_schema(columns::perf_results());
    ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
        .and_then(|builder| builder.with_batch_size(ROWS).build())
        .map_err(|error| damaged(path, &error))
}

fn damaged(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Corrupt { path: path.to_owned(), detail: error.to_string() }
}
