//! The work of an administrator: making the tables, bringing them up to date, looking at them, dropping old runs.

use std::time::Duration;

use super::error::Failure;
use super::schema::{self, Extension, MIGRATIONS, VERSION, quoted};
use super::session::{ADMIN_DEADLINE, Db, Kind, Link};
use super::{Address, Fault};
use crate::Error;

/// Rows of a chunk that TimescaleDB still keeps in memory while they come.
const ROWS_PER_CHUNK: u64 = 30_000_000;
/// Bounds of a chunk's span: more chunks slow planning down, longer ones are dropped late.
const CHUNK_SECONDS: std::ops::RangeInclusive<u64> = 600..=604_800;
/// Of a database whose rate nobody told.
const DEFAULT_CHUNK_SECONDS: u64 = 86_400;
/// How long dropping a run waits for whoever reads it.
const DROP_LOCK_TIMEOUT: &str = "10s";
/// The role for dashboards.
pub const READER_ROLE: &str = "swell_reader";

/// How a database is to be set up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setup {
    /// Rows per second that are planned for; decides the span of a chunk.
    pub rate: Option<u64>,
    /// For how long raw events are kept, where the database drops them itself.
    pub retention: Option<Duration>,
}

/// What was done, and what could not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The database, with its schema.
    pub place: String,
    /// The schema version before; 0 of an empty database.
    pub from: i32,
    /// The schema version now.
    pub to: i32,
    /// Sentences about what there is now.
    pub notes: Vec<String>,
}

/// Makes the tables. A database that has them is brought up to date.
pub fn init(address: &Address, setup: &Setup) -> Result<Done, Error> {
    let mut link = Link::bare(address)?;
    apply(&mut link, Some(setup))
}

/// Brings the tables up to date.
pub fn migrate(address: &Address) -> Result<Done, Error> {
    let mut link = Link::bare(address)?;
    apply(&mut link, None)
}

fn apply(link: &mut Link, setup: Option<&Setup>) -> Result<Done, Error> {
    let address = link.address().clone();
    link.transaction(Kind::Durable, ADMIN_DEADLINE, async |db| {
        let schema = address.schema.clone().unwrap_or_default();
        // Whoever comes second finds all of it done.
        db.client
            .batch_execute("SELECT pg_advisory_xact_lock(hashtextextended('swell_migration', 0))")
            .await?;
        let applied = schema::applied(db).await?;
        let mut notes = Vec::new();
        let from = match (&applied, setup) {
            (Some(applied), _) => schema::known(&address, applied)?,
            (None, None) => return Err(Fault::NotInitialised { place: address.to_string() }.into()),
            (None, Some(_)) => {
                begin(db, &address, &schema).await?;
                0
            }
        };
        let extension = schema::extension(db).await?;
        let layout =
            if applied.is_none() { extension.clone() } else { kept_layout(db, extension.clone()).await? };
        let chunk_seconds = chunk_seconds(setup.and_then(|setup| setup.rate));
        for migration in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or(0)) {
            let statements = migration.statements(layout.as_ref(), &format!("{chunk_seconds} seconds"));
            db.client.batch_execute(&statements).await?;
            let checksum = migration.checksum();
            db.client
                .execute(
                    "INSERT INTO swell_migration (version, name, checksum) VALUES ($1, $2, $3)",
                    &[&migration.version, &migration.name, &checksum],
                )
                .await?;
        }
        if applied.is_none() {
            finish(db, layout.as_ref(), chunk_seconds, setup, &mut notes).await?;
        }
        grant(db, &schema, &mut notes).await?;
        Ok(Done { place: address.to_string(), from, to: VERSION, notes })
    })
}

