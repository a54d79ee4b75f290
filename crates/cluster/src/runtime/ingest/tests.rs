//! The ingest over the log in memory, into a store that can be told to fail.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;

use events::{Builder, Row};
use store::{Claimed, Stored};
use transport::{Uuid, memory};

use super::*;

/// A store in memory with one partition, and the faults that a real one has.
#[derive(Default)]
struct Kept {
    batches: BTreeSet<u64>,
    position: Option<i64>,
    rows: u64,
    aside: Vec<Poison>,
    calls: u32,
    /// Calls, counted from one, that fail before anything is stored, that fail after, and at which the position was lost.
    refused: Vec<u32>,
    unsaid: Vec<u32>,
    lost: Vec<u32>,
    /// The next claim fails.
    is_away: bool,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Kept>>);

impl Shared {
    fn look<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }
}

fn moved() -> Error {
    Error::Moved { topic: "t".to_owned(), partition: 0, found: None, expected: None }
}

fn full() -> Error {
    Error::Full { path: "disk".into() }
}

impl EventStore for Shared {
    fn claim(&mut self, _topic: &str, _partitions: i32) -> Result<Vec<Claimed>, Error> {
        if self.look(|kept| std::mem::take(&mut kept.is_away)) {
            return Err(full());
        }
        Ok(vec![Claimed { partition: 0, next_offset: self.look(|kept| kept.position) }])
    }

    fn meet(&mut self, _topic: &str, own: &Peer) -> Result<Vec<Peer>, Error> {
        Ok(vec![Peer { name: format!("another than {}", own.name), ..own.clone() }])
    }

    fn portion(&self) -> Portion {
        Portion { rows: 100, wait: Duration::from_millis(20) }
    }

    fn store(&mut self, spans: &[Span], batches: &[Batch]) -> Result<Stored, Error> {
        self.look(|kept| {
            kept.calls += 1;
            if kept.refused.contains(&kept.calls) {
                return Err(full());
            }
            if kept.lost.contains(&kept.calls) {
                kept.position = None;
            }
            for span in spans {
                if span.from != kept.position {
                    return Err(moved());
                }
                kept.position = Some(span.next_offset);
            }
            let mut stored = Stored::default();
            for batch in batches {
                let rows = u64::try_from(batch.len()).unwrap();
                let is_new = kept.batches.insert(batch.identity.unwrap().number);
                *(if is_new { &mut stored.rows } else { &mut stored.duplicates }) += rows;
            }
            kept.rows += stored.rows;
            if kept.unsaid.contains(&kept.calls) { Err(full()) } else { Ok(stored) }
        })
    }

    fn store_loose(&mut self, batches: &[Batch]) -> Result<Stored, Error> {
        self.store(&[], batches)
    }

    fn set_aside(&mut self, span: &Span, poison: &Poison) -> Result<(), Error> {
        self.look(|kept| {
            if span.from != kept.position {
                return Err(moved());
            }
            kept.position = Some(span.next_offset);
            kept.aside.push(poison.clone());
            Ok(())
        })
    }

    fn set_aside_loose(&mut self, _origin: &str, poison: &Poison) -> Result<(), Error> {
        self.look(|kept| kept.aside.push(poison.clone()));
        Ok(())
    }

    fn release(&mut self) {}
}

/// Ten rows.
fn batch(number: u64) -> Message {
    let mut builder = Builder::new();
    (0..10).for_each(|_| builder.push(&Row { endpoint: "GET /", ..Row::default() }).unwrap());
    Message::Events(EventBatch {
        test_id: "run".to_owned(),
        node_id: "d1".to_owned(),
        incarnation: Uuid::from_u128(1),
        epoch: 0,
        number,
        rows: 10,
        bytes: events::encode(&builder.finish()).unwrap(),
    })
}

