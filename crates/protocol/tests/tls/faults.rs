//! Targets that break off, lie, or do not speak TLS: an error with few words, and never a panic.

use std::sync::Arc;

use protocol::tls;
use protocol::{Error, Heard, Response};
use rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
use rustls::{ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite};

use crate::peer::{Cut, DONE, PONG, Talk, VERSIONS, World, get};

const UNTIL_CLOSE: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nto the end";

#[test]
fn what_is_not_tls_is_refused_at_once() {
    let world = World::new();
    let server = Arc::new(world.server_config(VERSIONS[1]));
    let alert = |name: &str| tls::Error::Alert(name.to_owned());
    let cases: [(&[u8], tls::Error); 8] = [
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", tls::Error::NotTls),
        (b"SSH-2.0-OpenSSH_9.2\r\n", tls::Error::NotTls),
        (b"\0\0\0\0\0\0\0\0", tls::Error::NotTls),
        (&[0x16, 0x09, 0x01, 0, 4, 2, 0, 0, 0], tls::Error::NotTls),
        (&[0x15, 3, 3, 0, 2, 2, 40], alert("handshake_failure")),
        (&[0x15, 3, 3, 0, 2, 2, 70], alert("protocol_version")),
        (&[0x16, 3, 3, 0x50, 0], tls::Error::TooLarge),
        (&[0x16, 3, 3, 0, 4, 2, 0xff, 0xff, 0xff], tls::Error::TooLarge),
    ];
    for (bytes, expected) in cases {
        for cut in [Cut::Never, Cut::Each(1)] {
            let mut talk = Talk::new(&world.http1(), &server, cut);
            let result = talk.hear(&mut bytes.to_vec());
            assert_eq!(result, Err(expected.clone().into()), "{}", bytes.escape_ascii());
        }
    }
}

#[test]
fn a_connection_that_ends_in_the_handshake_is_told() {
    let world = World::new();
    for version in VERSIONS {
        let server = Arc::new(world.server_config(version));
        let mut talk = Talk::new(&world.http1(), &server, Cut::Never);
        talk.deliver();
        let length = talk.answer().len();
        for at in 0..length {
            let mut talk = Talk::new(&world.http1(), &server, Cut::Never);
            talk.deliver();
            let mut bytes = talk.answer();
            let at = at.min(bytes.len() - 1);
            talk.hear(&mut bytes[..at]).unwrap();
            assert_eq!(talk.session.end(&mut talk.heard), Err(tls::Error::Ended.into()), "at {at}");
            assert_eq!(talk.heard, []);
        }
    }
}

/// A response that nothing but the end delimits is complete only if the target says that it is the end.
#[test]
fn an_end_that_nobody_vouches_for_completes_nothing() {
    let world = World::new();
    for version in VERSIONS {
        let server = Arc::new(world.server_config(version));
        let answered = |response: &[u8], is_closed: bool| {
            let mut talk = Talk::ready(&world.http1(), &server);
            talk.begin(&get());
            talk.deliver();
            talk.say(response);
            if is_closed {
                talk.server.send_close_notify();
            }
            talk.settle()?;
            talk.session.end(&mut talk.heard)?;
            assert_eq!(talk.session.room(), 0);
            Ok(talk.heard.pop())
        };
        let complete = Response { status: 200, keep_alive: false, body_bytes: 10 };
        assert_eq!(answered(UNTIL_CLOSE, true), Ok(Some(Heard::Done(7, complete))));
        assert_eq!(answered(UNTIL_CLOSE, false), Err(Error::Truncated));
        let last = Response { keep_alive: false, ..DONE };
        assert_eq!(answered(PONG, true), Ok(Some(Heard::Done(7, last))));
        assert_eq!(answered(PONG, false), Ok(Some(Heard::Done(7, DONE))));
        for is_closed in [true, false] {
            assert_eq!(answered(&PONG[..PONG.len() - 1], is_closed), Err(Error::Truncated));
            assert_eq!(answered(b"", is_closed), Err(Error::Unanswered));
        }
    }
}

#[test]
fn nothing_counts_after_the_end() {
    let world = World::new();
    for version in VERSIONS {
        let server = Arc::new(world.server_config(version));
        for cut in [Cut::Never, Cut::Each(1)] {
            let mut talk = Talk::new(&world.http1(), &server, cut);
            talk.settle().unwrap();
            assert_eq!(talk.exchange(&get(), PONG), Ok(DONE));
            talk.server.send_close_notify();
            let mut bytes = talk.answer();
            bytes.extend_from_slice(b"anything");
            assert_eq!(talk.hear(&mut bytes), Ok(()));
            assert_eq!((talk.session.room(), talk.heard.len()), (0, 0));
            assert_eq!(talk.hear(&mut b"more".to_vec()), Ok(()));
            assert_eq!(talk.session.end(&mut talk.heard), Ok(()));
        }
    }
}

#[test]
fn alerts_in_mid_answer_are_named() {
    let world = World::new();
    for version in VERSIONS {
        let server = Arc::new(world.server_config(version));
        let mut talk = Talk::ready(&world.http1(), &server);
        talk.begin(&get());
        talk.deliver();
        talk.say(&PONG[..20]);
        talk.settle().unwrap();
        assert_eq!(talk.heard, [Heard::Started(7)]);
        // A record that was not sealed with the connection's keys.
        talk.session.output().extend_from_slice(&[0x17, 3, 3, 0, 32]);
        talk.session.output().extend_from_slice(&[b'x'; 32]);
        let expected = tls::Error::Alert("bad_record_mac".to_owned());
        assert_eq!(talk.settle(), Err(expected.into()));
    }
}

