//! Whose a run is to write: whoever's connection holds its lock, which the server drops with the connection.

use super::Fault;
use super::error::Failure;
use super::session::Db;

/// Makes the run this connection's to write.
pub(super) async fn take(db: &Db, run_id: &str, place: &str) -> Result<(), Failure> {
    let lock = "SELECT pg_try_advisory_lock(key), key FROM \
                (SELECT hashtextextended(current_schema() || '/' || $1::TEXT, 7) AS key) AS run";
    let Some(row) = db.query_opt(lock, &[&run_id]).await? else { return Ok(()) };
    let (locked, key): (bool, i64) = (row.get(0), row.get(1));
    if locked {
        return Ok(());
    }
    let holder = "SELECT a.application_name, a.pid, coalesce(host(a.client_addr), 'the same machine') \
                  FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.granted \
                  AND l.classid::BIGINT = ($1::BIGINT >> 32) & 4294967295 AND l.objid::BIGINT = $1::BIGINT & 4294967295";
    let holder = db.query_opt(holder, &[&key]).await?;
    let holder = holder.map_or_else(
        || "unknown".to_owned(),
        |row| {
            let (application, pid, from): (String, i32, String) = (row.get(0), row.get(1), row.get(2));
            format!("{application} on {from}, session {pid}")
        },
    );
    Err(Fault::RunInUse { run_id: run_id.to_owned(), place: place.to_owned(), holder }.into())
}

/// Lets others write the run.
pub(super) async fn release(db: &Db, run_id: &str) -> Result<(), Failure> {
    let unlock = "SELECT pg_advisory_unlock(hashtextextended(current_schema() || '/' || $1::TEXT, 7))";
    db.query(unlock, &[&run_id]).await?;
    Ok(())
}
