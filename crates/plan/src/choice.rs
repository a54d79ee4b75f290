//! Chance from the plan's seed: the same plan and seed choose the same, on every machine.
//!
//! Everything is a pure function of the seed and a number, so that whoever sends an iteration chooses alike.

use std::time::Duration;

use crate::pace::narrow;

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the result depends on every bit of `x`.
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A weighted choice between a few.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    /// Sums of the weights up to and with each.
    sums: Vec<u64>,
    /// Tells the choices of a plan apart.
    salt: u64,
}

impl Choice {
    pub(crate) fn new(salt: u64, weights: impl IntoIterator<Item = u32>) -> Self {
        let sums = weights.into_iter().scan(0, |sum, weight| {
            *sum += u64::from(weight);
            Some(*sum)
        });
        Self { sums: sums.collect(), salt }
    }

    /// Which one the iteration `index` gets.
    pub(crate) fn of(&self, seed: u64, index: u64) -> usize {
        let total = self.sums.last().copied().unwrap_or(1);
        if self.sums.len() <= 1 {
            return 0;
        }
        let random = mix(seed ^ mix(index ^ self.salt));
        let point = (u128::from(random) * u128::from(total)) >> 64;
        self.sums.partition_point(|sum| u128::from(*sum) <= point)
    }
}

/// A time between two, both included, for a number.
pub(crate) fn between(seed: u64, number: u64, least: Duration, most: Duration) -> Duration {
    let span_ns = most.saturating_sub(least).as_nanos();
    let random = u128::from(mix(seed ^ mix(number)));
    let ns = (random * (span_ns + 1)) >> 64;
    least + Duration::from_nanos(narrow(ns))
}
