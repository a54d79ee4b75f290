//! Who was the bottleneck? Each set-up makes one party fail, and the verdict names that party and no other.
//!
//! Set-ups are strong, so that they show whatever else the machine does: a second of hundreds of milliseconds of delay,
//! a twentieth of a core, a handful of ports. Where nothing is to be found, what a busy machine can do to any generator
//! ([`BUSY`]) is let pass in what may not be there, and looked for in several attempts in what must be clean.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use support::{Process, Target, err, swell, wait_for};
use tempfile::{TempDir, tempdir};

/// Set-ups run one after the other: most of them are about CPU, and the machine has few cores.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What a machine that does much else does to any generator.
const BUSY: [&str; 4] = ["send_lag", "engine_busy", "engine_starved", "cpu_stolen"];

/// Attempts at a run in which nothing is found.
const ATTEMPTS: usize = 5;

struct Ground {
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Ground {
    fn new() -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        Self { folder: tempdir().unwrap(), _turn: turn }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn target(&self) -> Target {
        Target::start(self.path())
    }

    /// Runs `swell run` behind `prefix`, another program that starts it; what it found.
    fn run(&self, prefix: &[&str], arguments: &[&str]) -> Found {
        let mut command = under(prefix);
        command.arg("run").args(arguments).args(["--threads", "1", "-o", "json=result.json"]);
        let output = command.current_dir(self.path()).output().unwrap();
        Found::read(self.path(), &err(&output), output.status.code())
    }

    /// The same in the background.
    fn start(&self, arguments: &[&str]) -> Process {
        let mut command = swell();
        command.arg("run").args(arguments).args(["--threads", "1", "-o", "json=result.json"]);
        Process::start("run", &mut command, self.path())
    }

    /// Repeats a run, before everything else on this machine where that is allowed, until nothing is said against it.
    fn run_undisturbed(&self, arguments: &[&str]) -> Found {
        for attempt in 1..=ATTEMPTS {
            let found = self.run(first(), arguments);
            found.has_none_but(&BUSY);
            if found.value == "valid" || attempt == ATTEMPTS {
                assert_eq!(found.value, "valid", "in each of {ATTEMPTS} attempts: {:#}", found.summary);
                return found;
            }
        }
        unreachable!("the last attempt returns or fails")
    }
}

/// What puts a program before everything else on this machine, where that is allowed.
fn first() -> &'static [&'static str] {
    const FIRST: [&str; 3] = ["chrt", "--rr", "1"];
    let tried = Command::new(FIRST[0]).args(&FIRST[1..]).arg("true").stderr(Stdio::null()).status();
    if tried.is_ok_and(|status| status.success()) { &FIRST } else { &[] }
}

/// The program behind another one.
fn under(prefix: &[&str]) -> Command {
    let Some((program, arguments)) = prefix.split_first() else { return swell() };
    let mut command = Command::new(program);
    command.args(arguments).arg(env!("CARGO_BIN_EXE_swell")).env("CI", "true").stdin(Stdio::null());
    command
}

/// What a run says of itself.
#[derive(Debug)]
struct Found {
    value: String,
    codes: BTreeSet<String>,
    /// What is told of the target and the plan beside it.
    findings: BTreeSet<String>,
    target_saturated: bool,
    exit: Option<i32>,
    told: String,
    summary: Value,
}

