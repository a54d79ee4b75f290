//! Reading runs and what was measured of them, beside those who write or without them.
//!
//! Invariant: a reader changes nothing, and each call sees one moment of the database.

use std::cell::RefCell;

use futures_util::TryStreamExt as _;
use metrics::{DriverTotals, DriverWindow, Gauges, Merged, StageWindow, StepWindow, codec};
use plan::StepId;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::error::Failure;
use super::series::Series;
use super::session::{Db, Kind, Link, READ_DEADLINE};
use super::{Address, Fault};
use crate::seconds::DriverSecond;
use crate::{
    Error, EventRow, Figures, MAX_EVENTS, MAX_PAGE, MAX_POINTS, Point, Position, Resolution, RunLine, RunRow,
};

const RUN: &str = "test_run_id, plan_name, plan_source, state, (extract(EPOCH FROM created_at) * 1000)::BIGINT, \
                   (extract(EPOCH FROM started_at) * 1000)::BIGINT, (extract(EPOCH FROM ended_at) * 1000)::BIGINT, \
                   loop_kind, drivers, extras, verdict, requests_sent, error_ratio, achieved_per_s, p99_ms";

/// Of a run what a list shows.
const LINE: &str = "test_run_id, plan_name, state, (extract(EPOCH FROM created_at) * 1000)::BIGINT, \
                    (extract(EPOCH FROM started_at) * 1000)::BIGINT, (extract(EPOCH FROM ended_at) * 1000)::BIGINT, \
                    loop_kind, drivers, verdict, requests_sent, error_ratio, achieved_per_s, p99_ms";

/// What stands for a step in a row about iterations.
const ITERATIONS: i32 = -2;

/// A database opened for reading.
#[derive(Debug)]
pub struct Reader {
    link: RefCell<Link>,
}

impl Reader {
    /// Opens a database that has our tables.
    pub fn open(address: &Address) -> Result<Self, Error> {
        Ok(Self { link: RefCell::new(Link::open(address)?) })
    }

    fn read<T>(&self, work: impl AsyncFnOnce(&Db) -> Result<T, Failure>) -> Result<T, Error> {
        self.link.borrow_mut().transaction(Kind::Read, READ_DEADLINE, work)
    }

    fn place(&self) -> String {
        self.link.borrow().address().to_string()
    }

    /// The run of that name.
    pub fn run(&self, run_id: &str) -> Result<Option<RunRow>, Error> {
        self.read(async |db| {
            let row =
                db.query_opt(&format!("SELECT {RUN} FROM runs WHERE test_run_id = $1"), &[&run_id]).await?;
            Ok(row.as_ref().map(run_row))
        })
    }

    /// As [`crate::Reader::runs`].
    pub fn runs(&self, before: Option<&str>, limit: u32) -> Result<Vec<RunLine>, Error> {
        let limit = i64::from(limit.min(MAX_PAGE + 1));
        let place = self.place();
        self.read(async |db| {
            let rows = match before {
                None => {
                    let newest = format!(
                        "SELECT {LINE} FROM runs ORDER BY created_at DESC, test_run_id COLLATE \"C\" DESC LIMIT $1"
                    );
                    db.query(&newest, &[&limit]).await?
                }
                Some(before) => {
                    exists(db, before, &place).await?;
                    let older = format!(
                        "SELECT {LINE} FROM runs WHERE (created_at, test_run_id COLLATE \"C\") < \
                         (SELECT created_at, test_run_id COLLATE \"C\" FROM runs WHERE test_run_id = $1) \
                         ORDER BY created_at DESC, test_run_id COLLATE \"C\" DESC LIMIT $2"
                    );
                    db.query(&older, &[&before, &limit]).await?
                }
            };
            Ok(rows.iter().map(run_line).collect())
        })
    }

