//! What the client makes of responses: a table, in which each response is fed whole, split at every byte, byte by byte
//! and cut off at every byte; and garbage, which must never panic.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use protocol::http1::{self, Error, Exchange, MAX_EXTENSION_BYTES, MAX_HEAD_BYTES, MAX_HEADERS, Progress};
use protocol::{Parts, Request, Response, Want};

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    outcome: Result<Response, Error>,
    body: Vec<u8>,
}

fn request(method: &str, headers: &[(&str, &str)]) -> Request {
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    http1::render(&Parts {
        method,
        scheme: "http",
        authority: "host",
        path: "/",
        headers: &headers,
        body: b"",
        user_agent: "test",
        expects_continue: false,
    })
    .unwrap()
}

fn keeping(body: usize) -> Want {
    Want { body, headers: false }
}

/// Sends `request`, receives `slices`, then the end of the stream unless the response was complete.
fn exchange<'b>(request: &Request, slices: impl IntoIterator<Item = &'b [u8]>) -> Seen {
    let mut exchange = Exchange::new();
    exchange.begin(request, keeping(64));
    let mut outcome = None;
    for slice in slices {
        match (exchange.feed(slice), &mut outcome) {
            // What follows a response is only noticed at once when it is in the same slice; the caller closes on both.
            (Err(Error::Unsolicited), Some(Ok(Response { keep_alive, .. }))) => *keep_alive = false,
            (Err(Error::Unsolicited), Some(Err(_))) | (Ok(Progress::NeedMore), _) => {}
            (Ok(Progress::Done(response)), None) => outcome = Some(Ok(response)),
            (Err(error), None) => outcome = Some(Err(error)),
            (other, Some(earlier)) => panic!("{other:?} after {earlier:?}"),
        }
    }
    let outcome = outcome.unwrap_or_else(|| exchange.eof());
    Seen { outcome, body: exchange.body().to_vec() }
}

/// Feeds `bytes` in every way there is, all of which must give the same; returns it.
fn receive(request: &Request, bytes: &[u8]) -> Seen {
    let whole = exchange(request, [bytes]);
    assert_eq!(exchange(request, bytes.chunks(1)), whole, "byte by byte: {}", bytes.escape_ascii());
    for at in 0..bytes.len() {
        let (left, right) = bytes.split_at(at);
        assert_eq!(exchange(request, [left, right]), whole, "split at {at}: {}", bytes.escape_ascii());
    }
    whole
}

/// A response that is complete before the stream ends: every truncation of it is one.
fn complete(method: &str, bytes: &str, status: u16, keep_alive: bool, body: &str) {
    let request = request(method, &[]);
    let body_bytes = body.len() as u64;
    let response = Response { status, keep_alive, body_bytes };
    let expected = Seen { outcome: Ok(response), body: body.as_bytes().to_vec() };
    assert_eq!(receive(&request, bytes.as_bytes()), expected, "{bytes:?}");

    for length in 0..bytes.len() {
        let error = if length == 0 { Error::Unanswered } else { Error::Truncated };
        assert_eq!(
            exchange(&request, [&bytes.as_bytes()[..length]]).outcome,
            Err(error),
            "{:?}",
            &bytes[..length]
        );
        assert_eq!(exchange(&request, bytes.as_bytes()[..length].chunks(1)).outcome, Err(error));
    }

    let surplus = format!("{bytes}H");
    let closed =
        Seen { outcome: Ok(Response { keep_alive: false, ..response }), body: body.as_bytes().to_vec() };
    assert_eq!(receive(&request, surplus.as_bytes()), closed, "{surplus:?}");
}

fn faulty(bytes: &[u8], error: Error) {
    let outcome = receive(&request("GET", &[]), bytes).outcome;
    assert_eq!(outcome, Err(error), "{}", bytes.escape_ascii());
}

