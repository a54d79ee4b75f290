//! A run under way: what it tells, and what it can be told.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use clock::Instant;
use crossbeam_channel::Receiver;
use metrics::{DriverWindow, Samples, Totals};
use plan::{LaneSet, Rate};

use crate::mailbox::{Command, Mailbox};
use crate::source::Timetable;
use crate::worker;

/// What a run tells. Windows come once per second and in order.
#[derive(Debug)]
pub enum Event {
    /// All threads' measurements of a second; of several when they were not read in time.
    Window(Box<DriverWindow>),
    /// The pacer did not run for so long. It sends nothing until [`Running::release`], or for a second.
    Paused {
        /// Milliseconds.
        for_ms: u64,
    },
    /// The lease ended, and with it the run.
    LeaseEnded,
    /// The last event: the totals of all windows.
    Finished(Box<Totals>),
    /// A thread ended that should not have; the others are aborted, and [`Event::Finished`] follows.
    Died(String),
}

/// The threads of one workload, which follow those of the workload before.
#[derive(Debug)]
pub(crate) struct Crew {
    pub(crate) threads: usize,
    /// The latest timetable, changes that are not in force yet included.
    pub(crate) timetable: Option<Timetable>,
}

/// A run under way. Dropping it aborts the run.
#[derive(Debug)]
pub struct Running {
    pub(crate) mailboxes: Vec<Arc<Mailbox>>,
    pub(crate) events: Receiver<Event>,
    pub(crate) threads: Vec<JoinHandle<()>>,
    pub(crate) samples: Vec<Samples>,
    pub(crate) is_open: bool,
    pub(crate) limit: Option<Rate>,
    pub(crate) crews: Mutex<Vec<Crew>>,
    /// Of the shares.
    pub(crate) version: AtomicU32,
}

impl Running {
    /// Where events come. The channel is bounded, and the engine does not wait for whoever reads it.
    pub fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    /// Where the requests come that the plan asks raw events of, from each thread by its own way; none where it asks for none,
    /// and when they were taken before. Whoever takes them late, or never, loses what found no room: it is counted there.
    pub fn take_samples(&mut self) -> Vec<Samples> {
        std::mem::take(&mut self.samples)
    }

    /// Sending is allowed until then, and no longer.
    pub fn set_lease(&self, until: Instant) {
        let until_boot_ns = worker::boot_ns(until);
        self.mailboxes.iter().for_each(|mailbox| mailbox.set_lease(until_boot_ns));
    }

    /// Sends `lanes` from the run time `from_ns` on. A version that is not newer than the last one is ignored, as is any
    /// for models that are per driver.
    pub fn change_lanes(&self, version: u32, from_ns: u64, lanes: LaneSet) {
        if !self.is_open || self.version.fetch_max(version, Ordering::Relaxed) >= version {
            return;
        }
        self.each_crew(|crew, mailboxes| {
            for (thread, mailbox) in mailboxes.iter().enumerate() {
                mailbox.send(Command::Lanes { from_ns, lanes: lanes.of_thread(thread, crew.threads) });
            }
        });
    }

    /// Puts `factor` on the plan's rate or users, or on the limit of a model that is per driver, from the run time `from_ns` on.
    /// Changes nothing in a model that has neither.
    pub fn change_rate(&self, from_ns: u64, factor: f64) {
        self.each_crew(|crew, mailboxes| {
            if let Some(timetable) = &mut crew.timetable
                && (self.is_open || self.limit.is_some())
            {
                *timetable = timetable.scaled_from(from_ns, factor);
                let command = Command::Timetable { from_ns, timetable: timetable.clone() };
                mailboxes.iter().for_each(|mailbox| mailbox.send(command.clone()));
            }
        });
        let scaled = |limit: Rate| Rate::new((limit.per_second() * factor).max(plan::limits::RATE_PER_S_MIN));
        if let Some(rate) = self.limit.and_then(scaled) {
            self.tell(&Command::Limit { from_ns, rate });
        }
    }

    /// Starts no further iterations; those under way may finish within the plan's drain.
    pub fn stop(&self) {
        self.tell(&Command::Stop);
    }

    /// Closes all connections now; what is in flight counts as cancelled.
    pub fn abort(&self) {
        self.tell(&Command::Abort);
    }

    /// Sends again after [`Event::Paused`]: the owner has read all that it was to be told meanwhile.
    pub fn release(&self) {
        self.tell(&Command::Release);
    }

    /// Requests sent so far, as of the threads' last turns.
    pub fn requests_sent(&self) -> u64 {
        self.mailboxes.iter().map(|mailbox| mailbox.sent()).sum()
    }

    /// Waits for the threads' end. Events that were not read are lost; read until [`Event::Finished`] first.
    pub fn join(mut self) {
        self.end();
    }

    /// With the threads of each workload.
    fn each_crew(&self, mut with: impl FnMut(&mut Crew, &[Arc<Mailbox>])) {
        let mut crews = self.crews.lock().unwrap_or_else(PoisonError::into_inner);
        let mut mailboxes = self.mailboxes.as_slice();
        for crew in crews.iter_mut() {
            let (own, rest) = mailboxes.split_at(crew.threads.min(mailboxes.len()));
            with(crew, own);
            mailboxes = rest;
        }
    }

    fn tell(&self, command: &Command) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.send(command.clone()));
    }

    fn end(&mut self) {
        // Whoever waits for a reader learns that there is none.
        self.events = crossbeam_channel::never();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("engine thread panicked");
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.abort();
            self.end();
        }
    }
}
