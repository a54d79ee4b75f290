//! Runs of the real engine against small servers on loopback, and what must hold after each.
//!
//! Assertions are about counts and intended times: these machines are shared, and a bound on real time would sooner or
//! later fail for no fault of ours.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic, and these are only called by tests"
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use engine::{Allow, Event, Io, Job, Prepared, Running};
use metrics::{DriverWindow, Outcome, Totals};

/// A server that treats every connection with the same function, each on a thread of its own.
pub struct Server {
    pub address: SocketAddr,
    /// Connections accepted, the probe of `prepare` among them.
    pub accepted: Arc<AtomicUsize>,
    /// When each request came, by the monotonic clock.
    pub requests: Arc<Mutex<Vec<clock::Instant>>>,
    /// Where nothing is accepted.
    listener: Mutex<Option<TcpListener>>,
}

/// One connection of a [`Server`].
pub struct Peer {
    pub stream: TcpStream,
    requests: Arc<Mutex<Vec<clock::Instant>>>,
}

impl Peer {
    /// The next request's head; `None` when the client closed.
    pub fn request(&mut self) -> Option<String> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match self.stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return None,
            }
        }
        self.requests.lock().unwrap().push(clock::now());
        Some(String::from_utf8_lossy(&head).into_owned())
    }

    pub fn send(&mut self, bytes: &str) {
        // A client that went away is the client's business.
        self.stream.write_all(bytes.as_bytes()).ok();
    }

    /// The same; whether the client is still there.
    pub fn sends(&mut self, bytes: &str) -> bool {
        self.stream.write_all(bytes.as_bytes()).is_ok()
    }

    pub fn ok(&mut self) {
        self.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong");
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }
}

impl Server {
    pub fn start(serve: impl Fn(Peer) + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", serve)
    }

    pub fn start_at(address: &str, serve: impl Fn(Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            accepted: Arc::default(),
            requests: Arc::default(),
            listener: Mutex::default(),
        };
        let (accepted, requests) = (Arc::clone(&server.accepted), Arc::clone(&server.requests));
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming() {
                accepted.fetch_add(1, Ordering::SeqCst);
                let peer = Peer { stream: stream.unwrap(), requests: Arc::clone(&requests) };
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(peer));
            }
        });
        server
    }

    /// Answers every request at once.
    pub fn pong() -> Self {
        Self::pong_at("127.0.0.1:0")
    }

    pub fn pong_at(address: &str) -> Self {
        Self::start_at(address, |mut peer| {
            while peer.request().is_some() {
                peer.ok()
            }
        })
    }

    /// Listens, so that connections are made, and accepts none of them.
    pub fn deaf() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            address: listener.local_addr().unwrap(),
            accepted: Arc::default(),
            requests: Arc::default(),
            listener: Mutex::new(Some(listener)),
        }
    }

    /// Stops a deaf server: its connections are reset, new ones refused.
    pub fn close(&self) {
        *self.listener.lock().unwrap() = None;
    }

    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub fn served(&self) -> u64 {
        self.requests.lock().unwrap().len() as u64
    }
}

/// What requests said, in the order they came.
#[derive(Clone, Default)]
pub struct Log(pub Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn add(&self, request: &str) {
        self.0.lock().unwrap().push(request.to_owned());
    }

    /// Their first lines, without the version.
    pub fn lines(&self) -> Vec<String> {
        let first = |request: &String| request.lines().next().unwrap().replace(" HTTP/1.1", "");
        self.0.lock().unwrap().iter().map(first).collect()
    }

    /// The values of a header, one per request, empty where there is none.
    pub fn header(&self, name: &str) -> Vec<String> {
        let value = |request: &String| {
            let lines = request.lines().filter_map(|line| line.split_once(": "));
            let mut values = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
            let value = values.next().map(|(_, value)| value.to_owned());
            assert!(values.next().is_none(), "{name} twice in {request}");
            value.unwrap_or_default()
        };
        self.0.lock().unwrap().iter().map(value).collect()
    }
}

