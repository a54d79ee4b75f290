//! Calls that change something: make, start, stop and abort a run, change its rate; and the check of a plan.
//!
//! The control plane answers once the log has the command, which can take seconds, so these wait away from the threads
//! that serve. Only so many wait at a time.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cluster::view::RunState;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::{Control, Refused};
use crate::intake;
use crate::problem::{Fault, Problem};
use crate::state::App;

/// Factors beyond these are a slip: a run of a thousandth, or of a thousand times its rate, is another run.
const FACTORS: std::ops::RangeInclusive<f64> = 0.001..=1000.0;

/// Makes `ask` wait on a thread that may block.
async fn ask<T: Send + 'static>(
    app: &App,
    ask: impl FnOnce(&dyn Control) -> Result<T, Refused> + Send + 'static,
) -> Result<T, Problem> {
    let Ok(_room) = app.commands.try_acquire() else {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many commands at once"));
    };
    let control = Arc::clone(&app.control);
    let answer = tokio::task::spawn_blocking(move || ask(&*control)).await;
    answer
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The command failed"))?
        .map_err(Problem::from)
}

#[derive(Debug, Deserialize)]
pub(crate) struct CreateOptions {
    #[serde(default)]
    start: bool,
}

/// `POST /runs`
pub(crate) async fn create(
    State(app): State<App>,
    options: Result<Query<CreateOptions>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(options) = options.map_err(|rejection| bad_query(&rejection.body_text()))?;
    let plan = intake::plan(request).await?;
    let not_sent = plan.files().into_iter().map(|file| file.fault("plan", &plan::FileTrouble::NotSent));
    let not_sent: Vec<_> = not_sent.collect();
    if !not_sent.is_empty() {
        return Err(Problem::faults("The plan needs files", not_sent));
    }
    let run_id = ask(&app, move |control| control.create(plan)).await?;
    let mut answer = json!({ "run_id": run_id, "state": RunState::Created.as_str() });
    if options.start {
        let id = run_id.clone();
        // The run exists whatever becomes of its start, so that is what the answer says.
        match ask(&app, move |control| control.start(&id)).await {
            Ok(state) => answer["state"] = Value::from(state.as_str()),
            Err(problem) => return Err(problem.run(run_id)),
        }
    }
    let mut response = (StatusCode::CREATED, Json(answer)).into_response();
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/runs/{run_id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

pub(crate) fn bad_query(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "Bad query").detail(detail)
}

fn accepted(run_id: &str, state: RunState) -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "run_id": run_id, "state": state.as_str() }))).into_response()
}

/// `POST /runs/{id}/start`
pub(crate) async fn start(State(app): State<App>, Path(run_id): Path<String>) -> Result<Response, Problem> {
    let id = run_id.clone();
    let state = ask(&app, move |control| control.start(&id)).await?;
    Ok(accepted(&run_id, state))
}

/// `POST /runs/{id}/stop`
pub(crate) async fn stop(State(app): State<App>, Path(run_id): Path<String>) -> Result<Response, Problem> {
    let id = run_id.clone();
    let state = ask(&app, move |control| control.stop(&id)).await?;
    Ok(accepted(&run_id, state))
}

/// `POST /runs/{id}/abort`
pub(crate) async fn abort(State(app): State<App>, Path(run_id): Path<String>) -> Result<Response, Problem> {
    let id = run_id.clone();
    let state = ask(&app, move |control| control.abort(&id, "aborted through the API")).await?;
    Ok(accepted(&run_id, state))
}

/// `POST /runs/{id}/rate`
pub(crate) async fn rate(
    State(app): State<App>,
    Path(run_id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let object = intake::object(request).await?;
    let factor = object.get("factor").and_then(Value::as_f64).filter(|factor| FACTORS.contains(factor));
    let Some(factor) = factor else {
        let given = object.get("factor").map(Value::to_string).unwrap_or_default();
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "The body has a fault");
        return Err(problem.fault(Fault {
            code: "factor",
            message: format!("factor must be a number from {} to {}", FACTORS.start(), FACTORS.end()),
            help: None,
            field: Some("factor".to_owned()),
            line: None,
            column: None,
            text: given,
        }));
    };
    let id = run_id.clone();
    let state = ask(&app, move |control| control.set_rate(&id, factor)).await?;
    Ok(accepted(&run_id, state))
}

/// `POST /plans/check`
pub(crate) async fn check(request: Request) -> Result<Json<Value>, Problem> {
    let plan = intake::plan(request).await?;
    Ok(Json(json!({
        "valid": true,
        "name": plan.name,
        "loop": plan.loop_kind().as_str(),
        "duration_s": plan.duration().map(|duration| duration.as_secs_f64()),
        "per_driver": plan.is_per_driver(),
        "planned_per_s": plan.planned_per_s(1),
        "iterations": plan.planned_iterations(1),
        "steps": plan.rows(),
        "stages": plan.stages().iter().map(|stage| &stage.name).collect::<Vec<_>>(),
    })))
}
