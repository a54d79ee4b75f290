//! What a stall of the target does to the percentiles, against what it must do.
//!
//! The target stops for a second in the middle of ten seconds of open load. From the schedule, the length of the stall and
//! the rate at which what was held up was then answered, the response times follow by arithmetic; from the
//! target's record they are known. wrk under the same stall is there to show what a closed loop says of it.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use xtask::truth::{Delay, Record, Stall, computed, now_ns, quantile};

use super::{Target, plan};
use crate::bench::engine::measure::Spread;
use crate::bench::engine::table::{Goal, Table};
use crate::process::{GENERATOR_CORE, pinned};
use crate::run::built;

const RATE_PER_S: u32 = 10_000;
const SECONDS: u32 = 10;
const CONNECTIONS: u32 = 64;
/// Requests that the target has room for.
const ROOM: u64 = 3_000_000;
const STALL_AFTER: Duration = Duration::from_secs(4);
const STALL: Duration = Duration::from_secs(1);
/// What our percentiles may differ from the computed ones by, in percent.
const GOAL_PERCENT: f64 = 2.0;

/// Measures, and compares.
pub fn check(folder: &Path) -> Result<Table> {
    let (ours, record, held) = ours(folder)?;
    let per_s = f64::from(RATE_PER_S);
    let worked_off = record.worked_off_per_s(per_s, held.from_ns, held.to_ns);
    let worked_off_per_s = worked_off.context("nothing was held up by the stall")?;
    let stalled_s = (held.to_ns - held.from_ns) as f64 / 1e9;
    let stall = Stall {
        per_s,
        seconds: f64::from(SECONDS),
        from_s: STALL_AFTER.as_secs_f64(),
        for_s: stalled_s,
        worked_off_per_s,
    };
    let computed = computed(&stall);
    let mut known: Vec<f64> = record.responses(per_s).iter().map(|(_, ns)| *ns as f64 / 1e9).collect();
    known.sort_by(f64::total_cmp);
    let mut table = Table::of_figures(
        "A target that stands still for 1 s of 10 s, open, 10,000 requests/s, 64 connections",
    );
    for (name, q) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
        let said_ms = ours["response_us"][name].as_f64().context("no response time")? / 1e3;
        let [computed, known] = [&computed, &known].map(|times| quantile(times, q).map(|time| time * 1e3));
        let (computed_ms, known_ms) = computed.zip(known).context("no request was recorded")?;
        table.add_figure(&format!("response time {name}, computed"), Spread::of([computed_ms]), "ms", None);
        table.add_figure(
            &format!("response time {name}, by the target's record"),
            Spread::of([known_ms]),
            "ms",
            None,
        );
        table.add_figure(&format!("response time {name}, groundswell"), Spread::of([said_ms]), "ms", None);
        if q > 0.5 {
            let away = 100.0 * (said_ms / computed_ms - 1.0).abs();
            let goal = Some(Goal::at_most(GOAL_PERCENT));
            table.add_figure(&format!("{name} away from the computed one"), Spread::of([away]), "%", goal);
        }
    }
    table.note(format!(
        "The target stood still for {stalled_s:.4} s; what was due meanwhile was then answered at {worked_off_per_s:.0} requests/s, by its own record."
    ));
    table.note(format!("wrk, closed, under the same stall: {}.", wrk(folder)?));
    Ok(table)
}

/// When the target stood still, in ns of the monotonic clock.
struct Held {
    from_ns: u64,
    to_ns: u64,
}

/// What ours says of the stall, what the target recorded, and when it stood still.
fn ours(folder: &Path) -> Result<(Value, Record, Held)> {
    let target = Target::start(folder, ROOM)?;
    let stage = json!({"at": format!("{RATE_PER_S}/s"), "for": format!("{SECONDS}s")});
    let connections = json!({"start": CONNECTIONS, "max": CONNECTIONS});
    let load = json!({"model": "open", "stages": [stage], "connections": connections});
    let mut command = load_command(folder, &target, &load, 2 * SECONDS)?;
    let child = command.stdout(std::process::Stdio::piped()).spawn().context("cannot start load")?;
    let held = hold(&target)?;
    let said = said(&child.wait_with_output()?)?;
    let record = target.end()?;
    ensure!(said["missed"] == 0 && said["failed"] == 0, "not all requests were answered: {said}");
    Ok((said, record, held))
}

fn load_command(folder: &Path, target: &Target, load: &Value, seconds: u32) -> Result<Command> {
    let file = folder.join("stall.json");
    std::fs::write(&file, plan(&target.address, &[Delay::None], load).to_string())?;
    let (file, seconds) = (file.display().to_string(), seconds.to_string());
    Ok(pinned(GENERATOR_CORE, built("examples/load"), &["plan", &file, "--for", &seconds]))
}

fn said(output: &std::process::Output) -> Result<Value> {
    ensure!(output.status.success(), "load failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("load said no JSON")
}

/// Stops the target for a second.
fn hold(target: &Target) -> Result<Held> {
    let pid = Pid::from_child(&target.process.0);
    sleep(STALL_AFTER);
    kill_process(pid, Signal::STOP)?;
    let from_ns = now_ns();
    sleep(STALL);
    kill_process(pid, Signal::CONT)?;
    Ok(Held { from_ns, to_ns: now_ns() })
}

/// The lines of wrk's own distribution, in one.
fn wrk(folder: &Path) -> Result<String> {
    let target = Target::start(folder, ROOM)?;
    let url = format!("http://{}/{}", target.address, Delay::None.name());
    let (connections, seconds) = (CONNECTIONS.to_string(), format!("{SECONDS}s"));
    let arguments = ["-t1", "-c", &connections, "-d", &seconds, "--latency", &url];
    let mut command = pinned(GENERATOR_CORE, "wrk", &arguments);
    let child = command.stdout(std::process::Stdio::piped()).spawn().context("cannot start wrk")?;
    hold(&target)?;
    let output = child.wait_with_output()?;
    target.end()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().map(str::split_whitespace).map(Iterator::collect::<Vec<_>>);
    let shares: Vec<String> = lines
        .filter_map(|words| match words[..] {
            [share, time] if share.ends_with('%') => Some(format!("p{} {time}", share.trim_end_matches('%'))),
            _ => None,
        })
        .collect();
    ensure!(!shares.is_empty(), "wrk said no latency: {text}");
    Ok(shares.join(", "))
}
