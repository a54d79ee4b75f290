//! HTTP/2 end to end, against nghttpd: many requests at once on few connections, with and without TLS.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use engine::Job;
use engine::rehearsal::{Event, Options, rehearse};
use support::{counts, job, prepare, start, watch};

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

/// A rehearsal of `plan` speaks HTTP/2 as the run does, and keeps its connection from one request to the next.
fn rehearsed(plan: plan::Plan) {
    let options = Options { scenario: None, iterations: 2, keeps_pauses: false };
    let mut exchanges = Vec::new();
    rehearse(&job(plan), &options, &mut |event, _| {
        if let Event::Exchange(exchange) = event {
            exchanges.push(*exchange);
        }
    })
    .unwrap();
    assert_eq!(exchanges.len(), 4);
    for (exchange, is_first) in exchanges.iter().zip([true, false, true, false]) {
        assert_eq!(exchange.failure, None);
        let (sent, answer) = (exchange.request.as_ref().unwrap(), exchange.answer.as_ref().unwrap());
        assert_eq!((sent.version, answer.status, &*answer.body), ("HTTP/2", 200, &b"pong"[..]));
        assert!(sent.headers.iter().any(|(name, _)| name == "user-agent"), "{:?}", sent.headers);
        assert!(sent.headers.iter().all(|(name, _)| name != "host"), "{:?}", sent.headers);
        assert_eq!(exchange.connect.is_some(), is_first);
    }
}

#[test]
fn streams_share_connections_with_and_without_tls() {
    let folder = tempfile::tempdir().unwrap();
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("ca.pem"), identity.cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), identity.signing_key.serialize_pem()).unwrap();
    let ca = folder.path().join("ca.pem");
    let load = "model: avalanche, requests_per_driver: 2000, connections: { max: 4, streams: 10 }";
    for (arguments, scheme, more) in [
        (&["--no-tls"][..], "http", "http: 2".to_owned()),
        (&[][..], "https", format!("http: auto\ntls: {{ ca: {} }}", ca.display())),
    ] {
        let port = free_port();
        let _server = Nghttpd::start(port, arguments, folder.path());
        let host = if scheme == "http" { "127.0.0.1" } else { "localhost" };
        let text = format!(
            "version: 1\nname: streams\ntarget: {scheme}://{host}:{port}\n{more}\nload: {{ {load} }}\nscenarios: {{ only: {{ steps: [{{ get: /index.html }}, {{ get: \"/index.html?{{{{ rand.int(1, 9) }}}}\", name: varying }}] }} }}\n"
        );
        let plan = plan::parse("streams", &text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"));
        rehearsed(plan.clone());
        let told = watch(start(prepare(Job { threads: 2, ..job(plan) })));
        assert_eq!(told.outcomes(), counts(&[("200", 4000)]), "{scheme}");
    }
}

#[test]
fn steps_that_vary_share_connections() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let _server = Nghttpd::start(port, &["--no-tls"], folder.path());
    let steps = "{ get: '/index.html?i={{ iteration }}', name: first, save: { all: body, of: 'regex:p(o)', kind: 'header:content-type' } }, \
                 { get: '/{{ \"index\" }}.html?{{ of }}={{ all }}', name: second, headers: { x-kind: '{{ kind }}' }, when: 'all == \"pong\"', \
                 expect: { body_contains: '{{ all }}' } }, \
                 { get: '/none/{{ of }}', name: third }";
    let load = "model: avalanche, requests_per_driver: 300, connections: { max: 2, streams: 10 }";
    let text = format!(
        "version: 1\nname: streams\ntarget: http://127.0.0.1:{port}\nhttp: 2\nload: {{ {load} }}\nscenarios: {{ only: {{ steps: [{steps}] }} }}\n"
    );
    let plan = plan::parse("streams", &text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"));
    for told in support::each_loop(&plan, 2, |told| told) {
        assert_eq!(told.outcomes(), counts(&[("200", 600), ("status", 300)]));
        assert_eq!(told.completed(), 300);
    }
}
