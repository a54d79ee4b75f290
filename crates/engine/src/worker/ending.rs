//! Word from outside, and how a worker comes to its end.
//!
//! Invariant: after the lease has ended, or an abort was read, nothing is sent and every socket is closed.

use metrics::{ErrorKind, Outcome, Unstarted};

use protocol::Tag;
use smallvec::SmallVec;

use super::Worker;
use crate::mailbox::Command;
use crate::merge::Report;
use crate::source::{Source, Timetable};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// No further iteration; those under way may take until then.
    Draining {
        until_ns: u64,
    },
    Over,
}

impl Phase {
    pub(super) fn until_ns(self) -> u64 {
        match self {
            Phase::Draining { until_ns } => until_ns,
            Phase::Running | Phase::Over => u64::MAX,
        }
    }
}

impl<S: Source> Worker<S> {
    /// Reads the lease, and what is in the mailbox.
    #[inline]
    pub(super) fn listen(&mut self) {
        if self.mailbox.version() != self.version {
            self.obey();
        }
        let lease_ns = self.clock.run_time(self.mailbox.lease_boot_ns());
        if self.now_ns >= lease_ns && self.clock.until_start() == 0 && self.phase != Phase::Over {
            tracing::warn!(thread = self.thread, "lease ended, stopping");
            self.report(Report::LeaseEnded);
            self.abort();
        }
    }

    #[cold]
    fn obey(&mut self) {
        self.version = self.mailbox.version();
        for command in self.mailbox.take() {
            match command {
                Command::Lanes { from_ns, lanes } => {
                    let late = self.source.change_lanes(from_ns, self.now_ns, lanes);
                    self.rows.iter_mut().flatten().for_each(|rows| rows.set_lanes(lanes));
                    self.count_late(late);
                }
                Command::Timetable { from_ns, timetable } => {
                    if let Timetable::Schedule(schedule) = &timetable {
                        let rows = self.rows.iter_mut().flatten();
                        rows.for_each(|rows| rows.change_schedule(from_ns, self.now_ns, schedule));
                    }
                    let late = self.source.change_timetable(from_ns, self.now_ns, timetable);
                    self.count_late(late);
                }
                Command::Limit { from_ns, rate } => {
                    if let Some(limiter) = &mut self.limiter {
                        limiter.change_rate(from_ns, rate);
                    }
                }
                Command::Stop => self.stop(),
                Command::Abort => self.abort(),
                Command::Release => self.release(),
                Command::Peers { pool, ticket, peers } => self.hear_peers(pool, ticket, peers.as_deref()),
            }
        }
    }

    /// Of a change that was learned of too late: what had become ours was due, and is missed.
    fn count_late(&mut self, late: plan::Late) {
        if late.missed > 0 {
            let schedule = self.workload.schedule();
            let stage = schedule.map_or(self.workload.first_stage, |schedule| schedule.stage_at(self.now_ns));
            self.recorder.due_and_missed(stage, Unstarted::Ours, late.missed);
        }
        if late != plan::Late::default() {
            tracing::warn!(thread = self.thread, ?late, "change of share or rate came too late");
        }
    }

    /// No new iterations. Those under way go on to their end.
    fn stop(&mut self) {
        if self.phase == Phase::Running {
            // What is due leaves: it may only have waited for company.
            self.pace();
            self.source.stop();
            self.drop_fresh_waiting();
            self.look_for_the_end();
        }
    }

    /// Ends at once: requests that are out are cancelled, those that wait are missed.
    fn abort(&mut self) {
        self.source.stop();
        self.give_up_waiting(None);
        for id in (0u32..).take(self.connections.len()) {
            let tags: SmallVec<[Tag; 8]> = self.connections[id as usize].tags().collect();
            for tag in tags {
                self.record(id, tag, Outcome::Failed(ErrorKind::Cancelled, 0), 0);
                self.active -= 1;
            }
            self.close(id);
        }
        self.fail_unable();
        self.give_up_reading();
        self.active -= (self.pauses.clear() + self.walkers.len()) as u64;
        self.walkers.clear();
        self.phase = Phase::Over;
    }

    /// Whether nothing is left to do, or no time to do it.
    #[inline]
    pub(super) fn look_for_the_end(&mut self) {
        if self.phase == Phase::Running && self.source.is_exhausted(self.now_ns) {
            self.phase = Phase::Draining { until_ns: self.now_ns.saturating_add(self.limits.drain_ns) };
        }
        if let Phase::Draining { until_ns } = self.phase {
            if self.now_ns >= until_ns {
                self.abort();
            } else if self.active == 0 {
                debug_assert!(self.keeps_belongings || self.walks.are_closed(), "an iteration left its walk");
                self.phase = Phase::Over;
            }
        }
    }
}
