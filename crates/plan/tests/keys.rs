//! What is said of faults in stages, users, connections, and the ways to a target: misspelt, of the wrong kind, without
//! a unit, out of range, or at odds with each other. And what is made of them when they are right.

use expect_test::{Expect, expect};
use plan::{Dns, Load, Per, Plan};

fn said(parsed: Result<Plan, Vec<plan::Diagnostic>>) -> String {
    match parsed {
        Ok(_) => "no fault\n".to_owned(),
        Err(faults) => faults.iter().map(|fault| format!("{fault}\n    | {}\n", fault.text)).collect(),
    }
}

fn with_load(load: &str) -> Result<Plan, Vec<plan::Diagnostic>> {
    let head = "version: 1\nname: p\ntarget: http://h\nscenarios: { s: { steps: [ get: / ] } }\nload:\n";
    plan::parse("p.yaml", &format!("{head}{load}"))
}

/// What is said of a plan around one load.
fn check_load(load: &str, expect: Expect) {
    expect.assert_eq(&said(with_load(load)));
}

fn with_top(target: &str, top: &str) -> Result<Plan, Vec<plan::Diagnostic>> {
    let text = format!(
        "version: 1\nname: p\ntarget: {target}\nload: {{ model: avalanche, requests_per_driver: 1 }}\n\
         scenarios: {{ s: {{ steps: [ get: / ] }} }}\n{top}"
    );
    plan::parse("p.yaml", &text)
}

/// What is said of a plan with this target, and these lines at its end.
fn check_top(target: &str, top: &str, expect: Expect) {
    expect.assert_eq(&said(with_top(target, top)));
}

/// What is said of a plan around one scenario.
fn check_scenario(scenario: &str, expect: Expect) {
    let text = format!(
        "version: 1\nname: p\ntarget: http://h\nload: {{ model: avalanche, requests_per_driver: 1 }}\n\
         scenarios:\n  s:\n{scenario}"
    );
    expect.assert_eq(&said(plan::parse("p.yaml", &text)));
}

