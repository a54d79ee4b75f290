//! What a run can be told: shares, rates, leases, stop, abort, and how it meets a pause.

mod support;

use std::thread;
use std::time::Duration;

use engine::{Event, Job};
use plan::LaneSet;
use support::{Server, job, plan, prepare, start, watch};

const GET: &str = "{ get: / }";
const OPEN: &str = "model: open, stages: [{ at: 400/s, for: 4s }]";
const SECOND_NS: u64 = 1_000_000_000;

fn half(odd: usize) -> LaneSet {
    (0..plan::LANES).filter(|lane| lane % 2 == odd).collect()
}

fn slow() -> Server {
    Server::start(|mut peer| {
        while peer.request().is_some() {
            thread::sleep(Duration::from_millis(300));
            peer.ok();
        }
    })
}

#[test]
fn lanes_that_move_in_mid_run_are_sent_exactly_once() {
    let server = Server::pong();
    let plan = plan(&server, OPEN, GET);
    let total = plan.workloads[0].schedule().unwrap().total();
    let of_first = plan.workloads[0].schedule().unwrap().count_in(&LaneSet::all(), 0, 2 * SECOND_NS)
        + plan.workloads[0].schedule().unwrap().count_in(&half(0), 2 * SECOND_NS, 4 * SECOND_NS);
    let first = prepare(Job { threads: 2, ..job(plan.clone()) });
    let second = prepare(Job { share: LaneSet::empty(), ..job(plan) });
    let at = clock::now() + Duration::from_millis(50);
    let (first, second) =
        (first.start(at, at + Duration::from_secs(60)), second.start(at, at + Duration::from_secs(60)));
    first.change_lanes(2, 2 * SECOND_NS, half(0));
    second.change_lanes(2, 2 * SECOND_NS, half(1));
    // Known already: ignored.
    first.change_lanes(2, 3 * SECOND_NS, LaneSet::empty());
    let (first, second) = (watch(first), watch(second));
    assert_eq!(first.totals.due, of_first);
    assert_eq!(first.totals.due + second.totals.due, total);
    assert_eq!(first.totals.missed.total() + second.totals.missed.total(), 0);
    assert_eq!(server.served(), total);
}

#[test]
fn lanes_learned_of_too_late_are_missed_by_us() {
    let server = Server::pong();
    let plan = plan(&server, OPEN, GET);
    let running = start(prepare(Job { share: half(0), ..job(plan.clone()) }));
    thread::sleep(Duration::from_millis(2500));
    running.change_lanes(2, SECOND_NS, LaneSet::all());
    let told = watch(running);
    let schedule = plan.workloads[0].schedule().unwrap();
    let due =
        schedule.count_in(&half(0), 0, 4 * SECOND_NS) + schedule.count_in(&half(1), SECOND_NS, 4 * SECOND_NS);
    assert_eq!(told.totals.due, due);
    let missed = told.totals.missed.ours;
    assert!((200..600).contains(&missed), "from 1 s to at least 2 s: {missed}");
    assert_eq!(told.totals.missed.total(), missed);
}

#[test]
fn a_rate_changes_from_its_time_on() {
    let server = Server::pong();
    let running = start(prepare(job(plan(&server, OPEN, GET))));
    running.change_rate(2 * SECOND_NS, 0.5);
    let told = watch(running);
    assert_eq!(told.totals.due, 400 + 400 + 200 + 200);
    assert_eq!(told.totals.succeeded, 1200);
}

#[test]
fn the_limit_of_a_tsunami_changes() {
    let server = Server::pong();
    let load = "model: tsunami, requests_per_driver: 300, delay: 1ms, target_throughput_per_driver: 100/s";
    let running = start(prepare(job(plan(&server, load, GET))));
    running.change_rate(SECOND_NS, 2.0);
    let told = watch(running);
    assert_eq!((told.totals.due, told.totals.succeeded), (300, 300));
    let due = |window: &metrics::DriverWindow| window.stages.iter().map(|stage| stage.due).sum::<u64>();
    assert_eq!(due(&told.windows[0]), 100);
    assert!(due(&told.windows[1]).abs_diff(200) <= 1);
}

#[test]
fn stop_lets_what_is_under_way_finish() {
    let server = slow();
    let running = start(prepare(job(plan(&server, "model: open, stages: [{ at: 50/s, for: 60s }]", GET))));
    thread::sleep(Duration::from_millis(700));
    running.stop();
    let told = watch(running);
    assert_eq!(told.totals.cancelled, 0);
    assert_eq!(told.totals.succeeded, told.totals.requests_sent);
    assert!(told.totals.due < 1000);
    assert_eq!(told.totals.requests_sent, server.served());
}

#[test]
fn abort_cancels_what_is_under_way() {
    let server = Server::start(|mut peer| {
        peer.request();
        thread::sleep(Duration::from_secs(20));
    });
    let load = "model: avalanche, requests_per_driver: 1000, connections: 10";
    let running = start(prepare(Job { threads: 2, ..job(plan(&server, load, GET)) }));
    thread::sleep(Duration::from_millis(500));
    running.abort();
    let told = watch(running);
    assert_eq!((told.totals.requests_sent, told.totals.cancelled), (10, 10));
}