/// Makes the schema and the table of migrations, unless somebody else's tables are in the way.
async fn begin(db: &Db, address: &Address, schema: &str) -> Result<(), Failure> {
    // Asked first: whoever may use a schema need not be allowed to make one.
    let there = db.client.query_opt("SELECT 1 FROM pg_namespace WHERE nspname = $1", &[&schema]).await?;
    if there.is_none() {
        db.client.batch_execute(&format!("CREATE SCHEMA {}", quoted(schema))).await?;
    }
    if let Some(what) = foreign(db, schema).await? {
        return Err(Fault::Foreign { place: address.to_string(), what }.into());
    }
    db.client
        .batch_execute(&format!(
            "CREATE TABLE {}.swell_migration (version INT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, \
             applied_at TIMESTAMPTZ NOT NULL DEFAULT now())",
            quoted(schema)
        ))
        .await?;
    Ok(())
}

/// Names of tables and views that we make.
const RELATIONS: [&str; 25] = [
    "perf_results",
    "perf_results_per_second",
    "perf_results_per_minute",
    "perf_results_by_step",
    "runs",
    "run_events",
    "run_windows",
    "run_seconds",
    "run_minutes",
    "run_totals",
    "run_iterations",
    "run_errors",
    "run_drivers",
    "run_checkpoint",
    "run_points",
    "run_partition",
    "report_source",
    "report_ledger",
    "report_position",
    "ingest_collector",
    "ingest_offset",
    "ingest_batch",
    "ingest_poison",
    "swell_meta",
    "swell_migration",
];

/// Columns that queries for `perf_results` rely on.
const ROW_COLUMNS: [(&str, &str); 14] = [
    ("timestamp", "timestamp with time zone"),
    ("test_run_id", "text"),
    ("worker_id", "text"),
    ("endpoint", "text"),
    ("latency_ms", "integer"),
    ("status_code", "integer"),
    ("response_time_us", "bigint"),
    ("service_time_us", "bigint"),
    ("send_lag_us", "bigint"),
    ("bytes_in", "integer"),
    ("bytes_out", "integer"),
    ("error", "text"),
    ("connection_wait_us", "bigint"),
    ("stage", "text"),
];

/// What is there under our names and not ours, in words.
async fn foreign(db: &Db, schema: &str) -> Result<Option<String>, Failure> {
    let names: Vec<&str> = RELATIONS.to_vec();
    let rows = db
        .client
        .query(
            "SELECT c.relname::TEXT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1 AND c.relname = ANY ($2) ORDER BY 1",
            &[&schema, &names],
        )
        .await?;
    let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    if found.is_empty() {
        return Ok(None);
    }
    let mut what = format!("in schema {schema} {}", found.join(", "));
    if found.iter().any(|name| name == "perf_results") {
        let rows = db
            .client
            .query(
                "SELECT column_name::TEXT, data_type::TEXT FROM information_schema.columns \
                 WHERE table_schema = $1 AND table_name = 'perf_results' ORDER BY ordinal_position",
                &[&schema],
            )
            .await?;
        let columns: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        what.push_str(&format!(" ({})", differences(&columns)));
    }
    Ok(Some(what))
}

/// How the columns of a `perf_results` differ from ours.
fn differences(columns: &[(String, String)]) -> String {
    let mut said = Vec::new();
    for (name, kind) in ROW_COLUMNS {
        match columns.iter().find(|(found, _)| found == name) {
            None => said.push(format!("it lacks {name}")),
            Some((_, found)) if found != kind => said.push(format!("its {name} is {found} and not {kind}")),
            Some(_) => {}
        }
    }
    let more = columns.iter().filter(|(name, _)| ROW_COLUMNS.iter().all(|(ours, _)| ours != name));
    said.extend(more.map(|(name, _)| format!("it has {name}")));
    if said.is_empty() { "with our columns".to_owned() } else { said.join(", ") }
}

/// The seconds of a chunk for so many rows per second.
fn chunk_seconds(rate: Option<u64>) -> u64 {
    rate.map_or(DEFAULT_CHUNK_SECONDS, |rate| {
        (ROWS_PER_CHUNK / rate.max(1)).clamp(*CHUNK_SECONDS.start(), *CHUNK_SECONDS.end())
    })
}

