//! One message of every kind, complete, for the tests of the format and of both transports.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;
use std::time::Duration;

use clock::BrokerTime;
use metrics::{DriverWindow, ErrorKind, Outcome, PhaseTimings, Phases, StageWindow, StepWindow, Totals};
use plan::{Shares, StageId, StepId};
use transport::{
    Command, Control, EventBatch, FileChunk, FileInfo, FixtureOrder, FixtureOutcome, FixtureReport,
    Heartbeat, HeartbeatOurs, Message, Metrics, MetricsOurs, NodeState, Register, RegisterOurs, Role,
    Summary, TestConfig, TestConfigOurs, TestType, Trigger, TriggerOurs, Uuid, wire,
};

pub fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0000 + number)
}

pub fn heartbeat(node_id: &str) -> Message {
    Message::Heartbeat(Heartbeat {
        node_id: node_id.to_owned(),
        timestamp_unix_ms: 1_795_226_709_123,
        ours: Some(HeartbeatOurs {
            incarnation: uuid(1),
            role: Role::Driver,
            state: NodeState::Running,
            test_id: Some("run-1".to_owned()),
            epoch: 17,
            shares_version: 2,
            cpu_percent: 41.5,
            memory_bytes: 25_000_000,
            open_sockets: 64,
            send_lag_p99_us: 80,
            events_dropped: 0,
            clock_offset_ms: Some(-1.25),
            clock_error_ms: Some(0.75),
            requests_sent: 12_345,
            reason: None,
            fixture: None,
        }),
    })
}

pub fn fixture_heartbeat(fixture: plan::Fixture, outcome: Option<FixtureOutcome>) -> Message {
    let Message::Heartbeat(mut heartbeat) = heartbeat("d1") else { unreachable!() };
    heartbeat.ours.as_mut().unwrap().fixture =
        Some(FixtureReport { test_id: "run-1".to_owned(), fixture, outcome });
    Message::Heartbeat(heartbeat)
}

pub fn values() -> plan::Values {
    let ids = serde_json::json!([1, 2.5, "x", null, { "a": true }]);
    [("token".to_owned(), "t/\"0\"".into()), ("ids".to_owned(), ids)].into()
}

fn order(fixture: plan::Fixture, values: plan::Values) -> Command {
    let plan = "version: 1\n".to_owned();
    let (node_id, files) = ("d2".to_owned(), vec![file_info()]);
    Command::Fixture(Box::new(FixtureOrder { fixture, node_id, incarnation: uuid(2), plan, files, values }))
}

pub fn control(command: Command) -> Message {
    Message::Control(Control {
        test_id: Some("run-1".to_owned()),
        epoch: 17,
        seq: 3,
        store: uuid(9),
        command,
    })
}

/// A second with `steps` steps of `samples` requests each, spread over many bins.
pub fn window(second: u32, steps: u16, samples: u32) -> DriverWindow {
    let mut random = fastrand::Rng::with_seed(u64::from(second));
    let mut window = DriverWindow { from_s: second, to_s: second + 1, ..DriverWindow::default() };
    for step in 0..steps {
        let mut measured = StepWindow::new(StepId(step), StageId(0));
        for _ in 0..samples {
            let service_ns = random.u64(100_000..2_000_000_000);
            measured.ok.service.record(service_ns);
            measured.ok.response.record(service_ns + random.u64(0..1_000_000));
        }
        measured.failed.response.record(30_000_000_000);
        measured.failed.service.record(30_000_000_000);
        measured.sent = u64::from(samples) + 1;
        measured.outcomes = vec![
            (Outcome::Success(200), u64::from(samples)),
            (Outcome::Failed(ErrorKind::RequestTimeout, 0), 1),
        ];
        let mut phases = PhaseTimings::default();
        phases.record(&Phases { connect_ns: Some(40_000), waiting_ns: Some(90_000), ..Phases::default() });
        measured.phases = (step % 2 == 0).then(|| Box::new(phases));
        measured.bytes_in = 4096;
        measured.bytes_out = 512;
        window.steps.push(measured);
    }
    let mut stage = StageWindow::new(StageId(0));
    (stage.due, stage.started, stage.completed) =
        (u64::from(samples), u64::from(samples), u64::from(samples));
    stage.send_lag.record(80_000);
    stage.connection_wait.record(1000);
    window.stages.push(stage);
    window.gauges.in_flight = 7;
    window.gauges.connections = 64;
    window.judge();
    window
}

pub fn metrics(node_id: &str, seq: u64, window: DriverWindow) -> Message {
    Message::Metrics(Metrics {
        node_id: node_id.to_owned(),
        test_id: "run-1".to_owned(),
        report_id: format!("{node_id}/{seq}"),
        summary: Summary { mean_ms: 12.345, median_ms: 11.8, min_ms: 0.9, max_ms: 48.0 },
        ours: Some(MetricsOurs {
            incarnation: uuid(1),
            seq,
            part: 0,
            parts: 1,
            second: window.from_s,
            requests_sent: 1000,
            window: Some(window),
            fin: None,
        }),
    })
}

/// A batch of events whose rows are so many bytes.
pub fn events(node_id: &str, number: u64, bytes: usize) -> Message {
    Message::Events(EventBatch {
        test_id: "7".to_owned(),
        node_id: node_id.to_owned(),
        incarnation: Uuid::from_u128(77),
        epoch: 12,
        number,
        rows: 3,
        bytes: (0..bytes).map(|at| (at % 251).to_le_bytes()[0]).collect(),
    })
}

