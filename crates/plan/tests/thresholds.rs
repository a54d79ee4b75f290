//! Thresholds: each row is what a plan says, and what is made of it or told about it.

use expect_test::{Expect, expect};
use plan::threshold::{Measure, Scope};

/// A plan whose load is open, with a warm-up and phases.
const OPEN: &str = "version: 1
name: p
target: http://127.0.0.1
phases: true
load:
  model: open
  stages:
    - { name: warmup, at: 5/s, for: 5s, warmup: true }
    - { at: 10/s, for: 10s }
    - { name: hold, at: 10/s, for: 10s }
scenarios:
  browse: { steps: [ get: /a, get: /b, { get: /both, name: both }, get: /a ] }
  buy: { steps: [ { post: /cart, name: \"add, 'now' < 1\" }, { get: /both, name: both } ] }
  read: { steps: [ get: /c, get: /d ] }
thresholds:
";

const AVALANCHE: &str = "version: 1
name: p
target: http://127.0.0.1
load: { model: avalanche, requests_per_driver: 9 }
scenarios: { s: { steps: [ get: / ] } }
thresholds:
";

/// What is made of `lines` behind a plan.
fn said(plan: &str, lines: &str) -> String {
    match plan::parse("p.yaml", &format!("{plan}{lines}")) {
        Ok(plan) => plan
            .thresholds
            .iter()
            .map(|threshold| {
                let of = match &threshold.scope {
                    Scope::Run => "run".to_owned(),
                    Scope::Rows(rows) => format!("{:?}", rows.iter().map(|row| row.0).collect::<Vec<_>>()),
                    Scope::Stage(stage) => format!("stage {}", stage.0),
                };
                let measure = match threshold.measure {
                    Measure::Time(metric, statistic) => format!("{} {statistic:?}", metric.as_str()),
                    other => format!("{other:?}"),
                };
                let unit = threshold.measure.unit().unwrap_or_default();
                let hold = threshold.hold_s.map_or(String::new(), |hold_s| format!(" for {hold_s} s"));
                let abort = if threshold.abort { " abort" } else { "" };
                let no_data = if threshold.allow_no_data { " allow_no_data" } else { "" };
                format!(
                    "{measure} of {} {of} {} {}{unit}{hold}{abort}{no_data}\n",
                    threshold.scope_name, threshold.operator, threshold.limit
                )
            })
            .collect(),
        Err(faults) => faults.iter().map(|fault| format!("{fault}\n    | {}\n", fault.text)).collect(),
    }
}

fn check(plan: &str, lines: &str, expect: Expect) {
    expect.assert_eq(&said(plan, lines));
}

#[test]
fn all_forms() {
    check(
        OPEN,
        r#"  - p99 < 250ms
  - p99.99<=1.5s
  - response_time.p50 < 10ms
  - service_time.mean < 10ms
  - send_lag.p99.9 of stage "hold" < 1ms
  - connection_wait.max < 1ms
  - iteration_time.median < 2s
  - tls.min of "GET /a" > 1us
  - p99.9 of "GET /a" < 800ms for 10s, abort
  - "p99 of 'GET /a' < 1s"
  - 'p99 of "add, ''now'' < 1" < 1s , allow_no_data,abort'
  - p99 of scenario "read" < 1s
  - p99 of step "both" < 1s
  - p99 of stage "stage 2"   <   1s
  - error_rate < 0.5%
  - error_rate of "GET /a" <= 0%
  - achieved_rate >= 99%
  - achieved_rate of stage "hold" >= 99 %
  - rate > 600/min for 1m
  - rate of "GET /a" >= 0/s
  - count of "GET /a" >= 100
  - count <= 100, abort
"#,
        expect![[r#"
            response_time Percentile(990000) of run run < 250ms
            response_time Percentile(999900) of run run <= 1500ms
            response_time Percentile(500000) of run run < 10ms
            service_time Mean of run run < 10ms
            send_lag Percentile(999000) of stage hold stage 2 < 1ms
            connection_wait Max of run run < 1ms
            iteration_time Percentile(500000) of run run < 2000ms
            tls Min of step GET /a [0] > 0.001ms
            response_time Percentile(999000) of step GET /a [0] < 800ms for 10 s abort
            response_time Percentile(990000) of step GET /a [0] < 1000ms
            response_time Percentile(990000) of step add, 'now' < 1 [3] < 1000ms abort allow_no_data
            response_time Percentile(990000) of scenario read [4, 5] < 1000ms
            response_time Percentile(990000) of step both [2] < 1000ms
            response_time Percentile(990000) of stage stage 2 stage 1 < 1000ms
            ErrorRate of run run < 0.5%
            ErrorRate of step GET /a [0] <= 0%
            AchievedRate of run run >= 99%
            AchievedRate of stage hold stage 2 >= 99%
            Rate of run run > 10/s for 60 s
            Rate of step GET /a [0] >= 0/s
            Count of step GET /a [0] >= 100
            Count of run run <= 100 abort
        "#]],
    );
}

#[test]
fn what_is_wrong_is_told_at_its_place() {
    check(
        OPEN,
        r#"  - p99 < 250
  - p99 < 1%
  - p99 < 5/s
  - rate > 5ms
  - rate > 5
  - rate > 5/parsec
  - count > 5/s
  - count > 1.5
  - error_rate < 1
  - error_rate < 101%
  - error_rate < x%
  - error_rate < -1%
  - p100 < 1s
  - p0 < 1s
  - p99_9 < 1s
  - maen < 1s
  - servce_time.p99 < 1s
  - service_time.maxx < 1s
  - service_time.count < 5
  - p99 of "GET /aa" < 1s
  - p99 of stage "hodl" < 1s
  - p99 of stage "warmup" < 1s
  - p99 of scenario "brows" < 1s
  - p99 of scenario "browse" < 1s
  - p99 of group "checkout" < 1s
  - p99 of tag "read" < 1s
  - p99 of steps "GET /a" < 1s
  - send_lag.p99 of "GET /a" < 1ms
  - iteration_time.p99 of scenario "read" < 1s
  - achieved_rate of step "GET /a" > 99%
  - count < 10 for 5s
  - count > 10, abort
  - p99 < 1s for 1500ms
  - p99 < 1s for 0s
  - p99 < 1s for ever
"#,
        expect![[r#"
            p.yaml:16:11: the limit needs a unit [missing_unit]
              write 250s or 250ms
                | 250
            p.yaml:17:11: a threshold of this kind is compared with a time [threshold_unit]
              write 250ms or 2s
                | 1%
            p.yaml:18:11: a threshold of this kind is compared with a time [threshold_unit]
              write 250ms or 2s
                | 5/s
            p.yaml:19:12: a threshold of this kind is compared with a rate [threshold_unit]
              write 500/s or 30/min
                | 5ms
            p.yaml:20:12: the limit needs a unit [missing_unit]
              write 5/s
                | 5
            p.yaml:21:12: the limit must be a rate such as 500/s [bad_rate]
              units are /s, /min and /h
                | 5/parsec
            p.yaml:22:13: a threshold of this kind is compared with a number of requests [threshold_unit]
              write it without a unit
                | 5/s
            p.yaml:23:13: the limit must be a whole number [not_a_number]
                | 1.5
            p.yaml:24:18: a threshold of this kind is compared with percent [threshold_unit]
              write 0.5%
                | 1
            p.yaml:25:18: the limit can be at most 100% [absurd]
                | 101%
            p.yaml:26:18: a threshold of this kind is compared with percent [threshold_unit]
              write 0.5%
                | x%
            p.yaml:27:18: the limit cannot be negative [negative]
                | -1%
            p.yaml:28:5: there is no statistic "p100" [unknown_statistic]
              percentiles are p0.0001 to p99.9999, such as p50, p99 and p99.9
                | p100
            p.yaml:29:5: there is no statistic "p0" [unknown_statistic]
              percentiles are p0.0001 to p99.9999, such as p50, p99 and p99.9
                | p0
            p.yaml:30:5: there is no statistic "p99_9" [unknown_statistic]
              percentiles are p0.0001 to p99.9999, such as p50, p99 and p99.9
                | p99_9
            p.yaml:31:5: there is no statistic "maen" [unknown_statistic]
              did you mean "mean"?
                | maen
            p.yaml:32:5: there is no metric "servce_time" [unknown_metric]
              did you mean "service_time"?
                | servce_time.p99
            p.yaml:33:5: there is no statistic "maxx" [unknown_statistic]
              did you mean "max"?
                | service_time.maxx
            p.yaml:34:5: count is of requests, not of a time [threshold_metric]
              write count alone
                | service_time.count
            p.yaml:35:13: the plan has no step "GET /aa" [unknown_step]
              known here: GET /a, GET /b, both, add, 'now' < 1, GET /c, GET /d
                | GET /aa
            p.yaml:36:19: the plan has no stage "hodl" [unknown_stage]
              did you mean "hold"?
                | hodl
            p.yaml:37:19: stage "warmup" is a warm-up, and thresholds leave those out [threshold_scope]
              leave `warmup` out of the stage
                | warmup
            p.yaml:38:22: the plan has no scenario "brows" [unknown_scenario]
              did you mean "browse"?
                | brows
            p.yaml:39:22: scenarios "browse" and "buy" share the row "both" [shared_row]
              give the steps names of their own
                | browse
            p.yaml:40:19: the plan has no group "checkout" [unknown_group]
              it has none at all
                | checkout
            p.yaml:41:17: the plan has no tag "read" [unknown_tag]
              it has none at all
                | read
            p.yaml:42:12: there are no thresholds of a "steps" [unknown_kind]
              did you mean "step"?
                | steps
            p.yaml:43:22: send_lag is kept of the run and its stages, not of a step [threshold_scope]
              leave the step out, or name a stage
                | GET /a
            p.yaml:44:27: iteration_time is kept of the run and its stages, not of a scenario [threshold_scope]
              leave the step out, or name a stage
                | scenario
            p.yaml:45:22: achieved_rate is kept of the run and its stages, not of a step [threshold_scope]
              leave the step out, or name a stage
                | step
            p.yaml:46:20: a count is of the whole run [threshold_for]
              write `rate` for requests of each second
                | 5s
            p.yaml:47:17: whether a count gets there is known only at the end [threshold_abort]
              leave `abort` out
                | abort
            p.yaml:48:18: a threshold is judged second by second [threshold_for]
              write whole seconds behind `for`
                | 1500ms
            p.yaml:49:18: the time behind `for` must be more than zero [zero]
                | 0s
            p.yaml:50:18: the time behind `for` must be a time such as 30s [bad_duration]
              units are ns, us, ms, s, m, h and d
                | ever
        "#]],
    );
}

#[test]
fn what_is_no_threshold() {
    check(
        OPEN,
        r#"  - p99
  - p99 250ms
  - p99 == 250ms
  - p99 <
  - < 250ms
  - p99 of < 250ms
  - p99 of cart < 250ms
  - p99 of "cart < 250ms
  - p99 of step cart "x" < 250ms
  - p99 < 250ms, abrot
  - p99 < 250ms,
  - ""
  - { p99: 250ms }
  - 5
  - >
    p99 of "GET /aa"
    < 1s
  - "p99 of \"GET /aa\" < 1s"
"#,
        expect![[r#"
            p.yaml:16:5: a threshold compares: here belongs <, <=, > or >= [bad_threshold]
              write it like: p99 of "GET /cart" < 800ms for 10s, abort
                | p99
            p.yaml:17:9: a threshold compares: here belongs <, <=, > or >= [bad_threshold]
              write it like: p99 of "GET /cart" < 800ms for 10s, abort
                | 250ms
            p.yaml:18:9: a threshold compares with <, <=, > or >= [bad_threshold]
              write it like: p99 of "GET /cart" < 800ms for 10s, abort
                | ==
            p.yaml:19:9: a threshold compares with a value [bad_threshold]
              write it like: p99 of "GET /cart" < 800ms for 10s, abort
                | <
            p.yaml:20:5: a threshold begins with a statistic [bad_threshold]
              write it like: p99 of "GET /cart" < 800ms for 10s, abort
                | < 250ms
            p.yaml:21:12: a name stands in quotes behind `of` [bad_threshold]
              write it like: p99 of "GET /cart" < 800ms for 10s, abort
                | < 250ms
            p.yaml:22:12: a name stands in quotes behind `of` [bad_threshold]
              write it like: p99 of "GET /cart" < 800ms for 10s, abort
                | cart < 250ms
            p.yaml:23:12: the name's second quote is missing [bad_threshold]
              write it like: p99 of "GET /cart" < 800ms for 10s, abort
                | "cart < 250ms
            p.yaml:24:12: there are no thresholds of a "step cart" [unknown_kind]
              known here: step, stage, scenario, group, tag
                | step cart
            p.yaml:25:18: a threshold has no "abrot" [bad_threshold]
              did you mean "abort"?
                | abrot
            p.yaml:26:5: nothing follows a comma [bad_threshold]
              write it like: p99 of "GET /cart" < 800ms for 10s, abort
                | p99 < 250ms,
            p.yaml:27:5: a threshold begins with a statistic [bad_threshold]
              write it like: p99 of "GET /cart" < 800ms for 10s, abort
                | 
            p.yaml:28:5: a threshold must be text [wrong_kind]
              a text with a colon in it stands in quotes
                | { p99: 250ms }
            p.yaml:29:5: a threshold compares: here belongs <, <=, > or >= [bad_threshold]
              write it like: p99 of "GET /cart" < 800ms for 10s, abort
                | 5
            p.yaml:31:13: the plan has no step "GET /aa" [unknown_step]
              known here: GET /a, GET /b, both, add, 'now' < 1, GET /c, GET /d
                | GET /aa
            p.yaml:33:5: the plan has no step "GET /aa" [unknown_step]
              known here: GET /a, GET /b, both, add, 'now' < 1, GET /c, GET /d
                | GET /aa
        "#]],
    );
    check(
        OPEN,
        "  [ p99 < 1s, abort ]\n",
        expect![[r#"
            p.yaml:16:15: "abort" belongs to a threshold [bad_threshold]
              in a list in brackets a threshold with a comma stands in quotes
                | abort
        "#]],
    );
    check(
        OPEN,
        "  p99 < 1s\n",
        expect![[r#"
        p.yaml:16:3: thresholds must be a list [wrong_kind]
            | p99 < 1s
    "#]],
    );
    check(OPEN, "  []\n", expect![[r#""#]]);
    check(
        OPEN,
        &"  - p99 < 1s\n".repeat(101),
        expect![[r#"
        p.yaml:16:3: a plan has at most 100 thresholds [absurd]
            | - p99 < 1s
    "#]],
    );
}

#[test]
fn what_the_load_does_not_have() {
    check(
        AVALANCHE,
        r#"  - achieved_rate > 99%
  - p99 of stage "avalanche" < 1s
  - waiting.p99 < 1s
  - rate > 100/s
"#,
        expect![[r#"
            p.yaml:7:5: only open loads have a planned rate to achieve [not_for_this_model]
              write `rate` with requests per second
                | achieved_rate
            p.yaml:8:19: the plan has no stage "avalanche" [unknown_stage]
              it has none at all
                | avalanche
            p.yaml:9:5: waiting is a phase, and phases are off [phases_off]
              write `phases: true` into the plan
                | waiting.p99
        "#]],
    );
}

#[test]
fn what_could_not_be_read_is_told_once() {
    let plan = "version: 1\nname: p\ntarget: http://127.0.0.1\nphases: perhaps\nload: { model: opne }\n\
                scenarios: { s: { steps: [ gte: / ] } }\nthresholds:\n";
    check(
        plan,
        "  - p99 of \"x\" < 1s\n  - p99 of stage \"x\" < 1s\n  - p99 of scenario \"x\" < 1s\n  \
         - tls.p99 < 1s\n  - achieved_rate > 5%\n  - p99 < 5\n",
        expect![[r#"
            p.yaml:4:9: phases must be true or false [wrong_kind]
                | perhaps
            p.yaml:5:16: the model cannot be "opne" [unknown_value]
              did you mean "open"?
                | opne
            p.yaml:6:28: a step has no key "gte" [unknown_key]
              did you mean "get"?
                | gte
            p.yaml:6:28: a step needs a method with its path [missing]
              write it like: get: /path
                | gte: / ] } }
            p.yaml:13:11: the limit needs a unit [missing_unit]
              write 5s or 5ms
                | 5
        "#]],
    );
}

#[test]
fn a_tag_of_a_row_that_another_step_shares_is_told() {
    let plan = |thresholds: &str| {
        format!(
            "version: 1\nname: p\ntarget: http://h\nload: {{ model: open, stages: [ {{ at: 1/s, for: 1s }} ] }}\n\
             scenarios:\n  s: {{ tags: [ all ], steps: [ {{ get: /a, tags: [ x ] }}, {{ get: /b, name: GET /a, \
             tags: [ y ] }}, {{ get: /c, tags: [ z ] }}, {{ get: /c, tags: [ z ] }} ] }}\nthresholds:\n{thresholds}"
        )
    };
    let sound = plan("  - p99 of tag \"all\" < 1s\n  - p99 of tag \"z\" < 1s\n");
    assert!(plan::parse("p.yaml", &sound).is_ok());
    let faults = plan::parse("p.yaml", &plan("  - count of tag \"x\" > 1\n  - count of tag \"y\" > 1\n"));
    let said: Vec<_> = faults.unwrap_err().iter().map(|fault| (fault.code, fault.message.clone())).collect();
    let of = |tag: &str| {
        ("shared_row", format!("steps with and without the tag \"{tag}\" share the row \"GET /a\""))
    };
    assert_eq!(said, [of("x"), of("y")]);
}

#[test]
fn what_can_never_be() {
    check(
        OPEN,
        "  - error_rate < 0%\n  - rate < 0/s\n  - error_rate <= 0%\n",
        expect![[r#"
        p.yaml:16:18: nothing is less than zero [never_holds]
          write <= for none at all
            | 0%
        p.yaml:17:12: nothing is less than zero [never_holds]
          write <= for none at all
            | 0/s
    "#]],
    );
    let idle = plan::parse(
        "p.yaml",
        &format!(
            "{OPEN}  - p99 < 1s for 20s\n  - p99 < 1s for 21s\n  - p99 of stage \"hold\" < 1s for 11s\n"
        ),
    );
    let warnings = idle.map(|plan| plan.warnings().join("\n")).unwrap_or_default();
    expect![[r#"
        the threshold p99 < 1s for 21s can never be broken: fewer seconds are measured
        the threshold p99 of stage "hold" < 1s for 11s can never be broken: fewer seconds are measured"#]]
    .assert_eq(&warnings);
}
