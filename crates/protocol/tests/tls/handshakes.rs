//! What is agreed upon: the protocol inside, and sessions that are taken up again.

use std::sync::Arc;

use protocol::http1::Http1;
use protocol::tls::{Client, Error, Settings, Tls, Trust, Version};
use rustls::{HandshakeKind, ServerConfig, ServerConnection};

use crate::peer::{Cut, DONE, PONG, Talk, VERSIONS, World, get, settings};

fn speaking(world: &World, names: &[&str], version: usize) -> Arc<ServerConfig> {
    let mut config = world.server_config(VERSIONS[version]);
    config.alpn_protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

#[test]
fn the_protocol_inside_is_agreed_upon() {
    let world = World::new();
    let bundle = world.authority.pem();
    let client = Client::new(&settings(Trust::Own(bundle.as_bytes()))).unwrap();
    let refused = Error::Alert("no_application_protocol".to_owned());
    let cases: [(Version, &[&str], Result<(), Error>); 7] = [
        (Version::Http1, &[], Ok(())),
        (Version::Http1, &["http/1.1"], Ok(())),
        (Version::Http1, &["h2", "http/1.1"], Ok(())),
        (Version::Http1, &["h2"], Err(refused.clone())),
        (Version::Http2, &["http/1.1", "h2"], Ok(())),
        (Version::Http2, &["http/1.1"], Err(refused)),
        (Version::Http2, &[], Err(Error::Alpn("h2"))),
    ];
    for (wanted, spoken, expected) in cases {
        for version in [0, 1] {
            let server = speaking(&world, spoken, version);
            // What is inside does not matter to the handshake.
            let protocol = client.protocol("server.test", wanted, Arc::new(Http1)).unwrap();
            let mut talk = Talk::new(&protocol, &server, Cut::Never);
            let result = talk.settle();
            assert_eq!(result, expected.clone().map_err(Into::into), "{wanted:?} of {spoken:?}");
            if result.is_ok() {
                assert_eq!(talk.exchange(&get(), PONG), Ok(DONE));
            }
        }
    }
}

#[test]
fn a_probe_learns_what_the_target_prefers() {
    let world = World::new();
    let bundle = world.authority.pem();
    let client = Client::new(&settings(Trust::Own(bundle.as_bytes()))).unwrap();
    let probe = |server: &Arc<ServerConfig>, name: &str| {
        let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
        let mut probe = client.probe(name).unwrap();
        probe.start().unwrap();
        loop {
            let output = std::mem::take(probe.output());
            server.read_tls(&mut &output[..]).unwrap();
            let refusal = server.process_new_packets().err();
            let mut bytes = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            match probe.hear(&mut bytes) {
                Ok(None) if bytes.is_empty() => return Err(probe.end()),
                Ok(None) => assert_eq!(refusal, None),
                Ok(Some(version)) => return Ok(version),
                Err(error) => return Err(error),
            }
        }
    };
    for version in [0, 1] {
        let cases: [(&[&str], Version); 5] = [
            (&["h2", "http/1.1"], Version::Http2),
            (&["http/1.1", "h2"], Version::Http1),
            (&["h2"], Version::Http2),
            (&["http/1.1"], Version::Http1),
            (&[], Version::Http1),
        ];
        for (spoken, expected) in cases {
            let found = probe(&speaking(&world, spoken, version), "server.test");
            assert_eq!(found, Ok(expected), "{spoken:?}");
        }
        let neither = probe(&speaking(&world, &["ftp"], version), "server.test");
        assert_eq!(neither, Err(Error::Alert("no_application_protocol".to_owned())));
        let stranger = probe(&speaking(&world, &[], version), "other.test");
        assert!(matches!(stranger, Err(Error::Name { .. })));
    }
    let mut probe = client.probe("server.test").unwrap();
    probe.start().unwrap();
    assert_eq!(probe.hear(&mut b"HTTP/1.1 400 Bad Request\r\n".to_owned()), Err(Error::NotTls));
}

#[test]
fn sessions_are_taken_up_again_only_when_asked_for() {
    let world = World::new();
    let bundle = world.authority.pem();
    for version in VERSIONS {
        let server = Arc::new(world.server_config(version));
        for resumption in [false, true] {
            let usable = Settings { resumption, ..settings(Trust::Own(bundle.as_bytes())) };
            let client = Client::new(&usable).unwrap();
            let protocol = || client.protocol("server.test", Version::Http1, Arc::new(Http1)).unwrap();
            let handshake = |protocol: &Tls, cut| {
                let mut talk = Talk::new(protocol, &server, cut);
                talk.settle().unwrap();
                assert_eq!(talk.exchange(&get(), PONG), Ok(DONE));
                talk.server.handshake_kind().unwrap()
            };
            let (one, other) = (protocol(), protocol());
            assert_eq!(handshake(&one, Cut::Never), HandshakeKind::Full);
            let later = if resumption { HandshakeKind::Resumed } else { HandshakeKind::Full };
            for cut in [Cut::Never, Cut::Each(1), Cut::Each(10), Cut::Never] {
                assert_eq!(handshake(&one, cut), later);
            }
            // Another one, as of another thread, remembers nothing of it.
            assert_eq!(handshake(&other, Cut::Never), HandshakeKind::Full);
            assert_eq!(handshake(&other, Cut::Never), later);
        }
    }
}
