//! What TLS adds to a run: sessions that are taken up again, records that bodies are cut into, and ends that are told.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};
use support::{Server, counts};

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// An identity for 127.0.0.1, and how many handshakes of each kind it has seen.
struct Secure {
    folder: tempfile::TempDir,
    config: Arc<ServerConfig>,
    handshakes: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Secure {
    fn new() -> Self {
        let identity = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = identity.signing_key.serialize_der().try_into().unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![identity.cert.der().clone()], key)
            .unwrap();
        let secure = Self {
            folder: tempfile::tempdir().unwrap(),
            config: Arc::new(config),
            handshakes: Arc::default(),
        };
        std::fs::write(secure.bundle(), identity.cert.pem()).unwrap();
        secure
    }

    fn bundle(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A server that treats every request with `answer`, until that says that the connection is over.
    fn serve(&self, answer: impl Fn(&mut Stream) -> bool + Send + Sync + 'static) -> Server {
        let (config, handshakes) = (Arc::clone(&self.config), Arc::clone(&self.handshakes));
        Server::start(move |peer| {
            let socket = peer.stream.try_clone().unwrap();
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), socket);
            let mut is_counted = false;
            while requested(&mut stream) {
                let kind = stream.conn.handshake_kind().unwrap();
                if !std::mem::replace(&mut is_counted, true) {
                    let kind = if kind == HandshakeKind::Resumed { "resumed" } else { "full" };
                    *handshakes.lock().unwrap().entry(kind.to_owned()).or_default() += 1;
                }
                if !answer(&mut stream) {
                    return;
                }
            }
        })
    }

    fn seen(&self, kind: &str) -> u64 {
        self.handshakes.lock().unwrap().get(kind).copied().unwrap_or(0)
    }

    /// What came of so many requests on each loop; `tls` is the plan's.
    fn outcomes(&self, server: &Server, requests: u64, tls: &str) -> Vec<(String, u64)> {
        let text = format!(
            "version: 1\nname: test\ntarget: https://{}\nload: {{ model: avalanche, requests_per_driver: {requests}, \
             connections: 2 }}\ntls: {{ {tls} }}\nscenarios: {{ only: {{ steps: [{{ get: / }}] }} }}\n",
            server.address
        );
        let text = text.replace("CA", &self.bundle().display().to_string());
        let plan = plan::parse("test", &text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"));
        let mut outcomes = support::each_loop(&plan, 1, |told| told.outcomes());
        let first = outcomes.pop().unwrap();
        assert!(outcomes.iter().all(|other| *other == first), "the loops differ");
        first
    }
}

/// Whether a request's head came.
fn requested(stream: &mut Stream) -> bool {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    true
}

/// Whether the client took `text`.
fn say(stream: &mut Stream, text: &str) -> bool {
    stream.write_all(text.as_bytes()).is_ok() && stream.flush().is_ok()
}

/// Answers, and says that it is the end.
fn closing(stream: &mut Stream) -> bool {
    say(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\npong");
    stream.conn.send_close_notify();
    stream.flush().ok();
    false
}

#[test]
fn sessions_are_taken_up_again() {
    let loops = support::loops().len() as u64;
    for (settings, most_full) in [("ca: CA", 4 * loops), ("ca: CA, resumption: false", u64::MAX)] {
        let secure = Secure::new();
        let server = secure.serve(closing);
        assert_eq!(secure.outcomes(&server, 60, settings), counts(&[("200", 60)]));
        let (full, resumed) = (secure.seen("full"), secure.seen("resumed"));
        assert_eq!(full + resumed, 60 * loops);
        assert!(full <= most_full, "{full} full handshakes");
        assert_eq!(resumed == 0, most_full == u64::MAX, "{resumed} resumed handshakes");
    }
}

#[test]
fn large_answers_come_whole() {
    let secure = Secure::new();
    let server = secure.serve(|stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n";
        say(stream, head) && say(stream, &"x".repeat(3_000_000))
    });
    assert_eq!(secure.outcomes(&server, 20, "ca: CA"), counts(&[("200", 20)]));
}

#[test]
fn an_end_without_a_farewell_completes_nothing() {
    let secure = Secure::new();
    let until_close = |is_told: bool| {
        move |stream: &mut Stream| {
            say(stream, "HTTP/1.1 200 OK\r\n\r\nto the end");
            if is_told {
                stream.conn.send_close_notify();
                stream.flush().ok();
            }
            false
        }
    };
    let server = secure.serve(until_close(true));
    assert_eq!(secure.outcomes(&server, 20, "ca: CA"), counts(&[("200", 20)]));
    let server = secure.serve(until_close(false));
    assert_eq!(secure.outcomes(&server, 20, "ca: CA"), counts(&[("read_reset", 20)]));
}

#[test]
fn a_handshake_is_a_phase_of_the_request_that_needed_it() {
    let secure = Secure::new();
    let server = secure.serve(|stream| say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong"));
    let text = format!(
        "version: 1\nname: test\ntarget: https://{}\nload: {{ model: avalanche, requests_per_driver: 400, \
         connections: {{ max: 8, requests: 20 }} }}\ntls: {{ insecure: true }}\nphases: true\n\
         scenarios: {{ only: {{ steps: [{{ get: / }}] }} }}\n",
        server.address
    );
    let plan = plan::parse("test", &text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"));
    support::each_loop(&plan, 2, |told| {
        assert_eq!(told.outcomes(), counts(&[("200", 400)]));
        let phases = told.all.steps[0].phases.as_ref().unwrap();
        let handshakes = phases.get(metrics::Phase::Tls).count();
        assert!((20..=40).contains(&handshakes), "one per connection: {handshakes}");
    });
}

#[test]
fn a_certificate_of_nobody_known_is_told_before_the_run() {
    let secure = Secure::new();
    let server = secure.serve(closing);
    let text = format!(
        "version: 1\nname: test\ntarget: https://{}\nload: {{ model: avalanche, requests_per_driver: 1 }}\n\
         scenarios: {{ only: {{ steps: [{{ get: / }}] }} }}\n",
        server.address
    );
    let plan = plan::parse("test", &text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"));
    let refused = engine::prepare(support::job(plan));
    assert!(matches!(refused, Err(engine::PrepareError::Unreachable { .. })), "{refused:?}");
}
