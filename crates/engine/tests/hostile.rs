//! What targets do to a load tester: each becomes the right outcome, on both loops.
//!
//! That none of it harms what goes on beside it is shown in `beside.rs`, that none of it fills the memory in `bounded.rs`.

mod support;

use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use engine::Job;
use support::{Server, counts, each_loop, full_plan, outcomes, plan};

const GET: &str = "{ get: /, timeout: 10s }";
/// Bytes of a body that no socket takes at once.
const LARGE_REQUEST: usize = 40 << 20;
const IMPATIENT: &str = "{ get: /, timeout: 300ms }";

#[test]
fn refused() {
    refuses("model: tsunami, requests_per_driver: 20, delay: 10ms, connections: { start: 1, max: 100 }", 20);
}

#[test]
fn refused_avalanche_ends() {
    refuses("model: avalanche, requests_per_driver: 30, connections: 3", 30);
}

fn refuses(load: &str, requests: u64) {
    for io in support::loops() {
        let server = Server::deaf();
        let prepared = support::prepare(Job { io, ..support::job(plan(&server, load, GET)) });
        server.close();
        let told = support::watch(support::start(prepared));
        assert_eq!(told.outcomes(), counts(&[("connect_refused", requests)]), "{io:?}");
    }
}

#[test]
fn reset_before_the_answer() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.reset();
    });
    assert_eq!(outcomes(&server, 20, GET), counts(&[("read_reset", 20)]));
}

#[test]
fn reset_in_the_middle_of_the_answer() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        thread::sleep(Duration::from_millis(5));
        peer.reset();
    });
    assert_eq!(outcomes(&server, 20, GET), counts(&[("read_reset", 20)]));
}

#[test]
fn closed_in_the_middle_of_the_answer() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    });
    assert_eq!(outcomes(&server, 20, GET), counts(&[("read_reset", 20)]));
}

#[test]
fn a_byte_per_second() {
    let server = Server::start(|mut peer| {
        peer.request();
        for byte in "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".chars() {
            peer.send(&byte.to_string());
            thread::sleep(Duration::from_millis(100));
        }
    });
    assert_eq!(outcomes(&server, 4, IMPATIENT), counts(&[("request_timeout", 4)]));
}

#[test]
fn slow_and_split_answers_are_complete_in_the_end() {
    let server = Server::start(|mut peer| {
        while peer.request().is_some() {
            for part in
                ["HTTP/1.1 20", "0 OK\r\nTransfer-Encoding: chunked\r", "\n\r\n3\r\nabc\r\n0", "\r\n\r\n"]
            {
                peer.send(part);
                thread::sleep(Duration::from_millis(3));
            }
        }
    });
    assert_eq!(outcomes(&server, 10, GET), counts(&[("200", 10)]));
}

#[test]
fn endless_headers() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\n");
        for number in 0..100_000 {
            peer.send(&format!("X-Header-{number}: {number}\r\n"));
        }
    });
    assert_eq!(outcomes(&server, 4, GET), counts(&[("protocol", 4)]));
}

#[test]
fn an_oversized_header_line() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.send(&format!("HTTP/1.1 200 OK\r\nX-Long: {}", "x".repeat(1 << 20)));
        thread::sleep(Duration::from_millis(100));
    });
    assert_eq!(outcomes(&server, 4, GET), counts(&[("protocol", 4)]));
}

#[test]
fn interim_responses_before_the_final_one() {
    let server = Server::start(|mut peer| {
        while peer.request().is_some() {
            (0..20).for_each(|_| peer.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"));
            peer.ok();
        }
    });
    assert_eq!(outcomes(&server, 10, GET), counts(&[("200", 10)]));
}

#[test]
fn interim_responses_for_ever() {
    let server = Server::start(|mut peer| {
        peer.request();
        while peer.sends("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") {
            thread::sleep(Duration::from_millis(1));
        }
    });
    assert_eq!(outcomes(&server, 4, IMPATIENT), counts(&[("request_timeout", 4)]));
}

#[test]
fn content_length_too_long() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        thread::sleep(Duration::from_secs(30));
    });
    assert_eq!(outcomes(&server, 4, IMPATIENT), counts(&[("request_timeout", 4)]));
}

#[test]
fn a_target_that_reads_nothing() {
    let server = Server::start(|peer| {
        thread::sleep(Duration::from_secs(30));
        drop(peer);
    });
    let load = "model: avalanche, requests_per_driver: 4, connections: 2";
    let mut plan = plan(&server, load, "{ post: /, timeout: 500ms }");
    // More than the buffers of both sockets take.
    plan.scenarios[0].steps[0].body = plan::Body::Text("x".repeat(LARGE_REQUEST).into());
    each_loop(&plan, 1, |told| {
        assert_eq!(told.outcomes(), counts(&[("read_timeout", 4)]));
        assert!(told.totals.bytes_out < 4 * LARGE_REQUEST as u64, "all was sent: {:?}", told.totals);
    });
}

