//! From seconds to rows.
//!
//! Invariant: the rows of a batch are sums of whole reports, each noted in the ledger in the same transaction.

use std::collections::BTreeMap;
use std::path::Path;

use metrics::codec;
use rusqlite::Connection;

use super::reader;
use super::sql::windows::{self, ALL_STEPS, Checkpoint, ITERATIONS};
use crate::seconds::{self, Second};
use crate::{Batch, Delivery, Error, Ingested};

/// What a batch came to.
pub(crate) struct Written {
    pub(crate) ingested: Ingested,
    pub(crate) rows: u64,
    /// Run seconds that the rows are of.
    pub(crate) seconds: u64,
}

/// Writes the batch. To be called in a transaction.
pub(crate) fn write(connection: &Connection, run: i64, batch: &Batch) -> rusqlite::Result<Written> {
    let fresh = note_all(connection, run, &batch.deliveries)?;
    let new =
        || batch.deliveries.iter().zip(&fresh).filter_map(|(delivery, fresh)| fresh.then_some(delivery));

    let gathered = seconds::gather(new());
    let mut rows = 0;
    for (at, second) in &gathered {
        rows += write_second(connection, run, *at, second)?;
    }
    for (node_id, driver) in seconds::ends(new()) {
        windows::insert_driver(connection, run, node_id, None, &codec::encode_driver(&driver))?;
        rows += 1;
    }
    for position in &batch.positions {
        windows::set_position(connection, position)?;
    }
    Ok(Written { ingested: Ingested { fresh }, rows, seconds: gathered.len() as u64 })
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
    for (&(stage, step), window) in &second.merged.steps {
        windows::insert(connection, run, (i64::from(step.0), stage.0, at), &codec::encode_step(window))?;
        rows += 1;
    }
    for (stage, window) in &second.all_steps() {
        windows::insert(connection, run, (ALL_STEPS, stage.0, at), &codec::encode_step(window))?;
        rows += 1;
    }
    for (stage, window) in &second.merged.stages {
        windows::insert(connection, run, (ITERATIONS, stage.0, at), &codec::encode_stage(window))?;
        rows += 1;
    }
    for (node_id, totals) in &second.merged.drivers {
        let state = second.states.get(node_id).map(|state| (at, state));
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
