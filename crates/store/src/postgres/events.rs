//! Raw events into PostgreSQL, exactly once, by any number of collectors.
//!
//! A collector owns a partition of the log by a lease, in the database's own time. One transaction locks the partition's
//! row, and stops unless position and owner's epoch are the ones in memory: after a crash of the server, which may have
//! lost its last commits, or once another collector has taken over, they are not. Then it notes the identities of the
//! batches, copies the rows of those that are new, and moves the position. Without TimescaleDB the rows of a run go
//! straight into its partition of `perf_results`, which is made before they come.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use events::Batch;
use uuid::Uuid;

use super::copy::clean;
use super::error::Failure;
use super::session::{DEADLINE, Db, Kind, Link};
use super::{Address, rows};
use crate::Error;
use crate::events::{Claimed, EventStore, Peer, Poison, Portion, Span, Stored};

/// How long a lease lasts: several times what a claim or a transaction takes.
const LEASE: &str = "10 seconds";
/// How long a claim waits for the lock of a collector that may have vanished.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";
/// How long one transaction of rows may take.
const STORE_DEADLINE: Duration = Duration::from_secs(30);
/// Enough rows that a transaction costs little beside them, few enough to hold.
const PORTION: Portion = Portion { rows: 65_536, wait: Duration::from_millis(250) };
/// Runs whose partitions are remembered.
const MAX_PARTITIONS: usize = 1_000;

/// A partition of the log: topic and number.
type Partition = (String, i32);
/// What makes a batch unlike any other: run, worker, incarnation, number.
type Key<'a> = (&'a str, &'a str, Uuid, i64);

/// A store of raw events in PostgreSQL.
#[derive(Debug)]
pub struct Events {
    link: Link,
    collector: Uuid,
    name: String,
    /// The partitions that are ours, with the epoch of our ownership.
    owned: HashMap<Partition, i64>,
    /// Whether each run has a table of its own.
    has_partitions: bool,
    /// Where the rows of a run go.
    relations: HashMap<String, String>,
}

impl Events {
    /// Opens a database that has our tables, as the collector `name`, which others see.
    pub fn open(address: &Address, name: &str) -> Result<Self, Error> {
        let mut link = Link::open(address)?;
        let has_partitions = link.transaction(Kind::Read, DEADLINE, async |db| {
            let layout = db.query_opt("SELECT value FROM swell_meta WHERE key = 'layout'", &[]).await?;
            Ok(layout.is_none_or(|row| row.get::<_, &str>(0) != "timescale"))
        })?;
        let (owned, relations) = (HashMap::new(), HashMap::new());
        Ok(Self { link, collector: Uuid::now_v7(), name: name.to_owned(), owned, has_partitions, relations })
    }

    /// Makes sure that the rows of these batches have a place.
    fn make_places(&mut self, batches: &[Batch]) -> Result<(), Error> {
        if self.relations.len() > MAX_PARTITIONS {
            self.relations.clear();
        }
        for batch in batches {
            let run = batch.run_id.as_str();
            if self.relations.contains_key(run) {
                continue;
            }
            let relation = if self.has_partitions {
                self.link.transaction(Kind::Durable, STORE_DEADLINE, async |db| partition(db, run).await)?
            } else {
                "perf_results".to_owned()
            };
            self.relations.insert(run.to_owned(), relation);
        }
        Ok(())
    }

    fn write(&mut self, kind: Kind, spans: &[Span], batches: &[Batch]) -> Result<Stored, Error> {
        self.make_places(batches)?;
        let (collector, owned, relations) = (self.collector, &self.owned, &self.relations);
        let result = self.link.transaction(kind, STORE_DEADLINE, async |db| {
            check(db, collector, owned, spans).await?;
            let stored = add(db, batches, relations).await?;
            advance(db, spans).await?;
            Ok(stored)
        });
        if result.is_err() {
            // The table of a run may have been dropped; it is looked for again.
            self.relations.clear();
        }
        result
    }
}

impl EventStore for Events {
    fn claim(&mut self, topic: &str, partitions: i32) -> Result<Vec<Claimed>, Error> {
        let (collector, name) = (self.collector, self.name.as_str());
        let owned = self.link.transaction(Kind::Loose, DEADLINE, async |db| {
            claim(db, (topic, partitions), (collector, name)).await
        })?;
        self.owned.retain(|(known, _), _| known != topic);
        let mut claimed = Vec::with_capacity(owned.len());
        for (partition, next_offset, epoch) in owned {
            self.owned.insert((topic.to_owned(), partition), epoch);
            claimed.push(Claimed { partition, next_offset });
        }
        claimed.sort_unstable_by_key(|claimed| claimed.partition);
        Ok(claimed)
    }

