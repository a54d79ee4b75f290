//! Files of plans: what is wrong with them is said before anything starts, and they arrive wherever the run does.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Process, Target, err, out, run, swell, wait_for};
use tempfile::tempdir;
use xtask::services::Kafka;

/// A plan beside which the file that `data` names is looked for.
fn write_plan(folder: &Path, target: &str, data: &str) {
    let text = format!(
        "version: 1\nname: with-data\ntarget: {target}\n\
         load: {{ model: open, stages: [ {{ at: 50/s, for: 2s }} ] }}\n\
         scenarios: {{ s: {{ steps: [ get: /ping ] }} }}\ndata:\n{data}"
    );
    fs::create_dir_all(folder.join("plans/sub")).unwrap();
    fs::write(folder.join("plans/p.yaml"), text).unwrap();
}

#[test]
fn files_that_are_not_there_are_told_before_anything_starts() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    let data = "  a: { file: users.csv }\n  b: { file: sub }\n  c: { file: sub/x.csv, pick: once }\n";
    write_plan(folder.path(), &target.url, &data.replace("sub }", "sub, format: csv }"));
    for command in [&["run", "plans/p.yaml"][..], &["check", "plans/p.yaml"]] {
        let output = run(command, folder.path());
        assert_eq!(output.status.code(), Some(104), "{}", err(&output));
        let said = err(&output);
        for part in [
            "there is no file users.csv",
            "sub cannot be read: it is a folder",
            "there is no file sub/x.csv",
            "missing_file",
            "unreadable_file",
            "a: { file: users.csv }",
            "3 faults",
        ] {
            assert!(said.contains(part), "{part:?} in\n{said}");
        }
    }
    assert_eq!(target.requests(), 0);
}

