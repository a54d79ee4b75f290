//! Measures what raw events cost a driver: one run of a plan, and the CPU time per request of the engine's threads and of the
//! whole process, from its second second on.
//!
//! ```text
//! events PLAN SECONDS
//! ```
//!
//! Batches are made as a driver makes them, and taken at once by nobody: what the log costs is not in it. Prints one line of
//! JSON.

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::collections::VecDeque;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use clock::BrokerTime;
use cluster::runtime::events::{Begin, Events, Fate, Outlet, Refused};
use engine::{Allow, Event, Io, Job};
use events::Identity;
use transport::EventBatch;

/// What is left out of the measurement: connections, first pages of memory.
const WARMUP: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(3600);

/// Takes all, and keeps nothing.
#[derive(Default)]
struct Nobody {
    arrived: VecDeque<Fate>,
}

impl Outlet for Nobody {
    fn send(&mut self, batch: &EventBatch) -> Result<(), Refused> {
        self.arrived
            .push_back(Fate::Arrived(Identity { incarnation: batch.incarnation, number: batch.number }));
        Ok(())
    }

    fn next(&mut self, wait: Duration) -> Option<Fate> {
        if self.arrived.is_empty() {
            std::thread::sleep(wait);
        }
        self.arrived.pop_front()
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().expect("the plan's file");
    let seconds: u64 = arguments.next().expect("seconds").parse().expect("seconds");
    let text = fs::read_to_string(&file).expect("a plan that can be read");
    let plan = Arc::new(plan::parse(&file, &text).unwrap_or_else(|faults| panic!("{faults:#?}")));
    let prepared = engine::prepare(Job {
        plan: Arc::clone(&plan),
        files: data::Files::default(),
        run_id: "events".to_owned(),
        threads: 1,
        share: plan::LaneSet::all(),
        allow: Allow::default(),
        user_agent: "groundswell/0.1 (run events)".to_owned(),
        io: Io::Auto,
        secrets: engine::Secrets::default(),
    })
    .unwrap_or_else(|error| panic!("{error:?}"));
    let events = Events::start("d1".to_owned(), Box::new(Nobody::default()), None).expect("a thread");
    let start = clock::now() + Duration::from_millis(50);
    let mut running = prepared.start(start, start + LEASE);
    events.begin(Begin {
        test_id: "events".to_owned(),
        plan,
        incarnation: uuid::Uuid::now_v7(),
        epoch: 0,
        began: BrokerTime::from_unix_ms(clock::unix_ms()),
        samples: running.take_samples(),
    });
    let mut used = Vec::new();
    for until in [WARMUP, WARMUP + Duration::from_secs(seconds)] {
        let until = start + until;
        while clock::now() < until {
            running.events().recv_timeout(until.since(clock::now())).ok();
        }
        used.push(Used::now(running.requests_sent()));
    }
    running.stop();
    while !matches!(running.events().recv().expect("events until the last"), Event::Finished(_)) {}
    running.join();
    events.end();
    let counts = loop {
        match events.counts() {
            Some(counts) => break counts.unwrap_or_default(),
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let [before, after] = used.as_slice() else { panic!("two readings") };
    let requests = after.requests - before.requests;
    let us = |ns: u64| ns as f64 / 1e3 / requests.max(1) as f64;
    println!(
        "{{\"requests\": {requests}, \"engine_us\": {:.4}, \"process_us\": {:.4}, \"produced\": {}, \"dropped\": {}}}",
        us(after.engine_ns - before.engine_ns),
        us(after.process_ns - before.process_ns),
        counts.produced,
        counts.dropped
    );
}

/// Requests so far, and the CPU time they took.
struct Used {
    requests: u64,
    engine_ns: u64,
    process_ns: u64,
}

impl Used {
    fn now(requests: u64) -> Self {
        let (mut engine_ns, mut process_ns) = (0, 0);
        for task in fs::read_dir("/proc/self/task").expect("threads").flatten() {
            let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let ns: u64 =
                read("schedstat").split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
            process_ns += ns;
            let is_engine = read("comm")
                .trim_end()
                .strip_prefix("engine-")
                .is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
            engine_ns += if is_engine { ns } else { 0 };
        }
        Self { requests, engine_ns, process_ns }
    }
}
