//! The compact binary form of measurements, for messages and for the store.
//!
//! Every encoding begins with a version and a kind. Numbers are LEB128 varints. A histogram is its bins in ascending
//! order, each as the distance to the one before and its count, in one varint where the count is 1. What is decoded has
//! been checked: ascending rows, bins that exist, sums that a timing can have.
//!
//! Invariant: any bytes decode to a value or an error, without a panic, and within [`memory_bytes_max`]. Deliberately absent: compression, text forms and division into parts, which
//! belong to `transport`.

use crate::{Cause, DriverTotals, DriverWindow, Merged, StageWindow, StepWindow, Timing, Totals};

mod bytes;
mod parts;

use bytes::{Reader, Writer};

/// The newest version. Version 1 has no phases, and no gauges of starved and stolen CPU; version 2 no raw events among
/// totals; version 3 no gauge of memory.
pub const VERSION: u8 = 4;

/// The oldest version that is read.
const OLDEST_VERSION: u8 = 1;

/// The version that brought what version 1 lacks.
const SINCE_2: u8 = 2;

/// The version that brought raw events.
const SINCE_3: u8 = 3;

/// The version that brought the memory of a driver's process.
const SINCE_4: u8 = 4;

/// The kind in which gauges are.
const WITH_GAUGES: u8 = 1;

/// The first kind in which totals are. Others are as in version 2, and are written so.
const FIRST_WITH_TOTALS: u8 = 5;

/// The version in which a kind is written: the one that changed it last.
const fn version_of(kind: u8) -> u8 {
    match kind {
        WITH_GAUGES => SINCE_4,
        FIRST_WITH_TOTALS.. => SINCE_3,
        _ => SINCE_2,
    }
}

/// Rows or stages of one window: as many as their ids can name.
const MAX_ROWS: usize = 1 << 16;

/// Different outcomes of a row: every three-digit status twice, and the rest of the list.
const MAX_OUTCOMES: usize = 4096;

/// Sets of causes that seconds of a driver were noted for: as many as there are.
const MAX_CAUSE_SETS: usize = 1 << Cause::ALL.len();

/// Drivers of a run.
const MAX_DRIVERS: usize = 1 << 16;

/// Bytes of a node id.
const MAX_NAME_BYTES: usize = 1024;

/// The most memory that decoding takes: bins need 16 bytes for one of the input, empty rows 48 for each of the 11 that
/// they have at least, and rows of a run are held twice for a moment.
pub const fn memory_bytes_max(input_bytes: usize) -> usize {
    input_bytes.saturating_mul(128).saturating_add(16 << 10)
}

/// Why bytes were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a version that this one does not read.
    #[error("unknown version {0} of a measurement")]
    Version(u8),
    /// Another kind of value.
    #[error("kind {found} of a measurement where {expected} was expected")]
    Kind {
        /// What was asked for.
        expected: u8,
        /// What the bytes say.
        found: u8,
    },
    /// The bytes end too early.
    #[error("measurement is cut off")]
    Truncated,
    /// A length above its limit, or above what the bytes left could hold.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// A value that cannot be.
    #[error("impossible {0}")]
    Invalid(&'static str),
    /// Bytes after the end.
    #[error("bytes after the end of a measurement")]
    Trailing,
}

trait Coded: Sized {
    fn put(&self, to: &mut Writer);
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

fn encode<T: Coded>(kind: u8, value: &T) -> Vec<u8> {
    let mut to = Writer::default();
    to.byte(version_of(kind));
    to.byte(kind);
    value.put(&mut to);
    to.into_bytes()
}

fn decode<T: Coded>(kind: u8, bytes: &[u8]) -> Result<T, DecodeError> {
    let mut from = Reader::new(bytes)?;
    match from.byte()? {
        found if found == kind => {}
        found => return Err(DecodeError::Kind { expected: kind, found }),
    }
    let value = T::get(&mut from)?;
    from.end()?;
    Ok(value)
}

macro_rules! coded {
    ($($kind:literal $what:literal: $type:ty, $encode:ident, $decode:ident;)*) => {$(
        #[doc = concat!("The bytes of ", $what, ".")]
        pub fn $encode(value: &$type) -> Vec<u8> {
            encode($kind, value)
        }

        #[doc = concat!("Reads ", $what, ".")]
        #[doc = ""]
        #[doc = "# Errors"]
        #[doc = "When the bytes are not what its counterpart writes."]
        pub fn $decode(bytes: &[u8]) -> Result<$type, DecodeError> {
            decode($kind, bytes)
        }
    )*};
}

coded! {
    1 "a window, or a part of one": DriverWindow, encode_window, decode_window;
    2 "the measurements of a step": StepWindow, encode_step, decode_step;
    3 "the measurements of a stage": StageWindow, encode_stage, decode_stage;
    4 "a timing": Timing, encode_timing, decode_timing;
    5 "a driver's final totals": Totals, encode_totals, decode_totals;
    6 "all that one driver did in a run": DriverTotals, encode_driver, decode_driver;
    7 "a whole run": Merged, encode_merged, decode_merged;
}
