//! A server's frames, and a client that hears them in slices.

use protocol::http2::{self, Http2};
use protocol::{Begun, Error, Heard, Parts, Protocol, Request, Response, Session, Want};

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const BOTH: u8 = 5;
pub const PADDED: u8 = 8;
pub const HAS_PRIORITY: u8 = 0x20;

/// `:status: 200`.
pub const OK: &[u8] = b"\x88";

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    [&[a, b, c, kind, flags, d, e, f, g], payload].concat()
}

pub fn data(flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(0, flags, stream, payload)
}

pub fn headers(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    frame(1, flags, stream, block)
}

pub fn rst_stream(stream: u32, code: u32) -> Vec<u8> {
    frame(3, 0, stream, &code.to_be_bytes())
}

pub fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = settings
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(4, 0, 0, &payload)
}

pub fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

pub fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    frame(8, 0, stream, &bytes.to_be_bytes())
}

/// Literal fields that enter no table, without Huffman codes.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap();
    let field = |(name, value): &(&str, &str)| {
        [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
    };
    fields.iter().flat_map(field).collect()
}

pub fn parts<'a>(method: &'a str, headers: &'a [(String, String)], body: &'a [u8]) -> Parts<'a> {
    Parts {
        method,
        scheme: "http",
        authority: "host",
        path: "/",
        headers,
        body,
        user_agent: "test",
        expects_continue: false,
    }
}

pub fn request(method: &str) -> Request {
    http2::render(&parts(method, &[], b"")).unwrap()
}

pub fn posting(body: &[u8]) -> Request {
    http2::render(&parts("POST", &[], body)).unwrap()
}

pub fn done(tag: u32, status: u16, body_bytes: u64) -> Heard {
    Heard::Done(tag, Response { status, keep_alive: true, body_bytes })
}

pub fn failed(tag: u32, error: http2::Error) -> Heard {
    Heard::Failed(tag, Error::Http2(error))
}

/// A session that has started, and whose first words have gone.
pub fn session(http2: Http2) -> Box<dyn Session> {
    let mut session = http2.session();
    let mut heard = Vec::new();
    assert_eq!(session.room(), 0);
    session.start(&mut heard);
    assert_eq!(heard, [Heard::Ready]);
    session.output().clear();
    session
}

pub fn begin(session: &mut dyn Session, tag: u32, request: &Request) {
    assert!(session.room() > 0);
    assert_eq!(session.begin(tag, request, Want::default()), Begun::Queued);
}

/// What a session hears in one slice.
pub fn hear(session: &mut dyn Session, bytes: &[u8]) -> Result<Vec<Heard>, Error> {
    let mut heard = Vec::new();
    session.hear(&mut bytes.to_vec(), &mut heard).map(|()| heard)
}

/// All that waits to go, taken out.
pub fn output(session: &mut dyn Session) -> Vec<u8> {
    let mut all = Vec::new();
    while !session.output().is_empty() {
        all.append(session.output());
    }
    all
}

/// Kind, flags, stream and payload of each frame.
pub fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, u32, &[u8])> {
    let mut frames = Vec::new();
    while let Some((&[a, b, c, kind, flags, d, e, f, g], rest)) = bytes.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        frames.push((kind, flags, u32::from_be_bytes([d, e, f, g]), &rest[..length]));
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty());
    frames
}

/// All that a connection led to.
#[derive(Debug, PartialEq)]
pub struct Seen {
    /// Without [`Heard::Started`], which depends on the slices.
    pub heard: Vec<Heard>,
    pub end: Result<(), Error>,
    pub output: Vec<u8>,
    /// Headers and body of each request, as far as they were wanted.
    pub kept: Vec<(String, String)>,
}

/// Begins all requests, hears `slices`, and then the end, unless there was an error.
pub fn converse<'b>(requests: &[Request], want: Want, slices: impl IntoIterator<Item = &'b [u8]>) -> Seen {
    let mut session = session(Http2::new(10));
    let tags = 0..u32::try_from(requests.len()).unwrap();
    for (tag, request) in tags.clone().zip(requests) {
        session.begin(tag, request, want);
    }
    session.output().clear();
    let (mut heard, mut output) = (Vec::new(), Vec::new());
    let mut result = Ok(());
    for slice in slices {
        result = session.hear(&mut slice.to_vec(), &mut heard);
        output.append(session.output());
        if result.is_err() {
            assert_eq!(session.room(), 0);
            break;
        }
    }
    if result.is_ok() {
        result = session.end(&mut heard);
        assert_eq!(session.room(), 0);
    }
    let kept = tags.map(|tag| session.kept(tag)).map(|kept| {
        (String::from_utf8_lossy(kept.headers).into_owned(), String::from_utf8_lossy(kept.body).into_owned())
    });
    let kept = kept.collect();
    check_starts(&mut heard);
    Seen { heard, end: result, output, kept }
}

/// A response starts at most once, and before it is over; takes the starts out.
fn check_starts(heard: &mut Vec<Heard>) {
    let mut started = Vec::new();
    let mut over = Vec::new();
    heard.retain(|event| {
        match event {
            Heard::Started(tag) => {
                assert!(!started.contains(tag) && !over.contains(tag), "{event:?}");
                started.push(*tag);
                return false;
            }
            Heard::Done(tag, _) | Heard::Failed(tag, _) => {
                assert!(!over.contains(tag), "{event:?}");
                over.push(*tag);
            }
            Heard::Ready => panic!("ready twice"),
        }
        true
    });
}

/// Feeds what follows the server's settings in every way there is, all of which must give the same; returns it.
pub fn receive(requests: &[Request], bytes: &[u8]) -> Seen {
    let bytes = &[settings(&[]), bytes.to_vec()].concat()[..];
    let shown = bytes.escape_ascii();
    let plain = converse(requests, Want::default(), [bytes]);
    for want in [Want::default(), Want { body: 16, headers: true }] {
        let whole = converse(requests, want, [bytes]);
        assert_eq!(
            (&whole.heard, &whole.end, &whole.output),
            (&plain.heard, &plain.end, &plain.output),
            "what is kept changes the result: {shown}"
        );
        assert_eq!(converse(requests, want, bytes.chunks(1)), whole, "byte by byte: {shown}");
        for at in 0..bytes.len() {
            let (left, right) = bytes.split_at(at);
            assert_eq!(converse(requests, want, [left, right]), whole, "split at {at}: {shown}");
            // Cut off: what was heard till then is the same, and nobody is forgotten.
            let cut = converse(requests, want, [left]);
            assert_eq!(converse(requests, want, left.chunks(1)), cut, "cut at {at}: {shown}");
            let known = cut.heard.iter().filter(|event| !matches!(event, Heard::Failed(_, Error::Truncated)));
            assert!(known.clone().eq(whole.heard.iter().take(known.count())), "cut at {at}: {shown}");
            assert!(cut.heard.len() == requests.len() || cut.end.is_err(), "cut at {at}: {shown}");
        }
    }
    converse(requests, Want { body: 16, headers: true }, [bytes])
}
