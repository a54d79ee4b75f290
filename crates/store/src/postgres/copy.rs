//! Rows in the binary form of `COPY` (<https://www.postgresql.org/docs/current/sql-copy.html>).
//!
//! Deliberately absent: what the columns are, which the statement says that the rows are sent to.

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::SinkExt as _;

use super::error::Failure;
use super::session::Db;

/// Microseconds from the beginning of Unix time to that of PostgreSQL, the year 2000.
pub(super) const EPOCH_US: i64 = 946_684_800_000_000;
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const TRAILER: i16 = -1;
const NULL: i32 = -1;
const INT_OID: u32 = 23;
const LONG_OID: u32 = 20;

/// Bytes that go out at a time: enough that passing them on costs nothing, little enough to hold.
pub(super) const CHUNK_BYTES: usize = 512 << 10;

/// Rows, as they go out.
pub(super) struct Encoder {
    bytes: BytesMut,
}

impl Encoder {
    pub(super) fn new() -> Self {
        let mut bytes = BytesMut::with_capacity(1024);
        bytes.put_slice(SIGNATURE);
        // Neither flags nor an extension.
        bytes.put_i32(0);
        bytes.put_i32(0);
        Self { bytes }
    }

    /// Begins a row of so many values, which follow in their order.
    #[inline]
    pub(super) fn row(&mut self, columns: i16) {
        self.bytes.put_i16(columns);
    }

    #[inline]
    pub(super) fn null(&mut self) {
        self.bytes.put_i32(NULL);
    }

    #[inline]
    pub(super) fn int(&mut self, value: i32) {
        self.bytes.put_i32(4);
        self.bytes.put_i32(value);
    }

    #[inline]
    pub(super) fn long(&mut self, value: i64) {
        self.bytes.put_i32(8);
        self.bytes.put_i64(value);
    }

    /// A count; more than the type holds is the most that it holds.
    pub(super) fn count(&mut self, value: u64) {
        self.long(i64::try_from(value).unwrap_or(i64::MAX));
    }

    pub(super) fn double(&mut self, value: f64) {
        self.bytes.put_i32(8);
        self.bytes.put_f64(value);
    }

    pub(super) fn double_or_null(&mut self, value: Option<f64>) {
        match value {
            Some(value) => self.double(value),
            None => self.null(),
        }
    }

    pub(super) fn flag(&mut self, value: bool) {
        self.bytes.put_i32(1);
        self.bytes.put_u8(u8::from(value));
    }

    /// A time in Unix microseconds.
    #[inline]
    pub(super) fn timestamp(&mut self, unix_us: i64) {
        self.long(unix_us.saturating_sub(EPOCH_US));
    }

    pub(super) fn blob(&mut self, value: &[u8]) {
        self.bytes.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
        self.bytes.put_slice(value);
    }

    /// A text; a NUL, which the type cannot hold, becomes a replacement character.
    pub(super) fn text(&mut self, value: &str) {
        self.blob(clean(value).as_bytes());
    }

    /// Values that are encoded already, as [`Encoder::part`] gives them.
    #[inline]
    pub(super) fn raw(&mut self, values: &[u8]) {
        self.bytes.put_slice(values);
    }

    /// Values alone, for rows that repeat them.
    pub(super) fn part(values: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut part = Self { bytes: BytesMut::new() };
        values(&mut part);
        part.bytes.to_vec()
    }

    pub(super) fn ints(&mut self, values: impl ExactSizeIterator<Item = i32>) {
        self.array(INT_OID, 8, values, |bytes, value| {
            bytes.put_i32(4);
            bytes.put_i32(value);
        });
    }

    pub(super) fn longs(&mut self, values: impl ExactSizeIterator<Item = i64>) {
        self.array(LONG_OID, 12, values, |bytes, value| {
            bytes.put_i32(8);
            bytes.put_i64(value);
        });
    }

    fn array<T>(
        &mut self,
        oid: u32,
        bytes_each: i32,
        values: impl ExactSizeIterator<Item = T>,
        put: impl Fn(&mut BytesMut, T),
    ) {
        let length = i32::try_from(values.len()).unwrap_or(0);
        let dimensions = i32::from(length > 0);
        self.bytes.put_i32(12 + dimensions * 8 + length * bytes_each);
        self.bytes.put_i32(dimensions);
        self.bytes.put_i32(0); // No nulls in it.
        self.bytes.put_u32(oid);
        if length > 0 {
            self.bytes.put_i32(length);
            self.bytes.put_i32(1); // Counted from 1.
            values.for_each(|value| put(&mut self.bytes, value));
        }
    }

    /// What is there to be sent now: all of it, once there is enough.
    pub(super) fn chunk(&mut self) -> Option<Bytes> {
        (self.bytes.len() >= CHUNK_BYTES).then(|| self.bytes.split().freeze())
    }

    /// All that is left, and the end of the rows.
    pub(super) fn end(mut self) -> Bytes {
        self.bytes.put_i16(TRAILER);
        self.bytes.freeze()
    }
}

/// Sends rows to `statement`, a `COPY … FROM STDIN (FORMAT binary)`.
pub(super) async fn send(db: &Db, statement: &str, rows: Encoder) -> Result<u64, Failure> {
    let mut sink = std::pin::pin!(db.copy_in(statement).await?);
    let mut bytes = rows.end();
    while bytes.len() > CHUNK_BYTES {
        sink.send(bytes.split_to(CHUNK_BYTES)).await?;
    }
    sink.send(bytes).await?;
    Ok(sink.finish().await?)
}

/// The text without NULs.
pub(super) fn clean(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_encoded_as_documented() {
        let mut rows = Encoder::new();
        rows.row(5);
        rows.int(1);
        rows.null();
        rows.text("a\0");
        rows.ints([7].into_iter());
        rows.longs(std::iter::empty::<i64>().collect::<Vec<_>>().into_iter());
        let bytes = rows.end();
        let expected: &[u8] = &[
            0, 5, 0, 0, 0, 4, 0, 0, 0, 1, 255, 255, 255, 255, 0, 0, 0, 4, b'a', 0xef, 0xbf, 0xbd, //
            0, 0, 0, 28, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0,
            7, //
            0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 255, 255,
        ];
        assert_eq!(&bytes[19..], expected);
    }
}
