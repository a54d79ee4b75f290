//! The client's side of a connection, as the loops see it: each conversation is held whole, split at every byte and byte by
//! byte, and must come to the same.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use protocol::http1::{self, Http1};
use protocol::{Begun, Error, Heard, Kept, Parts, Protocol, Request, Response, Session, Want};

const TAG: u32 = 7;
const EVERYTHING: Want = Want { body: 1024, headers: true };

fn request(method: &str, headers: &[(&str, &str)], body: &[u8], expects_continue: bool) -> Request {
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (scheme, authority, path, user_agent) = ("http", "host", "/", "");
    let parts =
        Parts { method, scheme, authority, path, headers: &headers, body, user_agent, expects_continue };
    Http1.render(&parts).unwrap()
}

fn get() -> Request {
    request("GET", &[], b"", false)
}

/// A session on a connection that is there.
fn session() -> Box<dyn Session> {
    let mut session = Http1.session();
    assert_eq!(session.room(), 0);
    let mut heard = Vec::new();
    session.start(&mut heard);
    assert_eq!((heard, session.room()), (vec![Heard::Ready], 1));
    session
}

/// What a conversation came to.
#[derive(Debug, PartialEq)]
struct Seen {
    outcome: Result<Response, Error>,
    headers: String,
    body: String,
    /// All that was sent by way of `output`.
    output: String,
    room: u32,
}

/// Sends `request`, receives `slices`, then the end of the stream unless the response was complete.
fn converse<'b>(
    session: &mut dyn Session,
    request: &Request,
    slices: impl IntoIterator<Item = &'b [u8]>,
) -> Seen {
    let begun = session.begin(TAG, request, EVERYTHING);
    assert_eq!(begun, if request.expects_continue() { Begun::Queued } else { Begun::AsRendered });
    let (mut outcome, mut output, mut has_started) = (None, Vec::new(), false);
    for slice in slices {
        output.append(session.output());
        let mut heard = Vec::new();
        let result = session.hear(&mut slice.to_vec(), &mut heard);
        output.append(session.output());
        for heard in heard {
            match heard {
                Heard::Started(TAG) if outcome.is_none() => {
                    assert!(!std::mem::replace(&mut has_started, true), "started twice");
                }
                Heard::Done(TAG, response) if outcome.is_none() => outcome = Some(Ok(response)),
                other => panic!("{other:?} after {outcome:?}"),
            }
        }
        match (result, &mut outcome) {
            (Ok(()), _) => {}
            (Err(error), None) => outcome = Some(Err(error)),
            // What follows a response is only noticed at once when it came with its end.
            (Err(Error::Http1(http1::Error::Unsolicited)), Some(earlier)) => {
                if let Ok(response) = earlier {
                    response.keep_alive = false;
                }
            }
            (Err(error), Some(_)) => panic!("{error:?}"),
        }
    }
    output.append(session.output());
    let outcome = outcome.unwrap_or_else(|| {
        let mut heard = Vec::new();
        session.end(&mut heard).map(|()| match heard[..] {
            [Heard::Done(TAG, response)] => response,
            _ => panic!("{heard:?}"),
        })
    });
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let kept = session.kept(TAG);
    let (headers, body) = (text(kept.headers), text(kept.body));
    Seen { outcome, headers, body, output: text(&output), room: session.room() }
}

/// Holds the conversation in every way there is, all of which must come to the same; returns it.
fn hear(request: &Request, bytes: &str) -> Seen {
    let bytes = bytes.as_bytes();
    let whole = converse(&mut *session(), request, [bytes]);
    assert_eq!(converse(&mut *session(), request, bytes.chunks(1)), whole, "{}", bytes.escape_ascii());
    let mut used = session();
    for at in 0..bytes.len() {
        let (left, right) = bytes.split_at(at);
        let seen = converse(&mut *session(), request, [left, right]);
        assert_eq!(seen, whole, "split at {at}: {}", bytes.escape_ascii());
        // An empty slice says nothing.
        assert_eq!(converse(&mut *session(), request, [left, b"", right]), whole);
        // The same on a session that has had connections before, and may know the head.
        used.reset();
        used.start(&mut Vec::new());
        assert_eq!(converse(&mut *used, request, [left, right]), whole, "again, at {at}");
    }
    whole
}

fn done(status: u16, keep_alive: bool, headers: &str, body: &str, output: &str) -> Seen {
    let response = Response { status, keep_alive, body_bytes: body.len() as u64 };
    Seen {
        outcome: Ok(response),
        headers: headers.to_owned(),
        body: body.to_owned(),
        output: output.to_owned(),
        room: u32::from(keep_alive),
    }
}

