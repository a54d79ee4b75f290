//! Which path leads where. `openapi.json` lists the same paths, and a test compares the two.

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::middleware;
use axum::routing::{get, post};

use crate::problem::Problem;
use crate::state::App;
use crate::{access, assets, commands, fleet, health, prometheus, runs, storage};

pub(crate) fn router(app: App) -> Router {
    let api = Router::new()
        .route("/runs", get(runs::list).post(commands::create))
        .route("/runs/{run_id}", get(runs::one))
        .route("/runs/{run_id}/start", post(commands::start))
        .route("/runs/{run_id}/stop", post(commands::stop))
        .route("/runs/{run_id}/abort", post(commands::abort))
        .route("/runs/{run_id}/rate", post(commands::rate))
        .route("/runs/{run_id}/summary", get(runs::summary))
        .route("/runs/{run_id}/series", get(runs::seconds))
        .route("/runs/{run_id}/live", get(runs::live))
        .route("/drivers", get(fleet::list))
        .route("/storage", get(storage::now))
        .route("/plans/check", post(commands::check))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(prometheus::metrics))
        .route("/openapi.json", get(assets::openapi));
    Router::new()
        .nest("/api/v1", api)
        .route("/", get(assets::page))
        .route("/app.js", get(assets::script))
        .route("/app.css", get(assets::style))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(app.clone(), access::guard))
        .with_state(app)
}

async fn not_found(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "Not found").detail(format!("there is nothing at {}", uri.path()))
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
}
