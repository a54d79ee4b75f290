//! The basic and the quick form: what they make of what is filled in.

use expect_test::{Expect, expect};
use plan::{Diagnostic, Plan, Quick};

fn say(made: Result<Plan, Vec<Diagnostic>>) -> String {
    match made {
        Ok(plan) => plan.source,
        Err(faults) => faults.iter().map(|fault| format!("{fault}\n")).collect(),
    }
}

fn check_basic(form: &str, expect: Expect) {
    let form: serde_json::Map<_, _> = serde_json::from_str(form).expect("a JSON object");
    expect.assert_eq(&say(plan::basic(&form)));
}

fn check_quick(quick: &Quick, expect: Expect) {
    expect.assert_eq(&say(plan::quick(quick)));
}

fn url() -> Quick {
    Quick { url: "http://127.0.0.1:7701/ping".into(), ..Quick::default() }
}

#[test]
fn basic_avalanche() {
    check_basic(
        r#"{"test_type": "AVALANCHE", "test_message_delay": 0, "message_count_per_driver": 1000,
            "target_throughput_per_driver": 0, "target": "http://127.0.0.1:7701/ping?a=b"}"#,
        expect![[r#"
            version: 1
            name: "avalanche"
            target: "http://127.0.0.1:7701"
            load:
              model: avalanche
              requests_per_driver: 1000
            scenarios:
              main:
                steps:
                  - get: "/ping?a=b"
        "#]],
    );
}

#[test]
fn basic_tsunami() {
    check_basic(
        r#"{"test_type": "tsunami", "test_message_delay": "20ms", "message_count_per_driver": "50",
            "target_throughput_per_driver": 12.5, "target": "http://[::1]:80"}"#,
        expect![[r#"
            version: 1
            name: "tsunami"
            target: "http://[::1]"
            load:
              model: tsunami
              requests_per_driver: 50
              delay: 20ms
              target_throughput_per_driver: 12.5/s
            scenarios:
              main:
                steps:
                  - get: "/"
        "#]],
    );
    check_basic(
        r#"{"test_type": "TSUNAMI", "test_message_delay": 0.5, "message_count_per_driver": 50, "target": "http://h"}"#,
        expect![[r#"
            version: 1
            name: "tsunami"
            target: "http://h"
            load:
              model: tsunami
              requests_per_driver: 50
              delay: 500us
            scenarios:
              main:
                steps:
                  - get: "/"
        "#]],
    );
}

#[test]
fn basic_faults_all_at_once() {
    check_basic(
        "{}",
        expect![[r#"
        basic form: test_type: it is missing [missing]
        basic form: message_count_per_driver: it is missing [missing]
        basic form: target: it is missing [missing]
    "#]],
    );
    check_basic(
        r#"{"test_type": "FLOOD", "test_message_delay": -5, "message_count_per_driver": 0,
            "target_throughput_per_driver": -1, "target": "shop", "targt": 1}"#,
        expect![[r#"
            basic form: test_type: there is no test type "FLOOD" [unknown_value]
              known here: AVALANCHE, TSUNAMI
            basic form: test_message_delay: the delay cannot be negative [negative]
            basic form: message_count_per_driver: the number of messages must be at least 1 [zero]
            basic form: target_throughput_per_driver: the target throughput cannot be negative [negative]
            basic form: target: the target must be a URL [bad_target]
              write it like http://127.0.0.1:8080
            basic form: targt: the form has no such field [unknown_key]
              did you mean "target"?
        "#]],
    );
    check_basic(
        r#"{"test_type": "TSUNAMI", "test_message_delay": 0, "message_count_per_driver": -3,
            "target_throughput_per_driver": "fast", "target": "https://shop.example/"}"#,
        expect![[r#"
            basic form: test_message_delay: a tsunami needs a delay of more than zero [zero]
              an avalanche sends as fast as possible
            basic form: message_count_per_driver: the number of messages cannot be negative [negative]
            basic form: target_throughput_per_driver: the target throughput must be a number of requests per second [not_a_number]
        "#]],
    );
    check_basic(
        r#"{"test_type": ["TSUNAMI"], "test_message_delay": "soon", "message_count_per_driver": 1.5,
            "target_throughput_per_driver": 1e12, "target": 5}"#,
        expect![[r#"
            basic form: test_type: it must be a number or text [wrong_kind]
            basic form: test_message_delay: the delay must be milliseconds, or a time such as 20ms [not_a_number]
            basic form: message_count_per_driver: the number of messages must be a whole number [not_a_number]
            basic form: target_throughput_per_driver: the target throughput can be at most 10000000/s [absurd]
            basic form: target: the target must be a URL [bad_target]
              write it like http://127.0.0.1:8080
        "#]],
    );
    check_basic(
        r#"{"test_type": "TSUNAMI", "test_message_delay": 99999999, "message_count_per_driver": 99999999999999,
            "target_throughput_per_driver": null, "target": null}"#,
        expect![[r#"
            basic form: test_message_delay: the delay can be at most 1h [absurd]
            basic form: message_count_per_driver: the number of messages can be at most 1000000000000 [absurd]
            basic form: target: it is missing [missing]
        "#]],
    );
    check_basic(
        r#"{"test_type": "TSUNAMI", "message_count_per_driver": 10, "target": "http://h"}"#,
        expect![[r#"
            basic form: test_message_delay: it is missing [missing]
        "#]],
    );
    check_basic(
        r#"{"test_type": "TSUNAMI", "test_message_delay": "1h", "message_count_per_driver": 10000, "target": "http://h"}"#,
        expect![[r#"
            basic form: message_count_per_driver: 10000 requests that far apart take 416 days, more than 30d [absurd]
        "#]],
    );
}

#[test]
fn quick_loads() {
    check_quick(
        &Quick { rate: Some("500/s".into()), duration: Some("30s".into()), ..url() },
        expect![[r#"
        version: 1
        name: "GET 127.0.0.1:7701/ping"
        target: "http://127.0.0.1:7701"
        load:
          model: open
          stages:
            - { name: hold, at: 500/s, for: 30s }
        scenarios:
          main:
            steps:
              - get: "/ping"
    "#]],
    );
    check_quick(
        &Quick { requests: Some(10_000), ..url() },
        expect![[r#"
        version: 1
        name: "GET 127.0.0.1:7701/ping"
        target: "http://127.0.0.1:7701"
        load:
          model: avalanche
          requests_per_driver: 10000
        scenarios:
          main:
            steps:
              - get: "/ping"
    "#]],
    );
    check_quick(
        &Quick {
            requests: Some(10_000),
            connections: Some(8),
            method: Some("post".into()),
            headers: vec!["Accept: text/html".into(), "x-a:b: \"c\"".into()],
            body: Some("line\n\"two\" {}: ü\u{7f}".into()),
            timeout: Some("1500ms".into()),
            seed: Some(7),
            ..url()
        },
        expect![[r#"
            version: 1
            name: "POST 127.0.0.1:7701/ping"
            target: "http://127.0.0.1:7701"
            seed: 7
            load:
              model: avalanche
              requests_per_driver: 10000
              connections: 8
            scenarios:
              main:
                steps:
                  - post: "/ping"
                    headers:
                      "Accept": "text/html"
                      "x-a": "b: \"c\""
                    body: "line\n\"two\" {}: ü"
                    timeout: 1500ms
        "#]],
    );
}

#[test]
fn quick_users_and_protocols() {
    check_quick(
        &Quick {
            url: "https://h:8443/a?b=c".into(),
            users: Some(50),
            requests: Some(1000),
            http2: true,
            insecure: true,
            ..Quick::default()
        },
        expect![[r#"
            version: 1
            name: "GET h:8443/a?b=c"
            target: "https://h:8443"
            http: 2
            tls: { insecure: true }
            load:
              model: closed
              users: 50
              iterations: 1000
            scenarios:
              main:
                steps:
                  - get: "/a?b=c"
        "#]],
    );
    check_quick(
        &Quick { url: "unix:/run/app.sock:/ping".into(), requests: Some(5), ..Quick::default() },
        expect![[r#"
            version: 1
            name: "GET localhost/ping"
            target: "unix:/run/app.sock"
            load:
              model: avalanche
              requests_per_driver: 5
            scenarios:
              main:
                steps:
                  - get: "/ping"
        "#]],
    );
    check_quick(
        &Quick { insecure: true, requests: Some(5), ..url() },
        expect![[r#"
        swell run: --insecure: --insecure goes with an https URL [usage]
    "#]],
    );
    check_quick(
        &Quick { users: Some(0), requests: Some(0), ..url() },
        expect![[r#"
        swell run: --users: the number of users must be at least 1 [zero]
        swell run: --requests: the number of requests must be at least 1 [zero]
    "#]],
    );
    check_quick(
        &Quick { users: Some(5), requests: Some(5), duration: Some("3s".into()), ..url() },
        expect![[r#"
            swell run: options: these options do not make a load together [usage]
              give --rate and --for, --users and --for or --requests, or --requests and, if wanted, --connections
        "#]],
    );
    check_quick(
        &Quick { users: Some(5), requests: Some(5), connections: Some(5), ..url() },
        expect![[r#"
        swell run: options: these options do not make a load together [usage]
          give --rate and --for, --users and --for or --requests, or --requests and, if wanted, --connections
    "#]],
    );
    check_quick(
        &Quick { users: Some(5), ..url() },
        expect![[r#"
        swell run: options: these options do not make a load together [usage]
          give --rate and --for, --users and --for or --requests, or --requests and, if wanted, --connections
    "#]],
    );
}

#[test]
fn quick_usage() {
    check_quick(
        &url(),
        expect![[r#"
            swell run: options: these options do not make a load together [usage]
              give --rate and --for, --users and --for or --requests, or --requests and, if wanted, --connections
        "#]],
    );
    check_quick(
        &Quick { rate: Some("500/s".into()), requests: Some(5), ..url() },
        expect![[r#"
            swell run: options: these options do not make a load together [usage]
              give --rate and --for, --users and --for or --requests, or --requests and, if wanted, --connections
        "#]],
    );
    check_quick(
        &Quick { rate: Some("500/s".into()), ..url() },
        expect![[r#"
            swell run: options: these options do not make a load together [usage]
              give --rate and --for, --users and --for or --requests, or --requests and, if wanted, --connections
        "#]],
    );
    check_quick(
        &Quick { connections: Some(5), ..url() },
        expect![[r#"
            swell run: options: these options do not make a load together [usage]
              give --rate and --for, --users and --for or --requests, or --requests and, if wanted, --connections
        "#]],
    );
    check_quick(
        &Quick { users: Some(5), duration: Some("3s".into()), ..url() },
        expect![[r#"
            version: 1
            name: "GET 127.0.0.1:7701/ping"
            target: "http://127.0.0.1:7701"
            load:
              model: closed
              stages:
                - { name: hold, users: 5, for: 3s }
            scenarios:
              main:
                steps:
                  - get: "/ping"
        "#]],
    );
    check_quick(
        &Quick { users: Some(5), rate: Some("5/s".into()), duration: Some("3s".into()), ..url() },
        expect![[r#"
            swell run: options: these options do not make a load together [usage]
              give --rate and --for, --users and --for or --requests, or --requests and, if wanted, --connections
        "#]],
    );
}

#[test]
fn quick_faults_all_at_once() {
    check_quick(
        &Quick {
            url: "https://h".into(),
            rate: Some("500".into()),
            duration: Some("0s".into()),
            method: Some("GTE".into()),
            headers: vec!["no colon".into(), "host: x".into(), "a: b\nc".into()],
            timeout: Some("-1s".into()),
            ..Quick::default()
        },
        expect![[r#"
            swell run: --rate: the rate needs a unit [missing_unit]
              write 500/s
            swell run: --for: the length must be more than zero [zero]
            swell run: --method: the method cannot be "GTE" [unknown_value]
              did you mean "get"?
            swell run: --header: a header has a colon [bad_header]
              write it like "accept: text/html"
            swell run: --header: the header "host" is written by the engine [reserved_header]
              leave it out
            swell run: --header: a header's value stands on one line [bad_header]
            swell run: --timeout: the timeout cannot be negative [negative]
        "#]],
    );
    check_quick(
        &Quick { requests: Some(0), connections: Some(100_000), ..url() },
        expect![[r#"
        swell run: --requests: the number of requests must be at least 1 [zero]
        swell run: --connections: the number of connections can be at most 65000 [absurd]
    "#]],
    );
}

#[test]
fn what_is_typed_arrives_unchanged() {
    let odd = [
        "\"", "\\", "'", "\n", "\r\n", "\t", "\0", "\u{7f}", "\u{85}", "\u{2028}", "\u{feff}", "ü", "😀",
        "#", ": ", "{", "|", "%", " ",
    ];
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let body: String = (0..rng.usize(1..12)).map(|_| odd[rng.usize(0..odd.len())]).collect();
        if body.contains("{{") {
            continue;
        }
        let quick =
            Quick { requests: Some(1), method: Some("PUT".into()), body: Some(body.clone()), ..url() };
        let made = plan::quick(&quick);
        let made = made.unwrap_or_else(|faults| panic!("seed {seed}: {body:?} {faults:?}"));
        assert_eq!(
            made.scenarios[0].steps[0].body,
            plan::Body::Text(body.clone().into()),
            "seed {seed}: {body:?}"
        );
    }
}