    /// As [`crate::Reader::events`].
    pub fn events(&self, run_id: &str) -> Result<Vec<EventRow>, Error> {
        let place = self.place();
        self.read(async |db| {
            exists(db, run_id, &place).await?;
            let events = "SELECT second, (extract(EPOCH FROM timestamp) * 1000)::BIGINT, kind, text, worker_id \
                          FROM run_events WHERE test_run_id = $1 ORDER BY id LIMIT $2";
            let rows = db.query(events, &[&run_id, &i64::from(MAX_EVENTS)]).await?;
            let event = |row: &Row| EventRow {
                second: row.get::<_, Option<i32>>(0).map(number),
                unix_ms: row.get(1),
                kind: row.get(2),
                text: row.get(3),
                driver: row.get(4),
            };
            Ok(rows.iter().map(event).collect())
        })
    }

    /// How far each partition has been read.
    pub fn positions(&self) -> Result<Vec<Position>, Error> {
        self.read(async |db| {
            let positions =
                "SELECT topic, partition, next_offset FROM report_position ORDER BY topic COLLATE \"C\", partition";
            let rows = db.query(positions, &[]).await?;
            let position =
                |row: &Row| Position { topic: row.get(0), partition: row.get(1), next_offset: row.get(2) };
            Ok(rows.iter().map(position).collect())
        })
    }

    /// As [`crate::Reader::load`].
    pub fn load(&self, run_id: &str) -> Result<Merged, Error> {
        let place = self.place();
        self.read(async |db| {
            exists(db, run_id, &place).await?;
            let (mut merged, through) = kept(db, run_id, &place).await?;
            after(db, run_id, through, &place, |part| part.add_to(&mut merged)).await?;
            Ok(merged)
        })
    }

    /// As [`crate::Reader::series`].
    pub fn series(
        &self,
        run_id: &str,
        step: Option<StepId>,
        (from_s, to_s): (u32, u32),
        resolution: Resolution,
    ) -> Result<Vec<Point>, Error> {
        let place = self.place();
        self.read(async |db| {
            exists(db, run_id, &place).await?;
            let last = "SELECT max(second) FROM run_drivers WHERE test_run_id = $1";
            let last = db.query(last, &[&run_id]).await?;
            let last = last.first().and_then(|row| row.get::<_, Option<i32>>(0)).map(number);
            let end_s = last.map_or(0, |last| last.saturating_add(1));
            let (to_s, cut) = (to_s.min(end_s), to_s < end_s);
            let count = to_s.saturating_sub(from_s).div_ceil(resolution.seconds());
            if count > MAX_POINTS {
                return Err(Error::TooManyPoints { points: count }.into());
            }
            let series = Series { db, run_id, place: &place };
            series.points(step, (from_s, to_s), resolution, cut).await
        })
    }

    /// As [`crate::Reader::seconds`].
    pub fn seconds(&self, run_id: &str, mut each: impl FnMut(u32, &DriverWindow)) -> Result<(), Error> {
        let place = self.place();
        self.read(async |db| {
            exists(db, run_id, &place).await?;
            let mut open: Option<DriverWindow> = None;
            let rows = "SELECT second, step_number, measured FROM run_windows WHERE test_run_id = $1 \
                        UNION ALL SELECT second, -2, measured FROM run_iterations WHERE test_run_id = $1 ORDER BY 1";
            stream(db, rows, &[&run_id], |row| {
                let second = number(row.get(0));
                if let Some(whole) = open.take_if(|open| open.from_s != second) {
                    each(whole.from_s, &whole);
                }
                let mut part = DriverWindow { from_s: second, to_s: second + 1, ..DriverWindow::default() };
                match row.get::<_, i32>(1) {
                    ITERATIONS => part.stages.push(stage(row, 2, &place)?),
                    _ => part.steps.push(step_of(row, 2, &place)?),
                }
                match &mut open {
                    Some(open) => open.merge(part),
                    None => open = Some(part),
                }
                Ok(())
            })
            .await?;
            if let Some(last) = open {
                each(last.from_s, &last);
            }
            Ok(())
        })
    }

