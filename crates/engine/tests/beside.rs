//! One of two targets misbehaves: what goes to the other is sent and answered as if it did not.
//!
//! What is asserted are counts: everything due was started, nothing missed, every request to the sound target answered.
//! A loop that blocked or spun on the bad one could not keep a schedule of two hundred a second.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use support::{Peer, Server, each_loop};

/// Arrivals of a run, 200 a second for two seconds.
const ARRIVALS: u64 = 400;

/// Between two parts of what never ends: so that a hundred such connections leave the machine some time.
const DRIP: Duration = Duration::from_millis(10);

/// Half of the iterations go to a target that treats each connection with `bad`; their outcomes must be among
/// `expected`. `step` is the only one of the scenario.
fn beside(step: &str, expected: &[&str], bad: impl Fn(Peer) + Send + Sync + 'static) {
    let (sound, bad) = (sound(), Server::start(bad));
    let text = format!(
        "version: 1\nname: beside\ntarget: [http://{}, http://{}]\n\
         load: {{ model: open, stages: [{{ at: 200/s, for: 2s }}] }}\nscenarios: {{ only: {{ steps: [{step}] }} }}\n",
        sound.address, bad.address
    );
    let plan = plan::parse("beside", &text).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let to_sound = (0..ARRIVALS).filter(|index| plan.workloads[0].target_of(*index) == 0).count() as u64;
    assert!((150..250).contains(&to_sound), "{to_sound}");
    each_loop(&plan, 1, |told| {
        let outcomes = told.outcomes();
        assert_eq!((told.totals.due, told.totals.started), (ARRIVALS, ARRIVALS), "{outcomes:?}");
        let answered = outcomes.iter().find(|(name, _)| name == "200").map_or(0, |(_, count)| *count);
        assert_eq!(answered, to_sound, "{outcomes:?}");
        let others = outcomes.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "200");
        let unexpected: Vec<&str> = others.filter(|name| !expected.contains(name)).collect();
        assert!(unexpected.is_empty(), "{unexpected:?} in {outcomes:?}, expected {expected:?}");
    });
}

/// Reads whole requests, bodies too, and answers them at once.
fn sound() -> Server {
    Server::start(|mut peer| {
        while let Some(head) = peer.request() {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            if std::io::Read::read_exact(&mut peer.stream, &mut body).is_err() {
                return;
            }
            peer.ok();
        }
    })
}

const GET: &str = "{ get: /, timeout: 10s }";
const IMPATIENT: &str = "{ get: /, timeout: 300ms }";

#[test]
fn accepted_and_then_nothing() {
    beside(IMPATIENT, &["read_timeout"], |peer| {
        thread::sleep(Duration::from_secs(20));
        drop(peer);
    });
}

#[test]
fn closed_as_soon_as_it_is_there() {
    beside(GET, &["read_reset", "connect_reset", "send"], drop);
}

#[test]
fn reset_as_soon_as_it_is_there() {
    beside(GET, &["read_reset", "connect_reset", "send"], |peer| {
        // The attempt to reach it at all, before the run, must not fail.
        thread::sleep(Duration::from_millis(5));
        peer.reset();
    });
}

#[test]
fn a_greeting_and_then_silence() {
    beside(IMPATIENT, &["protocol", "read_reset"], |mut peer| {
        peer.send("SSH-2.0-OpenSSH_9.2\r\n");
        thread::sleep(Duration::from_secs(20));
    });
}

#[test]
fn unsolicited_bytes_on_every_idle_connection() {
    // What comes just after a request was sent is taken for its answer: HTTP/1.1 has nothing to tell it by.
    beside(GET, &["204", "status", "read_reset", "connect_reset"], |mut peer| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 204 No Content\r\n\r\n");
            thread::sleep(Duration::from_millis(1));
            if !peer.sends("HTTP/1.1 500 Out Of Turn\r\nContent-Length: 0\r\n\r\n") {
                return;
            }
        }
    });
}

#[test]
fn a_byte_at_a_time() {
    beside(IMPATIENT, &["request_timeout"], |mut peer| {
        peer.request();
        for byte in "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Slow: yes\r\n\r\n".chars() {
            peer.send(&byte.to_string());
            thread::sleep(Duration::from_millis(50));
        }
    });
}

/// Sends `head`, then `part` for ever.
fn endless(mut peer: Peer, head: &str, part: &str) {
    peer.request();
    peer.send(head);
    while peer.sends(part) {
        thread::sleep(DRIP);
    }
}

#[test]
fn headers_without_end() {
    let headers = "X-Header: value\r\n".repeat(100);
    beside(GET, &["protocol"], move |peer| endless(peer, "HTTP/1.1 200 OK\r\n", &headers));
}

#[test]
fn a_header_line_without_end() {
    let line = "x".repeat(4096);
    beside(GET, &["protocol"], move |peer| endless(peer, "HTTP/1.1 200 OK\r\nX-Long: ", &line));
}

#[test]
fn interim_responses_without_end() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(20);
    beside(IMPATIENT, &["request_timeout"], move |peer| endless(peer, "", &hints));
}

#[test]
fn a_body_without_end() {
    let block = "x".repeat(16 * 1024);
    beside(IMPATIENT, &["request_timeout"], move |peer| endless(peer, "HTTP/1.0 200 OK\r\n\r\n", &block));
}

#[test]
fn chunks_without_end() {
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024)).repeat(8);
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    beside(IMPATIENT, &["request_timeout"], move |peer| endless(peer, head, &chunk));
}

#[test]
fn chunk_extensions_without_end() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=";
    let extension = "x".repeat(4096);
    beside(GET, &["protocol"], move |peer| endless(peer, head, &extension));
}

#[test]
fn trailers_without_end() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    let trailers = "X-Trailer: value\r\n".repeat(100);
    beside(GET, &["protocol"], move |peer| endless(peer, head, &trailers));
}

#[test]
fn garbage_without_end() {
    let garbage = "\u{1}garbage ".repeat(512);
    beside(GET, &["protocol"], move |peer| endless(peer, "", &garbage));
}

#[test]
fn a_chunk_size_that_no_number_holds() {
    beside(GET, &["protocol"], |mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n");
        thread::sleep(Duration::from_secs(1));
    });
}

#[test]
fn half_closed_before_the_answer() {
    beside(GET, &["read_reset", "connect_reset", "send"], |mut peer| {
        peer.request();
        peer.stream.shutdown(Shutdown::Write).unwrap();
        peer.request();
    });
}

#[test]
fn half_closed_for_reading() {
    beside(GET, &["read_reset", "connect_reset", "send", "read_timeout"], |mut peer| {
        peer.stream.shutdown(Shutdown::Read).unwrap();
        thread::sleep(Duration::from_millis(50));
        peer.request();
    });
}

#[test]
fn requests_that_are_not_read() {
    // Fifty at a time, each as much as a plan can say.
    let step = format!("{{ post: /, body: {}, timeout: 500ms }}", "x".repeat(250_000));
    beside(&step, &["read_timeout"], |peer| {
        thread::sleep(Duration::from_secs(20));
        drop(peer);
    });
}
