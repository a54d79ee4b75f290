//! What checking a plan of 1,000 steps takes: `cargo run --release -p plan --example parse_cost`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "prints a measurement, and fails where it fails"
)]

use std::fmt::Write as _;
use std::time::Duration;

const STEPS: usize = 1_000;
const ROUNDS: usize = 7;

/// Each step has three expressions, a saved value and checks.
fn plan(save: &str, check: &str) -> String {
    let mut text = "version: 1\nname: large\ntarget: http://127.0.0.1\n\
                    variables: { size: 20 }\nload: { model: avalanche, requests_per_driver: 1 }\n\
                    scenarios:\n  all:\n    steps:\n"
        .to_owned();
    for step in 0..STEPS {
        let before = match step {
            0 => "size".to_owned(),
            _ => format!("v{}", step - 1),
        };
        let save = save.replace('#', &step.to_string());
        writeln!(
            text,
            "      - get: /p/{step}?a={{{{ {before} }}}}\n        name: n{step}\n        query: {{ b: \"{{{{ rand.int(1, size) }}}}\" }}\n        \
             headers: {{ x-a: \"{{{{ uuid }}}}\" }}\n        save: {{ v{step}: '{save}' }}\n        expect: {{ status: 200, {check} }}"
        )
        .unwrap();
    }
    text
}

fn main() {
    for (what, save, check) in [
        ("JSONPath", "$.a#", "json: { $.ok: true }"),
        ("regex", "regex:a#=\"([^\"]+)\"", "body_matches: 'a\\w+'"),
        ("css", "css:a.n#@href", "body_contains: items"),
    ] {
        let text = plan(save, check);
        let faulty = text.replace("{{ uuid }}", "{{ uuidd }}");
        for (how, text) in [(what.to_owned(), &text), (format!("{what}, with faults"), &faulty)] {
            let mut rounds: Vec<Duration> = (0..ROUNDS)
                .map(|_| {
                    let before = clock::thread_cpu();
                    assert_eq!(plan::parse("large", text).is_err(), how != what);
                    clock::thread_cpu() - before
                })
                .collect();
            rounds.sort();
            let median = rounds[ROUNDS / 2].as_secs_f64() * 1e3;
            println!("{how:22} {:4} KiB {median:6.1} ms", text.len() / 1024);
        }
    }
}
