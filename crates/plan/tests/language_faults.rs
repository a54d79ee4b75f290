//! What is said of faults in the keys of the language: misspelt, twice, of the wrong kind, without a unit, out of range, and
//! at odds with each other.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use expect_test::{Expect, expect};

const HEAD: &str =
    "version: 1\nname: p\ntarget: http://h\nload: { model: open, stages: [ { at: 1/s, for: 1m } ] }\n";

fn said<T>(parsed: Result<T, Vec<plan::Diagnostic>>) -> String {
    match parsed {
        Ok(_) => "no fault\n".to_owned(),
        Err(faults) => faults.iter().map(|fault| format!("{fault}\n    | {}\n", fault.text)).collect(),
    }
}

/// A plan with these keys; its first line is 5.
fn check(rest: &str, expect: Expect) {
    expect.assert_eq(&said(plan::parse("p.yaml", &format!("{HEAD}{rest}"))));
}

/// A plan around steps, from line 8 on.
fn check_steps(steps: &str, expect: Expect) {
    let lines: String = steps.lines().map(|line| format!("      {line}\n")).collect();
    check(&format!("scenarios:\n  s:\n    steps:\n{lines}"), expect);
}

const ONE: &str = "scenarios: { s: { steps: [ get: / ] } }\n";

#[test]
fn misspelt_keys() {
    check(
        "variabels: { a: 1 }\nfragment: {}\nincludes: [ a ]\nauht: {}\nscenarios:\n  s:\n    tag: [ a ]\n    aut: {}\n    steps:\n      - get: /\n",
        expect![[r#"
            p.yaml:5:1: a plan has no key "variabels" [unknown_key]
              did you mean "variables"?
                | variabels
            p.yaml:6:1: a plan has no key "fragment" [unknown_key]
              did you mean "fragments"?
                | fragment
            p.yaml:7:1: a plan has no key "includes" [unknown_key]
              did you mean "include"?
                | includes
            p.yaml:8:1: a plan has no key "auht" [unknown_key]
              did you mean "auth"?
                | auht
            p.yaml:11:5: a scenario has no key "tag" [unknown_key]
              did you mean "tags"?
                | tag
            p.yaml:12:5: a scenario has no key "aut" [unknown_key]
              did you mean "auth"?
                | aut
        "#]],
    );
    check_steps(
        "- get: /\n  saves: {}\n  expct: {}\n  max_bdy: 1KiB\n  tag: a\n  auths: {}\n  wen: true\n  multpart: {}\n  fle: a\n- puase: 1s\n- grup: a\n  steps: [ get: / ]\n- repet: 3\n  steps: [ get: / ]\n- whle: true\n  at_most: 3\n  steps: [ get: / ]\n- for_eech: a\n  as: b\n  steps: [ get: / ]\n- us: a\n",
        expect![[r#"
            p.yaml:9:9: a step has no key "saves" [unknown_key]
              did you mean "save"?
                | saves
            p.yaml:10:9: a step has no key "expct" [unknown_key]
              did you mean "expect"?
                | expct
            p.yaml:11:9: a step has no key "max_bdy" [unknown_key]
              did you mean "max_body"?
                | max_bdy
            p.yaml:12:9: a step has no key "tag" [unknown_key]
              did you mean "tags"?
                | tag
            p.yaml:13:9: a step has no key "auths" [unknown_key]
              did you mean "auth"?
                | auths
            p.yaml:14:9: a step has no key "wen" [unknown_key]
              did you mean "when"?
                | wen
            p.yaml:15:9: a step has no key "multpart" [unknown_key]
              did you mean "multipart"?
                | multpart
            p.yaml:16:9: a step has no key "fle" [unknown_key]
              did you mean "file"?
                | fle
            p.yaml:17:9: a step has no key "puase" [unknown_key]
              did you mean "pause"?
                | puase
            p.yaml:17:9: a step needs a method with its path [missing]
              write it like: get: /path
                | puase: 1s
            p.yaml:18:9: a step has no key "grup" [unknown_key]
              did you mean "group"?
                | grup
            p.yaml:18:9: nothing says what these steps are [missing]
              write group, repeat, while, for_each or when beside them
                | grup: a
            p.yaml:20:9: a step has no key "repet" [unknown_key]
              did you mean "repeat"?
                | repet
            p.yaml:20:9: nothing says what these steps are [missing]
              write group, repeat, while, for_each or when beside them
                | repet: 3
            p.yaml:22:9: a step has no key "whle" [unknown_key]
              did you mean "while"?
                | whle
            p.yaml:22:9: nothing says what these steps are [missing]
              write group, repeat, while, for_each or when beside them
                | whle: true
            p.yaml:25:9: a step has no key "for_eech" [unknown_key]
              did you mean "for_each"?
                | for_eech
            p.yaml:25:9: nothing says what these steps are [missing]
              write group, repeat, while, for_each or when beside them
                | for_eech: a
            p.yaml:28:9: a step has no key "us" [unknown_key]
              did you mean "as"?
                | us
            p.yaml:28:9: a step needs a method with its path [missing]
              write it like: get: /path
                | us: a
        "#]],
    );
    check_steps(
        "- group: a\n  stpes: [ get: / ]\n- while: true\n  at_mots: 3\n  steps: [ get: / ]\n- for_each: a\n  ass: b\n  steps: [ get: / ]\n- use: a\n  with: b\n- pause: { nromal: 1s, stdev: 1s }\n",
        expect![[r#"
            p.yaml:8:9: a group needs "steps" [missing]
                | group: a
            p.yaml:9:9: a group has no key "stpes" [unknown_key]
              did you mean "steps"?
                | stpes
            p.yaml:10:9: a loop needs "at_most" [missing]
                | while: true
            p.yaml:11:9: a loop has no key "at_mots" [unknown_key]
              did you mean "at_most"?
                | at_mots
            p.yaml:13:9: a loop needs "as" [missing]
                | for_each: a
            p.yaml:13:19: nothing is called "a" [unknown_name]
              known here: env, iteration, loop, now, rand, secret, uuid
                | a
            p.yaml:14:9: a loop has no key "ass" [unknown_key]
              did you mean "as"?
                | ass
            p.yaml:16:14: there is no fragment "a" [unknown_fragment]
                | a
            p.yaml:17:9: the use of a fragment has no key "with" [unknown_key]
              known here: use
                | with
            p.yaml:18:16: a pause has one distribution [bad_range]
              write { normal: 2s, stddev: 500ms } or { exponential: 2s }
                | { nromal: 1s, stdev: 1s }
            p.yaml:18:18: a pause has no key "nromal" [unknown_key]
              did you mean "normal"?
                | nromal
            p.yaml:18:30: a pause has no key "stdev" [unknown_key]
              did you mean "stddev"?
                | stdev
        "#]],
    );
    check_steps(
        "- get: /\n  save: { a: { jsn: $.a, defalt: 1 } }\n  expect: { statsu: 200, haeders: {}, body_contain: x, undr: 1s, headers: { a: { contain: x } } }\n  auth: { bearr: a }\n- post: /\n  multipart: { a: { fiel: b, tpye: c } }\n- post: /\n  auth: { basic: { usr: a, pasword: b } }\n",
        expect![[r#"
            p.yaml:9:20: it does not say where the value is [missing]
              write json:, header:, regex: or css:
                | { jsn: $.a, defalt: 1 } }
            p.yaml:9:22: a saved value has no key "jsn" [unknown_key]
              did you mean "json"?
                | jsn
            p.yaml:9:32: a saved value has no key "defalt" [unknown_key]
              did you mean "default"?
                | defalt
            p.yaml:10:19: expect has no key "statsu" [unknown_key]
              did you mean "status"?
                | statsu
            p.yaml:10:32: expect has no key "haeders" [unknown_key]
              did you mean "headers"?
                | haeders
            p.yaml:10:45: expect has no key "body_contain" [unknown_key]
              did you mean "body_contains"?
                | body_contain
            p.yaml:10:62: expect has no key "undr" [unknown_key]
              did you mean "under"?
                | undr
            p.yaml:10:86: a demand says one thing [one_demand]
              write one of is, contains, matches, exists
                | { contain: x } } }
            p.yaml:10:88: a demand has no key "contain" [unknown_key]
              did you mean "contains"?
                | contain
            p.yaml:11:15: auth is basic, bearer or aws [missing]
              write auth: { bearer: "{{ token }}" }
                | { bearr: a }
            p.yaml:11:17: auth has no key "bearr" [unknown_key]
              did you mean "bearer"?
                | bearr
            p.yaml:13:25: a part has a file or a text [missing]
                | { fiel: b, tpye: c } }
            p.yaml:13:27: a part has no key "fiel" [unknown_key]
              did you mean "file"?
                | fiel
            p.yaml:13:36: a part has no key "tpye" [unknown_key]
              did you mean "type"?
                | tpye
            p.yaml:15:24: basic needs "user" [missing]
                | { usr: a, pasword: b } }
            p.yaml:15:24: basic needs "password" [missing]
                | { usr: a, pasword: b } }
            p.yaml:15:26: basic has no key "usr" [unknown_key]
              did you mean "user"?
                | usr
            p.yaml:15:34: basic has no key "pasword" [unknown_key]
              did you mean "password"?
                | pasword
        "#]],
    );
}

#[test]
fn keys_that_stand_twice() {
    check_steps(
        "- get: /\n  save: { a: $.a, a: $.b }\n  save: { b: $.b }\n  expect: { under: 1s, under: 2s }\n- pause: 1s\n  pause: 2s\n- group: a\n  group: b\n  steps: [ get: / ]\n",
        expect![[r#"
            p.yaml:9:25: the key "a" is there twice [duplicate_key]
                | a
            p.yaml:10:9: the key "save" is there twice [duplicate_key]
                | save
            p.yaml:11:30: the key "under" is there twice [duplicate_key]
                | under
            p.yaml:13:9: the key "pause" is there twice [duplicate_key]
                | pause
            p.yaml:15:9: the key "group" is there twice [duplicate_key]
                | group
        "#]],
    );
    check(
        &format!("variables: {{ a: 1, a: 2 }}\nfragments: {{ a: [ get: / ], a: [ get: / ] }}\n{ONE}"),
        expect![[r#"
            p.yaml:5:20: the key "a" is there twice [duplicate_key]
                | a
            p.yaml:6:29: the key "a" is there twice [duplicate_key]
                | a
        "#]],
    );
}

#[test]
fn values_of_the_wrong_kind() {
    check(
        "variables: [ a ]\nfragments: { a: {}, b: [], c: 7 }\nauth: bearer\nscenarios:\n  s:\n    tags: a\n    steps:\n      - get: /\n",
        expect![[r#"
            p.yaml:5:12: variables must be a map [wrong_kind]
                | [ a ]
            p.yaml:6:17: a fragment must be a list [wrong_kind]
                | {}, b: [], c: 7 }
            p.yaml:6:21: there are no steps in it [missing]
                | b
            p.yaml:6:31: a fragment must be a list [wrong_kind]
                | 7
            p.yaml:7:7: auth must be a map [wrong_kind]
                | bearer
            p.yaml:10:11: tags must be a list [wrong_kind]
                | a
        "#]],
    );
    check_steps(
        "- get: /\n  save: $.a\n  expect: 200\n  tags: a\n  auth: a\n- post: /a\n  multipart: a\n- post: /b\n  multipart: {}\n- post: /c\n  file: [ a ]\n- group: [ a ]\n  steps: [ get: / ]\n- repeat: [ 3 ]\n  steps: [ get: / ]\n- repeat: 3\n  steps: { get: / }\n- use: { a: 1 }\n- pause: [ 1s ]\n- get: /d\n  when: { a: 1 }\n",
        expect![[r#"
            p.yaml:9:15: save must be a map [wrong_kind]
                | $.a
            p.yaml:10:17: expect must be a map [wrong_kind]
                | 200
            p.yaml:11:15: tags must be a list [wrong_kind]
                | a
            p.yaml:12:15: auth must be a map [wrong_kind]
                | a
            p.yaml:14:20: the multipart body must be a map [wrong_kind]
                | a
            p.yaml:16:20: a multipart body has at least one part [missing]
                | {}
            p.yaml:18:15: the file must be text [wrong_kind]
                | [ a ]
            p.yaml:19:16: the group's name must be text [wrong_kind]
                | [ a ]
            p.yaml:21:17: how often must be a whole number [wrong_kind]
                | [ 3 ]
            p.yaml:24:16: steps must be a list [wrong_kind]
                | { get: / }
            p.yaml:25:14: the fragment's name must be text [wrong_kind]
                | { a: 1 }
            p.yaml:26:16: the pause must be text [wrong_kind]
                | [ 1s ]
            p.yaml:28:15: the condition must be text [wrong_kind]
                | { a: 1 }
        "#]],
    );
    check_steps(
        "- get: /\n  save: {}\n- get: /\n  save: { a: 7, b: [ $.a ], c: null }\n  expect: { headers: [ a ], json: [ a ], body_contains: { a: 1 }, size: [ 1 ], under: {} }\n",
        expect![[r#"
            p.yaml:9:15: nothing is saved [missing]
                | {}
            p.yaml:11:20: "7" does not say where the value is [bad_source]
              write a JSONPath such as $.token, or header:, regex: or css: before what is meant
                | 7
            p.yaml:11:26: what is saved must be text [wrong_kind]
                | [ $.a ], c: null }
            p.yaml:11:38: what is saved must be text [wrong_kind]
                | null
            p.yaml:12:28: the expected headers must be a map [wrong_kind]
                | [ a ], json: [ a ], body_contains: { a: 1 }, size: [ 1 ], under: {} }
            p.yaml:12:41: the expected JSON must be a map [wrong_kind]
                | [ a ], body_contains: { a: 1 }, size: [ 1 ], under: {} }
            p.yaml:12:63: the text must be text [wrong_kind]
                | { a: 1 }, size: [ 1 ], under: {} }
            p.yaml:12:79: the size must be text [wrong_kind]
                | [ 1 ], under: {} }
            p.yaml:12:93: the response time must be text [wrong_kind]
                | {} }
        "#]],
    );
}

#[test]
fn units_and_ranges() {
    check_steps(
        "- get: /\n- pause: 5\n- pause: 1..3s\n- pause: 3s..1s\n- pause: 2h\n- pause: -1s\n- pause: { normal: 2, stddev: 500ms }\n- pause: { normal: 2s }\n- pause: { normal: 2s, exponential: 1s }\n- pause: { exponential: 2s, stddev: 1s }\n- pause: \"{{ size }}\"\n- get: /\n  max_body: 10\n  expect: { under: 5, size: 10, body_contains: x }\n- get: /\n  max_body: 1GiB\n  expect: { size: 2KiB..1KiB, under: 2h, status: [ 600, 20x, 300..200 ] }\n- get: /\n  max_body: 1MiB\n",
        expect![[r#"
            p.yaml:9:16: the pause needs a unit [missing_unit]
              write 5s or 5ms
                | 5
            p.yaml:10:16: the pause needs a unit [missing_unit]
              write 1s or 1ms
                | 1..3s
            p.yaml:11:16: the pause ends before it begins [bad_range]
              the lesser one comes first: 1s..3s
                | 3s..1s
            p.yaml:12:16: the pause can be at most 1h [absurd]
                | 2h
            p.yaml:13:16: the pause cannot be negative [negative]
                | -1s
            p.yaml:14:26: the pause needs a unit [missing_unit]
              write 2s or 2ms
                | 2
            p.yaml:15:16: a pause needs "stddev" [missing]
                | { normal: 2s }
            p.yaml:16:16: a pause has one distribution [bad_range]
              write { normal: 2s, stddev: 500ms } or { exponential: 2s }
                | { normal: 2s, exponential: 1s }
            p.yaml:17:16: a pause has one distribution [bad_range]
              write { normal: 2s, stddev: 500ms } or { exponential: 2s }
                | { exponential: 2s, stddev: 1s }
            p.yaml:18:17: nothing is called "size" [unknown_name]
              known here: env, iteration, loop, now, rand, secret, uuid
                | {{ size }}
            p.yaml:20:19: max_body needs a unit [missing_unit]
              known here: B, kB, KB, MB, KiB, MiB, GiB
                | 10
            p.yaml:21:26: the response time needs a unit [missing_unit]
              write 5s or 5ms
                | 5
            p.yaml:21:35: the size needs a unit [missing_unit]
              known here: B, kB, KB, MB, KiB, MiB, GiB
                | 10
            p.yaml:23:19: max_body can be at most 67108864 bytes [absurd]
                | 1GiB
            p.yaml:24:25: no size lies between these [bad_size]
              the lesser one comes first
                | 2KiB..1KiB
            p.yaml:24:44: the response time can be at most 1h [absurd]
                | 2h
            p.yaml:24:58: a status is 100 to 599 [bad_status]
              write 200, 2xx or 200..299
                | 600
            p.yaml:24:63: a status is 100 to 599 [bad_status]
              write 200, 2xx or 200..299
                | 20x
            p.yaml:24:68: a status is 100 to 599 [bad_status]
              write 200, 2xx or 200..299
                | 300..200
            p.yaml:26:9: nothing of the body is looked at [without_effect]
              leave it out, or save or expect something
                | max_body
        "#]],
    );
}

#[test]
fn loops_need_bounds_and_something_to_do() {
    check_steps(
        "- while: true\n  steps: [ get: / ]\n- while: true\n  at_most: 0\n  steps: [ get: / ]\n- while: true\n  at_most: 10000000\n  steps: [ get: / ]\n- repeat: 0\n  steps: [ get: / ]\n- repeat: -1\n  steps: [ get: / ]\n- repeat: 10000000\n  steps: [ get: / ]\n- repeat: many\n  steps: [ get: / ]\n- repeat: 3\n- for_each: 7\n  steps: [ get: / ]\n",
        expect![[r#"
            p.yaml:8:9: a loop needs "at_most" [missing]
                | while: true
            p.yaml:11:18: at_most must be at least 1 [zero]
                | 0
            p.yaml:14:18: at_most can be at most 1000000 [absurd]
                | 10000000
            p.yaml:16:17: how often must be at least 1 [zero]
                | 0
            p.yaml:18:17: how often cannot be negative [negative]
                | -1
            p.yaml:20:17: how often can be at most 1000000 [absurd]
                | 10000000
            p.yaml:22:17: nothing is called "many" [unknown_name]
              known here: env, iteration, loop, now, rand, secret, uuid
                | many
            p.yaml:24:9: a loop needs "steps" [missing]
                | repeat: 3
            p.yaml:25:9: a loop needs "as" [missing]
                | for_each: 7
        "#]],
    );
    check_steps(
        "- repeat: 3\n  steps: []\n",
        expect![[r#"
        p.yaml:9:16: there is no request in it [missing]
            | []
    "#]],
    );
    check_steps(
        "- group: a\n  steps: [ pause: 1s ]\n",
        expect![[r#"
        p.yaml:9:16: there is no request in it [missing]
            | [ pause: 1s ]
    "#]],
    );
    check_steps(
        "- when: true\n  steps: []\n- get: /\n",
        expect![[r#"
        p.yaml:9:16: there is no request in it [missing]
            | []
    "#]],
    );
    let mut deep = "get: /".to_owned();
    for _ in 0..9 {
        deep = format!("{{ repeat: 2, steps: [ {deep} ] }}");
    }
    check_steps(
        &format!("- {}\n", deep.replacen("get: /", "{ get: / }", 1)),
        expect![[r#"
        p.yaml:8:205: loops, groups and conditions stand in one another at most 8 deep [too_deep]
            | [ { get: / } ] } ] } ] } ] } ] } ] } ] } ] } ] }
    "#]],
    );
}

