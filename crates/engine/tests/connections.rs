//! How long connections are kept, and for whom.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use support::{Server, counts, full_plan, plan, run};

const GET: &str = "{ get: / }";

/// Requests by the local port that they came from, in the order in which they came, and a server that notes them.
type Journal = Arc<Mutex<Vec<(u16, String)>>>;

fn noting() -> (Server, Journal) {
    let journal = Journal::default();
    let notes = Arc::clone(&journal);
    let server = Server::start(move |mut peer| {
        let port = peer.stream.peer_addr().unwrap().port();
        while let Some(head) = peer.request() {
            notes.lock().unwrap().push((port, head.lines().next().unwrap().to_owned()));
            if head.contains("Connection: close") {
                return peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
            }
            peer.ok();
        }
    });
    (server, journal)
}

fn by_port(journal: &Journal) -> HashMap<u16, Vec<String>> {
    let mut by_port: HashMap<u16, Vec<String>> = HashMap::new();
    for (port, line) in journal.lock().unwrap().iter() {
        by_port.entry(*port).or_default().push(line.clone());
    }
    by_port
}

#[test]
fn an_iteration_has_a_connection_of_its_own_from_its_first_step_to_its_last() {
    let (server, journal) = noting();
    let load = "model: open, stages: [{ at: 100/s, for: 1s }], connections: { max: 50, per: iteration }";
    let told = run(plan(&server, load, "{ get: /a }, { pause: 5ms }, { get: /b }, { get: /c }"), 2);
    assert_eq!(told.outcomes(), counts(&[("200", 300)]));
    let by_port = by_port(&journal);
    assert_eq!(by_port.len(), 100, "as many connections as iterations");
    for lines in by_port.values() {
        assert_eq!(lines, &["GET /a HTTP/1.1", "GET /b HTTP/1.1", "GET /c HTTP/1.1"]);
    }
}

#[test]
fn an_avalanche_can_open_a_connection_for_each_request() {
    let (server, journal) = noting();
    let load = "model: avalanche, requests_per_driver: 500, connections: { max: 16, per: iteration }";
    let told = run(plan(&server, load, GET), 1);
    assert_eq!(told.outcomes(), counts(&[("200", 500)]));
    assert_eq!(by_port(&journal).len(), 500);
}

#[test]
fn a_connection_carries_no_more_requests_than_the_plan_says() {
    let (server, journal) = noting();
    let load = "model: avalanche, requests_per_driver: 100, connections: { max: 4, requests: 10 }";
    let told = run(plan(&server, load, GET), 1);
    assert_eq!(told.outcomes(), counts(&[("200", 100)]));
    let by_port = by_port(&journal);
    assert!(by_port.len() >= 10, "{}", by_port.len());
    assert!(by_port.values().all(|lines| lines.len() <= 10), "{by_port:?}");
}

#[test]
fn a_connection_is_not_used_beyond_its_lifetime() {
    let (server, journal) = noting();
    let load =
        "model: open, stages: [{ at: 50/s, for: 2s }], connections: { start: 1, max: 1, lifetime: 400ms }";
    let told = run(plan(&server, load, GET), 1);
    assert_eq!(told.outcomes(), counts(&[("200", 100)]));
    let by_port = by_port(&journal);
    assert!((4..=7).contains(&by_port.len()), "{} connections in 2 s", by_port.len());
    // 400 ms hold 20 arrivals; one more may have been waiting.
    assert!(by_port.values().all(|lines| lines.len() <= 22), "{by_port:?}");
}

#[test]
fn phases_say_where_the_time_went() {
    let server = Server::start(|mut peer| {
        while peer.request().is_some() {
            thread::sleep(Duration::from_millis(40));
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
            thread::sleep(Duration::from_millis(60));
            peer.send("pong");
        }
    });
    let scenarios = "scenarios: { only: { steps: [{ get: / }] } }\nphases: true";
    let load = "model: avalanche, requests_per_driver: 10, connections: 2";
    let told = run(full_plan(&server, load, scenarios), 1);
    assert_eq!(told.outcomes(), counts(&[("200", 10)]));
    let phases = told.all.steps[0].phases.as_ref().unwrap();
    let count = |phase| phases.get(phase).count();
    let least_ms = |phase| phases.get(phase).min_ns().unwrap() / 1_000_000;
    use metrics::Phase::{Connect, Lookup, Receiving, Sending, Tls, Waiting};
    assert_eq!((count(Connect), count(Lookup), count(Tls)), (2, 0, 0), "once per connection");
    assert_eq!((count(Sending), count(Waiting), count(Receiving)), (10, 10, 10));
    let mean_ms = |phase| phases.get(phase).mean_ns().unwrap() / 1e6;
    // A first byte that is noticed late is waited for longer, and received in less.
    assert!(least_ms(Waiting) >= 40 && mean_ms(Waiting) + mean_ms(Receiving) >= 100.0);
}

