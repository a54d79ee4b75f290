//! How requests are written.

use protocol::RequestError;
use protocol::http2::{self, MAX_FRAME_BYTES, MAX_HEAD_BYTES};

use crate::wire::*;

fn render(method: &str, fields: &[(&str, &str)], body: &[u8]) -> Result<Vec<u8>, RequestError> {
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    http2::render(&parts(method, &fields, body)).map(|request| {
        assert_eq!(&request.bytes()[request.body_at()..], body);
        assert!(!request.closes());
        request.bytes()[..request.body_at()].to_vec()
    })
}

#[test]
fn a_request_is_a_block_by_index_and_huffman_code() {
    // :method GET, :scheme http, :authority host, :path /, user-agent test
    let block = b"\x82\x86\x01\x83\x9c\xe8\x4f\x84\x0f\x2b\x83\x49\x50\x9f";
    assert_eq!(render("GET", &[], b"").unwrap(), headers(BOTH, 0, block));
    // A method of its own, and the length of the body.
    let block = b"\x02\x03PUT\x86\x01\x83\x9c\xe8\x4f\x84\x0f\x2b\x83\x49\x50\x9f\x0f\x0d\x012";
    assert_eq!(render("PUT", &[], b"hi").unwrap(), headers(END_HEADERS, 0, block));
}

#[test]
fn headers_are_those_of_the_plan_in_lower_case() {
    let plain = render("GET", &[("host", "host"), ("user-agent", "test")], b"").unwrap();
    assert_eq!(plain, render("GET", &[], b"").unwrap());
    let same = [
        ("USER-AGENT", "test"),
        ("Host", "host"),
        ("Connection", "Keep-Alive"),
        ("keep-alive", "timeout=5"),
        ("Proxy-Connection", "x"),
    ];
    assert_eq!(render("GET", &same, b"").unwrap(), plain);
    let lower = render("GET", &[("x-a", "B"), ("te", "trailers")], b"").unwrap();
    assert_eq!(render("GET", &[("X-A", " B\t"), ("TE", "trailers")], b"").unwrap(), lower);
}

#[test]
fn what_has_no_place_in_http2_is_refused() {
    for (name, value) in [("connection", "close"), ("te", "gzip"), ("upgrade", "x"), ("http2-settings", "x")]
    {
        let error = RequestError::ConnectionHeader { name: name.to_owned(), value: value.to_owned() };
        assert_eq!(render("GET", &[(name, value)], b""), Err(error));
    }
    assert_eq!(render("GET", &[("transfer-encoding", "chunked")], b""), Err(RequestError::TransferEncoding));
    assert_eq!(render("CONNECT", &[], b""), Err(RequestError::Connect));
    assert!(matches!(render("GET", &[("a", "b\r\nc")], b""), Err(RequestError::HeaderValue { .. })));
    let long = "\u{7e}".repeat(MAX_HEAD_BYTES);
    assert!(matches!(render("GET", &[("a", &long)], b""), Err(RequestError::TooLarge(_))));
}

#[test]
fn a_long_head_goes_on_in_continuations() {
    let long = "\u{7e}".repeat(2 * MAX_FRAME_BYTES);
    let fields = [("a".to_owned(), long)];
    let request = http2::render(&parts("GET", &fields, b"")).unwrap();
    let mut session = session(http2::Http2::new(10));
    begin(&mut *session, 0, &request);
    begin(&mut *session, 1, &request);
    let sent = output(&mut *session);
    let shape: Vec<_> = frames(&sent).iter().map(|frame| (frame.0, frame.1, frame.2)).collect();
    assert_eq!(shape, [(1, 1, 1), (9, 0, 1), (9, 4, 1), (1, 1, 3), (9, 0, 3), (9, 4, 3)]);
    assert!(frames(&sent).iter().all(|frame| frame.3.len() <= MAX_FRAME_BYTES));
}

/// RFC 7541, 4.2: a server that shrinks its table waits for the client to say so, in the next block and once.
#[test]
fn a_smaller_table_is_confirmed_once() {
    let mut session = session(http2::Http2::new(10));
    let request = request("GET");
    begin(&mut *session, 0, &request);
    output(&mut *session);
    hear(&mut *session, &settings(&[(1, 100)])).unwrap();
    begin(&mut *session, 1, &request);
    begin(&mut *session, 2, &request);
    let sent = output(&mut *session);
    let block = frames(&request.bytes()[..request.body_at()])[0].3.to_vec();
    let expected: [(u8, u8, u32, &[u8]); 4] =
        [(4, 1, 0, b""), (1, END_STREAM, 3, b"\x20"), (9, END_HEADERS, 3, &block), (1, BOTH, 5, &block)];
    assert_eq!(frames(&sent), expected);
}
