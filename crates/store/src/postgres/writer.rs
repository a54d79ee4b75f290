//! Writing runs and what was measured of them.
//!
//! Several processes may write to one database, each run by one of them: whoever holds the lock on a run, which the server
//! drops with its connection. What is said of runs is on the server's disk when a call returns, and with it everything
//! committed before; windows alone are not, since they share their transaction with the positions in the log.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use metrics::{Gauges, Merged, StepWindow, codec};
use plan::{Plan, StageId, StepId};
use uuid::Uuid;

use super::copy::clean;
use super::error::Failure;
use super::reader;
use super::series::Series;
use super::session::{DEADLINE, Db, Kind, Link};
use super::windows::{Drivers, Errors, Iterations, Named, Table, Windows};
use super::{Address, Events, Fault, Reader};
use crate::seconds::{self, Second};
use crate::{Batch, Delivery, Error, EventRow, Ingested, Position, RunRow};

/// Rows added to a run after which its totals are checkpointed, as in a data folder.
const ROWS_PER_CHECKPOINT: u64 = 30_000;
const MINUTE: u32 = 60;

/// A database opened for writing.
#[derive(Debug)]
pub struct Store {
    link: Link,
    store_id: String,
    /// Runs that this process writes, with what need not be asked for again.
    runs: HashMap<String, Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// `None` also when this version cannot read it.
    plan: Option<Arc<Plan>>,
    plan_is_known: bool,
    rows_since_checkpoint: u64,
    /// The last minute that was checkpointed whole.
    minute: u32,
}

/// What the database says of a run when something is added to it.
struct Row {
    start_us: i64,
    ended: bool,
    plan_source: Option<String>,
}

impl Store {
    /// Opens a database that has our tables.
    pub fn open(address: &Address) -> Result<Self, Error> {
        let mut link = Link::open(address)?;
        let store_id = link.transaction(Kind::Read, DEADLINE, async |db| {
            let row = db.query_opt("SELECT value FROM swell_meta WHERE key = 'store_id'", &[]).await?;
            Ok(row.map_or_else(|| Uuid::nil().to_string(), |row| row.get(0)))
        })?;
        // A standby would be noticed by the first write, which may be long after.
        link.transaction(Kind::Durable, DEADLINE, async |db| {
            Ok(db.execute("UPDATE swell_meta SET value = value WHERE key = 'store_id'", &[]).await?)
        })?;
        Ok(Self { link, store_id, runs: HashMap::new() })
    }

    /// Names this store among all others (a UUID); the same each time it is opened.
    pub fn store_id(&self) -> &str {
        &self.store_id
    }

    /// A new reading connection, to be used beside this writer or sent to another thread.
    pub fn reader(&self) -> Result<Reader, Error> {
        Reader::open(self.link.address())
    }

    /// Where raw events go, over a connection of its own; `name` is what other collectors know this one by.
    pub fn events(&self, name: &str) -> Result<Events, Error> {
        Events::open(self.link.address(), name)
    }

