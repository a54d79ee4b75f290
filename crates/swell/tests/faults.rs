//! Bad input and bad ground, on the built program: whatever is wrong is said with where it is and what to do about it,
//! what goes on beside it is undisturbed, and nobody panics.
//!
//! All tests share one broker; each has topics of its own, told apart by their prefix.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]

mod support;

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, OnceLock};
use std::thread;

use serde_json::{Value, json};
use support::{Api, Process, Target, err, out, run, swell, wait_for};
use tempfile::{TempDir, tempdir};
use xtask::services::Kafka;

static KAFKA: LazyLock<Kafka> = LazyLock::new(|| Kafka::start().unwrap());

/// Topics and a folder of a test's own. When it is dropped, no log in the folder may tell of a panic.
struct Ground {
    prefix: String,
    folder: TempDir,
}

impl Ground {
    fn new(name: &str) -> Self {
        Self { prefix: format!("{name}."), folder: tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn swell(&self, command: &str) -> Command {
        let mut swell = swell();
        swell.args([command, "--kafka", &KAFKA.address(), "--topic-prefix", &self.prefix, "--log", "info"]);
        swell
    }

    fn orchestrator(&self, name: &str, store: &Path) -> (Process, Api) {
        let mut command = self.swell("orchestrator");
        command.args(["--listen", "127.0.0.1:0", "--store"]).arg(store);
        let mut process = Process::start(name, &mut command, self.path());
        let url = process.line_after("dashboard on ");
        (process, Api { url })
    }

    fn driver(&self, name: &str) -> Process {
        let mut command = self.swell("driver");
        Process::start(name, command.args(["--node-id", name, "--threads", "1"]), self.path())
    }

    /// An orchestrator and one driver, `d1`, that waits for work.
    fn fleet(&self) -> (Process, Api, Process) {
        let (orchestrator, api) = self.orchestrator("orchestrator", Path::new("store"));
        let driver = self.driver("d1");
        api.drivers_ready(1);
        (orchestrator, api, driver)
    }

    /// Lets the misbehaving peer do something; what it says.
    fn noise(&self, arguments: &[&str]) -> String {
        static PYTHON: OnceLock<PathBuf> = OnceLock::new();
        let python = PYTHON.get_or_init(|| xtask::python::interpreter().unwrap());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/noise.py");
        let output = Command::new(python)
            .arg(script)
            .args(["--kafka", &KAFKA.address(), "--prefix", &self.prefix])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", err(&output));
        out(&output)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        for entry in fs::read_dir(self.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let log = fs::read_to_string(&path).unwrap();
                assert!(!log.contains("panicked"), "{}:\n{log}", path.display());
            }
        }
    }
}

/// An open load on `target`; warm-up and pauses left out.
fn plan(target: &str, rate: &str, duration: &str) -> Value {
    json!({
        "version": 1, "name": "faults", "target": target,
        "load": {"model": "open", "stages": [{"name": "hold", "at": rate, "for": duration}]},
        "scenarios": {"main": {"steps": [{"get": "/ping", "name": "ping"}]}},
    })
}

fn has_all(told: &str, parts: &[&str]) {
    let missing: Vec<&&str> = parts.iter().filter(|part| !told.contains(**part)).collect();
    assert!(missing.is_empty(), "{missing:?} missing in:\n{told}");
    assert!(!told.contains("panicked"), "{told}");
}

/// The run went to its end: all of it was stored, and what is stored is what the target served.
fn is_whole(summary: &Value, target: &Target) {
    assert_eq!(summary["state"], "finished", "{summary}");
    assert_eq!(summary["accounting"]["balanced"], true, "{summary}");
    assert_eq!(summary["iterations"]["lost"], 0, "{summary}");
    assert_eq!(summary["requests"]["unknown"], 0, "{summary}");
    assert_eq!(summary["requests"]["sent"], target.requests(), "{summary}");
}

fn event_of(api: &Api, run: &str, kind: &str) -> Option<String> {
    let view = api.get(&format!("/runs/{run}"));
    let events = view["events"].as_array().unwrap();
    events.iter().find(|event| event["kind"] == kind).map(|event| event["text"].as_str().unwrap().to_owned())
}

fn wait_sent(target: &Target, requests: u64) {
    wait_for("requests at the target", || (target.requests() >= requests).then_some(()));
}

#[test]
fn what_is_not_kafka_is_said_to_be_none() {
    let folder = tempdir().unwrap();
    let web = Target::start(folder.path());
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let garbling = TcpListener::bind("127.0.0.1:0").unwrap();
    let garbled = garbling.local_addr().unwrap().to_string();
    thread::spawn(move || {
        use std::io::Write;
        for mut stream in garbling.incoming().map_while(Result::ok) {
            stream.write_all(&[0x5a; 512]).ok();
        }
    });
    let brokers =
        [web.url.trim_start_matches("http://").to_owned(), mute.local_addr().unwrap().to_string(), garbled];
    let url = format!("{}/ping", web.url);
    let commands: Vec<Vec<&str>> =
        vec![vec!["driver"], vec!["orchestrator"], vec!["doctor"], vec!["run", &url, "--requests", "5"]];
    for broker in &brokers {
        let started = commands.iter().enumerate().map(|(number, command)| {
            let store = format!("store-{number}-{}", broker.rsplit_once(':').unwrap().1);
            let mut swell = swell();
            swell.args(command).args(["--kafka", broker]).env("SWELL_STORE", store);
            swell.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        let started: Vec<_> = started.collect();
        for (child, command) in started.into_iter().zip(&commands) {
            let output = child.wait_with_output().unwrap();
            let told = format!("{}{}", err(&output), out(&output));
            assert_eq!(output.status.code(), Some(110), "{command:?}: {told}");
            has_all(&told, &[broker, "does not answer as Kafka", "--kafka-config FILE"]);
        }
    }
    assert_eq!(web.metrics()["requests"], 0);
}

#[test]
fn a_run_over_a_broker_that_is_not_there_ends_at_once() {
    let folder = tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let broker = format!("127.0.0.1:{port}");
    let output = run(&["run", "http://127.0.0.1:9/", "--requests", "5", "--kafka", &broker], folder.path());
    assert_eq!(output.status.code(), Some(110), "{}", err(&output));
    has_all(&err(&output), &["cannot reach Kafka", &broker, "refused", "check that Kafka runs there"]);
    for malformed in ["localhost", "", "127.0.0.1:99999", "127.0.0.1:9,,127.0.0.1:9"] {
        let output = run(&["driver", "--kafka", malformed], folder.path());
        assert_eq!(output.status.code(), Some(104), "{}", err(&output));
        has_all(&err(&output), &["--kafka: expected HOST:PORT"]);
    }
}

#[test]
fn without_stamps_on_heartbeats_no_run_is_armed() {
    let ground = Ground::new("unstamped");
    ground.noise(&["topic", "heartbeat", "1", "message.timestamp.type=CreateTime"]);
    let target = Target::start(ground.path());
    let (orchestrator, api) = ground.orchestrator("orchestrator", Path::new("store"));
    let mut driver = ground.driver("d1");
    driver.line_after("driver d1 on ");
    let fix = format!(
        "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name unstamped.heartbeat \
         --add-config message.timestamp.type=LogAppendTime",
        KAFKA.address()
    );
    for process in [&orchestrator, &driver] {
        has_all(&process.log(), &["message.timestamp.type=CreateTime", "cannot arm", &fix]);
    }
    let (status, answer) = wait_for("a refusal for the stamps", || {
        let answer = api.post("/runs?start=true", &plan(&target.url, "10/s", "5s"));
        answer.1.to_string().contains("LogAppendTime").then_some(answer)
    });
    assert_eq!(status, 503, "{answer}");
    has_all(answer["detail"].as_str().unwrap(), &["heartbeat", &fix]);
    assert_eq!(target.requests(), 0);
    // What the message says is enough, without a restart of anything.
    ground.noise(&["alter", "heartbeat", "message.timestamp.type=LogAppendTime"]);
    api.drivers_ready(1);
    let refused = answer["run_id"].as_str().unwrap();
    wait_for("the orchestrator to know the broker's time, too", || {
        (api.post(&format!("/runs/{refused}/start"), &json!({})).0 < 300).then_some(())
    });
    is_whole(&api.finished(refused), &target);
}

#[test]
fn topics_with_other_settings_are_warned_of_and_work() {
    let ground = Ground::new("odd");
    ground.noise(&["topic", "metrics", "1", "message.timestamp.type=LogAppendTime", "retention.ms=60000"]);
    ground.noise(&[
        "topic",
        "control",
        "1",
        "message.timestamp.type=LogAppendTime",
        "cleanup.policy=compact",
    ]);
    ground.noise(&["topic", "register", "3", "message.timestamp.type=CreateTime"]);
    let target = Target::start(ground.path());
    let (orchestrator, api, driver) = ground.fleet();
    let at = format!("--bootstrap-server {}", KAFKA.address());
    let alter = |name: &str, setting: &str| {
        format!(
            "kafka-configs.sh {at} --alter --entity-type topics --entity-name odd.{name} --add-config {setting}"
        )
    };
    for process in [&orchestrator, &driver] {
        let fixes = [
            format!("kafka-topics.sh {at} --alter --topic odd.metrics --partitions 4"),
            alter("metrics", "retention.ms=86400000"),
            alter("control", "cleanup.policy=delete"),
            format!("kafka-topics.sh {at} --delete --topic odd.register"),
            alter("register", "message.timestamp.type=LogAppendTime"),
        ];
        has_all(&process.log(), &fixes.each_ref().map(String::as_str));
    }
    let run = api.start_run(&plan(&target.url, "50/s", "3s"));
    is_whole(&api.finished(&run), &target);
}

#[test]
fn doctor_measures_the_brokers_clock_and_makes_no_topic() {
    let ground = Ground::new("doctor");
    let look = || {
        let output = ground.swell("doctor").arg("--json").output().unwrap();
        let told: Value = serde_json::from_str(&out(&output)).unwrap();
        let findings = told["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|finding| finding["what"] == "broker's clock").unwrap()
    };
    for _ in 0..2 {
        let before = look();
        has_all(before["found"].as_str().unwrap(), &["not measured"]);
        assert_eq!(before["level"], "warn");
    }
    let (_orchestrator, api) = ground.orchestrator("orchestrator", Path::new("store"));
    let after = look();
    // Broker and test share one clock.
    let found = after["found"].as_str().unwrap();
    let offset_ms: f64 = found.split(" ms").next().unwrap().parse().unwrap();
    assert!(offset_ms.abs() < 500.0 && found.contains("±"), "{found}");
    assert_eq!(api.get("/drivers")["drivers"], json!([]), "nobody takes it for a driver");
}

#[test]
fn noise_on_every_topic_changes_nothing() {
    let ground = Ground::new("noise");
    let target = Target::start(ground.path());
    let (_orchestrator, api, _driver) = ground.fleet();
    let run = api.start_run(&plan(&target.url, "100/s", "15s"));
    wait_sent(&target, 200);
    for _ in 0..3 {
        let written: Value = serde_json::from_str(&ground.noise(&["write", &run, "d1"])).unwrap();
        assert!(written["written"].as_u64().unwrap() > 200, "{written}");
    }
    let summary = api.finished(&run);
    is_whole(&summary, &target);
    assert_eq!(summary["iterations"]["due"], 1500, "{summary}");
    assert_eq!(summary["drivers"].as_array().unwrap().len(), 1, "{summary}");
    // The fleet works after it as before.
    let again = api.start_run(&json!({
        "test_type": "AVALANCHE", "message_count_per_driver": 100, "target": format!("{}/ping", target.url),
    }));
    assert_eq!(api.finished(&again)["requests"]["succeeded"], 100);
}

#[test]
fn all_faults_of_a_basic_form_are_told_with_their_fields() {
    let ground = Ground::new("form");
    let (_orchestrator, api) = ground.orchestrator("orchestrator", Path::new("store"));
    let fields = [
        "test_type",
        "test_message_delay",
        "message_count_per_driver",
        "target_throughput_per_driver",
        "target",
    ];
    let hopeless = [
        json!([null, null, null, -5, null]),
        json!(["TSUNAMI ", -20, -1000, -5, "nowhere"]),
        json!(["TSUNAMI", 0, 0, "many", "ftp://127.0.0.1/"]),
        json!(["TSUNAMI", "soon", "a lot", "NaN", "http://127.0.0.1:99999/"]),
        json!(["TSUNAMI", 1e300, 1e300, 1e300, "http://"]),
        json!(["TSUNAMI", [20], {"n": 5}, true, 17]),
        json!(["MAELSTROM", "-1ms", 2.5, "-1/s", ""]),
    ];
    for (row, values) in hopeless.iter().enumerate() {
        let values = values.as_array().unwrap().iter().cloned();
        let form: serde_json::Map<String, Value> =
            fields.map(str::to_owned).into_iter().zip(values).collect();
        let (status, problem) = api.post("/runs?start=true", &Value::Object(form.clone()));
        assert_eq!(status, 422, "{form:?}: {problem}");
        let errors = problem["errors"].as_array().unwrap();
        for field in fields {
            let is_fault = match (row, field) {
                // An unknown type, or none, needs no delay; this one is merely typed carelessly.
                (0, "test_message_delay") | (1, "test_type") => false,
                (2..=5, "test_type") => false,
                _ => true,
            };
            let fault = errors.iter().find(|error| error["field"] == field);
            assert_eq!(fault.is_some(), is_fault, "{field} of {form:?}: {problem}");
            assert!(fault.is_none_or(|fault| !fault["message"].as_str().unwrap().is_empty()));
        }
    }
    for (body, status) in [(json!([1, 2]), 422), (json!("AVALANCHE"), 422), (json!({}), 422)] {
        assert_eq!(api.post("/runs", &body).0, status, "{body}");
    }
    assert_eq!(api.get("/runs")["runs"], json!([]), "nothing was made of them");
}

#[test]
fn a_target_that_cannot_be_loaded_fails_the_run_before_anything_is_sent() {
    let ground = Ground::new("target");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (_orchestrator, api, _driver) = ground.fleet();
    let broker = KAFKA.address();
    let refused = format!("127.0.0.1:{port}");
    let cases: [(&str, &[&str]); 5] = [
        (&refused, &[&refused, "refused"]),
        ("no-such-host.invalid", &["no-such-host.invalid", "resolve"]),
        ("203.0.113.7", &["203.0.113.7", "outside loopback and private networks", "--allow 203.0.113.7"]),
        ("169.254.169.254", &["169.254.169.254", "metadata"]),
        (&broker, &["this system itself depends on"]),
    ];
    for (target, parts) in cases {
        api.drivers_ready(0);
        let run = api.start_run(&plan(&format!("http://{target}"), "10/s", "5s"));
        let summary = api.finished(&run);
        assert_eq!(summary["state"], "failed", "{summary}");
        assert_eq!(summary["requests"]["sent"], Value::Null, "{summary}");
        let view = api.get(&format!("/runs/{run}"));
        let reason = view["state_reason"].as_str().unwrap();
        has_all(reason, parts);
        has_all(reason, &["driver d1"]);
        assert_eq!(view["started_at"], Value::Null, "{view}");
    }
}

#[test]
fn a_second_orchestrator_on_the_same_topics_is_refused_while_a_run_is_on() {
    let ground = Ground::new("two");
    let target = Target::start(ground.path());
    let (_first, api, _driver) = ground.fleet();
    let run = api.start_run(&plan(&target.url, "100/s", "20s"));
    wait_sent(&target, 100);
    let (second, other) = ground.orchestrator("second", Path::new("other-store"));
    let (status, problem) = other.post("/runs?start=true", &plan(&target.url, "100/s", "5s"));
    assert_eq!(status, 409, "{problem}");
    has_all(problem["detail"].as_str().unwrap(), &["another orchestrator", "has the lead on these topics"]);
    has_all(problem["detail"].as_str().unwrap(), &["--topic-prefix"]);
    let refused = problem["run_id"].as_str().unwrap();
    assert_eq!(other.state(refused), "created", "it may be started later");
    let summary = api.finished(&run);
    is_whole(&summary, &target);
    assert_eq!(summary["iterations"]["due"], 2000, "{summary}");
    // A restart does not start what was refused; the lead is free again, and takes whoever asks now.
    second.kill();
    let (_second, other) = ground.orchestrator("second-again", Path::new("other-store"));
    other.drivers_ready(1);
    assert_eq!(other.state(refused), "created");
    let (status, answer) = other.post(&format!("/runs/{refused}/start"), &json!({}));
    assert!(status < 300, "{answer}");
    assert_eq!(other.finished(refused)["requests"]["sent"], 500);
}

#[test]
fn a_second_driver_of_the_same_name_ends() {
    let ground = Ground::new("name");
    let target = Target::start(ground.path());
    let (_orchestrator, api, first) = ground.fleet();
    let run = api.start_run(&plan(&target.url, "100/s", "15s"));
    wait_sent(&target, 100);
    let mut second = ground.driver("d1");
    assert_eq!(second.wait().code(), Some(104), "{}", second.log());
    has_all(&second.log(), &["another driver named \"d1\" is alive", "--node-id"]);
    let summary = api.finished(&run);
    is_whole(&summary, &target);
    assert_eq!(summary["drivers"].as_array().unwrap().len(), 1, "{summary}");
    assert!(!first.log().contains("fenced"), "{}", first.log());
}

#[test]
fn an_address_in_use_is_said_by_the_orchestrator() {
    let ground = Ground::new("port");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output =
        ground.swell("orchestrator").args(["--listen", &address]).current_dir(ground.path()).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(106), "{}", err(&output));
    has_all(&err(&output), &["cannot listen on", &address, "in use", "--listen"]);
}

#[test]
fn a_run_without_drivers_fails_at_the_deadline() {
    let ground = Ground::new("nobody");
    let target = Target::start(ground.path());
    let url = format!("{}/ping", target.url);
    let mut command = ground.swell("run");
    command.args([&url, "--requests", "5", "--min-drivers", "2"]);
    let alone = ground.driver("alone");
    let output = command.current_dir(ground.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(110), "{}", err(&output));
    has_all(&err(&output), &["nothing was sent", "too few drivers: 1 of 2", "swell driver --kafka"]);
    assert_eq!(target.requests(), 0);
    drop(alone);
}

/// A small file system in memory, unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where this user may not mount.
    fn new(size: &str) -> Option<Self> {
        let folder = tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path());
        let mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("not tested: this user may not mount");
        }
        mounted.then_some(Self(folder))
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut ballast = fs::File::create(self.0.path().join("ballast")).unwrap();
        std::io::copy(&mut std::io::repeat(0).take(1 << 30), &mut ballast).unwrap_err();
    }

