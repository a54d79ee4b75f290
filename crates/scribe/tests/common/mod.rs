//! A server with a sink that keeps what it is given and can be told to wait or to fail.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a test that fails says where; each test uses what it needs"
)]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use events::{Batch, Builder, Identity, Row};
use scribe::wire::{self, Entry, Reply, ResultCode};
use scribe::{Group, Server, SetAside, Settings, SinkError};
use uuid::Uuid;

/// What a sink was given, and what it is to do.
#[derive(Default)]
pub struct Sink {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    batches: Vec<Batch>,
    set_aside: Vec<SetAside>,
    /// Groups that were stored.
    groups: usize,
    /// A group has come and is held.
    holding: bool,
    hold: bool,
    fail: bool,
}

impl Sink {
    /// To be given to a server.
    pub fn of(self: &Arc<Self>) -> impl FnMut(&Group) -> Result<(), SinkError> + Send + 'static {
        let sink = self.clone();
        move |group| {
            let mut state = sink.state.lock().unwrap();
            state.holding = true;
            sink.changed.notify_all();
            while state.hold {
                state = sink.changed.wait(state).unwrap();
            }
            state.holding = false;
            if state.fail {
                return Err("the database is away".into());
            }
            state.groups += 1;
            state.batches.extend(group.batches.iter().cloned());
            state.set_aside.extend(group.set_aside.iter().cloned());
            Ok(())
        }
    }

    /// Lets groups wait, or go on.
    pub fn hold(&self, hold: bool) {
        self.state.lock().unwrap().hold = hold;
        self.changed.notify_all();
    }

    /// Waits until a group waits.
    pub fn wait_until_holding(&self) {
        let mut state = self.state.lock().unwrap();
        while !state.holding {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Lets groups fail, or succeed.
    pub fn fail(&self, fail: bool) {
        self.state.lock().unwrap().fail = fail;
    }

    pub fn groups(&self) -> usize {
        self.state.lock().unwrap().groups
    }

    pub fn batches(&self) -> Vec<Batch> {
        self.state.lock().unwrap().batches.clone()
    }

    pub fn set_aside(&self) -> Vec<SetAside> {
        self.state.lock().unwrap().set_aside.clone()
    }

    /// Rows by run and worker.
    pub fn rows(&self) -> BTreeMap<(String, String), usize> {
        let mut rows = BTreeMap::new();
        for batch in self.state.lock().unwrap().batches.iter() {
            *rows.entry((batch.run_id.clone(), batch.worker_id.clone())).or_default() += batch.len();
        }
        rows
    }
}

/// The usual settings, on a port that is free.
pub fn settings() -> Settings {
    Settings::new(SocketAddr::from(([127, 0, 0, 1], 0)))
}

pub fn server(settings: Settings) -> (Server, Arc<Sink>) {
    let sink = Arc::new(Sink::default());
    let server = Server::start(settings, sink.of()).unwrap();
    (server, sink)
}

/// A JSON event.
pub fn event(run: &str, worker: &str, latency_ms: usize) -> String {
    format!(
        r#"{{"timestamp": "2026-03-01T12:10:22", "test_run_id": "{run}", "worker_id": "{worker}", "endpoint": "/api/resource", "latency_ms": {latency_ms}, "status_code": 200}}"#
    )
}

/// A `Log` of messages in one category.
pub fn log(number: i32, category: &str, messages: &[String]) -> Vec<u8> {
    let entry = |message: &String| (category.as_bytes().to_vec(), message.as_bytes().to_vec());
    let entries: Vec<(Vec<u8>, Vec<u8>)> = messages.iter().map(entry).collect();
    wire::log(number, entries.iter().map(|(category, message)| Entry { category, message }))
}

/// A client that speaks by bytes.
pub struct Peer(pub TcpStream);

impl Peer {
    pub fn connect(server: &Server) -> Self {
        Self(TcpStream::connect(server.address()).unwrap())
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The next frame.
    pub fn read(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        self.0.read_exact(&mut frame).unwrap();
        frame
    }

    /// What the server says to the `Log` of this number.
    pub fn reply(&mut self, number: i32) -> Reply {
        wire::read_reply(&self.read(), number).unwrap()
    }

    pub fn log(&mut self, number: i32, category: &str, messages: &[String]) -> ResultCode {
        self.write(&log(number, category, messages));
        match self.reply(number) {
            Reply::Logged(code) => code,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the server closes, and says how many bytes came before.
    pub fn closed(&mut self) -> usize {
        let mut rest = Vec::new();
        // A connection that is closed with bytes unread is reset.
        drop(self.0.read_to_end(&mut rest));
        rest.len()
    }
}

/// A batch of a driver.
pub fn batch(number: u64, rows: usize) -> Batch {
    let mut builder = Builder::new();
    for row in 0..rows {
        let error = (row % 10 == 0).then_some("status: 503");
        let time = i64::try_from(row).unwrap();
        let row = Row {
            timestamp_us: 1_772_367_022_000_000 + time,
            endpoint: if row % 3 == 0 { "GET /" } else { "POST /cart" },
            status_code: Some(if error.is_some() { 503 } else { 200 }),
            response_time_us: 1000 + time,
            error,
            ..Row::default()
        };
        builder.push(&row).unwrap();
    }
    let identity = Some(Identity { incarnation: Uuid::from_u128(7), number });
    Batch { run_id: "run".to_owned(), worker_id: "d1".to_owned(), identity, rows: builder.finish() }
}
