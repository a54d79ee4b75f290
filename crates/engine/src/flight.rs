//! One iteration on its way: where it is in its scenario, and the times of its present request.

use plan::StageId;

/// An iteration that is due and not over. It moves between queue, connection and pause, and lives in one of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flight {
    /// When the iteration was intended to start.
    pub(crate) arrival_ns: u64,
    /// When the present request was.
    pub(crate) intended_ns: u64,
    /// When a connection, and the limit, were there for it.
    pub(crate) usable_ns: u64,
    pub(crate) sent_ns: u64,
    /// When the request is given up.
    pub(crate) deadline_ns: u64,
    /// Number of the present step in the program.
    pub(crate) step: u32,
    pub(crate) target: u16,
    pub(crate) stage: StageId,
    /// Whether none of its requests has left.
    pub(crate) is_fresh: bool,
    /// Whether the present request is counted as sent.
    pub(crate) is_sent: bool,
    /// Whether a byte of its response has come.
    pub(crate) has_answer: bool,
    /// What it carries with it, or [`NO_WALK`](crate::sequel::NO_WALK).
    pub(crate) walk: u32,
}

impl Flight {
    pub(crate) fn times(&self, done_ns: u64) -> metrics::Times {
        metrics::Times {
            intended: self.intended_ns,
            usable: self.usable_ns,
            sent: self.sent_ns,
            done: done_ns,
        }
    }
}
