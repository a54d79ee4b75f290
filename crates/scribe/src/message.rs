//! The calls of Scribe and of fb303, which Scribe extends: a frame becomes a call, an answer becomes a frame.
//!
//! Invariant: an answer has the style of header and the number that the call had; a frame is a call in whole or none of
//! its entries is seen. Deliberately absent: fb303's options and profile, which are answered as unknown methods.

use crate::thrift::{Malformed, Reader, Writer, kind};

const VERSION: u32 = 0x8001_0000;
const VERSION_MASK: u32 = 0xffff_0000;

const CALL: u8 = 1;
const REPLY: u8 = 2;
const EXCEPTION: u8 = 3;
const ONEWAY: u8 = 4;

/// How the header of a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// With a version in front.
    Strict,
    /// As before there were versions; Scribe's own clients write it.
    Old,
}

/// What a frame asks for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub style: Style,
    /// The method.
    pub name: &'a [u8],
    /// The caller's number, which the answer repeats.
    pub number: i32,
    /// What is called, or why the arguments cannot be read.
    pub call: Result<Call<'a>, Malformed>,
}

/// The methods that are answered, and those that are not.
#[derive(Debug, Clone, Copy)]
pub enum Call<'a> {
    Log(Entries<'a>),
    GetName,
    GetVersion,
    GetStatus,
    GetStatusDetails,
    GetCounters,
    GetCounter(&'a [u8]),
    AliveSince,
    /// A call that expects no answer. None of them means anything here: the clients of a load test do not stop its
    /// collector.
    Oneway,
    Unknown,
}

/// One entry of a `Log`; neither part need be UTF-8.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Entry<'a> {
    pub category: &'a [u8],
    pub message: &'a [u8],
}

/// The entries of a `Log`, which are known to be well formed. They are read as they are asked for, so that a frame of a
/// million empty entries costs no more memory than the frame.
#[derive(Debug, Clone, Copy)]
pub struct Entries<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        self.left = self.left.checked_sub(1)?;
        entry(&mut self.reader).ok()
    }
}

/// Reads a frame.
///
/// # Errors
/// Its header is not one, so that there is nobody to answer.
pub fn read(frame: &[u8]) -> Result<Request<'_>, Malformed> {
    let mut reader = Reader::new(frame);
    let (style, name, kind, number) = header(&mut reader)?;
    let call = match kind {
        CALL => arguments(name, reader),
        ONEWAY => Ok(Call::Oneway),
        other => return Err(Malformed::NoCall(other)),
    };
    Ok(Request { style, name, number, call })
}

fn header<'a>(reader: &mut Reader<'a>) -> Result<(Style, &'a [u8], u8, i32), Malformed> {
    let mut old = *reader;
    let version = reader.i32()?.cast_unsigned();
    if version & VERSION_MASK == VERSION {
        let name = reader.string()?;
        return Ok((Style::Strict, name, version.to_be_bytes()[3], reader.i32()?));
    }
    if version >> 31 == 1 {
        return Err(Malformed::Version(version));
    }
    let name = old.string()?;
    let kind = old.byte()?;
    let number = old.i32()?;
    *reader = old;
    Ok((Style::Old, name, kind, number))
}

fn arguments<'a>(name: &[u8], mut reader: Reader<'a>) -> Result<Call<'a>, Malformed> {
    let mut entries = Entries { reader, left: 0 };
    let mut key = &b""[..];
    while let Some(field) = reader.field()? {
        match (name, field) {
            (b"Log", (kind::LIST, 1)) => entries = list(&mut reader)?,
            (b"getCounter", (kind::STRING, 1)) => key = reader.string()?,
            (_, (kind, _)) => reader.skip(kind)?,
        }
    }
    if reader.left() > 0 {
        return Err(Malformed::Excess(reader.left()));
    }
    Ok(match name {
        b"Log" => Call::Log(entries),
        b"getName" => Call::GetName,
        b"getVersion" => Call::GetVersion,
        b"getStatus" => Call::GetStatus,
        b"getStatusDetails" => Call::GetStatusDetails,
        b"getCounters" => Call::GetCounters,
        b"getCounter" => Call::GetCounter(key),
        b"aliveSince" => Call::AliveSince,
        // Oneway in fb303. Clients from before there was a type for it send a plain call, and read no answer either.
        b"reinitialize" | b"shutdown" => Call::Oneway,
        _ => Call::Unknown,
    })
}

/// Walks over the list once, so that whoever reads the entries later meets no fault.
fn list<'a>(reader: &mut Reader<'a>) -> Result<Entries<'a>, Malformed> {
    let (kind, left) = reader.list()?;
    if kind != kind::STRUCT && left > 0 {
        return Err(Malformed::Type(kind));
    }
    let entries = Entries { reader: *reader, left };
    for _ in 0..left {
        entry(reader)?;
    }
    Ok(entries)
}

