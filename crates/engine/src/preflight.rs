//! Whether this machine can do what a plan asks of it, as far as that can be told before anything is sent.
//!
//! Warnings never keep a run from starting: what they foresee is measured in the run and judged by its verdict. Only what
//! cannot be begun at all is an error. Deliberately absent: reading the machine; the facts are an argument.

use std::net::IpAddr;
use std::time::Duration;

use plan::{Connections, HttpVersion, Load, Per, Plan, Scenario, Workload};

use crate::Machine;

/// Descriptors beside those of connections: logs, the store, the broker.
const OTHER_DESCRIPTORS: u64 = 64;

/// Descriptors of a thread's loop: its queue of events, its timer, and what wakes it.
const THREAD_DESCRIPTORS: u64 = 4;

/// Requests per second that a core sends and receives at most, about.
///
/// Measured with short answers over loopback: wrk spends 4.9 to 7.3 µs of CPU per request on the machines at hand and
/// this engine about as much; pacing single requests takes up to twice that. Real networks, TLS and large bodies cost
/// more, so a plan that asks for more than this is beyond the machine, and one that asks for less may be, too.
const REQUESTS_PER_CORE_S: f64 = 100_000.0;

/// Memory of a connection in use, in bytes: about a kilobyte of ours, the rest is the kernel's socket with short queues.
const CONNECTION_BYTES: u64 = 16 * 1024;

/// Memory of the measurements of a step name in one thread: four histograms of some eight pages (1 KiB) each, in the
/// three sets that are in turn written, merged and spare.
const ROW_BYTES: u64 = 3 * 4 * 8 * 1024;

/// Memory of an iteration that waits, in bytes.
const WAITING_BYTES: u64 = 100;

/// Streams of an HTTP/2 connection where neither plan nor target says: what targets should allow (RFC 9113, 6.5.2).
const STREAMS: u32 = 100;

/// How long a closed connection holds its port on the side that closed first (`TCP_TIMEWAIT_LEN` of Linux).
pub const TIME_WAIT: Duration = Duration::from_secs(60);

/// What one process is to do of a plan.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Drivers in this process, at least 1.
    pub drivers: u64,
    /// Engine threads of all of them for each workload.
    pub threads: u64,
    /// Lanes of all of them, of [`plan::LANES`]; models that are per driver ignore it.
    pub lanes: usize,
}

/// A part of a plan that cannot be begun on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Impossible(String);

/// What of `part` will probably fail on `machine`, a sentence each with what to do about it.
///
/// # Errors
/// It certainly will: the connections that are to be there from the start exceed a hard limit.
pub fn preflight(part: &Part<'_>, machine: &Machine) -> Result<Vec<String>, Impossible> {
    let wanted = Wanted::of(part);
    let mut warnings = Vec::new();
    descriptors(&wanted, machine, &mut warnings)?;
    ports(&wanted, part.plan, machine, &mut warnings);
    threads(part, machine, &mut warnings);
    rate(&wanted, part, machine, &mut warnings);
    memory(&wanted, part, machine, &mut warnings);
    Ok(warnings)
}

/// Connections that `part` has open at once: from the start, and at most.
///
/// The second is what a target that answers nothing would bring about: as many as there are users, or as come within the
/// timeouts of an iteration.
pub fn connections(part: &Part<'_>) -> (u64, u64) {
    let wanted = Wanted::of(part);
    (wanted.start_connections, wanted.most_connections)
}

/// What a part asks for, all drivers of the process together.
struct Wanted {
    start_connections: u64,
    /// Descriptors beside those of connections.
    other_descriptors: u64,
    /// As many as can be in use at once.
    most_connections: u64,
    /// The highest rate of any stage; `None` as fast as possible.
    requests_per_s: Option<f64>,
    /// Connections that the plan itself has closed and opened anew, per second.
    new_per_s: f64,
    /// Iterations that may wait at once.
    waiting: f64,
}

