//! How storing goes: what the page warns of, and how far raw events are behind.

use axum::Json;
use axum::extract::State;
use cluster::view::{self, Ingest, Trouble};
use serde::Serialize;
use store::Peer;

use crate::state::App;

/// Of all collectors together, with each of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Storage {
    /// The worst first; none when all is well.
    troubles: Vec<TroubleJson>,
    /// Of raw events; null where nobody is known to store any.
    events: Option<Events>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct TroubleJson {
    code: &'static str,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Events {
    lag_s: f64,
    lag_batches: i64,
    /// Batches that could not be understood, by this process.
    set_aside: u64,
    /// Batches that Kafka deleted before this process read them.
    missing: u64,
    collectors: Vec<Collector>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Collector {
    name: String,
    partitions: u32,
    rows: u64,
    lag_s: f64,
    lag_batches: i64,
}

/// Collectors that are listed, this process first: what a screen shows, and 2 KB of a live message.
const MAX_COLLECTORS: usize = 20;

/// Troubles that are told, the worst first, and characters of each.
const MAX_TROUBLES: usize = 8;
const MAX_TEXT: usize = 500;

impl Storage {
    pub(crate) fn of(storage: &view::Storage, now_ms: i64) -> Self {
        let ingest = storage.ingest.as_ref();
        let events = Events {
            lag_s: seconds(storage.lag_ms(now_ms)),
            lag_batches: storage.lag_messages(),
            set_aside: ingest.map_or(0, |ingest| ingest.set_aside),
            missing: ingest.map_or(0, |ingest| ingest.missing),
            collectors: collectors(storage, now_ms),
        };
        Self {
            troubles: storage
                .troubles(now_ms)
                .into_iter()
                .take(MAX_TROUBLES)
                .map(|Trouble { code, text }| TroubleJson {
                    code,
                    text: text.chars().take(MAX_TEXT).collect(),
                })
                .collect(),
            events: (!events.collectors.is_empty()).then_some(events),
        }
    }

    /// Collectors that are listed.
    pub(crate) fn rows(&self) -> usize {
        self.events.as_ref().map_or(0, |events| events.collectors.len())
    }
}

fn collectors(storage: &view::Storage, now_ms: i64) -> Vec<Collector> {
    let own = |ingest: &Ingest| Collector {
        name: ingest.name.clone(),
        partitions: u32::try_from(ingest.partitions.len()).unwrap_or(u32::MAX),
        rows: ingest.rows,
        lag_s: seconds(ingest.lag_ms(now_ms)),
        lag_batches: ingest.lag_messages(),
    };
    let of = |peer: &Peer| Collector {
        name: peer.name.clone(),
        partitions: peer.partitions,
        rows: peer.rows,
        lag_s: seconds(peer.lag_ms),
        lag_batches: peer.lag_batches,
    };
    storage.ingest.iter().map(own).chain(storage.others.iter().map(of)).take(MAX_COLLECTORS).collect()
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1e3
}

/// `GET /storage`
pub(crate) async fn now(State(app): State<App>) -> Json<Storage> {
    Json(Storage::of(&app.control.storage(), clock::unix_ms()))
}
