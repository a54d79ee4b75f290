//! A plan that is shown is the plan that is run.

use plan::{Given, Plan};

const FULL: &str = include_str!("full.yaml");

fn given<'g>() -> Given<'g> {
    Given { target: None, variables: &[], env: &|_| None, include: &|_| Err("there is none".to_owned()) }
}

fn shown(text: &str) -> plan::Shown {
    plan::show("p", text, &given()).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"))
}

/// A plan without what tells its texts apart: places, and a default that is written.
fn bare(text: &str) -> String {
    let mut plan: Plan = plan::parse("p", text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"));
    plan.source = String::new();
    for step in plan.scenarios.iter_mut().flat_map(|scenario| &mut scenario.steps) {
        step.expect.status.get_or_insert_with(|| vec![200..=399]);
    }
    let places =
        |line: &str| !line.trim_start().starts_with("line: ") && !line.trim_start().starts_with("column: ");
    format!("{plan:#?}").lines().filter(|line| places(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_shown_is_the_same_plan() {
    let plans = [
        FULL.to_owned(),
        with("model: avalanche, requests_per_driver: 10"),
        with("model: avalanche, requests_per_driver: 10, connections: 5"),
        with("model: tsunami, requests_per_driver: 10, delay: 20ms, connections: { per: iteration }"),
        with(
            "model: closed, users: 5, iterations: 10, think_time: 1s..2s, connections: { per: user, max: 5 }",
        ),
        with("model: closed, stages: [{ users: 5, for: 3s }, { name: x, from: 5, to: 0, over: 3s }]"),
        with("model: open, stages: [{ at: 5/s, for: 3s }], connections: { max: 3 }"),
    ];
    for text in plans {
        let shown = shown(&text);
        assert!(bare(&shown.yaml) == bare(&text), "{}", shown.yaml);
        let json: serde_json::Value = serde_json::from_str(&shown.json).unwrap_or_default();
        assert!(json["origins"]["/name"].is_string(), "{}", shown.json);
        let (_, plan) = shown.json.split_once("\"plan\": ").unwrap_or_default();
        let (plan, _) = plan.split_once(",\n  \"origins\"").unwrap_or_default();
        assert!(bare(plan) == bare(&text), "{plan}");
    }
}

fn with(load: &str) -> String {
    format!(
        "version: 1\nname: \"a: b # c\"\ntarget: http://h\nload: {{ {load} }}\n\
         data: {{ a: {{ rows: 5, columns: {{ x: \"{{{{ row }}}}\" }}, pick: random }}, b: {{ file: b.csv }} }}\n\
         scenarios:\n  \"one: 1\":\n    steps:\n      - {{ get: \"/a?b=c\", headers: {{ x: \"- 5\", y: \"\", z: \"# n\" }} }}\n      \
         - {{ post: /b, json: {{ a: \"5\", b: 5, c: null, d: \"null\", e: [], f: {{}}, g: [[1], {{ h: true }}] }} }}\n      \
         - {{ get: \"/{{{{ a.x }}}}\", name: c }}\n"
    )
}

#[test]
fn each_value_has_its_origin() {
    let text = with("model: open, stages: [{ at: 5/s, for: 3s }]");
    let shown = shown(&text).yaml;
    for line in shown.lines() {
        let is_scalar = !line.ends_with(':') && !line.ends_with("[]") && !line.ends_with("{}");
        assert!(!is_scalar || line.contains("  # "), "no origin: {line}\n{shown}");
    }
}