impl Wanted {
    /// What the part asks for in all its workloads.
    fn of(part: &Part<'_>) -> Self {
        let mut wanted = Self {
            start_connections: 0,
            other_descriptors: OTHER_DESCRIPTORS,
            most_connections: 0,
            requests_per_s: Some(0.0),
            new_per_s: 0.0,
            waiting: 0.0,
        };
        part.plan.workloads.iter().for_each(|workload| wanted.add(part, workload));
        wanted
    }

    fn add(&mut self, part: &Part<'_>, workload: &Workload) {
        let Part { plan, drivers, .. } = *part;
        let connections = workload.connections();
        let iterations_per_s = peak_per_s(part, workload);
        let scenarios: Vec<&Scenario> =
            workload.scenarios.iter().map(|number| &plan.scenarios[*number]).collect();
        let in_use = match iterations_per_s {
            Some(rate) => rate * path_seconds(&scenarios),
            None => peak_users(part, workload),
        };
        let requests_per_s = iterations_per_s.map(|rate| rate * mean_steps(&scenarios));
        let start_connections = drivers * u64::from(connections.start.min(connections.max));
        let max_connections = drivers * u64::from(connections.max);
        self.start_connections += start_connections;
        self.other_descriptors += THREAD_DESCRIPTORS * part.threads;
        self.most_connections +=
            whole(in_use / per_connection(plan, workload)).clamp(start_connections, max_connections);
        self.requests_per_s = self.requests_per_s.zip(requests_per_s).map(|(sum, one)| sum + one);
        self.new_per_s += new_per_s(connections, iterations_per_s, requests_per_s);
        self.waiting += if in_use.is_finite() { in_use } else { 0.0 };
    }
}

/// Requests that share a connection at the same time where that is certain.
fn per_connection(plan: &Plan, workload: &Workload) -> f64 {
    let shares = plan.http == HttpVersion::Http2 && !matches!(workload.load, Load::Avalanche { .. });
    if shares { f64::from(workload.connections().streams.unwrap_or(STREAMS)) } else { 1.0 }
}

/// Infinite where nothing but the target's answers bounds it. What the target closes is unknown.
fn new_per_s(connections: &Connections, iterations_per_s: Option<f64>, requests_per_s: Option<f64>) -> f64 {
    let by_iterations = match connections.per {
        Per::Iteration => iterations_per_s.unwrap_or(f64::INFINITY),
        Per::Pool | Per::User => 0.0,
    };
    let by_requests =
        connections.requests.map_or(0.0, |most| requests_per_s.unwrap_or(f64::INFINITY) / most.max(1) as f64);
    by_iterations.max(by_requests)
}

/// Iterations per second of this part in the workload's busiest stage.
fn peak_per_s(part: &Part<'_>, workload: &Workload) -> Option<f64> {
    let drivers = part.drivers as f64;
    match &workload.load {
        Load::Open { stages, .. } => {
            let rates = stages.iter().flat_map(|stage| [stage.from, stage.to]);
            let peak = rates.map(plan::Rate::per_second).fold(0.0, f64::max);
            Some(peak * part.lanes as f64 / plan::LANES as f64)
        }
        Load::Avalanche { limit, .. } => limit.map(|limit| limit.per_second() * drivers),
        Load::Closed { .. } => None,
        Load::Tsunami { delay, limit, .. } => {
            let by_delay = 1.0 / delay.as_secs_f64().max(1e-9);
            Some(limit.map_or(by_delay, |limit| by_delay.min(limit.per_second())) * drivers)
        }
    }
}

/// Users of this part where there are most; infinite where connections are the users.
fn peak_users(part: &Part<'_>, workload: &Workload) -> f64 {
    let Load::Closed { stages, .. } = &workload.load else { return f64::INFINITY };
    let peak = stages.iter().map(|stage| stage.from.max(stage.to)).max().unwrap_or(0);
    (f64::from(peak) * part.lanes as f64 / plan::LANES as f64).ceil()
}

/// How long an iteration can hold connections at most: all timeouts of its longest scenario.
fn path_seconds(scenarios: &[&Scenario]) -> f64 {
    let seconds = scenarios
        .iter()
        .map(|scenario| scenario.steps.iter().map(|step| step.timeout.as_secs_f64()).sum::<f64>());
    seconds.fold(0.0, f64::max)
}

