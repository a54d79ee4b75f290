//! The collector's thread: reads reports from the log, merges them on the board, stores them.
//!
//! Invariant: control is told of a report only once the store has it or has refused it. What it refused is kept and tried
//! again, also after the end of the run, which is over in the store only when all of it is in; when too much is kept,
//! the log is not read further, so it waits there. Deliberately absent: the state of the run.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use clock::Instant;
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use plan::Plan;
use store::{Batch, Delivery, Identity, Store};
use transport::{Message, Metrics, Summary, Transport};

use super::locked;
use crate::board::Board;
use crate::collector::{Gathering, Taken};
use crate::orchestrator::Collected;
use crate::view::{Fault, RunState};

/// How long a turn waits for a message.
const TURN: Duration = Duration::from_millis(50);
/// Between two transactions: a second's reports of a fleet share one.
const FLUSH: Duration = Duration::from_millis(250);
/// After a failed transaction.
const RETRY: Duration = Duration::from_secs(1);
/// Reports that may wait for the store: a minute of a fleet of 64, two parts each.
const MAX_UNSTORED: usize = 7_680;

/// What control tells the collector.
pub(super) enum Order {
    /// Gather a run that is on the board.
    Begin { run_id: String, plan: Arc<Plan> },
    /// Store what is left; the run is over. Answered when it is done, or cannot be.
    End { done: Sender<()> },
}

/// What the collector tells control.
pub(super) enum News {
    Collected(Collected),
    Summarised {
        node_id: String,
        test_id: String,
        summary: Summary,
    },
    /// A threshold did not hold for the first time.
    Breached {
        text: String,
    },
    /// A threshold that is to end the run was breached; said again until the run ends.
    Crossed {
        run_id: String,
        reason: String,
    },
    /// The store fails, or, with nothing, has everything again.
    StoreFault(Option<String>),
}

pub(super) struct Collector {
    pub(super) board: Arc<Board>,
    pub(super) store: Arc<Mutex<Store>>,
    pub(super) transport: Box<dyn Transport>,
    pub(super) orders: Receiver<Order>,
    pub(super) news: Sender<News>,
    pub(super) run: Option<String>,
    /// What the store does not have yet, a batch per run, oldest first.
    pub(super) unstored: Vec<Batch>,
    pub(super) flushed: Instant,
}

impl Collector {
    /// Until control hangs up.
    pub(super) fn run(mut self) {
        let mut retry_at = self.flushed;
        loop {
            match self.orders.try_recv() {
                Ok(order) => self.obey(order),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return self.leave(),
            }
            if self.unstored_count() < MAX_UNSTORED {
                if let Some(event) = self.transport.next(TURN) {
                    self.received(event);
                }
            } else {
                std::thread::sleep(TURN);
            }
            let now = clock::now();
            if now.since(self.flushed) >= FLUSH && now >= retry_at {
                self.flushed = now;
                if !self.flush() {
                    retry_at = now + RETRY;
                }
                self.show();
            }
        }
    }

    fn unstored_count(&self) -> usize {
        self.unstored.iter().map(|batch| batch.deliveries.len()).sum()
    }

    /// A last attempt. The run of what is left counts as under way in the store, so its reports are read again.
    fn leave(mut self) {
        if !self.flush() {
            let reports = self.unstored_count();
            tracing::error!(
                reports,
                "reports are not stored; a restart on this store reads those again that are in Kafka"
            );
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Begin { run_id, plan } => self.begin(run_id, plan),
            Order::End { done } => {
                self.flush();
                self.board.change(|content| {
                    if let Some(current) = &mut content.current {
                        current.view.latest =
                            current.gathering.close_all().pop().or(current.view.latest.take());
                    }
                });
                self.run = None;
                // Control has stopped waiting when the store took too long.
                done.send(()).ok();
            }
        }
    }

    fn begin(&mut self, run_id: String, plan: Arc<Plan>) {
        let resumed = self.run.as_ref() == Some(&run_id);
        self.board.change(|content| match content.current_of(&run_id) {
            Some(current) if resumed => current.gathering.tell_all_again(),
            Some(current) => current.gathering = Gathering::new(run_id.clone(), plan),
            None => {}
        });
        self.run = Some(run_id);
    }