pub fn final_metrics(node_id: &str, seq: u64) -> Message {
    let Message::Metrics(mut message) = metrics(node_id, seq, window(seq.try_into().unwrap(), 1, 1)) else {
        unreachable!("made above")
    };
    let ours = message.ours.as_mut().unwrap();
    ours.window = None;
    ours.fin = Some(Totals {
        due: 10,
        started: 9,
        missed: metrics::Missed { ours: 1, target: 0, limit: 0 },
        requests_sent: 9,
        succeeded: 7,
        failed: 1,
        cancelled: 1,
        bytes_in: 1,
        bytes_out: 2,
        windows: 3,
        events: Some(metrics::EventCounts { produced: 9, dropped: 2 }),
    });
    Message::Metrics(message)
}

pub fn test_config() -> Message {
    let plan = "name: first\nload: {rate: 500/s, duration: 30s}\n";
    Message::TestConfig(TestConfig {
        test_id: "run-1".to_owned(),
        test_type: TestType::Open,
        message_delay: Duration::ZERO,
        message_count_per_driver: 0,
        ours: Some(TestConfigOurs {
            plan: plan.to_owned(),
            plan_sha256: wire::sha256(plan),
            target_throughput_per_driver: Some(99.5),
            epoch: 17,
            shares: shares(3),
            files: vec![file_info()],
            values: values(),
        }),
    })
}

pub fn file_info() -> FileInfo {
    FileInfo {
        path: "data/users.csv".to_owned(),
        sha256: wire::sha256("name\nada\n"),
        size: 9,
        first_offset: 4,
        last_offset: 4,
    }
}

pub fn file_chunk() -> Message {
    let bytes = b"name\nada\n".to_vec();
    Message::FileChunk(FileChunk { sha256: wire::sha256(&bytes), chunk: 0, chunks: 1, bytes })
}

pub fn shares(drivers: usize) -> Shares {
    Shares::even((0..drivers).map(|number| format!("d{number}")).collect()).unwrap()
}

pub fn register() -> Message {
    Message::Register(Register {
        node_id: "d1".to_owned(),
        node_ip: "10.0.0.7".to_owned(),
        leaving: false,
        ours: Some(RegisterOurs {
            incarnation: uuid(1),
            protocol: wire::PROTOCOL,
            version: "0.1.0".to_owned(),
            cores: 8,
            memory_bytes: 16 << 30,
            zone: Some("eu-1a".to_owned()),
            labels: BTreeMap::from([("rack".to_owned(), "7".to_owned())]),
        }),
    })
}

pub fn all() -> Vec<Message> {
    let foreign = [
        Message::Register(Register {
            node_id: "f1".to_owned(),
            node_ip: "10.0.0.8".to_owned(),
            leaving: true,
            ours: None,
        }),
        Message::TestConfig(TestConfig {
            test_id: "7".to_owned(),
            test_type: TestType::Tsunami,
            message_delay: Duration::from_micros(1500),
            message_count_per_driver: 1000,
            ours: None,
        }),
        Message::Trigger(Trigger { test_id: "7".to_owned(), ours: None }),
        Message::Metrics(Metrics {
            node_id: "f1".to_owned(),
            test_id: "7".to_owned(),
            report_id: "r".to_owned(),
            summary: Summary { mean_ms: 1.0, median_ms: 2.0, min_ms: 0.000_001, max_ms: 4.25 },
            ours: None,
        }),
        Message::Heartbeat(Heartbeat { node_id: "f1".to_owned(), timestamp_unix_ms: 0, ours: None }),
    ];
    let start_at = BrokerTime::from_unix_ms(1_795_226_712_000);
    let ours = [
        register(),
        test_config(),
        file_chunk(),
        Message::Trigger(Trigger {
            test_id: "run-1".to_owned(),
            ours: Some(TriggerOurs { epoch: 17, start_at }),
        }),
        Message::Control(Control {
            test_id: None,
            epoch: -1,
            seq: 0,
            store: uuid(9),
            command: Command::Claim,
        }),
        control(Command::Lease { expires_at: start_at }),
        control(Command::Stop),
        control(Command::Abort { reason: "the operator said \"stop\"\n".to_owned() }),
        control(Command::SetRate { from_ns: u64::MAX, factor: 0.5 }),
        control(Command::SetShares { from_ns: 12_000_000_000, shares: shares(2) }),
        control(Command::Fence { node_id: "d2".to_owned(), incarnation: uuid(2) }),
        control(order(plan::Fixture::Setup, plan::Values::new())),
        control(order(plan::Fixture::Teardown, values())),
        fixture_heartbeat(plan::Fixture::Setup, None),
        fixture_heartbeat(
            plan::Fixture::Teardown,
            Some(FixtureOutcome { failure: Some("step \"a\": no".to_owned()), ..FixtureOutcome::default() }),
        ),
        fixture_heartbeat(
            plan::Fixture::Setup,
            Some(FixtureOutcome { requests: 3, took_ms: 12, values: values(), ..FixtureOutcome::default() }),
        ),
        metrics("d1", 5, window(5, 3, 50)),
        final_metrics("d1", 6),
        events("d1", 7, 2000),
        heartbeat("d1"),
    ];
    foreign.into_iter().chain(ours).collect()
}