    /// Whether this process may write the run: no other one does.
    pub fn take_run(&mut self, run_id: &str) -> Result<bool, Error> {
        match self.link.hold(run_id) {
            Ok(()) => Ok(true),
            Err(Error::Postgres(Fault::RunInUse { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Adds a run; on the disk when it returns. Nobody writes it yet.
    pub fn create_run(&mut self, run: &RunRow) -> Result<(), Error> {
        let (sent, figures) = (requests_sent(run), run.figures);
        let exists = Error::RunExists { run_id: run.run_id.clone(), path: self.place() };
        self.link.transaction(Kind::Durable, DEADLINE, async |db| {
            let added = db
                .execute(
                    "INSERT INTO runs (test_run_id, plan_name, plan_source, state, created_at, started_at, ended_at, \
                     loop_kind, drivers, extras, verdict, requests_sent, error_ratio, achieved_per_s, p99_ms) \
                     VALUES ($1, $2, $3, $4, \
                     TIMESTAMPTZ 'epoch' + $5::BIGINT * INTERVAL '1 millisecond', \
                     TIMESTAMPTZ 'epoch' + $6::BIGINT * INTERVAL '1 millisecond', \
                     TIMESTAMPTZ 'epoch' + $7::BIGINT * INTERVAL '1 millisecond', $8, $9, $10, $11, $12, $13, $14, $15) \
                     ON CONFLICT DO NOTHING",
                    &[
                        &run.run_id, &clean(&run.plan_name), &clean(&run.plan_source), &run.state, &run.created_ms,
                        &run.started_ms, &run.ended_ms, &run.loop_kind, &run.drivers, &run.extras, &run.verdict,
                        &sent, &figures.error_ratio, &figures.achieved_per_s, &figures.p99_ms,
                    ],
                )
                .await?;
            if added == 0 { Err(exists.into()) } else { Ok(()) }
        })
    }

    /// Replaces everything said of the run `run.run_id`; on the disk when it returns, with all windows stored before.
    /// A run that ends by it (`ended_ms`) is checkpointed, so that opening it later reads few rows.
    pub fn update_run(&mut self, run: &RunRow) -> Result<(), Error> {
        let (sent, figures) = (requests_sent(run), run.figures);
        let unknown = Error::UnknownRun { run_id: run.run_id.clone(), path: self.place() };
        self.write(&run.run_id, async |db| {
            let changed = db
                .execute(
                    "UPDATE runs SET plan_name = $2, plan_source = $3, state = $4, \
                     created_at = TIMESTAMPTZ 'epoch' + $5::BIGINT * INTERVAL '1 millisecond', \
                     started_at = TIMESTAMPTZ 'epoch' + $6::BIGINT * INTERVAL '1 millisecond', \
                     ended_at = TIMESTAMPTZ 'epoch' + $7::BIGINT * INTERVAL '1 millisecond', loop_kind = $8, \
                     drivers = $9, extras = $10, verdict = $11, requests_sent = $12, error_ratio = $13, achieved_per_s = $14, \
                     p99_ms = $15 WHERE test_run_id = $1",
                    &[
                        &run.run_id, &clean(&run.plan_name), &clean(&run.plan_source), &run.state, &run.created_ms,
                        &run.started_ms, &run.ended_ms, &run.loop_kind, &run.drivers, &run.extras, &run.verdict,
                        &sent, &figures.error_ratio, &figures.achieved_per_s, &figures.p99_ms,
                    ],
                )
                .await?;
            if changed == 0 { Err(unknown.into()) } else { Ok(()) }
        })?;
        if run.ended_ms.is_some() {
            self.try_checkpoint(&run.run_id);
            self.runs.remove(&run.run_id);
            self.link.let_go(&run.run_id);
        }
        Ok(())
    }

    /// Adds an event to the end of the timeline of a run.
    pub fn add_event(&mut self, run_id: &str, event: &EventRow) -> Result<(), Error> {
        let path = self.place();
        self.write(run_id, async |db| {
            row(db, run_id, true, &path).await?;
            let second = event.second.map(|second| i32::try_from(second).unwrap_or(i32::MAX));
            db.execute(
                "INSERT INTO run_events (test_run_id, timestamp, second, kind, text, worker_id) VALUES ($1, \
                 TIMESTAMPTZ 'epoch' + $2::BIGINT * INTERVAL '1 millisecond', $3, $4, $5, $6)",
                &[&run_id, &event.unix_ms, &second, &event.kind, &clean(&event.text), &event.driver],
            )
            .await?;
            Ok(())
        })
    }

    /// Stores a batch in one transaction: the reports that are new, and the read positions.
    ///
    /// When it fails nothing of it is stored, but for a connection that broke during the commit: the caller keeps the batch
    /// and calls again, and what was stored after all is found to be known.
    pub fn ingest(&mut self, batch: &Batch) -> Result<Ingested, Error> {
        let run_id = batch.run_id.as_str();
        let path = self.place();
        let plan = self.runs.get(run_id).filter(|known| known.plan_is_known).map(|known| known.plan.clone());
        let (ingested, rows, plan, ended) = self.write_as(Kind::Loose, run_id, async |db| {
            let row = row(db, run_id, plan.is_some(), &path).await?;
            let plan = plan.unwrap_or_else(|| {
                plan::parse("stored plan", row.plan_source.as_deref().unwrap_or("")).ok().map(Arc::new)
            });
            let named = Named { run_id, plan: plan.as_deref(), start_us: row.start_us };
            let fresh = note_all(db, run_id, &batch.deliveries).await?;
            let new = || {
                batch.deliveries.iter().zip(&fresh).filter_map(|(delivery, fresh)| fresh.then_some(delivery))
            };
            let mut drivers = Drivers::new(&named);
            for (node_id, totals) in seconds::ends(new()) {
                drivers.push(None, node_id, &Gauges::default(), &totals);
            }
            let rows = write_seconds(db, &named, &seconds::gather(new()), drivers).await?;
            set_positions(db, &batch.positions).await?;
            Ok((Ingested { fresh }, rows, plan, row.ended))
        })?;
        let known = self.runs.entry(run_id.to_owned()).or_default();
        (known.plan, known.plan_is_known) = (plan, true);
        known.rows_since_checkpoint += rows;
        let last = batch
            .deliveries
            .iter()
            .filter_map(|delivery| delivery.window.as_ref())
            .map(|window| window.from_s);
        let minute = last.max().unwrap_or(0) / MINUTE;
        let is_due = known.rows_since_checkpoint >= ROWS_PER_CHECKPOINT || minute > known.minute || ended;
        if rows > 0 && is_due {
            known.minute = known.minute.max(minute);
            self.try_checkpoint(run_id);
        }
        Ok(ingested)
    }

    /// Brings minutes, totals and points of the run up to date, so that [`Reader::load`] and [`Reader::series`] begin from
    /// there.
    pub fn checkpoint(&mut self, run_id: &str) -> Result<(), Error> {
        let path = self.place();
        let plan = self.runs.get(run_id).filter(|known| known.plan_is_known).map(|known| known.plan.clone());
        self.write_as(Kind::Loose, run_id, async |db| {
            let row = row(db, run_id, plan.is_some(), &path).await?;
            let plan = plan.unwrap_or_else(|| {
                plan::parse("stored plan", row.plan_source.as_deref().unwrap_or("")).ok().map(Arc::new)
            });
            let named = Named { run_id, plan: plan.as_deref(), start_us: row.start_us };
            checkpoint(db, &named, &path.display().to_string()).await
        })?;
        if let Some(known) = self.runs.get_mut(run_id) {
            known.rows_since_checkpoint = 0;
        }
        Ok(())
    }

    /// What was written before is in, whatever becomes of the checkpoint: without one, opening the run reads more rows.
    fn try_checkpoint(&mut self, run_id: &str) {
        if let Err(error) = self.checkpoint(run_id) {
            tracing::warn!(run_id, %error, "totals not checkpointed");
        }
    }

    fn place(&self) -> std::path::PathBuf {
        self.link.address().to_string().into()
    }

    fn write<T>(
        &mut self,
        run_id: &str,
        work: impl AsyncFnOnce(&Db) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        self.write_as(Kind::Durable, run_id, work)
    }

    /// Does `work` in a transaction, once the run is this process's to write.
    fn write_as<T>(
        &mut self,
        kind: Kind,
        run_id: &str,
        work: impl AsyncFnOnce(&Db) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        self.link.hold(run_id)?;
        self.link.transaction(kind, DEADLINE, work)
    }
}

fn requests_sent(run: &RunRow) -> Option<i64> {
    run.figures.requests_sent.map(|sent| i64::try_from(sent).unwrap_or(i64::MAX))
}

/// What is said of the run, which stays as it is until the transaction ends.
async fn row(db: &Db, run_id: &str, plan_is_known: bool, path: &std::path::Path) -> Result<Row, Failure> {
    let row = db
        .query_opt(
            "SELECT (extract(EPOCH FROM coalesce(started_at, created_at)) * 1000000)::BIGINT, ended_at IS NOT NULL, \
             CASE WHEN $2 THEN NULL ELSE plan_source END FROM runs WHERE test_run_id = $1 FOR NO KEY UPDATE",
            &[&run_id, &plan_is_known],
        )
        .await?;
    let unknown = || Error::UnknownRun { run_id: run_id.to_owned(), path: path.to_owned() };
    let row = row.ok_or_else(unknown)?;
    Ok(Row { start_us: row.get(0), ended: row.get(1), plan_source: row.get(2) })
}

/// Notes that reports are in, and says which of them are new.
async fn note_all(db: &Db, run_id: &str, deliveries: &[Delivery]) -> Result<Vec<bool>, Failure> {
    let mut sources: BTreeMap<(&str, Uuid), i64> = BTreeMap::new();
    for delivery in deliveries {
        sources.insert((&delivery.node_id, delivery.identity.incarnation), 0);
    }
    let workers: Vec<&str> = sources.keys().map(|(worker, _)| *worker).collect();
    let incarnations: Vec<Uuid> = sources.keys().map(|(_, incarnation)| *incarnation).collect();
    let rows = db
        .query(
            "WITH given AS (SELECT * FROM unnest($2::TEXT[], $3::UUID[]) AS g (worker_id, incarnation)), \
             known AS (SELECT s.id, s.worker_id, s.incarnation FROM report_source s JOIN given USING (worker_id, incarnation) \
             WHERE s.test_run_id = $1), \
             new AS (INSERT INTO report_source (test_run_id, worker_id, incarnation) \
             SELECT $1, worker_id, incarnation FROM given WHERE (worker_id, incarnation) NOT IN \
             (SELECT worker_id, incarnation FROM known) RETURNING id, worker_id, incarnation) \
             SELECT * FROM known UNION ALL SELECT * FROM new",
            &[&run_id, &workers, &incarnations],
        )
        .await?;
    for row in &rows {
        if let Some(source) = sources.get_mut(&(row.get(1), row.get(2))) {
            *source = row.get(0);
        }
    }
    let key = |delivery: &Delivery| {
        let identity = &delivery.identity;
        let source = sources.get(&(delivery.node_id.as_str(), identity.incarnation)).copied().unwrap_or(0);
        (source, identity.seq.cast_signed(), identity.part.cast_signed())
    };
    let keys: Vec<(i64, i64, i32)> = deliveries.iter().map(key).collect();
    let rows = db
        .query(
            "INSERT INTO report_ledger (source, seq, part) SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[], $3::INT[]) \
             ON CONFLICT DO NOTHING RETURNING source, seq, part",
            &[
                &keys.iter().map(|key| key.0).collect::<Vec<_>>(),
                &keys.iter().map(|key| key.1).collect::<Vec<_>>(),
                &keys.iter().map(|key| key.2).collect::<Vec<_>>(),
            ],
        )
        .await?;
    let mut new: std::collections::HashSet<(i64, i64, i32)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    // Of those that are in the batch twice, the first is the new one.
    Ok(keys.iter().map(|key| new.remove(key)).collect())
}

async fn write_seconds(
    db: &Db,
    named: &Named<'_>,
    seconds: &BTreeMap<u32, Second>,
    mut drivers: Drivers<'_>,
) -> Result<u64, Failure> {
    let mut windows = Windows::new(Table::Windows, named);
    let mut together = Windows::new(Table::Seconds, named);
    let mut iterations = Iterations::new(named);
    let mut errors = Errors::new(named);
    for (&at, second) in seconds {
        for window in second.merged.steps.values() {
            windows.push(at, window);
            errors.push(at, window);
        }
        second.all_steps().values().for_each(|window| together.push(at, window));
        second.merged.stages.values().for_each(|window| iterations.push(at, window));
        for (node_id, totals) in &second.merged.drivers {
            let gauges = second.states.get(node_id).copied().unwrap_or_default();
            drivers.push(Some(at), node_id, &gauges, totals);
        }
    }
    let rows = windows.len + together.len + iterations.len + drivers.len;
    windows.send(db).await?;
    together.send(db).await?;
    iterations.send(db).await?;
    errors.send(db).await?;
    drivers.send(db).await?;
    Ok(rows)
}

async fn set_positions(db: &Db, positions: &[Position]) -> Result<(), Failure> {
    for position in positions {
        db.execute(
            "INSERT INTO report_position (topic, partition, next_offset) VALUES ($1, $2, $3) \
             ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset",
            &[&position.topic, &position.partition, &position.next_offset],
        )
        .await?;
    }
    Ok(())
}

/// Adds what came since the last one to the minutes, replaces totals and checkpoint, and keeps the points of what came.
async fn checkpoint(db: &Db, named: &Named<'_>, place: &str) -> Result<(), Failure> {
    let run_id = named.run_id;
    let (mut merged, through) = reader::kept(db, run_id, place).await?;
    let mut minutes: BTreeMap<(u32, StageId, StepId), StepWindow> = BTreeMap::new();
    let mut stale = BTreeSet::new();
    let last = reader::after(db, run_id, through, place, |part| {
        match &part {
            reader::Part::Step(second, window) => {
                let key = (second - second % MINUTE, window.stage, window.step);
                minutes
                    .entry(key)
                    .or_insert_with(|| StepWindow::new(window.step, window.stage))
                    .merge(window);
            }
            reader::Part::Driver(second, ..) => stale.extend(*second),
            reader::Part::Stage(_) => {}
        }
        part.add_to(&mut merged);
    })
    .await?;
    if last == through {
        return Ok(());
    }
    let touched: Vec<i32> =
        minutes.keys().map(|(minute, ..)| i32::try_from(*minute).unwrap_or(i32::MAX)).collect();
    let known = db
        .query(
            "DELETE FROM run_minutes WHERE test_run_id = $1 AND second = ANY ($2) RETURNING second, measured",
            &[&run_id, &touched],
        )
        .await?;
    for row in &known {
        let minute = u32::try_from(row.get::<_, i32>(0)).unwrap_or(0);
        let window = codec::decode_step(row.get(1)).map_err(|fault| reader::damaged(place, &fault))?;
        let key = (minute, window.stage, window.step);
        minutes.entry(key).or_insert_with(|| StepWindow::new(window.step, window.stage)).merge(&window);
    }
    let mut rows = Windows::new(Table::Minutes, named);
    minutes.iter().for_each(|((minute, ..), window)| rows.push(*minute, window));
    rows.send(db).await?;
    replace_totals(db, named, &merged).await?;
    Series { db, run_id, place }.keep(&stale).await?;
    db.execute(
        "INSERT INTO run_checkpoint (test_run_id, windows_through, iterations_through, drivers_through, merged) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (test_run_id) DO UPDATE SET windows_through = excluded.windows_through, \
         iterations_through = excluded.iterations_through, drivers_through = excluded.drivers_through, \
         merged = excluded.merged",
        &[&run_id, &last.windows, &last.iterations, &last.drivers, &codec::encode_merged(&merged)],
    )
    .await?;
    Ok(())
}

async fn replace_totals(db: &Db, named: &Named<'_>, merged: &Merged) -> Result<(), Failure> {
    db.execute("DELETE FROM run_totals WHERE test_run_id = $1", &[&named.run_id]).await?;
    let mut rows = Windows::new(Table::Totals, named);
    merged.steps.values().for_each(|window| rows.push(0, window));
    rows.send(db).await?;
    Ok(())
}
