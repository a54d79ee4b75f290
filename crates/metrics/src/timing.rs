//! One kind of duration, measured often: a histogram beside the exact sum, sum of squares, least and greatest.
//!
//! All of it is integers, so merging is exact, associative and commutative; a sum that outgrows its 128 bits stays at
//! the greatest value, which is so in every order as well. Floating point appears in [`Stats`] only, the form for
//! reading. Deliberately absent: averages of averages, and percentiles of percentiles.

use crate::histogram::{Histogram, Pool};

/// A percentile that every result prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentile {
    /// Its name in every output, such as `p99_9`.
    pub name: &'static str,
    /// Its share in ten-thousandths.
    pub per_myriad: u32,
}

impl Percentile {
    /// Its share, 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.per_myriad) / 1e4
    }
}

/// The printed percentiles, ascending.
pub const PERCENTILES: [Percentile; 7] = [
    Percentile { name: "p50", per_myriad: 5_000 },
    Percentile { name: "p75", per_myriad: 7_500 },
    Percentile { name: "p90", per_myriad: 9_000 },
    Percentile { name: "p95", per_myriad: 9_500 },
    Percentile { name: "p99", per_myriad: 9_900 },
    Percentile { name: "p99_9", per_myriad: 9_990 },
    Percentile { name: "p99_99", per_myriad: 9_999 },
];

/// The first printed percentile that is only a lower bound, and with it all above: those whose upper tail is smaller
/// than the share of what was never `measured` because it was missed or cancelled.
pub fn lower_bound_from(measured: u64, missed_and_cancelled: u64) -> Option<Percentile> {
    let absent = u128::from(missed_and_cancelled);
    let all = u128::from(measured) + absent;
    PERCENTILES.into_iter().find(|p| absent * 10_000 > all * u128::from(10_000 - p.per_myriad))
}

/// Durations in ns of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    histogram: Histogram,
    sum_ns: u128,
    sum_sq_ns: u128,
    min_ns: u64,
    max_ns: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self::new()
    }
}

impl Timing {
    /// Nothing measured; holds no memory.
    pub const fn new() -> Self {
        Self { histogram: Histogram::new(), sum_ns: 0, sum_sq_ns: 0, min_ns: u64::MAX, max_ns: 0 }
    }

    /// A timing from its parts, or `None` when they cannot be parts of one: the least and greatest must lie in the
    /// first and last bin, and the sum between what they allow.
    pub fn from_parts(
        histogram: Histogram,
        sum_ns: u128,
        sum_sq_ns: u128,
        min_ns: u64,
        max_ns: u64,
    ) -> Option<Self> {
        let count = u128::from(histogram.count());
        if count == 0 {
            return (sum_ns == 0 && sum_sq_ns == 0).then(Self::new);
        }
        let (first, last) = histogram.ends()?;
        let fits = min_ns <= max_ns
            && crate::bin_of(min_ns) == first
            && crate::bin_of(max_ns) == last
            && (u128::from(min_ns) * count..=u128::from(max_ns) * count).contains(&sum_ns)
            && sum_sq_ns >= sum_ns.saturating_mul(u128::from(min_ns))
            && sum_sq_ns <= sum_ns.saturating_mul(u128::from(max_ns));
        fits.then_some(Self { histogram, sum_ns, sum_sq_ns, min_ns, max_ns })
    }

    /// Measures one duration.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.record_from(ns, &mut Pool::default());
    }

    /// Measures one duration, with memory from `pool`.
    #[inline]
    pub(crate) fn record_from(&mut self, ns: u64, pool: &mut Pool) {
        let wide = u128::from(ns);
        self.sum_ns = self.sum_ns.saturating_add(wide);
        self.sum_sq_ns = self.sum_sq_ns.saturating_add(wide * wide);
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
        self.histogram.record_from(ns, 1, pool);
    }

    /// Adds all that `other` measured.
    pub fn merge(&mut self, other: &Self) {
        self.histogram.merge(&other.histogram);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.sum_sq_ns = self.sum_sq_ns.saturating_add(other.sum_sq_ns);
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// Takes what was measured, as small as it goes, and leaves nothing; the memory goes to `pool`.
    pub(crate) fn take(&mut self, pool: &mut Pool) -> Self {
        let histogram = self.histogram.take(pool);
        Self { histogram, ..std::mem::take(self) }
    }

    /// The distribution.
    pub const fn histogram(&self) -> &Histogram {
        &self.histogram
    }

    /// Durations measured.
    pub const fn count(&self) -> u64 {
        self.histogram.count()
    }

    /// Whether nothing was measured.
    pub const fn is_empty(&self) -> bool {
        self.histogram.is_empty()
    }

    /// Their exact sum in ns.
    pub const fn sum_ns(&self) -> u128 {
        self.sum_ns
    }

    /// The exact sum of their squares in ns².
    pub const fn sum_sq_ns(&self) -> u128 {
        self.sum_sq_ns
    }

    /// The shortest, exact, in ns.
    pub fn min_ns(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.min_ns)
    }

    /// The longest, exact, in ns.
    pub fn max_ns(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.max_ns)
    }

    /// The mean in ns.
    pub fn mean_ns(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.sum_ns as f64 / self.count() as f64)
    }

    /// The standard deviation of the whole population in ns.
    pub fn stddev_ns(&self) -> Option<f64> {
        let mean = self.mean_ns()?;
        let count = u128::from(self.count());
        // Squares are taken around the mean's whole nanoseconds, exactly: around 0 they would cancel out when the
        // spread is small beside the mean.
        let middle = self.sum_ns / count;
        let around_middle = || {
            let above = self.sum_sq_ns.checked_add(count.checked_mul(middle.checked_mul(middle)?)?)?;
            above.checked_sub(self.sum_ns.checked_mul(2)?.checked_mul(middle)?)
        };
        let variance = match around_middle() {
            Some(squares) => squares as f64 / count as f64 - (mean - middle as f64).powi(2),
            None => self.sum_sq_ns as f64 / count as f64 - mean * mean,
        };
        Some(variance.max(0.0).sqrt())
    }

    /// The duration in ns that the share `q` (0 to 1) does not exceed: the middle of its bin, within least and greatest.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        self.histogram.quantile(q).map(|ns| ns.clamp(self.min_ns, self.max_ns))
    }

    /// The usual figures in ms; `None` when nothing was measured.
    pub fn stats(&self) -> Option<Stats> {
        let found = self.histogram.quantiles(PERCENTILES.map(Percentile::share));
        let [p50, p75, p90, p95, p99, p99_9, p99_99] = found
            .map(|ns| ms(ns.unwrap_or(self.max_ns).clamp(self.min_ns.min(self.max_ns), self.max_ns) as f64));
        Some(Stats {
            count: self.count(),
            mean: ms(self.mean_ns()?),
            median: p50,
            min: ms(self.min_ns as f64),
            max: ms(self.max_ns as f64),
            stddev: ms(self.stddev_ns()?),
            p50,
            p75,
            p90,
            p95,
            p99,
            p99_9,
            p99_99,
        })
    }
}

