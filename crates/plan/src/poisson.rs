//! Poisson arrivals: each lane is a process of its own, of a 1,024th of the rate; together they are the process of the
//! whole rate (superposition; Kingman, Poisson Processes, 1993, 2.2).
//!
//! A process whose rate changes is one of rate 1 on a clock that runs at that rate (time rescaling; Lewis and Shedler,
//! Simulation of nonhomogeneous Poisson processes by thinning, 1979, section 1; Çinlar's inversion). So a lane's points
//! on that clock depend on the plan's seed and the lane alone: a changed rate moves them in time, and neither adds nor
//! takes any. Gaps between them are exponential (Knuth, The Art of Computer Programming 2, 3.4.1).
//!
//! The clock is divided into buckets of [`BUCKET`] expected points, each with a seed of its own, since a Poisson process
//! on disjoint spans is independent. So a lane is entered anywhere at the cost of one bucket, however long the run and
//! however low the rate.
//!
//! Invariant: O(1) memory per lane, and no allocation after the start. Deliberately absent: functions of the system's
//! mathematical library, which differ between machines in the last digit.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::choice::mix;
use crate::schedule::{Arrival, Schedule};
use crate::share::{LANES, LaneSet};

/// Expected points of a lane in one bucket: few enough to walk to the middle of one, enough that the ends cost little.
const BUCKET: f64 = 16.0;
/// Binary places of a point's number in its bucket. That a bucket has 256 points is as likely as 10⁻¹⁹⁰; the others
/// would be left out.
const NUMBER_PLACES: u32 = 8;
/// Binary places of a lane.
const LANE_PLACES: u32 = LANES.trailing_zeros();
/// Step of the generator in a bucket: SplitMix64's.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The next points of some lanes.
#[derive(Debug, Clone)]
pub(crate) struct Lanes(BinaryHeap<Point>);

impl Lanes {
    /// The points at or after `from_ns`.
    pub(crate) fn enter(schedule: &Schedule, seed: u64, lanes: &LaneSet, from_ns: u64) -> Self {
        Self(lanes.iter().filter_map(|lane| Point::enter(schedule, seed, lane, from_ns)).collect())
    }

    pub(crate) fn peek(&self, schedule: &Schedule) -> Option<Arrival> {
        self.0.peek().map(|point| point.arrival(schedule))
    }

    pub(crate) fn advance(&mut self, schedule: &Schedule) {
        if let Some(mut point) = self.0.peek_mut()
            && !point.advance(schedule)
        {
            PeekMut::pop(point);
        }
    }
}

/// How many points of `lanes` lie in `from_ns..to_ns`.
pub(crate) fn count(schedule: &Schedule, seed: u64, lanes: &LaneSet, from_ns: u64, to_ns: u64) -> u64 {
    let of_lane = |lane| {
        let mut count = 0;
        let mut next = Point::enter(schedule, seed, lane, from_ns).filter(|point| point.at_ns < to_ns);
        while let Some(point) = &mut next {
            count += 1;
            if !point.advance(schedule) || point.at_ns >= to_ns {
                next = None;
            }
        }
        count
    };
    if from_ns >= to_ns { 0 } else { lanes.iter().map(of_lane).sum() }
}

/// The time of the point with this index.
pub(crate) fn time_of(schedule: &Schedule, seed: u64, index: u64) -> Option<u64> {
    let lane = index % LANES as u64;
    let (bucket, number) =
        (index >> (LANE_PLACES + NUMBER_PLACES), (index >> LANE_PLACES) % (1 << NUMBER_PLACES));
    let mut point = Point::before(seed, usize::try_from(lane).ok()?, bucket);
    for _ in 0..=number {
        let is_there = point.advance(schedule);
        if !is_there || point.bucket != bucket {
            return None;
        }
    }
    Some(point.at_ns)
}

/// A lane's next point.
#[derive(Debug, Clone)]
struct Point {
    at_ns: u64,
    /// Where the lane is on its clock: in which bucket, and how far in it.
    bucket: u64,
    offset: f64,
    /// State of the generator.
    state: u64,
    /// The seed of the lane.
    seed: u64,
    /// The number of the next point in the bucket.
    number: u64,
    lane: u64,
    segment: usize,
}

