//! Setup and teardown: what they may have, what the rest of the plan may name of them, and what becomes of it.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::time::Duration;

use expect_test::{Expect, expect};
use plan::{EvaluateError, Fixture, Op, Scope, Value, Values};
use serde_json::json;

const HEAD: &str =
    "version: 1\nname: p\ntarget: http://h\nload: { model: open, stages: [ { at: 1/s, for: 1m } ] }\n";

fn parse(rest: &str) -> plan::Plan {
    plan::parse("p.yaml", &format!("{HEAD}{rest}")).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn check(rest: &str, expect: Expect) {
    let said = match plan::parse("p.yaml", &format!("{HEAD}{rest}")) {
        Ok(_) => "no fault\n".to_owned(),
        Err(faults) => faults.iter().map(|fault| format!("{fault}\n    | {}\n", fault.text)).collect(),
    };
    expect.assert_eq(&said);
}

const SHOP: &str = r#"
auth: { bearer: "{{ token }}" }
data: { users: { rows: 9, columns: { id: "{{ row }}" } } }
fragments:
  sign_in:
    - post: /login
      json: { user: admin }
      save: { token: $.token, ids: "$.ids[*]" }
setup:
  - use: sign_in
  - for_each: ids
    as: id
    steps: [ { put: "/items/{{ id }}", name: item } ]
  - group: stock
    steps: [ { post: /stock, save: { stock: { json: $.id, default: 7 } } } ]
scenarios:
  buy:
    steps:
      - get: /items/{{ ids[0] }}?of={{ users.id }}
        name: first
      - for_each: ids
        as: item
        steps: [ { post: /buy, json: { item: "{{ item }}", stock: "{{ stock }}", all: "{{ ids }}" } } ]
      - get: /stock/{{ stock }}
        name: stock
        expect: { body_contains: "{{ token }}" }
teardown:
  - delete: /stock/{{ stock }}
    name: empty
teardown_timeout: 5s
"#;

/// Where nothing varies.
struct Nowhere;

impl Scope for Nowhere {
    fn saved(&self, _: u16) -> &Value<'static> {
        &Value::Null
    }

    fn cell(&self, _: u16, _: u16) -> Result<Value<'_>, EvaluateError> {
        Err(EvaluateError::Absent)
    }

    fn draw(&self) -> u64 {
        0
    }
}

