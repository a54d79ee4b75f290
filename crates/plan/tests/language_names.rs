//! What is said of names and of what they stand for: fragments, expressions, variables, saved values, and files that a plan
//! includes.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use expect_test::{Expect, expect};
use plan::Given;

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

/// A plan with `include` and these files.
fn check_files(rest: &str, variables: &[(&str, &str)], files: &[(&str, &str)], expect: Expect) {
    let include = |path: &str| {
        let file = files.iter().find(|(name, _)| *name == path);
        file.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "there is none".to_owned())
    };
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let given = Given { target: None, variables: &variables, env: &|_| None, include: &include };
    expect.assert_eq(&said(plan::submit("p.yaml", &format!("{HEAD}{rest}"), &given)));
}

const ONE: &str = "scenarios: { s: { steps: [ get: / ] } }\n";

#[test]
fn fragments() {
    check(
        "fragments:\n  a: [ get: /, use: b ]\n  b: [ use: c ]\n  c: [ use: a ]\nscenarios: { s: { steps: [ use: a, use: d, use: aa ] } }\n",
        expect![[r#"
            p.yaml:8:13: the fragment uses itself: a → b → c → a [circle]
                | a
            p.yaml:9:41: there is no fragment "d" [unknown_fragment]
              known here: a, b, c
                | d
            p.yaml:9:49: there is no fragment "aa" [unknown_fragment]
              did you mean "a"?
                | aa
        "#]],
    );
}

#[test]
fn unknown_names_in_every_place() {
    check_steps(
        "- get: /{{ a1 }}\n  name: n\n  query: { q: \"{{ a2 }}\" }\n  headers: { x: \"{{ a3 }}\" }\n  when: a4\n  auth: { bearer: \"{{ a5 }}\" }\n  expect: { headers: { x: \"{{ a6 }}\" }, body_contains: \"{{ a7 }}\", json: { $.a: \"{{ a8 }}\" } }\n  save: { v: { json: $.v, default: \"{{ a9 }}\" } }\n- post: /\n  body: \"{{ b1 }}\"\n- post: /\n  json: { a: [ { b: \"{{ b2 }}\" } ] }\n- post: /\n  form: { a: \"{{ b3 }}\" }\n- post: /\n  multipart: { a: \"{{ b4 }}\", b: { text: \"{{ b5 }}\" } }\n- post: /\n  auth: { basic: { user: \"{{ b6 }}\", password: \"{{ b7 }}\" } }\n- repeat: \"{{ c1 }}\"\n  steps: [ get: / ]\n- while: c2\n  at_most: 2\n  steps: [ get: / ]\n- for_each: c3\n  as: x\n  steps: [ get: / ]\n- when: c4\n  steps: [ get: / ]\n- pause: 1s\n  when: c5\n- get: /\n",
        expect![[r#"
            p.yaml:8:15: nothing is called "a1" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | {{ a1 }}
            p.yaml:10:22: nothing is called "a2" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | {{ a2 }}
            p.yaml:11:24: nothing is called "a3" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | {{ a3 }}
            p.yaml:12:15: nothing is called "a4" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | a4
            p.yaml:13:26: nothing is called "a5" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | {{ a5 }}
            p.yaml:14:34: nothing is called "a6" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | {{ a6 }}
            p.yaml:14:63: nothing is called "a7" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | {{ a7 }}
            p.yaml:14:88: nothing is called "a8" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | {{ a8 }}
            p.yaml:15:43: nothing is called "a9" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | {{ a9 }}
            p.yaml:17:16: nothing is called "b1" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | {{ b1 }}
            p.yaml:19:28: nothing is called "b2" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | {{ b2 }}
            p.yaml:21:21: nothing is called "b3" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | {{ b3 }}
            p.yaml:23:26: nothing is called "b4" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | {{ b4 }}
            p.yaml:23:49: nothing is called "b5" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | {{ b5 }}
            p.yaml:25:33: nothing is called "b6" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | {{ b6 }}
            p.yaml:25:55: nothing is called "b7" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | {{ b7 }}
            p.yaml:26:17: nothing is called "c1" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | {{ c1 }}
            p.yaml:28:16: nothing is called "c2" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | c2
            p.yaml:31:19: nothing is called "c3" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | c3
            p.yaml:34:15: nothing is called "c4" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | c4
            p.yaml:37:15: nothing is called "c5" [unknown_name]
              known here: v, x, env, iteration, loop, now, rand, secret, uuid
                | c5
        "#]],
    );
    check(
        &format!(
            "variables: {{ a: \"{{{{ b }}}}\", b: 1 }}\nauth: {{ bearer: \"{{{{ token }}}}\" }}\ndata: {{ d: {{ rows: 3, columns: {{ x: \"{{{{ y }}}}\" }} }} }}\n{ONE}"
        ),
        expect![[r#"
            p.yaml:5:18: nothing is called "b" [unknown_name]
              known here: d, env, iteration, loop, now, rand, secret, uuid
                | {{ b }}
            p.yaml:6:18: nothing is called "token" [unknown_name]
              known here: a, b, d, env, iteration, loop, now, rand, secret, uuid
                | {{ token }}
            p.yaml:7:38: nothing is called "y" [unknown_name]
              known here: a, b, d, env, iteration, loop, now, rand, secret, uuid
                | {{ y }}
        "#]],
    );
}

#[test]
fn slips_in_expressions() {
    check_steps(
        "- get: \"/{{ }}\"\n  name: n1\n- get: \"/{{ iteration\"\n  name: n2\n- get: \"/{{ iteration = 1 }}\"\n  name: n3\n- get: \"/{{ iteration | uper }}\"\n  name: n4\n- get: \"/{{ rand.itn(1, 2) }}\"\n  name: n5\n- get: \"/{{ rand.int(2, 1) }}\"\n  name: n6\n- get: \"/{{ rand.int(1) }}\"\n  name: n7\n- get: \"/{{ 'open }}\"\n  name: n8\n- get: \"/{{ now.sec }}\"\n  name: n9\n- get: \"/{{ loop.index }}\"\n  name: n10\n- get: \"/{{ (1 + 2 }}\"\n  name: n11\n- get: \"/{{ 1 2 }}\"\n  name: n12\n- get: \"/{{ rand.string(1000000) }}\"\n  name: n13\n- get: /{{ iteration }}\n- get: /\n  when: a {{ iteration }}\n- get: /\n  json: { a: {{ iteration }} }\n",
        expect![[r#"
            p.yaml:8:16: there is no expression [bad_expression]
              write a name, as in {{ token }}
                | {{ }}
            p.yaml:10:16: an expression has no end [bad_expression]
              close it with }}
                | {{ iteration
            p.yaml:12:16: "=" has no meaning here [bad_expression]
              compare with ==
                | {{ iteration = 1 }}
            p.yaml:14:16: there is no filter "uper" [unknown_filter]
              did you mean "upper"?
                | {{ iteration | uper }}
            p.yaml:16:16: there is no rand.itn [unknown_name]
              did you mean "int"?
                | {{ rand.itn(1, 2) }}
            p.yaml:18:16: nothing lies between 2 and 1 [bad_expression]
              the lesser one comes first
                | {{ rand.int(2, 1) }}
            p.yaml:20:16: rand.int does not take 1 arguments [bad_expression]
              write rand.int(1, 6)
                | {{ rand.int(1) }}
            p.yaml:22:16: an expression has no end [bad_expression]
              close it with }}
                | {{ 'open }}
            p.yaml:24:16: there is no now.sec [unknown_name]
              known here: ms, s, iso
                | {{ now.sec }}
            p.yaml:26:16: loop.index has a meaning in a loop alone [unknown_name]
                | {{ loop.index }}
            p.yaml:28:16: ")" is missing before the end [bad_expression]
                | {{ (1 + 2 }}
            p.yaml:30:16: 2 is one too many [bad_expression]
                | {{ 1 2 }}
            p.yaml:32:16: random text has at most 65536 characters [bad_expression]
                | {{ rand.string(1000000) }}
            p.yaml:34:14: a step whose path has an expression needs a name [missing]
              the name is the row in every table: name: GET /items/{id}
                | /{{ iteration }}
            p.yaml:36:15: the condition is one expression [bad_expression]
              write it without {{ }}
                | a {{ iteration }}
            p.yaml:38:20: {{ }} without quotes is a map to YAML [unquoted_expression]
              quote it: "{{ … }}"
                | {{ iteration }} }
        "#]],
    );
    check_steps(
        "- get: /\n  save: { token: $.t }\n- get: /{{ tokne }}\n  name: n1\n- get: /{{ data.x }}\n  name: n2\n- get: /{{ env.NOPE }}\n  name: n3\n- get: /{{ secret }}\n  name: n4\n",
        expect![[r#"
            p.yaml:10:15: nothing is called "tokne" [unknown_name]
              did you mean "token"?
                | {{ tokne }}
            p.yaml:12:15: nothing is called "data" [unknown_name]
              known here: token, env, iteration, loop, now, rand, secret, uuid
                | {{ data.x }}
            p.yaml:14:15: the environment has no NOPE [env_not_set]
              set it where the plan is submitted: NOPE=… swell run …
                | {{ env.NOPE }}
            p.yaml:16:15: "secret" is no value [bad_expression]
              write secret.NAME
                | {{ secret }}
        "#]],
    );
}

#[test]
fn values_are_saved_before_they_are_used() {
    check_steps(
        "- get: /{{ later }}\n  name: n1\n- get: /\n  save: { later: $.a }\n  expect: { body_contains: \"{{ later }}\" }\n- for_each: later\n  as: one\n  steps: [ { get: \"/{{ one }}\", name: n2 } ]\n",
        expect![[r#"
            p.yaml:8:15: "later" is saved only after it is used [used_before_saved]
              move the step that saves it before this one
                | {{ later }}
            p.yaml:12:35: "later" is saved only after it is used [used_before_saved]
              move the step that saves it before this one
                | {{ later }}
        "#]],
    );
}

#[test]
fn variables() {
    check(
        &format!(
            "variables: {{ 1a: 1, env: 2, users: 3, ok: {{ a: \"{{{{ uuid }}}}\" }}, b: \"{{{{ c }}}}\" }}\ndata: {{ users: {{ file: u.csv }} }}\n{ONE}"
        ),
        expect![[r#"
            p.yaml:5:14: "1a" is no name for a value [bad_name]
              letters, digits and _ make a name, and no digit begins it
                | 1a
            p.yaml:5:21: "env" means something else in expressions [reserved_name]
              choose another name
                | env
            p.yaml:5:29: "users" is a variable or data already [name_taken]
              choose another name
                | users
            p.yaml:5:39: a list or map of a variable has no expressions in it [bad_expression]
                | ok
            p.yaml:5:68: nothing is called "c" [unknown_name]
              known here: ok, users, env, iteration, loop, now, rand, secret, uuid
                | {{ c }}
        "#]],
    );
    check(
        "variables: { n: 5, rate: 1/s }\nseed: \"{{ uuid }}\"\ndrain: \"{{ n }}\"\nphases: \"{{ nn }}\"\nscenarios: { s: { weight: \"{{ n }}\", steps: [ { get: /, timeout: \"{{ n }}s\", name: \"{{ n }}\" } ] } }\n",
        expect![[r#"
            p.yaml:6:7: this must be known before the run [expression_not_here]
              only variables and env.NAME can stand here
                | {{ uuid }}
            p.yaml:7:8: the drain needs a unit [missing_unit]
              write 5s or 5ms
                | 5
            p.yaml:8:10: nothing is called "nn" [unknown_name]
              did you mean "n"?
                | {{ nn }}
            p.yaml:9:84: the step's name cannot be an expression [expression_not_here]
              write the value itself
                | {{ n }}
        "#]],
    );
    check_files(
        &format!("variables: {{ rate: 1/s, size: 2 }}\n{ONE}"),
        &[("raet", "2/s"), ("other", "x")],
        &[],
        expect![[r#"
            p.yaml:1:1: the plan has no variable "raet" [unknown_variable]
              did you mean "rate"?
                | raet
            p.yaml:1:1: the plan has no variable "other" [unknown_variable]
              known here: rate, size
                | other
        "#]],
    );
    check_files(
        ONE,
        &[("size", "2")],
        &[],
        expect![[r#"
        p.yaml:1:1: the plan has no variable "size" [unknown_variable]
          add it: variables: { size: … }
            | size
    "#]],
    );
}

#[test]
fn included_files() {
    check(
        &format!("include: [ a.yaml ]\n{ONE}"),
        expect![[r#"
        p.yaml:5:1: includes are read where a plan is submitted [include_not_here]
          use `swell run` or `swell check` on the file
            | include
    "#]],
    );
    check_files(
        &format!("include: [ a.yaml, no.yaml, ../b.yaml, /c.yaml ]\n{ONE}"),
        &[],
        &[("a.yaml", "include: [ sub/b.yaml ]\n"), ("sub/b.yaml", "include: [ a.yaml ]\n")],
        expect![[r#"
            p.yaml:5:20: cannot read no.yaml: there is none [bad_file]
              paths are from the plan's folder
                | no.yaml
            p.yaml:5:29: the included file is not below the plan's folder [outside_folder]
              put the file beside the plan and write its path from there
                | ../b.yaml
            p.yaml:5:40: the included file is not below the plan's folder [outside_folder]
              put the file beside the plan and write its path from there
                | /c.yaml
            sub/b.yaml:1:12: the files include one another: a.yaml → sub/b.yaml → a.yaml [circle]
                | a.yaml
        "#]],
    );
    // Each fault is told where it is.
    check_files(
        "include: [ shared/a.yaml ]\nvariables: { size: 1 }\nscenarios: { s: { steps: [ use: login, get: /x y ] } }\n",
        &[],
        &[(
            "shared/a.yaml",
            "# first\nvariables: { size: 2 }\nload: {}\nfragments:\n  login:\n    - pst: /login\n    - get: /{{ nobody }}\n      name: n\n    - get: /\n      timeout: 5\n",
        )],
        expect![[r#"
            shared/a.yaml:2:14: "size" is in variables of another file, too [duplicate_key]
                | size
            shared/a.yaml:3:1: an included file has no key "load" [unknown_key]
              known here: include, variables, data, fragments
                | load
            shared/a.yaml:6:7: a step has no key "pst" [unknown_key]
              did you mean "post"?
                | pst
            shared/a.yaml:6:7: a step needs a method with its path [missing]
              write it like: get: /path
                | pst: /login
            shared/a.yaml:7:13: nothing is called "nobody" [unknown_name]
              known here: size, env, iteration, loop, now, rand, secret, uuid
                | {{ nobody }}
            shared/a.yaml:10:16: the timeout needs a unit [missing_unit]
              write 5s or 5ms
                | 5
        "#]],
    );
    check_files(
        &format!("include: a.yaml\n{ONE}"),
        &[],
        &[],
        expect![[r#"
        p.yaml:5:10: include must be a list [wrong_kind]
            | a.yaml
    "#]],
    );
    check_files(
        &format!("include: [ a.yaml, b.yaml ]\n{ONE}"),
        &[],
        &[("a.yaml", "variables: [\n"), ("b.yaml", "fragments: 7\n")],
        expect![[r#"
            a.yaml:2:1: not YAML: while parsing a node, did not find expected node content [syntax]
                | 
            b.yaml:1:12: this part of an included file must be a map [wrong_kind]
                | 7
        "#]],
    );
}
