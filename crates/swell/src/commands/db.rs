//! `swell db`: the PostgreSQL or TimescaleDB store, as its administrator sees it.

use serde_json::json;
use store::postgres::{self, Done, Prune, Setup, Status};

use crate::arguments::{Database, DbCommand, DbInit, DbPrune, DbStatus};
use crate::exit::{Ended, Exit};
use crate::output;

pub fn run(command: &DbCommand) -> anyhow::Result<Exit> {
    match command {
        DbCommand::Init(arguments) => init(arguments),
        DbCommand::Status(arguments) => status(arguments),
        DbCommand::Migrate(database) => migrate(database),
        DbCommand::Prune(arguments) => prune(arguments),
    }
}

fn invalid(error: store::Error) -> anyhow::Error {
    Ended::because(Exit::Invalid, error.to_string())
}

fn init(arguments: &DbInit) -> anyhow::Result<Exit> {
    let setup = Setup { rate: arguments.rate, retention: arguments.retention };
    let done = postgres::init(&arguments.database.address()?, &setup).map_err(invalid)?;
    say(&done)
}

fn migrate(database: &Database) -> anyhow::Result<Exit> {
    say(&postgres::migrate(&database.address()?).map_err(invalid)?)
}

fn say(done: &Done) -> anyhow::Result<Exit> {
    let Done { place, from, to, notes } = done;
    let mut text = match from {
        0 => format!("{place} is ready, with schema {to}\n"),
        _ if from == to => format!("{place} is up to date, with schema {to}\n"),
        _ => format!("{place} is up to date: from schema {from} to {to}\n"),
    };
    for note in notes {
        text += &format!("  {note}\n");
    }
    output::print(&text)?;
    Ok(Exit::Success)
}

fn prune(arguments: &DbPrune) -> anyhow::Result<Exit> {
    let which = match (arguments.older_than, arguments.keep) {
        (Some(age), _) => Prune::OlderThan(age),
        (None, Some(newest)) => Prune::Keep(newest),
        (None, None) => return Err(Ended::because(Exit::Usage, "say --older-than AGE or --keep N")),
    };
    let mut dropped = 0;
    postgres::prune(&arguments.database.address()?, which, |run| {
        dropped += 1;
        output::tell(&format!("dropped run {run}"));
    })
    .map_err(invalid)?;
    let runs = if dropped == 1 { "run" } else { "runs" };
    output::print(&format!("{dropped} {runs} dropped\n"))?;
    Ok(Exit::Success)
}

fn status(arguments: &DbStatus) -> anyhow::Result<Exit> {
    let status = postgres::status(&arguments.database.address()?).map_err(invalid)?;
    if arguments.json {
        output::print(&format!("{:#}\n", as_json(&status)))?;
    } else {
        output::print(&as_text(&status))?;
    }
    Ok(Exit::Success)
}

fn as_json(status: &Status) -> serde_json::Value {
    let relations = status.relations.iter().map(|one| json!({ "name": one.name, "bytes": one.bytes }));
    let readings = status.readings.iter().map(|one| {
        json!({
            "topic": one.topic, "partition": one.partition, "next_offset": one.next_offset, "owner": one.owner,
            "idle_s": one.idle_s,
        })
    });
    json!({
        "place": status.place,
        "server_version": status.server_version,
        "timescaledb": status.extension,
        "schema_version": status.schema_version,
        "known_schema_version": status.known_version,
        "runs": status.runs,
        "partitions": status.partitions,
        "tables": relations.collect::<Vec<_>>(),
        "reading": readings.collect::<Vec<_>>(),
        "set_aside": status.poison,
        "advice": status.advice,
    })
}

fn as_text(status: &Status) -> String {
    let schema = match status.schema_version {
        None => "none".to_owned(),
        Some(found) if found == status.known_version => format!("{found} (up to date)"),
        Some(found) => format!("{found} (this version knows {})", status.known_version),
    };
    let extension = status.extension.as_deref().unwrap_or("not in this database");
    let mut text = format!(
        "database     {}\nPostgreSQL   {}\nTimescaleDB  {extension}\nschema       {schema}\nruns         {}\n",
        status.place, status.server_version, status.runs
    );
    if status.partitions > 0 {
        text += &format!("partitions   {} of perf_results, one a run\n", status.partitions);
    }
    for relation in &status.relations {
        text += &format!("  {:<20} {:>12}\n", relation.name, size(relation.bytes));
    }
    if !status.readings.is_empty() {
        text += "raw events are read from\n";
    }
    for reading in &status.readings {
        let offset =
            reading.next_offset.map_or_else(|| "its beginning".to_owned(), |at| format!("offset {at}"));
        let owner = reading.owner.as_deref().unwrap_or("nobody");
        let idle = reading.idle_s.map_or_else(String::new, |idle_s| format!(", moved {idle_s} s ago"));
        text += &format!("  {} partition {}: {offset}, by {owner}{idle}\n", reading.topic, reading.partition);
    }
    if status.poison > 0 {
        text += &format!("set aside    {} records that could not be understood\n", status.poison);
    }
    for advice in &status.advice {
        text += &format!("to do: {advice}\n");
    }
    text
}

/// A size in the unit that suits it.
fn size(bytes: u64) -> String {
    let units = [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}