/// The extension, where the tables were made for it.
async fn kept_layout(db: &Db, extension: Option<Extension>) -> Result<Option<Extension>, Failure> {
    let layout = db.client.query_opt("SELECT value FROM swell_meta WHERE key = 'layout'", &[]).await?;
    Ok(extension.filter(|_| layout.is_some_and(|row| row.get::<_, &str>(0) == "timescale")))
}

/// What a new database gets beside its tables.
async fn finish(
    db: &Db,
    extension: Option<&Extension>,
    chunk_seconds: u64,
    setup: Option<&Setup>,
    notes: &mut Vec<String>,
) -> Result<(), Failure> {
    let layout = if extension.is_some() { "timescale" } else { "plain" };
    let store_id = uuid::Uuid::now_v7().to_string();
    for (key, value) in [("layout", layout), ("store_id", &store_id)] {
        db.client.execute("INSERT INTO swell_meta (key, value) VALUES ($1, $2)", &[&key, &value]).await?;
    }
    let retention = setup.and_then(|setup| setup.retention);
    let Some(extension) = extension else {
        notes.push(
            "plain PostgreSQL: perf_results has a partition per run, and views instead of aggregates"
                .to_owned(),
        );
        let installed = "SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'";
        if db.client.query_opt(installed, &[]).await?.is_some() {
            notes.push(
                "TimescaleDB is installed on this server and not in this database: to use it, CREATE EXTENSION \
                 timescaledb in an empty one and init there"
                    .to_owned(),
            );
        }
        if retention.is_some() {
            notes.push(
                "without TimescaleDB nothing is dropped by itself: call `swell db prune` by cron".to_owned(),
            );
        }
        return Ok(());
    };
    notes.push(format!("TimescaleDB {}: chunks of {chunk_seconds} s", extension.version));
    if !extension.is_community {
        notes.push(
            "its edition (Apache 2) has no columnstore, retention policies or continuous aggregates: views stand \
             for these, and `swell db prune` drops old runs"
                .to_owned(),
        );
        return Ok(());
    }
    let section = if extension.has_columnstore() { "columnstore" } else { "compression" };
    let after = format!("{} seconds", (2 * chunk_seconds).max(7200));
    db.client.batch_execute(&schema::section(section).replace("{columnstore_after}", &after)).await?;
    notes.push(format!("rows older than {after} go into the {section}"));
    if let Some(retention) = retention {
        let retention = format!("{} seconds", retention.as_secs());
        db.client.batch_execute(&schema::section("retention").replace("{retention}", &retention)).await?;
        notes.push(format!("raw events older than {retention} are dropped"));
    }
    Ok(())
}

/// Lets dashboards read: the role, where it may be made, and its rights.
async fn grant(db: &Db, schema: &str, notes: &mut Vec<String>) -> Result<(), Failure> {
    let there = db.client.query_opt("SELECT 1 FROM pg_roles WHERE rolname = $1", &[&READER_ROLE]).await?;
    let may: bool = db
        .client
        .query_one("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user", &[])
        .await?
        .get(0);
    if there.is_none() {
        if !may {
            notes.push(format!(
                "this user may make no roles: for dashboards, let one who may do CREATE ROLE {READER_ROLE} and call \
                 `swell db migrate` again"
            ));
            return Ok(());
        }
        // Another database of the server may make it at the same moment.
        let create = format!(
            "DO $$ BEGIN CREATE ROLE {READER_ROLE} NOLOGIN; \
             EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        );
        db.client.batch_execute(&create).await?;
    }
    let schema = quoted(schema);
    db.client
        .batch_execute(&format!(
            "GRANT USAGE ON SCHEMA {schema} TO {READER_ROLE}; \
             GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {READER_ROLE}; \
             ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {READER_ROLE}"
        ))
        .await?;
    notes.push(format!("the role {READER_ROLE} may read: GRANT {READER_ROLE} TO the users of dashboards"));
    Ok(())
}

/// One table, or all partitions of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its name.
    pub name: String,
    /// Bytes with indexes.
    pub bytes: u64,
}

/// How far one partition of the log is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset to read next.
    pub next_offset: Option<i64>,
    /// Who reads it now.
    pub owner: Option<String>,
    /// Seconds since it moved.
    pub idle_s: Option<i64>,
}

