//! `swell doctor`: the limits and clocks of this machine that spoil measurements before anyone notices.
//!
//! Each line says ok, warn or fail, why it matters, and the command that fixes it.

use std::fs;
use std::time::Duration;

use crate::arguments::Doctor;
use crate::exit::Exit;
use crate::output;

/// Connections that a driver may need by default, with some room for files.
const DESCRIPTORS_WANTED: u64 = 10_000 + 256;
/// Ports one source address should have towards one target address.
const PORTS_WANTED: u64 = 28_000;
/// A wake-up later than this shows in every latency below a millisecond.
const WAKE_UP_WARN: Duration = Duration::from_micros(500);
/// Wake-ups that are measured.
const WAKE_UPS: usize = 200;

enum Level {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
struct Finding {
    level: Level,
    what: &'static str,
    found: String,
    /// Why it matters, and the command that fixes it; nothing when all is well.
    advice: Option<(&'static str, String)>,
}

impl Finding {
    fn ok(what: &'static str, found: String) -> Self {
        Self { level: Level::Ok, what, found, advice: None }
    }

    fn warn(what: &'static str, found: String, why: &'static str, fix: impl Into<String>) -> Self {
        Self { level: Level::Warn, what, found, advice: Some((why, fix.into())) }
    }
}

pub fn run(arguments: &Doctor) -> anyhow::Result<Exit> {
    let mut findings = vec![descriptors(), ports(), processors(), governor(), clock_source(), wake_up()];
    findings.extend(cgroup());
    findings.extend(super::kafka::examine(&arguments.kafka).map(|examined| match examined {
        Ok(found) => Finding::ok("Kafka", found),
        Err(error) => Finding {
            level: Level::Fail,
            what: "Kafka",
            found: format!("{error:#}"),
            advice: Some((
                "drivers and orchestrator meet there",
                "check --kafka and the broker's listeners".to_owned(),
            )),
        },
    }));
    let failed = findings.iter().any(|finding| matches!(finding.level, Level::Fail));
    output::print(&findings.iter().map(show).collect::<String>())?;
    Ok(if failed { Exit::Preflight } else { Exit::Success })
}

fn show(finding: &Finding) -> String {
    let level = match finding.level {
        Level::Ok => "ok  ",
        Level::Warn => "warn",
        Level::Fail => "fail",
    };
    let line = format!("{level}  {:<18} {}\n", finding.what, finding.found);
    match &finding.advice {
        None => line,
        Some((why, fix)) => format!("{line}      {:<18} why: {why}\n      {:<18} fix: {fix}\n", "", ""),
    }
}

fn descriptors() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    let found = if current == u64::MAX { "unlimited".to_owned() } else { format!("{current}") };
    if current >= DESCRIPTORS_WANTED {
        return Finding::ok("file descriptors", found);
    }
    let why = "each connection takes one; without, requests fail as `local_limit`";
    Finding::warn("file descriptors", found, why, format!("ulimit -n {DESCRIPTORS_WANTED}"))
}

fn ports() -> Finding {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let bounds: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let &[first, last] = bounds.as_slice() else {
        let why = "the range of local ports bounds the connections to one target";
        return Finding::warn(
            "local ports",
            "unknown".to_owned(),
            why,
            "sysctl net.ipv4.ip_local_port_range",
        );
    };
    let count = (last + 1).saturating_sub(first);
    let found = format!("{count} ({first} to {last})");
    if count >= PORTS_WANTED {
        return Finding::ok("local ports", found);
    }
    let why = "a new connection per request leaves each port unusable for a minute";
    Finding::warn("local ports", found, why, "sysctl -w net.ipv4.ip_local_port_range='1024 65000'")
}

fn processors() -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let found = format!("{cores} usable");
    if cores >= 2 {
        return Finding::ok("cores", found);
    }
    let why = "the engine shares its core with everything else here, which shows as send lag";
    Finding::warn("cores", found, why, "give the driver two cores or more")
}

fn cgroup() -> Option<Finding> {
    let text = fs::read_to_string("/sys/fs/cgroup/cpu.max").ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    let (Ok(quota), Ok(period)) = (quota.parse::<f64>(), period.parse::<f64>()) else {
        return Some(Finding::ok("cgroup CPU", "no quota".to_owned()));
    };
    let found = format!("{:.2} cores", quota / period);
    let why =
        "a container that has used its quota stands still for up to 100 ms, and its requests leave late";
    Some(Finding::warn(
        "cgroup CPU",
        found,
        why,
        "run the driver without a CPU limit (set a request instead)",
    ))
}

fn governor() -> Finding {
    let path = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    match fs::read_to_string(path).ok().map(|text| text.trim().to_owned()) {
        None => Finding::ok("CPU governor", "not controlled here".to_owned()),
        Some(name) if name == "performance" => Finding::ok("CPU governor", name),
        Some(name) => {
            let why = "a core that clocks down answers late when the load is light";
            Finding::warn("CPU governor", name, why, "cpupower frequency-set -g performance")
        }
    }
}

fn clock_source() -> Finding {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let name = fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    if matches!(name.as_str(), "tsc" | "kvm-clock" | "arch_sys_counter" | "hyperv_clocksource_tsc_page") {
        return Finding::ok("clock source", name);
    }
    let found = if name.is_empty() { "unknown".to_owned() } else { name };
    let why = "others need a system call for each reading, several for each request";
    Finding::warn("clock source", found, why, format!("echo tsc > {path}"))
}

fn wake_up() -> Finding {
    let pause = Duration::from_millis(1);
    let mut late: Vec<Duration> = (0..WAKE_UPS)
        .map(|_| {
            let due = clock::now() + pause;
            std::thread::sleep(pause);
            clock::now().since(due)
        })
        .collect();
    late.sort_unstable();
    let (median, p99) = (late[WAKE_UPS / 2], late[WAKE_UPS * 99 / 100]);
    let found = format!("{} µs late at the median, {} µs at p99", median.as_micros(), p99.as_micros());
    if p99 <= WAKE_UP_WARN {
        return Finding::ok("wake-up", found);
    }
    let why = "a busy or oversubscribed machine sends late; the verdict will say so";
    Finding::warn("wake-up", found, why, "stop what else runs here, or use a machine of its own")
}
