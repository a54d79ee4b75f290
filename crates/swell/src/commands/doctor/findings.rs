//! From facts to findings: what is well, what spoils measurements, and what helps. Pure.

use engine::{Clocks, Descriptors, Machine, Memory, Ports, Processors, TIME_WAIT};

use super::facts::{Facts, WakeUp};
use crate::commands::kafka::Broker;

/// Connections that a driver may need by default, with some room for files.
const DESCRIPTORS_WANTED: u64 = 10_000 + 256;
/// Below this not even the least load runs: its connections, and the files of a driver.
const DESCRIPTORS_NEEDED: u64 = 128;
/// Ports one source address should have towards one target address: the kernel's default.
const PORTS_WANTED: u64 = 28_000;
/// Connections that a driver opens to one address at a time.
const LISTEN_QUEUE_WANTED: u64 = 500;
/// What ten thousand connections take, most of it in the kernel.
const MEMORY_WANTED: u64 = 256 << 20;
/// More than this, in thousandths, is felt in the tail of every latency.
const STOLEN_WARN_PERMILLE: u64 = 10;
/// What Linux gives every thread.
const TIMER_SLACK_DEFAULT_NS: u64 = 50_000;
/// A wake-up later than this shows in every latency below a millisecond.
const WAKE_UP_WARN_US: u64 = 500;
/// Drivers start in common as far as they know the broker's time.
const OFFSET_ERROR_WARN_MS: f64 = 10.0;
/// A driver that knows it less well never starts.
const OFFSET_ERROR_FAIL_MS: f64 = 500.0;
/// From here the times in logs of different machines cannot be put side by side.
const OFFSET_WARN_MS: f64 = 1_000.0;
/// Clocks that are read without a system call.
const QUICK_CLOCKS: [&str; 5] =
    ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "vmclock-tsc"];

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Ok,
    Warn,
    /// Runs cannot work here.
    Fail,
}

impl Level {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    pub what: &'static str,
    pub found: String,
    /// Why it matters, and the command that fixes it; nothing when all is well.
    pub advice: Option<(&'static str, String)>,
}

impl Finding {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { level: Level::Ok, what, found: found.into(), advice: None }
    }

    fn warn(what: &'static str, found: impl Into<String>, why: &'static str, fix: impl Into<String>) -> Self {
        Self { level: Level::Warn, what, found: found.into(), advice: Some((why, fix.into())) }
    }

    /// Well, unless `bad`.
    fn warn_if(
        bad: bool,
        what: &'static str,
        found: impl Into<String>,
        why: &'static str,
        fix: &str,
    ) -> Self {
        if bad { Self::warn(what, found, why, fix) } else { Self::ok(what, found) }
    }
}

/// What there is to say of `facts`, in the order in which limits come before clocks.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let Machine { descriptors: files, ports: range, processors, memory: room, clocks, .. } = &facts.machine;
    let mut findings = vec![
        descriptors(files),
        open_files(files),
        ports(range),
        listen_queue(facts.machine.listen_queue),
        cores(processors),
        quota(processors),
        governor(processors),
        stolen(facts.stolen_permille),
        memory(room),
        io_loop(facts),
        clock_source(clocks),
        timer_slack(clocks),
        wake_up(facts.wake_up),
        time_sync(clocks),
    ];
    match &facts.broker {
        None => {}
        Some(Ok(broker)) => {
            findings.extend([Finding::ok("Kafka", format!("{} answers", broker.brokers)), offset(broker)])
        }
        Some(Err(error)) => findings.push(Finding {
            level: Level::Fail,
            ..Finding::warn(
                "Kafka",
                error,
                "drivers and orchestrator meet there",
                "check --kafka and the broker's listeners",
            )
        }),
    }
    findings
}

