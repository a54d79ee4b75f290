//! What concerns a connection as a whole: its windows, its streams, its end, and what it bears.

use protocol::http2::{Error, HpackError, Http2, MAX_FRAME_BYTES, MAX_IDLE_FRAMES, render};
use protocol::{Error as AnyError, Heard, Protocol, Session, Want};

use crate::wire::*;

/// A session whose server has said `said`.
fn greeted(http2: Http2, said: &[(u16, u32)]) -> Box<dyn Session> {
    let mut session = session(http2);
    assert_eq!(hear(&mut *session, &settings(said)), Ok(vec![]));
    assert_eq!(frames(&output(&mut *session)), [(4, 1, 0, &b""[..])]);
    session
}

/// Bytes of bodies that went, by stream, and whether the last frame ended it.
fn sent(session: &mut dyn Session) -> Vec<(u32, usize, bool)> {
    let bytes = output(session);
    let data = frames(&bytes).into_iter().filter(|frame| frame.0 == 0);
    data.map(|frame| (frame.2, frame.3.len(), frame.1 == END_STREAM)).collect()
}

#[test]
fn a_connection_opens_with_preface_settings_and_window() {
    let mut session = Http2 { streams: 10, window: 1 << 20 }.session();
    session.start(&mut Vec::new());
    let opening = output(&mut *session);
    let rest = opening.strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    let said = settings(&[(1, 4096), (2, 0), (4, 1 << 20), (6, 65_536)]);
    assert_eq!(rest, [said, window_update(0, (10 << 20) - 65_535)].concat());
    // A window that is no larger than the first one needs no update, and extremes are brought into range.
    let mut small = Http2 { streams: 1, window: 0 }.session();
    small.start(&mut Vec::new());
    assert_eq!(frames(&output(&mut *small)[24..]).len(), 1);
    let mut large = Http2 { streams: u32::MAX, window: u32::MAX }.session();
    large.start(&mut Vec::new());
    assert!(output(&mut *large).ends_with(&window_update(0, 0x7fff_ffff - 65_535)));
}

#[test]
fn as_many_streams_as_both_allow() {
    let get = request("GET");
    let mut session = session(Http2::new(200));
    assert_eq!(session.room(), 100, "before the target has spoken");
    begin(&mut *session, 0, &get);
    hear(&mut *session, &settings(&[(3, 150)])).unwrap();
    assert_eq!(session.room(), 149);
    hear(&mut *session, &settings(&[(4, 1)])).unwrap();
    assert_eq!(session.room(), 149, "what is not said again stays");
    hear(&mut *session, &settings(&[(3, 0)])).unwrap();
    assert_eq!(session.room(), 0);
    hear(&mut *session, &settings(&[(3, 1000)])).unwrap();
    assert_eq!(session.room(), 199);
    assert_eq!(hear(&mut *session, &headers(BOTH, 1, OK)), Ok(vec![done(0, 200, 0)]));
    assert_eq!(session.room(), 200);
    assert_eq!(greeted(Http2::new(10), &[]).room(), 10);
    assert_eq!(greeted(Http2::new(0), &[]).room(), 1);
}

/// A stream that stays open does not stand in the way of the others, whatever their number.
#[test]
fn numbers_pass_over_streams_that_stay_open() {
    let get = request("GET");
    let mut session = greeted(Http2::new(3), &[]);
    begin(&mut *session, 7, &get);
    output(&mut *session);
    let mut last = 1;
    for round in 0..100 {
        begin(&mut *session, 0, &get);
        begin(&mut *session, 1, &get);
        let ids: Vec<u32> = frames(&output(&mut *session)).iter().map(|frame| frame.2).collect();
        assert!(last < ids[0] && ids[0] < ids[1] && ids[1] <= last + 6, "{ids:?}");
        last = ids[1];
        let answers = [headers(BOTH, ids[1], OK), headers(BOTH, ids[0], OK)].concat();
        assert_eq!(hear(&mut *session, &answers), Ok(vec![done(1, 200, 0), done(0, 200, 0)]), "{round}");
    }
    assert_eq!(hear(&mut *session, &headers(BOTH, 1, OK)), Ok(vec![done(7, 200, 0)]));
}

