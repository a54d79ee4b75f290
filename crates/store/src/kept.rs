//! Points that are kept ready: which of them count, and their bytes.
//!
//! A point of all steps of a large run is made from histograms with thousands of bins, an hour of them from tens of
//! millions. So a store keeps the figures of each point, about once a minute and at the end of a run, at every resolution.
//! Invariant: a kept point is what its rows give up to those that were there when it was kept; a second with later rows is
//! stale, and points with stale seconds are made from their rows, by a reader each time, by the writer once more. Points of
//! single steps are always made from their rows, which are small.

use std::collections::{BTreeMap, BTreeSet};

use metrics::Stats;

use crate::points::Points;
use crate::{Point, PointIterations, PointRequests, PointStates, Resolution};

/// The longest point; whole ones are kept, so that a shorter one never needs rows outside of what was read.
pub(crate) const LONGEST: u32 = Resolution::Minute.seconds();

/// The minutes, by their first seconds, whose points have to be kept anew.
pub(crate) fn minutes(stale: &BTreeSet<u32>) -> BTreeSet<u32> {
    stale.iter().map(|second| second - second % LONGEST).collect()
}

/// The points of the seconds `from..to` that have to be made from rows, by their first seconds: those with stale seconds,
/// and the two that the span may cut through; beyond `to` there is more, if `cut` says so.
pub(crate) fn unkept(
    stale: &BTreeSet<u32>,
    resolution: Resolution,
    (from, to): (u32, u32),
    cut: bool,
) -> BTreeSet<u32> {
    let first_of = |second: u32| second - second % resolution.seconds();
    let mut unkept: BTreeSet<u32> = stale.range(from..to.max(from)).map(|second| first_of(*second)).collect();
    unkept.extend((first_of(from) != from).then(|| first_of(from)));
    unkept.extend((cut && first_of(to) != to).then(|| first_of(to)));
    unkept
}

/// Kept points and those that were made; `of_step` says that these have the requests of all.
pub(crate) fn joined(kept: BTreeMap<u32, Point>, made: Points, of_step: bool) -> Vec<Point> {
    let mut found: BTreeMap<u32, Point> =
        made.into_points().into_iter().map(|point| (point.second, point)).collect();
    for (first, point) in kept {
        let requests = match of_step {
            false => point.requests,
            true => found.get(&first).map_or_else(PointRequests::default, |found| found.requests),
        };
        found.insert(first, Point { requests, ..point });
    }
    found.into_values().collect()
}

/// The seconds of points that begin at `firsts`, as far as they are in `from..to`; neighbours are one span.
pub(crate) fn spans(firsts: &BTreeSet<u32>, seconds: u32, (from, to): (u32, u32)) -> Vec<(u32, u32)> {
    let mut spans: Vec<(u32, u32)> = Vec::new();
    for first in firsts {
        let (begin, end) = ((*first).max(from), first.saturating_add(seconds).min(to));
        match spans.last_mut() {
            Some(last) if last.1 == begin => last.1 = end,
            _ => spans.push((begin, end)),
        }
    }
    spans
}

/// Numbers of a point: 11 counts, and two times of 13.
const WORDS: usize = 37;

/// A point as 64-bit words, little-endian. A time that nothing was measured of has a count of 0.
pub(crate) fn encode(point: &Point) -> Vec<u8> {
    let Point { second: _, requests, iterations, states } = point;
    let mut words = vec![
        requests.sent,
        requests.failed,
        requests.bytes_in,
        requests.bytes_out,
        iterations.due,
        iterations.started,
        iterations.missed,
        u64::from(states.drivers),
        states.in_flight,
        states.queued,
        states.connections,
    ];
    words.extend(time_words(requests.response));
    words.extend(time_words(requests.service));
    words.into_iter().flat_map(u64::to_le_bytes).collect()
}

fn time_words(stats: Option<Stats>) -> [u64; 13] {
    let Some(stats) = stats else { return [0; 13] };
    let Stats { count, mean, median, min, max, stddev, p50, p75, p90, p95, p99, p99_9, p99_99 } = stats;
    let times = [mean, median, min, max, stddev, p50, p75, p90, p95, p99, p99_9, p99_99];
    let mut words = [count; 13];
    words[1..].iter_mut().zip(times).for_each(|(word, time)| *word = time.to_bits());
    words
}

/// The point that [`encode`] was given; `None` when it was not.
pub(crate) fn decode(second: u32, figures: &[u8]) -> Option<Point> {
    let (words, rest) = figures.as_chunks::<8>();
    let words: [u64; WORDS] =
        words.iter().map(|word| u64::from_le_bytes(*word)).collect::<Vec<_>>().try_into().ok()?;
    let [
        sent,
        failed,
        bytes_in,
        bytes_out,
        due,
        started,
        missed,
        drivers,
        in_flight,
        queued,
        connections,
        ..,
    ] = words;
    let (response, service) = words[11..].split_at(13);
    rest.is_empty().then_some(Point {
        second,
        requests: PointRequests {
            sent,
            failed,
            bytes_in,
            bytes_out,
            response: time(response),
            service: time(service),
        },
        iterations: PointIterations { due, started, missed },
        states: PointStates { drivers: u32::try_from(drivers).ok()?, in_flight, queued, connections },
    })
}

fn time(words: &[u64]) -> Option<Stats> {
    let (&count, times) = words.split_first()?;
    let mut times = times.iter().map(|word| f64::from_bits(*word));
    let mut next = || times.next();
    let stats = Stats {
        count,
        mean: next()?,
        median: next()?,
        min: next()?,
        max: next()?,
        stddev: next()?,
        p50: next()?,
        p75: next()?,
        p90: next()?,
        p95: next()?,
        p99: next()?,
        p99_9: next()?,
        p99_99: next()?,
    };
    (count > 0).then_some(stats)
}
