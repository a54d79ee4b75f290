//! What is submitted with a plan: its included files, variables that are set anew, the environment.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use plan::{Diagnostic, Given, Plan};

const HEAD: &str =
    "version: 1\nname: p\ntarget: http://h\nload: { model: open, stages: [ { at: 1/s, for: 1m } ] }\n";

fn told(faults: &[Diagnostic]) -> String {
    faults.iter().map(|fault| format!("{fault}\n    | {}\n", fault.text)).collect()
}

fn sound(parsed: Result<Plan, Vec<Diagnostic>>) -> Plan {
    parsed.unwrap_or_else(|faults| panic!("{}", told(&faults)))
}

/// A plan of these steps, with what is given to it; its environment has `HOST` and `TIMES`.
fn submit(rest: &str, variables: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Plan, Vec<Diagnostic>> {
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let files: BTreeMap<&str, &str> = files.iter().copied().collect();
    let env = |name: &str| match name {
        "HOST" => Some("eu-1".to_owned()),
        "TIMES" => Some("3".to_owned()),
        _ => None,
    };
    let include =
        |path: &str| files.get(path).map(|text| (*text).to_owned()).ok_or_else(|| "there is none".to_owned());
    let given = Given { target: None, variables: &variables, env: &env, include: &include };
    plan::submit("p.yaml", &format!("{HEAD}{rest}"), &given)
}

#[test]
fn the_environment_is_taken_wherever_an_expression_names_it() {
    let steps = [
        "get: /, when: env.HOST == 'eu-1'",
        "get: /, when: \"env['HOST'] == 'eu-1'\"",
        "get: /, when: env . HOST == 'eu-1'",
        "get: /, headers: { x: \"{{ env['HOST'] }}, {{ env .HOST }}\" }",
        "get: /, query: { \"{{ env.HOST }}\": 1 }",
        "while: env.HOST == '', at_most: 3, steps: [ get: / ]",
        "for_each: env.HOST, as: x, steps: [ get: / ]",
        "repeat: env.TIMES, steps: [ get: / ]",
    ];
    for step in steps {
        let plan = sound(submit(&format!("scenarios: {{ s: {{ steps: [ {{ {step} }} ] }} }}\n"), &[], &[]));
        assert!(plan.source.contains("\"env\":{\""), "{step}: {}", plan.source);
    }
}

#[test]
fn the_environment_stays_where_no_expression_names_it() {
    for value in ["env.HOST", "{{ 'env.HOST' }}", "{{ iteration }} env.HOST", "{{ user.env.HOST }}"] {
        let steps = format!("[ {{ get: /, save: {{ user: $.u }} }}, {{ post: /, body: \"{value}\" }} ]");
        let plan = sound(submit(&format!("scenarios: {{ s: {{ steps: {steps} }} }}\n"), &[], &[]));
        assert!(!plan.source.contains("eu-1"), "{value}: {}", plan.source);
    }
}

/// A plan with variables, `v` among them, and the body that a request makes of `v`.
fn body(variables: &str, given: &[(&str, &str)], files: &[(&str, &str)]) -> String {
    let rest = format!(
        "{variables}\nscenarios: {{ s: {{ steps: [ {{ post: /, json: {{ v: \"{{{{ v }}}}\" }} }} ] }} }}\n"
    );
    match submit(&rest, given, files) {
        Ok(plan) => match &plan.scenarios[0].steps[0].body {
            plan::Body::Text(text) => text.to_string(),
            other => format!("{other:?}"),
        },
        Err(faults) => told(&faults),
    }
}

#[test]
fn values_of_var_are_read_as_those_in_the_file() {
    for value in [
        "20",
        "2.50",
        "-0.5",
        "1e3",
        "0x1F",
        "01234",
        "true",
        "null",
        "text",
        "5s",
        "\"01234\"",
        "'a b'",
        "[1, two, \"3\"]",
        "{a: 1, \"b\": [x]}",
        "[]",
        "{}",
        "http://h/#a",
        "{{ env.HOST }}",
        "\"x {{ env.HOST }}\"",
    ] {
        let quoted = if value.starts_with("{{") { format!("\"{value}\"") } else { value.to_owned() };
        let in_file = body(&format!("variables: {{ w: 0, v: {quoted} }}"), &[], &[]);
        let given = body("variables: { w: 0, v: 0 }", &[("v", value)], &[]);
        assert_eq!(given, in_file, "{value}");
        assert!(given.starts_with("{\"v\":"), "{given}");
    }
    // What a shell's user would not think to quote.
    for value in ["", "Hello: you", "- a", "a # b", "*a", "a\nb: c", "@a", "50%"] {
        let given = body("variables: { v: 0 }", &[("v", value)], &[]);
        assert_eq!(given, format!("{{\"v\":{}}}", serde_json::Value::from(value)));
    }
}

#[test]
fn faults_in_values_of_var_have_their_place() {
    let given = |value: &str| body("variables: { v: 0 }", &[("v", value)], &[]);
    expect![[r#"
        --var v:2:1: not YAML: while parsing a flow sequence, expected ',' or ']' [syntax]
            | 
        --var v:1:5: not YAML: invalid trailing content after double-quoted scalar [syntax]
            | "a" b
        --var v:1:5: {{ }} without quotes is a map to YAML [unquoted_expression]
          quote it: "{{ … }}"
            | {{ x }}}
        p.yaml:5:14: nothing is called "nobody" [unknown_name]
          known here: env, iteration, loop, now, rand, secret, uuid
            | {{ nobody }}
    "#]]
    .assert_eq(&[given("[1, 2"), given("\"a\" b"), given("{a: {{ x }}}"), given("{{ nobody }}")].concat());
}

#[test]
fn variables_of_included_files_come_first() {
    let files = [
        ("a.yaml", "include: [ deep/b.yaml ]\nvariables: { a: \"{{ b }}-a\" }\n"),
        ("deep/b.yaml", "variables: { b: b, b2: \"{{ b }}{{ b }}\" }\n"),
        ("c.yaml", "include: [ deep/b.yaml ]\nvariables: { c: \"{{ a }}-{{ b2 }}-c\" }\n"),
    ];
    let including = "include: [ a.yaml, c.yaml ]\nvariables: { v: \"{{ c }}-v\" }";
    assert_eq!(body(including, &[], &files), "{\"v\":\"b-a-bb-c-v\"}");
    assert_eq!(body(including, &[("b", "x")], &files), "{\"v\":\"x-a-xx-c-v\"}");
}

const INCLUDING: &str = r#"
version: 1
name: p
include: [ shared/shop.yaml ]
variables: { size: 20, list: [ 1, "two", null, 2.50, true ], text: "007", region: "{{ env.REGION }}" }
target: http://h
load: { model: open, stages: [ { at: "{{ rate }}", for: 1m } ] }
scenarios:
  s:
    steps:
      - use: sign_in
      - post: "/{{ region }}/{{ text }}"
        name: all
        json: { size: "{{ size }}", list: "{{ list }}", env: "{{ env.OTHER }}", row: "{{ users.name }}" }
"#;

const SHARED: &str = "variables: { rate: 5/s }\ndata: { users: { file: users.csv } }\nfragments:\n  sign_in:\n    - post: /login\n      save: { token: $.token }\n";

/// All of a plan but where in the text things stand.
fn without_places(plan: &Plan) -> String {
    let text = format!("{plan:?}");
    let is_place = |part: &&str| part.starts_with("line: ") || part.starts_with("column: ");
    text.split(", ").filter(|part| !is_place(part)).collect::<Vec<_>>().join(", ")
}

/// What was submitted reads from its own source as the same plan.
fn check_submitted(variables: &[(&str, &str)], target: Option<&str>, expect: Expect) {
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let env = |name: &str| Some(format!("<{name} \"{{{{ }}}}\">"));
    let include =
        |path: &str| if path == "shared/shop.yaml" { Ok(SHARED.to_owned()) } else { Err("none".to_owned()) };
    let given = Given { target, variables: &variables, env: &env, include: &include };
    let submitted = sound(plan::submit("p.yaml", INCLUDING, &given));
    let again = sound(plan::parse("p.yaml", &submitted.source));
    assert_eq!(again.source, submitted.source);
    assert_eq!(without_places(&again), without_places(&submitted));
    expect.assert_eq(&format!("{}\n", submitted.source));
}

#[test]
fn what_is_submitted_is_one_plan() {
    check_submitted(
        &[],
        None,
        expect![[r#"
            {"version":1,"name":"p","variables":{"rate":"5/s","size":20,"list":[1,"two",null,2.50,true],"text":"007","region":"{{ env.REGION }}"},"target":"http://h","load":{"model":"open","stages":[{"at":"{{ rate }}","for":"1m"}]},"scenarios":{"s":{"steps":[{"use":"sign_in"},{"post":"/{{ region }}/{{ text }}","name":"all","json":{"size":"{{ size }}","list":"{{ list }}","env":"{{ env.OTHER }}","row":"{{ users.name }}"}}]}},"data":{"users":{"file":"users.csv"}},"fragments":{"sign_in":[{"post":"/login","save":{"token":"$.token"}}]},"env":{"OTHER":"<OTHER \"{{ }}\">","REGION":"<REGION \"{{ }}\">"}}
        "#]],
    );
}

#[test]
fn what_is_given_is_in_it() {
    check_submitted(
        &[("size", "50"), ("text", "a \"b\" {{ uuid }}"), ("rate", "7/s")],
        Some("http://other"),
        expect![[r#"
            {"version":1,"name":"p","variables":{"rate":"7/s","size":50,"list":[1,"two",null,2.50,true],"text":"a \"b\" {{ uuid }}","region":"{{ env.REGION }}"},"target":"http://other","load":{"model":"open","stages":[{"at":"{{ rate }}","for":"1m"}]},"scenarios":{"s":{"steps":[{"use":"sign_in"},{"post":"/{{ region }}/{{ text }}","name":"all","json":{"size":"{{ size }}","list":"{{ list }}","env":"{{ env.OTHER }}","row":"{{ users.name }}"}}]}},"data":{"users":{"file":"users.csv"}},"fragments":{"sign_in":[{"post":"/login","save":{"token":"$.token"}}]},"env":{"OTHER":"<OTHER \"{{ }}\">","REGION":"<REGION \"{{ }}\">"}}
        "#]],
    );
}

#[test]
fn a_plan_to_which_nothing_is_added_stays_as_it_is() {
    let text = format!("{HEAD}scenarios: {{ s: {{ steps: [ get: / ] }} }} # and its comment\n");
    let none = |_: &str| None;
    let include = |_: &str| Err("none".to_owned());
    let given = Given { target: None, variables: &[], env: &none, include: &include };
    assert_eq!(sound(plan::submit("p.yaml", &text, &given)).source, text);
}