#[test]
fn the_first_byte_of_a_response_is_told_once() {
    let mut session = greeted(Http2::new(3), &[]);
    begin(&mut *session, 4, &request("GET"));
    let early = headers(END_HEADERS, 1, &block(&[(":status", "103")]));
    assert_eq!(hear(&mut *session, &early), Ok(vec![Heard::Started(4)]));
    assert_eq!(hear(&mut *session, &headers(END_HEADERS, 1, OK)), Ok(vec![]));
    assert_eq!(hear(&mut *session, &data(END_STREAM, 1, b"x")), Ok(vec![done(4, 200, 1)]));
}

#[test]
fn windows_are_opened_again_once_half_is_used() {
    let mut session = greeted(Http2 { streams: 2, window: 40_000 }, &[]);
    begin(&mut *session, 0, &request("GET"));
    output(&mut *session);
    hear(&mut *session, &headers(END_HEADERS, 1, OK)).unwrap();
    let chunk = data(0, 1, &[b'x'; 10_000]);
    for (round, expected) in [
        vec![],
        vec![],
        // Of the stream 20,000 are left, then 10,000; of the connection's 80,000, 50,000.
        vec![(1, 30_000)],
        vec![],
        vec![(0, 50_000)],
        vec![(1, 30_000)],
    ]
    .into_iter()
    .enumerate()
    {
        hear(&mut *session, &chunk).unwrap();
        let expected: Vec<u8> =
            expected.into_iter().flat_map(|(id, bytes)| window_update(id, bytes)).collect();
        assert_eq!(output(&mut *session), expected, "{round}");
    }
    // A stream that ends needs no window.
    hear(&mut *session, &data(0, 1, &[b'x'; 16_000])).unwrap();
    assert_eq!(hear(&mut *session, &data(END_STREAM, 1, &[b'x'; 8_000])), Ok(vec![done(0, 200, 84_000)]));
    assert_eq!(output(&mut *session), b"");
}

#[test]
fn windows_bind_the_target() {
    let fill = |window: u32, last: usize| {
        let mut session = greeted(Http2 { streams: 1, window }, &[]);
        begin(&mut *session, 0, &request("GET"));
        output(&mut *session);
        hear(&mut *session, &headers(END_HEADERS, 1, OK)).unwrap();
        hear(&mut *session, &data(0, 1, &[b'x'; 5_000])).unwrap();
        hear(&mut *session, &data(0, 1, &vec![b'x'; last]))
    };
    assert_eq!(fill(10_000, 5_000), Ok(vec![]));
    assert_eq!(fill(10_000, 5_001), Err(AnyError::Http2(Error::FlowControl)));
    // Padding counts.
    let mut session = greeted(Http2 { streams: 1, window: 3 }, &[]);
    begin(&mut *session, 0, &request("GET"));
    hear(&mut *session, &headers(END_HEADERS, 1, OK)).unwrap();
    assert_eq!(
        hear(&mut *session, &data(PADDED, 1, b"\x03\0\0\0")),
        Err(AnyError::Http2(Error::FlowControl))
    );
}

