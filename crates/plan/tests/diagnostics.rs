//! What is said of faulty plans: each test is a plan and what it is told.

use expect_test::{Expect, expect};

fn check(text: &str, expect: Expect) {
    let said = match plan::parse("p.yaml", text) {
        Ok(_) => "no fault\n".to_owned(),
        Err(faults) => faults.iter().map(|fault| format!("{fault}\n    | {}\n", fault.text)).collect(),
    };
    expect.assert_eq(&said);
}

/// A plan around one load.
fn check_load(load: &str, expect: Expect) {
    let text = format!(
        "version: 1\nname: p\ntarget: http://127.0.0.1\nscenarios: {{ s: {{ steps: [ get: / ] }} }}\nload:\n{load}"
    );
    check(&text, expect);
}

/// A plan around one step.
fn check_step(step: &str, expect: Expect) {
    let text = format!(
        "version: 1\nname: p\ntarget: http://127.0.0.1\nload: {{ model: avalanche, requests_per_driver: 1 }}\n\
         scenarios:\n  s:\n    steps:\n{step}"
    );
    check(&text, expect);
}

#[test]
fn all_faults_at_once() {
    check(
        r#"
version: 2
nmae: x
target: https://shop.example
seed: -1
load:
  model: tsunami
  requests_per_driver: 0
  delay: 20
  target_throughput_per_driver: 500
scenarios:
  browse:
    weight: many
    steps:
      - get: products
        tiemout: 5s
      - pst: /login
thresholds: [ p99 < 250ms ]
drain: 3 parsecs
on_driver_loss: redistribute
on_unready_driver: wait
"#,
        expect![[r#"
            p.yaml:2:1: a plan needs "name" [missing]
                | version: 2
            p.yaml:2:10: version 2 of the plan format is not known [unsupported_version]
              write `version: 1`
                | 2
            p.yaml:3:1: a plan has no key "nmae" [unknown_key]
              did you mean "name"?
                | nmae
            p.yaml:5:7: the seed cannot be negative [negative]
                | -1
            p.yaml:8:24: the number of requests must be at least 1 [zero]
                | 0
            p.yaml:9:10: the delay needs a unit [missing_unit]
              write 20s or 20ms
                | 20
            p.yaml:10:33: the target throughput needs a unit [missing_unit]
              write 500/s
                | 500
            p.yaml:13:13: the weight must be a whole number [not_a_number]
                | many
            p.yaml:15:14: a path starts with "/" [bad_path]
              write /products
                | products
            p.yaml:16:9: a step has no key "tiemout" [unknown_key]
              did you mean "timeout"?
                | tiemout
            p.yaml:17:9: a step has no key "pst" [unknown_key]
              did you mean "post"?
                | pst
            p.yaml:17:9: a step needs a method with its path [missing]
              write it like: get: /path
                | pst: /login
            p.yaml:19:8: the drain must be a time such as 30s [bad_duration]
              units are ns, us, ms, s, m, h and d
                | 3 parsecs
            p.yaml:20:17: the load of a lost driver cannot be redistributed here [not_for_this_model]
              avalanche, tsunami and a number of iterations know continue and abort
                | redistribute
            p.yaml:21:20: on_unready_driver cannot be "wait" [unknown_value]
              known here: fail, start_without
                | wait
        "#]],
    );
}

#[test]
fn the_plan_of_the_design_has_no_fault() {
    check(
        r#"version: 1
name: checkout-peak
target: http://127.0.0.1:8080          # or a list of base URLs: used in turn
seed: 7                                # the same plan and seed give the same times, data and choices

load:                                   # exactly one model
  model: open                           # arrivals by schedule, whatever the target does
  arrivals: poisson                     # or: uniform (default)
  stages:
    - { name: warmup, from: 0/s, to: 500/s, over: 30s, warmup: true }
    - { name: hold, at: 500/s, for: 5m }

data:
  users: { file: users.csv, pick: once }

scenarios:
  browse:
    weight: 80
    steps:
      - get: /api/products?page={{ rand.int(1, 50) }}
        name: GET /api/products
        expect: { status: 200, body_contains: "items", under: 2s }
  buy:
    weight: 20
    steps:
      - post: /api/login
        json: { user: "{{ users.name }}", password: "{{ secret.SHOP_PASSWORD }}" }
        save: { token: $.token }
      - pause: 1s..3s
      - post: /api/cart
        headers: { authorization: "Bearer {{ token }}" }

thresholds:
  - p99 < 250ms
"#,
        expect![[r#"
            no fault
        "#]],
    );
}

#[test]
fn unquoted_expressions() {
    check_step(
        "      - post: /\n        json: { user: {{ users.name }}, page: {{ rand.int(1, 50) }} }\n",
        expect![[r#"
        p.yaml:9:23: {{ }} without quotes is a map to YAML [unquoted_expression]
          quote it: "{{ … }}"
            | {{ users.name }}, page: {{ rand.int(1, 50) }} }
        p.yaml:9:47: {{ }} without quotes is a map to YAML [unquoted_expression]
          quote it: "{{ … }}"
            | {{ rand.int(1, 50) }} }
    "#]],
    );
    check_step(
        "      - get: /\n        headers: { authorization: Bearer {{ token }} }\n",
        expect![[r#"
        p.yaml:9:42: not YAML: while parsing a flow mapping, did not find expected ',' or '}' [syntax]
          a value with {{ }} must be quoted
            | headers: { authorization: Bearer {{ token }} }
    "#]],
    );
    check_step(
        "      - pause: {{ x }}s\n",
        expect![[r#"
        p.yaml:8:16: {{ }} without quotes is a map to YAML [unquoted_expression]
          quote it: "{{ … }}"
            | {{ x }}s
        p.yaml:8:23: not YAML: while parsing a block mapping, did not find expected key [syntax]
          a value with {{ }} must be quoted
            | - pause: {{ x }}s
    "#]],
    );
}

#[test]
fn what_is_no_plan() {
    check(
        "",
        expect![[r#"
        p.yaml:1:1: there is no plan in it [empty]
            | 
    "#]],
    );
    check(
        "# only a comment\n",
        expect![[r#"
        p.yaml:1:1: there is no plan in it [empty]
            | 
    "#]],
    );
    check(
        "just text",
        expect![[r#"
        p.yaml:1:1: a plan must be a map [wrong_kind]
            | just text
    "#]],
    );
    check(
        "- a\n- list\n",
        expect![[r#"
        p.yaml:1:1: a plan must be a map [wrong_kind]
            | - a
    "#]],
    );
    check(
        "{}",
        expect![[r#"
        p.yaml:1:1: a plan needs "version" [missing]
            | {}
        p.yaml:1:1: a plan needs "name" [missing]
            | {}
        p.yaml:1:1: a plan needs "target" [missing]
            | {}
        p.yaml:1:1: a plan needs "load" [missing]
            | {}
        p.yaml:1:1: a plan needs "scenarios" [missing]
            | {}
    "#]],
    );
    check(
        "name: [unclosed\n",
        expect![[r#"
        p.yaml:2:1: not YAML: while parsing a flow sequence, expected ',' or ']' [syntax]
            | 
    "#]],
    );
    check(
        "name: x\n\ttarget: y\n",
        expect![[r#"
            p.yaml:1:7: not YAML: while scanning a plain scalar, found a tab [syntax]
              YAML is indented with spaces, not with tabs
                | name: x
        "#]],
    );
    check(
        "version: 1\n---\nversion: 1\n",
        expect![[r#"
        p.yaml:2:1: a file holds one plan [several_documents]
          make several files of it
            | ---
    "#]],
    );
    check(
        &"#".repeat(300_000),
        expect![[r#"
            p.yaml:1:1: the plan has more than 256 KiB [too_large]
              make several plans of it
                | 
        "#]],
    );
    check(
        &"[".repeat(100),
        expect![[r#"
        p.yaml:1:33: nested deeper than 32 levels [too_deep]
            | [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[
    "#]],
    );
}

#[test]
fn yaml_that_plans_do_without() {
    check_load(
        "  model: &m avalanche\n  requests_per_driver: !!int 5\n  connections: *m\n  connections: 3\n  ? [a]\n  : b\n",
        expect![[r#"
            p.yaml:6:10: anchors are not part of a plan [anchor]
              write the value out where it is used
                | &m avalanche
            p.yaml:7:24: tags are not part of a plan [tag]
              quote what is meant as text
                | !!int 5
            p.yaml:8:16: aliases are not part of a plan [alias]
              write the value out
                | *m
            p.yaml:9:3: the key "connections" is there twice [duplicate_key]
                | connections
            p.yaml:10:5: a key is text [key_not_text]
                | [a]
        "#]],
    );
}

#[test]
fn steps() {
    check_step(
        "      - {}\n      - name: x\n      - { get: /, post: / }\n      - { get: /, pause: 1s }\n",
        expect![[r#"
        p.yaml:8:9: a step needs a method with its path [missing]
          write it like: get: /path
            | {}
        p.yaml:9:9: a step needs a method with its path [missing]
          write it like: get: /path
            | name: x
        p.yaml:10:9: a step has one method [several_requests]
          make several steps of it
            | { get: /, post: / }
        p.yaml:11:19: a pause is an item of its own [pause_in_request]
          write `- pause: 1s` before the step
            | pause
    "#]],
    );
    check_step(
        "      - get: http://other/\n      - get: x y\n      - get: /a#b\n      - get:\n",
        expect![[r#"
        p.yaml:8:14: a step with a URL of its own is not supported in this version [unsupported_absolute_url]
          a path is appended to the plan's target
            | http://other/
        p.yaml:9:14: a path starts with "/" [bad_path]
          write /x y
            | x y
        p.yaml:10:14: a fragment (#…) is never sent [bad_path]
          leave it out, or write %23
            | /a#b
        p.yaml:11:9: "get" has no value [missing]
            | get
    "#]],
    );
    check_step(
        "      - pause: 1s\n      - get: /\n      - pause: 5\n      - get: /\n      - pause: 1s\n",
        expect![[r#"
            p.yaml:8:16: a pause stands between two requests [pause_without_effect]
              the first request's time is the schedule's
                | 1s
            p.yaml:10:16: the pause needs a unit [missing_unit]
              write 5s or 5ms
                | 5
            p.yaml:12:16: a pause stands between two requests [pause_without_effect]
              nothing follows this one
                | 1s
        "#]],
    );
    check_step(
        "      - pause: 1s\n",
        expect![[r#"
            p.yaml:8:7: there is no request in it [missing]
                | - pause: 1s
            p.yaml:8:16: a pause stands between two requests [pause_without_effect]
              the first request's time is the schedule's
                | 1s
        "#]],
    );
    check_step(
        "      - post: /\n        body: x\n        json: {}\n        timeout: 2h\n        expect: { status: [200, 2x, 700..800] }\n",
        expect![[r#"
            p.yaml:10:9: a request has one body: body, json, form, multipart or file [several_bodies]
                | json
            p.yaml:11:18: the timeout can be at most 1h [absurd]
                | 2h
            p.yaml:12:33: a status is 100 to 599 [bad_status]
              write 200, 2xx or 200..299
                | 2x
            p.yaml:12:37: a status is 100 to 599 [bad_status]
              write 200, 2xx or 200..299
                | 700..800
        "#]],
    );
    check_step(
        "      - get: /\n        headers: { Host: a, \"b c\": d, e: \"f\\ng\", h: 1, H: 2, i: [] }\n        query: { a: { b: c } }\n        json: .inf\n",
        expect![[r#"
            p.yaml:9:20: the header "Host" is written by the engine [reserved_header]
              leave it out
                | Host
            p.yaml:9:29: "b c" is no name of a header [bad_header]
                | b c
            p.yaml:9:42: a header's value stands on one line [bad_header]
                | f
            p.yaml:9:56: the header "H" is there twice [duplicate_key]
                | H
            p.yaml:9:65: a header's value must be text [wrong_kind]
                | [] }
            p.yaml:10:21: "a" must be text [wrong_kind]
                | { b: c } }
            p.yaml:11:15: .inf is no number that JSON has [not_json]
              write it in quotes if text is meant
                | .inf
        "#]],
    );
    check_step(
        "      - get: /\n        save: { a: b }\n        when: c\n        follow_redirects: true\n        multipart: {}\n        file: x\n",
        expect![[r#"
            p.yaml:9:20: "b" does not say where the value is [bad_source]
              write a JSONPath such as $.token, or header:, regex: or css: before what is meant
                | b
            p.yaml:10:15: nothing is called "c" [unknown_name]
              known here: a, env, iteration, loop, now, rand, secret, uuid
                | c
            p.yaml:13:9: a request has one body: body, json, form, multipart or file [several_bodies]
                | file
        "#]],
    );
}

#[test]
fn scenarios() {
    let head = "version: 1\nname: \" \"\ntarget: []\nload: { model: avalanche, requests_per_driver: 1 }\n";
    check(
        &format!("{head}scenarios: {{}}\n"),
        expect![[r#"
        p.yaml:2:7: the plan's name is empty [missing]
            |  
        p.yaml:3:9: a plan has at least one target [missing]
            | []
        p.yaml:5:12: a plan has at least one scenario [missing]
            | {}
    "#]],
    );
    check(
        &format!("{head}scenarios: {{ a: {{ weight: 0 }}, b: {{ steps: [] }}, c: }}\n"),
        expect![[r#"
            p.yaml:2:7: the plan's name is empty [missing]
                |  
            p.yaml:3:9: a plan has at least one target [missing]
                | []
            p.yaml:5:17: a scenario needs "steps" [missing]
                | { weight: 0 }, b: { steps: [] }, c: }
            p.yaml:5:27: the weight must be at least 1 [zero]
                | 0
            p.yaml:5:44: there is no request in it [missing]
                | [] }, c: }
            p.yaml:5:51: a scenario must be a map [wrong_kind]
                | 
        "#]],
    );
}

#[test]
fn targets() {
    for (target, expect) in [
        (
            "127.0.0.1:8080",
            expect![[r#"
            p.yaml:3:9: the target must be a URL [bad_target]
              write it like http://127.0.0.1:8080
                | 127.0.0.1:8080
        "#]],
        ),
        (
            "ftp://host",
            expect![[r#"
                p.yaml:3:9: the target's scheme must be http or https [bad_target]
                  write it like http://127.0.0.1:8080
                    | ftp://host
            "#]],
        ),
        (
            "https://host",
            expect![[r#"
                no fault
            "#]],
        ),
        (
            "http://",
            expect![[r#"
            p.yaml:3:9: the target's host is neither a name nor an address [bad_target]
              write it like http://127.0.0.1:8080
                | http://
        "#]],
        ),
        (
            "http://a b/",
            expect![[r#"
            p.yaml:3:9: the target's host is neither a name nor an address [bad_target]
              write it like http://127.0.0.1:8080
                | http://a b/
        "#]],
        ),
        (
            "http://host:0",
            expect![[r#"
            p.yaml:3:9: the target's port must be 1 to 65535 [bad_target]
              write it like http://127.0.0.1:8080
                | http://host:0
        "#]],
        ),
        (
            "http://host:99999",
            expect![[r#"
            p.yaml:3:9: the target's port must be 1 to 65535 [bad_target]
              write it like http://127.0.0.1:8080
                | http://host:99999
        "#]],
        ),
        (
            "http://me:secret@host",
            expect![[r#"
            p.yaml:3:9: the target cannot hold a user or a password [bad_target]
              write it like http://127.0.0.1:8080
                | http://me:secret@host
        "#]],
        ),
        (
            "http://[::1",
            expect![[r#"
            p.yaml:3:9: the target's address lacks its "]" [bad_target]
              write it like http://127.0.0.1:8080
                | http://[::1
        "#]],
        ),
        (
            "http://host/?a=b",
            expect![[r#"
            p.yaml:3:9: a target is a base URL, without a query [bad_target]
              put the query into the steps
                | http://host/?a=b
        "#]],
        ),
    ] {
        let text = format!(
            "version: 1\nname: p\ntarget: \"{target}\"\nload: {{ model: avalanche, requests_per_driver: 1 }}\n\
             scenarios: {{ s: {{ steps: [ get: / ] }} }}\n"
        );
        check(&text, expect);
    }
}

#[test]
fn more_than_a_thousand_step_names() {
    let steps: String = (0..1001).map(|i| format!("      - get: /{i}\n")).collect();
    check_step(
        &steps,
        expect![[r#"
        p.yaml:1008:9: more than 1000 step names in one run [too_many_step_names]
          give steps a common name
            | get: /1000
    "#]],
    );
}

#[test]
fn a_hostile_file_gets_no_more_than_its_share() {
    let text = format!("[{}]", "&a [], ".repeat(30_000));
    assert_eq!(plan::parse("p.yaml", &text).unwrap_err().len(), plan::limits::DIAGNOSTICS);
}
