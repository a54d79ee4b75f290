//! Loads side by side: each sends what it would alone, and what they use of a source is not used twice.

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use engine::Job;
use support::{Server, job, prepare, start, watch};

const SIDE_BY_SIDE: &str = "data: { users: { rows: 1000, columns: { name: \"u{{ row }}\" }, pick: once } }
scenarios:
  browse:
    load: { model: open, stages: [ { at: 200/s, for: 1s } ] }
    steps: [ { get: \"/browse/{{ users.name }}\", name: browse } ]
  buy:
    load: { model: closed, users: 4, iterations: 100, connections: 2 }
    steps: [ { get: \"/buy/{{ users.name }}\", name: buy } ]
  batch:
    load: { model: open, arrivals: poisson, stages: [ { at: 100/s, for: 1s }, { at: 50/s, for: 1s } ] }
    steps: [ { get: \"/batch/{{ users.name }}\", name: batch } ]
";

#[test]
fn each_load_sends_what_it_would_alone() {
    let paths: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&paths);
    let server = Server::start(move |mut peer| {
        while let Some(head) = peer.request() {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            seen.lock().unwrap().push(path);
            peer.ok();
        }
    });
    let text = format!("version: 1\nname: test\ntarget: http://{}\n{SIDE_BY_SIDE}", server.address);
    let plan = plan::parse("test", &text).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let poisson = plan.workloads[2].schedule().unwrap().total();
    let told = watch(start(prepare(Job { threads: 2, ..job(plan) })));
    assert_eq!(told.totals.requests_sent, 200 + 100 + poisson);
    let of_stage: Vec<u64> = {
        let mut stages = told.all.stages.clone();
        stages.sort_by_key(|stage| stage.stage);
        stages.iter().map(|stage| stage.started).collect()
    };
    assert_eq!(of_stage.len(), 4);
    assert_eq!((of_stage[0], of_stage[1], of_stage[2] + of_stage[3]), (200, 100, poisson));
    let paths = paths.lock().unwrap();
    let rows: BTreeSet<&str> = paths.iter().map(|path| path.rsplit('/').next().unwrap()).collect();
    assert_eq!(rows.len(), paths.len(), "no row was used twice");
    let count = |kind: &str| paths.iter().filter(|path| path.starts_with(kind)).count() as u64;
    assert_eq!((count("/browse/"), count("/buy/"), count("/batch/")), (200, 100, poisson));
}
