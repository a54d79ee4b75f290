//! Every example in `docs/plan.md` is a plan, or becomes one with what it leaves out.
//!
//! A block that begins with `version:` is whole. One that begins with `# FILE` is a file that others include. A list is the
//! steps of a scenario, anything else some keys of a plan.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeMap;

const DOCUMENT: &str = include_str!("../../../docs/plan.md");

/// Keys without which there is no plan.
const NEEDED: [(&str, &str); 5] = [
    ("version", "1"),
    ("name", "documented"),
    ("target", "http://127.0.0.1:8080"),
    ("load", "{ model: open, stages: [ { name: hold, at: 1/s, for: 1m } ] }"),
    ("scenarios", "{ s: { steps: [ { get: /, name: GET /api/products, tags: [ read ] } ] } }"),
];

/// What lists of steps use of the rest of their plan.
const AROUND: &str = "variables: { size: 20 }\ndata: { users: { file: users.csv } }\n";

/// What steps before them have saved.
const BEFORE: &str = "- get: /before\n  save: { token: $.token, ids: \"$.ids[*]\", user: $.user, next: $.next, state: $.state }\n";

/// Line and text of each block.
fn blocks() -> Vec<(usize, String)> {
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut is_inside = false;
    for (number, line) in DOCUMENT.lines().enumerate() {
        match line {
            "```yaml" => {
                is_inside = true;
                blocks.push((number + 2, String::new()));
            }
            "```" => is_inside = false,
            _ if is_inside => {
                let (_, text) = blocks.last_mut().unwrap();
                text.push_str(line);
                text.push('\n');
            }
            _ => {}
        }
    }
    blocks
}

fn has_key(text: &str, key: &str) -> bool {
    text.lines().any(|line| line.starts_with(&format!("{key}:")))
}

/// The plan that a block is a part of.
fn whole(block: &str) -> String {
    if has_key(block, "version") {
        return block.to_owned();
    }
    let mut plan = match block.starts_with("- ") {
        true => {
            let steps = format!("{BEFORE}{block}");
            let steps: String = steps.lines().map(|line| format!("      {line}\n")).collect();
            format!("{AROUND}scenarios:\n  s:\n    steps:\n{steps}")
        }
        false => block.to_owned(),
    };
    for (key, value) in NEEDED {
        if !has_key(&plan, key) {
            plan += &format!("{key}: {value}\n");
        }
    }
    plan
}

#[test]
fn every_example_is_a_plan() {
    let (files, plans): (Vec<_>, Vec<_>) =
        blocks().into_iter().partition(|(_, text)| text.starts_with("# ") && text.contains(".yaml\n"));
    let files: BTreeMap<String, String> = files
        .into_iter()
        .map(|(_, text)| (text.lines().next().unwrap().trim_start_matches("# ").to_owned(), text))
        .collect();
    let include = |path: &str| files.get(path).cloned().ok_or_else(|| "there is none".to_owned());
    let env = |_: &str| Some("eu".to_owned());
    let mut faults = String::new();
    for (line, block) in &plans {
        let given = plan::Given { target: None, variables: &[], env: &env, include: &include };
        if let Err(found) = plan::submit("plan.md", &whole(block), &given) {
            faults += &format!("docs/plan.md:{line}\n");
            faults.extend(found.iter().map(|fault| format!("  {fault}\n    | {}\n", fault.text)));
        }
    }
    assert!(faults.is_empty(), "{faults}");
    assert!(plans.len() > 10, "only {} examples", plans.len());
}

#[test]
fn the_first_example_is_the_printed_plan() {
    let (_, first) = blocks().into_iter().next().unwrap();
    assert_eq!(first, include_str!("../../swell/tests/design/checkout-peak.plan.yaml"));
}