#[test]
fn records_that_were_tampered_with_are_refused() {
    let world = World::new();
    for version in VERSIONS {
        let server = Arc::new(world.server_config(version));
        let mut talk = Talk::ready(&world.http1(), &server);
        talk.begin(&get());
        talk.deliver();
        talk.say(PONG);
        let mut bytes = talk.answer();
        *bytes.last_mut().unwrap() ^= 1;
        let expected = tls::Error::Other("cannot decrypt peer's message".to_owned());
        assert_eq!(talk.hear(&mut bytes), Err(expected.into()));
    }
}

/// A server's `HelloRequest` (RFC 5246, 7.4.1.1), as record `number` under the keys of the connection.
fn hello_request(
    suite: SupportedCipherSuite,
    keys: &(u64, ConnectionTrafficSecrets),
    number: u64,
) -> Vec<u8> {
    let SupportedCipherSuite::Tls12(suite) = suite else { panic!("not TLS 1.2") };
    let (sequence, ConnectionTrafficSecrets::Aes256Gcm { key, iv }) = keys else { panic!("not AES-256") };
    let (iv, explicit) = iv.as_ref().split_at(4);
    let key: [u8; 32] = key.as_ref().try_into().unwrap();
    let mut encrypter = suite.aead_alg.encrypter(key.into(), iv, explicit);
    let message = OutboundPlainMessage {
        typ: ContentType::Handshake,
        version: ProtocolVersion::TLSv1_2,
        payload: OutboundChunks::Single(&[0, 0, 0, 0]),
    };
    encrypter.encrypt(message, sequence + number).unwrap().encode()
}

#[test]
fn renegotiation_is_refused() {
    let world = World::new();
    let mut config = world.server_config(VERSIONS[0]);
    config.enable_secret_extraction = true;
    let mut talk = Talk::ready(&world.http1(), &Arc::new(config));
    let suite = talk.server.negotiated_cipher_suite().unwrap();
    let keys = talk.server.dangerous_extract_secrets().unwrap().tx;
    let mut first = hello_request(suite, &keys, 0);
    assert_eq!(talk.session.hear(&mut first, &mut talk.heard), Ok(()));
    // An alert, encrypted: no_renegotiation.
    let refusal = std::mem::take(talk.session.output());
    assert_eq!(refusal[..3], [0x15, 3, 3]);
    assert_eq!((talk.session.room(), talk.heard.len()), (1, 0));
    let mut second = hello_request(suite, &keys, 1);
    let error = talk.session.hear(&mut second, &mut talk.heard).unwrap_err();
    assert_eq!(error.to_string(), "TLS: peer misbehaved: TooManyRenegotiationRequests");
}

/// Messages in fragments of a byte are collected, but not without end.
#[test]
fn fragments_have_a_limit() {
    let world = World::new();
    let server = Arc::new(world.server_config(VERSIONS[0]));
    let mut talk = Talk::new(&world.http1(), &server, Cut::Never);
    let mut sent = 0;
    let error = loop {
        // A ServerHello of 60,000 bytes.
        let byte = [2, 0, 0xea, 0x60].get(sent).copied().unwrap_or(0);
        sent += 1;
        assert!(sent < 60_000, "no limit");
        if let Err(error) = talk.hear(&mut [0x16, 3, 3, 0, 1, byte]) {
            break error;
        }
    };
    assert_eq!(error, tls::Error::TooLarge.into());
}

/// Damage anywhere, in slices of any size: an error or silence, and no response but the right one.
#[test]
fn damage_never_panics() {
    let world = World::new();
    let seed = 0x5eed;
    let mut random = fastrand::Rng::with_seed(seed);
    for run in 0..4000 {
        let version = VERSIONS[usize::from(random.bool())];
        let mut config = world.server_config(version);
        config.max_fragment_size = random.choice([None, Some(50), Some(600)]).unwrap();
        let size = random.usize(1..500);
        let cut = random.choice([Cut::Never, Cut::Each(1), Cut::Each(size)]).unwrap();
        let mut talk = Talk::new(&world.http1(), &Arc::new(config), cut);
        let mut damage_in = random.u8(0..4);
        let mut is_begun = false;
        loop {
            talk.deliver();
            if !is_begun && talk.session.room() > 0 {
                talk.begin(&get());
                talk.deliver();
                talk.say(PONG);
                is_begun = true;
            }
            let mut bytes = talk.answer();
            if damage_in == 0 {
                damage(&mut random, &mut bytes);
            }
            damage_in = damage_in.wrapping_sub(1);
            if bytes.is_empty() || talk.hear(&mut bytes).is_err() {
                break;
            }
        }
        for heard in talk.heard {
            if let Heard::Done(_, response) = heard {
                assert_eq!(response, DONE, "seed {seed}, run {run}");
            }
        }
    }
}

fn damage(random: &mut fastrand::Rng, bytes: &mut Vec<u8>) {
    for _ in 0..random.usize(1..4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.usize(0..bytes.len());
        match random.u8(0..5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.u8(..)),
            2 => bytes[at] = random.u8(..),
            3 => bytes[at] ^= 1 << random.u8(0..8),
            _ => {
                let again = bytes[at..].to_vec();
                bytes.extend_from_slice(&again);
            }
        }
    }
}
