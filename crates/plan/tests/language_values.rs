//! What is said of faults in values that expressions and maps of a plan's own keys may hold.

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

#[test]
fn rounds_of_a_loop() {
    check(
        "variables: { none: 0, half: 2.5, word: often, far: 10000000, list: [ 1 ] }\nscenarios:\n  s:\n    steps:\n      - { repeat: none, steps: [ get: / ] }\n      - { repeat: half, steps: [ get: / ] }\n      - { repeat: word, steps: [ get: / ] }\n      - { repeat: far, steps: [ get: / ] }\n      - { repeat: none - 1, steps: [ get: / ] }\n      - { repeat: list, steps: [ get: / ] }\n      - { repeat: nun, steps: [ get: / ] }\n      - { repeat: \"5\", steps: [ get: / ] }\n",
        expect![[r#"
            p.yaml:10:19: how often must be a whole number, and this is 2.5 [not_a_number]
                | half
            p.yaml:11:19: how often must be a whole number, and this is "often" [not_a_number]
                | word
            p.yaml:12:19: 10000000 rounds are not between 0 and 1000000 [absurd]
                | far
            p.yaml:13:19: -1 rounds are not between 0 and 1000000 [absurd]
                | none - 1
            p.yaml:14:19: how often must be a whole number, and this is [1] [not_a_number]
                | list
            p.yaml:15:19: nothing is called "nun" [unknown_name]
              known here: far, half, list, none, word, env, iteration, loop, now, rand, secret, uuid
                | nun
            p.yaml:16:19: how often must be a whole number [not_a_number]
              leave out the quotes
                | 5
        "#]],
    );
}

#[test]
fn demands_on_json_are_words_or_values_but_not_both() {
    check_steps(
        "- get: /\n  expect: { json: { $.a: { is: 5, name: x } } }\n- get: /\n  expect: { json: { $.a: { name: x, exists: true, size: 3 } } }\n- get: /\n  expect: { json: { $.a: { is: 5, exists: true } } }\n- get: /\n  expect: { json: { $.a: { exists: maybe }, $.b: { matches: \"(\" } } }\n",
        expect![[r#"
            p.yaml:9:41: "is" is a demand, and "name" is none [mixed_demand]
              an object with both is written { is: { … } }
                | name
            p.yaml:11:34: "exists" is a demand, and "name" is none [mixed_demand]
              an object with both is written { is: { … } }
                | name
            p.yaml:13:32: a demand says one thing [one_demand]
              write one of is, contains, matches, exists
                | { is: 5, exists: true } } }
            p.yaml:15:42: exists must be true or false [wrong_kind]
                | maybe
            p.yaml:15:67: the regular expression is not valid: error: unclosed group [bad_pattern]
                | (
        "#]],
    );
    check_steps(
        "- get: /\n  expect: { json: { $.a: { is: { is: 5, name: x } }, $.b: { name: x }, $.c: {}, $.d: { is: null } } }\n",
        expect![[r#"
            no fault
        "#]],
    );
}

#[test]
fn sizes_that_no_answer_has() {
    check_steps(
        "- get: /\n  expect: { size: 1MiB.. }\n- get: /\n  expect: { size: 300000B }\n- get: /\n  max_body: 1MB\n  expect: { size: 1MiB..2MiB }\n- get: /\n  max_body: 1MiB\n  expect: { size: 1MiB..2MiB }\n- get: /\n  expect: { size: 256KiB }\n",
        expect![[r#"
            p.yaml:9:25: bodies are looked at up to max_body, which is 256KiB [size_above_max_body]
              write max_body: 1MiB or more beside expect
                | 1MiB..
            p.yaml:11:25: bodies are looked at up to max_body, which is 256KiB [size_above_max_body]
              write max_body: 300kB or more beside expect
                | 300000B
            p.yaml:14:25: bodies are looked at up to max_body, which is 1000kB [size_above_max_body]
              write max_body: 1MiB or more beside expect
                | 1MiB..2MiB
        "#]],
    );
}

#[test]
fn a_colon_ends_the_name_of_a_user() {
    check(
        "variables: { who: \"a:b\" }\nscenarios:\n  s:\n    steps:\n      - get: /\n        auth: { basic: { user: \"a:b\", password: \"c:d\" } }\n      - get: /\n        auth: { basic: { user: \"{{ who }}\", password: c } }\n      - get: /\n        auth: { basic: { user: \"{{ iteration }}:\", password: c } }\n      - get: /\n        auth: { basic: { user: \"{{ secret.WHO }}\", password: \"c:d\" } }\n",
        expect![[r#"
            p.yaml:10:32: a user's name has no colon: it would end there, and the password begin [colon_in_user]
                | a:b
            p.yaml:12:32: a user's name has no colon: it would end there, and the password begin [colon_in_user]
                | {{ who }}
            p.yaml:14:32: a user's name has no colon: it would end there, and the password begin [colon_in_user]
                | {{ iteration }}:
        "#]],
    );
}

#[test]
fn keys_are_known_before_the_run() {
    check_steps(
        "- post: /\n  query: { \"{{ iteration }}\": 1 }\n  headers: { \"x-{{ uuid }}\": 1 }\n  json: { a: [ { \"{{ secret.K }}\": 1 } ] }\n- post: /\n  form: { \"{{ nobody }}\": 1, \"{{ open\": 2 }\n- post: /\n  multipart: { \"{{ user }}\": 1 }\n- post: /\n  headers: { \"{{ 'content-length' }}\": 1, \"{{ 'a' }}\": 1, A: 2 }\n",
        expect![[r#"
            p.yaml:9:18: a key must be known before the run [expression_not_here]
              only variables and env.NAME can stand in it
                | {{ iteration }}
            p.yaml:10:20: a key must be known before the run [expression_not_here]
              only variables and env.NAME can stand in it
                | x-{{ uuid }}
            p.yaml:11:24: a key must be known before the run [expression_not_here]
              only variables and env.NAME can stand in it
                | {{ secret.K }}
            p.yaml:13:18: nothing is called "nobody" [unknown_name]
              known here: env, iteration, loop, now, rand, secret, uuid
                | {{ nobody }}
            p.yaml:13:37: an expression has no end [bad_expression]
              close it with }}
                | {{ open
            p.yaml:15:22: a key must be known before the run [expression_not_here]
              only variables and env.NAME can stand in it
                | {{ user }}
            p.yaml:17:20: the header "content-length" is written by the engine [reserved_header]
              leave it out
                | {{ 'content-length' }}
            p.yaml:17:65: the header "A" is there twice [duplicate_key]
                | A
        "#]],
    );
}

#[test]
fn numbers_in_other_bases_are_numbers() {
    check_steps(
        "- post: /\n  json: { a: 0xFFFFFFFFFFFFFFFF, b: 0o17, c: 0x, d: 0xfg }\n- post: /\n  json: [ 0x10000000000000000, 0o7777777777777777777777, \"0x10000000000000000\" ]\n",
        expect![[r#"
            p.yaml:11:17: 0x10000000000000000 is no number that JSON has [not_json]
              write it in quotes if text is meant
                | 0x10000000000000000
            p.yaml:11:38: 0o7777777777777777777777 is no number that JSON has [not_json]
              write it in quotes if text is meant
                | 0o7777777777777777777777
        "#]],
    );
}
