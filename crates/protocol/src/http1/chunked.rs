//! Where a chunked body ends (RFC 9112, 7.1).
//!
//! Invariant: at most one pass over each byte, constant memory. Line ends are strict, since a target that gets them
//! wrong has lost the framing. Extensions and trailers are skipped within their limits.

use super::{Error, MAX_EXTENSION_BYTES, MAX_HEAD_BYTES, MAX_HEADERS};

/// A decoder at some byte of a body.
#[derive(Debug, Clone)]
pub(super) struct Chunked {
    at: At,
    /// Bytes of all extensions, then of all trailers.
    skipped: usize,
    trailers: usize,
}

#[derive(Debug, Clone, Copy)]
enum At {
    /// In the size; whether it has a digit.
    Size(u64, bool),
    /// Between the size and the end of its line.
    Extension(u64),
    SizeLf(u64),
    /// Bytes of the chunk that are still to come; never 0.
    Data(u64),
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
}

/// What one step found at the start of a slice.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// So many bytes of framing.
    Framing(usize),
    /// So many bytes of the body.
    Data(usize),
    /// So many bytes of framing, and the body is over.
    End(usize),
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { at: At::Size(0, false), skipped: 0, trailers: 0 }
    }

    /// Reads from the start of `bytes`, which must not be empty, up to the next change between framing and data, or all.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Result<Step, Error> {
        if let At::Data(left) = self.at {
            let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
            let left = left - taken as u64;
            self.at = if left == 0 { At::DataCr } else { At::Data(left) };
            return Ok(Step::Data(taken));
        }
        for (index, byte) in bytes.iter().enumerate() {
            if self.is_end(*byte)? {
                return Ok(Step::End(index + 1));
            }
            if let At::Data(_) = self.at {
                return Ok(Step::Framing(index + 1));
            }
        }
        Ok(Step::Framing(bytes.len()))
    }

    /// Takes one byte of framing; whether it was the last of the body.
    fn is_end(&mut self, byte: u8) -> Result<bool, Error> {
        self.at = match (self.at, byte) {
            (At::Size(size, _), digit) if digit.is_ascii_hexdigit() => {
                let size = size.checked_mul(16).ok_or(Error::Chunk)?;
                At::Size(size + hex(digit), true)
            }
            (At::Size(size, true) | At::Extension(size), b'\r') => At::SizeLf(size),
            (At::Size(size, true), b';' | b' ' | b'\t') => At::Extension(size),
            (At::Extension(size), other) if other != b'\n' => {
                self.skip(MAX_EXTENSION_BYTES, Error::ExtensionTooLarge)?;
                At::Extension(size)
            }
            (At::SizeLf(0), b'\n') => {
                self.skipped = 0;
                At::TrailerStart
            }
            (At::SizeLf(size), b'\n') => At::Data(size),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size(0, false),
            (At::TrailerStart, b'\r') => At::EndLf,
            (At::EndLf, b'\n') => return Ok(true),
            (At::Trailer, b'\r') => At::TrailerLf,
            (At::TrailerLf, b'\n') => At::TrailerStart,
            (At::TrailerStart | At::Trailer, other) if other != b'\n' => {
                self.trailers += usize::from(matches!(self.at, At::TrailerStart));
                self.skip(MAX_HEAD_BYTES, Error::Trailers)?;
                if self.trailers > MAX_HEADERS {
                    return Err(Error::Trailers);
                }
                At::Trailer
            }
            (At::TrailerStart | At::Trailer | At::TrailerLf | At::EndLf, _) => return Err(Error::Trailers),
            _ => return Err(Error::Chunk),
        };
        Ok(false)
    }

    fn skip(&mut self, limit: usize, error: Error) -> Result<(), Error> {
        self.skipped += 1;
        if self.skipped > limit { Err(error) } else { Ok(()) }
    }
}

fn hex(digit: u8) -> u64 {
    u64::from(match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    })
}
