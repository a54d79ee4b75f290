//! The fleet.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::json::Driver;
use crate::state::App;

#[derive(Debug, Serialize)]
pub(crate) struct Fleet {
    drivers: Vec<Driver>,
}

/// `GET /drivers`
pub(crate) async fn list(State(app): State<App>) -> Json<Fleet> {
    Json(Fleet { drivers: app.control.fleet().into_iter().map(Driver::from).collect() })
}
