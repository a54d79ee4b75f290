//! Measures the engine: one run of a plan, what came of it, and the CPU time of this process per request.
//!
//! ```text
//! load plan FILE [--threads N] [--for SECONDS] [--io auto|uring|epoll]
//! load avalanche URL REQUESTS CONNECTIONS [THREADS]
//! load open      URL RATE_PER_S SECONDS [THREADS] [STEPS]
//! ```
//!
//! `--for` stops the run after so many seconds. `STEPS` gives the plan so many steps, one per scenario, to see what
//! recording them costs. Prints one line of JSON.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

use std::sync::Arc;
use std::time::Duration;

use engine::{Allow, Event, Io, Job};
use metrics::{DriverWindow, Timing, Totals};

/// How long a run goes on when nothing stops it.
const LEASE: Duration = Duration::from_secs(24 * 3600);

/// What to run, and how.
struct Work {
    plan: plan::Plan,
    threads: usize,
    stop_after: Option<Duration>,
    io: Io,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let work = match arguments.first().map(String::as_str) {
        Some("plan") => of_file(&arguments[1..]),
        _ => of_words(&arguments),
    };
    run(work);
}

fn of_file(arguments: &[String]) -> Work {
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        Some(arguments.get(at + 1).unwrap_or_else(|| panic!("{name} needs a value")).as_str())
    };
    let file = arguments.first().expect("the plan's file");
    let text = std::fs::read_to_string(file).expect("a plan that can be read");
    Work {
        plan: parse(file, &text),
        threads: option("--threads").unwrap_or("1").parse().expect("threads"),
        stop_after: option("--for").map(|text| Duration::from_secs_f64(text.parse().expect("seconds"))),
        io: option("--io").map_or_else(io_by_environment, |text| text.parse().expect("a loop")),
    }
}

fn of_words(arguments: &[String]) -> Work {
    let argument =
        |number: usize, default: &str| arguments.get(number).cloned().unwrap_or(default.to_owned());
    let (model, url) = (argument(0, "avalanche"), argument(1, "http://127.0.0.1:8080/"));
    let steps: u32 = argument(5, "1").parse().expect("steps");
    let load = match model.as_str() {
        "avalanche" => format!(
            "{{ model: avalanche, requests_per_driver: {}, connections: {} }}",
            argument(2, "100000"),
            argument(3, "64")
        ),
        "open" => format!(
            "{{ model: open, stages: [{{ at: {}/s, for: {}s }}] }}",
            argument(2, "1000"),
            argument(3, "10")
        ),
        _ => panic!("first argument: plan, avalanche or open"),
    };
    let (base, path) = split(&url);
    let scenarios: String = (0..steps)
        .map(|step| format!("  s{step}: {{ steps: [{{ get: {path}, name: step-{step} }}] }}\n"))
        .collect();
    let text = format!("version: 1\nname: load\ntarget: {base}\nload: {load}\nscenarios:\n{scenarios}");
    Work {
        plan: parse("load", &text),
        threads: argument(4, "1").parse().expect("threads"),
        stop_after: None,
        io: io_by_environment(),
    }
}

/// `SWELL_IO`, where it is set.
fn io_by_environment() -> Io {
    std::env::var("SWELL_IO").map_or(Io::Auto, |text| text.parse().expect("a loop"))
}

fn split(url: &str) -> (&str, &str) {
    let path = url.strip_prefix("http://").and_then(|rest| rest.find('/')).map_or(url.len(), |at| at + 7);
    (&url[..path], if path == url.len() { "/" } else { &url[path..] })
}

fn parse(name: &str, text: &str) -> plan::Plan {
    plan::parse(name, text).unwrap_or_else(|faults| {
        let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
        panic!("{}", said.join("\n"))
    })
}