    fn received(&mut self, event: transport::Event) {
        match event {
            transport::Event::Record(record) => match record.message {
                Ok(Message::Metrics(report)) => self.take(report),
                Ok(_) => {}
                Err(malformed) => {
                    tracing::warn!(offset = record.offset, %malformed, "a report was not understood")
                }
            },
            transport::Event::Gap { topic, missing, .. } => {
                tracing::error!(%topic, missing, "reports were deleted before they were read");
            }
            transport::Event::Unreachable { reason } => {
                tracing::warn!(reason, "collector: no broker answers")
            }
            transport::Event::Reachable => tracing::info!("collector: a broker answers again"),
            transport::Event::Acknowledged { .. }
            | transport::Event::Undelivered { .. }
            | transport::Event::Extent { .. } => {}
        }
    }

    fn take(&mut self, report: Metrics) {
        let Some(run_id) = &self.run else { return };
        let taken = self.board.look(|content| {
            content.current_of(run_id).map_or(Taken::OtherRun, |current| current.gathering.take(&report))
        });
        match (taken, report.ours) {
            (Taken::New, Some(ours)) => self.keep(Delivery {
                node_id: report.node_id,
                identity: Identity { incarnation: ours.incarnation, seq: ours.seq, part: ours.part },
                window: ours.window,
                totals: ours.fin,
            }),
            (Taken::SummaryOnly, _) => self.tell(News::Summarised {
                node_id: report.node_id,
                test_id: report.test_id,
                summary: report.summary,
            }),
            _ => {}
        }
    }

    /// Puts a report of the current run aside for the next transaction.
    fn keep(&mut self, delivery: Delivery) {
        let Some(run_id) = &self.run else { return };
        match self.unstored.last_mut().filter(|batch| batch.run_id == *run_id) {
            Some(batch) => batch.deliveries.push(delivery),
            None => self.unstored.push(Batch {
                run_id: run_id.clone(),
                deliveries: vec![delivery],
                positions: Vec::new(),
            }),
        }
    }

    /// Stores what was taken, then tells control of it; false when the store cannot take it now. Control is told all the
    /// same: a result is no less true for a full disk.
    fn flush(&mut self) -> bool {
        let stored = self.store_waiting();
        if let Some(run_id) = &self.run {
            let changes = self.board.look(|content| {
                content.current_of(run_id).map_or_else(Vec::new, |current| current.gathering.take_changes())
            });
            changes.into_iter().for_each(|collected| self.tell(News::Collected(collected)));
        }
        stored
    }

    fn store_waiting(&mut self) -> bool {
        while let Some(batch) = self.unstored.first() {
            let stored = locked(&self.store).ingest(batch);
            if let Err(error) = stored {
                self.note_store_fault(Some(error.to_string()));
                return false;
            }
            self.unstored.remove(0);
            if self.unstored.is_empty() {
                self.note_store_fault(None);
            }
        }
        true
    }

    fn note_store_fault(&self, fault: Option<String>) {
        if self.board.results_fault() != fault {
            match &fault {
                Some(error) => {
                    tracing::error!(error, "results cannot be stored; they are kept and tried again")
                }
                None => tracing::info!("results are stored again"),
            }
            self.board.change(|content| {
                let shown = &mut content.storage.results_fault;
                *shown = fault.clone().map(|why| Fault::go_on(shown.as_ref(), why, clock::unix_ms()));
            });
            self.tell(News::StoreFault(fault));
        }
    }

    /// Shows the seconds that are complete.
    fn show(&self) {
        let Some(run_id) = &self.run else { return };
        let (is_new, breaches, crossed) = self.board.look(|content| {
            let Some(current) = content.current_of(run_id) else { return (false, Vec::new(), None) };
            let expected = current.expected();
            let latest = current.gathering.close_seconds(&expected).pop();
            let is_new = latest.is_some();
            if is_new {
                current.view.latest = latest;
                current.view.thresholds =
                    current.gathering.thresholds_so_far(current.view.was_ended_by_threshold());
            }
            // In a drain there is nothing left to end.
            let is_on = current.view.state == RunState::Running;
            (is_new, current.gathering.take_breaches(), current.gathering.crossed().filter(|_| is_on))
        });
        breaches.into_iter().for_each(|text| self.tell(News::Breached { text }));
        if let Some(reason) = crossed {
            self.tell(News::Crossed { run_id: run_id.clone(), reason });
        }
        if is_new {
            self.board.change(|_| ());
        }
    }

    fn tell(&self, news: News) {
        // Control reads this queue each turn; when it does not any more, it is ending.
        self.news.send(news).ok();
    }
}