    /// As [`crate::Reader::driver_seconds`].
    pub fn driver_seconds(&self, run_id: &str, mut each: impl FnMut(&DriverSecond)) -> Result<(), Error> {
        let place = self.place();
        self.read(async |db| {
            exists(db, run_id, &place).await?;
            let mut open: Option<DriverSecond> = None;
            let rows = "SELECT second, worker_id, in_flight, queued, connections, measured, coalesce(memory_bytes, 0) \
                        FROM run_drivers WHERE test_run_id = $1 AND second IS NOT NULL ORDER BY second, worker_id COLLATE \"C\"";
            stream(db, rows, &[&run_id], |row| {
                let (second, node_id): (u32, &str) = (number(row.get(0)), row.get(1));
                if let Some(whole) = open.take_if(|open| open.second != second || open.node_id != node_id) {
                    each(&whole);
                }
                let whole = open.get_or_insert_with(|| DriverSecond::new(second, node_id));
                whole.totals.merge(&driver(row, 5, &place)?);
                let gauge = |column: usize| u32::try_from(row.get::<_, i64>(column)).unwrap_or(u32::MAX);
                let (in_flight, queued, connections) = (gauge(2), gauge(3), gauge(4));
                let memory_bytes = u64::try_from(row.get::<_, i64>(6)).unwrap_or(0);
                whole.raise(&Gauges { in_flight, queued, connections, memory_bytes, ..Gauges::default() });
                Ok(())
            })
            .await?;
            if let Some(last) = open {
                each(&last);
            }
            Ok(())
        })
    }

    /// As [`crate::Reader::events_stored`].
    pub fn events_stored(&self, run_id: &str) -> Result<u64, Error> {
        self.read(async |db| {
            let rows = "SELECT coalesce(sum(rows), 0)::BIGINT FROM ingest_batch WHERE test_run_id = $1";
            let row = db.query_opt(rows, &[&run_id]).await?;
            Ok(row.map_or(0, |row| u64::try_from(row.get::<_, i64>(0)).unwrap_or(0)))
        })
    }

    /// As [`crate::Reader::runs_with_events`].
    pub fn runs_with_events(&self) -> Result<Vec<String>, Error> {
        self.read(async |db| {
            let layout = db.query_opt("SELECT to_regclass('run_partition') IS NOT NULL", &[]).await?;
            let runs = if layout.is_some_and(|row| row.get(0)) {
                "SELECT test_run_id FROM run_partition ORDER BY test_run_id COLLATE \"C\""
            } else {
                "SELECT test_run_id FROM (SELECT DISTINCT test_run_id FROM perf_results) AS runs \
                 ORDER BY test_run_id COLLATE \"C\""
            };
            Ok(db.query(runs, &[]).await?.iter().map(|row| row.get(0)).collect())
        })
    }
}

fn run_row(row: &Row) -> RunRow {
    RunRow {
        run_id: row.get(0),
        plan_name: row.get(1),
        plan_source: row.get(2),
        state: row.get(3),
        created_ms: row.get(4),
        started_ms: row.get(5),
        ended_ms: row.get(6),
        loop_kind: row.get(7),
        drivers: row.get(8),
        extras: row.get(9),
        verdict: row.get(10),
        figures: figures(row, 11),
    }
}

fn run_line(row: &Row) -> RunLine {
    RunLine {
        run_id: row.get(0),
        plan_name: row.get(1),
        state: row.get(2),
        created_ms: row.get(3),
        started_ms: row.get(4),
        ended_ms: row.get(5),
        loop_kind: row.get(6),
        drivers: row.get(7),
        verdict: row.get(8),
        figures: figures(row, 9),
    }
}

/// The four columns from `first` on.
fn figures(row: &Row, first: usize) -> Figures {
    Figures {
        requests_sent: row.get::<_, Option<i64>>(first).map(|sent| u64::try_from(sent).unwrap_or(0)),
        error_ratio: row.get(first + 1),
        achieved_per_s: row.get(first + 2),
        p99_ms: row.get(first + 3),
    }
}

/// A second, which the database has as a signed number.
pub(super) fn number(second: i32) -> u32 {
    u32::try_from(second).unwrap_or(0)
}

pub(super) fn signed(second: u32) -> i32 {
    i32::try_from(second).unwrap_or(i32::MAX)
}

