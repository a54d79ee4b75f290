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
    /// When our kernel had taken all of it; 0 before.
    pub(crate) gone_ns: u64,
    /// When the first byte of its response came; 0 before.
    pub(crate) answered_ns: u64,
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
    /// What it carries with it, or [`NO_WALK`](crate::sequel::NO_WALK).
    pub(crate) walk: u32,
    /// The connection that is its own.
    pub(crate) bond: Option<Bond>,
    /// Who walks it; 0 in loads without users.
    pub(crate) user: u32,
}

/// What a user keeps between two iterations: its connection, and its cookies in a walk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Belongings {
    pub(crate) bond: Option<Bond>,
    pub(crate) walk: u32,
}

/// A connection that one user or iteration has for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bond {
    pub(crate) id: u32,
    /// Of the connection; another serial is another connection in the same place.
    pub(crate) serial: u32,
}

impl Flight {
    /// An iteration that is due at `at_ns`.
    pub(crate) fn new(arrival: &plan::Arrival, step: u32, target: u16) -> Self {
        Self {
            arrival_ns: arrival.at_ns,
            intended_ns: arrival.at_ns,
            usable_ns: arrival.at_ns,
            sent_ns: 0,
            gone_ns: 0,
            answered_ns: 0,
            deadline_ns: 0,
            step,
            target,
            stage: arrival.stage,
            is_fresh: true,
            is_sent: false,
            walk: crate::sequel::NO_WALK,
            bond: None,
            user: arrival.user,
        }
    }

    /// The phases of the present request that it has come to the end of.
    pub(crate) fn phases(&self, opened: metrics::Phases, done_ns: Option<u64>) -> metrics::Phases {
        // A response that came at once has its first byte with its last.
        let answered_ns = Some(self.answered_ns).filter(|at_ns| *at_ns > 0).or(done_ns);
        let gone_ns = Some(self.gone_ns).filter(|at_ns| *at_ns > 0).or(answered_ns);
        // The kernel says to the nanosecond when an answer came, and that a request had left when it is asked.
        let gone_ns = gone_ns.map(|at_ns| at_ns.min(answered_ns.unwrap_or(at_ns)));
        let between = |from: Option<u64>, to: Option<u64>| Some(to?.saturating_sub(from?));
        metrics::Phases {
            sending_ns: between(Some(self.sent_ns), gone_ns),
            waiting_ns: between(gone_ns, answered_ns),
            receiving_ns: between(answered_ns, done_ns),
            ..opened
        }
    }

    pub(crate) fn times(&self, done_ns: u64) -> metrics::Times {
        metrics::Times {
            intended: self.intended_ns,
            usable: self.usable_ns,
            sent: self.sent_ns,
            done: done_ns,
        }
    }
}
