//! Through a proxy: what it is asked, and what comes of its answers, split at every byte.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use protocol::http1::{self, Http1};
use protocol::proxy::{Forward, Tunnel, basic};
use protocol::{
    Begun, Error, Heard, Kept, Parts, Protocol, Request, RequestError, Response, Session, Tag, Want,
};

const HELLO: &str = "CONNECT target.test:8443 HTTP/1.1\r\nHost: target.test:8443\r\n\r\n";
const OPENED: &str = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";

fn parts<'a>(method: &'a str, path: &'a str) -> Parts<'a> {
    let (scheme, authority, headers, user_agent) = ("http", "target.test:8080", &[][..], "");
    Parts { method, scheme, authority, path, headers, body: b"", user_agent, expects_continue: false }
}

#[test]
fn a_proxy_that_fetches_is_told_the_whole_url() {
    let forward = Forward::new(None);
    let bytes = |request: Result<Request, RequestError>| {
        String::from_utf8(request.unwrap().bytes().to_vec()).unwrap()
    };
    assert_eq!(
        bytes(forward.render(&parts("GET", "/a?b"))),
        "GET http://target.test:8080/a?b HTTP/1.1\r\nHost: target.test:8080\r\n\r\n"
    );
    assert_eq!(
        bytes(forward.render(&parts("OPTIONS", "*"))),
        "OPTIONS http://target.test:8080 HTTP/1.1\r\nHost: target.test:8080\r\n\r\n"
    );
    let known = Forward::new(Some(basic("Aladdin", "open sesame")));
    assert_eq!(
        bytes(known.render(&Parts { body: b"hi", ..parts("POST", "/") })),
        "POST http://target.test:8080/ HTTP/1.1\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\
         Host: target.test:8080\r\nContent-Length: 2\r\n\r\nhi"
    );
    assert!(Forward::new(Some("a\r\nb: c".to_owned())).render(&parts("GET", "/")).is_err());
    assert!(matches!(forward.render(&parts("GET", "nowhere")), Err(RequestError::Path(_))));
    let mut heard = Vec::new();
    forward.session().start(&mut heard);
    assert_eq!(heard, [Heard::Ready]);
}

fn tunnel(inner: impl Protocol + 'static) -> Tunnel {
    Tunnel::new(Arc::new(inner), "target.test", 8443, None).unwrap()
}

#[test]
fn a_proxy_is_asked_for_a_tunnel() {
    let asks = |host: &str, authorization: Option<&str>| {
        let mut session = Tunnel::new(Arc::new(Http1), host, 443, authorization).unwrap().session();
        assert_eq!((session.room(), session.output().len()), (0, 0));
        let mut heard = Vec::new();
        session.start(&mut heard);
        assert_eq!((heard.len(), session.room()), (0, 0), "there is no tunnel yet");
        String::from_utf8(std::mem::take(session.output())).unwrap()
    };
    assert_eq!(asks("::1", None), "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n");
    assert_eq!(
        asks("h", Some(&basic("u", "p"))),
        "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n"
    );
    for (host, authorization) in [("h\r\n", None), ("", None), ("a b", None), ("h", Some("a\nb"))] {
        assert!(Tunnel::new(Arc::new(Http1), host, 1, authorization).is_err(), "{host:?}");
    }
    assert_eq!(
        *tunnel(Http1).render(&parts("GET", "/")).unwrap().bytes(),
        *Http1.render(&parts("GET", "/")).unwrap().bytes()
    );
}

/// A session that talks as soon as the connection is there, and needs a greeting before it is ready.
#[derive(Debug, Default)]
struct Greeting {
    heard: Vec<u8>,
    output: Vec<u8>,
}

#[derive(Debug)]
struct Greeter;

impl Protocol for Greeter {
    fn render(&self, parts: &Parts<'_>) -> Result<Request, RequestError> {
        Http1.render(parts)
    }

    fn session(&self) -> Box<dyn Session> {
        Box::new(Greeting::default())
    }
}

impl Session for Greeting {
    fn reset(&mut self) {
        *self = Self::default();
    }

    fn start(&mut self, _heard: &mut Vec<Heard>) {
        self.output.extend_from_slice(b"hi proxy?");
    }

    fn room(&self) -> u32 {
        u32::from(self.heard == b"hello")
    }

    fn begin(&mut self, _tag: Tag, _request: &Request, _want: Want) -> Begun {
        Begun::Queued
    }

    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    fn hear(&mut self, bytes: &mut [u8], heard: &mut Vec<Heard>) -> Result<(), Error> {
        self.heard.extend_from_slice(bytes);
        if self.room() > 0 {
            heard.push(Heard::Ready);
        }
        Ok(())
    }

    fn end(&mut self, _heard: &mut Vec<Heard>) -> Result<(), Error> {
        Err(Error::Truncated)
    }

    fn cancel(&mut self, _tag: Tag) -> bool {
        true
    }

    fn kept(&self, _tag: Tag) -> Kept<'_> {
        Kept { headers: b"kept", body: b"" }
    }

    fn is_held_back(&self) -> bool {
        true
    }

    fn proceed(&mut self) {
        self.output.extend_from_slice(b"go");
    }
}

