//! What becomes of responses.

use protocol::http2::{Code, Error, HpackError};
use protocol::{Error as AnyError, Heard};

use crate::wire::*;

/// One request and what is said on its stream; the one thing heard, and what was kept.
fn one(method: &str, bytes: &[&[u8]], heard: &Heard, kept: (&str, &str)) {
    let seen = receive(&[request(method)], &bytes.concat());
    assert_eq!((&seen.heard[..], seen.end), (std::slice::from_ref(heard), Ok(())), "{bytes:?}");
    assert_eq!(seen.kept, [(kept.0.to_owned(), kept.1.to_owned())]);
}

/// One request, whose response is faulty: it fails alone, and the target is told.
fn faulty(method: &str, bytes: &[Vec<u8>], error: Error) {
    let after = headers(BOTH, 3, OK);
    let seen = receive(&[request(method), request("GET")], &[bytes.concat(), after].concat());
    assert_eq!(seen.heard, [failed(0, error), done(1, 200, 0)], "{bytes:?}");
    assert_eq!(seen.kept[0], Default::default());
    // A stream that both have ended needs no reset; one that fails within its last frame has not ended.
    let is_within = matches!(error, Error::UnexpectedBody | Error::Order("DATA before HEADERS"));
    let has_ended = bytes.iter().any(|frame| frame[4] & END_STREAM != 0) && !is_within;
    let resets = frames(&seen.output).into_iter().filter(|frame| frame.0 == 3).count();
    assert_eq!(resets, usize::from(!has_ended), "{bytes:?}");
}

/// What breaks the connection, and what the target is told.
fn fatal(bytes: &[Vec<u8>], error: Error, code: u32) {
    let seen = receive(&[request("GET"), request("GET")], &bytes.concat());
    assert_eq!(seen.end, Err(AnyError::Http2(error)), "{bytes:?}");
    let goaway = [0_u32.to_be_bytes(), code.to_be_bytes()].concat();
    assert_eq!(frames(&seen.output).last(), Some(&(7, 0, 0, &goaway[..])), "{bytes:?}");
}

#[test]
fn responses_end_with_their_stream() {
    one("GET", &[&headers(BOTH, 1, OK)], &done(0, 200, 0), ("", ""));
    one(
        "GET",
        &[&headers(END_HEADERS, 1, OK), &data(END_STREAM, 1, b"pong")],
        &done(0, 200, 4),
        ("", "pong"),
    );
    one(
        "GET",
        &[
            &headers(END_HEADERS, 1, OK),
            &data(0, 1, b"po"),
            &data(0, 1, b""),
            &data(0, 1, b"ng"),
            &data(1, 1, b""),
        ],
        &done(0, 200, 4),
        ("", "pong"),
    );
    let body = [b'x'; 40];
    one(
        "GET",
        &[&headers(END_HEADERS, 1, OK), &data(END_STREAM, 1, &body)],
        &done(0, 200, 40),
        ("", "xxxxxxxxxxxxxxxx"),
    );
    let fields = block(&[(":status", "404"), ("content-length", "2"), ("a", "b, c"), ("set-cookie", "")]);
    one(
        "GET",
        &[&headers(END_HEADERS, 1, &fields), &data(END_STREAM, 1, b"no")],
        &done(0, 404, 2),
        ("content-length: 2\r\na: b, c\r\nset-cookie: \r\n", "no"),
    );
    one("GET", &[&headers(BOTH, 1, &block(&[(":status", "999")]))], &done(0, 999, 0), ("", ""));
}

