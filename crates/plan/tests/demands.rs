//! Which answers are as demanded, and requests that cannot be made.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::time::Duration;

use plan::{Answer, EvaluateError, Plan, Scope, Value};

/// An iteration that has saved one value.
struct Here(Value<'static>);

impl Scope for Here {
    fn saved(&self, _slot: u16) -> &Value<'static> {
        &self.0
    }

    fn cell(&self, _source: u16, _column: u16) -> Result<Value<'_>, EvaluateError> {
        Err(EvaluateError::Absent)
    }

    fn draw(&self) -> u64 {
        0
    }
}

/// A plan whose second step has these keys, and whose first saves `it`.
fn step(keys: &str) -> Plan {
    let text = format!(
        "version: 1\nname: p\ntarget: http://h\nload: {{ model: avalanche, requests_per_driver: 1 }}\n\
         scenarios: {{ s: {{ steps: [ {{ get: /, save: {{ it: $.it }} }}, {{ get: /, {keys} }} ] }} }}\n"
    );
    plan::parse("p.yaml", &text).unwrap_or_else(|faults| panic!("{}", faults[0]))
}

/// Whether `body` is as demanded where `it` is "sale".
fn holds(demand: &str, body: &str) -> bool {
    let plan = step(&format!("expect: {{ json: {{ {demand} }} }}"));
    let no_header = |_: &str| None;
    let answer =
        Answer { status: 200, header: &no_header, body: body.as_bytes(), response_time: Duration::ZERO };
    let here = Here(Value::Text("sale".into()));
    plan.scenarios[0].steps[1].expect.checks.iter().all(|check| check.holds(&answer, &here))
}

#[test]
fn values_in_json() {
    let body = r#"{ "a": 5, "n": null, "text": "a sale today", "tags": ["new", "sale", 5], "o": { "is": 5, "b": [1] } }"#;
    for demand in [
        "$.a: 5",
        "$.a: { is: 5 }",
        "$.n: null",
        "$.n: { is: null }",
        "$.o: { is: { is: 5, b: [ 1 ] } }",
        "$.text: { contains: sale }",
        "$.text: { contains: \"{{ it }}\" }",
        "$.tags: { contains: \"{{ it }}\" }",
        "$.tags: { contains: 5 }",
        "$.tags: [ new, sale, 5 ]",
        "$.text: { matches: \"^a .* today$\" }",
        "$.a: { exists: true }",
        "$.gone: { exists: false }",
    ] {
        assert!(holds(demand, body), "{demand}");
    }
    for demand in [
        "$.a: { is: 6 }",
        "$.a: { contains: 5 }",
        "$.n: { contains: null }",
        "$.o: { contains: 5 }",
        "$.text: { contains: 5 }",
        "$.tags: { contains: sal }",
        "$.gone: { is: null }",
        "$.gone: { contains: a }",
        "$.a: { exists: false }",
    ] {
        assert!(!holds(demand, body), "{demand}");
    }
}

#[test]
fn a_users_name_that_varies_has_no_colon() {
    let plan = step("auth: { basic: { user: \"{{ it }}\", password: \"c:d\" } }");
    let value = |it: &'static str| {
        let (_, template) = &plan.scenarios[0].steps[1].headers[0];
        let mut text = String::new();
        template.write(&Here(Value::Text(it.into())), &mut text).map(|()| text)
    };
    assert_eq!(value("ab"), Ok("Basic YWI6Yzpk".to_owned()));
    assert_eq!(value("a:b"), Err(EvaluateError::Colon));
}