#[test]
fn a_user_keeps_its_connection_and_its_cookies() {
    let seen: Arc<Mutex<HashMap<u16, Vec<String>>>> = Arc::default();
    let notes = Arc::clone(&seen);
    let server = Server::start(move |mut peer| {
        let port = peer.stream.peer_addr().unwrap().port();
        while let Some(head) = peer.request() {
            let cookie = head.lines().find_map(|line| line.strip_prefix("Cookie: ")).unwrap_or("none");
            notes.lock().unwrap().entry(port).or_default().push(cookie.to_owned());
            let set = if cookie == "none" { format!("Set-Cookie: id={port}\r\n") } else { String::new() };
            peer.send(&format!("HTTP/1.1 200 OK\r\n{set}Content-Length: 2\r\n\r\nok"));
        }
    });
    let scenarios = "scenarios: { only: { cookies: true, steps: [{ get: /a }, { get: /b }] } }";
    let load = "model: closed, stages: [{ users: 5, for: 1s }], think_time: 100ms, connections: { max: 5, per: user }";
    let told = run(full_plan(&server, load, scenarios), 2);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 5, "one connection per user");
    for (port, cookies) in seen.iter() {
        assert!((4..=22).contains(&cookies.len()), "{}", cookies.len());
        assert_eq!(cookies[0], "none");
        assert!(cookies[1..].iter().all(|cookie| *cookie == format!("id={port}")), "{cookies:?}");
    }
    assert_eq!(told.outcomes(), counts(&[("200", seen.values().map(|of| of.len() as u64).sum())]));
}

#[test]
fn users_share_connections_and_wait_for_them() {
    let server = Server::pong();
    let load = "model: closed, stages: [{ from: 0, to: 20, over: 1s }, { users: 20, for: 1s }], think_time: 20ms..40ms, connections: { max: 4 }";
    let told = run(plan(&server, load, GET), 1);
    assert!(told.totals.succeeded > 300, "{:?}", told.totals);
    assert_eq!(told.totals.failed, 0);
    assert!(server.accepted() <= 5, "four and the probe: {}", server.accepted());
}

#[test]
fn a_connection_of_ones_own_leads_to_the_target_that_is_meant() {
    let strangers: Arc<Mutex<Vec<String>>> = Arc::default();
    let servers: Vec<Server> = (0..2)
        .map(|_| {
            let strangers = Arc::clone(&strangers);
            Server::start(move |mut peer| {
                let host = format!("host: {}", peer.stream.local_addr().unwrap());
                while let Some(head) = peer.request() {
                    if !head.to_ascii_lowercase().contains(&host) {
                        strangers.lock().unwrap().push(head);
                    }
                    peer.ok();
                }
            })
        })
        .collect();
    for (model, per) in [
        ("model: closed, users: 4, iterations: 200", "user"),
        ("model: avalanche, requests_per_driver: 200", "iteration"),
    ] {
        let text = format!(
            "version: 1\nname: two\ntarget: [http://{}, http://{}]\nload: {{ {model}, connections: {{ max: 8, per: {per} }} }}\nscenarios: {{ only: {{ steps: [{GET}] }} }}\n",
            servers[0].address, servers[1].address
        );
        let plan = plan::parse("two", &text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"));
        assert_eq!(run(plan, 1).outcomes(), counts(&[("200", 200)]));
    }
    assert!(servers.iter().all(|server| server.served() > 50), "both are used");
    assert_eq!(*strangers.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn a_user_that_goes_closes_its_connection() {
    let ends: Arc<Mutex<Vec<clock::Instant>>> = Arc::default();
    let notes = Arc::clone(&ends);
    let server = Server::start(move |mut peer| {
        while peer.request().is_some() {
            peer.ok();
        }
        notes.lock().unwrap().push(clock::now());
    });
    let load = "model: closed, stages: [{ users: 8, for: 500ms }, { users: 1, for: 2s }], think_time: 50ms, connections: { max: 8, per: user }";
    run(plan(&server, load, GET), 1);
    let end = *server.requests.lock().unwrap().last().unwrap();
    let early = ends.lock().unwrap().iter().filter(|at| end.since(**at) > Duration::from_secs(1)).count();
    // The probe of the preparation, and seven of the eight users.
    assert_eq!(early, 8);
}
