//! What the engine is asked to do, and why it may refuse.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use crate::{Allow, Io, Refused};

/// One driver's part of a run.
#[derive(Debug, Clone)]
pub struct Job {
    /// What to send and when.
    pub plan: Arc<plan::Plan>,
    /// The files that the plan names.
    pub files: data::Files,
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
    /// What this driver knows of the plan's secrets.
    pub secrets: Secrets,
}

/// Values that no message, log or report may show, by their names.
#[derive(Clone, Default)]
pub struct Secrets(pub BTreeMap<String, String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Secrets {
    /// The values that `plan` needs, in its order.
    ///
    /// # Errors
    /// The names of those that are not here.
    pub fn of(&self, plan: &plan::Plan) -> Result<Vec<String>, Vec<String>> {
        let missing: Vec<String> =
            plan.secrets().iter().filter(|name| !self.0.contains_key(*name)).cloned().collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        Ok(plan.secrets().iter().filter_map(|name| self.0.get(name).cloned()).collect())
    }
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
    /// A file of the plan did not come with it.
    #[error("the plan needs the file {path}, which is not here")]
    NoFile {
        /// As the plan has it.
        path: String,
    },
    /// A file of the plan is no table.
    #[error("cannot read the rows of {path}: {fault}")]
    Table {
        /// As the plan has it.
        path: String,
        /// The first thing that is wrong with it, and where.
        fault: String,
    },
    /// A file of rows has not the column that an expression names.
    #[error("{source_name} has no column {column:?}, it has {known}")]
    Column {
        /// The name of the data in the plan.
        source_name: String,
        /// The column.
        column: String,
        /// The columns that there are.
        known: String,
    },
    /// The driver does not know secrets that the plan uses.
    #[error("secrets are not set: {}; set SWELL_SECRET_NAME in the driver's environment, or --secrets FILE", names.join(", "))]
    Secrets {
        /// Their names.
        names: Vec<String>,
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
