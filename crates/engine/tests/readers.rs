//! Long answers, which threads of their own read: the outcome is the same, and the iteration goes on with its values.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::Job;
use support::{Server, counts, each_loop, full_plan, job, plan, prepare, start, watch};

/// A page of 400 kB whose last element has a number.
fn page(number: usize) -> String {
    let rows = "<li><a href=\"/item\">Item</a></li>\n".repeat(12_000);
    let body = format!("<html><ul>{rows}</ul><p class=\"last\">{number}</p></html>");
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Answers `/page/N` with page N, and anything else at once; with the paths that were asked for.
fn pages() -> (Server, Arc<Mutex<Vec<String>>>) {
    let paths: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&paths);
    let server = Server::start(move |mut peer| {
        while let Some(head) = peer.request() {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            match path.strip_prefix("/page/") {
                Some(number) => peer.send(&page(number.parse().unwrap_or(0))),
                None => peer.ok(),
            }
            seen.lock().unwrap().push(path);
        }
    });
    (server, paths)
}

const STEPS: &str = "{ get: '/page/{{ iteration }}', name: page, max_body: 1MiB, save: { last: 'css:p.last' } }, \
                     { get: '/after/{{ last }}', name: after }";

#[test]
fn an_iteration_goes_on_with_what_a_reader_took() {
    let (server, paths) = pages();
    for load in [
        "model: open, stages: [ { at: 20/s, for: 1s } ]",
        "model: closed, users: 5, iterations: 20",
        "model: avalanche, requests_per_driver: 20, connections: { max: 4, per: user }",
    ] {
        each_loop(&plan(&server, load, STEPS), 2, |told| {
            assert_eq!(told.outcomes(), counts(&[("200", 40)]));
            assert_eq!(told.totals.due, 20);
            let mut paths = std::mem::take(&mut *paths.lock().unwrap());
            let after = paths.iter().filter_map(|path| path.strip_prefix("/after/"));
            let mut after: Vec<String> = after.map(|number| format!("/page/{number}")).collect();
            paths.retain(|path| path.starts_with("/page/"));
            paths.sort();
            after.sort();
            assert_eq!((paths.len(), paths), (20, after), "each went on with its own value");
        });
    }
}

#[test]
fn what_a_reader_does_not_find_fails_the_step() {
    let (server, paths) = pages();
    let steps = "{ group: both, steps: [ { get: /page/1, max_body: 1MiB, save: { last: 'css:p.none' } }, { get: /after } ] }";
    let load = "model: avalanche, requests_per_driver: 5, connections: 2";
    each_loop(&plan(&server, load, steps), 1, |told| {
        assert_eq!(told.outcomes(), counts(&[("extract", 5)]));
        assert!(paths.lock().unwrap().iter().all(|path| path == "/page/1"));
    });
    let rest = "scenarios: { only: { steps: [ { get: /page/1, max_body: 1MiB, expect: { body_contains: none, json: { $.a: 1 } }, save: { x: 'css:p.last' } } ] } }";
    each_loop(&full_plan(&server, load, rest), 1, |told| {
        assert_eq!(told.outcomes(), counts(&[("check", 5)]));
    });
}

#[test]
fn a_run_that_is_aborted_waits_for_no_reader() {
    let (server, paths) = pages();
    let load = "model: closed, stages: [ { users: 30, for: 1h } ]";
    let running = start(prepare(Job { threads: 2, ..job(plan(&server, load, STEPS)) }));
    while paths.lock().unwrap().len() < 40 {
        std::thread::sleep(Duration::from_millis(5));
    }
    running.abort();
    let told = watch(running);
    assert_eq!(told.totals.requests_sent, told.totals.succeeded + told.totals.failed + told.totals.cancelled);
    assert_eq!(told.totals.due, told.totals.started);
}
