//! The thread `engine-merge`: workers' windows become one window of the driver per second.
//!
//! Invariant: nothing that was measured is lost on the way, and nobody who measures waits. When the consumer of events
//! does not read, windows are merged into one that spans more seconds, in memory that does not grow with their number.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use clock::Instant;
use crossbeam_channel::{Receiver, Sender, TrySendError};
use metrics::{DriverWindow, Pages, Totals};

use crate::host::Host;
use crate::mailbox::{Command, Mailbox};
use crate::running::Event;

/// Reports of a pause that are so close together are of one pause, in which several threads did not run.
const SAME_PAUSE: Duration = Duration::from_millis(500);

/// Workers come first; still enough for a few tens of milliseconds per second on a core that they fill.
const MERGE_NICENESS: i32 = 5;

/// What a worker tells.
#[derive(Debug)]
pub(crate) enum Report {
    Window {
        thread: usize,
        pages: Box<Pages>,
    },
    Paused {
        for_ms: u64,
    },
    LeaseEnded,
    /// The worker's last word.
    Done {
        thread: usize,
        pages: Box<Pages>,
        totals: Totals,
    },
    /// Its last word when it could not go on.
    Died {
        thread: usize,
        what: String,
    },
}

/// One worker as seen from here.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) mailbox: Arc<Mailbox>,
    /// Takes drained pages back to it.
    pub(crate) spare: Sender<Box<Pages>>,
}

struct Thread {
    lane: Lane,
    /// What it handed over and was not merged yet.
    windows: VecDeque<DriverWindow>,
    /// The first run second it may still hand over.
    passed_s: u32,
    is_over: bool,
}

/// Merges what the workers report until the last of them is done.
pub(crate) struct Merger {
    threads: Vec<Thread>,
    reports: Receiver<Report>,
    events: Sender<Event>,
    host: Host,
    /// The first second that was not merged yet.
    merged_s: u32,
    /// The window that the consumer has not taken.
    kept: Option<DriverWindow>,
    /// Other events that it has not taken: each kind at most once.
    notices: VecDeque<Event>,
    /// When a pause was last told of: all threads report the same one.
    paused_at: Option<Instant>,
    is_lease_over: bool,
    counted: Totals,
    reported: Totals,
    is_complete: bool,
}

impl Merger {
    pub(crate) fn new(lanes: Vec<Lane>, reports: Receiver<Report>, events: Sender<Event>) -> Self {
        let thread = |lane| Thread { lane, windows: VecDeque::new(), passed_s: 0, is_over: false };
        Self {
            threads: lanes.into_iter().map(thread).collect(),
            reports,
            events,
            host: Host::new(),
            merged_s: 0,
            kept: None,
            notices: VecDeque::new(),
            paused_at: None,
            is_lease_over: false,
            counted: Totals::default(),
            reported: Totals::default(),
            is_complete: true,
        }
    }

