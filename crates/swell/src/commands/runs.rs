//! `swell runs`: past runs, newest first.

use serde_json::json;
use store::{Reader, RunLine};

use crate::arguments::Runs;
use crate::exit::{Ended, Exit};
use crate::output;

pub fn run(arguments: &Runs) -> anyhow::Result<Exit> {
    let location = arguments.storage.location()?;
    let rows = match Reader::open(&location) {
        Ok(reader) => reader.runs(None, arguments.limit),
        Err(store::Error::Missing { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let rows =
        rows.map_err(|error| Ended::because(Exit::Invalid, format!("{:#}", anyhow::Error::new(error))))?;
    if arguments.json {
        let runs: Vec<_> = rows.iter().map(as_json).collect();
        output::print(&format!("{:#}\n", json!({ "runs": runs })))?;
    } else if rows.is_empty() {
        output::tell(&format!("no runs in {location}"));
    } else {
        output::print(&table(&rows))?;
    }
    Ok(Exit::Success)
}

fn as_json(row: &RunLine) -> serde_json::Value {
    json!({
        "run_id": row.run_id,
        "plan": row.plan_name,
        "state": row.state,
        "loop": row.loop_kind,
        "created_at": report::rfc3339(row.created_ms),
        "started_at": row.started_ms.map(report::rfc3339),
        "ended_at": row.ended_ms.map(report::rfc3339),
        "drivers": row.drivers,
        "verdict": row.verdict,
    })
}

fn table(rows: &[RunLine]) -> String {
    let mut text = format!("{:<36}  {:<20}  {:<9}  {:<8}  plan\n", "run", "created", "state", "verdict");
    for row in rows {
        let verdict = row.verdict.as_deref().unwrap_or("–");
        let created = report::rfc3339(row.created_ms);
        // Whole seconds are enough to tell runs apart for a reader.
        let created = created.get(..19).unwrap_or(&created);
        text += &format!(
            "{:<36}  {created:<20}  {:<9}  {verdict:<8}  {}\n",
            row.run_id, row.state, row.plan_name
        );
    }
    text
}
