//! What can be done with a plan before it is run: preview, show, templates to start from, the schema for editors.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::fs;
use std::path::Path;

use expect_test::{Expect, expect};
use serde_json::Value;
use support::{Process, Target, err, out, run, swell};
use tempfile::tempdir;
use unicode_width::UnicodeWidthStr;

const PLAN: &str = r#"version: 1
name: peak
include: [shared.yaml]
target: http://127.0.0.1:9
variables: { rate: 100/s }
load:
  model: open
  stages:
    - { name: warmup, from: 0/s, to: "{{ rate }}", over: 30s, warmup: true }
    - { name: hold, at: "{{ rate }}", for: 1m }
    - { name: peak, at: 400/s, for: 30s }
data:
  people: { file: people.csv, pick: once }
scenarios:
  browse:
    weight: 3
    steps:
      - get: /items
        query: { q: "{{ word }}" }
      - { get: /more, when: "iteration > 5" }
  buy:
    steps:
      - use: login
      - repeat: 2
        steps: [{ post: /cart, json: { item: 7 } }]
"#;

const SHARED: &str = r#"variables: { word: lamp }
fragments:
  login:
    - { post: /login, json: { user: "{{ people.name }}", password: "{{ secret.PASSWORD }}", from: "{{ env.SHOW_REGION }}" } }
"#;

fn write(folder: &Path) {
    fs::write(folder.join("p.plan.yaml"), PLAN).unwrap();
    fs::write(folder.join("shared.yaml"), SHARED).unwrap();
    fs::write(folder.join("people.csv"), "name\n".to_owned() + &"ada\n".repeat(1000)).unwrap();
}

/// What `swell` says to `arguments` in a folder with the plan above.
fn said(arguments: &[&str]) -> String {
    let folder = tempdir().unwrap();
    write(folder.path());
    let mut command = swell();
    command.args(arguments).current_dir(folder.path());
    command.env("SHOW_REGION", "eu-1").env("SWELL_SECRET_PASSWORD", "hunter2");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    out(&output)
}

fn check(arguments: &[&str], expected: &Expect) {
    let said = said(arguments);
    assert!(!said.contains("hunter2"), "a secret is told: {said}");
    expected.assert_eq(&said);
}