#[test]
fn abort_before_the_start_sends_nothing() {
    let server = Server::pong();
    let prepared = prepare(job(plan(&server, OPEN, GET)));
    let at = clock::now() + Duration::from_secs(30);
    let running = prepared.start(at, at + Duration::from_secs(60));
    running.abort();
    let told = watch(running);
    assert_eq!((told.totals.due, server.served()), (0, 0));
}

#[test]
fn dropping_a_run_aborts_it() {
    let server = Server::pong();
    drop(start(prepare(job(plan(&server, "model: open, stages: [{ at: 50/s, for: 60s }]", GET)))));
}

#[test]
fn sending_ends_with_the_lease() {
    let server = Server::pong();
    let prepared = prepare(Job {
        threads: 2,
        ..job(plan(&server, "model: open, stages: [{ at: 100/s, for: 60s }]", GET))
    });
    let at = clock::now();
    let running = prepared.start(at, at + Duration::from_millis(500));
    running.set_lease(at + Duration::from_millis(1500));
    let told = watch(running);
    assert_eq!(told.notices, ["LeaseEnded"]);
    assert!((100..=250).contains(&told.totals.due), "{}", told.totals.due);
    let served = server.served();
    let last = *server.requests.lock().unwrap().last().unwrap();
    assert!(last.since(at) <= Duration::from_millis(2500), "{:?}", last.since(at));
    thread::sleep(Duration::from_millis(300));
    assert_eq!(server.served(), served, "nothing after the end");
}

#[test]
fn a_lease_that_was_over_at_the_start_sends_nothing() {
    let server = Server::pong();
    let at = clock::now() + Duration::from_millis(300);
    let told = watch(prepare(job(plan(&server, OPEN, GET))).start(at, at - Duration::from_millis(200)));
    assert_eq!(told.notices, ["LeaseEnded"]);
    assert_eq!((told.totals.due, server.served()), (0, 0));
}

#[test]
fn a_start_read_late_is_missed_and_not_made_up_for() {
    let server = Server::pong();
    let prepared = prepare(Job { threads: 2, ..job(plan(&server, OPEN, GET)) });
    let at = clock::now() - Duration::from_secs(2);
    let told = watch(prepared.start(at, at + Duration::from_secs(60)));
    assert!(told.notices.len() == 1 && told.notices[0].starts_with("Paused"), "{:?}", told.notices);
    assert_eq!(told.totals.due, 1600);
    // Two seconds before the start, and one that nobody ended by a release.
    assert!(told.totals.missed.ours >= 1195, "{:?}", told.totals.missed);
    assert_eq!(told.totals.missed.total(), told.totals.missed.ours);
    assert_eq!(server.served(), told.totals.started);
}

#[test]
fn a_release_ends_the_pause() {
    let server = Server::pong();
    let prepared = prepare(job(plan(&server, "model: open, stages: [{ at: 400/s, for: 10s }]", GET)));
    let at = clock::now() - Duration::from_secs(5);
    let running = prepared.start(at, at + Duration::from_secs(60));
    // The first event is about the pause, unless the windows of the seconds before come first.
    while !matches!(running.events().recv().unwrap(), Event::Paused { for_ms } if for_ms >= 4900) {}
    running.release();
    let mut totals = None;
    while totals.is_none() {
        if let Event::Finished(last) = running.events().recv().unwrap() {
            totals = Some(*last);
        }
    }
    let totals = totals.unwrap();
    assert_eq!(totals.due, 4000);
    assert!(totals.missed.ours >= 1995, "{:?}", totals.missed);
    assert!(totals.missed.ours < 2390, "the whole second was waited for: {:?}", totals.missed);
}

#[test]
fn an_avalanche_that_starts_late_is_held_and_then_complete() {
    let server = Server::pong();
    let load = "model: avalanche, requests_per_driver: 100, connections: 4";
    let at = clock::now() - Duration::from_secs(3);
    let told = watch(prepare(job(plan(&server, load, GET))).start(at, at + Duration::from_secs(60)));
    assert_eq!((told.totals.due, told.totals.succeeded), (100, 100));
    let longest = told.all.steps[0].ok.response.quantile(1.0).unwrap();
    assert!(longest < SECOND_NS, "times do not count from before the pause: {longest} ns");
}

#[test]
fn targets_are_checked_after_resolution() {
    let plan = |target: &str| {
        let text = format!(
            "version: 1\nname: test\ntarget: {target}\nload: {{ model: avalanche, requests_per_driver: 1 }}\n\
             scenarios: {{ only: {{ steps: [{{ get: / }}] }} }}\n"
        );
        plan::parse("test", &text).unwrap()
    };
    let refused = |target| format!("{:?}", engine::prepare(job(plan(target))).unwrap_err());
    assert!(refused("http://169.254.169.254").contains("Metadata"));
    assert!(refused("http://192.0.2.1").contains("NotAllowed"));
    assert!(refused("http://127.0.0.1:1").contains("Unreachable"));
    assert!(refused("http://no-such-host.invalid").contains("Dns"));
}