/// What a database holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The database, with its schema.
    pub place: String,
    /// Of the server.
    pub server_version: String,
    /// Of the extension and its edition, in words; `None` without it.
    pub extension: Option<String>,
    /// The schema version; `None` without our tables.
    pub schema_version: Option<i32>,
    /// The schema version that this program knows.
    pub known_version: i32,
    /// Runs.
    pub runs: i64,
    /// Partitions of `perf_results`; 0 with TimescaleDB.
    pub partitions: i64,
    /// The tables that take most room.
    pub relations: Vec<Relation>,
    /// How far the log is read.
    pub readings: Vec<Reading>,
    /// Records that were set aside.
    pub poison: i64,
    /// What to do about it, in sentences.
    pub advice: Vec<String>,
}

/// Partitions above which planning a query over all runs takes long and many locks.
const MANY_PARTITIONS: i64 = 2_000;

/// Looks at a database.
pub fn status(address: &Address) -> Result<Status, Error> {
    let mut link = Link::bare(address)?;
    let address = link.address().clone();
    link.transaction(Kind::Read, ADMIN_DEADLINE, async |db| {
        let server_version: String =
            db.client.query_one("SELECT current_setting('server_version')", &[]).await?.get(0);
        let extension = schema::extension(db).await?.map(|extension| {
            let edition = if extension.is_community { "Community" } else { "Apache 2" };
            format!("{} ({edition} edition)", extension.version)
        });
        let mut status = Status {
            place: address.to_string(),
            server_version,
            extension,
            schema_version: None,
            known_version: VERSION,
            runs: 0,
            partitions: 0,
            relations: Vec::new(),
            readings: Vec::new(),
            poison: 0,
            advice: Vec::new(),
        };
        match schema::applied(db).await? {
            None => status.advice.push(format!("make the tables: swell db init --store {}", status.place)),
            Some(applied) => {
                status.schema_version = applied.last().map(|(version, ..)| *version);
                look(db, &address, &mut status).await?;
            }
        }
        Ok(status)
    })
}

async fn look(db: &Db, address: &Address, status: &mut Status) -> Result<(), Failure> {
    let found = status.schema_version.unwrap_or(0);
    if found < VERSION {
        status.advice.push(format!("bring the tables up to date: swell db migrate --store {}", status.place));
    }
    if found > VERSION {
        status.advice.push("use the newer version of swell that made these tables".to_owned());
    }
    status.runs = db.client.query_one("SELECT count(*) FROM runs", &[]).await?.get(0);
    let sizes = "SELECT coalesce(p.relname, c.relname)::TEXT, sum(pg_total_relation_size(c.oid))::BIGINT, \
                 count(*) FILTER (WHERE p.relname = 'perf_results') FROM pg_class c \
                 LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent \
                 WHERE c.relnamespace = $1::TEXT::REGNAMESPACE AND c.relkind IN ('r', 'p') GROUP BY 1 ORDER BY 2 DESC, 1";
    let schema = quoted(address.schema.as_deref().unwrap_or("public"));
    for row in db.client.query(sizes, &[&schema]).await? {
        let name: String = row.get(0);
        status.partitions += row.get::<_, i64>(2);
        let is_ours = RELATIONS.contains(&name.as_str());
        let bytes = u64::try_from(row.get::<_, i64>(1)).unwrap_or(0);
        if is_ours && bytes > 0 {
            status.relations.push(Relation { name, bytes });
        }
    }
    if status.partitions > MANY_PARTITIONS {
        status.advice.push(format!(
            "{} partitions make queries over all runs slow: drop old runs with `swell db prune`",
            status.partitions
        ));
    }
    let readings = "SELECT topic, partition, next_offset, \
                    CASE WHEN lease_until > now() THEN coalesce(c.name, owner::TEXT) END, \
                    extract(EPOCH FROM now() - moved_at)::BIGINT FROM ingest_offset o \
                    LEFT JOIN ingest_collector c USING (topic) WHERE c.collector IS NULL OR c.collector = o.owner \
                    ORDER BY 1, 2";
    for row in db.client.query(readings, &[]).await? {
        status.readings.push(Reading {
            topic: row.get(0),
            partition: row.get(1),
            next_offset: row.get(2),
            owner: row.get(3),
            idle_s: row.get(4),
        });
    }
    status.poison = db.client.query_one("SELECT count(*) FROM ingest_poison", &[]).await?.get(0);
    if status.poison > 0 {
        status
            .advice
            .push("records were set aside: SELECT reason, count(*) FROM ingest_poison GROUP BY 1".to_owned());
    }
    Ok(())
}

