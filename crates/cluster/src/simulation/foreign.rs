//! Peers that know only the five basic messages: a foreign orchestrator over our driver, a foreign driver under our
//! orchestrator. Told message by message, without the virtual cluster.

use std::sync::Arc;
use std::time::Duration;

use clock::{BrokerTime, Instant};
use plan::Load;
use transport::{
    Command as Order, Control, Heartbeat, Message, Record, Register, Summary, TestConfig, TestType, Topic,
    Trigger, Uuid, wire,
};

use crate::driver;
use crate::orchestrator::{self, Outcome};
use crate::run::{Acknowledged, Now, Sent};
use crate::view::RunState;

const SECOND: u64 = 1_000_000_000;

fn at(ns: u64) -> Now {
    Now {
        instant: Instant::from_nanos(ns),
        unix_ms: 1_700_000_000_000 + i64::try_from(ns / 1_000_000).unwrap(),
    }
}

fn record(message: &Message, offset: i64, now: Now) -> Record {
    let encoded = wire::encode(message).unwrap();
    Record {
        topic: encoded.topic,
        partition: 0,
        offset,
        stamp: Some(BrokerTime::from_unix_ms(now.unix_ms)),
        received: now.instant,
        message: wire::decode(encoded.topic, &encoded.value),
    }
}

fn our_driver(target: Option<&str>) -> driver::Driver {
    let settings = driver::Settings {
        node_id: "d1".to_owned(),
        address: String::new(),
        version: "0".to_owned(),
        cores: 1,
        memory_bytes: 0,
        zone: None,
        labels: Default::default(),
        target: target.map(str::to_owned),
    };
    let mut driver = driver::Driver::new(settings, Uuid::from_u128(5));
    driver.on(driver::Event::Started, at(0));
    driver
}

fn foreign_config() -> Message {
    Message::TestConfig(TestConfig {
        test_id: "t1".to_owned(),
        test_type: TestType::Tsunami,
        message_delay: Duration::from_millis(20),
        message_count_per_driver: 100,
        ours: None,
    })
}

#[test]
fn a_foreign_orchestrator_commands_our_driver() {
    let mut driver = our_driver(Some("http://127.0.0.1:7701/ping"));
    let actions = driver.on(driver::Event::Record(record(&foreign_config(), 0, at(SECOND))), at(SECOND));
    let Some(driver::Action::Prepare(preparation)) =
        actions.iter().find(|action| matches!(action, driver::Action::Prepare(_)))
    else {
        panic!("{actions:?}");
    };
    let Load::Tsunami { requests_per_driver: 100, delay, .. } = preparation.plan.workloads[0].load else {
        panic!("{:?}", preparation.plan.workloads[0].load);
    };
    assert_eq!(delay, Duration::from_millis(20));
    driver.on(driver::Event::Prepared { test_id: "t1".to_owned() }, at(2 * SECOND));
    let trigger = Message::Trigger(Trigger { test_id: "t1".to_owned(), ours: None });
    let actions = driver.on(driver::Event::Record(record(&trigger, 0, at(3 * SECOND))), at(3 * SECOND));
    let now = Instant::from_nanos(3 * SECOND);
    let starts = |action: &driver::Action| match action {
        driver::Action::Start { at, lease_until, .. } => *at == now && lease_until.as_nanos() == u64::MAX,
        _ => false,
    };
    assert!(actions.iter().any(starts), "at once, without a lease and without knowing the time: {actions:?}");
}

#[test]
fn without_a_target_our_driver_says_so() {
    let mut driver = our_driver(None);
    let actions = driver.on(driver::Event::Record(record(&foreign_config(), 0, at(SECOND))), at(SECOND));
    let reason = actions.iter().find_map(|action| match action {
        driver::Action::Send(Message::Heartbeat(heartbeat)) => heartbeat.ours.as_ref()?.reason.clone(),
        _ => None,
    });
    assert!(reason.is_some_and(|reason| reason.contains("--target")), "{actions:?}");
}

/// An orchestrator whose messages go straight back to it, as a log would bring them.
struct Loop {
    machine: orchestrator::Orchestrator,
    offset: i64,
    sent: Vec<Message>,
    outcome: Option<Outcome>,
}

impl Loop {
    fn new() -> Self {
        let settings = orchestrator::Settings {
            node_id: "o".to_owned(),
            store: Uuid::from_u128(1),
            start_lead: Duration::from_secs(3),
            arm_timeout: Duration::from_secs(10),
        };
        let machine = orchestrator::Orchestrator::new(settings, Uuid::from_u128(2));
        Self { machine, offset: 0, sent: Vec::new(), outcome: None }
    }

