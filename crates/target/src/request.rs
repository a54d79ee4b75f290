//! The head of a request, and the heads that came before.
//!
//! Invariant: [`Familiar`] changes the cost of understanding a request, never the outcome.

use std::mem::MaybeUninit;
use std::sync::Arc;

use crate::counters::Client;
use crate::route::Route;

/// Bytes of a head, and headers in it: as generous as other servers.
pub(crate) const MAX_HEAD_BYTES: usize = 64 * 1024;
pub(crate) const MAX_HEADERS: usize = 128;

/// A body that the answer is made of is held whole.
const MAX_KEPT_BYTES: u64 = 1 << 20;

/// A body that is only skipped.
const MAX_BODY_BYTES: u64 = 1 << 30;

/// What a request asks for, apart from its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    pub route: Route,
    pub is_head: bool,
    pub is_http_1_0: bool,
    pub keep_alive: bool,
    pub wants_json: bool,
    pub expects_continue: bool,
    pub content_length: u64,
}

/// A head that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head<'b> {
    /// Bytes of it, the empty line included.
    pub length: usize,
    pub ask: Ask,
    pub user_agent: &'b [u8],
}

/// Why a head cannot be answered as asked; the connection is closed after saying so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Malformed,
    LengthRequired,
    BodyTooLarge,
    HeadTooLarge,
}

impl Fault {
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::LengthRequired => 411,
            Self::BodyTooLarge => 413,
            Self::HeadTooLarge => 431,
        }
    }
}

/// Reads a head from the start of `bytes`; `None` when it is not complete yet. With a shop, what else would be found
/// nowhere goes there.
pub(crate) fn parse(bytes: &[u8], has_shop: bool) -> Result<Option<Head<'_>>, Fault> {
    let window = bytes.get(..MAX_HEAD_BYTES).unwrap_or(bytes);
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(window, &mut headers) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() >= MAX_HEAD_BYTES => return Err(Fault::HeadTooLarge),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Fault::HeadTooLarge),
        Err(_) => return Err(Fault::Malformed),
    };
    let (method, target) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
    let is_http_1_0 = request.version == Some(0);
    let route = Route::of(method, target);
    let mut ask = Ask {
        route: if has_shop { route.or_shop(target) } else { route },
        is_head: method == "HEAD",
        is_http_1_0,
        keep_alive: !is_http_1_0,
        wants_json: false,
        expects_continue: false,
        content_length: 0,
    };
    let user_agent = read_headers(request.headers, &mut ask)?;
    let max_body_bytes = if ask.route.keeps_body() { MAX_KEPT_BYTES } else { MAX_BODY_BYTES };
    if ask.content_length > max_body_bytes {
        return Err(Fault::BodyTooLarge);
    }
    Ok(Some(Head { length, ask, user_agent }))
}

/// Reads into `ask` what the headers say; returns the user agent.
fn read_headers<'b>(headers: &[httparse::Header<'b>], ask: &mut Ask) -> Result<&'b [u8], Fault> {
    let mut user_agent = &b""[..];
    let mut content_length = None;
    for header in headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        match header.name.len() {
            6 if is("accept") => ask.wants_json = contains(header.value, b"application/json"),
            6 if is("expect") => ask.expects_continue = header.value.eq_ignore_ascii_case(b"100-continue"),
            10 if is("user-agent") => user_agent = header.value,
            10 if is("connection") => {
                for token in header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    if token.eq_ignore_ascii_case(b"close") {
                        ask.keep_alive = false;
                    } else if token.eq_ignore_ascii_case(b"keep-alive") {
                        ask.keep_alive = true;
                    }
                }
            }
            14 if is("content-length") => {
                let digits = std::str::from_utf8(header.value).map_err(|_| Fault::Malformed)?;
                let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
                let length: u64 = digits.parse().ok().filter(|_| is_number).ok_or(Fault::Malformed)?;
                if content_length.replace(length).is_some_and(|earlier| earlier != length) {
                    return Err(Fault::Malformed);
                }
            }
            17 if is("transfer-encoding") => return Err(Fault::LengthRequired),
            _ => {}
        }
    }
    ask.content_length = content_length.unwrap_or(0);
    Ok(user_agent)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