    pub(crate) fn run(mut self) {
        // Where cores are few, merging five hundred steps must not hold up a worker.
        if let Err(error) = rustix::process::nice(MERGE_NICENESS) {
            tracing::debug!(%error, "cannot lower the priority of merging");
        }
        while self.threads.iter().any(|thread| !thread.is_over) {
            let Ok(report) = self.reports.recv() else { break };
            self.take(report);
            self.merge();
            self.offer();
        }
        self.finish();
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Window { thread, mut pages } => {
                let window = pages.drain();
                let thread = &mut self.threads[thread];
                thread.passed_s = window.to_s;
                thread.windows.push_back(window);
                if thread.lane.spare.try_send(pages).is_err() {
                    tracing::debug!("pages of a worker that is gone");
                }
            }
            Report::Done { thread, mut pages, totals } => {
                self.threads[thread].windows.push_back(pages.drain());
                self.threads[thread].is_over = true;
                self.reported.merge(&totals);
            }
            Report::Died { thread, what } => {
                tracing::error!(thread, what, "engine thread died, run ends");
                self.threads[thread].is_over = true;
                self.is_complete = false;
                self.threads.iter().for_each(|thread| thread.lane.mailbox.send(Command::Abort));
                self.notice(Event::Died(what));
            }
            Report::Paused { for_ms } => {
                let now = clock::now();
                if self.paused_at.is_none_or(|at| now.since(at) >= SAME_PAUSE) {
                    self.paused_at = Some(now);
                    self.notice(Event::Paused { for_ms });
                }
            }
            Report::LeaseEnded if self.is_lease_over => {}
            Report::LeaseEnded => {
                self.is_lease_over = true;
                self.notice(Event::LeaseEnded);
            }
        }
    }

    /// Keeps an event to be handed over; one of its kind is enough.
    fn notice(&mut self, event: Event) {
        let kind = std::mem::discriminant(&event);
        self.notices.retain(|held| std::mem::discriminant(held) != kind);
        self.notices.push_back(event);
    }

    /// Merges the seconds that all threads have passed.
    fn merge(&mut self) {
        let running = self.threads.iter().filter(|thread| !thread.is_over);
        let last = |thread: &Thread| thread.windows.back().map_or(0, |window| window.to_s);
        let passed_s = running.map(|thread| thread.passed_s).min();
        let passed_s = passed_s.unwrap_or_else(|| self.threads.iter().map(last).max().unwrap_or(0));
        while let Some(to_s) = self.next_end(passed_s) {
            let mut merged = DriverWindow { from_s: self.merged_s, to_s, ..DriverWindow::default() };
            for thread in &mut self.threads {
                while let Some(window) = thread.windows.pop_front_if(|window| window.to_s <= to_s) {
                    merged.merge(window);
                }
            }
            self.merged_s = to_s;
            self.complete(merged);
        }
    }

    /// The next second, up to `passed_s`, in which no thread's window is open: usually the one after the last.
    fn next_end(&self, passed_s: u32) -> Option<u32> {
        let mut end_s = self.merged_s + 1;
        let windows = || self.threads.iter().flat_map(|thread| &thread.windows);
        while let Some(across) = windows().find(|window| window.from_s < end_s && window.to_s > end_s) {
            end_s = across.to_s;
        }
        (end_s <= passed_s).then_some(end_s)
    }

    fn complete(&mut self, mut window: DriverWindow) {
        self.host.sample(&mut window.gauges);
        window.judge();
        tracing::debug!(second = window.from_s, gauges = ?window.gauges, "window");
        self.counted.add(&window);
        match &mut self.kept {
            Some(kept) => kept.merge(window),
            None => self.kept = Some(window),
        }
    }

    /// Hands over what is there, as far as the consumer takes it.
    fn offer(&mut self) {
        while let Some(event) = self.notices.pop_front() {
            if let Err(TrySendError::Full(event)) = self.events.try_send(event) {
                self.notices.push_front(event);
                return;
            }
        }
        let Some(window) = self.kept.take() else { return };
        match self.events.try_send(Event::Window(Box::new(window))) {
            Ok(()) => self.counted.windows += 1,
            Err(TrySendError::Full(Event::Window(window))) => self.kept = Some(*window),
            Err(_) => {}
        }
    }

    /// Hands over the rest. The workers are done: now the consumer may be waited for.
    fn finish(mut self) {
        self.merge();
        let mut last: Vec<Event> = self.notices.drain(..).collect();
        if let Some(window) = self.kept.take() {
            self.counted.windows += 1;
            last.push(Event::Window(Box::new(window)));
        }
        self.reported.windows = self.counted.windows;
        if self.is_complete && self.reported != self.counted {
            tracing::error!(reported = ?self.reported, counted = ?self.counted, "windows and totals differ");
        }
        let totals = if self.is_complete { self.reported } else { self.counted };
        last.push(Event::Finished(Box::new(totals)));
        for event in last {
            if self.events.send(event).is_err() {
                tracing::debug!("nobody takes the last events");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;
    use metrics::Recorder;
    use plan::StageId;

    use super::*;

    /// A merger of `threads` workers, whose consumer has room for `room` events.
    struct Bench {
        recorders: Vec<Recorder>,
        merger: Merger,
        events: Receiver<Event>,
    }

    impl Bench {
        fn new(threads: usize, room: usize) -> Self {
            let lane = |_| Lane {
                mailbox: Arc::new(Mailbox::new(Arc::new(
                    rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK).unwrap(),
                ))),
                spare: bounded(1).0,
            };
            let ((_, reports), (events, receiver)) = (bounded(1), bounded(room));
            let merger = Merger::new((0..threads).map(lane).collect(), reports, events);
            Self {
                recorders: (0..threads).map(|_| Recorder::new(1, 1, 0)).collect(),
                merger,
                events: receiver,
            }
        }

        /// `thread` had so many iterations due until `to_s`.
        fn passes(&mut self, thread: usize, to_s: u32, due: u64) {
            let recorder = &mut self.recorders[thread];
            (0..due).for_each(|_| recorder.due(StageId(0)));
            let pages = recorder.cut(to_s, metrics::Gauges::default(), Pages::new(1, 1));
            self.merger.take(Report::Window { thread, pages });
            self.merger.merge();
            self.merger.offer();
        }

        /// Spans and due iterations of the windows that can be read.
        fn told(&self) -> Vec<(u32, u32, u64)> {
            let window = |event| match event {
                Event::Window(window) => {
                    (window.from_s, window.to_s, window.stages.iter().map(|stage| stage.due).sum())
                }
                event => panic!("{event:?}"),
            };
            self.events.try_iter().map(window).collect()
        }
    }

    #[test]
    fn a_second_is_told_once_all_threads_passed_it() {
        let mut bench = Bench::new(2, 10);
        bench.passes(0, 1, 3);
        bench.passes(0, 2, 4);
        assert_eq!(bench.told(), []);
        bench.passes(1, 1, 10);
        assert_eq!(bench.told(), [(0, 1, 13)]);
        bench.passes(1, 2, 0);
        assert_eq!(bench.told(), [(1, 2, 4)]);
    }

    #[test]
    fn a_window_of_several_seconds_takes_the_others_along() {
        let mut bench = Bench::new(2, 10);
        bench.passes(0, 1, 1);
        bench.passes(0, 4, 2);
        bench.passes(1, 1, 3);
        bench.passes(1, 2, 4);
        bench.passes(1, 3, 5);
        assert_eq!(bench.told(), [(0, 1, 4)]);
        bench.passes(1, 4, 6);
        bench.passes(1, 5, 7);
        assert_eq!(bench.told(), [(1, 4, 17)]);
        bench.passes(0, 5, 0);
        assert_eq!(bench.told(), [(4, 5, 7)]);
    }

    #[test]
    fn nothing_is_lost_when_nobody_reads() {
        let mut bench = Bench::new(1, 2);
        for second in 1..=100 {
            bench.passes(0, second, 1);
        }
        assert_eq!(bench.told(), [(0, 1, 1), (1, 2, 1)]);
        bench.passes(0, 101, 1);
        assert_eq!(bench.told(), [(2, 101, 99)]);
        assert_eq!(bench.merger.counted.windows, 3);
    }
}