#[test]
fn a_target_that_reads_slowly() {
    let server = Server::start(|mut peer| {
        while peer.request().is_some() {
            let mut left = LARGE_REQUEST;
            let mut part = vec![0; 1 << 20];
            while left > 0 {
                let wanted = left.min(part.len());
                let Ok(count) = std::io::Read::read(&mut peer.stream, &mut part[..wanted]) else { return };
                left -= count;
                thread::sleep(Duration::from_millis(5));
            }
            peer.ok();
        }
    });
    let load = "model: avalanche, requests_per_driver: 4, connections: 2";
    let mut plan = plan(&server, load, "{ post: /, timeout: 30s }");
    plan.scenarios[0].steps[0].body = plan::Body::Text("x".repeat(LARGE_REQUEST).into());
    each_loop(&plan, 1, |told| {
        assert_eq!(told.outcomes(), counts(&[("200", 4)]));
        assert!(told.totals.bytes_out >= 4 * LARGE_REQUEST as u64, "{:?}", told.totals);
    });
}

#[test]
fn a_greeting_before_any_request() {
    let server = Server::start(|mut peer| {
        peer.send("220 mail.example ESMTP ready\r\n");
        while peer.request().is_some() {
            peer.send("500 unknown command\r\n");
        }
    });
    assert_eq!(outcomes(&server, 20, GET), counts(&[("protocol", 20)]));
}

#[test]
fn no_http_at_all() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.send("SSH-2.0-OpenSSH_9.2\r\n\r\n");
        thread::sleep(Duration::from_millis(100));
    });
    assert_eq!(outcomes(&server, 4, GET), counts(&[("protocol", 4)]));
}

#[test]
fn content_length_too_short() {
    let server = Server::start(|mut peer| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokGARBAGE");
        }
    });
    assert_eq!(outcomes(&server, 10, GET), counts(&[("200", 10)]));
    assert!(
        server.accepted() >= 10,
        "a connection with garbage on it is not used again: {}",
        server.accepted()
    );
}

#[test]
fn garbage_between_requests() {
    let server = Server::start(|mut peer| {
        while peer.request().is_some() {
            peer.ok();
            thread::sleep(Duration::from_millis(20));
            peer.send("HTTP/1.1 500 Out Of Turn\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let load = "model: tsunami, requests_per_driver: 5, delay: 400ms, connections: { start: 1, max: 4 }";
    each_loop(&plan(&server, load, GET), 1, |told| {
        assert_eq!(told.outcomes(), counts(&[("200", 5)]));
    });
}

#[test]
fn invalid_chunk() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
        thread::sleep(Duration::from_millis(100));
    });
    assert_eq!(outcomes(&server, 6, GET), counts(&[("protocol", 6)]));
}

#[test]
fn silence() {
    let server = Server::start(|mut peer| {
        peer.request();
        thread::sleep(Duration::from_secs(30));
    });
    assert_eq!(outcomes(&server, 4, IMPATIENT), counts(&[("read_timeout", 4)]));
}

#[test]
fn half_close_after_the_answer() {
    let server = Server::start(|mut peer| {
        while peer.request().is_some() {
            peer.ok();
            peer.stream.shutdown(Shutdown::Write).unwrap();
        }
    });
    let load = "model: tsunami, requests_per_driver: 10, delay: 20ms, connections: { start: 2, max: 4 }";
    each_loop(&plan(&server, load, GET), 1, |told| {
        assert_eq!(told.outcomes(), counts(&[("200", 10)]));
    });
}

#[test]
fn half_close_instead_of_an_answer() {
    let server = Server::start(|mut peer| {
        peer.stream.shutdown(Shutdown::Write).unwrap();
        while peer.request().is_some() {}
    });
    let load = "model: tsunami, requests_per_driver: 10, delay: 5ms, connections: { start: 1, max: 4 }";
    each_loop(&plan(&server, load, GET), 1, |told| {
        assert_eq!(told.totals.failed + told.totals.missed.target, 10, "{:?}", told.outcomes());
    });
}

#[test]
fn body_until_close() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.send("HTTP/1.0 200 OK\r\n\r\nall of it");
    });
    assert_eq!(outcomes(&server, 10, GET), counts(&[("200", 10)]));
}

#[test]
fn closed_after_each_answer() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    });
    assert_eq!(outcomes(&server, 50, GET), counts(&[("200", 50)]));
}

#[test]
fn never_closed_although_announced() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        thread::sleep(Duration::from_secs(30));
    });
    assert_eq!(outcomes(&server, 50, GET), counts(&[("200", 50)]));
}

#[test]
fn closed_between_requests() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.ok();
    });
    let load = "model: tsunami, requests_per_driver: 10, delay: 100ms, connections: { start: 2, max: 4 }";
    each_loop(&plan(&server, load, GET), 1, |told| {
        assert_eq!(told.outcomes(), counts(&[("200", 10)]));
    });
}