#[test]
fn padding_and_priorities_are_taken_off() {
    let padded = |flags: u8, body: &[u8], padding: u8| {
        let payload = [&[padding][..], body, &vec![0; usize::from(padding)]].concat();
        data(flags | PADDED, 1, &payload)
    };
    let head = headers(END_HEADERS, 1, OK);
    one("GET", &[&head, &padded(1, b"pong", 5)], &done(0, 200, 4), ("", "pong"));
    one(
        "GET",
        &[&head, &padded(0, b"", 5), &padded(0, b"po", 0), &padded(1, b"", 0)],
        &done(0, 200, 2),
        ("", "po"),
    );
    one("GET", &[&headers(BOTH | PADDED, 1, b"\x03\x88\0\0\0")], &done(0, 200, 0), ("", ""));
    one("GET", &[&headers(BOTH | HAS_PRIORITY, 1, b"\0\0\0\0\x10\x88")], &done(0, 200, 0), ("", ""));
    one("GET", &[&headers(BOTH | 0x28, 1, b"\x01\0\0\0\0\x10\x88\0")], &done(0, 200, 0), ("", ""));

    fatal(&[head.clone(), data(PADDED, 1, b"")], Error::Padding, 1);
    fatal(&[head.clone(), data(PADDED, 1, b"\x01")], Error::Padding, 1);
    fatal(&[head, data(PADDED, 1, b"\x05abcd")], Error::Padding, 1);
    fatal(&[headers(BOTH | PADDED, 1, b"")], Error::Padding, 1);
    fatal(&[headers(BOTH | PADDED, 1, b"\x02\x88")], Error::Padding, 1);
    fatal(&[headers(BOTH | HAS_PRIORITY, 1, b"\0\0\0")], Error::Padding, 1);
}

#[test]
fn blocks_may_come_in_pieces() {
    let fields = block(&[(":status", "200"), ("a", "b")]);
    let (left, right) = fields.split_at(5);
    let rest =
        [frame(9, 0, 1, &right[..4]), frame(9, 0, 1, b""), frame(9, END_HEADERS, 1, &right[4..])].concat();
    one("GET", &[&headers(END_STREAM, 1, left), &rest], &done(0, 200, 0), ("a: b\r\n", ""));
    one("GET", &[&headers(0, 1, left), &rest, &data(1, 1, b"x")], &done(0, 200, 1), ("a: b\r\n", "x"));
    for other in [
        data(0, 1, b""),
        headers(BOTH, 1, OK),
        frame(6, 0, 0, &[0; 8]),
        frame(9, 4, 3, b""),
        frame(99, 0, 0, b""),
    ] {
        let name = ["DATA", "HEADERS", "", "", "", "", "PING", "", "", "CONTINUATION"];
        let name = name.get(usize::from(other[3])).copied().unwrap_or("unknown");
        fatal(&[headers(0, 1, left), other], Error::Interleaved(name), 1);
    }
    fatal(&[frame(9, END_HEADERS, 1, OK)], Error::Interleaved("CONTINUATION"), 1);
    fatal(&[frame(9, END_HEADERS, 0, OK)], Error::Interleaved("CONTINUATION"), 1);
}

#[test]
fn informational_responses_and_trailers_are_passed_over() {
    let early = headers(END_HEADERS, 1, &block(&[(":status", "103"), ("link", "x")]));
    let head = headers(END_HEADERS, 1, &block(&[(":status", "200"), ("a", "b")]));
    let trailers = headers(BOTH, 1, &block(&[("grpc-status", "0")]));
    one("GET", &[&early, &early, &head, &data(1, 1, b"x")], &done(0, 200, 1), ("a: b\r\n", "x"));
    one("GET", &[&head, &data(0, 1, b"x"), &trailers], &done(0, 200, 1), ("a: b\r\n", "x"));
    one("GET", &[&head, &trailers], &done(0, 200, 0), ("a: b\r\n", ""));

    let end = |fields: &[(&str, &str)]| headers(BOTH, 1, &block(fields));
    faulty("GET", &[end(&[(":status", "100")])], Error::Order("the end behind an informational response"));
    faulty("GET", &[early.clone(), data(0, 1, b"x")], Error::Order("DATA before HEADERS"));
    faulty("GET", &[data(END_STREAM, 1, b"")], Error::Order("DATA before HEADERS"));
    faulty("GET", &[head.clone(), head.clone()], Error::PseudoHeader);
    faulty("GET", &[head.clone(), headers(END_HEADERS, 1, b"")], Error::Order("headers within the body"));
    faulty("GET", &[head.clone(), end(&[(":status", "200")])], Error::PseudoHeader);
    faulty("GET", &[head, end(&[("A", "b")])], Error::Header);
}

