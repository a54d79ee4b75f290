//! A secret's value is in requests, and nowhere else: in no output, log or file.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use support::{Process, Target, err, out, run, swell};
use tempfile::tempdir;
use xtask::services::Kafka;

/// Such that each way to write it differs.
const SECRET: &str = "s3cr3t/Zq \"9&";

/// The value, and how requests, forms, JSON and bases write it.
const FORMS: [&str; 6] = [
    "s3cr3t/Zq",
    "s3cr3t%2FZq",
    "s3cr3t%2fZq",
    "dTpzM2NyM3QvWnEgIjkm", // u:…
    "czNjcjN0L1pxICI5Jg",
    "Zq \\\"9",
];

fn write_plan(folder: &Path, target: &str) {
    let text = format!(
        r#"version: 1
name: secretive
target: {target}
load: {{ model: open, stages: [ {{ at: 20/s, for: 1s }} ] }}
variables: {{ key: "{{{{ secret.SHOP_KEY }}}}" }}
scenarios:
  s:
    auth: {{ basic: {{ user: u, password: "{{{{ secret.SHOP_KEY }}}}" }} }}
    steps:
      - post: /echo?key={{{{ key }}}}
        name: send
        headers: {{ x-key: "{{{{ key | base64 }}}}" }}
        json: {{ key: "{{{{ secret.SHOP_KEY }}}}", more: "say {{{{ secret.SHOP_KEY }}}}" }}
        save: {{ all: body }}
      - post: /echo
        name: again
        form: {{ key: "{{{{ secret.SHOP_KEY }}}}" }}
        expect: {{ body_contains: "{{{{ all }}}}{{{{ key }}}}" }}
"#
    );
    fs::write(folder.join("p.yaml"), text).unwrap();
    fs::write(folder.join("keys.env"), format!("# of the shop\n\nSHOP_KEY={SECRET}\n")).unwrap();
    fs::set_permissions(folder.join("keys.env"), fs::Permissions::from_mode(0o600)).unwrap();
}

fn hides(what: &str, text: &str) {
    for form in FORMS {
        assert!(!text.contains(form), "{form:?} in {what}:\n{text}");
    }
}

fn hides_all(output: &Output) {
    hides("standard output", &out(output));
    hides("standard error", &err(output));
}

/// All files below a folder hide it, but the one that it is in.
fn files_hide(folder: &Path) -> usize {
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            seen += files_hide(&path);
        } else if !path.ends_with("keys.env") {
            let bytes = fs::read(&path).unwrap();
            hides(&path.display().to_string(), &String::from_utf8_lossy(&bytes));
            seen += 1;
        }
    }
    seen
}

#[test]
fn a_run_shows_its_secrets_nowhere() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    write_plan(folder.path(), &target.url);
    let arguments =
        ["run", "p.yaml", "--secrets", "keys.env", "--log", "trace", "-o", "json=r.json", "-o", "text=r.txt"];
    let output = run(&arguments, folder.path());
    assert!(matches!(output.status.code(), Some(0 | 99)), "{}", err(&output));
    assert_eq!(target.requests(), 40);
    hides_all(&output);
    assert!(files_hide(folder.path()) > 3, "plan, results, log of the target, store");
}

#[test]
fn a_rehearsal_shows_them_nowhere() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    write_plan(folder.path(), &target.url);
    for command in [&["try", "p.yaml"][..], &["try", "p.yaml", "--json"], &["check", "--connect", "p.yaml"]] {
        let arguments = [command, &["--secrets", "keys.env", "--log", "trace"]].concat();
        let output = run(&arguments, folder.path());
        assert_eq!(output.status.code(), Some(99), "{}{}", out(&output), err(&output));
        hides_all(&output);
    }
    let output = run(&["try", "p.yaml", "--secrets", "keys.env"], folder.path());
    for part in [
        "authorization: Basic ***",
        "x-key: ***",
        "/echo?key=***",
        "\"key\": \"***\"",
        "\"say ***\"",
        "key=***",
    ] {
        assert!(out(&output).contains(part), "{part} in\n{}", out(&output));
    }
}

