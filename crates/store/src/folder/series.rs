//! The series of a run: points that are kept ready, and points made from rows.
//!
//! A point of all steps of a large run is made from histograms with thousands of bins, an hour of them from tens of
//! millions. So the writer keeps the figures of each point, about once a minute and at the end of a run, at every
//! resolution. Invariant: a kept point is what its rows give up to the rows that `kept` names; a second with later rows
//! is stale, and points with stale seconds are made from their rows, by a reader each time, by the writer once more.
//! Points of single steps are always made from their rows, which are small.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use metrics::{Stats, codec};
use plan::StepId;
use rusqlite::Connection;

use super::reader::damaged;
use super::sql::points;
use super::sql::windows::{self, ALL_STEPS, ITERATIONS};
use crate::points::Points;
use crate::{Error, Point, PointIterations, PointRequests, PointStates, Resolution};

/// The longest point; whole ones are kept, so that a shorter one never needs rows outside of what was read.
const LONGEST: u32 = Resolution::Minute.seconds();

/// A run in a database, for reading its points.
#[derive(Clone, Copy)]
pub(crate) struct Series<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) run: i64,
    pub(crate) path: &'a Path,
}

impl Series<'_> {
    /// Keeps the points of all seconds that have rows which are in none yet. To be called in a transaction.
    pub(crate) fn keep(self) -> Result<(), Error> {
        let failed = |source| self.failed(source);
        let kept = points::kept(self.connection, self.run).map_err(failed)?;
        let stale = points::seconds_after(self.connection, self.run, kept).map_err(failed)?;
        let through = windows::last(self.connection, self.run).map_err(failed)?;
        let minutes: BTreeSet<u32> = stale.iter().map(|second| second - second % LONGEST).collect();
        for minute in minutes {
            // One after the other: a second of a large run is some hundred KB while it is merged.
            for resolution in Resolution::ALL {
                let mut open = Points::of(resolution.seconds());
                self.read_requests(&mut open, ALL_STEPS, (minute, minute + LONGEST))?;
                self.read_others(&mut open, (minute, minute + LONGEST))?;
                for point in open.into_points() {
                    let key = (resolution.seconds(), point.second);
                    points::set(self.connection, self.run, key, &encode(&point)).map_err(failed)?;
                }
            }
        }
        points::set_kept(self.connection, self.run, through).map_err(failed)
    }

    /// The points of the seconds `from..to`; beyond `to` the run may have more, if `cut` says so.
    pub(crate) fn points(
        self,
        step: Option<StepId>,
        (from, to): (u32, u32),
        resolution: Resolution,
        cut: bool,
    ) -> Result<Vec<Point>, Error> {
        let seconds = resolution.seconds();
        let mut kept = self.kept(resolution, (from, to))?;
        let unkept = self.unkept(resolution, (from, to), cut)?;
        kept.retain(|first, _| !unkept.contains(first));
        let spans = spans(&unkept, seconds, (from, to));
        let mut open = Points::of(seconds);
        for span in &spans {
            self.read_others(&mut open, *span)?;
        }
        match step {
            None => spans.iter().try_for_each(|span| self.read_requests(&mut open, ALL_STEPS, *span))?,
            Some(step) => self.read_requests(&mut open, i64::from(step.0), (from, to))?,
        }
        let mut found: BTreeMap<u32, Point> =
            open.into_points().into_iter().map(|point| (point.second, point)).collect();
        for (first, point) in kept {
            let requests = match step {
                None => point.requests,
                Some(_) => found.get(&first).map_or_else(PointRequests::default, |found| found.requests),
            };
            found.insert(first, Point { requests, ..point });
        }
        Ok(found.into_values().collect())
    }

    fn kept(self, resolution: Resolution, span: (u32, u32)) -> Result<BTreeMap<u32, Point>, Error> {
        let mut kept = BTreeMap::new();
        let each = |second, figures: &[u8]| {
            let point = decode(second, figures).ok_or_else(|| Error::Corrupt {
                path: self.path.to_owned(),
                detail: "a point of a series is of another length".to_owned(),
            })?;
            kept.insert(second, point);
            Ok(())
        };
        let failed = |source| self.failed(source);
        points::span(self.connection, (self.run, resolution.seconds()), span, each, failed)?;
        Ok(kept)
    }

    /// The beginnings of the points that have to be made from rows: those with stale seconds, and the two that the span
    /// may cut through.
    fn unkept(
        self,
        resolution: Resolution,
        (from, to): (u32, u32),
        cut: bool,
    ) -> Result<BTreeSet<u32>, Error> {
        let failed = |source| self.failed(source);
        let kept = points::kept(self.connection, self.run).map_err(failed)?;
        let stale = points::seconds_after(self.connection, self.run, kept).map_err(failed)?;
        let first_of = |second: u32| second - second % resolution.seconds();
        let mut unkept: BTreeSet<u32> =
            stale.range(from..to.max(from)).map(|second| first_of(*second)).collect();
        unkept.extend((first_of(from) != from).then(|| first_of(from)));
        unkept.extend((cut && first_of(to) != to).then(|| first_of(to)));
        Ok(unkept)
    }

    fn read_requests(self, open: &mut Points, step: i64, span: (u32, u32)) -> Result<(), Error> {
        let each = |second, measured: &[u8]| {
            let window = codec::decode_step(measured).map_err(|fault| damaged(self.path, &fault))?;
            open.at(second).requests.merge(&window);
            Ok(())
        };
        windows::span(self.connection, (self.run, step), span, each, |source| self.failed(source))
    }

    /// Iterations and the states of drivers.
    fn read_others(self, open: &mut Points, span: (u32, u32)) -> Result<(), Error> {
        let each = |second, measured: &[u8]| {
            let window = codec::decode_stage(measured).map_err(|fault| damaged(self.path, &fault))?;
            open.at(second).iterations.merge(&window);
            Ok(())
        };
        let failed = |source| self.failed(source);
        windows::span(self.connection, (self.run, ITERATIONS), span, each, failed)?;
        for state in windows::driver_states(self.connection, self.run, span).map_err(failed)? {
            open.add_states(&state);
        }
        Ok(())
    }

    fn failed(self, source: rusqlite::Error) -> Error {
        Error::of(self.path, source)
    }
}

/// The seconds of points that begin at `firsts`, as far as they are in `from..to`; neighbours are one span.
fn spans(firsts: &BTreeSet<u32>, seconds: u32, (from, to): (u32, u32)) -> Vec<(u32, u32)> {
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
fn encode(point: &Point) -> Vec<u8> {
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

fn decode(second: u32, figures: &[u8]) -> Option<Point> {
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