impl Found {
    fn read(folder: &Path, told: &str, exit: Option<i32>) -> Self {
        let text = fs::read_to_string(folder.join("result.json"));
        let text = text.unwrap_or_else(|error| panic!("no result ({error}), exit {exit:?}:\n{told}"));
        let summary: Value = serde_json::from_str(&text).unwrap();
        let verdict = &summary["verdict"];
        let codes = |list: &str| {
            let reasons = verdict[list].as_array().unwrap().iter();
            reasons.map(|reason| reason["code"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(summary["accounting"]["balanced"], true, "{summary}");
        Self {
            value: verdict["value"].as_str().unwrap().to_owned(),
            codes: codes("reasons"),
            findings: codes("findings"),
            target_saturated: verdict["target_saturated"].as_bool().unwrap(),
            exit,
            told: told.to_owned(),
            summary,
        }
    }

    fn has_none_but(&self, codes: &[&str]) {
        let others: Vec<&String> = self.codes.iter().filter(|code| !codes.contains(&code.as_str())).collect();
        assert!(others.is_empty(), "{others:?}: {:#}", self.summary);
    }

    /// That, and nothing else, is told of the target and the plan.
    fn finds(&self, codes: &[&str]) {
        let found: Vec<&str> = self.findings.iter().map(String::as_str).collect();
        assert_eq!(found, codes, "{:#}", self.summary);
        assert_eq!(self.target_saturated, codes.contains(&"target_saturated"), "{:#}", self.summary);
    }

    /// It is our fault, for one of `codes`; nothing but `others` is found beside it, and nothing on the target.
    fn is_ours(&self, codes: &[&str], others: &[&str]) {
        assert!(codes.iter().any(|code| self.codes.contains(*code)), "{codes:?} in {:#}", self.summary);
        assert_ne!(self.value, "valid", "{:#}", self.summary);
        self.has_none_but(&[others, codes].concat());
        self.finds(&[]);
    }

    fn errors(&self, kind: &str) -> u64 {
        let errors = self.summary["errors"].as_array().unwrap().iter();
        errors.filter(|error| error["kind"] == kind).map(|error| error["count"].as_u64().unwrap()).sum()
    }
}

/// A loop that does nothing on one core, for as long as this lives.
struct BusyLoop(Child);

impl BusyLoop {
    fn on_core(core: &str) -> Self {
        let spin = "while :; do :; done";
        Self(Command::new("taskset").args(["-c", core, "sh", "-c", spin]).spawn().unwrap())
    }
}

impl Drop for BusyLoop {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Says that a set-up cannot be made here; the test then shows nothing.
fn skip(what: &str) {
    eprintln!("SKIPPED, nothing was tested: {what}");
}

fn plan(ground: &Ground, target: &Target, load: &str, path: &str) -> String {
    let text = format!(
        "version: 1\nname: verdict\ntarget: {}\nload: {{ {load} }}\n\
         scenarios: {{ main: {{ steps: [{{ get: {path}, timeout: 5s }}] }} }}\n",
        target.url
    );
    let file = ground.path().join("verdict.plan.yaml");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn nothing_is_said_of_a_healthy_run() {
    let ground = Ground::new();
    let target = ground.target();
    let url = format!("{}/ping", target.url);
    let found = ground.run_undisturbed(&[&url, "--rate", "200/s", "--for", "3s"]);
    found.finds(&[]);
    assert_eq!(found.exit, Some(0));
}

#[test]
fn a_slow_target_is_no_fault_of_the_generator() {
    let ground = Ground::new();
    let target = ground.target();
    let url = format!("{}/delay/500ms", target.url);
    let found = ground.run_undisturbed(&[&url, "--rate", "100/s", "--for", "3s"]);
    found.finds(&[]);
}

#[test]
fn a_target_that_has_too_few_connections_left_is_saturated() {
    let ground = Ground::new();
    let target = ground.target();
    let load =
        "model: open, max_wait: 1s, connections: { start: 4, max: 10 }, stages: [{ at: 200/s, for: 4s }]";
    let found = ground.run(&[], &[&plan(&ground, &target, load, "/delay/500ms")]);
    found.finds(&["target_saturated"]);
    assert!(found.summary["iterations"]["missed"].as_u64().unwrap() > 100, "{:#}", found.summary);
    found.has_none_but(&BUSY);
}

#[test]
fn a_starved_engine_thread_is_ours() {
    let ground = Ground::new();
    let target = ground.target();
    let url = format!("{}/ping", target.url);
    let _loops = [BusyLoop::on_core("0"), BusyLoop::on_core("0")];
    let pinned = ["taskset", "-c", "0", "nice", "-n", "19"];
    let found = ground.run(&pinned, &[&url, "--rate", "1000/s", "--for", "5s", "--strict"]);
    found.is_ours(
        &["engine_starved"],
        &["send_lag", "engine_busy", "cpu_stolen", "missed_ours", "not_started"],
    );
    assert_eq!(found.value, "invalid", "{:#}", found.summary);
    assert_eq!(found.exit, Some(112), "{}", found.told);
}

/// A control group with a twentieth of a core, of version 2 or 1.
struct Quota(PathBuf);

impl Quota {
    fn make() -> Result<Self, String> {
        let name = format!("swell-test-{}", std::process::id());
        let try_one = |root: &str, limits: &[(&str, &str)]| {
            let folder = Path::new(root).join(&name);
            fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            let group = Self(folder);
            for (file, text) in limits {
                fs::write(group.0.join(file), text).map_err(|error| format!("{file} in {root}: {error}"))?;
            }
            Ok(group)
        };
        let version_2 = || try_one("/sys/fs/cgroup", &[("cpu.max", "5000 100000")]);
        let version_1 = || {
            let limits = [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "5000")];
            try_one("/sys/fs/cgroup/cpu", &limits)
        };
        let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
        if controllers.contains("cpu") {
            // The root hands its controllers down only when told.
            fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+cpu").ok();
            version_2()
        } else {
            version_1()
        }
    }

    /// A program that moves itself into the group and becomes another one.
    fn enter(&self) -> [String; 3] {
        let script = format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", self.0.display());
        ["sh".to_owned(), "-c".to_owned(), script]
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).ok();
    }
}

#[test]
fn a_used_up_cpu_quota_is_ours() {
    let ground = Ground::new();
    let quota = match Quota::make() {
        Ok(quota) => quota,
        Err(why) => return skip(&format!("no control group with a CPU quota: {why}")),
    };
    let target = ground.target();
    let url = format!("{}/ping", target.url);
    let enter = quota.enter();
    let prefix = enter.each_ref().map(String::as_str);
    // Several times what a twentieth of a core sends, on a fast machine too.
    let found = ground.run(&prefix, &[&url, "--rate", "10000/s", "--for", "5s"]);
    let others = ["send_lag", "engine_busy", "engine_starved", "cpu_stolen", "missed_ours", "not_started"];
    found.is_ours(&["throttled"], &others);
    assert_eq!(found.value, "invalid", "{:#}", found.summary);
    assert!(found.told.contains("warning: the CPU quota of 0.05 cores"), "{}", found.told);
}

#[test]
fn descriptors_that_run_out_are_ours() {
    let ground = Ground::new();
    let target = ground.target();
    let url = format!("{}/delay/2s", target.url);
    let found = ground.run(&["prlimit", "--nofile=100:100"], &[&url, "--rate", "100/s", "--for", "5s"]);
    found.is_ours(&["no_descriptor", "local_limit"], &BUSY);
    assert_eq!(found.value, "invalid", "{:#}", found.summary);
    assert!(found.errors("local_limit") > 50, "{:#}", found.summary);
    assert!(found.told.contains("warning: up to 3000 connections"), "{}", found.told);
}

#[test]
fn ports_that_run_out_are_ours() {
    let ground = Ground::new();
    let script = "ip link set lo up && echo '40000 40049' > /proc/sys/net/ipv4/ip_local_port_range || exit 77
        \"$0\" target --listen 127.0.0.1:7701 & target=$!
        trap 'kill $target' EXIT
        sleep 0.5
        \"$0\" \"$@\"";
    let url = "http://127.0.0.1:7701/delay/2s";
    let mut command = under(&["unshare", "--net", "sh", "-c", script]);
    command.args(["run", url, "--rate", "100/s", "--for", "5s", "--threads", "1", "-o", "json=result.json"]);
    let output = command.current_dir(ground.path()).output().unwrap();
    if output.status.code() == Some(77) || err(&output).contains("unshare failed") {
        return skip(&format!("no network namespace with few ports: {}", err(&output)));
    }
    let found = Found::read(ground.path(), &err(&output), output.status.code());
    found.is_ours(&["no_port", "local_limit"], &BUSY);
    assert_eq!(found.value, "invalid", "{:#}", found.summary);
    assert!(found.errors("local_limit") > 50, "{:#}", found.summary);
    assert!(found.told.contains("50 of 50 local ports"), "{}", found.told);
}

#[test]
fn a_target_that_goes_away_is_not_held_against_the_generator() {
    let ground = Ground::new();
    let target = ground.target();
    let url = format!("{}/ping", target.url);
    let mut run = ground.start(&[&url, "--rate", "200/s", "--for", "6s"]);
    wait_for("requests at the target", || (target.requests() > 200).then_some(()));
    target.process.kill();
    let exit = run.wait().code();
    let found = Found::read(ground.path(), &run.log(), exit);
    found.has_none_but(&BUSY);
    assert!(found.errors("connect_refused") > 100, "{:#}", found.summary);
    found.finds(&["target_refusing"]);
    assert_eq!(found.summary["iterations"]["missed"], 0, "{:#}", found.summary);
}

#[test]
fn a_target_that_stops_for_two_seconds_is_not_held_against_the_generator() {
    let ground = Ground::new();
    let target = ground.target();
    let url = format!("{}/ping", target.url);
    let mut run = ground.start(&[&url, "--rate", "200/s", "--for", "8s"]);
    wait_for("requests at the target", || (target.requests() > 200).then_some(()));
    target.process.signal("STOP");
    thread::sleep(Duration::from_secs(2));
    target.process.signal("CONT");
    let exit = run.wait().code();
    let found = Found::read(ground.path(), &run.log(), exit);
    found.has_none_but(&BUSY);
    found.finds(&["target_stopped"]);
    assert_eq!(found.summary["requests"]["failed"], 0, "{:#}", found.summary);
    assert!(found.summary["response_time_ms"]["max"].as_f64().unwrap() > 1_500.0, "{:#}", found.summary);
    // The target counted them all, so none was sent twice for want of an answer.
    assert_eq!(found.summary["requests"]["sent"], target.requests());
}

#[test]
fn a_full_closed_loop_tells_a_fast_target_from_a_slow_one() {
    let ground = Ground::new();
    let mut command = under(first());
    let mut process =
        Process::start("target", command.args(["target", "--listen", "127.0.0.1:0"]), ground.path());
    let url = process.line_after("target on ");
    let target = Target { process, url };
    let fast = format!("{}/ping", target.url);
    // A thread that has a quarter of a core, if that, asks more slowly than a target answers that comes first.
    let loops = [(); 3].map(|()| BusyLoop::on_core("0"));
    let pinned = ["taskset", "-c", "0"];
    // More connections than it serves while it has the core, so that there is always an answer.
    let found = ground.run(&pinned, &[&fast, "--users", "2000", "--for", "5s"]);
    drop(loops);
    assert!(found.codes.contains("generator_bound"), "{:#}", found.summary);
    found.has_none_but(&[BUSY.as_slice(), &["generator_bound"]].concat());
    found.finds(&[]);

    let slow = format!("{}/delay/100ms", target.url);
    let found = ground.run_undisturbed(&[&slow, "--requests", "600", "--connections", "20"]);
    found.finds(&[]);
}