#[test]
fn ramps() {
    check_load(
        "  model: open\n  stages:\n    - { from: 0/s, to: 500/s, over: 30s, warmup: true }\n    - { from: 500/s, to: 0/s, over: 1m }\n",
        expect![[r#"
            no fault
        "#]],
    );
    check_load(
        "  model: open\n  stages:\n    - { from: 0/s, to: 0/s, over: 30s }\n    - { from: 0, to: 5 }\n    \
         - { at: 5/s, to: 5/s, for: 3s }\n    - { form: 5/s, to: 6/s, over: 3s }\n    - { at: 0/s, for: 3s }\n    \
         - { from: 1/s, to: -5/s, over: 0s }\n    - { at: 1/s, over: 3s }\n",
        expect![[r#"
            p.yaml:8:7: a ramp whose rate is zero at both ends is none [zero]
                | { from: 0/s, to: 0/s, over: 30s }
            p.yaml:9:7: a stage needs "over" [missing]
                | { from: 0, to: 5 }
            p.yaml:9:15: the stage's rate needs a unit [missing_unit]
              write 0/s
                | 0
            p.yaml:9:22: the stage's rate needs a unit [missing_unit]
              write 5/s
                | 5
            p.yaml:10:7: a stage's rate stays, or is a ramp [not_together]
              write `at: 500/s, for: 30s`, or `from: 0/s, to: 500/s, over: 30s`
                | { at: 5/s, to: 5/s, for: 3s }
            p.yaml:11:7: a stage needs "from" [missing]
                | { form: 5/s, to: 6/s, over: 3s }
            p.yaml:11:9: a stage has no key "form" [unknown_key]
              did you mean "from"?
                | form
            p.yaml:12:13: the stage's rate must be more than zero [zero]
                | 0/s
            p.yaml:13:24: the stage's rate cannot be negative [negative]
                | -5/s
            p.yaml:13:36: the stage's length must be more than zero [zero]
                | 0s
            p.yaml:14:7: a stage's rate stays, or is a ramp [not_together]
              write `at: 500/s, for: 30s`, or `from: 0/s, to: 500/s, over: 30s`
                | { at: 1/s, over: 3s }
        "#]],
    );
    check_load(
        "  model: open\n  arrivals: poison\n  stages: [{ from: 1/s, to: 9e9/s, over: 31d }]\n",
        expect![[r#"
        p.yaml:7:13: arrivals cannot be "poison" [unknown_value]
          did you mean "poisson"?
            | poison
        p.yaml:8:29: the stage's rate must be a rate such as 500/s [bad_rate]
          units are /s, /min and /h
            | 9e9/s
        p.yaml:8:42: the stage's length can be at most 30d [absurd]
            | 31d
    "#]],
    );
}

#[test]
fn users() {
    check_load(
        "  model: closed\n  stages:\n    - { users: 50, for: 30s }\n    - { name: up, from: 0, to: 100, over: 1m }\n  \
         think_time: 0s..3s\n  pacing: 5s\n",
        expect![[r#"
            no fault
        "#]],
    );
    check_load(
        "  model: closed\n  users: 5\n  iterations: 100\n  think_time: 1s\n",
        expect![[r#"
        no fault
    "#]],
    );
    check_load(
        "  model: closed\n",
        expect![[r#"
        p.yaml:6:3: a closed load needs "stages" [missing]
            | model: closed
    "#]],
    );
    check_load(
        "  model: closed\n  users: 5\n",
        expect![[r#"
        p.yaml:6:3: a closed load needs "iterations" [missing]
            | model: closed
    "#]],
    );
    check_load(
        "  model: closed\n  iterations: 5\n",
        expect![[r#"
        p.yaml:6:3: a closed load needs "users" [missing]
            | model: closed
    "#]],
    );
    check_load(
        "  model: closed\n  users: 5\n  iterations: 0\n  stages: [{ users: 5, for: 1s }]\n",
        expect![[r#"
            p.yaml:8:15: the number of iterations must be at least 1 [zero]
                | 0
            p.yaml:9:3: a closed load has stages, or users and iterations [not_together]
              a stage says its users and how long: { users: 50, for: 30s }
                | stages
        "#]],
    );
    check_load(
        "  model: closed\n  stages:\n    - { users: 0, for: 30s }\n    - { users: 2000000, for: 30 }\n    \
         - { at: 5/s, for: 1s }\n    - { from: 0, to: 0, over: 1m }\n    - { from: 1.5, to: \"2\", over: 1m }\n",
        expect![[r#"
            p.yaml:8:16: the number of users must be at least 1 [zero]
                | 0
            p.yaml:9:16: the number of users can be at most 1000000 [absurd]
                | 2000000
            p.yaml:9:30: the stage's length needs a unit [missing_unit]
              write 30s or 30ms
                | 30
            p.yaml:10:7: a stage needs "users" [missing]
                | { at: 5/s, for: 1s }
            p.yaml:10:9: a stage has no key "at" [unknown_key]
              known here: name, users, from, for, to, over, warmup
                | at
            p.yaml:11:7: a ramp whose number of users is zero at both ends is none [zero]
                | { from: 0, to: 0, over: 1m }
            p.yaml:12:15: the number of users must be a whole number [not_a_number]
                | 1.5
            p.yaml:12:24: the number of users must be a whole number [not_a_number]
              leave out the quotes
                | 2
        "#]],
    );
    check_load(
        "  model: closed\n  stages: [{ users: 5, for: 1s, warmup: true }]\n  think_tme: 1s\n  max_in_flight: 5\n",
        expect![[r#"
            p.yaml:7:11: every stage is a warm-up, so nothing would be in the summary [only_warmup]
                | [{ users: 5, for: 1s, warmup: true }]
            p.yaml:8:3: a closed load has no key "think_tme" [unknown_key]
              did you mean "think_time"?
                | think_tme
            p.yaml:9:3: a closed load has no key "max_in_flight" [unknown_key]
              known here: model, stages, users, iterations, think_time, pacing, connections, max_wait
                | max_in_flight
        "#]],
    );
    for think_time in ["1", "3s..1s", "1s..", "..3s", "0s", "1s..2h", "[1s, 2s]"] {
        let text = format!("  model: closed\n  users: 5\n  iterations: 5\n  think_time: {think_time}\n");
        assert!(said(with_load(&text)).contains("p.yaml:9:15"), "{}", said(with_load(&text)));
    }
    check_load(
        "  model: closed\n  users: 5\n  iterations: 5\n  think_time: 3s..1s\n  pacing: 1s..2s\n",
        expect![[r#"
        p.yaml:9:15: the think time begins with its longer end [out_of_order]
          write 1s..3s
            | 3s..1s
        p.yaml:10:11: pacing must be a time such as 30s [bad_duration]
          units are ns, us, ms, s, m, h and d
            | 1s..2s
    "#]],
    );
}

#[test]
fn a_number_of_iterations_stays_with_its_drivers() {
    let text = |loss: &str| format!("  model: closed\n  users: 5\n  iterations: 9\n{loss}");
    check_load(
        &text("on_driver_loss: redistribute\n"),
        expect![[r#"
        p.yaml:9:17: the load of a lost driver cannot be redistributed here [not_for_this_model]
          avalanche, tsunami and a number of iterations know continue and abort
            | redistribute
    "#]],
    );
    assert_eq!(with_load(&text("")).unwrap().on_driver_loss, plan::OnDriverLoss::Continue);
    let staged = with_load("  model: closed\n  stages: [{ users: 5, for: 1s }]\n").unwrap();
    assert_eq!(staged.on_driver_loss, plan::OnDriverLoss::Redistribute);
}

#[test]
fn connections() {
    let load = |connections: &str| {
        format!("  model: open\n  stages: [{{ at: 5/s, for: 1s }}]\n  connections: {connections}\n")
    };
    check_load(
        &load("{ max: 5, per: iteration, requests: 100, lifetime: 30s }"),
        expect![[r#"
        no fault
    "#]],
    );
    check_load(
        &load("{ max: 0, per: users, request: 100, requests: 0, lifetime: 30, streams: 5000 }"),
        expect![[r#"
            p.yaml:8:23: the number of connections must be at least 1 [zero]
                | 0
            p.yaml:8:31: per cannot be "users" [unknown_value]
              did you mean "user"?
                | users
            p.yaml:8:38: connections has no key "request" [unknown_key]
              did you mean "requests"?
                | request
            p.yaml:8:62: the requests of a connection must be at least 1 [zero]
                | 0
            p.yaml:8:75: the lifetime of a connection needs a unit [missing_unit]
              write 30s or 30ms
                | 30
            p.yaml:8:79: HTTP/1.1 has no streams [without_effect]
              leave it out, or write `http: 2`
                | streams
            p.yaml:8:88: the streams of a connection can be at most 1000 [absurd]
                | 5000
        "#]],
    );
    check_load(
        &load("{ per: user }"),
        expect![[r#"
        p.yaml:8:23: arrivals have no users that could have connections [not_for_this_model]
          open and tsunami know pool and iteration
            | user
    "#]],
    );
    check_load(
        &load("{ per: iteration, start: 5 }"),
        expect![[r#"
        p.yaml:8:34: only a pool has connections before somebody needs them [not_together]
          leave it out
            | start
    "#]],
    );
    check_load(
        &load("{ streams: 10 }"),
        expect![[r#"
        p.yaml:8:18: HTTP/1.1 has no streams [without_effect]
          leave it out, or write `http: 2`
            | streams
    "#]],
    );
    check_load(
        &format!("{}http: 2\n", load("{ streams: 10 }")),
        expect![[r#"
        no fault
    "#]],
    );
    check_load(
        &load("[1]"),
        expect![[r#"
        p.yaml:8:16: the number of connections must be a whole number [wrong_kind]
            | [1]
    "#]],
    );
    check_load(
        "  model: avalanche\n  requests_per_driver: 5\n  connections: { max: 8, per: user }\n",
        expect![[r#"
        no fault
    "#]],
    );
    check_load(
        "  model: tsunami\n  requests_per_driver: 5\n  delay: 1s\n  connections: { per: user }\n",
        expect![[r#"
        p.yaml:9:23: arrivals have no users that could have connections [not_for_this_model]
          open and tsunami know pool and iteration
            | user
    "#]],
    );
}

#[test]
fn what_connections_become() {
    let connections = |load: &str| *with_load(load).unwrap().workloads[0].connections();
    let closed =
        connections("  model: closed\n  users: 5\n  iterations: 9\n  connections: { per: user, max: 9 }\n");
    assert_eq!((closed.start, closed.max, closed.per), (0, 9, Per::User));
    let avalanche =
        connections("  model: avalanche\n  requests_per_driver: 5\n  connections: { requests: 3 }\n");
    assert_eq!((avalanche.start, avalanche.max, avalanche.requests), (64, 64, Some(3)));
    let few = connections("  model: open\n  stages: [{ at: 5/s, for: 1s }]\n  connections: { max: 3 }\n");
    assert_eq!((few.start, few.max, few.per), (3, 3, Per::Pool));
}

#[test]
fn targets() {
    check_top(
        "[http://a, { url: \"https://b:8443/x\", weight: 3 }, \"unix:/run/app.sock:/base\"]",
        "",
        expect![[r#"
        no fault
    "#]],
    );
    check_top(
        "[{ weight: 3 }, { url: ftp://b, weight: 0, wieght: 1 }, [http://c]]",
        "",
        expect![[r#"
        p.yaml:3:10: a target needs "url" [missing]
            | { weight: 3 }, { url: ftp://b, weight: 0, wieght: 1 }, [http://c]]
        p.yaml:3:32: the target's scheme must be http or https [bad_target]
          write it like http://127.0.0.1:8080
            | ftp://b
        p.yaml:3:49: the weight must be at least 1 [zero]
            | 0
        p.yaml:3:52: a target has no key "wieght" [unknown_key]
          did you mean "weight"?
            | wieght
        p.yaml:3:65: a target must be text [wrong_kind]
            | [http://c]]
    "#]],
    );
    check_top(
        "\"unix:app.sock\"",
        "",
        expect![[r#"
        p.yaml:3:9: a socket is named by its whole path [bad_target]
          write it like unix:/run/app.sock, or unix:/run/app.sock:/base
            | unix:app.sock
    "#]],
    );
    check_top(
        "\"unix:/run/app.sock:base\"",
        "",
        expect![[r#"
        p.yaml:3:9: what follows a socket is a path [bad_target]
          write it like unix:/run/app.sock, or unix:/run/app.sock:/base
            | unix:/run/app.sock:base
    "#]],
    );
    check_top(
        &format!("\"unix:/{}\"", "x".repeat(107)),
        "",
        expect![[r#"
        p.yaml:3:9: the path of a socket has at most 107 bytes [bad_target]
          write it like unix:/run/app.sock, or unix:/run/app.sock:/base
            | unix:/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
    "#]],
    );
    check_top(
        "https://h:",
        "",
        expect![[r#"
        p.yaml:3:18: not YAML: mapping values are not allowed in this context [syntax]
            | target: https://h:
    "#]],
    );
}

#[test]
fn what_targets_become() {
    let plan = with_top(
        "[\"https://[::1]/x/\", { url: \"https://h:8443\", weight: 3 }, \"unix:/run/app.sock:/base\", \"http://h:443\"]",
        "seed: 5\n",
    )
    .unwrap();
    let shown: Vec<(String, String)> =
        plan.targets.iter().map(|target| (target.to_string(), target.authority())).collect();
    expect![[r#"
        [
            (
                "https://[::1]/x",
                "[::1]",
            ),
            (
                "https://h:8443",
                "h:8443",
            ),
            (
                "unix:/run/app.sock:/base",
                "localhost",
            ),
            (
                "http://h:443",
                "h:443",
            ),
        ]
    "#]]
    .assert_eq(&format!("{shown:#?}\n"));
    let again: Vec<_> = shown.iter().map(|(url, _)| with_top(&format!("\"{url}\""), "").unwrap()).collect();
    for (again, target) in again.iter().zip(&plan.targets) {
        assert_eq!(plan::Target { weight: target.weight, ..again.targets[0].clone() }, *target);
    }
    let chosen = (0..60_000).filter(|index| plan.workloads[0].target_of(*index) == 1).count();
    assert!((29_500..30_500).contains(&chosen), "three of six: {chosen}");
    let both = (0..60_000)
        .filter(|index| {
            plan.workloads[0].target_of(*index) == 1 && plan.workloads[0].scenario_of(*index) == 0
        })
        .count();
    assert_eq!(both, chosen, "there is one scenario");
}

#[test]
fn versions_of_http() {
    check_top(
        "http://h",
        "http: 2\n",
        expect![[r#"
        no fault
    "#]],
    );
    check_top(
        "https://h",
        "http: auto\n",
        expect![[r#"
        no fault
    "#]],
    );
    check_top(
        "http://h",
        "http: auto\n",
        expect![[r#"
        p.yaml:6:1: only https targets can choose the version of HTTP [not_together]
          write `http: 1.1` or `http: 2`
            | http
    "#]],
    );
    check_top(
        "https://h",
        "http: 3\n",
        expect![[r#"
            p.yaml:6:7: http cannot be "3" [unknown_value]
              known here: 1.1, 2, auto
                | 3
        "#]],
    );
    check_top(
        "https://h",
        "http: 1\nhtpp: 2\n",
        expect![[r#"
            p.yaml:6:7: http cannot be "1" [unknown_value]
              known here: 1.1, 2, auto
                | 1
            p.yaml:7:1: a plan has no key "htpp" [unknown_key]
              did you mean "http"?
                | htpp
        "#]],
    );
}

#[test]
fn tls() {
    check_top(
        "https://h",
        "tls: { ca: ca.pem, certificate: c.pem, key: k.pem, server_name: shop.example, resumption: false }\n",
        expect![[r#"
            no fault
        "#]],
    );
    check_top(
        "http://h",
        "tls: { insecure: true }\n",
        expect![[r#"
        p.yaml:6:1: no target speaks TLS [without_effect]
          leave it out, or write https://
            | tls
    "#]],
    );
    check_top(
        "https://h",
        "tls: { insecure: yes, ca: a.pem, resumtion: true, certificate: c.pem }\n",
        expect![[r#"
        p.yaml:6:18: insecure must be true or false [wrong_kind]
            | yes
        p.yaml:6:34: tls has no key "resumtion" [unknown_key]
          did you mean "resumption"?
            | resumtion
        p.yaml:6:51: "certificate" needs "key" [missing]
            | certificate
    "#]],
    );
    check_top(
        "https://h",
        "tls: { insecure: true, ca: a.pem, key: \"\", server_name: a b }\n",
        expect![[r#"
        p.yaml:6:24: who takes any certificate needs no authority [not_together]
          leave out ca or insecure
            | ca
        p.yaml:6:35: "key" needs "certificate" [missing]
            | key
        p.yaml:6:40: key names no file [missing]
            | 
        p.yaml:6:57: the server's name is neither a name nor an address [bad_name]
            | a b
    "#]],
    );
    check_top(
        "https://h",
        "tls: true\n",
        expect![[r#"
        p.yaml:6:6: tls must be a map [wrong_kind]
            | true
    "#]],
    );
}

#[test]
fn network() {
    check_top(
        "http://h",
        "network: { source_addresses: [10.0.0.1, \"fd00::1\"], addresses: any, dns: 30s, proxy: \"http://p:3128\" }\n",
        expect![[r#"
            no fault
        "#]],
    );
    check_top(
        "http://h",
        "network: { source_addresses: [10.0.0.1, 10.0.0.1, eth0, \"fd00::1\"], addresses: ipv4, dns: never, proxy: p }\n",
        expect![[r#"
            p.yaml:6:41: the address 10.0.0.1 is there twice [duplicate_key]
                | 10.0.0.1
            p.yaml:6:51: an address to connect from is an IPv4 or IPv6 address [bad_address]
              write it like 10.0.0.1 or "fd00::1"
                | eth0
            p.yaml:6:57: no target's address of the chosen family can be reached from here [not_together]
              choose `addresses: any`, or leave this address out
                | fd00::1
            p.yaml:6:91: dns cannot be "never" [unknown_value]
              known here: start, connection, 30s
                | never
            p.yaml:6:105: the proxy must be a URL [bad_proxy]
              write it like http://10.0.0.1:3128
                | p
        "#]],
    );
    check_top(
        "http://h",
        "network: { source_addresses: [], adresses: ipv4, dns: 30, proxy: \"https://p:1\" }\n",
        expect![[r#"
        p.yaml:6:30: there are 1 to 1000 addresses to connect from [absurd]
            | [], adresses: ipv4, dns: 30, proxy: "https://p:1" }
        p.yaml:6:34: network has no key "adresses" [unknown_key]
          did you mean "addresses"?
            | adresses
        p.yaml:6:55: dns needs a unit [missing_unit]
          write 30s or 30ms
            | 30
        p.yaml:6:66: the proxy's scheme must be http [bad_proxy]
          write it like http://10.0.0.1:3128
            | https://p:1
    "#]],
    );
    check_top(
        "http://h",
        "network: { source_addresses: 10.0.0.1, dns: 0s, proxy: \"http://p\" }\n",
        expect![[r#"
        p.yaml:6:45: dns must be more than zero [zero]
            | 0s
        p.yaml:6:56: the proxy needs a port [bad_proxy]
          write it like http://10.0.0.1:3128
            | http://p
    "#]],
    );
    check_top(
        "http://h",
        "network: { proxy: \"http://me:pw@p:1\" }\n",
        expect![[r#"
        p.yaml:6:19: the proxy cannot hold a user or a password [bad_proxy]
          write it like http://10.0.0.1:3128
            | http://me:pw@p:1
    "#]],
    );
    check_top(
        "http://h",
        "network: { proxy: \"http://p:1/path\" }\n",
        expect![[r#"
        p.yaml:6:19: the proxy has no path [bad_proxy]
          write it like http://10.0.0.1:3128
            | http://p:1/path
    "#]],
    );
    check_top(
        "\"unix:/run/a\"",
        "network: { proxy: \"http://p:1\" }\n",
        expect![[r#"
        p.yaml:6:12: no proxy leads to a Unix socket [not_together]
            | proxy
    "#]],
    );
    let plan =
        with_top("http://h", "network: { dns: 1m, source_addresses: 127.0.0.2 }\nphases: true\n").unwrap();
    assert_eq!(plan.network.dns, Dns::Every(std::time::Duration::from_secs(60)));
    assert_eq!(plan.network.source_addresses, ["127.0.0.2".parse::<std::net::IpAddr>().unwrap()]);
    assert!(plan.phases);
}

#[test]
fn steps() {
    check_scenario(
        "    cookies: true\n    steps:\n      - post: /\n        body: x\n        follow_redirects: 3\n        \
         decompress: true\n        expect_continue: true\n",
        expect![[r#"
            no fault
        "#]],
    );
    check_scenario(
        "    cookies: jar\n    steps:\n      - post: /\n        follow_redirects: -1\n        decompress: 1\n        \
         expect_continue: true\n      - get: /\n        follow_redirects: 1000\n        decompres: true\n      \
         - get: /\n        follow_redirects: yes\n",
        expect![[r#"
            p.yaml:7:14: cookies must be true or false [wrong_kind]
                | jar
            p.yaml:10:27: the number of redirects cannot be negative [negative]
                | -1
            p.yaml:11:21: decompress must be true or false [wrong_kind]
                | 1
            p.yaml:12:9: there is no body that could wait [without_effect]
              leave it out, or give the step a body
                | expect_continue
            p.yaml:14:27: the number of redirects can be at most 50 [absurd]
                | 1000
            p.yaml:15:9: a step has no key "decompres" [unknown_key]
              did you mean "decompress"?
                | decompres
            p.yaml:17:27: follow_redirects must be true or false [wrong_kind]
                | yes
        "#]],
    );
    let plan = with_load("  model: avalanche\n  requests_per_driver: 5\n").unwrap();
    let step = &plan.scenarios[0].steps[0];
    assert_eq!((step.follow_redirects, step.decompress, step.expect_continue), (0, false, false));
    assert!(
        !plan.scenarios[0].cookies
            && !plan.phases
            && matches!(plan.workloads[0].load, Load::Avalanche { .. })
    );
}
