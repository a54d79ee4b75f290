//! A machine that has no descriptors left: ours, and counted as such. Alone in its process, whose limit it changes.

mod support;

use std::os::fd::AsRawFd;

use metrics::{LocalLimit, Outcome};
use rustix::process::{Resource, getrlimit, setrlimit};
use support::{Server, counts, job, plan, prepare, start, watch};

#[test]
fn no_descriptors_left_is_our_fault() {
    let server = Server::deaf();
    let load = "model: tsunami, requests_per_driver: 20, delay: 5ms, connections: { start: 4, max: 100 }";
    let prepared = prepare(job(plan(&server, load, "{ get: /, timeout: 3s }")));
    // The next descriptor would have the lowest free number.
    let lowest_free = std::fs::File::open("/dev/null").unwrap().as_raw_fd();
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(u64::try_from(lowest_free).unwrap());
    setrlimit(Resource::Nofile, limit).unwrap();
    let told = watch(start(prepared));
    assert_eq!(told.outcomes(), counts(&[("local_limit", 16), ("read_timeout", 4)]));
    let descriptors = (Outcome::local_limit(LocalLimit::Descriptors), 16);
    assert!(told.all.steps[0].outcomes.contains(&descriptors), "{:?}", told.all.steps[0].outcomes);
    assert_eq!(told.totals.started, 20);
}
