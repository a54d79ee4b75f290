//! Points that are kept ready, as rows.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension};

use super::each_blob;
use super::windows::Through;

/// The last rows that are in the points of the run; none where no point was ever kept.
pub(crate) fn kept(connection: &Connection, run: i64) -> rusqlite::Result<Through> {
    let kept = connection
        .prepare_cached("SELECT windows_through, drivers_through FROM kept WHERE run = ?1")?
        .query_row([run], |row| Ok(Through { windows: row.get(0)?, drivers: row.get(1)? }))
        .optional()?;
    Ok(kept.unwrap_or_default())
}

/// Says that the points of the run hold all rows up to and with these.
pub(crate) fn set_kept(connection: &Connection, run: i64, through: Through) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO kept (run, windows_through, drivers_through) VALUES (?1, ?2, ?3)",
        )?
        .execute((run, through.windows, through.drivers))
        .map(drop)
}

/// The seconds that have rows after those, of all steps together, of iterations or of drivers.
pub(crate) fn seconds_after(
    connection: &Connection,
    run: i64,
    through: Through,
) -> rusqlite::Result<BTreeSet<u32>> {
    // By these indices alone: a second of 500 steps has two entries in the first, and 500 rows.
    let mut seconds = connection.prepare_cached(
        "SELECT second FROM window INDEXED BY window_by_second WHERE run = ?1 AND step IN (-1, -2) AND id > ?2 \
         UNION \
         SELECT second FROM driver_second INDEXED BY driver_second_by_second \
         WHERE run = ?1 AND second >= 0 AND id > ?3",
    )?;
    seconds.query_map((run, through.windows, through.drivers), |row| row.get(0))?.collect()
}

/// Sets the point of the run that begins at `second`.
pub(crate) fn set(
    connection: &Connection,
    run: i64,
    (resolution, second): (u32, u32),
    figures: &[u8],
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO point (run, resolution, second, figures) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((run, resolution, second, figures))
        .map(drop)
}

/// Hands over the points of the run with `from <= second < to`, by second.
pub(crate) fn span<E>(
    connection: &Connection,
    (run, resolution): (i64, u32),
    (from, to): (u32, u32),
    each: impl FnMut(u32, &[u8]) -> Result<(), E>,
    failed: impl Fn(rusqlite::Error) -> E,
) -> Result<(), E> {
    let span = connection
        .prepare_cached(
            "SELECT second, figures FROM point WHERE run = ?1 AND resolution = ?2 AND second >= ?3 AND second < ?4 \
             ORDER BY second",
        )
        .map_err(&failed)?;
    each_blob(span, (run, resolution, from, to), each, failed)
}