/// What comes for a stream that is given up counts for the connection's window, and is forgotten.
#[test]
fn a_cancelled_stream_is_reset_and_its_frames_ignored() {
    let mut session = greeted(Http2 { streams: 2, window: 65_536 }, &[]);
    let get = request("GET");
    begin(&mut *session, 5, &get);
    begin(&mut *session, 6, &get);
    output(&mut *session);
    hear(&mut *session, &headers(END_HEADERS, 1, OK)).unwrap();
    let (left, right) = (&data(0, 1, b"some")[..11], &data(0, 1, b"some")[11..]);
    hear(&mut *session, left).unwrap();
    assert!(session.cancel(5));
    assert_eq!(output(&mut *session), rst_stream(1, 8));
    assert_eq!(session.room(), 1);
    assert_eq!(hear(&mut *session, right), Ok(vec![]));
    for _ in 0..4 {
        assert_eq!(hear(&mut *session, &data(0, 1, &[0; MAX_FRAME_BYTES])), Ok(vec![]));
    }
    let used = 4 + 4 * 16_384;
    assert_eq!(output(&mut *session), window_update(0, used), "the connection's window is kept open");
    let insert = [OK, b"\x40\x01a\x01b"].concat();
    let late = [headers(BOTH, 1, &insert), rst_stream(1, 8), window_update(1, 5), data(1, 1, b"x")].concat();
    assert_eq!(hear(&mut *session, &late), Ok(vec![]));
    assert_eq!(hear(&mut *session, &headers(BOTH, 3, b"\x88\xbe")), Ok(vec![done(6, 200, 0)]));
    assert!(session.cancel(5), "nothing is out with this tag");
    assert_eq!(output(&mut *session), b"");
}

#[test]
fn bodies_go_as_far_as_the_windows() {
    let mut session = greeted(Http2::new(3), &[(4, 30_000)]);
    let (small, large) = (posting(&[b's'; 100]), posting(&[b'l'; 100_000]));
    begin(&mut *session, 0, &small);
    assert_eq!(sent(&mut *session), [(1, 100, true)]);
    begin(&mut *session, 1, &large);
    begin(&mut *session, 2, &large);
    // In turn, until the windows of both streams are full, then that of the connection.
    let first = [(3, 16_384, false), (5, 16_384, false), (3, 13_616, false), (5, 13_616, false)];
    assert_eq!(sent(&mut *session), first);
    hear(&mut *session, &window_update(3, 70_000)).unwrap();
    assert_eq!(sent(&mut *session), [(3, 65_535 - 100 - 60_000, false)]);
    hear(&mut *session, &window_update(0, 1_000_000)).unwrap();
    let lengths: usize = sent(&mut *session)
        .iter()
        .map(|(stream, length, _)| {
            assert_eq!(*stream, 3);
            length
        })
        .sum();
    assert_eq!(lengths, 100_000 - 30_000 - 5_435);
    // The first window is taken back, so that of the stream is below zero, and given again.
    hear(&mut *session, &settings(&[(4, 0)])).unwrap();
    hear(&mut *session, &window_update(5, 30_000)).unwrap();
    assert_eq!(sent(&mut *session), []);
    hear(&mut *session, &window_update(5, 1)).unwrap();
    assert_eq!(sent(&mut *session), [(5, 1, false)]);
    hear(&mut *session, &window_update(5, 1)).unwrap();
    let too_far = hear(&mut *session, &settings(&[(4, 0x7fff_ffff)]));
    assert_eq!(too_far, Err(AnyError::Http2(Error::Window)));
}

#[test]
fn a_window_may_come_with_the_settings() {
    let mut session = session(Http2::new(3));
    begin(&mut *session, 0, &posting(&[b'x'; 70_000]));
    assert_eq!(sent(&mut *session).iter().map(|(_, length, _)| length).sum::<usize>(), 65_535);
    hear(&mut *session, &[settings(&[(4, 70_000)]), window_update(0, 4_465)].concat()).unwrap();
    assert_eq!(sent(&mut *session), [(1, 4_465, true)]);
    assert_eq!(hear(&mut *session, &headers(BOTH, 1, OK)), Ok(vec![done(0, 200, 0)]));
    // A stream's window that is opened by nothing or too far fails its request alone.
    for bytes in [0, 0x7fff_ffff] {
        begin(&mut *session, 0, &request("GET"));
        let id = frames(&output(&mut *session))[0].2;
        assert_eq!(hear(&mut *session, &window_update(id, bytes)), Ok(vec![failed(0, Error::Window)]));
        assert_eq!(output(&mut *session), rst_stream(id, 3));
    }
}

