//! Failures as RFC 9457 problem documents.
//!
//! Invariant: whatever goes wrong between the listener and a handler's answer comes out as one of these.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cluster::view::RunState;
use plan::Diagnostic;
use serde::Serialize;

use crate::control::Refused;

/// A failure, as `application/problem+json`. Boxed, since results carry it everywhere.
#[derive(Debug)]
pub(crate) struct Problem(Box<Document>);

#[derive(Debug, Serialize)]
struct Document {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Where the run stands, when that is why.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// The run that was made before the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    /// All faults of a plan or form.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
}

/// One fault of a plan or of a form.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Fault {
    pub code: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The field of the form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// From 1, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The offending text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl From<Diagnostic> for Fault {
    fn from(diagnostic: Diagnostic) -> Self {
        let Diagnostic { code, line, column, field, text, message, help, file: _ } = diagnostic;
        let place = |n: usize| (n > 0).then_some(n);
        Self { code, message, help, field, line: place(line), column: place(column), text }
    }
}

impl Problem {
    pub(crate) fn new(status: StatusCode, title: &'static str) -> Self {
        Self(Box::new(Document {
            kind: "about:blank",
            title,
            status: status.as_u16(),
            detail: None,
            state: None,
            run_id: None,
            errors: Vec::new(),
        }))
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    pub(crate) fn no_such_run(run_id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "No such run").detail(format!("there is no run {run_id:?}"))
    }

    pub(crate) fn faults(title: &'static str, faults: Vec<Diagnostic>) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, title);
        problem.0.detail = Some(match faults.len() {
            1 => "1 fault".to_owned(),
            n => format!("{n} faults"),
        });
        problem.0.errors = faults.into_iter().map(Fault::from).collect();
        problem
    }

    pub(crate) fn fault(mut self, fault: Fault) -> Self {
        self.0.errors.push(fault);
        self
    }

    pub(crate) fn run(mut self, run_id: String) -> Self {
        self.0.run_id = Some(run_id);
        self
    }

    fn state(mut self, state: RunState) -> Self {
        self.0.state = Some(state.as_str());
        self
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let sentence = refused.to_string();
        match refused {
            Refused::Unknown => Self::new(StatusCode::NOT_FOUND, "No such run"),
            Refused::NotNow { state, .. } => {
                Self::new(StatusCode::CONFLICT, "The run's state does not allow this").state(state)
            }
            Refused::Conflict { .. } => Self::new(StatusCode::CONFLICT, "Something else is in the way"),
            Refused::Unavailable { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not possible now"),
        }
        .detail(sentence)
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        tracing::error!(%error, "the store cannot be read");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The store cannot be read").detail(error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