    fn meet(&mut self, topic: &str, own: &Peer) -> Result<Vec<Peer>, Error> {
        let collector = self.collector;
        self.link.transaction(Kind::Loose, DEADLINE, async |db| meet(db, topic, collector, own).await)
    }

    fn portion(&self) -> Portion {
        PORTION
    }

    fn store(&mut self, spans: &[Span], batches: &[Batch]) -> Result<Stored, Error> {
        self.write(Kind::Loose, spans, batches)
    }

    fn store_loose(&mut self, batches: &[Batch]) -> Result<Stored, Error> {
        // No position leads back to what a crash of the server would lose.
        self.write(Kind::Durable, &[], batches)
    }

    fn set_aside(&mut self, span: &Span, poison: &Poison) -> Result<(), Error> {
        let (collector, owned, spans) = (self.collector, &self.owned, std::slice::from_ref(span));
        self.link.transaction(Kind::Loose, DEADLINE, async |db| {
            check(db, collector, owned, spans).await?;
            put_aside(db, (&span.topic, span.partition), poison).await?;
            advance(db, spans).await
        })
    }

    fn set_aside_loose(&mut self, origin: &str, poison: &Poison) -> Result<(), Error> {
        self.link.transaction(Kind::Durable, DEADLINE, async |db| put_aside(db, (origin, 0), poison).await)
    }

    fn release(&mut self) {
        let collector = self.collector;
        let released = self.link.transaction(Kind::Loose, DEADLINE, async |db| {
            db.client.batch_execute(LOCK_TIMEOUT).await?;
            db.execute(
                "UPDATE ingest_offset SET owner = NULL, lease_until = NULL WHERE owner = $1",
                &[&collector],
            )
            .await?;
            db.execute("DELETE FROM ingest_collector WHERE collector = $1", &[&collector]).await?;
            Ok(())
        });
        if let Err(error) = released {
            tracing::warn!(%error, "leases not given back; they end by themselves");
        }
        self.owned.clear();
    }
}

/// The partitions that are this collector's now, with position and epoch.
async fn claim(
    db: &Db,
    (topic, partitions): (&str, i32),
    (collector, name): (Uuid, &str),
) -> Result<Vec<(i32, Option<i64>, i64)>, Failure> {
    db.client.batch_execute(LOCK_TIMEOUT).await?;
    db.execute(
        &format!(
            "INSERT INTO ingest_collector (topic, collector, name, alive_until) \
             VALUES ($1, $2, $3, clock_timestamp() + INTERVAL '{LEASE}') \
             ON CONFLICT (topic, collector) DO UPDATE SET alive_until = excluded.alive_until"
        ),
        &[&topic, &collector, &name],
    )
    .await?;
    let alive = db
        .query(
            "SELECT collector FROM ingest_collector WHERE topic = $1 AND alive_until > clock_timestamp() ORDER BY 1",
            &[&topic],
        )
        .await?;
    let place = alive.iter().position(|row| row.get::<_, Uuid>(0) == collector).unwrap_or(0);
    let share = share(partitions, alive.len(), place);
    db.execute(
        "INSERT INTO ingest_offset (topic, partition) SELECT $1, p FROM generate_series(0, $2::INT - 1) AS p \
         WHERE NOT EXISTS (SELECT 1 FROM ingest_offset o WHERE o.topic = $1 AND o.partition = p) ON CONFLICT DO NOTHING",
        &[&topic, &partitions],
    )
    .await?;
    let kept = db
        .query(
            &format!(
                "UPDATE ingest_offset SET lease_until = clock_timestamp() + INTERVAL '{LEASE}' \
                 WHERE topic = $1 AND owner = $2 RETURNING partition, next_offset, owner_epoch"
            ),
            &[&topic, &collector],
        )
        .await?;
    let read = |row: &tokio_postgres::Row| (row.get(0), row.get(1), row.get(2));
    let mut owned: Vec<(i32, Option<i64>, i64)> = kept.iter().map(read).collect();
    owned.sort_unstable_by_key(|(partition, ..)| *partition);
    if owned.len() > share {
        let more: Vec<i32> = owned.split_off(share).into_iter().map(|(partition, ..)| partition).collect();
        db.execute(
            "UPDATE ingest_offset SET owner = NULL, lease_until = NULL \
             WHERE topic = $1 AND owner = $2 AND partition = ANY ($3)",
            &[&topic, &collector, &more],
        )
        .await?;
    } else if owned.len() < share {
        let wanted = i64::try_from(share - owned.len()).unwrap_or(0);
        let taken = db
            .query(
                &format!(
                    "UPDATE ingest_offset SET owner = $2, owner_epoch = owner_epoch + 1, \
                     lease_until = clock_timestamp() + INTERVAL '{LEASE}' WHERE topic = $1 AND partition IN \
                     (SELECT partition FROM ingest_offset WHERE topic = $1 AND partition < $4 \
                     AND (owner IS NULL OR lease_until < clock_timestamp()) \
                     ORDER BY partition LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING partition, next_offset, owner_epoch"
                ),
                &[&topic, &collector, &wanted, &partitions],
            )
            .await?;
        owned.extend(taken.iter().map(read));
    }
    Ok(owned)
}

