//! Plans are tried out step by step, and what is shown is what a person needs to mend them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use support::{Target, err, out, run};
use tempfile::tempdir;

/// A plan for the shop with these scenarios.
fn write_plan(folder: &Path, target: &str, scenarios: &str) {
    let text = format!(
        "version: 1\nname: shop\ntarget: {target}\nload: {{ model: open, stages: [ {{ at: 5/s, for: 2s }} ] }}\n\
         data: {{ users: {{ file: users.csv, pick: in_turn }} }}\nscenarios:\n{scenarios}"
    );
    fs::write(folder.join("p.yaml"), text).unwrap();
    fs::write(folder.join("users.csv"), "name\nada\ngrace\n").unwrap();
}

fn shows(output: &Output, parts: &[&str]) {
    let said = out(output);
    for part in parts {
        assert!(said.contains(part), "{part:?} in\n{said}\n{}", err(output));
    }
}

const BUY: &str = r#"
  buy:
    steps:
      - post: /api/login
        json: { user: "{{ users.name }}", password: secret }
        expect: { json: { $.user.name: "{{ users.name }}" }, headers: { content-type: { contains: json } } }
        save: { token: $.token, name: $.user.name }
      - pause: 10s
      - group: filling
        steps:
          - for_each: "[7, 9]"
            as: product
            steps:
              - post: /api/cart
                headers: { authorization: "Bearer {{ token }}" }
                json: { product: "{{ product }}" }
      - when: "name == 'grace'"
        steps: [ get: /ping ]
"#;