#[test]
fn a_response_is_done_once_and_makes_room_when_the_connection_stays() {
    let with_length = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Y: z\r\n\r\npong";
    assert_eq!(hear(&get(), with_length), done(200, true, "Content-Length: 4\r\nX-Y: z\r\n", "pong", ""));
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nT: u\r\n\r\n";
    assert_eq!(hear(&get(), chunked), done(200, true, "Transfer-Encoding: chunked\r\n", "abcd", ""));
    let closing = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
    assert_eq!(
        hear(&get(), closing),
        done(404, false, "Connection: close\r\nContent-Length: 2\r\n", "no", "")
    );
    let to_the_end = "HTTP/1.1 200 OK\r\nA: b\r\n\r\nto the end";
    assert_eq!(hear(&get(), to_the_end), done(200, false, "A: b\r\n", "to the end", ""));
    let surplus = "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(hear(&get(), surplus), done(204, false, "", "", ""));
    let closes = request("GET", &[("Connection", "close")], b"", false);
    assert_eq!(hear(&closes, "HTTP/1.1 204 No\r\nA: b\r\n\r\n"), done(204, false, "A: b\r\n", "", ""));
}

#[test]
fn some_responses_have_no_body() {
    let length = "Content-Length: 4\r\n";
    let head = request("HEAD", &[], b"", false);
    assert_eq!(hear(&head, &format!("HTTP/1.1 200 OK\r\n{length}\r\n")), done(200, true, length, "", ""));
    assert_eq!(hear(&get(), "HTTP/1.1 204 No Content\r\n\r\n"), done(204, true, "", "", ""));
    let unchanged = format!("HTTP/1.1 304 Not Modified\r\n{length}\r\n");
    assert_eq!(hear(&get(), &unchanged), done(304, true, length, "", ""));
    let hints = format!("HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100 C\r\n\r\n{unchanged}");
    assert_eq!(hear(&get(), &hints), done(304, true, length, "", ""));
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";
    assert_eq!(hear(&get(), switch), done(101, false, "Upgrade: x\r\n", "", ""));
}

#[test]
fn headers_are_kept_however_the_target_writes_lines() {
    let bare = "HTTP/1.1 200 OK\nA: b\nContent-Length: 1\n\nx";
    assert_eq!(hear(&get(), bare), done(200, true, "A: b\nContent-Length: 1\n", "x", ""));
    let late = "\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(hear(&get(), late), done(200, true, "Content-Length: 1\r\n", "x", ""));
    let long = format!("A: {}\r\nContent-Length: 1\r\n", "x".repeat(1500));
    assert_eq!(hear(&get(), &format!("HTTP/1.1 200 OK\r\n{long}\r\nx")), done(200, true, &long, "x", ""));
}

