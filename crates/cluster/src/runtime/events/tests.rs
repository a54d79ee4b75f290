//! Batches that wait, that are refused, that are left behind; and rows, held against the requests they are of. The outlet of
//! these tests can be shut.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard};

use metrics::{ErrorKind, Exchange, Outcome, Recorder, Times, tap};
use plan::{StageId, StepId};
use transport::{Connect, Start, Topic, memory};

use super::*;

/// An outlet that can be shut, and that keeps what it takes.
#[derive(Clone, Default)]
struct Taker {
    is_shut: Arc<AtomicBool>,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Default)]
struct Inside {
    taken: Vec<EventBatch>,
    /// Fates that were not told yet.
    fates: VecDeque<Fate>,
    /// Batches of which nobody will know whether they arrived, until they are sent again.
    forgets: usize,
    is_silent: bool,
}

impl Taker {
    fn shut(&self, is_shut: bool) {
        self.is_shut.store(is_shut, Ordering::SeqCst);
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }

    fn numbers(&self) -> Vec<u64> {
        self.inside().taken.iter().map(|batch| batch.number).collect()
    }
}

impl Outlet for Taker {
    fn send(&mut self, batch: &EventBatch) -> Result<(), Refused> {
        if self.is_shut.load(Ordering::SeqCst) {
            return Err(Refused::Full);
        }
        let mut inside = self.inside();
        if inside.forgets > 0 {
            inside.forgets -= 1;
            inside.fates.push_back(Fate::Unknown(outlet::identity(batch)));
            return Ok(());
        }
        inside.taken.push(batch.clone());
        inside.fates.push_back(Fate::Arrived(outlet::identity(batch)));
        Ok(())
    }

    fn next(&mut self, wait: Duration) -> Option<Fate> {
        let fate = {
            let mut inside = self.inside();
            if inside.is_silent { None } else { inside.fates.pop_front() }
        };
        if fate.is_none() {
            std::thread::sleep(wait);
        }
        fate
    }
}

const INCARNATION: Uuid = Uuid::from_u128(7);

/// A batch of ten rows and so many bytes.
fn batch(number: u64, bytes: usize) -> EventBatch {
    EventBatch {
        test_id: "run".to_owned(),
        node_id: "d1".to_owned(),
        incarnation: INCARNATION,
        epoch: 17,
        number,
        rows: 10,
        bytes: vec![b'x'; bytes],
    }
}

/// An outbox whose memory holds three batches of 1,000 bytes.
fn outbox(folder: &Path, max_bytes: u64) -> Outbox {
    Outbox::with_memory(Some(Spill::open(folder, max_bytes).unwrap()), 3_000)
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().filter(|entry| entry.as_ref().unwrap().file_name() != "lock").count()
}

#[test]
fn what_is_refused_for_a_while_comes_whole_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = outbox(folder.path(), 1 << 20);
    let mut taker = Taker::default();
    taker.shut(true);
    for number in 0..10 {
        assert_eq!(outbox.offer(batch(number, 1_000)), 0);
        outbox.pump(&mut taker);
    }
    assert_eq!(files(folder.path()), 7, "three are in memory");
    taker.shut(false);
    // What comes now may not overtake those in the folder.
    assert_eq!(outbox.offer(batch(10, 1_000)), 0);
    outbox.pump(&mut taker);
    outbox.pump(&mut taker);
    assert_eq!(taker.numbers(), (0..11).collect::<Vec<_>>());
    assert_eq!(taker.inside().taken[5], batch(5, 1_000));
    assert!(outbox.is_empty());
    assert_eq!(files(folder.path()), 0, "what has arrived needs no file");
    assert_eq!(outbox.offer(batch(11, 1_000)), 0);
    assert_eq!(files(folder.path()), 0, "memory is free again");
}

#[test]
fn beyond_the_bounds_the_newest_are_given_up() {
    let folder = tempfile::tempdir().unwrap();
    // A file has some 60 bytes more than its batch.
    let mut outbox = outbox(folder.path(), 2_200);
    let mut taker = Taker::default();
    taker.shut(true);
    let given_up: Vec<u32> = (0..7).map(|number| outbox.offer(batch(number, 1_000))).collect();
    assert_eq!(given_up, [0, 0, 0, 0, 0, 10, 10]);
    taker.shut(false);
    outbox.pump(&mut taker);
    outbox.pump(&mut taker);
    assert_eq!(taker.numbers(), [0, 1, 2, 3, 4]);
    assert_eq!(outbox.offer(batch(7, 1_000)), 0);
}

