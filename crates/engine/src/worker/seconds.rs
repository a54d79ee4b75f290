//! The end of a second: what was recorded goes to the thread that merges.

use metrics::{Gauges, Pages};

use super::time::OfThread;
use super::{SECOND_NS, Worker};
use crate::merge::Report;
use crate::pool::Pool;
use crate::source::Source;

impl<S: Source> Worker<S> {
    /// Closes the seconds that are over. What is due in a second is counted there, also when it is started later.
    #[inline]
    pub(super) fn cut_seconds(&mut self) {
        while self.now_ns >= self.cut_at_ns {
            self.cut_second();
        }
    }

    #[cold]
    fn cut_second(&mut self) {
        self.make_due(self.cut_at_ns);
        self.pools.iter_mut().for_each(Pool::give_memory_back);
        let second = whole_seconds(self.cut_at_ns);
        self.cut_at_ns += SECOND_NS;
        // None left: the thread that merges is behind, and the window goes on over the next second.
        if let Ok(spare) = self.spare.try_recv() {
            let pages = self.cut(second, spare);
            self.report(Report::Window { thread: self.thread, pages });
        }
    }

    fn cut(&mut self, to_s: u32, spare: Box<Pages>) -> Box<Pages> {
        let gauges = self.gauges();
        self.recorder.cut(to_s, gauges, spare)
    }

    /// There are hardly more reports than pages, and the channel holds twice as many, so this does not wait.
    pub(super) fn report(&self, report: Report) {
        if self.reports.send(report).is_err() {
            tracing::error!(thread = self.thread, "nobody merges windows any more");
        }
    }

    fn gauges(&mut self) -> Gauges {
        let used = self.meter.cut(self.now_ns, OfThread::read(self.run_delay.as_ref()));
        let queued: usize = self.pools.iter().map(|pool| pool.queue.len()).sum();
        let open: u32 = self.pools.iter().map(|pool| pool.open).sum();
        Gauges {
            in_flight: self.in_flight,
            queued: u32::try_from(queued).unwrap_or(u32::MAX),
            connections: open + self.ending,
            busiest_thread_permille: used.busy_permille,
            starved_permille: used.starved_permille,
            never_waited: used.never_waited,
            ..Gauges::default()
        }
    }

    /// Hands over the last window and the totals.
    pub(super) fn hand_over(mut self) {
        self.mailbox.publish_sent(self.recorder.totals().requests_sent);
        let totals = *self.recorder.totals();
        // The rest of the second is as idle as if it had been waited for: its share says nothing otherwise.
        self.meter.waited(self.cut_at_ns.saturating_sub(self.now_ns));
        self.now_ns = self.now_ns.max(self.cut_at_ns);
        // The last pages are not returned, so those in their place are never written to.
        let to_s = whole_seconds(self.cut_at_ns);
        let pages = self.cut(to_s, Pages::new(0, 0));
        self.report(Report::Done { thread: self.thread, pages, totals });
    }
}

fn whole_seconds(ns: u64) -> u32 {
    u32::try_from(ns / SECOND_NS).unwrap_or(u32::MAX)
}
