//! The series of a run in a database: points that are kept ready, and points made from rows.
//!
//! Points are kept together with the checkpoint of their run, which says which rows are in both. Each report adds a row to
//! `run_drivers`, so a second without a later one there has none anywhere.

use std::collections::{BTreeMap, BTreeSet};

use plan::StepId;

use super::Fault;
use super::error::Failure;
use super::reader::{number, signed, stage, step_of, stream};
use super::session::Db;
use crate::kept::{self, LONGEST};
use crate::points::{DriverStates, Points};
use crate::{Point, PointStates, Resolution};

/// A run in a database, for reading its points.
#[derive(Clone, Copy)]
pub(super) struct Series<'a> {
    pub(super) db: &'a Db,
    pub(super) run_id: &'a str,
    /// The database, for what is said of it.
    pub(super) place: &'a str,
}

impl Series<'_> {
    /// Keeps the points of these seconds, which have rows that are in none yet.
    pub(super) async fn keep(self, stale: &BTreeSet<u32>) -> Result<(), Failure> {
        let (mut resolutions, mut seconds, mut figures) = (Vec::new(), Vec::new(), Vec::new());
        for minute in kept::minutes(stale) {
            // One after the other: a second of a large run is some hundred KB while it is merged.
            let mut open = Resolution::ALL.map(|resolution| Points::of(resolution.seconds()));
            self.read_requests(&mut open, None, (minute, minute + LONGEST)).await?;
            self.read_others(&mut open, (minute, minute + LONGEST)).await?;
            for (resolution, open) in Resolution::ALL.into_iter().zip(open) {
                for point in open.into_points() {
                    resolutions.push(signed(resolution.seconds()));
                    seconds.push(signed(point.second));
                    figures.push(kept::encode(&point));
                }
            }
        }
        let set = "INSERT INTO run_points (test_run_id, resolution, second, figures) \
                   SELECT $1, * FROM unnest($2::INT[], $3::INT[], $4::BYTEA[]) \
                   ON CONFLICT (test_run_id, resolution, second) DO UPDATE SET figures = excluded.figures";
        self.db.execute(set, &[&self.run_id, &resolutions, &seconds, &figures]).await?;
        Ok(())
    }

    /// The points of the seconds `from..to`; beyond `to` the run may have more, if `cut` says so.
    pub(super) async fn points(
        self,
        step: Option<StepId>,
        (from, to): (u32, u32),
        resolution: Resolution,
        cut: bool,
    ) -> Result<Vec<Point>, Failure> {
        let unkept = kept::unkept(&self.stale().await?, resolution, (from, to), cut);
        let mut kept = self.kept(resolution, (from, to)).await?;
        kept.retain(|first, _| !unkept.contains(first));
        let spans = kept::spans(&unkept, resolution.seconds(), (from, to));
        let mut open = [Points::of(resolution.seconds())];
        for span in &spans {
            self.read_others(&mut open, *span).await?;
        }
        match step {
            None => {
                for span in &spans {
                    self.read_requests(&mut open, None, *span).await?;
                }
            }
            Some(_) => self.read_requests(&mut open, step, (from, to)).await?,
        }
        let [made] = open;
        Ok(kept::joined(kept, made, step.is_some()))
    }

    /// The seconds that have rows after the checkpoint.
    async fn stale(self) -> Result<BTreeSet<u32>, Failure> {
        let stale = "SELECT DISTINCT second FROM run_drivers WHERE test_run_id = $1 AND second IS NOT NULL AND id > \
                     coalesce((SELECT drivers_through FROM run_checkpoint WHERE test_run_id = $1), 0)";
        let rows = self.db.query(stale, &[&self.run_id]).await?;
        Ok(rows.iter().map(|row| number(row.get(0))).collect())
    }

    async fn kept(
        self,
        resolution: Resolution,
        (from, to): (u32, u32),
    ) -> Result<BTreeMap<u32, Point>, Failure> {
        let kept = "SELECT second, figures FROM run_points \
                    WHERE test_run_id = $1 AND resolution = $2 AND second >= $3 AND second < $4";
        let values = (signed(resolution.seconds()), signed(from), signed(to));
        let rows = self.db.query(kept, &[&self.run_id, &values.0, &values.1, &values.2]).await?;
        let mut points = BTreeMap::new();
        for row in &rows {
            let second = number(row.get(0));
            let point = kept::decode(second, row.get(1)).ok_or_else(|| Fault::Damaged {
                place: self.place.to_owned(),
                detail: "a point of a series is of another length".to_owned(),
            })?;
            points.insert(second, point);
        }
        Ok(points)
    }

    /// Requests of a step, or of all, added to each of the series.
    async fn read_requests(
        self,
        open: &mut [Points],
        step: Option<StepId>,
        (from, to): (u32, u32),
    ) -> Result<(), Failure> {
        let of_step = "SELECT second, measured FROM run_windows \
                       WHERE test_run_id = $1 AND second >= $2 AND second < $3 AND step_number = $4";
        let of_all = "SELECT second, measured FROM run_seconds WHERE test_run_id = $1 AND second >= $2 AND second < $3";
        let (from, to) = (signed(from), signed(to));
        let each = |row: &tokio_postgres::Row| {
            let (second, window) = (number(row.get(0)), step_of(row, 1, self.place)?);
            open.iter_mut().for_each(|points| points.at(second).requests.merge(&window));
            Ok(())
        };
        match step {
            Some(step) => {
                stream(self.db, of_step, &[&self.run_id, &from, &to, &i32::from(step.0)], each).await
            }
            None => stream(self.db, of_all, &[&self.run_id, &from, &to], each).await,
        }
    }

    /// Iterations and the states of drivers, added to each of the series.
    async fn read_others(self, open: &mut [Points], (from, to): (u32, u32)) -> Result<(), Failure> {
        let (from, to) = (signed(from), signed(to));
        let iterations = "SELECT second, measured FROM run_iterations \
                          WHERE test_run_id = $1 AND second >= $2 AND second < $3";
        for row in &self.db.query(iterations, &[&self.run_id, &from, &to]).await? {
            let (second, window) = (number(row.get(0)), stage(row, 1, self.place)?);
            open.iter_mut().for_each(|points| points.at(second).iterations.merge(&window));
        }
        let states = "SELECT second, count(*), sum(in_flight)::BIGINT, sum(queued)::BIGINT, sum(connections)::BIGINT FROM \
                      (SELECT second, max(in_flight) AS in_flight, max(queued) AS queued, max(connections) AS connections \
                      FROM run_drivers WHERE test_run_id = $1 AND second >= $2 AND second < $3 GROUP BY second, worker_id) \
                      AS drivers GROUP BY second";
        for row in &self.db.query(states, &[&self.run_id, &from, &to]).await? {
            let sum = |column: usize| u64::try_from(row.get::<_, i64>(column)).unwrap_or(0);
            let state = DriverStates {
                second: number(row.get(0)),
                states: PointStates {
                    drivers: u32::try_from(row.get::<_, i64>(1)).unwrap_or(u32::MAX),
                    in_flight: sum(2),
                    queued: sum(3),
                    connections: sum(4),
                },
            };
            open.iter_mut().for_each(|points| points.add_states(&state));
        }
        Ok(())
    }
}