#[test]
fn without_a_folder_memory_is_the_bound() {
    let mut outbox = Outbox::with_memory(None, 3_000);
    let given_up: Vec<u32> = (0..5).map(|number| outbox.offer(batch(number, 1_000))).collect();
    assert_eq!(given_up, [0, 0, 0, 10, 10]);
    assert_eq!(outbox.close(), 30, "they are lost with the process");
}

#[test]
fn what_nobody_knows_of_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = outbox(folder.path(), 1 << 20);
    let mut taker = Taker::default();
    taker.inside().forgets = 4;
    (0..5).for_each(|number| assert_eq!(outbox.offer(batch(number, 1_000)), 0));
    outbox.pump(&mut taker);
    assert_eq!(taker.numbers(), [4]);
    outbox.pump(&mut taker);
    outbox.pump(&mut taker);
    assert_eq!(taker.numbers(), [4, 0, 1, 2, 3]);
    assert_eq!(taker.inside().taken[4], batch(3, 1_000), "read from the folder again");
    assert!(outbox.is_empty() && files(folder.path()) == 0);
}

#[test]
fn what_is_left_is_sent_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut taker = Taker::default();
    taker.shut(true);
    let mut before = outbox(folder.path(), 1 << 20);
    (0..5).for_each(|number| assert_eq!(before.offer(batch(number, 1_000)), 0));
    before.pump(&mut taker);
    assert!(matches!(Spill::open(folder.path(), 1), Err(SpillError::InUse { .. })));
    assert_eq!(before.close(), 0, "what was in memory is in the folder now");
    drop(before);
    // As a crash in the midst of writing leaves them.
    fs::write(folder.path().join("half.part"), "x").unwrap();
    let cut = folder.path().join(format!("{INCARNATION}-{:020}.events", 9));
    fs::write(&cut, "{\"test_id\":\"r\",\"node_id\":\"d\",\"epoch\":1,\"rows\":1,\"bytes\":9}\nshort")
        .unwrap();
    fs::write(folder.path().join("of-somebody-else.txt"), "x").unwrap();

    let mut after = outbox(folder.path(), 1 << 20);
    assert!(!after.is_empty());
    assert_eq!(after.offer(batch(20, 1_000)), 0);
    taker.shut(false);
    after.pump(&mut taker);
    after.pump(&mut taker);
    assert_eq!(taker.numbers(), [0, 1, 2, 3, 4, 20]);
    assert_eq!(taker.inside().taken[4], batch(4, 1_000));
    assert_eq!(files(folder.path()), 1, "what is not ours stays");
}

#[test]
fn a_disk_that_refuses_costs_batches_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = outbox(&folder.path().join("spill"), 1 << 20);
    (0..3).for_each(|number| assert_eq!(outbox.offer(batch(number, 1_000)), 0));
    fs::remove_dir_all(folder.path().join("spill")).unwrap();
    assert_eq!(outbox.offer(batch(3, 1_000)), 10);
    fs::create_dir(folder.path().join("spill")).unwrap();
    assert_eq!(outbox.offer(batch(4, 1_000)), 0, "there is room again");
    let mut taker = Taker::default();
    outbox.pump(&mut taker);
    assert_eq!(taker.numbers(), [0, 1, 2, 4]);
}

/// A plan of two steps, whose names a batch has once.
fn two_steps() -> Arc<Plan> {
    let text = "version: 1\nname: p\ntarget: http://h\nevents: all\n\
                load: { model: open, stages: [{ name: up, at: 1/s, for: 1s }, { name: hold, at: 1/s, for: 9s }] }\n\
                scenarios: { s: { steps: [{ get: /a }, { get: /b }] } }\n";
    Arc::new(plan::parse("p", text).unwrap())
}