fn descriptors(found: &Descriptors) -> Finding {
    let limit = |limit: u64| if limit == u64::MAX { "unlimited".to_owned() } else { limit.to_string() };
    let text = if found.soft == found.hard {
        limit(found.hard)
    } else {
        format!("{}, raised to {} when needed", limit(found.soft), limit(found.hard))
    };
    let why = "each connection takes one; without, requests fail as `local_limit`";
    let ceiling = found.per_process.filter(|most| *most < DESCRIPTORS_WANTED);
    let sysctl = if ceiling.is_some() {
        format!("sysctl -w fs.nr_open={DESCRIPTORS_WANTED}; ")
    } else {
        String::new()
    };
    let fix = format!(
        "{sysctl}ulimit -Hn {DESCRIPTORS_WANTED} as root, or LimitNOFILE={DESCRIPTORS_WANTED} of the service"
    );
    let finding = Finding::warn_if(found.hard < DESCRIPTORS_WANTED, "file descriptors", text, why, &fix);
    if found.hard < DESCRIPTORS_NEEDED { Finding { level: Level::Fail, ..finding } } else { finding }
}

fn open_files(found: &Descriptors) -> Finding {
    let Some(left) = found.left_in_all else { return Finding::ok("open files", "no limit told") };
    let why = "the whole machine shares them; without, requests fail as `local_limit`";
    let fix = "sysctl -w fs.file-max=1000000";
    Finding::warn_if(
        left < DESCRIPTORS_WANTED,
        "open files",
        format!("{left} left on this machine"),
        why,
        fix,
    )
}

fn ports(found: &Ports) -> Finding {
    let what = "local ports";
    let Some(((first, last), count)) = found.range.zip(found.count()) else {
        let why = "the range of local ports bounds the connections to one target";
        return Finding::warn(what, "unknown", why, "sysctl net.ipv4.ip_local_port_range");
    };
    let per_s = if found.reuse == Some(1) { count } else { count / TIME_WAIT.as_secs() };
    let waiting = found.time_wait.unwrap_or(0);
    let text = format!(
        "{count} ({first} to {last}), {waiting} in TIME_WAIT; to each target address {count} connections at once, \
         {per_s} new ones per second where we close first"
    );
    let why = "a connection that we close first keeps its port for a minute; without, requests fail as `local_limit`";
    if count < PORTS_WANTED {
        return Finding::warn(what, text, why, "sysctl -w net.ipv4.ip_local_port_range='1024 65000'");
    }
    let is_short = waiting > count / 2 && found.reuse != Some(1);
    Finding::warn_if(is_short, what, text, why, "sysctl -w net.ipv4.tcp_tw_reuse=1, or wait a minute")
}

fn listen_queue(found: Option<u64>) -> Finding {
    let Some(length) = found else { return Finding::ok("listen queue", "not told") };
    let why = "a target on this machine drops connections of a burst, which then take a second longer";
    let fix = "sysctl -w net.core.somaxconn=4096";
    Finding::warn_if(length < LISTEN_QUEUE_WANTED, "listen queue", length.to_string(), why, fix)
}

fn cores(found: &Processors) -> Finding {
    let Processors { online, affinity, .. } = found;
    let text = if affinity < online {
        format!("{affinity} of {online} usable")
    } else {
        format!("{affinity} usable")
    };
    let why = "the engine shares its core with everything else here, which shows as send lag";
    let fix = if affinity < online {
        "taskset -cp 0-1 PID, or the cpuset of the container: give the driver two cores or more"
    } else {
        "give the driver a machine with two cores or more"
    };
    Finding::warn_if(*affinity < 2, "cores", text, why, fix)
}

fn quota(found: &Processors) -> Finding {
    let Some(quota) = found.quota else { return Finding::ok("CPU quota", "none") };
    let why = "a group that has used its quota stands still for up to 100 ms, and its requests leave late";
    let fix = "run the driver without a CPU limit (in Kubernetes: a request instead)";
    Finding::warn("CPU quota", format!("{quota:.2} cores"), why, fix)
}

fn governor(found: &Processors) -> Finding {
    let names = &found.governors;
    if names.is_empty() {
        return Finding::ok("CPU governor", "not controlled here");
    }
    let is_slow = names.iter().any(|name| name != "performance");
    let why = "a core that clocks down answers late when the load is light";
    Finding::warn_if(is_slow, "CPU governor", names.join(", "), why, "cpupower frequency-set -g performance")
}

