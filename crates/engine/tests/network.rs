//! How targets are reached: from which address, over which family, through which socket, and in which proportion.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "these helpers are only called by tests")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{env, fs, thread};

use engine::{Allow, Job, PrepareError};
use support::{Server, counts, job, prepare, run, start, watch};

fn plan(targets: &str, load: &str, rest: &str) -> plan::Plan {
    let text = format!(
        "version: 1\nname: test\ntarget: {targets}\nload: {{ {load} }}\n{rest}\n\
         scenarios: {{ only: {{ steps: [{{ get: / }}] }} }}\n"
    );
    plan::parse("test", &text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"))
}

fn refusal(job: Job) -> PrepareError {
    engine::prepare(job).map(drop).unwrap_err()
}

/// An error and its cause.
fn said(error: &PrepareError) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    format!("{error}: {}", cause.unwrap_or_default())
}

#[test]
fn source_addresses_are_used_in_turn() {
    let seen: Arc<Mutex<BTreeMap<IpAddr, u32>>> = Arc::default();
    let by_address = Arc::clone(&seen);
    let server = Server::start(move |mut peer| {
        *by_address.lock().unwrap().entry(peer.stream.peer_addr().unwrap().ip()).or_default() += 1;
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    });
    let target = format!("http://{}", server.address);
    let load = "model: avalanche, requests_per_driver: 30, connections: 1";
    let sources = "network: { source_addresses: [127.0.0.2, 127.0.0.3, 127.0.0.4] }";
    let told = run(plan(&target, load, sources), 1);
    assert_eq!(told.outcomes(), counts(&[("200", 30)]));
    // And the probe, from the first of them.
    let expected = [("127.0.0.2", 11), ("127.0.0.3", 10), ("127.0.0.4", 10)];
    let expected = expected.map(|(address, count)| (address.parse().unwrap(), count));
    assert_eq!(*seen.lock().unwrap(), BTreeMap::from(expected));
}

#[test]
fn a_source_address_is_of_this_machine() {
    let server = Server::pong();
    let target = format!("http://{}", server.address);
    let load = "model: avalanche, requests_per_driver: 1, connections: 1";
    let error = refusal(job(plan(&target, load, "network: { source_addresses: [127.0.0.1, 192.0.2.1] }")));
    assert!(said(&error).contains("cannot connect from 192.0.2.1"), "{error:?}");
    let error = refusal(job(plan(&target, load, "network: { source_addresses: \"::1\" }")));
    assert!(said(&error).contains("no address that the source addresses can reach"), "{error:?}");
}

#[test]
fn ipv6_from_end_to_end() {
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&heads);
    let server = Server::start_at("[::1]:0", move |mut peer| {
        while let Some(head) = peer.request() {
            kept.lock().unwrap().push(head);
            peer.ok();
        }
    });
    let target = format!("\"http://[::1]:{}\"", server.address.port());
    let load = "model: avalanche, requests_per_driver: 20, connections: 2";
    for network in ["", "network: { addresses: ipv6 }", "network: { source_addresses: \"::1\" }"] {
        let told = run(plan(&target, load, network), 1);
        assert_eq!(told.outcomes(), counts(&[("200", 20)]), "{network}");
    }
    let host = format!("host: [::1]:{}\r\n", server.address.port());
    let heads = heads.lock().unwrap();
    assert!(heads.iter().all(|head| head.to_ascii_lowercase().contains(&host)), "{:?}", heads[0]);
    let error = refusal(job(plan(&target, load, "network: { addresses: ipv4 }")));
    assert!(said(&error).contains("it has no IPv4 address"), "{error:?}");
}

#[test]
fn connections_and_requests_follow_the_weights() {
    let (heavy, light) = (Server::pong(), Server::pong());
    let targets =
        format!("[{{ url: \"http://{}\", weight: 3 }}, \"http://{}\"]", heavy.address, light.address);
    let plan = plan(&targets, "model: avalanche, requests_per_driver: 400, connections: 8", "");
    let to_heavy = (0..400).filter(|index| plan.workloads[0].target_of(*index) == 0).count() as u64;
    assert!((260..340).contains(&to_heavy), "{to_heavy}");
    let told = run(plan, 1);
    assert_eq!(told.outcomes(), counts(&[("200", 400)]));
    assert_eq!((heavy.served(), light.served()), (to_heavy, 400 - to_heavy));
    // And a probe of each.
    assert_eq!((heavy.accepted(), light.accepted()), (7, 3));
}