/// The `number`th of some requests, each different.
fn request(number: u64) -> (StepId, StageId, Times, Outcome, Exchange) {
    let intended = number * 1_000_300;
    let times = Times {
        intended,
        usable: intended + 4_000,
        sent: intended + 9_400,
        done: intended + 1_000_000 + number,
    };
    let (outcome, status) = match number % 10 {
        0 => (Outcome::Failed(ErrorKind::Status, 503), 503),
        1 => (Outcome::check(plan::CheckKind::Body), 200),
        2 => (Outcome::Failed(ErrorKind::Cancelled, 0), 0),
        _ => (Outcome::Success(201), 201),
    };
    let even = u16::from(number.is_multiple_of(2));
    let exchange = Exchange { status, bytes_in: 300 + number, bytes_out: 50 };
    (StepId(even), StageId(u16::from(number > 500)), times, outcome, exchange)
}

/// The thread, and a run of [`two_steps`] for it with rings for so many samples.
fn prepared(taker: &Taker, rooms: &[usize]) -> (Events, Vec<Recorder>, Begin) {
    let events = Events::start("d1".to_owned(), Box::new(taker.clone()), None).unwrap();
    let plan = two_steps();
    let taps = rooms.iter().zip(0..).map(|(room, seed)| tap(plan.events, seed, *room).unwrap());
    let (recorders, samples) =
        taps.map(|(tap, samples)| (Recorder::new(2, 2, 0).with_tap(Some(tap)), samples)).unzip();
    let began = BrokerTime::from_unix_ms(1_700_000_000_000);
    let begin =
        Begin { test_id: "run".to_owned(), plan, incarnation: INCARNATION, epoch: 17, began, samples };
    (events, recorders, begin)
}

