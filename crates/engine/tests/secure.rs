//! TLS and HTTP/2 end to end, over real sockets: against a server by `rustls` that turns hostile on demand, and nghttpd.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use engine::{Job, PrepareError};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::{Server, counts, job, prepare, start, watch};

/// A server's certificate for `localhost`, and the file by which it is believed.
struct Identity {
    folder: tempfile::TempDir,
    config: Arc<ServerConfig>,
}

impl Identity {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        Self { folder, config: Arc::new(config) }
    }

    fn ca(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    fn stream(&self, stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
        StreamOwned::new(ServerConnection::new(Arc::clone(&self.config)).unwrap(), stream)
    }
}

/// Answers requests until the client is gone.
fn answer(mut stream: StreamOwned<ServerConnection, TcpStream>) {
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

fn plan(port: u16, more: &str, load: &str) -> plan::Plan {
    let text = format!(
        "version: 1\nname: secure\ntarget: https://localhost:{port}\n{more}\nload: {{ {load} }}\nscenarios: {{ only: {{ steps: [{{ get: /, timeout: 2s }}] }} }}\n"
    );
    plan::parse("secure", &text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"))
}

#[test]
fn requests_go_through_tls_and_its_handshake_is_a_phase() {
    let identity = Arc::new(Identity::new());
    let server = Server::start({
        let identity = Arc::clone(&identity);
        move |peer| answer(identity.stream(peer.stream))
    });
    let more = format!("tls: {{ ca: {} }}\nphases: true", identity.ca());
    let load = "model: avalanche, requests_per_driver: 400, connections: { max: 8, requests: 20 }";
    let plan = plan(server.address.port(), &more, load);
    let told = watch(start(prepare(Job { threads: 2, ..job(plan) })));
    assert_eq!(told.outcomes(), counts(&[("200", 400)]));
    let phases = told.all.steps[0].phases.as_ref().unwrap();
    let handshakes = phases.get(metrics::Phase::Tls).count();
    assert!((20..=40).contains(&handshakes), "one per connection: {handshakes}");
}

#[test]
fn a_certificate_that_is_not_believed_is_told_before_the_run() {
    let identity = Arc::new(Identity::new());
    let server = Server::start({
        let identity = Arc::clone(&identity);
        move |peer| answer(identity.stream(peer.stream))
    });
    let load = "model: avalanche, requests_per_driver: 4, connections: 2";
    let refused = engine::prepare(job(plan(server.address.port(), "", load)));
    assert!(matches!(refused, Err(PrepareError::Unreachable { .. })), "{refused:?}");
    let insecure = plan(server.address.port(), "tls: { insecure: true }", load);
    assert_eq!(watch(start(prepare(job(insecure)))).outcomes(), counts(&[("200", 4)]));
}

#[test]
fn a_handshake_that_stalls_or_ends_in_rubbish_is_a_fault_of_tls() {
    let identity = Arc::new(Identity::new());
    let seen = AtomicUsize::new(0);
    let server = Server::start({
        let identity = Arc::clone(&identity);
        move |mut peer| match seen.fetch_add(1, Ordering::SeqCst) {
            // The probes of the preparation, by TCP and by TLS.
            0 | 1 => answer(identity.stream(peer.stream)),
            number if number % 2 == 0 => thread::sleep(Duration::from_secs(10)),
            _ => peer.send("HTTP/1.1 400 Bad Request\r\n\r\n"),
        }
    });
    let more = format!("tls: {{ ca: {} }}", identity.ca());
    let load = "model: open, stages: [{ at: 10/s, for: 1s }], connections: { max: 20, per: iteration }";
    let told = watch(start(prepare(job(plan(server.address.port(), &more, load)))));
    assert_eq!(told.outcomes(), counts(&[("tls", 10)]));
}

/// nghttpd, which ends with the test.
struct Nghttpd(Child);

impl Nghttpd {
    fn start(port: u16, arguments: &[&str], folder: &std::path::Path) -> Self {
        std::fs::write(folder.join("index.html"), "pong").unwrap();
        let mut command = Command::new("nghttpd");
        command.arg("--htdocs").arg(folder).args(["--address", "127.0.0.1"]).args(arguments);
        if let [.., "--no-tls"] = arguments {
            command.arg(port.to_string());
        } else {
            command.arg(port.to_string()).arg(folder.join("key.pem")).arg(folder.join("ca.pem"));
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let nghttpd = Self(child.expect("nghttpd, of Debian's nghttp2-server"));
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return nghttpd;
            }
            thread::sleep(Duration::from_millis(25));
        }
        panic!("nghttpd does not listen");
    }
}

impl Drop for Nghttpd {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("a child that can be ended");
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn streams_share_connections_with_and_without_tls() {
    let identity = Identity::new();
    let load = "model: avalanche, requests_per_driver: 2000, connections: { max: 4, streams: 10 }";
    for (arguments, scheme, more) in [
        (&["--no-tls"][..], "http", "http: 2".to_owned()),
        (&[][..], "https", format!("http: auto\ntls: {{ ca: {} }}", identity.ca())),
    ] {
        let port = free_port();
        let _server = Nghttpd::start(port, arguments, identity.folder.path());
        let host = if scheme == "http" { "127.0.0.1" } else { "localhost" };
        let text = format!(
            "version: 1\nname: streams\ntarget: {scheme}://{host}:{port}\n{more}\nload: {{ {load} }}\nscenarios: {{ only: {{ steps: [{{ get: /index.html }}] }} }}\n"
        );
        let plan = plan::parse("streams", &text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"));
        let told = watch(start(prepare(Job { threads: 2, ..job(plan) })));
        assert_eq!(told.outcomes(), counts(&[("200", 2000)]), "{scheme}");
    }
}
