//! What this machine does to the process: CPU it used, CPU it was refused, and CPU that the machine itself did not get;
//! and the memory that the process has.
//!
//! The files stay open: a process that has no descriptors left must not look as if it were throttled.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use clock::Instant;
use metrics::Gauges;

use crate::cgroup;

/// Windows that are told so soon after another were late: a share of so little time would say nothing.
const LEAST_SPAN_NS: u64 = 100_000_000;

/// Reads the process's CPU time, its cgroup's throttling and what the hypervisor took, once a second.
#[derive(Debug)]
pub(crate) struct Host {
    at: Instant,
    cpu_ns: u64,
    /// The share that was found last.
    permille: u32,
    throttled_us: u64,
    /// CPU time of all cores, and what of it the hypervisor gave to others, in ticks.
    ticks: Ticks,
    /// `/proc/stat`.
    stat: Option<File>,
    /// `/proc/self/statm`.
    statm: Option<File>,
    /// The `cpu.stat` of the process's cgroup; `None` where there is none.
    cpu_stat: Option<File>,
}

impl Host {
    pub(crate) fn new() -> Self {
        let mut host = Self {
            at: clock::now(),
            cpu_ns: cpu_ns(),
            permille: 0,
            throttled_us: 0,
            ticks: Ticks::default(),
            stat: File::open("/proc/stat").ok(),
            statm: File::open("/proc/self/statm").ok(),
            cpu_stat: find_cpu_stat().and_then(|path| File::open(path).ok()),
        };
        (host.throttled_us, host.ticks) = host.read();
        host
    }

    /// Fills in what happened since the last call: the process's CPU, how long its cgroup held it back, and what the
    /// hypervisor gave to others; and the memory that it has now.
    pub(crate) fn sample(&mut self, gauges: &mut Gauges) {
        gauges.memory_bytes = self.statm.as_ref().and_then(beginning).map_or(0, |text| resident_bytes(&text));
        let at = clock::now();
        let span_ns = clock::nanos(at.since(self.at));
        if span_ns < LEAST_SPAN_NS {
            gauges.cpu_permille = self.permille;
            return;
        }
        let (cpu_ns, (throttled_us, ticks)) = (cpu_ns(), self.read());
        let permille = cpu_ns.saturating_sub(self.cpu_ns).saturating_mul(1000) / span_ns;
        self.permille = u32::try_from(permille).unwrap_or(u32::MAX);
        gauges.cpu_permille = self.permille;
        gauges.throttled_us = throttled_us.saturating_sub(self.throttled_us);
        gauges.stolen_permille = ticks.stolen_permille_since(self.ticks);
        (self.at, self.cpu_ns, self.throttled_us, self.ticks) = (at, cpu_ns, throttled_us, ticks);
    }

    /// What the files say; what they said before where they cannot be read.
    fn read(&self) -> (u64, Ticks) {
        let cpu_stat = self.cpu_stat.as_ref().and_then(beginning);
        let stat = self.stat.as_ref().and_then(beginning);
        (
            cpu_stat.map_or(self.throttled_us, |text| throttled_us(&text)),
            stat.map_or(self.ticks, |text| ticks(&text)),
        )
    }
}

/// CPU time of all cores since boot, in ticks.
#[derive(Debug, Clone, Copy, Default)]
struct Ticks {
    all: u64,
    stolen: u64,
}

impl Ticks {
    fn stolen_permille_since(self, before: Self) -> u16 {
        let all = self.all.saturating_sub(before.all).max(1);
        let stolen = self.stolen.saturating_sub(before.stolen).min(all);
        u16::try_from(stolen.saturating_mul(1000) / all).unwrap_or(1000)
    }
}

/// The first lines of a file, which are all that is wanted of it.
fn beginning(file: &File) -> Option<String> {
    let mut text = [0; 2048];
    let length = file.read_at(&mut text, 0).ok()?;
    Some(String::from_utf8_lossy(&text[..length]).into_owned())
}

/// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal. What follows, the time of
/// guests, is in user and nice already.
fn ticks(stat: &str) -> Ticks {
    let first = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let columns: Vec<u64> =
        first.split_ascii_whitespace().take(8).filter_map(|column| column.parse().ok()).collect();
    Ticks {
        all: columns.iter().fold(0, |sum, column| sum.saturating_add(*column)),
        stolen: columns.get(7).copied().unwrap_or(0),
    }
}

/// Resident memory of this process; 0 where the system does not tell.
pub fn memory_bytes() -> u64 {
    fs::read_to_string("/proc/self/statm").map_or(0, |text| resident_bytes(&text))
}

/// The second column of `statm`, in pages.
fn resident_bytes(statm: &str) -> u64 {
    let pages = statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0).saturating_mul(rustix::param::page_size() as u64)
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
    fn what_was_stolen_is_a_share_of_all_cores() {
        let before = ticks("cpu  100 0 50 800 10 0 0 40 7 0\ncpu0 1 2 3\n");
        assert_eq!((before.all, before.stolen), (1000, 40));
        let after = ticks("cpu  200 0 100 1500 10 0 0 190 7 0\n");
        assert_eq!(after.stolen_permille_since(before), 150);
        assert_eq!(before.stolen_permille_since(after), 0);
        assert_eq!(ticks("").stolen_permille_since(Ticks::default()), 0);
    }

    #[test]
    fn memory_is_counted_in_pages() {
        let page = rustix::param::page_size() as u64;
        assert_eq!(resident_bytes("9000 1500 800 1 0 700 0\n"), 1500 * page);
        assert_eq!(resident_bytes(""), 0);
        let mut gauges = Gauges::default();
        Host::new().sample(&mut gauges);
        assert!(gauges.memory_bytes > 100_000, "{gauges:?}");
    }

    #[test]
    fn both_versions_of_cgroups_are_read() {
        assert_eq!(throttled_us("usage_usec 5\nnr_throttled 2\nthrottled_usec 1234\n"), 1234);
        assert_eq!(throttled_us("nr_periods 1\nnr_throttled 2\nthrottled_time 1234567\n"), 1234);
        assert_eq!(throttled_us(""), 0);
    }
}
