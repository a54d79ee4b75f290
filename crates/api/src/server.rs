//! Listening, serving, and stopping in order.
//!
//! The server has a thread of its own with its own runtime, so that nothing else in the process needs to be async.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use store::Location;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

use crate::access::{Access, is_loopback};
use crate::control::Control;
use crate::live::Hub;
use crate::routes;
use crate::state::{COMMANDS, Shared, Shelf};
use crate::tokens::{NewTokens, Tokens};

/// How long calls may take to finish once the server is told to stop.
const GRACE: Duration = Duration::from_secs(3);
/// Threads that may block: one reads the store at a time, some wait for commands, some open streams.
const BLOCKING_THREADS: usize = COMMANDS + 8;

/// Where to listen and where the data is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where results are read from.
    pub store: Location,
    /// The data folder: hashes of tokens are kept in it.
    pub data: PathBuf,
}

/// Why the server does not serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the port, or the address is not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The data folder cannot be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The tokens cannot be read or made.
    #[error("cannot read or write the tokens in {}", folder.display())]
    Tokens {
        /// The data folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system has no more threads or descriptors.
    #[error("cannot start the server")]
    Start(#[source] io::Error),
}

impl Error {
    /// Whether the address could not be taken, most often because another process has it.
    pub fn is_listen(&self) -> bool {
        matches!(self, Self::Listen { .. })
    }
}

/// A server that serves until it is stopped or dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    new_tokens: Option<NewTokens>,
    hub: Arc<Hub>,
    stop: Option<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// Binds and serves. Returns once connections are accepted.
///
/// # Errors
///
/// [`Error::Listen`] when the port is in use.
pub fn serve(settings: Settings, control: impl Control) -> Result<Server, Error> {
    let control: Arc<dyn Control> = Arc::new(control);
    let (access, new_tokens) = if is_loopback(settings.listen) {
        (Access::Local { bound: settings.listen.ip() }, None)
    } else {
        let failed = |source| Error::Tokens { folder: settings.data.clone(), source };
        let (tokens, made) = Tokens::open(&settings.data).map_err(failed)?;
        (Access::Tokens(tokens), made)
    };
    let shelf = Shelf::new(store::Reader::open(&settings.store)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("api-blocking")
        .build()
        .map_err(Error::Start)?;
    let bind = async {
        let listener = TcpListener::bind(settings.listen).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    let bound = runtime.block_on(bind);
    let (listener, address) = bound.map_err(|source| Error::Listen { address: settings.listen, source })?;

    let hub = Arc::new(Hub::new());
    let publisher = {
        let (hub, control, shelf) = (Arc::clone(&hub), Arc::clone(&control), shelf.clone());
        thread::Builder::new().name("api-live".to_owned()).spawn(move || hub.work(&*control, &shelf))
    };
    let commands = Semaphore::new(COMMANDS);
    let app = Arc::new(Shared { control, reader: shelf, hub: Arc::clone(&hub), access, commands });
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = thread::Builder::new().name("api".to_owned()).spawn(move || {
        runtime.block_on(until_stopped(listener, routes::router(app), stopped));
        runtime.shutdown_timeout(GRACE);
    });
    let mut server = Server { address, new_tokens, hub, stop: Some(stop), threads: Vec::new() };
    server.threads.push(publisher.map_err(Error::Start)?);
    server.threads.push(serving.map_err(Error::Start)?);
    tracing::info!(%address, "the API listens");
    Ok(server)
}

/// Serves until told to stop, then gives calls under way [`GRACE`] to finish.
pub(crate) async fn until_stopped(
    listener: TcpListener,
    router: axum::Router,
    stopped: oneshot::Receiver<()>,
) {
    let (closing, closed) = oneshot::channel::<()>();
    let graceful = axum::serve(listener, router).with_graceful_shutdown(async move {
        // An error means that the server was dropped without a word, which stops it too.
        stopped.await.ok();
        closing.send(()).ok();
    });
    // Both arms may be dropped at any time: connections end with their tasks.
    tokio::select! {
        served = graceful => {
            if let Err(error) = served {
                tracing::error!(%error, "the API ended");
            }
        }
        () = async { closed.await.ok(); tokio::time::sleep(GRACE).await; } => {
            tracing::warn!("connections did not end in time and are cut");
        }
    }
}

impl Server {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Tokens that were made at this start; show them, they cannot be shown again.
    pub fn new_tokens(&self) -> Option<&NewTokens> {
        self.new_tokens.as_ref()
    }

    /// Ends live streams, lets calls under way finish, and waits for both: some seconds at most.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.hub.close();
        if let Some(stop) = self.stop.take() {
            // An error means that serving ended before.
            stop.send(()).ok();
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the API died");
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
