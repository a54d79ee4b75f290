//! The two ends of the way of raw events, for `cargo xtask bench pipeline`: drivers without a target, and a collector that ends.
//!
//! ```text
//! pipeline drive BROKERS PREFIX ROWS            records requests that nobody sent, and ends when Kafka has all events
//! pipeline collect BROKERS PREFIX STORE ROWS    stores events, and ends when it has stored so many
//! ```
//!
//! From the recorder of an engine thread to the commit of the store all is what drivers and collectors do. Each prints one
//! line of JSON at its end; the collector says `ready` before, and learns by the end of its standard input that no more
//! events are made.

#![expect(clippy::print_stdout, reason = "a program for the command line")]

mod drive;
mod collect;

use anyhow::{Context, bail};
use transport::kafka::{Cluster, Settings};

/// The run.
const RUN: &str = "benchmark_42";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["drive", brokers, prefix, rows] => drive::run(&connected(brokers, prefix)?, number(rows)?),
        ["collect", brokers, prefix, store, rows] => {
            collect::run(&connected(brokers, prefix)?, store, number(rows)?)
        }
        _ => bail!("see the beginning of this file"),
    }
}

fn number(text: &str) -> anyhow::Result<u64> {
    text.parse().with_context(|| format!("expected a number, found {text:?}"))
}

/// Kafka, with topics under `prefix`.
fn connected(brokers: &str, prefix: &str) -> anyhow::Result<Cluster> {
    let cluster = Cluster::connect(&Settings { prefix: prefix.to_owned(), ..Settings::new(brokers) })?;
    cluster.prepare_topics()?;
    Ok(cluster)
}
