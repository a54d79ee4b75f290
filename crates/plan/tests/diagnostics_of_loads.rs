//! What is said of faults in a plan's load, model by model.

use expect_test::{Expect, expect};

/// A plan around one load.
fn check_load(load: &str, expect: Expect) {
    let text = format!(
        "version: 1\nname: p\ntarget: http://127.0.0.1\nscenarios: {{ s: {{ steps: [ get: / ] }} }}\nload:\n{load}"
    );
    let said = match plan::parse("p.yaml", &text) {
        Ok(_) => "no fault\n".to_owned(),
        Err(faults) => faults.iter().map(|fault| format!("{fault}\n    | {}\n", fault.text)).collect(),
    };
    expect.assert_eq(&said);
}

#[test]
fn avalanche() {
    check_load(
        "  model: avalanche\n",
        expect![[r#"
        p.yaml:6:3: an avalanche needs "requests_per_driver" [missing]
            | model: avalanche
    "#]],
    );
    check_load(
        "  model: avalanche\n  requests_per_driver: \"5\"\n  connections: 1e3\n",
        expect![[r#"
        p.yaml:7:24: the number of requests must be a whole number [not_a_number]
          leave out the quotes
            | 5
        p.yaml:8:16: the number of connections must be a whole number [not_a_number]
            | 1e3
    "#]],
    );
    check_load(
        "  model: avalanche\n  requests_per_driver: -5\n  connections: 100000\n  target_throughput_per_driver: 0/s\n",
        expect![[r#"
            p.yaml:7:24: the number of requests cannot be negative [negative]
                | -5
            p.yaml:8:16: the number of connections can be at most 65000 [absurd]
                | 100000
            p.yaml:9:33: the target throughput must be more than zero [zero]
                | 0/s
        "#]],
    );
    check_load(
        "  model: avalanche\n  requests_per_driver: 5\n  delay: 3s\n  think_time: 1s\n",
        expect![[r#"
            p.yaml:8:3: an avalanche has no key "delay" [unknown_key]
              known here: model, requests_per_driver, connections, target_throughput_per_driver
                | delay
            p.yaml:9:3: an avalanche has no key "think_time" [unknown_key]
              known here: model, requests_per_driver, connections, target_throughput_per_driver
                | think_time
        "#]],
    );
}

#[test]
fn tsunami() {
    check_load(
        "  model: tsunami\n  requests_per_driver: 1000\n",
        expect![[r#"
        p.yaml:6:3: a tsunami needs "delay" [missing]
            | model: tsunami
    "#]],
    );
    check_load(
        "  model: tsunami\n  requests_per_driver: 1000000000\n  delay: 1m\n",
        expect![[r#"
        p.yaml:6:3: 1000000000 requests that far apart take 213503 days, more than 30d [absurd]
            | model: tsunami
    "#]],
    );
    check_load(
        "  model: tsunami\n  requests_per_driver: 10\n  delay: 0ms\n  max_wait: 2 h\n",
        expect![[r#"
        p.yaml:8:10: the delay must be more than zero [zero]
            | 0ms
        p.yaml:9:13: max_wait must be a time such as 30s [bad_duration]
          units are ns, us, ms, s, m, h and d
            | 2 h
    "#]],
    );
    check_load(
        "  model: tsunami\n  requests_per_driver: 10\n  delay: 1.5ms\n  connections: { start: 5, max: 3, min: 1 }\n",
        expect![[r#"
            p.yaml:9:16: 5 connections at the start are more than 3 at most [out_of_order]
                | { start: 5, max: 3, min: 1 }
            p.yaml:9:36: connections has no key "min" [unknown_key]
              known here: start, max, per, requests, lifetime, streams
                | min
        "#]],
    );
}

#[test]
fn open() {
    check_load(
        "  model: open\n",
        expect![[r#"
        p.yaml:6:3: an open load needs "stages" [missing]
            | model: open
    "#]],
    );
    check_load(
        "  model: open\n  stages: []\n",
        expect![[r#"
            p.yaml:7:11: an open load has at least one stage [missing]
                | []
        "#]],
    );
    check_load(
        "  model: open\n  stages: { at: 5/s, for: 1s }\n",
        expect![[r#"
        p.yaml:7:11: stages must be a list [wrong_kind]
            | { at: 5/s, for: 1s }
    "#]],
    );
    check_load(
        "  model: open\n  arrivals: unifrom\n  stages:\n    - { name: a, at: 5, for: 10 }\n    - { name: a, at: 5/d, for: 31d }\n    \
         - { at: 20000000/s, for: 1s, warmup: yes }\n    - { at: 1/h }\n",
        expect![[r#"
            p.yaml:7:13: arrivals cannot be "unifrom" [unknown_value]
              did you mean "uniform"?
                | unifrom
            p.yaml:9:22: the stage's rate needs a unit [missing_unit]
              write 5/s
                | 5
            p.yaml:9:30: the stage's length needs a unit [missing_unit]
              write 10s or 10ms
                | 10
            p.yaml:10:22: the stage's rate must be a rate such as 500/s [bad_rate]
              units are /s, /min and /h
                | 5/d
            p.yaml:10:32: the stage's length can be at most 30d [absurd]
                | 31d
            p.yaml:11:13: the stage's rate can be at most 10000000/s [absurd]
                | 20000000/s
            p.yaml:11:42: warmup must be true or false [wrong_kind]
                | yes
            p.yaml:12:7: a stage needs "for" [missing]
                | { at: 1/h }
        "#]],
    );
    check_load(
        "  model: open\n  stages:\n    - { name: a, at: 5/s, for: 20d }\n    - { name: a, at: 5/s, for: 20d }\n",
        expect![[r#"
            p.yaml:8:5: the stages take longer than 30d [absurd]
                | - { name: a, at: 5/s, for: 20d }
            p.yaml:9:7: two stages are named "a" [duplicate_name]
                | { name: a, at: 5/s, for: 20d }
        "#]],
    );
    check_load(
        "  model: open\n  stages: [{ at: 5/s, for: 1s, warmup: true }]\n",
        expect![[r#"
        p.yaml:7:11: every stage is a warm-up, so nothing would be in the summary [only_warmup]
            | [{ at: 5/s, for: 1s, warmup: true }]
    "#]],
    );
}

#[test]
fn other_models() {
    check_load(
        "  model: closed\n  stages: [{ users: 50, for: 30s }]\n",
        expect![[r#"
            no fault
        "#]],
    );
    check_load(
        "  model: opne\n",
        expect![[r#"
        p.yaml:6:10: the model cannot be "opne" [unknown_value]
          did you mean "open"?
            | opne
    "#]],
    );
    check_load(
        "  requests_per_driver: 5\n",
        expect![[r#"
            p.yaml:6:3: the load needs "model" [missing]
              known here: avalanche, tsunami, open, closed
                | requests_per_driver: 5
        "#]],
    );
    check_load(
        "  - model: open\n",
        expect![[r#"
        p.yaml:6:3: the load must be a map [wrong_kind]
            | - model: open
    "#]],
    );
}
