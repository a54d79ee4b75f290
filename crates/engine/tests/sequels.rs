//! Redirects, cookies, content codings, bodies that wait for permission, and proxies, end to end.

mod support;

use std::io::Read;
use std::thread;
use std::time::Duration;

use engine::{Allow, PrepareError};
use support::{
    Log, Server, Told, counts, full_plan, job, logging, ok, plan, prepare, read_body, run, start, watch,
};

const ONE_BY_ONE: &str =
    "model: tsunami, requests_per_driver: 4, delay: 20ms, connections: { start: 1, max: 8 }";

fn redirect(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

fn sent(told: &Told) -> u64 {
    told.totals.requests_sent
}

#[test]
fn redirects_are_requests_of_their_own_and_the_last_counts_from_the_start() {
    let (server, log) = logging(|line| {
        thread::sleep(Duration::from_millis(30));
        match line.split(' ').nth(1) {
            Some("/a") => redirect(302, "b"),
            Some("/b") => redirect(307, "//ignored/../c").replace("//ignored/..", ""),
            _ => ok(),
        }
    });
    let told = run(plan(&server, ONE_BY_ONE, "{ get: /a, follow_redirects: true }, { get: /d }"), 1);
    assert_eq!(told.outcomes(), counts(&[("200", 8), ("302", 4), ("307", 4)]));
    assert_eq!((sent(&told), told.totals.due, server.served()), (16, 4, 16));
    for path in ["/a", "/b", "/c", "/d"] {
        assert_eq!(log.lines().iter().filter(|line| **line == format!("GET {path}")).count(), 4, "{path}");
    }
    // Three answers of 30 ms each lie in the last response time of the first step, one in its service time.
    let step = &told.all.steps.iter().find(|step| step.step.0 == 0).unwrap();
    assert_eq!(step.sent, 12);
    assert!(step.ok.response.max_ns() >= Some(90_000_000), "{:?}", step.ok.response.max_ns());
    assert!(step.ok.service.min_ns() >= Some(29_000_000));
}

#[test]
fn a_redirect_is_the_answer_unless_the_plan_follows() {
    let (server, log) = logging(|_| redirect(302, "/x"));
    assert_eq!(run(plan(&server, ONE_BY_ONE, "{ get: / }"), 1).outcomes(), counts(&[("302", 4)]));
    assert_eq!(log.lines(), ["GET /"; 4]);
    // Without a location, or of another kind, there is nothing to follow.
    let (server, _) = logging(|_| "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n".to_owned());
    let follows = "{ get: /, follow_redirects: true }";
    assert_eq!(run(plan(&server, ONE_BY_ONE, follows), 1).outcomes(), counts(&[("302", 4)]));
    let (server, _) = logging(|_| redirect(304, "/x"));
    assert_eq!(run(plan(&server, ONE_BY_ONE, follows), 1).outcomes(), counts(&[("304", 4)]));
}

#[test]
fn redirects_that_are_not_followed_have_an_outcome() {
    let (server, log) = logging(|_| redirect(301, "/again"));
    let circle = "{ get: /, follow_redirects: 3 }";
    let told = run(plan(&server, ONE_BY_ONE, circle), 1);
    assert_eq!(told.outcomes(), counts(&[("301", 12), ("redirect", 4)]));
    assert_eq!((sent(&told), log.lines().len()), (16, 16));

    for location in
        ["http://127.0.0.1:1/", "http://example.com/", "https:///", "ftp://127.0.0.1/", "http://[/"]
    {
        let (server, _) = logging(move |_| redirect(302, location));
        let told = run(plan(&server, ONE_BY_ONE, "{ get: /, follow_redirects: true }"), 1);
        assert_eq!(told.outcomes(), counts(&[("redirect", 4)]), "{location}");
        assert_eq!(server.served(), 4, "{location}");
    }
}

#[test]
fn methods_bodies_and_secrets_go_where_they_belong() {
    let (elsewhere, log) = logging(|_| ok());
    let there = format!("http://{}/there", elsewhere.address);
    let (server, own_log) = logging(move |line| match line.split(' ').nth(1) {
        Some("/keep") => redirect(308, "/kept"),
        Some("/change") => redirect(303, "/changed"),
        Some("/leave") => redirect(307, &there),
        _ => ok(),
    });
    let step = |path: &str| {
        format!(
            "{{ post: {path}, body: hello, headers: {{ authorization: secret, x-mine: \"1\" }}, follow_redirects: true }}"
        )
    };
    let rest = format!(
        "scenarios: {{ only: {{ steps: [{}, {}, {}, {{ get: /home }}] }} }}",
        step("/keep"),
        step("/change"),
        step("/leave")
    );
    let text = format!(
        "version: 1\nname: test\ntarget: [{{ url: \"http://{}\", weight: 100000 }}, {{ url: \"http://{}\", weight: 1 }}]\n\
         load: {{ model: avalanche, requests_per_driver: 1, connections: 2 }}\n{rest}\n",
        server.address, elsewhere.address
    );
    let told = run(plan::parse("test", &text).unwrap(), 1);
    assert_eq!(told.outcomes(), counts(&[("200", 4), ("303", 1), ("307", 1), ("308", 1)]));
    let here = ["POST /keep", "POST /kept", "POST /change", "GET /changed", "POST /leave", "GET /home"]
        .map(String::from);
    assert_eq!(own_log.lines(), here, "the next step is at home again");
    assert_eq!(log.lines(), ["POST /there"]);
    let bodies = |log: &Log| -> Vec<bool> {
        log.0.lock().unwrap().iter().map(|request| request.ends_with("hello")).collect()
    };
    assert_eq!(bodies(&own_log), [true, true, true, false, true, false]);
    assert_eq!(own_log.header("authorization"), ["secret", "secret", "secret", "secret", "secret", ""]);
    assert_eq!(
        (bodies(&log), log.header("authorization"), log.header("x-mine")),
        (vec![true], vec![String::new()], vec!["1".to_owned()])
    );
    assert_eq!(log.header("host"), [elsewhere.address.to_string()]);
}

#[test]
fn a_step_fails_when_what_it_was_led_to_fails() {
    let server = Server::start(|mut peer| {
        while let Some(request) = peer.request() {
            if request.starts_with("GET /b") {
                return peer.reset();
            }
            peer.send(&redirect(302, "/b"));
        }
    });
    let told = run(plan(&server, ONE_BY_ONE, "{ get: /a, follow_redirects: true }"), 1);
    assert_eq!(told.outcomes(), counts(&[("302", 4), ("read_reset", 4)]));
}

#[test]
fn an_iteration_carries_its_cookies_and_the_next_has_none() {
    let (server, log) = logging(|line| {
        match line.split(' ').nth(1) {
        Some("/login") => "HTTP/1.1 302 Found\r\nLocation: /in\r\nSet-Cookie: id=7; Path=/\r\nSet-Cookie: secure=1; Secure\r\n\
             Set-Cookie: deep=1; Path=/in\r\nContent-Length: 0\r\n\r\n"
            .to_owned(),
        Some("/in") => "HTTP/1.1 200 OK\r\nSet-Cookie: id=8; Path=/\r\nContent-Length: 0\r\n\r\n".to_owned(),
        Some("/out") => {
            "HTTP/1.1 200 OK\r\nSet-Cookie: id=; Path=/; Max-Age=0\r\nContent-Length: 0\r\n\r\n".to_owned()
        }
        _ => ok(),
    }
    });
    let steps = "{ get: /login, follow_redirects: true }, { get: /home, headers: { cookie: own=1 } }, { get: /out }, { get: /home }";
    let load = "model: avalanche, requests_per_driver: 3, connections: 1";
    let scenario =
        |cookies: bool| format!("scenarios: {{ only: {{ cookies: {cookies}, steps: [{steps}] }} }}");
    let told = run(full_plan(&server, load, &scenario(true)), 1);
    assert_eq!(told.outcomes(), counts(&[("200", 12), ("302", 3)]));
    let one = ["", "deep=1; id=7", "own=1; id=8", "id=8", ""];
    assert_eq!(log.header("cookie"), [one, one, one].concat());

    log.0.lock().unwrap().clear();
    run(full_plan(&server, load, &scenario(false)), 1);
    let none = ["", "", "own=1", "", ""];
    assert_eq!(log.header("cookie"), [none, none, none].concat());
}

#[test]
fn coded_bodies_are_asked_for() {
    let (server, log) = logging(|_| ok());
    let steps = "{ get: /, decompress: true }, { get: /, decompress: true, headers: { accept-encoding: br } }, { get: / }";
    run(plan(&server, "model: avalanche, requests_per_driver: 1, connections: 1", steps), 1);
    assert_eq!(log.header("accept-encoding"), ["gzip, deflate, br, zstd", "br", ""]);
}

const EXPECTING: &str = "{ put: /, body: hello, expect_continue: true, timeout: 10s }";

#[test]
fn a_body_waits_for_its_permission() {
    let server = Server::start(|mut peer| {
        while let Some(head) = peer.request() {
            assert!(head.contains("Expect: 100-continue\r\n"), "{head}");
            peer.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            assert!(peer.stream.read(&mut [0]).is_err(), "the body came without permission");
            peer.stream.set_read_timeout(None).unwrap();
            peer.send("HTTP/1.1 100 Continue\r\n\r\n");
            assert_eq!(read_body(&mut peer, &head), "hello");
            peer.ok();
        }
    });
    let told = run(plan(&server, ONE_BY_ONE, EXPECTING), 1);
    assert_eq!((told.outcomes(), sent(&told)), (counts(&[("200", 4)]), 4));
    assert!(told.totals.bytes_out > 4 * 100);
}

#[test]
fn a_body_goes_after_a_second_without_a_word() {
    let server = Server::start(|mut peer| {
        while let Some(head) = peer.request() {
            let asked = clock::now();
            assert_eq!(read_body(&mut peer, &head), "hello");
            assert!(clock::now().since(asked) >= Duration::from_millis(900));
            // Too late, and no harm.
            peer.send("HTTP/1.1 100 Continue\r\n\r\n");
            peer.ok();
        }
    });
    let load = "model: avalanche, requests_per_driver: 2, connections: 1";
    assert_eq!(run(plan(&server, load, EXPECTING), 1).outcomes(), counts(&[("200", 2)]));
    assert_eq!(server.accepted(), 2, "one connection beside the probe");
}

#[test]
fn an_answer_instead_of_the_permission_costs_the_connection() {
    let server = Server::start(|mut peer| {
        if peer.request().is_some() {
            peer.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
            // Neither the body nor another request may follow.
            assert!(matches!(peer.stream.read(&mut [0]), Ok(0) | Err(_)));
        }
    });
    let load = "model: avalanche, requests_per_driver: 3, connections: 1";
    let told = run(plan(&server, load, EXPECTING), 1);
    assert_eq!(told.outcomes(), counts(&[("status", 3)]));
    let (server, _) = logging(|_| ok());
    let whole = run(plan(&server, load, EXPECTING), 1);
    assert_eq!(whole.totals.bytes_out - told.totals.bytes_out, 3 * 5, "the bodies were not sent");
}

#[test]
fn permission_and_answer_in_one_are_an_answer() {
    let server = Server::start(|mut peer| {
        while let Some(head) = peer.request() {
            peer.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            // Whatever comes next is the body, or the end.
            let mut body = [0; 5];
            if peer.stream.read_exact(&mut body).is_ok() {
                assert_eq!((&body, head.contains("Expect")), (b"hello", true));
            }
        }
    });
    let load = "model: avalanche, requests_per_driver: 5, connections: 1";
    assert_eq!(run(plan(&server, load, EXPECTING), 1).outcomes(), counts(&[("200", 5)]));
}

#[test]
fn a_proxy_fetches_what_is_not_secure() {
    let (proxy, log) = logging(|line| match line.contains("/from") {
        true => redirect(302, "/to"),
        false => ok(),
    });
    let text = format!(
        "version: 1\nname: test\ntarget: http://127.0.0.1:9/base\nnetwork: {{ proxy: \"http://{}\" }}\n\
         load: {{ {ONE_BY_ONE} }}\nscenarios: {{ only: {{ steps: [{{ get: /from, follow_redirects: true }}] }} }}\n",
        proxy.address
    );
    let told = run(plan::parse("test", &text).unwrap(), 1);
    assert_eq!(told.outcomes(), counts(&[("200", 4), ("302", 4)]));
    for (line, host) in log.lines().iter().zip(log.header("host")) {
        let lines = ["GET http://127.0.0.1:9/base/from", "GET http://127.0.0.1:9/to"];
        assert!(lines.contains(&line.as_str()) && host == "127.0.0.1:9", "{line} {host}");
    }
}

#[test]
fn a_proxy_leads_past_no_rule() {
    let (proxy, log) = logging(|_| ok());
    let prepared = |target: &str, rules: &[&str]| {
        let text = format!(
            "version: 1\nname: test\ntarget: {target}\nnetwork: {{ proxy: \"http://{}\" }}\n\
             load: {{ {ONE_BY_ONE} }}\nscenarios: {{ only: {{ steps: [{{ get: / }}] }} }}\n",
            proxy.address
        );
        let allow = Allow::new(rules.iter().copied()).unwrap();
        engine::prepare(engine::Job { allow, ..job(plan::parse("test", &text).unwrap()) })
    };
    assert!(matches!(prepared("http://169.254.169.254", &[]), Err(PrepareError::Refused(_))));
    assert!(matches!(prepared("http://192.0.2.1", &[]), Err(PrepareError::Refused(_))));
    assert!(prepared("http://192.0.2.1", &["192.0.2.0/24"]).is_ok());
    // Only the proxy can look it up.
    assert!(matches!(prepared("http://nowhere.invalid", &[]), Err(PrepareError::Dns { .. })));
    assert!(prepared("http://nowhere.invalid", &["nowhere.invalid"]).is_ok());
    assert_eq!(log.lines().len(), 0);
}

#[test]
fn an_abort_cancels_what_a_redirect_led_to() {
    let server = Server::start(|mut peer| {
        while let Some(request) = peer.request() {
            if request.starts_with("GET /b") {
                thread::sleep(Duration::from_secs(20));
                return;
            }
            peer.send(&redirect(302, "/b"));
        }
    });
    let load = "model: tsunami, requests_per_driver: 4, delay: 1ms, connections: { start: 4, max: 8 }";
    let running = start(prepare(job(plan(&server, load, "{ get: /a, follow_redirects: true }"))));
    while server.served() < 8 {
        thread::sleep(Duration::from_millis(5));
    }
    running.abort();
    let told = watch(running);
    assert_eq!(told.outcomes(), counts(&[("302", 4)]));
    assert_eq!((told.totals.cancelled, sent(&told)), (4, 8));
}
