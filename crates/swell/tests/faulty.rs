//! A plan full of faults, as `swell check` shows it.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::process::Command;

use expect_test::expect_file;

/// One fault on each of twelve lines.
const PLAN: &str = "\
version: 1
name: checkout
target: ftp://shop.example
load:
  model: open
  stages:
    - { name: ramp, from: 0/s, to: 500, over: 30s }
    - { name: hold, at: 5oo/s, for: 1m }
    - { name: hold, at: 500/s, for: 1 }
scenarios:
  browse:
    wieght: 3
    steps:
      - get: products
      - get: /x
        timeout: -5s
        expect: { status: 700 }
        headers: { Host: me }
      - pause: 1s
  buy:
    steps:
      - post: /cart
        json: { user: {{ users.name }} }
on_driver_loss: redistribut
";

#[test]
fn twelve_faults_are_shown_each_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.plan.yaml"), PLAN).unwrap();
    let mut swell = Command::new(env!("CARGO_BIN_EXE_swell"));
    let output = swell.args(["check", "bad.plan.yaml"]).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(104));
    expect_file!["snapshots/faulty.txt"].assert_eq(&String::from_utf8(output.stderr).unwrap());
}

#[test]
fn a_code_is_explained() {
    let swell = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_swell")).args(arguments).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said, _) = swell(&["explain", "missing_unit"]);
    assert!(code == Some(0) && said.starts_with("missing_unit\n\n") && said.contains("500/s"), "{said}");
    let (code, said, _) = swell(&["explain"]);
    assert!(code == Some(0) && said.lines().any(|line| line == "unknown_key"), "{said}");
    let (code, _, told) = swell(&["explain", "nonsense"]);
    assert!(code == Some(2) && told.contains("nonsense"), "{told}");
}
