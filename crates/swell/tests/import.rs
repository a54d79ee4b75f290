//! `swell import` as a person meets it: where the plan and the notes go, and what is not overwritten.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn swell(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut swell = Command::new(env!("CARGO_BIN_EXE_swell"));
    swell.args(arguments).current_dir(folder);
    swell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = swell.spawn().unwrap();
    // One that ends before it reads closes the pipe, which is no fault here.
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_command_line_becomes_a_plan_that_check_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let words = [
        "import",
        "wrk",
        "-o",
        "w.plan.yaml",
        "--",
        "wrk",
        "-t2",
        "-c8",
        "-d5s",
        "http://127.0.0.1:7701/ping",
    ];
    let output = swell(folder.path(), &words, "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");
    assert_eq!(text(&output.stderr), "note: -t 2: threads have no meaning here, see `swell run --threads`\n");
    let checked = swell(folder.path(), &["check", "w.plan.yaml"], "");
    assert_eq!(text(&checked.stdout), "w.plan.yaml: ok, wrk 127.0.0.1: 1 scenario, 1 step\n");

    let again = swell(folder.path(), &words, "");
    assert_eq!(again.status.code(), Some(104));
    assert_eq!(text(&again.stderr), "error: w.plan.yaml is there already; --force overwrites it\n");
    let mut forced = words.to_vec();
    forced.insert(2, "--force");
    assert_eq!(swell(folder.path(), &forced, "").status.code(), Some(0));
}

#[test]
fn standard_input_becomes_a_plan_on_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let input = "curl http://127.0.0.1:7701/echo -d a=1 -k\n";
    let output = swell(folder.path(), &["import", "curl", "-"], input);
    assert_eq!(output.status.code(), Some(0));
    let plan = text(&output.stdout);
    assert!(plan.contains("- post: /echo\n        form: { a: \"1\" }\n"), "{plan}");
    let told = text(&output.stderr);
    assert_eq!(told, "note: options for TLS have no effect on an http target\n");
    assert!(plan.contains("#   * options for TLS have no effect on an http target\n"), "{plan}");
}

#[test]
fn what_cannot_be_imported_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let code = |arguments: &[&str], input: &str| {
        let output = swell(folder.path(), arguments, input);
        (output.status.code(), text(&output.stderr))
    };
    let (exit, told) = code(&["import", "har"], "");
    assert!(exit == Some(2) && told.contains("give a file"), "{told}");
    let (exit, told) = code(&["import", "har", "missing.har"], "");
    assert!(exit == Some(104) && told.starts_with("error: cannot read missing.har: "), "{told}");
    let (exit, told) = code(&["import", "openapi", "-"], "{\"log\": {\"entries\": []}}");
    assert_eq!(
        (exit, told.as_str()),
        (Some(104), "error: this is a HAR recording, not an OpenAPI document; try `swell import har`\n")
    );
}
