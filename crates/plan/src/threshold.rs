//! Thresholds: what a run must have measured to pass.
//!
//! Invariant: a threshold fits its plan. Its rows and stage are there, what it looks at is recorded for them, and its
//! limit has the unit of what it is compared with. Deliberately absent: numbers of a run, which `metrics` has.

use std::fmt;

use crate::StepId;
use crate::schedule::StageId;

/// One threshold of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// As written in the plan.
    pub expression: String,
    /// What is looked at.
    pub measure: Measure,
    /// Of what.
    pub scope: Scope,
    /// How results call that: `run`, or a kind and a name, such as `stage hold`.
    pub scope_name: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what, in [`Measure::unit`].
    pub limit: f64,
    /// `for`: it is judged second by second, and is breached when it did not hold in so many seconds in a row.
    pub hold_s: Option<u32>,
    /// Whether a breach ends the run.
    pub abort: bool,
    /// Whether it passes when there is nothing to compare.
    pub allow_no_data: bool,
}

/// What a threshold looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// A figure of a distribution of times.
    Time(Metric, Statistic),
    /// Requests sent per second.
    Rate,
    /// Requests sent.
    Count,
    /// Failed requests of those that ended.
    ErrorRate,
    /// Iterations started of those planned; only in the open model.
    AchievedRate,
}

impl Measure {
    /// The unit of its values: `ms`, `/s`, `%`, or nothing for a count.
    pub const fn unit(self) -> Option<&'static str> {
        match self {
            Self::Time(..) => Some("ms"),
            Self::Rate => Some("/s"),
            Self::Count => None,
            Self::ErrorRate | Self::AchievedRate => Some("%"),
        }
    }
}

/// A kind of time. The first two and the phases are kept per step, the others per stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// done − intended.
    ResponseTime,
    /// done − sent.
    ServiceTime,
    /// sent − max(intended, usable).
    SendLag,
    /// usable − intended.
    ConnectionWait,
    /// From arrival to the end of the last step.
    IterationTime,
    /// Resolving the target's name.
    Lookup,
    /// Opening the connection.
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

impl Metric {
    /// All of them, those of a request first.
    pub const ALL: [Self; 11] = [
        Self::ResponseTime,
        Self::ServiceTime,
        Self::SendLag,
        Self::ConnectionWait,
        Self::IterationTime,
        Self::Lookup,
        Self::Connect,
        Self::Tls,
        Self::Sending,
        Self::Waiting,
        Self::Receiving,
    ];

    /// The name in plans.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ResponseTime => "response_time",
            Self::ServiceTime => "service_time",
            Self::SendLag => "send_lag",
            Self::ConnectionWait => "connection_wait",
            Self::IterationTime => "iteration_time",
            Self::Lookup => "lookup",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Sending => "sending",
            Self::Waiting => "waiting",
            Self::Receiving => "receiving",
        }
    }

    /// Whether it is recorded per stage, and not per step.
    pub const fn is_per_stage(self) -> bool {
        matches!(self, Self::SendLag | Self::ConnectionWait | Self::IterationTime)
    }

    /// Whether it is recorded only where the plan says `phases: true`.
    pub const fn is_phase(self) -> bool {
        matches!(
            self,
            Self::Lookup | Self::Connect | Self::Tls | Self::Sending | Self::Waiting | Self::Receiving
        )
    }
}

/// A figure of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// The share, in millionths, of all that is not longer; more than none and less than all.
    Percentile(u32),
    /// The mean.
    Mean,
    /// The shortest.
    Min,
    /// The longest.
    Max,
}

/// Of what a threshold speaks. Warm-up stages are left out of all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All that is measured.
    Run,
    /// These rows, ascending; at least one.
    Rows(Vec<StepId>),
    /// Arrivals of this stage, which is no warm-up.
    Stage(StageId),
}

/// How a value is compared with the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
}

impl Operator {
    /// Whether `value` is what is asked for.
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
        }
    }

    /// Whether small values hold.
    pub const fn is_upper_bound(self) -> bool {
        matches!(self, Self::Below | Self::AtMost)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::AtLeast => ">=",
        })
    }
}
