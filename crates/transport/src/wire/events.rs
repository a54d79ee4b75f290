//! Batches of raw events: the rows as they are, and in headers whose they are.
//!
//! Whoever only routes or counts them need not look at the rows.

use std::str::FromStr;

use uuid::Uuid;

use super::form::MAX_NAME_BYTES;
use super::{Headers, Malformed, Source};
use crate::EventBatch;

const RUN: &str = "run";
const DRIVER: &str = "driver";
const INCARNATION: &str = "incarnation";
const EPOCH: &str = "epoch";
const BATCH: &str = "batch";
const ROWS: &str = "rows";
/// CRC-32 (ISO-HDLC) of the value, in hexadecimal.
const CHECKSUM: &str = "crc32";

pub fn headers(batch: &EventBatch) -> Headers {
    let header = |name: &str, value: String| (name.to_owned(), value);
    vec![
        header(RUN, batch.test_id.clone()),
        header(DRIVER, batch.node_id.clone()),
        header(INCARNATION, batch.incarnation.to_string()),
        header(EPOCH, batch.epoch.to_string()),
        header(BATCH, batch.number.to_string()),
        header(ROWS, batch.rows.to_string()),
        header(CHECKSUM, format!("{:08x}", crc32fast::hash(&batch.bytes))),
    ]
}

/// Spreads the batches of a driver over the partitions.
pub fn key(batch: &EventBatch) -> String {
    format!("{}/{}", batch.node_id, batch.number)
}

pub fn read(headers: &Headers, source: &Source) -> Result<EventBatch, Malformed> {
    let text = |name: &'static str| {
        let found = headers.iter().find(|(found, _)| found == name);
        found
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| source.malformed(name, format!("missing header `{name}`")))
    };
    let name =
        |header: &'static str| match text(header)? {
            name if (1..=MAX_NAME_BYTES).contains(&name.len()) => Ok(name.to_owned()),
            name => Err(source
                .malformed(header, format!("expected 1 to {MAX_NAME_BYTES} bytes, found {}", name.len()))),
        };
    let batch = EventBatch {
        test_id: name(RUN)?,
        node_id: name(DRIVER)?,
        incarnation: number::<Uuid>(source, INCARNATION, text(INCARNATION)?)?,
        epoch: number(source, EPOCH, text(EPOCH)?)?,
        number: number(source, BATCH, text(BATCH)?)?,
        rows: number(source, ROWS, text(ROWS)?)?,
        bytes: source.value.to_vec(),
    };
    let checksum = u32::from_str_radix(text(CHECKSUM)?, 16).ok();
    if checksum != Some(crc32fast::hash(&batch.bytes)) {
        return Err(source.malformed(CHECKSUM, "the rows are not those that were sent"));
    }
    Ok(batch)
}

fn number<T: FromStr>(source: &Source, header: &str, text: &str) -> Result<T, Malformed> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(64).collect();
        source.malformed(header, format!("found {shown:?}"))
    })
}
