//! A collector that ends when it has stored what was promised.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use cluster::runtime::ingest::{Hurry, Ingester, Lasting, Source};
use events::Batch;
use store::{Claimed, Error, EventStore, Location, Peer, Poison, Portion, Span, Stored, postgres};
use transport::Topic;
use transport::kafka::Cluster;

/// Stores events until there are `rows` of them. A database is set up first where it has no tables.
pub fn run(cluster: &Cluster, place: &str, rows: u64) -> anyhow::Result<()> {
    let location = Location::parse(place, &|_| None)?;
    if let Location::Postgres(address) = &location {
        postgres::init(address, &postgres::Setup::default())?;
    }
    let counts = Arc::<Counts>::default();
    let store = store::open_events(&location, "collector")?;
    let store = Counted { store, wanted: rows, counts: Arc::clone(&counts) };
    let (partitions, retention) = cluster.extent(Topic::Events)?;
    let topic = format!("{}/{}", cluster.id(), cluster.topic_name(Topic::Events));
    let lasting = Some(Lasting { topic, partitions, begins_at_end: false, retention });
    let cluster = cluster.clone();
    let source =
        Source { connect: Arc::new(move |connect| Ok(cluster.node(connect)?)), is_ours: true, lasting };
    let hurry = Hurry::default();
    hurry_at_the_end(hurry.clone());
    let ingester = Ingester::new(
        "collector".to_owned(),
        Box::new(store),
        source,
        hurry,
        Box::new(|shown, _| assert!(shown.fault.is_none(), "{shown:?}")),
    );
    println!("ready");
    ingester.run(&counts.is_over);
    let stored = counts.rows.load(Ordering::Relaxed);
    ensure!(stored == rows, "{stored} rows were stored of {rows}");
    let (ended_ms, commits) =
        (counts.ended_ms.load(Ordering::Relaxed), counts.commits.load(Ordering::Relaxed));
    let cpu_s = clock::process_cpu().as_secs_f64();
    println!("{{\"rows\": {rows}, \"ended_ms\": {ended_ms}, \"commits\": {commits}, \"cpu_s\": {cpu_s:.3}}}");
    Ok(())
}

/// Once the standard input has ended, what was read is stored at once, as at the end of a run.
fn hurry_at_the_end(hurry: Hurry) {
    thread::spawn(move || {
        io::copy(&mut io::stdin(), &mut io::sink()).ok();
        // Until this program ends.
        loop {
            hurry.ask();
            thread::sleep(Duration::from_millis(20));
        }
    });
}

#[derive(Default)]
struct Counts {
    rows: AtomicU64,
    commits: AtomicU64,
    /// When the last commit returned, in Unix milliseconds.
    ended_ms: AtomicI64,
    is_over: AtomicBool,
}

/// A store, with a count of what it stored.
struct Counted {
    store: Box<dyn EventStore>,
    wanted: u64,
    counts: Arc<Counts>,
}

impl EventStore for Counted {
    fn claim(&mut self, topic: &str, partitions: i32) -> Result<Vec<Claimed>, Error> {
        self.store.claim(topic, partitions)
    }

    fn meet(&mut self, topic: &str, own: &Peer) -> Result<Vec<Peer>, Error> {
        self.store.meet(topic, own)
    }

    fn portion(&self) -> Portion {
        self.store.portion()
    }

    fn store(&mut self, spans: &[Span], batches: &[Batch]) -> Result<Stored, Error> {
        let stored = self.store.store(spans, batches)?;
        let counts = &self.counts;
        let rows = counts.rows.fetch_add(stored.rows, Ordering::Relaxed) + stored.rows;
        counts.commits.fetch_add(1, Ordering::Relaxed);
        counts.ended_ms.store(clock::unix_ms(), Ordering::Relaxed);
        counts.is_over.store(rows >= self.wanted, Ordering::Relaxed);
        Ok(stored)
    }

    fn store_loose(&mut self, batches: &[Batch]) -> Result<Stored, Error> {
        self.store.store_loose(batches)
    }

    fn set_aside(&mut self, span: &Span, poison: &Poison) -> Result<(), Error> {
        self.store.set_aside(span, poison)
    }

    fn set_aside_loose(&mut self, origin: &str, poison: &Poison) -> Result<(), Error> {
        self.store.set_aside_loose(origin, poison)
    }

    fn release(&mut self) {
        self.store.release();
    }
}