#[test]
fn an_early_response_ends_the_body() {
    let mut session = greeted(Http2::new(2), &[(4, 10)]);
    begin(&mut *session, 0, &posting(&[b'x'; 100]));
    assert_eq!(sent(&mut *session), [(1, 10, false)]);
    let refusal = headers(BOTH, 1, &block(&[(":status", "413")]));
    assert_eq!(hear(&mut *session, &[refusal, rst_stream(1, 0)].concat()), Ok(vec![done(0, 413, 0)]));
    assert_eq!(output(&mut *session), rst_stream(1, 8));
    hear(&mut *session, &window_update(1, 1000)).unwrap();
    assert_eq!(output(&mut *session), b"");
    // As does giving up.
    begin(&mut *session, 0, &posting(&[b'x'; 100]));
    output(&mut *session);
    assert!(session.cancel(0));
    output(&mut *session);
    hear(&mut *session, &settings(&[(4, 1000)])).unwrap();
    assert_eq!(sent(&mut *session), []);
}

#[test]
fn a_body_may_wait_for_permission() {
    let mut waiting = parts("POST", &[], b"body");
    waiting.expects_continue = true;
    let waiting = render(&waiting).unwrap();
    let mut session = greeted(Http2::new(3), &[]);
    for tag in 0..3 {
        begin(&mut *session, tag, &waiting);
    }
    assert!(session.is_held_back());
    assert_eq!(sent(&mut *session), []);
    hear(&mut *session, &headers(END_HEADERS, 3, &block(&[(":status", "100")]))).unwrap();
    assert_eq!(sent(&mut *session), [(3, 4, true)]);
    let refusal = headers(BOTH, 5, &block(&[(":status", "417")]));
    assert_eq!(hear(&mut *session, &refusal), Ok(vec![done(2, 417, 0)]));
    assert!(session.is_held_back());
    session.proceed();
    assert!(!session.is_held_back());
    assert_eq!(sent(&mut *session), [(1, 4, true)]);
}

#[test]
fn a_goaway_ends_what_it_does_not_cover() {
    let mut session = greeted(Http2::new(4), &[]);
    for tag in 0..3 {
        begin(&mut *session, tag, &request("GET"));
    }
    assert_eq!(hear(&mut *session, &goaway(0x7fff_ffff, 0)), Ok(vec![]), "a warning");
    assert_eq!(session.room(), 0);
    assert_eq!(hear(&mut *session, &goaway(3, 0)), Ok(vec![failed(2, Error::Refused)]));
    let last = protocol::Response { status: 200, keep_alive: false, body_bytes: 0 };
    assert_eq!(hear(&mut *session, &headers(BOTH, 3, OK)), Ok(vec![Heard::Done(1, last)]));
    assert_eq!(hear(&mut *session, &settings(&[(3, 50)])), Ok(vec![]));
    assert_eq!(session.room(), 0, "for ever");
    assert_eq!(hear(&mut *session, &headers(BOTH, 1, OK)), Ok(vec![Heard::Done(0, last)]));
    assert_eq!(session.end(&mut Vec::new()), Ok(()));
}

#[test]
fn pings_are_answered_and_acknowledgements_are_not() {
    let mut session = greeted(Http2::new(1), &[]);
    hear(&mut *session, &frame(6, 0, 0, b"12345678")).unwrap();
    assert_eq!(output(&mut *session), frame(6, 1, 0, b"12345678"));
    hear(&mut *session, &[frame(6, 1, 0, b"12345678"), frame(4, 1, 0, b"")].concat()).unwrap();
    assert_eq!(output(&mut *session), b"");
}