/// Ingests batches into `store` until it has them, by a log that lasts or not; what was shown last.
fn ingest(store: &Shared, messages: &[Message], lasting: bool) -> Ingest {
    let broker = memory::Broker::new();
    let mut writer = broker.node(Connect { node: "d1".to_owned(), subscriptions: Vec::new() });
    // What one reader has not read stays in the log.
    let subscriptions = vec![(Topic::Events, Start::Beginning)];
    let keeper = lasting.then(|| broker.node(Connect { node: "keeper".to_owned(), subscriptions }));
    let lasting = lasting.then(|| Lasting {
        topic: "t".to_owned(),
        partitions: 1,
        begins_at_end: false,
        retention: None,
    });
    let source =
        Source { connect: Arc::new(move |connect| Ok(broker.node(connect))), is_ours: true, lasting };
    let shown = Arc::new(Mutex::new(Ingest::default()));
    let show = {
        let shown = Arc::clone(&shown);
        move |ingest: &Ingest, _: &[Peer]| *shown.lock().unwrap() = ingest.clone()
    };
    let shutdown = Arc::new(AtomicBool::new(false));
    let ingester =
        Ingester::new("c".to_owned(), Box::new(store.clone()), source, Hurry::default(), Box::new(show));
    let thread = thread::spawn({
        let shutdown = Arc::clone(&shutdown);
        move || ingester.run(&shutdown)
    });
    for message in messages {
        writer.send(message).unwrap();
        thread::sleep(Duration::from_millis(2));
    }
    let wanted =
        messages.iter().filter(|message| matches!(message, Message::Events(batch) if batch.rows == 10));
    let wanted = wanted.count();
    for _ in 0..1_000 {
        if store.look(|kept| kept.batches.len()) == wanted {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    shutdown.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    drop(keeper);
    let shown = shown.lock().unwrap();
    shown.clone()
}

#[test]
fn every_batch_is_stored_once_whatever_fails() {
    for (refused, unsaid, lost) in [
        (vec![], vec![], vec![]),
        (vec![1, 2, 5], vec![], vec![]),
        (vec![], vec![2, 4], vec![]),
        (vec![3], vec![2], vec![5, 6]),
    ] {
        let case = format!("refused {refused:?}, unsaid {unsaid:?}, lost {lost:?}");
        let store = Shared(Arc::new(Mutex::new(Kept { refused, unsaid, lost, ..Kept::default() })));
        let messages: Vec<Message> = (0..120).map(batch).collect();
        let shown = ingest(&store, &messages, true);
        store.look(|kept| assert_eq!((kept.rows, kept.position), (1200, Some(120)), "{case}"));
        assert_eq!((shown.lag_messages(), shown.fault), (0, None), "{case}");
    }
}

#[test]
fn a_log_of_this_process_needs_no_positions() {
    let store = Shared::default();
    let messages: Vec<Message> = (0..50).map(batch).collect();
    let shown = ingest(&store, &messages, false);
    store.look(|kept| assert_eq!((kept.rows, kept.position), (500, None)));
    assert_eq!(shown.rows, 500);
}

#[test]
fn what_cannot_be_understood_is_set_aside_and_the_rest_goes_on() {
    let store = Shared::default();
    let mut messages: Vec<Message> = (0..40).map(batch).collect();
    let Message::Events(mut wrong) = batch(1_000) else { panic!() };
    wrong.rows = 11;
    messages.insert(0, Message::Events(wrong.clone()));
    (wrong.bytes, wrong.rows) = (b"rubbish".to_vec(), 12);
    messages.insert(20, Message::Events(wrong));
    let Message::Events(mut nameless) = batch(1_001) else { panic!() };
    nameless.node_id = "d\0".to_owned();
    messages.insert(30, Message::Events(nameless));
    let shown = ingest(&store, &messages, true);
    store.look(|kept| {
        let aside: Vec<_> = kept.aside.iter().map(|poison| (poison.offset, poison.reason.as_str())).collect();
        assert_eq!((kept.rows, kept.position), (400, Some(43)));
        assert_eq!(aside.len(), 3);
        assert_eq!(aside[0], (0, "11 rows are told, 10 are there"));
        assert!(aside[1].0 == 20 && aside[1].1.starts_with("not a batch of events"), "{aside:?}");
        assert!(aside[2].0 == 30 && aside[2].1.contains("no name"), "{aside:?}");
    });
    assert_eq!(shown.set_aside, 3);
}

#[test]
fn who_leaves_events_to_collectors_says_how_they_stand() {
    let broker = memory::Broker::new();
    let lasting = Lasting { topic: "t".to_owned(), partitions: 1, begins_at_end: false, retention: None };
    let connect: Connector = Arc::new(move |connect| Ok(broker.node(connect)));
    let source = Source { connect, is_ours: false, lasting: Some(lasting) };
    let (board, shutdown) = (Arc::new(Board::default()), Arc::new(AtomicBool::new(false)));
    let watching = thread::spawn({
        let (board, shutdown) = (Arc::clone(&board), Arc::clone(&shutdown));
        move || watch(Box::new(Shared::default()), &source, &board, &shutdown)
    });
    while board.look(|content| content.storage.others.is_empty()) {
        thread::sleep(Duration::from_millis(5));
    }
    shutdown.store(true, Ordering::Relaxed);
    watching.join().unwrap();
    assert!(board.look(|content| content.storage.ingest.is_none()));
}

#[test]
fn a_store_that_is_back_is_no_fault_though_nothing_waits() {
    let store = Shared(Arc::new(Mutex::new(Kept { is_away: true, ..Kept::default() })));
    let broker = memory::Broker::new();
    let lasting = Lasting { topic: "t".to_owned(), partitions: 1, begins_at_end: false, retention: None };
    let connect: Connector = Arc::new(move |connect| Ok(broker.node(connect)));
    let source = Source { connect, is_ours: true, lasting: Some(lasting) };
    let (told, shown) = crossbeam_channel::bounded(8);
    let show = move |ingest: &Ingest, others: &[Peer]| {
        told.try_send((ingest.fault.is_some(), others.len())).unwrap();
    };
    let mut ingester =
        Ingester::new("c".to_owned(), Box::new(store), source, Hurry::default(), Box::new(show));
    for expected in [(true, 0), (false, 1)] {
        ingester.claim();
        ingester.show();
        assert_eq!(shown.recv().unwrap(), expected);
    }
}
