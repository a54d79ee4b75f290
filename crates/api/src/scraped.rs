//! The numbers of a collector, for Prometheus, over a listener of their own.
//!
//! Counts and lags only, and nothing can be changed, so whoever reaches the address may read them. Deliberately absent:
//! the interface and the page, which belong to the orchestrator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use axum::Router;
use axum::http::header;
use axum::routing::get;
use cluster::view::Ingest;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::prometheus::Text;
use crate::server::{Error, until_stopped};

/// What a collector has to say.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    /// Of events over Kafka.
    pub ingest: Option<Ingest>,
    /// Of events by Scribe: what happened, and how often.
    pub scribe: Vec<(&'static str, u64)>,
}

/// Serves `GET /metrics` until it is dropped.
#[derive(Debug)]
pub struct Scraped {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Binds and serves what `look` gives at each call, which must not wait for anybody.
///
/// # Errors
///
/// [`Error::Listen`] when the port is in use.
pub fn serve_metrics(
    listen: SocketAddr,
    look: impl Fn() -> Collected + Send + Sync + 'static,
) -> Result<Scraped, Error> {
    let look = Arc::new(look);
    let metrics = move || {
        let Collected { ingest, scribe } = look();
        let mut text = Text::default();
        ingest.iter().for_each(|ingest| text.ingest(ingest, clock::unix_ms()));
        text.scribe(&scribe);
        std::future::ready(([(header::CONTENT_TYPE, Text::KIND)], text.into_string()))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Start)?;
    let bind = async {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    let bound = runtime.block_on(bind);
    let (listener, address) = bound.map_err(|source| Error::Listen { address: listen, source })?;
    let (stop, stopped) = oneshot::channel::<()>();
    let router = Router::new().route("/metrics", get(metrics));
    let serving = move || runtime.block_on(until_stopped(listener, router, stopped));
    let thread = thread::Builder::new().name("metrics".to_owned()).spawn(serving).map_err(Error::Start)?;
    Ok(Scraped { address, stop: Some(stop), thread: Some(thread) })
}

impl Scraped {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Scraped {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // An error means that serving ended before.
            stop.send(()).ok();
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that served metrics died");
        }
    }
}
