//! What this machine allows this process, and how its clocks are: facts, read once.
//!
//! Invariant: what cannot be read is `None`, never a guess. Deliberately absent: judging. `preflight` weighs the facts
//! against a plan, `swell doctor` tells what is wrong with them in general.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Resource, getrlimit};

use crate::cgroup;

/// The facts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Machine {
    /// Files and sockets.
    pub descriptors: Descriptors,
    /// Local ports.
    pub ports: Ports,
    /// The longest listen queue of a socket here (`net.core.somaxconn`).
    pub listen_queue: Option<u64>,
    /// What computes.
    pub processors: Processors,
    /// What there is room for.
    pub memory: Memory,
    /// What tells the time.
    pub clocks: Clocks,
    /// Release of the kernel, such as `6.1.0`.
    pub kernel: String,
    /// `kernel.io_uring_disabled`: 0 allowed, 1 for some, 2 for nobody; `None` before Linux 6.6.
    pub io_uring_disabled: Option<u64>,
    /// Whether a seccomp filter is on this process, as in most containers: many refuse io_uring.
    pub seccomp: bool,
}

/// Limits on open files; each connection takes one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Descriptors {
    /// `RLIMIT_NOFILE` as it is; `u64::MAX` without limit. The engine raises it to `hard`.
    pub soft: u64,
    /// As far as the process may raise it.
    pub hard: u64,
    /// `fs.nr_open`: as far as anybody may raise it for one process.
    pub per_process: Option<u64>,
    /// `fs.file-max` less what is open on the whole machine.
    pub left_in_all: Option<u64>,
}

/// Local ports: one per connection from one source address to one target address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ports {
    /// First and last of `net.ipv4.ip_local_port_range`.
    pub range: Option<(u64, u64)>,
    /// `net.ipv4.tcp_tw_reuse`: 0 never, 1 after a second, 2 so on loopback only.
    pub reuse: Option<u64>,
    /// Connections in `TIME_WAIT` now.
    pub time_wait: Option<u64>,
}

impl Ports {
    /// How many there are.
    pub fn count(&self) -> Option<u64> {
        self.range.map(|(first, last)| (last + 1).saturating_sub(first))
    }
}

/// Processors, and who else decides about them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Processors {
    /// Of the machine.
    pub online: u64,
    /// Of those, what this process may run on.
    pub affinity: u64,
    /// The least quota of the control groups, in cores.
    pub quota: Option<f64>,
    /// The frequency governors in use, without repetition; empty where none is told.
    pub governors: Vec<String>,
}

impl Processors {
    /// Cores' worth of time that this process can have at most.
    pub fn usable(&self) -> f64 {
        let affinity = self.affinity.max(1) as f64;
        self.quota.map_or(affinity, |quota| quota.min(affinity))
    }
}

/// Memory, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    /// Of the machine.
    pub total: u64,
    /// That can be had without swapping.
    pub available: u64,
    /// The least limit of the control groups.
    pub limit: Option<u64>,
}

impl Memory {
    /// What this process can have at most.
    pub fn usable(&self) -> u64 {
        self.limit.map_or(self.available, |limit| limit.min(self.available))
    }
}

/// Clocks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Clocks {
    /// `tsc`, `kvm-clock`, `hpet`, …
    pub source: Option<String>,
    /// How late the kernel may wake a thread to save power, in ns.
    pub timer_slack_ns: Option<u64>,
    /// Whether something keeps the wall clock right.
    pub is_synchronised: Option<bool>,
}

