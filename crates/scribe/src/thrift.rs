//! Values of Thrift's binary protocol, read from a slice and written to a vector.
//!
//! Invariant: reading allocates nothing and takes time in proportion to the bytes that are there, whatever lengths and
//! depths they claim. Deliberately absent: what Scribe does not use (the compact protocol, generated types).
//!
//! <https://github.com/apache/thrift/blob/master/doc/specs/thrift-binary-protocol.md>

/// How deep structs, lists, sets and maps may be nested in a value that is skipped. Scribe itself needs 2.
const DEPTH: usize = 16;

/// The types of values, by their number on the wire.
pub mod kind {
    pub const STOP: u8 = 0;
    pub const BOOL: u8 = 2;
    pub const BYTE: u8 = 3;
    pub const DOUBLE: u8 = 4;
    pub const I16: u8 = 6;
    pub const I32: u8 = 8;
    pub const I64: u8 = 10;
    pub const STRING: u8 = 11;
    pub const STRUCT: u8 = 12;
    pub const MAP: u8 = 13;
    pub const SET: u8 = 14;
    pub const LIST: u8 = 15;
    pub const UUID: u8 = 16;
}

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A value, or what a length promises, goes beyond the end.
    #[error("it ends in the middle of a value")]
    Short,
    /// A negative length.
    #[error("a length is negative: {0}")]
    Length(i32),
    /// No type has this number.
    #[error("no value has the type {0}")]
    Type(u8),
    /// Values in values, too many times.
    #[error("values are nested more than {DEPTH} deep")]
    Depth,
    /// A strict header of another version.
    #[error("its header is of another version: {0:#010x}")]
    Version(u32),
    /// A reply or an exception, where a call is expected.
    #[error("it is no call but a message of type {0}")]
    NoCall(u8),
    /// Bytes after the last value.
    #[error("{0} bytes follow its end")]
    Excess(usize),
}

/// What is left to be read.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes that were not read.
    pub const fn left(&self) -> usize {
        self.rest.len()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    pub fn i16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    /// The length of what follows.
    pub fn length(&mut self) -> Result<usize, Malformed> {
        let length = self.i32()?;
        usize::try_from(length).map_err(|_| Malformed::Length(length))
    }

    /// A string, which need not be UTF-8.
    pub fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.length()?;
        self.take(length)
    }

    /// The next field of a struct, by type and number; `None` at the struct's end.
    pub fn field(&mut self) -> Result<Option<(u8, i16)>, Malformed> {
        match self.byte()? {
            kind::STOP => Ok(None),
            kind => Ok(Some((kind, self.i16()?))),
        }
    }

    /// Type and number of the elements of a list or set. Each takes a byte at least, so that more elements than bytes
    /// are refused at once.
    pub fn list(&mut self) -> Result<(u8, usize), Malformed> {
        let kind = self.byte()?;
        let length = self.length()?;
        if length > self.left() { Err(Malformed::Short) } else { Ok((kind, length)) }
    }

    /// Passes over a value.
    pub fn skip(&mut self, kind: u8) -> Result<(), Malformed> {
        self.skip_within(kind, DEPTH)
    }

    fn skip_within(&mut self, kind: u8, depth: usize) -> Result<(), Malformed> {
        if let Some(size) = fixed_size(kind) {
            return self.take(size).map(drop);
        }
        if kind == kind::STRING {
            return self.string().map(drop);
        }
        let depth = depth.checked_sub(1).ok_or(Malformed::Depth)?;
        match kind {
            kind::STRUCT => {
                while let Some((kind, _)) = self.field()? {
                    self.skip_within(kind, depth)?;
                }
            }
            kind::LIST | kind::SET => {
                let (kind, length) = self.list()?;
                for _ in 0..length {
                    self.skip_within(kind, depth)?;
                }
            }
            kind::MAP => {
                let (key, value) = (self.byte()?, self.byte()?);
                for _ in 0..self.length()? {
                    self.skip_within(key, depth)?;
                    self.skip_within(value, depth)?;
                }
            }
            other => return Err(Malformed::Type(other)),
        }
        Ok(())
    }
}

const fn fixed_size(kind: u8) -> Option<usize> {
    match kind {
        kind::BOOL | kind::BYTE => Some(1),
        kind::I16 => Some(2),
        kind::I32 => Some(4),
        kind::I64 | kind::DOUBLE => Some(8),
        kind::UUID => Some(16),
        _ => None,
    }
}

/// Appends values to a message. What is written is bounded by its callers, far below the 2 GiB that a length can say.
#[derive(Debug, Default)]
pub struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub fn i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub fn length(&mut self, length: usize) {
        self.i32(i32::try_from(length).unwrap_or(i32::MAX));
    }

    pub fn string(&mut self, text: &[u8]) {
        self.length(text.len());
        self.bytes.extend_from_slice(text);
    }

    /// The head of a field of a struct.
    pub fn field(&mut self, kind: u8, number: i16) {
        self.byte(kind);
        self.bytes.extend_from_slice(&number.to_be_bytes());
    }

    /// The end of a struct.
    pub fn stop(&mut self) {
        self.byte(kind::STOP);
    }
}
