//! What this machine does to the process: CPU it used, and CPU it was refused.

use std::fs;
use std::path::PathBuf;

use clock::Instant;

use crate::cgroup;

/// Windows that are told so soon after another were late: a share of so little time would say nothing.
const LEAST_SPAN_NS: u64 = 100_000_000;

/// Reads the process's CPU time and its cgroup's throttling, once a second.
#[derive(Debug)]
pub(crate) struct Host {
    at: Instant,
    cpu_ns: u64,
    /// The share that was found last.
    permille: u32,
    throttled_us: u64,
    /// The `cpu.stat` of the process's cgroup; `None` where there is none.
    cpu_stat: Option<PathBuf>,
}

impl Host {
    pub(crate) fn new() -> Self {
        let mut host = Self {
            at: clock::now(),
            cpu_ns: cpu_ns(),
            permille: 0,
            throttled_us: 0,
            cpu_stat: find_cpu_stat(),
        };
        host.throttled_us = host.read_throttled_us();
        host
    }

    /// Since the last call: CPU in thousandths of a core, and how long the cgroup held the process back, in µs.
    pub(crate) fn sample(&mut self) -> (u32, u64) {
        let at = clock::now();
        let span_ns = clock::nanos(at.since(self.at));
        if span_ns < LEAST_SPAN_NS {
            return (self.permille, 0);
        }
        let (cpu_ns, throttled_us) = (cpu_ns(), self.read_throttled_us());
        let permille = cpu_ns.saturating_sub(self.cpu_ns).saturating_mul(1000) / span_ns;
        let throttled = throttled_us.saturating_sub(self.throttled_us);
        self.permille = u32::try_from(permille).unwrap_or(u32::MAX);
        (self.at, self.cpu_ns, self.throttled_us) = (at, cpu_ns, throttled_us);
        (self.permille, throttled)
    }

    fn read_throttled_us(&self) -> u64 {
        let Some(path) = &self.cpu_stat else { return 0 };
        fs::read_to_string(path).map_or(0, |text| throttled_us(&text))
    }
}

fn cpu_ns() -> u64 {
    clock::nanos(clock::process_cpu())
}

/// Time is refused by the group that has the quota, and only that group tells of it: the nearest one above.
fn find_cpu_stat() -> Option<PathBuf> {
    let folders = cgroup::folders("cpu");
    let nearest = folders.iter().find(|folder| cgroup::quota(folder).is_some());
    let told = nearest.into_iter().chain(&folders).map(|folder| folder.join("cpu.stat"));
    told.into_iter().find(|path| path.is_file())
}

/// `throttled_usec` of version 2, `throttled_time` (in ns) of version 1.
fn throttled_us(cpu_stat: &str) -> u64 {
    cpu_stat
        .lines()
        .find_map(|line| match line.split_once(' ')? {
            ("throttled_usec", us) => us.trim().parse().ok(),
            ("throttled_time", ns) => ns.trim().parse::<u64>().ok().map(|ns| ns / 1000),
            _ => None,
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_cgroups_are_read() {
        assert_eq!(throttled_us("usage_usec 5\nnr_throttled 2\nthrottled_usec 1234\n"), 1234);
        assert_eq!(throttled_us("nr_periods 1\nnr_throttled 2\nthrottled_time 1234567\n"), 1234);
        assert_eq!(throttled_us(""), 0);
    }
}
