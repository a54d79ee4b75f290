//! Varints, and lengths that the input must be able to back.

use super::{DecodeError, OLDEST_VERSION, VERSION};

/// Grows by what is put into it.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn slice(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    #[inline]
    pub(super) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(low_seven(u128::from(value)) | 0x80);
            value >>= 7;
        }
        self.0.push(low_seven(u128::from(value)));
    }

    pub(super) fn wide(&mut self, mut value: u128) {
        while value >= 0x80 {
            self.0.push(low_seven(value) | 0x80);
            value >>= 7;
        }
        self.0.push(low_seven(value));
    }
}

#[inline]
fn low_seven(value: u128) -> u8 {
    (value & 0x7f) as u8
}

/// Takes bytes from the front.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    version: u8,
}

impl<'a> Reader<'a> {
    /// A reader of what follows the version.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (&version, rest) = bytes.split_first().ok_or(DecodeError::Truncated)?;
        match version {
            OLDEST_VERSION..=VERSION => Ok(Self { rest, version }),
            unknown => Err(DecodeError::Version(unknown)),
        }
    }

    /// Whether the bytes are of a version from `version` on.
    pub(super) fn is_since(&self, version: u8) -> bool {
        self.version >= version
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        let (&first, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(first)
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, DecodeError> {
        match self.byte()? {
            byte if byte < 0x80 => Ok(u64::from(byte)),
            byte => self.long_number(byte),
        }
    }

    fn long_number(&mut self, first: u8) -> Result<u64, DecodeError> {
        u64::try_from(self.wide_after(first)?).map_err(|_| DecodeError::Invalid("number"))
    }

    pub(super) fn wide(&mut self) -> Result<u128, DecodeError> {
        match self.byte()? {
            byte if byte < 0x80 => Ok(u128::from(byte)),
            byte => self.wide_after(byte),
        }
    }

    fn wide_after(&mut self, first: u8) -> Result<u128, DecodeError> {
        let mut value = u128::from(first & 0x7f);
        let mut shift = 7;
        loop {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if shift >= u128::BITS || bits << shift >> shift != bits {
                return Err(DecodeError::Invalid("number"));
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    pub(super) fn small<T: TryFrom<u64>>(&mut self, what: &'static str) -> Result<T, DecodeError> {
        T::try_from(self.number()?).map_err(|_| DecodeError::Invalid(what))
    }

    /// A length of at most `limit`, of things that take at least `bytes_each` of what is left.
    pub(super) fn length(
        &mut self,
        what: &'static str,
        limit: usize,
        bytes_each: usize,
    ) -> Result<usize, DecodeError> {
        let length = usize::try_from(self.number()?).map_err(|_| DecodeError::TooMany(what))?;
        if length > limit || length > self.rest.len() / bytes_each {
            return Err(DecodeError::TooMany(what));
        }
        Ok(length)
    }

    pub(super) fn slice(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8], DecodeError> {
        let length = self.length(what, limit, 1)?;
        let (slice, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(slice)
    }

    pub(super) fn end(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing) }
    }
}
