//! How arrivals follow each other: at equal steps, or along a ramp.
//!
//! Invariant: times ascend, and depend on nothing but the rates and the number of the arrival. Equal steps are computed
//! in integers; ramps with additions, multiplications, divisions and roots of 64-bit floats, which IEEE 754 rounds alike
//! on every machine.

use std::time::Duration;

use crate::limiter::kept_rate;
use crate::limits;
use crate::quantity::Rate;

/// Equal steps of time, as an exact fraction of nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Steps {
    numerator: u64,
    denominator: u64,
}

impl Steps {
    /// Those of a rate above zero.
    pub(crate) fn of(rate: Rate) -> Self {
        let (numerator, denominator) = rate.interval_ns();
        Self { numerator, denominator }
    }

    /// The slower of a delay and a limit, as far as the limit can be kept.
    pub(crate) fn slower(delay: Duration, limit: Option<Rate>) -> Self {
        let delay = Self { numerator: nanos(delay).max(1), denominator: 1 };
        match limit.map(kept_rate).map(Self::of) {
            Some(limit) if limit.interval_ns() > delay.interval_ns() => limit,
            _ => delay,
        }
    }

    pub(crate) fn interval_ns(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }

    /// ⌊step × interval⌋.
    pub(crate) fn time_of(self, step: u64) -> u64 {
        // A wide division costs ten times a narrow one, and is hardly ever needed.
        match step.checked_mul(self.numerator) {
            Some(product) => product / self.denominator,
            None => narrow(u128::from(step) * u128::from(self.numerator) / u128::from(self.denominator)),
        }
    }

    /// The first step whose time is at least `ns`. With ⌊x⌋ ≥ ns ⇔ x ≥ ns this is ⌈ns / interval⌉.
    pub(crate) fn first_at_or_after(self, ns: u64) -> u64 {
        narrow((u128::from(ns) * u128::from(self.denominator)).div_ceil(u128::from(self.numerator)))
    }
}

/// A rate that changes linearly: after *t* it is from + (to − from) × t / length. Rates are per nanosecond.
///
/// Both directions are computed from the lower end, where they are exact: seen from the upper one they would be small
/// differences of large numbers. Over the longest run the times are right to some two nanoseconds, while arrivals are at
/// least a hundred apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ramp {
    from: f64,
    to: f64,
    length_ns: f64,
    /// Arrivals in all.
    total: f64,
}

impl Ramp {
    pub(crate) fn new(from: Rate, to: Rate, length_ns: u64) -> Self {
        let per_ns = |rate: Rate| rate.per_second() / 1e9;
        let length = length_ns as f64;
        Self { from: per_ns(from), to: per_ns(to), length_ns: length, total: total(from, to, length_ns) }
    }

    /// The factor nearest to `factor` at which nothing exceeds [`limits::RATE_PER_S`].
    pub(crate) fn kept_factor(&self, factor: f64) -> f64 {
        factor.min(limits::RATE_PER_S / 1e9 / self.from.max(self.to))
    }

    fn slope(&self) -> f64 {
        (self.to - self.from) / self.length_ns
    }

    /// Arrivals per nanosecond after `ns`.
    pub(crate) fn rate_at(&self, ns: u64) -> f64 {
        self.from + self.slope() * ns as f64
    }

    /// Arrivals in the first `ns`: the integral of the rate.
    pub(crate) fn arrivals_in(&self, ns: u64) -> f64 {
        let t = ns as f64;
        let area = |low: f64, span: f64| low * span + self.slope().abs() / 2.0 * span * span;
        if t >= self.length_ns {
            self.total
        } else if self.from <= self.to {
            area(self.from, t)
        } else {
            self.total - area(self.to, self.length_ns - t)
        }
    }

    /// When the integral of the rate reaches `arrivals`, in nanoseconds: the root of a quadratic equation, in the form
    /// that does not cancel.
    pub(crate) fn time_of(&self, arrivals: f64) -> f64 {
        let span = |low: f64, area: f64| match area > 0.0 {
            true => 2.0 * area / (low + (low * low + 2.0 * self.slope().abs() * area).sqrt()),
            false => 0.0,
        };
        if self.from <= self.to {
            span(self.from, arrivals)
        } else {
            self.length_ns - span(self.to, self.total - arrivals)
        }
    }
}

/// (from + to) / 2 × length, where a whole number of arrivals comes out as one.
fn total(from: Rate, to: Rate, length_ns: u64) -> f64 {
    let ((a, a_seconds), (b, b_seconds)) = (from.fraction(), to.fraction());
    // At most 3.6e16 × 3,600 × 2 × 2.6e15: within 128 bits.
    let numerator = (a * b_seconds + b * a_seconds) * u128::from(length_ns);
    let denominator = 2 * a_seconds * b_seconds * 1_000_000_000_000_000;
    (numerator / denominator) as f64 + (numerator % denominator) as f64 / denominator as f64
}

pub(crate) fn narrow(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

pub(crate) fn nanos(span: Duration) -> u64 {
    narrow(span.as_nanos())
}

/// The whole part of a number that is not negative; saturating.
pub(crate) fn whole(value: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturating, and NaN becomes zero"
    )]
    let whole = value as u64;
    whole
}
