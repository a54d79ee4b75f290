//! Whether the process lives, and whether it can do its work.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::problem::Problem;
use crate::state::App;

/// `GET /healthz`: answers while the process serves at all.
pub(crate) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// `GET /readyz`: results can be stored.
pub(crate) async fn ready(State(app): State<App>) -> Result<Json<Value>, Problem> {
    match app.control.storage().results_fault {
        None => Ok(Json(json!({ "status": "ready" }))),
        Some(fault) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Not ready").detail(fault.why)),
    }
}