#[test]
fn statuses() {
    let server = Server::start(|mut peer| {
        while let Some(head) = peer.request() {
            let status = if head.starts_with("GET /missing") { "404 Not Found" } else { "302 Found" };
            peer.send(&format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    assert_eq!(outcomes(&server, 10, GET), counts(&[("302", 10)]));
    assert_eq!(outcomes(&server, 10, "{ get: /missing }"), counts(&[("status", 10)]));
    assert_eq!(outcomes(&server, 10, "{ get: /missing, expect: { status: 404 } }"), counts(&[("404", 10)]));
}

#[test]
fn an_answer_before_the_request_was_sent() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        thread::sleep(Duration::from_millis(50));
    });
    let body = "x".repeat(200_000);
    let step = format!("{{ post: /, body: {body}, expect: {{ status: 413 }} }}");
    assert_eq!(outcomes(&server, 6, &step), counts(&[("413", 6)]));
}

#[test]
fn a_large_request_is_sent_in_parts() {
    let server = Server::start(|mut peer| {
        while let Some(head) = peer.request() {
            assert!(head.contains("200000"), "{head}");
            let mut body = vec![0; 200_000];
            thread::sleep(Duration::from_millis(10));
            std::io::Read::read_exact(&mut peer.stream, &mut body).unwrap();
            peer.ok();
        }
    });
    let step = format!("{{ post: /, body: {} }}", "x".repeat(200_000));
    assert_eq!(outcomes(&server, 6, &step), counts(&[("200", 6)]));
}

/// Every hostile behaviour at once does not keep the well-behaved requests from being sent and answered.
#[test]
fn a_large_body_and_silence_stall_nobody_else() {
    const LARGE: usize = 100 * 1024 * 1024;
    let server = Server::start(|mut peer| {
        while let Some(head) = peer.request() {
            if head.starts_with("GET /large") {
                peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
                let block = "x".repeat(1 << 20);
                (0..LARGE >> 20).for_each(|_| peer.send(&block));
            } else if head.starts_with("GET /silent") {
                thread::sleep(Duration::from_secs(30));
            } else {
                peer.ok();
            }
        }
    });
    let plan = full_plan(
        &server,
        "model: open, stages: [{ at: 200/s, for: 2s }]",
        "scenarios:\n  well: { weight: 94, steps: [{ get: /well }] }\n  \
         large: { weight: 1, steps: [{ get: /large, timeout: 30s }] }\n  \
         silent: { weight: 5, steps: [{ get: /silent, timeout: 500ms }] }\n",
    );
    let of = |name: &str| {
        (0..400).filter(|index| plan.scenarios[plan.workloads[0].scenario_of(*index)].name == name).count()
            as u64
    };
    let (well, large, silent) = (of("well"), of("large"), of("silent"));
    assert!(large > 0 && silent > 0);
    each_loop(&plan, 1, |told| {
        assert_eq!(told.outcomes(), counts(&[("200", well + large), ("read_timeout", silent)]));
        assert_eq!((told.totals.due, told.totals.started), (400, 400));
        assert!(told.totals.bytes_in >= large * LARGE as u64);
        let well = told.all.steps.iter().find(|step| step.step.0 == 0).unwrap();
        let median_ns = well.ok.response.quantile(0.5).unwrap();
        assert!(median_ns < 500_000_000, "median of those beside: {median_ns} ns");
    });
}

/// An edge that is lost shows as a timeout.
#[test]
fn a_target_of_many_moods_never_leaves_a_request_hanging() {
    let mood = AtomicUsize::new(0);
    let server = Server::start(move |mut peer| {
        while peer.request().is_some() {
            match mood.fetch_add(7, Ordering::SeqCst) % 13 {
                0 => return peer.reset(),
                1 => return,
                2 => return peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
                3 => return peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"),
                4 => {
                    peer.ok();
                    return;
                }
                5 => {
                    peer.ok();
                    peer.stream.shutdown(Shutdown::Write).unwrap();
                }
                6 => {
                    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\no");
                    thread::yield_now();
                    peer.send("k\r\n0\r\n\r\n");
                }
                7 => peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n"),
                8 => {
                    peer.ok();
                    return peer.reset();
                }
                _ => peer.ok(),
            }
        }
    });
    for load in [
        "model: avalanche, requests_per_driver: 3000, connections: 40",
        "model: tsunami, requests_per_driver: 3000, delay: 1ms, connections: { start: 5, max: 40 }",
    ] {
        each_loop(&plan(&server, load, GET), 2, |told| {
            assert_eq!((told.totals.due, told.totals.requests_sent), (3000, 3000));
            let kinds: Vec<String> = told.outcomes().into_iter().map(|(name, _)| name).collect();
            let expected = ["200", "connect_reset", "protocol", "read_reset", "send"];
            assert!(kinds.iter().all(|kind| expected.contains(&kind.as_str())), "{kinds:?}");
        });
    }
}
