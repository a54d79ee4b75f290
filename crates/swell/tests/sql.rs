//! Questions to a run in SQL, as a user asks them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]

mod support;

use std::fs;
use std::io::Read as _;
use std::process::{Output, Stdio};

use support::{Target, err, out, run};
use tempfile::tempdir;

#[test]
fn a_run_is_asked_in_sql() {
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    let plan = format!(
        "version: 1\nname: asked\ntarget: {}\nevents: all\n\
         load: {{ model: open, stages: [ {{ at: 100/s, for: 1s }} ] }}\n\
         scenarios: {{ s: {{ steps: [ {{ get: /ping, name: ping }}, {{ get: /nothing-here, name: missing }} ] }} }}\n",
        target.url
    );
    fs::write(folder.path().join("plan.yaml"), plan).unwrap();
    let swell = |arguments: &[&str]| -> Output { run(arguments, folder.path()) };
    let ran = swell(&["run", "plan.yaml"]);
    assert_eq!(ran.status.code(), Some(0), "{}", err(&ran));

    let by_endpoint =
        "SELECT endpoint, status_code, count(*) AS n FROM perf_results GROUP BY 1, 2 ORDER BY 1";
    let answer = swell(&["sql", "last", by_endpoint]);
    assert_eq!(out(&answer), "endpoint,status_code,n\nmissing,404,100\nping,200,100\n", "{}", err(&answer));
    let windows = "SELECT sum(requests) AS n FROM run_windows WHERE kind = 'step'";
    let answer = swell(&["sql", "all", windows, "--format", "json"]);
    assert_eq!(out(&answer), "[{\"n\":200}]\n", "{}", err(&answer));

    let mut command = support::swell();
    command.args(["sql", "last", "-", "--format", "table"]).current_dir(folder.path());
    fs::write(folder.path().join("query.sql"), "SELECT 1 AS one;\n").unwrap();
    command.stdin(fs::File::open(folder.path().join("query.sql")).unwrap());
    let answer = command.output().unwrap();
    assert_eq!(out(&answer), "one\n───\n  1\n", "{}", err(&answer));

    // Whoever has read enough goes away, and that is no fault.
    let mut command = support::swell();
    command.args(["sql", "last", "SELECT * FROM generate_series(1, 100000000)"]).current_dir(folder.path());
    let mut asked = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    asked.stdout.take().unwrap().read_exact(&mut [0; 5]).unwrap();
    let ended = asked.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), err(&ended)), (Some(0), String::new()));

    for (arguments, said) in [
        (["sql", "last", "SELECT latency FROM perf_results"], "did you mean latency_ms?"),
        (["sql", "last", "DROP TABLE runs"], "DDL not supported"),
        (["sql", "nobody", "SELECT 1"], "there is no run nobody"),
    ] {
        let refused = swell(&arguments);
        assert_eq!(refused.status.code(), Some(104), "{arguments:?}");
        assert!(err(&refused).contains(said), "{}", err(&refused));
    }
    let elsewhere = swell(&["sql", "last", "SELECT 1", "--store", "postgres://someone@127.0.0.1/perf"]);
    assert_eq!(elsewhere.status.code(), Some(2));
    assert!(err(&elsewhere).contains("psql"), "{}", err(&elsewhere));
}
