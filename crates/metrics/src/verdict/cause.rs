//! What a second is noted for, whose it is, and what to do about it.
//!
//! Invariant: codes and numbers are for ever, since they are stored and others act on them; a new cause comes last.
//! Deliberately absent: how much each weighs, which is for the run to say.

use std::fmt;

use crate::DriverTotals;

/// What kept a second of a driver from going as the plan asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Send lag p99 above max(1 ms, 5 % of that second's median service time).
    SendLag,
    /// An engine thread was busy more than 90 %, by its own work. Not held against a saturated closed loop.
    EngineBusy,
    /// The cgroup held the process back.
    Throttled,
    /// Iterations could not be started by our fault.
    MissedOurs,
    /// Requests failed for want of something on this machine that has no cause of its own.
    LocalLimit,
    /// An engine thread never waited: the target had room. Held against saturated closed loops only, since others have
    /// a rate to keep and say [`Cause::EngineBusy`].
    GeneratorBound,
    /// An engine thread was late or full, and it was ready to run and had no CPU: something else ran on its core.
    EngineStarved,
    /// An engine thread was late or full, and the hypervisor gave this machine's CPU to others.
    CpuStolen,
    /// Requests failed for want of a file descriptor.
    NoDescriptor,
    /// Requests failed for want of a local port.
    NoPort,
    /// Requests failed for want of memory.
    NoMemory,
    /// Iterations were missed by the target's fault, or requests waited longer for a connection than they then took.
    TargetSaturated,
    /// The target refused or reset connections.
    TargetRefusing,
    /// Requests were out, and none was answered.
    TargetStopped,
    /// The plan's own limit kept iterations from starting.
    PlanLimit,
}

/// Whose fault a cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whose {
    /// The generator's: it makes seconds bad.
    Ours,
    /// The target's: a finding, never held against the generators.
    Target,
    /// The plan's: it did what it was told to.
    Plan,
}

impl Cause {
    /// All of them, by their number.
    pub const ALL: [Self; 15] = [
        Self::SendLag,
        Self::EngineBusy,
        Self::Throttled,
        Self::MissedOurs,
        Self::LocalLimit,
        Self::GeneratorBound,
        Self::EngineStarved,
        Self::CpuStolen,
        Self::NoDescriptor,
        Self::NoPort,
        Self::NoMemory,
        Self::TargetSaturated,
        Self::TargetRefusing,
        Self::TargetStopped,
        Self::PlanLimit,
    ];

