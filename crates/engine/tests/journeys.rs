//! Iterations whose way depends on what happens, end to end, on each loop: expressions, saved values, checks, loops,
//! pauses, groups and data.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::thread;
use std::time::Duration;

use engine::Job;
use engine::rehearsal::{Options, rehearse};
use metrics::{Outcome, StepWindow};
use support::{
    Log, Server, Told, counts, each_loop, full_plan, job, logging, loops, ok, plan, prepare, start, watch,
};

const MS: u64 = 1_000_000;

fn avalanche(iterations: u64) -> String {
    format!("model: avalanche, requests_per_driver: {iterations}, connections: 1")
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Data with a row for each of `rows` numbers, and one scenario of `steps`.
fn with_rows(server: &Server, load: &str, data: &str, steps: &str) -> plan::Plan {
    let ids = format!(
        "ids: {{ rows: {data}, columns: {{ id: \"{{{{ row }}}}\", mail: 'u {{{{ row }}}}&ü\"@x' }} }}"
    );
    full_plan(
        server,
        load,
        &format!(
            "variables: {{ word: 'a \"b' }}\ndata: {{ {ids} }}\nscenarios: {{ only: {{ steps: [{steps}] }} }}"
        ),
    )
}

/// How often each outcome occurred, with its detail.
fn detailed(told: &Told) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for (outcome, count) in told.all.of_requests().flat_map(|step| &step.outcomes) {
        let name = match outcome {
            Outcome::Success(status) => status.to_string(),
            Outcome::Failed(kind, _) => format!("{kind} {}", outcome.detail().unwrap_or_default()),
        };
        all.push(format!("{} × {count}", name.trim_end()));
    }
    all.sort();
    all
}

/// The row of the group of number `group`.
fn group(told: &Told, group: u16) -> StepWindow {
    let row = plan::StepId::of_group(group);
    let mut rows = told.all.steps.iter().filter(|step| step.step == row);
    rows.next().unwrap_or_else(|| panic!("no row of group {group}: {:?}", told.all.steps)).clone()
}

/// The lines of the requests of each run of `plan`, which must be the same on each loop.
fn lines(plan: &plan::Plan, log: &Log) -> Vec<String> {
    let runs = each_loop(plan, 1, |_| {
        let lines = log.lines();
        log.0.lock().unwrap().clear();
        lines
    });
    assert!(runs.iter().all(|run| *run == runs[0]), "the loops differ: {runs:#?}");
    runs.into_iter().next().unwrap()
}

#[test]
fn expressions_are_written_as_their_place_needs_it() {
    let (server, log) = logging(|_| ok());
    let steps = "{ get: '/p/{{ ids.mail }}', name: path, query: { q: '{{ ids.mail }}', n: '{{ ids.id + 1 }}', r: '{{ \"a/b\" | raw }}' }, headers: { x-mail: '{{ ids.mail | base64 }}' } },
        { post: /form, form: { mail: '{{ ids.mail }}', two: ['{{ ids.id }}', 'b c'], w: '{{ word }} d' } },
        { post: /json, json: { mail: '{{ ids.mail }}', id: '{{ ids.id | number }}', text: 'n\"{{ ids.id }}{{ word }}' } },
        { post: /body, body: '{{ ids.mail }} {{ iteration }}' }";
    let plan = with_rows(&server, &avalanche(2), "5", steps);
    for told in each_loop(&plan, 1, |told| told) {
        assert_eq!(told.outcomes(), counts(&[("200", 8)]));
    }
    let requests = log.0.lock().unwrap().clone();
    for (request, row) in requests.chunks(4).zip([0, 1].into_iter().cycle()) {
        let mail = format!("u%20{row}%26%C3%BC%22%40x");
        let line = format!("GET /p/{mail}?q={mail}&n={}&r=a/b HTTP/1.1\r\n", row + 1);
        assert!(request[0].starts_with(&line), "{}", request[0]);
        let coded = if row == 0 { "dSAwJsO8IkB4" } else { "dSAxJsO8IkB4" };
        assert!(request[0].contains(&format!("x-mail: {coded}\r\n")), "{}", request[0]);
        assert!(
            request[1].ends_with(&format!("\r\n\r\nmail={mail}&two={row}&two=b%20c&w=a%20%22b%20d")),
            "{}",
            request[1]
        );
        let json =
            format!("\r\n\r\n{{\"mail\":\"u {row}&ü\\\"@x\",\"id\":{row},\"text\":\"n\\\"{row}a \\\"b\"}}");
        assert!(request[2].ends_with(&json), "{}", request[2]);
        assert!(request[3].ends_with(&format!("\r\n\r\nu {row}&ü\"@x {row}")), "{}", request[3]);
    }
}

