//! A batch as bytes: a stream of Arrow's IPC format, version 5, uncompressed, with one record batch.
//!
//! Source: <https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc>. Any
//! Arrow library reads it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;

use crate::rows::is_in_range;
use crate::{Columns, MAX_ROWS, schema};

/// Bytes that are not a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a batch of events: {0}")]
pub struct Malformed(String);

impl Malformed {
    fn of(error: ArrowError) -> Self {
        Self(error.to_string())
    }
}

/// The bytes of `rows`.
///
/// # Errors
/// [`Malformed`] when they are not of [`schema`].
pub fn encode(rows: &RecordBatch) -> Result<Vec<u8>, Malformed> {
    if Columns::of(rows).is_none() {
        return Err(Malformed("other columns".to_owned()));
    }
    let bytes = Vec::with_capacity(rows.get_array_memory_size() + 4096);
    let mut writer = StreamWriter::try_new(bytes, &schema()).map_err(Malformed::of)?;
    writer.write(rows).map_err(Malformed::of)?;
    writer.into_inner().map_err(Malformed::of)
}

/// Understands the bytes of a batch. Numbers stay where they are, in `bytes`.
///
/// # Errors
/// [`Malformed`], with what is wrong.
pub fn decode(bytes: Vec<u8>) -> Result<RecordBatch, Malformed> {
    // The library checks what buffers hold, and panics where they do not lie within the message.
    let decoded = catch_unwind(AssertUnwindSafe(|| read(Buffer::from_vec(bytes))));
    let rows = decoded.map_err(|_| Malformed("a column lies outside the message".to_owned()))??;
    let Some(columns) = Columns::of(&rows) else {
        let found: Vec<&str> = rows.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        return Err(Malformed(format!("other columns: {}", found.join(", "))));
    };
    if !is_storable(&columns) {
        let reason = "a row has a time outside of the years 1970 to 9999, or a text with a zero character";
        return Err(Malformed(reason.to_owned()));
    }
    if rows.num_rows() > MAX_ROWS {
        return Err(Malformed(format!("{} rows, more than {MAX_ROWS}", rows.num_rows())));
    }
    Ok(rows)
}

/// Whether every database takes the values: one that does not would refuse all that is committed with them.
fn is_storable(columns: &Columns<'_>) -> bool {
    let words = [columns.endpoint.words, columns.stage.words, columns.error.words];
    let texts = words.into_iter().all(|words| words.iter().flatten().all(|word| !word.contains('\0')));
    texts && columns.timestamp.values().iter().all(|us| is_in_range(*us))
}

fn read(mut bytes: Buffer) -> Result<RecordBatch, Malformed> {
    let mut decoder = StreamDecoder::new();
    let rows = decoder.decode(&mut bytes).map_err(Malformed::of)?;
    let rows = rows.ok_or_else(|| Malformed("it ends too early".to_owned()))?;
    match decoder.decode(&mut bytes).map_err(Malformed::of)? {
        Some(_) => Err(Malformed("more than one record batch".to_owned())),
        None => decoder.finish().map_err(Malformed::of).map(|()| rows),
    }
}