fn ms(ns: f64) -> f64 {
    ns / 1e6
}

/// The figures of a [`Timing`] for reading, all in milliseconds. They cannot be merged; the timing can.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stats {
    /// Durations measured.
    pub count: u64,
    pub mean: f64,
    /// The same as `p50`.
    pub median: f64,
    pub min: f64,
    pub max: f64,
    pub stddev: f64,
    pub p50: f64,
    pub p75: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub p99_99: f64,
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn timing(samples_ns: impl IntoIterator<Item = u64>) -> Timing {
        let mut timing = Timing::new();
        samples_ns.into_iter().for_each(|ns| timing.record(ns));
        timing
    }

    #[test]
    fn the_figures_of_one_to_a_thousand_ms() {
        let stats = timing((1..=1000).map(|ms| ms * 1_000_000)).stats();
        expect![[r#"
            Some(
                Stats {
                    count: 1000,
                    mean: 500.5,
                    median: 500.039679,
                    min: 1.0,
                    max: 1000.0,
                    stddev: 288.67499025720946,
                    p50: 500.039679,
                    p75: 749.993983,
                    p90: 899.940351,
                    p95: 949.747711,
                    p99: 990.117887,
                    p99_9: 999.030783,
                    p99_99: 1000.0,
                },
            )
        "#]]
        .assert_debug_eq(&stats);
    }

    #[test]
    fn a_single_sample_is_every_figure() {
        let stats = timing([1_234_567]).stats().unwrap();
        assert_eq!(
            (stats.min, stats.p50, stats.p99_99, stats.max, stats.stddev),
            (1.234567, 1.234567, 1.234567, 1.234567, 0.0)
        );
    }

    #[test]
    fn nothing_measured_has_no_figures() {
        assert_eq!(Timing::new().stats(), None);
        assert_eq!((Timing::new().min_ns(), Timing::new().quantile(0.5)), (None, None));
    }

    #[test]
    fn a_small_spread_far_from_zero_is_not_cancelled_out() {
        let hour = crate::LONGEST_NS;
        let timing = timing((0..1000).map(|n| hour - n % 2));
        assert_eq!(timing.stddev_ns(), Some(0.5));
    }

    #[test]
    fn parts_that_cannot_be_are_refused() {
        let held = timing([10, 20, 60]);
        let from = |sum, sum_sq, min, max| Timing::from_parts(held.histogram.clone(), sum, sum_sq, min, max);
        assert_eq!(from(90, 4100, 10, 60), Some(held.clone()));
        for (sum, sum_sq, min, max) in [
            (29, 4100, 10, 60),
            (181, 4100, 10, 60),
            (90, 899, 10, 60),
            (90, 5401, 10, 60),
            (90, 4100, 11, 60),
            (90, 4100, 10, 61),
            (90, 4100, 60, 10),
        ] {
            assert_eq!(from(sum, sum_sq, min, max), None, "{sum} {sum_sq} {min} {max}");
        }
    }

    #[test]
    fn percentiles_that_are_lower_bounds() {
        let first = |measured, absent| lower_bound_from(measured, absent).map_or("-", |p| p.name);
        let rows = [
            (0, 0),
            (1000, 0),
            (9_999, 1),
            (9_998, 2),
            (99, 1),
            (98, 2),
            (9, 1),
            (8, 2),
            (1, 1),
            (49, 51),
            (0, 5),
        ]
        .map(|(measured, absent)| {
            format!("{measured} measured, {absent} not: {}\n", first(measured, absent))
        });
        expect![[r#"
            0 measured, 0 not: -
            1000 measured, 0 not: -
            9999 measured, 1 not: -
            9998 measured, 2 not: p99_99
            99 measured, 1 not: p99_9
            98 measured, 2 not: p99
            9 measured, 1 not: p95
            8 measured, 2 not: p90
            1 measured, 1 not: p75
            49 measured, 51 not: p50
            0 measured, 5 not: p50
        "#]]
        .assert_eq(&rows.concat());
    }
}