/// Requests of an iteration, by the weights of the scenarios.
fn mean_steps(scenarios: &[&Scenario]) -> f64 {
    let weight: f64 = scenarios.iter().map(|scenario| f64::from(scenario.weight)).sum();
    let steps = scenarios.iter().map(|scenario| f64::from(scenario.weight) * scenario.steps.len() as f64);
    steps.sum::<f64>() / weight.max(1.0)
}

fn descriptors(wanted: &Wanted, machine: &Machine, warnings: &mut Vec<String>) -> Result<(), Impossible> {
    let found = &machine.descriptors;
    let left = found.hard.min(found.left_in_all.unwrap_or(u64::MAX)).saturating_sub(wanted.other_descriptors);
    let fix = |connections: u64| {
        let needed = connections + wanted.other_descriptors;
        if found.hard < needed {
            format!(
                "raise it with `ulimit -Hn {needed}` (or LimitNOFILE= of the service), or lower connections"
            )
        } else {
            format!("raise it with `sysctl -w fs.file-max={needed}` or more, or lower connections")
        }
    };
    let (start, most) = (wanted.start_connections, wanted.most_connections);
    if start > left {
        return Err(Impossible(format!(
            "{start} connections are to be open from the start, and the limit on open files leaves {left}; {}",
            fix(start)
        )));
    }
    if most > left {
        warnings.push(format!(
            "up to {most} connections may be needed, and the limit on open files leaves {left}: beyond, requests fail as \
             local_limit; {}",
            fix(most)
        ));
    }
    Ok(())
}