#[test]
fn each_thing_that_happens_is_shown() {
    let folder = tempdir().unwrap();
    let target = Target::shop(folder.path());
    let scenario = BUY.replace("\"[7, 9]\"", "ids").replace(
        "      - pause: 10s\n",
        "      - pause: 10s\n      - get: /api/products?size=2\n        save: { ids: \"$.items[*].id\" }\n",
    );
    write_plan(folder.path(), &target.url, &scenario);
    let output = run(&["try", "p.yaml", "--iterations", "2"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}{}", out(&output), err(&output));
    shows(
        &output,
        &[
            "== scenario buy, iteration 1, to ",
            "row 1 of 2 of users: name = ada",
            "# POST /api/login\n> POST http://127.0.0.1:",
            "> content-type: application/json",
            ">   \"user\": \"ada\",",
            "< 200   connect ",
            "first byte ",
            "  ok      json $.user.name {{ users.name }}\n",
            "  ok      header content-type contains json\n",
            "  saved   name = ada\n",
            "-- pause of 10.0s skipped (--with-pauses keeps it)",
            "  saved   ids = [1,2]\n",
            "-- group filling begins",
            "-- round 2 of 2, product = 2",
            "-- the loop is over after 2 rounds",
            "-- group filling is over",
            "-- when name == 'ada': no, skipped".replace("'ada'", "'grace'").as_str(),
            "row 2 of 2 of users: name = grace",
            "-- when name == 'grace': yes",
            "9 requests, nothing failed",
        ],
    );
    assert_eq!(target.requests(), 9);
}

#[test]
fn redirects_and_cookies_are_followed_as_in_a_run() {
    let folder = tempdir().unwrap();
    let target = Target::shop(folder.path());
    let scenario = r#"
  form:
    cookies: true
    steps:
      - get: /login
        save: { csrf: "regex:name=\"csrf\" value=\"([^\"]+)\"" }
      - post: /login
        follow_redirects: true
        form: { user: "{{ users.name }}", password: secret, csrf: "{{ csrf }}" }
        expect: { body_contains: "Hello, {{ users.name }}" }
"#;
    write_plan(folder.path(), &target.url, scenario);
    let output = run(&["try", "p.yaml"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}{}", out(&output), err(&output));
    shows(
        &output,
        &[
            "  cookie  session=",
            "> Cookie: session=",
            "the redirect is followed",
            "# POST /login, redirect 1\n> GET http://127.0.0.1:",
        ],
    );
    let output = run(&["try", "p.yaml", "--json"], folder.path());
    let lines: Vec<Value> = out(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["saved"][0][0], "csrf");
    assert_eq!((&lines[2]["step"], &lines[2]["redirect"]), (&"POST /login".into(), &1.into()));
    assert_eq!((&lines[2]["response"]["status"], &lines[2]["failure"]), (&200.into(), &Value::Null));
    assert_eq!(lines[2]["checks"][0]["ok"], true);
}

#[test]
fn what_fails_says_why() {
    let folder = tempdir().unwrap();
    let target = Target::shop(folder.path());
    let scenario = r#"
  checks:
    steps:
      - get: /api/products?size=1
        expect: { json: { $.total: 3, $.gone: { exists: true } }, size: ..10B, body_contains: nowhere }
        name: list
  status: { steps: [ { get: /status/503, name: broken, expect: { status: [200, 3xx] } } ] }
  extract:
    steps:
      - { get: /ping, name: ping, save: { token: $.token } }
      - { get: /bytes/1KiB, name: never }
  expression:
    steps:
      - { get: "/api/products?size=1", name: first, save: { item: "$.items[0]" } }
      - { get: "/x/{{ item.gone }}", name: second }
"#;
    write_plan(folder.path(), &target.url, scenario);
    let output = run(&["try", "p.yaml"], folder.path());
    assert_eq!(output.status.code(), Some(99));
    shows(
        &output,
        &[
            "  FAILED  json $.total 3: expected 3, found 1000\n",
            "  FAILED  json $.gone exists true: expected that it is there, found nothing at $.gone\n",
            "FAILED  size ..10B: expected 0 to 10 bytes, found ",
            "  FAILED  body_contains \"nowhere\": expected \"nowhere\" in it, found a body of ",
            "  FAILED (status): status 503, expected 200, 300 to 399\n",
            "  FAILED (extract): token cannot be saved: nothing at $.token\n",
            "-- the iteration ends here",
            "  FAILED (expression): {{ item.gone }} has no value: item.gone is not there\n",
            "4 requests, failed: list, broken, ping, second\n",
        ],
    );
    let output = run(&["check", "--connect", "p.yaml"], folder.path());
    assert_eq!(output.status.code(), Some(99));
    shows(
        &output,
        &[
            "ok, shop: 4 scenarios, 6 steps",
            "check: body_contains \"nowhere\": found ",
            "; json $.total 3: found 1000",
            "status: status 503",
            "never ",
            "not reached",
        ],
    );
    let output = run(&["try", "p.yaml", "--scenario", "status"], folder.path());
    shows(&output, &["1 request, failed: broken"]);
    let output = run(&["try", "p.yaml", "--scenario", "none"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("the plan has checks, status, extract, expression"), "{}", err(&output));
}

#[test]
fn a_target_out_of_reach_is_named() {
    let folder = tempdir().unwrap();
    write_plan(folder.path(), "http://127.0.0.1:9", "  s: { steps: [ get: /ping ] }\n");
    for command in [&["try", "p.yaml"][..], &["check", "--connect", "p.yaml"]] {
        let output = run(command, folder.path());
        assert_eq!(output.status.code(), Some(110));
        let said = err(&output);
        assert!(said.contains("nothing was sent: cannot connect to http://127.0.0.1:9"), "{said}");
        assert!(said.contains("refused"), "{said}");
    }
    let output = run(&["try", "p.yaml", "--target", "http://no-such-host.invalid"], folder.path());
    assert_eq!(output.status.code(), Some(110));
    assert!(err(&output).contains("cannot resolve no-such-host.invalid"), "{}", err(&output));
    fs::write(folder.path().join("q.yaml"), "version: 1\n").unwrap();
    let output = run(&["try", "q.yaml"], folder.path());
    assert_eq!(output.status.code(), Some(104));
}

#[test]
fn check_connects_only_when_asked() {
    let folder = tempdir().unwrap();
    let target = Target::shop(folder.path());
    write_plan(folder.path(), &target.url, "  s: { steps: [ get: /ping, get: /bytes/20KiB ] }\n");
    let output = run(&["check", "p.yaml"], folder.path());
    assert_eq!((output.status.code(), target.requests()), (Some(0), 0));
    let output = run(&["check", "--connect", "p.yaml"], folder.path());
    assert_eq!((output.status.code(), target.requests()), (Some(0), 2), "{}", err(&output));
    let said = out(&output);
    assert_eq!(said.lines().filter(|line| line.ends_with(" ms  ok")).count(), 2, "{said}");
    let output = run(&["try", "p.yaml"], folder.path());
    shows(&output, &["20.0 KiB"]);
}