impl Point {
    /// The state before the first point of a bucket.
    fn before(seed: u64, lane: usize, bucket: u64) -> Self {
        let lane = lane as u64;
        let seed = mix(seed ^ mix(lane));
        let state = mix(seed ^ bucket);
        Self { at_ns: 0, bucket, offset: 0.0, state, seed, number: 0, lane, segment: 0 }
    }

    fn enter(schedule: &Schedule, seed: u64, lane: usize, from_ns: u64) -> Option<Self> {
        // What rounds down onto the moment is found from a little before it.
        let expected = schedule.expected_until(from_ns);
        let expected = expected - 1e-3 - expected * 1e-12;
        let bucket = crate::pace::whole(expected / LANES as f64 / BUCKET);
        let mut point = Self::before(seed, lane, bucket);
        loop {
            if !point.advance(schedule) {
                return None;
            }
            if point.at_ns >= from_ns {
                return Some(point);
            }
        }
    }

    /// Goes on to the next point; false when there is none.
    fn advance(&mut self, schedule: &Schedule) -> bool {
        loop {
            self.state = self.state.wrapping_add(STEP);
            self.offset += exponential(mix(self.state));
            if self.offset < BUCKET && self.number < 1 << NUMBER_PLACES {
                break;
            }
            self.bucket += 1;
            (self.offset, self.number) = (0.0, 0);
            self.state = mix(self.seed ^ self.bucket);
            // A lane whose remaining buckets are all beyond the end must not look for a point in them for ever.
            if self.bucket as f64 * BUCKET * LANES as f64 >= schedule.expected() {
                return false;
            }
        }
        self.number += 1;
        let expected = (self.bucket as f64 * BUCKET + self.offset) * LANES as f64;
        match schedule.time_of_expected(expected, self.segment) {
            Some((at_ns, segment)) => {
                (self.at_ns, self.segment) = (at_ns, segment);
                true
            }
            None => false,
        }
    }

    fn arrival(&self, schedule: &Schedule) -> Arrival {
        let index = ((self.bucket << NUMBER_PLACES | (self.number - 1)) << LANE_PLACES) | self.lane;
        Arrival { at_ns: self.at_ns, index, stage: schedule.stage_of_segment(self.segment), user: 0 }
    }
}

/// Earliest first, in a heap whose greatest comes first.
impl Ord for Point {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_ns, other.lane).cmp(&(self.at_ns, self.lane))
    }
}

impl PartialOrd for Point {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Point {}

/// An exponentially distributed number with mean 1, from 64 random bits.
fn exponential(random: u64) -> f64 {
    // In (0, 1], so that the logarithm is finite.
    let uniform = ((random >> 11) + 1) as f64 / (1u64 << 53) as f64;
    -ln(uniform)
}

/// The natural logarithm of a positive, normal number, to some 15 digits.
///
/// x = m × 2^e with m in [√½, √2), and ln m = 2 artanh((m − 1) / (m + 1)) by its series (Abramowitz and Stegun,
/// 4.1.27): ten terms, the rest is below 10⁻¹⁷.
fn ln(x: f64) -> f64 {
    const MANTISSA: u32 = 52;
    /// Of √½, so that what is taken off the exponent rounds to the nearest power.
    const HALF_ROOT: u64 = 0x3FE6_A09E_667F_3BCD;
    const ONE: u64 = 0x3FF0_0000_0000_0000;
    let above = x.to_bits().wrapping_sub(HALF_ROOT);
    #[expect(clippy::cast_possible_wrap, reason = "an exponent, with its sign")]
    let exponent = (above as i64) >> MANTISSA;
    let mantissa = f64::from_bits((above & ((1 << MANTISSA) - 1)).wrapping_add(HALF_ROOT));
    debug_assert!(mantissa.to_bits() < ONE + (1 << MANTISSA), "below 2");
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = (0..10u32).rev().fold(0.0, |sum, n| sum * square + 1.0 / f64::from(2 * n + 1));
    exponent as f64 * std::f64::consts::LN_2 + 2.0 * s * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms() {
        let mut random = 1;
        for _ in 0..100_000 {
            random = mix(random);
            let x = ((random >> 11) + 1) as f64 / (1u64 << 53) as f64;
            assert!((ln(x) - x.ln()).abs() <= 4e-16 * x.ln().abs().max(1.0), "{x}: {} {}", ln(x), x.ln());
        }
        assert_eq!(ln(1.0), 0.0);
        assert!(ln(f64::MIN_POSITIVE) < -708.0);
    }
}
