//! The pieces of the system as the commands put them together: store, orchestrator, page.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use cluster::Handle;
use cluster::runtime::orchestrator::{ConnectError, Ground, Running, StartError, start};
use store::Store;
use transport::{Connect, Transport};

use crate::exit::{Ended, Exit};

/// How patient an orchestrator is with its drivers.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Least time between the trigger and the start of a run.
    pub start_lead: Duration,
    /// How long drivers may take to be there and to arm.
    pub arm_timeout: Duration,
}

/// Drivers on other machines.
pub const OVER_KAFKA: Patience =
    Patience { start_lead: Duration::from_secs(3), arm_timeout: Duration::from_secs(30) };

/// Drivers in this process, which read a trigger at once.
pub const IN_PROCESS: Patience =
    Patience { start_lead: Duration::from_millis(500), arm_timeout: Duration::from_secs(30) };

/// Opens the store for writing, or says who has it and what to do.
pub fn open_store(folder: &Path) -> anyhow::Result<Store> {
    Store::open(folder).map_err(|error| Ended::new(Exit::Invalid, error.to_string()))
}

/// Starts an orchestrator.
pub fn orchestrate(
    store: Store,
    patience: Patience,
    stamp_command: Option<String>,
    connect: &dyn Fn(Connect) -> Result<Box<dyn Transport>, ConnectError>,
) -> anyhow::Result<Running> {
    let node_id = format!("orchestrator-{}", rustix::system::uname().nodename().to_string_lossy());
    let Patience { start_lead, arm_timeout } = patience;
    let ground = Ground { node_id, start_lead, arm_timeout, store, stamp_command, connect };
    start(ground).map_err(|error| {
        let exit = match &error {
            StartError::Transport(_) => Exit::Preflight,
            StartError::Store(_) | StartError::Record { .. } => Exit::Invalid,
            StartError::Thread(_) => Exit::Internal,
        };
        Ended::new(exit, format!("{:#}", anyhow::Error::new(error)))
    })
}

/// Serves REST and the page.
pub fn serve(listen: SocketAddr, handle: &Handle, folder: &Path) -> anyhow::Result<api::Server> {
    api::serve(api::Settings { listen, data: folder.to_owned() }, handle.clone()).map_err(|error| {
        let is_listen = error.is_listen();
        let text = format!("{:#}", anyhow::Error::new(error));
        if is_listen {
            let advice = "choose another address with --listen, or port 0 for a free one";
            return Ended::new(Exit::CannotListen, format!("{text}; {advice}"));
        }
        Ended::new(Exit::Invalid, text)
    })
}
