//! What plans cost: requests that vary against those that do not, a large file of data, and a long plan.
//!
//! Requests take turns against the sample shop in a process on another core; the figure is the median of the pairs'
//! ratios of the generator's CPU time per request. The varying step has three expressions and saves a value of a JSON
//! answer; both steps get the same answers, and send headers of the same length.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::engine::measure::Spread;
use super::fleet::{line_after, spawn};
use crate::process::{GENERATOR_CORE, SERVER_CORE, measure, pinned};
use crate::run::{built, command, run as run_loudly};

const PAIRS: usize = 7;
const SECONDS: &str = "3";
const STEPS: usize = 1_000;
const LOOPS: [&str; 2] = ["uring", "epoll"];

const STATIC: &str = r#"
      - get: /api/products/7
        name: product
        headers: { x-trace: "0123456789abcdef", x-number: "123456" }"#;

const VARYING: &str = r#"
      - get: "/api/products/{{ rand.int(1, 9) }}"
        name: product
        headers: { x-trace: "{{ rand.hex(16) }}", x-number: "{{ rand.int(100000, 999999) }}" }
        save: { price: $.price }"#;

/// Builds, measures, and prints the figures.
pub fn run() -> Result<()> {
    run_loudly(&mut command("cargo build --release --locked --package swell"))?;
    run_loudly(&mut command("cargo build --release --locked --package engine --example load"))?;
    run_loudly(&mut command("cargo build --release --locked --package data --example open"))?;
    let folder = std::env::temp_dir().join(format!("groundswell-bench-plan-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    requests(&folder)?;
    data()?;
    check(&folder)?;
    fs::remove_dir_all(&folder).ok();
    Ok(())
}

fn requests(folder: &Path) -> Result<()> {
    let arguments = ["target", "--shop", "--listen", "127.0.0.1:0"];
    let target = spawn(folder, "target", &arguments, Some(SERVER_CORE))?;
    let url = line_after(folder, "target", "target on ")?;
    for (name, step) in [("static", STATIC), ("varying", VARYING)] {
        let text = format!(
            "version: 1\nname: {name}\ntarget: {url}\n\
             load: {{ model: avalanche, requests_per_driver: 1000000000, connections: 64 }}\n\
             scenarios:\n  main:\n    steps:{step}\n"
        );
        fs::write(folder.join(name), text)?;
    }
    for io in LOOPS {
        let mut ratios = Vec::with_capacity(PAIRS);
        for number in 1..=PAIRS {
            let (fixed, varying) = (cpu_us(folder, "static", io)?, cpu_us(folder, "varying", io)?);
            println!(
                "{io} {number}: {fixed:.2} µs of CPU for a static request, {varying:.2} for a varying one, ratio {:.2}",
                varying / fixed
            );
            ratios.push(varying / fixed);
        }
        let spread = Spread::of(ratios).context("no pairs")?;
        println!(
            "{io}: {:.2} ({:.2} to {:.2}) × the CPU of a static step; goal 1.25",
            spread.median, spread.least, spread.most
        );
    }
    drop(target);
    Ok(())
}

fn cpu_us(folder: &Path, plan: &str, io: &str) -> Result<f64> {
    let file = folder.join(plan).display().to_string();
    let arguments = ["plan", &file, "--for", SECONDS, "--io", io];
    let finished = measure(&mut pinned(GENERATOR_CORE, built("examples/load"), &arguments))?;
    let said: Value = serde_json::from_str(finished.text().trim())
        .with_context(|| format!("load said no JSON: {}", finished.said()))?;
    ensure!(said["failed"] == 0, "requests failed: {said}");
    said["cpu_us_per_request"].as_f64().context("no cpu_us_per_request")
}

/// The example says it itself.
fn data() -> Result<()> {
    let finished = measure(&mut pinned(GENERATOR_CORE, built("examples/open"), &[]))?;
    ensure!(finished.output.status.success(), "{}", finished.said());
    println!("a file of data; goal 300 ms and 64 MB:\n{}", finished.text().trim_end());
    Ok(())
}

/// The whole of `swell check`, its start included.
fn check(folder: &Path) -> Result<()> {
    let mut text = String::from(
        "version: 1\nname: long\ntarget: http://127.0.0.1:1\nload: { model: open, stages: [{ at: 1/s, for: 1s }] }\n\
         scenarios:\n  main:\n    steps:\n",
    );
    for step in 0..STEPS {
        writeln!(
            text,
            "      - post: \"/items/{{{{ rand.int(1, 9) }}}}/{step}\"\n        name: step {step}\n        \
             headers: {{ x-trace: \"{{{{ uuid }}}}\" }}\n        json: {{ number: \"{{{{ iteration }}}}\" }}\n        \
             save: {{ value: \"$.items[0].id\" }}\n        expect: {{ status: 200, body_contains: id, under: 2s }}"
        )?;
    }
    let file = folder.join("long.plan.yaml").display().to_string();
    fs::write(&file, text)?;
    let mut times = Vec::with_capacity(PAIRS);
    for _ in 0..PAIRS {
        let finished = measure(&mut pinned(GENERATOR_CORE, built("swell"), &["check", &file]))?;
        ensure!(finished.output.status.success(), "{}", finished.said());
        times.push(finished.wall.as_secs_f64() * 1e3);
    }
    let spread = Spread::of(times).context("no rounds")?;
    println!(
        "swell check of {STEPS} steps: {:.0} ms ({:.0} to {:.0}); goal 100",
        spread.median, spread.least, spread.most
    );
    Ok(())
}