/// All that is heard and sent when `slices` come; the connection stays.
fn converse<'b>(
    protocol: &dyn Protocol,
    slices: impl IntoIterator<Item = &'b [u8]>,
) -> (Vec<Heard>, String, Result<(), Error>) {
    let (mut heard, mut output, mut result) = (Vec::new(), Vec::new(), Ok(()));
    let mut session = protocol.session();
    session.start(&mut heard);
    output.append(session.output());
    for slice in slices {
        if result.is_ok() {
            result = session.hear(&mut slice.to_vec(), &mut heard);
            output.append(session.output());
        }
    }
    (heard, String::from_utf8(output).unwrap(), result)
}

/// The same, whole, split at every byte and byte by byte.
fn hear(protocol: &dyn Protocol, bytes: &str) -> (Vec<Heard>, String, Result<(), Error>) {
    let whole = converse(protocol, [bytes.as_bytes()]);
    assert_eq!(converse(protocol, bytes.as_bytes().chunks(1)), whole, "{bytes:?}");
    for at in 0..bytes.len() {
        let (left, right) = bytes.as_bytes().split_at(at);
        assert_eq!(converse(protocol, [left, &[], right]), whole, "{bytes:?} split at {at}");
    }
    whole
}

#[test]
fn nothing_that_follows_the_answer_is_lost() {
    let said = format!("{HELLO}hi proxy?");
    let ready = (vec![Heard::Ready], said.clone(), Ok(()));
    for answer in [
        OPENED,
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 299 So\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 5\nTransfer-Encoding: chunked\n\n",
    ] {
        assert_eq!(hear(&tunnel(Greeter), answer), (vec![], said.clone(), Ok(())), "{answer:?}");
        assert_eq!(hear(&tunnel(Greeter), &format!("{answer}hello")), ready, "{answer:?}");
    }
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\nhello", "x".repeat(3000));
    assert_eq!(hear(&tunnel(Greeter), &long), ready);
}

#[test]
fn a_refusal_is_an_error_with_its_status() {
    for (answer, error) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno", Error::Tunnel(407)),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", Error::Tunnel(502)),
        ("HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", Error::Tunnel(301)),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", Error::Tunnel(101)),
        ("SSH-2.0-x\r\n", Error::Http1(http1::Error::Head(httparse::Error::Version))),
    ] {
        assert_eq!(hear(&tunnel(Http1), answer), (vec![], HELLO.to_owned(), Err(error)), "{answer:?}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(http1::MAX_HEAD_BYTES));
    let too_large = Err(Error::Http1(http1::Error::HeadTooLarge));
    for size in [100, 1000, endless.len()] {
        assert_eq!(converse(&tunnel(Http1), endless.as_bytes().chunks(size)).2, too_large);
    }
}

#[test]
fn the_end_of_the_connection_before_the_tunnel() {
    let end = |bytes: &str| {
        let mut session = tunnel(Http1).session();
        session.start(&mut Vec::new());
        session.hear(&mut bytes.as_bytes().to_vec(), &mut Vec::new()).unwrap();
        let mut heard = Vec::new();
        (session.end(&mut heard), heard.len())
    };
    assert_eq!(end(""), (Err(Error::Unanswered), 0));
    assert_eq!(end("HTTP/1.1 200 OK\r\n"), (Err(Error::Truncated), 0));
    assert_eq!(end(OPENED), (Ok(()), 0));
}

#[test]
fn in_the_tunnel_all_is_the_inner_sessions() {
    let protocol = tunnel(Http1);
    let request = protocol.render(&parts("GET", "/")).unwrap();
    let mut session = protocol.session();
    for round in 0..2 {
        let mut heard = Vec::new();
        session.start(&mut heard);
        assert_eq!(std::mem::take(session.output()), HELLO.as_bytes(), "round {round}");
        session.hear(&mut OPENED.as_bytes().to_vec(), &mut heard).unwrap();
        assert_eq!((heard.as_slice(), session.room()), (&[Heard::Ready][..], 1));
        heard.clear();
        assert_eq!(session.begin(3, &request, Want { body: 9, headers: true }), Begun::AsRendered);
        session.hear(&mut b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(), &mut heard).unwrap();
        assert_eq!(heard, [Heard::Done(3, Response { status: 200, keep_alive: true, body_bytes: 2 })]);
        assert_eq!(session.kept(3), Kept { headers: b"Content-Length: 2\r\n", body: b"ok" });
        // On another connection the proxy is asked again.
        session.reset();
        assert_eq!((session.room(), session.output().len()), (0, 0));
        assert!(session.hear(&mut b"x".to_vec(), &mut heard).is_err());
    }
    let mut session = tunnel(Greeter).session();
    session.start(&mut Vec::new());
    session.hear(&mut OPENED.as_bytes().to_vec(), &mut Vec::new()).unwrap();
    session.proceed();
    assert_eq!(*session.output(), b"hi proxy?go");
    assert!(session.is_held_back() && session.cancel(1) && session.kept(1).headers == b"kept");
    assert_eq!((session.begin(1, &request, Want::default()), session.room()), (Begun::Queued, 0));
    assert_eq!(session.end(&mut Vec::new()), Err(Error::Truncated));
}