#[test]
fn a_session_is_used_again() {
    let get = request("GET");
    let want = Want { body: 8, headers: true };
    let mut session = session(Http2::new(2));
    for bytes in [
        [settings(&[(1, 0), (3, 1)]), headers(0, 1, OK)].concat(),
        [settings(&[]), headers(END_HEADERS, 1, b"\x88\x40\x01a\x01b"), data(0, 1, b"half")[..11].to_vec()]
            .concat(),
        b"nonsense!".to_vec(),
        [settings(&[]), goaway(0, 1)].concat(),
        settings(&[])[..5].to_vec(),
    ] {
        session.begin(0, &get, want);
        drop(hear(&mut *session, &bytes));
        session.reset();
        assert_eq!((session.room(), output(&mut *session), session.kept(0).body), (0, vec![], &b""[..]));
        session.start(&mut Vec::new());
        output(&mut *session);
        session.begin(0, &get, want);
        assert_eq!(frames(&output(&mut *session))[0].2, 1);
        assert_eq!(session.room(), 1);
        let answer = [settings(&[]), headers(END_HEADERS, 1, OK), data(1, 1, b"ok")].concat();
        assert_eq!(hear(&mut *session, &answer), Ok(vec![done(0, 200, 2)]));
        assert_eq!(session.kept(0).body, b"ok");
        hear(&mut *session, &headers(BOTH, 1, OK)).unwrap_err();
        assert_eq!(session.room(), 0);
        session.reset();
        session.start(&mut Vec::new());
        output(&mut *session);
    }
}

#[test]
fn what_was_kept_stays_until_its_tag_is_used_again() {
    let get = request("GET");
    let mut session = greeted(Http2::new(2), &[]);
    let mut id = 1;
    let mut exchange = |session: &mut dyn Session, tag: u32, want: usize, body: &[u8]| {
        session.begin(tag, &get, Want { body: want, headers: false });
        let answer = [headers(END_HEADERS, id, OK), data(1, id, body)].concat();
        assert_eq!(hear(session, &answer), Ok(vec![done(tag, 200, body.len() as u64)]));
        id += 2;
    };
    exchange(&mut *session, 1, 8, b"one");
    exchange(&mut *session, 2, 8, b"two");
    exchange(&mut *session, 3, 0, b"three");
    assert_eq!([1, 2, 3].map(|tag| session.kept(tag).body), [&b"one"[..], b"two", b""]);
    exchange(&mut *session, 1, 2, b"again");
    exchange(&mut *session, 2, 0, b"not");
    assert_eq!([1, 2, 3].map(|tag| session.kept(tag).body), [&b"ag"[..], b"", b""]);
    // Twice as many as streams are remembered, whatever the tags.
    for tag in 10..100 {
        exchange(&mut *session, tag, 8, b"many");
        assert_eq!(session.kept(tag).body, b"many");
    }
    assert_eq!((session.kept(98).body, session.kept(95).body), (&b"many"[..], &b""[..]));
}

/// A block that came before is recognised without decoding, which must not show.
#[test]
fn a_familiar_block_means_the_same() {
    let get = request("GET");
    let mut session = greeted(Http2::new(2), &[]);
    let insert = [&b"\x48\x03"[..], b"201"].concat();
    let other = [&b"\x48\x03"[..], b"202"].concat();
    let rounds: [(&[u8], u16); 12] = [
        (&insert, 201),
        (b"\xbe", 201),
        (b"\xbe", 201),
        (&other, 202),
        (b"\xbe", 202),
        (b"\xbf", 201),
        (b"\xbe", 202),
        (OK, 200),
        (&insert, 201),
        (b"\xbe", 201),
        (b"\xbf", 202),
        (b"\x20\x88", 200),
    ];
    for (round, (block, status)) in rounds.into_iter().enumerate() {
        begin(&mut *session, 0, &get);
        let id = u32::try_from(2 * round + 1).unwrap();
        assert_eq!(hear(&mut *session, &headers(BOTH, id, block)), Ok(vec![done(0, status, 0)]), "{round}");
    }
    begin(&mut *session, 0, &get);
    let error = hear(&mut *session, &headers(BOTH, 25, b"\xbe"));
    assert_eq!(error, Err(AnyError::Http2(Error::Hpack(HpackError::Index(62)))), "the table was emptied");
}

/// The same frame again and again until the connection breaks; how many there were.
fn flood(session: &mut dyn Session, frame: &[u8]) -> (u32, AnyError) {
    for count in 0..1_000_000 {
        assert!(session.output().len() < 100_000);
        if let Err(error) = hear(session, frame) {
            return (count, error);
        }
    }
    panic!("no end of {}", frame.escape_ascii());
}