/// Which runs are to be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prune {
    /// Those created longer ago.
    OlderThan(Duration),
    /// All but the newest.
    Keep(u32),
}

/// Drops runs that are over, the oldest first, each in a transaction of its own; hands over each that is gone.
pub fn prune(address: &Address, which: Prune, mut dropped: impl FnMut(&str)) -> Result<(), Error> {
    let mut link = Link::open(address)?;
    let runs = link.transaction(Kind::Read, ADMIN_DEADLINE, async |db| {
        let rows = match which {
            Prune::OlderThan(age) => {
                let seconds = age.as_secs_f64();
                let old = "SELECT test_run_id FROM runs WHERE created_at < now() - make_interval(secs => $1) \
                           AND (ended_at IS NOT NULL OR started_at IS NULL) ORDER BY created_at";
                db.client.query(old, &[&seconds]).await?
            }
            Prune::Keep(newest) => {
                let newest = i64::from(newest);
                let old = "SELECT test_run_id FROM (SELECT * FROM runs \
                           ORDER BY created_at DESC, test_run_id COLLATE \"C\" DESC OFFSET $1) AS old \
                           WHERE ended_at IS NOT NULL OR started_at IS NULL ORDER BY created_at";
                db.client.query(old, &[&newest]).await?
            }
        };
        Ok(rows.iter().map(|row| row.get(0)).collect::<Vec<String>>())
    })?;
    for run in &runs {
        link.transaction(Kind::Durable, ADMIN_DEADLINE, async |db| drop_run(db, run).await)?;
        dropped(run);
    }
    Ok(())
}

async fn drop_run(db: &Db, run: &str) -> Result<(), Failure> {
    db.client.batch_execute(&format!("SET LOCAL lock_timeout = '{DROP_LOCK_TIMEOUT}'")).await?;
    let partitions: bool =
        db.client.query_one("SELECT to_regclass('run_partition') IS NOT NULL", &[]).await?.get(0);
    if partitions {
        let gone = "DELETE FROM run_partition WHERE test_run_id = $1 RETURNING relation";
        let relation = db.client.query_opt(gone, &[&run]).await?;
        if let Some(relation) = relation.and_then(|row| row.get::<_, Option<String>>(0)) {
            db.client.batch_execute(&format!("DROP TABLE IF EXISTS {}", quoted(&relation))).await?;
        }
    } else {
        db.client.execute("DELETE FROM perf_results WHERE test_run_id = $1", &[&run]).await?;
    }
    let ledger = "DELETE FROM report_ledger USING report_source \
                  WHERE report_ledger.source = report_source.id AND report_source.test_run_id = $1";
    db.client.execute(ledger, &[&run]).await?;
    for table in [
        "report_source",
        "run_windows",
        "run_seconds",
        "run_minutes",
        "run_totals",
        "run_iterations",
        "run_errors",
        "run_drivers",
        "run_checkpoint",
        "run_points",
        "run_events",
        "ingest_batch",
        "runs",
    ] {
        db.client.execute(&format!("DELETE FROM {table} WHERE test_run_id = $1"), &[&run]).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_holds_about_thirty_million_rows() {
        assert_eq!(chunk_seconds(None), 86_400);
        assert_eq!(chunk_seconds(Some(10_000)), 3_000);
        assert_eq!(chunk_seconds(Some(1_000_000)), 600);
        assert_eq!(chunk_seconds(Some(0)), 604_800);
    }
}
