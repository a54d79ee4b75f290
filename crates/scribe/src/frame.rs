//! Frames out of a stream of bytes that comes in pieces of any size.
//!
//! Invariant: memory grows with the bytes that have come, never with the length that is claimed, and only as far as the
//! caller grants it. A frame that is granted no memory is passed over, but its beginning is kept, so that it can be
//! answered.

/// What a frame may take without being granted it; so much of its beginning is kept when it is passed over.
const FREE: usize = 4096;

/// Why a stream is not one of frames. Nothing that comes after it can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unframed {
    /// The length is that of a strict header: the client uses another transport.
    #[error("the bytes are no frame; the client must use the framed transport")]
    Transport,
    /// Longer than is taken, empty, or rubbish.
    #[error("a frame of {length} bytes, where 1 to {limit} are taken")]
    Length { length: u32, limit: usize },
}

/// A frame that has come in full.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    Whole(&'a [u8]),
    /// The beginning of a frame for the rest of which there was no memory.
    Passed(&'a [u8]),
}

/// Puts frames together.
#[derive(Debug)]
pub struct Frames {
    limit: usize,
    /// The bytes of the length that have come.
    head: [u8; 4],
    head_length: usize,
    /// Bytes of the frame that are yet to come; meaningless while the length is not known.
    missing: usize,
    passing: bool,
    bytes: Vec<u8>,
    /// Whether `bytes` is a frame that was handed out.
    done: bool,
}

impl Frames {
    /// Frames of at most `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            head: [0; 4],
            head_length: 0,
            missing: 0,
            passing: false,
            bytes: Vec::new(),
            done: false,
        }
    }

    /// Whether a frame has begun and not ended.
    pub const fn within(&self) -> bool {
        self.head_length > 0 && !self.done
    }

    /// Takes from `input` up to the end of a frame. `None` when all was taken and the frame goes on. `grant` is asked
    /// before a frame takes so many bytes of memory; what it granted holds until [`release`](Self::release).
    ///
    /// # Errors
    /// A length that no frame may have.
    pub fn next(
        &mut self,
        input: &mut &[u8],
        mut grant: impl FnMut(usize) -> bool,
    ) -> Result<Option<Frame<'_>>, Unframed> {
        if self.done {
            self.release();
        }
        if !self.read_length(input)? {
            return Ok(None);
        }
        let (piece, rest) = input.split_at(self.missing.min(input.len()));
        *input = rest;
        self.missing -= piece.len();
        self.keep(piece, &mut grant);
        if self.missing > 0 {
            return Ok(None);
        }
        self.done = true;
        Ok(Some(if self.passing { Frame::Passed(&self.bytes) } else { Frame::Whole(&self.bytes) }))
    }

    /// Gives up the memory of the frame that was handed out.
    pub fn release(&mut self) {
        if self.done {
            *self = Self { bytes: std::mem::take(&mut self.bytes), ..Self::new(self.limit) };
            self.bytes.clear();
            self.bytes.shrink_to(FREE);
        }
    }

    /// Whether the length is known.
    fn read_length(&mut self, input: &mut &[u8]) -> Result<bool, Unframed> {
        if self.head_length == self.head.len() {
            return Ok(true);
        }
        let wanted = &mut self.head[self.head_length..];
        let (piece, rest) = input.split_at(wanted.len().min(input.len()));
        wanted[..piece.len()].copy_from_slice(piece);
        *input = rest;
        self.head_length += piece.len();
        if self.head_length < self.head.len() {
            return Ok(false);
        }
        if self.head[..2] == [0x80, 0x01] {
            return Err(Unframed::Transport);
        }
        let length = u32::from_be_bytes(self.head);
        match usize::try_from(length) {
            Ok(missing) if (1..=self.limit).contains(&missing) => self.missing = missing,
            _ => return Err(Unframed::Length { length, limit: self.limit }),
        }
        Ok(true)
    }

    fn keep(&mut self, piece: &[u8], grant: &mut impl FnMut(usize) -> bool) {
        let length = self.bytes.len() + piece.len();
        if !self.passing && length > self.bytes.capacity().max(FREE) {
            // Doubling, so that bytes are copied once on average, but not beyond the frame's end.
            let capacity = length.max(self.bytes.capacity() * 2).min(length + self.missing);
            if grant(capacity) {
                self.bytes.reserve_exact(capacity - self.bytes.len());
            } else {
                self.passing = true;
                self.bytes.truncate(FREE);
                self.bytes.shrink_to(FREE);
            }
        }
        let room = if self.passing { FREE.saturating_sub(self.bytes.len()) } else { piece.len() };
        self.bytes.extend_from_slice(&piece[..room.min(piece.len())]);
    }
}