#[test]
fn a_length_ends_the_keeping() {
    complete("GET", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong", 200, true, "pong");
    complete("GET", "HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", 200, true, "");
    complete("GET", "HTTP/1.1 200\r\nContent-Length: 4 \r\n\r\npong", 200, true, "pong");
    complete("GET", "HTTP/1.1 404 Not Found\nContent-Length: 1\n\nx", 404, true, "x");
    complete("GET", "HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n", 999, true, "");
    complete("GET", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 1\r\n\r\nx", 200, true, "x");
}

#[test]
fn repeated_lengths_must_agree() {
    complete("GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 200, true, "x");
    complete("GET", "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx", 200, true, "x");
    let faults =
        ["1\r\nContent-Length: 2", "1, 2", "-1", "+1", "1x", "0x1", "", "1,", "1 1", "18446744073709551616"];
    for value in faults {
        faulty(
            format!("HTTP/1.1 200 OK\r\nContent-Length: {value}\r\n\r\nx").as_bytes(),
            Error::ContentLength,
        );
    }
}

#[test]
fn chunks_end_the_keeping() {
    let chunked = |rest: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{rest}");
    complete("GET", &chunked("0\r\n\r\n"), 200, true, "");
    complete("GET", &chunked("4\r\npong\r\n0\r\n\r\n"), 200, true, "pong");
    complete(
        "GET",
        &chunked("1\r\na\r\n002\r\nbc\r\nA\r\n0123456789\r\n000\r\n\r\n"),
        200,
        true,
        "abc0123456789",
    );
    complete("GET", &chunked("1;a=b;c=\"d\"\r\nx\r\n0 ; end\r\n\r\n"), 200, true, "x");
    complete("GET", &chunked("1\r\nx\r\n0\r\nDigest: 1\r\nOther: 2\r\n\r\n"), 200, true, "x");
    complete(
        "GET",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        200,
        true,
        "x",
    );
    complete(
        "GET",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        200,
        true,
        "",
    );
    let faults = [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "1\nx\r\n",
        ";\r\n",
        "1\rx",
        "1\r\nxy\r\n",
        "1\r\nx\ry",
        "1\r\nx0\r\n",
        "1;a\nx",
        "10000000000000000\r\n",
        " 1\r\nx\r\n",
    ];
    for fault in faults {
        faulty(chunked(fault).as_bytes(), Error::Chunk);
    }
    for fault in ["0\r\n\n", "0\r\na: b\n", "0\r\na: b\rc", "0\r\n\rx"] {
        faulty(chunked(fault).as_bytes(), Error::Trailers);
    }
    faulty(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        Error::TransferEncoding,
    );
}

#[test]
fn chunks_overrule_a_length_once() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n";
    complete("GET", &format!("{head}1\r\nx\r\n0\r\n\r\n"), 200, false, "x");
    complete(
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: identity\r\n\r\nx",
        200,
        true,
        "x",
    );
    let old = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    complete("GET", old, 200, false, "");
}

#[test]
fn some_responses_have_no_keeping() {
    complete("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", 200, true, "");
    complete("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, true, "");
    complete("HEAD", "HTTP/1.1 200 OK\r\n\r\n", 200, true, "");
    complete("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, true, "");
    complete("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", 304, true, "");
}

#[test]
fn informational_responses_are_skipped() {
    complete("GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n", 204, true, "");
    let two = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    complete("GET", two, 200, true, "x");
    complete("GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", 101, false, "");
}

#[test]
fn connection_tokens_decide_whether_it_is_reused() {
    let with = |version: &str, value: &str| {
        format!("HTTP/1.{version} 200 OK\r\nConnection: {value}\r\nContent-Length: 1\r\n\r\nx")
    };
    complete("GET", &with("1", "close"), 200, false, "x");
    complete("GET", &with("1", "Keep-Alive, Upgrade"), 200, true, "x");
    complete("GET", &with("1", "foo ,CLOSE"), 200, false, "x");
    complete("GET", &with("1", "keep-alive, close"), 200, false, "x");
    complete("GET", &with("1", "closed"), 200, true, "x");
    complete("GET", &with("0", "keep-alive"), 200, true, "x");
    complete("GET", &with("0", "close"), 200, false, "x");
    complete("GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, false, "x");

    let response = b"HTTP/1.1 204 No Content\r\n\r\n";
    let Seen { outcome, .. } = receive(&request("GET", &[("Connection", "close")]), response);
    assert_eq!(outcome, Ok(Response { status: 204, keep_alive: false, body_bytes: 0 }));
}

#[test]
fn the_end_of_the_stream_ends_a_body_without_a_length() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    ] {
        let bytes = format!("{head}to the end");
        for length in 0..=bytes.len() {
            let Seen { outcome, body } = exchange(&request("GET", &[]), [&bytes.as_bytes()[..length]]);
            let expected = match length.checked_sub(head.len()) {
                Some(body_bytes) => {
                    Ok(Response { status: 200, keep_alive: false, body_bytes: body_bytes as u64 })
                }
                None if length == 0 => Err(Error::Unanswered),
                None => Err(Error::Truncated),
            };
            assert_eq!(outcome, expected);
            assert_eq!(body, &bytes.as_bytes()[head.len().min(length)..length]);
        }
        receive(&request("GET", &[]), bytes.as_bytes());
    }
}

#[test]
fn what_is_not_http_is_refused_at_once() {
    faulty(b"SSH-2.0-OpenSSH_9.2\r\n", Error::Head(httparse::Error::Version));
    faulty(b"\x15\x03\x01\x00\x02\x02", Error::Head(httparse::Error::Version));
    faulty(b"HTTP/2.0 200 OK\r\n\r\n", Error::Head(httparse::Error::Version));
    faulty(b"HTTP/1.1 2x0 OK\r\n\r\n", Error::Head(httparse::Error::Status));
    faulty(b"HTTP/1.1 099 Low\r\n\r\n", Error::Status(99));
    faulty(b"HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n", Error::Head(httparse::Error::HeaderName));
    faulty(b"HTTP/1.1 200 OK\r\nA: x\0y\r\n\r\n", Error::Head(httparse::Error::HeaderValue));
    faulty(b"HTTP/1.1 200 OK\r\nnot a header", Error::Head(httparse::Error::HeaderName));
    let mut exchange = Exchange::new();
    exchange.begin(&request("GET", &[]), keeping(0));
    assert_eq!(exchange.feed(b"220 "), Err(Error::Head(httparse::Error::Version)));
}

/// Feeds slices of several sizes; byte by byte and every split would take too long for responses this large.
fn large(bytes: &[u8]) -> Result<Response, Error> {
    let request = request("GET", &[]);
    let whole = exchange(&request, [bytes]);
    for size in [7, 1000, 1460, 16 * 1024, MAX_HEAD_BYTES - 1] {
        assert_eq!(exchange(&request, bytes.chunks(size)), whole, "slices of {size}");
    }
    whole.outcome
}

#[test]
fn heads_extensions_and_trailers_have_limits() {
    let head = |length: usize| {
        let start = "HTTP/1.1 204 No Content\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4)).into_bytes()
    };
    assert_eq!(large(&head(MAX_HEAD_BYTES)).map(|response| response.status), Ok(204));
    assert_eq!(large(&head(MAX_HEAD_BYTES + 1)), Err(Error::HeadTooLarge));
    let fault = format!("HTTP/1.1 200 OK\r\nX: {}\r\nnot a header", "x".repeat(5000));
    assert_eq!(large(fault.as_bytes()), Err(Error::Head(httparse::Error::HeaderName)));

    let headers =
        |count: usize| format!("HTTP/1.1 204 No Content\r\n{}\r\n", "a: b\r\n".repeat(count)).into_bytes();
    assert_eq!(large(&headers(MAX_HEADERS)).map(|response| response.status), Ok(204));
    assert_eq!(large(&headers(MAX_HEADERS + 1)), Err(Error::TooManyHeaders));

    let chunked = |rest: String| {
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{rest}\r\n").into_bytes()
    };
    let extension = |length: usize| chunked(format!("0;{}\r\n", "x".repeat(length)));
    assert_eq!(large(&extension(MAX_EXTENSION_BYTES)).map(|response| response.status), Ok(200));
    assert_eq!(large(&extension(MAX_EXTENSION_BYTES + 1)), Err(Error::ExtensionTooLarge));
    let many = "1;abcdefghijklmno\r\nx\r\n".repeat(MAX_EXTENSION_BYTES / 15 + 1);
    assert_eq!(large(&chunked(many)), Err(Error::ExtensionTooLarge));

    let trailers = |count: usize| chunked(format!("0\r\n{}", "a: b\r\n".repeat(count)));
    assert_eq!(large(&trailers(MAX_HEADERS)).map(|response| response.status), Ok(200));
    assert_eq!(large(&trailers(MAX_HEADERS + 1)), Err(Error::Trailers));
    assert_eq!(large(&chunked(format!("0\r\na: {}\r\n", "x".repeat(MAX_HEAD_BYTES)))), Err(Error::Trailers));
}

#[test]
fn bodies_are_counted_and_kept_up_to_the_limit() {
    let request = request("GET", &[]);
    let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec();
    bytes.extend(std::iter::repeat_n(b'x', 100_000));
    assert_eq!(large(&bytes), Ok(Response { status: 200, keep_alive: true, body_bytes: 100_000 }));
    for (limit, kept) in [(0, 0), (10, 10), (100_000, 100_000), (usize::MAX, 100_000)] {
        let mut exchange = Exchange::new();
        exchange.begin(&request, keeping(limit));
        for slice in bytes.chunks(1460) {
            exchange.feed(slice).unwrap();
        }
        assert_eq!((exchange.body().len(), exchange.body_bytes()), (kept, 100_000));
    }
}

#[test]
fn an_exchange_is_used_again() {
    let mut exchange = Exchange::new();
    assert_eq!(exchange.feed(b"x"), Err(Error::Unsolicited));
    assert_eq!(exchange.eof(), Err(Error::Unanswered));
    let request = request("GET", &[]);
    for (slices, started) in
        [(&["HTTP/1.1 200 OK\r\nConte", "nt-Length: 2\r\n\r\nab"][..], true), (&[][..], false)]
    {
        exchange.begin(&request, keeping(8));
        assert_eq!((exchange.started(), exchange.status(), exchange.body()), (false, None, &b""[..]));
        for slice in slices {
            exchange.feed(slice.as_bytes()).unwrap();
        }
        assert_eq!(exchange.started(), started);
        assert_eq!(exchange.status(), started.then_some(200));
    }
    // A fault leaves nothing behind for the next connection.
    exchange.begin(&request, keeping(8));
    assert!(exchange.feed(b"nonsense").is_err());
    assert_eq!(exchange.feed(b"more"), Err(Error::Unsolicited));
    exchange.begin(&request, keeping(8));
    let done = Progress::Done(Response { status: 204, keep_alive: true, body_bytes: 0 });
    assert_eq!(exchange.feed(b"HTTP/1.1 204 No\r\n\r\n"), Ok(done));
}

/// A head that came before is recognised without parsing, which must not show.
#[test]
fn a_familiar_head_means_the_same() {
    let (get, head) = (request("GET", &[]), request("HEAD", &[]));
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    let body = format!("{response}ab");
    let other = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
    let long = format!("HTTP/1.1 204 No\r\nX: {}\r\n\r\n", "x".repeat(1000));
    let early = "HTTP/1.1 100 Continue\r\n\r\n";
    let rounds: [(&Request, &str, u16, u64); 9] = [
        (&get, &body, 200, 2),
        (&get, &body, 200, 2),
        (&head, response, 200, 0),
        (&get, &body, 200, 2),
        (&get, other, 200, 3),
        (&get, &long, 204, 0),
        (&get, &long, 204, 0),
        (&get, &format!("{early}{early}{body}"), 200, 2),
        (&get, &body, 200, 2),
    ];
    let mut exchange = Exchange::new();
    for (request, bytes, status, body_bytes) in rounds {
        exchange.begin(request, keeping(0));
        let done = Progress::Done(Response { status, keep_alive: true, body_bytes });
        assert_eq!(exchange.feed(bytes.as_bytes()), Ok(done), "{bytes:?}");
    }
}

/// Random bytes, and responses with random damage, in random slices: no panic, and the same whatever the slices.
#[test]
fn garbage_never_panics() {
    const RESPONSES: [&[u8]; 5] = [
        b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 4\r\n\r\npong",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\npong\r\n10\r\n0123456789abcdef\r\n0\r\nT: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nto the end",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1, 1\r\n\r\nx",
        b"",
    ];
    let seed = 0x5eed;
    let mut random = fastrand::Rng::with_seed(seed);
    let requests = [request("GET", &[]), request("HEAD", &[]), request("GET", &[("Connection", "close")])];
    for run in 0..100_000 {
        let mut bytes = random.choice(RESPONSES).unwrap().to_vec();
        for _ in 0..random.usize(0..6) {
            let at = random.usize(0..=bytes.len());
            match random.u8(0..4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, random.u8(..)),
                2 if at < bytes.len() => bytes[at] = *random.choice(b"\r\n :;,0f\xff\0").unwrap(),
                _ => bytes.extend(std::iter::repeat_with(|| random.u8(..)).take(at)),
            }
        }
        let request = random.choice(&requests).unwrap();
        let whole = exchange(request, [&bytes[..]]);
        let mut slices = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (slice, after) = rest.split_at(random.usize(1..=rest.len()));
            slices.push(slice);
            rest = after;
        }
        assert_eq!(exchange(request, slices), whole, "seed {seed}, run {run}: {}", bytes.escape_ascii());
    }
}
