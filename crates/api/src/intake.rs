//! What is posted: a plan as YAML or JSON, or the basic form. All of it becomes a plan through the same door.
//!
//! Invariant: every fault that can be found is found at once, and says where it is.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use plan::{Plan, limits};
use serde_json::{Map, Value};

use crate::problem::{Fault, Problem};

/// Patience with a body: a plan is at most a quarter of a megabyte.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is read of a body that is too large, so that its sender hears why before the connection closes.
const READ_BYTES: usize = 2 << 20;

/// Keys that make a JSON object a basic form. `target` alone does not: a plan has it too.
const FORM_KEYS: [&str; 4] =
    ["test_type", "test_message_delay", "message_count_per_driver", "target_throughput_per_driver"];

enum Form {
    Yaml,
    Json,
}

/// The text of a body of at most [`limits::PLAN_BYTES`].
async fn text(body: Body) -> Result<String, Problem> {
    let read = tokio::time::timeout(PATIENCE, to_bytes(body, READ_BYTES)).await;
    let Ok(read) = read else {
        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time"));
    };
    let bytes = read.map_err(|_| too_large())?;
    if bytes.len() > limits::PLAN_BYTES {
        return Err(too_large());
    }
    String::from_utf8(bytes.to_vec()).map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "Not UTF-8").detail("the body must be text in UTF-8")
    })
}

fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large")
        .detail(format!("a body may have at most {} bytes", limits::PLAN_BYTES))
}

fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    match given.split(';').next().unwrap_or("").trim().to_ascii_lowercase().as_str() {
        "application/yaml" | "application/x-yaml" | "text/yaml" => Ok(Form::Yaml),
        "application/json" => Ok(Form::Json),
        _ => Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unknown media type")
            .detail("send application/yaml or application/json")),
    }
}

fn refuse_declared_size(headers: &HeaderMap) -> Result<(), Problem> {
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|bytes| bytes > READ_BYTES) { Err(too_large()) } else { Ok(()) }
}

fn json(text: &str) -> Result<Value, Problem> {
    serde_json::from_str(text).map_err(|error| {
        let place = (error.line() > 0).then(|| (error.line(), error.column()));
        Problem::new(StatusCode::BAD_REQUEST, "Not JSON").detail(error.to_string()).fault(Fault {
            code: "json_syntax",
            message: error.to_string(),
            help: None,
            field: None,
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            text: String::new(),
        })
    })
}

/// The plan that a request carries.
pub(crate) async fn plan(request: Request) -> Result<Plan, Problem> {
    let form = form(request.headers())?;
    refuse_declared_size(request.headers())?;
    let text = text(request.into_body()).await?;
    match form {
        Form::Yaml => plan::parse("plan.yaml", &text),
        Form::Json => match json(&text)? {
            Value::Object(object) if FORM_KEYS.iter().any(|key| object.contains_key(*key)) => {
                return plan::basic(&object).map_err(|faults| Problem::faults("The form has faults", faults));
            }
            _ => plan::parse("plan.json", &text),
        },
    }
    .map_err(|faults| Problem::faults("The plan has faults", faults))
}

/// The JSON object of a small command; nothing at all is an empty one.
pub(crate) async fn object(request: Request) -> Result<Map<String, Value>, Problem> {
    refuse_declared_size(request.headers())?;
    let headers = request.headers().clone();
    let text = text(request.into_body()).await?;
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    if !matches!(form(&headers)?, Form::Json) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unknown media type")
            .detail("send application/json"));
    }
    match json(&text)? {
        Value::Object(object) => Ok(object),
        _ => {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Not an object").detail("send a JSON object"))
        }
    }
}