#[test]
fn some_responses_have_no_body() {
    let head =
        |status: &str| headers(END_HEADERS, 1, &block(&[(":status", status), ("content-length", "4")]));
    let end = data(END_STREAM, 1, b"");
    let length = "content-length: 4\r\n";
    one("HEAD", &[&head("200"), &end], &done(0, 200, 0), (length, ""));
    one("GET", &[&head("304"), &end], &done(0, 304, 0), (length, ""));
    one("GET", &[&headers(BOTH, 1, &block(&[(":status", "204")]))], &done(0, 204, 0), ("", ""));
    faulty("HEAD", &[head("200"), data(1, 1, b"pong")], Error::UnexpectedBody);
    faulty("GET", &[head("204"), data(0, 1, b"x")], Error::UnexpectedBody);
    faulty("GET", &[head("304"), data(0, 1, b"x")], Error::UnexpectedBody);
}

#[test]
fn a_length_must_be_that_of_the_body() {
    let head = |flags: u8, length: &str| {
        headers(flags, 1, &block(&[(":status", "200"), ("content-length", length)]))
    };
    let twice = [(":status", "200"), ("content-length", "1"), ("content-length", "1")];
    let (h, x) = (headers(END_HEADERS, 1, &block(&twice)), data(1, 1, b"x"));
    one("GET", &[&h, &x], &done(0, 200, 1), ("content-length: 1\r\ncontent-length: 1\r\n", "x"));
    faulty("GET", &[head(BOTH, "1")], Error::ContentLength);
    faulty("GET", &[head(END_HEADERS, "2"), x.clone()], Error::ContentLength);
    faulty("GET", &[head(END_HEADERS, "1"), data(0, 1, b"xy")], Error::ContentLength);
    faulty("GET", &[head(END_HEADERS, "1"), data(0, 1, b"x"), data(0, 1, b"yz")], Error::ContentLength);
    for length in ["", "-1", "+1", "1x", "1, 1", " 1", "18446744073709551616"] {
        faulty("GET", &[head(BOTH, length)], Error::ContentLength);
    }
    let contradiction = [(":status", "200"), ("content-length", "1"), ("content-length", "2")];
    faulty("GET", &[headers(BOTH, 1, &block(&contradiction))], Error::ContentLength);
}

#[test]
fn malformed_heads_fail_alone() {
    let head = |fields: &[(&str, &str)]| [headers(BOTH, 1, &block(fields))];
    for status in ["", "20", "2000", "2x0", "099", "+20", "101"] {
        faulty("GET", &head(&[(":status", status)]), Error::Status);
    }
    faulty("GET", &head(&[]), Error::Status);
    faulty("GET", &head(&[("a", "b")]), Error::Status);
    faulty("GET", &head(&[(":status", "200"), (":status", "200")]), Error::Status);
    faulty("GET", &head(&[("a", "b"), (":status", "200")]), Error::PseudoHeader);
    faulty("GET", &head(&[(":status", "200"), (":path", "/")]), Error::PseudoHeader);
    for (name, value) in
        [("A", "b"), ("", "b"), ("a b", "c"), ("a:", "b"), ("é", "a"), ("a", "b\r\nc: d"), ("a", "\0")]
    {
        faulty("GET", &head(&[(":status", "200"), (name, value)]), Error::Header);
    }
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        faulty("GET", &head(&[(":status", "200"), (name, "x")]), Error::ConnectionHeader);
    }
}