/// Says how this collector stands, and reads how the others do.
async fn meet(db: &Db, topic: &str, collector: Uuid, own: &Peer) -> Result<Vec<Peer>, Failure> {
    let long = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    db.execute(
        "UPDATE ingest_collector SET partitions = $3, rows = $4, lag_batches = $5, lag_ms = $6, trouble = $7 \
         WHERE topic = $1 AND collector = $2",
        &[
            &topic,
            &collector,
            &long(own.partitions.into()),
            &long(own.rows),
            &own.lag_batches,
            &own.lag_ms,
            &own.trouble.as_deref().map(clean),
        ],
    )
    .await?;
    let others = db
        .query(
            "SELECT name, partitions, rows, lag_batches, lag_ms, trouble FROM ingest_collector \
             WHERE topic = $1 AND collector <> $2 AND alive_until > clock_timestamp() ORDER BY name, collector",
            &[&topic, &collector],
        )
        .await?;
    let read = |row: &tokio_postgres::Row| Peer {
        name: row.get(0),
        partitions: u32::try_from(row.get::<_, i64>(1)).unwrap_or(0),
        rows: u64::try_from(row.get::<_, i64>(2)).unwrap_or(0),
        lag_batches: row.get(3),
        lag_ms: row.get(4),
        trouble: row.get(5),
    };
    Ok(others.iter().map(read).collect())
}

/// How many of the partitions are the share of the collector that stands at `place` among all: they differ by one at most,
/// and add up to all.
fn share(partitions: i32, collectors: usize, place: usize) -> usize {
    let (partitions, collectors) = (usize::try_from(partitions).unwrap_or(0), collectors.max(1));
    partitions / collectors + usize::from(place < partitions % collectors)
}

/// Stops unless the partitions are still ours and stand where we read from; locks them until the transaction ends.
async fn check(
    db: &Db,
    collector: Uuid,
    owned: &HashMap<Partition, i64>,
    spans: &[Span],
) -> Result<(), Failure> {
    if spans.is_empty() {
        return Ok(());
    }
    let topics: Vec<&str> = spans.iter().map(|span| span.topic.as_str()).collect();
    let partitions: Vec<i32> = spans.iter().map(|span| span.partition).collect();
    let rows = db
        .query(
            "SELECT topic, partition, next_offset, owner, owner_epoch FROM ingest_offset WHERE (topic, partition) IN \
             (SELECT * FROM unnest($1::TEXT[], $2::INT[])) ORDER BY topic, partition FOR UPDATE",
            &[&topics, &partitions],
        )
        .await?;
    for span in spans {
        let row = rows
            .iter()
            .find(|row| row.get::<_, &str>(0) == span.topic && row.get::<_, i32>(1) == span.partition);
        let found = row.and_then(|row| row.get::<_, Option<i64>>(2));
        let epoch = owned.get(&(span.topic.clone(), span.partition));
        let is_ours = row.is_some_and(|row| {
            row.get::<_, Option<Uuid>>(3) == Some(collector) && epoch == Some(&row.get::<_, i64>(4))
        });
        if !is_ours || found != span.from {
            let (topic, partition) = (span.topic.clone(), span.partition);
            return Err(Error::Moved { topic, partition, found, expected: span.from }.into());
        }
    }
    Ok(())
}

async fn advance(db: &Db, spans: &[Span]) -> Result<(), Failure> {
    if spans.is_empty() {
        return Ok(());
    }
    let topics: Vec<&str> = spans.iter().map(|span| span.topic.as_str()).collect();
    let partitions: Vec<i32> = spans.iter().map(|span| span.partition).collect();
    let offsets: Vec<i64> = spans.iter().map(|span| span.next_offset).collect();
    db.execute(
        "UPDATE ingest_offset o SET next_offset = g.next_offset, moved_at = clock_timestamp() \
         FROM unnest($1::TEXT[], $2::INT[], $3::BIGINT[]) AS g (topic, partition, next_offset) \
         WHERE o.topic = g.topic AND o.partition = g.partition",
        &[&topics, &partitions, &offsets],
    )
    .await?;
    Ok(())
}

