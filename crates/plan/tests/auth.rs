//! What `auth` may say, and fragments that would make endless plans of a few lines.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fmt::Write as _;

use expect_test::{Expect, expect};

/// A plan with these lines at its end, and the steps of its scenario.
fn text(top: &str, steps: &str) -> String {
    format!(
        "version: 1\nname: p\ntarget: http://h\nload: {{ model: avalanche, requests_per_driver: 1 }}\n\
         scenarios:\n  s:\n    steps:\n{steps}{top}"
    )
}

fn check(top: &str, steps: &str, expect: Expect) {
    let said = match plan::parse("p.yaml", &text(top, steps)) {
        Ok(plan) => plan.scenarios[0].steps.iter().fold(String::new(), |mut said, step| {
            let header = step.headers.iter().find(|(name, _)| name == "authorization");
            let header = header.map_or("-".to_owned(), |(_, value)| value.to_string());
            let signed = step.signing.as_ref().map_or("-".to_owned(), |signing| {
                let token = signing.session_token.as_ref().map(ToString::to_string);
                format!("{} {} {} {token:?}", signing.region, signing.service, signing.access_key)
            });
            writeln!(said, "{}: {header} | {signed}", step.name).unwrap();
            said
        }),
        Err(faults) => faults.iter().map(|fault| format!("{fault}\n")).collect(),
    };
    expect.assert_eq(&said);
}

const AWS: &str =
    "auth: { aws: { region: eu, service: s3, access_key: AK, secret_key: '{{ secret.K }}' } }\n";

#[test]
fn the_innermost_counts() {
    check(
        AWS,
        "      - get: /a\n      - get: /b\n        auth: { bearer: t }\n      - get: /c\n        headers: { authorization: own }\n      \
         - get: /d\n        auth: { aws: { region: '{{ secret.R }}', service: sqs, access_key: A, secret_key: S, session_token: T } }\n      \
         - get: /e\n        auth: { basic: { user: u, password: p } }\n",
        expect![[r#"
            GET /a: - | eu s3 AK None
            GET /b: Bearer t | -
            GET /c: own | -
            GET /d: - | {{ secret.R }} sqs A Some("T")
            GET /e: Basic dTpw | -
        "#]],
    );
}

#[test]
fn a_signature_is_whole_and_of_one_request() {
    check(
        "",
        "      - get: /a\n        auth: { aws: { region: eu, servce: s3, access_key: AK } }\n      - get: /b\n        auth: { aws: x, bearer: y }\n      \
         - get: /c\n        auth: {}\n",
        expect![[r#"
            p.yaml:9:22: aws needs "service" [missing]
            p.yaml:9:22: aws needs "secret_key" [missing]
            p.yaml:9:36: aws has no key "servce" [unknown_key]
              did you mean "service"?
            p.yaml:11:15: auth is one of basic, bearer and aws [not_together]
            p.yaml:13:15: auth is basic, bearer or aws [missing]
              write auth: { bearer: "{{ token }}" }
        "#]],
    );
    check(
        AWS,
        "      - get: /a\n        follow_redirects: true\n      - get: /b\n        headers: { X-Amz-Date: now }\n      \
         - get: /c\n        auth: { bearer: t }\n        follow_redirects: true\n",
        expect![[r#"
            p.yaml:9:9: a signature is of one request, and a redirect asks for another [not_together]
              leave follow_redirects out of a step that is signed
            p.yaml:10:9: the header "X-Amz-Date" is written by the signing [reserved_header]
              leave it out
        "#]],
    );
}

#[test]
fn fragments_make_no_endless_plans() {
    // Each uses the next one twice, and the last has nothing that could be counted as a step.
    let mut doubling = "fragments:\n".to_owned();
    for number in 0..30 {
        writeln!(doubling, "  f{number}: [{{ use: f{0} }}, {{ use: f{0} }}]", number + 1).unwrap();
    }
    doubling.push_str("  f30: [{ pause: 1s }]\n");
    check(
        &doubling,
        "      - get: /\n      - use: f0\n",
        expect![[r#"
            p.yaml:8:7: there are more than 100000 items, those of fragments included [absurd]
        "#]],
    );
    // And a chain that would be as deep as the stack.
    let mut chain = "fragments:\n".to_owned();
    for number in 0..5_000 {
        writeln!(chain, "  f{number}: [{{ use: f{} }}]", number + 1).unwrap();
    }
    chain.push_str("  f5000: [{ get: / }]\n");
    check(
        &chain,
        "      - use: f0\n",
        expect![[r#"
        p.yaml:41:16: fragments use one another at most 32 deep [too_deep]
    "#]],
    );
}

#[test]
fn credentials_of_the_plan_may_be_of_a_row() {
    let top = "data: { users: { file: users.csv, pick: in_turn } }\nauth: { bearer: '{{ users.token }}' }\n";
    let plan = plan::parse("p.yaml", &text(top, "      - get: /a\n")).unwrap();
    assert_eq!(plan.scenarios[0].sources, [0], "its iterations have a row");
    let own = text(top, "      - get: /a\n        auth: { bearer: own }\n");
    assert!(plan::parse("p.yaml", &own).unwrap().scenarios[0].sources.is_empty(), "and these need none");
}
