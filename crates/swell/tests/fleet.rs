//! The distributed run over real Kafka: one orchestrator, drivers in processes of their own, and what they survive.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Api, Process, Target, swell, wait_for};
use tempfile::{TempDir, tempdir};
use xtask::services::Kafka;

/// Fleets run one after the other: what they measure is time, and the machine has few cores.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A broker, an orchestrator, a target and some drivers, each a process of its own.
struct Fleet {
    drivers: Vec<Option<Process>>,
    orchestrator: Option<Process>,
    api: Api,
    target: Target,
    kafka: Kafka,
    folder: TempDir,
    /// Given up last: fields are dropped in this order.
    _turn: MutexGuard<'static, ()>,
}

impl Fleet {
    fn start(drivers: usize) -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempdir().unwrap();
        let kafka = Kafka::start().unwrap();
        let target = Target::start(folder.path());
        let (orchestrator, api) = orchestrator(&kafka, folder.path(), "127.0.0.1:0");
        let drivers =
            (0..drivers).map(|number| Some(driver(&kafka, folder.path(), number, swell()))).collect();
        let fleet =
            Self { _turn: turn, drivers, orchestrator: Some(orchestrator), api, target, kafka, folder };
        fleet.api.drivers_ready(fleet.drivers.len());
        fleet
    }

    fn plan(&self, load: &Value, path: &str) -> Value {
        json!({
            "version": 1, "name": "fleet", "target": self.target.url, "load": load,
            "scenarios": {"main": {"steps": [{"get": path, "name": "ping"}]}},
        })
    }

    /// The run second that the API has seen last.
    fn second(&self, run: &str) -> Option<u64> {
        rates(self, run).last().map(|(second, _)| *second)
    }

    fn wait_second(&self, run: &str, second: u64) {
        wait_for(&format!("second {second}"), || (self.second(run)? >= second).then_some(()));
    }

    fn events(&self, run: &str) -> Vec<(String, Option<String>)> {
        let view = self.api.get(&format!("/runs/{run}"));
        let events = view["events"].as_array().unwrap().iter();
        events
            .map(|event| {
                (event["kind"].as_str().unwrap().to_owned(), event["driver"].as_str().map(str::to_owned))
            })
            .collect()
    }
}

fn orchestrator(kafka: &Kafka, folder: &Path, listen: &str) -> (Process, Api) {
    let mut command = swell();
    command.args(["orchestrator", "--kafka", &kafka.address(), "--listen", listen, "--log", "info"]);
    let mut process = Process::start("orchestrator", &mut command, folder);
    let url = process.line_after("dashboard on ");
    (process, Api { url })
}

fn driver(kafka: &Kafka, folder: &Path, number: usize, mut command: std::process::Command) -> Process {
    let name = format!("d{number}");
    command.args([
        "driver",
        "--kafka",
        &kafka.address(),
        "--node-id",
        &name,
        "--threads",
        "1",
        "--log",
        "info",
    ]);
    Process::start(&name, &mut command, folder)
}

/// Requests sent per run second.
fn rates(fleet: &Fleet, run: &str) -> Vec<(u64, f64)> {
    let series = fleet.api.get(&format!("/runs/{run}/series"));
    let column = |name: &str| series[name].as_array().unwrap().clone();
    let (seconds, sent) = (column("second"), column("sent_per_s"));
    seconds
        .iter()
        .zip(&sent)
        .map(|(second, sent)| (second.as_u64().unwrap(), sent.as_f64().unwrap_or(0.0)))
        .collect()
}