    /// The code of a reason, such as `send_lag`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendLag => "send_lag",
            Self::EngineBusy => "engine_busy",
            Self::Throttled => "throttled",
            Self::MissedOurs => "missed_ours",
            Self::LocalLimit => "local_limit",
            Self::GeneratorBound => "generator_bound",
            Self::EngineStarved => "engine_starved",
            Self::CpuStolen => "cpu_stolen",
            Self::NoDescriptor => "no_descriptor",
            Self::NoPort => "no_port",
            Self::NoMemory => "no_memory",
            Self::TargetSaturated => "target_saturated",
            Self::TargetRefusing => "target_refusing",
            Self::TargetStopped => "target_stopped",
            Self::PlanLimit => "plan_limit",
        }
    }

    /// Whose fault it is.
    pub const fn whose(self) -> Whose {
        match self {
            Self::TargetSaturated | Self::TargetRefusing | Self::TargetStopped => Whose::Target,
            Self::PlanLimit => Whose::Plan,
            _ => Whose::Ours,
        }
    }

    /// What happened to `node_id` in so many of its seconds, and what to do.
    pub(super) fn sentence(self, node_id: &str, seconds: u64, driver: &DriverTotals) -> String {
        let span = format!("in {seconds} of {} s", driver.seconds);
        match self {
            Self::SendLag => format!(
                "{node_id} sent late {span}: send lag p99 above 1 ms and above 5 % of the median service time. \
                 Give it more CPU or threads, or add drivers."
            ),
            Self::EngineBusy => format!(
                "An engine thread of {node_id} was busy more than 90 % {span}. Give it more threads, or add drivers."
            ),
            Self::EngineStarved => format!(
                "An engine thread of {node_id} was ready to run but had no CPU {span}. Stop what else runs on its \
                 cores, or give it cores of its own."
            ),
            Self::CpuStolen => format!(
                "The hypervisor gave CPU of {node_id} to others {span}. Use a machine whose cores are not shared."
            ),
            Self::Throttled => format!(
                "{node_id} was held back by its CPU quota {span}. Raise the limit of its cgroup, or add drivers."
            ),
            Self::MissedOurs => format!(
                "{node_id} could not start {} due iterations, {span}: it was late, paused or learned of its share too \
                 late. Look at its other reasons first.",
                driver.missed.ours
            ),
            Self::NoDescriptor => format!(
                "{node_id} ran out of file descriptors {span}. Raise its limit (ulimit -n), or open fewer connections."
            ),
            Self::NoPort => format!(
                "{node_id} ran out of local ports {span}. Widen net.ipv4.ip_local_port_range, keep connections open, \
                 or add drivers."
            ),
            Self::NoMemory => format!(
                "{node_id} ran out of memory for connections {span}. Give it more memory, or open fewer connections."
            ),
            Self::LocalLimit => {
                format!("{node_id} met a limit of its machine {span}. swell doctor shows its limits.")
            }
            Self::GeneratorBound => format!(
                "An engine thread of {node_id} never waited {span}: the target had room, so the rate is the \
                 generator's. Give it more threads, or add drivers."
            ),
            Self::TargetSaturated => format!(
                "The target could not keep up with {node_id} {span}: iterations were missed, or waited longer for a \
                 connection than they then took. Its limit is reached, or connections.max is too low."
            ),
            Self::TargetRefusing => format!(
                "The target refused or reset connections of {node_id} {span}. Look at its listen queue and its limits."
            ),
            Self::TargetStopped => format!(
                "The target answered nothing to {node_id} {span}, though requests were out. Look at what it did then."
            ),
            Self::PlanLimit => format!(
                "The plan itself kept {} iterations of {node_id} from starting, {span}. If they were wanted, raise \
                 max_in_flight or the target throughput, or give it more rows of data.",
                driver.missed.limit
            ),
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of causes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Causes(u16);

impl Causes {
    /// The empty set: a good second.
    pub const NONE: Self = Self(0);

    /// The set of those causes.
    pub fn of(causes: &[Cause]) -> Self {
        Self(causes.iter().fold(0, |bits, cause| bits | cause.bit()))
    }

    /// Adds one.
    pub const fn insert(&mut self, cause: Cause) {
        self.0 |= cause.bit();
    }

    /// Adds one where it applies.
    pub(super) const fn note(&mut self, cause: Cause, applies: bool) {
        if applies {
            self.insert(cause);
        }
    }

    /// Whether the cause is in the set.
    pub const fn contains(self, cause: Cause) -> bool {
        self.0 & cause.bit() != 0
    }

    /// The causes in either set.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The causes of this set without those of the other.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The causes of this set that are the fault of `whose`.
    pub fn of_whom(self, whose: Whose) -> Self {
        let mut causes = Self::NONE;
        self.iter().filter(|cause| cause.whose() == whose).for_each(|cause| causes.insert(cause));
        causes
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The causes, by their number.
    pub fn iter(self) -> impl Iterator<Item = Cause> {
        Cause::ALL.into_iter().filter(move |cause| self.contains(*cause))
    }

    pub(crate) const fn bits(self) -> u16 {
        self.0
    }

    /// The set of those bits, unless one is unknown.
    pub(crate) const fn from_bits(bits: u16) -> Option<Self> {
        if bits >> Cause::ALL.len() == 0 { Some(Self(bits)) } else { None }
    }
}

impl fmt::Debug for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Cause::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_its_own_order() {
        assert!(Cause::ALL.into_iter().zip(0u16..).all(|(cause, number)| cause as u16 == number));
    }
}