fn run(work: Work) {
    let prepared = engine::prepare(Job {
        plan: Arc::new(work.plan),
        files: data::Files::default(),
        run_id: "load".to_owned(),
        threads: work.threads,
        share: plan::LaneSet::all(),
        allow: Allow::default(),
        user_agent: "groundswell/0.1 (run load)".to_owned(),
        io: work.io,
        secrets: engine::Secrets::default(),
    })
    .unwrap_or_else(|error| panic!("{error:?}"));
    let start = clock::now() + Duration::from_millis(50);
    let cpu_before = clock::process_cpu();
    let running = prepared.start(start, start + LEASE);
    let mut stop_at = work.stop_after.map(|after| start + after);
    let mut seen = Seen::default();
    let totals = loop {
        let event = match stop_at.map(|at| at.since(clock::now())) {
            Some(Duration::ZERO) => {
                running.stop();
                stop_at = None;
                continue;
            }
            // An end of the wait is no end of the run: the next turn stops it.
            Some(left) => match running.events().recv_timeout(left) {
                Ok(event) => event,
                Err(_) => continue,
            },
            None => running.events().recv().expect("events until the last"),
        };
        match event {
            Event::Window(window) => seen.add(*window),
            Event::Finished(totals) => break totals,
            event => eprintln!("{event:?}"),
        }
    };
    let elapsed = clock::now().since(start).as_secs_f64();
    running.join();
    let cpu_us = (clock::process_cpu() - cpu_before).as_secs_f64() * 1e6;
    seen.report(&totals, elapsed, cpu_us);
}

/// All windows, and those of seconds in which the hypervisor took no CPU time away from this machine.
#[derive(Default)]
struct Seen {
    all: DriverWindow,
    quiet: DriverWindow,
    windows: u32,
    quiet_windows: u32,
    stolen_ticks: Option<u64>,
}

impl Seen {
    fn add(&mut self, window: DriverWindow) {
        let stolen_ticks = stolen_ticks();
        // What is left to be answered at the end sends nothing, and is no second of the load.
        if window.stages.iter().any(|stage| !stage.send_lag.is_empty()) {
            self.windows += 1;
            // The first second has the start of the program in it.
            if self.stolen_ticks == stolen_ticks && self.windows > 1 {
                self.quiet.merge(window.clone());
                self.quiet_windows += 1;
            }
        }
        self.stolen_ticks = stolen_ticks;
        self.all.merge(window);
    }

    fn report(&self, totals: &Totals, elapsed: f64, cpu_us: f64) {
        let (send_lag, wait, response, service) = timings(&self.all);
        let (quiet_lag, ..) = timings(&self.quiet);
        let done = totals.succeeded + totals.failed;
        println!(
            "{{\"succeeded\": {}, \"failed\": {}, \"missed\": {}, \"per_s\": {:.0}, \"cpu_us_per_request\": {:.3}, \
             \"cpu_percent\": {:.1}, \"send_lag_us\": {}, \"quiet_send_lag_us\": {}, \"quiet_seconds\": {}, \
             \"seconds\": {}, \"wait_us\": {}, \"response_us\": {}, \"service_us\": {}, \"busiest_permille\": {}, \
             \"never_waited\": {}, \"windows\": {}}}",
            totals.succeeded,
            totals.failed,
            totals.missed.total(),
            done as f64 / elapsed,
            cpu_us / done.max(1) as f64,
            cpu_us / elapsed / 1e4,
            percentiles(&send_lag),
            percentiles(&quiet_lag),
            self.quiet_windows,
            self.windows,
            percentiles(&wait),
            percentiles(&response),
            percentiles(&service),
            self.all.gauges.busiest_thread_permille,
            self.all.gauges.never_waited,
            totals.windows,
        );
    }
}

/// Send lag, connection wait, response time and service time.
fn timings(window: &DriverWindow) -> (Timing, Timing, Timing, Timing) {
    let (mut send_lag, mut wait) = (Timing::new(), Timing::new());
    window.stages.iter().for_each(|stage| {
        send_lag.merge(&stage.send_lag);
        wait.merge(&stage.connection_wait);
    });
    let (mut response, mut service) = (Timing::new(), Timing::new());
    window.steps.iter().for_each(|step| {
        response.merge(&step.ok.response);
        service.merge(&step.ok.service);
    });
    (send_lag, wait, response, service)
}

fn percentiles(timing: &Timing) -> String {
    if timing.is_empty() {
        return "null".to_owned();
    }
    let us = |q: f64| timing.quantile(q).unwrap_or(0) as f64 / 1e3;
    format!(
        "{{\"p50\": {:.1}, \"p95\": {:.1}, \"p99\": {:.1}, \"p99_9\": {:.1}}}",
        us(0.5),
        us(0.95),
        us(0.99),
        us(0.999)
    )
}

/// What `/proc/stat` says was stolen so far, in all.
fn stolen_ticks() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    text.lines().next()?.split_whitespace().nth(8)?.parse().ok()
}
