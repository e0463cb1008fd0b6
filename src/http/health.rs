//! `GET /healthz` and `GET /readyz`: whether the process lives, and whether it can store.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};

use crate::http::App;
use crate::http::problem::{Problem, ProblemBody};

/// Tells that the process lives.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operating",
    responses((status = 200, description = "It does", body = String)),
)]
pub async fn alive() -> &'static str {
    "ok\n"
}

/// Tells whether the store takes messages.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operating",
    responses(
        (status = 200, description = "It does", body = String),
        (
            status = 503,
            description = "It does not",
            body = inline(ProblemBody),
            content_type = "application/problem+json",
            headers(("Retry-After" = u64)),
        ),
    ),
)]
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.sessions.store.writable() {
        Ok(()) => "ready\n".into_response(),
        Err(_) => Problem::storage_unavailable().into_response(),
    }
}