#[test]
fn values_of_all_kinds_are_saved_and_used() {
    let (server, log) = logging(|line| match line.split(' ').nth(1) {
        Some("/json") => answer(
            200,
            "X-Next: /n?a=1\r\n",
            r#"{"token":"t&1","user":{"id":7},"ids":[1,2,3],"items":[{"id":4},{"id":5}]}"#,
        ),
        Some("/html") => answer(
            200,
            "",
            "<h1> Title </h1><input name=\"csrf\" value=\"c+1\"><a class=next href=/more>x</a>",
        ),
        _ => ok(),
    });
    let steps = "{ get: /json, save: { token: $.token, user: $.user, ids: $.ids, all: '$.items[*].id', next: 'header:x-next', st: status, none: { json: $.none, default: d } } },
        { get: /html, save: { csrf: 'regex:name=\"csrf\" value=\"([^\"]+)\"', title: 'css:h1', href: 'css:a.next@href' } },
        { get: '/u/{{ token }}', name: use, query: { id: '{{ user.id }}', last: '{{ ids[-1] }}', all: '{{ all | json }}', next: '{{ next }}', st: '{{ st }}', none: '{{ none }}' } },
        { get: '{{ href | raw }}', name: href, query: { csrf: '{{ csrf }}', title: '{{ title }}' } }";
    let lines = lines(&plan(&server, &avalanche(1), steps), &log);
    assert_eq!(
        lines[2..],
        [
            "GET /u/t%261?id=7&last=3&all=%5B4%2C5%5D&next=%2Fn%3Fa%3D1&st=200&none=d",
            "GET /more?csrf=c%2B1&title=Title"
        ]
    );
}

#[test]
fn what_is_not_there_ends_the_iteration() {
    let (server, log) = logging(|_| answer(200, "", "{\"a\":null}"));
    for (save, outcome) in [
        ("$.b", "extract"),
        ("'header:x-none'", "extract"),
        ("'regex:z(.)'", "extract"),
        ("'css:h9'", "extract"),
    ] {
        let steps = format!("{{ get: /a, save: {{ v: {save} }} }}, {{ get: '/b/{{{{ v }}}}', name: b }}");
        each_loop(&plan(&server, &avalanche(3), &steps), 1, |told| {
            assert_eq!(told.outcomes(), counts(&[(outcome, 3)]), "{save}");
            assert_eq!((told.totals.due, told.completed()), (3, 3));
        });
    }
    assert!(log.lines().iter().all(|line| line == "GET /a"));
    // Null is there, and no text.
    let steps = "{ get: /a, save: { v: $.a } }, { get: '/b/{{ v }}', name: b }, { get: /c }";
    each_loop(&plan(&server, &avalanche(3), steps), 1, |told| {
        assert_eq!(told.outcomes(), counts(&[("200", 3), ("expression", 3)]));
        assert_eq!(told.totals.requests_sent, 6, "one that could not be made counts as sent");
    });
}

#[test]
fn what_cannot_be_made_and_what_has_no_row_fails_its_step() {
    let (server, log) = logging(|_| answer(200, "", "{\"a\":\"x\\r\\ny\"}"));
    // A line break fits no header; the next steps do not follow.
    let steps = "{ get: /a, save: { v: $.a } }, { get: /b, headers: { x-v: '{{ v }}' } }, { get: /c }";
    each_loop(&plan(&server, &avalanche(2), steps), 1, |told| {
        assert_eq!(told.outcomes(), counts(&[("200", 2), ("expression", 2)]));
    });
    assert!(log.lines().iter().all(|line| line == "GET /a"));
    let first = "{ get: '/d/{{ ids.id }}', name: d }, { get: /e }";
    let plan = with_rows(&server, &avalanche(5), "2, pick: once, when_exhausted: fail", first);
    each_loop(&plan, 1, |told| {
        assert_eq!(told.outcomes(), counts(&[("200", 4), ("data", 3)]));
        assert_eq!(told.totals.due, 5);
    });
}