/// A folder that is gone with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("groundswell-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Answers every request on the socket at `path`, with its path as the body.
fn serve_socket(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    let serve = |mut stream: UnixStream| {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while let Ok(1) = stream.read(&mut byte) {
            head.push(byte[0]);
            if head.ends_with(b"\r\n\r\n") {
                assert!(head.starts_with(b"GET /base/ HTTP/1.1\r\n"));
                assert!(String::from_utf8_lossy(&head).to_ascii_lowercase().contains("host: localhost\r\n"));
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong").ok();
                head.clear();
            }
        }
    };
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
}

#[test]
fn a_unix_socket_is_loaded_where_a_rule_allows_it() {
    let folder = Folder::new("socket");
    let (socket, link) = (folder.0.join("app.sock"), folder.0.join("link.sock"));
    serve_socket(&socket);
    std::os::unix::fs::symlink(&socket, &link).unwrap();
    let load = "model: avalanche, requests_per_driver: 200, connections: 4";
    let job_at = |path: &Path, rule: &Path| Job {
        allow: Allow::new([format!("unix:{}", rule.display()).as_str()]).unwrap(),
        ..job(plan(&format!("\"unix:{}:/base\"", path.display()), load, ""))
    };
    for (path, rule) in [(&socket, &socket), (&link, &socket), (&socket, &folder.0)] {
        let told = watch(start(prepare(job_at(path, rule))));
        assert_eq!(told.outcomes(), counts(&[("200", 200)]));
    }
    let elsewhere = Folder::new("elsewhere");
    std::os::unix::fs::symlink(&socket, elsewhere.0.join("in.sock")).unwrap();
    let error = refusal(job_at(&elsewhere.0.join("in.sock"), &elsewhere.0));
    assert!(said(&error).contains(&format!("--allow unix:{}", socket.display())), "{error:?}");
    let error = refusal(job(plan(&format!("\"unix:{}\"", socket.display()), load, "")));
    assert!(matches!(error, PrepareError::Refused(_)), "{error:?}");
    let error = refusal(job_at(&folder.0.join("gone.sock"), &folder.0));
    assert!(matches!(error, PrepareError::Unreachable { .. }), "{error:?}");
}

/// Set where a test runs in a network namespace of its own.
const INSIDE: &str = "GROUNDSWELL_TEST_IN_NAMESPACE";

/// Runs the test `name` of this file again, with only a loopback of its own. Skipped where that is not permitted.
fn in_namespace(name: &str) {
    let test = env::current_exe().unwrap();
    let inside = |program: &str, arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", program]).args(arguments).env(INSIDE, "1");
        command.status()
    };
    if !inside("ip", &["link", "set", "lo", "up"]).is_ok_and(|status| status.success()) {
        eprintln!("skipped, no network namespaces here");
        return;
    }
    let status = inside(test.to_str().unwrap(), &["--exact", name, "--nocapture"]).unwrap();
    assert!(status.success());
}

/// How many connections `server` accepted, once it is `expected` or half a second has passed.
fn accepted(server: &Server, expected: usize) -> usize {
    for _ in 0..50 {
        if server.accepted() == expected {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    server.accepted()
}

#[test]
fn more_sources_and_more_targets_have_more_ports() {
    if env::var_os(INSIDE).is_none() {
        return in_namespace("more_sources_and_more_targets_have_more_ports");
    }
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40019").unwrap();
    let load = |count| {
        format!("model: avalanche, requests_per_driver: 300, connections: {{ start: {count}, max: {count} }}")
    };
    let (one, other) = (Server::pong_at("127.0.0.1:30001"), Server::pong_at("127.0.0.1:30002"));

    let prepared = prepare(job(plan("http://127.0.0.1:30001", &load(60), "")));
    let with_one = accepted(&one, 61);
    assert!((15..=21).contains(&with_one), "one address has 20 ports: {with_one}");
    drop(prepared);

    let sources = "network: { source_addresses: [127.0.1.1, 127.0.1.2, 127.0.1.3, 127.0.1.4] }";
    let before = one.accepted();
    let prepared = prepare(job(plan("http://127.0.0.1:30001", &load(60), sources)));
    assert_eq!(accepted(&one, before + 61), before + 61);
    assert_eq!(watch(start(prepared)).outcomes(), counts(&[("200", 300)]));

    // A port that is in use towards one target is free towards another.
    let before = (one.accepted(), other.accepted());
    let targets = "[\"http://127.0.0.1:30001\", \"http://127.0.0.1:30002\"]";
    let source = "network: { source_addresses: 127.0.2.1 }";
    let prepared = prepare(job(plan(targets, &load(30), source)));
    assert_eq!(
        (accepted(&one, before.0 + 16), accepted(&other, before.1 + 16)),
        (before.0 + 16, before.1 + 16)
    );
    assert_eq!(watch(start(prepared)).outcomes(), counts(&[("200", 300)]));
}