    fn empty(&self) {
        fs::remove_file(self.0.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(self.0.path()).status().ok();
    }
}

/// The status of `/readyz`, and what it says.
fn ready(api: &Api) -> (u16, String) {
    let agent =
        ureq::Agent::new_with_config(ureq::config::Config::builder().http_status_as_error(false).build());
    let mut response = agent.get(format!("{}/api/v1/readyz", api.url)).call().unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

#[test]
fn a_full_disk_stops_no_run_and_loses_nothing() {
    let Some(disk) = SmallDisk::new("8m") else { return };
    let ground = Ground::new("full");
    let target = Target::start(ground.path());
    let store = disk.0.path().join("store");
    let (orchestrator, api) = ground.orchestrator("orchestrator", &store);
    let _driver = ground.driver("d1");
    api.drivers_ready(1);
    let run = api.start_run(&plan(&target.url, "100/s", "25s"));
    wait_sent(&target, 300);
    disk.fill();
    let told = wait_for("readyz to say that nothing is stored", || {
        let (status, told) = ready(&api);
        (status == 503).then_some(told)
    });
    has_all(&told, &["no space is left", "swell.db"]);
    let told = wait_for("the timeline to say so", || event_of(&api, &run, "store_fault"));
    has_all(&told, &["no space is left", "swell.db", "kept"]);
    let before = target.requests();
    wait_sent(&target, before + 300);
    assert_eq!(api.state(&run), "running");
    let (status, problem) = api.post("/runs", &plan(&target.url, "1/s", "1s"));
    assert_eq!(status, 503, "{problem}");
    has_all(&problem.to_string(), &["no space is left"]);
    disk.empty();
    wait_for("readyz to be well again", || (ready(&api).0 == 200).then_some(()));
    let summary = api.finished(&run);
    is_whole(&summary, &target);
    assert_eq!(summary["iterations"]["due"], 2500, "{summary}");
    assert!(event_of(&api, &run, "store_back").is_some());
    orchestrator.kill();
    // What was stored says the same, timeline included.
    let (_again, api) = ground.orchestrator("again", &store);
    is_whole(&api.get(&format!("/runs/{run}/summary")), &target);
    for kind in ["started", "store_fault", "store_back", "ended"] {
        assert!(event_of(&api, &run, kind).is_some(), "{kind}");
    }
}

/// The result is whole although the disk is full when the run ends, and is stored once there is room.
#[test]
fn a_run_that_ends_on_a_full_disk_is_stored_later() {
    let Some(disk) = SmallDisk::new("8m") else { return };
    let ground = Ground::new("late");
    let target = Target::start(ground.path());
    let store = disk.0.path().join("store");
    let (orchestrator, api) = ground.orchestrator("orchestrator", &store);
    let _driver = ground.driver("d1");
    api.drivers_ready(1);
    let next = api.post("/runs", &plan(&target.url, "1/s", "1s")).1["run_id"].as_str().unwrap().to_owned();
    let run = api.start_run(&plan(&target.url, "100/s", "6s"));
    wait_sent(&target, 100);
    disk.fill();
    is_whole(&api.finished(&run), &target);
    let (status, problem) = api.post(&format!("/runs/{next}/start"), &json!({}));
    assert_eq!(status, 503, "{problem}");
    has_all(
        problem["detail"].as_str().unwrap(),
        &["last run is not stored yet", "no space is left", "swell.db"],
    );
    disk.empty();
    wait_for("all of it to be stored", || (ready(&api).0 == 200).then_some(()));
    wait_for("the next run to start", || {
        (api.post(&format!("/runs/{next}/start"), &json!({})).0 < 300).then_some(())
    });
    assert_eq!(api.finished(&next)["state"], "finished");
    orchestrator.kill();
    let (_again, api) = ground.orchestrator("again", &store);
    let summary = api.get(&format!("/runs/{run}/summary"));
    assert_eq!(summary["state"], "finished", "{summary}");
    assert_eq!(summary["requests"]["sent"], 600, "{summary}");
    assert_eq!(summary["accounting"]["balanced"], true, "{summary}");
}

/// What the store could not take is read again from Kafka.
#[test]
fn an_orchestrator_that_ends_on_a_full_disk_loses_nothing() {
    let Some(disk) = SmallDisk::new("8m") else { return };
    let ground = Ground::new("ended");
    let target = Target::start(ground.path());
    let store = disk.0.path().join("store");
    let (mut orchestrator, api) = ground.orchestrator("orchestrator", &store);
    let _driver = ground.driver("d1");
    api.drivers_ready(1);
    let run = api.start_run(&plan(&target.url, "100/s", "60s"));
    wait_sent(&target, 300);
    disk.fill();
    wait_for("readyz to say so", || (ready(&api).0 == 503).then_some(()));
    orchestrator.signal("TERM");
    assert_eq!(orchestrator.wait().code(), Some(0), "{}", orchestrator.log());
    disk.empty();
    let (_again, api) = ground.orchestrator("again", &store);
    let summary = api.finished(&run);
    assert_eq!(summary["accounting"]["balanced"], true, "{summary}");
    assert_eq!(summary["requests"]["sent"], target.requests(), "{summary}");
}

#[test]
fn a_run_in_one_process_says_that_its_result_is_not_stored() {
    let Some(disk) = SmallDisk::new("8m") else { return };
    let folder = tempdir().unwrap();
    let target = Target::start(folder.path());
    let url = format!("{}/ping", target.url);
    let mut command = swell();
    command.args(["run", &url, "--rate", "100/s", "--for", "6s", "-o", "json=result.json", "--store"]);
    let mut process = Process::start("run", command.arg(disk.0.path().join("store")), folder.path());
    wait_sent(&target, 100);
    disk.fill();
    assert_eq!(process.wait().code(), Some(1), "{}", process.log());
    has_all(&process.log(), &["the result above is not stored", "no space is left", "swell.db"]);
    let summary = fs::read_to_string(folder.path().join("result.json")).unwrap();
    is_whole(&serde_json::from_str(&summary).unwrap(), &target);
}

#[test]
fn a_damaged_store_is_named_with_the_way_out() {
    let ground = Ground::new("damaged");
    let (orchestrator, api) = ground.orchestrator("orchestrator", Path::new("store"));
    api.post("/runs", &plan("http://127.0.0.1:9", "1/s", "1s"));
    orchestrator.kill();
    let file = ground.path().join("store/swell.db");
    let whole = fs::read(&file).unwrap();
    for name in ["swell.db-wal", "swell.db-shm"] {
        fs::remove_file(ground.path().join("store").join(name)).ok();
    }
    let mut scribbled = whole.clone();
    scribbled[100..].fill(0xa5);
    for damaged in [b"this is no database, but somebody's notes, ".repeat(200), scribbled] {
        fs::write(&file, &damaged).unwrap();
        for command in [&["runs"][..], &["run", "http://127.0.0.1:9/", "--requests", "1"], &["report"]] {
            let mut arguments = command.to_vec();
            arguments.extend(["--store", "store"]);
            let output = run(&arguments, ground.path());
            assert_eq!(output.status.code(), Some(104), "{command:?}: {}", err(&output));
            has_all(&err(&output), &["store/swell.db", "cannot be read", "restore it from a copy"]);
        }
        let output =
            ground.swell("orchestrator").args(["--store", "store"]).current_dir(ground.path()).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(104), "{}", err(&output));
        has_all(&err(&output), &["store/swell.db", "cannot be read", "move it away"]);
        assert_eq!(
            fs::read(&file).unwrap(),
            damaged,
            "a damaged file is left as it is, for whoever can save it"
        );
    }
}

#[test]
fn a_store_in_use_is_named_with_its_holder() {
    let ground = Ground::new("in-use");
    let (holder, _api) = ground.orchestrator("orchestrator", Path::new("store"));
    let orchestrator =
        ground.swell("orchestrator").args(["--store", "store"]).current_dir(ground.path()).output();
    let url = "http://127.0.0.1:9/";
    let local = run(&["run", url, "--requests", "1", "--store", "store"], ground.path());
    for output in [orchestrator.unwrap(), local] {
        assert_eq!(output.status.code(), Some(104), "{}", err(&output));
        let process = format!("process {}", holder.id());
        has_all(&err(&output), &["data folder store is in use", &process, "--store DIR"]);
    }
    // Reading beside it is no fault.
    assert_eq!(run(&["runs", "--store", "store"], ground.path()).status.code(), Some(0));
}