/// A faulty response may name what later ones refer to.
#[test]
fn the_table_outlives_faulty_and_forgotten_responses() {
    let insert = |name: &str| [&[0x40, 1][..], name.as_bytes(), &[1], b"v"].concat();
    let bytes = [
        headers(BOTH, 1, &insert("A")),
        headers(BOTH, 1, &[OK, &insert("b")].concat()),
        headers(BOTH, 3, &[OK, b"\xbe"].concat()),
    ];
    let seen = receive(&[request("GET"), request("GET")], &bytes.concat());
    assert_eq!(seen.heard, [failed(0, Error::Header), done(1, 200, 0)]);
    assert_eq!(seen.kept[1].0, "b: v\r\n");
}

#[test]
fn streams_end_in_any_order() {
    let bytes = [
        headers(END_HEADERS, 5, OK),
        headers(END_HEADERS, 1, OK),
        data(0, 5, b"fi"),
        headers(BOTH, 3, &block(&[(":status", "404")])),
        data(END_STREAM, 1, b"first"),
        frame(2, 0, 7, &[0; 5]),
        frame(99, 0xff, 8, b"unknown"),
        data(END_STREAM, 5, b"ve"),
    ];
    let seen = receive(&[request("GET"), request("GET"), request("GET")], &bytes.concat());
    assert_eq!(seen.heard, [done(1, 404, 0), done(0, 200, 5), done(2, 200, 4)]);
    assert_eq!(seen.kept.map_bodies(), ["first", "", "five"]);
    assert_eq!(frames(&seen.output), [(4, 1, 0, &b""[..])], "only the settings are acknowledged");
}

trait Bodies {
    fn map_bodies(&self) -> Vec<&str>;
}

impl Bodies for Vec<(String, String)> {
    fn map_bodies(&self) -> Vec<&str> {
        self.iter().map(|(_, body)| &body[..]).collect()
    }
}

#[test]
fn resets_fail_alone() {
    let after = headers(BOTH, 3, OK);
    for (code, error) in [
        (7, Error::Refused),
        (2, Error::Reset(Code(2))),
        (0, Error::Reset(Code(0))),
        (99, Error::Reset(Code(99))),
    ] {
        let bytes = [rst_stream(1, code), after.clone()].concat();
        let seen = receive(&[request("GET"), request("GET")], &bytes);
        assert_eq!(seen.heard, [failed(0, error), done(1, 200, 0)]);
        let bytes =
            [headers(END_HEADERS, 1, OK), data(0, 1, b"x"), rst_stream(1, code), after.clone()].concat();
        assert_eq!(
            receive(&[request("GET"), request("GET")], &bytes).heard,
            [failed(0, error), done(1, 200, 0)]
        );
    }
    // After the end of the response it only says that the rest of the request is not wanted.
    let bytes = [headers(BOTH, 1, OK), rst_stream(1, 0), after].concat();
    assert_eq!(receive(&[request("GET"), request("GET")], &bytes).heard, [done(0, 200, 0), done(1, 200, 0)]);
}