#[test]
fn checks_know_secrets() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    let step =
        "post: /echo, body: \"{{ secret.SHOP_KEY }}\", expect: { body_contains: \"{{ secret.SHOP_KEY }}\" }";
    let text = format!(
        "version: 1\nname: x\ntarget: {}\nload: {{ model: avalanche, requests_per_driver: 3 }}\n\
         scenarios: {{ s: {{ steps: [ {{ {step} }} ] }} }}\n",
        target.url
    );
    fs::write(folder.path().join("p.yaml"), text).unwrap();
    for command in ["run", "try"] {
        let mut swell = swell();
        swell.args([command, "p.yaml"]).current_dir(folder.path()).env("SWELL_SECRET_SHOP_KEY", SECRET);
        let output = swell.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}{}", out(&output), err(&output));
        hides_all(&output);
    }
}

#[test]
fn a_secret_that_no_request_can_carry_is_not_told_either() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    let plan = "headers: { x-key: \"{{ secret.SHOP_KEY }}\" }";
    let text = format!(
        "version: 1\nname: x\ntarget: {}\nload: {{ model: avalanche, requests_per_driver: 1 }}\n\
         scenarios: {{ s: {{ steps: [ {{ get: /ping, {plan} }} ] }} }}\n",
        target.url
    );
    fs::write(folder.path().join("p.yaml"), text).unwrap();
    for command in ["run", "try"] {
        let mut swell = swell();
        swell
            .args([command, "p.yaml"])
            .current_dir(folder.path())
            .env("SWELL_SECRET_SHOP_KEY", "s3cr3t/Zq\n9");
        let output = swell.output().unwrap();
        assert!(err(&output).contains("line break"), "{}", err(&output));
        hides_all(&output);
    }
    assert_eq!(target.requests(), 0);
}

#[test]
fn a_secret_that_is_not_set_is_named_before_anything_starts() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    write_plan(folder.path(), &target.url);
    for command in [&["run", "p.yaml"][..], &["try", "p.yaml"], &["check", "--connect", "p.yaml"]] {
        let output = run(command, folder.path());
        assert_eq!(output.status.code(), Some(104), "{}", err(&output));
        for part in ["the secret SHOP_KEY is not set", "p.yaml:5:", "SWELL_SECRET_SHOP_KEY", "--secrets"] {
            assert!(err(&output).contains(part), "{part} in\n{}", err(&output));
        }
    }
    assert_eq!(target.requests(), 0);
    // Without connecting, a plan is sound without its secrets.
    assert_eq!(run(&["check", "p.yaml"], folder.path()).status.code(), Some(0));
}

#[test]
fn a_file_of_secrets_is_read_with_care() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    write_plan(folder.path(), &target.url);
    let file = folder.path().join("keys.env");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let output = run(&["try", "p.yaml", "--secrets", "keys.env"], folder.path());
    assert!(err(&output).contains("others may read the secrets in keys.env (mode 644)"), "{}", err(&output));
    fs::write(&file, format!("SHOP_KEY={SECRET}\ns3cr3t/Zq\n")).unwrap();
    let output = run(&["try", "p.yaml", "--secrets", "keys.env"], folder.path());
    assert_eq!(output.status.code(), Some(104));
    assert!(err(&output).contains("line 2 is not written NAME=VALUE"), "{}", err(&output));
    hides_all(&output);
    let output = run(&["try", "p.yaml", "--secrets", "none.env"], folder.path());
    assert_eq!(output.status.code(), Some(104));
}

#[test]
fn a_driver_without_the_secret_refuses_to_arm() {
    let folder = tempdir().unwrap();
    let kafka = Kafka::start().unwrap();
    let target = Target::start(folder.path());
    write_plan(folder.path(), &target.url);
    let driver = |name: &str, more: &[&str]| {
        let mut command = swell();
        command.args(["driver", "--kafka", &kafka.address(), "--node-id", name, "--threads", "1"]).args(more);
        let mut process = Process::start(name, &mut command, folder.path());
        process.line_after("driver ");
        process
    };
    let over_kafka = ["run", "p.yaml", "--kafka", &kafka.address(), "--store", "store"];
    let without = driver("d0", &[]);
    let output = run(&over_kafka, folder.path());
    assert_eq!(output.status.code(), Some(110), "{}", err(&output));
    assert!(err(&output).contains("secrets are not set: SHOP_KEY"), "{}", err(&output));
    assert_eq!(target.requests(), 0);
    without.kill();
    let with = driver("d1", &["--secrets", "keys.env", "--log", "trace"]);
    let output = run(&over_kafka, folder.path());
    assert!(matches!(output.status.code(), Some(0 | 99)), "{}", err(&output));
    assert_eq!(target.requests(), 40);
    hides_all(&output);
    hides("the driver's log", &with.log());
    files_hide(folder.path());
}
