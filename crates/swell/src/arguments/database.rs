//! Where results are kept, as it is typed: `--store` of all commands, and `swell db`.

use std::time::Duration;

use clap::{Args, Subcommand};
use store::Location;
use store::postgres::Address;

use crate::exit::{Ended, Exit};

/// Where the results of runs are kept.
#[derive(Debug, Args)]
pub struct Storage {
    /// Folder of the embedded store, or a PostgreSQL database as postgres://USER@HOST/DATABASE
    #[arg(
        long,
        env = "SWELL_STORE",
        default_value = "swell-data",
        value_name = "DIR|URL",
        hide_env_values = true
    )]
    store: String,
}

impl Storage {
    /// Where the store is. What an address leaves out comes from the environment that psql reads, too.
    pub fn location(&self) -> anyhow::Result<Location> {
        location(&self.store)
    }
}

/// Where a store is that was named on the command line.
pub fn location(text: &str) -> anyhow::Result<Location> {
    Location::parse(text, &variable).map_err(|error| Ended::because(Exit::Invalid, error.to_string()))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[derive(Debug, Subcommand)]
pub enum DbCommand {
    /// Make the tables in a database
    Init(DbInit),
    /// Say what a database has, how far it is, and what to do
    Status(DbStatus),
    /// Bring the tables up to date with this version
    Migrate(Database),
    /// Drop old runs with all they have
    Prune(DbPrune),
}

/// Which database.
#[derive(Debug, Args)]
pub struct Database {
    /// The database as postgres://USER@HOST/DATABASE; what it leaves out comes from PGHOST, PGUSER, ~/.pgpass, … as for psql
    #[arg(
        long,
        env = "SWELL_STORE",
        default_value = "postgres://",
        value_name = "URL",
        hide_env_values = true
    )]
    pub store: String,

    /// Schema of the tables; by default the one that has them, else the first of the search path
    #[arg(long, value_name = "NAME")]
    pub schema: Option<String>,
}

impl Database {
    /// The address, completed as psql would.
    pub fn address(&self) -> anyhow::Result<Address> {
        match location(&self.store)? {
            Location::Postgres(address) => Ok(match &self.schema {
                Some(schema) => address.with_schema(schema),
                None => *address,
            }),
            Location::Folder(dir) => {
                let why =
                    format!("{} is a data folder; --store names a database by postgres://…", dir.display());
                Err(Ended::because(Exit::Usage, why))
            }
        }
    }
}

#[derive(Debug, Args)]
pub struct DbInit {
    #[command(flatten)]
    pub database: Database,

    /// Requests per second that are planned for, which decides the size of TimescaleDB's chunks: `20000` or `20000/s`
    #[arg(long, value_name = "RATE", value_parser = per_second)]
    pub rate: Option<u64>,

    /// Let TimescaleDB drop raw events that are older, such as `30d`
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub retention: Option<Duration>,
}

#[derive(Debug, Args)]
pub struct DbStatus {
    #[command(flatten)]
    pub database: Database,

    /// As JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DbPrune {
    #[command(flatten)]
    pub database: Database,

    /// Drop runs that were created longer ago, such as `30d` or `12h`
    #[arg(long, value_name = "AGE", value_parser = age, required_unless_present = "keep", conflicts_with = "keep")]
    pub older_than: Option<Duration>,

    /// Keep so many of the newest runs
    #[arg(long, value_name = "N")]
    pub keep: Option<u32>,
}

/// `N` or `N/s`.
fn per_second(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let rate = number.parse().ok().filter(|rate| *rate > 0);
    rate.ok_or_else(|| "it is a whole number of requests per second, such as 20000/s".to_owned())
}

/// A number and a unit: s, m, h, d.
fn age(text: &str) -> Result<Duration, String> {
    let wrong = || "it is a whole number and one of s, m, h, d, such as 30d".to_owned();
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_ages() {
        assert_eq!([per_second("20000"), per_second("5/s")], [Ok(20_000), Ok(5)]);
        assert!(["0", "1.5", "/s", "-1"].into_iter().all(|text| per_second(text).is_err()));
        let seconds = |text: &str| age(text).map(|age| age.as_secs());
        assert_eq!([seconds("30d"), seconds("12h"), seconds("0s")], [Ok(2_592_000), Ok(43_200), Ok(0)]);
        assert!(["", "d", "3", "3w", "3µ", "99999999999999999d"].into_iter().all(|text| age(text).is_err()));
    }
}