async fn exists(db: &Db, run_id: &str, place: &str) -> Result<(), Failure> {
    match db.query_opt("SELECT 1 FROM runs WHERE test_run_id = $1", &[&run_id]).await? {
        Some(_) => Ok(()),
        None => Err(Error::UnknownRun { run_id: run_id.to_owned(), path: place.into() }.into()),
    }
}

/// The last rows that are in something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Through {
    pub(super) windows: i64,
    pub(super) iterations: i64,
    pub(super) drivers: i64,
}

/// One row of what was measured.
pub(super) enum Part {
    /// With its second.
    Step(u32, StepWindow),
    Stage(StageWindow),
    /// With its second, but for what a driver said at its end.
    Driver(Option<u32>, String, DriverTotals),
}

impl Part {
    pub(super) fn add_to(self, merged: &mut Merged) {
        match self {
            Self::Step(_, window) => merged.add_step(&window),
            Self::Stage(window) => merged.add_stage(&window),
            Self::Driver(_, node_id, totals) => merged.driver(&node_id).merge(&totals),
        }
    }
}

/// The checkpoint of the run, and what is in it.
pub(super) async fn kept(db: &Db, run_id: &str, place: &str) -> Result<(Merged, Through), Failure> {
    let kept = "SELECT merged, windows_through, iterations_through, drivers_through FROM run_checkpoint \
                WHERE test_run_id = $1";
    let Some(row) = db.query_opt(kept, &[&run_id]).await? else {
        return Ok((Merged::new(), Through::default()));
    };
    let merged = codec::decode_merged(row.get(0)).map_err(|fault| damaged(place, &fault))?;
    Ok((merged, Through { windows: row.get(1), iterations: row.get(2), drivers: row.get(3) }))
}

/// Hands over all rows of the run after those, and says which were the last.
pub(super) async fn after(
    db: &Db,
    run_id: &str,
    through: Through,
    place: &str,
    mut each: impl FnMut(Part),
) -> Result<Through, Failure> {
    let mut last = through;
    let windows = "SELECT id, second, measured FROM run_windows WHERE test_run_id = $1 AND id > $2";
    stream(db, windows, &[&run_id, &through.windows], |row| {
        last.windows = last.windows.max(row.get(0));
        each(Part::Step(number(row.get(1)), step_of(row, 2, place)?));
        Ok(())
    })
    .await?;
    let iterations = "SELECT id, measured FROM run_iterations WHERE test_run_id = $1 AND id > $2";
    stream(db, iterations, &[&run_id, &through.iterations], |row| {
        last.iterations = last.iterations.max(row.get(0));
        each(Part::Stage(stage(row, 1, place)?));
        Ok(())
    })
    .await?;
    let drivers =
        "SELECT id, second, worker_id, measured FROM run_drivers WHERE test_run_id = $1 AND id > $2";
    stream(db, drivers, &[&run_id, &through.drivers], |row| {
        last.drivers = last.drivers.max(row.get(0));
        let second = row.get::<_, Option<i32>>(1).map(number);
        each(Part::Driver(second, row.get(2), driver(row, 3, place)?));
        Ok(())
    })
    .await?;
    Ok(last)
}

/// Hands over the rows of a query one by one: there may be more than fit into memory.
pub(super) async fn stream(
    db: &Db,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
    mut each: impl FnMut(&Row) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut rows = std::pin::pin!(db.query_raw(sql, values).await?);
    while let Some(row) = rows.try_next().await? {
        each(&row)?;
    }
    Ok(())
}

pub(super) fn step_of(row: &Row, column: usize, place: &str) -> Result<StepWindow, Failure> {
    codec::decode_step(row.get(column)).map_err(|fault| damaged(place, &fault))
}

pub(super) fn stage(row: &Row, column: usize, place: &str) -> Result<StageWindow, Failure> {
    codec::decode_stage(row.get(column)).map_err(|fault| damaged(place, &fault))
}

fn driver(row: &Row, column: usize, place: &str) -> Result<DriverTotals, Failure> {
    codec::decode_driver(row.get(column)).map_err(|fault| damaged(place, &fault))
}

pub(super) fn damaged(place: &str, fault: &codec::DecodeError) -> Failure {
    Fault::Damaged { place: place.to_owned(), detail: fault.to_string() }.into()
}
