//! Runs: the list, one run, its summary, its seconds, and its live stream.
//!
//! A run of this process comes from memory, any other from the store; the answers have the same form and, for the same
//! run, the same numbers.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cluster::view::RunView;
use cluster::{Failure, RunResult};
use metrics::Merged;
use plan::StepId;
use serde::{Deserialize, Serialize};
use store::{Reader, Resolution, RunLine};

use crate::commands::bad_query;
use crate::json::{Run, RunItem};
use crate::problem::Problem;
use crate::row::{self, Series};
use crate::state::App;

/// Runs of a page, unless asked otherwise.
const PAGE: u32 = 50;
/// Points of a series, unless a resolution is asked for.
const POINTS: u32 = store::MAX_POINTS;

#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    limit: Option<u32>,
    before: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct RunList {
    runs: Vec<RunItem>,
    /// `before` of the next page; `null` on the last.
    next: Option<String>,
}

/// `GET /runs`
pub(crate) async fn list(
    State(app): State<App>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<RunList>, Problem> {
    let Query(page) = page.map_err(|rejection| bad_query(&rejection.body_text()))?;
    let limit = page.limit.unwrap_or(PAGE).clamp(1, store::MAX_PAGE);
    let is_newest = limit == 1 && page.before.is_none();
    let before = page.before;
    let asked = usize::try_from(limit).unwrap_or(usize::MAX);
    let read = app.reader.read(move |reader| {
        // One more than asked for tells whether there is a next page.
        let mut lines = match reader.runs(before.as_deref(), limit + 1) {
            Err(store::Error::UnknownRun { .. }) => return Err(bad_query("`before` names no run")),
            other => other?,
        };
        let more = lines.len() > asked;
        lines.truncate(asked);
        let next = lines.last().filter(|_| more).map(|line| line.run_id.clone());
        Ok((lines, next))
    });
    let (lines, next) = match (read.await, app.control.current()) {
        // Who opens the page while the store is away sees the run under way, and what the store suffers from.
        (Err(_), Some(view)) if is_newest => (vec![line(&view)], None),
        (read, _) => read?,
    };
    let runs = lines.into_iter().map(|line| {
        let view = app.control.run(&line.run_id);
        RunItem::new(line, view.as_ref())
    });
    Ok(Json(RunList { runs: runs.collect(), next }))
}

/// The line of a run of this process, without its figures.
fn line(view: &RunView) -> RunLine {
    RunLine {
        run_id: view.run_id.clone(),
        plan_name: view.plan.name.clone(),
        state: view.state.as_str().to_owned(),
        created_ms: view.created_ms,
        started_ms: view.started_ms,
        ended_ms: view.ended_ms,
        loop_kind: view.plan.loop_kind().as_str().to_owned(),
        ..RunLine::default()
    }
}

/// The result of a run that this process does not hold.
fn load(reader: &Reader, run_id: &str) -> Result<RunResult, Problem> {
    found(RunResult::load(reader, run_id), run_id)
}

fn found<T>(read: Result<Option<T>, Failure>, run_id: &str) -> Result<T, Problem> {
    match read {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(Problem::no_such_run(run_id)),
        Err(failure) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The run cannot be read")
            .detail(failure.to_string())),
    }
}

/// View and measurements of a stored run.
pub(crate) fn stored(reader: &Reader, run_id: &str) -> Result<(RunView, Merged), Problem> {
    load(reader, run_id).map(|result| (result.view, result.merged))
}

/// `GET /runs/{id}`
pub(crate) async fn one(State(app): State<App>, Path(run_id): Path<String>) -> Result<Json<Run>, Problem> {
    let view = match app.control.run(&run_id) {
        Some(view) => view,
        None => app.reader.read(move |reader| stored(reader, &run_id)).await?.0,
    };
    Ok(Json(Run::of_view(&view).with_source(&view.plan)))
}

/// `GET /runs/{id}/summary`
pub(crate) async fn summary(
    State(app): State<App>,
    Path(run_id): Path<String>,
) -> Result<Json<report::Summary>, Problem> {
    let control = Arc::clone(&app.control);
    let summary = app.reader.read(move |reader| {
        let result = match control.result(&run_id) {
            Some(result) => result,
            None => load(reader, &run_id)?,
        };
        Ok(crate::summary(&result))
    });
    Ok(Json(summary.await?))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Span {
    /// Name of a step; all steps when absent.
    step: Option<String>,
    /// Seconds of a point: 1, 10 or 60.
    resolution: Option<u32>,
}

impl Span {
    fn resolution(&self) -> Result<Option<Resolution>, Problem> {
        match self.resolution {
            None => Ok(None),
            Some(1) => Ok(Some(Resolution::Second)),
            Some(10) => Ok(Some(Resolution::TenSeconds)),
            Some(60) => Ok(Some(Resolution::Minute)),
            Some(other) => Err(bad_query(&format!("`resolution` is 1, 10 or 60, not {other}"))),
        }
    }
}

/// The stored points of a run; without a resolution the finest that gives at most `points`.
pub(crate) fn series(
    reader: &Reader,
    view: &RunView,
    step: Option<StepId>,
    resolution: Option<Resolution>,
    points: u32,
) -> Result<Series, Problem> {
    let lasted = view.started_ms.zip(view.ended_ms).map(|(from, to)| (to - from).max(0));
    let so_far = view.started_ms.map_or(0, |from| lasted.unwrap_or_else(|| clock::unix_ms() - from)).max(0);
    let seconds = u32::try_from(so_far / 1000 + 1).unwrap_or(u32::MAX);
    let resolution = resolution.unwrap_or_else(|| Resolution::for_points(seconds, points));
    let stored = match reader.series(&view.run_id, step, (0, u32::MAX), resolution) {
        Err(store::Error::TooManyPoints { points }) => {
            return Err(bad_query(&format!("that would be {points} points; ask for a coarser resolution")));
        }
        other => other?,
    };
    let rows = row::of_points(
        &stored,
        Some(&view.plan),
        view.drivers.len(),
        resolution,
        lasted.map(|ms| ms as f64 / 1e3),
    );
    Ok(Series::of(rows, resolution.seconds()))
}

/// `GET /runs/{id}/series`
pub(crate) async fn seconds(
    State(app): State<App>,
    Path(run_id): Path<String>,
    span: Result<Query<Span>, QueryRejection>,
) -> Result<Json<Series>, Problem> {
    let Query(span) = span.map_err(|rejection| bad_query(&rejection.body_text()))?;
    let resolution = span.resolution()?;
    let control = Arc::clone(&app.control);
    let series = app.reader.read(move |reader| {
        let view = match control.run(&run_id) {
            Some(view) => view,
            None => found(RunView::load(reader, &run_id), &run_id)?,
        };
        let step = span.step.as_deref().map(|name| step_of(&view, name)).transpose()?;
        series(reader, &view, step, resolution, POINTS)
    });
    Ok(Json(series.await?))
}

fn step_of(view: &RunView, name: &str) -> Result<StepId, Problem> {
    let at = view.plan.rows().iter().position(|row| row == name).and_then(|at| u16::try_from(at).ok());
    at.map(StepId).ok_or_else(|| bad_query(&format!("the plan has no step {name:?}")))
}

/// `GET /runs/{id}/live`
pub(crate) async fn live(
    State(app): State<App>,
    Path(run_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last_id = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let shared = Arc::clone(&app);
    let subscribed = tokio::task::spawn_blocking(move || {
        shared.hub.subscribe(&*shared.control, &shared.reader, &run_id, last_id.as_deref())
    });
    let events = subscribed
        .await
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The stream could not be opened"))??;
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(events)).into_response())
}