#[test]
fn a_preview_draws_and_counts() {
    check(
        &["plan", "preview", "p.plan.yaml", "--drivers", "2"],
        &expect![[r#"
        peak   open, uniform arrivals, 2 drivers
        to http://127.0.0.1:9

        400/s ┤                                                      ██████████████████
              │                                                      ██████████████████
              │                                                      ██████████████████
              │                                                      ██████████████████
        200/s ┤                                                      ██████████████████
              │                                                      ██████████████████
              │             ░░░░░██████████████████████████████████████████████████████
              │░░░░░░░░░░░░░░░░░░██████████████████████████████████████████████████████
            0 └┬─────────────────┬───────────────────────────────────┬─────────────────
               warmup            hold                                peak
               00:00             00:30                               01:30        02:00
               ░ warm-up: shown, but left out of the summary

        Stage    per second   takes   iterations
        warmup      0 → 100   00:30        1,500   warm-up
        hold            100   01:00        6,000
        peak            400   00:30       12,000

        In all                                          fleet                 per driver
        duration                                        02:00
          of it warm-up                                 00:30
        iterations                                     19,500                      9,750
        requests                             29,250 to 43,875           14,625 to 21,938
        bytes out                        3.27 MiB to 4.27 MiB       1.63 MiB to 2.14 MiB
        iterations at the peak                          400/s                      200/s
        requests at the peak                   600/s to 900/s             300/s to 450/s
        bandwidth out at the peak    68.7 KiB/s to 89.7 KiB/s   34.3 KiB/s to 44.9 KiB/s
        connections from the start                         32                         16
        connections at most                            20,000                     10,000

        Requests      per iteration          fleet    per driver
        GET /items             0.75         14,625         7,313
        GET /more        up to 0.75   up to 14,625   up to 7,313
        POST /login            0.25          4,875         2,438
        POST /cart              0.5          9,750         4,875

        Data
          people: 1,000 rows, each used once; 4,875 needed, 3,875 too few: iterations
            that need one stop when they are used up

        Nothing was sent. What answers weigh and how long they take is not known before
        they come. Bytes are of requests as HTTP/1.1 writes them, without TLS and TCP;
        each expression counts as 16.
    "#]],
    );
}

#[test]
fn a_preview_fits_the_page_and_knows_what_it_does_not_know() {
    let folder = tempdir().unwrap();
    let preview = |load: &str, more: &[&str]| {
        let plan = format!(
            "version: 1\nname: x\ntarget: http://127.0.0.1:9\nload: {{ {load} }}\n\
             data: {{ ids: {{ rows: 10, columns: {{ id: \"{{{{ row }}}}\" }}, pick: once }} }}\n\
             scenarios: {{ s: {{ steps: [{{ get: \"/{{{{ ids.id }}}}\", name: one }}] }} }}\n"
        );
        fs::write(folder.path().join("x.yaml"), plan).unwrap();
        let output = run(&[&["plan", "preview", "x.yaml"], more].concat(), folder.path());
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        let said = out(&output);
        said.lines().for_each(|line| assert!(line.width() <= 80, "too wide: {line}\n{said}"));
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let avalanche = preview("model: avalanche, requests_per_driver: 1000", &["--drivers", "3"]);
    assert!(avalanche.contains("until all is done") && avalanche.contains("3,000"), "{avalanche}");
    assert!(avalanche.contains("depends on how fast the target answers"), "{avalanche}");
    let users =
        preview("model: closed, stages: [{ from: 0, to: 500, over: 1m }, { users: 500, for: 1h }]", &[]);
    assert!(users.contains('█') && users.contains("users at most"), "{users}");
    assert!(users.contains("how many are needed depends on the answers"), "{users}");
    let many: Vec<String> = (1..200).map(|n| format!("{{ name: s{n}, at: {n}/s, for: 1s }}")).collect();
    let many = preview(&format!("model: open, stages: [{}]", many.join(", ")), &[]);
    assert!(many.contains("and 149 more"), "{many}");
    assert!(many.contains("19,890 too few"), "{many}");
    let slow = preview("model: open, stages: [{ at: 1/h, for: 30d }]", &["--drivers", "64"]);
    assert!(slow.contains("720"), "{slow}");
    let tsunami = preview("model: tsunami, requests_per_driver: 50, delay: 20ms", &[]);
    assert!(tsunami.contains("50/s"), "{tsunami}");
}

#[test]
fn a_preview_knows_that_a_limit_is_of_requests() {
    let folder = tempdir().unwrap();
    for (load, begun) in [
        ("avalanche, requests_per_driver: 90", "20/s"),
        ("tsunami, requests_per_driver: 90, delay: 1ms", "40/s"),
    ] {
        let plan = format!(
            "version: 1\nname: x\ntarget: http://127.0.0.1:9\n\
             load: {{ model: {load}, target_throughput_per_driver: 40/s }}\n\
             scenarios: {{ s: {{ steps: [ {{ get: /a }}, {{ get: /b }} ] }} }}\n"
        );
        fs::write(folder.path().join("x.yaml"), plan).unwrap();
        let said = out(&run(&["plan", "preview", "x.yaml"], folder.path()));
        let row = |name: &str| said.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        assert!(row("iterations at the peak").ends_with(begun), "{said}");
        assert!(row("requests at the peak").ends_with("40/s"), "{said}");
    }
}

#[test]
fn nothing_is_sent_by_looking() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    write(folder.path());
    for command in ["preview", "show"] {
        let output = run(&["plan", command, "p.plan.yaml", "--target", &target.url], folder.path());
        assert_eq!(output.status.code(), Some(104), "the environment lacks a name: {}", out(&output));
        let mut command = vec!["plan", command, "p.plan.yaml", "--target", &target.url];
        command.extend(["--var", "rate=5/s"]);
        let mut looking = swell();
        looking.args(&command).env("SHOW_REGION", "eu").current_dir(folder.path());
        let output = looking.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        assert!(out(&output).contains(&target.url), "{}", out(&output));
    }
    assert_eq!(target.requests(), 0);
}

#[test]
fn a_plan_is_shown_with_its_origins() {
    check(
        &["plan", "show", "p.plan.yaml", "--var", "rate=50/s"],
        &expect![[r#"
            version: 1                                              # line 1
            name: peak                                              # line 2
            target: http://127.0.0.1:9                              # line 4
            variables:
              word: lamp                                            # shared.yaml:1
              rate: 50/s                                            # --var
            load:
              model: open                                           # line 7
              stages:
                - name: warmup                                      # line 9
                  from: 0/s                                         # line 9
                  to: 50/s                                          # line 9, {{ rate }}
                  over: 30s                                         # line 9
                  warmup: true                                      # line 9
                - name: hold                                        # line 10
                  at: 50/s                                          # line 10, {{ rate }}
                  for: 1m                                           # line 10
                  warmup: false                                     # default
                - name: peak                                        # line 11
                  at: 400/s                                         # line 11
                  for: 30s                                          # line 11
                  warmup: false                                     # default
              connections:
                start: 16                                           # default
                max: 10000                                          # default
              arrivals: uniform                                     # default
            data:
              people:
                file: people.csv                                    # line 13
                pick: once                                          # line 13
                when_exhausted: stop                                # default
            scenarios:
              browse:
                weight: 3                                           # line 16
                steps:
                  - get: /items                                     # line 18
                    query:
                      q: "{{ word }}"                               # line 19
                    name: "GET /items"                              # default
                    expect:
                      status: 200..399                              # default
                    timeout: 30s                                    # default
                    follow_redirects: false                         # default
                    decompress: false                               # default
                    expect_continue: false                          # default
                  - get: /more                                      # line 20
                    when: "iteration > 5"                           # line 20
                    name: "GET /more"                               # default
                    expect:
                      status: 200..399                              # default
                    timeout: 30s                                    # default
                    follow_redirects: false                         # default
                    decompress: false                               # default
                    expect_continue: false                          # default
                cookies: false                                      # default
              buy:
                steps:
                  - use: login                                      # line 23
                  - repeat: 2                                       # line 24
                    steps:
                      - post: /cart                                 # line 25
                        json:
                          item: 7                                   # line 25
                        name: "POST /cart"                          # default
                        expect:
                          status: 200..399                          # default
                        timeout: 30s                                # default
                        follow_redirects: false                     # default
                        decompress: false                           # default
                        expect_continue: false                      # default
                weight: 1                                           # default
                cookies: false                                      # default
            fragments:
              login:
                - post: /login                                      # shared.yaml:4
                  json:
                    user: "{{ people.name }}"                       # shared.yaml:4
                    password: "{{ secret.PASSWORD }}"               # shared.yaml:4
                    from: "{{ env.SHOW_REGION }}"                   # shared.yaml:4
                  name: "POST /login"                               # default
                  expect:
                    status: 200..399                                # default
                  timeout: 30s                                      # default
                  follow_redirects: false                           # default
                  decompress: false                                 # default
                  expect_continue: false                            # default
            env:
              SHOW_REGION: "eu-1"                                   # environment
            on_driver_loss: redistribute                            # default
            http: 1.1                                               # default
            phases: false                                           # default
            events: errors                                          # default
            seed: 1                                                 # default
            on_unready_driver: fail                                 # default
            drain: 30s                                              # default
        "#]],
    );
}

#[test]
fn a_plan_is_shown_as_json() {
    let said = said(&["plan", "show", "p.plan.yaml", "--json", "--target", "http://127.0.0.1:8"]);
    let shown: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(shown["plan"]["target"], "http://127.0.0.1:8");
    assert_eq!(shown["plan"]["load"]["stages"][1]["at"], "100/s");
    let origins = &shown["origins"];
    assert_eq!(origins["/target"], "--target");
    assert_eq!(origins["/load/stages/1/at"], "line 10, {{ rate }}");
    assert_eq!(origins["/env/SHOW_REGION"], "environment");
    assert_eq!(origins["/variables/word"], "shared.yaml:1");
    assert_eq!(origins["/drain"], "default");
}

#[test]
fn templates_are_listed_written_and_kept() {
    let folder = tempdir().unwrap();
    let list = out(&run(&["init"], folder.path()));
    for name in TEMPLATES {
        assert!(list.contains(&format!("  {} ", name.0)), "{list}");
    }
    assert_eq!(run(&["init", "spkie"], folder.path()).status.code(), Some(2));
    assert_eq!(run(&["init", "spike"], folder.path()).status.code(), Some(0));
    fs::write(folder.path().join("spike.plan.yaml"), "mine").unwrap();
    let again = run(&["init", "spike"], folder.path());
    assert_eq!(again.status.code(), Some(104));
    assert!(err(&again).contains("--force overwrites it"), "{}", err(&again));
    assert_eq!(fs::read_to_string(folder.path().join("spike.plan.yaml")).unwrap(), "mine");
    assert_eq!(run(&["init", "spike", "--force"], folder.path()).status.code(), Some(0));
    let printed = out(&run(&["init", "spike", "-o", "-"], folder.path()));
    assert_eq!(fs::read_to_string(folder.path().join("spike.plan.yaml")).unwrap(), printed);
}

/// Each template, and what makes it short.
const TEMPLATES: [(&str, &[&str]); 6] = [
    ("api", &["warmup=500ms", "hold=2s"]),
    ("journey", &["ramp=500ms", "hold=4s", "users=4"]),
    ("spike", &["calm=500ms", "peak=500ms", "rise=500ms", "crowd=50/s"]),
    ("soak", &["ramp=500ms", "hold=2s"]),
    ("breakpoint", &["rise=2s", "most=100/s", "slow=20s"]),
    ("stress", &["each=500ms", "usual=10/s", "more=20/s", "most=40/s"]),
];

#[test]
fn every_template_is_sound_and_runs_against_the_shop() {
    let folder = tempdir().unwrap();
    let mut shop =
        Process::start("shop", swell().args(["target", "--shop", "--listen", "127.0.0.1:0"]), folder.path());
    let url = shop.line_after("target on ");
    for (name, variables) in TEMPLATES {
        let file = format!("{name}.plan.yaml");
        assert_eq!(run(&["init", name], folder.path()).status.code(), Some(0), "{name}");
        let checked = run(&["check", &file], folder.path());
        assert_eq!(checked.status.code(), Some(0), "{name}: {}", err(&checked));
        let mut arguments = vec!["run", &file, "--target", &url, "-o", "json=result.json"];
        variables.iter().for_each(|variable| arguments.extend(["--var", variable]));
        let ran = run(&arguments, folder.path());
        // Times are those of a machine that does much else, so thresholds may break; answers must be right.
        assert!(matches!(ran.status.code(), Some(0 | 99)), "{name}: {}{}", out(&ran), err(&ran));
        let summary: Value =
            serde_json::from_str(&fs::read_to_string(folder.path().join("result.json")).unwrap()).unwrap();
        let requests = &summary["requests"];
        assert!(requests["succeeded"].as_u64().unwrap() > 5, "{name}: {summary:#}");
        assert_eq!(requests["failed"], 0, "{name}: {}", out(&ran));
    }
}

#[test]
fn the_schema_is_printed() {
    let folder = tempdir().unwrap();
    let schema: Value = serde_json::from_str(&out(&run(&["schema", "plan"], folder.path()))).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(schema["properties"]["load"]["description"].is_string(), "{schema:#}");
}
