//! What targets do to a load tester before a request can be said: handshakes that stall, break or show a certificate
//! that is out of date. Each is a fault of its connection, and none harms what goes to another target meanwhile.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use engine::{Job, PrepareError};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::{Peer, Server};

/// An authority that is believed, and what it signs for `localhost`.
struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    /// A server whose certificate is good until that year.
    fn server(&self, until: i32) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = ServerConfig::builder().with_no_client_auth();
        Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap())
    }

    fn plan(&self, targets: &str) -> plan::Plan {
        let ca = self.folder.path().join("ca.pem");
        let text = format!(
            "version: 1\nname: tls\ntarget: {targets}\ntls: {{ ca: {} }}\n\
             load: {{ model: open, stages: [{{ at: 100/s, for: 2s }}], connections: {{ max: 500, per: iteration }} }}\n\
             scenarios: {{ only: {{ steps: [{{ get: /, timeout: 1s }}] }} }}\n",
            ca.display()
        );
        plan::parse("tls", &text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"))
    }
}

/// Answers requests until the client is gone.
fn answer(config: &Arc<ServerConfig>, peer: Peer) {
    let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), peer.stream);
    let (mut heard, mut bytes) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        heard.extend_from_slice(&bytes[..count]);
        while let Some(end) = heard.windows(4).position(|four| four == b"\r\n\r\n") {
            heard.drain(..end + 4);
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong").is_err() {
                return;
            }
        }
    }
}

/// Of two targets one turns to `bad` when the run starts: its requests fail as `kind`, all others are answered.
fn beside(kind: &str, bad: impl Fn(&Authority, Peer) + Send + Sync + 'static) {
    let authority = Arc::new(Authority::new());
    let turned = Arc::new(AtomicBool::new(false));
    let sound = Server::pong();
    let other = Server::start({
        let (authority, turned, good) = (Arc::clone(&authority), Arc::clone(&turned), authority.server(2999));
        move |peer| if turned.load(Ordering::SeqCst) { bad(&authority, peer) } else { answer(&good, peer) }
    });
    let targets = format!("[http://{}, https://localhost:{}]", sound.address, other.address.port());
    let plan = authority.plan(&targets);
    let to_sound = (0..200).filter(|index| plan.workloads[0].target_of(*index) == 0).count() as u64;
    for io in support::loops() {
        turned.store(false, Ordering::SeqCst);
        let prepared = support::prepare(Job { io, ..support::job(plan.clone()) });
        turned.store(true, Ordering::SeqCst);
        let told = support::watch(support::start(prepared));
        let outcomes = told.outcomes();
        assert_eq!((told.totals.due, told.totals.started), (200, 200), "{io:?}: {outcomes:?}");
        let expected = support::counts(&[("200", to_sound), (kind, 200 - to_sound)]);
        assert_eq!(outcomes, expected, "{io:?}");
    }
}

#[test]
fn a_handshake_that_is_never_answered() {
    beside("tls", |_, peer| {
        thread::sleep(Duration::from_secs(20));
        drop(peer);
    });
}

#[test]
fn a_handshake_answered_by_something_else() {
    beside("tls", |_, mut peer| {
        peer.send("HTTP/1.1 400 Bad Request\r\n\r\n");
        thread::sleep(Duration::from_secs(2));
    });
}

#[test]
fn a_handshake_a_byte_at_a_time() {
    beside("tls", |_, mut peer| {
        // A record of a handshake, of 64 KiB by its header.
        while peer.sends("\u{16}") {
            thread::sleep(Duration::from_millis(100));
        }
    });
}

#[test]
fn a_connection_closed_in_the_handshake() {
    beside("connect_reset", |_, mut peer| {
        let mut hello = [0; 64];
        peer.stream.read_exact(&mut hello).ok();
    });
}

#[test]
fn a_certificate_that_expires_in_the_run() {
    let expired = std::sync::OnceLock::new();
    beside("tls", move |authority, peer| answer(expired.get_or_init(|| authority.server(2002)), peer));
}

#[test]
fn a_certificate_that_has_expired_is_told_before_the_run() {
    let authority = Authority::new();
    let expired = authority.server(2002);
    let server = Server::start(move |peer| answer(&expired, peer));
    let plan = authority.plan(&format!("https://localhost:{}", server.address.port()));
    match engine::prepare(support::job(plan)) {
        Err(PrepareError::Unreachable { source, .. }) => {
            assert!(source.to_string().to_lowercase().contains("expired"), "{source}");
        }
        other => panic!("{other:?}"),
    }
}
