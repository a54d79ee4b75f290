//! What the live stream says, and its bytes.

use std::fmt::Write as _;

use axum::body::Bytes;
use cluster::view::{RunView, Tick};
use report::ThresholdSummary;
use serde::Serialize;
use store::Resolution;

use crate::control::Control;
use crate::json::{self, Driver, Event, Run, RunDriver, Totals, VerdictJson};
use crate::problem::Problem;
use crate::row::{self, Row, Series};
use crate::runs;
use crate::state::Shelf;
use crate::storage::Storage;
use crate::time::rfc3339;

/// Points of a snapshot: what a chart can show, in some 100 KB.
const MAX_ROWS: u32 = 1_800;
/// Drivers whose rows fit into one delta; larger fleets are sent every few seconds, so that a viewer gets 4 KB/s at most.
const DRIVERS_PER_DELTA: usize = 5;

/// The whole picture.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    now: String,
    run: Run,
    totals: Option<Totals>,
    series: Series,
    fleet: Vec<Driver>,
    storage: Storage,
}

/// What changed; what is absent did not.
#[derive(Debug, Serialize)]
pub(super) struct Delta {
    now: String,
    state: &'static str,
    state_reason: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    totals: Option<Totals>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<VerdictJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thresholds: Option<Vec<ThresholdSummary>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drivers: Option<Vec<RunDriver>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fleet: Option<Vec<Driver>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<Storage>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<Event>,
}

impl Delta {
    /// One of several seconds that came at once.
    pub(super) fn of_row(view: &RunView, tick: &Tick) -> Self {
        Self {
            now: rfc3339(clock::unix_ms()),
            state: view.state.as_str(),
            state_reason: view.state_reason.clone(),
            started_at: view.started_ms.map(rfc3339),
            ended_at: view.ended_ms.map(rfc3339),
            row: Some(Row::of_tick(tick)),
            totals: None,
            verdict: None,
            thresholds: None,
            drivers: None,
            fleet: None,
            storage: None,
            events: Vec::new(),
        }
    }

    /// All that is new in `view` since `before`, and the last complete second if it is new. Long lists of drivers go
    /// into some of the messages, by their `sequence`.
    pub(super) fn of_change(
        before: &RunView,
        view: &RunView,
        tick: Option<&Tick>,
        sequence: u64,
        control: &dyn Control,
    ) -> Self {
        let drivers = json::drivers(view);
        let fleet = control.fleet();
        let storage = Storage::of(&control.storage(), clock::unix_ms());
        let turn = |rows: usize| sequence.is_multiple_of(rows.div_ceil(DRIVERS_PER_DELTA).max(1) as u64);
        let states = |view: &RunView| view.drivers.iter().map(|driver| driver.state).collect::<Vec<_>>();
        let moved = states(before) != states(view) || before.state != view.state;
        let verdict = json::verdict(&view.verdict);
        Self {
            now: rfc3339(clock::unix_ms()),
            state: view.state.as_str(),
            state_reason: view.state_reason.clone(),
            started_at: view.started_ms.map(rfc3339),
            ended_at: view.ended_ms.map(rfc3339),
            row: tick.map(Row::of_tick),
            totals: tick.map(Totals::of_tick),
            verdict: (json::verdict(&before.verdict) != verdict).then_some(verdict),
            thresholds: (before.thresholds != view.thresholds).then(|| json::thresholds(view)),
            drivers: (moved || turn(drivers.len())).then_some(drivers),
            fleet: (moved || turn(fleet.len())).then(|| fleet.into_iter().map(Driver::from).collect()),
            storage: turn(storage.rows()).then_some(storage),
            events: view.events.iter().skip(before.events.len()).map(json::event).collect(),
        }
    }
}

/// Whether viewers should hear of it before the next second.
pub(super) fn differ(before: &RunView, now: &RunView) -> bool {
    before.state != now.state
        || before.state_reason != now.state_reason
        || before.started_ms != now.started_ms
        || before.ended_ms != now.ended_ms
        || before.events.len() != now.events.len()
        || before.verdict.value != now.verdict.value
}

/// A run of this process up to and with `latest`.
pub(super) fn snapshot(
    control: &dyn Control,
    shelf: &Shelf,
    view: &RunView,
    latest: Option<&Tick>,
) -> Result<Snapshot, Problem> {
    let ticks = control.ticks(&view.run_id);
    let until = latest.map_or(0, |tick| tick.second);
    let forgotten = ticks.first().is_some_and(|tick| tick.second > 0 && tick.second > until / 2);
    let series = if forgotten || ticks.len() > usize::try_from(MAX_ROWS).unwrap_or(usize::MAX) * 2 {
        let resolution = Resolution::for_points(until + 1, MAX_ROWS);
        let points =
            shelf.read_here(|reader| reader.series(&view.run_id, None, (0, until + 1), resolution))?;
        let rows = row::of_points(&points, Some(&view.plan), view.drivers.len(), resolution, None);
        Series::of(rows, resolution.seconds())
    } else {
        let shown = ticks.iter().filter(|tick| latest.is_some_and(|latest| tick.second <= latest.second));
        Series::of(shown.map(|tick| Row::of_tick(tick)), 1)
    };
    Ok(Snapshot {
        now: rfc3339(clock::unix_ms()),
        run: Run::of_view(view),
        totals: latest.map(Totals::of_tick),
        series,
        fleet: control.fleet().into_iter().map(Driver::from).collect(),
        storage: Storage::of(&control.storage(), clock::unix_ms()),
    })
}

/// A run of the store.
pub(super) fn stored(control: &dyn Control, shelf: &Shelf, run_id: &str) -> Result<Snapshot, Problem> {
    shelf.read_here(|reader| {
        let (view, merged) = runs::stored(reader, run_id)?;
        let totals = view.started_ms.map(|_| Totals::of_merged(&view.plan, &merged));
        Ok(Snapshot {
            now: rfc3339(clock::unix_ms()),
            totals,
            series: runs::series(reader, &view, None, None, MAX_ROWS)?,
            run: Run::of_view(&view),
            fleet: control.fleet().into_iter().map(Driver::from).collect(),
            storage: Storage::of(&control.storage(), clock::unix_ms()),
        })
    })
}

/// One server-sent event.
pub(super) fn event(name: &str, id: Option<(i64, u64)>, data: &impl Serialize) -> Bytes {
    let mut head = format!("event: {name}\n");
    if let Some((epoch, sequence)) = id {
        // Writing to a string cannot fail.
        writeln!(head, "id: {epoch}-{sequence}").ok();
    }
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(b"data: ");
    let at = bytes.len();
    if let Err(error) = serde_json::to_writer(&mut bytes, data) {
        // Only a map without text keys or a failing writer can do this, and there is neither.
        tracing::error!(%error, "a live message cannot be encoded");
        bytes.truncate(at);
        bytes.extend_from_slice(b"{}");
    }
    bytes.extend_from_slice(b"\n\n");
    Bytes::from(bytes)
}

/// The run is over; nothing more will come.
pub(super) fn end() -> Bytes {
    Bytes::from_static(b"event: end\ndata: {}\n\n")
}

/// Nothing, said so that a proxy passes the head of the answer on.
pub(super) fn comment() -> Bytes {
    Bytes::from_static(b": nothing missed\n\n")
}
