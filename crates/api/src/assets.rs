//! The dashboard's files, embedded. They are built from `ui/` and committed, so that building this needs no Node.

use axum::http::header;
use axum::response::{IntoResponse, Response};

const PAGE: &[u8] = include_bytes!("../assets/index.html");
const SCRIPT: &[u8] = include_bytes!("../assets/app.js");
const STYLE: &[u8] = include_bytes!("../assets/app.css");
const OPENAPI: &[u8] = include_bytes!("openapi.json");

fn file(kind: &'static str, bytes: &'static [u8]) -> Response {
    // Names are fixed, so a browser asks each time; the files are small and local.
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], bytes).into_response()
}

pub(crate) async fn page() -> Response {
    file("text/html; charset=utf-8", PAGE)
}

pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", SCRIPT)
}

pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", STYLE)
}

/// `GET /openapi.json`
pub(crate) async fn openapi() -> Response {
    file("application/json", OPENAPI)
}
