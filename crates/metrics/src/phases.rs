//! Where the time of a request went, for plans that ask: `phases: true`.
//!
//! ```text
//! lookup → connect → tls                 → sending → waiting → receiving
//! once per connection, where it is opened             of every request that left
//! ```
//!
//! Invariant: a phase that a request did not have is not measured; it is never counted as 0. Deliberately absent: a sum
//! of the phases, which is neither response nor service time where a connection was there already.

use crate::Timing;
use crate::histogram::Pool;

/// A part of a request's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Resolving the target's name.
    Lookup,
    /// Opening the connection, until the target accepted it.
    Connect,
    /// The TLS handshake.
    Tls,
    /// From the first byte of the request to its last.
    Sending,
    /// From the last byte of the request to the first of the answer.
    Waiting,
    /// From the first byte of the answer to its last.
    Receiving,
}

impl Phase {
    /// All of them, in the order in which they pass.
    pub const ALL: [Self; 6] =
        [Self::Lookup, Self::Connect, Self::Tls, Self::Sending, Self::Waiting, Self::Receiving];

    /// The name in every output, such as `waiting`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Sending => "sending",
            Self::Waiting => "waiting",
            Self::Receiving => "receiving",
        }
    }
}

/// The phases of one request, in ns; `None` for what it did not have.
///
/// Lookup, connect and TLS belong to the request for which a connection was opened, and to no other. A request that
/// failed has the phases that it came to the end of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases {
    /// [`Phase::Lookup`].
    pub lookup_ns: Option<u64>,
    /// [`Phase::Connect`].
    pub connect_ns: Option<u64>,
    /// [`Phase::Tls`].
    pub tls_ns: Option<u64>,
    /// [`Phase::Sending`].
    pub sending_ns: Option<u64>,
    /// [`Phase::Waiting`].
    pub waiting_ns: Option<u64>,
    /// [`Phase::Receiving`].
    pub receiving_ns: Option<u64>,
}

impl Phases {
    const fn in_order(&self) -> [Option<u64>; Phase::ALL.len()] {
        [self.lookup_ns, self.connect_ns, self.tls_ns, self.sending_ns, self.waiting_ns, self.receiving_ns]
    }
}

/// The phases of many requests, succeeded and failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PhaseTimings([Timing; Phase::ALL.len()]);

impl PhaseTimings {
    /// The timings of the phases, in the order of [`Phase::ALL`].
    pub const fn new(timings: [Timing; Phase::ALL.len()]) -> Self {
        Self(timings)
    }

    /// The durations of one phase.
    pub const fn get(&self, phase: Phase) -> &Timing {
        &self.0[phase as usize]
    }

    /// Every phase with its durations, in the order in which they pass.
    pub fn iter(&self) -> impl Iterator<Item = (Phase, &Timing)> {
        Phase::ALL.into_iter().zip(&self.0)
    }

    /// Measures the phases of one request.
    pub fn record(&mut self, phases: &Phases) {
        self.record_from(phases, &mut Pool::default());
    }

    /// Measures the phases of one request, with memory from `pool`.
    #[inline]
    pub(crate) fn record_from(&mut self, phases: &Phases, pool: &mut Pool) {
        for (timing, ns) in self.0.iter_mut().zip(phases.in_order()) {
            if let Some(ns) = ns {
                timing.record_from(ns, pool);
            }
        }
    }

    /// Adds all that `other` measured.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| mine.merge(theirs));
    }

    /// Takes what was measured, as small as it goes, and leaves nothing; the memory goes to `pool`.
    pub(crate) fn take(&mut self, pool: &mut Pool) -> Self {
        Self(self.0.each_mut().map(|timing| timing.take(pool)))
    }
}