fn stolen(permille: Option<u64>) -> Finding {
    let Some(permille) = permille else { return Finding::ok("stolen CPU", "not told") };
    let text = format!("{}.{} %", permille / 10, permille % 10);
    let why = "the hypervisor ran others in our place, so requests left and answers were seen late";
    let fix = "use a dedicated instance, or another host";
    Finding::warn_if(permille > STOLEN_WARN_PERMILLE, "stolen CPU", text, why, fix)
}

fn memory(found: &Memory) -> Finding {
    if found.total == 0 {
        return Finding::ok("memory", "not told");
    }
    let (usable, total) = (found.usable() >> 20, found.total >> 20);
    let text = match found.limit {
        Some(limit) => format!("{usable} of {total} MiB free, limited to {} MiB", limit >> 20),
        None => format!("{usable} of {total} MiB free"),
    };
    let why = "10,000 connections take some 160 MiB; a driver beyond its limit is killed in the run";
    let fix = "raise the memory limit of the container, or stop what else runs here";
    Finding::warn_if(found.usable() < MEMORY_WANTED, "memory", text, why, fix)
}

/// Which loop drives the sockets. The other one works everywhere, so this is never more than a warning.
fn io_loop(facts: &Facts) -> Finding {
    let Machine { kernel, io_uring_disabled, seccomp, .. } = &facts.machine;
    let Err(error) = &facts.uring else {
        return Finding::ok("IO loop", format!("io_uring, Linux {kernel}"));
    };
    let text = format!("epoll, since io_uring does not work here: {error}, Linux {kernel}");
    let fix = match (io_uring_disabled, seccomp) {
        (Some(1 | 2), _) => "sysctl -w kernel.io_uring_disabled=0",
        (_, true) => "run the container with a seccomp profile that allows io_uring_setup",
        (_, false) => "use Linux 6.1 or later",
    };
    Finding::warn("IO loop", text, "each request costs more CPU, so a core sends less", fix)
}

fn clock_source(found: &Clocks) -> Finding {
    let name = found.source.as_deref();
    let is_slow = !name.is_some_and(|name| QUICK_CLOCKS.contains(&name));
    let why = "others need a system call for each reading, several for each request";
    let fix = "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource";
    Finding::warn_if(is_slow, "clock source", name.unwrap_or("unknown"), why, fix)
}

fn timer_slack(found: &Clocks) -> Finding {
    let Some(slack_ns) = found.timer_slack_ns else { return Finding::ok("timer slack", "not told") };
    let why = "timers may fire that much later to save power";
    let fix = "echo 0 > /proc/$$/timerslack_ns in the shell that starts the driver";
    let text = format!("{} µs", slack_ns / 1000);
    Finding::warn_if(slack_ns > TIMER_SLACK_DEFAULT_NS, "timer slack", text, why, fix)
}

fn wake_up(found: WakeUp) -> Finding {
    let WakeUp { median_us, p99_us } = found;
    let text = format!("{median_us} µs late at the median, {p99_us} µs at p99");
    let why = "a busy or oversubscribed machine sends late; the verdict will say so";
    let fix = "stop what else runs here, or use a machine of its own";
    Finding::warn_if(p99_us > WAKE_UP_WARN_US, "wake-up", text, why, fix)
}

fn time_sync(found: &Clocks) -> Finding {
    let why = "runs go by the broker's clock, but the times in logs and reports are this machine's";
    match found.is_synchronised {
        Some(true) => Finding::ok("time sync", "synchronised"),
        Some(false) => Finding::warn("time sync", "not synchronised", why, "timedatectl set-ntp true"),
        None => Finding::ok("time sync", "not told here"),
    }
}

