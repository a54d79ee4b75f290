//! The series of a run in a data folder: points that are kept ready, and points made from rows.
//!
//! Which rows are in kept points is said by the table `kept`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use metrics::codec;
use plan::StepId;
use rusqlite::Connection;

use super::reader::damaged;
use super::sql::points;
use super::sql::windows::{self, ALL_STEPS, ITERATIONS};
use crate::kept::{self, LONGEST};
use crate::points::Points;
use crate::{Error, Point, Resolution};

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
        for minute in kept::minutes(&stale) {
            // One after the other: a second of a large run is some hundred KB while it is merged.
            for resolution in Resolution::ALL {
                let mut open = Points::of(resolution.seconds());
                self.read_requests(&mut open, ALL_STEPS, (minute, minute + LONGEST))?;
                self.read_others(&mut open, (minute, minute + LONGEST))?;
                for point in open.into_points() {
                    let key = (resolution.seconds(), point.second);
                    points::set(self.connection, self.run, key, &kept::encode(&point)).map_err(failed)?;
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
        let unkept = kept::unkept(&self.stale()?, resolution, (from, to), cut);
        kept.retain(|first, _| !unkept.contains(first));
        let spans = kept::spans(&unkept, seconds, (from, to));
        let mut open = Points::of(seconds);
        for span in &spans {
            self.read_others(&mut open, *span)?;
        }
        match step {
            None => spans.iter().try_for_each(|span| self.read_requests(&mut open, ALL_STEPS, *span))?,
            Some(step) => self.read_requests(&mut open, i64::from(step.0), (from, to))?,
        }
        Ok(kept::joined(kept, open, step.is_some()))
    }

    fn kept(self, resolution: Resolution, span: (u32, u32)) -> Result<BTreeMap<u32, Point>, Error> {
        let mut kept = BTreeMap::new();
        let each = |second, figures: &[u8]| {
            let point = kept::decode(second, figures).ok_or_else(|| Error::Corrupt {
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

    /// The seconds that have rows which are in no kept point.
    fn stale(self) -> Result<BTreeSet<u32>, Error> {
        let failed = |source| self.failed(source);
        let kept = points::kept(self.connection, self.run).map_err(failed)?;
        points::seconds_after(self.connection, self.run, kept).map_err(failed)
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
