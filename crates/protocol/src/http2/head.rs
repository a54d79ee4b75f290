//! The head of a response, and its trailers.
//!
//! Invariant: what is wrong with one response is a fault of this one; the block is read to its end all the same, since the
//! connection's table depends on it.

use super::{Error, hpack};

/// A block longer than this is decoded each time, so that connections stay small.
const FAMILIAR_BYTES: usize = 512;

/// Responses of so many kinds are known by their bytes on a connection.
const FAMILIAR_BLOCKS: usize = 4;

/// What a block says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub status: u16,
    pub content_length: Option<u64>,
}

/// Reads the blocks of a connection.
#[derive(Debug, Default)]
pub(super) struct Heads {
    decoder: hpack::Decoder,
    familiar: [Familiar; FAMILIAR_BLOCKS],
    /// Which of them is forgotten next.
    oldest: usize,
}

/// A block that did not change the table when it came. With the same table, the same bytes mean the same, and to compare
/// them costs a thirtieth of decoding them. Once a server has put its headers into the table, its blocks are of this kind until
/// the second of its `date` is over.
#[derive(Debug, Default)]
struct Familiar {
    block: Vec<u8>,
    version: u64,
    head: Option<Head>,
}

impl Heads {
    /// For another connection; buffers are kept.
    pub(super) fn reset(&mut self) {
        self.decoder.reset();
    }

    /// The head of a response, or what is wrong with it; its headers are appended to `lines` where given.
    #[inline]
    pub(super) fn read(
        &mut self,
        block: &[u8],
        lines: Option<&mut Vec<u8>>,
    ) -> Result<Result<Head, Error>, hpack::Error> {
        if lines.is_none() {
            let version = self.decoder.version();
            for familiar in &self.familiar {
                if let Some(head) = familiar.head
                    && familiar.version == version
                    && familiar.block == block
                {
                    return Ok(Ok(head));
                }
            }
        }
        self.decode(block, lines)
    }

    #[cold]
    fn decode(
        &mut self,
        block: &[u8],
        lines: Option<&mut Vec<u8>>,
    ) -> Result<Result<Head, Error>, hpack::Error> {
        let version = self.decoder.version();
        let mut fields = Fields { lines, ..Fields::default() };
        self.decoder.decode(block, |name, value| fields.take(name, value))?;
        let head = fields.head();
        if let Ok(head) = head
            && fields.lines.is_none()
            && version == self.decoder.version()
            && block.len() <= FAMILIAR_BYTES
        {
            let familiar = &mut self.familiar[self.oldest];
            familiar.block.clear();
            familiar.block.extend_from_slice(block);
            (familiar.version, familiar.head) = (version, Some(head));
            self.oldest = (self.oldest + 1) % FAMILIAR_BLOCKS;
        }
        Ok(head)
    }

    /// Trailers, of which only the faults matter.
    pub(super) fn read_trailers(&mut self, block: &[u8]) -> Result<Result<(), Error>, hpack::Error> {
        let mut fields = Fields { is_past_status: true, ..Fields::default() };
        self.decoder.decode(block, |name, value| fields.take(name, value))?;
        Ok(fields.fault.map_or(Ok(()), Err))
    }
}

/// What the fields of a block have said so far.
#[derive(Default)]
struct Fields<'l> {
    status: Option<u16>,
    content_length: Option<u64>,
    /// Whether no pseudo-header may follow.
    is_past_status: bool,
    /// The first.
    fault: Option<Error>,
    lines: Option<&'l mut Vec<u8>>,
}

impl Fields<'_> {
    fn take(&mut self, name: &[u8], value: &[u8]) {
        if let Err(fault) = self.check(name, value) {
            self.fault.get_or_insert(fault);
        }
    }

    fn check(&mut self, name: &[u8], value: &[u8]) -> Result<(), Error> {
        if let [b':', rest @ ..] = name {
            if rest != b"status" || self.is_past_status {
                return Err(Error::PseudoHeader);
            }
            let status = read_status(value).ok_or(Error::Status)?;
            return if self.status.replace(status).is_some() { Err(Error::Status) } else { Ok(()) };
        }
        self.is_past_status = true;
        if name.is_empty() || !name.iter().all(|byte| is_name_byte(*byte)) {
            return Err(Error::Header);
        }
        if value.iter().any(|byte| matches!(byte, b'\0' | b'\r' | b'\n')) {
            return Err(Error::Header);
        }
        match name {
            b"content-length" => {
                let length = read_number(value).ok_or(Error::ContentLength)?;
                if self.content_length.replace(length).is_some_and(|earlier| earlier != length) {
                    return Err(Error::ContentLength);
                }
            }
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
                return Err(Error::ConnectionHeader);
            }
            _ => {}
        }
        if let Some(lines) = &mut self.lines {
            for part in [name, b": ", value, b"\r\n"] {
                lines.extend_from_slice(part);
            }
        }
        Ok(())
    }

    fn head(&self) -> Result<Head, Error> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let status = self.status.ok_or(Error::Status)?;
        Ok(Head { status, content_length: self.content_length })
    }
}

/// What RFC 9113, 8.2.1 leaves of the visible characters.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && byte != b':'
}

/// 101 is of HTTP/1.1 alone (RFC 9113, 8.6).
fn read_status(value: &[u8]) -> Option<u16> {
    let status = u16::try_from(read_number(value)?).ok()?;
    (value.len() == 3 && status >= 100 && status != 101).then_some(status)
}

fn read_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
