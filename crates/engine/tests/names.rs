//! Names that are looked up in a run: what changes is followed, what is refused is not reached, and a name server that
//! fails or says nothing costs only those who need it.

#![allow(clippy::unwrap_used, reason = "these helpers are only called by tests")]

mod support;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use metrics::Phase;
use support::{Server, Told, counts, job, start, watch};

fn plan(port: u16, load: &str, rest: &str) -> plan::Plan {
    let text = format!(
        "version: 1\nname: test\ntarget: http://name.test:{port}\nload: {{ {load} }}\n{rest}\n\
         scenarios: {{ only: {{ steps: [{{ get: /, timeout: 600ms }}] }} }}\n"
    );
    plan::parse("test", &text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"))
}

/// Runs `plan` where the `n`-th look-up, from 0 on, has the answer `resolve(n)`; how many there were.
fn run(
    plan: plan::Plan,
    resolve: impl Fn(usize) -> io::Result<IpAddr> + Send + Sync + 'static,
) -> (Told, usize) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let resolve = move |host: &str, port: u16| {
        assert_eq!(host, "name.test");
        let address = resolve(counted.fetch_add(1, Ordering::SeqCst))?;
        Ok(vec![SocketAddr::new(address, port)])
    };
    let prepared = engine::prepare_with(job(plan), Arc::new(resolve)).unwrap();
    let told = watch(start(prepared));
    (told, count.load(Ordering::SeqCst))
}

const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// Connections by the address that they were made to.
type Reached = Arc<Mutex<BTreeMap<IpAddr, usize>>>;

/// Closes each connection after its first answer.
fn closing_server() -> (Server, Reached) {
    let reached = Reached::default();
    let kept = Arc::clone(&reached);
    let server = Server::start_at("0.0.0.0:0", move |mut peer| {
        *kept.lock().unwrap().entry(peer.stream.local_addr().unwrap().ip()).or_default() += 1;
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    });
    (server, reached)
}

#[test]
fn each_connection_looks_up_where_it_goes() {
    let (server, reached) = closing_server();
    let load = "model: avalanche, requests_per_driver: 41, connections: 1";
    let plan = plan(server.address.port(), load, "phases: true\nnetwork: { dns: connection }");
    let (told, lookups) = run(plan, |number| {
        thread::sleep(Duration::from_millis(2));
        Ok(if number % 2 == 0 { FIRST } else { SECOND })
    });
    assert_eq!(told.outcomes(), counts(&[("200", 41)]));
    // Probe and first connection use what the preparation looked up.
    assert_eq!(lookups, 41);
    assert_eq!(*reached.lock().unwrap(), BTreeMap::from([(FIRST, 22), (SECOND, 20)]));
    let phases = told.all.steps[0].phases.as_ref().unwrap();
    assert_eq!(phases.get(Phase::Lookup).count(), 40);
    assert!(phases.get(Phase::Lookup).min_ns().unwrap() >= 2_000_000);
}

#[test]
fn a_name_that_is_gone_fails_whoever_needs_it() {
    let (server, _) = closing_server();
    let load = "model: avalanche, requests_per_driver: 30, connections: 2";
    let plan = plan(server.address.port(), load, "network: { dns: connection }");
    let gone = |number| if number == 0 { Ok(FIRST) } else { Err(io::ErrorKind::NotFound.into()) };
    let (told, _) = run(plan, gone);
    assert_eq!(told.outcomes(), counts(&[("200", 2), ("dns", 28)]));
}

#[test]
fn addresses_of_a_run_are_judged_too() {
    let (server, _) = closing_server();
    for refused in ["192.0.2.1", "169.254.169.254"].map(|address| address.parse::<IpAddr>().unwrap()) {
        let load = "model: avalanche, requests_per_driver: 10, connections: 1";
        let plan = plan(server.address.port(), load, "network: { dns: connection }");
        let (told, _) = run(plan, move |number| Ok(if number == 0 { FIRST } else { refused }));
        assert_eq!(told.outcomes(), counts(&[("200", 1), ("dns", 9)]));
    }
}

