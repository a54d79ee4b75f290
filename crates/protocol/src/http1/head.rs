//! The head of a response: its status, how its body ends, whether the connection can be used again.
//!
//! Invariant: a result depends on the bytes alone, so that a longer prefix of the same head never contradicts a shorter
//! one. Header values that do not decide one of the three questions are not looked at.

use std::mem::MaybeUninit;

use super::{Error, MAX_HEAD_BYTES, MAX_HEADERS};

/// A head longer than this is parsed each time, so that connections stay small.
const FAMILIAR_BYTES: usize = 512;

/// What a complete head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the head, the empty line included.
    pub length: usize,
    pub status: u16,
    pub body: Body,
    /// Whether the target keeps the connection open after this response.
    pub keep_alive: bool,
    /// Whether it was read as the answer to a `HEAD` request.
    pub answers_head: bool,
}

impl Head {
    /// Whether the response follows, and not another head: of the informational ones only 101 is final.
    #[inline]
    pub(crate) fn is_final(&self) -> bool {
        self.status >= 200 || self.status == 101
    }
}

/// How the body ends (RFC 9112, 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Sized(u64),
    Chunked,
    UntilClose,
}

/// The head last read. Targets send the same head again until the second of its `Date` is over, and to compare it
/// costs 5 ns where parsing it costs 130.
#[derive(Debug, Default)]
pub(super) struct Familiar {
    bytes: Vec<u8>,
    head: Option<Head>,
}

impl Familiar {
    /// As [`parse`].
    #[inline]
    pub(super) fn parse(&mut self, bytes: &[u8], answers_head: bool) -> Result<Option<Head>, Error> {
        if let Some(head) = self.head
            && bytes.starts_with(&self.bytes)
            && head.answers_head == answers_head
        {
            return Ok(self.head);
        }
        self.head = None;
        let parsed = parse(bytes, answers_head)?;
        if let Some(head) = parsed
            && head.length <= FAMILIAR_BYTES
        {
            self.bytes.clear();
            self.bytes.extend_from_slice(&bytes[..head.length]);
            self.head = parsed;
        }
        Ok(parsed)
    }
}

/// A partial head this short is read again with every slice, a longer one only at the ends of its lines.
const REREAD_BYTES: usize = 1024;

/// A head that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Partial {
    /// What has come of it.
    pub(crate) bytes: Vec<u8>,
}

impl Partial {
    /// Takes the next piece; the head once it is complete, and how much of the piece was of it. It then holds the head,
    /// and what else of the piece found room.
    pub(crate) fn feed(&mut self, piece: &[u8], answers_head: bool) -> Result<Option<(Head, usize)>, Error> {
        let before = self.bytes.len();
        let added = &piece[..piece.len().min(MAX_HEAD_BYTES.saturating_sub(before))];
        self.bytes.extend_from_slice(added);
        if before > REREAD_BYTES && self.bytes.len() < MAX_HEAD_BYTES && !added.contains(&b'\n') {
            return Ok(None);
        }
        let head = parse(&self.bytes, answers_head)?;
        Ok(head.map(|head| (head, head.length.saturating_sub(before))))
    }
}

/// Reads a head from the start of `bytes`; `None` when it is not complete yet.
#[inline]
pub(super) fn parse(bytes: &[u8], answers_head: bool) -> Result<Option<Head>, Error> {
    let window = bytes.get(..MAX_HEAD_BYTES).unwrap_or(bytes);
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let mut config = httparse::ParserConfig::default();
    // A client has to take folded lines (RFC 9112, 5.2).
    config.allow_obsolete_multiline_headers_in_responses(true);
    match config.parse_response_with_uninit_headers(&mut response, window, &mut headers) {
        Ok(httparse::Status::Complete(length)) => interpret(&response, length, answers_head).map(Some),
        Ok(httparse::Status::Partial) if bytes.len() >= MAX_HEAD_BYTES => Err(Error::HeadTooLarge),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(Error::TooManyHeaders),
        Err(error) => Err(Error::Head(error)),
    }
}

/// The header lines of a complete head: without the status line, and the empty line at the end.
pub(super) fn header_lines(head: &[u8]) -> &[u8] {
    // Empty lines before the status line are skipped (RFC 9112, 2.2).
    let head = head.trim_ascii_start();
    let start = head.iter().position(|byte| *byte == b'\n').map_or(head.len(), |at| at + 1);
    let lines = &head[start..];
    lines.strip_suffix(b"\r\n").or_else(|| lines.strip_suffix(b"\n")).unwrap_or(lines)
}

#[inline]
fn interpret(
    response: &httparse::Response<'_, '_>,
    length: usize,
    answers_head: bool,
) -> Result<Head, Error> {
    let status = response.code.unwrap_or(0);
    if status < 100 {
        return Err(Error::Status(status));
    }
    let is_http_1_1 = response.version == Some(1);
    let mut content_length = None;
    let mut codings = Codings::default();
    let mut close = false;
    let mut keep = false;
    for header in &*response.headers {
        // The length of a name is the cheapest way to tell that a header is none of the three.
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                read_lengths(header.value, &mut content_length)?
            }
            10 if header.name.eq_ignore_ascii_case("connection") => {
                for token in tokens(header.value) {
                    close |= token.eq_ignore_ascii_case(b"close");
                    keep |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => codings.read(header.value)?,
            _ => {}
        }
    }
    let mut keep_alive = !close && (is_http_1_1 || keep);
    let body = if answers_head || status < 200 || status == 204 || status == 304 {
        Body::Sized(0)
    } else if codings.any {
        // Both lengths at once, or chunks from HTTP/1.0, are how responses are smuggled: believed once, not twice.
        keep_alive &= is_http_1_1 && content_length.is_none();
        if codings.ends_chunked { Body::Chunked } else { Body::UntilClose }
    } else {
        content_length.map_or(Body::UntilClose, Body::Sized)
    };
    keep_alive &= body != Body::UntilClose && status != 101;
    Ok(Head { length, status, body, keep_alive, answers_head })
}

/// The transfer codings, as far as they decide where the body ends.
#[derive(Default)]
struct Codings {
    any: bool,
    chunked: bool,
    ends_chunked: bool,
}

impl Codings {
    fn read(&mut self, value: &[u8]) -> Result<(), Error> {
        for token in tokens(value) {
            // What RFC 2616 called `identity` is the absence of a coding.
            if token.is_empty() || token.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            self.any = true;
            self.ends_chunked = token.eq_ignore_ascii_case(b"chunked");
            if self.ends_chunked && std::mem::replace(&mut self.chunked, true) {
                return Err(Error::TransferEncoding);
            }
        }
        Ok(())
    }
}

/// Reads `5`, or `5, 5`, which proxies make of a repeated header.
fn read_lengths(value: &[u8], length: &mut Option<u64>) -> Result<(), Error> {
    for token in tokens(value) {
        let number = read_number(token).ok_or(Error::ContentLength)?;
        if length.replace(number).is_some_and(|earlier| earlier != number) {
            return Err(Error::ContentLength);
        }
    }
    Ok(())
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

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}