#[test]
fn floods_have_an_end() {
    let open = || {
        let mut session = greeted(Http2::new(1), &[]);
        begin(&mut *session, 0, &request("GET"));
        output(&mut *session);
        session
    };
    for (frame, limit) in [(frame(6, 0, 0, &[0; 8]), 1000), (settings(&[]), 2000)] {
        let (count, error) = flood(&mut *open(), &frame);
        assert_eq!(error, AnyError::Http2(Error::Flood));
        assert!(count < limit);
        // They may be as many as they like where the answers go.
        let mut session = open();
        for _ in 0..10_000 {
            hear(&mut *session, &frame).unwrap();
            output(&mut *session);
        }
    }
    let empty = [frame(2, 0, 1, &[0; 5]), frame(99, 0, 0, b"x"), window_update(0, 1), window_update(1, 1)];
    for frame in empty {
        assert_eq!(flood(&mut *open(), &frame), (MAX_IDLE_FRAMES, AnyError::Http2(Error::Idle)));
    }
    let mut session = open();
    hear(&mut *session, &headers(END_HEADERS, 1, OK)).unwrap();
    assert_eq!(flood(&mut *session, &data(0, 1, b"")).1, AnyError::Http2(Error::Idle));
    let mut session = open();
    session.cancel(0);
    assert_eq!(flood(&mut *session, &data(0, 1, b"x")).1, AnyError::Http2(Error::Idle));
    // A block without an end, in pieces that are empty or not.
    for (piece, error) in [(&b""[..], Error::Idle), (&[0x88; 1000], Error::HeadTooLarge)] {
        let mut session = open();
        hear(&mut *session, &headers(0, 1, OK)).unwrap();
        assert_eq!(flood(&mut *session, &frame(9, 0, 1, piece)).1, AnyError::Http2(error));
    }
    // A field of kilobytes by an index of one byte.
    let mut session = open();
    let large = [&b"\x40\x01a\x7f\x81\x1e"[..], &[b'x'; 4000 - 32]].concat();
    let bomb = [OK, &large, &[0xbe; 20]].concat();
    let error = hear(&mut *session, &headers(BOTH, 1, &bomb)).unwrap_err();
    assert_eq!(error, AnyError::Http2(Error::Hpack(HpackError::TooLarge)));
}

/// Once buffers have their size, requests and responses cost no allocation: at ten streams, with and without bodies.
#[test]
fn nothing_is_allocated_in_steady_state() {
    const FIRST: [&[u8]; 2] = [b"\x88\x76\x85\x3e\x2c\x7c\x5f\x7f", b"\x88\xbe"];
    let requests = [request("GET"), posting(b"body")];
    let mut session = greeted(Http2::new(10), &[(4, 0x7fff_ffff)]);
    let mut heard = Vec::new();
    let mut answers = Vec::new();
    let mut turn = |block: &[u8], id: &mut u32| {
        answers.clear();
        for tag in 0..10 {
            session.begin(tag, &requests[tag as usize % 2], Want::default());
            for (kind, flags, payload) in [(1, END_HEADERS, block), (0, END_STREAM, b"pong")] {
                answers.extend_from_slice(&[0, 0, payload.len().to_le_bytes()[0], kind, flags]);
                answers.extend_from_slice(&id.to_be_bytes());
                answers.extend_from_slice(payload);
            }
            *id += 2;
        }
        answers.extend_from_slice(&[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 20]);
        session.output().clear();
        heard.clear();
        session.hear(&mut answers, &mut heard).unwrap();
        heard.len()
    };
    let mut id = 1;
    turn(FIRST[0], &mut id);
    turn(FIRST[1], &mut id);
    let mut responses = 0;
    let allocations = allocation_counter::measure(|| {
        for _ in 0..100 {
            responses += turn(FIRST[1], &mut id);
        }
    });
    assert_eq!((responses, allocations.count_total), (1000, 0));
}
