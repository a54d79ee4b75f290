//! Measures the engine: one run against an address, what came of it, and the CPU time of this process per request.
//!
//! ```text
//! load avalanche URL REQUESTS CONNECTIONS [THREADS]
//! load open      URL RATE_PER_S SECONDS [THREADS] [STEPS]
//! ```
//!
//! Prints one line of JSON. `STEPS` gives the plan so many steps, one per scenario, to see what recording them costs.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

use std::sync::Arc;
use std::time::Duration;

use engine::{Allow, Event, Job};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument =
        |number: usize, default: &str| arguments.get(number).cloned().unwrap_or(default.to_owned());
    let (model, url) = (argument(0, "avalanche"), argument(1, "http://127.0.0.1:8080/"));
    let threads = argument(4, "1").parse().expect("threads");
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
        _ => panic!("first argument: avalanche or open"),
    };
    let (base, path) = split(&url);
    let scenarios: String = (0..steps)
        .map(|step| format!("  s{step}: {{ steps: [{{ get: {path}, name: step-{step} }}] }}\n"))
        .collect();
    let text = format!("version: 1\nname: load\ntarget: {base}\nload: {load}\nscenarios:\n{scenarios}");
    let plan = plan::parse("load", &text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"));
    run(plan, threads);
}

fn split(url: &str) -> (&str, &str) {
    let path = url.strip_prefix("http://").and_then(|rest| rest.find('/')).map_or(url.len(), |at| at + 7);
    (&url[..path], if path == url.len() { "/" } else { &url[path..] })
}

fn run(plan: plan::Plan, threads: usize) {
    let prepared = engine::prepare(Job {
        plan: Arc::new(plan),
        run_id: "load".to_owned(),
        threads,
        share: plan::LaneSet::all(),
        allow: Allow::default(),
        user_agent: "groundswell/0.1 (run load)".to_owned(),
    })
    .unwrap_or_else(|error| panic!("{error:?}"));
    let start = clock::now() + Duration::from_millis(50);
    let cpu_before = clock::process_cpu();
    let running = prepared.start(start, start + Duration::from_secs(3600));
    let mut all = metrics::DriverWindow::default();
    let totals = loop {
        match running.events().recv().expect("events until the last") {
            Event::Window(window) => all.merge(*window),
            Event::Finished(totals) => break totals,
            event => eprintln!("{event:?}"),
        }
    };
    let elapsed = clock::now().since(start).as_secs_f64();
    running.join();
    let cpu_us = (clock::process_cpu() - cpu_before).as_secs_f64() * 1e6;
    report(&all, &totals, elapsed, cpu_us);
}

fn report(all: &metrics::DriverWindow, totals: &metrics::Totals, elapsed: f64, cpu_us: f64) {
    let mut send_lag = metrics::Timing::new();
    let mut response = metrics::Timing::new();
    let mut wait = metrics::Timing::new();
    all.stages.iter().for_each(|stage| {
        send_lag.merge(&stage.send_lag);
        wait.merge(&stage.connection_wait);
    });
    all.steps.iter().for_each(|step| response.merge(&step.ok.response));
    let us = |timing: &metrics::Timing, q: f64| timing.quantile(q).unwrap_or(0) as f64 / 1e3;
    let done = totals.succeeded + totals.failed;
    println!(
        "{{\"succeeded\": {}, \"failed\": {}, \"missed\": {}, \"per_s\": {:.0}, \"cpu_us_per_request\": {:.3}, \
         \"cpu_percent\": {:.1}, \"send_lag_us\": {{\"p50\": {:.1}, \"p99\": {:.1}, \"p99_9\": {:.1}}}, \
         \"wait_us_p99\": {:.1}, \"response_us\": {{\"p50\": {:.1}, \"p99\": {:.1}}}, \"busiest_permille\": {}, \
         \"never_waited\": {}, \"windows\": {}}}",
        totals.succeeded,
        totals.failed,
        totals.missed.total(),
        done as f64 / elapsed,
        cpu_us / done.max(1) as f64,
        cpu_us / elapsed / 1e4,
        us(&send_lag, 0.5),
        us(&send_lag, 0.99),
        us(&send_lag, 0.999),
        us(&wait, 0.99),
        us(&response, 0.5),
        us(&response, 0.99),
        all.gauges.busiest_thread_permille,
        all.gauges.never_waited,
        totals.windows,
    );
}
