//! Every SQL statement of the program.
//!
//! Functions here take a connection, say one thing to it and give back plain rows; what the rows mean is decided by
//! their callers. Invariant: no other module contains SQL.

use rusqlite::{CachedStatement, Params, Row};

pub(crate) mod schema;
pub(crate) mod runs;
pub(crate) mod windows;
pub(crate) mod events;
pub(crate) mod points;

/// Hands over the rows of a query of a second and a blob.
fn each_blob<E>(
    mut statement: CachedStatement<'_>,
    parameters: impl Params,
    mut each: impl FnMut(u32, &[u8]) -> Result<(), E>,
    failed: impl Fn(rusqlite::Error) -> E,
) -> Result<(), E> {
    let mut rows = statement.query(parameters).map_err(&failed)?;
    while let Some(row) = rows.next().map_err(&failed)? {
        let second = row.get(0).map_err(&failed)?;
        each(second, blob(row, 1).map_err(&failed)?)?;
    }
    Ok(())
}

fn blob<'r>(row: &'r Row<'_>, column: usize) -> rusqlite::Result<&'r [u8]> {
    Ok(row.get_ref(column)?.as_blob()?)
}
