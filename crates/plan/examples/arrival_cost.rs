//! What an arrival costs, by the CPU time of the thread: `cargo run --release -p plan --example arrival_cost`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "prints a measurement, and fails where it fails"
)]

use std::hint::black_box;
use std::sync::Arc;

use plan::{Arrivals, LaneSet};

const ROUNDS: usize = 7;

fn main() {
    for (name, load) in [
        ("uniform", "stages: [{ at: 100000/s, for: 10s }]"),
        ("uniform, on a ramp", "stages: [{ from: 0/s, to: 200000/s, over: 10s }]"),
        ("Poisson", "arrivals: poisson, stages: [{ at: 100000/s, for: 10s }]"),
        ("Poisson, on a ramp", "arrivals: poisson, stages: [{ from: 0/s, to: 200000/s, over: 10s }]"),
    ] {
        let text = format!(
            "version: 1\nname: cost\ntarget: http://127.0.0.1\nload: {{ model: open, {load} }}\nscenarios: {{ s: {{ steps: [{{ get: / }}] }} }}"
        );
        let schedule = Arc::new(plan::parse("cost", &text).unwrap().workloads[0].schedule().unwrap());
        let mut rounds: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let before = clock::thread_cpu();
                let arrivals = Arrivals::new(Arc::clone(&schedule), LaneSet::all());
                let count = arrivals.map(black_box).count();
                (clock::thread_cpu() - before).as_nanos() as f64 / count as f64
            })
            .collect();
        rounds.sort_by(f64::total_cmp);
        println!("{name:20} {:6.1} ns (least {:.1})", rounds[ROUNDS / 2], rounds[0]);
    }
}
