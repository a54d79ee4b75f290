//! Each sample as a plan: the whole text beside it in `snapshots/`, and read again by the parser.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use expect_test::{Expect, expect, expect_file};
use import::{Format, Input, Options};
use support::{CASES, faults};

#[test]
fn samples_become_the_plans_beside_them() {
    for case in CASES {
        let imported =
            case.import_text(&case.text()).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let path = format!("{}/tests/snapshots/{}.plan.yaml", env!("CARGO_MANIFEST_DIR"), case.name);
        expect_file![path].assert_eq(&imported.plan);
    }
}

#[test]
fn plans_are_read_again() {
    let mut wrong = Vec::new();
    for case in CASES {
        let imported = case.import_text(&case.text()).unwrap();
        wrong.extend(faults(&imported.plan).into_iter().map(|fault| format!("{}: {fault}", case.name)));
        for note in &imported.notes {
            assert!(
                imported.plan.contains(note.as_str()),
                "{}: a note is not in the plan: {note}",
                case.name
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_secret_of_a_sample_is_in_a_plan() {
    let secrets = [
        "correct horse",
        "s3cr3tcookie",
        "eyJzdWIiOiI0MiJ9",
        "hunter2hunter2",
        "live_51Hq8Z0aa77",
        "eyJhbGciOiJIUzI1NiJ9",
        "sid=abc123",
        "pa ss",
        "secret1",
        "open sesame",
        "pk_live_77aa88bb",
        "secret12",
        "abcdefgh",
        "live_0123456789",
        "session=abc",
        "90817263",
        "tok_55667788",
        "AKIA0000EXAMPLE1",
        "wJalrXUt-nEMI",
    ];
    for case in CASES {
        let plan = case.import_text(&case.text()).unwrap().plan;
        let found: Vec<&&str> = secrets.iter().filter(|secret| plan.contains(**secret)).collect();
        assert!(found.is_empty(), "{}: {found:?} in\n{plan}", case.name);
    }
}

/// The end of the plan that becomes of a text, and what is to be known about it.
fn check(format: Format, text: &str, from: &str, expect: Expect) {
    let input = Input { text: Some(text), words: &[] };
    let imported = import::import(format, input, &Options::default()).unwrap();
    let faults = faults(&imported.plan);
    assert!(faults.is_empty(), "{faults:#?}\n{}", imported.plan);
    let plan = imported.plan.split_once(from).unwrap().1;
    let notes: String = imported.notes.iter().map(|note| format!("note: {note}\n")).collect();
    expect.assert_eq(&format!("{from}{plan}{notes}"));
}

#[test]
fn thresholds_that_a_plan_refuses_are_told() {
    check(
        Format::K6Options,
        r#"{ "vus": 1, "duration": "1m", "thresholds": {
            "http_req_duration": [ "p(95)<0", "p(95)<500", "p(99.99999)<500", "max<1e12" ],
            "http_reqs": [ "rate<1e300", { "threshold": "count>10", "abortOnFail": true } ],
            "http_req_failed": [ "rate<0", "rate<=7" ] } }"#,
        "thresholds:",
        expect![[r#"
            thresholds:
              # http_req_duration: p(95)<500
              - p95 < 500ms
            note: the script's requests are not imported: one GET / stands for them
            note: threshold http_req_duration: p(95)<0: the limit must be more than zero, not translated
            note: threshold http_req_duration: p(99.99999)<500: there is no such statistic here, not translated
            note: threshold http_req_duration: max<1e12: the limit can be at most 1h, not translated
            note: threshold http_reqs: rate<1e300: the limit must be a rate such as 500/s, not translated
            note: threshold http_reqs: count>10: whether a count gets there is known only at the end, not translated
            note: threshold http_req_failed: rate<0: nothing is less than zero, not translated
            note: threshold http_req_failed: rate<=7: the limit can be at most 100%, not translated
        "#]],
    );
}

#[test]
fn braces_in_keys_stay_what_they_are() {
    check(
        Format::Curl,
        r#"curl 'http://h/p?%7B%7Bq%7D%7D=1' --json '{ "{{key}}": [ { "{{": "{{v}}" } ] }'"#,
        "steps:",
        expect![[r#"
            steps:
                  - post: /p
                    query: { "{{ '{{' }}q}}": "1" }
                    headers: { accept: application/json }
                    json:
                      "{{ '{{' }}key}}":
                        - { "{{ '{{' }}": "{{ '{{' }}v}}" }
            note: a URL with [ ] or { }: curl makes several of it, the plan has it as it stands
        "#]],
    );
    check(
        Format::Curl,
        "curl http://h/ --data-urlencode '{{f}}={{v}}'",
        "steps:",
        expect![[r#"
        steps:
              - post: /
                form: { "{{ '{{' }}f}}": "{{ '{{' }}v}}" }
    "#]],
    );
    check(
        Format::Postman,
        r#"{ "info": { "name": "p", "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json" }, "item": [ { "name": "a", "request": {
            "method": "POST", "url": "http://h/a?{{q}}=1&{{}}=2", "header": [ { "key": "content-type", "value": "application/json" } ],
            "body": { "mode": "raw", "raw": "{ \"{{key}}\": \"{{v}}\", \"{{\": 1 }" } } } ] }"#,
        "steps:",
        expect![[r#"
            steps:
                  - post: /a
                    name: a
                    query: { q: "1", "{{ '{{' }}}}": "2" }
                    json: { key: "{{ v }}", "{{ '{{' }}": 1 }
                    follow_redirects: true
            note: a variable (q) in the name of a field: not translated
            note: a variable (key) in the name of a field: not translated
            note: variable v: not of the collection; give it with --var v=…
        "#]],
    );
}

#[test]
fn users_have_no_colon() {
    check(
        Format::Postman,
        r#"{ "info": { "name": "p", "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json" },
            "variable": [ { "key": "who", "value": "a:b" } ], "item": [
            { "name": "literal", "request": { "method": "GET", "url": "http://h/a", "auth": { "type": "basic", "basic": [ { "key": "username", "value": "c:d}}" }, { "key": "password", "value": "{{pw}}" } ] } } },
            { "name": "variable", "request": { "method": "GET", "url": "http://h/a", "auth": { "type": "basic", "basic": [ { "key": "username", "value": "{{who}}" }, { "key": "password", "value": "{{pw}}" } ] } } } ] }"#,
        "steps:",
        expect![[r#"
            steps:
                  - get: /a
                    name: literal
                    follow_redirects: true
                  - get: /a
                    name: variable
                    follow_redirects: true
            note: variable pw: not of the collection; give it with --var pw=…
            note: literal: basic authorization left out, since its user has a colon in the name
            note: variable: basic authorization left out, since its user has a colon in the name
        "#]],
    );
}