#[test]
fn bodies_are_read_coded_or_not_as_far_as_the_plan_says() {
    let gzip = {
        let mut child = std::process::Command::new("gzip")
            .arg("-c")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let body = format!("{{\"a\":\"{}\"}}", "x".repeat(1000));
        child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
        child.wait_with_output().unwrap().stdout
    };
    let server = Server::start(move |mut peer| {
        while peer.request().is_some() {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                gzip.len()
            );
            peer.stream.write_all(&[head.as_bytes(), gzip.as_slice()].concat()).ok();
        }
    });
    let of = |more: &str| {
        let step = format!("{{ get: /, decompress: true, save: {{ v: $.a }}, {more} }}");
        let told = each_loop(&plan(&server, &avalanche(2), &step), 1, |told| detailed(&told));
        told.into_iter()
            .reduce(|a, b| {
                assert_eq!(a, b);
                a
            })
            .unwrap()
    };
    assert_eq!(of("expect: { size: 1008B..1008B }"), ["200 × 2"]);
    assert_eq!(of("max_body: 1008B, expect: { size: 1008B..1008B }"), ["200 × 2"]);
    assert_eq!(of("max_body: 1007B"), ["body × 2"]);
}

#[test]
fn each_kind_of_check_says_what_it_was_about() {
    let (server, _) =
        logging(|_| answer(200, "X-A: one\r\nX-B: two\r\n", "{\"n\":3,\"s\":\"abc\",\"l\":[{\"id\":1}]}"));
    for (expect, outcome) in [
        ("headers: { x-a: one, x-b: { contains: w }, x-c: { exists: false } }", "200 × 2"),
        ("headers: { x-a: two }", "check header × 2"),
        ("headers: { x-c: { exists: true } }", "check header × 2"),
        ("body_contains: [abc, l]", "200 × 2"),
        ("body_contains: [abc, zzz]", "check body × 2"),
        ("body_matches: '\"n\":\\d'", "200 × 2"),
        ("body_matches: '\"n\":[a-z]'", "check body × 2"),
        ("json: { $.n: 3, '$.l[0].id': { exists: true }, $.s: { matches: '^a' } }", "200 × 2"),
        ("json: { $.n: 4 }", "check json × 2"),
        ("json: { $.none: { exists: true } }", "check json × 2"),
        ("size: 1B..10B", "check size × 2"),
        ("size: 10B..1KiB", "200 × 2"),
        ("under: 1h", "200 × 2"),
        ("under: 1us", "check time × 2"),
        ("status: 404", "status 200 × 2"),
        ("status: 200, json: { $.n: '{{ 1 + 2 }}' }", "200 × 2"),
    ] {
        let steps = format!("{{ get: /, expect: {{ {expect} }} }}");
        each_loop(&plan(&server, &avalanche(2), &steps), 1, |told| {
            assert_eq!(detailed(&told), [outcome], "{expect}");
        });
    }
}

#[test]
fn a_failed_check_ends_the_iteration_only_where_values_are_needed() {
    let (server, log) = logging(|_| answer(200, "", "{\"v\":1}"));
    let steps = "{ get: /a, expect: { body_contains: zz } }, { get: /b, save: { v: $.v }, expect: { body_contains: zz } }, { get: /c }";
    assert_eq!(lines(&plan(&server, &avalanche(1), steps), &log), ["GET /a", "GET /b"]);
}