/// Different requests that are remembered: the steps of a plan times the drivers that send them.
const FAMILIAR: usize = 16;

/// A longer head is parsed each time.
const FAMILIAR_BYTES: usize = 1024;

/// The last few heads without a body. A load generator sends the same bytes again and again, and to compare them costs
/// a tenth of parsing them.
#[derive(Debug, Default)]
pub(crate) struct Familiar {
    known: Vec<Known>,
    oldest: usize,
}

#[derive(Debug)]
struct Known {
    bytes: Box<[u8]>,
    ask: Ask,
    client: Arc<Client>,
}

impl Familiar {
    /// The request that `bytes` start with: the length of its head, what it asks for, and who asks. `hint` says where
    /// this connection's last one was, and is updated.
    #[inline]
    pub(crate) fn find(&self, hint: &mut usize, bytes: &[u8]) -> Option<(usize, Ask, &Client)> {
        let is_at = |at: usize| self.known.get(at).is_some_and(|known| bytes.starts_with(&known.bytes));
        if !is_at(*hint) {
            *hint = (0..self.known.len()).find(|at| is_at(*at))?;
        }
        self.known.get(*hint).map(|known| (known.bytes.len(), known.ask, &*known.client))
    }

    /// Remembers a request, in the place of the one remembered longest. Not one for the shop, whose head says more than
    /// an [`Ask`] does.
    pub(crate) fn learn(&mut self, bytes: &[u8], ask: Ask, client: Arc<Client>) {
        if ask.content_length > 0 || bytes.len() > FAMILIAR_BYTES || ask.route.is_shop() {
            return;
        }
        let known = Known { bytes: bytes.into(), ask, client };
        match self.known.get_mut(self.oldest) {
            Some(place) => *place = known,
            None => self.known.push(known),
        }
        self.oldest = (self.oldest + 1) % FAMILIAR;
    }

    /// Forgets all, because the clients are counted anew.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> Result<Ask, Fault> {
        parse(text.as_bytes(), false).map(|head| head.unwrap().ask)
    }

    #[test]
    fn reads_what_matters() {
        let plain = ask("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert!(
            plain.keep_alive && !plain.is_head && plain.content_length == 0 && plain.route == Route::Ping
        );
        assert!(!ask("GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
        assert!(ask("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").unwrap().keep_alive);
        assert!(!ask("GET / HTTP/1.1\r\nConnection: TE, close\r\n\r\n").unwrap().keep_alive);
        assert!(ask("GET / HTTP/1.1\r\nAccept: text/html, application/json;q=1\r\n\r\n").unwrap().wants_json);
        assert!(ask("PUT / HTTP/1.1\r\nExpect: 100-Continue\r\n\r\n").unwrap().expects_continue);
        assert_eq!(ask("PUT / HTTP/1.1\r\ncontent-length: 12\r\n\r\n").unwrap().content_length, 12);
        let head = parse(b"GET / HTTP/1.1\r\nUser-Agent: me\r\n\r\nrest", false).unwrap().unwrap();
        assert_eq!((head.length, head.user_agent), (34, &b"me"[..]));
        assert_eq!(parse(b"GET / HTTP/1.1\r\nUser", false), Ok(None));
    }

    #[test]
    fn refuses_what_it_cannot_answer() {
        for (text, fault) in [
            ("\0\0\0\0", Fault::Malformed),
            ("GET / HTTP/2.0\r\n\r\n", Fault::Malformed),
            ("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", Fault::Malformed),
            ("GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", Fault::Malformed),
            ("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Fault::Malformed),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Fault::LengthRequired),
            ("PUT /echo HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", Fault::BodyTooLarge),
            ("PUT /ping HTTP/1.1\r\nContent-Length: 1073741825\r\n\r\n", Fault::BodyTooLarge),
        ] {
            assert_eq!(ask(text), Err(fault), "{text:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1));
        assert_eq!(ask(&many), Err(Fault::HeadTooLarge));
        let long = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(MAX_HEAD_BYTES));
        assert_eq!(ask(&long), Err(Fault::HeadTooLarge));
    }
}
