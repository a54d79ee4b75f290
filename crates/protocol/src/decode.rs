//! Bodies as they were before the target coded them (RFC 9110, 8.4): gzip, deflate, br and zstd.
//!
//! Bodies are decoded when a step needs to read them, and else only counted.
//!
//! Invariant: memory is bounded by the caller's limit for each coding plus [`MAX_WINDOW_BYTES`], whatever the target sends.
//! Deliberately absent: dictionaries, and codings of the transfer but chunked, which nobody sends.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read};

use brotli_decompressor::Decompressor;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::header_values;

/// What can be decoded, for the header `Accept-Encoding`.
pub const ACCEPT_ENCODING: &str = "gzip, deflate, br, zstd";

/// Codings of one body, one over the other. There is one, or a mistake.
pub const MAX_CODINGS: usize = 4;

/// Bytes that a decoder may have to remember: as much as RFC 9659 allows zstd on the web; br has 16 MiB by its format.
pub const MAX_WINDOW_BYTES: u64 = 8 * 1024 * 1024;

/// Bytes read from one coding by the next at once.
const BUFFER_BYTES: usize = 8 * 1024;

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// `Content-Encoding` names a coding that [`ACCEPT_ENCODING`] does not.
    #[error("unknown content coding {0:?}")]
    Unknown(String),
    /// `Content-Encoding` names more than [`MAX_CODINGS`].
    #[error("more than {MAX_CODINGS} content codings")]
    TooMany,
    /// The body is not what its header says, or not all of it is there.
    #[error("invalid {coding} body: {what}")]
    Invalid {
        /// As the header names it.
        coding: &'static str,
        /// What the decoder said.
        what: String,
    },
    /// The body is larger than the limit once it is decoded.
    #[error("body larger than {0} bytes when decoded")]
    TooLarge(usize),
}

/// The body of a response with the header lines `headers` (see [`Kept`](crate::Kept)), at most `limit` bytes of it. A body
/// that is not coded is given back as it is.
///
/// # Errors
/// What `Content-Encoding` names is unknown, or the body is not of that kind, or too large.
pub fn decode<'b>(headers: &[u8], body: &'b [u8], limit: usize) -> Result<Cow<'b, [u8]>, DecodeError> {
    let codings = codings(headers)?;
    // What answers `HEAD`, or has no content, names a coding all the same.
    if codings.is_empty() || body.is_empty() {
        return if body.len() > limit { Err(DecodeError::TooLarge(limit)) } else { Ok(Cow::Borrowed(body)) };
    }
    let fault = RefCell::new(None);
    let mut reader: Box<dyn Read + '_> = Box::new(body);
    // The last one named was applied last.
    for coding in codings.into_iter().rev() {
        let layer = Layer { reader: coding.decoder(reader), coding, left: limit, limit, fault: &fault };
        reader = Box::new(layer);
    }
    let mut decoded = Vec::new();
    match reader.read_to_end(&mut decoded) {
        Ok(_) => Ok(Cow::Owned(decoded)),
        Err(error) => {
            drop(reader);
            let unnamed = || DecodeError::Invalid { coding: "coded", what: error.to_string() };
            Err(fault.take().unwrap_or_else(unnamed))
        }
    }
}

fn codings(headers: &[u8]) -> Result<Vec<Coding>, DecodeError> {
    let mut codings = Vec::new();
    for value in header_values(headers, "content-encoding") {
        for name in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            match name.to_ascii_lowercase().as_slice() {
                b"" | b"identity" => continue,
                b"gzip" | b"x-gzip" => codings.push(Coding::Gzip),
                b"deflate" => codings.push(Coding::Deflate),
                b"br" => codings.push(Coding::Brotli),
                b"zstd" => codings.push(Coding::Zstd),
                _ => return Err(DecodeError::Unknown(String::from_utf8_lossy(name).into_owned())),
            }
            if codings.len() > MAX_CODINGS {
                return Err(DecodeError::TooMany);
            }
        }
    }
    Ok(codings)
}

#[derive(Debug, Clone, Copy)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }

    fn decoder<'r>(self, coded: Box<dyn Read + 'r>) -> Box<dyn Read + 'r> {
        match self {
            Coding::Gzip => Box::new(MultiGzDecoder::new(coded)),
            Coding::Deflate => Box::new(Deflate::Coded(coded)),
            Coding::Brotli => Box::new(Decompressor::new(coded, BUFFER_BYTES)),
            Coding::Zstd => Box::new(Zstd::new(coded)),
        }
    }
}

/// One coding, which gives out so much and no more, and remembers what was wrong first.
struct Layer<'r, 'f> {
    reader: Box<dyn Read + 'r>,
    coding: Coding,
    left: usize,
    limit: usize,
    fault: &'f RefCell<Option<DecodeError>>,
}

impl Read for Layer<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.reader.read(buffer);
        let fault = match &result {
            Ok(count) if *count > self.left => DecodeError::TooLarge(self.limit),
            Ok(count) => {
                self.left -= count;
                return result;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return result,
            Err(error) => {
                let is_cut_off = error.kind() == io::ErrorKind::UnexpectedEof;
                let what = if is_cut_off { "it is cut off".to_owned() } else { error.to_string() };
                DecodeError::Invalid { coding: self.coding.name(), what }
            }
        };
        self.fault.borrow_mut().get_or_insert(fault);
        result.and_then(|_| Err(io::Error::from(io::ErrorKind::FileTooLarge)))
    }
}

/// `deflate` is the format of zlib, but some targets send it bare; browsers take both.
enum Deflate<R: Read> {
    /// Not looked at yet.
    Coded(R),
    Zlib(ZlibDecoder<io::Chain<io::Cursor<Vec<u8>>, R>>),
    Bare(DeflateDecoder<io::Chain<io::Cursor<Vec<u8>>, R>>),
    /// It could not be looked at.
    Failed,
}

impl<R: Read> Read for Deflate<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Deflate::Coded(_) = self
            && let Deflate::Coded(mut coded) = std::mem::replace(self, Deflate::Failed)
        {
            let mut start = Vec::with_capacity(2);
            coded.by_ref().take(2).read_to_end(&mut start)?;
            // RFC 1950, 2.2: method 8, and a check sum.
            let is_zlib = matches!(start[..], [first, second]
                if first & 15 == 8 && (u16::from(first) << 8 | u16::from(second)).is_multiple_of(31));
            let whole = io::Cursor::new(start).chain(coded);
            *self = if is_zlib {
                Deflate::Zlib(ZlibDecoder::new(whole))
            } else {
                Deflate::Bare(DeflateDecoder::new(whole))
            };
        }
        match self {
            Deflate::Zlib(decoder) => decoder.read(buffer),
            Deflate::Bare(decoder) => decoder.read(buffer),
            Deflate::Coded(_) | Deflate::Failed => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Frames of zstd, one after the other (RFC 8878, 3.1).
struct Zstd<R: Read> {
    coded: BufReader<R>,
    decoder: FrameDecoder,
}

impl<R: Read> Zstd<R> {
    fn new(coded: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW_BYTES);
        Self { coded: BufReader::with_capacity(BUFFER_BYTES, coded), decoder }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 {
            if !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.coded, one).map_err(io::Error::other)?;
            } else if self.coded.fill_buf()?.is_empty() {
                return Ok(0);
            } else {
                self.decoder.init(&mut self.coded).map_err(io::Error::other)?;
            }
        }
        self.decoder.read(buffer)
    }
}