#[test]
fn conditions_and_loops_lead_the_way() {
    let (server, log) = logging(|line| {
        let list = r#"{"n":2,"list":[{"id":"a"},{"id":"b"}]}"#;
        let more = if line.starts_with("GET /next?i=2") { "false" } else { "true" };
        match line.contains("/list") {
            true => answer(200, "", list),
            false => answer(200, "", &format!("{{\"more\":{more}}}")),
        }
    });
    let steps = "{ get: /list, save: { n: $.n, list: $.list, more: { json: $.more, default: true } } },
        { get: /yes, when: 'n == 2' }, { get: /no, when: 'n > 2 and true' },
        { when: 'n < 1', steps: [{ get: /never }] },
        { repeat: '{{ n }}', steps: [{ get: '/r/{{ loop.index }}', name: r }, { repeat: 2, steps: [{ get: '/rr/{{ loop.index }}', name: rr }] }] },
        { while: more, at_most: 5, steps: [{ get: '/next?i={{ loop.index }}', name: next, save: { more: $.more } }] },
        { while: 'true', at_most: 3, steps: [{ get: /bound }] },
        { for_each: list, as: item, steps: [{ get: '/{{ item.id }}/{{ loop.index }}', name: item }] },
        { repeat: '{{ n - 2 }}', steps: [{ get: /none }] },
        { get: '/last/{{ item.id }}', name: last }";
    let expected = "/list /yes /r/0 /rr/0 /rr/1 /r/1 /rr/0 /rr/1 /next?i=0 /next?i=1 /next?i=2 /bound /bound /bound /a/0 /b/1 /last/b";
    let expected: Vec<String> = expected.split(' ').map(|path| format!("GET {path}")).collect();
    assert_eq!(lines(&plan(&server, &avalanche(1), steps), &log), expected);
}

#[test]
fn a_loop_over_what_is_no_list_fails_the_step_in_it() {
    let (server, _) = logging(|_| answer(200, "", "{\"v\":1}"));
    let steps = "{ get: /a, save: { v: $.v } }, { for_each: v, as: x, steps: [{ get: /b }] }, { get: /c }";
    each_loop(&plan(&server, &avalanche(2), steps), 1, |told| {
        assert_eq!(told.outcomes(), counts(&[("200", 2), ("expression", 2)]));
        assert_eq!(told.completed(), 2);
    });
}

#[test]
fn pauses_are_part_of_iterations_and_of_groups_but_not_of_responses() {
    let (server, _) = logging(|_| ok());
    for pause in ["120ms", "100ms..140ms", "{ normal: 120ms, stddev: 1ms }"] {
        let steps = format!(
            "{{ group: g, steps: [{{ get: /a }}, {{ pause: {pause} }}, {{ get: /b }}, {{ pause: {pause} }}, {{ get: /c }}] }}"
        );
        let load = "model: closed, users: 1, iterations: 2";
        each_loop(&plan(&server, load, &steps), 1, |told| {
            assert_eq!(told.outcomes(), counts(&[("200", 6)]), "{pause}");
            let starts = told.all.stages[0].iteration_time.min_ns().unwrap();
            assert!(starts >= 190 * MS, "{pause}: {starts}");
            let row = group(&told, 0);
            assert_eq!((row.sent, row.succeeded(), row.failures()), (0, 2, 0), "{pause}");
            assert!(row.ok.response.min_ns() >= Some(190 * MS));
            for step in told.all.steps.iter().filter(|step| step.step.0 < 3) {
                // Half a pause is far more than a response takes, and no bound on it that a busy machine breaks.
                assert!(
                    step.ok.response.min_ns() < Some(100 * MS),
                    "{pause}: {:?}",
                    step.ok.response.min_ns()
                );
            }
        });
    }
    // Any time may be drawn: only its accounts are certain.
    let steps = "{ get: /a }, { pause: { exponential: 5ms } }, { get: /b }";
    each_loop(&plan(&server, &avalanche(20), steps), 1, |told| assert_eq!(told.totals.succeeded, 40));
}