/// A server that logs each request, with its body, and answers what `answer` says to its first line.
pub fn logging(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> (Server, Log) {
    let log = Log::default();
    let kept = log.clone();
    let server = Server::start(move |mut peer| {
        while let Some(mut request) = peer.request() {
            let body = read_body(&mut peer, &request);
            request.push_str(&body);
            kept.add(&request);
            peer.send(&answer(request.lines().next().unwrap_or_default()));
        }
    });
    (server, log)
}

pub fn read_body(peer: &mut Peer, head: &str) -> String {
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    peer.stream.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

pub fn ok() -> String {
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong".to_owned()
}

/// A plan against `server`, from its `load` and the steps of its only scenario.
pub fn plan(server: &Server, load: &str, steps: &str) -> plan::Plan {
    full_plan(server, load, &format!("scenarios: {{ only: {{ steps: [{steps}] }} }}"))
}

pub fn full_plan(server: &Server, load: &str, rest: &str) -> plan::Plan {
    let text =
        format!("version: 1\nname: test\ntarget: http://{}\nload: {{ {load} }}\n{rest}\n", server.address);
    plan::parse("test", &text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"))
}

/// The loop that `GROUNDSWELL_IO` names.
fn named() -> Option<Io> {
    std::env::var("GROUNDSWELL_IO").ok().map(|io| io.parse().expect("auto, uring or epoll"))
}

/// The loops under test: the one that `GROUNDSWELL_IO` names, or all that work here.
pub fn loops() -> Vec<Io> {
    let uring = match engine::uring_support() {
        Ok(()) => Some(Io::Uring),
        Err(error) => {
            eprintln!("SKIPPED, only epoll is tested: no io_uring here ({error})");
            None
        }
    };
    named().map_or_else(|| uring.into_iter().chain([Io::Epoll]).collect(), |io| vec![io])
}

/// Every request leaves a raw event, so that [`watch`] can hold them against the windows.
pub fn job(mut plan: plan::Plan) -> Job {
    plan.events = plan::Events::All;
    Job {
        plan: Arc::new(plan),
        files: data::Files::default(),
        run_id: "test".to_owned(),
        threads: 1,
        share: plan::LaneSet::all(),
        allow: Allow::default(),
        user_agent: "groundswell/test".to_owned(),
        io: named().unwrap_or_default(),
        secrets: engine::Secrets::default(),
    }
}

pub fn prepare(job: Job) -> Prepared {
    engine::prepare(job).unwrap_or_else(|error| panic!("{error:?}"))
}

/// Starts soon, with a lease that outlasts every test.
pub fn start(prepared: Prepared) -> Running {
    let at = clock::now() + Duration::from_millis(20);
    prepared.start(at, at + Duration::from_secs(600))
}

/// All that a run told.
pub struct Told {
    pub all: DriverWindow,
    pub windows: Vec<DriverWindow>,
    pub totals: Totals,
    /// `Debug` of the events that are neither windows nor the last one.
    pub notices: Vec<String>,
    pub rows: Rows,
}

/// What raw events add up to, by row and stage.
#[derive(Default)]
pub struct Rows {
    samples: Vec<metrics::Samples>,
    /// Succeeded, failed, cancelled; sums of response and service times in ns; bytes in and out.
    sums: BTreeMap<(plan::StepId, plan::StageId), [u128; 7]>,
    /// Whether a row left out bytes: beyond 4 GiB it does.
    is_short: bool,
    /// How often each status came, of answers that were failures for another reason.
    pub statuses: BTreeMap<u16, u64>,
}

impl Rows {
    fn take(&mut self) {
        let Self { samples, sums, is_short, statuses } = self;
        for samples in samples {
            samples.take(usize::MAX, |sample| {
                assert!(sample.was_sent || sample.bytes_in == 0, "{sample:?}");
                *is_short |= sample.bytes_in == u32::MAX;
                let sums = sums.entry((sample.step, sample.stage)).or_default();
                sums[5] += u128::from(sample.bytes_in);
                sums[6] += u128::from(sample.bytes_out);
                match sample.outcome {
                    Outcome::Success(status) => assert_eq!(sample.status, status),
                    _ => *statuses.entry(sample.status).or_default() += 1,
                }
                let Some(kind) = kind(sample.outcome) else { return sums[2] += 1 };
                sums[kind] += 1;
                sums[3] += u128::from(sample.times.response_ns());
                sums[4] += if sample.was_sent { u128::from(sample.times.service_ns()) } else { 0 };
            });
        }
    }

    /// Each request has one row, and rows and windows say the same.
    fn check(&self, told: &Told) {
        let produced: u64 = self.samples.iter().map(metrics::Samples::produced).sum();
        assert_eq!(produced, told.totals.requests_sent, "a row for each request");
        if self.samples.iter().any(|samples| samples.dropped() > 0) {
            return eprintln!("rows came faster than they were read, so that only their number is held");
        }
        let mut windows = BTreeMap::new();
        for step in told.all.of_requests() {
            let both = [&step.ok, &step.failed];
            let counts = [step.succeeded(), step.failures(), step.cancelled].map(u128::from);
            let times = [
                both.iter().map(|pair| pair.response.sum_ns()).sum(),
                both.iter().map(|pair| pair.service.sum_ns()).sum(),
            ];
            let bytes = [step.bytes_in, step.bytes_out].map(u128::from);
            let sums: [u128; 7] = [&counts[..], &times[..], &bytes[..]].concat().try_into().unwrap();
            if sums != [0; 7] {
                windows.insert((step.step, step.stage), sums);
            }
        }
        let mut rows = self.sums.clone();
        if self.is_short {
            rows.values_mut().chain(windows.values_mut()).for_each(|sums| sums[5] = 0);
        }
        assert_eq!(rows, windows, "rows and windows");
    }
}

/// Where an outcome is counted; `None` for a cancelled request.
fn kind(outcome: Outcome) -> Option<usize> {
    match outcome {
        Outcome::Success(_) => Some(0),
        Outcome::Failed(metrics::ErrorKind::Cancelled, _) => None,
        Outcome::Failed(..) => Some(1),
    }
}

impl Told {
    /// How often each outcome occurred, such as `200` or `read_reset`, ascending.
    pub fn outcomes(&self) -> Vec<(String, u64)> {
        let mut counts = BTreeMap::<String, u64>::new();
        for (outcome, count) in self.all.of_requests().flat_map(|step| &step.outcomes) {
            let name = match outcome {
                Outcome::Success(status) => status.to_string(),
                Outcome::Failed(kind, _) => kind.to_string(),
            };
            *counts.entry(name).or_default() += count;
        }
        counts.into_iter().collect()
    }

    /// Iterations that came to their end.
    pub fn completed(&self) -> u64 {
        self.all.stages.iter().map(|stage| stage.completed).sum()
    }

    /// Of one step.
    pub fn succeeded(&self, step: usize) -> u64 {
        let is_it = |window: &&metrics::StepWindow| usize::from(window.step.0) == step;
        self.all.steps.iter().filter(is_it).map(metrics::StepWindow::succeeded).sum()
    }
}

/// Reads all events and checks what must hold after every run.
pub fn watch(mut running: Running) -> Told {
    let mut told = Told {
        all: DriverWindow::default(),
        windows: Vec::new(),
        totals: Totals::default(),
        notices: Vec::new(),
        rows: Rows { samples: running.take_samples(), ..Rows::default() },
    };
    let mut heard = clock::now();
    loop {
        told.rows.take();
        let Ok(event) = running.events().recv_timeout(Duration::from_millis(10)) else {
            assert!(clock::now().since(heard) < Duration::from_secs(60), "an event within a minute");
            continue;
        };
        heard = clock::now();
        match event {
            Event::Window(window) => {
                assert_eq!(
                    window.from_s,
                    told.windows.last().map_or(0, |last| last.to_s),
                    "windows in order"
                );
                assert!(window.gauges.causes.is_some(), "windows are judged");
                told.windows.push(*window);
            }
            Event::Finished(totals) => {
                told.totals = *totals;
                break;
            }
            event => told.notices.push(format!("{event:?}")),
        }
    }
    told.windows.iter().for_each(|window| told.all.merge(window.clone()));
    check(&told);
    assert_eq!(running.requests_sent(), told.totals.requests_sent);
    running.join();
    told.rows.take();
    told.rows.check(&told);
    told
}

/// The identities of a driver's accounts, and that windows add up to totals.
fn check(told: &Told) {
    let totals = &told.totals;
    assert_eq!(totals.due, totals.started + totals.missed.total(), "iterations: {totals:?}");
    assert_eq!(
        totals.requests_sent,
        totals.succeeded + totals.failed + totals.cancelled,
        "requests: {totals:?}"
    );
    assert_eq!(totals.windows, told.windows.len() as u64);
    let stages = |of: fn(&metrics::StageWindow) -> u64| told.all.stages.iter().map(of).sum::<u64>();
    assert_eq!(stages(|stage| stage.due), totals.due);
    assert_eq!(stages(|stage| stage.started), totals.started);
    assert_eq!(stages(|stage| stage.missed.total()), totals.missed.total());
    let steps = |of: fn(&metrics::StepWindow) -> u64| told.all.of_requests().map(of).sum::<u64>();
    assert_eq!(steps(|step| step.sent), totals.requests_sent);
    assert_eq!(steps(metrics::StepWindow::succeeded), totals.succeeded);
    assert_eq!(steps(metrics::StepWindow::failures), totals.failed);
    assert_eq!(steps(|step| step.cancelled), totals.cancelled);
    assert_eq!(steps(|step| step.bytes_in), totals.bytes_in);
}

/// Runs `plan` on `threads` threads to its end.
pub fn run(plan: plan::Plan, threads: usize) -> Told {
    watch(start(prepare(Job { threads, ..job(plan) })))
}

/// The outcomes of `requests` as fast as two connections take them, on each loop the same.
pub fn outcomes(server: &Server, requests: u64, step: &str) -> Vec<(String, u64)> {
    let load = format!("model: avalanche, requests_per_driver: {requests}, connections: 2");
    let outcomes = each_loop(&plan(server, &load, step), 1, |told| {
        assert_eq!(told.totals.requests_sent, requests);
        assert_eq!(told.totals.due, requests);
        told.outcomes()
    });
    outcomes
        .into_iter()
        .reduce(|one, other| {
            assert_eq!(one, other, "the loops differ");
            one
        })
        .unwrap()
}

/// Runs `plan` on each loop, one after the other, and looks at what each told.
pub fn each_loop<T>(plan: &plan::Plan, threads: usize, look: impl Fn(Told) -> T) -> Vec<T> {
    let looks = loops().into_iter().map(|io| {
        eprintln!("on {io:?}");
        look(watch(start(prepare(Job { threads, io, ..job(plan.clone()) }))))
    });
    looks.collect()
}

pub fn counts(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}