#[test]
fn links_are_followed_below_the_folder_of_the_plan_only() {
    let folder = tempdir().unwrap();
    let data = "  a: { file: users.csv }\n  b: { file: out.csv }\n  c: { file: sub/far/x.csv }\n";
    write_plan(folder.path(), "http://127.0.0.1:9", data);
    let plans = folder.path().join("plans");
    fs::write(folder.path().join("x.csv"), "password\nhunter2\n").unwrap();
    fs::write(plans.join("sub/users.csv"), "name\nada\n").unwrap();
    symlink("sub/users.csv", plans.join("users.csv")).unwrap();
    symlink(folder.path().join("x.csv"), plans.join("out.csv")).unwrap();
    symlink("../..", plans.join("sub/far")).unwrap();
    for (command, here) in [(&["check", "plans/p.yaml"], folder.path()), (&["check", "p.yaml"], &*plans)] {
        let output = run(command, here);
        let said = err(&output);
        assert_eq!(output.status.code(), Some(104), "{said}");
        for part in
            ["out.csv is a link to a file that", "sub/far/x.csv is a link to", "outside_folder", "2 faults"]
        {
            assert!(said.contains(part), "{part:?} in\n{said}");
        }
    }
    let plan = fs::read_to_string(plans.join("p.yaml")).unwrap();
    fs::write(plans.join("p.yaml"), plan.replace("data:", "include: [ sub/far/x.csv ]\ndata:")).unwrap();
    let said = err(&run(&["check", "plans/p.yaml"], folder.path()));
    assert!(said.contains("it is a link to a file that is not"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn faults_of_a_data_file_are_told_with_their_lines() {
    let folder = tempdir().unwrap();
    write_plan(folder.path(), "http://127.0.0.1:9", "  a: { file: users.csv }\n  b: { file: e.jsonl }\n");
    fs::write(folder.path().join("plans/users.csv"), "name,mail\nada\ngrace,g@x\n1,2,3\n").unwrap();
    fs::write(folder.path().join("plans/e.jsonl"), "{\"a\": 1}\n{\"b\": 1}\n").unwrap();
    for command in ["run", "check"] {
        let output = run(&[command, "plans/p.yaml"], folder.path());
        assert_eq!(output.status.code(), Some(104), "{}", err(&output));
        let said = err(&output);
        for part in [
            "plans/users.csv:2:1: this row has 1 value, and the header 2 [ragged_row]",
            "plans/users.csv:4:1: this row has 3 values",
            "plans/e.jsonl:2:1: this line has no \"a\" [other_keys]",
            "plans/e.jsonl:2:1: this line has \"b\", which the first has not [other_keys]",
            "4 faults",
        ] {
            assert!(said.contains(part), "{part:?} in\n{said}");
        }
    }
}

#[test]
fn check_says_what_the_files_have() {
    let folder = tempdir().unwrap();
    let data = "  a: { file: sub/users.csv }\n  ids: { rows: 100000, columns: { id: x } }\n";
    write_plan(folder.path(), "http://127.0.0.1:9", data);
    fs::write(folder.path().join("plans/sub/users.csv"), "name,mail\nada,a@x\ngrace,g@x\n").unwrap();
    let output = run(&["check", "plans/p.yaml"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let says = "plans/p.yaml: ok, with-data: 1 scenario, 1 step\n  a: 2 rows of name, mail, from sub/users.csv\n  \
                ids: 100000 generated rows of id\n";
    assert_eq!(out(&output), says);
    // From standard input the paths count from here.
    let text = fs::read(folder.path().join("plans/p.yaml")).unwrap();
    fs::write(folder.path().join("in.yaml"), text).unwrap();
    let mut command = swell();
    command.args(["check", "-"]).current_dir(folder.path().join("plans"));
    command.stdin(fs::File::open(folder.path().join("in.yaml")).unwrap());
    assert_eq!(command.output().unwrap().status.code(), Some(0));
}

#[test]
fn a_run_in_one_process_has_its_files() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    write_plan(folder.path(), "http://127.0.0.1:9", "  a: { file: users.csv }\n");
    fs::write(folder.path().join("plans/users.csv"), "name\nada\n").unwrap();
    let arguments =
        ["run", "plans/p.yaml", "--target", &target.url, "--drivers", "3", "-o", "json=result.json"];
    let output = run(&arguments, folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(target.requests(), 100);
}

#[test]
fn a_plan_with_files_cannot_be_posted() {
    let folder = tempdir().unwrap();
    let kafka = Kafka::start().unwrap();
    write_plan(folder.path(), "http://127.0.0.1:9", "  a: { file: users.csv }\n");
    fs::write(folder.path().join("users.csv"), "name\nada\n").unwrap();
    let mut command = swell();
    command.args(["orchestrator", "--kafka", &kafka.address(), "--listen", "127.0.0.1:0"]);
    let mut process = Process::start("orchestrator", &mut command, folder.path());
    let url = process.line_after("dashboard on ");
    let plan = fs::read_to_string(folder.path().join("plans/p.yaml")).unwrap();
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let request = ureq::Agent::new_with_config(config).post(format!("{url}/api/v1/runs"));
    let mut answer = request.header("content-type", "application/yaml").send(plan).unwrap();
    assert_eq!(answer.status(), 422);
    let problem: Value = answer.body_mut().read_json().unwrap();
    assert_eq!(problem["errors"][0]["code"], "file_not_sent");
    assert_eq!(
        (&problem["errors"][0]["line"], &problem["errors"][0]["text"]),
        (&7.into(), &"users.csv".into())
    );
}

fn over_kafka(kafka: &Kafka, folder: &Path) -> Command {
    let mut command = swell();
    command.args(["run", "plans/p.yaml", "--kafka", &kafka.address(), "--min-drivers", "3"]);
    command.args(["-o", "json=result.json"]).current_dir(folder);
    command
}

#[test]
fn a_file_arrives_at_three_drivers_over_kafka() {
    let folder = tempdir().unwrap();
    let kafka = Kafka::start().unwrap();
    let target = Target::start(folder.path());
    let mut drivers: Vec<Process> = Vec::new();
    for number in 0..3 {
        let name = format!("d{number}");
        let mut command = swell();
        command.args(["driver", "--kafka", &kafka.address(), "--node-id", &name, "--threads", "1"]);
        command.args(["--log", "info"]);
        drivers.push(Process::start(&name, &mut command, folder.path()));
    }
    drivers.iter_mut().for_each(|driver| drop(driver.line_after("driver ")));
    write_plan(
        folder.path(),
        &target.url,
        "  a: { file: users.csv, pick: once }\n  b: { file: small.csv }\n",
    );
    // Four pieces and a bit.
    let rows: String = (0..150_000).map(|row| format!("{row},u{row}\n")).collect();
    fs::write(folder.path().join("plans/users.csv"), format!("id,name\n{rows}")).unwrap();
    fs::write(folder.path().join("plans/small.csv"), "name\nada\n").unwrap();
    let output = over_kafka(&kafka, folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let bytes = fs::metadata(folder.path().join("plans/users.csv")).unwrap().len() + 9;
    let fetched = |driver: &Process| driver.log().matches(&format!("bytes={bytes}")).count();
    assert_eq!(drivers.iter().map(fetched).collect::<Vec<_>>(), [1, 1, 1]);
    let summary: Value =
        serde_json::from_slice(&fs::read(folder.path().join("result.json")).unwrap()).unwrap();
    assert_eq!(summary["drivers"].as_array().unwrap().len(), 3, "{}", err(&output));
    assert_eq!(summary["iterations"]["due"], 100, "{}", err(&output));

    // The same files are there already the next time.
    let output = over_kafka(&kafka, folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    wait_for("the logs", || (target.requests() == 200).then_some(()));
    assert_eq!(drivers.iter().map(fetched).collect::<Vec<_>>(), [1, 1, 1]);
}