#[test]
fn groups_fail_with_what_is_in_them_and_end_with_their_iteration() {
    let (server, _) = logging(|line| match line.contains("/bad") {
        true => answer(500, "", ""),
        false => answer(200, "", "{}"),
    });
    let steps = "{ group: fine, steps: [{ get: /a }] }, { group: outer, steps: [{ get: /b }, { group: inner, steps: [{ get: /bad }] }] }, \
                 { group: empty, steps: [{ get: /never, when: 'false' }] }, \
                 { group: broken, steps: [{ get: /c, save: { v: $.v } }, { get: /d }] }, { get: /e }";
    each_loop(&plan(&server, &avalanche(3), steps), 1, |told| {
        assert_eq!(detailed(&told).len(), 4, "{:?}", detailed(&told));
        let of = |number| (group(&told, number).succeeded(), group(&told, number).failures());
        assert_eq!((of(0), of(1), of(2)), ((3, 0), (0, 3), (0, 3)));
        let is_empty = |row: &StepWindow| row.step == plan::StepId::of_group(3);
        assert!(!told.all.steps.iter().any(is_empty), "a group without a request has no time");
        assert_eq!(of(4), (0, 3));
        assert_eq!(told.completed(), 3);
    });
}

#[test]
fn a_group_whose_request_is_refused_fails_and_ends_what_needs_its_values() {
    let steps = "{ group: login, steps: [{ post: /login, save: { token: $.token } }] }, \
                 { get: /me, headers: { authorization: 'Bearer {{ token }}' } }";
    let load = "model: tsunami, requests_per_driver: 5, delay: 10ms, connections: { start: 1, max: 10 }";
    for io in loops() {
        let server = Server::deaf();
        let prepared = prepare(Job { io, ..job(plan(&server, load, steps)) });
        server.close();
        let told = watch(start(prepared));
        assert_eq!(told.outcomes(), counts(&[("connect_refused", 5)]), "nobody goes on without a token");
        let row = group(&told, 0);
        assert_eq!((row.succeeded(), row.failures()), (0, 5));
    }
}

#[test]
fn iterations_without_a_request_keep_the_accounts_and_the_cores() {
    let (server, log) = logging(|_| ok());
    let none = "{ get: /, when: 'false' }";
    // More operations than an iteration goes through at once.
    let long = "{ repeat: 700, steps: [{ get: /, when: 'false' }] }";
    for steps in [none, long] {
        each_loop(&plan(&server, "model: open, stages: [{ at: 100/s, for: 1s }]", steps), 2, |told| {
            let totals = &told.totals;
            assert_eq!(
                (totals.due, totals.started, told.completed(), totals.requests_sent),
                (100, 100, 100, 0)
            );
        });
        let load = "model: closed, stages: [{ users: 3, for: 1s }]";
        each_loop(&plan(&server, load, steps), 1, |told| {
            // Each user rests ten milliseconds after each.
            assert!((3..=320).contains(&told.totals.due), "{:?}", told.totals);
            assert_eq!(told.totals.started, told.completed());
        });
        each_loop(&plan(&server, "model: closed, users: 2, iterations: 10", steps), 1, |told| {
            assert_eq!(told.completed(), 10);
        });
        each_loop(&plan(&server, &avalanche(10), steps), 1, |told| assert_eq!(told.completed(), 10));
    }
    assert_eq!(log.lines().len(), 0);
}

#[test]
fn a_loop_of_groups_without_a_request_hears_what_it_is_told() {
    let (server, _) = logging(|_| ok());
    let group = "{ group: g, steps: [{ get: /, when: 'false' }] }";
    let steps = format!("{{ repeat: 1000000, steps: [{{ repeat: 1000000, steps: [{group}] }}] }}");
    let plan = plan(&server, &avalanche(1), &steps);
    for io in loops() {
        let running = start(prepare(Job { io, ..job(plan.clone()) }));
        thread::sleep(Duration::from_millis(100));
        running.abort();
        let told = watch(running);
        assert_eq!((told.totals.started, told.completed()), (1, 0));
    }
    let options = Options { scenario: None, iterations: 1, keeps_pauses: false };
    let mut events = Vec::new();
    rehearse(&job(plan), &options, &mut |event, _| events.push(format!("{event:?}"))).unwrap();
    assert!(events.iter().any(|event| event.contains("without a request")), "{:?}", events.last());
}