#[test]
fn pauses_stand_between_requests() {
    check_steps(
        "- pause: 1s\n- get: /\n- pause: 1s\n",
        expect![[r#"
        p.yaml:8:16: a pause stands between two requests [pause_without_effect]
          the first request's time is the schedule's
            | 1s
        p.yaml:10:16: a pause stands between two requests [pause_without_effect]
          nothing follows this one
            | 1s
    "#]],
    );
    check_steps(
        "- get: /\n  pause: 1s\n- get: /\n  group: a\n",
        expect![[r#"
        p.yaml:9:9: a pause is an item of its own [pause_in_request]
          write `- pause: 1s` before the step
            | pause
        p.yaml:11:9: "group" is an item of its own [not_together]
          put the request into its `steps`
            | group
    "#]],
    );
}

#[test]
fn bodies() {
    check_steps(
        "- post: /\n  multipart: { a: { file: b, text: c } }\n- post: /\n  multipart: { a: { type: c } }\n- post: /\n  multipart: { \"a\\nb\": c, d: { text: x, type: \"a\\nb\" } }\n- post: /\n  file: /etc/passwd\n- post: /\n  file: ../a\n- post: /\n  file: a/\n- post: /\n  file: a\n  json: 1\n- get: /\n  expect_continue: true\n- post: /\n  file: \"{{ uuid }}/x\"\n",
        expect![[r#"
            p.yaml:9:25: a part has a file or a text [missing]
                | { file: b, text: c } }
            p.yaml:11:25: a part has a file or a text [missing]
                | { type: c } }
            p.yaml:13:22: a header's value stands on one line [bad_header]
                | a
            p.yaml:13:53: a header's value stands on one line [bad_header]
                | a
            p.yaml:15:15: the file is not below the plan's folder [outside_folder]
              put the file beside the plan and write its path from there
                | /etc/passwd
            p.yaml:17:15: the file is not below the plan's folder [outside_folder]
              put the file beside the plan and write its path from there
                | ../a
            p.yaml:19:15: the file is a folder [bad_file]
                | a/
            p.yaml:21:9: a request has one body: body, json, form, multipart or file [several_bodies]
                | file
            p.yaml:24:9: there is no body that could wait [without_effect]
              leave it out, or give the step a body
                | expect_continue
            p.yaml:26:15: the file cannot be an expression [expression_not_here]
              write the value itself
                | {{ uuid }}/x
        "#]],
    );
}

#[test]
fn credentials() {
    check_steps(
        "- get: /\n  auth: {}\n- get: /\n  auth: { basic: { user: a } }\n- get: /\n  auth: { bearer: a, basic: { user: a, password: b } }\n- get: /\n  auth: { digest: a }\n",
        expect![[r#"
            p.yaml:9:15: auth is basic, bearer or aws [missing]
              write auth: { bearer: "{{ token }}" }
                | {}
            p.yaml:11:24: basic needs "password" [missing]
                | { user: a } }
            p.yaml:13:15: auth is one of basic, bearer and aws [not_together]
                | { bearer: a, basic: { user: a, password: b } }
            p.yaml:15:15: auth is basic, bearer or aws [missing]
              write auth: { bearer: "{{ token }}" }
                | { digest: a }
            p.yaml:15:17: auth has no key "digest" [unknown_key]
              known here: basic, bearer, aws
                | digest
        "#]],
    );
}

#[test]
fn answers() {
    check_steps(
        "- get: /\n  save: { a: token, b: \"$.[\", c: \"regex:(\", d: \"css:[[\", e: \"header:a b\", f: \"css:\", g: { default: 1 }, h: { json: $.a, css: b }, i: { regex: a, css: b, header: c }, j: { json: $.a, default: \"x {{ uuid }} [\" } }\n- get: /\n  save: { 1x: $.a, env: $.a, \"a b\": $.a }\n- get: /\n  expect: { json: { total: 3 }, body_matches: \"(\", headers: { \"a b\": c, d: { contains: a, is: b }, e: {} } }\n- get: /\n  expect: { json: { $.a: { exists: maybe } }, headers: { a: { matches: \"[\" } } }\n",
        expect![[r#"
            p.yaml:9:20: "token" does not say where the value is [bad_source]
              write a JSONPath such as $.token, or header:, regex: or css: before what is meant
                | token
            p.yaml:9:30: the JSONPath is not valid: at position 2, in dot member name, must start with lowercase alpha or '_' [bad_pattern]
                | $.[
            p.yaml:9:40: the regular expression is not valid: error: unclosed group [bad_pattern]
                | regex:(
            p.yaml:9:54: the CSS selector is not valid: it cannot be read [bad_pattern]
                | css:[[
            p.yaml:9:67: "a b" is no name of a header [bad_header]
                | header:a b
            p.yaml:9:84: css: says nothing [missing]
                | css:
            p.yaml:9:95: it does not say where the value is [missing]
              write json:, header:, regex: or css:
                | { default: 1 }, h: { json: $.a, css: b }, i: { regex: a, css: b, header: c }, j:…
            p.yaml:9:114: a value is in one place [several_sources]
              header and regex alone go together: then the pattern is looked for in the header
                | { json: $.a, css: b }, i: { regex: a, css: b, header: c }, j: { json: $.a, defau…
            p.yaml:9:140: a value is in one place [several_sources]
              header and regex alone go together: then the pattern is looked for in the header
                | { regex: a, css: b, header: c }, j: { json: $.a, default: "x {{ uuid }} [" } }
            p.yaml:9:198: a default is a value, or one expression [bad_expression]
                | x {{ uuid }} [
            p.yaml:11:17: "1x" is no name for a value [bad_name]
              letters, digits and _ make a name, and no digit begins it
                | 1x
            p.yaml:11:26: "env" means something else in expressions [reserved_name]
              choose another name
                | env
            p.yaml:11:36: "a b" is no name for a value [bad_name]
              letters, digits and _ make a name, and no digit begins it
                | a b
            p.yaml:13:27: the JSONPath is not valid: at position 0, parser error [bad_pattern]
              write $.name, or $.items[0].id
                | total
            p.yaml:13:53: the regular expression is not valid: error: unclosed group [bad_pattern]
                | (
            p.yaml:13:69: "a b" is no name of a header [bad_header]
                | a b
            p.yaml:13:82: a demand says one thing [one_demand]
              write one of is, contains, matches, exists
                | { contains: a, is: b }, e: {} } }
            p.yaml:13:109: a demand says one thing [one_demand]
              write one of is, contains, matches, exists
                | {} } }
            p.yaml:15:42: exists must be true or false [wrong_kind]
                | maybe
            p.yaml:15:78: the regular expression is not valid: error: unclosed character class [bad_pattern]
                | [
        "#]],
    );
}

#[test]
fn expressions_that_never_have_a_value() {
    check_steps(
        "- get: /\n  when: 1 / 0 > 1\n- get: /\n  headers: { a: \"{{ 1 % 0 }}\", b: \"{{ 'x' * 3 }}\", c: '{{ \"\\q\" }}' }",
        expect![[r#"
            p.yaml:9:15: the expression never has a value: division by zero [bad_expression]
              all that stands in it is known before the run
                | 1 / 0 > 1
            p.yaml:11:24: the expression never has a value: division by zero [bad_expression]
              all that stands in it is known before the run
                | {{ 1 % 0 }}
            p.yaml:11:42: the expression never has a value: not a number [bad_expression]
              all that stands in it is known before the run
                | {{ 'x' * 3 }}
            p.yaml:11:62: there is no \q in a text [bad_expression]
              known here: \n, \r, \t, \\, \' and \"; a backslash is written twice
                | {{ "\q" }}
        "#]],
    );
}
