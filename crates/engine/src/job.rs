//! What the engine is asked to do, and why it may refuse.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use crate::{Allow, Io, Refused};

/// One driver's part of a run.
#[derive(Debug, Clone)]
pub struct Job {
    /// What to send and when.
    pub plan: Arc<plan::Plan>,
    /// The run, for the log.
    pub run_id: String,
    /// Engine threads, at least 1; fewer are used where there are fewer connections than threads.
    pub threads: usize,
    /// The lanes to send. Models that are per driver ignore it.
    pub share: plan::LaneSet,
    /// The targets that may be loaded.
    pub allow: Allow,
    /// The `User-Agent` of requests that set none themselves.
    pub user_agent: String,
    /// The loop that drives the sockets.
    pub io: Io,
}

/// Why a job cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The target's name has no address.
    #[error("cannot resolve {host}")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// The target may not be loaded.
    #[error("target refused")]
    Refused(#[from] Refused),
    /// No address of the target accepts a connection.
    #[error("cannot connect to {target}")]
    Unreachable {
        /// The target's URL.
        target: String,
        /// What became of the last attempt.
        #[source]
        source: io::Error,
    },
    /// Connections cannot be made from an address that the plan names.
    #[error("cannot connect from {address}, is it an address of this machine?")]
    Source {
        /// One of the plan's `source_addresses`.
        address: IpAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file that the plan names for TLS cannot be read.
    #[error("cannot read {path}")]
    File {
        /// As the plan has it.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What the plan says of TLS cannot be used.
    #[error("cannot use TLS as the plan wants it")]
    Tls(#[from] protocol::tls::SettingsError),
    /// A step is no valid request.
    #[error("step {step:?} cannot be sent")]
    Request {
        /// The step's name.
        step: String,
        /// What is wrong with it.
        #[source]
        source: protocol::RequestError,
    },
    /// io_uring was asked for, and does not work here.
    #[error("cannot drive sockets by io_uring here; --io auto takes epoll instead")]
    Uring {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// This machine refuses something the engine needs before it can start.
    #[error("cannot {what}")]
    Local {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