#[test]
fn what_is_missed_while_it_waits_leaves_nothing_behind() {
    let (server, _) = logging(|_| {
        thread::sleep(Duration::from_millis(400));
        ok()
    });
    let steps = "{ get: '/{{ iteration }}', name: a }";
    let connections = "connections: { start: 2, max: 2 }";
    let tsunami =
        format!("model: tsunami, requests_per_driver: 10, delay: 10ms, max_wait: 200ms, {connections}");
    let stopped = format!("model: open, stages: [{{ at: 100/s, for: 1m }}], {connections}");
    let closed = format!("model: closed, stages: [{{ users: 8, for: 1m }}], {connections}");
    for io in loops() {
        for (load, stops) in [(&tsunami, false), (&stopped, true), (&closed, true)] {
            let running = start(prepare(Job { io, ..job(plan(&server, load, steps)) }));
            if stops {
                thread::sleep(Duration::from_millis(250));
                running.stop();
            }
            // A worker whose iterations are over and not forgotten dies of it.
            let told = watch(running);
            assert_eq!(told.notices, Vec::<String>::new(), "{load}");
            assert!(told.totals.missed.total() > 0 || load == &closed, "{load}: {:?}", told.totals);
        }
    }
}

#[test]
fn the_end_of_a_run_keeps_the_accounts_wherever_it_comes() {
    let (server, _) = logging(|_| {
        thread::sleep(Duration::from_millis(2));
        answer(200, "", "{\"v\":null}")
    });
    let steps = "{ group: g, steps: [{ get: /a, save: { v: $.v } }, { pause: 50ms..150ms }, { get: /b }, \
                 { pause: { exponential: 50ms } }, { get: '/c/{{ v }}', name: c }, { pause: 5s }, { get: /d }] }, { repeat: 900, steps: [{ get: /, name: e, when: 'false' }] }";
    let loads = [
        "model: open, stages: [{ at: 300/s, for: 60s }]",
        "model: closed, stages: [{ users: 50, for: 60s }]",
        "model: avalanche, requests_per_driver: 100000, connections: 20",
        "model: tsunami, requests_per_driver: 100000, delay: 3ms",
    ];
    for io in loops() {
        for (number, load) in loads.into_iter().enumerate() {
            for abort in [false, true] {
                let rest = format!("drain: 200ms\nscenarios: {{ only: {{ steps: [{steps}] }} }}");
                let plan = full_plan(&server, load, &rest);
                let running = start(prepare(Job { io, threads: 2, ..job(plan) }));
                thread::sleep(Duration::from_millis(170 + 30 * number as u64));
                if abort {
                    running.abort()
                } else {
                    running.stop()
                }
                let told = watch(running);
                assert!(told.totals.started > 0 && told.completed() <= told.totals.started);
            }
        }
    }
}

#[test]
fn a_users_cookies_stay_and_its_values_do_not() {
    let (server, log) = logging(|line| match line.contains("/login") {
        true => answer(200, "Set-Cookie: id=7; Path=/\r\n", "{\"v\":\"x\"}"),
        false => ok(),
    });
    // The value of the first iteration is not there in the second one.
    let steps = "{ get: /login, when: 'iteration == 0', save: { v: $.v } }, { get: '/v/{{ v | default(\"none\") }}', name: v }";
    let rest = format!("scenarios: {{ only: {{ cookies: true, steps: [{steps}] }} }}");
    let plan = full_plan(&server, "model: closed, users: 1, iterations: 3", &rest);
    assert_eq!(lines(&plan, &log), ["GET /login", "GET /v/x", "GET /v/none", "GET /v/none"]);
    each_loop(&plan, 1, |_| {
        assert_eq!(log.header("cookie"), ["", "id=7", "id=7", "id=7"]);
        log.0.lock().unwrap().clear();
    });
}