async fn put_aside(db: &Db, (topic, partition): (&str, i32), poison: &Poison) -> Result<(), Failure> {
    db.execute(
        "INSERT INTO ingest_poison (topic, partition, record_offset, reason, value) VALUES ($1, $2, $3, $4, $5)",
        &[&clean(topic), &partition, &poison.offset, &clean(&poison.reason), &poison.value],
    )
    .await?;
    Ok(())
}

/// Adds the batches that are new.
async fn add(db: &Db, batches: &[Batch], relations: &HashMap<String, String>) -> Result<Stored, Failure> {
    let mut fresh = note(db, batches).await?;
    let mut stored = Stored::default();
    let mut by_run: BTreeMap<&str, Vec<&Batch>> = BTreeMap::new();
    for batch in batches {
        // Of a batch that is there twice, the first is the new one.
        if key(batch).is_none_or(|key| fresh.remove(&key)) {
            stored.rows += batch.len() as u64;
            by_run.entry(&batch.run_id).or_default().push(batch);
        } else {
            stored.duplicates += batch.len() as u64;
        }
    }
    for (run, batches) in by_run {
        let relation = relations.get(run).map_or("perf_results", String::as_str);
        rows::send(db, relation, &batches).await?;
    }
    Ok(stored)
}

fn key(batch: &Batch) -> Option<Key<'_>> {
    let identity = batch.identity?;
    Some((&batch.run_id, &batch.worker_id, identity.incarnation, identity.number.cast_signed()))
}

/// Notes the identities of batches, and says which of them are new.
async fn note<'a>(db: &Db, batches: &'a [Batch]) -> Result<HashSet<Key<'a>>, Failure> {
    let known: HashMap<Key<'a>, i64> = batches
        .iter()
        .filter_map(|batch| Some((key(batch)?, i64::try_from(batch.len()).unwrap_or(i64::MAX))))
        .collect();
    if known.is_empty() {
        return Ok(HashSet::new());
    }
    let keys: Vec<Key<'a>> = known.keys().copied().collect();
    let column =
        |at: usize| keys.iter().map(|key| if at == 0 { key.0 } else { key.1 }).collect::<Vec<&str>>();
    let rows = db
        .query(
            "INSERT INTO ingest_batch (test_run_id, worker_id, incarnation, number, rows) \
             SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::UUID[], $4::BIGINT[], $5::BIGINT[]) \
             ON CONFLICT DO NOTHING RETURNING test_run_id, worker_id, incarnation, number",
            &[
                &column(0),
                &column(1),
                &keys.iter().map(|key| key.2).collect::<Vec<_>>(),
                &keys.iter().map(|key| key.3).collect::<Vec<_>>(),
                &keys.iter().filter_map(|key| known.get(key).copied()).collect::<Vec<_>>(),
            ],
        )
        .await?;
    let new: HashSet<(String, String, Uuid, i64)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    let is_new = |key: &Key<'a>| new.contains(&(key.0.to_owned(), key.1.to_owned(), key.2, key.3));
    Ok(keys.into_iter().filter(is_new).collect())
}

/// The table of a run's rows, made where it is missing. Attaching it keeps no reader out.
async fn partition(db: &Db, run: &str) -> Result<String, Failure> {
    db.execute("INSERT INTO run_partition (test_run_id) VALUES ($1) ON CONFLICT DO NOTHING", &[&run]).await?;
    let row = db
        .query_opt(
            "SELECT number, relation, quote_literal($1::TEXT) FROM run_partition WHERE test_run_id = $1 FOR UPDATE",
            &[&run],
        )
        .await?;
    // Gone at once again: whoever pruned it will see it anew.
    let Some(row) = row else { return Ok("perf_results".to_owned()) };
    if let Some(relation) = row.get::<_, Option<String>>(1) {
        return Ok(relation);
    }
    let (number, literal): (i64, String) = (row.get(0), row.get(2));
    let relation = format!("perf_results_{number}");
    db.client
        .batch_execute(&format!(
            "CREATE TABLE {relation} (LIKE perf_results INCLUDING DEFAULTS); \
             CREATE INDEX {relation}_by_time ON {relation} USING brin (timestamp); \
             ALTER TABLE perf_results ATTACH PARTITION {relation} FOR VALUES IN ({literal})"
        ))
        .await?;
    db.execute("UPDATE run_partition SET relation = $2 WHERE test_run_id = $1", &[&run, &relation]).await?;
    Ok(relation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_differ_by_one_at_most() {
        for partitions in 0..20 {
            for collectors in 1..25 {
                let shares: Vec<usize> =
                    (0..collectors).map(|place| share(partitions, collectors, place)).collect();
                assert_eq!(shares.iter().sum::<usize>(), usize::try_from(partitions).unwrap());
                let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
                assert!(most - least <= 1, "{shares:?}");
            }
        }
    }
}
