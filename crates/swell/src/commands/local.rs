//! Everything in one process: the same orchestrator and drivers, over the log in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use cluster::files::Shelf;
use cluster::runtime::driver::{run as run_driver, subscriptions};
use cluster::runtime::files::{Connector, FileSource};
use engine::{Allow, Io, Machine, Part, Secrets};
use plan::Plan;
use transport::{Connect, memory};

use super::driver;
use crate::exit::{Ended, Exit};

/// Drivers of this process, on threads of their own.
pub struct Drivers {
    shutdown: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Drivers {
    /// Starts `count` drivers, `d1` and so on, that share the engine threads.
    pub fn start(
        broker: &memory::Broker,
        shelf: &Shelf,
        count: usize,
        threads: usize,
        allow: &Allow,
        io: Io,
        secrets: &Secrets,
    ) -> anyhow::Result<Self> {
        let shutdown = Arc::new(AtomicBool::new(false));
        let threads_each = threads_each(count, threads);
        let drivers = (1..=count).map(|number| {
            let node_id = format!("d{number}");
            let transport = broker.node(Connect { node: node_id.clone(), subscriptions: subscriptions() });
            let (allow, secrets, shutdown) = (allow.clone(), secrets.clone(), Arc::clone(&shutdown));
            let broker = broker.clone();
            let connect: Connector = Arc::new(move |connect| Ok(broker.node(connect)));
            let files = FileSource { shelf: shelf.clone(), connect };
            thread::Builder::new().name(format!("driver-{number}")).spawn(move || {
                run_driver(
                    driver::settings(node_id),
                    driver::load(threads_each, allow, io, files, secrets),
                    transport,
                    &shutdown,
                );
            })
        });
        let threads = drivers.collect::<Result<_, _>>()?;
        Ok(Self { shutdown, threads })
    }

    /// Asks all to end, and waits for it; false when one panicked.
    pub fn end(self) -> bool {
        self.shutdown.store(true, Ordering::Relaxed);
        self.threads.into_iter().all(|thread| thread.join().is_ok())
    }
}

/// What this machine will probably not do of `plan`, run by `count` drivers that share `threads`.
pub fn look_ahead(plan: &Plan, count: usize, threads: usize) -> anyhow::Result<Vec<String>> {
    let whole = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let threads = whole(threads_each(count, threads) * count);
    let part = Part { plan, drivers: whole(count), threads, lanes: plan::LANES };
    engine::preflight(&part, &Machine::read())
        .map_err(|error| Ended::because(Exit::Preflight, format!("nothing was sent: {error}")))
}

fn threads_each(count: usize, threads: usize) -> usize {
    (threads / count).max(1)
}

/// Engine threads of one process by default: the cores less one, which orchestrator and page share.
pub fn default_threads() -> usize {
    driver::cores().saturating_sub(1).max(1)
}