fn values() -> Values {
    [("token", json!("t/0")), ("ids", json!([3, 5])), ("stock", json!(7))]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

#[test]
fn what_setup_saves_is_a_constant_of_the_run() {
    let plan = parse(SHOP);
    assert_eq!(plan.given(), ["token", "ids", "stock"]);
    let told = plan.with_values(&values()).unwrap();
    let steps = &told.scenarios[0].steps;
    let header = |number: usize| steps[number].headers.iter().find(|(name, _)| name == "authorization");
    assert_eq!(header(0).unwrap().1.as_text(), Some("Bearer t/0"), "the plan's auth knows it");
    assert_eq!(steps[0].path.to_string(), "/items/3?of={{ users.id }}");
    assert_eq!(steps[2].path.as_text(), Some("/stock/7"));
    let plan::Body::Text(body) = &steps[1].body else { panic!("{:?}", steps[1].body) };
    assert_eq!(body.to_string(), "{\"item\":{{ item }},\"stock\":7,\"all\":[3,5]}");
    let Some(Op::Begin(_, plan::Bound::Each(list))) =
        told.scenarios[0].flow.iter().find(|op| matches!(op, Op::Begin(..)))
    else {
        panic!("{:?}", told.scenarios[0].flow)
    };
    assert_eq!(list.evaluate(&Nowhere).unwrap().length(), Some(2));
    let teardown = told.fixture(Fixture::Teardown).unwrap();
    assert_eq!(teardown.steps[0].path.as_text(), Some("/stock/7"));
    assert_eq!(teardown.steps[0].headers[0].1.as_text(), Some("Bearer t/0"));
    assert_eq!(
        plan.with_values(&Values::new()).unwrap_err(),
        "the run has no value token, which setup should have saved"
    );
}

#[test]
fn values_are_encoded_as_their_place_needs() {
    let plan = parse(
        "setup: [ { get: /a, save: { word: $.word } } ]\nscenarios:\n  s:\n    steps:\n      \
         - { post: \"/b?q={{ word }}\", name: b, json: { a: \"x {{ word }}\" } }\n",
    );
    let values = Values::from([("word".to_owned(), json!("a \"b\"&c"))]);
    let step = plan.with_values(&values).unwrap().scenarios.remove(0).steps.remove(0);
    assert_eq!(step.path.as_text(), Some("/b?q=a%20%22b%22%26c"));
    let plan::Body::Text(body) = &step.body else { panic!("{:?}", step.body) };
    assert_eq!(body.as_text(), Some(r#"{"a":"x a \"b\"&c"}"#));
}

#[test]
fn they_are_no_load() {
    let plan = parse(SHOP);
    assert_eq!(plan.rows(), ["first", "POST /buy", "stock"]);
    assert!(plan.groups().is_empty());
    let only = plan.only(Fixture::Setup).unwrap();
    assert_eq!(
        (only.scenarios.len(), only.groups(), only.workloads[0].scenario_of(9)),
        (1, ["stock".to_owned()].as_slice(), 0)
    );
    assert!(only.data.is_empty() && only.seed != plan.seed);
    let setup = plan.fixture(Fixture::Setup).unwrap();
    let signed = |step: &plan::Step| step.headers.iter().any(|(name, _)| name == "authorization");
    assert_eq!(setup.steps.iter().map(signed).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(plan.fixture_timeout(Fixture::Setup), Duration::from_secs(60));
    assert_eq!(plan.fixture_timeout(Fixture::Teardown), Duration::from_secs(5));
    let bare = parse("scenarios: { s: { steps: [ get: / ] } }\n");
    assert!(bare.fixture(Fixture::Setup).is_none() && bare.only(Fixture::Teardown).is_none());
    assert_eq!(bare.with_values(&Values::new()).unwrap(), bare);
}

#[test]
fn setup_without_rows_takes_no_auth_that_needs_one() {
    let plan = parse(
        "auth: { bearer: \"{{ users.token }}\" }\ndata: { users: { file: users.csv } }\n\
         setup: [ get: /a ]\nscenarios: { s: { steps: [ get: / ] } }\n",
    );
    assert!(plan.fixture(Fixture::Setup).unwrap().steps[0].headers.is_empty());
    assert_eq!(plan.scenarios[0].steps[0].headers.len(), 1);
}

#[test]
fn faults() {
    check(
        r#"data: { users: { file: users.csv } }
setup:
  - get: /a/{{ users.id }}
    name: a
    save: { token: $.token }
  - get: /b
    sav: { x: $.x }
teardown_timeout: 5s
scenarios:
  s:
    steps:
      - get: /{{ tokn }}
        name: c
        save: { token: $.t }
      - { for_each: "{{ x }}", as: token, steps: [ get: / ] }
"#,
        expect![[r#"
            p.yaml:7:13: setup and teardown are no iterations and have no row of data [no_row_here]
              write the value itself, or name it in `variables`
                | {{ users.id }}
            p.yaml:11:5: a step has no key "sav" [unknown_key]
              did you mean "save"?
                | sav
            p.yaml:12:1: the plan has no teardown [without_effect]
              leave it out
                | teardown_timeout
            p.yaml:16:15: nothing is called "tokn" [unknown_name]
              did you mean "token"?
                | {{ tokn }}
            p.yaml:18:17: "token" is a value that setup saves [name_taken]
              choose another name; the one of setup is the same in the whole run
                | token
            p.yaml:19:21: nothing is called "x" [unknown_name]
              known here: token, users, env, iteration, loop, now, rand, secret, uuid
                | {{ x }}
            p.yaml:19:36: "token" is a value that setup saves [name_taken]
              choose another name; the one of setup is the same in the whole run
                | token
        "#]],
    );
    check(
        "setup: []\nteardown: [ pause: 1s ]\nsetup_timeout: 5\nscenarios: { s: { steps: [ get: / ] } }\n",
        expect![[r#"
            p.yaml:5:8: there is no request in it [missing]
                | []
            p.yaml:6:11: there is no request in it [missing]
                | [ pause: 1s ]
            p.yaml:6:20: a pause stands between two requests [pause_without_effect]
              the first request's time is the schedule's
                | 1s ]
            p.yaml:7:16: setup_timeout needs a unit [missing_unit]
              write 5s or 5ms
                | 5
        "#]],
    );
    check(
        "variables: { a: 1 }\nsetup: [ { get: \"/{{ b }}\", name: x, save: { a: $.a, b: $.b } } ]\n\
         teardown: [ { get: /, save: { b: $.b } } ]\nscenarios: { s: { steps: [ { get: \"/{{ b }}{{ c }}\", name: x } ] } }\n\
         thresholds: [ 'p99 of \"GET /\" < 1s' ]\n",
        expect![[r#"
            p.yaml:6:19: "b" is saved only after it is used [used_before_saved]
              move the step that saves it before this one
                | {{ b }}
            p.yaml:6:46: "a" is a variable or data already [name_taken]
              choose another name
                | a
            p.yaml:7:31: "b" is a value that setup saves [name_taken]
              choose another name; the one of setup is the same in the whole run
                | b
            p.yaml:8:44: nothing is called "c" [unknown_name]
              known here: a, b, a, env, iteration, loop, now, rand, secret, uuid
                | {{ c }}
        "#]],
    );
    check(
        "setup: { steps: [ get: / ] }\nteardwon: [ get: / ]\nscenarios: { s: { steps: [ { get: /, timeout: \"{{ b }}\" } ] } }\n",
        expect![[r#"
            p.yaml:5:8: steps must be a list [wrong_kind]
                | { steps: [ get: / ] }
            p.yaml:6:1: a plan has no key "teardwon" [unknown_key]
              did you mean "teardown"?
                | teardwon
            p.yaml:7:48: nothing is called "b" [unknown_name]
              known here: env, iteration, loop, now, rand, secret, uuid
                | {{ b }}
        "#]],
    );
}