fn ended(events: &Events) -> EventCounts {
    events.end();
    loop {
        if let Some(counts) = events.counts() {
            return counts.unwrap();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn rows(taker: &Taker) -> Vec<::events::Batch> {
    let decode = |batch: &EventBatch| ::events::Batch {
        run_id: batch.test_id.clone(),
        worker_id: batch.node_id.clone(),
        identity: Some(outlet::identity(batch)),
        rows: ::events::decode(batch.bytes.clone()).unwrap(),
    };
    taker.inside().taken.iter().map(decode).collect()
}

#[test]
fn a_row_says_what_its_request_was() {
    let taker = Taker::default();
    let (events, mut recorders, begin) = prepared(&taker, &[1 << 15]);
    events.begin(begin);
    for (step, stage, times, outcome, exchange) in (0..20_000).map(request) {
        recorders[0].done(step, stage, &times, outcome, exchange);
    }
    let refused = Outcome::Failed(ErrorKind::ConnectRefused, 0);
    let times = Times { intended: 5_000, usable: 9_000, sent: 9_000, done: 9_000 };
    recorders[0].failed_unsent(StepId(0), StageId(0), &times, refused);
    assert_eq!(ended(&events), EventCounts { produced: 20_001, dropped: 0 });
    drop(events);
    let batches = rows(&taker);
    assert!(batches.iter().all(|batch| batch.run_id == "run" && batch.worker_id == "d1"));
    assert!(batches.iter().all(|batch| (1..=batcher::ROWS_MAX).contains(&batch.len())));
    assert!(taker.inside().taken.iter().all(|batch| batch.bytes.len() <= 512 << 10));
    let columns: Vec<_> = batches.iter().map(|batch| (batch.columns().unwrap(), batch.len())).collect();
    let rows: Vec<_> =
        columns.iter().flat_map(|(columns, len)| (0..*len).map(|at| columns.row(at))).collect();
    assert_eq!(rows.len(), 20_001);
    let errors: BTreeMap<Option<&str>, usize> = rows.iter().fold(BTreeMap::new(), |mut counts, row| {
        *counts.entry(row.error).or_default() += 1;
        counts
    });
    let expected = [
        (None, 14_000),
        (Some("cancelled"), 2_000),
        (Some("check: body"), 2_000),
        (Some("connect_refused"), 1),
        (Some("status: 503"), 2_000),
    ];
    assert_eq!(errors, BTreeMap::from(expected));
    for (number, row) in (0..).zip(&rows[..20_000]) {
        let (_, _, times, _, exchange) = request(number);
        let us = |ns: u64| i64::try_from((ns + 500) / 1000).unwrap();
        let expected = ::events::Row {
            timestamp_us: 1_700_000_000_000_000 + us(times.done),
            endpoint: if number.is_multiple_of(2) { "GET /b" } else { "GET /a" },
            stage: Some(if number > 500 { "hold" } else { "up" }),
            status_code: Some(exchange.status).filter(|status| *status > 0),
            response_time_us: us(times.done - times.intended),
            service_time_us: Some(us(times.done - times.sent)),
            send_lag_us: Some(5),
            connection_wait_us: Some(4),
            bytes_in: Some(300 + number),
            bytes_out: Some(50),
            error: row.error,
        };
        assert_eq!(*row, expected, "{number}");
    }
    let unsent = rows[20_000];
    assert_eq!((unsent.response_time_us, unsent.error), (4, Some("connect_refused")));
    assert_eq!((unsent.service_time_us, unsent.send_lag_us, unsent.connection_wait_us), (None, None, None));
}

#[test]
fn what_is_asked_for_is_stored_or_dropped() {
    let taker = Taker::default();
    let (events, mut recorders, begin) = prepared(&taker, &[16, 1 << 16]);
    // Nobody takes anything yet, and one of the rings is too small for that.
    for number in 0..60_000 {
        let (step, stage, times, outcome, exchange) = request(number);
        recorders[usize::from(number % 3 > 0)].done(step, stage, &times, outcome, exchange);
    }
    events.begin(begin);
    assert_eq!(ended(&events), EventCounts { produced: 60_000, dropped: 20_000 - 16 });
    assert_eq!(events.dropped(), 20_000 - 16);
    drop(events);
    let stored: usize = rows(&taker).iter().map(::events::Batch::len).sum();
    assert_eq!(stored, 40_016);
    assert_eq!(taker.numbers(), [0, 1, 2, 3, 4]);
}

#[test]
fn batches_are_numbered_on_from_run_to_run() {
    let taker = Taker::default();
    taker.shut(true);
    let (events, mut recorders, begin) = prepared(&taker, &[64]);
    events.begin(begin);
    let one = |recorder: &mut Recorder| {
        let (step, stage, times, outcome, exchange) = request(3);
        recorder.done(step, stage, &times, outcome, exchange);
    };
    one(&mut recorders[0]);
    assert_eq!(ended(&events).produced, 1);
    let (other, mut recorders, begin) = prepared(&taker, &[64]);
    drop(other);
    events.begin(Begin { test_id: "next".to_owned(), ..begin });
    one(&mut recorders[0]);
    assert_eq!(ended(&events).produced, 1);
    taker.shut(false);
    drop(events);
    let taken: Vec<(String, u64)> =
        taker.inside().taken.iter().map(|batch| (batch.test_id.clone(), batch.number)).collect();
    assert_eq!(taken, [("run".to_owned(), 0), ("next".to_owned(), 1)], "though the first run was over");
}

#[test]
fn the_log_takes_as_much_as_it_has_room_for() {
    let broker = memory::Broker::new();
    let node = |node: &str, subscriptions| broker.node(Connect { node: node.to_owned(), subscriptions });
    let mut collector = node("collector", vec![(Topic::Events, Start::Beginning)]);
    let mut log = Log::new(node("d1", Vec::new()));
    let large = |number| batch(number, 512 << 10);
    let taken = (0..1_000).take_while(|number| log.send(&large(*number)).is_ok()).count() as u64;
    assert!((1..1_000).contains(&taken), "{taken}");
    assert_eq!(log.send(&large(taken)), Err(Refused::Full));
    let identity = |number| ::events::Identity { incarnation: INCARNATION, number };
    for number in 0..taken {
        assert_eq!(log.next(Duration::ZERO), Some(Fate::Arrived(identity(number))));
    }
    assert_eq!(log.next(Duration::ZERO), None);
    let Some(transport::Event::Record(record)) = collector.next(Duration::from_secs(1)) else {
        panic!("nothing is in the log")
    };
    assert_eq!(record.message, Ok(transport::Message::Events(large(0))));
    while collector.next(Duration::ZERO).is_some() {}
    assert_eq!(log.send(&large(taken)), Ok(()), "what was read has made room");
}
