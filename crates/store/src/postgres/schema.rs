//! The tables: which there are, how a database gets them, and whether they are those that this program knows.
//!
//! Invariant: `swell_migration` names the applied entries of [`MIGRATIONS`] with the checksums of their texts; an entry that
//! was released is never edited, and there is no way back. A migration is applied whole or not at all.

use sha2::{Digest as _, Sha256};

use super::error::Failure;
use super::session::Db;
use super::{Address, Fault};

/// One step forward.
pub(super) struct Migration {
    pub(super) version: i32,
    pub(super) name: &'static str,
    text: Text,
}

enum Text {
    /// The same everywhere.
    Same(&'static str),
    /// Another one where TimescaleDB is: a section of its file.
    Layout { plain: &'static str, timescale: &'static str, needs_community: bool },
}

const TIMESCALE: &str = include_str!("migrations/timescale.sql");

pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "runs", text: Text::Same(include_str!("migrations/0001_runs.sql")) },
    Migration {
        version: 2,
        name: "functions",
        text: Text::Same(include_str!("migrations/0002_functions.sql")),
    },
    Migration {
        version: 3,
        name: "rows",
        text: Text::Layout {
            plain: include_str!("migrations/0003_rows.plain.sql"),
            timescale: "hypertable",
            needs_community: false,
        },
    },
    Migration {
        version: 4,
        name: "views",
        text: Text::Layout {
            plain: include_str!("migrations/0004_views.sql"),
            timescale: "aggregates",
            needs_community: true,
        },
    },
];

/// The schema version that this program writes and reads.
pub(super) const VERSION: i32 = 4;

/// What of TimescaleDB a database has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extension {
    pub(super) version: String,
    /// Whether the edition has policies, the columnstore and continuous aggregates (the Timescale licence).
    pub(super) is_community: bool,
}

impl Extension {
    /// Whether it has the interface of the columnstore (2.18), rather than the one of compression before it.
    pub(super) fn has_columnstore(&self) -> bool {
        let mut parts = self.version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (2, 18)
    }
}

/// The part of `timescale.sql` below `-- section: NAME`.
pub(super) fn section(name: &str) -> &'static str {
    let mut sections = TIMESCALE.split("-- section: ").skip(1);
    sections.find(|section| section.split([' ', '\n']).next() == Some(name)).map_or("", |section| {
        // The rest of the heading's line is a remark.
        section.split_once('\n').map_or("", |(_, text)| text)
    })
}

impl Migration {
    /// Its statements for a database with or without the extension.
    pub(super) fn statements(&self, extension: Option<&Extension>, chunk_interval: &str) -> String {
        match &self.text {
            Text::Same(text) => (*text).to_owned(),
            Text::Layout { plain, timescale, needs_community } => match extension {
                Some(extension) if extension.is_community || !needs_community => {
                    section(timescale).replace("{chunk_interval}", chunk_interval)
                }
                _ => (*plain).to_owned(),
            },
        }
    }

    /// Of all its texts.
    pub(super) fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        match &self.text {
            Text::Same(text) => hash.update(text),
            Text::Layout { plain, timescale, .. } => {
                hash.update(plain);
                hash.update(section(timescale));
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A name as a statement holds it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as a statement holds it that takes no parameters.
pub(super) fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    // In plain quotes a backslash means what the session is set to.
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// The schema with our tables: the one that was asked for, else the only one that has any, else where new tables go.
pub(super) async fn find(db: &Db, address: &Address) -> Result<String, Failure> {
    if let Some(schema) = &address.schema {
        return Ok(schema.clone());
    }
    let found = db
        .client
        .query(
            "SELECT n.nspname::TEXT, coalesce(n.nspname = current_schema(), false) FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'swell_migration' AND c.relkind = 'r' \
             ORDER BY 1",
            &[],
        )
        .await?;
    let schemas: Vec<String> = found.iter().map(|row| row.get(0)).collect();
    let current = found.iter().find(|row| row.get(1)).map(|row| row.get(0));
    match (schemas.as_slice(), current) {
        ([], _) => {
            let current: Option<String> =
                db.client.query_one("SELECT current_schema()::TEXT", &[]).await?.get(0);
            Ok(current.unwrap_or_else(|| "public".to_owned()))
        }
        ([only], _) => Ok(only.clone()),
        (_, Some(current)) => Ok(current),
        (several, None) => {
            let schemas = several.join(", ");
            Err(Fault::Ambiguous { place: address.to_string(), schemas }.into())
        }
    }
}

/// The applied migrations; `None` when the database has none of our tables.
pub(super) async fn applied(db: &Db) -> Result<Option<Vec<(i32, String, String)>>, Failure> {
    let there: bool =
        db.client.query_one("SELECT to_regclass('swell_migration') IS NOT NULL", &[]).await?.get(0);
    if !there {
        return Ok(None);
    }
    let rows =
        db.client.query("SELECT version, name, checksum FROM swell_migration ORDER BY version", &[]).await?;
    Ok(Some(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()))
}

/// Refuses a database without our tables, or with those of another version.
pub(super) async fn check(db: &Db, address: &Address) -> Result<(), Failure> {
    let place = || address.to_string();
    let applied = applied(db).await?.ok_or_else(|| Fault::NotInitialised { place: place() })?;
    let found = known(address, &applied)?;
    if found < VERSION {
        return Err(Fault::Older { place: place(), found, known: VERSION }.into());
    }
    Ok(())
}

/// The version that the applied migrations make, when all of them are ours.
pub(super) fn known(address: &Address, applied: &[(i32, String, String)]) -> Result<i32, Fault> {
    let found = applied.last().map_or(0, |(version, ..)| *version);
    if found > VERSION {
        return Err(Fault::Newer { place: address.to_string(), found, known: VERSION });
    }
    for (migration, (version, name, checksum)) in MIGRATIONS.iter().zip(applied) {
        if migration.version != *version || migration.checksum() != *checksum {
            return Err(Fault::Altered { place: address.to_string(), version: *version, name: name.clone() });
        }
    }
    Ok(found)
}

/// What of TimescaleDB this database has.
pub(super) async fn extension(db: &Db) -> Result<Option<Extension>, Failure> {
    let row = db
        .client
        .query_opt(
            "SELECT extversion, coalesce(current_setting('timescaledb.license', true), 'apache') FROM pg_extension \
             WHERE extname = 'timescaledb'",
            &[],
        )
        .await?;
    Ok(row.map(|row| Extension { version: row.get(0), is_community: row.get::<_, String>(1) == "timescale" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_in_order() {
        assert!(MIGRATIONS.iter().map(|migration| migration.version).eq(1..=VERSION));
    }

    #[test]
    fn every_section_for_the_extension_is_there() {
        for name in ["hypertable", "aggregates", "columnstore", "compression", "retention"] {
            assert!(section(name).contains(';'), "{name}");
        }
        let extension = |version: &str, is_community| Extension { version: version.to_owned(), is_community };
        let text =
            |number: usize, extension: Option<&Extension>| MIGRATIONS[number].statements(extension, "1 hour");
        assert!(text(2, Some(&extension("2.18.0", false))).contains("INTERVAL '1 hour'"));
        assert!(text(2, None).contains("PARTITION BY LIST"));
        assert!(text(3, Some(&extension("2.18.0", true))).contains("timescaledb.continuous"));
        assert!(!text(3, Some(&extension("2.18.0", false))).contains("timescaledb"));
        assert!(extension("2.18.0", true).has_columnstore() && !extension("2.9.3", true).has_columnstore());
    }
}