#[test]
fn redirects_and_cookies_go_with_steps_that_vary() {
    let (server, log) = logging(|line| match line.split(' ').nth(1) {
        Some(path) if path.starts_with("/go") => {
            answer(307, "Location: /to\r\nSet-Cookie: c=1; Path=/\r\n", "")
        }
        _ => answer(200, "", "{\"v\":\"a b\"}"),
    });
    let steps = "{ post: '/go/{{ iteration }}', name: go, body: 'b{{ iteration }}', follow_redirects: true, save: { v: $.v } }, { get: '/{{ v }}', name: v }";
    let rest = format!("scenarios: {{ only: {{ cookies: true, steps: [{steps}] }} }}");
    let plan = full_plan(&server, &avalanche(2), &rest);
    each_loop(&plan, 1, |told| {
        assert_eq!(told.outcomes(), counts(&[("200", 4), ("307", 2)]));
        assert_eq!(log.header("cookie"), ["", "c=1", "c=1", "", "c=1", "c=1"]);
        let requests = log.0.lock().unwrap().clone();
        assert!(
            requests[1].starts_with("POST /to ") && requests[1].ends_with("\r\n\r\nb0"),
            "{}",
            requests[1]
        );
        assert!(requests[5].starts_with("GET /a%20b "), "{}", requests[5]);
        log.0.lock().unwrap().clear();
    });
}

#[test]
fn iterations_with_connections_of_their_own_close_them() {
    let (server, log) = logging(|_| answer(200, "", "{\"v\":1}"));
    let load = "model: avalanche, requests_per_driver: 4, connections: { max: 2, per: iteration }";
    let steps =
        "{ get: /a, save: { v: $.v } }, { get: '/b/{{ v }}', name: b }, { repeat: 2, steps: [{ get: /c }] }";
    each_loop(&plan(&server, load, steps), 1, |told| {
        assert_eq!(told.outcomes(), counts(&[("200", 16)]));
    });
    assert_eq!(log.lines().len(), 16 * loops().len());
    let accepted = server.accepted();
    assert!(accepted >= 4 * loops().len(), "{accepted} connections");
}

/// The ids of the rows that a run used, as the server saw them.
fn rows_used(plan: &plan::Plan, threads: usize, log: &Log) -> Vec<Vec<u64>> {
    each_loop(plan, threads, |_| {
        let of = |line: &String| line.rsplit('/').next().unwrap().parse().unwrap();
        let mut rows: Vec<u64> = log.lines().iter().map(of).collect();
        log.0.lock().unwrap().clear();
        if threads > 1 {
            rows.sort_unstable();
        }
        rows
    })
}

