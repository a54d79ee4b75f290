//! A driver's batch as one entry: JSON around the Arrow bytes, with the identity by which it lands once.
//!
//! One entry, so that no relay can tear a batch apart; JSON and Base64, since Scribe servers write entries as lines of
//! text. Invariant: what is read back is the batch that was written, or an error.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use events::{Batch, Identity};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::{NO_NAME, is_name};

/// The category of these entries.
pub const CATEGORY: &str = "swell.events";

/// The entry's message.
#[derive(Debug, Serialize, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    test_run_id: Cow<'a, str>,
    #[serde(borrow)]
    worker_id: Cow<'a, str>,
    /// The process of the driver, and the number of the batch in it; a batch without them is stored each time it comes.
    #[serde(borrow)]
    incarnation: Option<Cow<'a, str>>,
    number: Option<u64>,
    rows: usize,
    /// Of the Arrow bytes (CRC-32/ISO-HDLC, as in zlib).
    crc32: u32,
    /// The rows, as `events::encode` writes them, in Base64.
    #[serde(borrow)]
    arrow: Cow<'a, str>,
}

/// Why a message is no batch, or a batch no message.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("it is no batch: {0}")]
    Json(#[from] serde_json::Error),
    #[error("`{0}` {NO_NAME}")]
    Name(&'static str),
    #[error("`incarnation` is no UUID, or has no `number` beside it")]
    Identity,
    #[error("`arrow` is no Base64: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error("the checksum is {found:#010x} and not {stated:#010x}: bytes were changed on the way")]
    Checksum { stated: u32, found: u32 },
    #[error(transparent)]
    Arrow(#[from] events::Malformed),
    #[error("it has {found} rows and not {stated}")]
    Rows { stated: usize, found: usize },
}

/// The message of a batch.
///
/// # Errors
/// The rows are not of `events::schema`.
pub fn write(batch: &Batch) -> Result<Vec<u8>, Fault> {
    let arrow = events::encode(&batch.rows)?;
    let message = Message {
        test_run_id: Cow::Borrowed(&batch.run_id),
        worker_id: Cow::Borrowed(&batch.worker_id),
        incarnation: batch.identity.map(|identity| Cow::Owned(identity.incarnation.to_string())),
        number: batch.identity.map(|identity| identity.number),
        rows: batch.len(),
        crc32: crc32fast::hash(&arrow),
        arrow: Cow::Owned(BASE64_STANDARD.encode(&arrow)),
    };
    Ok(serde_json::to_vec(&message)?)
}

/// The batch of a message.
///
/// # Errors
/// It is not as [`write()`] makes it.
pub fn read(message: &[u8]) -> Result<Batch, Fault> {
    let message: Message<'_> = serde_json::from_slice(message)?;
    for (key, name) in [("test_run_id", &message.test_run_id), ("worker_id", &message.worker_id)] {
        if !is_name(name) {
            return Err(Fault::Name(key));
        }
    }
    let identity = match (&message.incarnation, message.number) {
        (None, None) => None,
        (Some(incarnation), Some(number)) => {
            let incarnation = Uuid::try_parse(incarnation).map_err(|_| Fault::Identity)?;
            Some(Identity { incarnation, number })
        }
        _ => return Err(Fault::Identity),
    };
    let arrow = BASE64_STANDARD.decode(&*message.arrow)?;
    let found = crc32fast::hash(&arrow);
    if found != message.crc32 {
        return Err(Fault::Checksum { stated: message.crc32, found });
    }
    let rows = events::decode(arrow)?;
    if rows.num_rows() != message.rows {
        return Err(Fault::Rows { stated: message.rows, found: rows.num_rows() });
    }
    let (run_id, worker_id) = (message.test_run_id.into_owned(), message.worker_id.into_owned());
    Ok(Batch { run_id, worker_id, identity, rows })
}