    fn tell(&mut self, event: orchestrator::Event, ns: u64) {
        for action in self.machine.on(event, at(ns)) {
            match action {
                orchestrator::Action::Send(message) => self.log(message, ns),
                orchestrator::Action::Ended(outcome) => self.outcome = Some(*outcome),
                _ => {}
            }
        }
    }

    fn log(&mut self, message: Message, ns: u64) {
        let now = at(ns);
        let read = matches!(message.topic(), Topic::Register | Topic::Heartbeat | Topic::Control);
        let sent = Sent::of(&message);
        self.sent.push(message.clone());
        self.offset += 1;
        let (handed_over, stamp) = (now.instant, Some(BrokerTime::from_unix_ms(now.unix_ms)));
        let acknowledged = Acknowledged { sent, handed_over, acknowledged: now.instant, stamp };
        self.tell(orchestrator::Event::Acknowledged(acknowledged), ns);
        if read {
            let record = record(&message, self.offset, now);
            self.tell(orchestrator::Event::Record(record), ns);
        }
    }
}

#[test]
fn a_foreign_driver_takes_part() {
    let text = "version: 1\nname: p\ntarget: http://127.0.0.1:7701\n\
                load: { model: tsunami, requests_per_driver: 50, delay: 20ms }\n\
                scenarios:\n  only:\n    steps:\n      - get: /ping\n";
    let plan = Arc::new(plan::parse("p", text).unwrap());
    let mut world = Loop::new();
    world.tell(orchestrator::Event::Started(None), 0);
    let register =
        Register { node_id: "theirs".to_owned(), node_ip: "10.0.0.9".to_owned(), leaving: false, ours: None };
    world.log(Message::Register(register), SECOND / 10);
    let start = orchestrator::Start {
        run_id: "r".to_owned(),
        plan,
        files: Vec::new(),
        min_drivers: 1,
        max_drivers: 9,
    };
    let command = orchestrator::Command::Start(Box::new(start));
    world.tell(orchestrator::Event::Command { token: 1, command }, SECOND);
    for quarter in 5..200 {
        let ns = quarter * SECOND / 4;
        world.tell(orchestrator::Event::Tick, ns);
        if quarter % 4 == 0 {
            let heartbeat = Heartbeat { node_id: "theirs".to_owned(), timestamp_unix_ms: 0, ours: None };
            world.log(Message::Heartbeat(heartbeat), ns);
        }
        if (32..48).contains(&quarter) {
            let (node_id, test_id) = ("theirs".to_owned(), "r".to_owned());
            let summary = Summary { mean_ms: 2.0, median_ms: 2.0, min_ms: 1.0, max_ms: 9.0 };
            world.tell(orchestrator::Event::Summarised { node_id, test_id, summary }, ns);
        }
    }
    let config = world.sent.iter().find_map(|message| match message {
        Message::TestConfig(config) => Some((config.test_type, config.message_count_per_driver)),
        _ => None,
    });
    assert_eq!(config, Some((TestType::Tsunami, 50)));
    assert!(world.sent.iter().any(|message| matches!(message, Message::Trigger(_))));
    let outcome = world.outcome.expect("it is done ten seconds after its last report");
    assert_eq!((outcome.state, outcome.reason.as_deref()), (RunState::Finished, None));
    assert_eq!((outcome.members.len(), outcome.lost, outcome.unknown), (1, 0, 0));
}

#[test]
fn an_expired_lease_is_not_sent_again() {
    let is_lease = |message: &&Message| {
        matches!(message, Message::Control(Control { command: Order::Lease { .. }, epoch: 0.., .. }))
    };
    let mut world = Loop::new();
    world.tell(orchestrator::Event::Started(None), 0);
    let text = "version: 1\nname: p\ntarget: http://127.0.0.1:7701\n\
                load: { model: open, stages: [{ at: 5/s, for: 90s }] }\n\
                scenarios:\n  only:\n    steps:\n      - get: /ping\n";
    let plan = Arc::new(plan::parse("p", text).unwrap());
    let start = orchestrator::Start {
        run_id: "r".to_owned(),
        plan,
        files: Vec::new(),
        min_drivers: 1,
        max_drivers: 9,
    };
    let command = orchestrator::Command::Start(Box::new(start));
    world.tell(orchestrator::Event::Command { token: 1, command }, SECOND);
    world.tell(orchestrator::Event::Tick, 2 * SECOND);
    assert!(world.sent.iter().any(|message| is_lease(&message)));
    let before = world.sent.iter().filter(is_lease).count();
    // The machine stood still for longer than its lease.
    world.tell(orchestrator::Event::Tick, 40 * SECOND);
    world.tell(orchestrator::Event::Tick, 41 * SECOND);
    assert_eq!(world.sent.iter().filter(is_lease).count(), before);
}
