//! What an idle driver's way to Kafka costs: a heartbeat a second, nothing to read. Prints memory and CPU.
//!
//! `cargo run --release -p transport --example idle -- 127.0.0.1:9092 60`

#![expect(clippy::print_stdout, reason = "a program to be looked at")]

use std::error::Error;
use std::time::Duration;

use transport::kafka::{Cluster, Settings};
use transport::{Connect, Event, Heartbeat, Message, Start, Topic};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let brokers = arguments.next().ok_or("expected HOST:PORT")?;
    let seconds: u64 = arguments.next().map_or(Ok(30), |text| text.parse())?;
    let cluster = Cluster::connect(&Settings::new(brokers))?;
    for warning in cluster.prepare_topics()? {
        println!("{}", warning.text);
    }
    let subscriptions =
        [Topic::TestConfig, Topic::Trigger, Topic::Control].map(|topic| (topic, Start::End)).to_vec();
    let mut node = cluster.node(Connect { node: "idle".to_owned(), subscriptions })?;
    let mut acknowledged = Vec::new();
    let began = clock::now();
    let cpu = clock::process_cpu();
    for second in 1..=seconds {
        let message =
            Heartbeat { node_id: "idle".to_owned(), timestamp_unix_ms: clock::unix_ms(), ours: None };
        node.send(&Message::Heartbeat(message))?;
        let until = began + Duration::from_secs(second);
        while !until.since(clock::now()).is_zero() {
            match node.next(until.since(clock::now())) {
                Some(Event::Acknowledged { sent, acknowledged: at, .. }) => acknowledged.push(at.since(sent)),
                Some(other) => println!("{other:?}"),
                None => {}
            }
        }
    }
    acknowledged.sort();
    let used = clock::process_cpu().saturating_sub(cpu).as_secs_f64();
    println!("CPU {:.3} % of one core", used / seconds as f64 * 100.0);
    println!(
        "acknowledged after {:?} (median of {})",
        acknowledged.get(acknowledged.len() / 2),
        acknowledged.len()
    );
    for line in std::fs::read_to_string("/proc/self/status")?.lines() {
        if ["VmRSS", "RssAnon", "RssFile", "VmHWM", "Threads"].iter().any(|name| line.starts_with(name)) {
            println!("{line}");
        }
    }
    Ok(())
}
