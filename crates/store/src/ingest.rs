//! From reports to rows: what is new is merged in memory first, so that a second of many drivers is as few rows as a
//! second of one.
//!
//! Invariant: the rows of a batch are sums of whole reports, each noted in the ledger in the same transaction. Merging
//! is exact and knows no order, so rows of several batches about one second add up to what one batch would have said.

use std::collections::BTreeMap;
use std::path::Path;

use metrics::{DriverTotals, Merged, StepWindow, codec};
use plan::{StageId, StepId};
use rusqlite::Connection;

use crate::sql::windows::{self, ALL_STEPS, Checkpoint, DriverSecond, ITERATIONS};
use crate::{Batch, Delivery, Error, Ingested, reader};

/// What the drivers' fresh reports say about one second.
#[derive(Default)]
struct Second {
    merged: Merged,
    states: BTreeMap<String, DriverSecond>,
}

/// Writes the batch, and says what of it was new and how many rows it took. To be called in a transaction.
pub(crate) fn write(connection: &Connection, run: i64, batch: &Batch) -> rusqlite::Result<(Ingested, u64)> {
    let fresh = note_all(connection, run, &batch.deliveries)?;
    let new =
        || batch.deliveries.iter().zip(&fresh).filter_map(|(delivery, fresh)| fresh.then_some(delivery));

    let mut seconds: BTreeMap<u32, Second> = BTreeMap::new();
    for delivery in new() {
        let Some(window) = &delivery.window else { continue };
        let second = seconds.entry(window.from_s).or_default();
        second.merged.add(&delivery.node_id, window);
        // A further part of a window carries no gauges.
        let state = second.states.entry(delivery.node_id.clone()).or_insert(DriverSecond::at(window.from_s));
        state.in_flight = state.in_flight.max(window.gauges.in_flight);
        state.queued = state.queued.max(window.gauges.queued);
        state.connections = state.connections.max(window.gauges.connections);
    }
    let mut rows = 0;
    for (at, second) in &seconds {
        rows += write_second(connection, run, *at, second)?;
    }
    for (node_id, totals) in new().filter_map(|delivery| Some((&delivery.node_id, delivery.totals.as_ref()?)))
    {
        let mut driver = DriverTotals::default();
        driver.finish(totals);
        windows::insert_driver(connection, run, node_id, None, &codec::encode_driver(&driver))?;
        rows += 1;
    }
    for position in &batch.positions {
        windows::set_position(connection, position)?;
    }
    Ok((Ingested { fresh }, rows))
}

fn note_all(connection: &Connection, run: i64, deliveries: &[Delivery]) -> rusqlite::Result<Vec<bool>> {
    let mut sources = BTreeMap::new();
    let mut fresh = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let identity = &delivery.identity;
        let key = (delivery.node_id.as_str(), identity.incarnation);
        let source = match sources.get(&key) {
            Some(source) => *source,
            None => {
                let source = windows::source(connection, run, &delivery.node_id, identity.incarnation)?;
                sources.insert(key, source);
                source
            }
        };
        fresh.push(windows::note(connection, source, identity.seq, identity.part)?);
    }
    Ok(fresh)
}

fn write_second(connection: &Connection, run: i64, at: u32, second: &Second) -> rusqlite::Result<u64> {
    let mut rows = 0;
    let mut all: BTreeMap<StageId, StepWindow> = BTreeMap::new();
    for (&(stage, step), window) in &second.merged.steps {
        windows::insert(connection, run, (i64::from(step.0), stage.0, at), &codec::encode_step(window))?;
        if step.group().is_none() {
            all.entry(stage).or_insert_with(|| StepWindow::new(StepId(0), stage)).merge(window);
        }
        rows += 1;
    }
    for (stage, window) in &all {
        windows::insert(connection, run, (ALL_STEPS, stage.0, at), &codec::encode_step(window))?;
        rows += 1;
    }
    for (stage, window) in &second.merged.stages {
        windows::insert(connection, run, (ITERATIONS, stage.0, at), &codec::encode_stage(window))?;
        rows += 1;
    }
    for (node_id, totals) in &second.merged.drivers {
        let state = second.states.get(node_id);
        windows::insert_driver(connection, run, node_id, state, &codec::encode_driver(totals))?;
        rows += 1;
    }
    Ok(rows)
}

/// Makes a checkpoint of all rows of the run. To be called in a transaction.
pub(crate) fn checkpoint(connection: &Connection, run: i64, path: &Path) -> Result<(), Error> {
    let through = windows::last(connection, run).map_err(|source| Error::of(path, source))?;
    let merged = codec::encode_merged(&reader::merged(connection, run, path)?);
    windows::set_checkpoint(connection, run, &Checkpoint { through, merged })
        .map_err(|source| Error::of(path, source))
}
