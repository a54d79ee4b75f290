//! Who may call what, and the headers every answer carries.
//!
//! On loopback there is no token, so two other things keep strangers out: the `Host` must name this machine, which stops
//! a foreign name that was made to resolve to it, and a call that changes something must come from our own page or from
//! no page at all. Beyond loopback every call but liveness and the page's own files needs a token.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;
use crate::state::App;
use crate::tokens::{Role, Tokens};

/// The page loads itself and talks to its own origin; nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// Who is let in.
#[derive(Debug)]
pub(crate) enum Access {
    /// Bound to loopback.
    Local { bound: IpAddr },
    /// Bound to anything else.
    Tokens(Tokens),
}

impl Access {
    /// What the caller may do.
    fn judge(&self, uri: &Uri, headers: &HeaderMap) -> Result<Role, Problem> {
        match self {
            Self::Local { bound } => match host(uri, headers) {
                Some(host) if is_local(&host, *bound) => Ok(Role::Controlling),
                Some(host) => Err(Problem::new(StatusCode::FORBIDDEN, "Wrong host")
                    .detail(format!("this server is local and does not answer to the host {host:?}"))),
                None => Err(Problem::new(StatusCode::BAD_REQUEST, "No host")),
            },
            Self::Tokens(tokens) => bearer(headers).and_then(|token| tokens.role(token)).ok_or_else(|| {
                Problem::new(StatusCode::UNAUTHORIZED, "A token is needed")
                    .detail("send the token that was printed at the first start as `Authorization: Bearer …`")
            }),
        }
    }
}

/// Lets a request through or answers it, and completes the headers of every answer.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = match admit(&app.access, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn admit(access: &Access, request: &Request) -> Result<(), Problem> {
    let path = request.uri().path();
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if changes && !is_own_origin(request.uri(), request.headers()) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "Foreign origin").detail(
            "calls that change something are taken from the dashboard itself, or from outside a browser",
        ));
    }
    if matches!(access, Access::Tokens(_)) && is_open(path) {
        return Ok(());
    }
    let role = access.judge(request.uri(), request.headers())?;
    let needed = if changes && !path.ends_with("/plans/check") { Role::Controlling } else { Role::Reading };
    if role < needed {
        return Err(Problem::new(StatusCode::FORBIDDEN, "This token may only read"));
    }
    Ok(())
}

/// What holds nothing of a run: the page's files, and whether the process lives.
fn is_open(path: &str) -> bool {
    matches!(path, "/" | "/app.js" | "/app.css" | "/api/v1/healthz" | "/api/v1/readyz")
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Host and port as the request names them.
fn authority(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let host = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(header::HOST)?.to_str().ok()?,
    };
    Some(host.to_ascii_lowercase())
}

/// The host without port and brackets.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let authority = authority(uri, headers)?;
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map(|(host, _)| host.to_owned());
    }
    let host = authority.split_once(':').map_or(authority.as_str(), |(host, _)| host);
    (!host.is_empty()).then(|| host.to_owned())
}

fn is_local(host: &str, bound: IpAddr) -> bool {
    host == "localhost" || host.parse() == Ok(bound) || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Whether the request comes from our own page, or from no page.
fn is_own_origin(uri: &Uri, headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return false;
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let own = authority(uri, headers);
    own.is_some() && origin.split_once("://").map(|(_, rest)| rest.to_ascii_lowercase()) == own
}

/// Whether `address` is reached from this machine only.
pub(crate) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