/// What is said of the loss of `driver`, and the codes of all reasons.
fn loss_of(summary: &Value, driver: &str) -> (String, Vec<String>) {
    let reasons = summary["verdict"]["reasons"].as_array().unwrap();
    let lost: Vec<&Value> = reasons.iter().filter(|reason| reason["code"] == "driver_lost").collect();
    assert!(lost.len() == 1 && lost[0]["driver"] == driver, "{summary:#}");
    let codes = reasons.iter().map(|reason| reason["code"].as_str().unwrap().to_owned()).collect();
    (lost[0]["text"].as_str().unwrap().to_owned(), codes)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

#[test]
fn eight_drivers_send_exactly_eighty_thousand() {
    let fleet = Fleet::start(8);
    let run = fleet.api.start_run(&json!({
        "test_type": "AVALANCHE", "message_count_per_driver": 10_000, "target": format!("{}/ping", fleet.target.url),
    }));
    let summary = fleet.api.finished(&run);
    assert_eq!(summary["state"], "finished");
    assert_eq!(summary["requests"]["sent"], 80_000);
    assert_eq!(summary["requests"]["succeeded"], 80_000);
    assert_eq!(summary["accounting"]["balanced"], true);
    assert_eq!(fleet.target.requests(), 80_000);
    let drivers = summary["drivers"].as_array().unwrap();
    assert_eq!(drivers.len(), 8);
    assert!(drivers.iter().all(|driver| driver["requests_sent"] == 10_000));
    let times = &summary["response_time_ms"];
    assert!(
        number(&times["min"]) <= number(&times["median"])
            && number(&times["median"]) <= number(&times["max"])
    );
    let spread_ms = fleet.target.first_request_spread_ms();
    assert!(spread_ms <= 250.0, "drivers started {spread_ms} ms apart");
}

#[test]
fn a_stalled_target_shows_in_the_response_times_of_a_tsunami() {
    let fleet = Fleet::start(2);
    let run = fleet.api.start_run(&json!({
        "test_type": "TSUNAMI", "test_message_delay": 20, "message_count_per_driver": 500,
        "target": format!("{}/ping", fleet.target.url),
    }));
    fleet.wait_second(&run, 3);
    fleet.target.control("stall/2s");
    let summary = fleet.api.finished(&run);
    assert_eq!(summary["requests"]["sent"], 1000);
    assert_eq!(summary["requests"]["succeeded"], 1000);
    assert_eq!(summary["loop"], "open");
    // A tenth to a fifth of the requests fell into the stall; they went out on schedule and waited in the target.
    assert!(number(&summary["response_time_ms"]["p95"]) > 800.0, "{summary}");
    assert!(number(&summary["response_time_ms"]["p50"]) < 200.0, "{summary}");
    let sent = rates(&fleet, &run);
    assert!(sent.iter().filter(|(second, _)| *second < 10).all(|(_, sent)| *sent >= 80.0), "{sent:?}");
}

#[test]
fn a_killed_driver_is_named_and_its_share_moves() {
    let mut fleet = Fleet::start(3);
    let load = json!({"model": "open", "stages": [{"name": "hold", "at": "300/s", "for": "30s"}]});
    let run = fleet.api.start_run(&fleet.plan(&load, "/ping"));
    fleet.wait_second(&run, 5);
    fleet.drivers[1].take().unwrap().kill();
    let killed_at = fleet.second(&run).unwrap();
    wait_for("the loss", || {
        fleet.events(&run).contains(&("driver_lost".into(), Some("d1".into()))).then_some(())
    });
    let noticed = fleet.second(&run).unwrap();
    let summary = fleet.api.finished(&run);
    assert!(noticed <= killed_at + 8, "killed in second {killed_at}, noticed in {noticed}");
    assert_eq!(summary["accounting"]["balanced"], true, "{summary}");
    assert_eq!(summary["iterations"]["due"], 9000);
    assert!(number(&summary["iterations"]["lost"]) > 0.0, "{summary}");
    assert_ne!(summary["verdict"]["value"], "valid");
    let (text, codes) = loss_of(&summary, "d1");
    assert!(text.contains("taken over"), "{text}");
    assert!(!codes.contains(&"not_started".to_owned()), "its share was: {summary:#}");
    let late = rates(&fleet, &run).into_iter().filter(|(second, _)| (killed_at + 12..29).contains(second));
    let late: Vec<f64> = late.map(|(_, sent)| sent).collect();
    let mean = late.iter().sum::<f64>() / late.len() as f64;
    assert!((294.0..=306.0).contains(&mean), "{mean}/s after the move of its lanes: {late:?}");
}

#[test]
fn a_killed_driver_that_nobody_replaces_makes_the_run_invalid() {
    let mut fleet = Fleet::start(2);
    let run = fleet.api.start_run(&json!({
        "test_type": "TSUNAMI", "test_message_delay": 10, "message_count_per_driver": 1500,
        "target": format!("{}/ping", fleet.target.url),
    }));
    fleet.wait_second(&run, 3);
    fleet.drivers[1].take().unwrap().kill();
    let summary = fleet.api.finished(&run);
    assert_eq!(summary["accounting"]["balanced"], true, "{summary:#}");
    assert_eq!(summary["iterations"]["due"], 3000, "{summary:#}");
    assert_eq!(summary["verdict"]["value"], "invalid", "{summary:#}");
    let (text, codes) = loss_of(&summary, "d1");
    assert!(text.contains("nobody took"), "{text}");
    assert!(codes.contains(&"not_started".to_owned()), "{summary:#}");
    for wrong in ["overlap", "incomplete", "missed_ours", "local_limit"] {
        assert!(!codes.contains(&wrong.to_owned()), "{wrong}: {summary:#}");
    }
    assert_eq!(summary["verdict"]["target_saturated"], false, "{summary:#}");
}

#[test]
fn an_orchestrator_that_dies_and_returns_finishes_the_run() {
    let mut fleet = Fleet::start(2);
    let load = json!({"model": "open", "stages": [{"name": "hold", "at": "200/s", "for": "40s"}]});
    let mut plan = fleet.plan(&load, "/ping");
    // All reports are read again, one driver's before the other's: half a rate must end nothing.
    plan["thresholds"] = json!(["achieved_rate >= 60% for 3s, abort", "achieved_rate >= 60%, abort"]);
    let run = fleet.api.start_run(&plan);
    fleet.wait_second(&run, 4);
    fleet.orchestrator.take().unwrap().kill();
    thread::sleep(Duration::from_secs(10));
    let listen = fleet.api.url.trim_start_matches("http://").to_owned();
    let (process, api) = orchestrator(&fleet.kafka, fleet.folder.path(), &listen);
    (fleet.orchestrator, fleet.api) = (Some(process), api);
    let summary = fleet.api.finished(&run);
    assert_eq!(summary["state"], "finished", "{summary:#}");
    assert!(
        summary["thresholds"].as_array().unwrap().iter().all(|one| one["result"] == "pass"),
        "{summary:#}"
    );
    assert_eq!(summary["iterations"]["due"], 8000);
    assert_eq!(summary["iterations"]["lost"], 0);
    assert_eq!(summary["accounting"]["balanced"], true, "{summary}");
    assert_eq!(number(&summary["requests"]["sent"]), fleet.target.requests() as f64);
    let sent = rates(&fleet, &run);
    let middle: Vec<f64> = sent.iter().filter(|(s, _)| (2..38).contains(s)).map(|(_, sent)| *sent).collect();
    assert!(middle.iter().all(|sent| *sent > 150.0), "{middle:?}");
}

#[test]
fn a_broker_away_for_twenty_seconds_loses_nobody_and_nothing() {
    let mut fleet = Fleet::start(2);
    let load = json!({"model": "open", "stages": [{"name": "hold", "at": "200/s", "for": "45s"}]});
    let run = fleet.api.start_run(&fleet.plan(&load, "/ping"));
    fleet.wait_second(&run, 4);
    fleet.kafka.kill().unwrap();
    // After a kill it takes some ten seconds to answer again, which are among the twenty.
    thread::sleep(Duration::from_secs(8));
    fleet.kafka.restart().unwrap();
    let summary = fleet.api.finished(&run);
    assert_eq!(summary["state"], "finished", "{summary}");
    assert_eq!(summary["iterations"]["due"], 9000);
    assert_eq!(summary["iterations"]["lost"], 0);
    assert_eq!(summary["accounting"]["balanced"], true, "{summary}");
    assert_eq!(number(&summary["requests"]["sent"]), fleet.target.requests() as f64);
    assert!(!fleet.events(&run).iter().any(|(kind, _)| kind == "driver_lost"), "{:?}", fleet.events(&run));
}

#[test]
fn a_driver_stopped_for_twenty_seconds_sends_no_burst() {
    let fleet = Fleet::start(2);
    let load = json!({"model": "open", "stages": [{"name": "hold", "at": "400/s", "for": "40s"}]});
    let run = fleet.api.start_run(&fleet.plan(&load, "/ping"));
    fleet.wait_second(&run, 4);
    let paused = fleet.drivers[0].as_ref().unwrap();
    paused.signal("STOP");
    thread::sleep(Duration::from_secs(20));
    paused.signal("CONT");
    let summary = fleet.api.finished(&run);
    assert_eq!(summary["accounting"]["balanced"], true, "{summary}");
    let worst = rates(&fleet, &run).into_iter().map(|(_, sent)| sent).fold(0.0, f64::max);
    assert!(worst <= 620.0, "a second with {worst} requests, planned are 400");
    assert_ne!(summary["verdict"]["value"], "valid");
}

#[test]
fn a_throughput_limit_is_kept_and_reached() {
    let fleet = Fleet::start(2);
    let run = fleet.api.start_run(&json!({
        "test_type": "AVALANCHE", "message_count_per_driver": 12_000, "target_throughput_per_driver": 1000,
        "target": format!("{}/ping", fleet.target.url),
    }));
    let summary = fleet.api.finished(&run);
    assert_eq!(summary["requests"]["sent"], 24_000);
    let sent: Vec<f64> = rates(&fleet, &run).into_iter().map(|(_, sent)| sent).collect();
    // Over any 10 s at most the limit and 10 ms of it, for two drivers; both start at a whole second.
    for span in sent.windows(10) {
        assert!(span.iter().sum::<f64>() <= 20_020.0, "{span:?}");
    }
    // 99 % of it is a matter of `plan`'s own tests, which no other process disturbs.
    assert!(sent[1..11].iter().sum::<f64>() >= 19_000.0, "{sent:?}");
}

#[test]
fn a_threshold_ends_the_run_on_the_whole_fleet() {
    let mut fleet = Fleet::start(3);
    let load = json!({"model": "open", "stages": [{"name": "hold", "at": "300/s", "for": "60s"}]});
    let mut plan = fleet.plan(&load, "/delay/20ms");
    plan["thresholds"] = json!(["p99 < 20s", "p50 of \"ping\" < 10ms for 5s, abort"]);
    let ended = |summary: &Value, served: u64| {
        assert_eq!(summary["state"], "aborted", "{summary:#}");
        let [held, broke] = summary["thresholds"].as_array().unwrap().as_slice() else {
            panic!("{summary:#}")
        };
        assert_eq!((&held["result"], &held["aborted"]), (&json!("pass"), &json!(false)), "{held}");
        assert_eq!((&broke["result"], &broke["aborted"]), (&json!("fail"), &json!(true)), "{broke}");
        let after_s = number(&broke["first_breach_s"]);
        assert!((5.0..=9.0).contains(&after_s), "{after_s}");
        assert!(served as f64 <= 300.0 * (after_s + 2.0), "{served} requests, breached after {after_s} s");
        assert_eq!(summary["accounting"]["balanced"], true, "{summary:#}");
        assert_eq!(summary["requests"]["sent"], served, "{summary:#}");
        assert!(
            summary["drivers"]
                .as_array()
                .unwrap()
                .iter()
                .all(|driver| number(&driver["requests_sent"]) > 0.0)
        );
    };
    let run = fleet.api.start_run(&plan);
    let summary = fleet.api.finished(&run);
    let served = fleet.target.requests();
    ended(&summary, served);
    let view = fleet.api.get(&format!("/runs/{run}"));
    assert_eq!(view["thresholds"], summary["thresholds"]);
    let reason = view["state_reason"].as_str().unwrap();
    assert!(reason.starts_with("threshold p50 of \"ping\" < 10ms for 5s, abort breached after"), "{reason}");
    assert!(fleet.events(&run).iter().any(|(kind, _)| kind == "threshold_breached"), "{view:#}");

    // The same as a one-off, by the same drivers.
    drop(fleet.orchestrator.take());
    fs::write(fleet.folder.path().join("fleet.plan.yaml"), plan.to_string()).unwrap();
    let mut command = swell();
    command.args(["run", "fleet.plan.yaml", "--kafka", &fleet.kafka.address(), "--min-drivers", "3"]);
    command.args(["--store", "one-off", "-o", "json=result.json"]);
    let mut process = Process::start("run", &mut command, fleet.folder.path());
    assert_eq!(process.wait().code(), Some(99), "{}", process.log());
    let text = fs::read_to_string(fleet.folder.path().join("result.json")).unwrap();
    ended(&serde_json::from_str(&text).unwrap(), fleet.target.requests() - served);
}

#[test]
fn setup_and_teardown_come_once_for_a_fleet_also_when_the_run_is_aborted() {
    let mut fleet = Fleet::start(3);
    fleet.target = Target::shop(fleet.folder.path());
    for (number, aborts) in [(1, false), (2, true)] {
        let (key, wait) = (format!("/kv/{{{{ name }}}}-{number}"), if aborts { "60s" } else { "4s" });
        let login = |user: &str| json!({"post": "/api/login", "json": {"user": user, "password": "secret"}});
        let mut first = login("first");
        first["save"] = json!({"name": "$.user.name", "token": "$.token"});
        let plan = json!({
            "version": 1, "name": "fixtures", "target": fleet.target.url,
            "load": {"model": "open", "stages": [{"at": "90/s", "for": wait}]},
            "setup": [first, {"put": key, "name": "create", "body": "x", "headers": {"if-none-match": "*"}}],
            "scenarios": {"main": {"auth": {"bearer": "{{ token }}"}, "steps": [
                {"get": key, "name": "read"}, {"get": "/api/cart"},
            ]}},
            "teardown": [{"delete": key, "name": "clear"}, login("last")],
        });
        let run = fleet.api.start_run(&plan);
        if aborts {
            fleet.wait_second(&run, 3);
            let (status, answer) = fleet.api.post(&format!("/runs/{run}/abort"), &json!({}));
            assert!((200..300).contains(&status), "{status}: {answer}");
        }
        let summary = fleet.api.finished(&run);
        // A request before setup, after teardown, or by a driver without the values is refused by the shop.
        assert_eq!(summary["requests"]["failed"], 0, "{summary:#}");
        assert!(summary["teardown_fault"].is_null(), "{summary:#}");
        let drivers = summary["drivers"].as_array().unwrap();
        assert!(drivers.iter().all(|driver| number_of(driver) > 0.0), "{summary:#}");
        let logins = fleet.target.logins();
        assert_eq!((logins["first"], logins["last"]), (number, number));
        let kinds: Vec<String> = fleet.events(&run).into_iter().map(|(kind, _)| kind).collect();
        let order = ["setup", "setup_done", "arming", "started", "teardown", "teardown_done", "ended"];
        let told: Vec<&str> = kinds.iter().map(String::as_str).filter(|kind| order.contains(kind)).collect();
        assert_eq!(told, order);
        let view = fleet.api.get(&format!("/runs/{run}")).to_string();
        assert!(!view.contains("Bearer ") && !summary.to_string().contains("token"), "{view}");
        fleet.api.drivers_ready(3);
    }
}

fn number_of(driver: &Value) -> f64 {
    number(&driver["requests_sent"])
}

#[test]
fn drivers_whose_clocks_differ_start_together() {
    let shift = ["--time", "--monotonic", "5", "--boottime", "5", "--fork", "--kill-child"];
    if !std::process::Command::new("unshare").args(shift).arg("true").status().unwrap().success() {
        eprintln!("not tested: this user may not make a time namespace");
        return;
    }
    let mut fleet = Fleet::start(1);
    let mut shifted = std::process::Command::new("unshare");
    shifted.args(shift).arg(env!("CARGO_BIN_EXE_swell"));
    fleet.drivers.push(Some(driver(&fleet.kafka, fleet.folder.path(), 1, shifted)));
    fleet.api.drivers_ready(2);
    let run = fleet.api.start_run(&json!({
        "test_type": "TSUNAMI", "test_message_delay": 10, "message_count_per_driver": 200,
        "target": format!("{}/ping", fleet.target.url),
    }));
    let summary = fleet.api.finished(&run);
    assert_eq!(summary["requests"]["sent"], 400, "{summary}");
    let spread_ms = fleet.target.first_request_spread_ms();
    assert!(spread_ms <= 250.0, "drivers started {spread_ms} ms apart");
}