fn offset(broker: &Broker) -> Finding {
    let what = "broker's clock";
    let Some((offset_ms, error_ms)) = broker.offset_ms else {
        let text = "not measured: no topic whose records the broker stamps";
        let why = "drivers start in common by the broker's stamps";
        return Finding::warn(
            what,
            text,
            why,
            "start `swell orchestrator` once, and heed what it says of topics",
        );
    };
    let text = format!("{offset_ms:+.1} ms ± {error_ms:.1} ms against this machine's");
    if error_ms > OFFSET_ERROR_WARN_MS {
        let why = "drivers start in common only as well as they know the broker's time";
        let fix = "bring the broker nearer, or take load off the network between";
        let level = if error_ms > OFFSET_ERROR_FAIL_MS { Level::Fail } else { Level::Warn };
        return Finding { level, ..Finding::warn(what, text, why, fix) };
    }
    let why = "runs are not affected, but the times in logs of the two cannot be put side by side";
    Finding::warn_if(
        offset_ms.abs() > OFFSET_WARN_MS,
        what,
        text,
        why,
        "timedatectl set-ntp true on both machines",
    )
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::commands::doctor::show;

    fn healthy() -> Facts {
        let machine = Machine {
            descriptors: Descriptors {
                soft: 1024,
                hard: 1 << 19,
                per_process: Some(1 << 20),
                left_in_all: Some(900_000),
            },
            ports: Ports { range: Some((32_768, 60_999)), reuse: Some(2), time_wait: Some(7) },
            listen_queue: Some(4096),
            processors: Processors {
                online: 8,
                affinity: 8,
                quota: None,
                governors: vec!["performance".to_owned()],
            },
            memory: Memory { total: 16 << 30, available: 12 << 30, limit: None },
            clocks: Clocks {
                source: Some("tsc".to_owned()),
                timer_slack_ns: Some(50_000),
                is_synchronised: Some(true),
            },
            kernel: "6.8.0".to_owned(),
            io_uring_disabled: Some(0),
            seccomp: false,
        };
        Facts {
            machine,
            wake_up: WakeUp { median_us: 58, p99_us: 91 },
            stolen_permille: Some(0),
            uring: Ok(()),
            broker: Some(Ok(Broker { brokers: "kafka:9092".to_owned(), offset_ms: Some((-3.25, 1.5)) })),
        }
    }

    /// What is said of a healthy machine with one change, healthy lines left out.
    fn check(change: impl Fn(&mut Facts), expected: &Expect) {
        let mut facts = healthy();
        change(&mut facts);
        let bad = findings(&facts).into_iter().filter(|finding| finding.level != Level::Ok);
        expected.assert_eq(&bad.map(|finding| show(&finding)).collect::<String>());
    }

    #[test]
    fn all_is_well() {
        check(|_| {}, &expect![""]);
        let all: String = findings(&healthy()).iter().map(show).collect();
        expect![[r#"
            ok    file descriptors 1024, raised to 524288 when needed
            ok    open files       900000 left on this machine
            ok    local ports      28232 (32768 to 60999), 7 in TIME_WAIT; to each target address 28232 connections at once, 470 new ones per second where we close first
            ok    listen queue     4096
            ok    cores            8 usable
            ok    CPU quota        none
            ok    CPU governor     performance
            ok    stolen CPU       0.0 %
            ok    memory           12288 of 16384 MiB free
            ok    IO loop          io_uring, Linux 6.8.0
            ok    clock source     tsc
            ok    timer slack      50 µs
            ok    wake-up          58 µs late at the median, 91 µs at p99
            ok    time sync        synchronised
            ok    Kafka            kafka:9092 answers
            ok    broker's clock   -3.2 ms ± 1.5 ms against this machine's
        "#]].assert_eq(&all);
    }

    #[test]
    fn what_cannot_be_read_is_no_fault_but_said() {
        let facts = Facts {
            machine: Machine { descriptors: healthy().machine.descriptors, ..Machine::default() },
            wake_up: WakeUp::default(),
            stolen_permille: None,
            uring: Ok(()),
            broker: None,
        };
        let all: String = findings(&facts).iter().map(show).collect();
        expect![[r#"
            ok    file descriptors 1024, raised to 524288 when needed
            ok    open files       900000 left on this machine
            warn  local ports      unknown
                                   why: the range of local ports bounds the connections to one target
                                   fix: sysctl net.ipv4.ip_local_port_range
            ok    listen queue     not told
            warn  cores            0 usable
                                   why: the engine shares its core with everything else here, which shows as send lag
                                   fix: give the driver a machine with two cores or more
            ok    CPU quota        none
            ok    CPU governor     not controlled here
            ok    stolen CPU       not told
            ok    memory           not told
            ok    IO loop          io_uring, Linux 
            warn  clock source     unknown
                                   why: others need a system call for each reading, several for each request
                                   fix: echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource
            ok    timer slack      not told
            ok    wake-up          0 µs late at the median, 0 µs at p99
            ok    time sync        not told here
        "#]].assert_eq(&all);
    }

    #[test]
    fn limits_on_files() {
        check(
            |facts| facts.machine.descriptors.hard = 4096,
            &expect![[r#"
            warn  file descriptors 1024, raised to 4096 when needed
                                   why: each connection takes one; without, requests fail as `local_limit`
                                   fix: ulimit -Hn 10256 as root, or LimitNOFILE=10256 of the service
        "#]],
        );
        check(
            |facts| {
                facts.machine.descriptors =
                    Descriptors { soft: 64, hard: 64, per_process: Some(1000), left_in_all: Some(900) };
            },
            &expect![[r#"
                fail  file descriptors 64
                                       why: each connection takes one; without, requests fail as `local_limit`
                                       fix: sysctl -w fs.nr_open=10256; ulimit -Hn 10256 as root, or LimitNOFILE=10256 of the service
                warn  open files       900 left on this machine
                                       why: the whole machine shares them; without, requests fail as `local_limit`
                                       fix: sysctl -w fs.file-max=1000000
            "#]],
        );
    }

    #[test]
    fn limits_on_ports_and_queues() {
        check(
            |facts| facts.machine.ports.range = Some((40_000, 40_999)),
            &expect![[r#"
                warn  local ports      1000 (40000 to 40999), 7 in TIME_WAIT; to each target address 1000 connections at once, 16 new ones per second where we close first
                                       why: a connection that we close first keeps its port for a minute; without, requests fail as `local_limit`
                                       fix: sysctl -w net.ipv4.ip_local_port_range='1024 65000'
            "#]],
        );
        check(
            |facts| facts.machine.ports.time_wait = Some(20_000),
            &expect![[r#"
                warn  local ports      28232 (32768 to 60999), 20000 in TIME_WAIT; to each target address 28232 connections at once, 470 new ones per second where we close first
                                       why: a connection that we close first keeps its port for a minute; without, requests fail as `local_limit`
                                       fix: sysctl -w net.ipv4.tcp_tw_reuse=1, or wait a minute
            "#]],
        );
        check(
            |facts| (facts.machine.ports.time_wait, facts.machine.ports.reuse) = (Some(20_000), Some(1)),
            &expect![""],
        );
        check(
            |facts| facts.machine.listen_queue = Some(128),
            &expect![[r#"
            warn  listen queue     128
                                   why: a target on this machine drops connections of a burst, which then take a second longer
                                   fix: sysctl -w net.core.somaxconn=4096
        "#]],
        );
    }

    #[test]
    fn processors_and_memory() {
        check(
            |facts| facts.machine.processors.affinity = 1,
            &expect![[r#"
            warn  cores            1 of 8 usable
                                   why: the engine shares its core with everything else here, which shows as send lag
                                   fix: taskset -cp 0-1 PID, or the cpuset of the container: give the driver two cores or more
        "#]],
        );
        check(
            |facts| facts.machine.processors.quota = Some(1.5),
            &expect![[r#"
            warn  CPU quota        1.50 cores
                                   why: a group that has used its quota stands still for up to 100 ms, and its requests leave late
                                   fix: run the driver without a CPU limit (in Kubernetes: a request instead)
        "#]],
        );
        check(
            |facts| facts.machine.processors.governors.insert(0, "powersave".to_owned()),
            &expect![[r#"
            warn  CPU governor     powersave, performance
                                   why: a core that clocks down answers late when the load is light
                                   fix: cpupower frequency-set -g performance
        "#]],
        );
        check(
            |facts| facts.stolen_permille = Some(43),
            &expect![[r#"
            warn  stolen CPU       4.3 %
                                   why: the hypervisor ran others in our place, so requests left and answers were seen late
                                   fix: use a dedicated instance, or another host
        "#]],
        );
        check(
            |facts| facts.machine.memory.limit = Some(128 << 20),
            &expect![[r#"
            warn  memory           128 of 16384 MiB free, limited to 128 MiB
                                   why: 10,000 connections take some 160 MiB; a driver beyond its limit is killed in the run
                                   fix: raise the memory limit of the container, or stop what else runs here
        "#]],
        );
    }

    #[test]
    fn loops() {
        let refused =
            |facts: &mut Facts| facts.uring = Err("Operation not permitted (os error 1)".to_owned());
        check(
            refused,
            &expect![[r#"
            warn  IO loop          epoll, since io_uring does not work here: Operation not permitted (os error 1), Linux 6.8.0
                                   why: each request costs more CPU, so a core sends less
                                   fix: use Linux 6.1 or later
        "#]],
        );
        check(
            |facts| {
                refused(facts);
                facts.machine.io_uring_disabled = Some(2);
            },
            &expect![[r#"
                warn  IO loop          epoll, since io_uring does not work here: Operation not permitted (os error 1), Linux 6.8.0
                                       why: each request costs more CPU, so a core sends less
                                       fix: sysctl -w kernel.io_uring_disabled=0
            "#]],
        );
        check(
            |facts| {
                refused(facts);
                facts.machine.seccomp = true;
            },
            &expect![[r#"
                warn  IO loop          epoll, since io_uring does not work here: Operation not permitted (os error 1), Linux 6.8.0
                                       why: each request costs more CPU, so a core sends less
                                       fix: run the container with a seccomp profile that allows io_uring_setup
            "#]],
        );
    }

    #[test]
    fn clocks() {
        check(
            |facts| facts.machine.clocks.source = Some("hpet".to_owned()),
            &expect![[r#"
            warn  clock source     hpet
                                   why: others need a system call for each reading, several for each request
                                   fix: echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource
        "#]],
        );
        check(
            |facts| facts.machine.clocks.timer_slack_ns = Some(2_000_000),
            &expect![[r#"
            warn  timer slack      2000 µs
                                   why: timers may fire that much later to save power
                                   fix: echo 0 > /proc/$$/timerslack_ns in the shell that starts the driver
        "#]],
        );
        check(
            |facts| facts.machine.clocks.is_synchronised = Some(false),
            &expect![[r#"
            warn  time sync        not synchronised
                                   why: runs go by the broker's clock, but the times in logs and reports are this machine's
                                   fix: timedatectl set-ntp true
        "#]],
        );
        check(
            |facts| facts.wake_up.p99_us = 4_800,
            &expect![[r#"
            warn  wake-up          58 µs late at the median, 4800 µs at p99
                                   why: a busy or oversubscribed machine sends late; the verdict will say so
                                   fix: stop what else runs here, or use a machine of its own
        "#]],
        );
    }

    #[test]
    fn brokers() {
        let of = |offset_ms| Some(Ok(Broker { brokers: "kafka:9092".to_owned(), offset_ms }));
        check(
            |facts| facts.broker = of(None),
            &expect![[r#"
            warn  broker's clock   not measured: no topic whose records the broker stamps
                                   why: drivers start in common by the broker's stamps
                                   fix: start `swell orchestrator` once, and heed what it says of topics
        "#]],
        );
        check(
            |facts| facts.broker = of(Some((5_000.0, 2.0))),
            &expect![[r#"
            warn  broker's clock   +5000.0 ms ± 2.0 ms against this machine's
                                   why: runs are not affected, but the times in logs of the two cannot be put side by side
                                   fix: timedatectl set-ntp true on both machines
        "#]],
        );
        check(
            |facts| facts.broker = of(Some((3.0, 80.0))),
            &expect![[r#"
            warn  broker's clock   +3.0 ms ± 80.0 ms against this machine's
                                   why: drivers start in common only as well as they know the broker's time
                                   fix: bring the broker nearer, or take load off the network between
        "#]],
        );
        check(
            |facts| facts.broker = of(Some((3.0, 800.0))),
            &expect![[r#"
            fail  broker's clock   +3.0 ms ± 800.0 ms against this machine's
                                   why: drivers start in common only as well as they know the broker's time
                                   fix: bring the broker nearer, or take load off the network between
        "#]],
        );
        check(
            |facts| facts.broker = Some(Err("cannot reach Kafka at kafka:9092: refused".to_owned())),
            &expect![[r#"
                fail  Kafka            cannot reach Kafka at kafka:9092: refused
                                       why: drivers and orchestrator meet there
                                       fix: check --kafka and the broker's listeners
            "#]],
        );
    }
}