/// Ports are per pair of addresses; a plan's targets are taken for one address each, since names are not resolved yet.
fn ports(wanted: &Wanted, plan: &Plan, machine: &Machine, warnings: &mut Vec<String>) {
    let targets: Vec<_> = plan.targets.iter().filter(|target| target.socket.is_none()).collect();
    let Some(range) = machine.ports.count().filter(|_| !targets.is_empty()) else { return };
    let pairs = whole((targets.len() * plan.network.source_addresses.len().max(1)) as f64);
    let count = range.saturating_mul(pairs);
    // Those that wait may be taken again after a second: never, for all targets, or for those on this machine.
    let is_reused = match machine.ports.reuse {
        Some(1) => true,
        Some(2) => targets.iter().all(|target| is_here(&target.host)),
        _ => false,
    };
    let held = if is_reused { 0 } else { machine.ports.time_wait.unwrap_or(0) };
    let left = count.saturating_sub(held);
    const MORE: &str = "widen them with `sysctl -w net.ipv4.ip_local_port_range='1024 65000'`, or give more addresses \
                        in network: source_addresses";
    if wanted.most_connections > left {
        let most = wanted.most_connections;
        warnings.push(format!(
            "up to {most} connections may be needed, and {left} of {count} local ports are free towards the targets: \
             beyond, requests fail as local_limit; {MORE}, or lower connections"
        ));
    }
    let seconds = if is_reused { 1 } else { TIME_WAIT.as_secs() };
    let most_per_s = count / seconds;
    if wanted.new_per_s > most_per_s as f64 {
        let asked = if wanted.new_per_s.is_finite() {
            format!("{:.0}", wanted.new_per_s)
        } else {
            "any number of".to_owned()
        };
        let reuse = if is_reused { "" } else { ", or set `sysctl -w net.ipv4.tcp_tw_reuse=1`" };
        warnings.push(format!(
            "{asked} new connections per second are asked for, and {count} local ports, each held for {seconds} s after it \
             was used, allow {most_per_s}: beyond, requests fail as local_limit; {MORE}{reuse}"
        ));
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn threads(part: &Part<'_>, machine: &Machine, warnings: &mut Vec<String>) {
    let usable = machine.processors.usable();
    if part.threads as f64 > usable.max(1.0).ceil() {
        warnings.push(format!(
            "{} engine threads share {}: they will hold each other up, which shows as send lag; use --threads {}",
            part.threads,
            cores(usable),
            whole(usable.floor().max(1.0))
        ));
    }
    if let Some(quota) = machine.processors.quota.filter(|quota| *quota < part.threads as f64) {
        warnings.push(format!(
            "the CPU quota of {} stops {} engine threads for up to 100 ms when it is used up; run without a CPU limit",
            cores(quota),
            part.threads
        ));
    }
}

fn rate(wanted: &Wanted, part: &Part<'_>, machine: &Machine, warnings: &mut Vec<String>) {
    let Some(requests_per_s) = wanted.requests_per_s else { return };
    let busy = (part.threads as f64).min(machine.processors.usable());
    let most = busy * REQUESTS_PER_CORE_S;
    if requests_per_s > most {
        warnings.push(format!(
            "{requests_per_s:.0} requests per second are asked of {}, which can send about {most:.0} at best; use more \
             drivers or more --threads",
            cores(busy)
        ));
    }
}

fn memory(wanted: &Wanted, part: &Part<'_>, machine: &Machine, warnings: &mut Vec<String>) {
    let rows = u64::try_from(part.plan.rows().len()).unwrap_or(u64::MAX);
    let connections = wanted.most_connections.saturating_mul(CONNECTION_BYTES);
    let threads = part.threads.saturating_mul(u64::try_from(part.plan.workloads.len()).unwrap_or(u64::MAX));
    let measurements = rows.saturating_mul(threads).saturating_mul(ROW_BYTES);
    let waiting = whole(wanted.waiting).min(threads << 20).saturating_mul(WAITING_BYTES);
    let needed = connections.saturating_add(measurements).saturating_add(waiting);
    let usable = machine.memory.usable();
    if needed > usable && usable > 0 {
        warnings.push(format!(
            "about {} MiB of memory may be needed ({} connections, {rows} step names, {} threads), and {} MiB can be had; \
             lower connections or threads",
            needed >> 20,
            wanted.most_connections,
            threads,
            usable >> 20
        ));
    }
}

fn cores(count: f64) -> String {
    if count == 1.0 { "1 core".to_owned() } else { format!("{} cores", (count * 100.0).round() / 100.0) }
}

fn whole(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "never negative; what is too large for a u64 is as good as its greatest"
    )]
    let whole = number.ceil() as u64;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Descriptors, Memory, Ports, Processors};

    fn plan(load: &str) -> Plan {
        let text = format!(
            "version: 1\nname: x\ntarget: http://127.0.0.1:1\nload: {{ {load} }}\n\
             scenarios:\n  one: {{ weight: 3, steps: [{{ get: /, timeout: 10s }}] }}\n  \
             two: {{ weight: 1, steps: [{{ get: /a, timeout: 5s }}, {{ get: /b, timeout: 20s }}] }}\n"
        );
        plan::parse("x", &text).unwrap_or_else(|faults| panic!("{faults:#?}"))
    }

    fn machine() -> Machine {
        Machine {
            descriptors: Descriptors {
                soft: 1024,
                hard: 20_000,
                per_process: Some(1 << 20),
                left_in_all: Some(1 << 20),
            },
            ports: Ports { range: Some((32_768, 60_999)), reuse: Some(2), time_wait: Some(0) },
            processors: Processors { online: 4, affinity: 4, quota: None, governors: Vec::new() },
            memory: Memory { total: 8 << 30, available: 4 << 30, limit: None },
            ..Machine::default()
        }
    }

    /// What is said of one driver with two threads that has all lanes.
    fn said(load: &str, change: impl Fn(&mut Machine)) -> Result<Vec<String>, String> {
        let mut machine = machine();
        change(&mut machine);
        let plan = plan(load);
        let part = Part { plan: &plan, drivers: 1, threads: 2, lanes: plan::LANES };
        preflight(&part, &machine).map_err(|impossible| impossible.to_string())
    }

    fn warns(load: &str, change: impl Fn(&mut Machine), parts: &[&str]) {
        let warnings = said(load, change).unwrap_or_else(|error| panic!("impossible: {error}"));
        let [warning] = warnings.as_slice() else { panic!("{warnings:?} for {parts:?}") };
        assert!(parts.iter().all(|part| warning.contains(part)), "{parts:?} in {warning:?}");
    }

    const CALM: &str = "model: open, stages: [{ at: 100/s, for: 10s }]";

    #[test]
    fn what_fits_is_no_matter() {
        assert_eq!(said(CALM, |_| {}), Ok(vec![]));
        // A driver with a tenth of the lanes has a tenth of the rate.
        let plan = plan("model: open, stages: [{ at: 1000000/s, for: 10s }]");
        let part = Part { plan: &plan, drivers: 1, threads: 4, lanes: plan::LANES / 10 };
        let mut machine = machine();
        machine.descriptors.hard = 1 << 20;
        assert_eq!(preflight(&part, &machine), Ok(vec![]));
    }

    #[test]
    fn descriptors() {
        let scarce = |machine: &mut Machine| machine.descriptors.hard = 1000;
        // 100 iterations a second that may take 25 s each.
        warns(CALM, scarce, &["up to 2500 connections", "leaves 928", "local_limit", "ulimit -Hn 2572"]);
        let impossible = "model: avalanche, requests_per_driver: 5, connections: 929";
        let error = said(impossible, scarce).unwrap_err();
        assert!(error.contains("929 connections") && error.contains("ulimit -Hn 1001"), "{error}");
        let left = |machine: &mut Machine| machine.descriptors.left_in_all = Some(1000);
        warns(CALM, left, &["fs.file-max"]);
    }

    #[test]
    fn ports() {
        let few = |machine: &mut Machine| machine.ports.range = Some((40_000, 40_099));
        warns(CALM, few, &["100 of 100 local ports", "ip_local_port_range"]);
        let held = |reuse| {
            move |machine: &mut Machine| {
                (machine.ports.time_wait, machine.ports.reuse) = (Some(28_000), Some(reuse));
            }
        };
        warns(CALM, held(0), &["232 of 28232"]);
        assert_eq!(said(CALM, held(1)), Ok(vec![]));
        assert_eq!(said(CALM, held(2)), Ok(vec![]), "the target is on this machine");
    }

    #[test]
    fn new_connections() {
        let reuse = |reuse| move |machine: &mut Machine| machine.ports.reuse = Some(reuse);
        let each =
            "model: open, connections: { max: 900, per: iteration }, stages: [{ at: 500/s, for: 10s }]";
        warns(
            each,
            reuse(0),
            &["500 new connections per second", "held for 60 s", "allow 470", "tcp_tw_reuse=1"],
        );
        assert_eq!(said(each, reuse(2)), Ok(vec![]));
        let fourth =
            "model: open, connections: { max: 900, requests: 4 }, stages: [{ at: 1600/s, for: 10s }]";
        warns(fourth, reuse(0), &["500 new connections per second"]);
        let free = "model: avalanche, requests_per_driver: 9, connections: { max: 9, per: iteration }";
        warns(free, reuse(0), &["any number of new connections"]);
    }

    #[test]
    fn processors() {
        warns(
            CALM,
            |machine| machine.processors.affinity = 1,
            &["2 engine threads share 1 core", "--threads 1"],
        );
        warns(CALM, |machine| machine.processors.quota = Some(1.5), &["quota of 1.5 cores", "100 ms"]);
    }

    #[test]
    fn rate() {
        let fast = "model: tsunami, requests_per_driver: 9, delay: 5us, connections: { start: 1, max: 100 }";
        // 200,000 iterations of 1.25 requests, and two threads.
        warns(fast, |_| {}, &["250000 requests per second", "2 cores", "200000"]);
        let unlimited = "model: avalanche, requests_per_driver: 9, connections: 10";
        assert_eq!(said(unlimited, |_| {}), Ok(vec![]));
    }

    #[test]
    fn memory() {
        let small = |machine: &mut Machine| machine.memory.limit = Some(16 << 20);
        warns(CALM, small, &["MiB of memory", "2500 connections", "3 step names", "16 MiB"]);
    }
}
