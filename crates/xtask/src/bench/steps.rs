//! What many steps cost the pacer: the send lag of a plan with 500 steps, against the same load with one.
//!
//! Both take turns against the sample target in a process of its own; the figure is the median of the pairs' ratios.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

use super::fleet::{line_after, spawn};
use crate::run::{built, command, run as run_loudly};

const PAIRS: usize = 7;
const RATE_PER_S: &str = "5000";
const SECONDS: &str = "5";
const STEPS: &str = "500";

/// Builds, measures, and prints the ratio.
pub fn run() -> Result<()> {
    run_loudly(&mut command("cargo build --release --locked --package swell"))?;
    run_loudly(&mut command("cargo build --release --locked --package engine --example load"))?;
    let folder = std::env::temp_dir().join(format!("groundswell-bench-steps-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let target = spawn(&folder, "target", &["target", "--listen", "127.0.0.1:0"], None)?;
    let url = line_after(&folder, "target", "target on ")? + "/ping";
    let mut ratios = Vec::with_capacity(PAIRS);
    for number in 1..=PAIRS {
        let (one, many) = (lag_p99_us(&url, "1")?, lag_p99_us(&url, STEPS)?);
        println!(
            "{number}: send lag p99 {one:.0} µs with 1 step, {many:.0} µs with {STEPS}, ratio {:.2}",
            many / one
        );
        ratios.push(many / one);
    }
    drop(target);
    std::fs::remove_dir_all(&folder).ok();
    ratios.sort_by(f64::total_cmp);
    println!("median of the ratios at {RATE_PER_S}/s: {:.2}", ratios[PAIRS / 2]);
    Ok(())
}

fn lag_p99_us(url: &str, steps: &str) -> Result<f64> {
    let output = Command::new(built("examples/load"))
        .args(["open", url, RATE_PER_S, SECONDS, "1", steps])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start the example of the engine")?;
    let said: Value = serde_json::from_slice(&output.stdout).context("the example said no JSON")?;
    said["send_lag_us"]["p99"].as_f64().context("no send_lag_us.p99")
}