#[test]
fn rows_go_to_whom_the_plan_says() {
    let (server, log) = logging(|_| ok());
    let step = "{ get: '/{{ ids.id }}', name: id }";
    let open = "model: open, stages: [{ at: 10/s, for: 1s }]";
    let of =
        |load: &str, data: &str, threads| rows_used(&with_rows(&server, load, data, step), threads, &log);
    let all = |rows: Vec<Vec<u64>>, expected: &[u64]| rows.iter().for_each(|rows| assert_eq!(rows, expected));
    all(of(open, "4", 1), &[0, 1, 2, 3, 0, 1, 2, 3, 0, 1]);
    all(of(open, "4, pick: once", 1), &[0, 1, 2, 3]);
    all(of(open, "4, pick: in_turn", 2), &[0, 0, 0, 1, 1, 1, 2, 2, 3, 3]);
    all(of(open, "6, pick: in_turn, when_exhausted: stop", 1), &[0, 1, 2, 3, 4, 5]);
    all(of(&avalanche(5), "3, pick: in_turn", 1), &[0, 1, 2, 0, 1]);
    all(of(&avalanche(5), "3, pick: once", 1), &[0, 1, 2]);
    let random = of(open, "1000, pick: random", 1);
    assert!(random[0].iter().collect::<BTreeSet<_>>().len() > 5, "{random:?}");
    assert!(random.iter().all(|rows| *rows == random[0]), "the same seed has the same rows");
    let users = "model: closed, users: 3, iterations: 9";
    all(of(users, "3, pick: per_user", 2), &[0, 0, 0, 1, 1, 1, 2, 2, 2]);
    all(of(users, "2, pick: per_user, when_exhausted: recycle", 2), &[0, 0, 0, 0, 0, 0, 1, 1, 1]);
    // A thread that has used its own rows takes what others have left.
    all(of(users, "9, pick: once", 2), &[0, 1, 2, 3, 4, 5, 6, 7, 8]);
    let unequal = "model: closed, users: 1, iterations: 9";
    all(of(unequal, "9, pick: once", 2), &[0, 1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn who_joins_late_counts_the_rows_of_others_without_being_held_up() {
    let (server, _) = logging(|_| ok());
    // Some 360 million iterations of the fleet before: more than half a minute's counting.
    let load = "model: open, arrivals: poisson, stages: [{ at: 100000/s, for: 2h }]";
    let plan = with_rows(&server, load, "1000", "{ get: '/{{ ids.id }}', name: id }");
    let share = [7].into_iter().collect();
    let prepared = prepare(Job { share, ..job(plan) });
    let now = clock::now();
    let running = prepared.start(now - Duration::from_secs(3600), now + Duration::from_secs(600));
    thread::sleep(Duration::from_millis(1500));
    let asked = clock::now();
    running.abort();
    watch(running);
    assert!(clock::now().since(asked) < Duration::from_secs(15), "it hears what it is told");
}

#[test]
fn rows_that_are_used_up_stop_or_fail() {
    let (server, _) = logging(|_| ok());
    let step = "{ get: '/{{ ids.id }}', name: id }";
    let open = "model: open, stages: [{ at: 20/s, for: 1s }]";
    let totals = |load: &str, data: &str| {
        each_loop(&with_rows(&server, load, data, step), 2, |told| (told.outcomes(), told.totals.due))
    };
    for (outcomes, due) in totals(open, "4, pick: once, when_exhausted: fail") {
        assert_eq!((outcomes, due), (counts(&[("200", 4), ("data", 16)]), 20));
    }
    // A user without a row leaves, and the run ends with the others.
    let stop = "2, pick: per_user, when_exhausted: stop";
    for (outcomes, due) in totals("model: closed, users: 3, iterations: 6", stop) {
        assert_eq!((outcomes, due), (counts(&[("200", 4)]), 4));
    }
    for (outcomes, due) in totals("model: closed, users: 3, iterations: 6, connections: { per: user }", stop)
    {
        assert_eq!((outcomes, due), (counts(&[("200", 4)]), 4));
    }
    // Or fails, and rests.
    for (outcomes, _) in totals("model: closed, users: 3, iterations: 6", "2, pick: per_user") {
        assert_eq!(outcomes, counts(&[("200", 4), ("data", 2)]));
    }
    for (outcomes, _) in totals("model: closed, stages: [{ users: 3, for: 1s }]", "4, pick: once") {
        assert_eq!(outcomes, counts(&[("200", 4)]));
    }
}

#[test]
fn the_same_seed_sends_the_same_requests() {
    let (server, log) = logging(|_| ok());
    let steps = "{ get: '/{{ rand.int(1, 1000000) }}/{{ uuid }}/{{ rand.string(5) }}/{{ rand.choice(1, 2, 3) }}', name: r }, \
                 { get: '/w/{{ iteration }}', name: w, when: 'rand.float(0, 1) < 0.5' }";
    let open = "model: open, stages: [{ at: 40/s, for: 1s }]";
    let run = |load: &str, seed: u64, threads: usize| {
        let rest = format!("seed: {seed}\nscenarios: {{ only: {{ steps: [{steps}] }} }}");
        let runs = each_loop(&full_plan(&server, load, &rest), threads, |_| {
            let mut lines = log.lines();
            log.0.lock().unwrap().clear();
            lines.sort();
            lines
        });
        assert!(runs.iter().all(|run| *run == runs[0]), "{runs:#?}");
        runs.into_iter().next().unwrap()
    };
    let first = run(open, 7, 1);
    assert_eq!(run(open, 7, 2), first, "whatever the number of threads");
    assert_ne!(run(open, 8, 1), first);
    assert!(first.iter().collect::<BTreeSet<_>>().len() == first.len(), "each iteration draws its own");
    assert_eq!(run(&avalanche(20), 7, 1), run(&avalanche(20), 7, 1));
}