impl Machine {
    /// Reads all of it; some milliseconds, for one of them is asked of another program.
    pub fn read() -> Self {
        Self {
            descriptors: descriptors(),
            ports: ports(),
            listen_queue: number("/proc/sys/net/core/somaxconn"),
            processors: processors(),
            memory: memory(),
            clocks: clocks(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            io_uring_disabled: number("/proc/sys/kernel/io_uring_disabled"),
            seccomp: field(&text("/proc/self/status"), "Seccomp:").is_some_and(|mode| mode != 0),
        }
    }
}

/// Time that the processors spent, in ticks since boot: all of it, and what the hypervisor gave to others meanwhile.
///
/// `None` where the kernel does not tell.
pub fn stolen_ticks() -> Option<(u64, u64)> {
    stolen_of(&text("/proc/stat"))
}

/// The first eight columns: user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
fn stolen_of(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
    Some((ticks.iter().sum(), *ticks.get(7)?))
}

fn descriptors() -> Descriptors {
    let limit = getrlimit(Resource::Nofile);
    let files = numbers("/proc/sys/fs/file-nr");
    let left_in_all = match files.as_slice() {
        &[open, _, most] => Some(most.saturating_sub(open)),
        _ => None,
    };
    Descriptors {
        soft: limit.current.unwrap_or(u64::MAX),
        hard: limit.maximum.unwrap_or(u64::MAX),
        per_process: number("/proc/sys/fs/nr_open"),
        left_in_all,
    }
}

fn ports() -> Ports {
    let range = match numbers("/proc/sys/net/ipv4/ip_local_port_range").as_slice() {
        &[first, last] => Some((first, last)),
        _ => None,
    };
    Ports {
        range,
        reuse: number("/proc/sys/net/ipv4/tcp_tw_reuse"),
        time_wait: time_wait_of(&text("/proc/net/sockstat")),
    }
}

/// `TCP: inuse 7 orphan 0 tw 12 alloc 9 mem 3`.
fn time_wait_of(sockstat: &str) -> Option<u64> {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    line.split_whitespace().skip_while(|word| *word != "tw").nth(1)?.parse().ok()
}

fn processors() -> Processors {
    let online = cores_of(&text("/sys/devices/system/cpu/online"));
    let affinity = rustix::thread::sched_getaffinity(None).map_or(online, |set| u64::from(set.count()));
    let folders = cgroup::folders("cpu");
    let quotas = folders.iter().filter_map(|folder| cgroup::quota(folder));
    Processors { online, affinity, quota: quotas.reduce(f64::min), governors: governors() }
}

/// Counts a list such as `0-3,6`.
fn cores_of(list: &str) -> u64 {
    let parts = list.trim().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((last.parse::<u64>().ok()? + 1).saturating_sub(first.parse().ok()?))
    });
    parts.sum()
}

fn governors() -> Vec<String> {
    let folder = fs::read_dir("/sys/devices/system/cpu/cpufreq");
    let policies = folder.into_iter().flatten().filter_map(Result::ok);
    let read = |path: PathBuf| fs::read_to_string(path).ok();
    let mut names: Vec<String> = policies
        .filter_map(|policy| read(policy.path().join("scaling_governor")))
        .map(|name| name.trim().to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn memory() -> Memory {
    let info = text("/proc/meminfo");
    let bytes = |name| field(&info, name).unwrap_or(0) * 1024;
    let folders = cgroup::folders("memory");
    let version_2 = cgroup::least(&folders, "memory.max", |text| text.trim().parse::<u64>().ok());
    let version_1 = cgroup::least(&folders, "memory.limit_in_bytes", |text| text.trim().parse().ok());
    let total = bytes("MemTotal:");
    // Version 1 says "no limit" by a number near the greatest there is.
    let limit = version_2.or(version_1).filter(|limit| *limit < total);
    Memory { total, available: bytes("MemAvailable:"), limit }
}

fn clocks() -> Clocks {
    let source = text("/sys/devices/system/clocksource/clocksource0/current_clocksource").trim().to_owned();
    Clocks {
        source: Some(source).filter(|source| !source.is_empty()),
        timer_slack_ns: rustix::thread::current_timer_slack().ok(),
        is_synchronised: is_synchronised(),
    }
}

/// The kernel's own word on it (`adjtimex`), as `timedatectl` passes it on whatever program keeps the clock.
fn is_synchronised() -> Option<bool> {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return Some(true);
    }
    let asked = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output();
    match asked.ok()?.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn numbers(path: &str) -> Vec<u64> {
    text(path).split_whitespace().map_while(|word| word.parse().ok()).collect()
}

fn number(path: &str) -> Option<u64> {
    numbers(path).first().copied()
}

/// The number of a line such as `MemTotal:  12345 kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        assert_eq!(stolen_of("cpu  10 1 20 60 2 3 4 5 9 9\ncpu0 1 2"), Some((105, 5)));
        assert_eq!(stolen_of("intr 5"), None);
        assert_eq!(time_wait_of("sockets: used 9\nTCP: inuse 7 orphan 0 tw 12 alloc 9 mem 3\n"), Some(12));
        assert_eq!(time_wait_of("UDP: inuse 7\n"), None);
        assert_eq!(cores_of("0-3,6\n"), 5);
        assert_eq!(cores_of(""), 0);
        assert_eq!(field("A: 1 kB\nSeccomp:\t2\n", "Seccomp:"), Some(2));
    }

    #[test]
    fn the_least_allowance_counts() {
        let of = |quota| Processors { online: 8, affinity: 4, quota, governors: Vec::new() }.usable();
        assert_eq!((of(None), of(Some(0.5)), of(Some(6.0))), (4.0, 0.5, 4.0));
    }

    #[test]
    fn this_machine_tells_something() {
        let machine = Machine::read();
        assert!(machine.descriptors.hard > 0);
        assert!(machine.processors.usable() > 0.0);
        assert!(machine.memory.total > 0);
        assert!(!machine.kernel.is_empty());
    }
}
