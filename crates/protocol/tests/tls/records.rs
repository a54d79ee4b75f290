//! What comes in records is what was sent, however the bytes are cut.

use std::sync::Arc;

use protocol::{Heard, Response};
use rustls::ProtocolVersion;

use crate::peer::{Cut, DONE, PONG, Talk, VERSIONS, World, get, request};

#[test]
fn requests_and_responses_cross_whatever_the_cuts() {
    let world = World::new();
    for version in VERSIONS {
        let server = Arc::new(world.server_config(version));
        let protocol = world.http1();
        let converse = |cut| {
            let mut talk = Talk::new(&protocol, &server, cut);
            talk.settle().unwrap();
            assert_eq!(talk.heard, [Heard::Ready], "{cut:?}");
            for _ in 0..2 {
                assert_eq!(talk.exchange(&get(), PONG), Ok(DONE), "{cut:?}");
                assert_eq!(talk.session.kept(7).body, b"pong");
            }
            talk
        };
        let whole = converse(Cut::Never);
        assert_eq!(whole.server.protocol_version(), Some(version.version));
        for size in [1, 2, 3, 5, 6, 7, 100, 1460] {
            converse(Cut::Each(size));
        }
        // Signatures differ by some bytes from one handshake to the next.
        for at in 1..whole.received + 8 {
            converse(Cut::At(at));
        }
    }
}

#[test]
fn many_records_come_in_one_slice() {
    let world = World::new();
    for version in VERSIONS {
        let mut config = world.server_config(version);
        config.max_fragment_size = Some(40);
        let server = Arc::new(config);
        let mut talk = Talk::ready(&world.http1(), &server);
        for _ in 0..3 {
            let body = "x".repeat(3000);
            let response = format!("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n{body}");
            let expected = Response { status: 200, keep_alive: true, body_bytes: 3000 };
            assert_eq!(talk.exchange(&get(), response.as_bytes()), Ok(expected));
            assert_eq!(talk.session.kept(7).body, body.as_bytes());
        }
        // The same for a handshake: no message of it fits into a record.
        for cut in [Cut::Never, Cut::Each(1), Cut::Each(13), Cut::Each(100)] {
            let mut talk = Talk::new(&world.http1(), &server, cut);
            talk.settle().unwrap();
            assert_eq!(talk.exchange(&get(), PONG), Ok(DONE), "{cut:?}");
        }
    }
}

#[test]
fn large_bodies_cross_both_ways() {
    let world = World::new();
    let body: Vec<u8> = (0..1_000_000_u32).map(|at| at.to_le_bytes()[1]).collect();
    let mut response = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_vec();
    response.extend_from_slice(&body);
    let expected = Response { status: 200, keep_alive: true, body_bytes: 1_000_000 };
    for version in VERSIONS {
        let server = Arc::new(world.server_config(version));
        for cut in [Cut::Never, Cut::Each(1460), Cut::Each(16 * 1024), Cut::Each(65_536), Cut::Each(100_000)]
        {
            let mut talk = Talk::new(&world.http1(), &server, cut);
            talk.settle().unwrap();
            assert_eq!(talk.exchange(&request("POST", &body, false), &response), Ok(expected), "{cut:?}");
            assert!(talk.session.kept(7).body == body, "{cut:?}");
            assert_eq!(talk.exchange(&get(), PONG), Ok(DONE), "{cut:?}");
        }
    }
}

#[test]
fn a_body_waits_for_permission() {
    let world = World::new();
    let server = Arc::new(world.server_config(VERSIONS[1]));
    let mut talk = Talk::ready(&world.http1(), &server);
    let request = request("POST", b"secret", true);
    for is_asked in [true, false] {
        talk.begin(&request);
        talk.settle().unwrap();
        assert!(talk.session.is_held_back() && !talk.requests.ends_with(b"secret"));
        if is_asked {
            talk.say(b"HTTP/1.1 100 Continue\r\n\r\n");
        } else {
            talk.session.proceed();
        }
        talk.settle().unwrap();
        assert!(!talk.session.is_held_back() && talk.requests.ends_with(b"secret"));
        talk.say(PONG);
        talk.settle().unwrap();
        assert_eq!(talk.heard.last(), Some(&Heard::Done(7, DONE)));
        talk.requests.clear();
    }
}

/// What a server says first, as in HTTP/2, may come with the end of its handshake.
#[test]
fn the_session_is_ready_before_the_first_plaintext() {
    let world = World::new();
    for version in VERSIONS {
        let server = Arc::new(world.server_config(version));
        let mut talk = Talk::new(&world.http1(), &server, Cut::Never);
        talk.say(b"unasked");
        let error = talk.settle().unwrap_err();
        assert_eq!(error, protocol::http1::Error::Unsolicited.into());
        assert_eq!(talk.heard, [Heard::Ready]);
    }
}

#[test]
fn keys_change_in_mid_connection() {
    let world = World::new();
    let server = Arc::new(world.server_config(VERSIONS[1]));
    for cut in [Cut::Never, Cut::Each(1), Cut::Each(9)] {
        let mut talk = Talk::new(&world.http1(), &server, cut);
        talk.settle().unwrap();
        assert_eq!(talk.server.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        for _ in 0..5 {
            talk.server.refresh_traffic_keys().unwrap();
            assert_eq!(talk.exchange(&get(), PONG), Ok(DONE), "{cut:?}");
        }
    }
}

#[test]
fn a_session_serves_one_connection_after_the_other() {
    let world = World::new();
    let server = Arc::new(world.server_config(VERSIONS[1]));
    let mut talk = Talk::ready(&world.http1(), &server);
    for round in 0..3 {
        assert_eq!(talk.exchange(&get(), PONG), Ok(DONE));
        match round {
            0 => assert_eq!(talk.session.end(&mut talk.heard), Ok(())),
            1 => assert!(talk.session.hear(&mut [b'x'; 40], &mut talk.heard).is_err()),
            _ => {
                talk.begin(&get());
                assert!(!talk.session.cancel(7));
            }
        }
        talk.session.reset();
        assert_eq!((talk.session.room(), talk.session.output().len()), (0, 0));
        let mut next = Talk::new(&world.http1(), &server, Cut::Never);
        next.session = talk.session;
        next.session.start(&mut next.heard);
        next.settle().unwrap();
        assert_eq!(std::mem::take(&mut next.heard), [Heard::Ready]);
        talk = next;
    }
}