fn entry<'a>(reader: &mut Reader<'a>) -> Result<Entry<'a>, Malformed> {
    let mut entry = Entry::default();
    while let Some(field) = reader.field()? {
        match field {
            (kind::STRING, 1) => entry.category = reader.string()?,
            (kind::STRING, 2) => entry.message = reader.string()?,
            (kind, _) => reader.skip(kind)?,
        }
    }
    Ok(entry)
}

/// What `Log` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultCode {
    /// The entries are stored.
    Ok = 0,
    /// None of them is: the sender keeps them and sends them again.
    TryLater = 1,
}

/// What `getStatus` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Alive = 2,
    Stopping = 3,
    /// Alive, but the last commit failed.
    Warning = 5,
}

/// Why a call has no result (`TApplicationException`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exception {
    UnknownMethod = 1,
    Protocol = 7,
}

/// What is answered to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Logged(ResultCode),
    Status(Status),
    Text(String),
    Number(i64),
    Numbers(Vec<(&'static str, i64)>),
    Exception(Exception, String),
}

impl Request<'_> {
    /// The frame of an answer to this request, with its length in front.
    pub fn answer(&self, answer: &Answer) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.i32(0); // The length, once it is known.
        let kind = if matches!(answer, Answer::Exception(..)) { EXCEPTION } else { REPLY };
        write_header(&mut writer, self.style, self.name, kind, self.number);
        match answer {
            Answer::Logged(code) => field_i32(&mut writer, 0, *code as i32),
            Answer::Status(status) => field_i32(&mut writer, 0, *status as i32),
            Answer::Text(text) => field_text(&mut writer, 0, text),
            Answer::Number(number) => {
                writer.field(kind::I64, 0);
                writer.i64(*number);
            }
            Answer::Numbers(numbers) => {
                writer.field(kind::MAP, 0);
                writer.byte(kind::STRING);
                writer.byte(kind::I64);
                writer.length(numbers.len());
                for (name, number) in numbers {
                    writer.string(name.as_bytes());
                    writer.i64(*number);
                }
            }
            Answer::Exception(exception, message) => {
                field_text(&mut writer, 1, message);
                field_i32(&mut writer, 2, *exception as i32);
            }
        }
        writer.stop();
        framed(writer)
    }
}

/// The frame of a `Log`, with its length in front, in the strict style.
pub fn log<'a>(number: i32, entries: impl ExactSizeIterator<Item = Entry<'a>>) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.i32(0);
    write_header(&mut writer, Style::Strict, b"Log", CALL, number);
    writer.field(kind::LIST, 1);
    writer.byte(kind::STRUCT);
    writer.length(entries.len());
    for entry in entries {
        writer.field(kind::STRING, 1);
        writer.string(entry.category);
        writer.field(kind::STRING, 2);
        writer.string(entry.message);
        writer.stop();
    }
    writer.stop();
    framed(writer)
}

/// What a server says to a `Log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Logged(ResultCode),
    /// The server's words for why there is no result.
    Exception(String),
    /// A result that is none of the codes: its number.
    Other(i32),
}

/// Reads the frame of an answer to the `Log` of this number.
///
/// # Errors
/// It is no answer, or one to another call.
pub fn read_reply(frame: &[u8], number: i32) -> Result<Reply, Malformed> {
    let mut reader = Reader::new(frame);
    let (_, _, kind, found) = header(&mut reader)?;
    if !matches!(kind, REPLY | EXCEPTION) || found != number {
        return Err(Malformed::NoCall(kind));
    }
    let mut code = None;
    let mut message = String::new();
    while let Some(field) = reader.field()? {
        match (kind, field) {
            (REPLY, (kind::I32, 0)) => code = Some(reader.i32()?),
            (EXCEPTION, (kind::STRING, 1)) => {
                message = String::from_utf8_lossy(reader.string()?).into_owned()
            }
            (_, (kind, _)) => reader.skip(kind)?,
        }
    }
    Ok(match (kind, code) {
        (EXCEPTION, _) => Reply::Exception(message),
        (_, Some(0)) => Reply::Logged(ResultCode::Ok),
        (_, Some(1)) => Reply::Logged(ResultCode::TryLater),
        (_, Some(other)) => Reply::Other(other),
        (_, None) => Reply::Exception("it says no result".to_owned()),
    })
}

fn write_header(writer: &mut Writer, style: Style, name: &[u8], kind: u8, number: i32) {
    match style {
        Style::Strict => {
            writer.i32((VERSION | u32::from(kind)).cast_signed());
            writer.string(name);
        }
        Style::Old => {
            writer.string(name);
            writer.byte(kind);
        }
    }
    writer.i32(number);
}

fn field_i32(writer: &mut Writer, number: i16, value: i32) {
    writer.field(kind::I32, number);
    writer.i32(value);
}

fn field_text(writer: &mut Writer, number: i16, text: &str) {
    writer.field(kind::STRING, number);
    writer.string(text.as_bytes());
}

fn framed(writer: Writer) -> Vec<u8> {
    let mut bytes = writer.bytes;
    let length = i32::try_from(bytes.len() - 4).unwrap_or(i32::MAX);
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}