#[test]
fn a_familiar_head_is_kept_as_well() {
    let mut session = session();
    for number in 0..3 {
        let response = b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 1\r\n\r\nx";
        let seen = converse(&mut *session, &get(), [&response[..]]);
        assert_eq!(seen, done(200, true, "A: b\r\nContent-Length: 1\r\n", "x", ""), "{number}");
    }
    // Nothing of it is left for a request that keeps nothing.
    assert_eq!(session.begin(TAG, &get(), Want::default()), Begun::AsRendered);
    session
        .hear(&mut b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 1\r\n\r\nx".to_vec(), &mut vec![])
        .unwrap();
    assert_eq!(session.kept(TAG), Kept::default());
}

#[test]
fn what_was_kept_is_found_by_its_tag() {
    let mut session = session();
    converse(&mut *session, &get(), [&b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"[..]]);
    assert_eq!((session.kept(TAG).body, session.kept(TAG + 1).body), (&b"x"[..], &b""[..]));
    session.begin(TAG + 1, &get(), EVERYTHING);
    assert_eq!((session.kept(TAG), session.kept(TAG + 1)), (Kept::default(), Kept::default()));
}

#[test]
fn what_is_no_response_fails_the_connection() {
    for (bytes, error) in [
        ("SSH-2.0-x\r\n", Error::Http1(http1::Error::Head(httparse::Error::Version))),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", Error::Http1(http1::Error::ContentLength)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx", Error::Truncated),
        ("HTTP/1.1 200 OK\r\n", Error::Truncated),
        ("HTTP/1.1 100 Continue\r\n\r\n", Error::Truncated),
        ("", Error::Unanswered),
    ] {
        let seen = hear(&get(), bytes);
        assert_eq!((seen.outcome, seen.room), (Err(error), 0), "{bytes:?}");
    }
}

const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const CREATED: &str = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
const EXPECTING: &str = "POST / HTTP/1.1\r\nHost: host\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";

fn expecting() -> Request {
    request("POST", &[], b"body", true)
}

#[test]
fn a_body_waits_for_permission() {
    let seen = hear(&expecting(), &format!("{CONTINUE}{CREATED}"));
    assert_eq!(seen, done(201, true, "Content-Length: 0\r\n", "", &format!("{EXPECTING}body")));
    let hints = format!("HTTP/1.1 103 Early Hints\r\n\r\n{CONTINUE}{CONTINUE}{CREATED}");
    assert_eq!(
        hear(&expecting(), &hints),
        done(201, true, "Content-Length: 0\r\n", "", &format!("{EXPECTING}body"))
    );

    let mut session = session();
    session.begin(TAG, &expecting(), Want::default());
    assert!(session.is_held_back());
    assert_eq!(std::mem::take(session.output()), EXPECTING.as_bytes());
    let mut heard = Vec::new();
    session.hear(&mut CONTINUE.as_bytes().to_vec(), &mut heard).unwrap();
    assert_eq!((heard, session.is_held_back()), (vec![Heard::Started(TAG)], false));
    assert_eq!(std::mem::take(session.output()), b"body");
}

#[test]
fn an_answer_instead_of_the_permission_ends_the_connection_without_the_body() {
    for status in [417, 200, 401] {
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 1\r\n\r\nx");
        let seen = hear(&expecting(), &answer);
        assert_eq!(seen, done(status, false, "Content-Length: 1\r\n", "x", EXPECTING));
    }
    let hint = "HTTP/1.1 103 Early Hints\r\n\r\n";
    assert_eq!(
        hear(&expecting(), &format!("{hint}{CREATED}")),
        done(201, false, "Content-Length: 0\r\n", "", EXPECTING)
    );
}

#[test]
fn a_body_that_was_never_sent_stays_known_and_unsent() {
    let mut session = session();
    converse(&mut *session, &expecting(), [CREATED.as_bytes()]);
    assert!(session.is_held_back());
    session.proceed();
    assert!(session.is_held_back() && session.output().is_empty());
    session.begin(TAG, &get(), Want::default());
    assert!(!session.is_held_back());
}

#[test]
fn without_a_word_the_body_goes_and_goes_once() {
    for answers in
        [CREATED.to_owned(), format!("{CONTINUE}{CREATED}"), format!("{CONTINUE}{CONTINUE}{CREATED}")]
    {
        let mut session = session();
        session.begin(TAG, &expecting(), EVERYTHING);
        assert_eq!(std::mem::take(session.output()), EXPECTING.as_bytes());
        session.proceed();
        session.proceed();
        assert!(!session.is_held_back());
        let mut heard = Vec::new();
        session.hear(&mut answers.into_bytes(), &mut heard).unwrap();
        assert_eq!(*session.output(), b"body");
        assert_eq!(heard, [Heard::Done(TAG, Response { status: 201, keep_alive: true, body_bytes: 0 })]);
    }
}

#[test]
fn a_request_without_a_body_waits_for_nothing() {
    let empty = request("POST", &[], b"", true);
    assert!(!empty.expects_continue() && !String::from_utf8_lossy(empty.bytes()).contains("Expect"));
    assert_eq!(hear(&empty, CREATED), done(201, true, "Content-Length: 0\r\n", "", ""));
    let own = request("POST", &[("expect", "100-continue")], b"body", true);
    assert_eq!(String::from_utf8_lossy(own.bytes()).to_lowercase().matches("expect").count(), 1);
}

#[test]
fn a_held_back_body_is_forgotten_with_its_request() {
    let ways: [fn(&mut dyn Session); 4] = [
        |session| assert!(!session.cancel(TAG)),
        |session| session.reset(),
        |session| assert_eq!(session.end(&mut Vec::new()), Err(Error::Unanswered)),
        |session| assert!(session.hear(&mut b"nonsense".to_vec(), &mut Vec::new()).is_err()),
    ];
    for give_up in ways {
        let mut session = session();
        session.begin(TAG, &expecting(), EVERYTHING);
        session.output().clear();
        give_up(&mut *session);
        assert!(!session.is_held_back());
        session.proceed();
        assert_eq!((session.output().len(), session.room()), (0, 0));
    }
}

#[test]
fn nobody_asked_for_what_comes_on_an_idle_connection() {
    let unsolicited = Err(Error::Http1(http1::Error::Unsolicited));
    let mut heard = Vec::new();
    let mut session = session();
    session.hear(&mut [], &mut heard).unwrap();
    assert_eq!(session.hear(&mut b"H".to_vec(), &mut heard), unsolicited);
    assert_eq!((session.room(), heard.len()), (0, 0));

    session.reset();
    session.start(&mut Vec::new());
    converse(&mut *session, &get(), [&b"HTTP/1.1 204 No Content\r\n\r\n"[..]]);
    session.hear(&mut [], &mut heard).unwrap();
    assert_eq!((session.room(), heard.len()), (1, 0), "an empty slice is no start");
    assert_eq!(session.hear(&mut b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), &mut heard), unsolicited);
    assert_eq!((session.room(), heard.len()), (0, 0));
}

/// Ways in which a request is out, by what has come of its response.
const OUT: [&str; 6] = [
    "",
    "HTTP/1.1 2",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nx",
    "HTTP/1.1 200 OK\r\n\r\nx",
];

fn out(bytes: &str) -> Box<dyn Session> {
    let mut session = session();
    session.begin(TAG, &get(), EVERYTHING);
    session.hear(&mut bytes.as_bytes().to_vec(), &mut Vec::new()).unwrap();
    session
}

#[test]
fn a_cancelled_request_is_told_of_no_more() {
    for bytes in OUT {
        let mut session = out(bytes);
        assert!(session.cancel(TAG + 1), "another is not out");
        assert!(!session.cancel(TAG), "the rest of the answer would be taken for the next one");
        assert_eq!(session.room(), 0);
        let mut heard = Vec::new();
        assert!(session.hear(&mut b"xxxxxxxxx\r\n0\r\n\r\n".to_vec(), &mut heard).is_err());
        assert_eq!(session.end(&mut heard), Ok(()));
        assert_eq!((heard.len(), session.kept(TAG).body.len()), (0, usize::from(bytes.ends_with('x'))));
    }
    assert!(session().cancel(TAG), "nothing is out");
}

#[test]
fn a_reset_session_is_as_new() {
    for bytes in OUT {
        let mut session = out(bytes);
        session.reset();
        assert_eq!((session.room(), session.output().len()), (0, 0));
        let mut heard = Vec::new();
        session.start(&mut heard);
        assert_eq!((heard, session.room()), (vec![Heard::Ready], 1));
        let seen = converse(&mut *session, &get(), [&b"HTTP/1.1 204 No\r\nA: b\r\n\r\n"[..]]);
        assert_eq!(seen, done(204, true, "A: b\r\n", "", ""), "after {bytes:?}");
    }
}

#[test]
fn the_end_fails_what_is_out() {
    for (bytes, expected) in OUT.into_iter().zip([
        Err(Error::Unanswered),
        Err(Error::Truncated),
        Err(Error::Truncated),
        Err(Error::Truncated),
        Err(Error::Truncated),
        Ok(()),
    ]) {
        let mut session = out(bytes);
        let mut heard = Vec::new();
        assert_eq!(session.end(&mut heard), expected, "{bytes:?}");
        let complete = Heard::Done(TAG, Response { status: 200, keep_alive: false, body_bytes: 1 });
        assert_eq!(heard, if expected.is_ok() { vec![complete] } else { vec![] });
        assert_eq!((session.room(), session.end(&mut heard)), (0, Ok(())), "it ends once");
    }
    let mut heard = Vec::new();
    let mut idle = session();
    assert_eq!((idle.end(&mut heard), heard.len(), idle.room()), (Ok(()), 0, 0));
    assert_eq!((Http1.session().end(&mut heard), heard.len()), (Ok(()), 0), "before it was there");
}

/// In steady state a request costs no allocation when nothing of its response is kept.
#[test]
fn a_request_allocates_nothing() {
    let (plain, expecting) = (get(), expecting());
    let mut responses = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong".to_vec(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npong\r\n0\r\n\r\n".to_vec(),
    ];
    let mut permission = CONTINUE.as_bytes().to_vec();
    let mut session = session();
    let mut heard = Vec::with_capacity(8);
    let mut round = |session: &mut dyn Session| {
        for response in &mut responses {
            for at in [0, 9, 30, response.len() - 2] {
                let (left, right) = response.split_at_mut(at);
                session.begin(TAG, &plain, Want::default());
                session.hear(left, &mut heard).unwrap();
                session.hear(right, &mut heard).unwrap();
                session.begin(TAG, &expecting, Want::default());
                session.hear(&mut permission, &mut heard).unwrap();
                session.output().clear();
                session.hear(left, &mut heard).unwrap();
                session.hear(right, &mut heard).unwrap();
                heard.clear();
            }
        }
    };
    round(&mut *session);
    let counted = allocation_counter::measure(|| (0..10).for_each(|_| round(&mut *session)));
    assert_eq!(counted.count_total, 0);
}