#[test]
fn what_breaks_the_rules_breaks_the_connection() {
    let head = headers(END_HEADERS, 1, OK);
    let sized = |kind: u8, length: usize| vec![frame(kind, 0, u32::from(kind == 3), &vec![0; length])];
    for (kind, name, wrong) in [
        (3, "RST_STREAM", &[3, 5][..]),
        (4, "SETTINGS", &[5, 7]),
        (6, "PING", &[7, 9]),
        (7, "GOAWAY", &[7]),
        (8, "WINDOW_UPDATE", &[3, 5]),
    ] {
        for length in wrong {
            fatal(&sized(kind, *length), Error::FrameLength(name), 6);
        }
    }
    fatal(&[frame(4, 1, 0, &[0; 6])], Error::FrameLength("SETTINGS"), 6);
    fatal(&[vec![0, 0x40, 1, 0, 0, 0, 0, 0, 1]], Error::FrameTooLarge(16_385), 6);
    for (kind, name) in [(0, "DATA"), (1, "HEADERS"), (3, "RST_STREAM")] {
        for stream in [0, 2, 5, 0x7fff_ffff] {
            fatal(&[frame(kind, 0, stream, &[0; 4])], Error::Stream(name), 1);
        }
    }
    for (kind, name, length) in [(4, "SETTINGS", 0), (6, "PING", 8), (7, "GOAWAY", 8)] {
        fatal(&[frame(kind, 0, 1, &vec![0; length])], Error::Stream(name), 1);
    }
    fatal(&[window_update(5, 1)], Error::Stream("WINDOW_UPDATE"), 1);
    fatal(&[frame(2, 0, 0, &[0; 5])], Error::Stream("PRIORITY"), 1);
    fatal(&[frame(5, 4, 1, b"\0\0\0\x02\x88")], Error::Push, 1);
    fatal(&[headers(BOTH, 1, OK), head.clone()], Error::StreamClosed("HEADERS"), 5);
    fatal(&[headers(BOTH, 1, OK), data(0, 1, b"x")], Error::StreamClosed("DATA"), 5);
    fatal(&[window_update(0, 0)], Error::Window, 3);
    fatal(&[window_update(0, 0x7fff_ffff)], Error::Window, 3);
    for (id, value, code) in [(2, 1, 1), (2, 2, 1), (4, 0x8000_0000, 3), (5, 16_383, 1), (5, 0x100_0000, 1)] {
        fatal(&[settings(&[(id, value)])], Error::Setting { id, value }, code);
    }
    for (block, error) in [
        (&b"\x80"[..], HpackError::Index(0)),
        (b"\xbe", HpackError::Index(62)),
        (b"\xff\xff\xff\xff\xff\x7f", HpackError::Integer),
        (b"\x88\x20", HpackError::Resize),
        (b"\x3f\xe2\x1f\x88", HpackError::Resize),
        (b"\x00\x01", HpackError::Truncated),
        (b"\x00\x01a\x05b", HpackError::Truncated),
        (b"\x00\x81\xff\x00", HpackError::Huffman),
    ] {
        fatal(&[headers(BOTH, 1, block)], Error::Hpack(error), 9);
        fatal(&[head.clone(), headers(BOTH, 1, block)], Error::Hpack(error), 9);
    }
}

/// What does not begin with settings speaks something else.
#[test]
fn another_protocol_is_told_apart() {
    for bytes in
        [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"SSH-2.0-OpenSSH_9.2\r\n", &[0; 9], &frame(4, 1, 0, b"")]
    {
        let seen = converse(&[request("GET")], protocol::Want::default(), [bytes]);
        assert_eq!(seen.end, Err(AnyError::Http2(Error::Preface)));
        assert_eq!(converse(&[request("GET")], protocol::Want::default(), bytes.chunks(1)), seen);
    }
}

#[test]
fn the_end_is_told_by_what_had_come() {
    let two = [request("GET"), request("GET")];
    let after = |bytes: &[Vec<u8>]| {
        let seen = receive(&two, &bytes.concat());
        (seen.heard, seen.end)
    };
    let head = headers(END_HEADERS, 1, OK);
    assert_eq!(after(&[]), (vec![], Err(AnyError::Unanswered)));
    assert_eq!(after(&[headers(BOTH, 1, OK)]), (vec![done(0, 200, 0)], Err(AnyError::Unanswered)));
    assert_eq!(
        after(std::slice::from_ref(&head)),
        (vec![Heard::Failed(0, AnyError::Truncated)], Err(AnyError::Unanswered))
    );
    assert_eq!(after(&[head, headers(BOTH, 3, OK)]), (vec![done(1, 200, 0)], Err(AnyError::Truncated)));
    let gone = Err(AnyError::Http2(Error::GoneAway(Code(11))));
    assert_eq!(after(&[goaway(3, 11)]), (vec![], gone));
    assert_eq!(after(&[headers(BOTH, 1, OK), headers(BOTH, 3, OK)]).1, Ok(()));
}
