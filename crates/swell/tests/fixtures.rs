//! Setup and teardown by real processes: once, before and after the load, with what was saved in every request.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{Target, err, out, run};
use tempfile::tempdir;

/// A key that is only there from setup to teardown, and a session that setup opens.
fn write_plan(folder: &Path, target: &str, setup_status: u16, end: &str) {
    let text = format!(
        r#"version: 1
name: fixtures
target: {target}
auth: {{ bearer: "{{{{ token }}}}" }}
load: {{ model: open, stages: [ {{ at: 100/s, for: 2s }} ] }}
setup:
  - post: /api/login
    json: {{ user: setup, password: secret }}
    save: {{ token: $.token, name: $.user.name }}
  - put: /kv/{{{{ name }}}}-only
    name: create
    headers: {{ if-none-match: "*" }}
    body: x
    expect: {{ status: {setup_status} }}
scenarios:
  main:
    steps:
      - get: /api/cart
      - get: /kv/{{{{ name }}}}-only
        name: read
teardown:
  - delete: /kv/{{{{ name }}}}-only
    name: clear
  - post: /api/login
    json: {{ user: teardown, password: {end} }}
"#
    );
    fs::write(folder.join("p.yaml"), text).unwrap();
}

fn result(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("r.json")).unwrap()).unwrap()
}

const RUN: [&str; 6] = ["run", "p.yaml", "--drivers", "3", "-o", "json=r.json"];

#[test]
fn they_come_once_and_every_driver_has_what_setup_saved() {
    let folder = tempdir().unwrap();
    let target = Target::shop(folder.path());
    write_plan(folder.path(), &target.url, 201, "secret");
    let output = run(&RUN, folder.path());
    assert_eq!(output.status.code(), Some(0), "{}{}", out(&output), err(&output));
    let summary = result(folder.path());
    // Without the session or the key an answer is no success: nobody sent before setup, after teardown, or without it.
    assert_eq!((&summary["requests"]["sent"], &summary["requests"]["succeeded"]), (&400.into(), &400.into()));
    assert_eq!(summary["steps"].as_array().unwrap().len(), 2, "{summary:#}");
    assert!(summary["teardown_fault"].is_null());
    assert_eq!(
        target.logins().into_iter().collect::<Vec<_>>(),
        [("setup".to_owned(), 1), ("teardown".to_owned(), 1)]
    );
    assert_eq!(target.requests(), 404);
}

#[test]
fn a_setup_that_fails_is_no_run() {
    let folder = tempdir().unwrap();
    let target = Target::shop(folder.path());
    write_plan(folder.path(), &target.url, 418, "secret");
    let output = run(&RUN, folder.path());
    assert_eq!(output.status.code(), Some(110), "{}{}", out(&output), err(&output));
    let said = err(&output);
    let why = "the run did not start: setup failed: step \"create\": status 201, expected 418";
    assert!(said.contains(why), "{said}");
    assert_eq!(target.requests(), 2, "no load, and no teardown");
}

#[test]
fn a_teardown_that_fails_is_a_warning() {
    let folder = tempdir().unwrap();
    let target = Target::shop(folder.path());
    write_plan(folder.path(), &target.url, 201, "wrong");
    let output = run(&RUN, folder.path());
    assert_eq!(output.status.code(), Some(0), "{}{}", out(&output), err(&output));
    let fault = "step \"POST /api/login\": status 401, expected 200 to 399";
    assert_eq!(result(folder.path())["teardown_fault"], fault);
    assert!(out(&output).contains("what setup made may still be there"), "{}", out(&output));
    assert_eq!(target.requests(), 404);
}

#[test]
fn a_rehearsal_walks_them_too() {
    let folder = tempdir().unwrap();
    let target = Target::shop(folder.path());
    write_plan(folder.path(), &target.url, 201, "secret");
    let output = run(&["try", "p.yaml"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}{}", out(&output), err(&output));
    let said = out(&output);
    let places: Vec<usize> = ["== setup, to ", "== scenario main, ", "/kv/setup-only", "== teardown, to "]
        .map(|part| said.find(part).unwrap_or_else(|| panic!("{part} in\n{said}")))
        .into();
    assert!(places[0] < places[1] && places[1] < places[3], "{said}");
    assert!(said.contains("6 requests, nothing failed"), "{said}");
    let output = run(&["check", "p.yaml", "--connect"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}{}", out(&output), err(&output));
    assert!(
        out(&output)
            .contains("ok, fixtures: 1 scenario, 2 steps, setup of 2 requests, teardown of 2 requests")
    );
    assert_eq!(target.requests(), 12);
}

/// A plan whose setup has these steps.
fn with_setup(folder: &Path, target: &str, rest: &str) {
    let text = format!(
        "version: 1\nname: x\ntarget: {target}\nload: {{ model: avalanche, requests_per_driver: 1 }}\n{rest}\n"
    );
    fs::write(folder.join("p.yaml"), text).unwrap();
}

#[test]
fn what_setup_saves_is_not_told_when_it_fails() {
    let folder = tempdir().unwrap();
    let target = Target::shop(folder.path());
    let login = "post: /api/login, json: { user: u, password: secret }";
    let rest = format!(
        "setup: [ {{ {login}, save: {{ token: $.token }} }}, {{ {login}, name: again, expect: {{ json: {{ $.user.name: nobody }} }} }} ]\n\
         scenarios: {{ s: {{ steps: [ get: / ] }} }}"
    );
    with_setup(folder.path(), &target.url, &rest);
    let output = run(&RUN, folder.path());
    assert_eq!(output.status.code(), Some(110), "{}{}", out(&output), err(&output));
    let said = err(&output);
    assert!(said.contains("json $.user.name nobody does not hold") && !said.contains("found"), "{said}");
}

#[test]
fn a_setup_that_takes_too_long_fails_also_in_a_pause() {
    let folder = tempdir().unwrap();
    let target = Target::shop(folder.path());
    let rest = "setup: [ get: /api/products, pause: 1m, { get: /never, when: 1 > 2 } ]\nsetup_timeout: 1s\nscenarios: { s: { steps: [ get: / ] } }";
    with_setup(folder.path(), &target.url, rest);
    let output = run(&RUN, folder.path());
    assert_eq!(output.status.code(), Some(110), "{}{}", out(&output), err(&output));
    assert!(err(&output).contains("setup took too long as a whole"), "{}", err(&output));
}