#[test]
fn a_silent_name_server_delays_only_those_who_need_it() {
    let (server, _) = closing_server();
    let load = "model: tsunami, requests_per_driver: 1500, delay: 1ms, connections: { start: 4, max: 2000 }";
    let plan = plan(server.address.port(), load, "network: { dns: connection }");
    let begun = clock::now();
    let (told, lookups) = run(plan, |number| {
        if number > 0 {
            thread::sleep(Duration::from_secs(30));
        }
        Ok(FIRST)
    });
    assert!(clock::now().since(begun) < Duration::from_secs(20), "no look-up is waited for at the end");
    assert_eq!(told.totals.due, 1500, "the pacer goes on");
    let failed =
        told.outcomes().into_iter().find(|(outcome, _)| outcome == "dns").map_or(0, |(_, count)| count);
    // What finds no room among the questions waits for it, and is missed by the target's fault.
    assert_eq!(failed + told.succeeded(0) + told.totals.missed.total(), 1500);
    assert!(failed >= 512 && told.succeeded(0) == 4, "{:?}", told.outcomes());
    assert!(lookups <= 5, "one at the preparation, and four at the same time: {lookups}");
}

#[test]
fn a_name_is_looked_up_again_and_keeps_what_it_had() {
    let (server, reached) = closing_server();
    let load = "model: open, stages: [{ at: 100/s, for: 2s }], connections: { start: 1, max: 50 }";
    let plan = plan(server.address.port(), load, "network: { dns: 200ms }");
    let (told, lookups) = run(plan, |number| match number {
        0 => Ok(FIRST),
        1 => Ok(SECOND),
        2 => Ok("192.0.2.1".parse().unwrap()),
        _ => Err(io::ErrorKind::TimedOut.into()),
    });
    assert_eq!(told.outcomes(), counts(&[("200", 200)]));
    assert!((3..=12).contains(&lookups), "{lookups}");
    let reached = reached.lock().unwrap();
    assert!(reached[&SECOND] > 100 && reached[&FIRST] > 1, "{reached:?}");
    assert_eq!(reached.len(), 2);
}

#[test]
fn the_family_of_an_address_is_chosen() {
    let v4 = Server::pong();
    let v6 = Server::pong_at(&format!("[::1]:{}", v4.address.port()));
    let both = |_: &str, port| {
        Ok(vec![([127, 0, 0, 1], port).into(), (IpAddr::from(std::net::Ipv6Addr::LOCALHOST), port).into()])
    };
    let load = "model: avalanche, requests_per_driver: 40, connections: 4";
    for (family, of_v4, of_v6) in [("any", 20, 20), ("ipv4", 40, 0), ("ipv6", 0, 40)] {
        let before = (v4.accepted(), v6.accepted());
        let plan = plan(v4.address.port(), load, &format!("network: {{ addresses: {family} }}"));
        let told = watch(start(engine::prepare_with(job(plan), Arc::new(both)).unwrap()));
        assert_eq!(told.outcomes(), counts(&[("200", 40)]));
        let after = (v4.accepted() - before.0, v6.accepted() - before.1);
        // Connections, and a probe.
        let expected = |requests: usize| if requests == 0 { 0 } else { requests / 10 + 1 };
        assert_eq!(after, (expected(of_v4), expected(of_v6)), "{family}");
    }
}

#[test]
fn the_systems_resolver_knows_localhost() {
    let (server, _) = closing_server();
    let text = format!(
        "version: 1\nname: test\ntarget: http://localhost:{}\nnetwork: {{ dns: connection, addresses: ipv4 }}\n\
         load: {{ model: avalanche, requests_per_driver: 20, connections: 2 }}\n\
         scenarios: {{ only: {{ steps: [{{ get: / }}] }} }}\n",
        server.address.port()
    );
    let told = support::run(plan::parse("test", &text).unwrap(), 1);
    assert_eq!(told.outcomes(), counts(&[("200", 20)]));
}
