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
